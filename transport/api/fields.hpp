// Reads the members of a request's JSON object: each is asked for by name, and what nobody asked
// for is an error, so that typing errors surface.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "model/time.hpp"
#include "model/value.hpp"

namespace orrery::transport::api {

class fields {
 public:
  /// `where`: JSON pointer of `from`, put before each finding's.
  explicit fields(const model::value& from, std::string where = {});

  bool has(std::string_view name) const { return from_.find(name) != nullptr; }
  std::optional<std::string> text(std::string_view name, std::size_t most = 1024);
  std::optional<bool> truth(std::string_view name);
  std::optional<std::int64_t> integer(std::string_view name, std::int64_t least, std::int64_t most);
  std::optional<model::timestamp> time(std::string_view name);
  /// One of `words`.
  std::optional<std::string> word(std::string_view name,
                                  const std::vector<std::string_view>& words);
  std::optional<model::object> object(std::string_view name);
  std::optional<std::vector<std::string>> texts(std::string_view name, std::size_t most);
  const model::array* array(std::string_view name, std::size_t most);
  /// Text by key; null is allowed where `removable` and reads as nothing.
  std::map<std::string, std::optional<std::string>> text_map(std::string_view name, bool removable);
  const model::value* any(std::string_view name);

  void missing(std::string_view name) { note(name, "required_missing", "is required"); }
  void note(std::string_view name, std::string_view code, std::string detail);
  /// After all were asked for. Fails: `invalid_argument`, reason "unknown_field" or
  /// "validation_failed", with all findings.
  model::status finish();
  std::vector<model::problem> problems;

 private:
  const model::value* take(std::string_view name);
  const model::value& from_;
  std::string where_;
  std::vector<std::string> asked_;
};

}  // namespace orrery::transport::api
