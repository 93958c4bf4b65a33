#include "transport/script_meter.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <lua5.4/lua.hpp>

namespace orrery::transport {
namespace {

// How many instructions pass between two looks at the bounds. One instruction may take as long as
// its operands are large, so with large blocks about the looks are close together.
constexpr int usual_interval = 100, close_interval = 10;
constexpr std::size_t large_block = 16 * 1024;
// A refused block makes Lua collect garbage and ask again, which takes as long as there is memory.
constexpr unsigned max_refused = 16;

std::chrono::nanoseconds processor_time() {
  auto t = timespec{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec};
}

const char* text_of(script_meter::bound b) {
  switch (b) {
    case script_meter::bound::none:
      break;
    case script_meter::bound::instructions:
      return "too many instructions";
    case script_meter::bound::time:
      return "takes too long";
    case script_meter::bound::memory:
      return "too much memory";
  }
  return "";
}

}  // namespace

script_meter::script_meter(const script_bounds& bounds)
    : bounds_{bounds},
      interval_{usual_interval},
      began_{processor_time()},
      look_again_{std::chrono::steady_clock::now() + bounds.max_time} {}

lua_State* script_meter::make_state() {
  auto* const made = lua_newstate(allocate, this);
  if (made) {
    lua_ = made;
    lua_sethook(made, count, LUA_MASKCOUNT, interval_);
  }
  return made;
}

script_meter& script_meter::of(lua_State* lua) {
  auto* self = static_cast<void*>(nullptr);
  lua_getallocf(lua, &self);
  return *static_cast<script_meter*>(self);
}

void* script_meter::allocate(void* self, void* block, std::size_t size, std::size_t wanted) {
  auto& m = *static_cast<script_meter*>(self);
  if (!block)
    size = 0;  // of a new block it is a kind of object
  if (wanted == 0) {
    std::free(block);
    m.used_ -= size;
    return nullptr;
  }
  if (wanted > size) {
    if (wanted > m.bounds_.max_memory_bytes / 4 ||
        wanted - size > m.bounds_.max_memory_bytes - m.used_) {
      m.refuse();
      return nullptr;
    }
    if (wanted >= large_block)
      m.watch();
  }
  auto* const made = std::realloc(block, wanted);
  if (!made)
    return wanted > size ? nullptr : block;  // Lua expects that a block can become smaller
  m.used_ = m.used_ - size + wanted;
  m.peak_ = std::max(m.peak_, m.used_);
  return made;
}

void script_meter::refuse() {
  if (++refused_ > max_refused)
    stop(bound::memory);
  else if (is_late())
    stop(bound::time);
}

void script_meter::watch() {
  if (passed_ != bound::none)
    return;
  if (is_late())
    return stop(bound::time);
  if (lua_ && interval_ != close_interval) {
    interval_ = close_interval;
    lua_sethook(lua_, count, LUA_MASKCOUNT, interval_);
  }
}

bool script_meter::is_late() {
  const auto now = std::chrono::steady_clock::now();
  if (now < look_again_)
    return false;
  // The thread may have had to wait for a processor, for which the script is not to blame.
  const auto used = processor_time() - began_;
  if (used >= bounds_.max_time)
    return true;
  look_again_ = now + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                          bounds_.max_time - used);
  return false;
}

void script_meter::stop(bound why) {
  if (passed_ != bound::none)
    return;
  passed_ = why;
  if (lua_)
    lua_sethook(lua_, count, LUA_MASKCOUNT, 1);
}

void script_meter::count(lua_State* lua, lua_Debug* where) {
  auto& m = of(lua);
  if (m.passed_ == bound::none) {
    m.instructions_ += static_cast<std::uint64_t>(m.interval_);
    if (m.instructions_ > m.bounds_.max_instructions)
      m.stop(bound::instructions);
    else if (m.is_late())
      m.stop(bound::time);
  }
  if (m.passed_ == bound::none)
    return;
  if (lua_getinfo(lua, "l", where) != 0)
    m.note_line(where->currentline);
  m.raise(lua);
}

void script_meter::charge(lua_State* lua, std::uint64_t units) {
  instructions_ += std::min(units, bounds_.max_instructions + 1);
  if (instructions_ > bounds_.max_instructions)
    stop(bound::instructions);
  else if (units >= static_cast<std::uint64_t>(usual_interval) && is_late())
    stop(bound::time);
  if (passed_ != bound::none)
    raise(lua);
}

std::uint64_t script_meter::left() const {
  return passed_ != bound::none || instructions_ >= bounds_.max_instructions
             ? 0
             : bounds_.max_instructions - instructions_;
}

void script_meter::note_line(int line) {
  if (!line_ && line > 0)
    line_ = line;
}

void script_meter::raise(lua_State* lua) {
  luaL_error(lua, "%s", text_of(passed_));
  std::abort();  // it does not return, which its declaration does not say
}

}  // namespace orrery::transport
