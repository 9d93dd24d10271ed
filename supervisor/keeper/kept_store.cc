#include "supervisor/keeper/kept_store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "supervisor/kernel/version.h"

namespace shmvisor {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostBytes = std::size_t{64} << 20;

/// All of the file, from its beginning; its position is not used.
std::optional<std::string> contents_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || status.st_size < 0) return std::nullopt;
  if (static_cast<std::size_t>(status.st_size) > kMostBytes) return std::nullopt;
  std::string all(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t have = 0;
  while (have < all.size()) {
    const ssize_t got = ::pread(fd, all.data() + have, all.size() - have, static_cast<off_t>(have));
    if (got <= 0) return std::nullopt;
    have += static_cast<std::size_t>(got);
  }
  return all;
}

/// A path may have any bytes, and JSON has characters: each byte is one of U+0000 to U+00FF.
std::string characters_of(const std::string& bytes) {
  std::string characters;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    if (value >= 0x80) characters += static_cast<char>(0xc0 | (value >> 6));
    characters += static_cast<char>(value >= 0x80 ? 0x80 | (value & 0x3f) : value);
  }
  return characters;
}

std::string bytes_of(const std::string& characters) {
  std::string bytes;
  for (std::size_t at = 0; at < characters.size(); ++at) {
    const auto value = static_cast<unsigned char>(characters[at]);
    if (value < 0x80 || at + 1 == characters.size()) {
      bytes += static_cast<char>(value);
    } else {
      const auto next = static_cast<unsigned char>(characters[++at]);
      bytes += static_cast<char>((value & 3) << 6 | (next & 0x3f));
    }
  }
  return bytes;
}

std::string cannot_write() {
  return std::string("what is to be handed over cannot be written: ") + std::strerror(errno);
}

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

void* map(int fd, std::size_t bytes) {
  void* const place =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  return place == MAP_FAILED ? nullptr : place;
}

/// Beyond it a signal would end us.
bool file_may_have(std::size_t bytes) {
  rlimit limit{};
  return ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes <= limit.rlim_cur;
}

}  // namespace

KeptStore& KeptStore::ours() {
  static KeptStore* const store = new KeptStore;  // NOLINT: used until the very end
  return *store;
}

Result<void, std::string> KeptStore::take(int handover) {
  if (const auto done = read(handover); !done) return done;
  resumes_ = true;
  return {};
}

Result<void, std::string> KeptStore::look_at(int handover) {
  only_looks_ = true;
  return take(handover);
}

Result<void, std::string> KeptStore::read(int handover) {
  const auto all = contents_of(handover);
  const Json json = all ? Json::parse(*all, nullptr, /*allow_exceptions=*/false) : Json();
  if (!json.is_object() || !json.contains("shmvisor_handover")) {
    return std::string("what was handed over is none of a shmvisor");
  }
  try {
    if (const int version = json.at("shmvisor_handover").get<int>();
        version != handover_version()) {
      return "what was handed over is of version " + std::to_string(version) +
             ", which this shmvisor does not know";
    }
    for (const auto& [name, object] : json.at("objects").items()) {
      objects_[name] = {object.at("layout").get<std::uint32_t>(),
                        object.at("bytes").get<std::uint64_t>(), object.at("fd").get<int>()};
    }
    json.at("descriptors").get_to(descriptors_);
    json.at("numbers").get_to(numbers_);
    for (const auto& [name, text] : json.at("texts").items()) {
      texts_[name] = bytes_of(text.get<std::string>());
    }
    json.at("inherited").get_to(inherited_);
  } catch (const Json::exception& error) {
    return std::string("what was handed over is damaged: ") + error.what();
  }
  for (const int fd : all_descriptors(inherited_)) {
    if (!is_open(fd)) return "descriptor " + std::to_string(fd) + " was not handed over";
  }
  return {};
}

void* KeptStore::place_of(const std::string& name, std::uint32_t layout, std::size_t bytes,
                          bool& is_new) {
  const auto there = objects_.find(name);
  // Made again in the same program: a new one.
  is_new = !resumes_ || there == objects_.end() || there->second.asked_for;
  if (is_new) return make_place(name, layout, bytes);
  Place& place = there->second;
  place.asked_for = true;
  if (place.layout != layout || place.bytes != bytes) {
    trouble_ = "the other program's '" + name + "' has layout " + std::to_string(place.layout) +
               ", of " + std::to_string(place.bytes) + " bytes, and this shmvisor knows layout " +
               std::to_string(layout) + ", of " + std::to_string(bytes);
    errno = EPROTO;
    return nullptr;
  }
  struct stat status {};
  if (::fstat(place.fd, &status) != 0 || static_cast<std::uint64_t>(status.st_size) < bytes) {
    trouble_ = "the other program's '" + name + "' is cut";
    errno = EPROTO;
    return nullptr;
  }
  return map(place.fd, bytes);
}

void* KeptStore::make_place(const std::string& name, std::uint32_t layout, std::size_t bytes) {
  if (file_may_have(bytes)) {
    UniqueFd file(::memfd_create(("shmvisor-" + name.substr(0, 200)).c_str(), MFD_CLOEXEC));
    if (file.valid() && ::ftruncate(file.get(), static_cast<off_t>(bytes)) == 0) {
      if (void* const place = map(file.get(), bytes)) {
        objects_[name] = {layout, bytes, file.release(), true};
        return place;
      }
    }
  }
  // It does for servers, which are clones.
  obstacle_ = "no descriptor, or RLIMIT_FSIZE (ulimit -f) is too low for what it has in memory";
  void* const place = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return place == MAP_FAILED ? nullptr : place;
}

std::optional<int> KeptStore::descriptor(const std::string& name) const {
  const auto there = descriptors_.find(name);
  if (there == descriptors_.end()) return std::nullopt;
  return there->second;
}

std::optional<std::int64_t> KeptStore::number(const std::string& name) const {
  const auto there = numbers_.find(name);
  if (there == numbers_.end()) return std::nullopt;
  return there->second;
}

std::string KeptStore::text(const std::string& name) const {
  const auto there = texts_.find(name);
  return there == texts_.end() ? std::string() : there->second;
}

Result<int, std::string> KeptStore::needed_descriptor(const std::string& name) const {
  if (const auto fd = descriptor(name)) return *fd;
  return "the descriptor '" + name + "' was not handed over";
}

Result<std::int64_t, std::string> KeptStore::needed_number(const std::string& name) const {
  if (const auto value = number(name)) return *value;
  return "the number '" + name + "' was not handed over";
}

std::string KeptStore::not_asked_for() const {
  std::string names;
  for (const auto& [name, place] : objects_) {
    if (!place.asked_for) names += (names.empty() ? "'" : ", '") + name + "'";
  }
  return names;
}

std::vector<int> KeptStore::all_descriptors(const std::vector<int>& inherited) const {
  std::set<int> all(inherited.begin(), inherited.end());
  for (const auto& [name, place] : objects_) all.insert(place.fd);
  for (const auto& [name, fd] : descriptors_) all.insert(fd);
  return {all.begin(), all.end()};
}

Result<UniqueFd, std::string> KeptStore::write(const std::vector<int>& inherited) const {
  auto file = empty_handover();
  if (!file) return file;
  if (const auto written = write_to(*file, inherited); !written) return written.error();
  return file;
}

Result<UniqueFd, std::string> KeptStore::empty_handover() {
  UniqueFd file(::memfd_create("shmvisor-handover", MFD_CLOEXEC));
  if (!file.valid()) return cannot_write();
  return file;
}

Result<void, std::string> KeptStore::write_to(const UniqueFd& file,
                                              const std::vector<int>& inherited) const {
  Json objects = Json::object();
  for (const auto& [name, place] : objects_) {
    objects[name] = {{"layout", place.layout}, {"bytes", place.bytes}, {"fd", place.fd}};
  }
  Json texts = Json::object();
  for (const auto& [name, text] : texts_) texts[name] = characters_of(text);
  const std::string all = Json{
      {"shmvisor_handover", handover_version()},
      {"objects", std::move(objects)},
      {"descriptors", descriptors_},
      {"numbers", numbers_},
      {"texts", std::move(texts)},
      {"inherited",
       inherited}}.dump();
  if (::write(file.get(), all.data(), all.size()) != static_cast<ssize_t>(all.size())) {
    return cannot_write();
  }
  return {};
}

std::string KeptStore::text_in(const UniqueFd& handover, const std::string& name) {
  const auto all = contents_of(handover.get());
  const Json json = all ? Json::parse(*all, nullptr, /*allow_exceptions=*/false) : Json();
  if (!json.is_object() || !json.contains("texts")) return {};
  const Json& texts = json["texts"];
  const auto text = texts.is_object() ? texts.find(name) : texts.end();
  return text != texts.end() && text->is_string() ? bytes_of(text->get<std::string>()) : "";
}

void set_close_on_exec(const std::vector<int>& descriptors, bool on) {
  for (const int fd : descriptors) ::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

}  // namespace shmvisor
