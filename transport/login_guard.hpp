// Who may try to log in: rates, failed signatures, devices that come and go, and a list of bans.
// Decides from what it is told and the time it is given; each node counts for itself.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::transport {

struct login_attempt {
  std::string_view address;  // without port
  const model::device_name& device;
  bool secure = false;                 // ports with TLS have a rate of their own
  std::string_view organisation = {};  // whose device it is, as far as that is known
  std::string_view certificate = {};   // fingerprint of the one that was shown
};

/// One of the four is given; an organisation alone is one that is suspended.
struct login_ban {
  std::string device_key;   // with its product's key
  std::string product_key;  // alone: of all its devices
  std::string addresses;    // an address or a range
  model::timestamp until{};
  std::string certificate = {};   // hex SHA-256
  std::string organisation = {};  // whose logins, of addresses and certificates; empty: anybody's
  bool operator==(const login_ban&) const = default;
};

/// Somebody whom the guard keeps out by itself, for a while.
struct kept_out {
  model::device_name device;  // empty: an address
  std::string address;        // or a network of 64 bits; empty: a device, wherever it comes from
  model::timestamp until{};
  std::string_view reason;  // as `admit` fails with it
};

/// Thread-safe. What it knows is bounded: of more devices, pairs and addresses than
/// login.max_tracked those of which it has not heard for longest are forgotten.
class login_guard {
 public:
  explicit login_guard(const config::settings::login_section& limits);
  ~login_guard();

  /// Whether a connection of that address is spoken with at all; takes nothing from its rate. Fails
  /// as `admit` does for addresses.
  model::status admit_address(std::string_view address, model::timestamp now) const;

  /// Before anything of a login is checked. Fails: `too_many_requests` with "login_rate" (of the
  /// ports or the address), "too_many_failures" (of the address, or for the device), or
  /// "login_flapping"; `forbidden` as `check_bans`.
  /// Failures of others do not keep a device out that comes from where it logged in last.
  model::status admit(const login_attempt& who, model::timestamp now);

  /// What became of an attempt that was admitted.
  void succeeded(const login_attempt& who, model::timestamp now);
  void wrong_signature(const login_attempt& who, model::timestamp now);
  void unknown_device(const login_attempt& who, model::timestamp now);

  /// Whether the list of bans has him, whose session is open perhaps. Fails: `forbidden` with
  /// "org_suspended", "address_banned", "certificate_banned", "product_banned" or "device_banned".
  model::status check_bans(const login_attempt& who, model::timestamp now) const;
  /// Puts bans in place of those of before. Those that are no range of addresses, or beyond the
  /// first 10,000, are left out: gives how many were taken.
  std::size_t set_bans(const std::vector<login_ban>& bans);
  /// Rises with each `set_bans`: whose session is open has to be looked at again.
  std::uint64_t bans_version() const;

  /// At most `most` of those that are kept out now.
  std::vector<kept_out> all_kept_out(model::timestamp now, std::size_t most) const;

  /// Devices, pairs of device and address, and addresses that are known.
  std::size_t tracked() const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace orrery::transport
