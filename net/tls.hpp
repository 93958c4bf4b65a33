// TLS for servers and clients, and the small certificate authority of an installation that was
// given no certificate of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

using SSL_CTX = struct ssl_ctx_st;

namespace orrery::net {

using tls_context = std::shared_ptr<SSL_CTX>;

/// TLS 1.2 and 1.3 with ECDHE and AES-GCM or ChaCha20. Throws std::runtime_error with the file's
/// name if certificate or key cannot be read or do not belong together.
tls_context server_context(const std::string& certificate_file, const std::string& key_file);
/// Verifies the server against `ca_file` (empty: the system's authorities). Throws as above.
tls_context client_context(const std::string& ca_file);

struct pki_files {
  std::string ca, certificate, key;
};
/// Makes <folder>/ca.pem, ca.key, server.pem, server.key (EC P-256; keys mode 0600) unless they are
/// there; the server's certificate names `hosts` (DNS names or addresses). Throws
/// std::runtime_error.
pki_files ensure_pki(const std::string& folder, const std::vector<std::string>& hosts);

}  // namespace orrery::net
