#include "supervisor/serve/call_judge.h"

#include <algorithm>
#include <new>
#include <utility>

#include "supervisor/log/limited_log.h"
#include "supervisor/procfs/process_name.h"
#include "supervisor/serve/call_log.h"
#include "supervisor/serve/served_facts.h"

namespace shmvisor {
namespace {

/// A rule of a drop-in is named by its number alone.
std::string named(const Rule& rule) {
  std::string text = "rule " + std::to_string(rule.place);
  if (rule.line != 0) text += " (line " + std::to_string(rule.line) + ")";
  return text;
}

Denial denial_of(const Rule& rule) {
  const auto reason =
      rule.action == RuleAction::kDeny ? Denial::Reason::kRule : Denial::Reason::kFault;
  return {reason, rule.place, rule.line, 0};
}

CallJudge::Judgement refused(int error, const Denial& denial) {
  CallJudge::Judgement judgement;
  if (error != 0) judgement.refusal = Reply(Errno(error), denial);
  return judgement;
}

/// A fault has counted the call, so what was decided must hold if the call comes again.
CallJudge::Judgement decided_by_fault(const DelayedCalls::Decided& decided) {
  CallJudge::Judgement judgement = refused(decided.error, decided.denial);
  judgement.decided = decided;
  return judgement;
}

std::string arguments_of(const ShmCall& call) {
  switch (call.operation) {
    case ShmOperation::kShmget:
      return fmt::format("{:#x}, {}, {:#o}", static_cast<std::uint32_t>(call.key), call.size_bytes,
                         static_cast<unsigned>(call.shmflg));
    case ShmOperation::kShmat:
      return fmt::format("{}, {:#x}, {:#o}", call.shmid, call.address,
                         static_cast<unsigned>(call.shmflg));
    case ShmOperation::kShmdt:
      return fmt::format("{:#x}", call.address);
    case ShmOperation::kShmctl:
      return fmt::format("{}, {}, {:#x}", call.shmid, call.command, call.address);
  }
  return {};
}

}  // namespace

CallJudge::CallJudge(CallRules* rules, std::vector<std::string> containers, std::uintptr_t group,
                     Listener& listener, std::function<void()> look_later)
    : rules_(rules),
      containers_(std::move(containers)),
      group_(group),
      look_later_(std::move(look_later)),
      delayed_([&listener](std::uint64_t id) { return listener.waits_still(id); }) {
  if (rules_ == nullptr) return;
  watch_.emplace(*rules_, [this] {
    rules_changed_.store(true);
    if (delayed_.any()) look_later_();
  });
}

CallJudge::Judgement CallJudge::judge(PendingCall& call, const ShmCall& decoded, Caller& caller,
                                      Registry& registry, uid_t user) {
  const auto recalled = delayed_.recall(call.notification());
  switch (recalled.known) {
    case DelayedCalls::Known::kNot:
      break;
    case DelayedCalls::Known::kDecided:
      return decided_by_fault(recalled.decided);
    case DelayedCalls::Known::kWaits:
      look_later_();
      [[fallthrough]];
    case DelayedCalls::Known::kVoid:
      call.hand_over();
      return {.delayed = true};
  }
  const auto rules = rules_->current();
  if (rules == nullptr) return {};
  ServedFacts facts(decoded, caller, registry, containers_, group_);
  const Ruling ruling = rules->judge(facts);
  if (ruling.rule == nullptr) return {};
  const Rule& rule = *ruling.rule;
  if (ruling.unknown) {
    log_limited(spdlog::level::warn, LogTopic::kRules, user,
                "{} of thread {} fails with ENOMEM: {} asks for its program, which "
                "cannot be told",
                name_of(decoded.operation), call.tid(), named(rule));
    return refused(ENOMEM, denial_of(rule));
  }
  if (rule.action == RuleAction::kLog) {
    log_limited(spdlog::level::warn, LogTopic::kRules, user,
                "{}: {}({}) of thread {} ({}), user {}", named(rule), name_of(decoded.operation),
                arguments_of(decoded), call.tid(), process_name(call.tid()),
                caller.subject().euid());
  }
  DelayedCalls::Decided decided{ruling.error, denial_of(rule), DelayedCalls::Clock::now()};
  if (ruling.delay.count() != 0) {
    decided.rule = std::shared_ptr<const Rule>(rules, &rule);
    Judgement judgement = delay(call, user, ruling, decided);
    if (rules_->current() != rules) {
      // New rules came meanwhile, and may have been compared with all delayed calls but this one.
      rules_changed_.store(true);
      look_later_();
    }
    return judgement;
  }
  if (rule.action == RuleAction::kFault) return decided_by_fault(decided);
  return refused(decided.error, decided.denial);
}

std::chrono::milliseconds CallJudge::look_at_rules() {
  constexpr std::chrono::milliseconds kUntilThereIsMemory(250);
  if (!delayed_.any() || !rules_changed_.exchange(false)) return {};
  const std::shared_ptr<const RuleSet> rules = rules_->current();
  try {
    delayed_.release_without_rule([&rules](const Rule& rule) {
      return rules != nullptr && std::ranges::any_of(rules->rules(), [&rule](const Rule& one) {
               return say_the_same(one, rule);
             });
    });
    return {};
  } catch (const std::bad_alloc&) {
    rules_changed_.store(true);
    return kUntilThereIsMemory;
  }
}

CallJudge::Judgement CallJudge::delay(PendingCall& call, uid_t user, const Ruling& ruling,
                                      const DelayedCalls::Decided& decided) {
  if (!delayed_.add(call.notification(), user, ruling.delay, decided)) {
    log_limited(spdlog::level::warn, LogTopic::kRules, user,
                "{} delays as many calls of user {} as may be; further ones go on",
                named(*ruling.rule), user);
    return decided_by_fault(decided);
  }
  call.hand_over();
  look_later_();
  return {.delayed = true};
}

}  // namespace shmvisor
