"""How devices are to be configured, and how they say that they are: by topic and by the API."""
import json
import queue
import unittest

from api_kit import refused
from gateway_test import GatewayTest
from orrery import DEADLINE, Device, NodeTest


def push(device):
    """The next push; it is answered."""
    topic = f"/sys/{device.pk}/{device.dk}/thing/config/push"
    while True:
        message = device.messages.get(timeout=DEADLINE)
        if message.topic == topic:
            body = json.loads(message.payload)
            device.publish(topic + "_reply", {"id": body["id"], "code": 200, "data": {}})
            assert body["method"] == "thing.config.push" and body["id"].isdigit(), body
            return body["params"]


def report(device, reported, **more):
    whose = more.pop("whose", None)
    return device.request("thing/config/report", "thing.config.report", dict({"reported": reported}, **more), whose=whose)


def ask(device, **more):
    reply = device.request("thing/config/get", "thing.config.get", {}, **more)
    assert reply["code"] == 200, reply
    return reply["data"]


class Configuration(NodeTest):
    def setUp(self):
        self.made = self.api.post("~/devices", {"productKey": self.node.demo["productKey"]})
        self.path = f"~/devices/{self.made['assetId']}/twin"

    def connect(self, subscribe=True, **options):
        device = Device(self.node, self.made["productKey"], self.made["deviceKey"], self.made["deviceSecret"], **options)
        self.addCleanup(device.close)
        return device.connect(subscribe)

    def wish(self, patch, method="PATCH", match="*"):
        return self.api.request(method, self.path + "/desired", json=patch, headers={"If-Match": match})

    def nothing_more(self, device):
        """A request is answered after all that was sent before it."""
        ask(device)
        self.assertTrue(device.messages.empty(), "a message that nobody expects")

    def test_it_is_pushed_and_reported(self):
        device = self.connect()
        self.wish({"rate": 10, "net": {"apn": "a", "retry": 3}})
        self.assertEqual(push(device), {"desiredVersion": 1, "desired": {"net": {"apn": "a", "retry": 3}, "rate": 10},
                                        "delta": {"net": {"apn": "a", "retry": 3}, "rate": 10}})
        reply = report(device, {"rate": 10, "net": {"apn": "b"}, "free": 7}, desiredVersion=1)
        self.assertEqual((reply["code"], reply["data"]), (200, {"reportedVersion": 1, "delta": {"net": {"apn": "a", "retry": 3}}}))
        twin = self.api.get(self.path)
        self.assertEqual((twin["inSync"], twin["delta"], twin["appliedVersion"]), (False, {"net": {"apn": "a", "retry": 3}}, 1))
        self.assertEqual(twin["reported"], {"free": 7, "net": {"apn": "b"}, "rate": 10})
        self.wish({"net": {"retry": None}})
        self.assertEqual(push(device)["delta"], {"net": {"apn": "a"}})
        self.assertEqual(report(device, {"net": {"apn": "a"}, "free": None})["data"], {"reportedVersion": 2, "delta": {}})
        self.assertEqual(ask(device), {"desiredVersion": 2, "desired": {"net": {"apn": "a"}, "rate": 10}, "delta": {}, "reportedVersion": 2,
                                       "reported": {"net": {"apn": "a"}, "rate": 10}})
        self.assertTrue(self.api.get(self.path)["inSync"])
        self.assertEqual(report(device, {"only": 1}, replace=True)["data"], {"reportedVersion": 3, "delta": {"net": {"apn": "a"}, "rate": 10}})
        self.nothing_more(device)

    def test_who_was_away_is_told_when_it_comes_until_it_has_it(self):
        self.wish({"a": 1})
        for _ in range(2):
            device = self.connect(subscribe=False)
            self.assertEqual(push(device)["delta"], {"a": 1}, "no subscription is needed")
            device.close()
        device = self.connect()
        push(device)
        self.assertEqual(report(device, {"a": 1})["code"], 200)
        device.close()
        device = self.connect()
        self.nothing_more(device)

    def test_versions_are_etags(self):
        first = self.wish({"a": 1}, match='"0"')
        self.assertEqual(first.headers["ETag"], '"1"')
        self.assertIn("X-Revision", first.headers)
        device = self.connect()
        push(device)
        report(device, {"b": 1})
        read = self.api.request("GET", self.path + "/desired")
        self.assertEqual((read.json(), read.headers["ETag"]), ({"a": 1}, '"1"'), "reports are no change of it")
        self.api.request("GET", self.path + "/desired", headers={"If-None-Match": '"1"'}, expect=304)
        self.assertEqual(self.wish({"a": 1}, match='"1"').headers["ETag"], '"1"', "it was so before")
        self.assertEqual(self.wish({"c": {"d": None}}, "PUT", '"1"').json()["desired"], {"c": {}})
        refused(self, self.api, "PATCH", self.path + "/desired", 412, "etag_mismatch", json={"a": 2}, headers={"If-Match": '"1"'})
        refused(self, self.api, "PUT", self.path + "/desired", 428, "etag_required", json={"a": 2})
        self.assertEqual(self.api.get(self.path)["desiredBy"].split(":")[0], "key")
        etag = self.api.request("GET", self.path).headers["ETag"]
        self.api.request("GET", self.path, headers={"If-None-Match": etag}, expect=304)

    def test_limits_and_bad_input(self):
        device = self.connect()
        deep = {}
        for _ in range(8):
            deep = {"a": deep}
        match = {"If-Match": "*"}
        for body, status, code in (({"a": "x" * 32768}, 413, "twin_too_large"), (deep, 422, "twin_too_deep"), ([], 400, "malformed")):
            refused(self, self.api, "PATCH", self.path + "/desired", status, code, json=body, headers=match)
        for params in ({}, {"reported": []}, {"reported": {"a": "x" * 32768}}, {"reported": deep}, {"reported": {}, "desiredVersion": 1},
                       {"reported": {}, "desiredVersion": "x"}):
            self.assertEqual(device.request("thing/config/report", "", params)["code"], 1200, params)
        self.assertEqual(report(device, {"serial": {}})["code"], 1204, "an attribute of the model is of its type")
        refused(self, self.api, "PATCH", self.path + "/desired", 422, "model_validate_failed", json={"serial": {}}, headers=match)
        for text, code in (("", 1251), ("[]", 1220), ("{", 1220)):
            device.publish(f"/sys/{device.pk}/{device.dk}/thing/config/get", text)
            self.assertEqual(json.loads(device.messages.get(timeout=DEADLINE).payload)["code"], code)
        self.assertEqual(ask(device)["reportedVersion"], 0, "nothing of it was kept")
        viewer = self.node.api(self.api.post("~/apps/viewer/keys", {"roles": ["viewer"]})["apiKey"])
        viewer.get(self.path)
        refused(self, viewer, "PATCH", self.path + "/desired", 403, "forbidden", json={"a": 1}, headers=match)

    def test_it_outlives_the_node(self):
        self.wish({"a": 1})
        device = self.connect()
        push(device)
        report(device, {"a": 0})
        before = self.api.get(self.path)
        self.node.stop()
        self.node.start()
        type(self).api = self.node.api()
        self.assertEqual(self.api.get(self.path), before)

    def test_the_stream_has_it(self):
        device = self.connect()
        stream = self.api.stream({"kind": "lifecycle", "filter": {"assets": [self.made["assetId"]]}})
        self.addCleanup(stream.close)
        self.wish({"a": 1})
        push(device)
        report(device, {"a": 1})
        changed, reported = stream.items(2)
        self.assertEqual((changed["event"], changed["version"], changed["desired"]), ("twinChanged", 1, {"a": 1}))
        self.assertEqual((reported["event"], reported["version"], reported["reported"]), ("twinReported", 1, {"a": 1}))


class ConfigurationOfSubDevices(GatewayTest):
    def test_a_gateway_does_it_for_them(self):
        made = self.sub("c")
        path = f"~/devices/{made['assetId']}/twin"
        self.api.request("PATCH", path + "/desired", json={"a": 1}, headers={"If-Match": "*"})
        self.add(made)
        pushed = queue.Queue()
        self.gateway.on_command = pushed.put  # it may come before the reply to the login
        self.assertEqual(self.login(made)["code"], 200)
        message = pushed.get(timeout=DEADLINE)
        self.assertEqual(message.topic, f"/sys/{made['productKey']}/c/thing/config/push")
        self.assertEqual(json.loads(message.payload)["params"]["delta"], {"a": 1})
        self.assertEqual(ask(self.gateway, whose=self.whose(made))["desired"], {"a": 1})
        self.assertEqual(report(self.gateway, {"a": 1}, whose=self.whose(made))["data"]["delta"], {})
        self.assertTrue(self.api.get(path)["inSync"])
        other = self.sub("other")
        self.assertEqual(report(self.gateway, {"a": 1}, whose=self.whose(other))["code"], 1009, "it is none of its")


if __name__ == "__main__":
    unittest.main()
