// Text without regard to case, for `like` and for the order of texts: the letters of Latin, Greek,
// Cyrillic and Armenian, one character for one, the same on every node and for ever, because an
// index keeps what was folded. Bytes that are no UTF-8 stand for themselves.
#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <string_view>

namespace orrery::model::filter {

/// The character at `at`, folded; `at` moves behind it. Requires at < text.size(). A byte that
/// begins no character gives 0xDC00 plus itself, which no character is.
char32_t next_folded(std::string_view text, std::size_t& at);
/// The whole of it, as UTF-8.
std::string folded(std::string_view text);
/// The order of texts: by their folded form, equal ones by their bytes. It allocates nothing.
std::strong_ordering order_of_texts(std::string_view a, std::string_view b);

}  // namespace orrery::model::filter
