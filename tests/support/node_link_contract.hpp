// What links between nodes promise, whatever carries them, as tests: TYPED by a stand that makes
// them.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/node_link.hpp"
#include "net/tls.hpp"
#include "observe/log.hpp"
#include "tests/support/relay.hpp"

namespace orrery::tests {

using namespace std::chrono_literals;

/// Certificates of one cluster, and of another one that has the same names.
class cluster_pki {
 public:
  cluster_pki()
      : folder_{std::filesystem::temp_directory_path() /
                ("orrery-links-" + std::to_string(::getpid()))} {
    for (const auto* cluster : {"ours", "theirs"}) {
      net::make_cluster_ca(at(cluster));
      for (const auto* name : {"node-a", "node-b", "node-c"})
        net::issue_node_certificate(at(cluster), name);
    }
  }
  ~cluster_pki() { std::filesystem::remove_all(folder_); }
  cluster_pki(const cluster_pki&) = delete;
  cluster_pki& operator=(const cluster_pki&) = delete;

  std::string at(const std::string& what) const { return folder_ / what; }

 private:
  std::filesystem::path folder_;
};

/// What the events of one node's links told, and a way to wait for it.
class link_record {
 public:
  cluster::link_events events() {
    return {[this](cluster::node_id n, std::uint64_t life) { note("up", n, life); },
            [this](cluster::node_id n, std::uint64_t life) { note("down", n, life); },
            [this](const cluster::link_message& m) { take(m); }};
  }
  template <class Condition>
  bool wait(Condition holds, std::chrono::milliseconds most = 30s) {
    auto hold = std::unique_lock{mutex_};
    return changed_.wait_for(hold, most, [&] { return holds(*this); });
  }
  bool wait_for(const std::string& told, std::chrono::milliseconds most = 30s) {
    return wait([&](auto& r) { return std::ranges::count(r.story, told) > 0; }, most);
  }
  bool wait_for_messages(std::size_t count) {
    return wait([&](auto& r) { return r.messages.size() >= count; });
  }
  std::vector<std::string> told() {
    const auto hold = std::lock_guard{mutex_};
    return story;
  }
  std::vector<std::string> heard() {
    const auto hold = std::lock_guard{mutex_};
    return messages;
  }
  void keep_credit(bool yes) {
    auto dropped = std::vector<std::shared_ptr<const void>>{};
    const auto hold = std::lock_guard{mutex_};
    keeping_ = yes;
    if (!yes)
      dropped.swap(kept_);
  }
  /// The links' thread stands still at the next message, as if the process were stopped.
  void freeze() { frozen_ = true; }
  void thaw() {
    frozen_ = false;
    frozen_.notify_all();
  }
  std::function<void(cluster::node_id, std::uint64_t)> on_up;

  // Guarded while waited for:
  std::vector<std::string> story;     // "up 2/7", "down 2/7"
  std::vector<std::string> messages;  // "2/7 channel: bytes"
  std::size_t bytes = 0;
  bool early = false;  // a message of a life that was not up

 private:
  void note(const std::string& what, cluster::node_id n, std::uint64_t life) {
    {
      const auto hold = std::lock_guard{mutex_};
      story.push_back(what + " " + std::to_string(n) + "/" + std::to_string(life));
    }
    changed_.notify_all();
    if (on_up && what == "up")
      on_up(n, life);
  }
  void take(const cluster::link_message& m) {
    frozen_.wait(true);
    const auto hold = std::lock_guard{mutex_};
    const auto who = std::to_string(m.from) + "/" + std::to_string(m.incarnation);
    early = early ||
            std::ranges::count(story, "up " + who) != std::ranges::count(story, "down " + who) + 1;
    messages.push_back(who + " " + std::to_string(m.channel) + ": " + std::string{m.bytes});
    bytes += m.bytes.size();
    if (keeping_)
      kept_.push_back(m.credit);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool keeping_ = false;
  std::vector<std::shared_ptr<const void>> kept_;
  std::atomic<bool> frozen_{false};
};

/// `Stand`: make(link_options, link_events) gives a std::unique_ptr<cluster::node_links>.
template <class Stand>
class NodeLinkContract : public testing::Test {
 public:
  static void SetUpTestSuite() {
    std::signal(SIGPIPE, SIG_IGN);  // as the program does
#ifdef __SANITIZE_THREAD__
    observe::log::set_level(observe::log::level::off);  // its library is not instrumented
#endif
    pki = std::make_unique<cluster_pki>();
  }
  static void TearDownTestSuite() {
    pki.reset();
  }

  static std::string name_of(cluster::node_id n) {
    return std::string{"node-"} + static_cast<char>('a' + n - 1);
  }
  /// Of node 1 ("node-a"), 2 or 3; what waits is short, so that tests need not.
  static cluster::link_options options(cluster::node_id self, std::uint64_t life,
                                       const std::string& shown = "",
                                       const std::string& of = "ours") {
    const auto stem = pki->at(of + "/" + (shown.empty() ? name_of(self) : shown));
    auto o = cluster::link_options{};
    o.self = self;
    o.name = name_of(self);
    o.incarnation = life;
    o.host = "127.0.0.1";
    o.ca_file = pki->at(of + "/ca.pem");
    o.certificate_file = stem + ".pem";
    o.key_file = stem + ".key";
    o.backoff_min = 10ms;
    o.backoff_max = 100ms;
    return o;
  }
  static cluster::link_peer peer(cluster::node_id n, std::uint64_t life, std::uint16_t port) {
    return {.node = n, .name = name_of(n), .host = "127.0.0.1", .port = port, .incarnation = life};
  }
  struct node {
    link_record record;
    cluster::link_options options;
    std::unique_ptr<cluster::node_links> links;  // goes first
    ~node() { record.thaw(); }
    cluster::link_peer as_peer() const {
      return peer(options.self, options.incarnation, links->port());
    }
  };
  std::unique_ptr<node> start(cluster::link_options o) {
    auto made = std::make_unique<node>();
    made->options = o;
    made->links = stand.make(o, made->record.events());
    return made;
  }
  /// Nodes 1 and 2, and a link between them.
  void link_a_and_b() {
    a = start(options(1, 11));
    b = start(options(2, 22));
    introduce(*a, *b);
  }
  static void introduce(node& x, node& y) {
    x.links->set_peers({y.as_peer()});
    y.links->set_peers({x.as_peer()});
    ASSERT_TRUE(x.record.wait_for(up(y)));
    ASSERT_TRUE(y.record.wait_for(up(x)));
  }
  static std::string id(const node& n) {
    return std::to_string(n.options.self) + "/" + std::to_string(n.options.incarnation);
  }
  static std::string up(const node& n) {
    return "up " + id(n);
  }
  static std::string down(const node& n) {
    return "down " + id(n);
  }
  /// A message and its way there.
  static void expect_to_pass(node& from, node& to, const std::string& text) {
    ASSERT_TRUE(from.links->send(to.options.self, to.options.incarnation, 7, text));
    const auto wanted = id(from) + " 7: " + text;
    ASSERT_TRUE(to.record.wait([&](auto& r) { return std::ranges::count(r.messages, wanted) > 0; }))
        << text;
  }
  template <class Condition>
  static void wait_until(Condition holds, const char* what, std::chrono::milliseconds most = 30s) {
    const auto end = std::chrono::steady_clock::now() + most;
    while (!holds()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << "not in time: " << what;
      std::this_thread::yield();
    }
  }
  /// Sends until it is refused, at most `most` messages; how many were taken.
  static std::size_t send_until_refused(node& from, cluster::node_id to, std::size_t bytes,
                                        std::size_t most = 1'000'000) {
    const auto message = std::string(bytes, 'x');
    auto count = std::size_t{0};
    while (count < most && from.links->send(to, 0, 1, message))
      ++count;
    return count;
  }

  Stand stand;
  std::unique_ptr<node> a, b, c;
  static inline std::unique_ptr<cluster_pki> pki;
};
TYPED_TEST_SUITE_P(NodeLinkContract);

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

TYPED_TEST_P(NodeLinkContract, CarriesMessagesBothWays) {
  this->link_a_and_b();
  EXPECT_TRUE(this->a->links->send(2, 22, 1, "to b"));
  EXPECT_TRUE(this->b->links->send(1, 0, 255, std::string{"\0to a", 5}));
  EXPECT_TRUE(this->b->links->send(1, 11, 0, ""));
  ASSERT_TRUE(this->a->record.wait_for_messages(2));
  ASSERT_TRUE(this->b->record.wait_for_messages(1));
  EXPECT_THAT(this->b->record.heard(), ElementsAre("1/11 1: to b"));
  EXPECT_THAT(this->a->record.heard(),
              ElementsAre("2/22 255: " + std::string{"\0to a", 5}, "2/22 0: "));
  EXPECT_THAT(this->a->record.told(), ElementsAre("up 2/22"));
  EXPECT_THAT(this->b->record.told(), ElementsAre("up 1/11"));
  EXPECT_EQ(this->a->links->figures().links_up, 1u);
  EXPECT_EQ(this->a->links->figures().messages_sent, 1u);
  EXPECT_EQ(this->a->links->figures().bytes_received, 5u);
  EXPECT_EQ(this->b->links->figures().messages_sent, 2u);
  EXPECT_EQ(this->b->links->figures().bytes_sent, 5u);
}

TYPED_TEST_P(NodeLinkContract, KeepsTheOrderAcrossChannels) {
  this->link_a_and_b();
  constexpr auto count = 20'000u;
  auto random = std::uint32_t{1};
  for (auto i = 0u; i < count; ++i) {
    random = random * 1'664'525u + 1'013'904'223u;
    const auto size = (random >> 16) % 1000 == 0 ? 300'000 : (random >> 8) % 300;
    const auto text = std::to_string(i) + ";" + std::string(size, 'x');
    this->wait_until([&] { return this->a->links->send(2, 22, i % 5, text); }, "room");
  }
  ASSERT_TRUE(this->b->record.wait_for_messages(count));
  const auto heard = this->b->record.heard();
  for (auto i = 0u; i < count; ++i)
    ASSERT_EQ(heard[i].substr(0, heard[i].find(';')),
              "1/11 " + std::to_string(i % 5) + ": " + std::to_string(i));
}

TYPED_TEST_P(NodeLinkContract, ManyThreadsSendAtOnce) {
  this->link_a_and_b();
  auto threads = std::vector<std::thread>{};
  for (auto t = 0; t < 4; ++t)
    threads.emplace_back([this, t] {
      for (auto i = 0; i < 2000; ++i)
        this->wait_until(
            [&] {
              return this->a->links->send(2, 0, static_cast<std::uint8_t>(t), std::to_string(i));
            },
            "room");
    });
  for (auto& t : threads)
    t.join();
  ASSERT_TRUE(this->b->record.wait_for_messages(8000));
  auto next = std::vector<int>(4, 0);
  for (const auto& m : this->b->record.heard()) {
    auto& expected = next[static_cast<std::size_t>(m[5] - '0')];
    ASSERT_EQ(m.substr(8), std::to_string(expected++));
  }
}

TYPED_TEST_P(NodeLinkContract, UpComesBeforeTheFirstMessage) {
  this->a = this->start(this->options(1, 11));
  this->b = this->start(this->options(2, 22));
  for (auto* n : {this->a.get(), this->b.get()})
    n->record.on_up = [n](cluster::node_id who, std::uint64_t life) {
      EXPECT_TRUE(n->links->send(who, life, 1, "at once"));
    };
  this->introduce(*this->a, *this->b);
  ASSERT_TRUE(this->a->record.wait_for_messages(1));
  ASSERT_TRUE(this->b->record.wait_for_messages(1));
  EXPECT_FALSE(this->a->record.early);
  EXPECT_FALSE(this->b->record.early);
}

TYPED_TEST_P(NodeLinkContract, SendsNothingWithoutALink) {
  this->link_a_and_b();
  EXPECT_FALSE(this->a->links->send(3, 0, 1, "nobody"));
  EXPECT_FALSE(this->a->links->send(1, 0, 1, "myself"));
  EXPECT_FALSE(this->a->links->send(2, 21, 1, "an earlier life"));
  EXPECT_FALSE(this->a->links->send(2, 23, 1, "a later one"));
  this->expect_to_pass(*this->a, *this->b, "the right one");
  this->b->links.reset();
  ASSERT_TRUE(this->a->record.wait_for("down 2/22"));
  EXPECT_FALSE(this->a->links->send(2, 0, 1, "gone"));
  EXPECT_EQ(this->a->links->figures().links_up, 0u);
  EXPECT_THAT(this->b->record.told(), ElementsAre("up 1/11", "down 1/11"));
}

TYPED_TEST_P(NodeLinkContract, ThreeNodesEachHaveTheirLink) {
  this->a = this->start(this->options(1, 11));
  this->b = this->start(this->options(2, 22));
  this->c = this->start(this->options(3, 33));
  const auto all = {this->a.get(), this->b.get(), this->c.get()};
  for (auto* n : all)
    n->links->set_peers({this->a->as_peer(), this->b->as_peer(), this->c->as_peer()});
  for (auto* from : all)
    for (auto* to : all)
      if (from != to) {
        ASSERT_TRUE(from->record.wait_for(this->up(*to)));
        this->expect_to_pass(*from, *to, "hello");
      }
  for (auto* n : all) {
    EXPECT_EQ(n->record.told().size(), 2u);
    EXPECT_EQ(n->links->figures().links_up, 2u);
  }
}

TYPED_TEST_P(NodeLinkContract, AHostCanBeAName) {
  this->a = this->start(this->options(1, 11));
  this->b = this->start(this->options(2, 22));
  auto there = this->b->as_peer();
  there.host = "localhost";
  this->a->links->set_peers({there});
  this->b->links->set_peers({this->a->as_peer()});
  EXPECT_TRUE(this->a->record.wait_for("up 2/22"));
}

TYPED_TEST_P(NodeLinkContract, TheCertificateProvesTheName) {
  // Both have certificates of the cluster, for other names than the directory has.
  this->a = this->start(this->options(1, 11));
  this->b = this->start(this->options(2, 22, "node-c"));
  this->c = this->start(this->options(3, 33));
  this->a->links->set_peers({this->b->as_peer(), this->c->as_peer()});
  this->b->links->set_peers({this->a->as_peer(), this->c->as_peer()});
  this->c->links->set_peers({this->a->as_peer(), this->b->as_peer()});
  ASSERT_TRUE(this->a->record.wait_for("up 3/33"));
  // It is dialed by 1, and dials 3: neither believes it, again and again.
  this->wait_until([&] { return this->b->links->figures().refused >= 3; }, "refused by 1");
  this->wait_until([&] { return this->c->links->figures().refused >= 3; }, "refused by 3");
  EXPECT_THAT(this->a->record.told(), ElementsAre("up 3/33"));
  EXPECT_THAT(this->b->record.told(), IsEmpty());
  EXPECT_THAT(this->c->record.told(), ElementsAre("up 1/11"));
}

TYPED_TEST_P(NodeLinkContract, NobodyOfTheClusterStandsBetween) {
  this->a = this->start(this->options(1, 11));
  this->b = this->start(this->options(2, 22));
  const auto c_pem = this->pki->at("ours/node-c.pem"), c_key = this->pki->at("ours/node-c.key");
  auto c_between = go_between{this->b->links->port(),
                              net::mutual_context(this->pki->at("ours/ca.pem"), c_pem, c_key)};
  auto there = this->b->as_peer();
  there.port = c_between.port();
  this->a->links->set_peers({there});
  this->b->links->set_peers({this->a->as_peer()});
  this->wait_until([&] { return c_between.met() >= 3 || !this->a->record.told().empty(); }, "met");
  EXPECT_THAT(this->a->record.told(), IsEmpty());
  EXPECT_THAT(this->b->record.told(), IsEmpty());
}

TYPED_TEST_P(NodeLinkContract, OtherAuthoritiesCountNothing) {
  this->a = this->start(this->options(1, 11, "", "theirs"));
  this->b = this->start(this->options(2, 22));
  this->c = this->start(this->options(3, 33, "", "theirs"));
  this->a->links->set_peers({this->b->as_peer()});
  this->b->links->set_peers({this->a->as_peer(), this->c->as_peer()});
  this->c->links->set_peers({this->b->as_peer()});
  this->wait_until([&] { return this->b->links->figures().refused >= 3; }, "refused");
  this->wait_until([&] { return this->c->links->figures().refused >= 3; }, "refused");
  for (const auto* n : {&this->a, &this->b, &this->c})
    EXPECT_THAT((*n)->record.told(), IsEmpty());
}

TYPED_TEST_P(NodeLinkContract, WhoIsNoPeerIsRefused) {
  this->a = this->start(this->options(1, 11));
  this->b = this->start(this->options(2, 22));
  this->a->links->set_peers({this->b->as_peer()});
  this->wait_until([&] { return this->b->links->figures().refused >= 3; }, "refused");
  EXPECT_THAT(this->a->record.told(), IsEmpty());
  this->b->links->set_peers({this->a->as_peer()});
  ASSERT_TRUE(this->a->record.wait_for("up 2/22"));
  // Struck off the list, it is out.
  this->b->links->set_peers({});
  ASSERT_TRUE(this->b->record.wait_for("down 1/11"));
  ASSERT_TRUE(this->a->record.wait_for("down 2/22"));
  EXPECT_FALSE(this->b->links->send(1, 0, 1, "nothing"));
}

TYPED_TEST_P(NodeLinkContract, ARestartedNodeIsAnother) {
  this->link_a_and_b();
  const auto port = this->b->links->port();
  // What waits for the old life: more than the link takes.
  this->b->record.keep_credit(true);
  EXPECT_GT(this->send_until_refused(*this->a, 2, 50'000), 0u);
  this->b->links.reset();
  ASSERT_TRUE(this->a->record.wait_for("down 2/22"));
  auto again = this->options(2, 23);
  again.port = port;
  auto next = this->start(again);
  next->links->set_peers({this->a->as_peer()});
  // The directory does not know of it yet: the dialer wants the old life.
  this->wait_until([&] { return next->links->figures().refused >= 3; }, "refused");
  EXPECT_FALSE(this->a->links->send(2, 0, 1, "to whom?"));
  this->a->links->set_peers({next->as_peer()});
  ASSERT_TRUE(this->a->record.wait_for("up 2/23"));
  EXPECT_FALSE(this->a->links->send(2, 22, 1, "to the old one"));
  this->expect_to_pass(*this->a, *next, "to the new one");
  EXPECT_THAT(next->record.heard(), ElementsAre("1/11 7: to the new one"));
  EXPECT_THAT(this->a->record.told(), ElementsAre("up 2/22", "down 2/22", "up 2/23"));
}

TYPED_TEST_P(NodeLinkContract, ARestartedDialerIsAnother) {
  this->link_a_and_b();
  const auto port = this->a->links->port();
  this->a->links.reset();
  ASSERT_TRUE(this->b->record.wait_for("down 1/11"));
  auto again = this->options(1, 12);
  again.port = port;
  auto next = this->start(again);
  next->links->set_peers({this->b->as_peer()});
  this->wait_until([&] { return this->b->links->figures().refused >= 2; }, "refused");
  EXPECT_FALSE(this->b->links->send(1, 0, 1, "to whom?"));
  this->b->links->set_peers({next->as_peer()});
  ASSERT_TRUE(this->b->record.wait_for("up 1/12"));
  EXPECT_FALSE(this->b->links->send(1, 11, 1, "to the old one"));
  this->expect_to_pass(*this->b, *next, "to the new one");
}

TYPED_TEST_P(NodeLinkContract, ALinkEndsWhenAnotherLifeIsKnown) {
  this->link_a_and_b();
  auto later = this->b->as_peer();
  later.incarnation = 23;
  this->a->links->set_peers({later});
  ASSERT_TRUE(this->a->record.wait_for("down 2/22"));
  ASSERT_TRUE(this->b->record.wait_for("down 1/11"));
  EXPECT_FALSE(this->a->links->send(2, 0, 1, "to whom?"));
  this->a->links->set_peers({this->b->as_peer()});  // it was a mistake
  ASSERT_TRUE(
      this->a->record.wait([](auto& r) { return std::ranges::count(r.story, "up 2/22") == 2; }));
}

TYPED_TEST_P(NodeLinkContract, SilenceIsNoticedWithinThreeSeconds) {
  this->a = this->start(this->options(1, 11));
  this->b = this->start(this->options(2, 22));
  auto between = relay{this->b->links->port()};
  auto there = this->b->as_peer();
  there.port = between.port();
  this->a->links->set_peers({there});
  this->b->links->set_peers({this->a->as_peer()});
  ASSERT_TRUE(this->a->record.wait_for("up 2/22"));
  this->expect_to_pass(*this->a, *this->b, "hello");
  const auto begin = std::chrono::steady_clock::now();
  between.go_silent();
  EXPECT_TRUE(this->a->record.wait_for("down 2/22", 4s));
  EXPECT_TRUE(this->b->record.wait_for("down 1/11", 4s));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
  ASSERT_TRUE(
      this->a->record.wait([](auto& r) { return std::ranges::count(r.story, "up 2/22") == 2; }));
  this->expect_to_pass(*this->a, *this->b, "hello again");
}

TYPED_TEST_P(NodeLinkContract, AnIdleLinkStaysUp) {
  auto quick = this->options(1, 11), slow = this->options(2, 22);
  quick.silence = 800ms;
  quick.heartbeat = 100ms;
  slow.silence = 800ms;
  slow.heartbeat = 100ms;
  this->a = this->start(quick);
  this->b = this->start(slow);
  this->introduce(*this->a, *this->b);
  EXPECT_FALSE(this->a->record.wait_for("down 2/22", 1600ms));
  EXPECT_THAT(this->b->record.told(), ElementsAre("up 1/11"));
}

TYPED_TEST_P(NodeLinkContract, AStoppedPeerIsDownUntilItGoesOn) {
  auto quick = this->options(1, 11);
  quick.silence = 500ms;
  quick.heartbeat = 100ms;
  this->a = this->start(quick);
  this->b = this->start(this->options(2, 22));
  this->introduce(*this->a, *this->b);
  this->b->record.freeze();  // its kernel still answers
  ASSERT_TRUE(this->a->links->send(2, 22, 1, "stop"));
  EXPECT_TRUE(this->a->record.wait_for("down 2/22", 3s));
  this->b->record.thaw();
  ASSERT_TRUE(
      this->a->record.wait([](auto& r) { return std::ranges::count(r.story, "up 2/22") == 2; }));
  ASSERT_TRUE(
      this->b->record.wait([](auto& r) { return std::ranges::count(r.story, "up 1/11") == 2; }));
  this->expect_to_pass(*this->a, *this->b, "go on");
}

TYPED_TEST_P(NodeLinkContract, AnEndThatOneSideDoesNotSeeIsReplaced) {
  this->a = this->start(this->options(1, 11));
  auto patient = this->options(2, 22);
  patient.silence = 60s;
  this->b = this->start(patient);
  auto between = relay{this->b->links->port()};
  auto there = this->b->as_peer();
  there.port = between.port();
  this->a->links->set_peers({there});
  this->b->links->set_peers({this->a->as_peer()});
  ASSERT_TRUE(this->b->record.wait_for("up 1/11"));
  ASSERT_TRUE(this->a->record.wait_for("up 2/22"));
  between.end_for_dialers();
  ASSERT_TRUE(
      this->b->record.wait([](auto& r) { return std::ranges::count(r.story, "up 1/11") == 2; }));
  EXPECT_THAT(this->b->record.told(), ElementsAre("up 1/11", "down 1/11", "up 1/11"));
  this->expect_to_pass(*this->b, *this->a, "on the new one");
}

/// Node 3, while there is nobody at the port of node 2 who says a word.
template <class Fixture>
void expect_no_delay(Fixture& at, std::uint16_t port) {
  auto patient = at.options(1, 11);
  patient.connect_timeout = 60s;
  at.a = at.start(patient);
  at.c = at.start(at.options(3, 33));
  at.c->links->set_peers({at.a->as_peer()});
  at.a->links->set_peers({at.peer(2, 22, port)});
  at.wait_until([&] { return at.a->links->figures().dials > 0; }, "dialed");
  at.a->links->set_peers({at.peer(2, 22, port), at.c->as_peer()});
  ASSERT_TRUE(at.a->record.wait_for("up 3/33", 10s));
  at.expect_to_pass(*at.a, *at.c, "hello");
}

TYPED_TEST_P(NodeLinkContract, ABlackHoleDelaysNobody) {
  const auto hole = black_hole{};
  expect_no_delay(*this, hole.port());
}

TYPED_TEST_P(NodeLinkContract, AMutePeerDelaysNobody) {
  const auto mute = mute_listener{};
  expect_no_delay(*this, mute.port());
}

TYPED_TEST_P(NodeLinkContract, ADialThatNobodyAnswersIsGivenUp) {
  auto hasty = this->options(1, 11);
  hasty.connect_timeout = 200ms;
  hasty.heartbeat = 100ms;
  this->a = this->start(hasty);
  this->b = this->start(this->options(2, 22));
  this->b->links->set_peers({this->a->as_peer()});
  auto hole = std::make_optional<black_hole>();
  const auto port = hole->port();
  this->a->links->set_peers({this->peer(2, 22, port)});
  // It answers later: as long as the first dial hangs the kernel would wait a second or more.
  this->wait_until([&] { return this->a->links->figures().dials >= 3; }, "dialed again");
  hole.reset();
  this->a->links->set_peers({this->b->as_peer()});
  EXPECT_TRUE(this->a->record.wait_for("up 2/22"));
}

TYPED_TEST_P(NodeLinkContract, NeitherSideGrowsWithoutBound) {
  auto small = this->options(1, 11), other = this->options(2, 22);
  for (auto* o : {&small, &other}) {
    o->frame_max_bytes = 64'000;
    o->window_bytes = 256'000;
    o->queue_max_bytes = 512'000;
  }
  this->a = this->start(small);
  this->b = this->start(other);
  this->introduce(*this->a, *this->b);
  this->b->record.keep_credit(true);
  auto taken = this->send_until_refused(*this->a, 2, 1000);
  ASSERT_TRUE(this->b->record.wait([](auto& r) { return r.bytes > 230'000; }));
  taken += this->send_until_refused(*this->a, 2, 1000);
  EXPECT_GE(taken, 256u + 512u - 100u);
  EXPECT_LE(taken, 256u + 512u);
  EXPECT_LE(this->a->links->figures().queued_bytes, 512'000u);
  // Nothing more comes than the window holds, but the link lives.
  this->expect_to_pass(*this->b, *this->a, "the other way is free");
  EXPECT_LE(this->b->links->figures().bytes_received, 256'000u);
  this->b->record.keep_credit(false);
  ASSERT_TRUE(this->b->record.wait_for_messages(taken));
  EXPECT_THAT(this->a->record.told(), ElementsAre("up 2/22"));
  this->expect_to_pass(*this->a, *this->b, "and on it goes");
}

TYPED_TEST_P(NodeLinkContract, EmptyMessagesCountToo) {
  auto small = this->options(1, 11), other = this->options(2, 22);
  for (auto* o : {&small, &other}) {
    o->frame_max_bytes = 10'000;
    o->window_bytes = 64'000;
    o->queue_max_bytes = 10'000;
  }
  this->a = this->start(small);
  this->b = this->start(other);
  this->introduce(*this->a, *this->b);
  this->b->record.keep_credit(true);
  EXPECT_LT(this->send_until_refused(*this->a, 2, 0), 10'000u);
}

TYPED_TEST_P(NodeLinkContract, CreditCanComeBackAfterTheEnd) {
  this->link_a_and_b();
  this->b->record.keep_credit(true);
  for (auto i = 0; i < 100; ++i)
    ASSERT_TRUE(this->a->links->send(2, 22, 1, std::string(100'000, 'x')));
  ASSERT_TRUE(this->b->record.wait_for_messages(100));
  this->b->links.reset();
  this->b->record.keep_credit(false);
}

TYPED_TEST_P(NodeLinkContract, AMessageHasALongestLength) {
  this->link_a_and_b();
  EXPECT_FALSE(this->a->links->send(2, 22, 1, std::string((4u << 20) + 1, 'x')));
  EXPECT_TRUE(this->a->links->send(2, 22, 1, std::string(4u << 20, 'x')));
  this->expect_to_pass(*this->a, *this->b, "after it");
  EXPECT_EQ(this->b->record.bytes, (4u << 20) + 8);
  EXPECT_THAT(this->a->record.told(), ElementsAre("up 2/22"));
}

TYPED_TEST_P(NodeLinkContract, TheSmallerMaximumCounts) {
  auto small = this->options(2, 22);
  small.frame_max_bytes = 1000;
  this->a = this->start(this->options(1, 11));
  this->b = this->start(small);
  this->introduce(*this->a, *this->b);
  EXPECT_FALSE(this->a->links->send(2, 22, 1, std::string(1001, 'x')));
  EXPECT_FALSE(this->b->links->send(1, 11, 1, std::string(1001, 'x')));
  this->expect_to_pass(*this->a, *this->b, std::string(1000, 'x'));
}

TYPED_TEST_P(NodeLinkContract, TheyNeedAVersionInCommon) {
  const auto speaking = [this](cluster::node_id n, std::uint16_t least, std::uint16_t newest) {
    auto o = this->options(n, n * 11u);
    o.version_min = least;
    o.version_max = newest;
    return this->start(o);
  };
  this->a = speaking(1, 1, 2);
  this->b = speaking(2, 2, 3);
  this->c = speaking(3, 3, 4);
  const auto all = {this->a->as_peer(), this->b->as_peer(), this->c->as_peer()};
  for (auto* n : {this->a.get(), this->b.get(), this->c.get()})
    n->links->set_peers(all);
  ASSERT_TRUE(this->a->record.wait_for("up 2/22"));
  ASSERT_TRUE(this->b->record.wait_for("up 1/11"));
  ASSERT_TRUE(this->b->record.wait_for("up 3/33"));
  this->wait_until([&] { return this->c->links->figures().refused >= 2; }, "1 refused by 3");
  EXPECT_EQ(this->b->links->version(1), 2u);
  EXPECT_EQ(this->b->links->version(3), 3u);
  EXPECT_EQ(this->a->links->version(2), 2u);
  EXPECT_EQ(this->a->links->version(3), 0u);
}

TYPED_TEST_P(NodeLinkContract, EndsInTheMiddleOfEverything) {
  const auto hole = black_hole{};
  for (auto i = 0; i < 10; ++i) {
    this->a = this->start(this->options(1, 11));
    this->b = this->start(this->options(2, 22));
    this->a->links->set_peers({this->b->as_peer(), this->peer(3, 33, hole.port())});
    this->b->links->set_peers({this->a->as_peer(), this->peer(3, 33, hole.port())});
    if (i % 3 > 0) {
      ASSERT_TRUE(this->a->record.wait_for("up 2/22"));
      this->b->record.keep_credit(i % 2 > 0);
      this->send_until_refused(*this->a, 2, 10'000, 500);
    }
    const auto begin = std::chrono::steady_clock::now();
    auto& first = i % 2 > 0 ? this->a : this->b;
    auto& second = i % 2 > 0 ? this->b : this->a;
    first->links.reset();
    second->links.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
    for (auto* n : {this->a.get(), this->b.get()}) {
      const auto told = n->record.told();
      EXPECT_EQ(std::ranges::count_if(told, [](auto& s) { return s.starts_with("up"); }),
                std::ranges::count_if(told, [](auto& s) { return s.starts_with("down"); }));
      EXPECT_FALSE(n->record.early);
    }
  }
}

REGISTER_TYPED_TEST_SUITE_P(
    NodeLinkContract, CarriesMessagesBothWays, KeepsTheOrderAcrossChannels, ManyThreadsSendAtOnce,
    UpComesBeforeTheFirstMessage, SendsNothingWithoutALink, ThreeNodesEachHaveTheirLink,
    AHostCanBeAName, TheCertificateProvesTheName, OtherAuthoritiesCountNothing,
    NobodyOfTheClusterStandsBetween, WhoIsNoPeerIsRefused, ARestartedNodeIsAnother,
    ARestartedDialerIsAnother, ALinkEndsWhenAnotherLifeIsKnown, SilenceIsNoticedWithinThreeSeconds,
    AnIdleLinkStaysUp, AStoppedPeerIsDownUntilItGoesOn, AnEndThatOneSideDoesNotSeeIsReplaced,
    ABlackHoleDelaysNobody, AMutePeerDelaysNobody, ADialThatNobodyAnswersIsGivenUp,
    NeitherSideGrowsWithoutBound, EmptyMessagesCountToo, CreditCanComeBackAfterTheEnd,
    AMessageHasALongestLength, TheSmallerMaximumCounts, TheyNeedAVersionInCommon,
    EndsInTheMiddleOfEverything);

}  // namespace orrery::tests
