#include "cluster/primary_duties.hpp"

#include "cluster/in_sync.hpp"

namespace orrery::cluster {
namespace {

using std::chrono::milliseconds;

constexpr auto ask_again_after = milliseconds{1000};

/// It has said nothing that counts for too long, or cannot.
bool is_silent(const primary_view& of, node_id who, milliseconds silence, milliseconds now) {
  if (now > of.followers.at(who).moved + silence)
    return true;
  if (of.nodes.linked.contains(who))
    return false;
  const auto since = of.nodes.unlinked_since.find(who);
  return !of.nodes.registered.contains(who) ||
         (since != of.nodes.unlinked_since.end() && now > since->second + silence);
}

}  // namespace

void note_matched(follower_view& f, std::uint64_t matched, std::uint64_t last, milliseconds now) {
  if (matched == f.matched && matched < last && f.moved != milliseconds{0})
    return;
  f.matched = matched;
  f.moved = now;
  if (matched >= last)
    f.unacknowledged_bytes = 0;
}

std::vector<in_sync_change> in_sync_changes(const primary_view& of, std::size_t catalogue_factor,
                                            milliseconds silence, milliseconds now) {
  const auto is_wanted = [&](node_id who) {
    return is_to_be_in_sync(of.shard, of.record, catalogue_factor, of.nodes.leaving, who);
  };
  auto all = std::vector<in_sync_change>{};
  for (const auto who : of.record.replicas) {
    if (who == of.self)
      continue;
    if (of.record.in_sync.contains(who)) {
      if (is_silent(of, who, silence, now))
        all.push_back({who, false});
    } else if (of.nodes.is_there(who) && is_wanted(who)) {
      all.push_back({who, true});
    }
  }
  for (const auto who : of.record.in_sync)
    if (who != of.self && !is_wanted(who))
      all.push_back({who, false});
  return all;
}

reminder reminder_for(const primary_view& of, node_id who, milliseconds now) {
  const auto& f = of.followers.at(who);
  if (!of.nodes.linked.contains(who) || now <= f.asked + ask_again_after)
    return reminder::none;
  const auto stands_still = f.matched < of.last && now > f.moved + ask_again_after;
  return stands_still || !of.record.in_sync.contains(who) ? reminder::everything : reminder::news;
}

std::optional<node_id> successor(const primary_view& of, bool any) {
  const auto may = [&](node_id who) {
    return who != of.self && of.record.in_sync.contains(who) && of.nodes.is_there(who) &&
           !of.nodes.stopping.contains(who);
  };
  if (of.record.preferred && may(*of.record.preferred))
    return of.record.preferred;
  if (any)
    for (const auto who : of.record.in_sync)
      if (may(who))
        return who;
  return std::nullopt;
}

}  // namespace orrery::cluster
