// What an event of a device makes happen outside of it.
#include <algorithm>

#include "model/device/decisions.hpp"

namespace orrery::model::device {
namespace {

effect deliver_to(const state& s, const command_record& c, bool repeated) {
  auto message = downlink{c.downlink_id, s.name(), {}, repeated};
  switch (c.type) {
    case command_record::form::service:
      message.what = service_call{c.element, c.input};
      break;
    case command_record::form::points:
      message.what = points_write{c.input};
      break;
    case command_record::form::read: {
      auto wanted = points_read{};
      for (const auto& [id, nothing] : c.input)
        wanted.ids.push_back(id);
      message.what = std::move(wanted);
      break;
    }
    case command_record::form::rrpc:
      message.what = rrpc_call{free_bytes(value{c.input}).value_or("")};
      break;
  }
  return deliver{s.connection.session, std::move(message)};
}

/// The last word to a device's own session.
effect farewell(const state& s, const disconnected& d, device_notice::kind what) {
  return deliver{d.session, {next_downlink_id(s, d.at), s.name(), device_notice{what, {}}, false}};
}

void tell(const state& s, device_notice::kind what, std::vector<effect>& out) {
  if (!s.gateway().empty())
    out.push_back(tell_gateway{s.gateway().id, s.name(), what});
}

}  // namespace

std::vector<effect> effects(const state& s, const event& e) {
  auto out = std::vector<effect>{};
  std::visit(
      overloaded{
          [&](const disconnected& d) {
            // The session that ends by itself knows already; one that loses its right is
            // told.
            if (!s.connection.by_gateway && d.reason == "disabled")
              out.push_back(farewell(s, d, device_notice::kind::disabled));
            if (!s.connection.by_gateway && (d.reason == "deleted" || d.reason == "retired"))
              out.push_back(farewell(s, d, device_notice::kind::deleted));
            for (const std::string_view lost :
                 {"disabled", "deleted", "secret_reset", "taken_over", "unbound",
                  "certificate_revoked", "kicked", "replaced", "moved", "retired"})
              if (d.reason == lost)
                out.push_back(close_session{d.session, lost});
          },
          [&](const admin_state_set& a) {
            tell(s,
                 a.now == admin_state::disabled ? device_notice::kind::disabled
                                                : device_notice::kind::enabled,
                 out);
          },
          [&](const removed&) {
            tell(s, device_notice::kind::deleted, out);
            for (const auto& [name, id] : s.sub_devices())
              out.push_back(release_sub_device{id});
            if (s.renaming().alias != entity_id{})
              out.push_back(release_name{s.renaming().alias});
            if (s.renaming().former)
              out.push_back(release_name{*s.renaming().former});
            if (!s.mirrored().empty())
              out.push_back(leave_mirror{s.mirrored().source});
          },
          [&](const mirror_ended& m) { out.push_back(leave_mirror{m.source}); },
          // Its gateway and its sub-devices are let go by the events behind this one.
          [&](const retired&) {
            tell(s, device_notice::kind::deleted, out);
            for (const auto& [name, id] : s.sub_devices())
              out.push_back(release_sub_device{id});
          },
          [&](const renamed& r) {
            for (const auto& [name, id] : s.sub_devices())
              out.push_back(tell_gateway_name{id, r.name, s.organisation()});
          },
          [&](const name_doubted&) {
            out.push_back(look_for_name{s.alias().device, s.alias().renames});
          },
          [&](const sub_device_noted& n) {
            if (!n.downlink_id.empty())
              out.push_back(
                  deliver{s.connection.session,
                          {n.downlink_id, s.name(), device_notice{n.what, n.sub}, false}});
          },
          [&](const upgrade_published& p) {
            if (const auto& task = s.firmware().task; task && !p.downlink_id.empty())
              out.push_back(deliver{s.connection.session,
                                    {p.downlink_id, s.name(), firmware_offer{task->image}, false}});
          },
          [&](const twin_pushed& p) {
            const auto& t = s.twin();
            out.push_back(deliver{s.connection.session,
                                  {p.downlink_id, s.name(),
                                   twin_push{t.desired_version, t.desired, delta_of(t)}, false}});
          },
          [&](const command_sent& sent) {
            const auto c = std::find_if(s.commands->begin(), s.commands->end(),
                                        [&](const auto& r) { return r.id == sent.id; });
            if (c == s.commands->end())
              return;
            out.push_back(deliver_to(s, *c, false));
          },
          [&](const connected& c) {
            if (const auto* sent = outstanding(s); sent && c.resumed && !sent->delivered)
              out.push_back(deliver_to(s, *sent, true));
          },
          [&](const command_finished& over) {
            if (over.what.waiter.number != 0)
              out.push_back(settle_waiter{over.what.waiter, over.what.id});
          },
          [&](const auto&) {},
      },
      e);
  return out;
}

}  // namespace orrery::model::device
