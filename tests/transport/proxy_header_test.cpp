#include "transport/proxy_header.hpp"

#include <gtest/gtest.h>

namespace orrery::transport {
namespace {

using namespace std::string_literals;

const auto signature = "\r\n\r\n\0\r\nQUIT\n"s;

std::string number(std::size_t n) {
  return {static_cast<char>(n >> 8), static_cast<char>(n & 255)};
}
std::string binary(char command, char family, const std::string& rest) {
  return signature + command + family + number(rest.size()) + rest;
}
std::string value(char type, const std::string& of) {
  return type + number(of.size()) + of;
}
const auto v4_addresses = "\xc0\x00\x02\x07"s + "\x0a\x00\x00\x01"s + number(4711) + number(1883);

proxied_peer good(const std::string& header) {
  const auto got = decode_proxy_header(header + "more");
  EXPECT_TRUE(got && *got) << (got ? "more bytes wanted" : got.error().detail);
  if (!got || !*got)
    return {};
  EXPECT_EQ((*got)->size, header.size());
  // And in no part of it.
  for (std::size_t size = 0; size < header.size(); ++size) {
    const auto part = decode_proxy_header(header.substr(0, size));
    EXPECT_TRUE(part && !*part) << size;
  }
  return (*got)->peer;
}
bool bad(const std::string& bytes) {
  return !decode_proxy_header(bytes).has_value();
}

TEST(ProxyHeader, ReadsTheLine) {
  EXPECT_EQ(good("PROXY TCP4 192.0.2.7 10.0.0.1 4711 1883\r\n"), (proxied_peer{"192.0.2.7", 4711}));
  EXPECT_EQ(good("PROXY TCP6 2001:DB8:0::7 ::1 65535 0\r\n"), (proxied_peer{"2001:db8::7", 65535}));
  EXPECT_EQ(good("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"), (proxied_peer{"192.0.2.7", 1}));
  EXPECT_EQ(good("PROXY UNKNOWN\r\n"), proxied_peer{});
  EXPECT_EQ(good("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), proxied_peer{});
}

TEST(ProxyHeader, RefusesOtherLines) {
  for (const auto* line :
       {"PROXY TCP4 192.0.2.7 10.0.0.1 4711\r\n", "PROXY TCP4 192.0.2.7 10.0.0.1 4711 1883 1\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 70000 1883\r\n", "PROXY TCP4 192.0.2.7 10.0.0.1 -1 1883\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 4711 \r\n", "PROXY TCP4 ::1 ::1 4711 1883\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 4711 1883\r\n",
        "PROXY TCP4  192.0.2.7 10.0.0.1 4711 1883\r\n", "PROXY TCP4 a b 1 2\r\n",
        "PROXY UDP4 192.0.2.7 10.0.0.1 4711 1883\r\n", "PROXY \r\n", "proxy UNKNOWN\r\n",
        "GET / HTTP/1.1\r\n", "\x10\x10", "\r\n\r\nx", "\x16\x03\x01"})
    EXPECT_TRUE(bad(line)) << line;
  EXPECT_TRUE(bad("PROXY UNKNOWN " + std::string(200, 'a')));
  EXPECT_TRUE(bad("PROXY UNKNOWN " + std::string(200, 'a') + "\r\n"));
}

TEST(ProxyHeader, ReadsTheBinaryForm) {
  EXPECT_EQ(good(binary('\x21', '\x11', v4_addresses)), (proxied_peer{"192.0.2.7", 4711}));
  const auto v6 = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + '\7';
  EXPECT_EQ(good(binary('\x21', '\x21', v6 + v6 + number(1) + number(2))),
            (proxied_peer{"2001:db8::7", 1}));
  const auto mapped = std::string(10, '\0') + "\xff\xff\xc0\x00\x02\x07"s;
  EXPECT_EQ(good(binary('\x21', '\x21', mapped + v6 + number(1) + number(2))),
            (proxied_peer{"192.0.2.7", 1}));
  EXPECT_EQ(good(binary('\x20', '\0', "")), proxied_peer{});  // looks whether we live
  EXPECT_EQ(good(binary('\x20', '\x11', v4_addresses)), proxied_peer{});
  EXPECT_EQ(good(binary('\x21', '\0', "anything")), proxied_peer{});
  EXPECT_EQ(good(binary('\x21', '\x31', std::string(216, 'a'))), proxied_peer{});
}

TEST(ProxyHeader, KnowsWhetherTheClientSpeaksTls) {
  const auto with = [](const std::string& values) {
    return good(binary('\x21', '\x11', v4_addresses + values)).secure;
  };
  const auto tls = value(' ', "\x01\0\0\0\0"s + value('\x21', "TLSv1.3"));
  EXPECT_TRUE(with(tls));
  EXPECT_TRUE(with(value('\x02', "example.org") + tls + value('\x04', "")));
  EXPECT_FALSE(with(value(' ', "\0\0\0\0\0"s)));
  EXPECT_FALSE(with(value('\x01', "mqtt")));
  EXPECT_FALSE(with(""));
}

TEST(ProxyHeader, RefusesOtherBytes) {
  const auto proxy = '\x21', tcp = '\x11';
  EXPECT_TRUE(bad(binary('\x11', tcp, v4_addresses)));    // version 1
  EXPECT_TRUE(bad(binary('\x22', tcp, v4_addresses)));    // an unknown command
  EXPECT_TRUE(bad(binary(proxy, '\x12', v4_addresses)));  // UDP
  EXPECT_TRUE(bad(binary(proxy, '\x41', v4_addresses)));
  EXPECT_TRUE(bad(binary(proxy, tcp, v4_addresses.substr(1))));
  EXPECT_TRUE(bad(binary(proxy, '\x21', v4_addresses)));
  EXPECT_TRUE(bad(binary(proxy, tcp, v4_addresses + "\x01")));
  EXPECT_TRUE(bad(binary(proxy, tcp,
                         v4_addresses + "\x01\x00\x05"
                                        "abc"s)));
  EXPECT_TRUE(bad(binary(proxy, tcp, v4_addresses + value(' ', "\x01"))));
  // Too long by its head alone.
  const auto head = signature + proxy + tcp + number(max_proxy_header);
  EXPECT_EQ(decode_proxy_header(head).error().code, model::errc::too_large);
}

}  // namespace
}  // namespace orrery::transport
