#include "model/device/search.hpp"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/filter/index_value.hpp"
#include "tests/support/filled.hpp"

namespace orrery::model::device {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr auto all_fields = ~search_mask{0};

state example() {
  auto s = state{};
  s.exists = true;
  s.called = cow{naming{{"pk", "dk"}, "org"}};
  s.display_name = "Pump";
  s.created_at = from_ms(1000);
  s.attributes = {{"size", 5}, {"shape", object{{"x", 1}}}, {std::string(300, 'a'), 1}};
  s.tags = cow{std::map<std::string, std::string>{{"site", "A7"}, {"empty", ""}}};
  return s;
}

std::vector<std::string> shown(const state& s, search_mask which) {
  auto all = std::vector<std::string>{};
  for (const auto& t : search_terms(s, which)) {
    const auto v = filter::from_index_value(t.value);
    const auto* text = v ? std::get_if<std::string>(&*v) : nullptr;
    all.push_back(t.field + (text ? " " + *text : ""));
  }
  return all;
}

TEST(DeviceSearch, KeepsWhatFiltersAskFor) {
  auto s = example();
  EXPECT_THAT(shown(s, all_fields),
              ElementsAre("attributes.size", "createdAt", "deviceKey dk", "name Pump",
                          "productKey pk", "status inactive", "tags.empty ", "tags.site A7"));
  EXPECT_THAT(shown(s, bit_of(search_field::tags)), ElementsAre("tags.empty ", "tags.site A7"));
  s.exists = false;
  EXPECT_THAT(shown(s, all_fields), IsEmpty());
}

TEST(DeviceSearch, KeepsEachGroup) {
  auto s = example();
  s.family.edit().groups = std::vector<std::string>{"g1", "g2"};
  EXPECT_THAT(shown(s, bit_of(search_field::group)), ElementsAre("group g1", "group g2"));
  const auto asked =
      filter::check(*filter::parse("group = 'g2' and group != 'g3'"), search_fields());
  ASSERT_TRUE(asked);
  const auto id = entity_id{};
  EXPECT_TRUE(filter::accepts(*asked, searched_device{id, s}));
  s.family.edit().groups = {};
  EXPECT_FALSE(filter::accepts(*asked, searched_device{id, s}));
}

TEST(DeviceSearch, IndexesNoFieldWithALongName) {
  const auto& fields = search_fields();
  EXPECT_TRUE(is_indexed(*fields.find({"tags", "site"})));
  EXPECT_FALSE(is_indexed(*fields.find({"tags", std::string(300, 'a')})));
  EXPECT_FALSE(is_indexed(*fields.find({"points", "power"})));
}

TEST(DeviceSearch, HasTheFieldsThatItsNumbersName) {
  const auto& fields = search_fields();
  EXPECT_EQ(fields.size(), static_cast<std::size_t>(search_field::points) + 1);
  EXPECT_EQ(fields[static_cast<std::size_t>(search_field::status)].name, "status");
  EXPECT_EQ(fields[static_cast<std::size_t>(search_field::last_data_at)].name, "lastDataAt");
  EXPECT_LE(fields.size(), 32u) << "a search_mask has no more bits";
}

/// Whatever an event changes that an index has is among the fields that it is said to change.
TEST(DeviceSearch, NoEventChangesMoreThanItSays) {
  const auto number_of = [](const std::string& field) {
    if (field == "retired")  // a row beside the fields: what all of them have is gone with it
      return static_cast<std::size_t>(search_field::status);
    const auto dot = field.find('.');
    return dot == std::string::npos
               ? search_fields().find({field})->number
               : search_fields().find({field.substr(0, dot), field.substr(dot + 1)})->number;
  };
  auto changing = 0;
  tests::each_alternative<event>([&](std::size_t place) {
    for (const auto first : {0, 1, 2, 3, 50})
      for (auto before : {example(), state{}}) {
        auto filled = example();
        tests::filler{static_cast<std::uint64_t>(first)}(filled.family);
        if (first % 2 == 1)
          before = filled;
        auto e = event{};
        emplace_alternative(e, place);
        tests::filler{static_cast<std::uint64_t>(first)}(e);
        const auto old = search_terms(before, all_fields);
        device::apply(before, e);
        const auto now = search_terms(before, all_fields);
        auto changed = std::vector<search_term>{};
        std::set_symmetric_difference(old.begin(), old.end(), now.begin(), now.end(),
                                      std::back_inserter(changed));
        for (const auto& t : changed)
          EXPECT_NE(searched_by(e) & search_mask{1} << number_of(t.field), 0u)
              << "event " << place << " changes " << t.field;
        changing += changed.empty() ? 0 : 1;
      }
  });
  EXPECT_GT(changing, 10);
}

}  // namespace
}  // namespace orrery::model::device
