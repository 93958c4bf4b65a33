#include "app/node.hpp"

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <thread>
#include <unistd.h>
#include <utility>

#include <caf/all.hpp>

#include "actors/catalogue.hpp"
#include "actors/configuration_sweeper.hpp"
#include "actors/feed.hpp"
#include "actors/journal.hpp"
#include "actors/operation_runner.hpp"
#include "actors/query.hpp"
#include "actors/session.hpp"
#include "app/backups.hpp"
#include "app/certificates.hpp"
#include "app/cluster_place.hpp"
#include "app/content.hpp"
#include "app/effects.hpp"
#include "app/gauges.hpp"
#include "app/joining.hpp"
#include "app/shards.hpp"
#include "cluster/router.hpp"
#include "net/io_threads.hpp"
#include "net/tls.hpp"
#include "net/web_client.hpp"
#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "storage/restore.hpp"
#include "transport/api/device_work.hpp"
#include "transport/api/service.hpp"
#include "transport/device_ports.hpp"
#include "transport/device_quota.hpp"
#include "transport/file_exchange.hpp"
#include "transport/identity_desk.hpp"
#include "transport/issuance.hpp"
#include "transport/mqtt/listener.hpp"
#include "transport/refused_logins.hpp"

namespace orrery::app {

namespace log = observe::log;

namespace {

constexpr auto stop_patience = std::chrono::seconds{5};
constexpr auto housekeeping_interval = std::chrono::minutes{1};
constexpr auto trust_interval = std::chrono::milliseconds{100};

model::timestamp clock_now() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

log::level level_of(const std::string& name) {
  return name == "debug"   ? log::level::debug
         : name == "warn"  ? log::level::warn
         : name == "error" ? log::level::error
         : name == "off"   ? log::level::off
                           : log::level::info;
}

std::vector<std::string> host_names() {
  auto names = std::vector<std::string>{};
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) == 0 && *name != '\0')
    names.emplace_back(name);
  return names;
}

}  // namespace

struct node::impl {
  impl(const config::settings& s, bool again) : settings{s}, found_again{again} {}

  config::settings settings;
  bool found_again;
  net::pki_files pki;
  std::unique_ptr<data_folder> data;
  std::shared_ptr<storage::entity_store> store;
  std::shared_ptr<model::keyring> keys;
  std::string token_key, ticket_secret, file_key;
  std::uint64_t incarnation = 0;
  std::shared_ptr<observe::metrics> metrics = std::make_shared<observe::metrics>();
  std::shared_ptr<actors::catalogue> known = std::make_shared<actors::catalogue>();
  std::shared_ptr<actors::feed> feed;
  std::shared_ptr<actors::session_table> sessions;
  std::shared_ptr<actors::journal_figures> figures = std::make_shared<actors::journal_figures>();
  std::shared_ptr<actors::shard_table> shards = std::make_shared<actors::shard_table>();
  std::shared_ptr<std::atomic<std::int64_t>> awake = std::make_shared<std::atomic<std::int64_t>>(0);
  std::shared_ptr<cluster::router> router;
  std::unique_ptr<app::backups> backups;
  std::unique_ptr<cluster_place> place;      // in a cluster
  cluster::member* member = nullptr;         // of it
  std::shared_ptr<cluster::lone_desk> lone;  // or the desk of a node that is alone
  std::shared_ptr<node_effects> effects;
  caf::actor_system_config caf_settings;
  std::unique_ptr<caf::actor_system> system;
  actors::journal_actor journal;
  std::shared_ptr<actors::caller> ask;
  std::shared_ptr<actors::query> query;
  std::shared_ptr<transport::device_quota> quota;
  std::shared_ptr<actors::operation_runner> operations;
  std::unique_ptr<actors::configuration_sweeper> configurations;
  std::function<void()> reload_certificates = [] {};
  std::function<void()> renew_trust = [] {}, renew_bans = [] {};
  std::shared_ptr<transport::issuance> certificates;
  std::shared_ptr<actors::blob_access> blobs;
  std::shared_ptr<transport::file_exchange> files;
  std::shared_ptr<transport::file_quota> file_quota;
  std::unique_ptr<net::io_threads> io;
  std::shared_ptr<net::web_client> web;
  std::unique_ptr<transport::mqtt::listener> mqtt;
  std::unique_ptr<transport::device_ports> devices;
  std::unique_ptr<transport::api::service> api;
  std::shared_ptr<transport::refused_logins> refused;
  std::atomic<bool> ready{false};
  std::thread housekeeper;
  std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;  // with the mutex, as the next one
  bool settled = false;   // nothing is answered any more
  bool stopped = false;

  std::uint16_t shard_count() const {
    return static_cast<std::uint16_t>(settings.cluster.shard_count);
  }

  void open_data() {
    data = std::make_unique<data_folder>(settings, clock_now());
    store = data->store();
    const auto master = data->master_key();
    const auto derived = [&](const char* what) {
      return model::sha256_hex(std::string{master.begin(), master.end()} + what);
    };
    keys = std::make_shared<model::keyring>(master);
    token_key = derived(":tokens");
    ticket_secret = derived(":tickets");
    file_key = derived(":files");
    auto kept = storage::blobs::open(data->file(std::string{storage::blobs_folder}));
    if (!kept)
      give_up(kept.error());
    backups = std::make_unique<app::backups>(store, *kept, settings, clock_now);
    blobs = std::make_shared<actors::blob_access>(std::move(*kept));
    find_place(derived(":check").substr(0, 16));
  }

  /// Alone, or with a number of the cluster's.
  void find_place(std::string key_check) {
    if (!is_in_cluster(settings)) {
      lone = desk_of_lone_node(settings, *data, clock_now());
      lone->makes({.begin = [this](std::string actor) { return backups->begin(std::move(actor)); },
                   .all = [this] { return backups->all(); }});
      data->note_taken_up();
      incarnation = data->next_incarnation(0, clock_now());
      return;
    }
    place = std::make_unique<cluster_place>(
        settings, *data,
        cluster_place_parts{.key_check = std::move(key_check),
                            .known = known,
                            .shards = shards,
                            .figures = figures,
                            .now = clock_now,
                            .on_writer =
                                [this](std::function<void()> work) {
                                  caf::anon_send(journal, actors::writer_task{std::move(work)});
                                },
                            .backups = backups.get(),
                            .redirect = [this](const auto& where) { redirect(where); },
                            .blobs = blobs,
                            .found_again = found_again});
    member = &place->member();
    incarnation = place->incarnation();
  }

  void redirect(const std::optional<cluster::redirection>& where) {
    if (settings.drain.sessions_per_second == 0)
      return;
    log::info("node", where ? "devices_sent_away" : "devices_stay",
              {{"references", where ? where->to.size() : 0}});
    mqtt->redirect(where ? std::optional{transport::mqtt::redirection{where->for_good, where->to}}
                         : std::nullopt);
  }

  void start_actors() {
    if (auto ok = known->load(*store); !ok)
      give_up(ok.error());
    feed = std::make_shared<actors::feed>(settings.stream.max_queued);
    sessions = std::make_shared<actors::session_table>(incarnation);
    router = member ? member->router() : std::make_shared<cluster::router>(shard_count());
    effects = std::make_shared<node_effects>(incarnation, shard_count(), sessions, feed, known);
    effects->set_router(router);
    if (place)
      place->set_effects(effects);
    for (unsigned s = 0; s < shard_count(); ++s)
      (*shards)[static_cast<model::shard_id>(s)] = std::make_shared<actors::shard_status>();
    (*shards)[model::catalogue_shard] = std::make_shared<actors::shard_status>();
    observe_commits(*metrics, *figures);
    caf_settings.set("scheduler.policy", caf::atom("sharing"));
    caf_settings.set("scheduler.max-threads", static_cast<std::size_t>(settings.threads.actors));
    system = std::make_unique<caf::actor_system>(caf_settings);
    journal = actors::spawn_journal(
        *system, actors::journal_parts{.store = store,
                                       .effects = effects,
                                       .shards = shards,
                                       .figures = figures,
                                       .options = {.sync = settings.storage.durability == "sync",
                                                   .group_max_bytes = 4 * 1024 * 1024,
                                                   .retention = settings.storage.journal_retention,
                                                   .now = clock_now},
                                       .on_write_lost =
                                           [e = effects](actors::write_lost lost) {
                                             if (const auto host = e->hosts.find(lost.shard);
                                                 host != e->hosts.end())
                                               caf::anon_send(host->second, lost);
                                           },
                                       .replicas = member ? member->replicas() : nullptr,
                                       .on_role =
                                           [this](model::shard_id shard, actors::shard_role role) {
                                             caf::anon_send(effects->hosts.at(shard), role);
                                             member->note_role(shard, role);
                                           }});
    ask = std::make_shared<actors::caller>(*system, router, incarnation, settings.api.ask_timeout);
    effects->set_caller(ask);
    open_shards(*system, settings,
                {.context = {.journal = journal,
                             .figures = figures,
                             .store = store,
                             .known = known,
                             .keys = keys,
                             .now = clock_now,
                             .shard = {},
                             .host = {},
                             .feed_wanted = feed->wanted(),
                             .max_queued_commands = settings.commands.max_queued,
                             .max_login_failures = settings.api.max_login_failures,
                             .audit_retention = settings.audit.retention,
                             .audit_max_bytes = settings.audit.max_bytes,
                             .max_queued_messages = settings.mqtt.max_queued,
                             .shard_count = shard_count(),
                             .unsaved_points_max = 4096},
                 .shards = shards,
                 .router = router,
                 .awake = awake,
                 .incarnation = incarnation,
                 .member = member},
                *effects);
    query = std::make_shared<actors::query>(store, ask, shard_count(), settings.threads.query,
                                            place ? place->reads() : nullptr);
    if (place)
      place->set_query(query);
    quota = std::make_shared<transport::device_quota>(transport::device_quota_parts{
        .ask = ask, .query = query, .known = known, .shard_count = shard_count()});
    file_quota = std::make_shared<transport::file_quota>(
        transport::file_quota_parts{.query = query, .known = known, .now = clock_now});
    operations = std::make_shared<actors::operation_runner>(actors::runner_parts{
        .ask = ask,
        .reads = query,
        .make =
            transport::api::device_work({ask, query, known, keys, clock_now, shard_count(), quota}),
        .workers = settings.operations.workers});
    effects->set_runner(operations);
    observe_operations(*metrics, operations->figures());
    configurations = std::make_unique<actors::configuration_sweeper>(actors::sweeper_parts{
        .ask = ask,
        .reads = query,
        .known = known,
        .shard_count = shard_count(),
        .life = [m = member, all = shards](model::shard_id shard) -> std::optional<std::uint64_t> {
          if (m && !m->serves(shard))
            return std::nullopt;
          return all->at(shard)->generation.load(std::memory_order_acquire);
        },
        .devices_per_second = static_cast<double>(settings.configurations.devices_per_second)});
    observe_configurations(*metrics, configurations->figures());
  }

  void open_ports() {
    auto for_anyone = net::tls_source{}, for_devices = net::tls_source{};
    if (has_tls_ports(settings)) {
      pki = net::ensure_pki(data->file("pki"), host_names());
      const auto tls = open_certificates(settings, pki, ticket_secret);
      reload_certificates = keep_certificates(tls, *metrics);
      renew_trust = keep_trust(tls, known);
      renew_trust();
      for_anyone = [tls] { return tls->for_anyone(); };
      for_devices = [tls] { return tls->for_devices(); };
    }
    certificates = std::make_shared<transport::issuance>(transport::issuance_parts{
        .ask = ask,
        .known = known,
        .keys = keys,
        .now = clock_now,
        .pool = [weak = std::weak_ptr{query}](std::function<void()> work) {
          if (const auto q = weak.lock())
            q->run(std::move(work));
        }});
    files = std::make_shared<transport::file_exchange>(transport::file_exchange_parts{
        .ask = ask,
        .blobs = blobs,
        .key = file_key,
        .now = clock_now,
        .limits = {settings.files.max_files, settings.files.max_bytes,
                   settings.files.max_file_bytes},
        .link_lifetime = settings.files.link_lifetime,
        .metrics = metrics,
        .quota = file_quota});
    const auto guard = std::make_shared<transport::login_guard>(settings.login);
    renew_bans = keep_bans(guard, known, clock_now);
    renew_bans();  // before anybody can log in
    io = std::make_unique<net::io_threads>(settings.threads.io);
    web = std::make_shared<net::web_client>(
        io->next(), net::outbound_context(settings.identity.ca),
        net::web_limits{.patience = settings.identity.timeout,
                        .private_addresses = settings.identity.private_addresses});
    const auto identities =
        std::make_shared<transport::identity_desk>(transport::identity_desk_parts{
            .ask = [web = web](
                       net::web_request what,
                       net::web_client::then done) { web->ask(std::move(what), std::move(done)); },
            .keys = keys,
            .now = clock_now});
    api = std::make_unique<transport::api::service>(
        *io,
        transport::api::service_parts{
            .ask = ask,
            .query = query,
            .feed = feed,
            .desk = place ? std::shared_ptr<actors::cluster_desk>{place->desk()} : lone,
            .known = known,
            .keys = keys,
            .tokens = std::make_shared<transport::api::token_signer>(token_key),
            .certificates = certificates,
            .guard = guard,
            .files = files,
            .metrics = metrics,
            .now = clock_now,
            .settings = settings,
            .shard_count = shard_count(),
            .quota = quota,
            .identities = identities},
        for_anyone, [this]() -> std::optional<std::string> {
          if (!ready.load())
            return "starting or stopping";
          if (member && !member->is_registered())
            return "not registered at the cluster's coordinator";
          if (place && !place->has_catalogue())
            return "the catalogue has not come yet";
          return std::nullopt;
        });
    const auto holders =
        std::make_shared<const transport::certificate_holders>(ask, query, shard_count());
    refused = std::make_shared<transport::refused_logins>(api->records(), clock_now);
    mqtt = std::make_unique<transport::mqtt::listener>(
        *io, transport::mqtt::parts{
                 .link = {.system = system.get(),
                          .session = {router, sessions},
                          .journal = figures,
                          .journal_queue_max_bytes = settings.storage.queue_max_bytes},
                 .known = known,
                 .keys = keys,
                 .now = clock_now,
                 .shard_count = shard_count(),
                 .node = settings.node.name,
                 .limits = settings.mqtt,
                 .ports = settings.listeners,
                 .guard = guard,
                 .certificates = certificates,
                 .holders = holders,
                 .files = files,
                 .moved_per_second = settings.drain.sessions_per_second,
                 .tls = for_devices,
                 .metrics = metrics,
                 .quota = quota,
                 .refused = refused});
    devices = std::make_unique<transport::device_ports>(
        *io, settings.listeners, for_devices,
        transport::device_routes{{"mqtt", mqtt->web_sockets()}, {"files", files->handler()}},
        *metrics, transport::long_bodies{files->taker(), settings.files.max_file_bytes});
    files->serve_at(file_url());
  }

  /// Where links to files lead.
  std::string file_url() const {
    if (auto url = settings.files.public_url; !url.empty()) {
      while (url.ends_with('/'))
        url.pop_back();
      return url;
    }
    const auto where =
        public_addresses(settings, {{"http", devices->port()}, {"https", devices->tls_port()}});
    return devices->tls_port() != 0 ? "https://" + where.at("https") : "http://" + where.at("http");
  }

  /// Old slices of samples go, the next ones are made; the journal is kept within its size;
  /// certificates that were changed are taken up. New authorities of clients are trusted at once,
  /// as far as anybody notices.
  void keep_house() {
    auto hold = std::unique_lock{mutex};
    auto next = std::chrono::steady_clock::now() + housekeeping_interval;
    while (!wake.wait_for(hold, trust_interval, [this] { return stopping; })) {
      hold.unlock();
      renew_trust();
      renew_bans();
      mqtt->tell_statistics();
      refused->look_after();
      api->look_after();
      file_quota->look_after();
      if (std::chrono::steady_clock::now() < next) {
        hold.lock();
        continue;
      }
      next = std::chrono::steady_clock::now() + housekeeping_interval;
      reload_certificates();
      files->look_after();
      const auto now = clock_now();
      if (const auto ok = store->roll_slices(now - settings.storage.sample_retention, now); !ok)
        log::warn("storage", "slices_not_rolled", {{"detail", ok.error().detail}});
      if (const auto ok = store->limit_journal(settings.storage.journal_max_bytes); !ok)
        log::warn("storage", "journal_not_limited", {{"detail", ok.error().detail}});
      hold.lock();
    }
    // Records that answers wait for are still tried.
    while (!wake.wait_for(hold, trust_interval, [this] { return settled; })) {
      hold.unlock();
      api->look_after();
      hold.lock();
    }
  }

  template <class Condition>
  bool wait_for(Condition holds) {
    const auto until = std::chrono::steady_clock::now() + stop_patience;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > until)
        return false;
      std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    return true;
  }

  void stop() {
    if (std::exchange(stopped, true))
      return;
    ready = false;
    {
      const auto hold = std::lock_guard{mutex};
      stopping = true;
    }
    wake.notify_all();
    if (place)
      place->stop_asking();
    if (operations)
      operations->stop();  // while whom it asks is there
    if (configurations)
      configurations->stop();
    if (backups)
      backups->stop();
    if (member && member->is_registered() && !member->hand_over(stop_patience))
      log::warn("node", "shards_left", {});
    if (api) {
      api->stop();
      web->stop();  // whoever waits for others is answered now
      if (!wait_for([this] { return api->under_way() == 0; }))
        log::warn("node", "requests_left", {{"requests", api->under_way()}});
    }
    {
      const auto hold = std::lock_guard{mutex};
      settled = true;
    }
    wake.notify_all();
    if (housekeeper.joinable())
      housekeeper.join();
    if (refused)
      refused->flush();
    if (api) {
      api->flush();
      if (!wait_for([this] { return api->records_open() == 0; }))
        api->give_up_records();
    }
    if (place)
      place->reads()->stop();
    if (devices)
      devices->stop();
    if (mqtt)
      mqtt->stop();
    if (sessions && !wait_for([this] { return sessions->size() == 0; }))
      log::warn("node", "sessions_left", {{"sessions", sessions->size()}});
    wait_for([this] { return figures->queued_bytes.load() == 0; });
    if (io)
      io->stop();
    if (place)
      place->stop();
    if (blobs) {
      blobs->stop();  // what it still calls back posts to the threads of the sockets
      blobs->set_elsewhere(nullptr);
    }
    api.reset();
    devices.reset();
    mqtt.reset();
    web.reset();
    io.reset();  // with it go the connections that are left, and what they hold
    if (place)
      place->release();
    if (files)
      files->stop();
    files.reset();
    blobs.reset();
    certificates.reset();
    if (effects)
      effects->set_runner(nullptr);
    operations.reset();
    configurations.reset();
    quota.reset();
    if (file_quota)
      file_quota->stop();
    query.reset();
    ask.reset();
    if (router)
      router->clear();
    if (effects) {
      for (const auto& [shard, host] : effects->hosts)
        caf::anon_send_exit(host, caf::exit_reason::user_shutdown);
      effects->hosts.clear();
    }
    if (system)
      caf::anon_send_exit(journal, caf::exit_reason::user_shutdown);
    journal = nullptr;
    system.reset();
    router.reset();
    member = nullptr;
    place.reset();
    backups.reset();
    data.reset();
    store.reset();
  }
};

node::node(const config::settings& settings, bool found_again)
    : impl_{std::make_unique<impl>(settings, found_again)} {
  auto& n = *impl_;
  log::set_level(level_of(settings.log.level));
  try {
    check_certificates(settings);
    n.open_data();
    n.start_actors();
    if (!n.member)
      make_first_user(*n.ask, password_file());
    add_gauges(*n.metrics, {.store = n.store,
                            .figures = n.figures,
                            .shards = n.shards,
                            .awake = n.awake,
                            .sessions = n.sessions,
                            .feed = n.feed,
                            .backups = n.backups->figures()});
    if (n.member)
      add_cluster_gauges(*n.metrics, *n.member, n.shards->size());
    n.open_ports();
    if (n.member)
      n.place->start(public_addresses(settings, ports()), n.ask);
    else
      n.lone->listens(public_addresses(settings, ports()));
  } catch (...) {
    n.stop();
    throw;
  }
  n.housekeeper = std::thread{[this] { impl_->keep_house(); }};
  n.ready = true;
}

node::~node() {
  impl_->stop();
}

std::map<std::string, std::uint16_t> node::ports() const {
  const auto& n = *impl_;
  auto all = std::map<std::string, std::uint16_t>{
      {"mqtt", n.mqtt->port()},         {"mqtts", n.mqtt->tls_port()}, {"http", n.devices->port()},
      {"https", n.devices->tls_port()}, {"api", n.api->port()},        {"apis", n.api->tls_port()},
      {"admin", n.api->admin_port()}};
  if (n.member)
    all.emplace("link", n.member->link_port());
  std::erase_if(all, [](const auto& p) { return p.second == 0; });
  return all;
}

const std::string& node::ca_file() const {
  return impl_->pki.ca;
}
std::string node::password_file() const {
  return impl_->data->file("admin-password");
}

void node::add_demo() {
  if (impl_->place)
    impl_->place->wait_for_first_user();
  const auto path = impl_->data->file("demo.json");
  if (!std::filesystem::exists(path))
    write_secret_file(path,
                      make_demo(*impl_->ask, *impl_->keys, clock_now(), impl_->shard_count()));
}

void node::reload_certificates() {
  impl_->reload_certificates();
}

void node::stop() {
  impl_->stop();
}

}  // namespace orrery::app
