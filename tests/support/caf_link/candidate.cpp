#include "tests/support/caf_link/candidate.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <stdexcept>

#include <caf/all.hpp>
#include <caf/io/all.hpp>
#include <caf/openssl/all.hpp>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "cluster/link_frame.hpp"

// CAF leaves errors of one connection in OpenSSL's queue, where the next one finds them.
extern "C" int SSL_read(SSL* s, void* buf, int num) {
  ERR_clear_error();
  auto n = std::size_t{0};
  return SSL_read_ex(s, buf, static_cast<std::size_t>(num), &n) > 0 ? static_cast<int>(n) : -1;
}
extern "C" int SSL_write(SSL* s, const void* buf, int num) {
  ERR_clear_error();
  auto n = std::size_t{0};
  return SSL_write_ex(s, buf, static_cast<std::size_t>(num), &n) > 0 ? static_cast<int>(n) : -1;
}

namespace orrery::tests {
namespace {

using namespace cluster;
using hello = caf::atom_constant<caf::atom("hello")>;
using frames = caf::atom_constant<caf::atom("frames")>;
using paid = caf::atom_constant<caf::atom("paid")>;
using flush = caf::atom_constant<caf::atom("flush")>;
using peers_changed = caf::atom_constant<caf::atom("peers")>;
using dial = caf::atom_constant<caf::atom("dial")>;
using stop = caf::atom_constant<caf::atom("stop")>;

constexpr std::size_t batch_bytes = 64 * 1024;

struct config : caf::actor_system_config {
  explicit config(const link_options& o) {
    if (o.ca_file.empty() || o.certificate_file.empty() || o.key_file.empty())
      throw std::invalid_argument{"CAF would take anonymous ciphers"};
    load<caf::io::middleman>();
    load<caf::openssl::manager>();
    openssl_cafile = o.ca_file;
    openssl_certificate = o.certificate_file;
    openssl_key = o.key_file;
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", std::size_t{1});
    set("middleman.heartbeat-interval", caf::timespan{o.heartbeat});
    set("middleman.connection-timeout", caf::timespan{o.silence});
  }
};

/// What threads share with the gateway.
struct desk {
  link_options options;
  link_events events;
  std::mutex mutex;
  std::vector<link_peer> peers;
  struct outbox {
    std::uint64_t incarnation = 0;
    std::string queue;
    std::size_t waiting = 0;  // there, and with the gateway
  };
  std::map<node_id, outbox> up;
  bool awake = false;
  std::atomic<std::uint64_t> sent{0}, received{0}, sent_bytes{0}, received_bytes{0}, dials{0},
      refused{0};
};

struct gateway_state {
  gateway_state() = default;
  struct link {
    caf::actor other;
    std::uint64_t incarnation = 0;
    std::size_t credit = 0;
    std::string sending;
    std::size_t sent = 0;
  };
  std::map<node_id, link> links;
  std::map<node_id, link_peer> peers;
  static inline const char* name = "gateway";
};
using gateway_self = caf::stateful_actor<gateway_state>;

struct block {
  std::string bytes;
  caf::actor gateway;
  node_id from;
  std::uint64_t incarnation;
  std::size_t cost;
  ~block() { caf::anon_send(gateway, paid::value, from, incarnation, std::uint64_t{cost}); }
};

void down(gateway_self* self, desk& d, node_id n) {
  const auto at = self->state.links.find(n);
  if (at == self->state.links.end())
    return;
  const auto life = at->second.incarnation;
  self->demonitor(at->second.other);
  self->state.links.erase(at);
  {
    const auto hold = std::lock_guard{d.mutex};
    d.up.erase(n);
  }
  d.events.on_down(n, life);
}

void up(gateway_self* self, desk& d, node_id n, std::uint64_t life, const caf::actor& other) {
  down(self, d, n);
  self->monitor(other);
  self->state.links[n] = {other, life, d.options.window_bytes, {}, 0};
  {
    const auto hold = std::lock_guard{d.mutex};
    d.up[n] = {life, {}, 0};
  }
  d.events.on_up(n, life);
}

void send_all(gateway_self* self, desk& d) {
  for (auto& [n, l] : self->state.links) {
    while (true) {
      if (l.sent == l.sending.size()) {
        l.sending.clear();
        l.sent = 0;
        const auto hold = std::lock_guard{d.mutex};
        l.sending.swap(d.up[n].queue);
        if (l.sending.empty())
          break;
      }
      const auto taken =
          take_link_frames(std::string_view{l.sending}.substr(l.sent), batch_bytes, l.credit);
      if (taken.size == 0)
        break;
      self->send(l.other, frames::value, d.options.self, d.options.incarnation, l.incarnation,
                 l.sending.substr(l.sent, taken.size));
      l.sent += taken.size;
      l.credit -= taken.cost;
      {
        const auto hold = std::lock_guard{d.mutex};
        d.up[n].waiting -= taken.size;
      }
      d.sent += taken.messages;
      d.sent_bytes += taken.cost - taken.messages * link_cost(0);
    }
  }
}

caf::behavior gateway(gateway_self* self, std::shared_ptr<desk> d) {
  self->set_default_handler(caf::drop);
  self->set_down_handler([=](caf::down_msg& m) {
    for (auto& [n, l] : self->state.links)
      if (l.other.address() == m.source) {
        const auto node = n;
        down(self, *d, node);
        self->delayed_send(self, d->options.backoff_min, dial::value, node);
        return;
      }
  });
  const auto again = [=](node_id n) {
    self->delayed_send(self, d->options.backoff_max, dial::value, n);
  };
  return {[=](peers_changed) {
            auto now = std::map<node_id, link_peer>{};
            {
              const auto hold = std::lock_guard{d->mutex};
              for (const auto& p : d->peers)
                now[p.node] = p;
            }
            const auto before = std::exchange(self->state.peers, now);
            for (const auto& [n, p] : before)
              if (now.count(n) == 0 || now[n].incarnation != p.incarnation)
                down(self, *d, n);
            for (const auto& [n, p] : now)
              if (n > d->options.self && before.count(n) == 0)
                self->send(self, dial::value, n);
          },
          [=](dial, node_id n) {
            const auto at = self->state.peers.find(n);
            if (at == self->state.peers.end() || self->state.links.count(n) > 0)
              return;
            ++d->dials;
            const auto p = at->second;
            self->request(self->system().openssl_manager().actor_handle(),
                          d->options.connect_timeout, caf::connect_atom::value, p.host, p.port)
                .then(
                    [=](const caf::node_id&, caf::strong_actor_ptr& gate,
                        const std::set<std::string>&) {
                      if (!gate)
                        return again(n);
                      const auto other = caf::actor_cast<caf::actor>(gate);
                      self->request(other, d->options.connect_timeout, hello::value,
                                    d->options.self, d->options.name, d->options.incarnation,
                                    p.incarnation, caf::actor_cast<caf::actor>(self))
                          .then([=](hello) { up(self, *d, n, p.incarnation, other); },
                                [=](caf::error&) { again(n); });
                    },
                    [=](caf::error&) { again(n); });
          },
          [=](hello, node_id n, const std::string& name, std::uint64_t life, std::uint64_t expected,
              const caf::actor& other) -> caf::result<caf::atom_value> {
            const auto at = self->state.peers.find(n);
            // The name is only said: CAF does not show the certificate that was verified.
            if (at == self->state.peers.end() || at->second.name != name ||
                at->second.incarnation != life || expected != d->options.incarnation) {
              ++d->refused;
              return caf::make_error(caf::sec::runtime_error, "refused");
            }
            up(self, *d, n, life, other);
            return hello::value;
          },
          [=](frames, node_id n, std::uint64_t life, std::uint64_t expected, std::string& bytes) {
            const auto at = self->state.links.find(n);
            if (at == self->state.links.end() || at->second.incarnation != life ||
                expected != d->options.incarnation)
              return;
            const auto whole = measure_link_frames(bytes, d->options.frame_max_bytes + 2);
            if (!whole)
              return down(self, *d, n);
            d->received += whole->messages;
            d->received_bytes += whole->cost - whole->messages * link_cost(0);
            const auto held = std::shared_ptr<const block>{new block{
                std::move(bytes), caf::actor_cast<caf::actor>(self), n, life, whole->cost}};
            auto in = std::string_view{held->bytes};
            while (!in.empty()) {
              const auto got = decode_link_frame(in, in.size());
              const auto& data = std::get<link_data>((*got)->what);
              d->events.on_message({n, life, data.channel, data.bytes, held});
              in.remove_prefix((*got)->size);
            }
          },
          [=](paid, node_id n, std::uint64_t life, std::uint64_t cost) {
            const auto at = self->state.links.find(n);
            if (at != self->state.links.end() && at->second.incarnation == life)
              self->send(at->second.other, paid::value, d->options.self, cost);
          },
          [=](paid, node_id n, std::uint64_t cost) {
            if (const auto at = self->state.links.find(n); at != self->state.links.end()) {
              at->second.credit += cost;
              send_all(self, *d);
            }
          },
          [=](flush) {
            {
              const auto hold = std::lock_guard{d->mutex};
              d->awake = false;
            }
            send_all(self, *d);
          },
          [=](stop) {
            while (!self->state.links.empty())
              down(self, *d, self->state.links.begin()->first);
            self->quit();
          }};
}

class caf_links final : public node_links {
 public:
  caf_links(link_options o, link_events e) : desk_{std::make_shared<desk>()}, config_{o} {
    desk_->options = std::move(o);
    desk_->events = std::move(e);
    system_ = std::make_unique<caf::actor_system>(config_);
    gateway_ = system_->spawn(gateway, desk_);
    const auto got =
        caf::openssl::publish(gateway_, desk_->options.port, desk_->options.host.c_str(), true);
    if (!got)
      throw std::runtime_error{"cannot publish"};
    port_ = *got;
  }
  ~caf_links() override {
    caf::anon_send(caf::actor_cast<caf::actor>(system_->openssl_manager().actor_handle()),
                   caf::unpublish_atom::value, gateway_.address(), port_);
    caf::anon_send(gateway_, stop::value);
    gateway_ = nullptr;
    system_ = nullptr;
  }
  void set_peers(std::vector<link_peer> peers) override {
    {
      const auto hold = std::lock_guard{desk_->mutex};
      desk_->peers = std::move(peers);
    }
    caf::anon_send(gateway_, peers_changed::value);
  }
  bool send(node_id to, std::uint64_t incarnation, std::uint8_t channel,
            std::string_view bytes) override {
    {
      const auto hold = std::lock_guard{desk_->mutex};
      const auto at = desk_->up.find(to);
      if (at == desk_->up.end() || (incarnation != 0 && at->second.incarnation != incarnation) ||
          bytes.size() > desk_->options.frame_max_bytes ||
          at->second.waiting + bytes.size() > desk_->options.queue_max_bytes)
        return false;
      at->second.waiting += bytes.size() + link_head_bytes + 1;
      encode(link_data{channel, bytes}, at->second.queue);
      if (std::exchange(desk_->awake, true))
        return true;
    }
    caf::anon_send(gateway_, flush::value);
    return true;
  }
  std::uint16_t version(node_id) const override { return 1; }
  std::uint16_t port() const override { return port_; }
  link_figures figures() const override {
    const auto hold = std::lock_guard{desk_->mutex};
    return {.messages_sent = desk_->sent,
            .messages_received = desk_->received,
            .bytes_sent = desk_->sent_bytes,
            .bytes_received = desk_->received_bytes,
            .dials = desk_->dials,
            .refused = desk_->refused,
            .queued_bytes = 0,
            .links_up = desk_->up.size()};
  }

 private:
  std::shared_ptr<desk> desk_;
  config config_;
  std::unique_ptr<caf::actor_system> system_;
  caf::actor gateway_;
  std::uint16_t port_ = 0;
};

}  // namespace

std::unique_ptr<node_links> make_caf_links(link_options options, link_events events) {
  return std::make_unique<caf_links>(std::move(options), std::move(events));
}

}  // namespace orrery::tests
