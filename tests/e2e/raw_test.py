"""Devices that speak in bytes of their own, through their product's script."""
import struct
import unittest

from orrery import DEADLINE, Device, NodeTest, sign

SCRIPT = """
function raw_to_json(bytes)
  local kind, number = string.unpack(">B I4", bytes)
  local rest = bytes:sub(6)
  if kind == 1 then
    return {id = tostring(number), method = "thing.measurepoint.post",
            params = {measurepoints = {power = string.unpack(">i4", rest) / 100}}}
  elseif kind == 2 then
    return {id = tostring(number), code = 200, data = {power = string.unpack(">i4", rest) / 100}}
  elseif kind == 3 then
    return {code = 200, data = {power = 1}}
  elseif kind == 4 then
    return {id = tostring(number), method = "integration.measurepoint.post",
            params = {{deviceKey = rest, measurepoints = {power = number}}}}
  elseif kind == 5 then
    return {id = tostring(number), method = "thing.model.up_raw", params = {}}
  end
  error("unknown kind " .. kind)
end

function json_to_raw(message)
  if message.method == "thing.service.measurepoint.set" then error("that cannot be said") end
  if message.code then return string.pack(">B I4 I2", 0x82, tonumber(message.id) or 0, message.code) .. message.method end
  return string.pack(">B s2", 0x83, message.id) .. message.method
end
"""


class Raw(NodeTest):
    def setUp(self):
        model = self.api.get(f"~/products/{self.node.demo['productKey']}")["modelId"]
        self.product = self.api.post("~/products", {"name": f"of {self.id()}", "modelId": model, "dataFormat": "raw"})
        self.pk = self.product["productKey"]
        self.made = self.api.post("~/devices", {"productKey": self.pk, "deviceKey": "d"})

    def put(self, script=SCRIPT):
        self.api.request("PUT", f"~/products/{self.pk}/decoder", json={"script": script}, headers={"If-Match": "*"})

    def connect(self):
        device = Device(self.node, self.pk, "d", self.made["deviceSecret"])
        self.addCleanup(device.close)
        return device.connect()

    def up(self, device, payload, topic="thing/model/up_raw"):
        device.publish(f"/sys/{self.pk}/d/{topic}", payload)
        reply = device.messages.get(timeout=DEADLINE)
        self.assertEqual(reply.topic, f"/sys/{self.pk}/d/{topic}_reply")
        return reply.payload

    def latest(self, key="d"):
        items = self.api.get(f"~/products/{self.pk}/devices/{key}/points/latest")["items"]
        return {i["point"]: i["value"] for i in items}.get("power")

    def test_bytes_become_a_request_and_its_reply_bytes(self):
        self.put()
        device = self.connect()
        post = b"thing.measurepoint.post"
        self.assertEqual(self.up(device, struct.pack(">BIi", 1, 20, 9717)), struct.pack(">BIH", 0x82, 20, 200) + post)
        self.assertEqual(self.latest(), 97.17)
        # In the order of the requests, also where one is refused at once.
        topic = f"/sys/{self.pk}/d/thing/model/up_raw"
        sent = [struct.pack(">BIi", 1, n, n * 100) if n % 3 else struct.pack(">BI", 5, n) for n in range(1, 10)]
        for payload in sent:
            device.client.publish(topic, payload, 1)
        for n in range(1, 10):
            reply = device.messages.get(timeout=DEADLINE).payload
            kind, number, code = struct.unpack(">BIH", reply[:7])
            self.assertEqual((number, code == 200), (n if n % 3 else 0, bool(n % 3)), reply)
        # Its other topics are in JSON.
        self.assertEqual(device.post({"power": 5})["code"], 200)

    def test_without_a_script_or_with_one_that_fails_the_reply_is_empty(self):
        device = self.connect()
        self.assertEqual(self.up(device, b"\1"), b"")
        self.put()
        self.assertEqual(self.up(device, b"\xff\0\0\0\0"), b"")
        self.assertEqual(self.up(device, b""), b"")
        self.put("function raw_to_json(b) while true do end end function json_to_raw(m) return '' end")
        self.assertEqual(self.up(device, b"x"), b"")
        self.assertIsNone(self.latest())
        self.assertTrue(self.node.metrics().get('orrery_mqtt_messages_total{kind="raw_up",result="script_limit"}'))

    def test_commands_go_and_come_back_in_bytes(self):
        self.put()
        device = self.connect()

        def serve(answer):
            def on_command(m):
                self.assertEqual(m.topic, f"/sys/{self.pk}/d/thing/model/down_raw")
                kind, size = struct.unpack(">BH", m.payload[:3])
                identity, method = m.payload[3:3 + size], m.payload[3 + size:]
                self.assertEqual((kind, method), (0x83, b"thing.service.measurepoint.get"))
                device.client.publish(m.topic + "_reply", answer(int(identity)), 1)
            device.on_command = on_command

        def read(expect=200):
            return self.api.post(f"~/devices/{self.made['assetId']}/points:read", {"points": ["power"]})

        # The id of a command has more than four bytes: this script cannot give it back, so that under way counts.
        serve(lambda identity: struct.pack(">BI", 3, 0))
        done = read()
        self.assertEqual((done["state"], done["output"]), ("succeeded", {"power": 1}))
        serve(lambda identity: b"")
        done = read()
        self.assertEqual((done["state"], done["code"]), ("failed", 500))
        serve(lambda identity: b"\xff\0\0\0\0")
        self.assertEqual(read()["state"], "failed")

    def test_a_channel_speaks_in_bytes_too(self):
        self.put()
        channel = Device(self.node, self.pk, "%channel%", self.product["productSecret"], mode=4, id=self.pk)
        self.addCleanup(channel.close)
        channel.connect(subscribe=False)
        channel.publish(f"/sys/{self.pk}/integration/model/up_raw", struct.pack(">BI", 4, 33) + b"d")
        reply = channel.messages.get(timeout=DEADLINE)
        self.assertEqual(reply.payload, struct.pack(">BIH", 0x82, 33, 200) + b"integration.measurepoint.post")
        self.assertEqual(self.latest(), 33)

    def test_behind_a_gateway(self):
        self.put()
        hub = self.api.post("~/products", {"name": f"hub of {self.id()}", "modelId": self.product["modelId"], "nodeType": "gateway"})
        made = self.api.post("~/devices", {"productKey": hub["productKey"], "deviceKey": "h"})
        self.api.post(f"~/devices/{made['assetId']}/subDevices:bind", {"devices": [{"productKey": self.pk, "deviceKey": "d"}]})
        gateway = Device(self.node, hub["productKey"], "h", made["deviceSecret"])
        self.addCleanup(gateway.close)
        gateway.connect()
        self.assertEqual(gateway.request("combine/login", "combine.login", {
            "productKey": self.pk, "deviceKey": "d", "clientId": "c", "timestamp": "1", "signMethod": "sha256",
            "sign": sign("c", "d", self.pk, "1", self.made["deviceSecret"])}, tree="ext/session")["code"], 200)
        self.assertEqual(self.up(gateway, struct.pack(">BIi", 1, 7, 300)), struct.pack(">BIH", 0x82, 7, 200) + b"thing.measurepoint.post")
        self.assertEqual(self.latest(), 3)


if __name__ == "__main__":
    unittest.main()
