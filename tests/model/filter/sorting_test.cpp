#include "model/filter/sorting.hpp"

#include <gtest/gtest.h>

#include "tests/model/filter/random_filter.hpp"

namespace orrery::model::filter {
namespace {

TEST(Sorting, NamesFieldsThatMayBeSortedBy) {
  const auto fields = small_schema();
  const auto keys = parse_sort("-at,name", fields);
  ASSERT_TRUE(keys);
  EXPECT_EQ(*keys, (std::vector<sort_key>{{{2, ""}, true}, {{0, ""}, false}}));
  const auto all = std::string{"name, size, at, on, status"};
  for (const auto& [text, detail] :
       {std::pair{"note", "note: expected one of " + all},
        {"tags.k", "tags.k: expected one of " + all},
        {"name,-name", "name: is there twice"},
        {"name;at", "column 5: found `;`, expected a comma or the end"},
        {"name,size,at,on,status", "column 17: found more names, expected at most 4"}}) {
    const auto wrong = parse_sort(text, fields);
    ASSERT_FALSE(wrong) << text;
    EXPECT_EQ(wrong.error().reason, "bad_sort");
    EXPECT_EQ(wrong.error().detail, detail);
  }
}

TEST(Sorting, PutsWhatIsMissingLast) {
  const auto keys = std::vector<sort_key>{{{1, ""}, true}, {{0, ""}, false}};
  const auto in_order = std::vector<std::vector<datum>>{{std::int64_t{2}, std::string_view{"a"}},
                                                        {1.5, {}},
                                                        {1.0, std::string_view{"a"}},
                                                        {std::int64_t{1}, std::string_view{"B"}},
                                                        {{}, std::string_view{"a"}},
                                                        {{}, {}}};
  for (std::size_t i = 0; i < in_order.size(); ++i)
    for (std::size_t k = 0; k < in_order.size(); ++k)
      EXPECT_EQ(order(keys, in_order[i], in_order[k]), i <=> k) << i << " and " << k;
}

}  // namespace
}  // namespace orrery::model::filter
