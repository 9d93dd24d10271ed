#include "supervisor/client/top_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <utility>

#include "emulation/abi/pages.h"
#include "supervisor/client/graph_text.h"
#include "supervisor/client/segment_list.h"
#include "supervisor/client/show.h"

namespace shmvisor::client {
namespace {

using Call = RegistrySample::Call;

constexpr std::size_t kBarWidth = 22;
constexpr std::size_t kNameWidth = 20;

/// `text` in as many columns; what does not fit is cut off.
std::string padded(const std::string& text, std::size_t width) {
  std::string cell = printable(text).substr(0, width);
  cell.resize(width, ' ');
  return cell;
}
std::string right(const std::string& text, std::size_t width) {
  return text.size() >= width ? text : std::string(width - text.size(), ' ') + text;
}

std::string one_digit(double value) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), value < 99.95 ? "%.1f" : "%.0f", value);
  return text.data();
}

std::string pages_text(std::uint64_t pages) {
  return pages > UINT64_MAX / kPageBytes ? "no limit" : size_text(pages * kPageBytes);
}

/// 0 to 1.
double part(std::uint64_t of, std::uint64_t all) {
  return all == 0 ? 0 : std::min(1.0, static_cast<double>(of) / static_cast<double>(all));
}

std::map<std::string, Call> calls_of(const RunSample& sample) {
  std::map<std::string, Call> sums;
  for (const RegistrySample& registry : sample.registries) {
    for (const Call& call : registry.calls) {
      Call& sum = sums[call.name];
      sum.calls += call.calls;
      sum.errors += call.errors;
      sum.took_ns += call.took_ns;
    }
  }
  return sums;
}

/// Of a registry that has ended the counts go: no rate is below 0.
std::uint64_t growth(std::uint64_t now, std::uint64_t before) {
  return now > before ? now - before : 0;
}

std::string refusals_text(const RunSample& sample) {
  std::map<std::string, std::uint64_t> sums;
  for (const RegistrySample& registry : sample.registries) {
    for (const auto& [reason, count] : registry.refusals) sums[reason] += count;
  }
  std::string text;
  for (const auto& [reason, count] : sums) {
    text += (text.empty() ? "" : ", ") + printable(reason) + " " + std::to_string(count);
  }
  return text.empty() ? "nothing" : text;
}

std::string time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  std::array<char, 16> text{};
  if (::localtime_r(&now, &local) == nullptr) return {};
  std::strftime(text.data(), text.size(), "%T", &local);
  return text.data();
}

const char* name_of(TopPage::Order order) {
  switch (order) {
    case TopPage::Order::kSize:
      return "bytes";
    case TopPage::Order::kAttaches:
      return "nattch";
    case TopPage::Order::kIdentifier:
      break;
  }
  return "shmid";
}

}  // namespace

std::string bar(double fraction, std::size_t width) {
  if (width < 3) return {};
  const std::size_t inside = width - 2;
  auto full = static_cast<std::size_t>(std::lround(fraction * static_cast<double>(inside)));
  // Little is not nothing.
  if (full == 0 && fraction > 0) full = 1;
  std::string text = "[" + std::string(std::min(full, inside), '#');
  text.resize(width - 1, ' ');
  return text + "]";
}

void TopPage::add(RunView view) {
  if (last_) {
    before_ = std::move(last_->sample);
    before_taken_at_ = last_->taken_at;
  }
  last_ = std::move(view);
  complaint_.clear();
  sort();
}

void TopPage::next_order() {
  constexpr int kOrders = 3;
  order_ = static_cast<Order>((static_cast<int>(order_) + 1) % kOrders);
  first_ = 0;
  sort();
}

void TopPage::scroll(int segments) {
  const auto first = static_cast<std::int64_t>(first_) + segments;
  first_ = first < 0 ? 0 : static_cast<std::size_t>(first);
}

void TopPage::sort() {
  if (!last_) return;
  const auto key = [this](const Json& segment) {
    const auto shmid = segment.at("shmid").get<std::int64_t>();
    std::uint64_t first = 0;
    if (order_ == Order::kSize) first = segment.at("segsz").get<std::uint64_t>();
    if (order_ == Order::kAttaches) first = segment.at("nattch").get<std::uint64_t>();
    return std::pair(UINT64_MAX - first, shmid);
  };
  std::stable_sort(last_->segments.begin(), last_->segments.end(),
                   [&key](const Json& one, const Json& other) { return key(one) < key(other); });
}

double TopPage::seconds_between() const {
  if (!before_) return 0;
  return std::chrono::duration<double>(last_->taken_at - before_taken_at_).count();
}

void TopPage::add_totals(std::vector<Line>& lines) const {
  RegistrySample all;
  for (const RegistrySample& registry : last_->sample.registries) {
    all.segments += registry.segments;
    all.removed_segments += registry.removed_segments;
    all.attaches += registry.attaches;
    all.pages += registry.pages;
    all.resident_pages += registry.resident_pages;
    all.swapped_pages += registry.swapped_pages;
  }
  // It is to fit 80 columns with the largest numbers that are usual.
  lines.push_back({counted(all.segments, "segment") + ", " + std::to_string(all.removed_segments) +
                   " removed, " + std::to_string(all.attaches) +
                   (all.attaches == 1 ? " attach; " : " attaches; ") + pages_text(all.pages) +
                   ", " + pages_text(all.resident_pages) + " in RAM, " +
                   pages_text(all.swapped_pages) + " swap"});
}

void TopPage::add_calls(std::vector<Line>& lines, std::size_t columns) const {
  const auto now = calls_of(last_->sample);
  const auto before = before_ ? calls_of(*before_) : std::map<std::string, Call>();
  const double seconds = seconds_between();
  std::map<std::string, double> rates;
  double most = 0;
  for (const auto& [name, call] : now) {
    const auto known = before.find(name);
    const std::uint64_t grown = known == before.end() ? 0 : growth(call.calls, known->second.calls);
    rates[name] = seconds > 0 ? static_cast<double>(grown) / seconds : 0;
    most = std::max(most, rates[name]);
  }
  const std::size_t width = columns < 70 ? 0 : kBarWidth;
  lines.push_back({padded("CALL", 8) + right("PER SECOND", 11) + " " + std::string(width, ' ') +
                       right("CALLS", 12) + right("ERRORS", 9) + right("MEAN US", 10),
                   Style::kHeading});
  for (const auto& [name, call] : now) {
    const double mean_us =
        call.calls == 0 ? 0
                        : static_cast<double>(call.took_ns) / 1e3 / static_cast<double>(call.calls);
    lines.push_back({padded(name, 8) + right(one_digit(rates[name]), 11) + " " +
                     bar(most > 0 ? rates[name] / most : 0, width) +
                     right(std::to_string(call.calls), 12) + right(std::to_string(call.errors), 9) +
                     right(one_digit(mean_us), 10)});
  }
  lines.push_back({"refused by: " + refusals_text(last_->sample)});
}

void TopPage::add_registries(std::vector<Line>& lines, std::size_t columns,
                             std::size_t most) const {
  const std::size_t width = columns < 70 ? 0 : kBarWidth / 2;
  lines.push_back({padded("REGISTRY", kNameWidth) + " " + padded("SEGMENTS OF SHMMNI", 14 + width) +
                       " " + "MEMORY OF SHMALL",
                   Style::kHeading});
  const auto& registries = last_->sample.registries;
  const std::size_t shown = std::min(registries.size(), most);
  for (std::size_t place = 0; place < shown; ++place) {
    const RegistrySample& one = registries[place];
    lines.push_back({padded(one.name, kNameWidth) + " " +
                     padded(bar(part(one.segments, one.shmmni), width) + " " +
                                std::to_string(one.segments) + " of " + std::to_string(one.shmmni),
                            14 + width) +
                     " " + bar(part(one.pages, one.shmall), width) + " " + pages_text(one.pages) +
                     " of " + pages_text(one.shmall)});
  }
  if (shown < registries.size()) {
    lines.push_back({"and " + std::to_string(registries.size() - shown) + " more registries"});
  }
}

std::string TopPage::row(const Json& segment, std::size_t columns) const {
  const auto pages = [&segment](const char* name) {
    return pages_text(segment.at(name).get<std::uint64_t>());
  };
  const bool several = last_->sample.registries.size() > 1;
  std::uint64_t all_pages = 0;
  for (const RegistrySample& one : last_->sample.registries) all_pages += one.pages;
  const auto bytes = segment.at("segsz").get<std::uint64_t>();
  std::string text = right(segment.at("shmid").dump(), 6) + " " +
                     padded(segment.at("key").get<std::string>(), 10) + " " +
                     padded(users_.of(segment.at("uid").get<uid_t>()), 8) + " " +
                     right(size_text(bytes), 7) + " " + right(pages("resident_pages"), 8) + " " +
                     right(segment.at("nattch").dump(), 6) + " " +
                     padded(segment.at("cpid").dump() + " " + creator_of_(segment), 14) + " " +
                     padded(segment.at("dest").get<bool>()     ? "dest"
                            : segment.at("locked").get<bool>() ? "locked"
                                                               : "",
                            6);
  if (several) return text + " " + shown_registry(segment.at("registry").get<std::string>());
  if (columns <= text.size() + 4) return text;
  return text + " " +
         bar(part(bytes, all_pages * kPageBytes), std::min(columns - text.size() - 1, kBarWidth));
}

void TopPage::add_segments(std::vector<Line>& lines, std::size_t columns, std::size_t rows) {
  const bool several = last_->sample.registries.size() > 1;
  lines.push_back({right("SHMID", 6) + " " + padded("KEY", 10) + " " + padded("OWNER", 8) + " " +
                       right("BYTES", 7) + " " + right("RESIDENT", 8) + " " + right("NATTCH", 6) +
                       " " + padded("CREATOR", 14) + " " + padded("STATUS", 6) + " " +
                       (several ? "REGISTRY" : "SHARE"),
                   Style::kHeading});
  const auto& segments = last_->segments;
  const std::size_t room = rows > lines.size() + 1 ? rows - lines.size() - 1 : 0;
  first_ = std::min(first_, segments.size() > room ? segments.size() - room : 0);
  const std::size_t end = std::min(segments.size(), first_ + room);
  for (std::size_t place = first_; place < end; ++place) {
    lines.push_back({row(segments[place], columns)});
  }
}

std::vector<TopPage::Line> TopPage::lines(std::size_t rows, std::size_t columns) {
  std::vector<Line> lines;
  if (!last_) {
    lines.push_back({complaint_.empty() ? "no answer yet" : complaint_, Style::kWarning});
  } else {
    const RunConnection::Hello& hello = last_->sample.hello;
    const std::string title = "shmvisor top: " + hello.kind + " " + hello.title();
    const std::string time = time_text();
    const std::size_t room = columns > time.size() + 1 ? columns - time.size() - 1 : 0;
    lines.push_back({padded(title, room) + " " + time, Style::kTitle});
    if (!complaint_.empty()) lines.push_back({complaint_, Style::kWarning});
    add_totals(lines);
    add_calls(lines, columns);
    add_registries(lines, columns, rows > 30 ? 8 : 3);
    add_segments(lines, columns, rows);
    const std::size_t others = last_->segments.size() + last_->segments_left_out;
    lines.push_back({"q quit   s sort, now by " + std::string(name_of(order_)) +
                         "   arrows and pages scroll, " + std::to_string(others) + " segments",
                     Style::kHeading});
  }
  for (Line& line : lines) {
    line.text = printable(line.text);
    if (line.text.size() > columns) line.text.resize(columns);
  }
  if (lines.size() > rows) lines.resize(rows);
  return lines;
}

}  // namespace shmvisor::client
