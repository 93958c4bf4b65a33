#include "model/operation/outcomes.hpp"

#include "model/operation/fields.hpp"

namespace orrery::model::operation {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::string_view names[] = {"created", "updated", "unchanged",
                                      "valid",   "deleted", "failed"};

}  // namespace

constexpr auto range_of(row_status) {
  return std::pair{row_status::created, row_status::failed};
}
template <field_of<row_outcome> X>
auto fields_of(X& x) {
  return std::tie(x.index, x.product_key, x.device_key, x.status, x.id, x.code, x.detail,
                  x.has_secret);
}

std::string_view name_of(row_status s) {
  return names[static_cast<std::size_t>(s)];
}

row_counts counts_of(const std::vector<row_outcome>& rows) {
  auto n = row_counts{};
  for (const auto& r : rows)
    if (r.status == row_status::failed)
      ++n.failed;
    else if (r.status == row_status::unchanged)
      ++n.skipped;
    else
      ++n.ok;
  return n;
}

std::string encode_outcomes(const std::vector<row_outcome>& rows) {
  return write_versioned(version, rows);
}

result<std::vector<row_outcome>> decode_outcomes(std::string_view bytes) {
  auto rows = std::vector<row_outcome>{};
  if (!read_versioned(version, bytes, rows))
    return failure{errc::corrupted, "outcomes of an operation do not decode"};
  return rows;
}

}  // namespace orrery::model::operation
