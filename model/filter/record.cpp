#include "model/filter/record.hpp"

#include <algorithm>
#include <cmath>

#include "model/filter/folded.hpp"

namespace orrery::model::filter {
namespace {

std::strong_ordering order_of_doubles(double a, double b) {
  if (std::isnan(a) || std::isnan(b))
    return std::isnan(b) <=> std::isnan(a);  // before all numbers
  return a < b   ? std::strong_ordering::less
         : a > b ? std::strong_ordering::greater
                 : std::strong_ordering::equal;
}

/// Exactly: not every integer is a double.
std::strong_ordering order_of_numbers(std::int64_t a, double b) {
  constexpr auto beyond = 9223372036854775808.0;  // 2^63
  if (std::isnan(b) || b < -beyond)
    return std::strong_ordering::greater;
  if (b >= beyond)
    return std::strong_ordering::less;
  const auto whole = std::floor(b);
  const auto by = a <=> static_cast<std::int64_t>(whole);
  return by != 0 || whole == b ? by : std::strong_ordering::less;
}

std::strong_ordering reversed(std::strong_ordering by) {
  return 0 <=> by;
}

/// Its place in the order of types; both sorts of numbers share one.
int rank(const datum& d) {
  constexpr int ranks[] = {0, 1, 2, 2, 3, 4, 5};  // in the order of the variant
  return ranks[d.index()];
}

struct same_rank {
  template <class T>
  std::strong_ordering operator()(const T& a, const T& b) const {
    return a <=> b;
  }
  std::strong_ordering operator()(std::monostate, std::monostate) const {
    return std::strong_ordering::equal;
  }
  std::strong_ordering operator()(double a, double b) const { return order_of_doubles(a, b); }
  std::strong_ordering operator()(std::int64_t a, double b) const { return order_of_numbers(a, b); }
  std::strong_ordering operator()(double a, std::int64_t b) const {
    return reversed(order_of_numbers(b, a));
  }
  std::strong_ordering operator()(std::string_view a, std::string_view b) const {
    return order_of_texts(a, b);
  }
  std::strong_ordering operator()(std::span<const std::string> a,
                                  std::span<const std::string> b) const {
    return std::lexicographical_compare_three_way(
        a.begin(), a.end(), b.begin(), b.end(),
        [](const std::string& x, const std::string& y) { return order_of_texts(x, y); });
  }
  template <class A, class B>
  std::strong_ordering operator()(const A&, const B&) const {
    return std::strong_ordering::equal;  // of other ranks: never asked
  }
};

/// Of a single value, which is there.
bool holds(const checked_condition& c, const datum& d) {
  if (c.how == comparison::like) {
    const auto* text = std::get_if<std::string_view>(&d);
    return text && c.looks_like->matches(*text);
  }
  if (c.how == comparison::in)
    return std::binary_search(c.values.begin(), c.values.end(), d,
                              [](const auto& a, const auto& b) {
                                const auto view = [](const auto& v) -> datum {
                                  if constexpr (std::is_same_v<std::decay_t<decltype(v)>, operand>)
                                    return datum_of(v);
                                  else
                                    return v;
                                };
                                return order(view(a), view(b)) < 0;
                              });
  const auto with = datum_of(c.values.front());
  if (rank(with) != rank(d))
    return false;
  if (const auto* text = std::get_if<std::string_view>(&d); text && c.how == comparison::equal)
    return *text == std::get<std::string_view>(with);  // as below, and quicker
  const auto by = order(d, with);
  switch (c.how) {
    case comparison::equal:
      return by == 0;
    case comparison::less:
      return by < 0;
    case comparison::at_most:
      return by <= 0;
    case comparison::more:
      return by > 0;
    case comparison::at_least:
      return by >= 0;
    case comparison::unequal:
    case comparison::in:
    case comparison::like:
    case comparison::exists:
      break;
  }
  return false;
}

/// Whether a field of that type may have it: all else counts as nothing.
bool is_of(const datum& d, field_type type) {
  const auto is_text = std::holds_alternative<std::string_view>(d);
  const auto* several = std::get_if<std::span<const std::string>>(&d);
  const auto are_texts = several && !several->empty();
  switch (type) {
    case field_type::text:
    case field_type::word:
      return is_text;
    case field_type::number:
      return std::holds_alternative<std::int64_t>(d) || std::holds_alternative<double>(d);
    case field_type::time:
      return std::holds_alternative<timestamp>(d);
    case field_type::truth:
      return std::holds_alternative<bool>(d);
    case field_type::texts:
      return is_text || are_texts;
    case field_type::any:
      return several ? are_texts : !std::holds_alternative<std::monostate>(d);
  }
  return false;
}

bool accepts(const checked_condition& c, const record& asked) {
  const auto d = asked.value(c.where.number, c.where.key);
  if (!is_of(d, c.type))
    return c.negated;
  if (c.how == comparison::exists)
    return !c.negated;
  if (const auto* several = std::get_if<std::span<const std::string>>(&d))
    return c.negated != std::any_of(several->begin(), several->end(), [&](const std::string& one) {
             return holds(c, std::string_view{one});
           });
  return c.negated != holds(c, d);
}

}  // namespace

datum datum_of(const operand& value) {
  return std::visit(
      [](const auto& v) -> datum {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string>)
          return std::string_view{v};
        else
          return v;
      },
      value);
}

std::strong_ordering order(const datum& a, const datum& b) {
  if (const auto by = rank(a) <=> rank(b); by != 0)
    return by;
  return std::visit(same_rank{}, a, b);
}

bool accepts(const checked_filter& filter, const record& asked) {
  const auto accepted = [&](const checked_filter& part) { return accepts(part, asked); };
  switch (filter.what) {
    case checked_filter::kind::one:
      return accepts(filter.test, asked);
    case checked_filter::kind::all:
      return std::all_of(filter.parts.begin(), filter.parts.end(), accepted);
    case checked_filter::kind::any:
      return std::any_of(filter.parts.begin(), filter.parts.end(), accepted);
  }
  return false;
}

}  // namespace orrery::model::filter
