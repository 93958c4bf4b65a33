#include "transport/identity_desk.hpp"

#include <algorithm>
#include <optional>

#include "model/json.hpp"
#include "model/organisation/providers.hpp"
#include "observe/log.hpp"
#include "transport/address_range.hpp"
#include "transport/base64url.hpp"

namespace orrery::transport {
namespace {

namespace log = observe::log;
using model::errc;
using model::failure;

constexpr auto owner = "log-in by an identity provider";
constexpr std::size_t max_addresses = 10'000;
constexpr auto window = std::chrono::minutes{1};

failure not_described(const std::string& why) {
  return {errc::unavailable, "idp_discovery_failed", why};
}
failure too_many() {
  return {errc::too_many_requests, "rate_limited", "too many log-ins are with identity providers"};
}

}  // namespace

std::string secret_owner(const std::string& organisation, const std::string& provider) {
  return "identity-provider:" + organisation + "/" + provider;
}

/// A log-in on its way back.
struct identity_desk::finishing {
  login_transaction of;
  provider by;
  std::string code, issuer;
  on_person done;
  provider_metadata at;
  provider_tokens tokens;
  token_head head;
  std::shared_ptr<identity_desk> desk;

  void end(const model::result<outside_person>& with) {
    if (!done)
      return;
    desk->leave_place(by.issuer);
    if (!with)
      log::warn("identity", "log-in refused",
                {{"organisation", of.organisation},
                 {"provider", of.provider},
                 {"reason", with.error().reason},
                 {"detail", with.error().detail}});
    std::exchange(done, {})(with);
  }
};

identity_desk::identity_desk(identity_desk_parts p) : parts_{std::move(p)} {}

model::status identity_desk::admit(const std::string& address) {
  const auto now = parts_.now();
  const auto who = address_group(address);
  const auto hold = std::lock_guard{mutex_};
  if (counted_since_ + window <= now) {
    counted_.clear();
    counted_since_ = now;
  }
  if ((counted_.size() >= max_addresses && !counted_.contains(who)) ||
      ++counted_[who] > max_of_address)
    return failure{errc::too_many_requests, "rate_limited",
                   "too many log-ins by identity providers from there; ask again in a minute"};
  return {};
}

bool identity_desk::take_place(const std::string& issuer) {
  const auto hold = std::lock_guard{mutex_};
  const auto of = open_of_.find(issuer);
  if (open_ >= max_open || (of != open_of_.end() && of->second >= max_open_of_issuer))
    return false;
  ++open_;
  ++open_of_[issuer];
  return true;
}
void identity_desk::leave_place(const std::string& issuer) {
  const auto hold = std::lock_guard{mutex_};
  --open_;
  if (const auto of = open_of_.find(issuer); of != open_of_.end() && --of->second == 0)
    open_of_.erase(of);
}

bool identity_desk::use(const login_transaction& t) {
  const auto now = parts_.now();
  const auto hold = std::lock_guard{mutex_};
  if (used_.contains(t.session))
    return false;
  if (used_.size() >= max_used)
    std::erase_if(used_, [&](const auto& one) { return one.second <= now; });
  if (used_.size() >= max_used)  // the organisation holds each to once, too
    used_.erase(std::min_element(used_.begin(), used_.end(),
                                 [](const auto& a, const auto& b) { return a.second < b.second; }));
  used_.emplace(t.session, t.until);
  return true;
}

template <class T>
void identity_desk::keep(std::map<std::string, kept<T>>& all, const std::string& name,
                         kept<T> what) {
  if (all.size() >= max_remembered && !all.contains(name))
    all.erase(std::min_element(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.second.at < b.second.at;
    }));
  all.insert_or_assign(name, std::move(what));
}

void identity_desk::describe(const std::string& issuer, const on_metadata& then) {
  auto known = std::optional<model::result<provider_metadata>>{};
  const auto now = parts_.now();
  {
    const auto hold = std::lock_guard{mutex_};
    if (const auto found = descriptions_.find(issuer); found != descriptions_.end())
      if (const model::milliseconds counts = found->second.what
                                                 ? model::milliseconds{description_counts}
                                                 : model::milliseconds{failure_counts};
          found->second.at + counts > now)
        known = found->second.what;
  }
  if (known)
    return then(*known);
  parts_.ask({.url = description_url(issuer), .headers = {{"Accept", "application/json"}}},
             [self = shared_from_this(), issuer, then](const model::result<net::web_reply>& got) {
               auto what = model::result<provider_metadata>{not_described(
                   got ? "the provider's description answers " + std::to_string(got->status)
                       : got.error().detail)};
               if (got && got->status == 200) {
                 what = read_description(got->body, issuer);
                 if (!what)
                   what = not_described(what.error().detail);
               }
               {
                 const auto hold = std::lock_guard{self->mutex_};
                 keep(self->descriptions_, issuer, {what, self->parts_.now()});
               }
               then(what);
             });
}

void identity_desk::find_keys(const std::string& url, bool fresh, const on_keys& then) {
  auto known = std::optional<model::result<std::vector<signing_key>>>{};
  const auto now = parts_.now();
  {
    const auto hold = std::lock_guard{mutex_};
    if (const auto found = key_sets_.find(url); found != key_sets_.end()) {
      const model::milliseconds counts = !found->second.what ? model::milliseconds{failure_counts}
                                         : fresh             ? model::milliseconds{keys_rest}
                                                             : model::milliseconds{keys_count};
      if (found->second.at + counts > now)
        known = found->second.what;
    }
  }
  if (known)
    return then(*known);
  parts_.ask({.url = url, .headers = {{"Accept", "application/json"}}},
             [self = shared_from_this(), url, then](const model::result<net::web_reply>& got) {
               auto what = model::result<std::vector<signing_key>>{
                   failure{errc::unavailable, "idp_unavailable",
                           got ? "the provider's keys answer " + std::to_string(got->status)
                               : got.error().detail}};
               if (got && got->status == 200) {
                 what = read_keys(got->body);
                 if (!what)
                   what = failure{errc::unavailable, "idp_unavailable", what.error().detail};
               }
               {
                 const auto hold = std::lock_guard{self->mutex_};
                 keep(self->key_sets_, url, {what, self->parts_.now()});
               }
               then(what);
             });
}

void identity_desk::begin(const std::string& organisation, const provider& p,
                          const std::string& redirect_uri, on_begun done) {
  if (!model::organisation::allows_redirect(p, redirect_uri))
    return done(failure{errc::invalid_argument, "redirect_not_allowed",
                        "people are sent back to a port of their own machine (http://127.0.0.1), "
                        "or to one of the provider's redirectUris"});
  if (!take_place(p.issuer))
    return done(too_many());
  auto t = login_transaction{.organisation = organisation,
                             .provider = p.id,
                             .issuer = p.issuer,
                             .client_id = p.client_id,
                             .redirect_uri = redirect_uri,
                             .state = model::random_text(32),
                             .nonce = model::random_text(32),
                             .verifier = model::random_text(64),
                             .session = model::random_text(16),
                             .until = parts_.now() + patience};
  describe(p.issuer, [self = shared_from_this(), p, t = std::move(t),
                      done = std::move(done)](const model::result<provider_metadata>& at) {
    self->leave_place(p.issuer);
    if (!at)
      return done(at.error());
    done(begun{authorization_url(*at, p, t),
               to_base64url(self->parts_.keys->seal(write_transaction(t), owner).bytes)});
  });
}

model::result<login_transaction> identity_desk::open(const std::string& transaction,
                                                     const std::string& state) const {
  const auto wrong = failure{errc::unauthenticated, "idp_transaction_invalid",
                             "that log-in was not begun here, or too long ago: begin again"};
  const auto sealed = from_base64url(transaction);
  const auto text = sealed ? parts_.keys->open(model::sealed_secret{*sealed}, owner) : std::nullopt;
  auto t = text ? read_transaction(*text) : std::nullopt;
  if (!t || t->until <= parts_.now() || !model::equal_in_constant_time(t->state, state))
    return wrong;
  return *t;
}

void identity_desk::finish(const login_transaction& t, const provider& p, const std::string& code,
                           const std::string& issuer, on_person done) {
  if (t.issuer != p.issuer || t.client_id != p.client_id)
    return done(
        failure{errc::conflict, "idp_changed", "the identity provider was changed meanwhile"});
  if (!take_place(p.issuer))
    return done(too_many());
  auto f = std::make_shared<finishing>();
  f->of = t;
  f->by = p;
  f->code = code;
  f->issuer = issuer;
  f->done = std::move(done);
  f->desk = shared_from_this();
  describe(p.issuer, [f](const model::result<provider_metadata>& at) {
    if (!at)
      return f->end(at.error());
    f->at = *at;
    if (f->issuer.empty() ? at->names_itself : f->issuer != at->issuer)  // RFC 9207, 2.4
      return f->end(
          failure{errc::unauthenticated, "idp_refused", "the code is of another provider"});
    if (!f->desk->use(f->of))  // not before: whoever was sent a wrong code can still come back
      return f->end(failure{errc::unauthenticated, "idp_transaction_used",
                            "that log-in was made already: begin again"});
    f->desk->exchange(f);
  });
}

void identity_desk::exchange(const finishing_ptr& f) {
  auto secret = std::string{};
  if (!f->by.client_secret.empty()) {
    const auto opened =
        parts_.keys->open(f->by.client_secret, secret_owner(f->of.organisation, f->by.id));
    if (!opened)
      return f->end(failure{errc::internal, "", "the client's secret does not open"});
    secret = *opened;
  }
  parts_.ask(code_exchange(f->at, f->by, secret, f->of, f->code),
             [f](const model::result<net::web_reply>& got) {
               if (!got)
                 return f->end(failure{errc::unavailable, "idp_unavailable", got.error().detail});
               auto tokens = read_tokens(*got);
               if (!tokens)
                 return f->end(tokens.error());
               f->tokens = std::move(*tokens);
               const auto head = read_token_head(f->tokens.id_token);
               if (!head)
                 return f->end(head.error());
               f->head = *head;
               f->desk->check_token(f, false);
             });
}

void identity_desk::check_token(const finishing_ptr& f, bool again) {
  find_keys(f->at.keys, again, [f, again](const model::result<std::vector<signing_key>>& keys) {
    if (!keys)
      return f->end(keys.error());
    const auto* key = find_key(*keys, f->head);
    if (!key && !again)  // it may be a new one
      return f->desk->check_token(f, true);
    if (!key)
      return f->end(failure{errc::unauthenticated, "idp_token_invalid",
                            "the provider has no such key: " + f->head.key_id.substr(0, 64)});
    auto claims = read_token(f->tokens.id_token, f->head, *key);
    if (!claims)
      return f->end(claims.error());
    const auto wants =
        token_wants{f->at.issuer, f->by.client_id, f->of.nonce, f->desk->parts_.now()};
    if (auto ok = check_claims(*claims, wants); !ok)
      return f->end(ok.error());
    f->desk->complete(f, std::move(*claims));
  });
}

void identity_desk::complete(const finishing_ptr& f, model::value claims) {
  if (f->at.user_info.empty() || f->tokens.access_token.empty() || !lacks_claims(claims, f->by))
    return f->end(person_of(claims, f->by));
  parts_.ask({.url = f->at.user_info,
              .headers = {{"Accept", "application/json"},
                          {"Authorization", "Bearer " + f->tokens.access_token}}},
             [f, claims = std::move(claims)](const model::result<net::web_reply>& got) {
               auto info = model::result<model::value>{
                   failure{errc::unavailable,
                           got ? "it answers " + std::to_string(got->status) : got.error().detail}};
               if (got && got->status == 200)
                 info = model::parse_json(got->body, {.max_bytes = 256 * 1024, .max_depth = 16});
               if (info && !info->is_object())
                 info = failure{errc::unavailable, "it is no JSON object"};
               if (!info) {
                 const auto why = "the provider's user info cannot be had: " + info.error().detail;
                 if (lacks_roles(claims, f->by))  // without them he would lose what he has
                   return f->end(failure{errc::unavailable, "idp_unavailable", why});
                 log::warn("identity", "no user info",
                           {{"organisation", f->of.organisation},
                            {"provider", f->of.provider},
                            {"detail", why}});
                 return f->end(person_of(claims, f->by));
               }
               const auto all = with_user_info(claims, *info);
               if (!all)
                 return f->end(all.error());
               f->end(person_of(*all, f->by));
             });
}

}  // namespace orrery::transport
