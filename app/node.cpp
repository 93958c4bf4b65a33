#include "app/node.hpp"

#include <condition_variable>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <caf/all.hpp>

#include "actors/catalogue.hpp"
#include "actors/feed.hpp"
#include "actors/journal.hpp"
#include "actors/query.hpp"
#include "actors/session.hpp"
#include "cluster/router.hpp"
#include "cluster/shard_host.hpp"
#include "config/load.hpp"
#include "net/io_threads.hpp"
#include "net/tls.hpp"
#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "observe/process.hpp"
#include "storage/keys.hpp"
#include "storage/rocks_store.hpp"
#include "transport/api/service.hpp"
#include "transport/mqtt/listener.hpp"

namespace orrery::app {

namespace log = observe::log;
namespace fs = std::filesystem;

namespace {

constexpr auto stop_patience = std::chrono::seconds{5};
constexpr auto housekeeping_interval = std::chrono::minutes{1};

model::timestamp clock_now() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

/// What commits set off on this node.
class node_effects final : public actors::commit_effects {
 public:
  node_effects(std::shared_ptr<actors::session_table> sessions, std::shared_ptr<actors::feed> feed,
               std::shared_ptr<actors::catalogue> known)
      : sessions_{std::move(sessions)}, feed_{std::move(feed)}, known_{std::move(known)} {}

  void run(const model::effect& e, const model::entity_id& entity) override {
    if (const auto* message = std::get_if<model::deliver>(&e)) {
      if (const auto session = sessions_->find(message->session))
        caf::anon_send(session, actors::session_deliver{message->message});
    } else if (const auto* end = std::get_if<model::close_session>(&e)) {
      if (const auto session = sessions_->find(end->session))
        caf::anon_send(session, actors::session_end{end->reason});
    } else if (const auto* waiter = std::get_if<model::settle_waiter>(&e)) {
      if (const auto ask = ask_.lock())
        ask->command_over(waiter->waiter);
    } else if (const auto* later = std::get_if<model::remind>(&e)) {
      if (const auto host = hosts.find(entity.shard); host != hosts.end())
        caf::anon_send(host->second, actors::reminder{entity, later->at});
    }
  }
  void publish(std::vector<actors::published> group) override { feed_->publish(group); }
  void change_catalogue(const actors::catalogue_change& change) override { known_->apply(change); }

  // Both are set before the first connection.
  void set_caller(const std::shared_ptr<actors::caller>& ask) { ask_ = ask; }
  std::unordered_map<model::shard_id, actors::host_actor> hosts;

 private:
  std::shared_ptr<actors::session_table> sessions_;
  std::shared_ptr<actors::feed> feed_;
  std::shared_ptr<actors::catalogue> known_;
  std::weak_ptr<actors::caller> ask_;
};

/// Throws what ends a start, by the failure of the store.
[[noreturn]] void give_up(const model::failure& why) {
  throw storage_failed{why.detail};
}

std::string read_file(const std::string& path) {
  auto in = std::ifstream{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// The master key of the installation: 64 hex digits in <data>/master.key.
model::keyring::key_bytes master_key(const std::string& path) {
  if (!fs::exists(path))
    write_secret_file(path, model::sha256_hex(model::random_text(64)) + "\n");
  const auto text = read_file(path);
  auto key = model::keyring::key_bytes{};
  if (text.size() < 64 || text.find_first_not_of("0123456789abcdef") < 64)
    throw storage_failed{
        path +
        ": expected 64 hex digits; without the key of this installation no secret can be read"};
  for (std::size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<std::uint8_t>(std::stoi(text.substr(2 * i, 2), nullptr, 16));
  return key;
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

void write_secret_file(const std::string& path, const std::string& text) {
  const auto temporary = path + ".new";
  const auto file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const auto fail = [&] {
    const auto why = std::string{std::strerror(errno)};
    if (file >= 0)
      ::close(file);
    throw storage_failed{path + " cannot be written: " + why};
  };
  if (file < 0 || ::write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::fsync(file) != 0)
    fail();
  ::close(file);
  if (std::rename(temporary.c_str(), path.c_str()) != 0)
    throw storage_failed{path + " cannot be written: " + std::strerror(errno)};
}

actors::answer ask_and_wait(actors::caller& ask, actors::target whom, actors::any_command what) {
  auto done = std::make_shared<std::promise<actors::answer>>();
  auto got = done->get_future();
  ask.ask(std::move(whom), std::move(what),
          [done](actors::answer a) { done->set_value(std::move(a)); });
  return got.get();
}

struct node::impl {
  explicit impl(const config::settings& s) : settings{s} {}

  config::settings settings;
  net::pki_files pki;
  std::shared_ptr<storage::entity_store> store;
  std::shared_ptr<model::keyring> keys;
  std::string token_key;
  std::uint64_t incarnation = 0;
  std::shared_ptr<observe::metrics> metrics = std::make_shared<observe::metrics>();
  std::shared_ptr<actors::catalogue> known = std::make_shared<actors::catalogue>();
  std::shared_ptr<actors::feed> feed;
  std::shared_ptr<actors::session_table> sessions;
  std::shared_ptr<actors::journal_figures> figures = std::make_shared<actors::journal_figures>();
  std::shared_ptr<actors::shard_table> shards = std::make_shared<actors::shard_table>();
  std::shared_ptr<std::atomic<std::int64_t>> awake = std::make_shared<std::atomic<std::int64_t>>(0);
  std::shared_ptr<cluster::router> router;
  std::shared_ptr<node_effects> effects;
  caf::actor_system_config caf_settings;
  std::unique_ptr<caf::actor_system> system;
  actors::journal_actor journal;
  std::shared_ptr<actors::caller> ask;
  std::shared_ptr<actors::query> query;
  std::unique_ptr<net::io_threads> io;
  std::unique_ptr<transport::mqtt::listener> mqtt;
  std::unique_ptr<transport::api::service> api;
  std::atomic<bool> ready{false};
  std::thread housekeeper;
  std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false, stopped = false;

  std::string file(const char* name) const {
    return (fs::path{settings.node.data} / name).string();
  }
  std::uint16_t shard_count() const {
    return static_cast<std::uint16_t>(settings.cluster.shard_count);
  }

  void open_store() {
    auto made =
        storage::open_rocks_store({.folder = file("db"),
                                   .write_buffer_bytes = settings.storage.write_buffer_bytes,
                                   .block_cache_bytes = settings.storage.block_cache_bytes,
                                   .synced = settings.storage.durability == "sync",
                                   .sample_retention = settings.storage.sample_retention},
                                  clock_now());
    if (!made)
      give_up(made.error());
    store = std::move(*made);
    check_shard_count();
    next_incarnation();
  }

  /// A name's shard depends on the number of shards: it never changes.
  void check_shard_count() {
    const auto key = storage::keys::meta("shards");
    const auto row = store->get(storage::family::meta, key);
    if (!row)
      give_up(row.error());
    const auto wanted = std::to_string(settings.cluster.shard_count);
    if (*row && **row != wanted)
      throw config::bad_settings{"cluster.shard_count: the data folder was made with " + **row +
                                 " shards, the settings say " + wanted +
                                 "; the number is fixed when the folder is made\n"};
    if (!*row)
      put(key, wanted);
  }

  /// Rises with every start, also when the clock went back.
  void next_incarnation() {
    const auto key = storage::keys::meta("incarnation");
    const auto row = store->get(storage::family::meta, key);
    if (!row)
      give_up(row.error());
    const auto last = *row ? std::strtoull((*row)->c_str(), nullptr, 10) : 0;
    incarnation =
        std::max<std::uint64_t>(last + 1, static_cast<std::uint64_t>(model::to_ms(clock_now())));
    put(key, std::to_string(incarnation));
  }

  void put(std::string key, std::string value) {
    const auto row = storage::row{
        .family = storage::family::meta, .key = std::move(key), .value = std::move(value)};
    if (auto ok = store->put(std::span{&row, 1}, true); !ok)
      give_up(ok.error());
  }

  void start_actors() {
    if (auto ok = known->load(*store); !ok)
      give_up(ok.error());
    feed = std::make_shared<actors::feed>(settings.stream.max_queued);
    sessions = std::make_shared<actors::session_table>(incarnation);
    router = std::make_shared<cluster::router>(shard_count());
    effects = std::make_shared<node_effects>(sessions, feed, known);
    for (unsigned s = 0; s < shard_count(); ++s)
      (*shards)[static_cast<model::shard_id>(s)] = std::make_shared<actors::shard_status>();
    (*shards)[model::catalogue_shard] = std::make_shared<actors::shard_status>();
    auto& sizes = metrics->distribution("orrery_journal_group_records", "Records of one commit",
                                        {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000});
    auto& times = metrics->distribution(
        "orrery_journal_commit_seconds", "Time of one commit",
        {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1});
    figures->observe = [&sizes, &times](std::size_t records, double seconds) {
      sizes.observe(static_cast<double>(records));
      times.observe(seconds);
    };
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
                                       .on_write_lost = [e = effects](actors::write_lost lost) {
                                         if (const auto host = e->hosts.find(lost.shard);
                                             host != e->hosts.end())
                                           caf::anon_send(host->second, lost);
                                       }});
    ask = std::make_shared<actors::caller>(*system, router, incarnation, settings.api.ask_timeout);
    effects->set_caller(ask);
    open_shards();
    query = std::make_shared<actors::query>(store, ask, shard_count(), settings.threads.query);
  }

  /// Hosts first learn their lives in the table, then open: a question of one finds all others.
  void open_shards() {
    const auto count = shards->size();
    const auto opened = std::make_shared<std::atomic<std::size_t>>(0);
    const auto failed = std::make_shared<std::pair<std::mutex, std::optional<model::failure>>>();
    const auto all = std::make_shared<std::promise<void>>();
    auto done = all->get_future();
    const auto share = std::max<std::size_t>(settings.storage.checkpoint_bytes / count, 64 * 1024);
    for (const auto& [shard, status] : *shards) {
      auto context = actors::entity_context{.journal = journal,
                                            .figures = figures,
                                            .store = store,
                                            .known = known,
                                            .keys = keys,
                                            .now = clock_now,
                                            .shard = status,
                                            .host = {},
                                            .feed_wanted = feed->wanted(),
                                            .max_queued_commands = settings.commands.max_queued,
                                            .max_login_failures = settings.api.max_login_failures,
                                            .shard_count = shard_count(),
                                            .unsaved_points_max = 4096};
      auto host = cluster::spawn_shard_host(
          *system, {.shard = shard,
                    .context = std::move(context),
                    .options = {.idle_timeout = settings.entities.idle_timeout,
                                .checkpoint_bytes = share,
                                .checkpoint_interval = settings.storage.checkpoint_interval,
                                .tick = std::chrono::seconds{1}},
                    .node_incarnation = incarnation,
                    .awake = awake,
                    .on_open = [opened, failed, all, count](const model::status& ok) {
                      if (!ok) {
                        const auto hold = std::lock_guard{failed->first};
                        failed->second = ok.error();
                      }
                      if (opened->fetch_add(1) + 1 == count)
                        all->set_value();
                    }});
      router->place(shard, {host, ""});
      effects->hosts.emplace(shard, std::move(host));
    }
    done.wait();
    if (failed->second)
      give_up(*failed->second);
  }

  void add_gauges() {
    auto& m = *metrics;
    m.gauge("orrery_build_info", "Version of the program", [] { return 1.0; },
            {{"version", ORRERY_VERSION}});
    m.gauge("orrery_journal_queued_bytes", "Waiting for the journal",
            [f = figures] { return static_cast<double>(f->queued_bytes.load()); });
    m.count("orrery_journal_failed_groups_total", "Commits that failed",
            [f = figures] { return static_cast<double>(f->failed_groups.load()); });
    m.gauge("orrery_journal_tail_bytes", "Records behind the checkpoint", [all = shards] {
      auto bytes = std::uint64_t{0};
      for (const auto& [number, shard] : *all)
        bytes += shard->tail_bytes.load(std::memory_order_relaxed);
      return static_cast<double>(bytes);
    });
    m.gauge("orrery_entities_awake", "Entities in memory",
            [a = awake] { return static_cast<double>(a->load()); });
    m.gauge("orrery_sessions", "Sessions",
            [s = sessions] { return static_cast<double>(s->size()); });
    m.gauge("orrery_feed_subscribers", "Live subscriptions",
            [f = feed] { return static_cast<double>(f->subscribers()); });
    m.count("orrery_feed_dropped_total", "Items dropped for slow subscribers",
            [f = feed] { return static_cast<double>(f->dropped()); });
    m.count("orrery_log_dropped_total", "Log entries dropped",
            [] { return static_cast<double>(log::dropped()); });
    observe::add_process_metrics(m);
    m.gauges("orrery_rocksdb_", [s = store] { return s->figures(); });
  }

  void open_ports() {
    auto tls = net::tls_context{};
    if (settings.listeners.mqtts.enabled || settings.listeners.apis.enabled) {
      pki = net::ensure_pki(file("pki"), host_names());
      tls = settings.tls.certificate.empty()
                ? net::server_context(pki.certificate, pki.key)
                : net::server_context(settings.tls.certificate, settings.tls.key);
    }
    io = std::make_unique<net::io_threads>(settings.threads.io);
    api = std::make_unique<transport::api::service>(
        *io,
        transport::api::service_parts{
            .ask = ask,
            .query = query,
            .feed = feed,
            .known = known,
            .keys = keys,
            .tokens = std::make_shared<transport::api::token_signer>(token_key),
            .metrics = metrics,
            .now = clock_now,
            .settings = settings,
            .shard_count = shard_count()},
        tls, [this]() -> std::optional<std::string> {
          return ready.load() ? std::nullopt : std::optional<std::string>{"starting or stopping"};
        });
    mqtt = std::make_unique<transport::mqtt::listener>(
        *io, transport::mqtt::parts{
                 .link = {.system = system.get(),
                          .session = {router, sessions},
                          .journal = figures,
                          .journal_queue_max_bytes = settings.storage.queue_max_bytes},
                 .known = known,
                 .now = clock_now,
                 .limits = settings.mqtt,
                 .ports = settings.listeners,
                 .tls = tls,
                 .metrics = metrics});
  }

  /// Old slices of samples go, the next ones are made; the journal is kept within its size.
  void keep_house() {
    auto hold = std::unique_lock{mutex};
    while (!wake.wait_for(hold, housekeeping_interval, [this] { return stopping; })) {
      hold.unlock();
      const auto now = clock_now();
      if (const auto ok = store->roll_slices(now - settings.storage.sample_retention, now); !ok)
        log::warn("storage", "slices_not_rolled", {{"detail", ok.error().detail}});
      if (const auto ok = store->limit_journal(settings.storage.journal_max_bytes); !ok)
        log::warn("storage", "journal_not_limited", {{"detail", ok.error().detail}});
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
    if (housekeeper.joinable())
      housekeeper.join();
    if (api)
      api->stop();
    if (mqtt)
      mqtt->stop();
    if (sessions && !wait_for([this] { return sessions->size() == 0; }))
      log::warn("node", "sessions_left", {{"sessions", sessions->size()}});
    wait_for([this] { return figures->queued_bytes.load() == 0; });
    if (io)
      io->stop();
    api.reset();
    mqtt.reset();
    io.reset();  // with it go the connections that are left, and what they hold
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
    store.reset();
  }
};

node::node(const config::settings& settings) : impl_{std::make_unique<impl>(settings)} {
  auto& n = *impl_;
  log::set_level(level_of(settings.log.level));
  auto failed = std::error_code{};
  fs::create_directories(settings.node.data, failed);
  if (failed)
    throw storage_failed{settings.node.data + " cannot be made: " + failed.message()};
  try {
    n.open_store();
    const auto master = master_key(n.file("master.key"));
    n.keys = std::make_shared<model::keyring>(master);
    n.token_key = model::sha256_hex(std::string{master.begin(), master.end()} + ":tokens");
    n.start_actors();
    make_first_user(*n.ask, password_file());
    n.add_gauges();
    n.open_ports();
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
  auto all = std::map<std::string, std::uint16_t>{{"mqtt", n.mqtt->port()},
                                                  {"mqtts", n.mqtt->tls_port()},
                                                  {"api", n.api->port()},
                                                  {"apis", n.api->tls_port()},
                                                  {"admin", n.api->admin_port()}};
  std::erase_if(all, [](const auto& p) { return p.second == 0; });
  return all;
}

const std::string& node::ca_file() const {
  return impl_->pki.ca;
}
std::string node::password_file() const {
  return impl_->file("admin-password");
}

void node::add_demo() {
  const auto path = impl_->file("demo.json");
  if (!fs::exists(path))
    write_secret_file(path, make_demo(*impl_->ask, *impl_->keys, clock_now()));
}

void node::stop() {
  impl_->stop();
}

}  // namespace orrery::app
