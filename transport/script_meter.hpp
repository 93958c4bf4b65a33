// What a running script has used, held against its bounds. For transport/script and the functions
// it gives to scripts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "transport/script.hpp"

struct lua_State;
struct lua_Debug;

namespace orrery::transport {

/// The memory and the time of one Lua state. Once a bound is passed every further instruction of
/// the script fails, so that it cannot catch the error and go on.
class script_meter {
 public:
  enum class bound : unsigned char { none, instructions, time, memory };

  explicit script_meter(const script_bounds& bounds);
  script_meter(const script_meter&) = delete;
  script_meter& operator=(const script_meter&) = delete;

  /// A state whose memory and instructions are counted here; null if there is no memory. To be
  /// closed by the caller, before this ends.
  lua_State* make_state();
  static script_meter& of(lua_State* lua);

  /// Work done in C, in units of an instruction. Raises a Lua error past the bounds.
  void charge(lua_State* lua, std::uint64_t units);
  /// Instructions that are left.
  std::uint64_t left() const;

  const script_bounds& bounds() const { return bounds_; }
  bound passed() const { return passed_; }
  std::uint64_t instructions() const { return instructions_; }
  std::size_t peak() const { return peak_; }
  std::optional<int> line() const { return line_; }
  /// The line that an error came from; the first one counts.
  void note_line(int line);

 private:
  static void* allocate(void* self, void* block, std::size_t size, std::size_t wanted);
  static void count(lua_State* lua, lua_Debug* where);
  bool is_late();
  void stop(bound why);
  void refuse();
  void watch();
  [[noreturn]] void raise(lua_State* lua);

  const script_bounds& bounds_;
  lua_State* lua_ = nullptr;
  std::size_t used_ = 0, peak_ = 0;
  unsigned refused_ = 0;
  int interval_;
  std::uint64_t instructions_ = 0;
  std::chrono::nanoseconds began_;  // the processor's time of this thread
  std::chrono::steady_clock::time_point look_again_;
  bound passed_ = bound::none;
  std::optional<int> line_;
};

}  // namespace orrery::transport
