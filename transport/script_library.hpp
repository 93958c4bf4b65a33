// What a decoder script finds in its Lua state. For transport/script alone.
#pragma once

#include "model/value.hpp"

struct lua_State;

namespace orrery::transport {

/// Opens the library. Called under protection: raises Lua errors, as all of these do.
void open_script_library(lua_State* lua);

/// Pushes a JSON value as Lua has it: null as json.null, arrays and objects as tables.
void push_value(lua_State* lua, const model::value& v);

/// The Lua value at `index` as JSON: a table with members 1 to n, or one made by json.array, is an
/// array, any other one an object with its members in the order of their names. Raises an error for
/// what JSON does not have, and for more than model::json_limits and the bounds on results allow.
model::value value_at(lua_State* lua, int index);

}  // namespace orrery::transport
