#include "transport/bans.hpp"

#include <gtest/gtest.h>

namespace orrery::transport {
namespace {

using namespace std::chrono_literals;
using model::organisation::ban;
using kind = ban::kind;

const auto now = model::from_ms(1'700'000'000'000);

class Bans : public testing::Test {
 protected:
  void organisation(const std::string& id, std::vector<ban> bans) {
    auto s = model::organisation::state{};
    s.exists = true;
    s.id = id;
    s.bans = std::move(bans);
    all.organisations[id] =
        std::make_shared<const actors::catalogue_organisation>(actors::catalogue_organisation{
            {}, std::make_shared<const model::organisation::state>(std::move(s))});
  }
  void product(const std::string& key, const std::string& of) {
    auto s = model::product::state{};
    s.product_key = key;
    s.organisation = of;
    auto p = actors::catalogue_product{};
    p.state = std::make_shared<const model::product::state>(std::move(s));
    all.products[key] = std::make_shared<const actors::catalogue_product>(std::move(p));
  }
  static ban of(kind what, std::string subject, std::optional<model::timestamp> until = {}) {
    auto b = ban{};
    b.what = what;
    b.subject = std::move(subject);
    b.until = until;
    return b;
  }

  actors::catalogue_snapshot all;
};

TEST_F(Bans, AreThoseThatHold) {
  product("pk", "a");
  organisation("a", {of(kind::device, "pk/dk", now + 1h), of(kind::product, "pk"),
                     of(kind::device, "pk/past", now)});
  EXPECT_EQ(bans_of(all, now), (std::vector<login_ban>{{"", "pk", "", model::timestamp::max()},
                                                       {"dk", "pk", "", now + 1h}}));
}

TEST_F(Bans, ASuspendedOrganisationIsOutAltogether) {
  organisation("a", {});
  organisation("b", {});
  auto s = *all.organisations["b"]->state;
  s.is_suspended = true;
  all.organisations["b"] =
      std::make_shared<const actors::catalogue_organisation>(actors::catalogue_organisation{
          {}, std::make_shared<const model::organisation::state>(std::move(s))});
  auto expected = login_ban{};
  expected.organisation = "b";
  expected.until = model::timestamp::max();
  EXPECT_EQ(bans_of(all, now), std::vector<login_ban>{expected});
}

TEST_F(Bans, NobodyBansWhatIsOfOthers) {
  product("pk", "a");
  organisation("b", {of(kind::device, "pk/dk"), of(kind::product, "pk"), of(kind::product, "gone"),
                     of(kind::device, "")});
  EXPECT_TRUE(bans_of(all, now).empty());
}

TEST_F(Bans, AddressesAndCertificatesAreOfTheOrganisationOrOfAll) {
  const auto ever = model::timestamp::max();
  const auto print = std::string(64, 'a');
  organisation("a", {of(kind::address, "10.0.0.0/8"), of(kind::certificate, print)});
  EXPECT_EQ(bans_of(all, now), (std::vector<login_ban>{{"", "", "", ever, print, "a"},
                                                       {"", "", "10.0.0.0/8", ever, "", "a"}}));
  organisation("default", {of(kind::address, "10.0.0.1"), of(kind::certificate, print)});
  EXPECT_EQ(bans_of(all, now),  // those for everybody come first
            (std::vector<login_ban>{{"", "", "", ever, print, ""},
                                    {"", "", "10.0.0.1", ever, "", ""},
                                    {"", "", "", ever, print, "a"},
                                    {"", "", "10.0.0.0/8", ever, "", "a"}}));
}

}  // namespace
}  // namespace orrery::transport
