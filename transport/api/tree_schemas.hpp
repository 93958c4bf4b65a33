// JSON schemas of bodies about assets and asset trees, for transport/api/schemas.
#pragma once

#include <string_view>

namespace orrery::transport::api {

/// An object of schemas by name, as JSON.
std::string_view tree_schemas();

}  // namespace orrery::transport::api
