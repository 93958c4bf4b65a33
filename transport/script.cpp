#include "transport/script.hpp"

#include <charconv>
#include <lua5.4/lua.hpp>

#include "model/json.hpp"
#include "transport/script_library.hpp"
#include "transport/script_meter.hpp"

namespace orrery::transport {

using model::errc;
using model::failure;

namespace {

constexpr auto chunk_name = "=script";
constexpr auto chunk_prefix = std::string_view{"script:"};

/// A function of a script, by our name or the vendor's.
struct function_names {
  const char *ours, *vendors;
};
constexpr auto decoder = function_names{"raw_to_json", "rawDataToJsonStr"};
constexpr auto encoder = function_names{"json_to_raw", "jsonStrToRawData"};

/// Text of a script's for people: what is no UTF-8 or would end a line of a log is replaced.
std::string readable(std::string_view text) {
  constexpr std::size_t longest = 500;
  auto out = std::string{text.substr(0, longest)};
  auto quoted = std::string{};
  model::write_json_string(out, quoted);
  const auto is_utf8 = model::parse_json(quoted).has_value();
  for (auto& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || (!is_utf8 && static_cast<unsigned char>(c) > 0x7e))
      c = '?';
  return out;
}

/// Notes the line that an error came from.
int note_error(lua_State* lua) {
  auto& meter = script_meter::of(lua);
  auto where = lua_Debug{};
  for (auto level = 0; lua_getstack(lua, level, &where) != 0; ++level)
    if (lua_getinfo(lua, "l", &where) != 0 && where.currentline > 0) {
      meter.note_line(where.currentline);
      break;
    }
  return 1;
}

}  // namespace

/// One Lua state from its beginning to its end.
class script_run {
 public:
  explicit script_run(const script_bounds& bounds) : meter_{bounds}, lua_{meter_.make_state()} {}
  script_run(const script_run&) = delete;
  script_run& operator=(const script_run&) = delete;
  ~script_run() {
    if (lua_)
      lua_close(lua_);
  }

  model::result<script> compile(std::string_view text) {
    text_ = text;
    if (auto ok = protect<&script_run::do_compile>(); !ok)
      return ok.error();
    return script{std::move(code_), meter_.bounds()};
  }

  model::result<std::string> decode(const script& s, std::string_view bytes) {
    compiled_ = &s;
    text_ = bytes;
    if (auto ok = protect<&script_run::do_decode>(); !ok)
      return ok.error();
    return std::move(result_);
  }

  model::result<std::string> encode(const script& s, std::string_view json) {
    const auto parsed = model::parse_json(json);
    if (!parsed)
      return parsed.error();
    compiled_ = &s;
    text_ = json;
    json_ = &*parsed;
    if (auto ok = protect<&script_run::do_encode>(); !ok)
      return ok.error();
    return std::move(result_);
  }

  void report(script_report* to) const {
    if (to)
      *to = {meter_.instructions(), meter_.peak(), failed_ ? meter_.line() : std::nullopt};
  }

 private:
  // Run under Lua's protection: what is raised in them ends them.

  void do_compile() {
    open_script_library(lua_);
    if (luaL_loadbufferx(lua_, text_.data(), text_.size(), chunk_name, "t") != LUA_OK)
      lua_error(lua_);
    lua_dump(lua_, append, &code_, 0);
    lua_call(lua_, 0, 0);
    for (const auto& names : {decoder, encoder}) {
      push_function(names);
      lua_pop(lua_, 1);
    }
  }

  void define() {
    open_script_library(lua_);
    const auto& code = compiled_->code_;
    if (luaL_loadbufferx(lua_, code.data(), code.size(), chunk_name, "b") != LUA_OK)
      lua_error(lua_);
    lua_call(lua_, 0, 0);
  }

  void do_decode() {
    define();
    push_function(decoder);
    lua_pushlstring(lua_, text_.data(), text_.size());
    lua_call(lua_, 1, 1);
    if (lua_type(lua_, -1) == LUA_TTABLE)
      model::write_json(value_at(lua_, -1), result_);
    else
      take_text(decoder);
    check_size(decoder);
    const auto parsed = model::parse_json(result_);
    if (!parsed || !parsed->is_object())
      refuse(std::string{decoder.ours} + " gave no JSON object" +
             (parsed ? "" : ": " + parsed.error().detail));
  }

  void do_encode() {
    define();
    if (push_function(encoder))
      push_value(lua_, *json_);
    else
      lua_pushlstring(lua_, text_.data(), text_.size());
    lua_call(lua_, 1, 1);
    take_text(encoder);
    check_size(encoder);
  }

  /// True if it is the one with our name.
  bool push_function(const function_names& names) {
    if (lua_getglobal(lua_, names.ours) == LUA_TFUNCTION)
      return true;
    lua_pop(lua_, 1);
    if (lua_getglobal(lua_, names.vendors) != LUA_TFUNCTION)
      refuse(std::string{"defines no function "} + names.ours);
    return false;
  }

  void take_text(const function_names& names) {
    if (lua_type(lua_, -1) != LUA_TSTRING)
      refuse(std::string{names.ours} + " gave a value of type " + luaL_typename(lua_, -1));
    auto size = std::size_t{0};
    const auto* text = lua_tolstring(lua_, -1, &size);
    if (size <= meter_.bounds().max_result_bytes)
      result_.assign(text, size);
    else
      too_large_ = true;
  }

  void check_size(const function_names& names) {
    if (too_large_ || result_.size() > meter_.bounds().max_result_bytes) {
      too_large_ = true;
      refuse(std::string{names.ours} + " gave more than " +
             std::to_string(meter_.bounds().max_result_bytes) + " bytes");
    }
  }

  void refuse(const std::string& why) {
    lua_pushlstring(lua_, why.data(), why.size());
    lua_error(lua_);
  }

  static int append(lua_State*, const void* bytes, std::size_t size, void* to) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
    return 0;
  }

  template <void (script_run::*Work)()>
  static int work(lua_State* lua) {
    (static_cast<script_run*>(lua_touserdata(lua, 1))->*Work)();
    return 0;
  }

  template <void (script_run::*Work)()>
  model::status protect() {
    if (!lua_)
      return limit("no memory for it");
    lua_pushcfunction(lua_, note_error);
    lua_pushcfunction(lua_, work<Work>);
    lua_pushlightuserdata(lua_, this);
    const auto ended = lua_pcall(lua_, 1, 0, 1);
    failed_ = ended != LUA_OK || meter_.passed() != script_meter::bound::none;
    if (!failed_)
      return {};
    auto why = std::string{"it failed"};
    if (lua_type(lua_, -1) == LUA_TSTRING)
      why = readable(lua_tostring(lua_, -1));
    else if (ended != LUA_OK)
      why = std::string{"error with a value of type "} + luaL_typename(lua_, -1);
    return explain(ended, std::move(why));
  }

  failure explain(int ended, std::string why) {
    // "script:12: what": the line of where it was raised, if it is not known better.
    if (why.starts_with(chunk_prefix)) {
      const auto* const first = why.data() + chunk_prefix.size();
      const auto* const last = why.data() + why.size();
      auto line = 0;
      if (const auto [end, bad] = std::from_chars(first, last, line);
          bad == std::errc{} && end != last && *end == ':') {
        meter_.note_line(line);
        why.erase(0, static_cast<std::size_t>(end - why.data()) + (end + 1 != last ? 2 : 1));
      }
    }
    switch (meter_.passed()) {
      case script_meter::bound::none:
        break;
      case script_meter::bound::instructions:
        return limit("more than " + std::to_string(meter_.bounds().max_instructions) +
                     " instructions");
      case script_meter::bound::time:
        return limit("more than " + std::to_string(meter_.bounds().max_time.count() / 1000) +
                     " ms of processor time");
      case script_meter::bound::memory:
        return limit_of_memory();
    }
    if (ended == LUA_ERRMEM)
      return limit_of_memory();
    if (too_large_)
      return limit(why);
    return {errc::invalid_argument, "script_error", place() + why};
  }

  failure limit_of_memory() const {
    return limit("more than " + std::to_string(meter_.bounds().max_memory_bytes) +
                 " bytes of memory, or a quarter of that in one piece");
  }
  failure limit(const std::string& what) const {
    return {errc::invalid_argument, "script_limit", place() + what};
  }
  std::string place() const {
    return meter_.line() ? "line " + std::to_string(*meter_.line()) + ": " : std::string{};
  }

  script_meter meter_;
  lua_State* const lua_;
  const script* compiled_ = nullptr;
  std::string_view text_;
  const model::value* json_ = nullptr;
  std::string code_, result_;
  bool too_large_ = false, failed_ = false;
};

model::result<script> script::compile(std::string_view text, const script_bounds& bounds,
                                      script_report* report) {
  if (text.size() > bounds.max_text_bytes)
    return failure{errc::too_large, "script_too_large",
                   "a script has at most " + std::to_string(bounds.max_text_bytes) + " bytes"};
  auto run = script_run{bounds};
  auto out = run.compile(text);
  run.report(report);
  return out;
}

model::result<std::string> raw_to_json(const script& s, std::string_view bytes,
                                       script_report* report) {
  auto run = script_run{s.bounds()};
  auto out = run.decode(s, bytes);
  run.report(report);
  return out;
}

model::result<std::string> json_to_raw(const script& s, std::string_view json,
                                       script_report* report) {
  auto run = script_run{s.bounds()};
  auto out = run.encode(s, json);
  run.report(report);
  return out;
}

model::result<std::shared_ptr<const script>> script_cache::of(
    const std::string& product_key, const std::shared_ptr<const std::string>& text) {
  {
    const auto hold = std::lock_guard{mutex_};
    const auto found = known_.find(product_key);
    if (found != known_.end() && found->second.text.lock() == text)
      return found->second.compiled;
  }
  auto made = script::compile(*text, bounds_);  // not under the lock: it may take milliseconds
  auto e = entry{text,
                 made ? model::result<std::shared_ptr<const script>>{std::make_shared<const script>(
                            std::move(*made))}
                      : made.error()};
  const auto hold = std::lock_guard{mutex_};
  if (known_.size() >= max_scripts) {
    std::erase_if(known_, [](const auto& k) { return k.second.text.expired(); });
    if (known_.size() >= max_scripts)
      known_.clear();
  }
  return known_.insert_or_assign(product_key, std::move(e)).first->second.compiled;
}

}  // namespace orrery::transport
