#include "cluster/tls_node_link.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <future>
#include <list>
#include <map>
#include <mutex>
#include <netinet/tcp.h>
#include <random>
#include <stdexcept>
#include <sys/socket.h>
#include <unordered_map>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "cluster/link_admission.hpp"
#include "cluster/link_connection.hpp"
#include "cluster/link_listener.hpp"
#include "net/io_threads.hpp"
#include "net/look_up.hpp"
#include "net/stream.hpp"
#include "net/tls.hpp"
#include "observe/log.hpp"

namespace orrery::cluster {

namespace asio = boost::asio;
namespace log = observe::log;
using asio::ip::tcp;
using error_code = boost::system::error_code;
using std::chrono::milliseconds;

namespace {

constexpr auto unit = "cluster.link";
constexpr std::size_t read_bytes = std::size_t{128} * 1024;
constexpr auto between_complaints = std::chrono::seconds{1};

class tls_node_links final : public node_links, private link_owner {
 public:
  tls_node_links(link_options options, link_events events)
      : options_{std::move(options)},
        events_{std::move(events)},
        tls_{net::mutual_context(options_.ca_file, options_.certificate_file, options_.key_file)},
        listener_{io(), options_.host, options_.port,
                  [this](net::owned_socket socket, std::string address) {
                    meet(std::move(socket), std::move(address));
                  }},
        tick_timer_{io()} {
    asio::post(io(), [this] {
      listener_.start();
      tick_after(clock::now());
    });
  }
  ~tls_node_links() override {
    auto done = std::promise<void>{};
    asio::post(io(), [&] {
      finish();
      done.set_value();
    });
    done.get_future().wait();
    thread_.stop();
  }

  void set_peers(std::vector<link_peer> peers) override {
    asio::post(io(), [this, p = std::move(peers)]() mutable { take_peers(std::move(p)); });
  }
  bool send(node_id to, std::uint64_t incarnation, std::uint8_t channel,
            std::string_view bytes) override;
  std::uint16_t version(node_id with) const override {
    const auto hold = std::lock_guard{mutex_};
    const auto at = up_.find(with);
    return at == up_.end() ? std::uint16_t{0} : at->second->version;
  }
  std::uint16_t port() const override { return listener_.port(); }
  link_figures figures() const override;

 private:
  using clock = std::chrono::steady_clock;
  using connection = std::shared_ptr<link_connection>;

  /// What there is with another node.
  struct neighbour {
    neighbour(link_peer p, asio::io_context& io) : peer{std::move(p)}, again{io} {}
    link_peer peer;
    connection link;  // that is up
    // Of those that this node dials:
    connection attempt;
    bool looking_up = false;
    asio::steady_timer again;
    milliseconds backoff{0};
    std::size_t attempts = 0;
    std::string complaint;  // why it could not be reached, as the log has it
  };
  using neighbours = std::map<node_id, neighbour>;

  /// Holds it: `ended` forgets it meanwhile.
  static void end(connection at, std::string_view why) { at->end(why); }
  asio::io_context& io() { return thread_.context(0); }
  void take_peers(std::vector<link_peer> peers);
  void drop(neighbours::iterator at, std::string_view why);
  void finish();

  connection speak(std::shared_ptr<net::stream> stream) {
    link_owner& owner = *this;
    return std::make_shared<link_connection>(std::move(stream), owner, options_, counters_,
                                             std::span{buffer_.get(), read_bytes});
  }
  void dial(neighbour& n);
  void connect(neighbour& n, const std::vector<tcp::endpoint>& addresses);
  void not_reached(neighbour& n, std::string_view why);

  void meet(net::owned_socket socket, std::string address);
  void refuse(const std::string& address, std::string_view why);

  model::result<link_greeting> judge(link_connection& at, const link_greeting& other) override;
  void up(link_connection& at) override;
  void received(link_connection&, link_message what) override {
    events_.on_message(std::move(what));
  }
  void ended(link_connection& at, bool was_up, std::string_view why) override;

  void tick_after(clock::time_point before);
  void tick(clock::time_point due);
  std::vector<connection> all() const;

  const link_options options_;
  const link_events events_;
  const net::tls_context tls_;
  link_counters counters_;
  std::atomic<std::uint64_t> dials_{0}, refused_{0};
  std::unique_ptr<char[]> buffer_ = std::make_unique<char[]>(read_bytes);
  mutable std::mutex mutex_;
  std::unordered_map<node_id, connection> up_;  // guarded by it: what `send` finds

  net::io_threads thread_{1};
  // Of the thread alone:
  link_listener listener_;
  asio::steady_timer tick_timer_;
  neighbours neighbours_;
  std::list<connection> strangers_;  // have not greeted yet; the oldest first
  std::minstd_rand random_{std::random_device{}()};
  clock::time_point complained_{};
  std::uint64_t not_complained_ = 0;
  bool over_ = false;
};

bool tls_node_links::send(node_id to, std::uint64_t incarnation, std::uint8_t channel,
                          std::string_view bytes) {
  auto link = connection{};
  {
    const auto hold = std::lock_guard{mutex_};
    const auto at = up_.find(to);
    if (at == up_.end() || (incarnation != 0 && at->second->incarnation != incarnation))
      return false;
    link = at->second;
  }
  if (bytes.size() > link->message_max()) {
    log::warn(unit, "not_sent",
              {{"node", to}, {"bytes", bytes.size()}, {"most", link->message_max()}});
    return false;
  }
  return link->send(channel, bytes);
}

link_figures tls_node_links::figures() const {
  auto f = link_figures{.messages_sent = counters_.messages_sent,
                        .messages_received = counters_.messages_received,
                        .bytes_sent = counters_.bytes_sent,
                        .bytes_received = counters_.bytes_received,
                        .dials = dials_,
                        .refused = refused_};
  const auto hold = std::lock_guard{mutex_};
  f.links_up = up_.size();
  for (const auto& [node, link] : up_)
    f.queued_bytes += link->queued();
  return f;
}

// Who there is

void tls_node_links::take_peers(std::vector<link_peer> peers) {
  if (over_)
    return;
  auto wanted = std::map<node_id, link_peer>{};
  for (auto& p : peers) {
    if (p.node == options_.self)
      continue;
    if (p.incarnation == 0 || !net::certifiable(p.name)) {
      log::warn(unit, "peer_ignored", {{"node", p.node}, {"name", p.name}});
      continue;
    }
    wanted.insert_or_assign(p.node, std::move(p));
  }
  for (auto at = neighbours_.begin(); at != neighbours_.end();) {
    const auto next = std::next(at);
    const auto now = wanted.find(at->first);
    if (now == wanted.end())
      drop(at, "no longer a peer");
    else if (now->second.incarnation != at->second.peer.incarnation ||
             now->second.name != at->second.peer.name)
      drop(at, "another life of it is known");
    at = next;
  }
  for (auto& [node, peer] : wanted) {
    auto& n = neighbours_.try_emplace(node, peer, io()).first->second;
    const auto moved = std::exchange(n.peer, peer) != peer;
    if (node < options_.self || n.link)
      continue;
    if (moved) {
      n.backoff = milliseconds{0};
      if (n.attempt)
        end(std::exchange(n.attempt, nullptr), "moved");
      n.again.cancel();
    }
    if (n.backoff == milliseconds{0})
      dial(n);
  }
}

/// Forgets a neighbour first: what ends then is nobody's.
void tls_node_links::drop(neighbours::iterator at, std::string_view why) {
  auto gone = neighbours_.extract(at);
  for (const auto& c : {gone.mapped().attempt, gone.mapped().link})
    if (c)
      end(c, why);
}

void tls_node_links::finish() {
  over_ = true;
  listener_.stop();
  tick_timer_.cancel();
  while (!neighbours_.empty())
    drop(neighbours_.begin(), "stopped");
  while (!strangers_.empty())
    end(strangers_.front(), "stopped");
}

// Dialing

void tls_node_links::dial(neighbour& n) {
  if (over_ || n.link || n.attempt || std::exchange(n.looking_up, true))
    return;
  net::look_up(io(), n.peer.host, n.peer.port,
               [this, asked = n.peer](const std::vector<tcp::endpoint>& found) {
                 const auto at = neighbours_.find(asked.node);
                 if (over_ || at == neighbours_.end() || !at->second.looking_up)
                   return;
                 auto& now = at->second;
                 now.looking_up = false;
                 if (now.peer == asked)
                   connect(now, found);
                 else
                   dial(now);
               });
}

void tls_node_links::connect(neighbour& n, const std::vector<tcp::endpoint>& addresses) {
  if (n.link || n.attempt)
    return;
  if (addresses.empty())
    return not_reached(n, "no address of that name");
  dials_.fetch_add(1, std::memory_order_relaxed);
  const auto& to = addresses[n.attempts++ % addresses.size()];
  const auto fd = ::socket(to.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  auto socket = net::owned_socket{fd};
  if (!socket)
    return not_reached(n, ::strerrordesc_np(errno));
  const auto on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd, to.data(), static_cast<socklen_t>(to.size())) != 0 && errno != EINPROGRESS)
    return not_reached(n, ::strerrordesc_np(errno));
  auto stream = net::stream::connect(io(), std::move(socket), to.address().to_string(), tls_.get(),
                                     n.peer.name);
  n.attempt = speak(std::move(stream));
  n.attempt->node = n.peer.node;
  n.attempt->incarnation = n.peer.incarnation;
  n.attempt->start(greeting_of(options_, n.peer.incarnation));
}

void tls_node_links::not_reached(neighbour& n, std::string_view why) {
  if (over_)
    return;
  if (n.complaint != why) {
    n.complaint = why;
    log::warn(
        unit, "not_reached",
        {{"node", n.peer.node}, {"name", n.peer.name}, {"host", n.peer.host}, {"reason", why}});
  }
  n.backoff = std::clamp(n.backoff * 2, options_.backoff_min, options_.backoff_max);
  // From half of it on, so that the nodes do not all come at once.
  const auto half = n.backoff.count() / 2;
  n.again.expires_after(milliseconds{half + std::uniform_int_distribution<milliseconds::rep>{
                                                0, n.backoff.count() - half}(random_)});
  n.again.async_wait([this, node = n.peer.node](error_code e) {
    const auto at = neighbours_.find(node);
    if (!e && at != neighbours_.end())
      dial(at->second);
  });
}

// Being dialed

void tls_node_links::meet(net::owned_socket socket, std::string address) {
  // A node greets within milliseconds: it gets its turn however many come and say nothing.
  if (strangers_.size() >= std::max<std::size_t>(options_.strangers_max, 1))
    end(strangers_.front(), "too many strangers");
  strangers_.push_back(
      speak(net::stream::accept(io(), std::move(socket), std::move(address), tls_.get())));
  strangers_.back()->start();
}

/// Strangers cannot fill the log: one entry a second says how many there were.
void tls_node_links::refuse(const std::string& address, std::string_view why) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  const auto now = clock::now();
  if (now - complained_ < between_complaints && complained_ != clock::time_point{}) {
    ++not_complained_;
    return;
  }
  complained_ = now;
  log::warn(unit, "refused",
            {{"address", address}, {"reason", why}, {"others", std::exchange(not_complained_, 0)}});
}

// One connection, from greeting to end

model::result<link_greeting> tls_node_links::judge(link_connection& at,
                                                   const link_greeting& other) {
  const auto found = neighbours_.find(at.dialed() ? at.node : other.node);
  const auto* known =
      found == neighbours_.end() || found->first != other.node ? nullptr : &found->second.peer;
  const auto version =
      admit(options_, other, known, known && at.stream().proves(known->name), at.dialed());
  if (!version)
    return version.error();
  at.node = other.node;
  at.incarnation = other.incarnation;
  at.version = *version;
  return greeting_of(options_, other.incarnation);
}

void tls_node_links::up(link_connection& at) {
  auto& n = neighbours_.at(at.node);
  if (n.link)  // of the same life, which knows by now that it is dead
    end(n.link, "replaced");
  n.link = at.shared_from_this();
  n.attempt = nullptr;
  n.backoff = milliseconds{0};
  n.complaint.clear();
  strangers_.remove(n.link);
  {
    const auto hold = std::lock_guard{mutex_};
    up_[at.node] = n.link;
  }
  log::info(unit, "up",
            {{"node", at.node},
             {"name", n.peer.name},
             {"incarnation", at.incarnation},
             {"address", at.stream().peer()},
             {"version", at.version}});
  events_.on_up(at.node, at.incarnation);
}

void tls_node_links::ended(link_connection& at, bool was_up, std::string_view why) {
  const auto found = neighbours_.find(at.node);
  auto* n = found == neighbours_.end() ? nullptr : &found->second;
  if (was_up) {
    {
      const auto hold = std::lock_guard{mutex_};
      const auto there = up_.find(at.node);
      if (there != up_.end() && there->second.get() == &at)
        up_.erase(there);
    }
    log::info(unit, "down", {{"node", at.node}, {"incarnation", at.incarnation}, {"reason", why}});
    if (n && n->link.get() == &at)
      n->link = nullptr;
    events_.on_down(at.node, at.incarnation);
    if (n && !n->link && at.dialed()) {
      n->complaint = why;  // the log has it
      not_reached(*n, why);
    }
  } else if (at.dialed()) {
    if (n && n->attempt.get() == &at) {
      n->attempt = nullptr;
      not_reached(*n, why);
    }
  } else {
    strangers_.remove_if([&](const connection& c) { return c.get() == &at; });
    if (!over_)
      refuse(at.stream().peer(), why);
  }
}

// Time

void tls_node_links::tick_after(clock::time_point before) {
  const auto due = before + options_.heartbeat / 2;
  tick_timer_.expires_at(due);
  tick_timer_.async_wait([this, due](error_code e) {
    if (!e)
      tick(due);
  });
}

void tls_node_links::tick(clock::time_point due) {
  const auto now = clock::now();
  // Who did not run cannot have heard anything: the others get that time on top.
  const auto late = now - due;
  for (const auto& c : all()) {
    if (late > options_.heartbeat)
      c->excuse(late);
    c->tick(now);
  }
  tick_after(now);
}

std::vector<tls_node_links::connection> tls_node_links::all() const {
  auto found = std::vector<connection>{strangers_.begin(), strangers_.end()};
  for (const auto& [node, n] : neighbours_)
    for (const auto& c : {n.attempt, n.link})
      if (c)
        found.push_back(c);
  return found;
}

}  // namespace

std::unique_ptr<node_links> make_tls_node_links(link_options options, link_events events) {
  if (options.incarnation == 0 || !net::certifiable(options.name))
    throw std::invalid_argument{"cluster.link: a node needs a name and an incarnation"};
  if (options.version_min == 0 || options.version_min > options.version_max)
    throw std::invalid_argument{"cluster.link: no version to speak"};
  if (options.heartbeat < milliseconds{10} || options.silence <= options.heartbeat)
    throw std::invalid_argument{"cluster.link: silence must be longer than a heartbeat"};
  if (options.window_bytes < 2 * link_cost(options.frame_max_bytes) ||
      options.window_bytes > std::size_t{1} << 30)
    throw std::invalid_argument{"cluster.link: a window of " +
                                std::to_string(options.window_bytes) + " bytes"};
  return std::make_unique<tls_node_links>(std::move(options), std::move(events));
}

}  // namespace orrery::cluster
