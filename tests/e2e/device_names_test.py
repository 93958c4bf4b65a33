"""A device gets another name and keeps all else: another thing takes its place, or it goes over to another product."""
import json
import unittest

from api_kit import refused
from gateway_test import GatewayTest
from orrery import DEADLINE, Device, NodeTest, wait_for

PASSWORD = "long enough"


class NamesTest(NodeTest):
    def setUp(self):
        self.pk = self.node.demo["productKey"]
        self.made = self.api.post("~/devices", {"productKey": self.pk, "name": "Roof", "tags": {"site": "north"}})
        self.path = f"~/devices/{self.made['assetId']}"
        self.key = f"new-{self.made['deviceKey']}"

    def client(self, key, secret, pk=None):
        device = Device(self.node, pk or self.pk, key, secret)
        self.addCleanup(device.close)
        return device

    def replace(self, key=None, path=None):
        return self.api.post((path or self.path) + ":replace", {"newDeviceKey": key or self.key})

    def by_key(self, key, pk=None):
        return f"~/products/{pk or self.pk}/devices/{key}"

    def product(self, model=None, **fields):
        model = model or self.api.get(f"~/products/{self.pk}")["modelId"]
        return self.api.post("~/products", dict({"name": f"Of {self.id()}", "modelId": model}, **fields))["productKey"]

    def found(self, **fields):
        text = " and ".join(f"{k} = '{v}'" for k, v in fields.items())
        return [d["assetId"] for d in self.api.post("~/devices/search", {"filter": text})["items"]]


class Replace(NamesTest):
    def test_all_goes_on_under_the_new_key(self):
        old = self.client(self.made["deviceKey"], self.made["deviceSecret"]).connect()
        self.assertEqual(old.post({"power": 7})["code"], 200)
        self.api.request("PATCH", self.path + "/attributes", json={"serial": "A7"})
        before = self.api.get(self.path)
        now = self.replace()
        old.gone.get(timeout=DEADLINE)
        old.close()
        self.assertEqual((now["assetId"], now["deviceKey"]), (self.made["assetId"], self.key))
        for same in ("name", "tags", "attributes", "createdAt", "activatedAt", "productKey"):
            self.assertEqual(now[same], before[same])
        self.assertNotEqual(self.client(self.made["deviceKey"], self.made["deviceSecret"]).try_connect(), 0)
        self.assertNotEqual(self.client(self.key, self.made["deviceSecret"]).try_connect(), 0, "the old secret is void")
        device = self.client(self.key, now["deviceSecret"]).connect()
        self.assertEqual(self.api.get(self.path)["status"], "online")
        self.assertEqual(device.post({"power": 8})["code"], 200)
        values = self.api.get(self.path + "/points/power/history")["items"]
        self.assertEqual(sorted(v["value"] for v in values), [7, 8])
        device.client.subscribe(f"/sys/{self.pk}/{self.key}/#", 1)
        device.subscribed.get(timeout=DEADLINE)

    def test_whoever_asks_by_key_finds_it(self):
        self.replace()
        self.assertEqual(self.api.get(self.by_key(self.key))["assetId"], self.made["assetId"])
        refused(self, self.api, "GET", self.by_key(self.made["deviceKey"]), 404, "device_unknown")
        answer = self.api.post("~/devices:check", {"productKey": self.pk, "keys": [self.key, self.made["deviceKey"]]})
        self.assertEqual((answer["existing"], answer["free"]), ([self.key], [self.made["deviceKey"]]))
        self.assertEqual(self.found(deviceKey=self.key), [self.made["assetId"]])
        self.assertEqual(self.found(deviceKey=self.made["deviceKey"]), [])
        self.assertEqual(len(self.found(productKey=self.pk)), self.api.post("~/devices:count", {"filter": f"productKey = '{self.pk}'"})["total"])

    def test_the_old_key_is_free_and_the_new_one_is_not(self):
        now = self.replace()
        refused(self, self.api, "POST", "~/devices", 409, "device_key_exists", json={"productKey": self.pk, "deviceKey": self.key})
        other = self.api.post("~/devices", {"productKey": self.pk, "deviceKey": self.made["deviceKey"]})
        self.assertNotEqual(other["assetId"], now["assetId"])
        self.client(self.made["deviceKey"], other["deviceSecret"]).connect()
        refused(self, self.api, "POST", f"~/devices/{other['assetId']}:replace", 409, "device_key_exists", json={"newDeviceKey": self.key})
        refused(self, self.api, "POST", self.path + ":replace", 409, "device_key_exists", json={"newDeviceKey": self.made["deviceKey"]})
        refused(self, self.api, "POST", self.path + ":replace", 409, "device_key_exists", json={"newDeviceKey": self.key})

    def test_again_and_again_and_back(self):
        for key in (self.key, "x-" + self.key, self.made["deviceKey"], self.key):
            now = self.replace(key)
            self.assertEqual(self.api.get(self.by_key(key))["assetId"], self.made["assetId"])
        self.client(self.key, now["deviceSecret"]).connect()
        self.api.request("DELETE", self.path)
        for key in (self.key, "x-" + self.key, self.made["deviceKey"]):
            self.api.post("~/devices", {"productKey": self.pk, "deviceKey": key})

    def test_is_known_after_a_restart(self):
        now = self.replace()
        self.node.kill()
        self.node.start()
        type(self).api = self.node.api()  # at other ports
        self.client(self.key, now["deviceSecret"]).connect()
        self.assertNotEqual(self.client(self.made["deviceKey"], self.made["deviceSecret"]).try_connect(), 0)

    def test_an_import_follows(self):
        self.replace()
        row = json.dumps({"productKey": self.pk, "deviceKey": self.key, "tags": {"row": "1"}})
        begun = self.api.request("POST", "~/devices:import", params={"mode": "upsert"}, data=row,
                                 headers={"Content-Type": "application/x-ndjson"}, expect=202).json()
        over = self.api.get(f"~/operations/{begun['id']}", params={"wait": "30s"})
        self.assertEqual((over["state"], over["counts"]["ok"]), ("succeeded", 1))
        self.assertEqual(self.api.get(self.path)["tags"], {"site": "north", "row": "1"})

    def test_is_audited_with_what_was(self):
        self.replace()
        rows = self.api.get("~/audit", params={"filter": f"device = '{self.made['assetId']}' and action = 'replaceDevice'"})["items"]
        self.assertEqual(len(rows), 1)
        self.assertNotIn("deviceSecret", json.dumps(rows))

    def test_is_checked(self):
        for body, code in (({}, "validation_failed"), ({"newDeviceKey": "no key"}, "device_key_invalid"), ({"newDeviceKey": 1}, "validation_failed")):
            refused(self, self.api, "POST", self.path + ":replace", 422, code, json=body)
        refused(self, self.api, "POST", self.path + ":replace", 400, "unknown_field", json={"newDeviceKey": "x", "other": 1})
        refused(self, self.api, "POST", "~/devices/" + "0" * 29 + ":replace", 404, "device_unknown", json={"newDeviceKey": "x"})

    def test_activation_by_the_new_key(self):
        pk = self.product(dynamicActivation=True)
        secret = self.api.post(f"~/products/{pk}:resetSecret", {})["productSecret"]
        made = self.api.post("~/devices", {"productKey": pk, "deviceKey": "d"})
        path = f"~/devices/{made['assetId']}"
        self.replace("e", path)
        device = Device(self.node, pk, "e", secret, mode=3)
        self.addCleanup(device.close)
        device.connect(subscribe=False)
        content = json.loads(device.messages.get(timeout=DEADLINE).payload)
        self.assertEqual((content["params"]["assetId"], content["params"]["deviceKey"]), (made["assetId"], "e"))
        self.client("e", content["params"]["deviceSecret"], pk).connect()


class Gateways(GatewayTest):
    def test_a_sub_device_is_replaced(self):
        sub, = self.in_and_bound("a")
        now = self.api.post(f"~/devices/{sub['assetId']}:replace", {"newDeviceKey": "b"})
        wait_for(lambda: self.status(sub) == "offline", "the end of its session")
        self.assertEqual(self.topology(), {self.whose(now)})
        self.assertNotEqual(self.login(sub)["code"], 200)
        self.assertEqual(self.login(now)["code"], 200)
        self.assertEqual(self.status(sub), "online")

    def test_a_gateway_is_replaced(self):
        sub, = self.in_and_bound("a")
        now = self.api.post(f"~/devices/{self.made['assetId']}:replace", {"newDeviceKey": "hub-2"})
        self.gateway.gone.get(timeout=DEADLINE)
        gateway = Device(self.node, now["productKey"], "hub-2", now["deviceSecret"])
        self.addCleanup(gateway.close)
        self.gateway = gateway.connect()
        self.assertEqual(self.topology(), {self.whose(sub)})
        self.assertEqual(self.login(sub)["code"], 200)
        self.assertEqual(self.api.get(f"~/devices/{sub['assetId']}/gateway")["deviceKey"], "hub-2")


class MoveProduct(NamesTest):
    def move(self, pk):
        return self.api.post(self.path + ":moveProduct", {"productKey": pk})

    def test_keeps_id_secret_and_data(self):
        old = self.client(self.made["deviceKey"], self.made["deviceSecret"]).connect()
        self.assertEqual(old.post({"power": 7})["code"], 200)
        to = self.product()
        used = self.api.get("~/quotas")
        now = self.move(to)
        old.gone.get(timeout=DEADLINE)
        old.close()
        self.assertEqual((now["assetId"], now["productKey"], now["deviceKey"]), (self.made["assetId"], to, self.made["deviceKey"]))
        self.assertNotIn("deviceSecret", now)
        self.assertNotEqual(self.client(self.made["deviceKey"], self.made["deviceSecret"]).try_connect(), 0)
        device = self.client(self.made["deviceKey"], self.made["deviceSecret"], to).connect()
        self.assertEqual(device.post({"power": 8})["code"], 200)
        self.assertEqual(self.found(productKey=to), [self.made["assetId"]])
        self.assertEqual(self.api.get(self.by_key(self.made["deviceKey"], to))["assetId"], self.made["assetId"])
        self.assertEqual(self.api.get("~/quotas"), used)
        self.assertEqual(self.api.request("DELETE", f"~/products/{to}", expect=409, headers={"If-Match": "*"}).status_code, 409)

    def test_the_product_that_it_leaves_may_go(self):
        left = self.product()
        self.move(left)
        self.move(self.product(name=f"Next of {self.id()}"))
        self.api.request("DELETE", f"~/products/{left}", headers={"If-Match": "*"})

    def test_the_rules_of_the_new_product_count(self):
        to = self.product(access="viaGateway")
        self.move(to)
        self.assertNotEqual(self.client(self.made["deviceKey"], self.made["deviceSecret"], to).try_connect(), 0)

    def test_only_to_the_same_model_or_one_that_extends_it(self):
        own = self.api.get(f"~/products/{self.pk}")["modelId"]
        self.api.post("~/models", {"format": "tm/1", "id": "names-child", "name": "C", "extends": own})
        self.api.post("~/models/names-child:publish", {})
        child = self.product("names-child")
        self.move(child)
        refused(self, self.api, "POST", self.path + ":moveProduct", 409, "model_mismatch", json={"productKey": self.pk})

    def test_is_checked(self):
        refused(self, self.api, "POST", self.path + ":moveProduct", 409, "state_conflict", json={"productKey": self.pk})
        refused(self, self.api, "POST", self.path + ":moveProduct", 404, "product_unknown", json={"productKey": "nothing"})
        refused(self, self.api, "POST", self.path + ":moveProduct", 422, "validation_failed", json={})
        to = self.product()
        self.api.post("~/devices", {"productKey": to, "deviceKey": self.made["deviceKey"]})
        refused(self, self.api, "POST", self.path + ":moveProduct", 409, "device_key_exists", json={"productKey": to})


if __name__ == "__main__":
    unittest.main()
