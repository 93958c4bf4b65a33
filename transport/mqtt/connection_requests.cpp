// The requests of a connection's client, from the message to the reply: in JSON, in bytes, about
// several devices.
#include <algorithm>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "model/json.hpp"
#include "observe/log.hpp"
#include "transport/mqtt/connection.hpp"
#include "transport/mqtt/errors.hpp"
#include "transport/mqtt/params.hpp"
#include "transport/mqtt/raw.hpp"

namespace orrery::transport::mqtt {
namespace {

namespace log = observe::log;
using model::errc;
using model::failure;

constexpr std::size_t max_reply_text = 1'024;

model::value certificate_data(const issued_certificate& made) {
  using algorithm = model::organisation::certificate_authority::algorithm;
  return model::object{{"certSN", std::to_string(made.what.sn)},
                       {"cert", made.what.pem},
                       {"caCert", made.chain},
                       {"certChainURL", ""},
                       {"issueAuthority", made.issuer == algorithm::rsa ? "RSA" : "ECC"}};
}

}  // namespace

group_world connection::world() const {
  return {with_->known->current(), with_->keys.get(),
          [router = with_->link.session.router](const model::device_name& name) {
            return router->shard_of(name);
          },
          with_->now(), with_->limits.unbind_online};
}

/// A message that this connection may send.
void connection::take_json(const message& m, const classified& topic) {
  switch (topic.what) {
    case operation::notice_reply:
      with_->messages(name_of(topic.what), "ok").add();
      return engine_.settle(m.ticket);
    case operation::command_reply:
      return take_command_answer(m, topic, m.packet.payload);
    case operation::rrpc_response:
      return ask(
          m, topic,
          {{}, model::device::order{read_rrpc_response(topic.element, m.packet.payload)}, {}});
    case operation::raw_up:
      return take_raw(m, topic);
    case operation::raw_down_reply:
      return take_raw_answer(m, topic);
    default:
      break;
  }
  auto asked = read_request(topic, m.packet.payload, self_, [this] { return world(); });
  if (asked.clock)
    return tell_time(m, topic, asked);
  auto heard = topic;
  if (asked.subscribes_to_replies && !engine_.listens_to(answer_topic(topic, m.packet.topic)))
    heard.wants_reply = false;
  if (!asked.group && !asked.certificate && !asked.what)
    return refuse(m, heard, asked, asked.what.error());
  ask(m, heard, std::move(asked));
}

/// At once: what waits for the disk would make the time wrong.
void connection::tell_time(const message& m, const classified& topic, const request& asked) {
  with_->messages(name_of(topic.what), "ok").add();
  const auto received = with_->now();
  reply(answer_topic(topic, m.packet.topic), asked.id, 200,
        clock_data(*asked.clock, received, with_->now()), {},
        std::min(m.packet.level, qos::at_least_once));
  engine_.settle(m.ticket);
}

void connection::take_command_answer(const message& m, const classified& topic,
                                     std::string_view payload) {
  auto done = read_command_reply(payload);
  if (!done) {
    with_->messages(name_of(topic.what), done.error().reason).add();
    return engine_.settle(m.ticket);
  }
  auto as_answer = topic;
  as_answer.what = operation::command_reply;
  as_answer.wants_reply = false;
  ask(m, as_answer, {{}, model::device::order{std::move(*done)}, {}});
}

/// The newest the catalogue has of a device's product; valid until the next call.
const actors::catalogue_product* connection::product_of(const model::device_name& device) {
  looked_at_ = with_->known->current();
  return looked_at_->product(device.product_key);
}

void connection::take_raw(const message& m, const classified& topic) {
  const auto name =
      model::device_name{std::string{topic.product_key}, std::string{topic.device_key}};
  const auto* product = product_of(name);
  auto read = product ? read_raw(*with_->scripts, *product, topic, m.packet.payload)
                      : model::result<raw_message>{failure{errc::not_found, "product_unknown", ""}};
  if (read && read->answer)
    return take_command_answer(m, topic, read->json);
  const auto inner = read ? classify(read->topic) : topic;
  auto asked = request{
      {},
      read ? failure{errc::forbidden, "topic_forbidden", "the script gave a method that is none"}
           : read.error(),
      {}};
  const auto is_request = read && inner.what != operation::unknown &&
                          inner.what != operation::raw_up && right_to(inner) == right_to(topic);
  if (is_request)
    asked = read_request(inner, read->json, self_, [this] { return world(); });
  const auto number = ++numbers_;
  open_.push_back({number, m.ticket, is_request ? inner.what : topic.what,
                   std::string{m.packet.topic} + "_reply", asked.id, asked.ids,
                   std::min(m.packet.level, qos::at_least_once), with_->now()});
  auto& r = open_[open_.size() - 1];
  r.raw = true;
  if (read)
    r.method = read->method;
  if (!topic.is_of(who_.device) && !self_.channel)
    r.sub = name;
  if (asked.group)
    return ask_group(number, std::move(asked.group));
  if (!asked.what)
    return settle_request(r, asked.what.error(), {});
  if (auto ok = take_room(r, *asked.what); !ok)
    return settle_request(r, ok.error(), {});
  auto& question = asks_.emplace_back(
      actors::session_ask{number, completed(std::move(*asked.what)), std::nullopt});
  if (r.sub)
    question.whom = *r.sub;
}

/// What came back for a command in bytes. Without an id it is that of the one under way.
void connection::take_raw_answer(const message& m, const classified& topic) {
  const auto name =
      model::device_name{std::string{topic.product_key}, std::string{topic.device_key}};
  const auto* product = product_of(name);
  const auto under_way = raw_commands_.find(name);
  auto json = std::string{};
  if (product && !m.packet.payload.empty())
    if (auto read = read_raw(*with_->scripts, *product, topic, m.packet.payload))
      json = std::move(read->json);
  const auto whole = !json.empty() && read_command_reply(json);
  if (!whole && under_way != raw_commands_.end()) {
    auto content =
        json.empty() ? model::result<model::value>{model::value{}} : model::parse_json(json);
    auto answer =
        content && content->is_object() ? content->as_object() : model::object{{"code", 500}};
    model::set_member(answer, "id", under_way->second);
    json = model::to_json(model::value{std::move(answer)});
  }
  if (under_way != raw_commands_.end())
    raw_commands_.erase(under_way);
  take_command_answer(m, topic, json);
}

void connection::ask_quietly(std::uint64_t ticket, operation what, model::device::order order) {
  const auto number = ++numbers_;
  asks_.push_back({number, std::move(order), std::nullopt});
  open_.push_back({number, ticket, what, {}, {}, {}, {}, with_->now()});
}

void connection::ask(const message& m, const classified& topic, request asked) {
  const auto number = ++numbers_;
  open_.push_back({number, m.ticket, topic.what,
                   topic.wants_reply ? answer_topic(topic, m.packet.topic) : std::string{},
                   std::move(asked.id), std::move(asked.ids),
                   std::min(m.packet.level, qos::at_least_once), with_->now()});
  auto& r = open_[open_.size() - 1];
  if (!topic.is_of(who_.device) && !self_.channel)
    r.sub = model::device_name{std::string{topic.product_key}, std::string{topic.device_key}};
  if (asked.group)
    return ask_group(number, std::move(asked.group));
  if (asked.certificate)
    return ask_certificate(number, std::move(*asked.certificate));
  if (auto ok = take_room(r, *asked.what); !ok)
    return settle_request(r, ok.error(), {});
  auto& question = asks_.emplace_back(
      actors::session_ask{number, completed(std::move(*asked.what)), std::nullopt});
  if (r.sub)
    question.whom = *r.sub;
}

/// Of the organisation, for the file that is asked for, if one is. A failure is an answer: the
/// device may ask again.
model::status connection::take_room(open_request& r, const model::device::order& what) const {
  const auto* wish = std::get_if<model::device::add_file>(&what);
  if (!wish)
    return {};
  auto room = with_->files->take_room(self_.organisation, wish->what.size);
  if (room) {
    r.room = wish->what.size;
    return {};
  }
  auto why = room.error();
  why.code = model::errc::too_many_requests;
  return why;
}

model::device::order connection::completed(model::device::order what) const {
  auto* wish = std::get_if<model::device::add_file>(&what);
  if (!wish)
    return what;
  auto made = with_->files->new_file();
  made.what.name = std::move(wish->what.name);
  made.what.size = wish->what.size;
  made.what.md5 = std::move(wish->what.md5);
  made.what.sha256 = std::move(wish->what.sha256);
  made.what.actor = "device:" + who_.device.product_key + '/' + who_.device.device_key;
  return made;
}

model::result<model::value> connection::file_data(operation what,
                                                  const model::device::file_status& file) const {
  if (what == operation::file_upload)
    return upload_offer(file.what, with_->files->upload_link(file));
  if (what == operation::file_delete)
    return model::value{model::object{}};
  if (model::device::status_of(file.what, with_->now()) != "stored")
    return failure{errc::not_found, "file_pending", "that file has not come yet"};
  return download_offer(file.what, with_->files->download_link(file));
}

void connection::ask_certificate(std::uint64_t number, certificate_wish wish) {
  using algorithm = model::organisation::certificate_authority::algorithm;
  auto wanted = certificate_order{};
  wanted.organisation = self_.organisation;
  wanted.actor = "device:" + who_.device.product_key + '/' + who_.device.device_key;
  wanted.device = self_.link.id;
  wanted.csr = std::move(wish.csr);
  wanted.days = wish.days;
  if (wish.rsa)
    wanted.issuer = *wish.rsa ? algorithm::rsa : algorithm::ecc;
  wanted.renews_sn = std::move(wish.sn);
  with_->certificates->issue(
      std::move(wanted), [weak = weak_from_this(), number](model::result<issued_certificate> made) {
        if (const auto self = weak.lock())
          boost::asio::post(self->stream_->context(), [self, number, made = std::move(made)] {
            self->settle_certificate(number, made);
          });
      });
}

void connection::settle_certificate(std::uint64_t number,
                                    const model::result<issued_certificate>& made) {
  if (ended_)
    return;
  const auto place = find_open(number);
  if (place == open_.end() || place->settled)
    return;
  settle_request(*place, made ? model::result<model::value>{certificate_data(*made)} : made.error(),
                 {});
  if (ended_)
    return;
  send_asks();
  flush();
  wait();
}

void connection::ask_group(std::uint64_t number, group_ptr asked) {
  const auto work = std::make_shared<group_work>();
  work->number = number;
  work->request = std::move(asked);
  const auto wanted = work->request->registers();
  if (wanted == 0 || !with_->quota)
    return step_group(work);
  with_->quota->reserve(
      self_.organisation, wanted, [weak = weak_from_this(), work](model::result<device_room> room) {
        if (const auto self = weak.lock())
          boost::asio::post(self->stream_->context(),
                            [self, work, room = std::move(room)] { self->take_room(work, room); });
      });
}

/// All of them, or none.
void connection::take_room(const std::shared_ptr<group_work>& work,
                           const model::result<device_room>& room) {
  const auto place = find_open(work->number);
  const auto is_over = ended_ || place == open_.end() || place->settled;
  const auto fits = room && room->devices >= work->request->registers();
  if (room && (is_over || !fits))
    with_->quota->release(*room, room->devices);
  if (is_over)
    return;
  if (fits) {
    work->room = *room;
    step_group(work);
  } else {
    settle_request(*place,
                   room ? failure{errc::too_many_requests, "quota_exceeded",
                                  "the organisation may have " +
                                      std::to_string(room->hard.value_or(0)) + " devices"}
                        : room.error(),
                   {});
  }
  if (ended_)
    return;
  send_asks();
  flush();
  wait();
}

void connection::step_group(const std::shared_ptr<group_work>& work) {
  auto questions = work->request->next(std::exchange(work->answers, {}));
  if (questions.empty())
    return finish_group(*work);
  work->missing = questions.size();
  work->answers.resize(questions.size(), actors::answer{actors::outcome{}});
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const auto number = ++numbers_;
    auto& q = questions[i];
    asks_.push_back({number, std::move(q.what), std::move(q.whom), q.as});
    parts_.emplace(number, group_part{work, i});
  }
}

void connection::finish_group(const group_work& work) {
  const auto place = find_open(work.number);
  if (place == open_.end() || place->settled)
    return;
  auto over = work.request->outcome();
  if (over.why && with_->quota && work.request->has_surely_none())
    with_->quota->release(work.room, work.room.devices);
  settle_request(
      *place,
      over.why ? model::result<model::value>{*over.why} : model::result<model::value>{over.data},
      over.data);
}

/// True if it was an answer to a part of a request that concerns several devices.
bool connection::settle_part(actors::settled& one) {
  const auto found = parts_.find(one.number);
  if (found == parts_.end())
    return false;
  const auto part = std::move(found->second);
  parts_.erase(found);
  part.work->answers[part.index] = std::move(one.what);
  if (--part.work->missing == 0)
    step_group(part.work);
  return true;
}

void connection::refuse(const message& m, const classified& topic, const request& asked,
                        const failure& why) {
  with_->messages(name_of(topic.what), why.reason).add();
  log::debug("mqtt.connection", "message refused",
             {{"device", who_.device.device_key}, {"reason", why.reason}, {"detail", why.detail}});
  if (topic.wants_reply)
    reply(answer_topic(topic, m.packet.topic), asked.id, result_code(why, format_code(topic.what)),
          {}, why.detail, std::min(m.packet.level, qos::at_least_once));
  engine_.settle(m.ticket, puback_reason(why), why.reason);
}

void connection::reply(std::string_view topic, std::string_view id, int code,
                       const model::value& data, std::string_view text, qos level) {
  if (!wants_replies_on(topic))
    return;
  send_plain(topic, write_reply(id, code, data, text), level);
}

// Clients with a block in their id unsubscribe from what they did not subscribe to, one reply after
// the other, and take in nothing else until that is confirmed.
bool connection::wants_replies_on(std::string_view topic) const {
  return who_.subscribes_to_replies ? engine_.listens_to(topic) : !engine_.has_left(topic);
}

void connection::send_plain(std::string_view topic, std::string payload, qos level) {
  if (who_.payloads != compression::none)
    payload = compress(who_.payloads, payload);
  if (!engine_.send(topic, payload, level))
    engine_.send(topic, payload, qos::at_most_once);  // it acknowledges nothing
}

void connection::answer(open_request& r, int code, const model::value& data,
                        std::string_view text) {
  if (r.topic.empty())
    return;
  if (!r.raw)
    return reply(r.topic, r.id, code, data, text, r.reply_level);
  auto json = write_reply(r.id, code, data, text);
  json.pop_back();
  json += ",\"method\":";
  model::write_json_string(r.method, json);
  json += '}';
  const auto* product = product_of(r.sub ? *r.sub : who_.device);
  auto bytes = product && !r.method.empty() ? write_raw(*with_->scripts, *product, json)
                                            : model::result<std::string>{std::string{}};
  if (!bytes)
    with_->messages("raw_reply", bytes.error().reason).add();
  r.raw_answer = bytes ? std::move(*bytes) : std::string{};  // the client goes by the topic alone
  send_raw_answers();
}

/// Only their topic says which request they are for: they go in the order of the requests.
void connection::send_raw_answers() {
  for (auto& r : open_) {
    if (!r.raw)
      continue;
    if (!r.settled)
      return;
    const auto bytes = std::exchange(r.raw_answer, std::nullopt);
    if (bytes && wants_replies_on(r.topic))
      send_plain(r.topic, *bytes, r.reply_level);
  }
}

std::vector<connection::open_request>::iterator connection::find_open(std::uint64_t number) {
  const auto place =
      std::lower_bound(open_.begin(), open_.end(), number,
                       [](const open_request& r, std::uint64_t n) { return r.number < n; });
  return place == open_.end() || place->number != number ? open_.end() : place;
}

void connection::settle(actors::settled& one) {
  if (general_ && general_->settle(one))
    return;
  if (!parts_.empty() && settle_part(one))
    return;
  const auto place = find_open(one.number);
  if (place == open_.end() || place->settled)
    return;
  auto& r = *place;
  if (!one.what) {
    if (r.room > 0 && device_quota::is_surely_not(one.what.error()))
      with_->files->give_back(self_.organisation, r.room);
    return settle_request(r, one.what.error(), {});
  }
  auto data = model::value{};
  if (const auto* answer = std::get_if<model::device::reply>(&one.what->answer);
      answer && !r.topic.empty()) {
    const auto snapshot = r.what == operation::model_get ? with_->known->current() : nullptr;
    const auto& product_key = r.sub ? r.sub->product_key : who_.device.product_key;
    const auto* product = snapshot ? snapshot->product(product_key) : nullptr;
    if (const auto* file = std::get_if<model::device::file_status>(answer))
      return settle_request(r, file_data(r.what, *file), {});
    data = reply_data(r.what, r.ids, *answer, product ? product->view.model.get() : nullptr);
  }
  settle_request(r, std::move(data), {});
}

about connection::who_is(const open_request& r) const {
  return self_.channel ? about::devices_of_a_channel : r.sub ? about::a_sub_device : about::itself;
}

void connection::settle_request(open_request& r, const model::result<model::value>& data,
                                const model::value& data_of_failure) {
  r.settled = true;
  if (data) {
    with_->messages(name_of(r.what), "ok").add();
    answer(r, 200, *data, {});
    if (r.what == operation::subscriptions)
      subscription_done(r.ticket);
    else
      engine_.settle(r.ticket);
  } else {
    const auto& why = data.error();
    with_->messages(name_of(r.what), why.reason.empty() ? model::name_of(why.code) : why.reason)
        .add();
    answer(r, result_code(why, format_code(r.what), who_is(r)), data_of_failure,
           clip(in_words(why), max_reply_text));
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

}  // namespace orrery::transport::mqtt
