"""A sweep of configurations whose node is killed: whoever takes its shards compares them, and all devices get it."""
import unittest

import requests

from cluster_kit import ClusterTest
from orrery import wait_for

DEVICES = 400


class Configurations(ClusterTest):
    settings = ("configurations.devices_per_second=20",)

    def test_go_on_without_a_node(self):
        api = self.node(1).api()
        product = self.node(1).demo["productKey"]
        self.wait_whole()
        made = []
        for first in range(0, DEVICES, 100):
            done = api.post("~/devices:batch", {"items": [{"productKey": product, "deviceKey": f"k{first + n:04}", "tags": {"fleet": "k"}} for n in range(100)]})
            made += [r["id"] for r in done["results"]]
        old = api.post("~/configurations", {"name": "old", "target": "tags.fleet = 'nobody'", "desired": {"old": 1}})
        c = api.post("~/configurations", {"name": "new", "target": "tags.fleet = 'k'", "desired": {"rate": 1}})
        path = f"~/configurations/{c['id']}/report"
        wait_for(lambda: api.get(path)["applied"] > 0, "it has begun")
        api.request("DELETE", f"~/configurations/{old['id']}")
        self.kill(3)

        def all_have_it():
            try:
                reply = requests.get(api.base + path.replace("~", "/orgs/-"), headers=dict(api.session.headers), timeout=30)
            except requests.RequestException:
                return False
            return reply.status_code == 200 and reply.json()["applied"] == DEVICES
        wait_for(all_have_it, "all devices have it", 120)
        for id in made[::37]:
            self.assertEqual(api.get(f"~/devices/{id}/twin")["desired"], {"rate": 1})


if __name__ == "__main__":
    unittest.main()
