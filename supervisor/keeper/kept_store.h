// KeptStore: what a keeper has that outlives its program, by name: objects in shared memory,
// descriptors, numbers, texts. An upgrade execs another build of shmvisor in the keeper's process,
// and that finds them here again (README.md says how).
//
// Whoever makes such a thing asks for it by name, in the first program and in each later one alike:
// it is made where there is none yet. So nothing else knows what is handed over.
//
// The handover is a memfd that holds JSON. What is in it comes from our own program, of this or of
// another build, so each part is checked, and what is not known is refused.
//
// Errors: a clause. Ownership: of this process, for ever. Thread rule: the main thread, while it is
// the only one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "policy/base/result.h"
#include "policy/base/unique_fd.h"

namespace shmvisor {

class KeptStore {
 public:
  /// Of the environment: the descriptor of the handover.
  static constexpr const char* kVariable = "SHMVISOR_RESUME";

  static KeptStore& ours();

  /// Takes what another program of this process left.
  Result<void, std::string> take(int handover);
  /// The same of a copy, to see whether that could be taken over. Nothing of it is changed.
  Result<void, std::string> look_at(int handover);
  /// Whether there was another program.
  [[nodiscard]] bool resumes() const { return resumes_; }
  /// Whether it is only asked whether we could go on.
  [[nodiscard]] bool only_looks() const { return only_looks_; }

  /// An object that servers, one after another, and programs share. Null where there is no memory,
  /// and where another program made it in another layout: see trouble(). Object::kLayout changes
  /// with its layout.
  template <typename Object>
  [[nodiscard]] Object* object(const std::string& name) {
    bool is_new = true;
    void* const place = place_of(name, Object::kLayout, sizeof(Object), is_new);
    if (place == nullptr) return nullptr;
    return is_new ? new (place) Object : static_cast<Object*>(place);
  }
  /// Why an object cannot be had; empty where it is not for its layout.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

  /// A descriptor that stays open. Noted again, it takes the place of what had the name.
  void note_descriptor(const std::string& name, int fd) { descriptors_[name] = fd; }
  void note(const std::string& name, std::int64_t number) { numbers_[name] = number; }
  void note_text(const std::string& name, std::string text) { texts_[name] = std::move(text); }
  void forget_descriptor(const std::string& name) { descriptors_.erase(name); }

  [[nodiscard]] std::optional<int> descriptor(const std::string& name) const;
  [[nodiscard]] std::optional<std::int64_t> number(const std::string& name) const;
  [[nodiscard]] std::string text(const std::string& name) const;
  /// The same, which must be there.
  [[nodiscard]] Result<int, std::string> needed_descriptor(const std::string& name) const;
  [[nodiscard]] Result<std::int64_t, std::string> needed_number(const std::string& name) const;

  /// Objects of the other program that nobody has asked for: this one would lose them. Empty: none.
  [[nodiscard]] std::string not_asked_for() const;
  /// Whether all that there is can be handed over; why not, otherwise.
  [[nodiscard]] std::string obstacle() const { return obstacle_; }

  /// The handover for another program. `inherited`: descriptors that it has besides ours.
  [[nodiscard]] Result<UniqueFd, std::string> write(const std::vector<int>& inherited) const;
  /// The same into a memfd that is there, and empty.
  [[nodiscard]] Result<void, std::string> write_to(const UniqueFd& file,
                                                   const std::vector<int>& inherited) const;
  static Result<UniqueFd, std::string> empty_handover();
  /// One of the texts of a handover; empty where it has none.
  [[nodiscard]] static std::string text_in(const UniqueFd& handover, const std::string& name);
  /// Those that are to be open in another program: ours, and these.
  [[nodiscard]] std::vector<int> all_descriptors(const std::vector<int>& inherited) const;
  /// What was handed over besides ours.
  [[nodiscard]] const std::vector<int>& inherited() const { return inherited_; }

 private:
  struct Place {
    std::uint32_t layout = 0;
    std::uint64_t bytes = 0;
    int fd = -1;
    bool asked_for = false;
  };

  Result<void, std::string> read(int handover);
  void* place_of(const std::string& name, std::uint32_t layout, std::size_t bytes, bool& is_new);
  void* make_place(const std::string& name, std::uint32_t layout, std::size_t bytes);

  bool resumes_ = false;
  bool only_looks_ = false;
  std::map<std::string, Place> objects_;
  std::map<std::string, int> descriptors_;
  std::map<std::string, std::int64_t> numbers_;
  std::map<std::string, std::string> texts_;
  std::vector<int> inherited_;
  std::string trouble_;
  std::string obstacle_;
};

/// Sets or clears close-on-exec.
void set_close_on_exec(const std::vector<int>& descriptors, bool on);

}  // namespace shmvisor
