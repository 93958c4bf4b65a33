// What a thing model is with what it inherits: a document that `extends` another model has that
// one's elements and its own. It may narrow what it inherits, never widen, retype or drop it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "model/result.hpp"
#include "model/thing_model.hpp"
#include "model/value.hpp"

namespace orrery::model::blueprint {

/// The keys of a document's four lists of elements.
inline constexpr std::string_view element_kinds[] = {"attributes", "measurePoints", "services",
                                                     "events"};

/// What a document extends, as it says it: "Pump", or "acme/Pump" for one of the organisation acme;
/// "" for none, and for what is no text.
std::string parent_of(const value& document);

/// organisation + '/' + id of the model that is called `reference` in that organisation.
std::string key_of(std::string_view organisation, std::string_view reference);

/// A document with what it inherits, and what that compiles to.
struct resolved {
  value document;  // tm/1; elements of the parent first, in its order
  std::shared_ptr<const thing_model> compiled;
};

/// A document that inherits nothing. Fails as `thing_model::compile`.
result<resolved> resolve(const value& own);

/// An element of `own` that its parent has too stands for the parent's: members that it has replace
/// the parent's, in its `type` too, and what it does not say it inherits. `validate` is inherited
/// as well. Fails: `invalid_argument`, reason "model_invalid" as `thing_model::compile`, or
/// "inheritance_conflict" if something is not narrower than what it inherits; problems point into
/// `own`.
result<resolved> resolve(const value& own, const value& parent_document, const thing_model& parent);

}  // namespace orrery::model::blueprint
