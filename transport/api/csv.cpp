#include "transport/api/csv.hpp"

#include <algorithm>

namespace orrery::transport::api {
namespace {

using model::errc;
using model::failure;

constexpr auto formula_marks = std::string_view{"=+-@"};
constexpr auto byte_order_mark = std::string_view{"\xef\xbb\xbf"};

class csv_reader {
 public:
  csv_reader(std::string_view text, const csv_limits& limits) : rest_{text}, limits_{limits} {}

  model::result<std::vector<csv_row>> run() {
    if (rest_.starts_with(byte_order_mark))
      rest_.remove_prefix(3);
    while (!rest_.empty()) {
      if (take_line_end())
        continue;  // an empty line
      auto row = csv_row{};
      do {
        auto f = field();
        if (!f)
          return f.error();
        if (f->size() > limits_.field_bytes || row.size() == limits_.columns)
          return failure{errc::too_large, "too_large", at() + "a field or row is too long"};
        if (f->size() > 1 && f->front() == '\'' && formula_marks.find((*f)[1]) != f->npos)
          f->erase(0, 1);
        row.push_back(std::move(*f));
      } while (take(','));
      if (!rest_.empty() && !take_line_end())
        return failure{errc::invalid_argument, "malformed", at() + "text behind a quoted field"};
      if (rows_.size() == limits_.rows)
        return failure{errc::too_large, "too_many_rows",
                       "at most " + std::to_string(limits_.rows - 1) + " rows"};
      rows_.push_back(std::move(row));
    }
    return std::move(rows_);
  }

 private:
  std::string at() const { return "row " + std::to_string(rows_.size() + 1) + ": "; }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c)
      return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take_line_end() {
    if (rest_.starts_with("\r\n"))
      rest_.remove_prefix(1);
    return take('\n');
  }
  model::result<std::string> field() {
    if (!take('"')) {
      const auto end = std::min(rest_.find_first_of(",\n"), rest_.size());
      auto plain = rest_.substr(0, end);
      if (end < rest_.size() && rest_[end] == '\n' && plain.ends_with('\r'))
        plain.remove_suffix(1);
      if (plain.find('"') != std::string_view::npos)
        return failure{errc::invalid_argument, "malformed", at() + "a quote inside a field"};
      rest_.remove_prefix(plain.size());
      return std::string{plain};
    }
    auto text = std::string{};
    for (;;) {
      const auto end = rest_.find('"');
      if (end == std::string_view::npos)
        return failure{errc::invalid_argument, "malformed", at() + "a quote does not end"};
      text += rest_.substr(0, end);
      rest_.remove_prefix(end + 1);
      if (!take('"'))
        return text;
      text += '"';
    }
  }

  std::string_view rest_;
  csv_limits limits_;
  std::vector<csv_row> rows_;
};

}  // namespace

model::result<std::vector<csv_row>> read_csv(std::string_view text, const csv_limits& limits) {
  return csv_reader{text, limits}.run();
}

void write_csv(std::string& out, const csv_row& row) {
  auto first = true;
  if (row.size() == 1 && row.front().empty())
    out += "\"\"";  // else it would be an empty line, which is none
  for (const auto& field : row) {
    if (!first)
      out += ',';
    first = false;
    const auto is_formula =
        !field.empty() && std::string_view{"=+-@"}.find(field[0]) != std::string_view::npos;
    if (!is_formula && !field.starts_with(byte_order_mark) &&
        field.find_first_of(",\"\r\n") == std::string::npos) {
      out += field;
      continue;
    }
    out += is_formula ? "\"'" : "\"";
    for (const auto c : field)
      out.append(c == '"' ? 2 : 1, c);
    out += '"';
  }
  out += "\r\n";
}

}  // namespace orrery::transport::api
