// JSON schemas of all request and reply bodies, by name. Objects of replies are closed: a field
// that is not here is a fault, and the end-to-end tests hold every reply against them.
#pragma once

#include <string>

namespace orrery::transport::api {

/// The object "components/schemas" of the OpenAPI document.
std::string schemas();
/// Those of thing models alone (schemas_models.cpp).
std::string model_schemas();

}  // namespace orrery::transport::api
