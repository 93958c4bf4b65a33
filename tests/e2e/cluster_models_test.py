"""Thing models in a cluster: whatever node is asked, a family is published together and followed on all of them."""
import json
import unittest

from cluster_kit import ClusterTest
from orrery import wait_for


def points(*ids):
    return [{"id": i, "type": {"t": "int"}} for i in ids]


class Models(ClusterTest):
    def test_a_family_is_followed_on_every_node(self):
        apis = {n: self.node(n).api() for n in (1, 2, 3)}
        for n, api in apis.items():
            parent, child = f"Parent{n}", f"Child{n}"
            family = [{"format": "tm/1", "id": child, "extends": parent}, {"format": "tm/1", "id": parent, "measurePoints": points("a")}]
            done = api.request("POST", "~/models:import?publish=true", data=json.dumps(family), headers={"Content-Type": "application/json"}).json()
            self.assertEqual([r["status"] for r in done["results"]], ["published"] * 2, done)
            product = api.post("~/products", {"name": f"Of {child}", "modelId": child})["productKey"]
            device = api.post("~/devices", {"productKey": product})["assetId"]
            api.request("PATCH", f"~/models/{parent}/draft", json={"measurePoints": points("a", "b")}, headers={"If-Match": "*"})
            api.post(f"~/models/{parent}:publish")
            for other, there in apis.items():
                wait_for(lambda: len(there.get(f"~/models/{child}?effective=true")["document"]["measurePoints"]) == 2, f"{child} on node {other}")
            for there in apis.values():
                there.post(f"~/devices/{device}/points", {"items": [{"points": {"b": n}}]})


if __name__ == "__main__":
    unittest.main()
