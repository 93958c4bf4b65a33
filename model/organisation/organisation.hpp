// An organisation: its people and the keys of its applications.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/effect.hpp"
#include "model/ids.hpp"
#include "model/result.hpp"
#include "model/time.hpp"

namespace orrery::model::organisation {

struct user {
  std::string login, name;
  std::vector<std::string> roles;
  std::string password_hash;   // argon2id, encoded
  std::uint32_t failures = 0;  // bad passwords since the last good one
  timestamp locked_until{};
  timestamp created_at{};
};

struct api_key {
  std::string id, name;
  std::string secret_sha256;  // hex
  std::vector<std::string> permissions;
  std::optional<timestamp> expires;
  std::vector<std::string> ip_allow;
  timestamp created_at{};
  std::string actor;
};

/// One log-in of a person: his tokens count until it ends.
struct login_session {
  std::string login, id;
  timestamp until;
};

struct create_organisation {
  std::string id, name;
};
struct update_organisation {
  std::string name;
};
struct create_user {
  user who;
};
struct set_password {
  std::string login, password_hash;
};
struct remove_user {
  std::string login;
};
/// A password was wrong: too many of them lock the login for a time that doubles.
struct note_bad_login {
  std::string login;
};
/// A password was right. Of too many sessions of one person the oldest ends.
struct open_session {
  login_session what;
};
/// Tokens were refreshed: the session lasts longer.
struct keep_session {
  login_session what;
};
struct end_session {
  std::string login, id;
};
struct create_key {
  api_key key;
};
struct revoke_key {
  std::string id;
};
struct read_organisation {};

using order = std::variant<create_organisation, update_organisation, create_user, set_password,
                           remove_user, note_bad_login, open_session, keep_session, end_session,
                           create_key, revoke_key, read_organisation>;
struct command {
  order what;
  std::string actor;
  std::optional<std::uint64_t> expected_revision;
};

struct created {
  create_organisation as;
  timestamp at;
};
struct updated {
  std::string name;
  timestamp at;
};
struct user_set {
  user what;
};
struct user_removed {
  std::string login;
};
struct key_set {
  api_key what;
};
struct key_removed {
  std::string id;
};
/// A session began or lasts longer.
struct session_set {
  login_session what;
};
struct session_ended {
  std::string login, id;  // without an id: all of that person
};
using event = std::variant<created, updated, user_set, user_removed, key_set, key_removed,
                           session_set, session_ended>;

struct state {
  bool exists = false;
  bool deleted = false;
  std::string id, name;
  std::vector<user> users;
  std::vector<api_key> keys;
  timestamp created_at{};
  std::uint64_t revision = 0;
  std::vector<login_session> sessions;  // oldest first; some may be over

  const user* find_user(std::string_view login) const;
  const api_key* find_key(std::string_view key_id) const;
  const login_session* find_session(std::string_view login, std::string_view session_id) const;
};

struct done {};
struct organisation_snapshot {
  entity_id id;
  std::shared_ptr<const state> what;
};
using reply = std::variant<done, organisation_snapshot>;

struct surroundings {
  entity_id self;
  timestamp now;
  std::size_t max_login_failures = 5;
};
struct decision {
  std::vector<event> events;
  reply answer;
};

result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
std::optional<timestamp> next_deadline(const state& s);

/// The permissions of a built-in role ("admin", "operator", "viewer"); none for others.
const std::vector<std::string>& permissions_of(std::string_view role);
/// True if one of `permissions` ("area:action", "area:*" or "*") covers `wanted`.
bool permits(const std::vector<std::string>& permissions, std::string_view wanted);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);

}  // namespace orrery::model::organisation
