// simulate: real device sessions over MQTT with changing values.
#include <cmath>
#include <iomanip>
#include <iostream>
#include <sstream>

#include <boost/asio/signal_set.hpp>

#include "app/cli/session.hpp"
#include "app/cli/simulated_device.hpp"

namespace orrery::app::cli {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using error_code = boost::system::error_code;
using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto report_every = 5;  // seconds
constexpr auto patience = 10s;    // with what is under way at the end
constexpr auto give_up = 10s;     // if not one device can connect

struct options {
  std::string product, host, prefix = "sim-", protocol = "mqtt";
  int port = 11883, devices = 10, seconds = 0;
  double rate = 0.2;
};

std::string key_of(const options& o, int number) {
  auto text = std::ostringstream{};
  text << o.prefix << std::setw(4) << std::setfill('0') << number;
  return text.str();
}

/// Secrets of the simulated devices: registers what is new, resets what is there.
std::vector<std::string> secrets_of(session& s, const options& o) {
  constexpr auto at_once = 500;
  auto secrets = std::vector<std::string>(static_cast<std::size_t>(o.devices));
  for (int from = 0; from < o.devices; from += at_once) {
    auto items = json::array();
    for (int i = from; i < std::min(from + at_once, o.devices); ++i)
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

tcp::endpoint resolve(asio::io_context& io, const std::string& host, int port) {
  auto failed = error_code{};
  const auto found = tcp::resolver{io}.resolve(host, std::to_string(port), failed);
  if (failed || found.empty())
    throw refused{host + " has no address: " + failed.message()};
  return *found.begin();
}

/// The devices, and the clock that starts, watches and ends them.
class run {
 public:
  run(asio::io_context& io, simulation& all, const options& o)
      : io_{io}, all_{all}, o_{o}, ticker_{io}, signals_{io, SIGINT, SIGTERM} {}

  void start(const std::vector<std::string>& secrets) {
    begun_ = clock::now();
    for (int i = 0; i < o_.devices; ++i) {
      const auto at = static_cast<std::size_t>(i);
      devices_.push_back(std::make_shared<simulated_device>(io_, all_, key_of(o_, i + 1),
                                                            secrets[at], static_cast<unsigned>(i)));
      // Spread over one interval, so that the load is level.
      devices_.back()->start(std::min<std::chrono::nanoseconds>(all_.interval, 10s) * i /
                             o_.devices);
    }
    wait_for_signal();
    tick();
  }

  void report() const {
    std::cerr << seconds() << " s: " << all_.connected << " of " << o_.devices << " connected, "
              << all_.sent << " sent, " << all_.acknowledged << " acknowledged, " << all_.failed
              << " failed";
    if (all_.lost > 0)
      std::cerr << ", " << all_.lost << " connections lost";
    if (all_.refused > 0)
      std::cerr << ", " << all_.refused << " logins refused";
    std::cerr << '\n';
  }
  std::int64_t seconds() const {
    return std::chrono::duration_cast<std::chrono::seconds>(clock::now() - begun_).count();
  }
  const std::string& trouble() const { return trouble_; }

 private:
  void tick() {
    ticker_.expires_after(resting_since_ ? std::chrono::milliseconds{20} : 1s);
    ticker_.async_wait([this](error_code e) {
      if (e)
        return;
      if (resting_since_) {
        if (all_.outstanding() == 0 || clock::now() - *resting_since_ > patience)
          return stop();
        return tick();
      }
      if (all_.logins == 0 && clock::now() - begun_ > give_up) {
        trouble_ = "no device could connect to " + all_.where.address().to_string() + ":" +
                   std::to_string(all_.where.port()) + ": " +
                   (all_.refused > 0 ? all_.last_refusal : all_.last_error) +
                   "; --host and --port name the MQTT port";
        return stop();
      }
      if (seconds() % report_every == 0)
        report();
      // All posts of the time are made, be it late.
      const auto wanted = all_.posts_each * static_cast<std::uint64_t>(o_.devices);
      const auto over = seconds() - o_.seconds;
      if (o_.seconds > 0 && over >= 0 && (all_.sent >= wanted || over >= patience.count()))
        return rest();
      tick();
    });
  }
  void rest() {
    if (resting_since_)
      return stop();  // asked twice
    resting_since_ = clock::now();
    for (const auto& d : devices_)
      d->rest();
    ticker_.cancel();
    tick();
  }
  /// Ctrl-C ends it with what is under way; a second one at once.
  void wait_for_signal() {
    signals_.async_wait([this](error_code e, int) {
      if (e)
        return;
      rest();
      wait_for_signal();
    });
  }
  void stop() {
    for (const auto& d : devices_)
      d->stop();
    ticker_.cancel();
    signals_.cancel();
    io_.stop();
  }

  asio::io_context& io_;
  simulation& all_;
  const options& o_;
  asio::steady_timer ticker_;
  asio::signal_set signals_;
  std::vector<std::shared_ptr<simulated_device>> devices_;
  clock::time_point begun_;
  std::optional<clock::time_point> resting_since_;
  std::string trouble_;
};

void simulate(session& s, const options& o) {
  if (!(o.rate > 0) || o.rate > 1000)
    throw refused{"--rate must be above 0 and at most 1000"};
  if (o.devices < 1 || o.devices > 15'000)
    throw refused{"--devices must be from 1 to 15000: each is a connection of this process"};
  const auto product = s.request("GET", "~/products/" + encoded(o.product));
  const auto model = s.request("GET", "~/models/" + encoded(product.at("modelId")));
  auto io = asio::io_context{1};
  auto all = simulation{};
  all.product = o.product;
  all.points = model.at("document").value("measurePoints", json::array());
  all.interval = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>{1 / o.rate});
  if (o.seconds > 0)
    all.posts_each = static_cast<std::uint64_t>(
        std::max(1.0, std::round(o.rate * static_cast<double>(o.seconds))));
  all.where = resolve(io, o.host.empty() ? s.host() : o.host, o.port);
  std::cerr << "registering " << o.devices << " devices of " << o.product << '\n';
  const auto secrets = secrets_of(s, o);
  auto r = run{io, all, o};
  r.start(secrets);
  io.run();
  r.report();
  // What nobody answered failed too.
  const auto failed = all.failed + all.outstanding();
  s.show({{"devices", o.devices},
          {"seconds", r.seconds()},
          {"sent", all.sent},
          {"acknowledged", all.acknowledged},
          {"failed", failed},
          {"commands", all.commands},
          {"connectionsLost", all.lost},
          {"loginsRefused", all.refused}},
         {});
  if (!r.trouble().empty())
    throw refused{r.trouble()};
  if (all.refused > 0)
    throw refused{std::to_string(all.refused) + " logins were refused, the last of " +
                  all.last_refusal};
  if (failed > 0)
    throw refused{std::to_string(failed) + " posts failed" +
                  (all.last_failure.empty() ? "" : ", the last of " + all.last_failure)};
}

}  // namespace

void add_simulate(CLI::App& to, session& s) {
  auto* c = command(to, "simulate", "Run devices that post changing values; registers them first",
                    "simulate --product demo-inverter --devices 200 --rate 0.2 --seconds 60");
  const auto o = make<options>();
  c->add_option("--product", o->product, "key of the product")->required();
  c->add_option("--devices", o->devices, "how many")->capture_default_str();
  c->add_option("--rate", o->rate, "posts per second of each device")->capture_default_str();
  c->add_option("--seconds", o->seconds, "end after that time; 0: until Ctrl-C")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  c->add_option("--host", o->host, "address of the MQTT port; that of the server if not given");
  c->add_option("--port", o->port, "plain MQTT port")
      ->capture_default_str()
      ->check(CLI::Range(1, 65'535));
  c->add_option("--prefix", o->prefix, "of the device keys")->capture_default_str();
  c->add_option("--protocol", o->protocol)->check(CLI::IsMember({"mqtt"}))->capture_default_str();
  c->callback([&s, o] { simulate(s, *o); });
}

}  // namespace orrery::app::cli
