#include "actors/messages.hpp"

#include <caf/all.hpp>

namespace orrery::actors {

void asker::settle(std::vector<settled> answers) const {
  if (actor_)
    caf::anon_send(actor_, settled_batch{std::move(answers)});
  else if (const auto port = port_.lock())
    port->settle(std::move(answers));
}

}  // namespace orrery::actors
