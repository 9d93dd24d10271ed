// FakeSpace: an address space in memory, with the overlap and splitting rules of a real one.
//
// map() and unmap() are what the emulation may do; unmap(), split(), move(), map_anonymous() and
// map_file() are what a program does to its own mappings: munmap, mprotect, mremap and mmap.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "emulation/memmap/mapping_space.h"
#include "tests/fakes/fake_host.h"

namespace shmvisor {

class FakeSpace : public MappingSpace {
 public:
  struct Area {
    std::uint64_t length = 0;
    std::uint64_t file_offset_bytes = 0;
    std::shared_ptr<FakePages> pages;  ///< null for anonymous memory
    Access access;
    Access maximum = kAnyAccess;
    LockMode lock = LockMode::kNone;
  };

  explicit FakeSpace(FakeHost& host) : host_(host) {}
  ~FakeSpace() override { exit(); }

  void map_anonymous(const AddressRange& range) {
    cut(range);
    add(range.start, {range.length, 0, nullptr, {true, true, false}});
  }
  /// A file that no segment is made of, from its beginning.
  void map_file(const AddressRange& range, const FileIdentity& file) {
    cut(range);
    auto pages = std::make_shared<FakePages>();
    pages->identity = file;
    add(range.start, {range.length, 0, std::move(pages), {true, false, false}});
  }
  /// What mprotect does to the mappings at the ends of the range.
  void split(const AddressRange& range) {
    split_at(range.start);
    split_at(range.end());
  }
  void move(const AddressRange& range, std::uint64_t to) {
    split(range);
    std::vector<std::pair<std::uint64_t, Area>> taken;
    for (auto at = areas_.lower_bound(range.start);
         at != areas_.end() && at->first < range.end();) {
      taken.emplace_back(at->first - range.start + to, at->second);
      at = areas_.erase(at);
    }
    cut({to, range.length});
    for (auto& [start, area] : taken) areas_.emplace(start, std::move(area));
  }
  void exit() { cut({0, ~std::uint64_t{0}}); }
  /// A copy, as fork(2) makes it.
  void copy_from(const FakeSpace& parent) {
    for (const auto& [start, area] : parent.areas_) add(start, area);
  }

  [[nodiscard]] bool mapped(const AddressRange& range) const {
    for (const auto& [start, area] : areas_) {
      if (AddressRange{start, area.length}.overlaps(range)) return true;
    }
    return false;
  }
  [[nodiscard]] const std::map<std::uint64_t, Area>& areas() const { return areas_; }

  int map_error = 0;
  int unmap_error = 0;
  std::optional<AddressRange> sealed;  ///< by mseal(2)
  int look_error = 0;
  std::optional<Unmapped> was_unmapped;  ///< by an earlier attempt at the call
  bool callers_complete = false;         ///< what they may complete
  std::vector<MapRequest> requests;
  std::vector<AddressRange> unmapped;
  int finished_unmapping = 0;
  std::function<void()> while_finishing_unmapping = [] {};
  std::function<void()> after_mapping = [] {};

 private:
  Result<std::optional<std::uint64_t>> do_map(const MapRequest& request,
                                              BackingFile file) override {
    requests.push_back(request);
    const auto pages = host_.find_description(file.fd.get());
    if (pages == nullptr) return Errno(EBADF);
    // A description that can do less, or more, is not what was asked for.
    const Access maximum = pages->find(file.fd.get())->maximum;
    if (maximum != request.maximum) return Errno(EACCES);
    // Dropping the description is an event of its own, as closing a real one is.
    file.fd.reset();
    const auto refuse = [&](int error) {
      if (pages->areas == 0) host_.note_release(pages->identity);
      return Errno(error);
    };
    if (map_error != 0) return refuse(map_error);
    std::uint64_t address = request.address;
    const AddressRange range = request.addresses();
    switch (request.placement) {
      case Placement::kAnywhere:
        if (address != 0 && !mapped(range)) break;
        if (request.length_bytes > next(request)) return refuse(ENOMEM);
        address = free_range(request);
        break;
      case Placement::kExact:
        if (mapped(range)) return refuse(EINVAL);
        break;
      case Placement::kReplacing:
        break;
    }
    // Before anything is cut: it happens as a whole, or not at all.
    std::map<std::uint64_t, Area> made;
    made.emplace(address, Area{request.length_bytes, request.offset_bytes, pages, request.access,
                               request.maximum, request.lock});
    if (request.placement == Placement::kReplacing) cut(range);
    ++pages->areas;
    areas_.merge(made);
    after_mapping();
    if (callers_complete && request.caller_may_complete) return std::optional<std::uint64_t>();
    return std::optional(address);
  }

  Result<Outcome> do_unmap(const AddressRange& range, bool caller_may_complete) override {
    unmapped.push_back(range);
    if (unmap_error != 0) return Errno(unmap_error);
    if (sealed && range.start < sealed->end() && sealed->start < range.end()) return Errno(EPERM);
    cut(range);
    return callers_complete && caller_may_complete ? Outcome::kCompletedByCaller : Outcome::kDone;
  }

  Result<void> do_finish_unmapping() override {
    ++finished_unmapping;
    while_finishing_unmapping();
    return {};
  }

  std::optional<Unmapped> do_unmapped_before() override { return was_unmapped; }

  Result<std::optional<MappedArea>> do_area_above(std::uint64_t address) override {
    if (look_error != 0) return Errno(look_error);
    for (const auto& [start, area] : areas_) {
      if (start + area.length <= address || area.pages == nullptr) continue;
      return std::optional(MappedArea{
          {start, area.length}, area.file_offset_bytes, area.pages->identity, area.access});
    }
    return std::optional<MappedArea>();
  }

  /// Where the next range ends; nothing that was unmapped is used again.
  std::uint64_t& next(const MapRequest& request) {
    return request.below_4gib ? next_below_4gib_ : next_;
  }
  std::uint64_t free_range(const MapRequest& request) {
    std::uint64_t& next = this->next(request);
    next -= request.length_bytes;
    while (mapped({next, request.length_bytes})) next -= 4096;
    return next;
  }
  void add(std::uint64_t start, Area area) {
    if (area.pages != nullptr) ++area.pages->areas;
    areas_.emplace(start, std::move(area));
  }
  void split_at(std::uint64_t address) {
    for (auto& [start, area] : areas_) {
      if (address <= start || address >= start + area.length) continue;
      Area upper = area;
      upper.length = start + area.length - address;
      upper.file_offset_bytes += address - start;
      area.length = address - start;
      add(address, std::move(upper));
      return;
    }
  }
  void cut(const AddressRange& range) {
    split(range);
    for (auto at = areas_.lower_bound(range.start);
         at != areas_.end() && at->first < range.end();) {
      const std::shared_ptr<FakePages> pages = at->second.pages;
      at = areas_.erase(at);
      if (pages != nullptr && --pages->areas == 0) host_.note_release(pages->identity);
    }
  }

  FakeHost& host_;
  std::map<std::uint64_t, Area> areas_;
  std::uint64_t next_ = 0x7f0000000000;
  std::uint64_t next_below_4gib_ = 0xf0000000;
};

}  // namespace shmvisor
