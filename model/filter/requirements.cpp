#include "model/filter/requirements.hpp"

#include <algorithm>
#include <numeric>

namespace orrery::model::filter {
namespace {

bool before(const operand& a, const operand& b) {
  return order(datum_of(a), datum_of(b)) < 0;
}

std::optional<span> span_of(const checked_condition& c, const schema& fields) {
  if (c.negated || !fields[c.where.number].indexed)
    return std::nullopt;
  auto s = span{};
  s.where = c.where;
  s.what = span::kind::range;
  switch (c.how) {
    case comparison::equal:
    case comparison::in:
      s.what = span::kind::values;
      s.values = c.values;
      break;
    case comparison::less:
    case comparison::at_most:
      s.high = bound{c.values.front(), c.how == comparison::at_most};
      break;
    case comparison::more:
    case comparison::at_least:
      s.low = bound{c.values.front(), c.how == comparison::at_least};
      break;
    case comparison::like: {
      auto prefix = c.looks_like->prefix();
      if (!prefix)
        return std::nullopt;
      s.what = span::kind::prefix;
      s.prefix = std::move(*prefix);
      break;
    }
    case comparison::exists:
      break;
    case comparison::unequal:
      return std::nullopt;
  }
  return s;
}

/// A guess at how many rows it names: what an `or` chooses by.
std::size_t width(const span& s) {
  constexpr auto prefix = std::size_t{100}, narrow = std::size_t{300}, half = std::size_t{3'000},
                 present = std::size_t{10'000};
  switch (s.what) {
    case span::kind::values:
      return s.values.size();
    case span::kind::prefix:
      return prefix;
    case span::kind::range:
      return s.low && s.high ? narrow : s.low || s.high ? half : present;
  }
  return present;
}
std::size_t width(const requirement& r) {
  return std::accumulate(r.any_of.begin(), r.any_of.end(), std::size_t{0},
                         [](std::size_t sum, const span& s) { return sum + width(s); });
}

/// Of one value alone two ranges are one; different ones of several texts may lie in each.
bool is_single(field_type type) {
  return type == field_type::text || type == field_type::number || type == field_type::time;
}

/// The narrower of two bounds; `sign` is 1 for lower ones, -1 for upper ones.
void tighten(std::optional<bound>& b, const std::optional<bound>& other, int sign) {
  if (!other)
    return;
  if (!b) {
    b = other;
    return;
  }
  const auto by = order(datum_of(other->value), datum_of(b->value));
  if (by == 0)
    b->included = b->included && other->included;
  else if ((by > 0) == (sign > 0))
    b = other;
}

bool is_one_range(const requirement& r) {
  return r.any_of.size() == 1 && r.any_of.front().what == span::kind::range;
}

/// Adds what must be fulfilled too.
void add(std::vector<requirement>& to, requirement more, const schema& fields) {
  if (is_one_range(more) && is_single(fields[more.any_of.front().where.number].type)) {
    const auto& s = more.any_of.front();
    const auto same = std::find_if(to.begin(), to.end(), [&](const requirement& r) {
      return is_one_range(r) && r.any_of.front().where == s.where;
    });
    if (same != to.end()) {
      tighten(same->any_of.front().low, s.low, 1);
      tighten(same->any_of.front().high, s.high, -1);
      return;
    }
  }
  to.push_back(std::move(more));
}

/// Adds what may be fulfilled instead.
void widen(requirement& to, const requirement& more) {
  for (const auto& s : more.any_of) {
    const auto same = std::find_if(to.any_of.begin(), to.any_of.end(), [&](const span& known) {
      return known.where == s.where && known.what == span::kind::values &&
             s.what == span::kind::values;
    });
    if (same == to.any_of.end()) {
      to.any_of.push_back(s);
      continue;
    }
    auto both = std::vector<operand>{};
    std::set_union(same->values.begin(), same->values.end(), s.values.begin(), s.values.end(),
                   std::back_inserter(both), before);
    same->values = std::move(both);
  }
}

bool is_too_much(const requirement& r) {
  const auto values =
      std::accumulate(r.any_of.begin(), r.any_of.end(), std::size_t{0},
                      [](std::size_t sum, const span& s) { return sum + s.values.size(); });
  return r.any_of.size() > max_spans || values > max_span_values;
}

}  // namespace

std::vector<requirement> requirements(const checked_filter& filter, const schema& fields) {
  auto all = std::vector<requirement>{};
  switch (filter.what) {
    case checked_filter::kind::one:
      if (auto s = span_of(filter.test, fields))
        all.push_back({{std::move(*s)}});
      break;
    case checked_filter::kind::all:
      for (const auto& part : filter.parts)
        for (auto& r : requirements(part, fields))
          add(all, std::move(r), fields);
      break;
    case checked_filter::kind::any: {
      auto together = requirement{};
      for (const auto& part : filter.parts) {
        const auto of_part = requirements(part, fields);
        const auto best =
            std::min_element(of_part.begin(), of_part.end(),
                             [](const auto& a, const auto& b) { return width(a) < width(b); });
        if (best == of_part.end())
          return {};
        widen(together, *best);
        if (is_too_much(together))
          return {};
      }
      all.push_back(std::move(together));
      break;
    }
  }
  return all;
}

}  // namespace orrery::model::filter
