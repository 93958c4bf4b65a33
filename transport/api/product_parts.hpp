// Products as JSON, in and out, for the calls about one and those about files of them.
#pragma once

#include <vector>

#include "model/filter/schema.hpp"
#include "transport/api/exchange.hpp"
#include "transport/api/listing.hpp"

namespace orrery::transport::api {

model::value show_product(const exchange& e, const model::product::state& s);
/// A new product of the caller's organisation, without its secret. Fails for what a request may
/// not say and for what the catalogue does not have, or has already.
model::result<model::product::create_product> read_new_product(const exchange& e,
                                                               const model::value& from);
/// A change of a product that there is. Fails as read_new_product.
model::result<model::product::update_product> read_product_change(const exchange& e,
                                                                  const std::string& product_key,
                                                                  const model::value& from);

/// What lists of products can be filtered and sorted by.
const model::filter::schema& product_fields();
/// Those that the caller sees; they are shown as long as `e` lives.
std::vector<list_row> products_seen(const exchange& e);

}  // namespace orrery::transport::api
