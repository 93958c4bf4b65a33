#include "net/tls.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <stdexcept>
#include <unistd.h>

#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include "net/openssl.hpp"

namespace orrery::net {
namespace {

struct file_closer {
  void operator()(std::FILE* f) const { std::fclose(f); }
};
using file = std::unique_ptr<std::FILE, file_closer>;

file open_new(const std::string& path, int mode) {
  const auto fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0)
    throw std::runtime_error{"cannot write " + path};
  return file{::fdopen(fd, "w")};
}

void write_key(const std::string& path, EVP_PKEY* key) {
  const auto f = open_new(path, 0600);
  if (PEM_write_PrivateKey(f.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    give_up("cannot write " + path);
}
void write_certificate(const std::string& path, X509* certificate) {
  const auto f = open_new(path, 0644);
  if (PEM_write_X509(f.get(), certificate) != 1)
    give_up("cannot write " + path);
}
pkey read_key(const std::string& path) {
  const auto f = file{std::fopen(path.c_str(), "r")};
  auto key = pkey{f ? PEM_read_PrivateKey(f.get(), nullptr, nullptr, nullptr) : nullptr};
  if (!key)
    give_up("cannot read " + path);
  return key;
}
x509 read_certificate(const std::string& path) {
  const auto f = file{std::fopen(path.c_str(), "r")};
  auto certificate = x509{f ? PEM_read_X509(f.get(), nullptr, nullptr, nullptr) : nullptr};
  if (!certificate)
    give_up("cannot read " + path);
  return certificate;
}

void add_extension(X509* to, X509* issuer, int nid, const std::string& text) {
  auto context = X509V3_CTX{};
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  auto* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, text.c_str());
  if (!extension)
    give_up("certificate extension " + text);
  X509_add_ext(to, extension, -1);
  X509_EXTENSION_free(extension);
}

/// A certificate for `key`, signed by `issuer_key`; `issuer` null: by itself.
x509 certify(EVP_PKEY* key, const std::string& name, X509* issuer, EVP_PKEY* issuer_key, int days,
             const std::vector<std::pair<int, std::string>>& extensions) {
  auto made = x509{X509_new()};
  X509_set_version(made.get(), 2);
  unsigned char serial[16];
  RAND_bytes(serial, sizeof serial);
  serial[0] &= 0x7f;
  auto* number = BN_bin2bn(serial, sizeof serial, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(made.get()));
  BN_free(number);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -300);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 86'400L * days);
  X509_set_pubkey(made.get(), key);
  auto* subject = X509_get_subject_name(made.get());
  X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("Orrery"), -1, -1, 0);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(made.get(), issuer ? X509_get_subject_name(issuer) : subject);
  for (const auto& [nid, text] : extensions)
    add_extension(made.get(), issuer ? issuer : made.get(), nid, text);
  if (X509_sign(made.get(), issuer_key, EVP_sha256()) == 0)
    give_up("cannot sign a certificate");
  return made;
}

pkey make_key() {
  auto key = pkey{EVP_EC_gen("P-256")};
  if (!key)
    give_up("cannot make a key");
  return key;
}
pkey make_rsa_key() {
  auto key = pkey{EVP_RSA_gen(2048)};
  if (!key)
    give_up("cannot make a key");
  return key;
}

tls_context make_context(const SSL_METHOD* method) {
  auto context = tls_context{SSL_CTX_new(method), [](SSL_CTX* c) { SSL_CTX_free(c); }};
  if (!context)
    give_up("cannot set up TLS");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20");
  return context;
}

/// `settings`: what the settings of both files begin with.
void use_certificate(SSL_CTX* context, const std::string& settings,
                     const std::string& certificate_file, const std::string& key_file) {
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1)
    give_up(settings + "certificate: cannot read " + certificate_file);
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    give_up(settings + "key: cannot read " + key_file + ", or it does not belong to " +
            certificate_file);
}

/// <folder>/ca.pem and ca.key; made if one of them is missing. Gives whether it was.
bool ensure_authority(const std::string& folder, const std::string& name) {
  namespace fs = std::filesystem;
  fs::create_directories(folder);
  if (fs::exists(folder + "/ca.pem") && fs::exists(folder + "/ca.key"))
    return false;
  const auto key = make_key();
  const auto ca = certify(key.get(), name, nullptr, key.get(), 3650,
                          {{NID_basic_constraints, "critical,CA:TRUE,pathlen:1"},
                           {NID_key_usage, "critical,keyCertSign,cRLSign"},
                           {NID_subject_key_identifier, "hash"}});
  write_key(folder + "/ca.key", key.get());
  write_certificate(folder + "/ca.pem", ca.get());
  return true;
}

/// A certificate for the key, signed by the folder's authority.
void issue(const std::string& folder, const pki_files& into, const pkey& key,
           const std::string& name, const std::string& alternative_names,
           const std::string& usage) {
  const auto ca = read_certificate(into.ca);
  const auto ca_key = read_key(folder + "/ca.key");
  // Clients of TLS 1.2 that know no elliptic curves encrypt what the keys are made of with it.
  const auto* own_usage = EVP_PKEY_is_a(key.get(), "RSA") == 1
                              ? "critical,digitalSignature,keyEncipherment"
                              : "critical,digitalSignature";
  const auto made = certify(key.get(), name, ca.get(), ca_key.get(), 825,
                            {{NID_basic_constraints, "critical,CA:FALSE"},
                             {NID_key_usage, own_usage},
                             {NID_ext_key_usage, usage},
                             {NID_subject_alt_name, alternative_names},
                             {NID_authority_key_identifier, "keyid"}});
  write_key(into.key, key.get());
  write_certificate(into.certificate, made.get());
}

}  // namespace

tls_context server_context(const std::string& certificate_file, const std::string& key_file) {
  auto context = make_context(TLS_server_method());
  use_certificate(context.get(), "tls.", certificate_file, key_file);
  SSL_CTX_set_num_tickets(context.get(), 1);
  return context;
}

tls_context client_context(const std::string& ca_file) {
  auto context = make_context(TLS_client_method());
  const auto ok = ca_file.empty()
                      ? SSL_CTX_set_default_verify_paths(context.get())
                      : SSL_CTX_load_verify_locations(context.get(), ca_file.c_str(), nullptr);
  if (ok != 1)
    give_up("cannot read the authorities in " + (ca_file.empty() ? "the system's store" : ca_file));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return context;
}

tls_context mutual_context(const std::string& ca_file, const std::string& certificate_file,
                           const std::string& key_file) {
  auto context = make_context(TLS_method());
  use_certificate(context.get(), "cluster.link_", certificate_file, key_file);
  if (SSL_CTX_load_verify_locations(context.get(), ca_file.c_str(), nullptr) != 1)
    give_up("cluster.link_ca: cannot read " + ca_file);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context.get(), 0);
  // Few connections with much on them: several records by one call of the kernel.
  SSL_CTX_clear_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_default_read_buffer_len(context.get(), std::size_t{64} * 1024);
  return context;
}

pki_files ensure_pki(const std::string& folder, const std::vector<std::string>& hosts) {
  namespace fs = std::filesystem;
  const auto files = pki_files{folder + "/ca.pem", folder + "/server.pem", folder + "/server.key"};
  const auto rsa = rsa_files(files);
  if (ensure_authority(folder, "Orrery installation CA")) {
    fs::remove(files.certificate);
    fs::remove(rsa.certificate);
  }
  auto names = std::string{"DNS:localhost,IP:127.0.0.1,IP:::1"};
  for (const auto& host : hosts) {
    unsigned char address[16];
    const auto is_address = inet_pton(AF_INET, host.c_str(), address) == 1 ||
                            inet_pton(AF_INET6, host.c_str(), address) == 1;
    names += (is_address ? ",IP:" : ",DNS:") + host;
  }
  const auto name = hosts.empty() ? "localhost" : hosts.front();
  const auto ensure = [&](const pki_files& one, pkey (*make)()) {
    if (!fs::exists(one.certificate) || !fs::exists(one.key))
      issue(folder, one, make(), name, names, "serverAuth");
  };
  ensure(files, make_key);
  ensure(rsa, make_rsa_key);
  return files;
}

pki_files rsa_files(const pki_files& of) {
  const auto with = [](const std::string& path) {
    const auto dot = path.rfind('.');
    return path.substr(0, dot) + "-rsa" + path.substr(dot);
  };
  return {of.ca, with(of.certificate), with(of.key)};
}

void make_cluster_ca(const std::string& folder) {
  ensure_authority(folder, "Orrery cluster CA");
}

pki_files issue_node_certificate(const std::string& folder, const std::string& name) {
  if (!certifiable(name))
    throw std::runtime_error{"no certificate can name a node \"" + name + "\""};
  const auto files =
      pki_files{folder + "/ca.pem", folder + "/" + name + ".pem", folder + "/" + name + ".key"};
  if (name == "ca")
    throw std::runtime_error{"\"ca\" is the authority's name in " + folder};
  // Node names can be longer than a common name may be; who compares looks at the alternative one.
  issue(folder, files, make_key(), name.substr(0, 64), "DNS:" + name, "serverAuth,clientAuth");
  return files;
}

bool certifiable(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= 253 && plain(name.front()) && plain(name.back()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return plain(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace orrery::net
