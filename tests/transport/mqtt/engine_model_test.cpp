// QoS 1 and 2 against a plain model: a client and a kept session on both sides of connections that
// break anywhere. QoS 2 arrives once, QoS 1 at least once, both in order.
#include <map>
#include <set>

#include "packets.hpp"
#include "transport/mqtt/engine.hpp"

namespace orrery::transport::mqtt {
namespace {

constexpr auto now = model::timestamp{};

/// A message that one side has to bring to the other.
struct job {
  std::uint64_t number;
  qos level;
  std::uint16_t packet_id = 0;  // 0: not sent yet
  bool released = false;
};

/// What arrived, by number, in order.
struct arrivals {
  std::vector<std::uint64_t> numbers;
  void add(std::string_view payload) { numbers.push_back(std::stoull(std::string{payload})); }
};

class World {
 public:
  explicit World(std::uint32_t seed)
      : random_{seed}, by_{seed % 3 == 0 ? protocol::v3_1_1 : protocol::v5} {
    window_ = 1 + below(4);
    server_window_ = static_cast<std::uint16_t>(1 + below(4));
    aliases_ = static_cast<std::uint16_t>(below(3));
  }

  void run() {
    connect_client();
    for (auto steps = 40 + below(120); steps > 0; --steps)
      step();
    ending_ = true;
    for (auto round = 0; round < 2'000 && !is_done(); ++round)
      step();
    ASSERT_TRUE(is_done()) << "something is never over";
    check(up_arrived_, up_made_, "up");
    check(down_arrived_, down_made_, "down");
    EXPECT_EQ(server_->unsettled(), 0u);
    EXPECT_EQ(server_->unacknowledged(), 0u);
    EXPECT_TRUE(server_->unreleased().empty());
  }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  std::string bytes(const packet& p) const { return bytes_of(p, by_); }

  bool is_done() const {
    return up_.empty() && down_.empty() && to_server_.empty() && to_client_.empty() &&
           tickets_.empty() && client_answers_.empty();
  }

  void step() {
    switch (below(ending_ ? 6 : 10)) {
      case 0:
      case 1:
        return serve();
      case 2:
      case 3:
        return receive();
      case 4:
        return settle();
      case 5:
        for (auto& a : std::exchange(client_answers_, {}))
          to_server_.push_back(std::move(a));
        client_sends();
        return server_sends();
      case 6:
      case 7: {
        up_.push_back({++numbers_, below(2) ? qos::at_least_once : qos::exactly_once});
        up_made_.push_back(up_.back());
        return client_sends();
      }
      case 8: {
        down_.push_back({++numbers_, below(2) ? qos::at_least_once : qos::exactly_once});
        down_made_.push_back(down_.back());
        return server_sends();
      }
      default:
        if (below(4) == 0)
          break_connection();
    }
  }

  // ---- the connection

  void connect_client() {
    auto limits = engine_limits{};
    limits.max_queued = 6;
    limits.receive_maximum = server_window_;
    limits.topic_aliases = aliases_;
    auto kept = std::optional<kept_session>{};
    if (server_)
      kept = kept_session{{}, kept_received_};
    server_.emplace(limits);
    auto c = connect{
        .protocol_level = static_cast<std::uint8_t>(by_), .clean_session = !kept, .client_id = "c"};
    if (by_ == protocol::v5)
      c.with = properties{.session_expiry = 100,
                          .receive_maximum = static_cast<std::uint16_t>(window_),
                          .topic_alias_maximum = aliases_};
    const auto hello = bytes(c);
    auto view = std::string_view{hello};
    server_->step(view, now);
    server_->grant(now, std::move(kept));
    server_->out().clear();
    alias_sent_ = false;
    client_aliases_.clear();
    // Both sides send again what is not acknowledged, in order.
    for (auto& j : up_)
      if (j.packet_id != 0)
        client_sends(j, true);
    for (auto& j : down_) {
      if (j.released) {
        EXPECT_TRUE(server_->release(j.packet_id, j.number));
      } else if (j.packet_id != 0) {
        server_sends(j, true);
      }
    }
    flush();
  }

  void break_connection() {
    // What was under way arrives up to some place.
    for (auto n = below(4); n > 0; --n)
      below(2) ? serve() : receive();
    kept_received_ = server_->unreleased();
    to_server_.clear();
    to_client_.clear();
    client_answers_.clear();
    unacknowledged_.clear();
    tickets_.clear();  // not committed: taken when they come again
    connect_client();
  }

  // ---- the client

  std::size_t client_under_way() const {
    return static_cast<std::size_t>(
        std::count_if(up_.begin(), up_.end(), [](const job& j) { return j.packet_id != 0; }));
  }

  void client_sends(job& j, bool again) {
    if (j.released) {
      to_server_.push_back(bytes(pubrel{j.packet_id}));
      return;
    }
    const auto payload = std::to_string(j.number);
    auto p = publish{.topic = "up",
                     .payload = payload,
                     .level = j.level,
                     .dup = again,
                     .packet_id = j.packet_id};
    if (by_ == protocol::v5 && aliases_ > 0) {
      p.with.edit().topic_alias = 1;
      if (std::exchange(alias_sent_, true))
        p.topic = {};
    }
    to_server_.push_back(bytes(p));
  }
  void client_sends() {
    for (auto& j : up_) {
      if (j.packet_id != 0)
        continue;
      if (by_ == protocol::v5 && client_under_way() >= server_window_)
        return;
      j.packet_id = next_client_id();
      client_sends(j, false);
    }
  }
  std::uint16_t next_client_id() {
    for (std::uint16_t id = 1;; ++id)
      if (std::none_of(up_.begin(), up_.end(), [id](const job& j) { return j.packet_id == id; }))
        return id;
  }
  std::deque<job>::iterator client_job(std::uint16_t id) {
    return std::find_if(up_.begin(), up_.end(), [id](const job& j) { return j.packet_id == id; });
  }

  /// The client takes a packet of the server's.
  void receive() {
    if (to_client_.empty())
      return;
    const auto raw = std::move(to_client_.front());
    to_client_.pop_front();
    const auto got = decode(raw, raw.size(), by_);
    ASSERT_TRUE(got && *got);
    const auto& what = (*got)->what;
    if (const auto* p = std::get_if<publish>(&what)) {
      auto topic = std::string{p->topic};
      if (p->with->topic_alias) {
        ASSERT_LE(*p->with->topic_alias, aliases_);
        if (topic.empty())
          topic = client_aliases_.at(*p->with->topic_alias);
        client_aliases_[*p->with->topic_alias] = topic;
      }
      ASSERT_EQ(topic, "down");
      if (by_ == protocol::v5) {
        unacknowledged_.insert(p->packet_id);
        ASSERT_LE(unacknowledged_.size(), window_) << "more than the receive maximum";
      }
      if (p->level == qos::at_least_once) {
        down_arrived_.add(p->payload);
        answer(puback{p->packet_id}, p->packet_id);
      } else {
        if (client_received_.insert(p->packet_id).second)
          down_arrived_.add(p->payload);
        client_answers_.push_back(bytes(pubrec{p->packet_id}));
      }
    } else if (const auto* rel = std::get_if<pubrel>(&what)) {
      client_received_.erase(rel->packet_id);
      answer(pubcomp{rel->packet_id}, rel->packet_id);
    } else if (const auto* ack = std::get_if<puback>(&what)) {
      const auto j = client_job(ack->packet_id);
      ASSERT_NE(j, up_.end());
      up_.erase(j);
    } else if (const auto* rec = std::get_if<pubrec>(&what)) {
      const auto j = client_job(rec->packet_id);
      ASSERT_NE(j, up_.end());
      if (rec->code >= 0x80) {
        up_.erase(j);
      } else {
        j->released = true;
        client_answers_.push_back(bytes(pubrel{rec->packet_id}));
      }
    } else if (const auto* comp = std::get_if<pubcomp>(&what)) {
      const auto j = client_job(comp->packet_id);
      ASSERT_NE(j, up_.end());
      up_.erase(j);
    } else {
      FAIL() << "packet " << what.index();
    }
  }
  void answer(const packet& p, std::uint16_t id) {
    unacknowledged_.erase(id);
    client_answers_.push_back(bytes(p));
  }

  // ---- the server and its kept session

  void flush() {
    auto view = std::string_view{server_->out()};
    while (!view.empty()) {
      const auto got = decode(view, view.size(), by_);
      ASSERT_TRUE(got && *got);
      to_client_.emplace_back(view.substr(0, (*got)->size));
      view.remove_prefix((*got)->size);
    }
    server_->out().clear();
  }

  void server_sends(job& j, bool again) {
    const auto payload = std::to_string(j.number);
    const auto went = server_->send({.topic = "down",
                                     .payload = payload,
                                     .level = j.level,
                                     .dup = again,
                                     .packet_id = j.packet_id},
                                    j.number, now);
    EXPECT_TRUE(went || !again);
    j.packet_id = went ? went.packet_id : j.packet_id;
  }
  void server_sends() {
    for (auto& j : down_)
      if (j.packet_id == 0) {
        server_sends(j, false);
        if (j.packet_id == 0)
          break;  // the queue is full: later, and nothing overtakes it
      }
    flush();
  }

  /// The server takes a packet of the client's.
  void serve() {
    if (to_server_.empty())
      return;
    const auto raw = std::move(to_server_.front());
    to_server_.pop_front();
    auto view = std::string_view{raw};
    while (const auto todo = server_->step(view, now)) {
      if (const auto* m = std::get_if<message>(&*todo)) {
        ASSERT_EQ(m->packet.topic, "up");
        tickets_.push_back({m->ticket, std::string{m->packet.payload}});
      } else if (const auto* r = std::get_if<received>(&*todo)) {
        server_job(r->key)->released = true;
      } else if (const auto* c = std::get_if<completed>(&*todo)) {
        down_.erase(server_job(c->key));
      } else {
        FAIL() << "the server ends it: " << std::get<over>(*todo).reason;
      }
    }
    flush();
  }
  std::deque<job>::iterator server_job(std::uint64_t number) {
    return std::find_if(down_.begin(), down_.end(),
                        [&](const job& j) { return j.number == number; });
  }

  /// The oldest messages are committed, or now and then refused.
  void settle() {
    for (auto n = 1 + below(3); n > 0 && !tickets_.empty(); --n) {
      const auto [ticket, payload] = tickets_.front();
      tickets_.pop_front();
      const auto refused = by_ == protocol::v5 && below(16) == 0;
      if (refused)
        refused_.insert(std::stoull(payload));
      else
        up_arrived_.add(payload);
      server_->settle(ticket, refused ? 0x97 : 0);
    }
    flush();
  }

  // ---- what must hold

  void check(const arrivals& got, const std::vector<job>& made, const char* way) {
    auto times = std::map<std::uint64_t, int>{};
    auto first_seen = std::vector<std::uint64_t>{};
    for (const auto n : got.numbers)
      if (++times[n] == 1 && !refused_.contains(n))  // one that was refused may come later
        first_seen.push_back(n);
    EXPECT_TRUE(std::is_sorted(first_seen.begin(), first_seen.end())) << way << ": out of order";
    for (const auto& j : made) {
      EXPECT_TRUE(times[j.number] >= 1 || refused_.contains(j.number))
          << way << ": " << j.number << " is lost";
      if (j.level == qos::exactly_once) {
        EXPECT_LE(times[j.number], 1) << way << ": " << j.number << " came twice";
      }
    }
  }

  std::mt19937 random_;
  protocol by_;
  std::uint32_t window_;
  std::uint16_t server_window_, aliases_;
  bool ending_ = false, alias_sent_ = false;
  std::uint64_t numbers_ = 0;
  std::optional<engine> server_;
  std::set<std::uint16_t> kept_received_;    // of the server's session
  std::set<std::uint16_t> client_received_;  // of the client's
  std::set<std::uint16_t> unacknowledged_;   // by the client
  std::map<std::uint16_t, std::string> client_aliases_;
  std::deque<job> up_, down_;  // not over
  std::vector<job> up_made_, down_made_;
  arrivals up_arrived_, down_arrived_;
  std::set<std::uint64_t> refused_;
  std::deque<std::pair<std::uint64_t, std::string>> tickets_;
  std::deque<std::string> to_server_, to_client_;  // packets under way
  std::vector<std::string> client_answers_;        // made and not sent yet
};

TEST(MqttModel, AnySequenceDeliversWhatItMust) {
  for (auto seed = 1u; seed <= 4'000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World{seed}.run();
    if (testing::Test::HasFailure())
      return;
  }
}

}  // namespace
}  // namespace orrery::transport::mqtt
