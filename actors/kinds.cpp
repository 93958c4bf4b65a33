#include "actors/kinds.hpp"

#include <algorithm>
#include <set>

#include "actors/audit_rows.hpp"
#include "actors/tree_rows.hpp"
#include "model/blueprint/inheritance.hpp"
#include "model/topic_filter.hpp"
#include "storage/keys.hpp"

namespace orrery::actors {
namespace {

namespace keys = storage::keys;
using storage::family;

template <class... Fs>
struct overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
overloaded(Fs...) -> overloaded<Fs...>;  // clang 14 deduces no aggregates

storage::row put(family f, std::string key, std::string value) {
  return {.family = f, .key = std::move(key), .value = std::move(value)};
}
storage::row drop(family f, std::string key) {
  return {.family = f, .key = std::move(key), .operation = storage::row_operation::remove};
}

std::string name_value(const model::device_name& n) {
  return n.product_key + '\x1f' + n.device_key;
}

std::string incarnation_value(std::uint64_t incarnation) {
  return keys::ordered(model::from_ms(static_cast<std::int64_t>(incarnation)));
}

void log_command(rows& out, const model::entity_id& id, const device::command_record& c) {
  out.push_back(put(family::state, keys::command(id, c.id), device::encode_command(c)));
}

const device::command_record* find_command(const device::state& s, const model::entity_id& id) {
  for (const auto& c : *s.commands)
    if (c.id == id)
      return &c;
  return nullptr;
}

/// How many entities an index shows under a value, up to `most`, over all shards.
model::result<std::size_t> count_index(const decision_inputs& in, std::string_view name,
                                       std::string_view value, std::size_t most) {
  auto found = std::size_t{0};
  for (auto shard = 0u; shard < in.shard_count && found < most; ++shard)
    if (auto ok = in.store.scan(
            family::index, keys::index_prefix(static_cast<model::shard_id>(shard), name, value), {},
            false, [&](auto, auto) { return ++found < most; });
        !ok)
      return ok.error();
  return found;
}

template <class State>
rows snapshot_row(model::entity_kind kind, const model::entity_id& id, const State& s,
                  std::uint64_t revision, std::string (*encode)(const State&, std::uint64_t)) {
  auto out = rows{};
  if (s.exists)
    out.push_back(put(family::state, keys::state(kind, id), encode(s, revision)));
  else
    out.push_back(drop(family::state, keys::state(kind, id)));
  return out;
}

}  // namespace

const device::product_view& product_cache::of(const std::string& product_key,
                                              const catalogue& known) {
  static const auto none = device::product_view{};
  if (const auto newest = known.version(); newest != version_ || !held_) {
    held_ = known.current();
    version_ = newest;
    const auto* found = held_->product(product_key);
    view_ = found ? &found->view : nullptr;
  }
  return view_ ? *view_ : none;
}

const device::configuration_set* product_cache::configurations(
    const std::string& organisation) const {
  const auto* found = held_ ? held_->organisation(organisation) : nullptr;
  return found ? found->configurations.get() : nullptr;
}

model::result<device::decision> device_kind::decide(const state& s, const command& c,
                                                    const decision_inputs& in) {
  // What it is to be is looked at by the product, and the configurations, of where it goes.
  const auto* goes = std::get_if<device::emigrate_device>(&c.what);
  if (const auto* to = goes ? &goes->to : std::get_if<device::rename_device>(&c.what)) {
    static const auto none = device::product_view{};
    const auto known = in.known.current();
    const auto* found = known->product(to->name.product_key);
    const auto* org = known->organisation(goes ? goes->organisation : s.organisation());
    if (goes && !org)
      return model::failure{model::errc::unavailable, "catalogue_missing",
                            "the organisation is not known here yet: ask again"};
    return device::decide(s, c,
                          {in.self, in.now, found ? found->view : none, in.keys,
                           in.max_queued_commands, org ? org->configurations.get() : nullptr});
  }
  const auto* as = std::get_if<device::register_device>(&c.what);
  const auto* name = std::get_if<device::reserve_name>(&c.what);
  // Of one that is there it is its own, whatever name it was asked by.
  const auto& view = products.of(s.exists ? s.name().product_key
                                 : as     ? as->name.product_key
                                 : name   ? name->name.product_key
                                          : s.name().product_key,
                                 in.known);
  // Of what the hot path asks no configuration ever depends.
  const auto* configurations =
      std::holds_alternative<device::report_points>(c.what)
          ? nullptr
          : products.configurations(as ? as->organisation : s.organisation());
  return device::decide(s, c,
                        {in.self, in.now, view, in.keys, in.max_queued_commands, configurations});
}

void device_kind::note(const std::vector<event>& events, std::uint64_t) {
  for (const auto& e : events)
    if (std::holds_alternative<device::renamed>(e) || std::holds_alternative<device::emigrated>(e))
      products.forget();
}

namespace {

/// Its alias has the row of the name; the first name's was the device's own.
void move_name(rows& out, const model::entity_id& id, const device::renamed& r) {
  out.push_back(drop(family::index, keys::index(id.shard, "name", name_value(r.before), id)));
  if (r.name.product_key == r.before.product_key)
    return;
  out.push_back(drop(family::index, keys::index(id.shard, "product", r.before.product_key, id)));
  out.push_back(put(family::index, keys::index(id.shard, "product", r.name.product_key, id), {}));
}

}  // namespace

rows device_kind::rows_of(const model::entity_id& id, const state& s,
                          const std::vector<event>& events, std::uint64_t revision,
                          std::optional<model::timestamp> deadline_before) {
  auto out = rows{};
  auto snapshot = false;
  auto number = std::uint64_t{0};
  const auto shard = id.shard;
  const auto note_presence = [&](model::timestamp at, const event& e) {
    out.push_back({.family = family::series,
                   .key = keys::presence(id, at, revision << 8 | number++),
                   .value = device::encode_events({e}),
                   .slice_time = at});
  };
  for (const auto& e : events) {
    // An event needs it for the revision alone: it numbers the events of one time.
    snapshot = snapshot || !device::is_telemetry(e);
    std::visit(
        overloaded{
            [&](const device::registered& r) {
              out.push_back(
                  put(family::index, keys::index(shard, "name", name_value(r.as.name), id), {}));
              out.push_back(
                  put(family::index, keys::index(shard, "product", r.as.name.product_key, id), {}));
              out.push_back(
                  put(family::index,
                      keys::index(shard, search_index(""), search_value(r.as.organisation, ""), id),
                      {}));
            },
            [&](const device::name_reserved& r) {
              out.push_back(
                  put(family::index, keys::index(shard, "name", name_value(r.what.name), id), {}));
            },
            [&](const device::renamed& r) { move_name(out, id, r); },
            [&](const device::emigrated& went) {
              move_name(out, id, went.what);
              out.push_back(drop(family::index, keys::index(shard, search_index(""),
                                                            search_value(went.before, ""), id)));
              out.push_back(
                  put(family::index,
                      keys::index(shard, search_index(""), search_value(went.organisation, ""), id),
                      {}));
            },
            [&](const device::certificate_added& a) {
              out.push_back(put(family::index,
                                keys::index(shard, "certificate", a.what.fingerprint, id), {}));
              for (const auto& gone : a.dropped_fingerprints)
                out.push_back(drop(family::index, keys::index(shard, "certificate", gone, id)));
            },
            [&](const device::removed& r) {
              for (const auto& gone : r.fingerprints)
                out.push_back(drop(family::index, keys::index(shard, "certificate", gone, id)));
              out.push_back(
                  drop(family::index, keys::index(shard, "name", name_value(s.name()), id)));
              out.push_back(
                  drop(family::index, keys::index(shard, "product", s.name().product_key, id)));
              out.push_back(drop(
                  family::index,
                  keys::index(shard, search_index(""), search_value(s.organisation(), ""), id)));
              out.push_back(drop(family::latest, keys::latest(id)));
            },
            [&](const device::retired&) {
              out.push_back(drop(
                  family::index,
                  keys::index(shard, search_index(""), search_value(s.organisation(), ""), id)));
            },
            [&](const device::restored&) {
              out.push_back(
                  put(family::index,
                      keys::index(shard, search_index(""), search_value(s.organisation(), ""), id),
                      {}));
            },
            [&](const device::connected& c) {
              out.push_back(put(
                  family::index,
                  keys::index(shard, "session", incarnation_value(c.session.node_incarnation), id),
                  {}));
              note_presence(c.at, e);
            },
            [&](const device::disconnected& d) {
              out.push_back(drop(family::index,
                                 keys::index(shard, "session",
                                             incarnation_value(d.session.node_incarnation), id)));
              note_presence(d.at, e);
            },
            [&](const device::event_raised& raised) {
              out.push_back({.family = family::series,
                             .key = keys::event(id, raised.time, revision << 8 | number++),
                             .value = device::encode_events({e}),
                             .slice_time = raised.time});
            },
            [&](const device::command_queued& q) { log_command(out, id, q.what); },
            [&](const device::command_sent& sent) {
              if (const auto* c = find_command(s, sent.id))
                log_command(out, id, *c);
            },
            [&](const device::command_finished& f) { log_command(out, id, f.what); },
            [&](const device::late_reply_noted& l) { log_command(out, id, l.what); },
            [](const auto&) {},
        },
        e);
  }
  if (!snapshot)
    return out;
  if (s.exists)
    out.push_back(put(family::state, keys::state(kind, id), device::encode_state(s, revision)));
  else
    out.push_back(drop(family::state, keys::state(kind, id)));
  const auto deadline = device::next_deadline(s);
  if (deadline != deadline_before) {
    if (deadline_before)
      out.push_back(
          drop(family::index, keys::index(shard, "due", keys::ordered(*deadline_before), id)));
    if (deadline && s.exists)
      out.push_back(
          put(family::index, keys::index(shard, "due", keys::ordered(*deadline), id), {}));
  }
  return out;
}

model::result<product::decision> product_kind::decide(const state& s, const command& c,
                                                      const decision_inputs& in) {
  auto around = product::surroundings{.self = in.self, .now = in.now};
  if (std::holds_alternative<product::remove_product>(c.what)) {
    auto devices = count_index(in, "product", s.product_key, 1);
    if (!devices)
      return devices.error();
    around.devices = *devices;
  }
  return product::decide(s, c, around);
}

rows product_kind::rows_of(const model::entity_id& id, const state& s, const std::vector<event>&,
                           std::uint64_t revision, std::optional<model::timestamp>) {
  return snapshot_row(kind, id, s, revision, product::encode_state);
}

namespace {

/// The document that an order is about: what it extends is looked for.
model::value document_in_hand(const blueprint::state& s, const blueprint::order& what) {
  if (const auto* c = std::get_if<blueprint::create_blueprint>(&what))
    return c->document;
  if (const auto* d = std::get_if<blueprint::save_draft>(&what))
    return d->document;
  return s.draft.value_or(model::value{});
}

/// Who is around a model: its family, and who uses it.
void look_around(blueprint::surroundings& around, const catalogue_snapshot& known,
                 const std::string& organisation, const std::string& key,
                 const model::value& document) {
  for (const auto& d : known.descendants_of(key))
    around.descendants.push_back(d);
  auto family = std::set<std::string_view>{key};
  for (const auto& d : around.descendants)
    family.insert(d.key);
  auto users = std::set<std::string>{};
  const auto note_user = [&](const std::string& user) {
    if (user != organisation)
      users.insert(user);
  };
  for (const auto& [product_key, p] : known.products) {
    const auto on = blueprint::key_of(p->state->organisation, p->state->model);
    around.products += family.contains(on) ? 1 : 0;
    if (on == key)
      note_user(p->state->organisation);
  }
  for (const auto& [name, b] : known.blueprints) {
    if (b->state->organisation == organisation && b->state->model_id != blueprint::library_id)
      ++around.models;
    const auto& s = *b->state;
    const auto extends = s.draft ? blueprint::parent_of(*s.draft) : std::string{};
    const auto draft_is = !extends.empty() && blueprint::key_of(s.organisation, extends) == key;
    if (name == key || (b->parent != key && !draft_is))
      continue;
    ++around.children;
    note_user(s.organisation);
  }
  around.users.assign(users.begin(), users.end());
  // A model of another organisation that cannot follow keeps what it has inherited: it hinders
  // nobody here.
  std::erase_if(around.descendants, [&](const auto& d) {
    return !d.key.starts_with(organisation + '/') || !d.parent.starts_with(organisation + '/');
  });
  around.library = known.library(organisation);
  if (const auto own = known.blueprints.find(key); own != known.blueprints.end())
    around.in_force = own->second->effective;
  const auto reference = blueprint::parent_of(document);
  if (reference.empty())
    return;
  if (const auto parent = known.visible_blueprint(organisation, reference))
    around.parent = blueprint::parent_view{
        blueprint::key_of(organisation, reference),
        known.path_of(blueprint::key_of(organisation, reference)),
        parent->state->revisions.empty() ? 0 : parent->state->revisions.back().number,
        parent->effective, parent->newest};
}

}  // namespace

blueprint::surroundings surroundings_of(const blueprint::state& s, const blueprint::order& what,
                                        const model::entity_id& self, model::timestamp now,
                                        const catalogue_snapshot& known) {
  auto around = blueprint::surroundings{.self = self, .now = now};
  const auto* made = std::get_if<blueprint::create_blueprint>(&what);
  const auto& organisation = made ? made->organisation : s.organisation;
  if (std::holds_alternative<blueprint::read_blueprint>(what) ||
      std::holds_alternative<blueprint::change_library>(what))
    return around;
  if (const auto* shared = std::get_if<blueprint::share>(&what))
    around.may_share_with =
        shared->with == blueprint::everybody || known.organisation(shared->with) != nullptr;
  look_around(around, known, organisation,
              blueprint::key_of(organisation, made ? made->model_id : s.model_id),
              document_in_hand(s, what));
  return around;
}

model::result<blueprint::decision> blueprint_kind::decide(const state& s, const command& c,
                                                          const decision_inputs& in) {
  return blueprint::decide(s, c, surroundings_of(s, c.what, in.self, in.now, *in.known.current()));
}

rows blueprint_kind::rows_of(const model::entity_id& id, const state& s, const std::vector<event>&,
                             std::uint64_t revision, std::optional<model::timestamp>) {
  return snapshot_row(kind, id, s, revision, blueprint::encode_state);
}

model::result<organisation::decision> organisation_kind::decide(const state& s, const command& c,
                                                                const decision_inputs& in) {
  auto around = organisation::surroundings{.self = in.self, .now = in.now};
  around.max_login_failures = in.max_login_failures;
  if (std::holds_alternative<organisation::remove_organisation>(c.what)) {
    const auto snapshot = in.known.current();
    for (const auto& [key, entry] : snapshot->products)
      around.products += entry->state->organisation == s.id ? 1 : 0;
    for (const auto& [key, entry] : snapshot->blueprints)
      around.models += entry->state->organisation == s.id &&
                               entry->state->model_id != model::blueprint::library_id
                           ? 1
                           : 0;
  }
  return organisation::decide(s, c, around);
}

rows organisation_kind::rows_of(const model::entity_id& id, const state& s,
                                const std::vector<event>&, std::uint64_t revision,
                                std::optional<model::timestamp>) {
  return snapshot_row(kind, id, s, revision, organisation::encode_state);
}

model::result<asset::decision> asset_kind::decide(const state& s, const command& c,
                                                  const decision_inputs& in) {
  const auto* made = std::get_if<asset::create_asset>(&c.what);
  const auto known = in.known.current();
  const auto of = known->visible_blueprint(made ? made->organisation : s.organisation,
                                           made ? made->model_id : s.model_id);
  auto around = asset::surroundings{.self = in.self, .now = in.now};
  if (of && !of->state->revisions.empty())
    if (const auto compiled = of->compiled.find(of->state->revisions.back().number);
        compiled != of->compiled.end())
      around.model = compiled->second.get();
  return asset::decide(s, c, around);
}

rows asset_kind::rows_of(const model::entity_id& id, const state& s, const std::vector<event>&,
                         std::uint64_t revision, std::optional<model::timestamp>) {
  auto out = snapshot_row(kind, id, s, revision, asset::encode_state);
  auto listed = keys::index(id.shard, "asset", s.organisation, id);
  out.push_back(s.exists ? put(family::index, std::move(listed), {})
                         : drop(family::index, std::move(listed)));
  return out;
}

model::result<tree::decision> tree_kind::decide(const state& s, const command& c,
                                                const decision_inputs& in) {
  if (!unwritten.empty()) {
    // The row of the tree is written with those of its nodes: all up to its revision are there.
    const auto row = in.store.get(family::state, keys::state(kind, in.self));
    if (!row)
      return row.error();
    auto written = state{};
    if (*row)
      if (const auto revision = tree::decode_state(**row, written))
        unwritten.forget(*revision);
  }
  const auto stored = tree_rows{in.store, in.self};
  const auto nodes = tree::changed_nodes{unwritten, stored};
  return tree::decide(s, c, {.self = in.self, .now = in.now, .nodes = nodes});
}

void tree_kind::note(const std::vector<event>& events, std::uint64_t revision) {
  for (const auto& e : events)
    if (const auto* nodes = std::get_if<tree::nodes_changed>(&e))
      unwritten.add(nodes->all, revision);
    else if (const auto* made = std::get_if<tree::created>(&e))
      unwritten.put(made->root, {}, revision);
}

namespace {

void put_node(rows& out, const model::entity_id& id, const tree::node& n) {
  out.push_back(put(family::state, keys::tree_node(id, n.id), tree::encode_node(n)));
  if (n.parent)
    out.push_back(put(family::index, keys::tree_places(id, *n.parent) + tree::place_of(n), {}));
  if (n.asset)
    out.push_back(put(family::index, keys::tree_holder(id, *n.asset), keys::ulid_bytes(n.id)));
}

void put_changes(rows& out, const model::entity_id& id, const std::vector<tree::node_change>& all) {
  // What is freed goes first: another node may be put there.
  for (const auto& c : all) {
    if (!c.now)
      out.push_back(drop(family::state, keys::tree_node(id, c.id)));
    if (!c.before)
      continue;
    const auto& was = *c.before;
    if (was.parent && !(c.now && c.now->parent == was.parent && c.now->order == was.order))
      out.push_back(drop(family::index,
                         keys::tree_places(id, *was.parent) + tree::place_of(was.order, c.id)));
    if (was.asset && !(c.now && c.now->asset == was.asset))
      out.push_back(drop(family::index, keys::tree_holder(id, *was.asset)));
  }
  for (const auto& c : all)
    if (c.now)
      put_node(out, id, *c.now);
}

storage::row drop_all(family f, const std::string& prefix) {
  return {.family = f,
          .key = prefix,
          .value = keys::end_of(prefix),
          .operation = storage::row_operation::remove_range};
}

}  // namespace

rows tree_kind::rows_of(const model::entity_id& id, const state& s,
                        const std::vector<event>& events, std::uint64_t revision,
                        std::optional<model::timestamp>) {
  auto out = snapshot_row(kind, id, s, revision, tree::encode_state);
  for (const auto& e : events) {
    if (const auto* made = std::get_if<tree::created>(&e)) {
      out.push_back(put(family::index, keys::index(id.shard, "tree", s.organisation, id), {}));
      put_node(out, id, made->root);
    } else if (const auto* nodes = std::get_if<tree::nodes_changed>(&e)) {
      put_changes(out, id, nodes->all);
    } else if (std::holds_alternative<tree::removed>(e)) {
      out.push_back(drop(family::index, keys::index(id.shard, "tree", s.organisation, id)));
      out.push_back(drop_all(family::state, keys::tree_nodes(id)));
      out.push_back(drop_all(family::state, keys::tree_changes(id)));
      out.push_back(drop_all(family::index, keys::tree_places(id)));
      out.push_back(drop_all(family::index, keys::tree_holders(id)));
      return out;
    }
    out.push_back(put(family::state, keys::tree_change(id, revision),
                      tree::encode_notes(tree::notes_of(e, revision))));
    if (revision > kept_tree_changes)
      out.push_back(drop(family::state, keys::tree_change(id, revision - kept_tree_changes)));
  }
  return out;
}

namespace {

void move_deadline(rows& out, const model::entity_id& id, std::string_view index,
                   std::optional<model::timestamp> before, std::optional<model::timestamp> now) {
  if (before == now)
    return;
  if (before)
    out.push_back(drop(family::index, keys::index(id.shard, index, keys::ordered(*before), id)));
  if (now)
    out.push_back(put(family::index, keys::index(id.shard, index, keys::ordered(*now), id), {}));
}

/// The index of sessions shows a client, or a group, under each run of a node that it has a
/// connection on.
void note_incarnation(rows& out, const model::entity_id& id, const client::state& s,
                      const model::session_ref& session) {
  if (session.number == 0)
    return;
  auto key =
      keys::index(id.shard, "client-session", incarnation_value(session.node_incarnation), id);
  const auto is_there = std::any_of(s.members.begin(), s.members.end(), [&](const auto& m) {
    return m.is_here() && m.session.node_incarnation == session.node_incarnation;
  });
  out.push_back(is_there ? put(family::index, std::move(key), {})
                         : drop(family::index, std::move(key)));
}

void keep_message(rows& out, const model::entity_id& id, const client::state& s,
                  std::uint64_t number) {
  auto key = keys::message(id, number);
  if (const auto* q = client::find_queued(s, number))
    out.push_back(put(family::state, std::move(key), client::encode_queued(*q)));
  else
    out.push_back(drop(family::state, std::move(key)));
}

}  // namespace

std::string search_index(std::string_view field) {
  return std::string{"device."}.append(field);
}

std::string search_value(std::string_view organisation, std::string_view value) {
  auto all = std::string{organisation};
  all += '\x1f';
  return all.append(value);
}

rows search_rows(const model::entity_id& id, std::string_view organisation,
                 const std::vector<device::search_term>& before,
                 const std::vector<device::search_term>& after) {
  const auto key = [&](const device::search_term& t) {
    return keys::index(id.shard, search_index(t.field), search_value(organisation, t.value), id);
  };
  auto gone = std::vector<device::search_term>{}, fresh = gone;
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                      std::back_inserter(gone));
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::back_inserter(fresh));
  auto out = rows{};
  for (const auto& t : gone)
    out.push_back(drop(family::index, key(t)));
  for (const auto& t : fresh)
    out.push_back(put(family::index, key(t), {}));
  return out;
}

std::string topic_value(std::string_view organisation, std::string_view text) {
  auto value = std::string{organisation};
  value += '\x1f';
  value += text;
  return value;
}

model::result<client::decision> client_kind::decide(const state& s, const command& c,
                                                    const decision_inputs& in) {
  auto around = client::surroundings{.self = in.self, .now = in.now};
  around.max_queued = in.max_queued_messages;
  around.turn = turn;
  if (std::holds_alternative<client::offer>(c.what))
    ++turn;  // by message, or a turn would go by with each acknowledgement
  return client::decide(s, c, around);
}

rows client_kind::rows_of(const model::entity_id& id, const state& s,
                          const std::vector<event>& events, std::uint64_t revision,
                          std::optional<model::timestamp> deadline_before) {
  auto out = rows{};
  if (s.exists)
    out.push_back(put(family::state, keys::state(kind, id), client::encode_state(s, revision)));
  else
    out.push_back(drop(family::state, keys::state(kind, id)));
  const auto drop_all = [&] {
    out.push_back({.family = family::state,
                   .key = keys::message_prefix(id),
                   .value = keys::message_end(id),
                   .operation = storage::row_operation::remove_range});
  };
  for (const auto& e : events)
    std::visit(
        overloaded{
            [&](const client::attached& a) {
              note_incarnation(out, id, s, a.as.session);
              if (a.ends)
                note_incarnation(out, id, s, *a.ends);
              if (a.drops_messages)
                drop_all();
              for (const auto number : a.expired)
                keep_message(out, id, s, number);
              for (const auto& q : s.queue.all)
                keep_message(out, id, s, q.number);
            },
            [&](const client::joined& j) {
              note_incarnation(out, id, s, j.as.session);
              for (const auto number : j.given)
                keep_message(out, id, s, number);
            },
            [&](const client::left& l) {
              note_incarnation(out, id, s, l.session);
              for (const auto& [number, to] : l.moved)
                keep_message(out, id, s, number);
            },
            [&](const client::filters_changed& f) {
              for (const auto& [filter, options] : f.changes) {
                if (model::shared_of(filter))
                  continue;  // its group has it
                auto key = keys::index(id.shard, "filter", topic_value(s.organisation, filter), id);
                out.push_back(options ? put(family::index, std::move(key), {})
                                      : drop(family::index, std::move(key)));
              }
            },
            [&](const client::message_queued& q) { keep_message(out, id, s, q.what.number); },
            [&](const client::settled& done) {
              for (const auto number : done.over)
                keep_message(out, id, s, number);
              for (const auto number : done.received)
                keep_message(out, id, s, number);
            },
            [&](const client::detached& d) {
              note_incarnation(out, id, s, d.session);
              for (const auto& [number, to] : d.moved)
                keep_message(out, id, s, number);
              if (!s.group)
                for (const auto& q : s.queue.all)  // sent, from now on
                  keep_message(out, id, s, q.number);
            },
            [](const client::will_due&) {},
            [&](const client::ended& over) {
              for (const auto& session : over.sessions)
                note_incarnation(out, id, s, session);
              if (over.drops_messages)
                drop_all();
            },
        },
        e);
  move_deadline(out, id, "client-due", deadline_before, client::next_deadline(s));
  return out;
}

model::result<topic::decision> topic_kind::decide(const state& s, const command& c,
                                                  const decision_inputs& in) {
  return topic::decide(s, c, {.self = in.self, .now = in.now});
}

rows topic_kind::rows_of(const model::entity_id& id, const state& s, const std::vector<event>&,
                         std::uint64_t revision, std::optional<model::timestamp> deadline_before) {
  auto out = snapshot_row(kind, id, s, revision, topic::encode_state);
  auto key = keys::index(id.shard, "retained", topic_value(s.organisation, s.name), id);
  out.push_back(s.exists ? put(family::index, std::move(key), {})
                         : drop(family::index, std::move(key)));
  move_deadline(out, id, "topic-due", deadline_before, topic::next_deadline(s));
  return out;
}

model::result<operation::decision> operation_kind::decide(const state& s, const command& c,
                                                          const decision_inputs& in) {
  auto around = operation::surroundings{.self = in.self, .now = in.now};
  if (const auto* made = std::get_if<operation::create_operation>(&c.what))
    if (auto ok = in.store.scan(
            family::index, keys::index_prefix(in.self.shard, "operation-open", made->organisation),
            {}, false, [&](auto, auto) { return ++around.open < made->max_open; });
        !ok)
      return ok.error();
  return operation::decide(s, c, around);
}

rows operation_kind::rows_of(const model::entity_id& id, const state& s,
                             const std::vector<event>& events, std::uint64_t revision,
                             std::optional<model::timestamp> deadline_before) {
  auto out = snapshot_row(kind, id, s, revision, operation::encode_state);
  const auto listed = keys::index(id.shard, "operation", s.organisation, id);
  const auto open = keys::index(id.shard, "operation-open", s.organisation, id);
  auto results = s.result_pieces;
  for (const auto& e : events)
    if (const auto* a = std::get_if<operation::advanced>(&e); a && a->result_size > 0)
      --results;  // the number of the first one that is new
  for (const auto& e : events)
    std::visit(
        overloaded{
            [&](const operation::created&) {
              out.push_back(put(family::index, listed, {}));
              out.push_back(put(family::index, open, {}));
            },
            [&](const operation::input_added& i) {
              out.push_back(put(family::state, keys::operation_input(id, i.number), i.bytes));
            },
            [&](const operation::advanced& a) {
              if (a.result_size > 0)
                out.push_back(put(family::state, keys::operation_result(id, results++), a.result));
            },
            [&](const operation::ended&) {
              out.push_back(drop(family::index, open));
              out.push_back(drop_all(family::state, keys::operation_inputs(id)));
            },
            [&](const operation::removed&) {
              out.push_back(drop(family::index, listed));
              out.push_back(drop(family::index, open));
              out.push_back(drop_all(family::state, keys::operation_inputs(id)));
              out.push_back(drop_all(family::state, keys::operation_results(id)));
            },
            [](const auto&) {}},
        e);
  move_deadline(out, id, "operation-due", deadline_before, operation::next_deadline(s));
  return out;
}

model::result<audit::decision> audit_kind::decide(const state& s, const command& c,
                                                  const decision_inputs& in) {
  const auto stored = audit_rows{in.store, in.self, requests};
  return audit::decide(s, c,
                       {.self = in.self,
                        .now = in.now,
                        .retention = in.audit_retention,
                        .max_bytes = in.audit_max_bytes,
                        .records = stored});
}

void audit_kind::note(const std::vector<event>& events, std::uint64_t) {
  for (const auto& e : events)
    if (const auto* a = std::get_if<audit::appended>(&e)) {
      requests.push_back(audit::request_of(a->what.text));
      if (requests.size() > audit::looked_back)
        requests.pop_front();
    }
}

rows audit_kind::rows_of(const model::entity_id& id, const state& s,
                         const std::vector<event>& events, std::uint64_t revision,
                         std::optional<model::timestamp> deadline_before) {
  auto out = snapshot_row(kind, id, s, revision, audit::encode_state);
  for (const auto& e : events)
    if (const auto* a = std::get_if<audit::appended>(&e))
      out.push_back(put(family::state, keys::audit_record(id, a->what.number),
                        audit::encode_record(a->what)));
    else
      out.push_back({.family = family::state,
                     .key = keys::audit_records(id),
                     .value = keys::audit_record(id, std::get<audit::pruned>(e).first),
                     .operation = storage::row_operation::remove_range});
  move_deadline(out, id, "audit-due", deadline_before, audit::next_deadline(s));
  return out;
}

model::result<ledger::decision> ledger_kind::decide(const state& s, const command& c,
                                                    const decision_inputs& in) {
  return ledger::decide(s, c, {.self = in.self, .now = in.now});
}

rows ledger_kind::rows_of(const model::entity_id& id, const state& s, const std::vector<event>&,
                          std::uint64_t revision, std::optional<model::timestamp>) {
  return snapshot_row(kind, id, s, revision, ledger::encode_state);
}

bool must_replay(const storage::record& r) {
  if (r.kind != model::entity_kind::device)
    return false;
  const auto events = device::decode_events(r.events);
  return !events || std::any_of(events->begin(), events->end(), device::is_telemetry);
}

}  // namespace orrery::actors
