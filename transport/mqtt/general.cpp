#include "transport/mqtt/general.hpp"

#include <algorithm>

#include "actors/topic_space.hpp"
#include "model/topic_filter.hpp"
#include "observe/log.hpp"

namespace orrery::transport::mqtt {
namespace {

namespace client = model::client;

// Packet ids of messages that are kept for the client follow from their numbers, so that a message
// has the same one when it comes again (4.4).
constexpr std::string_view statistics_prefix = "$SYS/";
constexpr std::uint16_t first_kept_id = 16'384, kept_ids = 16'384;
// An earlier connection ends within leave_patience; one whose node is gone says nothing more.
constexpr auto takeover_patience = leave_patience + std::chrono::milliseconds{500};
constexpr auto first_pause = std::chrono::milliseconds{10};
constexpr auto longest_pause = std::chrono::milliseconds{640};

template <class T>
std::optional<std::string> text_of(const std::optional<T>& view) {
  return view ? std::optional{std::string{*view}} : std::nullopt;
}

model::message_properties kept_properties(const properties& p) {
  auto kept = model::message_properties{p.payload_format,
                                        text_of(p.content_type),
                                        text_of(p.response_topic),
                                        text_of(p.correlation_data),
                                        {}};
  for (const auto& u : p.user)
    kept.user.push_back({std::string{u.name}, std::string{u.value}});
  return kept;
}

properties shown_properties(const model::topic_message& m, model::timestamp now) {
  auto p = properties{};
  p.payload_format = m.with.payload_format;
  p.content_type = m.with.content_type;
  p.response_topic = m.with.response_topic;
  p.correlation_data = m.with.correlation;
  for (const auto& u : m.with.user)
    p.user.push_back({u.name, u.value});
  if (m.expiry) {
    const auto waited = std::chrono::duration_cast<std::chrono::seconds>(now - m.sent).count();
    p.message_expiry = static_cast<std::uint32_t>(std::max<std::int64_t>(
        0, static_cast<std::int64_t>(*m.expiry) - std::max<std::int64_t>(0, waited)));
  }
  return p;
}

bool is_no_wildcard(std::string_view filter) {
  return filter.find_first_of("+#") == std::string_view::npos;
}

}  // namespace

bool is_general_filter(std::string_view filter) {
  const auto shared = shared_of(filter);
  const auto inner = shared ? shared->filter : filter;
  return inner.starts_with(statistics_prefix) || !model::is_reserved_topic(inner);
}

bool general_user::may_publish(std::string_view topic) const {
  return everything ? !model::is_reserved_topic(topic) : model::may_publish(rules, as, topic);
}

bool general_user::may_subscribe(std::string_view filter) const {
  return everything || filter.starts_with(statistics_prefix) ||
         model::may_subscribe(rules, as, filter);
}

general_topics::general_topics(general_parts parts, general_user user, general_owner& owner)
    : parts_{std::move(parts)},
      user_{std::move(user)},
      owner_{owner},
      id_{model::client_id_of(user_.organisation, user_.name, parts_.shard_count)},
      counts_{parts_.statistics->of(user_.organisation)} {
  counts_->clients.fetch_add(1, std::memory_order_relaxed);
}

general_topics::~general_topics() {
  counts_->clients.fetch_sub(1, std::memory_order_relaxed);
}

const model::organisation::state* general_topics::organisation() {
  held_ = parts_.known->current();
  const auto* found = held_->organisation(user_.organisation);
  return found ? found->state.get() : nullptr;
}

/// `then` takes each answer of those batches' questions.
void general_topics::ask(std::vector<actors::ask_batch> batches,
                         std::function<void(actors::answer&)> then) {
  for (auto& batch : batches)
    for (auto& one : batch.asks) {
      one.number = owner_.next_question();
      questions_.emplace(one.number, question{parts_.now(), then});
    }
  owner_.general_link().route(std::move(batches), true);
}

actors::ask_batch general_topics::question_for(const model::entity_id& whom,
                                               client::order what) const {
  auto batch = actors::ask_batch{.shard = whom.shard, .asks = {}};
  auto& one = batch.asks.emplace_back();
  one.whom = whom;
  one.what = client::command{std::move(what), user_.actor, {}};
  return batch;
}

/// Runs `then` once the organisation says that the shard is asked when something is published; what
/// is to be run after it waits behind it.
void general_topics::when_open(model::shard_id shard, std::function<void()> then) {
  waiting_.push_back({shard, std::move(then)});
  run_waiting();
}

void general_topics::run_waiting() {
  while (!opening_ && !waiting_.empty()) {
    const auto* org = organisation();
    if (!org)
      return owner_.general_ends("organisation_gone");
    const auto& open = org->topic_shards;
    const auto shard = waiting_.front().shard;
    if (std::binary_search(open.begin(), open.end(), shard)) {
      const auto then = std::move(waiting_.front().then);
      waiting_.pop_front();
      then();
      continue;
    }
    opening_ = true;
    auto batch = actors::ask_batch{.shard = model::catalogue_shard, .asks = {}};
    auto& one = batch.asks.emplace_back();
    one.whom = actors::catalogue_id(model::entity_kind::organisation, user_.organisation);
    one.what =
        model::organisation::command{model::organisation::open_topics{shard}, user_.actor, {}};
    auto batches = std::vector<actors::ask_batch>{};
    batches.push_back(std::move(batch));
    ask(std::move(batches), [this](actors::answer& answer) {
      opening_ = false;
      if (!answer)
        return owner_.general_ends("not_kept");
      run_waiting();
    });
    return;
  }
}

void general_topics::attach(bool resumes, std::uint32_t expiry,
                            std::optional<client::last_will> will) {
  expiry_ = expiry;
  auto order = client::attach{user_.organisation, user_.name, {}, resumes, expiry, std::move(will)};
  order.waits = resumes;
  // Its will is kept at its topic, where it must be found when nobody is here to see to that.
  if (order.will && order.will->message.retain && !order.will->message.payload.empty())
    when_open(topic_shard(order.will->message.topic), [] {});
  const auto until =
      parts_.now() + std::min<model::milliseconds>(takeover_patience, parts_.login_timeout / 2);
  when_open(id_.shard,
            [this, order = std::move(order), until] { send_attach(order, until, first_pause); });
}

void general_topics::send_attach(client::attach order, model::timestamp until,
                                 model::milliseconds pause) {
  if (parts_.now() >= until)
    order.waits = false;
  const auto number = owner_.next_question();
  auto& asked = questions_[number];
  asked.since = parts_.now();
  asked.then = [this, order, until, pause](actors::answer& answer) {
    if (!answer)
      return owner_.client_attached(answer.error());
    auto& reply = std::get<client::reply>(answer->answer);
    if (std::holds_alternative<client::attach_later>(reply))
      return owner_.general_later(pause, [this, order, until, pause] {
        send_attach(order, until, std::min<model::milliseconds>(2 * pause, longest_pause));
      });
    owner_.client_attached(std::move(std::get<client::attach_granted>(reply)));
  };
  owner_.general_link().attach(number, id_, std::move(order));
}

model::shard_id general_topics::topic_shard(std::string_view topic) const {
  return model::topic_id_of(user_.organisation, topic, parts_.shard_count).shard;
}

bool general_topics::is_allowed() {
  if (user_.as.key.empty())
    return true;
  const auto* org = organisation();
  const auto* key = org ? org->find_key(user_.as.key) : nullptr;
  return key && (!key->expires || *key->expires > parts_.now());
}

client::last_will general_topics::make_will(const will& w) {
  auto made = client::last_will{};
  made.message.topic = w.topic;
  made.message.payload = w.payload;
  made.message.level = static_cast<std::uint8_t>(w.level);
  made.message.retain = w.retain;
  made.message.expiry = w.with->message_expiry;
  made.message.with = kept_properties(*w.with);
  made.delay = w.with->will_delay.value_or(0);
  return made;
}

std::uint8_t general_topics::grant(std::string_view filter, qos wanted) const {
  return user_.may_subscribe(filter) ? static_cast<std::uint8_t>(wanted) : 0x87;
}

void general_topics::refuse(const message& m) {
  parts_.messages("topic_publish", "topic_forbidden").add();
  observe::log::debug("mqtt.general", "publish refused",
                      {{"client", user_.actor}, {"topic", m.packet.topic}});
  owner_.general_engine().settle(m.ticket, 0x87, {});  // the code says all there is to say
}

void general_topics::publish(const message& m) {
  if (!user_.may_publish(m.packet.topic))
    return refuse(m);
  auto made = std::make_shared<model::topic_message>();
  made->topic = m.packet.topic;
  made->payload = m.packet.payload;
  made->level = static_cast<std::uint8_t>(m.packet.level);
  made->retain = m.packet.retain;
  made->sent = parts_.now();
  made->expiry = m.packet.with->message_expiry;
  made->publisher = user_.name;
  made->with = kept_properties(*m.packet.with);
  if (made->retain && !made->payload.empty())
    return when_open(topic_shard(m.packet.topic),
                     [this, made, ticket = m.ticket] { send_published(made, ticket); });
  if (!waiting_.empty()) {  // behind what waits: messages keep their order
    const auto shard = waiting_.back().shard;
    return when_open(shard, [this, made, ticket = m.ticket] { send_published(made, ticket); });
  }
  send_published(made, m.ticket);
}

void general_topics::send_published(const std::shared_ptr<const model::topic_message>& m,
                                    std::uint64_t ticket) {
  const auto* org = organisation();
  if (!org)
    return owner_.general_ends("organisation_gone");
  auto batches = actors::publishing(*org, m, parts_.shard_count);
  parts_.messages("topic_publish", "ok").add();
  counts_->received.fetch_add(1, std::memory_order_relaxed);
  if (m->level == 0)
    return owner_.general_link().route(std::move(batches), false);
  if (batches.empty())
    return owner_.general_engine().settle(ticket, 0x10, {});
  const auto work = std::make_shared<publishing>(publishing{ticket, batches.size(), 0, false});
  ask(std::move(batches), [this, work](actors::answer& answer) {
    if (!answer && answer.error().code != model::errc::too_many_requests)
      return owner_.general_ends("not_kept");  // no acknowledgement: the client sends it again
    if (!answer) {
      work->refused = true;
      parts_.messages("topic_publish", answer.error().reason).add();
    } else if (const auto* reply = std::get_if<client::reply>(&answer->answer))
      if (const auto* sum = std::get_if<client::offered>(reply)) {
        work->taken += sum->taken;
        if (sum->dropped > 0) {
          parts_.messages("topic_delivery", "queue_full").add(sum->dropped);
          counts_->dropped.fetch_add(sum->dropped, std::memory_order_relaxed);
        }
      }
    if (--work->missing == 0)
      owner_.general_engine().settle(work->ticket,
                                     work->refused     ? 0x97
                                     : work->taken > 0 ? 0
                                                       : 0x10,
                                     {});
  });
}

// ---- subscriptions ------------------------------------------------------------------------------

void general_topics::change(std::uint64_t ticket,
                            std::map<std::string, std::optional<std::uint64_t>> changes,
                            std::vector<std::string> wants_retained) {
  auto work = std::make_shared<change_work>();
  work->ticket = ticket;
  work->wants_retained = std::move(wants_retained);
  work->changes = changes;
  auto batches = std::vector<actors::ask_batch>{};
  auto joins = std::vector<std::pair<std::string, std::uint64_t>>{};
  for (const auto& [filter, options] : changes) {
    if (!shared_of(filter))
      continue;
    const auto group = model::client_id_of(user_.organisation, filter, parts_.shard_count);
    if (options) {
      joins.emplace_back(filter, *options);
    } else {
      batches.push_back(question_for(group, client::leave{user_.name}));
      owner_.general_link().leave(group);
    }
  }
  batches.push_back(question_for(id_, client::change_filters{std::move(changes)}));
  work->missing = batches.size() + joins.size();
  const auto count_down = [this, work](actors::answer& answer) {
    if (!answer)
      return owner_.general_ends("not_kept");
    if (--work->missing == 0)
      look_for_retained(work);
  };
  ask(std::move(batches), count_down);
  for (const auto& [filter, options] : joins)
    join(filter, options, count_down);
}

void general_topics::join(const std::string& filter, std::uint64_t options,
                          std::function<void(actors::answer&)> then) {
  const auto group = model::client_id_of(user_.organisation, filter, parts_.shard_count);
  when_open(group.shard, [this, group, filter, options, then = std::move(then)] {
    const auto number = owner_.next_question();
    questions_.emplace(number, question{parts_.now(), then});
    owner_.general_link().attach(
        number, group, client::join{user_.organisation, filter, user_.name, {}, options, expiry_});
  });
}

void general_topics::rejoin(const std::map<std::string, std::uint64_t>& filters) {
  for (const auto& [filter, options] : filters)
    if (shared_of(filter))
      join(filter, options, [this](actors::answer& answer) {
        if (!answer)
          owner_.general_ends("not_kept");
      });
}

void general_topics::look_for_retained(const std::shared_ptr<change_work>& work) {
  const auto* org = organisation();
  auto questions = std::vector<std::pair<std::vector<actors::ask_batch>, std::uint64_t>>{};
  for (const auto& filter : work->wants_retained) {
    const auto options = work->changes.find(filter);
    if (!org || options == work->changes.end() || !options->second)
      continue;
    if (is_no_wildcard(filter) && !std::binary_search(org->topic_shards.begin(),
                                                      org->topic_shards.end(), topic_shard(filter)))
      continue;  // nothing was ever kept there
    auto batches = actors::looking_for_retained(*org, filter, parts_.shard_count);
    work->looking += batches.size();
    questions.emplace_back(std::move(batches), *options->second);
  }
  if (work->looking == 0)
    return finish_change(*work);
  std::erase_if(looking_, [](const auto& w) { return w.expired(); });
  looking_.push_back(work);
  for (auto& [batches, options] : questions)
    ask(std::move(batches), [this, work, of = options](actors::answer& answer) {
      if (!answer)
        return owner_.general_ends("not_kept");
      const auto* reply = std::get_if<model::topic::reply>(&answer->answer);
      const auto* found = reply ? std::get_if<model::topic::retained_messages>(reply) : nullptr;
      if (found)
        for (const auto& m : found->messages)
          work->found.push_back({m, of});
      if (--work->looking == 0)
        finish_change(*work);
    });
}

void general_topics::finish_change(const change_work& work) {
  if (work.ticket != 0)
    owner_.subscription_done(work.ticket);
  for (const auto& one : work.found) {
    const auto newer = work.newer.find(one.what->topic);
    const auto is_old = newer != work.newer.end() && one.what->sent <= newer->second;
    if (!is_old && owner_.general_engine().wants(one.what->topic, false))
      send_retained(one.what, one.options);
  }
}

void general_topics::send_retained(const model::shared_message& m, std::uint64_t options) {
  const auto level = std::min(m->level, model::level_of(options));
  if (level > 0 && keeps()) {
    auto batches = std::vector<actors::ask_batch>{};
    batches.push_back(question_for(id_, client::offer{m, true}));
    return owner_.general_link().route(std::move(batches), false);
  }
  auto d = model::topic_delivery{};
  d.what = m;
  d.level = level;
  d.options = options;
  d.retained = true;
  deliver(d, false);
}

// ---- what comes to the client -------------------------------------------------------------------

void general_topics::deliver(const model::topic_delivery& d, bool repeated) {
  const auto& m = *d.what;
  const auto now = parts_.now();
  if (m.retain && !d.retained)
    for (const auto& looking : looking_)
      if (const auto work = looking.lock(); work && work->looking > 0) {
        auto& sent = work->newer[m.topic];
        sent = std::max(sent, m.sent);
      }
  const auto own = d.source == id_ && d.number != 0;
  const auto packet_id =
      own ? static_cast<std::uint16_t>(first_kept_id + d.number % kept_ids) : std::uint16_t{0};
  auto& to = owner_.general_engine();
  const auto key = d.number != 0 ? ++last_key_ : 0;
  if (d.released && own && to.release(packet_id, key)) {
    under_way_.emplace(key, taken_from{d.source, d.number});
    return;
  }
  auto options = d.options;
  if (!options) {
    // One that is on its way is brought to its end, whatever has become of the subscription or of
    // its time (4.4; 3.1.1, 3.10.4).
    const auto goes_on = repeated && d.number != 0;
    const auto wanted = to.wants(m.topic, m.publisher == user_.name);
    if (!goes_on && (!wanted || m.is_over(now)))
      return settle_message(d.source, d.number, true);
    options =
        wanted ? static_cast<std::uint64_t>(wanted->level) | (wanted->retain_as_published ? 8u : 0u)
               : std::uint64_t{d.level};
  }
  auto p = mqtt::publish{};
  p.topic = m.topic;
  p.payload = m.payload;
  p.level = static_cast<qos>(
      d.number != 0 && !d.options ? d.level : std::min(m.level, model::level_of(*options)));
  p.retain = d.retained || ((*options & 8) != 0 && m.retain);
  p.dup = repeated && p.level != qos::at_most_once;
  p.packet_id = p.level == qos::at_most_once ? std::uint16_t{0} : packet_id;
  if (m.expiry || m.with != model::message_properties{})
    p.with = shown_properties(m, now);
  if (d.options && *d.options >> 8 != 0)
    p.with.edit().subscription_ids = {static_cast<std::uint32_t>(*d.options >> 8)};
  const auto sent = to.send(std::move(p), key, now);
  parts_
      .messages("topic_delivery", sent                            ? "ok"
                                  : sent.how == taken::queue_full ? "queue_full"
                                                                  : "too_large")
      .add();
  (sent ? counts_->delivered : counts_->dropped).fetch_add(1, std::memory_order_relaxed);
  if (d.number == 0)
    return;
  if (sent && sent.packet_id != 0)
    under_way_.emplace(key, taken_from{d.source, d.number});
  else if (sent.how == taken::queue_full)
    owner_.general_ends("slow_consumer");  // it is kept, and comes again
  else
    settle_message(d.source, d.number, true);
}

void general_topics::settle_message(const model::entity_id& source, std::uint64_t number,
                                    bool over) {
  if (number == 0)
    return;
  auto& s = settled_[source];
  (over ? s.over : s.received).push_back(number);
}

void general_topics::take(const received& news) {
  if (const auto at = under_way_.find(news.key); at != under_way_.end())
    settle_message(at->second.source, at->second.number, false);
}

void general_topics::take(const completed& news) {
  const auto at = under_way_.find(news.key);
  if (at == under_way_.end())
    return;
  settle_message(at->second.source, at->second.number, true);
  under_way_.erase(at);
}

void general_topics::flush() {
  for (auto& [source, what] : std::exchange(settled_, {})) {
    auto batches = std::vector<actors::ask_batch>{};
    batches.push_back(question_for(source, what));
    ask(std::move(batches), [this, source = source, what = what](actors::answer& answer) {
      if (answer || answer.error().code == model::errc::not_found)
        return;
      // What is not noted comes again, although the client has it.
      for (const auto number : what.over)
        settle_message(source, number, true);
      for (const auto number : what.received)
        settle_message(source, number, false);
    });
  }
}

bool general_topics::settle(actors::settled& one) {
  const auto at = questions_.find(one.number);
  if (at == questions_.end())
    return false;
  const auto then = std::move(at->second.then);
  questions_.erase(at);
  then(one.what);
  return true;
}

std::optional<model::timestamp> general_topics::oldest() const {
  auto first = std::optional<model::timestamp>{};
  for (const auto& [number, q] : questions_)
    if (!first || q.since < *first)
      first = q.since;
  return first;
}

}  // namespace orrery::transport::mqtt
