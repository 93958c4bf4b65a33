// Any text to the JSON reader: what it takes it can write, and reads what it wrote as the same.
#include <cstdint>
#include <cstdlib>

#include "model/json.hpp"
#include "model/thing_model.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace model = orrery::model;
  const auto text = std::string_view{reinterpret_cast<const char*>(data), size};
  for (const auto& limits : {model::json_limits{}, model::json_limits{256, 4, 20}}) {
    const auto v = model::parse_json(text, limits);
    if (!v)
      continue;
    const auto written = model::to_json(*v);
    const auto again = model::parse_json(written, {.max_bytes = ~std::size_t{0}});
    if (!again || !(*again == *v) || model::to_json(*again) != written)
      std::abort();
    (void)model::normalise_time(*v);
    (void)model::thing_model::compile(*v);
  }
  return 0;
}
