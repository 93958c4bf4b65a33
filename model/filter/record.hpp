// Whether a record is one that a filter asks for. A filter is either true or false of a record,
// there is nothing between:
//   - what the record does not have makes every comparison false, and with it `exists`;
//   - `not` turns what stands behind it round, and `!=` is `not =`: both are true of a record that
//     lacks the field.
// So `tags.site != "A7"` has the devices without that tag, and `exists(tags.site) and tags.site !=
// "A7"` has not. Of several texts, `=`, `in` and `like` are true if they are of one of them, hence
// `!=` if it is none of them. Pure; any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "model/filter/schema.hpp"

namespace orrery::model::filter {

/// What a record has in a field, for as long as the record lives: nothing, or a value.
using datum = std::variant<std::monostate, bool, std::int64_t, double, timestamp, std::string_view,
                           std::span<const std::string>>;

/// What is asked about.
class record {
 public:
  virtual ~record() = default;
  /// `key` of a field whose name is a prefix, else "". A value of another type than the field's
  /// counts as nothing, and so do no texts at all.
  virtual datum value(std::size_t field, std::string_view key) const = 0;

 protected:
  record() = default;
  record(const record&) = default;
  record& operator=(const record&) = default;
};

/// Allocates nothing unless the record does.
bool accepts(const checked_filter& filter, const record& asked);

/// A view of it, for as long as it lives.
datum datum_of(const operand& value);
/// A total order: nothing, truths, numbers, times, texts, several texts; within each its own.
/// Numbers are compared exactly, whatever they are kept as; texts as in folded.hpp.
std::strong_ordering order(const datum& a, const datum& b);

}  // namespace orrery::model::filter
