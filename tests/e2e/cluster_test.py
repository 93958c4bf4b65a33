"""Three nodes serve as one: any node serves any device, and a node that is lost loses nothing."""
import json
import threading
import time
import unittest

from api_kit import next_of, serve
from cluster_kit import ClusterTest
from fleet import history
from orrery import DEADLINE, wait_for


def latest(api, asset, point="power"):
    return next((p["value"] for p in api.get(f"~/devices/{asset}/points/latest")["items"] if p["point"] == point), None)


class Cluster(ClusterTest):
    def test_any_node_serves_any_device(self):
        self.wait_whole()  # every node is linked with every other: a feed tells nobody what it wants before that
        nodes = [self.node(n) for n in (1, 2, 3)]
        demo = nodes[0].demo["devices"]
        stream = nodes[2].api().stream({"kind": "points", "filter": {}})
        self.addCleanup(stream.close)
        devices = [self.connected(nodes[i % 3], i) for i in range(5)]
        for i, device in enumerate(devices):
            self.assertEqual(device.post({"power": float(10 + i)})["code"], 200)
        for node in nodes:
            api = node.api()
            self.assertEqual(len(api.get("~/devices")["items"]), 5)
            for i, one in enumerate(demo):
                self.assertEqual(latest(api, one["assetId"]), 10 + i)
                self.assertEqual(api.get(f"~/devices/{one['assetId']}")["status"], "online")
        got = stream.items(5)
        self.assertEqual({item["dk"] for item in got}, {one["deviceKey"] for one in demo})

    def test_commands_reach_the_device_wherever_it_is(self):
        device = self.node(3).device(1)
        self.addCleanup(device.close)
        asked = serve(device, lambda name, params: (200, {"accepted": True}))
        device.connect()
        asset = self.node(1).demo["devices"][1]["assetId"]
        for n in (1, 2, 3):
            done = self.node(n).api().post(f"~/devices/{asset}/services/reboot:invoke", {"input": {"delay": n}})
            self.assertEqual((done["state"], done["output"]), ("succeeded", {"accepted": True}), done)
            self.assertEqual(next_of(asked), ("reboot", {"delay": n}))

    def test_free_bytes_and_configurations_reach_it_too(self):
        device = self.connected(self.node(2), 2)
        device.on_bytes = bytes.upper
        path = f"~/devices/{self.node(1).demo['devices'][2]['assetId']}"
        for n in (1, 2, 3):
            api = self.node(n).api()
            self.assertEqual(api.post(path + ":rrpc", {"payload": f"from node {n}"})["payload"], f"FROM NODE {n}")
            api.request("PATCH", path + "/twin/desired", json={"n": n}, headers={"If-Match": f'"{n - 1}"'})
            pushed = json.loads(device.messages.get(timeout=DEADLINE).payload)
            self.assertEqual(pushed["params"], {"desiredVersion": n, "desired": {"n": n}, "delta": {"n": n}})
        reply = device.request("thing/config/report", "thing.config.report", {"reported": {"n": 3}})
        self.assertEqual(reply["data"]["delta"], {})
        for n in (1, 2, 3):
            self.assertTrue(self.node(n).api().get(path + "/twin")["inSync"])


class Loss(ClusterTest):
    """A device posts to one node, without pause, while another one goes."""

    def begin(self, node, index):
        device = self.connected(node, index)
        poster = Poster(device, node.demo["devices"][index]["assetId"])
        self.addCleanup(poster.end)
        poster.start()
        wait_for(lambda: len(poster.acknowledged) > 20, "the first posts are acknowledged")
        return poster

    def hold(self, posters, api):
        """Everything that was acknowledged is there, once and in order."""
        for poster in posters:
            poster.end()
            self.assertIsNone(poster.failed, poster.failed)
            values = [value for _, value in history(api, poster.asset, since=BEGIN)]
            kept = set(values)
            self.assertEqual([v for v in poster.acknowledged if v not in kept], [], "lost")
            self.assertEqual(sorted(kept), values, "once, and in order")

    def test_a_killed_node_loses_nothing_and_cuts_no_socket_elsewhere(self):
        posters = [self.begin(self.node(1), i) for i in range(5)]
        counts = [len(p.acknowledged) for p in posters]
        self.kill(2)
        killed = time.monotonic()
        wait_for(lambda: all(len(p.acknowledged) > c + 400 for p, c in zip(posters, counts)), "all devices go on", 30)
        print(f"killed node 2: {max(p.longest for p in posters):.2f} s without an answer")
        self.hold(posters, self.node(1).api())
        self.start(2)
        self.wait_whole()
        # Now the other way round: what node 2 has missed comes from its log and the others.
        self.kill(1)
        self.hold(posters, self.node(2).api())

    def test_a_node_that_ends_hands_over_first(self):
        posters = [self.begin(self.node(1), i) for i in range(5)]
        counts = [len(p.acknowledged) for p in posters]
        self.assertEqual(self.end(3), 0)
        wait_for(lambda: all(len(p.acknowledged) > c + 400 for p, c in zip(posters, counts)), "all devices go on", 30)
        longest = max(p.longest for p in posters)
        print(f"node 3 ended: {longest:.2f} s without an answer")
        self.assertLess(longest, 3, "a planned move waits for no lease")
        self.hold(posters, self.node(2).api())

    def test_all_nodes_at_once(self):
        posters = [self.begin(self.node(n), n) for n in (1, 2, 3)]
        for poster in posters:
            poster.loss_expected = True
        for n in (1, 2, 3):
            self.kill(n)
        for poster in posters:
            poster.end()
        for n in (1, 2, 3):
            self.cluster.start_node(n, wait=False)
        for n in (1, 2, 3):
            self.cluster.wait_ready(n)
        self.hold(posters, self.node(3).api())


class Poster(threading.Thread):
    """Posts one number after the other, each once the one before is acknowledged."""

    def __init__(self, device, asset):
        super().__init__(daemon=True)
        self.device, self.asset = device, asset
        self.acknowledged = []
        self.failed = None
        self.longest = 0.0
        self.over = threading.Event()
        self.loss_expected = False

    def run(self):
        number, last = 0, time.monotonic()
        try:
            while not self.over.is_set():
                number += 1
                info = self.device.client.publish(
                    f"/sys/{self.device.pk}/{self.device.dk}/thing/measurepoint/post",
                    json.dumps({"id": str(number), "version": "1.0", "method": "thing.measurepoint.post",
                                "params": {"measurepoints": {"power": float(number)}, "time": BEGIN + number}}), 1)
                while not info.is_published():
                    info.wait_for_publish(0.2)
                    if not self.device.gone.empty():
                        raise ConnectionError(f"the device's connection ended: {self.device.gone.get()}")
                    if self.over.is_set():
                        return
                now = time.monotonic()
                self.longest, last = max(self.longest, now - last), now
                self.acknowledged.append(float(number))
        except Exception as why:
            if not self.loss_expected:
                self.failed = why

    def end(self):
        self.over.set()
        self.join(DEADLINE)


BEGIN = int(time.time() * 1000)


if __name__ == "__main__":
    unittest.main()
