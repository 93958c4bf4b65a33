"""The limit of devices in a cluster: many nodes register at once, by ones and by batches, and delete, and one of them is killed."""
import random
import threading
import unittest

import requests

from api_kit import all_of
from cluster_kit import ClusterTest
from orrery import wait_for

HARD = 40


class Registrations(threading.Thread):
    def __init__(self, number, api, product):
        super().__init__()
        self.number, self.api, self.product = number, api, product
        self.over, self.random = threading.Event(), random.Random(number)
        self.mine, self.made, self.refused = [], 0, 0

    def call(self, method, path, **options):
        try:
            return self.api.session.request(method, f"{self.api.base}{self.api.org}{path}", timeout=60, **options)
        except requests.RequestException:
            return None

    def run(self):
        while not self.over.is_set():
            if self.mine and self.random.random() < 0.3:
                gone = self.mine.pop()
                self.call("DELETE", f"/devices/{gone}")
            elif self.random.random() < 0.3:
                reply = self.call("POST", "/devices:batch", json={"items": [{"productKey": self.product}] * 7})
                if reply is not None and reply.status_code == 200:
                    self.note([r.get("id") for r in reply.json()["results"] if r["status"] == 201])
                    self.refused += sum(r["status"] == 429 for r in reply.json()["results"])
            else:
                reply = self.call("POST", "/devices", json={"productKey": self.product})
                if reply is not None and reply.status_code == 201:
                    self.note([reply.json()["assetId"]])
                self.refused += reply is not None and reply.status_code == 429

    def note(self, ids):
        self.made += len(ids)
        self.mine += ids


class ClusterQuota(ClusterTest):
    def test_the_limit_holds(self):
        api = self.node(1).api()
        admin = self.node(1).api(api.post("/auth/login", {"user": "admin", "password": self.cluster.password()})["access"])
        product = api.get("~/products")["items"][0]["productKey"]
        admin.request("PUT", "/orgs/-/quotas", json={"items": [{"item": "devices", "hard": HARD}]})
        threads = [Registrations(n, self.node(n).api(), product) for n in (1, 2) for _ in range(2)] + [Registrations(3, self.node(3).api(), product)]
        for t in threads:
            t.start()
        def count():
            return len(all_of(self.node(1).api(), "~/devices", 500))
        try:
            wait_for(lambda: all(t.refused > 20 for t in threads), "all came to the limit", 60)
            for _ in range(5):
                self.assertLessEqual(count(), HARD)
            self.kill(3)
            seen = [t.made for t in threads[:4]]
            wait_for(lambda: all(t.made > n + 5 for t, n in zip(threads[:4], seen)), "it goes on", 90)
            for _ in range(5):
                self.assertLessEqual(count(), HARD)
        finally:
            for t in threads:
                t.over.set()
            for t in threads:
                t.join()
        self.assertLessEqual(count(), HARD)
        self.assertGreater(sum(t.made for t in threads), HARD)


if __name__ == "__main__":
    unittest.main()
