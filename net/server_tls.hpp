// What the TLS ports of a node show and whom they trust: certificates by kind of key and by server
// name, session tickets, authorities of clients. All of it can change while connections go on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "model/result.hpp"
#include "net/client_trust.hpp"
#include "net/tls.hpp"

namespace orrery::net {

/// PEM files of a certificate, with its chain, and its key. `setting`: how messages name the pair,
/// as in "tls.certificate<suffix>".
struct server_key_pair {
  std::string certificate, key, suffix;
};

struct server_tls_parts {
  std::vector<server_key_pair> own;  // one, or two of different kinds of key
  std::string by_name;               // folder of NAME.pem and NAME.key; empty: none
  std::string client_authorities, client_revocations;  // PEM files; empty: none
  bool cbc_suites = false;                             // for devices that know no AES-GCM
  bool rsa_key_exchange = false;  // for devices that know no elliptic curves; on their port alone
  bool resumption = true;
  std::string ticket_secret;          // the same on all nodes of a cluster; empty: random
  std::function<std::int64_t()> now;  // seconds since 1970; empty: the clock
};

/// Thread-safe. Contexts it gave out go on after it.
class server_tls {
 public:
  /// Reads the files. Throws std::runtime_error, which names setting and file.
  explicit server_tls(server_tls_parts parts);
  ~server_tls();

  /// For a port that asks nobody for a certificate.
  tls_context for_anyone() const;
  /// For a port of devices: asks for a certificate if somebody is trusted to sign them; takes none
  /// for an answer, but no bad one.
  tls_context for_devices() const;

  /// Reads the files again. True if something had changed and is in force now; a failure changes
  /// nothing and names setting and file.
  model::result<bool> reload();
  /// Trusts these beside those of the files, from the next handshake on. Fails as client_judge.
  model::status trust(client_trust others);

  /// When the first of the certificates it shows runs out, seconds since 1970.
  std::int64_t first_expiry() const;

 private:
  struct live;
  struct pair_text;
  struct parsed_pair;
  struct contents;
  struct contexts;
  /// By DNS name, "*.example.org" among them.
  using names_table = std::map<std::string, tls_context, std::less<>>;
  static parsed_pair parse(const pair_text& text);
  contents read_files() const;
  contexts make(const contents& from) const;
  void show(contexts next);
  tls_context make_context(const std::vector<const parsed_pair*>& pairs,
                           std::shared_ptr<const names_table> names, bool asks) const;

  server_tls_parts parts_;
  std::shared_ptr<live> live_;  // what running handshakes look at
  std::mutex changing_;         // one change at a time: it reads files and parses keys
  std::unique_ptr<contents> contents_;
  client_trust others_;
  mutable std::mutex mutex_;
  std::unique_ptr<contexts> contexts_;
};

}  // namespace orrery::net
