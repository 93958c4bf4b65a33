#include "transport/api/audit_record.hpp"

#include <algorithm>
#include <set>

#include "model/audit/audit.hpp"
#include "model/audit/redaction.hpp"
#include "model/json.hpp"

namespace orrery::transport::api {
namespace {

namespace audit = model::audit;

/// Calls by POST that only read.
const std::set<std::string_view>& reads_by_post() {
  static const auto all = std::set<std::string_view>{
      "beginExternalLogin", "checkDeviceKeys",      "checkDraft",      "checkGrant",
      "countDevices",       "exportAssets",         "exportProducts",  "getDeviceStatuses",
      "getLatestOfMany",    "previewConfiguration", "previewGroup",    "searchAssets",
      "searchAuditLog",     "searchDevices",        "searchFirmwares", "searchModels",
      "searchNodes",        "searchPaths",          "searchProducts",  "searchSystemAuditLog",
      "testDecoder",        "validateValues",       "waitForTwin"};
  return all;
}

std::string singular(std::string word) {
  if (word.ends_with("ies"))
    word.replace(word.size() - 3, 3, "y");
  else if (word.ends_with('s') && !word.ends_with("ss"))
    word.pop_back();
  return word;
}

struct named {
  std::string kind, id;
};

/// By the route: the last word of its pattern, and the names behind it.
named resource_of(const exchange& e) {
  auto pattern = std::string_view{e.at->pattern};
  auto what = named{};
  while (!pattern.empty()) {
    pattern.remove_prefix(1);
    auto segment = pattern.substr(0, pattern.find('/'));
    pattern.remove_prefix(segment.size());
    if (segment.starts_with('{')) {
      const auto name = segment.substr(1, segment.find('}') - 1);
      if (!what.id.empty())
        what.id += '/';
      what.id += e.param(name);
    } else {
      what = {singular(std::string{segment.substr(0, segment.find(':'))}), {}};
    }
  }
  const auto& facts = e.facts;
  if (!facts.kind.empty())
    what = {facts.kind, facts.id};
  else if (what.kind == "device" && !facts.device.empty())
    what.id = facts.device;
  return what;
}

/// What was made tells its own name.
std::string id_in(const model::value& answer) {
  for (const auto* name : {"assetId", "id", "productKey", "login", "name", "sn"})
    if (const auto* found = answer.find(name)) {
      if (found->is_string())
        return found->as_string();
      if (found->is_int())
        return std::to_string(found->as_int());
    }
  return {};
}

model::value asked(const exchange& e, const audit::lengths& most) {
  const auto& body = e.request().body;
  // What proves a log-in has no names and no looks that all providers' would share.
  if (body.empty() || (e.at && e.at->id == "finishExternalLogin"))
    return {};
  const auto type = e.request().header("content-type");
  if (type.empty() || type.find("json") != std::string_view::npos)
    if (auto read = model::parse_json(body, {.max_bytes = 8 * 1024 * 1024, .max_depth = 32}))
      return audit::redacted(*read, most);
  auto shown = model::object{{"bytes", static_cast<std::int64_t>(body.size())}};
  // Passwords come by calls without a permission: their hash is no secret for long.
  if (e.at && e.at->permission != nobody_checked)
    shown.emplace_back("sha256", model::sha256_hex(body));
  return shown;
}

std::string_view result_of(const exchange& e, const http_response& r) {
  return is_refusal(e, r) ? "refused" : r.status >= 400 ? "failed" : "done";
}

void add(model::object& o, const char* name, std::string_view text) {
  if (!text.empty())
    o.emplace_back(name, audit::valid_text(text));
}

/// Nothing of a stranger's but where he knocked; of a call that proves who somebody is nothing of
/// what did not prove it.
bool tells_what_was_asked(const exchange& e, const http_response& r) {
  return !is_stranger(e, r) && r.status != 401 &&
         (r.status < 400 || (e.at && e.at->permission != nobody_checked));
}

void add_states(model::object& o, const exchange& e, const http_response& r) {
  const auto& facts = e.facts;
  if (r.status >= 400)
    return;
  if (facts.before && facts.after) {
    auto parts = audit::difference_of(*facts.before, *facts.after);
    o.emplace_back("before", audit::redacted(parts.before));
    o.emplace_back("after", audit::redacted(parts.after));
  } else if (facts.before) {
    o.emplace_back("before", audit::redacted(*facts.before));
  } else if (facts.after) {
    o.emplace_back("after", audit::redacted(*facts.after));
  }
  if (!facts.ids.empty()) {
    auto ids = model::array{};
    for (const auto& id : facts.ids)
      ids.emplace_back(audit::valid_text(id, audit::max_text_bytes));
    o.emplace_back("ids", std::move(ids));
  }
}

}  // namespace

noted_as noted_of(const route& r, const http_request& asked) {
  // By reading, secrets are handed out: of a device, and of those that an operation made.
  for (const auto& [call, parameter] :
       {std::pair{"getCredential", "reveal"}, std::pair{"getOperationResult", "secrets"}})
    if (r.id.starts_with(call))
      if (const auto* wanted = asked.parameter(parameter); wanted && *wanted == "true")
        return noted_as::each;
  if (r.method == "GET" || r.method == "HEAD" || reads_by_post().contains(r.id) ||
      (r.id.ends_with("ByKey") &&
       reads_by_post().contains(std::string_view{r.id}.substr(0, r.id.size() - 5))))
    return r.id.starts_with("getFileContent") ? noted_as::each : noted_as::nothing;
  if (r.id.starts_with("ingestPoints") || r.id.starts_with("raiseEvent"))
    return noted_as::counted;
  return noted_as::each;
}

bool is_refusal(const exchange& e, const http_response& r) {
  return r.status == 401 || r.status == 403 || r.status == 423 ||
         (r.status == 404 && e.facts.out_of_reach);
}

bool is_stranger(const exchange& e, const http_response& r) {
  return e.who.actor.empty() && (r.status >= 400 || e.facts.actor.empty());
}

model::object audit_entry(const exchange& e, const http_response& r) {
  auto o = model::object{};
  const auto& facts = e.facts;
  const auto& organisation = facts.organisation.empty() ? e.who.organisation : facts.organisation;
  o.emplace_back("organisation", organisation);
  add(o, "actor", e.who.actor.empty() ? facts.actor : e.who.actor);
  add(o, "application", e.who.application);
  add(o, "session", e.who.session);
  add(o, "address", e.request().peer);
  o.emplace_back("requestId", e.request_id());
  const auto most = is_refusal(e, r) ? audit::short_lengths : audit::lengths{};
  const auto tells = tells_what_was_asked(e, r);
  if (!is_stranger(e, r))
    add(o, "idempotencyKey", audit::valid_text(e.request().header("idempotency-key"), 128));
  if (e.at) {
    o.emplace_back("action", e.at->id);
    if (e.at->permission != nobody_checked && e.at->permission != anyone_known)
      o.emplace_back("permission", e.at->permission);
  } else {
    o.emplace_back("action", "openStream");
  }
  o.emplace_back("method", audit::valid_text(e.request().method, 32));
  auto path = std::string{};
  for (const auto& segment : e.request().path)
    path += '/' + segment;
  o.emplace_back("path", audit::redacted(path, most));
  if (tells && !e.request().query.empty()) {
    auto query = model::object{};
    for (const auto& [name, v] : e.request().query)
      query.emplace_back(name, v);
    o.emplace_back("query", audit::redacted(query, most));
  }
  if (e.at) {
    auto resource = resource_of(e);
    if (resource.id.empty() && r.status < 300 && facts.after)
      resource.id = id_in(*facts.after);
    auto shown = model::object{{"kind", std::move(resource.kind)}};
    if (!resource.id.empty())
      shown.emplace_back("id", audit::redacted(resource.id, most));
    o.emplace_back("resource", std::move(shown));
    add(o, "device", facts.device);
  }
  o.emplace_back("result", result_of(e, r));
  o.emplace_back("status", r.status);
  if (r.status >= 400) {
    add(o, "reason", facts.reason);
    if (!facts.detail.empty())
      o.emplace_back("detail", audit::redacted(facts.detail, most));
  }
  if (std::any_of(r.headers.begin(), r.headers.end(),
                  [](const auto& h) { return h.first == "Idempotent-Replay"; }))
    o.emplace_back("replay", true);
  const auto least = o;
  if (tells)
    if (auto what = asked(e, most); !what.is_null())
      o.emplace_back("asked", std::move(what));
  add_states(o, e, r);
  return model::to_json(o).size() <= audit::max_entry_bytes ? o : least;
}

}  // namespace orrery::transport::api
