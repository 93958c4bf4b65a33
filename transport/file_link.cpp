#include "transport/file_link.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <openssl/hmac.h>

#include "model/bytes.hpp"
#include "model/credentials.hpp"
#include "transport/base64url.hpp"

namespace orrery::transport {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::size_t mac_size = 32, longest_token = 1024;

std::string mac_of(const std::string& key, std::string_view text) {
  auto out = std::array<unsigned char, EVP_MAX_MD_SIZE>{};
  auto size = 0u;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &size);
  return {reinterpret_cast<const char*>(out.data()), size};
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  auto n = std::uint64_t{0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return n;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
         c == '-' || c == '_';
}

}  // namespace

std::string sign_link(const file_link& link, const std::string& key) {
  auto out = model::byte_writer{};
  out.u8(version);
  out.u8(static_cast<std::uint8_t>(link.what));
  out.text(link.organisation);
  out.id(link.device);
  out.text(link.file);
  out.varint(link.size);
  out.text(link.sha256);
  out.time(link.expires);
  const auto text = out.take();
  return to_base64url(mac_of(key, text) + text);
}

std::optional<file_link> read_link(std::string_view token, const std::string& key) {
  if (token.size() > longest_token)
    return std::nullopt;
  const auto bytes = from_base64url(token);
  if (!bytes || bytes->size() <= mac_size)
    return std::nullopt;
  const auto text = std::string_view{*bytes}.substr(mac_size);
  if (!model::equal_in_constant_time(std::string_view{*bytes}.substr(0, mac_size),
                                     mac_of(key, text)))
    return std::nullopt;
  auto in = model::byte_reader{text};
  auto link = file_link{};
  if (in.u8() != version)
    return std::nullopt;
  const auto what = in.u8();
  if (what > static_cast<std::uint8_t>(file_link::use::download))
    return std::nullopt;
  link.what = static_cast<file_link::use>(what);
  link.organisation = in.text();
  link.device = in.id();
  link.file = in.text();
  link.size = in.varint();
  link.sha256 = in.text();
  link.expires = in.time();
  if (!in.ok() || !in.at_end())
    return std::nullopt;
  return link;
}

file_part part_of(std::string_view range, std::string_view if_range, std::string_view tag,
                  std::uint64_t size) {
  constexpr std::string_view unit = "bytes=";
  const auto whole = file_part{file_part::kind::whole, 0, size};
  if (!range.starts_with(unit) || (!if_range.empty() && if_range != tag))
    return whole;
  const auto wanted = trimmed(range.substr(unit.size()));
  const auto dash = wanted.find('-');
  if (dash == std::string_view::npos)
    return whole;
  const auto before = wanted.substr(0, dash), behind = wanted.substr(dash + 1);
  const auto from = number_in(before), to = number_in(behind);
  if (before.empty()) {  // the last bytes
    if (!to)
      return whole;
    if (*to == 0 || size == 0)
      return {file_part::kind::none, 0, 0};
    const auto count = std::min(*to, size);
    return {file_part::kind::part, size - count, count};
  }
  if (!from || (!behind.empty() && (!to || *to < *from)))
    return whole;
  if (*from >= size)
    return {file_part::kind::none, 0, 0};
  const auto last = to ? std::min(*to, size - 1) : size - 1;
  return {file_part::kind::part, *from, last - *from + 1};
}

std::string disposition_of(std::string_view name) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  auto plain = std::string{}, coded = std::string{};
  for (const auto c : name) {
    plain += is_plain(c) ? c : '_';
    if (is_plain(c)) {
      coded += c;
    } else {
      coded += '%';
      coded += digits[static_cast<unsigned char>(c) >> 4];
      coded += digits[static_cast<unsigned char>(c) & 15];
    }
  }
  return "attachment; filename=\"" + plain + "\"; filename*=UTF-8''" + coded;
}

}  // namespace orrery::transport
