#include "actors/entity.hpp"

#include <caf/all.hpp>

#include "actors/checkpoint.hpp"
#include "actors/kinds.hpp"
#include "model/device/mirror.hpp"
#include "observe/log.hpp"
#include "storage/keys.hpp"

namespace orrery::actors {
namespace {

namespace keys = storage::keys;

/// An entity whose rows could not be read.
struct unread_entity {
  model::failure why;
  tail unsaved;  // what is to be replayed on them
};

/// One of these for each awake entity: its size counts.
template <class Kind>
struct entity_state {
  entity_state() = default;  // not an aggregate: CAF would initialise it from the actor's pointer
  model::entity_id id;
  typename Kind::state what;
  Kind kind;
  std::uint64_t generation = 0;  // of the shard when it was woken
  std::uint64_t revision = 0;
  std::uint64_t saved_revision = 0;  // telemetry up to here is in the store
  std::unique_ptr<unread_entity> unread;
  std::shared_ptr<actors::gate> gate;
  std::shared_ptr<const entity_context> context;
};

// With CAF's own kilobyte it fills one of the allocator's sizes, 1,536 bytes. What makes it larger
// takes 256 bytes more of every device that is awake: see whether it can be a `cow`.
static_assert(sizeof(entity_state<device_kind>) <= 504);

template <class Kind>
using pointer = typename entity_actor::template stateful_pointer<entity_state<Kind>>;

decision_inputs inputs_of(const model::entity_id& id, const entity_context& ctx) {
  return {id,
          ctx.now(),
          *ctx.known,
          *ctx.keys,
          *ctx.store,
          ctx.max_queued_commands,
          ctx.max_login_failures,
          ctx.max_queued_messages,
          ctx.shard_count,
          ctx.audit_retention,
          ctx.audit_max_bytes};
}

template <class Kind>
model::result<std::uint64_t> decode_state(std::string_view bytes, typename Kind::state& into) {
  if constexpr (std::is_same_v<Kind, device_kind>)
    return device::decode_state(bytes, into);
  else if constexpr (std::is_same_v<Kind, product_kind>)
    return product::decode_state(bytes, into);
  else if constexpr (std::is_same_v<Kind, blueprint_kind>)
    return blueprint::decode_state(bytes, into);
  else if constexpr (std::is_same_v<Kind, organisation_kind>)
    return organisation::decode_state(bytes, into);
  else if constexpr (std::is_same_v<Kind, client_kind>)
    return client::decode_state(bytes, into);
  else if constexpr (std::is_same_v<Kind, topic_kind>)
    return topic::decode_state(bytes, into);
  else if constexpr (std::is_same_v<Kind, tree_kind>)
    return tree::decode_state(bytes, into);
  else if constexpr (std::is_same_v<Kind, operation_kind>)
    return operation::decode_state(bytes, into);
  else if constexpr (std::is_same_v<Kind, audit_kind>)
    return audit::decode_state(bytes, into);
  else if constexpr (std::is_same_v<Kind, ledger_kind>)
    return ledger::decode_state(bytes, into);
  else
    return asset::decode_state(bytes, into);
}

/// Events decode by the namespace of their kind; the overload is chosen by the type wanted.
void decode_into(std::string_view bytes, model::result<std::vector<device::event>>& out) {
  out = device::decode_events(bytes);
}
void decode_into(std::string_view bytes, model::result<std::vector<product::event>>& out) {
  out = product::decode_events(bytes);
}
void decode_into(std::string_view bytes, model::result<std::vector<blueprint::event>>& out) {
  out = blueprint::decode_events(bytes);
}
void decode_into(std::string_view bytes, model::result<std::vector<organisation::event>>& out) {
  out = organisation::decode_events(bytes);
}
void decode_into(std::string_view bytes, model::result<std::vector<asset::event>>& out) {
  out = asset::decode_events(bytes);
}
void decode_into(std::string_view bytes, model::result<std::vector<client::event>>& out) {
  out = client::decode_events(bytes);
}
void decode_into(std::string_view bytes, model::result<std::vector<topic::event>>& out) {
  out = topic::decode_events(bytes);
}
void decode_into(std::string_view bytes, model::result<std::vector<tree::event>>& out) {
  out = tree::decode_events(bytes);
}
void decode_into(std::string_view bytes, model::result<std::vector<operation::event>>& out) {
  out = operation::decode_events(bytes);
}
void decode_into(std::string_view bytes, model::result<std::vector<audit::event>>& out) {
  out = audit::decode_events(bytes);
}
void decode_into(std::string_view bytes, model::result<std::vector<ledger::event>>& out) {
  out = ledger::decode_events(bytes);
}

/// The messages that are kept for a client.
model::status load_messages(const model::entity_id& id, client::state& s,
                            const storage::entity_store& store) {
  auto damaged = model::status{};
  const auto read = store.scan(storage::family::state, keys::message_prefix(id), {}, false,
                               [&](auto, auto value) {
                                 auto q = client::decode_queued(value);
                                 if (q)
                                   client::restore(s, std::move(*q));
                                 else
                                   damaged = q.error();
                                 return q.has_value();
                               });
  return read ? damaged : read;
}

/// Applies shared events: the points of a device stay where they are, in the events' own memory.
template <class Kind>
void apply_shared(typename Kind::state& s,
                  const std::shared_ptr<const std::vector<typename Kind::event>>& events,
                  std::size_t at) {
  const auto& e = (*events)[at];
  if constexpr (std::is_same_v<Kind, device_kind>)
    if (const auto* points = std::get_if<device::points_accepted>(&e)) {
      device::apply_points(s, {events, points});
      return;
    }
  apply(s, e);
}

/// Loads the rows and replays the tail on top. Fails: `corrupted`, what the store fails with.
template <class Kind>
model::status recover(entity_state<Kind>& self, const entity_context& ctx, const tail& unsaved) {
  auto snapshot = ctx.store->get(storage::family::state, keys::state(Kind::kind, self.id));
  if (!snapshot)
    return snapshot.error();
  auto snapshot_revision = std::uint64_t{0};
  if (*snapshot) {
    auto revision = decode_state<Kind>(**snapshot, self.what);
    if (!revision)
      return revision.error();
    snapshot_revision = *revision;
  }
  if constexpr (std::is_same_v<Kind, device_kind>) {
    auto latest = ctx.store->get(storage::family::latest, keys::latest(self.id));
    if (!latest)
      return latest.error();
    if (*latest) {
      auto revision = device::decode_latest(**latest, self.what.telemetry, self.what.last_data);
      if (!revision)
        return revision.error();
      self.saved_revision = *revision;
    }
  }
  if constexpr (std::is_same_v<Kind, client_kind>)
    if (auto read = load_messages(self.id, self.what, *ctx.store); !read)
      return read;
  self.revision = std::max(snapshot_revision, self.saved_revision);
  for (const auto& record : unsaved) {
    auto decoded =
        model::result<std::vector<typename Kind::event>>{std::vector<typename Kind::event>{}};
    decode_into(record.events, decoded);
    if (!decoded)
      return decoded.error();
    const auto events =
        std::make_shared<const std::vector<typename Kind::event>>(std::move(*decoded));
    for (std::size_t i = 0; i < events->size(); ++i) {
      // The snapshot was written with every event that is not telemetry; telemetry is as new as
      // the last checkpoint.
      auto in_rows = record.revision <= snapshot_revision;
      if constexpr (std::is_same_v<Kind, device_kind>)
        if (device::is_telemetry((*events)[i]))
          in_rows = record.revision <= self.saved_revision;
      if (!in_rows)
        apply_shared<Kind>(self.what, events, i);
    }
    self.revision = std::max(self.revision, record.revision);
  }
  return {};
}

template <class Kind>
void begin(entry& e, const entity_state<Kind>& self) {
  e.shard = self.id.shard;
  e.generation = self.generation;
  e.entity = self.id;
}

/// What the index has of a device before its events, and after them.
template <class Kind>
class search_change {
 public:
  search_change(const typename Kind::state& s, const std::vector<typename Kind::event>& events) {
    if constexpr (std::is_same_v<Kind, device_kind>) {
      for (const auto& e : events)
        which_ |= device::searched_by(e);
      if (which_ == 0)
        return;
      before_ = device::search_terms(s, which_);
      organisation_ = s.organisation();
    }
  }
  void add(const model::entity_id& id, const typename Kind::state& s, rows& to) const {
    if constexpr (std::is_same_v<Kind, device_kind>) {
      if (which_ == 0)
        return;
      const auto after = device::search_terms(s, which_);
      const auto moved = s.organisation() != organisation_ && !organisation_.empty();
      auto more = search_rows(id, s.organisation(), moved ? terms{} : before_, after);
      std::move(more.begin(), more.end(), std::back_inserter(to));
      if (!moved)
        return;
      more = search_rows(id, organisation_, before_, {});
      std::move(more.begin(), more.end(), std::back_inserter(to));
    }
  }

 private:
  using terms = std::vector<device::search_term>;
  device::search_mask which_ = 0;
  terms before_;
  std::string organisation_;
};

/// A revision that is expected is that of a part of the entity: its rules look at it.
template <class Kind>
constexpr bool has_revisions_of_parts = false;
template <>
constexpr bool has_revisions_of_parts<organisation_kind> = true;

/// Decides one question and fills in its entry. Later questions are decided on top of it at once.
template <class Kind>
void answer_one(entity_state<Kind>& self, const entity_context& ctx, ask& asked, entry& e) {
  begin(e, self);
  e.to = std::move(asked.from);
  e.number = asked.number;
  if (self.unread) {
    e.reply = self.unread->why;
    return;
  }
  const auto* command = std::get_if<typename Kind::command>(&asked.what);
  if (!command) {
    e.reply = model::failure{model::errc::internal,
                             "a command of another kind reached " + model::to_string(self.id)};
    return;
  }
  if constexpr (!has_revisions_of_parts<Kind>)
    if (command->expected_revision && *command->expected_revision != self.revision) {
      e.reply = model::failure{model::errc::conflict, "etag_mismatch",
                               "it is at revision " + std::to_string(self.revision) + " now"};
      return;
    }
  const auto in = inputs_of(self.id, ctx);
  auto decided = self.kind.decide(self.what, *command, in);
  if (!decided) {
    e.reply = std::move(decided.error());
    return;
  }
  if (!decided->events.empty()) {
    if (!ctx.shard->writable.load(std::memory_order_relaxed)) {
      e.reply = model::failure{model::errc::unavailable, "not_in_sync",
                               "too few replicas of its shard are in sync; ask again"};
      return;
    }
    const auto deadline = next_deadline(self.what);
    auto searched = search_change<Kind>{self.what, decided->events};
    [[maybe_unused]] auto for_feeds = true;  // an alias is nothing to them
    if constexpr (std::is_same_v<Kind, device_kind>)
      for_feeds = self.what.alias().empty();
    const auto events =
        std::make_shared<const std::vector<typename Kind::event>>(std::move(decided->events));
    ++self.revision;
    for (std::size_t i = 0; i < events->size(); ++i) {
      apply_shared<Kind>(self.what, events, i);
      auto more = effects(self.what, (*events)[i]);
      std::move(more.begin(), more.end(), std::back_inserter(e.effects));
    }
    e.record = storage::record{.entity = self.id,
                               .kind = Kind::kind,
                               .revision = self.revision,
                               .time = in.now,
                               .events = encode_events(*events)};
    e.rows = Kind::rows_of(self.id, self.what, *events, self.revision, deadline);
    searched.add(self.id, self.what, e.rows);
    if constexpr (requires { self.kind.note(*events, self.revision); })
      self.kind.note(*events, self.revision);
    if (const auto next = next_deadline(self.what); next && next != deadline)
      e.effects.push_back(model::remind{*next, Kind::kind});
    if constexpr (std::is_same_v<Kind, device_kind>) {
      for_feeds = for_feeds && self.what.alias().empty();
      if (for_feeds && ctx.feed_wanted->load(std::memory_order_relaxed))
        e.feed = {{self.id, self.what.called}, events, 0};
    }
    if constexpr (Kind::in_catalogue)
      e.catalogue =
          catalogue_change{self.id, std::make_shared<const typename Kind::state>(self.what)};
  }
  if constexpr (requires { decided->effects; })
    std::move(decided->effects.begin(), decided->effects.end(), std::back_inserter(e.effects));
  e.reply = outcome{.answer = std::move(decided->answer), .revision = self.revision};
}

/// Fills in the entry that makes everything unsaved durable. False: there is nothing to save.
template <class Kind>
bool save_unsaved(entity_state<Kind>& self, entry& e) {
  begin(e, self);
  if constexpr (std::is_same_v<Kind, device_kind>) {
    if (self.what.telemetry.unsaved.empty() || self.unread)
      return false;
    if (!self.what.exists) {  // deleted: its rows are gone and must not come back
      self.what.telemetry = {};
      return false;
    }
    e.rows = checkpoint_rows(self.id, self.what, self.revision);
    self.saved_revision = self.revision;
    self.what.telemetry.unsaved.clear();
    self.what.telemetry.unsaved_points = 0;
    return true;
  } else {
    return false;
  }
}

template <class Kind>
bool has_unsaved(const entity_state<Kind>& self) {
  if constexpr (std::is_same_v<Kind, device_kind>)
    return !self.what.telemetry.unsaved.empty();
  else
    return false;
}

template <class Kind>
void send(entity_state<Kind>& self, const entity_context& ctx, entry_batch batch) {
  for (auto& e : batch.entries)
    e.in_flight = {self.gate, &self.gate->in_flight};
  self.gate->in_flight.fetch_add(static_cast<std::uint32_t>(batch.entries.size()),
                                 std::memory_order_relaxed);
  send_entries(ctx.journal, *ctx.figures, std::move(batch));
}

template <class Kind>
bool is_full(const entity_state<Kind>& self, const entity_context& ctx) {
  if constexpr (std::is_same_v<Kind, device_kind>)
    return self.what.telemetry.unsaved_points >= ctx.unsaved_points_max;
  else
    return false;
}

/// Reads the rows and replays what is newer; `unread` says why it did not work.
template <class Kind>
void load(entity_state<Kind>& self, tail unsaved) {
  auto ok = recover<Kind>(self, *self.context, unsaved);
  if (ok)
    return;
  observe::log::error("entity", "not_loaded",
                      {{"entity", model::to_string(self.id)}, {"detail", ok.error().detail}});
  self.unread =
      std::make_unique<unread_entity>(unread_entity{std::move(ok.error()), std::move(unsaved)});
}

/// A store that could not be read for a moment is asked once more.
template <class Kind>
void load_again(entity_state<Kind>& self) {
  if (!self.unread || self.unread->why.code != model::errc::unavailable)
    return;
  self.what = {};
  self.revision = self.saved_revision = 0;
  load(self, std::move(std::exchange(self.unread, {})->unsaved));
}

/// What comes before a decision about a device, where its name is not what it was.
template <class Kind>
class name_check {
 public:
  name_check(const entity_state<Kind>& self, const entity_context& ctx) : self_{self}, ctx_{ctx} {}

  /// An alias answers for its name alone: all else goes to its device. True: it went, or never
  /// will.
  bool pass_on(ask& one) {
    if constexpr (std::is_same_v<Kind, device_kind>) {
      const auto& alias = self_.what.alias();
      const auto* command = std::get_if<device::command>(&one.what);
      if (alias.empty() || !self_.what.exists || !command || device::is_for_alias(command->what))
        return false;
      one.whom = alias.device;
      if (away_.asks.empty())
        away_.shard = alias.device.shard;
      away_.asks.push_back(std::move(one));
      return true;
    } else {
      return false;
    }
  }
  /// The host may take a device for one that has the name that it had.
  std::optional<model::failure> not_its_name(const ask& one) const {
    if constexpr (std::is_same_v<Kind, device_kind>) {
      const auto* name = std::get_if<model::device_name>(&one.whom);
      if (name && self_.what.exists && *name != self_.what.name())
        return model::failure{model::errc::not_found, "device_unknown",
                              "no device " + name->device_key + " in product " + name->product_key};
    }
    return std::nullopt;
  }
  /// True if somebody wants the name of an alias and was refused.
  bool is_doubted(const ask& one, const answer& got) const {
    if constexpr (std::is_same_v<Kind, device_kind>) {
      const auto* command = std::get_if<device::command>(&one.what);
      return command && !got && !self_.what.alias().empty() &&
             (std::holds_alternative<device::register_device>(command->what) ||
              std::holds_alternative<device::reserve_name>(command->what));
    } else {
      return false;
    }
  }
  void send() {
    if (away_.asks.empty())
      return;
    if (ctx_.pass_on)
      return ctx_.pass_on(std::move(away_));
    for (const auto& one : away_.asks)
      if (one.from && one.number != 0)
        one.from.settle({{one.number, model::failure{model::errc::unavailable, "shard_unavailable",
                                                     "nobody leads to the device of that name"}}});
  }

 private:
  const entity_state<Kind>& self_;
  const entity_context& ctx_;
  ask_batch away_;
};

/// What goes to feeds beside what an entry has for them, each in an entry behind it: so it is
/// committed or lost with it.
class more_for_feeds {
 public:
  using events = std::shared_ptr<const std::vector<device::event>>;
  more_for_feeds(const entity_state<device_kind>& self, entry_batch& batch)
      : self_{self}, batch_{batch} {}

  void add() {
    if (!batch_.entries.back().feed.what)
      return;
    tell_two_organisations();
    if (!self_.what.mirrors().empty())
      tell_mirrors();
  }

 private:
  void tell(const model::entity_id& id, model::cow<device::naming> called, events what) {
    auto& e = batch_.entries.emplace_back();
    begin(e, self_);
    e.feed = {{id, std::move(called)}, std::move(what), 0};
  }
  /// What was the matter of an organisation is nothing to the one that the device went to, nor what
  /// followed there to the one before.
  void tell_two_organisations() {
    auto& feed = batch_.entries.back().feed;
    const auto all = feed.what;
    const auto at = std::find_if(all->begin(), all->end(), [](const auto& one) {
      return std::holds_alternative<device::emigrated>(one);
    });
    if (at == all->end())
      return;
    const auto& went = std::get<device::emigrated>(*at);
    feed.who.called = device::naming{went.what.before, went.before};
    feed.what = std::make_shared<const std::vector<device::event>>(all->begin(), at + 1);
    if (at + 1 != all->end())
      tell(self_.id, self_.what.called,
           std::make_shared<const std::vector<device::event>>(at + 1, all->end()));
  }
  /// What came live is told of each that mirrors the device.
  void tell_mirrors() {
    const auto what = batch_.entries.back().feed.what;
    for (const auto& link : self_.what.mirrors())
      if (auto shown = device::shown_events(what, link.points))
        tell(link.mirror, device::naming{link.name, self_.what.organisation()}, std::move(shown));
  }

  const entity_state<device_kind>& self_;
  entry_batch& batch_;
};

template <class Kind>
void take(pointer<Kind> self, ask_batch& asked) {
  auto& state = self->state;
  const auto& ctx = *state.context;
  load_again(state);
  auto& door = *state.gate;
  door.last_asked.store(ctx.now(), std::memory_order_relaxed);
  auto batch = entry_batch{};
  batch.entries.reserve(asked.asks.size() + 1);
  auto names = name_check<Kind>{state, ctx};
  for (auto& one : asked.asks) {
    if (names.pass_on(one))
      continue;
    auto& e = batch.entries.emplace_back();
    if (auto wrong = names.not_its_name(one)) {
      begin(e, state);
      e.to = std::move(one.from);
      e.number = one.number;
      e.reply = std::move(*wrong);
      continue;
    }
    answer_one(state, ctx, one, e);
    if (names.is_doubted(one, e.reply)) {
      auto doubt = ask{};
      doubt.what = device::command{device::doubt_name{}, {}, "service", {}, {}};
      answer_one(state, ctx, doubt, batch.entries.emplace_back());
      continue;
    }
    if (one.wants_way && e.reply)
      e.reply->way =
          std::make_shared<const doorway>(caf::actor_cast<entity_actor>(self), state.gate);
    if constexpr (std::is_same_v<Kind, device_kind>)
      more_for_feeds{state, batch}.add();
  }
  if (has_unsaved(state))
    door.unsaved.store(true, std::memory_order_relaxed);
  if (is_full(state, ctx) && !save_unsaved(state, batch.entries.emplace_back()))
    batch.entries.pop_back();
  if (!batch.entries.empty())
    send(state, ctx, std::move(batch));
  names.send();
  if (asked.entered)
    door.leave();  // whoever closed it knows by this that the writer has everything
  if (door.is_done())
    self->quit();  // lost, and this was the last one that had entered
}

template <class Kind>
void take(pointer<Kind> self, const checkpoint_order& order) {
  auto& state = self->state;
  load_again(state);
  auto batch = entry_batch{};
  auto& e = batch.entries.emplace_back();
  save_unsaved(state, e);  // nothing to save: the answer still goes in order
  if (state.unread && !state.unread->unsaved.empty())
    e.reply = state.unread->why;  // what it does not hold is not saved
  e.to = caf::actor_cast<settler>(state.context->host);
  e.number = order.number;
  send(state, *state.context, std::move(batch));
}

/// Rests only when nothing is in flight and everything is in the store.
template <class Kind>
void take(pointer<Kind> self, rest_order) {
  auto& state = self->state;
  const auto& ctx = *state.context;
  auto batch = entry_batch{};
  if (save_unsaved(state, batch.entries.emplace_back()))
    send(state, ctx, std::move(batch));
  const auto busy = state.gate->in_flight.load(std::memory_order_acquire) != 0 ||
                    (state.unread && !state.unread->unsaved.empty());
  const auto rests = !busy && state.gate->close_if_empty();
  self->send(ctx.host, rest_answer{state.id, rests, state.generation, Kind::kind});
  if (rests)
    self->quit();
}

template <class Kind>
entity_actor::behavior_type entity(pointer<Kind> self, model::entity_id id,
                                   std::shared_ptr<const entity_context> ctx,
                                   std::uint64_t generation, tail unsaved,
                                   std::shared_ptr<gate> through) {
  self->state.gate = std::move(through);
  self->state.id = id;
  self->state.generation = generation;
  self->state.context = std::move(ctx);
  load(self->state, std::move(unsaved));
  return {[self](ask_batch& asked) { take<Kind>(self, asked); },
          [self](const checkpoint_order& order) { take<Kind>(self, order); },
          [self](rest_order order) { take<Kind>(self, order); },
          [self](const write_lost&) {
            self->state.gate->close();
            if (self->state.gate->is_done())
              self->quit();
          }};
}

}  // namespace

entity_actor spawn_entity(caf::actor_system& system, model::entity_kind kind, model::entity_id id,
                          std::shared_ptr<const entity_context> context, std::uint64_t generation,
                          tail unsaved, std::shared_ptr<gate> through) {
  switch (kind) {
    case model::entity_kind::device:
      return system.spawn(entity<device_kind>, id, std::move(context), generation,
                          std::move(unsaved), std::move(through));
    case model::entity_kind::product:
      return system.spawn(entity<product_kind>, id, std::move(context), generation,
                          std::move(unsaved), std::move(through));
    case model::entity_kind::blueprint:
      return system.spawn(entity<blueprint_kind>, id, std::move(context), generation,
                          std::move(unsaved), std::move(through));
    case model::entity_kind::organisation:
      return system.spawn(entity<organisation_kind>, id, std::move(context), generation,
                          std::move(unsaved), std::move(through));
    case model::entity_kind::asset:
      return system.spawn(entity<asset_kind>, id, std::move(context), generation,
                          std::move(unsaved), std::move(through));
    case model::entity_kind::client:
      return system.spawn(entity<client_kind>, id, std::move(context), generation,
                          std::move(unsaved), std::move(through));
    case model::entity_kind::topic:
      return system.spawn(entity<topic_kind>, id, std::move(context), generation,
                          std::move(unsaved), std::move(through));
    case model::entity_kind::tree:
      return system.spawn(entity<tree_kind>, id, std::move(context), generation, std::move(unsaved),
                          std::move(through));
    case model::entity_kind::operation:
      return system.spawn(entity<operation_kind>, id, std::move(context), generation,
                          std::move(unsaved), std::move(through));
    case model::entity_kind::audit_log:
      return system.spawn(entity<audit_kind>, id, std::move(context), generation,
                          std::move(unsaved), std::move(through));
    case model::entity_kind::device_ledger:
      return system.spawn(entity<ledger_kind>, id, std::move(context), generation,
                          std::move(unsaved), std::move(through));
  }
  return system.spawn(entity<device_kind>, id, std::move(context), generation, std::move(unsaved),
                      std::move(through));
}

}  // namespace orrery::actors
