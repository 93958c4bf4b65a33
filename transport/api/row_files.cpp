#include "transport/api/row_files.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "model/json.hpp"
#include "transport/api/csv.hpp"
#include "transport/api/import_upload.hpp"
#include "transport/api/problem.hpp"

namespace orrery::transport::api {
namespace {

using model::errc;
using model::failure;

constexpr std::size_t max_columns = 256;

failure invalid(std::string detail, std::vector<model::problem> problems = {}) {
  return {errc::invalid_argument, "import_invalid", std::move(detail), std::move(problems)};
}

failure too_many() {
  return {errc::too_large, "too_many_rows",
          "a file has at most " + std::to_string(max_file_rows) + " rows: send several"};
}

/// "tags" of "tags.*"; "" of a column that is one member.
std::string_view map_of(const row_column& c) {
  return c.name.ends_with(".*") ? std::string_view{c.name}.substr(0, c.name.size() - 2)
                                : std::string_view{};
}

/// The column that a title is of; null: of none.
const row_column* column_of(const std::string& title, const std::vector<row_column>& columns) {
  for (const auto& c : columns) {
    const auto map = map_of(c);
    if (map.empty()
            ? title == c.name
            : title.size() > map.size() + 1 && title.starts_with(map) && title[map.size()] == '.')
      return &c;
  }
  return nullptr;
}

model::value value_of(std::string cell, cell_form form) {
  if (form == cell_form::json) {
    if (auto v = model::parse_json(cell, {.max_bytes = max_row_bytes}))
      return std::move(*v);
    return cell;
  }
  if (form == cell_form::text)
    return cell;
  auto words = model::array{};
  for (auto at = cell.find_first_not_of(' '); at != std::string::npos;) {
    const auto end = std::min(cell.find(' ', at), cell.size());
    words.emplace_back(cell.substr(at, end - at));
    at = cell.find_first_not_of(' ', end);
  }
  return words;
}

std::string cell_of(const model::value& v, cell_form form) {
  if (v.is_null())
    return {};
  if (form == cell_form::words && v.is_array()) {
    auto text = std::string{};
    for (const auto& word : v.as_array())
      text += (text.empty() ? "" : " ") + (word.is_string() ? word.as_string() : std::string{});
    return text;
  }
  if (!v.is_string())
    return model::to_json(v);
  // A text that reads as JSON is told from what it would be read as.
  if (form == cell_form::json && model::parse_json(v.as_string(), {.max_bytes = max_row_bytes}))
    return model::to_json(v);
  return v.as_string();
}

file_row row_of(const std::vector<std::string>& titles, csv_row cells,
                const std::vector<row_column>& columns) {
  if (cells.size() != titles.size())
    return failure{errc::invalid_argument, "validation_failed",
                   "it has " + std::to_string(cells.size()) + " fields, and there are " +
                       std::to_string(titles.size()) + " titles"};
  auto row = model::object{};
  auto maps = std::map<std::string_view, model::object>{};
  for (std::size_t i = 0; i < titles.size(); ++i) {
    if (cells[i].empty())
      continue;
    const auto& column = *column_of(titles[i], columns);
    auto v = value_of(std::move(cells[i]), column.form);
    if (const auto map = map_of(column); !map.empty())
      maps[map].emplace_back(titles[i].substr(map.size() + 1), std::move(v));
    else
      row.emplace_back(titles[i], std::move(v));
  }
  for (auto& [name, members] : maps)
    row.emplace_back(name, std::move(members));
  return model::value{std::move(row)};
}

model::status check_titles(const std::vector<std::string>& titles,
                           const std::vector<row_column>& columns) {
  auto names = std::string{};
  for (const auto& c : columns)
    names += (names.empty() ? "" : ", ") + c.name;
  auto problems = std::vector<model::problem>{};
  auto seen = std::set<std::string>{};
  for (const auto& title : titles)
    if (!column_of(title, columns))
      problems.push_back({shortened(title, 128), "unknown_field", "there are " + names});
    else if (!seen.insert(title).second)
      problems.push_back({title, "duplicate", "two columns have that title"});
  if (problems.empty())
    return {};
  auto detail = "the titles: " + problems.front().where + ": " + problems.front().detail;
  return invalid(std::move(detail), std::move(problems));
}

model::result<std::vector<file_row>> read_table(std::string_view text,
                                                const std::vector<row_column>& columns) {
  auto table = read_csv(text, {.rows = max_file_rows + 1, .columns = max_columns});
  if (!table)
    return table.error().reason == "too_many_rows" ? too_many() : invalid(table.error().detail);
  if (table->empty())
    return invalid("the file is empty: its first line has the titles of its columns");
  const auto titles = std::move(table->front());
  if (auto ok = check_titles(titles, columns); !ok)
    return ok.error();
  auto rows = std::vector<file_row>{};
  for (std::size_t i = 1; i < table->size(); ++i)
    rows.push_back(row_of(titles, std::move((*table)[i]), columns));
  return rows;
}

file_row read_line(std::string_view line) {
  auto v = model::parse_json(line, {.max_bytes = max_row_bytes});
  if (!v)
    return failure{errc::invalid_argument, "validation_failed", "no JSON: " + v.error().detail};
  if (!v->is_object())
    return failure{errc::invalid_argument, "validation_failed", "a row is an object"};
  return std::move(*v);
}

model::result<std::vector<file_row>> read_lines(std::string_view text) {
  auto rows = std::vector<file_row>{};
  while (!text.empty()) {
    const auto cut = next_record(row_format::ndjson, text, true);
    text.remove_prefix(cut.taken);
    if (!cut.too_long && cut.record.find_first_not_of(" \t") == std::string_view::npos)
      continue;
    if (rows.size() == max_file_rows)
      return too_many();
    rows.push_back(cut.too_long
                       ? failure{errc::too_large, "too_large",
                                 "a row has at most " + std::to_string(max_row_bytes) + " bytes"}
                       : read_line(cut.record));
  }
  return rows;
}

}  // namespace

model::result<std::vector<file_row>> read_rows(row_format format, std::string_view text,
                                               const std::vector<row_column>& columns) {
  if (!is_utf8(text))
    return invalid("the file is not UTF-8");
  return format == row_format::csv ? read_table(text, columns) : read_lines(text);
}

std::string write_rows(row_format format, const std::vector<row_column>& columns,
                       const std::vector<model::value>& rows) {
  auto out = std::string{};
  if (format == row_format::ndjson) {
    for (const auto& row : rows) {
      model::write_json(row, out);
      out += '\n';
    }
    return out;
  }
  struct written_column {
    std::string_view member, key;  // `key`: in the map `member`
    cell_form form;
  };
  auto all = std::vector<written_column>{};
  auto titles = csv_row{};
  for (const auto& c : columns) {
    const auto map = map_of(c);
    if (map.empty()) {
      all.push_back({c.name, {}, c.form});
      titles.push_back(c.name);
      continue;
    }
    auto keys = std::set<std::string_view>{};
    for (const auto& row : rows)
      if (const auto* in = row.find(map); in && in->is_object())
        for (const auto& [key, v] : in->as_object())
          keys.insert(key);
    for (const auto key : keys) {
      all.push_back({map, key, c.form});
      titles.push_back(std::string{map} + '.' + std::string{key});
    }
  }
  write_csv(out, titles);
  for (const auto& row : rows) {
    auto cells = csv_row{};
    for (const auto& c : all) {
      const auto* v = row.find(c.member);
      if (v && !c.key.empty())
        v = v->find(c.key);
      cells.push_back(v ? cell_of(*v, c.form) : std::string{});
    }
    write_csv(out, cells);
  }
  return out;
}

void send_rows(const exchange_ptr& e, row_format format, const std::vector<row_column>& columns,
               const std::vector<model::value>& rows) {
  auto r = http_response{};
  r.content_type = format == row_format::csv ? "text/csv; charset=utf-8" : "application/x-ndjson";
  r.body = write_rows(format, columns, rows);
  e->send(std::move(r));
}

model::result<row_import> read_row_import(const exchange& e) {
  const auto order = read_import_order(e.request());
  if (!order)
    return order.error();
  auto i = row_import{};
  i.format = order->format;
  i.creates = order->mode != "update";
  i.updates = order->mode != "create";
  i.dry_run = order->dry_run;
  return i;
}

void row_results::done(std::size_t index, std::string_view what, const std::string& id,
                       model::object more) {
  auto o = model::object{{"index", static_cast<std::int64_t>(index)},
                         {"status", what == "created" ? 201 : 200},
                         {"outcome", what}};
  if (!id.empty())
    o.emplace_back("id", id);
  std::move(more.begin(), more.end(), std::back_inserter(o));
  items_[index] = std::move(o);
  ++ok_;
}

void row_results::fail(std::size_t index, const std::string& id, const model::failure& why,
                       std::string_view request_id) {
  auto o = model::object{{"index", static_cast<std::int64_t>(index)}, {"status", status_of(why)}};
  if (!id.empty())
    o.emplace_back("id", shortened(id, 64));
  o.emplace_back("error", problem_object(why, "", request_id));
  items_[index] = std::move(o);
  ++failed_;
}

model::value row_results::take(bool dry_run) {
  return model::object{
      {"results", std::move(items_)}, {"ok", ok_}, {"failed", failed_}, {"dryRun", dry_run}};
}

}  // namespace orrery::transport::api
