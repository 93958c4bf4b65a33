// What an index keeps of a value, and which runs of an index a filter reads. The bytes sort as the
// values do: truths, numbers and times in their order and apart from each other, texts by their
// folded form. What an index cannot tell apart the reader has to look at: a run that is not `exact`
// may name records that do not have what was asked for, but it leaves nobody out. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/filter/record.hpp"
#include "model/filter/requirements.hpp"

namespace orrery::model::filter {

/// Bytes of a folded text that an index tells apart; longer ones are cut there.
inline constexpr std::size_t max_index_text = 100;

/// Empty for nothing and for several texts: each of those is a value of its own.
std::string index_value(const datum& of);
/// The value that was kept; nothing for a text that was cut, for a number that another may share
/// its bytes with, and for bytes that are no value.
std::optional<operand> from_index_value(std::string_view bytes);

/// Values from `from` on, up to `to`, which is not in it; "" for `to`: to the last.
struct index_run {
  std::string from, to;
  bool exact = true;
  /// All in it are the same bytes.
  bool is_one() const { return to.size() == from.size() + 1 && to.starts_with(from); }
  bool has(std::string_view value) const { return value >= from && !is_past(value); }
  /// Behind the last: so is what follows it in the index.
  bool is_past(std::string_view value) const { return !to.empty() && value >= to; }
  bool operator==(const index_run&) const = default;
};

/// In order, none twice.
std::vector<index_run> runs_of(const span& s);

}  // namespace orrery::model::filter
