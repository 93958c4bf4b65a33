// One request on its way through the API: who asks, what was asked, and the one answer.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "actors/caller.hpp"
#include "actors/catalogue.hpp"
#include "actors/cluster_desk.hpp"
#include "actors/feed.hpp"
#include "actors/query.hpp"
#include "config/settings.hpp"
#include "model/credentials.hpp"
#include "observe/metrics.hpp"
#include "transport/api/reach.hpp"
#include "transport/api/tokens.hpp"
#include "transport/http_message.hpp"

namespace orrery::transport {
class file_exchange;
class identity_desk;
class device_quota;
class issuance;
class login_guard;
}  // namespace orrery::transport

namespace orrery::transport::api {

/// What all handlers are given.
struct service_parts {
  std::shared_ptr<actors::caller> ask;
  std::shared_ptr<actors::query> query;
  std::shared_ptr<actors::feed> feed;
  std::shared_ptr<actors::cluster_desk> desk;
  std::shared_ptr<const actors::catalogue> known;
  std::shared_ptr<const model::keyring> keys;
  std::shared_ptr<const token_signer> tokens;
  std::shared_ptr<issuance> certificates;
  std::shared_ptr<const login_guard> guard;
  std::shared_ptr<file_exchange> files;
  std::shared_ptr<observe::metrics> metrics;
  std::function<model::timestamp()> now;
  config::settings settings;
  std::uint16_t shard_count = 64;
  std::shared_ptr<device_quota> quota = {};
  std::shared_ptr<identity_desk> identities = {};
  /// Passwords that are being hashed or wait for it.
  std::shared_ptr<std::atomic<int>> hashing = std::make_shared<std::atomic<int>>(0);
  /// Scripts that are being tried or wait for it.
  std::shared_ptr<std::atomic<int>> scripts = std::make_shared<std::atomic<int>>(0);
};

/// Who asks. `actor` names him in records: "user:admin", "key:k3f...".
struct identity {
  std::string organisation;
  std::string actor;
  model::organisation::rights rights;
  std::optional<model::timestamp> expires;  // of the token or key
  std::string login, session;               // of a person; empty for a key
  std::string application = {};             // of a key
  /// For the organisation itself, and so for all that is in it.
  bool may(std::string_view permission) const;
  /// For that product and its devices.
  bool may_for(std::string_view permission, const std::string& product_key) const;
  /// Somewhere at least: in all of the organisation, or where a scope says.
  bool may_for_some(std::string_view permission) const;
  /// For which ones; nothing: for all.
  std::optional<std::set<std::string>> products_for(std::string_view permission) const;
  /// Of the organisation whose installation it is: he may have a hand in the others.
  bool is_operator() const;
};

struct route;

/// A device that the caller may see.
struct found_device {
  model::entity_id id;
  std::uint64_t revision = 0;
  std::shared_ptr<const model::device::state> state;
};

/// What the audit log is to have of a request beside what every request has.
struct audit_facts {
  std::string organisation, actor;  // of a log-in: where, and for whom
  std::string also;                 // another organisation whose log is to have it too
  std::string kind, id;             // of what it is about, where the path does not say so
  std::string device;               // assetId
  std::vector<std::string> ids;     // of many
  std::optional<model::value> before, after;
  bool out_of_reach = false;   // "not found" was said of what is there, but not for the caller
  std::string reason, detail;  // of a failure
};

class exchange : public std::enable_shared_from_this<exchange> {
 public:
  using headers = std::vector<std::pair<std::string, std::string>>;

  exchange(std::shared_ptr<const service_parts> p, std::shared_ptr<const http_request> r,
           responder answer, std::string id);

  const service_parts& parts() const { return *parts_; }
  const http_request& request() const { return *request_; }
  /// A `{name}` of the route's pattern; "" if it has none of that name.
  const std::string& param(std::string_view name) const;
  std::string_view request_id() const { return id_; }

  /// The JSON object in the body; an empty body is an empty object.
  model::result<model::value> body() const;
  /// The one member that the body must have, a text of at most `most` bytes.
  model::result<std::string> text_in_body(std::string_view name, std::size_t most) const;
  /// ?limit=, from 1 to `most`.
  model::result<std::size_t> limit(std::size_t otherwise = 50, std::size_t most = 500) const;
  std::string query(std::string_view name) const;
  /// Of a list that is asked for with its question in the body: `filter`, `sort`, `fields`,
  /// `cursor`, `limit` and the texts of `more` there are from here on parameters of the query.
  /// Fails: `invalid_argument` "malformed", "validation_failed".
  model::status read_question(std::initializer_list<std::string_view> more = {});
  /// The place in ?cursor=, "" without one. Fails: "bad_cursor".
  model::result<std::string> cursor() const;
  /// A time in the query; `otherwise` if it is not there.
  model::result<model::timestamp> time(std::string_view name, model::timestamp otherwise) const;
  /// The revision in If-Match; nothing for * and without the header. Fails: `invalid_argument` for
  /// what is no ETag, `conflict` "etag_mismatch" for one that no revision has; "etag_required" if
  /// it is `required` and not there.
  model::result<std::optional<std::uint64_t>> if_match(bool required = false) const;
  /// A time in the form that the request asks for: RFC 3339, or ms with ?timeFormat=ms.
  model::value show(model::timestamp t) const;

  // The answer: exactly one of these, once.
  /// A GET whose If-None-Match names the ETag in `more` is answered 304.
  void reply(int status, model::value body, headers more = {});
  /// One thing without a revision of its own: its ETag is made of the body.
  void reply_one(model::value body);
  /// A page of a list; `next`: the place where the next one begins, "" after the last.
  /// `more`: members beside the items.
  void reply_page(model::array items, std::string_view next, model::object more = {});
  void reply_empty(int status, headers more = {});
  void fail(const model::failure& why);
  void send(http_response response);

  /// Asks an entity; a failure is the answer. Else `then` runs, on an actor's thread.
  void ask(actors::target whom, actors::any_command what,
           std::function<void(actors::outcome)> then);
  /// Asks about the device of the route, and fails unless the caller sees it.
  void with_device(std::function<void(found_device)> then);
  /// Asks about many, by id or name. Those that are not there or that the caller does not see are
  /// all "device_unknown", each in its place.
  using found_devices = std::vector<model::result<found_device>>;
  void with_devices(std::vector<actors::target> whom, std::function<void(found_devices)> then);
  /// Narrows a filter of devices ("": all) to those that the caller sees; a failure is the answer.
  void with_reach(std::string filter, std::function<void(std::string)> then);
  /// True if what the route does is allowed to the caller for that product and its devices. What it
  /// is not allowed for is, for him, not there.
  bool reaches(const std::string& product_key) const;
  /// The organisation's, and reached.
  bool sees(const model::product::state& p) const;
  /// The organisation that the path names: the caller's own, or (for an operator) another one.
  const std::string& organisation() const;
  /// The product of that key if the caller sees it, else null.
  std::shared_ptr<const actors::catalogue_product> product(const std::string& key) const;
  /// The product of a device that the caller sees, whether he sees the product itself or not.
  std::shared_ptr<const actors::catalogue_product> product_of(const model::device::state& s) const;
  /// X-Revision of a write.
  static headers revision_headers(const actors::outcome& done);
  static std::string etag(std::uint64_t revision);
  /// True if an If-None-Match header names that ETag (RFC 9110, 13.1.2).
  static bool names_etag(std::string_view header, std::string_view etag);

  identity who;
  std::vector<std::pair<std::string, std::string>> params;
  const route* at = nullptr;
  device_reach reach;  // of the caller, for what the route does
  /// Looks at the answer before it leaves (idempotency, metrics).
  std::function<void(const http_response&)> on_reply;
  /// Takes the answer before it leaves, and gives it to `leave` in the end (audit log).
  std::function<void(exchange&, http_response)> on_leaving;
  void leave(http_response response) { answer_(std::move(response)); }
  /// The state before the change, as its reader is shown it; what is replied is the one after.
  void was(model::value state) { facts.before = std::move(state); }
  mutable audit_facts facts;

 private:
  std::string question() const;
  void keep_seen(found_devices all, std::function<void(found_devices)> then);
  std::shared_ptr<const service_parts> parts_;
  std::shared_ptr<const http_request> request_;
  responder answer_;
  std::string id_;
};

/// What filters may ask for of the products of the caller's organisation.
std::vector<product_facts> products_of(const exchange& e);
/// The groups of the caller's organisation.
group_facts groups_of(const exchange& e);
/// Sets what the caller reaches by the route.
void set_reach(exchange& e);
/// By another permission than the route's.
void set_reach(exchange& e, std::string_view permission);

/// Counts that an organisation has come to a limit of its quotas: "soft" or "hard".
observe::counter& quotas_reached(observe::metrics& metrics, const char* limit);

using exchange_ptr = std::shared_ptr<exchange>;
using handler = void (*)(const exchange_ptr&);

}  // namespace orrery::transport::api
