// twin: how a device is to be configured, and how it says that it is.
#include "app/cli/session.hpp"

namespace orrery::app::cli {

void add_twins(CLI::App& to, session& s) {
  auto* g = group(to, "twin", "How devices are to be configured, and how they say that they are",
                  "twin get demo-inverter/inv-01");
  auto device = make<std::string>(), document = make<std::string>();
  const auto of_device = [device](CLI::App* c) {
    c->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  };
  auto* get = command(*g, "get", "Both documents, and what the device lacks",
                      "twin get demo-inverter/inv-01");
  of_device(get);
  get->callback([&s, device] { s.show(s.request("GET", device_path(*device) + "/twin"), {}); });
  auto* set = command(*g, "set", "Change some members of what is desired; null takes away",
                      R"(twin set demo-inverter/inv-01 '{"rate":10}')");
  of_device(set);
  set->add_option("patch", *document, "JSON or @file")->required();
  set->callback([&s, device, document] {
    s.show(s.request("PATCH", device_path(*device) + "/twin/desired", read_json(*document),
                     {{"If-Match", "*"}}),
           {});
  });
  auto* replace = command(*g, "replace", "Replace all that is desired",
                          "twin replace demo-inverter/inv-01 @configuration.json");
  of_device(replace);
  replace->add_option("document", *document, "JSON or @file")->required();
  replace->callback([&s, device, document] {
    const auto path = device_path(*device) + "/twin/desired";
    s.show(s.request("PUT", path, read_json(*document), {{"If-Match", s.etag_of(path)}}), {});
  });
  auto* history = command(*g, "history", "The last versions of what is desired",
                          "twin history demo-inverter/inv-01");
  of_device(history);
  history->callback([&s, device] {
    s.show(s.request("GET", device_path(*device) + "/twin/history").at("items"),
           {{"VERSION", "/version"}, {"AT", "/at"}, {"BY", "/by"}, {"APPLIED", "/appliedAt"}});
  });
  auto version = make<std::int64_t>(0);
  auto seconds = make<int>(30);
  auto* wait = command(*g, "wait", "Wait until the device says that it has a version",
                       "twin wait demo-inverter/inv-01 --timeout 60");
  of_device(wait);
  wait->add_option("--desired-version", *version, "the newest if not given");
  wait->add_option("--timeout", *seconds, "1 to 60 seconds")->capture_default_str();
  wait->callback([&s, device, version, seconds] {
    auto body = json{{"timeout", *seconds}};
    if (*version > 0)
      body["desiredVersion"] = *version;
    s.show(s.request("POST", device_path(*device) + "/twin:wait", body), {});
  });
}

}  // namespace orrery::app::cli
