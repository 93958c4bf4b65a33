// A device goes over to another organisation: what goes with it, and what has to end before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/device/device.hpp"
#include "model/json.hpp"

namespace orrery::model::device {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

const auto noon = from_ms(1'700'000'000'000);

entity_id id_of(std::uint8_t n) {
  return {n, {1, n}};
}

class Emigration : public testing::Test {
 protected:
  Emigration() {
    product.exists = true;
    product.model = std::make_shared<const thing_model>(*thing_model::compile(*parse_json(
        R"({"format": "tm/1", "id": "m", "name": "m", "services": [{"id": "do", "name": "Do"}]})")));
    auto r = register_device{};
    r.name = {"pk", "dk"};
    r.organisation = "here";
    r.tags = {{"site", "n"}};
    r.secret = keys.seal("secret", secret_owner(r.name));
    EXPECT_EQ(tell(r), "");
  }
  std::string_view tell(order what) {
    told.clear();
    auto d = decide(s, {std::move(what), {}, "user:a", {}}, {id, noon, product, keys, 3});
    if (!d)
      return d.error().reason;
    for (const auto& e : d->events) {
      const auto bytes = encode_events({e});
      const auto again = decode_events(bytes);
      EXPECT_TRUE(again && encode_events(*again) == bytes);
      apply(s, e);
      told.push_back(e);
    }
    auto kept = state{};
    EXPECT_TRUE(decode_state(encode_state(s, 1), kept));
    EXPECT_EQ(kept.organisation(), s.organisation());
    return "";
  }
  emigrate_device to_there() const {
    auto e = emigrate_device{};
    e.to.name = {"theirs", "dk"};
    e.to.alias = id_of(2);
    e.to.secret = keys.seal("new", secret_owner(e.to.name));
    e.organisation = "there";
    return e;
  }
  template <class E>
  std::size_t count() const {
    return static_cast<std::size_t>(std::count_if(
        told.begin(), told.end(), [](const auto& e) { return std::holds_alternative<E>(e); }));
  }
  void queue_command(std::uint8_t n, milliseconds ttl) {
    auto c = send_command{};
    c.what.id = id_of(n);
    c.what.element = "do";
    c.what.pending_ttl = ttl;
    ASSERT_EQ(tell(c), "");
  }
  void log_in() {
    auto c = connect{};
    c.proof = {"dk", "1", sign_method::sha256,
               sign_login(s.name(), "dk", "1", sign_method::sha256, "secret")};
    c.session = {7, 1, 0};
    ASSERT_EQ(tell(c), "");
  }

  keyring keys{{1, 2, 3}};
  product_view product;
  entity_id id = id_of(1);
  state s;
  std::vector<event> told;
};

TEST_F(Emigration, TakesWhatTheDeviceIsAndGivesItAnotherSecret) {
  EXPECT_EQ(tell(to_there()), "");
  EXPECT_EQ(s.organisation(), "there");
  EXPECT_EQ(s.name(), (device_name{"theirs", "dk"}));
  EXPECT_EQ(keys.open(s.secret, secret_owner(s.name())), "new");
  EXPECT_THAT(*s.tags, ElementsAre(std::pair{"site", "n"}));
  EXPECT_EQ(s.renaming().renames, 1u);
  EXPECT_EQ(s.renaming().former_name, (device_name{"pk", "dk"}));
  EXPECT_EQ(tell(to_there()), "") << "asked again after an answer that was lost";
  EXPECT_THAT(told, IsEmpty());
}

TEST_F(Emigration, LeavesNothingOfTheOrganisationBehind) {
  log_in();
  queue_command(10, 1h);
  queue_command(11, 1h);
  auto groups = change_groups{};
  groups.add = {"g1"};
  ASSERT_EQ(tell(groups), "");
  ASSERT_EQ(tell(override_status{status_override::status_code::offline, noon + 1h}), "");
  auto offer = offer_upgrade{};
  offer.job = "job";
  offer.image = {"f1", "2", digest_method::md5, std::string(32, 'a'), "https://h/2.bin", 1000};
  offer.unknown_version = true;
  ASSERT_EQ(tell(offer), "");
  EXPECT_EQ(tell(to_there()), "");
  EXPECT_TRUE(s.commands->empty());
  EXPECT_EQ(count<command_finished>(), 2u) << "each once";
  EXPECT_THAT(s.groups(), IsEmpty());
  EXPECT_TRUE(s.shown().empty());
  EXPECT_FALSE(s.connection.online);
  ASSERT_TRUE(s.firmware().task);
  EXPECT_EQ(s.firmware().task->state, upgrade_task::state_code::cancelled);
  EXPECT_TRUE(std::holds_alternative<emigrated>(told.back())) << "all else was before";
  const auto effects = device::effects(s, told.back());
  EXPECT_THAT(effects, IsEmpty());
}

TEST_F(Emigration, OfWhatOthersHangOnIsRefused) {
  auto bound = bind_gateway{};
  bound.gateway = {id_of(5), {"hubs", "hub"}};
  bound.organisation = "here";
  ASSERT_EQ(tell(bound), "");
  EXPECT_EQ(tell(to_there()), "device_in_use");
  ASSERT_EQ(tell(unbind_gateway{.gateway = id_of(5)}), "");
  EXPECT_EQ(tell(to_there()), "");
}

TEST_F(Emigration, OfAGatewayWithSubDevicesIsRefused) {
  product.gateway = true;
  auto subs = change_sub_devices{};
  subs.changes[{"pk", "sub"}] = id_of(6);
  ASSERT_EQ(tell(subs), "");
  EXPECT_EQ(tell(to_there()), "device_in_use");
  EXPECT_EQ(s.organisation(), "here");
}

TEST_F(Emigration, OfMirrorsIsRefused) {
  s.family.edit().mirrored = mirroring{id_of(8), {}, noon};
  EXPECT_EQ(tell(to_there()), "device_mirror");
  s.family.edit().mirrored = {};
  s.family.edit().mirrors = std::vector{mirror_link{id_of(9), {"pk", "m"}, {}}};
  EXPECT_EQ(tell(to_there()), "device_mirror");
}

TEST_F(Emigration, ComesTooLateIfTheDeviceWasRenamedMeanwhile) {
  s.family.edit().renaming.edit().renames = 1;
  EXPECT_EQ(tell(to_there()), "rename_conflict");
  product.exists = false;
  auto again = to_there();
  again.to.renames = 1;
  EXPECT_EQ(tell(again), "product_unknown");
  EXPECT_EQ(s.organisation(), "here");
}

}  // namespace
}  // namespace orrery::model::device
