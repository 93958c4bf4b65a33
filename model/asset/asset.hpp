// A node of an asset tree: its place, and the device bound to it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/effect.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::model::asset {

inline constexpr std::uint8_t max_depth = 7;  // the root is level 1

struct create_node {
  entity_id tree;  // the root's id; a root's own
  std::optional<entity_id> parent;
  std::string name;
  std::optional<entity_id> device;
  std::uint64_t order = 0;  // among its siblings
  std::uint8_t depth = 1;
  std::string organisation;
  std::map<std::string, std::string> tags;
};
struct rename_node {
  std::string name;
};
struct bind_device {
  std::optional<entity_id> device;  // nothing: unbind
};
struct move_node {
  entity_id parent;
  std::uint8_t depth = 1;
  std::uint64_t order = 0;
};
struct remove_node {};
struct read_node {};

using order =
    std::variant<create_node, rename_node, bind_device, move_node, remove_node, read_node>;
struct command {
  asset::order what;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;
};

struct created {
  create_node as;
  timestamp at;
};
struct renamed {
  std::string name;
  timestamp at;
};
struct bound {
  std::optional<entity_id> device;
  timestamp at;
};
struct moved {
  entity_id parent;
  std::uint8_t depth;
  std::uint64_t order;
  timestamp at;
};
struct removed {
  timestamp at;
};
using event = std::variant<created, renamed, bound, moved, removed>;

struct state {
  bool exists = false;
  bool deleted = false;
  entity_id tree;
  std::optional<entity_id> parent;
  std::string name;
  std::optional<entity_id> device;
  std::uint64_t order = 0;
  std::uint8_t depth = 1;
  std::string organisation;
  std::map<std::string, std::string> tags;
  timestamp created_at{}, updated_at{};
  std::uint64_t revision = 0;
};

struct done {};
struct node_snapshot {
  entity_id id;
  std::shared_ptr<const state> what;
};
using reply = std::variant<done, node_snapshot>;

struct surroundings {
  entity_id self;
  timestamp now;
  std::size_t children = 0;  // asked for only when the node is to be removed
};
struct decision {
  std::vector<event> events;
  reply answer;
};

result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
std::optional<timestamp> next_deadline(const state& s);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);

}  // namespace orrery::model::asset
