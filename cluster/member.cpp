#include "cluster/member.hpp"

#include <algorithm>

#include "cluster/controller.hpp"
#include "cluster/directory.hpp"
#include "cluster/membership.hpp"
#include "cluster/tls_node_link.hpp"
#include "observe/log.hpp"

namespace orrery::cluster {
namespace {

constexpr auto tick = std::chrono::milliseconds{50};
/// A process that nobody here has seen is gone if it began so long ago: its registration came long
/// before its sessions.
constexpr auto unseen_patience = std::chrono::seconds{60};
constexpr auto absent_peer_kept = std::chrono::seconds{60};
constexpr std::size_t seen_max = 100'000;

std::chrono::milliseconds steady() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

member::member(member_parts parts) : parts_{std::move(parts)} {
  const auto send_on = [this](link_channel channel) {
    return
        [this, channel](node_id to, const std::string& bytes) { return send(to, channel, bytes); };
  };
  router_ = std::make_shared<cluster::router>(
      router_options{.shard_count = parts_.replicas.shard_count, .patience = parts_.grace},
      router_ports{.ask = send_on(link_channel::questions),
                   .answer = send_on(link_channel::answers)});
  links_ = make_tls_node_links(
      parts_.link,
      {.on_up = [this](node_id who, std::uint64_t process) { link_came(who, process); },
       .on_down = [this](node_id who, std::uint64_t) { link_went(who); },
       .on_message = [this](link_message m) { heard(std::move(m)); }});
  parts_.info.link_port = links_->port();
  replicas_ = std::make_shared<cluster::replicas>(
      parts_.store, parts_.replicas,
      replicas_ports{
          .send = send_on(link_channel::replication),
          .propose = [this](model::shard_id shard, const proposal& what) { propose(shard, what); },
          .clock = steady,
          .serves_until =
              [this] {
                return registrar_ ? registrar_->serves_until() : std::chrono::milliseconds{0};
              },
          .now = parts_.now,
          .applied = [this](model::shard_id,
                            const std::vector<storage::row>& rows) { parts_.catalogue_rows(rows); },
          .loaded =
              [this](model::shard_id shard) {
                if (shard == model::catalogue_shard)
                  parts_.catalogue_loaded();
              },
          .leave =
              [this](model::shard_id s) { parts_.tell_host(s, actors::shard_role::what::leaves); },
          .stay =
              [this](model::shard_id s) { parts_.tell_host(s, actors::shard_role::what::serves); },
          .offer = [this](model::shard_id shard,
                          const offered_copy& copy) { propose(shard, copy); }},
      figures_);
}

member::~member() {
  stop();
}

std::uint16_t member::link_port() const {
  return links_->port();
}

model::status member::open() {
  return replicas_->open();
}

void member::start(std::map<std::string, std::string> addresses) {
  parts_.info.addresses = std::move(addresses);
  const auto keys = cluster_keys{parts_.cluster};
  registrar_ = std::make_shared<registrar>(
      parts_.lease_at, keys.node(self()), encode(parts_.info), parts_.lease,
      registration_events{
          .registered = [this](incarnation_id own) { registered(own); },
          .lapsed =
              [this] {
                registered_ = false;
                observe::log::warn("cluster", "registration_lapsed", {});
                parts_.on_writer([r = replicas_] { r->lapsed(); });
              },
          .replaced =
              [this] {
                registered_ = false;
                observe::log::error(
                    "cluster", "replaced",
                    {{"node", parts_.info.name},
                     {"detail",
                      "another process has registered under this node's name: this one "
                      "serves nothing any more"}});
                parts_.on_writer([r = replicas_] { r->lapsed(); });
              },
          .is_able = parts_.is_able},
      steady);
  {
    const auto hold = std::lock_guard{mutex_};
    directory_ = std::make_shared<directory>(
        parts_.at, parts_.cluster,
        [this](const std::shared_ptr<const cluster_view>& view) { see(view); });
  }
  proposer_ = std::thread{[this] { run_proposals(); }};
  ticker_ = std::thread{[this] { run_ticks(); }};
  registration_ = std::make_unique<registration>(registrar_);
  const auto wakes = std::lock_guard{mutex_};
  controller_ = std::make_shared<controller>(
      parts_.at, directory_, parts_.cluster, self(), [r = registrar_] { return r->lease(); },
      parts_.placement, steady);
  turns_ = std::make_shared<running_controller>(controller_);
}

void member::registered(incarnation_id own) {
  // Records of before say nothing: they are read after the registration.
  for (;;) {
    const auto view = directory_->refresh();
    if (view) {
      auto records = (*view)->shards;
      parts_.on_writer(
          [r = replicas_, own, records = std::move(records)] { r->registered(own, records); });
      registered_ = true;
      see(*view);
      observe::log::info("cluster", "registered",
                         {{"node", parts_.info.name}, {"number", self()}, {"incarnation", own}});
      return;
    }
    auto hold = std::unique_lock{mutex_};
    if (over_ || wake_.wait_for(hold, std::chrono::milliseconds{200}, [this] { return over_; }))
      return;
    if (steady() >= registrar_->serves_until())
      return;  // it lapses, and this is called again
  }
}

void member::see(const std::shared_ptr<const cluster_view>& view) {
  const auto now = steady();
  auto nodes = node_set{};
  auto alive = std::map<node_id, std::uint64_t>{};
  auto peers = std::vector<link_peer>{};
  {
    const auto hold = std::lock_guard{mutex_};
    for (const auto& [id, node] : view->nodes) {
      nodes.insert(id);
      alive.emplace(id, node.info.incarnation);
      if (id != self())
        peers_[id] = {
            {id, node.info.name, node.info.link_host, node.info.link_port, node.info.incarnation},
            now};
    }
    // A node that is cut off from the coordinator can still be reached for what its devices want.
    std::erase_if(peers_, [&](const auto& p) { return now > p.second.seen + absent_peer_kept; });
    for (const auto& [id, p] : peers_)
      peers.push_back(p.peer);
  }
  links_->set_peers(std::move(peers));
  auto changed = false;
  {
    const auto hold = std::lock_guard{mutex_};
    changed = alive != alive_;
    for (const auto& [id, process] : alive)
      if (seen_.size() < seen_max)
        seen_.insert(process);
    alive_ = std::move(alive);
  }
  for (const auto& [shard, record] : view->shards)
    place(shard, *view);
  parts_.on_writer(
      [r = replicas_, view, nodes] { r->records(view->shards, nodes, leaving_nodes(*view)); });
  router_->tick();
  auto turns = std::shared_ptr<running_controller>{};
  {
    const auto hold = std::lock_guard{mutex_};
    turns = turns_;
  }
  if (turns)
    turns->wake();
  if (changed)
    parts_.nodes_changed();
  if (parts_.seen)
    parts_.seen(*view);
}

void member::place(model::shard_id shard, const cluster_view& view) {
  const auto hold = std::lock_guard{mutex_};
  if (served_.contains(shard))
    return router_->is_here(shard);
  const auto record = view.shards.find(shard);
  if (record != view.shards.end() && record->second.primary == self())
    router_->is_coming(shard);
  else if (record == view.shards.end() || !record->second.primary ||
           !linked_.contains(*record->second.primary))
    router_->is_nowhere(shard);
  else
    router_->is_at(shard, *record->second.primary);
}

void member::place_all() {
  const auto now = view();
  for (const auto& [shard, record] : now->shards)
    place(shard, *now);
}

void member::note_role(model::shard_id shard, const actors::shard_role& role) {
  {
    const auto hold = std::lock_guard{mutex_};
    if (role.now == actors::shard_role::what::serves)
      served_.insert(shard);
    else
      served_.erase(shard);
  }
  place(shard, *view());
  router_->tick();
}

void member::heard(link_message m) {
  switch (static_cast<link_channel>(m.channel)) {
    case link_channel::replication: {
      auto message = decode_replica(m.bytes);
      if (!message) {
        observe::log::warn("cluster", "message_not_read",
                           {{"node", m.from}, {"detail", message.error().detail}});
        return;
      }
      parts_.on_writer([r = replicas_, from = m.from, credit = m.credit,
                        message = std::make_shared<addressed>(std::move(*message))] {
        r->received(from, std::move(*message));
      });
      return;
    }
    case link_channel::questions:
      return router_->serve(m.from, m.bytes);
    case link_channel::answers:
      return router_->answered(m.from, m.bytes);
    case link_channel::stopping: {
      const auto hold = std::lock_guard{mutex_};
      stopping_.insert(m.from);
      parts_.on_writer([r = replicas_, stopping = stopping_] { r->stopping(stopping); });
      return;
    }
    default:
      return parts_.on_message(m.from, static_cast<link_channel>(m.channel), m.bytes);
  }
}

void member::link_came(node_id who, std::uint64_t process) {
  {
    const auto hold = std::lock_guard{mutex_};
    linked_.insert_or_assign(who, process);
  }
  parts_.on_writer([r = replicas_, who] { r->link_up(who); });
  place_all();
  router_->link_up(who);
  parts_.on_link_up(who);
  if (leaving_)
    (void)send(who, link_channel::stopping, {});
}

void member::link_went(node_id who) {
  auto stopping = node_set{};
  {
    const auto hold = std::lock_guard{mutex_};
    linked_.erase(who);
    stopping_.erase(who);
    stopping = stopping_;
  }
  parts_.on_writer([r = replicas_, who, stopping = std::move(stopping)] {
    r->link_down(who);
    r->stopping(stopping);
  });
  place_all();
  router_->link_down(who);
  parts_.on_link_down(who);
  parts_.nodes_changed();
}

void member::propose(model::shard_id shard, std::variant<proposal, offered_copy> what) {
  const auto hold = std::lock_guard{mutex_};
  proposals_.push_back({shard, std::move(what)});
  wake_.notify_all();
}

void member::carry_out(model::shard_id shard, const proposal& what) {
  const auto outcome = swap_record(*parts_.at, parts_.cluster, shard, what);
  if (outcome && outcome->now.version != 0) {
    directory_->note(shard, outcome->now);
    parts_.on_writer([r = replicas_, shard, on = what.wanted.version, now = outcome->now] {
      r->decided(shard, on, now);
    });
  } else {
    parts_.on_writer([r = replicas_, shard] { r->undecided(shard); });
  }
}

/// It goes with the registration, and is offered again while it counts.
void member::carry_out(model::shard_id shard, const offered_copy& what) {
  const auto keys = cluster_keys{parts_.cluster};
  const auto offered =
      change{.key = keys.copy(shard, self()), .value = encode(what), .lease = registrar_->lease()};
  if (const auto done = parts_.at->swap({}, {&offered, 1}); !done)
    observe::log::warn("cluster", "copy_not_offered",
                       {{"shard", shard}, {"detail", done.error().detail}});
}

void member::run_proposals() {
  auto hold = std::unique_lock{mutex_};
  for (;;) {
    wake_.wait(hold, [this] { return over_ || !proposals_.empty(); });
    if (over_)
      return;
    auto next = std::move(proposals_.front());
    proposals_.pop_front();
    hold.unlock();
    std::visit([&](const auto& what) { carry_out(next.shard, what); }, next.what);
    hold.lock();
  }
}

void member::run_ticks() {
  auto hold = std::unique_lock{mutex_};
  while (!wake_.wait_for(hold, tick, [this] { return over_; })) {
    hold.unlock();
    parts_.on_writer([this, r = replicas_] {
      r->tick();
      joined_ = r->all_joined() && registered_;
    });
    router_->tick();
    parts_.on_tick();
    hold.lock();
  }
}

bool member::hand_over(std::chrono::milliseconds patience) {
  leaving_ = true;
  send_to_all(link_channel::stopping, {});
  parts_.on_writer([r = replicas_] { r->hand_over_all(); });
  auto hold = std::unique_lock{mutex_};
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!served_.empty() && std::chrono::steady_clock::now() < until)
    wake_.wait_for(hold, tick);
  return served_.empty();
}

void member::stop() {
  {
    const auto hold = std::lock_guard{mutex_};
    if (std::exchange(over_, true))
      return;
  }
  wake_.notify_all();
  auto turns = std::shared_ptr<running_controller>{};
  {
    const auto hold = std::lock_guard{mutex_};
    turns.swap(turns_);
  }
  turns.reset();
  registration_.reset();
  if (proposer_.joinable())
    proposer_.join();
  if (ticker_.joinable())
    ticker_.join();
  auto last = std::shared_ptr<directory>{};
  {
    const auto hold = std::lock_guard{mutex_};
    controller_.reset();  // holds the directory, which calls `see` as long as it lives
    last.swap(directory_);
  }
  last.reset();
  links_.reset();
}

bool member::send(node_id to, link_channel channel, std::string_view bytes) {
  return links_ && links_->send(to, 0, static_cast<std::uint8_t>(channel), bytes);
}

bool member::send_to_process(std::uint64_t incarnation, link_channel channel,
                             std::string_view bytes) {
  return links_ &&
         links_->send(node_of(incarnation), incarnation, static_cast<std::uint8_t>(channel), bytes);
}

void member::send_to_all(link_channel channel, std::string_view bytes) {
  for (const auto who : linked())
    (void)send(who, channel, bytes);
}

bool member::is_process_gone(std::uint64_t incarnation) const {
  const auto hold = std::lock_guard{mutex_};
  const auto alive = alive_.find(node_of(incarnation));
  if (alive != alive_.end() && alive->second <= incarnation)
    return false;
  if (incarnation == parts_.link.incarnation)
    return false;
  // Cut off from the coordinator and not from here: its sessions live.
  if (const auto linked = linked_.find(node_of(incarnation));
      linked != linked_.end() && linked->second == incarnation)
    return false;
  const auto began = model::from_ms(static_cast<std::int64_t>(incarnation / incarnation_stride));
  return seen_.contains(incarnation) || parts_.now() - began > unseen_patience;
}

std::shared_ptr<const cluster_view> member::view() const {
  const auto hold = std::lock_guard{mutex_};
  return directory_ ? directory_->current() : std::make_shared<const cluster_view>();
}

std::optional<node_id> member::primary_of(model::shard_id shard) const {
  const auto now = view();
  const auto record = now->shards.find(shard);
  return record == now->shards.end() ? std::nullopt : record->second.primary;
}

bool member::serves(model::shard_id shard) const {
  const auto hold = std::lock_guard{mutex_};
  return served_.contains(shard);
}

bool member::is_whole() const {
  const auto now = view();
  if (!is_registered() || now->shards.size() != parts_.replicas.shard_count + 1u)
    return false;
  return std::ranges::all_of(now->shards, [&](const auto& s) {
    return s.second.primary && now->nodes.contains(*s.second.primary);
  });
}

node_set member::linked() const {
  const auto hold = std::lock_guard{mutex_};
  auto nodes = node_set{};
  for (const auto& [who, process] : linked_)
    nodes.insert(who);
  return nodes;
}

link_figures member::links() const {
  return links_ ? links_->figures() : link_figures{};
}

controller_figures member::controls() const {
  const auto hold = std::lock_guard{mutex_};
  return controller_ ? controller_->figures() : controller_figures{};
}

}  // namespace orrery::cluster
