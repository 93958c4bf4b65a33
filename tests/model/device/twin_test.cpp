#include <gtest/gtest.h>

#include "model/device/device.hpp"
#include "model/json.hpp"

namespace orrery::model::device {
namespace {

/// A device that is off-line. Its model has the attributes zone (both write it), serial (the device
/// alone) and rated (the cloud alone).
class Twin : public testing::Test {
 protected:
  Twin() {
    product.exists = true;
    product.model = std::make_shared<const thing_model>(*thing_model::compile(
        *parse_json(R"({"format": "tm/1", "id": "m", "name": "m", "attributes": [
          {"id": "zone", "type": {"t": "string", "maxLength": 5}},
          {"id": "serial", "access": "device", "type": {"t": "string"}},
          {"id": "rated", "access": "cloud", "type": {"t": "int"}}]})")));
    auto r = register_device{};
    r.name = name;
    r.organisation = "org";
    r.secret = keys.seal("secret", secret_owner(name));
    EXPECT_TRUE(tell(r));
  }

  result<reply> tell(order what) {
    auto d = decide(s, {std::move(what), {}, "user:a", {}}, {self, now, product, keys, 3});
    happened.clear();
    pushed.clear();
    if (!d)
      return d.error();
    for (const auto& e : d->events) {
      apply(s, e);
      for (const auto& x : device::effects(s, e))
        if (const auto* sent = std::get_if<deliver>(&x))
          if (const auto* push = std::get_if<twin_push>(&sent->message.what)) {
            pushed.push_back(*push);
            EXPECT_EQ(sent->session, s.connection.session);
          }
      happened.push_back(e);
    }
    // What is kept of it is the same after a restart, and so is what happened.
    auto again = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), again));
    EXPECT_EQ(again.twin(), s.twin());
    const auto events = decode_events(encode_events(d->events));
    EXPECT_TRUE(events && encode_events(*events) == encode_events(d->events));
    if (const auto* told = std::get_if<twin_status>(&d->answer)) {
      EXPECT_EQ(told->what, s.twin());
    }
    return std::move(d->answer);
  }
  std::string_view reason(order what) {
    const auto got = tell(std::move(what));
    return got ? std::string_view{"granted"} : got.error().reason;
  }
  static object read(std::string_view text) { return parse_json(text)->as_object(); }
  change_twin wish(std::string_view patch, bool replace = false) {
    return {read(patch), replace, {}};
  }
  report_twin report(std::string_view patch, std::optional<std::uint64_t> applied = {}) {
    return {read(patch), false, applied};
  }
  std::string desired() const { return to_json(value{s.twin().desired}); }
  std::string reported() const { return to_json(value{s.twin().reported}); }
  std::string delta() const { return to_json(value{delta_of(s.twin())}); }
  void log_in() {
    auto c = connect{};
    c.proof = {"c", "1", sign_method::sha256,
               sign_login(name, "c", "1", sign_method::sha256, "secret")};
    c.session = {7, ++connections, 0};
    ASSERT_TRUE(tell(c));
  }

  state s;
  entity_id self = make_entity_id(0, from_ms(1), {});
  timestamp now = from_ms(1'700'000'000'000);
  product_view product;
  keyring keys{keyring::key_bytes{9}};
  device_name name{"pk", "dk"};
  std::vector<event> happened;
  std::vector<twin_push> pushed;
  std::uint64_t connections = 0;
};

TEST_F(Twin, KeepsItsLastVersions) {
  for (int i = 1; i <= 60; ++i) {
    now += std::chrono::seconds{1};
    ASSERT_TRUE(tell(wish("{\"n\": " + std::to_string(i) + "}")));
  }
  const auto& all = s.twin().history;
  ASSERT_EQ(all.size(), max_twin_versions);
  EXPECT_EQ(all.front().version, 11u);
  EXPECT_EQ(all.back().version, 60u);
  EXPECT_EQ(all.back().by, "user:a");
  EXPECT_EQ(all.back().at, now);
  EXPECT_EQ(all.back().applied_at, timestamp{});
  ASSERT_TRUE(tell(report("{\"n\": 60}", 60)));
  EXPECT_EQ(s.twin().history.back().applied_at, now);
}

TEST_F(Twin, WhatIsDesiredHasVersions) {
  EXPECT_TRUE(s.twin().empty());
  ASSERT_TRUE(tell(wish(R"({"b":{"x":1},"a":2})")));
  EXPECT_EQ(desired(), R"({"a":2,"b":{"x":1}})");
  EXPECT_EQ(s.twin().desired_version, 1u);
  EXPECT_EQ(s.twin().desired_by, "user:a");
  EXPECT_EQ(s.twin().desired_at, now);
  ASSERT_TRUE(tell(wish(R"({"b":{"y":2},"a":null})")));
  EXPECT_EQ(desired(), R"({"b":{"x":1,"y":2}})");
  ASSERT_TRUE(tell(wish(R"({"c":3,"d":null})", true)));
  EXPECT_EQ(desired(), R"({"c":3})");
  EXPECT_EQ(s.twin().desired_version, 3u);
  ASSERT_TRUE(tell(wish(R"({"c":3})")));
  EXPECT_TRUE(happened.empty()) << "it was so before";
}

TEST_F(Twin, AVersionThatHasChangedMeanwhileIsRefused) {
  auto first = wish(R"({"a":1})");
  first.expected = 0;
  ASSERT_TRUE(tell(first));
  EXPECT_EQ(reason(first), "etag_mismatch");
  first.expected = 1;
  EXPECT_EQ(reason(first), "granted");
}

TEST_F(Twin, ADeviceThatIsThereIsPushedEachChange) {
  log_in();
  EXPECT_TRUE(pushed.empty());
  ASSERT_TRUE(tell(wish(R"({"a":1,"b":2})")));
  ASSERT_EQ(pushed.size(), 1u);
  EXPECT_EQ(pushed[0].version, 1u);
  EXPECT_EQ(to_json(value{pushed[0].desired}), R"({"a":1,"b":2})");
  ASSERT_TRUE(tell(report(R"({"a":1})")));
  EXPECT_EQ(delta(), R"({"b":2})");
  ASSERT_TRUE(tell(wish(R"({"c":3})")));
  ASSERT_EQ(pushed.size(), 1u);
  EXPECT_EQ(to_json(value{pushed[0].delta}), R"({"b":2,"c":3})");
  // What is taken away is in no delta, and told all the same.
  ASSERT_TRUE(tell(report(R"({"a":1,"b":2,"c":3})")));
  ASSERT_TRUE(tell(wish(R"({"b":null})")));
  ASSERT_EQ(pushed.size(), 1u);
  EXPECT_TRUE(pushed[0].delta.empty());
  EXPECT_EQ(to_json(value{pushed[0].desired}), R"({"a":1,"c":3})");
}

TEST_F(Twin, OneThatComesIsPushedWhatItLacks) {
  ASSERT_TRUE(tell(wish(R"({"a":1})")));
  EXPECT_TRUE(pushed.empty());
  log_in();
  ASSERT_EQ(pushed.size(), 1u);
  log_in();
  EXPECT_EQ(pushed.size(), 1u) << "until it says that it has it";
  ASSERT_TRUE(tell(report(R"({"a":1})")));
  EXPECT_EQ(s.twin().applied_version, 1u);
  log_in();
  EXPECT_TRUE(pushed.empty());
  // It has been told of a change only when it says so, though it lacks nothing.
  ASSERT_TRUE(tell(disconnect{"client"}));
  ASSERT_TRUE(tell(wish(R"({"a":null})")));
  log_in();
  ASSERT_EQ(pushed.size(), 1u);
  ASSERT_TRUE(tell(report("{}", 2)));
  EXPECT_EQ(s.twin().reported_version, 1u);
  log_in();
  EXPECT_TRUE(pushed.empty());
}

TEST_F(Twin, WhatIsReportedHasVersionsOfItsOwn) {
  ASSERT_TRUE(tell(wish(R"({"a":1})")));
  ASSERT_TRUE(tell(report(R"({"a":0,"x":{"y":1}})")));
  EXPECT_EQ(s.twin().reported_version, 1u);
  EXPECT_EQ(s.twin().applied_version, 0u);
  ASSERT_TRUE(tell(report(R"({"a":0})")));
  EXPECT_TRUE(happened.empty());
  ASSERT_TRUE(tell(report(R"({"x":null})", 1)));
  EXPECT_EQ(reported(), R"({"a":0})");
  EXPECT_EQ(s.twin().applied_version, 1u) << "it has looked at it, and does otherwise";
  EXPECT_EQ(delta(), R"({"a":1})");
  auto whole = report(R"({"z":1})");
  whole.replace = true;
  ASSERT_TRUE(tell(whole));
  EXPECT_EQ(reported(), R"({"z":1})");
  EXPECT_EQ(reason(report("{}", 2)), "format_error");
  const auto told = tell(read_twin{});
  ASSERT_TRUE(told);
  EXPECT_EQ(std::get<twin_status>(*told).what, s.twin());
}

TEST_F(Twin, AttributesOfTheModelAreTyped) {
  EXPECT_EQ(reason(wish(R"({"zone":"A","free":{"anything":[1]}})")), "granted");
  EXPECT_EQ(reason(wish(R"({"zone":{}})")), "model_validate_failed");
  EXPECT_EQ(reason(wish(R"({"zone":"too long"})")), "model_validate_failed");
  EXPECT_NE(reason(wish(R"({"serial":"A"})")), "granted") << "the device alone writes it";
  EXPECT_EQ(reason(wish(R"({"rated":5})")), "granted");
  EXPECT_EQ(reason(report(R"({"serial":"A","zone":"B"})")), "granted");
  EXPECT_EQ(reason(report(R"({"serial":[]})")), "model_validate_failed");
  product.model = nullptr;
  EXPECT_EQ(reason(wish(R"({"zone":{}})")), "granted");
}

TEST_F(Twin, DocumentsHaveLimits) {
  const auto text = [](std::size_t bytes) {
    return R"({"a":")" + std::string(bytes - 8, 'x') + R"("})";
  };
  EXPECT_EQ(reason(wish(text(max_twin_bytes + 1))), "twin_too_large");
  EXPECT_EQ(reason(report(text(max_twin_bytes + 1))), "twin_too_large");
  EXPECT_EQ(reason(wish(text(max_twin_bytes))), "granted");
  EXPECT_EQ(reason(wish(R"({"b":1})")), "twin_too_large") << "together with what is there";
  EXPECT_EQ(desired().size(), max_twin_bytes);
  const auto nested = [](std::size_t depth) {
    auto out = std::string{"1"};
    for (; depth > 0; --depth)
      out = R"({"a":)" + out + "}";
    return out;
  };
  EXPECT_EQ(reason(wish(nested(max_twin_depth), true)), "granted");
  EXPECT_EQ(reason(wish(nested(max_twin_depth + 1), true)), "twin_too_deep");
  EXPECT_EQ(reason(report(nested(max_twin_depth + 1))), "twin_too_deep");
}

TEST_F(Twin, GoesWithItsDevice) {
  ASSERT_TRUE(tell(wish(R"({"a":1})")));
  ASSERT_TRUE(tell(remove_device{}));
  EXPECT_TRUE(s.twin().empty());
}

}  // namespace
}  // namespace orrery::model::device
