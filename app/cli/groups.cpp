// group: list, get, create, update, delete, members, add, remove, preview; tags.
#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

constexpr auto group_help = "the group's id, or its name";

/// The path of a group that is given by id or by name.
std::string group_path(session& s, const std::string& given) {
  for (const auto& g : s.list("~/groups", 1'000))
    if (g.at("id") == given || g.at("name") == given)
      return "~/groups/" + encoded(g.at("id").get<std::string>());
  throw refused{"there is no group " + given};
}

/// The assetId of a device given as that or as PRODUCT/DEVICE.
std::string asset_id(session& s, const std::string& device) {
  if (device.find('/') == std::string::npos)
    return device;
  return s.request("GET", device_path(device)).at("assetId");
}

const std::vector<column> columns{
    {"NAME", "/name"}, {"TYPE", "/type"}, {"RULE", "/rule"}, {"ID", "/id"}};
const std::vector<column> member_columns{{"PRODUCT", "/productKey"},
                                         {"DEVICE", "/deviceKey"},
                                         {"NAME", "/name"},
                                         {"STATUS", "/status"},
                                         {"ASSET ID", "/assetId"}};

void add_members(CLI::App& g, session& s) {
  auto which = make<std::string>(), filter = make<std::string>();
  auto devices = make<std::vector<std::string>>();
  auto most = make<std::size_t>(100);
  auto* members = command(g, "members", "List the devices in a group", "group members North");
  members->add_option("group", *which, group_help)->required();
  members->add_option("--filter", *filter, "which ones: see \"Search\" in docs/api.md");
  members->add_option("--limit", *most, "at most that many")->capture_default_str();
  members->callback([&s, which, filter, most] {
    auto path = group_path(s, *which) +
                "/members?limit=" + std::to_string(std::min<std::size_t>(*most, 500));
    if (!filter->empty())
      path += "&filter=" + encoded(*filter);
    s.show(s.list(path, *most), member_columns);
  });
  const auto change = [&](const char* verb, const char* about) {
    auto* c =
        command(g, verb, about, std::string{"group "} + verb + " 'Hall 2' demo-inverter/inv-01");
    c->add_option("group", *which, group_help)->required();
    c->add_option("devices", *devices, "as PRODUCT/DEVICE or assetId")->required();
    c->callback([&s, which, devices, verb = std::string{verb}] {
      auto ids = json::array();
      for (const auto& d : *devices)
        ids.push_back(asset_id(s, d));
      const auto done =
          s.request("POST", group_path(s, *which) + "/members:" + verb, {{"ids", ids}});
      s.show(done.at("results"),
             {{"STATUS", "/status"}, {"ASSET ID", "/id"}, {"WHY NOT", "/error/detail"}});
      if (done.at("failed") != 0)
        throw refused{"not all of them"};
    });
  };
  change("add", "Put devices into a static group");
  change("remove", "Take devices out of a static group");
}

}  // namespace

void add_groups(CLI::App& to, session& s) {
  auto* g = group(to, "group", "Groups of devices", "group list");
  auto which = make<std::string>(), name = make<std::string>(), rule = make<std::string>(),
       about = make<std::string>(), more = make<std::string>();
  command(*g, "list", "List groups", "group list")->callback([&s] {
    s.show(s.list("~/groups", 1'000), columns);
  });
  auto* get = command(*g, "get", "Show a group", "group get North");
  get->add_option("group", *which, group_help)->required();
  get->callback([&s, which] { s.show(s.request("GET", group_path(s, *which)), {}); });
  auto* create =
      command(*g, "create", "Make a group: devices are put into it, or a rule gathers them",
              "group create North --rule \"tags.region = 'north'\"");
  create->add_option("name", *name)->required();
  create->add_option("--rule", *rule, "a filter: see \"Search\" in docs/api.md");
  create->add_option("--description", *about);
  create->callback([&s, name, rule, about] {
    auto body = json{{"name", *name}, {"type", rule->empty() ? "static" : "dynamic"}};
    if (!rule->empty())
      body["rule"] = *rule;
    if (!about->empty())
      body["description"] = *about;
    s.show(s.request("POST", "~/groups", body), {});
  });
  auto* update = command(*g, "update", "Change a group", R"(group update North '{"name":"Nord"}')");
  update->add_option("group", *which, group_help)->required();
  update->add_option("changes", *more, "JSON or @file")->required();
  update->callback([&s, which, more] {
    s.show(s.request("PATCH", group_path(s, *which), read_json(*more)), {});
  });
  auto* remove = command(*g, "delete", "Delete a group; its devices stay", "group delete North");
  remove->add_option("group", *which, group_help)->required();
  remove->callback([&s, which] {
    s.request("DELETE", group_path(s, *which));
    s.say("deleted");
  });
  auto* preview =
      command(*g, "preview", "Who a rule would gather", "group preview \"tags.region = 'north'\"");
  preview->add_option("rule", *rule)->required();
  preview->callback([&s, rule] {
    const auto found = s.request("POST", "~/groups:preview", {{"rule", *rule}});
    s.show(found.at("sample"), member_columns);
    s.say(std::to_string(found.at("count").get<std::uint64_t>()) + " devices");
  });
  add_members(*g, s);
  auto kind = make<std::string>("device");
  auto* tags = command(to, "tags", "Which tags there are, and how many things have them",
                       "tags --kind product");
  tags->add_option("--kind", *kind, "device, product or asset")->capture_default_str();
  tags->callback([&s, kind] {
    const auto got = s.request("GET", "~/tags?kind=" + encoded(*kind));
    auto rows = json::array();
    for (const auto& key : got.at("items"))
      for (const auto& value : key.at("values"))
        rows.push_back(
            {{"key", key.at("key")}, {"value", value.at("value")}, {"count", value.at("count")}});
    s.show(rows, {{"KEY", "/key"}, {"VALUE", "/value"}, {"COUNT", "/count"}});
    if (got.at("truncated").get<bool>())
      s.say("there are more");
  });
}

}  // namespace orrery::app::cli
