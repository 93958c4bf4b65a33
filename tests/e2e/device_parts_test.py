"""A device with the parts that are asked for, the whole replacement of what is said of one, and registration into groups and behind
gateways."""
import unittest

from api_kit import model_document, refused
from orrery import NodeTest

PASSWORD = "long enough"
NO_ASSET = "00000000000000000000000000000"


class PartsTest(NodeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.product = cls.node.demo["productKey"]
        cls.model = cls.api.get(f"~/products/{cls.product}")["modelId"]

    def person(self, login, permissions, **scope):
        self.api.post("~/roles", {"name": login, "permissions": permissions, "scope": scope})
        self.api.post("~/users", {"login": login, "password": PASSWORD, "roles": [login]})
        return self.node.api(self.api.post("/auth/login", {"user": login, "password": PASSWORD})["access"])

    def new(self, **more):
        return self.api.post("~/devices", dict({"productKey": self.product}, **more))


class Include(PartsTest):
    def test_what_is_asked_for_is_added(self):
        device = self.new(tags={"a": "b"})
        path = f"~/devices/{device['assetId']}"
        plain = self.api.get(path)
        self.assertEqual(plain.keys() & {"twin", "tree", "firmware"}, set())
        self.assertEqual(self.api.get(path, params={"include": "tags,attributes,groups,gateway"}), plain)
        self.api.request("PUT", path + "/twin/desired", json={"rate": 5}, headers={"If-Match": "*"})
        whole = self.api.request("GET", f"~/products/{self.product}/devices/{device['deviceKey']}", params={"include": "twin,firmware,tree"})
        self.assertEqual((whole.json()["twin"]["delta"], whole.json()["firmware"], whole.json()["tree"]), ({"rate": 5}, {"upgrading": False}, []))
        self.assertNotIn("ETag", whole.headers)
        etag = self.api.request("GET", path, params={"include": "twin"}).headers["ETag"]
        self.api.request("GET", path, params={"include": "twin"}, headers={"If-None-Match": etag}, expect=304)
        self.api.request("PATCH", path, json={"name": "Named"}, headers={"If-Match": etag})
        for words in ("twins", "twin,", ",twin", "twin,,tree", "Twin", "twin, tree"):
            if words == "twin,":
                continue  # nothing stands behind it
            found = refused(self, self.api, "GET", path, 422, "validation_failed", params={"include": words})
            self.assertEqual(found["errors"][0]["pointer"], "include", words)

    def test_rights_count(self):
        device = self.new()
        site = self.api.post("~/trees", {"name": "Sites", "root": {"asset": {"name": "All"}}})
        hall = self.api.post(f"~/trees/{site['id']}/nodes", {"asset": {"name": "Hall"}})
        place = self.api.post(f"~/trees/{site['id']}/nodes", {"parent": hall["id"], "assetId": device["assetId"]})
        other = self.api.post("~/trees", {"name": "Lines", "root": {"asset": {"name": "Line"}}})
        self.api.post(f"~/trees/{other['id']}/nodes", {"assetId": device["assetId"]})
        path, ask = f"~/devices/{device['assetId']}", {"params": {"include": "twin,tree,firmware"}}
        shown = self.api.get(path, **ask)
        self.assertEqual(shown["tree"], self.api.get(f"~/assets/{device['assetId']}/trees")["items"])
        self.assertEqual({p["treeId"]: [n["name"] for n in p["path"]] for p in shown["tree"]}, {site["id"]: ["All", "Hall"], other["id"]: ["Line"]})
        nobody = self.person("plain", ["device:read"])
        self.assertEqual(nobody.get(path, **ask).keys() & {"twin", "tree", "firmware"}, {"twin"})
        scoped = self.person("hall", ["device:read", "tree:read", "ota:read"], treeNodes=[hall["id"]])
        seen = scoped.get(path, **ask)
        self.assertEqual([(p["node"]["id"], [n["name"] for n in p["path"]]) for p in seen["tree"]], [(place["id"], ["Hall"])])
        self.assertIn("firmware", seen)
        product = self.person("product", ["device:read", "tree:read"], products=[self.product])
        self.assertEqual(product.get(path, **ask)["tree"], [])


class Whole(PartsTest):
    def test_what_is_not_said_is_gone(self):
        device = self.new(name="One", description="a device", timezone="Europe/Berlin", tags={"a": "1", "b": "2"}, attributes={"serial": "S1"})
        for path in (f"~/devices/{device['assetId']}", f"~/products/{self.product}/devices/{device['deviceKey']}"):
            self.api.request("PATCH", path, json={"tags": {"a": "1"}, "attributes": {"serial": "S1"}})
            done = self.api.request("PUT", path, json={"name": "Two", "tags": {"b": "3"}})
            now = done.json()
            self.assertEqual((now["name"], now["description"], now["timezone"], now["tags"], now["attributes"].get("serial")), ("Two", "", "", {"b": "3"}, None))
            self.assertEqual(self.api.get(path), now)
            self.assertEqual(self.api.request("GET", path).headers["ETag"], done.headers["ETag"])
            self.assertIn("X-Revision", done.headers)
        now = self.api.request("PUT", path, json={}).json()
        self.assertEqual((now["name"], now["tags"]), (device["deviceKey"], {}))

    def test_what_the_model_says_holds(self):
        attributes = [{"id": "must", "name": "Must", "type": {"t": "int"}, "required": True}, {"id": "may", "name": "May", "type": {"t": "int"}, "default": 7},
                      {"id": "own", "name": "Own", "type": {"t": "int"}, "access": "device"}]
        self.api.post("~/models", model_document("Whole", attributes=attributes))
        self.api.post("~/models/Whole:publish", {})
        product = self.api.post("~/products", {"name": "Whole", "modelId": "Whole"})["productKey"]
        path = "~/devices/" + self.new(productKey=product, attributes={"must": 1, "may": 2, "own": 3})["assetId"]
        found = refused(self, self.api, "PUT", path, 422, "model_validate_failed", json={"attributes": {"may": 1}})
        self.assertEqual([(e["pointer"], e["code"]) for e in found["errors"]], [("must", "required_missing")])
        self.assertEqual(self.api.request("PUT", path, json={"attributes": {"must": 5}}).json()["attributes"], {"must": 5, "may": 7, "own": 3})
        refused(self, self.api, "PUT", path, 422, "model_validate_failed", json={"attributes": {"must": 5, "own": 4}})

    def test_is_bound_to_a_revision(self):
        path = "~/devices/" + self.new()["assetId"]
        etag = self.api.request("GET", path).headers["ETag"]
        self.api.request("PATCH", path, json={"name": "Meanwhile"})
        refused(self, self.api, "PUT", path, 412, "etag_mismatch", json={"name": "x"}, headers={"If-Match": etag})
        self.assertEqual(self.api.get(path)["name"], "Meanwhile")
        refused(self, self.api, "PUT", path, 400, "unknown_field", json={"colour": "red"})
        refused(self, self.api, "PUT", path, 422, "validation_failed", json={"tags": {"a": None}})
        refused(self, self.api, "PUT", f"~/devices/{NO_ASSET}", 404, "device_unknown", json={})


class Registration(PartsTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub = cls.api.post("~/products", {"name": "Hub", "modelId": cls.model, "nodeType": "gateway"})["productKey"]
        cls.gateway = cls.api.post("~/devices", {"productKey": cls.hub})
        cls.groups = [cls.api.post("~/groups", {"name": f"G{n}", "type": "static"})["id"] for n in range(2)]

    def count(self):
        return self.api.get("~/devices", params={"count": "true", "limit": 1})["total"]

    def test_goes_where_it_is_put(self):
        name = {"productKey": self.hub, "deviceKey": self.gateway["deviceKey"]}
        for gateway in (self.gateway["assetId"], name):
            reply = self.api.request("POST", "~/devices", json={"productKey": self.product, "groups": self.groups, "gateway": gateway})
            made = reply.json()
            self.assertEqual((sorted(made["groups"]), made["gateway"], "warnings" in made), (sorted(self.groups), self.gateway["assetId"], False))
            path = f"~/devices/{made['assetId']}"
            self.assertEqual(self.api.request("GET", path).headers["ETag"], reply.headers["ETag"])
            self.assertEqual(self.api.get(path + "/gateway")["assetId"], self.gateway["assetId"])
            self.assertIn(made["assetId"], [s["assetId"] for s in self.api.get(f"~/devices/{self.gateway['assetId']}/subDevices")["items"]])
            self.assertIn(made["assetId"], [d["assetId"] for d in self.api.get(f"~/groups/{self.groups[0]}/members")["items"]])

    def test_is_checked_before_anything_is_made(self):
        rule = self.api.post("~/groups", {"name": "Ruled", "type": "dynamic", "rule": "tags.a = 'b'"})["id"]
        plain = self.new()["assetId"]
        before = self.count()
        for more, status, code in (({"groups": ["g-none"]}, 422, "validation_failed"), ({"groups": [rule]}, 422, "validation_failed"),
                                   ({"groups": self.groups * 17}, 422, "validation_failed"), ({"gateway": 7}, 422, "validation_failed"),
                                   ({"gateway": "nonsense"}, 422, "validation_failed"), ({"gateway": {"productKey": self.hub}}, 422, "validation_failed"),
                                   ({"gateway": NO_ASSET}, 404, "device_unknown"), ({"gateway": {"productKey": self.hub, "deviceKey": "none"}}, 404, "device_unknown"),
                                   ({"gateway": plain}, 409, "not_gateway"), ({"productKey": self.hub, "gateway": self.gateway["assetId"]}, 409, "sub_device_is_gateway")):
            with self.subTest(more):
                refused(self, self.api, "POST", "~/devices", status, code, json=dict({"productKey": self.product}, **more))
        found = refused(self, self.api, "POST", "~/devices", 422, "validation_failed", json={"productKey": self.product, "groups": [self.groups[0], "g-none", rule]})
        self.assertEqual([(e["pointer"], e["code"]) for e in found["errors"]], [("/groups/1", "group_unknown"), ("/groups/2", "group_dynamic")])
        self.assertEqual(self.count(), before)

    def test_of_many_each_is_by_itself(self):
        items = [{"productKey": self.product, "groups": self.groups[:1]}, {"productKey": self.product, "groups": ["g-none"]},
                 {"productKey": self.product, "gateway": self.gateway["assetId"]}, {"productKey": self.product, "gateway": NO_ASSET}, {"productKey": self.product}]
        done = self.api.post("~/devices:batch", {"items": items})
        self.assertEqual([r["status"] for r in done["results"]], [201, 422, 201, 404, 201], done)
        self.assertEqual(done["results"][0]["device"]["groups"], self.groups[:1])
        self.assertEqual(done["results"][2]["device"]["gateway"], self.gateway["assetId"])
        self.assertEqual(done["results"][1]["error"]["errors"][0]["pointer"], "/items/1/groups/0")

    def test_rights_count(self):
        body = {"productKey": self.product, "groups": self.groups[:1]}
        writer = self.person("writer", ["device:*"])
        refused(self, writer, "POST", "~/devices", 403, "forbidden", json=body)
        refused(self, writer, "POST", "~/devices", 403, "forbidden", json={"productKey": self.product, "gateway": self.gateway["assetId"]})
        keeper = self.person("keeper", ["device:*", "group:write", "topology:write"])
        self.assertEqual(keeper.post("~/devices", dict(body, gateway=self.gateway["assetId"]))["groups"], self.groups[:1])
        # A group that decides whom a role reaches is for those alone who have what the role gives.
        guarded = self.api.post("~/groups", {"name": "Guarded", "type": "static"})["id"]
        self.api.post("~/roles", {"name": "guards", "permissions": ["ota:*"], "scope": {"groups": [guarded]}})
        refused(self, keeper, "POST", "~/devices", 403, "forbidden", json={"productKey": self.product, "groups": [guarded]})
        # A gateway that is out of reach is not there.
        self.api.post("~/roles", {"name": "near", "permissions": ["device:*", "topology:*"], "scope": {"products": [self.product]}})
        self.api.post("~/users", {"login": "ned", "password": PASSWORD, "roles": ["near"]})
        ned = self.node.api(self.api.post("/auth/login", {"user": "ned", "password": PASSWORD})["access"])
        refused(self, ned, "POST", "~/devices", 404, "device_unknown", json={"productKey": self.product, "gateway": self.gateway["assetId"]})

    def test_a_repeat_makes_no_second_device(self):
        body, headers = {"productKey": self.product, "groups": self.groups, "gateway": self.gateway["assetId"]}, {"Idempotency-Key": "register-once"}
        first = self.api.request("POST", "~/devices", json=body, headers=headers)
        before = self.count()
        again = self.api.request("POST", "~/devices", json=body, headers=headers)
        self.assertEqual((again.json(), again.headers.get("Idempotent-Replay")), (first.json(), "true"))
        # The node forgets its answers when it stops; the key that it chose is the same again.
        self.node.stop()
        self.node.start()
        type(self).api = self.node.api()
        lost = refused(self, self.api, "POST", "~/devices", 409, "device_key_exists", json=body, headers=headers)
        self.assertIn(first.json()["deviceKey"], lost["detail"])
        self.assertEqual(self.count(), before)
        self.assertNotEqual(self.api.request("POST", "~/devices", json=body, headers={"Idempotency-Key": "register-twice"}).json()["deviceKey"], first.json()["deviceKey"])


if __name__ == "__main__":
    unittest.main()
