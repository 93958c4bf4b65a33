// The coordinator of a cluster: etcd (3.4 or later) by its JSON gateway.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "cluster/coordinator.hpp"

namespace orrery::cluster {

struct etcd_access {
  std::vector<std::string> endpoints = {};  // http://host:port or https://host:port, one at least
  std::string ca_file = {};                 // for https; empty: the system's authorities
  std::string user = {}, password = {};     // no user: etcd asks for none
  std::chrono::milliseconds patience{2000};
};

/// Makes no call yet. Calls go to one endpoint and to the next after a failure; what can be asked
/// twice is. Leases last for whole seconds, two at least (etcd's own limit).
/// Throws std::invalid_argument for an endpoint of another form.
std::unique_ptr<coordinator> make_etcd_coordinator(etcd_access access);

}  // namespace orrery::cluster
