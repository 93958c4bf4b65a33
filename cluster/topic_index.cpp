#include "cluster/topic_index.hpp"

#include "model/topic_filter.hpp"

namespace orrery::cluster {
namespace {

struct split {
  std::string_view level, rest;
  bool last;
};
split first_level(std::string_view text) {
  const auto end = text.find('/');
  if (end == std::string_view::npos)
    return {text, {}, true};
  return {text.substr(0, end), text.substr(end + 1), false};
}

}  // namespace

void filter_tree::add(std::string_view filter, const model::entity_id& who) {
  auto* at = &root_;
  for (auto rest = filter;;) {
    const auto part = first_level(rest);
    auto place = at->below.find(part.level);
    if (place == at->below.end())
      place = at->below.emplace(std::string{part.level}, std::make_unique<node>()).first;
    at = place->second.get();
    if (part.last)
      break;
    rest = part.rest;
  }
  at->here.insert(who);
}

/// True if nothing is left of that part of the tree.
bool filter_tree::take(node& at, std::string_view rest, const model::entity_id& who) {
  const auto part = first_level(rest);
  const auto place = at.below.find(part.level);
  if (place == at.below.end())
    return false;
  auto& below = *place->second;
  if (part.last)
    below.here.erase(who);
  else
    take(below, part.rest, who);
  if (below.empty())
    at.below.erase(place);
  return at.empty();
}

void filter_tree::remove(std::string_view filter, const model::entity_id& who) {
  take(root_, filter, who);
}

void filter_tree::find(const node& at, std::string_view rest, bool first,
                       std::set<model::entity_id>& out) {
  const auto part = first_level(rest);
  const auto wildcards = !first || !part.level.starts_with('$');
  const auto all = at.below.find(std::string_view{"#"});
  if (wildcards && all != at.below.end())
    out.insert(all->second->here.begin(), all->second->here.end());
  const auto follow = [&](std::string_view level) {
    const auto place = at.below.find(level);
    if (place == at.below.end())
      return;
    const auto& below = *place->second;
    if (!part.last)
      return find(below, part.rest, false, out);
    out.insert(below.here.begin(), below.here.end());
    // "a/#" matches "a" too.
    if (const auto rest_of = below.below.find(std::string_view{"#"}); rest_of != below.below.end())
      out.insert(rest_of->second->here.begin(), rest_of->second->here.end());
  };
  follow(part.level);
  if (wildcards && part.level != "+")
    follow("+");
}

std::vector<model::entity_id> filter_tree::matches(std::string_view topic) const {
  auto found = std::set<model::entity_id>{};
  find(root_, topic, true, found);
  return {found.begin(), found.end()};
}

void topic_index::put_filter(const std::string& organisation, std::string_view filter,
                             const model::entity_id& who, bool present) {
  if (present) {
    spaces_[organisation].filters.add(filter, who);
    return;
  }
  const auto at = spaces_.find(organisation);
  if (at == spaces_.end())
    return;
  at->second.filters.remove(filter, who);
  if (at->second.filters.empty() && at->second.topics.empty())
    spaces_.erase(at);
}

void topic_index::put_retained(const std::string& organisation, std::string_view topic,
                               const model::entity_id& id, bool present) {
  if (present) {
    spaces_[organisation].topics.insert_or_assign(std::string{topic}, id);
    return;
  }
  const auto at = spaces_.find(organisation);
  if (at == spaces_.end())
    return;
  if (const auto known = at->second.topics.find(topic); known != at->second.topics.end())
    at->second.topics.erase(known);
  if (at->second.filters.empty() && at->second.topics.empty())
    spaces_.erase(at);
}

std::vector<model::entity_id> topic_index::listeners(const std::string& organisation,
                                                     std::string_view topic) const {
  const auto at = spaces_.find(organisation);
  return at == spaces_.end() ? std::vector<model::entity_id>{} : at->second.filters.matches(topic);
}

bool topic_index::is_retained(const std::string& organisation, std::string_view topic) const {
  const auto at = spaces_.find(organisation);
  return at != spaces_.end() && at->second.topics.find(topic) != at->second.topics.end();
}

std::size_t topic_index::count_retained(const std::string& organisation) const {
  const auto at = spaces_.find(organisation);
  return at == spaces_.end() ? 0 : at->second.topics.size();
}

std::vector<model::entity_id> topic_index::retained(const std::string& organisation,
                                                    std::string_view filter) const {
  auto found = std::vector<model::entity_id>{};
  const auto at = spaces_.find(organisation);
  if (at == spaces_.end())
    return found;
  // All that match begin with what stands before the first wildcard, without its last slash.
  auto front = filter.substr(0, filter.find_first_of("+#"));
  if (front.size() < filter.size() && front.ends_with('/'))
    front.remove_suffix(1);
  const auto& topics = at->second.topics;
  for (auto t = topics.lower_bound(front); t != topics.end() && t->first.starts_with(front); ++t)
    if (model::filter_matches(filter, t->first))
      found.push_back(t->second);
  return found;
}

}  // namespace orrery::cluster
