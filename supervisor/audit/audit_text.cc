#include "supervisor/audit/audit_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <ctime>
#include <string_view>

namespace shmvisor {
namespace {

char shown(char letter) { return letter < ' ' || letter > '~' ? '?' : letter; }

std::string quoted(std::string_view value) {
  std::string text = "\"";
  for (const char letter : value) {
    if (letter == '"' || letter == '\\') text += '\\';
    text += shown(letter);
  }
  return text + '"';
}

bool is_plain(std::string_view value) {
  constexpr std::string_view kAlsoPlain = "_-./:,*@+";
  return !value.empty() && std::ranges::all_of(value, [&](char letter) {
    return std::isalnum(static_cast<unsigned char>(letter)) != 0 ||
           kAlsoPlain.find(letter) != std::string_view::npos;
  });
}

std::string upper(std::string_view name) {
  std::string text(name);
  std::ranges::transform(text, text.begin(), [](unsigned char letter) {
    return static_cast<char>(std::toupper(letter));
  });
  return text;
}

void add_member(std::string& object, const char* name, std::string_view value, bool is_number) {
  if (object.back() != '{') object += ',';
  object += quoted(name) + ':';
  object += is_number ? std::string(value) : quoted(value);
}

}  // namespace

std::string audit_time(AuditRecord::Clock::time_point time) {
  const auto since = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch());
  const std::time_t seconds = since.count() / 1'000'000;
  tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                     since.count() % 1'000'000);
}

std::string audit_text(const AuditRecord& record) {
  std::string text = record.event();
  for (const AuditField& field : record.fields()) {
    const std::string value = is_plain(field.value) ? field.value : quoted(field.value);
    // As `events` has it: "act remove shmid=3", "container served container=ID".
    const bool is_act = field.name == std::string_view("act");
    text += is_act ? " " + value : fmt::format(" {}={}", field.name, value);
  }
  return text;
}

std::string audit_json(const AuditRecord& record, const AuditSource& source) {
  std::string object = "{";
  add_member(object, "time", audit_time(record.time()), false);
  add_member(object, "shmvisor", std::to_string(source.pid), true);
  add_member(object, "kind", source.kind, false);
  if (!source.name.empty()) add_member(object, "name", source.name, false);
  add_member(object, "event", record.event(), false);
  for (const AuditField& field : record.fields()) {
    add_member(object, field.name, field.value, field.is_number);
  }
  return object + '}';
}

std::string audit_fields(const AuditRecord& record, const AuditSource& source,
                         const std::string& message) {
  constexpr int kNotice = 5;
  std::string fields = fmt::format(
      "MESSAGE={}\nPRIORITY={}\nSYSLOG_IDENTIFIER=shmvisor\nSHMVISOR_EVENT={}\n"
      "SHMVISOR_KIND={}\n",
      message, kNotice, record.event(), source.kind);
  if (!source.name.empty()) fields += fmt::format("SHMVISOR_NAME={}\n", source.name);
  for (const AuditField& field : record.fields()) {
    fields += "SHMVISOR_" + upper(field.name) + '=';
    std::ranges::transform(field.value, std::back_inserter(fields), shown);
    fields += '\n';
  }
  return fields;
}

}  // namespace shmvisor
