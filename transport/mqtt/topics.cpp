#include "transport/mqtt/topics.hpp"

#include <cstdint>
#include <cstring>

namespace orrery::transport::mqtt {

namespace {

/// How many bytes from the front, in steps of eight, are ASCII and not zero.
std::size_t plain_head(std::string_view text) {
  constexpr auto ones = std::uint64_t{0x0101'0101'0101'0101}, tops = ones << 7;
  auto i = std::size_t{0};
  for (; i + 8 <= text.size(); i += 8) {
    auto eight = std::uint64_t{};
    std::memcpy(&eight, text.data() + i, 8);
    // A byte's top bit, or the borrow of a zero one: if there is no top bit, there is no other.
    if (((eight | (eight - ones)) & tops) != 0)
      break;
  }
  return i;
}

}  // namespace

bool is_mqtt_text(std::string_view text) {
  for (auto i = plain_head(text); i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      if (c == 0)
        return false;
      ++i;
      continue;
    }
    const auto length = c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : c >= 0xc2 ? 2u : 0u;
    if (length == 0 || c > 0xf4 || i + length > text.size())
      return false;
    auto point = static_cast<unsigned>(c & (0xff >> (length + 1)));
    for (auto k = 1u; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80)
        return false;
      point = point << 6 | (next & 0x3f);
    }
    if ((length == 3 && point < 0x800) || (length == 4 && point < 0x10000) || point > 0x10ffff ||
        (point >= 0xd800 && point <= 0xdfff))
      return false;
    i += length;
  }
  return true;
}

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

}  // namespace orrery::transport::mqtt
