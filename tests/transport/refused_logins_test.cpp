#include "transport/refused_logins.hpp"

#include <set>

#include <gtest/gtest.h>

#include "model/json.hpp"

namespace orrery::transport {
namespace {

using namespace std::chrono_literals;

class RefusedLogins : public testing::Test {
 protected:
  struct written {
    std::string organisation, id;
    model::value entry;
    std::string text(const char* name) const {
      const auto* v = entry.find(name);
      return v && v->is_string() ? v->as_string() : "";
    }
    std::int64_t count() const {
      const auto* v = entry.find("count");
      return v ? v->as_int() : 0;
    }
  };
  static refused_login of(std::string device, std::string organisation = "acme",
                          std::string address = "192.0.2.7") {
    return {std::move(organisation),
            "meter",
            std::move(device),
            std::move(address),
            model::errc::unauthenticated,
            "sign_check_failed"};
  }
  void tick(std::chrono::seconds by) {
    now += by;
    logins.look_after();
  }

  model::timestamp now = model::from_ms(1'700'000'000'000);
  std::vector<written> all;
  refused_logins logins{[this](std::string organisation, std::string id, model::object record) {
                          all.push_back({std::move(organisation), std::move(id), record});
                        },
                        [this] { return now; }};
};

TEST_F(RefusedLogins, TheFirstIsToldAtOnceAndANumberEachMinute) {
  logins.note(of("m1"));
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(model::to_json(all[0].entry),
            R"({"organisation":"acme","address":"192.0.2.7","requestId":")" + all[0].id +
                R"(","action":"deviceLogin","resource":{"kind":"device","id":"meter/m1"},)"
                R"("result":"refused","status":401,"reason":"sign_check_failed"})");
  for (int i = 0; i < 5; ++i)
    logins.note(of("m1"));
  tick(59s);
  EXPECT_EQ(all.size(), 1u);
  tick(1s);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].count(), 5);
  EXPECT_EQ(all[1].text("since"), "2023-11-14T22:13:20.000Z");
  EXPECT_NE(all[1].id, all[0].id);
  logins.note(of("m1"));
  EXPECT_EQ(all.size(), 2u) << "it goes on to be counted";
  tick(60s);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[2].count(), 1);
  tick(60s);
  EXPECT_EQ(all.size(), 3u);
  logins.note(of("m1"));
  EXPECT_EQ(all.size(), 4u) << "after a minute's rest it is told at once again";
}

TEST_F(RefusedLogins, EachSortIsCountedByItself) {
  auto banned = of("m1");
  banned.code = model::errc::forbidden;
  banned.reason = "device_banned";
  auto client = of("key:k1");
  client.product_key.clear();
  for (const auto& one :
       {of("m1"), of("m2"), of("m1", "acme", "192.0.2.8"), of("m1", "other"), banned, client})
    logins.note(one);
  ASSERT_EQ(all.size(), 6u);
  EXPECT_EQ(all[3].organisation, "other");
  EXPECT_EQ(all[4].entry.find("status")->as_int(), 403);
  EXPECT_EQ(model::to_json(*all[5].entry.find("resource")), R"({"kind":"client","id":"key:k1"})");
}

TEST_F(RefusedLogins, OfTooManySortsThereIsOneNumber) {
  for (std::size_t i = 0; i < refused_logins::max_sorts + 7; ++i)
    logins.note(of("m" + std::to_string(i)));
  EXPECT_EQ(all.size(), refused_logins::max_sorts);
  logins.note(of("m1", "other"));
  EXPECT_EQ(all.size(), refused_logins::max_sorts + 1) << "others are not hidden by that";
  tick(599s);
  EXPECT_EQ(all.size(), refused_logins::max_sorts + 1);
  tick(1s);
  ASSERT_EQ(all.size(), refused_logins::max_sorts + 2);
  EXPECT_EQ(all.back().text("action"), "manyDeviceLogins");
  EXPECT_EQ(all.back().count(), 7);
  EXPECT_EQ(all.back().entry.find("resource"), nullptr);
  EXPECT_EQ(all.back().entry.find("address"), nullptr);
}

TEST_F(RefusedLogins, StrangersDoNotFillALog) {
  auto number = 0;
  auto told = std::int64_t{0};
  for (int minute = 0; minute < 120; ++minute) {
    for (int i = 0; i < 500; ++i)
      logins.note(of("m" + std::to_string(++number)));
    tick(60s);
  }
  EXPECT_LE(all.size(), 3 * (refused_logins::max_records + 6));
  for (const auto& one : all)
    told += one.count() > 0 ? one.count() : 1;
  logins.flush();
  EXPECT_EQ(told, 120 * 500) << "none is forgotten";
}

TEST_F(RefusedLogins, NumbersAreWrittenWhenTheNodeStops) {
  logins.note(of("m1"));
  logins.note(of("m1"));
  logins.flush();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].count(), 1);
  logins.flush();
  EXPECT_EQ(all.size(), 2u);
}

TEST_F(RefusedLogins, WhatStrangersSayIsShortTextWithoutSecrets) {
  logins.note(of(std::string(10'000, 'x')));
  EXPECT_LT(model::to_json(all[0].entry).size(), 600u);
  logins.note(of("\xff\xfe"));
  EXPECT_TRUE(model::parse_json(model::to_json(all[1].entry)));
  logins.note(of("ork~acme~k1~Ab3dEfGh1jKlMn0pQrStUvWx"));
  EXPECT_EQ(model::to_json(all[2].entry).find("Ab3dEfGh1j"), std::string::npos);
}

TEST_F(RefusedLogins, SoManyOrganisationsAtMost) {
  for (std::size_t i = 0; i <= refused_logins::max_organisations; ++i)
    logins.note(of("m1", "o" + std::to_string(i)));
  EXPECT_EQ(all.size(), refused_logins::max_organisations);
  tick(3600s);
  logins.note(of("m1", "new"));
  EXPECT_EQ(all.size(), refused_logins::max_organisations + 1);
}

}  // namespace
}  // namespace orrery::transport
