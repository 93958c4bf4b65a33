// The id of a point, held once for all the devices that have it.
#pragma once

#include <string>
#include <string_view>

#include "model/cow.hpp"

namespace orrery::model {

/// A text from one pool of the process: equal names share their memory. The pool forgets what
/// nobody holds any more. Making one takes a lock and a look-up, copying one does not. Any thread.
class point_name {
 public:
  point_name() = default;
  explicit point_name(std::string_view text);

  const std::string& text() const { return *text_; }
  bool operator==(const point_name& other) const { return text_ == other.text_; }

  /// How many names the pool holds, those that nobody else has included. For tests.
  static std::size_t pooled();

 private:
  cow<std::string> text_;
};

}  // namespace orrery::model
