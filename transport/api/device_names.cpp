// Another name for a device that keeps all else: another thing takes its place, or it goes over to
// another product (group D of the API).
#include <algorithm>

#include "model/blueprint/inheritance.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/rename_call.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;

void begin(const exchange_ptr& e, const found_device& d, device::rename_device what,
           std::string secret, std::optional<std::uint64_t> expected) {
  e->was(show_device(*e, d.id, *d.state));
  rename(e, {d, std::move(what), {}, secret, expected},
         [e, secret](const model::result<renamed_device>& got) {
           got ? reply_renamed(e, 200, secret, *got) : e->fail(got.error());
         });
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
