// Layouts (forms of model/bytes.hpp; a list is its count as varint, then its items):
//
//   asks       version u8 | shard u16 | list of: flags u8 (1: wants an answer), number varint if it
//              does, target, kind u8, command (model/<kind>/wire)
//   answers    version u8 | list of: number varint, ok u8, outcome or failure
//   effect     version u8 | entity id | place in the variant u8, fields
//   published  version u8 | list of: id, device name, organisation, offset varint, events (text)
//   wants      version u8 | wanted u8
//   read       version u8 | number varint | place in the variant u8, fields
//   page       version u8 | number varint | ok u8, place in the variant u8 and fields, or failure
//
//   target     0 u8, id; or 1 u8, device name; or 2 u8, 3 u8: shard, organisation, topic or filter
//   outcome    kind u8, reply (model/<kind>/wire), revision varint, shard u16, offset varint
//   failure    errc u8, reason, detail, list of problems
#include "actors/wire.hpp"

#include <algorithm>

#include "model/asset/wire.hpp"
#include "model/audit/fields.hpp"
#include "model/audit/wire.hpp"
#include "model/blueprint/wire.hpp"
#include "model/client/wire.hpp"
#include "model/device/fields.hpp"
#include "model/device/wire.hpp"
#include "model/kind_wire.hpp"
#include "model/ledger/wire.hpp"
#include "model/message_fields.hpp"
#include "model/operation/fields.hpp"
#include "model/operation/wire.hpp"
#include "model/organisation/wire.hpp"
#include "model/product/wire.hpp"
#include "model/topic/wire.hpp"
#include "model/tree/fields.hpp"
#include "model/tree/wire.hpp"

// Lists of fields stand in the namespace of what they are of.
namespace orrery::model {

template <field_of<service_call> X>
auto fields_of(X& x) {
  return std::tie(x.service, x.input);
}
template <field_of<points_write> X>
auto fields_of(X& x) {
  return std::tie(x.values);
}
template <field_of<points_read> X>
auto fields_of(X& x) {
  return std::tie(x.ids);
}
template <field_of<device_notice> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.sub);
}
template <field_of<firmware_offer> X>
auto fields_of(X& x) {
  return std::tie(x.image);
}
template <field_of<rrpc_call> X>
auto fields_of(X& x) {
  return std::tie(x.payload);
}
template <field_of<twin_push> X>
auto fields_of(X& x) {
  return std::tie(x.version, x.desired, x.delta);
}
template <field_of<tell_gateway> X>
auto fields_of(X& x) {
  return std::tie(x.gateway, x.sub, x.what);
}
template <field_of<release_sub_device> X>
auto fields_of(X& x) {
  return std::tie(x.sub);
}
template <field_of<look_for_name> X>
auto fields_of(X& x) {
  return std::tie(x.device, x.renames);
}
template <field_of<tell_gateway_name> X>
auto fields_of(X& x) {
  return std::tie(x.sub, x.name, x.organisation);
}
template <field_of<leave_mirror> X>
auto fields_of(X& x) {
  return std::tie(x.source);
}
template <field_of<release_name> X>
auto fields_of(X& x) {
  return std::tie(x.alias);
}
template <field_of<downlink> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.target, x.what, x.repeated);
}
template <field_of<deliver> X>
auto fields_of(X& x) {
  return std::tie(x.session, x.message);
}
template <field_of<close_session> X>
auto fields_of(X& x) {
  return std::tie(x.session, x.reason);
}
template <field_of<settle_waiter> X>
auto fields_of(X& x) {
  return std::tie(x.waiter, x.command);
}
template <field_of<remind> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
constexpr auto range_of(entity_kind) {
  return std::pair{entity_kind::device, entity_kind::device_ledger};
}
constexpr auto range_of(index_topic::entry) {
  return std::pair{index_topic::entry::filter, index_topic::entry::retained};
}
template <field_of<index_topic> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.text, x.sort, x.present);
}
template <field_of<publish_message> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.what);
}
template <field_of<leave_group> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.filter, x.member);
}

}  // namespace orrery::model

namespace orrery::actors {

using model::byte_reader;
using model::byte_writer;
using model::errc;
using model::failure;
using model::field_of;
using model::read;
using model::write;

template <field_of<topic_listeners> X>
auto fields_of(X& x) {
  return std::tie(x.shard, x.organisation, x.topic);
}
template <field_of<retained_topics> X>
auto fields_of(X& x) {
  return std::tie(x.shard, x.organisation, x.filter);
}
template <field_of<feed_wants> X>
auto fields_of(X& x) {
  return std::tie(x.wanted);
}
template <field_of<history_question> X>
auto fields_of(X& x) {
  return std::tie(x.device, x.points, x.from, x.to, x.limit, x.newest_first);
}
template <field_of<history_row> X>
auto fields_of(X& x) {
  return std::tie(x.time, x.point);
}
template <field_of<history_page> X>
auto fields_of(X& x) {
  return std::tie(x.rows, x.next);
}
template <field_of<journal_place> X>
auto fields_of(X& x) {
  return std::tie(x.shard, x.offset);
}
template <field_of<shard_span> X>
auto fields_of(X& x) {
  return std::tie(x.first, x.count);
}
template <field_of<device_list_question> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.filter, x.sort, x.certificate, x.cursor, x.limit, x.not_before,
                  x.shards);
}
template <field_of<device_count_question> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.filter, x.groups, x.not_before, x.shards, x.sum);
}
template <field_of<device_counts> X>
auto fields_of(X& x) {
  return std::tie(x.of);
}
template <field_of<device_page> X>
auto fields_of(X& x) {
  return std::tie(x.devices, x.next, x.paused);
}
template <field_of<event_list_question> X>
auto fields_of(X& x) {
  return std::tie(x.device, x.from, x.to, x.event, x.cursor, x.limit);
}
template <field_of<listed_event> X>
auto fields_of(X& x) {
  return std::tie(x.time, x.received, x.event, x.level, x.output, x.id);
}
template <field_of<event_page> X>
auto fields_of(X& x) {
  return std::tie(x.events, x.next);
}
template <field_of<presence_question> X>
auto fields_of(X& x) {
  return std::tie(x.device, x.from, x.to, x.cursor, x.limit);
}
template <field_of<presence_row> X>
auto fields_of(X& x) {
  return std::tie(x.at, x.online, x.protocol, x.address, x.reason);
}
template <field_of<presence_sum> X>
auto fields_of(X& x) {
  return std::tie(x.online, x.known);
}
template <field_of<presence_page> X>
auto fields_of(X& x) {
  return std::tie(x.rows, x.next, x.sum);
}
template <field_of<command_question> X>
auto fields_of(X& x) {
  return std::tie(x.device, x.command);
}
template <field_of<command_list_question> X>
auto fields_of(X& x) {
  return std::tie(x.device, x.cursor, x.limit);
}
template <field_of<command_page> X>
auto fields_of(X& x) {
  return std::tie(x.commands, x.next);
}

template <field_of<find_nodes> X>
auto fields_of(X& x) {
  return std::tie(x.tree, x.which, x.above);
}
template <field_of<walk_nodes> X>
auto fields_of(X& x) {
  return std::tie(x.tree, x.from, x.levels, x.with_first, x.devices_only, x.cursor, x.limit);
}
template <field_of<find_assets> X>
auto fields_of(X& x) {
  return std::tie(x.assets);
}
template <field_of<read_changes> X>
auto fields_of(X& x) {
  return std::tie(x.tree, x.since, x.limit);
}
template <field_of<tree_question> X>
auto fields_of(X& x) {
  return std::tie(x.shard, x.organisation, x.what);
}
template <field_of<listed_tree> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.what);
}
template <field_of<listed_node> X>
auto fields_of(X& x) {
  return std::tie(x.tree, x.level, x.what, x.above);
}
template <field_of<listed_change> X>
auto fields_of(X& x) {
  return std::tie(x.revision, x.what);
}
template <field_of<tree_page> X>
auto fields_of(X& x) {
  return std::tie(x.revision, x.trees, x.nodes, x.changes, x.gap, x.next);
}
template <field_of<asset_facts> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.device, x.organisation, x.name, x.description, x.timezone, x.model_id,
                  x.product_key, x.device_key, x.status, x.tags, x.created_at, x.updated_at);
}
template <field_of<asset_facts_question> X>
auto fields_of(X& x) {
  return std::tie(x.shard, x.organisation, x.ids);
}
constexpr auto range_of(asset_sort) {
  return std::pair{asset_sort::any, asset_sort::logical};
}
template <field_of<asset_list_question> X>
auto fields_of(X& x) {
  return std::tie(x.shard, x.organisation, x.sort, x.cursor, x.limit);
}
template <field_of<asset_page> X>
auto fields_of(X& x) {
  return std::tie(x.assets, x.next);
}
template <field_of<operation_list_question> X>
auto fields_of(X& x) {
  return std::tie(x.shard, x.organisation, x.actor, x.kind, x.phase, x.cursor, x.limit);
}
template <field_of<operation_rows_question> X>
auto fields_of(X& x) {
  return std::tie(x.shard, x.operation, x.inputs, x.from, x.max_bytes);
}
template <field_of<listed_operation> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.revision, x.what);
}
template <field_of<operation_page> X>
auto fields_of(X& x) {
  return std::tie(x.operations, x.pieces, x.next);
}

template <field_of<audit_question> X>
auto fields_of(X& x) {
  return std::tie(x.shard, x.log, x.filter, x.from, x.to, x.place, x.oldest_first, x.limit,
                  x.max_bytes);
}
template <field_of<audit_page> X>
auto fields_of(X& x) {
  return std::tie(x.organisation, x.records, x.next, x.first, x.anchor);
}

namespace {

constexpr std::uint8_t asks_version = 1;
constexpr std::uint8_t answers_version = 1;
constexpr std::uint8_t effect_version = 1;
constexpr std::uint8_t published_version = 1;
constexpr std::uint8_t feed_wants_version = 1;
constexpr std::uint8_t read_version = 1;
constexpr std::uint8_t page_version = 1;

constexpr std::uint8_t wants_answer = 1;

/// Reads one message: its version, then what `content` reads, to the end. `content` fails the
/// reader, or with more to say.
template <class T, class F>
model::result<T> decode(std::string_view bytes, std::uint8_t version, std::string_view what,
                        T fresh, F content) {
  auto in = byte_reader{bytes};
  if (auto known = model::read_version(in, version, what); !known)
    return std::move(known.error());
  if (auto good = content(in, fresh); !good)
    return std::move(good.error());
  if (!in.ok() || !in.at_end())
    return model::does_not_decode(what);
  return fresh;
}

// ---- failures -----------------------------------------------------------------------------------

/// Its number between nodes: never another one.
std::uint8_t number_of(errc code) {
  switch (code) {
    case errc::invalid_argument:
      return 1;
    case errc::too_large:
      return 2;
    case errc::not_found:
      return 3;
    case errc::already_exists:
      return 4;
    case errc::conflict:
      return 5;
    case errc::unauthenticated:
      return 6;
    case errc::forbidden:
      return 7;
    case errc::too_many_requests:
      return 8;
    case errc::unavailable:
      return 9;
    case errc::timeout:
      return 10;
    case errc::wrong_node:
      return 11;
    case errc::corrupted:
      return 12;
    case errc::internal:
      return 13;
  }
  return 13;
}

/// A newer release may have codes that are not known here: `internal`.
errc errc_of(std::uint8_t number) {
  constexpr errc codes[] = {
      errc::invalid_argument, errc::too_large,       errc::not_found,  errc::already_exists,
      errc::conflict,         errc::unauthenticated, errc::forbidden,  errc::too_many_requests,
      errc::unavailable,      errc::timeout,         errc::wrong_node, errc::corrupted,
  };
  return number >= 1 && number <= std::size(codes) ? codes[number - 1] : errc::internal;
}

void write_failure(byte_writer& out, const failure& f) {
  out.u8(number_of(f.code));
  write(out, f.reason);
  write(out, f.detail);
  write(out, f.problems);
}

failure read_failure(byte_reader& in) {
  auto f = failure{errc_of(in.u8()), ""};
  read(in, f.reason);
  read(in, f.detail);
  read(in, f.problems);
  return f;
}

// ---- commands and replies of all kinds ----------------------------------------------------------

/// `any` becomes the alternative that comes, and `content` reads that.
template <class Any, class F>
model::status read_any(byte_reader& in, Any& any, F content) {
  if (!model::emplace_alternative(any, in.u8())) {
    in.fail();
    return {};
  }
  return std::visit(content, any);
}

void write_one(byte_writer& out, const ask& a) {
  out.u8(a.number != 0 ? wants_answer : 0);
  if (a.number != 0)
    out.varint(a.number);
  write(out, a.whom);
  out.u8(static_cast<std::uint8_t>(a.what.index()));
  std::visit([&](const auto& command) { write_command(out, command); }, a.what);
}

model::status read_one(byte_reader& in, ask& a) {
  const auto flags = in.u8();
  if ((flags & wants_answer) != 0)
    a.number = in.varint();
  if ((flags & ~wants_answer) != 0 || (a.number == 0) != (flags == 0))
    in.fail();
  read(in, a.whom);
  return read_any(in, a.what, [&](auto& command) { return read_command(in, command); });
}

void write_one(byte_writer& out, const settled& s) {
  out.varint(s.number);
  out.boolean(s.what.has_value());
  if (!s.what)
    return write_failure(out, s.what.error());
  out.u8(static_cast<std::uint8_t>(s.what->answer.index()));
  std::visit([&](const auto& reply) { write_reply(out, reply); }, s.what->answer);
  out.varint(s.what->revision);
  out.u16(s.what->shard);
  out.varint(s.what->offset);
}

model::status read_one(byte_reader& in, settled& s) {
  s.number = in.varint();
  if (!in.boolean()) {
    s.what = read_failure(in);
    return {};
  }
  auto& done = *s.what;
  auto good = read_any(in, done.answer, [&](auto& reply) { return read_reply(in, reply); });
  done.revision = in.varint();
  done.shard = in.u16();
  done.offset = in.varint();
  return good;
}

// ---- live events --------------------------------------------------------------------------------

void write_one(byte_writer& out, const published& p) {
  out.id(p.who.id);
  write(out, p.who.called);
  out.varint(p.offset);
  out.text(model::device::encode_events(p.what ? *p.what : std::vector<model::device::event>{}));
}

model::status read_one(byte_reader& in, published& p) {
  p.who.id = in.id();
  read(in, p.who.called);
  p.offset = in.varint();
  const auto bytes = in.text();
  if (!in.ok())
    return {};
  auto events = model::device::decode_events(bytes);
  if (!events)
    return std::move(events.error());
  p.what = std::make_shared<const std::vector<model::device::event>>(std::move(*events));
  return {};
}

template <class T>
void write_list(byte_writer& out, std::span<const T> list) {
  out.varint(list.size());
  for (const auto& item : list)
    write_one(out, item);
}

/// Reads a list of what begins as `fresh`, until one does not fit.
template <class T>
model::status read_list(byte_reader& in, std::vector<T>& list, const T& fresh) {
  auto n = in.count();
  list.reserve(std::min<std::size_t>(n, 1024));
  for (; n > 0 && in.ok(); --n)
    if (auto good = read_one(in, list.emplace_back(fresh)); !good)
      return good;
  return {};
}

}  // namespace

static void write(byte_writer& out, const listed_device& d) {
  out.id(d.id);
  write_state(out, d.what ? *d.what : model::device::state{}, d.revision);
  write(out, d.by);
}

static void read(byte_reader& in, listed_device& d) {
  d.id = in.id();
  auto state = std::make_shared<model::device::state>();
  d.revision = read_state(in, *state);
  d.what = std::move(state);
  read(in, d.by);
}

std::string encode_asks(const ask_batch& batch) {
  auto out = byte_writer{};
  out.u8(asks_version);
  out.u16(batch.shard);
  write_list<ask>(out, batch.asks);
  return out.take();
}

model::result<ask_batch> decode_asks(std::string_view bytes) {
  return decode(bytes, asks_version, "batch of questions", ask_batch{}, [](auto& in, auto& batch) {
    batch.shard = in.u16();
    return read_list(in, batch.asks, {});
  });
}

std::string encode_answers(std::span<const settled> answers) {
  auto out = byte_writer{};
  out.u8(answers_version);
  write_list(out, answers);
  return out.take();
}

model::result<std::vector<settled>> decode_answers(std::string_view bytes) {
  return decode(bytes, answers_version, "batch of answers", std::vector<settled>{},
                [](auto& in, auto& answers) {
                  return read_list(in, answers, {.number = 0, .what = outcome{}});
                });
}

std::string encode_effect(const model::effect& e, const model::entity_id& entity) {
  auto out = byte_writer{};
  out.u8(effect_version);
  out.id(entity);
  write(out, e);
  return out.take();
}

model::result<entity_effect> decode_effect(std::string_view bytes) {
  return decode(bytes, effect_version, "effect", entity_effect{}, [](auto& in, auto& e) {
    e.entity = in.id();
    read(in, e.what);
    if (std::holds_alternative<model::remind>(e.what) ||
        std::holds_alternative<model::index_topic>(e.what) ||
        std::holds_alternative<model::publish_message>(e.what) ||
        std::holds_alternative<model::leave_group>(e.what) ||
        std::holds_alternative<model::run_operation>(e.what))
      in.fail();  // of the node itself
    return model::status{};
  });
}

std::string encode_published(std::span<const published> group) {
  auto out = byte_writer{};
  out.u8(published_version);
  write_list(out, group);
  return out.take();
}

model::result<std::vector<published>> decode_published(std::string_view bytes) {
  return decode(bytes, published_version, "group of live events", std::vector<published>{},
                [](auto& in, auto& group) { return read_list(in, group, {}); });
}

std::string encode_feed_wants(const feed_wants& w) {
  return model::write_versioned(feed_wants_version, w);
}

model::result<feed_wants> decode_feed_wants(std::string_view bytes) {
  return decode(bytes, feed_wants_version, "wish for live events", feed_wants{},
                [](auto& in, auto& w) {
                  read(in, w);
                  return model::status{};
                });
}

std::string encode_read(std::uint64_t number, const any_read& what) {
  auto out = byte_writer{};
  out.u8(read_version);
  out.varint(number);
  write(out, what);
  return out.take();
}

model::result<read_question> decode_read(std::string_view bytes) {
  return decode(bytes, read_version, "read of the store", read_question{}, [](auto& in, auto& q) {
    q.number = in.varint();
    read(in, q.what);
    return model::status{};
  });
}

std::string encode_page(std::uint64_t number, const model::result<any_page>& what) {
  auto out = byte_writer{};
  out.u8(page_version);
  out.varint(number);
  out.boolean(what.has_value());
  if (what)
    write(out, *what);
  else
    write_failure(out, what.error());
  return out.take();
}

model::result<read_answer> decode_page(std::string_view bytes) {
  return decode(bytes, page_version, "page of the store",
                read_answer{.number = 0, .what = any_page{}}, [](auto& in, auto& a) {
                  a.number = in.varint();
                  if (in.boolean())
                    read(in, *a.what);
                  else
                    a.what = read_failure(in);
                  return model::status{};
                });
}

}  // namespace orrery::actors
