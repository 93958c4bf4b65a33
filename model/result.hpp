// What can fail returns a result: a value, or a failure that says what to do, what was wrong and
// where.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace orrery::model {

/// Failures, told apart by what the caller should do next.
enum class errc : unsigned char {
  // mend the request
  invalid_argument,
  too_large,
  not_found,
  already_exists,
  conflict,
  // prove who you are
  unauthenticated,
  forbidden,
  // come back
  too_many_requests,
  unavailable,
  timeout,
  wrong_node,
  // call the operator
  corrupted,
  internal,
};

/// One wrong part of a request: where (a JSON pointer or an element id), a stable code such as
/// "type_mismatch", and words for a person: what was expected and what came.
struct problem {
  std::string where;
  std::string_view code;
  std::string detail;
  bool operator==(const problem&) const = default;
};

/// Why something did not work. `reason` is a stable snake_case code ("device_disabled",
/// "element_unknown", "" when the errc says enough): it points to static text. `detail` is for the
/// person who reads it: what, which id, which limit; never a secret.
struct failure {
  failure(errc c, std::string d) : code{c}, detail{std::move(d)} {}
  failure(errc c, std::string_view r, std::string d) : code{c}, reason{r}, detail{std::move(d)} {}
  failure(errc c, std::string_view r, std::string d, std::vector<problem> p)
      : code{c}, reason{r}, detail{std::move(d)}, problems{std::move(p)} {}
  errc code;
  std::string_view reason;
  std::string detail;
  std::vector<problem> problems;
  bool operator==(const failure&) const = default;
};

/// True if the same may work in a moment: nothing is wrong with what was asked.
inline bool may_work_later(const failure& why) {
  return why.code == errc::unavailable || why.code == errc::timeout || why.code == errc::wrong_node;
}

/// A value or a failure, with the names of C++23's std::expected. Look before `*`.
template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;
  result(T value) : content_{std::in_place_index<0>, std::move(value)} {}
  result(model::failure error) : content_{std::in_place_index<1>, std::move(error)} {}

  bool has_value() const { return content_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& operator*() & {
    assert(has_value());
    return *std::get_if<0>(&content_);
  }
  const T& operator*() const& {
    assert(has_value());
    return *std::get_if<0>(&content_);
  }
  T&& operator*() && {
    assert(has_value());
    return std::move(*std::get_if<0>(&content_));
  }
  T* operator->() { return &**this; }
  const T* operator->() const { return &**this; }

  model::failure& error() {
    assert(!has_value());
    return *std::get_if<1>(&content_);
  }
  const model::failure& error() const {
    assert(!has_value());
    return *std::get_if<1>(&content_);
  }
  T value_or(T other) && { return has_value() ? std::move(**this) : std::move(other); }

 private:
  std::variant<T, model::failure> content_;
};

/// Success, or a failure.
class [[nodiscard]] status {
 public:
  status() = default;
  status(model::failure error) : error_{std::move(error)} {}
  bool has_value() const { return !error_; }
  explicit operator bool() const { return has_value(); }
  model::failure& error() {
    assert(error_);
    return *error_;
  }
  const model::failure& error() const {
    assert(error_);
    return *error_;
  }

 private:
  std::optional<model::failure> error_;
};

/// The lower-case name of a code, as it appears in logs and API bodies ("invalid_argument").
constexpr std::string_view name_of(errc code) {
  switch (code) {
    case errc::invalid_argument:
      return "invalid_argument";
    case errc::too_large:
      return "too_large";
    case errc::not_found:
      return "not_found";
    case errc::already_exists:
      return "already_exists";
    case errc::conflict:
      return "conflict";
    case errc::unauthenticated:
      return "unauthenticated";
    case errc::forbidden:
      return "forbidden";
    case errc::too_many_requests:
      return "too_many_requests";
    case errc::unavailable:
      return "unavailable";
    case errc::timeout:
      return "timeout";
    case errc::wrong_node:
      return "wrong_node";
    case errc::corrupted:
      return "corrupted";
    case errc::internal:
      return "internal";
  }
  return "internal";
}

}  // namespace orrery::model
