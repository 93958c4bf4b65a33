"""An import whose node is killed: another node has its input and its result, and goes on."""
import json
import unittest

import requests

from cluster_kit import ClusterTest
from orrery import wait_for

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
ROWS = 3000


def shard_of(id):
    """The shard that an id begins with."""
    number = 0
    for digit in id[:3]:
        number = number * 32 + DIGITS.index(digit)
    return number


class Import(ClusterTest):
    def test_goes_on_at_another_node(self):
        api = self.node(1).api()
        product = self.node(1).demo["productKey"]
        self.wait_whole()
        body = "deviceKey,name\n" + "".join(f"c{n:04},Device {n}\n" for n in range(ROWS))
        made = api.request("POST", "~/devices:import", data=body, headers={"Content-Type": "text/csv"},
                           params={"product": product, "rate": "300", "secrets": "true"}).json()
        path = f"~/operations/{made['id']}"
        wait_for(lambda: api.get(path)["counts"]["done"] > 0, "it has begun")
        leader = self.records()[str(shard_of(made["id"]))]["primary"]
        killed = next(n for n in (1, 2, 3) if self.number_of(n) == leader)
        self.kill(killed)
        other = self.node(killed % 3 + 1).api()

        def over():
            try:
                reply = requests.get(other.base + path.replace("~", "/orgs/-"), headers=dict(other.session.headers), timeout=30)
            except requests.RequestException:
                return None
            return reply.json() if reply.status_code == 200 and "endedAt" in reply.json() else None
        done = wait_for(over, "the import has ended", 120)
        self.assertEqual((done["state"], done["counts"]["ok"], done["counts"]["failed"]), ("succeeded", ROWS, 0), done)
        result = other.request("GET", f"{path}/result", params={"secrets": "true"})
        got = [json.loads(line) for line in result.text.splitlines()]
        self.assertEqual([(r["index"], r["deviceKey"], r["status"]) for r in got], [(n, f"c{n:04}", "created") for n in range(ROWS)])
        self.assertEqual(len({r["deviceSecret"] for r in got}), ROWS)
        self.assertEqual(other.post("~/devices:count", {"filter": "deviceKey like 'c%' and name like 'Device %'"})["total"], ROWS)


if __name__ == "__main__":
    unittest.main()
