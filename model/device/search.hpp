// What devices are searched by: the fields that filters, orders and counts may name, and what an
// index keeps of them. A field is added here, with a case in each function of search.cpp. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/device/device.hpp"
#include "model/filter/expression.hpp"
#include "model/filter/record.hpp"
#include "model/filter/schema.hpp"

namespace orrery::model::device {

/// The numbers of the fields in the schema.
enum class search_field : std::uint8_t {
  asset_id,
  device_key,
  product_key,
  name,
  description,
  timezone,
  status,
  admin,
  connection,
  activated,
  firmware_version,
  attributes,
  tags,
  gateway,
  is_sub_device,
  mirror_of,
  protocol,
  created_at,
  updated_at,
  activated_at,
  last_online_at,
  last_offline_at,
  last_data_at,
  certificate_expires_at,
  group,
  configuration,
  file_bytes,
  points,
};

/// "deviceKey", "tags.*" and so on, as the API calls them. `points.*`: the newest values.
const filter::schema& search_fields();
/// How large a filter may be once what people wrote was read: keys stand in it for what products
/// have, rules for groups, and whatever its asker reaches was added.
filter::expression_limits wide_limits();
/// What is searched of a device's configurations: the id of each, with its version behind a "@" and
/// with its state behind a ":".
std::vector<std::string> configuration_texts(const layering& layers);
/// Every device has it.
bool is_always_there(search_field f);
/// An index has all values of it.
bool is_indexed(const filter::field_place& where);

/// A device as a filter sees it, for as long as what it is made of lives.
class searched_device final : public filter::record {
 public:
  /// `telemetry` gives what the snapshot has not: asked once, if it is needed at all; null: none.
  using telemetry_reader = std::function<void(telemetry&, timestamp& last_data)>;
  searched_device(const entity_id& id, const state& s, telemetry_reader telemetry = {});
  filter::datum value(std::size_t field, std::string_view key) const override;

 private:
  const telemetry& read() const;
  const entity_id& id_;
  const state& state_;
  telemetry_reader read_telemetry_;
  mutable telemetry read_;
  mutable timestamp last_data_{};
  mutable bool is_read_ = false;
  mutable std::string text_;  // what was made for the last answer
  mutable std::vector<std::string> texts_;
};

/// What an index keeps of a device in a field: its name with the key, and the value's bytes.
struct search_term {
  std::string field;  // "tags.site"
  std::string value;  // model/filter/index_value.hpp
  auto operator<=>(const search_term&) const = default;
};

using search_mask = std::uint32_t;  // bit n: the field of number n
constexpr search_mask bit_of(search_field f) {
  return search_mask{1} << static_cast<unsigned>(f);
}

/// The indexed fields that an event may change; 0 for most.
search_mask searched_by(const event& e);
/// In order, none twice; none for a device that does not exist.
std::vector<search_term> search_terms(const state& s, search_mask which);

}  // namespace orrery::model::device
