"""Roles of one's own, their scopes, and who has them (group A of the API)."""
import unittest

from api_kit import all_of, refused
from orrery import NodeTest

PASSWORD = "long enough"


class RolesTest(NodeTest):
    def role(self, name, *permissions, **scope):
        return self.api.post("~/roles", {"name": name, "permissions": list(permissions), "scope": scope})

    def person(self, login, *roles):
        self.api.post("~/users", {"login": login, "password": PASSWORD, "roles": list(roles)})
        return self.node.api(self.api.post("/auth/login", {"user": login, "password": PASSWORD})["access"])

    def put(self, name, *permissions, **scope):
        return self.api.request("PUT", f"~/roles/{name}", json={"permissions": list(permissions), "scope": scope}).json()


class Roles(RolesTest):
    def test_come_change_and_go(self):
        made = self.role("reader", "data:read", products=["p1"], treeNodes=["n1"])
        self.assertEqual(made["scope"], {"products": ["p1"], "groups": [], "treeNodes": ["n1"]})
        self.assertEqual((made["builtin"], made["createdBy"][:4]), (False, "key:"))
        refused(self, self.api, "POST", "~/roles", 409, "role_exists", json={"name": "reader", "permissions": []})
        etag = self.api.request("GET", "~/roles/reader").headers["ETag"]
        self.put("reader", "data:*")
        self.assertEqual(self.api.get("~/roles/reader")["permissions"], ["data:*"])
        body = {"permissions": []}
        refused(self, self.api, "PUT", "~/roles/reader", 412, "etag_mismatch", json=body, headers={"If-Match": etag})
        refused(self, self.api, "DELETE", "~/roles/reader", 412, "etag_mismatch", headers={"If-Match": etag})
        etag = self.api.request("GET", "~/roles/reader").headers["ETag"]
        self.assertEqual(self.api.session.get(self.api.base + "/orgs/-/roles/reader", headers={"If-None-Match": etag}).status_code, 304)
        self.api.request("DELETE", "~/roles/reader", headers={"If-Match": etag})
        for method, options in (("GET", {}), ("DELETE", {}), ("PUT", {"json": body})):
            refused(self, self.api, method, "~/roles/reader", 404, "role_unknown", **options)

    def test_built_in_ones_are_listed_and_stay(self):
        names = [r["name"] for r in all_of(self.api, "~/roles", 2)]
        self.assertEqual(sorted(names), names)
        self.assertLessEqual({"admin", "operator", "viewer"}, set(names))
        self.assertEqual([r["name"] for r in self.api.get("~/roles", params={"filter": "builtin = true", "sort": "-name"})["items"]],
                         ["viewer", "operator", "admin"])
        refused(self, self.api, "DELETE", "~/roles/viewer", 409, "role_builtin")
        refused(self, self.api, "PUT", "~/roles/viewer", 409, "role_builtin", json={"permissions": ["*"]})
        refused(self, self.api, "POST", "~/roles", 409, "role_builtin", json={"name": "viewer", "permissions": ["*"]})

    def test_are_checked(self):
        for body, pointer in (({"permissions": []}, "/name"), ({"name": "x"}, "/permissions"),
                              ({"name": "x", "permissions": ["everything"]}, "/permissions/0"),
                              ({"name": "x", "permissions": ["*"] * 101}, "/permissions"),
                              ({"name": "x", "permissions": ["*"], "scope": {"products": ["a b"]}}, "/scope/products/0"),
                              ({"name": "x", "permissions": ["*"], "scope": {"groups": [""]}}, "/scope/groups/0")):
            found = refused(self, self.api, "POST", "~/roles", 422, "validation_failed", json=body)
            self.assertEqual([e["pointer"] for e in found["errors"]], [pointer], body)
        refused(self, self.api, "POST", "~/roles", 422, "role_invalid", json={"name": "a b", "permissions": []})
        refused(self, self.api, "POST", "~/roles", 400, "unknown_field", json={"name": "x", "permissions": [], "scopes": {}})

    def test_one_that_somebody_has_stays(self):
        self.role("held", "data:read")
        self.person("holder", "held")
        refused(self, self.api, "DELETE", "~/roles/held", 409, "role_in_use")
        self.api.request("DELETE", "~/users/holder")
        self.api.request("DELETE", "~/roles/held")

    def test_nobody_makes_more_than_he_has(self):
        self.role("clerk", "iam:role", "iam:user", "data:*")
        self.role("strong", "*")
        self.role("weak", "data:read")
        clerk = self.person("clara", "clerk")
        clerk.post("~/roles", {"name": "by-clara", "permissions": ["data:read"]})
        for method, path, body in (("POST", "~/roles", {"name": "more", "permissions": ["*"]}),
                                   ("PUT", "~/roles/weak", {"permissions": ["device:read"]}),
                                   ("PUT", "~/roles/strong", {"permissions": ["data:read"]}),
                                   ("PUT", "~/roles/clerk", {"permissions": ["*"]}),
                                   ("DELETE", "~/roles/strong", None),
                                   ("PUT", "~/grants/users/clara", {"roles": ["strong"]}),
                                   ("POST", "~/users", {"login": "more", "password": PASSWORD, "roles": ["strong"]})):
            refused(self, clerk, method, path, 403, "forbidden", **({"json": body} if body is not None else {}))
        refused(self, clerk, "PUT", "~/grants/users/clara", 409, "state_conflict", json={"roles": ["weak"]})

    def test_a_change_counts_at_once(self):
        self.role("shifting", "data:read")
        api = self.person("sam", "shifting")
        device = f"~/devices/{self.node.demo['devices'][0]['assetId']}"
        api.get(device + "/points/latest")
        refused(self, api, "GET", device, 403, "forbidden")
        self.put("shifting", "device:read")
        api.get(device)
        refused(self, api, "GET", device + "/points/latest", 403, "forbidden")
        self.assertEqual(api.get("/auth/me")["permissions"], ["device:read"])


class Grants(RolesTest):
    def test_of_people_and_applications(self):
        self.role("granted", "device:read", products=["p1"])
        api = self.person("greta", "viewer")
        self.api.post("~/apps", {"id": "grantee"})
        for subject in ("users/greta", "apps/grantee"):
            got = self.api.request("PUT", f"~/grants/{subject}", json={"roles": ["granted", "viewer"]}).json()
            self.assertEqual((got["roles"], [g["role"] for g in got["grants"]]), (["granted", "viewer"], ["granted", "viewer"]))
            self.assertEqual(got["grants"][0]["scope"]["products"], ["p1"])
            self.assertEqual(self.api.get(f"~/grants/{subject}"), got)
            self.api.request("DELETE", f"~/grants/{subject}")
            self.assertEqual(self.api.get(f"~/grants/{subject}")["roles"], [])
            refused(self, self.api, "PUT", f"~/grants/{subject}", 422, "validation_failed", json={"roles": ["king"]})
            refused(self, self.api, "PUT", f"~/grants/{subject}", 422, "validation_failed", json={})
        refused(self, api, "GET", "~/devices", 403, "forbidden")
        for subject in ("users/none", "apps/none", "kings/greta"):
            refused(self, self.api, "GET", f"~/grants/{subject}", 404, "subject_unknown")
            refused(self, self.api, "PUT", f"~/grants/{subject}", 404, "subject_unknown", json={"roles": []})

    def check(self, **question):
        got = self.api.post("~/grants:check", question)
        return got["allowed"], got["why"]

    def test_are_checked_by_question(self):
        self.role("asked", "device:*", products=["p1"], groups=["g1"])
        self.person("quinn", "asked")
        key = self.api.post("~/apps/asker/keys", {"permissions": ["data:read"]})
        self.assertEqual(self.check(user="quinn", permission="device:write", resource={"product": "p1"}), (True, "the role asked gives device:write"))
        self.assertEqual(self.check(user="quinn", permission="device:write", resource={"product": "p2", "groups": ["g1"]})[0], True)
        self.assertEqual(self.check(user="quinn", permission="device:write", resource={"product": "p2"}),
                         (False, "the role asked gives device:write, but not here"))
        self.assertEqual(self.check(user="quinn", permission="device:write")[0], False)
        self.assertEqual(self.check(key=key["id"], permission="data:read"), (True, "a permission of the key gives data:read"))
        self.assertEqual(self.check(app="asker", permission="data:read"), (False, "no role gives data:read"))
        for body, pointer in (({"permission": "a:b"}, "/user"), ({"user": "quinn", "app": "x", "permission": "a:b"}, "/user"),
                              ({"user": "quinn"}, "/permission"), ({"user": "quinn", "permission": "a"}, "/permission"),
                              ({"user": "quinn", "permission": "a:b", "resource": {"groups": ["a b"]}}, "/resource/groups/0")):
            found = refused(self, self.api, "POST", "~/grants:check", 422, "validation_failed", json=body)
            self.assertEqual([e["pointer"] for e in found["errors"]], [pointer], body)
        refused(self, self.api, "POST", "~/grants:check", 404, "subject_unknown", json={"user": "none", "permission": "a:b"})


class Scopes(RolesTest):
    """Somebody who may do everything with one product's devices, in an organisation that has two."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        api = cls.api
        model = api.get(f"~/products/{cls.node.demo['productKey']}")["modelId"]
        gateways = api.post("~/products", {"name": "Gateways", "modelId": model, "nodeType": "gateway"})["productKey"]
        cls.ours = api.post("~/products", {"name": "Ours", "modelId": model})["productKey"]
        cls.theirs = cls.node.demo["productKey"]
        cls.gateway = api.post("~/devices", {"productKey": gateways, "deviceKey": "gw"})
        cls.mine = [api.post("~/devices", {"productKey": cls.ours, "deviceKey": f"mine-{i}"}) for i in range(3)]
        cls.other = cls.node.demo["devices"][0]["assetId"]
        api.post(f"~/devices/{cls.gateway['assetId']}/subDevices:bind", {"devices": [
            {"productKey": cls.ours, "deviceKey": "mine-0"}, {"productKey": cls.theirs, "deviceKey": "inv-05"}]})
        api.post("~/roles", {"name": "ours", "permissions": ["*"], "scope": {"products": [cls.ours]}})
        api.post("~/roles", {"name": "gateways", "permissions": ["device:*"], "scope": {"products": [gateways]}})
        api.post("~/users", {"login": "oscar", "password": PASSWORD, "roles": ["ours"]})
        cls.scoped = cls.node.api(api.post("/auth/login", {"user": "oscar", "password": PASSWORD})["access"])

    def test_what_is_inside_is_theirs(self):
        asset = self.mine[1]["assetId"]
        self.scoped.get(f"~/devices/{asset}")
        self.scoped.request("PATCH", f"~/products/{self.ours}/devices/mine-1", json={"name": "Renamed"})
        self.scoped.post(f"~/devices/{asset}/points", {"items": [{"points": {"power": 1.0}}]})
        made = self.scoped.post("~/devices", {"productKey": self.ours, "deviceKey": "fresh"})
        self.scoped.request("DELETE", f"~/devices/{made['assetId']}")
        self.scoped.get(f"~/products/{self.ours}")
        me = self.scoped.get("/auth/me")
        self.assertEqual((me["permissions"], [g["scope"]["products"] for g in me["scoped"]]), ([], [[self.ours]]))

    def test_what_is_outside_is_not_there(self):
        for method, path, body in (("GET", f"~/devices/{self.other}", None), ("PATCH", f"~/devices/{self.other}", {"name": "x"}),
                                   ("GET", f"~/products/{self.theirs}/devices/inv-01", None), ("GET", f"~/products/{self.theirs}", None),
                                   ("DELETE", f"~/devices/{self.other}", None), ("GET", f"~/devices/{self.other}/points/latest", None),
                                   ("POST", f"~/devices/{self.other}:disable", {}), ("GET", f"~/devices/{self.other}/commands", None),
                                   ("POST", "~/devices", {"productKey": self.theirs}),
                                   ("POST", "~/devices:check", {"productKey": self.theirs, "keys": ["inv-01"]})):
            reply = self.scoped.request(method, path, expect=404, **({"json": body} if body is not None else {}))
            self.assertIn(reply.json()["code"], ("device_unknown", "product_unknown"))
        batch = self.scoped.post("~/devices:batch", {"items": [{"productKey": self.theirs, "deviceKey": "x"}]})
        self.assertEqual((batch["ok"], batch["results"][0]["error"]["code"]), (0, "product_unknown"))

    def test_lists_leave_it_out(self):
        keys = {d["deviceKey"] for d in all_of(self.scoped, "~/devices", 2)}
        self.assertLessEqual({"mine-0", "mine-1", "mine-2"}, keys)
        self.assertEqual({d["productKey"] for d in all_of(self.scoped, "~/devices", 100)}, {self.ours})
        self.assertEqual(self.scoped.get("~/devices", params={"productKey": self.theirs, "limit": 1}), {"items": []})
        self.assertEqual([p["productKey"] for p in self.scoped.get("~/products")["items"]], [self.ours])
        self.assertEqual(self.scoped.get("~/stats/devices")["total"], len(keys))
        ids = [self.other, self.mine[1]["assetId"]]
        self.assertEqual([s["assetId"] for s in self.scoped.post("~/devices/status", {"ids": ids})["items"]], ids[1:])
        self.scoped.post(f"~/devices/{ids[1]}/points", {"items": [{"points": {"power": 2.0}}]})
        self.api.post(f"~/devices/{self.other}/points", {"items": [{"points": {"power": 2.0}}]})
        self.assertEqual({r["assetId"] for r in self.scoped.post("~/points/latest", {"ids": ids})["items"]}, {ids[1]})

    def test_two_scopes_add_up(self):
        self.api.post("~/users", {"login": "olga", "password": PASSWORD, "roles": ["ours", "gateways"]})
        olga = self.node.api(self.api.post("/auth/login", {"user": "olga", "password": PASSWORD})["access"])
        self.assertEqual({d["productKey"] for d in all_of(olga, "~/devices", 2)}, {self.ours, self.gateway["productKey"]})
        gateway = f"~/devices/{self.gateway['assetId']}"
        self.assertEqual([s["productKey"] for s in olga.get(gateway + "/subDevices")["items"]], [self.ours], "one of theirs is left out")
        self.assertEqual(olga.get(f"~/devices/{self.mine[0]['assetId']}/gateway")["deviceKey"], "gw")
        refused(self, self.scoped, "GET", f"~/devices/{self.mine[0]['assetId']}/gateway", 404, "sub_device_unbound")
        done = olga.post(gateway + "/subDevices:unbind", {"devices": [{"productKey": self.theirs, "deviceKey": "inv-05"}]})
        self.assertEqual(done["results"][0]["error"]["code"], "device_unknown")
        refused(self, olga, "GET", gateway + "/points/latest", 404, "device_unknown")

    def test_what_is_of_the_organisation_is_refused(self):
        for path in ("~/users", "~/models", "~/roles", "~/bans", "~/authorities", "~/quotas", "/cluster", "/orgs"):
            refused(self, self.scoped, "GET", path, 403, "scope_denied")
        refused(self, self.scoped, "POST", "~/products", 403, "scope_denied", json={"name": "x", "modelId": "x"})

    def test_a_stream_hears_of_it_alone(self):
        with self.assertRaises(AssertionError):
            self.scoped.stream({"kind": "points", "filter": {"products": [self.theirs]}})
        stream = self.scoped.stream({"kind": "points"})
        self.addCleanup(stream.close)
        self.api.post(f"~/devices/{self.other}/points", {"items": [{"points": {"power": 3.0}}]})
        self.api.post(f"~/devices/{self.mine[2]['assetId']}/points", {"items": [{"points": {"power": 4.0}}]})
        [item] = stream.items(1)
        self.assertEqual((item["pk"], item["dk"]), (self.ours, "mine-2"))

    def test_nobody_gives_beyond_his_scope(self):
        """He has `iam:*` for his product, which is nothing for the organisation."""
        refused(self, self.scoped, "POST", "~/roles", 403, "scope_denied", json={"name": "x", "permissions": []})
        refused(self, self.scoped, "POST", "~/apps/x/keys", 403, "scope_denied", json={"permissions": ["*"]})

    def test_a_key_may_have_one(self):
        made = self.api.post("~/apps/scoped/keys", {"roles": ["ours"]})
        self.assertEqual((made["roles"], made["permissions"]), (["ours"], []))
        key = self.node.api(made["apiKey"])
        key.get(f"~/devices/{self.mine[1]['assetId']}")
        refused(self, key, "GET", f"~/devices/{self.other}", 404, "device_unknown")


if __name__ == "__main__":
    unittest.main()
