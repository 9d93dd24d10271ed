// What runtimes say of a process, as they say it and otherwise.
#include "supervisor/agent/container_process.h"

#include <gtest/gtest.h>

#include "supervisor/agent/object_scanner.h"

namespace shmvisor {
namespace {

std::string reason(std::string_view text) {
  const auto result = parse_container_process(text);
  return result ? "" : result.error().reason;
}

ContainerProcess parsed(std::string_view text) {
  EXPECT_EQ(reason(text), "") << text;
  const auto result = parse_container_process(text);
  return result ? *result : ContainerProcess{};
}

TEST(ContainerProcess, AsRuncSaysIt) {
  const ContainerProcess process =
      parsed(R"({"ociVersion":"1.0.2-dev","fds":["seccompFd"],"pid":4422,"metadata":"shmmax=64M",)"
             R"("state":{"ociVersion":"1.0.2-dev","id":"web","status":"creating","pid":4422,)"
             R"("bundle":"/run/web","annotations":{"a":"}{"}}})");
  EXPECT_EQ(process.container_id, "web");
  EXPECT_EQ(process.pid, 4422);
  EXPECT_EQ(process.metadata, "shmmax=64M");
}

TEST(ContainerProcess, AsCrunSaysItOfAProcessThatJoins) {
  const ContainerProcess process = parsed(
      "{\n  \"ociVersion\": \"0.2.0\",\n  \"fds\": [\n    \"seccompFd\"\n  ],\n  \"pid\": 0,\n"
      "  \"metadata\": \"\",\n  \"state\": {\n    \"ociVersion\": \"0.2.0\",\n    \"id\": \"c1\",\n"
      "    \"status\": \"running\",\n    \"pid\": 0,\n    \"bundle\": \".\"\n  }\n}\n");
  EXPECT_EQ(process.container_id, "c1");
  EXPECT_EQ(process.pid, 0);
  EXPECT_EQ(process.metadata, "");
}

TEST(ContainerProcess, WhatMayBeMissing) {
  for (const char* text :
       {R"({"fds":["seccompFd"],"state":{"id":"a"}})",
        R"({"fds":["seccompFd"],"metadata":null,"pid":null,"state":{"id":"a"}})"}) {
    const ContainerProcess process = parsed(text);
    EXPECT_EQ(process.container_id, "a");
    EXPECT_EQ(process.pid, 0);
    EXPECT_EQ(process.metadata, "");
  }
}

TEST(ContainerProcess, WhatIsNone) {
  EXPECT_EQ(reason(""), "it is no JSON object");
  EXPECT_EQ(reason("{"), "it is no JSON object");
  EXPECT_EQ(reason("[1]"), "it is no JSON object");
  EXPECT_EQ(reason(R"({"a":"\ud800"})"), "it is no JSON object");
  EXPECT_EQ(reason(R"({"state":{"id":"a"}})"), R"("fds" is not ["seccompFd"])");
  EXPECT_EQ(reason(R"({"fds":["seccompFd"],"pid":1.5,"state":{"id":"a"}})"),
            R"("pid" is no process id)");
  EXPECT_EQ(reason(R"({"fds":["seccompFd"],"pid":2147483648,"state":{"id":"a"}})"),
            R"("pid" is no process id)");
  EXPECT_EQ(parsed(R"({"fds":["seccompFd"],"pid":2147483647,"state":{"id":"a"}})").pid, 2147483647);
  EXPECT_EQ(reason(R"({"fds":["seccompFd"],"state":{"ID":"a"}})"), R"("state" has no "id")");
  EXPECT_EQ(reason(R"({"fds":["seccompFd"],"state":[{"id":"a"}]})"), R"(there is no "state")");
}

TEST(ContainerProcess, NothingOddInALogLine) {
  EXPECT_EQ(printable("web-1"), "web-1");
  EXPECT_EQ(printable("a\nb\x1b[31m\xff"), "a?b?[31m?");
  EXPECT_EQ(printable(std::string(128, 'x')), std::string(128, 'x'));
  EXPECT_EQ(printable(std::string(129, 'x')), std::string(128, 'x') + "...");
}

using Found = ObjectScanner::Found;

TEST(ObjectScanner, FindsTheEndWhereverTheStreamIsCut) {
  const std::string text = "\n {\"a\\\"}\": [{\"b\": \"]}\\\\\"}, 1], \"c\": {}}";
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    ObjectScanner scanner;
    EXPECT_EQ(scanner.scan(text.substr(0, cut)), Found::kMore) << cut;
    EXPECT_EQ(scanner.scan(text.substr(cut)), Found::kEnd) << cut;
    EXPECT_EQ(scanner.scan("\r\n\t "), Found::kEnd);
    EXPECT_EQ(scanner.scan("{"), Found::kGarbage);
    EXPECT_EQ(scanner.scan("}"), Found::kGarbage);
  }
}

TEST(ObjectScanner, WhatIsNoObject) {
  for (const char* text : {"[", "\"", "1", "}", "\\", "x{}", "{}x", "{}{}"}) {
    EXPECT_EQ(ObjectScanner().scan(text), Found::kGarbage) << text;
  }
  EXPECT_EQ(ObjectScanner().scan(std::string_view("\0{}", 3)), Found::kGarbage);
}

TEST(ObjectScanner, IsBoundedInDepth) {
  const std::string inside(ObjectScanner::kDeepest - 1, '[');
  EXPECT_EQ(ObjectScanner().scan("{" + inside), Found::kMore);
  EXPECT_EQ(ObjectScanner().scan("{[" + inside), Found::kGarbage);
}

}  // namespace
}  // namespace shmvisor
