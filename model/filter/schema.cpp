#include "model/filter/schema.hpp"

#include <algorithm>

#include "model/filter/record.hpp"
#include "model/time_text.hpp"

namespace orrery::model::filter {
namespace {

bool may(field_type type, comparison how) {
  switch (how) {
    case comparison::equal:
    case comparison::unequal:
    case comparison::in:
    case comparison::exists:
      return true;
    case comparison::like:
      return type == field_type::text || type == field_type::texts || type == field_type::any;
    case comparison::less:
    case comparison::at_most:
    case comparison::more:
    case comparison::at_least:
      return type != field_type::word && type != field_type::truth && type != field_type::texts;
  }
  return false;
}

std::string all_that_may(field_type type) {
  auto all = std::string{};
  for (const auto how : {comparison::equal, comparison::unequal, comparison::less,
                         comparison::at_most, comparison::more, comparison::at_least,
                         comparison::in, comparison::like, comparison::exists})
    if (may(type, how))
      all += (all.empty() ? "" : ", ") + std::string{name_of(how)};
  return all;
}

std::string expected(const field& f) {
  switch (f.type) {
    case field_type::text:
    case field_type::texts:
      return "a text in quotes";
    case field_type::number:
      return "a number";
    case field_type::time:
      return "a time: RFC 3339 in quotes, or epoch ms";
    case field_type::truth:
      return "true or false";
    case field_type::word: {
      auto all = std::string{"one of"};
      for (const auto& w : f.words)
        all += " \"" + w + '"';
      return all;
    }
    case field_type::any:
      return "a value";
  }
  return {};
}

std::optional<operand> time_in(const literal& from) {
  auto t = std::optional<timestamp>{};
  if (const auto* ms = std::get_if<std::int64_t>(&from))
    t = time_of(*ms);
  else if (const auto* text = std::get_if<std::string>(&from))
    t = parse_time(*text);
  return t ? std::optional<operand>{*t} : std::nullopt;
}

/// The value in the type of the field; nothing if it has none there.
std::optional<operand> typed(const literal& from, const field& f) {
  const auto as_it_is = std::visit([](const auto& v) { return operand{v}; }, from);
  const auto* text = std::get_if<std::string>(&from);
  switch (f.type) {
    case field_type::text:
    case field_type::texts:
      return text ? std::optional{as_it_is} : std::nullopt;
    case field_type::word:
      return text && std::find(f.words.begin(), f.words.end(), *text) != f.words.end()
                 ? std::optional{as_it_is}
                 : std::nullopt;
    case field_type::number:
      return std::holds_alternative<std::int64_t>(from) || std::holds_alternative<double>(from)
                 ? std::optional{as_it_is}
                 : std::nullopt;
    case field_type::truth:
      return std::holds_alternative<bool>(from) ? std::optional{as_it_is} : std::nullopt;
    case field_type::time:
      return time_in(from);
    case field_type::any:
      return as_it_is;
  }
  return std::nullopt;
}

std::string shown(const literal& value) {
  constexpr auto longest = std::size_t{60};
  auto text = print(expression{.what = expression::kind::one,
                               .test = {{"x"}, comparison::equal, {value}},
                               .parts = {}})
                  .substr(4);  // behind "x = "
  if (text.size() > longest)
    text = "a text of " + std::to_string(text.size()) + " bytes";
  return text;
}

class checker {
 public:
  explicit checker(const schema& fields) : fields_{fields} {}

  checked_filter filter_of(const expression& e, bool negated) {
    using kind = expression::kind;
    if (e.what == kind::none)
      return filter_of(e.parts.front(), !negated);
    auto out = checked_filter{};
    if (e.what == kind::one) {
      out.test = condition_of(e.test, negated);
      return out;
    }
    out.what =
        (e.what == kind::all) != negated ? checked_filter::kind::all : checked_filter::kind::any;
    for (const auto& part : e.parts) {
      auto next = filter_of(part, negated);
      if (next.what == out.what)
        std::move(next.parts.begin(), next.parts.end(), std::back_inserter(out.parts));
      else
        out.parts.push_back(std::move(next));
    }
    return out;
  }

  std::vector<problem> problems;

 private:
  checked_condition condition_of(const condition& c, bool negated) {
    auto out = checked_condition{};
    const auto where = fields_.find(c.field);
    if (!where) {
      note(c, "unknown_field", "no such field; there are " + fields_.names());
      return out;
    }
    const auto& f = fields_[where->number];
    out.where = *where;
    out.type = f.type;
    out.negated = negated != (c.how == comparison::unequal);
    out.how = c.how == comparison::unequal ? comparison::equal : c.how;
    if (!may(f.type, c.how)) {
      note(c, "not_allowed",
           "cannot be compared by " + std::string{name_of(c.how)} + "; it may be by " +
               all_that_may(f.type));
      return out;
    }
    if (c.how == comparison::like) {
      out.looks_like.emplace(std::get<std::string>(c.values.front()));
      return out;
    }
    for (const auto& v : c.values) {
      auto value = typed(v, f);
      if (!value) {
        note(c, "type_mismatch", "expected " + expected(f) + ", got " + shown(v));
        return out;
      }
      out.values.push_back(std::move(*value));
    }
    if (c.how == comparison::in) {
      auto& all = out.values;
      std::sort(all.begin(), all.end(), [](const operand& a, const operand& b) {
        return order(datum_of(a), datum_of(b)) < 0;
      });
      all.erase(std::unique(all.begin(), all.end(),
                            [](const operand& a, const operand& b) {
                              return order(datum_of(a), datum_of(b)) == 0;
                            }),
                all.end());
    }
    return out;
  }

  void note(const condition& c, std::string_view code, std::string detail) {
    problems.push_back({print(c.field), code, std::move(detail)});
  }

  const schema& fields_;
};

}  // namespace

std::optional<field_place> schema::find(const path& names) const {
  auto joined = std::string{};
  for (const auto& n : names)
    joined += (joined.empty() ? "" : ".") + n;
  auto best = std::optional<field_place>{};
  auto longest = std::size_t{0};
  for (std::size_t i = 0; i < all_.size(); ++i) {
    const auto& name = all_[i].name;
    if (name == joined && !name.ends_with(".*"))
      return field_place{i, {}};
    const auto prefix = name.size() - 1;  // without the *
    if (name.ends_with(".*") && joined.size() > prefix && prefix > longest &&
        joined.starts_with(std::string_view{name}.substr(0, prefix))) {
      longest = prefix;
      best = field_place{i, joined.substr(prefix)};
    }
  }
  return best;
}

std::string schema::names(bool only_sortable) const {
  auto all = std::string{};
  for (const auto& f : all_)
    if (f.sortable || !only_sortable)
      all += (all.empty() ? "" : ", ") + f.name;
  return all;
}

result<checked_filter> check(const expression& e, const schema& fields) {
  auto work = checker{fields};
  auto out = work.filter_of(e, false);
  if (work.problems.empty())
    return out;
  auto detail = work.problems.front().where + ": " + work.problems.front().detail;
  return failure{errc::invalid_argument, "bad_filter", std::move(detail), std::move(work.problems)};
}

}  // namespace orrery::model::filter
