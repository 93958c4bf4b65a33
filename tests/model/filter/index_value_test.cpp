#include "model/filter/index_value.hpp"

#include <gtest/gtest.h>

#include "model/filter/folded.hpp"
#include "tests/model/filter/random_filter.hpp"

namespace orrery::model::filter {
namespace {

std::vector<operand> odd_values() {
  auto all = std::vector<operand>{true, false, std::int64_t{0}, -0.0, 0.5, -0.5, std::int64_t{-7}};
  for (const auto n : {std::int64_t{1} << 53, (std::int64_t{1} << 53) + 1, INT64_MAX, INT64_MIN})
    all.emplace_back(n);
  for (const auto d : {1e300, -1e300, 5e-324, 3.0})
    all.emplace_back(d);
  for (const auto ms : {-1, 0, 1, 1'900'000'000})
    all.emplace_back(from_ms(ms));
  for (const auto* text : {"", "a", "A", "ab", "AB", "aB", "ä", "Ä", "b", "a\x01z", "a\x7f", "~"})
    all.emplace_back(std::string{text});
  all.emplace_back(std::string{"a\0b", 3});
  all.emplace_back(std::string(max_index_text, 'x'));
  all.emplace_back(std::string(max_index_text + 1, 'x'));
  all.emplace_back(std::string(max_index_text + 1, 'X'));
  all.emplace_back(std::string(max_index_text, 'x') + "yy");
  return all;
}

/// A text that is cut.
bool is_odd(const operand& v) {
  return std::holds_alternative<std::string>(v) &&
         index_value(datum_of(v)).find('\x03') != std::string::npos;
}

TEST(IndexValue, SortsAsValuesDo) {
  const auto all = odd_values();
  for (const auto& a : all)
    for (const auto& b : all) {
      const auto x = index_value(datum_of(a)), y = index_value(datum_of(b));
      const auto by = order(datum_of(a), datum_of(b));
      // Texts that differ in case alone, and what is cut, may stand in either order.
      const auto* s = std::get_if<std::string>(&a);
      const auto* t = std::get_if<std::string>(&b);
      if (s && t && (folded(*s) == folded(*t) || is_odd(a) || is_odd(b)))
        continue;
      EXPECT_LE(by < 0 ? x : y, by < 0 ? y : x);
      if (by == 0) {
        EXPECT_EQ(x, y);
      }
    }
}

TEST(IndexValue, ComesBackUnlessItIsOneOfSeveral) {
  for (const auto& v : odd_values()) {
    const auto bytes = index_value(datum_of(v));
    const auto back = from_index_value(bytes);
    if (!back)
      continue;
    EXPECT_TRUE(order(datum_of(*back), datum_of(v)) == 0);
    EXPECT_EQ(index_value(datum_of(*back)), bytes);
  }
  EXPECT_TRUE(from_index_value(index_value(std::string_view{"Abc"})));
  EXPECT_FALSE(from_index_value(index_value(std::string(max_index_text + 1, 'x'))));
  EXPECT_FALSE(from_index_value(index_value(INT64_MAX)));
  for (const auto* bytes : {"", "b", "n", "n1234567", "t12345678901", "u", "uabc", "?x"})
    EXPECT_FALSE(from_index_value(bytes)) << bytes;
}

TEST(IndexValue, KeepsNothingOfWhatIsNoValue) {
  EXPECT_EQ(index_value({}), "");
  const auto two = std::vector<std::string>{"a", "b"};
  EXPECT_EQ(index_value(std::span<const std::string>{two}), "");
}

span of_values(std::vector<operand> all) {
  auto s = span{};
  s.values = std::move(all);
  return s;
}

TEST(IndexRuns, OfOneValueHaveItAlone) {
  const auto runs = runs_of(of_values({std::string{"Pump"}, std::int64_t{3}}));
  ASSERT_EQ(runs.size(), 2u);
  for (const auto& run : runs) {
    EXPECT_TRUE(run.is_one());
    EXPECT_TRUE(run.exact);
  }
  const auto& text = runs[1];
  EXPECT_TRUE(text.has(index_value(std::string_view{"Pump"})));
  for (const auto* other : {"pump", "Pump ", "Pum", "pUMP"})
    EXPECT_FALSE(text.has(index_value(std::string_view{other}))) << other;
  EXPECT_TRUE(runs[0].has(index_value(3.0)));
  EXPECT_FALSE(runs_of(of_values({INT64_MAX}))[0].exact);
  EXPECT_FALSE(runs_of(of_values({std::string(max_index_text + 1, 'x')}))[0].exact);
}

TEST(IndexRuns, WithoutBoundsAreEverything) {
  auto s = span{};
  s.what = span::kind::range;
  const auto runs = runs_of(s);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_TRUE(runs[0].exact);
  for (const auto& v : odd_values())
    EXPECT_TRUE(runs[0].has(index_value(datum_of(v))));
}

/// What a filter accepts is in the runs of each of its requirements; what an exact run has is what
/// the condition says.
TEST(IndexRuns, LeaveNobodyOut) {
  auto random = std::mt19937{7};
  const auto fields = small_schema();
  auto in_runs = 0, outside = 0, exact = 0;
  for (auto i = 0; i < 10'000; ++i) {
    const auto filter = *check(random_question(random, 3), fields);
    const auto all = requirements(filter, fields);
    for (auto k = 0; k < 10; ++k) {
      const auto r = random_record(random);
      const auto accepted = accepts(filter, r);
      for (const auto& one : all) {
        auto found = false;
        for (const auto& s : one.any_of) {
          const auto d = r.value(s.where.number, s.where.key);
          auto bytes = std::vector<std::string>{};
          if (const auto* texts = std::get_if<std::span<const std::string>>(&d))
            for (const auto& text : *texts)
              bytes.push_back(index_value(std::string_view{text}));
          else if (!std::holds_alternative<std::monostate>(d))
            bytes.push_back(index_value(d));
          for (const auto& run : runs_of(s))
            for (const auto& b : bytes) {
              found = found || run.has(b);
              if (filter.what == checked_filter::kind::one && run.exact && run.has(b) &&
                  fields[s.where.number].type != field_type::texts &&
                  // A value of another type than its field's is not kept by an index.
                  !std::holds_alternative<std::span<const std::string>>(d) &&
                  fields[s.where.number].type == field_type::any) {
                ++exact;
                EXPECT_TRUE(accepted);
              }
            }
        }
        EXPECT_TRUE(found || !accepted);
        (found ? in_runs : outside) += 1;
      }
    }
  }
  EXPECT_GT(in_runs, 1000);
  EXPECT_GT(outside, 1000);
  EXPECT_GT(exact, 100);
}

}  // namespace
}  // namespace orrery::model::filter
