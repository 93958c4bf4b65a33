#include "transport/api/audit_record.hpp"

#include "model/audit/audit.hpp"
#include "model/json.hpp"
#include "tests/transport/api/support.hpp"

namespace orrery::transport::api {
namespace {

using model::to_json;

class AuditRecord : public api_test {
 protected:
  AuditRecord() {
    at.method = "POST";
    at.pattern = "/orgs/{org}/roles/{role}";
    at.permission = "iam:role";
    at.id = "changeRole";
    request.method = "POST";
    request.peer = "192.0.2.1";
    request.path = {"api", "v1", "orgs", "-", "roles", "r"};
  }
  exchange_ptr make(bool known = true) {
    auto e = std::make_shared<exchange>(parts, std::make_shared<const http_request>(request),
                                        responder{[](http_response) {}}, "r1");
    e->at = &at;
    e->params = {{"org", "-"}, {"role", "r"}};
    if (known) {
      e->who.organisation = "org";
      e->who.actor = "user:eve";
    }
    return e;
  }
  /// The entry as whoever reads the log has it.
  static model::value entry(const exchange& e, int status) {
    auto r = http_response{};
    r.status = status;
    const auto text = to_json(audit_entry(e, r));
    auto read = model::parse_json(text);
    EXPECT_TRUE(read) << text;
    return read ? *read : model::value{};
  }
  static noted_as noted(const std::string& id, const std::string& parameter = {},
                        const std::string& v = {}) {
    auto r = route{};
    r.method = "GET";
    r.id = id;
    auto asked = http_request{};
    if (!parameter.empty())
      asked.query.emplace_back(parameter, v);
    return noted_of(r, asked);
  }

  route at{};
  http_request request;
};

TEST_F(AuditRecord, IsUtf8WhateverCame) {
  request.method = "PO\xffST";
  request.path.back() = "a\xc3";
  request.query.emplace_back("q\xff", "v\xe2\x82");
  request.body = "\xff\xfe";
  request.headers.emplace_back("idempotency-key", std::string(127, 'k') + "\xc3\xa4");
  auto e = make();
  e->params = {{"org", "-"}, {"role", "a\xc3"}};
  e->facts.detail = "no role a\xc3";
  e->facts.reason = "not_found";
  e->facts.ids = {"i\x80"};
  for (const auto status : {200, 403, 404, 500}) {
    const auto read = entry(*e, status);
    EXPECT_EQ(read.find("idempotencyKey")->as_string(), std::string(127, 'k'))
        << "cut where a character begins";
    EXPECT_EQ(read.find("resource")->find("id")->as_string(), "a\xef\xbf\xbd");
  }
}

TEST_F(AuditRecord, OfAStrangerThereIsOnlyWhereHeKnocked) {
  request.query.emplace_back("filter", "something");
  request.headers.emplace_back("idempotency-key", "key");
  request.body = R"({"name":"x"})";
  for (const auto status : {401, 403, 404}) {
    const auto read = entry(*make(false), status);
    for (const auto* name : {"asked", "query", "idempotencyKey", "actor"})
      EXPECT_FALSE(read.find(name)) << name;
    EXPECT_EQ(read.find("address")->as_string(), "192.0.2.1");
  }
  const auto known = entry(*make(), 403);
  EXPECT_TRUE(known.find("asked"));
  EXPECT_TRUE(known.find("query"));
}

TEST_F(AuditRecord, ARefusalIsShort) {
  auto body = model::object{};
  for (int i = 0; i < 500; ++i)
    body.emplace_back("member" + std::to_string(i), std::string(400, 'x'));
  request.body = to_json(body);
  request.path.back() = std::string(5000, 'p');
  request.query.emplace_back("q", std::string(5000, 'q'));
  EXPECT_LT(to_json(entry(*make(), 403)).size(), 2500u);
}

TEST_F(AuditRecord, ACallWithoutAPermissionTellsNothingUnlessItWorked) {
  at.permission = "";
  request.body = R"({"user":"eve","password":"a word"})";
  auto e = make(false);
  e->facts.organisation = "org";
  e->facts.actor = "user:eve";
  EXPECT_FALSE(entry(*e, 401).find("asked"));
  EXPECT_FALSE(entry(*e, 400).find("asked"));
  EXPECT_EQ(to_json(*entry(*e, 200).find("asked")), R"({"user":"eve","password":"[redacted]"})");
  request.body = R"({"user":"eve","password":"a word")";  // no JSON: its hash would tell of it
  e = make(false);
  e->facts.actor = "user:eve";
  EXPECT_FALSE(entry(*e, 400).find("asked"));
  EXPECT_FALSE(entry(*e, 200).find("asked")->find("sha256"));
  at.permission = "iam:role";
  EXPECT_TRUE(entry(*make(), 400).find("asked")->find("sha256"));
}

TEST_F(AuditRecord, ReadingThatHandsOutSecretsIsNoted) {
  EXPECT_EQ(noted("getCredential"), noted_as::nothing);
  EXPECT_EQ(noted("getCredential", "reveal", "false"), noted_as::nothing);
  EXPECT_EQ(noted("getCredential", "reveal", "true"), noted_as::each);
  EXPECT_EQ(noted("getCredentialByKey", "reveal", "true"), noted_as::each);
  EXPECT_EQ(noted("getOperationResult"), noted_as::nothing);
  EXPECT_EQ(noted("getOperationResult", "failed", "true"), noted_as::nothing);
  EXPECT_EQ(noted("getOperationResult", "secrets", "true"), noted_as::each);
  EXPECT_EQ(noted("getDevice", "reveal", "true"), noted_as::nothing);
}

}  // namespace
}  // namespace orrery::transport::api
