#include "model/device/search.hpp"

#include <algorithm>

#include "model/filter/index_value.hpp"

namespace orrery::model::device {
namespace {

constexpr std::string_view retired_index = "retired";  // actors/device_search.cpp reads it

using filter::datum;
using filter::field_type;

template <class... Fs>
struct overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
overloaded(Fs...) -> overloaded<Fs...>;  // clang 14 deduces no aggregates

/// Index keys are bounded: what has a longer name is found by looking at the devices.
bool is_short(std::string_view key) {
  constexpr std::size_t most = 200;
  return key.size() <= most && key.find('\0') == std::string_view::npos;
}

datum of_time(timestamp t) {
  return t == timestamp{} ? datum{} : datum{t};
}

datum of_text(const std::string& text) {
  return text.empty() ? datum{} : datum{std::string_view{text}};
}

datum of_value(const value& v) {
  if (v.is_bool())
    return v.as_bool();
  if (v.is_int())
    return v.as_int();
  if (v.is_double())
    return v.as_double();
  if (v.is_string())
    return std::string_view{v.as_string()};
  return {};
}

std::string_view name_of(protocol p) {
  constexpr std::string_view names[] = {"", "mqtt", "http", "coap"};
  return names[static_cast<std::size_t>(p)];
}

/// The end of the one that ends last, of those that still count.
timestamp certificate_end(const state& s) {
  auto end = timestamp{};
  for (const auto& c : s.certificates().all)
    if (c.state == certificate::state_code::issued || c.state == certificate::state_code::active)
      end = std::max(end, c.not_after);
  return end;
}

/// Of all its files, those that have not come yet too.
std::int64_t bytes_of(const file_folder& files) {
  auto sum = std::int64_t{0};
  for (const auto& f : files.all)
    sum += static_cast<std::int64_t>(f.size);
  return sum;
}

}  // namespace

const filter::schema& search_fields() {
  using enum field_type;
  static const auto all = filter::schema{{
      {.name = "assetId", .type = text, .words = {}, .indexed = true},
      {.name = "deviceKey", .type = text, .words = {}, .indexed = true, .sortable = true},
      {.name = "productKey", .type = text, .words = {}, .indexed = true, .sortable = true},
      {.name = "name", .type = text, .words = {}, .indexed = true, .sortable = true},
      {.name = "description", .type = text},
      {.name = "timezone", .type = text},
      {.name = "status",
       .type = word,
       .words = {"inactive", "online", "offline", "disabled", "mirror", "retired"},
       .indexed = true,
       .sortable = true},
      {.name = "admin", .type = word, .words = {"enabled", "disabled"}},
      {.name = "connection", .type = word, .words = {"online", "offline"}},
      {.name = "activated", .type = truth},
      {.name = "firmwareVersion", .type = text, .words = {}, .indexed = true, .sortable = true},
      {.name = "attributes.*", .type = any, .words = {}, .indexed = true, .sortable = true},
      {.name = "tags.*", .type = text, .words = {}, .indexed = true, .sortable = true},
      {.name = "gateway", .type = text, .words = {}, .indexed = true},
      {.name = "isSubDevice", .type = truth},
      {.name = "mirrorOf", .type = text, .words = {}, .indexed = true},
      {.name = "protocol", .type = word, .words = {"mqtt", "http", "coap"}},
      {.name = "createdAt",
       .type = field_type::time,
       .words = {},
       .indexed = true,
       .sortable = true},
      {.name = "updatedAt",
       .type = field_type::time,
       .words = {},
       .indexed = false,
       .sortable = true},
      {.name = "activatedAt",
       .type = field_type::time,
       .words = {},
       .indexed = true,
       .sortable = true},
      {.name = "lastOnlineAt",
       .type = field_type::time,
       .words = {},
       .indexed = true,
       .sortable = true},
      {.name = "lastOfflineAt",
       .type = field_type::time,
       .words = {},
       .indexed = true,
       .sortable = true},
      {.name = "lastDataAt",
       .type = field_type::time,
       .words = {},
       .indexed = false,
       .sortable = true},
      {.name = "certificateExpiresAt",
       .type = field_type::time,
       .words = {},
       .indexed = true,
       .sortable = true},
      {.name = "group", .type = texts, .words = {}, .indexed = true},
      {.name = "configuration", .type = texts, .words = {}, .indexed = true},
      {.name = "fileBytes",
       .type = field_type::number,
       .words = {},
       .indexed = true,
       .sortable = true},
      {.name = "points.*", .type = any},
  }};
  return all;
}

filter::expression_limits wide_limits() {
  auto limits = filter::expression_limits{};
  limits.max_bytes *= 16;
  limits.max_values *= 100;
  limits.max_depth *= 2;
  limits.max_conditions *= 50;
  return limits;
}

std::vector<std::string> configuration_texts(const layering& layers) {
  auto texts = std::vector<std::string>{};
  for (const auto& l : layers.all) {
    texts.push_back(l.id);
    texts.push_back(l.id + '@' + std::to_string(l.version));
    texts.push_back(l.id + ':' + std::string{name_of(l.state)});
  }
  return texts;
}

bool is_always_there(search_field f) {
  using enum search_field;
  return f == asset_id || f == device_key || f == product_key || f == status || f == created_at;
}

bool is_indexed(const filter::field_place& where) {
  return search_fields()[where.number].indexed && is_short(where.key);
}

searched_device::searched_device(const entity_id& id, const state& s, telemetry_reader telemetry)
    : id_{id}, state_{s}, read_telemetry_{std::move(telemetry)} {}

const telemetry& searched_device::read() const {
  if (!is_read_ && read_telemetry_)
    read_telemetry_(read_, last_data_);
  is_read_ = true;
  return read_;
}

datum searched_device::value(std::size_t field, std::string_view key) const {
  const auto& s = state_;
  switch (static_cast<search_field>(field)) {
    case search_field::asset_id:
      text_ = to_string(id_);
      return std::string_view{text_};
    case search_field::device_key:
      return of_text(s.name().device_key);
    case search_field::product_key:
      return of_text(s.name().product_key);
    case search_field::name:
      return of_text(s.display_name);
    case search_field::description:
      return of_text(*s.description);
    case search_field::timezone:
      return of_text(*s.timezone);
    case search_field::status:
      return status_of(s);
    case search_field::admin:
      return std::string_view{s.admin == admin_state::enabled ? "enabled" : "disabled"};
    case search_field::connection:
      return std::string_view{s.connection.online ? "online" : "offline"};
    case search_field::activated:
      return s.activated_at.has_value();
    case search_field::firmware_version:
      return of_text(s.firmware().version);
    case search_field::attributes: {
      const auto found = std::find_if(s.attributes.begin(), s.attributes.end(),
                                      [&](const auto& one) { return one.first == key; });
      return found == s.attributes.end() ? datum{} : of_value(found->second);
    }
    case search_field::tags: {
      const auto found = std::find_if(s.tags->begin(), s.tags->end(),
                                      [&](const auto& t) { return t.first == key; });
      return found == s.tags->end() ? datum{} : datum{std::string_view{found->second}};
    }
    case search_field::gateway:
      if (s.gateway().empty())
        return {};
      text_ = to_string(s.gateway().id);
      return std::string_view{text_};
    case search_field::is_sub_device:
      return !s.gateway().empty();
    case search_field::mirror_of:
      if (s.mirrored().empty())
        return {};
      text_ = to_string(s.mirrored().source);
      return std::string_view{text_};
    case search_field::protocol: {
      const auto name = name_of(s.connection.protocol);
      return name.empty() ? datum{} : datum{name};
    }
    case search_field::created_at:
      return of_time(s.created_at);
    case search_field::updated_at:
      return of_time(s.updated_at);
    case search_field::activated_at:
      return s.activated_at ? datum{*s.activated_at} : datum{};
    case search_field::last_online_at:
      return of_time(s.last_online);
    case search_field::last_offline_at:
      return of_time(s.last_offline);
    case search_field::last_data_at:
      read();
      return of_time(last_data_);
    case search_field::certificate_expires_at:
      return of_time(certificate_end(s));
    case search_field::group:
      return std::span<const std::string>{s.groups()};
    case search_field::configuration:
      texts_ = configuration_texts(s.layers());
      return std::span<const std::string>{texts_};
    case search_field::file_bytes:
      return s.files().empty() ? datum{} : datum{bytes_of(s.files())};
    case search_field::points: {
      const auto& all = read().latest;
      const auto found = std::find_if(all.begin(), all.end(),
                                      [&](const latest_point& p) { return p.id.text() == key; });
      return found == all.end() ? datum{} : of_value(found->v);
    }
  }
  return {};
}

search_mask searched_by(const event& e) {
  using enum search_field;
  constexpr auto everything = ~search_mask{0};
  return std::visit(
      overloaded{[](const registered&) { return everything; },
                 [](const removed&) { return everything; },
                 [](const updated&) {
                   return bit_of(search_field::name) | bit_of(attributes) | bit_of(tags);
                 },
                 [](const admin_state_set&) { return bit_of(status); },
                 [](const connected& c) {
                   return bit_of(status) | bit_of(last_online_at) |
                          (c.first ? bit_of(activated_at) : 0);
                 },
                 [](const disconnected&) { return bit_of(status) | bit_of(last_offline_at); },
                 [](const attributes_changed&) { return bit_of(attributes); },
                 [](const tags_changed&) { return bit_of(tags); },
                 [](const gateway_bound&) { return bit_of(search_field::gateway); },
                 [](const gateway_unbound&) { return bit_of(search_field::gateway); },
                 [](const version_reported&) { return bit_of(firmware_version); },
                 [](const certificate_added&) { return bit_of(certificate_expires_at); },
                 [](const certificate_revoked&) { return bit_of(certificate_expires_at); },
                 [](const groups_changed&) { return bit_of(group); },
                 [](const layers_changed&) { return bit_of(search_field::configuration); },
                 [](const status_overridden&) { return bit_of(status); },
                 [](const override_ended&) { return bit_of(status); },
                 [](const mirror_set&) { return bit_of(status) | bit_of(mirror_of); },
                 [](const mirror_ended&) { return bit_of(status) | bit_of(mirror_of); },
                 [](const renamed&) { return bit_of(device_key) | bit_of(product_key); },
                 [](const file_added&) { return bit_of(file_bytes); },
                 [](const file_removed&) { return bit_of(file_bytes); },
                 [](const emigrated&) { return everything; },
                 [](const retired&) { return everything; },
                 [](const restored&) { return everything; },
                 [](const name_reserved&) { return everything; },  // nobody looks for an alias
                 [](const auto&) { return search_mask{0}; }},
      e);
}

std::vector<search_term> search_terms(const state& s, search_mask which) {
  auto all = std::vector<search_term>{};
  if (!s.exists || !s.alias().empty())
    return all;
  if (!s.retirement().empty()) {
    all.push_back({std::string{retired_index}, {}});  // nothing else finds it
    if (!s.files().empty())                           // they are kept, and so they count
      all.push_back({"retired.fileBytes", filter::index_value(datum{bytes_of(s.files())})});
    return all;
  }
  const auto& fields = search_fields();
  const auto id = entity_id{};
  const auto seen = searched_device{id, s};
  const auto add = [&](std::string field, const datum& d) {
    if (auto bytes = filter::index_value(d); !bytes.empty())
      all.push_back({std::move(field), std::move(bytes)});
  };
  for (std::size_t n = 0; n < fields.size(); ++n) {
    const auto f = static_cast<search_field>(n);
    if (!fields[n].indexed || !(which & bit_of(f)) || f == search_field::asset_id)
      continue;
    if (f == search_field::attributes) {
      for (const auto& [key, v] : s.attributes)
        if (is_short(key))
          add("attributes." + key, of_value(v));
    } else if (f == search_field::tags) {
      for (const auto& [key, text] : *s.tags)
        if (is_short(key))
          add("tags." + key, std::string_view{text});
    } else if (f == search_field::group) {
      for (const auto& one : s.groups())
        add(fields[n].name, std::string_view{one});
    } else if (f == search_field::configuration) {
      for (const auto& one : configuration_texts(s.layers()))
        add(fields[n].name, std::string_view{one});
    } else {
      add(fields[n].name, seen.value(n, {}));
    }
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace orrery::model::device
