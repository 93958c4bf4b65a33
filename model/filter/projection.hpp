// Parts of a JSON value: `fields=id,name,tags.site`. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"
#include "model/value.hpp"

namespace orrery::model::filter {

inline constexpr std::size_t max_projected = 100;

class projection {
 public:
  /// Paths as in a filter ("model/filter/expression.hpp") with commas between them. Fails:
  /// `invalid_argument` "bad_fields".
  static result<projection> parse(std::string_view text);

  /// What the paths name, in the order and with the names that it has in `from`; of an array the
  /// same of each of its elements. What is not there is left out.
  value of(const value& from) const;

 private:
  struct branch {
    std::string name;
    bool whole = false;  // all that is below
    std::vector<branch> below;
  };
  static value part(const value& from, const branch& wanted);
  branch root_;
};

}  // namespace orrery::model::filter
