// Which general topics somebody may use: the rules that a product gives its devices, and a key its
// applications.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.hpp"
#include "model/result.hpp"

namespace orrery::model {

struct topic_rule {
  enum class right : std::uint8_t { publish = 0, subscribe = 1, both = 2 } what = right::both;
  /// %pk and %dk stand for the device's keys, %key for the id of an application's key.
  std::string filter;
  bool operator==(const topic_rule&) const = default;
};

inline constexpr std::size_t max_topic_rules = 32, max_rule_bytes = 256;

/// Topics that are nobody's own: those of the device protocol, and what begins with $.
bool is_reserved_topic(std::string_view topic);

/// Fails: `invalid_argument`, with a problem for each rule that is none.
status check_topic_rules(std::span<const topic_rule> rules);

/// Whom rules are for.
struct topic_user {
  device_name device;
  std::string key;
};
/// True if a rule matches the topic, which is not reserved.
bool may_publish(std::span<const topic_rule> rules, const topic_user& who, std::string_view topic);
/// True if one rule matches all that the filter (without its $share) can match.
bool may_subscribe(std::span<const topic_rule> rules, const topic_user& who,
                   std::string_view filter);

}  // namespace orrery::model
