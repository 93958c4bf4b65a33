// Reasons and codes that the program keeps as static text (`failure::reason`, `problem::code`, why
// a session ended), found again when they come from another node.
#pragma once

#include <string_view>

namespace orrery::model {

/// The same text, for ever: one of those that this release knows, "" for none and "other" for any
/// text besides, as a newer release may send.
std::string_view static_text(std::string_view text);

}  // namespace orrery::model
