"""Every call of the API by every sort of caller: what a permission promises holds, and whoever is of another
organisation is told the same as of things that are not there."""
import re
import unittest

import requests

from api_kit import problem
from orrery import NodeTest

ROLES = ("admin", "operator", "viewer")
# What each built-in role may, as docs/api.md tells it; written out here, so that a change of theirs is seen.
MAY = {
    "admin": ["*"],
    "operator": ["model:read", "product:read", "device:*", "topology:*", "group:*", "data:read", "data:write", "event:*", "tree:*", "asset:*",
                 "stats:read", "sub:*", "ota:*", "file:*", "config:*", "org:read"],
    "viewer": ["model:read", "product:read", "device:read", "topology:read", "group:read", "data:read", "tree:read", "asset:read", "stats:read", "sub:read",
               "ota:read", "file:read", "config:read", "org:read"],
}
PASSWORD = "long enough for all"
# These end the log-in of whoever calls, or are no requests: they have tests of their own.
LEFT_OUT = {"logout", "openStream"}
NOTHING = "nothing-like-it"  # an id that nothing has
NO_ASSET = "000000000000000000000000000000"  # one of the form of an assetId


def permits(permissions, wanted):
    area = wanted.split(":")[0]
    return bool({"*", wanted, area + ":*"} & set(permissions))


class Operation:
    def __init__(self, path, method, described):
        self.path, self.method, self.id = path, method.upper(), described["operationId"]
        text = described.get("description", "")
        found = re.search(r"Needs the permission `([a-z]+:[a-z]+)`", text)
        self.permission = found.group(1) if found else None
        self.is_public = described.get("security") == []
        self.is_scoped = "for all products" in text
        self.takes_a_body = "requestBody" in described
        self.is_of_an_organisation = path.startswith("/orgs/{org}")

    def fill(self, names):
        return re.sub(r"\{(\w+)\}", lambda m: names.get(m.group(1), NOTHING), self.path)


class Matrix(NodeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        api = cls.api
        cls.operations = [Operation(path, method, described) for path, all_of in api.document["paths"].items()
                          for method, described in all_of.items() if described["operationId"] not in LEFT_OUT]
        device = cls.node.demo["devices"][0]
        cls.product = cls.node.demo["productKey"]
        api.post("~/roles", {"name": "none", "permissions": []})
        api.post("~/roles", {"name": "part", "permissions": ["*"], "scope": {"products": ["another"]}})
        api.post("~/roles", {"name": "grouped", "permissions": ["*"], "scope": {"groups": ["g1"], "treeNodes": ["n1"]}})
        for role in (*ROLES, "none", "part", "grouped"):
            api.post("~/users", {"login": f"m-{role}", "password": PASSWORD, "roles": [role]})
        key = api.post("~/apps/matrix/keys", {"permissions": ["data:read"]})
        made = api.post("~/bans", {"kind": "address", "subject": "203.0.113.7"})
        api.post("/orgs", {"id": "foreign", "name": "Foreign", "admin": {"login": "fred", "password": PASSWORD}})
        api.request("PUT", "~/identityProviders/matrix-idp", json={"issuer": "https://id.example.org", "clientId": "matrix"})
        command = api.request("POST", f"~/devices/{device['assetId']}/points/limit:set", expect=404, json={"value": 1})
        assert command.json()["code"] == "element_unknown", command.text
        # Things of the first organisation, by the names that paths have for them.
        cls.real = {"org": "default", "asset": device["assetId"], "product": cls.product, "device": device["deviceKey"], "login": "m-viewer",
                    "role": "none", "kind": "users", "subject": "m-viewer", "app": "matrix", "key": key["id"], "ban": made["id"],
                    "provider": "matrix-idp",
                    "model": api.get("~/models")["items"][0]["id"], "point": "power", "service": "reboot", "attribute": "ratedPower"}
        cls.unreal = {"org": "no-such-organisation", "asset": NO_ASSET[:len(device["assetId"])], "kind": "users"}
        cls.tokens = {role: cls.log_in(f"m-{role}", "default") for role in (*ROLES, "none", "part", "grouped")}
        cls.tokens["foreign"] = cls.log_in("fred", "foreign")
        foreign = cls.node.api(cls.tokens["foreign"])
        foreign.post("~/users", {"login": "vera", "password": PASSWORD, "roles": ["viewer"]})
        cls.tokens["foreign viewer"] = cls.log_in("vera", "foreign")

    @classmethod
    def log_in(cls, login, organisation):
        return cls.api.post("/auth/login", {"user": login, "password": PASSWORD, "organisation": organisation})["access"]

    def call(self, operation, names, token, body=None):
        """The reply's status and problem. Without `body` it is one that no call takes: nothing is done, and what is refused for its
        right is refused before that is read."""
        options = {"json": {"no-such-field": 1} if body is None else body} if operation.takes_a_body else {}
        headers = dict({"If-Match": "*"}, **({"Authorization": f"Bearer {token}"} if token else {}))
        reply = requests.request(operation.method, self.api.base + operation.fill(names), headers=headers, timeout=60,
                                 allow_redirects=False, **options)
        return reply.status_code, reply.json() if reply.status_code >= 400 else {}

    def each(self, who, look):
        for operation in self.operations:
            with self.subTest(who=who, call=f"{operation.method} {operation.path}", needs=operation.permission):
                look(operation)

    def test_the_document_has_all_calls(self):
        self.assertGreater(len(self.operations), 100)
        self.assertGreater(len([o for o in self.operations if o.permission]), 90)
        public = {o.id for o in self.operations if o.is_public}
        self.assertEqual(public, {"login", "refreshToken", "beginExternalLogin", "finishExternalLogin", "getOpenApi", "getReference", "getVersion"})

    def test_who_does_not_say_who_he_is(self):
        def look(operation):
            for token in (None, "nonsense"):
                status, body = self.call(operation, self.real, token)
                if operation.is_public:
                    self.assertNotIn(status, (401, 403))
                else:
                    self.assertEqual((status, body["code"]), (401, "unauthenticated"))
        self.each("nobody", look)

    def test_built_in_roles(self):
        for role in ROLES:
            def look(operation, role=role):
                status, body = self.call(operation, dict(self.unreal, org="-"), self.tokens[role])
                if operation.permission is None or permits(MAY[role], operation.permission):
                    self.assertNotIn(status, (401, 403), body)
                else:
                    self.assertEqual((status, body["code"]), (403, "forbidden"))
            self.each(role, look)

    def test_a_role_that_gives_nothing(self):
        def look(operation):
            status, body = self.call(operation, dict(self.real, org="-"), self.tokens["none"])
            if operation.permission is None:
                self.assertNotIn(status, (401, 403), body)
            else:
                self.assertEqual((status, body["code"]), (403, "forbidden"))
        self.each("none", look)

    def test_a_scope_of_products(self):
        """Everything, for one product: calls about another one are about nothing, those about the organisation are refused."""
        def look(operation):
            real, unreal = (self.call(operation, dict(names, org="-"), self.tokens["part"], {}) for names in (self.real, self.unreal))
            if operation.permission is None:
                self.assertNotIn(real[0], (401, 403), real)
            elif not operation.is_scoped:
                self.assertEqual((real[0], real[1]["code"]), (403, "scope_denied"))
            else:
                self.assertNotEqual(real[0], 403, real)
                self.same(real, unreal)
        self.each("part", look)

    def test_a_scope_of_groups_and_nodes(self):
        """Everything, for a group and a node that the device is not in: as with a scope of products."""
        def look(operation):
            real, unreal = (self.call(operation, dict(names, org="-"), self.tokens["grouped"], {}) for names in (self.real, self.unreal))
            if operation.permission is None:
                self.assertNotIn(real[0], (401, 403), real)
            elif not operation.is_scoped:
                self.assertEqual((real[0], real[1]["code"]), (403, "scope_denied"))
            else:
                self.assertNotEqual(real[0], 403, real)
                self.same(real, unreal)
        self.each("grouped", look)

    def same(self, real, unreal):
        """Both are told the same, but for what they were called by."""
        def told(reply):
            status, body = reply
            detail = body.get("detail", "")
            for names in (self.real, self.unreal):
                for name in sorted(names.values(), key=len, reverse=True):
                    detail = detail.replace(name, "*")
            return status, body.get("code"), detail.replace(NOTHING, "*"), len(body.get("errors", []))
        self.assertEqual(told(real), told(unreal))

    def test_another_organisation_by_its_name(self):
        for who in ("foreign", "foreign viewer"):
            def look(operation, who=who):
                if not operation.is_of_an_organisation:
                    return
                real, unreal = (self.call(operation, names, self.tokens[who]) for names in (self.real, self.unreal))
                self.assertEqual((real[0], real[1]["code"]), (404, "not_found"))
                self.same(real, unreal)
            self.each(who, look)

    def test_things_of_another_organisation(self):
        """The caller's own organisation in the path, and ids of the first one's things."""
        def look(operation):
            names = {name: value for name, value in self.real.items() if name not in ("org", "kind", "point", "service", "attribute")}
            if not operation.is_of_an_organisation or not set(re.findall(r"\{(\w+)\}", operation.path)) & set(names):
                return
            real = self.call(operation, dict(self.real, org="-"), self.tokens["foreign"], {})
            unreal = self.call(operation, dict(self.unreal, org="-"), self.tokens["foreign"], {})
            self.assertIn(real[0], (404, 422), real)
            self.same(real, unreal)
        self.each("foreign", look)

    def test_the_installation_is_nothing_of_another_organisation(self):
        def look(operation):
            if operation.permission and not operation.is_of_an_organisation:
                status, body = self.call(operation, self.unreal, self.tokens["foreign"])
                self.assertIn((status, body["code"]), ((403, "forbidden"), (400, "unknown_field")))
        self.each("foreign", look)

    def test_lists_of_another_organisation_are_empty_of_the_first_ones_things(self):
        foreign = self.node.api(self.tokens["foreign"])
        ours = [value for name, value in self.real.items() if name not in ("org", "kind", "subject", "role", "point", "service", "attribute")]
        def look(operation):
            if operation.method != "GET" or not operation.is_of_an_organisation or operation.path.count("{") != 1:
                return
            if operation.id == "listAuditLog":
                return  # what the caller was refused stands in his own log, by the names that he used
            text = foreign.request("GET", operation.path.replace("{org}", "-")).text
            for name in ours:
                self.assertNotIn(f'"{name}"', text)
        self.each("foreign", look)

    def test_ids_in_bodies_of_another_organisation(self):
        foreign = self.node.api(self.tokens["foreign"])
        asset, product = self.real["asset"], self.product
        self.assertEqual(foreign.post("~/devices/status", {"ids": [asset]})["items"], [])
        self.assertEqual(foreign.post("~/points/latest", {"ids": [asset]})["items"], [])
        for path, body in (("~/devices", {"productKey": product, "deviceKey": "mine"}),
                           ("~/devices:check", {"productKey": product, "keys": [self.real["device"]]}),
                           ("~/firmwares", {"productKey": product, "name": "f", "version": "1", "sign": "0" * 64, "url": "https://x/y", "size": 1}),
                           ("~/otaJobs", {"productKey": product, "firmware": "f", "devices": [self.real["device"]]})):
            reply = foreign.request("POST", path, expect=404, json=body)
            self.assertIn(problem(self, reply, 404, reply.json()["code"])["code"], ("product_unknown", "firmware_unknown"))
        self.assertEqual(self.api.post("~/devices:check", {"productKey": product, "keys": ["mine"]})["free"], ["mine"])


if __name__ == "__main__":
    unittest.main()
