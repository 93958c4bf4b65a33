// What the nodes of a cluster agree on: small values under keys, changed by compare-and-swap, some
// bound to leases. One interface; `embedded` for a node that is alone, etcd for many.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/result.hpp"

namespace orrery::cluster {

using lease_id = std::uint64_t;

/// A value as of its last change. One number counts the changes of all keys and only rises.
struct agreed {
  std::string key;
  std::string value;
  std::uint64_t revision = 0;  // at which it was last changed
  bool operator==(const agreed&) const = default;
};

/// `revision` 0: the key is not there.
struct condition {
  std::string key;
  std::uint64_t revision = 0;
};

/// What becomes of a key. `lease` 0: it stays until it is removed; else it goes with the lease.
struct change {
  std::string key;
  std::optional<std::string> value;  // nothing: the key goes
  lease_id lease = 0;
  std::uint64_t revision = 0;  // in news: at which it was made
};

struct swap_outcome {
  bool done = false;
  std::uint64_t revision = 0;  // of the change, or as of which a condition did not hold
  std::vector<agreed> now;     // not done: the keys of the conditions that are there
};

struct listing {
  std::uint64_t revision = 0;
  std::vector<agreed> items;  // in order of their keys
};

/// What has changed, in order. A key that went has no value.
struct news {
  bool lost = false;  // some are missing: list again, then follow from there
  std::vector<change> changes;
  std::uint64_t revision = 0;  // everything up to here was told
};

/// Ends what it stands for.
class subscription {
 public:
  virtual ~subscription() = default;
};

/// Thread-safe; every call may block for as long as the coordinator's patience, so none is for a
/// thread that must not. Fails everywhere: `unavailable`, `unauthenticated` (it does not take our
/// password); after a failed swap its outcome is not known: list again.
class coordinator {
 public:
  virtual ~coordinator() = default;

  /// Everything under `prefix`, with every change that was made before the call.
  virtual model::result<listing> list(std::string_view prefix) = 0;

  /// Makes all changes in one step if every condition holds, else none. Keys are named once.
  /// Fails also: `not_found` if a lease is over.
  virtual model::result<swap_outcome> swap(std::span<const condition> conditions,
                                           std::span<const change> changes) = 0;

  /// A lease that lives for at least `life` from now, and from each renewal on. When it is over its
  /// keys go; it does not come back.
  virtual model::result<lease_id> grant(std::chrono::milliseconds life) = 0;
  /// False: it is over.
  virtual model::result<bool> renew(lease_id lease) = 0;
  /// Ends it now, and its keys with it. One that is over is fine.
  virtual model::status revoke(lease_id lease) = 0;

  /// Tells every change under `prefix` behind `revision`, from a thread of its own, until the
  /// subscription goes (which waits for a call under way: not from within one). After `lost` it
  /// tells nothing more.
  using listener = std::function<void(const news&)>;
  virtual std::unique_ptr<subscription> follow(std::string prefix, std::uint64_t revision,
                                               listener told) = 0;
};

}  // namespace orrery::cluster
