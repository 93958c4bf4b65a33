#include "transport/api/stream.hpp"

#include <map>

#include "model/json.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/problem.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using actors::feed_kind;
using model::errc;
using model::failure;

constexpr std::size_t most_items = 500;  // of one data frame
constexpr std::uint64_t check_interval_ms = 10'000;

// Close codes of the stream protocol.
constexpr std::uint16_t protocol_error = 4400, unauthenticated = 4401;

const std::vector<std::string_view> kinds{"points", "events", "presence", "lifecycle", "commands"};

struct subscription {
  std::string sid;
  std::uint64_t number = 0;  // in the feed
  feed_kind kind = feed_kind::points;
  std::set<std::string> points;
  bool woken = false;
};

class stream_session : public std::enable_shared_from_this<stream_session> {
 public:
  stream_session(std::shared_ptr<web_socket> socket, std::shared_ptr<const service_parts> parts,
                 identity who, std::function<bool()> valid)
      : socket_{std::move(socket)},
        parts_{std::move(parts)},
        who_{std::move(who)},
        still_valid_{std::move(valid)} {}

  void start() {
    auto self = shared_from_this();
    socket_->start({.on_text = [self](std::string_view text) { self->read(text); },
                    .on_drained = [self] { self->pump_all(); },
                    .on_closed = [self] { self->end(); }});
    check();
  }

 private:
  void check() {
    socket_->after(check_interval_ms, [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self || self->ended_)
        return;
      if (!self->still_valid_())
        return self->socket_->close(unauthenticated, "the credential ended");
      self->check();
    });
  }

  void end() {
    ended_ = true;
    for (const auto& [sid, s] : subscriptions_)
      parts_->feed->unsubscribe(s.number);
    subscriptions_.clear();
  }

  void send(const model::value& v) { socket_->send(model::to_json(v)); }

  void ok(const std::string& id, model::object more = {}) {
    auto o = model::object{{"op", "ok"}, {"id", id}};
    std::move(more.begin(), more.end(), std::back_inserter(o));
    send(o);
  }
  void error(const std::string& id, const failure& why) {
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
      return socket_->close(protocol_error, "not a JSON object");
    auto f = fields{*v};
    const auto op = f.text("op", 32).value_or("");
    const auto* raw_id = f.any("id");
    const auto id = raw_id && raw_id->is_string() ? raw_id->as_string()
                    : raw_id && raw_id->is_int()  ? std::to_string(raw_id->as_int())
                                                  : "";
    if (op == "hello")
      return hello();
    if (op == "ping")
      return ping(f);
    if (op == "sub")
      return subscribe(id, f);
    if (op == "unsub")
      return unsubscribe(id, f);
    error(id, {errc::invalid_argument, "unknown_op", "there are hello, sub, unsub and ping"});
  }

  void hello() {
    const auto& l = parts_->settings.stream;
    send(model::object{
        {"op", "hello"},
        {"server", std::string{"orrery "} + ORRERY_VERSION},
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

  void subscribe(const std::string& id, fields& f) {
    auto s = subscription{};
    s.sid = f.text("sid", 64).value_or("");
    const auto kind = f.word("kind", kinds);
    f.word("mode", {"live"});
    const auto* filter = f.any("filter");
    auto wanted = actors::feed_filter{};
    wanted.organisation = who_.organisation;
    const auto nothing = model::value{model::object{}};
    auto g = fields{filter ? *filter : nothing, "/filter"};
    for (auto& pk : g.texts("products", 1000).value_or(std::vector<std::string>{}))
      wanted.products.insert(std::move(pk));
    for (const auto& asset : g.texts("assets", 1000).value_or(std::vector<std::string>{}))
      if (const auto parsed = model::parse_entity_id(asset))
        wanted.devices.insert(*parsed);
      else
        g.note("assets", "type_mismatch", "expected assetIds");
    for (auto& p : g.texts("points", 1000).value_or(std::vector<std::string>{}))
      wanted.points.insert(std::move(p));
    if (s.sid.empty())
      f.missing("sid");
    if (!kind)
      f.missing("kind");
    if (auto good = g.finish(); !good)
      f.problems.insert(f.problems.end(), good.error().problems.begin(),
                        good.error().problems.end());
    if (auto good = f.finish(); !good)
      return error(id, good.error());
    if (subscriptions_.contains(s.sid))
      return error(id, {errc::conflict, "sid_in_use",
                        "there is a subscription " + s.sid + " on this socket"});
    if (subscriptions_.size() >= parts_->settings.stream.max_subscriptions)
      return error(
          id, {errc::too_many_requests, "too_many_subscriptions",
               "a socket has at most " + std::to_string(parts_->settings.stream.max_subscriptions) +
                   " subscriptions"});
    const auto needed = *kind == "points" || *kind == "events" ? "data:read" : "device:read";
    if (!who_.may(needed))
      return error(id, {errc::forbidden, "forbidden", std::string{"needs "} + needed});
    wanted.kind = s.kind =
        static_cast<feed_kind>(std::find(kinds.begin(), kinds.end(), *kind) - kinds.begin());
    s.points = wanted.points;
    s.number = parts_->feed->subscribe(std::move(wanted), [weak = weak_from_this(), sid = s.sid] {
      if (const auto self = weak.lock())
        self->socket_->post([self, sid] { self->wake(sid); });
    });
    ok(id, {{"sid", s.sid}, {"from", "latest"}});
    subscriptions_.emplace(s.sid, std::move(s));
    // What came between the subscription and its place in the map is waiting in its queue.
    wake(subscriptions_.rbegin()->first);
    pump_all();
  }

  void unsubscribe(const std::string& id, fields& f) {
    const auto sid = f.text("sid", 64).value_or("");
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
    while (!ended_ && socket_->pending() < parts_->settings.stream.max_pending_bytes) {
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
        show(s, item, items);
      const auto& last = batch.items.back();
      if (!items.empty())
        send(model::object{
            {"op", "data"},
            {"sid", s.sid},
            {"pos", std::to_string(last.who->id.shard) + "." + std::to_string(last.offset)},
            {"items", std::move(items)}});
    }
  }

  static model::object head(const actors::feed_item& item, model::timestamp t) {
    return {{"asset", to_string(item.who->id)},
            {"pk", item.who->name.product_key},
            {"dk", item.who->name.device_key},
            {"t", model::to_ms(t)}};
  }

  void show(const subscription& s, const actors::feed_item& item, model::array& out) const {
    const auto& event = (*item.events)[item.index];
    if (const auto* points = std::get_if<device::points_accepted>(&event)) {
      for (const auto& sample : points->samples) {
        auto values = model::object{};
        for (const auto& p : sample.points)
          if (s.points.empty() || s.points.contains(p.id)) {
            auto v = model::object{{"value", p.v}};
            if (p.quality >= 0)
              v.emplace_back("q", int{p.quality});
            values.emplace_back(p.id, std::move(v));
          }
        if (values.empty())
          continue;
        auto o = head(item, sample.time);
        o.emplace_back("v", std::move(values));
        out.emplace_back(std::move(o));
      }
      return;
    }
    auto o = std::visit([&](const auto& what) { return show_one(item, what); }, event);
    if (!o.empty())
      out.emplace_back(std::move(o));
  }

  template <class Event>
  model::object show_one(const actors::feed_item& item, const Event& what) const {
    auto tell = [&](const char* name, model::timestamp t) {
      auto o = head(item, t);
      o.emplace_back("event", name);
      return o;
    };
    if constexpr (std::is_same_v<Event, device::event_raised>) {
      auto o = head(item, what.time);
      o.emplace_back("event", what.event);
      o.emplace_back("level", name_of_level(what.level));
      o.emplace_back("output", what.output);
      return o;
    } else if constexpr (std::is_same_v<Event, device::connected>) {
      auto o = tell("online", what.at);
      o.emplace_back("protocol", name_of(what.protocol));
      return o;
    } else if constexpr (std::is_same_v<Event, device::disconnected>) {
      auto o = tell("offline", what.at);
      o.emplace_back("reason", what.reason);
      return o;
    } else if constexpr (std::is_same_v<Event, device::registered>) {
      return tell("created", what.at);
    } else if constexpr (std::is_same_v<Event, device::updated>) {
      return tell("updated", what.at);
    } else if constexpr (std::is_same_v<Event, device::admin_state_set>) {
      return tell(what.now == device::admin_state::enabled ? "enabled" : "disabled", what.at);
    } else if constexpr (std::is_same_v<Event, device::removed>) {
      return tell("deleted", what.at);
    } else if constexpr (std::is_same_v<Event, device::secret_set>) {
      return tell("credentialRotated", parts_->now());
    } else if constexpr (std::is_same_v<Event, device::attributes_changed>) {
      auto o = tell("attributesChanged", what.at);
      o.emplace_back("changes", what.changes);
      return o;
    } else if constexpr (std::is_same_v<Event, device::tags_changed>) {
      return tell("tagsChanged", what.at);
    } else if constexpr (std::is_same_v<Event, device::command_queued>) {
      return command(item, what.what, what.what.created_at);
    } else if constexpr (std::is_same_v<Event, device::command_sent>) {
      auto o = head(item, what.at);
      o.emplace_back("command",
                     model::object{{"id", to_string(item.who->id) + "-" + to_string(what.id)},
                                   {"state", "sent"}});
      return o;
    } else if constexpr (std::is_same_v<Event, device::command_finished>) {
      return command(item, what.what, what.what.finished_at);
    } else if constexpr (std::is_same_v<Event, device::late_reply_noted>) {
      return command(item, what.what, what.what.finished_at);
    } else {
      return {};
    }
  }

  static model::object command(const actors::feed_item& item, const device::command_record& c,
                               model::timestamp t) {
    auto o = head(item, t);
    o.emplace_back("command",
                   show_command([](model::timestamp at) { return model::value{model::to_ms(at)}; },
                                item.who->id, c));
    return o;
  }

  std::shared_ptr<web_socket> socket_;
  std::shared_ptr<const service_parts> parts_;
  identity who_;
  std::function<bool()> still_valid_;
  std::map<std::string, subscription> subscriptions_;
  bool ended_ = false;
};

}  // namespace

void serve_stream(std::shared_ptr<web_socket> socket, std::shared_ptr<const service_parts> parts,
                  identity who, std::function<bool()> still_valid) {
  std::make_shared<stream_session>(std::move(socket), std::move(parts), std::move(who),
                                   std::move(still_valid))
      ->start();
}

}  // namespace orrery::transport::api
