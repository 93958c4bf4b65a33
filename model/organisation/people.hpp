// The rules about people, their roles and log-ins, and about applications and their keys. For
// rules.cpp.
#pragma once

#include "model/organisation/organisation.hpp"

namespace orrery::model::organisation {

result<decision> decide_on(const state&, const command&, const create_user&, const surroundings&);
result<decision> decide_on(const state&, const command&, const update_user&, const surroundings&);
result<decision> decide_on(const state&, const command&, const lock_user&, const surroundings&);
result<decision> decide_on(const state&, const command&, const set_password&, const surroundings&);
result<decision> decide_on(const state&, const command&, const remove_user&, const surroundings&);
result<decision> decide_on(const state&, const command&, const set_second_factor&,
                           const surroundings&);
result<decision> decide_on(const state&, const command&, const confirm_second_factor&,
                           const surroundings&);
result<decision> decide_on(const state&, const command&, const remove_second_factor&,
                           const surroundings&);
result<decision> decide_on(const state&, const command&, const note_bad_login&,
                           const surroundings&);
result<decision> decide_on(const state&, const command&, const open_session&, const surroundings&);
result<decision> decide_on(const state&, const command&, const keep_session&, const surroundings&);
result<decision> decide_on(const state&, const command&, const end_session&, const surroundings&);
result<decision> decide_on(const state&, const command&, const put_role&, const surroundings&);
result<decision> decide_on(const state&, const command&, const remove_role&, const surroundings&);
result<decision> decide_on(const state&, const command&, const create_application&,
                           const surroundings&);
result<decision> decide_on(const state&, const command&, const update_application&,
                           const surroundings&);
result<decision> decide_on(const state&, const command&, const remove_application&,
                           const surroundings&);
result<decision> decide_on(const state&, const command&, const create_key&, const surroundings&);
result<decision> decide_on(const state&, const command&, const rotate_key&, const surroundings&);
result<decision> decide_on(const state&, const command&, const revoke_key&, const surroundings&);

/// Roles that somebody is given have to be there.
status check_roles(const state& s, const std::vector<std::string>& roles);
/// Opens a session of somebody who is there: of too many of one person the oldest ends, and what is
/// over is swept.
void open_one(const state& s, const login_session& what, timestamp now, std::vector<event>& events);
/// As a new person has to be. Fails as `create_user`.
status check_new_user(const state& s, const user& who);

void apply_on(state& s, const user_set& e);
void apply_on(state& s, const user_removed& e);
void apply_on(state& s, const session_set& e);
void apply_on(state& s, const session_ended& e);
void apply_on(state& s, const role_set& e);
void apply_on(state& s, const role_removed& e);
void apply_on(state& s, const application_set& e);
void apply_on(state& s, const application_removed& e);
void apply_on(state& s, const key_set& e);
void apply_on(state& s, const key_removed& e);

}  // namespace orrery::model::organisation
