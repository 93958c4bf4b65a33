#include "app/cli/simulated_device.hpp"

#include <algorithm>
#include <cmath>

#include <boost/asio/write.hpp>

#include "model/credentials.hpp"

namespace orrery::app::cli {
namespace {

namespace asio = boost::asio;
namespace mqtt = transport::mqtt;
using asio::ip::tcp;
using error_code = boost::system::error_code;
using json = nlohmann::ordered_json;
using clock = std::chrono::steady_clock;

constexpr auto keep_alive_seconds = std::uint16_t{120};
constexpr auto back_off = std::chrono::seconds{1};
constexpr std::size_t max_packet_bytes = 1024 * 1024;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// A value for a point that moves as its kind does: levels swing, counters rise, states change.
json value_for(const json& point, double seconds, std::mt19937& random) {
  const auto& type = point.at("type");
  const auto t = type.value("t", "double");
  const auto low = type.value("min", 0.0);
  const auto high = std::min(type.value("max", low + 100.0), low + 1e9);
  const auto swing =
      0.5 + 0.4 * std::sin(seconds / 30) + 0.1 * std::uniform_real_distribution<>{-1, 1}(random);
  const auto rises = point.value("signal", "") == "PI";
  if (t == "bool")
    return random() % 2 == 0;
  if (t == "enum") {
    auto at = type.at("values").begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random() % type.at("values").size()));
    if (type.value("base", "int") == "string")
      return at.key();
    return std::stoll(at.key());
  }
  if (t == "string")
    return "text " + std::to_string(random() % 1000);
  // A counter of this day: no model bounds it below a day's seconds by accident.
  const auto of_day = std::fmod(seconds, 86'400.0);
  if (t == "int" || t == "long")
    return static_cast<std::int64_t>(rises ? low + of_day : low + swing * (high - low));
  if (t == "float" || t == "double")
    return std::round((rises ? low + of_day : low + swing * (high - low)) * 1000) / 1000;
  return nullptr;
}

}  // namespace

simulated_device::simulated_device(asio::io_context& io, simulation& all, std::string key,
                                   std::string secret, unsigned seed)
    : io_{io},
      all_{all},
      key_{std::move(key)},
      secret_{std::move(secret)},
      socket_{io},
      timer_{io},
      random_{seed} {}

void simulated_device::start(std::chrono::nanoseconds after) {
  timer_.expires_after(after);
  timer_.async_wait([self = shared_from_this()](error_code e) {
    if (!e && !self->stopped_)
      self->connect();
  });
}

void simulated_device::rest() {
  resting_ = true;
  if (online_)
    timer_.cancel();
}

void simulated_device::stop() {
  stopped_ = true;
  timer_.cancel();
  auto ignored = error_code{};
  if (online_) {
    auto bytes = std::string{};
    mqtt::encode(mqtt::disconnect{}, bytes);
    asio::write(socket_, asio::buffer(bytes), ignored);
  }
  socket_.close(ignored);
}

std::string simulated_device::topic(const char* rest) const {
  return "/sys/" + all_.product + "/" + key_ + "/thing/" + rest;
}

void simulated_device::connect() {
  socket_ = tcp::socket{io_};
  socket_.async_connect(all_.where, [self = shared_from_this()](error_code e) {
    if (e)
      return self->lose(e.message());
    auto ignored = error_code{};
    self->socket_.set_option(tcp::no_delay{true}, ignored);
    self->log_in();
  });
}

void simulated_device::log_in() {
  const auto timestamp = std::to_string(now_ms());
  const auto digest =
      model::sign_login({all_.product, key_}, key_, timestamp, model::sign_method::sha256, secret_);
  const auto client_id = key_ + "|securemode=2,signmethod=sha256,timestamp=" + timestamp + "|";
  const auto user = key_ + "&" + all_.product;
  auto login = mqtt::packet{};  // made in place: g++ 12 warns of what a copy would copy
  auto& c = login.emplace<mqtt::connect>();
  c.keep_alive = keep_alive_seconds;
  c.client_id = client_id;
  c.username = user;
  c.password = digest;
  send(login);
  read();
}

void simulated_device::lose(const std::string& why) {
  if (stopped_)
    return;
  all_.last_error = why;
  if (std::exchange(online_, false)) {
    --all_.connected;
    ++all_.lost;
  }
  all_.failed += posts_ - answered_;  // what was under way is not known any more
  posts_ = answered_ = 0;
  out_.clear();
  in_.clear();
  start(back_off);
}

void simulated_device::send(const mqtt::packet& p) {
  mqtt::encode(p, out_.emplace_back());
  if (out_.size() == 1)
    write();
}

void simulated_device::write() {
  asio::async_write(socket_, asio::buffer(out_.front()),
                    [self = shared_from_this()](error_code e, std::size_t) {
                      if (e || self->out_.empty())
                        return;  // the read ends too
                      self->out_.pop_front();
                      if (!self->out_.empty())
                        self->write();
                    });
}

void simulated_device::read() {
  socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](error_code e,
                                                                             std::size_t n) {
    if (e)
      return self->lose(e == asio::error::eof ? "the server closed the connection" : e.message());
    self->in_.append(self->buffer_.data(), n);
    auto view = std::string_view{self->in_};
    while (!view.empty()) {
      const auto got = mqtt::decode(view, max_packet_bytes);
      if (!got)
        return self->lose(got.error().detail);
      if (!*got)
        break;
      self->take((*got)->what);
      view.remove_prefix((*got)->size);
    }
    self->in_.erase(0, self->in_.size() - view.size());
    self->read();
  });
}

void simulated_device::take(const mqtt::packet& p) {
  if (const auto* answer = std::get_if<mqtt::connack>(&p)) {
    if (answer->code != 0) {
      ++all_.refused;
      all_.last_refusal = key_ + ": CONNACK " + std::to_string(answer->code);
      return;
    }
    online_ = true;
    ++all_.connected;
    ++all_.logins;
    const auto commands = topic("service/#"), replies = topic("measurepoint/post_reply");
    send(mqtt::subscribe{
        next_id(), {{commands, mqtt::qos::at_least_once}, {replies, mqtt::qos::at_most_once}}});
    due_ = clock::now();
    post();
  } else if (const auto* m = std::get_if<mqtt::publish>(&p)) {
    if (m->level == mqtt::qos::at_least_once)
      send(mqtt::puback{m->packet_id});
    if (m->topic.ends_with("/thing/measurepoint/post_reply"))
      take_post_reply(m->payload);
    else if (m->topic.find("/thing/service/") != std::string_view::npos &&
             !m->topic.ends_with("_reply"))
      answer_command(*m);
  }
}

void simulated_device::take_post_reply(std::string_view payload) {
  if (answered_ == posts_)
    return;  // of a connection before
  ++answered_;
  const auto reply = json::parse(payload, nullptr, false);
  if (reply.is_object() && reply.value("code", 0) == 200) {
    ++all_.acknowledged;
    return;
  }
  ++all_.failed;
  all_.last_failure = key_ + ": " + std::string{payload.substr(0, 300)};
}

/// A simulated device does what it is told.
void simulated_device::answer_command(const mqtt::publish& m) {
  const auto asked = json::parse(m.payload, nullptr, false);
  if (!asked.is_object() || !asked.contains("id"))
    return;
  const auto to = std::string{m.topic} + "_reply";
  const auto text = json{{"id", asked.at("id")}, {"code", 200}, {"data", json::object()}}.dump();
  send(mqtt::publish{
      .topic = to, .payload = text, .level = mqtt::qos::at_least_once, .packet_id = next_id()});
  ++all_.commands;
}

std::uint16_t simulated_device::next_id() {
  if (++id_ == 0)
    ++id_;
  return id_;
}

void simulated_device::post() {
  if (stopped_ || resting_ || !online_ || (all_.posts_each > 0 && made_ >= all_.posts_each))
    return;
  const auto seconds = static_cast<double>(now_ms()) / 1000;
  auto values = json::object();
  for (const auto& p : all_.points)
    if (auto v = value_for(p, seconds, random_); !v.is_null())
      values[p.at("id").get<std::string>()] = std::move(v);
  const auto to = topic("measurepoint/post");
  const auto text = json{{"id", std::to_string(++posts_)},
                         {"version", "1.0"},
                         {"method", "thing.measurepoint.post"},
                         {"params", {{"measurepoints", std::move(values)}, {"time", now_ms()}}}}
                        .dump();
  send(mqtt::publish{
      .topic = to, .payload = text, .level = mqtt::qos::at_least_once, .packet_id = next_id()});
  ++all_.sent;
  ++made_;
  schedule_post();
}

/// By the plan and not by the last post: a late one does not lower the rate.
void simulated_device::schedule_post() {
  due_ = std::max(due_ + std::chrono::duration_cast<clock::duration>(all_.interval),
                  clock::now() - std::chrono::seconds{1});
  timer_.expires_at(due_);
  timer_.async_wait([self = shared_from_this()](error_code e) {
    if (!e)
      self->post();
  });
}

}  // namespace orrery::app::cli
