// What a first start and the demo put into an empty installation.
#pragma once

#include <string>

#include "actors/caller.hpp"
#include "model/credentials.hpp"
#include "model/ids.hpp"

namespace orrery::app {

/// Asks an entity and waits for the answer: for the start, before there are ports. Asks again for
/// half a minute while its shard is `unavailable`.
actors::answer ask_and_wait(actors::caller& ask, actors::target whom, actors::any_command what);

/// Makes the organisation `default` and its user `admin` if they are not there; the password goes
/// to `password_file` (mode 0600). Throws std::runtime_error.
void make_first_user(actors::caller& ask, const std::string& password_file);

/// Makes model, product, devices, tree and API key of the demo; gives the text of demo.json.
std::string make_demo(actors::caller& ask, const model::keyring& keys, model::timestamp now,
                      std::uint16_t shard_count);

}  // namespace orrery::app
