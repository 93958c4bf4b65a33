#include "transport/mqtt/raw.hpp"

#include <gtest/gtest.h>

namespace orrery::transport::mqtt {
namespace {

constexpr auto text = R"(
function raw_to_json(bytes)
  if bytes == "a" then return {id = "1", code = 200} end
  if bytes == "r" then return {id = "1", method = "thing.service.go_reply", params = {}} end
  if bytes == "x" then return {id = "1"} end
  return {id = "1", method = "thing.event.a.b.post", params = {}}
end
function json_to_raw(m) return m.id .. "!" end)";

class Raw : public testing::Test {
 protected:
  Raw() {
    auto state = model::product::state{};
    state.product_key = "pk";
    state.format = model::product::data_format::raw;
    product.state = std::make_shared<const model::product::state>(state);
    product.script = std::make_shared<const std::string>(text);
  }
  model::result<raw_message> read(std::string_view bytes) {
    return read_raw(scripts, product, classify(up), bytes);
  }
  static constexpr std::string_view up = "/sys/pk/dk/thing/model/up_raw";
  actors::catalogue_product product;
  script_cache scripts;
};

TEST_F(Raw, AMethodStandsForATopic) {
  const auto device = classify(up);
  EXPECT_EQ(topic_of("thing.measurepoint.post.batch", device),
            "/sys/pk/dk/thing/measurepoint/post/batch");
  EXPECT_EQ(topic_of("thing.event.INV.Hot.post", device), "/sys/pk/dk/thing/event/INV.Hot/post");
  EXPECT_EQ(topic_of("combine.login", device), "/ext/session/pk/dk/combine/login");
  const auto channel = classify("/sys/pk/integration/model/up_raw");
  EXPECT_EQ(topic_of("integration.event.post", channel), "/sys/pk/integration/event/post");
  EXPECT_EQ(classify(topic_of("integration.event.post", channel)).what, operation::channel_events);
}

TEST_F(Raw, RequestsAndAnswersAreToldApart) {
  const auto request = read("q");
  ASSERT_TRUE(request) << request.error().detail;
  EXPECT_EQ(request->method, "thing.event.a.b.post");
  EXPECT_EQ(request->topic, "/sys/pk/dk/thing/event/a.b/post");
  EXPECT_FALSE(request->answer);
  EXPECT_TRUE(read("a")->answer);
  EXPECT_TRUE(read("r")->answer);
  const auto neither = read("x");
  ASSERT_TRUE(neither);
  EXPECT_EQ(classify(neither->topic).what, operation::unknown);
}

TEST_F(Raw, WithoutAScriptThereIsNothingToRead) {
  product.script = nullptr;
  EXPECT_EQ(read("q").error().reason, "script_missing");
  EXPECT_EQ(write_raw(scripts, product, "{}").error().reason, "script_missing");
}

TEST_F(Raw, BytesAreWritten) {
  EXPECT_EQ(*write_raw(scripts, product, R"({"id":"7","code":200})"), "7!");
  EXPECT_FALSE(write_raw(scripts, product, R"({"code":200})"));
}

TEST_F(Raw, OnlyRawProductsSpeakInBytes) {
  EXPECT_TRUE(speaks_raw(product));
  product.state = std::make_shared<const model::product::state>();
  EXPECT_FALSE(speaks_raw(product));
}

}  // namespace
}  // namespace orrery::transport::mqtt
