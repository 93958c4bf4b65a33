#include "model/topic_filter.hpp"

namespace orrery::model {

bool is_topic_name(std::string_view topic) {
  return !topic.empty() && topic.find('+') == std::string_view::npos &&
         topic.find('#') == std::string_view::npos;
}

bool is_topic_filter(std::string_view filter) {
  if (filter.empty())
    return false;
  for (std::size_t i = 0; i < filter.size(); ++i) {
    const auto starts_level = i == 0 || filter[i - 1] == '/';
    const auto ends_level = i + 1 == filter.size() || filter[i + 1] == '/';
    if (filter[i] == '#' && (!starts_level || i + 1 != filter.size()))
      return false;
    if (filter[i] == '+' && (!starts_level || !ends_level))
      return false;
  }
  return true;
}

std::optional<shared_filter> shared_of(std::string_view filter) {
  constexpr std::string_view prefix = "$share/";
  if (!filter.starts_with(prefix))
    return std::nullopt;
  filter.remove_prefix(prefix.size());
  const auto slash = filter.find('/');
  if (slash == std::string_view::npos)
    return shared_filter{filter, {}};
  return shared_filter{filter.substr(0, slash), filter.substr(slash + 1)};
}

bool is_subscription(std::string_view filter) {
  const auto shared = shared_of(filter);
  if (!shared)
    return is_topic_filter(filter);
  return is_topic_name(shared->group) && is_topic_filter(shared->filter);
}

bool filter_matches(std::string_view filter, std::string_view topic) {
  if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')))
    return false;
  for (;;) {
    if (filter == "#")
      return true;
    const auto filter_end = filter.find('/'), topic_end = topic.find('/');
    const auto level = filter.substr(0, filter_end);
    if (level != "+" && level != topic.substr(0, topic_end))
      return false;
    if (topic_end == std::string_view::npos)
      return filter_end == std::string_view::npos || filter.substr(filter_end) == "/#";
    if (filter_end == std::string_view::npos)
      return false;
    filter.remove_prefix(filter_end + 1);
    topic.remove_prefix(topic_end + 1);
  }
}

bool filter_covers(std::string_view wide, std::string_view filter) {
  if (filter.starts_with('$') && (wide.starts_with('+') || wide.starts_with('#')))
    return false;
  for (;;) {
    if (wide == "#")
      return true;
    const auto wide_end = wide.find('/'), filter_end = filter.find('/');
    const auto level = wide.substr(0, wide_end), inner = filter.substr(0, filter_end);
    if (inner == "#" || (level != "+" && level != inner))
      return false;
    if (filter_end == std::string_view::npos)
      return wide_end == std::string_view::npos || wide.substr(wide_end) == "/#";
    if (wide_end == std::string_view::npos)
      return false;
    // "a/#" matches "a" too, which "a/b/#" and "a/+" do not.
    if (filter.substr(filter_end) == "/#")
      return wide.substr(wide_end) == "/#";
    wide.remove_prefix(wide_end + 1);
    filter.remove_prefix(filter_end + 1);
  }
}

}  // namespace orrery::model
