// Thing models as EnOS exports them, read as tm/1 and written from it. What EnOS has no word for
// but does not need to know (a service's time, say) travels in a member `orrery` of the element and
// comes back; a type that it does not have cannot be written.
#pragma once

#include "model/result.hpp"
#include "model/value.hpp"

namespace orrery::model {

/// True for what an export of EnOS looks like, and no tm/1 document does.
bool is_enos_model(const value& document);

/// A tm/1 document of one exported model; elements that it lists as inherited are left to its
/// parent. The document may still not compile. Fails: `invalid_argument`, reason "import_invalid";
/// problems point into `exported`.
result<value> from_enos(const value& exported);

/// The form of EnOS of a tm/1 document that compiles, with what it inherits. `own`: the document
/// without that, or null if it inherits nothing. Fails: `invalid_argument`, reason
/// "enos_unsupported"; problems name the elements and what EnOS does not have.
result<value> to_enos(const value& document, const value& own);

/// An element of a feature library as EnOS packs it, as an element of ours (blueprint/library.hpp).
/// Fails as `from_enos`.
result<value> library_element_from_enos(const value& packed);

}  // namespace orrery::model
