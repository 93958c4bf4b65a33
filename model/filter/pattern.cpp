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

pattern::part pattern::part_of(std::string_view text) {
  auto p = part{};
  for (std::size_t at = 0; at < text.size();)
    p.text += next_folded(text, at);
  p.back.resize(p.text.size());
  for (std::size_t i = 1, matched = 0; i < p.text.size(); ++i) {
    while (matched > 0 && p.text[i] != p.text[matched])
      matched = p.back[matched - 1];
    matched += p.text[i] == p.text[matched] ? 1 : 0;
    p.back[i] = matched;
  }
  return p;
}

/// Where the first of them at or behind `at` ends.
std::optional<std::size_t> pattern::find(const part& wanted, std::string_view text,
                                         std::size_t at) {
  for (std::size_t matched = 0; at < text.size();) {
    const auto c = next_folded(text, at);
    while (matched > 0 && c != wanted.text[matched])
      matched = wanted.back[matched - 1];
    matched += c == wanted.text[matched] ? 1 : 0;
    if (matched == wanted.text.size())
      return at;
  }
  return std::nullopt;
}

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
    if (!p.empty())
      parts_.push_back(part_of(p));
}

bool pattern::matches(std::string_view text) const {
  auto at = std::size_t{0};
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (i + 1 == parts_.size() && at_end_)
      return ends_with(parts_[i].text, text, at);
    const auto end =
        i == 0 && at_front_ ? end_of(parts_[i].text, text, at) : find(parts_[i], text, at);
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
