#include "cluster/link_admission.hpp"

#include <algorithm>
#include <string>

namespace orrery::cluster {

using model::errc;
using model::failure;

link_greeting greeting_of(const link_options& mine, std::uint64_t expected) {
  return {.version_min = mine.version_min,
          .version_max = mine.version_max,
          .node = mine.self,
          .incarnation = mine.incarnation,
          .expected = expected,
          .window = static_cast<std::uint32_t>(mine.window_bytes),
          .frame_max = static_cast<std::uint32_t>(mine.frame_max_bytes),
          .name = mine.name};
}

model::result<std::uint16_t> admit(const link_options& mine, const link_greeting& other,
                                   const link_peer* known, bool proved, bool dialed) {
  const auto no = [](std::string why) { return failure{errc::forbidden, std::move(why)}; };
  const auto number = "node " + std::to_string(other.node);
  if (!known)
    return no(number + " is not known here");
  const auto who = number + " (" + known->name + ")";
  // The certificate counts, and the directory says what must stand in it: a name that is only
  // claimed is worth nothing.
  if (!proved || other.name != known->name)
    return no("not proved to be " + who);
  if (dialed != (other.node > mine.self))
    return no(who + " is not to " + (dialed ? "answer" : "dial"));
  if (other.incarnation != known->incarnation)
    return no("another life of " + who + " is known");
  if (other.expected != mine.incarnation)
    return no("meant for another life of node " + std::to_string(mine.self));
  const auto newest = std::min(other.version_max, mine.version_max);
  if (newest < std::max(other.version_min, mine.version_min))
    return no(who + " speaks versions " + std::to_string(other.version_min) + " to " +
              std::to_string(other.version_max) + ", this one " + std::to_string(mine.version_min) +
              " to " + std::to_string(mine.version_max));
  return newest;
}

}  // namespace orrery::cluster
