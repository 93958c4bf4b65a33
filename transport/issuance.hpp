// Certificates of devices: the authorities of organisations, what they sign and take back. REST and
// the devices' own topics come here alike.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "actors/caller.hpp"
#include "actors/catalogue.hpp"
#include "model/credentials.hpp"
#include "model/organisation/organisation.hpp"
#include "net/authority.hpp"
#include "net/client_trust.hpp"

namespace orrery::transport {

/// Runs work that takes milliseconds, or seconds where a key is made, elsewhere.
using work_pool = std::function<void(std::function<void()>)>;

struct issuance_parts {
  std::shared_ptr<actors::caller> ask;
  std::shared_ptr<const actors::catalogue> known;
  std::shared_ptr<const model::keyring> keys;
  std::function<model::timestamp()> now;
  work_pool pool;
};

/// What a certificate is asked for.
struct certificate_order {
  std::string organisation, actor;
  model::entity_id device;
  std::string csr;  // PEM; of a renewal it may be empty: the key stays
  std::int64_t days = 730;
  /// Nothing: the predecessor's authority, or the one with keys of the request's sort.
  std::optional<model::organisation::certificate_authority::algorithm> issuer;
  std::optional<model::device::certificate> renews;
  std::string renews_sn;  // instead: as find_certificate takes it
  model::milliseconds overlap{std::chrono::hours{24 * 7}};
};

struct issued_certificate {
  model::device::certificate what;
  model::organisation::certificate_authority::algorithm issuer;
  std::string chain;  // PEM: the authority's certificate, and those above it
  actors::outcome done;
};

/// What an authority's key is sealed for (keyring::seal).
std::string authority_key_owner(const std::string& organisation, const std::string& authority);

/// Whom the TLS ports trust: the authorities of all organisations but those that are pending. Which
/// device a certificate is good for is for the device's own record to say.
net::client_trust trusted_by(const actors::catalogue_snapshot& all);

/// The organisation's external authorities alone, without those that are pending: who may have
/// signed what is bound.
net::client_trust external_authorities(const model::organisation::state& of);

/// An authority from its certificate and those above it (PEM), pending, with a nonce. It has to be
/// unlike all that are trusted, and those of the organisation: two of one name would stand in each
/// other's way. Fails: `invalid_argument`, "authority_invalid", "certificate_invalid";
/// `already_exists`, "authority_exists".
model::result<model::organisation::certificate_authority> read_authority(
    const std::string& pem, const std::string& for_organisation,
    const actors::catalogue_snapshot& all);

/// Whether that certificate (PEM) proves the key of a pending authority: signed by it, not by one
/// below it, good now, and called as its nonce. Fails: `invalid_argument`, "certificate_invalid",
/// "proof_invalid"; `already_exists`, "authority_exists", if another organisation was quicker.
model::status check_proof(const model::organisation::certificate_authority& of,
                          const std::string& pem, const std::string& organisation,
                          const actors::catalogue_snapshot& all, model::timestamp now);

/// What a device keeps of a certificate that somebody else has signed. Fails as
/// client_judge::examine.
model::result<model::device::certificate> read_certificate(const std::string& pem,
                                                           const model::organisation::state& of);

/// By its handle, in decimal digits, or its serial number, in hexadecimal ones; null: the device
/// has none of that.
const model::device::certificate* find_certificate(const model::device::state& of,
                                                   const std::string& sn);

/// Thread-safe. Callbacks run on an actor's thread or one of the pool.
class issuance : public std::enable_shared_from_this<issuance> {
 public:
  template <class T>
  using then = std::function<void(model::result<T>)>;

  explicit issuance(issuance_parts parts) : parts_{std::move(parts)} {}

  /// Signs, binds to the device, then calls back. Makes the organisation's authority if it is not
  /// there yet. Fails: `not_found`, "certificate_unknown", for the renewal of what is not there;
  /// what certificate_request::read and authority::issue fail with, `not_found`, "org_unknown";
  /// `conflict`, "certificate_foreign" for the renewal of what no built-in authority signed;
  /// `too_many_requests`; what the device says.
  void issue(certificate_order wanted, then<issued_certificate> done);

  /// A revocation list, signed now or within the hour. Fails: `internal` if the key does not open.
  model::result<net::revocation_list> list_of(const std::string& organisation,
                                              const model::organisation::certificate_authority& of);

 private:
  using algorithm = model::organisation::certificate_authority::algorithm;
  using authority_state = model::organisation::certificate_authority;
  struct work;
  void find_predecessor(const std::shared_ptr<work>& w);
  void with_authority(const std::shared_ptr<work>& w);
  void make_authority(const std::shared_ptr<work>& w, const model::entity_id& organisation);
  void sign(const std::shared_ptr<work>& w, const authority_state& by);
  void finish(const std::shared_ptr<work>& w, model::result<issued_certificate> out);

  issuance_parts parts_;
  std::atomic<int> open_{0};
  struct kept_list {
    std::string state;  // what it was made of
    net::revocation_list list;
  };
  std::mutex mutex_;
  std::map<std::string, kept_list, std::less<>> lists_;  // by organisation + '/' + authority
};

}  // namespace orrery::transport
