// The command line of Orrery.
#include <fstream>
#include <iostream>

#include "app/cli/session.hpp"
#include "model/credentials.hpp"

namespace {

namespace cli = orrery::app::cli;

/// What deploy/up tells: where everything is, and the first two commands to try.
void hints(const std::string& ready_file, const std::string& demo_file) {
  auto ready_in = std::ifstream{ready_file}, demo_in = std::ifstream{demo_file};
  const auto ready = cli::json::parse(ready_in, nullptr, false),
             demo = cli::json::parse(demo_in, nullptr, false);
  if (!ready.is_object() || !demo.is_object())
    return;
  const auto port = [&](const char* name) {
    return std::to_string(ready.at("ports").value(name, 0));
  };
  const auto product = demo.at("productKey").get<std::string>(),
             key = demo.at("devices").at(0).at("deviceKey").get<std::string>();
  const auto api = "http://127.0.0.1:" + port("api");
  const auto name = orrery::model::device_name{product, key};
  const auto digest =
      orrery::model::sign_login(name, key, "1700000000000", orrery::model::sign_method::sha256,
                                demo.at("devices").at(0).at("deviceSecret").get<std::string>());
  std::cout
      << "\nOrrery " << ready.at("version").get<std::string>() << " is up\n"
      << "  API       " << api << "/api/v1 (description: " << api << "/api/v1/openapi.json)\n"
      << "  metrics   http://127.0.0.1:" << port("admin") << "/metrics\n"
      << "  login     admin, password in "
      << ready.at("admin").at("passwordFile").get<std::string>() << "\n"
      << "  API key   in " << demo_file << "\n"
      << "  console   there is no web console yet: use the API or build/release/bin/orrery\n"
      << "\nPublish a first message:\n\n"
      << "  mosquitto_pub -p " << port("mqtt") << " -q 1 -i '" << key
      << "|securemode=2,signmethod=sha256,timestamp=1700000000000|' -u '" << key << "&" << product
      << "' -P " << digest << " -t /sys/" << product << "/" << key
      << R"(/thing/measurepoint/post -m '{"id":"1","version":"1.0","method":"thing.measurepoint.post","params":{"measurepoints":{"power":4.2}}}')"
      << "\n\nRead it back:\n\n  curl -s -H \"Authorization: Bearer $(sed -n 's/.*\"apiKey\": "
         "\"\\(.*\\)\".*/\\1/p' "
      << demo_file << ")\" " << api << "/api/v1/orgs/-/products/" << product << "/devices/" << key
      << "/points/latest\n\n"
      << std::flush;
}

}  // namespace

int main(int argc, char** argv) {
  auto app = CLI::App{"The command line of Orrery"};
  auto s = cli::session{};
  app.add_option("--server", s.server,
                 "http(s)://host:port; else ORRERY_SERVER, the profile, or http://127.0.0.1:8090");
  app.add_option("--api-key", s.api_key, "else ORRERY_API_KEY, or the login of the profile");
  app.add_option("--profile", s.profile, "which login to use; \"default\" if not given");
  app.add_option("--output", s.output, "table, json or yaml")
      ->check(CLI::IsMember({"table", "json", "yaml"}))
      ->capture_default_str();
  app.add_option("--ca", s.ca_file,
                 "PEM file of the authority that the server's certificate is checked with");
  app.set_version_flag("--version", std::string{"orrery "} + ORRERY_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  cli::add_people(app, s);
  cli::add_providers(app, s);
  cli::add_organisations(app, s);
  cli::add_management(app, s);
  cli::add_ota(app, s);
  cli::add_twins(app, s);
  cli::add_configurations(app, s);
  cli::add_data(app, s);
  cli::add_simulate(app, s);
  cli::add_certificates(app, s);
  cli::add_bans(app, s);
  cli::add_audit(app, s);
  cli::add_files(app, s);
  cli::add_groups(app, s);
  cli::add_trees(app, s);
  cli::add_cluster(app, s);
  cli::add_backup(app, s);
  cli::add_restore(app, s);
  cli::add_completion(app);
  app.footer("Example: orrery --output json device list --product demo-inverter");
  auto ready = std::string{}, demo = std::string{};
  auto* show_hints =
      app.add_subcommand("demo-hints", "First steps with the demo content")->group("");
  show_hints->add_option("--ready-file", ready)->required();
  show_hints->add_option("--demo-file", demo)->required();
  show_hints->callback([&] { hints(ready, demo); });
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {
    std::cerr << "orrery: " << e.what() << '\n';
    return 1;
  }
}
