"""Secrets that a device gets by its product's, channels of third parties, and virtual gateways."""
import json
import unittest

from mqtt_wire import PINGRESP, Who, Wire, frame
from orrery import DEADLINE, Device, NodeTest, sign


class Activation(NodeTest):
    def setUp(self):
        pk = self.node.demo["productKey"]
        model = self.api.get(f"~/products/{pk}")["modelId"]
        self.product = self.api.post("~/products", {"name": f"of {self.id()}", "modelId": model, "dynamicActivation": True})
        self.made = self.api.post("~/devices", {"productKey": self.product["productKey"], "deviceKey": "d"})

    def client(self, secret, mode=2, key="d", **options):
        device = Device(self.node, self.product["productKey"], key, secret, mode=mode, **options)
        self.addCleanup(device.close)
        return device

    def activate(self, **options):
        """The secret that is pushed to a client that subscribes to nothing."""
        device = self.client(self.product["productSecret"], mode=3, **options)
        device.connect(subscribe=False)
        message = device.messages.get(timeout=DEADLINE)
        self.assertEqual(message.topic, f"/ext/session/{self.product['productKey']}/d/thing/activate/info")
        text = message.payload.decode()
        content = json.loads(text)
        self.assertEqual(content["method"], "thing.activate.info")
        self.assertEqual(text, json.dumps(content, separators=(",", ":")), "compact")
        self.assertEqual({k: content["params"][k] for k in ("assetId", "productKey", "deviceKey")},
                         {"assetId": self.made["assetId"], "productKey": self.product["productKey"], "deviceKey": "d"})
        device.publish(message.topic + "_reply", {"id": content["id"], "code": 200, "data": {}})
        return device, content["params"]["deviceSecret"]

    def status(self):
        return self.api.get(f"~/devices/{self.made['assetId']}/status")["status"]

    def code(self, device):
        return device.try_connect()

    def test_a_device_gets_a_secret_and_comes_back_with_it(self):
        first, secret = self.activate()
        self.assertEqual(self.status(), "inactive", "only its own secret activates it")
        self.assertEqual(first.client.publish("x", "", 0).rc, 0)
        first.close()
        device = self.client(secret).connect()
        self.assertEqual(self.status(), "online")
        self.assertEqual(device.post({"power": 1})["code"], 200)
        self.assertEqual(self.code(self.client(self.product["productSecret"], mode=3)), 5, "that way is closed")
        self.assertEqual(self.code(self.client(self.made["deviceSecret"])), 4, "the former secret is void")

    def test_the_connection_goes_on_as_the_devices(self):
        device, _ = self.activate()
        device.client.subscribe(f"/sys/{device.pk}/d/#", 1)
        device.subscribed.get(timeout=DEADLINE)
        self.assertEqual(device.post({"power": 2})["code"], 200)

    def test_what_was_pushed_may_get_lost(self):
        self.activate()
        _, secret = self.activate()
        self.assertEqual(self.code(self.client(secret)), 0)

    def test_reopened(self):
        _, secret = self.activate()
        self.client(secret).connect()
        self.api.post(f"~/devices/{self.made['assetId']}:reopenActivation", {"seconds": 60})
        _, again = self.activate()
        self.assertNotEqual(again, secret)
        self.assertEqual(self.code(self.client(again)), 0)

    def test_who_is_refused(self):
        self.assertEqual(self.code(self.client("another secret", mode=3)), 4)
        self.assertEqual(self.code(self.client(self.product["productSecret"], mode=3, key="nobody")), 4)
        pk = self.node.demo["productKey"]
        self.api.request("PATCH", f"~/products/{self.product['productKey']}", json={"dynamicActivation": False}, headers={"If-Match": "*"})
        self.assertEqual(self.code(self.client(self.product["productSecret"], mode=3)), 5)
        self.api.post(f"~/devices/{self.made['assetId']}:disable", {})
        self.assertEqual(self.code(self.client(self.made["deviceSecret"])), 5)
        self.assertTrue(pk)

    def test_over_tls_too(self):
        _, secret = self.activate(tls=True)
        self.assertEqual(self.code(self.client(secret, tls=True)), 0)

    def test_behind_a_gateway(self):
        hub = self.api.post("~/products", {"name": f"hub of {self.id()}", "modelId": self.product["modelId"], "nodeType": "gateway"})
        made = self.api.post("~/devices", {"productKey": hub["productKey"], "deviceKey": "h"})
        self.api.post(f"~/devices/{made['assetId']}/subDevices:bind", {"devices": [{"productKey": self.made["productKey"], "deviceKey": "d"}]})
        gateway = Device(self.node, hub["productKey"], "h", made["deviceSecret"])
        self.addCleanup(gateway.close)
        gateway.connect()

        def login(secret, **more):
            pk = self.product["productKey"]
            return gateway.request("combine/login", "combine.login", dict({
                "productKey": pk, "deviceKey": "d", "clientId": "c", "timestamp": "1", "signMethod": "sha256",
                "sign": sign("c", "d", pk, "1", secret)}, **more), tree="ext/session")

        # One client does not say which secret it has taken.
        reply = login(self.product["productSecret"])
        self.assertEqual(reply["code"], 200)
        secret = reply["data"]["deviceSecret"]
        reply = login(secret, secureMode="2")
        self.assertEqual((reply["code"], "deviceSecret" in reply["data"]), (200, False))
        self.assertEqual(login(self.product["productSecret"], secureMode="3")["code"], 770)


class Channel(NodeTest):
    def setUp(self):
        self.pk = self.node.demo["productKey"]
        self.secret = self.node.demo["productSecret"]

    def channel(self, secret=None, method="sha256"):
        device = Device(self.node, self.pk, "%channel%", secret or self.secret, mode=4, id=self.pk, method=method)
        self.addCleanup(device.close)
        return device

    def request(self, channel, path, params):
        topic = f"/sys/{self.pk}/integration/{path}"
        channel.client.subscribe(topic + "_reply", 1)
        channel.subscribed.get(timeout=DEADLINE)
        channel.publish(topic, {"id": "7", "version": "1.1", "method": "integration", "params": params})
        reply = channel.messages.get(timeout=DEADLINE)
        self.assertEqual(reply.topic, topic + "_reply")
        return json.loads(reply.payload)

    def latest(self, key):
        items = self.api.get(f"~/products/{self.pk}/devices/{key}/points/latest")["items"]
        return {i["point"]: i["value"] for i in items}

    def test_third_parties_speak_for_the_devices_of_a_product(self):
        one, two = self.channel(), self.channel()
        one.connect(subscribe=False)
        two.connect(subscribe=False)
        for channel, value in ((one, 5), (two, 6)):
            self.assertEqual(self.request(channel, "measurepoint/post", [{"deviceKey": "inv-01", "measurepoints": {"power": value}},
                                                                         {"deviceKey": "inv-02", "measurepoints": {"power": value + 10}}])["code"], 200)
            self.assertEqual((self.latest("inv-01")["power"], self.latest("inv-02")["power"]), (value, value + 10))
        self.assertEqual(self.request(one, "attribute/post", [])["code"], 200)
        self.assertEqual(self.request(one, "measurepoint/post", [{"deviceKey": "nobody", "measurepoints": {"power": 1}}])["code"], 1257)
        self.assertEqual(self.request(one, "measurepoint/post", [{"deviceKey": "inv-01", "measurepoints": {"power": "x"}}])["code"], 1204)
        self.assertEqual(self.request(one, "event/post", [{"deviceKey": "inv-01", "events": {"nothing": {}}}])["code"], 1204)
        self.assertEqual(self.request(one, "event/post", [{"deviceKey": "inv-01"}])["code"], 1200)
        # Not the topics of a device.
        topic = f"/sys/{self.pk}/inv-01/thing/measurepoint/post"
        one.publish(topic, {"id": "9", "params": {"measurepoints": {"power": 9}}})
        self.assertEqual(json.loads(one.messages.get(timeout=DEADLINE).payload)["code"], 1009)

    def test_its_login_may_come_in_pieces(self):
        who = Who(self.pk, "%channel%", self.secret)
        wire = Wire(self.node)
        self.addCleanup(wire.close)
        packets = who.login(id=self.pk, mode=4) + frame(0xc0)
        for i in range(len(packets)):
            wire.send(packets[i:i + 1])
        self.assertEqual((wire.packet().body, wire.packet().kind), (b"\0\0", PINGRESP))

    def test_the_products_secret_is_needed(self):
        self.assertEqual(self.channel(secret="another secret").try_connect(), 4)
        device = Device(self.node, "nothing", "%channel%", self.secret, mode=4, id="nothing")
        self.addCleanup(device.close)
        self.assertEqual(device.try_connect(), 4)


class VirtualGateway(NodeTest):
    settings = ("mqtt.virtual_gateway=true",)

    def gateway(self, org="default"):
        device = Device(self.node, "%VIRT_GATEWAY%", org, "*", id=org)
        self.addCleanup(device.close)
        return device

    def test_it_logs_in_sub_devices_of_its_organisation(self):
        gateway = self.gateway().connect(subscribe=False)
        demo = self.node.demo["devices"][0]
        pk, dk = self.node.demo["productKey"], demo["deviceKey"]
        proof = {"productKey": pk, "deviceKey": dk, "clientId": "c", "timestamp": "1", "signMethod": "sha256",
                 "sign": sign("c", dk, pk, "1", demo["deviceSecret"])}
        self.assertEqual(gateway.request("thing/topo/add", "thing.topo.add", [proof])["code"], 200)
        self.assertEqual(gateway.request("combine/login", "combine.login", proof, tree="ext/session")["code"], 200)
        self.assertEqual(gateway.request("thing/topo/get", "thing.topo.get", {})["data"], [{"productKey": pk, "deviceKey": dk}])
        second = self.gateway().connect(subscribe=False)
        gateway.gone.get(timeout=DEADLINE)
        self.assertEqual(second.request("thing/topo/get", "thing.topo.get", {})["code"], 200)

    def test_only_an_organisations(self):
        self.assertEqual(self.gateway("nobody").try_connect(), 4)


class NoVirtualGateway(NodeTest):
    def test_it_is_off_unless_the_settings_say_so(self):
        device = Device(self.node, "%VIRT_GATEWAY%", "default", "*", id="default")
        self.addCleanup(device.close)
        self.assertEqual(device.try_connect(), 4)


if __name__ == "__main__":
    unittest.main()
