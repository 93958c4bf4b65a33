#include "cluster/tls_node_link.hpp"

#include <openssl/ssl.h>

#include "cluster/link_frame.hpp"
#include "tests/net/peer.hpp"
#include "tests/support/node_link_contract.hpp"

namespace orrery::tests {

struct tls_links {
  std::unique_ptr<cluster::node_links> make(cluster::link_options o, cluster::link_events e) {
    return cluster::make_tls_node_links(std::move(o), std::move(e));
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Tls, NodeLinkContract, tls_links);

namespace {

using cluster::encode;
using cluster::link_data;
using cluster::link_greeting;
using testing::HasSubstr;

/// Node 2 with a healthy link to node 1, and others that come to its port.
class TlsNodeLink : public NodeLinkContract<tls_links> {
 protected:
  void SetUp() override {
    auto o = options(2, 22);
    o.connect_timeout = 500ms;
    o.heartbeat = 100ms;
    o.strangers_max = 32;
    a = start(options(1, 11));
    b = start(o);
    a->links->set_peers({b->as_peer()});
    // Node 3 would not dial node 2, so 0 is who else may come.
    auto other = peer(0, 5, 1);
    other.name = "node-c";
    b->links->set_peers({a->as_peer(), other});
    ASSERT_TRUE(b->record.wait_for("up 1/11"));
    ASSERT_TRUE(a->record.wait_for("up 2/22"));
    refused_before = b->links->figures().refused;  // node 1, before it was known
  }
  void TearDown() override {
    expect_to_pass(*a, *b, "still there");
    expect_to_pass(*b, *a, "still there");
    EXPECT_THAT(a->record.told(), ElementsAre("up 2/22"));
    const auto told = b->record.told();
    EXPECT_EQ(std::ranges::count(told, "up 1/11"), 1);
    EXPECT_EQ(std::ranges::count(told, "down 1/11"), 0);
  }
  /// Somebody with a certificate of the cluster, at TLS.
  net::peer dial(const std::string& shown = "node-c", const std::string& of = "ours") {
    auto p = net::peer::dial(b->links->port());
    const auto stem = pki->at(of + "/" + shown);
    const auto tls = net::mutual_context(pki->at(of + "/ca.pem"), stem + ".pem", stem + ".key");
    p.begin_tls(tls, "node-b");
    return p;
  }
  static link_greeting greeting() {
    return {.version_min = 1,
            .version_max = 1,
            .node = 0,
            .incarnation = 5,
            .expected = 22,
            .window = 1u << 20,
            .frame_max = 1000,
            .name = "node-c"};
  }
  template <class T>
  static std::string bytes_of(const T& what) {
    auto out = std::string{};
    encode(what, out);
    return out;
  }
  /// Its greeting's answer: whether it is a greeting; the reason if it is refused.
  std::string answer(net::peer& p, const link_greeting& g) {
    p.send(bytes_of(g));
    auto all = std::string{};
    while (true) {
      const auto got = cluster::decode_link_frame(all, cluster::link_greeting_max);
      if (!got)
        return "malformed";
      if (*got) {
        if (const auto* refusal = std::get_if<cluster::link_refusal>(&(*got)->what))
          return std::string{refusal->reason};
        return std::holds_alternative<link_greeting>((*got)->what) ? "welcome" : "something else";
      }
      const auto more = p.receive();
      if (more.empty())
        return "closed";
      all += more;
    }
  }
  net::peer linked() {
    auto p = dial();
    EXPECT_EQ(answer(p, greeting()), "welcome");
    EXPECT_TRUE(b->record.wait_for("up 0/5"));
    return p;
  }
  bool down() { return b->record.wait_for("down 0/5"); }
  std::uint64_t refused() { return b->links->figures().refused - refused_before; }
  std::uint64_t refused_before = 0;
};

TEST_F(TlsNodeLink, GreetsWhoIsRight) {
  auto p = linked();
  ASSERT_TRUE(p.send(bytes_of(link_data{3, "hello"})));
  EXPECT_TRUE(
      b->record.wait([](auto& r) { return std::ranges::count(r.messages, "0/5 3: hello"); }));
  ASSERT_TRUE(b->links->send(0, 5, 4, "you too"));
  const auto wanted = bytes_of(link_data{4, "you too"});
  auto got = std::string{};
  while (got.find(wanted) == std::string::npos) {
    const auto more = p.receive();
    ASSERT_FALSE(more.empty());
    got += more;
  }
  p.close();
  EXPECT_TRUE(down());
}

TEST_F(TlsNodeLink, AGreetingMustBeRightInEverything) {
  const auto said = [this](auto change, const std::string& shown = "node-c") {
    auto p = dial(shown);
    auto g = greeting();
    change(g);
    return answer(p, g);
  };
  EXPECT_THAT(said([](auto& g) { g.node = 7; }), HasSubstr("node 7 is not known"));
  EXPECT_THAT(said([](auto& g) { g.node = 2; }), HasSubstr("not known"));
  EXPECT_THAT(said([](auto& g) { g.node = 1, g.incarnation = 11, g.name = "node-a"; }),
              HasSubstr("not proved"));
  EXPECT_THAT(said([](auto&) {}, "node-a"), HasSubstr("not proved"));
  EXPECT_THAT(said([](auto& g) { g.name = "node-a"; }), HasSubstr("not proved"));
  EXPECT_THAT(said([](auto& g) { g.incarnation = 6; }), HasSubstr("another life"));
  EXPECT_THAT(said([](auto& g) { g.expected = 21; }), HasSubstr("another life of node 2"));
  EXPECT_THAT(said([](auto& g) { g.version_min = 2, g.version_max = 3; }), HasSubstr("versions"));
  wait_until([this] { return refused() == 8; }, "all counted");
  EXPECT_EQ(said([](auto&) {}), "welcome");
}

TEST_F(TlsNodeLink, TheLargerNumberDoesNotDial) {
  auto other = peer(3, 5, 1);
  b->links->set_peers({a->as_peer(), other});
  auto p = dial();
  auto g = greeting();
  g.node = 3;
  EXPECT_THAT(answer(p, g), HasSubstr("not to dial"));
}

TEST_F(TlsNodeLink, StrangersAreTurnedAway) {
  auto count = refused();
  const auto turned_away = [&](net::peer p) {
    p.receive_all();
    p.close();
    ++count;
    wait_until([&] { return refused() >= count; }, "refused");
  };
  {
    auto p = net::peer::dial(b->links->port());
    p.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    turned_away(std::move(p));
  }
  {
    auto p = net::peer::dial(b->links->port());
    p.send(std::string(200, '\x5a'));
    turned_away(std::move(p));
  }
  {
    auto p = net::peer::dial(b->links->port());
    p.send({"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11});  // and no more
    turned_away(std::move(p));
  }
  turned_away(net::peer::dial(b->links->port()));  // says nothing
  turned_away(dial("node-c", "theirs"));
  {
    auto nameless = net::client_context(pki->at("ours/ca.pem"));
    auto p = net::peer::dial(b->links->port());
    p.begin_tls(nameless, "node-b");
    turned_away(std::move(p));
  }
  {
    // It has signed itself.
    net::make_cluster_ca(pki->at("self"));
    auto tls =
        net::mutual_context(pki->at("ours/ca.pem"), pki->at("self/ca.pem"), pki->at("self/ca.key"));
    auto p = net::peer::dial(b->links->port());
    p.begin_tls(tls, "node-b");
    turned_away(std::move(p));
  }
  turned_away(dial());  // proved, but does not greet
  {
    auto p = dial();
    p.send(std::string(200, '\x5a'));
    turned_away(std::move(p));
  }
  {
    auto p = dial();
    p.send(bytes_of(link_data{1, "first of all"}));
    turned_away(std::move(p));
  }
  {
    auto p = dial();
    p.send(bytes_of(cluster::link_refusal{"no"}));
    turned_away(std::move(p));
  }
  {
    auto p = dial();
    p.send({"\0\0\2\1\1", 5});  // a greeting that is too long
    turned_away(std::move(p));
  }
  {
    auto p = dial();
    p.send(bytes_of(greeting()).substr(0, 20));
    turned_away(std::move(p));
  }
  EXPECT_EQ(refused(), count);
}

TEST_F(TlsNodeLink, SilentStrangersAreBoundedAndKeepNobodyOut) {
  auto silent = std::vector<net::peer>{};
  for (auto i = 0; i < 300; ++i)
    silent.push_back(net::peer::dial(b->links->port()));
  wait_until([this] { return refused() >= 300 - 32; }, "the oldest refused");
  auto p = linked();  // the newest has its turn
  wait_until([this] { return refused() == 300; }, "all of them timed out");
  for (auto& s : silent)
    EXPECT_EQ(s.receive(), "");
}

TEST_F(TlsNodeLink, ManyHandshakesDisturbNobody) {
  auto over = std::atomic<bool>{false};
  auto storm = std::thread{[&] {
    for (auto i = 0; i < 100; ++i)
      dial("node-c", "theirs").close();
    over = true;
  }};
  for (auto i = 0; !over || i < 100; ++i)
    expect_to_pass(*a, *b, std::to_string(i));
  storm.join();
  wait_until([this] { return refused() == 100; }, "all refused");
}

TEST_F(TlsNodeLink, AFrameOverTheMaximumEndsTheLink) {
  for (const auto& head : {std::string{"\xff\xff\xff\xff\3", 5}, std::string{"\0\x40\0\3\3", 5},
                           std::string{"\0\0\0\0\3", 5}}) {
    const auto before = b->record.told().size();
    auto p = dial();
    ASSERT_EQ(answer(p, greeting()), "welcome");
    ASSERT_TRUE(p.send(head));
    EXPECT_TRUE(b->record.wait([&](auto& r) { return r.story.size() == before + 2; }));
    p.receive_all();
  }
}

TEST_F(TlsNodeLink, WhatIsNoFrameEndsTheLink) {
  for (const auto& bytes : {bytes_of(greeting()), bytes_of(cluster::link_refusal{"no"}),
                            std::string{"\0\0\0\2\5\0", 6}, std::string{"\0\0\0\1\x09", 5}}) {
    const auto before = b->record.told().size();
    auto p = dial();
    ASSERT_EQ(answer(p, greeting()), "welcome");
    ASSERT_TRUE(p.send(bytes_of(link_data{1, "good"}) + bytes));
    EXPECT_TRUE(b->record.wait([&](auto& r) { return r.story.size() == before + 2; }));
    p.receive_all();
  }
}

TEST_F(TlsNodeLink, WhoSendsMoreThanTheWindowIsCutOff) {
  auto p = linked();
  b->record.keep_credit(true);
  const auto message = bytes_of(link_data{1, std::string(1u << 20, 'x')});
  for (auto i = 0; i < 17 && p.send(message); ++i) {
  }
  EXPECT_TRUE(down());
  b->record.keep_credit(false);
}

TEST_F(TlsNodeLink, CreditIsSaidInFull) {
  auto p = linked();
  const auto message = bytes_of(link_data{1, std::string(100'000, 'x')});
  for (auto i = 0; i < 30; ++i)
    ASSERT_TRUE(p.send(message));
  auto credited = std::size_t{0};
  auto all = std::string{};
  while (credited < 30 * cluster::link_cost(100'000)) {
    const auto got = cluster::decode_link_frame(all, 1000);
    ASSERT_TRUE(got);
    if (*got) {
      if (const auto* credit = std::get_if<cluster::link_credit>(&(*got)->what))
        credited += credit->bytes;
      all.erase(0, (*got)->size);
      continue;
    }
    const auto more = p.receive();
    ASSERT_FALSE(more.empty());
    all += more;
  }
  EXPECT_EQ(credited, 30 * cluster::link_cost(100'000));
}

TEST_F(TlsNodeLink, CutsMakeNoDifference) {
  auto p = linked();
  const auto frames = bytes_of(link_data{1, "one"}) + bytes_of(cluster::link_heartbeat{}) +
                      bytes_of(link_data{2, ""}) + bytes_of(link_data{3, std::string(300, 'x')});
  for (const auto c : frames)
    ASSERT_TRUE(p.send({&c, 1}));
  ASSERT_TRUE(b->record.wait_for_messages(3));
  EXPECT_THAT(b->record.heard(),
              ElementsAre("0/5 1: one", "0/5 2: ", "0/5 3: " + std::string(300, 'x')));
}

TEST(TlsNodeLinks, CannotBeMadeOfNonsense) {
  const auto pki = cluster_pki{};
  const auto good = [&] {
    auto o = cluster::link_options{};
    o.self = 1;
    o.name = "node-a";
    o.incarnation = 11;
    o.host = "127.0.0.1";
    o.ca_file = pki.at("ours/ca.pem");
    o.certificate_file = pki.at("ours/node-a.pem");
    o.key_file = pki.at("ours/node-a.key");
    return o;
  };
  const auto refused = [&](auto change) {
    auto o = good();
    change(o);
    try {
      cluster::make_tls_node_links(o, {});
      return false;
    } catch (const std::exception&) {
      return true;
    }
  };
  EXPECT_FALSE(refused([](auto&) {}));
  EXPECT_TRUE(refused([](auto& o) { o.incarnation = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.name = ""; }));
  EXPECT_TRUE(refused([](auto& o) { o.name = ".node-a"; }));
  EXPECT_TRUE(refused([](auto& o) { o.window_bytes = o.frame_max_bytes; }));
  EXPECT_TRUE(refused([](auto& o) { o.window_bytes = std::size_t{2} << 30; }));
  EXPECT_TRUE(refused([](auto& o) { o.heartbeat = 5ms; }));
  EXPECT_TRUE(refused([](auto& o) { o.silence = o.heartbeat; }));
  EXPECT_TRUE(refused([](auto& o) { o.version_min = 2; }));
  EXPECT_TRUE(refused([](auto& o) { o.version_min = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.host = "no address"; }));
  EXPECT_TRUE(refused([](auto& o) { o.ca_file = "/nowhere"; }));
  EXPECT_TRUE(refused([](auto& o) { o.certificate_file = "/nowhere"; }));
  EXPECT_TRUE(refused([](auto& o) { o.key_file = o.ca_file; }));
  const auto first = cluster::make_tls_node_links(good(), {});
  EXPECT_TRUE(refused([&](auto& o) { o.port = first->port(); }));
}

}  // namespace
}  // namespace orrery::tests
