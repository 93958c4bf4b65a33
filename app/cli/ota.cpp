// ota: firmwares, and the jobs that bring them to devices.
#include <fstream>
#include <sstream>

#include "app/cli/session.hpp"
#include "model/credentials.hpp"

namespace orrery::app::cli {
namespace {

std::string read_file(const std::string& name) {
  const auto file = std::ifstream{name, std::ios::binary};
  if (!file)
    throw refused{name + " cannot be read"};
  auto bytes = std::ostringstream{};
  bytes << file.rdbuf();
  return bytes.str();
}

void add_firmwares(CLI::App& to, session& s) {
  auto* g = group(to, "firmware", "Firmwares of products", "ota firmware list");
  auto product = make<std::string>(), version = make<std::string>(), url = make<std::string>(),
       name = make<std::string>(), file = make<std::string>(), sign = make<std::string>(),
       method = make<std::string>("sha256"), about = make<std::string>(), id = make<std::string>();
  auto size = make<std::int64_t>();
  auto* add = command(*g, "add", "Make a firmware known",
                      "ota firmware add demo-inverter 2.1.0 https://files.example.com/2.1.0.bin "
                      "--file 2.1.0.bin");
  add->add_option("product", *product)->required();
  add->add_option("version", *version, "as devices report it")->required();
  add->add_option("url", *url, "where devices get it: http or https")->required();
  auto* from = add->add_option("--file", *file, "the file here: its size and SHA-256 are taken");
  add->add_option("--sign", *sign, "digest of the file")->excludes(from);
  add->add_option("--sign-method", *method, "md5 or sha256")->excludes(from)->capture_default_str();
  add->add_option("--size", *size, "bytes of the file")->excludes(from);
  add->add_option("--name", *name, "for people; the version if not given");
  add->add_option("--description", *about);
  add->callback([&s, product, version, url, file, sign, method, size, name, about] {
    if (!file->empty()) {
      const auto bytes = read_file(*file);
      *sign = model::sha256_hex(bytes);
      *size = static_cast<std::int64_t>(bytes.size());
    }
    s.show(s.request("POST", "~/firmwares",
                     {{"productKey", *product},
                      {"version", *version},
                      {"name", name->empty() ? *version : *name},
                      {"url", *url},
                      {"signMethod", *method},
                      {"sign", *sign},
                      {"size", *size},
                      {"description", *about}}),
           {});
  });
  auto* list = command(*g, "list", "List firmwares", "ota firmware list --product demo-inverter");
  list->add_option("--product", *product, "only its own");
  list->callback([&s, product] {
    s.show(s.list("~/firmwares" + (product->empty() ? "" : "?productKey=" + encoded(*product)),
                  10'000),
           {{"ID", "/id"},
            {"PRODUCT", "/productKey"},
            {"VERSION", "/version"},
            {"NAME", "/name"},
            {"SIZE", "/size"}});
  });
  auto* remove =
      command(*g, "remove", "Take one away; upgrades go on", "ota firmware remove h5Xk...");
  remove->add_option("firmware", *id, "its id")->required();
  remove->callback([&s, id] {
    s.request("DELETE", "~/firmwares/" + encoded(*id));
    s.say("removed");
  });
}

void add_jobs(CLI::App& to, session& s) {
  auto* g = group(to, "job", "Upgrades of devices", "ota job show h5Xk...");
  auto product = make<std::string>(), firmware = make<std::string>(),
       deliver = make<std::string>("push"), id = make<std::string>();
  auto devices = make<std::vector<std::string>>();
  auto timeout = make<int>(7200);
  auto unknown = make<bool>();
  const auto path = [id](const std::string& rest) { return "~/otaJobs/" + encoded(*id) + rest; };
  const auto outcomes =
      std::vector<column>{{"DEVICE", "/deviceKey"}, {"RESULT", "/result"}, {"REASON", "/reason"}};
  auto* create = command(*g, "create", "Bring a firmware to devices",
                         "ota job create demo-inverter h5Xk... inv-01 inv-02");
  create->add_option("product", *product)->required();
  create->add_option("firmware", *firmware, "its id")->required();
  create->add_option("devices", *devices, "device keys")->required();
  create->add_option("--deliver", *deliver, "push, pull (devices ask) or both")
      ->capture_default_str();
  create->add_option("--timeout", *timeout, "seconds that an upgrade may take")
      ->capture_default_str();
  create->add_flag("--unknown-version", *unknown, "also devices that never said their version");
  create->callback([&s, product, firmware, devices, deliver, timeout, unknown, outcomes] {
    const auto made = s.request("POST", "~/otaJobs",
                                {{"productKey", *product},
                                 {"firmware", *firmware},
                                 {"devices", *devices},
                                 {"deliver", *deliver},
                                 {"upgradeTimeout", *timeout},
                                 {"unknownVersion", *unknown ? "include" : "exclude"}});
    s.say("job " + made["id"].get<std::string>());
    s.show(s.output == "table" ? made["results"] : made, outcomes);
  });
  const auto on_job = [&](const std::string& name, const std::string& about) {
    auto* c = command(*g, name, about, "ota job " + name + " h5Xk...");
    c->add_option("job", *id, "its id")->required();
    return c;
  };
  on_job("show", "Show a job, its devices counted by state")->callback([&s, path] {
    s.show(s.request("GET", path("")), {});
  });
  on_job("tasks", "What became of it on each device")->callback([&s, path] {
    s.show(s.list(path("/tasks"), 10'000), {{"DEVICE", "/deviceKey"},
                                            {"STATE", "/state"},
                                            {"PROGRESS", "/progress"},
                                            {"REASON", "/reason"},
                                            {"ATTEMPT", "/attempt"}});
  });
  on_job("cancel", "End a job; devices that have begun go on")->callback([&s, path] {
    const auto got = s.request("POST", path(":cancel"));
    s.say("cancelled; called off on " + std::to_string(got["ok"].get<int>()) + " devices");
  });
  on_job("retry", "Try again where it failed")->callback([&s, path] {
    const auto got = s.request("POST", path("/tasks:retry"), json::object());
    s.say("tried again on " + std::to_string(got["ok"].get<int>()) + " devices");
  });
}

}  // namespace

void add_ota(CLI::App& to, session& s) {
  auto* g = group(to, "ota", "Firmware over the air", "ota firmware list");
  add_firmwares(*g, s);
  add_jobs(*g, s);
}

}  // namespace orrery::app::cli
