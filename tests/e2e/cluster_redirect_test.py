"""Devices of a node that is emptied are sent to another one: MQTT 5.0 is told where, nothing acknowledged is lost."""
import queue
import threading
import time
import types
import unittest

import mqtt_wire
from cluster_kit import ClusterTest
from mqtt_five_test import Five
from mqtt_wire import CONNACK
from orrery import DEADLINE, wait_for

USE_ANOTHER, MOVED = 0x9c, 0x9d


class Redirection(ClusterTest):
    settings = ("drain.sessions_per_second=2",)

    def setUp(self):
        super().setUp()
        self.wait_whole()
        self.told = f"{self.cluster.host(2)}:{self.node(2).ports['mqtt']}"
        # Only one of the others says where it is.
        self.assertEqual(self.end(2), 0)
        self.cluster.start_node(2, extra=(f"listeners.public_address={self.told}",))
        wait_for(self.node(2).is_ready, "node 2 is back")
        self.wait_whole()
        tokens = self.node(3).api(token="none").post("/auth/login", {"user": "admin", "password": self.cluster.password()})
        self.operator = self.node(3).api(tokens["access"])

    def who(self, index):
        of = self.node(1).demo["devices"][index]
        return mqtt_wire.Who(self.node(1).demo["productKey"], of["deviceKey"], of["deviceSecret"])

    def five(self, node, index):
        device = Five(self.node(node), self.who(index)).connect(clean=False, SessionExpiryInterval=600)
        self.addCleanup(device.close)
        return device

    def order(self, what):
        return self.operator.post(f"/cluster/nodes/node-1:{what}")

    def sessions(self, node):
        return self.node(node).metrics()["orrery_sessions"]

    def logins(self, node):
        """What CONNECT is answered there, by version: the code, and the server reference."""
        old = mqtt_wire.Wire(self.node(node))
        self.addCleanup(old.close)
        answer = old.send(self.who(4).login()).packet()
        new = Five(self.node(node), self.who(4))
        self.addCleanup(new.client.loop_stop)
        new.connect()
        new.client.disconnect()
        self.assertEqual(answer.kind, CONNACK)
        return answer.body[1], (new.code.value, getattr(new.told, "ServerReference", None))

    def test_devices_go_where_they_are_told(self):
        self.assertEqual(self.operator.get("/cluster")["nodes"][1]["addresses"]["devices"], self.told)
        device, old = self.five(1, 0), self.connected(self.node(1), 1)
        device.client.subscribe(device.who.home + "#", 1)
        self.assertEqual(device.granted.get(timeout=DEADLINE), [1])
        acknowledged, stopping = [], threading.Event()

        def post():
            value = 0
            while not stopping.is_set():
                value += 1
                try:
                    device.post({"power": float(value)}, id=str(value))
                except (queue.Empty, RuntimeError, ValueError):  # paho: not connected
                    return
                acknowledged.append(value)
        thread = threading.Thread(target=post)
        thread.start()
        wait_for(lambda: len(acknowledged) > 20, "the device posts")
        self.order("drain")
        code, with_ = device.gone.get(timeout=DEADLINE)
        self.assertEqual((code.value, with_.ServerReference, with_.ReasonString), (USE_ANOTHER, self.told, "use_another_server"))
        old.gone.get(timeout=DEADLINE)  # by paho's own way it tries again there, and is refused
        stopping.set()
        self.assertEqual(self.logins(1), (3, (USE_ANOTHER, self.told)))

        host, port = with_.ServerReference.rsplit(":", 1)
        there = Five(types.SimpleNamespace(host=host, ports={"mqtt": int(port)}), self.who(0)).connect(clean=False, SessionExpiryInterval=600)
        self.addCleanup(there.close)
        self.assertEqual((there.present, there.code.value), (True, 0), "the session goes on")
        there.post({"power": 0.5}, id="last")
        thread.join(2 * DEADLINE)
        again = self.connected(self.node(2), 1)
        self.assertEqual(again.post({"power": 2.0})["code"], 200)
        asset = self.node(1).demo["devices"][0]["assetId"]
        kept = self.history(asset)
        self.assertTrue(set(acknowledged) <= kept, sorted(set(acknowledged) - kept))
        wait_for(lambda: self.sessions(1) == 0, "node 1 has no devices")
        ends = {k: v for k, v in self.node(1).metrics().items() if k.startswith("orrery_mqtt_closed_total") and "another" in k}
        self.assertGreaterEqual(sum(ends.values()), 4)

        self.order("undrain")
        wait_for(lambda: self.logins(1) == (0, (0, None)), "node 1 takes devices again")

    def history(self, asset):
        api, found, more = self.node(3).api(), set(), ""
        while True:
            page = api.get(f"~/devices/{asset}/points/power/history?limit=1000{more}")
            found |= {item["value"] for item in page["items"]}
            if "nextCursor" not in page:
                return found
            more = f"&cursor={page['nextCursor']}"

    def test_a_node_that_is_removed_says_that_it_moved(self):
        devices = [self.five(1, i) for i in range(3)]
        self.order("remove")
        for device in devices:
            code, with_ = device.gone.get(timeout=DEADLINE)
            self.assertEqual((code.value, with_.ServerReference), (MOVED, self.told))
        self.assertEqual(self.logins(1), (3, (MOVED, self.told)))

    def test_devices_leave_one_after_the_other(self):
        wires = [mqtt_wire.Wire(self.node(1)) for _ in range(5)]
        for index, wire in enumerate(wires):
            self.addCleanup(wire.close)
            self.assertEqual(wire.send(self.who(index).login()).packet().body[1], 0)
        began = time.monotonic()
        self.order("drain")
        for wire in wires:
            self.assertEqual(wire.closed(), b"", "3.1.1 has no word for it")
        self.assertGreater(time.monotonic() - began, 1.5, "two a second")


if __name__ == "__main__":
    unittest.main()
