// Devices, their attributes and tags (groups D and E of the API).
#include <atomic>

#include "model/device/whole_update.hpp"
#include "transport/api/device_include.hpp"
#include "transport/api/device_retirement.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"
#include "transport/device_quota.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

constexpr std::size_t max_batch = 1000;

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
  e->with_device([e](const found_device& d) { reply_device(e, d); });
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

/// Reads the device after a change.
void show_changed(const exchange_ptr& e, const model::entity_id& id, const actors::outcome& done,
                  std::function<void(const found_device&, exchange::headers)> then) {
  e->ask(id, device_order(*e, device::read_device{}),
         [e, done, then = std::move(then)](const actors::outcome& now) {
           const auto& s = *device_reply<device::device_snapshot>(now);
           e->facts.after = show_device(*e, s.id, *s.what);
           auto h = exchange::revision_headers(done);
           h.emplace_back("ETag", exchange::etag(now.revision));
           then({s.id, now.revision, s.what}, std::move(h));
         });
}

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
           [e, id = d.id, then](const actors::outcome& done) { show_changed(e, id, done, then); });
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

/// Replaces what people say of a device. It is decided on what the device has: where that changes
/// meanwhile, and the caller did not ask for one revision, it is decided again.
void put_whole(const exchange_ptr& e, const device::update_device& wanted,
               std::optional<std::uint64_t> expected, int tries) {
  e->with_device([e, wanted, expected, tries](const found_device& d) {
    const auto product = e->product_of(*d.state);
    auto order =
        device::whole_update(*d.state, wanted, product ? product->view.model.get() : nullptr);
    if (!order)
      return e->fail(order.error());
    e->was(show_device(*e, d.id, *d.state));
    e->parts().ask->ask(
        d.id, device_order(*e, std::move(*order), expected.value_or(d.revision)),
        [e, wanted, expected, tries, id = d.id](const actors::answer& done) {
          if (!done && done.error().reason == "etag_mismatch" && !expected && tries > 1)
            return put_whole(e, wanted, expected, tries - 1);
          if (!done)
            return e->fail(done.error());
          show_changed(e, id, *done, [e](const found_device& now, exchange::headers h) {
            e->reply(200, show_device(*e, now.id, *now.state), std::move(h));
          });
        });
  });
}

void put(const exchange_ptr& e) {
  const auto expected = e->if_match();
  const auto body = e->body();
  for (const auto* why : {expected ? nullptr : &expected.error(), body ? nullptr : &body.error()})
    if (why)
      return e->fail(*why);
  auto f = fields{*body};
  auto u = device::update_device{};
  u.display_name = f.text("name", 256);
  u.description = f.text("description", 2000);
  u.timezone = f.text("timezone", 64);
  u.attributes = f.object("attributes").value_or(model::object{});
  u.tags = f.text_map("tags", false);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  put_whole(e, u, *expected, 8);
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

void remove(const exchange_ptr& e) {
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  e->with_device(
      [e, expected = *expected](const found_device& d) { remove_device(e, d, expected); });
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
      {"POST", "~/devices:check", "device:read", check_keys, "checkDeviceKeys",
       "Which keys are free", "KeysQuestion", "KeysAnswer", 200, ""},
      {"POST", "~/devices/status", "device:read", many_status, "getDeviceStatuses",
       "Status of up to 1,000 devices", "Ids", "StatusList", 200, ""},
      {"GET", "@d", "device:read", get, "getDevice",
       "A device; `include` names what is to be shown beside: twin, tree, firmware", "",
       "ShownDevice", 200, "include"},
      {"PATCH", "@d", "device:write", update, "updateDevice", "Change a device", "DeviceChange",
       "Device", 200, ""},
      {"PUT", "@d", "device:write", put, "putDevice",
       "Replace what is said of a device: name, description, time zone, attributes, tags",
       "DeviceDetails", "Device", 200, ""},
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
