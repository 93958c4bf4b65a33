#include "transport/api/show.hpp"

#include "model/json.hpp"
#include "tests/transport/api/support.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;

class Show : public api_test {
 protected:
  Show() {
    state.exists = true;
    state.called = device::naming{{"pk", "dk"}, "org"};
    state.display_name = "Roof";
    state.created_at = state.updated_at = now;
    state.attributes = {{"serial", "A7"}};
    state.tags.edit() = {{"site", "A"}};
  }
  exchange ms() {
    auto r = http_request{};
    r.query.emplace_back("timeFormat", "ms");
    return {parts, std::make_shared<const http_request>(std::move(r)),
            responder{[](http_response) {}}, "r1"};
  }
  std::string text(const model::value& v, std::string_view member) {
    const auto* found = v.find(member);
    return found ? model::to_json(*found) : "";
  }
  device::state state;
  model::entity_id id = model::make_entity_id(3, now, {});
};

TEST_F(Show, ADeviceThatWasNeverThere) {
  const auto shown = show_device(ms(), id, state);
  EXPECT_EQ(text(shown, "assetId"), '"' + to_string(id) + '"');
  EXPECT_EQ(text(shown, "status"), "\"inactive\"");
  EXPECT_EQ(text(shown, "enabled"), "true");
  EXPECT_EQ(text(shown, "connection"), R"({"online":false})");
  EXPECT_EQ(text(shown, "attributes"), R"({"serial":"A7"})");
  EXPECT_EQ(text(shown, "tags"), R"({"site":"A"})");
  EXPECT_EQ(text(shown, "createdAt"), "1700000000000");
  for (const auto* none : {"activatedAt", "lastOnlineAt", "lastOfflineAt", "lastDataAt",
                           "adminReason", "deviceSecret", "secret"})
    EXPECT_EQ(text(shown, none), "") << none;
}

TEST_F(Show, AMirrorSaysWhatItShows) {
  EXPECT_EQ(text(show_device(ms(), id, state), "mirrorOf"), "");
  const auto source = model::make_entity_id(4, now, {});
  state.family.edit().mirrored = device::mirroring{source, {}, now};
  const auto shown = show_device(ms(), id, state);
  EXPECT_EQ(text(shown, "mirrorOf"), '"' + to_string(source) + '"');
  EXPECT_EQ(text(shown, "status"), "\"mirror\"");
}

TEST_F(Show, ADeviceThatIsThereAndOneThatIsGone) {
  state.activated_at = now;
  state.connection = {.online = true,
                      .secure = true,
                      .protocol = device::protocol::mqtt,
                      .session = {},
                      .address = "10.0.0.1",
                      .since = now,
                      .reason = {}};
  auto shown = show_status(ms(), id, state);
  EXPECT_EQ(text(shown, "status"), "\"online\"");
  EXPECT_EQ(text(shown, "connection"),
            R"({"online":true,"protocol":"mqtt","address":"10.0.0.1","secure":true,)"
            R"("since":1700000000000})");
  state.connection.online = false;
  state.connection.reason.edit() = "keep_alive";
  shown = show_status(ms(), id, state);
  EXPECT_EQ(text(shown, "status"), "\"offline\"");
  EXPECT_EQ(text(*shown.find("connection"), "reason"), "\"keep_alive\"");
  state.admin = device::admin_state::disabled;
  EXPECT_EQ(text(show_status(ms(), id, state), "status"), "\"disabled\"");
}

TEST_F(Show, ACommandInEveryState) {
  auto c = device::command_record{};
  c.id = id;
  c.element = "reboot";
  c.actor = "user:eve";
  c.created_at = now;
  using code = device::command_record::state_code;
  const auto names = std::map<code, std::string>{
      {code::queued, "queued"},    {code::cancelled, "cancelled"}, {code::expired, "expired"},
      {code::sent, "sent"},        {code::succeeded, "succeeded"}, {code::failed, "failed"},
      {code::timed_out, "timeout"}};
  for (const auto& [state_code, name] : names) {
    c.state = state_code;
    const auto shown = show_command(ms(), id, c);
    EXPECT_EQ(text(shown, "state"), '"' + name + '"');
    const auto answered = state_code == code::succeeded || state_code == code::failed;
    EXPECT_EQ(text(shown, "code"), answered ? "0" : "") << name;
  }
  c.late_reply = model::value{7};
  const auto shown = show_command(ms(), id, c);
  EXPECT_EQ(text(shown, "lateReply"), "7");
  EXPECT_EQ(text(shown, "id"), '"' + to_string(id) + "-" + to_string(id) + '"');
  c.type = device::command_record::form::points;
  EXPECT_EQ(text(show_command(ms(), id, c), "element"), "");
}

TEST_F(Show, NamesOfLevelsAndProtocols) {
  EXPECT_EQ(name_of_level(0), "info");
  EXPECT_EQ(name_of_level(2), "error");
  EXPECT_EQ(name_of_level(200), "info");
  EXPECT_EQ(name_of(device::protocol::none), "none");
  EXPECT_EQ(name_of(device::protocol::http), "http");
  EXPECT_EQ(name_of(device::protocol::coap), "coap");
}

}  // namespace
}  // namespace orrery::transport::api
