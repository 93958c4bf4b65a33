#include "cluster/cluster_records.hpp"

#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/cluster_keys.hpp"

namespace orrery::cluster {
namespace {

using testing::HasSubstr;

const auto about = cluster_about{1, 64, model::from_ms(1'700'000'000'000), "9f86"};
const auto info = node_info{.name = "a-1",
                            .link_host = "10.0.0.1",
                            .link_port = 7400,
                            .incarnation = std::numeric_limits<std::uint64_t>::max(),
                            .boot_id = "0b5e",
                            .version = "0.1.0",
                            .zone = "north",
                            .weight = 250,
                            .draining = true,
                            .addresses = {{"coap", "10.0.0.1:5683"}, {"mqtt", "10.0.0.1:1883"}}};
const auto record = shard_record{.version = 7,
                                 .epoch = 3,
                                 .primary = 1,
                                 .in_sync = {1, 2},
                                 .replicas = {1, 2, 1023},
                                 .preferred = 2};

// What is written here is in the coordinators of others: a change of it is a new format.
TEST(ClusterRecords, AreReadAsWritten) {
  EXPECT_EQ(encode(about), R"({"format":1,"shards":64,"made":1700000000000,"keyCheck":"9f86"})");
  EXPECT_EQ(*decode_about("k", encode(about)), about);
  EXPECT_EQ(
      encode(info),
      R"({"name":"a-1","linkHost":"10.0.0.1","linkPort":7400,"incarnation":"18446744073709551615",)"
      R"("bootId":"0b5e","version":"0.1.0","zone":"north","weight":250,"draining":true,)"
      R"("addresses":{"coap":"10.0.0.1:5683","mqtt":"10.0.0.1:1883"}})");
  EXPECT_EQ(*decode_node("k", encode(info)), info);
  EXPECT_EQ(encode(record),
            R"({"epoch":3,"primary":1,"inSync":[1,2],"replicas":[1,2,1023],"preferred":2})");
  EXPECT_EQ(*decode_shard("k", encode(record), 7), record);
  auto again = about;
  again.found_again = true;
  EXPECT_EQ(encode(again),
            R"({"format":1,"shards":64,"made":1700000000000,"keyCheck":"9f86","foundAgain":true})");
  EXPECT_EQ(*decode_about("k", encode(again)), again);
  auto recovered = record;
  recovered.recovered = 3;
  EXPECT_EQ(encode(recovered), R"({"epoch":3,"primary":1,"inSync":[1,2],"replicas":[1,2,1023],)"
                               R"("preferred":2,"recovered":3})");
  EXPECT_EQ(*decode_shard("k", encode(recovered), 7), recovered);
  const auto nobody = shard_record{
      .version = 7, .epoch = 1, .primary = {}, .in_sync = {}, .replicas = {1}, .preferred = {}};
  EXPECT_EQ(*decode_shard("k", encode(nobody), 7), nobody);
  const auto copy = offered_copy{std::numeric_limits<std::uint64_t>::max(), {3, 4711}};
  EXPECT_EQ(encode(copy), R"({"version":"18446744073709551615","epoch":3,"index":4711})");
  EXPECT_EQ(*decode_copy("k", encode(copy)), copy);
  for (const auto* text :
       {"", "{}", R"({"version":1,"epoch":3,"index":4})", R"({"version":"1","epoch":-3,"index":4})",
        R"({"version":"1","epoch":3})"})
    EXPECT_EQ(decode_copy("k", text).error().code, model::errc::corrupted) << text;
  EXPECT_EQ(encode(node_order::drain), R"({"drain":true})");
  EXPECT_EQ(encode(node_order::remove), R"({"remove":true})");
  EXPECT_EQ(*decode_order("k", encode(node_order::drain)), node_order::drain);
  EXPECT_EQ(*decode_order("k", encode(node_order::remove)), node_order::remove);
  EXPECT_EQ(encode_number(17), "17");
  EXPECT_EQ(*decode_number("k", "17"), 17u);
}

TEST(ClusterRecords, BackupsAreReadAsWritten) {
  const auto order = backup_order{model::from_ms(1'700'000'000'000),
                                  "user:admin",
                                  {{1, 17}, {1023, std::numeric_limits<std::uint64_t>::max()}},
                                  {3}};
  EXPECT_EQ(encode(order), R"({"at":1700000000000,"by":"user:admin",)"
                           R"("nodes":{"1":"17","1023":"18446744073709551615"},"absent":[3]})");
  EXPECT_EQ(*decode_backup_order("k", encode(order)), order);
  auto part =
      backup_part{model::from_ms(1'700'000'004'200), std::chrono::milliseconds{4200}, 123, {}, {}};
  EXPECT_EQ(encode(part), R"({"at":1700000004200,"ms":4200,"bytes":123})");
  EXPECT_EQ(*decode_backup_part("k", encode(part)), part);
  part.bytes = 0;
  part.reason = "backup_full";
  part.detail = "no room";
  EXPECT_EQ(encode(part),
            R"({"at":1700000004200,"ms":4200,"reason":"backup_full","detail":"no room"})");
  EXPECT_EQ(*decode_backup_part("k", encode(part)), part);
  for (const auto* text : {"", "{}", R"({"at":1,"by":"a","nodes":{"0":"1"},"absent":[]})",
                           R"({"at":1,"by":"a","nodes":{"1":1},"absent":[]})",
                           R"({"at":1,"by":"a","nodes":[],"absent":[]})"})
    EXPECT_EQ(decode_backup_order("k", text).error().reason, "value_malformed") << text;
  for (const auto* text : {"", "{}", R"({"at":1,"ms":1})", R"({"at":1,"ms":1,"bytes":-1})",
                           R"({"at":1,"ms":1,"reason":"","detail":""})"})
    EXPECT_EQ(decode_backup_part("k", text).error().reason, "value_malformed") << text;
}

TEST(ClusterRecords, NobodyIsNull) {
  auto headless = record;
  headless.primary.reset();
  headless.preferred.reset();
  EXPECT_EQ(encode(headless),
            R"({"epoch":3,"primary":null,"inSync":[1,2],"replicas":[1,2,1023],"preferred":null})");
  EXPECT_EQ(*decode_shard("k", encode(headless), 7), headless);
  // As a release wrote it that had no wishes.
  EXPECT_EQ(*decode_shard("k", R"({"epoch":3,"inSync":[1,2],"replicas":[1,2,1023]})", 7), headless);
}

TEST(ClusterRecords, PassOverWhatANewerReleaseAdds) {
  EXPECT_EQ(*decode_shard("k",
                          R"({"later":{"a":[1]},"epoch":3,"primary":1,"inSync":[1,2],)"
                          R"("replicas":[1,2,1023],"preferred":2})",
                          7),
            record);
  EXPECT_EQ(*decode_order("k", R"({"drain":true,"by":"me"})"), node_order::drain);
  auto text = encode(info);
  text.insert(1, R"("later":null,)");
  EXPECT_EQ(*decode_node("k", text), info);
}

TEST(ClusterRecords, RefuseWhatTheyCannotHaveWritten) {
  const auto refused = [](const auto& read) {
    return !read && read.error().code == model::errc::corrupted &&
           read.error().detail.starts_with("/the/key ");
  };
  for (const auto* text : {"", "{", "[]", "null", "1", "\xff", "{}"}) {
    EXPECT_TRUE(refused(decode_about("/the/key", text))) << text;
    EXPECT_TRUE(refused(decode_node("/the/key", text))) << text;
    EXPECT_TRUE(refused(decode_shard("/the/key", text, 1))) << text;
    EXPECT_TRUE(refused(decode_order("/the/key", text))) << text;
  }
  for (const auto* text : {R"({"format":1,"shards":0,"made":1,"keyCheck":""})",
                           R"({"format":1,"shards":32768,"made":1,"keyCheck":""})",
                           R"({"format":0,"shards":64,"made":1,"keyCheck":""})",
                           R"({"format":1,"shards":64,"made":-1,"keyCheck":""})",
                           R"({"format":1,"shards":64.0,"made":1,"keyCheck":""})",
                           R"({"format":1,"shards":64,"made":1,"keyCheck":7})"})
    EXPECT_TRUE(refused(decode_about("/the/key", text))) << text;
  for (const auto* text :
       {R"({"epoch":0,"inSync":[1],"replicas":[1]})",
        R"({"epoch":1,"primary":1,"inSync":[],"replicas":[1]})",
        R"({"epoch":1,"inSync":[1],"replicas":[1],"recovered":-1})",
        R"({"epoch":1,"inSync":[0],"replicas":[1]})",
        R"({"epoch":1,"inSync":[1],"replicas":[1024]})",
        R"({"epoch":1,"inSync":["1"],"replicas":[1]})", R"({"epoch":1,"inSync":1,"replicas":[1]})",
        R"({"epoch":1,"primary":0,"inSync":[1],"replicas":[1]})",
        R"({"epoch":1,"preferred":"1","inSync":[1],"replicas":[1]})",
        R"({"epoch":1,"primary":99999999999999999999,"inSync":[1],"replicas":[1]})"})
    EXPECT_TRUE(refused(decode_shard("/the/key", text, 1))) << text;
  for (const auto* text : {R"({"drain":false})", R"({"drain":1})", R"({"later":true})"})
    EXPECT_TRUE(refused(decode_order("/the/key", text))) << text;
  for (const auto* text : {"", "0", "1024", "-1", "1 ", "x", "99999999999999999999"})
    EXPECT_TRUE(refused(decode_number("/the/key", text))) << text;
  EXPECT_THAT(decode_node("/the/key", R"({"name":"a b"})").error().detail, HasSubstr("name"));
}

TEST(ClusterRecords, RefuseANodeWithAnyPartMissingOrWrong) {
  const auto whole = encode(info);
  for (const auto* part : {"name", "linkHost", "linkPort", "incarnation", "bootId", "version",
                           "zone", "weight", "addresses"}) {
    auto text = whole;
    text.replace(text.find(part), 1, "X");  // another name
    EXPECT_FALSE(decode_node("k", text)) << part;
  }
  const auto with = [&](std::string_view old, std::string_view other) {
    auto text = whole;
    text.replace(text.find(old), old.size(), other);
    return decode_node("k", text);
  };
  EXPECT_FALSE(with("7400", "65536"));
  EXPECT_FALSE(with("250", "0"));
  EXPECT_FALSE(with("250", "10001"));
  EXPECT_FALSE(with("true", "1"));
  EXPECT_FALSE(with("18446744073709551615", "18446744073709551616"));
  EXPECT_FALSE(with("18446744073709551615", ""));
  EXPECT_FALSE(with(R"("10.0.0.1:5683")", "5683"));
  EXPECT_FALSE(with("north", std::string(1025, 'n')));
  EXPECT_TRUE(with("north", std::string(1024, 'n')));
}

TEST(ClusterRecords, SurviveAnyBytes) {
  auto random = std::mt19937_64{7};
  const auto texts = {encode(about), encode(info), encode(record), encode(node_order::drain)};
  for (auto round = 0; round < 5000; ++round)
    for (auto text : texts) {
      for (auto n = random() % 4; n <= 3; ++n)
        text[random() % text.size()] = static_cast<char>(random());
      text.resize(random() % 8 == 0 ? random() % text.size() : text.size());
      static_cast<void>(decode_about("k", text));
      static_cast<void>(decode_node("k", text));
      static_cast<void>(decode_order("k", text));
      static_cast<void>(decode_number("k", text));
      if (const auto read = decode_shard("k", text, 1)) {
        for (const auto id : read->replicas)
          EXPECT_TRUE(id >= 1 && id <= max_node_id);
      }
    }
}

}  // namespace
}  // namespace orrery::cluster
