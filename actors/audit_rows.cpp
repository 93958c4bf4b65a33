#include "actors/audit_rows.hpp"

#include <algorithm>

#include "model/audit/chain.hpp"
#include "model/audit/search.hpp"
#include "model/json.hpp"
#include "storage/keys.hpp"

namespace orrery::actors {
namespace {

namespace audit = model::audit;
namespace filter = model::filter;
namespace keys = storage::keys;
using model::errc;
using model::failure;
using storage::family;

/// A page looks at no more.
constexpr std::size_t max_looked_at = 20'000;

model::result<std::optional<audit::record>> find_record(const storage::row_reader& from,
                                                        const model::entity_id& log,
                                                        std::uint64_t number) {
  const auto row = from.get(family::state, keys::audit_record(log, number));
  if (!row)
    return row.error();
  if (!*row)
    return std::optional<audit::record>{};
  auto r = audit::decode_record(**row);
  if (!r)
    return r.error();
  return std::optional{std::move(*r)};
}

/// The number of the first record at or after that time: times rise with the numbers.
model::result<std::uint64_t> first_since(const storage::row_reader& from,
                                         const model::entity_id& log, const audit::state& s,
                                         model::timestamp time) {
  auto low = s.first, high = s.next;
  while (low < high) {
    const auto middle = low + (high - low) / 2;
    const auto r = find_record(from, log, middle);
    if (!r)
      return r.error();
    if (!*r)
      return failure{errc::corrupted,
                     "record " + std::to_string(middle) + " of the audit log has no row"};
    if ((*r)->time < time)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

class page_reader {
 public:
  page_reader(const audit_question& q, const std::optional<filter::checked_filter>& wanted)
      : q_{q}, wanted_{wanted} {}

  /// False: the page is full.
  bool take(std::string_view value) {
    auto r = audit::decode_record(value);
    if (!r)
      return stop(r.error());
    if (page.records.size() >= q_.limit || looked_at_ >= max_looked_at ||
        (bytes_ >= q_.max_bytes && !page.records.empty())) {
      page.next = last_;
      return false;
    }
    ++looked_at_;
    last_ = r->number;
    if (wanted_) {
      const auto read =
          model::parse_json(r->text, {.max_bytes = 2 * audit::max_entry_bytes, .max_depth = 64});
      if (!read)
        return stop({errc::corrupted, "record " + std::to_string(r->number) + " is not JSON"});
      if (!audit::accepts(*wanted_, *read))
        return true;
    }
    bytes_ += r->text.size();
    page.records.push_back(std::move(*r));
    return true;
  }

  audit_page page;
  model::status failed;

 private:
  bool stop(failure why) {
    failed = std::move(why);
    return false;
  }
  const audit_question& q_;
  const std::optional<filter::checked_filter>& wanted_;
  std::size_t looked_at_ = 0, bytes_ = 0;
  std::uint64_t last_ = 0;
};

model::result<std::optional<filter::checked_filter>> read_filter(const std::string& text) {
  if (text.empty())
    return std::optional<filter::checked_filter>{};
  const auto parsed = filter::parse(text);
  if (!parsed)
    return parsed.error();
  auto checked = filter::check(*parsed, audit::search_fields());
  if (!checked)
    return checked.error();
  return std::optional{std::move(*checked)};
}

}  // namespace

model::result<std::optional<audit::record>> audit_rows::find(std::uint64_t number) const {
  return find_record(from_, log_, number);
}

model::result<bool> audit_rows::has_request(std::string_view request) const {
  if (std::find(requests_.begin(), requests_.end(), request) != requests_.end())
    return true;
  auto mark = std::string{R"("requestId":)"};
  model::write_json_string(request, mark);
  auto found = false;
  auto looked_at = std::size_t{0};
  // The mark may stand in anything that was asked, too: it only spares the reading of the others.
  const auto read = from_.scan(family::state, keys::audit_records(log_), {}, true,
                               [&](auto, std::string_view value) {
                                 if (value.find(mark) != std::string_view::npos)
                                   if (const auto r = audit::decode_record(value))
                                     found = audit::request_of(r->text) == request;
                                 return !found && ++looked_at < audit::looked_back;
                               });
  if (!read)
    return read.error();
  return found;
}

model::result<audit_page> read_audit(const audit_question& q, const storage::row_reader& from) {
  const auto wanted = read_filter(q.filter);
  if (!wanted)
    return wanted.error();
  const auto row = from.get(family::state, keys::state(model::entity_kind::audit_log, q.log));
  if (!row)
    return row.error();
  if (!*row)
    return audit_page{};
  auto s = audit::state{};
  if (const auto read = audit::decode_state(**row, s); !read)
    return read.error();
  auto begin = first_since(from, q.log, s, q.from);
  if (!begin)
    return begin.error();
  auto end = first_since(from, q.log, s, q.to);  // not with it
  if (!end)
    return end.error();
  if (q.place != 0 && q.oldest_first)
    *begin = std::min(std::max(*begin, q.place + 1), s.next);
  else if (q.place != 0)
    *end = std::min(*end, q.place);
  auto reader = page_reader{q, *wanted};
  reader.page.organisation = s.organisation;
  reader.page.first = *begin;
  reader.page.anchor = s.anchor;
  if (q.oldest_first && *begin > s.first) {
    const auto before = find_record(from, q.log, *begin - 1);
    if (!before)
      return before.error();
    if (!*before)
      return failure{errc::corrupted,
                     "record " + std::to_string(*begin - 1) + " of the audit log has no row"};
    reader.page.anchor = (*before)->hash;
  }
  const auto prefix = keys::audit_records(q.log);
  const auto first = keys::audit_record(q.log, *begin), last = keys::audit_record(q.log, *end);
  if (*begin < *end)
    if (auto ok =
            from.scan(family::state, prefix,
                      q.oldest_first ? first : keys::audit_record(q.log, *end - 1), !q.oldest_first,
                      [&](std::string_view key, std::string_view value) {
                        return (q.oldest_first ? key < last : key >= first) && reader.take(value);
                      });
        !ok)
      return ok.error();
  if (!reader.failed)
    return reader.failed.error();
  return std::move(reader.page);
}

}  // namespace orrery::actors
