#include "actors/doorway.hpp"

#include <caf/all.hpp>

namespace orrery::actors {

bool doorway::send(ask_batch& batch) const {
  if (!gate_->enter())
    return false;
  batch.entered = true;
  caf::anon_send(entity_, std::move(batch));
  return true;
}

}  // namespace orrery::actors
