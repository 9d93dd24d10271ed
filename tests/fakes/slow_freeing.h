// SlowFreeing: what a FakeHost frees aside is freed by a thread that takes a while; one piece of
// work, while this lives.
#pragma once

#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <utility>

#include "tests/fakes/fake_host.h"

namespace shmvisor {

class SlowFreeing {
 public:
  explicit SlowFreeing(FakeHost& host) : host_(host), before_(host.free_in) {
    host_.free_in = [this](std::function<void()> free) {
      thread_ = std::thread([this, free = std::move(free)] {
        ::usleep(20000);
        done_ = true;
        free();
      });
    };
  }
  SlowFreeing(const SlowFreeing&) = delete;
  SlowFreeing& operator=(const SlowFreeing&) = delete;
  ~SlowFreeing() {
    host_.free_in = before_;
    if (thread_.joinable()) thread_.join();
  }

  [[nodiscard]] bool begun() const { return thread_.joinable(); }
  [[nodiscard]] bool done() const { return done_; }

 private:
  FakeHost& host_;
  const std::function<void(std::function<void()>)> before_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace shmvisor
