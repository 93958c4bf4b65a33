// Files that have come in part, by uploads that break off and go on (transport/file_exchange.hpp).
// They are this node's alone and end with its process: an upload that goes on elsewhere, or later,
// is told that nothing has come. Thread-safe.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "actors/blob_access.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::transport {

class unfinished_files {
 public:
  using incoming = actors::blob_access::incoming;
  struct name {
    model::entity_id device;
    std::string file;
    std::string organisation = {};  // the device's
    auto operator<=>(const name&) const = default;
  };
  struct limits {
    // Beyond these the one of them that rests the longest goes: nobody takes away another's.
    std::size_t most_of_device = 16, most_of_organisation = 64;
    std::size_t most = 256;                           // of all
    model::milliseconds kept{std::chrono::hours{1}};  // as long as a file may be awaited
  };

  explicit unfinished_files(limits of) : limits_{of} {}
  unfinished_files() : unfinished_files(limits{}) {}

  /// Bytes that have come. Fails: `conflict` "upload_busy" while somebody has it.
  model::result<std::uint64_t> size(const name& of) const;
  /// What has come, null if nothing has; until it is given back nobody else gets it. Fails: as
  /// size().
  model::result<incoming> take(const name& of);
  /// Takes it back, with more in it or whole (null: it is over). What has to go so that no more are
  /// here than may be is returned: it is to be let go where that may block.
  [[nodiscard]] std::vector<incoming> give_back(const name& of, incoming what,
                                                model::timestamp now);
  /// What has come is wanted no more. Whoever has it gives nothing back. As give_back().
  [[nodiscard]] std::vector<incoming> drop(const name& of);
  /// Those that nobody has brought anything for long, and that nobody has.
  [[nodiscard]] std::vector<incoming> sweep(model::timestamp now);
  std::size_t count() const;

 private:
  struct entry;
  template <class F>
  void shrink(std::size_t most, const F& counts, std::vector<incoming>& gone);

  struct entry {
    incoming what;  // null while somebody has it
    std::uint64_t size = 0;
    model::timestamp touched{};
  };
  limits limits_;
  mutable std::mutex mutex_;
  std::map<name, entry> all_;
};

}  // namespace orrery::transport
