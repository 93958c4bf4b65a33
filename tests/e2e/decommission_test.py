"""The end of a device's life: it is taken out of service, restored, purged, alone and many at once."""
import json
import pathlib
import tempfile
import unittest

from api_kit import all_of, refused
from gateway_test import GatewayTest
from orrery import DEADLINE, Device, NodeTest, wait_for
from tls_test import openssl

PASSWORD = "long enough for all"
REASON = {"reason": "scrapped"}


class Decommission(NodeTest):
    def setUp(self):
        self.pk = self.node.demo["productKey"]
        self.made = self.api.post("~/devices", {"productKey": self.pk, "name": self.id(), "tags": {"lot": self.id()}})
        self.path = f"~/devices/{self.made['assetId']}"

    def client(self, secret=None, of=None):
        of = of or self.made
        device = Device(self.node, of["productKey"], of["deviceKey"], secret or of["deviceSecret"])
        self.addCleanup(device.close)
        return device

    def retire(self, path=None, **more):
        return self.api.post((path or self.path) + ":decommission", dict(REASON, **more))

    def listed(self, **more):
        return [d["assetId"] for d in all_of(self.api, "~/devices?" + "&".join(f"{k}={v}" for k, v in more.items()), 500)]

    def found(self, **more):
        return [d["assetId"] for d in self.api.post("~/devices/search", dict({"filter": f"tags.lot = '{self.id()}'"}, **more))["items"]]

    def test_it_is_out_of_service(self):
        device = self.client().connect()
        self.assertEqual(device.post({"power": 7})["code"], 200)
        now = self.retire(quarantine=7)
        self.assertEqual((now["status"], now["retirement"]["reason"], now["retirement"]["by"][:4]), ("retired", "scrapped", "key:"))
        device.gone.get(timeout=DEADLINE)
        device.close()
        self.assertNotEqual(self.client().try_connect(), 0)
        wait_for(lambda: "device_retired" in self.node.log_text(), "the refused login in the log")
        self.assertEqual(self.api.get(self.path), now)
        self.assertEqual(self.api.get(self.path + "/status")["status"], "retired")
        self.assertEqual(self.api.get(self.path + "/status")["connection"]["reason"], "retired")
        self.assertEqual([v["value"] for v in self.api.get(self.path + "/points/power/history")["items"]], [7])
        self.assertEqual(len(self.api.get(self.path + "/statusHistory")["items"]), 2)
        self.assertEqual(self.api.get(self.path + "/tags"), {"lot": self.id()})

    def test_nothing_finds_it_unless_it_is_asked_for(self):
        before = self.api.get("~/stats/devices")["total"]
        self.assertEqual(self.found(), [self.made["assetId"]])
        self.retire()
        self.assertEqual(self.found(), [])
        self.assertNotIn(self.made["assetId"], self.listed())
        self.assertEqual(self.api.get("~/stats/devices")["total"], before - 1)
        self.assertEqual(self.api.post("~/devices:count", {})["total"], before - 1)
        self.assertEqual(self.found(includeRetired=True), [self.made["assetId"]])
        self.assertIn(self.made["assetId"], self.listed(includeRetired="true"))
        self.assertNotIn(self.made["assetId"], self.listed(includeRetired="false"))
        self.assertEqual(self.api.post("~/groups:preview", {"rule": f"tags.lot = '{self.id()}'"})["count"], 0)
        refused(self, self.api, "GET", "~/devices?filter=status='retired'", 400, "bad_filter")
        refused(self, self.api, "GET", "~/devices?includeRetired=perhaps", 400, "malformed")
        assets = all_of(self.api, "~/assets", 500)
        self.assertNotIn(self.made["assetId"], [a["assetId"] for a in assets])

    def test_pages_go_on_with_those_out_of_service(self):
        made = [self.api.post("~/devices", {"productKey": self.pk, "tags": {"lot": self.id()}}) for _ in range(6)]
        for one in made[:3]:
            self.retire(f"~/devices/{one['assetId']}")
        expected = {self.made["assetId"], *(d["assetId"] for d in made)}
        for sort in ("", "-deviceKey", "name,createdAt"):
            for limit in (1, 2, 4, 7, 8):
                with self.subTest(sort=sort, limit=limit):
                    seen, body = [], {"filter": f"tags.lot = '{self.id()}'", "limit": limit, "includeRetired": True, "count": True}
                    if sort:
                        body["sort"] = sort
                    while True:
                        page = self.api.post("~/devices/search", body)
                        self.assertEqual(page["total"], 7)
                        self.assertLessEqual(len(page["items"]), limit)
                        seen += page["items"]
                        if "nextCursor" not in page:
                            break
                        body["cursor"] = page["nextCursor"]
                    self.assertEqual({d["assetId"] for d in seen}, expected)
                    self.assertEqual([d["status"] == "retired" for d in seen], [False] * 4 + [True] * 3, "behind all others")
                    if sort == "-deviceKey":
                        keys = [d["deviceKey"] for d in seen]
                        self.assertEqual(keys, [k for some in (keys[:4], keys[4:]) for k in sorted(some, key=str.lower, reverse=True)])
        body["includeRetired"] = False
        body["cursor"] = self.api.post("~/devices/search", dict(body, includeRetired=True, limit=1, cursor=""))["nextCursor"]
        refused(self, self.api, "POST", "~/devices/search", 400, "bad_cursor", json=body)

    def test_nothing_is_done_to_it(self):
        self.retire()
        refused(self, self.api, "POST", self.path + ":decommission", 409, "device_retired", json=REASON)
        for method, rest, body in (("PATCH", "", {"name": "x"}), ("POST", ":disable", {}), ("POST", ":resetSecret", {}), ("POST", ":kick", {}),
                                   ("PATCH", "/tags", {"a": "b"}), ("PATCH", "/attributes", {"serial": "A7"}), ("POST", ":reopenActivation", {}),
                                   ("PATCH", "/twin/desired", {"rate": 1}), ("POST", "/points", {"items": [{"points": {"power": 1}}]}),
                                   ("POST", "/services/reboot:invoke", {"input": {"delay": 1}}), ("POST", ":replace", {"newDeviceKey": "n-" + self.made["deviceKey"]})):
            with self.subTest(rest):
                headers = {"If-Match": "*"}
                refused(self, self.api, method, self.path + rest, 409, "device_retired", json=body, headers=headers)
        refused(self, self.api, "POST", "~/devices", 409, "device_key_exists", json={"productKey": self.pk, "deviceKey": self.made["deviceKey"]})
        self.assertEqual(self.api.post("~/devices:check", {"productKey": self.pk, "keys": [self.made["deviceKey"]]})["existing"], [self.made["deviceKey"]])
        group = self.api.post("~/groups", {"name": self.id()[-60:], "type": "static"})
        done = self.api.post(f"~/groups/{group['id']}/members:add", {"ids": [self.made["assetId"]]})
        self.assertEqual((done["ok"], done["results"][0]["error"]["code"]), (0, "device_retired"))
        tree = self.api.post("~/trees", {"name": "T", "root": {"asset": {"name": "R"}}})
        refused(self, self.api, "POST", f"~/trees/{tree['id']}/nodes", 409, "device_retired",
                json={"parent": tree["rootId"], "assetId": self.made["assetId"]})

    def test_it_is_restored(self):
        groups = [self.api.post("~/groups", {"name": f"{n} {self.id()[-50:]}", "type": "static"})["id"] for n in range(2)]
        for group in groups:
            self.assertEqual(self.api.post(f"~/groups/{group}/members:add", {"ids": [self.made["assetId"]]})["ok"], 1)
        self.client().connect().close()
        refused(self, self.api, "POST", self.path + ":restore", 409, "not_retired", json={})
        refused(self, self.api, "POST", self.path + ":purge", 409, "not_retired", json={})
        self.retire()
        self.assertNotIn("groups", self.api.get(self.path))
        self.api.request("DELETE", f"~/groups/{groups[0]}")
        now = self.api.post(self.path + ":restore")
        self.assertEqual((now["status"], now["groups"], now["tags"]), ("inactive", [groups[1]], {"lot": self.id()}))
        self.assertNotIn("retirement", now)
        self.assertNotIn("activatedAt", now)
        self.assertNotEqual(now["deviceSecret"], self.made["deviceSecret"])
        self.assertEqual(self.found(), [self.made["assetId"]])
        self.assertNotEqual(self.client().try_connect(), 0)
        device = self.client(now["deviceSecret"]).connect()
        self.assertEqual(device.post({"power": 8})["code"], 200)
        refused(self, self.api, "POST", self.path + ":restore", 409, "not_retired", json={})

    def test_it_is_purged(self):
        by_key = f"~/products/{self.pk}/devices/{self.made['deviceKey']}"
        etag = self.api.request("GET", self.path).headers["ETag"]
        self.api.request("POST", by_key + ":decommission", json=REASON, headers={"If-Match": etag})
        refused(self, self.api, "POST", self.path + ":purge", 412, "etag_mismatch", json={}, headers={"If-Match": etag})
        refused(self, self.api, "POST", self.path + ":restore", 412, "etag_mismatch", json={}, headers={"If-Match": etag})
        self.assertEqual(self.api.request("POST", by_key + ":purge", json={}).status_code, 204)
        refused(self, self.api, "GET", self.path, 404, "device_unknown")
        self.assertEqual(self.found(includeRetired=True), [])
        self.assertNotEqual(self.api.post("~/devices", {"productKey": self.pk, "deviceKey": self.made["deviceKey"]})["assetId"], self.made["assetId"])

    def test_a_purge_gives_another_name_back(self):
        key = "p-" + self.made["deviceKey"]
        self.api.post(self.path + ":replace", {"newDeviceKey": key})
        self.retire()
        refused(self, self.api, "POST", "~/devices", 409, "device_key_exists", json={"productKey": self.pk, "deviceKey": key})
        self.api.request("POST", self.path + ":purge", json={})
        self.api.post("~/devices", {"productKey": self.pk, "deviceKey": key})

    def test_without_quarantine_it_is_gone_at_once(self):
        key = "q-" + self.made["deviceKey"]
        self.api.post(self.path + ":replace", {"newDeviceKey": key})
        now = self.retire(quarantine=0)
        self.assertEqual((now["status"], now["retirement"]["purgeAt"]), ("retired", now["retirement"]["at"]))
        refused(self, self.api, "GET", self.path, 404, "device_unknown")
        for free in (key, self.made["deviceKey"]):
            self.api.post("~/devices", {"productKey": self.pk, "deviceKey": free})

    def test_trees_are_left(self):
        tree = self.api.post("~/trees", {"name": "T", "root": {"asset": {"name": "R"}}})
        self.api.post(f"~/trees/{tree['id']}/nodes", {"parent": tree["rootId"], "assetId": self.made["assetId"]})
        nodes = lambda: len(self.api.get(f"~/trees/{tree['id']}/nodes")["items"])
        self.assertEqual(nodes(), 2)
        self.retire()
        self.assertEqual(nodes(), 1)
        self.api.post(self.path + ":restore")
        self.assertEqual(nodes(), 1, "places in trees are not remembered")

    def test_it_is_known_after_a_restart(self):
        self.retire()
        self.node.kill()
        self.node.start()
        type(self).api = self.node.api()  # at other ports
        self.assertEqual(self.api.get(self.path)["status"], "retired")
        self.assertEqual((self.found(), self.found(includeRetired=True)), ([], [self.made["assetId"]]))
        self.assertNotEqual(self.client().try_connect(), 0)
        self.client(self.api.post(self.path + ":restore")["deviceSecret"]).connect()

    def test_what_cannot_be(self):
        for body in ({}, {"reason": ""}, {"reason": "x" * 257}, {"reason": 1}, dict(REASON, quarantine=-1), dict(REASON, quarantine=366), dict(REASON, quarantine="7")):
            with self.subTest(body=str(body)[:40]):
                refused(self, self.api, "POST", self.path + ":decommission", 422, "validation_failed", json=body)
        for verb in ("decommission", "restore", "purge"):
            body = REASON if verb == "decommission" else {}
            refused(self, self.api, "POST", f"{self.path}:{verb}", 400, "unknown_field", json=dict(body, other=1))
            refused(self, self.api, "POST", f"~/devices/{'0' * 29}:{verb}", 404, "device_unknown", json=body)
        self.assertEqual(self.api.get(self.path)["status"], "inactive")

    def test_is_audited(self):
        self.retire()
        restored = self.api.post(self.path + ":restore")
        self.retire()
        self.api.request("POST", self.path + ":purge", json={})
        rows = self.api.get("~/audit", params={"filter": f"device = '{self.made['assetId']}'"})["items"]
        self.assertEqual([r["action"] for r in rows], ["purgeDevice", "decommissionDevice", "restoreDevice", "decommissionDevice"])
        self.assertNotIn(restored["deviceSecret"], json.dumps(rows))

    def test_many_at_once(self):
        made = [self.api.post("~/devices", {"productKey": self.pk, "tags": {"lot": self.id()}}) for _ in range(5)]
        mine = f"tags.lot = '{self.id()}'"
        seen = self.api.post("~/devices:bulk", dict(REASON, action="decommission", filter=mine, dryRun=True))
        self.assertEqual((seen["total"], len(seen["sample"]), len(self.found())), (6, 6, 6), "nothing is done")

        def bulk(**body):
            begun = self.api.post("~/devices:bulk", dict({"action": "decommission", "reason": "fleet"}, **body))
            over = self.api.get(f"~/operations/{begun['id']}", params={"wait": "30s"})
            self.assertEqual(over["state"], "succeeded", over)
            text = self.api.request("GET", f"~/operations/{begun['id']}/result").text
            return over["counts"], [json.loads(line)["status"] for line in text.splitlines()]
        ids = [d["assetId"] for d in made[:2]]
        counts, rows = bulk(ids=ids, rate=100)
        self.assertEqual((counts["ok"], rows), (2, ["updated"] * 2))
        shown = self.api.get(f"~/devices/{ids[0]}")["retirement"]
        self.assertEqual((shown["reason"], shown["by"][:4]), ("fleet", "key:"))
        counts, rows = bulk(ids=ids)
        self.assertEqual((counts["skipped"], rows), (2, ["unchanged"] * 2))
        counts, rows = bulk(filter=mine, quarantine=0)
        self.assertEqual((counts["ok"], rows), (4, ["deleted"] * 4), "those out of service are found by no filter")
        self.assertEqual(set(self.found(includeRetired=True)), set(ids))
        for body in ({"filter": mine}, {"filter": mine, "reason": ""}, {"filter": mine, "reason": "x", "quarantine": 366}):
            refused(self, self.api, "POST", "~/devices:bulk", 422, "validation_failed", json=dict({"action": "decommission"}, **body))


class Gateways(GatewayTest):
    def test_a_sub_device_leaves_its_gateway(self):
        sub, = self.in_and_bound("a")
        self.api.post(f"~/devices/{sub['assetId']}:decommission", REASON)
        wait_for(lambda: self.topology() == set(), "the gateway has let it go")
        self.assertNotEqual(self.login(sub)["code"], 200)
        refused(self, self.api, "GET", f"~/devices/{sub['assetId']}/gateway", 404, "sub_device_unbound")

    def test_a_gateway_lets_its_sub_devices_go(self):
        sub, = self.in_and_bound("a")
        path = f"~/devices/{self.made['assetId']}"
        self.api.post(path + ":decommission", REASON)
        self.gateway.gone.get(timeout=DEADLINE)
        wait_for(lambda: self.status(sub) == "offline", "the end of its session")
        wait_for(lambda: "gateway" not in self.api.get(f"~/devices/{sub['assetId']}"), "it is nobody's")
        refused(self, self.api, "POST", path + "/subDevices:bind", 409, "device_retired",
                json={"devices": [{"productKey": sub["productKey"], "deviceKey": sub["deviceKey"]}]})
        secret = self.api.post(path + ":restore")["deviceSecret"]
        self.assertEqual(self.api.get(path + "/subDevices")["items"], [])
        gateway = Device(self.node, self.made["productKey"], self.made["deviceKey"], secret)
        self.addCleanup(gateway.close)
        gateway.connect()


class Quotas(NodeTest):
    def test_its_room_is_free_and_taken_again(self):
        admin = self.node.api(self.api.post("/auth/login", {"user": "admin", "password": (self.node.data / "admin-password").read_text().strip()})["access"])
        admin.post("/orgs", {"id": "retiring", "name": "R", "admin": {"login": "ada", "password": PASSWORD}})
        ada = self.node.api(self.api.post("/auth/login", {"user": "ada", "password": PASSWORD, "organisation": "retiring"})["access"])
        ada.post("~/models", {"format": "tm/1", "id": "Thing", "name": "Thing", "measurePoints": [{"id": "p", "type": {"t": "int"}}]})
        ada.post("~/models/Thing:publish", {})
        pk = ada.post("~/products", {"name": "Thing", "modelId": "Thing"})["productKey"]
        admin.request("PUT", "/orgs/retiring/quotas", json={"items": [{"item": "devices", "soft": 1, "hard": 2}]})
        used = lambda: {q["item"]: q["used"] for q in ada.get("~/quotas")["items"]}["devices"]
        at = lambda key: f"~/products/{pk}/devices/{key}"
        full = lambda: refused(self, ada, "POST", "~/devices", 429, "quota_exceeded", json={"productKey": pk, "deviceKey": "more"})
        for key in ("a", "b"):
            ada.post("~/devices", {"productKey": pk, "deviceKey": key})
        full()
        ada.post(at("a") + ":decommission", REASON)
        refused(self, ada, "POST", at("a") + ":decommission", 409, "device_retired", json=REASON)
        self.assertEqual(used(), 1)
        ada.post("~/devices", {"productKey": pk, "deviceKey": "c"})
        full()
        refused(self, ada, "POST", at("a") + ":restore", 429, "quota_exceeded", json={})
        self.assertEqual(ada.get(at("a"))["status"], "retired")
        ada.request("DELETE", at("c"))
        self.assertIn("X-Quota-Warning", ada.request("POST", at("a") + ":restore", json={}).headers)
        refused(self, ada, "POST", at("a") + ":restore", 409, "not_retired", json={})
        self.assertEqual(used(), 2)
        full()
        ada.post(at("a") + ":decommission", REASON)
        ada.request("DELETE", at("a"))  # its room was free before
        self.assertEqual(used(), 1)
        ada.post("~/devices", {"productKey": pk, "deviceKey": "d"})
        full()
        ada.post(at("d") + ":decommission", REASON)
        ada.request("POST", at("d") + ":purge", json={})
        ada.post("~/devices", {"productKey": pk, "deviceKey": "e"})
        full()
        ada.post(at("e") + ":decommission", dict(REASON, quarantine=0))
        self.assertEqual(used(), 1)
        begun = ada.post("~/devices:bulk", dict(REASON, action="decommission", all=True))
        self.assertEqual(ada.get(f"~/operations/{begun['id']}", params={"wait": "30s"})["counts"]["ok"], 1)
        wait_for(lambda: used() == 0, "the room of all")
        begun = ada.post("~/devices:bulk", {"action": "delete", "ids": [ada.get(at("b"))["assetId"]]})
        self.assertEqual(ada.get(f"~/operations/{begun['id']}", params={"wait": "30s"})["counts"]["ok"], 1)
        for key in ("f", "g"):
            ada.post("~/devices", {"productKey": pk, "deviceKey": key})
        full()


class Certificates(NodeTest):
    def test_they_are_revoked_and_listed(self):
        made = self.api.post("~/devices", {"productKey": self.node.demo["productKey"]})
        path = f"~/devices/{made['assetId']}"
        with tempfile.TemporaryDirectory() as held:
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key", "-out", "csr", "-subj", "/CN=x",
                    folder=pathlib.Path(held))
            csr = (pathlib.Path(held) / "csr").read_text()
        issued = [self.api.post(path + "/certificates", {"csr": csr}) for _ in range(2)]
        self.api.post(f"{path}/certificates/{issued[0]['sn']}:revoke", {"reason": 1})
        self.api.post(path + ":decommission", REASON)
        shown = {c["sn"]: (c["status"], c["reason"]) for c in self.api.get(path + "/certificates")["items"]}
        self.assertEqual(shown, {issued[0]["sn"]: ("revoked", 1), issued[1]["sn"]: ("revoked", 5)})
        said = openssl("crl", "-noout", "-text", stdin=self.api.get(f"~/authorities/{issued[1]['issuer']}/crl")["crl"].encode())
        self.assertIn(issued[1]["serial"].upper(), said)
        self.assertIn("Cessation Of Operation", said)
        refused(self, self.api, "POST", path + "/certificates", 409, "device_retired", json={"csr": csr})
        other = self.api.post("~/devices", {"productKey": self.node.demo["productKey"], "tags": {"lot": "certified"}})
        issued = self.api.post(f"~/devices/{other['assetId']}/certificates", {"csr": csr})
        begun = self.api.post("~/devices:bulk", dict(REASON, action="decommission", filter="tags.lot = 'certified'"))
        self.assertEqual(self.api.get(f"~/operations/{begun['id']}", params={"wait": "30s"})["counts"]["ok"], 1)
        said = openssl("crl", "-noout", "-text", stdin=self.api.get(f"~/authorities/{issued['issuer']}/crl")["crl"].encode())
        self.assertIn(issued["serial"].upper(), said)


if __name__ == "__main__":
    unittest.main()
