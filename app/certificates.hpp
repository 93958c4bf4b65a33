// The certificates that the settings name: looked at before anything else is begun, and kept in
// force while the node runs; so are the authorities and the bans of organisations.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "actors/catalogue.hpp"
#include "config/settings.hpp"
#include "net/server_tls.hpp"
#include "observe/metrics.hpp"
#include "transport/login_guard.hpp"

namespace orrery::app {

/// Whether any port needs a certificate.
bool has_tls_ports(const config::settings& s);

/// Throws config::bad_settings, which names the setting, if a file that the node would use cannot
/// be read, or a key does not belong to its certificate.
void check_certificates(const config::settings& s);

/// What the TLS ports show: the files of the settings, or else those of `made`. Throws as above.
std::shared_ptr<net::server_tls> open_certificates(const config::settings& s,
                                                   const net::pki_files& made,
                                                   std::string ticket_secret);

/// Has the metrics page tell how the certificates stand, and gives what reads the files again: to
/// be called from time to time and when an operator asks. Any thread.
std::function<void()> keep_certificates(std::shared_ptr<net::server_tls> of,
                                        observe::metrics& metrics);

/// Gives what has the TLS ports trust the authorities of all organisations: to be called often, it
/// does nothing while these are the same. One thread at a time.
std::function<void()> keep_trust(std::shared_ptr<net::server_tls> of,
                                 std::shared_ptr<const actors::catalogue> known);

/// Gives what has the guard keep out whom the organisations have banned: to be called likewise.
std::function<void()> keep_bans(std::shared_ptr<transport::login_guard> guard,
                                std::shared_ptr<const actors::catalogue> known,
                                std::function<model::timestamp()> now);

}  // namespace orrery::app
