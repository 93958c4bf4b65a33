#include "transport/api/exchange.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "model/json.hpp"
#include "transport/api/cursor.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/problem.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/time_text.hpp"
#include "transport/bans.hpp"

namespace orrery::transport::api {

using model::errc;
using model::failure;

bool identity::may(std::string_view permission) const {
  return model::organisation::evaluate(rights, permission, {}).allowed;
}

bool identity::may_for(std::string_view permission, const std::string& product_key) const {
  return model::organisation::evaluate(rights, permission, {product_key, {}, {}}).allowed;
}

bool identity::may_for_some(std::string_view permission) const {
  return model::organisation::permits_somewhere(rights, permission);
}

std::optional<std::set<std::string>> identity::products_for(std::string_view permission) const {
  if (may(permission))
    return std::nullopt;
  auto reached = std::set<std::string>{};
  for (const auto& grant : rights)
    if (model::organisation::permits(grant.permissions, permission))
      reached.insert(grant.within.products.begin(), grant.within.products.end());
  return reached;
}

bool identity::is_operator() const {
  return organisation == owner_organisation && may("sys:org");
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
  if (const auto coding = request_->header("content-encoding");
      !coding.empty() && coding != "identity")
    return failure{errc::invalid_argument, "unsupported_media_type",
                   "a body with Content-Encoding " + std::string{coding} + " is not understood"};
  const auto type = request_->header("content-type");
  if (!type.empty() && type.find("json") == std::string_view::npos)
    return failure{errc::invalid_argument, "unsupported_media_type",
                   "the body must be application/json"};
  auto v = model::parse_json(
      request_->body,
      {.max_bytes = parts_->settings.api.max_body_bytes, .max_depth = 32, .max_nodes = 500'000});
  if (!v)
    return failure{v.error().code,
                   v.error().code == errc::too_large          ? "too_large"
                   : v.error().code == errc::invalid_argument ? "malformed"
                                                              : "",
                   v.error().detail};
  return v;
}

model::result<std::string> exchange::text_in_body(std::string_view name, std::size_t most) const {
  const auto given = body();
  if (!given)
    return given.error();
  auto f = fields{*given};
  auto text = f.text(name, most);
  if (!text)
    f.missing(name);
  if (auto ok = f.finish(); !ok)
    return ok.error();
  return std::move(*text);
}

std::string exchange::query(std::string_view name) const {
  const auto* v = request_->parameter(name);
  return v ? *v : std::string{};
}

model::status exchange::read_question(std::initializer_list<std::string_view> more) {
  constexpr std::size_t most_text = 64 * 1024;
  const auto given = body();
  if (!given)
    return given.error();
  auto f = fields{*given};
  auto asked = std::make_shared<http_request>(*request_);
  const auto take = [&](std::string_view name) {
    if (auto text = f.text(name, most_text))
      asked->query.emplace_back(name, std::move(*text));
  };
  for (const auto* name : {"filter", "sort", "fields", "cursor"})
    take(name);
  for (const auto name : more)
    take(name);
  if (const auto n = f.integer("limit", 1, 500))
    asked->query.emplace_back("limit", std::to_string(*n));
  if (auto ok = f.finish(); !ok)
    return ok;
  request_ = std::move(asked);
  return {};
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

std::string exchange::question() const {
  auto filter = std::vector<std::string>{};
  for (const auto& [name, v] : request_->query)
    if (name != "cursor" && name != "limit" && name != "timeFormat" && name != "fields")
      filter.push_back(name + '=' + v);
  std::sort(filter.begin(), filter.end());
  auto text = who.organisation;
  for (const auto& segment : request_->path)
    text += '\n' + segment;
  for (const auto& f : filter)
    text += '\n' + f;
  return text;
}

model::result<std::string> exchange::cursor() const {
  const auto* text = request_->parameter("cursor");
  if (!text || text->empty())
    return std::string{};
  return read_cursor(*text, question(), parts_->now());
}

model::result<std::optional<std::uint64_t>> exchange::if_match(bool required) const {
  auto text = request_->header("if-match");
  if (text.empty() && required)
    return failure{errc::invalid_argument, "etag_required",
                   "send If-Match with the ETag of what you have read"};
  if (text.empty() || text == "*")
    return std::optional<std::uint64_t>{};
  const auto weak = text.starts_with("W/");
  if (weak)
    text.remove_prefix(2);
  if (text.size() < 2 || text.front() != '"' || text.find('"', 1) != text.size() - 1)
    return failure{errc::invalid_argument, "malformed",
                   "If-Match: expected one ETag of an earlier reply, in double quotes"};
  text = text.substr(1, text.size() - 2);
  auto revision = std::uint64_t{0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), revision);
  if (weak || text.empty() || error != std::errc{} || end != text.data() + text.size())
    return failure{errc::conflict, "etag_mismatch", "nothing here has that ETag"};
  return std::optional{revision};
}

bool exchange::names_etag(std::string_view header, std::string_view etag) {
  while (!header.empty()) {
    const auto comma = header.find(',');
    auto item = header.substr(0, comma);
    header = comma == std::string_view::npos ? std::string_view{} : header.substr(comma + 1);
    while (!item.empty() && item.front() == ' ')
      item.remove_prefix(1);
    while (!item.empty() && item.back() == ' ')
      item.remove_suffix(1);
    if (item.starts_with("W/"))  // the comparison is the weak one
      item.remove_prefix(2);
    if (item == "*" || item == etag)
      return true;
  }
  return false;
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
  if (on_leaving)
    return std::exchange(on_leaving, {})(*this, std::move(response));
  leave(std::move(response));
}

void exchange::reply(int status, model::value body, headers more) {
  auto r = http_response{};
  r.status = status;
  r.headers = std::move(more);
  const auto reads = request_->method == "GET" || request_->method == "HEAD";
  if (reads && status == 200)
    for (const auto& [name, v] : r.headers)
      if (name == "ETag" && names_etag(request_->header("if-none-match"), v)) {
        r.status = 304;
        return send(std::move(r));
      }
  if (!facts.after && (status == 201 || facts.before))
    facts.after = body;
  r.content_type = "application/json";
  model::write_json(body, r.body);
  send(std::move(r));
}

void exchange::reply_one(model::value body) {
  const auto tag = '"' + model::sha256_hex(model::to_json(body)).substr(0, 16) + '"';
  reply(200, std::move(body), {{"ETag", tag}});
}

void exchange::reply_page(model::array items, std::string_view next, model::object more) {
  auto o = model::object{{"items", std::move(items)}};
  if (!next.empty())
    o.emplace_back("nextCursor", write_cursor(next, question(), parts_->now()));
  std::move(more.begin(), more.end(), std::back_inserter(o));
  reply(200, std::move(o));
}

void exchange::reply_empty(int status, headers more) {
  auto r = http_response{};
  r.status = status;
  r.headers = std::move(more);
  send(std::move(r));
}

void exchange::fail(const failure& why) {
  facts.reason = why.reason.empty() ? model::name_of(why.code) : why.reason;
  facts.detail = why.detail;
  if (why.reason == "quota_exceeded" && parts_->metrics)
    quotas_reached(*parts_->metrics, "hard").add();
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

std::shared_ptr<const actors::catalogue_product> exchange::product(const std::string& key) const {
  const auto known = parts_->known->current();
  const auto found = known->products.find(key);
  if (found == known->products.end())
    return nullptr;
  if (!sees(*found->second->state)) {
    facts.out_of_reach = true;
    return nullptr;
  }
  return found->second;
}

bool exchange::reaches(const std::string& product_key) const {
  return at && who.may_for(at->permission, product_key);
}

bool exchange::sees(const model::product::state& p) const {
  return p.organisation == who.organisation && reaches(p.product_key);
}

const std::string& exchange::organisation() const {
  const auto& named = param("org");
  return named.empty() || named == "-" ? who.organisation : named;
}

observe::counter& quotas_reached(observe::metrics& metrics, const char* limit) {
  return metrics.count("orrery_api_quotas_reached_total",
                       "Times that an organisation came to a limit", {{"limit", limit}});
}

exchange::headers exchange::revision_headers(const actors::outcome& done) {
  return {{"X-Revision", std::to_string(done.shard) + "-" + std::to_string(done.offset)}};
}

std::string exchange::etag(std::uint64_t revision) {
  return "\"" + std::to_string(revision) + "\"";
}

}  // namespace orrery::transport::api
