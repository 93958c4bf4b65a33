#include "cluster/redirection.hpp"

#include <gtest/gtest.h>

namespace orrery::cluster {
namespace {

node_entry at(const std::string& address, bool draining = false) {
  auto n = node_entry{};
  n.info.draining = draining;
  if (!address.empty())
    n.info.addresses = {{"mqtt", "inside:1883"}, {devices_address, address}};
  return n;
}

TEST(Redirection, IsOfANodeThatIsOrderedEmpty) {
  auto view = cluster_view{};
  view.nodes = {{1, at("a.example:8883")}, {2, at("b.example")}, {3, at("")}, {4, at("d.example")}};
  EXPECT_EQ(redirection_of(view, 1), std::nullopt);
  view.orders = {{1, node_order::drain}};
  EXPECT_EQ(redirection_of(view, 1), (redirection{false, {"b.example", "d.example"}}));
  EXPECT_EQ(redirection_of(view, 2), std::nullopt) << "others stay where they are";
  view.orders[1] = node_order::remove;
  EXPECT_EQ(redirection_of(view, 1), (redirection{true, {"b.example", "d.example"}}));
}

TEST(Redirection, LeadsToNobodyWhoLeavesToo) {
  auto view = cluster_view{};
  view.nodes = {{1, at("a")}, {2, at("b")}, {3, at("c", true)}, {4, at("")}};
  view.orders = {{1, node_order::drain}, {2, node_order::remove}};
  EXPECT_EQ(redirection_of(view, 1), (redirection{false, {}})) << "4 is there, with no address";
  view.nodes.erase(4);
  EXPECT_EQ(redirection_of(view, 1), std::nullopt) << "nobody would take them";
}

}  // namespace
}  // namespace orrery::cluster
