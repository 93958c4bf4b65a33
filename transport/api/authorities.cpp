// Authorities that sign certificates of devices (part of group L of the API).
#include "transport/api/problem.hpp"
#include "transport/api/public_lists.hpp"
#include "transport/api/routes.hpp"
#include "transport/issuance.hpp"

namespace orrery::transport::api {
namespace {

namespace organisation = model::organisation;
using model::errc;
using model::failure;
using organisation::certificate_authority;

constexpr std::size_t max_pem = 64 * 1024, max_list = 1024 * 1024;

const auto unknown = failure{errc::not_found, "authority_unknown", "no such authority"};

std::shared_ptr<const actors::catalogue_organisation> mine(const exchange& e) {
  const auto known = e.parts().known->current();
  const auto found = known->organisations.find(e.who.organisation);
  return found == known->organisations.end() ? nullptr : found->second;
}

bool is_external(const certificate_authority& a) {
  return a.kind == certificate_authority::origin::external;
}

model::object show(const exchange& e, const certificate_authority& a) {
  auto o = model::object{{"id", a.id},
                         {"kind", is_external(a) ? "external" : "builtIn"},
                         {"status", a.is_pending() ? "pending" : "trusted"},
                         {"keys", a.keys == certificate_authority::algorithm::rsa ? "rsa" : "ecc"},
                         {"subject", a.subject},
                         {"notAfter", e.show(a.not_after)},
                         {"createdAt", e.show(a.created_at)},
                         {"createdBy", a.actor},
                         {"revoked", static_cast<std::int64_t>(a.revoked.size())},
                         {"hasCrl", !is_external(a) || !a.list.empty()}};
  if (a.is_pending())
    o.emplace_back("nonce", a.nonce);
  return o;
}

void list(const exchange_ptr& e) {
  const auto org = mine(*e);
  auto items = model::array{};
  for (const auto& a : org->state->authorities)
    items.emplace_back(show(*e, a));
  e->reply_page(std::move(items), "");
}

void get(const exchange_ptr& e) {
  const auto org = mine(*e);
  const auto* found = org->state->find_authority(e->param("authority"));
  if (!found)
    return e->fail(unknown);
  e->reply_one(show(*e, *found));
}

void get_certificate(const exchange_ptr& e) {
  const auto org = mine(*e);
  const auto* found = org->state->find_authority(e->param("authority"));
  if (!found)
    return e->fail(unknown);
  e->reply_one(model::object{{"id", found->id}, {"certificate", found->certificates}});
}

/// The list of an authority in PEM form.
model::result<std::string> list_of(const service_parts& parts, const std::string& org,
                                   const certificate_authority& a) {
  if (is_external(a))
    return a.list.empty() ? model::result<std::string>{failure{errc::not_found, "not_found",
                                                               "no list was given"}}
                          : a.list;
  auto made = parts.certificates->list_of(org, a);
  if (!made)
    return made.error();
  return std::move(made->pem);
}

void get_list(const exchange_ptr& e) {
  e->parts().query->run([e] {
    const auto org = mine(*e);
    const auto* found = org->state->find_authority(e->param("authority"));
    if (!found)
      return e->fail(unknown);
    auto made = list_of(e->parts(), e->who.organisation, *found);
    if (!made)
      return e->fail(made.error());
    e->reply_one(model::object{{"id", found->id}, {"crl", std::move(*made)}});
  });
}

actors::any_command order(const exchange& e, organisation::order what) {
  return organisation::command{std::move(what), e.who.actor, {}};
}

/// Tells the organisation, and shows the authority as it is then.
void change(const exchange_ptr& e, int status, const std::string& id, organisation::order what) {
  e->ask(mine(*e)->id, order(*e, std::move(what)), [e, status, id](const actors::outcome& done) {
    const auto& reply = std::get<organisation::reply>(done.answer);
    const auto& state = *std::get<organisation::organisation_snapshot>(reply).what;
    e->reply(status, show(*e, *state.find_authority(id)), exchange::revision_headers(done));
  });
}

void add(const exchange_ptr& e) {
  const auto pem = e->text_in_body("certificate", max_pem);
  if (!pem)
    return e->fail(pem.error());
  auto read = read_authority(*pem, e->who.organisation, *e->parts().known->current());
  if (!read)
    return e->fail(read.error());
  const auto id = read->id;
  change(e, 201, id, organisation::add_authority{std::move(*read)});
}

void prove(const exchange_ptr& e) {
  const auto pem = e->text_in_body("certificate", max_pem);
  if (!pem)
    return e->fail(pem.error());
  const auto org = mine(*e);
  const auto* found = org->state->find_authority(e->param("authority"));
  if (!found)
    return e->fail(unknown);
  if (!found->is_pending())
    return e->fail({errc::conflict, "authority_proved", "that authority is proved already"});
  if (const auto ok = check_proof(*found, *pem, e->who.organisation, *e->parts().known->current(),
                                  e->parts().now());
      !ok)
    return e->fail(ok.error());
  change(e, 200, found->id, organisation::prove_authority{found->id, found->nonce});
}

void put_list(const exchange_ptr& e) {
  const auto pem = e->text_in_body("crl", max_list);
  if (!pem)
    return e->fail(pem.error());
  const auto org = mine(*e);
  const auto* found = org->state->find_authority(e->param("authority"));
  if (!found)
    return e->fail(unknown);
  if (const auto judge = net::client_judge::make({{found->certificates}, {*pem}}); !judge)
    return e->fail(judge.error());
  e->ask(
      org->id, order(*e, organisation::set_revocations{found->id, *pem}),
      [e](const actors::outcome& done) { e->reply_empty(204, exchange::revision_headers(done)); });
}

void remove(const exchange_ptr& e) {
  if (const auto* found = mine(*e)->state->find_authority(e->param("authority")))
    e->was(show(*e, *found));
  e->ask(
      mine(*e)->id, order(*e, organisation::remove_authority{e->param("authority")}),
      [e](const actors::outcome& done) { e->reply_empty(204, exchange::revision_headers(done)); });
}

}  // namespace

bool is_public_list(const http_request& request) {
  return request.path.size() == 3 && request.path[0] == "pki";
}

void send_public_list(const exchange_ptr& e) {
  if (e->request().method != "GET" && e->request().method != "HEAD")
    return e->fail({errc::invalid_argument, "method_not_allowed", "here: GET, HEAD"});
  e->parts().query->run([e] {
    const auto nothing = failure{errc::not_found, "not_found", "no such resource"};
    const auto& path = e->request().path;
    const auto& name = path[2];
    const auto dot = name.rfind('.');
    const auto known = e->parts().known->current();
    const auto* org = known->organisation(path[1]);
    const auto* found =
        org && dot != std::string::npos ? org->state->find_authority(name.substr(0, dot)) : nullptr;
    if (!found)
      return e->fail(nothing);
    auto r = http_response{};
    r.content_type = "application/x-pem-file";
    if (const auto what = std::string_view{name}.substr(dot); what == ".pem") {
      r.body = found->certificates;
    } else if (what == ".crl") {
      auto made = list_of(e->parts(), path[1], *found);
      if (!made)
        return e->fail(made.error());
      r.body = std::move(*made);
    } else {
      return e->fail(nothing);
    }
    e->send(std::move(r));
  });
}

std::vector<route> authority_routes() {
  return {
      {"GET", "~/authorities", "device:read", list, "listAuthorities",
       "Authorities that sign certificates of devices", "", "AuthorityList", 200, ""},
      {"GET", "~/authorities/{authority}", "device:read", get, "getAuthority", "An authority", "",
       "Authority", 200, ""},
      {"GET", "~/authorities/{authority}/certificate", "device:read", get_certificate,
       "getAuthorityCertificate", "Its certificate and those above it; also at /pki", "",
       "AuthorityCertificate", 200, ""},
      {"GET", "~/authorities/{authority}/crl", "device:read", get_list, "getRevocationList",
       "What it took back; also at /pki", "", "AuthorityRevocations", 200, ""},
      {"PUT", "~/authorities/{authority}/crl", "iam:authority", put_list, "setRevocationList",
       "A new revocation list of an external authority", "RevocationList", "", 204, ""},
      {"POST", "~/authorities", "iam:authority", add, "addAuthority",
       "An external authority, to be trusted once its key is proved", "NewAuthority", "Authority",
       201, ""},
      {"POST", "~/authorities/{authority}:prove", "iam:authority", prove, "proveAuthority",
       "A certificate that it has signed, called as its nonce: it is trusted from then on",
       "NewAuthority", "Authority", 200, ""},
      {"DELETE", "~/authorities/{authority}", "iam:authority", remove, "deleteAuthority",
       "Trust an external authority no more", "", "", 204, ""},
  };
}

}  // namespace orrery::transport::api
