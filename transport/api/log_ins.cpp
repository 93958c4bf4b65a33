// Log-ins, their tokens and second factors (group A of the API).
#include <algorithm>

#include "transport/api/people.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/time_text.hpp"
#include "transport/api/totp.hpp"

namespace orrery::transport::api {
namespace {

namespace organisation = model::organisation;
using model::errc;
using model::failure;

const auto bad_credentials =
    failure{errc::unauthenticated, "bad_credentials", "user or password is wrong"};
const auto bad_code = failure{errc::unauthenticated, "bad_credentials", "the code is wrong"};
const auto suspended = failure{errc::forbidden, "org_suspended", "the organisation is suspended"};

/// The owner that the secret of a second factor is bound to.
std::string owner_of(const std::string& org, const std::string& login) {
  return "totp:" + org + "/" + login;
}

/// What a code is good for: a step later than the last one that was used, or as a spare code.
struct shown_code {
  std::uint64_t step = 0;
  std::string spare;  // its SHA-256
  model::sealed_secret of;
  bool is_good() const { return step != 0 || !spare.empty(); }
};

shown_code look_at(const exchange& e, const std::string& org, const organisation::user& who,
                   const std::string& code) {
  auto shown = shown_code{};
  const auto& second = who.second;
  shown.of = second.secret;
  if (const auto secret = e.parts().keys->open(second.secret, owner_of(org, who.login)))
    if (const auto step = find_totp_step(*secret, code, e.parts().now());
        step && *step > second.last_step)
      shown.step = *step;
  const auto hash = model::sha256_hex(code);
  if (std::find(second.spare_codes.begin(), second.spare_codes.end(), hash) !=
      second.spare_codes.end())
    shown.spare = hash;
  return shown;
}

failure locked(const organisation::user& who) {
  return {errc::forbidden, "locked",
          who.locked ? std::string{"an administrator has locked this login"}
                     : "too many bad passwords; locked until " + to_text(who.locked_until)};
}

/// The answer waits for the note: a lock counts at once.
void note_failure(const exchange_ptr& e, const model::entity_id& org, const std::string& login,
                  const failure& why) {
  e->parts().ask->ask(
      org, order_of(*e, organisation::note_bad_login{login}),
      [e, why](const actors::answer& noted) { e->fail(noted ? why : noted.error()); });
}

/// The password is right: opens a session, if the second factor is good too.
void open_session(const exchange_ptr& e, const actors::catalogue_organisation& org,
                  const organisation::user& who, const std::string& code) {
  auto shown = shown_code{};
  if (who.second.is_needed()) {
    if (code.empty())
      return e->fail(
          {errc::unauthenticated, "otp_required", "send `otp` too: a code of the second factor"});
    shown = look_at(*e, org.state->id, who, code);
    if (!shown.is_good())
      return note_failure(e, org.id, who.login, bad_credentials);
  }
  const auto session =
      organisation::login_session{.login = who.login,
                                  .id = model::random_text(16),
                                  .until = e->parts().now() + e->parts().settings.api.refresh_ttl};
  e->ask(org.id,
         order_of(*e, organisation::open_session{session, shown.step, shown.spare,
                                                 who.password_hash, shown.of}),
         [e, name = org.state->id, session](const actors::outcome&) {
           e->reply(200, tokens_for(e->parts(), name, session));
         });
}

void login(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto user = f.text("user", 64);
  const auto password = f.text("password", 1024);
  const auto org = f.text("organisation", 64).value_or("default");
  const auto code = f.text("otp", 16).value_or("");
  if (!user)
    f.missing("user");
  if (!password)
    f.missing("password");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  on_hashing_thread(e, [e, org, code, login = *user, password = *password] {
    const auto known = find_organisation(e->parts(), org);
    const auto* found = known ? known->state->find_user(login) : nullptr;
    if (found)
      concerns(*e, org, login);
    if (found && !found->may_log_in(e->parts().now()))
      return e->fail(locked(*found));
    // Whoever does not exist, or has no password, takes as long as who does.
    static const auto nobody = hash_password(model::random_text(24));
    const auto has_one = found && !found->password_hash.empty();
    const auto good = verify_password(password, has_one ? found->password_hash : nobody) && has_one;
    if (!found)
      return e->fail(bad_credentials);
    if (!good)
      return note_failure(e, known->id, login, bad_credentials);
    if (known->state->is_suspended)
      return e->fail(suspended);
    open_session(e, *known, *found, code);
  });
}

void refresh(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  f.word("grant", {"refresh"});
  const auto token = f.text("refresh", 4096);
  if (!token)
    f.missing("refresh");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto claims = e->parts().tokens->read(*token);
  const auto bad = failure{errc::unauthenticated, "bad_credentials",
                           "the refresh token is not valid: log in again"};
  const auto now = e->parts().now();
  if (!claims || claims->use != "refresh" || claims->expires <= now)
    return e->fail(bad);
  const auto org = find_organisation(e->parts(), claims->organisation);
  if (org && org->state->is_suspended)
    return e->fail(suspended);
  const auto* session = org ? org->state->find_session(claims->login, claims->session) : nullptr;
  if (session)
    concerns(*e, claims->organisation, claims->login);
  if (!session || session->until <= now)
    return e->fail(bad);
  const auto wanted =
      organisation::keep_session{{.login = claims->login,
                                  .id = claims->session,
                                  .until = now + e->parts().settings.api.refresh_ttl,
                                  .generation = claims->generation}};
  e->parts().ask->ask(
      org->id, order_of(*e, wanted), [e, bad, claims = *claims](const actors::answer& got) {
        if (!got)
          return e->fail(got.error().reason == "session_unknown" ? bad : got.error());
        const auto after = organisation_in(*got);
        const auto* kept = after->find_session(claims.login, claims.session);
        if (!kept)  // that token was used long ago: somebody else has it too
          return e->fail(bad);
        e->reply(200, tokens_for(e->parts(), claims.organisation, *kept));
      });
}

void me(const exchange_ptr& e) {
  auto permissions = model::array{}, scoped = model::array{};
  for (const auto& grant : e->who.rights)
    if (grant.within.is_whole())
      for (const auto& p : grant.permissions)
        permissions.emplace_back(p);
    else
      scoped.emplace_back(show_grant(grant));
  auto o = model::object{{"organisation", e->who.organisation},
                         {"actor", e->who.actor},
                         {"permissions", std::move(permissions)}};
  if (!scoped.empty())
    o.emplace_back("scoped", std::move(scoped));
  e->reply(200, std::move(o));
}

/// A key is nobody: answered, and false.
bool is_person(const exchange_ptr& e, const char* otherwise) {
  if (!e->who.session.empty())
    return true;
  e->fail({errc::conflict, "state_conflict", otherwise});
  return false;
}

void logout(const exchange_ptr& e) {
  if (!is_person(e, "an API key has no log-in to end: revoke the key instead"))
    return;
  const auto org = own_organisation(*e);
  e->ask(org->id, order_of(*e, organisation::end_session{e->who.login, e->who.session}),
         [e](const actors::outcome&) { e->reply_empty(204); });
}

constexpr auto no_person = "an API key has no second factor";

void enrol(const exchange_ptr& e) {
  if (!is_person(e, no_person))
    return;
  const auto org = own_organisation(*e);
  const auto secret = make_totp_secret();
  if (secret.empty())
    return e->fail({errc::internal, "", "no random bytes"});
  auto spare = std::vector<std::string>{}, hashes = std::vector<std::string>{};
  for (std::size_t i = 0; i < organisation::max_spare_codes; ++i) {
    spare.push_back(make_spare_code());
    hashes.push_back(model::sha256_hex(spare.back()));
  }
  auto sealed = e->parts().keys->seal(secret, owner_of(e->who.organisation, e->who.login));
  e->ask(org->id,
         order_of(*e, organisation::set_second_factor{e->who.login, std::move(sealed),
                                                      std::move(hashes)}),
         [e, secret, spare](const actors::outcome& done) {
           e->reply(201,
                    model::object{{"secret", to_base32(secret)},
                                  {"uri", totp_uri(secret, e->who.organisation, e->who.login)},
                                  {"spareCodes", texts(spare)}},
                    exchange::revision_headers(done));
         });
}

/// Whoever shows a good code may go on; bad ones count as bad passwords do.
void with_code(const exchange_ptr& e,
               const std::function<void(const model::entity_id& org, const shown_code&)>& then) {
  if (!is_person(e, no_person))
    return;
  const auto code = e->text_in_body("otp", 16);
  if (!code)
    return e->fail(code.error());
  const auto org = own_organisation(*e);
  const auto* who = org->state->find_user(e->who.login);
  if (!who || who->second.secret.empty())
    return e->fail({errc::conflict, "totp_unknown", "there is no second factor: make one first"});
  if (!who->may_log_in(e->parts().now()))
    return e->fail(locked(*who));
  const auto shown = look_at(*e, e->who.organisation, *who, *code);
  if (!shown.is_good())
    return note_failure(e, org->id, e->who.login, bad_code);
  then(org->id, shown);
}

void confirm(const exchange_ptr& e) {
  with_code(e, [e](const model::entity_id& org, const shown_code& shown) {
    if (shown.step == 0)  // a spare code proves nothing about the phone
      return e->fail(bad_code);
    e->ask(org,
           order_of(*e, organisation::confirm_second_factor{e->who.login, shown.step, shown.of}),
           [e](const actors::outcome& done) {
             e->reply_empty(204, exchange::revision_headers(done));
           });
  });
}

void disable(const exchange_ptr& e) {
  with_code(e, [e](const model::entity_id& org, const shown_code& shown) {
    e->ask(org,
           order_of(*e, organisation::remove_second_factor{e->who.login, true, shown.step,
                                                           shown.spare, shown.of}),
           [e](const actors::outcome& done) {
             e->reply_empty(204, exchange::revision_headers(done));
           });
  });
}

}  // namespace

model::value tokens_for(const service_parts& parts, const std::string& org,
                        const organisation::login_session& session) {
  const auto sign = [&](const char* use, model::timestamp expires) {
    return parts.tokens->sign({org, session.login, use, session.id, expires, session.generation});
  };
  const auto now = parts.now();  // read once: the time left is then the whole of it
  const auto access_ends =
      std::min<model::timestamp>(now + parts.settings.api.access_ttl, session.until);
  return model::object{
      {"access", sign("access", access_ends)},
      {"refresh", sign("refresh", session.until)},
      {"tokenType", "Bearer"},
      {"expiresIn", std::chrono::floor<std::chrono::seconds>(access_ends - now).count()}};
}

void concerns(const exchange& e, const std::string& org, const std::string& login) {
  e.facts.organisation = org;
  e.facts.actor = "user:" + login;
  e.facts.kind = "session";
}

std::vector<route> log_in_routes() {
  return {
      {"POST", "/auth/login", "", login, "login", "Log in with a password", "Login", "Tokens", 200,
       ""},
      {"POST", "/auth/token", "", refresh, "refreshToken",
       "New tokens for a refresh token, which counts no more", "Refresh", "Tokens", 200, ""},
      {"POST", "/auth/logout", "any", logout, "logout",
       "End the log-in: its access and refresh tokens count no more", "", "", 204, ""},
      {"GET", "/auth/me", "any", me, "whoAmI", "Who asks, and what he may do", "", "Identity", 200,
       ""},
      {"POST", "/auth/totp", "any", enrol, "enrolSecondFactor",
       "A secret for codes of a second factor, shown once; it counts once it is confirmed", "",
       "SecondFactor", 201, ""},
      {"POST", "/auth/totp:confirm", "any", confirm, "confirmSecondFactor",
       "Show a code: from now on a login needs one", "Code", "", 204, ""},
      {"POST", "/auth/totp:disable", "any", disable, "disableSecondFactor",
       "Show a code: a login needs none any more", "Code", "", 204, ""},
  };
}

}  // namespace orrery::transport::api
