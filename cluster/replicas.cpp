#include "cluster/replicas.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "observe/log.hpp"
#include "storage/keys.hpp"

namespace orrery::cluster {

using progress = actors::shard_progress::what;

replicas::replicas(std::shared_ptr<storage::entity_store> store, replicas_options options,
                   replicas_ports ports, std::shared_ptr<replicas_figures> figures)
    : shared_{std::move(store), options, std::move(ports), std::move(figures)},
      spread_{options.spread_patience} {
  shared_.on_round_put = [this] {
    for (const auto shard : shared_.writing.all())
      shards_.at(shard).note_written();
  };
}

replicas::~replicas() = default;

model::status replicas::open() {
  shards_.clear();
  turns_.clear();
  next_turn_ = 0;
  counted_.clear();
  whole_ = {};
  for (auto* queue : {&shared_.dirty, &shared_.due, &shared_.writing})
    (void)queue->take();
  shared_.round = {};
  shared_.news.clear();
  const auto all = shared_.options.shard_count;
  for (unsigned s = 0; s <= all; ++s) {
    const auto shard = s == all ? model::catalogue_shard : static_cast<model::shard_id>(s);
    auto made = held_shard::open(shared_, shard);
    if (!made)
      return made.error();
    shards_.emplace(shard, std::move(*made));
    turns_.push_back(shard);
    count(shard, {.unjoined = 1});  // until it is looked at
  }
  look_at_all();
  return {};
}

held_shard* replicas::find(model::shard_id shard) {
  const auto found = shards_.find(shard);
  return found == shards_.end() ? nullptr : &found->second;
}

void replicas::look_at_all() {
  for (const auto shard : turns_)
    shared_.due.insert(shard);
}

// ---- from the cluster ---------------------------------------------------------------------------

void replicas::registered(incarnation_id own, const shard_records& now) {
  shared_.incarnation = own;
  for (const auto& [shard, record] : now)
    if (auto* h = find(shard)) {
      h->registered(record);
      shared_.touch(shard);
    }
}

void replicas::lapsed() {
  shared_.incarnation.reset();
  for (auto& [shard, h] : shards_) {
    h.lapsed();
    shared_.touch(shard);
  }
}

void replicas::records(const shard_records& now, const node_set& nodes, const node_set& leaving) {
  if (shared_.nodes.registered != nodes || shared_.nodes.leaving != leaving)
    look_at_all();
  shared_.nodes.registered = nodes;
  shared_.nodes.leaving = leaving;
  for (const auto& [shard, record] : now)
    if (auto* h = find(shard); h && h->record_read(record))
      shared_.touch(shard);
}

void replicas::decided(model::shard_id shard, std::uint64_t on, const shard_record& now) {
  if (auto* h = find(shard); h && h->decided(on, now))
    shared_.touch(shard);
}

void replicas::undecided(model::shard_id shard) {
  if (auto* h = find(shard)) {
    h->undecided();
    shared_.due.insert(shard);
  }
}

void replicas::link_up(node_id who) {
  shared_.nodes.linked.insert(who);
  shared_.nodes.unlinked_since.erase(who);
  for (auto& [shard, h] : shards_)
    if (h.is_primary()) {
      h.link_up(who);
      shared_.touch(shard);
    }
}

void replicas::link_down(node_id who) {
  shared_.nodes.linked.erase(who);
  shared_.nodes.unlinked_since.emplace(who, shared_.ports.clock());
  look_at_all();
}

void replicas::received(node_id from, addressed message) {
  auto* h = find(message.shard);
  if (!h)
    return;
  if (const auto* applied = std::get_if<applied_up_to>(&message.what)) {
    if (message.shard == model::catalogue_shard && applied->epoch == h->epoch())
      spread_.applied(from, applied->index);
  } else {
    h->received(from, std::move(message.what));
  }
  shared_.touch(message.shard);
}

void replicas::host_left(model::shard_id shard) {
  if (auto* h = find(shard); h && h->host_left())
    shared_.touch(shard);
}

void replicas::tick() {
  const auto now = shared_.ports.clock();
  const auto first = next_turn_;
  next_turn_ = std::min(first + (turns_.size() + ticks_for_all - 1) / ticks_for_all, turns_.size());
  for (auto turn = first; turn < next_turn_; ++turn)
    shared_.due.insert(turns_[turn]);
  for (const auto shard : shared_.due.take()) {
    auto& h = shards_.at(shard);
    h.look_at(now);
    shared_.dirty.insert(shard);
    if (h.is_under_way())
      shared_.due.insert(shard);
    count(shard, h.part());
  }
  if (next_turn_ == turns_.size())
    next_turn_ = 0;
  show_figures();
}

void replicas::count(model::shard_id shard, const shard_part& now) {
  auto& before = counted_[shard];
  for (const auto figure : {&shard_part::unjoined, &shard_part::primary, &shard_part::in_sync,
                            &shard_part::learning, &shard_part::lacking})
    whole_.*figure += now.*figure - before.*figure;
  before = now;
}

void replicas::show_figures() {
  auto& figures = *shared_.figures;
  figures.primaries = whole_.primary;
  figures.in_sync = whole_.in_sync;
  figures.learning = whole_.learning;
  figures.lacking = whole_.lacking;
}

// ---- from the writer ----------------------------------------------------------------------------

std::optional<std::uint64_t> replicas::write(storage::frame& f) {
  auto* h = find(f.shard);
  if (!h || shared_.failed)
    return std::nullopt;
  const auto last = h->write(f);
  if (last)
    shared_.touch(f.shard);
  return last;
}

std::uint64_t replicas::end_of(model::shard_id shard) const {
  const auto found = shards_.find(shard);
  return found == shards_.end() ? 0 : found->second.last();
}

bool replicas::may_answer() const {
  return shared_.ports.clock() < shared_.ports.serves_until();
}

void replicas::collect(actors::write_round& into) {
  for (const auto shard : shared_.dirty.take()) {
    shards_.at(shard).act_for_round();
    if (shared_.failed)
      break;
  }
  into = std::exchange(shared_.round, {});
  into.needed = into.needed || !into.rows.empty();
  writes_synced_ = into.sync;
  if (into.needed && into.rows.empty())  // for the sync alone
    into.rows.push_back(
        {.family = storage::family::meta, .key = storage::keys::meta("synced"), .value = "1"});
}

void replicas::written(bool ok) {
  if (!ok || shared_.failed)
    return;
  for (const auto shard : shared_.writing.take())
    if (shards_.at(shard).written(writes_synced_))
      shared_.touch(shard);
  for (const auto& item : std::exchange(shared_.news, {}))
    pass_on(item);
  tell_spread();
}

/// What the round brought is in the store now.
void replicas::pass_on(const shard_news& item) {
  const auto& what = item.what;
  auto& h = shards_.at(what.shard);
  if (what.happened == progress::committed)
    h.note_applied(what.offset);
  if (!item.applied.empty() && !h.is_serving())
    shared_.ports.applied(what.shard, item.applied);
  if (what.shard == model::catalogue_shard)
    pass_on_catalogue(what, h);
  else
    say(what);
}

/// First every node that is there applies what its primary has committed.
void replicas::pass_on_catalogue(const actors::shard_progress& what, const held_shard& h) {
  const auto committed = what.happened == progress::committed;
  if (committed && h.is_serving())
    return spread_.hold(what, shared_.ports.clock());
  const auto& primary = h.record().primary;
  if (committed && primary && *primary != shared_.options.self)
    shared_.send(*primary, what.shard, applied_up_to{h.epoch(), what.offset});
  if (what.happened == progress::began)
    spread_.forget();
  say_all(spread_.take_all());
  say(what);
}

void replicas::tell_spread() {
  auto others = shared_.nodes.registered;
  others.erase(shared_.options.self);
  for (const auto who : shared_.nodes.leaving)
    others.erase(who);
  say_all(spread_.take(others, shared_.ports.clock()));
}

void replicas::say(const actors::shard_progress& what) {
  if (what.happened == progress::began)
    served_.insert(what.shard);
  else if (what.happened == progress::ended)
    served_.erase(what.shard);
  progress_.push_back(what);
}

void replicas::say_all(const std::vector<actors::shard_progress>& all) {
  for (const auto& one : all)
    say(one);
}

std::vector<actors::shard_progress> replicas::take_progress() {
  return std::exchange(progress_, {});
}

void replicas::start_again() {
  shared_.failed = false;
  // Also where a role began or ended in the round that failed: nobody was told of that.
  auto records = shard_records{};
  for (const auto& [shard, h] : shards_) {
    if (h.is_serving())
      served_.insert(shard);
    if (h.record().version > 0)
      records.emplace(shard, h.record());
  }
  if (const auto ok = open(); !ok) {
    observe::log::error("cluster", "replicas_not_read", {{"detail", ok.error().detail}});
    shared_.fail();
    return;
  }
  say_all(spread_.take_all());
  for (const auto shard : std::set{served_})
    say({shard, progress::ended});
  if (shared_.incarnation)
    registered(*shared_.incarnation, records);
}

}  // namespace orrery::cluster
