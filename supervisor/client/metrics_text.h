// MetricsText: metrics as a monitoring system reads them: in the OpenMetrics text format 1.0, or in
// the older one of Prometheus (text/plain; version 0.0.4), which knows no units and no kind "info",
// and calls a counter by the name of its sample.
//
// Source: the OpenMetrics specification; "Exposition formats" of Prometheus. Families are to be
// added one after another, each with all its samples. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace shmvisor::client {

class MetricsText {
 public:
  enum class Format : std::uint8_t { kOpenMetrics, kPrometheus };
  /// Of names and values; values may be any bytes.
  using Labels = std::vector<std::pair<std::string, std::string>>;

  explicit MetricsText(Format format) : format_(format) {}

  void gauge(const std::string& name, const std::string& help) { begin(name, "gauge", help); }
  /// `name`: without "_total".
  void counter(const std::string& name, const std::string& help) { begin(name, "counter", help); }
  void histogram(const std::string& name, const std::string& help) {
    begin(name, "histogram", help);
  }
  /// `name`: without "_info".
  void info(const std::string& name, const std::string& help) { begin(name, "info", help); }

  /// A sample of the family that was begun last; of a histogram with its `suffix`.
  void add(const Labels& labels, const std::string& value, const std::string& suffix = "");

  /// All of it. Once.
  [[nodiscard]] std::string finish();

  /// What an answer of HTTP calls it.
  [[nodiscard]] static const char* content_type(Format format);
  /// Which of them the Accept field of a request wants.
  [[nodiscard]] static Format format_for(const std::string& accept);

 private:
  void begin(const std::string& name, const std::string& type, const std::string& help);

  const Format format_;
  std::string text_;
  std::string sample_name_;
};

/// Nanoseconds as seconds, all digits.
[[nodiscard]] std::string seconds_text(std::uint64_t nanoseconds);
/// A bound of a histogram: "2e-06", "1.0".
[[nodiscard]] std::string bound_text(std::uint64_t nanoseconds);

}  // namespace shmvisor::client
