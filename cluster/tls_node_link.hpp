// Node links over TLS: both ends prove their name by a certificate of the cluster's own authority.
#pragma once

#include <memory>

#include "cluster/node_link.hpp"

namespace orrery::cluster {

/// Listens, on a thread of its own. Throws std::runtime_error or std::invalid_argument if that
/// cannot be: a port that is taken, a certificate that cannot be read, a name that no certificate
/// can show, a window of less than two longest messages or more than 1 GiB, no version, no time
/// between a heartbeat (10 ms at least) and silence.
std::unique_ptr<node_links> make_tls_node_links(link_options options, link_events events);

}  // namespace orrery::cluster
