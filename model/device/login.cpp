// How a device, or its gateway for it, proves who it is, and what a login makes of it.
#include <algorithm>

#include "model/device/decisions.hpp"

namespace orrery::model::device {
namespace {

constexpr auto two_secrets_for =
    std::chrono::minutes{10};  // after an activation, until one is used

enum class proof_by { nobody, current, fresh, former, product, certificate };

proof_by look_at(const state& s, const connect& c, const surroundings& around) {
  const auto& pending = s.activation();
  if (c.secret != login_secret::product) {
    if (!pending.fresh.empty() && secret_proves(pending.fresh, c.proof, s, around))
      return proof_by::fresh;
    const auto counts = pending.fresh.empty() || around.now < pending.granted_at + two_secrets_for;
    if (counts && secret_proves(s.secret, c.proof, s, around))
      return proof_by::current;
    if (!s.old_secret->empty() && around.now < s.old_secret->until &&
        secret_proves(s.old_secret->secret, c.proof, s, around))
      return proof_by::former;
  }
  const auto product_counts =
      c.secret == login_secret::product ||
      (c.secret == login_secret::either && around.product.dynamic_activation);
  if (product_counts && !around.product.secret.empty()) {
    const auto secret = around.keys.open(around.product.secret, around.product.secret_owner);
    if (secret && proves(c.proof, s.name(), *secret))
      return proof_by::product;
  }
  return proof_by::nobody;
}

status may_be_given_a_secret(const state& s, const connect& c, const surroundings& around) {
  if (!around.product.dynamic_activation)
    return failure{errc::forbidden, "activation_off",
                   label(s) + ": its product does not hand out secrets"};
  if (!may_be_activated(s, around.now))
    return failure{errc::forbidden, "activation_done",
                   label(s) +
                       " has a secret of its own already; it can be activated again only "
                       "when that is reopened"};
  if (c.fresh.empty())
    return failure{errc::internal, "no secret was made for " + label(s)};
  return {};
}

/// What a gateway is told before signatures count (mqtt.md's order of checks is that of the wire).
status may_come_through(const state& s, const connect& c, const entity_id& gateway,
                        const surroundings& around) {
  if (s.admin == admin_state::disabled)
    return failure{errc::forbidden, "device_disabled", label(s) + " is disabled"};
  if (s.gateway().empty() || s.gateway().id != gateway)
    return failure{errc::forbidden, "sub_device_unbound",
                   label(s) + " is no sub-device of that gateway"};
  if (around.product.demands != login_demand::secret && !c.secure)
    return failure{errc::forbidden, "certificate_required",
                   label(s) + ": its product demands a gateway that came over TLS"};
  return {};
}

/// The certificate of the device that was presented. Fails: "certificate_required", whatever is
/// wrong with it; the detail says what.
result<const certificate*> certificate_of(const state& s, const connect& c, timestamp now) {
  const auto demanded = [&](const char* why) {
    return failure{errc::forbidden, "certificate_required", label(s) + ": " + why};
  };
  if (!c.presented)
    return demanded("its product demands a client certificate, and none was presented");
  const auto& shown = *c.presented;
  const auto* found = s.certificates().find_shown(shown);
  if (!found)
    return demanded("the client certificate is not bound to this device");
  switch (found->state) {
    case certificate::state_code::revoked:
      return demanded("the client certificate is revoked");
    case certificate::state_code::held:
      return demanded("the client certificate is held");
    case certificate::state_code::superseded:
      if (now >= found->superseded_until)
        return demanded("the client certificate was renewed, and its overlap is over");
      break;
    case certificate::state_code::issued:
    case certificate::state_code::active:
      break;
  }
  if (now >= std::min(found->not_after, shown.not_after))
    return demanded("the client certificate has expired");
  return found;
}

/// Who a device that connects itself, or a gateway for it, is proved to be.
struct proof {
  proof_by by = proof_by::nobody;
  std::uint32_t certificate_sn = 0;
};

result<proof> prove(const state& s, const connect& c, bool itself, const surroundings& around) {
  auto out = proof{};
  if (itself && around.product.demands == login_demand::certificate) {
    const auto found = certificate_of(s, c, around.now);
    if (!found)
      return found.error();
    return proof{proof_by::certificate, (*found)->sn};
  }
  const auto allowed = around.product.sign_methods >> static_cast<unsigned>(c.proof.method) & 1;
  out.by = allowed ? look_at(s, c, around) : proof_by::nobody;
  if (out.by == proof_by::nobody)
    return failure{errc::unauthenticated, allowed ? "sign_check_failed" : "sign_method_not_allowed",
                   label(s) + ": the signature does not fit"};
  if (itself && around.product.demands == login_demand::both) {
    const auto found = certificate_of(s, c, around.now);
    if (!found)
      return found.error();
    out.certificate_sn = (*found)->sn;
  }
  return out;
}

status may_come_itself(const state& s, const surroundings& around) {
  if (s.admin == admin_state::disabled)
    return failure{errc::forbidden, "device_disabled", label(s) + " is disabled"};
  if (!s.mirrored().empty())
    return failure{errc::forbidden, "device_mirror",
                   label(s) + " is a mirror: it shows another device, and never connects"};
  if (!around.product.direct_access)
    return failure{errc::forbidden, "direct_login_forbidden",
                   label(s) + " connects through its gateway only"};
  return {};
}

}  // namespace

bool may_be_activated(const state& s, timestamp now) {
  return !s.activated_at || now < s.activation().reopened_until;
}

bool secret_proves(const sealed_secret& sealed, const login_proof& proof, const state& s,
                   const surroundings& around) {
  const auto secret = around.keys.open(sealed, secret_owner(s.name()));
  return secret && proves(proof, s.name(), *secret);
}

bool own_secret_proves(const login_proof& proof, const state& s, const surroundings& around) {
  auto c = connect{};
  c.proof = proof;
  return look_at(s, c, around) != proof_by::nobody;
}

bool is_connected_by(const state& s, const session_ref& connection) {
  return s.connection.online && connection.number != 0 &&
         s.connection.session.number == connection.number &&
         s.connection.session.node_incarnation == connection.node_incarnation;
}

std::optional<timestamp> session_deadline(const state& s) {
  if (s.connection.online || s.kept->lasts.count() == 0)
    return std::nullopt;
  return s.kept->until;
}

result<decision> decide_login(const state& s, const connect& c,
                              const std::optional<entity_id>& gateway, const surroundings& around) {
  if (gateway)
    if (auto ok = may_come_through(s, c, *gateway, around); !ok)
      return ok.error();
  const auto proved = prove(s, c, !gateway, around);
  if (!proved)
    return proved.error();
  // Only who proved himself is told more than that.
  if (!gateway)
    if (auto ok = may_come_itself(s, around); !ok)
      return ok.error();
  const auto activates = proved->by == proof_by::product;
  if (activates)
    if (auto ok = may_be_given_a_secret(s, c, around); !ok)
      return ok.error();

  const auto again = gateway && is_connected_by(s, c.session);
  auto session = c.session;
  session.epoch = again ? s.connection.session.epoch : s.session_epoch + 1;
  const auto until = session_deadline(s);
  const auto resumed = c.resumes && s.keeps_session && (!until || around.now < *until);
  auto granted = connection_granted{around.self, session.epoch,          s.organisation(), resumed,
                                    {},          around.product.gateway, activates};
  if (resumed)
    granted.subscriptions = s.kept->filters;
  auto d = decision{{}, std::move(granted)};
  if (activates)
    d.events.push_back(activation_granted{c.fresh, around.now});
  else if (!s.activation().empty() && proved->by != proof_by::certificate)
    d.events.push_back(activation_settled{proved->by == proof_by::fresh, around.now});
  if (again && (s.activated_at || activates))
    return d;
  if (s.connection.online && !again)
    d.events.push_back(disconnected{s.connection.session, "taken_over", around.now});
  d.events.push_back(connected{session, c.protocol, c.address, c.secure,
                               !s.activated_at && !activates, c.keeps_session, resumed, around.now,
                               gateway.has_value(), proved->certificate_sn, c.session_lasts});
  send_next_after(s, around.now, d.events);
  publish_after(s, around.now, d.events);
  if (!s.twin().empty())
    push_twin_after(s, around.now, d.events);
  return d;
}

result<decision> decide_on(const state&, const reopen_activation& r, const surroundings& around) {
  return only(activation_reopened{around.now + r.lasts, around.now});
}

}  // namespace orrery::model::device
