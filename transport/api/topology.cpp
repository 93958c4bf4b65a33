// Gateways and their sub-devices (part of group E of the API).
#include <algorithm>
#include <atomic>

#include "transport/api/fields.hpp"
#include "transport/api/problem.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

constexpr std::size_t max_batch = 1000;

model::object show_sub(const model::device_name& name, const model::entity_id& id) {
  return {
      {"assetId", to_string(id)}, {"productKey", name.product_key}, {"deviceKey", name.device_key}};
}

using named_devices = std::vector<std::pair<model::device_name, model::entity_id>>;

/// Those that the caller reaches.
void only_seen(const exchange_ptr& e, named_devices all, std::function<void(named_devices)> then) {
  if (e->reach.everything)
    return then(std::move(all));
  auto whom = std::vector<actors::target>{};
  for (const auto& [name, id] : all)
    whom.emplace_back(id);
  e->with_devices(std::move(whom),
                  [all = std::move(all), then](const exchange::found_devices& found) {
                    auto seen = named_devices{};
                    for (std::size_t i = 0; i < all.size(); ++i)
                      if (found[i])
                        seen.push_back(all[i]);
                    then(std::move(seen));
                  });
}

/// A page of those that the caller reaches. The place of the next one is the last name that he was
/// shown: of the others a cursor tells nothing.
struct sub_list : std::enable_shared_from_this<sub_list> {
  static constexpr std::size_t at_once = 500;

  sub_list(exchange_ptr for_whom, found_device which, std::size_t most, const std::string& after)
      : e{std::move(for_whom)}, gateway{std::move(which)}, limit{most} {
    const auto& subs = gateway.state->sub_devices();
    const auto cut = after.find('/');
    at = after.empty() || cut == std::string::npos
             ? subs.begin()
             : subs.upper_bound({after.substr(0, cut), after.substr(cut + 1)});
  }

  /// A gateway has so many sub-devices at most that all of them can be looked at.
  void go_on() {
    const auto end = gateway.state->sub_devices().end();
    auto some = named_devices{};
    const auto wanted = e->reach.everything ? limit + 1 : at_once;
    for (; at != end && some.size() < wanted; ++at)
      some.emplace_back(*at);
    only_seen(e, std::move(some), [self = shared_from_this()](const named_devices& seen) {
      self->page.insert(self->page.end(), seen.begin(), seen.end());
      if (self->page.size() > self->limit || self->at == self->gateway.state->sub_devices().end())
        return self->end();
      self->go_on();
    });
  }

  void end() {
    auto next = std::string{};
    if (page.size() > limit) {
      page.resize(limit);
      next = page.back().first.product_key + '/' + page.back().first.device_key;
    }
    auto items = model::array{};
    for (const auto& [name, id] : page)
      items.emplace_back(show_sub(name, id));
    e->reply_page(std::move(items), next);
  }

  exchange_ptr e;
  found_device gateway;
  std::size_t limit;
  device::sub_device_map::const_iterator at;
  named_devices page;
};

void list(const exchange_ptr& e) {
  const auto limit = e->limit();
  const auto cursor = e->cursor();
  for (const auto* why : {limit ? nullptr : &limit.error(), cursor ? nullptr : &cursor.error()})
    if (why)
      return e->fail(*why);
  e->with_device([e, limit = *limit, after = *cursor](const found_device& d) {
    std::make_shared<sub_list>(e, d, limit, after)->go_on();
  });
}

/// Binds or unbinds devices one by one; then the gateway's list follows.
struct change : std::enable_shared_from_this<change> {
  change(exchange_ptr for_whom, found_device which, std::vector<model::device_name> names, bool add)
      : e{std::move(for_whom)},
        gateway{std::move(which)},
        subs{std::move(names)},
        answers(subs.size(), actors::answer{actors::outcome{}}),
        adds{add} {}

  void start() {
    if (e->reach.everything)
      return change_subs();
    auto whom = std::vector<actors::target>{};
    for (const auto& name : subs)
      whom.emplace_back(name);
    e->with_devices(std::move(whom),
                    [self = shared_from_this()](const exchange::found_devices& found) {
                      for (std::size_t i = 0; i < found.size(); ++i)
                        if (!found[i])
                          self->answers[i] = found[i].error();
                      self->change_subs();
                    });
  }

  void change_subs() {
    auto those = std::vector<std::size_t>{};
    for (std::size_t i = 0; i < subs.size(); ++i)
      if (answers[i])
        those.push_back(i);
    if (those.empty())
      return change_list();
    open = those.size();
    for (const auto i : those) {
      auto order = adds ? device::order{device::bind_gateway{
                              {gateway.id, gateway.state->name()}, e->who.organisation, {}, false}}
                        : device::order{device::unbind_gateway{gateway.id, false, true}};
      // Whoever is another organisation's is not there; binding looks for itself.
      e->parts().ask->ask(subs[i], device_order(*e, std::move(order)),
                          [self = shared_from_this(), i](actors::answer got) {
                            self->answers[i] = std::move(got);
                            if (self->open.fetch_sub(1) == 1)
                              self->change_list();
                          });
    }
  }

  void change_list() {
    auto order = device::change_sub_devices{};
    for (std::size_t i = 0; i < subs.size(); ++i)
      if (answers[i])
        if (const auto* done = device_reply<device::device_bound>(*answers[i]))
          order.changes[subs[i]] = adds ? std::optional{done->id} : std::nullopt;
    if (order.changes.empty())
      return finish({});
    e->ask(gateway.id, device_order(*e, std::move(order)),
           [self = shared_from_this()](const actors::outcome& done) {
             self->finish(exchange::revision_headers(done));
           });
  }

  /// Why one was refused. Whose it is already is said to those alone who reach all gateways.
  failure shown(std::size_t i) const {
    const auto& why = answers[i].error();
    if (why.reason != "already_bound" || e->reach.everything)
      return why;
    return {why.code, why.reason, subs[i].device_key + " is a sub-device of another gateway"};
  }

  void finish(exchange::headers h) {
    auto items = model::array{};
    auto ok = std::int64_t{0};
    for (std::size_t i = 0; i < subs.size(); ++i) {
      auto o = model::object{};
      o.emplace_back("index", static_cast<std::int64_t>(i));
      const auto* done = answers[i] ? device_reply<device::device_bound>(*answers[i]) : nullptr;
      if (done) {
        o.emplace_back("status", 200);
        o.emplace_back("device", show_sub(subs[i], done->id));
        ++ok;
      } else {
        const auto why = shown(i);
        o.emplace_back("status", status_of(why));
        o.emplace_back("error", problem_object(why, "", e->request_id()));
      }
      items.emplace_back(std::move(o));
    }
    const auto failed = static_cast<std::int64_t>(subs.size()) - ok;
    e->reply(200, model::object{{"results", std::move(items)}, {"ok", ok}, {"failed", failed}},
             std::move(h));
  }

  exchange_ptr e;
  found_device gateway;
  std::vector<model::device_name> subs;
  std::vector<actors::answer> answers;
  std::atomic<std::size_t> open{0};
  bool adds;
};

void change_topology(const exchange_ptr& e, bool adds) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto names = std::vector<model::device_name>{};
  const auto* items = f.array("devices", max_batch);
  if (!items)
    f.missing("devices");
  for (std::size_t i = 0; items && i < items->size(); ++i) {
    auto g = fields{(*items)[i], "/devices/" + std::to_string(i)};
    auto& name = names.emplace_back();
    name.product_key = g.text("productKey", 20).value_or("");
    name.device_key = g.text("deviceKey", 64).value_or("");
    if (name.product_key.empty() || name.device_key.empty())
      g.missing(name.product_key.empty() ? "productKey" : "deviceKey");
    if (auto ok = g.finish(); !ok)
      return e->fail(ok.error());
  }
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_device([e, names = std::move(names), adds](const found_device& d) mutable {
    const auto product = e->product_of(*d.state);
    if (!product || !product->view.gateway)
      return e->fail({errc::conflict, "not_gateway",
                      d.state->name().device_key + " is no gateway: its product says so"});
    if (adds && !d.state->retirement().empty())
      return e->fail({errc::conflict, "device_retired",
                      d.state->name().device_key + " is out of service: restore it first"});
    if (names.empty())
      return e->reply(200, model::object{{"results", model::array{}}, {"ok", 0}, {"failed", 0}});
    std::make_shared<change>(e, d, std::move(names), adds)->start();
  });
}
void bind(const exchange_ptr& e) {
  change_topology(e, true);
}
void unbind(const exchange_ptr& e) {
  change_topology(e, false);
}

void get_gateway(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    const auto& gateway = d.state->gateway();
    const auto none = failure{errc::not_found, "sub_device_unbound",
                              d.state->name().device_key + " has no gateway"};
    if (gateway.empty())
      return e->fail(none);
    only_seen(e, {{gateway.name, gateway.id}}, [e, none](const named_devices& seen) {
      if (seen.empty())
        return e->fail(none);
      e->reply_one(show_sub(seen.front().first, seen.front().second));
    });
  });
}

void get_picture(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    const auto& picture = d.state->family->picture;
    auto o = model::object{{"nodes", picture.nodes}, {"relations", picture.relations}};
    if (picture.at != model::timestamp{})
      o.emplace_back("reportedAt", e->show(picture.at));
    e->reply_one(std::move(o));
  });
}

}  // namespace

std::vector<route> topology_routes() {
  return {
      {"GET", "@d/subDevices", "device:read", list, "listSubDevices", "Sub-devices of a gateway",
       "", "SubDeviceList", 200, "limit cursor"},
      {"POST", "@d/subDevices:bind", "device:write", bind, "bindSubDevices",
       "Make up to 1,000 devices sub-devices of a gateway", "DeviceNames", "TopologyResult", 200,
       ""},
      {"POST", "@d/subDevices:unbind", "device:write", unbind, "unbindSubDevices",
       "Take up to 1,000 sub-devices from their gateway; those that are on-line are logged out",
       "DeviceNames", "TopologyResult", 200, ""},
      {"GET", "@d/gateway", "device:read", get_gateway, "getGateway",
       "The gateway that a sub-device belongs to", "", "SubDevice", 200, ""},
      {"GET", "@d/connectionTopology", "device:read", get_picture, "getConnectionTopology",
       "What a gateway last told of the nodes behind it", "", "ConnectionTopology", 200, ""},
  };
}

}  // namespace orrery::transport::api
