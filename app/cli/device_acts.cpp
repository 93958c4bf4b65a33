// device: kick, show-as, show, history, credential, replace, move.
#include "app/cli/session.hpp"

namespace orrery::app::cli {

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
  auto* credential =
      on_device("credential", "What it proves itself by", " demo-inverter/inv-01 --reveal");
  credential->add_flag("--reveal", *reveal, "its secret too, if the organisation allows that");
  credential->callback([&s, device, reveal] {
    s.show(s.request("GET", device_path(*device) + "/credential" + (*reveal ? "?reveal=true" : "")),
           {});
  });
}

}  // namespace orrery::app::cli
