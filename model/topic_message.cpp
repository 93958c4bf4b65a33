#include "model/topic_message.hpp"

#include "model/credentials.hpp"

namespace orrery::model {
namespace {

constexpr std::uint64_t shards_of_organisation = 16;

std::uint64_t number_of(std::string_view hex) {
  auto number = std::uint64_t{0};
  for (const auto c : hex)
    number = number << 4 | static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
  return number;
}

entity_id named(std::string_view organisation, std::string_view sort, std::string_view name,
                std::uint16_t shard_count) {
  const auto home = sha256_hex(organisation);
  auto text = std::string{sort};
  text += organisation;
  text += '\x1f';
  text += name;
  const auto digest = sha256_hex(text);
  const auto view = std::string_view{digest};
  auto id = entity_id{};
  for (std::size_t i = 0; i < id.ulid.size(); ++i)
    id.ulid[i] = static_cast<std::uint8_t>(number_of(view.substr(2 * i, 2)));
  const auto place = number_of(std::string_view{home}.substr(0, 8)) +
                     number_of(view.substr(40, 8)) % shards_of_organisation;
  id.shard = static_cast<shard_id>(place % shard_count);
  return id;
}

}  // namespace

entity_id client_id_of(std::string_view organisation, std::string_view name,
                       std::uint16_t shard_count) {
  return named(organisation, "client:", name, shard_count);
}

entity_id topic_id_of(std::string_view organisation, std::string_view topic,
                      std::uint16_t shard_count) {
  return named(organisation, "topic:", topic, shard_count);
}

}  // namespace orrery::model
