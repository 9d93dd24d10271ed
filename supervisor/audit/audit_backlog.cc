#include "supervisor/audit/audit_backlog.h"

#include <cstring>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "supervisor/keeper/kept_store.h"

namespace shmvisor {
namespace {

constexpr std::uint32_t kUnit = 8;

/// A name that outlives its record, as those of other records do. There are some dozens of them.
const char* lasting(std::string name) {
  static std::mutex mutex;
  static auto* const names = new std::set<std::string>;  // NOLINT: for ever
  const std::lock_guard lock(mutex);
  return names->insert(std::move(name)).first->c_str();
}

class Writer {
 public:
  template <typename Number>
  void put(Number number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof(number));
  }
  void put_text(std::string_view text) {
    put(static_cast<std::uint32_t>(text.size()));
    bytes_ += text;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

class Parts {
 public:
  explicit Parts(std::span<const std::byte> bytes) : left_(bytes) {}

  template <typename Number>
  Number take() {
    Number number{};
    if (sizeof(number) > left_.size()) {
      fits_ = false;
    } else {
      std::memcpy(&number, left_.data(), sizeof(number));
      left_ = left_.subspan(sizeof(number));
    }
    return number;
  }
  std::string take_text() {
    const auto size = take<std::uint32_t>();
    if (size > left_.size()) fits_ = false;
    if (!fits_) return {};
    std::string text(reinterpret_cast<const char*>(left_.data()), size);
    left_ = left_.subspan(size);
    return text;
  }
  [[nodiscard]] bool fits() const { return fits_; }

 private:
  std::span<const std::byte> left_;
  bool fits_ = true;
};

std::string bytes_of(const AuditRecord& record) {
  Writer writer;
  writer.put(record.time().time_since_epoch().count());
  writer.put_text(record.event());
  writer.put(static_cast<std::uint32_t>(record.fields().size()));
  for (const AuditField& field : record.fields()) {
    writer.put(static_cast<std::uint8_t>(field.is_number));
    writer.put_text(field.name);
    writer.put_text(field.value);
  }
  return writer.bytes();
}

std::optional<AuditRecord> record_of(std::span<const std::byte> bytes) {
  using Clock = AuditRecord::Clock;
  Parts parts(bytes);
  const Clock::time_point time{Clock::duration(parts.take<Clock::rep>())};
  AuditRecord record(lasting(parts.take_text()), time);
  for (auto fields = parts.take<std::uint32_t>(); fields > 0 && parts.fits(); --fields) {
    const bool is_number = parts.take<std::uint8_t>() != 0;
    const char* const name = lasting(parts.take_text());
    record.add(AuditField{name, parts.take_text(), is_number});
  }
  if (!parts.fits()) return std::nullopt;
  return record;
}

}  // namespace

AuditBacklog* AuditBacklog::create() { return KeptStore::ours().object<AuditBacklog>("audit"); }

/// Where so many bytes are used for one more record: `first` is its place then. Never as much as
/// there is: first and end would be the same.
std::optional<AuditBacklog::Used> AuditBacklog::room_for(Used used, std::uint32_t bytes) const {
  if (used.first == used.end) used = {};
  if (used.end < used.first) {
    if (bytes >= used.first - used.end) return std::nullopt;
    return Used{used.end, used.end + bytes};
  }
  // Behind the last one there is always room for a header that leads to the beginning.
  if (bytes + sizeof(Header) <= kBytes - used.end) return Used{used.end, used.end + bytes};
  if (bytes >= used.first) return std::nullopt;
  return Used{0, bytes};
}

bool AuditBacklog::add(const AuditRecord& record, uid_t cause) {
  const std::string written = bytes_of(record);
  const std::size_t needed = (sizeof(Header) + written.size() + kUnit - 1) / kUnit * kUnit;
  if (needed >= kBytes) return false;
  const auto bytes = static_cast<std::uint32_t>(needed);
  const Used used = used_.load();
  const auto room = room_for(used, bytes);
  if (!room) return false;
  const bool is_alone = used.first == used.end;
  if (!is_alone && room->first != used.end) {
    const Header to_the_beginning;
    std::memcpy(&bytes_[used.end], &to_the_beginning, sizeof(to_the_beginning));
  }
  const Header header{bytes, cause, ++numbers_};
  std::memcpy(&bytes_[room->first], &header, sizeof(header));
  std::memcpy(&bytes_[room->first + sizeof(header)], written.data(), written.size());
  used_.store({is_alone ? room->first : used.first, room->end});
  return true;
}

/// Nothing where what is there does not fit.
std::optional<AuditBacklog::Header> AuditBacklog::header_at(std::uint32_t& place) const {
  Header header;
  for (int tries = 0; tries < 2; ++tries) {
    if (place + sizeof(header) > kBytes) return std::nullopt;
    std::memcpy(&header, &bytes_[place], sizeof(header));
    if (header.bytes != 0) break;
    place = 0;
  }
  if (header.bytes < sizeof(header) || header.bytes % kUnit != 0) return std::nullopt;
  if (header.bytes > kBytes - place) return std::nullopt;
  return header;
}

std::vector<AuditBacklog::Left> AuditBacklog::left() const {
  std::vector<Left> all;
  const Used used = used_.load();
  for (std::uint32_t place = used.first; place != used.end;) {
    const auto header = header_at(place);
    if (!header) break;
    const auto bytes = std::span(bytes_).subspan(place, header->bytes).subspan(sizeof(Header));
    auto record = record_of(bytes);
    if (!record) break;
    all.push_back({std::move(*record), header->cause});
    place += header->bytes;
  }
  return all;
}

void AuditBacklog::first_is_over() {
  Used used = used_.load();
  if (used.first == used.end) return;
  const auto header = header_at(used.first);
  used.first = header ? used.first + header->bytes : used.end;
  used_.store(used);
}

void AuditBacklog::begin_first() {
  Used used = used_.load();
  mark_.bytes.store(AuditMark::kNone);
  const auto header = used.first == used.end ? std::nullopt : header_at(used.first);
  marked_ = header ? header->number : 0;
}

const AuditMark* AuditBacklog::mark_of_first() const {
  Used used = used_.load();
  if (used.first == used.end || mark_.bytes.load() == AuditMark::kNone) return nullptr;
  const auto header = header_at(used.first);
  return header && header->number == marked_ ? &mark_ : nullptr;
}

}  // namespace shmvisor
