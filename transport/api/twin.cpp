// The twin of a device: how it is to be configured, and how it says that it is (group F of the
// API).
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;

std::int64_t number(std::uint64_t version) {
  return static_cast<std::int64_t>(version);
}

model::object show_twin(const exchange& e, const device::twin_state& t) {
  auto delta = device::delta_of(t);
  auto o = model::object{{"desired", t.desired},
                         {"reported", t.reported},
                         {"inSync", delta.empty()},
                         {"delta", std::move(delta)},
                         {"desiredVersion", number(t.desired_version)},
                         {"reportedVersion", number(t.reported_version)},
                         {"appliedVersion", number(t.applied_version)}};
  if (t.desired_at != model::timestamp{}) {
    o.emplace_back("desiredAt", e.show(t.desired_at));
    o.emplace_back("desiredBy", t.desired_by);
  }
  if (t.reported_at != model::timestamp{})
    o.emplace_back("reportedAt", e.show(t.reported_at));
  return o;
}

void get(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) { e->reply_one(show_twin(*e, d.state->twin())); });
}

void get_desired(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    const auto& t = d.state->twin();
    e->reply(200, t.desired, {{"ETag", exchange::etag(t.desired_version)}});
  });
}

void change(const exchange_ptr& e, bool replace) {
  const auto expected = e->if_match(true);
  if (!expected)
    return e->fail(expected.error());
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  if (!body->is_object())
    return e->fail({model::errc::invalid_argument, "malformed", "expected a JSON object"});
  e->with_device([e, order = device::change_twin{body->as_object(), replace, *expected}](
                     const found_device& d) {
    e->was(show_twin(*e, d.state->twin()));
    e->facts.kind = "twin";
    e->facts.id = to_string(d.id);
    e->ask(d.id, device_order(*e, order), [e](const actors::outcome& done) {
      const auto& after = device_reply<device::twin_status>(done)->what;
      auto h = exchange::revision_headers(done);
      h.emplace_back("ETag", exchange::etag(after.desired_version));
      e->reply(200, show_twin(*e, after), std::move(h));
    });
  });
}
void patch(const exchange_ptr& e) {
  change(e, false);
}
void put(const exchange_ptr& e) {
  change(e, true);
}

}  // namespace

std::vector<route> twin_routes() {
  return {
      {"GET", "@d/twin", "device:read", get, "getTwin",
       "How a device is to be configured, how it says that it is, and the difference", "", "Twin",
       200, ""},
      {"GET", "@d/twin/desired", "device:read", get_desired, "getDesired",
       "How a device is to be configured; its ETag is that of changes", "", "Configuration", 200,
       ""},
      {"PUT", "@d/twin/desired", "device:control", put, "replaceDesired",
       "Replace how a device is to be configured", "Configuration", "Twin", 200, ""},
      {"PATCH", "@d/twin/desired", "device:control", patch, "changeDesired",
       "Merge changes into how a device is to be configured; null takes away", "Configuration",
       "Twin", 200, ""},
  };
}

}  // namespace orrery::transport::api
