// Log-ins of people who are proved by somebody else: begins them, and learns of OpenID providers
// who came. Whether he is let in is decided in the organisation.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/settings.hpp"
#include "model/credentials.hpp"
#include "model/organisation/organisation.hpp"
#include "model/result.hpp"
#include "model/time.hpp"
#include "net/web_client.hpp"
#include "transport/oidc_provider.hpp"
#include "transport/oidc_token.hpp"

namespace orrery::transport {

struct identity_desk_parts {
  /// Asks another server, as net::web_client does.
  std::function<void(net::web_request, net::web_client::then)> ask;
  std::shared_ptr<const model::keyring> keys;
  std::function<model::timestamp()> now;
};

/// Whose a client's secret is.
std::string secret_owner(const std::string& organisation, const std::string& provider);

/// Thread-safe. Callbacks run once each, on the thread of `ask`'s callbacks or the caller's.
class identity_desk : public std::enable_shared_from_this<identity_desk> {
 public:
  using provider = model::organisation::identity_provider;
  /// So long somebody has to prove who he is.
  static constexpr auto patience = std::chrono::minutes{10};
  /// So many log-ins are with providers at a time, so many of them with one issuer: one that does
  /// not answer keeps nobody from the others. One address may begin and end so many in a minute.
  static constexpr std::size_t max_open = 16;
  static constexpr std::size_t max_open_of_issuer = 4;
  static constexpr std::uint32_t max_of_address = 300;
  static constexpr auto description_counts = std::chrono::hours{1};
  /// Keys are asked for again at most so often, also if somebody names one that is not there.
  static constexpr auto keys_rest = std::chrono::minutes{1};
  static constexpr auto keys_count = std::chrono::hours{1};
  /// What failed is not tried again before.
  static constexpr auto failure_counts = std::chrono::seconds{5};
  static constexpr std::size_t max_remembered = 100;  // providers
  /// Transactions; of more those are forgotten that end first.
  static constexpr std::size_t max_used = 10'000;

  explicit identity_desk(identity_desk_parts p);

  /// Whether that address may begin or go on with a log-in now; it is counted. Fails:
  /// `too_many_requests` "rate_limited".
  model::status admit(const std::string& address);

  struct begun {
    std::string url;          // for the browser
    std::string transaction;  // for `finish`: whoever has it goes on
  };
  using on_begun = std::function<void(model::result<begun>)>;
  /// Fails: `invalid_argument` "redirect_not_allowed"; `unavailable` "idp_unavailable",
  /// "idp_discovery_failed"; `too_many_requests` "rate_limited".
  void begin(const std::string& organisation, const provider& p, const std::string& redirect_uri,
             on_begun done);

  /// A transaction that was given by `begin` on any node and whose time is not over. Fails:
  /// `unauthenticated` "idp_transaction_invalid".
  model::result<login_transaction> open(const std::string& transaction,
                                        const std::string& state) const;

  using on_person = std::function<void(model::result<outside_person>)>;
  /// Exchanges the code. `issuer`: who sent it as the browser has it, "" if it did not say.
  /// What the provider's user info does not answer is done without, but for a claim of roles.
  /// Fails: `unauthenticated` "idp_refused", "idp_token_invalid", "idp_transaction_used";
  /// `conflict` "idp_changed" if the provider is another issuer's or client's than it was; and as
  /// `begin`.
  void finish(const login_transaction& t, const provider& p, const std::string& code,
              const std::string& issuer, on_person done);

 private:
  struct finishing;
  using finishing_ptr = std::shared_ptr<finishing>;
  using on_metadata = std::function<void(const model::result<provider_metadata>&)>;
  using on_keys = std::function<void(const model::result<std::vector<signing_key>>&)>;
  template <class T>
  struct kept {
    model::result<T> what;
    model::timestamp at;
  };

  bool take_place(const std::string& issuer);
  void leave_place(const std::string& issuer);
  /// False if it was used before.
  bool use(const login_transaction& t);
  void describe(const std::string& issuer, const on_metadata& then);
  /// `fresh`: those that are kept do not do.
  void find_keys(const std::string& url, bool fresh, const on_keys& then);
  void exchange(const finishing_ptr& f);
  void check_token(const finishing_ptr& f, bool again);
  void complete(const finishing_ptr& f, model::value claims);
  template <class T>
  static void keep(std::map<std::string, kept<T>>& all, const std::string& name, kept<T> what);

  identity_desk_parts parts_;
  mutable std::mutex mutex_;
  std::size_t open_ = 0;
  std::map<std::string, std::size_t> open_of_;    // by issuer; none of 0
  std::map<std::string, std::uint32_t> counted_;  // by address, in a minute
  model::timestamp counted_since_{};
  std::map<std::string, kept<provider_metadata>> descriptions_;     // by issuer
  std::map<std::string, kept<std::vector<signing_key>>> key_sets_;  // by URL
  std::map<std::string, model::timestamp> used_;                    // sessions of transactions
};

}  // namespace orrery::transport
