// device: kick, show-as, show, history, credential, replace, move, mirror, offer, adopt,
// decommission, restore, purge.
#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

/// The assetId of a device given as that or as PRODUCT/DEVICE.
std::string asset_of(session& s, const std::string& device) {
  if (device.find('/') == std::string::npos)
    return device;
  return s.request("GET", device_path(device)).at("assetId").get<std::string>();
}

/// OWN=SOURCE or an id that is the same in both. Throws refused.
json read_point_map(const std::vector<std::string>& given) {
  auto points = json::object();
  for (const auto& one : given) {
    const auto cut = one.find('=');
    if (cut == 0 || cut + 1 == one.size())
      throw refused("--point " + one + ": expected OWN=SOURCE, or an id that both have");
    points[one.substr(0, cut)] = cut == std::string::npos ? one : one.substr(cut + 1);
  }
  return points;
}

void add_mirrors(CLI::App& devices, session& s) {
  auto* g = group(devices, "mirror", "Devices that show the points of another one",
                  "device mirror show demo-inverter/inv-01-copy");
  auto device = make<std::string>(), source = make<std::string>();
  auto points = make<std::vector<std::string>>();
  const auto on_device = [&](const char* verb, const char* about, const std::string& example) {
    auto* c = command(*g, verb, about, std::string{"device mirror "} + verb + example);
    c->add_option("device", *device, "the mirror: PRODUCT/DEVICE or assetId")->required();
    return c;
  };
  on_device("show", "Which device it shows, and how", " demo-inverter/inv-01-copy")
      ->callback([&s, device] { s.show(s.request("GET", device_path(*device) + "/mirror"), {}); });
  auto* set = on_device("set", "It shows the points of another device",
                        " demo-inverter/inv-01-copy demo-inverter/inv-01 --point output=power");
  set->add_option("source", *source, "whose points: PRODUCT/DEVICE or assetId")->required();
  set->add_option("--point", *points, "OWN=SOURCE, or an id that both have; all if not given");
  set->callback([&s, device, source, points] {
    s.show(s.request("PUT", device_path(*device) + "/mirror",
                     {{"source", asset_of(s, *source)}, {"points", read_point_map(*points)}}),
           {});
  });
  on_device("end", "It is a device of its own again", " demo-inverter/inv-01-copy")
      ->callback([&s, device] {
        s.request("DELETE", device_path(*device) + "/mirror");
        s.say("ended");
      });
}

}  // namespace

void add_device_acts(CLI::App& devices, session& s) {
  auto device = make<std::string>(), reason = make<std::string>(), status = make<std::string>(),
       until = make<std::string>(), from = make<std::string>(), to = make<std::string>();
  auto reveal = make<bool>(false);
  auto most = make<std::size_t>(100);
  const auto on_device = [&](const char* verb, const char* about, const std::string& example) {
    auto* c = command(devices, verb, about, std::string{"device "} + verb + example);
    c->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
    return c;
  };
  auto* kick = on_device("kick", "End its session; it may come back at once",
                         " demo-inverter/inv-01 --reason 'new firmware'");
  kick->add_option("--reason", *reason, "for the log");
  kick->callback([&s, device, reason] {
    s.request("POST", device_path(*device) + ":kick", {{"reason", *reason}});
    s.say("kicked");
  });
  auto* show_as =
      on_device("show-as", "Show it with a status until a time, or until it comes or goes",
                " demo-inverter/inv-01 online --until 2026-12-24T18:00:00Z");
  show_as->add_option("status", *status)
      ->required()
      ->check(CLI::IsMember({"inactive", "online", "offline"}));
  show_as->add_option("--until", *until, "RFC 3339 or epoch ms; at most 30 days on")->required();
  show_as->callback([&s, device, status, until] {
    s.show(s.request("PUT", device_path(*device) + "/status-override",
                     {{"status", *status}, {"until", time_value(*until)}}),
           {});
  });
  auto* as_it_is = on_device("show-as-it-is", "Show it as it is", " demo-inverter/inv-01");
  as_it_is->callback(
      [&s, device] { s.show(s.request("DELETE", device_path(*device) + "/status-override"), {}); });
  auto* history = on_device("history", "How it came and went", " demo-inverter/inv-01");
  history->add_option("--from", *from, "RFC 3339 or epoch ms; a day ago if not given");
  history->add_option("--to", *to);
  history->add_option("--limit", *most, "at most that many rows")->capture_default_str();
  history->callback([&s, device, from, to, most] {
    auto path = device_path(*device) +
                "/statusHistory?limit=" + std::to_string(std::min<std::size_t>(*most, 500));
    for (const auto& [name, v] : {std::pair{"from", *from}, {"to", *to}})
      if (!v.empty())
        path += std::string{"&"} + name + "=" + encoded(v);
    s.show(s.list(path, *most), {{"TIME", "/time"},
                                 {"STATUS", "/status"},
                                 {"PROTOCOL", "/protocol"},
                                 {"ADDRESS", "/address"},
                                 {"REASON", "/reason"}});
    const auto sum = s.request("GET", path);
    if (sum.contains("availability"))
      s.say(sum.at("availability").dump() + " % of " + sum.at("knownSeconds").dump() + " s");
  });
  auto key = make<std::string>(), product = make<std::string>();
  auto* replace =
      on_device("replace", "Another thing takes its place: a new key and secret, all else goes on",
                " demo-inverter/inv-01 --key inv-77");
  replace->add_option("--key", *key, "of the thing that takes its place")->required();
  replace->callback([&s, device, key] {
    s.show(s.request("POST", device_path(*device) + ":replace", {{"newDeviceKey", *key}}), {});
  });
  auto* move = on_device("move", "It goes over to another product",
                         " demo-inverter/inv-01 --product demo-inverter-2");
  move->add_option("--product", *product, "whose model is the same or extends it")->required();
  move->callback([&s, device, product] {
    s.show(s.request("POST", device_path(*device) + ":moveProduct", {{"productKey", *product}}),
           {});
  });
  auto organisation = make<std::string>(), code = make<std::string>();
  auto hours = make<int>(72);
  auto* offer =
      on_device("offer", "Another organisation may take it, with the code that this shows",
                " demo-inverter/inv-01 --to acme");
  offer->add_option("--to", *organisation, "the id of that organisation")->required();
  offer->add_option("--hours", *hours, "that the code is good for")->capture_default_str();
  offer->callback([&s, device, organisation, hours] {
    s.show(s.request("POST", device_path(*device) + ":moveOrg",
                     {{"targetOrg", *organisation}, {"hours", *hours}}),
           {});
  });
  auto* adopt = command(devices, "adopt", "Take a device that another organisation has offered",
                        "device adopt CODE --product acme-inverter");
  adopt->add_option("code", *code, "that it was offered with")->required();
  adopt->add_option("--product", *product, "of this organisation")->required();
  adopt->add_option("--key", *key, "its device key here; else the one that it has");
  adopt->callback([&s, code, product, key] {
    auto body = json{{"code", *code}, {"productKey", *product}};
    if (!key->empty())
      body["deviceKey"] = *key;
    s.show(s.request("POST", "~/devices:adopt", body), {});
  });
  auto days = make<int>(30);
  auto* decommission =
      on_device("decommission", "Take it out of service; it can be restored for some days",
                " demo-inverter/inv-01 --reason 'scrapped' --quarantine 90");
  decommission->add_option("--reason", *reason, "why")->required();
  decommission->add_option("--quarantine", *days, "days until it is removed, 0 to 365; 0: at once")
      ->capture_default_str();
  decommission->callback([&s, device, reason, days] {
    s.show(s.request("POST", device_path(*device) + ":decommission",
                     {{"reason", *reason}, {"quarantine", *days}}),
           {});
  });
  auto* restore = on_device("restore", "Let it come again, with a new secret that is shown once",
                            " demo-inverter/inv-01");
  restore->callback([&s, device] {
    s.show(s.request("POST", device_path(*device) + ":restore", json::object()), {});
  });
  auto* purge = on_device("purge", "Remove it, which is out of service, before its time",
                          " demo-inverter/inv-01");
  purge->callback([&s, device] {
    s.request("POST", device_path(*device) + ":purge", json::object());
    s.say("purged");
  });
  auto* credential =
      on_device("credential", "What it proves itself by", " demo-inverter/inv-01 --reveal");
  credential->add_flag("--reveal", *reveal, "its secret too, if the organisation allows that");
  credential->callback([&s, device, reveal] {
    s.show(s.request("GET", device_path(*device) + "/credential" + (*reveal ? "?reveal=true" : "")),
           {});
  });
  add_mirrors(devices, s);
}

}  // namespace orrery::app::cli
