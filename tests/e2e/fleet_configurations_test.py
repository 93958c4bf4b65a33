"""Configurations of fleets: layers below what is desired of a device, on their way to devices by sweeps and by events."""
import unittest

from api_kit import refused
from configuration_test import push, report
from orrery import Device, NodeTest, wait_for


class FleetTest(NodeTest):
    def setUp(self):
        self.product = self.node.demo["productKey"]
        self.fleet = self.id().rsplit(".", 1)[-1].replace("_", "-")[:40]
        self.devices = []

    def device(self, **tags):
        made = self.api.post("~/devices", {"productKey": self.product, "tags": dict(tags, fleet=self.fleet)})
        self.devices.append(made)
        return made

    def connect(self, made):
        device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"])
        self.addCleanup(device.close)
        return device.connect()

    def configuration(self, desired, more="", **other):
        target = f"tags.fleet = '{self.fleet}'" + (f" and {more}" if more else "")
        name = other.pop("name", f"{self.fleet} {len(self.api.get('~/configurations')['items'])}")[-64:]
        made = self.api.post("~/configurations", dict({"name": name, "target": target, "desired": desired}, **other))
        self.addCleanup(self.take_away, made["id"])
        return made

    def take_away(self, id):
        if any(c["id"] == id for c in self.api.get("~/configurations")["items"]):
            self.api.request("DELETE", f"~/configurations/{id}")

    def twin(self, made):
        return self.api.get(f"~/devices/{made['assetId']}/twin")

    def wait_desired(self, made, desired):
        wait_for(lambda: self.twin(made)["desired"] == desired, f"{desired} is desired")

    def report(self, c, **params):
        return self.api.get(f"~/configurations/{c['id']}/report", params=params)

    def counts(self, c):
        got = self.report(c)
        return {k: got[k] for k in ("targeted", "applied", "outdated", "agreed", "drifted", "pending", "refused") if got[k]}


class Fleet(FleetTest):
    def test_come_change_and_go(self):
        made = self.configuration({"rate": 1}, labels={"team": "a"}, description="all of it", priority=7)
        path = f"~/configurations/{made['id']}"
        self.assertEqual((made["version"], made["priority"], made["enabled"], made["labels"]), (1, 7, True, {"team": "a"}))
        self.assertEqual(self.api.get(path), made)
        self.assertEqual(self.api.get("~/configurations", params={"filter": f"id = '{made['id']}' and labels.team = 'a'"})["items"], [made])
        etag = self.api.request("GET", path).headers["ETag"]
        changed = self.api.request("PATCH", path, json={"description": "x"}, headers={"If-Match": etag}).json()
        self.assertEqual(changed["version"], 1, "devices have nothing new of it")
        refused(self, self.api, "PATCH", path, 412, "etag_mismatch", json={}, headers={"If-Match": etag})
        refused(self, self.api, "DELETE", path, 412, "etag_mismatch", headers={"If-Match": etag})
        refused(self, self.api, "POST", "~/configurations", 409, "configuration_exists",
                json={"name": made["name"], "target": "tags.a = 'b'", "desired": {}})
        put = self.api.request("PUT", path, json={"name": made["name"], "target": made["target"], "desired": {}}).json()
        self.assertEqual((put["version"], put["priority"], put["labels"], put["description"]), (2, 0, {}, ""))
        refused(self, self.api, "PUT", path, 422, "validation_failed", json={"name": "x"})
        for target in ("", "tags.a =", "nothing = 1", "points.power > 1", "configuration = 'c'", "updatedAt > 1", "group = 'g-none'"):
            refused(self, self.api, "PATCH", path, 422, "configuration_invalid", json={"target": target})
        refused(self, self.api, "PATCH", path, 413, "configuration_invalid", json={"desired": {"a": "x" * 8192}})
        refused(self, self.api, "PATCH", path, 422, "validation_failed", json={"priority": 1001})
        refused(self, self.api, "GET", path + "/report", 400, "malformed", params={"state": "none"})
        self.api.request("DELETE", path)
        for method, rest, options in (("GET", "", {}), ("DELETE", "", {}), ("PATCH", "", {"json": {}}), ("PUT", "", {"json": {}}), ("GET", "/report", {})):
            refused(self, self.api, method, path + rest, 404, "configuration_unknown", **options)

    def test_a_device_sees_what_is_desired_of_its_fleet(self):
        made = self.device(site="A")
        device = self.connect(made)
        low = self.configuration({"rate": 1, "mode": "eco"}, priority=1)
        self.assertEqual(push(device)["desired"], {"mode": "eco", "rate": 1})
        high = self.configuration({"rate": 2}, "tags.site = 'A'", priority=2)
        self.assertEqual(push(device), {"desiredVersion": 2, "desired": {"mode": "eco", "rate": 2}, "delta": {"mode": "eco", "rate": 2}})
        self.api.request("PATCH", f"~/devices/{made['assetId']}/twin/desired", json={"mode": "full"}, headers={"If-Match": "*"})
        self.assertEqual(push(device)["desired"], {"mode": "full", "rate": 2})
        twin = self.twin(made)
        self.assertEqual((twin["own"], twin["sources"]), ({"mode": "full"}, {"/mode": "device", "/rate": high["id"]}))
        self.assertEqual([(c["id"], c["version"], c["state"]) for c in twin["configurations"]],
                         [(low["id"], 1, "agreed"), (high["id"], 1, "pending")], "nothing of the lowest is in force")
        self.assertEqual(self.api.get(f"~/devices/{made['assetId']}/twin/desired"), {"mode": "full"})
        self.assertEqual(report(device, {"rate": 2, "mode": "full"}, desiredVersion=3)["data"]["delta"], {})
        self.assertEqual(self.counts(high), {"targeted": 1, "applied": 1, "agreed": 1})
        report(device, {"rate": 5})
        self.assertEqual(self.counts(high), {"targeted": 1, "applied": 1, "drifted": 1})
        drifted = self.report(high)["items"]
        self.assertEqual([(d["assetId"], d["differences"]) for d in drifted], [(made["assetId"], [{"path": "/rate", "desired": 2, "reported": 5}])])
        found = self.api.post("~/devices/search", {"filter": f"configuration = '{high['id']}:drifted'"})["items"]
        self.assertEqual([d["assetId"] for d in found], [made["assetId"]])
        self.api.request("PATCH", f"~/configurations/{high['id']}", json={"enabled": False})
        self.assertEqual(push(device)["desired"], {"mode": "full", "rate": 1})
        self.assertEqual(self.counts(high), {})
        self.api.request("DELETE", f"~/configurations/{low['id']}")
        self.assertEqual(push(device)["desired"], {"mode": "full"})
        self.assertEqual(self.api.get(f"~/devices/{made['assetId']}/configurations"), {"items": []})

    def test_events_bring_it_and_take_it(self):
        c = self.configuration({"rate": 1}, "tags.site = 'A'")
        made = self.device(site="A")
        self.assertEqual(self.twin(made)["desired"], {"rate": 1}, "with the registration itself")
        path = f"~/devices/{made['assetId']}"
        self.api.request("PATCH", path + "/tags", json={"site": "B"})
        self.assertEqual(self.twin(made)["desired"], {})
        self.api.request("PATCH", path + "/tags", json={"site": "A"})
        self.assertEqual(self.twin(made)["desired"], {"rate": 1})
        group = self.api.post("~/groups", {"name": self.fleet, "type": "static"})["id"]
        grouped = self.configuration({"group": True}, f"group = '{group}'")
        self.api.post(f"~/groups/{group}/members:add", {"ids": [made["assetId"]]})
        self.assertEqual(self.twin(made)["desired"], {"group": True, "rate": 1})
        refused(self, self.api, "DELETE", f"~/groups/{group}", 409, "group_in_use")
        self.api.request("DELETE", f"~/configurations/{grouped['id']}")
        self.wait_desired(made, {"rate": 1})
        self.assertEqual(self.counts(c), {"targeted": 1, "applied": 1, "pending": 1})

    def test_a_rule_of_a_group_is_followed(self):
        made = self.device(site="A")
        group = self.api.post("~/groups", {"name": self.fleet, "type": "dynamic", "rule": f"tags.fleet = '{self.fleet}' and tags.site = 'B'"})["id"]
        self.configuration({"rate": 1}, f"group = '{group}'")
        self.api.request("PATCH", f"~/groups/{group}", json={"rule": f"tags.fleet = '{self.fleet}' and tags.site = 'A'"})
        self.wait_desired(made, {"rate": 1})

    def test_preview(self):
        made = self.device(site="A")
        other = self.configuration({"rate": 1, "net": {"a": 1}}, priority=4)
        target = f"tags.fleet = '{self.fleet}'"
        found = self.api.post("~/configurations:preview", {"target": target, "priority": 4, "desired": {"rate": 2, "net": {"a": 1}}})
        self.assertEqual((found["count"], [d["assetId"] for d in found["sample"]]), (1, [made["assetId"]]))
        self.assertEqual(found["conflicts"], [{"id": other["id"], "name": other["name"], "paths": ["/rate"]}])
        self.assertEqual(self.api.post("~/configurations:preview", {"target": target, "priority": 5, "desired": {"rate": 2}})["conflicts"], [])
        refused(self, self.api, "POST", "~/configurations:preview", 422, "configuration_invalid", json={"target": "lastDataAt > 1"})
        refused(self, self.api, "POST", "~/configurations:preview", 422, "validation_failed", json={})

    def test_a_layer_that_cannot_be_is_refused(self):
        own = {"big": "x" * 30_000}
        made = self.device()
        self.api.request("PATCH", f"~/devices/{made['assetId']}/twin/desired", json=own, headers={"If-Match": "*"})
        c = self.configuration({"more": "y" * 8_000})
        wait_for(lambda: self.counts(c) == {"targeted": 1, "applied": 1, "refused": 1}, "it is refused")
        self.assertEqual(self.report(c, state="refused")["items"][0]["reason"], "twin_too_large")
        self.assertEqual(self.twin(made)["desired"], own)


class Restart(FleetTest):
    def test_goes_on_after_a_restart(self):
        made = [self.api.post("~/devices", {"productKey": self.product, "tags": {"fleet": self.fleet}}) for _ in range(40)]
        gone = self.configuration({"gone": 1})
        wait_for(lambda: self.report(gone)["applied"] == len(made), "all have it")
        c = self.configuration({"rate": 1})
        self.api.request("DELETE", f"~/configurations/{gone['id']}")
        self.node.kill()  # before a sweep has begun, or in its midst
        self.node.start()
        self.api = self.node.api()
        wait_for(lambda: self.report(c)["applied"] == len(made), "all have it after the restart")
        for one in made:
            self.wait_desired(one, {"rate": 1})


if __name__ == "__main__":
    unittest.main()
