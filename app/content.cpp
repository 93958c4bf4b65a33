#include "app/content.hpp"

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include <nlohmann/json.hpp>

#include "actors/catalogue.hpp"
#include "actors/tree_scope.hpp"
#include "app/data_folder.hpp"
#include "model/json.hpp"
#include "transport/api/tokens.hpp"
#include "transport/api_key.hpp"

namespace orrery::app {
namespace {

namespace tokens = transport::api;

constexpr auto organisation = "default";
constexpr auto actor = "system";
constexpr auto product_key = "demo-inverter";

constexpr auto inverter = R"json({
  "format": "tm/1", "id": "Inverter", "name": "Inverter", "description": "A string inverter, for trying things out",
  "attributes": [
    {"id": "ratedPower", "name": "Rated power", "unit": "kW", "type": {"t": "double", "min": 0}},
    {"id": "serial", "name": "Serial number", "type": {"t": "string", "maxLength": 64}},
    {"id": "limit", "name": "Feed-in limit", "unit": "%", "type": {"t": "int", "min": 0, "max": 100}}
  ],
  "measurePoints": [
    {"id": "power", "name": "Active power", "unit": "kW", "signal": "AI", "type": {"t": "double"}},
    {"id": "temp", "name": "Temperature", "unit": "degC", "signal": "AI", "type": {"t": "double", "min": -60, "max": 150}},
    {"id": "energy", "name": "Energy", "unit": "kWh", "signal": "PI", "hasQuality": true, "type": {"t": "double", "min": 0}},
    {"id": "state", "name": "State", "signal": "DI", "type": {"t": "enum", "values": {"0": "stopped", "1": "running", "2": "fault"}}},
    {"id": "setpoint", "name": "Power set point", "unit": "kW", "writable": true, "type": {"t": "double", "min": 0, "max": 1000}}
  ],
  "services": [
    {"id": "reboot", "name": "Restart", "input": [{"id": "delay", "type": {"t": "int", "min": 0, "max": 3600}}],
     "output": [{"id": "accepted", "type": {"t": "bool"}}]}
  ],
  "events": [
    {"id": "overTemperature", "name": "Too hot", "level": "warning", "output": [{"id": "temp", "type": {"t": "double"}}]}
  ]
})json";

/// The outcome, or an exception that says what could not be made.
actors::outcome must(actors::answer got, const std::string& what) {
  if (got)
    return std::move(*got);
  auto text = what + " cannot be made: " + got.error().detail;
  for (const auto& p : got.error().problems)
    text += "; " + p.where + ": " + p.detail;
  throw std::runtime_error{text};
}

model::entity_id organisation_id() {
  return actors::catalogue_id(model::entity_kind::organisation, organisation);
}

actors::outcome ask_organisation(actors::caller& ask, model::organisation::order what,
                                 const std::string& name) {
  return must(ask_and_wait(ask, organisation_id(),
                           model::organisation::command{std::move(what), actor, {}}),
              name);
}

model::entity_id fresh_id(const actors::caller& ask, const model::device_name& name,
                          model::timestamp now) {
  return model::make_entity_id(ask.shard_of(name), now, model::random_entropy());
}

/// A logical asset, and a tree that begins with it.
model::entity_id make_tree(actors::caller& ask, model::timestamp now, const std::string& name,
                           std::uint16_t shard_count) {
  auto site = model::asset::create_asset{};
  site.organisation = organisation;
  site.name = name;
  const auto asset = fresh_id(ask, {"asset", model::random_text(12)}, now);
  must(ask_and_wait(ask, asset, model::asset::command{std::move(site), actor, {}}),
       "asset " + name);
  const auto shard = actors::tree_shard(organisation, shard_count);
  const auto id = model::make_entity_id(shard, now, model::random_entropy());
  auto tree = model::tree::create_tree{};
  tree.organisation = organisation;
  tree.name = name;
  tree.root.node = model::make_entity_id(shard, now, model::random_entropy());
  tree.root.asset = asset;
  must(ask_and_wait(ask, id, model::tree::command{std::move(tree), actor, {}}), "tree " + name);
  return id;
}

void add_to_tree(actors::caller& ask, model::timestamp now, const model::entity_id& tree,
                 const std::vector<model::entity_id>& devices) {
  auto add = model::tree::add_nodes{};
  add.together = true;
  for (const auto& device : devices) {
    auto& one = add.items.emplace_back();
    one.node = model::make_entity_id(tree.shard, now, model::random_entropy());
    one.asset = device;
    one.device = true;
  }
  must(ask_and_wait(ask, tree, model::tree::command{std::move(add), actor, {}}), "nodes of a tree");
}

actors::answer ask_once(actors::caller& ask, actors::target whom, actors::any_command what) {
  auto done = std::make_shared<std::promise<actors::answer>>();
  auto got = done->get_future();
  ask.ask(std::move(whom), std::move(what),
          [done](actors::answer a) { done->set_value(std::move(a)); });
  return got.get();
}

/// Shards of a cluster that begins are not served by anybody yet, or have too few replicas.
constexpr auto begin_patience = std::chrono::seconds{30};
constexpr auto begin_pause = std::chrono::milliseconds{100};

/// The password that was written before it was known whether it becomes the user's: now it is.
void settle_pending(const std::string& pending, const std::string& password_file,
                    const std::string& hash) {
  auto in = std::ifstream{pending};
  auto password = std::string{};
  if (!in || !std::getline(in, password))
    return;
  if (tokens::verify_password(password, hash))
    std::filesystem::rename(pending, password_file);
  else
    std::filesystem::remove(pending);
}

}  // namespace

actors::answer ask_and_wait(actors::caller& ask, actors::target whom, actors::any_command what) {
  const auto until = std::chrono::steady_clock::now() + begin_patience;
  for (;;) {
    auto got = ask_once(ask, whom, what);
    if (got || got.error().code != model::errc::unavailable ||
        std::chrono::steady_clock::now() > until)
      return got;
    std::this_thread::sleep_for(begin_pause);
  }
}

void make_first_user(actors::caller& ask, const std::string& password_file) {
  const auto pending = password_file + ".pending";
  const auto there = ask_and_wait(
      ask, organisation_id(),
      model::organisation::command{model::organisation::read_organisation{}, actor, {}});
  if (there) {
    const auto& reply = std::get<model::organisation::reply>(there->answer);
    const auto& users = *std::get<model::organisation::organisation_snapshot>(reply).what;
    if (const auto* admin = users.find_user("admin"))
      return settle_pending(pending, password_file, admin->password_hash);
  } else if (there.error().code != model::errc::not_found) {
    throw storage_failed{"the organisation cannot be read: " + there.error().detail};
  } else {
    ask_organisation(ask, model::organisation::create_organisation{organisation, "Default"},
                     "organisation default");
  }
  // A file first: a password that nobody knows would lock everybody out. Under its own name it is
  // once it is the user's.
  const auto password = model::random_text(20);
  write_secret_file(pending, password + "\n");
  auto admin = model::organisation::user{};
  admin.login = "admin";
  admin.name = "Administrator";
  admin.roles = {"admin"};
  admin.password_hash = tokens::hash_password(password);
  const auto made = ask_and_wait(
      ask, organisation_id(),
      model::organisation::command{model::organisation::create_user{std::move(admin)}, actor, {}});
  // Another node of the cluster may have been quicker: its password counts.
  if (!made && made.error().code == model::errc::already_exists)
    return static_cast<void>(std::filesystem::remove(pending));
  must(made, "user admin");
  std::filesystem::rename(pending, password_file);
}

std::string make_demo(actors::caller& ask, const model::keyring& keys, model::timestamp now,
                      std::uint16_t shard_count) {
  const auto model_id =
      actors::catalogue_id(model::entity_kind::blueprint, std::string{organisation} + "/Inverter");
  const auto to_model = [&](model::blueprint::order what) {
    must(ask_and_wait(ask, model_id, model::blueprint::command{std::move(what), actor, {}}),
         "model Inverter");
  };
  to_model(
      model::blueprint::create_blueprint{organisation, "Inverter", *model::parse_json(inverter)});
  to_model(model::blueprint::publish{"demo", false});

  auto product = model::product::create_product{};
  product.product_key = product_key;
  product.organisation = organisation;
  product.name = "Demo inverter";
  product.model = "Inverter";
  product.dynamic_activation = true;
  product.sign_methods = 7;
  const auto product_secret = model::random_text(32);
  product.secret = keys.seal(product_secret, model::product::secret_owner(product_key));
  must(ask_and_wait(ask, actors::catalogue_id(model::entity_kind::product, product_key),
                    model::product::command{std::move(product), actor, {}}),
       "product demo-inverter");

  auto shown = nlohmann::ordered_json{{"org", organisation},
                                      {"apiKey", ""},
                                      {"productKey", product_key},
                                      {"productSecret", product_secret},
                                      {"devices", nlohmann::ordered_json::array()}};
  auto devices = std::vector<model::entity_id>{};
  for (int i = 1; i <= 5; ++i) {
    auto device = model::device::register_device{};
    device.name = {product_key, "inv-0" + std::to_string(i)};
    device.organisation = organisation;
    device.display_name = "Inverter " + std::to_string(i);
    device.tags["site"] = "A";
    device.attributes = {{"ratedPower", 50.0}};
    const auto secret = model::random_text(32);
    device.secret = keys.seal(secret, model::device::secret_owner(device.name));
    const auto id = fresh_id(ask, device.name, now);
    const auto key = device.name.device_key;
    must(ask_and_wait(ask, id, model::device::command{std::move(device), {}, actor, {}}),
         "device " + key);
    devices.push_back(id);
    shown["devices"].push_back(
        {{"deviceKey", key}, {"deviceSecret", secret}, {"assetId", to_string(id)}});
  }

  add_to_tree(ask, now, make_tree(ask, now, "Site A", shard_count), devices);

  auto key = model::organisation::api_key{};
  key.id = "k" + model::random_text(15);
  key.name = "demo";
  key.permissions = {"*"};
  const auto secret = model::random_text(40);
  key.secret_sha256 = model::sha256_hex(secret);
  shown["apiKey"] = transport::write_api_key(organisation, key.id, secret);
  ask_organisation(ask, model::organisation::create_key{std::move(key)}, "API key");
  return shown.dump(2) + "\n";
}

}  // namespace orrery::app
