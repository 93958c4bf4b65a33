// What the handlers of thing models share (group B of the API): finding one, changing one, showing
// one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/api/exchange.hpp"
#include "transport/api/routes.hpp"

namespace orrery::transport::api {

extern const model::failure unknown_model;

/// The model of the route, or the one that is called `reference`: of the organisation, or shared
/// with it. Null if there is none.
std::shared_ptr<const actors::catalogue_blueprint> find_model(const exchange& e);
std::shared_ptr<const actors::catalogue_blueprint> find_model(const exchange& e,
                                                              const std::string& reference);

/// What a list shows of a model.
model::value show_summary(const exchange& e, const model::blueprint::state& s);
/// The same with a document.
model::value show_model(const exchange& e, const model::blueprint::state& s,
                        const model::value& document);

/// The state of the model in its answer.
std::shared_ptr<const model::blueprint::state> model_state_in(const actors::outcome& done);
/// X-Revision and ETag of a write.
exchange::headers model_headers(const actors::outcome& done, const model::blueprint::state& s);

/// Sends an order to the model of the route, which must be the organisation's own; `then` gets the
/// state after it. `expected`: the revision that it is meant for.
void change_model(const exchange_ptr& e, model::blueprint::order what,
                  const model::result<std::optional<std::uint64_t>>& expected,
                  std::function<void(const actors::outcome&, const model::blueprint::state&)> then);

std::string_view name_of(model::blueprint::change_class c);
/// The finding as an object: pointer, code, detail, class.
model::value show_finding(const model::problem& p, std::string_view weight);

/// Parts of model_routes().
std::vector<route> revision_routes();
std::vector<route> model_file_routes();
std::vector<route> library_routes();

}  // namespace orrery::transport::api
