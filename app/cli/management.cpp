// product, device.
#include "app/cli/row_files.hpp"

namespace orrery::app::cli {
namespace {

void add_products(CLI::App& to, session& s) {
  auto* g = group(to, "product", "Products", "product get demo-inverter");
  auto key = make<std::string>(), name = make<std::string>(), model = make<std::string>(),
       more = make<std::string>();
  const auto path = [key](const std::string& rest) { return "~/products/" + encoded(*key) + rest; };
  command(*g, "list", "List products", "product list")->callback([&s] {
    s.show(s.list("~/products", 100'000), {{"KEY", "/productKey"},
                                           {"NAME", "/name"},
                                           {"MODEL", "/modelId"},
                                           {"REVISION", "/modelRevision"},
                                           {"AUTH", "/auth"}});
  });
  auto* get = command(*g, "get", "Show a product", "product get demo-inverter");
  get->add_option("product", *key)->required();
  get->callback([&s, path] { s.show(s.request("GET", path("")), {}); });
  auto* create = command(*g, "create", "Make a product; its secret is shown once",
                         "product create --name Meter --model Meter");
  create->add_option("--name", *name)->required();
  create->add_option("--model", *model)->required();
  create->add_option("--key", *key, "made by the server if not given");
  create->add_option("--set", *more, "other fields as JSON or @file");
  create->callback([&s, key, name, model, more] {
    auto body = more->empty() ? json::object() : read_json(*more);
    body["name"] = *name;
    body["modelId"] = *model;
    if (!key->empty())
      body["productKey"] = *key;
    s.show(s.request("POST", "~/products", body), {});
  });
  auto* update = command(*g, "update", "Change fields",
                         R"(product update demo-inverter '{"validation":"lenient"}')");
  update->add_option("product", *key)->required();
  update->add_option("changes", *more, "JSON or @file")->required();
  update->callback([&s, path, more] {
    const auto etag = s.etag_of(path(""));
    s.show(s.request("PATCH", path(""), read_json(*more), {{"If-Match", etag}}), {});
  });
  auto* reset = command(*g, "reset-secret", "A new product secret, shown once",
                        "product reset-secret demo-inverter");
  reset->add_option("product", *key)->required();
  reset->callback(
      [&s, path] { s.show(s.request("POST", path(":resetSecret"), json::object()), {}); });
  auto* remove =
      command(*g, "delete", "Delete a product without devices", "product delete demo-inverter");
  remove->add_option("product", *key)->required();
  remove->callback([&s, path] {
    s.request("DELETE", path(""), nullptr, {{"If-Match", s.etag_of(path(""))}});
    s.say("deleted");
  });
  add_scripts(*g, s);
  auto question = make<json>(json::object());
  add_row_files(*g, s, "~/products", "product", "products", question)
      ->add_option_function<std::string>(
          "--filter", [question](const std::string& text) { (*question)["filter"] = text; },
          "which ones; all if not given");
}

void add_devices(CLI::App& to, session& s) {
  auto* g = group(to, "device", "Devices, given as PRODUCT/DEVICE or assetId",
                  "device get demo-inverter/inv-01");
  auto device = make<std::string>(), product = make<std::string>(), status = make<std::string>(),
       text = make<std::string>(), more = make<std::string>(), reason = make<std::string>(),
       filter = make<std::string>(), sort = make<std::string>();
  auto by = make<std::vector<std::string>>();
  auto most = make<std::size_t>();
  auto overlap = make<int>();
  auto retired = make<bool>(false);
  *most = 100;
  auto* list = command(
      *g, "list", "List devices, or search for them",
      "device list --filter \"tags.site = 'A7' and status != 'online'\" --sort -lastOnlineAt");
  list->add_option("--product", *product);
  list->add_option("--status", *status, "online, offline, inactive, disabled or mirror");
  list->add_option("--search", *text, "part of the key or name");
  list->add_option("--filter", *filter, "which ones: see \"Search\" in docs/api.md");
  list->add_option("--sort", *sort,
                   "fields with commas between them, a minus before one that falls");
  list->add_option("--limit", *most, "at most that many")->capture_default_str();
  list->add_flag("--include-retired", *retired, "those that are out of service too");
  list->callback([&s, product, status, text, filter, sort, most, retired] {
    auto path = "~/devices?limit=" + std::to_string(std::min<std::size_t>(*most, 500));
    if (*retired)
      path += "&includeRetired=true";
    for (const auto& [name, v] : {std::pair{"productKey", *product},
                                  {"status", *status},
                                  {"q", *text},
                                  {"filter", *filter},
                                  {"sort", *sort}})
      if (!v.empty())
        path += std::string{"&"} + name + "=" + encoded(v);
    s.show(s.list(path, *most), {{"PRODUCT", "/productKey"},
                                 {"DEVICE", "/deviceKey"},
                                 {"NAME", "/name"},
                                 {"STATUS", "/status"},
                                 {"LAST DATA", "/lastDataAt"},
                                 {"ASSET ID", "/assetId"}});
  });
  auto* count = command(*g, "count", "How many there are, by the values of fields",
                        "device count --by status --by tags.site");
  count->add_option("--filter", *filter, "of which ones; all if not given");
  count->add_option("--by", *by, "a field; up to three");
  count->callback([&s, filter, by] {
    const auto got = s.request("POST", "~/devices:count", {{"filter", *filter}, {"groupBy", *by}});
    if (by->empty())
      return s.show(got, {});
    auto rows = json::array();
    auto columns = std::vector<column>{};
    for (const auto& name : *by)
      columns.push_back({name, "/" + name});
    columns.push_back({"COUNT", "/count"});
    for (const auto& found : got.at("groups")) {
      auto row = json::object();
      for (const auto& name : *by)
        row[name] = found.at("group").at(name);
      row["count"] = found.at("count");
      rows.push_back(std::move(row));
    }
    s.show(rows, columns);
  });
  const auto simple = [&](const char* name, const char* about, const char* method,
                          const char* rest) {
    auto* c = command(*g, name, about, std::string{"device "} + name + " demo-inverter/inv-01");
    c->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
    c->callback([&s, device, method, rest] {
      const auto got = s.request(method, device_path(*device) + rest,
                                 std::string{method} == "POST" ? json::object() : json{});
      if (got.is_null())
        s.say("done");
      else
        s.show(got, {});
    });
  };
  auto* get = command(*g, "get", "Show a device",
                      "device get demo-inverter/inv-01 --include twin,tree,firmware");
  get->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  get->add_option("--include", *more, "twin, tree, firmware, with commas between them");
  get->callback([&s, device, more] {
    s.show(s.request("GET",
                     device_path(*device) + (more->empty() ? "" : "?include=" + encoded(*more))),
           {});
  });
  simple("status", "Whether it is connected", "GET", "/status");
  simple("attributes", "Its attributes", "GET", "/attributes");
  simple("tags", "Its tags", "GET", "/tags");
  simple("enable", "Let it log in again", "POST", ":enable");
  simple("delete", "Delete it", "DELETE", "");
  auto* create = command(*g, "create", "Register a device; its secret is shown once",
                         "device create demo-inverter/inv-99 --name 'Roof 9'");
  create->add_option("device", *device, "PRODUCT/DEVICE, or PRODUCT for a key made by the server")
      ->required();
  create->add_option("--name", *text, "for people");
  create->add_option("--group", *by, "id of a static group to put it into; several");
  create->add_option("--gateway", *filter, "PRODUCT/DEVICE or assetId of its gateway");
  create->add_option("--set", *more, "other fields as JSON or @file");
  create->callback([&s, device, text, more, groups = by, gateway = filter] {
    const auto slash = device->find('/');
    auto body = more->empty() ? json::object() : read_json(*more);
    body["productKey"] = device->substr(0, slash);
    if (slash != std::string::npos)
      body["deviceKey"] = device->substr(slash + 1);
    if (!text->empty())
      body["name"] = *text;
    if (!groups->empty())
      body["groups"] = *groups;
    if (const auto cut = gateway->find('/'); cut != std::string::npos)
      body["gateway"] = {{"productKey", gateway->substr(0, cut)},
                         {"deviceKey", gateway->substr(cut + 1)}};
    else if (!gateway->empty())
      body["gateway"] = *gateway;
    s.show(s.request("POST", "~/devices", body), {});
  });
  auto* update = command(*g, "update", "Change fields",
                         R"(device update demo-inverter/inv-01 '{"tags":{"site":"B"}}')");
  update->add_option("device", *device)->required();
  update->add_option("changes", *more, "JSON or @file")->required();
  auto whole = make<bool>();
  update->add_flag("--whole", *whole, "what is not said is taken away");
  update->callback([&s, device, more, whole] {
    s.show(s.request(*whole ? "PUT" : "PATCH", device_path(*device), read_json(*more)), {});
  });
  auto* disable = command(*g, "disable", "Log it out and keep it out",
                          "device disable demo-inverter/inv-01 --reason stolen");
  disable->add_option("device", *device)->required();
  disable->add_option("--reason", *reason);
  disable->callback([&s, device, reason] {
    s.show(s.request("POST", device_path(*device) + ":disable", {{"reason", *reason}}), {});
  });
  auto* reset = command(*g, "reset-secret", "A new secret, shown once",
                        "device reset-secret demo-inverter/inv-01 --overlap 3600");
  reset->add_option("device", *device)->required();
  reset->add_option("--overlap", *overlap, "seconds that the old one stays valid");
  reset->callback([&s, device, overlap] {
    s.show(s.request("POST", device_path(*device) + ":resetSecret", {{"overlap", *overlap}}), {});
  });
  add_device_acts(*g, s);
  add_operations(to, *g, s);
}

}  // namespace

void add_management(CLI::App& to, session& s) {
  add_models(to, s);
  add_products(to, s);
  add_devices(to, s);
}

}  // namespace orrery::app::cli
