// Service calls and point writes, and their log (group I of the API).
#include <algorithm>

#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
using model::errc;
using form = device::command_record::form;
using state_code = device::command_record::state_code;

bool is_final(state_code s) {
  return s != state_code::queued && s != state_code::sent;
}

/// How long a call may hold its connection, whatever the command may wait.
constexpr auto longest_wait = std::chrono::seconds{120};

/// The answer to a waiting call: the command as the log has it, ended or (in time or not) not.
void answer_waiting(const exchange_ptr& e, const model::entity_id& device,
                    const model::entity_id& command) {
  e->parts().query->command({device, command}, [e, device,
                                                command](model::result<
                                                         std::optional<device::command_record>>
                                                             found) {
    if (!found)
      return e->fail(found.error());
    if (!*found)
      return e->fail({errc::internal, "", "command " + to_string(command) + " is not in the log"});
    const auto& c = **found;
    if (c.state == state_code::queued && c.pending_ttl.count() > 0)
      return e->reply(202, show_command(*e, device, c));
    if (!is_final(c.state) || c.state == state_code::timed_out)
      return e->fail({errc::timeout, "device_timeout",
                      "the device did not answer in time; command " + to_string(device) + "-" +
                          to_string(command)});
    e->reply(200, show_command(*e, device, c));
  });
}

/// What a path names is looked for before what is said about it is read.
bool has_point(const exchange& e, const found_device& d, const std::string& point) {
  const auto product = e.product_of(*d.state);
  return !product || !product->view.model || product->view.model->find_point(point);
}

/// Reads the command's fields; `input` is made by the caller.
void send(const exchange_ptr& e, form type, std::string element, model::object input, fields& f) {
  auto c = device::command_record{};
  c.timeout = std::chrono::seconds{f.integer("timeout", 1, 60).value_or(30)};
  c.pending_ttl = std::chrono::seconds{f.integer("pendingTtl", 0, 172'800).value_or(0)};
  const auto mode =
      f.word("mode", {"wait", "async"}).value_or(c.pending_ttl.count() == 0 ? "wait" : "async");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  c.type = type;
  c.element = std::move(element);
  c.input = std::move(input);
  c.actor = e->who.actor;
  e->with_device([e, c = std::move(c), wait = mode == "wait"](const found_device& d) mutable {
    if (const auto& point = e->param("point"); !point.empty() && !has_point(*e, d, point))
      return e->fail({errc::not_found, "element_unknown",
                      "the model of " + d.state->name().product_key + " has no point " + point});
    c.id = model::make_entity_id(d.id.shard, e->parts().now(), model::random_entropy());
    const auto id = d.id;
    if (wait)
      c.waiter = e->parts().ask->expect_command(
          std::min<model::milliseconds>(c.timeout + c.pending_ttl + std::chrono::seconds{2},
                                        longest_wait),
          [e, id, command = c.id](bool) { answer_waiting(e, id, command); });
    const auto waiter = c.waiter;
    e->parts().ask->ask(
        id, device_order(*e, device::send_command{std::move(c)}),
        [e, id, wait, waiter](const actors::answer& got) {
          if (!got) {
            e->fail(got.error());
            if (wait)
              e->parts().ask->forget(waiter);
            return;
          }
          if (!wait)
            e->reply(202, show_command(*e, id, device_reply<device::command_accepted>(*got)->what),
                     exchange::revision_headers(*got));
        });
  });
}

void invoke(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto input = f.object("input").value_or(model::object{});
  send(e, form::service, e->param("service"), std::move(input), f);
}

void set_point(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto* v = f.any("value");
  if (!v)
    f.missing("value");
  send(e, form::points, "", v ? model::object{{e->param("point"), *v}} : model::object{}, f);
}

void set_points(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto points = f.object("points");
  if (!points || points->empty())
    f.missing("points");
  send(e, form::points, "", points.value_or(model::object{}), f);
}

/// Asks the device itself for values, which are no telemetry.
void read_points(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto points = f.texts("points", 1000);
  if (!points || points->empty())
    f.missing("points");
  auto input = model::object{};
  if (points)
    for (const auto& p : *points)
      model::set_member(input, p, nullptr);
  send(e, form::read, "", std::move(input), f);
}

void list(const exchange_ptr& e) {
  const auto limit = e->limit();
  const auto cursor = e->cursor();
  for (const auto* why : {limit ? nullptr : &limit.error(), cursor ? nullptr : &cursor.error()})
    if (why)
      return e->fail(*why);
  e->with_device([e, limit = *limit, cursor = *cursor](const found_device& d) {
    e->parts().query->commands({d.id, cursor, limit},
                               [e, id = d.id](model::result<actors::command_page> page) {
                                 if (!page)
                                   return e->fail(page.error());
                                 auto items = model::array{};
                                 for (const auto& c : page->commands)
                                   items.push_back(show_command(*e, id, c));
                                 e->reply_page(std::move(items), page->next);
                               });
  });
}

/// "<assetId>-<command id>" -> both; the asset becomes the exchange's device.
std::optional<model::entity_id> read_id(const exchange_ptr& e) {
  const auto& text = e->param("command");
  const auto dash = text.find('-');
  const auto id = dash == std::string::npos
                      ? std::nullopt
                      : model::parse_entity_id(std::string_view{text}.substr(dash + 1));
  if (!id) {
    e->fail({errc::not_found, "command_unknown", "no such command"});
    return std::nullopt;
  }
  e->params.emplace_back("asset", text.substr(0, dash));
  return id;
}

/// Hands on the device and the command of the route's id.
void with_command(
    const exchange_ptr& e,
    std::function<void(const model::entity_id& device, const device::command_record&)> then) {
  const auto command = read_id(e);
  if (!command)
    return;
  e->with_device([e, command = *command, then = std::move(then)](const found_device& d) {
    e->parts().query->command(
        {d.id, command},
        [e, id = d.id, then](model::result<std::optional<device::command_record>> found) {
          if (!found)
            return e->fail(found.error());
          if (!*found)
            return e->fail({errc::not_found, "command_unknown", "no such command"});
          then(id, **found);
        });
  });
}

void get(const exchange_ptr& e) {
  with_command(e, [e](const model::entity_id& device, const device::command_record& c) {
    e->reply_one(show_command(*e, device, c));
  });
}

void cancel_some(const exchange_ptr& e, const model::entity_id& device,
                 std::optional<model::entity_id> which) {
  e->ask(device, device_order(*e, device::cancel_commands{which}),
         [e, device](const actors::outcome& done) {
           auto ids = model::array{};
           for (const auto& c : device_reply<device::commands_cancelled>(done)->ids)
             ids.emplace_back(to_string(device) + "-" + to_string(c));
           e->reply(200, model::object{{"cancelled", std::move(ids)}},
                    exchange::revision_headers(done));
         });
}

void cancel(const exchange_ptr& e) {
  with_command(e, [e](const model::entity_id& device, const device::command_record& c) {
    cancel_some(e, device, c.id);
  });
}
void cancel_queued(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) { cancel_some(e, d.id, std::nullopt); });
}

}  // namespace

std::vector<route> command_routes() {
  return {
      {"POST", "@d/services/{service}:invoke", "device:control", invoke, "invokeService",
       "Call a service; waits for the device's answer, or queues with mode async (202)", "Invoke",
       "Command", 200, ""},
      {"POST", "@d/points/{point}:set", "device:control", set_point, "setPoint", "Write a point",
       "SetPoint", "Command", 200, ""},
      {"POST", "@d/points:set", "device:control", set_points, "setPoints",
       "Write several points in one command", "SetPoints", "Command", 200, ""},
      {"POST", "@d/points:read", "device:control", read_points, "readPoints",
       "Ask the device itself for values of points", "ReadPoints", "Command", 200, ""},
      {"GET", "@d/commands", "device:read", list, "listCommands", "Commands, newest first", "",
       "CommandList", 200, "limit cursor"},
      {"GET", "~/commands/{command}", "device:read", get, "getCommand", "A command", "", "Command",
       200, ""},
      {"POST", "~/commands/{command}:cancel", "device:control", cancel, "cancelCommand",
       "Cancel a command that waits", "", "Cancelled", 200, ""},
      {"POST", "@d/commands:cancelQueued", "device:control", cancel_queued, "cancelQueued",
       "Cancel all commands that wait", "", "Cancelled", 200, ""},
  };
}

}  // namespace orrery::transport::api
