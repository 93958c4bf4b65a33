#include "transport/address_range.hpp"

#include <gtest/gtest.h>

namespace orrery::transport {
namespace {

TEST(AddressRange, IsAnAddressOrANetwork) {
  for (const auto* text : {"10.0.0.7", "10.0.0.0/8", "0.0.0.0/0", "10.0.0.7/32", "::1",
                           "2001:db8::/32", "::/0", "::1/128", "::ffff:10.0.0.1"})
    EXPECT_TRUE(is_address_range(text)) << text;
  for (const auto* text :
       {"", "/", "/8", "10.0.0", "10.0.0.256", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/",
        "10.0.0.0/8x", "10.0.0.0/8/8", "::1/129", "localhost", "10.0.0.1 ", "any"})
    EXPECT_FALSE(is_address_range(text)) << text;
}

TEST(AddressRange, HoldsWhatSharesItsPrefix) {
  EXPECT_TRUE(in_ranges({"10.0.0.7"}, "10.0.0.7"));
  EXPECT_FALSE(in_ranges({"10.0.0.7"}, "10.0.0.8"));
  EXPECT_TRUE(in_ranges({"10.0.0.0/8"}, "10.255.1.2"));
  EXPECT_FALSE(in_ranges({"10.0.0.0/8"}, "11.0.0.0"));
  EXPECT_TRUE(in_ranges({"192.168.4.0/22"}, "192.168.7.255"));
  EXPECT_FALSE(in_ranges({"192.168.4.0/22"}, "192.168.8.0"));
  EXPECT_TRUE(in_ranges({"0.0.0.0/0"}, "203.0.113.9"));
  EXPECT_TRUE(in_ranges({"2001:db8::/33"}, "2001:db8:7fff::1"));
  EXPECT_FALSE(in_ranges({"2001:db8::/33"}, "2001:db8:8000::1"));
  EXPECT_TRUE(in_ranges({"127.0.0.1", "::1"}, "::1"));
}

TEST(AddressRange, AnIpv4AddressOverAnIpv6SocketIsAnIpv4Address) {
  EXPECT_TRUE(in_ranges({"10.0.0.0/8"}, "::ffff:10.1.2.3"));
  EXPECT_FALSE(in_ranges({"::/0"}, "::ffff:10.1.2.3"));
}

TEST(AddressRange, HoldsNothingThatIsNoAddress) {
  EXPECT_FALSE(in_ranges({"0.0.0.0/0", "::/0"}, ""));
  EXPECT_FALSE(in_ranges({"0.0.0.0/0"}, "nonsense"));
  EXPECT_FALSE(in_ranges({"nonsense"}, "10.0.0.1"));
  EXPECT_FALSE(in_ranges({}, "10.0.0.1"));
}

TEST(AddressRange, AddressesHaveOneForm) {
  EXPECT_EQ(plain_address("::ffff:10.1.2.3"), "10.1.2.3");
  EXPECT_EQ(plain_address("2001:DB8:0:0::1"), "2001:db8::1");
  EXPECT_EQ(plain_address("fe80::1%1"), "fe80::1");
  EXPECT_EQ(plain_address("nonsense"), "nonsense");
  EXPECT_EQ(address_group("::ffff:10.1.2.3"), "10.1.2.3");
  EXPECT_EQ(address_group("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(address_group("2001:db8:1:2::9"), "2001:db8:1:2::/64");
  EXPECT_EQ(address_group(""), "");
}

}  // namespace
}  // namespace orrery::transport
