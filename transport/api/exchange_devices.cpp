// The devices of a request: looked for, and left out where the caller does not reach them.
#include <algorithm>
#include <atomic>

#include "actors/tree_scope.hpp"
#include "model/blueprint/inheritance.hpp"
#include "transport/api/exchange.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {

using model::errc;
using model::failure;

namespace {

/// Devices below nodes of trees that a list names one by one.
constexpr std::size_t max_below = 5'000;

const auto unknown = failure{errc::not_found, "device_unknown", "no such device here"};

model::result<found_device> read_found(const actors::answer& got) {
  if (!got)
    return got.error().code == errc::not_found ? unknown : got.error();
  const auto* reply = std::get_if<model::device::reply>(&got->answer);
  const auto* snapshot = reply ? std::get_if<model::device::device_snapshot>(reply) : nullptr;
  if (!snapshot)
    return unknown;
  return found_device{snapshot->id, got->revision, snapshot->what};
}

actors::any_command reading() {
  return model::device::command{model::device::read_device{}, {}, {}, {}};
}

}  // namespace

std::vector<product_facts> products_of(const exchange& e) {
  auto all = std::vector<product_facts>{};
  const auto known = e.parts().known->current();
  for (const auto& [key, p] : known->products)
    if (p->state->organisation == e.who.organisation) {
      auto facts = product_facts{key, p->state->model, {}, false};
      facts.gateway = p->state->node == model::product::node_type::gateway;
      auto path = known->path_of(model::blueprint::key_of(p->state->organisation, p->state->model));
      if (!path.empty())
        path.pop_back();  // itself
      for (const auto& model : path)
        facts.ancestors.push_back(model.substr(model.find('/') + 1));
      all.push_back(std::move(facts));
    }
  return all;
}

group_facts groups_of(const exchange& e) {
  const auto known = e.parts().known->current();
  const auto* org = known->organisation(e.who.organisation);
  return org ? model::organisation::facts_of(org->state->groups) : group_facts{};
}

void set_reach(exchange& e, std::string_view permission) {
  if (permission == anyone_known)
    return;  // no call about devices
  e.reach = {};
  if (e.who.may(permission)) {
    e.reach.everything = true;
    return;
  }
  const auto groups = groups_of(e);
  const auto with_rule =
      std::any_of(groups.begin(), groups.end(), [](const auto& g) { return !g.second.empty(); });
  e.reach = reach_of(e.who.rights, permission, groups,
                     with_rule ? products_of(e) : std::vector<product_facts>{});
}

void set_reach(exchange& e) {
  set_reach(e, e.at->permission);
}

std::shared_ptr<const actors::catalogue_product> exchange::product_of(
    const model::device::state& s) const {
  const auto known = parts_->known->current();
  const auto found = known->products.find(s.name().product_key);
  return found == known->products.end() ? nullptr : found->second;
}

void exchange::with_device(std::function<void(found_device)> then) {
  auto whom = actors::target{};
  if (const auto& asset = param("asset"); !asset.empty()) {
    const auto id = model::parse_entity_id(asset);
    if (!id || id->shard >= parts_->shard_count)
      return fail(unknown);
    whom = *id;
  } else {
    whom = model::device_name{param("product"), param("device")};
  }
  with_devices({std::move(whom)},
               [self = shared_from_this(), then = std::move(then)](found_devices found) {
                 if (!found.front())
                   return self->fail(found.front().error());
                 self->facts.device = to_string(found.front()->id);
                 then(std::move(*found.front()));
               });
}

void exchange::with_devices(std::vector<actors::target> whom,
                            std::function<void(found_devices)> then) {
  struct reading_all {
    found_devices found;
    std::atomic<std::size_t> open;
  };
  if (whom.empty())
    return then({});
  const auto all = std::make_shared<reading_all>();
  all->found.assign(whom.size(), unknown);
  all->open = whom.size();
  for (std::size_t i = 0; i < whom.size(); ++i)
    parts_->ask->ask(std::move(whom[i]), reading(),
                     [self = shared_from_this(), all, i, then](const actors::answer& got) {
                       all->found[i] = read_found(got);
                       if (all->open.fetch_sub(1) == 1)
                         self->keep_seen(std::move(all->found), then);
                     });
}

/// Leaves out what the caller does not reach: it is told in the same words as what is not there.
void exchange::keep_seen(found_devices all, std::function<void(found_devices)> then) {
  const auto leave_out = [this](model::result<found_device>& one) {
    one = unknown;
    facts.out_of_reach = true;
  };
  for (auto& one : all)
    if (one && one->state->organisation() != who.organisation)
      leave_out(one);
  auto doubtful = std::vector<std::size_t>{};
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i] && !reach.has(all[i]->id, *all[i]->state))
      doubtful.push_back(i);
  if (doubtful.empty())
    return then(std::move(all));
  if (reach.nodes.empty()) {
    for (const auto i : doubtful)
      leave_out(all[i]);
    return then(std::move(all));
  }
  auto assets = std::vector<model::entity_id>{};
  for (const auto i : doubtful)
    assets.push_back(all[i]->id);
  const auto kept = std::make_shared<found_devices>(std::move(all));
  actors::are_below(*parts_->query, who.organisation,
                    actors::tree_shard(who.organisation, parts_->shard_count), reach.nodes,
                    std::move(assets),
                    [self = shared_from_this(), kept, doubtful, then,
                     leave_out](const model::result<std::vector<char>>& below) {
                      for (std::size_t n = 0; n < doubtful.size(); ++n)
                        if (!below)
                          (*kept)[doubtful[n]] = below.error();
                        else if (!(*below)[n])
                          leave_out((*kept)[doubtful[n]]);
                      then(std::move(*kept));
                    });
}

void exchange::with_reach(std::string filter, std::function<void(std::string)> then) {
  if (reach.nodes.empty())
    return then(model::organisation::both(filter, reach.filter({})));
  actors::all_devices_below(
      *parts_->query, who.organisation, actors::tree_shard(who.organisation, parts_->shard_count),
      reach.nodes, max_below,
      [self = shared_from_this(), filter = std::move(filter),
       then = std::move(then)](const model::result<std::vector<model::entity_id>>& below) {
        if (!below)
          return self->fail(below.error());
        then(model::organisation::both(filter, self->reach.filter(*below)));
      });
}

}  // namespace orrery::transport::api
