// Thing models as the Web of Things describes them (W3C WoT Thing Description 1.1, 9): a Thing
// Model that other tools read. It says what a device has; where and how one reaches it is not in
// it.
#pragma once

#include "model/value.hpp"

namespace orrery::model {

/// The Thing Model of a tm/1 document that compiles, with all that it inherits. Attributes and
/// measure points are properties (no two share an id), services are actions. What the Web of Things
/// has no word for has a name with the prefix `orrery:`.
value to_wot(const value& document);

}  // namespace orrery::model
