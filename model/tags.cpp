#include "model/tags.hpp"

#include <algorithm>
#include <vector>

namespace orrery::model {
namespace {

constexpr std::size_t max_tags = 100, max_key = 50, max_value = 200;

bool is_tag_key(std::string_view key) {
  return !key.empty() && key.size() <= max_key && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '/';
  });
}

bool is_tag_value(std::string_view v) {
  return v.size() <= max_value && (v.empty() || (v.front() != ' ' && v.back() != ' '));
}

}  // namespace

void merge_tags(tag_map& tags, const tag_changes& changes) {
  for (const auto& [key, v] : changes)
    if (v)
      tags[key] = *v;
    else
      tags.erase(key);
}

result<tag_map> tags_after(tag_map tags, const tag_changes& changes) {
  auto wrong = std::vector<problem>{};
  for (const auto& [key, v] : changes) {
    if (!is_tag_key(key))
      wrong.push_back({key, "tag_invalid", "a tag key is 1 to 50 characters of A-Z a-z 0-9 _ - /"});
    if (v && !is_tag_value(*v))
      wrong.push_back({key, "tag_invalid",
                       "a tag value is at most 200 characters without a blank at either end"});
  }
  if (!wrong.empty())
    return failure{errc::invalid_argument, "tag_invalid", "tags that cannot be kept",
                   std::move(wrong)};
  merge_tags(tags, changes);
  if (tags.size() > max_tags)
    return failure{errc::invalid_argument, "tag_invalid", "there are at most 100 tags"};
  return tags;
}

}  // namespace orrery::model
