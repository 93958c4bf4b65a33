#include "transport/api/schemas.hpp"

#include <vector>

#include <nlohmann/json.hpp>

#include "transport/api/tree_schemas.hpp"

namespace orrery::transport::api {
namespace {

using nlohmann::json;

// ---- words
// ---------------------------------------------------------------------------------------

struct field {
  std::string name;  // with a '?' at its end: may be missing
  json schema;
};

json of_type(const char* type) {
  return {{"type", type}};
}
const auto text = of_type("string");
const auto integer = of_type("integer");
const auto truth = of_type("boolean");
const auto any_object = of_type("object");
const auto anything = json::object();
const auto time = json{{"type", {"string", "integer"}},
                       {"description", "RFC 3339, or epoch ms with timeFormat=ms"}};

json text_of(std::size_t least) {
  return {{"type", "string"}, {"minLength", least}};
}
json number(int least, int most) {
  return {{"type", "integer"}, {"minimum", least}, {"maximum", most}};
}
json word(std::vector<std::string> words) {
  return {{"type", "string"}, {"enum", std::move(words)}};
}
json ref(const char* name) {
  return {{"$ref", std::string{"#/components/schemas/"} + name}};
}
json list(json item, std::size_t most = 0) {
  auto s = json{{"type", "array"}, {"items", std::move(item)}};
  if (most > 0)
    s["maxItems"] = most;
  return s;
}
json map_of(json member) {
  return {{"type", "object"}, {"additionalProperties", std::move(member)}};
}
json either(json a, json b) {
  return {{"anyOf", {std::move(a), std::move(b)}}};
}

json object(const std::vector<field>& fields) {
  auto properties = json::object(), required = json::array();
  for (const auto& f : fields) {
    auto name = f.name;
    if (name.back() == '?')
      name.pop_back();
    else
      required.push_back(name);
    properties[name] = f.schema;
  }
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}
json page_of(const char* item) {
  return object({{"items", list(ref(item))}, {"nextCursor?", text}});
}

std::vector<field> with(std::vector<field> fields, const std::vector<field>& more) {
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

// ---- what several schemas share
// ------------------------------------------------------------------

const auto list_question = std::vector<field>{{"filter?", text},
                                              {"sort?", text},
                                              {"fields?", text},
                                              {"cursor?", text},
                                              {"limit?", number(1, 500)}};
const auto node_type = word({"device", "gateway"});
const auto access_mode = word({"direct", "viaGateway", "both"});
const auto data_format = word({"json", "raw"});
const auto auth_mode = word({"secret", "certificate", "both"});
const auto sign_methods = list(word({"sha256", "sha1", "md5"}));
const auto topic_rules =
    list(object({{"topic", text}, {"allow?", word({"publish", "subscribe", "both"})}}));
const auto validation_mode = either(word({"strict", "lenient", "mark", "off"}), of_type("null"));
const auto model_revision = either(word({"latest"}), {{"type", "integer"}, {"minimum", 1}});
const auto status = word({"inactive", "online", "offline", "disabled", "mirror", "retired"});

const auto key_kind = word({"rsa", "ecc"});
const auto ban_kind = word({"device", "product", "address", "certificate"});

const auto file_fields = std::vector<field>{{"id", text},
                                            {"fileUri", text},
                                            {"filename", text},
                                            {"fileLength", integer},
                                            {"status", word({"pending", "stored", "lost"})},
                                            {"createdAt", time},
                                            {"createdBy", text},
                                            {"md5?", text},
                                            {"sha256?", text},
                                            {"storedAt?", time}};
const auto certificate_fields = std::vector<field>{
    {"sn", integer},
    {"serial", text},
    {"issuer", text},
    {"fingerprint", text},
    {"subject", text},
    {"status", word({"issued", "active", "superseded", "held", "revoked", "expired"})},
    {"notBefore", time},
    {"notAfter", time},
    {"certificate", text},
    {"reason?", integer},
    {"supersededUntil?", time}};
const auto key_fields =
    std::vector<field>{{"id", text},          {"app", text},           {"permissions", list(text)},
                       {"roles", list(text)}, {"ipAllow", list(text)}, {"createdAt", time},
                       {"createdBy", text},   {"expires?", time},      {"topics?", topic_rules},
                       {"replacedBy?", text}};
const auto scope_lists = std::vector<field>{
    {"products?", list(text, 100)}, {"groups?", list(text, 100)}, {"treeNodes?", list(text, 100)}};
const auto role_names = list(text, 20);
const auto count = json{{"type", "integer"}, {"minimum", 0}};
const auto quota_item = word({"devices", "products", "models", "users", "apps", "keys", "roles",
                              "groups", "configurations", "fileBytes"});
const auto product_fields = std::vector<field>{{"productKey", text},
                                               {"name", text},
                                               {"description", text},
                                               {"modelId", text},
                                               {"modelRevision", model_revision},
                                               {"nodeType", node_type},
                                               {"access", access_mode},
                                               {"dataFormat", data_format},
                                               {"auth", auth_mode},
                                               {"dynamicActivation", truth},
                                               {"signMethods", sign_methods},
                                               {"validation", validation_mode},
                                               {"tags", ref("Tags")},
                                               {"hasDecoder", truth},
                                               {"topics", topic_rules},
                                               {"createdAt", time},
                                               {"updatedAt", time}};
const auto shown = word({"inactive", "online", "offline"});
const auto group_fields =
    std::vector<field>{{"id", text},          {"name", text},
                       {"description", text}, {"type", word({"static", "dynamic"})},
                       {"rule?", text},       {"createdAt", time},
                       {"createdBy", text},   {"updatedAt", time}};
const auto device_fields = std::vector<field>{{"assetId", text},
                                              {"productKey", text},
                                              {"deviceKey", text},
                                              {"name", text},
                                              {"description", text},
                                              {"timezone", text},
                                              {"status", status},
                                              {"enabled", truth},
                                              {"adminReason?", text},
                                              {"gateway?", text},
                                              {"mirrorOf?", text},
                                              {"groups?", list(text)},
                                              {"override?", ref("Override")},
                                              {"retirement?", ref("Retirement")},
                                              {"connection", ref("Connection")},
                                              {"attributes", ref("Values")},
                                              {"tags", ref("Tags")},
                                              {"createdAt", time},
                                              {"updatedAt", time},
                                              {"activatedAt?", time},
                                              {"lastOnlineAt?", time},
                                              {"lastOfflineAt?", time},
                                              {"lastDataAt?", time}};
const auto latest_fields =
    std::vector<field>{{"point", text},      {"value", anything}, {"time", time},
                       {"serverTime", time}, {"ageMs", integer},  {"quality?", integer}};
const auto sample_fields =
    std::vector<field>{{"time", time}, {"value", anything}, {"quality?", integer}};
/// How a command is sent, beside what it is.
const auto sending = std::vector<field>{{"timeout?", number(1, 60)},
                                        {"pendingTtl?", number(0, 172'800)},
                                        {"mode?", word({"wait", "async"})}};

// ---- by group of the API
// -------------------------------------------------------------------------

json shared() {
  return {
      {"Any", any_object},
      {"Values", {{"type", "object"}, {"description", "Values by id"}}},
      {"Tags", map_of(text)},
      {"PartialList",
       object({{"items", list(any_object)}, {"nextCursor?", text}, {"total?", integer}})},
      {"TagChanges", map_of({{"type", {"string", "null"}}})},
      {"Finding", object({{"pointer", text}, {"code", text}, {"detail", text}})},
      {"Problem", object({{"type", text},
                          {"title", text},
                          {"status", integer},
                          {"code", text},
                          {"detail", text},
                          {"instance?", text},
                          {"requestId?", text},
                          {"errors?", list(ref("Finding"))}})},
      {"ImportedRows", anything},
      {"ExportedRows", any_object},
      {"RowResults", object({{"results", list(object({{"index", integer},
                                                      {"status", integer},
                                                      {"outcome?", word({"created", "updated"})},
                                                      {"id?", text},
                                                      {"productSecret?", text},
                                                      {"error?", ref("Problem")}}))},
                             {"ok", integer},
                             {"failed", integer},
                             {"dryRun", truth}})},
      {"Version", object({{"name", text}, {"version", text}})}};
}

/// What an identity provider has; `optional`: what may be left out when it is put.
std::vector<field> provider_fields(bool optional) {
  const auto m = std::string{optional ? "?" : ""};
  return {{"name" + m, text},
          {"issuer", text},
          {"clientId", text},
          {"scopes" + m, list(text, 20)},
          {"loginClaim" + m, text},
          {"nameClaim" + m, text},
          {"mailClaim" + m, text},
          {"roleClaim" + m, text},
          {"roles" + m, list(object({{"value", text}, {"roles", role_names}}), 100)},
          {"defaultRoles" + m, role_names},
          {"createUsers" + m, truth},
          {"linkByMail" + m, truth},
          {"mailDomains" + m, list(text, 50)},
          {"redirectUris" + m, list(text, 20)},
          {"enabled" + m, truth}};
}

json people() {
  return {
      {"Login",
       object({{"user", text}, {"password", text}, {"organisation?", text}, {"otp?", text}})},
      {"Refresh", object({{"grant?", word({"refresh"})}, {"refresh", text}})},
      {"Tokens", object({{"access", text},
                         {"refresh", text},
                         {"tokenType", word({"Bearer"})},
                         {"expiresIn", integer}})},
      {"ExternalLoginStart",
       object({{"organisation?", text}, {"provider", text}, {"redirectUri", text}})},
      {"ExternalLogin", object({{"url", text}, {"transaction", text}, {"expiresIn", integer}})},
      {"ExternalLoginEnd",
       object({{"transaction", text}, {"state", text}, {"code", text}, {"issuer?", text}})},
      {"SecondFactor", object({{"secret", text}, {"uri", text}, {"spareCodes", list(text)}})},
      {"Code", object({{"otp", text}})},
      {"Scope",
       object({{"products", list(text)}, {"groups", list(text)}, {"treeNodes", list(text)}})},
      {"Grant", object({{"role", text}, {"permissions", list(text)}, {"scope", ref("Scope")}})},
      {"Identity", object({{"organisation", text},
                           {"actor", text},
                           {"permissions", list(text)},
                           {"scoped?", list(ref("Grant"))}})},
      {"Organisation", object({{"id", text},
                               {"name", text},
                               {"locale", text},
                               {"timeZone", text},
                               {"suspended", truth},
                               {"revealSecrets", truth},
                               {"suspendReason?", text},
                               {"createdAt", time}})},
      {"Organisations", page_of("Organisation")},
      {"NewOrganisation", object({{"id", text},
                                  {"name?", text},
                                  {"locale?", text},
                                  {"timeZone?", text},
                                  {"admin", object({{"login", text},
                                                    {"name?", text},
                                                    {"mail?", text},
                                                    {"password", text_of(10)}})}})},
      {"OrganisationChange",
       object(
           {{"name?", text}, {"locale?", text}, {"timeZone?", text}, {"revealSecrets?", truth}})},
      {"Quotas", object({{"items", list(object({{"item", quota_item},
                                                {"used", count},
                                                {"soft?", count},
                                                {"passed?", truth},
                                                {"hard?", count}}))}})},
      {"QuotaChange",
       object(
           {{"items", list(object({{"item", quota_item}, {"soft?", count}, {"hard?", count}}))}})},
      {"Role", object({{"name", text},
                       {"description", text},
                       {"permissions", list(text)},
                       {"scope", ref("Scope")},
                       {"builtin", truth},
                       {"createdAt?", time},
                       {"createdBy?", text},
                       {"updatedAt?", time}})},
      {"Roles", page_of("Role")},
      {"NewRole", object({{"name", text},
                          {"description?", text},
                          {"permissions", list(text, 100)},
                          {"scope?", object(scope_lists)}})},
      {"RoleChange", object({{"name?", text},
                             {"description?", text},
                             {"permissions", list(text, 100)},
                             {"scope?", object(scope_lists)}})},
      {"IdentityProvider", object(with(provider_fields(false), {{"id", text},
                                                                {"hasSecret", truth},
                                                                {"createdAt", time},
                                                                {"createdBy", text},
                                                                {"updatedAt", time}}))},
      {"IdentityProviders", page_of("IdentityProvider")},
      {"IdentityProviderChange",
       object(with(provider_fields(true),
                   {{"id?", text}, {"clientSecret?", json{{"type", {"string", "null"}}}}}))},
      {"RoleNames", object({{"roles", role_names}})},
      {"Grants", object({{"kind", word({"users", "apps"})},
                         {"subject", text},
                         {"roles", list(text)},
                         {"grants", list(ref("Grant"))}})},
      {"GrantQuestion",
       object(
           {{"user?", text},
            {"app?", text},
            {"key?", text},
            {"permission", text},
            {"resource?",
             object({{"product?", text}, {"groups?", list(text)}, {"treeNodes?", list(text)}})}})},
      {"GrantAnswer", object({{"allowed", truth}, {"why", text}})},
      {"App", object({{"id", text},
                      {"name", text},
                      {"roles", list(text)},
                      {"keys", count},
                      {"createdAt", time},
                      {"createdBy", text}})},
      {"Apps", page_of("App")},
      {"NewApp", object({{"id", text}, {"name?", text}, {"roles?", role_names}})},
      {"AppChange", object({{"name?", text}, {"roles?", role_names}})},
      {"User", object({{"login", text},
                       {"name", text},
                       {"mail", text},
                       {"roles", list(text)},
                       {"locked", truth},
                       {"lockedUntil?", time},
                       {"secondFactor", truth},
                       {"identities",
                        list(object({{"issuer", text}, {"subject", text}, {"linkedAt", time}}))},
                       {"createdAt", time}})},
      {"UserChange", object({{"name?", text}, {"mail?", text}, {"roles?", role_names}})},
      {"Users", page_of("User")},
      {"NewUser", object({{"login", text},
                          {"name?", text},
                          {"mail?", text},
                          {"roles?", role_names},
                          {"password", text_of(10)}})},
      {"NewPassword", object({{"password", text_of(10)}})},
      {"Key", object(key_fields)},
      {"Keys", page_of("Key")},
      {"CreatedKey", object(with(key_fields, {{"secret", text}, {"apiKey", text}}))},
      {"NewKey", object({{"permissions?", list(text)},
                         {"roles?", role_names},
                         {"expires?", time},
                         {"ipAllow?", list(text)},
                         {"topics?", topic_rules}})}};
}

json products() {
  return {{"Product", object(product_fields)},
          {"ProductList", page_of("Product")},
          {"ModelSearch", object(with(list_question, {{"scope?", text}}))},
          {"FoundModels", either(ref("ModelList"), ref("PartialList"))},
          {"ProductSearch", object(with(list_question, {{"modelId?", text}}))},
          {"FoundProducts", either(ref("ProductList"), ref("PartialList"))},
          {"CreatedProduct", object(with(product_fields, {{"productSecret", text}}))},
          {"NewProduct", object({{"productKey?", text},
                                 {"name", text},
                                 {"description?", text},
                                 {"modelId", text},
                                 {"modelRevision?", model_revision},
                                 {"nodeType?", node_type},
                                 {"access?", access_mode},
                                 {"dataFormat?", data_format},
                                 {"auth?", auth_mode},
                                 {"dynamicActivation?", truth},
                                 {"signMethods?", sign_methods},
                                 {"validation?", validation_mode},
                                 {"topics?", topic_rules},
                                 {"tags?", ref("Tags")}})},
          {"ProductChange", object({{"name?", text},
                                    {"description?", text},
                                    {"modelRevision?", model_revision},
                                    {"access?", access_mode},
                                    {"auth?", auth_mode},
                                    {"dynamicActivation?", truth},
                                    {"signMethods?", sign_methods},
                                    {"validation?", validation_mode},
                                    {"topics?", topic_rules},
                                    {"tags?", ref("TagChanges")}})},
          {"ProductExport", object({{"format?", word({"csv", "ndjson"})},
                                    {"filter?", text},
                                    {"productKeys?", list(text, 1000)}})},
          {"AssetExport", object({{"format?", word({"csv", "ndjson"})},
                                  {"modelIds?", list(text, 100)},
                                  {"name?", text},
                                  {"tags?", ref("Tags")}})},
          {"ProductSecret", object({{"productKey", text}, {"productSecret", text}})},
          {"Decoder", object({{"language", word({"lua"})}, {"script", text}})},
          {"NewDecoder", object({{"language?", word({"lua"})}, {"script", text}})},
          {"DecoderTest",
           object({{"script?", text}, {"hex?", text}, {"base64?", text}, {"json?", any_object}})},
          {"DecoderResult",
           object({{"ok", truth},
                   {"json?", any_object},
                   {"hex?", text},
                   {"base64?", text},
                   {"error?", object({{"code", text}, {"detail", text}, {"line?", integer}})},
                   {"instructions", integer},
                   {"memoryBytes", integer}})}};
}

json devices() {
  return {
      {"Connection", object({{"online", truth},
                             {"protocol?", word({"mqtt", "http", "coap"})},
                             {"address?", text},
                             {"secure?", truth},
                             {"byGateway?", truth},
                             {"since?", time},
                             {"reason?", text}})},
      {"Device", object(device_fields)},
      {"ShownDevice", object(with(device_fields, {{"twin?", ref("Twin")},
                                                  {"firmware?", ref("DeviceFirmware")},
                                                  {"tree?", list(ref("AssetPlace"))}}))},
      {"DeviceList",
       object({{"items", list(ref("Device"))}, {"nextCursor?", text}, {"total?", integer}})},
      {"FoundDevices", either(ref("DeviceList"), ref("PartialList"))},
      {"DeviceSearch",
       object(with(list_question, {{"count?", truth}, {"includeRetired?", truth}}))},
      {"DeviceCountQuestion", object({{"filter?", text}, {"groupBy?", list(text, 3)}})},
      {"DeviceCountAnswer",
       object({{"total", integer},
               {"groups?", list(object({{"group", any_object}, {"count", integer}}))}})},
      {"CreatedDevice",
       object(with(device_fields, {{"deviceSecret", text},
                                   {"warnings?", list(object({{"part", word({"groups", "gateway"})},
                                                              {"error", ref("Problem")}}))}}))},
      {"NewDevice",
       object({{"productKey", text},
               {"deviceKey?", text},
               {"deviceSecret?", text_of(8)},
               {"name?", text},
               {"description?", text},
               {"timezone?", text},
               {"attributes?", any_object},
               {"tags?", ref("Tags")},
               {"groups?", list(text, 32)},
               {"gateway?", either(text, object({{"productKey", text}, {"deviceKey", text}}))}})},
      {"NewDevices", object({{"items", list(ref("NewDevice"), 1000)}})},
      {"BatchResult", object({{"results", list(object({{"index", integer},
                                                       {"status", integer},
                                                       {"id?", text},
                                                       {"device?", ref("CreatedDevice")},
                                                       {"error?", ref("Problem")}}))},
                              {"ok", integer},
                              {"failed", integer}})},
      {"KeysQuestion", object({{"productKey", text}, {"keys", list(text, 1000)}})},
      {"KeysAnswer",
       object({{"free", list(text)}, {"existing", list(text)}, {"invalid", list(text)}})},
      {"Ids", object({{"ids", list(text, 1000)}})},
      {"Status", object({{"assetId", text},
                         {"productKey", text},
                         {"deviceKey", text},
                         {"status", status},
                         {"connection", ref("Connection")},
                         {"override?", ref("Override")},
                         {"lastDataAt?", time}})},
      {"Override", object({{"status", shown}, {"until", time}, {"by", text}, {"at", time}})},
      {"Retirement", object({{"at", time}, {"purgeAt", time}, {"by", text}, {"reason", text}})},
      {"Decommission", object({{"reason", text_of(1)}, {"quarantine?", number(0, 365)}})},
      {"DeviceReplacement", object({{"newDeviceKey", text}})},
      {"DeviceOffer", object({{"targetOrg", text}, {"hours?", integer}})},
      {"OfferedDevice",
       object({{"assetId", text}, {"targetOrg", text}, {"code", text}, {"expiresAt", time}})},
      {"DeviceAdoption", object({{"code", text}, {"productKey", text}, {"deviceKey?", text}})},
      {"ProductMove", object({{"productKey", text}})},
      {"MirrorSetting", object({{"source", text}, {"points?", map_of(text)}})},
      {"Mirror",
       object(
           {{"source", text}, {"points", map_of(text)}, {"since", time}, {"sourceGone", truth}})},
      {"StatusOverride", object({{"status", shown}, {"until", time}})},
      {"StatusHistory", object({{"items", list(object({{"time", time},
                                                       {"status", word({"online", "offline"})},
                                                       {"protocol?", text},
                                                       {"address?", text},
                                                       {"reason?", text}}))},
                                {"nextCursor?", text},
                                {"availability?", of_type("number")},
                                {"onlineSeconds?", integer},
                                {"knownSeconds?", integer}})},
      {"Credential", object({{"assetId", text},
                             {"productKey", text},
                             {"deviceKey", text},
                             {"certificates", integer},
                             {"secretPending", truth},
                             {"formerSecretUntil?", time},
                             {"deviceSecret?", text}})},
      {"Group", object(group_fields)},
      {"GroupList", page_of("Group")},
      {"NewGroup", object({{"name", text},
                           {"description?", text},
                           {"type", word({"static", "dynamic"})},
                           {"rule?", text}})},
      {"GroupChange", object({{"name?", text}, {"description?", text}, {"rule?", text}})},
      {"GroupPreview", object({{"rule", text}, {"sample?", number(0, 20)}})},
      {"GroupSample", object({{"count", integer}, {"sample", list(ref("Device"))}})},
      {"MemberResult", object({{"results", list(object({{"index", integer},
                                                        {"status", integer},
                                                        {"id?", text},
                                                        {"error?", ref("Problem")}}))},
                               {"ok", integer},
                               {"failed", integer}})},
      {"StatusList", page_of("Status")},
      {"TagCounts",
       object(
           {{"kind", word({"device", "product", "asset"})},
            {"items", list(object({{"key", text},
                                   {"count", integer},
                                   {"values", list(object({{"value", text}, {"count", integer}}))},
                                   {"truncated", truth}}))},
            {"truncated", truth}})},
      {"DeviceChange", object({{"name?", text},
                               {"description?", text},
                               {"timezone?", text},
                               {"attributes?", any_object},
                               {"tags?", ref("TagChanges")}})},
      {"DeviceDetails", object({{"name?", text},
                                {"description?", text},
                                {"timezone?", text},
                                {"attributes?", any_object},
                                {"tags?", ref("Tags")}})},
      {"Reason", object({{"reason?", text}})},
      {"Reopening", object({{"seconds?", number(60, 2'592'000)}})},
      {"SubDevice", object({{"assetId", text}, {"productKey", text}, {"deviceKey", text}})},
      {"SubDeviceList", page_of("SubDevice")},
      {"DeviceNames",
       object({{"devices", list(object({{"productKey", text}, {"deviceKey", text}}), 1000)}})},
      {"TopologyResult", object({{"results", list(object({{"index", integer},
                                                          {"status", integer},
                                                          {"device?", ref("SubDevice")},
                                                          {"error?", ref("Problem")}}))},
                                 {"ok", integer},
                                 {"failed", integer}})},
      {"ConnectionTopology",
       object({{"nodes", any_object}, {"relations", any_object}, {"reportedAt?", time}})},
      {"Certificate", object(certificate_fields)},
      {"CertificateList", page_of("Certificate")},
      {"IssuedCertificate",
       object(with(certificate_fields, {{"chain", text}, {"issuerKeys", key_kind}}))},
      {"CertificateRequest",
       object({{"csr", text}, {"days?", number(1, 3650)}, {"issuer?", key_kind}})},
      {"CertificateRenewal", object({{"csr?", text},
                                     {"days?", number(1, 3650)},
                                     {"issuer?", key_kind},
                                     {"overlap?", number(0, 7'776'000)}})},
      {"File", object(file_fields)},
      {"FileList", page_of("File")},
      {"FileOfDevice",
       object(with(file_fields, {{"assetId", text}, {"productKey", text}, {"deviceKey", text}}))},
      {"AllFiles", page_of("FileOfDevice")},
      {"FileRequest",
       object({{"filename", text}, {"fileLength", integer}, {"md5?", text}, {"sha256?", text}})},
      {"FileUpload",
       object(
           with(file_fields, {{"uploadUrl", text}, {"headers", any_object}, {"expires", time}}))},
      {"FileLink", object({{"downloadUrl", text}, {"expires", time}})},
      {"CertificateBinding", object({{"certificate", text}})},
      {"Revocation", object({{"reason?", number(0, 10)}})},
      {"Authority", object({{"id", text},
                            {"kind", word({"builtIn", "external"})},
                            {"status", word({"pending", "trusted"})},
                            {"nonce?", text},
                            {"keys", key_kind},
                            {"subject", text},
                            {"notAfter", time},
                            {"createdAt", time},
                            {"createdBy", text},
                            {"revoked", integer},
                            {"hasCrl", truth}})},
      {"AuthorityList", page_of("Authority")},
      {"AuthorityCertificate", object({{"id", text}, {"certificate", text}})},
      {"AuthorityRevocations", object({{"id", text}, {"crl", text}})},
      {"RevocationList", object({{"crl", text}})},
      {"NewAuthority", object({{"certificate", text}})},
      {"Ban", object({{"id", text},
                      {"kind", ban_kind},
                      {"subject", text},
                      {"until?", time},
                      {"reason", text},
                      {"createdAt", time},
                      {"createdBy", text}})},
      {"BanList", page_of("Ban")},
      {"NewBan",
       object({{"kind", ban_kind}, {"subject", text}, {"until?", time}, {"reason?", text}})},
      {"TemporaryBan", object({{"productKey?", text},
                               {"deviceKey?", text},
                               {"address?", text},
                               {"until", time},
                               {"reason", text}})},
      {"TemporaryBanList", page_of("TemporaryBan")},
      {"Overlap", object({{"overlap?", number(0, 2'592'000)}})},
      {"DeviceSecret",
       object(
           {{"assetId", text}, {"productKey", text}, {"deviceKey", text}, {"deviceSecret", text}})},
      {"DeviceCounts", object({{"total", integer},
                               {"online", integer},
                               {"offline", integer},
                               {"inactive", integer},
                               {"disabled", integer},
                               {"mirror", integer}})}};
}

const auto layer_state = word({"pending", "agreed", "drifted", "refused"});
const auto fleet_configuration = std::vector<field>{
    {"name", text},          {"description", text}, {"target", text},        {"priority", integer},
    {"desired", any_object}, {"enabled", truth},    {"labels", map_of(text)}};

json twins() {
  return {
      {"Configuration",
       {{"type", "object"},
        {"description", "A document of at most 32,768 bytes and a depth of 8"}}},
      {"Twin",
       object(
           {{"desired", ref("Configuration")},
            {"reported", ref("Configuration")},
            {"delta", ref("Configuration")},
            {"inSync", truth},
            {"desiredVersion", integer},
            {"reportedVersion", integer},
            {"appliedVersion", integer},
            {"desiredAt?", time},
            {"desiredBy?", text},
            {"reportedAt?", time},
            {"own?", ref("Configuration")},
            {"configurations?",
             list(object(
                 {{"id", text}, {"version", integer}, {"state", layer_state}, {"reason?", text}}))},
            {"sources?", map_of(text)}})},
      {"FleetConfiguration", object(with(fleet_configuration, {{"id", text},
                                                               {"version", integer},
                                                               {"createdAt", time},
                                                               {"createdBy", text},
                                                               {"updatedAt", time}}))},
      {"FleetConfigurationList", page_of("FleetConfiguration")},
      {"NewFleetConfiguration", object({{"name", text},
                                        {"description?", text},
                                        {"target", text},
                                        {"priority?", number(0, 1'000)},
                                        {"desired", any_object},
                                        {"enabled?", truth},
                                        {"labels?", map_of(text)}})},
      {"FleetConfigurationChange", object({{"name?", text},
                                           {"description?", text},
                                           {"target?", text},
                                           {"priority?", number(0, 1'000)},
                                           {"desired?", any_object},
                                           {"enabled?", truth},
                                           {"labels?", map_of(text)}})},
      {"FleetConfigurationPreview", object({{"target", text},
                                            {"priority?", number(0, 1'000)},
                                            {"desired?", any_object},
                                            {"id?", text},
                                            {"sample?", number(0, 20)}})},
      {"FleetConfigurationSample",
       object(
           {{"count", integer},
            {"sample", list(ref("Device"))},
            {"conflicts", list(object({{"id", text}, {"name", text}, {"paths", list(text)}}))}})},
      {"FleetConfigurationReport", object({{"configuration", text},
                                           {"version", integer},
                                           {"enabled", truth},
                                           {"targeted", integer},
                                           {"applied", integer},
                                           {"outdated", integer},
                                           {"agreed", integer},
                                           {"drifted", integer},
                                           {"pending", integer},
                                           {"refused", integer},
                                           {"offline?", integer},
                                           {"state", layer_state},
                                           {"items", list(ref("ReportedDevice"))},
                                           {"nextCursor?", text}})},
      {"ReportedDevice", object({{"assetId", text},
                                 {"productKey", text},
                                 {"deviceKey", text},
                                 {"name", text},
                                 {"status", text},
                                 {"version?", integer},
                                 {"desiredVersion", integer},
                                 {"appliedVersion", integer},
                                 {"differences", list(ref("TwinDifference"))},
                                 {"reason?", text},
                                 {"reportedAt?", time}})},
      {"TwinDifference", object({{"path", text}, {"desired", anything}, {"reported?", anything}})},
      {"DeviceConfigurations",
       object({{"items", list(object({{"id", text},
                                      {"version", integer},
                                      {"state", layer_state},
                                      {"reason?", text},
                                      {"name?", text},
                                      {"priority?", integer},
                                      {"newestVersion?", integer},
                                      {"inForce?", any_object},
                                      {"differences?", list(ref("TwinDifference"))}}))}})},
      {"TwinHistory",
       object({{"items",
                list(object(
                    {{"version", integer}, {"at", time}, {"by", text}, {"appliedAt?", time}}))}})},
      {"TwinWait", object({{"desiredVersion?", integer}, {"timeout?", number(1, 60)}})}};
}

json data() {
  return {{"Latest", object(latest_fields)},
          {"LatestList", page_of("Latest")},
          {"LatestQuestion", object({{"ids", list(text, 1000)}, {"points?", list(text, 1000)}})},
          {"LatestOfDevice", object(with({{"assetId", text}}, latest_fields))},
          {"LatestOfMany", page_of("LatestOfDevice")},
          {"Sample", object(sample_fields)},
          {"History", page_of("Sample")},
          {"PointSample", object(with({{"point", text}}, sample_fields))},
          {"HistoryOfPoints", page_of("PointSample")},
          {"Samples",
           object({{"mode?", word({"online", "backfill"})},
                   {"items", list(object({{"time?", time}, {"points", any_object}}), 1000)}})},
          {"Ingested", object({{"dropped", list(ref("Finding"))}})},
          {"Event", object({{"id", text},
                            {"assetId", text},
                            {"eventId", text},
                            {"level", word({"info", "warning", "error"})},
                            {"output", any_object},
                            {"time", time},
                            {"receivedAt", time}})},
          {"EventList", page_of("Event")},
          {"NewEvent", object({{"eventId", text}, {"output?", any_object}, {"time?", time}})}};
}

json commands() {
  return {
      {"Invoke", object(with({{"input?", any_object}}, sending))},
      {"SetPoint", object(with({{"value", anything}}, sending))},
      {"SetPoints", object(with({{"points", any_object}}, sending))},
      {"ReadPoints", object(with({{"points", list(text, 1000)}}, sending))},
      {"Command", object({{"id", text},
                          {"assetId", text},
                          {"type", word({"service", "points", "read", "rrpc"})},
                          {"element?", text},
                          {"state", word({"queued", "cancelled", "expired", "sent", "succeeded",
                                          "failed", "timeout"})},
                          {"input", any_object},
                          {"actor", text},
                          {"timeout", integer},
                          {"pendingTtl", integer},
                          {"createdAt", time},
                          {"sentAt?", time},
                          {"finishedAt?", time},
                          {"code?", integer},
                          {"output?", anything},
                          {"message?", text},
                          {"lateReply?", anything}})},
      {"RrpcCall", object({{"payload?", text}, {"base64?", text}, {"timeout?", number(1, 60)}})},
      {"RrpcAnswer", object({{"command", text}, {"payload?", text}, {"base64?", text}})},
      {"CommandList", page_of("Command")},
      {"Cancelled", object({{"cancelled", list(text)}})}};
}

json upgrades() {
  const auto deliver = word({"push", "pull", "both"});
  const auto unknown_version = word({"include", "exclude"});
  const auto firmware_fields =
      std::vector<field>{{"productKey", text}, {"name", text_of(1)}, {"version", text_of(1)},
                         {"sign", text},       {"url", text},        {"size", integer}};
  const auto task_fields = std::vector<field>{
      {"state", word({"pending", "published", "upgrading", "succeeded", "failed", "cancelled",
                      "skipped", "unreached", "replaced", "deleted", "unknown"})},
      {"reason?", text},
      {"attempt?", integer},
      {"offeredAt?", time},
      {"progress?", integer},
      {"phase?", text},
      {"late?", truth},
      {"step?", text},
      {"desc?", text},
      {"publishedAt?", time},
      {"upgradingAt?", time},
      {"finishedAt?", time}};
  const auto job_fields =
      std::vector<field>{{"id", text},
                         {"productKey", text},
                         {"firmware", object({{"id", text}, {"name", text}, {"version", text}})},
                         {"deliver", deliver},
                         {"upgradeTimeout", integer},
                         {"unknownVersion", unknown_version},
                         {"devices", integer},
                         {"createdAt", time},
                         {"createdBy", text},
                         {"cancelledAt?", time}};
  const auto result = object({{"deviceKey", text},
                              {"result", word({"offered", "skipped", "unreached"})},
                              {"reason?", text}});
  return {{"NewFirmware", object(with(firmware_fields, {{"signMethod?", word({"md5", "sha256"})},
                                                        {"description?", text}}))},
          {"Firmware", object(with(firmware_fields, {{"id", text},
                                                     {"signMethod", word({"md5", "sha256"})},
                                                     {"description", text},
                                                     {"createdAt", time},
                                                     {"createdBy", text}}))},
          {"FirmwareList", page_of("Firmware")},
          {"FirmwareSearch", object(with(list_question, {{"productKey?", text}}))},
          {"FoundFirmwares", either(ref("FirmwareList"), ref("PartialList"))},
          {"DeviceFirmware",
           object({{"upgrading", truth},
                   {"version?", text},
                   {"reportedAt?", time},
                   {"task?", object(with(task_fields, {{"job", text}, {"version", text}}))}})},
          {"NewOtaJob", object({{"productKey", text},
                                {"firmware", text},
                                {"devices", list(text, 1000)},
                                {"deliver?", deliver},
                                {"upgradeTimeout?", number(300, 172'800)},
                                {"unknownVersion?", unknown_version}})},
          {"OtaJob", object(job_fields)},
          {"OtaJobList", page_of("OtaJob")},
          {"CreatedOtaJob", object(with(job_fields, {{"offered", integer},
                                                     {"skipped", integer},
                                                     {"unreached", integer},
                                                     {"results", list(result)}}))},
          {"OtaJobStatus",
           object(with(job_fields, {{"state", word({"running", "completed", "cancelled"})},
                                    {"counts", map_of(integer)}}))},
          {"OtaTask", object(with(task_fields, {{"deviceKey", text}}))},
          {"OtaTaskList", page_of("OtaTask")},
          {"OtaSelection", object({{"devices?", list(text, 1000)}})},
          {"OtaResult", object({{"results", list(object({{"deviceKey", text},
                                                         {"status", integer},
                                                         {"error?", ref("Problem")}}))},
                                {"ok", integer},
                                {"failed", integer}})}};
}

json operations() {
  const auto columns = list(text, 200);
  const auto rate = number(1, 100'000);
  return {
      {"Operation",
       object(
           {{"id", text},
            {"kind", word({"deviceImport", "deviceBulk", "deviceExport", "deviceProvision"})},
            {"state", word({"receiving", "queued", "running", "succeeded", "failed", "cancelled"})},
            {"progress?", number(0, 100)},
            {"cancelling?", truth},
            {"counts", object({{"done", integer},
                               {"ok", integer},
                               {"failed", integer},
                               {"skipped", integer},
                               {"total?", integer}})},
            {"request", any_object},
            {"result?", text},
            {"secrets?", word({"kept", "shown"})},
            {"error?", object({{"code", text}, {"detail", text}})},
            {"createdAt", time},
            {"createdBy", text},
            {"startedAt?", time},
            {"endedAt?", time},
            {"expiresAt?", time}})},
      {"OperationList", page_of("Operation")},
      {"ImportedDevices", anything},
      {"DeviceExport",
       object({{"filter?", text}, {"columns?", columns}, {"format?", word({"csv", "ndjson"})}})},
      {"DeviceBulk", object({{"action", word({"enable", "disable", "tag", "untag", "kick",
                                              "resetSecret", "decommission", "delete"})},
                             {"filter?", text},
                             {"ids?", list(text, 1'000)},
                             {"all?", truth},
                             {"tags?", ref("Tags")},
                             {"tagKeys?", list(text, 100)},
                             {"reason?", text},
                             {"overlap?", number(0, 30 * 86'400)},
                             {"quarantine?", number(0, 365)},
                             {"rate?", rate},
                             {"dryRun?", truth}})},
      {"DeviceBulkPreview", object({{"total", integer},
                                    {"sample", list(object({{"assetId", text},
                                                            {"productKey", text},
                                                            {"deviceKey", text},
                                                            {"name", text}}))}})},
      {"DeviceProvision", object({{"productKey", text},
                                  {"keys", text},
                                  {"name?", text},
                                  {"tags?", ref("Tags")},
                                  {"attributes?", any_object},
                                  {"rate?", rate},
                                  {"dryRun?", truth}})}};
}

json cluster() {
  return {
      {"ClusterNode", object({{"name", text},
                              {"number", integer},
                              {"state", word({"up", "absent", "draining", "removed"})},
                              {"present", truth},
                              {"order?", word({"drain", "remove"})},
                              {"version?", text},
                              {"zone?", text},
                              {"weight?", integer},
                              {"addresses?", map_of(text)},
                              {"startedAt?", time},
                              {"primaries", integer},
                              {"inSync", integer},
                              {"learning", integer}})},
      {"Cluster", object({{"name", text},
                          {"node", text},
                          {"coordinator", object({{"kind", word({"embedded", "etcd"})},
                                                  {"reachable", truth},
                                                  {"trouble?", text}})},
                          {"controller?", text},
                          {"copies", integer},
                          {"shards", object({{"total", integer},
                                             {"whole", integer},
                                             {"moving", integer},
                                             {"lacking", integer},
                                             {"withoutPrimary", integer},
                                             {"stuck", integer}})},
                          {"nodes", list(ref("ClusterNode"))}})},
      {"Shard", object({{"shard", integer},
                        {"catalogue", truth},
                        {"state", word({"whole", "moving", "lacking", "withoutPrimary", "stuck"})},
                        {"epoch", integer},
                        {"primary?", text},
                        {"preferred?", text},
                        {"inSync", list(text)},
                        {"replicas", list(text)}})},
      {"ShardList", page_of("Shard")},
      {"Backup",
       object({{"id", text},
               {"state", word({"running", "complete", "partial", "failed"})},
               {"startedAt", time},
               {"by", text},
               {"nodes", list(object({{"node", text},
                                      {"state", word({"running", "complete", "failed", "absent"})},
                                      {"bytes?", integer},
                                      {"seconds?", of_type("number")},
                                      {"finishedAt?", time},
                                      {"reason?", text},
                                      {"detail?", text}}))}})},
      {"BackupList", page_of("Backup")},
      {"Replacement", object({{"by", text}})},
      {"Rebalance", object({{"automatic", truth},
                            {"moves", list(object({{"shard", integer},
                                                   {"primary?", text},
                                                   {"leader?", text},
                                                   {"copies", list(text)}}))}})}};
}

json audit() {
  const auto hash = json{{"type", "string"}, {"pattern", "^[0-9a-f]{64}$"}};
  const auto record = std::vector<field>{{"number", integer},
                                         {"log", text},
                                         {"previous", hash},
                                         {"time", text},
                                         {"organisation", text},
                                         {"actor?", text},
                                         {"application?", text},
                                         {"session?", text},
                                         {"address?", text},
                                         {"requestId", text},
                                         {"idempotencyKey?", text},
                                         {"action", text},
                                         {"permission?", text},
                                         {"method?", text},
                                         {"path?", anything},
                                         {"query?", any_object},
                                         {"resource?", object({{"kind", text}, {"id?", anything}})},
                                         {"device?", text},
                                         {"result", word({"done", "refused", "failed"})},
                                         {"status", integer},
                                         {"reason?", text},
                                         {"detail?", anything},
                                         {"replay?", truth},
                                         {"asked?", anything},
                                         {"before?", anything},
                                         {"after?", anything},
                                         {"ids?", list(text)},
                                         {"count?", integer},
                                         {"since?", text}};
  return {
      {"AuditRecord", object(with(record, {{"hash", hash}}))},
      {"AuditRecords", page_of("AuditRecord")},
      {"AuditSearch", object({{"filter?", text},
                              {"from?", time},
                              {"to?", time},
                              {"oldestFirst?", truth},
                              {"limit?", number(1, 500)}})},
      {"AuditSpan",
       object(
           {{"from?", time}, {"to?", time}, {"after?", integer}, {"limit?", number(1, 10'000)}})},
      {"AuditLine",
       {{"anyOf",
         {object({{"audit", number(1, 1)},
                  {"organisation", text},
                  {"first", integer},
                  {"anchor", hash},
                  {"last", integer},
                  {"head", hash}}),
          object({{"hash", hash}, {"record", object(record)}})}}}},
      {"AuditHead", object({{"organisation", text},
                            {"number", integer},
                            {"hash", hash},
                            {"time?", time},
                            {"first", integer},
                            {"anchor", hash}})}};
}

}  // namespace

std::string schemas() {
  auto all = json::object();
  for (const auto& part :
       {shared(), people(), json::parse(model_schemas()), products(), devices(), twins(), data(),
        commands(), upgrades(), operations(), cluster(), audit()})
    all.update(part);
  all.update(json::parse(tree_schemas()));
  return all.dump();
}

}  // namespace orrery::transport::api
