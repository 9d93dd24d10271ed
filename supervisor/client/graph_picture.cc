// as_svg(): the layout is that of a graph with two sides, so two columns; the processes are in the
// order of the middle of what they map, which leaves few lines that cross.
#include <algorithm>
#include <array>
#include <cstdio>
#include <numeric>
#include <utility>

#include "supervisor/client/graph_text.h"

namespace shmvisor::client {
namespace {

// In pixels.
constexpr int kBoxWidth = 230;
constexpr int kBoxHeight = 46;
constexpr int kRowHeight = 58;
constexpr int kBetweenColumns = 260;
constexpr int kMargin = 20;
constexpr int kTop = 70;
constexpr int kPictureWidth = 2 * kMargin + 2 * kBoxWidth + kBetweenColumns;
constexpr int kSegmentsLeft = kMargin + kBoxWidth + kBetweenColumns;

/// Letters that fit into a box.
constexpr std::size_t kMostLetters = 30;

std::string escaped(const std::string& text) {
  std::string shown;
  for (const char letter : printable(text)) {
    switch (letter) {
      case '&':
        shown += "&amp;";
        break;
      case '<':
        shown += "&lt;";
        break;
      case '>':
        shown += "&gt;";
        break;
      case '"':
        shown += "&quot;";
        break;
      default:
        shown += letter;
    }
  }
  return shown;
}

std::string shortened(const std::string& text) {
  if (text.size() <= kMostLetters) return text;
  return text.substr(0, kMostLetters - 3) + "...";
}

std::string text_at(int x, int y, const std::string& text, const char* style = "") {
  return "<text x=\"" + std::to_string(x) + "\" y=\"" + std::to_string(y) + "\"" + style + ">" +
         escaped(text) + "</text>\n";
}

/// `hint`: what a browser shows where the pointer rests.
std::string box(int x, int y, bool dashed, const char* fill,
                const std::pair<std::string, std::string>& lines, const std::string& hint) {
  return "<g><title>" + escaped(hint) + "</title><rect x=\"" + std::to_string(x) + "\" y=\"" +
         std::to_string(y) + "\" width=\"" + std::to_string(kBoxWidth) + "\" height=\"" +
         std::to_string(kBoxHeight) + "\" rx=\"5\" fill=\"" + fill + "\" stroke=\"#444\"" +
         (dashed ? " stroke-dasharray=\"5 4\"" : "") + "/>\n" +
         text_at(x + 10, y + 19, shortened(lines.first), " font-weight=\"bold\"") +
         text_at(x + 10, y + 37, shortened(lines.second)) + "</g>\n";
}

/// The places of the processes, from the top to the bottom.
std::vector<std::size_t> order_of(const HoldingGraph& graph) {
  struct Middle {
    double sum = 0;
    double count = 0;
    [[nodiscard]] double value() const { return count == 0 ? 1e9 : sum / count; }
  };
  std::vector<Middle> middles(graph.processes.size());
  for (const HoldingGraph::Edge& edge : graph.edges) {
    middles[edge.process].sum += static_cast<double>(edge.segment);
    middles[edge.process].count += 1;
  }
  std::vector<std::size_t> order(graph.processes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&middles](std::size_t one, std::size_t other) {
    return middles[one].value() < middles[other].value();
  });
  return order;
}

int top_of(std::size_t row) { return kTop + static_cast<int>(row) * kRowHeight; }

std::string line_between(std::size_t process_row, std::size_t segment_row, const Holding& holding) {
  const int left = kMargin + kBoxWidth;
  const int from = top_of(process_row) + kBoxHeight / 2;
  const int to = top_of(segment_row) + kBoxHeight / 2;
  std::array<char, 300> text{};
  std::snprintf(text.data(), text.size(),
                "<path d=\"M%d %d C%d %d %d %d %d %d\" fill=\"none\" stroke=\"%s\"%s><title>%s, "
                "%llu attached</title></path>\n",
                left, from, left + kBetweenColumns / 2, from, kSegmentsLeft - kBetweenColumns / 2,
                to, kSegmentsLeft, to, holding.writable ? "#a33" : "#36a",
                holding.writable ? "" : " stroke-dasharray=\"6 4\"",
                holding.writable ? "read and write" : "read only",
                static_cast<unsigned long long>(holding.attaches));
  return text.data();
}

std::string picture_of(const SupervisedProcess& process, std::size_t row) {
  const std::string pid = "pid " + std::to_string(process.pid);
  return box(kMargin, top_of(row), false, "#eef4ff",
             {process.command, pid + (process.readable ? "" : ", maps not readable")},
             process.command + ", " + pid + ", uid " + std::to_string(process.uid));
}

std::string picture_of(const Json& segment, std::size_t row) {
  const bool removed = segment.at("dest").get<bool>();
  const auto registry = segment.at("registry").get<std::string>();
  const std::string title = "shmid " + segment.at("shmid").dump() + ", " +
                            (removed ? "removed" : segment.at("key").get<std::string>());
  const std::string size = size_text(segment.at("segsz").get<std::uint64_t>()) + ", nattch " +
                           segment.at("nattch").dump();
  return box(kSegmentsLeft, top_of(row), removed, "#fff6e5",
             {title, registry == "main" ? size : size + ", " + registry},
             title + ", " + segment.at("segsz").dump() + " bytes, made by process " +
                 segment.at("cpid").dump() + ", registry " + registry);
}

}  // namespace

std::string as_svg(const HoldingGraph& graph, const std::string& title) {
  const auto order = order_of(graph);
  std::vector<std::size_t> rows(order.size());
  for (std::size_t row = 0; row < order.size(); ++row) rows[order[row]] = row;
  const std::size_t most_rows =
      std::max<std::size_t>({order.size(), graph.segments.size(), std::size_t{1}});
  const std::string size = "width=\"" + std::to_string(kPictureWidth) + "\" height=\"" +
                           std::to_string(top_of(most_rows) + kMargin) + "\"";
  std::string text =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
      "version=\"1.1\" " +
      size + " font-family=\"sans-serif\" font-size=\"13\">\n<title>" + escaped(title) +
      "</title>\n<rect " + size + " fill=\"white\"/>\n" +
      text_at(kMargin, kMargin + 10, title, " font-size=\"16\"") +
      text_at(kMargin, kTop - 12, "processes: " + std::to_string(graph.processes.size())) +
      text_at(kSegmentsLeft, kTop - 12, "segments: " + std::to_string(graph.segments.size()));
  for (const HoldingGraph::Edge& edge : graph.edges) {
    text += line_between(rows[edge.process], edge.segment, edge.holding);
  }
  for (std::size_t place = 0; place < rows.size(); ++place) {
    text += picture_of(graph.processes[place], rows[place]);
  }
  for (std::size_t row = 0; row < graph.segments.size(); ++row) {
    text += picture_of(graph.segments[row], row);
  }
  return text + "</svg>\n";
}

}  // namespace shmvisor::client
