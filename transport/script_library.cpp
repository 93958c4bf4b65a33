// Lua's own functions as far as they can do no harm, and those that decoders need. What would work
// for long in C, unseen by the count of instructions, is not there, or is ours and charges for it:
// rep, the patterns, and the functions of tables.
//
// These are C++ functions that Lua calls: it is the Lua built as C++, whose errors are exceptions,
// so destructors run. None of them may catch (...).
#include "transport/script_library.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <lua5.4/lua.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "model/base64.hpp"
#include "model/json.hpp"
#include "transport/script_meter.hpp"
#include "transport/text_pattern.hpp"

namespace orrery::transport {
namespace {

std::string_view text_at(lua_State* lua, int index) {
  auto size = std::size_t{0};
  const auto* text = luaL_checklstring(lua, index, &size);
  return {text, size};
}

int push_text(lua_State* lua, std::string_view text) {
  lua_pushlstring(lua, text.data(), text.size());
  return 1;
}

void charge(lua_State* lua, std::uint64_t units) {
  script_meter::of(lua).charge(lua, units);
}

[[noreturn]] void raise(lua_State* lua, const std::string& why) {
  luaL_error(lua, "%s", why.c_str());
  std::abort();  // it does not return, which its declaration does not say
}

// ---- base

/// As Lua's, but what has a finalizer is refused: those run where no instruction is counted.
int set_metatable(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  if (lua_type(lua, 2) != LUA_TNIL) {
    luaL_checktype(lua, 2, LUA_TTABLE);
    lua_pushliteral(lua, "__gc");
    if (lua_rawget(lua, 2) != LUA_TNIL)
      raise(lua, "there are no finalizers");
  }
  if (luaL_getmetafield(lua, 1, "__metatable") != LUA_TNIL)
    raise(lua, "cannot change a protected metatable");
  lua_settop(lua, 2);
  lua_setmetatable(lua, 1);
  return 1;
}

/// As Lua's, but past the bounds nothing is caught.
int protected_call(lua_State* lua) {
  luaL_checkany(lua, 1);
  lua_pushboolean(lua, 1);
  lua_insert(lua, 1);
  if (lua_pcall(lua, lua_gettop(lua) - 2, LUA_MULTRET, 0) == LUA_OK)
    return lua_gettop(lua);
  charge(lua, 0);
  lua_pushboolean(lua, 0);
  lua_insert(lua, -2);
  return 2;
}

/// The same with a function that is given the error. Lua would call it where the error was raised,
/// and uncounted if that was in the count of instructions: here it is called after.
int protected_call_with_handler(lua_State* lua) {
  luaL_checktype(lua, 2, LUA_TFUNCTION);
  lua_pushboolean(lua, 1);
  lua_insert(lua, 3);
  lua_pushvalue(lua, 1);
  lua_insert(lua, 4);
  if (lua_pcall(lua, lua_gettop(lua) - 4, LUA_MULTRET, 0) == LUA_OK)
    return lua_gettop(lua) - 2;
  charge(lua, 0);
  lua_pushboolean(lua, 0);
  lua_replace(lua, 3);
  lua_pushvalue(lua, 2);
  lua_insert(lua, -2);
  lua_call(lua, 1, 1);
  return 2;
}

// ---- string

int repeat(lua_State* lua) {
  const auto text = text_at(lua, 1);
  const auto count = luaL_checkinteger(lua, 2);
  const auto separator = lua_isnoneornil(lua, 3) ? std::string_view{} : text_at(lua, 3);
  if (count <= 0 || text.size() + separator.size() == 0)
    return push_text(lua, "");
  const auto most = script_meter::of(lua).bounds().max_memory_bytes;
  if (static_cast<std::uint64_t>(count) > most / (text.size() + separator.size()))
    raise(lua, "resulting string too large");
  charge(lua, static_cast<std::uint64_t>(count) / 4);
  auto buffer = luaL_Buffer{};
  luaL_buffinit(lua, &buffer);
  for (auto i = lua_Integer{0}; i < count; ++i) {
    if (i > 0)
      luaL_addlstring(&buffer, separator.data(), separator.size());
    luaL_addlstring(&buffer, text.data(), text.size());
  }
  luaL_pushresult(&buffer);
  return 1;
}

text_pattern pattern_of(lua_State* lua, std::string_view text, bool anchored) {
  charge(lua, text.size() / 4);
  auto p = text_pattern::compile(text, anchored);
  if (!p)
    raise(lua, p.error().detail);
  return std::move(*p);
}

/// A step of a match is cheaper than an instruction.
constexpr std::uint64_t steps_of_an_instruction = 8;

std::optional<text_pattern::match> next_match(lua_State* lua, const text_pattern& p,
                                              std::string_view subject, std::size_t from) {
  const auto most = script_meter::of(lua).left() * steps_of_an_instruction;
  auto steps = most;
  auto found = p.find(subject, from, steps);
  charge(lua, (most - steps) / steps_of_an_instruction + 1);
  return found;
}

int push_capture(lua_State* lua, std::string_view subject, const text_pattern::capture& c) {
  if (c.is_position)
    lua_pushinteger(lua, static_cast<lua_Integer>(c.start) + 1);
  else
    push_text(lua, subject.substr(c.start, c.size));
  return 1;
}

/// The captures, or without any all that matched.
int push_captures(lua_State* lua, const text_pattern& p, std::string_view subject,
                  const text_pattern::match& m) {
  if (p.captures() == 0)
    return push_text(lua, subject.substr(m.start, m.end - m.start));
  luaL_checkstack(lua, static_cast<int>(p.captures()), "too many captures");
  for (std::size_t i = 0; i < p.captures(); ++i)
    push_capture(lua, subject, m.captures[i]);
  return static_cast<int>(p.captures());
}

/// Where a search begins: from 0; nothing if that is behind the end.
std::optional<std::size_t> start_of(lua_State* lua, int index, std::size_t size) {
  const auto at = luaL_optinteger(lua, index, 1);
  if (at > 0)
    return static_cast<std::size_t>(at - 1) <= size
               ? std::optional{static_cast<std::size_t>(at - 1)}
               : std::nullopt;
  const auto back = at < 0 ? -static_cast<std::uint64_t>(at) : size;
  return back >= size ? 0 : size - back;
}

int find_or_match(lua_State* lua, bool find) {
  const auto subject = text_at(lua, 1), text = text_at(lua, 2);
  const auto from = start_of(lua, 3, subject.size());
  if (!from) {
    luaL_pushfail(lua);
    return 1;
  }
  if (find && lua_toboolean(lua, 4) != 0) {
    charge(lua, (subject.size() - *from + text.size()) / 16);
    // In linear time, which std::string_view::find is not.
    const auto* const found =
        memmem(subject.data() + *from, subject.size() - *from, text.data(), text.size());
    if (!found) {
      luaL_pushfail(lua);
      return 1;
    }
    const auto at = static_cast<lua_Integer>(static_cast<const char*>(found) - subject.data());
    lua_pushinteger(lua, at + 1);
    lua_pushinteger(lua, at + static_cast<lua_Integer>(text.size()));
    return 2;
  }
  const auto p = pattern_of(lua, text, true);
  const auto m = next_match(lua, p, subject, *from);
  if (!m) {
    luaL_pushfail(lua);
    return 1;
  }
  if (!find)
    return push_captures(lua, p, subject, *m);
  lua_pushinteger(lua, static_cast<lua_Integer>(m->start) + 1);
  lua_pushinteger(lua, static_cast<lua_Integer>(m->end));
  return 2 + (p.captures() == 0 ? 0 : push_captures(lua, p, subject, *m));
}

int find(lua_State* lua) {
  return find_or_match(lua, true);
}
int match(lua_State* lua) {
  return find_or_match(lua, false);
}

/// Up-values: the subject, the pattern, where to go on, where the last match ended (-1: none).
int next_of_all(lua_State* lua) {
  const auto subject = text_at(lua, lua_upvalueindex(1));
  const auto p = pattern_of(lua, text_at(lua, lua_upvalueindex(2)), false);
  auto from = static_cast<std::size_t>(lua_tointeger(lua, lua_upvalueindex(3)));
  const auto last = lua_tointeger(lua, lua_upvalueindex(4));
  for (; from <= subject.size(); ++from) {
    const auto m = next_match(lua, p, subject, from);
    if (!m)
      break;
    if (static_cast<lua_Integer>(m->end) == last) {  // an empty one where the last one ended
      from = m->start;
      continue;
    }
    lua_pushinteger(lua, static_cast<lua_Integer>(m->end));
    lua_copy(lua, -1, lua_upvalueindex(3));
    lua_replace(lua, lua_upvalueindex(4));
    return push_captures(lua, p, subject, *m);
  }
  return 0;
}

int all_matches(lua_State* lua) {
  const auto subject = text_at(lua, 1);
  pattern_of(lua, text_at(lua, 2), false);  // if it is malformed, then here
  const auto from = start_of(lua, 3, subject.size()).value_or(subject.size() + 1);
  lua_settop(lua, 2);
  lua_pushinteger(lua, static_cast<lua_Integer>(from));
  lua_pushinteger(lua, -1);
  lua_pushcclosure(lua, next_of_all, 4);
  return 1;
}

/// Puts what stands for a match into the buffer: text with %0 to %9, a member of a table, or what a
/// function gives; false and nil leave the match as it is. True if it was changed.
bool add_replacement(lua_State* lua, luaL_Buffer& out, const text_pattern& p,
                     std::string_view subject, const text_pattern::match& m) {
  const auto whole = subject.substr(m.start, m.end - m.start);
  const auto kind = lua_type(lua, 3);
  if (kind == LUA_TSTRING || kind == LUA_TNUMBER) {
    const auto text = text_at(lua, 3);
    charge(lua, text.size() / 16);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '%') {
        luaL_addchar(&out, text[i]);
        continue;
      }
      const auto sign = ++i < text.size() ? text[i] : '\0';
      const auto number = static_cast<std::size_t>(sign - '1');
      if (sign == '%') {
        luaL_addchar(&out, '%');
      } else if (sign == '0' || (sign == '1' && p.captures() == 0)) {
        luaL_addlstring(&out, whole.data(), whole.size());
      } else if (sign >= '1' && sign <= '9' && number < p.captures()) {
        push_capture(lua, subject, m.captures[number]);
        luaL_addvalue(&out);
      } else {
        raise(lua, "invalid use of '%' in replacement string");
      }
    }
    return true;
  }
  if (kind == LUA_TFUNCTION) {
    lua_pushvalue(lua, 3);
    lua_call(lua, push_captures(lua, p, subject, m), 1);
  } else {
    if (p.captures() == 0)
      push_text(lua, whole);
    else
      push_capture(lua, subject, m.captures[0]);
    lua_gettable(lua, 3);
  }
  if (lua_toboolean(lua, -1) == 0) {
    lua_pop(lua, 1);
    luaL_addlstring(&out, whole.data(), whole.size());
    return false;
  }
  if (lua_isstring(lua, -1) == 0)
    raise(lua, std::string{"invalid replacement value (a "} + luaL_typename(lua, -1) + ")");
  luaL_addvalue(&out);
  return true;
}

int substitute(lua_State* lua) {
  const auto subject = text_at(lua, 1), text = text_at(lua, 2);
  const auto kind = lua_type(lua, 3);
  if (kind != LUA_TSTRING && kind != LUA_TNUMBER && kind != LUA_TFUNCTION && kind != LUA_TTABLE)
    raise(lua, "bad argument #3 to 'gsub' (string/function/table expected)");
  const auto most = luaL_optinteger(lua, 4, static_cast<lua_Integer>(subject.size()) + 1);
  const auto p = pattern_of(lua, text, true);
  const auto anchored = text.starts_with('^');
  auto out = luaL_Buffer{};
  luaL_buffinit(lua, &out);
  auto done = lua_Integer{0};
  auto at = std::size_t{0};
  auto last = std::optional<std::size_t>{};
  while (done < most && at <= subject.size()) {
    const auto m = next_match(lua, p, subject, at);
    if (!m)
      break;
    luaL_addlstring(&out, subject.data() + at, m->start - at);
    at = m->start;
    if (m->end != last) {
      ++done;
      add_replacement(lua, out, p, subject, *m);
      last = at = m->end;
    } else if (at < subject.size()) {  // an empty one where the last one ended
      luaL_addchar(&out, subject[at++]);
    } else {
      break;
    }
    if (anchored)
      break;
  }
  if (at < subject.size())
    luaL_addlstring(&out, subject.data() + at, subject.size() - at);
  luaL_pushresult(&out);
  lua_pushinteger(lua, done);
  return 2;
}

// ---- table: the members themselves, whatever a metatable says

lua_Integer length_of(lua_State* lua, int index) {
  luaL_checktype(lua, index, LUA_TTABLE);
  return static_cast<lua_Integer>(lua_rawlen(lua, index));
}

int concat(lua_State* lua) {
  const auto size = length_of(lua, 1);
  const auto separator = lua_isnoneornil(lua, 2) ? std::string_view{} : text_at(lua, 2);
  const auto first = luaL_optinteger(lua, 3, 1), last = luaL_optinteger(lua, 4, size);
  if (first < 1 || last > size)
    raise(lua, "concat: beyond the members of the table");
  auto out = luaL_Buffer{};
  luaL_buffinit(lua, &out);
  for (auto i = first; i <= last; ++i) {
    charge(lua, 1);
    if (i > first)
      luaL_addlstring(&out, separator.data(), separator.size());
    lua_rawgeti(lua, 1, i);
    if (lua_isstring(lua, -1) == 0)
      raise(lua, std::string{"concat: a "} + luaL_typename(lua, -1) + " in the table");
    luaL_addvalue(&out);
  }
  luaL_pushresult(&out);
  return 1;
}

int insert(lua_State* lua) {
  const auto size = length_of(lua, 1);
  auto at = size + 1;
  if (lua_gettop(lua) == 3) {
    at = luaL_checkinteger(lua, 2);
    if (at < 1 || at > size + 1)
      raise(lua, "insert: position out of bounds");
  } else if (lua_gettop(lua) != 2) {
    raise(lua, "wrong number of arguments to 'insert'");
  }
  charge(lua, static_cast<std::uint64_t>(size + 1 - at) / 4);
  for (auto i = size + 1; i > at; --i) {
    lua_rawgeti(lua, 1, i - 1);
    lua_rawseti(lua, 1, i);
  }
  lua_rawseti(lua, 1, at);
  return 0;
}

int remove(lua_State* lua) {
  const auto size = length_of(lua, 1);
  const auto at = luaL_optinteger(lua, 2, size);
  if (size == 0 || at < 1 || at > size) {
    if (size != 0 && at != size + 1)
      raise(lua, "remove: position out of bounds");
    lua_pushnil(lua);
    return 1;
  }
  charge(lua, static_cast<std::uint64_t>(size - at) / 4);
  lua_rawgeti(lua, 1, at);
  for (auto i = at; i < size; ++i) {
    lua_rawgeti(lua, 1, i + 1);
    lua_rawseti(lua, 1, i);
  }
  lua_pushnil(lua);
  lua_rawseti(lua, 1, size);
  return 1;
}

int unpack(lua_State* lua) {
  constexpr lua_Integer most = 8000;
  const auto size = length_of(lua, 1);
  const auto first = luaL_optinteger(lua, 2, 1), last = luaL_optinteger(lua, 3, size);
  if (first > last)
    return 0;
  if (first < -most || last > size + most || last - first >= most)
    raise(lua, "too many results to unpack");
  const auto count = static_cast<int>(last - first + 1);
  luaL_checkstack(lua, count, "too many results to unpack");
  charge(lua, static_cast<std::uint64_t>(count) / 4);
  for (auto i = first; i <= last; ++i)
    lua_rawgeti(lua, 1, i);
  return count;
}

/// Lua's, paid for before: it compares in C. Up-value: that function.
int sort(lua_State* lua) {
  const auto size = length_of(lua, 1);
  if (luaL_getmetafield(lua, 1, "__index") != LUA_TNIL ||
      luaL_getmetafield(lua, 1, "__len") != LUA_TNIL ||
      luaL_getmetafield(lua, 1, "__newindex") != LUA_TNIL)
    raise(lua, "sort: the table has a metatable");
  auto units = std::uint64_t{0};
  for (auto i = lua_Integer{1}; i <= size; ++i) {
    units += 1 + (lua_rawgeti(lua, 1, i) == LUA_TSTRING ? lua_rawlen(lua, -1) / 16 : 0);
    lua_pop(lua, 1);
  }
  charge(lua, units * static_cast<std::uint64_t>(std::bit_width(static_cast<std::uint64_t>(size))));
  const auto arguments = lua_gettop(lua);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_call(lua, arguments, 0);
  return 0;
}

// ---- JSON

constexpr auto array_mark = "json.array";

int json_decode(lua_State* lua) {
  const auto text = text_at(lua, 1);
  charge(lua, text.size() / 8);
  const auto v = model::parse_json(text);
  if (!v)
    raise(lua, "json.decode: " + v.error().detail);
  push_value(lua, *v);
  return 1;
}

int json_encode(lua_State* lua) {
  luaL_checkany(lua, 1);
  const auto text = model::to_json(value_at(lua, 1));
  charge(lua, text.size() / 8);
  return push_text(lua, text);
}

int json_array(lua_State* lua) {
  if (lua_isnoneornil(lua, 1))
    lua_newtable(lua);
  luaL_checktype(lua, -1, LUA_TTABLE);
  lua_settop(lua, 1);
  luaL_setmetatable(lua, array_mark);
  return 1;
}

bool is_marked_array(lua_State* lua, int index) {
  if (lua_getmetatable(lua, index) == 0)
    return false;
  luaL_getmetatable(lua, array_mark);
  const auto is = lua_rawequal(lua, -1, -2) != 0;
  lua_pop(lua, 2);
  return is;
}

class to_json_value {
 public:
  explicit to_json_value(lua_State* lua)
      : lua_{lua}, bytes_left_{script_meter::of(lua).bounds().max_result_bytes} {}

  model::value at(int index, std::size_t depth) {
    charge(lua_, 1);
    if (nodes_++ == limits_.max_nodes)
      raise(lua_, "too many values for JSON");
    switch (lua_type(lua_, index)) {
      case LUA_TNIL:
        return {};
      case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(lua_, index) == nullptr)
          return {};
        break;
      case LUA_TBOOLEAN:
        return lua_toboolean(lua_, index) != 0;
      case LUA_TNUMBER:
        if (lua_isinteger(lua_, index) != 0)
          return std::int64_t{lua_tointeger(lua_, index)};
        return lua_tonumber(lua_, index);
      case LUA_TSTRING:
        return text(index);
      case LUA_TTABLE:
        if (depth == limits_.max_depth)
          raise(lua_, "tables too deep in each other for JSON");
        luaL_checkstack(lua_, 6, "tables too deep in each other");
        return table(lua_absindex(lua_, index), depth + 1);
      default:
        break;
    }
    raise(lua_, std::string{"JSON has no "} + luaL_typename(lua_, index));
  }

 private:
  std::string text(int index) {
    auto size = std::size_t{0};
    const auto* bytes = lua_tolstring(lua_, index, &size);
    if (size > bytes_left_)
      raise(lua_, "too much text for JSON");
    bytes_left_ -= size;
    charge(lua_, size / 16);
    return {bytes, size};
  }

  model::value table(int index, std::size_t depth) {
    const auto size = static_cast<lua_Integer>(lua_rawlen(lua_, index));
    if (is_marked_array(lua_, index) || (size > 0 && has_only(index, size))) {
      auto all = model::array{};
      for (auto i = lua_Integer{1}; i <= size; ++i) {
        lua_rawgeti(lua_, index, i);
        all.push_back(at(-1, depth));
        lua_pop(lua_, 1);
      }
      return all;
    }
    auto all = model::object{};
    for (lua_pushnil(lua_); lua_next(lua_, index) != 0; lua_pop(lua_, 1)) {
      lua_pushvalue(lua_, -2);  // a copy: a number that becomes text would confuse lua_next
      if (lua_type(lua_, -1) != LUA_TSTRING && lua_isinteger(lua_, -1) == 0)
        raise(lua_, std::string{"JSON has no members named by a "} + luaL_typename(lua_, -1));
      auto name = text(-1);
      lua_pop(lua_, 1);
      all.emplace_back(std::move(name), at(-1, depth));
    }
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    return all;
  }

  /// Whether all keys are from 1 to `size`.
  bool has_only(int index, lua_Integer size) {
    auto count = lua_Integer{0};
    for (lua_pushnil(lua_); lua_next(lua_, index) != 0; lua_pop(lua_, 1)) {
      charge(lua_, 1);
      ++count;
      if (lua_isinteger(lua_, -2) == 0 || lua_tointeger(lua_, -2) < 1 ||
          lua_tointeger(lua_, -2) > size) {
        lua_pop(lua_, 2);
        return false;
      }
    }
    return count == size;
  }

  lua_State* const lua_;
  const model::json_limits limits_{};
  std::size_t nodes_ = 0;
  std::size_t bytes_left_;
};

// ---- bytes

int hex_encode(lua_State* lua) {
  constexpr auto digits = std::string_view{"0123456789abcdef"};
  const auto bytes = text_at(lua, 1);
  charge(lua, bytes.size() / 8);
  auto out = std::string{};
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(digits[static_cast<unsigned char>(c) & 15]);
  }
  return push_text(lua, out);
}

int hex_decode(lua_State* lua) {
  const auto text = text_at(lua, 1);
  charge(lua, text.size() / 8);
  const auto digit = [lua](char c) -> int {
    if (c >= '0' && c <= '9')
      return c - '0';
    const auto lower = static_cast<char>(c | 0x20);
    if (lower >= 'a' && lower <= 'f')
      return lower - 'a' + 10;
    raise(lua, "hex.decode: not hexadecimal");
  };
  if (text.size() % 2 != 0)
    raise(lua, "hex.decode: an odd number of digits");
  auto out = std::string{};
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2)
    out.push_back(static_cast<char>(digit(text[i]) << 4 | digit(text[i + 1])));
  return push_text(lua, out);
}

int base64_encode(lua_State* lua) {
  const auto bytes = text_at(lua, 1);
  charge(lua, bytes.size() / 8);
  return push_text(lua, model::to_base64(bytes));
}

int base64_decode(lua_State* lua) {
  const auto text = text_at(lua, 1);
  charge(lua, text.size() / 8);
  const auto bytes = model::from_base64(text);
  if (!bytes)
    raise(lua, "base64.decode: not base64");
  return push_text(lua, *bytes);
}

/// The CRC-16 of Modbus: polynomial 0x8005, reflected; begins with 0xffff.
int crc16(lua_State* lua) {
  const auto bytes = text_at(lua, 1);
  charge(lua, bytes.size());
  auto crc = 0xffffu;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (auto bit = 0; bit < 8; ++bit)
      crc = (crc & 1) != 0 ? crc >> 1 ^ 0xa001u : crc >> 1;
  }
  lua_pushinteger(lua, crc);
  return 1;
}

// ---- all of it

constexpr luaL_Reg string_functions[] = {{"rep", repeat},      {"find", find},
                                         {"match", match},     {"gmatch", all_matches},
                                         {"gsub", substitute}, {nullptr, nullptr}};
constexpr luaL_Reg table_functions[] = {{"concat", concat},
                                        {"insert", insert},
                                        {"remove", remove},
                                        {"unpack", unpack},
                                        {nullptr, nullptr}};
constexpr luaL_Reg json_functions[] = {
    {"decode", json_decode}, {"encode", json_encode}, {"array", json_array}, {nullptr, nullptr}};
constexpr luaL_Reg hex_functions[] = {
    {"encode", hex_encode}, {"decode", hex_decode}, {nullptr, nullptr}};
constexpr luaL_Reg base64_functions[] = {
    {"encode", base64_encode}, {"decode", base64_decode}, {nullptr, nullptr}};

/// Opens one of Lua's libraries and leaves its table on the stack.
void open(lua_State* lua, const char* name, lua_CFunction opener) {
  lua_pushcfunction(lua, opener);
  lua_pushstring(lua, name);
  lua_call(lua, 1, 1);
}

/// Takes away members of the table on the stack.
void without(lua_State* lua, std::initializer_list<const char*> names) {
  for (const auto* name : names) {
    lua_pushnil(lua);
    lua_setfield(lua, -2, name);
  }
}

}  // namespace

void open_script_library(lua_State* lua) {
  open(lua, "_G", luaopen_base);
  without(lua, {"collectgarbage", "dofile", "load", "loadfile", "print", "warn"});
  lua_pushcfunction(lua, set_metatable);
  lua_setfield(lua, -2, "setmetatable");
  lua_pushcfunction(lua, protected_call);
  lua_setfield(lua, -2, "pcall");
  lua_pushcfunction(lua, protected_call_with_handler);
  lua_setfield(lua, -2, "xpcall");
  lua_pushcfunction(lua, crc16);
  lua_setfield(lua, -2, "crc16");

  open(lua, "string", luaopen_string);
  without(lua, {"dump"});
  luaL_setfuncs(lua, string_functions, 0);
  lua_setfield(lua, -2, "string");
  // The metatable of texts: nobody gets at it.
  lua_pushliteral(lua, "");
  lua_getmetatable(lua, -1);
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_pop(lua, 2);

  open(lua, "table", luaopen_table);
  without(lua, {"move"});
  lua_getfield(lua, -1, "sort");
  lua_pushcclosure(lua, sort, 1);
  lua_setfield(lua, -2, "sort");
  luaL_setfuncs(lua, table_functions, 0);
  lua_setfield(lua, -2, "table");

  open(lua, "math", luaopen_math);
  without(lua, {"random", "randomseed"});
  lua_setfield(lua, -2, "math");
  open(lua, "utf8", luaopen_utf8);
  lua_setfield(lua, -2, "utf8");

  luaL_newlib(lua, json_functions);
  lua_pushlightuserdata(lua, nullptr);
  lua_setfield(lua, -2, "null");
  lua_setfield(lua, -2, "json");
  luaL_newlib(lua, hex_functions);
  lua_setfield(lua, -2, "hex");
  luaL_newlib(lua, base64_functions);
  lua_setfield(lua, -2, "base64");
  lua_pop(lua, 1);

  luaL_newmetatable(lua, array_mark);
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_pop(lua, 1);
}

void push_value(lua_State* lua, const model::value& v) {
  luaL_checkstack(lua, 4, "too deep");
  if (v.is_null()) {
    lua_pushlightuserdata(lua, nullptr);
  } else if (v.is_bool()) {
    lua_pushboolean(lua, v.as_bool() ? 1 : 0);
  } else if (v.is_int()) {
    lua_pushinteger(lua, v.as_int());
  } else if (v.is_double()) {
    lua_pushnumber(lua, v.as_double());
  } else if (v.is_string()) {
    push_text(lua, v.as_string());
  } else if (v.is_array()) {
    charge(lua, v.as_array().size());
    lua_createtable(lua, static_cast<int>(v.as_array().size()), 0);
    auto i = lua_Integer{0};
    for (const auto& member : v.as_array()) {
      push_value(lua, member);
      lua_rawseti(lua, -2, ++i);
    }
    luaL_setmetatable(lua, array_mark);
  } else {
    charge(lua, v.as_object().size());
    lua_createtable(lua, 0, static_cast<int>(v.as_object().size()));
    for (const auto& [name, member] : v.as_object()) {
      push_text(lua, name);
      push_value(lua, member);
      lua_rawset(lua, -3);
    }
  }
}

model::value value_at(lua_State* lua, int index) {
  return to_json_value{lua}.at(index, 0);
}

}  // namespace orrery::transport
