// What the calls that change a product share.
#pragma once

#include <functional>

#include "transport/api/exchange.hpp"

namespace orrery::transport::api {

/// Sends an order to the product of the route; `then` gets the state after it, on an actor's
/// thread. A failure is the answer: no such product, an ETag that is not its own or, where it
/// `needs_match`, none at all.
void change_product(const exchange_ptr& e, model::product::order what, bool needs_match,
                    std::function<void(const actors::outcome&, const model::product::state&)> then);

/// X-Revision and ETag of the product as it is then.
exchange::headers product_headers(const actors::outcome& done, const model::product::state& s);

}  // namespace orrery::transport::api
