#include "transport/api/exchange.hpp"

#include <charconv>

#include "model/json.hpp"
#include "transport/api/problem.hpp"
#include "transport/api/time_text.hpp"

namespace orrery::transport::api {

using model::errc;
using model::failure;

bool identity::may(std::string_view permission) const {
  return model::organisation::permits(permissions, permission);
}

exchange::exchange(std::shared_ptr<const service_parts> p, std::shared_ptr<const http_request> r,
                   responder answer, std::string id)
    : parts_{std::move(p)},
      request_{std::move(r)},
      answer_{std::move(answer)},
      id_{std::move(id)} {}

const std::string& exchange::param(std::string_view name) const {
  static const auto none = std::string{};
  for (const auto& [n, v] : params)
    if (n == name)
      return v;
  return none;
}

model::result<model::value> exchange::body() const {
  if (request_->body.empty())
    return model::value{model::object{}};
  const auto type = request_->header("content-type");
  if (!type.empty() && type.find("json") == std::string_view::npos)
    return failure{errc::invalid_argument, "unsupported_media_type",
                   "the body must be application/json"};
  auto v = model::parse_json(
      request_->body,
      {.max_bytes = parts_->settings.api.max_body_bytes, .max_depth = 32, .max_nodes = 500'000});
  if (!v)
    return failure{v.error().code, v.error().code == errc::too_large ? "too_large" : "malformed",
                   v.error().detail};
  return v;
}

std::string exchange::query(std::string_view name) const {
  const auto* v = request_->parameter(name);
  return v ? *v : std::string{};
}

model::result<std::size_t> exchange::limit(std::size_t otherwise, std::size_t most) const {
  const auto* text = request_->parameter("limit");
  if (!text)
    return otherwise;
  auto n = std::size_t{0};
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), n);
  if (error != std::errc{} || end != text->data() + text->size() || n == 0 || n > most)
    return failure{errc::invalid_argument, "malformed",
                   "limit: expected a whole number from 1 to " + std::to_string(most)};
  return n;
}

model::result<model::timestamp> exchange::time(std::string_view name,
                                               model::timestamp otherwise) const {
  const auto* text = request_->parameter(name);
  if (!text)
    return otherwise;
  if (const auto t = parse_time(*text))
    return *t;
  return failure{errc::invalid_argument, "malformed",
                 std::string{name} + ": expected RFC 3339 or epoch ms, got \"" + *text + "\""};
}

model::result<std::optional<std::uint64_t>> exchange::if_match() const {
  auto text = request_->header("if-match");
  if (text.empty() || text == "*")
    return std::optional<std::uint64_t>{};
  auto revision = std::uint64_t{0};
  if (text.size() > 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), revision);
    if (error == std::errc{} && end == text.data() + text.size())
      return std::optional{revision};
  }
  return failure{errc::invalid_argument, "malformed",
                 "If-Match: expected the ETag of an earlier reply, in double quotes"};
}

model::value exchange::show(model::timestamp t) const {
  const auto* form = request_->parameter("timeFormat");
  if (form && *form == "ms")
    return model::to_ms(t);
  return to_text(t);
}

void exchange::send(http_response response) {
  response.headers.emplace_back("X-Request-Id", id_);
  response.headers.emplace_back("Cache-Control", "no-store");
  if (on_reply)
    on_reply(response);
  answer_(std::move(response));
}

void exchange::reply(int status, model::value body, headers more) {
  auto r = http_response{};
  r.status = status;
  r.headers = std::move(more);
  if (request_->method == "GET" && status == 200)
    for (const auto& [name, v] : r.headers)
      if (name == "ETag" && request_->header("if-none-match") == v) {
        r.status = 304;
        return send(std::move(r));
      }
  r.content_type = "application/json";
  model::write_json(body, r.body);
  send(std::move(r));
}

void exchange::reply_empty(int status, headers more) {
  auto r = http_response{};
  r.status = status;
  r.headers = std::move(more);
  send(std::move(r));
}

void exchange::fail(const failure& why) {
  send(to_response(why, request_->target.substr(0, request_->target.find('?')), id_));
}

void exchange::ask(actors::target whom, actors::any_command what,
                   std::function<void(actors::outcome)> then) {
  parts_->ask->ask(std::move(whom), std::move(what),
                   [self = shared_from_this(), then = std::move(then)](actors::answer got) {
                     if (!got)
                       self->fail(got.error());
                     else
                       then(std::move(*got));
                   });
}

void exchange::with_device(std::function<void(found_device)> then) {
  const auto unknown = failure{errc::not_found, "device_unknown", "no such device here"};
  auto whom = actors::target{};
  if (const auto& asset = param("asset"); !asset.empty()) {
    const auto id = model::parse_entity_id(asset);
    if (!id || id->shard >= parts_->shard_count)
      return fail(unknown);
    whom = *id;
  } else {
    if (!product(param("product")))
      return fail(unknown);
    whom = model::device_name{param("product"), param("device")};
  }
  ask(whom, model::device::command{model::device::read_device{}, {}, {}, {}},
      [self = shared_from_this(), unknown, then = std::move(then)](const actors::outcome& got) {
        const auto* reply = std::get_if<model::device::reply>(&got.answer);
        const auto* snapshot = reply ? std::get_if<model::device::device_snapshot>(reply) : nullptr;
        if (!snapshot || snapshot->what->organisation != self->who.organisation)
          return self->fail(unknown);
        then({snapshot->id, got.revision, snapshot->what});
      });
}

std::shared_ptr<const actors::catalogue_product> exchange::product(const std::string& key) const {
  const auto known = parts_->known->current();
  const auto found = known->products.find(key);
  if (found == known->products.end() || found->second->state->organisation != who.organisation)
    return nullptr;
  return found->second;
}

exchange::headers exchange::revision_headers(const actors::outcome& done) {
  return {{"X-Revision", std::to_string(done.shard) + "-" + std::to_string(done.offset)}};
}

std::string exchange::etag(std::uint64_t revision) {
  return "\"" + std::to_string(revision) + "\"";
}

}  // namespace orrery::transport::api
