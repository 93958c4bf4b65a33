#include "app/certificates.hpp"

#include <stdexcept>
#include <string>

#include "app/joining.hpp"
#include "config/load.hpp"
#include "net/tls.hpp"

namespace orrery::app {

void check_certificates(const config::settings& s) {
  const auto has_tls = s.listeners.mqtts.enabled || s.listeners.apis.enabled;
  try {
    if (has_tls && !s.tls.certificate.empty())
      (void)net::server_context(s.tls.certificate, s.tls.key);
    if (is_in_cluster(s))
      (void)net::mutual_context(s.cluster.link_ca, s.cluster.link_certificate, s.cluster.link_key);
  } catch (const std::runtime_error& e) {
    throw config::bad_settings{std::string{e.what()} + '\n'};
  }
}

}  // namespace orrery::app
