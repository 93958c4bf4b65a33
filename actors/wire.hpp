// What the nodes of a cluster say to each other, as bytes: questions and answers, effects and live
// events of commits, reads of the store.
//
// Each message begins with a version (u8). A node speaks the encoding of the release before its own
// while a cluster is upgraded: what it does not know it refuses, naming the version. Fields and
// alternatives keep their places for ever; new ones come last, with a new version. The layouts
// stand in wire.cpp.
//
// Decoders take any bytes. They fail with `corrupted` (damaged, or of a newer release), and make no
// more of a message than a fixed multiple of its length.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "actors/history.hpp"
#include "actors/messages.hpp"
#include "actors/query.hpp"
#include "model/effect.hpp"

namespace orrery::actors {

// ---- questions and answers ----------------------------------------------------------------------

/// The questions of a batch; what comes out has no asker, and wants no way. `number` is the
/// sending node's; 0: nobody waits for that answer.
std::string encode_asks(const ask_batch& batch);
model::result<ask_batch> decode_asks(std::string_view bytes);

/// The numbers are those of the questions; ways stay behind.
std::string encode_answers(std::span<const settled> answers);
model::result<std::vector<settled>> decode_answers(std::string_view bytes);

// ---- what a commit sets off ---------------------------------------------------------------------

struct entity_effect {
  model::entity_id entity;
  model::effect what;
};
/// Every effect but `remind`, which is for the node that committed: that one does not decode.
std::string encode_effect(const model::effect& e, const model::entity_id& entity);
model::result<entity_effect> decode_effect(std::string_view bytes);

std::string encode_published(std::span<const published> group);
model::result<std::vector<published>> decode_published(std::string_view bytes);

/// Which events a node wants to be sent for the subscribers it has.
struct feed_wants {
  bool wanted = false;  // any at all
  bool operator==(const feed_wants&) const = default;
};
std::string encode_feed_wants(const feed_wants& w);
model::result<feed_wants> decode_feed_wants(std::string_view bytes);

// ---- reads of the store -------------------------------------------------------------------------

/// `number` is the asking node's, and comes back with the page.
struct read_question {
  std::uint64_t number = 0;
  any_read what;
};
struct read_answer {
  std::uint64_t number = 0;
  model::result<any_page> what;
};
std::string encode_read(std::uint64_t number, const any_read& what);
model::result<read_question> decode_read(std::string_view bytes);

std::string encode_page(std::uint64_t number, const model::result<any_page>& what);
model::result<read_answer> decode_page(std::string_view bytes);

}  // namespace orrery::actors
