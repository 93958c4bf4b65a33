// Tags: short texts by key that people put on things to find them by.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "model/result.hpp"

namespace orrery::model {

using tag_map = std::map<std::string, std::string>;
using tag_changes = std::map<std::string, std::optional<std::string>>;  // nothing takes away

void merge_tags(tag_map& tags, const tag_changes& changes);

/// The tags after a change, if all of it can be kept. Fails: `invalid_argument` "tag_invalid",
/// problems name the keys.
result<tag_map> tags_after(tag_map tags, const tag_changes& changes);

/// The change that makes those tags of none.
inline tag_changes all_tags(const tag_map& tags) {
  return {tags.begin(), tags.end()};
}

}  // namespace orrery::model
