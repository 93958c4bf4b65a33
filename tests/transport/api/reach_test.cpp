// What roles reach, held against the same told plainly: of each device alone, and by the filter
// that lists add.
#include "transport/api/reach.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "model/device/search.hpp"
#include "model/filter/record.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace filter = model::filter;
using model::organisation::grant;
using model::organisation::rights;

const auto products = std::vector<product_facts>{
    {"p0", "m0", {}, false}, {"p1", "m1", {"m0"}, false}, {"p2", "m2", {}, true}};
const auto groups = group_facts{{"g0", ""},
                                {"g1", ""},
                                {"r0", "tags.site = 'A'"},
                                {"r1", "modelId = 'm1' and group = 'g1'"},
                                {"r2", "not (name like 'n%')"},
                                {"broken", "("}};

struct example {
  model::entity_id id;
  device::state s;
  std::vector<model::entity_id> above;  // the nodes that it hangs on or below
};

model::entity_id id_of(std::uint8_t n) {
  return model::make_entity_id(1, model::from_ms(1), {n});
}
model::entity_id node(int n) {
  return id_of(static_cast<std::uint8_t>(200 + n));
}

/// The rules of `groups`, told again.
bool is_in(const example& d, const std::string& group) {
  const auto& own = d.s.groups();
  const auto put = [&](const char* id) {
    return std::find(own.begin(), own.end(), id) != own.end();
  };
  const auto& product = d.s.name().product_key;
  const auto site = d.s.tags->find("site");
  if (group == "r0")
    return site != d.s.tags->end() && site->second == "A";
  if (group == "r1")
    return product == "p1" && put("g1");
  if (group == "r2")
    return !d.s.display_name.starts_with('n');
  return (group == "g0" || group == "g1") && put(group.c_str());
}

/// A role with a scope gives what one of its lists names.
bool plainly(const rights& has, std::string_view permission, const example& d) {
  for (const auto& g : has) {
    if (!model::organisation::permits(g.permissions, permission))
      continue;
    const auto& w = g.within;
    if (w.products.empty() && w.groups.empty() && w.tree_nodes.empty())
      return true;
    for (const auto& p : w.products)
      if (p == d.s.name().product_key)
        return true;
    for (const auto& group : w.groups)
      if (is_in(d, group))
        return true;
    for (const auto& n : w.tree_nodes)
      for (const auto& up : d.above)
        if (n == to_string(up))
          return true;
  }
  return false;
}

class Reach : public testing::Test {
 protected:
  std::size_t below(std::size_t most) {
    return std::uniform_int_distribution<std::size_t>{0, most - 1}(random);
  }
  template <class T>
  std::vector<T> some_of(const std::vector<T>& all, std::size_t one_in) {
    auto some = std::vector<T>{};
    for (const auto& one : all)
      if (below(one_in) == 0)
        some.push_back(one);
    return some;
  }
  example any_device(std::uint8_t n) {
    auto d = example{id_of(n), {}, some_of<model::entity_id>({node(0), node(1), node(2)}, 4)};
    d.s.exists = true;
    d.s.called = device::naming{{"p" + std::to_string(below(3)), "dk"}, "org"};
    d.s.display_name = below(2) == 0 ? "near" : "far";
    if (below(2) == 0)
      d.s.tags = std::map<std::string, std::string>{{"site", below(2) == 0 ? "A" : "B"}};
    if (auto in = some_of<std::string>({"g0", "g1", "gone"}, 3); !in.empty())
      d.s.family.edit().groups = std::move(in);
    return d;
  }
  grant any_grant() {
    auto g = grant{};
    g.role = "r";
    g.permissions = some_of<std::string>({"device:read", "device:*", "data:read"}, 2);
    if (below(20) == 0)
      return g;
    g.within.products = some_of<std::string>({"p0", "p1", "p2", "p9"}, 6);
    g.within.groups = some_of<std::string>({"g0", "g1", "r0", "r1", "r2", "gone", "broken"}, 6);
    g.within.tree_nodes =
        some_of<std::string>({to_string(node(0)), to_string(node(1)), "nonsense"}, 5);
    if (g.within.is_whole())
      g.within.products = {"p9"};
    return g;
  }
  std::mt19937 random{41};
};

TEST_F(Reach, IsWhatTheRolesSay) {
  auto seen = 0, refused = 0;
  for (int round = 0; round < 2'000; ++round) {
    auto has = rights{};
    for (auto n = below(3) + 1; n > 0; --n)
      has.push_back(any_grant());
    const auto reach = reach_of(has, "device:read", groups, products);
    auto devices = std::vector<example>{};
    for (std::uint8_t n = 1; n <= 8; ++n)
      devices.push_back(any_device(n));
    auto hanging = std::vector<model::entity_id>{};
    for (const auto& d : devices)
      if (std::any_of(d.above.begin(), d.above.end(), [&](const auto& up) {
            return std::find(reach.nodes.begin(), reach.nodes.end(), up) != reach.nodes.end();
          }))
        hanging.push_back(d.id);
    const auto text = reach.filter(hanging);
    auto asked = std::optional<filter::checked_filter>{};
    if (!text.empty()) {
      const auto parsed = filter::parse(text, device::wide_limits());
      ASSERT_TRUE(parsed) << text << ": " << parsed.error().detail;
      const auto checked = filter::check(*parsed, device::search_fields());
      ASSERT_TRUE(checked) << text << ": " << checked.error().detail;
      asked = *checked;
    }
    for (const auto& d : devices) {
      const auto expected = plainly(has, "device:read", d);
      const auto hangs = std::find(hanging.begin(), hanging.end(), d.id) != hanging.end();
      EXPECT_EQ(reach.has(d.id, d.s) || hangs, expected) << text;
      const auto listed = !asked || filter::accepts(*asked, device::searched_device{d.id, d.s});
      EXPECT_EQ(listed, expected) << text;
      ++(expected ? seen : refused);
    }
  }
  EXPECT_GT(seen, 1'000);
  EXPECT_GT(refused, 1'000);
}

TEST_F(Reach, IsNothingUnlessSomethingIsGiven) {
  const auto d = any_device(1);
  EXPECT_FALSE(device_reach{}.has(d.id, d.s));
  EXPECT_FALSE(device_reach{}.filter({}).empty());
  EXPECT_FALSE(reach_of({}, "device:read", groups, products).has(d.id, d.s));
  EXPECT_TRUE(reach_of({{"r", {"*"}, {}}}, "device:read", groups, products).everything);
}

}  // namespace
}  // namespace orrery::transport::api
