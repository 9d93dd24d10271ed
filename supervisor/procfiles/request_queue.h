// RequestQueue: FUSE requests that have been read and not begun, in an order that is fair to each
// user.
//
// So many may be under way at once. A user begins one more while fewer of its requests are under
// way than are free: who asks for all that it can get leaves a half to others, the next one a
// quarter. The users take turns; each one's requests begin in the order in which they came.
//
// Reads and writes of one open file are done one after the other. A request that waits for its file
// is not under way, and keeps no thread.
//
// Errors: only add() needs memory. Thread rule: the owner locks.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <list>
#include <map>
#include <unordered_map>
#include <vector>

namespace shmvisor {

class RequestQueue {
 public:
  struct Request {
    std::vector<char> bytes;
    uid_t user = 0;            ///< the user who is charged
    std::uint64_t handle = 0;  ///< of the open file that it must have for itself; 0: none
    bool has_handle = false;   ///< the queue's own
  };
  /// A list of one: a request moves from list to list without needing memory.
  using Taken = std::list<Request>;

  explicit RequestQueue(int most_at_once) : most_at_once_(most_at_once) {}

  /// Strong guarantee: throws std::bad_alloc without having taken the request.
  void add(Request request);
  /// The next request that may begin; empty where there is none. The caller gives it to end()
  /// afterwards.
  [[nodiscard]] Taken begin() noexcept;
  void end(const Taken& begun) noexcept;

 private:
  struct User {
    std::list<Request> waiting;
    int begun = 0;
    int all = 0;  ///< wherever they are
  };
  struct File {
    std::list<Request> waiting;  ///< for who has it
    bool taken = false;
    int all = 0;
  };

  Taken begin_one_of(User& user) noexcept;
  /// Whether the request has its file; otherwise it was moved to those that wait for the file.
  bool has_file(std::list<Request>& waiting) noexcept;

  const int most_at_once_;
  int begun_ = 0;
  uid_t last_user_ = 0;          ///< whose turn was last
  std::map<uid_t, User> users_;  ///< those with requests
  std::unordered_map<std::uint64_t, File> files_;
};

}  // namespace shmvisor
