// Another name for a device that is there already. The name is reserved first, by an alias in the
// shard of the name; then the device takes it; then the alias is settled. Whatever ends in between
// is found out by the alias, which looks after its device until it knows. A device counts how often
// it was renamed, or kept from it: so a name that the alias has given up is never taken later.
#include <algorithm>

#include "model/device/decisions.hpp"

namespace orrery::model::device {
namespace {

constexpr std::uint8_t superseded_reason = 4;  // RFC 5280, 5.3.1

failure taken(const device_name& name) {
  return {errc::already_exists, "device_key_exists",
          name.device_key + " exists in product " + name.product_key};
}

/// True if both are the same secret, or both are none.
bool is_same_secret(const sealed_secret& own, const sealed_secret& given, const device_name& name,
                    const device_name& next, const keyring& keys) {
  if (own.empty() || given.empty())
    return own.empty() == given.empty();
  const auto secret = keys.open(own, secret_owner(name));
  return secret && keys.open(given, secret_owner(next)) == secret;
}

/// The secrets that it has must be those that it goes on with: they may have changed since they
/// were read.
status keeps_its_secrets(const state& s, const rename_device& r, const keyring& keys) {
  const auto same = [&](const sealed_secret& own, const sealed_secret& given) {
    return is_same_secret(own, given, s.name(), r.name, keys);
  };
  if (same(s.secret, r.secret) && same(s.activation().fresh, r.fresh) &&
      same(s.old_secret->secret, r.former))
    return {};
  return failure{errc::conflict, "rename_conflict",
                 label(s) + " was given another secret meanwhile: ask again"};
}

/// What hangs on a gateway and its sub-devices stays possible.
status fits_product(const state& s, const product_view& product) {
  if (product.gateway && !s.gateway().empty())
    return failure{errc::conflict, "sub_device_is_gateway",
                   label(s) + " is a sub-device, and devices of that product are gateways"};
  if (!product.gateway && !s.sub_devices().empty())
    return failure{errc::conflict, "not_gateway",
                   label(s) + " has sub-devices, and devices of that product are no gateways"};
  return {};
}

}  // namespace

bool is_for_alias(const order& o) {
  return std::holds_alternative<register_device>(o) || std::holds_alternative<reserve_name>(o) ||
         std::holds_alternative<settle_name>(o) || std::holds_alternative<doubt_name>(o) ||
         std::holds_alternative<time_passed>(o);
}

result<decision> decide_on(const state& s, const reserve_name& r, const surroundings& around) {
  if (s.exists) {
    // The same attempt once more; or a later one, and the device will not take up the earlier one.
    const auto& known = s.alias();
    const auto same = !known.empty() && known.device == r.device && s.name() == r.name;
    if (same && known.renames == r.renames)
      return decision{{}, device_bound{around.self}};
    if (!same || known.renames > r.renames)
      return taken(r.name);
  }
  if (s.deleted)
    return refused(errc::unavailable, "device_deleted",
                   r.name.device_key + " is being given up: ask again");
  if (!around.product.exists || !around.product.model)
    return refused(errc::not_found, "product_unknown", "no product " + r.name.product_key);
  if (!is_valid_key(r.name.device_key))
    return refused(errc::invalid_argument, "device_key_invalid",
                   "a device key is 1 to 64 characters of A-Z a-z 0-9 . _ -");
  return only(name_reserved{r, around.now}, device_bound{around.self});
}

result<decision> decide_on(const state& s, const rename_device& r, const surroundings& around) {
  const auto& known = s.renaming();
  if (s.name() == r.name && known.alias == r.alias) {
    // Asked again after an answer that was lost; or somebody else wanted the same, with a secret of
    // his own.
    if (s.secret == r.secret || is_same_secret(s.secret, r.secret, s.name(), r.name, around.keys))
      return decision{};
    return refused(errc::conflict, "rename_conflict",
                   label(s) + " was given that name by somebody else: ask again");
  }
  if (known.renames != r.renames || known.former || known.former_name)
    return refused(errc::conflict, "rename_conflict",
                   label(s) + " was given another name meanwhile: ask again");
  if (!around.product.exists || !around.product.model)
    return refused(errc::not_found, "product_unknown", "no product " + r.name.product_key);
  if (auto ok = fits_product(s, around.product); !ok)
    return ok.error();
  if (!r.replaces)
    if (auto ok = keeps_its_secrets(s, r, around.keys); !ok)
      return ok.error();
  auto d = decision{};
  if (s.connection.online)
    d = leave(s, r.replaces ? "replaced" : "moved", around.now);
  if (s.keeps_session)  // its filters name topics of the name before
    d.events.push_back(subscriptions_changed{{}, true});
  if (r.replaces)
    for (const auto& c : s.certificates().all)
      if (c.state != certificate::state_code::revoked)
        d.events.push_back(certificate_revoked{c.sn, superseded_reason, around.now});
  d.events.push_back(
      renamed{r.name, s.name(), r.alias, r.replaces, r.secret, r.fresh, r.former, around.now});
  return d;
}

result<decision> decide_on(const state& s, const confirm_name& c, const surroundings&) {
  const auto& known = s.renaming();
  const auto held = known.alias == c.alias && known.renames > c.renames;
  auto standing = name_standing{held, known.renames, s.name(), known.former, {}, known.former_name};
  if (!s.gateway().empty())
    standing.gateway = s.gateway().id;
  if (held || known.renames > c.renames)
    return decision{{}, std::move(standing)};
  standing.renames = c.renames + 1;
  return only(rename_prevented{c.renames + 1}, std::move(standing));
}

result<decision> decide_on(const state& s, const forget_former_name& f, const surroundings&) {
  const auto& known = s.renaming();
  if (known.alias != f.alias || (!known.former && !known.former_name))
    return decision{};
  return only(former_name_forgotten{});
}

result<decision> decide_on(const state& s, const settle_name& n, const surroundings& around) {
  const auto& known = s.alias();
  if (known.empty() || known.device != n.device || known.renames >= n.renames)
    return decision{};  // of another reservation
  if (!n.held)
    return only(removed{around.now, {}});
  return known.look_at == timestamp{} ? decision{} : only(name_settled{around.now});
}

result<decision> decide_on(const state& s, const doubt_name&, const surroundings& around) {
  const auto& known = s.alias();
  const auto is_looking = known.look_at != timestamp{};
  if (known.empty() || is_looking || around.now < known.looked_at + alias_patience)
    return decision{};
  return only(name_doubted{around.now});
}

result<decision> look_after_alias(const state& s, const surroundings& around) {
  const auto& known = s.alias();
  if (known.look_at == timestamp{} || around.now < known.look_at)
    return decision{};
  return only(name_doubted{around.now});
}

}  // namespace orrery::model::device
