#include "transport/api/routes.hpp"

#include <set>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace orrery::transport::api {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::Pair;

match find(std::string_view method, const std::string& path) {
  auto r = http_request{};
  EXPECT_TRUE(split_target(path, r)) << path;
  return find_route(method, r.path);
}
std::string id_of(std::string_view method, const std::string& path) {
  const auto m = find(method, path);
  return m.found ? m.found->id : "";
}

TEST(Routes, FindTheirHandlerAndItsParameters) {
  const auto m = find("GET", "/orgs/-/products/pk/devices/dk/points/power/history");
  ASSERT_TRUE(m.found);
  EXPECT_EQ(m.found->id, "getHistoryByKey");
  EXPECT_THAT(m.params, ElementsAre(Pair("org", "-"), Pair("product", "pk"), Pair("device", "dk"),
                                    Pair("point", "power")));
  EXPECT_EQ(id_of("GET", "/orgs/-/devices/A1"), "getDevice");
  EXPECT_EQ(id_of("GET", "/orgs/acme/devices"), "listDevices");
  EXPECT_EQ(id_of("POST", "/auth/login"), "login");
}

TEST(Routes, LiteralsGoBeforeParameters) {
  EXPECT_EQ(id_of("POST", "/orgs/-/devices/status"), "getDeviceStatuses");
  EXPECT_EQ(id_of("GET", "/orgs/-/devices/A1/points/latest"), "getLatest");
  EXPECT_EQ(id_of("GET", "/orgs/-/devices/A1/points/history"), "getHistoryOfPoints");
}

TEST(Routes, ANodeMayBeNamedByItsAsset) {
  const auto m = find("POST", "/orgs/-/trees/t/nodes/asset:A1:move");
  ASSERT_TRUE(m.found);
  EXPECT_EQ(m.found->id, "moveNode");
  EXPECT_THAT(m.params, ElementsAre(Pair("org", "-"), Pair("tree", "t"), Pair("node", "asset:A1")));
  EXPECT_EQ(id_of("GET", "/orgs/-/trees/t/nodes/asset:A1"), "getNode");
  EXPECT_EQ(id_of("GET", "/orgs/-/trees/t/nodes/asset:A1/summary"), "getNodeSummary");
  EXPECT_EQ(id_of("POST", "/orgs/-/trees/t/nodes/n:move"), "moveNode");
  EXPECT_EQ(id_of("POST", "/orgs/-/trees/t/nodes:batch"), "addNodes");
  EXPECT_EQ(id_of("POST", "/orgs/-/assets:batch"), "createAssets");
}

TEST(Routes, AVerbIsPartOfTheName) {
  EXPECT_EQ(id_of("POST", "/orgs/-/devices:batch"), "createDevices");
  EXPECT_EQ(id_of("POST", "/orgs/-/devices/A1:disable"), "disableDevice");
  EXPECT_EQ(id_of("POST", "/orgs/-/devices/A1/services/reboot:invoke"), "invokeService");
  EXPECT_EQ(id_of("POST", "/orgs/-/devices/A1/points:set"), "setPoints");
  EXPECT_EQ(id_of("POST", "/orgs/-/devices/A1/points/p:set"), "setPoint");
  EXPECT_EQ(id_of("POST", "/orgs/-/devices/A1:explode"), "");
  EXPECT_TRUE(find("POST", "/orgs/-/devices/A1:explode").allowed.empty());
  EXPECT_EQ(id_of("POST", "/orgs/-/devices/A1:"), "") << "an empty verb leads to no POST";
}

TEST(Routes, HeadIsAGetWithoutItsBody) {
  EXPECT_EQ(id_of("HEAD", "/orgs/-/devices"), "listDevices");
  EXPECT_EQ(id_of("HEAD", "/orgs/-/devices:batch"), "");
}

TEST(Routes, AnotherMethodIsToldWhatThereIs) {
  const auto m = find("POST", "/orgs/-/devices/A1");
  EXPECT_FALSE(m.found);
  EXPECT_EQ(m.allowed, "GET, HEAD, PATCH, PUT, DELETE, OPTIONS");
  EXPECT_EQ(find("OPTIONS", "/auth/login").allowed, "POST, OPTIONS");
  EXPECT_EQ(find("BREW", "/orgs/-/devices").allowed, "GET, HEAD, POST, OPTIONS");
}

TEST(Routes, WhatIsNotThereIsNotThere) {
  for (const auto* path :
       {"/", "/nothing", "/orgs", "/orgs/-/devices/A1/points", "/orgs/-/devices/", "/orgs//devices",
        "/auth/login/more", "/ORGS/-/devices"}) {
    const auto m = find("DELETE", path);
    EXPECT_FALSE(m.found) << path;
  }
  EXPECT_TRUE(find("GET", "/nothing").allowed.empty());
  EXPECT_FALSE(find("GET", "/orgs/-/products//devices/x").found) << "a parameter is not empty";
}

TEST(Routes, EachHasItsOwnIdAndPath) {
  auto ids = std::set<std::string>{}, paths = std::set<std::string>{};
  for (const auto& r : all_routes()) {
    EXPECT_TRUE(ids.insert(r.id).second) << r.id;
    EXPECT_TRUE(paths.insert(r.method + " " + r.pattern).second) << r.pattern;
    EXPECT_NE(r.run, nullptr);
    EXPECT_FALSE(r.summary.empty());
    EXPECT_EQ(r.pattern.front(), '/');
    if (r.pattern.starts_with("/orgs/")) {
      EXPECT_FALSE(r.permission.empty()) << r.pattern << " belongs to an organisation";
    }
  }
}

TEST(Routes, ARoleWithAScopeReachesThoseThatLookAtProducts) {
  const auto looks = [](std::string_view method, const std::string& path) {
    const auto m = find(method, path);
    EXPECT_TRUE(m.found) << path;
    return m.found && looks_at_products(*m.found);
  };
  for (const auto* path : {"/orgs/-/devices", "/orgs/-/devices/A1", "/orgs/-/products/p/devices/d",
                           "/orgs/-/products/p", "/orgs/-/otaJobs/j/tasks", "/orgs/-/commands/c"})
    EXPECT_TRUE(looks("GET", path)) << path;
  for (const auto* path :
       {"/orgs/-/users", "/orgs/-/models", "/orgs/-/bans", "/orgs/-/roles", "/orgs/-/quotas",
        "/cluster", "/orgs/-/authorities", "/orgs/-/assets/A1", "/orgs/-/assets/A1/trees"})
    EXPECT_FALSE(looks("GET", path)) << path;
  EXPECT_FALSE(looks("POST", "/orgs/-/products")) << "a new one is in no scope";
  auto by_name = 0;
  for (const auto& r : all_routes())
    by_name += looks_at_products(r) && r.pattern.find("/devices/{asset}") == std::string::npos &&
                       r.pattern.find("{product}") == std::string::npos
                   ? 1
                   : 0;
  EXPECT_EQ(by_name, 34) << "each that is named is there";
}

TEST(Routes, ConditionsAreOfCallsThatAreThere) {
  auto possible = 0, demanded = 0;
  for (const auto& r : all_routes()) {
    const auto c = condition_of(r);
    EXPECT_TRUE(c == condition::none || r.method != "GET") << r.id;
    possible += c == condition::possible ? 1 : 0;
    demanded += c == condition::demanded ? 1 : 0;
  }
  EXPECT_EQ(possible, 55) << "each that is named is there";
  EXPECT_EQ(demanded, 18);
}

TEST(Routes, OperatorsReachOtherOrganisationsByFew) {
  const auto of = [](std::string_view method, const std::string& path) {
    const auto m = find(method, path);
    EXPECT_TRUE(m.found) << path;
    return m.found && is_for_operators(*m.found);
  };
  EXPECT_TRUE(of("GET", "/orgs/acme"));
  EXPECT_TRUE(of("DELETE", "/orgs/acme"));
  EXPECT_TRUE(of("POST", "/orgs/acme:suspend"));
  EXPECT_TRUE(of("GET", "/orgs/acme/quotas"));
  EXPECT_FALSE(of("GET", "/orgs/acme/users"));
  EXPECT_FALSE(of("GET", "/orgs/acme/devices"));
}

TEST(OpenApi, NamesEveryRouteWithItsSchemas) {
  const auto document = json::parse(openapi_document());
  const auto& known = document.at("components").at("schemas");
  auto used = std::set<std::string>{"Problem"};
  for (const auto& r : all_routes()) {
    auto method = r.method;
    for (auto& c : method)
      c = static_cast<char>(std::tolower(c));
    const auto& operation = document.at("paths").at(r.pattern).at(method);
    EXPECT_EQ(operation.at("operationId"), r.id);
    EXPECT_TRUE(operation.at("responses").contains(std::to_string(r.status)));
    EXPECT_EQ(operation.contains("requestBody"), !r.takes.empty());
    for (const auto& schema : {r.takes, r.gives})
      if (!schema.empty()) {
        EXPECT_TRUE(known.contains(schema)) << schema;
        used.insert(schema);
      }
  }
  const auto text = document.dump();
  for (const auto& [name, schema] : known.items())
    EXPECT_TRUE(used.contains(name) ||
                text.find("#/components/schemas/" + name + "\"") != std::string::npos)
        << name << " is used nowhere";
}

}  // namespace
}  // namespace orrery::transport::api
