// What is said of a denied call.
#include "supervisor/serve/call_log.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <sstream>

#include "tests/fakes/fake_caller.h"
#include "tests/fakes/fake_host.h"

namespace shmvisor {
namespace {

using Reason = Denial::Reason;

TEST(CallLogTest, NamesTheLimitItsValueAndWhatWasAskedFor) {
  EXPECT_EQ(describe({Reason::kShmmax, 4096, 8192, 0}), "8192 bytes are more than shmmax, 4096");
  EXPECT_EQ(describe({Reason::kShmall, 10, 3, 8}),
            "3 pages beside 8 of other segments are more than shmall, 10");
  EXPECT_EQ(describe({Reason::kShmmni, 2, 1, 2}), "there are 2 segments, and shmmni is 2");
  EXPECT_EQ(describe({Reason::kMode, 0640, 0666, 0}),
            "the mode of the segment, 0640, does not grant 0666");
  for (int reason = 1; reason <= static_cast<int>(Denial::kLastReason); ++reason) {
    EXPECT_NE(describe({static_cast<Reason>(reason), 1, 2, 3}), "for another reason") << reason;
  }
}

TEST(CallLogTest, SaysWhoWasDenied) {
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  const auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(log);
  sink->set_pattern("%v");
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink));
  FakeHost host;
  SegmentFiles files(host);
  const Registry registry(host, files, Limits());
  FakeCaller caller(host);
  caller.subject().become(65534, 65534);
  const RawCall raw{Abi::kX86_64, 29, {0, 4096, 01600}};
  const auto decoded = decode(raw);
  const Denial full{Denial::Reason::kShmmni, 2, 1, 2};
  const Denial none;
  const CallOrigin origin{.pid = ::getpid(), .tid = gettid()};
  CallLog calls;
  const auto decide = [&](const Denial& denial) {
    calls.decided({.origin = origin,
                   .registry = registry,
                   .caller = caller,
                   .raw = raw,
                   .call = decoded,
                   .value = -ENOSPC,
                   .denial = denial});
  };
  spdlog::set_level(spdlog::level::warn);
  decide(full);
  EXPECT_EQ(log.str(), "") << "only with -v";
  spdlog::set_level(spdlog::level::info);
  decide(none);
  EXPECT_EQ(log.str(), "") << "nothing to tell";
  decide(full);
  EXPECT_NE(log.str().find("user 65534, fails with ENOSPC: there are 2 segments, and shmmni is 2"),
            std::string::npos)
      << log.str();
  EXPECT_EQ(log.str().find("shmget of thread " + std::to_string(gettid())), 0U) << log.str();
  spdlog::set_default_logger(before);
}

}  // namespace
}  // namespace shmvisor
