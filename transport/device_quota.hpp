// The limits of an organisation's devices: room is taken before a device is registered and given
// back when it is gone. Who counts is the organisation's ledger (model/ledger); without limits
// nobody is asked.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "actors/caller.hpp"
#include "actors/catalogue.hpp"
#include "actors/query.hpp"

namespace orrery::transport {

/// Room that was given.
struct device_room {
  std::string organisation;
  std::uint64_t devices = 0;  // as many as were wanted, or less
  std::uint64_t used = 0;     // with them
  std::uint64_t count = 0;
  bool limited = false;  // there are limits, and `used` counts
  std::optional<std::uint64_t> soft = {}, hard = {};
};

struct device_quota_parts {
  std::shared_ptr<actors::caller> ask;
  std::shared_ptr<actors::query> query;
  std::shared_ptr<const actors::catalogue> known;
  std::uint16_t shard_count = 64;
};

/// Thread-safe. Callbacks run once, on any thread.
class device_quota : public std::enable_shared_from_this<device_quota> {
 public:
  using then = std::function<void(model::result<device_room>)>;
  explicit device_quota(device_quota_parts p) : parts_{std::move(p)} {}

  /// Room for so many devices; of less than that there is at least for one. Fails:
  /// `too_many_requests` "quota_exceeded", `unavailable`.
  void reserve(const std::string& organisation, std::uint64_t wanted, then done);
  /// Before a device is deleted: what its release needs.
  void look(const std::string& organisation, then done) { reserve(organisation, 0, done); }
  /// So many of those were surely not registered, or are gone.
  void release(const device_room& room, std::uint64_t devices);
  /// Counts the devices for new limits, so that nobody waits for it who registers one.
  void prepare(const model::organisation::state& after, std::function<void()> done);

  /// True if it is known that nothing was registered.
  static bool is_surely_not(const model::failure& why) {
    return why.code != model::errc::timeout && why.code != model::errc::unavailable &&
           why.code != model::errc::internal;
  }

 private:
  void reserve(device_room room, std::uint64_t stamp, std::uint64_t wanted, int attempts,
               then done);
  /// `done` after the count, also if it did not work: the ledger says then what it knows.
  void count(const std::string& organisation, std::uint64_t stamp, std::function<void()> done);

  device_quota_parts parts_;
};

}  // namespace orrery::transport
