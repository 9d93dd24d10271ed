// What clients make of a run for people and for monitoring: the page of top, graphs, metrics.
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <initializer_list>
#include <string>
#include <vector>

#include "supervisor/client/graph_text.h"
#include "supervisor/client/held_segments.h"
#include "supervisor/client/holdings.h"
#include "supervisor/client/metrics_text.h"
#include "supervisor/client/run_metrics.h"
#include "supervisor/client/top_page.h"
#include "supervisor/procfs/process_name.h"

namespace shmvisor::client {
namespace {

Json segment_of(int shmid, std::uint64_t bytes, const std::string& registry = "main") {
  return {{"registry", registry}, {"shmid", shmid},     {"key", "0x00000077"}, {"uid", 0},
          {"segsz", bytes},       {"nattch", 2},        {"cpid", 7},           {"dest", shmid == 1},
          {"locked", false},      {"resident_pages", 1}};
}

RunView view_of(std::uint64_t calls, std::chrono::seconds at, std::size_t registries = 1) {
  RunView view;
  view.sample.hello = {.version = "9", .kind = "run", .name = "web", .pid = 5};
  view.sample.bounds_ns = {2000, 1000000000};
  for (std::size_t number = 0; number < registries; ++number) {
    RegistrySample registry;
    registry.name = number == 0 ? "main" : "a\"b\\\x1b[2J" + std::to_string(number);
    registry.segments = 3;
    registry.shmmni = 4;
    registry.pages = 10;
    registry.shmall = UINT64_MAX;
    registry.calls.push_back({"shmget", calls, 1, 4000 * calls, {1, 0, calls - 1}});
    registry.refusals.emplace_back("shmmax", 1);
    view.sample.registries.push_back(registry);
  }
  for (int shmid = 0; shmid < 30; ++shmid) {
    view.segments.push_back(segment_of(shmid, 4096U * static_cast<unsigned>(shmid + 1)));
  }
  view.taken_at = std::chrono::steady_clock::time_point() + at;
  return view;
}

std::string text_of(const std::vector<TopPage::Line>& lines) {
  std::string text;
  for (const TopPage::Line& line : lines) text += line.text + "\n";
  return text;
}

TEST(TopPageTest, FitsEverySize) {
  TopPage page([](const Json&) { return std::string("\x1b[31m a long name of a command"); });
  EXPECT_FALSE(page.lines(1, 1).empty());
  page.add(view_of(100, std::chrono::seconds(1), 5));
  page.complain("the run does not answer");
  for (std::size_t rows = 1; rows < 60; ++rows) {
    for (const std::size_t columns : {1U, 2U, 10U, 40U, 69U, 70U, 80U, 200U}) {
      const auto lines = page.lines(rows, columns);
      EXPECT_LE(lines.size(), rows);
      for (const TopPage::Line& line : lines) {
        EXPECT_LE(line.text.size(), columns);
        EXPECT_EQ(line.text.find('\x1b'), std::string::npos);
      }
    }
  }
}

TEST(TopPageTest, ShowsRatesAndBars) {
  TopPage page([](const Json&) { return std::string("ended"); });
  page.add(view_of(100, std::chrono::seconds(1)));
  EXPECT_NE(text_of(page.lines(24, 80)).find("shmget          0.0 [ "), std::string::npos)
      << text_of(page.lines(24, 80));
  page.add(view_of(180, std::chrono::seconds(3)));
  const std::string text = text_of(page.lines(24, 80));
  EXPECT_NE(text.find("shmget         40.0 [####################]"), std::string::npos) << text;
  EXPECT_NE(text.find("[#######  ] 3 of 4"), std::string::npos) << text;
  EXPECT_NE(text.find("refused by: shmmax 1"), std::string::npos) << text;
  EXPECT_NE(text.find("7 ended"), std::string::npos) << text;
  // Of a run that counts anew.
  page.add(view_of(5, std::chrono::seconds(4)));
  EXPECT_NE(text_of(page.lines(24, 80)).find("shmget          0.0 "), std::string::npos);
}

TEST(CreatorTest, OnlyAProcessThatWasThereThenIsNamed) {
  Json segment = segment_of(1, 4096);
  segment["cpid"] = ::getpid();
  segment["ctime"] = ::time(nullptr);
  segment["awaits_first_user"] = false;
  EXPECT_EQ(creator_of(segment, true), as_one_word(process_name(::getpid())));
  EXPECT_EQ(creator_of(segment, false), "?");
  segment["ctime"] = ::time(nullptr) - 100'000;  // before this process
  EXPECT_EQ(creator_of(segment, true), "ended");
  segment["awaits_first_user"] = true;
  EXPECT_EQ(creator_of(segment, true), "?");
  segment["awaits_first_user"] = false;
  segment["cpid"] = 0;
  EXPECT_EQ(creator_of(segment, true), "ended");
}

TEST(TopPageTest, SortsAndScrolls) {
  TopPage page([](const Json&) { return std::string("me"); });
  page.add(view_of(1, std::chrono::seconds(1)));
  const auto first_row = [&page] {
    const std::string text = text_of(page.lines(24, 80));
    const std::size_t heading = text.find(" SHMID ");
    const std::size_t row = text.find('\n', heading) + 1;
    return std::stoi(text.substr(row));
  };
  EXPECT_EQ(first_row(), 29);
  page.scroll(3);
  EXPECT_EQ(first_row(), 26);
  page.scroll(-100);
  EXPECT_EQ(first_row(), 29);
  page.scroll(1000);
  const int last_page = first_row();
  EXPECT_LT(last_page, 26);
  page.scroll(1000);
  EXPECT_EQ(first_row(), last_page);
  page.next_order();
  page.next_order();
  EXPECT_EQ(first_row(), 0);
}

TEST(BarTest, IsNeverWiderThanItMayBe) {
  EXPECT_EQ(bar(0, 6), "[    ]");
  EXPECT_EQ(bar(0.001, 6), "[#   ]");
  EXPECT_EQ(bar(0.5, 6), "[##  ]");
  EXPECT_EQ(bar(1, 6), "[####]");
  EXPECT_EQ(bar(7, 6), "[####]");
  EXPECT_EQ(bar(1, 2), "");
}

TEST(SizeTextTest, HasThreeDigitsAtMost) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(999), "999 B");
  EXPECT_EQ(size_text(1000), "1.0 KiB");
  EXPECT_EQ(size_text(10 << 20), "10 MiB");
  EXPECT_EQ(size_text(UINT64_MAX), "16 EiB");
}

TEST(MetricsTextTest, EscapesAndEnds) {
  MetricsText text(MetricsText::Format::kOpenMetrics);
  text.counter("a", "Of a");
  text.add({{"x", "\"\\\n\xff"}, {"y", ""}}, "3");
  EXPECT_EQ(text.finish(),
            "# TYPE a counter\n# HELP a Of a\na_total{x=\"\\\"\\\\??\",y=\"\"} 3\n# EOF\n");
  MetricsText old(MetricsText::Format::kPrometheus);
  old.info("b", "Of b");
  old.gauge("c_bytes", "Of c");
  old.add({}, "1");
  EXPECT_EQ(old.finish(),
            "# TYPE b_info gauge\n# HELP b_info Of b\n# TYPE c_bytes gauge\n# HELP c_bytes Of "
            "c\nc_bytes 1\n");
  EXPECT_EQ(bound_text(2000), "2e-06");
  EXPECT_EQ(bound_text(1'000'000'000), "1.0");
  EXPECT_EQ(bound_text(500'000), "0.0005");
  EXPECT_EQ(seconds_text(1'000'000'007), "1.000000007");
}

TEST(RunMetricsTest, NamesRunsOfOneNameApart) {
  Scrape scrape;
  for (int run = 0; run < 3; ++run) scrape.runs.push_back(view_of(3, {}).sample);
  scrape.unanswered = 2;
  const std::string text = run_metrics(scrape, MetricsText::Format::kOpenMetrics);
  for (const char* const line :
       {"shmvisor_runs 3\n", "shmvisor_unanswered_runs 2\n",
        "shmvisor_segments{run=\"web\",registry=\"main\"} 3\n",
        "shmvisor_segments{run=\"web/2\",registry=\"main\"} 3\n",
        "shmvisor_segments{run=\"web/3\",registry=\"main\"} 3\n",
        "shmvisor_limit_allocated_bytes{run=\"web\",registry=\"main\"} 7.5557863725914323e+22\n",
        "{run=\"web\",registry=\"main\",call=\"shmget\",le=\"2e-06\"} 1\n",
        "{run=\"web\",registry=\"main\",call=\"shmget\",le=\"+Inf\"} 3\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(HoldingsTest, ShmidsTakeLittleRoom) {
  const auto held = [](std::initializer_list<int> shmids, const std::string& registry = "main") {
    std::vector<Holding> holdings;
    for (const int shmid : shmids) holdings.push_back({registry, shmid});
    return holdings;
  };
  EXPECT_EQ(shmids_of({}), "-");
  EXPECT_EQ(shmids_of(held({7})), "7");
  EXPECT_EQ(shmids_of(held({0, 1})), "0,1");
  EXPECT_EQ(shmids_of(held({0, 1, 2, 5, 7, 8, 9})), "0-2,5,7-9");
  auto two = held({0, 1}, "a");
  for (const Holding& other : held({2, 3}, "b")) two.push_back(other);
  EXPECT_EQ(shmids_of(two), "0,1,2,3");
  std::vector<Holding> many;
  for (int number = 0; number < 4000; ++number) many.push_back({"main", 2 * number});
  const std::string text = shmids_of(many);
  EXPECT_LE(text.size(), 60U);
  EXPECT_TRUE(text.starts_with("0,2,4,") && text.ends_with(",30 and 3984 more")) << text;
}

}  // namespace
}  // namespace shmvisor::client
