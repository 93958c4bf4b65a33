// The OpenAPI 3.1 document, made from the table of routes and the schemas below.
#include <nlohmann/json.hpp>

#include "transport/api/routes.hpp"
#include "transport/api/schemas.hpp"

namespace orrery::transport::api {
namespace {

using nlohmann::json;

json reference(const std::string& schema) {
  return {{"$ref", "#/components/schemas/" + schema}};
}

json content(const std::string& schema, const char* type = "application/json") {
  return {{type, {{"schema", reference(schema)}}}};
}

/// What a parameter of lists means; "" for one that says it itself.
std::string_view described(std::string_view name) {
  if (name == "filter")
    return "Which items: conditions on their fields, as in `name like \"pump%\" and "
           "exists(tags.site)`";
  if (name == "sort")
    return "Names of fields with commas between them, a minus before one that falls";
  if (name == "fields")
    return "Which members of the items: paths with commas between them, as in `name,tags.site`";
  return "";
}

/// Whether a call shows as much of its items as it is asked for.
bool is_projected(const route& r) {
  return (' ' + r.query + ' ').find(" fields ") != std::string::npos;
}

json parameters_of(const route& r) {
  auto all = json::array();
  for (std::size_t at = 0; (at = r.pattern.find('{', at)) != std::string::npos;) {
    const auto end = r.pattern.find('}', at);
    all.push_back({{"name", r.pattern.substr(at + 1, end - at - 1)},
                   {"in", "path"},
                   {"required", true},
                   {"schema", {{"type", "string"}}}});
    at = end;
  }
  for (std::size_t at = 0; at < r.query.size();) {
    const auto end = std::min(r.query.find(' ', at), r.query.size());
    const auto name = r.query.substr(at, end - at);
    all.push_back({{"name", name}, {"in", "query"}, {"schema", {{"type", "string"}}}});
    if (const auto words = described(name); !words.empty())
      all.back()["description"] = words;
    at = end + 1;
  }
  const auto header = [&](const char* name, bool required, const char* what) {
    all.push_back({{"name", name},
                   {"in", "header"},
                   {"required", required},
                   {"description", what},
                   {"schema", {{"type", "string"}}}});
  };
  if (const auto c = condition_of(r); c != condition::none)
    // A draft that is to be made for the first time has If-None-Match instead.
    header("If-Match", c == condition::demanded && r.id != "saveDraft",
           "The ETag of what is to be changed, or *");
  if (r.method == "POST" && !r.permission.empty())
    header("Idempotency-Key", false,
           "At most 128 characters: a repeat with the same key gets the answer of the first call");
  if (!r.gives.empty())
    all.push_back({{"name", "timeFormat"},
                   {"in", "query"},
                   {"description", "How times are written in the reply"},
                   {"schema", {{"type", "string"}, {"enum", {"rfc3339", "ms"}}}}});
  return all;
}

const auto problem = json{{"description", "Why it did not work"},
                          {"content", content("Problem", "application/problem+json")}};

/// The one call that is no request with a reply: it becomes a WebSocket.
json stream_operation() {
  return {{"operationId", "openStream"},
          {"summary", "Live subscriptions, by WebSocket (sub-protocol orrery.v1.json)"},
          {"tags", {"About"}},
          {"parameters", json::array()},
          {"responses", {{"101", {{"description", "The socket is open"}}}, {"default", problem}}}};
}

json& success_of(json& operation) {
  return operation["responses"]["200"];
}

std::string make() {
  auto paths = json::object();
  auto tags = json::array();
  for (const auto& p : api_parts())
    tags.push_back({{"name", p.name}, {"description", p.what}});
  for (const auto& r : all_routes()) {
    auto operation = json{{"operationId", r.id},
                          {"summary", r.summary},
                          {"tags", {r.part}},
                          {"parameters", parameters_of(r)}};
    if (r.permission.empty())
      operation["security"] = json::array();
    else if (r.permission != "any")
      operation["description"] =
          "Needs the permission `" + r.permission + "`" +
          (looks_at_products(r) ? ", for all products or for those it is about." : ".");
    if (!r.takes.empty())
      operation["requestBody"] = {{"content", content(r.takes)}};
    auto success = json{{"description", r.summary}};
    if (!r.gives.empty())
      success["content"] = content(r.gives);
    if (is_projected(r))
      success["content"]["application/json"]["schema"] = {
          {"anyOf", {reference(r.gives), reference("PartialList")}}};
    operation["responses"] = {{std::to_string(r.status), success}, {"default", problem}};
    const auto zip = json{{"schema", json::object()}};
    if (r.takes == "ModelFiles")
      operation["requestBody"]["content"].update({{"application/zip", zip}, {"text/csv", zip}});
    if (r.gives == "ModelDocuments")
      operation["responses"]["200"]["content"]["application/zip"] = zip;
    if (r.gives == "ExportedRows")
      operation["responses"]["200"]["content"] = {
          {"text/csv", zip}, {"application/x-ndjson", {{"schema", reference(r.gives)}}}};
    if (r.gives == "AuditLine")  // line by line
      operation["responses"]["200"]["content"] = content("AuditLine", "application/x-ndjson");
    if (r.id == "getReference")
      success_of(operation)["content"]["text/html"] = zip;
    if (r.takes == "ImportedDevices" || r.takes == "ImportedRows")
      operation["requestBody"]["content"] = {
          {"text/csv", {{"schema", reference(r.takes)}}},
          {"application/x-ndjson", {{"schema", reference(r.takes)}}}};
    if (r.id == "getOperationResult" || r.id == "getImportTemplate")
      success_of(operation)["content"]["text/csv"] = zip;
    if (r.id == "getOperationResult")
      success_of(operation)["content"]["application/x-ndjson"] = zip;
    if (r.id == "bulkDevices")
      operation["responses"]["200"] = {{"description", "What it would be for"},
                                       {"content", content("DeviceBulkPreview")}};
    if (r.gives == "Command" && r.method == "POST")
      operation["responses"]["202"] = {{"description", "Queued"}, {"content", content("Command")}};
    auto method = r.method;
    std::transform(method.begin(), method.end(), method.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    paths[r.pattern][method] = std::move(operation);
  }
  paths["/stream"]["get"] = stream_operation();
  return json{{"openapi", "3.1.0"},
              {"info",
               {{"title", "Orrery"},
                {"version", ORRERY_VERSION},
                {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
              {"servers", {{{"url", "/api/v1"}}}},
              {"security", {{{"bearer", json::array()}}}},
              {"tags", std::move(tags)},
              {"paths", std::move(paths)},
              {"components",
               {{"securitySchemes", {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}}}},
                {"schemas", json::parse(schemas())}}}}
      .dump();
}

}  // namespace

const std::string& openapi_document() {
  static const auto text = make();
  return text;
}

}  // namespace orrery::transport::api
