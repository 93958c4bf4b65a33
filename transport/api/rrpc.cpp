// Free bytes to a device that is there, and its answer, in one call.
#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using state_code = device::command_record::state_code;

/// As base64 they are longer; how many bytes it may be the device's rules say.
constexpr auto most_text = 2 * device::max_rrpc_bytes;

/// As the log has the call when it is over, or nobody waits for it any longer.
void answer_call(const exchange_ptr& e, const model::entity_id& of,
                 const device::command_record& c) {
  const auto name = to_string(of) + "-" + to_string(c.id);
  if (c.state == state_code::succeeded && c.output.is_object()) {
    auto o = model::object{{"command", name}};
    for (const auto& member : c.output.as_object())
      o.push_back(member);
    return e->reply(200, std::move(o));
  }
  if (c.state != state_code::failed && c.state != state_code::cancelled)
    return e->fail(
        {errc::timeout, "device_timeout", "the device did not answer in time; command " + name});
  e->fail({errc::conflict, c.code == 0 ? "device_offline" : "rrpc_failed",
           c.message + "; command " + name});
}

void look_up(const exchange_ptr& e, const model::entity_id& of, const model::entity_id& command) {
  e->parts().query->command({of, command}, [e, of, command](
                                               const model::result<
                                                   std::optional<device::command_record>>& found) {
    if (!found)
      return e->fail(found.error());
    if (!*found)
      return e->fail({errc::internal, "", "command " + to_string(command) + " is not in the log"});
    answer_call(e, of, **found);
  });
}

void call(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto c = device::command_record{};
  c.type = device::command_record::form::rrpc;
  c.actor = e->who.actor;
  c.timeout = std::chrono::seconds{f.integer("timeout", 1, 60).value_or(30)};
  for (const auto* form : {"payload", "base64"})
    if (auto text = f.text(form, most_text))
      c.input.emplace_back(form, std::move(*text));
  if (!f.has("payload") && !f.has("base64"))
    f.missing("payload");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_device([e, c = std::move(c)](const found_device& d) mutable {
    c.id = model::make_entity_id(d.id.shard, e->parts().now(), model::random_entropy());
    // Two seconds for the way to the device's shard, and for the log.
    const auto waiter = c.waiter = e->parts().ask->expect_command(
        c.timeout + std::chrono::seconds{2},
        [e, of = d.id, command = c.id](bool) { look_up(e, of, command); });
    e->parts().ask->ask(d.id, device_order(*e, device::send_command{std::move(c)}),
                        [e, waiter](const actors::answer& got) {
                          if (got)
                            return;  // its end is the answer
                          e->parts().ask->forget(waiter);
                          e->fail(got.error());
                        });
  });
}

}  // namespace

std::vector<route> rrpc_routes() {
  return {{"POST", "@d:rrpc", "device:control", call, "callDevice",
           "Send free bytes to a device that is on-line, and wait for its answer", "RrpcCall",
           "RrpcAnswer", 200, ""}};
}

}  // namespace orrery::transport::api
