// Values for every field of a struct, found by the struct itself and not by the lists of fields
// that encodings have: what such a list forgets does not come back. And all that is in one, as
// text.
#pragma once

#include <bit>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/pfr.hpp>
#include <gtest/gtest.h>

#include "model/client/client.hpp"
#include "model/device/device.hpp"
#include "model/encoding.hpp"

namespace orrery::tests {

template <class T>
struct is_shared : std::false_type {};
template <class T>
struct is_shared<std::shared_ptr<const T>> : std::true_type {};

/// Gives each field another value, none of them the default one. Variants keep their alternative.
/// The same ones each time: tests/data/wire-1.txt has them.
class filler {
 public:
  explicit filler(std::uint64_t begin = 0) : n_{begin} {}

  template <class T>
  void operator()(T& x) {
    ++n_;
    if constexpr (std::is_same_v<T, std::string>) {
      x = "text " + std::to_string(n_);
    } else if constexpr (std::is_same_v<T, std::string_view>) {
      constexpr std::string_view known[] = {"client", "taken_over", "type_mismatch"};
      x = known[n_ % 3];
    } else if constexpr (std::is_same_v<T, model::point_name>) {
      x = model::point_name{"point " + std::to_string(n_)};
    } else if constexpr (std::is_same_v<T, bool>) {
      x = true;
    } else if constexpr (std::is_same_v<T, model::value>) {
      x = any();
    } else if constexpr (std::is_same_v<T, model::entity_id>) {
      x = {static_cast<model::shard_id>(n_), {1, 2, static_cast<std::uint8_t>(n_ | 1)}};
    } else if constexpr (std::is_same_v<T, model::timestamp>) {
      x = model::from_ms(1'700'000'000'000 + number());
    } else if constexpr (std::is_same_v<T, model::milliseconds>) {
      x = model::milliseconds{number()};
    } else if constexpr (std::is_same_v<T, model::object>) {
      x = {{"a", any()}, {"b", any()}};
    } else if constexpr (std::is_enum_v<T>) {
      x = static_cast<T>(1);
    } else if constexpr (std::is_integral_v<T> && sizeof(T) == 1) {
      x = static_cast<T>(n_ % 100 + 1);
    } else if constexpr (std::is_integral_v<T>) {
      x = static_cast<T>(std::is_unsigned_v<T> ? number() : -number());
    } else if constexpr (std::is_same_v<T, double>) {
      x = static_cast<double>(number()) + 0.1;
    } else if constexpr (model::is_cow<T>::value) {
      auto content = std::remove_cvref_t<decltype(*x)>{};
      (*this)(content);
      x = std::move(content);
    } else if constexpr (is_shared<T>::value) {
      auto content = std::make_shared<std::remove_const_t<typename T::element_type>>();
      (*this)(*content);
      x = std::move(content);
    } else if constexpr (model::is_optional<T>::value) {
      (*this)(x.emplace());
    } else if constexpr (model::is_list<T>::value) {
      x.clear();
      for (int i = 0; i < 2; ++i)
        (*this)(x.emplace_back());
    } else if constexpr (model::is_map<T>::value) {
      for (int i = 0; i < 2; ++i) {
        auto key = typename T::key_type{};
        if constexpr (std::is_same_v<decltype(key), std::string>)
          key = "key " + std::to_string(n_);
        else
          (*this)(key);
        (*this)(x[std::move(key)]);
      }
    } else if constexpr (model::is_variant<T>::value) {
      std::visit(*this, x);
    } else if constexpr (!std::is_same_v<T, model::device::telemetry> &&
                         !std::is_same_v<T, model::client::message_queue>) {  // not in snapshots
      boost::pfr::for_each_field(x, [&](auto& field) { (*this)(field); });
    }
  }

 private:
  std::int64_t number() const { return static_cast<std::int64_t>(n_ * n_ * n_ + 1) & 0x7fff; }
  model::value any() {
    switch (++n_ % 7) {
      case 0:
        return number();
      case 1:
        return static_cast<double>(number()) + 0.1;
      case 2:
        return "value " + std::to_string(n_);
      case 3:
        return true;
      case 4:
        return model::array{number(), "item", nullptr, false};
      case 5:
        return model::object{{"member", -number()}, {"other", model::array{}}};
      default:
        return -number();
    }
  }

  std::uint64_t n_;
};

/// All that is in it.
class shown {
 public:
  template <class T>
  explicit shown(const T& x) {
    add(x);
  }
  bool operator==(const shown& other) const { return text_ == other.text_; }
  const std::string& text() const { return text_; }
  friend void PrintTo(const shown& s, std::ostream* out) { *out << s.text_; }

 private:
  template <class T>
  void add(const T& x) {
    if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>) {
      text_ += '"' + std::string{x} + '"';
    } else if constexpr (std::is_same_v<T, model::point_name>) {
      add(x.text());
    } else if constexpr (std::is_same_v<T, model::value> || std::is_same_v<T, model::object>) {
      auto out = model::byte_writer{};
      model::write(out, x);
      text_ += "value " + out.bytes();
    } else if constexpr (std::is_same_v<T, model::entity_id>) {
      text_ += to_string(x);
    } else if constexpr (std::is_same_v<T, model::timestamp>) {
      text_ += "at " + std::to_string(model::to_ms(x));
    } else if constexpr (std::is_same_v<T, model::milliseconds>) {
      text_ += std::to_string(x.count()) + " ms";
    } else if constexpr (std::is_same_v<T, double>) {
      text_ += "double " + std::to_string(std::bit_cast<std::uint64_t>(x));
    } else if constexpr (std::is_enum_v<T>) {
      text_ += "enum " + std::to_string(static_cast<int>(x));
    } else if constexpr (std::is_integral_v<T>) {
      text_ += std::to_string(x);
    } else if constexpr (model::is_cow<T>::value) {
      add(*x);
    } else if constexpr (is_shared<T>::value || model::is_optional<T>::value) {
      text_ += x ? "of " : "nothing";
      if (x)
        add(*x);
    } else if constexpr (model::is_list<T>::value) {
      text_ += "[";
      for (const auto& item : x)
        one(item);
      text_ += "]";
    } else if constexpr (model::is_map<T>::value) {
      text_ += "[";
      for (const auto& [key, v] : x) {
        if constexpr (std::is_same_v<typename T::key_type, std::string>)
          text_ += key;
        else
          one(key);
        text_ += ": ";
        one(v);
      }
      text_ += "]";
    } else if constexpr (model::is_variant<T>::value) {
      text_ += "#" + std::to_string(x.index());
      std::visit([&](const auto& alternative) { add(alternative); }, x);
    } else if constexpr (!std::is_same_v<T, model::device::telemetry> &&
                         !std::is_same_v<T, model::client::message_queue>) {
      text_ += "{";
      boost::pfr::for_each_field(x, [&](const auto& field) { one(field); });
      text_ += "}";
    }
  }
  template <class T>
  void one(const T& x) {
    add(x);
    text_ += ", ";
  }

  std::string text_;
};

/// Calls `f` with the place of each alternative.
template <class Variant, class F>
void each_alternative(F f) {
  for (std::size_t i = 0; i < std::variant_size_v<Variant>; ++i) {
    SCOPED_TRACE("alternative " + std::to_string(i));
    f(i);
  }
}

}  // namespace orrery::tests
