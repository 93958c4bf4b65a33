// Log-ins by identity providers (group A of the API): authorization code flow with PKCE. Whoever
// begins one gets a URL for a browser, and a sealed transaction that he alone goes on with.
#include "transport/api/people.hpp"
#include "transport/api/routes.hpp"
#include "transport/identity_desk.hpp"

namespace orrery::transport::api {
namespace {

namespace organisation = model::organisation;
using model::errc;
using model::failure;

const auto not_known =
    failure{errc::not_found, "idp_unknown", "no such identity provider, or it is not in use"};

/// The organisation and its provider, if they may be used now.
struct found_provider {
  std::shared_ptr<const actors::catalogue_organisation> org;
  const organisation::identity_provider* what = nullptr;
};
model::result<found_provider> find_provider(const exchange& e, const std::string& organisation,
                                            const std::string& id) {
  auto f = found_provider{find_organisation(e.parts(), organisation), nullptr};
  f.what = f.org ? f.org->state->find_provider(id) : nullptr;
  if (!f.what || !f.what->enabled)
    return not_known;
  if (f.org->state->is_suspended)
    return failure{errc::forbidden, "org_suspended", "the organisation is suspended"};
  return f;
}

void begin(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto org = f.text("organisation", 64).value_or("default");
  const auto id = f.text("provider", 64);
  const auto redirect = f.text("redirectUri", 512);
  if (!id && !f.has("provider"))
    f.missing("provider");
  if (!redirect && !f.has("redirectUri"))
    f.missing("redirectUri");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (auto ok = e->parts().identities->admit(e->request().peer); !ok)
    return e->fail(ok.error());
  const auto found = find_provider(*e, org, *id);
  if (!found)
    return e->fail(found.error());
  e->parts().identities->begin(
      org, *found->what, *redirect, [e](const model::result<identity_desk::begun>& b) {
        if (!b)
          return e->fail(b.error());
        constexpr auto patience = std::chrono::seconds{identity_desk::patience};
        e->reply(200, model::object{{"url", b->url},
                                    {"transaction", b->transaction},
                                    {"expiresIn", static_cast<std::int64_t>(patience.count())}});
      });
}

/// The provider says who comes: the organisation decides whether he is let in.
void let_in(const exchange_ptr& e, const found_provider& by, const login_transaction& t,
            const outside_person& who) {
  const auto& issuer = by.what->issuer;
  const auto wanted = organisation::open_external_session{
      .what = {.login = {},
               .id = t.session,
               .until = e->parts().now() + e->parts().settings.api.refresh_ttl},
      .provider = by.what->id,
      .issuer = issuer,
      .client_id = by.what->client_id,
      .subject = who.subject,
      .login = who.login,
      .name = who.name,
      .mail = who.mail,
      .mail_verified = who.mail_verified,
      .values = who.values};
  // A person who is there already is named, also if he is refused.
  if (const auto* link = by.org->state->find_identity(issuer, who.subject))
    concerns(*e, t.organisation, link->login);
  e->ask(by.org->id, order_of(*e, wanted),
         [e, org = t.organisation, issuer, wanted,
          before = by.org->state->users.size()](const actors::outcome& done) {
           const auto after = organisation_in(done);
           const auto* link = after->find_identity(issuer, wanted.subject);
           const auto* session = link ? after->find_session(link->login, wanted.what.id) : nullptr;
           if (!session)  // it ended this moment
             return e->fail(
                 {errc::unauthenticated, "unauthenticated", "that log-in has ended: log in again"});
           concerns(*e, org, link->login);
           if (after->users.size() > before)
             note_quota(*e, *after, "users", after->users.size());
           e->reply(200, tokens_for(e->parts(), org, *session));
         });
}

void finish(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto transaction = f.text("transaction", 4096), state = f.text("state", 128),
             code = f.text("code", 4096);
  const auto issuer = f.text("issuer", 512).value_or("");
  for (const auto& [name, given] : {std::pair{"transaction", &transaction},
                                    std::pair{"state", &state}, std::pair{"code", &code}})
    if (!*given && !f.has(name))
      f.missing(name);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (auto ok = e->parts().identities->admit(e->request().peer); !ok)
    return e->fail(ok.error());
  const auto t = e->parts().identities->open(*transaction, *state);
  if (!t)
    return e->fail(t.error());
  const auto by = find_provider(*e, t->organisation, t->provider);
  if (!by)
    return e->fail(by.error());
  e->parts().identities->finish(*t, *by->what, *code, issuer,
                                [e, by = *by, t = *t](const model::result<outside_person>& who) {
                                  if (!who)
                                    return e->fail(who.error());
                                  let_in(e, by, t, *who);
                                });
}

}  // namespace

std::vector<route> external_log_in_routes() {
  return {
      {"POST", "/auth/external:begin", "", begin, "beginExternalLogin",
       "Begin a log-in by an identity provider: where to send a browser, and what goes on with it",
       "ExternalLoginStart", "ExternalLogin", 200, ""},
      {"POST", "/auth/external:finish", "", finish, "finishExternalLogin",
       "Log in with the code that the browser came back with", "ExternalLoginEnd", "Tokens", 200,
       ""},
  };
}

}  // namespace orrery::transport::api
