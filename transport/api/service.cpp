#include "transport/api/service.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>

#include "transport/api/audit_record.hpp"
#include "transport/api/audit_trail.hpp"
#include "transport/api/auth.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/idempotency.hpp"
#include "transport/api/import_upload.hpp"
#include "transport/api/problem.hpp"
#include "transport/api/public_lists.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/stream.hpp"
#include "transport/http_server.hpp"

namespace orrery::transport::api {

using model::errc;
using model::failure;

namespace {

/// Open streams, so that the end of the node ends them.
struct open_streams {
  std::mutex mutex;
  std::set<std::weak_ptr<web_socket>, std::owner_less<std::weak_ptr<web_socket>>> all;
  void add(const std::shared_ptr<web_socket>& s) {
    const auto hold = std::lock_guard{mutex};
    std::erase_if(all, [](const auto& w) { return w.expired(); });
    all.insert(s);
  }
  void close_all() {
    const auto hold = std::lock_guard{mutex};
    for (const auto& w : all)
      if (const auto s = w.lock())
        s->post([s] { s->close(4503, "the node stops: connect elsewhere"); });
  }
};

class dispatcher : public std::enable_shared_from_this<dispatcher> {
 public:
  explicit dispatcher(service_parts p)
      : parts_{std::make_shared<const service_parts>(std::move(p))},
        trail_{std::make_shared<audit_trail>(audit_trail_parts{
            .ask =
                [ask = std::weak_ptr{parts_->ask}](actors::target whom, actors::any_command what,
                                                   actors::caller::on_answer then) {
                  if (const auto a = ask.lock())
                    return a->ask(std::move(whom), std::move(what), std::move(then));
                  then(failure{errc::unavailable, "stopping", "the node is stopping"});
                },
            .shard_count = parts_->shard_count,
            .now = parts_->now,
            .patience = parts_->settings.api.ask_timeout,
            .metrics = parts_->metrics.get()})} {}

  void handle(std::shared_ptr<const http_request> request, responder answer) {
    const auto begun = std::chrono::steady_clock::now();
    auto e = std::make_shared<exchange>(parts_, request, std::move(answer), next_id());
    const auto& path = request->path;
    if (is_public_list(*request))
      return send_public_list(e);
    if (path.size() < 3 || path[0] != "api" || path[1] != "v1")
      return e->fail({errc::not_found, "not_found", "the API is under /api/v1"});
    const auto rest = std::vector<std::string>(path.begin() + 2, path.end());
    if (rest.size() == 1 && rest[0] == "stream")
      return stream(e);
    auto m = find_route(request->method, rest);
    e->on_reply = [metrics = parts_->metrics, begun, at = m.found](const http_response& r) {
      metrics
          ->count("orrery_api_requests_total", "Requests by operation and status",
                  {{"operation", at ? at->id : "none"}, {"status", std::to_string(r.status)}})
          .add();
      static const auto bounds = std::vector<double>{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                     0.25,  0.5,    1,     2.5,  5,     10,   30};
      metrics->distribution("orrery_api_request_seconds", "Time until the answer leaves", bounds)
          .observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    };
    if (!m.found)
      return no_handler(e, m.allowed);
    e->params = std::move(m.params);
    e->at = m.found;
    e->on_leaving = [self = shared_from_this()](exchange& done, http_response r) {
      self->note(done, std::move(r));
    };
    if (auto ok = check_form(*m.found, *request); !ok)
      return e->fail(ok.error());
    // A node that has just come to its cluster knows nobody yet.
    if (parts_->known->current()->organisations.empty() && m.found->pattern != "/openapi.json")
      return e->fail({errc::unavailable, "catalogue_missing",
                      "this node has not got the catalogue of its cluster yet: ask again"});
    if (!m.found->permission.empty()) {
      auto who = who_asks(*request);
      if (!who)
        return e->fail(who.error());
      e->who = std::move(*who);
      if (const auto& org = e->param("org");
          !org.empty() && org != "-" && org != e->who.organisation &&
          !(is_for_operators(*m.found) && e->who.is_operator())) {
        e->facts.out_of_reach = true;
        return e->fail({errc::not_found, "not_found", "no such resource"});
      }
      if (auto ok = check_right(*m.found, e->who); !ok)
        return e->fail(ok.error());
      set_reach(*e);
    }
    if (m.found->takes.empty())
      if (auto ok = check_no_body(*e); !ok)
        return e->fail(ok.error());
    if (m.found->permission.empty() || noted_of(*m.found, *request) != noted_as::each)
      return run(e);
    // What cannot be noted is not done.
    trail_->prepare(logs_of(*e, false), [self = shared_from_this(), e](const model::status& ok) {
      if (ok)
        return self->run(e);
      e->on_leaving = {};
      e->fail(ok.error());
    });
  }

  void look_after() { trail_->look_after(); }
  void record(audit_note n) {
    trail_->note(std::move(n), [](const model::status&) {});
  }
  void stop() { streams_.close_all(); }
  void flush() { trail_->flush(); }
  std::size_t records_open() const { return trail_->records_open(); }
  void give_up_records() { trail_->give_up_open(); }

  /// Takes the bodies of imports; null for any other request. One that will be refused is not read:
  /// `handle` says why.
  std::shared_ptr<body_sink> take_body(const http_request& head) {
    if (head.path.size() < 3 || head.path[0] != "api" || head.path[1] != "v1")
      return nullptr;
    const auto m = find_route(head.method, {head.path.begin() + 2, head.path.end()});
    if (!m.found || m.found->id != "importDevices")
      return nullptr;
    auto who = who_asks(head);
    const auto& org = m.params.front().second;
    if (who && (!check_form(*m.found, head) || !check_right(*m.found, *who) ||
                (org != "-" && org != who->organisation)))
      who = failure{errc::forbidden, "forbidden", "it may not be imported"};
    auto order = who ? read_import_order(head) : model::result<import_order>{who.error()};
    return std::make_shared<import_upload>(parts_, who ? std::move(*who) : identity{},
                                           std::move(order));
  }

 private:
  void run(const exchange_ptr& e) {
    if (e->request().method == "POST" && !e->at->permission.empty())
      if (const auto key = e->request().header("idempotency-key"); !key.empty())
        return once(e, std::string{key});
    e->at->run(e);
  }

  /// The logs that the request is noted in: that of whoever asks, and that of whom it is about, if
  /// there is such a one. `done`: what was asked was done, perhaps to the organisation itself.
  static std::vector<std::string> logs_of(const exchange& e, bool done) {
    if (!e.facts.organisation.empty())
      return {e.facts.organisation};
    if (e.who.organisation.empty())
      return {std::string{model::audit::installation}};
    auto all = std::vector{e.who.organisation};
    if (e.at && !e.facts.out_of_reach && is_for_operators(*e.at) &&
        e.organisation() != e.who.organisation &&
        (done || e.parts().known->current()->organisation(e.organisation())))
      all.push_back(e.organisation());
    if (!e.facts.also.empty())
      all.push_back(e.facts.also);
    return all;
  }

  /// Notes what is to be noted of the request, and lets its answer go once that is committed.
  void note(exchange& e, http_response r) {
    const auto refused = is_refusal(e, r);
    const auto how = e.at ? noted_of(*e.at, e.request()) : noted_as::nothing;
    if (!refused && how == noted_as::nothing)
      return e.leave(std::move(r));
    const auto entry = audit_entry(e, r);
    const auto logs = logs_of(e, r.status < 400);
    const auto is_known = !is_stranger(e, r);
    // Whoever is known is one, from however many addresses.
    const auto caller = logs.front() + '/' +
                        (!is_known             ? e.request().peer
                         : e.who.actor.empty() ? e.facts.actor
                                               : e.who.actor);
    // Whoever has a right is trusted with it; what anybody may do can be done without end.
    const auto has_right =
        e.at && e.at->permission != nobody_checked && e.at->permission != anyone_known;
    const auto hands_out = how == noted_as::each && e.at->method == "GET";
    const auto changed = (has_right || hands_out) && (r.status < 400 || r.status >= 500);
    const auto one_by_one =
        is_known && how != noted_as::counted && (changed || trail_->tells_one_by_one(caller));
    if (!one_by_one) {
      const auto as = is_known && how == noted_as::counted         ? counted_as::data
                      : logs.front() == model::audit::installation ? counted_as::stranger
                                                                   : counted_as::member;
      trail_->count({logs.front(), std::string{e.request_id()}, entry}, caller, e.request().peer,
                    as);
      return e.leave(std::move(r));
    }
    struct leaving {
      std::shared_ptr<exchange> e;
      http_response answer;
      std::atomic<std::size_t> open;
      std::atomic<bool> failed{false};
    };
    const auto l = std::make_shared<leaving>();
    l->e = e.shared_from_this();
    l->answer = std::move(r);
    l->open = logs.size();
    for (const auto& log : logs)
      trail_->note(
          {log, std::string{e.request_id()}, log == e.facts.also ? of_others(entry) : entry},
          [l](const model::status& ok) {
            if (!ok)
              l->failed = true;
            if (l->open.fetch_sub(1) != 1)
              return;
            if (l->failed && l->answer.status < 400)
              l->answer = to_response({errc::unavailable, "audit_unavailable",
                                       "it was done, but its record is not in the audit log yet; "
                                       "it is still tried"},
                                      l->e->request().target, l->e->request_id());
            l->e->leave(std::move(l->answer));
          });
  }

  /// What an organisation is told of somebody in another one: what was done, and not from where.
  static model::object of_others(model::object entry) {
    std::erase_if(entry, [](const auto& member) {
      return member.first == "address" || member.first == "session" ||
             member.first == "idempotencyKey" || member.first == "asked" ||
             member.first == "before" || member.first == "after";
    });
    return entry;
  }

  static std::string next_id() {
    static const auto prefix = model::random_text(8);
    static auto number = std::atomic<std::uint64_t>{0};
    return prefix + "-" + std::to_string(number.fetch_add(1) + 1);
  }

  model::result<identity> who_asks(const http_request& request) const {
    return authenticate(*parts_, request.header("authorization"), request.peer);
  }

  static model::status check_right(const route& r, const identity& who) {
    const auto somewhere = who.may_for_some(r.permission);
    if (r.permission == anyone_known || who.may(r.permission) ||
        (looks_at_products(r) && somewhere))
      return {};
    if (somewhere)
      return failure{errc::forbidden, "scope_denied",
                     "needs the permission " + r.permission + " without a scope"};
    return failure{errc::forbidden, "forbidden", "needs the permission " + r.permission};
  }

  /// `allowed`: the methods that the path has; "" if there is no such path.
  static void no_handler(const exchange_ptr& e, const std::string& allowed) {
    if (allowed.empty())
      return e->fail({errc::not_found, "not_found", "no such resource"});
    if (e->request().method == "OPTIONS")
      return e->reply_empty(204, {{"Allow", allowed}});
    auto r = to_response({errc::invalid_argument, "method_not_allowed", "here: " + allowed},
                         e->request().target, e->request_id());
    r.headers.emplace_back("Allow", allowed);
    e->send(std::move(r));
  }

  /// Query, If-Match and Accept: whatever nobody reads is an error, so that typing errors surface
  /// and nothing is changed that was not meant.
  static model::status check_form(const route& r, const http_request& request) {
    for (const auto& [name, v] : request.query) {
      auto known = false;
      for (std::size_t at = 0; at < r.query.size() && !known;) {
        const auto end = std::min(r.query.find(' ', at), r.query.size());
        known = r.query.compare(at, end - at, name) == 0;
        at = end + 1;
      }
      if (name == "timeFormat") {
        if (v != "ms" && v != "rfc3339")
          return failure{errc::invalid_argument, "malformed", "timeFormat: expected ms or rfc3339"};
      } else if (!known) {
        return failure{
            errc::invalid_argument, "unknown_field",
            "no parameter " + name + " here; there are: " + (r.query.empty() ? "none" : r.query)};
      }
    }
    const auto wanted = request.header("if-match");
    if (request.method != "GET" && request.method != "HEAD" && !wanted.empty() && wanted != "*" &&
        condition_of(r) == condition::none)
      return failure{errc::invalid_argument, "condition_unsupported",
                     "this call cannot depend on an ETag: leave If-Match out"};
    const auto accept = request.header("accept");
    const auto is_a_table =
        r.id.starts_with("export") && (accept.find("text/") != std::string_view::npos ||
                                       accept.find("ndjson") != std::string_view::npos);
    if (!accept.empty() && !is_a_table && accept.find("json") == std::string_view::npos &&
        accept.find("*/*") == std::string_view::npos &&
        accept.find("application/*") == std::string_view::npos)
      return failure{errc::invalid_argument, "not_acceptable",
                     "there is application/json, not " + std::string{accept}};
    return {};
  }

  static model::status check_no_body(const exchange& e) {
    if (e.request().method == "GET" || e.request().method == "HEAD")
      return {};
    const auto body = e.body();
    if (!body)
      return body.error();
    return fields{*body}.finish();
  }

  void once(const exchange_ptr& e, const std::string& key) {
    if (key.size() > 128)
      return e->fail(
          {errc::invalid_argument, "malformed", "an Idempotency-Key has at most 128 characters"});
    const auto& request = e->request();
    const auto whole = e->who.organisation + '\n' + e->who.actor + '\n' + e->who.session + '\n' +
                       request.target + '\n' + key;
    auto known = answers_.begin(
        whole, request.sink ? request.sink->digest() : model::sha256_hex(request.body),
        parts_->now());
    if (!known)
      return e->fail(known.error());
    if (*known) {
      auto r = std::move(**known);
      std::erase_if(r.headers, [](const auto& h) {
        return h.first == "X-Request-Id" || h.first == "Cache-Control";
      });
      r.headers.emplace_back("Idempotent-Replay", "true");
      return e->send(std::move(r));
    }
    e->on_reply = [self = shared_from_this(), whole, before = e->on_reply](const http_response& r) {
      // What may go another way when it is repeated is not kept.
      if (r.status >= 500 || r.status == 429 || r.status == 401 || r.status == 403)
        self->answers_.drop(whole);
      else
        self->answers_.keep(whole, r);
      before(r);
    };
    e->at->run(e);
  }

  void stream(const exchange_ptr& e) {
    const auto& request = e->request();
    if (request.method != "GET")
      return no_handler(e, "GET, OPTIONS");
    if (!request.query.empty())
      return e->fail({errc::invalid_argument, "unknown_field", "the stream has no parameters"});
    if (!request.wants_web_socket) {
      auto r = to_response({errc::invalid_argument, "upgrade_required",
                            "the stream is a WebSocket: send an upgrade request"},
                           request.target, e->request_id());
      r.headers.emplace_back("Upgrade", "websocket");
      return e->send(std::move(r));
    }
    const auto who = who_asks(request);
    if (!who) {
      e->on_leaving = [self = shared_from_this()](exchange& done, http_response r) {
        self->note(done, std::move(r));
      };
      return e->fail(who.error());
    }
    const auto offered = request.header("sec-websocket-protocol");
    if (!offered.empty() && !offers(offered, sub_protocol))
      return e->fail({errc::invalid_argument, "malformed",
                      "the stream's sub-protocol is " + std::string{sub_protocol}});
    auto r = http_response{};
    r.sub_protocol = offered.empty() ? "" : sub_protocol;
    r.upgrade = [self = shared_from_this(), who = *who,
                 authorization = std::string{request.header("authorization")},
                 peer = request.peer](const std::shared_ptr<web_socket>& socket) {
      self->streams_.add(socket);
      serve_stream(socket, self->parts_, {who, authorization, peer});
    };
    e->send(std::move(r));
  }

  static constexpr auto sub_protocol = "orrery.v1.json";
  std::shared_ptr<const service_parts> parts_;
  std::shared_ptr<audit_trail> trail_;
  idempotency answers_;
  open_streams streams_;
};

/// /healthz, /readyz and /metrics.
void admin(const std::shared_ptr<const http_request>& request, const responder& answer,
           observe::metrics& metrics,
           const std::function<std::optional<std::string>()>& not_ready) {
  auto r = http_response{};
  r.content_type = "text/plain; charset=utf-8";
  const auto what = request->path.size() == 1 ? request->path[0] : "";
  if (request->method != "GET" && request->method != "HEAD") {
    r.status = 405;
    r.headers.emplace_back("Allow", "GET, HEAD");
    r.body = "GET only\n";
  } else if (what == "healthz") {
    r.body = "ok\n";
  } else if (what == "readyz") {
    const auto why = not_ready();
    r.status = why ? 503 : 200;
    r.body = (why ? *why : "ready") + "\n";
  } else if (what == "metrics") {
    r.content_type = "text/plain; version=0.0.4; charset=utf-8";
    r.body = metrics.text();
  } else {
    r.status = 404;
    r.body = "there are /healthz, /readyz and /metrics\n";
  }
  answer(std::move(r));
}

}  // namespace

struct service::impl {
  std::shared_ptr<dispatcher> api;
  std::unique_ptr<http_server> plain, secure, admin;
};

service::service(net::io_threads& io, service_parts parts, net::tls_source tls,
                 std::function<std::optional<std::string>()> not_ready)
    : impl_{std::make_unique<impl>()} {
  const auto settings = parts.settings;
  const auto metrics = parts.metrics;
  impl_->api = std::make_shared<dispatcher>(std::move(parts));
  const auto handle = [api = impl_->api](std::shared_ptr<const http_request> request,
                                         responder answer) {
    api->handle(std::move(request), std::move(answer));
  };
  auto limits = http_limits{};
  limits.max_body_bytes = settings.api.max_body_bytes;
  limits.max_sunk_bytes = settings.operations.max_input_bytes;
  const auto taker = [api = impl_->api](const http_request& head) { return api->take_body(head); };
  const auto most = static_cast<std::size_t>(settings.api.max_connections);
  if (settings.listeners.api.enabled)
    impl_->plain = std::make_unique<http_server>(io, settings.listeners.api, most, nullptr, limits,
                                                 handle, taker);
  if (settings.listeners.apis.enabled)
    impl_->secure = std::make_unique<http_server>(io, settings.listeners.apis, most, tls, limits,
                                                  handle, taker);
  const auto sum = [i = impl_.get()](auto of) {
    auto n = 0.0;
    for (const auto* server : {i->plain.get(), i->secure.get()})
      n += server ? static_cast<double>((server->*of)()) : 0;
    return n;
  };
  metrics->gauge("orrery_api_connections", "Open connections, streams included",
                 [sum] { return sum(&http_server::connections); });
  for (const auto* limit : {"soft", "hard"})
    quotas_reached(*metrics, limit);  // there from the start
  metrics->count("orrery_api_refused_connections_total", "Connections closed because of the limit",
                 [sum] { return sum(&http_server::refused); });
  if (settings.listeners.admin.enabled)
    impl_->admin = std::make_unique<http_server>(
        io, settings.listeners.admin, 100, nullptr, limits,
        [metrics, not_ready](const std::shared_ptr<const http_request>& request,
                             const responder& answer) {
          admin(request, answer, *metrics, not_ready);
        });
}

service::~service() = default;
std::uint16_t service::port() const {
  return impl_->plain ? impl_->plain->port() : 0;
}
std::uint16_t service::tls_port() const {
  return impl_->secure ? impl_->secure->port() : 0;
}
std::uint16_t service::admin_port() const {
  return impl_->admin ? impl_->admin->port() : 0;
}

void service::stop() {
  for (auto* server : {impl_->plain.get(), impl_->secure.get(), impl_->admin.get()})
    if (server)
      server->stop();
  impl_->api->stop();
}

std::size_t service::under_way() const {
  auto n = std::size_t{0};
  for (const auto* server : {impl_->plain.get(), impl_->secure.get()})
    n += server ? server->under_way() : 0;
  return n;
}

void service::flush() {
  impl_->api->flush();
}

std::size_t service::records_open() const {
  return impl_->api->records_open();
}

void service::give_up_records() {
  impl_->api->give_up_records();
}

service::recorder service::records() const {
  return [weak = std::weak_ptr{impl_->api}](std::string organisation, std::string id,
                                            model::object record) {
    if (const auto api = weak.lock())
      api->record({std::move(organisation), std::move(id), std::move(record)});
  };
}

void service::look_after() {
  impl_->api->look_after();
}

}  // namespace orrery::transport::api
