#include "cluster/topic_index.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "model/topic_filter.hpp"

namespace orrery::cluster {
namespace {

model::entity_id id_of(std::uint8_t number) {
  auto id = model::entity_id{};
  id.ulid[15] = number;
  return id;
}

/// Against a plain list of what was put and not taken away.
TEST(TopicIndex, FindsWhatAPlainListFinds) {
  auto random = std::mt19937{11};
  const auto level = [&] { return std::vector<std::string>{"a", "b", "", "$x"}[random() % 4]; };
  const auto text = [&](bool wild) {
    auto made = std::string{};
    const auto levels = random() % 4 + 1;
    for (std::size_t i = 0; i < levels; ++i) {
      if (i)
        made += '/';
      if (wild && random() % 4 == 0) {
        if (i + 1 == levels && random() % 2)
          return made + '#';
        made += '+';
      } else {
        made += level();
      }
    }
    return made.empty() ? std::string{"a"} : made;
  };
  auto index = topic_index{};
  auto filters = std::set<std::pair<std::string, model::entity_id>>{};
  auto topics = std::map<std::string, model::entity_id>{};
  for (auto step = 0; step < 20'000; ++step) {
    const auto who = id_of(static_cast<std::uint8_t>(random() % 8));
    if (random() % 2 == 0) {
      const auto filter = text(true);
      const auto present = random() % 3 != 0;
      index.put_filter("org", filter, who, present);
      if (present)
        filters.emplace(filter, who);
      else
        filters.erase({filter, who});
    } else {
      const auto topic = text(false);
      const auto present = random() % 3 != 0;
      index.put_retained("org", topic, who, present);
      if (present)
        topics[topic] = who;
      else
        topics.erase(topic);
    }
    if (filters.size() > 60)
      filters.clear(), topics.clear(), index = {};
    const auto topic = text(false), filter = text(true);
    auto expected = std::set<model::entity_id>{};
    for (const auto& [f, id] : filters)
      if (model::filter_matches(f, topic))
        expected.insert(id);
    const auto found = index.listeners("org", topic);
    ASSERT_EQ(std::set<model::entity_id>(found.begin(), found.end()), expected) << topic;
    ASSERT_EQ(found.size(), expected.size());
    auto kept = std::vector<model::entity_id>{};
    for (const auto& [t, id] : topics)
      if (model::filter_matches(filter, t))
        kept.push_back(id);
    ASSERT_EQ(index.retained("org", filter), kept) << filter;
    ASSERT_TRUE(index.listeners("other", topic).empty());
    ASSERT_EQ(index.count_retained("org"), topics.size());
    ASSERT_EQ(index.is_retained("org", topic), topics.contains(topic));
  }
}

}  // namespace
}  // namespace orrery::cluster
