// Topic names and topic filters as MQTT has them (3.1.1 and 5.0, 4.7): what is one, which filter
// matches which topic, and which filter matches all that another one matches.
#pragma once

#include <optional>
#include <string_view>

namespace orrery::model {

bool is_topic_name(std::string_view topic);
bool is_topic_filter(std::string_view filter);
/// 4.7: + one level, # the rest; wildcards at the front do not match topics that begin with $.
bool filter_matches(std::string_view filter, std::string_view topic);
/// True if every topic that `filter` matches is matched by `wide` too.
bool filter_covers(std::string_view wide, std::string_view filter);

/// $share/group/filter (5.0, 4.8.2), taken apart.
struct shared_filter {
  std::string_view group, filter;  // empty where there is none
};
/// Nothing: not one that begins with $share/.
std::optional<shared_filter> shared_of(std::string_view filter);
/// What a SUBSCRIBE of version 5.0 may name: a filter, or a group and a filter.
bool is_subscription(std::string_view filter);

}  // namespace orrery::model
