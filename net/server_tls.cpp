#include "net/server_tls.hpp"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "net/certificate.hpp"
#include "net/openssl.hpp"
#include "net/ticket_keys.hpp"

namespace orrery::net {

namespace fs = std::filesystem;
using model::errc;
using model::failure;

namespace {

constexpr std::size_t max_file = 64u * 1024 * 1024, max_named_authorities = 50;
constexpr auto modern_suites = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr auto cbc_suites =
    ":ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:"
    "ECDHE-RSA-AES256-SHA384";
constexpr auto rsa_suites = ":AES256-SHA256:AES128-SHA256";  // no forward secrecy

std::string read_file(const std::string& setting, const std::string& path) {
  auto in = std::ifstream{path, std::ios::binary};
  auto text = std::string{};
  char some[16 * 1024];
  while (in && text.size() < max_file) {
    in.read(some, sizeof some);
    text.append(some, static_cast<std::size_t>(in.gcount()));
  }
  if (!in.eof() || text.empty())
    throw std::runtime_error{setting + ": cannot read " + path};
  return text;
}

std::string lower(std::string_view text) {
  auto out = std::string{text};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

}  // namespace

/// The texts of a pair and how a message names them.
struct server_tls::pair_text {
  std::string certificate, key;
  std::string certificate_name, key_name;
  bool operator==(const pair_text&) const = default;
};

struct server_tls::parsed_pair {
  x509 certificate;
  x509_stack chain;
  pkey key;
  std::string name;
};

server_tls::parsed_pair server_tls::parse(const pair_text& text) {
  auto out = parsed_pair{{}, x509_stack{sk_X509_new_null()}, {}, text.certificate_name};
  const auto in = reading(text.certificate);
  out.certificate.reset(PEM_read_bio_X509_AUX(in.get(), nullptr, no_passphrase, nullptr));
  if (!out.certificate)
    give_up(text.certificate_name);
  while (auto* next = PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr))
    sk_X509_push(out.chain.get(), next);
  ERR_clear_error();
  const auto key = reading(text.key);
  out.key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, no_passphrase, nullptr));
  if (!out.key || X509_check_private_key(out.certificate.get(), out.key.get()) != 1)
    give_up(text.key_name);
  return out;
}

namespace {

struct names_free {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

std::vector<std::string> dns_names(const X509* certificate) {
  auto out = std::vector<std::string>{};
  const auto names = std::unique_ptr<GENERAL_NAMES, names_free>{static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
  for (auto i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i)
    if (const auto* name = sk_GENERAL_NAME_value(names.get(), i); name->type == GEN_DNS)
      out.push_back(lower({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                           static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))}));
  return out;
}

}  // namespace

struct server_tls::live {
  explicit live(std::string secret, std::function<std::int64_t()> clock)
      : tickets{std::move(secret)}, now{std::move(clock)} {}
  std::shared_ptr<const client_judge> judge() const {
    const auto hold = std::lock_guard{mutex};
    return judge_;
  }
  void judge(std::shared_ptr<const client_judge> next) {
    const auto hold = std::lock_guard{mutex};
    judge_ = std::move(next);
  }
  ticket_keys::seconds time() const { return ticket_keys::seconds{now()}; }

  const ticket_keys tickets;
  const std::function<std::int64_t()> now;

  // What a context keeps alive, and finds from a handshake.
  struct attached {
    std::shared_ptr<live> of;
    std::shared_ptr<const names_table> names;  // null in those that stand in a table themselves
    bool asks = false;
  };
  static int slot() {
    static const auto index = SSL_CTX_get_ex_new_index(
        0, nullptr, nullptr, nullptr, [](void*, void* held, CRYPTO_EX_DATA*, int, long, void*) {
          delete static_cast<attached*>(held);
        });
    return index;
  }
  static attached& of(SSL_CTX* context) {
    return *static_cast<attached*>(SSL_CTX_get_ex_data(context, slot()));
  }
  static attached& of(SSL* ssl) { return of(SSL_get_SSL_CTX(ssl)); }

  static int on_server_name(SSL* ssl, int* /*alert*/, void* /*unused*/) {
    const auto* asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const auto names = of(ssl).names;
    if (!asked || !names)
      return SSL_TLSEXT_ERR_NOACK;
    const auto name = lower(asked);
    auto at = names->find(name);
    if (at == names->end())
      if (const auto dot = name.find('.'); dot != std::string::npos)
        at = names->find("*" + name.substr(dot));
    if (at == names->end())
      return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, at->second.get());
    return SSL_TLSEXT_ERR_OK;
  }

  static int on_client_certificate(X509_STORE_CTX* context, void* /*unused*/) {
    auto* ssl = static_cast<SSL*>(
        X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
    const auto verdict = of(ssl).of->judge()->judge(X509_STORE_CTX_get0_cert(context),
                                                    X509_STORE_CTX_get0_untrusted(context));
    X509_STORE_CTX_set_error(context, verdict.error);
    if (verdict.chain)
      X509_STORE_CTX_set0_verified_chain(context, X509_chain_up_ref(verdict.chain.get()));
    return verdict.error == X509_V_OK ? 1 : 0;
  }

  static int on_ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                           EVP_MAC_CTX* mac, int sealing) {
    const auto& me = *of(ssl).of;
    auto with = ticket_keys::key{};
    auto answer = 1;
    if (sealing == 1) {
      with = me.tickets.current(me.time());
      std::copy(with.name.begin(), with.name.end(), name);
      if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
        return -1;
    } else {
      const auto known = me.tickets.find(name, me.time());
      if (!known)
        return 0;
      with = known->with;
      answer = known->is_current ? 1 : 2;
    }
    char digest[] = "SHA256";
    const OSSL_PARAM how[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, with.mac.data(), with.mac.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    const auto ready = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, with.cipher.data(), iv,
                                         sealing) == 1 &&
                       EVP_MAC_CTX_set_params(mac, how) == 1;
    return ready ? answer : -1;
  }

  static int on_ticket_made(SSL* ssl, void* /*unused*/) {
    if (const auto* chain = SSL_get0_verified_chain(ssl)) {
      const auto note = of(ssl).of->judge()->note_of(*chain);
      SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), note.data(), note.size());
    }
    return 1;
  }

  static SSL_TICKET_RETURN on_ticket_shown(SSL* ssl, SSL_SESSION* session,
                                           const unsigned char* /*name*/, std::size_t /*size*/,
                                           SSL_TICKET_STATUS status, void* /*unused*/) {
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
      return SSL_TICKET_RETURN_IGNORE_RENEW;
    const auto* shown = SSL_SESSION_get0_peer(session);
    if (shown) {
      void* note = nullptr;
      auto size = std::size_t{0};
      SSL_SESSION_get0_ticket_appdata(session, &note, &size);
      if (!of(ssl).of->judge()->still_good(shown, {static_cast<const char*>(note), size}))
        return SSL_TICKET_RETURN_IGNORE_RENEW;  // the whole handshake judges it anew
    }
    // A client of TLS 1.3 shows a ticket once: who watches does not know it again (RFC 8446, C.4).
    const auto renew = status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) == TLS1_3_VERSION;
    return renew ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
  }

 private:
  mutable std::mutex mutex;
  std::shared_ptr<const client_judge> judge_;
};

struct server_tls::contents {
  std::vector<pair_text> own;
  std::map<std::string, pair_text> by_name;  // by the name of the file
  std::string authorities, revocations;
  bool operator==(const contents&) const = default;
};

struct server_tls::contexts {
  tls_context anyone, devices;
  std::int64_t first_expiry = 0;
};

namespace {

client_trust trusted(const std::string& authorities, const std::string& revocations,
                     const client_trust& others) {
  auto all = others;
  if (!authorities.empty())
    all.authorities.push_back(authorities);
  if (!revocations.empty())
    all.revocations.push_back(revocations);
  return all;
}

std::string in_words(const failure& why) {
  return (why.reason == "authority_invalid" ? "tls.client_authorities: "
                                            : "tls.client_revocations: ") +
         why.detail;
}

void name_authorities(SSL_CTX* context, const client_judge& judge) {
  // A client with several certificates chooses by these. Many would fill the handshake.
  if (judge.authorities().size() > max_named_authorities)
    return;
  for (const auto& one : judge.authorities())
    SSL_CTX_add_client_CA(context, one.get());
}

}  // namespace

/// What one kind of port shows: `pairs` or those of the name that is asked for.
tls_context server_tls::make_context(const std::vector<const parsed_pair*>& pairs,
                                     std::shared_ptr<const names_table> names, bool asks) const {
  auto context = tls_context{SSL_CTX_new(TLS_server_method()), [](SSL_CTX* c) { SSL_CTX_free(c); }};
  auto* c = context.get();
  if (!c)
    give_up("cannot set up TLS");
  SSL_CTX_set_ex_data(c, live::slot(), new live::attached{live_, std::move(names), asks});
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  auto suites = std::string{modern_suites};
  if (parts_.cbc_suites)
    suites += cbc_suites;
  if (parts_.rsa_key_exchange && asks) {
    suites += rsa_suites;
    SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE);  // these last, whatever a client likes
  }
  SSL_CTX_set_cipher_list(c, suites.c_str());
  for (const auto* pair : pairs)
    if (SSL_CTX_use_cert_and_key(c, pair->certificate.get(), pair->key.get(), pair->chain.get(),
                                 1) != 1)
      give_up(pair->name);
  SSL_CTX_set_tlsext_servername_callback(c, live::on_server_name);
  // Sessions are in the clients' tickets alone: here they would take memory.
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  const auto kind = std::string_view{asks ? "orrery devices" : "orrery anyone"};
  SSL_CTX_set_session_id_context(c, reinterpret_cast<const unsigned char*>(kind.data()),
                                 static_cast<unsigned>(kind.size()));
  if (parts_.resumption) {
    SSL_CTX_set_num_tickets(c, 1);
    SSL_CTX_set_timeout(c, std::chrono::seconds{ticket_keys::lifetime}.count());
    SSL_CTX_set_tlsext_ticket_key_evp_cb(c, live::on_ticket_key);
    SSL_CTX_set_session_ticket_cb(c, live::on_ticket_made, live::on_ticket_shown, nullptr);
  } else {
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(c, 0);
  }
  const auto judge = live_->judge();
  if (asks && !judge->trusts_nobody()) {
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(c, live::on_client_certificate, nullptr);
    name_authorities(c, *judge);
  }
  return context;
}

server_tls::contents server_tls::read_files() const {
  auto out = contents{};
  for (const auto& pair : parts_.own)
    out.own.push_back({read_file("tls.certificate" + pair.suffix, pair.certificate),
                       read_file("tls.key" + pair.suffix, pair.key),
                       "tls.certificate" + pair.suffix + ": cannot read " + pair.certificate,
                       "tls.key" + pair.suffix + ": cannot read " + pair.key +
                           ", or it does not belong to " + pair.certificate});
  if (!parts_.by_name.empty()) {
    auto error = std::error_code{};
    auto at = fs::directory_iterator{parts_.by_name, error};
    if (error)
      throw std::runtime_error{"tls.by_name: cannot read " + parts_.by_name};
    for (const auto& file : at) {
      const auto path = file.path().string();
      if (file.path().extension() != ".pem")
        continue;
      const auto key = fs::path{file.path()}.replace_extension(".key").string();
      out.by_name.emplace(
          path,
          pair_text{read_file("tls.by_name", path), read_file("tls.by_name", key),
                    "tls.by_name: cannot read " + path,
                    "tls.by_name: cannot read " + key + ", or it does not belong to " + path});
    }
  }
  if (!parts_.client_authorities.empty())
    out.authorities = read_file("tls.client_authorities", parts_.client_authorities);
  if (!parts_.client_revocations.empty())
    out.revocations = read_file("tls.client_revocations", parts_.client_revocations);
  return out;
}

server_tls::contexts server_tls::make(const contents& from) const {
  auto out = contexts{};
  const auto note_expiry = [&](const parsed_pair& pair) {
    const auto ends = facts_of(*pair.certificate).not_after;
    out.first_expiry = out.first_expiry == 0 ? ends : std::min(out.first_expiry, ends);
  };
  auto own = std::vector<parsed_pair>{};
  for (const auto& text : from.own) {
    own.push_back(parse(text));
    note_expiry(own.back());
    for (std::size_t i = 0; i + 1 < own.size(); ++i)
      if (EVP_PKEY_get_base_id(own[i].key.get()) == EVP_PKEY_get_base_id(own.back().key.get()))
        throw std::runtime_error{own.back().name +
                                 ": both certificates have the same kind of key; one is to be RSA, "
                                 "the other ECDSA"};
  }
  auto others = std::vector<parsed_pair>{};
  others.reserve(from.by_name.size());
  auto wanted = std::map<std::string, std::vector<const parsed_pair*>>{};
  for (const auto& [file, text] : from.by_name) {
    others.push_back(parse(text));
    note_expiry(others.back());
    const auto names = dns_names(others.back().certificate.get());
    if (names.empty())
      throw std::runtime_error{"tls.by_name: no DNS name in " + file};
    for (const auto& name : names)
      wanted[name].push_back(&others.back());
  }
  auto shown = std::vector<const parsed_pair*>{};
  for (const auto& pair : own)
    shown.push_back(&pair);
  for (const auto asks : {false, true}) {
    const auto table = std::make_shared<names_table>();
    auto made = std::map<std::vector<const parsed_pair*>, tls_context>{};
    for (const auto& [name, pairs] : wanted) {
      auto& one = made[pairs];
      if (!one)
        one = make_context(pairs, nullptr, asks);
      table->emplace(name, one);
    }
    (asks ? out.devices : out.anyone) = make_context(shown, table, asks);
  }
  return out;
}

server_tls::server_tls(server_tls_parts parts) : parts_{std::move(parts)} {
  if (parts_.ticket_secret.empty()) {
    parts_.ticket_secret.resize(32);
    if (RAND_bytes(reinterpret_cast<unsigned char*>(parts_.ticket_secret.data()), 32) != 1)
      give_up("no random numbers");
  }
  if (!parts_.now)
    parts_.now = [] { return static_cast<std::int64_t>(std::time(nullptr)); };
  live_ = std::make_shared<live>(std::move(parts_.ticket_secret), parts_.now);
  contents_ = std::make_unique<contents>(read_files());
  auto judge = client_judge::make(trusted(contents_->authorities, contents_->revocations, others_));
  if (!judge)
    throw std::runtime_error{in_words(judge.error())};
  live_->judge(*judge);
  contexts_ = std::make_unique<contexts>(make(*contents_));
}

server_tls::~server_tls() = default;

tls_context server_tls::for_anyone() const {
  const auto hold = std::lock_guard{mutex_};
  return contexts_->anyone;
}
tls_context server_tls::for_devices() const {
  const auto hold = std::lock_guard{mutex_};
  return contexts_->devices;
}
std::int64_t server_tls::first_expiry() const {
  const auto hold = std::lock_guard{mutex_};
  return contexts_->first_expiry;
}

void server_tls::show(contexts next) {
  const auto hold = std::lock_guard{mutex_};
  std::swap(*contexts_, next);
}

model::result<bool> server_tls::reload() {
  const auto hold = std::lock_guard{changing_};
  const auto before = live_->judge();
  try {
    auto next = read_files();
    if (next == *contents_)
      return false;
    auto judge = client_judge::make(trusted(next.authorities, next.revocations, others_));
    if (!judge)
      return failure{errc::invalid_argument, judge.error().reason, in_words(judge.error())};
    live_->judge(*judge);
    show(make(next));
    *contents_ = std::move(next);
    return true;
  } catch (const std::exception& e) {
    live_->judge(before);
    return failure{errc::invalid_argument, e.what()};
  }
}

model::status server_tls::trust(client_trust others) {
  const auto hold = std::lock_guard{changing_};
  auto judge = client_judge::make(trusted(contents_->authorities, contents_->revocations, others));
  if (!judge)
    return judge.error();
  live_->judge(*judge);
  const auto asks_as_before = others.authorities == others_.authorities;
  others_ = std::move(others);
  if (!asks_as_before)
    show(make(*contents_));
  return {};
}

}  // namespace orrery::net
