// An organisation: its people, their roles, who else proves who they are, its applications and
// their keys, how much of everything it may have, and the authorities that sign the certificates of
// its devices.
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

/// A second factor: codes of the time (RFC 6238) from a secret that the person's device has too.
struct second_factor {
  sealed_secret secret;                  // empty: there is none
  bool confirmed = false;                // a code has proved that the device has the secret
  std::uint64_t last_step = 0;           // of the newest code that was taken: each counts once
  std::vector<std::string> spare_codes;  // hex SHA-256; each counts once, too
  bool is_needed() const { return confirmed; }
};
inline constexpr std::size_t max_spare_codes = 10;

struct user {
  std::string login, name;
  std::vector<std::string> roles;
  std::string password_hash;   // argon2id, encoded
  std::uint32_t failures = 0;  // bad passwords since the last good one
  timestamp locked_until{};
  timestamp created_at{};
  std::string mail;
  bool locked = false;  // by somebody, until somebody lets him in again
  second_factor second;
  std::uint64_t revision = 0;  // of the organisation when this was last changed
  bool may_log_in(timestamp now) const { return !locked && locked_until <= now; }
};

/// A service account: what its keys may do unless they say it themselves.
struct application {
  std::string id, name;
  std::vector<std::string> roles;
  timestamp created_at{};
  std::string actor;
  std::uint64_t revision = 0;  // as a user's
};

struct api_key {
  std::string id, name;       // `name`: its application's id
  std::string secret_sha256;  // hex
  std::vector<std::string> permissions;
  std::optional<timestamp> expires;
  std::vector<std::string> ip_allow;
  timestamp created_at{};
  std::string actor;
  std::vector<topic_rule> topics;  // general topics that it may use by MQTT
  std::vector<std::string>
      roles;                // without these and `permissions` it has those of its application
  std::string replaced_by;  // the key that came in its place
  bool speaks_for_itself() const { return !permissions.empty() || !roles.empty(); }
};

/// One log-in of a person: his tokens count until it ends.
struct login_session {
  std::string login, id;
  timestamp until;
  std::uint64_t generation = 0;  // of the refresh token that counts
  timestamp refreshed_at{};
};
/// So long the refresh token of before is taken once more: the answer may have been lost.
inline constexpr auto refresh_grace = std::chrono::seconds{60};

/// What somebody has who shows that value in the claim of roles.
struct role_mapping {
  std::string value;
  std::vector<std::string> roles;
};
/// Who proves who people are in place of a password: an OpenID provider.
struct identity_provider {
  std::string id;      // as the organisation calls it
  std::string name;    // for people
  std::string issuer;  // its URL, as its tokens have it
  std::string client_id;
  sealed_secret client_secret;      // empty: PKCE alone
  std::vector<std::string> scopes;  // beside "openid"
  std::string login_claim, name_claim, mail_claim;
  std::string role_claim;  // empty: roles are given here, not there
  std::vector<role_mapping> role_map;
  std::vector<std::string> default_roles;  // of everybody who comes by it
  bool creates_users = false;              // who is not known is made a person at his first log-in
  bool links_by_mail = false;  // who is known by a mail that it has verified is taken for him
  std::vector<std::string> mail_domains;   // lower case; none: any, and none at all
  std::vector<std::string> redirect_uris;  // beside those of the loopback interface
  bool enabled = true;
  timestamp created_at{}, updated_at{};
  std::string actor;           // who made it
  std::uint64_t revision = 0;  // of the organisation when it was last changed
};
inline constexpr std::size_t max_providers = 10;
inline constexpr std::size_t max_role_mappings = 100;
inline constexpr std::size_t max_mail_domains = 50;
inline constexpr std::size_t max_redirect_uris = 20;
inline constexpr std::size_t max_scopes = 20;
inline constexpr std::size_t max_identities = 5;  // of one person

/// Whom a provider means by one of its subjects: the same person whatever becomes of his name.
struct identity_link {
  std::string issuer, subject;
  std::string login;
  timestamp linked_at{};
};

/// How much of something the organisation may have. Beyond `soft` somebody is told; `hard` is the
/// end of it.
struct quota {
  std::string item;  // one of quota_items()
  std::optional<std::uint64_t> soft = {}, hard = {};
};
/// What can be counted, and how many there may be whatever a quota says.
struct quota_item {
  std::string_view name;
  std::optional<std::uint64_t> most = {};
};
const std::vector<quota_item>& quota_items();

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

/// Devices under one name: those that were put into it, or those that its rule accepts. Which ones
/// were put into it stands in the devices.
struct device_group {
  enum class kind : std::uint8_t { fixed = 0, by_rule = 1 };
  std::string id;  // never given again
  std::string name, description;
  kind what = kind::fixed;
  std::string rule;  // a filter of devices (model/filter); of a fixed group empty
  timestamp created_at{}, updated_at{};
  std::string actor;           // who made it
  std::uint64_t revision = 0;  // of the organisation when it was last changed
};
inline constexpr std::size_t max_group_name = 64;     // characters
inline constexpr std::size_t max_group_rule = 2'048;  // bytes
inline constexpr std::size_t max_rule_conditions = 20;

/// `first`, if it is there: the person who does the rest.
struct create_organisation {
  std::string id, name;
  std::string locale = {}, time_zone = {};
  std::optional<user> first = {};
};
struct update_organisation {
  std::optional<std::string> name = {}, locale = {}, time_zone = {};
  std::optional<bool> reveals_secrets = {};
};
/// Only one without products and models.
struct remove_organisation {};
/// While it is suspended nobody and nothing of it logs in.
struct suspend_organisation {
  bool suspended = true;
  std::string reason;  // for people
};
/// In place of those of before.
struct set_quotas {
  std::vector<quota> all;
};
struct create_user {
  user who;
};
struct update_user {
  std::string login;
  std::optional<std::string> name, mail;
  std::optional<std::vector<std::string>> roles;
};
/// Ends his sessions; or lets him in again, also if bad passwords keep him out.
struct lock_user {
  std::string login;
  bool locked = true;
};
/// A secret for codes, which count once one has confirmed it.
struct set_second_factor {
  std::string login;
  sealed_secret secret;
  std::vector<std::string> spare_codes;  // hex SHA-256
};
/// The code of that step was right for that secret; it may be another one by now.
struct confirm_second_factor {
  std::string login;
  std::uint64_t step = 0;
  sealed_secret secret = {};
};
/// By himself with a code that counts (as of open_session), or by an administrator.
struct remove_second_factor {
  std::string login;
  bool by_code = false;
  std::uint64_t step = 0;
  std::string spare_code = {};
  sealed_secret secret = {};  // that the code was of
};
/// With that name: a new one, or in place of the one that is there.
struct put_role {
  role what;
  bool is_new = false;
};
struct remove_role {
  std::string name;
};
struct create_application {
  application what;
};
struct update_application {
  std::string id;
  std::optional<std::string> name;
  std::optional<std::vector<std::string>> roles;
};
/// And its keys.
struct remove_application {
  std::string id;
};
/// A key with all that the old one has but its secret; that one counts for `overlap` more.
struct rotate_key {
  std::string id;
  std::string new_id, secret_sha256;
  milliseconds overlap{};
};
/// With that id: a new one, or in place of the one that is there. It keeps its kind.
struct put_group {
  device_group what;
  bool is_new = false;
};
/// One that nothing names any more.
struct remove_group {
  std::string id;
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
/// A password was right, and the code of a step too, or a spare code (its SHA-256), if he has a
/// second factor. Of too many sessions of one person the oldest ends.
struct open_session {
  login_session what;
  std::uint64_t step = 0;
  std::string spare_code = {};
  std::string password_hash = {};  // that the password was good for; it may be another by now
  sealed_secret second = {};       // that the code was of; as well
};
/// A refresh token of that generation came: the session lasts longer, and another one counts. It
/// ends if that token was replaced long ago, for then two have it.
struct keep_session {
  login_session what;
};
struct end_session {
  std::string login, id;
};
/// With that id: a new one, or in place of the one that is there.
struct put_provider {
  identity_provider what;
  bool keeps_secret = false;  // the client's secret is that of before
};
/// And what links people with it, unless another one has its issuer.
struct remove_provider {
  std::string id;
};
/// A provider has proved who comes: opens a session of whom it means, who may be made, or linked,
/// or given other roles first. The session's login is not known yet; its id counts once.
struct open_external_session {
  login_session what;
  std::string provider, issuer, client_id;  // that were asked; they may be others by now
  std::string subject;
  std::string login, name, mail;  // as they are claimed; empty: not at all
  bool mail_verified = false;
  std::vector<std::string> values;  // of the claim of roles
};
/// Makes its application if there is none.
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
                 set_revocations, open_topics, prove_authority, set_ban, remove_ban,
                 remove_organisation, suspend_organisation, set_quotas, update_user, lock_user,
                 set_second_factor, confirm_second_factor, remove_second_factor, put_role,
                 remove_role, create_application, update_application, remove_application,
                 rotate_key, put_group, remove_group, put_provider, remove_provider,
                 open_external_session>;
/// `expected_revision` is that of the person, role, application, group or provider it is about.
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
  std::string name, locale, time_zone;
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
struct removed {
  timestamp at;
};
struct suspended {
  bool now = true;
  std::string reason;
  timestamp at;
};
struct quotas_set {
  std::vector<quota> all;
};
struct role_set {
  role what;
};
struct role_removed {
  std::string name;
};
struct application_set {
  application what;
};
struct application_removed {
  std::string id;
};
struct group_set {
  device_group what;
};
struct group_removed {
  std::string id;
};
/// Whether secrets of its devices are shown to those who may reset them.
struct reveal_set {
  bool now = false;
  timestamp at;
};
struct provider_set {
  identity_provider what;
};
struct provider_removed {
  std::string id;
};
struct identity_linked {
  identity_link what;
};
using event =
    std::variant<created, updated, user_set, user_removed, key_set, key_removed, session_set,
                 session_ended, authority_set, authority_removed, revocation_listed,
                 revocations_set, topics_opened, authority_proved, ban_set, ban_removed, removed,
                 suspended, quotas_set, role_set, role_removed, application_set,
                 application_removed, group_set, group_removed, reveal_set, provider_set,
                 provider_removed, identity_linked>;

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
  std::vector<role> roles;                  // beside the built-in ones
  std::vector<application> applications;
  std::vector<quota> quotas;
  bool is_suspended = false;
  std::string suspend_reason;
  std::string locale, time_zone;
  std::vector<device_group> groups;  // in the order in which they were made
  bool reveals_secrets = false;
  std::uint64_t device_limits = 0;  // how many times devices came to have limits
  std::vector<identity_provider> providers;
  std::vector<identity_link> identities;  // oldest first

  const user* find_user(std::string_view login) const;
  const api_key* find_key(std::string_view key_id) const;
  const application* find_application(std::string_view app_id) const;
  /// A built-in one too.
  const role* find_role(std::string_view role_name) const;
  const device_group* find_group(std::string_view group_id) const;
  const identity_provider* find_provider(std::string_view provider_id) const;
  const identity_link* find_identity(std::string_view issuer, std::string_view subject) const;
  const quota* find_quota(std::string_view item) const;
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
  std::size_t products = 0, models = 0;  // that are the organisation's
};
struct decision {
  std::vector<event> events;
  reply answer;
};

result<decision> decide(const state& s, const command& c, const surroundings& around);
void apply(state& s, const event& e);
std::vector<effect> effects(const state& s, const event& e);
std::optional<timestamp> next_deadline(const state& s);

/// What somebody has by his roles; those that are not there give nothing.
rights rights_of(const state& s, const user& who);
rights rights_of(const state& s, const application& what);
/// Its own, or those of its application.
rights rights_of(const state& s, const api_key& key);
/// What these roles would give.
rights rights_of(const state& s, const std::vector<std::string>& roles);

/// Whether one more may come to `used` that are there. Fails: `too_many_requests` with
/// "quota_exceeded".
status check_quota(const state& s, std::string_view item, std::uint64_t used);
/// How many there are of what the organisation counts itself; nothing for other items.
std::optional<std::uint64_t> used_of(const state& s, std::string_view item);

std::string encode_events(const std::vector<event>& events);
result<std::vector<event>> decode_events(std::string_view bytes);
std::string encode_state(const state& s, std::uint64_t revision);
result<std::uint64_t> decode_state(std::string_view bytes, state& out);

}  // namespace orrery::model::organisation
