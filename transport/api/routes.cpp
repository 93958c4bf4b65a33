#include "transport/api/routes.hpp"

#include <algorithm>
#include <set>

#include "transport/api/device_retirement.hpp"

namespace orrery::transport::api {
namespace {

struct compiled {
  const route* what;
  std::vector<std::string> segments;  // "{name}" or literal, without the verb
  std::string verb;
  std::size_t parameters = 0;
};

std::vector<std::string> split(std::string_view path) {
  auto parts = std::vector<std::string>{};
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto end = std::min(path.find('/'), path.size());
    parts.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return parts;
}

std::string cut_verb(std::string& last) {
  // A node of a tree may be named by its asset: "asset:{assetId}", and then the verb.
  constexpr auto mark = std::string_view{"asset:"};
  const auto colon = last.find(':', last.starts_with(mark) ? mark.size() : 0);
  if (colon == std::string::npos)
    return {};
  auto verb = last.substr(colon + 1);
  last.resize(colon);
  return verb;
}

std::vector<route> join(std::vector<std::vector<route>> groups) {
  auto all = std::vector<route>{};
  for (auto& g : groups)
    std::move(g.begin(), g.end(), std::back_inserter(all));
  return all;
}

/// The parts in the order of the document, which call is of which.
struct part {
  api_part what;
  std::vector<std::vector<route>> routes;
};

std::vector<part> parts() {
  return {
      {{"Log-in", "Tokens for people, and who one is"},
       {log_in_routes(), external_log_in_routes()}},
      {{"Organisations",
        "Those whose installation it is make them, suspend them and limit what they have"},
       {organisation_routes()}},
      {{"People", "Users, their passwords and second factors"}, {people_routes()}},
      {{"Roles", "What people and applications may do, and for which products, groups and nodes"},
       {role_routes()}},
      {{"Identity providers", "Who proves who people are, in place of a password"},
       {identity_provider_routes()}},
      {{"Applications", "Programs that use the API, and their keys"}, {application_routes()}},
      {{"Models",
        "What kinds of devices have: drafts, revisions, inheritance, files, units, the library"},
       {model_routes()}},
      {{"Products", "Devices that are of one model and log in alike"},
       {product_routes(), product_file_routes()}},
      {{"Decoders", "Scripts that read and write the bytes of products with raw data"},
       {decoder_routes()}},
      {{"Firmware", "Versions that devices can be given"}, {firmware_routes()}},
      {{"Upgrades", "A firmware on its way to many devices"}, {ota_job_routes()}},
      {{"Devices", "Registration, search, state and secrets"},
       {device_search_routes(), device_registration_routes(), device_routes(), device_act_routes(),
        device_name_routes(), device_transfer_routes(), device_retirement_routes(),
        mirror_routes()}},
      {{"Fleets", "Imports, exports, provisioning and changes of many devices"},
       {device_mass_routes()}},
      {{"Operations", "Long work: how far it is, its end, its result"}, {operation_routes()}},
      {{"Groups", "Devices that were put together, or that a rule gathers"}, {group_routes()}},
      {{"Tags", "Which tags there are, on devices, products and assets"}, {tag_routes()}},
      {{"Topology", "Gateways and the devices behind them"}, {topology_routes()}},
      {{"Certificates", "By which devices prove who they are"}, {certificate_routes()}},
      {{"Files", "What devices and applications exchange by links"}, {file_routes()}},
      {{"Authorities", "Who issues certificates: our own and others"}, {authority_routes()}},
      {{"Bans", "Who may not connect"}, {ban_routes()}},
      {{"Points", "Newest values and history"}, {point_routes()}},
      {{"Events", "What devices have raised"}, {event_routes()}},
      {{"Commands", "Services, writes and free bytes, at once or queued"},
       {command_routes(), rrpc_routes()}},
      {{"Twins", "How devices are to be configured, and how they say that they are"},
       {twin_routes()}},
      {{"Configurations", "What is desired of all devices that a target gathers, in layers"},
       {configuration_routes()}},
      {{"Assets", "Things that are no devices, and all that trees are made of"},
       {asset_routes(), asset_file_routes()}},
      {{"Trees", "Places of assets: nodes, moves, relations, paths, summaries, files"},
       {tree_routes(), tree_search_routes(), tree_file_routes()}},
      {{"Audit", "Who did what, and what was refused: a chain that anyone can verify"},
       {audit_routes()}},
      {{"Cluster", "Nodes, shards and backups, for those whose installation it is"},
       {cluster_routes()}},
      {{"About", "This document, and what runs here"}, {statistics_routes()}},
  };
}

std::vector<route> gather() {
  auto all = std::vector<route>{};
  for (auto& one : parts())
    for (auto& r : join(std::move(one.routes))) {
      r.part = one.what.name;
      if (r.pattern.starts_with("@d")) {
        auto by_name = r;
        by_name.pattern = "/orgs/{org}/products/{product}/devices/{device}" + r.pattern.substr(2);
        by_name.id += "ByKey";
        r.pattern = "/orgs/{org}/devices/{asset}" + r.pattern.substr(2);
        all.push_back(std::move(r));
        all.push_back(std::move(by_name));
      } else {
        if (r.pattern.starts_with("~"))
          r.pattern = "/orgs/{org}" + r.pattern.substr(1);
        all.push_back(std::move(r));
      }
    }
  return all;
}

/// Literal segments are looked at before `{...}` ones.
const std::vector<compiled>& table() {
  static const auto made = [] {
    auto t = std::vector<compiled>{};
    for (const auto& r : all_routes()) {
      auto c = compiled{&r, split(r.pattern), {}, 0};
      c.verb = cut_verb(c.segments.back());
      c.parameters = static_cast<std::size_t>(std::count(r.pattern.begin(), r.pattern.end(), '{'));
      t.push_back(std::move(c));
    }
    std::stable_sort(t.begin(), t.end(),
                     [](const auto& a, const auto& b) { return a.parameters < b.parameters; });
    return t;
  }();
  return made;
}

}  // namespace

const std::vector<api_part>& api_parts() {
  static const auto all = [] {
    auto a = std::vector<api_part>{};
    for (const auto& p : parts())
      a.push_back(p.what);
    return a;
  }();
  return all;
}

const std::vector<route>& all_routes() {
  static const auto all = gather();
  return all;
}

bool looks_at_products(const route& r) {
  static const auto by_themselves = std::set<std::string_view>{
      "listDevices",       "createDevice",      "createDevices",  "checkDeviceKeys",
      "getDeviceStatuses", "countDevices",      "searchDevices",  "getDeviceStatistics",
      "getLatestOfMany",   "listProducts",      "searchProducts", "searchFirmwares",
      "listFirmwares",     "createFirmware",    "getFirmware",    "deleteFirmware",
      "listOtaJobs",       "createOtaJob",      "getOtaJob",      "cancelOtaJob",
      "listOtaTasks",      "cancelOtaTasks",    "retryOtaTasks",  "getCommand",
      "cancelCommand",     "importDevices",     "exportDevices",  "bulkDevices",
      "provisionDevices",  "getImportTemplate", "exportProducts", "listTags",
      "adoptDevice",       "listAllFiles"};
  return r.pattern.find("/devices/{asset}") != std::string::npos ||
         r.pattern.find("{product}") != std::string::npos || by_themselves.contains(r.id);
}

condition condition_of(const route& r) {
  static const auto demand = std::set<std::string_view>{
      "changeDesired", "changeDraft", "changeProductTags", "deleteDecoder",
      "deleteElement", "deleteModel", "deleteProduct",     "deleteProductTag",
      "discardDraft",  "putElement",  "replaceDesired",    "replaceProductTags",
      "saveDraft",     "setDecoder",  "updateModel",       "updateProduct"};
  static const auto know = std::set<std::string_view>{"changeAttributes",
                                                      "changeConfiguration",
                                                      "changeTags",
                                                      "decommissionDevice",
                                                      "deleteApp",
                                                      "deleteAsset",
                                                      "deleteAttribute",
                                                      "deleteConfiguration",
                                                      "deleteDevice",
                                                      "deleteGroup",
                                                      "deleteIdentityProvider",
                                                      "deleteNode",
                                                      "deleteRole",
                                                      "deleteTag",
                                                      "deleteTree",
                                                      "disableDevice",
                                                      "enableDevice",
                                                      "moveDeviceToProduct",
                                                      "moveNode",
                                                      "putDevice",
                                                      "publishModel",
                                                      "purgeDevice",
                                                      "putIdentityProvider",
                                                      "reopenActivation",
                                                      "replaceConfiguration",
                                                      "replaceDevice",
                                                      "replaceRole",
                                                      "replaceTags",
                                                      "resetProductSecret",
                                                      "restoreDevice",
                                                      "shareModel",
                                                      "unshareModel",
                                                      "updateApp",
                                                      "updateAsset",
                                                      "updateDevice",
                                                      "updateGroup",
                                                      "updateNode",
                                                      "updateTree",
                                                      "updateUser"};
  auto id = std::string_view{r.id};
  if (constexpr auto by_name = std::string_view{"ByKey"}; id.ends_with(by_name))
    id.remove_suffix(by_name.size());  // the same call by another address
  return demand.contains(id) ? condition::demanded
         : know.contains(id) ? condition::possible
                             : condition::none;
}

bool is_for_operators(const route& r) {
  return r.pattern.starts_with("/orgs/{org}") &&
         (r.permission == "sys:org" || r.id == "getOrganisation" || r.id == "getQuotas");
}

match find_route(std::string_view method, const std::vector<std::string>& path) {
  auto m = match{};
  if (path.empty())
    return m;
  auto segments = path;
  const auto verb = cut_verb(segments.back());
  for (const auto& c : table()) {
    if (c.segments.size() != segments.size() || c.verb != verb)
      continue;
    auto params = decltype(m.params){};
    auto fits = true;
    for (std::size_t i = 0; i < segments.size() && fits; ++i)
      if (c.segments[i].starts_with('{')) {
        fits = !segments[i].empty();
        params.emplace_back(c.segments[i].substr(1, c.segments[i].size() - 2), segments[i]);
      } else {
        fits = c.segments[i] == segments[i];
      }
    if (!fits)
      continue;
    if (c.what->method == method || (method == "HEAD" && c.what->method == "GET")) {
      m.found = c.what;
      m.params = std::move(params);
      return m;
    }
    const auto& allows = c.what->method == "GET" ? std::string{"GET, HEAD"} : c.what->method;
    if (m.allowed.find(c.what->method) == std::string::npos)
      m.allowed += (m.allowed.empty() ? "" : ", ") + allows;
  }
  if (!m.allowed.empty())
    m.allowed += ", OPTIONS";
  return m;
}

}  // namespace orrery::transport::api
