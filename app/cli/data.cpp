// points, events, command, watch, stats.
#include <fstream>
#include <iostream>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

void add_points(CLI::App& to, session& s) {
  auto* g = group(to, "points", "Values of measure points", "points latest demo-inverter/inv-01");
  auto device = make<std::string>(), point = make<std::string>(), from = make<std::string>(),
       end = make<std::string>();
  auto most = make<std::size_t>();
  *most = 1000;
  auto* latest = command(*g, "latest", "Newest values", "points latest demo-inverter/inv-01");
  latest->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  latest->callback([&s, device] {
    s.show(s.list(device_path(*device) + "/points/latest", 100'000), {{"POINT", "/point"},
                                                                      {"VALUE", "/value"},
                                                                      {"QUALITY", "/quality"},
                                                                      {"TIME", "/time"},
                                                                      {"AGE ms", "/ageMs"}});
  });
  auto* history = command(*g, "history", "Samples of a point",
                          "points history demo-inverter/inv-01 power --from 2026-01-31T00:00:00Z");
  history->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  history->add_option("point", *point)->required();
  history->add_option("--from", *from, "RFC 3339 or epoch ms; a day ago if not given");
  history->add_option("--to", *end, "now if not given");
  history->add_option("--limit", *most, "at most that many")->capture_default_str();
  auto newest_first = make<bool>();
  history->add_flag("--newest-first", *newest_first, "the other way round");
  history->callback([&s, device, point, from, end, most, newest_first] {
    auto path = device_path(*device) + "/points/" + encoded(*point) +
                "/history?limit=" + std::to_string(std::min<std::size_t>(*most, 10'000));
    if (*newest_first)
      path += "&order=desc";
    if (!from->empty())
      path += "&from=" + encoded(*from);
    if (!end->empty())
      path += "&to=" + encoded(*end);
    s.show(s.list(path, *most), {{"TIME", "/time"}, {"VALUE", "/value"}, {"QUALITY", "/quality"}});
  });
  auto values = make<std::string>(), at = make<std::string>();
  auto* post = command(*g, "post", "Add values in a device's name",
                       R"(points post demo-inverter/inv-01 '{"power":4.2}')");
  post->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  post->add_option("values", *values, "JSON: values by point, or @file")->required();
  post->add_option("--time", *at, "RFC 3339; now if not given");
  post->callback([&s, device, values, at] {
    auto sample = json{{"points", read_json(*values)}};
    if (!at->empty())
      sample["time"] = *at;
    const auto done = s.request("POST", device_path(*device) + "/points",
                                {{"items", json::array({std::move(sample)})}});
    s.show(done, {});
  });
}

void add_events(CLI::App& to, session& s) {
  auto* g = group(to, "events", "Events that devices raised", "events list demo-inverter/inv-01");
  auto device = make<std::string>();
  auto most = make<std::size_t>();
  *most = 100;
  auto* list = command(*g, "list", "Newest first", "events list demo-inverter/inv-01");
  list->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  auto from = make<std::string>(), end = make<std::string>(), event = make<std::string>();
  list->add_option("--event", *event, "of that id alone");
  list->add_option("--from", *from, "RFC 3339 or epoch ms; from the first on if not given");
  list->add_option("--to", *end, "now if not given");
  list->add_option("--limit", *most, "at most that many")->capture_default_str();
  list->callback([&s, device, most, from, end, event] {
    auto path =
        device_path(*device) + "/events?limit=" + std::to_string(std::min<std::size_t>(*most, 500));
    for (const auto& [name, v] : {std::pair{"eventId", *event}, {"from", *from}, {"to", *end}})
      if (!v.empty())
        path += std::string{"&"} + name + "=" + encoded(v);
    s.show(s.list(path, *most),
           {{"TIME", "/time"}, {"EVENT", "/eventId"}, {"LEVEL", "/level"}, {"OUTPUT", "/output"}});
  });
}

void add_commands(CLI::App& to, session& s) {
  auto* g =
      group(to, "command", "Service calls and point writes", "command list demo-inverter/inv-01");
  auto device = make<std::string>(), element = make<std::string>(), input = make<std::string>();
  auto timeout = make<int>(), ttl = make<int>();
  auto wait = make<bool>();
  *timeout = 30;
  const auto columns =
      std::vector<column>{{"ID", "/id"},       {"TYPE", "/type"},         {"ELEMENT", "/element"},
                          {"STATE", "/state"}, {"CREATED", "/createdAt"}, {"OUTPUT", "/output"}};
  const auto options = [=](CLI::App* c) {
    c->add_option("--timeout", *timeout, "seconds the device has for its answer")
        ->capture_default_str();
    c->add_option("--pending", *ttl,
                  "seconds the command may wait for an offline device; it is queued then");
    c->add_flag("--wait", *wait, "wait also if it may be queued");
  };
  const auto fill = [=](json body) {
    body["timeout"] = *timeout;
    body["pendingTtl"] = *ttl;
    if (*wait)
      body["mode"] = "wait";
    return body;
  };
  auto* invoke = command(*g, "invoke", "Call a service",
                         R"(command invoke demo-inverter/inv-01 reboot '{"delay":5}')");
  invoke->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  invoke->add_option("service", *element, "id of the service")->required();
  invoke->add_option("input", *input, "JSON or @file");
  options(invoke);
  invoke->callback([&s, device, element, input, fill] {
    const auto body = fill({{"input", input->empty() ? json::object() : read_json(*input)}});
    s.show(s.request("POST", device_path(*device) + "/services/" + encoded(*element) + ":invoke",
                     body),
           {});
  });
  auto* set = command(*g, "set", "Write a point", "command set demo-inverter/inv-01 setpoint 42");
  set->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  set->add_option("point", *element)->required();
  set->add_option("value", *input, "JSON")->required();
  options(set);
  set->callback([&s, device, element, input, fill] {
    s.show(s.request("POST", device_path(*device) + "/points/" + encoded(*element) + ":set",
                     fill({{"value", read_json(*input)}})),
           {});
  });
  auto* bytes =
      command(*g, "rrpc", "Send free text to a device that is on-line; its answer is shown",
              "command rrpc demo-inverter/inv-01 'show log'");
  bytes->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  bytes->add_option("payload", *input, "text; with --base64 any bytes")->required();
  bytes->add_option("--timeout", *timeout, "seconds the device has for its answer")
      ->capture_default_str();
  auto encoded_bytes = make<bool>();
  bytes->add_flag("--base64", *encoded_bytes, "the payload is base64");
  bytes->callback([&s, device, input, timeout, encoded_bytes] {
    s.show(s.request("POST", device_path(*device) + ":rrpc",
                     {{*encoded_bytes ? "base64" : "payload", *input}, {"timeout", *timeout}}),
           {});
  });
  auto* list = command(*g, "list", "Commands of a device, newest first",
                       "command list demo-inverter/inv-01");
  list->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  list->callback(
      [&s, device, columns] { s.show(s.list(device_path(*device) + "/commands", 1000), columns); });
  auto* get = command(*g, "get", "Show a command", "command get ID");
  get->add_option("id", *element)->required();
  get->callback([&s, element] { s.show(s.request("GET", "~/commands/" + encoded(*element)), {}); });
  auto* cancel = command(*g, "cancel", "Cancel a command that waits", "command cancel ID");
  cancel->add_option("id", *element)->required();
  cancel->callback([&s, element] {
    s.show(s.request("POST", "~/commands/" + encoded(*element) + ":cancel", json::object()), {});
  });
}

void show_item(const session& s, const json& item) {
  if (s.output == "json") {
    std::cout << item.dump() << std::endl;
    return;
  }
  if (s.output == "yaml") {
    std::cout << "---\n";
    s.show(item, {});
    std::cout << std::flush;
    return;
  }
  auto rest = item;
  for (const auto* known : {"asset", "pk", "dk", "t"})
    rest.erase(known);
  auto text = std::string{};
  if (item.contains("v"))
    for (const auto& [point, v] : item.at("v").items())
      text += (text.empty() ? "" : "  ") + point + "=" + v.at("value").dump();
  else
    text = rest.dump();
  std::cout << item.at("t").dump() << "  " << item.at("pk").get<std::string>() << "/"
            << item.at("dk").get<std::string>() << "  " << text << std::endl;
}

void add_watch(CLI::App& to, session& s) {
  auto* watch = command(to, "watch", "Print a live subscription until Ctrl-C",
                        "watch --product demo-inverter --point power");
  auto kinds = make<std::vector<std::string>>(), products = make<std::vector<std::string>>(),
       points = make<std::vector<std::string>>(), assets = make<std::vector<std::string>>();
  auto most = make<std::uint64_t>();
  watch->add_option("--kind", *kinds,
                    "points, events, presence, lifecycle, commands; points if not given");
  watch->add_option("--product", *products);
  watch->add_option("--device", *assets, "PRODUCT/DEVICE or assetId");
  watch->add_option("--point", *points);
  watch->add_option("--count", *most, "end after that many items");
  watch->callback([&s, kinds, products, points, assets, most] {
    if (kinds->empty())
      kinds->push_back("points");
    for (auto& device : *assets)
      if (device.find('/') != std::string::npos)
        device = s.request("GET", device_path(device)).at("assetId");
    auto filter = json::object();
    for (const auto& [name, values] :
         {std::pair{"products", products}, {"assets", assets}, {"points", points}})
      if (!values->empty())
        filter[name] = *values;
    auto first = std::vector<std::string>{};
    for (const auto& kind : *kinds)
      first.push_back(
          json{{"op", "sub"}, {"id", kind}, {"sid", kind}, {"kind", kind}, {"filter", filter}}
              .dump());
    auto seen = std::uint64_t{0};
    s.watch(first, [&](std::string_view text) {
      const auto message = json::parse(text);
      const auto op = message.value("op", "");
      if (op == "error")
        throw refused{message.value("detail", "refused") + " (" + message.value("code", "") + ")"};
      if (op == "gap")
        std::cerr << "lost " << message.value("count", 0) << " items: this reader is too slow\n";
      for (const auto& item : message.value("items", json::array())) {
        show_item(s, item);
        if (++seen == *most)
          return false;
      }
      return true;
    });
  });
}

}  // namespace

void add_data(CLI::App& to, session& s) {
  add_points(to, s);
  add_events(to, s);
  add_commands(to, s);
  add_watch(to, s);
  auto* stats =
      command(to, "stats", "How many devices are in which state", "stats --product demo-inverter");
  auto product = make<std::string>();
  stats->add_option("--product", *product);
  stats->callback([&s, product] {
    s.show(s.request("GET", "~/stats/devices" +
                                (product->empty() ? "" : "?productKey=" + encoded(*product))),
           {});
  });
}

}  // namespace orrery::app::cli
