"""The time by topic: the node tells it at once, in the form in which it is asked."""
import json
import time
import unittest

from gateway_test import GatewayTest
from orrery import DEADLINE, Device, NodeTest


def ask(device, question, pk=None, dk=None, qos=1):
    """Publishes a question; gives its answer."""
    topic = f"/ext/ntp/{pk or device.pk}/{dk or device.dk}/"
    device.publish(topic + "request", question, qos)
    answer = device.messages.get(timeout=DEADLINE)
    assert answer.topic == topic + "response", answer.topic
    return json.loads(answer.payload)


class Clock(NodeTest):
    def test_it_is_told(self):
        made, device = self.new_device()
        for qos in (0, 1, 2):
            with self.subTest(qos=qos):
                sent = int(time.time() * 1000)
                reply = ask(device, {"id": "1", "deviceSendTime": sent}, qos=qos)
                self.assertEqual((reply["id"], reply["code"]), ("1", 200))
                data = reply["data"]
                self.assertEqual(data["deviceSendTime"], sent)
                self.assertLessEqual(sent, data["serverRecvTime"])
                self.assertLessEqual(data["serverRecvTime"], data["serverSendTime"])
                self.assertLessEqual(data["serverSendTime"], int(time.time() * 1000))

    def test_in_texts_to_who_asks_in_texts(self):
        made, device = self.new_device()
        data = ask(device, {"deviceSendTime": "1571724098000"})["data"]
        self.assertEqual(data["deviceSendTime"], "1571724098000")
        self.assertLess(abs(int(data["serverRecvTime"]) - time.time() * 1000), 60_000)
        self.assertEqual(ask(device, {"id": 2, "params": {"deviceSendTime": 1}})["data"]["deviceSendTime"], 1)

    def test_without_a_subscription(self):
        made = self.api.post("~/devices", {"productKey": self.node.demo["productKey"]})
        device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"])
        self.addCleanup(device.close)
        device.connect(subscribe=False)
        self.assertEqual(ask(device, {"deviceSendTime": 1})["code"], 200)

    def test_what_cannot_be_read_is_refused(self):
        made, device = self.new_device()
        for question, code in (({}, 1200), ({"deviceSendTime": "now"}, 1200), ({"deviceSendTime": -1}, 1200), ("[]", 1220), ("{", 1220), ("", 1251)):
            with self.subTest(question):
                reply = ask(device, question)
                self.assertEqual((reply["code"], reply["data"]), (code, {}))
        self.assertEqual(ask(device, {"id": "9", "deviceSendTime": 1})["code"], 200, "the connection is as good as before")

    def test_nobody_asks_for_another(self):
        made, device = self.new_device()
        device.publish(f"/ext/ntp/{device.pk}/another/request", {"id": "1", "deviceSendTime": 1})
        self.assertEqual(json.loads(device.messages.get(timeout=DEADLINE).payload)["code"], 1009)

    def test_no_entity_is_asked(self):
        made, device = self.new_device()
        path = f"~/devices/{made['assetId']}"
        before = self.api.request("GET", path).headers["ETag"]
        ask(device, {"deviceSendTime": 1})
        self.assertEqual(self.api.request("GET", path).headers["ETag"], before)
        self.assertGreaterEqual(self.node.metrics()['orrery_mqtt_messages_total{kind="clock",result="ok"}'], 1)


class ClockOfSubDevices(GatewayTest):
    def test_a_gateway_asks_for_its_sub_device(self):
        [sub] = self.in_and_bound("clock")
        self.assertEqual(ask(self.gateway, {"deviceSendTime": 5}, sub["productKey"], "clock")["data"]["deviceSendTime"], 5)


if __name__ == "__main__":
    unittest.main()
