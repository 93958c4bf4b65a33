#include "actors/catalogue.hpp"

#include <algorithm>
#include <set>

#include "actors/configurations.hpp"
#include "model/blueprint/inheritance.hpp"
#include "model/credentials.hpp"
#include "storage/keys.hpp"

namespace orrery::actors {
namespace {

template <class Map>
auto* find_in(const Map& map, const std::string& key) {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : found->second.get();
}

template <class State>
model::status load_kind(const storage::entity_store& store, model::entity_kind kind,
                        model::result<std::uint64_t> (*decode)(std::string_view, State&),
                        const std::function<void(catalogue_change)>& take) {
  auto failed = model::status{};
  const auto prefix = storage::keys::state_prefix(model::catalogue_shard, kind);
  auto ok = store.scan(
      storage::family::state, prefix, {}, false, [&](std::string_view key, std::string_view bytes) {
        const auto id = storage::keys::entity_of(key);
        auto state = std::make_shared<State>();
        auto revision = decode(bytes, *state);
        if (!id || !revision) {
          failed = revision ? model::failure{model::errc::corrupted, "a catalogue key is damaged"}
                            : revision.error();
          return false;
        }
        take({*id, std::shared_ptr<const State>{std::move(state)}});
        return true;
      });
  return ok ? failed : ok;
}

/// A gateway without points.
const catalogue_product* virtual_gateway_product() {
  static const auto made = [] {
    auto state = model::product::state{};
    state.exists = true;
    state.product_key = virtual_gateway_key;
    state.name = "Virtual gateways";
    state.node = model::product::node_type::gateway;
    auto p = catalogue_product{};
    p.view.exists = p.view.gateway = true;
    p.view.model = std::make_shared<const model::thing_model>();
    p.state = std::make_shared<const model::product::state>(std::move(state));
    return p;
  }();
  return &made;
}

}  // namespace

model::entity_id catalogue_id(model::entity_kind kind, std::string_view name) {
  const auto digest =
      model::sha256_hex(std::to_string(static_cast<int>(kind)) + ":" + std::string{name});
  auto id = model::entity_id{.shard = model::catalogue_shard};
  for (std::size_t i = 0; i < id.ulid.size(); ++i)
    id.ulid[i] = static_cast<std::uint8_t>(std::stoi(digest.substr(2 * i, 2), nullptr, 16));
  return id;
}

const catalogue_product* catalogue_snapshot::product(const std::string& key) const {
  if (key == virtual_gateway_key)
    return virtual_gateway_product();
  return find_in(products, key);
}

const catalogue_blueprint* catalogue_snapshot::blueprint(const std::string& organisation,
                                                         const std::string& reference) const {
  return find_in(blueprints, model::blueprint::key_of(organisation, reference));
}

std::shared_ptr<const catalogue_blueprint> catalogue_snapshot::visible_blueprint(
    const std::string& organisation, const std::string& reference) const {
  const auto found = blueprints.find(model::blueprint::key_of(organisation, reference));
  if (found == blueprints.end())
    return nullptr;
  const auto& s = *found->second->state;
  const auto shared_with = [&](std::string_view whom) {
    return std::binary_search(s.shared_with.begin(), s.shared_with.end(), whom);
  };
  const auto is_own = s.organisation == organisation && s.model_id != model::blueprint::library_id;
  return is_own || shared_with(organisation) || shared_with(model::blueprint::everybody)
             ? found->second
             : nullptr;
}

std::vector<model::blueprint::descendant> catalogue_snapshot::descendants_of(
    const std::string& key) const {
  auto found = std::vector<model::blueprint::descendant>{};
  auto seen = std::set<std::string>{key};
  const auto add = [&](const std::string& parent, std::size_t depth) {
    if (const auto below = children.find(parent); below != children.end())
      for (const auto& child : below->second)
        if (seen.insert(child).second)
          found.push_back(
              {child, parent, depth, blueprints.at(child)->state->revisions.back().document});
  };
  add(key, 1);
  for (std::size_t i = 0; i < found.size(); ++i)
    add(std::string{found[i].key}, found[i].depth + 1);
  return found;
}

std::vector<std::string> catalogue_snapshot::path_of(std::string key) const {
  auto path = std::vector<std::string>{};
  while (!key.empty() && path.size() <= model::blueprint::max_depth &&
         std::find(path.begin(), path.end(), key) == path.end()) {
    const auto found = blueprints.find(key);
    if (found == blueprints.end())
      break;
    path.push_back(key);
    key = found->second->parent;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

model::value catalogue_snapshot::library(const std::string& organisation) const {
  const auto* kept = blueprint(organisation, std::string{model::blueprint::library_id});
  return kept ? kept->state->library : model::value{model::object{}};
}

std::vector<model::organisation::product_facts> catalogue_snapshot::products_of(
    const std::string& organisation) const {
  auto all = std::vector<model::organisation::product_facts>{};
  for (const auto& [key, p] : products)
    if (p->state->organisation == organisation) {
      auto facts = model::organisation::product_facts{key, p->state->model, {}, false};
      facts.gateway = p->state->node == model::product::node_type::gateway;
      auto path = path_of(model::blueprint::key_of(p->state->organisation, p->state->model));
      if (!path.empty())
        path.pop_back();  // itself
      for (const auto& model : path)
        facts.ancestors.push_back(model.substr(model.find('/') + 1));
      all.push_back(std::move(facts));
    }
  return all;
}

const catalogue_organisation* catalogue_snapshot::organisation(const std::string& id) const {
  return find_in(organisations, id);
}

namespace {

using organisation_ptr = std::shared_ptr<const catalogue_organisation>;

organisation_ptr with_configurations(const catalogue_organisation& of,
                                     const catalogue_snapshot& in) {
  auto made = of;
  made.configurations =
      compile_configurations(*of.state, [&] { return in.products_of(of.state->id); });
  return std::make_shared<const catalogue_organisation>(std::move(made));
}

/// Whether two states of an organisation have the same groups and configurations: each of these has
/// the revision of its last change.
bool gather_alike(const model::organisation::state& a, const model::organisation::state& b) {
  const auto same = [](const auto& x, const auto& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [](const auto& one, const auto& other) {
                        return one.id == other.id && one.revision == other.revision;
                      });
  };
  return same(a.groups, b.groups) && same(a.configurations, b.configurations);
}

void renew_one(catalogue_snapshot& next, const catalogue_snapshot& before, const std::string& id) {
  const auto found = next.organisations.find(id);
  if (found == next.organisations.end())
    return;
  const auto was = before.organisations.find(id);
  auto& entry = found->second;
  if (was != before.organisations.end() && was->second->configurations &&
      gather_alike(*was->second->state, *entry->state)) {
    auto same = *entry;
    same.configurations = was->second->configurations;
    entry = std::make_shared<const catalogue_organisation>(std::move(same));
    return;
  }
  entry = with_configurations(*entry, next);
}

/// Those whose targets ask for what stands in products.
void renew_by_products(catalogue_snapshot& next, const std::string* organisation) {
  for (auto& [id, entry] : next.organisations)
    if (entry->configurations->asks_products && (!organisation || *organisation == id))
      entry = with_configurations(*entry, next);
}

/// What configurations reach follows what they are compiled from, with the same snapshot.
void renew_configurations(catalogue_snapshot& next, const catalogue_snapshot& before,
                          const catalogue_change& change) {
  if (const auto* o = std::get_if<std::shared_ptr<const model::organisation::state>>(&change.what))
    renew_one(next, before, (*o)->id);
  else if (const auto* p = std::get_if<std::shared_ptr<const model::product::state>>(&change.what))
    renew_by_products(next, &(*p)->organisation);
  else
    renew_by_products(next, nullptr);
}

}  // namespace

model::status catalogue::load(const storage::entity_store& store) {
  auto next = std::make_shared<catalogue_snapshot>();
  const auto take = [&](catalogue_change change) { put(*next, change); };
  // Blueprints first: a product's view holds its compiled model.
  for (const auto& ok :
       {load_kind<model::blueprint::state>(store, model::entity_kind::blueprint,
                                           model::blueprint::decode_state, take),
        load_kind<model::organisation::state>(store, model::entity_kind::organisation,
                                              model::organisation::decode_state, take),
        load_kind<model::product::state>(store, model::entity_kind::product,
                                         model::product::decode_state, take)})
    if (!ok)
      return ok;
  for (auto& [name, entry] : next->organisations)
    entry = with_configurations(*entry, *next);
  const auto hold = std::lock_guard{mutex_};
  current_ = std::move(next);
  version_.fetch_add(1, std::memory_order_release);
  return {};
}

std::shared_ptr<const catalogue_snapshot> catalogue::current() const {
  const auto hold = std::lock_guard{mutex_};
  return current_;
}

void catalogue::apply(const catalogue_change& change) {
  const auto before = current();
  auto next = std::make_shared<catalogue_snapshot>(*before);
  put(*next, change);
  renew_configurations(*next, *before, change);
  const auto hold = std::lock_guard{mutex_};
  current_ = std::move(next);
  version_.fetch_add(1, std::memory_order_release);
}

namespace {

template <class State>
model::status change_of(model::result<std::uint64_t> (*decode)(std::string_view, State&),
                        const storage::row& r, catalogue_state& into) {
  auto state = std::make_shared<State>();
  if (auto revision = decode(r.value, *state); !revision)
    return revision.error();
  into = std::shared_ptr<const State>{std::move(state)};
  return {};
}

/// The entity of that id among those of one sort, as it is when it is gone; null if it is not
/// there.
template <class Map>
auto gone_from(const Map& all, const model::entity_id& id) {
  using state = std::remove_cvref_t<decltype(*all.begin()->second->state)>;
  for (const auto& [name, one] : all)
    if (one->id == id) {
      auto after = std::make_shared<state>(*one->state);
      after->exists = false;
      after->deleted = true;
      return std::shared_ptr<const state>{std::move(after)};
    }
  return std::shared_ptr<const state>{};
}

}  // namespace

model::status catalogue::apply_removal(const storage::row& r, const model::entity_id& id) {
  const auto known = current();
  const auto is_a = [&](model::entity_kind kind) {
    return r.key == storage::keys::state(kind, id);
  };
  const auto tell = [&](auto gone) {
    if (gone)
      apply(catalogue_change{id, std::move(gone)});
  };
  if (is_a(model::entity_kind::product))
    tell(gone_from(known->products, id));
  else if (is_a(model::entity_kind::blueprint))
    tell(gone_from(known->blueprints, id));
  else if (is_a(model::entity_kind::organisation))
    tell(gone_from(known->organisations, id));
  return {};
}

model::status catalogue::apply(const storage::row& r) {
  if (r.family != storage::family::state ||
      (r.operation != storage::row_operation::put && r.operation != storage::row_operation::remove))
    return {};
  const auto id = storage::keys::entity_of(r.key);
  if (!id)
    return {};
  if (r.operation == storage::row_operation::remove)
    return apply_removal(r, *id);
  auto change = catalogue_change{*id, {}};
  auto ok = model::status{};
  const auto is_a = [&](model::entity_kind kind) {
    return r.key == storage::keys::state(kind, *id);
  };
  if (is_a(model::entity_kind::product))
    ok = change_of(model::product::decode_state, r, change.what);
  else if (is_a(model::entity_kind::blueprint))
    ok = change_of(model::blueprint::decode_state, r, change.what);
  else if (is_a(model::entity_kind::organisation))
    ok = change_of(model::organisation::decode_state, r, change.what);
  else
    return {};
  if (ok)
    apply(change);
  return ok;
}

namespace {

model::device::login_demand demands_of(model::product::authentication by) {
  switch (by) {
    case model::product::authentication::secret:
      return model::device::login_demand::secret;
    case model::product::authentication::certificate:
      return model::device::login_demand::certificate;
    case model::product::authentication::both:
      break;
  }
  return model::device::login_demand::both;
}

model::device::product_view view_of(const model::product::state& p, const catalogue_snapshot& in) {
  auto view = model::device::product_view{};
  view.exists = p.exists;
  view.demands = demands_of(p.auth);
  view.direct_access = p.access != model::product::access_mode::via_gateway;
  view.gateway = p.node == model::product::node_type::gateway;
  view.dynamic_activation = p.dynamic_activation;
  view.secret = p.secret;
  view.secret_owner = model::product::secret_owner(p.product_key);
  view.sign_methods = p.sign_methods;
  if (const auto* blueprint = in.blueprint(p.organisation, p.model)) {
    if (p.pinned_revision == 0)
      view.model = blueprint->newest;
    else if (const auto found = blueprint->compiled.find(p.pinned_revision);
             found != blueprint->compiled.end())
      view.model = found->second;
  }
  view.mode = p.mode ? *p.mode : view.model ? view.model->mode() : model::validation::strict;
  return view;
}

std::shared_ptr<const std::string> script_of(const model::product::state& p,
                                             const catalogue_snapshot& in) {
  if (p.script->empty())
    return nullptr;
  if (const auto* before = in.product(p.product_key);
      before && before->script && *before->script == *p.script)
    return before->script;
  return std::make_shared<const std::string>(*p.script);
}

}  // namespace

void catalogue::put(catalogue_snapshot& next, const catalogue_change& change) const {
  if (const auto* product =
          std::get_if<std::shared_ptr<const model::product::state>>(&change.what)) {
    const auto& s = **product;
    if (!s.exists)
      next.products.erase(s.product_key);
    else
      next.products[s.product_key] = std::make_shared<const catalogue_product>(
          catalogue_product{change.id, *product, view_of(s, next), script_of(s, next)});
    return;
  }
  if (const auto* organisation =
          std::get_if<std::shared_ptr<const model::organisation::state>>(&change.what)) {
    if (!(*organisation)->exists) {
      next.organisations.erase((*organisation)->id);
      return;
    }
    next.organisations[(*organisation)->id] =
        std::make_shared<const catalogue_organisation>(catalogue_organisation{
            change.id, *organisation, std::make_shared<const model::device::configuration_set>()});
    return;
  }
  put(next, change.id, std::get<std::shared_ptr<const model::blueprint::state>>(change.what));
}

namespace {

namespace blueprint = model::blueprint;

/// Every revision that compiles; those that were known are not compiled again.
void compile_revisions(catalogue_blueprint& made, const catalogue_blueprint* before) {
  for (const auto& revision : made.state->revisions) {
    if (before)
      if (const auto known = before->compiled.find(revision.number);
          known != before->compiled.end()) {
        made.compiled.insert(*known);
        continue;
      }
    if (auto compiled = model::thing_model::compile(blueprint::effective_document(revision)))
      made.compiled.emplace(revision.number,
                            std::make_shared<const model::thing_model>(std::move(*compiled)));
  }
}

/// The newest revision with what its parent says now.
void follow_parent(catalogue_blueprint& made, const catalogue_snapshot& in) {
  made.newest = nullptr;
  made.effective = {};
  if (made.state->revisions.empty())
    return;
  const auto& revision = made.state->revisions.back();
  if (const auto found = made.compiled.find(revision.number); found != made.compiled.end())
    made.newest = found->second;
  made.effective = blueprint::effective_document(revision);
  const auto parent = in.blueprints.find(made.parent);
  if (parent == in.blueprints.end() || !parent->second->newest)
    return;
  auto whole =
      blueprint::resolve(revision.document, parent->second->effective, *parent->second->newest);
  if (!whole || whole->document == made.effective)
    return;
  made.newest = std::move(whole->compiled);
  made.effective = std::move(whole->document);
}

}  // namespace

void catalogue::put(catalogue_snapshot& next, const model::entity_id& id,
                    const std::shared_ptr<const model::blueprint::state>& s) {
  const auto key = blueprint::key_of(s->organisation, s->model_id);
  const auto before = next.blueprints.find(key);
  if (before != next.blueprints.end() && !before->second->parent.empty())
    if (const auto siblings = next.children.find(before->second->parent);
        siblings != next.children.end() && siblings->second.erase(key) > 0 &&
        siblings->second.empty())
      next.children.erase(siblings);
  if (s->exists) {
    auto made = catalogue_blueprint{id, s, {}, {}, {}, {}};
    compile_revisions(made, before == next.blueprints.end() ? nullptr : before->second.get());
    const auto document =
        s->revisions.empty() ? s->draft.value_or(model::value{}) : s->revisions.back().document;
    if (const auto parent = blueprint::parent_of(document); !parent.empty())
      made.parent = blueprint::key_of(s->organisation, parent);
    if (!made.parent.empty() && !s->revisions.empty())
      next.children[made.parent].insert(key);
    follow_parent(made, next);
    next.blueprints[key] = std::make_shared<const catalogue_blueprint>(std::move(made));
  } else {
    next.blueprints.erase(key);
  }
  // Whatever inherits from it, and products on all of them, see it with the same snapshot.
  auto family = std::set<std::string>{key};
  for (const auto& d : next.descendants_of(key)) {
    auto child = *next.blueprints.at(d.key);
    follow_parent(child, next);
    next.blueprints[d.key] = std::make_shared<const catalogue_blueprint>(std::move(child));
    family.insert(d.key);
  }
  for (auto& [product_key, entry] : next.products)
    if (family.contains(blueprint::key_of(entry->state->organisation, entry->state->model)))
      entry = std::make_shared<const catalogue_product>(
          catalogue_product{entry->id, entry->state, view_of(*entry->state, next), entry->script});
}

}  // namespace orrery::actors
