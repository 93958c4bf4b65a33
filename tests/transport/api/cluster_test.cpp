// The cluster's calls over a desk that records.
#include <nlohmann/json.hpp>

#include "actors/cluster_desk.hpp"
#include "tests/transport/api/support.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {
namespace {

using nlohmann::json;

class recording_desk final : public actors::cluster_desk {
 public:
  void status(then<actors::desk_status> done) override { done(what); }
  void shards(then<std::vector<actors::desk_shard>> done) override { done(all); }
  void moves(then<std::vector<actors::desk_move>> done) override {
    done(std::vector<actors::desk_move>{{7, "a", "b", {"b"}}});
  }
  void give(actors::desk_order order, then<actors::desk_node> done) override {
    orders.push_back(std::move(order));
    done(outcome);
  }
  void back_up(std::string actor, then<actors::desk_backup> done) override {
    orders.push_back({desk_order_kind::drain, "", {}, std::move(actor)});
    done(begun);
  }
  void backups(then<std::vector<actors::desk_backup>> done) override { done(kept); }
  using desk_order_kind = actors::desk_order::kind;
  model::result<actors::desk_backup> begun{actors::desk_backup{}};
  std::vector<actors::desk_backup> kept;
  actors::desk_status what;
  std::vector<actors::desk_shard> all;
  std::vector<actors::desk_order> orders;
  model::result<actors::desk_node> outcome{actors::desk_node{}};
};

class ClusterCalls : public api_test {
 protected:
  ClusterCalls() {
    auto a = actors::desk_node{};
    a.number = 1;
    a.name = "a";
    a.state = actors::desk_node_state::draining;
    a.present = true;
    a.order = "drain";
    a.version = "0.1.0";
    a.weight = 100;
    a.addresses = {{"mqtt", "a:1883"}};
    a.started = now;
    a.primaries = 3;
    a.in_sync = 4;
    a.learning = 5;
    auto gone = actors::desk_node{};
    gone.number = 2;
    gone.name = "b";
    desk->what = {.name = "plant",
                  .coordinator = "etcd",
                  .trouble = {},
                  .node = "a",
                  .controller = "b",
                  .copies = 2,
                  .nodes = {a, gone},
                  .shards = {{actors::desk_shard_state::whole, 3},
                             {actors::desk_shard_state::moving, 1},
                             {actors::desk_shard_state::lacking, 0},
                             {actors::desk_shard_state::without_primary, 0},
                             {actors::desk_shard_state::stuck, 0}}};
    desk->outcome = a;
    parts->desk = desk;
  }
  json call(const std::string& method, const std::string& target, std::string body = {},
            const std::string& organisation = "default") {
    auto r = http_request{};
    r.method = method;
    r.target = target;
    r.body = std::move(body);
    EXPECT_TRUE(split_target(target, r));
    auto m = find_route(method, r.path);
    if (!m.found) {
      ADD_FAILURE() << target;
      return {};
    }
    auto e = std::make_shared<exchange>(
        parts, std::make_shared<const http_request>(std::move(r)),
        responder{[this](http_response got) { answer = std::move(got); }}, "r1");
    e->who.organisation = organisation;
    e->who.actor = "user:eve";
    e->params = std::move(m.params);
    e->at = m.found;
    permission = m.found->permission;
    m.found->run(e);
    return json::parse(answer.body);
  }
  actors::desk_backup backup_of_two() {
    using state = actors::desk_backup_part_state;
    return {"20261125-025746",
            now,
            "user:eve",
            {{"a", state::complete, now, 123, model::milliseconds{4200}, "", ""},
             {"b", state::failed, now, {}, model::milliseconds{5}, "backup_full", "no room"}}};
  }
  std::shared_ptr<recording_desk> desk = std::make_shared<recording_desk>();
  http_response answer;
  std::string permission;
};

TEST_F(ClusterCalls, StatusHasNodesAndShards) {
  const auto c = call("GET", "/cluster?timeFormat=ms");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(permission, "cluster:read");
  EXPECT_EQ(c.at("name"), "plant");
  EXPECT_EQ(c.at("coordinator"), json({{"kind", "etcd"}, {"reachable", true}}));
  EXPECT_EQ(c.at("controller"), "b");
  EXPECT_EQ(c.at("shards"), json({{"total", 4},
                                  {"whole", 3},
                                  {"moving", 1},
                                  {"lacking", 0},
                                  {"withoutPrimary", 0},
                                  {"stuck", 0}}));
  EXPECT_EQ(c.at("nodes").at(0), json({{"name", "a"},
                                       {"number", 1},
                                       {"state", "draining"},
                                       {"present", true},
                                       {"order", "drain"},
                                       {"version", "0.1.0"},
                                       {"zone", ""},
                                       {"weight", 100},
                                       {"addresses", {{"mqtt", "a:1883"}}},
                                       {"startedAt", model::to_ms(now)},
                                       {"primaries", 3},
                                       {"inSync", 4},
                                       {"learning", 5}}));
  EXPECT_EQ(c.at("nodes").at(1), json({{"name", "b"},
                                       {"number", 2},
                                       {"state", "absent"},
                                       {"present", false},
                                       {"primaries", 0},
                                       {"inSync", 0},
                                       {"learning", 0}}));
}

TEST_F(ClusterCalls, StatusSaysWhenTheCoordinatorDoesNotAnswer) {
  desk->what.trouble = "cut off";
  desk->what.controller.reset();
  const auto c = call("GET", "/cluster");
  EXPECT_EQ(c.at("coordinator"),
            json({{"kind", "etcd"}, {"reachable", false}, {"trouble", "cut off"}}));
  EXPECT_FALSE(c.contains("controller"));
}

TEST_F(ClusterCalls, ShardsComeInPages) {
  for (model::shard_id s = 0; s < 4; ++s)
    desk->all.push_back({s, actors::desk_shard_state::whole, 2, "a", "b", {"a"}, {"a", "b"}});
  desk->all.push_back({model::catalogue_shard, actors::desk_shard_state::stuck, 0, {}, {}, {}, {}});
  auto page = call("GET", "/cluster/shards?limit=3");
  EXPECT_EQ(page.at("items").size(), 3u);
  EXPECT_EQ(page.at("items").at(0), json({{"shard", 0},
                                          {"catalogue", false},
                                          {"state", "whole"},
                                          {"epoch", 2},
                                          {"primary", "a"},
                                          {"preferred", "b"},
                                          {"inSync", {"a"}},
                                          {"replicas", {"a", "b"}}}));
  page = call("GET", "/cluster/shards?limit=3&cursor=" + page.at("nextCursor").get<std::string>());
  EXPECT_EQ(page.at("items").size(), 2u);
  EXPECT_FALSE(page.contains("nextCursor"));
  EXPECT_EQ(page.at("items").at(1).at("catalogue"), true);
  EXPECT_EQ(page.at("items").at(1).at("state"), "stuck");
  EXPECT_EQ(call("GET", "/cluster/shards?cursor=x").at("code"), "bad_cursor");
}

TEST_F(ClusterCalls, OrdersNameTheirNodeAndWhoGivesThem) {
  using kind = actors::desk_order::kind;
  for (const auto& [verb, what] :
       {std::pair{"drain", kind::drain}, {"undrain", kind::undrain}, {"remove", kind::remove}}) {
    EXPECT_EQ(call("POST", std::string{"/cluster/nodes/a.b-1:"} + verb).at("name"), "a");
    EXPECT_EQ(permission, "cluster:manage");
    const auto& given = desk->orders.back();
    EXPECT_EQ(given.what, what);
    EXPECT_EQ(given.node, "a.b-1");
    EXPECT_EQ(given.actor, "user:eve");
  }
  call("POST", "/cluster/nodes/a:replace", R"({"by":"c"})");
  EXPECT_EQ(desk->orders.back().what, kind::replace);
  EXPECT_EQ(desk->orders.back().by, "c");
  EXPECT_EQ(call("POST", "/cluster/nodes/a:replace").at("code"), "validation_failed");
  EXPECT_EQ(call("POST", "/cluster/nodes/a:replace", R"({"by":"c","x":1})").at("code"),
            "unknown_field");
  EXPECT_EQ(desk->orders.size(), 4u);
}

TEST_F(ClusterCalls, RefusalsKeepTheirReason) {
  desk->outcome = model::failure{model::errc::conflict, "too_few_nodes", "start another"};
  EXPECT_EQ(call("POST", "/cluster/nodes/a:drain").at("code"), "too_few_nodes");
  EXPECT_EQ(answer.status, 409);
  desk->outcome = model::failure{model::errc::not_found, "node_unknown", "no"};
  call("POST", "/cluster/nodes/a:drain");
  EXPECT_EQ(answer.status, 404);
}

TEST_F(ClusterCalls, RebalanceSaysWhatMovesByItself) {
  const auto got = call("POST", "/cluster:rebalance");
  EXPECT_EQ(
      got,
      json({{"automatic", true},
            {"moves", {{{"shard", 7}, {"primary", "a"}, {"leader", "b"}, {"copies", {"b"}}}}}}));
}

TEST_F(ClusterCalls, ABackupIsBegunAndListed) {
  desk->begun = backup_of_two();
  const auto expected = json({{"id", "20261125-025746"},
                              {"state", "partial"},
                              {"startedAt", model::to_ms(now)},
                              {"by", "user:eve"},
                              {"nodes",
                               {{{"node", "a"},
                                 {"state", "complete"},
                                 {"bytes", 123},
                                 {"seconds", 4.2},
                                 {"finishedAt", model::to_ms(now)}},
                                {{"node", "b"},
                                 {"state", "failed"},
                                 {"seconds", 0.005},
                                 {"finishedAt", model::to_ms(now)},
                                 {"reason", "backup_full"},
                                 {"detail", "no room"}}}}});
  EXPECT_EQ(call("POST", "/cluster/backups?timeFormat=ms"), expected);
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(permission, "cluster:manage");
  EXPECT_EQ(desk->orders.back().actor, "user:eve");
  desk->kept = {backup_of_two(), {"20261124-025746", now, "key:k1", {}}};
  desk->kept[1].nodes.push_back({"a", actors::desk_backup_part_state::absent, {}, {}, {}, "", ""});
  const auto list = call("GET", "/cluster/backups?timeFormat=ms");
  EXPECT_EQ(permission, "cluster:read");
  EXPECT_EQ(list.at("items").at(0), expected);
  EXPECT_EQ(list.at("items").at(1).at("state"), "failed");
  EXPECT_EQ(list.at("items").at(1).at("nodes"), json({{{"node", "a"}, {"state", "absent"}}}));
  EXPECT_EQ(call("GET", "/cluster/backups/20261125-025746?timeFormat=ms"), expected);
  EXPECT_EQ(permission, "cluster:read");
  EXPECT_EQ(call("GET", "/cluster/backups/20261125-000000").at("code"), "backup_unknown");
  EXPECT_EQ(answer.status, 404);
  desk->begun = model::failure{model::errc::conflict, "backup_running", "wait"};
  EXPECT_EQ(call("POST", "/cluster/backups").at("code"), "backup_running");
  EXPECT_EQ(answer.status, 409);
}

TEST_F(ClusterCalls, ABackupRunsAsLongAsANodeIsAtIt) {
  using state = actors::desk_backup_part_state;
  auto b = actors::desk_backup{};
  EXPECT_EQ(b.state(), actors::desk_backup_state::failed);
  const auto add = [&](state s) { b.nodes.push_back({"a", s, {}, {}, {}, "", ""}); };
  add(state::complete);
  EXPECT_EQ(b.state(), actors::desk_backup_state::complete);
  add(state::absent);
  EXPECT_EQ(b.state(), actors::desk_backup_state::partial);
  add(state::running);
  EXPECT_EQ(b.state(), actors::desk_backup_state::running);
}

TEST_F(ClusterCalls, AreForTheOwnerOfTheCluster) {
  for (const auto& [method, target] : {std::pair{"GET", "/cluster"},
                                       {"GET", "/cluster/shards"},
                                       {"POST", "/cluster:rebalance"},
                                       {"POST", "/cluster/backups"},
                                       {"GET", "/cluster/backups"},
                                       {"GET", "/cluster/backups/20261125-025746"},
                                       {"POST", "/cluster/nodes/a:drain"},
                                       {"POST", "/cluster/nodes/a:undrain"},
                                       {"POST", "/cluster/nodes/a:remove"},
                                       {"POST", "/cluster/nodes/a:replace"}}) {
    EXPECT_EQ(call(method, target, {}, "acme").at("code"), "forbidden") << target;
    EXPECT_EQ(answer.status, 403);
  }
  EXPECT_TRUE(desk->orders.empty());
}

}  // namespace
}  // namespace orrery::transport::api
