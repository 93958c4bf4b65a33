#include "model/filter/pattern.hpp"

#include "model/filter/folded.hpp"

namespace orrery::model::filter {
namespace {

/// Where `part` ends if it stands at `at`; nothing if it does not.
std::optional<std::size_t> end_of(const std::u32string& part, std::string_view text,
                                  std::size_t at) {
  for (const auto c : part)
    if (at >= text.size() || next_folded(text, at) != c)
      return std::nullopt;
  return at;
}

/// Where the first `part` at or behind `at` ends.
std::optional<std::size_t> find(const std::u32string& part, std::string_view text, std::size_t at) {
  while (at < text.size()) {
    if (const auto end = end_of(part, text, at))
      return end;
    next_folded(text, at);
  }
  return std::nullopt;
}

/// Whether `part` ends the text, nothing of it before `least`.
bool ends_with(const std::u32string& part, std::string_view text, std::size_t least) {
  // Where its first character would stand, counted from the end: every character is looked at once.
  auto characters = std::size_t{0};
  for (auto at = least; at < text.size(); ++characters)
    next_folded(text, at);
  if (characters < part.size())
    return false;
  for (auto skip = characters - part.size(); skip > 0; --skip)
    next_folded(text, least);
  return end_of(part, text, least) == text.size();
}

}  // namespace

pattern::pattern(std::string_view text) {
  auto plain = std::vector<std::string>(1);  // what stands between the %
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '%' || text[i + 1] == '\\'))
      plain.back() += text[++i];
    else if (text[i] == '%')
      plain.emplace_back();
    else
      plain.back() += text[i];
  }
  if (plain.size() > 1) {
    at_front_ = !plain.front().empty();
    at_end_ = !plain.back().empty();
    prefix_ = folded(plain.front());
  }
  for (const auto& p : plain)
    if (!p.empty()) {
      auto& part = parts_.emplace_back();
      for (std::size_t at = 0; at < p.size();)
        part += next_folded(p, at);
    }
}

bool pattern::matches(std::string_view text) const {
  auto at = std::size_t{0};
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (i + 1 == parts_.size() && at_end_)
      return ends_with(parts_[i], text, at);
    const auto end = i == 0 && at_front_ ? end_of(parts_[i], text, at) : find(parts_[i], text, at);
    if (!end)
      return false;
    at = *end;
  }
  return true;
}

std::optional<std::string> pattern::prefix() const {
  return at_front_ ? std::optional{prefix_} : std::nullopt;
}

}  // namespace orrery::model::filter
