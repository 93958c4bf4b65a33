#include "app/cluster_place.hpp"

#include <utility>

#include <boost/system/system_error.hpp>
#include <caf/all.hpp>

#include "actors/wire.hpp"
#include "app/content.hpp"
#include "app/joining.hpp"
#include "cluster/in_sync.hpp"
#include "config/load.hpp"
#include "observe/log.hpp"
#include "transport/tcp_listener.hpp"

namespace orrery::app {
namespace {

namespace log = observe::log;

std::unique_ptr<cluster::member> open_member(cluster::member_parts parts) {
  const auto where = parts.link.host + ":" + std::to_string(parts.link.port);
  try {
    return std::make_unique<cluster::member>(std::move(parts));
  } catch (const boost::system::system_error& e) {  // of the links' port: nothing else is opened
    throw transport::port_taken{"listeners.link: " + where + ": " + e.code().message()};
  }
}

}  // namespace

cluster_place::cluster_place(const config::settings& settings, data_folder& data,
                             cluster_place_parts parts)
    : settings_{settings}, data_{data}, parts_{std::move(parts)} {
  const auto at = coordinator_of(settings_, std::chrono::seconds{2});
  const auto number = join(*at);
  incarnation_ = data_.next_incarnation(number, parts_.now());
  auto wanted = parts_of(number, at);
  desk_ = std::make_shared<cluster::desk>(
      cluster::desk_parts{.at = at,
                          .cluster = settings_.cluster.name,
                          .node = settings_.node.name,
                          .placement = wanted.placement,
                          .min_in_sync = wanted.replicas.min_in_sync,
                          .makes_backups = !settings_.backup.directory.empty(),
                          .keep_backups = settings_.backup.keep,
                          .now = parts_.now,
                          .seen = [this] { return member_->view(); }});
  member_ = open_member(std::move(wanted));
  reads_ = std::make_shared<cluster::remote_reads>(
      *member_, cluster::remote_reads::options{.patience = settings_.cluster.grace});
  blobs_ = std::make_shared<cluster::remote_blobs>(
      cluster::blob_links{.self = number,
                          .send =
                              [m = member_.get()](cluster::node_id to, std::string_view bytes) {
                                return m->send(to, cluster::link_channel::blob, bytes);
                              },
                          .view = [m = member_.get()] { return m->view(); }},
      parts_.blobs, cluster::remote_blobs::options{});
  parts_.blobs->set_elsewhere(blobs_);
  if (auto ok = member_->open(); !ok)
    give_up(ok.error());
}

cluster_place::~cluster_place() = default;

/// The number of this node. A data folder is of one cluster for ever.
cluster::node_id cluster_place::join(cluster::coordinator& at) {
  const auto& name = settings_.cluster.name;
  const auto joined_before = data_.note("cluster"), made = data_.note("cluster_made");
  if (!joined_before.empty() && joined_before != name)
    throw cluster_failed{"the data folder is of a node of the cluster " + joined_before +
                         ", and the settings say " + name + ": set cluster.name to " +
                         joined_before + ", or give a new data folder"};
  auto has = cluster::own_data{
      .joined = !joined_before.empty(), .made = {}, .found_again = parts_.found_again};
  if (!made.empty())
    has.made = model::from_ms(std::stoll(made));
  const auto joined = join_cluster(at, settings_, parts_.key_check, parts_.now(), has);
  data_.set_note("cluster", name);
  data_.set_note("cluster_made", std::to_string(model::to_ms(joined.made)));
  return joined.number;
}

cluster::member_parts cluster_place::parts_of(cluster::node_id number,
                                              const std::shared_ptr<cluster::coordinator>& at) {
  auto parts = member_parts_of(settings_, number, incarnation_);
  parts.at = at;
  parts.lease_at = coordinator_of(settings_, std::chrono::milliseconds{700});
  parts.store = data_.store();
  parts.now = parts_.now;
  // A log that goes to the disk with every write is whole after a crash of the machine too.
  const auto booted = data_.note("boot");
  parts.replicas.whole = booted.empty() || booted == boot_id() || parts.replicas.sync;
  parts.replicas.restored = data_.restored();
  parts.on_writer = parts_.on_writer;
  parts.tell_host = [this](model::shard_id shard, actors::shard_role::what what) {
    // One that does not move after all is opened anew: what its old entities still say is refused.
    auto& generation = parts_.shards->at(shard)->generation;
    const auto counts =
        what == actors::shard_role::what::serves ? generation.fetch_add(1) + 1 : generation.load();
    caf::anon_send(effects_->hosts.at(shard), actors::shard_role{what, counts});
  };
  parts.catalogue_rows = [known = parts_.known](const std::vector<storage::row>& rows) {
    for (const auto& r : rows)
      if (const auto ok = known->apply(r); !ok)
        log::error("catalogue", "change_not_read", {{"detail", ok.error().detail}});
  };
  parts.catalogue_loaded = [known = parts_.known, store = parts.store] {
    if (const auto ok = known->load(*store); !ok)
      log::error("catalogue", "not_read", {{"detail", ok.error().detail}});
  };
  parts.nodes_changed = [this] {
    for (const auto& [shard, host] : effects_->hosts)
      caf::anon_send(host, actors::look_for_lost_sessions{});
  };
  parts.seen = [this, number, at](const cluster::cluster_view& view) {
    parts_.backups->see(view, number, incarnation_, at);
    auto where = redirection_of(view, number);
    if (where == redirected_)
      return;
    redirected_ = std::move(where);
    parts_.redirect(redirected_);
  };
  parts.on_message = [this](cluster::node_id from, cluster::link_channel channel,
                            std::string_view bytes) { take(from, channel, bytes); };
  parts.on_link_up = [this](cluster::node_id who) { effects_->link_up(who); };
  parts.on_link_down = [this](cluster::node_id who) {
    effects_->link_down(who);
    reads_->link_down(who);
    blobs_->link_down(who);
  };
  parts.is_able = [f = parts_.figures] { return !f->broken.load(); };
  parts.on_tick = [this] { tick(); };
  return parts;
}

bool cluster_place::has_catalogue() const {
  if (has_catalogue_)
    return true;
  const auto view = member_->view();
  const auto at = view->shards.find(model::catalogue_shard);
  if (at == view->shards.end() || parts_.known->current()->organisations.empty())
    return false;
  const auto self = member_->self();
  has_catalogue_ =
      at->second.in_sync.contains(self) ||
      !is_to_be_in_sync(at->first, at->second, cluster::placement_options{}.catalogue_factor,
                        leaving_nodes(*view), self);  // it only watches
  return has_catalogue_;
}

void cluster_place::set_effects(std::shared_ptr<node_effects> effects) {
  effects_ = std::move(effects);
  effects_->set_member(member_.get());
}

void cluster_place::set_query(std::shared_ptr<actors::query> query) {
  query_ = std::move(query);
  reads_->set_local([q = query_.get()](actors::any_read what, actors::read_ways::then done) {
    q->serve(std::move(what), std::move(done));
  });
}

void cluster_place::tick() {
  reads_->tick();
  blobs_->tick();
  if (!boot_noted_ && member_->replicas_joined()) {
    boot_noted_ = true;
    data_.set_note("boot", boot_id());
    data_.note_taken_up();
  }
}

/// A message of another node that is not about shards.
void cluster_place::take(cluster::node_id from, cluster::link_channel channel,
                         std::string_view bytes) {
  switch (channel) {
    case cluster::link_channel::effect:
      return effects_->take_effect(from, bytes);
    case cluster::link_channel::published:
      return effects_->take_published(from, bytes);
    case cluster::link_channel::feed_wants:
      return effects_->take_feed_wants(from, bytes);
    case cluster::link_channel::page:
      return reads_->answered(from, bytes);
    case cluster::link_channel::read:
      return take_read(from, bytes);
    case cluster::link_channel::blob:
      return blobs_->take(from, bytes);
    default:
      return;  // of a newer release
  }
}

void cluster_place::take_read(cluster::node_id from, std::string_view bytes) {
  auto asked = actors::decode_read(bytes);
  if (!asked)
    return log::warn("cluster", "read_not_read",
                     {{"node", from}, {"detail", asked.error().detail}});
  query_->serve(std::move(asked->what), [this, from, number = asked->number](
                                            const model::result<actors::any_page>& page) {
    (void)member_->send(from, cluster::link_channel::page, actors::encode_page(number, page));
  });
}

void cluster_place::start(std::map<std::string, std::string> addresses,
                          std::shared_ptr<actors::caller> ask) {
  ask_ = std::move(ask);
  member_->start(std::move(addresses));
  starter_ = std::thread{[this] { look_for_user(); }};
}

/// The catalogue may be on its way to another node, or not served by anybody yet.
void cluster_place::look_for_user() {
  for (auto hold = std::unique_lock{mutex_}; !stopping_;) {
    hold.unlock();
    try {
      make_first_user(*ask_, data_.file("admin-password"));
      return;
    } catch (const std::exception& e) {
      log::warn("node", "no_first_user_yet", {{"detail", e.what()}});
    }
    hold.lock();
    wake_.wait_for(hold, std::chrono::milliseconds{500}, [this] { return stopping_; });
  }
}

void cluster_place::wait_for_first_user() {
  if (starter_.joinable())
    starter_.join();
}

void cluster_place::stop_asking() {
  {
    const auto hold = std::lock_guard{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
}

void cluster_place::stop() {
  desk_->stop();
  blobs_->stop();
  member_->stop();
  wait_for_first_user();
}

void cluster_place::release() {
  query_.reset();
  ask_.reset();
}

std::shared_ptr<cluster::lone_desk> desk_of_lone_node(const config::settings& s,
                                                      const data_folder& data,
                                                      model::timestamp now) {
  // Replicas may have entries that were not committed: only a cluster knows.
  if (const auto name = data.note("cluster"); !name.empty())
    throw config::bad_settings{"cluster.coordinator: the data folder is of a node of the cluster " +
                               name + ": it is not served alone\n"};
  return std::make_shared<cluster::lone_desk>(
      cluster::lone_node{.cluster = s.cluster.name,
                         .name = s.node.name,
                         .zone = s.cluster.zone,
                         .weight = static_cast<std::uint32_t>(s.cluster.weight),
                         .shard_count = static_cast<std::uint16_t>(s.cluster.shard_count),
                         .started = now});
}

}  // namespace orrery::app
