// simulate: real device sessions over MQTT with changing values.
#include <chrono>
#include <cmath>
#include <csignal>
#include <deque>
#include <iostream>
#include <random>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "app/cli/session.hpp"
#include "model/credentials.hpp"
#include "transport/mqtt/codec.hpp"

namespace orrery::app::cli {
namespace {

namespace asio = boost::asio;
namespace mqtt = transport::mqtt;
using asio::ip::tcp;
using error_code = boost::system::error_code;
using clock = std::chrono::steady_clock;

struct options {
  std::string product, host = "127.0.0.1", prefix = "sim-", protocol = "mqtt";
  int port = 11883, devices = 10, seconds = 0;
  double rate = 0.2;
};

struct figures {
  std::uint64_t connected = 0, sent = 0, acknowledged = 0, refused = 0, lost = 0;
};

/// A value for a point that moves as its kind does: levels swing, counters rise, states change.
json value_for(const json& point, double seconds, std::mt19937& random) {
  const auto& type = point.at("type");
  const auto t = type.value("t", "double");
  const auto low = type.value("min", 0.0), high = type.value("max", low + 100.0);
  const auto swing =
      0.5 + 0.4 * std::sin(seconds / 30) + 0.1 * std::uniform_real_distribution<>{-1, 1}(random);
  if (t == "bool")
    return random() % 2 == 0;
  if (t == "enum") {
    auto at = type.at("values").begin();
    std::advance(at, random() % type.at("values").size());
    if (type.value("base", "int") == "string")
      return at.key();
    return std::stoll(at.key());
  }
  if (t == "string")
    return "text " + std::to_string(random() % 1000);
  if (t == "int" || t == "long")
    return static_cast<std::int64_t>(low + swing * (high - low));
  if (t == "float" || t == "double")
    return point.value("signal", "") == "PI"
               ? seconds
               : std::round((low + swing * (high - low)) * 1000) / 1000;
  return nullptr;
}

class device : public std::enable_shared_from_this<device> {
 public:
  device(asio::io_context& io, const options& o, const json& points, figures& f, std::string key,
         std::string secret, unsigned seed)
      : io_{io},
        o_{o},
        points_{points},
        f_{f},
        key_{std::move(key)},
        secret_{std::move(secret)},
        socket_{io},
        timer_{io},
        random_{seed} {}

  void start(std::chrono::milliseconds after) {
    timer_.expires_after(after);
    timer_.async_wait([self = shared_from_this()](error_code e) {
      if (!e && !self->stopping_)
        self->connect();
    });
  }
  void stop() {
    stopping_ = true;
    timer_.cancel();
    if (socket_.is_open() && connected_) {
      auto bytes = std::string{};
      mqtt::encode(mqtt::disconnect{}, bytes);
      auto ignored = error_code{};
      asio::write(socket_, asio::buffer(bytes), ignored);
    }
    auto ignored = error_code{};
    socket_.close(ignored);
  }

 private:
  void connect() {
    socket_ = tcp::socket{io_};
    socket_.async_connect({asio::ip::make_address(o_.host), static_cast<std::uint16_t>(o_.port)},
                          [self = shared_from_this()](error_code e) {
                            if (e)
                              return self->lose();
                            self->log_in();
                          });
  }

  void log_in() {
    const auto timestamp = std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(
                                              std::chrono::system_clock::now().time_since_epoch())
                                              .count());
    const auto name = model::device_name{o_.product, key_};
    const auto digest =
        model::sign_login(name, key_, timestamp, model::sign_method::sha256, secret_);
    const auto client_id = key_ + "|securemode=2,signmethod=sha256,timestamp=" + timestamp + "|";
    const auto user = key_ + "&" + o_.product;
    auto c = mqtt::connect{};
    c.keep_alive = 120;
    c.client_id = client_id;
    c.username = user;
    c.password = digest;
    send(c);
    read();
  }

  void send(const mqtt::packet& p) {
    auto bytes = std::make_shared<std::string>();
    mqtt::encode(p, *bytes);
    out_.push_back(std::move(bytes));
    if (out_.size() == 1)
      write();
  }
  void write() {
    asio::async_write(socket_, asio::buffer(*out_.front()),
                      [self = shared_from_this()](error_code e, std::size_t) {
                        if (e)
                          return;
                        self->out_.pop_front();
                        if (!self->out_.empty())
                          self->write();
                      });
  }
  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](error_code e, std::size_t n) {
                              if (e)
                                return self->lose();
                              self->in_.append(self->buffer_.data(), n);
                              auto view = std::string_view{self->in_};
                              while (!view.empty()) {
                                const auto got = mqtt::decode(view, 1024 * 1024);
                                if (!got)
                                  return self->lose();
                                if (!*got)
                                  break;
                                self->take((*got)->what);
                                view.remove_prefix((*got)->size);
                              }
                              self->in_ = std::string{view};
                              self->read();
                            });
  }

  void take(const mqtt::packet& p) {
    if (const auto* answer = std::get_if<mqtt::connack>(&p)) {
      if (answer->code != 0) {
        ++f_.refused;
        return;
      }
      connected_ = true;
      ++f_.connected;
      const auto filter = "/sys/" + o_.product + "/" + key_ + "/thing/service/#";
      send(mqtt::subscribe{1, {{filter, mqtt::qos::at_least_once}}});
      post();
    } else if (std::holds_alternative<mqtt::puback>(p)) {
      ++f_.acknowledged;
    } else if (const auto* m = std::get_if<mqtt::publish>(&p)) {
      if (m->level == mqtt::qos::at_least_once)
        send(mqtt::puback{m->packet_id});
      reply(*m);
    }
  }

  /// A simulated device does what it is told.
  void reply(const mqtt::publish& m) {
    if (m.topic.find("/thing/service/") == std::string_view::npos || m.topic.ends_with("_reply"))
      return;
    const auto asked = json::parse(m.payload, nullptr, false);
    if (!asked.is_object() || !asked.contains("id"))
      return;
    const auto topic = std::string{m.topic} + "_reply";
    const auto text = json{{"id", asked.at("id")}, {"code", 200}, {"data", json::object()}}.dump();
    send(mqtt::publish{.topic = topic,
                       .payload = text,
                       .level = mqtt::qos::at_least_once,
                       .packet_id = next_id()});
  }

  std::uint16_t next_id() {
    if (++id_ == 0)
      ++id_;
    return id_;
  }

  void post() {
    if (stopping_ || !connected_)
      return;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto seconds = std::chrono::duration<double>(now).count();
    auto values = json::object();
    for (const auto& p : points_)
      if (auto v = value_for(p, seconds, random_); !v.is_null())
        values[p.at("id").get<std::string>()] = std::move(v);
    const auto topic = "/sys/" + o_.product + "/" + key_ + "/thing/measurepoint/post";
    const auto text =
        json{{"id", std::to_string(f_.sent)},
             {"version", "1.0"},
             {"method", "thing.measurepoint.post"},
             {"params",
              {{"measurepoints", std::move(values)},
               {"time", std::chrono::duration_cast<std::chrono::milliseconds>(now).count()}}}}
            .dump();
    send(mqtt::publish{.topic = topic,
                       .payload = text,
                       .level = mqtt::qos::at_least_once,
                       .packet_id = next_id()});
    ++f_.sent;
    timer_.expires_after(
        std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>{1 / o_.rate}));
    timer_.async_wait([self = shared_from_this()](error_code e) {
      if (!e)
        self->post();
    });
  }

  void lose() {
    if (stopping_)
      return;
    if (std::exchange(connected_, false)) {
      --f_.connected;
      ++f_.lost;
    }
    out_.clear();
    in_.clear();
    start(std::chrono::seconds{1});
  }

  asio::io_context& io_;
  const options& o_;
  const json& points_;
  figures& f_;
  std::string key_, secret_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::mt19937 random_;
  std::array<char, 4096> buffer_{};
  std::string in_;
  std::deque<std::shared_ptr<std::string>> out_;
  std::uint16_t id_ = 1;
  bool connected_ = false, stopping_ = false;
};

std::string key_of(const options& o, int i) {
  auto number = std::to_string(i);
  return o.prefix + std::string(number.size() < 4 ? 4 - number.size() : 0, '0') + number;
}

/// Secrets of the simulated devices: registers what is new, resets what is there.
std::vector<std::string> secrets_of(session& s, const options& o) {
  auto secrets = std::vector<std::string>(static_cast<std::size_t>(o.devices));
  for (int from = 0; from < o.devices; from += 500) {
    auto items = json::array();
    const auto to = std::min(from + 500, o.devices);
    for (int i = from; i < to; ++i)
      items.push_back({{"productKey", o.product}, {"deviceKey", key_of(o, i + 1)}});
    const auto done = s.request("POST", "~/devices:batch", {{"items", items}});
    for (const auto& r : done.at("results")) {
      const auto at = static_cast<std::size_t>(from) + r.at("index").get<std::size_t>();
      if (r.contains("device")) {
        secrets[at] = r.at("device").at("deviceSecret");
        continue;
      }
      if (r.at("error").value("code", "") != "device_key_exists")
        throw refused{r.at("error").value("detail", "a device cannot be registered")};
      const auto path = device_path(o.product + "/" + key_of(o, static_cast<int>(at) + 1));
      secrets[at] = s.request("POST", path + ":resetSecret", json::object()).at("deviceSecret");
    }
  }
  return secrets;
}

void simulate(session& s, const options& o) {
  if (o.rate <= 0 || o.devices <= 0)
    throw refused{"--devices and --rate must be above 0"};
  const auto product = s.request("GET", "~/products/" + encoded(o.product));
  const auto model = s.request("GET", "~/models/" + encoded(product.at("modelId")));
  const auto points = model.at("document").value("measurePoints", json::array());
  const auto secrets = secrets_of(s, o);
  auto io = asio::io_context{1};
  auto f = figures{};
  auto all = std::vector<std::shared_ptr<device>>{};
  const auto spread = 1000.0 / std::min(o.rate, 100.0);
  for (int i = 0; i < o.devices; ++i) {
    all.push_back(std::make_shared<device>(io, o, points, f, key_of(o, i + 1),
                                           secrets[static_cast<std::size_t>(i)],
                                           static_cast<unsigned>(i)));
    all.back()->start(std::chrono::milliseconds{static_cast<int>(spread * i / o.devices)});
  }
  const auto begun = clock::now();
  auto ticker = asio::steady_timer{io};
  auto stop = [&] {
    for (const auto& d : all)
      d->stop();
    ticker.cancel();
    io.stop();
  };
  auto signals = asio::signal_set{io, SIGINT, SIGTERM};
  signals.async_wait([&](error_code e, int) {
    if (!e)
      stop();
  });
  const auto report = [&] {
    std::cerr << std::chrono::duration_cast<std::chrono::seconds>(clock::now() - begun).count()
              << " s: " << f.connected << " connected, " << f.sent << " sent, " << f.acknowledged
              << " acknowledged, " << f.refused << " refused, " << f.lost << " connections lost\n";
  };
  std::function<void()> tick = [&] {
    ticker.expires_after(std::chrono::seconds{1});
    ticker.async_wait([&](error_code e) {
      if (e)
        return;
      const auto seconds =
          std::chrono::duration_cast<std::chrono::seconds>(clock::now() - begun).count();
      if (seconds % 5 == 0)
        report();
      if (o.seconds > 0 && seconds >= o.seconds && f.acknowledged == f.sent)
        return stop();
      if (o.seconds > 0 && seconds >= o.seconds + 10)
        return stop();
      tick();
    });
  };
  tick();
  io.run();
  report();
  s.show({{"connected", f.connected},
          {"sent", f.sent},
          {"acknowledged", f.acknowledged},
          {"refused", f.refused},
          {"lost", f.lost}},
         {});
  if (f.refused > 0)
    throw refused{std::to_string(f.refused) + " logins were refused"};
}

}  // namespace

void add_simulate(CLI::App& to, session& s) {
  auto* c =
      to.add_subcommand("simulate", "Run devices that post changing values; registers them first")
          ->footer(
              "Example: orrery simulate --product demo-inverter --devices 200 --rate 0.2 --seconds "
              "60");
  const auto o = std::make_shared<options>();
  c->add_option("--product", o->product)->required();
  c->add_option("--devices", o->devices)->capture_default_str();
  c->add_option("--rate", o->rate, "posts per second of each device")->capture_default_str();
  c->add_option("--seconds", o->seconds, "end after that time; 0: until Ctrl-C")
      ->capture_default_str();
  c->add_option("--host", o->host, "address of the MQTT port")->capture_default_str();
  c->add_option("--port", o->port, "MQTT port")->capture_default_str();
  c->add_option("--prefix", o->prefix, "of the device keys")->capture_default_str();
  c->add_option("--protocol", o->protocol)->check(CLI::IsMember({"mqtt"}))->capture_default_str();
  c->callback([&s, o] { simulate(s, *o); });
}

}  // namespace orrery::app::cli
