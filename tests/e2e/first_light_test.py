"""A device's telemetry in by MQTT, durable, out by REST and WebSocket."""
import json
import subprocess
import time
import unittest

from orrery import DEADLINE, Node, NodeTest, sign, wait_for


class FirstLight(NodeTest):
    def test_a_post_is_acknowledged_stored_and_streamed(self):
        stream = self.api.stream({"kind": "points", "filter": {"products": [self.node.demo["productKey"]], "points": ["power"]}})
        device = self.device(0)
        at = int(time.time() * 1000)
        reply = device.post({"power": 4.25, "temp": 31.5}, at)
        self.assertEqual(reply["code"], 200)
        [item] = stream.items(1)
        self.assertEqual((item["dk"], item["t"], item["v"]), ("inv-01", at, {"power": {"value": 4.25}}))
        stream.close()
        asset = self.node.demo["devices"][0]["assetId"]
        latest = {p["point"]: p for p in self.api.get(f"~/devices/{asset}/points/latest?timeFormat=ms")["items"]}
        self.assertEqual((latest["power"]["value"], latest["power"]["time"]), (4.25, at))
        history = self.api.get(f"~/products/demo-inverter/devices/inv-01/points/power/history?from={at}&to={at}&timeFormat=ms")
        self.assertEqual(history["items"], [{"time": at, "value": 4.25}])

    def test_mosquitto_pub_publishes_over_plain_and_tls(self):
        device = self.node.demo["devices"][1]
        pk, dk = self.node.demo["productKey"], device["deviceKey"]
        for port, more in (("mqtt", []), ("mqtts", ["--cafile", self.node.ca])):
            digest = sign(dk, dk, pk, "1700000000000", device["deviceSecret"])
            value = 7.0 if port == "mqtt" else 8.0
            done = subprocess.run(
                ["mosquitto_pub", "-h", "localhost", "-p", str(self.node.ports[port]), "-q", "1", "-i",
                 f"{dk}|securemode=2,signmethod=sha256,timestamp=1700000000000|", "-u", f"{dk}&{pk}", "-P", digest,
                 "-t", f"/sys/{pk}/{dk}/thing/measurepoint/post",
                 "-m", json.dumps({"id": "1", "version": "1.0", "method": "thing.measurepoint.post",
                                   "params": {"measurepoints": {"power": value}}})] + more,
                capture_output=True, text=True, timeout=DEADLINE)
            self.assertEqual(done.returncode, 0, done.stderr)
            [point] = self.api.get(f"~/products/{pk}/devices/{dk}/points/latest?ids=power")["items"]
            self.assertEqual(point["value"], value)

    def test_everything_is_there_after_a_restart(self):
        with Node() as node:
            device = node.device(0).connect()
            at = int(time.time() * 1000) - 10_000
            for i in range(100):
                self.assertEqual(device.post({"power": float(i)}, at + i)["code"], 200)
            device.close()
            wait_for(lambda: node.api().get("~/products/demo-inverter/devices/inv-01/status")["status"] == "offline", "offline")
            self.assertEqual(node.stop(), 0)
            node.start()
            history = node.api().get(f"~/products/demo-inverter/devices/inv-01/points/power/history?from={at}&timeFormat=ms")
            self.assertEqual([(p["time"], p["value"]) for p in history["items"]], [(at + i, float(i)) for i in range(100)])


if __name__ == "__main__":
    unittest.main()
