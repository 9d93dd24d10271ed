#include "supervisor/client/metrics_text.h"

#include <array>
#include <cinttypes>
#include <cstdio>

#include "supervisor/client/run_connection.h"

namespace shmvisor::client {
namespace {

constexpr std::uint64_t kNanosecondsOfASecond = 1'000'000'000;

/// In the text between quotation marks.
std::string escaped(const std::string& value) {
  std::string shown;
  for (const char letter : printable(value)) {
    if (letter == '"' || letter == '\\') shown += '\\';
    shown += letter;
  }
  return shown;
}

/// What the name ends with, where that is a unit.
std::string unit_of(const std::string& name) {
  for (const char* const unit : {"bytes", "seconds"}) {
    if (name.ends_with(std::string("_") + unit)) return unit;
  }
  return {};
}

}  // namespace

void MetricsText::begin(const std::string& name, const std::string& type, const std::string& help) {
  const bool is_open = format_ == Format::kOpenMetrics;
  sample_name_ = type == "counter" ? name + "_total" : type == "info" ? name + "_info" : name;
  const std::string& family = is_open ? name : sample_name_;
  text_ += "# TYPE " + family + " " + (!is_open && type == "info" ? "gauge" : type) + "\n";
  if (const std::string unit = unit_of(name); is_open && !unit.empty()) {
    text_ += "# UNIT " + family + " " + unit + "\n";
  }
  text_ += "# HELP " + family + " " + help + "\n";
}

void MetricsText::add(const Labels& labels, const std::string& value, const std::string& suffix) {
  text_ += sample_name_ + suffix;
  for (const auto& [name, text] : labels) {
    text_ += (&name == &labels.front().first ? "{" : ",") + name + "=\"" + escaped(text) + "\"";
  }
  text_ += (labels.empty() ? " " : "} ") + value + "\n";
}

std::string MetricsText::finish() {
  if (format_ == Format::kOpenMetrics) text_ += "# EOF\n";
  return std::move(text_);
}

const char* MetricsText::content_type(Format format) {
  return format == Format::kOpenMetrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

MetricsText::Format MetricsText::format_for(const std::string& accept) {
  return accept.find("application/openmetrics-text") == std::string::npos ? Format::kPrometheus
                                                                          : Format::kOpenMetrics;
}

std::string seconds_text(std::uint64_t nanoseconds) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%" PRIu64 ".%09" PRIu64,
                nanoseconds / kNanosecondsOfASecond, nanoseconds % kNanosecondsOfASecond);
  return text.data();
}

std::string bound_text(std::uint64_t nanoseconds) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%g",
                static_cast<double>(nanoseconds) / static_cast<double>(kNanosecondsOfASecond));
  const std::string digits = text.data();
  return digits.find_first_of(".e") == std::string::npos ? digits + ".0" : digits;
}

}  // namespace shmvisor::client
