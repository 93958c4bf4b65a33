// Cursors of lists: where the next page begins, bound to the question that was asked, good for a
// quarter of an hour. Opaque to callers.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::transport::api {

inline constexpr auto cursor_life = std::chrono::minutes{15};

/// `place`: the list's own mark of the next page. `question`: everything that a page must have in
/// common with the one before (whose list, which filter, which order).
std::string write_cursor(std::string_view place, std::string_view question, model::timestamp now);
/// The place. Fails: `invalid_argument` "bad_cursor" for what is none of ours, belongs to another
/// question, or is too old.
model::result<std::string> read_cursor(std::string_view text, std::string_view question,
                                       model::timestamp now);

}  // namespace orrery::transport::api
