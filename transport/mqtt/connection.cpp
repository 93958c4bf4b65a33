#include "transport/mqtt/connection.hpp"

#include <algorithm>
#include <cstdlib>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "model/json.hpp"
#include "transport/mqtt/errors.hpp"
#include "transport/mqtt/params.hpp"
#include "transport/mqtt/raw.hpp"

namespace orrery::transport::mqtt {
namespace {

using model::errc;
using model::failure;

constexpr std::size_t read_step = 64 * 1024, max_pending_out = 8 * 1024 * 1024;
constexpr std::size_t max_plain_bytes = 524'288 + 1'024;  // of a packed payload
constexpr int script_failure = 11'810;  // of a command that could not be written in bytes
constexpr std::size_t max_reply_text = 1'024, max_open_parts = 10'000;
constexpr auto hold_time = std::chrono::seconds{10};

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

connection::connection(std::shared_ptr<shared> with, std::shared_ptr<net::byte_stream> bytes,
                       connection_permit permit)
    : with_{std::move(with)},
      stream_{std::move(bytes)},
      permit_{std::move(permit)},
      engine_{limits_of(with_->limits)},
      opened_{with_->now()} {
  with_->half_open.fetch_add(1);
}

connection::~connection() {
  if (goodbye_due_)
    say_goodbye();
  if (half_open_)
    with_->half_open.fetch_sub(1);
}

void connection::start() {
  if (with_->half_open.load() > with_->max_half_open)
    return end("too_many_half_open");
  if (const auto ok = with_->guard->admit_address(stream_->peer(), with_->now()); !ok) {
    with_->refused_logins(ok.error().reason).add();
    return end(ok.error().reason);  // before any TLS
  }
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
         (general_ && general_->open() >= with_->limits.max_unsettled) ||
         parts_.size() >= max_open_parts || stream_->pending() > max_pending_out / 2 ||
         (link_ && link_->must_wait());
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
  leave_if_settled();
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
  else if (const auto* r = std::get_if<received>(&todo)) {
    if (general_)
      general_->take(*r);
  } else if (const auto* done = std::get_if<mqtt::completed>(&todo)) {
    if (general_)
      general_->take(*done);
  } else if (const auto* c = std::get_if<login_wanted>(&todo))
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
    else if (keeps_session_ && o->session_expiry)
      ask_quietly(0, operation::subscriptions,
                  model::device::change_subscriptions{{}, false, kept_for(*o->session_expiry)});
    goodbye_.with_will = o->with_will;
    if (o->session_expiry)
      goodbye_.expiry = granted_expiry(*o->session_expiry, with_->limits.max_session_expiry);
    end(o->reason);
  }
}

void connection::subscription_done(std::uint64_t ticket) {
  if (const auto shared = shared_tickets_.find(ticket); shared != shared_tickets_.end()) {
    if (--shared->second > 0)
      return;
    shared_tickets_.erase(shared);
  }
  engine_.settle(ticket);
}

void connection::general_ends(std::string_view reason) {
  if (ended_)
    return;
  flush();
  end(reason);
}

void connection::general_later(model::milliseconds when, std::function<void()> what) {
  auto timer = std::make_shared<boost::asio::steady_timer>(stream_->context(), when);
  timer->async_wait([weak = weak_from_this(), what = std::move(what), timer](auto error) {
    if (const auto self = weak.lock(); self && !error && !self->ended_)
      what();
  });
}

connection::speaks_for connection::right_to(const classified& topic) const {
  if (!self_.channel && who_.device.device_key.empty())
    return speaks_for::nobody;  // a client of general topics alone
  if (self_.channel)
    return topic.tree == topic_tree::channel && topic.product_key == who_.device.product_key
               ? speaks_for::channel
               : speaks_for::nobody;
  if (topic.tree == topic_tree::channel || topic.tree == topic_tree::none)
    return speaks_for::nobody;
  if (topic.is_of(who_.device))
    return speaks_for::itself;
  const auto misplaced = topic.product_key == "session" &&
                         topic.device_key == who_.device.product_key &&
                         topic.what == operation::notice_reply;
  if (misplaced)
    return speaks_for::itself;
  // Whether that one is a sub-device, and logged in, it knows itself.
  const auto of_devices = topic.tree == topic_tree::device || topic.tree == topic_tree::clock;
  return self_.gateway && of_devices && is_for_sub_devices(topic.what) ? speaks_for::sub_device
                                                                       : speaks_for::nobody;
}

void connection::take_message(const message& packed) {
  // Who is no device has nothing to do with the topics of devices: it is told so as of any other.
  if (general_ &&
      (who_.device.device_key.empty() || !model::is_reserved_topic(packed.packet.topic)))
    return general_->publish(packed);
  if (who_.payloads == compression::none)
    return take_plain(packed);
  const auto plain = decompress(who_.payloads, packed.packet.payload, max_plain_bytes);
  if (!plain) {
    const auto topic = classify(packed.packet.topic);
    return refuse(packed, topic, {{}, plain.error(), {}}, plain.error());
  }
  auto m = packed;
  m.packet.payload = *plain;
  take_plain(m);
}

void connection::take_plain(const message& m) {
  const auto topic = classify(m.packet.topic);
  const auto right = right_to(topic);
  if (right == speaks_for::nobody || topic.what == operation::unknown) {
    auto asked = request{
        {},
        failure{errc::forbidden, "topic_forbidden", "publish to a topic without permission"},
        {}};
    if (auto json = model::parse_json(m.packet.payload); json && json->is_object())
      if (const auto* id = json->find("id"))
        asked.id = id->is_string() ? id->as_string() : model::to_json(*id);
    return refuse(m, topic, asked, asked.what.error());
  }
  take_json(m, topic);
}

void connection::take_subscriptions(subscribed& s) {
  release_held();
  if (s.ticket == 0)
    return;
  auto of_general = std::map<std::string, std::optional<std::uint64_t>>{};
  if (general_) {
    for (auto i = s.changes.begin(); i != s.changes.end();)
      if (is_general_filter(i->first))
        of_general.insert(s.changes.extract(i++));
      else
        ++i;
    std::erase_if(s.wants_retained, [](const std::string& f) { return !is_general_filter(f); });
  }
  const auto to_device = !s.changes.empty() && keeps_session_ && !who_.device.device_key.empty();
  if (to_device && !of_general.empty())
    shared_tickets_[s.ticket] = 2;
  if (to_device)
    ask_quietly(s.ticket, operation::subscriptions,
                model::device::change_subscriptions{std::move(s.changes)});
  else if (of_general.empty())
    engine_.settle(s.ticket);
  if (!of_general.empty())
    general_->change(s.ticket, std::move(of_general), std::move(s.wants_retained));
}

void connection::on_inbox() {
  if (goodbye_due_)
    finish_publishes();
  if (ended_ || !link_)
    return;
  auto inbox = link_->take();
  for (auto& one : inbox.answers) {
    if (ended_) {  // by one of them: what the others say of publishes still counts
      if (general_)
        general_->settle(one);
      continue;
    }
    if (one.number == login_number_ && login_number_ != 0)
      settle_login(one);
    else
      settle(one);
  }
  if (ended_) {
    if (goodbye_due_)
      finish_publishes();
    return;
  }
  std::move(inbox.downlinks.begin(), inbox.downlinks.end(), std::back_inserter(early_));
  if (engine_.granted())
    for (const auto& d : std::exchange(early_, {}))
      deliver(d);
  send_asks();
  flush();
  if (inbox.close)
    return end(*inbox.close);
  leave_if_settled();
  wait();
}

bool connection::make_raw(const model::downlink& d, outgoing& message) {
  const auto* product = product_of(d.target);
  const auto as_it_is = std::holds_alternative<model::device_notice>(d.what) ||
                        std::holds_alternative<model::rrpc_call>(d.what) ||
                        std::holds_alternative<model::twin_push>(d.what);
  if (as_it_is || !product || !speaks_raw(*product))
    return true;
  auto bytes = write_raw(*with_->scripts, *product, message.payload);
  if (!bytes) {
    with_->messages("command", bytes.error().reason).add();
    const auto number = ++numbers_;
    auto failed = model::device::complete_command{};
    failed.downlink_id = d.id;
    failed.code = script_failure;
    failed.message = clip(bytes.error().detail, max_reply_text);
    auto& question =
        asks_.emplace_back(actors::session_ask{number, std::move(failed), std::nullopt});
    if (d.target != who_.device)
      question.whom = d.target;
    open_.push_back({number, 0, operation::command_reply, {}, {}, {}, {}, with_->now()});
    return false;
  }
  message = {"/sys/" + d.target.product_key + '/' + d.target.device_key + "/thing/model/down_raw",
             std::move(*bytes)};
  raw_commands_[d.target] = d.id;
  return true;
}

void connection::deliver(const model::downlink& d) {
  if (const auto* message = std::get_if<model::topic_delivery>(&d.what)) {
    if (general_)
      general_->deliver(*message, d.repeated);
    return;
  }
  auto command = held_command{write_downlink(d, who_.addresses_itself_by_product),
                              std::strtoull(d.id.c_str(), nullptr, 10), d.repeated, with_->now()};
  if (!make_raw(d, command.what))
    return;
  if (who_.payloads != compression::none)
    command.what.payload = compress(who_.payloads, command.what.payload);
  // A call is over before a subscription that is still to come.
  const auto needs_filter = !std::holds_alternative<model::rrpc_call>(d.what) &&
                            (who_.addresses_itself_by_product || engine_.listens_to_commands());
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
  if (general_ && link_)
    general_->flush();
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

void connection::leave(signpost::direction where) {
  leaving_ = std::make_unique<departure>(departure{std::move(where), with_->now()});
  leave_if_settled();
}

void connection::leave_if_settled() {
  if (!leaving_ || ended_)
    return;
  const auto under_way =
      !open_.empty() || !early_.empty() || engine_.unsettled() > 0 || engine_.unacknowledged() > 0;
  if (under_way && with_->now() - leaving_->since < leave_patience)
    return;
  const auto where = std::move(leaving_->where);
  end(where.reason, where.to);
}

void connection::tick(model::timestamp now) {
  if (goodbye_due_ && now >= *goodbye_due_)
    say_goodbye();
  if (ended_)
    return;
  if (const auto newest = with_->guard->bans_version(); newest != bans_) {
    bans_ = newest;
    look_at_bans(now);
    if (ended_)
      return;
  }
  if (const auto dead = engine_.tick(now))
    return end(dead->reason);
  if (!engine_.granted() && now - opened_ > with_->login_timeout)
    return end("login_timeout");
  if (!open_.empty() && now - open_.front().since > with_->limits.answer_timeout)
    return end("answer_timeout");
  if (general_ && !general_->is_allowed())
    return end("key_revoked");
  if (const auto oldest = general_ ? general_->oldest() : std::nullopt;
      oldest && now - *oldest > with_->limits.answer_timeout)
    return end("answer_timeout");
  if (!held_.empty()) {
    release_held();
    send_asks();
    flush();
  }
  leave_if_settled();
  wait();
}

void connection::end(std::string_view reason, std::string_view server_reference) {
  if (ended_)
    return;
  ended_ = true;
  if (half_open_) {
    half_open_ = false;
    with_->half_open.fetch_sub(1);
  }
  with_->closes(reason).add();
  send_asks();  // taken before the end: QoS 0 messages in front of a DISCONNECT count
  engine_.end(reason, server_reference);
  if (!engine_.out().empty())
    stream_->write(engine_.out());
  end_reason_ = reason;
  if (general_ && goodbye_.expiry.value_or(expiry_) > 0 && engine_.publishes_once() &&
      general_->open() > 0)
    goodbye_due_ = with_->now() + leave_patience;
  if (link_ && !goodbye_due_)
    say_goodbye();
  stream_->finish();
  permit_.reset();
}

void connection::finish_publishes() {
  for (auto& one : link_->take().answers)
    general_->settle(one);
  if (!engine_.publishes_once() || general_->open() == 0)
    say_goodbye();
}

void connection::say_goodbye() {
  goodbye_due_.reset();
  if (engine_.granted()) {
    const auto taken = engine_.unreleased();
    goodbye_.unreleased.assign(taken.begin(), taken.end());
  } else if (general_) {  // what it was given and has not used goes on, if it came to that
    for (auto& one : link_->take().answers)
      general_->settle(one);
  }
  link_->closed(end_reason_, std::move(goodbye_));
}

}  // namespace orrery::transport::mqtt
