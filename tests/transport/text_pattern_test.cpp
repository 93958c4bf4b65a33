#include "transport/text_pattern.hpp"

#include <lua5.4/lua.hpp>
#include <random>

#include <gtest/gtest.h>

namespace orrery::transport {
namespace {

using model::errc;

constexpr std::uint64_t plenty = 1'000'000;

/// The match and its captures, each as "start-end" or "start!" for a place; "none"; "malformed".
std::string ours(std::string_view subject, std::string_view pattern, std::size_t from = 0) {
  const auto p = text_pattern::compile(pattern);
  if (!p)
    return "malformed";
  auto steps = plenty;
  const auto m = p->find(subject, from, steps);
  if (!m)
    return steps == 0 ? "exhausted" : "none";
  auto out = std::to_string(m->start) + "-" + std::to_string(m->end);
  for (std::size_t i = 0; i < p->captures(); ++i) {
    const auto& c = m->captures[i];
    out += c.is_position ? " " + std::to_string(c.start) + "!"
                         : " " + std::string{subject.substr(c.start, c.size)};
  }
  return out;
}

/// The same from Lua's own matcher.
class theirs {
 public:
  theirs() { luaL_openlibs(lua_); }
  theirs(const theirs&) = delete;
  theirs& operator=(const theirs&) = delete;
  ~theirs() { lua_close(lua_); }

  std::string find(std::string_view subject, std::string_view pattern) {
    lua_settop(lua_, 0);
    lua_getglobal(lua_, "string");
    lua_getfield(lua_, 1, "find");
    lua_pushlstring(lua_, subject.data(), subject.size());
    lua_pushlstring(lua_, pattern.data(), pattern.size());
    if (lua_pcall(lua_, 2, LUA_MULTRET, 0) != LUA_OK)
      return "malformed";
    if (lua_isnil(lua_, 2))
      return "none";
    auto out =
        std::to_string(lua_tointeger(lua_, 2) - 1) + "-" + std::to_string(lua_tointeger(lua_, 3));
    for (auto i = 4; i <= lua_gettop(lua_); ++i)
      if (lua_type(lua_, i) == LUA_TNUMBER) {
        out += " " + std::to_string(lua_tointeger(lua_, i) - 1) + "!";
      } else {
        auto size = std::size_t{0};
        const auto* text = lua_tolstring(lua_, i, &size);
        out += " " + std::string{text, size};
      }
    return out;
  }

 private:
  lua_State* lua_ = luaL_newstate();
};

TEST(TextPattern, FindsWhatLuaFinds) {
  struct row {
    std::string_view subject, pattern, found;
  };
  const row rows[] = {
      {"hello", "l+", "2-4"},
      {"hello", "^l", "none"},
      {"hello", "o$", "4-5"},
      {"a$", "a$", "none"},
      {"a.b", "%.", "1-2"},
      {"T=21.5;P=3", "(%w+)=([%d.]+)", "0-6 T 21.5"},
      {"2024-01-02", "^(%d+)-(%d+)-(%d+)$", "0-10 2024 01 02"},
      {"aXb", "()%u()", "1-2 1! 2!"},
      {"f(a(b)c)d", "%b()", "1-8"},
      {"THE (quick) fox", "%f[%a]%a+%f[%A]", "0-3"},
      {"say 'it'", "(['\"])(.-)%1", "4-8 ' it"},
      {"aaa", "a-$", "0-3"},
      {"aaab", "a?a?b", "1-4"},
      {"x]y", "[]]", "1-2"},
      {"x-y", "[a-]", "1-2"},
      {"x^y", "[%^]", "1-2"},
      {"abc", "[^ab]", "2-3"},
      {"", ".*", "0-0"},
      {"abc", "", "0-0"},
      {"a*b", "a*b", "2-3"},
      {"((a)", "(((a)))", "2-3 a a a"},
  };
  auto lua = theirs{};
  for (const auto& r : rows) {
    EXPECT_EQ(ours(r.subject, r.pattern), r.found) << r.pattern;
    EXPECT_EQ(lua.find(r.subject, r.pattern), r.found) << r.pattern;
  }
  for (const auto* bad : {"%", "[", "[a", "[%", "(", ".)", "(()", "%b", "%bx", "%f", "%fa", "%1",
                          "(%1)", "%0", "[^]"}) {
    EXPECT_EQ(ours("abc", bad), "malformed") << bad;
    EXPECT_EQ(lua.find("abc", bad), "malformed") << bad;
  }
  const auto nul = std::string_view{"a\0b", 3};
  EXPECT_EQ(ours(nul, std::string_view{"[\0]b", 4}), "1-3");
}

TEST(TextPattern, IsLuasForAnyPattern) {
  constexpr std::string_view parts[] = {
      "a", "b", ".", "%a", "%d", "%W", "[ab]", "[^a]", "[%d_]", "[a-c]", "(", ")", "()",
      "*", "+", "-", "?",  "$",  "^",  "%1",   "%b()", "%f[a]", "1",     "_", "%", "["};
  constexpr std::string_view letters = "aab1_()B ";
  auto random = std::mt19937{3};
  auto lua = theirs{};
  auto matched = 0, malformed = 0;
  for (auto i = 0; i < 30'000; ++i) {
    auto pattern = std::string{}, subject = std::string{};
    for (auto n = random() % 7; n > 0; --n)
      pattern += parts[random() % (random() % 4 == 0 ? std::size(parts) : 23)];
    for (auto n = random() % 10; n > 0; --n)
      subject += letters[random() % letters.size()];
    const auto expected = lua.find(subject, pattern);
    const auto got = ours(subject, pattern);
    // Lua finds out that a pattern is malformed when it comes to the place.
    if (got == "malformed") {
      ++malformed;
      EXPECT_TRUE(expected == "malformed" || expected == "none" ||
                  pattern.find('%') != pattern.npos || pattern.find(')') != pattern.npos ||
                  pattern.find('[') != pattern.npos)
          << pattern << " in " << subject << ": " << expected;
      continue;
    }
    matched += got != "none" ? 1 : 0;
    ASSERT_EQ(got, expected) << '"' << pattern << "\" in \"" << subject << '"';
  }
  EXPECT_GT(matched, 5000);
  EXPECT_LT(malformed, 20'000);
}

TEST(TextPattern, StopsWhenTheStepsAreUsedUp) {
  const auto subject = std::string(2000, 'a');
  for (const auto* evil : {".-.-.-.-.-x", "a*a*a*a*a*b", "(a+)%1%1%1+b", "a?a?a?a?a?a?.*.*.*b"})
    EXPECT_EQ(ours(subject, evil), "exhausted") << evil;
  auto steps = std::uint64_t{0};
  EXPECT_FALSE(text_pattern::compile("a")->find("a", 0, steps));
  steps = 10;
  EXPECT_TRUE(text_pattern::compile("a")->find("a", 0, steps));
  EXPECT_LT(steps, 10u);
}

TEST(TextPattern, HasLimits) {
  EXPECT_EQ(text_pattern::compile(std::string(257, 'a')).error().code, errc::too_large);
  auto many = std::string{};
  for (auto i = 0; i < 33; ++i)
    many += "()";
  EXPECT_EQ(text_pattern::compile(many).error().code, errc::too_large);
  many.resize(64);
  EXPECT_TRUE(text_pattern::compile(many));
  // As deep as calls of itself go.
  auto deep = std::string{};
  for (auto i = 0; i < 256; ++i)
    deep += "a?";
  EXPECT_EQ(ours("a", deep), "0-1");
}

}  // namespace
}  // namespace orrery::transport
