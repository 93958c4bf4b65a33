// asset: list, get, create, update, delete, trees, import, export. tree: list, show, create, add,
// move, rename, remove, delete, clone, export, import, summary.
#include <fstream>
#include <iostream>
#include <iterator>

#include "app/cli/row_files.hpp"

namespace orrery::app::cli {
namespace {

constexpr auto asset_help = "assetId";
constexpr auto tree_help = "the tree's id, or its name";
constexpr auto node_help = "a node's id, or asset: and an assetId";

/// The id of a tree that is given by id or by name.
std::string tree_id(session& s, const std::string& tree) {
  const auto all = s.request("GET", "~/trees").at("items");
  auto found = std::string{};
  for (const auto& t : all) {
    if (t.at("id") == tree)
      return tree;
    if (t.at("name") != tree)
      continue;
    if (!found.empty())
      throw refused{"several trees are called " + tree + ": give its id"};
    found = t.at("id");
  }
  if (found.empty())
    throw refused{"there is no tree " + tree};
  return found;
}

std::string tree_path(session& s, const std::string& tree) {
  return "~/trees/" + encoded(tree_id(s, tree));
}

/// One line to a node, indented by its level.
void show_indented(const json& nodes) {
  const auto first = nodes.empty() ? 1 : nodes.front().at("level").get<int>();
  for (const auto& n : nodes) {
    const auto level = n.at("level").get<int>();
    std::cout << std::string(static_cast<std::size_t>(2 * std::max(0, level - first)), ' ')
              << n.at("name").get<std::string>();
    if (n.contains("asset")) {
      const auto& asset = n.at("asset");
      if (asset.contains("deviceKey"))
        std::cout << "  " << asset.at("productKey").get<std::string>() << '/'
                  << asset.at("deviceKey").get<std::string>() << "  "
                  << asset.at("status").get<std::string>();
    }
    std::cout << "  [" << n.at("id").get<std::string>() << "]\n";
  }
}

/// Adds how an asset is named to a request: assetId, PRODUCT/DEVICE, or a new one's name.
void name_asset(json& body, const std::string& asset, const std::string& fresh) {
  if (asset.empty() == fresh.empty())
    throw refused{"give an asset, or --new and a name"};
  if (!fresh.empty()) {
    body["asset"] = {{"name", fresh}};
  } else if (const auto slash = asset.find('/'); slash != std::string::npos) {
    body["productKey"] = asset.substr(0, slash);
    body["deviceKey"] = asset.substr(slash + 1);
  } else {
    body["assetId"] = asset;
  }
}

void add_assets(CLI::App& to, session& s) {
  auto* g = group(to, "asset", "Devices and logical assets", "asset list --kind logical");
  auto asset = make<std::string>(), kind = make<std::string>(), text = make<std::string>(),
       model = make<std::string>(), more = make<std::string>();
  auto most = make<std::size_t>(100);
  auto* list = command(*g, "list", "List assets", "asset list --kind logical --search site");
  list->add_option("--kind", *kind)->check(CLI::IsMember({"device", "logical"}));
  list->add_option("--model", *model);
  list->add_option("--search", *text, "part of the name");
  list->add_option("--limit", *most, "at most that many")->capture_default_str();
  list->callback([&s, kind, model, text, most] {
    auto path = "~/assets?limit=" + std::to_string(std::min<std::size_t>(*most, 500));
    for (const auto& [name, v] : {std::pair{"kind", *kind}, {"modelId", *model}, {"q", *text}})
      if (!v.empty())
        path += std::string{"&"} + name + "=" + encoded(v);
    s.show(s.list(path, *most), {{"KIND", "/kind"},
                                 {"NAME", "/name"},
                                 {"MODEL", "/modelId"},
                                 {"STATUS", "/status"},
                                 {"ASSET ID", "/assetId"}});
  });
  auto* get = command(*g, "get", "Show an asset", "asset get 00201m88a...");
  get->add_option("asset", *asset, asset_help)->required();
  get->callback([&s, asset] { s.show(s.request("GET", "~/assets/" + encoded(*asset)), {}); });
  auto* create = command(*g, "create", "Make a logical asset", "asset create 'Site B'");
  create->add_option("name", *text)->required();
  create->add_option("--model", *model);
  create->add_option("--set", *more, "other fields as JSON or @file");
  create->callback([&s, text, model, more] {
    auto body = more->empty() ? json::object() : read_json(*more);
    body["name"] = *text;
    if (!model->empty())
      body["modelId"] = *model;
    s.show(s.request("POST", "~/assets", body), {});
  });
  auto* update = command(*g, "update", "Change a logical asset",
                         R"(asset update 00201m88a... '{"tags":{"region":"north"}}')");
  update->add_option("asset", *asset, asset_help)->required();
  update->add_option("changes", *more, "JSON or @file")->required();
  update->callback([&s, asset, more] {
    s.show(s.request("PATCH", "~/assets/" + encoded(*asset), read_json(*more)), {});
  });
  auto* remove = command(*g, "delete", "Delete a logical asset that is on no tree",
                         "asset delete 00201m88a...");
  remove->add_option("asset", *asset, asset_help)->required();
  remove->callback([&s, asset] {
    s.request("DELETE", "~/assets/" + encoded(*asset));
    s.say("deleted");
  });
  auto* trees = command(*g, "trees", "Where it is, in all trees", "asset trees 00201m88a...");
  trees->add_option("asset", *asset, asset_help)->required();
  trees->callback([&s, asset] {
    s.show(s.request("GET", "~/assets/" + encoded(*asset) + "/trees").at("items"),
           {{"TREE", "/treeId"}, {"NODE", "/node/id"}, {"LEVEL", "/node/level"}});
  });
  auto question = make<json>(json::object());
  add_row_files(*g, s, "~/assets", "asset", "assets", question)
      ->add_option_function<std::string>(
          "--search", [question](const std::string& part) { (*question)["name"] = part; },
          "part of the name; all logical assets if not given");
}

}  // namespace

void add_trees(CLI::App& to, session& s) {
  add_assets(to, s);
  auto* g = group(to, "tree", "Asset trees", "tree show 'Site A'");
  auto tree = make<std::string>(), node = make<std::string>(), asset = make<std::string>(),
       fresh = make<std::string>(), parent = make<std::string>(), after = make<std::string>(),
       name = make<std::string>(), children = make<std::string>(), file = make<std::string>(),
       format = make<std::string>("json"), points = make<std::string>();
  auto most = make<std::size_t>(1'000);
  auto cascade = make<bool>(false), with_assets = make<bool>(false);
  command(*g, "list", "List trees", "tree list")->callback([&s] {
    s.show(s.request("GET", "~/trees").at("items"),
           {{"NAME", "/name"}, {"NODES", "/nodes"}, {"REVISION", "/revision"}, {"ID", "/id"}});
  });
  const auto on_tree = [&](const std::string& verb, const char* about, const char* example) {
    auto* c = command(*g, verb, about, example);
    c->add_option("tree", *tree, tree_help)->required();
    return c;
  };
  auto* show = on_tree("show", "Show its nodes, each below the one that it belongs to",
                       "tree show 'Site A'");
  show->add_option("--below", *node, node_help);
  show->add_option("--limit", *most, "at most that many")->capture_default_str();
  show->callback([&s, tree, node, most] {
    auto path = tree_path(s, *tree) + "/nodes?depth=6&limit=500";
    if (!node->empty())
      path += "&parent=" + encoded(*node);
    const auto nodes = s.list(path, *most);
    if (s.output == "table")
      show_indented(nodes);
    else
      s.show(nodes, {});
  });
  auto* create =
      command(*g, "create", "Make a tree with its root", "tree create Plants --new 'All'");
  create->add_option("name", *name)->required();
  create->add_option("--root", *asset, "assetId or PRODUCT/DEVICE");
  create->add_option("--new", *fresh, "name of a new logical asset");
  create->callback([&s, name, asset, fresh] {
    auto root = json::object();
    name_asset(root, *asset, *fresh);
    s.show(s.request("POST", "~/trees", {{"name", *name}, {"root", root}}), {});
  });
  auto* add = on_tree("add", "Put an asset on a tree",
                      "tree add 'Site A' demo-inverter/inv-01 --parent asset:00201m88a...");
  add->add_option("asset", *asset, "assetId or PRODUCT/DEVICE");
  add->add_option("--new", *fresh, "name of a new logical asset");
  add->add_option("--parent", *parent, std::string{node_help} + "; the root if not given");
  add->add_option("--after", *after, std::string{node_help} + ", or first");
  add->callback([&s, tree, asset, fresh, parent, after] {
    auto body = json::object();
    name_asset(body, *asset, *fresh);
    for (const auto& [field, v] : {std::pair{"parent", *parent}, {"after", *after}})
      if (!v.empty())
        body[field] = v;
    s.show(s.request("POST", tree_path(s, *tree) + "/nodes", body), {});
  });
  const auto on_node = [&](const std::string& verb, const char* about, const char* example) {
    auto* c = on_tree(verb, about, example);
    c->add_option("node", *node, node_help)->required();
    return c;
  };
  const auto node_path = [&s, tree, node] {
    return tree_path(s, *tree) + "/nodes/" + encoded(*node);
  };
  auto* move = on_node("move", "Move a node with all that is below it",
                       "tree move 'Site A' 00901m... --parent 00901n... --after first");
  move->add_option("--parent", *parent, std::string{node_help} + "; its own if not given");
  move->add_option("--after", *after, std::string{node_help} + ", or first");
  move->callback([&s, node_path, parent, after] {
    auto body = json::object();
    for (const auto& [field, v] : {std::pair{"parent", *parent}, {"after", *after}})
      if (!v.empty())
        body[field] = v;
    s.show(s.request("POST", node_path() + ":move", body), {});
  });
  auto* rename = on_node("rename", "Give a node a label of its own",
                         "tree rename 'Site A' 00901m... 'North roof'");
  rename->add_option("label", *name, "empty: it is called as its asset")->required();
  rename->callback([&s, node_path, name] {
    s.show(s.request("PATCH", node_path(), {{"label", *name}}), {});
  });
  auto* remove = on_node("remove", "Take a node off a tree; its asset stays",
                         "tree remove 'Site A' 00901m... --children promote");
  remove->add_option("--children", *children, "refuse, promote or remove")
      ->check(CLI::IsMember({"refuse", "promote", "remove"}));
  remove->add_flag("--delete-logical-assets", *with_assets, "those that are on no tree any more");
  remove->callback([&s, node_path, children, with_assets] {
    s.request("DELETE", node_path() + "?children=" + (children->empty() ? "refuse" : *children) +
                            "&deleteLogicalAssets=" + (*with_assets ? "true" : "false"));
    s.say("removed");
  });
  auto* erase = on_tree("delete", "Delete a tree; its assets stay", "tree delete Plants --cascade");
  erase->add_flag("--cascade", *cascade, "also if it has more than its root");
  erase->callback([&s, tree, cascade] {
    s.request("DELETE", tree_path(s, *tree) + (*cascade ? "?cascade=true" : ""));
    s.say("deleted");
  });
  auto* summary = on_node("summary", "Devices on and below a node by status",
                          "tree summary 'Site A' 00901m... --points power");
  summary->add_option("--points", *points, "ids of points, with commas between");
  summary->callback([&s, node_path, points] {
    s.show(s.request("GET", node_path() + "/summary" +
                                (points->empty() ? "" : "?points=" + encoded(*points))),
           {});
  });
  auto* clone = on_tree("clone", "A new tree with the same assets at the same places",
                        "tree clone 'Site A' 'Site A, second'");
  clone->add_option("name", *name)->required();
  clone->callback([&s, tree, name] {
    s.show(s.request("POST", tree_path(s, *tree) + ":clone", {{"name", *name}}), {});
  });
  const auto forms = CLI::IsMember({"json", "ndjson", "csv"});
  auto* out = on_tree("export", "Write a tree to standard output or a file",
                      "tree export 'Site A' --format csv --file site-a.csv");
  out->add_option("--format", *format)->check(forms)->capture_default_str();
  out->add_option("--file", *file);
  out->callback([&s, tree, format, file] {
    const auto text = s.text("GET", tree_path(s, *tree) + ":export?format=" + *format);
    if (file->empty()) {
      std::cout << text;
      return;
    }
    auto to_file = std::ofstream{*file, std::ios::binary};
    if (!(to_file << text).flush())
      throw refused{*file + " cannot be written"};
    s.say("written");
  });
  auto* in = command(*g, "import", "Make a tree from a file",
                     "tree import 'Site A' --format csv --file site-a.csv");
  in->add_option("name", *name)->required();
  in->add_option("--format", *format)->check(forms)->capture_default_str();
  in->add_option("--file", *file)->required();
  in->callback([&s, name, format, file] {
    auto from = std::ifstream{*file, std::ios::binary};
    if (!from)
      throw refused{*file + " cannot be read"};
    auto text = std::string{std::istreambuf_iterator<char>{from}, {}};
    if (*format == "json") {
      auto body = json::parse(text, nullptr, false);
      if (!body.is_object())
        throw refused{*file + " is no JSON object"};
      body["name"] = *name;
      text = body.dump();
    }
    const auto type = *format == "csv"      ? "text/csv"
                      : *format == "ndjson" ? "application/x-ndjson"
                                            : "application/json";
    s.show(json::parse(s.text("POST", "~/trees:import?name=" + encoded(*name), type, text)), {});
  });
}

}  // namespace orrery::app::cli
