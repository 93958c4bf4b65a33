// The keys of TLS session tickets: made from one secret and the time, so that all nodes that have
// the secret have the same ones, and nothing is stored.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace orrery::net {

/// Thread-safe.
class ticket_keys {
 public:
  using seconds = std::chrono::seconds;
  static constexpr auto slot = std::chrono::hours{8};
  /// So long a ticket is good: its key is known in the slot it is made in and the three after it.
  static constexpr auto lifetime = std::chrono::hours{24};

  struct key {
    std::array<unsigned char, 16> name;
    std::array<unsigned char, 32> cipher, mac;
  };
  struct found {
    key with;
    bool is_current;  // if not, the client should have a new ticket
  };

  explicit ticket_keys(std::string secret) : secret_{std::move(secret)} {}
  ~ticket_keys();
  ticket_keys(const ticket_keys&) = delete;
  ticket_keys& operator=(const ticket_keys&) = delete;

  /// Seals tickets at that time after 1970.
  key current(seconds now) const;
  /// The key of that name if it is not too old; one of the next slot is known too, for clocks of
  /// nodes differ.
  std::optional<found> find(const unsigned char* name, seconds now) const;

 private:
  key of_slot(std::int64_t number) const;

  std::string secret_;
  mutable std::mutex mutex_;
  mutable std::map<std::int64_t, key> made_;  // a few of the last
};

}  // namespace orrery::net
