// The rules about identity providers and the log-ins that they prove. For rules.cpp; what a log-in
// looks at before it asks a provider is here too.
#pragma once

#include <string>
#include <string_view>

#include "model/organisation/organisation.hpp"

namespace orrery::model::organisation {

result<decision> decide_on(const state&, const command&, const put_provider&, const surroundings&);
result<decision> decide_on(const state&, const command&, const remove_provider&,
                           const surroundings&);
result<decision> decide_on(const state&, const command&, const open_external_session&,
                           const surroundings&);

/// Fails: `invalid_argument` "provider_invalid", "role_invalid".
status check_provider(const state& s, const identity_provider& p);

/// https, or http to this machine itself; a host, perhaps a port and a path, and nothing else.
bool is_provider_url(std::string_view url);
/// http to this machine itself.
bool is_loopback_url(std::string_view url);
/// Whether people may be sent back there with their code: a port of their own machine (RFC 8252,
/// 7.3), or one of the provider's addresses.
bool allows_redirect(const identity_provider& p, std::string_view uri);

/// What a claimed name is as a login: characters that no login has are '-'; "" stays "".
std::string login_from(std::string_view claimed);
/// The roles that those values of the claim give, beside the default ones; each once.
std::vector<std::string> roles_from(const identity_provider& p,
                                    const std::vector<std::string>& values);
/// All that people can get by it: what it gives, and what those have who are known by its issuer,
/// since another client of an issuer can bring any of its subjects. Everything where people are
/// linked by their mail: whoever speaks for it can be anybody who is there.
rights rights_by(const state& s, const identity_provider& p);
/// Whether a mail is of a domain that the provider speaks for.
bool is_of_domains(const identity_provider& p, std::string_view mail);

void apply_on(state& s, const provider_set& e);
void apply_on(state& s, const provider_removed& e);
void apply_on(state& s, const identity_linked& e);

}  // namespace orrery::model::organisation
