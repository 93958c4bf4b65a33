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

firmware image(const std::string& version) {
  auto f = firmware{};
  f.image = {"f" + version,          version, digest_method::sha256, std::string(64, 'a'),
             "https://h/" + version, 1000};
  f.name = "Release " + version;
  return f;
}

TEST(Product, FirmwaresAreToldByVersionAndName) {
  const auto made = *tell({}, meter());
  EXPECT_EQ(tell({}, add_firmware{image("2")}).error().reason, "product_unknown");
  const auto s = tell(made, add_firmware{image("2")});
  ASSERT_TRUE(s);
  ASSERT_TRUE(s->find_firmware("f2"));
  EXPECT_EQ(s->find_firmware("f2")->created_at, now);
  auto other = image("2");
  EXPECT_EQ(tell(*s, add_firmware{other}).error().reason, "key_exists");
  other.image.id = "other";
  EXPECT_EQ(tell(*s, add_firmware{other}).error().reason, "version_exists");
  other.image.version = "3";
  EXPECT_EQ(tell(*s, add_firmware{other}).error().reason, "name_exists");
  other.name = "";
  EXPECT_EQ(tell(*s, add_firmware{other}).error().reason, "name_invalid");
  EXPECT_EQ(tell(*s, remove_firmware{"f3"}).error().reason, "firmware_unknown");
  EXPECT_FALSE(tell(*s, remove_firmware{"f2"})->find_firmware("f2"));
  EXPECT_TRUE(tell(*tell(*s, remove_product{}), meter())->firmwares->empty()) << "a product anew";
}

TEST(Product, AFirmwareIsWhatDevicesCanUse) {
  const auto made = *tell({}, meter());
  const auto why = [&](auto change) {
    auto f = image("2");
    change(f.image);
    const auto got = tell(made, add_firmware{f});
    return got ? std::string{} : got.error().problems.empty() ? "?" : got.error().problems[0].where;
  };
  EXPECT_EQ(why([](auto&) {}), "");
  EXPECT_EQ(why([](auto& i) { i.version = ""; }), "version");
  EXPECT_EQ(why([](auto& i) { i.version = "a b"; }), "version");
  EXPECT_EQ(why([](auto& i) { i.version = std::string(65, '1'); }), "version");
  EXPECT_EQ(why([](auto& i) { i.sign = std::string(32, 'a'); }), "sign");
  EXPECT_EQ(why([](auto& i) { i.sign = std::string(64, 'g'); }), "sign");
  EXPECT_EQ(why([](auto& i) { i.method = digest_method::md5; }), "sign");
  EXPECT_EQ(why([](auto& i) { i.url = "file:///x"; }), "url");
  EXPECT_EQ(why([](auto& i) { i.url = "https://"; }), "url");
  EXPECT_EQ(why([](auto& i) { i.url = "https://h/a b"; }), "url");
  EXPECT_EQ(why([](auto& i) { i.url = "https://" + std::string(2048, 'h'); }), "url");
  EXPECT_EQ(why([](auto& i) { i.size = 0; }), "size");
  EXPECT_EQ(why([](auto& i) { i.size = std::int64_t{1} << 31; }), "size");
}

TEST(Product, HasSoManyFirmwares) {
  auto s = *tell({}, meter());
  for (std::size_t i = 0; i < max_firmwares; ++i)
    s = *tell(std::move(s), add_firmware{image(std::to_string(i))});
  EXPECT_EQ(tell(s, add_firmware{image("more")}).error().reason, "quota_exceeded");
}

add_job job(const std::string& id, std::size_t devices = 2) {
  auto j = add_job{"f2", {}};
  j.what.id = id;
  for (std::size_t i = 0; i < devices; ++i)
    j.what.targets.push_back({"d" + std::to_string(i)});
  return j;
}

TEST(Product, JobsKeepTheirFirmwareAndWhatWasSaidToThem) {
  const auto made = *tell(*tell({}, meter()), add_firmware{image("2")});
  auto bad = job("j");
  bad.firmware = "f3";
  EXPECT_EQ(tell(made, bad).error().reason, "firmware_unknown");
  EXPECT_EQ(tell(made, job("j", 0)).error().reason, "array_size");
  EXPECT_EQ(tell(made, job("j", max_job_devices + 1)).error().reason, "array_size");
  bad = job("j");
  bad.what.targets[1].device_key = "d0";
  EXPECT_EQ(tell(made, bad).error().reason, "device_key_invalid");
  auto s = tell(made, job("j"));
  ASSERT_TRUE(s);
  EXPECT_EQ(tell(*s, job("j")).error().reason, "key_exists");
  s = tell(*s, remove_firmware{"f2"});
  ASSERT_TRUE(s->find_job("j"));
  EXPECT_EQ(s->find_job("j")->image, image("2").image);
  EXPECT_EQ(s->find_job("j")->created_at, now);
  s = tell(*s, note_offers{"j", {{"d1", offer_verdict::offered}, {"dx", offer_verdict::offered}}});
  EXPECT_EQ(s->find_job("j")->targets[0].verdict, offer_verdict::none);
  EXPECT_EQ(s->find_job("j")->targets[1].verdict, offer_verdict::offered);
  EXPECT_EQ(tell(*s, note_offers{"k", {}}).error().reason, "job_unknown");
  EXPECT_EQ(tell(*s, cancel_job{"k"}).error().reason, "job_unknown");
  s = tell(*s, cancel_job{"j"});
  EXPECT_EQ(s->find_job("j")->cancelled_at, now);
  EXPECT_EQ(tell(*s, cancel_job{"j"})->revision, s->revision) << "it was cancelled already";
}

TEST(Product, OldJobsMakeRoom) {
  auto s = *tell(*tell({}, meter()), add_firmware{image("2")});
  for (std::size_t i = 0; i <= max_jobs; ++i)
    s = *tell(std::move(s), job("j" + std::to_string(i)));
  EXPECT_EQ(s.jobs->size(), max_jobs);
  EXPECT_FALSE(s.find_job("j0"));
  EXPECT_TRUE(s.find_job("j1"));
  for (std::size_t i = 0; i <= max_kept_targets / max_job_devices; ++i)
    s = *tell(std::move(s), job("big" + std::to_string(i), max_job_devices));
  EXPECT_EQ(s.jobs->size(), max_kept_targets / max_job_devices);
  EXPECT_FALSE(s.find_job("big0"));
  EXPECT_TRUE(s.find_job("big1"));
}

TEST(Product, StateSurvivesItsBytes) {
  auto made = meter();
  made.format = data_format::raw;
  auto s = *tell(*tell({}, made), set_script{"text"});
  s = *tell(*tell(s, add_firmware{image("2")}), job("j"));
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
