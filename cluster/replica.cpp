#include "cluster/replica.hpp"

#include <algorithm>
#include <utility>

namespace orrery::cluster {

replica::replica(node_id self, options wanted, kept found)
    : self_{self},
      options_{wanted},
      whole_{found.whole && !found.restored},
      restored_{found.restored},
      epoch_{found.log.last().epoch},
      led_{found.led},
      log_{std::move(found.log)},
      written_{log_.last().index},
      synced_{log_.last().index},
      commit_{std::max(found.commit, log_.begin().index)} {}

std::vector<action> replica::take_actions() {
  return std::exchange(actions_, {});
}

bool replica::syncs() const {
  return options_.sync ||
         std::any_of(configs_.begin(), configs_.end(), [](const auto& c) { return c.size() == 1; });
}

bool replica::is_enough() const {
  return std::all_of(configs_.begin(), configs_.end(),
                     [&](const auto& c) { return c.size() >= options_.min_in_sync; });
}

node_set replica::in_force() const {
  auto all = node_set{};
  for (const auto& c : configs_)
    all.insert(c.begin(), c.end());
  return all;
}

std::uint64_t replica::own_position() const {
  return syncs() ? synced_ : written_;
}

std::uint64_t replica::matched(node_id who) const {
  if (who == self_)
    return own_position();
  const auto found = followers_.find(who);
  return found == followers_.end() ? 0 : found->second.matched;
}

// ---- roles --------------------------------------------------------------------------------------

void replica::registered(incarnation_id own, const shard_record& now) {
  incarnation_ = std::max(incarnation_, own);
  consider(now);
}

void replica::lapsed() {
  step_down(epoch_);
  joined_ = false;
  version_ = 0;
}

void replica::record_read(const shard_record& now) {
  if (joined_)
    consider(now);
}

void replica::proposal_decided(std::uint64_t on, const shard_record& now) {
  if (open_ && open_->what.wanted.version == on) {
    open_.reset();
    if (leads_ && now.primary == self_ && now.epoch == epoch_) {
      configs_ = {now.in_sync};
      record_ = now;
      follow_replicas();
    }
  }
  consider(now);
}

void replica::propose_again() {
  if (open_ && open_->sync_first <= synced_)
    actions_.emplace_back(propose{open_->what});
}

void replica::primary_gone(const shard_record& now) {
  if (!joined_ || leads_ || !now.in_sync.contains(self_) || now.primary == self_)
    return;
  if (now.in_sync.size() == 1 && synced_ < log_.last().index)
    // Chosen by an operator: first all that others will take from here is on the disk itself.
    return append(log_.last().index, {}, true);
  auto p = proposal{.wanted = now, .registered = {{self_, incarnation_}}, .gone = now.primary};
  p.wanted.primary = self_;
  ++p.wanted.epoch;
  actions_.emplace_back(propose{std::move(p)});
}

void replica::consider(const shard_record& now) {
  if (!joined_) {
    // Its log may lack what it said it had: nobody may count on it any more.
    if (!whole_ && now.in_sync.contains(self_) && (restored_ || now.in_sync.size() > 1)) {
      auto p = proposal{.wanted = now, .registered = {{self_, incarnation_}}, .gone = {}};
      p.wanted.in_sync.erase(self_);
      if (now.primary == self_) {
        p.wanted.primary.reset();
        ++p.wanted.epoch;
      }
      actions_.emplace_back(propose{std::move(p)});
      return;
    }
    joined_ = true;
    whole_ = true;
    restored_ = false;
  }
  if (now.version < version_)
    return;
  learn_recovered(now.recovered, now.in_sync.contains(self_));
  if (now.primary == self_ && (!leads_ || epoch_ != now.epoch)) {
    if (led_ >= now.epoch) {
      // It led that epoch before a crash or a lapse: entries may be under way that it has not.
      auto p = proposal{.wanted = now, .registered = {{self_, incarnation_}}, .gone = {}};
      ++p.wanted.epoch;
      actions_.emplace_back(propose{std::move(p)});
      return;
    }
    if (now.epoch >= epoch_)
      lead(now);
  } else if (leads_ && (now.primary != self_ || now.epoch != epoch_)) {
    step_down(now.epoch);
    version_ = now.version;
  } else if (leads_) {
    if (!open_ || now.version != open_->what.wanted.version) {  // its outcome is known
      open_.reset();
      configs_ = {now.in_sync};
      version_ = now.version;
      record_ = now;
      follow_replicas();
    }
    advance();
  } else {
    version_ = now.version;
    epoch_ = std::max(epoch_, now.epoch);
  }
}

/// Since that epoch an operator's choice is the truth; here there may be what it lacks.
void replica::learn_recovered(std::uint64_t epoch, bool is_ours) {
  if (epoch <= recovered_)
    return;
  recovered_ = epoch;
  // Of what is being loaded nobody knows any more how it would end.
  if (!loading_ && (is_ours || log_.last().epoch >= epoch))
    return;
  if (leads_)
    step_down(epoch);
  leader_.reset();
  if (log_.last().index == 0 && !loading_)
    return;
  loading_ = false;
  forget_log({});
  actions_.emplace_back(discard{});
}

void replica::lead(const shard_record& now) {
  if (leads_)
    step_down(now.epoch);
  led_ = epoch_ = now.epoch;
  actions_.emplace_back(mark_led{led_});
  leads_ = true;
  version_ = now.version;
  record_ = now;
  configs_ = {now.in_sync};
  followers_.clear();
  open_.reset();
  leader_.reset();
  // Behind whatever earlier epochs left: it commits them with it.
  append(log_.last().index, {{{epoch_, log_.last().index + 1}, nullptr}});
  for (const auto who : now.replicas)
    if (who != self_)
      followers_[who].next = log_.last().index - 1;
  ship_all();
}

/// Whoever is new among the replicas is shipped to, whoever has gone is not any more.
void replica::follow_replicas() {
  std::erase_if(followers_, [&](const auto& f) {
    return !record_.replicas.contains(f.first) && !record_.in_sync.contains(f.first);
  });
  for (const auto who : record_.replicas)
    if (who != self_ && !followers_.contains(who)) {
      followers_[who].next = log_.last().index;
      actions_.emplace_back(ship{who, log_.last().index});
    }
}

void replica::step_down(std::uint64_t newest) {
  if (serving_ || leads_)
    actions_.emplace_back(end_serving{});
  leads_ = serving_ = false;
  configs_.clear();
  followers_.clear();
  open_.reset();
  leader_.reset();
  equal_ = 0;
  epoch_ = std::max(epoch_, newest);
}

// ---- the log ------------------------------------------------------------------------------------

void replica::append(std::uint64_t after, std::vector<log_entry> entries, bool sync) {
  if (after < log_.last().index) {
    log_.cut(after);
    written_ = std::min(written_, after);
    synced_ = std::min(synced_, after);
    for (auto& p : pending_)
      p.index = std::min(p.index, after);
  }
  for (const auto& e : entries)
    log_.append(e.at);
  pending_.push_back({++writes_, log_.last().index});
  actions_.emplace_back(write_log{writes_, after, std::move(entries), sync || syncs()});
}

void replica::written(std::uint64_t number, bool synced) {
  for (; !pending_.empty() && pending_.front().number <= number; pending_.pop_front())
    written_ = std::max(written_, pending_.front().index);
  if (synced)
    synced_ = written_;
  if (leads_) {
    if (open_ && open_->sync_first > 0 && open_->sync_first <= synced_)
      propose_now();
    advance();
  } else {
    acknowledge();
  }
}

bool replica::wants_checkpoint(node_id from, std::uint64_t epoch, log_position at,
                               std::uint64_t recovered) {
  if (!joined_ || leads_ || loading_ || epoch < epoch_)
    return false;
  learn_recovered(recovered, false);
  epoch_ = epoch;
  if (leader_ != from || leader_epoch_ != epoch) {
    leader_ = from;
    leader_epoch_ = epoch;
    equal_ = 0;
  }
  if (at.index <= commit_) {
    equal_ = std::max(equal_, at.index);
    acknowledge();
    return false;
  }
  if (log_.epoch_at(at.index) != at.epoch) {
    // In no in-sync set, then: nobody counts on what is here.
    loading_ = true;
    forget_log({});
    return true;
  }
  // It has all that by its log: it only did not know that it is committed.
  commit_ = at.index;
  equal_ = std::max(equal_, at.index);
  actions_.emplace_back(commit_up_to{commit_, false});
  acknowledge();
  return false;
}

void replica::checkpoint_installed(log_position at) {
  loading_ = false;
  forget_log(at);
  equal_ = at.index;
  acknowledge();
}

void replica::checkpoint_failed() {
  loading_ = false;
}

void replica::forget_log(log_position up_to) {
  log_ = log_outline{up_to};
  written_ = synced_ = commit_ = up_to.index;
  pending_.clear();
  equal_ = 0;
}

void replica::trim(std::uint64_t index) {
  log_.trim(std::min(index, commit_));
}

void replica::advance() {
  if (!leads_)
    return;
  auto reached = own_position();
  for (const auto who : in_force())
    reached = std::min(reached, matched(who));
  // An earlier epoch's entries are committed only by one of its own behind them.
  if (log_.epoch_at(reached) != epoch_)
    return;
  if (reached > commit_) {
    commit_ = reached;
    actions_.emplace_back(commit_up_to{commit_, is_enough()});
  }
  if (!serving_ && commit_ == reached && !(open_ && open_->hands_over)) {
    serving_ = true;
    actions_.emplace_back(begin_serving{epoch_});
  }
}

// ---- messages -----------------------------------------------------------------------------------

void replica::received(node_id from, const replica_message& what) {
  if (joined_)
    std::visit([&](const auto& m) { take(from, m); }, what);
}

void replica::take(node_id from, const append_entries& m) {
  if (m.epoch >= epoch_)
    learn_recovered(m.recovered, false);
  if (loading_)
    return;
  if (m.epoch < epoch_) {
    actions_.emplace_back(send_to{from, append_refused{epoch_, 0}});
    return;
  }
  if (leads_) {
    if (m.epoch == epoch_)
      return;  // nobody else has this epoch
    step_down(m.epoch);
  }
  epoch_ = m.epoch;
  if (leader_ != from || leader_epoch_ != m.epoch) {
    leader_ = from;
    leader_epoch_ = m.epoch;
    equal_ = 0;
  }
  const auto refuse = [&](std::uint64_t go_on) {
    actions_.emplace_back(send_to{from, append_refused{m.epoch, go_on}});
  };
  if (m.before.index > log_.last().index)
    return refuse(log_.last().index);
  if (m.before.index < log_.begin().index)
    return refuse(commit_);  // what is committed is the same everywhere
  if (log_.epoch_at(m.before.index) != m.before.epoch)
    return refuse(std::max(commit_, log_.before_stretch_of(m.before.index)));
  auto equal = m.before.index;
  auto fresh = m.entries.begin();
  for (; fresh != m.entries.end() && fresh->at.index <= log_.last().index &&
         log_.epoch_at(fresh->at.index) == fresh->at.epoch;
       ++fresh)
    equal = fresh->at.index;
  if (fresh != m.entries.end()) {
    append(equal, {fresh, m.entries.end()});
    equal = log_.last().index;
  }
  equal_ = std::max(equal_, equal);
  if (const auto reached = std::min(m.commit, equal_); reached > commit_) {
    commit_ = reached;
    actions_.emplace_back(commit_up_to{commit_, false});
  }
  acknowledge();
}

void replica::acknowledge() {
  if (!leader_ || leader_epoch_ != epoch_)
    return;
  const auto kept = std::min(equal_, options_.sync ? synced_ : written_);
  actions_.emplace_back(send_to{*leader_, append_done{epoch_, kept, incarnation_}});
}

void replica::take(node_id from, const append_done& m) {
  if (!leads_ || m.epoch != epoch_)
    return;
  auto& f = followers_[from];
  if (m.incarnation < f.incarnation)
    return;
  if (m.incarnation > f.incarnation) {  // what it had in an earlier life counts for nothing
    f.incarnation = m.incarnation;
    f.matched = m.index;
  }
  f.matched = std::max(f.matched, m.index);
  f.next = std::max(f.next, f.matched);
  advance();
}

void replica::take(node_id from, const append_refused& m) {
  if (!leads_ || m.epoch < epoch_)
    return;
  if (m.epoch > epoch_)
    return step_down(m.epoch);
  auto& f = followers_[from];
  f.next = std::min(m.index, log_.last().index);
  if (f.next < log_.begin().index)
    actions_.emplace_back(send_checkpoint{from});
  else
    actions_.emplace_back(ship{from, f.next});
}

// ---- the primary --------------------------------------------------------------------------------

std::optional<log_position> replica::write(std::uint64_t records,
                                           std::shared_ptr<const std::string> bytes) {
  if (!serving_ || !is_enough())
    return std::nullopt;
  const auto at = log_position{epoch_, log_.last().index + records};
  append(log_.last().index, {{at, std::move(bytes)}});
  return at;
}

void replica::ship_all() {
  for (auto& [who, f] : followers_)
    if (f.next >= log_.begin().index)
      actions_.emplace_back(ship{who, f.next});
    else
      actions_.emplace_back(send_checkpoint{who});
}

void replica::ship_again(node_id to) {
  // It may have more than is known here: it says so when asked for the first entry that is kept.
  if (const auto f = followers_.find(to); leads_ && f != followers_.end())
    f->second.next = std::max(f->second.matched, log_.begin().index);
}

append_entries replica::shipment(node_id to, log_position before, std::vector<log_entry> entries) {
  if (!entries.empty())
    followers_[to].next = std::max(followers_[to].next, entries.back().at.index);
  return {epoch_, before, std::move(entries), commit_, record_.recovered};
}

void replica::open(proposal what, bool hands_over) {
  what.wanted.version = version_;
  open_ = {std::move(what), hands_over, 0};
}

void replica::propose_now() {
  open_->sync_first = 0;
  actions_.emplace_back(propose{open_->what});
}

void replica::give_up(node_id who) {
  if (!leads_ || open_ || who == self_ || !record_.in_sync.contains(who))
    return;
  auto p = proposal{.wanted = record_, .registered = {{self_, incarnation_}}, .gone = {}};
  p.wanted.in_sync.erase(who);
  configs_.push_back(p.wanted.in_sync);
  const auto alone = p.wanted.in_sync.size() == 1;
  open(std::move(p), false);
  if (!alone)
    return propose_now();
  // Nobody else will have it: first all that others may have counted on is on the disk itself.
  open_->sync_first = log_.last().index;
  append(log_.last().index, {});
}

void replica::take_in(node_id who) {
  const auto f = followers_.find(who);
  if (!leads_ || open_ || record_.in_sync.contains(who) || !record_.replicas.contains(who) ||
      f == followers_.end() || f->second.incarnation == 0 || f->second.matched < commit_ ||
      f->second.matched + options_.behind_max < log_.last().index)
    return;
  auto p = proposal{.wanted = record_,
                    .registered = {{self_, incarnation_}, {who, f->second.incarnation}},
                    .gone = {}};
  p.wanted.in_sync.insert(who);
  configs_.push_back(p.wanted.in_sync);
  open(std::move(p), false);
  propose_now();
}

bool replica::hand_over(node_id to) {
  if (!serving_ || open_ || !record_.in_sync.contains(to) || to == self_ ||
      commit_ != log_.last().index || matched(to) != commit_)
    return false;
  auto p =
      proposal{.wanted = record_, .registered = {{to, followers_.at(to).incarnation}}, .gone = {}};
  p.wanted.primary = to;
  ++p.wanted.epoch;
  open(std::move(p), true);
  serving_ = false;
  actions_.emplace_back(end_serving{});
  propose_now();
  return true;
}

}  // namespace orrery::cluster
