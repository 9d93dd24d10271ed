// ObjectScanner: finds the end of a JSON object in a stream without lengths, which may stay open
// after the object.
//
// It follows only braces and strings; a parser checks the whole object afterwards.
// Thread rule: one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace shmvisor {

class ObjectScanner {
 public:
  enum class Found : std::uint8_t {
    kMore,    ///< the object goes on
    kEnd,     ///< it is complete, with nothing but white space behind it
    kGarbage  ///< no object, too deep, or text behind it
  };

  /// Most braces and brackets around anything.
  static constexpr int kDeepest = 64;

  /// The next bytes of the stream. Once it has said kGarbage it says nothing else.
  Found scan(std::string_view bytes);

 private:
  Found step(char byte);

  int depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  Found found_ = Found::kMore;
};

}  // namespace shmvisor
