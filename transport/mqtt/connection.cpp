#include "transport/mqtt/connection.hpp"

#include <algorithm>
#include <cstdlib>

#include "model/json.hpp"
#include "observe/log.hpp"
#include "transport/mqtt/errors.hpp"

namespace orrery::transport::mqtt {
namespace {

namespace log = observe::log;
using model::errc;
using model::failure;

constexpr std::size_t read_step = 64 * 1024, max_pending_out = 8 * 1024 * 1024;
constexpr auto hold_time = std::chrono::seconds{10};
constexpr auto no_expiry = ~std::uint32_t{0};

engine_limits limits_of(const config::settings::mqtt_section& s) {
  auto limits = engine_limits{};
  limits.max_packet_bytes = s.max_packet_bytes;
  limits.max_subscriptions = s.max_subscriptions;
  limits.max_queued = s.max_queued;
  limits.receive_maximum =
      static_cast<std::uint16_t>(std::clamp<std::uint64_t>(s.max_unsettled, 1, 65'535));
  return limits;
}

// One per thread: connections are read one after the other.
thread_local char scratch[read_step];

}  // namespace

connection::connection(std::shared_ptr<shared> with, std::shared_ptr<net::stream> bytes,
                       connection_permit permit)
    : with_{std::move(with)},
      stream_{std::move(bytes)},
      permit_{std::move(permit)},
      engine_{limits_of(with_->limits)},
      opened_{with_->now()} {
  with_->half_open.fetch_add(1);
}

connection::~connection() {
  if (half_open_)
    with_->half_open.fetch_sub(1);
}

void connection::start() {
  if (with_->half_open.load() > with_->max_half_open)
    return end("too_many_half_open");
  wait();
}

void connection::wait() {
  if (ended_ || waiting_ || busy())
    return;  // tick or the next answer looks again
  waiting_ = true;
  stream_->wait_readable([self = shared_from_this()] {
    self->waiting_ = false;
    self->on_readable();
  });
}

bool connection::busy() const {
  return login_number_ != 0 || open_.size() >= with_->limits.max_unsettled ||
         stream_->pending() > max_pending_out / 2 || (link_ && link_->must_wait());
}

void connection::on_readable() {
  if (ended_)
    return;
  const auto got = stream_->read(scratch, read_step);
  if (got.size > 0)
    consume({scratch, got.size});
  if (ended_)
    return;
  if (got.closed)
    return end("socket");
  wait();
}

void connection::consume(std::string_view fresh) {
  // What has come of a packet stays where it is until the rest is there: its bytes may come one by
  // one.
  const auto unfinished = !in_.empty();
  if (unfinished)
    in_.append(fresh);
  auto view = unfinished ? std::string_view{in_} : fresh;
  // While a login is checked nothing more is read from the packets that followed it.
  while (!ended_ && login_number_ == 0) {
    auto todo = engine_.step(view, with_->now());
    if (!todo)
      break;
    run(*todo);
  }
  if (ended_)
    return;
  if (view.empty())
    in_ = {};
  else if (!unfinished || view.size() < in_.size())
    in_ = std::string{view};
  send_asks();
  flush();
}

void connection::run(action& todo) {
  if (const auto* m = std::get_if<message>(&todo))
    take_message(*m);
  else if (const auto* c = std::get_if<login_wanted>(&todo))
    log_in(*c);
  else if (auto* s = std::get_if<subscribed>(&todo))
    take_subscriptions(*s);
  else if (const auto* d = std::get_if<delivered>(&todo)) {
    if (keeps_session_)
      ask_quietly(0, operation::delivered,
                  model::device::note_delivered{std::to_string(d->command)});
  } else if (const auto* o = std::get_if<over>(&todo)) {
    if (keeps_session_ && o->session_expiry == 0)
      ask_quietly(0, operation::subscriptions, model::device::change_subscriptions{{}, true});
    end(o->reason);
  }
}

void connection::refuse_login(const failure& why) {
  const auto is_five = engine_.version() == protocol::v5;
  const auto code = is_five ? connack_reason(why) : connack_code(why);
  const auto tells = why.code != errc::not_found && why.code != errc::unauthenticated;
  engine_.refuse(code, tells ? why.reason : "login_refused");  // a stranger is told no more
}

void connection::log_in(const login_wanted& wanted) {
  const auto& c = wanted.packet;
  auto parsed = parse_login(c.client_id, c.username, c.password);
  if (!parsed) {
    refuse_login(parsed.error());
    log::warn("mqtt.connection", "login refused",
              {{"address", stream_->peer()}, {"reason", parsed.error().reason}});
    return end(parsed.error().reason);
  }
  who_ = std::move(*parsed);
  const auto unsupported =
      who_.mode != secure_mode::device_secret || who_.payloads != compression::none;
  if (unsupported) {
    refuse_login({errc::forbidden, "login_form_not_supported", {}});
    return end("login_form_not_supported");
  }
  link_ =
      link::open(with_->link, net::wake_list::of(stream_->context()), [weak = weak_from_this()] {
        if (const auto self = weak.lock())
          self->on_inbox();
      });
  login_number_ = ++numbers_;
  auto how = model::device::connect{};
  how.proof = who_.proof;
  how.keeps_session = keeps_session_ = wanted.keeps_session;
  how.resumes = wanted.resumes;
  asked_expiry_ = c.with.session_expiry;
  how.protocol = model::device::protocol::mqtt;
  how.address = stream_->peer();
  how.secure = stream_->secure();
  link_->login(login_number_, who_.device, std::move(how));
}

void connection::settle_login(actors::settled& one) {
  login_number_ = 0;
  if (half_open_) {
    half_open_ = false;
    with_->half_open.fetch_sub(1);
  }
  if (!one.what) {
    refuse_login(one.what.error());
    log::warn("mqtt.connection", "login refused",
              {{"address", stream_->peer()},
               {"product", who_.device.product_key},
               {"device", who_.device.device_key},
               {"reason", one.what.error().reason}});
    return end(one.what.error().reason.empty() ? "login_failed" : one.what.error().reason);
  }
  auto resumed = std::optional<kept_session>{};
  if (auto* reply = std::get_if<model::device::reply>(&one.what->answer))
    if (auto* granted = std::get_if<model::device::connection_granted>(reply);
        granted && granted->resumed)
      resumed = kept_session{std::move(granted->subscriptions)};
  auto told = terms{};
  if (keeps_session_ && asked_expiry_ != no_expiry)
    told.session_expiry = no_expiry;  // what is kept is kept without end
  engine_.grant(with_->now(), std::move(resumed), told);
  who_.proof = {};
  log::debug("mqtt.connection", "open",
             {{"product", who_.device.product_key}, {"device", who_.device.device_key}});
  consume({});  // what came behind the CONNECT
}

void connection::take_message(const message& m) {
  const auto topic = classify(m.packet.topic, who_.device);
  if (topic.what == operation::command_reply) {
    auto done = read_command_reply(m.packet.payload);
    if (!done) {
      with_->messages(name_of(topic.what), done.error().reason).add();
      return engine_.settle(m.ticket);
    }
    auto asked = request{{}, model::device::order{std::move(*done)}, {}};
    return ask(m, topic, std::move(asked));
  }
  if (!topic.own || topic.what == operation::unknown) {
    auto asked = request{
        {},
        failure{errc::forbidden, "topic_forbidden", "publish to a topic without permission"},
        {}};
    if (auto json = model::parse_json(m.packet.payload); json && json->is_object())
      if (const auto* id = json->find("id"))
        asked.id = id->is_string() ? id->as_string() : model::to_json(*id);
    return refuse(m, topic, asked, asked.what.error());
  }
  auto asked = read_request(topic, m.packet.payload, who_.device);
  if (!asked.what)
    return refuse(m, topic, asked, asked.what.error());
  ask(m, topic, std::move(asked));
}

void connection::take_subscriptions(subscribed& s) {
  release_held();
  if (s.ticket != 0)
    ask_quietly(s.ticket, operation::subscriptions,
                model::device::change_subscriptions{std::move(s.changes)});
}

void connection::ask_quietly(std::uint64_t ticket, operation what, model::device::order order) {
  const auto number = ++numbers_;
  asks_.push_back({number, std::move(order)});
  open_.push_back({number, ticket, what, {}, {}, {}, {}, with_->now()});
}

void connection::ask(const message& m, const classified& topic, request asked) {
  const auto number = ++numbers_;
  asks_.push_back({number, std::move(*asked.what)});
  open_.push_back({number, m.ticket, topic.what,
                   topic.what == operation::command_reply ? std::string{}
                                                          : std::string{m.packet.topic} + "_reply",
                   std::move(asked.id), std::move(asked.ids),
                   std::min(m.packet.level, qos::at_least_once), with_->now()});
}

void connection::refuse(const message& m, const classified& topic, const request& asked,
                        const failure& why) {
  with_->messages(name_of(topic.what), why.reason).add();
  log::debug("mqtt.connection", "message refused",
             {{"device", who_.device.device_key}, {"reason", why.reason}, {"detail", why.detail}});
  if (topic.wants_reply)
    reply(std::string{m.packet.topic} + "_reply", asked.id,
          result_code(why, format_code(topic.what)), {}, why.detail,
          std::min(m.packet.level, qos::at_least_once));
  engine_.settle(m.ticket, puback_reason(why), why.reason);
}

void connection::reply(std::string_view topic, std::string_view id, int code,
                       const model::value& data, std::string_view text, qos level) {
  if (!engine_.send(topic, write_reply(id, code, data, text), level))
    engine_.send(topic, write_reply(id, code, data, text),
                 qos::at_most_once);  // it acknowledges nothing
}

void connection::on_inbox() {
  if (ended_ || !link_)
    return;
  auto inbox = link_->take();
  for (auto& one : inbox.answers) {
    if (ended_)
      return;
    if (one.number == login_number_ && login_number_ != 0)
      settle_login(one);
    else
      settle(one);
  }
  if (ended_)
    return;
  std::move(inbox.downlinks.begin(), inbox.downlinks.end(), std::back_inserter(early_));
  if (engine_.granted())
    for (const auto& d : std::exchange(early_, {}))
      deliver(d);
  send_asks();
  flush();
  if (inbox.close)
    return end(*inbox.close);
  wait();
}

void connection::settle(actors::settled& one) {
  if (open_.empty() || one.number < open_.front().number)
    return;
  const auto place =
      std::lower_bound(open_.begin(), open_.end(), one.number,
                       [](const open_request& r, std::uint64_t n) { return r.number < n; });
  if (place == open_.end() || place->number != one.number || place->settled)
    return;
  auto& r = *place;
  r.settled = true;
  if (one.what) {
    with_->messages(name_of(r.what), "ok").add();
    if (!r.topic.empty()) {
      const auto* answer = std::get_if<model::device::reply>(&one.what->answer);
      auto data = model::value{};
      if (answer) {
        const auto snapshot = r.what == operation::model_get ? with_->known->current() : nullptr;
        const auto* product = snapshot ? snapshot->product(who_.device.product_key) : nullptr;
        data = reply_data(r.what, r.ids, *answer, product ? product->view.model.get() : nullptr);
      }
      reply(r.topic, r.id, 200, data, {}, r.reply_level);
    }
    engine_.settle(r.ticket);
  } else {
    const auto& why = one.what.error();
    with_->messages(name_of(r.what), why.reason.empty() ? model::name_of(why.code) : why.reason)
        .add();
    auto text = why.detail;
    for (const auto& p : why.problems)
      text += "; " + p.where + ": " + p.detail;
    if (!r.topic.empty())
      reply(r.topic, r.id, result_code(why, format_code(r.what)), {}, clip(text, 1024),
            r.reply_level);
    if (is_ours(why)) {
      flush();
      return end("not_kept");  // no acknowledgement: the client sends it again
    }
    if (why.reason == "session_superseded")
      return end("taken_over");
    engine_.settle(r.ticket, puback_reason(why), why.reason);
  }
  while (!open_.empty() && open_.front().settled)
    open_.pop_front();
}

void connection::deliver(const model::downlink& d) {
  auto command = held_command{write_downlink(d), std::strtoull(d.id.c_str(), nullptr, 10),
                              d.repeated, with_->now()};
  const auto needs_filter = who_.addresses_itself_by_product || engine_.listens_to_commands();
  if (needs_filter && !engine_.listens_to(command.what.topic))
    held_.push_back(std::move(command));
  else
    send_command(command);
}

void connection::send_command(const held_command& c) {
  const auto sent = engine_.send_command(c.what.topic, c.what.payload, c.number, c.again);
  with_->messages("command", sent ? "sent" : "queue_full").add();
  if (sent == qos::at_most_once && keeps_session_)  // nobody will acknowledge it
    ask_quietly(0, operation::delivered, model::device::note_delivered{std::to_string(c.number)});
}

void connection::release_held() {
  const auto now = with_->now();
  while (!held_.empty() &&
         (engine_.listens_to(held_.front().what.topic) || now - held_.front().since >= hold_time)) {
    send_command(held_.front());
    held_.pop_front();
  }
}

void connection::send_asks() {
  if (asks_.empty() || !link_)
    return;
  link_->ask(std::move(asks_));
  asks_.clear();
}

void connection::flush() {
  if (engine_.out().empty())
    return;
  stream_->write(engine_.out());
  if (engine_.out().capacity() > 4096)
    engine_.out() = {};
  else
    engine_.out().clear();
  if (stream_->pending() > max_pending_out)
    end("slow_consumer");
}

void connection::tick(model::timestamp now) {
  if (ended_)
    return;
  if (const auto dead = engine_.tick(now))
    return end(dead->reason);
  if (!engine_.granted() && now - opened_ > with_->login_timeout)
    return end("login_timeout");
  if (!open_.empty() && now - open_.front().since > with_->limits.answer_timeout)
    return end("answer_timeout");
  if (!held_.empty()) {
    release_held();
    send_asks();
    flush();
  }
  wait();
}

void connection::end(std::string_view reason) {
  if (ended_)
    return;
  ended_ = true;
  if (half_open_) {
    half_open_ = false;
    with_->half_open.fetch_sub(1);
  }
  with_->closes(reason).add();
  send_asks();  // taken before the end: QoS 0 messages in front of a DISCONNECT count
  engine_.end(reason);
  if (!engine_.out().empty())
    stream_->write(engine_.out());
  if (link_)
    link_->closed(reason);
  stream_->finish();
  permit_.reset();
}

}  // namespace orrery::transport::mqtt
