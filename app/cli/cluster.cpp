// cluster: nodes, shards, and orders on nodes.
#include <chrono>
#include <iostream>
#include <thread>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

constexpr auto poll = std::chrono::seconds{1};

std::size_t left_on(const json& node) {
  return node.at("inSync").get<std::size_t>() + node.at("learning").get<std::size_t>();
}

std::string shards_in_words(std::size_t n) {
  return std::to_string(n) + (n == 1 ? " shard" : " shards");
}

/// The node as GET /cluster has it. Throws refused.
json node_of(session& s, const std::string& name) {
  const auto cluster = s.request("GET", "/cluster");
  for (const auto& node : cluster.at("nodes"))
    if (node.at("name") == name)
      return node;
  throw refused{"the cluster has no node " + name + "; see orrery cluster status"};
}

void show_status(session& s, bool all) {
  const auto c = s.request("GET", "/cluster");
  if (s.output != "table")
    return s.show(c, {});
  const auto& coordinator = c.at("coordinator");
  std::cout << "cluster      " << c.at("name").get<std::string>() << ", as "
            << c.at("node").get<std::string>() << " sees it\n"
            << "coordinator  " << coordinator.at("kind").get<std::string>()
            << (coordinator.at("reachable").get<bool>()
                    ? ""
                    : ", DOES NOT ANSWER, so this may be old: " + coordinator.value("trouble", ""))
            << "\ncontroller   " << c.value("controller", "nobody at the moment")
            << "\nshards       ";
  const auto& shards = c.at("shards");
  std::cout << shards.at("total").get<std::size_t>() << " with "
            << c.at("copies").get<std::size_t>() << (c.at("copies") == 1 ? " copy: " : " copies: ")
            << shards.at("whole").get<std::size_t>() << " whole";
  for (const auto& [state, words] : {std::pair{"moving", " moving"},
                                     {"lacking", " lacking copies"},
                                     {"withoutPrimary", " WITHOUT PRIMARY"},
                                     {"stuck", " STUCK"}})
    if (const auto n = shards.at(state).get<std::size_t>(); n > 0)
      std::cout << ", " << n << words;
  std::cout << "\n\n";
  auto shown = json::array();
  auto hidden = std::size_t{0};
  for (const auto& node : c.at("nodes"))
    if (all || node.at("state") != "removed" || node.at("present").get<bool>() || left_on(node) > 0)
      shown.push_back(node);
    else
      ++hidden;
  s.show(shown, {{"NODE", "/name"},
                 {"STATE", "/state"},
                 {"PRIMARIES", "/primaries"},
                 {"IN SYNC", "/inSync"},
                 {"LEARNING", "/learning"},
                 {"ZONE", "/zone"},
                 {"WEIGHT", "/weight"},
                 {"VERSION", "/version"},
                 {"STARTED", "/startedAt"},
                 {"API", "/addresses/api"}});
  if (hidden > 0)
    std::cout << "\nand " << hidden << " that were removed and hold nothing: --all shows them\n";
}

/// Until nothing is left on it. Gives the node as it is then.
json wait_until_empty(session& s, const std::string& name, std::size_t seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{seconds};
  auto told = std::string{};
  for (;;) {
    auto node = node_of(s, name);
    const auto left = left_on(node);
    if (left == 0)
      return node;
    if (!node.contains("order"))
      throw refused{"somebody has taken the order on " + name + " back: " + shards_in_words(left) +
                    " are on it"};
    if (auto text = name + ": " + shards_in_words(left) + " left, it serves " +
                    std::to_string(node.at("primaries").get<std::size_t>());
        text != told)
      std::cerr << (told = text) << '\n';
    if (std::chrono::steady_clock::now() > until)
      throw refused{shards_in_words(left) + " are still on " + name + " after " +
                    std::to_string(seconds) +
                    " s; it goes on by itself. See what holds it up: orrery cluster status, orrery "
                    "cluster shards --node " +
                    name};
    std::this_thread::sleep_for(poll);
  }
}

struct waiting {
  bool wanted = false;
  std::size_t seconds = 600;
};

void add_waiting(CLI::App* c, waiting& w) {
  c->add_flag("--wait", w.wanted, "until nothing is left on it; tells how far it is");
  c->add_option("--timeout", w.seconds, "seconds to wait for that")->capture_default_str();
}

/// What came of an order that empties a node.
void show_emptying(session& s, json node, const waiting& w, const char* when_empty) {
  const auto name = node.at("name").get<std::string>();
  if (w.wanted)
    node = wait_until_empty(s, name, w.seconds);
  if (s.output != "table")
    return s.show(node, {});
  if (const auto left = left_on(node); left > 0)
    s.say(name + ": " + shards_in_words(left) +
          " go to other nodes now; orrery cluster status shows what is left");
  else
    s.say(name + " holds nothing" + when_empty);
}

void add_orders(CLI::App& g, session& s) {
  auto name = make<std::string>(), by = make<std::string>();
  auto w = make<waiting>();
  const auto path = [name](const char* verb) {
    return "/cluster/nodes/" + encoded(*name) + ":" + verb;
  };
  constexpr auto may_end = ": its process can be ended";
  auto* drain = command(g, "drain", "Move all shards and devices of a node to others",
                        "cluster drain node-2 --wait");
  drain->add_option("node", *name, "its name")->required();
  add_waiting(drain, *w);
  drain->callback([&s, path, w] {
    show_emptying(s, s.request("POST", path("drain"), json::object()), *w,
                  "; undrain gives it shards again");
  });
  auto* undrain = command(g, "undrain", "Take back that a node is drained or removed",
                          "cluster undrain node-2");
  undrain->add_option("node", *name, "its name")->required();
  undrain->callback([&s, path] {
    const auto node = s.request("POST", path("undrain"), json::object());
    if (s.output != "table")
      return s.show(node, {});
    s.say(node.at("name").get<std::string>() + (node.at("present").get<bool>()
                                                    ? " gets its shards again, by and by"
                                                    : " gets its shards again when it is started"));
  });
  auto* remove = command(g, "remove", "Empty a node that does not come back, or is gone already",
                         "cluster remove node-2 --wait");
  remove->add_option("node", *name, "its name")->required();
  add_waiting(remove, *w);
  remove->callback([&s, path, w, may_end] {
    show_emptying(s, s.request("POST", path("remove"), json::object()), *w, may_end);
  });
  auto* replace = command(g, "replace", "Remove a node if another one is there to take shards",
                          "cluster replace node-2 node-4 --wait");
  replace->add_option("node", *name, "that goes")->required();
  replace->add_option("by", *by, "that has been started in its place")->required();
  add_waiting(replace, *w);
  replace->callback([&s, path, by, w, may_end] {
    show_emptying(s, s.request("POST", path("replace"), {{"by", *by}}), *w, may_end);
  });
}

}  // namespace

void add_cluster(CLI::App& to, session& s) {
  auto* g = group(to, "cluster", "Nodes and shards of the cluster", "cluster status");
  auto all = make<bool>();
  auto* status =
      command(*g, "status", "Its nodes, and how the shards are", "cluster status --output yaml");
  status->add_flag("--all", *all, "also nodes that were removed and hold nothing");
  status->callback([&s, all] { show_status(s, *all); });

  auto node = make<std::string>(), state = make<std::string>();
  auto* shards = command(*g, "shards", "Where each shard is", "cluster shards --node node-2");
  shards->add_option("--node", *node, "only those that it holds");
  shards
      ->add_option("--state", *state, "only those: whole, moving, lacking, withoutPrimary or stuck")
      ->check(CLI::IsMember({"whole", "moving", "lacking", "withoutPrimary", "stuck"}));
  shards->callback([&s, node, state] {
    auto shown = json::array();
    for (const auto& one : s.list("/cluster/shards?limit=500", 1'000'000)) {
      const auto holds = [&](const char* where) {
        return std::find(one.at(where).begin(), one.at(where).end(), json(*node)) !=
               one.at(where).end();
      };
      if ((node->empty() || holds("inSync") || holds("replicas")) &&
          (state->empty() || one.at("state") == *state))
        shown.push_back(one);
    }
    s.show(shown, {{"SHARD", "/shard"},
                   {"STATE", "/state"},
                   {"EPOCH", "/epoch"},
                   {"PRIMARY", "/primary"},
                   {"PREFERRED", "/preferred"},
                   {"IN SYNC", "/inSync"},
                   {"REPLICAS", "/replicas"}});
  });

  add_orders(*g, s);

  command(*g, "rebalance", "What is to move so that each shard is where it belongs",
          "cluster rebalance")
      ->callback([&s] {
        const auto got = s.request("POST", "/cluster:rebalance", json::object());
        if (s.output != "table")
          return s.show(got, {});
        const auto& moves = got.at("moves");
        if (moves.empty())
          return s.say("every shard is where it belongs");
        s.show(moves, {{"SHARD", "/shard"},
                       {"PRIMARY", "/primary"},
                       {"TO LEAD", "/leader"},
                       {"GETS A COPY", "/copies"}});
        s.say("\nthe controller does this by itself, some shards at a time");
      });
}

}  // namespace orrery::app::cli
