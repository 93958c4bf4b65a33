// Another name for a device that keeps all else: another thing takes its place, or it goes over to
// another product (group D of the API).
#include <algorithm>

#include "actors/name_settling.hpp"
#include "model/blueprint/inheritance.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

/// A change of a device's name on its way (model/device/names.cpp).
class rename_call : public std::enable_shared_from_this<rename_call> {
 public:
  rename_call(exchange_ptr e, const found_device& d, device::rename_device what, std::string secret,
              std::optional<std::uint64_t> expected)
      : e_{std::move(e)},
        device_{d},
        what_{std::move(what)},
        secret_{std::move(secret)},
        expected_{expected} {}

  void begin() {
    const auto& known = device_.state->renaming();
    what_.renames = known.renames;
    if (!known.former && !known.former_name)
      return reserve();
    // The change before this one was not ended.
    actors::settle_name(e_->parts().ask, {known.alias, device_.id, known.renames - 1},
                        [self = shared_from_this()](const model::status& ok) {
                          ok ? self->reserve() : self->e_->fail(ok.error());
                        });
  }

 private:
  void reserve() {
    const auto& parts = e_->parts();
    const auto alias = model::make_entity_id(parts.ask->shard_of(what_.name), parts.now(),
                                             model::random_entropy());
    e_->ask(alias,
            device_order(*e_, device::reserve_name{what_.name, device_.state->organisation(),
                                                   device_.id, what_.renames}),
            [self = shared_from_this()](const actors::outcome& done) {
              const auto* made = device_reply<device::device_bound>(done);
              if (!made)
                return self->e_->fail({errc::internal, "another reply"});
              self->what_.alias = made->id;
              self->rename();
            });
  }
  void rename() {
    e_->parts().ask->ask(device_.id, device_order(*e_, what_, expected_),
                         [self = shared_from_this()](actors::answer got) {
                           // Also where it failed: then the name is free again.
                           self->settle(std::move(got));
                         });
  }
  void settle(actors::answer got) {
    actors::settle_name(e_->parts().ask, {what_.alias, device_.id, what_.renames},
                        [self = shared_from_this(), got = std::move(got)](const model::status&) {
                          got ? self->list_revoked(0, *got) : self->e_->fail(got.error());
                        });
  }
  /// The certificates that ended, in the lists of the authorities that are ours.
  void list_revoked(std::size_t from, const actors::outcome& done) {
    namespace organisation = model::organisation;
    const auto known = e_->parts().known->current();
    const auto* org = known->organisation(e_->who.organisation);
    const auto& all = device_.state->certificates().all;
    for (; what_.replaces && org && from < all.size(); ++from) {
      const auto& c = all[from];
      const auto* by = org->state->find_authority(c.issuer);
      if (c.state == device::certificate::state_code::revoked || !by ||
          by->kind != organisation::certificate_authority::origin::built_in)
        continue;
      auto row = organisation::list_revocation{};
      row.authority = c.issuer;
      row.what.serial = c.serial;
      row.what.reason = superseded;
      row.what.until = c.not_after;
      return e_->parts().ask->ask(org->id, organisation::command{std::move(row), e_->who.actor, {}},
                                  [self = shared_from_this(), from, done](const actors::answer&) {
                                    self->list_revoked(from + 1, done);
                                  });
    }
    show(done);
  }
  /// Nobody else can tell the new secret: reading is tried more than once.
  void show(const actors::outcome& done, int tries = 3) {
    e_->parts().ask->ask(device_.id, device_order(*e_, device::read_device{}),
                         [self = shared_from_this(), done, tries](const actors::answer& now) {
                           if (now)
                             return self->reply(done, *now);
                           if (tries > 1)
                             return self->show(done, tries - 1);
                           self->e_->fail(now.error());
                         });
  }
  void reply(const actors::outcome& done, const actors::outcome& now) {
    auto& e = *e_;
    const auto& s = *device_reply<device::device_snapshot>(now);
    auto shown = show_device(e, s.id, *s.what).as_object();
    e.facts.after = shown;
    if (!secret_.empty())
      shown.emplace_back("deviceSecret", secret_);
    auto h = exchange::revision_headers(done);
    h.emplace_back("ETag", exchange::etag(now.revision));
    e.reply(200, std::move(shown), std::move(h));
  }

  static constexpr std::uint8_t superseded = 4;  // RFC 5280, 5.3.1

  exchange_ptr e_;
  found_device device_;
  device::rename_device what_;
  std::string secret_;  // to be shown; empty: it keeps its own
  std::optional<std::uint64_t> expected_;
};

void begin(const exchange_ptr& e, const found_device& d, device::rename_device what,
           std::string secret, std::optional<std::uint64_t> expected) {
  e->was(show_device(*e, d.id, *d.state));
  std::make_shared<rename_call>(e, d, std::move(what), std::move(secret), expected)->begin();
}

/// The device of the route, the one member that the body must have, and the revision that the
/// change depends on; a failure is the answer.
void with_key(const exchange_ptr& e, const char* member, std::size_t most,
              std::function<void(const found_device&, const std::string& key,
                                 std::optional<std::uint64_t> expected)>
                  then) {
  const auto key = e->text_in_body(member, most);
  if (!key)
    return e->fail(key.error());
  const auto expected = e->if_match();
  if (!expected)
    return e->fail(expected.error());
  e->with_device([key = *key, expected = *expected, then = std::move(then)](const found_device& d) {
    then(d, key, expected);
  });
}

// ---- another thing in its place

void replace(const exchange_ptr& e) {
  with_key(
      e, "newDeviceKey", 64, [e](const found_device& d, const std::string& key, auto expected) {
        auto what = device::rename_device{};
        what.name = {d.state->name().product_key, key};
        what.replaces = true;
        if (what.name == d.state->name())
          return e->fail(
              {errc::already_exists, "device_key_exists", key + " is the key that the device has"});
        auto secret = model::random_text(32);
        what.secret = e->parts().keys->seal(secret, device::secret_owner(what.name));
        begin(e, d, std::move(what), std::move(secret), expected);
      });
}

// ---- another product

std::string model_key_of(const model::product::state& p) {
  return model::blueprint::key_of(p.organisation, p.model);
}

/// True if that model is the device's, or extends it. `path`: of what it extends, to itself.
bool fits_model(const std::vector<std::string>& path, const std::string& own) {
  return std::find(path.begin(), path.end(), own) != path.end();
}

/// The same secret, for the device as it is to be called.
std::optional<model::sealed_secret> sealed_anew(const exchange& e, const model::sealed_secret& own,
                                                const model::device_name& name,
                                                const model::device_name& next) {
  if (own.empty())
    return model::sealed_secret{};
  const auto secret = e.parts().keys->open(own, device::secret_owner(name));
  if (!secret)
    return std::nullopt;
  return e.parts().keys->seal(*secret, device::secret_owner(next));
}

void move_product(const exchange_ptr& e) {
  with_key(e, "productKey", 20, [e](const found_device& d, const std::string& key, auto expected) {
    const auto& s = *d.state;
    const auto to = e->product(key);
    if (!to)
      return e->fail({errc::not_found, "product_unknown", "no product " + key});
    if (key == s.name().product_key)
      return e->fail({errc::conflict, "state_conflict", "the device is of that product"});
    const auto from = e->product_of(s);
    const auto known = e->parts().known->current();
    if (!from || !fits_model(known->path_of(model_key_of(*to->state)), model_key_of(*from->state)))
      return e->fail({errc::conflict, "model_mismatch",
                      "the model of " + key + " is neither the device's nor extends it"});
    auto what = device::rename_device{};
    what.name = {key, s.name().device_key};
    const auto secret = sealed_anew(*e, s.secret, s.name(), what.name);
    const auto fresh = sealed_anew(*e, s.activation().fresh, s.name(), what.name);
    const auto former = sealed_anew(*e, s.old_secret->secret, s.name(), what.name);
    if (!secret || !fresh || !former)
      return e->fail({errc::internal, "the secret of " + s.name().device_key +
                                          " cannot be opened: is the master key another one?"});
    what.secret = *secret;
    what.fresh = *fresh;
    what.former = *former;
    begin(e, d, std::move(what), {}, expected);
  });
}

}  // namespace

std::vector<route> device_name_routes() {
  return {
      {"POST", "@d:replace", "device:credential", replace, "replaceDevice",
       "Another thing takes the place of a device: it gets another key and secret, and keeps all "
       "else",
       "DeviceReplacement", "CreatedDevice", 200, ""},
      {"POST", "@d:moveProduct", "device:write", move_product, "moveDeviceToProduct",
       "A device goes over to another product whose model is the same or extends it", "ProductMove",
       "Device", 200, ""},
  };
}

}  // namespace orrery::transport::api
