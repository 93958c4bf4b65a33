// What a filter may ask for: the fields of what is listed, with their types; a filter that was
// checked against them. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/filter/expression.hpp"
#include "model/filter/pattern.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::model::filter {

enum class field_type : unsigned char {
  text,
  number,
  time,
  truth,
  word,   // one of `words`
  texts,  // several texts: a comparison is true if it is of one of them
  any     // what the record has: a comparison with something of another type is false
};

struct field {
  std::string name;  // "status", or "tags.*": each key of the map `tags`, as a field of its own
  field_type type = field_type::text;
  std::vector<std::string> words = {};
  bool indexed = false;
  bool sortable = false;
};

/// A field of a schema: its number there and the key behind the prefix, "" if it has none.
struct field_place {
  std::size_t number = 0;
  std::string key;
  bool operator==(const field_place&) const = default;
};

class schema {
 public:
  explicit schema(std::vector<field> all) : all_{std::move(all)} {}

  const field& operator[](std::size_t number) const { return all_[number]; }
  std::size_t size() const { return all_.size(); }
  /// A full name counts before a prefix, a longer prefix before a shorter one. The names behind a
  /// prefix are one key: tags.site.room and tags."site.room" are the same.
  std::optional<field_place> find(const path& names) const;
  /// All names, for a message.
  std::string names(bool only_sortable = false) const;

 private:
  std::vector<field> all_;
};

/// What a comparison is with, in the type of its field.
using operand = std::variant<bool, std::int64_t, double, timestamp, std::string>;

/// One comparison that was checked.
struct checked_condition {
  field_place where;
  field_type type = field_type::text;
  comparison how = comparison::exists;  // never unequal: that is a negated equal
  bool negated = false;
  std::vector<operand> values;        // one; of in: in order, none twice; none of exists and like
  std::optional<pattern> looks_like;  // of like
};

/// A filter whose negations stand at its comparisons.
struct checked_filter {
  enum class kind : unsigned char { one, all, any };
  kind what = kind::one;
  checked_condition test;  // of one
  std::vector<checked_filter> parts;
};

/// Types every comparison. Times may be RFC 3339 or epoch ms. What a type may be compared by: text
/// and any everything; number and time all but like; word and truth =, !=, in, exists; texts these
/// and like. Fails: `invalid_argument` "bad_filter", a problem for each condition that is wrong
/// with the field and what it may be.
result<checked_filter> check(const expression& e, const schema& fields);

}  // namespace orrery::model::filter
