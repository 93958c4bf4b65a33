// A value as it is posted, stored and shown: what JSON can say, with integers kept apart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "model/cow.hpp"

namespace orrery::model {

class value;
using array = std::vector<value>;
using object = std::vector<std::pair<std::string, value>>;  // in the order given; few members

/// Null, bool, 64-bit integer, double, text (UTF-8), array or object. Texts and containers are
/// immutable and shared, so copying a value is cheap and values may travel between threads.
class value {
 public:
  value() = default;
  value(std::nullptr_t) {}
  value(bool b) : content_{b} {}
  value(std::int64_t i) : content_{i} {}
  value(int i) : content_{std::int64_t{i}} {}
  value(double d) : content_{d} {}
  value(std::string s) : content_{cow{std::move(s)}} {}
  value(std::string_view s) : value{std::string{s}} {}
  value(const char* s) : value{std::string{s}} {}
  value(array a) : content_{cow{std::move(a)}} {}
  value(object o) : content_{cow{std::move(o)}} {}

  bool is_null() const { return std::holds_alternative<std::monostate>(content_); }
  bool is_bool() const { return std::holds_alternative<bool>(content_); }
  bool is_int() const { return std::holds_alternative<std::int64_t>(content_); }
  bool is_double() const { return std::holds_alternative<double>(content_); }
  bool is_number() const { return is_int() || is_double(); }
  bool is_string() const { return std::holds_alternative<cow<std::string>>(content_); }
  bool is_array() const { return std::holds_alternative<cow<array>>(content_); }
  bool is_object() const { return std::holds_alternative<cow<object>>(content_); }

  // Each of these requires the matching is_...().
  bool as_bool() const { return std::get<bool>(content_); }
  std::int64_t as_int() const { return std::get<std::int64_t>(content_); }
  double as_double() const {
    return is_int() ? static_cast<double>(as_int()) : std::get<double>(content_);
  }
  const std::string& as_string() const { return *std::get<cow<std::string>>(content_); }
  const array& as_array() const { return *std::get<cow<array>>(content_); }
  const object& as_object() const { return *std::get<cow<object>>(content_); }

  /// The member of that name if this is an object that has it, else null.
  const value* find(std::string_view name) const;

  /// Doubles are equal by bits except that -0.0 equals 0.0; an int never equals a double.
  bool operator==(const value& other) const;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, cow<std::string>, cow<array>,
               cow<object>>
      content_;
};

/// Sets a member of an object under construction, in place if it is there.
void set_member(object& o, std::string_view name, value v);

}  // namespace orrery::model
