// Devices, their attributes and tags (groups D and E of the API).
#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include "actors/name_settling.hpp"
#include "model/json.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/people.hpp"
#include "transport/api/problem.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"
#include "transport/api/tree_view.hpp"
#include "transport/device_quota.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

constexpr std::size_t max_batch = 1000;

// ---- registration
// --------------------------------------------------------------------------------

struct registration {
  device::register_device what;
  std::string secret;
};

model::result<registration> read_registration(const exchange& e, const model::value& item,
                                              const std::string& where) {
  auto f = fields{item, where};
  auto r = registration{};
  auto& w = r.what;
  w.name.product_key = f.text("productKey", 20).value_or("");
  w.name.device_key = f.text("deviceKey", 64).value_or(model::random_text(12));
  w.organisation = e.who.organisation;
  w.display_name = f.text("name", 256).value_or(w.name.device_key);
  w.description = f.text("description", 2000).value_or("");
  w.timezone = f.text("timezone", 64).value_or("");
  // A chosen secret is ours: fleets that move here keep theirs.
  r.secret = f.text("deviceSecret", 128).value_or(model::random_text(32));
  w.attributes = f.object("attributes").value_or(model::object{});
  for (auto& [k, v] : f.text_map("tags", false))
    w.tags[k] = *v;
  if (w.name.product_key.empty())
    f.missing("productKey");
  if (r.secret.size() < 8)
    f.note("deviceSecret", "too_short", "at least 8 characters");
  if (auto ok = f.finish(); !ok)
    return ok.error();
  if (!e.product(w.name.product_key))
    return failure{errc::not_found, "product_unknown", "no product " + w.name.product_key};
  w.secret = e.parts().keys->seal(r.secret, device::secret_owner(w.name));
  return r;
}

/// A fresh id in the shard that the name belongs to, so a name leads to its device without a
/// lookup.
model::entity_id fresh_id(const exchange& e, const model::device_name& name) {
  return model::make_entity_id(e.parts().ask->shard_of(name), e.parts().now(),
                               model::random_entropy());
}

model::value show_created(const exchange& e, const device::device_snapshot& made,
                          const std::string& secret) {
  auto o = show_device(e, made.id, *made.what).as_object();
  o.emplace_back("deviceSecret", secret);
  return o;
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

/// Whoever registers beyond the soft limit is told so, and once the log.
void warn_of_quota(const exchange& e, const device_room& room, exchange::headers& headers) {
  if (!room.soft || room.used <= *room.soft)
    return;
  auto text = "devices; used=" + std::to_string(room.used) + "; soft=" + std::to_string(*room.soft);
  if (room.hard)
    text += "; hard=" + std::to_string(*room.hard);
  headers.emplace_back("X-Quota-Warning", std::move(text));
  if (room.used - room.devices <= *room.soft)
    note_soft_limit(e, room.organisation, "devices", room.used, *room.soft);
}

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto r = read_registration(*e, *body, "");
  if (!r)
    return e->fail(r.error());
  take_room(e, 1, [e, r = std::move(*r)](const device_room& room) {
    const auto id = fresh_id(*e, r.what.name);
    e->parts().ask->ask(
        id, device_order(*e, r.what), [e, room, secret = r.secret](const actors::answer& got) {
          if (!got) {
            if (device_quota::is_surely_not(got.error()))
              e->parts().quota->release(room, 1);
            return e->fail(got.error());
          }
          auto h = exchange::revision_headers(*got);
          h.emplace_back("ETag", exchange::etag(got->revision));
          warn_of_quota(*e, room, h);
          e->reply(201, show_created(*e, *device_reply<device::device_snapshot>(*got), secret),
                   std::move(h));
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
    warn_of_quota(*e, room, h);
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

void register_one(const exchange_ptr& e, const std::shared_ptr<batch_results>& results,
                  std::size_t i, registration r) {
  const auto id = fresh_id(*e, r.what.name);
  e->parts().ask->ask(
      id, device_order(*e, std::move(r.what)),
      [e, results, i, secret = r.secret](const actors::answer& got) {
        if (!got) {
          if (device_quota::is_surely_not(got.error()))
            ++results->unused;
          return results->fail(i, got.error());
        }
        const auto& made = *device_reply<device::device_snapshot>(*got);
        results->set(i, 201,
                     {{"id", to_string(made.id)}, {"device", show_created(*e, made, secret)}});
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
  auto all = std::make_shared<std::vector<model::result<registration>>>();
  auto wanted = std::size_t{0};
  for (std::size_t i = 0; i < items->size(); ++i) {
    all->push_back(read_registration(*e, (*items)[i], "/items/" + std::to_string(i)));
    wanted += all->back() ? 1 : 0;
  }
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
                                  register_one(e, results, i, std::move(*r));
                              }
                            });
}

/// Asks about many devices at once: `keep` gets each answer in its place, `done` runs after the
/// last.
void read_many(const exchange_ptr& e, std::vector<actors::target> whom,
               std::function<void(std::size_t, actors::answer)> keep, std::function<void()> done) {
  if (whom.empty())
    return done();
  const auto open = std::make_shared<std::atomic<std::size_t>>(whom.size());
  for (std::size_t i = 0; i < whom.size(); ++i)
    e->parts().ask->ask(std::move(whom[i]), device_order(*e, device::read_device{}),
                        [=](actors::answer got) {
                          keep(i, std::move(got));
                          if (open->fetch_sub(1) == 1)
                            done();
                        });
}

/// Which keys of a product are free, taken or impossible. Fails if nobody can say of one of them.
void check_keys(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto product = f.text("productKey", 20);
  const auto keys = f.texts("keys", max_batch);
  if (!product)
    f.missing("productKey");
  if (!keys)
    f.missing("keys");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (!e->product(*product))
    return e->fail({errc::not_found, "product_unknown", "no product " + *product});
  auto invalid = model::array{};
  auto asked = std::make_shared<std::vector<std::string>>();
  auto whom = std::vector<actors::target>{};
  for (const auto& k : *keys)
    if (!model::is_valid_key(k)) {
      invalid.emplace_back(k);
    } else {
      asked->push_back(k);
      whom.emplace_back(model::device_name{*product, k});
    }
  const auto found = std::make_shared<std::vector<model::status>>(asked->size());
  read_many(
      e, std::move(whom),
      [found](std::size_t i, const actors::answer& got) {
        if (!got)
          (*found)[i] = got.error();
      },
      [e, asked, found, invalid] {
        auto free = model::array{}, existing = model::array{};
        for (std::size_t i = 0; i < asked->size(); ++i) {
          const auto& is_there = (*found)[i];
          if (!is_there && is_there.error().code != errc::not_found)
            return e->fail(is_there.error());
          (is_there ? existing : free).emplace_back((*asked)[i]);
        }
        e->reply(200, model::object{{"free", std::move(free)},
                                    {"existing", std::move(existing)},
                                    {"invalid", invalid}});
      });
}

// ---- reading
// -------------------------------------------------------------------------------------

void get(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    e->reply(200, show_device(*e, d.id, *d.state), {{"ETag", exchange::etag(d.revision)}});
  });
}

void get_status(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) { e->reply_one(show_status(*e, d.id, *d.state)); });
}

void many_status(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto ids = f.texts("ids", max_batch);
  if (!ids)
    f.missing("ids");
  auto whom = std::vector<actors::target>{};
  for (std::size_t i = 0; ids && i < ids->size(); ++i) {
    const auto id = model::parse_entity_id((*ids)[i]);
    if (id && id->shard < e->parts().shard_count)
      whom.emplace_back(*id);
    else
      f.note("ids/" + std::to_string(i), "type_mismatch", "expected an assetId");
  }
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_devices(std::move(whom), [e](const exchange::found_devices& found) {
    auto items = model::array{};
    for (const auto& d : found)
      if (d)
        items.push_back(show_status(*e, d->id, *d->state));
    e->reply(200, model::object{{"items", std::move(items)}});
  });
}

// ---- changing
// ------------------------------------------------------------------------------------

/// Changes the device of the route, then shows it as it is after.
void change(const exchange_ptr& e, device::order what,
            std::function<void(const found_device&, exchange::headers)> then) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  e->with_device([e, what = std::move(what), expected = *expected,
                  then = std::move(then)](const found_device& d) {
    e->was(show_device(*e, d.id, *d.state));
    e->ask(d.id, device_order(*e, what, expected),
           [e, id = d.id, then](const actors::outcome& done) {
             e->ask(id, device_order(*e, device::read_device{}),
                    [e, done, then](const actors::outcome& now) {
                      const auto& s = *device_reply<device::device_snapshot>(now);
                      e->facts.after = show_device(*e, s.id, *s.what);
                      auto h = exchange::revision_headers(done);
                      h.emplace_back("ETag", exchange::etag(now.revision));
                      then({s.id, now.revision, s.what}, std::move(h));
                    });
           });
  });
}

void change_and_show(const exchange_ptr& e, device::order what) {
  change(e, std::move(what), [e](const found_device& d, exchange::headers h) {
    e->reply(200, show_device(*e, d.id, *d.state), std::move(h));
  });
}

void update(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto u = device::update_device{};
  u.display_name = f.text("name", 256);
  u.description = f.text("description", 2000);
  u.timezone = f.text("timezone", 64);
  u.attributes = f.object("attributes").value_or(model::object{});
  u.tags = f.text_map("tags", true);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  change_and_show(e, std::move(u));
}

void set_admin(const exchange_ptr& e, device::admin_state wanted) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto reason = f.text("reason", 256).value_or("");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  change_and_show(e, device::set_admin_state{wanted, std::move(reason)});
}
void enable(const exchange_ptr& e) {
  set_admin(e, device::admin_state::enabled);
}
void disable(const exchange_ptr& e) {
  set_admin(e, device::admin_state::disabled);
}

/// Waits for the end of the name that the device was given, so that it is free with the answer.
void free_name(const exchange_ptr& e, const model::entity_id& id, const device::renaming& renamed,
               std::function<void()> then) {
  if (renamed.alias == model::entity_id{})
    return then();
  actors::settle_name(e->parts().ask, {renamed.alias, id, renamed.renames - 1},
                      [then = std::move(then)](const model::status&) { then(); });
}

void remove(const exchange_ptr& e) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  e->with_device([e, expected = *expected](const found_device& d) {
    e->was(show_device(*e, d.id, *d.state));
    // The ledger is asked before: it must not take back what a count has seen already.
    e->parts().quota->look(e->who.organisation, [e, id = d.id, renamed = d.state->renaming(),
                                                 expected](const model::result<device_room>& room) {
      e->ask(id, device_order(*e, device::remove_device{}, expected),
             [e, id, room, renamed](const actors::outcome& done) {
               if (room)
                 e->parts().quota->release(*room, 1);
               free_name(e, id, renamed, [e, id, done] {
                 release_assets(e, {id}, [e, h = exchange::revision_headers(done)] {
                   e->reply_empty(204, h);
                 });
               });
             });
    });
  });
}

void reset_secret(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto overlap = std::chrono::seconds{f.integer("overlap", 0, 30 * 86'400).value_or(0)};
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_device([e, overlap](const found_device& d) {
    const auto secret = model::random_text(32);
    auto sealed = e->parts().keys->seal(secret, device::secret_owner(d.state->name()));
    e->ask(d.id, device_order(*e, device::reset_secret{std::move(sealed), overlap}),
           [e, id = d.id, name = d.state->name(), secret](const actors::outcome& done) {
             e->reply(200,
                      model::object{{"assetId", to_string(id)},
                                    {"productKey", name.product_key},
                                    {"deviceKey", name.device_key},
                                    {"deviceSecret", secret}},
                      exchange::revision_headers(done));
           });
  });
}

/// The product's secret counts once more, for a time.
void reopen_activation(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto lasts = std::chrono::seconds{f.integer("seconds", 60, 30 * 86'400).value_or(86'400)};
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  change_and_show(e, device::reopen_activation{lasts});
}

// ---- attributes and tags
// -------------------------------------------------------------------------

void get_attributes(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    e->reply(200, d.state->attributes, {{"ETag", exchange::etag(d.revision)}});
  });
}

void patch_attributes(const exchange_ptr& e, model::object changes) {
  change(e, device::change_attributes{std::move(changes), model::thing_model::side::cloud},
         [e](const found_device& d, exchange::headers h) {
           e->reply(200, d.state->attributes, std::move(h));
         });
}

void change_attributes(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  if (!body->is_object())
    return e->fail({errc::invalid_argument, "malformed", "expected an object of attribute values"});
  patch_attributes(e, body->as_object());
}

void delete_attribute(const exchange_ptr& e) {
  patch_attributes(e, {{e->param("attribute"), nullptr}});
}

void get_tags(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    e->reply(200, show_tags(*d.state->tags), {{"ETag", exchange::etag(d.revision)}});
  });
}

void write_tags(const exchange_ptr& e, bool replace) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  const auto wrapped = model::value{model::object{{"tags", *body}}};
  auto f = fields{wrapped};
  auto changes = f.text_map("tags", !replace);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  change(e, device::change_tags{std::move(changes), replace},
         [e](const found_device& d, exchange::headers h) {
           e->reply(200, show_tags(*d.state->tags), std::move(h));
         });
}
void put_tags(const exchange_ptr& e) {
  write_tags(e, true);
}
void patch_tags(const exchange_ptr& e) {
  write_tags(e, false);
}

void delete_tag(const exchange_ptr& e) {
  change(e, device::change_tags{{{e->param("key"), std::nullopt}}, false},
         [e](const found_device&, exchange::headers h) { e->reply_empty(204, std::move(h)); });
}

}  // namespace

std::vector<route> device_routes() {
  return {
      {"POST", "~/devices", "device:write", create, "createDevice",
       "Register a device; its secret is shown once", "NewDevice", "CreatedDevice", 201, ""},
      {"POST", "~/devices:batch", "device:write", create_batch, "createDevices",
       "Register up to 1,000 devices", "NewDevices", "BatchResult", 200, ""},
      {"POST", "~/devices:check", "device:read", check_keys, "checkDeviceKeys",
       "Which keys are free", "KeysQuestion", "KeysAnswer", 200, ""},
      {"POST", "~/devices/status", "device:read", many_status, "getDeviceStatuses",
       "Status of up to 1,000 devices", "Ids", "StatusList", 200, ""},
      {"GET", "@d", "device:read", get, "getDevice", "A device", "", "Device", 200, ""},
      {"PATCH", "@d", "device:write", update, "updateDevice", "Change a device", "DeviceChange",
       "Device", 200, ""},
      {"DELETE", "@d", "device:decommission", remove, "deleteDevice", "Delete a device", "", "",
       204, ""},
      {"POST", "@d:enable", "device:write", enable, "enableDevice", "Let a device log in again",
       "Reason", "Device", 200, ""},
      {"POST", "@d:disable", "device:write", disable, "disableDevice",
       "Log a device out and keep it out", "Reason", "Device", 200, ""},
      {"POST", "@d:resetSecret", "device:credential", reset_secret, "resetDeviceSecret",
       "A new secret, shown once; the old one stays valid for `overlap` seconds", "Overlap",
       "DeviceSecret", 200, ""},
      {"POST", "@d:reopenActivation", "device:credential", reopen_activation, "reopenActivation",
       "Let an active device get a new secret by its product's, for some seconds (a day)",
       "Reopening", "Device", 200, ""},
      {"GET", "@d/status", "device:read", get_status, "getDeviceStatus",
       "Whether a device is connected", "", "Status", 200, ""},
      {"GET", "@d/attributes", "device:read", get_attributes, "getAttributes", "Attributes", "",
       "Values", 200, ""},
      {"PATCH", "@d/attributes", "device:write", change_attributes, "changeAttributes",
       "Set attributes; null takes one away", "Values", "Values", 200, ""},
      {"DELETE", "@d/attributes/{attribute}", "device:write", delete_attribute, "deleteAttribute",
       "Take an attribute away", "", "Values", 200, ""},
      {"GET", "@d/tags", "device:read", get_tags, "getTags", "Tags", "", "Tags", 200, ""},
      {"PUT", "@d/tags", "device:write", put_tags, "replaceTags", "Replace all tags", "Tags",
       "Tags", 200, ""},
      {"PATCH", "@d/tags", "device:write", patch_tags, "changeTags",
       "Set tags; null takes one away", "TagChanges", "Tags", 200, ""},
      {"DELETE", "@d/tags/{key}", "device:write", delete_tag, "deleteTag", "Take a tag away", "",
       "", 204, ""},
  };
}

}  // namespace orrery::transport::api
