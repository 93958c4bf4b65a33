#include "app/joining.hpp"

#include <fstream>
#include <thread>
#include <unistd.h>

#include "cluster/etcd_coordinator.hpp"
#include "cluster/membership.hpp"
#include "cluster/redirection.hpp"
#include "observe/log.hpp"

namespace orrery::app {
namespace {

constexpr auto join_patience = std::chrono::minutes{1};
constexpr auto join_pause = std::chrono::milliseconds{500};

std::string line_of(const std::string& path) {
  auto in = std::ifstream{path};
  auto line = std::string{};
  std::getline(in, line);
  return line;
}

std::string machine_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 && *name != '\0' ? name : "localhost";
}

/// Where others reach a listener that is bound to `host`.
std::string reachable(const config::settings& s, const std::string& host) {
  if (!s.cluster.advertise_host.empty())
    return s.cluster.advertise_host;
  return host == "0.0.0.0" || host == "::" || host.empty() ? machine_name() : host;
}

/// What an operator can do about a refusal.
std::string hint_for(std::string_view reason) {
  if (reason == "cluster_gone" || reason == "other_cluster")
    return ". Check cluster.endpoints and cluster.name; if they are right, bring back what etcd "
           "held "
           "(etcdctl snapshot restore), or, if that is lost for good, start one node with "
           "--found-again. Only if the data of this node are not wanted any more, "
           "give "
           "it a new, empty data folder";
  if (reason == "data_missing")
    return ". Give it the data folder that it had (node.data). If that is lost, choose another "
           "node.name, and when the node is up: orrery cluster replace <old name> <new name>";
  if (reason == "node_removed")
    return ". To have it back: orrery cluster undrain <name>; else choose another node.name";
  return {};
}

}  // namespace

bool is_in_cluster(const config::settings& s) {
  return s.cluster.coordinator == "etcd";
}

std::shared_ptr<cluster::coordinator> coordinator_of(const config::settings& s,
                                                     std::chrono::milliseconds patience) {
  auto access = cluster::etcd_access{};
  access.ca_file = s.cluster.ca;
  access.user = s.cluster.user;
  access.patience = patience;
  for (std::size_t from = 0; from <= s.cluster.endpoints.size();) {
    const auto to = std::min(s.cluster.endpoints.find(',', from), s.cluster.endpoints.size());
    auto one = s.cluster.endpoints.substr(from, to - from);
    std::erase(one, ' ');
    if (!one.empty())
      access.endpoints.push_back(std::move(one));
    from = to + 1;
  }
  if (!s.cluster.password_file.empty()) {
    access.password = line_of(s.cluster.password_file);
    if (access.password.empty())
      throw cluster_failed{"cluster.password_file: " + s.cluster.password_file +
                           " cannot be read, or is empty"};
  }
  try {
    return cluster::make_etcd_coordinator(std::move(access));
  } catch (const std::invalid_argument& e) {
    throw cluster_failed{"cluster.endpoints: " + std::string{e.what()}};
  }
}

cluster::membership join_cluster(cluster::coordinator& at, const config::settings& s,
                                 const std::string& key_check, model::timestamp now,
                                 const cluster::own_data& has) {
  const auto until = std::chrono::steady_clock::now() + join_patience;
  for (auto first = true;; first = false) {
    const auto joined =
        cluster::join_with(at, s.cluster.name, s.node.name,
                           static_cast<std::uint16_t>(s.cluster.shard_count), key_check, now, has);
    if (joined)
      return *joined;
    const auto& why = joined.error();
    if (why.code != model::errc::unavailable || std::chrono::steady_clock::now() > until)
      throw cluster_failed{"cannot join the cluster " + s.cluster.name + ": " + why.detail +
                           hint_for(why.reason)};
    if (first)
      observe::log::warn("cluster", "waits_for_coordinator", {{"detail", why.detail}});
    std::this_thread::sleep_for(join_pause);
  }
}

cluster::member_parts member_parts_of(const config::settings& s, cluster::node_id self,
                                      std::uint64_t incarnation) {
  const auto& c = s.cluster;
  auto parts = cluster::member_parts{};
  parts.cluster = c.name;
  parts.info = {.name = s.node.name,
                .link_host = reachable(s, s.listeners.link.host),
                .link_port = 0,
                .incarnation = incarnation,
                .boot_id = boot_id(),
                .version = ORRERY_VERSION,
                .zone = c.zone,
                .weight = static_cast<std::uint32_t>(c.weight),
                .draining = false,
                .addresses = {}};
  parts.link.self = self;
  parts.link.name = s.node.name;
  parts.link.incarnation = incarnation;
  parts.link.host = s.listeners.link.host;
  parts.link.port = s.listeners.link.port;
  parts.link.ca_file = c.link_ca;
  parts.link.certificate_file = c.link_certificate;
  parts.link.key_file = c.link_key;
  parts.link.frame_max_bytes = 16u << 20;  // a frame of the journal is at most half of it
  parts.link.window_bytes = 3 * parts.link.frame_max_bytes;
  parts.link.queue_max_bytes = 4 * parts.link.frame_max_bytes;
  parts.placement.shard_count = static_cast<std::uint16_t>(c.shard_count);
  parts.placement.replication_factor = c.replication_factor;
  parts.placement.replace_after = c.replace_after;
  parts.placement.moves_at_once = c.moves_at_once;
  parts.replicas.self = self;
  parts.replicas.shard_count = static_cast<std::uint16_t>(c.shard_count);
  parts.replicas.catalogue_factor = parts.placement.catalogue_factor;
  parts.replicas.min_in_sync = c.min_in_sync != 0          ? c.min_in_sync
                               : c.replication_factor == 3 ? 2
                                                           : 1;
  parts.replicas.sync = c.durability == "sync";
  parts.replicas.journal_retention = s.storage.journal_retention;
  parts.grace = c.grace;
  return parts;
}

std::string boot_id() {
  return line_of("/proc/sys/kernel/random/boot_id");
}

std::map<std::string, std::string> public_addresses(
    const config::settings& s, const std::map<std::string, std::uint16_t>& ports) {
  auto all = std::map<std::string, std::string>{};
  const auto& l = s.listeners;
  for (const auto& [name, listener] :
       {std::pair{"mqtt", l.mqtt}, std::pair{"mqtts", l.mqtts}, std::pair{"http", l.http},
        std::pair{"https", l.https}, std::pair{"api", l.api}, std::pair{"apis", l.apis}})
    if (const auto port = ports.find(name); port != ports.end())
      all.emplace(name, reachable(s, listener.host) + ":" + std::to_string(port->second));
  if (!l.public_address.empty())
    all.emplace(cluster::devices_address, l.public_address);
  return all;
}

}  // namespace orrery::app
