// An organisation: its people, the keys of its applications, and the authorities that sign the
// certificates of its devices.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/credentials.hpp"
#include "model/effect.hpp"
#include "model/ids.hpp"
#include "model/organisation/access.hpp"
#include "model/result.hpp"
#include "model/time.hpp"
#include "model/topic_rule.hpp"

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
  std::vector<topic_rule> topics;  // general topics that it may use by MQTT
};

/// One log-in of a person: his tokens count until it ends.
struct login_session {
  std::string login, id;
  timestamp until;
};

/// A certificate that its own authority took back. The row goes once the certificate would have
/// run out.
struct revocation {
  std::string serial;  // hex
  timestamp at;
  std::uint8_t reason = 0;  // of RFC 5280, 5.3.1
  timestamp until{};        // the end of the certificate's time
};

/// Who signs certificates of devices: made here, with a key, or somebody else's.
struct certificate_authority {
  enum class origin : std::uint8_t { built_in = 0, external = 1 };
  enum class algorithm : std::uint8_t { rsa = 0, ecc = 1 };
  std::string id;  // hex key id of its certificate
  origin kind = origin::built_in;
  algorithm keys = algorithm::rsa;
  std::string subject;       // as RFC 2253 writes it
  std::string certificates;  // PEM: its own, then those above it
  timestamp not_after{};
  sealed_secret key;  // PEM; of a built-in one
  timestamp created_at{};
  std::string actor;
  std::uint64_t list_number = 0;    // rises with each change of its revocations
  std::vector<revocation> revoked;  // of a built-in one
  std::string list;                 // PEM: the revocation list of an external one; empty: none
  /// What a certificate of an external one has to be called before the authority is trusted, so
  /// that its key is proved; empty: it is proved, or built in.
  std::string nonce;
  bool is_pending() const { return !nonce.empty(); }
};

/// Who may not log in to the organisation, whatever he can prove.
struct ban {
  enum class kind : std::uint8_t {
    device = 0,      // "productKey/deviceKey"
    product = 1,     // its key: all its devices
    address = 2,     // an address, or a range "10.0.0.0/8": whoever comes from there
    certificate = 3  // its SHA-256 fingerprint, hex: whoever comes by it
  };
  kind what = kind::device;
  std::string subject;
  std::optional<timestamp> until;  // nothing: for good
  std::string reason;              // for people
  timestamp created_at{};
  std::string actor;
  bool holds(timestamp now) const { return !until || now < *until; }
};
inline constexpr std::size_t max_bans = 1000;  // of an organisation
/// Its name among those of the organisation: 16 hex digits, the same for the same subject.
std::string ban_id(const ban& b);

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
/// Of built-in ones there is one of each algorithm.
struct add_authority {
  certificate_authority what;
};
/// An external one.
struct remove_authority {
  std::string id;
};
/// Puts a certificate on the list of a built-in authority; reason 8 takes it off again.
struct list_revocation {
  std::string authority;
  revocation what;  // without its time
};
/// A new revocation list of an external authority.
struct set_revocations {
  std::string authority, list;
};
/// The key of an external one was proved, by a certificate of that name.
struct prove_authority {
  std::string id, nonce;
};
/// In place of the one of the same subject, if there is one.
struct set_ban {
  ban what;
};
struct remove_ban {
  std::string id;
};
struct read_organisation {};
/// Clients of general topics, or retained messages, are to be in that shard too: it is asked
/// whenever something is published.
struct open_topics {
  std::uint16_t shard = 0;
};

using order =
    std::variant<create_organisation, update_organisation, create_user, set_password, remove_user,
                 note_bad_login, open_session, keep_session, end_session, create_key, revoke_key,
                 read_organisation, add_authority, remove_authority, list_revocation,
                 set_revocations, open_topics, prove_authority, set_ban, remove_ban>;
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
struct authority_set {
  certificate_authority what;
};
struct authority_removed {
  std::string id;
};
struct revocation_listed {
  std::string authority;
  revocation what;
};
struct revocations_set {
  std::string authority, list;
  timestamp at;
};
struct topics_opened {
  std::uint16_t shard = 0;
};
struct authority_proved {
  std::string id;
  timestamp at;
};
struct ban_set {
  ban what;
};
struct ban_removed {
  std::string id;
};
using event =
    std::variant<created, updated, user_set, user_removed, key_set, key_removed, session_set,
                 session_ended, authority_set, authority_removed, revocation_listed,
                 revocations_set, topics_opened, authority_proved, ban_set, ban_removed>;

struct state {
  bool exists = false;
  bool deleted = false;
  std::string id, name;
  std::vector<user> users;
  std::vector<api_key> keys;
  timestamp created_at{};
  std::uint64_t revision = 0;
  std::vector<login_session> sessions;  // oldest first; some may be over
  std::vector<certificate_authority> authorities;
  std::vector<std::uint16_t> topic_shards;  // rising; see open_topics
  std::vector<ban> bans;                    // oldest first; some may be over

  const user* find_user(std::string_view login) const;
  const api_key* find_key(std::string_view key_id) const;
  const certificate_authority* find_authority(std::string_view authority_id) const;
  const ban* find_ban(std::string_view wanted) const;  // by ban_id
  /// The built-in one with keys of that sort; null: it is not made yet.
  const certificate_authority* built_in(certificate_authority::algorithm keys) const;
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

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);

}  // namespace orrery::model::organisation
