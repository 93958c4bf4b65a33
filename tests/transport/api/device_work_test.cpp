// What an operation needs to be begun at all.
#include "transport/api/device_work.hpp"

#include <gtest/gtest.h>

namespace orrery::transport::api {
namespace {

namespace operation = model::operation;

const auto id = model::make_entity_id(1, model::from_ms(1'700'000'000'000), {1});

model::keyring keys_of(std::uint8_t first) {
  auto master = model::keyring::key_bytes{};
  master[0] = first;
  return model::keyring{master};
}

/// The reason why it is not begun; "" if it is.
std::string refusal(operation::work_kind kind, const std::string& request,
                    const model::sealed_secret& seed) {
  auto s = std::make_shared<operation::state>();
  s->kind = kind;
  s->request = request;
  s->seed = seed;
  auto parts = work_parts{};
  parts.keys = std::make_shared<const model::keyring>(keys_of(1));
  const auto made = device_work(parts)({id, s, {}});
  return made ? std::string{} : std::string{made.error().reason};
}

const auto good = keys_of(1).seal("seed", operation::seed_owner(id));
const auto foreign = keys_of(2).seal("seed", operation::seed_owner(id));

TEST(DeviceWork, MakesNoSecretsOfASeedThatIsLost) {
  using kind = operation::work_kind;
  for (const auto& seed : {foreign, model::sealed_secret{}}) {
    EXPECT_EQ(refusal(kind::import_devices, "{}", seed), "operation_seed_lost");
    EXPECT_EQ(refusal(kind::provision_devices, R"({"keys": "a{1..2}"})", seed),
              "operation_seed_lost");
    EXPECT_EQ(refusal(kind::bulk_devices, R"({"action": "resetSecret"})", seed),
              "operation_seed_lost");
    EXPECT_EQ(refusal(kind::bulk_devices, R"({"action": "tag"})", seed), "");
    EXPECT_EQ(refusal(kind::export_devices, "{}", seed), "");
  }
  EXPECT_EQ(refusal(kind::import_devices, "{}", good), "");
  EXPECT_EQ(refusal(kind::bulk_devices, R"({"action": "resetSecret"})", good), "");
}

TEST(DeviceWork, NeedsAReachThatCanBeRead) {
  using kind = operation::work_kind;
  EXPECT_EQ(refusal(kind::export_devices, R"({"reach": "nonsense ("})", good),
            "operation_reach_unreadable");
  EXPECT_EQ(refusal(kind::export_devices, R"({"reach": "productKey = 'a'"})", good), "");
}

}  // namespace
}  // namespace orrery::transport::api
