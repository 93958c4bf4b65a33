#include "transport/mqtt/gateway_requests.hpp"

#include "transport/mqtt/params.hpp"

namespace orrery::transport::mqtt {
namespace {

namespace device = model::device;
using model::errc;
using model::failure;
using model::value;

constexpr std::size_t max_devices = 1'000;

/// The first of two members that is there, as text; "" if neither is.
std::string text_of(const value& v, const char* name, const char* other = nullptr) {
  const auto* found = v.find(name);
  if ((!found || found->is_null()) && other)
    found = v.find(other);
  return found ? as_text(*found).value_or("") : std::string{};
}

model::result<model::device_name> read_sub(const value& entry) {
  auto name = read_name(entry);
  if (name && (name->product_key.empty() || name->device_key.empty()))
    return bad_format("productKey and deviceKey of the sub-device are needed");
  return name;
}

model::result<const model::array*> read_list(const value& list, const char* what) {
  if (!list.is_array() || list.as_array().size() > max_devices)
    return bad_format(std::string{what} + ": expected an array of at most 1000 entries");
  return &list.as_array();
}

/// What `read` makes of each entry; the first failure.
template <class Read>
auto read_each(const value& list, const char* what, Read read)
    -> model::result<std::vector<std::decay_t<decltype(*read(list))>>> {
  const auto entries = read_list(list, what);
  if (!entries)
    return entries.error();
  auto out = std::vector<std::decay_t<decltype(*read(list))>>{};
  for (const auto& entry : **entries) {
    auto one = read(entry);
    if (!one)
      return one.error();
    out.push_back(std::move(*one));
  }
  return out;
}

model::result<device::login_secret> read_mode(const value& entry) {
  const auto mode = text_of(entry, "secureMode", "securemode");
  if (mode.empty())
    return device::login_secret::either;
  if (mode == "2")
    return device::login_secret::device;
  if (mode == "3")
    return device::login_secret::product;
  return bad_format("secureMode: expected 2 or 3");
}

/// Proof and keys of `entry`; what all entries share may stand in `common`.
model::result<sub_device_login> read_login(const value& entry, const value& common) {
  auto out = sub_device_login{};
  auto name = read_sub(entry);
  if (!name)
    return name.error();
  out.who = std::move(*name);
  const auto mode = read_mode(entry);
  if (!mode)
    return mode.error();
  out.secret = *mode;
  out.proof.client_id = text_of(common, "clientId");
  out.proof.timestamp = text_of(common, "timestamp");
  out.proof.digest = text_of(entry, "sign");
  const auto method = model::parse_sign_method(text_of(common, "signMethod", "signmethod"));
  if (!method)
    return failure{errc::unauthenticated, "sign_method_unknown",
                   "signMethod is sha256, sha1 or md5"};
  out.proof.method = *method;
  return out;
}

model::result<group_ptr> read_topology_add(const value& params, const group_self& self) {
  auto subs =
      read_each(params, "params", [](const value& entry) { return read_login(entry, entry); });
  if (!subs)
    return subs.error();
  return bind_sub_devices(self, std::move(*subs));
}

model::result<group_ptr> read_topology_delete(const value& params, const group_self& self,
                                              const group_world& world) {
  auto subs = read_each(params, "params", read_sub);
  if (!subs)
    return subs.error();
  return unbind_sub_devices(self, world, std::move(*subs));
}

model::result<group_ptr> read_sub_login(const value& params, const group_self& self,
                                        const group_world& world) {
  auto one = read_login(params, params);
  if (!one)
    return one.error();
  return log_in_sub_device(self, world, std::move(*one));
}

model::result<group_ptr> read_sub_logins(const value& params, const group_self& self,
                                         const group_world& world) {
  const auto* all = params.find("subDevices");
  auto subs = read_each(all ? *all : value{}, "subDevices",
                        [&](const value& entry) { return read_login(entry, params); });
  if (!subs)
    return subs.error();
  return log_in_sub_devices(self, world, std::move(*subs));
}

/// A name: a text, or {defaultValue, i18nValue}.
std::string read_display_name(const value* v) {
  if (!v)
    return {};
  if (v->is_string())
    return v->as_string();
  return text_of(*v, "defaultValue");
}

model::result<new_device> read_new_device(const value& entry) {
  auto name = read_name(entry);
  if (!name)
    return name.error();
  auto d = new_device{};
  d.name = std::move(*name);
  d.display_name = clip(read_display_name(entry.find("deviceName")), 256);
  d.description = clip(text_of(entry, "deviceDesc"), 2000);
  d.timezone = clip(text_of(entry, "timezone"), 64);
  if (d.name.product_key.empty())
    return bad_format("productKey is needed");
  if (d.name.device_key.empty() && d.display_name.empty())
    return bad_format("deviceName is needed where there is no deviceKey");
  if (const auto* attributes = entry.find("deviceAttributes");
      attributes && attributes->is_object())
    d.attributes = attributes->as_object();
  return d;
}

model::result<group_ptr> read_registration(const value& params, const group_self& self,
                                           const group_world& world) {
  auto devices = read_each(params, "params", read_new_device);
  if (!devices)
    return devices.error();
  return register_devices(self, world, std::move(*devices));
}

/// The device of an entry of a channel's request: one of its product.
model::result<model::device_name> read_channel_device(const value& entry, const group_self& self) {
  auto key = text_of(entry, "deviceKey");
  if (key.empty())
    return bad_format("deviceKey is needed");
  return model::device_name{self.link.name.product_key, std::move(key)};
}

model::result<group_ptr> read_channel_points(const value& params, const group_self& self,
                                             const group_world& world) {
  auto posts = read_each(params, "params", [&](const value& entry) -> model::result<group_post> {
    auto name = read_channel_device(entry, self);
    if (!name)
      return name.error();
    auto sample = read_sample(entry);
    if (!sample)
      return sample.error();
    return group_post{std::move(*name), std::move(*sample)};
  });
  if (!posts)
    return posts.error();
  return post_for_devices(self, world, std::move(*posts), false, false, true);
}

model::result<group_ptr> read_channel_events(const value& params, const group_self& self) {
  const auto list = read_list(params, "params");
  if (!list)
    return list.error();
  auto all = std::vector<device_question>{};
  for (const auto& entry : **list) {
    auto name = read_channel_device(entry, self);
    if (!name)
      return name.error();
    const auto time = read_time(entry);
    if (!time)
      return time.error();
    const auto* events = entry.find("events");
    if (!events || !events->is_object())
      return bad_format("events: expected an object with a member for each event");
    for (const auto& [id, output] : events->as_object()) {
      if (!output.is_object())
        return bad_format("events: expected an object of the parameters of " + id);
      all.push_back({*name, device::report_event{id, output.as_object(), *time},
                     actors::session_ask::right::service});
    }
  }
  if (all.size() > max_devices)
    return bad_format("events: at most 1000 in one request");
  return ask_devices(std::move(all));
}

model::result<group_ptr> read_channel_attributes(const value& params, const group_self& self) {
  auto all = read_each(params, "params", [&](const value& entry) -> model::result<device_question> {
    auto name = read_channel_device(entry, self);
    if (!name)
      return name.error();
    const auto* attributes = entry.find("attributes");
    if (!attributes || !attributes->is_object())
      return bad_format("attributes: expected an object");
    return device_question{
        std::move(*name),
        device::change_attributes{attributes->as_object(), model::thing_model::side::device},
        actors::session_ask::right::service};
  });
  if (!all)
    return all.error();
  return ask_devices(std::move(*all));
}

}  // namespace

model::result<group_ptr> read_group(const classified& topic, const value& params,
                                    const group_self& self, const group_world& world) {
  switch (topic.what) {
    case operation::topology_add:
      return read_topology_add(params, self);
    case operation::topology_delete:
      return read_topology_delete(params, self, world);
    case operation::topology_get:
      return list_sub_devices(self);
    case operation::sub_login:
      return read_sub_login(params, self, world);
    case operation::sub_login_batch:
      return read_sub_logins(params, self, world);
    case operation::sub_logout: {
      auto name = read_sub(params);
      if (!name)
        return name.error();
      return log_out_sub_device(std::move(*name));
    }
    case operation::device_register:
      return read_registration(params, self, world);
    case operation::channel_points:
      return read_channel_points(params, self, world);
    case operation::channel_events:
      return read_channel_events(params, self);
    case operation::channel_attributes:
      return read_channel_attributes(params, self);
    default:
      return failure{errc::internal, "that request does not concern several devices"};
  }
}

}  // namespace orrery::transport::mqtt
