// Pages of lists that are in memory, as the query asks for them: ?filter=, ?sort=, ?fields=,
// ?limit= and ?cursor=. The language is model/filter's; docs/api.md describes it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
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

/// The same of things as they stand in memory, each with its key in the member `key`; `show` makes
/// the item of one: model::value(const exchange&, const T&).
template <class T, class Show>
void reply_list(const exchange_ptr& e, const model::filter::schema& fields,
                const std::vector<T>& all, std::string T::*key, const Show& show) {
  auto rows = std::vector<list_row>{};
  for (const auto& one : all)
    rows.push_back({one.*key, [&e, &one, &show] { return show(*e, one); }});
  reply_list(e, fields, std::move(rows));
}

/// Replies with one of them and its ETag, or with `unknown` where there is none.
template <class T, class Show>
void reply_found(const exchange_ptr& e, const T* found, const model::failure& unknown,
                 const Show& show) {
  if (!found)
    return e->fail(unknown);
  e->reply(200, show(*e, *found), {{"ETag", exchange::etag(found->revision)}});
}

/// What the filter `text` ("": all) accepts of `all`, as shown, in the order of their keys. Fails:
/// `invalid_argument` "bad_filter", `too_large` "too_many_rows" beyond `most`.
model::result<std::vector<model::value>> accepted(std::string_view text,
                                                  const model::filter::schema& fields,
                                                  const std::vector<list_row>& all,
                                                  std::size_t most);

}  // namespace orrery::transport::api
