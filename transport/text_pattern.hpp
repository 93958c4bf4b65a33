// Lua's text patterns with a bound on the work of a match: the language's own matcher has none, and
// patterns as short as ".-.-.-.-x" keep it busy for minutes. For decoder scripts. Pure; any thread.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "model/result.hpp"

namespace orrery::transport {

/// A pattern as the Lua 5.4 manual has it in 6.4.1, letters of classes in ASCII alone.
class text_pattern {
 public:
  static constexpr std::size_t max_captures = 32;
  static constexpr std::size_t max_items = 256;

  struct capture {
    std::size_t start = 0, size = 0;
    bool is_position = false;  // "()": where it stands, no text
  };
  struct match {
    std::size_t start = 0, end = 0;
    std::array<capture, max_captures> captures{};  // as many as captures() says
  };

  /// `anchored`: whether a '^' at the front is an anchor. Fails: `invalid_argument` for what is no
  /// pattern, `too_large` for more items or captures than there may be.
  static model::result<text_pattern> compile(std::string_view text, bool anchored = true);

  std::size_t captures() const { return captures_; }

  /// The first match that begins at `from` or behind it; nothing if there is none, or once `steps`
  /// are used up: then they are 0.
  std::optional<match> find(std::string_view subject, std::size_t from, std::uint64_t& steps) const;

 private:
  enum class kind : unsigned char {
    one,       // a character of the set
    many,      // as many as go, 0 at least
    some,      // as many as go, 1 at least
    few,       // as few as go, 0 at least
    perhaps,   // one if it goes
    open,      // a capture begins
    close,     // and ends
    position,  // a capture of the place
    again,     // what a capture has caught
    balanced,  // from `first` to the `last` that closes it
    frontier,  // between a character that is not in the set and one that is
    end        // of the subject
  };
  struct item {
    kind what = kind::one;
    unsigned char number = 0, first = 0, last = 0;
    std::bitset<256> set{};
  };
  struct attempt;
  class reader;

  std::vector<item> items_;
  std::size_t captures_ = 0;
  bool at_front_ = false;
};

}  // namespace orrery::transport
