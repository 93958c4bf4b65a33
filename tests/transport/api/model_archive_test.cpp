#include "transport/api/model_archive.hpp"

#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::transport::api {
namespace {

using model::errc;

std::string document(const std::string& id, const std::string& parent = {}) {
  return R"({"format":"tm/1","id":")" + id + "\"" +
         (parent.empty() ? "" : R"(,"extends":")" + parent + "\"") + "}";
}
std::vector<std::string> ids_of(const model::result<std::vector<imported_model>>& all) {
  auto ids = std::vector<std::string>{};
  if (all)
    for (const auto& m : *all)
      ids.push_back(m.id + (m.document ? "" : "!"));
  return ids;
}
using list = std::vector<std::string>;

TEST(ModelArchive, OneDocumentOrAnArrayOrAZip) {
  EXPECT_EQ(ids_of(read_models(document("a"))), list{"a"});
  EXPECT_EQ(ids_of(read_models("[" + document("a") + "," + document("b") + "]")), (list{"a", "b"}));
  const auto zip =
      pack({{"x/", ""}, {"x/a.json", document("a")}, {"b.json", "[" + document("b") + "]"}});
  ASSERT_TRUE(zip);
  const auto all = read_models(*zip);
  EXPECT_EQ(ids_of(all), (list{"a", "b"}));
  EXPECT_EQ(all->at(0).file, "x/a.json");
  EXPECT_EQ(all->at(1).file, "b.json#1");
  EXPECT_EQ(ids_of(read_models(R"({"thingModelId": "e"})")), list{"e"});
}

TEST(ModelArchive, RowsAreTheElementsOfTheModelOfTheirName) {
  const auto all = read_models(
      *pack({{"f/a.csv", "kind,id\nevent,e\n"}, {"b.csv", "kind\n?"}, {"a b.csv", "kind,id\n"}}));
  EXPECT_EQ(ids_of(all), (list{"a", "b!", "!"}));
  EXPECT_TRUE(all->at(0).elements_only);
  EXPECT_EQ(all->at(0).document->find("events")->as_array().size(), 1u);
}

TEST(ModelArchive, ParentsComeFirst) {
  EXPECT_EQ(ids_of(read_models("[" + document("c", "b") + "," + document("b", "a") + "," +
                               document("z") + "," + document("a") + "]")),
            (list{"z", "a", "b", "c"}));
  EXPECT_EQ(ids_of(read_models("[" + document("a", "b") + "," + document("b", "a") + "]")),
            (list{"a", "b"}))
      << "a circle is refused later";
}

TEST(ModelArchive, OneBadFileHindersNoOther) {
  const auto zip = pack({{"a", document("a")},
                         {"b", "{"},
                         {"c", "7"},
                         {"d", document("a")},
                         {"e", R"({"id": "no good id"})"},
                         {"f", R"({"thingModelId": 7})"}});
  EXPECT_EQ(ids_of(read_models(*zip)), (list{"a", "!", "!", "a!", "!", "!"}));
  const auto all = read_models(*zip);
  for (std::size_t i = 1; i < all->size(); ++i)
    EXPECT_EQ(all->at(i).document.error().reason, "import_invalid") << i;
}

TEST(ModelArchive, WhatTheServerSaysIsLeftOut) {
  const auto all =
      read_models(R"({"format":"tm/1","id":"a","revision":7,"publishedAt":"x","name":"n"})");
  ASSERT_TRUE(all);
  EXPECT_EQ(model::to_json(*all->at(0).document), R"({"format":"tm/1","id":"a","name":"n"})");
}

TEST(ModelArchive, HasLimits) {
  auto many = std::vector<archive_file>{};
  for (int i = 0; i < 21; ++i)
    many.push_back({std::to_string(i), document("m" + std::to_string(i))});
  EXPECT_EQ(read_models(*pack(many)).error().code, errc::too_large);
  many.pop_back();
  EXPECT_EQ(read_models(*pack(many))->size(), 20u);
  auto array = std::string{"["};
  for (int i = 0; i < 21; ++i)
    array += (i == 0 ? "" : ",") + document("m" + std::to_string(i));
  EXPECT_EQ(read_models(array + "]").error().code, errc::too_large);
  EXPECT_EQ(read_models(std::string(2 * 1024 * 1024 + 1, ' ')).error().code, errc::too_large);
}

TEST(ModelArchive, AFileThatSwellsIsNotUnpacked) {
  const auto bomb = *pack({{"a", document("a")}, {"b", std::string(50 * 1024 * 1024, ' ')}});
  EXPECT_LT(bomb.size(), 100'000u);
  EXPECT_EQ(read_models(bomb).error().code, errc::too_large);
}

TEST(ModelArchive, WhatIsNoImportIsRefused) {
  for (const auto* bytes : {"", "x", "PK", "PK\x03\x04 and no more", "[7", "\xff"}) {
    const auto got = read_models(bytes);
    ASSERT_FALSE(got) << bytes;
    EXPECT_EQ(got.error().reason, "import_invalid") << bytes;
  }
  EXPECT_TRUE(read_models("[]")->empty());
}

TEST(ModelArchive, ADamagedZipIsRefusedOrSaysTheSame) {
  const auto zip = *pack({{"a", document("a")}, {"b", document("b")}});
  for (std::size_t size = 1; size < zip.size(); size += 3)
    EXPECT_FALSE(unpack(std::string_view{zip}.substr(0, size), {}));
  for (std::size_t at = 0; at < zip.size(); ++at) {
    auto damaged = zip;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
    if (const auto got = unpack(damaged, {})) {
      EXPECT_LE(got->size(), 2u) << at;
    }
  }
}

}  // namespace
}  // namespace orrery::transport::api
