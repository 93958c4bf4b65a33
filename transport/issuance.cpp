#include "transport/issuance.hpp"

#include <algorithm>

#include "transport/certificate_claim.hpp"

namespace orrery::transport {
namespace {

namespace organisation = model::organisation;
using model::errc;
using model::failure;
using organisation::certificate_authority;

constexpr auto authority_days = std::int64_t{3650};
constexpr auto most_at_once = 8;  // a key may have to be made for one of them
constexpr auto list_lasts = std::chrono::hours{48};

std::int64_t seconds(model::timestamp t) {
  return std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count();
}
model::timestamp from_seconds(std::int64_t s) {
  return model::timestamp{std::chrono::seconds{s}};
}

model::device::certificate record_of(const net::certificate_facts& facts) {
  auto c = model::device::certificate{};
  c.issuer = facts.issuer_key_id;
  c.serial = facts.serial;
  c.fingerprint = facts.fingerprint;
  c.subject = facts.subject;
  c.not_before = from_seconds(facts.not_before);
  c.not_after = from_seconds(facts.not_after);
  c.pem = facts.pem;
  return c;
}

certificate_authority record_of(const net::certificate_facts& facts, std::string certificates) {
  auto a = certificate_authority{};
  a.id = facts.key_id;
  a.keys = facts.has_rsa_key ? certificate_authority::algorithm::rsa
                             : certificate_authority::algorithm::ecc;
  a.subject = facts.subject;
  a.certificates = std::move(certificates);
  a.not_after = from_seconds(facts.not_after);
  return a;
}

model::result<net::authority> open(const model::keyring& keys, const std::string& org,
                                   const certificate_authority& a) {
  const auto key = keys.open(a.key, authority_key_owner(org, a.id));
  if (!key)
    return failure{errc::internal, "the key of authority " + a.id + " does not open"};
  return net::authority::load(a.certificates, *key);
}

}  // namespace

std::string authority_key_owner(const std::string& org, const std::string& authority) {
  return "authority-key:" + org + '/' + authority;
}

net::client_trust trusted_by(const actors::catalogue_snapshot& all) {
  auto out = net::client_trust{};
  for (const auto& [id, org] : all.organisations)
    for (const auto& a : org->state->authorities) {
      if (a.is_pending())
        continue;
      // It alone: who has proved its key has proved nothing of those above it.
      out.authorities.push_back(net::first_certificate(a.certificates));
      if (!a.list.empty())
        out.revocations.push_back(a.list);
    }
  return out;
}

net::client_trust external_authorities(const organisation::state& of) {
  auto out = net::client_trust{};
  for (const auto& a : of.authorities)
    if (a.kind == certificate_authority::origin::external && !a.is_pending()) {
      out.authorities.push_back(net::first_certificate(a.certificates));
      if (!a.list.empty())
        out.revocations.push_back(a.list);
    }
  return out;
}

namespace {

/// As OpenSSL compares names: whatever the case, and the number of blanks.
bool is_same_name(std::string_view a, std::string_view b) {
  const auto plain = [](std::string_view name) {
    auto out = std::string{};
    for (const auto c : name)
      if (c != ' ' || (!out.empty() && out.back() != ' '))
        out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return out;
  };
  return plain(a) == plain(b);
}

/// What a stranger has said and not proved is in nobody's way.
model::status check_alone(const certificate_authority& one, const std::string& in,
                          const actors::catalogue_snapshot& all) {
  for (const auto& [id, org] : all.organisations)
    for (const auto& a : org->state->authorities)
      if ((a.id == one.id || is_same_name(a.subject, one.subject)) && (id == in || !a.is_pending()))
        return failure{errc::already_exists, "authority_exists",
                       "an authority with that key's id or that name is there already"};
  return {};
}

}  // namespace

model::result<certificate_authority> read_authority(const std::string& pem,
                                                    const std::string& for_organisation,
                                                    const actors::catalogue_snapshot& all) {
  auto facts = net::describe_certificate(pem);
  if (!facts)
    return facts.error();
  if (const auto judge = net::client_judge::make({{pem}, {}}); !judge)
    return judge.error();
  if (facts->key_id.empty())
    return failure{errc::invalid_argument, "authority_invalid",
                   "the certificate of an authority has to say its key's id"};
  auto out = record_of(*facts, pem);
  out.kind = certificate_authority::origin::external;
  out.nonce = model::random_text(32);
  if (auto ok = check_alone(out, for_organisation, all); !ok)
    return ok.error();
  return out;
}

model::status check_proof(const certificate_authority& of, const std::string& pem,
                          const std::string& organisation, const actors::catalogue_snapshot& all,
                          model::timestamp now) {
  const auto wrong = [](std::string detail) {
    return failure{errc::invalid_argument, "proof_invalid", std::move(detail)};
  };
  const auto facts = net::describe_signed_by(of.certificates, pem);
  if (!facts)
    return facts.error().reason == "certificate_foreign" ? wrong(facts.error().detail)
                                                         : facts.error();
  if (of.nonce.empty() || facts->common_name != of.nonce)
    return wrong("its common name is not the authority's nonce");
  if (seconds(now) < facts->not_before || seconds(now) >= facts->not_after)
    return wrong("its time is over, or has not come");
  for (const auto& [id, org] : all.organisations)
    for (const auto& a : org->state->authorities)
      if (id != organisation && (a.id == of.id || is_same_name(a.subject, of.subject)) &&
          !a.is_pending())
        return failure{errc::already_exists, "authority_exists",
                       "another organisation has proved that authority, or one of that name"};
  return {};
}

model::result<model::device::certificate> read_certificate(const std::string& pem,
                                                           const organisation::state& of) {
  const auto foreign = failure{errc::invalid_argument, "certificate_foreign",
                               "no external authority of the organisation stands behind it"};
  const auto judge = net::client_judge::make(external_authorities(of));
  if (!judge)
    return judge.error();
  if ((*judge)->trusts_nobody())
    return foreign;
  const auto facts = (*judge)->examine(pem);
  if (!facts)
    return facts.error();
  auto out = record_of(*facts);
  if (out.issuer.empty())  // it does not say: the record has to name one
    for (const auto& a : of.authorities)
      if (a.subject == facts->issuer)
        out.issuer = a.id;
  return out.issuer.empty() ? model::result<model::device::certificate>{foreign} : out;
}

const model::device::certificate* find_certificate(const model::device::state& of,
                                                   const std::string& sn) {
  constexpr std::size_t longest_handle = 10;
  if (sn.empty() || sn.size() > longest_handle ||
      sn.find_first_not_of("0123456789") != std::string::npos)
    return of.certificates().find_serial(sn);
  const auto number = std::stoull(sn);
  return number == 0 || number > 0x7fff'ffffu
             ? nullptr
             : of.certificates().find(static_cast<std::uint32_t>(number));
}

struct issuance::work {
  certificate_order wanted;
  then<issued_certificate> done;
  std::optional<net::certificate_request> request;
  algorithm by = algorithm::rsa;
};

void issuance::finish(const std::shared_ptr<work>& w, model::result<issued_certificate> out) {
  open_.fetch_sub(1);
  w->done(std::move(out));
}

void issuance::issue(certificate_order wanted, then<issued_certificate> done) {
  if (open_.fetch_add(1) >= most_at_once) {
    open_.fetch_sub(1);
    return done(
        failure{errc::too_many_requests, "rate_limited", "too many certificates are being signed"});
  }
  const auto w = std::make_shared<work>();
  w->wanted = std::move(wanted);
  w->done = std::move(done);
  parts_.pool([self = shared_from_this(), this, w] {
    const auto renewal = w->wanted.renews || !w->wanted.renews_sn.empty();
    if (!w->wanted.csr.empty() || !renewal) {
      auto request = net::certificate_request::read(w->wanted.csr);
      if (!request)
        return finish(w, request.error());
      w->request = std::move(*request);
    }
    if (renewal && !w->wanted.renews)
      return find_predecessor(w);
    with_authority(w);
  });
}

void issuance::find_predecessor(const std::shared_ptr<work>& w) {
  parts_.ask->ask(
      w->wanted.device,
      model::device::command{model::device::read_device{}, {}, w->wanted.actor, {}},
      [self = shared_from_this(), this, w](const actors::answer& got) {
        if (!got)
          return finish(w, got.error());
        const auto* reply = std::get_if<model::device::reply>(&got->answer);
        const auto* is = reply ? std::get_if<model::device::device_snapshot>(reply) : nullptr;
        const auto* found = is ? find_certificate(*is->what, w->wanted.renews_sn) : nullptr;
        if (!found)
          return finish(w, failure{errc::not_found, "certificate_unknown",
                                   "the device has no certificate " + w->wanted.renews_sn});
        w->wanted.renews = *found;
        parts_.pool([self, this, w] { with_authority(w); });
      });
}

void issuance::with_authority(const std::shared_ptr<work>& w) {
  const auto known = parts_.known->current();
  const auto* org = known->organisation(w->wanted.organisation);
  if (!org)
    return finish(w, failure{errc::not_found, "org_unknown", "no such organisation"});
  const auto* by =
      w->wanted.renews ? org->state->find_authority(w->wanted.renews->issuer) : nullptr;
  if (w->wanted.renews && (!by || by->kind != certificate_authority::origin::built_in))
    return finish(w, failure{errc::conflict, "certificate_foreign",
                             "that certificate was signed elsewhere: renew it there, and bind it"});
  if (w->wanted.issuer)
    w->by = *w->wanted.issuer;
  else if (by)
    w->by = by->keys;
  else
    w->by = w->request->is_rsa() ? algorithm::rsa : algorithm::ecc;
  if (!by || by->keys != w->by)
    by = org->state->built_in(w->by);
  if (!by)
    return make_authority(w, org->id);
  sign(w, *by);
}

void issuance::make_authority(const std::shared_ptr<work>& w, const model::entity_id& org) {
  const auto rsa = w->by == algorithm::rsa;
  // Names of authorities differ in all of an installation.
  const auto name = w->wanted.organisation.substr(0, 36) + " devices " + (rsa ? "RSA " : "ECC ") +
                    model::random_text(8);
  const auto made = net::authority::make(name, rsa ? net::key_kind::rsa_3072 : net::key_kind::p256,
                                         authority_days, seconds(parts_.now()));
  if (!made)
    return finish(w, made.error());
  auto what = record_of(made->facts(), made->certificate_pem());
  what.keys = w->by;
  what.key =
      parts_.keys->seal(made->key_pem(), authority_key_owner(w->wanted.organisation, what.id));
  parts_.ask->ask(
      org, organisation::command{organisation::add_authority{std::move(what)}, w->wanted.actor, {}},
      [self = shared_from_this(), this, w, org](const actors::answer& added) {
        // Another request, perhaps on another node, may have been quicker: its authority counts.
        if (!added && added.error().reason != "authority_exists")
          return finish(w, added.error());
        parts_.ask->ask(
            org, organisation::command{organisation::read_organisation{}, w->wanted.actor, {}},
            [self = shared_from_this(), this, w](const actors::answer& read) {
              if (!read)
                return finish(w, read.error());
              const auto* reply = std::get_if<organisation::reply>(&read->answer);
              const auto* is =
                  reply ? std::get_if<organisation::organisation_snapshot>(reply) : nullptr;
              const auto* by = is ? is->what->built_in(w->by) : nullptr;
              if (!by)
                return finish(w, failure{errc::internal, "the authority was not kept"});
              parts_.pool(
                  [self = shared_from_this(), this, w, state = is->what, by] { sign(w, *by); });
            });
      });
}

void issuance::sign(const std::shared_ptr<work>& w, const certificate_authority& by) {
  const auto signer = open(*parts_.keys, w->wanted.organisation, by);
  if (!signer)
    return finish(w, signer.error());
  auto how = net::issue_options{};
  how.uri = claim_text(w->wanted.organisation, w->wanted.device);
  how.days = w->wanted.days;
  const auto now = seconds(parts_.now());
  const auto facts = [&]() -> model::result<net::certificate_facts> {
    if (w->request)
      return signer->issue(*w->request, how, now);
    if (by.id == w->wanted.renews->issuer)
      return signer->renew(w->wanted.renews->pem, how, now);
    return failure{errc::invalid_argument, "csr_invalid",
                   "another authority needs a request for a certificate"};
  }();
  if (!facts)
    return finish(w, facts.error());
  auto out = issued_certificate{record_of(*facts), by.keys, by.certificates, {}};
  out.what.issuer = by.id;
  auto order = model::device::add_certificate{};
  order.what = out.what;
  order.renews = w->wanted.renews ? w->wanted.renews->sn : 0;
  order.overlap = w->wanted.overlap;
  parts_.ask->ask(w->wanted.device,
                  model::device::command{std::move(order), {}, w->wanted.actor, {}},
                  [self = shared_from_this(), this, w,
                   out = std::move(out)](const actors::answer& bound) mutable {
                    if (!bound)
                      return finish(w, bound.error());
                    if (const auto* reply = std::get_if<model::device::reply>(&bound->answer))
                      if (const auto* is = std::get_if<model::device::certificate_bound>(reply))
                        out.what.sn = is->sn;
                    out.done = *bound;
                    finish(w, std::move(out));
                  });
}

model::result<net::revocation_list> issuance::list_of(const std::string& org,
                                                      const certificate_authority& of) {
  const auto now = parts_.now();
  const auto hours = std::chrono::floor<std::chrono::hours>(now.time_since_epoch()).count();
  // Both only rise, so the number does with each list that is not the last one.
  const auto number = of.list_number + static_cast<std::uint64_t>(hours);
  const auto made_of = std::to_string(number) + '/' + std::to_string(of.list_number);
  const auto key = org + '/' + of.id;
  const auto hold = std::lock_guard{mutex_};  // one signs, the others wait for it
  if (const auto kept = lists_.find(key); kept != lists_.end() && kept->second.state == made_of)
    return kept->second.list;
  const auto signer = open(*parts_.keys, org, of);
  if (!signer)
    return signer.error();
  auto rows = std::vector<net::revoked_certificate>{};
  for (const auto& r : of.revoked)
    if (r.until > now)
      rows.push_back({r.serial, seconds(r.at), r.reason});
  auto made = signer->sign_list(rows, number, seconds(now), seconds(now + list_lasts));
  if (made)
    lists_[key] = {made_of, *made};
  return made;
}

}  // namespace orrery::transport
