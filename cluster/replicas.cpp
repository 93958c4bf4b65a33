#include "cluster/replicas.hpp"

#include <algorithm>

#include "observe/log.hpp"
#include "storage/frame.hpp"
#include "storage/keys.hpp"

namespace orrery::cluster {
namespace {

namespace log = observe::log;
using progress = actors::shard_progress::what;

constexpr std::uint64_t behind_max = 1000;             // records a learner may lack to be taken in
constexpr std::size_t ship_bytes = 512 * 1024;         // of one message
constexpr std::size_t window_bytes = 8 * 1024 * 1024;  // shipped to one replica, unacknowledged
constexpr auto propose_pause = std::chrono::milliseconds{200};
constexpr auto ship_again_after = std::chrono::milliseconds{1000};
constexpr auto leave_pause = std::chrono::seconds{5};  // before a move is tried again
constexpr auto copy_patience = std::chrono::seconds{15};

}  // namespace

replicas::replicas(std::shared_ptr<storage::entity_store> store, replicas_options options,
                   replicas_ports ports, std::shared_ptr<replicas_figures> figures)
    : store_{std::move(store)},
      options_{options},
      ports_{std::move(ports)},
      figures_{std::move(figures)},
      copies_{ports_.send, figures_->copies_sent} {}

replicas::~replicas() = default;

model::result<replicas::held> replicas::make(model::shard_id shard) {
  auto shard_log = cluster::shard_log{store_, shard};
  auto kept = shard_log.open();
  if (!kept)
    return kept.error();
  kept->whole = options_.whole;
  const auto commit = kept->commit;
  const auto in_catalogue = shard == model::catalogue_shard;
  return held{.machine = replica{options_.self,
                                 {.min_in_sync = in_catalogue ? 1 : options_.min_in_sync,
                                  .sync = options_.sync,
                                  .behind_max = behind_max},
                                 std::move(*kept)},
              .log = std::move(shard_log),
              .applied_written = commit};
}

model::status replicas::open() {
  shards_.clear();
  dirty_.clear();
  round_ = {};
  later_.clear();
  for (unsigned s = 0; s <= options_.shard_count; ++s) {
    const auto shard =
        s == options_.shard_count ? model::catalogue_shard : static_cast<model::shard_id>(s);
    auto made = make(shard);
    if (!made)
      return made.error();
    shards_.emplace(shard, std::move(*made));
  }
  return {};
}

replicas::held* replicas::find(model::shard_id shard) {
  const auto found = shards_.find(shard);
  return found == shards_.end() ? nullptr : &found->second;
}

void replicas::tell(model::shard_id shard, progress happened, std::uint64_t offset,
                    bool acknowledged) {
  later_.push_back({{shard, happened, offset, acknowledged}});
}

/// A write outside the rounds: what follows must not happen before it.
bool replicas::put_now(std::span<const storage::row> rows, bool sync) {
  const auto ok = store_->put(rows, sync);
  if (!ok) {
    log::error("cluster", "replica_not_written", {{"detail", ok.error().detail}});
    failed_ = true;
    round_.needed = true;  // the round will fail, and everything begins anew
  }
  return static_cast<bool>(ok);
}

// ---- from the cluster ---------------------------------------------------------------------------

void replicas::registered(incarnation_id own, const shard_records& now) {
  incarnation_ = own;
  for (const auto& [shard, record] : now)
    if (auto* h = find(shard)) {
      h->record = record;
      h->proposing = false;
      h->machine.registered(own, record);
      touch(shard);
    }
}

void replicas::lapsed() {
  incarnation_.reset();
  for (auto& [shard, h] : shards_) {
    h.machine.lapsed();
    h.proposing = false;
    touch(shard);
  }
}

void replicas::records(const shard_records& now, const node_set& nodes, const node_set& leaving) {
  nodes_ = nodes;
  leaving_ = leaving;
  for (const auto& [shard, record] : now) {
    auto* h = find(shard);
    if (!h || record.version <= h->record.version)
      continue;
    h->record = record;
    if (!incarnation_)
      continue;
    if (h->machine.has_joined())
      h->machine.record_read(record);
    else
      h->machine.registered(*incarnation_, record);
    touch(shard);
  }
}

void replicas::decided(model::shard_id shard, std::uint64_t on, const shard_record& now) {
  auto* h = find(shard);
  if (!h)
    return;
  h->proposing = false;
  if (now.version >= h->record.version)
    h->record = now;
  if (!incarnation_)
    return;
  if (h->machine.has_joined())
    h->machine.proposal_decided(on, now);
  else
    h->machine.registered(*incarnation_, now);
  touch(shard);
}

void replicas::undecided(model::shard_id shard) {
  if (auto* h = find(shard))
    h->proposing = false;  // the next tick asks again
}

void replicas::link_up(node_id who) {
  up_.insert(who);
  down_since_.erase(who);
  for (auto& [shard, h] : shards_)
    if (h.machine.is_primary()) {
      h.machine.ship_again(who);
      h.followers[who] = {.matched = h.machine.matched(who), .moved = ports_.clock()};
      h.ship = true;
      touch(shard);
    }
}

void replicas::link_down(node_id who) {
  up_.erase(who);
  down_since_.emplace(who, ports_.clock());
}

void replicas::received(node_id from, addressed message) {
  auto* h = find(message.shard);
  if (!h)
    return;
  if (auto* m = std::get_if<append_entries>(&message.what))
    h->machine.received(from, std::move(*m));
  else if (const auto* done = std::get_if<append_done>(&message.what))
    h->machine.received(from, *done);
  else if (const auto* refused = std::get_if<append_refused>(&message.what))
    h->machine.received(from, *refused);
  else if (const auto* begun = std::get_if<copy_begun>(&message.what))
    take_copy(message.shard, *h, from, *begun);
  else if (const auto* rows = std::get_if<copy_rows>(&message.what))
    take_copy(message.shard, *h, from, *rows);
  else if (const auto* ended = std::get_if<copy_ended>(&message.what))
    take_copy(message.shard, *h, from, *ended);
  else if (const auto* taken = std::get_if<copy_taken>(&message.what))
    copies_.taken(from, *taken);
  else if (const auto* applied = std::get_if<applied_up_to>(&message.what))
    take_applied(message.shard, *h, from, *applied);
  if (std::holds_alternative<append_done>(message.what)) {
    auto& f = h->followers[from];
    if (const auto matched = h->machine.matched(from); matched != f.matched) {
      f.matched = matched;
      f.moved = ports_.clock();
      f.unacknowledged_bytes = 0;
      h->ship = h->ship || std::exchange(f.blocked, false);
    }
  }
  touch(message.shard);
}

void replicas::take_applied(model::shard_id shard, const held& h, node_id from,
                            const applied_up_to& m) {
  if (shard != model::catalogue_shard || m.epoch != h.machine.epoch())
    return;
  auto& known = catalogue_applied_[from];
  known = std::max(known, m.index);
}

void replicas::host_left(model::shard_id shard) {
  if (auto* h = find(shard); h && h->leaving) {
    h->left = true;
    touch(shard);
  }
}

bool replicas::all_joined() const {
  return std::all_of(shards_.begin(), shards_.end(), [](const auto& s) {
    return s.second.machine.has_joined() || s.second.record.version == 0;
  });
}

void replicas::tick() {
  const auto now = ports_.clock();
  for (auto& [shard, h] : shards_) {
    look_at(shard, h, now);
    touch(shard);
  }
  count();
}

/// What is to be done without anything having happened.
void replicas::look_at(model::shard_id shard, held& h, milliseconds now) {
  if (!incarnation_ || h.record.version == 0)
    return;
  const auto may_propose = !h.proposing && now >= h.proposed + propose_pause;
  if (!h.machine.has_joined()) {
    if (may_propose)
      h.machine.registered(*incarnation_, h.record);
    return;
  }
  if (h.loading && now > h.loading->heard + copy_patience) {
    log::warn("cluster", "copy_broke_off", {{"shard", shard}, {"from", h.loading->from}});
    h.loading.reset();
    h.machine.checkpoint_failed();
  }
  trim(shard, h, now);
  if (h.machine.is_primary())
    return lead(shard, h, now);
  if (may_propose && (!h.record.primary || !nodes_.contains(*h.record.primary)))
    h.machine.primary_gone(h.record);
  if (may_propose && h.record.primary == options_.self)
    h.machine.record_read(h.record);  // an epoch that it led before: the next one is to be taken
}

void replicas::lead(model::shard_id shard, held& h, milliseconds now) {
  if (!h.proposing && now >= h.proposed + propose_pause)
    h.machine.propose_again();
  const auto last = h.machine.log().last().index;
  auto wanted = h.record.replicas;
  std::erase_if(wanted, [&](auto n) { return leaving_.contains(n); });
  const auto limit = shard == model::catalogue_shard ? options_.catalogue_factor : wanted.size();
  const auto is_unwanted = [&](node_id n) { return !wanted.contains(n); };
  const auto good = static_cast<std::size_t>(std::count_if(
      h.record.in_sync.begin(), h.record.in_sync.end(), [&](auto n) { return !is_unwanted(n); }));
  for (const auto who : h.record.replicas) {
    if (who == options_.self)
      continue;
    auto& f = h.followers[who];
    const auto matched = h.machine.matched(who);
    if (matched != f.matched || matched >= last || f.moved == milliseconds{0}) {
      f.matched = matched;
      f.moved = now;
      if (matched >= last)
        f.unacknowledged_bytes = 0;
    }
    if (!up_.contains(who))
      down_since_.emplace(who, now);
    const auto down = down_since_.find(who);
    const auto silent = now > f.moved + options_.silence ||
                        (!up_.contains(who) && down != down_since_.end() &&
                         now > down->second + options_.silence) ||
                        (!up_.contains(who) && !nodes_.contains(who));
    if (h.record.in_sync.contains(who)) {
      if (silent)
        h.machine.give_up(who);
    } else if (up_.contains(who) && nodes_.contains(who) && good < limit && !is_unwanted(who)) {
      h.machine.take_in(who);
    }
    // Now and then, also when nothing happens: what was sent may have come before its registration,
    // and what it acknowledges counts for the registration that it had then.
    if (up_.contains(who) && now > f.asked + ship_again_after) {
      f.asked = now;
      f.told_commit = 0;
      h.ship = true;
      if ((matched < last && now > f.moved + ship_again_after) || !h.record.in_sync.contains(who)) {
        f.unacknowledged_bytes = 0;
        h.machine.ship_again(who);
      }
    }
  }
  for (const auto who : h.record.in_sync)
    if (who != options_.self && is_unwanted(who) && good >= std::min(limit, wanted.size()))
      h.machine.give_up(who);
  if (h.told_commit != h.machine.commit())
    h.ship = true;
  move_on(shard, h, now);
}

/// Who is to lead the shard instead of this node, if anybody can.
std::optional<node_id> replicas::successor(const held& h) const {
  const auto may = [&](node_id who) {
    return who != options_.self && h.record.in_sync.contains(who) && up_.contains(who) &&
           nodes_.contains(who) && !stopping_.contains(who);
  };
  if (h.record.preferred && may(*h.record.preferred))
    return h.record.preferred;
  if (hands_over_all_)
    for (const auto who : h.record.in_sync)
      if (may(who))
        return who;
  return std::nullopt;
}

/// A planned move: the host lets go of the shard, all is committed, then it is given away.
void replicas::move_on(model::shard_id shard, held& h, milliseconds now) {
  const auto to = successor(h);
  const auto wanted = to.has_value();
  if (!h.leaving) {
    if (wanted && h.machine.is_serving() && now >= h.leave_again &&
        h.machine.matched(*to) + behind_max >= h.machine.log().last().index) {
      h.leaving = true;
      h.left = false;
      h.leave_began = now;
      ports_.leave(shard);
    }
    return;
  }
  if (h.left && wanted && h.machine.is_serving() && h.machine.hand_over(*to)) {
    h.leave_again = now + leave_pause;  // if the coordinator says no
    figures_->moves.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (h.machine.is_serving() && (!wanted || now > h.leave_began + options_.leave_patience)) {
    h.leaving = h.left = false;
    h.leave_again = now + leave_pause;
    ports_.stay(shard);
  }
}

void replicas::trim(model::shard_id shard, held& h, milliseconds now) {
  if (now < h.trimmed + options_.trim_interval || h.loading)
    return;
  h.trimmed = now;
  const auto meta = store_->meta(shard);
  if (!meta)
    return;
  auto kept_to = std::min(meta->checkpoint_offset, h.log.applied());
  if (h.machine.is_primary())  // what a follower still lacks is kept for it
    for (const auto& [who, f] : h.followers)
      if (up_.contains(who) && f.matched > 0)
        kept_to = std::min(kept_to, f.matched);
  const auto ok = store_->trim_journal(shard, kept_to, ports_.now() - options_.journal_retention);
  const auto begin = h.log.begin_kept();
  if (!ok || !begin)
    return;
  if (*begin > h.machine.log().begin().index && *begin <= h.machine.commit()) {
    h.machine.trim(*begin);
    round_.rows.push_back(h.log.outline_row(h.machine.log()));
  }
}

void replicas::count() {
  auto primaries = 0u, in_sync = 0u, learning = 0u, lacking = 0u;
  for (const auto& [shard, h] : shards_) {
    if (h.machine.is_serving()) {
      ++primaries;
      if (h.record.in_sync.size() < h.record.replicas.size() && shard != model::catalogue_shard)
        ++lacking;
    }
    if (h.record.in_sync.contains(options_.self))
      ++in_sync;
    else if (h.record.replicas.contains(options_.self))
      ++learning;
  }
  figures_->primaries = primaries;
  figures_->in_sync = in_sync;
  figures_->learning = learning;
  figures_->lacking = lacking;
}

// ---- what the state machines say ----------------------------------------------------------------

void replicas::act(model::shard_id shard, held& h) {
  for (auto again = true; again && !failed_;) {
    again = false;
    for (auto& a : h.machine.take_actions()) {
      again = true;
      do_one(shard, h, a);
      if (failed_)
        return;
    }
    if (std::exchange(h.ship, false) && h.machine.is_primary()) {
      h.machine.ship_all();
      h.told_commit = h.machine.commit();
      again = true;
    }
  }
}

void replicas::do_one(model::shard_id shard, held& h, action& what) {
  if (auto* m = std::get_if<send_to>(&what)) {
    std::visit([&](auto& message) { (void)ports_.send(m->to, encode_replica(shard, message)); },
               m->what);
  } else if (const auto* s = std::get_if<ship>(&what)) {
    do_ship(shard, h, *s);
  } else if (const auto* copy = std::get_if<send_checkpoint>(&what)) {
    copy_to(shard, h, copy->to);
  } else if (auto* w = std::get_if<write_log>(&what)) {
    for (auto& e : w->entries)
      if (!e.bytes)
        e.bytes = std::make_shared<const std::string>(encode_entry({.shard = shard,
                                                                    .epoch = e.at.epoch,
                                                                    .first_offset = e.at.index,
                                                                    .records = {},
                                                                    .rows = {}},
                                                                   ports_.now()));
    // A write may be for the sync alone, and come before that of the entry that was taken.
    auto rows = std::vector<storage::row>{};
    if (!w->entries.empty() && w->entries.back().at.index == h.taken)
      rows = std::exchange(h.taken_rows, {});
    h.log.write(w->after, std::move(w->entries), h.machine.log(), std::move(rows), round_.rows);
    h.writes.push_back(w->number);
    round_.needed = true;
    round_.sync = round_.sync || w->sync;
    h.ship = h.ship || h.machine.is_primary();
  } else if (const auto* mark = std::get_if<mark_led>(&what)) {
    figures_->elections.fetch_add(1, std::memory_order_relaxed);
    log::info("cluster", "leads", {{"shard", shard}, {"epoch", mark->epoch}});
    const auto row = h.log.mark(mark->epoch, h.machine.log());
    // The outline may know entries whose frames are not written yet: they go first.
    auto rows = std::exchange(round_.rows, {});
    rows.push_back(row);
    if (put_now(rows, true)) {
      for (auto& [other, o] : shards_)
        o.log.note_written();
      h.followers.clear();
      h.told_commit = 0;
    }
  } else if (const auto* commit = std::get_if<commit_up_to>(&what)) {
    auto item = news_item{{shard, progress::committed, commit->index, commit->acknowledge}};
    const auto before = round_.rows.size();
    if (const auto ok = h.log.apply(commit->index, round_.rows); !ok) {
      log::error("cluster", "not_applied", {{"shard", shard}, {"detail", ok.error().detail}});
      failed_ = round_.needed = true;
      return;
    }
    if (shard == model::catalogue_shard)
      item.applied.assign(round_.rows.begin() + static_cast<std::ptrdiff_t>(before),
                          round_.rows.end());
    later_.push_back(std::move(item));
    h.ship = h.ship || (shard == model::catalogue_shard && h.machine.is_primary());
  } else if (const auto* p = std::get_if<propose>(&what)) {
    if (!h.proposing) {
      const auto members = p->what.wanted.in_sync.size();
      if (members < h.record.in_sync.size())
        figures_->given_up.fetch_add(1, std::memory_order_relaxed);
      else if (members > h.record.in_sync.size())
        figures_->taken_in.fetch_add(1, std::memory_order_relaxed);
      h.proposing = true;
      h.proposed = ports_.clock();
      ports_.propose(shard, p->what);
    }
  } else if (std::holds_alternative<begin_serving>(what)) {
    h.leaving = h.left = false;
    h.writable = true;
    tell(shard, progress::began, h.machine.commit());
  } else {
    log::info("cluster", "ends", {{"shard", shard}, {"epoch", h.machine.epoch()}});
    h.leaving = h.left = false;
    tell(shard, progress::ended);
  }
}

void replicas::do_ship(model::shard_id shard, held& h, const ship& what) {
  if (!up_.contains(what.to) || !h.machine.is_primary())
    return;
  auto& f = h.followers[what.to];
  if (f.unacknowledged_bytes > window_bytes) {
    f.blocked = true;
    return;
  }
  const auto last = h.machine.log().last().index;
  if (what.after == last && f.told_commit == h.machine.commit())
    return;  // it knows everything
  auto after = what.after;
  do {
    auto some = h.log.entries(after, last, ship_bytes);
    if (!some) {
      log::error("cluster", "log_not_read", {{"shard", shard}, {"detail", some.error().detail}});
      return;
    }
    if (!*some) {  // trimmed meanwhile
      if (const auto begin = h.log.begin_kept(); begin && *begin > after) {
        h.machine.trim(*begin);
        copy_to(shard, h, what.to);
      }
      return;
    }
    auto bytes = std::size_t{0};
    for (const auto& e : **some)
      bytes += e.bytes->size();
    const auto count = (*some)->size();
    const auto before = log_position{h.machine.log().epoch_at(after), after};
    const auto next = count == 0 ? last : (**some).back().at.index;
    const auto message =
        encode_replica(shard, h.machine.shipment(what.to, before, std::move(**some)));
    if (!ports_.send(what.to, message)) {
      f.blocked = true;
      h.machine.ship_again(what.to);
      return;
    }
    f.told_commit = h.machine.commit();
    f.unacknowledged_bytes += bytes;
    figures_->entries_shipped.fetch_add(count, std::memory_order_relaxed);
    figures_->bytes_shipped.fetch_add(message.size(), std::memory_order_relaxed);
    after = next;
  } while (after < last && f.unacknowledged_bytes <= window_bytes);
  f.blocked = after < last;
}

// ---- copies -------------------------------------------------------------------------------------

void replicas::copy_to(model::shard_id shard, held& h, node_id to) {
  if (!h.machine.is_serving() || !up_.contains(to) || !copies_.is_free(shard, to))
    return;
  // Rows of what is committed are in the store once the round is: the next tick takes it then.
  if (h.applied_written != h.machine.commit())
    return;
  const auto meta = store_->meta(shard);
  if (!meta)
    return;
  auto rows = store_->copy_shard(shard, std::min(meta->checkpoint_offset, h.machine.commit()));
  if (!rows) {
    log::warn("cluster", "shard_not_copied", {{"shard", shard}, {"detail", rows.error().detail}});
    return;
  }
  const auto index = h.machine.commit();
  log::info("cluster", "copies", {{"shard", shard}, {"to", to}, {"index", index}});
  copies_.add(shard, to, h.machine.epoch(), {h.machine.log().epoch_at(index), index},
              std::move(*rows));
}

void replicas::take_copy(model::shard_id shard, held& h, node_id from, const copy_begun& m) {
  const auto answer = [&](bool accepted) {
    (void)ports_.send(from, encode_replica(shard, copy_taken{m.copy, 0, accepted}));
  };
  act(shard, h);  // what was to be written before comes before what takes it away
  if (!incarnation_ || !h.machine.wants_checkpoint(from, m.epoch, m.at))
    return answer(false);
  log::info("cluster", "is_copied", {{"shard", shard}, {"from", from}, {"index", m.at.index}});
  h.loading = {.from = from, .copy = m.copy, .at = m.at, .heard = ports_.clock()};
  // Nothing of the shard that waits for its write may come behind what takes it away.
  auto rows = std::exchange(round_.rows, {});
  std::ranges::move(h.log.begin_loading(), std::back_inserter(rows));
  answer(put_now(rows, true));
}

void replicas::take_copy(model::shard_id shard, held& h, node_id from, const copy_rows& m) {
  if (!h.loading || h.loading->from != from || h.loading->copy != m.copy)
    return;
  const auto prefix = storage::keys::shard_prefix(shard);
  const auto fits =
      m.number == h.loading->parts + 1 && std::ranges::all_of(m.rows, [&](const auto& r) {
        return r.key.starts_with(prefix) && !shard_log::is_local(shard, r);
      });
  if (fits && put_now(m.rows, false)) {
    ++h.loading->parts;
    h.loading->heard = ports_.clock();
  }
  (void)ports_.send(from, encode_replica(shard, copy_taken{m.copy, m.number, fits && !failed_}));
}

void replicas::take_copy(model::shard_id shard, held& h, node_id from, const copy_ended& m) {
  if (!h.loading || h.loading->from != from || h.loading->copy != m.copy)
    return;
  const auto at = h.loading->at;
  const auto whole = m.parts == h.loading->parts;
  h.loading.reset();
  if (whole && put_now(h.log.end_loading(at), true)) {
    h.machine.checkpoint_installed(at);
    h.applied_written = at.index;
    figures_->copies_received.fetch_add(1, std::memory_order_relaxed);
    ports_.loaded(shard);
  } else {
    h.machine.checkpoint_failed();
  }
  (void)ports_.send(from, encode_replica(shard, copy_taken{m.copy, m.parts + 1, whole}));
}

// ---- from the writer ----------------------------------------------------------------------------

std::optional<std::uint64_t> replicas::write(storage::frame& f) {
  auto* h = find(f.shard);
  if (!h || failed_ || !h->machine.is_serving())
    return std::nullopt;
  f.epoch = h->machine.epoch();
  f.first_offset = h->machine.log().last().index + 1;
  const auto records = std::max<std::size_t>(f.records.size(), 1);
  auto bytes = std::string{};
  if (f.records.empty())
    bytes = encode_entry(f, ports_.now());
  else
    storage::encode_frame(f, bytes, true);
  const auto at = h->machine.write(records, std::make_shared<const std::string>(std::move(bytes)));
  if (!at)
    return std::nullopt;
  h->taken = at->index;
  h->taken_rows = std::exchange(f.rows, {});
  act(f.shard, *h);
  touch(f.shard);
  return at->index;
}

std::uint64_t replicas::end_of(model::shard_id shard) const {
  const auto found = shards_.find(shard);
  return found == shards_.end() ? 0 : found->second.machine.log().last().index;
}

bool replicas::may_answer() const {
  return ports_.clock() < ports_.serves_until();
}

void replicas::collect(actors::write_round& into) {
  for (const auto shard : std::exchange(dirty_, {})) {
    auto& h = shards_.at(shard);
    act(shard, h);
    if (h.left) {
      move_on(shard, h, ports_.clock());
      act(shard, h);
    }
    if (h.machine.is_serving() && h.writable != h.machine.takes_writes()) {
      h.writable = h.machine.takes_writes();
      tell(shard, h.writable ? progress::writable : progress::read_only);
    }
    if (failed_)
      break;
  }
  into = std::exchange(round_, {});
  into.needed = into.needed || !into.rows.empty();
  writes_synced_ = into.sync;
  if (into.needed && into.rows.empty())  // for the sync alone
    into.rows.push_back(
        {.family = storage::family::meta, .key = storage::keys::meta("synced"), .value = "1"});
}

void replicas::written(bool ok) {
  if (!ok || failed_)
    return;
  for (auto& [shard, h] : shards_) {
    if (h.writes.empty())
      continue;
    h.log.note_written();
    const auto last = h.writes.back();
    h.writes.clear();
    h.machine.written(last, writes_synced_);
    touch(shard);
  }
  for (auto& item : std::exchange(later_, {})) {
    if (auto* h = find(item.what.shard); h && item.what.happened == progress::committed)
      h->applied_written = std::max(h->applied_written, item.what.offset);
    auto& h = shards_.at(item.what.shard);
    if (!item.applied.empty() && !h.machine.is_serving())
      ports_.applied(item.what.shard, item.applied);
    if (item.what.shard != model::catalogue_shard) {
      pass_on(item.what);
      continue;
    }
    if (item.what.happened == progress::committed && h.machine.is_serving()) {
      catalogue_commits_.push_back({item.what, ports_.clock()});
      continue;
    }
    if (item.what.happened == progress::committed && h.record.primary &&
        *h.record.primary != options_.self)
      (void)ports_.send(
          *h.record.primary,
          encode_replica(item.what.shard, applied_up_to{h.machine.epoch(), item.what.offset}));
    if (item.what.happened == progress::began)
      catalogue_applied_.clear();
    release_catalogue(true);
    pass_on(item.what);
  }
  release_catalogue(false);
}

/// Tells the commits that all nodes have applied, or have had their time for.
void replicas::release_catalogue(bool all) {
  const auto now = ports_.clock();
  while (!catalogue_commits_.empty()) {
    const auto& first = catalogue_commits_.front();
    const auto everywhere = std::ranges::all_of(nodes_, [&](node_id who) {
      const auto known = catalogue_applied_.find(who);
      return who == options_.self || leaving_.contains(who) ||
             (known != catalogue_applied_.end() && known->second >= first.what.offset);
    });
    if (!all && !everywhere && now < first.since + options_.spread_patience)
      return;
    if (!all && !everywhere)
      log::warn("cluster", "change_not_everywhere", {{"offset", first.what.offset}});
    pass_on(first.what);
    catalogue_commits_.pop_front();
  }
}

void replicas::pass_on(const actors::shard_progress& what) {
  if (what.happened == progress::began)
    served_.insert(what.shard);
  else if (what.happened == progress::ended)
    served_.erase(what.shard);
  progress_.push_back(what);
}

std::vector<actors::shard_progress> replicas::take_progress() {
  return std::exchange(progress_, {});
}

void replicas::start_again() {
  failed_ = false;
  // Also where a role began or ended in the round that failed: nobody was told of that.
  auto records = shard_records{};
  for (const auto& [shard, h] : shards_) {
    if (h.machine.is_serving())
      served_.insert(shard);
    if (h.record.version > 0)
      records.emplace(shard, h.record);
  }
  if (const auto ok = open(); !ok) {
    log::error("cluster", "replicas_not_read", {{"detail", ok.error().detail}});
    failed_ = round_.needed = true;
    return;
  }
  release_catalogue(true);
  for (const auto shard : std::set{served_})
    pass_on({shard, progress::ended});
  if (incarnation_)
    registered(*incarnation_, records);
}

}  // namespace orrery::cluster
