// How a connection comes to speak for somebody: logins of devices, channels, clients of general
// topics.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "observe/log.hpp"
#include "transport/api_key.hpp"
#include "transport/mqtt/connection.hpp"
#include "transport/mqtt/errors.hpp"

namespace orrery::transport::mqtt {
namespace {

namespace log = observe::log;
using model::errc;
using model::failure;

/// What became of a login that was checked; `why` null: it was good.
void tell_guard(const shared& with, const login_attempt& who, const failure* why) {
  if (!why)
    with.guard->succeeded(who, with.now());
  else if (why->reason == "device_unknown")
    with.guard->unknown_device(who, with.now());
  else if (why->code == errc::unauthenticated)
    with.guard->wrong_signature(who, with.now());
}

}  // namespace

/// As the device has it: 0 is without end.
model::milliseconds connection::kept_for(std::uint32_t asked) const {
  const auto expiry = granted_expiry(asked, with_->limits.max_session_expiry);
  return expiry == no_expiry ? model::milliseconds{0} : std::chrono::seconds{expiry};
}

login_attempt connection::attempt() const {
  return {stream_->peer(), self_.link.name, stream_->secure(), self_.organisation, fingerprint_};
}

void connection::note_who(const model::device_name& who, const std::string& organisation) {
  self_.link.name = who;
  self_.organisation = organisation;
}

void connection::note_device() {
  const auto known = with_->known->current();
  const auto* product = known->product(who_.device.product_key);
  const auto virtual_one = who_.device.product_key == actors::virtual_gateway_key;
  note_who(who_.device, virtual_one ? who_.device.device_key
                        : product   ? product->state->organisation
                                    : std::string{});
}

void connection::look_at_bans(model::timestamp now) {
  if (ended_ || self_.link.name.device_key.empty())
    return;
  if (const auto ok = with_->guard->check_bans(attempt(), now); !ok) {
    if (!engine_.granted())
      return refuse_login(ok.error());
    log::warn("mqtt.connection", "banned",
              {{"address", stream_->peer()},
               {"organisation", self_.organisation},
               {"product", self_.link.name.product_key},
               {"device", self_.link.name.device_key},
               {"reason", ok.error().reason}});
    end(ok.error().reason == "org_suspended" ? "org_suspended" : "banned");
  }
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
  // Whose log-in it is says a stranger: only what is there has a log.
  if (with_->refused && with_->known->current()->organisation(self_.organisation))
    with_->refused->note({self_.organisation, self_.link.name.product_key,
                          self_.link.name.device_key, stream_->peer(), why.code,
                          std::string{reason}});
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
  in_login_->keep_alive = granted_keep_alive(c.keep_alive, with_->limits.max_keep_alive);
  const auto of_old = c.clean_session ? 0 : no_expiry;
  asked_expiry_ = engine_.version() == protocol::v5 ? c.with->session_expiry.value_or(0) : of_old;
  expiry_ = granted_expiry(asked_expiry_, with_->limits.max_session_expiry);
  const auto shown = stream_->peer_certificate();
  if (shown)
    fingerprint_ = shown->fingerprint;
  if (c.password && c.password->starts_with("ork~"))
    return log_in_client(wanted);
  if (!c.username && !c.password && shown)
    return log_in_by_certificate(wanted, *shown);
  auto parsed = parse_login(c.client_id, c.username, c.password);
  if (!parsed && !with_->limits.open_broker.empty())
    return log_in_client(wanted);
  if (!parsed)
    return refuse_login(parsed.error());
  who_ = std::move(*parsed);
  note_device();
  if (const auto ok = with_->guard->admit(attempt(), with_->now()); !ok)
    return refuse_login(ok.error());
  open_link();
  auto how = login_of(wanted, shown);
  if (who_.mode == secure_mode::integration)
    return open_channel();
  how.proof = who_.proof;
  keeps_session_ = wanted.keeps_session;
  if (who_.mode == secure_mode::product_secret) {
    if (!how.secure && !with_->plain_activation)
      return refuse_login({errc::forbidden, "activation_needs_tls",
                           "a secret is handed out in clear text on a loopback listener alone"});
    how.secret = model::device::login_secret::product;
    in_login_->fresh_secret = model::random_text(24);
    how.fresh =
        with_->keys->seal(in_login_->fresh_secret, model::device::secret_owner(who_.device));
  }
  if (who_.device.product_key == actors::virtual_gateway_key)
    return open_virtual_gateway(std::move(how));
  login_number_ = ++numbers_;
  link_->login(login_number_, who_.device, std::move(how));
}

void connection::open_link() {
  link_ =
      link::open(with_->link, net::wake_list::of(stream_->context()), [weak = weak_from_this()] {
        if (const auto self = weak.lock())
          self->on_inbox();
      });
}

model::device::connect connection::login_of(const login_wanted& wanted,
                                            const std::optional<net::certificate_facts>& shown) {
  auto how = model::device::connect{};
  how.protocol = model::device::protocol::mqtt;
  how.address = stream_->peer();
  how.secure = stream_->secure();
  self_.session = std::make_shared<const model::device::connect>(how);
  const auto& will = wanted.packet.last_will;
  if (will && !model::is_reserved_topic(will->topic))
    in_login_->will = general_topics::make_will(*will);
  if (shown)
    how.presented = presented(*shown);
  how.keeps_session = wanted.keeps_session;
  how.resumes = wanted.resumes;
  how.session_lasts = kept_for(asked_expiry_);
  return how;
}

void connection::log_in_by_certificate(const login_wanted& wanted,
                                       const net::certificate_facts& shown) {
  if (wanted.packet.client_id.empty()) {
    if (resumes_ && engine_.version() != protocol::v5)  // 3.1.3.1
      return refuse_login({errc::invalid_argument, "client_id_invalid",
                           "a session that is kept needs a client id"});
    in_login_->assigned_id = "auto-" + model::random_text(20);
  }
  if (const auto ok = with_->guard->check_bans(attempt(), with_->now()); !ok)
    return refuse_login(ok.error());  // before all shards are asked
  keeps_session_ = wanted.keeps_session;
  login_number_ = ~std::uint64_t{0};  // until its device is found
  with_->holders->find(shown, [weak = weak_from_this(), how = login_of(wanted, shown)](
                                  model::result<model::device_name> found) {
    if (const auto self = weak.lock())
      boost::asio::post(self->stream_->context(), [self, how, found = std::move(found)]() mutable {
        self->take_holder(found, std::move(how));
      });
  });
}

void connection::take_holder(const model::result<model::device_name>& found,
                             model::device::connect how) {
  if (ended_)
    return;
  login_number_ = 0;
  if (found) {
    who_.device = *found;
    note_device();
  }
  if (const auto ok = with_->guard->admit(attempt(), with_->now()); !ok)
    return refuse_login(ok.error());
  if (!found) {
    tell_guard(*with_, attempt(), &found.error());
    return refuse_login(found.error());
  }
  open_link();
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
    id = in_login_->assigned_id = "auto-" + model::random_text(20);
  }
  if (const auto key = c.password ? read_api_key(*c.password) : std::nullopt) {
    note_who({"", "key:" + key->id}, key->organisation);
    if (const auto ok = with_->guard->admit(attempt(), with_->now()); !ok)
      return refuse_login(ok.error());
    const auto found = find_api_key(*known, *key, with_->now(), stream_->peer());
    tell_guard(*with_, attempt(), found ? nullptr : &found.error());
    if (!found)
      return refuse_login(found.error());
    user.organisation = key->organisation;
    user.name = "application:" + (*found)->name + ':' + id;
    user.actor = "key:" + key->id;
    user.rules = (*found)->topics;
    user.as.key = key->id;
  } else if (!with_->limits.open_broker.empty() && !c.password.value_or("").starts_with("ork~")) {
    user.organisation = with_->limits.open_broker;
    note_who({"", "client:" + id}, user.organisation);
    if (const auto ok = with_->guard->check_bans(attempt(), with_->now()); !ok)
      return refuse_login(ok.error());
    user.name = "client:" + id;
    user.actor = "anonymous";
    user.everything = true;
  } else {
    return refuse_login({errc::unauthenticated, "unauthenticated", "there is no such API key"});
  }
  if (!known->organisation(user.organisation))
    return refuse_login({errc::unauthenticated, "unauthenticated", "no such organisation"});
  open_link();
  link_->open_channel(user.actor);
  begin_general(std::move(user));
  if (c.last_will) {
    if (!general_->user().may_publish(c.last_will->topic))
      return refuse_login(
          {errc::forbidden, "topic_forbidden", "the will is for a topic without permission"});
    in_login_->will = general_topics::make_will(*c.last_will);
    in_login_->will->message.publisher = general_->user().name;
  }
  login_number_ = ~std::uint64_t{0};  // until its client has answered
  general_->attach(resumes_, expiry_, std::move(in_login_->will));
}

void connection::begin_general(general_user user) {
  general_ = std::make_unique<general_topics>(
      general_parts{with_->known, with_->now, with_->shard_count, with_->messages, with_->topics,
                    with_->login_timeout},
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
  if (in_login_->will && !general_->user().may_publish(in_login_->will->message.topic))
    in_login_->will.reset();  // it is for nobody to see, as on the topics of the device protocol
  if (in_login_->will)
    in_login_->will->message.publisher = general_->user().name;
  login_number_ = ~std::uint64_t{0};
  general_->attach(resumes_, expiry_, std::move(in_login_->will));
  return true;
}

void connection::client_attached(model::result<model::client::attach_granted> got) {
  if (ended_) {
    if (got)
      goodbye_.unreleased = std::move(got->unreleased);
    return;
  }
  login_number_ = 0;
  if (!got)
    return refuse_login(got.error());
  auto resumed = std::exchange(in_login_->resumed, std::nullopt);
  if (got->resumed) {
    if (!resumed)
      resumed.emplace();
    for (const auto& [filter, options] : got->filters)
      resumed->filters.insert_or_assign(filter, options);
    resumed->received.insert(got->unreleased.begin(), got->unreleased.end());
  }
  granted(std::move(resumed));
  if (got->resumed)
    general_->rejoin(got->filters);
  consume({});  // what came behind the CONNECT
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
  tell_guard(*with_, attempt(), good ? nullptr : &refused);
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
  in_login_->virtual_login = std::move(how);
  asks_.push_back(
      {login_number_, std::move(order),
       model::make_entity_id(world().shard_of(who_.device), with_->now(), model::random_entropy()),
       actors::session_ask::right::service});
  send_asks();
}

void connection::settle_login(actors::settled& one) {
  if (in_login_->virtual_login) {  // it is there now, or has been
    login_number_ = ++numbers_;
    link_->login(login_number_, who_.device,
                 std::move(*std::exchange(in_login_->virtual_login, {})));
    return;
  }
  login_number_ = 0;
  tell_guard(*with_, attempt(), one.what ? nullptr : &one.what.error());
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
    in_login_->fresh_secret.clear();
  if (attach_device()) {
    in_login_->resumed = std::move(resumed);
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
  told.keep_alive = in_login_->keep_alive;
  told.assigned_client_id = in_login_->assigned_id;
  engine_.grant(with_->now(), std::move(resumed), told);
  who_.proof = {};
  log::debug("mqtt.connection", "open",
             {{"product", who_.device.product_key}, {"device", who_.device.device_key}});
  if (!in_login_->fresh_secret.empty())
    push_activation();
  in_login_.reset();
  if (!self_.gateway)
    self_.session.reset();
}

/// The device's own secret, whether it has subscribed to that or not.
void connection::push_activation() {
  const auto id = std::to_string(model::to_ms(with_->now()));
  const auto m = write_activation(who_.device, self_.link.id, in_login_->fresh_secret, id);
  engine_.send(m.topic, compress(who_.payloads, m.payload), qos::at_least_once);
  with_->messages("activation", "sent").add();
  in_login_->fresh_secret.clear();
}

}  // namespace orrery::transport::mqtt
