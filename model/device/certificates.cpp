// Which certificates are bound to a device, and what becomes of them.
#include <algorithm>

#include "model/device/decisions.hpp"

namespace orrery::model::device {
namespace {

constexpr std::uint8_t on_hold = 6, counts_again = 8;  // RFC 5280, 5.3.1
constexpr auto longest_overlap = std::chrono::hours{24 * 90};
constexpr std::size_t max_text = 1024, max_pem = 16 * 1024;
constexpr std::uint8_t warned_before[] = {30, 7, 1};  // days
constexpr auto day = std::chrono::hours{24};

bool is_hex(const std::string& text, std::size_t most) {
  return !text.empty() && text.size() <= most &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// The last 31 bits of the serial number, or the next handle that is free.
std::uint32_t handle_for(const std::string& serial, const certificate_folder& known) {
  auto sn = std::uint32_t{0};
  for (const auto digit : serial)
    sn = sn << 4 | static_cast<std::uint32_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
  const auto fitted = [](std::uint32_t x) { return std::max(x & 0x7fff'ffffu, 1u); };
  for (sn = fitted(sn); known.find(sn);)
    sn = fitted(sn + 1);
  return sn;
}

bool counts(const certificate& c) {
  return c.state == certificate::state_code::issued || c.state == certificate::state_code::active;
}

bool may_be_renewed(const certificate& c, timestamp now) {
  return counts(c) && now < c.not_after;
}

/// Room for one more: what has run out goes first, then what was revoked longest ago. Nothing: all
/// of them count.
std::optional<std::vector<std::uint32_t>> to_be_dropped(const certificate_folder& known,
                                                        timestamp now) {
  auto gone = std::vector<std::uint32_t>{};
  if (known.all.size() < max_certificates)
    return gone;
  for (const auto& c : known.all)
    if (c.not_after <= now)
      gone.push_back(c.sn);
  if (!gone.empty())
    return gone;
  for (const auto& c : known.all)
    if (c.state == certificate::state_code::revoked ||
        (c.state == certificate::state_code::superseded && c.superseded_until <= now)) {
      gone.push_back(c.sn);
      return gone;
    }
  return std::nullopt;
}

bool came_by(const state& s, std::uint32_t sn) {
  return s.connection.online && !s.connection.by_gateway && s.certificates().in_session == sn;
}

}  // namespace

const certificate* certificate_folder::find(std::uint32_t sn) const {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const certificate& c) { return c.sn == sn; });
  return found == all.end() ? nullptr : &*found;
}

const certificate* certificate_folder::find_serial(std::string_view serial) const {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const certificate& c) { return c.serial == serial; });
  return found == all.end() ? nullptr : &*found;
}

const certificate* certificate_folder::find_shown(const presented_certificate& shown) const {
  const auto found = std::find_if(all.begin(), all.end(), [&](const certificate& c) {
    return c.fingerprint == shown.fingerprint && c.serial == shown.serial &&
           (shown.issuer.empty() || c.issuer == shown.issuer);
  });
  return found == all.end() ? nullptr : &*found;
}

std::string_view status_of(const certificate& c, timestamp now) {
  if (c.state == certificate::state_code::revoked)
    return "revoked";
  if (now >= c.not_after)
    return "expired";
  switch (c.state) {
    case certificate::state_code::issued:
      return "issued";
    case certificate::state_code::active:
      return "active";
    case certificate::state_code::superseded:
      return "superseded";
    case certificate::state_code::held:
      return "held";
    case certificate::state_code::revoked:
      break;
  }
  return "revoked";
}

result<decision> decide_on(const state& s, const add_certificate& a, const surroundings& around) {
  const auto& known = s.certificates();
  auto what = a.what;
  if (!is_hex(what.issuer, 64) || !is_hex(what.serial, 64) || what.fingerprint.size() != 64 ||
      !is_hex(what.fingerprint, 64) || what.pem.size() > max_pem || what.subject.size() > max_text)
    return refused(
        errc::invalid_argument, "certificate_invalid",
        "a certificate needs its issuer's key id, its serial number and fingerprint, and "
        "has at most 16 KiB");
  if (what.not_after <= around.now)
    return refused(errc::conflict, "certificate_expired", "the certificate has expired");
  if (a.overlap < milliseconds{0} || a.overlap > longest_overlap)
    return refused(errc::invalid_argument, "overlap_invalid", "an overlap is 0 to 90 days");
  for (const auto& c : known.all)
    if (c.fingerprint == what.fingerprint || (c.serial == what.serial && c.issuer == what.issuer))
      return refused(errc::already_exists, "certificate_bound",
                     label(s) + " has that certificate already");
  const auto* before = a.renews == 0 ? nullptr : known.find(a.renews);
  if (a.renews != 0 && !before)
    return refused(errc::not_found, "certificate_unknown",
                   label(s) + " has no certificate " + std::to_string(a.renews));
  if (before && !may_be_renewed(*before, around.now))
    return refused(errc::conflict, "certificate_not_renewable",
                   "certificate " + std::to_string(a.renews) + " is " +
                       std::string{status_of(*before, around.now)});
  auto dropped = to_be_dropped(known, around.now);
  if (!dropped)
    return refused(errc::conflict, "too_many_certificates",
                   "a device has at most 8 certificates: revoke one first");
  what.sn = handle_for(what.serial, known);
  what.state = certificate::state_code::issued;
  what.reason = 0;
  what.superseded_until = {};
  what.warned = warning_due(what, around.now);  // whoever makes it knows that
  const auto sn = what.sn;
  auto prints = std::vector<std::string>{};
  for (const auto one : *dropped)
    prints.push_back(known.find(one)->fingerprint);
  auto d = only(certificate_added{std::move(what), a.renews, around.now + a.overlap,
                                  std::move(*dropped), around.now, std::move(prints)},
                certificate_bound{sn});
  if (before && a.overlap.count() == 0 && came_by(s, a.renews))
    for (auto& e : leave(s, "certificate_revoked", around.now).events)
      d.events.push_back(std::move(e));
  return d;
}

result<decision> decide_on(const state& s, const revoke_certificate& r,
                           const surroundings& around) {
  const auto& known = s.certificates();
  const auto* found = r.sn != 0 ? known.find(r.sn) : known.find_serial(r.serial);
  if (!found)
    return refused(errc::not_found, "certificate_unknown", label(s) + " has no such certificate");
  if (r.reason > 10 || r.reason == 7 || r.reason == 2 || r.reason == 10)
    return refused(errc::invalid_argument, "revocation_reason_invalid",
                   "a reason is 0, 1, 3 to 6, 8 or 9 (RFC 5280, 5.3.1)");
  if (found->state == certificate::state_code::revoked)
    return refused(errc::conflict, "already_revoked",
                   "certificate " + std::to_string(found->sn) + " is revoked already");
  const auto held = found->state == certificate::state_code::held;
  if (r.reason == counts_again && !held)
    return refused(errc::conflict, "state_conflict",
                   "certificate " + std::to_string(found->sn) + " is not held");
  if (r.reason == on_hold && held)
    return decision{{}, certificate_bound{found->sn}};
  auto d = only(certificate_revoked{found->sn, r.reason, around.now}, certificate_bound{found->sn});
  if (r.reason != counts_again && came_by(s, found->sn))
    for (auto& e : leave(s, "certificate_revoked", around.now).events)
      d.events.push_back(std::move(e));
  return d;
}

std::uint8_t warning_due(const certificate& c, timestamp now) {
  if (now >= c.not_after)
    return 0;
  auto due = certificate::not_warned;
  for (const auto days : warned_before)
    if (now >= c.not_after - days * day)
      due = days;
  return due;
}

std::optional<timestamp> certificate_deadline(const state& s) {
  auto nearest = std::optional<timestamp>{};
  for (const auto& c : s.certificates().all)
    if (counts(c))
      for (const auto days : warned_before)
        if (days < c.warned) {
          const auto at = c.not_after - days * day;
          nearest = nearest ? std::min(*nearest, at) : at;
          break;
        }
  return nearest;
}

void warn_of_ends(const state& s, timestamp now, std::vector<event>& events) {
  for (const auto& c : s.certificates().all)
    if (const auto due = warning_due(c, now); counts(c) && c.warned > 1 && due < c.warned)
      events.push_back(certificate_expiring{c.sn, due, c.not_after, now});
}

}  // namespace orrery::model::device
