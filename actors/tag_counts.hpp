// The tags of devices, counted: which keys there are and which values they have, each with the
// devices that have it. Bounded, and exact all the same: what several shards have counted comes to
// what one would have. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "actors/query.hpp"

namespace orrery::actors {

/// `groups` of a count that is for all tags.
inline constexpr std::string_view every_tag = "tags.*";

class tag_counts {
 public:
  static constexpr std::size_t max_keys = 1'000, max_values = 100;
  /// Of keys and values together: what one node tells another fits into a message.
  static constexpr std::size_t max_entries = 10'000, max_bytes = 2u << 20;

  struct of_key {
    std::uint64_t devices = 0;
    /// In order; one more than max_values if there are more.
    std::map<std::string, std::uint64_t, std::less<>> values = {};
  };

  void add(std::string_view key, std::string_view value, std::uint64_t devices);
  /// What was counted elsewhere.
  void add(const device_counts& part);
  /// By JSON arrays: [key], [key, value], and [null, key] for the key from which on nothing is
  /// told.
  device_counts counts() const;

  /// The first ones, in order.
  const std::map<std::string, of_key, std::less<>>& keys() const { return keys_; }
  bool is_whole() const { return !end_; }
  /// False: neither that key nor one behind it counts any more.
  bool takes(std::string_view key) const { return !end_ || key < *end_; }

 private:
  of_key* at(std::string_view key);
  void add_value(std::string_view key, of_key& of, std::string_view value, std::uint64_t devices);
  void end_at(std::string_view key);
  void shrink();

  std::map<std::string, of_key, std::less<>> keys_;
  std::optional<std::string> end_;  // this key and those behind it are left out
  std::size_t entries_ = 0, bytes_ = 0;
};

}  // namespace orrery::actors
