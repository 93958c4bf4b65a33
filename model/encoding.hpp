// Structs as bytes by their list of fields: write(out, x) and read(in, x) for everything the kinds
// of entity are made of. A struct takes part by a function fields_of(x) in its own namespace that
// ties its members in their order on disk; the order is for ever.
//
//   template <field_of<my_struct> X> auto fields_of(X& x) { return std::tie(x.a, x.b); }
//
// A variant is the place of its alternative (u8) and the fields of that. An enumeration is its
// number (u8), and says beside the lists of fields which numbers it has; others do not decode:
//
//   constexpr auto range_of(my_enum) { return std::pair{my_enum::first, my_enum::last}; }
#pragma once

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "model/bytes.hpp"
#include "model/credentials.hpp"
#include "model/effect.hpp"
#include "model/point_name.hpp"
#include "model/result.hpp"
#include "model/static_text.hpp"
#include "model/thing_model.hpp"
#include "model/topic_rule.hpp"

namespace orrery::model {

/// X is T or const T: so one list of fields serves writing and reading.
template <class X, class T>
concept field_of = std::is_same_v<std::remove_const_t<X>, T>;

template <field_of<session_ref> X>
auto fields_of(X& x) {
  return std::tie(x.node_incarnation, x.number, x.epoch);
}
template <field_of<waiter_ref> X>
auto fields_of(X& x) {
  return std::tie(x.node_incarnation, x.number);
}
template <field_of<device_name> X>
auto fields_of(X& x) {
  return std::tie(x.product_key, x.device_key);
}
template <field_of<sealed_secret> X>
auto fields_of(X& x) {
  return std::tie(x.bytes);
}
template <field_of<point_value> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.v, x.quality);
}
template <field_of<sample> X>
auto fields_of(X& x) {
  return std::tie(x.time, x.points);
}
template <field_of<posted_point> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.posted);
}
template <field_of<problem> X>
auto fields_of(X& x) {
  return std::tie(x.where, x.code, x.detail);
}
template <field_of<login_proof> X>
auto fields_of(X& x) {
  return std::tie(x.client_id, x.timestamp, x.method, x.digest);
}
constexpr auto range_of(sign_method) {
  return std::pair{sign_method::sha256, sign_method::md5};
}
constexpr auto range_of(validation) {
  return std::pair{validation::strict, validation::off};
}
constexpr auto range_of(device_notice::kind) {
  return std::pair{device_notice::kind::enabled, device_notice::kind::deleted};
}
constexpr auto range_of(digest_method) {
  return std::pair{digest_method::md5, digest_method::sha256};
}
constexpr auto range_of(delivery) {
  return std::pair{delivery::push, delivery::both};
}
template <field_of<firmware_image> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.version, x.method, x.sign, x.url, x.size);
}
constexpr auto range_of(topic_rule::right) {
  return std::pair{topic_rule::right::publish, topic_rule::right::both};
}
template <field_of<topic_rule> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.filter);
}
constexpr auto range_of(thing_model::side) {
  return std::pair{thing_model::side::cloud, thing_model::side::registration};
}

template <class T>
concept has_fields = requires(T& x) {
  fields_of(x);
};

template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};
template <class T>
struct is_list : std::false_type {};
template <class T>
struct is_list<std::vector<T>> : std::true_type {};
template <class T>
struct is_map : std::false_type {};
template <class K, class V>
struct is_map<std::map<K, V>> : std::true_type {};

template <class T>
struct is_cow : std::false_type {};
template <class T>
struct is_cow<cow<T>> : std::true_type {};
template <class T>
struct is_variant : std::false_type {};
template <class... Ts>
struct is_variant<std::variant<Ts...>> : std::true_type {};

template <class Variant, std::size_t... Is>
bool emplace_alternative(Variant& v, std::size_t number, std::index_sequence<Is...>) {
  return ((number == Is && (v.template emplace<Is>(), true)) || ...);
}
/// The alternative of that place, as it is at first; false if there is none.
template <class... Ts>
bool emplace_alternative(std::variant<Ts...>& v, std::size_t number) {
  return emplace_alternative(v, number, std::index_sequence_for<Ts...>{});
}

template <class T>
void write(byte_writer& out, const T& x) {
  if constexpr (is_cow<T>::value) {
    write(out, *x);
  } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>) {
    out.text(x);
  } else if constexpr (std::is_same_v<T, point_name>) {
    out.text(x.text());
  } else if constexpr (std::is_same_v<T, bool>) {
    out.boolean(x);
  } else if constexpr (std::is_same_v<T, value>) {
    out.any(x);
  } else if constexpr (std::is_same_v<T, entity_id>) {
    out.id(x);
  } else if constexpr (std::is_same_v<T, timestamp>) {
    out.time(x);
  } else if constexpr (std::is_same_v<T, milliseconds>) {
    out.svarint(x.count());
  } else if constexpr (std::is_same_v<T, object>) {
    out.varint(x.size());
    for (const auto& [name, v] : x) {
      out.text(name);
      out.any(v);
    }
  } else if constexpr (std::is_enum_v<T>) {
    out.u8(static_cast<std::uint8_t>(x));
  } else if constexpr (std::is_integral_v<T> && sizeof(T) == 1) {
    out.u8(static_cast<std::uint8_t>(x));
  } else if constexpr (std::is_unsigned_v<T>) {
    out.varint(x);
  } else if constexpr (std::is_integral_v<T>) {
    out.svarint(x);
  } else if constexpr (std::is_same_v<T, double>) {
    out.f64(x);
  } else if constexpr (is_optional<T>::value) {
    out.boolean(x.has_value());
    if (x)
      write(out, *x);
  } else if constexpr (is_list<T>::value) {
    out.varint(x.size());
    for (const auto& item : x)
      write(out, item);
  } else if constexpr (is_map<T>::value) {
    out.varint(x.size());
    for (const auto& [key, v] : x) {
      write(out, key);
      write(out, v);
    }
  } else if constexpr (is_variant<T>::value) {
    out.u8(static_cast<std::uint8_t>(x.index()));
    std::visit([&](const auto& alternative) { write(out, alternative); }, x);
  } else if constexpr (!std::is_empty_v<T>) {
    static_assert(has_fields<const T>, "give it a fields_of in its own namespace");
    std::apply([&](const auto&... field) { (write(out, field), ...); }, fields_of(x));
  }
}

template <class T>
void read(byte_reader& in, T& x) {
  if constexpr (is_cow<T>::value) {
    auto content = std::remove_cvref_t<decltype(*x)>{};
    read(in, content);
    x = std::move(content);
  } else if constexpr (std::is_same_v<T, std::string>) {
    x = in.text();
  } else if constexpr (std::is_same_v<T, std::string_view>) {
    x = static_text(in.text());
  } else if constexpr (std::is_same_v<T, point_name>) {
    x = point_name{in.text()};
  } else if constexpr (std::is_same_v<T, bool>) {
    x = in.boolean();
  } else if constexpr (std::is_same_v<T, value>) {
    x = in.any();
  } else if constexpr (std::is_same_v<T, entity_id>) {
    x = in.id();
  } else if constexpr (std::is_same_v<T, timestamp>) {
    x = in.time();
  } else if constexpr (std::is_same_v<T, milliseconds>) {
    x = milliseconds{in.svarint()};
  } else if constexpr (std::is_same_v<T, object>) {
    for (auto n = in.count(); n > 0 && in.ok(); --n) {
      auto name = std::string{in.text()};
      x.emplace_back(std::move(name), in.any());
    }
  } else if constexpr (std::is_enum_v<T>) {
    const auto number = static_cast<T>(in.u8());
    if (constexpr auto range = range_of(T{}); number < range.first || number > range.second)
      in.fail();
    else
      x = number;
  } else if constexpr (std::is_integral_v<T> && sizeof(T) == 1) {
    x = static_cast<T>(in.u8());
  } else if constexpr (std::is_unsigned_v<T>) {
    const auto number = in.varint();
    if (number > std::numeric_limits<T>::max())
      in.fail();
    x = static_cast<T>(number);
  } else if constexpr (std::is_integral_v<T>) {
    const auto number = in.svarint();
    if (number < std::numeric_limits<T>::min() || number > std::numeric_limits<T>::max())
      in.fail();
    x = static_cast<T>(number);
  } else if constexpr (std::is_same_v<T, double>) {
    x = in.f64();
  } else if constexpr (is_optional<T>::value) {
    if (in.boolean())
      read(in, x.emplace());
  } else if constexpr (is_list<T>::value) {
    for (auto n = in.count(); n > 0 && in.ok(); --n)
      read(in, x.emplace_back());
  } else if constexpr (is_map<T>::value) {
    for (auto n = in.count(); n > 0 && in.ok(); --n) {
      auto key = typename T::key_type{};
      read(in, key);
      read(in, x[std::move(key)]);
    }
  } else if constexpr (is_variant<T>::value) {
    if (!emplace_alternative(x, in.u8()))
      return in.fail();
    std::visit([&](auto& alternative) { read(in, alternative); }, x);
  } else if constexpr (!std::is_empty_v<T>) {
    static_assert(has_fields<T>, "give it a fields_of in its own namespace");
    std::apply([&](auto&... field) { (read(in, field), ...); }, fields_of(x));
  }
}

/// A version byte, then x. `read_versioned` is false if the bytes are of another version or do not
/// decode to their end.
template <class T>
std::string write_versioned(std::uint8_t version, const T& x) {
  auto out = byte_writer{};
  out.u8(version);
  write(out, x);
  return out.take();
}
template <class T>
bool read_versioned(std::uint8_t version, std::string_view bytes, T& x) {
  auto in = byte_reader{bytes};
  if (in.u8() != version)
    return false;
  read(in, x);
  return in.ok() && in.at_end();
}

}  // namespace orrery::model
