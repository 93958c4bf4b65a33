#include "model/value.hpp"

#include <bit>

namespace orrery::model {

const value* value::find(std::string_view name) const {
  if (!is_object())
    return nullptr;
  for (const auto& [key, member] : as_object())
    if (key == name)
      return &member;
  return nullptr;
}

bool value::operator==(const value& other) const {
  if (content_.index() != other.content_.index())
    return false;
  if (is_double()) {
    const auto a = as_double(), b = other.as_double();
    return a == b || std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
  }
  if (is_array())
    return as_array() == other.as_array();
  if (is_object())
    return as_object() == other.as_object();
  return content_ == other.content_;
}

void set_member(object& o, std::string_view name, value v) {
  for (auto& [key, member] : o)
    if (key == name) {
      member = std::move(v);
      return;
    }
  o.emplace_back(std::string{name}, std::move(v));
}

}  // namespace orrery::model
