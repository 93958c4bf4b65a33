#include "transport/script.hpp"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::transport {
namespace {

using model::errc;

constexpr auto frame = std::string_view{"\x01\0\0\0\x14\x01\0\x04\0\0\x25\xf5", 12};
constexpr auto meter = R"(
local points = {[1] = "power"}
function raw_to_json(bytes)
  local kind, id, at = string.unpack(">B I4", bytes)
  if kind ~= 1 then error("unknown kind " .. kind) end
  local values = {}
  while at <= #bytes do
    local point, value
    point, value, at = string.unpack(">B s2", bytes, at)
    values[points[point] or "point" .. point] = string.unpack(">i" .. #value, value)
  end
  return {id = tostring(id), method = "thing.measurepoint.post", params = {measurepoints = values}}
end
function json_to_raw(reply)
  return string.pack(">B I4 I2", 2, tonumber(reply.id), reply.code)
end
)";

script compiled(const std::string& text, const script_bounds& bounds = {}) {
  auto s = script::compile(text, bounds);
  EXPECT_TRUE(s) << s.error().detail << " in " << text;
  return s ? *s : *script::compile("function raw_to_json() end json_to_raw = raw_to_json");
}

/// A script whose raw_to_json has this body; its parameter is `bytes`.
std::string body(const std::string& lua) {
  return "function raw_to_json(bytes) " + lua + "\nend function json_to_raw(m) return '' end";
}

/// What the body gives for `bytes`, put into {"r": ...}; or the failure as "reason: detail".
std::string run(const std::string& lua, std::string_view bytes = "",
                const script_bounds& bounds = {}, script_report* report = nullptr) {
  const auto s =
      compiled("local function f(bytes) " + lua + "\nend " + body("return {r = f(bytes)}"), bounds);
  const auto got = raw_to_json(s, bytes, report);
  if (!got)
    return std::string{got.error().reason} + ": " + got.error().detail;
  EXPECT_TRUE(got->starts_with("{") && got->ends_with("}"));
  return *got == "{}" ? "null" : got->substr(5, got->size() - 6);
}

/// It must end for want of something: the detail.
std::string limited(const std::string& lua, std::string_view bytes = "",
                    const script_bounds& bounds = {}) {
  const auto before = std::chrono::steady_clock::now();
  const auto got = run(lua, bytes, bounds);
  EXPECT_TRUE(got.starts_with("script_limit: ")) << lua << ": " << got;
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds{20}) << lua;
  return got;
}

// ---- what scripts are for

TEST(Script, DecodesAndEncodes) {
  const auto s = compiled(meter);
  const auto json = raw_to_json(s, frame);
  ASSERT_TRUE(json) << json.error().detail;
  EXPECT_EQ(
      *json,
      R"({"id":"20","method":"thing.measurepoint.post","params":{"measurepoints":{"power":9717}}})");
  const auto raw = json_to_raw(s, R"({"id":"20","code":200,"data":{}})");
  ASSERT_TRUE(raw) << raw.error().detail;
  EXPECT_EQ(*raw, (std::string_view{"\x02\0\0\0\x14\0\xc8", 7}));
}

TEST(Script, TheVendorsNamesHaveTexts) {
  const auto s = compiled(R"(
    function rawDataToJsonStr(bytes) return '{"n": ' .. #bytes .. '}' end
    function jsonStrToRawData(text) return type(text) .. text end)");
  EXPECT_EQ(*raw_to_json(s, "abc"), R"({"n": 3})");
  EXPECT_EQ(*json_to_raw(s, R"({"a":1})"), R"(string{"a":1})");
}

TEST(Script, SaysWhichLineFailed) {
  auto report = script_report{};
  const auto failed = raw_to_json(compiled(meter), "\x07\0\0\0\0", &report);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, errc::invalid_argument);
  EXPECT_EQ(failed.error().reason, "script_error");
  EXPECT_EQ(failed.error().detail, "line 4: bad argument #2 to 'unpack' (data string too short)");
  EXPECT_EQ(report.line, 4);
  const auto kind = raw_to_json(compiled(meter), std::string_view{"\x07\0\0\0\0", 5}, &report);
  EXPECT_EQ(kind.error().detail, "line 5: unknown kind 7");
  EXPECT_GT(report.memory_bytes, 5000u);
  EXPECT_TRUE(raw_to_json(compiled(meter), frame, &report));
  EXPECT_FALSE(report.line);
}

TEST(Script, ErrorsOfEveryKindAreFailures) {
  EXPECT_EQ(run("error('plain', 0)"), "script_error: line 1: plain");
  EXPECT_EQ(run("error({code = 7})"), "script_error: line 1: error with a value of type table");
  EXPECT_EQ(run("error()"), "script_error: line 1: error with a value of type nil");
  EXPECT_EQ(run("error(setmetatable({}, {__tostring = function() while true do end end}))"),
            "script_error: line 1: error with a value of type table");
  EXPECT_EQ(run("error(string.rep('x', 100000))").size(),
            std::string{"script_error: line 1: "}.size() + 500 - std::string{"script:1: "}.size());
  EXPECT_EQ(run("error('\\xff\\n', 0)"), "script_error: line 1: ??");
  EXPECT_EQ(run("error('gr\\u{fc}n', 0)"), "script_error: line 1: grün");
  EXPECT_NE(run("return nothing.at.all").find("attempt to index a nil value (global 'nothing')"),
            std::string::npos);
  EXPECT_NE(run("return 1 // 0").find("attempt to divide by zero"), std::string::npos);
}

TEST(Script, ResultsAreHeldToTheirForm) {
  const auto gives = [](const std::string& lua) {
    const auto got = raw_to_json(compiled(body(lua)), "");
    return got ? *got : got.error().detail;
  };
  EXPECT_EQ(gives("return {}"), "{}");
  EXPECT_EQ(gives("return '[1]'"), "raw_to_json gave no JSON object");
  EXPECT_EQ(gives("return {1, 2}"), "raw_to_json gave no JSON object");
  EXPECT_NE(gives("return '{'").find("raw_to_json gave no JSON object: "), std::string::npos);
  EXPECT_NE(gives("return {a = '\\xff'}").find("raw_to_json gave no JSON object: "),
            std::string::npos);
  EXPECT_EQ(gives("return nil"), "raw_to_json gave a value of type nil");
  EXPECT_EQ(gives("return 7"), "raw_to_json gave a value of type number");
  EXPECT_EQ(gives("return '{\"a\":\"' .. ('x'):rep(524300) .. '\"}'"),
            "raw_to_json gave more than 524288 bytes");
  const auto s =
      compiled("function raw_to_json() return {} end function json_to_raw(m) return m.r end");
  EXPECT_EQ(*json_to_raw(s, R"({"r":""})"), "");
  EXPECT_EQ(json_to_raw(s, R"({"r":1})").error().detail, "json_to_raw gave a value of type number");
  EXPECT_EQ(json_to_raw(s, "{").error().reason, "json_malformed");
}

TEST(Script, IsRefusedUnlessItDefinesBothFunctions) {
  const auto refused = [](const std::string& text) {
    auto report = script_report{};
    const auto s = script::compile(text, {}, &report);
    EXPECT_FALSE(s) << text;
    return s ? "" : s.error().detail;
  };
  EXPECT_EQ(refused(""), "defines no function raw_to_json");
  EXPECT_EQ(refused("function raw_to_json() end"), "defines no function json_to_raw");
  EXPECT_EQ(refused("raw_to_json = 7 function json_to_raw() end"),
            "defines no function raw_to_json");
  EXPECT_EQ(refused("\n\nfunction raw_to_json("), "line 3: <name> or '...' expected near <eof>");
  EXPECT_EQ(refused("\nerror('no')"), "line 2: no");
  EXPECT_NE(refused("\x1bLua").find("attempt to load a binary chunk"), std::string::npos);
  auto report = script_report{};
  EXPECT_EQ(script::compile("\n\n\nx = = 1", {}, &report).error().reason, "script_error");
  EXPECT_EQ(report.line, 4);
  const auto long_text = std::string(64 * 1024 + 1, ' ');
  EXPECT_EQ(script::compile(long_text).error().code, errc::too_large);
  EXPECT_EQ(script::compile(long_text).error().reason, "script_too_large");
  EXPECT_EQ(script::compile("while true do end").error().reason, "script_limit");
  EXPECT_EQ(
      script::compile("local x = ('x'):rep(9e5) local t = {} for i = 1, 9 do t[i] = x .. i end")
          .error()
          .reason,
      "script_limit");
}

// ---- what they find

TEST(Script, HasWhatDecodersNeed) {
  EXPECT_EQ(run("return hex.encode(bytes)", "\x01\xab"), R"("01ab")");
  EXPECT_EQ(run("return hex.encode(hex.decode('01aB'))"), R"("01ab")");
  EXPECT_EQ(run("return base64.encode(bytes) .. base64.decode('YWI=')", "ab"), R"("YWI=ab")");
  EXPECT_EQ(run("return crc16('123456789')"), "19255");  // 0x4b37, the check value of Modbus
  EXPECT_EQ(run("return crc16('')"), "65535");
  EXPECT_EQ(run("return string.format('%04X %.2f', 255, 1.5)"), R"("00FF 1.50")");
  EXPECT_EQ(run("return bytes:byte(1) << 8 | bytes:byte(2)", "\x01\x02"), "258");
  EXPECT_EQ(run("local t = {3, 1, 2} table.sort(t) return table.concat(t, ',')"), R"("1,2,3")");
  EXPECT_EQ(
      run("local t = {1, 2} table.insert(t, 3) table.insert(t, 1, 0) table.remove(t, 2) return t"),
      "[0,2,3]");
  EXPECT_EQ(
      run("local t = {} table.insert(t, 'a') return {table.remove(t), #t, table.remove(t) == nil}"),
      R"(["a",0,true])");
  EXPECT_EQ(run("return {table.unpack({1, 2, 3}, 2)}"), "[2,3]");
  EXPECT_EQ(run("return utf8.char(0xfc) .. #utf8.char(0xfc) .. math.floor(2.5)"), "\"ü22\"");
  for (const auto* bad :
       {"hex.decode('0')", "hex.decode('0g')", "base64.decode('?')", "json.decode('{')",
        "table.concat({1}, '', 1, 2)", "table.concat({{}})", "table.unpack({}, 1, 1e6)",
        "table.insert({}, 5, 1)", "table.insert({})", "table.remove({1}, 5)", "json.encode(next)",
        "json.encode({[{}] = 1})", "('x'):rep(1e12)"})
    EXPECT_TRUE(run(std::string{"return "} + bad).starts_with("script_error: line 1: ")) << bad;
}

TEST(Script, SpeaksJson) {
  EXPECT_EQ(run(R"(return json.decode('{"b":[1,2.5,"x",true,null],"a":{"c":[]}}'))"),
            R"({"a":{"c":[]},"b":[1,2.5,"x",true,null]})");
  EXPECT_EQ(run("return json.encode({b = 1, a = {json.null, 2.0}, [7] = 'x'})"),
            R"("{\"7\":\"x\",\"a\":[null,2.0],\"b\":1}")");
  EXPECT_EQ(run("return {json.array(), {}, json.array({5}), {n = nil}}"), "[[],{},[5],{}]");
  EXPECT_EQ(run("return json.decode('null') == json.null"), "true");
  EXPECT_EQ(run("return json.decode('9007199254740993')"), "9007199254740993");
  EXPECT_EQ(run("return 0/0"), "null");
  EXPECT_EQ(run("local t = {} t.t = t return t"),
            "script_error: tables too deep in each other for JSON");
  // One text, many times: it counts as often as it stands there.
  EXPECT_EQ(run("local x = ('x'):rep(1000) local t = {} for i = 1, 1000 do t[i] = x end return t"),
            "script_error: too much text for JSON");
}

TEST(Script, HasLuasPatterns) {
  EXPECT_EQ(run("return {('a.b'):find('.b', 2, true)}"), "[2,3]");
  EXPECT_EQ(run("return {('ab'):find('', 3, true), ('ab'):find('c', 1, true)}"), "[3]");
  EXPECT_EQ(run("return {bytes:find('(%d)(%d)')}", "ab12"), R"([3,4,"1","2"])");
  EXPECT_EQ(
      run("return {bytes:find('.', 1, true), bytes:find('b', -2), bytes:find('b', 9)}", "a.b"),
      "[2,3]");
  EXPECT_EQ(run("return {bytes:match('^(%a+)=(%d+)$')}", "temp=21"), R"(["temp","21"])");
  EXPECT_EQ(run("local t = {} for k, v in bytes:gmatch('(%w+)=(%w+)') do t[k] = v end return t",
                "a=1;b=2"),
            R"({"a":"1","b":"2"})");
  EXPECT_EQ(run("local n = 0 for w in bytes:gmatch('%a*') do n = n + 1 end return n", "ab cd"),
            "2");
  EXPECT_EQ(run("return {bytes:gsub('%d', '<%0>')}", "a1b2"), R"(["a<1>b<2>",2])");
  EXPECT_EQ(run("return {bytes:gsub('(%a)(%d)', '%2%1', 1)}", "a1b2"), R"(["1ab2",1])");
  EXPECT_EQ(run("return {bytes:gsub('%a', {a = 'x', b = false})}", "abc"), R"(["xbc",3])");
  EXPECT_EQ(run("return {bytes:gsub('%a', function(c) return c:upper() end)}", "abc"),
            R"(["ABC",3])");
  EXPECT_EQ(run("return {('abc'):gsub('', '-')}"), R"(["-a-b-c-",4])");
  EXPECT_EQ(run("return {('aaa'):gsub('^a', '')}"), R"(["aa",1])");
  for (const auto* bad :
       {"('a'):find('[')", "('a'):gsub('a', '%2')", "('a'):gsub('a', function() return {} end)",
        "('a'):gsub('a')", "('a'):gmatch('(')"})
    EXPECT_TRUE(run(std::string{"return "} + bad).starts_with("script_error: line 1: ")) << bad;
}

// ---- what they do not find

TEST(Script, FindsNothingOfTheSystem) {
  for (const auto* name :
       {"os", "io", "debug", "package", "require", "load", "loadstring", "loadfile", "dofile",
        "collectgarbage", "print", "warn", "coroutine", "string.dump", "table.move", "math.random"})
    EXPECT_EQ(run(std::string{"return "} + name), "null") << name;
  EXPECT_EQ(run("local n = {} for k in pairs(_G) do n[#n + 1] = k end table.sort(n) return "
                "table.concat(n, ' ')"),
            "\"_G _VERSION assert base64 crc16 error getmetatable hex ipairs json json_to_raw math "
            "next pairs pcall raw_to_json rawequal rawget "
            "rawlen rawset select setmetatable string table tonumber tostring type "
            "utf8 xpcall\"");
  EXPECT_EQ(run("return {getmetatable(''), pcall(setmetatable, '', {})}").substr(0, 13),
            "[false,false,");
  EXPECT_EQ(run("return getmetatable(json.array())"), "false");
  EXPECT_EQ(run("return {pcall(setmetatable, json.array(), {})}"),
            R"([false,"cannot change a protected metatable"])");
}

TEST(Script, NothingIsLeftForTheNextCall) {
  const auto s = compiled(R"(
    n = (n or 0) + 1
    local kept = 0
    function raw_to_json(bytes)
      kept, n = kept + 1, n + 1
      string.seen, math.pi = (string.seen or 0) + 1, 3
      return {kept = kept, n = n, seen = ("").seen}
    end
    function json_to_raw() return "" end)");
  for (auto i = 0; i < 3; ++i)
    EXPECT_EQ(*raw_to_json(s, ""), R"({"kept":1,"n":2,"seen":1})");
}

TEST(Script, ManyThreadsRunOne) {
  const auto s = compiled(meter);
  auto threads = std::vector<std::thread>{};
  for (auto t = 0; t < 4; ++t)
    threads.emplace_back([&s] {
      for (auto i = 0; i < 200; ++i)
        EXPECT_TRUE(raw_to_json(s, frame));
    });
  for (auto& t : threads)
    t.join();
}

// ---- what they cannot do

TEST(Script, EndlessLoopsEnd) {
  EXPECT_EQ(limited("while true do end"), "script_limit: line 1: more than 2000000 instructions");
  limited("local function f() return f() end return f()");
  limited("for i = 1, math.huge do local x = i * 2 end");
  limited(
      "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) return "
      "pcall(function() while true do local x = t end end)");
  auto report = script_report{};
  const auto s = compiled(body("\nlocal x = 0\nwhile true do\nx = x + 1\nend"));
  EXPECT_FALSE(raw_to_json(s, "", &report));
  EXPECT_GE(*report.line, 3);
  EXPECT_LE(*report.line, 4);
  EXPECT_GT(report.instructions, 1'900'000u);
}

TEST(Script, ErrorsAreCaughtAsInLua) {
  EXPECT_EQ(run("return {pcall(function(a, b) return a + b end, 1, 2)}"), "[true,3]");
  EXPECT_EQ(run("return {pcall(error, 'x', 0)}"), R"([false,"x"])");
  EXPECT_EQ(run("return {xpcall(function(a, b) return b, a end, print or type, 1, 2)}"),
            "[true,2,1]");
  EXPECT_EQ(run("return {xpcall(error, function(e) return e .. '!' end, 'x', 0)}"),
            R"([false,"x!"])");
  EXPECT_TRUE(run("xpcall(error, function() error('again') end, 'x')").ends_with("again"));
}

TEST(Script, NobodyCatchesTheEnd) {
  limited("while true do pcall(function() while true do end end) end");
  limited("local function f() while true do end end while true do xpcall(f, f) end");
  limited("local function again() pcall(again) again() end again()");
  limited(
      "local x <close> = setmetatable({}, {__close = function() while true do end end}) while true "
      "do end");
  limited(
      "local function f() local x <close> = setmetatable({}, {__close = f}) while true do end end "
      "f()");
  limited(
      "xpcall(function() while true do end end, function(e) while true do end end) return "
      "'caught'");
  limited("pcall(function() while true do end end) return 'caught'");
  limited(
      "local ok, why = pcall(function() for i = 1, 1e9 do end end) if not ok then return 'caught' "
      "end");
}

TEST(Script, MemoryHasABound) {
  EXPECT_NE(limited("local s = 'x' while true do s = s .. s end").find("bytes of memory"),
            std::string::npos);
  EXPECT_NE(limited("local t = {} for i = 1, 1e9 do t[i] = {} end").find("bytes of memory"),
            std::string::npos);
  EXPECT_NE(limited("local t = {} while true do t = {t} end").find("bytes of memory"),
            std::string::npos);
  limited("local t = {} for i = 1, 1e9 do t[i] = tostring(i) .. 'abc' end");
  limited("while true do pcall(string.rep, 'x', 3e6) end");
  limited(
      "while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = i .. '' end end) end");
  EXPECT_NE(
      run("return table.pack(bytes:byte(1, -1))", std::string(500'000, 'x')).find("stack overflow"),
      std::string::npos);
  limited("local function f(...) return f(1, ...) end return f()");
  EXPECT_EQ(run("local s for i = 1, 12 do s = ('x'):rep(500000) end return #s", "",
                {.max_time = std::chrono::seconds{20}}),
            "500000");
  auto report = script_report{};
  run("local s = ('x'):rep(500000) return #s", "", {}, &report);
  EXPECT_GT(report.memory_bytes, 500'000u);
  EXPECT_LE(report.memory_bytes, 4u * 1024 * 1024);
}

TEST(Script, CallsHaveADepth) {
  limited("local function f() return 1 + f() end return f()");
  EXPECT_TRUE(
      run("local t = {} for i = 1, 300 do t = setmetatable({}, {__index = t}) end return t.x")
          .starts_with("null"));
  const auto got =
      run("local function f() return pcall(f) end f() return string.gsub('a', 'a', function() "
          "return f() end)");
  EXPECT_FALSE(got.empty());
  EXPECT_NE(
      run("local function f(s) return s:gsub('.', f) end return f('a')").find("C stack overflow"),
      std::string::npos);
  EXPECT_NE(
      run("local t = setmetatable({}, {}) getmetatable(t).__tostring = tostring return tostring(t)")
          .find("C stack overflow"),
      std::string::npos);
  EXPECT_EQ(
      script::compile("x = " + std::string(1000, '{') + std::string(1000, '}')).error().reason,
      "script_error");
  limited("local t = setmetatable({}, {}) getmetatable(t).__call = t return t()");
}

TEST(Script, FunctionsInCPayForTheirWork) {
  EXPECT_EQ(run("return ('').rep('', 1e15)"), R"("")");
  limited("while true do local s = ('x'):rep(1000000) end");
  limited("return (bytes):find('.-.-.-.-.-y')", std::string(5000, 'x'));
  limited("return (bytes):gsub('a*a*a*a*a*b', '')", std::string(5000, 'a'));
  limited("return (bytes):match('(.*)(.*)(.*)%1%2%3y')", std::string(1000, 'a'));
  limited("for w in bytes:gmatch('a-a-a-a-a-b') do end", std::string(5000, 'a'));
  limited("while true do bytes:find('y', 1, true) end", std::string(500'000, 'x'));
  limited("while true do local x = bytes .. 'a' < bytes .. 'b' end", std::string(400'000, 'x'));
  limited("while true do local x = tonumber(bytes) end", std::string(400'000, '1'));
  limited(
      "local t = {} for i = 1, 60000 do t[i] = i end while true do table.insert(t, 1, 0) "
      "table.remove(t, 1) end");
  limited("local t = {} for i = 1, 30000 do t[i] = i % 7 end while true do table.sort(t) end");
  limited(
      "local t, a = {}, bytes .. 'a' for i = 1, 2000 do t[i] = bytes .. (i % 5) end table.sort(t)",
      std::string(1500, 'x'), {.max_instructions = 500'000});
  limited("local t = {} for i = 1, 60000 do t[i] = '' end while true do table.concat(t) end");
  limited("local s = ('a'):rep(200000) .. 'b' while true do bytes:find(s, 1, true) end",
          std::string(500'000, 'a'));
  limited("while true do json.decode(bytes) end", "[" + std::string(200'000, ' ') + "]");
  limited("while true do crc16(bytes) end", std::string(400'000, 'x'));
  EXPECT_TRUE(run("local t = setmetatable({}, {__len = function() return 1e15 // 1 | 0 end}) "
                  "table.insert(t, 1, 1) return #t")
                  .size() > 0);
  EXPECT_TRUE(run("local t = setmetatable({}, {__index = table.concat}) return table.concat(t, '', "
                  "1, 1000000000)")
                  .starts_with("script_error"));
  EXPECT_TRUE(run("table.sort(setmetatable({}, {__len = function() return 1 << 30 end}), rawequal)")
                  .starts_with("script_error"));
}

TEST(Script, ThereAreNoFinalizers) {
  const auto refusal = std::string{"script_error: line 1: there are no finalizers"};
  EXPECT_EQ(run("setmetatable({}, {__gc = function() while true do end end})"), refusal);
  EXPECT_EQ(run("setmetatable({}, {__gc = true})"), refusal);
  EXPECT_EQ(run("local m = {} local t = setmetatable({}, m) m.__gc = function() while true do end "
                "end return setmetatable({}, m)"),
            refusal);
  // Set afterwards it is none, as in Lua itself.
  EXPECT_EQ(run("local m = {} do local t = setmetatable({}, m) end m.__gc = function() while true "
                "do end end "
                "for i = 1, 20000 do local x = {i} end return 'done'"),
            R"("done")");
}

TEST(Script, TimeHasABound) {
  const auto bounds = script_bounds{.max_instructions = ~std::uint64_t{0} / 2,
                                    .max_time = std::chrono::milliseconds{5}};
  EXPECT_EQ(limited("while true do end", "", bounds),
            "script_limit: line 1: more than 5 ms of processor time");
  EXPECT_NE(
      limited("while true do pcall(function() while true do end end) end", "", bounds).find("5 ms"),
      std::string::npos);
  EXPECT_NE(limited("while true do local s = bytes .. 'x' end", std::string(300'000, 'x'), bounds)
                .find("5 ms"),
            std::string::npos);
}

// ---- the cache

TEST(ScriptCache, CompilesATextOnce) {
  auto cache = script_cache{};
  const auto one = std::make_shared<const std::string>(meter);
  const auto first = cache.of("pk", one);
  ASSERT_TRUE(first);
  EXPECT_EQ(*cache.of("pk", one), *first);
  const auto same = std::make_shared<const std::string>(meter);
  EXPECT_NE(*cache.of("pk", same), *first);
  EXPECT_NE(*cache.of("other", one), *first);
  const auto bad = cache.of("pk", std::make_shared<const std::string>("x ="));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().reason, "script_error");
  for (auto i = 0; i < 2000; ++i)
    EXPECT_FALSE(cache.of(std::to_string(i), std::make_shared<const std::string>("")));
  EXPECT_TRUE(cache.of("pk", one));
}

}  // namespace
}  // namespace orrery::transport
