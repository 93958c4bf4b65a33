// A change of a device's name on its way: the name is reserved, the device takes it, the alias is
// settled (model/device/names.cpp).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "model/device/device.hpp"
#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

struct rename_order {
  found_device device;
  model::device::rename_device what;           // without alias and number
  std::string organisation = {};               // that it goes over to; empty: it stays in its own
  std::string secret = {};                     // to be shown; empty: it keeps its own
  std::optional<std::uint64_t> expected = {};  // If-Match
};

struct renamed_device {
  actors::outcome done;                // of the change
  model::result<actors::outcome> now;  // as it is afterwards, if that can be read
};
/// `then` is told what came of it; a failure: it is not called so. Runs once, on any thread.
void rename(const exchange_ptr& e, rename_order what,
            std::function<void(const model::result<renamed_device>&)> then);

/// Answers with the device as it is now, and its secret if it has a new one. A device that cannot
/// be read is no failure of what was done: the answer says that it was.
void reply_renamed(const exchange_ptr& e, int status, const std::string& secret,
                   const renamed_device& got, exchange::headers more = {});

}  // namespace orrery::transport::api
