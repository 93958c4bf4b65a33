// Certificates of devices (part of group L of the API).
#include <algorithm>

#include "transport/api/fields.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/show.hpp"
#include "transport/issuance.hpp"

namespace orrery::transport::api {
namespace {

namespace device = model::device;
namespace organisation = model::organisation;
using model::errc;
using model::failure;
using algorithm = organisation::certificate_authority::algorithm;

constexpr std::size_t max_pem = 64 * 1024;
constexpr auto max_days = std::int64_t{3650};
constexpr auto day_seconds = std::int64_t{86'400};

const auto unknown = failure{errc::not_found, "certificate_unknown", "no such certificate here"};

model::object show(const exchange& e, const device::certificate& c) {
  auto o = model::object{{"sn", static_cast<std::int64_t>(c.sn)},
                         {"serial", c.serial},
                         {"issuer", c.issuer},
                         {"fingerprint", c.fingerprint},
                         {"subject", c.subject},
                         {"status", device::status_of(c, e.parts().now())},
                         {"notBefore", e.show(c.not_before)},
                         {"notAfter", e.show(c.not_after)},
                         {"certificate", c.pem}};
  if (c.state == device::certificate::state_code::revoked ||
      c.state == device::certificate::state_code::held)
    o.emplace_back("reason", static_cast<std::int64_t>(c.reason));
  if (c.state == device::certificate::state_code::superseded)
    o.emplace_back("supersededUntil", e.show(c.superseded_until));
  return o;
}

const device::certificate* find(const exchange& e, const device::state& s) {
  return find_certificate(s, e.param("sn"));
}

void list(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    auto items = model::array{};
    for (const auto& c : d.state->certificates().all)
      items.emplace_back(show(*e, c));
    e->reply_page(std::move(items), "");
  });
}

void get(const exchange_ptr& e) {
  e->with_device([e](const found_device& d) {
    const auto* found = find(*e, *d.state);
    if (!found)
      return e->fail(unknown);
    e->reply_one(show(*e, *found));
  });
}

void reply_issued(const exchange_ptr& e, int status, const issued_certificate& made) {
  auto o = show(*e, made.what);
  o.emplace_back("chain", made.chain);
  o.emplace_back("issuerKeys", made.issuer == algorithm::rsa ? "rsa" : "ecc");
  e->reply(status, std::move(o), exchange::revision_headers(made.done));
}

void issue(const exchange_ptr& e, int status, certificate_order wanted) {
  wanted.organisation = e->who.organisation;
  wanted.actor = e->who.actor;
  e->parts().certificates->issue(std::move(wanted),
                                 [e, status](const model::result<issued_certificate>& made) {
                                   if (!made)
                                     return e->fail(made.error());
                                   reply_issued(e, status, *made);
                                 });
}

void read_common(fields& f, certificate_order& into) {
  into.csr = f.text("csr", max_pem).value_or("");
  into.days = f.integer("days", 1, max_days).value_or(into.days);
  if (const auto issuer = f.word("issuer", {"rsa", "ecc"}))
    into.issuer = *issuer == "rsa" ? algorithm::rsa : algorithm::ecc;
}

void apply_for(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto wanted = certificate_order{};
  read_common(f, wanted);
  if (!f.has("csr"))
    f.missing("csr");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_device([e, wanted = std::move(wanted)](const found_device& d) mutable {
    wanted.device = d.id;
    issue(e, 201, std::move(wanted));
  });
}

void renew(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  auto wanted = certificate_order{};
  read_common(f, wanted);
  if (const auto overlap = f.integer("overlap", 0, 90 * day_seconds))
    wanted.overlap = std::chrono::seconds{*overlap};
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_device([e, wanted = std::move(wanted)](const found_device& d) mutable {
    const auto* found = find(*e, *d.state);
    if (!found)
      return e->fail(unknown);
    wanted.device = d.id;
    wanted.renews = *found;
    issue(e, 201, std::move(wanted));
  });
}

void bind(const exchange_ptr& e) {
  const auto pem = e->text_in_body("certificate", max_pem);
  if (!pem)
    return e->fail(pem.error());
  e->with_device([e, pem = *pem](const found_device& d) {
    const auto known = e->parts().known->current();
    auto read = read_certificate(pem, *known->organisation(e->who.organisation)->state);
    if (!read)
      return e->fail(read.error());
    auto order = device::add_certificate{};
    order.what = *read;
    e->ask(d.id, device_order(*e, std::move(order)),
           [e, what = std::move(*read)](const actors::outcome& done) mutable {
             if (const auto* bound = device_reply<device::certificate_bound>(done))
               what.sn = bound->sn;
             e->reply(201, show(*e, what), exchange::revision_headers(done));
           });
  });
}

void revoke(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto reason = static_cast<std::uint8_t>(f.integer("reason", 0, 10).value_or(0));
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  e->with_device([e, reason](const found_device& d) {
    const auto* found = find(*e, *d.state);
    if (!found)
      return e->fail(unknown);
    e->was(show(*e, *found));
    auto order = device::revoke_certificate{};
    order.sn = found->sn;
    order.reason = reason;
    // The device first: it is what refuses the certificate from now on.
    e->parts().ask->ask(
        d.id, device_order(*e, std::move(order)),
        [e, reason, c = *found](const actors::answer& got) {
          const auto again = !got && got.error().reason == "already_revoked";
          if (!got && !again)
            return e->fail(got.error());
          const auto known = e->parts().known->current();
          const auto* org = known->organisation(e->who.organisation);
          const auto* by = org ? org->state->find_authority(c.issuer) : nullptr;
          if (!by || by->kind != organisation::certificate_authority::origin::built_in)
            return again ? e->fail(got.error())
                         : e->reply_empty(204, exchange::revision_headers(*got));
          // The list may have missed it: whoever asks again mends that.
          const auto listed = again
                                  ? std::any_of(by->revoked.begin(), by->revoked.end(),
                                                [&](const auto& r) { return r.serial == c.serial; })
                                  : false;
          if (listed)
            return e->fail(got.error());
          auto row = organisation::list_revocation{};
          row.authority = c.issuer;
          row.what.serial = c.serial;
          row.what.reason = again ? c.reason : reason;
          row.what.until = c.not_after;
          e->ask(org->id, organisation::command{std::move(row), e->who.actor, {}},
                 [e](const actors::outcome& done) {
                   e->reply_empty(204, exchange::revision_headers(done));
                 });
        });
  });
}

}  // namespace

std::vector<route> certificate_routes() {
  return {
      {"GET", "@d/certificates", "device:read", list, "listCertificates",
       "Certificates bound to a device", "", "CertificateList", 200, ""},
      {"GET", "@d/certificates/{sn}", "device:read", get, "getCertificate",
       "A certificate, by its handle or serial number", "", "Certificate", 200, ""},
      {"POST", "@d/certificates", "device:credential", apply_for, "applyForCertificate",
       "A certificate for a device from the organisation's authority", "CertificateRequest",
       "IssuedCertificate", 201, ""},
      {"POST", "@d/certificates/{sn}:renew", "device:credential", renew, "renewCertificate",
       "A successor; the certificate counts `overlap` seconds more (7 days)", "CertificateRenewal",
       "IssuedCertificate", 201, ""},
      {"POST", "@d/certificates/{sn}:revoke", "device:credential", revoke, "revokeCertificate",
       "Take a certificate back: a session that came by it ends. Reason 6 holds it, 8 ends that",
       "Revocation", "", 204, ""},
      {"POST", "@d/certificates:bind", "device:credential", bind, "bindCertificate",
       "Let a device come by a certificate that an external authority signed", "CertificateBinding",
       "Certificate", 201, ""},
  };
}

}  // namespace orrery::transport::api
