// Pages of lists that are in memory, as the query asks for them: ?filter=, ?sort=, ?fields=,
// ?limit= and ?cursor=. The language is model/filter's; docs/api.md describes it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "model/filter/schema.hpp"
#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// One thing of a list.
struct list_row {
  std::string key;  // unique; what the list is ordered by unless it is asked otherwise
  std::function<model::value()> show;  // the item; called while the request is answered
  /// What filter and sort see, where that is not the item.
  std::function<model::value()> facts = {};
};

/// Replies with a page of `all`. A field of `fields` is the member of that name, "tags.*" a member
/// of the member `tags`; an object where texts are expected is the texts in it.
void reply_list(const exchange_ptr& e, const model::filter::schema& fields,
                std::vector<list_row> all);

}  // namespace orrery::transport::api
