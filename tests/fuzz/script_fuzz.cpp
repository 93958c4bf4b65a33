// Any text as a decoder script, and as the body of its function: it ends within its bounds, with
// what it gives or with a failure that has a reason.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/json.hpp"
#include "transport/script.hpp"

namespace {

using namespace orrery::transport;

constexpr auto bounds = script_bounds{.max_text_bytes = 8192,
                                      .max_memory_bytes = 512 * 1024,
                                      .max_instructions = 50'000,
                                      .max_time = std::chrono::milliseconds{200},
                                      .max_result_bytes = 4096};

void demand(bool true_of_all) {
  if (!true_of_all)
    std::abort();
}

void check(const orrery::model::failure& why) {
  demand(why.reason == "script_error" || why.reason == "script_limit" ||
         why.reason == "script_too_large" || why.reason.starts_with("json_"));
  demand(!why.detail.empty());
}

void run(const std::string& text) {
  auto report = script_report{};
  const auto s = script::compile(text, bounds, &report);
  demand(report.memory_bytes <= bounds.max_memory_bytes);
  if (!s)
    return check(s.error());
  for (const auto* bytes : {"", "\x01\x02temp=21;x"}) {
    const auto json = raw_to_json(*s, bytes, &report);
    demand(report.memory_bytes <= bounds.max_memory_bytes);
    if (json) {
      demand(json->size() <= bounds.max_result_bytes);
      demand(orrery::model::parse_json(*json)->is_object());
    } else {
      check(json.error());
    }
  }
  const auto raw = json_to_raw(*s, R"({"id":"1","params":{"a":[1,2.5,null,"x"]}})");
  if (raw)
    demand(raw->size() <= bounds.max_result_bytes);
  else
    check(raw.error());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = std::string{reinterpret_cast<const char*>(data), size};
  run(text);
  run("local function f(bytes) " + text +
      "\nend function raw_to_json(b) return {r = f(b)} end function json_to_raw(m) return "
      "json.encode(f(m)) end");
  return 0;
}
