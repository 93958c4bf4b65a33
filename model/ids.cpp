#include "model/ids.hpp"

#include <algorithm>

namespace orrery::model {
namespace {

constexpr std::string_view digits = "0123456789abcdefghjkmnpqrstvwxyz";  // Crockford: no i, l, o, u

int digit_value(char c) {
  if (c >= 'A' && c <= 'Z')
    c = static_cast<char>(c - 'A' + 'a');
  const auto at = digits.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

entity_id make_entity_id(shard_id shard, timestamp now,
                         const std::array<std::uint8_t, 10>& entropy) {
  auto id = entity_id{.shard = shard};
  const auto ms = static_cast<std::uint64_t>(to_ms(now));
  for (std::size_t i = 0; i < 6; ++i)
    id.ulid[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
  std::copy(entropy.begin(), entropy.end(), id.ulid.begin() + 6);
  return id;
}

std::string to_string(const entity_id& id) {
  auto text = std::string(entity_id_text_size, '0');
  text[0] = digits[id.shard >> 10 & 31];
  text[1] = digits[id.shard >> 5 & 31];
  text[2] = digits[id.shard & 31];
  // 128 bits in 26 digits of 5: the first digit carries the top 3 bits.
  auto bits = 0u, have = 2u;
  auto out = std::size_t{3};
  for (const auto byte : id.ulid) {
    bits = bits << 8 | byte;
    have += 8;
    while (have >= 5) {
      have -= 5;
      text[out++] = digits[bits >> have & 31];
    }
    bits &= (1u << have) - 1;
  }
  return text;
}

std::optional<entity_id> parse_entity_id(std::string_view text) {
  if (text.size() != entity_id_text_size)
    return std::nullopt;
  auto values = std::array<unsigned, entity_id_text_size>{};
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto v = digit_value(text[i]);
    if (v < 0)
      return std::nullopt;
    values[i] = static_cast<unsigned>(v);
  }
  if (values[3] > 7)
    return std::nullopt;  // more than 128 bits
  auto id = entity_id{.shard = static_cast<shard_id>(values[0] << 10 | values[1] << 5 | values[2])};
  auto bits = 0u, have = 0u;
  auto out = std::size_t{0};
  for (std::size_t i = 3; i < text.size(); ++i) {
    bits = bits << 5 | values[i];
    have += i == 3 ? 3 : 5;
    if (have >= 8) {
      have -= 8;
      id.ulid[out++] = static_cast<std::uint8_t>(bits >> have);
      bits &= (1u << have) - 1;
    }
  }
  return id;
}

bool is_valid_key(std::string_view key, std::size_t least, std::size_t most) {
  return key.size() >= least && key.size() <= most &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                  c == '.' || c == '_' || c == '-';
         });
}

}  // namespace orrery::model
