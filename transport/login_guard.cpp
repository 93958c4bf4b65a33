#include "transport/login_guard.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "transport/address_range.hpp"

namespace orrery::transport {

using model::errc;
using model::failure;
using model::milliseconds;
using model::status;
using model::timestamp;

namespace {

constexpr std::size_t max_bans = 10'000;

/// The values that were used last; the others go.
template <class Value>
class lately_used {
 public:
  explicit lately_used(std::size_t most) : most_{std::max<std::size_t>(most, 1)} {}

  Value& use(const std::string& key) {
    if (const auto known = places_.find(key); known != places_.end()) {
      order_.splice(order_.begin(), order_, known->second);
      return known->second->second;
    }
    if (order_.size() >= most_) {
      places_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(key, Value{});
    places_.emplace(order_.front().first, order_.begin());
    return order_.front().second;
  }
  /// Does not count as use.
  const Value* find(const std::string& key) const {
    const auto known = places_.find(key);
    return known == places_.end() ? nullptr : &known->second->second;
  }
  std::size_t size() const { return order_.size(); }
  /// (key, value) pairs, those used last first.
  const auto& all() const { return order_; }

 private:
  using entries = std::list<std::pair<std::string, Value>>;
  std::size_t most_;
  entries order_;
  std::unordered_map<std::string_view, typename entries::iterator> places_;  // keys are theirs
};

/// Events within a window that begins with the first of them.
struct counter {
  timestamp begin{};
  std::uint64_t seen = 0;

  /// True if that was the one which makes the limit full; then it begins anew.
  bool add(timestamp now, milliseconds window, std::uint64_t limit) {
    if (seen == 0 || now - begin >= window || now < begin) {
      begin = now;
      seen = 0;
    }
    if (++seen < limit)
      return false;
    seen = 0;
    return true;
  }
};

/// Failures, and how long they keep somebody out: longer each time.
struct penalty {
  counter failures;
  timestamp until{};
  std::uint32_t times = 0;

  void add(timestamp now, milliseconds window, std::uint64_t limit, milliseconds first,
           milliseconds most) {
    if (!failures.add(now, window, limit))
      return;
    if (now - until >= most)
      times = 0;  // it was quiet for long
    auto lasts = first;
    for (auto i = 0u; i < times && lasts < most; ++i)
      lasts *= 2;
    until = now + std::min(lasts, most);
    ++times;
  }
};

struct bucket {
  timestamp at{};
  double tokens = -1;  // not filled yet

  bool take(timestamp now, std::uint64_t rate, std::uint64_t burst) {
    const auto most = static_cast<double>(burst);
    if (tokens < 0)
      tokens = most;
    else if (now > at)
      tokens = std::min(most, tokens + static_cast<double>(rate) *
                                           std::chrono::duration<double>(now - at).count());
    at = now;
    if (tokens < 1)
      return false;
    tokens -= 1;
    return true;
  }
};

struct of_device {
  penalty strangers;  // those who come from elsewhere
  counter logins;
  timestamp flapping_until{};
  std::array<std::size_t, 2> usual{};  // where it logged in last: hashes of addresses
  bool is_usual(std::size_t where) const { return where == usual[0] || where == usual[1]; }
};
struct of_pair {
  penalty own;
};
struct of_address {
  bucket rate;
  counter failures;
  timestamp banned_until{};
};

std::string key_of(const model::device_name& device) {
  return device.product_key + '\0' + device.device_key;
}
std::string key_of(const model::device_name& device, const std::string& address) {
  return key_of(device) + '\0' + address;
}
/// Of an organisation's ban; "": of everybody's.
std::string key_in(const std::string& organisation, const std::string& what) {
  return organisation + '\0' + what;
}
std::size_t hash_of(const std::string& address) {
  const auto h = std::hash<std::string>{}(address);
  return h == 0 ? 1 : h;  // 0: none yet
}

failure later(const char* detail, std::string_view reason) {
  return {errc::too_many_requests, reason, detail};
}

}  // namespace

struct login_guard::impl {
  explicit impl(const config::settings::login_section& l)
      : limits{l}, devices{l.max_tracked}, pairs{l.max_tracked}, addresses{l.max_tracked} {}

  status check_bans(const std::string& address, const login_attempt* who, timestamp now) const {
    const auto holds = [&](const auto& table, const std::string& key) {
      const auto at = table.find(key);
      return at != table.end() && now < at->second;
    };
    const auto org = who ? std::string{who->organisation} : std::string{};
    const auto holds_in = [&](const auto& table, const std::string& what) {
      return holds(table, key_in({}, what)) || (!org.empty() && holds(table, key_in(org, what)));
    };
    if (!banned_addresses.empty() && holds_in(banned_addresses, plain_address(address)))
      return failure{errc::forbidden, "address_banned", "the address is banned"};
    for (const auto& range : banned_ranges)
      if (now < range.until && (range.organisation.empty() || range.organisation == org) &&
          range.addresses.has(address))
        return failure{errc::forbidden, "address_banned", "the address is banned"};
    if (!who)
      return {};
    if (holds(suspended, org))
      return failure{errc::forbidden, "org_suspended", "the organisation is suspended"};
    if (!who->certificate.empty() && holds_in(banned_certificates, std::string{who->certificate}))
      return failure{errc::forbidden, "certificate_banned", "the certificate is banned"};
    if (holds(banned_products, who->device.product_key))
      return failure{errc::forbidden, "product_banned", "the product is banned"};
    if (holds(banned_devices, key_of(who->device)))
      return failure{errc::forbidden, "device_banned", "the device is banned"};
    return {};
  }
  status check_address(const of_address& a, timestamp now) const {
    if (now < a.banned_until)
      return later("too many failed logins from that address", "too_many_failures");
    return {};
  }
  status check_device(const login_attempt& who, const std::string& address, timestamp now) const {
    if (const auto* pair = pairs.find(key_of(who.device, address)); pair && now < pair->own.until)
      return later("too many failed logins of that device", "too_many_failures");
    const auto* device = devices.find(key_of(who.device));
    if (!device)
      return {};
    if (now < device->flapping_until)
      return later("the device logs in too often", "login_flapping");
    if (now < device->strangers.until && !device->is_usual(hash_of(address)))
      return later("too many failed logins for that device", "too_many_failures");
    return {};
  }
  void failed_from(const std::string& address, timestamp now) {
    auto& a = addresses.use(address);
    if (a.failures.add(now, limits.failure_window, limits.address_failures))
      a.banned_until = now + limits.address_ban;
  }

  const config::settings::login_section limits;
  mutable std::mutex mutex;
  std::array<bucket, 2> ports;  // plain, secure
  lately_used<of_device> devices;
  lately_used<of_pair> pairs;
  lately_used<of_address> addresses;
  struct banned_range {
    address_ranges addresses;
    timestamp until;
    std::string organisation;
  };
  std::unordered_map<std::string, timestamp> banned_devices, banned_products;
  std::unordered_map<std::string, timestamp> banned_addresses, banned_certificates;  // by key_in
  std::unordered_map<std::string, timestamp> suspended;  // organisations
  std::vector<banned_range> banned_ranges;
  std::atomic<std::uint64_t> version{0};
};

login_guard::login_guard(const config::settings::login_section& limits)
    : impl_{std::make_unique<impl>(limits)} {}
login_guard::~login_guard() = default;

status login_guard::admit_address(std::string_view address, timestamp now) const {
  const auto text = std::string{address};
  const auto hold = std::lock_guard{impl_->mutex};
  if (auto banned = impl_->check_bans(text, nullptr, now); !banned)
    return banned;
  const auto* known = impl_->addresses.find(address_group(text));
  return known ? impl_->check_address(*known, now) : status{};
}

status login_guard::admit(const login_attempt& who, timestamp now) {
  auto& i = *impl_;
  const auto text = std::string{who.address};
  const auto address = address_group(text);
  const auto hold = std::lock_guard{i.mutex};
  if (auto banned = i.check_bans(text, &who, now); !banned)
    return banned;
  auto& from = i.addresses.use(address);
  if (auto kept_out = i.check_address(from, now); !kept_out)
    return kept_out;
  if (auto kept_out = i.check_device(who, address, now); !kept_out)
    return kept_out;
  if (!from.rate.take(now, i.limits.address_rate, i.limits.address_burst))
    return later("too many logins from that address", "login_rate");
  if (!i.ports[who.secure ? 1 : 0].take(now, i.limits.port_rate, i.limits.port_burst))
    return later("too many logins", "login_rate");
  return {};
}

void login_guard::succeeded(const login_attempt& who, timestamp now) {
  auto& i = *impl_;
  const auto address = address_group(std::string{who.address});
  const auto hold = std::lock_guard{i.mutex};
  auto& device = i.devices.use(key_of(who.device));
  const auto where = hash_of(address);
  if (device.usual[0] != where) {
    device.usual[1] = device.usual[0];
    device.usual[0] = where;
  }
  if (const auto pair = key_of(who.device, address); i.pairs.find(pair))
    i.pairs.use(pair) = {};
  if (device.logins.add(now, i.limits.flapping_window, i.limits.flapping_logins))
    device.flapping_until = now + i.limits.flapping_ban;
}

void login_guard::wrong_signature(const login_attempt& who, timestamp now) {
  auto& i = *impl_;
  const auto address = address_group(std::string{who.address});
  const auto hold = std::lock_guard{i.mutex};
  const auto& l = i.limits;
  i.pairs.use(key_of(who.device, address))
      .own.add(now, l.failure_window, l.device_failures, l.device_ban, l.device_ban_max);
  auto& device = i.devices.use(key_of(who.device));
  if (!device.is_usual(hash_of(address)))
    device.strangers.add(now, l.failure_window, l.device_failures, l.device_ban, l.device_ban_max);
  i.failed_from(address, now);
}

void login_guard::unknown_device(const login_attempt& who, timestamp now) {
  const auto address = address_group(std::string{who.address});
  const auto hold = std::lock_guard{impl_->mutex};
  impl_->failed_from(address, now);
}

status login_guard::check_bans(const login_attempt& who, timestamp now) const {
  const auto hold = std::lock_guard{impl_->mutex};
  return impl_->check_bans(std::string{who.address}, &who, now);
}

std::size_t login_guard::set_bans(const std::vector<login_ban>& bans) {
  auto& i = *impl_;
  const auto hold = std::lock_guard{i.mutex};
  i.banned_devices.clear();
  i.banned_products.clear();
  i.banned_addresses.clear();
  i.banned_certificates.clear();
  i.banned_ranges.clear();
  i.suspended.clear();
  auto taken = std::size_t{0};
  for (const auto& ban : bans) {
    if (taken >= max_bans)
      break;
    if (!ban.addresses.empty()) {
      if (!is_address_range(ban.addresses))
        continue;
      if (ban.addresses.find('/') == std::string::npos)
        i.banned_addresses[key_in(ban.organisation, plain_address(ban.addresses))] = ban.until;
      else
        i.banned_ranges.push_back({address_ranges{{ban.addresses}}, ban.until, ban.organisation});
    } else if (!ban.certificate.empty()) {
      i.banned_certificates[key_in(ban.organisation, ban.certificate)] = ban.until;
    } else if (!ban.device_key.empty()) {
      i.banned_devices[key_of({ban.product_key, ban.device_key})] = ban.until;
    } else if (!ban.product_key.empty()) {
      i.banned_products[ban.product_key] = ban.until;
    } else if (!ban.organisation.empty()) {
      i.suspended[ban.organisation] = ban.until;
    } else {
      continue;
    }
    ++taken;
  }
  i.version.fetch_add(1, std::memory_order_release);
  return taken;
}

std::uint64_t login_guard::bans_version() const {
  return impl_->version.load(std::memory_order_acquire);
}

std::vector<kept_out> login_guard::all_kept_out(timestamp now, std::size_t most) const {
  auto out = std::vector<kept_out>{};
  const auto note = [&](const std::string& key, bool is_address, timestamp until,
                        std::string_view reason) {
    if (now >= until || out.size() >= most)
      return;
    auto one = kept_out{{}, {}, until, reason};
    if (is_address) {
      one.address = key;
    } else {
      const auto first = key.find('\0'), second = key.find('\0', first + 1);
      one.device = {key.substr(0, first), key.substr(first + 1, second - first - 1)};
      one.address = second == std::string::npos ? "" : key.substr(second + 1);
    }
    out.push_back(std::move(one));
  };
  const auto hold = std::lock_guard{impl_->mutex};
  for (const auto& [key, a] : impl_->addresses.all())
    note(key, true, a.banned_until, "too_many_failures");
  for (const auto& [key, d] : impl_->devices.all()) {
    note(key, false, d.flapping_until, "login_flapping");
    note(key, false, d.strangers.until, "too_many_failures");
  }
  for (const auto& [key, p] : impl_->pairs.all())
    note(key, false, p.own.until, "too_many_failures");
  return out;
}

std::size_t login_guard::tracked() const {
  const auto hold = std::lock_guard{impl_->mutex};
  return impl_->devices.size() + impl_->pairs.size() + impl_->addresses.size();
}

}  // namespace orrery::transport
