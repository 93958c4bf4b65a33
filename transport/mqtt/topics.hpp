// Texts, topic names and topic filters of MQTT: what is one, and which filter matches which topic.
#pragma once

#include <optional>
#include <string_view>

namespace orrery::transport::mqtt {

/// UTF-8 as MQTT wants it (3.1.1 and 5.0: 1.5.3, 1.5.4): no surrogates, no U+0000, no overlong
/// forms.
bool is_mqtt_text(std::string_view text);
bool is_topic_name(std::string_view topic);
bool is_topic_filter(std::string_view filter);
/// 4.7: + one level, # the rest; wildcards at the front do not match topics that begin with $.
bool filter_matches(std::string_view filter, std::string_view topic);

/// $share/group/filter (5.0, 4.8.2), taken apart.
struct shared_filter {
  std::string_view group, filter;  // empty where there is none
};
/// Nothing: not one that begins with $share/.
std::optional<shared_filter> shared_of(std::string_view filter);
/// What a SUBSCRIBE of version 5.0 may name: a filter, or a group and a filter.
bool is_subscription(std::string_view filter);

}  // namespace orrery::transport::mqtt
