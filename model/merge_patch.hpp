// JSON documents that are changed by merge patches (RFC 7396), and what one lacks of another.
#pragma once

#include <cstddef>

#include "model/value.hpp"

namespace orrery::model {

/// `target` with `patch` merged into it (RFC 7396, 2): members that are null in the patch are taken
/// away. Members of objects that were merged are in the order of their names.
value merge_patch(const value& target, const value& patch);

/// Whether both say the same: members have no order, and 5 is 5.0.
bool says_the_same(const value& a, const value& b);

/// The members of `wanted` that `has` lacks, or has otherwise; looks into objects that both have.
/// It is empty if merging `wanted` into `has` changes nothing, and merged into `has` does as much.
/// Requires: no null in `wanted` but inside arrays.
object missing_from(const object& has, const object& wanted);

/// How deep containers are inside each other: 0 for what is none, 1 for [] and {}.
std::size_t depth_of(const value& v);

}  // namespace orrery::model
