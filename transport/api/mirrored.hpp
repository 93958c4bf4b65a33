// Points as they are read of a device: its own, or, of a mirror, those of the device that it shows.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// The device whose points are shown for `d`: itself, or of a mirror its source; nothing: the
/// source is not there, or may not be shown. Fails: as asking the source does.
void find_shown(const exchange_ptr& e, const found_device& d,
                std::function<void(model::result<std::optional<found_device>>)> then);

using latest_values = std::vector<model::device::latest_point>;
using on_latest = std::function<void(model::result<latest_values>)>;

/// Newest values of those of its points, by its own ids (empty: all). Fails: as asking does.
void read_latest(const exchange_ptr& e, const found_device& d, const std::vector<std::string>& ids,
                 on_latest then);
/// Of one that is no mirror.
void read_own_latest(const exchange_ptr& e, const model::entity_id& id,
                     const std::vector<std::string>& ids, on_latest then);
/// The same for one of which nothing is known but that it may be a mirror.
void read_latest(const exchange_ptr& e, const model::entity_id& id,
                 const std::vector<std::string>& ids, on_latest then);

/// Samples of its points, by its own ids; `q` without the device. Fails: as asking the source and
/// actors::query do.
void read_history(const exchange_ptr& e, const found_device& d, actors::history_question q,
                  std::function<void(model::result<actors::history_page>)> then);

/// Takes off a device those that it is shown by, as it thinks, and that are gone or show another
/// one now: what ended them could not tell it. Gives the device as it is then.
void drop_stale_mirrors(const exchange_ptr& e, const found_device& d,
                        std::function<void(const found_device&)> then);

}  // namespace orrery::transport::api
