// Node links on CAF's network modules: what docs/decisions has measured against the contract, with
// every cure that is known for them. No part of the product.
#pragma once

#include <memory>

#include "cluster/node_link.hpp"

namespace orrery::tests {

std::unique_ptr<cluster::node_links> make_caf_links(cluster::link_options options,
                                                    cluster::link_events events);

}  // namespace orrery::tests
