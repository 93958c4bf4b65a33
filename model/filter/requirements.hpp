// What an index can do for a filter: which values of indexed fields the records must have that it
// accepts. A reader of indexes takes the requirement that looks cheapest, reads what its spans
// name, and asks `accepts` about each record that it finds. Pure; any thread.
//
// How an index has to keep a value, so that a span is a run of its rows:
//   - truths, numbers and times in their order, apart from each other where a field may have any;
//   - texts by their folded form ("model/filter/folded.hpp") first and by their bytes then: so a
//     prefix is a run, and a range too; whoever keeps the folded form alone takes bounds as
//     included;
//   - each of several texts as a row of its own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/filter/record.hpp"
#include "model/filter/schema.hpp"

namespace orrery::model::filter {

struct bound {
  operand value;
  bool included = true;
  bool operator==(const bound&) const = default;
};

/// Values of one field.
struct span {
  enum class kind : unsigned char { values, range, prefix };
  field_place where;
  kind what = kind::values;
  std::vector<operand> values;     // of values: in order, none twice
  std::optional<bound> low, high;  // of range, in the type of its bounds; none: whatever is there
  std::string prefix;              // of the folded text
  bool operator==(const span&) const = default;
};

/// Every record that the filter accepts has a value in one of these at least.
struct requirement {
  std::vector<span> any_of;
  bool operator==(const requirement&) const = default;
};

/// Of an alternative in a requirement: spans, and values in all of them. What needs more is left
/// out.
inline constexpr std::size_t max_spans = 32;
inline constexpr std::size_t max_span_values = 1000;

/// One for each condition that all accepted records fulfil and that an index knows (=, in, a range,
/// exists, a like that fixes how the text begins), ranges of one field joined; and one for each
/// `or` whose every side has one, with the narrowest of each. In the order of the filter; none:
/// read all.
std::vector<requirement> requirements(const checked_filter& filter, const schema& fields);

}  // namespace orrery::model::filter
