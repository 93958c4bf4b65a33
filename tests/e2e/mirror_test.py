"""A mirror: a device that shows the points of another one, newest values, history and what comes live, and has nothing of its own."""
import time
import unittest

from api_kit import refused
from orrery import Device, NodeTest, wait_for

PASSWORD = "long enough"


class MirrorTest(NodeTest):
    def setUp(self):
        self.pk = self.node.demo["productKey"]
        self.source, self.device = self.new_device()
        self.addCleanup(self.device.close)
        self.mirror = self.api.post("~/devices", {"productKey": self.pk})
        self.path = f"~/devices/{self.mirror['assetId']}"
        self.of_source = f"~/devices/{self.source['assetId']}"

    def set(self, source=None, points=None, path=None):
        body = {"source": (source or self.source)["assetId"]}
        if points is not None:
            body["points"] = points
        return self.api.request("PUT", (path or self.path) + "/mirror", json=body).json()

    def end(self):
        self.assertEqual(self.api.request("DELETE", self.path + "/mirror").status_code, 204)

    def latest(self, path=None, **params):
        return {i["point"]: i["value"] for i in self.api.get((path or self.path) + "/points/latest", params=params)["items"]}

    def history(self, point):
        return [i["value"] for i in self.api.get(self.path + f"/points/{point}/history")["items"]]

    def found(self, text):
        return {d["assetId"] for d in self.api.post("~/devices/search", {"filter": text})["items"]}


class Reading(MirrorTest):
    def test_shows_what_its_source_has_and_had(self):
        at = int(time.time() * 1000)
        self.device.post({"power": 1.0, "temp": 20.0}, at)
        self.set()
        self.device.post({"power": 2.0}, at + 1)
        self.assertEqual(self.latest(), {"power": 2.0, "temp": 20.0})
        self.assertEqual(self.latest(), self.latest(self.of_source))
        self.assertEqual(self.latest(ids="temp"), {"temp": 20.0})
        self.assertEqual(self.history("power"), [1.0, 2.0], "from before it was set too")
        both = self.api.get(self.path + "/points/history", params={"points": "power,temp"})["items"]
        self.assertEqual([(i["point"], i["value"]) for i in both], [("power", 1.0), ("temp", 20.0), ("power", 2.0)])
        rows = self.api.post("~/points/latest", {"ids": [self.mirror["assetId"], self.source["assetId"]], "points": ["power"]})["items"]
        self.assertEqual([(r["assetId"], r["value"]) for r in rows], [(self.mirror["assetId"], 2.0), (self.source["assetId"], 2.0)])
        by_key = f"~/products/{self.pk}/devices/{self.mirror['deviceKey']}"
        self.assertEqual(self.latest(by_key), {"power": 2.0, "temp": 20.0})

    def test_by_ids_of_its_own(self):
        self.device.post({"power": 1.0, "temp": 20.0, "energy": 5.0})
        shown = self.set(points={"temp": "power", "power": "energy"})
        self.assertEqual((shown["source"], shown["points"], shown["sourceGone"]), (self.source["assetId"], {"temp": "power", "power": "energy"}, False))
        self.assertEqual(self.latest(), {"temp": 1.0, "power": 5.0}, "no other one")
        self.assertEqual(self.latest(ids="temp,energy"), {"temp": 1.0})
        self.assertEqual(self.latest(ids="energy"), {})
        self.assertEqual((self.history("temp"), self.history("power"), self.history("energy")), ([1.0], [5.0], []))
        rows = self.api.get(self.path + "/points/history")["items"]
        self.assertEqual(sorted((r["point"], r["value"]) for r in rows), [("power", 5.0), ("temp", 1.0)])
        self.set(points={"energy": "energy"})
        self.assertEqual(self.latest(), {"energy": 5.0})
        self.assertEqual(self.api.get(self.path + "/mirror")["since"], shown["since"])

    def test_pages_of_history(self):
        at = int(time.time() * 1000)
        for n in range(5):
            self.device.post({"power": float(n)}, at + n)
        self.set(points={"temp": "power"})
        first = self.api.get(self.path + "/points/temp/history", params={"limit": 3, "order": "desc"})
        rest = self.api.get(self.path + "/points/temp/history", params={"limit": 3, "order": "desc", "cursor": first["nextCursor"]})
        self.assertEqual([i["value"] for i in first["items"] + rest["items"]], [4.0, 3.0, 2.0, 1.0, 0.0])

    def test_shows_nothing_of_a_source_that_is_gone(self):
        self.device.post({"power": 1.0})
        self.set()
        self.device.close()
        self.api.request("DELETE", self.of_source)
        self.assertTrue(self.api.get(self.path + "/mirror")["sourceGone"])
        self.assertEqual((self.latest(), self.history("power")), ({}, []))
        self.assertEqual(self.api.post("~/points/latest", {"ids": [self.mirror["assetId"]]})["items"], [])
        self.assertEqual(self.api.get(self.path)["status"], "mirror")
        self.end()
        refused(self, self.api, "GET", self.path + "/mirror", 404, "mirror_unknown")

    def test_in_summaries_of_trees(self):
        tree = self.api.post("~/trees", {"name": "Mirrors", "root": {"asset": {"name": "Mirrors"}}})
        self.api.post(f"~/trees/{tree['id']}/nodes", {"assetId": self.mirror["assetId"]})
        self.device.post({"power": 3.0})
        self.set(points={"temp": "power"})
        summary = lambda: self.api.get(f"~/trees/{tree['id']}/nodes/{tree['rootId']}/summary", params={"points": "temp,power"})
        self.assertEqual((summary()["status"]["mirror"], summary()["points"]["temp"]["sum"]), (1, 3.0))
        self.assertNotIn("power", summary()["points"])
        self.api.post(self.path + ":disable")
        self.assertEqual((summary()["status"]["disabled"], summary()["points"]["temp"]["sum"]), (1, 3.0))


class Live(MirrorTest):
    def stream(self, *subscriptions):
        stream = self.api.stream(*subscriptions)
        self.addCleanup(stream.close)
        return stream

    def test_what_comes_is_told_of_both(self):
        self.set(points={"temp": "power"})
        mine = self.stream({"kind": "points", "filter": {"assets": [self.mirror["assetId"]]}})
        at = int(time.time() * 1000)
        self.device.post({"energy": 9.0}, at)
        self.device.post({"power": 1.0, "energy": 9.0}, at + 1)
        [item] = mine.items(1)
        self.assertEqual((item["asset"], item["pk"], item["dk"], item["t"], item["v"]),
                         (self.mirror["assetId"], self.pk, self.mirror["deviceKey"], at + 1, {"temp": {"value": 1.0}}))
        self.set()
        both = self.stream({"kind": "points", "filter": {"assets": [self.mirror["assetId"], self.source["assetId"]], "points": ["power"]}})
        self.device.post({"power": 2.0, "energy": 9.0}, at + 2)
        self.assertEqual([(i["asset"], i["v"]) for i in both.items(2)],
                         [(self.source["assetId"], {"power": {"value": 2.0}}), (self.mirror["assetId"], {"power": {"value": 2.0}})])
        self.assertEqual(mine.items(1)[0]["v"], {"power": {"value": 2.0}, "energy": {"value": 9.0}})
        self.end()
        self.device.post({"power": 3.0}, at + 3)
        self.assertEqual(both.items(1)[0]["asset"], self.source["assetId"])
        mine.send({"op": "ping", "t": 1})
        self.assertEqual(mine.receive()["op"], "pong", "and nothing before it")

    def test_goes_on_after_a_restart(self):
        self.set(points={"temp": "power"})
        self.device.close()
        self.node.kill()
        self.node.start()
        type(self).api = self.node.api()  # at other ports
        device = Device(self.node, self.pk, self.source["deviceKey"], self.source["deviceSecret"])
        self.addCleanup(device.close)
        mine = self.stream({"kind": "points", "filter": {"assets": [self.mirror["assetId"]]}})
        device.connect().post({"power": 4.0})
        self.assertEqual(mine.items(1)[0]["v"], {"temp": {"value": 4.0}})
        self.assertEqual(self.latest(), {"temp": 4.0})
        self.assertEqual(self.api.get(self.path)["mirrorOf"], self.source["assetId"])

    def test_the_life_cycle_tells_of_it(self):
        told = self.stream({"kind": "lifecycle", "filter": {"assets": [self.mirror["assetId"]]}})
        self.set()
        self.end()
        self.assertEqual([(i["event"], i["source"]) for i in told.items(2)], [(e, self.source["assetId"]) for e in ("mirrorSet", "mirrorEnded")])


class Rules(MirrorTest):
    def test_is_found_and_counted(self):
        counted = self.api.get("~/stats/devices", params={"productKey": self.pk})["mirror"]
        self.set()
        self.assertEqual(self.api.get(self.path)["status"], "mirror")
        self.assertEqual(self.api.get(self.path)["mirrorOf"], self.source["assetId"])
        self.assertEqual(self.api.get(self.path + "/status")["status"], "mirror")
        self.assertEqual(self.found(f"mirrorOf = '{self.source['assetId']}'"), {self.mirror["assetId"]})
        self.assertIn(self.mirror["assetId"], self.found("status = 'mirror'"))
        self.assertIn(self.mirror["assetId"], {d["assetId"] for d in self.api.get("~/devices", params={"status": "mirror", "limit": 500})["items"]})
        self.assertEqual(self.api.get("~/stats/devices", params={"productKey": self.pk})["mirror"], counted + 1)
        self.api.post(self.path + ":disable")
        self.assertEqual(self.api.get(self.path)["status"], "disabled")
        self.api.post(self.path + ":enable")
        self.end()
        self.assertEqual(self.found(f"mirrorOf = '{self.source['assetId']}'"), set())
        self.assertEqual(self.api.get(self.path)["status"], "inactive")
        self.assertEqual(self.api.get("~/stats/devices", params={"productKey": self.pk})["mirror"], counted)

    def test_has_nothing_of_its_own(self):
        self.set()
        device = Device(self.node, self.pk, self.mirror["deviceKey"], self.mirror["deviceSecret"])
        self.assertNotEqual(device.try_connect(), 0)
        device.close()
        records = lambda: self.api.get("~/audit", params={"filter": "action = 'deviceLogin' and reason = 'device_mirror'"})["items"]
        wait_for(records, "the refusal in the audit log")
        refused(self, self.api, "POST", self.path + "/points", 409, "device_mirror", json={"items": [{"points": {"power": 1.0}}]})
        refused(self, self.api, "POST", self.path + "/events", 409, "device_mirror", json={"eventId": "overTemperature", "output": {"temp": 90}})
        refused(self, self.api, "POST", self.path + "/points/setpoint:set", 409, "device_mirror", json={"value": 1})
        refused(self, self.api, "POST", self.path + "/services/reboot:invoke", 409, "device_mirror", json={"input": {"delay": 1}})
        refused(self, self.api, "POST", self.path + ":rrpc", 409, "device_mirror", json={"payload": "x"})
        refused(self, self.api, "POST", self.path + ":resetSecret", 409, "device_mirror", json={})
        refused(self, self.api, "POST", self.path + ":replace", 409, "device_mirror", json={"newDeviceKey": "x-" + self.mirror["deviceKey"]})
        self.api.post("~/devices", {"productKey": self.pk, "deviceKey": "x-" + self.mirror["deviceKey"]})  # the name is free again
        self.assertEqual(self.latest(), {})
        self.end()
        device = Device(self.node, self.pk, self.mirror["deviceKey"], self.mirror["deviceSecret"])
        self.addCleanup(device.close)
        device.connect()

    def test_no_circles_and_no_chains(self):
        other = self.api.post("~/devices", {"productKey": self.pk})
        path = f"~/devices/{other['assetId']}"
        put = lambda at, source, code, status=409: refused(self, self.api, "PUT", at + "/mirror", status, code, json={"source": source["assetId"]})
        put(self.path, self.mirror, "mirror_cycle")
        self.set()
        put(path, self.mirror, "mirror_cycle")
        self.set(other, path=self.path)
        put(path, self.source, "mirror_cycle")
        self.api.request("DELETE", self.path)
        self.set(path=path)

    def test_who_may_be_one(self):
        refused(self, self.api, "PUT", self.of_source + "/mirror", 409, "state_conflict", json={"source": self.mirror["assetId"]})
        self.api.post(self.path + "/points", {"items": [{"points": {"power": 1.0}}]})
        refused(self, self.api, "PUT", self.path + "/mirror", 409, "state_conflict", json={"source": self.source["assetId"]})
        refused(self, self.api, "DELETE", self.path + "/mirror", 404, "mirror_unknown")
        refused(self, self.api, "GET", self.path + "/mirror", 404, "mirror_unknown")

    def test_a_source_has_sixteen(self):
        made = self.api.post("~/devices:batch", {"items": [{"productKey": self.pk} for _ in range(17)]})["results"]
        paths = [f"~/devices/{r['id']}" for r in made]
        for path in paths[:16]:
            self.set(path=path)
        refused(self, self.api, "PUT", paths[16] + "/mirror", 409, "too_many_mirrors", json={"source": self.source["assetId"]})
        self.assertEqual(self.api.get(paths[16])["status"], "inactive")
        self.set(path=paths[0])
        self.api.request("DELETE", paths[1])
        wait_for(lambda: self.api.session.put(self.api.base + paths[16].replace("~", "/orgs/-") + "/mirror", json={"source": self.source["assetId"]}, timeout=30).status_code == 200,
                 "the place of the one that was deleted")

    def test_bad_input(self):
        def bad(status, code, body, errors=()):
            told = refused(self, self.api, "PUT", self.path + "/mirror", status, code, json=body)
            for one in errors:
                self.assertIn(one, [(e["pointer"], e["code"]) for e in told["errors"]])
        gone = self.api.post("~/devices", {"productKey": self.pk})
        self.api.request("DELETE", f"~/devices/{gone['assetId']}")
        source = self.source["assetId"]
        bad(422, "validation_failed", {}, [("/source", "required_missing")])
        bad(422, "validation_failed", {"source": "x"}, [("/source", "type_mismatch")])
        bad(422, "validation_failed", {"source": 1})
        bad(422, "validation_failed", {"source": source, "points": ["power"]})
        bad(422, "validation_failed", {"source": source, "points": {"power": 1}})
        bad(400, "unknown_field", {"source": source, "more": 1})
        bad(404, "device_unknown", {"source": gone["assetId"]})
        bad(422, "mirror_invalid", {"source": source, "points": {"none": "power"}}, [("/points/none", "element_unknown")])
        bad(422, "mirror_invalid", {"source": source, "points": {"power": "none"}}, [("/points/power", "element_unknown")])
        bad(422, "mirror_invalid", {"source": source, "points": {"power": "temp", "temp": "temp"}}, [("/points/temp", "duplicate")])
        bad(422, "mirror_invalid", {"source": source, "points": {f"p{n}": f"q{n}" for n in range(501)}})
        self.assertEqual(self.api.get(self.path)["status"], "inactive")

    def test_who_may_set_it(self):
        """Both must be in reach, and the data of the source too: a mirror shows them to whoever reaches the mirror."""
        self.api.post("/orgs", {"id": "mirrors", "name": "M", "admin": {"login": "mia", "password": PASSWORD}})
        self.api.post("~/users", {"login": "vik", "password": PASSWORD, "roles": ["viewer"]})
        log_in = lambda login, organisation="default": self.node.api(self.api.post("/auth/login", {"user": login, "password": PASSWORD, "organisation": organisation})["access"])
        body = {"source": self.source["assetId"]}
        refused(self, log_in("vik"), "PUT", self.path + "/mirror", 403, "forbidden", json=body)
        refused(self, log_in("mia", "mirrors"), "PUT", self.path + "/mirror", 404, "device_unknown", json=body)
        group = self.api.post("~/groups", {"name": f"Of {self.id()}", "type": "static"})["id"]
        self.api.post(f"~/groups/{group}/members:add", {"ids": [self.mirror["assetId"]]})
        self.api.post("~/roles", {"name": "mirrorer", "permissions": ["device:*", "data:read"], "scope": {"groups": [group]}})
        self.api.post("~/users", {"login": "max", "password": PASSWORD, "roles": ["mirrorer"]})
        scoped = log_in("max")
        refused(self, scoped, "PUT", self.path + "/mirror", 404, "device_unknown", json=body)
        self.api.post("~/roles", {"name": "writer", "permissions": ["device:read", "device:write"]})
        self.api.post("~/users", {"login": "wim", "password": PASSWORD, "roles": ["writer"]})
        refused(self, log_in("wim"), "PUT", self.path + "/mirror", 404, "device_unknown", json=body)
        self.device.post({"power": 8.0})
        self.set()
        self.assertEqual([i["value"] for i in scoped.get(self.path + "/points/latest")["items"]], [8.0], "who reaches the mirror alone")
        refused(self, scoped, "GET", self.of_source + "/points/latest", 404, "device_unknown")


if __name__ == "__main__":
    unittest.main()
