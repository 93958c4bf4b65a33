// The library of an organisation: elements that are ready to be used in models, by id. An element
// of a model that names one of them (`standardRef`) has its type.
#pragma once

#include "model/result.hpp"
#include "model/value.hpp"

namespace orrery::model::blueprint {

/// What is to be put into a library, by id; null takes an element away. An element is an object of
/// `name`, `description`, `category`, `elementTypes` (of "attribute", "measurePoint", "service",
/// "event"), `type` (as in tm/1; services and events have none), `unit`, `default`, `deprecated`,
/// `version`. Fails: `invalid_argument`, reason "library_invalid"; problems point by id.
status check_library(const object& elements);

/// Every `standardRef` of a model is in the library, may be of that kind, and has the type and unit
/// that the library says. A library without elements says nothing. `effective`: `own` with what it
/// inherits. Fails: `invalid_argument`, reason "standard_mismatch"; problems point into `own`.
status check_standards(const value& own, const value& effective, const value& library);

}  // namespace orrery::model::blueprint
