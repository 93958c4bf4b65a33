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
#include "actors/wire.hpp"
#include "app/backups.hpp"
#include "app/effects.hpp"
#include "app/gauges.hpp"
#include "app/joining.hpp"
#include "cluster/desk.hpp"
#include "cluster/member.hpp"
#include "cluster/remote_reads.hpp"
#include "cluster/router.hpp"
#include "cluster/shard_host.hpp"
#include "config/load.hpp"
#include "net/io_threads.hpp"
#include "net/tls.hpp"
#include "observe/log.hpp"
#include "observe/metrics.hpp"
#include "storage/backup.hpp"
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

namespace {

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
  std::unique_ptr<cluster::member> member;  // null: the node is alone
  std::shared_ptr<cluster::remote_reads> reads;
  std::shared_ptr<cluster::desk> desk;       // of a cluster
  std::shared_ptr<cluster::lone_desk> lone;  // or of a node that is alone
  std::unique_ptr<app::backups> backups;
  bool restored = false;  // the store is that of a backup
  std::string key_check;  // tells two master keys apart, and nothing else
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
  std::atomic<bool> boot_noted{false};
  std::thread housekeeper, starter;
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
  }

  /// A backup holds no keys, and a key that is made anew would read no secret of it.
  void check_restored(const std::string& key_file) {
    const auto from = storage::restored_from(*store);
    if (!from)
      give_up(from.error());
    restored = from->has_value();
    if (!restored)
      return;
    log::info("node", "restored", {{"backup", (*from)->id}, {"from", (*from)->node}});
    if (!fs::exists(key_file))
      throw storage_failed{settings.node.data +
                           " was restored from a backup, which holds no keys: put the "
                           "master key of then at " +
                           key_file + ", and pki/ of then beside it"};
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

  std::string note(const std::string& name) const {
    const auto row = store->get(storage::family::meta, storage::keys::meta(name));
    if (!row)
      give_up(row.error());
    return row->value_or("");
  }

  /// Rises with every start, also when the clock went back.
  void next_incarnation(cluster::node_id number) {
    const auto last = std::strtoull(note("incarnation").c_str(), nullptr, 10);
    incarnation = cluster::next_incarnation(
        last, static_cast<std::uint64_t>(model::to_ms(clock_now())), number);
    put(storage::keys::meta("incarnation"), std::to_string(incarnation));
  }

  /// The number of this node. A data folder is of one cluster for ever.
  cluster::node_id join(cluster::coordinator& at) {
    const auto name = note("cluster"), made = note("cluster_made");
    if (!name.empty() && name != settings.cluster.name)
      throw cluster_failed{"the data folder is of a node of the cluster " + name +
                           ", and the settings say " + settings.cluster.name +
                           ": set cluster.name to " + name + ", or give a new data folder"};
    auto has = cluster::own_data{.joined = !name.empty(), .made = {}, .restored = restored};
    if (!made.empty())
      has.made = model::from_ms(std::stoll(made));
    const auto joined = join_cluster(at, settings, key_check, clock_now(), has);
    put(storage::keys::meta("cluster"), settings.cluster.name);
    put(storage::keys::meta("cluster_made"), std::to_string(model::to_ms(joined.made)));
    return joined.number;
  }

  void desk_of(const cluster::member_parts& parts, std::shared_ptr<cluster::coordinator> at) {
    desk = std::make_shared<cluster::desk>(
        cluster::desk_parts{.at = std::move(at),
                            .cluster = settings.cluster.name,
                            .node = settings.node.name,
                            .placement = parts.placement,
                            .min_in_sync = parts.replicas.min_in_sync,
                            .makes_backups = !settings.backup.directory.empty(),
                            .keep_backups = settings.backup.keep,
                            .now = clock_now,
                            .seen = [this] { return member->view(); }});
  }

  /// Alone, or with a number of the cluster's.
  void find_place() {
    if (!is_in_cluster(settings)) {
      // Replicas may have entries that were not committed: only a cluster knows.
      if (!note("cluster").empty())
        throw config::bad_settings{
            "cluster.coordinator: the data folder is of a node of the "
            "cluster " +
            note("cluster") + ": it is not served alone\n"};
      lone = std::make_shared<cluster::lone_desk>(
          cluster::lone_node{.cluster = settings.cluster.name,
                             .name = settings.node.name,
                             .zone = settings.cluster.zone,
                             .weight = static_cast<std::uint32_t>(settings.cluster.weight),
                             .shard_count = shard_count(),
                             .started = clock_now()});
      lone->makes({.begin = [this](std::string actor) { return backups->begin(std::move(actor)); },
                   .all = [this] { return backups->all(); }});
      if (const auto ok = restored ? storage::clear_restored(*store) : model::status{}; !ok)
        give_up(ok.error());
      return next_incarnation(0);
    }
    const auto at = coordinator_of(settings, std::chrono::seconds{2});
    const auto number = join(*at);
    next_incarnation(number);
    auto parts = member_parts_of(settings, number, incarnation);
    desk_of(parts, at);
    parts.at = at;
    parts.lease_at = coordinator_of(settings, std::chrono::milliseconds{700});
    parts.store = store;
    parts.now = clock_now;
    // A log that goes to the disk with every write is whole after a crash of the machine too.
    const auto booted = note("boot");
    parts.replicas.whole = booted.empty() || booted == boot_id() || parts.replicas.sync;
    parts.on_writer = [this](std::function<void()> work) {
      caf::anon_send(journal, actors::writer_task{std::move(work)});
    };
    parts.tell_host = [this](model::shard_id shard, actors::shard_role::what what) {
      caf::anon_send(effects->hosts.at(shard),
                     actors::shard_role{what, shards->at(shard)->generation.load()});
    };
    parts.catalogue_rows = [this](const std::vector<storage::row>& rows) {
      for (const auto& r : rows)
        if (const auto ok = known->apply(r); !ok)
          log::error("catalogue", "change_not_read", {{"detail", ok.error().detail}});
    };
    parts.catalogue_loaded = [this] {
      if (const auto ok = known->load(*store); !ok)
        log::error("catalogue", "not_read", {{"detail", ok.error().detail}});
    };
    parts.nodes_changed = [this] {
      for (const auto& [shard, host] : effects->hosts)
        caf::anon_send(host, actors::look_for_lost_sessions{});
    };
    parts.seen = [this, at, number](const cluster::cluster_view& view) {
      backups->see(view, number, incarnation, at);
    };
    parts.on_message = [this](cluster::node_id from, cluster::link_channel channel,
                              std::string_view bytes) { take(from, channel, bytes); };
    parts.on_link_up = [this](cluster::node_id who) { effects->link_up(who); };
    parts.on_link_down = [this](cluster::node_id who) {
      effects->link_down(who);
      reads->link_down(who);
    };
    parts.is_able = [f = figures] { return !f->broken.load(); };
    parts.on_tick = [this] {
      reads->tick();
      if (!boot_noted && member->replicas_joined()) {
        boot_noted = true;
        put(storage::keys::meta("boot"), boot_id());
      }
    };
    member = std::make_unique<cluster::member>(std::move(parts));
    if (auto ok = member->open(); !ok)
      give_up(ok.error());
  }

  /// A message of another node that is not about shards.
  void take(cluster::node_id from, cluster::link_channel channel, std::string_view bytes) {
    switch (channel) {
      case cluster::link_channel::effect:
        return effects->take_effect(from, bytes);
      case cluster::link_channel::published:
        return effects->take_published(from, bytes);
      case cluster::link_channel::feed_wants:
        return effects->take_feed_wants(from, bytes);
      case cluster::link_channel::page:
        return reads->answered(from, bytes);
      case cluster::link_channel::read: {
        auto asked = actors::decode_read(bytes);
        if (!asked)
          return log::warn("cluster", "read_not_read",
                           {{"node", from}, {"detail", asked.error().detail}});
        return query->serve(std::move(asked->what), [this, from, number = asked->number](
                                                        model::result<actors::any_page> page) {
          (void)member->send(from, cluster::link_channel::page, actors::encode_page(number, page));
        });
      }
      default:
        return;  // of a newer release
    }
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
    router = member ? member->router() : std::make_shared<cluster::router>(shard_count());
    effects = std::make_shared<node_effects>(incarnation, sessions, feed, known);
    if (member)
      effects->set_member(member.get());
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
    open_shards();
    if (member)
      reads = std::make_shared<cluster::remote_reads>(
          *member, cluster::remote_reads::options{.patience = settings.cluster.grace});
    query =
        std::make_shared<actors::query>(store, ask, shard_count(), settings.threads.query, reads);
    if (reads)
      reads->set_local([q = query.get()](actors::any_read what, actors::read_ways::then done) {
        q->serve(std::move(what), std::move(done));
      });
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
          *system,
          {.shard = shard,
           .context = std::move(context),
           .options = {.idle_timeout = settings.entities.idle_timeout,
                       .checkpoint_bytes = share,
                       .checkpoint_interval = settings.storage.checkpoint_interval,
                       .tick = std::chrono::seconds{1}},
           .session_lost =
               [this](std::uint64_t process) {
                 return member ? member->is_process_gone(process) : process != incarnation;
               },
           .awake = awake,
           .on_open =
               [opened, failed, all, count](const model::status& ok) {
                 if (!ok) {
                   const auto hold = std::lock_guard{failed->first};
                   failed->second = ok.error();
                 }
                 if (opened->fetch_add(1) + 1 == count)
                   all->set_value();
               },
           .in_cluster = member != nullptr,
           .elsewhere = [r = router](actors::ask_batch batch) { r->wait(std::move(batch)); },
           .on_left =
               [this](model::shard_id s) {
                 caf::anon_send(journal, actors::writer_task{
                                             [r = member->replicas(), s] { r->host_left(s); }});
               }});
      router->place(shard, host);
      effects->hosts.emplace(shard, std::move(host));
    }
    if (!member)  // else they open when this node begins to serve their shards
      done.wait();
    if (failed->second)
      give_up(*failed->second);
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
            .desk = desk ? std::shared_ptr<actors::cluster_desk>{desk} : lone,
            .known = known,
            .keys = keys,
            .tokens = std::make_shared<transport::api::token_signer>(token_key),
            .metrics = metrics,
            .now = clock_now,
            .settings = settings,
            .shard_count = shard_count()},
        tls, [this]() -> std::optional<std::string> {
          if (!ready.load())
            return "starting or stopping";
          if (member && !member->is_registered())
            return "not registered at the cluster's coordinator";
          return std::nullopt;
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

  /// Of the public ports, as others reach them.
  std::map<std::string, std::string> addresses(
      const std::map<std::string, std::uint16_t>& ports) const {
    auto all = std::map<std::string, std::string>{};
    const auto& l = settings.listeners;
    for (const auto& [name, listener] : {std::pair{"mqtt", l.mqtt}, std::pair{"mqtts", l.mqtts},
                                         std::pair{"api", l.api}, std::pair{"apis", l.apis}})
      if (const auto port = ports.find(name); port != ports.end())
        all.emplace(name, advertised(settings, listener, port->second));
    return all;
  }

  /// Registers, and sees to it that the cluster has its first user.
  void take_part(std::map<std::string, std::string> addresses) {
    member->start(std::move(addresses));
    starter = std::thread{[this] {
      // The catalogue may be on its way to another node, or not served by anybody yet.
      for (auto hold = std::unique_lock{mutex}; !stopping;) {
        hold.unlock();
        try {
          make_first_user(*ask, file("admin-password"));
          return;
        } catch (const std::exception& e) {
          log::warn("node", "no_first_user_yet", {{"detail", e.what()}});
        }
        hold.lock();
        wake.wait_for(hold, std::chrono::milliseconds{500}, [this] { return stopping; });
      }
    }};
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
    if (backups)
      backups->stop();
    if (member && member->is_registered() && !member->hand_over(stop_patience))
      log::warn("node", "shards_left", {});
    if (reads)
      reads->stop();
    if (api)
      api->stop();
    if (mqtt)
      mqtt->stop();
    if (sessions && !wait_for([this] { return sessions->size() == 0; }))
      log::warn("node", "sessions_left", {{"sessions", sessions->size()}});
    wait_for([this] { return figures->queued_bytes.load() == 0; });
    if (io)
      io->stop();
    if (desk)
      desk->stop();
    if (member)
      member->stop();
    if (starter.joinable())
      starter.join();
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
    router.reset();
    reads.reset();
    desk.reset();
    member.reset();
    backups.reset();
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
    const auto key_file =
        settings.node.master_key.empty() ? n.file("master.key") : settings.node.master_key;
    n.check_restored(key_file);
    const auto master = master_key(key_file);
    n.backups = std::make_unique<backups>(n.store, settings, clock_now);
    n.key_check =
        model::sha256_hex(std::string{master.begin(), master.end()} + ":check").substr(0, 16);
    n.keys = std::make_shared<model::keyring>(master);
    n.token_key = model::sha256_hex(std::string{master.begin(), master.end()} + ":tokens");
    n.find_place();
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
      n.take_part(n.addresses(ports()));
    else
      n.lone->listens(n.addresses(ports()));
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
  if (n.member)
    all.emplace("link", n.member->link_port());
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
  if (impl_->starter.joinable())
    impl_->starter.join();
  const auto path = impl_->file("demo.json");
  if (!fs::exists(path))
    write_secret_file(path, make_demo(*impl_->ask, *impl_->keys, clock_now()));
}

void node::stop() {
  impl_->stop();
}

}  // namespace orrery::app
