"""Payloads that a client packs, both ways, for its whole connection."""
import gzip
import json
import struct
import unittest

from orrery import DEADLINE, Device, NodeTest


def pack_lzo(plain):
    """One block of literals (LZO1X), as the server sends them too."""
    n, out = len(plain), b""
    if n <= 238:
        out = bytes([17 + n]) + plain
    else:
        rest = n - 18
        out = b"\0" + b"\0" * ((rest - 1) // 255) + bytes([rest - (rest - 1) // 255 * 255]) + plain
    out += b"\x11\0\0"
    return struct.pack(">II", n, len(out)) + out


def unpack_lzo(packed):
    plain = b""
    while packed:
        n, size = struct.unpack(">II", packed[:8])
        block, packed = packed[8:8 + size], packed[8 + size:]
        assert block.endswith(b"\x11\0\0")
        plain += block[-3 - n:-3]
    return plain


class Packed(NodeTest):
    def client(self, form):
        demo = self.node.demo["devices"][0]
        key = demo["deviceKey"]
        device = Device(self.node, self.node.demo["productKey"], key, demo["deviceSecret"],
                        id=f"{key}{{ip=192.0.2.15,version=enos-mqtt-2.4.0,compress={form}}}")
        self.addCleanup(device.close)
        return device.connect()

    def exchange(self, device, payload):
        topic = f"/sys/{device.pk}/{device.dk}/thing/measurepoint/post"
        device.publish(topic, payload)
        reply = device.messages.get(timeout=DEADLINE)
        self.assertEqual(reply.topic, topic + "_reply")
        return reply.payload

    def check(self, form, pack, unpack):
        device = self.client(form)
        post = json.dumps({"id": "1", "params": {"measurepoints": {"power": 17.5}}}).encode()
        self.assertEqual(json.loads(unpack(self.exchange(device, pack(post))))["code"], 200)
        latest = self.api.get(f"~/products/{device.pk}/devices/{device.dk}/points/latest", params={"ids": "power"})["items"]
        self.assertEqual(latest[0]["value"], 17.5)
        self.assertEqual(json.loads(unpack(self.exchange(device, post)))["code"], 1220, "it is not packed")
        self.assertEqual(json.loads(unpack(self.exchange(device, b"")))["code"], 1251)
        device.on_command = lambda m: device.client.publish(
            m.topic + "_reply", pack(json.dumps({"id": json.loads(unpack(m.payload))["id"], "code": 200, "data": {"power": 1}}).encode()))
        asset = self.node.demo["devices"][0]["assetId"]
        self.assertEqual(self.api.post(f"~/devices/{asset}/points:read", {"points": ["power"]})["output"], {"power": 1})

    def test_gzip(self):
        self.check("GZIP", gzip.compress, gzip.decompress)

    def test_lzo(self):
        self.check("LZO", pack_lzo, unpack_lzo)

    def test_a_bomb_is_refused(self):
        reply = json.loads(gzip.decompress(self.exchange(self.client("GZIP"), gzip.compress(b"[" * 100_000_000))))
        self.assertEqual((reply["code"], reply["id"]), (1008, ""))


if __name__ == "__main__":
    unittest.main()
