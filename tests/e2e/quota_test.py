"""Limits of devices: the hard one holds whoever registers and however many at once, the soft one is told."""
import concurrent.futures
import unittest

from api_kit import refused
from orrery import DEADLINE, NodeTest, wait_for

PASSWORD = "long enough for all"


class Quotas(NodeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.admin = cls.node.api(cls.api.post("/auth/login", {"user": "admin", "password": (cls.node.data / "admin-password").read_text().strip()})["access"])

    def setUp(self):
        """An organisation of its own, with a product."""
        self.org = f"q-{self._testMethodName.replace('_', '-')}"[:60]
        self.admin.post("/orgs", {"id": self.org, "name": "Quotas", "admin": {"login": "ada", "password": PASSWORD}})
        self.ada = self.node.api(self.api.post("/auth/login", {"user": "ada", "password": PASSWORD, "organisation": self.org})["access"])
        self.ada.post("~/models", {"format": "tm/1", "id": "Thing", "name": "Thing", "measurePoints": [{"id": "p", "type": {"t": "int"}}]})
        self.ada.post("~/models/Thing:publish", {})
        self.product = self.ada.post("~/products", {"name": "Thing", "modelId": "Thing"})["productKey"]

    def limit(self, **limits):
        self.admin.request("PUT", f"/orgs/{self.org}/quotas", json={"items": [dict({"item": "devices"}, **limits)]})

    def register(self, key):
        return self.ada.session.post(f"{self.ada.base}{self.ada.org}/devices", json={"productKey": self.product, "deviceKey": key}, timeout=DEADLINE)

    def used(self):
        return {q["item"]: q["used"] for q in self.ada.get("~/quotas")["items"]}["devices"]

    def test_the_hard_limit(self):
        self.assertEqual(self.register("before").status_code, 201)
        self.limit(hard=3)
        self.assertEqual({q["item"]: q.get("hard") for q in self.ada.get("~/quotas")["items"]}["devices"], 3)
        self.assertEqual([self.register(f"d{n}").status_code for n in range(2)], [201, 201])
        refused(self, self.ada, "POST", "~/devices", 429, "quota_exceeded", json={"productKey": self.product, "deviceKey": "more"})
        self.assertEqual(self.register("more").json()["detail"], "the organisation may have 3 devices, and has 3")
        self.assertEqual(self.used(), 3)
        self.ada.request("DELETE", f"~/products/{self.product}/devices/d0")
        self.assertEqual(self.register("again").status_code, 201, "what is gone frees its room")
        self.assertEqual(self.register("more").status_code, 429)
        self.limit(hard=4)
        self.assertEqual(self.register("more").status_code, 201, "a limit that was raised counts at once")
        self.assertEqual(self.register("yet-more").status_code, 429)
        self.admin.request("PUT", f"/orgs/{self.org}/quotas", json={"items": []})
        self.assertEqual(self.register("unlimited").status_code, 201)
        self.limit(hard=5)
        self.assertEqual(self.register("beyond").status_code, 429, "what came without limits is counted")

    def test_what_was_not_registered_takes_no_room(self):
        self.limit(hard=2)
        self.assertEqual(self.register("one").status_code, 201)
        for _ in range(5):
            self.assertEqual(self.register("one").status_code, 409)
        self.assertEqual(self.register("bad key!").status_code // 100, 4)
        self.assertEqual(self.register("two").status_code, 201)
        self.assertEqual(self.register("three").status_code, 429)

    def test_a_batch_gets_what_room_there_is(self):
        self.limit(hard=10)
        self.register("d0")
        items = [{"productKey": self.product, "deviceKey": f"d{n}"} for n in range(15)]  # the first is there already
        done = self.ada.post("~/devices:batch", {"items": items})
        statuses = [r["status"] for r in done["results"]]
        self.assertEqual(statuses[0], 409)
        self.assertEqual((statuses.count(201), statuses.count(429)), (8, 6))
        self.assertEqual(done["results"][-1]["error"]["code"], "quota_exceeded")
        self.assertEqual(self.used(), 9)
        done = self.ada.post("~/devices:batch", {"items": items[9:12]})
        self.assertEqual([r["status"] for r in done["results"]], [201, 429, 429], "what the first had kept back is free again")

    def test_many_at_once(self):
        self.limit(hard=20)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(lambda n: self.register(f"d{n}").status_code, range(60)))
        self.assertEqual((statuses.count(201), statuses.count(429)), (20, 40))
        self.assertEqual(self.used(), 20)

    def test_the_soft_limit_is_told(self):
        before = self.node.metrics()['orrery_api_quotas_reached_total{limit="soft"}']
        self.limit(soft=1, hard=5)
        self.assertNotIn("X-Quota-Warning", self.register("d0").headers)
        for n in (2, 3):
            self.assertEqual(self.register(f"d{n}").headers["X-Quota-Warning"], f"devices; used={n}; soft=1; hard=5")
        self.assertEqual(self.node.metrics()['orrery_api_quotas_reached_total{limit="soft"}'] - before, 1)
        self.assertIn('"item":"devices"', self.node.log_text().replace(" ", ""))
        done = self.ada.request("POST", "~/devices:batch", json={"items": [{"productKey": self.product}]})
        self.assertEqual(done.headers["X-Quota-Warning"], "devices; used=4; soft=1; hard=5")


if __name__ == "__main__":
    unittest.main()
