// cert: apply, list, renew, revoke, bind, authorities.
#include <fstream>
#include <iostream>
#include <sstream>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

/// All of a file; of "-" what comes in.
std::string read_text(const std::string& name) {
  auto file = std::ifstream{};
  if (name != "-") {
    file.open(name, std::ios::binary);
    if (!file)
      throw refused{name + " cannot be read"};
  }
  auto text = std::ostringstream{};
  text << (name == "-" ? std::cin : file).rdbuf();
  return text.str();
}

/// As a table is wanted, the PEM texts are what is of use: the certificate and those above it.
void show_issued(const session& s, const json& made) {
  if (s.output == "table")
    std::cout << made["certificate"].get<std::string>() << made["chain"].get<std::string>();
  else
    s.show(made, {});
}

void add_authorities(CLI::App& to, session& s) {
  auto* g = group(to, "authorities", "Who signs certificates of devices", "cert authorities list");
  auto id = make<std::string>(), file = make<std::string>();
  const auto path = [id](const std::string& rest) {
    return "~/authorities/" + encoded(*id) + rest;
  };
  command(*g, "list", "List them", "cert authorities list")->callback([&s] {
    s.show(s.list("~/authorities", 1000), {{"ID", "/id"},
                                           {"KIND", "/kind"},
                                           {"KEYS", "/keys"},
                                           {"STATUS", "/status"},
                                           {"SUBJECT", "/subject"},
                                           {"ENDS", "/notAfter"}});
  });
  auto* add = command(*g, "add", "Name an external authority: it is trusted once its key is proved",
                      "cert authorities add ca.pem");
  add->add_option("file", *file, "its certificate and those above it, PEM")->required();
  add->callback([&s, file] {
    s.show(s.request("POST", "~/authorities", {{"certificate", read_text(*file)}}), {});
  });
  auto* prove =
      command(*g, "prove", "A certificate of it for its nonce: it is trusted from then on",
              "cert authorities prove 0f3a... proof.pem");
  prove->add_option("authority", *id)->required();
  prove->add_option("file", *file, "PEM")->required();
  prove->callback([&s, path, file] {
    s.show(s.request("POST", path(":prove"), {{"certificate", read_text(*file)}}), {});
  });
  auto* remove = command(*g, "delete", "Trust it no more", "cert authorities delete 0f3a...");
  remove->add_option("authority", *id)->required();
  remove->callback([&s, path] {
    s.request("DELETE", path(""));
    s.say("deleted");
  });
  const auto text = [&](const char* name, const char* about, const char* rest, const char* member) {
    auto* c = command(*g, name, about, std::string{"cert authorities "} + name + " 0f3a...");
    c->add_option("authority", *id)->required();
    c->callback([&s, path, rest, member] {
      const auto got = s.request("GET", path(rest));
      if (s.output == "table")
        std::cout << got[member].get<std::string>();
      else
        s.show(got, {});
    });
  };
  text("show", "Its certificate, PEM", "/certificate", "certificate");
  text("crl", "What it took back, PEM", "/crl", "crl");
  auto* set = command(*g, "set-crl", "A new revocation list of an external authority",
                      "cert authorities set-crl 0f3a... crl.pem");
  set->add_option("authority", *id)->required();
  set->add_option("file", *file, "PEM")->required();
  set->callback([&s, path, file] {
    s.request("PUT", path("/crl"), {{"crl", read_text(*file)}});
    s.say("set");
  });
}

}  // namespace

void add_certificates(CLI::App& to, session& s) {
  auto* g = group(to, "cert", "Certificates of devices", "cert list demo-inverter/inv-01");
  auto device = make<std::string>(), file = make<std::string>(), issuer = make<std::string>(),
       sn = make<std::string>();
  auto days = make<int>(), reason = make<int>();
  auto overlap = make<std::int64_t>();
  const auto path = [device, sn](const char* verb) {
    return device_path(*device) + "/certificates/" + encoded(*sn) + verb;
  };
  const auto of_device = [device](CLI::App* c) {
    c->add_option("device", *device, "PRODUCT/DEVICE or assetId")->required();
  };
  const auto wish = [file, days, issuer] {
    auto body = json::object();
    if (!file->empty())
      body["csr"] = read_text(*file);
    if (*days > 0)
      body["days"] = *days;
    if (!issuer->empty())
      body["issuer"] = *issuer;
    return body;
  };
  const auto wishes = [days, issuer](CLI::App* c) {
    c->add_option("--days", *days, "how long it counts; 730 if not given");
    c->add_option("--issuer", *issuer, "rsa or ecc; as the key is if not given");
  };
  auto* list = command(*g, "list", "Those of a device", "cert list demo-inverter/inv-01");
  of_device(list);
  list->callback([&s, device] {
    s.show(s.list(device_path(*device) + "/certificates", 100), {{"SN", "/sn"},
                                                                 {"STATUS", "/status"},
                                                                 {"SUBJECT", "/subject"},
                                                                 {"ENDS", "/notAfter"},
                                                                 {"SERIAL", "/serial"}});
  });
  auto* apply = command(*g, "apply", "One for a request; it and its chain are shown",
                        "cert apply demo-inverter/inv-01 inv-01.csr");
  of_device(apply);
  apply->add_option("csr", *file, "PEM file; - reads it from what comes in")->required();
  wishes(apply);
  apply->callback([&s, device, wish] {
    show_issued(s, s.request("POST", device_path(*device) + "/certificates", wish()));
  });
  auto* renew = command(*g, "renew", "A successor, for the same key or a new request",
                        "cert renew demo-inverter/inv-01 32720 --overlap 86400");
  of_device(renew);
  renew->add_option("sn", *sn, "handle or serial number")->required();
  renew->add_option("--csr", *file, "PEM file");
  wishes(renew);
  auto* given = renew->add_option("--overlap", *overlap,
                                  "seconds that the old one counts; 7 days if not given");
  renew->callback([&s, path, wish, overlap, given] {
    auto body = wish();
    if (given->count() > 0)
      body["overlap"] = *overlap;
    show_issued(s, s.request("POST", path(":renew"), body));
  });
  auto* revoke = command(*g, "revoke", "Take it back; a session that came by it ends",
                         "cert revoke demo-inverter/inv-01 32720 --reason 1");
  of_device(revoke);
  revoke->add_option("sn", *sn, "handle or serial number")->required();
  revoke->add_option("--reason", *reason, "of RFC 5280: 1 for a key that got out, 6 to hold it");
  revoke->callback([&s, path, reason] {
    s.request("POST", path(":revoke"), {{"reason", *reason}});
    s.say("revoked");
  });
  auto* bind = command(*g, "bind", "One that an external authority signed",
                       "cert bind demo-inverter/inv-01 inv-01.pem");
  of_device(bind);
  bind->add_option("file", *file, "PEM")->required();
  bind->callback([&s, device, file] {
    s.show(s.request("POST", device_path(*device) + "/certificates:bind",
                     {{"certificate", read_text(*file)}}),
           {});
  });
  add_authorities(*g, s);
}

}  // namespace orrery::app::cli
