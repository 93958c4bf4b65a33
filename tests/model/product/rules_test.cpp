#include <gtest/gtest.h>

#include "model/product/product.hpp"

namespace orrery::model::product {
namespace {

const auto now = from_ms(1'700'000'000'000);

result<state> tell(state s, order what, std::size_t devices = 0) {
  auto d = decide(s, {std::move(what), "a", {}}, {entity_id{}, now, devices});
  if (!d)
    return d.error();
  for (const auto& e : d->events) {
    apply(s, e);
    const auto again = decode_events(encode_events({e}));
    EXPECT_TRUE(again);
  }
  return s;
}

create_product meter() {
  auto c = create_product{};
  c.product_key = "meter";
  c.organisation = "org";
  c.name = "Meter";
  c.model = "Meter";
  return c;
}

TEST(Product, IsMadeOnce) {
  const auto made = tell({}, meter());
  ASSERT_TRUE(made);
  EXPECT_EQ(tell(*made, meter()).error().reason, "product_exists");
  auto bad = meter();
  bad.product_key = "a b";
  EXPECT_EQ(tell({}, bad).error().reason, "product_key_invalid");
  bad = meter();
  bad.sign_methods = 0;
  EXPECT_EQ(tell({}, bad).error().reason, "sign_methods_invalid");
}

TEST(Product, ChangesOnlyWhatIsGiven) {
  auto u = update_product{};
  u.name = "Other";
  u.tags["site"] = "A";
  u.mode = std::optional{validation::lenient};
  auto s = tell(*tell({}, meter()), u);
  ASSERT_TRUE(s);
  EXPECT_EQ(s->name, "Other");
  EXPECT_EQ(s->model, "Meter");
  EXPECT_EQ(s->mode, validation::lenient);
  u = {};
  u.tags["site"] = std::nullopt;
  u.mode = std::optional<validation>{};
  s = tell(*s, u);
  EXPECT_TRUE(s->tags.empty());
  EXPECT_FALSE(s->mode);
}

TEST(Product, IsNotRemovedWhileItHasDevices) {
  const auto s = *tell({}, meter());
  EXPECT_EQ(tell(s, remove_product{}, 1).error().reason, "product_has_devices");
  const auto gone = tell(s, remove_product{});
  ASSERT_TRUE(gone);
  EXPECT_FALSE(gone->exists);
  EXPECT_EQ(tell(*gone, read_product{}).error().code, errc::not_found);
  EXPECT_TRUE(tell(*gone, meter()));
}

TEST(Product, HasAScriptIfItsDataIsRaw) {
  EXPECT_EQ(tell(*tell({}, meter()), set_script{"x"}).error().reason, "format_not_raw");
  auto raw = meter();
  raw.format = data_format::raw;
  const auto made = *tell({}, raw);
  EXPECT_EQ(tell({}, set_script{"x"}).error().reason, "product_unknown");
  EXPECT_EQ(tell(made, remove_script{}).error().reason, "script_unknown");
  EXPECT_EQ(tell(made, set_script{""}).error().reason, "script_error");
  const auto most = std::string(max_script_bytes, 'x');
  EXPECT_EQ(tell(made, set_script{most + "x"}).error().code, errc::too_large);
  const auto set = tell(made, set_script{most});
  ASSERT_TRUE(set);
  EXPECT_EQ(*set->script, most);
  EXPECT_EQ(set->revision, made.revision + 1);
  EXPECT_EQ(*tell(*set, set_script{"y"})->script, "y");
  EXPECT_EQ(*tell(*tell(*set, remove_script{}), update_product{})->script, "");
  EXPECT_EQ(*tell(*tell(*set, remove_product{}), raw)->script, "") << "a product anew";
}

TEST(Product, StateSurvivesItsBytes) {
  auto made = meter();
  made.format = data_format::raw;
  const auto s = *tell(*tell({}, made), set_script{"text"});
  const auto bytes = encode_state(s, 3);
  auto again = state{};
  ASSERT_TRUE(decode_state(bytes, again));
  EXPECT_EQ(encode_state(again, 3), bytes);
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    auto cut = state{};
    EXPECT_FALSE(decode_state(std::string_view{bytes}.substr(0, n), cut));
  }
}

}  // namespace
}  // namespace orrery::model::product
