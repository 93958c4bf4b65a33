#include "tests/support/small_node.hpp"

#include <gtest/gtest.h>

#include "actors/name_settling.hpp"
#include "tests/support/spawn.hpp"

namespace orrery::tests {

small_node::small_node(options wanted) : options_{std::move(wanted)} {
  start();
  if (!options_.filled)
    return;
  const auto must = [](const actors::answer& got) {
    EXPECT_TRUE(got) << (got ? "" : got.error().detail);
  };
  const auto id = [](model::entity_kind kind, std::string_view name) {
    return actors::catalogue_id(kind, name);
  };
  const auto models = id(model::entity_kind::blueprint, "org/m");
  must(ask(models, blueprint_order(blueprint())));
  must(ask(models, blueprint_order(model::blueprint::publish{"first", false})));
  must(ask(id(model::entity_kind::product, product_key), product_order(product())));
}

small_node::~small_node() {
  crash();
}

void small_node::crash() {
  if (!journal)
    return;
  stage_.kill(journal);  // ends come before all other messages
  for (auto& [shard, host] : hosts_)
    stage_.kill(host);
  for (auto& c : connections_)
    stage_.kill(c.session);
  hosts_.clear();
  connections_.clear();
  router->clear();
  caller.reset();
  stage_.run();
  asker_.reset();
}

void small_node::start() {
  ++incarnation;
  opened.clear();
  known = std::make_shared<actors::catalogue>();
  EXPECT_TRUE(known->load(*store));
  feed = std::make_shared<actors::feed>(100);
  sessions = std::make_shared<actors::session_table>(incarnation);
  figures = std::make_shared<actors::journal_figures>();
  shards = std::make_shared<actors::shard_table>();
  router = std::make_shared<cluster::router>(options_.shards);
  effects = std::make_shared<recording_effects>();
  awake_ = std::make_shared<std::atomic<std::int64_t>>(0);
  asker_ = std::make_unique<recorder>(stage_);
  for (std::uint16_t s = 0; s < options_.shards; ++s)
    (*shards)[s] = std::make_shared<actors::shard_status>();
  for (auto& [shard, status] : *shards)
    status->writable.store(starts_writable);
  (*shards)[model::catalogue_shard] = std::make_shared<actors::shard_status>();
  caller = std::make_shared<actors::caller>(system(), router, incarnation, std::chrono::seconds{5});
  effects->also_run = [this](const model::effect& e, const model::entity_id& entity) {
    if (const auto* message = std::get_if<model::deliver>(&e)) {
      if (const auto session = sessions->find(message->session))
        caf::anon_send(session, actors::session_deliver{message->message});
    } else if (const auto* end = std::get_if<model::close_session>(&e)) {
      if (const auto session = sessions->find(end->session))
        caf::anon_send(session, actors::session_end{entity, end->reason});
    } else if (const auto* waiter = std::get_if<model::settle_waiter>(&e)) {
      caller->command_over(waiter->waiter);
    } else if (const auto* later = std::get_if<model::remind>(&e)) {
      caf::anon_send(hosts_.at(entity.shard), actors::reminder{entity, later->kind, later->at});
    } else if (const auto* doubt = std::get_if<model::look_for_name>(&e)) {
      actors::settle_name(caller, {entity, doubt->device, doubt->renames},
                          [](const model::status&) {});
    } else if (auto question = actors::order_of(e, entity)) {
      router->route(std::move(*question));
    }
  };
  effects->also_publish = [this](const auto& group) { feed->publish(group); };
  effects->also_change = [this](const auto& change) { known->apply(change); };
  journal = spawn_journal_here(system(), {.store = store,
                                          .effects = effects,
                                          .shards = shards,
                                          .figures = figures,
                                          .options = {.sync = true, .now = stage_.clock.reader()},
                                          .on_write_lost = [this](actors::write_lost lost) {
                                            if (const auto host = hosts_.find(lost.shard);
                                                host != hosts_.end())
                                              caf::anon_send(host->second, lost);
                                          }});
  for (const auto& [shard, status] : *shards) {
    auto context = actors::entity_context{
        .journal = journal,
        .figures = figures,
        .store = store,
        .known = known,
        .keys = std::make_shared<model::keyring>(keys()),
        .now = stage_.clock.reader(),
        .shard = status,
        .host = {},
        .pass_on = [this](actors::ask_batch b) { router->route(std::move(b)); },
        .feed_wanted = feed->wanted(),
        .shard_count = options_.shards,
        .unsaved_points_max = options_.unsaved_points_max};
    auto host = cluster::spawn_shard_host(
        system(),
        {.shard = shard,
         .context = std::move(context),
         .options = options_.hosts,
         .session_lost = [own = incarnation](std::uint64_t process) { return process != own; },
         // The catalogue's entities stand in no test's count.
         .awake = shard == model::catalogue_shard ? std::make_shared<std::atomic<std::int64_t>>(0)
                                                  : awake_,
         .on_open = [this](const model::status& ok) { opened.push_back(ok); },
         .elsewhere = [this](actors::ask_batch b) { given_back.push_back(std::move(b)); },
         .on_left = [this](model::shard_id left) { on_left(left); }});
    router->place(shard, host);
    hosts_.emplace(shard, std::move(host));
  }
  stage_.run();
}

std::uint64_t small_node::send(const actors::target& whom, actors::any_command what) {
  auto one = std::vector<actors::any_command>{};
  one.push_back(std::move(what));
  return send(whom, std::move(one)).front();
}

std::vector<std::uint64_t> small_node::send(const actors::target& whom,
                                            std::vector<actors::any_command> what) {
  auto numbers = std::vector<std::uint64_t>{};
  auto batch = actors::ask_batch{.shard = router->shard_of(whom), .asks = {}};
  for (auto& command : what) {
    numbers.push_back(++numbers_);
    batch.asks.push_back({asker_->handle(), numbers_, whom, std::move(command)});
  }
  router->route(std::move(batch));
  return numbers;
}

actors::answer small_node::ask(const actors::target& whom, actors::any_command what) {
  const auto number = send(whom, std::move(what));
  stage_.run();
  const auto* got = asker_->to(number);
  EXPECT_TRUE(got) << "nobody answered question " << number;
  return got ? *got : actors::answer{model::failure{model::errc::internal, "nobody answered"}};
}

model::shard_id small_node::shard_of(const std::string& device_key) const {
  return router->shard_of(model::device_name{product_key, device_key});
}

model::entity_id small_node::add_device(const std::string& key) {
  const auto name = model::device_name{product_key, key};
  const auto id =
      model::make_entity_id(shard_of(key), now(), {7, static_cast<std::uint8_t>(++numbers_)});
  const auto got = ask(id, order(registration(name)));
  EXPECT_TRUE(got) << (got ? "" : got.error().detail);
  return id;
}

std::optional<model::value> small_node::latest(const model::entity_id& device,
                                               const std::string& point) {
  const auto got = ask(device, order(model::device::read_latest{{point}}));
  const auto* found = reply_of<model::device::latest_points>(got);
  EXPECT_TRUE(found) << (got ? "another reply" : got.error().detail);
  if (!found || found->points.empty())
    return std::nullopt;
  return found->points.front().v;
}

model::device::state small_node::state_of(const model::entity_id& device) {
  const auto got = ask(device, order(model::device::read_device{}));
  const auto* found = reply_of<model::device::device_snapshot>(got);
  EXPECT_TRUE(found) << (got ? "another reply" : got.error().detail);
  return found ? *found->what : model::device::state{};
}

void small_node::change_role(model::shard_id shard, actors::shard_role::what role) {
  auto& generation = shards->at(shard)->generation;
  if (role != actors::shard_role::what::leaves)
    ++generation;
  caf::anon_send(host(shard), actors::shard_role{role, generation.load()});
}

small_node::connection small_node::connect() {
  const auto port = std::make_shared<recording_port>();
  auto session = actors::spawn_session(system(), {router, sessions}, port);
  connections_.push_back({session, port});
  stage_.run();
  return connections_.back();
}

small_node::connection small_node::login(const std::string& key) {
  const auto c = connect();
  const auto name = model::device_name{product_key, key};
  caf::anon_send(c.session, actors::session_login{++numbers_, name, tests::login(name)});
  stage_.run();
  return c;
}

}  // namespace orrery::tests
