#include "model/topic_rule.hpp"

#include <algorithm>

#include "model/topic_filter.hpp"

namespace orrery::model {
namespace {

void replace(std::string& text, std::string_view what, std::string_view with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

std::string filter_for(const topic_rule& rule, const topic_user& who) {
  auto filter = rule.filter;
  replace(filter, "%pk", who.device.product_key);
  replace(filter, "%dk", who.device.device_key);
  replace(filter, "%key", who.key);
  return filter;
}

/// A placeholder that stands for nothing here: the rule is not for such a one.
bool is_for(const topic_rule& rule, const topic_user& who) {
  const auto names = [&](std::string_view part) {
    return rule.filter.find(part) != std::string::npos;
  };
  return !(who.key.empty() && names("%key")) &&
         !(who.device.device_key.empty() && (names("%pk") || names("%dk")));
}

template <class F>
bool allows(std::span<const topic_rule> rules, const topic_user& who, topic_rule::right what,
            F fits) {
  return std::any_of(rules.begin(), rules.end(), [&](const topic_rule& r) {
    return (r.what == what || r.what == topic_rule::right::both) && is_for(r, who) &&
           fits(filter_for(r, who));
  });
}

}  // namespace

bool is_reserved_topic(std::string_view topic) {
  if (topic.starts_with('$'))
    return true;
  if (topic.starts_with('/'))
    topic.remove_prefix(1);
  const auto first = topic.substr(0, topic.find('/'));
  return first == "sys" || first == "ext" || first == "ota";
}

status check_topic_rules(std::span<const topic_rule> rules) {
  if (rules.size() > max_topic_rules)
    return failure{errc::invalid_argument, "too_many_rules",
                   "at most " + std::to_string(max_topic_rules) + " rules"};
  auto problems = std::vector<problem>{};
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const auto& filter = rules[i].filter;
    if (filter.size() > max_rule_bytes || !is_topic_filter(filter) || is_reserved_topic(filter))
      problems.push_back({"/topics/" + std::to_string(i), "topic_rule_invalid",
                          "a topic filter of at most " + std::to_string(max_rule_bytes) +
                              " bytes that does not begin with $, /sys, /ext or /ota"});
  }
  if (!problems.empty())
    return failure{errc::invalid_argument, "topic_rule_invalid", "these are no rules for topics",
                   std::move(problems)};
  return {};
}

bool may_publish(std::span<const topic_rule> rules, const topic_user& who, std::string_view topic) {
  return !is_reserved_topic(topic) &&
         allows(rules, who, topic_rule::right::publish,
                [&](const std::string& filter) { return filter_matches(filter, topic); });
}

bool may_subscribe(std::span<const topic_rule> rules, const topic_user& who,
                   std::string_view filter) {
  if (const auto shared = shared_of(filter))
    filter = shared->filter;
  return allows(rules, who, topic_rule::right::subscribe,
                [&](const std::string& wide) { return filter_covers(wide, filter); });
}

}  // namespace orrery::model
