#include "tests/support/replication_sim.hpp"

#include <algorithm>

namespace orrery::tests {

using namespace cluster;  // NOLINT(google-build-using-namespace): this is the cluster's own stage

replication_sim::counts& replication_sim::counts::operator+=(const counts& o) {
  acknowledged += o.acknowledged;
  activations += o.activations;
  reads += o.reads;
  crashes += o.crashes;
  machine_crashes += o.machine_crashes;
  hand_overs += o.hand_overs;
  proposals += o.proposals;
  checkpoints += o.checkpoints;
  lapses += o.lapses;
  truncations += o.truncations;
  restores += o.restores;
  recoveries += o.recoveries;
  discards += o.discards;
  lost += o.lost;
  return *this;
}

replication_sim::replication_sim(options o)
    : options_{o}, count_{o.observer ? 4u : 3u}, random_{o.seed}, nodes_(count_) {
  record_ = {.version = 1, .epoch = 1, .primary = 0, .in_sync = {0, 1, 2}, .replicas = {}};
  for (auto i = 0u; i < count_; ++i) {
    record_.replicas.insert(i);
    start(i);
  }
}

replication_sim::counts replication_sim::run() {
  for (auto i = 0; i < options_.steps; ++i) {
    step();
    if (!crashed_machine_)
      continue;
    const auto& n = nodes_[*crashed_machine_];
    if (n.up && n.part->has_joined() && record_.in_sync.contains(*crashed_machine_) &&
        record_.primary && n.part->epoch() == record_.epoch)
      crashed_machine_.reset();
  }
  return counts_;
}

void replication_sim::broken(const std::string& what) const {
  throw broken_promise{"seed " + std::to_string(options_.seed) + ": " + what};
}

// ---- network ------------------------------------------------------------------------------------

void replication_sim::send(std::uint32_t from, std::uint32_t to, content what) {
  const auto life = to == coordinator ? 0 : nodes_[to].incarnation;
  network_.push_back({from, to, life, std::move(what)});
}

bool replication_sim::reach(std::uint32_t a, std::uint32_t b) const {
  return std::none_of(cut_.begin(), cut_.end(), [&](const auto& c) {
    return (c.first == a && c.second == b) || (c.first == b && c.second == a);
  });
}

void replication_sim::cut_network() {
  cut_.clear();
  if (chance(0.3))
    return;
  const auto a = static_cast<std::uint32_t>(pick(count_));
  auto b = static_cast<std::uint32_t>(pick(count_));
  b = b >= a ? b + 1 : b;  // another one, or the coordinator
  if (b == count_)
    b = coordinator;
  if (chance(0.6)) {
    cut_.emplace_back(a, b);
    return;
  }
  for (auto q = 0u; q < count_; ++q)
    cut_.emplace_back(a, q);
  cut_.emplace_back(a, coordinator);
}

void replication_sim::deliver() {
  const auto at = static_cast<std::ptrdiff_t>(pick(std::min<std::size_t>(network_.size(), 6)));
  auto m = std::move(network_[static_cast<std::size_t>(at)]);
  network_.erase(network_.begin() + at);
  if (!reach(m.from, m.to) || (m.to != coordinator && m.life != nodes_[m.to].incarnation))
    return;
  if (chance(0.03))
    network_.push_back(m);
  if (m.to == coordinator)
    at_coordinator(m.from, m.what);
  else if (nodes_[m.to].up)
    at_node(m.to, m.from, m.what);
}

// ---- coordinator --------------------------------------------------------------------------------

void replication_sim::at_coordinator(std::uint32_t from, const content& what) {
  const auto is_gone = [&](std::uint32_t who) { return leases_[who] <= time_; };
  if (const auto* k = std::get_if<keep_alive>(&what)) {
    if (registrations_[from] != k->of)
      return;
    const auto good = !is_gone(from);  // a lease that is over does not come back
    if (good)
      leases_[from] = std::max(leases_[from], time_ + lease_time);
    send(coordinator, from, kept_alive{k->of, k->sent_at, good});
  } else if (const auto* r = std::get_if<register_me>(&what)) {
    registrations_[from] = std::max(registrations_[from], r->as);
    leases_[from] = std::max(leases_[from], time_ + lease_time);
    send(coordinator, from, record_is{record_, registrations_[from], false});
  } else if (std::holds_alternative<read_record>(what)) {
    send(coordinator, from, record_is{record_, {}, !record_.primary || is_gone(*record_.primary)});
  } else if (const auto* s = std::get_if<swap>(&what)) {
    const auto& p = s->what;
    const auto fits =
        p.wanted.version == record_.version &&
        std::all_of(p.registered.begin(), p.registered.end(),
                    [&](const auto& one) { return registrations_[one.first] == one.second; }) &&
        (!p.gone || is_gone(*p.gone));
    if (fits) {
      const auto version = record_.version + 1;
      record_ = p.wanted;
      record_.version = version;
      ++counts_.proposals;
    }
    send(coordinator, from, swapped{p.wanted.version, record_});
  }
}

// ---- nodes --------------------------------------------------------------------------------------

void replication_sim::at_node(std::uint32_t to, std::uint32_t from, const content& what) {
  auto& n = nodes_[to];
  if (const auto* k = std::get_if<kept_alive>(&what)) {
    if (k->of != n.incarnation)
      return;
    if (k->good)
      n.deadline = std::max(n.deadline, k->sent_at + lease_time - margin);
    else
      lapse(to);
  } else if (const auto* r = std::get_if<record_is>(&what)) {
    if (r->registered == n.incarnation)
      n.part->registered(n.incarnation, r->now);
    else
      n.part->record_read(r->now);
    if (chance(r->primary_gone ? 0.5 : 0.02))  // now and then without a reason
      n.part->primary_gone(r->now);
  } else if (const auto* s = std::get_if<swapped>(&what)) {
    n.part->proposal_decided(s->on, s->now);
  } else if (const auto* c = std::get_if<checkpoint>(&what)) {
    const auto wanted = n.part->wants_checkpoint(from, c->epoch, c->at, c->recovered);
    act(to);  // what goes before
    if (wanted) {
      forget(n);
      n.installing = {c->at, c->state};
    }
  } else if (const auto* m = std::get_if<replica_message>(&what)) {
    n.part->received(from, *m);
  }
  act(to);
}

/// Neither log nor state.
void replication_sim::forget(node& n) {
  n.writes.clear();
  n.log.clear();
  n.kept.log.clear();
  n.kept.state.clear();
  n.kept.begin = {};
  n.kept.synced = 0;
  n.installing.reset();
  n.applied = 0;
}

void replication_sim::start(std::uint32_t who) {
  auto& n = nodes_[who];
  n.up = true;
  n.deadline = -1;
  n.waiting.clear();
  n.writes.clear();
  n.installing.reset();
  n.log = n.kept.log;
  // A store that is opened brings its log to the disk itself.
  n.kept.synced = n.log.empty() ? n.kept.begin.index : n.log.back().at.index;
  auto outline = log_outline{n.kept.begin};
  for (const auto& e : n.log)
    outline.append(e.at);
  n.applied = n.kept.begin.index;
  n.part = std::make_unique<replica>(
      who, replica::options{.min_in_sync = options_.min_in_sync, .sync = options_.sync},
      replica::kept{std::move(outline), n.kept.begin.index, n.kept.led, n.whole, n.restored});
  send(who, coordinator, register_me{n.incarnation});
}

void replication_sim::crash(std::uint32_t who) {
  auto& n = nodes_[who];
  auto machine = false;
  if (options_.crashes == machine_crashes::any) {
    machine = chance(0.5);
  } else if (options_.crashes == machine_crashes::one_at_a_time && chance(0.5)) {
    machine = !crashed_machine_ || crashed_machine_ == who;
    for (auto q = 0u; q < count_; ++q)
      machine = machine && (q == who || (nodes_[q].up && nodes_[q].part->has_joined()));
  }
  n.up = false;
  ++n.incarnation;
  ++counts_.crashes;
  if (!machine)
    return;
  ++counts_.machine_crashes;
  crashed_machine_ = who;
  if (options_.recoveries && chance(0.3)) {
    ++counts_.restores;
    n.kept = n.backup;
    n.restored = true;
    return;
  }
  n.whole = options_.sync;
  while (!n.kept.log.empty() && n.kept.log.back().at.index > n.kept.synced && chance(0.7))
    n.kept.log.pop_back();
}

void replication_sim::lapse(std::uint32_t who) {
  auto& n = nodes_[who];
  ++counts_.lapses;
  ++n.incarnation;
  n.part->lapsed();
  act(who);
  send(who, coordinator, register_me{n.incarnation});
}

void replication_sim::write_some(std::uint32_t who, std::size_t most) {
  auto& n = nodes_[who];
  if (n.writes.empty() || most == 0)
    return;
  auto sync = chance(0.1);
  auto number = std::uint64_t{0};
  for (; most > 0 && !n.writes.empty(); --most, n.writes.pop_front()) {
    auto& w = n.writes.front();
    auto& log = n.kept.log;
    while (!log.empty() && log.back().at.index > w.after)
      log.pop_back();
    n.kept.synced = std::min(n.kept.synced, w.after);
    for (const auto& e : w.entries) {
      log.push_back({e.at, e.bytes ? std::stoull(*e.bytes) : 0});
      written_by_[e.at].insert(who);
    }
    sync = sync || w.sync;
    number = w.number;
  }
  if (sync)
    n.kept.synced = n.kept.log.empty() ? n.kept.begin.index : n.kept.log.back().at.index;
  n.part->written(number, sync);
}

void replication_sim::act(std::uint32_t who) {
  if (nodes_[who].part->has_joined()) {
    nodes_[who].whole = true;  // it gave up what it had lost
    nodes_[who].restored = false;
  }
  for (auto actions = nodes_[who].part->take_actions(); !actions.empty();
       actions = nodes_[who].part->take_actions())
    for (const auto& a : actions)
      do_action(who, a);
}

void replication_sim::do_action(std::uint32_t who, const action& a) {
  auto& n = nodes_[who];
  if (const auto* s = std::get_if<send_to>(&a)) {
    send(who, s->to, s->what);
  } else if (const auto* w = std::get_if<write_log>(&a)) {
    while (!n.log.empty() && n.log.back().at.index > w->after) {
      n.log.pop_back();
      ++counts_.truncations;
    }
    if (w->after < n.applied)
      broken("node " + std::to_string(who) + " cuts what was committed");
    for (const auto& e : w->entries)
      n.log.push_back({e.at, e.bytes ? std::stoull(*e.bytes) : 0});
    n.writes.push_back(*w);
  } else if (std::holds_alternative<discard>(a)) {
    ++counts_.discards;
    forget(n);
  } else if (const auto* m = std::get_if<mark_led>(&a)) {
    n.kept.led = m->epoch;
  } else if (const auto* c = std::get_if<commit_up_to>(&a)) {
    commit(who, *c);
  } else if (const auto* p = std::get_if<propose>(&a)) {
    send(who, coordinator, swap{p->what});
  } else if (const auto* b = std::get_if<begin_serving>(&a)) {
    check_activation(who, b->epoch);
  } else if (std::holds_alternative<end_serving>(a)) {
    n.waiting.clear();
  } else if (const auto* sh = std::get_if<cluster::ship>(&a)) {
    ship(who, *sh);
  } else if (const auto* cp = std::get_if<send_checkpoint>(&a)) {
    auto all = n.kept.state;
    for (const auto& e : n.log)
      if (e.at.index <= n.part->commit())
        all.push_back(e);
    if (!all.empty()) {
      ++counts_.checkpoints;
      send(who, cp->to, checkpoint{n.part->epoch(), all.back().at, n.part->recovered(), all});
    }
  }
}

std::vector<replication_sim::entry>::const_iterator replication_sim::behind(
    const std::vector<entry>& log, std::uint64_t index) {
  return std::upper_bound(log.begin(), log.end(), index,
                          [](auto i, const entry& e) { return i < e.at.index; });
}

void replication_sim::ship(std::uint32_t who, const cluster::ship& s) {
  auto& n = nodes_[who];
  const auto from = behind(n.log, s.after);
  const auto before = from == n.log.begin() ? n.part->log().begin() : std::prev(from)->at;
  auto entries = std::vector<log_entry>{};
  const auto most = static_cast<std::ptrdiff_t>(pick(6));
  for (auto e = from; e != n.log.end() && e - from < most; ++e)
    entries.push_back({e->at, e->value
                                  ? std::make_shared<const std::string>(std::to_string(e->value))
                                  : nullptr});
  send(who, s.to, replica_message{n.part->shipment(s.to, before, std::move(entries))});
}

// ---- promises -----------------------------------------------------------------------------------

void replication_sim::commit(std::uint32_t who, const commit_up_to& c) {
  auto& n = nodes_[who];
  const auto counts = recovered_ == 0 && !is_overtaken(who);
  for (auto e = behind(n.log, n.applied); counts && e != n.log.end() && e->at.index <= c.index;
       ++e) {
    const auto [known, fresh] = committed_.try_emplace(e->at.index, *e);
    if (!fresh && (known->second.at != e->at || known->second.value != e->value))
      broken("two nodes committed different entries at " + std::to_string(e->at.index));
  }
  n.applied = std::max(n.applied, c.index);
  for (auto w = n.waiting.begin(); w != n.waiting.end() && w->first <= c.index;
       w = n.waiting.erase(w))
    // An operator may have given the shard away as soon as the lease can be over.
    if (c.acknowledge && (!options_.recoveries || time_ < n.deadline)) {
      acknowledged_.emplace(w->second, w->first);
      ++counts_.acknowledged;
      if (written_by_[{n.part->log().epoch_at(w->first), w->first}].size() < options_.min_in_sync)
        broken("acknowledged with too few copies: " + std::to_string(w->first));
    }
}

bool replication_sim::has(std::uint32_t who, std::uint64_t value, std::uint64_t index) const {
  const auto& n = nodes_[who];
  const auto in = [&](const std::vector<entry>& log) {
    const auto at = behind(log, index);
    return at != log.begin() && std::prev(at)->at.index == index && std::prev(at)->value == value;
  };
  return in(n.log) || in(n.kept.state);
}

/// After an operator's choice its log is the truth, whatever was promised before.
void replication_sim::forget_what_is_lost(std::uint32_t who) {
  const auto& n = nodes_[who];
  const auto before = acknowledged_.size();
  std::erase_if(acknowledged_, [&](const auto& a) { return !has(who, a.first, a.second); });
  counts_.lost += before - acknowledged_.size();
  committed_.clear();
  for (const auto* part : {&n.kept.state, &n.log})
    for (const auto& e : *part)
      if (e.at.index <= n.part->commit())
        committed_.emplace(e.at.index, e);
}

/// It goes on with what was true before an operator's choice, and has not heard of that yet.
bool replication_sim::is_overtaken(std::uint32_t who) const {
  return nodes_[who].part->log().last().epoch < record_.recovered && !record_.in_sync.contains(who);
}

/// What an operator may do when nobody is there who has all of the shard (cluster/recovery).
void replication_sim::recover() {
  const auto is_there = [&](std::uint32_t who) { return leases_[who] > time_; };
  if (record_.primary && is_there(*record_.primary))
    return;
  if (std::ranges::any_of(record_.in_sync, is_there))
    return;
  const auto who = static_cast<std::uint32_t>(pick(count_));
  if (!is_there(who))
    return;
  ++counts_.recoveries;
  ++record_.version;
  recovered_ = record_.recovered = ++record_.epoch;
  record_.primary.reset();
  record_.in_sync = {who};
}

void replication_sim::check_activation(std::uint32_t who, std::uint64_t epoch) {
  ++counts_.activations;
  if (is_overtaken(who))
    return;
  if (recovered_ > 0 && epoch > recovered_) {
    recovered_ = 0;
    forget_what_is_lost(who);
  }
  const auto [served, fresh] = served_by_.try_emplace(epoch, who);
  if (!fresh && served->second != who)
    broken("epoch " + std::to_string(epoch) + " has two primaries");
  for (const auto& [value, index] : acknowledged_)
    if (!has(who, value, index))
      broken("node " + std::to_string(who) + " serves epoch " + std::to_string(epoch) +
             " without the acknowledged value " + std::to_string(value));
}

void replication_sim::check_read(std::uint32_t who) {
  const auto& n = nodes_[who];
  if (!n.part->is_serving() || time_ >= n.deadline)
    return;
  ++counts_.reads;
  for (const auto& [value, index] : acknowledged_)
    if (index > n.part->commit() || !has(who, value, index))
      broken("node " + std::to_string(who) + " reads without the acknowledged value " +
             std::to_string(value));
}

// ---- the schedule -------------------------------------------------------------------------------

void replication_sim::step() {
  const auto x = std::uniform_real_distribution{}(random_);
  if (x < 0.5 && !network_.empty())
    return deliver();
  if (x < 0.56) {
    ++time_;
    return;
  }
  const auto who = static_cast<std::uint32_t>(pick(count_));
  auto& n = nodes_[who];
  if (options_.recoveries && x < 0.562)
    return recover();
  if (x < 0.6) {
    if (n.up && chance(0.12))
      crash(who);
    else if (!n.up && chance(0.5))
      start(who);
    return;
  }
  if (x < 0.61)
    return cut_network();
  if (!n.up)
    return;
  node_step(who);
  if (n.up)
    act(who);
}

void replication_sim::node_step(std::uint32_t who) {
  auto& n = nodes_[who];
  switch (pick(16)) {
    case 0:
    case 1:
      if (!n.part->has_joined())
        return send(who, coordinator, register_me{n.incarnation});
      send(who, coordinator, keep_alive{n.incarnation, time_});
      return send(who, coordinator, read_record{});
    case 2:
      return n.part->propose_again();
    case 3:
    case 4:
    case 5:
    case 6:
      return write_some(who, 1 + pick(4));
    case 7:
      if (n.installing) {
        n.kept.begin = n.installing->first;
        n.kept.synced = n.installing->first.index;
        n.kept.state = std::move(n.installing->second);
        n.installing.reset();
        n.applied = n.kept.begin.index;
        n.part->checkpoint_installed(n.kept.begin);
      }
      return;
    case 8:
    case 9:
    case 10: {
      if (time_ >= n.deadline)
        return;
      const auto value = ++values_;
      if (const auto at = n.part->write(1 + pick(3),
                                        std::make_shared<const std::string>(std::to_string(value))))
        n.waiting[at->index] = value;
      return;
    }
    case 11:
      if (n.part->is_primary())
        n.part->ship_again(static_cast<std::uint32_t>(pick(count_)));
      [[fallthrough]];
    case 12:
      if (n.part->is_primary())
        n.part->ship_all();
      return;
    case 13: {
      const auto other = static_cast<std::uint32_t>(pick(count_));
      if (chance(0.4))
        return n.part->give_up(other);
      if (record_.in_sync.size() < in_sync_most)
        n.part->take_in(other);
      return;
    }
    case 14:
      if (chance(0.5) && n.part->hand_over(static_cast<std::uint32_t>(pick(count_))))
        ++counts_.hand_overs;
      return;
    default:
      if (options_.recoveries && chance(0.1) && !n.installing) {
        n.backup = n.kept;
        return;
      }
      if (n.writes.empty() && chance(0.2)) {
        const auto most = std::min({n.part->commit(), n.kept.synced, n.applied});
        const auto end = behind(n.kept.log, most);
        if (end == n.kept.log.begin())
          return;
        const auto last = std::prev(end)->at;
        n.kept.state.insert(n.kept.state.end(), n.kept.log.cbegin(), end);
        n.kept.log.erase(n.kept.log.cbegin(), end);
        n.log.erase(n.log.cbegin(), behind(n.log, last.index));
        n.kept.begin = last;
        return n.part->trim(last.index);
      }
      return check_read(who);
  }
}

}  // namespace orrery::tests
