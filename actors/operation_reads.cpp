#include "actors/operation_reads.hpp"

#include "model/topic_message.hpp"
#include "storage/keys.hpp"

namespace orrery::actors {
namespace {

namespace keys = storage::keys;
namespace operation = model::operation;
using storage::family;

constexpr std::size_t most_looks = 5'000;  // of one page

bool fits(const operation_list_question& q, const operation::state& s) {
  return (q.actor.empty() || q.actor == s.actor) && (!q.kind || *q.kind == s.kind) &&
         (!q.phase || *q.phase == s.phase);
}

}  // namespace

model::result<operation_page> read_operations(const operation_list_question& q,
                                              const storage::row_reader& from) {
  const auto prefix = keys::index_prefix(q.shard, "operation", q.organisation);
  auto begin = std::string{};
  if (!q.cursor.empty()) {
    const auto id = model::parse_entity_id(q.cursor);
    if (!id || id->shard != q.shard)
      return model::failure{model::errc::invalid_argument, "bad_cursor",
                            "that cursor is none of ours: begin without one"};
    begin = keys::index(q.shard, "operation", q.organisation, *id);
  }
  auto page = operation_page{};
  auto failed = model::status{};
  auto looks = std::size_t{0};
  auto last = std::optional<model::entity_id>{};
  const auto ok = from.scan(family::index, prefix, begin, true, [&](std::string_view key, auto) {
    const auto id = keys::entity_of(key);
    if (!id || key == begin)
      return true;  // from behind it on
    if (page.operations.size() == q.limit || looks == most_looks) {
      page.next = last ? to_string(*last) : std::string{};
      return false;
    }
    ++looks;
    last = id;
    const auto row = from.get(family::state, keys::state(model::entity_kind::operation, *id));
    if (!row) {
      failed = row.error();
      return false;
    }
    if (!*row)
      return true;  // gone meanwhile
    auto one = listed_operation{.id = *id, .revision = 0, .what = {}};
    const auto revision = operation::decode_state(**row, one.what);
    if (!revision) {
      failed = revision.error();
      return false;
    }
    one.revision = *revision;
    if (fits(q, one.what))
      page.operations.push_back(std::move(one));
    return true;
  });
  if (!ok || !failed)
    return ok ? failed.error() : ok.error();
  return page;
}

model::result<operation_page> read_operations(const operation_rows_question& q,
                                              const storage::row_reader& from) {
  auto page = operation_page{};
  const auto& id = q.operation;
  const auto prefix = q.inputs ? keys::operation_inputs(id) : keys::operation_results(id);
  auto bytes = std::uint64_t{0};
  const auto begin =
      q.inputs ? keys::operation_input(id, q.from) : keys::operation_result(id, q.from);
  const auto ok =
      from.scan(family::state, prefix, begin, false, [&](auto key, std::string_view value) {
        if (keys::piece_number_of(key) != q.from + page.pieces.size() ||
            (!page.pieces.empty() && bytes + value.size() > q.max_bytes))
          return false;
        bytes += value.size();
        page.pieces.emplace_back(value);
        return true;
      });
  if (!ok)
    return ok.error();
  return page;
}

model::shard_id operation_shard(const std::string& organisation, std::uint16_t shard_count) {
  return model::topic_id_of(organisation, "operations", shard_count).shard;
}

}  // namespace orrery::actors
