// How a node finds its cluster: its coordinator, its number, and the settings as the parts of
// `cluster` want them.
#pragma once

#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include "cluster/coordinator.hpp"
#include "cluster/member.hpp"
#include "cluster/membership.hpp"
#include "config/settings.hpp"

namespace orrery::app {

/// The node cannot be one of its cluster: ends the start.
class cluster_failed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Whether the settings want a cluster.
bool is_in_cluster(const config::settings& s);

/// Throws cluster_failed: an endpoint of no known form, a password that cannot be read.
/// `patience`: so long one call may take.
std::shared_ptr<cluster::coordinator> coordinator_of(const config::settings& s,
                                                     std::chrono::milliseconds patience);

/// What this node is in its cluster; tries until the coordinator answers, for at most a minute.
/// Throws cluster_failed: what an operator has to mend.
cluster::membership join_cluster(cluster::coordinator& at, const config::settings& s,
                                 const std::string& key_check, model::timestamp now,
                                 const cluster::own_data& has);

/// The parts that follow from settings; hooks and store are for the node to add.
cluster::member_parts member_parts_of(const config::settings& s, cluster::node_id self,
                                      std::uint64_t incarnation);

/// Of the machine since its start, as the kernel has it.
std::string boot_id();
/// The public ones of the node's ports, as others reach them: "host:port" by name.
std::map<std::string, std::string> public_addresses(
    const config::settings& s, const std::map<std::string, std::uint16_t>& ports);

}  // namespace orrery::app
