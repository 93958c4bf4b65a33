// A thing model: the points, attributes, services and events of a kind of device, compiled from a
// tm/1 document, and the checks of posted values against it. Immutable once made; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/result.hpp"
#include "model/time.hpp"
#include "model/value.hpp"

namespace re2 {
class RE2;
}

namespace orrery::model {

/// What happens to a posted value that does not fit.
enum class validation : std::uint8_t { strict, lenient, mark, off };

enum class data_type : std::uint8_t {
  boolean,
  int32,
  int64,
  float32,
  float64,
  string,
  date,
  instant,
  enumeration,
  list,
  structure,
  dictionary,
  file
};

/// Classified signal: which figures make sense over a series.
enum class signal_kind : std::uint8_t { analogue, discrete, pulse, generic };

/// A type with its constraints; only those of the type in hand are looked at.
struct type_spec {
  data_type type = data_type::float64;
  std::optional<double> min, max, step;
  bool exclusive_min = false, exclusive_max = false;
  std::optional<std::int64_t> min_int, max_int;  // the same bounds where doubles are too coarse
  std::optional<std::size_t> min_length, max_length;  // string: bytes; default maximum 1024
  std::string pattern;                                // RE2
  std::shared_ptr<const re2::RE2> compiled_pattern;
  bool enum_of_strings = false;  // base of an enumeration: int unless this
  std::vector<std::pair<std::string, std::string>> entries;  // enum key (as text) -> default label
  std::size_t min_items = 0, max_items = 1024;
  std::shared_ptr<const type_spec> items;  // array items, map values
  struct field;
  std::vector<field> fields;  // structure
  bool drop_unknown_fields = false;
  std::string subtype;
};
struct type_spec::field {
  std::string id;
  type_spec type;
  bool required = false;
};

struct element {
  std::string id;
  std::string name;  // default text
  std::string unit;
  type_spec type;
};
struct attribute_spec : element {
  enum class access_mode : std::uint8_t { read_write, cloud, device, read_only };
  access_mode access = access_mode::read_write;
  bool required = false;
  std::optional<value> default_value;
};
struct point_spec : element {
  signal_kind signal = signal_kind::generic;
  bool has_quality = false;
  bool writable = false;
};
struct parameter_spec : element {
  bool required = false;
  std::optional<value> default_value;
};
struct service_spec {
  std::string id, name;
  bool asynchronous = false;
  bool idempotent = false;
  int timeout_seconds = 30;
  std::vector<parameter_spec> input, output;
};
struct event_spec {
  enum class severity : std::uint8_t { info, warning, error };
  std::string id, name;
  severity level = severity::info;
  std::vector<parameter_spec> output;
};

/// One posted value of a point, as it came: `posted` may be the wrapper {value, quality}.
struct posted_point {
  std::string id;
  value posted;
};

/// One checked value of a point. quality: 0 to 9, -1 when none was given.
struct point_value {
  std::string id;
  value v;
  std::int8_t quality = -1;
  bool operator==(const point_value&) const = default;
};

/// The checked points of one message, at one time.
struct sample {
  timestamp time;
  std::vector<point_value> points;
  bool operator==(const sample&) const = default;
};

/// What a check took, and what it dropped, changed or marked and why (model.md 10 reason codes).
struct checked_points {
  std::vector<point_value> taken;
  std::vector<problem> dropped;
  std::size_t coerced = 0;
};

class thing_model {
 public:
  /// Compiles a tm/1 document. Unknown keys are refused unless they start "x-".
  /// Fails: `invalid_argument`, reason "model_invalid", with a problem for each finding (JSON
  /// pointer, code, what was expected and what came); all findings, not only the first.
  static result<thing_model> compile(const value& document);

  const std::string& id() const { return id_; }
  const std::string& name() const { return name_; }
  validation mode() const { return mode_; }

  const std::vector<point_spec>& points() const { return points_; }
  const std::vector<attribute_spec>& attributes() const { return attributes_; }
  const std::vector<service_spec>& services() const { return services_; }
  const std::vector<event_spec>& events() const { return events_; }
  const point_spec* find_point(std::string_view id) const;
  const attribute_spec* find_attribute(std::string_view id) const;
  const service_spec* find_service(std::string_view id) const;
  const event_spec* find_event(std::string_view id) const;

  /// Checks one message's points under `mode` (a product may override the model's own; a batch
  /// that skips bad points asks for `lenient`). Strict: one bad point refuses the message.
  /// Fails: `invalid_argument`, reason "model_validate_failed", problems name each bad point.
  result<checked_points> check_points(std::vector<posted_point> posted, validation mode) const;

  /// Checks attribute values: known, typed, within limits, writable by that side.
  enum class side : std::uint8_t { cloud, device, registration };
  result<object> check_attributes(const object& posted, side writer) const;
  /// At registration: required ones present, defaults filled in.
  result<object> complete_attributes(object posted) const;

  /// Event output parameters; an unknown event is a problem "element_unknown".
  result<object> check_event(std::string_view event_id, const object& output,
                             validation mode) const;
  /// Service input, always strict; defaults filled in.
  result<object> check_input(std::string_view service_id, const object& input) const;
  /// A reply's output. Never loses the reply: what does not fit is kept and listed.
  std::vector<problem> check_output(std::string_view service_id, const object& output) const;
  /// Values to be set on points from the cloud, always strict: each must be writable
  /// (reason "not_writable").
  result<object> check_writes(const object& points) const;

 private:
  std::string id_, name_;
  validation mode_ = validation::strict;
  std::vector<point_spec> points_;
  std::vector<attribute_spec> attributes_;
  std::vector<service_spec> services_;
  std::vector<event_spec> events_;
  // Views into the ids above are not kept (a model is moved once, into its shared_ptr): positions
  // are.
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  using positions = std::unordered_map<std::string, std::size_t, text_hash, std::equal_to<>>;
  positions point_at_, attribute_at_, service_at_, event_at_;
};

/// Checks one value against one type and gives its canonical form (e.g. "3" for an int becomes 3).
/// `where` is put before each problem's position. Fails as `thing_model::check_points`.
result<value> check_value(const type_spec& type, const value& posted, validation mode,
                          std::string_view where);

/// A device's time as posted: ms integer, float, numeric text; microseconds and fractional seconds
/// are brought to ms (mqtt page 5.1 of the wire description: >= 1e14 is divided by 1000, a
/// fraction below 1e11 multiplied). Nothing if it is no time at all.
std::optional<timestamp> normalise_time(const value& posted);

}  // namespace orrery::model
