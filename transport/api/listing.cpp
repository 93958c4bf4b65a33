#include "transport/api/listing.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "model/filter/projection.hpp"
#include "model/filter/record.hpp"
#include "model/filter/sorting.hpp"
#include "model/json.hpp"
#include "model/time_text.hpp"

namespace orrery::transport::api {
namespace {

namespace filter = model::filter;

/// The member of a field, null if it is not there.
const model::value* member(const model::value& facts, const filter::field& f,
                           std::string_view key) {
  const auto name = std::string_view{f.name};
  if (key.empty())
    return facts.find(name);
  const auto* map = facts.find(name.substr(0, name.size() - 2));  // "tags.*"
  return map ? map->find(key) : nullptr;
}

filter::datum datum_of(const model::value& v, filter::field_type type) {
  if (v.is_bool())
    return v.as_bool();
  if (type == filter::field_type::time) {
    const auto t = v.is_int()      ? model::time_of(v.as_int())
                   : v.is_string() ? model::parse_time(v.as_string())
                                   : std::nullopt;
    return t ? filter::datum{*t} : filter::datum{};
  }
  if (v.is_int())
    return v.as_int();
  if (v.is_double())
    return v.as_double();
  if (v.is_string())
    return std::string_view{v.as_string()};
  return {};
}

class json_record : public filter::record {
 public:
  json_record(const model::value& facts, const filter::schema& fields)
      : facts_{facts}, fields_{fields} {}

  filter::datum value(std::size_t field, std::string_view key) const override {
    const auto& f = fields_[field];
    const auto* v = member(facts_, f, key);
    if (!v)
      return {};
    if (!v->is_array() && !v->is_object())
      return datum_of(*v, f.type);
    texts_.clear();
    const auto add = [&](const model::value& one) {
      if (one.is_string())
        texts_.push_back(one.as_string());
    };
    if (v->is_array())
      std::for_each(v->as_array().begin(), v->as_array().end(), add);
    else
      for (const auto& [name, one] : v->as_object())
        add(one);
    return std::span<const std::string>{texts_};
  }

 private:
  const model::value& facts_;
  const filter::schema& fields_;
  mutable std::vector<std::string> texts_;  // what was asked for last
};

struct question {
  std::optional<filter::checked_filter> wanted;
  std::vector<filter::sort_key> order;
  std::optional<filter::projection> fields;
};

/// Nothing for "": all are wanted.
model::result<std::optional<filter::checked_filter>> read_filter(std::string_view text,
                                                                 const filter::schema& fields) {
  if (text.empty())
    return std::optional<filter::checked_filter>{};
  const auto parsed = filter::parse(text);
  if (!parsed)
    return parsed.error();
  auto checked = filter::check(*parsed, fields);
  if (!checked)
    return checked.error();
  return std::optional{std::move(*checked)};
}

model::result<question> read(const exchange& e, const filter::schema& fields) {
  auto q = question{};
  auto wanted = read_filter(e.query("filter"), fields);
  if (!wanted)
    return wanted.error();
  q.wanted = std::move(*wanted);
  if (const auto text = e.query("sort"); !text.empty()) {
    auto keys = filter::parse_sort(text, fields);
    if (!keys)
      return keys.error();
    q.order = std::move(*keys);
  }
  if (const auto text = e.query("fields"); !text.empty()) {
    auto projection = filter::projection::parse(text);
    if (!projection)
      return projection.error();
    q.fields = std::move(*projection);
  }
  return q;
}

/// Where a row stands in the list: what it has to be sorted by, then its key.
struct place {
  model::array by;
  std::string key;
};

/// As it stands in a cursor.
std::string write(const place& p) {
  auto all = p.by;
  all.emplace_back(p.key);
  return model::to_json(all);
}

std::optional<place> read_place(const std::string& text, std::size_t keys) {
  const auto all = model::parse_json(text);
  if (!all || !all->is_array() || all->as_array().size() != keys + 1 ||
      !all->as_array().back().is_string())
    return std::nullopt;
  const auto& a = all->as_array();
  return place{{a.begin(), a.end() - 1}, a.back().as_string()};
}

class sorter {
 public:
  sorter(const std::vector<filter::sort_key>& keys, const filter::schema& fields)
      : keys_{keys}, fields_{fields} {}

  place place_of(const model::value& facts, const std::string& key) const {
    auto p = place{{}, key};
    for (const auto& k : keys_) {
      const auto* v = member(facts, fields_[k.where.number], k.where.key);
      p.by.push_back(v ? *v : model::value{});
    }
    return p;
  }
  bool operator()(const place& a, const place& b) const {
    const auto by = filter::order(keys_, data_of(a), data_of(b));
    return by != 0 ? by < 0 : a.key < b.key;
  }

 private:
  std::vector<filter::datum> data_of(const place& p) const {
    auto all = std::vector<filter::datum>{};
    for (std::size_t i = 0; i < keys_.size(); ++i)
      all.push_back(datum_of(p.by[i], fields_[keys_[i].where.number].type));
    return all;
  }
  const std::vector<filter::sort_key>& keys_;
  const filter::schema& fields_;
};

}  // namespace

void reply_list(const exchange_ptr& e, const filter::schema& fields, std::vector<list_row> all) {
  const auto limit = e->limit();
  const auto cursor = e->cursor();
  const auto asked = read(*e, fields);
  for (const auto* why : {limit ? nullptr : &limit.error(), asked ? nullptr : &asked.error(),
                          cursor ? nullptr : &cursor.error()})
    if (why)
      return e->fail(*why);
  const auto after = cursor->empty() ? std::nullopt : read_place(*cursor, asked->order.size());
  if (!cursor->empty() && !after)
    return e->fail({model::errc::invalid_argument, "bad_cursor",
                    "that cursor is none of ours: begin without one"});

  const auto before = sorter{asked->order, fields};
  auto rows = std::vector<std::pair<place, const list_row*>>{};
  for (const auto& row : all) {
    auto at = place{{}, row.key};
    if (asked->wanted || !asked->order.empty()) {
      const auto facts = row.facts ? row.facts() : row.show();
      if (asked->wanted && !filter::accepts(*asked->wanted, json_record{facts, fields}))
        continue;
      at = before.place_of(facts, row.key);
    }
    if (!after || before(*after, at))
      rows.emplace_back(std::move(at), &row);
  }
  const auto shown = std::min(rows.size(), *limit);
  const auto end = rows.begin() + static_cast<std::ptrdiff_t>(shown);
  std::partial_sort(rows.begin(), end, rows.end(),
                    [&](const auto& a, const auto& b) { return before(a.first, b.first); });
  auto items = model::array{};
  for (auto r = rows.begin(); r != end; ++r) {
    auto item = r->second->show();
    items.push_back(asked->fields ? asked->fields->of(item) : std::move(item));
  }
  e->reply_page(std::move(items), shown < rows.size() ? write(rows[shown - 1].first) : "");
}

model::result<std::vector<model::value>> accepted(std::string_view text,
                                                  const filter::schema& fields,
                                                  const std::vector<list_row>& all,
                                                  std::size_t most) {
  const auto wanted = read_filter(text, fields);
  if (!wanted)
    return wanted.error();
  auto found = std::map<std::string_view, model::value>{};
  for (const auto& row : all) {
    auto item = row.show();
    if (*wanted) {
      const auto facts = row.facts ? row.facts() : item;
      if (!filter::accepts(**wanted, json_record{facts, fields}))
        continue;
    }
    if (found.size() == most)
      return model::failure{model::errc::too_large, "too_many_rows",
                            "more than " + std::to_string(most) + ": narrow the filter"};
    found.emplace(row.key, std::move(item));
  }
  auto items = std::vector<model::value>{};
  for (auto& [key, item] : found)
    items.push_back(std::move(item));
  return items;
}

}  // namespace orrery::transport::api
