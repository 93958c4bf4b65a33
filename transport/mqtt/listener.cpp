#include "transport/mqtt/listener.hpp"

#include <future>
#include <map>
#include <mutex>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "actors/topic_space.hpp"
#include "observe/log.hpp"
#include "transport/mqtt/connection.hpp"

namespace orrery::transport::mqtt {

namespace asio = boost::asio;

namespace {

constexpr auto tick_interval = std::chrono::milliseconds{100};
constexpr auto finish_interval = std::chrono::milliseconds{10};

/// The connections of one thread, and the clock that ticks them.
struct lane {
  lane(asio::io_context& c, std::shared_ptr<shared> w, double moves)
      : context{c}, with{std::move(w)}, moves_per_tick{moves}, timer{c} {}
  asio::io_context& context;
  std::shared_ptr<shared> with;
  const double moves_per_tick;  // clients that are sent elsewhere
  double moves_due = 0;
  asio::steady_timer timer;
  std::vector<std::shared_ptr<connection>> all;  // in no order
  std::size_t next = 0;                          // to be ticked
  bool stopping = false;

  /// Ticks a tenth of them, so each comes once a second; few come more often.
  void tick(const std::shared_ptr<lane>& self) {
    const auto at = with->now();
    const auto some = std::max(all.size() / 10, std::min(all.size(), std::size_t{1000}));
    for (auto left = some; left > 0; --left) {
      if (next >= all.size())
        next = 0;
      all[next]->tick(at);
      if (all[next]->is_over()) {
        std::swap(all[next], all.back());
        all.pop_back();
      } else {
        ++next;
      }
    }
    if (stopping)
      return;
    if (with->away.stands())
      send_away();
    timer.expires_after(tick_interval);
    timer.async_wait([self](boost::system::error_code e) {
      if (!e)
        self->tick(self);
    });
  }

  /// Waits for what ended connections have under way: they say themselves when that is enough.
  void finish(const std::shared_ptr<lane>& self, const std::shared_ptr<std::promise<void>>& done) {
    const auto at = with->now();
    for (const auto& c : all)
      c->tick(at);
    std::erase_if(all, [](const auto& c) { return c->is_over(); });
    if (all.empty())
      return done->set_value();
    timer.expires_after(finish_interval);  // takes the place of a tick
    timer.async_wait([self, done](boost::system::error_code) { self->finish(self, done); });
  }

  void send_away() {
    moves_due = std::min(moves_due + moves_per_tick, std::max(moves_per_tick, 1.0));
    for (auto i = all.size(); i > 0 && moves_due >= 1; --i) {
      if (!all[i - 1]->can_leave())
        continue;
      const auto where = with->away.next();
      if (!where)
        return;
      all[i - 1]->leave(*where);
      moves_due -= 1;
    }
  }
};

bool is_loopback(const std::string& host) {
  auto bad = boost::system::error_code{};
  const auto address = asio::ip::make_address(host, bad);
  return !bad && address.is_loopback();
}

}  // namespace

struct listener::impl {
  std::function<void(std::shared_ptr<net::byte_stream>, connection_permit)> take;
  std::shared_ptr<std::atomic<std::size_t>> web_sockets =
      std::make_shared<std::atomic<std::size_t>>(0);
  std::shared_ptr<shared> with = std::make_shared<shared>();
  std::map<asio::io_context*, std::shared_ptr<lane>> lanes;
  std::unique_ptr<tcp_listener> plain, secure;
};

listener::listener(net::io_threads& io, parts p) : impl_{std::make_unique<impl>()} {
  auto& with = *impl_->with;
  with.link = p.link;
  with.known = p.known;
  with.keys = p.keys;
  with.plain_activation = p.ports.plain_activation || is_loopback(p.ports.mqtt.host);
  with.now = p.now;
  with.limits = p.limits;
  with.login_timeout = p.ports.login_timeout;
  with.max_half_open = p.ports.max_half_open;
  with.shard_count = p.shard_count;
  with.topics = std::make_shared<topic_statistics>(
      p.node, p.limits.statistics_interval,
      [known = p.known, router = p.link.session.router, shards = p.shard_count](
          const std::string& organisation, model::shared_message message) {
        const auto now = known->current();
        if (const auto* org = now->organisation(organisation))
          for (auto& batch : actors::publishing(*org->state, std::move(message), shards))
            router->route(std::move(batch));
      });
  if (!p.limits.open_broker.empty())
    observe::log::warn("mqtt.listener",
                       "open_broker: anybody may use the general topics of this organisation",
                       {{"organisation", p.limits.open_broker}});
  // Series are looked up once per thread and pair: the registry's map is not for the hot path.
  with.messages = [m = p.metrics](std::string_view operation,
                                  std::string_view result) -> observe::counter& {
    thread_local std::map<std::pair<std::string_view, std::string_view>, observe::counter*> known;
    auto& slot = known[{operation, result}];  // both are static texts
    if (!slot)
      slot = &m->count("orrery_mqtt_messages_total", "Messages of devices and commands to them",
                       {{"kind", std::string{operation}}, {"result", std::string{result}}});
    return *slot;
  };
  with.closes = [m = p.metrics](std::string_view reason) -> observe::counter& {
    return m->count("orrery_mqtt_closed_total", "Connections that ended",
                    {{"reason", std::string{reason}}});
  };
  with.guard = std::move(p.guard);
  with.certificates = std::move(p.certificates);
  with.holders = std::move(p.holders);
  with.quota = std::move(p.quota);
  with.refused = std::move(p.refused);
  with.files = std::move(p.files);
  with.refused_logins = [m = p.metrics](std::string_view reason) -> observe::counter& {
    return m->count("orrery_login_refused_total", "Logins of devices that were refused",
                    {{"reason", std::string{reason}}});
  };
  for (std::size_t i = 0; i < io.size(); ++i) {
    auto& context = io.context(i);
    const auto l = std::make_shared<lane>(
        context, impl_->with,
        static_cast<double>(p.moved_per_second) / static_cast<double>(10 * io.size()));
    impl_->lanes[&context] = l;
    asio::post(context, [l] { l->tick(l); });
  }
  const auto take = [shared = impl_->with, lanes = impl_->lanes](
                        std::shared_ptr<net::byte_stream> bytes, connection_permit permit) {
    auto& l = *lanes.at(&bytes->context());
    if (l.stopping)
      return;
    const auto c = std::make_shared<connection>(shared, std::move(bytes), std::move(permit));
    l.all.push_back(c);
    c->start();
  };
  impl_->take = take;
  const auto most = static_cast<std::size_t>(p.ports.max_connections);
  if (p.ports.mqtt.enabled)
    impl_->plain = std::make_unique<tcp_listener>(io, p.ports.mqtt, most, nullptr, take);
  if (p.ports.mqtts.enabled)
    impl_->secure = std::make_unique<tcp_listener>(io, p.ports.mqtts, most, p.tls, take);
  p.metrics->gauge("orrery_mqtt_connections", "Open connections",
                   [this] { return static_cast<double>(connections()); });
  p.metrics->count("orrery_mqtt_refused_connections_total",
                   "Connections closed because of the limit", [this] {
                     return static_cast<double>((impl_->plain ? impl_->plain->refused() : 0) +
                                                (impl_->secure ? impl_->secure->refused() : 0));
                   });
  p.metrics->count("orrery_mqtt_not_proxied_total",
                   "Connections closed because no trusted proxy speaks for them", [this] {
                     return static_cast<double>((impl_->plain ? impl_->plain->not_proxied() : 0) +
                                                (impl_->secure ? impl_->secure->not_proxied() : 0));
                   });
  p.metrics->gauge("orrery_mqtt_half_open_connections", "Connected and not logged in",
                   [this] { return static_cast<double>(impl_->with->half_open.load()); });
}

listener::~listener() = default;

std::uint16_t listener::port() const {
  return impl_->plain ? impl_->plain->port() : 0;
}
std::uint16_t listener::tls_port() const {
  return impl_->secure ? impl_->secure->port() : 0;
}
std::size_t listener::connections() const {
  return (impl_->plain ? impl_->plain->connections() : 0) +
         (impl_->secure ? impl_->secure->connections() : 0) + impl_->web_sockets->load();
}

void listener::tell_statistics() {
  impl_->with->topics->tick(impl_->with->now());
}

http_handler listener::web_sockets() const {
  return [take = impl_->take, open = impl_->web_sockets](
             const std::shared_ptr<const http_request>& request, const responder& answer) {
    auto r = http_response{};
    r.content_type = "text/plain; charset=utf-8";
    const auto offered = request->header("sec-websocket-protocol");
    const auto* chosen = offers(offered, "mqtt")       ? "mqtt"
                         : offers(offered, "mqttv3.1") ? "mqttv3.1"
                                                       : nullptr;
    if (request->path.size() != 1) {
      r.status = 404;
      r.body = "MQTT is at /mqtt\n";
    } else if (request->method != "GET") {
      r.status = 405;
      r.headers.emplace_back("Allow", "GET");
      r.body = "GET only\n";
    } else if (!request->wants_web_socket) {
      r.status = 426;
      r.headers.emplace_back("Upgrade", "websocket");
      r.body = "MQTT is spoken here over a WebSocket\n";
    } else if (!chosen) {
      r.status = 400;
      r.body = "the sub-protocol is mqtt\n";
    } else {
      r.sub_protocol = chosen;
      r.upgrade_to_bytes = [take, open](std::shared_ptr<net::byte_stream> bytes,
                                        const std::shared_ptr<void>& permit) {
        open->fetch_add(1);
        // The permit counts at the port, what is around it here.
        take(std::move(bytes), connection_permit{static_cast<void*>(open.get()),
                                                 [open, permit](void*) { open->fetch_sub(1); }});
      };
    }
    answer(std::move(r));
  };
}

void listener::redirect(std::optional<redirection> where) {
  impl_->with->away.point(std::move(where));
}

void listener::stop() {
  if (impl_->plain)
    impl_->plain->stop();
  if (impl_->secure)
    impl_->secure->stop();
  auto over = std::vector<std::future<void>>{};
  for (auto& [context, l] : impl_->lanes) {
    const auto done = std::make_shared<std::promise<void>>();
    over.push_back(done->get_future());
    asio::post(*context, [done, l = l] {
      l->stopping = true;
      for (const auto& c : l->all)
        c->end("node_stopped");
      l->finish(l, done);
    });
  }
  for (auto& one : over)
    one.wait();
}

}  // namespace orrery::transport::mqtt
