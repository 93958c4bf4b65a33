#include "model/audit/chain.hpp"

#include <algorithm>

#include "model/credentials.hpp"
#include "model/json.hpp"
#include "model/time_text.hpp"

namespace orrery::model::audit {
namespace {

constexpr std::string_view zeros =
    "0000000000000000000000000000000000000000000000000000000000000000";
constexpr std::string_view before_hash = R"({"hash":")", before_record = R"(","record":)";
constexpr auto limits = json_limits{.max_bytes = 2 * max_entry_bytes, .max_depth = 64};

bool is_hash(std::string_view text) {
  return text.size() == zeros.size() && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<std::string> text_in(const value& v, std::string_view name) {
  const auto* found = v.find(name);
  return found && found->is_string() ? std::optional{found->as_string()} : std::nullopt;
}
std::optional<std::uint64_t> number_in(const value& v, std::string_view name) {
  const auto* found = v.find(name);
  return found && found->is_int() && found->as_int() >= 0
             ? std::optional{static_cast<std::uint64_t>(found->as_int())}
             : std::nullopt;
}

}  // namespace

std::string_view no_hash() {
  return zeros;
}

record chained(std::uint64_t number, std::string_view log, std::string_view previous,
               timestamp time, std::string_view entry) {
  auto text = R"({"number":)" + std::to_string(number) + R"(,"log":)";
  write_json_string(log, text);
  text += R"(,"previous":")";
  text.append(previous).append(R"(","time":")").append(to_text(time)).append(R"(",)");
  text.append(entry.substr(1));
  auto hash = sha256_hex(text);
  return {number, time, std::move(hash), std::move(text)};
}

std::string line_of(const record& r) {
  auto line = std::string{before_hash};
  line.reserve(r.text.size() + 96);
  return line.append(r.hash).append(before_record).append(r.text).append("}");
}

std::string line_of(const part& p) {
  auto line = std::string{R"({"audit":1,"organisation":)"};
  write_json_string(p.organisation, line);
  line += R"(,"first":)" + std::to_string(p.first) + R"(,"anchor":")" + p.anchor;
  line += R"(","last":)" + std::to_string(p.last) + R"(,"head":")" + p.head + R"("})";
  return line;
}

failure verifier::wrong(const std::string& what) const {
  return {errc::corrupted, "audit_broken", "line " + std::to_string(line_) + ": " + what};
}

status verifier::take(std::string_view line) {
  ++line_;
  return line.starts_with(R"({"audit":)") ? take_part(line) : take_record(line);
}

status verifier::take_part(std::string_view line) {
  if (begun_)
    if (auto ok = end_part(); !ok)
      return ok;
  const auto read = parse_json(line, limits);
  if (!read)
    return wrong("the heading of a part is not JSON");
  const auto organisation = text_in(*read, "organisation"), anchor = text_in(*read, "anchor"),
             head = text_in(*read, "head");
  const auto first = number_in(*read, "first"), last = number_in(*read, "last");
  if (!organisation || !anchor || !head || !first || !last || !is_hash(*anchor) ||
      !is_hash(*head) || *first == 0 || *last + 1 < *first)
    return wrong("the heading of a part lacks something, or has something that cannot be");
  auto p = part{*organisation, *first, *anchor, *last, *head};
  if (line_of(p) != line)
    return wrong("the heading of a part was changed");
  if (*last + 1 == *first && *head != *anchor)
    return wrong("the heading of a part without records has another head than anchor");
  if (begun_ && p.organisation != part_.organisation)
    return wrong("the part is of the log of " + p.organisation + ", not of " + part_.organisation);
  if (begun_ && (p.first != next_ || p.anchor != hash_))
    return wrong("the part begins with record " + std::to_string(p.first) +
                 " and does not follow record " + std::to_string(next_ - 1));
  if (p.first == 1 && p.anchor != zeros)
    return wrong("the log begins with another anchor than zeros");
  if (witness_number_ && *witness_number_ + 1 == p.first) {
    if (witness_hash_ != p.anchor)
      return wrong("record " + std::to_string(*witness_number_) +
                   ", before the first one here, is another one than the witness saw");
    witnessed_ = true;
  }
  if (!begun_)
    first_ = p.first;
  begun_ = true;
  next_ = p.first;
  hash_ = p.anchor;
  part_ = std::move(p);
  return {};
}

status verifier::take_record(std::string_view line) {
  if (!begun_)
    return wrong("there is no heading before it");
  const auto name = "record " + std::to_string(next_);
  constexpr auto hash_at = before_hash.size(), mark_at = hash_at + zeros.size(),
                 text_at = mark_at + before_record.size();
  if (line.size() <= text_at + 1 || !line.starts_with(before_hash) ||
      line.substr(mark_at, before_record.size()) != before_record || line.back() != '}')
    return wrong(name + " does not have the form of a record");
  const auto hash = line.substr(hash_at, zeros.size()),
             text = line.substr(text_at, line.size() - 1 - text_at);
  const auto read = parse_json(text, limits);
  if (!read || !read->is_object())
    return wrong(name + " is not JSON");
  const auto number = number_in(*read, "number");
  if (!number)
    return wrong(name + " has no number");
  if (sha256_hex(text) != hash)
    return wrong("record " + std::to_string(*number) +
                 " was changed: its text does not have the hash that stands with it");
  if (*number != next_)
    return wrong(*number < next_
                     ? "record " + std::to_string(*number) + " comes a second time, or too late"
                     : name + " is missing: record " + std::to_string(*number) + " stands there");
  if (text_in(*read, "log") != part_.organisation)
    return wrong(name + " is of another log than that of " + part_.organisation);
  if (text_in(*read, "previous") != hash_)
    return wrong(name + " does not carry the hash of the one before");
  if (*number > part_.last)
    return wrong(name + " is more than the heading of its part says");
  ++next_;
  ++records_;
  hash_ = hash;
  if (witness_number_ == number) {
    if (witness_hash_ != hash_)
      return wrong(name + " is another one than the witness saw");
    witnessed_ = true;
  }
  return {};
}

status verifier::end_part() const {
  if (next_ != part_.last + 1)
    return wrong("record " + std::to_string(next_) + " is missing: the part goes on to record " +
                 std::to_string(part_.last));
  if (hash_ != part_.head)
    return wrong("the last record is another one than the heading of its part says");
  return {};
}

status verifier::finish() const {
  if (!begun_)
    return failure{errc::corrupted, "audit_broken", "there is no audit log in it"};
  if (auto ok = end_part(); !ok)
    return ok;
  if (witness_number_ && !witnessed_)
    return wrong("record " + std::to_string(*witness_number_) +
                 (*witness_number_ < first_
                      ? ", which the witness saw, is older than what is here, which begins with "
                        "record " +
                            std::to_string(first_) + ": nothing can be compared with it"
                      : ", which the witness saw, is missing"));
  return {};
}

}  // namespace orrery::model::audit
