// TLS for servers and clients, and the small certificate authority of an installation that was
// given no certificate of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using SSL_CTX = struct ssl_ctx_st;

namespace orrery::net {

using tls_context = std::shared_ptr<SSL_CTX>;
/// Gives the context for the next connection; empty: no TLS. Any thread.
using tls_source = std::function<tls_context()>;

/// TLS 1.2 and 1.3 with ECDHE and AES-GCM or ChaCha20, for what needs no more than one certificate
/// (the ports of a node: server_tls). Throws std::runtime_error with the file's name if certificate
/// or key cannot be read or do not belong together.
tls_context server_context(const std::string& certificate_file, const std::string& key_file);
/// Verifies the server against `ca_file` (empty: the system's authorities). Throws as above.
tls_context client_context(const std::string& ca_file);

/// TLS 1.3 for both ends among members of one group, each of whom proves itself to the other: a
/// connection needs a certificate of `ca_file` at either end, and no session is resumed without
/// that proof. Throws as above.
tls_context mutual_context(const std::string& ca_file, const std::string& certificate_file,
                           const std::string& key_file);

struct pki_files {
  std::string ca, certificate, key;
};
/// Makes <folder>/ca.pem, ca.key, server.pem, server.key (EC P-256), server-rsa.pem, server-rsa.key
/// (RSA 2048) unless they are there, keys with mode 0600; the server's certificates name `hosts`
/// (DNS names or addresses). Throws std::runtime_error.
pki_files ensure_pki(const std::string& folder, const std::vector<std::string>& hosts);
/// The same with the files of its RSA key.
pki_files rsa_files(const pki_files& of);

/// Makes the authority of a cluster, <folder>/ca.pem and ca.key, unless it is there: its key signs
/// nodes and belongs on none of them. Throws std::runtime_error.
void make_cluster_ca(const std::string& folder);
/// Makes <folder>/<name>.pem and <name>.key, signed by the authority in the folder, for the node of
/// that name at either end of a link; replaces what is there. Throws std::runtime_error, also if
/// `name` cannot stand in a certificate: letters, digits, '-', '_' and '.', the first and last a
/// letter or digit, at most 253.
pki_files issue_node_certificate(const std::string& folder, const std::string& name);
/// Whether it is a name as above.
bool certifiable(std::string_view name);

}  // namespace orrery::net
