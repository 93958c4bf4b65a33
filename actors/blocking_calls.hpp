// Questions to entities for code that may wait: threads of its own (actors/operation_runner).
#pragma once

#include <vector>

#include "actors/caller.hpp"
#include "actors/query.hpp"

namespace orrery::actors {

struct question {
  target whom;
  any_command what;
};

/// True if the same may be asked again with hope.
bool is_passing(const model::failure& why);

/// Blocks until it is answered; `timeout` at the latest after what the caller was given.
answer ask_and_wait(caller& ask, target whom, any_command what);
/// Asks all at once; answers in their places. What fails for now is asked again until `patience` is
/// over.
std::vector<answer> ask_and_wait(caller& ask, std::vector<question> all,
                                 model::milliseconds patience);

model::result<device_page> read_and_wait(query& reads, device_list_question what);
model::result<tree_page> read_and_wait(query& reads, tree_question what);
model::result<operation_page> read_and_wait(query& reads, operation_rows_question what);

}  // namespace orrery::actors
