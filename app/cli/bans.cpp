// ban: list, temporary, add, remove.
#include <chrono>

#include "app/cli/session.hpp"

namespace orrery::app::cli {
namespace {

constexpr auto ten_years = std::int64_t{10} * 366 * 24 * 3600;  // seconds

}  // namespace

void add_bans(CLI::App& to, session& s) {
  auto* g = group(to, "ban", "Who may not log in", "ban list");
  command(*g, "list", "Those that hold", "ban list")->callback([&s] {
    s.show(s.list("~/bans", 1000), {{"ID", "/id"},
                                    {"KIND", "/kind"},
                                    {"SUBJECT", "/subject"},
                                    {"UNTIL", "/until"},
                                    {"BY", "/createdBy"},
                                    {"REASON", "/reason"}});
  });
  command(*g, "temporary", "Whom the node that is asked keeps out for a while by itself",
          "ban temporary")
      ->callback([&s] {
        s.show(s.list("~/bans:temporary", 1000), {{"PRODUCT", "/productKey"},
                                                  {"DEVICE", "/deviceKey"},
                                                  {"ADDRESS", "/address"},
                                                  {"UNTIL", "/until"},
                                                  {"REASON", "/reason"}});
      });
  auto kind = make<std::string>(), subject = make<std::string>(), reason = make<std::string>(),
       id = make<std::string>();
  auto seconds = make<std::int64_t>();
  auto* add = command(*g, "add", "Keep somebody out, and end his sessions",
                      "ban add device demo-inverter/inv-01 --for 3600 --reason noisy");
  add->add_option("kind", *kind, "device, product, address or certificate")
      ->required()
      ->check(CLI::IsMember({"device", "product", "address", "certificate"}));
  add->add_option("subject", *subject,
                  "PRODUCT/DEVICE, PRODUCT, an address or a network, or a SHA-256 fingerprint")
      ->required();
  auto* lasts = add->add_option("--for", *seconds, "seconds; for good if not given")
                    ->check(CLI::Range(std::int64_t{1}, ten_years));
  add->add_option("--reason", *reason, "for people");
  add->callback([&s, kind, subject, reason, seconds, lasts] {
    auto body = json{{"kind", *kind}, {"subject", *subject}, {"reason", *reason}};
    if (lasts->count() > 0)
      body["until"] = std::chrono::duration_cast<std::chrono::milliseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count() +
                      *seconds * 1000;
    s.show(s.request("POST", "~/bans", body), {});
  });
  auto* remove = command(*g, "remove", "Let him in again", "ban remove 0f3a...");
  remove->add_option("id", *id)->required();
  remove->callback([&s, id] {
    s.request("DELETE", "~/bans/" + encoded(*id));
    s.say("removed");
  });
}

}  // namespace orrery::app::cli
