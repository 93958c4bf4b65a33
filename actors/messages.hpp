// Who may say what to whom inside a node: request and reply structs and the typed handles of the
// actors. Structs are messages; they stay on the node (between nodes goes our own encoding).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/fwd.hpp>
#include <caf/typed_actor.hpp>

#include "model/asset/asset.hpp"
#include "model/audit/audit.hpp"
#include "model/blueprint/blueprint.hpp"
#include "model/client/client.hpp"
#include "model/device/device.hpp"
#include "model/ledger/ledger.hpp"
#include "model/operation/operation.hpp"
#include "model/organisation/organisation.hpp"
#include "model/product/product.hpp"
#include "model/topic/topic.hpp"
#include "model/tree/tree.hpp"
#include "storage/entity_store.hpp"

namespace orrery::actors {

using any_command =
    std::variant<model::device::command, model::product::command, model::blueprint::command,
                 model::organisation::command, model::asset::command, model::client::command,
                 model::topic::command, model::tree::command, model::operation::command,
                 model::audit::command, model::ledger::command>;
using any_reply = std::variant<model::device::reply, model::product::reply, model::blueprint::reply,
                               model::organisation::reply, model::asset::reply,
                               model::client::reply, model::topic::reply, model::tree::reply,
                               model::operation::reply, model::audit::reply, model::ledger::reply>;

/// The clients and groups of one shard that have a filter for that topic. Their answers come as
/// one: the sum, or the first failure.
struct topic_listeners {
  model::shard_id shard = 0;
  std::string organisation, topic;
  bool operator==(const topic_listeners&) const = default;
};
/// The topics of one shard that have a retained message and match. Their answers come as one.
struct retained_topics {
  model::shard_id shard = 0;
  std::string organisation, filter;
  bool operator==(const retained_topics&) const = default;
};

/// An entity by id, a device by the name it logs in with, or those of a shard that a topic
/// concerns.
using target = std::variant<model::entity_id, model::device_name, topic_listeners, retained_topics>;

/// The kind a command is for.
constexpr model::entity_kind kind_of(const any_command& c) {
  using enum model::entity_kind;
  constexpr model::entity_kind kinds[] = {device,    product,   blueprint,    organisation,
                                          asset,     client,    topic,        tree,
                                          operation, audit_log, device_ledger};
  static_assert(std::size(kinds) == std::variant_size_v<any_command>);
  return kinds[c.index()];
}

class doorway;  // actors/doorway.hpp

/// What was asked and done: the answer, the entity's revision and the journal offset it rests on.
struct outcome {
  any_reply answer;
  std::uint64_t revision = 0;
  model::shard_id shard = 0;
  std::uint64_t offset = 0;
  std::shared_ptr<const doorway> way = {};  // if the question wanted it
};
using answer = model::result<outcome>;

/// One answered question: `number` is the asker's.
struct settled {
  std::uint64_t number;
  answer what;
};
/// Everything of one group commit for one asker: one wake-up.
struct settled_batch {
  std::vector<settled> items;
};

}  // namespace orrery::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::settled_batch)

namespace orrery::actors {

/// An actor that asks: a session that logs in, the API's caller, a shard host.
using settler = caf::typed_actor<caf::reacts_to<settled_batch>>;

/// Takes answers on whatever thread has them, and returns at once: a connection.
class answer_port {
 public:
  virtual ~answer_port() = default;
  virtual void settle(std::vector<settled> answers) = 0;
};

/// Whoever asked, or nobody: an actor, or a port that needs none.
class asker {
 public:
  asker() = default;
  asker(settler who) : actor_{std::move(who)} {}
  asker(const std::shared_ptr<answer_port>& who) : port_{who} {}

  explicit operator bool() const { return actor_ || !same(port_, {}); }
  bool operator==(const asker& other) const {
    return actor_ == other.actor_ && same(port_, other.port_);
  }
  /// Lost if it is gone. Any thread.
  void settle(std::vector<settled> answers) const;

 private:
  using port = std::weak_ptr<answer_port>;
  /// By owner, not by address: a port may lie where one lay that is gone.
  static bool same(const port& a, const port& b) {
    return !a.owner_before(b) && !b.owner_before(a);
  }

  settler actor_;
  port port_;
};

/// One question. `number` 0: nobody waits for the answer.
struct ask {
  asker from;
  std::uint64_t number = 0;
  target whom;
  any_command what;
  bool wants_way = false;  // the answer is to bring the way to the entity itself
};
/// Questions for one shard, in order.
struct ask_batch {
  model::shard_id shard = 0;
  std::vector<ask> asks;
  bool entered = false;    // came by a doorway
  bool forwarded = false;  // came from another node: it is not sent on once more
};

/// Passes questions to where their shard is. Any thread.
class ask_router {
 public:
  virtual ~ask_router() = default;
  virtual model::shard_id shard_of(const target& whom) const = 0;
  /// Every question is answered in the end: by the entity, or `unavailable` / `wrong_node`.
  virtual void route(ask_batch batch) = 0;
};

/// What an effect of `entity` asks of another device; nothing: the effect is not of that kind.
std::optional<ask_batch> order_of(const model::effect& e, const model::entity_id& entity);

// ---- what a commit sets off ---------------------------------------------------------------------

/// Whose events these are.
struct device_identity {
  model::entity_id id;
  model::cow<model::device::naming> called;
};
using device_events = std::shared_ptr<const std::vector<model::device::event>>;

/// Committed events of one device, for live subscribers.
struct published {
  device_identity who;
  device_events what;
  std::uint64_t offset = 0;
};

using catalogue_state = std::variant<std::shared_ptr<const model::product::state>,
                                     std::shared_ptr<const model::blueprint::state>,
                                     std::shared_ptr<const model::organisation::state>>;
struct catalogue_change {
  model::entity_id id;
  catalogue_state what;
};

/// What runs after a commit and before the answer leaves. Called by the journal writer's thread.
class commit_effects {
 public:
  virtual ~commit_effects() = default;
  virtual void run(const model::effect& e, const model::entity_id& entity) = 0;
  virtual void publish(std::vector<published> group) = 0;
  virtual void change_catalogue(const catalogue_change& change) = 0;
};

// ---- journal ------------------------------------------------------------------------------------

/// One decided step of an entity on its way to the disk.
struct entry {
  model::shard_id shard = 0;
  std::uint64_t generation = 0;           // of the shard; an older one is refused
  std::optional<storage::record> record;  // none: a refusal, a read, or rows alone
  std::vector<storage::row> rows;
  asker to;  // null: nobody waits
  std::uint64_t number = 0;
  answer reply = outcome{};
  std::vector<model::effect> effects;
  model::entity_id entity;
  published feed;  // what == nullptr: nothing for feeds
  std::optional<catalogue_change> catalogue;
  std::shared_ptr<std::atomic<std::uint32_t>> in_flight;  // counted down when settled
};
struct entry_batch {
  std::vector<entry> entries;
};
/// Every record of the shard up to `offset` is materialised.
struct checkpoint_note {
  model::shard_id shard;
  std::uint64_t generation;
  std::uint64_t offset;
  bool operator==(const checkpoint_note&) const = default;
};
struct trim_order {
  model::shard_id shard;
};
/// Work of the replication that must be done on the writer's thread.
struct writer_task {
  std::function<void()> run;
  bool behind_entries = false;  // entries that came before it are given to the replicas first
};

// ---- entities and hosts -------------------------------------------------------------------------

/// The fate of a write is unknown: drop what was decided on top and reload.
struct write_lost {
  model::shard_id shard;
  std::uint64_t generation;  // the one that counts from now on
};
/// What this node is to a shard from now on.
struct shard_role {
  enum class what : std::uint8_t {
    serves,
    leaves,  // it is to move: nothing more is taken, what was taken is still given to the writer
    away,
  } now = what::away;
  std::uint64_t generation = 0;  // that counts from now on
};
/// Some node is gone, or came back: devices whose session was on it are told.
struct look_for_lost_sessions {};
/// Write latest values and samples to the store; the host is settled with that number.
struct checkpoint_order {
  std::uint64_t number;
};
struct rest_order {};
/// An entity's answer to rest_order.
struct rest_answer {
  model::entity_id id;
  bool rested;
  std::uint64_t generation = 0;  // it was woken under: another's word counts for nobody
  model::entity_kind kind = model::entity_kind::device;
};
struct reminder {
  model::entity_id id;
  model::entity_kind kind;
  model::timestamp at;
};
/// A filter or a retained topic of one of its entities came or went.
struct topic_note {
  model::entity_id id;
  model::index_topic what;
};
struct host_tick {};

// ---- sessions -----------------------------------------------------------------------------------

/// What a session asks for its device; `number` comes back with the answer.
struct session_ask {
  /// As who it speaks to another device: as that one's gateway, or in the name of the service.
  enum class right : std::uint8_t { gateway, service };
  std::uint64_t number;
  model::device::order what;
  std::optional<target> whom = {};  // nothing: its own device
  right as = right::gateway;
};
struct session_asks {
  std::vector<session_ask> items;
};
struct session_login {
  std::uint64_t number;
  model::device_name who;
  model::device::connect how;
};
/// It speaks for no device of its own, only in the name of the service: `actor` says for whom.
struct session_channel {
  std::string actor;
};
struct session_deliver {
  model::downlink message;
};
/// That device's right to this session ended (taken over, disabled, deleted): close it, if the
/// device is its own.
struct session_end {
  model::entity_id device;  // or the client that it is attached to
  std::string_view reason;
};
/// A question to a client of general topics, or a group of them, that the session is to speak for:
/// `attach` or `join`, with the session filled in. Once granted it is told of the end.
struct session_attach {
  std::uint64_t number;
  model::entity_id whom;
  model::client::order how;
};
/// It does not speak for that group any more.
struct session_leave {
  model::entity_id whom;
};
/// The connection is gone: tell the device and end.
struct session_closed {
  std::string_view reason;
  model::client::detach client = {};  // for its own client of general topics
};

}  // namespace orrery::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::ask_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::entry_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::checkpoint_note)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::trim_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::writer_task)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::shard_role)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::look_for_lost_sessions)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::write_lost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::checkpoint_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::rest_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::rest_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::reminder)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::topic_note)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::host_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::session_asks)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::session_login)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::session_channel)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::session_deliver)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::session_end)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::session_attach)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::session_leave)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(orrery::actors::session_closed)

namespace orrery::actors {

using flush_atom = caf::atom_constant<caf::atom("flush")>;

using journal_actor = caf::typed_actor<caf::reacts_to<entry_batch>, caf::reacts_to<flush_atom>,
                                       caf::reacts_to<checkpoint_note>, caf::reacts_to<trim_order>,
                                       caf::reacts_to<writer_task>>;
using entity_actor = caf::typed_actor<caf::reacts_to<ask_batch>, caf::reacts_to<checkpoint_order>,
                                      caf::reacts_to<rest_order>, caf::reacts_to<write_lost>>;
using host_actor =
    settler::extend<caf::reacts_to<ask_batch>, caf::reacts_to<rest_answer>,
                    caf::reacts_to<reminder>, caf::reacts_to<topic_note>,
                    caf::reacts_to<write_lost>, caf::reacts_to<host_tick>,
                    caf::reacts_to<shard_role>, caf::reacts_to<look_for_lost_sessions>>;
using session_actor =
    settler::extend<caf::reacts_to<session_asks>, caf::reacts_to<session_login>,
                    caf::reacts_to<session_channel>, caf::reacts_to<session_deliver>,
                    caf::reacts_to<session_end>, caf::reacts_to<session_closed>,
                    caf::reacts_to<session_attach>, caf::reacts_to<session_leave>>;

/// Figures of one shard that its host, its entities and the writer share.
struct shard_status {
  std::atomic<std::uint64_t> generation{1};
  std::atomic<std::uint64_t> committed{0};   // last committed offset
  std::atomic<std::uint64_t> tail_bytes{0};  // records behind the checkpoint
  std::atomic<bool> writable{true};          // false: too few replicas are in sync
};

}  // namespace orrery::actors
