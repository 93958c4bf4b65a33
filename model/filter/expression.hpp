// Filter expressions: text to tree and tree to text. What the fields are and what they may be
// compared with is not known here: model/filter/schema.hpp.
//
//   any        = all *( "or" all )
//   all        = one *( "and" one )
//   one        = "not" one / "(" any ")" / condition
//   condition  = path ( "=" / "!=" / "<" / "<=" / ">" / ">=" ) value
//              / path [ "not" ] "in" "(" value *( "," value ) ")"
//              / path [ "not" ] "like" text
//              / "exists" "(" path ")" / "exists" path / path [ "not" ] "exists"
//   path       = name *( "." name )       no blanks around the dots
//   name       = 1*( letter / digit / "_" / "-" / "/" ) / text
//   value      = text / number / "true" / "false"
//   text       = in ' or ", the same one inside written twice; a backslash is no more than itself
//
// Words are in either case. A path begins with a letter or "_"; a name of another form, and "and",
// "or", "not", "in", "like" or "exists" at the front of a path, stand in quotes. Every expression
// that EnOS documents is one of these. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/result.hpp"

namespace orrery::model::filter {

/// The names of a field from the outside in: {"tags", "site"}. At least one, none empty.
using path = std::vector<std::string>;
/// "tags.site" as it is written in an expression, with quotes where they are needed.
std::string print(const path& field);

/// Doubles that are integers stay doubles ("5.0"): what is typed is decided against a schema.
using literal = std::variant<bool, std::int64_t, double, std::string>;

enum class comparison : unsigned char {
  equal,
  unequal,
  less,
  at_most,
  more,
  at_least,
  in,
  like,
  exists
};
/// As it is written: "=", "in".
std::string_view name_of(comparison how);

struct condition {
  path field;
  comparison how = comparison::exists;
  std::vector<literal> values;  // one; none for exists, one or more for in
  bool operator==(const condition&) const = default;
};

struct expression {
  enum class kind : unsigned char { one, all, any, none };
  kind what = kind::one;
  condition test;  // of one
  std::vector<expression>
      parts;  // of all and any two or more, of another kind than it; of none one
  bool operator==(const expression&) const = default;
};

struct expression_limits {
  std::size_t max_bytes = 64 * 1024;
  std::size_t max_depth = 16;  // of ( and not inside each other
  std::size_t max_conditions = 100;
  std::size_t max_values = 1000;  // of one in
  std::size_t max_names = 16;     // of a path
};

/// Fails: `invalid_argument` "bad_filter"; the detail says the column (in characters, from 1), what
/// is there and what was expected.
result<expression> parse(std::string_view text, const expression_limits& limits = {});
/// One text for equal trees, which `parse` reads as an equal tree, limits aside.
std::string print(const expression& e);

/// One of a list of paths ("-createdAt,name"), with a minus before it or not.
struct listed_path {
  path names;
  bool minus = false;
  bool operator==(const listed_path&) const = default;
};
/// Paths with commas between them and no blanks, at least one and at most `most`. Fails:
/// `invalid_argument` with `reason`, the detail as of `parse`.
result<std::vector<listed_path>> parse_paths(std::string_view text, std::size_t most,
                                             bool minus_allowed, std::string_view reason);

}  // namespace orrery::model::filter
