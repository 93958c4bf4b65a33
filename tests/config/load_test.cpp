#include "config/load.hpp"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace orrery::config {
namespace {

std::string file_with(const std::string& text) {
  const auto path = testing::TempDir() + "orrery-settings.yaml";
  std::ofstream{path} << text;
  return path;
}

std::string wrong(const sources& from) {
  try {
    (void)load(from);
  } catch (const bad_settings& e) {
    return e.what();
  }
  return {};
}

TEST(Load, LaterSourcesWin) {
  const auto file = file_with(
      "node:\n  name: file\nstorage:\n  durability: os\n  checkpoint_bytes: 8MiB\nlisteners:\n  "
      "mqtt:\n    port: 1\n");
  const auto s = load({.file = file,
                       .environment = {{"ORRERY_NODE__NAME", "environment"},
                                       {"ORRERY_LISTENERS__MQTT__PORT", "2"},
                                       {"HOME", "/"}},
                       .set = {"listeners.mqtt.port=3"}});
  EXPECT_EQ(s.node.name, "environment");
  EXPECT_EQ(s.storage.durability, "os");
  EXPECT_EQ(s.storage.checkpoint_bytes, 8u << 20);
  EXPECT_EQ(s.listeners.mqtt.port, 3);
}

TEST(Load, ReadsUnits) {
  const auto s = load({.file = {},
                       .environment = {},
                       .set = {"storage.journal_retention=2h", "api.ask_timeout=1500ms",
                               "storage.queue_max_bytes=2GiB"}});
  EXPECT_EQ(s.storage.journal_retention, std::chrono::hours{2});
  EXPECT_EQ(s.api.ask_timeout, milliseconds{1500});
  EXPECT_EQ(s.storage.queue_max_bytes, 2ull << 30);
}

TEST(Load, TellsAllFaultsWithTheirPlaceAndAHint) {
  const auto text = wrong({.file = file_with("node:\n  nane: x\nstorage:\n  durability: maybe\n"),
                           .environment = {},
                           .set = {"listeners.mqtt.port=70000", "x"}});
  EXPECT_THAT(text, testing::HasSubstr("orrery-settings.yaml:2"));
  EXPECT_THAT(text, testing::HasSubstr("did you mean node.name"));
  EXPECT_THAT(text, testing::HasSubstr("expected one of sync, os"));
  EXPECT_THAT(text, testing::HasSubstr("from 0 to 65535"));
  EXPECT_THAT(text, testing::HasSubstr("--set x"));
}

TEST(Load, TellsWhatIsNoYaml) {
  EXPECT_NE(wrong({.file = file_with("node: [\n"), .environment = {}, .set = {}}), "");
  EXPECT_NE(wrong({.file = "/nowhere/orrery.yaml", .environment = {}, .set = {}}), "");
  EXPECT_NE(wrong({.file = file_with("node:\n  name: [1, 2]\n"), .environment = {}, .set = {}}),
            "");
}

TEST(Load, TellsContradictions) {
  EXPECT_NE(wrong({.file = {},
                   .environment = {},
                   .set = {"listeners.api.enabled=false", "listeners.apis.enabled=false"}}),
            "");
  EXPECT_THAT(wrong({.file = {},
                     .environment = {},
                     .set = {"storage.journal_max_bytes=64MiB", "storage.checkpoint_bytes=64MiB"}}),
              testing::HasSubstr("storage.journal_max_bytes must be at least twice"));
}

TEST(Load, CertificatesComeWithWhatBelongsToThem) {
  const auto because = [](std::vector<std::string> set) {
    return wrong({.file = {}, .environment = {}, .set = std::move(set)});
  };
  EXPECT_THAT(because({"tls.certificate=a"}), testing::HasSubstr("tls.key go together"));
  EXPECT_THAT(because({"tls.certificate=a", "tls.key=b", "tls.key_rsa=c"}),
              testing::HasSubstr("tls.key_rsa go together"));
  EXPECT_THAT(because({"tls.certificate_rsa=a", "tls.key_rsa=b"}),
              testing::HasSubstr("goes beside tls.certificate"));
  EXPECT_THAT(because({"tls.client_revocations=a"}), testing::HasSubstr("tls.client_authorities"));
  EXPECT_EQ(because({"tls.certificate=a", "tls.key=b", "tls.certificate_rsa=c", "tls.key_rsa=d",
                     "tls.client_authorities=e", "tls.client_revocations=f"}),
            "");
}

TEST(Load, SomebodyIsBelievedWhereProxiesAreWanted) {
  EXPECT_THAT(
      wrong({.file = {}, .environment = {}, .set = {"listeners.mqtts.proxy_protocol=required"}}),
      testing::HasSubstr("listeners.proxy_from"));
  const auto s = load(
      {.file = {},
       .environment = {},
       .set = {"listeners.mqtts.proxy_protocol=required", "listeners.proxy_from=10.0.0.0/8, ::1"}});
  EXPECT_EQ(s.listeners.mqtts.proxy_from, "10.0.0.0/8, ::1");
  EXPECT_EQ(s.listeners.mqtt.proxy_protocol, "off");
}

TEST(Load, DevicesAreSentToAnAddressThatCanBeOne) {
  const auto with = [](const std::string& address) {
    return wrong({.file = {}, .environment = {}, .set = {"listeners.public_address=" + address}});
  };
  for (const auto* good : {"", "a.example", "10.0.0.7:8883", "[::1]:8883"})
    EXPECT_EQ(with(good), "") << good;
  for (const auto& bad : {std::string{"a b"}, std::string{"\xc3\xa4"}, std::string(256, 'a')})
    EXPECT_THAT(with(bad), testing::HasSubstr("host or host:port")) << bad;
}

TEST(Load, WantsAFolderForBackupsThatCanBe) {
  const auto with = [](const std::string& directory, const std::string& name) {
    return wrong({.file = {},
                  .environment = {},
                  .set = {"backup.directory=" + directory, "node.name=" + name}});
  };
  EXPECT_EQ(with("/backup", "n-1"), "");
  EXPECT_THAT(with("backup", "n-1"), testing::HasSubstr("backup.directory must be absolute"));
  for (const auto* name : {"a/b", ".", "..", ""}) {
    EXPECT_THAT(with("/backup", name), testing::HasSubstr("the name of a folder"));
    EXPECT_EQ(with("", name), "");
  }
}

TEST(Print, GivesWhatLoadReads) {
  const auto defaults = settings{};
  const auto text = print(defaults);
  EXPECT_EQ(print(load({.file = file_with(text), .environment = {}, .set = {}})), text);
}

TEST(Print, TheShippedFileIsTheDefaults) {
  auto in = std::ifstream{"config/orrery.yaml"};
  const auto shipped = std::string{std::istreambuf_iterator<char>{in}, {}};
  EXPECT_EQ(shipped.substr(shipped.find("node:")), print(settings{}))
      << "write it anew: orreryd --print-config";
}

}  // namespace
}  // namespace orrery::config
