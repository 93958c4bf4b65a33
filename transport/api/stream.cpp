#include "transport/api/stream.hpp"

#include <algorithm>
#include <map>

#include "model/credentials.hpp"
#include "model/json.hpp"
#include "transport/api/auth.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/problem.hpp"
#include "transport/api/stream_items.hpp"

namespace orrery::transport::api {
namespace {

using actors::feed_kind;
using model::errc;
using model::failure;

constexpr std::size_t most_items = 500;  // of one data frame
constexpr auto longest_between_checks = std::chrono::milliseconds{10'000};
constexpr auto reauth_before = std::chrono::seconds{60};  // the end of a credential
constexpr auto patience = std::chrono::seconds{60};       // with a reader that takes nothing

// Close codes of the stream protocol.
constexpr std::uint16_t protocol_error = 4400, unauthenticated = 4401, forbidden = 4403,
                        slow_consumer = 4408;

struct subscription {
  std::string sid;
  std::uint64_t number = 0;  // in the feed
  feed_kind kind = feed_kind::points;
  std::set<std::string> points;
  std::set<std::string> products = {};  // those it is about; empty: all
  bool woken = false;
};

class stream_session : public std::enable_shared_from_this<stream_session> {
 public:
  stream_session(std::shared_ptr<web_socket> socket, std::shared_ptr<const service_parts> parts,
                 stream_credential credential)
      : socket_{std::move(socket)},
        parts_{std::move(parts)},
        credential_{std::move(credential)},
        checked_{parts_->known->version()} {}

  void start() {
    auto self = shared_from_this();
    socket_->start({.on_text = [self](std::string_view text) { self->read(text); },
                    .on_drained =
                        [self] {
                          self->blocked_since_.reset();
                          self->pump_all();
                        },
                    .on_closed = [self] { self->end(); }});
    check();
  }

 private:
  /// Looks at the credential and the reader now and then, and when the credential is about to end.
  void check() {
    if (!still_allowed())
      return;
    const auto now = parts_->now();
    if (blocked_since_ && now - *blocked_since_ > patience)
      return socket_->close(slow_consumer, "the reader is too slow");
    auto next = longest_between_checks;
    if (const auto& expires = credential_.who.expires) {
      if (!reauth_sent_ && now >= *expires - reauth_before) {
        reauth_sent_ = true;
        send(model::object{{"op", "reauth"}, {"expires", model::to_ms(*expires)}});
      }
      const auto due = reauth_sent_ ? *expires : *expires - reauth_before;
      next = std::clamp<std::chrono::milliseconds>(due - now, std::chrono::milliseconds{1}, next);
    }
    socket_->after(static_cast<std::uint64_t>(next.count()), [weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && !self->ended_)
        self->check();
    });
  }

  /// False, and the socket closes, once the credential or one of its rights is gone. Cheap: it is
  /// looked up again only when the catalogue has changed.
  bool still_allowed() {
    const auto version = parts_->known->version();
    const auto& expires = credential_.who.expires;
    if (version == checked_ && !(expires && *expires <= parts_->now()))
      return true;
    auto who = authenticate(*parts_, credential_.authorization, credential_.peer);
    if (!who) {
      socket_->close(unauthenticated, "the credential ended");
      return false;
    }
    credential_.who = std::move(*who);
    checked_ = version;
    for (const auto& [sid, s] : subscriptions_)
      if (!may_have(s.kind, s.products)) {
        socket_->close(forbidden, "a right was taken away");
        return false;
      }
    return true;
  }

  bool may_have(feed_kind kind, const std::set<std::string>& products) const {
    const auto needed = needed_for(kind);
    return credential_.who.may(needed) ||
           (!products.empty() && std::all_of(products.begin(), products.end(), [&](const auto& p) {
             return credential_.who.may_for(needed, p);
           }));
  }

  void end() {
    ended_ = true;
    for (const auto& [sid, s] : subscriptions_)
      parts_->feed->unsubscribe(s.number);
    subscriptions_.clear();
  }

  void send(const model::value& v) { socket_->send(model::to_json(v)); }

  void ok(const model::value& id, model::object more = {}) {
    auto o = model::object{{"op", "ok"}, {"id", id}};
    std::move(more.begin(), more.end(), std::back_inserter(o));
    send(o);
  }
  void error(const model::value& id, const failure& why) {
    auto o = problem_object(why, "", "").as_object();
    std::erase_if(o, [](const auto& m) { return m.first == "instance" || m.first == "requestId"; });
    o.insert(o.begin(), {"id", id});
    o.insert(o.begin(), {"op", "error"});
    send(o);
  }

  void read(std::string_view text) {
    const auto v =
        model::parse_json(text, {.max_bytes = 64 * 1024, .max_depth = 16, .max_nodes = 10'000});
    if (!v || !v->is_object())
      return socket_->close(protocol_error, "not a JSON object of at most 64 KiB");
    if (!still_allowed())
      return;
    auto f = fields{*v};
    const auto op = f.text("op", 32).value_or("");
    const auto* given = f.any("id");
    const auto id = given && (given->is_string() || given->is_int()) ? *given : model::value{};
    if (given && id.is_null())
      f.note("id", "type_mismatch", "expected text or a whole number");
    if (op == "hello")
      return hello(id, f);
    if (op == "ping")
      return ping(f);
    if (op == "auth")
      return renew(id, f);
    if (op == "sub")
      return subscribe(id, f);
    if (op == "unsub")
      return unsubscribe(id, f);
    error(id, {errc::invalid_argument, "unknown_op", "there are hello, auth, sub, unsub and ping"});
  }

  void hello(const model::value& id, fields& f) {
    f.text("client");
    f.text("version");
    f.array("features", 100);
    if (auto good = f.finish(); !good)
      return error(id, good.error());
    const auto& l = parts_->settings.stream;
    send(model::object{
        {"op", "hello"},
        {"id", id},
        {"server", std::string{"orrery "} + ORRERY_VERSION},
        {"session", session_},
        {"limits", model::object{{"subscriptions", static_cast<std::int64_t>(l.max_subscriptions)},
                                 {"queue", static_cast<std::int64_t>(l.max_queued)}}},
        {"heartbeat", 25}});
  }

  void ping(fields& f) {
    auto o = model::object{{"op", "pong"}};
    if (const auto* t = f.any("t"))
      o.emplace_back("t", *t);
    send(o);
  }

  /// A new credential of the same organisation takes the place of the one that is about to end.
  void renew(const model::value& id, fields& f) {
    const auto token = f.text("token", 4096);
    if (!token)
      f.missing("token");
    if (auto good = f.finish(); !good)
      return error(id, good.error());
    auto who = authenticate(*parts_, "Bearer " + *token, credential_.peer);
    if (!who)
      return error(id, who.error());
    if (who->organisation != credential_.who.organisation)
      return error(id, {errc::forbidden, "forbidden", "a socket stays in its organisation"});
    credential_ = {std::move(*who), "Bearer " + *token, credential_.peer};
    checked_ = 0;
    reauth_sent_ = false;
    if (!still_allowed())
      return;
    ok(id);
  }

  void subscribe(const model::value& id, fields& f) {
    auto asked = read_subscription(f, credential_.who.organisation);
    if (!asked)
      return error(id, asked.error());
    auto s = subscription{
        .sid = std::move(asked->sid), .kind = asked->filter.kind, .points = asked->filter.points};
    if (subscriptions_.contains(s.sid))
      return error(id, {errc::conflict, "sid_in_use",
                        "there is a subscription " + s.sid + " on this socket"});
    if (subscriptions_.size() >= parts_->settings.stream.max_subscriptions)
      return error(
          id, {errc::too_many_requests, "too_many_subscriptions",
               "a socket has at most " + std::to_string(parts_->settings.stream.max_subscriptions) +
                   " subscriptions"});
    const auto needed = needed_for(s.kind);
    if (auto reached = credential_.who.products_for(needed)) {
      if (const auto& named = asked->filter.products; !named.empty())
        std::erase_if(*reached, [&](const auto& p) { return !named.contains(p); });
      s.products = asked->filter.products = std::move(*reached);
    }
    if (!may_have(s.kind, s.products))
      return error(id,
                   {errc::forbidden, "forbidden", "needs the permission " + std::string{needed}});
    s.number =
        parts_->feed->subscribe(std::move(asked->filter), [weak = weak_from_this(), sid = s.sid] {
          if (const auto self = weak.lock())
            self->socket_->post([self, sid] { self->wake(sid); });
        });
    // What comes now waits in the queue: its call to wake runs after this.
    ok(id, {{"sid", s.sid}, {"from", "latest"}});
    const auto sid = s.sid;
    subscriptions_.emplace(sid, std::move(s));
  }

  void unsubscribe(const model::value& id, fields& f) {
    const auto sid = f.text("sid", 64).value_or("");
    if (sid.empty())
      f.missing("sid");
    if (auto good = f.finish(); !good)
      return error(id, good.error());
    const auto found = subscriptions_.find(sid);
    if (found == subscriptions_.end())
      return error(id,
                   {errc::not_found, "sid_unknown", "no subscription " + sid + " on this socket"});
    parts_->feed->unsubscribe(found->second.number);
    subscriptions_.erase(found);
    ok(id, {{"sid", sid}});
  }

  void wake(const std::string& sid) {
    const auto found = subscriptions_.find(sid);
    if (ended_ || found == subscriptions_.end())
      return;
    found->second.woken = true;
    pump(found->second);
  }

  void pump_all() {
    for (auto& [sid, s] : subscriptions_)
      if (s.woken)
        pump(s);
  }

  /// Sends what waits as long as the socket takes it; the rest waits in the bounded queue.
  void pump(subscription& s) {
    while (!ended_) {
      if (socket_->pending() >= parts_->settings.stream.max_pending_bytes) {
        if (!blocked_since_)
          blocked_since_ = parts_->now();
        return;
      }
      if (!still_allowed())
        return;
      auto batch = parts_->feed->take(s.number, most_items);
      if (batch.lost > 0)
        send(model::object{{"op", "gap"},
                           {"sid", s.sid},
                           {"reason", "overflow"},
                           {"count", static_cast<std::int64_t>(batch.lost)}});
      if (batch.items.empty()) {
        s.woken = false;
        return;
      }
      auto items = model::array{};
      for (const auto& item : batch.items)
        show_item(item, s.points, parts_->now(), items);
      const auto& last = batch.items.back();
      if (!items.empty())
        send(model::object{
            {"op", "data"},
            {"sid", s.sid},
            {"pos", std::to_string(last.who.id.shard) + "." + std::to_string(last.offset)},
            {"items", std::move(items)}});
    }
  }

  std::shared_ptr<web_socket> socket_;
  std::shared_ptr<const service_parts> parts_;
  stream_credential credential_;
  std::uint64_t checked_;  // version of the catalogue that the credential was looked up in
  std::string session_ = model::random_text(12);
  std::map<std::string, subscription> subscriptions_;
  std::optional<model::timestamp> blocked_since_;
  bool reauth_sent_ = false, ended_ = false;
};

}  // namespace

void serve_stream(std::shared_ptr<web_socket> socket, std::shared_ptr<const service_parts> parts,
                  stream_credential credential) {
  std::make_shared<stream_session>(std::move(socket), std::move(parts), std::move(credential))
      ->start();
}

}  // namespace orrery::transport::api
