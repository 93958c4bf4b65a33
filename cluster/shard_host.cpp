#include "cluster/shard_host.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <caf/all.hpp>

#include "actors/kinds.hpp"
#include "cluster/shard_deadlines.hpp"
#include "cluster/topic_questions.hpp"
#include "observe/log.hpp"
#include "storage/keys.hpp"

namespace orrery::cluster {
namespace {

namespace keys = storage::keys;
using actors::ask;
using actors::ask_batch;

using shared_name = model::cow<model::device_name>;

/// Names by their text, as they are and as they are shared.
struct by_name {
  using is_transparent = void;
  static const model::device_name& view(const model::device_name& name) { return name; }
  static const model::device_name& view(const shared_name& name) { return *name; }
  std::size_t operator()(const auto& name) const {
    return std::hash<model::device_name>{}(view(name));
  }
  bool operator()(const auto& a, const auto& b) const { return view(a) == view(b); }
};

/// One awake entity.
struct slot {
  actors::entity_actor actor;
  std::shared_ptr<actors::gate> gate;
  shared_name called;        // by which it was asked; it may be another's by now
  bool resting = false;      // told to rest, has not answered
  std::uint64_t round = 0;   // checkpoint ordered after that: lost if it rests
  std::vector<ask> waiting;  // came while it was going to rest
  /// When it had last been asked as it was last told to rest.
  model::timestamp tried = model::timestamp::min();
};

/// Telemetry of an entity that only the journal has.
struct unsaved_tail {
  model::entity_kind kind{};
  actors::tail records;
};

/// Whose slot it is: two kinds may have been asked for by the same id.
struct slot_key {
  model::entity_id id;
  model::entity_kind kind;
  bool operator==(const slot_key&) const = default;
};
struct by_slot_key {
  std::size_t operator()(const slot_key& k) const {
    return std::hash<model::entity_id>{}(k.id) + static_cast<std::size_t>(k.kind);
  }
};
using slots_by_id = std::unordered_map<slot_key, slot, by_slot_key>;
using names_by_text = std::unordered_map<shared_name, model::entity_id, by_name, by_name>;
using tails_by_id = std::unordered_map<model::entity_id, unsaved_tail>;

/// What a host had awake before its shard went, or was opened anew. Nobody reaches it any more.
struct past_life {
  slots_by_id slots;
  names_by_text names;
  tails_by_id tails;
  bool is_over() const { return slots.empty() && names.empty() && tails.empty(); }
};

struct checkpoint_round {
  std::uint64_t number = 0;  // of the orders; 0: none runs
  std::uint64_t offset = 0;  // everything up to here is in the store when all have answered
  std::size_t open = 0;
  bool failed = false;
};

struct host_state {
  host_state() = default;
  host_parts parts;
  std::shared_ptr<const actors::entity_context> context;
  slots_by_id slots;
  names_by_text names;  // of awake devices, and of those being registered
  tails_by_id tails;    // of entities that were not woken since the shard was opened
  std::unordered_set<model::entity_id> registered;  // here, since they woke; the index may not know
  std::optional<shard_deadlines> deadlines;
  std::optional<topic_questions> topics;
  std::uint64_t generation = 0;  // as last told; entities woken now decide under it
  bool closed = false;           // its journal could not be read: it answers nobody until it is
  actors::shard_role::what role = actors::shard_role::what::serves;
  std::set<caf::actor_addr> ending{};  // entities that were asked something before it leaves
  std::vector<past_life> past{};       // is ended bit by bit
  bool slice_ordered = false;
  bool looks_again = false;  // for lost sessions
  bool ticks = false;
  checkpoint_round round;
  std::uint64_t rounds = 0;
  std::uint64_t round_tail_bytes = 0;
  std::uint64_t checkpoint_bytes = 0;  // behind the checkpoint, when the next one is due
  model::timestamp last_checkpoint{};
  model::timestamp last_trim{};
};

using slice_atom = caf::atom_constant<caf::atom("slice")>;
using slicing_host = actors::host_actor::extend<caf::reacts_to<slice_atom>>;
using pointer = slicing_host::stateful_pointer<host_state>;

constexpr auto trim_interval = std::chrono::minutes{1};
constexpr auto lost_sessions_pause = std::chrono::seconds{2};
constexpr auto lost_session_number = shard_deadlines::first_number - 1;  // of all such questions
// To wake or to end an entity takes 10 to 40 us. Whoever else wants the thread waits for one slice.
constexpr auto slice_size = std::size_t{128};
constexpr auto slice_pause = std::chrono::milliseconds{5};

void answer(const ask& one, const model::failure& why) {
  if (one.from && one.number != 0)
    one.from.settle({{one.number, why}});
}

void ask_batch_here(pointer self, ask_batch& batch);

slot& wake(pointer self, const model::entity_id& id, model::entity_kind kind) {
  auto& state = self->state;
  auto [place, fresh] = state.slots.try_emplace({id, kind});
  auto& s = place->second;
  if (!s.actor) {
    auto unsaved = actors::tail{};
    if (const auto tail = state.tails.find(id);
        tail != state.tails.end() && tail->second.kind == kind) {
      unsaved = std::move(tail->second.records);
      state.tails.erase(tail);
    }
    s.gate = std::make_shared<actors::gate>();
    s.gate->unsaved = !unsaved.empty();
    s.gate->last_asked = state.context->now();
    s.actor = actors::spawn_entity(self->system(), kind, id, state.context, state.generation,
                                   std::move(unsaved), s.gate);
    state.parts.awake->fetch_add(1, std::memory_order_relaxed);
  }
  return s;
}

void forget(pointer self, const model::entity_id& id, model::entity_kind kind) {
  auto& state = self->state;
  const auto s = state.slots.find({id, kind});
  if (s == state.slots.end())
    return;
  if (const auto named = state.names.find(s->second.called);
      named != state.names.end() && named->second == id)
    state.names.erase(named);
  state.slots.erase(s);
  state.parts.awake->fetch_sub(1, std::memory_order_relaxed);
  if (kind == model::entity_kind::device)
    state.registered.erase(id);
}

/// The device that the store has under that name.
model::result<std::optional<model::entity_id>> find_stored_name(pointer self,
                                                                const model::device_name& name) {
  auto& state = self->state;
  auto found = std::optional<model::entity_id>{};
  const auto prefix =
      keys::index_prefix(state.parts.shard, "name", name.product_key + '\x1f' + name.device_key);
  auto ok =
      state.context->store->scan(storage::family::index, prefix, {}, false, [&](auto key, auto) {
        found = keys::entity_of(key);
        return false;
      });
  if (!ok)
    return ok.error();
  return found;
}

/// The device of that name: awake, or registered in the store.
model::result<std::optional<model::entity_id>> find_name(pointer self,
                                                         const model::device_name& name) {
  auto& state = self->state;
  if (const auto known = state.names.find(name); known != state.names.end())
    return std::optional{known->second};
  auto found = find_stored_name(self, name);
  if (found && *found)
    state.names.emplace(shared_name{name}, **found);
  return found;
}

/// Turns a name into an id; answers the question itself where there is no such device.
std::optional<model::entity_id> resolve(pointer self, const ask& one) {
  if (const auto* id = std::get_if<model::entity_id>(&one.whom))
    return *id;
  const auto& name = std::get<model::device_name>(one.whom);
  auto found = find_name(self, name);
  if (!found) {
    answer(one, found.error());
    return std::nullopt;
  }
  if (!*found)
    answer(one, {model::errc::not_found, "device_unknown",
                 "no device " + name.device_key + " in product " + name.product_key});
  return *found;
}

/// The name that a question would take for an entity that is new.
const model::device_name* name_taken_by(const model::device::command* what) {
  if (!what)
    return nullptr;
  if (const auto* device = std::get_if<model::device::register_device>(&what->what))
    return &device->name;
  const auto* alias = std::get_if<model::device::reserve_name>(&what->what);
  return alias ? &alias->name : nullptr;
}

/// True if the entity may have another name afterwards, or none.
bool may_end_name(const model::device::command* what) {
  if (!what)
    return false;
  if (const auto* retire = std::get_if<model::device::retire_device>(&what->what))
    return retire->quarantine == model::milliseconds{0};  // it is removed at once
  return std::holds_alternative<model::device::remove_device>(what->what) ||
         std::holds_alternative<model::device::time_passed>(what->what) ||  // it may be purged
         std::holds_alternative<model::device::rename_device>(what->what) ||
         std::holds_alternative<model::device::emigrate_device>(what->what) ||
         std::holds_alternative<model::device::settle_name>(what->what);
}

/// A registration comes with the new id; the name decides whether it is new. A deleted device is
/// awake for a while under the name that it had: whoever takes the name next is another device.
model::entity_id resolve_registration(pointer self, const model::entity_id& wanted,
                                      const model::device_name& name) {
  auto& state = self->state;
  if (const auto known = state.names.find(name);
      known != state.names.end() && state.registered.contains(known->second))
    return known->second;
  if (auto found = find_stored_name(self, name); found && *found) {
    state.names.insert_or_assign(shared_name{name}, **found);
    return **found;
  }
  state.names.insert_or_assign(shared_name{name}, wanted);
  state.registered.insert(wanted);
  return wanted;
}

bool serves(const host_state& state) {
  return state.role == actors::shard_role::what::serves;
}

/// True if it is for all whom a topic concerns, or for one more than there may be.
bool ask_all(pointer self, ask& one) {
  auto& topics = *self->state.topics;
  if (const auto ok = topics.admit(one); !ok) {
    answer(one, ok.error());
    return true;
  }
  auto batch = topics.spread(one, caf::actor_cast<actors::settler>(self));
  if (batch)
    ask_batch_here(self, *batch);
  return batch.has_value();
}

void ask_batch_here(pointer self, ask_batch& batch) {
  auto& state = self->state;
  if (!serves(state)) {
    batch.entered = false;
    state.parts.elsewhere(std::move(batch));
    return;
  }
  if (state.closed) {
    for (const auto& one : batch.asks)
      answer(one, {model::errc::unavailable, "shard_closed",
                   "the journal of its shard cannot be read; ask again"});
    return;
  }
  auto next = std::size_t{0};
  while (next < batch.asks.size()) {
    auto& first = batch.asks[next];
    if (ask_all(self, first)) {
      ++next;
      continue;
    }
    auto id = std::optional<model::entity_id>{};
    const auto* device = std::get_if<model::device::command>(&first.what);
    const auto* registration = name_taken_by(device);
    if (const auto* given = std::get_if<model::entity_id>(&first.whom); given && registration)
      id = resolve_registration(self, *given, *registration);
    else
      id = resolve(self, first);
    if (!id) {
      ++next;
      continue;
    }
    if (may_end_name(device))
      state.registered.erase(*id);
    auto& s = wake(self, *id, actors::kind_of(first.what));
    const auto* name = registration ? registration : std::get_if<model::device_name>(&first.whom);
    if (name && s.called->device_key.empty())
      if (const auto known = state.names.find(*name); known != state.names.end())
        s.called = known->first;
    // Questions for the same entity that stand together travel together.
    auto group = ask_batch{.shard = batch.shard, .asks = {}};
    const auto whom = first.whom;
    const auto is_new = registration != nullptr;
    do {
      auto& one = batch.asks[next];
      state.topics->see(*id, one);
      if (s.resting)
        s.waiting.push_back(std::move(one));
      else
        group.asks.push_back(std::move(one));
      ++next;
    } while (!is_new && next < batch.asks.size() && batch.asks[next].whom == whom);
    if (!group.asks.empty()) {
      group.entered = s.gate->enter();
      self->send(s.actor, std::move(group));
    }
  }
}

/// Replays the tail of the journal: keeps what the rows of entities lack for when they are woken.
model::status open_shard(pointer self) {
  auto& state = self->state;
  const auto& store = *state.context->store;
  const auto meta = store.meta(state.parts.shard);
  if (!meta)
    return meta.error();
  auto tails = tails_by_id{};
  auto last = meta->next_offset - 1;
  auto bytes = std::uint64_t{0};
  auto ok = store.replay(state.parts.shard, meta->checkpoint_offset + 1,
                         [&](std::uint64_t offset, std::uint64_t, const storage::record& r) {
                           if (actors::must_replay(r)) {
                             auto& t = tails[r.entity];
                             t.kind = r.kind;
                             t.records.push_back({r.revision, r.events});
                           }
                           last = std::max(last, offset);
                           bytes += r.events.size();
                           return true;
                         });
  if (!ok)
    return ok;
  state.context->shard->committed.store(last, std::memory_order_release);
  state.context->shard->tail_bytes.store(bytes, std::memory_order_relaxed);
  if (!tails.empty())
    observe::log::info(
        "shard", "replayed",
        {{"shard", state.parts.shard}, {"entities", tails.size()}, {"bytes", bytes}});
  state.tails = std::move(tails);
  return {};
}

actors::any_command lost_command(model::entity_kind kind, std::uint64_t incarnation) {
  if (kind == model::entity_kind::client)
    return model::client::command{model::client::session_lost{incarnation}, {}, {}};
  return model::device::command{model::device::session_lost{incarnation}, {}, {}, {}};
}

actors::any_command time_command(model::entity_kind kind) {
  if (kind == model::entity_kind::client)
    return model::client::command{model::client::time_passed{}, {}, {}};
  if (kind == model::entity_kind::topic)
    return model::topic::command{model::topic::time_passed{}, {}, {}};
  if (kind == model::entity_kind::audit_log)
    return model::audit::command{model::audit::time_passed{}, {}, {}};
  if (kind == model::entity_kind::operation)
    return model::operation::command{model::operation::time_passed{}, {}, {}};
  return model::device::command{model::device::time_passed{}, {}, {}, {}};
}

/// Asks an entity in the host's own name; the answer comes back under the number.
void tell(pointer self, const model::entity_id& whom, actors::any_command what,
          std::uint64_t number) {
  auto batch = ask_batch{.shard = self->state.parts.shard, .asks = {}};
  batch.asks.push_back({caf::actor_cast<actors::settler>(self), number, whom, std::move(what)});
  ask_batch_here(self, batch);
}

/// Sessions on nodes that are gone ended with them.
model::status tell_lost_sessions(pointer self, model::entity_kind kind, std::string_view index) {
  auto& state = self->state;
  auto lost = std::vector<std::pair<model::entity_id, std::uint64_t>>{};
  auto ok = state.context->store->scan(
      storage::family::index, keys::index_prefix(state.parts.shard, index), {}, false,
      [&](auto key, auto) {
        const auto id = keys::entity_of(key);
        const auto value = keys::index_value_of(key);
        if (id && value) {
          const auto incarnation =
              static_cast<std::uint64_t>(model::to_ms(keys::from_ordered(*value)));
          if (state.parts.session_lost(incarnation))
            lost.emplace_back(*id, incarnation);
        }
        return true;
      });
  if (!ok)
    return ok;
  for (const auto& [id, incarnation] : lost)
    tell(self, id, lost_command(kind, incarnation), lost_session_number);
  return {};
}

model::status tell_lost_sessions(pointer self) {
  auto ok = tell_lost_sessions(self, model::entity_kind::device, "session");
  return ok ? tell_lost_sessions(self, model::entity_kind::client, "client-session") : ok;
}

/// Calls `take(id, value)` for the rows of an index of the shard, from a key on, until it is false.
template <class F>
model::status scan_index(pointer self, std::string_view index, std::string_view from, F take) {
  const auto& state = self->state;
  return state.context->store->scan(storage::family::index,
                                    keys::index_prefix(state.parts.shard, index), from, false,
                                    [&](auto key, auto) {
                                      const auto id = keys::entity_of(key);
                                      const auto value = keys::index_value_of(key);
                                      return !id || !value || take(*id, *value);
                                    });
}

/// A device must not stay on-line because it could not be told that its node is gone.
void look_again_if_refused(pointer self, const actors::settled& item) {
  if (item.what || !model::may_work_later(item.what.error()) ||
      std::exchange(self->state.looks_again, true))
    return;
  self->delayed_send(self, lost_sessions_pause, actors::look_for_lost_sessions{});
}

/// Replays, then sets off what must not be forgotten: deadlines, and the ends of lost sessions.
model::status open_whole(pointer self) {
  auto ok = open_shard(self);
  if (ok)
    ok = self->state.deadlines->load(*self->state.context->store, self->state.context->now());
  if (ok)
    ok = self->state.topics->load(*self->state.context->store);
  if (ok && self->state.parts.shard != model::catalogue_shard)
    ok = tell_lost_sessions(self);
  return ok;
}

void wake_due(pointer self) {
  auto& state = self->state;
  const auto now = state.context->now();
  if (!state.closed)
    if (const auto ok = state.deadlines->load(*state.context->store, now); !ok)
      observe::log::warn("shard", "deadlines_not_read",
                         {{"shard", state.parts.shard}, {"detail", ok.error().detail}});
  // Nobody could take it: all would refuse, again and again.
  if (!state.context->shard->writable.load(std::memory_order_relaxed))
    return;
  for (const auto& one : state.deadlines->take(now))
    tell(self, one.id, time_command(one.kind), one.number);
}

/// It was told to rest, did not, and was not asked since: it has something in flight.
bool has_refused(const slot& s, model::timestamp asked) {
  return !s.resting && s.tried == asked;
}

/// When the `count` that were asked the longest ago, of those that may rest, were asked at the
/// latest; the end of time if there are fewer.
model::timestamp asked_before(const slots_by_id& slots, std::size_t count) {
  auto all = std::vector<model::timestamp>{};
  all.reserve(slots.size());
  for (const auto& [id, s] : slots)
    if (const auto asked = s.gate->last_asked.load(std::memory_order_relaxed);
        !s.resting && !has_refused(s, asked))
      all.push_back(asked);
  if (all.size() < count)
    return model::timestamp::max();
  const auto last = all.begin() + static_cast<std::ptrdiff_t>(count) - 1;
  std::nth_element(all.begin(), last, all.end());
  return *last;
}

/// Those that were not asked for long, and the idlest where a node has too many: who is asked again
/// wakes again. Whoever has refused is told again, but others are told in its place.
void rest_idle(pointer self) {
  auto& state = self->state;
  const auto& options = state.parts.options;
  const auto awake = std::max<std::int64_t>(state.parts.awake->load(std::memory_order_relaxed), 0);
  auto early =
      to_rest_early(static_cast<std::size_t>(awake), options.max_awake, state.slots.size());
  const auto before = state.context->now() - options.idle_timeout;
  const auto soon = early > 0 ? asked_before(state.slots, early) : before;
  for (auto& [id, s] : state.slots) {
    if (s.resting)
      continue;
    const auto asked = s.gate->last_asked.load(std::memory_order_relaxed);
    const auto again = has_refused(s, asked);
    if (asked > before && (asked > soon || (early == 0 && !again)))
      continue;
    early -= early > 0 && !again ? 1 : 0;
    s.tried = asked;
    s.resting = true;
    self->send(s.actor, actors::rest_order{});
  }
}

void begin_checkpoint(pointer self) {
  auto& state = self->state;
  const auto now = state.context->now();
  auto& shard = *state.context->shard;
  const auto bytes = shard.tail_bytes.load(std::memory_order_relaxed);
  if (state.round.number != 0 || bytes == 0 || state.closed || !state.tails.empty())
    return;
  if (bytes < state.checkpoint_bytes &&
      now < state.last_checkpoint + state.parts.options.checkpoint_interval)
    return;
  state.last_checkpoint = now;
  state.checkpoint_bytes = state.parts.options.checkpoint_bytes;
  state.round_tail_bytes = bytes;
  state.round = {.number = ++state.rounds,
                 .offset = shard.committed.load(std::memory_order_acquire)};
  for (auto& [id, s] : state.slots) {
    s.tried = s.resting ? s.tried : model::timestamp::min();  // what it refused for may be over
    if (s.gate->unsaved.exchange(false, std::memory_order_relaxed)) {
      s.round = s.resting ? state.round.number : 0;
      ++state.round.open;
      self->send(s.actor, actors::checkpoint_order{state.round.number});
    }
  }
  if (state.round.open == 0) {  // nothing but events that are in rows already
    ++state.round.open;
    self->send(self, actors::settled_batch{{{state.round.number, actors::outcome{}}}});
  }
}

void end_checkpoint(pointer self) {
  auto& state = self->state;
  auto& shard = *state.context->shard;
  if (!state.round.failed) {
    shard.tail_bytes.fetch_sub(state.round_tail_bytes, std::memory_order_relaxed);
    self->send(
        state.context->journal,
        actors::checkpoint_note{state.parts.shard, shard.generation.load(), state.round.offset});
  }
  if (state.round.failed)  // whoever it was: the next round asks all
    for (auto& [id, s] : state.slots)
      s.gate->unsaved.store(true, std::memory_order_relaxed);
  state.round = {};
}

/// One of those that a round waits for is done.
void count_down(pointer self) {
  if (--self->state.round.open == 0)
    end_checkpoint(self);
}

/// Closes all entities: nobody reaches them any more, and they end bit by bit once they have taken
/// what is on its way to them. What waited for one to rest has not been taken: it is given back.
std::vector<ask> close_entities(pointer self) {
  auto& state = self->state;
  auto waiting = std::vector<ask>{};
  for (auto& [id, s] : state.slots) {
    if (s.gate->close() && state.role == actors::shard_role::what::leaves) {
      self->monitor(s.actor);
      state.ending.insert(s.actor->address());
    }
    std::move(s.waiting.begin(), s.waiting.end(), std::back_inserter(waiting));
  }
  state.parts.awake->fetch_sub(static_cast<std::int64_t>(state.slots.size()),
                               std::memory_order_relaxed);
  auto past = past_life{std::exchange(state.slots, {}), std::exchange(state.names, {}),
                        std::exchange(state.tails, {})};
  if (!past.is_over())
    state.past.push_back(std::move(past));
  state.registered.clear();
  state.deadlines->clear();
  state.round = {};
  return waiting;
}

/// Takes away up to `slice_size` of them.
void shrink(auto& all) {
  for (auto left = slice_size; left > 0 && !all.empty(); --left)
    all.erase(all.begin());
}

/// Ends some entities of before, and wakes some of those whose telemetry only the journal has.
void do_slice(pointer self) {
  auto& state = self->state;
  if (!state.past.empty()) {
    auto& past = state.past.front();
    auto left = slice_size;
    for (auto s = past.slots.begin(); s != past.slots.end() && left > 0; --left) {
      self->send(s->second.actor, actors::write_lost{state.parts.shard, state.generation});
      s = past.slots.erase(s);
    }
    shrink(past.names);
    shrink(past.tails);
    if (past.is_over())
      state.past.erase(state.past.begin());
  }
  for (auto left = slice_size; left > 0 && !state.tails.empty(); --left) {
    const auto id = state.tails.begin()->first;
    wake(self, id, state.tails.begin()->second.kind);
  }
  if (!state.slice_ordered && !(state.past.empty() && state.tails.empty())) {
    state.slice_ordered = true;
    self->delayed_send(self, slice_pause, slice_atom::value);
  }
}

/// Opens it again after a lost write; if that does not work, the next tick tries once more.
void try_open(pointer self) {
  auto& state = self->state;
  state.closed = false;
  const auto ok = open_whole(self);
  if (ok)
    return;
  observe::log::error("shard", "not_reloaded",
                      {{"shard", state.parts.shard}, {"detail", ok.error().detail}});
  state.closed = true;
  (void)close_entities(self);
}

/// Everything decided on top of a lost write goes; what was committed comes back from the store.
void reload(pointer self, const actors::write_lost& lost) {
  auto& state = self->state;
  if (!serves(state))
    return;
  state.generation = lost.generation;
  for (const auto& one : close_entities(self))
    answer(one, {model::errc::unavailable, "write_lost", "an earlier write failed; ask again"});
  try_open(self);
  do_slice(self);
}

void say_left(pointer self) {
  auto& state = self->state;
  if (state.role == actors::shard_role::what::leaves && state.ending.empty())
    state.parts.on_left(state.parts.shard);
}

/// Sets the phase of what a shard does again and again. Shards take turns: a checkpoint of all in
/// the same moment would hold up every device of the node.
model::milliseconds take_turn(host_state& state) {
  const auto& options = state.parts.options;
  const auto count = state.context->shard_count;
  const auto turn = state.parts.shard % count + 1;  // 1 to count
  const auto now = state.context->now();
  state.checkpoint_bytes = options.checkpoint_bytes * turn / count;
  state.last_checkpoint = now - options.checkpoint_interval * (count - turn) / count;
  state.last_trim = now - model::milliseconds{trim_interval} * (count - turn) / count;
  return options.tick * turn / count;
}

/// A host that serves nothing sleeps: a node has one for every shard of the cluster.
void tick_if_serving(pointer self, model::milliseconds pause) {
  auto& state = self->state;
  if (!serves(state) || std::exchange(state.ticks, true))
    return;
  self->delayed_send(self, pause, actors::host_tick{});
}

void change_role(pointer self, const actors::shard_role& role) {
  using what = actors::shard_role::what;
  auto& state = self->state;
  if (role.now == what::leaves && !serves(state))
    return;  // it has gone meanwhile
  state.role = role.now;
  state.ending.clear();
  if (role.now != what::leaves)
    state.generation = role.generation;
  auto batch = ask_batch{.shard = state.parts.shard, .asks = close_entities(self)};
  if (serves(state)) {
    try_open(self);
    if (!state.closed)
      self->delayed_send(self, lost_sessions_pause, actors::look_for_lost_sessions{});
    tick_if_serving(self, take_turn(state));
  } else {
    say_left(self);
  }
  if (!batch.asks.empty())
    ask_batch_here(self, batch);
  do_slice(self);
}

slicing_host::behavior_type shard_host(pointer self, host_parts parts) {
  auto& state = self->state;
  state.parts = std::move(parts);
  state.deadlines.emplace(state.parts.shard);
  state.topics.emplace(state.parts.shard, state.parts.options.max_retained);
  auto context = state.parts.context;
  context.host = caf::actor_cast<actors::host_actor>(self);
  state.context = std::make_shared<const actors::entity_context>(std::move(context));
  state.generation = state.context->shard->generation.load(std::memory_order_acquire);
  self->set_down_handler([self](const caf::down_msg& down) {
    if (self->state.ending.erase(down.source) > 0)
      say_left(self);
  });
  if (state.parts.in_cluster)
    state.role = actors::shard_role::what::away;
  else
    state.parts.on_open(open_whole(self));
  do_slice(self);
  tick_if_serving(self, take_turn(state));
  return {[self](actors::settled_batch& batch) {
            auto& round = self->state.round;
            for (auto& item : batch.items)
              if (item.number >= topic_questions::first_number)
                self->state.topics->take(item);
              else if (item.number >= shard_deadlines::first_number)
                self->state.deadlines->settle(item, self->state.context->now());
              else if (item.number == lost_session_number)
                look_again_if_refused(self, item);
              else if (round.number != 0 && item.number == round.number) {
                round.failed = round.failed || !item.what;
                count_down(self);
              }
          },
          [self](ask_batch& batch) { ask_batch_here(self, batch); },
          [self](const actors::rest_answer& rest) {
            auto& slots = self->state.slots;
            const auto found = slots.find({rest.id, rest.kind});
            if (found == slots.end() || rest.generation != self->state.generation)
              return;  // of an entity from before a reload
            found->second.resting = false;
            auto waiting = std::exchange(found->second.waiting, {});
            const auto round = std::exchange(found->second.round, 0);
            if (rest.rested) {  // else `unsaved` stays: the next checkpoint asks it again
              forget(self, rest.id, rest.kind);
              if (round != 0 && round == self->state.round.number)
                count_down(self);  // it had nothing unsaved, and the order finds nobody
            }
            auto batch = ask_batch{.shard = self->state.parts.shard, .asks = {}};
            std::move(waiting.begin(), waiting.end(), std::back_inserter(batch.asks));
            if (!batch.asks.empty())
              ask_batch_here(self, batch);
          },
          [self](const actors::reminder& r) {
            if (serves(self->state))
              self->state.deadlines->add(r.at, r.id, r.kind);
          },
          [self](const actors::topic_note& note) {
            if (serves(self->state))
              self->state.topics->note(note.id, note.what);
          },
          [self](const actors::write_lost& lost) { reload(self, lost); },
          [self](const actors::shard_role& role) { change_role(self, role); },
          [self](actors::look_for_lost_sessions) {
            self->state.looks_again = false;
            if (serves(self->state) && !self->state.closed)
              (void)tell_lost_sessions(self);
          },
          [self](actors::host_tick) {
            auto& s = self->state;
            s.ticks = false;
            if (!serves(s))
              return;
            if (s.closed)
              try_open(self);
            wake_due(self);
            rest_idle(self);
            begin_checkpoint(self);
            if (const auto now = s.context->now(); now >= s.last_trim + trim_interval) {
              s.last_trim = now;
              self->send(s.context->journal, actors::trim_order{s.parts.shard});
            }
            do_slice(self);
            tick_if_serving(self, s.parts.options.tick);
          },
          [self](slice_atom) {
            self->state.slice_ordered = false;
            do_slice(self);
          }};
}

}  // namespace

std::size_t to_rest_early(std::size_t awake, std::size_t most, std::size_t here) {
  if (awake <= most)
    return 0;
  // In that order no product grows beyond what 64 bits hold: both are numbers of actors.
  return std::min(here, ((awake - most) * here + awake - 1) / awake);
}

actors::host_actor spawn_shard_host(caf::actor_system& system, host_parts parts) {
  return system.spawn(shard_host, std::move(parts));
}

}  // namespace orrery::cluster
