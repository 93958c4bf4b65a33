// Any text as a filter, as a pattern and as lists of fields: what is read can be written and is
// read as the same; what was checked can be asked and taken apart.
#include <cstdint>
#include <cstdlib>
#include <random>

#include "model/filter/projection.hpp"
#include "model/filter/requirements.hpp"
#include "model/filter/sorting.hpp"
#include "tests/model/filter/random_filter.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace filter = orrery::model::filter;
  static const auto fields = filter::small_schema();
  static const auto records = [] {
    auto random = std::mt19937{1};
    auto all = std::vector<filter::small_record>{};
    for (auto i = 0; i < 8; ++i)
      all.push_back(filter::random_record(random));
    return all;
  }();
  const auto text = std::string_view{reinterpret_cast<const char*>(data), size};
  if (const auto e = filter::parse(text)) {
    const auto written = filter::print(*e);
    auto wide = filter::expression_limits{};
    wide.max_bytes = ~std::size_t{0};
    const auto again = filter::parse(written, wide);
    if (!again || !(*again == *e) || filter::print(*again) != written)
      std::abort();
    if (const auto checked = filter::check(*e, fields)) {
      const auto opposite = filter::check({filter::expression::kind::none, {}, {*e}}, fields);
      for (const auto& r : records)
        if (filter::accepts(*checked, r) == filter::accepts(*opposite, r))
          std::abort();
      for (const auto& r : filter::requirements(*checked, fields))
        if (r.any_of.empty() || r.any_of.size() > filter::max_spans)
          std::abort();
    }
  }
  const auto pattern = filter::pattern{text};
  if (text.find_first_of("%\\") == std::string_view::npos && !pattern.matches(text))
    std::abort();
  (void)filter::parse_sort(text, fields);
  (void)filter::projection::parse(text);
  return 0;
}
