// Schemas of group B: thing models, their files, units and the library.
#include <initializer_list>
#include <utility>

#include <nlohmann/json.hpp>

#include "transport/api/schemas.hpp"

namespace orrery::transport::api {
namespace {

using nlohmann::json;

const auto text = json{{"type", "string"}};
const auto integer = json{{"type", "integer"}};
const auto truth = json{{"type", "boolean"}};
const auto any_object = json{{"type", "object"}};
const auto anything = json::object();
const auto time_or_ms = json{{"type", {"string", "integer"}},
                             {"description", "RFC 3339, or epoch ms with timeFormat=ms"}};
const auto text_or_object = json{{"type", {"string", "object"}}};

json ref(const char* name) {
  return {{"$ref", std::string{"#/components/schemas/"} + name}};
}
json list(json item) {
  return {{"type", "array"}, {"items", std::move(item)}};
}
json word(std::initializer_list<const char*> words) {
  return {{"type", "string"}, {"enum", json(words)}};
}
json described(const char* words, json more = json::object()) {
  auto s = json{{"type", "object"}, {"description", words}};
  s.update(more);
  return s;
}

using members = std::vector<std::pair<std::string, json>>;

/// A name with a '?' at its end may be missing.
json object(const members& all) {
  auto properties = json::object(), required = json::array();
  for (const auto& [name, schema] : all) {
    const auto optional = name.back() == '?';
    const auto bare = name.substr(0, name.size() - (optional ? 1 : 0));
    if (!optional)
      required.push_back(bare);
    properties[bare] = schema;
  }
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}
json page_of(const char* item) {
  return object({{"items", list(ref(item))}, {"nextCursor?", text}});
}
members with(members all, const members& more) {
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

const auto change_class = word({"compatible", "risky", "breaking"});
const auto summary = members{{"id", text},
                             {"organisation", text},
                             {"name", text_or_object},
                             {"revision", integer},
                             {"hasDraft", truth},
                             {"deprecated", truth},
                             {"createdAt", time_or_ms},
                             {"updatedAt", time_or_ms},
                             {"description?", text_or_object},
                             {"category?", anything},
                             {"tags?", anything},
                             {"extends?", anything},
                             {"modelIdPath", text},
                             {"rootModelId", text},
                             {"copyFrom?", text},
                             {"public", truth},
                             {"sharedWith?", list(text)}};
const auto revision =
    members{{"revision", integer}, {"note", text},    {"publishedAt", time_or_ms},
            {"publishedBy", text}, {"reason?", text}, {"parentRevision?", integer}};

}  // namespace

std::string model_schemas() {
  const auto all = json{
      {"ModelDocument", described("A tm/1 thing model")},
      {"NewModel",
       described("A tm/1 thing model; or what differs from a model that it is made `from`",
                 {{"properties",
                   {{"id", text},
                    {"from", object({{"clone?", text}, {"inherit?", text}, {"tags?", truth}})}}},
                  {"required", {"id"}}})},
      {"DraftPatch", described("A merge patch (RFC 7396) on a tm/1 thing model")},
      {"Element", described("An element of a tm/1 thing model")},
      {"ModelSummary", object(summary)},
      {"ModelList", page_of("ModelSummary")},
      {"Model", object(with(summary, {{"document", ref("ModelDocument")}}))},
      {"ModelChange", object({{"deprecated?", truth},
                              {"name?", anything},
                              {"description?", anything},
                              {"category?", anything},
                              {"tags?", anything}})},
      {"Share", object({{"organisation?", text}, {"public?", truth}})},
      {"Publish", object({{"note?", text}, {"force?", truth}, {"reason?", text}})},
      {"DraftCheck",
       object({{"valid", truth},
               {"class", change_class},
               {"products", integer},
               {"devices", integer},
               {"devicesAsked", integer},
               {"devicesOutside", integer},
               {"models", list(text)},
               {"findings",
                list(object(
                    {{"pointer", text}, {"code", text}, {"detail", text}, {"class", text}}))}})},
      {"Validate",
       object({{"points?", any_object}, {"attributes?", any_object}, {"events?", any_object}})},
      {"Validation", object({{"valid", truth}, {"problems", list(ref("Finding"))}})},
      {"Revision", object(revision)},
      {"Revisions", page_of("Revision")},
      {"RevisionDocument", object(with(revision, {{"document", ref("ModelDocument")}}))},
      {"Difference",
       object({{"from", integer},
               {"to", integer},
               {"class", change_class},
               {"changes",
                list(object({{"element", text}, {"class", change_class}, {"detail", text}}))},
               {"patch", list(described("An operation of a JSON Patch (RFC 6902)"))}})},
      {"ModelFiles",
       {{"description",
         "Thing models, tm/1 or as EnOS exports them: one, an array, or (application/zip) files"}}},
      {"ImportResult",
       object({{"results", list(object({{"file", text},
                                        {"id", text},
                                        {"status", word({"created", "updated", "published",
                                                         "unchanged", "failed"})},
                                        {"revision?", integer},
                                        {"error?", object({{"code", text},
                                                           {"detail", text},
                                                           {"errors?", list(ref("Finding"))}})}}))},
               {"ok", integer},
               {"failed", integer}})},
      {"ModelExport", object({{"ids", list(text)},
                              {"format?", word({"tm", "enos", "csv"})},
                              {"as?", word({"json", "zip"})},
                              {"parents?", truth}})},
      {"ModelDocuments", list(any_object)},
      {"Unit", object({{"code", text}, {"quantity", text}, {"symbol", text}})},
      {"UnitList", page_of("Unit")},
      {"LibraryElement", described("An element that is ready to be used in models")},
      {"LibraryList", page_of("LibraryElement")},
      {"LibraryImport",
       object({{"elements?", list(ref("LibraryElement"))}, {"remove?", list(text)}})},
      {"LibraryImported", object({{"imported", integer}, {"total", integer}})}};
  return all.dump();
}

}  // namespace orrery::transport::api
