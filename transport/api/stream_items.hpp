// What a subscriber of the stream asks for, and what he is shown: JSON to filter, event to item.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "actors/feed.hpp"
#include "model/result.hpp"
#include "model/value.hpp"
#include "transport/api/fields.hpp"

namespace orrery::transport::api {

struct stream_request {
  std::string sid;  // the client's name for the subscription
  actors::feed_filter filter;
};
/// Reads the fields of a `sub` message. Fails: `invalid_argument` with all findings.
model::result<stream_request> read_subscription(fields& f, const std::string& organisation);
/// The permission that a kind needs.
std::string_view needed_for(actors::feed_kind kind);

/// Adds what is shown of one event: an item a sample for points, one item for all else. `points`:
/// which ones are wanted, all if empty. `now`: for the one event that carries no time of its own.
void show_item(const actors::feed_item& item, const std::set<std::string>& points,
               model::timestamp now, model::array& out);

}  // namespace orrery::transport::api
