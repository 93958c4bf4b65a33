#include "net/server_tls.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "net/authority.hpp"
#include "net/certificate.hpp"
#include "tests/net/peer.hpp"

namespace orrery::net {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::int64_t now() {
  return std::time(nullptr);
}

void put(const std::string& path, const std::string& text) {
  std::ofstream{path, std::ios::binary} << text;
}
std::string text_of(const std::string& path) {
  auto in = std::ifstream{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

struct ssl_free {
  void operator()(SSL* s) const { SSL_free(s); }
};
using ssl = std::unique_ptr<SSL, ssl_free>;
using session = std::shared_ptr<SSL_SESSION>;

/// A client's key and what it asks with.
struct identity {
  std::string key, request, certificate, chain;
};

identity make_identity(const std::string& name) {
  auto* key = EVP_EC_gen("P-256");
  auto* request = X509_REQ_new();
  X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_REQ_set_pubkey(request, key);
  X509_REQ_sign(request, key, EVP_sha256());
  const auto read = [](BIO* from) {
    char* data = nullptr;
    const auto size = BIO_get_mem_data(from, &data);
    auto out = std::string{data, static_cast<std::size_t>(size)};
    BIO_free(from);
    return out;
  };
  auto out = identity{};
  auto* a = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(a, key, nullptr, nullptr, 0, nullptr, nullptr);
  out.key = read(a);
  auto* b = BIO_new(BIO_s_mem());
  PEM_write_bio_X509_REQ(b, request);
  out.request = read(b);
  X509_REQ_free(request);
  EVP_PKEY_free(key);
  return out;
}

identity certified(const authority& by, const std::string& name = "meter-1",
                   std::int64_t at = now(), std::int64_t days = 30) {
  auto out = make_identity(name);
  const auto made =
      by.issue(*certificate_request::read(out.request),
               {.uri = "urn:orrery:device:default:" + name, .crl_url = {}, .days = days}, at);
  EXPECT_TRUE(made);
  out.certificate = made->pem;
  return out;
}

struct outcome {
  ssl client, server;
  bool ok = false;
  int alert = -1;  // that the client got
  session ticket;
};

/// Handshakes in memory, both ends on this thread.
class ServerTls : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    pki_folder = std::make_unique<scratch_folder>();
    files = ensure_pki(pki_folder->path(), {"node.example.org"});
    root = std::make_unique<authority>(*authority::make("Devices", key_kind::p256, 1000, now()));
  }
  static void TearDownTestSuite() {
    root.reset();
    pki_folder.reset();
  }

  server_tls_parts parts() {
    const auto rsa = rsa_files(files);
    auto p = server_tls_parts{};
    p.own = {{files.certificate, files.key, ""}, {rsa.certificate, rsa.key, "_rsa"}};
    p.ticket_secret = "secret";
    p.now = [this] { return clock; };
    return p;
  }
  std::unique_ptr<server_tls> make(server_tls_parts p) {
    return std::make_unique<server_tls>(std::move(p));
  }

  static tls_context client(const identity* who = nullptr, int version = 0,
                            const char* suites = nullptr) {
    auto c = client_context(files.ca);
    if (version)
      SSL_CTX_set_max_proto_version(c.get(), version);
    if (suites) {
      EXPECT_EQ(SSL_CTX_set_cipher_list(c.get(), suites), 1) << suites;
    }
    if (who) {
      auto* in =
          BIO_new_mem_buf(who->certificate.data(), static_cast<int>(who->certificate.size()));
      auto* shown = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
      BIO_free(in);
      in = BIO_new_mem_buf(who->key.data(), static_cast<int>(who->key.size()));
      auto* key = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
      BIO_free(in);
      EXPECT_EQ(SSL_CTX_use_certificate(c.get(), shown), 1);
      EXPECT_EQ(SSL_CTX_use_PrivateKey(c.get(), key), 1);
      X509_free(shown);
      EVP_PKEY_free(key);
      in = BIO_new_mem_buf(who->chain.data(), static_cast<int>(who->chain.size()));
      while (auto* above = PEM_read_bio_X509(in, nullptr, nullptr, nullptr))
        SSL_CTX_add0_chain_cert(c.get(), above);
      ERR_clear_error();
      BIO_free(in);
    }
    return c;
  }

  static outcome shake(const tls_context& server, const tls_context& client,
                       const session& from = {}, const char* name = "localhost") {
    static thread_local outcome* current;
    static thread_local session* got;
    auto out = outcome{};
    auto ticket = session{};
    current = &out;
    got = &ticket;
    out.server.reset(SSL_new(server.get()));
    out.client.reset(SSL_new(client.get()));
    SSL_set_info_callback(out.client.get(), [](const SSL*, int where, int value) {
      if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value >> 8) == SSL3_AL_FATAL)
        current->alert = value & 0xff;
    });
    SSL_CTX_set_session_cache_mode(client.get(),
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client.get(), [](SSL*, SSL_SESSION* s) {
      *got = session{s, [](SSL_SESSION* one) { SSL_SESSION_free(one); }};
      return 1;
    });
    BIO *a = nullptr, *b = nullptr;
    BIO_new_bio_pair(&a, 64 * 1024, &b, 64 * 1024);
    SSL_set_bio(out.client.get(), a, a);
    SSL_set_bio(out.server.get(), b, b);
    SSL_set_connect_state(out.client.get());
    SSL_set_accept_state(out.server.get());
    SSL_set_tlsext_host_name(out.client.get(), name);
    if (from)
      SSL_set_session(out.client.get(), from.get());
    const auto before = from ? ticket_of(from.get()) : "";
    auto at_client = 0, at_server = 0;
    for (auto i = 0; i < 20 && !(at_client == 1 && at_server == 1); ++i) {
      at_client = SSL_do_handshake(out.client.get());
      at_server = SSL_do_handshake(out.server.get());
    }
    // Tickets and late alerts of TLS 1.3 come with the first bytes.
    if (at_server == 1)
      SSL_write(out.server.get(), "x", 1);
    char c = 0;
    out.ok = at_client == 1 && at_server == 1 && SSL_read(out.client.get(), &c, 1) == 1;
    if (!out.ok)
      SSL_read(out.client.get(), &c, 1);
    ERR_clear_error();
    out.ticket = std::move(ticket);
    // In TLS 1.2 a new ticket for the same session is told to nobody.
    if (!out.ticket && out.ok && SSL_session_reused(out.client.get()) == 1) {
      if (ticket_of(SSL_get_session(out.client.get())) != before)
        out.ticket = {SSL_get1_session(out.client.get()),
                      [](SSL_SESSION* one) { SSL_SESSION_free(one); }};
    }
    // An end that is not said would make the session one that is not resumed.
    SSL_set_shutdown(out.client.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return out;
  }
  static std::string ticket_of(const SSL_SESSION* of) {
    const unsigned char* bytes = nullptr;
    auto size = std::size_t{0};
    SSL_SESSION_get0_ticket(of, &bytes, &size);
    return {reinterpret_cast<const char*>(bytes), size};
  }
  static bool resumed(const outcome& o) { return o.ok && SSL_session_reused(o.server.get()) == 1; }
  static std::string shown_key(const outcome& o) {
    const auto* shown = SSL_get0_peer_certificate(o.client.get());
    const auto* key = shown ? X509_get0_pubkey(shown) : nullptr;
    return !key ? "" : EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ? "rsa" : "ecdsa";
  }
  static std::string peer_of(const outcome& o) {
    auto* shown = SSL_get0_peer_certificate(o.server.get());
    return shown ? facts_of(*shown).subject : "";
  }

  static std::unique_ptr<scratch_folder> pki_folder;
  static pki_files files;
  static std::unique_ptr<authority> root;
  std::int64_t clock = now();
  scratch_folder folder;
};
std::unique_ptr<scratch_folder> ServerTls::pki_folder;
pki_files ServerTls::files;
std::unique_ptr<authority> ServerTls::root;

TEST_F(ServerTls, HasACertificateForEitherKindOfClient) {
  const auto tls = make(parts());
  for (const auto& [suite, key] : {std::pair{"ECDHE-RSA-AES256-GCM-SHA384", "rsa"},
                                   std::pair{"ECDHE-RSA-AES128-GCM-SHA256", "rsa"},
                                   std::pair{"ECDHE-ECDSA-AES256-GCM-SHA384", "ecdsa"},
                                   std::pair{"ECDHE-ECDSA-AES128-GCM-SHA256", "ecdsa"}}) {
    const auto o = shake(tls->for_devices(), client(nullptr, TLS1_2_VERSION, suite));
    EXPECT_TRUE(o.ok) << suite;
    EXPECT_EQ(shown_key(o), key);
    EXPECT_STREQ(SSL_get_cipher_name(o.server.get()), suite);
  }
  const auto o = shake(tls->for_anyone(), client());
  EXPECT_TRUE(o.ok);
  EXPECT_STREQ(SSL_get_version(o.client.get()), "TLSv1.3");
  EXPECT_EQ(shown_key(o), "ecdsa");
  const auto rsa_alone = client();
  SSL_CTX_set1_sigalgs_list(rsa_alone.get(), "RSA-PSS+SHA256:ECDSA+SHA256");
  EXPECT_EQ(shown_key(shake(tls->for_anyone(), rsa_alone)), "rsa");
}

TEST_F(ServerTls, OldSuitesOnlyIfTheyAreWanted) {
  for (const auto wanted : {false, true}) {
    auto p = parts();
    p.cbc_suites = wanted;
    const auto tls = make(std::move(p));
    for (const auto* suite : {"ECDHE-RSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384"})
      EXPECT_EQ(shake(tls->for_devices(), client(nullptr, TLS1_2_VERSION, suite)).ok, wanted);
    for (const auto* suite : {"AES128-GCM-SHA256", "AES128-SHA256", "ECDHE-RSA-AES128-SHA"})
      EXPECT_FALSE(shake(tls->for_devices(), client(nullptr, TLS1_2_VERSION, suite)).ok) << suite;
  }
}

TEST_F(ServerTls, RsaKeyExchangeOnlyIfItIsWanted) {
  for (const auto wanted : {false, true}) {
    auto p = parts();
    p.rsa_key_exchange = wanted;
    const auto tls = make(std::move(p));
    for (const auto* suite : {"AES128-SHA256", "AES256-SHA256"})
      EXPECT_EQ(shake(tls->for_devices(), client(nullptr, TLS1_2_VERSION, suite)).ok, wanted);
    for (const auto* suite : {"AES128-GCM-SHA256", "AES256-SHA", "ECDHE-RSA-AES128-SHA256"})
      EXPECT_FALSE(shake(tls->for_devices(), client(nullptr, TLS1_2_VERSION, suite)).ok) << suite;
    EXPECT_FALSE(shake(tls->for_anyone(), client(nullptr, TLS1_2_VERSION, "AES128-SHA256")).ok);
  }
}

TEST_F(ServerTls, NobodyRenegotiates) {
  const auto tls = make(parts());
  const auto o = shake(tls->for_devices(), client(nullptr, TLS1_2_VERSION));
  ASSERT_TRUE(o.ok);
  SSL_renegotiate(o.client.get());
  SSL_do_handshake(o.client.get());
  char c = 0;
  for (auto i = 0; i < 3; ++i) {
    SSL_read(o.server.get(), &c, 1);
    SSL_do_handshake(o.client.get());
  }
  EXPECT_EQ(SSL_num_renegotiations(o.server.get()), 0);
  EXPECT_FALSE(SSL_renegotiate_pending(o.server.get()));
  ERR_clear_error();
}

TEST_F(ServerTls, ADeviceResumesOnAnotherNode) {
  const auto one = make(parts()), other = make(parts());
  auto stranger = parts();
  stranger.ticket_secret = "another secret";
  const auto elsewhere = make(std::move(stranger));
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto c = client(nullptr, version);
    const auto first = shake(one->for_devices(), c);
    ASSERT_TRUE(first.ok);
    ASSERT_TRUE(first.ticket);
    EXPECT_FALSE(resumed(first));
    const auto second = shake(other->for_devices(), c, first.ticket);
    EXPECT_TRUE(resumed(second));
    EXPECT_FALSE(resumed(shake(elsewhere->for_devices(), c, first.ticket)));
    EXPECT_TRUE(shake(elsewhere->for_devices(), c, first.ticket).ok);
    EXPECT_FALSE(resumed(shake(other->for_anyone(), c, first.ticket)));  // other rules there
  }
}

TEST_F(ServerTls, TicketsRunOutWithTheirKeys) {
  const auto tls = make(parts());
  const auto c = client(nullptr, TLS1_2_VERSION);
  const auto first = shake(tls->for_devices(), c);
  ASSERT_TRUE(first.ticket);
  EXPECT_FALSE(shake(tls->for_devices(), c, first.ticket).ticket);  // it is good still
  clock += 9 * 3600;
  const auto later = shake(tls->for_devices(), c, first.ticket);
  EXPECT_TRUE(resumed(later));
  EXPECT_TRUE(later.ticket);  // under the new key
  clock += 24 * 3600;
  EXPECT_FALSE(resumed(shake(tls->for_devices(), c, first.ticket)));
}

TEST_F(ServerTls, ResumptionCanBeSwitchedOff) {
  auto p = parts();
  p.resumption = false;
  const auto tls = make(std::move(p));
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto c = client(nullptr, version);
    const auto first = shake(tls->for_devices(), c);
    EXPECT_TRUE(first.ok);
    EXPECT_FALSE(resumed(shake(tls->for_devices(), c, first.ticket)));
  }
}

TEST_F(ServerTls, ShowsOthersByName) {
  const auto more = folder.path() + "/names";
  fs::create_directory(more);
  const auto other =
      ensure_pki(folder.path() + "/other", {"cloud.example.com", "*.wild.example.com"});
  fs::copy(other.certificate, more + "/a.pem");
  fs::copy(other.key, more + "/a.key");
  put(more + "/note.txt", "not looked at");
  auto p = parts();
  p.by_name = more;
  const auto tls = make(std::move(p));
  const auto ours = shake(tls->for_devices(), client(), {}, "node.example.org");
  ASSERT_TRUE(ours.ok);
  const auto own = facts_of(*SSL_get0_peer_certificate(ours.client.get()));
  const auto asked = [&](const char* name) {
    auto c = client_context(other.ca);
    SSL_CTX_set_verify(c.get(), SSL_VERIFY_NONE, nullptr);
    const auto o = shake(tls->for_devices(), c, {}, name);
    EXPECT_TRUE(o.ok) << name;
    return facts_of(*SSL_get0_peer_certificate(o.client.get())).fingerprint;
  };
  const auto theirs = describe_certificate(text_of(other.certificate))->fingerprint;
  for (const auto* name : {"cloud.example.com", "CLOUD.example.com", "a.wild.example.com"})
    EXPECT_EQ(asked(name), theirs) << name;
  for (const auto* name : {"node.example.org", "wild.example.com", "a.b.wild.example.com", "x"})
    EXPECT_EQ(asked(name), own.fingerprint) << name;
}

TEST_F(ServerTls, TakesUpChangedFiles) {
  const auto shown = ensure_pki(folder.path() + "/pki", {});
  auto p = parts();
  p.own = {{shown.certificate, shown.key, ""}};
  const auto tls = make(std::move(p));
  const auto fingerprint = [&] {
    auto c = client_context(shown.ca);
    const auto o = shake(tls->for_devices(), c);
    EXPECT_TRUE(o.ok);
    return facts_of(*SSL_get0_peer_certificate(o.client.get())).fingerprint;
  };
  const auto before = fingerprint();
  const auto held = tls->for_devices();  // as a connection that goes on does
  EXPECT_EQ(tls->first_expiry(), describe_certificate(text_of(shown.certificate))->not_after);
  auto same = tls->reload();
  ASSERT_TRUE(same);
  EXPECT_FALSE(*same);

  const auto good = text_of(shown.key);
  put(shown.key, "nonsense");
  for (auto i = 0; i < 2; ++i) {
    const auto bad = tls->reload();
    ASSERT_FALSE(bad);
    EXPECT_THAT(bad.error().detail, HasSubstr("tls.key"));
    EXPECT_THAT(bad.error().detail, HasSubstr(shown.key));
    EXPECT_EQ(fingerprint(), before);
  }
  put(shown.key, good);
  EXPECT_FALSE(*tls->reload());

  fs::remove(shown.certificate);
  EXPECT_FALSE(tls->reload());
  EXPECT_EQ(fingerprint(), before);
  ensure_pki(folder.path() + "/pki", {});
  const auto changed = tls->reload();
  ASSERT_TRUE(changed) << changed.error().detail;
  EXPECT_TRUE(*changed);
  EXPECT_NE(fingerprint(), before);
  EXPECT_TRUE(shake(held, client_context(shown.ca)).ok);
}

TEST_F(ServerTls, BadFilesAreNamed) {
  const auto why = [&](server_tls_parts p) -> std::string {
    try {
      make(std::move(p));
      return "";
    } catch (const std::runtime_error& e) {
      return e.what();
    }
  };
  auto p = parts();
  p.own[1].key = files.key;
  EXPECT_THAT(why(p), HasSubstr("tls.key_rsa: "));
  p = parts();
  p.own[1] = {files.certificate, files.key, "_rsa"};
  EXPECT_THAT(why(p), HasSubstr("same kind of key"));
  p = parts();
  p.by_name = folder.path() + "/none";
  EXPECT_THAT(why(p), HasSubstr("tls.by_name"));
  p = parts();
  p.client_authorities = files.certificate;
  EXPECT_THAT(why(p), HasSubstr("tls.client_authorities"));
  p = parts();
  p.client_authorities = files.ca;
  p.client_revocations = files.ca;
  EXPECT_THAT(why(p), HasSubstr("tls.client_revocations"));
}

/// A port that trusts an authority.
class Clients : public ServerTls {
 protected:
  Clients() : tls{make(parts())} {
    EXPECT_TRUE(tls->trust({.authorities = {root->certificate_pem()}, .revocations = {}}));
  }
  static std::string revoking(const authority& by, const std::string& serial) {
    return by.sign_list(std::vector<revoked_certificate>{{serial, now(), 1}}, 1, now(), now() + 60)
        ->pem;
  }
  std::unique_ptr<server_tls> tls;
};

TEST_F(Clients, MayShowNothing) {
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto o = shake(tls->for_devices(), client(nullptr, version));
    EXPECT_TRUE(o.ok);
    EXPECT_EQ(peer_of(o), "");
  }
}

TEST_F(Clients, AreKnownByTheirCertificate) {
  const auto who = certified(*root);
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto c = client(&who, version);
    const auto o = shake(tls->for_devices(), c);
    ASSERT_TRUE(o.ok);
    EXPECT_EQ(peer_of(o), "CN=meter-1");
    const auto again = shake(tls->for_devices(), c, o.ticket);
    EXPECT_TRUE(resumed(again));
    EXPECT_EQ(peer_of(again), "CN=meter-1");
    // From the ticket of a ticket too.
    if (version == TLS1_3_VERSION) {
      const auto third = shake(tls->for_devices(), c, again.ticket);
      EXPECT_TRUE(resumed(third));
      EXPECT_EQ(peer_of(third), "CN=meter-1");
    }
    EXPECT_EQ(peer_of(shake(tls->for_anyone(), c)), "");  // is not asked there
  }
}

TEST_F(Clients, BadOnesAreToldWhatIsWrong) {
  const auto other = authority::make("Others", key_kind::p256, 100, now());
  ASSERT_TRUE(other);
  const auto foreign = certified(*other), expired = certified(*root, "old", now() - 60 * 86'400),
             early = certified(*root, "early", now() + 86'400), revoked = certified(*root, "lost");
  ASSERT_TRUE(tls->trust(
      {.authorities = {root->certificate_pem()},
       .revocations = {revoking(*root, describe_certificate(revoked.certificate)->serial)}}));
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION})
    for (const auto& [who, alert] :
         {std::pair{&foreign, SSL_AD_UNKNOWN_CA}, std::pair{&expired, SSL_AD_CERTIFICATE_EXPIRED},
          std::pair{&early, SSL_AD_BAD_CERTIFICATE},
          std::pair{&revoked, SSL_AD_CERTIFICATE_REVOKED}}) {
      const auto o = shake(tls->for_devices(), client(who, version));
      EXPECT_FALSE(o.ok);
      EXPECT_EQ(o.alert, alert) << describe_certificate(who->certificate)->subject;
    }
  const auto server_own = identity{text_of(files.key), {}, text_of(files.certificate), {}};
  ASSERT_TRUE(tls->trust({.authorities = {text_of(files.ca)}, .revocations = {}}));
  EXPECT_FALSE(shake(tls->for_devices(), client(&server_own)).ok);  // is for servers
}

TEST_F(Clients, WhoIsRevokedDoesNotResume) {
  for (const auto version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto who = certified(*root), friend_of = certified(*root, "meter-2");
    ASSERT_TRUE(tls->trust({.authorities = {root->certificate_pem()}, .revocations = {}}));
    const auto c = client(&who, version), d = client(&friend_of, version);
    const auto first = shake(tls->for_devices(), c), theirs = shake(tls->for_devices(), d);
    ASSERT_TRUE(first.ticket && theirs.ticket);
    ASSERT_TRUE(tls->trust(
        {.authorities = {root->certificate_pem()},
         .revocations = {revoking(*root, describe_certificate(who.certificate)->serial)}}));
    const auto o = shake(tls->for_devices(), c, first.ticket);
    EXPECT_FALSE(o.ok);
    EXPECT_EQ(o.alert, SSL_AD_CERTIFICATE_REVOKED);
    EXPECT_TRUE(resumed(shake(tls->for_devices(), d, theirs.ticket)));
  }
}

TEST_F(Clients, AnAuthorityThatIsTrustedNoMoreEndsItsTickets) {
  const auto other = authority::make("Others", key_kind::p256, 100, now());
  const auto who = certified(*root);
  const auto c = client(&who);
  const auto first = shake(tls->for_devices(), c);
  ASSERT_TRUE(first.ticket);
  ASSERT_TRUE(tls->trust({.authorities = {other->certificate_pem()}, .revocations = {}}));
  EXPECT_EQ(shake(tls->for_devices(), c, first.ticket).alert, SSL_AD_UNKNOWN_CA);
  // One more beside it: the whole handshake once, and from then on short ones.
  ASSERT_TRUE(tls->trust(
      {.authorities = {other->certificate_pem(), root->certificate_pem()}, .revocations = {}}));
  const auto whole = shake(tls->for_devices(), c, first.ticket);
  EXPECT_TRUE(whole.ok);
  EXPECT_FALSE(resumed(whole));
  EXPECT_TRUE(resumed(shake(tls->for_devices(), c, whole.ticket)));
}

TEST_F(Clients, MayBeSignedByOneBelowTheAuthority) {
  const auto below = authority::make("Line 7", key_kind::p256, 100, now(), root.get());
  ASSERT_TRUE(below);
  auto who = certified(*below);
  EXPECT_EQ(shake(tls->for_devices(), client(&who)).alert, SSL_AD_UNKNOWN_CA);  // shows no chain
  who.chain = below->chain_pem();
  const auto c = client(&who);
  const auto first = shake(tls->for_devices(), c);
  EXPECT_TRUE(first.ok);
  EXPECT_TRUE(resumed(shake(tls->for_devices(), c, first.ticket)));
  // Its authority is revoked.
  ASSERT_TRUE(tls->trust({.authorities = {root->certificate_pem()},
                          .revocations = {revoking(*root, below->facts().serial)}}));
  EXPECT_EQ(shake(tls->for_devices(), c, first.ticket).alert, SSL_AD_CERTIFICATE_REVOKED);
  // Or is trusted alone, without the root.
  ASSERT_TRUE(tls->trust({.authorities = {below->certificate_pem()}, .revocations = {}}));
  who.chain.clear();
  EXPECT_TRUE(shake(tls->for_devices(), client(&who)).ok);
}

TEST_F(Clients, BadTrustChangesNothing) {
  const auto who = certified(*root);
  const auto other = authority::make("Others", key_kind::p256, 100, now());
  for (const auto& bad : {client_trust{{"nonsense"}, {}}, client_trust{{who.certificate}, {}},
                          client_trust{{root->certificate_pem()}, {"nonsense"}},
                          client_trust{{root->certificate_pem()}, {revoking(*other, "01")}}}) {
    EXPECT_FALSE(tls->trust(bad));
    EXPECT_TRUE(shake(tls->for_devices(), client(&who)).ok);
  }
  // A list past its time still counts.
  const auto serial = describe_certificate(who.certificate)->serial;
  const auto old = root->sign_list(std::vector<revoked_certificate>{{serial, 1, 4}}, 1, 1000, 2000);
  ASSERT_TRUE(tls->trust({.authorities = {root->certificate_pem()}, .revocations = {old->pem}}));
  EXPECT_EQ(shake(tls->for_devices(), client(&who)).alert, SSL_AD_CERTIFICATE_REVOKED);
}

TEST_F(ServerTls, AuthoritiesOfAFileAreReadAgainToo) {
  auto p = parts();
  const auto file = folder.path() + "/clients.pem";
  const auto other = authority::make("Others", key_kind::p256, 100, now());
  put(file, other->certificate_pem());
  p.client_authorities = file;
  const auto tls = make(std::move(p));
  const auto who = certified(*root);
  EXPECT_FALSE(shake(tls->for_devices(), client(&who)).ok);
  put(file, other->certificate_pem() + root->certificate_pem());
  EXPECT_TRUE(*tls->reload());
  EXPECT_TRUE(shake(tls->for_devices(), client(&who)).ok);
  ASSERT_TRUE(tls->trust({}));  // beside those
  EXPECT_TRUE(shake(tls->for_devices(), client(&who)).ok);
}

TEST_F(ServerTls, WhoIsTrustedByNobodyIsNotAsked) {
  const auto tls = make(parts());
  const auto who = certified(*root);
  const auto o = shake(tls->for_devices(), client(&who));
  EXPECT_TRUE(o.ok);
  EXPECT_EQ(peer_of(o), "");
}

}  // namespace
}  // namespace orrery::net
