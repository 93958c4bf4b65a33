#include "cluster/held_shard.hpp"

#include <algorithm>
#include <utility>

#include "cluster/shipping.hpp"
#include "observe/log.hpp"
#include "storage/frame.hpp"

namespace orrery::cluster {
namespace {

namespace log = observe::log;
using progress = actors::shard_progress::what;
using catalogue_state = replicas_shared::catalogue_state;

constexpr std::uint64_t behind_max = 1000;  // records a learner may lack to be taken in
constexpr auto propose_pause = std::chrono::milliseconds{200};
constexpr auto offer_again_after = std::chrono::seconds{30};
constexpr auto leave_pause = std::chrono::seconds{5};  // before a move is tried again

}  // namespace

held_shard::held_shard(replicas_shared& with, model::shard_id shard, shard_log log,
                       replica::kept kept)
    : with_{&with},
      shard_{shard},
      machine_{with.options.self,
               {.min_in_sync = shard == model::catalogue_shard ? 1 : with.options.min_in_sync,
                .sync = with.options.sync,
                .behind_max = behind_max},
               std::move(kept)},
      log_{std::move(log)},
      intake_{with, shard},
      applied_{0} {}

model::result<held_shard> held_shard::open(replicas_shared& with, model::shard_id shard) {
  auto log = shard_log{with.store, shard};
  auto kept = log.open();
  if (!kept)
    return kept.error();
  kept->whole = with.options.whole;
  kept->restored = with.options.restored;
  const auto commit = kept->commit;
  auto made = held_shard{with, shard, std::move(log), std::move(*kept)};
  made.applied_ = commit;
  return made;
}

// ---- from the coordinator -----------------------------------------------------------------------

void held_shard::registered(const shard_record& now) {
  record_ = now;
  proposing_ = false;
  machine_.registered(*with_->incarnation, now);
  note_catalogue(0, 0);
}

void held_shard::lapsed() {
  machine_.lapsed();
  proposing_ = false;
}

bool held_shard::record_read(const shard_record& now) {
  if (now.version <= record_.version)
    return false;
  record_ = now;
  if (!with_->incarnation)
    return false;
  if (machine_.has_joined())
    machine_.record_read(now);
  else
    machine_.registered(*with_->incarnation, now);
  note_catalogue(0, 0);
  return true;
}

bool held_shard::decided(std::uint64_t on, const shard_record& now) {
  proposing_ = false;
  if (now.version >= record_.version)
    record_ = now;
  if (!with_->incarnation)
    return false;
  if (machine_.has_joined())
    machine_.proposal_decided(on, now);
  else
    machine_.registered(*with_->incarnation, now);
  return true;
}

// ---- from other nodes and the host --------------------------------------------------------------

void held_shard::link_up(node_id who) {
  machine_.ship_again(who);
  followers_[who] = {.matched = machine_.matched(who), .moved = with_->ports.clock()};
  ship_ = true;
}

/// First the catalogue, then what can be made sense of by it alone.
bool held_shard::learns_later() const {
  return shard_ != model::catalogue_shard && with_->catalogue == catalogue_state::behind &&
         !record_.in_sync.contains(with_->options.self);
}

/// `commit`: what its primary has said that is committed in `epoch`; 0: nothing was said.
void held_shard::note_catalogue(std::uint64_t epoch, std::uint64_t commit) {
  if (shard_ != model::catalogue_shard || with_->catalogue == catalogue_state::level ||
      record_.version == 0)
    return;
  const auto level = machine_.has_joined() &&
                     (machine_.is_serving() || record_.in_sync.contains(with_->options.self) ||
                      (epoch == machine_.epoch() && commit > 0 && commit == machine_.commit()));
  with_->catalogue = level ? catalogue_state::level : catalogue_state::behind;
}

void held_shard::received(node_id from, replica_envelope what) {
  if (auto* m = std::get_if<append_entries>(&what)) {
    if (learns_later())
      return;  // it is sent again every second
    const auto epoch = m->epoch, commit = m->commit;
    machine_.received(from, std::move(*m));
    note_catalogue(epoch, commit);
  } else if (const auto* done = std::get_if<append_done>(&what)) {
    machine_.received(from, *done);
    auto& f = followers_[from];
    if (const auto matched = machine_.matched(from); matched != f.matched) {
      f.matched = matched;
      f.moved = with_->ports.clock();
      f.unacknowledged_bytes = 0;
      ship_ = ship_ || std::exchange(f.blocked, false);
    }
  } else if (const auto* refused = std::get_if<append_refused>(&what)) {
    machine_.received(from, *refused);
  } else if (const auto* begun = std::get_if<copy_begun>(&what)) {
    if (learns_later())
      return with_->send(from, shard_, copy_taken{begun->copy, 0, false});
    act();  // what was to be written before comes before what takes it away
    intake_.take(machine_, log_, from, *begun);
  } else if (const auto* rows = std::get_if<copy_rows>(&what)) {
    intake_.take(from, *rows);
  } else if (const auto* ended = std::get_if<copy_ended>(&what)) {
    if (const auto at = intake_.take(machine_, log_, from, *ended))
      applied_ = *at;
  } else if (const auto* taken = std::get_if<copy_taken>(&what)) {
    with_->copies.taken(from, *taken);
  }
}

bool held_shard::host_left() {
  if (leaving_)
    left_ = true;
  return leaving_;
}

// ---- time ---------------------------------------------------------------------------------------

bool held_shard::may_propose(milliseconds now) const {
  return !proposing_ && now >= proposed_ + propose_pause;
}

void held_shard::look_at(milliseconds now) {
  if (!with_->incarnation || record_.version == 0)
    return;
  const auto may = may_propose(now);
  if (!machine_.has_joined()) {
    if (may)
      machine_.registered(*with_->incarnation, record_);
    return;
  }
  intake_.give_up_if_silent(machine_, now);
  trim(now);
  if (machine_.is_primary())
    return lead(now);
  offer(now);
  if (may && (!record_.primary || !with_->nodes.registered.contains(*record_.primary)))
    machine_.primary_gone(record_);
  if (may && record_.primary == with_->options.self)
    machine_.record_read(record_);  // an epoch that it led before: the next one is to be taken
}

bool held_shard::is_under_way() const {
  if (!with_->incarnation || record_.version == 0)
    return false;
  if (!machine_.has_joined() || proposing_ || machine_.has_proposed() || intake_.is_open())
    return true;
  const auto& nodes = with_->nodes;
  if (!machine_.is_primary())
    return stuck_since_.has_value() ||
           (record_.in_sync.contains(with_->options.self) &&
            (!record_.primary || record_.primary == with_->options.self ||
             !nodes.registered.contains(*record_.primary)));
  if (leaving_ || with_->hands_over_all || !machine_.is_serving() || machine_.commit() < last())
    return true;
  for (const auto who : record_.replicas)
    if (who != with_->options.self &&
        (record_.in_sync.contains(who) ? !nodes.is_there(who) || machine_.matched(who) < last()
                                       : nodes.is_there(who)))
      return true;
  return !std::ranges::includes(record_.replicas, record_.in_sync);
}

shard_part held_shard::part() const {
  const auto self = with_->options.self;
  const auto serves = machine_.is_serving(), in_sync = record_.in_sync.contains(self);
  return {.unjoined = !machine_.has_joined() && record_.version > 0,
          .primary = serves,
          .in_sync = in_sync,
          .learning = !in_sync && record_.replicas.contains(self),
          .lacking = serves && record_.in_sync.size() < record_.replicas.size() &&
                     shard_ != model::catalogue_shard};
}

/// Says what is here when nobody who has all of the shard comes.
void held_shard::offer(milliseconds now) {
  const auto is_there = [&](node_id who) { return with_->nodes.registered.contains(who); };
  const auto has_some = record_.replicas.contains(with_->options.self) || last() > 0;
  if ((record_.primary && is_there(*record_.primary)) || !has_some ||
      std::any_of(record_.in_sync.begin(), record_.in_sync.end(), is_there)) {
    stuck_since_.reset();
    offered_.reset();
    return;
  }
  stuck_since_ = stuck_since_.value_or(now);
  if (now < *stuck_since_ + with_->options.offer_after ||
      (offered_ && now < *offered_ + offer_again_after))
    return;
  offered_ = now;
  with_->ports.offer(shard_, {.version = record_.version, .end = machine_.log().last()});
}

primary_view held_shard::view() const {
  return {.shard = shard_,
          .self = with_->options.self,
          .record = record_,
          .followers = followers_,
          .nodes = with_->nodes,
          .last = last()};
}

void held_shard::lead(milliseconds now) {
  if (may_propose(now))
    machine_.propose_again();
  const auto v = view();
  for (const auto who : record_.replicas) {
    if (who == with_->options.self)
      continue;
    note_matched(followers_[who], machine_.matched(who), v.last, now);
    if (!with_->nodes.linked.contains(who))
      with_->nodes.unlinked_since.emplace(who, now);
  }
  for (const auto& change :
       in_sync_changes(v, with_->options.catalogue_factor, with_->options.silence, now))
    if (change.takes_in)
      machine_.take_in(change.who);
    else
      machine_.give_up(change.who);
  for (const auto who : record_.replicas) {
    const auto how = who == v.self ? reminder::none : reminder_for(v, who, now);
    if (how == reminder::none)
      continue;
    auto& f = followers_.at(who);
    f.asked = now;
    f.told_commit = 0;
    ship_ = true;
    if (how == reminder::everything) {
      f.unacknowledged_bytes = 0;
      machine_.ship_again(who);
    }
  }
  if (told_commit_ != machine_.commit())
    ship_ = true;
  move_on(now);
}

/// A planned move: the host lets go of the shard, all is committed, then it is given away.
void held_shard::move_on(milliseconds now) {
  const auto to = successor(view(), with_->hands_over_all);
  if (!leaving_) {
    if (to && machine_.is_serving() && now >= leave_again_ &&
        machine_.matched(*to) + behind_max >= last()) {
      leaving_ = true;
      left_ = false;
      leave_began_ = now;
      with_->ports.leave(shard_);
    }
    return;
  }
  if (left_ && to && machine_.is_serving() && machine_.hand_over(*to)) {
    leave_again_ = now + leave_pause;  // if the coordinator says no
    with_->figures->moves.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // Its host reads all from the store then: everything must have got there.
  if (machine_.is_serving() && applied_ >= last() &&
      (!to || now > leave_began_ + with_->options.leave_patience)) {
    leaving_ = left_ = false;
    leave_again_ = now + leave_pause;
    with_->ports.stay(shard_);
  }
}

void held_shard::trim(milliseconds now) {
  if (now < trimmed_ + with_->options.trim_interval || intake_.is_open())
    return;
  trimmed_ = now;
  const auto meta = with_->store->meta(shard_);
  if (!meta)
    return;
  auto kept_to = std::min(meta->checkpoint_offset, log_.applied());
  if (machine_.is_primary())  // what a follower still lacks is kept for it
    for (const auto& [who, f] : followers_)
      if (with_->nodes.linked.contains(who) && f.matched > 0)
        kept_to = std::min(kept_to, f.matched);
  const auto ok = with_->store->trim_journal(shard_, kept_to,
                                             with_->ports.now() - with_->options.journal_retention);
  const auto begin = log_.begin_kept();
  if (!ok || !begin)
    return;
  if (*begin > machine_.log().begin().index && *begin <= machine_.commit()) {
    machine_.trim(*begin);
    with_->round.rows.push_back(log_.outline_row(machine_.log()));
  }
}

// ---- from the writer ----------------------------------------------------------------------------

std::optional<std::uint64_t> held_shard::write(storage::frame& f) {
  if (!machine_.is_serving())
    return std::nullopt;
  f.epoch = machine_.epoch();
  const auto before = last();
  f.first_offset = before + 1;
  const auto records = std::max<std::size_t>(f.records.size(), 1);
  auto bytes = std::string{};
  if (f.records.empty())
    bytes = encode_entry(f, with_->ports.now());
  else
    storage::encode_frame(f, bytes, true);
  const auto at = machine_.write(records, std::make_shared<const std::string>(std::move(bytes)));
  if (!at)
    return std::nullopt;
  for (auto& [who, follower] : followers_)
    if (follower.matched >= before)
      follower.moved = with_->ports.clock();  // until now nothing was missing there
  taken_ = at->index;
  taken_rows_ = std::exchange(f.rows, {});
  act();
  return at->index;
}

void held_shard::act_for_round() {
  act();
  if (left_) {
    move_on(with_->ports.clock());
    act();
  }
  if (machine_.is_serving() && writable_ != machine_.takes_writes()) {
    writable_ = machine_.takes_writes();
    with_->tell(shard_, writable_ ? progress::writable : progress::read_only);
  }
}

bool held_shard::written(bool synced) {
  if (writes_.empty())
    return false;
  log_.note_written();
  const auto last = writes_.back();
  writes_.clear();
  machine_.written(last, synced);
  return true;
}

// ---- what the state machine says ----------------------------------------------------------------

void held_shard::act() {
  for (auto again = true; again && !with_->failed;) {
    again = false;
    for (auto& a : machine_.take_actions()) {
      again = true;
      std::visit([this](auto& what) { take(what); }, a);
      if (with_->failed)
        return;
    }
    if (std::exchange(ship_, false) && machine_.is_primary()) {
      machine_.ship_all();
      told_commit_ = machine_.commit();
      again = true;
    }
  }
}

void held_shard::take(send_to& m) {
  std::visit([&](auto& message) { with_->send(m.to, shard_, message); }, m.what);
}

void held_shard::take(const ship& what) {
  if (with_->nodes.linked.contains(what.to) && machine_.is_primary() &&
      ship_log(*with_, shard_, machine_, log_, followers_[what.to], what) == shipped::too_old)
    send_copy(*with_, shard_, machine_, applied_, what.to);
}

void held_shard::take(const send_checkpoint& what) {
  send_copy(*with_, shard_, machine_, applied_, what.to);
}

void held_shard::take(write_log& what) {
  for (auto& e : what.entries)
    if (!e.bytes)
      e.bytes = std::make_shared<const std::string>(encode_entry({.shard = shard_,
                                                                  .epoch = e.at.epoch,
                                                                  .first_offset = e.at.index,
                                                                  .records = {},
                                                                  .rows = {}},
                                                                 with_->ports.now()));
  // A write may be for the sync alone, and come before that of the entry that was taken.
  auto rows = std::vector<storage::row>{};
  if (!what.entries.empty() && what.entries.back().at.index == taken_)
    rows = std::exchange(taken_rows_, {});
  auto& round = with_->round;
  log_.write(what.after, std::move(what.entries), machine_.log(), std::move(rows), round.rows);
  writes_.push_back(what.number);
  with_->writing.insert(shard_);
  round.needed = true;
  round.sync = round.sync || what.sync;
  ship_ = ship_ || machine_.is_primary();
}

void held_shard::take(const discard&) {
  log::warn("cluster", "copy_discarded", {{"shard", shard_}, {"applied", log_.applied()}});
  intake_.close();
  applied_ = 0;
  // Nothing of the shard that waits for its write may come behind what takes it away.
  (void)with_->put_round_and(log_.discard());
}

void held_shard::take(const mark_led& what) {
  with_->figures->elections.fetch_add(1, std::memory_order_relaxed);
  log::info("cluster", "leads", {{"shard", shard_}, {"epoch", what.epoch}});
  // The outline may know entries whose frames are not written yet: they go first.
  if (with_->put_round_and({log_.mark(what.epoch, machine_.log())})) {
    with_->on_round_put();
    followers_.clear();
    told_commit_ = 0;
  }
}

void held_shard::take(const commit_up_to& what) {
  auto& rows = with_->round.rows;
  const auto before = rows.size();
  if (const auto ok = log_.apply(what.index, rows); !ok) {
    log::error("cluster", "not_applied", {{"shard", shard_}, {"detail", ok.error().detail}});
    with_->fail();
    return;
  }
  auto item = shard_news{{shard_, progress::committed, what.index, what.acknowledge}};
  const auto in_catalogue = shard_ == model::catalogue_shard;
  if (in_catalogue)
    item.applied.assign(rows.begin() + static_cast<std::ptrdiff_t>(before), rows.end());
  with_->news.push_back(std::move(item));
  ship_ = ship_ || (in_catalogue && machine_.is_primary());
}

void held_shard::take(const propose& what) {
  if (proposing_)
    return;
  const auto members = what.what.wanted.in_sync.size();
  if (members < record_.in_sync.size())
    with_->figures->given_up.fetch_add(1, std::memory_order_relaxed);
  else if (members > record_.in_sync.size())
    with_->figures->taken_in.fetch_add(1, std::memory_order_relaxed);
  proposing_ = true;
  proposed_ = with_->ports.clock();
  with_->ports.propose(shard_, what.what);
}

void held_shard::take(const begin_serving&) {
  leaving_ = left_ = false;
  writable_ = true;
  with_->tell(shard_, progress::began, machine_.commit());
}

void held_shard::take(const end_serving&) {
  log::info("cluster", "ends", {{"shard", shard_}, {"epoch", machine_.epoch()}});
  leaving_ = left_ = false;
  with_->tell(shard_, progress::ended);
}

}  // namespace orrery::cluster
