// How a device is to be configured and how it says that it is: two documents with versions, and
// what it is pushed of them.
#include <algorithm>

#include "model/device/decisions.hpp"
#include "model/json.hpp"
#include "model/merge_patch.hpp"

namespace orrery::model::device {
namespace {

result<object> checked(object document) {
  if (to_json(value{document}).size() > max_twin_bytes)
    return failure{errc::too_large, "twin_too_large",
                   "a document has at most " + std::to_string(max_twin_bytes) + " bytes"};
  if (depth_of(value{document}) > max_twin_depth)
    return failure{errc::invalid_argument, "twin_too_deep",
                   "a document is at most " + std::to_string(max_twin_depth) +
                       " containers inside each other"};
  return document;
}

/// `document` after `patch`, if it can be kept. A patch is no larger than what it is for: it costs
/// as much.
result<object> patched(const object& document, const object& patch, bool replace) {
  auto small = checked(patch);
  if (!small)
    return small;
  return checked(
      merge_patch(replace ? value{object{}} : value{document}, value{patch}).as_object());
}

/// Members that the model has as attributes are of their types; all others are free.
status check_types(const object& document, thing_model::side writer, const surroundings& around) {
  const auto& model = around.product.model;
  if (!model)
    return {};
  auto typed = object{};
  std::copy_if(document.begin(), document.end(), std::back_inserter(typed),
               [&](const auto& member) { return model->find_attribute(member.first); });
  if (const auto good = model->check_attributes(typed, writer); !good)
    return good.error();
  return {};
}

bool is_settled(const twin_state& t) {
  return t.applied_version == t.desired_version && delta_of(t).empty();
}

}  // namespace

status check_desired(const object& document, const surroundings& around) {
  if (const auto good = checked(document); !good)
    return good.error();
  return check_types(document, thing_model::side::cloud, around);
}

object delta_of(const twin_state& t) {
  return missing_from(t.reported, t.desired);
}

void push_twin_after(const state& s, timestamp now, std::vector<event>& events) {
  const auto ahead = outlook(s, events);
  if (ahead.connection.online && !is_settled(ahead.twin()))
    events.push_back(twin_pushed{next_downlink_id(ahead, now), now});
}

result<decision> decide_on(const state& s, const change_twin& c, const std::string& actor,
                           const surroundings& around) {
  const auto& twin = s.twin();
  if (c.expected && *c.expected != twin.desired_version)
    return refused(errc::conflict, "etag_mismatch",
                   "it is at version " + std::to_string(twin.desired_version) + " now");
  const auto& layers = s.layers();
  const auto& own = layers.empty() ? twin.desired : layers.own;
  auto wanted = patched(own, c.patch, c.replace);
  if (!wanted)
    return wanted.error();
  if (auto good = check_types(*wanted, thing_model::side::cloud, around); !good)
    return good.error();
  if (says_the_same(value{*wanted}, value{own}))
    return decision{{}, twin_status{twin, layers}};
  auto d = decision{};
  auto desired = *wanted;
  if (!layers.empty()) {
    // Where that is too much with the layers, they give way (settle_layers).
    desired = merge_patch(value{layers.common}, value{*wanted}).as_object();
    d.events.push_back(layers_changed{layers.all, {}, std::move(*wanted), around.now});
  }
  d.events.push_back(twin_changed{std::move(desired), twin.desired_version + 1, actor, around.now});
  auto after = state{};
  after.family = s.family;
  for (const auto& e : d.events)
    device::apply(after, e);
  d.answer = twin_status{after.twin(), after.layers()};
  push_twin_after(s, around.now, d.events);
  return d;
}

result<decision> decide_on(const state& s, const report_twin& r, const surroundings& around) {
  const auto& twin = s.twin();
  if (r.applied && *r.applied > twin.desired_version)
    return refused(errc::invalid_argument, "format_error",
                   "desiredVersion: there is none above " + std::to_string(twin.desired_version));
  auto now = patched(twin.reported, r.patch, r.replace);
  if (!now)
    return now.error();
  if (auto good = check_types(*now, thing_model::side::device, around); !good)
    return good.error();
  auto after = twin;
  after.reported = std::move(*now);
  const auto changed = !says_the_same(value{after.reported}, value{twin.reported});
  if (changed)
    ++after.reported_version;
  // Who has all that is desired has its version, whether it says so or not.
  after.applied_version = r.applied                 ? *r.applied
                          : delta_of(after).empty() ? twin.desired_version
                                                    : twin.applied_version;
  if (!changed && after.applied_version == twin.applied_version)
    return decision{{}, twin_status{twin, s.layers()}};
  auto e = event{twin_reported{std::move(after.reported), after.reported_version,
                               after.applied_version, around.now}};
  auto next = state{};
  next.family = s.family;
  device::apply(next, e);
  return only(std::move(e), twin_status{next.twin(), s.layers()});
}

result<decision> decide_on(const state& s, const read_twin&, const surroundings&) {
  return decision{{}, twin_status{s.twin(), s.layers()}};
}

}  // namespace orrery::model::device
