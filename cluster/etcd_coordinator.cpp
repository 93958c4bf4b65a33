#include "cluster/etcd_coordinator.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "model/base64.hpp"
#include "model/json.hpp"
#include "net/http_client.hpp"
#include "observe/log.hpp"

// Bytes are base64 in this gateway, 64-bit numbers strings, and what is zero or empty is left out.
namespace orrery::cluster {
namespace {

using model::array;
using model::object;
using model::to_base64;
using model::value;
using std::chrono::milliseconds;

constexpr auto reply_limits =
    model::json_limits{.max_bytes = 64u * 1024 * 1024, .max_depth = 32, .max_nodes = 4'000'000};
constexpr auto lease_not_found = 5;  // gRPC's code of it

/// The first key that does not start with `prefix`; etcd's "\0" for none.
std::string end_of(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff')
    prefix.pop_back();
  if (prefix.empty())
    return std::string(1, '\0');
  prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

const value* find(const value& in, std::initializer_list<std::string_view> path) {
  const auto* at = &in;
  for (const auto name : path)
    if (at)
      at = at->find(name);
  return at;
}
std::uint64_t number(const value* v) {
  auto n = std::uint64_t{0};
  if (v && v->is_string())
    std::from_chars(v->as_string().data(), v->as_string().data() + v->as_string().size(), n);
  else if (v && v->is_int())
    n = static_cast<std::uint64_t>(v->as_int());
  return n;
}
std::string bytes(const value* v) {
  return v && v->is_string() ? model::from_base64(v->as_string()).value_or("") : std::string{};
}
const array& items(const value* v) {
  static const auto none = array{};
  return v && v->is_array() ? v->as_array() : none;
}
bool is_true(const value* v) {
  return v && v->is_bool() && v->as_bool();
}
agreed item(const value& kv) {
  return {bytes(kv.find("key")), bytes(kv.find("value")), number(kv.find("mod_revision"))};
}

model::failure not_reachable(std::string detail) {
  return {model::errc::unavailable, "coordinator_unavailable", std::move(detail)};
}

/// One connection at a time to one of the endpoints.
class channel {
 public:
  explicit channel(etcd_access access) : access_{std::move(access)} { connect(); }

  /// `again`: may be asked twice. The reply, or the gateway's own failure.
  model::result<value> call(std::string_view path, const value& what, bool again) {
    const auto hold = std::lock_guard{mutex_};
    auto last = not_reachable("etcd was not asked");
    for (auto left = again ? access_.endpoints.size() + 1 : 1; left > 0; --left) {
      auto got = ask(path, what, true);
      if (got || got.error().code != model::errc::unavailable)
        return got;
      last = got.error();
      next_endpoint();
    }
    return last;
  }
  /// For a watch, which has a connection of its own.
  std::pair<std::string, net::http_client::headers> endpoint() {
    const auto hold = std::lock_guard{mutex_};
    if (!access_.user.empty() && token_.empty())
      static_cast<void>(log_in());
    return {access_.endpoints[at_], headers()};
  }
  void give_up(const std::string& endpoint) {
    const auto hold = std::lock_guard{mutex_};
    if (access_.endpoints[at_] == endpoint)
      next_endpoint();
  }
  const etcd_access& access() const { return access_; }

 private:
  void connect() {
    client_ = std::make_unique<net::http_client>(access_.endpoints.at(at_), access_.ca_file,
                                                 access_.patience);
  }
  void next_endpoint() {
    at_ = (at_ + 1) % access_.endpoints.size();
    token_.clear();  // tokens are a member's own
    connect();
  }
  net::http_client::headers headers() const {
    if (token_.empty())
      return {};
    return {{"Authorization", token_}};
  }
  model::status log_in() {
    const auto got = post("/v3/auth/authenticate",
                          object{{"name", access_.user}, {"password", access_.password}});
    if (!got)
      return got.error();
    const auto* token = got->find("token");
    if (!token || !token->is_string())
      return not_reachable("etcd gave no token");
    token_ = token->as_string();
    return {};
  }
  model::result<value> ask(std::string_view path, const value& what, bool may_log_in) {
    if (!access_.user.empty() && token_.empty())
      if (auto ok = log_in(); !ok)
        return ok.error();
    auto got = post(path, what);
    if (!got && may_log_in && !access_.user.empty() &&
        got.error().code == model::errc::unauthenticated) {
      token_.clear();  // it was given for some minutes
      return ask(path, what, false);
    }
    return got;
  }
  model::result<value> post(std::string_view path, const value& what) {
    auto reply = net::http_reply{};
    try {
      reply = client_->request("POST", path, headers(), model::to_json(what));
    } catch (const net::not_reached& e) {
      return not_reachable(std::string{"etcd: "} + e.what());
    }
    auto parsed = model::parse_json(reply.body, reply_limits);
    if (reply.status == 200 && parsed)
      return parsed;
    const auto said =
        "etcd says " + std::to_string(reply.status) + ": " + reply.body.substr(0, 200);
    if (parsed && number(parsed->find("code")) == lease_not_found)
      return model::failure{model::errc::not_found, "lease_over", said};
    if (reply.status == 401 || said.find("invalid auth token") != std::string::npos)
      return model::failure{model::errc::unauthenticated, "coordinator_refuses", said};
    return not_reachable(said);
  }

  etcd_access access_;
  std::mutex mutex_;
  std::size_t at_ = 0;
  std::string token_;
  std::unique_ptr<net::http_client> client_;
};

class etcd_follower final : public subscription {
 public:
  etcd_follower(std::shared_ptr<channel> by, std::string prefix, std::uint64_t revision,
                coordinator::listener told)
      : by_{std::move(by)},
        prefix_{std::move(prefix)},
        revision_{revision},
        told_{std::move(told)},
        thread_{[this] { run(); }} {}
  ~etcd_follower() override {
    {
      const auto hold = std::lock_guard{mutex_};
      over_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

 private:
  void run() {
    while (!over_ && !lost_) {
      const auto [endpoint, headers] = by_->endpoint();
      try {
        watch(endpoint, headers);
      } catch (const net::not_reached& e) {
        observe::log::warn("cluster.etcd", "watch_broke", {{"detail", e.what()}});
      }
      if (over_ || lost_)
        return;
      by_->give_up(endpoint);
      auto hold = std::unique_lock{mutex_};
      wake_.wait_for(hold, milliseconds{100}, [&] { return over_.load(); });
    }
  }
  void watch(const std::string& endpoint, const net::http_client::headers& headers) {
    const auto& access = by_->access();
    auto client = net::http_client{endpoint, access.ca_file, access.patience};
    const auto create = value{
        object{{"create_request", object{{"key", to_base64(prefix_)},
                                         {"range_end", to_base64(end_of(prefix_))},
                                         {"start_revision", std::to_string(revision_ + 1)}}}}};
    client.lines(
        "POST", "/v3/watch", headers, model::to_json(create),
        [&](std::string_view line) { return !over_ && take(line); }, [&] { return !over_; });
  }
  /// False: this watch is over.
  bool take(std::string_view line) {
    if (line.empty())
      return true;
    const auto parsed = model::parse_json(line, reply_limits);
    const auto* result = parsed ? parsed->find("result") : nullptr;
    if (!result)
      return false;
    if (is_true(result->find("canceled"))) {
      if (number(result->find("compact_revision")) == 0) {
        // Refused, as with a token that is too old: once more.
        const auto* why = result->find("cancel_reason");
        observe::log::warn("cluster.etcd", "watch_refused",
                           {{"detail", why && why->is_string() ? why->as_string() : ""}});
        return false;
      }
      lost_ = true;
      told_({true, {}, 0});
      return false;
    }
    auto n = news{false, {}, number(find(*result, {"header", "revision"}))};
    for (const auto& e : items(result->find("events"))) {
      const auto* kv = e.find("kv");
      const auto* type = e.find("type");
      if (!kv)
        continue;
      const auto gone = type && type->is_string() && type->as_string() == "DELETE";
      n.changes.push_back({bytes(kv->find("key")),
                           gone ? std::nullopt : std::optional{bytes(kv->find("value"))}, 0,
                           number(kv->find("mod_revision"))});
      // Not the header's: one answer may hold a part of what that has.
      revision_ = std::max(revision_, n.changes.back().revision);
    }
    n.revision = revision_;
    if (!n.changes.empty())
      told_(n);
    return true;
  }

  std::shared_ptr<channel> by_;
  std::string prefix_;
  std::uint64_t revision_;
  coordinator::listener told_;
  std::atomic<bool> over_{false};
  bool lost_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

class etcd final : public coordinator {
 public:
  explicit etcd(const etcd_access& access)
      : calls_{std::make_shared<channel>(access)},
        renewals_{std::make_shared<channel>(access)},
        watches_{std::make_shared<channel>(access)} {}

  model::result<listing> list(std::string_view prefix) override {
    const auto got = calls_->call("/v3/kv/range",
                                  object{{"key", to_base64(prefix)},
                                         {"range_end", to_base64(end_of(std::string{prefix}))},
                                         {"sort_target", "KEY"},
                                         {"sort_order", "ASCEND"}},
                                  true);
    if (!got)
      return got.error();
    auto found = listing{number(find(*got, {"header", "revision"})), {}};
    for (const auto& kv : items(got->find("kvs")))
      found.items.push_back(item(kv));
    return found;
  }

  model::result<swap_outcome> swap(std::span<const condition> conditions,
                                   std::span<const change> changes) override {
    auto compare = array{}, success = array{}, failure = array{};
    for (const auto& c : conditions) {
      compare.emplace_back(object{{"key", to_base64(c.key)},
                                  {"target", "MOD"},
                                  {"result", "EQUAL"},
                                  {"mod_revision", std::to_string(c.revision)}});
      failure.emplace_back(object{{"request_range", object{{"key", to_base64(c.key)}}}});
    }
    for (const auto& c : changes)
      if (c.value)
        success.emplace_back(object{{"request_put", object{{"key", to_base64(c.key)},
                                                           {"value", to_base64(*c.value)},
                                                           {"lease", std::to_string(c.lease)}}}});
      else
        success.emplace_back(object{{"request_delete_range", object{{"key", to_base64(c.key)}}}});
    const auto got = calls_->call("/v3/kv/txn",
                                  object{{"compare", std::move(compare)},
                                         {"success", std::move(success)},
                                         {"failure", std::move(failure)}},
                                  false);
    if (!got)
      return got.error();
    auto outcome = swap_outcome{
        is_true(got->find("succeeded")), number(find(*got, {"header", "revision"})), {}};
    if (!outcome.done)
      for (const auto& response : items(got->find("responses")))
        for (const auto& kv : items(find(response, {"response_range", "kvs"})))
          outcome.now.push_back(item(kv));
    return outcome;
  }

  model::result<lease_id> grant(milliseconds life) override {
    const auto seconds = std::max<std::int64_t>((life.count() + 999) / 1000, 2);
    const auto got =
        calls_->call("/v3/lease/grant", object{{"TTL", std::to_string(seconds)}}, true);
    if (!got)
      return got.error();
    const auto id = number(got->find("ID"));
    if (id == 0)
      return not_reachable("etcd gave no lease");
    return id;
  }

  model::result<bool> renew(lease_id lease) override {
    const auto got =
        renewals_->call("/v3/lease/keepalive", object{{"ID", std::to_string(lease)}}, true);
    if (!got)
      return got.error();
    return number(find(*got, {"result", "TTL"})) > 0;
  }

  model::status revoke(lease_id lease) override {
    const auto got = calls_->call("/v3/lease/revoke", object{{"ID", std::to_string(lease)}}, true);
    if (!got && got.error().code != model::errc::not_found)
      return got.error();
    return {};
  }

  std::unique_ptr<subscription> follow(std::string prefix, std::uint64_t revision,
                                       listener told) override {
    return std::make_unique<etcd_follower>(watches_, std::move(prefix), revision, std::move(told));
  }

 private:
  std::shared_ptr<channel> calls_, renewals_, watches_;
};

}  // namespace

std::unique_ptr<coordinator> make_etcd_coordinator(etcd_access access) {
  if (access.endpoints.empty())
    throw std::invalid_argument{"etcd: no endpoint is given"};
  return std::make_unique<etcd>(access);
}

}  // namespace orrery::cluster
