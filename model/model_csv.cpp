#include "model/model_csv.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "model/json.hpp"

namespace orrery::model {
namespace {

constexpr std::size_t max_rows = 6000, max_columns = 64, max_problems = 100;

using row = std::vector<std::string>;

/// One kind of elements: its word in a row, its list in a document.
struct kind_words {
  std::string_view word, list;
};
constexpr std::array<kind_words, 4> kinds{{{"attribute", "attributes"},
                                           {"measurePoint", "measurePoints"},
                                           {"service", "services"},
                                           {"event", "events"}}};

enum class cell { text, number, truth, anything, entries };
/// A column, whether it is of the element's type, and what its cells are.
struct column {
  std::string_view name;
  bool of_type;
  cell is;
};
constexpr std::array<column, 17> columns{{{"description", false, cell::text},
                                          {"signal", false, cell::text},
                                          {"unit", false, cell::text},
                                          {"min", true, cell::number},
                                          {"max", true, cell::number},
                                          {"step", true, cell::number},
                                          {"minLength", true, cell::number},
                                          {"maxLength", true, cell::number},
                                          {"pattern", true, cell::text},
                                          {"enum", true, cell::entries},
                                          {"required", false, cell::truth},
                                          {"access", false, cell::text},
                                          {"hasQuality", false, cell::truth},
                                          {"writable", false, cell::truth},
                                          {"default", false, cell::anything},
                                          {"callType", false, cell::text},
                                          {"level", false, cell::text}}};

const column* find_column(std::string_view name) {
  const auto* const found =
      std::find_if(columns.begin(), columns.end(), [&](const auto& c) { return c.name == name; });
  return found == columns.end() ? nullptr : found;
}

failure invalid(std::vector<problem> problems, std::string_view reason) {
  auto text = problems.front().where + ": " + problems.front().detail;
  return {errc::invalid_argument, reason, std::move(text), std::move(problems)};
}

/// Rows of cells; a quoted cell may have commas, breaks and doubled quotes in it.
result<std::vector<row>> split(std::string_view text) {
  auto rows = std::vector<row>{};
  auto cells = row{};
  auto current = std::string{};
  auto quoted = false;
  const auto fault = [&](std::string detail) {
    return invalid({{"/" + std::to_string(rows.size() + 1), "type_mismatch", std::move(detail)}},
                   "import_invalid");
  };
  const auto end_row = [&] {
    cells.push_back(std::exchange(current, {}));
    if (cells.size() > 1 || !cells[0].empty())
      rows.push_back(std::move(cells));
    cells = {};
  };
  if (text.starts_with("\xef\xbb\xbf"))  // spreadsheets put it there
    text.remove_prefix(3);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = text[i];
    if (quoted) {
      if (c != '"')
        current += c;
      else if (i + 1 < text.size() && text[i + 1] == '"')
        current += text[++i];
      else
        quoted = false;
    } else if (c == '"' && current.empty()) {
      quoted = true;
    } else if (c == ',') {
      cells.push_back(std::exchange(current, {}));
      if (cells.size() >= max_columns)
        return fault("at most " + std::to_string(max_columns) + " columns");
    } else if (c == '\n' || (c == '\r' && text.substr(i + 1).starts_with('\n'))) {
      i += c == '\r' ? 1 : 0;
      end_row();
      if (rows.size() > max_rows)
        return fault("at most " + std::to_string(max_rows) + " rows");
    } else {
      current += c;
    }
  }
  if (quoted)
    return fault("a quote is not closed");
  if (!current.empty() || !cells.empty())
    end_row();
  return rows;
}

object type_of(const std::string& text) {
  if (text.ends_with("[]"))
    return object{{"t", "array"}, {"items", object{{"t", text.substr(0, text.size() - 2)}}}};
  return object{{"t", text}};
}

/// "0=off|1=on"
object entries_of(std::string_view text) {
  auto all = object{};
  while (!text.empty()) {
    const auto end = std::min(text.find('|'), text.size());
    const auto one = text.substr(0, end);
    const auto equals = one.find('=');
    const auto key = one.substr(0, equals);
    set_member(all, key, equals == std::string_view::npos ? key : one.substr(equals + 1));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return all;
}

class row_reader {
 public:
  row_reader(const row& header, std::vector<problem>& problems)
      : header_{header}, problems_{problems} {}

  /// The element in a row, into the lists.
  void take(const row& cells, std::size_t number, std::map<std::string_view, array>& lists) {
    number_ = number;
    auto element = object{}, type = object{}, names = object{};
    auto list = std::string_view{};
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i >= header_.size())
        return note("", "there are more cells than columns");
      const auto& name = header_[i];
      const auto& text = cells[i];
      if (text.empty())
        continue;
      if (name == "kind")
        list = list_of(text);
      else if (name == "id")
        element.insert(element.begin(), {"id", text});
      else if (name == "name")
        names.insert(names.begin(), {"default", text});
      else if (name.starts_with("name."))
        i18n_.emplace_back(name.substr(5), text);
      else if (name == "type")
        for (auto& [key, v] : type_of(text))
          set_member(type, key, std::move(v));
      else if (const auto* c = find_column(name))
        put(*c, text, c->of_type ? type : element);
    }
    if (list.empty())
      return note("kind", "expected attribute, measurePoint, service or event");
    if (!names.empty()) {
      if (!i18n_.empty())
        names.emplace_back("i18n", std::exchange(i18n_, {}));
      element.emplace_back("name", names.size() == 1 ? names[0].second : value{names});
    }
    if (!type.empty())
      element.emplace_back("type", std::move(type));
    lists[list].emplace_back(std::move(element));
  }

 private:
  static std::string_view list_of(std::string_view word) {
    for (const auto& kind : kinds)
      if (kind.word == word)
        return kind.list;
    return {};
  }

  void put(const column& c, const std::string& text, object& into) {
    switch (c.is) {
      case cell::text:
        return into.emplace_back(c.name, text), void();
      case cell::truth:
        if (text != "true" && text != "false")
          return note(c.name, "expected true or false");
        return into.emplace_back(c.name, text == "true"), void();
      case cell::number: {
        const auto number = parse_json(text);
        if (!number || !number->is_number())
          return note(c.name, "expected a number");
        return into.emplace_back(c.name, *number), void();
      }
      case cell::anything: {
        const auto read = parse_json(text);
        return into.emplace_back(c.name, read ? *read : value{text}), void();
      }
      case cell::entries:
        return into.emplace_back("values", entries_of(text)), void();
    }
  }
  void note(std::string_view where, std::string detail) {
    if (problems_.size() < max_problems)
      problems_.push_back({"/" + std::to_string(number_) + "/" + std::string{where},
                           "type_mismatch", std::move(detail)});
  }

  const row& header_;
  std::vector<problem>& problems_;
  std::size_t number_ = 0;
  object i18n_;
};

// ---- writing ------------------------------------------------------------------------------------

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos)
    return text;
  auto out = std::string{'"'};
  for (const auto c : text)
    out += c == '"' ? std::string{"\"\""} : std::string{c};
  return out + '"';
}

std::string cell_text(const value& v) {
  return v.is_string() ? v.as_string() : to_json(v);
}

/// The cells of an element by column; nothing if a row cannot say it.
std::optional<std::map<std::string, std::string>> cells_of(const value& element) {
  auto cells = std::map<std::string, std::string>{};
  const auto put_name = [&](const value& v) {
    if (v.is_string()) {
      cells["name"] = v.as_string();
      return;
    }
    if (const auto* text = v.find("default"); text && text->is_string())
      cells["name"] = text->as_string();
    if (const auto* more = v.find("i18n"); more && more->is_object())
      for (const auto& [language, text] : more->as_object())
        if (text.is_string())
          cells["name." + language] = text.as_string();
  };
  const auto put_type = [&](const value& type) {
    for (const auto& [key, v] : type.as_object()) {
      if (key == "t") {
        cells["type"] = cell_text(v);
      } else if (key == "items" && v.is_object() && v.as_object().size() == 1) {
        cells["type"] = cell_text(*v.find("t")) + "[]";
      } else if (key == "values" && v.is_object()) {
        auto text = std::string{};
        for (const auto& [entry, label] : v.as_object()) {
          if (!label.is_string() || entry.find_first_of("|=") != std::string::npos ||
              label.as_string().find('|') != std::string::npos)
            return false;
          text += (text.empty() ? "" : "|") + entry + "=" + label.as_string();
        }
        cells["enum"] = text;
      } else if (const auto* c = find_column(key); c && c->of_type) {
        cells[key] = cell_text(v);
      } else {
        return false;
      }
    }
    return cells["type"] != "struct" && cells["type"] != "map" && cells["type"] != "array";
  };
  for (const auto& [key, v] : element.as_object()) {
    if (v.is_null() || (v.is_array() && v.as_array().empty()))
      continue;
    if (key == "id") {
      cells["id"] = cell_text(v);
    } else if (key == "name") {
      put_name(v);
    } else if (key == "type") {
      if (!v.is_object() || !put_type(v))
        return std::nullopt;
    } else if (const auto* c = find_column(key);
               c && !c->of_type && (c->is != cell::text || v.is_string())) {
      // Text that could be read as something else would come back as that.
      if (c->is == cell::anything && v.is_string() && parse_json(v.as_string()))
        cells[key] = to_json(v);
      else
        cells[key] = cell_text(v);
    } else {
      return std::nullopt;
    }
  }
  return cells;
}

}  // namespace

result<value> from_csv(std::string_view text, const std::string& id) {
  const auto rows = split(text);
  if (!rows)
    return rows.error();
  if (rows->empty())
    return invalid({{"/1", "required_missing", "the first row names the columns"}},
                   "import_invalid");
  auto problems = std::vector<problem>{};
  const auto& header = rows->front();
  auto seen = std::set<std::string_view>{};
  for (const auto& name : header) {
    const auto is_known = name == "kind" || name == "id" || name == "name" || name == "type" ||
                          name.starts_with("name.") || find_column(name);
    if ((!is_known || !seen.insert(name).second) && problems.size() < max_problems)
      problems.push_back({"/1/" + name, "unknown_field", "no such column, or it is there twice"});
  }
  auto lists = std::map<std::string_view, array>{};
  for (std::size_t i = 1; problems.empty() && i < rows->size(); ++i)
    row_reader{header, problems}.take((*rows)[i], i + 1, lists);
  if (!problems.empty())
    return invalid(std::move(problems), "import_invalid");
  auto document = object{{"format", "tm/1"}, {"id", id}};
  for (const auto& kind : kinds)
    document.emplace_back(kind.list, std::move(lists[kind.list]));
  return value{std::move(document)};
}

result<std::string> to_csv(const value& document) {
  auto problems = std::vector<problem>{};
  auto rows = std::vector<std::map<std::string, std::string>>{};
  auto languages = std::set<std::string>{};
  for (const auto& kind : kinds)
    if (const auto* all = document.find(kind.list); all && all->is_array())
      for (const auto& element : all->as_array()) {
        auto cells = cells_of(element);
        if (!cells) {
          const auto* id = element.find("id");
          if (problems.size() < max_problems)
            problems.push_back({std::string{kind.list} + '/' + (id ? cell_text(*id) : ""),
                                "csv_unsupported", "a row cannot say all of it"});
          continue;
        }
        (*cells)["kind"] = std::string{kind.word};
        for (const auto& [name, text] : *cells)
          if (name.starts_with("name."))
            languages.insert(name);
        rows.push_back(std::move(*cells));
      }
  if (!problems.empty())
    return invalid(std::move(problems), "csv_unsupported");
  auto header = row{"kind", "id", "name"};
  header.insert(header.end(), languages.begin(), languages.end());
  header.emplace_back("type");
  for (const auto& c : columns)
    header.emplace_back(c.name);
  auto out = std::string{};
  for (std::size_t i = 0; i < header.size(); ++i)
    out += (i == 0 ? "" : ",") + header[i];
  out += "\r\n";
  for (auto& cells : rows) {
    for (std::size_t i = 0; i < header.size(); ++i)
      out += (i == 0 ? "" : ",") + quoted(cells[header[i]]);
    out += "\r\n";
  }
  return out;
}

}  // namespace orrery::model
