#include "cluster/etcd_coordinator.hpp"

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "net/tls.hpp"
#include "tests/support/coordinator_contract.hpp"
#include "tests/support/etcd_server.hpp"

namespace orrery::tests {

class etcd_stand {
 public:
  etcd_stand() {
    server().call("/v3/kv/deleterange", R"({"key":"AA==","range_end":"AA=="})");
    made_ = cluster::make_etcd_coordinator({.endpoints = {server().endpoint()}});
  }
  cluster::coordinator& get() { return *made_; }
  /// Leases count real time.
  void pass(milliseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(milliseconds{10});
  }
  void pass_lease(milliseconds) {}
  static etcd_server& server() {
    static auto one = etcd_server{};
    return one;
  }

 private:
  std::unique_ptr<cluster::coordinator> made_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Etcd, CoordinatorContract, etcd_stand);

class EtcdCoordinator : public CoordinatorContract<etcd_stand> {
 protected:
  static etcd_server& server() { return etcd_stand::server(); }
};

TEST_F(EtcdCoordinator, GoesToTheNextEndpointWhenOneIsDown) {
  put("/k", "1");
  const auto c = cluster::make_etcd_coordinator(
      {.endpoints = {"http://127.0.0.1:1", server().endpoint()}, .patience = milliseconds{500}});
  const auto all = c->list("/k");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->items.at(0).value, "1");
  auto reader = news_reader{};
  const auto d = cluster::make_etcd_coordinator(
      {.endpoints = {"http://127.0.0.1:1", server().endpoint()}, .patience = milliseconds{500}});
  const auto following = d->follow("/k", all->revision, reader.listener());
  put("/k", "2");
  EXPECT_THAT(reader.wait_for(1), ElementsAre("/k=2"));
}

TEST_F(EtcdCoordinator, OneThatIsDownIsUnavailable) {
  const auto c = cluster::make_etcd_coordinator(
      {.endpoints = {"http://127.0.0.1:1"}, .patience = milliseconds{500}});
  EXPECT_EQ(c->list("/").error().code, model::errc::unavailable);
  EXPECT_EQ(c->swap({}, std::vector<cluster::change>{{"/k", "1"}}).error().code,
            model::errc::unavailable);
  EXPECT_EQ(c->grant(milliseconds{1}).error().code, model::errc::unavailable);
  EXPECT_EQ(c->renew(1).error().code, model::errc::unavailable);
  EXPECT_EQ(c->revoke(1).error().code, model::errc::unavailable);
}

TEST_F(EtcdCoordinator, FollowsOnAfterARestart) {
  auto reader = news_reader{};
  const auto from = put("/s/1", "before");
  const auto following = at().follow("/s/", from, reader.listener());
  put("/s/1", "a");
  EXPECT_EQ(reader.wait_for(1).size(), 1u);
  server().kill();
  server().start();
  put("/s/1", "b");
  EXPECT_THAT(reader.wait_for(2), ElementsAre("/s/1=a", "/s/1=b"));  // none twice, none lost
}

TEST_F(EtcdCoordinator, WhatIsCompactedIsLost) {
  const auto from = put("/s/1", "a");
  const auto last = put("/s/1", "b");
  put("/s/1", "c");
  server().call("/v3/kv/compaction", R"({"revision":")" + std::to_string(last + 1) + R"("})");
  auto reader = news_reader{};
  const auto following = at().follow("/s/", from, reader.listener());
  EXPECT_TRUE(reader.wait_until_lost());
}

TEST_F(EtcdCoordinator, LogsInWithAPassword) {
  auto own = etcd_server{};
  own.call("/v3/auth/user/add", R"({"name":"root","password":"secret"})");
  own.call("/v3/auth/user/grant", R"({"user":"root","role":"root"})");
  own.call("/v3/auth/enable", "{}");
  const auto access = cluster::etcd_access{.endpoints = {own.endpoint()}};
  EXPECT_FALSE(cluster::make_etcd_coordinator(access)->list("/"));
  auto wrong = access;
  wrong.user = "root";
  wrong.password = "wrong";
  EXPECT_FALSE(cluster::make_etcd_coordinator(wrong)->list("/"));
  auto right = wrong;
  right.password = "secret";
  const auto c = cluster::make_etcd_coordinator(right);
  auto reader = news_reader{};
  const auto following = c->follow("/k", c->list("/k")->revision, reader.listener());
  const auto made = c->swap({}, std::vector<cluster::change>{{"/k", "1"}});
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->done);
  EXPECT_THAT(reader.wait_for(1), ElementsAre("/k=1"));
  const auto lease = c->grant(milliseconds{5000});
  ASSERT_TRUE(lease);
  EXPECT_TRUE(*c->renew(*lease));
  // A restart forgets the tokens it gave.
  own.kill();
  own.start_without_waiting();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  auto again = c->list("/k");
  while (!again && std::chrono::steady_clock::now() < until)
    again = c->list("/k");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->items.size(), 1u);
}

TEST_F(EtcdCoordinator, SpeaksTls) {
  auto name = (std::filesystem::temp_directory_path() / "orrery-pki-XXXXXX").string();
  ASSERT_TRUE(::mkdtemp(name.data()));
  const auto pki = net::ensure_pki(name, {"127.0.0.1"});
  {
    auto own = etcd_server{{"--cert-file", pki.certificate, "--key-file", pki.key}, pki.ca};
    const auto c =
        cluster::make_etcd_coordinator({.endpoints = {own.endpoint()}, .ca_file = pki.ca});
    auto reader = news_reader{};
    const auto following = c->follow("/k", 0, reader.listener());
    const auto made = c->swap({}, std::vector<cluster::change>{{"/k", "1"}});
    ASSERT_TRUE(made);
    EXPECT_THAT(reader.wait_for(1), ElementsAre("/k=1"));
    // One that another authority has signed is not believed.
    const auto stranger = cluster::make_etcd_coordinator({.endpoints = {own.endpoint()}});
    EXPECT_EQ(stranger->list("/").error().code, model::errc::unavailable);
  }
  std::filesystem::remove_all(name);
}

TEST_F(EtcdCoordinator, RefusesAnEndpointThatIsNone) {
  EXPECT_THROW(cluster::make_etcd_coordinator({}), std::invalid_argument);
  EXPECT_THROW(cluster::make_etcd_coordinator({.endpoints = {"127.0.0.1:2379"}}),
               std::invalid_argument);
}

}  // namespace orrery::tests
