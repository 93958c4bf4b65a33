// configuration: list, get, create, update, delete, preview, report, device.
#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

constexpr auto which_help = "the configuration's id, or its name";

/// The path of a configuration that is given by id or by name.
std::string configuration_path(session& s, const std::string& given) {
  for (const auto& c : s.list("~/configurations", 1'000))
    if (c.at("id") == given || c.at("name") == given)
      return "~/configurations/" + encoded(c.at("id").get<std::string>());
  throw refused{"there is no configuration " + given + ": see orrery configuration list"};
}

const std::vector<column> columns{{"NAME", "/name"},         {"TARGET", "/target"},
                                  {"PRIORITY", "/priority"}, {"ENABLED", "/enabled"},
                                  {"VERSION", "/version"},   {"ID", "/id"}};
const std::vector<column> sample_columns{{"PRODUCT", "/productKey"},
                                         {"DEVICE", "/deviceKey"},
                                         {"NAME", "/name"},
                                         {"STATUS", "/status"},
                                         {"ASSET ID", "/assetId"}};

void add_changes(CLI::App& g, session& s) {
  auto which = make<std::string>(), name = make<std::string>(), target = make<std::string>(),
       document = make<std::string>(), about = make<std::string>();
  auto priority = make<int>(0);
  auto disabled = make<bool>(false);
  auto* create = command(
      g, "create", "Desire something of all devices that a target accepts",
      R"(configuration create 'Fast north' '{"rate":10}' --target "tags.region = 'north'")");
  create->add_option("name", *name)->required();
  create->add_option("desired", *document, "a merge patch: JSON or @file")->required();
  create->add_option("--target", *target, "a filter: see \"Search\" in docs/api.md")->required();
  create->add_option("--priority", *priority, "0 to 1000: the highest counts")
      ->capture_default_str();
  create->add_option("--description", *about);
  create->add_flag("--disabled", *disabled, "for nobody until it is enabled");
  create->callback([&s, name, document, target, priority, about, disabled] {
    auto body = json{{"name", *name},
                     {"target", *target},
                     {"priority", *priority},
                     {"desired", read_json(*document)},
                     {"enabled", !*disabled}};
    if (!about->empty())
      body["description"] = *about;
    s.show(s.request("POST", "~/configurations", body), {});
  });
  auto* update = command(g, "update", "Change a configuration; devices follow",
                         R"(configuration update 'Fast north' '{"enabled":false}')");
  update->add_option("configuration", *which, which_help)->required();
  update->add_option("changes", *document, "JSON or @file")->required();
  update->callback([&s, which, document] {
    s.show(s.request("PATCH", configuration_path(s, *which), read_json(*document)), {});
  });
  auto* remove = command(g, "delete", "Delete a configuration; its layer goes from all devices",
                         "configuration delete 'Fast north'");
  remove->add_option("configuration", *which, which_help)->required();
  remove->callback([&s, which] {
    s.request("DELETE", configuration_path(s, *which));
    s.say("deleted");
  });
  auto* preview =
      command(g, "preview", "Whom a target would reach, and who asks for something else",
              R"(configuration preview "tags.region = 'north'" --desired '{"rate":10}')");
  preview->add_option("target", *target)->required();
  preview->add_option("--desired", *document, "a merge patch: JSON or @file");
  preview->add_option("--priority", *priority)->capture_default_str();
  preview->callback([&s, target, document, priority] {
    auto body = json{{"target", *target}, {"priority", *priority}};
    if (!document->empty())
      body["desired"] = read_json(*document);
    const auto found = s.request("POST", "~/configurations:preview", body);
    if (s.output != "table")
      return s.show(found, {});
    s.show(found.at("sample"), sample_columns);
    s.say(std::to_string(found.at("count").get<std::uint64_t>()) + " devices");
    for (const auto& c : found.at("conflicts"))
      s.say("conflict with " + c.at("name").get<std::string>() + ": " + c.at("paths").dump());
  });
}

}  // namespace

void add_configurations(CLI::App& to, session& s) {
  auto* g = group(to, "configuration", "What is desired of whole fleets, in layers",
                  "configuration list");
  auto which = make<std::string>(), device = make<std::string>(),
       state = make<std::string>("drifted");
  command(*g, "list", "List configurations", "configuration list")->callback([&s] {
    s.show(s.list("~/configurations", 1'000), columns);
  });
  auto* get = command(*g, "get", "Show a configuration", "configuration get 'Fast north'");
  get->add_option("configuration", *which, which_help)->required();
  get->callback([&s, which] { s.show(s.request("GET", configuration_path(s, *which)), {}); });
  add_changes(*g, s);
  auto* report = command(*g, "report", "How many devices have it, and which ones differ",
                         "configuration report 'Fast north' --state drifted");
  report->add_option("configuration", *which, which_help)->required();
  report->add_option("--state", *state, "whom to list: pending, agreed, drifted or refused")
      ->capture_default_str();
  report->callback([&s, which, state] {
    auto found = s.request(
        "GET", configuration_path(s, *which) + "/report?limit=500&state=" + encoded(*state));
    if (s.output != "table")
      return s.show(found, {});
    const auto devices = found.at("items");
    found.erase("items");
    s.show(found, {});
    s.show(devices, {{"PRODUCT", "/productKey"},
                     {"DEVICE", "/deviceKey"},
                     {"STATUS", "/status"},
                     {"DIFFERS IN", "/differences/0/path"},
                     {"WHY", "/reason"},
                     {"ASSET ID", "/assetId"}});
  });
  auto* of_device = command(*g, "device", "The configurations that a device has",
                            "configuration device demo-inverter/inv-01");
  of_device->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  of_device->callback([&s, device] {
    s.show(s.request("GET", device_path(*device) + "/configurations").at("items"),
           {{"NAME", "/name"},
            {"PRIORITY", "/priority"},
            {"VERSION", "/version"},
            {"STATE", "/state"},
            {"WHY", "/reason"},
            {"ID", "/id"}});
  });
}

}  // namespace orrery::app::cli
