// The patterns of `like`. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::model::filter {

/// What `like` looks for, without regard to case: `%` stands for any characters or none, `\%` for
/// itself and `\\` for a backslash; everything else stands for itself, `_` too, which keys and
/// names are full of. A pattern without `%` is looked for anywhere in the text, one with it is the
/// whole of the text: `pump`, `pump%`, `%pump`, `north%pump`.
class pattern {
 public:
  explicit pattern(std::string_view text);

  /// Looks at every character a few times at most, whatever the pattern, and takes no memory.
  bool matches(std::string_view text) const;
  /// With what every text that matches begins once it is folded ("model/filter/folded.hpp");
  /// nothing if that is not fixed.
  std::optional<std::string> prefix() const;
  bool operator==(const pattern&) const = default;

 private:
  /// What stands between two %: folded, not empty. `back[i]`: how many characters of its front
  /// match still if what follows the first i + 1 does not fit (Knuth, Morris, Pratt).
  struct part {
    std::u32string text;
    std::vector<std::size_t> back;
    bool operator==(const part&) const = default;
  };
  static part part_of(std::string_view text);
  static std::optional<std::size_t> find(const part& wanted, std::string_view text, std::size_t at);

  std::vector<part> parts_;
  bool at_front_ = false, at_end_ = false;
  std::string prefix_;
};

}  // namespace orrery::model::filter
