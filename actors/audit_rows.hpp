// The records of one audit log as its rows show them, and pages of them for actors/query.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "model/audit/audit.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

/// Lives no longer than what it reads from. `requests`: what the newest of this
/// run are about, which may not be in rows yet.
class audit_rows final : public model::audit::record_source {
 public:
  audit_rows(const storage::row_reader& from, const model::entity_id& log,
             const std::deque<std::string>& requests)
      : from_{from}, log_{log}, requests_{requests} {}
  model::result<std::optional<model::audit::record>> find(std::uint64_t number) const override;
  model::result<bool> has_request(std::string_view request) const override;

 private:
  const storage::row_reader& from_;
  model::entity_id log_;
  const std::deque<std::string>& requests_;
};

/// Records of one log, newest first unless `oldest_first`.
struct audit_question {
  model::shard_id shard = 0;  // that of the log
  model::entity_id log{};
  std::string filter{};  // model/filter over model::audit::search_fields; empty: all
  model::timestamp from{}, to{};
  std::uint64_t place = 0;  // number of the record that the page before ended with; 0: none
  bool oldest_first = false;
  std::uint64_t limit = 50;
  std::uint64_t max_bytes = 1024 * 1024;  // of texts; one record may be more
};
struct audit_page {
  std::string organisation;  // as the log has it; empty: there is no log yet
  std::vector<model::audit::record> records;
  std::uint64_t next = 0;   // place of the next page; 0: there are no more
  std::uint64_t first = 1;  // of `oldest_first`: number of the first record that is asked for
  std::string anchor;       // what that one carries as the hash of the one before
};

/// A page may be short, or empty, and yet not be the last. Fails: `invalid_argument` "bad_filter",
/// `corrupted`, what `from` fails with.
model::result<audit_page> read_audit(const audit_question& q, const storage::row_reader& from);

}  // namespace orrery::actors
