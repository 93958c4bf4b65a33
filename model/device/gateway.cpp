// Gateways and their sub-devices. The sub-device's own state says whose it is; the list that the
// gateway has follows it.
#include <algorithm>

#include "model/device/decisions.hpp"

namespace orrery::model::device {
namespace {

constexpr std::size_t max_sub_devices = 10'000, max_picture_nodes = 2'000;

}  // namespace

result<decision> decide_on(const state& s, const bind_gateway& b, const surroundings& around) {
  if (b.organisation != s.organisation())
    return refused(errc::not_found, "device_unknown", "no such device");
  if (around.product.gateway)
    return refused(errc::conflict, "sub_device_is_gateway", label(s) + " is a gateway itself");
  if (b.proof) {
    const auto allowed = around.product.sign_methods >> static_cast<unsigned>(b.proof->method) & 1;
    if (!allowed || !own_secret_proves(*b.proof, s, around))
      return refused(errc::unauthenticated, "sign_check_failed",
                     label(s) + ": the signature does not fit");
  }
  if (!s.gateway().empty() && s.gateway().id == b.gateway.id) {
    if (!b.dry_run && s.gateway().name != b.gateway.name)  // it was given another one
      return only(gateway_bound{b.gateway, around.now}, device_bound{around.self});
    return decision{{}, device_bound{around.self}};
  }
  if (!s.gateway().empty())
    return refused(errc::conflict, "already_bound",
                   label(s) + " is a sub-device of " + s.gateway().name.product_key + "/" +
                       s.gateway().name.device_key);
  if (b.dry_run)
    return decision{{}, device_bound{around.self}};
  return only(gateway_bound{b.gateway, around.now}, device_bound{around.self});
}

result<decision> decide_on(const state& s, const unbind_gateway& u, const surroundings& around) {
  if (s.gateway().empty() || s.gateway().id != u.gateway)
    return refused(errc::conflict, "sub_device_unbound",
                   label(s) + " is no sub-device of that gateway");
  const auto by_gateway = s.connection.online && s.connection.by_gateway;
  if (by_gateway && !u.while_online)
    return refused(errc::conflict, "sub_device_online",
                   label(s) + " is logged in: log it out first");
  if (u.dry_run)
    return decision{{}, device_bound{around.self}};
  auto d = decision{{}, device_bound{around.self}};
  if (by_gateway)
    d = leave(s, "unbound", around.now);
  d.answer = device_bound{around.self};
  d.events.push_back(gateway_unbound{u.gateway, around.now});
  return d;
}

result<decision> decide_on(const state& s, const change_sub_devices& c,
                           const surroundings& around) {
  auto news = sub_devices_changed{{}, around.now};
  auto size = s.sub_devices().size();
  for (const auto& [name, id] : c.changes) {
    const auto known = s.sub_devices().find(name);
    const auto is_known = known != s.sub_devices().end();
    if (id ? is_known && known->second == *id : !is_known)
      continue;
    size = size + (id && !is_known ? 1 : 0) - (!id ? 1 : 0);
    news.changes.emplace(name, id);
  }
  if (!c.changes.empty() && !around.product.gateway)
    return refused(errc::conflict, "not_gateway", label(s) + " is no gateway");
  if (size > max_sub_devices)
    return refused(errc::too_large, "too_many_sub_devices",
                   "a gateway has at most " + std::to_string(max_sub_devices) + " sub-devices");
  if (news.changes.empty())
    return decision{};
  return only(std::move(news));
}

result<decision> decide_on(const state& s, const note_sub_device& n, const surroundings& around) {
  const auto there = s.connection.online;
  return only(
      sub_device_noted{n.sub, n.what, there ? next_downlink_id(s, around.now) : "", around.now});
}

result<decision> decide_on(const state& s, const report_picture& r, const surroundings& around) {
  const auto& known = s.family->picture.nodes;
  const auto news =
      static_cast<std::size_t>(std::count_if(r.nodes.begin(), r.nodes.end(), [&](const auto& node) {
        return std::none_of(known.begin(), known.end(),
                            [&](const auto& k) { return k.first == node.first; });
      }));
  if (r.nodes.size() > max_picture_nodes || r.relations.size() > max_picture_nodes ||
      (!r.full && known.size() + news > max_picture_nodes))
    return refused(
        errc::too_large, "format_error",
        "a connection state has at most " + std::to_string(max_picture_nodes) + " nodes");
  return only(picture_reported{r, around.now});
}

}  // namespace orrery::model::device
