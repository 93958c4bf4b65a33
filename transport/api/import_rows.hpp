// Rows of devices as files have them (CSV with a row of titles, or NDJSON), piece by piece: no file
// is in memory whole. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/thing_model.hpp"
#include "model/value.hpp"

namespace orrery::transport::api {

enum class row_format { csv, ndjson };
inline constexpr std::size_t max_row_bytes = 64 * 1024;

/// One device of a file. What a row does not say is nothing.
struct import_row {
  std::uint64_t index = 0;
  model::device_name name;
  std::optional<std::string> display_name, description, timezone;
  model::object attributes;
  std::map<std::string, std::string> tags;
  std::string gateway;                    // "productKey/deviceKey"
  std::optional<model::failure> problem;  // it cannot be read; the name may be there all the same
};

/// Cuts the next record off the front of `text`: what it takes, line end included; 0: there is none
/// in it yet. `at_end`: nothing follows `text`. A record that is longer than max_row_bytes comes as
/// far as its line goes.
struct cut_record {
  std::size_t taken = 0;
  std::string_view record;
  bool too_long = false;
};
cut_record next_record(row_format format, std::string_view text, bool at_end);

/// The titles of a CSV file, from its beginning. `begin`: where its rows do. Fails:
/// `invalid_argument` "import_invalid", with a problem for each title.
struct csv_head {
  std::vector<std::string> columns;
  std::uint64_t begin = 0;
};
model::result<csv_head> read_csv_head(std::string_view text, bool at_end);

/// `text`, cut to about `most` bytes between two characters.
std::string shortened(std::string text, std::size_t most);
/// True if it is UTF-8 (RFC 3629).
bool is_utf8(std::string_view text);

/// How texts of attributes become values: the model of a product; null if it has none.
class row_models {
 public:
  virtual ~row_models() = default;
  virtual const model::thing_model* of(const std::string& product_key) const = 0;
};

/// `product`: of rows that name none. An empty cell is nothing.
import_row read_csv_row(const std::vector<std::string>& columns, std::string_view record,
                        const std::string& product, const row_models& models);
import_row read_json_row(std::string_view record, const std::string& product);

/// Keys by a pattern such as "inv-{0001..5000}": one range, in decimal, as wide as its first number
/// is written.
class key_pattern {
 public:
  /// Fails: `invalid_argument` "key_pattern_invalid".
  static model::result<key_pattern> read(std::string_view text);
  std::uint64_t size() const { return last_ - first_ + 1; }
  std::string key(std::uint64_t index) const;

 private:
  std::string before_, after_;
  std::uint64_t first_ = 0, last_ = 0;
  std::size_t width_ = 0;
};

}  // namespace orrery::transport::api
