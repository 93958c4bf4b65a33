#include "transport/api/import_rows.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "model/json.hpp"
#include "transport/api/csv.hpp"
#include "transport/api/fields.hpp"

namespace orrery::transport::api {
namespace {

using model::errc;
using model::failure;

constexpr auto byte_order_mark = std::string_view{"\xef\xbb\xbf"};
constexpr std::size_t max_columns = 256;
constexpr std::uint64_t max_pattern_keys = 1'000'000;

/// The end of the first CSV record: where its LF is, or the end of the text; npos: neither is
/// known.
std::size_t csv_end(std::string_view text, bool at_end) {
  auto quoted = false, begins = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = text[i];
    if (quoted) {
      quoted = c != '"';  // a doubled one opens again at once
      begins = c == '"';
      continue;
    }
    if (c == '\n')
      return i;
    quoted = c == '"' && begins;
    begins = c == ',';
  }
  return at_end ? text.size() : std::string_view::npos;
}

bool is_attribute(std::string_view column) {
  return column.starts_with("attributes.") && column.size() > 11;
}
bool is_tag(std::string_view column) {
  return column.starts_with("tags.") && column.size() > 5;
}
bool is_plain(std::string_view column) {
  return column == "productKey" || column == "deviceKey" || column == "name" ||
         column == "description" || column == "timezone" || column == "gateway";
}

/// A cell as a value of that type, as well as can be told; what does not fit is told later.
model::value cell_value(const model::type_spec* type, std::string cell) {
  using model::data_type;
  if (!type || type->type == data_type::string || type->type == data_type::date ||
      type->type == data_type::instant || type->type == data_type::enumeration ||
      type->type == data_type::file)
    return cell;
  if (auto v = model::parse_json(cell, {.max_bytes = max_row_bytes}))
    return std::move(*v);
  return cell;
}

import_row unreadable(std::string_view reason, std::string detail) {
  auto row = import_row{};
  row.problem = failure{errc::invalid_argument, reason, std::move(detail)};
  return row;
}

std::optional<std::uint64_t> number_in(std::string_view text) {
  auto n = std::uint64_t{0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || text.size() > 12 || error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return n;
}

}  // namespace

cut_record next_record(row_format format, std::string_view text, bool at_end) {
  const auto shown = text.substr(0, max_row_bytes);
  const auto all_shown = shown.size() == text.size();
  auto end = format == row_format::csv ? csv_end(shown, at_end && all_shown) : shown.find('\n');
  if (end == std::string_view::npos && at_end && all_shown)
    end = shown.size();
  auto cut = cut_record{};
  if (end == std::string_view::npos && all_shown && text.size() < max_row_bytes)
    return cut;
  if (end == std::string_view::npos) {
    cut.too_long = true;
    end = std::min(text.find('\n'), text.size());
  }
  cut.taken = std::min(end + 1, text.size());
  cut.record = text.substr(0, std::min(end, max_row_bytes));
  if (cut.record.ends_with('\r'))
    cut.record.remove_suffix(1);
  return cut;
}

std::string shortened(std::string text, std::size_t most) {
  if (text.size() <= most)
    return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80)
    --most;
  text.resize(most);
  return text;
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t at) {
      return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u;
    };
    const auto c = byte(i);
    const auto length = c < 0x80                ? 1u
                        : c >= 0xc2 && c < 0xe0 ? 2u
                        : c >= 0xe0 && c < 0xf0 ? 3u
                        : c >= 0xf0 && c < 0xf5 ? 4u
                                                : 0u;
    if (length == 0)
      return false;
    for (auto n = 1u; n < length; ++n)
      if ((byte(i + n) & 0xc0) != 0x80)
        return false;
    const auto second = byte(i + 1);
    if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) ||
        (c == 0xf0 && second < 0x90) || (c == 0xf4 && second > 0x8f))
      return false;
    i += length;
  }
  return true;
}

model::result<csv_head> read_csv_head(std::string_view text, bool at_end) {
  const auto bad = [](std::string detail) {
    return failure{errc::invalid_argument, "import_invalid", std::move(detail)};
  };
  auto head = csv_head{};
  if (text.starts_with(byte_order_mark))
    head.begin = byte_order_mark.size();
  const auto cut = next_record(row_format::csv, text.substr(head.begin), at_end);
  if (cut.taken == 0 || cut.too_long)
    return bad("the first line has no end, or no titles of columns");
  head.begin += cut.taken;
  if (!is_utf8(cut.record))
    return bad("the row of titles is not UTF-8");
  auto rows = read_csv(cut.record, {.rows = 1, .columns = max_columns});
  if (!rows)
    return bad("the row of titles: " + rows.error().detail);
  if (rows->empty())
    return bad("the file is empty: its first line has the titles of its columns");
  head.columns = std::move(rows->front());
  auto why = bad("the row of titles has what no column is called");
  auto seen = std::set<std::string>{};
  for (const auto& c : head.columns)
    if (!is_plain(c) && !is_attribute(c) && !is_tag(c))
      why.problems.push_back({c, "unknown_field",
                              "there are productKey, deviceKey, name, description, timezone, "
                              "gateway, attributes.<id> and tags.<key>"});
    else if (!seen.insert(c).second)
      why.problems.push_back({c, "duplicate", "two columns have that title"});
  if (!why.problems.empty())
    return why;
  return head;
}

import_row read_csv_row(const std::vector<std::string>& columns, std::string_view record,
                        const std::string& product, const row_models& models) {
  if (!is_utf8(record))
    return unreadable("malformed", "it is not UTF-8");
  auto rows = read_csv(record, {.rows = 1, .columns = max_columns});
  if (!rows)
    return unreadable("malformed", rows.error().detail);
  if (rows->size() != 1 || rows->front().size() != columns.size())
    return unreadable("malformed",
                      "it has " + std::to_string(rows->empty() ? 0 : rows->front().size()) +
                          " fields, and there are " + std::to_string(columns.size()) + " titles");
  auto& cells = rows->front();
  auto row = import_row{};
  row.name.product_key = product;
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i] == "productKey" && !cells[i].empty())
      row.name.product_key = cells[i];
  const auto* model = models.of(row.name.product_key);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto& c = columns[i];
    if (cells[i].empty())
      continue;
    if (c == "deviceKey") {
      row.name.device_key = std::move(cells[i]);
    } else if (c == "name") {
      row.display_name = std::move(cells[i]);
    } else if (c == "description") {
      row.description = std::move(cells[i]);
    } else if (c == "timezone") {
      row.timezone = std::move(cells[i]);
    } else if (c == "gateway") {
      row.gateway = std::move(cells[i]);
    } else if (is_attribute(c)) {
      const auto id = c.substr(11);
      const auto* spec = model ? model->find_attribute(id) : nullptr;
      row.attributes.emplace_back(id, cell_value(spec ? &spec->type : nullptr, cells[i]));
    } else if (is_tag(c)) {
      row.tags[c.substr(5)] = std::move(cells[i]);
    }
  }
  return row;
}

import_row read_json_row(std::string_view record, const std::string& product) {
  const auto v = model::parse_json(record, {.max_bytes = max_row_bytes});
  if (!v)
    return unreadable("malformed", v.error().detail);
  if (!v->is_object())
    return unreadable("malformed", "a row is an object");
  auto row = import_row{};
  auto f = fields{*v};
  row.name.product_key = f.text("productKey", 64).value_or(product);
  row.name.device_key = f.text("deviceKey", 256).value_or("");
  row.display_name = f.text("name", 256);
  row.description = f.text("description", 2000);
  row.timezone = f.text("timezone", 64);
  row.gateway = f.text("gateway", 128).value_or("");
  row.attributes = f.object("attributes").value_or(model::object{});
  for (auto& [k, tag] : f.text_map("tags", false))
    row.tags[k] = *tag;
  if (auto ok = f.finish(); !ok)
    row.problem = ok.error();
  return row;
}

model::result<key_pattern> key_pattern::read(std::string_view text) {
  const auto bad = [](std::string detail) {
    return failure{errc::invalid_argument, "key_pattern_invalid", std::move(detail)};
  };
  const auto open = text.find('{'), dots = text.find(".."), close = text.find('}');
  if (open == std::string_view::npos || close == std::string_view::npos ||
      dots == std::string_view::npos || dots < open || close < dots ||
      text.find_first_of("{}", close + 1) != std::string_view::npos)
    return bad("a pattern has one range of numbers, as in inv-{0001..5000}");
  const auto from = text.substr(open + 1, dots - open - 1);
  const auto to = text.substr(dots + 2, close - dots - 2);
  const auto first = number_in(from), last = number_in(to);
  if (!first || !last || *last < *first)
    return bad("its range goes from a number up to another, each of at most 12 digits");
  auto p = key_pattern{};
  p.before_ = text.substr(0, open);
  p.after_ = text.substr(close + 1);
  p.first_ = *first;
  p.last_ = *last;
  p.width_ = from.size();
  if (p.size() > max_pattern_keys)
    return bad("at most 1,000,000 keys");
  for (const auto index : {std::uint64_t{0}, p.size() - 1})
    if (!model::is_valid_key(p.key(index)))
      return bad(p.key(index) + " is no device key: 1 to 64 characters of A-Z a-z 0-9 . _ -");
  return p;
}

std::string key_pattern::key(std::uint64_t index) const {
  auto digits = std::to_string(first_ + index);
  if (digits.size() < width_)
    digits.insert(0, width_ - digits.size(), '0');
  return before_ + digits + after_;
}

}  // namespace orrery::transport::api
