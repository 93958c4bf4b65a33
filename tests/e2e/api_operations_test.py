"""Every documented operation is called once with success, and the document is what OpenAPI 3.1 asks for."""
import json
import pathlib
import re
import secrets
import shutil
import tempfile
import time
import unittest
import urllib.parse

import jsonschema
import requests

from api_kit import all_of, model_document, refused, serve, totp
from orrery import DEADLINE, Api, NodeTest, wait_for
from tls_test import Authority, openssl

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


# These need an identity provider: external_login_test.py calls them.
OF_A_PROVIDER = {"beginExternalLogin", "finishExternalLogin"}
# A node that is alone refuses these: cluster_operations_test.py calls them.
OF_A_CLUSTER = {"drainNode", "undrainNode", "removeNode", "replaceNode"}


# Who has logged out cannot ask again; an import's body is no JSON (operations_test.py and row_files_test.py repeat it).
NOT_AGAIN = {"logout", "importDevices", "importProducts", "importAssets"}


class AskingTwice(Api):
    """Before each call it asks for it on the condition of an ETag that nothing has; a POST with a key is repeated behind it."""
    conditions, repeats = set(), set()

    def request(self, method, path, expect=None, **options):
        operation = self.operation_of(method, path.replace("~", self.org, 1).split("?")[0])
        if operation is None or method in ("GET", "HEAD") or expect is not None and expect >= 400 or "data" in options:
            return super().request(method, path, expect, **options)
        headers = {p["name"] for p in operation["parameters"] if p["in"] == "header"}
        given = {k: v for k, v in options.pop("headers", {}).items()}
        stale = {k: v for k, v in given.items() if k != "If-None-Match"} | {"If-Match": '"999999999"'}
        if "If-Match" in headers:
            # The one whose ETag is its own, and that PUT makes.
            makes = operation["operationId"] == "putIdentityProvider" and self.session.get(self.base + path.replace("~", self.org, 1), timeout=70).status_code == 404
            refused = super().request(method, path, 404 if makes else 412, headers=stale, **options).json()
            assert makes or refused["code"] == "etag_mismatch", refused
            if not makes:
                AskingTwice.conditions.add(operation["operationId"])
        else:
            refused = super().request(method, path, 422, headers=stale, **options).json()
            assert refused["code"] == "condition_unsupported", refused
        if "Idempotency-Key" not in headers or operation["operationId"] in NOT_AGAIN:
            return super().request(method, path, expect, headers=given, **options)
        given["Idempotency-Key"] = given.get("Idempotency-Key", secrets.token_hex(8))
        first = super().request(method, path, expect, headers=given, **options)
        again = super().request(method, path, first.status_code, headers=given, **options)
        assert again.headers.get("Idempotent-Replay") == "true", f"{method} {path} was done twice"
        assert again.content == first.content, f"{method} {path}: {first.text} and then {again.text}"
        AskingTwice.repeats.add(operation["operationId"])
        return first


class Operations(NodeTest):
    @classmethod
    def setUpClass(cls):
        backups = tempfile.mkdtemp(prefix="orrery-backup-")
        cls.addClassCleanup(shutil.rmtree, backups, ignore_errors=True)
        cls.settings = (f"backup.directory={backups}",)
        super().setUpClass()
        cls.api = AskingTwice(cls.node, cls.node.demo["apiKey"])

    def test_each_is_called(self):
        self.people()
        self.models_and_products()
        self.devices()
        self.searches()
        self.masses()
        self.trees()
        self.certificates()
        self.files()
        self.data()
        self.commands()
        self.upgrades()
        self.topology()
        self.assertEqual(self.api.get("/system/version")["name"], "orrery")
        self.api.get("/openapi.json")
        self.api.request("GET", "/reference")
        self.cluster()
        self.bans()
        documented = {o["operationId"] for o in self.operations()} - OF_A_CLUSTER - OF_A_PROVIDER
        called = {name for name, status in Api.seen if status < 400}
        self.assertEqual(documented - called - {"openStream"}, set(), "documented and never called")
        of = lambda name: {o["operationId"] for o in self.operations() if name in {p["name"] for p in o["parameters"]}} - OF_A_CLUSTER - OF_A_PROVIDER
        self.assertEqual(of("If-Match") - AskingTwice.conditions, set(), "not asked for on a condition")
        self.assertEqual(of("Idempotency-Key") - AskingTwice.repeats - NOT_AGAIN, set(), "not repeated")

    def operations(self):
        return [o for path in self.api.document["paths"].values() for o in path.values()]

    def lists(self):
        """Those that can be filtered: what the document says of it holds for each."""
        asked = {"filter": "createdAt > 0", "sort": "-createdAt", "fields": "createdAt"}
        paths = [path for path, operations in self.api.document["paths"].items()
                 if "/library/" not in path and {p["name"] for p in operations.get("get", {"parameters": []})["parameters"]} >= set(asked)]
        self.assertEqual({p.split("/")[-1] for p in paths},
                         {"apps", "configurations", "devices", "firmwares", "groups", "identityProviders", "keys", "members", "models", "orgs", "products", "roles", "users"})
        self.api.post("~/configurations", {"name": "Of the lists", "target": "tags.nobody = 'has it'", "desired": {}})
        for _ in range(2):
            self.api.request("PUT", "~/identityProviders/lists", json={"issuer": "https://id.example.org", "clientId": "orrery"})
        group = self.api.post("~/groups", {"name": "Of the lists", "type": "dynamic", "rule": "createdAt > 0"})
        for path in paths:
            with self.subTest(path):
                items = self.api.get(path.replace("/orgs/{org}", "~").replace("{app}", "demo").replace("{group}", group["id"]), params=asked)["items"]
                self.assertTrue(items)
                for item in items:
                    self.assertEqual(list(item), ["createdAt"])

    def searches(self):
        """Their questions stand in the body."""
        found = self.api.post("~/devices/search", {"filter": "status in ('inactive', 'online', 'offline')", "sort": "-createdAt", "limit": 2, "count": True})
        self.assertGreaterEqual(found["total"], len(found["items"]))
        counted = self.api.post("~/devices:count", {"filter": "createdAt > 0", "groupBy": ["status", "productKey"]})
        self.assertEqual(sum(g["count"] for g in counted["groups"]), counted["total"])
        for what in ("models", "products", "firmwares"):
            self.assertEqual(self.api.post(f"~/{what}/search", {"filter": "createdAt > 0", "limit": 1})["items"], self.api.get(f"~/{what}", params={"limit": 1})["items"], what)

    def masses(self):
        product = self.node.demo["productKey"]
        title = self.api.request("GET", "~/devices:importTemplate").text.split(",")[0]
        begun = [self.api.request("POST", "~/devices:import", data=f"{title},deviceKey\n{product},mass-1", headers={"Content-Type": "text/csv"}).json(),
                 self.api.post("~/devices:export", {"filter": "deviceKey like 'mass%'"}),
                 self.api.post("~/devices:provision", {"productKey": product, "keys": "mass-{2..3}"}),
                 self.api.post("~/devices:bulk", {"action": "tag", "tags": {"a": "b"}, "filter": "deviceKey like 'mass%'"})]
        for one in begun:
            self.assertEqual(self.api.get(f"~/operations/{one['id']}", params={"wait": "30s"})["state"], "succeeded")
            self.api.request("GET", f"~/operations/{one['id']}/result")
        self.assertGreaterEqual({one["id"] for one in self.api.get("~/operations")["items"]}, {one["id"] for one in begun})
        self.api.post("~/devices:bulk", {"action": "delete", "all": True, "dryRun": True})
        slow = self.api.post("~/devices:provision", {"productKey": product, "keys": "mass-{4..999}", "rate": 1})
        self.api.post(f"~/operations/{slow['id']}:cancel")
        self.api.request("DELETE", f"~/operations/{begun[1]['id']}")

    def trees(self):
        asset = self.api.post("~/assets", {"name": "Hall"})
        two = self.api.post("~/assets:batch", {"items": [{"name": "Line 1"}, {"name": "Line 2"}]})
        self.assertEqual(two["failed"], 0)
        self.api.request("PATCH", f"~/assets/{asset['assetId']}", json={"tags": {"floor": "1"}})
        self.assertTrue(self.api.get(f"~/assets/{asset['assetId']}")["tags"])
        self.assertTrue(self.api.get("~/assets", params={"kind": "logical"})["items"])
        self.assertTrue(self.api.post("~/assets/search", {"name": "Hall"})["items"])
        rows = self.api.request("POST", "~/assets:export", json={"name": "Hall", "format": "ndjson"})
        self.api.request("POST", "~/assets:import?mode=update", data=rows.content, headers={"Content-Type": "application/x-ndjson"})
        tree = self.api.post("~/trees", {"name": "Works", "root": {"asset": {"name": "Works"}}})
        path = f"~/trees/{tree['id']}"
        self.api.request("PATCH", path, json={"tags": {"of": "it"}}, headers={"If-Match": "*"})
        self.api.get(path)
        self.assertTrue(self.api.get("~/trees")["items"])
        hall = self.api.post(f"{path}/nodes", {"parent": tree["rootId"], "assetId": asset["assetId"]})
        lines = self.api.post(f"{path}/nodes:batch", {"items": [{"parent": tree["rootId"], "asset": {"name": f"Line {n}"}} for n in (1, 2)]})
        self.assertEqual(lines["failed"], 0, lines)
        node = f"{path}/nodes/{hall['id']}"
        self.api.request("PATCH", node, json={"label": "The hall"})
        self.api.get(node)
        self.api.get(f"{node}/summary")
        listed = self.api.get(f"{path}/nodes", params={"parent": tree["rootId"]})["items"]
        self.api.post(f"{path}/nodes/{listed[1]['id']}:move", {"parent": hall["id"]})
        self.assertTrue(self.api.post(f"{path}/nodes/search", {"isDescendantOf": tree["rootId"]})["items"])
        self.assertTrue(self.api.post(f"{path}/paths", {"to": [listed[1]["id"]]})["items"])
        self.assertTrue(self.api.get(f"~/assets/{asset['assetId']}/trees")["items"])
        self.assertTrue(self.api.get(f"{path}/changes", params={"since": 1})["items"])
        made = [self.api.post(f"{path}:clone", {"name": "Clone"})]
        made.append(self.api.request("POST", "~/trees:import", json=dict(self.api.get(f"{path}:export"), name="Import")).json())
        self.api.request("DELETE", node, params={"children": "promote"})
        for one in [tree, *made]:
            self.api.request("DELETE", f"~/trees/{one['id']}", params={"cascade": "true"}, headers={"If-Match": "*"})
        self.api.request("DELETE", f"~/assets/{asset['assetId']}")

    def both(self, device):
        """The two addresses of a device."""
        return [f"~/devices/{device['assetId']}", f"~/products/{device['productKey']}/devices/{device['deviceKey']}"]

    def certificates(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        authority = Authority(folder)
        known = authority.trust(self.api)
        self.api.request("PUT", f"~/authorities/{known['id']}/crl", json={"crl": authority.list()})
        for rest in ("", "/certificate", "/crl"):
            self.assertEqual(self.api.get(f"~/authorities/{known['id']}{rest}")["id"], known["id"])
        made = self.api.post("~/devices", {"productKey": self.node.demo["productKey"]})
        for number, path in enumerate(self.both(made)):
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key", "-out", "csr", "-subj", "/CN=d", folder=folder)
            first = self.api.post(f"{path}/certificates", {"csr": (folder / "csr").read_text()})
            second = self.api.post(f"{path}/certificates/{first['sn']}:renew", {})
            self.api.post(f"{path}/certificates/{second['sn']}:revoke", {"reason": 4})
            bound = self.api.post(f"{path}/certificates:bind", {"certificate": authority.client(f"d{number}")[0].read_text()})
            self.assertEqual(self.api.get(f"{path}/certificates/{bound['sn']}")["status"], "issued")
            self.assertIn(first["sn"], [c["sn"] for c in self.api.get(f"{path}/certificates")["items"]])
        self.assertEqual(len(self.api.get("~/authorities")["items"]), 2)
        self.api.request("DELETE", f"~/authorities/{known['id']}")

    def bans(self):
        ban = self.api.post("~/bans", {"kind": "address", "subject": "192.0.2.0/24"})
        self.assertEqual(self.api.get(f"~/bans/{ban['id']}")["subject"], "192.0.2.0/24")
        self.assertEqual([b["id"] for b in self.api.get("~/bans")["items"]], [ban["id"]])
        self.api.get("~/bans:temporary")
        self.api.request("DELETE", f"~/bans/{ban['id']}")

    def files(self):
        made = self.api.post("~/devices", {"productKey": self.node.demo["productKey"]})
        for path in self.both(made):
            file = self.api.post(f"{path}/files", {"filename": "a.txt", "fileLength": 3})
            link = urllib.parse.urlsplit(self.api.post(f"{path}/files/{file['id']}:uploadLink")["uploadUrl"])
            put = requests.put(f"http://127.0.0.1:{self.node.ports['http']}{link.path}", data=b"abc", timeout=DEADLINE)
            self.assertEqual(put.status_code, 201, put.text)
            one = f"{path}/files/{file['id']}"
            self.assertEqual(self.api.get(one)["status"], "stored")
            self.assertIn(file["id"], [f["id"] for f in self.api.get(f"{path}/files")["items"]])
            self.assertIn(file["id"], [f["id"] for f in self.api.get("~/files")["items"]])
            self.api.post(f"{one}:link")
            self.api.request("GET", f"{one}/content", expect=307, allow_redirects=False)
            self.api.request("DELETE", one)

    def topology(self):
        model = self.api.get(f"~/products/{self.node.demo['productKey']}")["modelId"]
        hub = self.api.post("~/products", {"name": "Hub", "modelId": model, "nodeType": "gateway"})
        gateway = self.api.post("~/devices", {"productKey": hub["productKey"]})
        sub = self.api.post("~/devices", {"productKey": self.node.demo["productKey"]})
        names = {"devices": [{"productKey": sub["productKey"], "deviceKey": sub["deviceKey"]}]}
        for path, of_sub in zip(self.both(gateway), self.both(sub)):
            self.assertEqual(self.api.post(f"{path}/subDevices:bind", names)["ok"], 1)
            self.assertEqual(self.api.get(f"{path}/subDevices")["items"][0]["assetId"], sub["assetId"])
            self.assertEqual(self.api.get(f"{of_sub}/gateway")["assetId"], gateway["assetId"])
            self.assertEqual(self.api.get(f"{path}/connectionTopology"), {"nodes": {}, "relations": {}})
            self.assertEqual(self.api.post(f"{path}/subDevices:unbind", names)["ok"], 1)
            self.api.post(f"{of_sub}:reopenActivation", {"seconds": 60})
            self.api.request("GET", f"{of_sub}/gateway", expect=404)
        device = self.device(1)
        device.on_command = lambda m: device.client.publish(
            m.topic + "_reply", json.dumps({"id": json.loads(m.payload)["id"], "code": 200, "data": {"power": 1}}))
        asset = self.node.demo["devices"][1]["assetId"]
        for path in (f"~/devices/{asset}", f"~/products/{device.pk}/devices/{device.dk}"):
            self.assertEqual(self.api.post(f"{path}/points:read", {"points": ["power"]})["output"], {"power": 1})

    def people(self):
        password = (self.node.data / "admin-password").read_text().strip()
        tokens = self.api.post("/auth/login", {"user": "admin", "password": password})
        tokens = self.api.post("/auth/token", {"refresh": tokens["refresh"]})
        admin = AskingTwice(self.node, tokens["access"])
        self.assertEqual(admin.get("/auth/me")["actor"], "user:admin")
        self.assertEqual(admin.get("/orgs/-")["id"], "default")
        admin.post("~/users", {"login": "tour", "password": "long enough"})
        self.assertIn("tour", [u["login"] for u in admin.get("~/users")["items"]])
        self.assertEqual(admin.get("~/users/tour")["roles"], ["viewer"])
        admin.post("~/users/tour:resetPassword", {"password": "another one"})
        admin.request("DELETE", "~/users/tour")
        key = admin.post("~/apps/tour/keys", {"permissions": ["data:read"]})
        self.assertEqual([k["id"] for k in admin.get("~/apps/tour/keys")["items"]], [key["id"]])
        key = admin.post(f"~/apps/tour/keys/{key['id']}:rotate")
        admin.request("DELETE", f"~/apps/tour/keys/{key['id']}")
        self.roles_and_applications(admin)
        self.organisations(admin)
        admin.post("/auth/logout")

    def roles_and_applications(self, admin):
        made = admin.post("~/roles", {"name": "tour", "permissions": ["data:read"]})
        self.assertIn("tour", [r["name"] for r in admin.get("~/roles")["items"]])
        self.assertEqual(admin.get("~/roles/tour"), made)
        admin.request("PUT", "~/roles/tour", json={"permissions": ["data:*"], "scope": {"products": ["p"]}})
        admin.post("~/apps", {"id": "guide", "roles": ["tour"]})
        self.assertIn("guide", [a["id"] for a in admin.get("~/apps")["items"]])
        admin.request("PATCH", "~/apps/guide", json={"name": "Guide"})
        self.assertEqual(admin.get("~/apps/guide")["name"], "Guide")
        admin.request("PUT", "~/grants/apps/guide", json={"roles": ["tour"]})
        self.assertEqual(admin.get("~/grants/apps/guide")["roles"], ["tour"])
        question = {"app": "guide", "permission": "data:read", "resource": {"product": "p"}}
        self.assertTrue(admin.post("~/grants:check", question)["allowed"])
        admin.request("DELETE", "~/grants/apps/guide")
        admin.request("DELETE", "~/apps/guide")
        admin.request("DELETE", "~/roles/tour")
        provider = {"issuer": "https://id.example.org", "clientId": "orrery", "clientSecret": "secret", "defaultRoles": ["viewer"]}
        made = admin.request("PUT", "~/identityProviders/tour", json=provider).json()
        self.assertIn("tour", [p["id"] for p in admin.get("~/identityProviders")["items"]])
        self.assertEqual(admin.get("~/identityProviders/tour"), made)
        admin.request("DELETE", "~/identityProviders/tour")
        admin.post("~/roles", {"name": "stays", "permissions": []})
        admin.post("~/users", {"login": "tina", "password": "long enough", "roles": ["stays"]})
        admin.request("PATCH", "~/users/tina", json={"name": "Tina"})
        admin.post("~/users/tina:lock")
        admin.post("~/users/tina:unlock")
        tina = AskingTwice(self.node, self.api.post("/auth/login", {"user": "tina", "password": "long enough"})["access"])
        for ends in (lambda code: tina.post("/auth/totp:disable", {"otp": code}), lambda code: admin.post("~/users/tina:resetSecondFactor")):
            made = tina.post("/auth/totp")
            tina.post("/auth/totp:confirm", {"otp": totp(made["secret"], int(time.time()) // 30)})
            ends(made["spareCodes"][0])

    def organisations(self, admin):
        admin.post("/orgs", {"id": "tour", "admin": {"login": "tom", "password": "long enough"}})
        self.assertEqual([o["id"] for o in admin.get("/orgs")["items"]], ["default", "tour"])
        admin.request("PATCH", "/orgs/tour", json={"name": "Tour"})
        admin.request("PUT", "/orgs/tour/quotas", json={"items": [{"item": "users", "hard": 10}]})
        self.assertEqual({q["item"]: q["hard"] for q in admin.get("/orgs/tour/quotas")["items"] if "hard" in q}["users"], 10)
        admin.post("/orgs/tour:suspend", {"reason": "tour"})
        admin.post("/orgs/tour:resume")
        self.transfer()
        admin.request("DELETE", "/orgs/tour")
        for log, search, export, head in (("~/audit", "~/audit/search", "~/audit:export", "~/audit/head"),
                                          ("/system/audit", "/system/audit/search", "/system/audit:export", "/system/audit/head")):
            admin.get(log)
            admin.post(search, {"filter": "status < 300"})
            admin.request("POST", export, json={})
            admin.get(head)

    def transfer(self):
        """Devices go over to the organisation "tour", which is empty again afterwards."""
        product = self.node.demo["productKey"]
        model = self.api.get(f"~/products/{product}")["modelId"]
        tom = AskingTwice(self.node, self.api.post("/auth/login", {"user": "tom", "password": "long enough", "organisation": "tour"})["access"])
        tom.post("~/models:import", self.api.post("~/models:export", {"ids": [model]})[0])
        tom.post(f"~/models/{model}:publish", {"note": "taken"})
        to = tom.post("~/products", {"name": "Taken", "modelId": model})["productKey"]
        for at in range(2):
            made = self.api.post("~/devices", {"productKey": product})
            offer = self.api.post(self.both(made)[at] + ":moveOrg", {"targetOrg": "tour"})
            taken = tom.post("~/devices:adopt", {"code": offer["code"], "productKey": to})
            self.assertEqual(taken["assetId"], made["assetId"])
            tom.request("DELETE", f"~/devices/{made['assetId']}")
        tom.request("DELETE", f"~/products/{to}", headers={"If-Match": "*"})
        tom.request("DELETE", f"~/models/{model}", headers={"If-Match": "*"})

    def cluster(self):
        """Of a node that is alone: a cluster of one."""
        tokens = self.api.post("/auth/login", {"user": "admin", "password": (self.node.data / "admin-password").read_text().strip()})
        admin = AskingTwice(self.node, tokens["access"])
        status = admin.get("/cluster")
        [node] = status["nodes"]
        self.assertEqual((node["name"], node["state"], status["coordinator"]["kind"]), ("orrery-1", "up", "embedded"))
        self.assertEqual(node["addresses"]["mqtt"], f"127.0.0.1:{self.node.ports['mqtt']}")
        self.assertEqual(status["shards"]["whole"], 65)
        self.assertEqual(len(all_of(admin, "/cluster/shards", 30)), 65)
        self.assertEqual(admin.post("/cluster:rebalance")["moves"], [])
        for verb, body in (("drain", {}), ("undrain", {}), ("remove", {}), ("replace", {"by": "x"})):
            refused(self, admin, "POST", f"/cluster/nodes/orrery-1:{verb}", 409, "not_clustered", json=body)
        refused(self, admin, "POST", "/cluster/nodes/x:drain", 404, "node_unknown", json={})
        begun = admin.request("POST", "/cluster/backups", expect=202, json={}).json()
        self.assertEqual([b["id"] for b in admin.get("/cluster/backups")["items"]], [begun["id"]])
        wait_for(lambda: admin.get(f"/cluster/backups/{begun['id']}")["state"] == "complete", "it is made")
        key = admin.post("~/apps/tour/keys", {"roles": ["operator"]})["apiKey"]
        for method, path in (("GET", "/cluster"), ("POST", "/cluster/backups"), ("GET", "/cluster/backups"), ("GET", f"/cluster/backups/{begun['id']}")):
            refused(self, self.node.api(key), method, path, 403, "forbidden")

    def models_and_products(self):
        api = self.api
        etag = api.request("POST", "~/models", json=model_document("Tour")).headers["ETag"]
        self.assertIn("Tour", [m["id"] for m in api.get("~/models")["items"]])
        self.assertTrue(api.get("~/models/Tour")["hasDraft"])
        api.get("~/models/Tour/draft")
        etag = api.request("PUT", "~/models/Tour/draft", json=model_document("Tour"), headers={"If-Match": etag}).headers["ETag"]
        etag = api.request("PATCH", "~/models/Tour/draft", json={"name": "A tour"}, headers={"If-Match": etag}).headers["ETag"]
        self.assertTrue(api.post("~/models/Tour/draft:check")["valid"])
        api.post("~/models/Tour:publish", {"note": "first"})
        self.assertEqual(api.get("~/models/Tour/revisions")["items"][0]["note"], "first")
        self.assertTrue(api.post("~/models/Tour:validate", {"points": {"volts": 230}})["valid"])
        api.request("PATCH", "~/models/Tour/draft", json={"name": "Again"}, headers={"If-Match": "*"})
        api.request("DELETE", "~/models/Tour/draft", headers={"If-Match": "*"})
        api.request("PATCH", "~/models/Tour", json={"deprecated": True}, headers={"If-Match": "*"})
        api.request("PATCH", "~/models/Tour", json={"deprecated": False}, headers={"If-Match": "*"})
        self.assertEqual(api.get("~/models/Tour/revisions/1")["note"], "first")
        self.assertEqual(api.get("~/models/Tour/revisions/1/diff")["patch"], [])
        api.request("PUT", "~/models/Tour/draft/events/more", json={}, headers={"If-Match": "*"})
        api.request("DELETE", "~/models/Tour/draft/events/more", headers={"If-Match": "*"})
        api.request("DELETE", "~/models/Tour/draft", headers={"If-Match": "*"})
        api.post("~/models/Tour:share", {"public": True})
        api.post("~/models/Tour:unshare", {"public": True})
        self.assertEqual(api.post("~/models:import", api.post("~/models:export", {"ids": ["Tour"]})[0])["ok"], 1)
        self.assertTrue(api.get("~/library/units")["items"])
        api.post("~/library:import", {"elements": [{"id": "tour", "elementTypes": ["event"]}]})
        self.assertEqual([e["id"] for e in api.get("~/library/elements")["items"]], ["tour"])
        api.post("~/library:import", {"remove": ["tour"]})
        product = api.post("~/products", {"name": "Tour", "modelId": "Tour", "dataFormat": "raw"})["productKey"]
        self.assertIn(product, [p["productKey"] for p in api.get("~/products")["items"]])
        api.get(f"~/products/{product}")
        api.request("PATCH", f"~/products/{product}", json={"description": "x"}, headers={"If-Match": "*"})
        api.post(f"~/products/{product}:resetSecret")
        api.request("PATCH", f"~/products/{product}/tags", json={"a": "b"}, headers={"If-Match": "*"})
        self.assertEqual(api.get(f"~/products/{product}/tags"), {"a": "b"})
        api.request("PUT", f"~/products/{product}/tags", json={"c": "d", "e": "f"}, headers={"If-Match": "*"})
        api.request("DELETE", f"~/products/{product}/tags/e", headers={"If-Match": "*"})
        self.assertEqual(api.get(f"~/products/{product}/tags"), {"c": "d"})
        rows = api.request("POST", "~/products:export", json={"productKeys": [product]})
        api.request("POST", "~/products:import?mode=update", data=rows.content, headers={"Content-Type": "text/csv"})
        api.get("~/tags", params={"kind": "product"})
        decoder = f"~/products/{product}/decoder"
        script = "function raw_to_json(b) return {n = #b} end function json_to_raw(m) return '' end"
        api.request("PUT", decoder, json={"script": script}, headers={"If-Match": "*"})
        self.assertEqual(api.get(decoder)["script"], script)
        self.assertEqual(api.post(decoder + ":test", {"hex": "0102"})["json"], {"n": 2})
        api.request("DELETE", decoder, headers={"If-Match": "*"})
        api.request("DELETE", f"~/products/{product}", headers={"If-Match": "*"})
        api.request("DELETE", "~/models/Tour", headers={"If-Match": "*"})

    def upgrades(self):
        api, product = self.api, self.node.demo["productKey"]
        device = api.post("~/devices", {"productKey": product, "deviceKey": "tour-ota"})
        for path in self.both(device):
            self.assertFalse(api.get(path + "/firmware")["upgrading"])
            api.request("PUT", path + "/twin/desired", json={"a": 1}, headers={"If-Match": "*"})
            api.request("PATCH", path + "/twin/desired", json={"b": 2}, headers={"If-Match": "*"})
            self.assertEqual(api.get(path + "/twin/desired"), {"a": 1, "b": 2})
            self.assertEqual(api.get(path + "/twin")["delta"], {"a": 1, "b": 2})
        firmware = api.post("~/firmwares", {"productKey": product, "name": "Tour", "version": "1", "sign": "a" * 64, "url": "http://h/1", "size": 1})
        self.assertEqual(api.get(f"~/firmwares/{firmware['id']}"), firmware)
        self.assertEqual(all_of(api, "~/firmwares", 1), [firmware])
        self.lists()  # there is something in each
        job = api.post("~/otaJobs", {"productKey": product, "firmware": firmware["id"], "devices": ["tour-ota"], "unknownVersion": "include"})
        path = f"~/otaJobs/{job['id']}"
        self.assertEqual([j["id"] for j in all_of(api, "~/otaJobs", 1)], [job["id"]])
        self.assertEqual(api.get(path)["counts"], {"pending": 1})
        self.assertEqual([t["state"] for t in api.get(path + "/tasks")["items"]], ["pending"])
        self.assertTrue(api.get(f"~/devices/{device['assetId']}/firmware")["upgrading"])
        self.assertEqual(api.post(path + "/tasks:retry")["ok"], 0)
        self.assertEqual(api.post(path + "/tasks:cancel")["ok"], 1)
        api.request("POST", path + ":cancel")
        api.request("DELETE", f"~/firmwares/{firmware['id']}")
        api.request("DELETE", f"~/devices/{device['assetId']}")

    def devices(self):
        api, product = self.api, self.node.demo["productKey"]
        api.post("~/devices:batch", {"items": [{"productKey": product, "deviceKey": "tour-1"}]})
        api.post("~/devices:check", {"productKey": product, "keys": ["tour-1", "tour-2"]})
        api.get("~/devices")
        api.get("~/stats/devices")
        made = [api.post("~/devices", {"productKey": product}) for _ in range(2)]
        self.assertEqual(len(api.post("~/devices/status", {"ids": [d["assetId"] for d in made]})["items"]), 2)
        for device, at in zip(made, range(2)):
            path = self.both(device)[at]
            api.get(path)
            api.request("PATCH", path, json={"name": "Tour"})
            api.request("PUT", path, json={"name": "Tour", "tags": {"whole": "yes"}})
            api.get(path + "/status")
            api.post(path + ":disable", {"reason": "tour"})
            api.post(path + ":enable")
            api.post(path + ":resetSecret")
            api.request("PATCH", path + "/attributes", json={"serial": "A7"})
            api.get(path + "/attributes")
            api.request("DELETE", path + "/attributes/serial")
            api.request("PUT", path + "/tags", json={"a": "b"})
            api.request("PATCH", path + "/tags", json={"c": "d"})
            api.get(path + "/tags")
            api.request("DELETE", path + "/tags/a")
            api.request("PUT", path + "/status-override", json={"status": "online", "until": int(time.time() * 1000) + 60_000})
            api.request("DELETE", path + "/status-override")
            self.assertEqual(api.get(path + "/statusHistory"), {"items": []})
            api.get(path + "/credential")
            to = api.post("~/devices", {"productKey": product})
            api.request("PUT", path + "/mirror", json={"source": to["assetId"]})
            self.assertFalse(api.get(path + "/mirror")["sourceGone"])
            self.assertEqual(api.request("DELETE", path + "/mirror").status_code, 204)
            api.request("DELETE", f"~/devices/{to['assetId']}")
            self.assertEqual(api.get(path + "/twin/history"), {"items": []})
            api.post(path + "/twin:wait", {"timeout": 1})
            with_session, session = self.new_device()
            api.post(self.both(with_session)[at] + ":kick", {"reason": "tour"})
            session.close()
            key = with_session["deviceKey"] + "-next"
            api.post(self.both(with_session)[at] + ":replace", {"newDeviceKey": key})
            with_session["deviceKey"] = key
            model = api.get(f"~/products/{with_session['productKey']}")["modelId"]
            to = api.post("~/products", {"name": f"Tour {at}", "modelId": model})["productKey"]
            api.post(self.both(with_session)[at] + ":moveProduct", {"productKey": to})
            with_session["productKey"] = to
            path = self.both(with_session)[at]
            self.assertEqual(api.post(path + ":decommission", {"reason": "tour"})["status"], "retired")
            self.assertEqual(api.post(path + ":restore")["status"], "inactive")
            api.post(path + ":decommission", {"reason": "tour", "quarantine": 1})
            api.request("POST", path + ":purge", json={})
        group = api.post("~/groups", {"name": "Tour", "type": "static"})
        path, ids = f"~/groups/{group['id']}", {"ids": [d["assetId"] for d in made]}
        self.assertEqual(api.post(path + "/members:add", ids)["ok"], 2)
        self.assertEqual(len(api.get(path + "/members")["items"]), 2)
        self.assertEqual(api.post("~/groups:preview", {"rule": f"group = '{group['id']}'"})["count"], 2)
        self.assertEqual(api.post(path + "/members:remove", ids)["ok"], 2)
        api.request("PATCH", path, json={"description": "of the tour"})
        api.get(path)
        api.get("~/groups")
        api.request("DELETE", path)
        one = {"name": "Tour", "target": f"assetId = '{made[0]['assetId']}'", "desired": {"rate": 1}}
        self.assertEqual(api.post("~/configurations:preview", {"target": one["target"]})["count"], 1)
        path = f"~/configurations/{api.post('~/configurations', one)['id']}"
        api.get("~/configurations")
        self.assertEqual(api.get(path)["version"], 1)
        self.assertEqual(api.request("PUT", path, json=dict(one, priority=5)).json()["version"], 2)
        self.assertEqual(api.request("PATCH", path, json={"description": "of the tour"}).json()["version"], 2)
        wait_for(lambda: api.get(path + "/report")["applied"] == 1, "the device has it")
        for at in self.both(made[0]):
            self.assertEqual([c["name"] for c in api.get(at + "/configurations")["items"]], ["Tour"])
            self.assertEqual(api.get(at + "/twin")["own"], {})
        api.request("DELETE", path)
        for device, at in zip(made, range(2)):
            api.request("DELETE", self.both(device)[at])

    def data(self):
        made, device = self.new_device()
        for path in self.both(made):
            self.api.post(path + "/points", {"items": [{"points": {"power": 1.5}}]})
            self.api.get(path + "/points/latest")
            self.api.get(path + "/points/history")
            self.api.get(path + "/points/power/history")
            self.api.request("POST", path + "/events", json={"eventId": "overTemperature", "output": {"temp": 90}})
            self.api.get(path + "/events")
        self.api.post("~/points/latest", {"ids": [made["assetId"]]})
        device.close()

    def commands(self):
        made, device = self.new_device()
        serve(device)
        device.on_bytes = bytes.upper
        for path in self.both(made):
            done = self.api.post(path + "/services/reboot:invoke", {"input": {"delay": 1}})
            self.assertEqual(done["state"], "succeeded")
            self.api.post(path + "/points/setpoint:set", {"value": 5})
            self.api.post(path + "/points:set", {"points": {"setpoint": 6}})
            self.assertEqual(self.api.get(f"~/commands/{done['id']}")["state"], "succeeded")
            self.assertTrue(self.api.get(path + "/commands")["items"])
        for path in self.both(made):
            self.assertEqual(self.api.post(path + ":rrpc", {"payload": "hello"})["payload"], "HELLO")
        device.close()
        for path in self.both(made):
            waits = self.api.post(path + "/services/reboot:invoke", {"input": {}, "pendingTtl": 60})
            self.assertEqual(self.api.post(f"~/commands/{waits['id']}:cancel")["cancelled"], [waits["id"]])
            self.assertEqual(self.api.post(path + "/commands:cancelQueued")["cancelled"], [])


class Document(NodeTest):
    """The rules of OpenAPI 3.1.0, sections 4.8.1 to 4.8.24, as far as the document goes."""

    def setUp(self):
        self.document = self.api.document

    def only(self, what, allowed, where):
        self.assertEqual(set(what) - set(allowed), set(), where)

    def test_its_frame(self):
        d = self.document
        self.assertRegex(d["openapi"], r"^3\.1\.\d+$")
        self.only(d, {"openapi", "info", "servers", "paths", "components", "security", "tags"}, "document")
        self.assertTrue(d["info"]["title"] and d["info"]["version"])
        self.assertEqual(d["info"]["license"]["identifier"], "Apache-2.0")
        self.assertEqual(d["servers"], [{"url": "/api/v1"}])
        for requirement in d["security"]:
            for name in requirement:
                self.assertIn(name, d["components"]["securitySchemes"])
        for name in list(d["components"]["schemas"]) + list(d["components"]["securitySchemes"]):
            self.assertRegex(name, r"^[a-zA-Z0-9._-]+$")

    def test_its_operations(self):
        ids = set()
        templates = set()
        for path, item in self.document["paths"].items():
            self.assertTrue(path.startswith("/"), path)
            self.only(item, METHODS, path)
            # Paths that differ in the names of their parameters alone would be the same.
            template = re.sub(r"\{[^}]+\}", "{}", path)
            self.assertNotIn(template, templates)
            templates.add(template)
            for method, operation in item.items():
                where = f"{method} {path}"
                self.only(operation, {"operationId", "summary", "description", "tags", "parameters", "requestBody", "responses", "security"}, where)
                self.assertNotIn(operation["operationId"], ids)
                ids.add(operation["operationId"])
                self.parameters(path, operation["parameters"], where)
                if "requestBody" in operation:
                    self.assertNotIn(method, ("get", "delete"), where)
                    self.content(operation["requestBody"]["content"], where)
                self.responses(operation["responses"], where)

    def parameters(self, path, parameters, where):
        names = [(p["in"], p["name"]) for p in parameters]
        self.assertEqual(len(names), len(set(names)), where)
        self.assertEqual({n for place, n in names if place == "path"}, set(re.findall(r"\{([^}]+)\}", path)), where)
        for p in parameters:
            self.only(p, {"name", "in", "required", "schema", "description"}, where)
            self.assertIn(p["in"], ("path", "query", "header"), where)
            self.assertTrue(p["in"] != "header" or p["name"] in ("If-Match", "Idempotency-Key"), where)
            self.assertTrue(p["in"] != "path" or p["required"], where)
            self.schema(p["schema"], where)

    def responses(self, responses, where):
        self.assertTrue(responses, where)
        for status, response in responses.items():
            self.assertRegex(status, r"^([1-5]\d\d|default)$", where)
            self.assertTrue(response["description"], where)
            self.only(response, {"description", "content"}, where)
            self.content(response.get("content", {}), where)
        self.assertIn("application/problem+json", responses["default"]["content"], where)

    def content(self, content, where):
        for kind, media in content.items():
            self.assertRegex(kind, r"^(application/|text/(csv|html)$)", where)
            self.only(media, {"schema"}, where)
            self.schema(media["schema"], where)

    def schema(self, schema, where):
        jsonschema.Draft202012Validator.check_schema(schema)
        if "$ref" in schema:
            head, name = schema["$ref"].rsplit("/", 1)
            self.assertEqual(head, "#/components/schemas", where)
            self.assertIn(name, self.document["components"]["schemas"], where)

    def test_its_schemas(self):
        def references(node):
            if isinstance(node, dict):
                for name, value in node.items():
                    if name == "$ref":
                        yield value
                    else:
                        yield from references(value)
            elif isinstance(node, list):
                for value in node:
                    yield from references(value)

        known = self.document["components"]["schemas"]
        for name, schema in known.items():
            jsonschema.Draft202012Validator.check_schema(schema)
            for required in schema.get("required", []):
                self.assertIn(required, schema["properties"], name)
            for reference in references(schema):
                self.assertIn(reference.removeprefix("#/components/schemas/"), known, name)


if __name__ == "__main__":
    unittest.main()
