#include "net/tls.hpp"

#include <fstream>
#include <sys/stat.h>
#include <tuple>

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tests/net/peer.hpp"

namespace orrery::net {
namespace {

namespace fs = std::filesystem;

std::string text_of(const std::string& path) {
  auto in = std::ifstream{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}
void write_text(const std::string& path, std::string_view text) {
  std::ofstream{path, std::ios::binary} << text;
}

std::shared_ptr<X509> certificate(const std::string& path) {
  auto* f = std::fopen(path.c_str(), "r");
  auto* made = f ? PEM_read_X509(f, nullptr, nullptr, nullptr) : nullptr;
  if (f)
    std::fclose(f);
  return {made, [](X509* x) { X509_free(x); }};
}

std::string failure_of(const std::string& certificate_file, const std::string& key_file) {
  try {
    server_context(certificate_file, key_file);
    return "";
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}

class Pki : public testing::Test {
 protected:
  pki_files make(const std::vector<std::string>& hosts = {}) {
    return ensure_pki(folder.path() + "/pki", hosts);
  }
  scratch_folder folder;
};

TEST_F(Pki, MakesAnAuthorityAndAServerCertificateOfIt) {
  const auto files = make({"node.example.org", "192.0.2.7", "2001:db8::7"});
  const auto ca = certificate(files.ca), server = certificate(files.certificate);
  ASSERT_TRUE(ca && server);
  EXPECT_EQ(X509_verify(server.get(), X509_get0_pubkey(ca.get())), 1);
  EXPECT_EQ(X509_check_ca(ca.get()), 1);
  EXPECT_EQ(X509_check_ca(server.get()), 0);
  for (const auto* host : {"node.example.org", "localhost"})
    EXPECT_EQ(X509_check_host(server.get(), host, 0, 0, nullptr), 1) << host;
  for (const auto* address : {"192.0.2.7", "2001:db8::7", "127.0.0.1", "::1"})
    EXPECT_EQ(X509_check_ip_asc(server.get(), address, 0), 1) << address;
  EXPECT_EQ(X509_check_host(server.get(), "example.org", 0, 0, nullptr), 0);
}

TEST_F(Pki, KeysAreForTheirOwnerAlone) {
  const auto files = make();
  for (const auto& key : {files.key, folder.path() + "/pki/ca.key"}) {
    struct stat is {};
    ASSERT_EQ(::stat(key.c_str(), &is), 0) << key;
    EXPECT_EQ(is.st_mode & 0777, 0600u) << key;
  }
}

TEST_F(Pki, WhatIsThereStays) {
  const auto first = make();
  const auto ca = text_of(first.ca), server = text_of(first.certificate), key = text_of(first.key);
  const auto again = make({"another.example.org"});
  EXPECT_EQ(text_of(again.ca), ca);
  EXPECT_EQ(text_of(again.certificate), server);
  EXPECT_EQ(text_of(again.key), key);
}

TEST_F(Pki, ALostServerCertificateIsMadeAgainByTheSameAuthority) {
  const auto first = make();
  const auto ca = text_of(first.ca), server = text_of(first.certificate);
  fs::remove(first.certificate);
  const auto again = make();
  EXPECT_EQ(text_of(again.ca), ca);
  EXPECT_NE(text_of(again.certificate), server);
  EXPECT_EQ(failure_of(again.certificate, again.key), "");
  EXPECT_EQ(X509_verify(certificate(again.certificate).get(),
                        X509_get0_pubkey(certificate(again.ca).get())),
            1);
}

TEST_F(Pki, AnAuthorityThatCannotBeReadStopsIt) {
  const auto files = make();
  write_text(files.ca, "this is no certificate");
  fs::remove(files.certificate);
  try {
    make();
    FAIL() << "made a certificate of nobody";
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string{e.what()}.find(files.ca), std::string::npos) << e.what();
  }
  EXPECT_EQ(text_of(files.ca), "this is no certificate");  // nothing is thrown away
}

TEST_F(Pki, AFolderThatCannotBeWrittenStopsIt) {
  write_text(folder.path() + "/file", "");
  EXPECT_THROW(ensure_pki(folder.path() + "/file/pki", {}), std::exception);
}

TEST_F(Pki, AServerNeedsACertificateAndItsKey) {
  const auto files = make();
  EXPECT_EQ(failure_of(files.certificate, files.key), "");
  const auto none = folder.path() + "/none.pem", bad = folder.path() + "/bad.pem";
  write_text(bad, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
  // Each says which setting and which file.
  for (const auto& file : {none, bad}) {
    const auto of_certificate = failure_of(file, files.key),
               of_key = failure_of(files.certificate, file);
    EXPECT_NE(of_certificate.find("tls.certificate"), std::string::npos) << of_certificate;
    EXPECT_NE(of_certificate.find(file), std::string::npos) << of_certificate;
    EXPECT_NE(of_key.find("tls.key"), std::string::npos) << of_key;
    EXPECT_NE(of_key.find(file), std::string::npos) << of_key;
  }
  const auto mismatch = failure_of(files.certificate, folder.path() + "/pki/ca.key");
  EXPECT_NE(mismatch.find("tls.key"), std::string::npos) << mismatch;
}

TEST_F(Pki, AClientNeedsAuthorities) {
  const auto files = make();
  EXPECT_TRUE(client_context(files.ca));
  EXPECT_TRUE(client_context(""));
  const auto none = folder.path() + "/none.pem";
  try {
    client_context(none);
    FAIL() << "trusts whom?";
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string{e.what()}.find(none), std::string::npos) << e.what();
  }
}

class ClusterPki : public testing::Test {
 protected:
  std::string at(const std::string& name) const { return folder.path() + "/pki/" + name; }
  scratch_folder folder;
};

TEST_F(ClusterPki, IssuesCertificatesForBothEndsOfALink) {
  make_cluster_ca(folder.path() + "/pki");
  const auto files = issue_node_certificate(folder.path() + "/pki", "node-a.example");
  EXPECT_EQ(files.ca, at("ca.pem"));
  EXPECT_EQ(files.certificate, at("node-a.example.pem"));
  EXPECT_EQ(files.key, at("node-a.example.key"));
  const auto ca = certificate(files.ca), node = certificate(files.certificate);
  ASSERT_TRUE(ca && node);
  EXPECT_EQ(X509_verify(node.get(), X509_get0_pubkey(ca.get())), 1);
  EXPECT_EQ(X509_check_ca(node.get()), 0);
  EXPECT_EQ(X509_check_host(node.get(), "node-a.example", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_host(node.get(), "localhost", 0, 0, nullptr), 0);
  EXPECT_EQ(X509_check_purpose(node.get(), X509_PURPOSE_SSL_SERVER, 0), 1);
  EXPECT_EQ(X509_check_purpose(node.get(), X509_PURPOSE_SSL_CLIENT, 0), 1);
  struct stat is {};
  ASSERT_EQ(::stat(files.key.c_str(), &is), 0);
  EXPECT_EQ(is.st_mode & 0777, 0600u);
  EXPECT_TRUE(mutual_context(files.ca, files.certificate, files.key));
}

TEST_F(ClusterPki, TheAuthorityStaysAndCertificatesAreReplaced) {
  make_cluster_ca(folder.path() + "/pki");
  const auto ca = text_of(at("ca.pem")),
             first = text_of(issue_node_certificate(folder.path() + "/pki", "a").certificate);
  make_cluster_ca(folder.path() + "/pki");
  EXPECT_EQ(text_of(at("ca.pem")), ca);
  EXPECT_NE(text_of(issue_node_certificate(folder.path() + "/pki", "a").certificate), first);
}

TEST_F(ClusterPki, NotEveryNameCanStandInACertificate) {
  make_cluster_ca(folder.path() + "/pki");
  for (const auto& name :
       {"", ".", ".a", "a.", "-a", "*", "*.a", "a/b", "../a", "a b", "a,DNS:b", "ca"})
    EXPECT_THROW(issue_node_certificate(folder.path() + "/pki", name), std::runtime_error) << name;
  EXPECT_FALSE(certifiable(std::string(254, 'a')));
  const auto longest = std::string(200, 'a');  // a file can still be named so
  const auto node =
      certificate(issue_node_certificate(folder.path() + "/pki", longest).certificate);
  EXPECT_EQ(X509_check_host(node.get(), longest.data(), longest.size(), 0, nullptr), 1);
}

TEST_F(ClusterPki, NobodyIssuesWithoutTheAuthority) {
  EXPECT_THROW(issue_node_certificate(folder.path() + "/pki", "a"), std::runtime_error);
  make_cluster_ca(folder.path() + "/pki");
  fs::remove(at("ca.key"));
  EXPECT_THROW(issue_node_certificate(folder.path() + "/pki", "a"), std::runtime_error);
}

TEST_F(ClusterPki, AMemberNeedsAllThreeFiles) {
  make_cluster_ca(folder.path() + "/pki");
  const auto files = issue_node_certificate(folder.path() + "/pki", "a");
  const auto none = at("none.pem");
  for (const auto& [ca, own, key] :
       {std::tuple{none, files.certificate, files.key}, std::tuple{files.ca, none, files.key},
        std::tuple{files.ca, files.certificate, none}})
    try {
      mutual_context(ca, own, key);
      ADD_FAILURE() << "trusts whom?";
    } catch (const std::runtime_error& e) {
      const auto text = std::string{e.what()};
      EXPECT_NE(text.find("cluster.link_"), std::string::npos) << text;
      EXPECT_NE(text.find(none), std::string::npos) << text;
    }
}

}  // namespace
}  // namespace orrery::net
