// What the calls about an organisation's people share (people.cpp, log_ins.cpp, roles.cpp,
// applications.cpp, organisations.cpp).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transport/api/exchange.hpp"
#include "transport/api/fields.hpp"

namespace orrery::transport {
struct device_room;
}

namespace orrery::transport::api {

/// Null if there is none of that id.
std::shared_ptr<const actors::catalogue_organisation> find_organisation(const service_parts& parts,
                                                                        const std::string& id);
/// That of the caller; it was there when he was looked up.
std::shared_ptr<const actors::catalogue_organisation> own_organisation(const exchange& e);

actors::any_command order_of(const exchange& e, model::organisation::order what,
                             std::optional<std::uint64_t> expected = {});
/// The organisation as it is after an order.
std::shared_ptr<const model::organisation::state> organisation_in(const actors::outcome& done);
/// X-Revision, and the ETag of what has that revision.
exchange::headers headers_of(const actors::outcome& done, std::uint64_t revision);

/// Hashing takes tens of milliseconds: it runs on the query pool, and only so much of it may wait,
/// so that nobody can stop the reads of others by guessing passwords. Else it is answered.
void on_hashing_thread(const exchange_ptr& e, std::function<void()> work);

model::value texts(const std::vector<std::string>& all);
/// Reads roles that the organisation has.
std::optional<std::vector<std::string>> read_roles(fields& f,
                                                   const model::organisation::state& org);
/// The tokens of a session, as a log-in is answered.
model::value tokens_for(const service_parts& parts, const std::string& org,
                        const model::organisation::login_session& session);
/// Whose log-in it is, for the audit log: somebody who is there.
void concerns(const exchange& e, const std::string& org, const std::string& login);
/// A password that is long enough, "" if it is none and was noted.
std::string read_password(fields& f);
model::object show_scope(const model::organisation::scope& s);
model::object show_grant(const model::organisation::grant& g);

/// Why the caller may not give these: nobody gives what he does not have.
std::optional<model::failure> beyond(const exchange& e, const model::organisation::rights& given);
/// Why the caller may not touch `whom`, who has these: he would take over what he does not have.
std::optional<model::failure> above(const exchange& e, const model::organisation::rights& has,
                                    const std::string& whom);

/// Says so once, where one more of that item goes beyond the organisation's soft limit.
void note_quota(const exchange& e, const model::organisation::state& org, std::string_view item,
                std::uint64_t used);
/// So much of something the caller's organisation has, with the last `news` of it.
struct quota_use {
  std::string_view item;
  std::uint64_t used = 0, news = 0;
  std::optional<std::uint64_t> soft = {}, hard = {};
};
quota_use use_of(const device_room& room);
/// Whoever goes beyond the soft limit is told so, and once the log.
void warn_of_quota(const exchange& e, const quota_use& now, exchange::headers& headers);
/// Says that it was passed.
void note_soft_limit(const exchange& e, const std::string& organisation, std::string_view item,
                     std::uint64_t used, std::uint64_t soft);
/// Why there may be no more products ("products") or models ("models") of the caller's
/// organisation.
model::status check_catalogue_quota(const exchange& e, std::string_view item);
/// Those that there are.
std::uint64_t count_in_catalogue(const exchange& e, const std::string& organisation,
                                 std::string_view item);

}  // namespace orrery::transport::api
