#include "cluster/catalogue_spread.hpp"

#include <algorithm>

#include "observe/log.hpp"

namespace orrery::cluster {

using std::chrono::milliseconds;

void catalogue_spread::hold(const actors::shard_progress& commit, milliseconds now) {
  held_.push_back({commit, now});
}

void catalogue_spread::applied(node_id who, std::uint64_t index) {
  auto& known = applied_[who];
  known = std::max(known, index);
}

std::vector<actors::shard_progress> catalogue_spread::take(const node_set& nodes,
                                                           milliseconds now) {
  auto told = std::vector<actors::shard_progress>{};
  for (; !held_.empty(); held_.pop_front()) {
    const auto& first = held_.front();
    const auto everywhere = std::ranges::all_of(nodes, [&](node_id who) {
      const auto known = applied_.find(who);
      return known != applied_.end() && known->second >= first.what.offset;
    });
    if (!everywhere && now < first.since + patience_)
      break;
    if (!everywhere)
      observe::log::warn("cluster", "change_not_everywhere", {{"offset", first.what.offset}});
    told.push_back(first.what);
  }
  return told;
}

std::vector<actors::shard_progress> catalogue_spread::take_all() {
  auto told = std::vector<actors::shard_progress>{};
  for (const auto& h : held_)
    told.push_back(h.what);
  held_.clear();
  return told;
}

}  // namespace orrery::cluster
