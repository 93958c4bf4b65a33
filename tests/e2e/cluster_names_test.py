"""Devices are given other names in a cluster, over and over, while a node of it is killed: none is lost, none is kept for nobody."""
import threading
import unittest

import requests

from cluster_kit import ClusterTest
from orrery import Device, wait_for

DEVICES = 12


class Renaming(threading.Thread):
    """Gives its devices one key after another, by whichever node answers."""

    def __init__(self, number, apis, product):
        super().__init__()
        self.number, self.apis, self.product = number, apis, product
        self.over, self.done = threading.Event(), 0
        self.asked, self.ids, self.secrets = set(), [], {}

    def call(self, path, body):
        for api in self.apis:
            try:
                reply = api.session.request("POST", f"{api.base}{api.org}{path}", json=body, timeout=60)
            except requests.RequestException:
                continue
            if reply.status_code < 500:
                return reply
        return None

    def run(self):
        for n in range(DEVICES):
            made = self.call("/devices", {"productKey": self.product, "deviceKey": f"t{self.number}-{n}"})
            self.ids.append(made.json()["assetId"])
            self.asked.add(f"t{self.number}-{n}")
        turn = 0
        while not self.over.is_set():
            turn += 1
            for n, id in enumerate(self.ids):
                key = f"t{self.number}-{n}-{turn}"
                self.asked.add(key)
                reply = self.call(f"/devices/{id}:replace", {"newDeviceKey": key})
                self.secrets.pop(id, None)
                if reply is not None and reply.status_code == 200:
                    self.done += 1
                    self.secrets[id] = key, reply.json()["deviceSecret"]


class ClusterNames(ClusterTest):
    def test_names_over_the_end_of_a_node(self):
        self.wait_whole()  # else there may be shards of which node 3 has the only copy
        apis = [self.node(n).api() for n in (1, 2, 3)]
        product = apis[0].get("~/products")["items"][0]["productKey"]
        threads = [Renaming(n, [apis[n % 2], apis[1 - n % 2]] if n else apis[::-1], product) for n in range(3)]
        for t in threads:
            t.start()
        try:
            wait_for(lambda: all(t.done > 2 * DEVICES for t in threads), "names are given", 120)
            self.kill(3)
            seen = [t.done for t in threads]
            wait_for(lambda: all(t.done > n + 2 * DEVICES for t, n in zip(threads, seen)), "it goes on", 180)
        finally:
            for t in threads:
                t.over.set()
            for t in threads:
                t.join()
        api = self.node(1).api()
        ids, asked = [i for t in threads for i in t.ids], set().union(*(t.asked for t in threads))
        names = {i: api.get(f"~/devices/{i}")["deviceKey"] for i in ids}
        self.assertEqual(len(set(names.values())), len(ids))
        for node in (1, 2):
            for i, key in names.items():
                self.assertEqual(self.node(node).api().get(f"~/products/{product}/devices/{key}")["assetId"], i)
        for t in threads:
            for i, (key, secret) in t.secrets.items():
                self.assertEqual(names[i], key, "what was answered counts")
        i, (key, secret) = next(iter(threads[0].secrets.items()))
        device = Device(self.node(2), product, key, secret)
        self.addCleanup(device.close)
        device.connect()
        self.assertEqual(api.get(f"~/devices/{i}")["status"], "online")
        free = sorted(asked - set(names.values()))

        def all_free():
            return api.post("~/devices:check", {"productKey": product, "keys": free[:1000]})["existing"] == []
        wait_for(all_free, "names that nobody has are free", 60)
        for key in free[:20]:
            last = []

            def registered(key=key, last=last):
                reply = api.session.request("POST", f"{api.base}{api.org}/devices", json={"productKey": product, "deviceKey": key}, timeout=60)
                last[:] = [reply.text]
                return reply.status_code == 201
            wait_for(registered, lambda key=key, last=last: f"{key} is free: {last}", 60)


if __name__ == "__main__":
    unittest.main()
