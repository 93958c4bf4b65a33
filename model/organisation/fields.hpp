// What the structs of an organisation are made of, for its encodings: on disk (encoding.cpp) and
// between nodes (wire.cpp). The order of fields is for ever, and so is that of a variant's
// alternatives; new ones come last, and with a new version of what has them.
#pragma once

#include "model/encoding.hpp"
#include "model/organisation/organisation.hpp"

namespace orrery::model::organisation {

template <field_of<scope> X>
auto fields_of(X& x) {
  return std::tie(x.products, x.groups, x.tree_nodes);
}
template <field_of<role> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.description, x.permissions, x.within, x.created_at, x.updated_at,
                  x.actor, x.revision);
}
template <field_of<second_factor> X>
auto fields_of(X& x) {
  return std::tie(x.secret, x.confirmed, x.last_step, x.spare_codes);
}
template <field_of<user> X>
auto fields_of(X& x) {
  return std::tie(x.login, x.name, x.roles, x.password_hash, x.failures, x.locked_until,
                  x.created_at, x.mail, x.locked, x.second, x.revision);
}
template <field_of<application> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.name, x.roles, x.created_at, x.actor, x.revision);
}
template <field_of<quota> X>
auto fields_of(X& x) {
  return std::tie(x.item, x.soft, x.hard);
}
template <field_of<api_key> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.name, x.secret_sha256, x.permissions, x.expires, x.ip_allow, x.created_at,
                  x.actor, x.topics, x.roles, x.replaced_by);
}
template <field_of<login_session> X>
auto fields_of(X& x) {
  return std::tie(x.login, x.id, x.until, x.generation, x.refreshed_at);
}
constexpr auto range_of(certificate_authority::origin) {
  return std::pair{certificate_authority::origin::built_in,
                   certificate_authority::origin::external};
}
constexpr auto range_of(certificate_authority::algorithm) {
  return std::pair{certificate_authority::algorithm::rsa, certificate_authority::algorithm::ecc};
}
template <field_of<revocation> X>
auto fields_of(X& x) {
  return std::tie(x.serial, x.at, x.reason, x.until);
}
template <field_of<certificate_authority> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.kind, x.keys, x.subject, x.certificates, x.not_after, x.key, x.created_at,
                  x.actor, x.list_number, x.revoked, x.list, x.nonce);
}
constexpr auto range_of(ban::kind) {
  return std::pair{ban::kind::device, ban::kind::certificate};
}
template <field_of<ban> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.subject, x.until, x.reason, x.created_at, x.actor);
}
constexpr auto range_of(device_group::kind) {
  return std::pair{device_group::kind::fixed, device_group::kind::by_rule};
}
template <field_of<device_group> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.name, x.description, x.what, x.rule, x.created_at, x.updated_at, x.actor,
                  x.revision);
}
template <field_of<role_mapping> X>
auto fields_of(X& x) {
  return std::tie(x.value, x.roles);
}
template <field_of<identity_provider> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.name, x.issuer, x.client_id, x.client_secret, x.scopes, x.login_claim,
                  x.name_claim, x.mail_claim, x.role_claim, x.role_map, x.default_roles,
                  x.creates_users, x.links_by_mail, x.mail_domains, x.redirect_uris, x.enabled,
                  x.created_at, x.updated_at, x.actor, x.revision);
}
template <field_of<identity_link> X>
auto fields_of(X& x) {
  return std::tie(x.issuer, x.subject, x.login, x.linked_at);
}
template <field_of<create_organisation> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.name, x.locale, x.time_zone, x.first);
}
template <field_of<created> X>
auto fields_of(X& x) {
  return std::tie(x.as, x.at);
}
template <field_of<updated> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.locale, x.time_zone, x.at);
}
template <field_of<user_set> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<user_removed> X>
auto fields_of(X& x) {
  return std::tie(x.login);
}
template <field_of<key_set> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<key_removed> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<session_set> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<session_ended> X>
auto fields_of(X& x) {
  return std::tie(x.login, x.id);
}
template <field_of<authority_set> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<authority_removed> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<revocation_listed> X>
auto fields_of(X& x) {
  return std::tie(x.authority, x.what);
}
template <field_of<revocations_set> X>
auto fields_of(X& x) {
  return std::tie(x.authority, x.list, x.at);
}
template <field_of<topics_opened> X>
auto fields_of(X& x) {
  return std::tie(x.shard);
}
template <field_of<authority_proved> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.at);
}
template <field_of<ban_set> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<ban_removed> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<removed> X>
auto fields_of(X& x) {
  return std::tie(x.at);
}
template <field_of<suspended> X>
auto fields_of(X& x) {
  return std::tie(x.now, x.reason, x.at);
}
template <field_of<quotas_set> X>
auto fields_of(X& x) {
  return std::tie(x.all);
}
template <field_of<role_set> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<role_removed> X>
auto fields_of(X& x) {
  return std::tie(x.name);
}
template <field_of<application_set> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<application_removed> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<group_set> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<group_removed> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<reveal_set> X>
auto fields_of(X& x) {
  return std::tie(x.now, x.at);
}
template <field_of<configuration> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.name, x.description, x.target, x.priority, x.desired, x.enabled,
                  x.version, x.created_at, x.updated_at, x.actor, x.revision, x.labels);
}
template <field_of<configuration_set> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<configuration_removed> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<provider_set> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<provider_removed> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<identity_linked> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
/// Of a state of version 3.
template <field_of<state> X>
auto fields_of_version_3(X& x) {
  return std::tie(x.exists, x.deleted, x.id, x.name, x.users, x.keys, x.created_at, x.revision,
                  x.sessions, x.authorities, x.topic_shards, x.bans, x.roles, x.applications,
                  x.quotas, x.is_suspended, x.suspend_reason, x.locale, x.time_zone, x.groups,
                  x.reveals_secrets, x.device_limits);
}
template <field_of<state> X>
auto fields_of(X& x) {
  return std::tuple_cat(fields_of_version_3(x),
                        std::tie(x.providers, x.identities, x.configurations));
}

// Between nodes.

template <field_of<update_organisation> X>
auto fields_of(X& x) {
  return std::tie(x.name, x.locale, x.time_zone, x.reveals_secrets);
}
template <field_of<suspend_organisation> X>
auto fields_of(X& x) {
  return std::tie(x.suspended, x.reason);
}
template <field_of<set_quotas> X>
auto fields_of(X& x) {
  return std::tie(x.all);
}
template <field_of<update_user> X>
auto fields_of(X& x) {
  return std::tie(x.login, x.name, x.mail, x.roles);
}
template <field_of<lock_user> X>
auto fields_of(X& x) {
  return std::tie(x.login, x.locked);
}
template <field_of<set_second_factor> X>
auto fields_of(X& x) {
  return std::tie(x.login, x.secret, x.spare_codes);
}
template <field_of<confirm_second_factor> X>
auto fields_of(X& x) {
  return std::tie(x.login, x.step, x.secret);
}
template <field_of<remove_second_factor> X>
auto fields_of(X& x) {
  return std::tie(x.login, x.by_code, x.step, x.spare_code, x.secret);
}
template <field_of<put_role> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.is_new);
}
template <field_of<remove_role> X>
auto fields_of(X& x) {
  return std::tie(x.name);
}
template <field_of<put_group> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.is_new);
}
template <field_of<remove_group> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<put_configuration> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.is_new);
}
template <field_of<remove_configuration> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<create_application> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<update_application> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.name, x.roles);
}
template <field_of<remove_application> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<rotate_key> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.new_id, x.secret_sha256, x.overlap);
}
template <field_of<create_user> X>
auto fields_of(X& x) {
  return std::tie(x.who);
}
template <field_of<set_password> X>
auto fields_of(X& x) {
  return std::tie(x.login, x.password_hash);
}
template <field_of<remove_user> X>
auto fields_of(X& x) {
  return std::tie(x.login);
}
template <field_of<note_bad_login> X>
auto fields_of(X& x) {
  return std::tie(x.login);
}
template <field_of<open_session> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.step, x.spare_code, x.password_hash, x.second);
}
template <field_of<keep_session> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<end_session> X>
auto fields_of(X& x) {
  return std::tie(x.login, x.id);
}
template <field_of<put_provider> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.keeps_secret);
}
template <field_of<remove_provider> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<open_external_session> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.provider, x.issuer, x.client_id, x.subject, x.login, x.name, x.mail,
                  x.mail_verified, x.values);
}
template <field_of<create_key> X>
auto fields_of(X& x) {
  return std::tie(x.key);
}
template <field_of<revoke_key> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<add_authority> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<remove_authority> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<list_revocation> X>
auto fields_of(X& x) {
  return std::tie(x.authority, x.what);
}
template <field_of<set_revocations> X>
auto fields_of(X& x) {
  return std::tie(x.authority, x.list);
}
template <field_of<open_topics> X>
auto fields_of(X& x) {
  return std::tie(x.shard);
}
template <field_of<prove_authority> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.nonce);
}
template <field_of<set_ban> X>
auto fields_of(X& x) {
  return std::tie(x.what);
}
template <field_of<remove_ban> X>
auto fields_of(X& x) {
  return std::tie(x.id);
}
template <field_of<command> X>
auto fields_of(X& x) {
  return std::tie(x.what, x.actor, x.expected_revision);
}
template <field_of<organisation_snapshot> X>
auto fields_of(X& x) {
  return std::tie(x.id, x.what);
}

}  // namespace orrery::model::organisation
