#include "model/filter/record.hpp"

#include <limits>

#include <gtest/gtest.h>

#include "model/filter/folded.hpp"
#include "tests/model/filter/random_filter.hpp"

namespace orrery::model::filter {
namespace {

bool accepted(std::string_view text, const record& r) {
  const auto e = parse(text);
  EXPECT_TRUE(e) << text << ": " << e.error().detail;
  const auto checked = check(*e, small_schema());
  EXPECT_TRUE(checked) << text << ": " << checked.error().detail;
  return accepts(*checked, r);
}

TEST(Record, IsAskedByItsFields) {
  auto r = small_record{};
  r.has = {"Pump 7",
           std::int64_t{5},
           from_ms(1'700'000'000'000),
           true,
           std::string{"online"},
           std::vector<std::string>{"admin", "viewer"},
           std::string{"A7"},
           2.5,
           {}};
  for (const auto* text : {"name = 'Pump 7'",
                           "name != 'pump 7'",
                           "name like 'PUMP'",
                           "name >= 'pump' and name < 'Q'",
                           "name not like 'x'",
                           "size = 5.0",
                           "size in (1, 5)",
                           "size > 4.9 and size <= 5",
                           "at = '2023-11-14T22:13:20Z'",
                           "at >= 1700000000000",
                           "at < '2023-11-15T00:00:00+01:00'",
                           "on = true",
                           "status in ('online')",
                           "roles = 'admin'",
                           "roles in ('x', 'viewer')",
                           "roles like 'view%'",
                           "roles != 'operator'",
                           "tags.k = 'A7'",
                           "exists(tags.k)",
                           "not exists(tags.other)",
                           "attributes.k = 2.5",
                           "attributes.k != 'x'",
                           "not exists(note)",
                           "note != 'x'",
                           "not note = 'x'",
                           "not (note < 'x')",
                           "tags.other not in ('x')"})
    EXPECT_TRUE(accepted(text, r)) << text;
  for (const auto* text :
       {"name = 'pump 7'", "name like 'Pump'  and on = false", "size < 5", "roles != 'admin'",
        "exists(note)", "note = ''", "note < 'x'", "note >= ''", "note like '%'",
        "attributes.k = '2.5'", "attributes.k < 'x'", "tags.other != 'x' and exists(tags.other)"})
    EXPECT_FALSE(accepted(text, r)) << text;
}

TEST(Record, HasNothingWhereItHasAnotherType) {
  auto r = small_record{};
  r.has = {std::int64_t{5},
           std::string{"5"},
           std::int64_t{5},
           {},
           true,
           std::vector<std::string>{},
           std::vector<std::string>{"a"},
           std::vector<std::string>{},
           {}};
  for (const auto* field :
       {"name", "size", "at", "on", "status", "roles", "tags.k", "attributes.k", "note"})
    EXPECT_TRUE(accepted(std::string{"not exists("} + field + ")", r)) << field;
  EXPECT_TRUE(accepted("name != '5' and size != 5 and tags.k not like 'a'", r));
}

TEST(Record, ComparesNumbersExactly) {
  const auto same = [](const datum& a, const datum& b) { return order(a, b) == 0; };
  constexpr auto big = (std::int64_t{1} << 53) + 1;
  EXPECT_FALSE(same(big, static_cast<double>(big)));
  EXPECT_TRUE(order(datum{big}, datum{static_cast<double>(big)}) > 0);
  EXPECT_TRUE(order(datum{static_cast<double>(big)}, datum{big}) < 0);
  EXPECT_TRUE(same(std::int64_t{3}, 3.0));
  EXPECT_TRUE(order(datum{std::int64_t{3}}, datum{3.5}) < 0);
  EXPECT_TRUE(order(datum{std::int64_t{-3}}, datum{-3.5}) > 0);
  EXPECT_TRUE(order(datum{std::numeric_limits<std::int64_t>::max()}, datum{9.3e18}) < 0);
  EXPECT_TRUE(
      order(datum{std::numeric_limits<std::int64_t>::min()}, datum{-9223372036854775808.0}) == 0);
  EXPECT_TRUE(order(datum{std::numeric_limits<std::int64_t>::min()}, datum{-1e300}) > 0);
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(order(datum{nan}, datum{std::int64_t{0}}) < 0);
  EXPECT_TRUE(same(nan, nan));
}

TEST(Record, OrdersTypesBeforeValues) {
  const auto several = std::vector<std::string>{"a"};
  const auto in_order = std::vector<datum>{{},
                                           false,
                                           true,
                                           -1.5,
                                           std::int64_t{2},
                                           from_ms(0),
                                           from_ms(1),
                                           std::string_view{"A"},
                                           std::string_view{"a"},
                                           std::span{several}};
  for (std::size_t i = 0; i < in_order.size(); ++i)
    for (std::size_t k = 0; k < in_order.size(); ++k)
      EXPECT_EQ(order(in_order[i], in_order[k]), i <=> k) << i << " and " << k;
}

// The same, as plainly as may be: on the tree, by names, with every value shown as text.
bool plain_value(const condition& c, field_type type, const content& has);

bool plainly(const expression& e, const small_record& r) {
  using kind = expression::kind;
  static const auto fields = small_schema();
  if (e.what == kind::none)
    return !plainly(e.parts[0], r);
  if (e.what == kind::all)
    return std::all_of(e.parts.begin(), e.parts.end(),
                       [&](const auto& p) { return plainly(p, r); });
  if (e.what == kind::any)
    return std::any_of(e.parts.begin(), e.parts.end(),
                       [&](const auto& p) { return plainly(p, r); });
  if (e.test.how == comparison::unequal) {
    auto equal = e;
    equal.test.how = comparison::equal;
    return !plainly(equal, r);
  }
  const auto number = fields.find(e.test.field)->number;
  const auto type = fields[number].type;
  const auto& has = r.has[number];
  // By field_type: which of the variant's values it may be.
  static const auto may =
      std::vector<std::vector<std::size_t>>{{5}, {2, 3}, {4}, {1}, {5}, {5, 6}, {1, 2, 3, 4, 5, 6}};
  const auto& types = may[static_cast<std::size_t>(type)];
  const auto* several = std::get_if<std::vector<std::string>>(&has);
  if (std::find(types.begin(), types.end(), has.index()) == types.end() ||
      (several && several->empty()))
    return false;
  if (e.test.how == comparison::exists)
    return true;
  if (several)
    return std::any_of(several->begin(), several->end(),
                       [&](const auto& t) { return plain_value(e.test, type, content{t}); });
  return plain_value(e.test, type, has);
}

bool plain_value(const condition& c, field_type type, const content& has) {
  if (c.how == comparison::in)
    return std::any_of(c.values.begin(), c.values.end(), [&](const auto& v) {
      return plain_value({c.field, comparison::equal, {v}}, type, has);
    });
  const auto& with = c.values[0];
  const auto* text = std::get_if<std::string>(&has);
  if (c.how == comparison::like)
    return text && pattern{std::get<std::string>(with)}.matches(*text);
  auto less = false, more = false;
  const auto compare = [&](auto a, auto b) {
    less = a < b;
    more = a > b;
  };
  const auto as_number = [](const auto& v) -> std::optional<double> {
    if (const auto* i = std::get_if<std::int64_t>(&v))
      return static_cast<double>(*i);
    if (const auto* d = std::get_if<double>(&v))
      return *d;
    return std::nullopt;
  };
  if (const auto* t = std::get_if<timestamp>(&has)) {
    if (type != field_type::time)
      return false;
    compare(to_ms(*t), std::get<std::int64_t>(with));
  } else if (const auto n = as_number(has)) {
    if (!as_number(with) || type == field_type::time)
      return false;
    compare(*n, *as_number(with));
  } else if (const auto* b = std::get_if<bool>(&has)) {
    if (!std::holds_alternative<bool>(with))
      return false;
    compare(*b, std::get<bool>(with));
  } else {
    if (!std::holds_alternative<std::string>(with) || type == field_type::time)
      return false;
    compare(std::pair{folded(*text), *text},
            std::pair{folded(std::get<std::string>(with)), std::get<std::string>(with)});
  }
  switch (c.how) {
    case comparison::equal:
      return !less && !more;
    case comparison::less:
      return less;
    case comparison::at_most:
      return !more;
    case comparison::more:
      return more;
    default:
      return !less;
  }
}

TEST(Record, AgreesWithAPlainEvaluator) {
  auto random = std::mt19937{3};
  const auto fields = small_schema();
  auto yes = 0;
  for (auto i = 0; i < 5'000; ++i) {
    const auto e = random_question(random, 4);
    const auto filter = check(e, fields);
    ASSERT_TRUE(filter) << print(e) << ": " << filter.error().detail;
    for (auto k = 0; k < 10; ++k) {
      const auto r = random_record(random);
      const auto is = accepts(*filter, r);
      yes += is ? 1 : 0;
      EXPECT_EQ(is, plainly(e, r)) << print(e);
    }
  }
  EXPECT_GT(yes, 10'000);
  EXPECT_LT(yes, 40'000);
}

}  // namespace
}  // namespace orrery::model::filter
