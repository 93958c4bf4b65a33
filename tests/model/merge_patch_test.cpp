#include "model/merge_patch.hpp"

#include <random>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "model/json.hpp"

namespace orrery::model {
namespace {

value read(std::string_view text) {
  return *parse_json(text);
}
std::string merged(std::string_view target, std::string_view patch) {
  return to_json(merge_patch(read(target), read(patch)));
}
std::string missing(std::string_view has, std::string_view wanted) {
  return to_json(value{missing_from(read(has).as_object(), read(wanted).as_object())});
}

/// Any document up to some depth, with few names, so that two of them meet.
class any_document {
 public:
  explicit any_document(unsigned seed) : random_{seed} {}
  value make(int depth, bool nulls) {
    switch (pick(depth > 0 ? 7 : 5)) {
      case 0:
        return nulls ? value{} : value{false};
      case 1:
        return value{pick(3)};
      case 2:
        return value{pick(3) * 1.0};
      case 3:
        return value{"text " + std::to_string(pick(2))};
      case 4:
        return value{true};
      case 5: {
        auto a = array{};
        for (auto n = pick(3); n > 0; --n)
          a.push_back(make(depth - 1, true));
        return value{std::move(a)};
      }
      default:
        return value{object_of(depth - 1, nulls)};
    }
  }
  object object_of(int depth, bool nulls) {
    auto o = object{};
    for (auto n = pick(5); n > 0; --n)
      set_member(o, std::string(1, static_cast<char>('a' + pick(5))), make(depth, nulls));
    return o;
  }

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }
  std::mt19937 random_;
};

TEST(MergePatch, DoesWhatItsRfcShows) {
  struct {
    const char *target, *patch, *result;
  } const rows[] = {// RFC 7396, appendix A
                    {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
                    {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
                    {R"({"a":"b"})", R"({"a":null})", "{}"},
                    {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
                    {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
                    {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
                    {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
                    {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
                    {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
                    {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
                    {R"({"a":"foo"})", "null", "null"},
                    {R"({"a":"foo"})", R"("bar")", R"("bar")"},
                    {R"({"e":null})", R"({"a":1})", R"({"a":1,"e":null})"},
                    {"[1,2]", R"({"a":"b","c":null})", R"({"a":"b"})"},
                    {"{}", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"}};
  for (const auto& r : rows)
    EXPECT_EQ(merged(r.target, r.patch), r.result) << r.target << " with " << r.patch;
}

TEST(MergePatch, IsThatOfAnother) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    auto any = any_document{seed};
    const auto target = any.make(4, true), patch = any.make(4, true);
    auto theirs = nlohmann::json::parse(to_json(target));
    theirs.merge_patch(nlohmann::json::parse(to_json(patch)));
    EXPECT_EQ(nlohmann::json::parse(to_json(merge_patch(target, patch))), theirs)
        << to_json(target) << " with " << to_json(patch);
  }
}

TEST(MergePatch, TwiceIsOnce) {
  for (unsigned seed = 0; seed < 1000; ++seed) {
    auto any = any_document{seed};
    const auto target = any.make(4, true), patch = any.make(4, true);
    const auto once = merge_patch(target, patch);
    EXPECT_TRUE(says_the_same(merge_patch(once, patch), once));
  }
}

TEST(MissingFrom, IsWhatDiffers) {
  EXPECT_EQ(missing("{}", R"({"a":1,"b":{}})"), R"({"a":1,"b":{}})");
  EXPECT_EQ(missing(R"({"a":1,"b":2})", R"({"a":1})"), "{}");
  EXPECT_EQ(missing(R"({"a":1})", R"({"a":1.0})"), "{}");
  EXPECT_EQ(missing(R"({"a":{"b":1,"c":{"d":2}}})", R"({"a":{"c":{"d":3},"b":1}})"),
            R"({"a":{"c":{"d":3}}})");
  EXPECT_EQ(missing(R"({"a":[1,2]})", R"({"a":[2,1]})"), R"({"a":[2,1]})");
  EXPECT_EQ(missing(R"({"a":[{"x":1,"y":2}]})", R"({"a":[{"y":2,"x":1}]})"), "{}");
  EXPECT_EQ(missing(R"({"a":5})", R"({"a":{}})"), R"({"a":{}})");
  EXPECT_EQ(missing(R"({"a":"1"})", R"({"a":1})"), R"({"a":1})");
}

TEST(MissingFrom, MergedInNothingIsMissing) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    auto any = any_document{seed};
    const auto has = merge_patch({}, any.object_of(4, false));
    const auto wanted = merge_patch({}, any.object_of(4, false));
    const auto delta = missing_from(has.as_object(), wanted.as_object());
    const auto all = merge_patch(has, wanted);
    EXPECT_TRUE(says_the_same(merge_patch(has, value{delta}), all));
    EXPECT_EQ(delta.empty(), says_the_same(has, all)) << to_json(has) << ' ' << to_json(wanted);
    EXPECT_TRUE(missing_from(all.as_object(), wanted.as_object()).empty());
    EXPECT_TRUE(missing_from(wanted.as_object(), wanted.as_object()).empty());
  }
}

TEST(DepthOf, CountsContainers) {
  EXPECT_EQ(depth_of(read("5")), 0u);
  EXPECT_EQ(depth_of(read("[]")), 1u);
  EXPECT_EQ(depth_of(read(R"({"a":1})")), 1u);
  EXPECT_EQ(depth_of(read(R"({"a":[1,{"b":[]}],"c":2})")), 4u);
}

}  // namespace
}  // namespace orrery::model
