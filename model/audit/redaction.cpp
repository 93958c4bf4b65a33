#include "model/audit/redaction.hpp"

#include <algorithm>
#include <array>

#include "model/credentials.hpp"
#include "model/json.hpp"
#include "model/merge_patch.hpp"

namespace orrery::model::audit {
namespace {

/// Random texts of ours have 32 characters, short ones of others 24.
constexpr std::size_t least_random = 22;

std::string folded(std::string_view name) {
  auto out = std::string{};
  for (const auto c : name)
    if (c >= 'A' && c <= 'Z')
      out += static_cast<char>(c + ('a' - 'A'));
    else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
      out += c;
  return out;
}

bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// A long run without separators that has capitals, small letters and digits: ids of ours have no
/// capitals, and words no digits.
bool has_random_run(std::string_view text) {
  auto length = std::size_t{0};
  auto upper = false, lower = false, digit = false;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const auto c = i < text.size() ? text[i] : '\0';
    if (!is_letter_or_digit(c) && c != '+' && c != '_') {
      length = 0;
      upper = lower = digit = false;
      continue;
    }
    upper = upper || (c >= 'A' && c <= 'Z');
    lower = lower || (c >= 'a' && c <= 'z');
    digit = digit || (c >= '0' && c <= '9');
    if (++length >= least_random && upper && lower && digit)
      return true;
  }
  return false;
}

/// "https://user:password@host"
bool has_password_in_url(std::string_view text) {
  const auto scheme = text.find("://");
  if (scheme == std::string_view::npos)
    return false;
  const auto authority =
      text.substr(scheme + 3, text.find_first_of("/?# ", scheme + 3) - scheme - 3);
  const auto at = authority.find('@');
  return at != std::string_view::npos &&
         authority.substr(0, at).find(':') != std::string_view::npos;
}

/// Bytes of the character that begins there; 0: it is none. (Unicode, table 3-7.)
std::size_t character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  const auto first = byte(0);
  if (first < 0x80)
    return 1;
  if (first >= 0xc2 && first <= 0xdf)
    return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef)
    return follows(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf) && follows(2) ? 3
                                                                                              : 0;
  if (first >= 0xf0 && first <= 0xf4)
    return follows(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf) && follows(2) &&
                   follows(3)
               ? 4
               : 0;
  return 0;
}

/// Of a valid one.
std::string cut(const std::string& text, std::size_t most) {
  if (text.size() <= most)
    return text;
  return valid_text(text, most) + "... (" + std::to_string(text.size()) + " bytes)";
}

value text_without_secrets(const std::string& given, const lengths& most) {
  const auto text = valid_text(given);
  const auto pem = text.find("-----BEGIN ");
  if (pem != std::string::npos && text.find("PRIVATE KEY", pem) == std::string::npos)
    return "[PEM, SHA-256 " + sha256_hex(text) + "]";
  if (looks_secret(text))
    return redacted_text;
  return cut(text, most.text);
}

value without_secrets(const value& v, const lengths& most) {
  if (v.is_string())
    return text_without_secrets(v.as_string(), most);
  if (v.is_array()) {
    auto out = array{};
    for (const auto& one : v.as_array())
      out.push_back(without_secrets(one, most));
    return out;
  }
  if (!v.is_object())
    return v;
  auto out = object{};
  for (const auto& [name, one] : v.as_object()) {
    // A secret may stand as the name of a member, too.
    auto shown = looks_secret(name) ? std::string{redacted_text} : cut(valid_text(name), most.text);
    if (is_secret_name(name) && !one.is_null() && !one.is_bool())
      out.emplace_back(std::move(shown), redacted_text);
    else
      out.emplace_back(std::move(shown), without_secrets(one, most));
  }
  return out;
}

}  // namespace

bool is_secret_name(std::string_view name) {
  static constexpr auto parts = std::array<std::string_view, 12>{
      "secret", "password",   "passwd",   "passphrase", "apikey",        "privatekey",
      "token",  "credential", "sparecod", "signature",  "authorization", "presharedkey"};
  static constexpr auto whole =
      std::array<std::string_view, 6>{"otp", "psk", "pin", "refresh", "uploadurl", "cookie"};
  const auto n = folded(name);
  return std::find(whole.begin(), whole.end(), n) != whole.end() ||
         std::any_of(parts.begin(), parts.end(),
                     [&](auto part) { return n.find(part) != std::string::npos; });
}

bool looks_secret(std::string_view text) {
  static constexpr auto begins = std::array<std::string_view, 7>{
      "ork~", "eyJ", "Bearer ", "bearer ", "Basic ", "$argon2", "otpauth:"};
  return std::any_of(begins.begin(), begins.end(),
                     [&](auto begin) { return text.starts_with(begin); }) ||
         text.find("PRIVATE KEY-----") != std::string_view::npos ||
         text.find("ork~") != std::string_view::npos || has_password_in_url(text) ||
         has_random_run(text);
}

std::string valid_text(std::string_view text, std::size_t most) {
  constexpr std::string_view unknown = "\xef\xbf\xbd";
  auto out = std::string{};
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto length = character_at(text, at);
    const auto character = length == 0 ? unknown : text.substr(at, length);
    if (most != 0 && out.size() + character.size() > most)
      break;
    out += character;
    at += length == 0 ? 1 : length;
  }
  return out;
}

value redacted(const value& v, const lengths& most) {
  auto out = without_secrets(v, most);
  if (const auto text = to_json(out); text.size() > most.part)
    return object{{"omittedBytes", static_cast<std::int64_t>(text.size())},
                  {"sha256", sha256_hex(text)}};
  return out;
}

difference difference_of(const value& before, const value& after) {
  if (says_the_same(before, after))
    return {};
  if (!before.is_object() || !after.is_object())
    return {before, after};
  auto was = object{}, is = object{};
  for (const auto& [name, v] : before.as_object()) {
    const auto* now = after.find(name);
    if (!now) {
      was.emplace_back(name, v);
    } else if (auto parts = difference_of(v, *now);
               !parts.before.is_null() || !parts.after.is_null()) {
      was.emplace_back(name, std::move(parts.before));
      is.emplace_back(name, std::move(parts.after));
    }
  }
  for (const auto& [name, v] : after.as_object())
    if (!before.find(name))
      is.emplace_back(name, v);
  return {std::move(was), std::move(is)};
}

}  // namespace orrery::model::audit
