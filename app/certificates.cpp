#include "app/certificates.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "app/joining.hpp"
#include "config/load.hpp"
#include "net/tls.hpp"
#include "observe/log.hpp"
#include "transport/bans.hpp"
#include "transport/issuance.hpp"

namespace orrery::app {
namespace {

namespace log = observe::log;

net::server_tls_parts parts_of(const config::settings& s) {
  auto parts = net::server_tls_parts{};
  parts.own.push_back({s.tls.certificate, s.tls.key, ""});
  if (!s.tls.certificate_rsa.empty())
    parts.own.push_back({s.tls.certificate_rsa, s.tls.key_rsa, "_rsa"});
  parts.by_name = s.tls.by_name;
  parts.client_authorities = s.tls.client_authorities;
  parts.client_revocations = s.tls.client_revocations;
  parts.cbc_suites = s.tls.cbc_suites;
  parts.rsa_key_exchange = s.tls.rsa_key_exchange;
  parts.resumption = s.tls.resumption;
  return parts;
}

}  // namespace

bool has_tls_ports(const config::settings& s) {
  return s.listeners.mqtts.enabled || s.listeners.apis.enabled || s.listeners.https.enabled;
}

void check_certificates(const config::settings& s) {
  try {
    if (has_tls_ports(s) && !s.tls.certificate.empty())
      (void)net::server_tls{parts_of(s)};
    if (is_in_cluster(s))
      (void)net::mutual_context(s.cluster.link_ca, s.cluster.link_certificate, s.cluster.link_key);
  } catch (const std::runtime_error& e) {
    throw config::bad_settings{std::string{e.what()} + '\n'};
  }
}

std::shared_ptr<net::server_tls> open_certificates(const config::settings& s,
                                                   const net::pki_files& made,
                                                   std::string ticket_secret) {
  auto parts = parts_of(s);
  parts.ticket_secret = std::move(ticket_secret);
  if (s.tls.certificate.empty()) {
    const auto rsa = net::rsa_files(made);
    parts.own = {{made.certificate, made.key, ""}, {rsa.certificate, rsa.key, "_rsa"}};
  }
  try {
    return std::make_shared<net::server_tls>(std::move(parts));
  } catch (const std::runtime_error& e) {
    throw config::bad_settings{std::string{e.what()} + '\n'};
  }
}

std::function<void()> keep_certificates(std::shared_ptr<net::server_tls> of,
                                        observe::metrics& metrics) {
  metrics.gauge("orrery_tls_certificate_expiry_time_seconds",
                "When the first of the certificates shown by this node runs out",
                [of] { return static_cast<double>(of->first_expiry()); });
  auto* reloads = &metrics.count("orrery_tls_reloads_total", "Certificates taken up while running");
  auto* failures = &metrics.count("orrery_tls_reload_failures_total",
                                  "Changed certificates that could not be taken up");
  return [of = std::move(of), reloads, failures] {
    const auto changed = of->reload();
    if (!changed) {
      failures->add();
      log::error("tls", "not_reloaded",
                 {{"detail", changed.error().detail}, {"hint", "the former stay in force"}});
    } else if (*changed) {
      reloads->add();
      log::info("tls", "reloaded", {{"expires", of->first_expiry()}});
    }
  };
}

std::function<void()> keep_trust(std::shared_ptr<net::server_tls> of,
                                 std::shared_ptr<const actors::catalogue> known) {
  struct memory {
    std::uint64_t version = 0;
    net::client_trust trust;
  };
  return [of = std::move(of), known = std::move(known), was = std::make_shared<memory>()] {
    const auto version = known->version();
    if (version == was->version)
      return;
    was->version = version;
    auto trust = transport::trusted_by(*known->current());
    // Organisations come in no order.
    std::sort(trust.authorities.begin(), trust.authorities.end());
    std::sort(trust.revocations.begin(), trust.revocations.end());
    if (trust.authorities == was->trust.authorities && trust.revocations == was->trust.revocations)
      return;
    was->trust = trust;
    if (const auto ok = of->trust(std::move(trust)); !ok)
      log::error("tls", "authorities_not_taken", {{"detail", ok.error().detail}});
    else
      log::info("tls", "authorities_changed", {{"authorities", was->trust.authorities.size()}});
  };
}

std::function<void()> keep_bans(std::shared_ptr<transport::login_guard> guard,
                                std::shared_ptr<const actors::catalogue> known,
                                std::function<model::timestamp()> now) {
  struct memory {
    std::uint64_t version = 0;
    std::vector<transport::login_ban> bans;
  };
  return [guard = std::move(guard), known = std::move(known), now = std::move(now),
          was = std::make_shared<memory>()] {
    const auto version = known->version();
    if (version == was->version)
      return;
    was->version = version;
    auto bans = transport::bans_of(*known->current(), now());
    if (bans == was->bans)
      return;
    const auto taken = guard->set_bans(bans);
    if (taken < bans.size())
      log::error("login", "bans_not_taken", {{"bans", bans.size()}, {"taken", taken}});
    log::info("login", "bans_changed", {{"bans", taken}});
    was->bans = std::move(bans);
  };
}

}  // namespace orrery::app
