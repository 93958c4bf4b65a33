// How records of an audit log hang together, and how anybody finds out whether they do. As lines of
// text:
//
//   {"audit":1,"organisation":O,"first":N,"anchor":H,"last":N,"head":H}      of a part of a log
//   {"hash":H,"record":{"number":N,"log":O,"previous":H,...}}                one for each record
//
// H is 64 lower-case hex digits. A record's hash is the SHA-256 of its text, byte by byte as it
// stands behind "record": up to the last brace but one. `previous` is the hash of the record
// before, of the first one of all 64 zeros. Numbers rise by one. The anchor is the `previous` of
// the part's first record, the head the hash of its last. Parts that follow each other may stand in
// one file. O is whose log it is, in every record too, so that none is taken from another log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/audit/audit.hpp"

namespace orrery::model::audit {

/// 64 zeros: before the first record of a log.
std::string_view no_hash();

/// The record of an entry (a JSON object with at least one member) behind the one of hash
/// `previous`.
record chained(std::uint64_t number, std::string_view log, std::string_view previous,
               timestamp time, std::string_view entry);

/// The line of a record, without an end of line.
std::string line_of(const record& r);

struct part {
  std::string organisation;
  std::uint64_t first = 1;
  std::string anchor;
  std::uint64_t last = 0;  // first - 1: no record
  std::string head;
  bool operator==(const part&) const = default;
};
/// The line before the records of a part.
std::string line_of(const part& p);

/// Reads lines one by one and says at the first one that does not fit what is wrong with it.
class verifier {
 public:
  /// One line, without its end. Fails: `corrupted`, naming line, record and what is wrong. After
  /// that nothing counts any more.
  status take(std::string_view line);
  /// After the last line. Fails: `corrupted` if records are missing at the end, if there are none,
  /// or if what is expected could not be compared with any.
  status finish() const;

  /// Something known from elsewhere: the record of that number has that hash. It must be among
  /// those that are read, or the one before them.
  void expect(std::uint64_t number, std::string hash) {
    witness_number_ = number;
    witness_hash_ = std::move(hash);
  }
  std::uint64_t records() const { return records_; }
  /// Of the last record that was read.
  std::uint64_t number() const { return next_ - 1; }
  const std::string& hash() const { return hash_; }
  const std::string& organisation() const { return part_.organisation; }
  std::uint64_t first() const { return first_; }

 private:
  failure wrong(const std::string& what) const;
  status take_part(std::string_view line);
  status take_record(std::string_view line);
  status end_part() const;

  std::uint64_t line_ = 0, records_ = 0, next_ = 0, first_ = 0;
  std::string hash_;
  part part_;
  bool begun_ = false, witnessed_ = false;
  std::optional<std::uint64_t> witness_number_;
  std::string witness_hash_;
};

}  // namespace orrery::model::audit
