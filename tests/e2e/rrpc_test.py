"""Free bytes to a device and its answer, in one call of the API."""
import base64
import gzip
import threading
import unittest

from api_kit import refused
from gateway_test import GatewayTest
from orrery import DEADLINE, Device, NodeTest, wait_for


class Rrpc(NodeTest):
    def setUp(self):
        self.made = self.api.post("~/devices", {"productKey": self.node.demo["productKey"]})
        self.path = f"~/devices/{self.made['assetId']}"

    def connect(self, subscribe=True, **options):
        device = Device(self.node, self.made["productKey"], self.made["deviceKey"], self.made["deviceSecret"], **options)
        self.addCleanup(device.close)
        return device.connect(subscribe)

    def call(self, **body):
        return self.api.post(self.path + ":rrpc", body)

    def refused(self, status, code, **body):
        return refused(self, self.api, "POST", self.path + ":rrpc", status, code, json=body)

    def later(self, **body):
        """Calls on a thread of its own; gives it, and the list that gets the answer."""
        got = []
        thread = threading.Thread(target=lambda: got.append(self.call(**body)))
        thread.start()
        self.addCleanup(thread.join, DEADLINE)
        return thread, got

    def test_text_and_bytes_go_both_ways(self):
        device = self.connect()
        device.on_bytes = lambda payload: payload[::-1]
        answer = self.call(payload="hello")
        self.assertEqual(answer["payload"], "olleh")
        log = self.api.get(f"~/commands/{answer['command']}")
        self.assertEqual((log["type"], log["state"], log["input"], log["output"]), ("rrpc", "succeeded", {"payload": "hello"}, {"payload": "olleh"}))
        self.assertEqual(self.call(payload="")["payload"], "")
        every = bytes(range(256))
        self.assertEqual(base64.b64decode(self.call(base64=base64.b64encode(every).decode())["base64"]), every[::-1])
        most = "x" * 65536
        self.assertEqual(self.call(payload=most)["payload"], most)

    def test_no_subscription_is_needed(self):
        device = self.connect(subscribe=False)
        device.on_bytes = lambda payload: b"here"
        self.assertEqual(self.call(payload="x", timeout=5)["payload"], "here")
        # Nor is one waited for, of whom that would wait for one of commands.
        device.client.subscribe(f"/sys/{device.pk}/{device.dk}/thing/service/other", 1)
        device.subscribed.get(timeout=DEADLINE)
        self.assertEqual(self.call(payload="x", timeout=5)["payload"], "here")

    def test_it_is_beside_the_queue_of_commands(self):
        device = self.connect()
        asked = threading.Event()
        device.on_command = lambda m: asked.set()  # and no answer
        self.api.request("POST", self.path + "/services/reboot:invoke", json={"input": {"delay": 1}, "mode": "async", "timeout": 60}, expect=202)
        self.assertTrue(asked.wait(DEADLINE))
        device.on_bytes = lambda payload: payload
        self.assertEqual(self.call(payload="quick")["payload"], "quick")

    def test_who_is_not_there_is_not_waited_for(self):
        self.refused(409, "device_inactive", payload="x")
        device = self.connect()
        device.close()
        wait_for(lambda: self.api.get(self.path + "/status")["status"] == "offline", "it is off-line")
        self.refused(409, "device_offline", payload="x")
        self.api.post(self.path + ":disable", {})
        self.refused(409, "device_disabled", payload="x")

    def test_no_answer_in_time(self):
        device = self.connect()
        problem = self.refused(504, "device_timeout", payload="x", timeout=1)
        self.assertIn("command ", problem["detail"])
        # What comes later is nobody's, and harms nobody.
        message = device.messages.get(timeout=DEADLINE)
        device.publish(message.topic.replace("/request/", "/response/"), b"late")
        self.assertEqual(device.post({"power": 1})["code"], 200)

    def test_one_that_goes_meanwhile(self):
        device = self.connect()
        seen = threading.Event()
        device.on_bytes = lambda payload: seen.set() or device.client.disconnect() or b""
        problem = self.refused(409, "device_offline", payload="x")
        self.assertTrue(seen.is_set())
        self.assertIn("went offline", problem["detail"])

    def test_limits_and_bad_input(self):
        device = self.connect()
        device.on_bytes = lambda payload: b"x" * 65537
        self.refused(409, "rrpc_failed", payload="x")
        device.on_bytes = lambda payload: payload
        self.refused(413, "payload_too_large", payload="x" * 65537)
        self.refused(422, "format_error", base64="%")
        self.refused(422, "format_error", base64="AA==", payload="x")
        self.refused(422, "validation_failed")
        self.refused(422, "validation_failed", payload=5)
        self.refused(422, "validation_failed", payload="x", timeout=61)
        self.refused(400, "unknown_field", payload="x", topic="y")
        viewer = self.api.post("~/apps/viewer/keys", {"roles": ["viewer"]})["apiKey"]
        refused(self, self.node.api(viewer), "POST", self.path + ":rrpc", 403, "forbidden", json={"payload": "x"})

    def test_answers_to_nothing(self):
        device = self.connect()
        for topic in ("rrpc/response/1", "rrpc/response/99999999999999999999"):
            device.publish(f"/sys/{device.pk}/{device.dk}/{topic}", b"\0\xff")
        device.publish(f"/sys/{device.pk}/{device.dk}/rrpc/response/x", b"{}")  # no topic of a device: 1009
        device.on_bytes = lambda payload: payload
        self.assertEqual(self.call(payload="x")["payload"], "x")

    def test_several_at_once(self):
        device = self.connect()
        calls = [self.later(payload=str(n)) for n in range(8)]
        messages = [device.messages.get(timeout=DEADLINE) for _ in calls]
        self.refused(409, "queue_full", payload="one more")
        for m in reversed(messages):
            device.publish(m.topic.replace("/request/", "/response/"), b"re " + m.payload)
        for number, (thread, got) in enumerate(calls):
            thread.join(DEADLINE)
            self.assertEqual(got[0]["payload"], f"re {number}")

    def test_packed_payloads(self):
        device = self.connect(id=f"{self.made['deviceKey']}{{compress=GZIP}}")
        device.on_bytes = lambda payload: gzip.compress(gzip.decompress(payload) + b"!")
        self.assertEqual(self.call(payload="hello")["payload"], "hello!")

    def test_a_raw_product_gets_its_bytes_as_they_are(self):
        model = self.api.get(f"~/products/{self.node.demo['productKey']}")["modelId"]
        product = self.api.post("~/products", {"name": "Raw", "modelId": model, "dataFormat": "raw"})["productKey"]
        self.made = self.api.post("~/devices", {"productKey": product})
        self.path = f"~/devices/{self.made['assetId']}"
        device = self.connect()
        device.on_bytes = lambda payload: payload
        self.assertEqual(self.call(payload="no script is asked")["payload"], "no script is asked")


class RrpcOfSubDevices(GatewayTest):
    def test_through_the_gateway(self):
        [sub] = self.in_and_bound("rrpc")
        topics = []
        self.gateway.on_bytes = lambda payload: payload.upper()
        self.gateway.client.on_message = lambda c, u, m: (topics.append(m.topic), self.gateway.on_message(c, u, m))
        self.assertEqual(self.api.post(f"~/devices/{sub['assetId']}:rrpc", {"payload": "sub"})["payload"], "SUB")
        self.assertRegex(topics[-1], f"^/sys/{sub['productKey']}/rrpc/rrpc/request/[0-9]+$")


if __name__ == "__main__":
    unittest.main()
