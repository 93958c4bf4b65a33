// Any bytes as a table: what is read lies within the limits, and written again it reads the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "transport/api/csv.hpp"

namespace {

void demand(bool holds) {
  if (!holds)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace orrery::transport::api;
  const auto limits = csv_limits{.rows = 20, .columns = 5, .field_bytes = 200};
  const auto rows = read_csv({reinterpret_cast<const char*>(data), size}, limits);
  if (!rows)
    return 0;
  demand(rows->size() <= limits.rows);
  auto text = std::string{};
  for (const auto& row : *rows) {
    demand(!row.empty() && row.size() <= limits.columns);
    for (const auto& field : row)
      demand(field.size() <= limits.field_bytes);
    write_csv(text, row);
  }
  const auto again = read_csv(text, {.rows = 20, .columns = 5, .field_bytes = 400});
  demand(again.has_value());
  auto twice = std::string{};
  for (const auto& row : *again)
    write_csv(twice, row);
  demand(twice == text);
  return 0;
}
