#include "transport/mqtt/connection.hpp"

#include <algorithm>
#include <cstdlib>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "model/json.hpp"
#include "observe/log.hpp"
#include "transport/api_key.hpp"
#include "transport/mqtt/errors.hpp"
#include "transport/mqtt/raw.hpp"

namespace orrery::transport::mqtt {
namespace {

namespace log = observe::log;
using model::errc;
using model::failure;

constexpr std::size_t read_step = 64 * 1024, max_pending_out = 8 * 1024 * 1024;
constexpr std::size_t max_plain_bytes = 524'288 + 1'024;  // of a packed payload
constexpr int script_failure = 11'810;  // of a command that could not be written in bytes
constexpr std::size_t max_reply_text = 1'024, max_open_parts = 10'000;
constexpr auto hold_time = std::chrono::seconds{10};
constexpr auto leave_patience = std::chrono::seconds{3};  // for what is under way

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

/// What became of a login that was checked; `why` null: it was good.
void tell_guard(const shared& with, const login_attempt& who, const failure* why) {
  if (!why)
    with.guard->succeeded(who, with.now());
  else if (why->reason == "device_unknown")
    with.guard->unknown_device(who, with.now());
  else if (why->code == errc::unauthenticated)
    with.guard->wrong_signature(who, with.now());
}

model::value certificate_data(const issued_certificate& made) {
  using algorithm = model::organisation::certificate_authority::algorithm;
  return model::object{{"certSN", std::to_string(made.what.sn)},
                       {"cert", made.what.pem},
                       {"caCert", made.chain},
                       {"certChainURL", ""},
                       {"issueAuthority", made.issuer == algorithm::rsa ? "RSA" : "ECC"}};
}

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

/// As the device has it: 0 is without end.
model::milliseconds connection::kept_for(std::uint32_t asked) const {
  const auto expiry = granted_expiry(asked, with_->limits.max_session_expiry);
  return expiry == no_expiry ? model::milliseconds{0} : std::chrono::seconds{expiry};
}

void connection::refuse_login(const failure& why) {
  const auto is_five = engine_.version() == protocol::v5;
  const auto code = is_five ? connack_reason(why) : connack_code(why);
  const auto tells = why.code != errc::not_found && why.code != errc::unauthenticated;
  engine_.refuse(code, tells ? why.reason : "login_refused");  // a stranger is told no more
  log::warn("mqtt.connection", "login refused",
            {{"address", stream_->peer()},
             {"product", who_.device.product_key},
             {"device", who_.device.device_key},
             {"reason", why.reason},
             {"detail", why.detail}});
  const auto reason = why.reason.empty() ? "login_failed" : why.reason;
  with_->refused_logins(reason).add();
  end(reason);
}

void connection::send_elsewhere(const signpost::direction& where) {
  constexpr auto server_unavailable = std::uint8_t{3};
  const auto is_five = engine_.version() == protocol::v5;
  engine_.refuse(is_five ? disconnect_code(where.reason) : server_unavailable, where.reason,
                 where.to);
  with_->refused_logins(where.reason).add();
  end(where.reason);
}

void connection::log_in(const login_wanted& wanted) {
  if (with_->away.stands())
    if (const auto where = with_->away.next())
      return send_elsewhere(*where);
  const auto& c = wanted.packet;
  resumes_ = wanted.resumes;
  const auto of_old = c.clean_session ? 0 : no_expiry;
  asked_expiry_ = engine_.version() == protocol::v5 ? c.with->session_expiry.value_or(0) : of_old;
  expiry_ = granted_expiry(asked_expiry_, with_->limits.max_session_expiry);
  if (c.password && c.password->starts_with("ork~"))
    return log_in_client(wanted);
  auto parsed = parse_login(c.client_id, c.username, c.password);
  if (!parsed && !with_->limits.open_broker.empty())
    return log_in_client(wanted);
  if (!parsed)
    return refuse_login(parsed.error());
  who_ = std::move(*parsed);
  if (const auto ok =
          with_->guard->admit({stream_->peer(), who_.device, stream_->secure()}, with_->now());
      !ok)
    return refuse_login(ok.error());
  link_ =
      link::open(with_->link, net::wake_list::of(stream_->context()), [weak = weak_from_this()] {
        if (const auto self = weak.lock())
          self->on_inbox();
      });
  auto how = model::device::connect{};
  how.protocol = model::device::protocol::mqtt;
  how.address = stream_->peer();
  how.secure = stream_->secure();
  self_.link.name = who_.device;
  self_.session = how;
  if (c.last_will && !model::is_reserved_topic(c.last_will->topic))
    will_ = general_topics::make_will(*c.last_will);
  if (auto shown = stream_->peer_certificate())
    how.presented = model::device::presented_certificate{
        std::move(shown->issuer_key_id), std::move(shown->serial), std::move(shown->fingerprint),
        model::from_ms(shown->not_after * 1000)};
  if (who_.mode == secure_mode::integration)
    return open_channel();
  how.proof = who_.proof;
  how.keeps_session = keeps_session_ = wanted.keeps_session;
  how.resumes = wanted.resumes;
  how.session_lasts = kept_for(asked_expiry_);
  if (who_.mode == secure_mode::product_secret) {
    if (!how.secure && !with_->plain_activation)
      return refuse_login({errc::forbidden, "activation_needs_tls",
                           "a secret is handed out in clear text on a loopback listener alone"});
    how.secret = model::device::login_secret::product;
    fresh_secret_ = model::random_text(24);
    how.fresh = with_->keys->seal(fresh_secret_, model::device::secret_owner(who_.device));
  }
  if (who_.device.product_key == actors::virtual_gateway_key)
    return open_virtual_gateway(std::move(how));
  login_number_ = ++numbers_;
  link_->login(login_number_, who_.device, std::move(how));
}

void connection::log_in_client(const login_wanted& wanted) {
  const auto& c = wanted.packet;
  auto user = general_user{};
  const auto known = with_->known->current();
  auto id = std::string{c.client_id};
  if (id.empty()) {
    if (resumes_ && engine_.version() != protocol::v5)  // 3.1.3.1
      return refuse_login({errc::invalid_argument, "client_id_invalid",
                           "a session that is kept needs a client id"});
    id = assigned_id_ = "auto-" + model::random_text(20);
  }
  if (const auto key = c.password ? read_api_key(*c.password) : std::nullopt) {
    const auto attempt = login_attempt{stream_->peer(), {"", "key:" + key->id}, stream_->secure()};
    if (const auto ok = with_->guard->admit(attempt, with_->now()); !ok)
      return refuse_login(ok.error());
    const auto found = find_api_key(*known, *key, with_->now(), stream_->peer());
    tell_guard(*with_, attempt, found ? nullptr : &found.error());
    if (!found)
      return refuse_login(found.error());
    user.organisation = key->organisation;
    user.name = "application:" + (*found)->name + ':' + id;
    user.actor = "key:" + key->id;
    user.rules = (*found)->topics;
    user.as.key = key->id;
  } else if (!with_->limits.open_broker.empty() && !c.password.value_or("").starts_with("ork~")) {
    user.organisation = with_->limits.open_broker;
    user.name = "client:" + id;
    user.actor = "anonymous";
    user.everything = true;
  } else {
    return refuse_login({errc::unauthenticated, "unauthenticated", "there is no such API key"});
  }
  if (!known->organisation(user.organisation))
    return refuse_login({errc::unauthenticated, "unauthenticated", "no such organisation"});
  link_ =
      link::open(with_->link, net::wake_list::of(stream_->context()), [weak = weak_from_this()] {
        if (const auto self = weak.lock())
          self->on_inbox();
      });
  link_->open_channel(user.actor);
  begin_general(std::move(user));
  if (c.last_will) {
    if (!general_->user().may_publish(c.last_will->topic))
      return refuse_login(
          {errc::forbidden, "topic_forbidden", "the will is for a topic without permission"});
    will_ = general_topics::make_will(*c.last_will);
    will_->message.publisher = general_->user().name;
  }
  login_number_ = ~std::uint64_t{0};  // until its client has answered
  general_->attach(resumes_, expiry_, std::move(will_));
}

void connection::begin_general(general_user user) {
  general_ = std::make_unique<general_topics>(
      general_parts{with_->known, with_->now, with_->shard_count, with_->messages, with_->topics},
      std::move(user), *this);
  engine_.judge_filters([this](std::string_view filter, qos wanted) -> std::uint8_t {
    if (is_general_filter(filter))
      return general_->grant(filter, wanted);
    return static_cast<std::uint8_t>(std::min(wanted, qos::at_least_once));
  });
}

bool connection::attach_device() {
  const auto* product = product_of(who_.device);
  if (!product || product->state->topics->empty())
    return false;
  auto user = general_user{};
  user.organisation = self_.organisation;
  user.name = "device:" + who_.device.product_key + '/' + who_.device.device_key;
  user.actor = user.name;
  user.rules = *product->state->topics;
  user.as.device = who_.device;
  begin_general(std::move(user));
  if (will_ && !general_->user().may_publish(will_->message.topic))
    will_.reset();  // it is for nobody to see, as on the topics of the device protocol
  if (will_)
    will_->message.publisher = general_->user().name;
  login_number_ = ~std::uint64_t{0};
  general_->attach(resumes_, expiry_, std::move(will_));
  return true;
}

void connection::client_attached(model::result<model::client::attach_granted> got) {
  login_number_ = 0;
  if (!got)
    return refuse_login(got.error());
  auto resumed = std::exchange(resumed_, std::nullopt);
  if (got->resumed) {
    if (!resumed)
      resumed.emplace();
    for (const auto& [filter, options] : got->filters)
      resumed->filters.insert_or_assign(filter, options);
    resumed->received.insert(got->unreleased.begin(), got->unreleased.end());
  }
  granted(std::move(resumed));
  consume({});  // what came behind the CONNECT
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

/// Third parties that speak for the devices of a product prove that they know its secret.
void connection::open_channel() {
  const auto known = with_->known->current();
  const auto* product = known->product(who_.device.product_key);
  const auto refused = failure{errc::unauthenticated, "sign_check_failed",
                               "the signature does not fit the product's secret"};
  if (!product || who_.device.device_key != "%channel%" ||
      (product->view.sign_methods >> static_cast<unsigned>(who_.proof.method) & 1) == 0)
    return refuse_login(refused);
  const auto secret = with_->keys->open(product->view.secret, product->view.secret_owner);
  const auto good = secret && model::proves(who_.proof, who_.device, *secret);
  tell_guard(*with_, {stream_->peer(), who_.device, stream_->secure()}, good ? nullptr : &refused);
  if (!good)
    return refuse_login(refused);
  self_.channel = true;
  self_.organisation = product->state->organisation;
  link_->open_channel("integration:" + who_.device.product_key);
  granted(std::nullopt);
}

/// A gateway of the whole organisation, for tests: it is made when it comes for the first time.
void connection::open_virtual_gateway(model::device::connect how) {
  if (!with_->limits.virtual_gateway ||
      !with_->known->current()->organisation(who_.device.device_key))
    return refuse_login({errc::unauthenticated, "sign_check_failed", "there is no such gateway"});
  auto order = model::device::register_device{};
  order.name = who_.device;
  order.organisation = who_.device.device_key;
  order.display_name = "Virtual gateway";
  order.secret = with_->keys->seal("*", model::device::secret_owner(who_.device));
  link_->open_channel("virtual-gateway:" + who_.device.device_key);
  login_number_ = ++numbers_;
  virtual_login_ = std::move(how);
  asks_.push_back(
      {login_number_, std::move(order),
       model::make_entity_id(world().shard_of(who_.device), with_->now(), model::random_entropy()),
       actors::session_ask::right::service});
  send_asks();
}

void connection::settle_login(actors::settled& one) {
  if (virtual_login_) {  // it is there now, or has been
    login_number_ = ++numbers_;
    link_->login(login_number_, who_.device, std::move(*std::exchange(virtual_login_, {})));
    return;
  }
  login_number_ = 0;
  tell_guard(*with_, {stream_->peer(), who_.device, stream_->secure()},
             one.what ? nullptr : &one.what.error());
  if (!one.what)
    return refuse_login(one.what.error());
  auto resumed = std::optional<kept_session>{};
  auto activated = false;
  if (auto* reply = std::get_if<model::device::reply>(&one.what->answer))
    if (auto* grant = std::get_if<model::device::connection_granted>(reply)) {
      if (grant->resumed)
        resumed = kept_session{std::move(grant->subscriptions)};
      self_.link.id = grant->id;
      self_.organisation = std::move(grant->organisation);
      self_.gateway = grant->gateway;
      activated = grant->activated;
    }
  if (!activated)
    fresh_secret_.clear();
  if (attach_device()) {
    resumed_ = std::move(resumed);
    return;
  }
  granted(std::move(resumed));
  consume({});  // what came behind the CONNECT
}

void connection::granted(std::optional<kept_session> resumed) {
  if (half_open_) {
    half_open_ = false;
    with_->half_open.fetch_sub(1);
  }
  auto told = terms{};
  if (const auto expiry = granted_expiry(asked_expiry_, with_->limits.max_session_expiry);
      expiry != asked_expiry_)
    told.session_expiry = expiry;
  told.assigned_client_id = assigned_id_;
  engine_.grant(with_->now(), std::move(resumed), told);
  who_.proof = {};
  log::debug("mqtt.connection", "open",
             {{"product", who_.device.product_key}, {"device", who_.device.device_key}});
  if (!fresh_secret_.empty())
    push_activation();
}

/// The device's own secret, whether it has subscribed to that or not.
void connection::push_activation() {
  const auto id = std::to_string(model::to_ms(with_->now()));
  const auto m = write_activation(who_.device, self_.link.id, fresh_secret_, id);
  engine_.send(m.topic, compress(who_.payloads, m.payload), qos::at_least_once);
  with_->messages("activation", "sent").add();
  fresh_secret_.clear();
}

connection::speaks_for connection::right_to(const classified& topic) const {
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

group_world connection::world() const {
  return {with_->known->current(), with_->keys.get(),
          [router = with_->link.session.router](const model::device_name& name) {
            return router->shard_of(name);
          },
          with_->now(), with_->limits.unbind_online};
}

void connection::take_message(const message& packed) {
  if (general_ && !model::is_reserved_topic(packed.packet.topic))
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
  if (!asked.group && !asked.certificate && !asked.what)
    return refuse(m, topic, asked, asked.what.error());
  ask(m, topic, std::move(asked));
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
  auto& question = asks_.emplace_back(
      actors::session_ask{number, completed(std::move(*asked.what)), std::nullopt});
  if (r.sub)
    question.whom = *r.sub;
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
  step_group(work);
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
  send_plain(topic, write_reply(id, code, data, text), level);
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
    if (r.raw_answer)
      send_plain(r.topic, *std::exchange(r.raw_answer, std::nullopt), r.reply_level);
  }
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
  leave_if_settled();
  wait();
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
  if (!one.what)
    return settle_request(r, one.what.error(), {});
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
    auto text = why.detail;
    for (const auto& p : why.problems)
      text += "; " + p.where + ": " + p.detail;
    answer(r, result_code(why, format_code(r.what), who_is(r)), data_of_failure,
           clip(text, max_reply_text));
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
  if (ended_)
    return;
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
  if (link_) {
    for (const auto id : engine_.unreleased())
      goodbye_.unreleased.push_back(id);
    link_->closed(reason, std::move(goodbye_));
  }
  stream_->finish();
  permit_.reset();
}

}  // namespace orrery::transport::mqtt
