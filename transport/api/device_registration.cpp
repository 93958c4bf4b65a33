// Registers devices (part of group D of the API), and puts them into groups and behind gateways.
#include <algorithm>
#include <atomic>
#include <mutex>

#include "transport/api/fields.hpp"
#include "transport/api/group_parts.hpp"
#include "transport/api/people.hpp"
#include "transport/api/problem.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"
#include "transport/device_quota.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

constexpr std::size_t max_batch = 1000;

struct named_gateway {
  model::entity_id id;
  model::device_name name;
};

struct registration {
  device::register_device what;
  std::string secret;
  // Where it is put once it is there.
  std::vector<std::string> groups{};
  std::optional<actors::target> wanted_gateway{};
  std::optional<named_gateway> gateway{};
};
using registrations = std::vector<model::result<registration>>;

// ---- what is asked ------------------------------------------------------------------------------

/// Keys for devices that are given none. With an Idempotency-Key they are the same whenever the
/// same is asked: a repeat after an answer that was lost, or on another node, makes no second
/// device.
class key_source {
 public:
  explicit key_source(const exchange& e) {
    if (const auto key = e.request().header("idempotency-key"); !key.empty())
      seed_ = model::sha256_hex(e.who.organisation + '\n' + e.who.actor + '\n' + std::string{key} +
                                '\n' + e.request().body);
  }
  std::string key_for(const std::string& where) const {
    return seed_.empty() ? model::random_text(12) : model::sha256_hex(seed_ + where).substr(0, 16);
  }

 private:
  std::string seed_;
};

/// Ids of groups that devices are put into, none twice.
std::vector<std::string> read_groups(const exchange& e, fields& f) {
  auto ids = std::vector<std::string>{};
  const auto given = f.texts("groups", device::max_groups);
  if (!given)
    return ids;
  const auto org = own_organisation(e);
  for (std::size_t i = 0; i < given->size(); ++i) {
    const auto& id = (*given)[i];
    const auto* group = org->state->find_group(id);
    if (!group || group->what != model::organisation::device_group::kind::fixed)
      f.note("groups/" + std::to_string(i), group ? "group_dynamic" : "group_unknown",
             group ? "who is in it is decided by its rule" : "no such group");
    else if (std::find(ids.begin(), ids.end(), id) == ids.end())
      ids.push_back(id);
  }
  return ids;
}

/// An assetId, or {productKey, deviceKey}.
std::optional<actors::target> read_gateway(const exchange& e, fields& f, const std::string& where) {
  const auto* given = f.any("gateway");
  if (!given)
    return std::nullopt;
  if (given->is_object()) {
    auto g = fields{*given, where + "/gateway"};
    auto name = model::device_name{g.text("productKey", 20).value_or(""),
                                   g.text("deviceKey", 64).value_or("")};
    for (const auto& [member, text] :
         {std::pair{"productKey", &name.product_key}, std::pair{"deviceKey", &name.device_key}})
      if (text->empty())
        g.missing(member);
    if (auto ok = g.finish(); !ok)
      f.note("gateway", "type_mismatch", ok.error().detail);
    return name;
  }
  const auto id = given->is_string() ? model::parse_entity_id(given->as_string()) : std::nullopt;
  if (!id || id->shard >= e.parts().shard_count) {
    f.note("gateway", "type_mismatch", "expected an assetId, or {productKey, deviceKey}");
    return std::nullopt;
  }
  return *id;
}

/// Why the caller may not put a device there.
std::optional<failure> beyond_rights(const exchange& e, const registration& r) {
  if (!r.groups.empty() && !e.who.may("group:write"))
    return failure{errc::forbidden, "forbidden", "groups: needs the permission group:write"};
  for (const auto& id : r.groups)
    if (auto why = beyond_roles(e, id, false))
      return why;
  if (r.wanted_gateway && !e.who.may_for_some("topology:write"))
    return failure{errc::forbidden, "forbidden", "gateway: needs the permission topology:write"};
  return std::nullopt;
}

model::result<registration> read_registration(const exchange& e, const key_source& keys,
                                              const model::value& item, const std::string& where) {
  auto f = fields{item, where};
  auto r = registration{};
  auto& w = r.what;
  w.name.product_key = f.text("productKey", 20).value_or("");
  w.name.device_key = f.text("deviceKey", 64).value_or(keys.key_for(where));
  w.organisation = e.who.organisation;
  w.display_name = f.text("name", 256).value_or(w.name.device_key);
  w.description = f.text("description", 2000).value_or("");
  w.timezone = f.text("timezone", 64).value_or("");
  // A chosen secret is ours: fleets that move here keep theirs.
  r.secret = f.text("deviceSecret", 128).value_or(model::random_text(32));
  w.attributes = f.object("attributes").value_or(model::object{});
  for (auto& [k, v] : f.text_map("tags", false))
    w.tags[k] = *v;
  r.groups = read_groups(e, f);
  r.wanted_gateway = read_gateway(e, f, where);
  if (w.name.product_key.empty())
    f.missing("productKey");
  if (r.secret.size() < 8)
    f.note("deviceSecret", "too_short", "at least 8 characters");
  if (auto ok = f.finish(); !ok)
    return ok.error();
  const auto product = e.product(w.name.product_key);
  if (!product)
    return failure{errc::not_found, "product_unknown", "no product " + w.name.product_key};
  if (auto why = beyond_rights(e, r))
    return std::move(*why);
  if (r.wanted_gateway && product->view.gateway)
    return failure{errc::conflict, "sub_device_is_gateway",
                   "devices of the product " + w.name.product_key + " are gateways themselves"};
  w.secret = e.parts().keys->seal(r.secret, device::secret_owner(w.name));
  return r;
}

/// Looks for the gateways that are named, before anything is registered. Those that the caller does
/// not reach by topology:write are not there.
void find_gateways(const exchange_ptr& e, const std::shared_ptr<registrations>& all,
                   std::function<void()> then) {
  auto whom = std::vector<actors::target>{};
  auto whose = std::vector<std::size_t>{};
  for (std::size_t i = 0; i < all->size(); ++i)
    if (auto& r = (*all)[i]; r && r->wanted_gateway) {
      whom.push_back(*r->wanted_gateway);
      whose.push_back(i);
    }
  if (whom.empty())
    return then();
  set_reach(*e, "topology:write");
  e->with_devices(std::move(whom), [e, all, whose,
                                    then = std::move(then)](const exchange::found_devices& found) {
    set_reach(*e);
    for (std::size_t n = 0; n < whose.size(); ++n) {
      auto& r = (*all)[whose[n]];
      const auto& gateway = found[n];
      if (!gateway) {
        auto why = gateway.error();
        why.detail = "gateway: " + why.detail;
        r = std::move(why);
        continue;
      }
      const auto& name = gateway->state->name();
      const auto product = e->product_of(*gateway->state);
      if (product && product->view.gateway)
        r->gateway = named_gateway{gateway->id, name};
      else
        r = failure{errc::conflict, "not_gateway",
                    "gateway: " + name.device_key + " is none: its product says so"};
    }
    then();
  });
}

// ---- what is done -------------------------------------------------------------------------------

/// A fresh id in the shard that the name belongs to, so a name leads to its device without a
/// lookup.
model::entity_id fresh_id(const exchange& e, const model::device_name& name) {
  return model::make_entity_id(e.parts().ask->shard_of(name), e.parts().now(),
                               model::random_entropy());
}

/// A device that is there, and what could not be done with it.
struct made_device {
  device::device_snapshot what;
  std::uint64_t revision = 0;
  exchange::headers headers{};
  model::array warnings{};
};

model::object show_created(const exchange& e, made_device made, const std::string& secret) {
  auto o = show_device(e, made.what.id, *made.what.what).as_object();
  o.emplace_back("deviceSecret", secret);
  if (!made.warnings.empty())
    o.emplace_back("warnings", std::move(made.warnings));
  return o;
}

/// Puts a device that was registered into its groups and behind its gateway. It is there, whatever
/// comes of that: what fails is told as a warning.
class placing : public std::enable_shared_from_this<placing> {
 public:
  placing(exchange_ptr e, registration r, made_device made, std::function<void(made_device)> then)
      : e_{std::move(e)}, r_{std::move(r)}, made_{std::move(made)}, then_{std::move(then)} {}

  void start() {
    if (r_.groups.empty() && !r_.gateway)
      return then_(std::move(made_));
    if (r_.groups.empty())
      return bind();
    ask(made_.what.id, device::change_groups{r_.groups, {}},
        [self = shared_from_this()](const actors::answer& got) {
          if (!got)
            self->warn("groups", got.error());
          self->bind();
        });
  }

 private:
  void ask(const model::entity_id& whom, device::order what, actors::caller::on_answer then) {
    e_->parts().ask->ask(whom, device_order(*e_, std::move(what)), std::move(then));
  }
  void warn(const char* part, const failure& why) {
    made_.warnings.push_back(
        model::object{{"part", part}, {"error", problem_object(why, "", e_->request_id())}});
  }
  void bind() {
    if (!r_.gateway)
      return read();
    ask(made_.what.id,
        device::bind_gateway{{r_.gateway->id, r_.gateway->name}, e_->who.organisation, {}, false},
        [self = shared_from_this()](const actors::answer& got) {
          if (got)
            return self->list();
          self->warn("gateway", got.error());
          self->read();
        });
  }
  /// The gateway's list follows. Where it surely does not, the device goes free again.
  void list() {
    auto order = device::change_sub_devices{};
    order.changes[r_.what.name] = made_.what.id;
    ask(r_.gateway->id, std::move(order), [self = shared_from_this()](const actors::answer& got) {
      if (got)
        return self->read();
      self->warn("gateway", got.error());
      if (!device_quota::is_surely_not(got.error()))
        return self->read();
      self->ask(self->made_.what.id, device::unbind_gateway{self->r_.gateway->id, false, true},
                [self](const actors::answer&) { self->read(); });
    });
  }
  void read() {
    ask(made_.what.id, device::read_device{},
        [self = shared_from_this()](const actors::answer& got) {
          if (const auto* now = got ? device_reply<device::device_snapshot>(*got) : nullptr) {
            self->made_.what = *now;
            self->made_.revision = got->revision;
          }
          self->then_(std::move(self->made_));
        });
  }

  exchange_ptr e_;
  registration r_;
  made_device made_;
  std::function<void(made_device)> then_;
};

/// Registers one, then places it. A failure is one of the registration: nothing was made, or nobody
/// knows.
void register_one(const exchange_ptr& e, registration r,
                  std::function<void(model::result<made_device>)> then) {
  const auto id = fresh_id(*e, r.what.name);
  auto order = device_order(*e, r.what);
  e->parts().ask->ask(id, std::move(order),
                      [e, r = std::move(r), then = std::move(then)](const actors::answer& got) {
                        if (!got)
                          return then(got.error());
                        auto made = made_device{*device_reply<device::device_snapshot>(*got),
                                                got->revision, exchange::revision_headers(*got)};
                        std::make_shared<placing>(e, r, std::move(made), then)->start();
                      });
}

/// Room for so many devices, or for some of them; a failure is the answer.
void take_room(const exchange_ptr& e, std::size_t wanted,
               std::function<void(const device_room&)> then) {
  e->parts().quota->reserve(e->who.organisation, wanted,
                            [e, then = std::move(then)](const model::result<device_room>& room) {
                              if (!room)
                                return e->fail(room.error());
                              then(*room);
                            });
}

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  const auto all = std::make_shared<registrations>();
  all->push_back(read_registration(*e, key_source{*e}, *body, ""));
  find_gateways(e, all, [e, all] {
    if (!all->front())
      return e->fail(all->front().error());
    take_room(e, 1, [e, r = *all->front()](const device_room& room) {
      register_one(e, r, [e, room, secret = r.secret](model::result<made_device> made) {
        if (!made) {
          if (device_quota::is_surely_not(made.error()))
            e->parts().quota->release(room, 1);
          return e->fail(made.error());
        }
        auto h = std::move(made->headers);
        h.emplace_back("ETag", exchange::etag(made->revision));
        warn_of_quota(*e, use_of(room), h);
        e->reply(201, show_created(*e, std::move(*made), secret), std::move(h));
      });
    });
  });
}

/// Collects the results of a batch; the last one sends the answer.
struct batch_results {
  batch_results(exchange_ptr for_whom, std::size_t size)
      : e{std::move(for_whom)}, items(size), open{size} {}
  void set(std::size_t index, int status, model::object what) {
    auto o = model::object{{"index", static_cast<std::int64_t>(index)}, {"status", status}};
    std::move(what.begin(), what.end(), std::back_inserter(o));
    (status < 300 ? ok : failed).fetch_add(1);
    items[index] = std::move(o);
    if (status < 300) {
      const auto* id = items[index].find("id");
      const auto hold = std::lock_guard{mutex};
      e->facts.ids.push_back(id && id->is_string() ? id->as_string() : std::to_string(index));
    }
    if (open.fetch_sub(1) != 1)
      return;
    e->parts().quota->release(room, unused.load());
    auto h = exchange::headers{};
    warn_of_quota(*e, use_of(room), h);
    e->reply(
        200,
        model::object{{"results", std::move(items)}, {"ok", ok.load()}, {"failed", failed.load()}},
        std::move(h));
  }
  void fail(std::size_t index, const failure& why) {
    set(index, status_of(why), {{"error", problem_object(why, "", e->request_id())}});
  }
  exchange_ptr e;
  model::array items;
  device_room room;
  std::atomic<std::uint64_t> unused{0};  // of the room
  std::mutex mutex;                      // of what the audit log is told
  std::atomic<std::size_t> open;
  std::atomic<int> ok{0}, failed{0};
};

failure beyond_quota(const device_room& room) {
  return {errc::too_many_requests, "quota_exceeded",
          "the organisation may have " + std::to_string(room.hard.value_or(0)) +
              " devices, and has " + std::to_string(room.used)};
}

void register_of_batch(const exchange_ptr& e, const std::shared_ptr<batch_results>& results,
                       std::size_t i, registration r) {
  const auto secret = r.secret;
  register_one(e, std::move(r), [e, results, i, secret](model::result<made_device> made) {
    if (!made) {
      if (device_quota::is_surely_not(made.error()))
        ++results->unused;
      return results->fail(i, made.error());
    }
    const auto id = to_string(made->what.id);
    results->set(i, 201, {{"id", id}, {"device", show_created(*e, std::move(*made), secret)}});
  });
}

/// All that are good and have room; the others are told why not.
void register_all(const exchange_ptr& e, const std::shared_ptr<registrations>& all) {
  const auto wanted = static_cast<std::size_t>(
      std::count_if(all->begin(), all->end(), [](const auto& r) { return r.has_value(); }));
  e->parts().quota->reserve(e->who.organisation, wanted,
                            [e, all](const model::result<device_room>& room) {
                              const auto results = std::make_shared<batch_results>(e, all->size());
                              if (room)
                                results->room = *room;
                              auto left = room ? room->devices : 0;
                              for (std::size_t i = 0; i < all->size(); ++i) {
                                auto& r = (*all)[i];
                                if (!r)
                                  results->fail(i, r.error());
                                else if (left == 0)
                                  results->fail(i, room ? beyond_quota(*room) : room.error());
                                else if (--left; true)
                                  register_of_batch(e, results, i, std::move(*r));
                              }
                            });
}

void create_batch(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto* items = f.array("items", max_batch);
  if (!items)
    f.missing("items");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (items->empty())
    return e->reply(200, model::object{{"results", model::array{}}, {"ok", 0}, {"failed", 0}});
  const auto all = std::make_shared<registrations>();
  const auto keys = key_source{*e};
  for (std::size_t i = 0; i < items->size(); ++i)
    all->push_back(read_registration(*e, keys, (*items)[i], "/items/" + std::to_string(i)));
  find_gateways(e, all, [e, all] { register_all(e, all); });
}

}  // namespace

std::vector<route> device_registration_routes() {
  return {
      {"POST", "~/devices", "device:write", create, "createDevice",
       "Register a device; its secret is shown once. What fails after that (groups, gateway) is "
       "told in `warnings`",
       "NewDevice", "CreatedDevice", 201, ""},
      {"POST", "~/devices:batch", "device:write", create_batch, "createDevices",
       "Register up to 1,000 devices", "NewDevices", "BatchResult", 200, ""},
  };
}

}  // namespace orrery::transport::api
