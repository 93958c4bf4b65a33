#include "cluster/cluster_keys.hpp"

#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

using kind = cluster_key::kind;

TEST(ClusterKeys, ReadsWhatItMakes) {
  const auto keys = cluster_keys{"plant"};
  EXPECT_EQ(keys.node(17), "/orrery/plant/node/17");
  EXPECT_EQ(keys.parse(keys.about()), cluster_key{kind::about});
  EXPECT_EQ(keys.parse(keys.last_number()), cluster_key{kind::last_number});
  EXPECT_EQ(keys.parse(keys.controller()), cluster_key{kind::controller});
  EXPECT_EQ(keys.parse(keys.number("n-1.x_Y")), (cluster_key{kind::number, "n-1.x_Y"}));
  EXPECT_EQ(keys.parse(keys.node(1023)), (cluster_key{kind::node, {}, 1023}));
  EXPECT_EQ(keys.parse(keys.order(1)), (cluster_key{kind::order, {}, 1}));
  EXPECT_EQ(keys.parse(keys.shard(0)), (cluster_key{kind::shard, {}, 0}));
  EXPECT_EQ(keys.parse(keys.shard(model::catalogue_shard)),
            (cluster_key{kind::shard, {}, model::catalogue_shard}));
  EXPECT_EQ(keys.copy(17, 3), "/orrery/plant/copy/17/3");
  EXPECT_EQ(keys.parse(keys.copy(17, 3)), (cluster_key{kind::copy, {}, 3, 17}));
  EXPECT_EQ(keys.backup_part("20261125-025746", 3), "/orrery/plant/backup/20261125-025746/3");
  EXPECT_EQ(keys.parse(keys.backup("20261125-025746")),
            (cluster_key{kind::backup, "20261125-025746"}));
  EXPECT_EQ(keys.parse(keys.backup_part("20261125-025746", 3)),
            (cluster_key{kind::backup_part, "20261125-025746", 3}));
  EXPECT_EQ(keys.parse(keys.last_backup()), cluster_key{kind::last_backup});
}

TEST(ClusterKeys, PassesOverWhatItDoesNotMake) {
  const auto keys = cluster_keys{"plant"};
  for (const auto* last : {"",
                           "about/",
                           "abou",
                           "node",
                           "node/",
                           "node/0",
                           "node/1024",
                           "node/01",
                           "node/+1",
                           "node/1x",
                           "node/1/2",
                           "node/99999999999999999999",
                           "copy/1",
                           "copy/1/",
                           "copy/1/0",
                           "copy//1",
                           "copy/32768/1",
                           "copy/1/1/1",
                           "shard/32768",
                           "shard/-1",
                           "number/",
                           "number/a b",
                           "number/a/b",
                           "order/x",
                           "controller/1",
                           "backup",
                           "backup/",
                           "backup/1",
                           "backup/20261125 025746",
                           "backup/20261125-02574x",
                           "backup/20261125-025746/",
                           "backup/20261125-025746/0",
                           "backup/20261125-025746/1/2",
                           "last_backup/1",
                           "later/1"})
    EXPECT_EQ(keys.parse(keys.root() + last), std::nullopt) << last;
  EXPECT_EQ(keys.parse("/orrery/plan/about"), std::nullopt);
  EXPECT_EQ(keys.parse(keys.number(std::string(129, 'a'))), std::nullopt);
  EXPECT_EQ(keys.parse(""), std::nullopt);
}

TEST(ClusterKeys, NamesHaveBounds) {
  EXPECT_TRUE(is_valid_node_name(std::string(128, 'a')));
  EXPECT_FALSE(is_valid_node_name(std::string(129, 'a')));
  EXPECT_FALSE(is_valid_node_name(""));
  EXPECT_FALSE(is_valid_node_name("a/b"));
  EXPECT_TRUE(is_valid_cluster_name("plant-1"));
  EXPECT_FALSE(is_valid_cluster_name(std::string(65, 'a')));
}

}  // namespace
}  // namespace orrery::cluster
