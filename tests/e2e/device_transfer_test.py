"""A device goes over to another organisation: one offers it by a code, the other takes it, and nothing of the one is left with the other."""
import json
import unittest

from api_kit import refused
from orrery import DEADLINE, Device, NodeTest, wait_for

PASSWORD = "long enough"


class Transfer(NodeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        api = cls.api
        cls.admin = cls.log_in("admin", (cls.node.data / "admin-password").read_text().strip(), "default")
        cls.pk = cls.node.demo["productKey"]
        cls.model = api.get(f"~/products/{cls.pk}")["modelId"]
        cls.theirs = cls.organisation("theirs")
        cls.their_pk = cls.product_of(cls.theirs)

    @classmethod
    def log_in(cls, user, password, organisation):
        return cls.node.api(cls.api.post("/auth/login", {"user": user, "password": password, "organisation": organisation})["access"])

    @classmethod
    def organisation(cls, id):
        cls.admin.post("/orgs", {"id": id, "admin": {"login": "boss", "password": PASSWORD}})
        return cls.log_in("boss", PASSWORD, id)

    @classmethod
    def product_of(cls, api):
        """One of an organisation that has a copy of our model."""
        api.post("~/models:import", cls.api.post("~/models:export", {"ids": [cls.model]})[0])
        api.post(f"~/models/{cls.model}:publish", {})
        return api.post("~/products", {"name": "Copied", "modelId": cls.model})["productKey"]

    def setUp(self):
        self.made = self.api.post("~/devices", {"productKey": self.pk, "name": "Roof", "tags": {"site": "north"}})
        self.path = f"~/devices/{self.made['assetId']}"

    def offer(self, to="theirs", **more):
        return self.api.post(self.path + ":moveOrg", {"targetOrg": to, **more})["code"]

    def adopt(self, code, api=None, **more):
        return (api or self.theirs).post("~/devices:adopt", {"code": code, "productKey": self.their_pk, **more})

    def client(self, pk, key, secret):
        device = Device(self.node, pk, key, secret)
        self.addCleanup(device.close)
        return device

    def found(self, api, filter):
        return [d["assetId"] for d in api.post("~/devices/search", {"filter": filter})["items"]]

    def test_all_of_the_device_goes_and_nothing_else(self):
        old = self.client(self.pk, self.made["deviceKey"], self.made["deviceSecret"]).connect()
        self.assertEqual(old.post({"power": 7})["code"], 200)
        group = self.api.post("~/groups", {"name": f"Of {self._testMethodName}", "type": "static"})
        self.api.post(f"~/groups/{group['id']}/members:add", {"ids": [self.made["assetId"]]})
        tree = self.api.post("~/trees", {"name": f"Of {self._testMethodName}", "root": {"asset": {"name": "Root"}}})
        self.api.post(f"~/trees/{tree['id']}/nodes", {"assetId": self.made["assetId"]})
        self.api.post("~/configurations", {"name": f"Of {self._testMethodName}", "target": f"assetId = '{self.made['assetId']}'", "desired": {"ours": 1}})
        wait_for(lambda: self.api.get(self.path + "/twin")["desired"] == {"ours": 1}, "it has the configuration")
        taken = self.adopt(self.offer(), deviceKey="roof-1")
        old.gone.get(timeout=DEADLINE)
        self.assertEqual((taken["assetId"], taken["productKey"], taken["deviceKey"], taken["name"], taken["tags"]),
                         (self.made["assetId"], self.their_pk, "roof-1", "Roof", {"site": "north"}))
        refused(self, self.api, "GET", self.path, 404, "device_unknown")
        self.assertEqual(self.theirs.get(self.path).get("groups", []), [])
        self.assertEqual(self.theirs.get(self.path + "/twin")["desired"], {})
        self.assertEqual([v["value"] for v in self.theirs.get(self.path + "/points/power/history")["items"]], [7])
        for api, has in ((self.api, []), (self.theirs, [self.made["assetId"]])):
            self.assertEqual(self.found(api, f"assetId = '{self.made['assetId']}'"), has)
            self.assertEqual([i for i in self.found(api, "tags.site = 'north'") if i == self.made["assetId"]], has)
        self.assertEqual([n for n in self.api.get(f"~/trees/{tree['id']}/nodes", params={"depth": 6})["items"] if n.get("assetId") == self.made["assetId"]], [])
        self.assertNotEqual(self.client(self.pk, self.made["deviceKey"], self.made["deviceSecret"]).try_connect(), 0)
        self.assertNotEqual(self.client(self.their_pk, "roof-1", self.made["deviceSecret"]).try_connect(), 0)
        device = self.client(self.their_pk, "roof-1", taken["deviceSecret"]).connect()
        self.assertEqual(device.post({"power": 8})["code"], 200)
        self.assertEqual(self.theirs.get(self.path)["status"], "online")
        again = self.api.post("~/devices", {"productKey": self.pk, "deviceKey": self.made["deviceKey"]})
        self.assertNotEqual(again["assetId"], self.made["assetId"], "the key is free")

    def test_a_code_is_good_once(self):
        code = self.offer()
        self.adopt(code)
        refused(self, self.theirs, "POST", "~/devices:adopt", 409, "transfer_void", json={"code": code, "productKey": self.their_pk})
        self.theirs.request("DELETE", self.path)
        refused(self, self.theirs, "POST", "~/devices:adopt", 409, "transfer_void", json={"code": code, "productKey": self.their_pk})

    def test_a_change_of_its_name_makes_it_void(self):
        code = self.offer()
        self.api.post(self.path + ":replace", {"newDeviceKey": "next-" + self.made["deviceKey"]})
        refused(self, self.theirs, "POST", "~/devices:adopt", 409, "transfer_void", json={"code": code, "productKey": self.their_pk})
        self.adopt(self.offer())

    def test_a_code_is_for_one_organisation(self):
        third = self.organisation("third")
        pk = self.their_pk
        for code in (self.offer(), "nonsense", "", "A" * 1024, self.offer()[:-4] + "AAA="):
            refused(self, third, "POST", "~/devices:adopt", 422, "transfer_invalid", json={"code": code, "productKey": pk})
        nobody = self.offer("no-such-organisation")  # whether there is one is not told
        refused(self, self.theirs, "POST", "~/devices:adopt", 422, "transfer_invalid", json={"code": nobody, "productKey": pk})

    def test_it_is_checked(self):
        refused(self, self.api, "POST", self.path + ":moveOrg", 422, "validation_failed", json={})
        refused(self, self.api, "POST", self.path + ":moveOrg", 422, "validation_failed", json={"targetOrg": "theirs", "hours": 0})
        refused(self, self.api, "POST", self.path + ":moveOrg", 409, "state_conflict", json={"targetOrg": "default"})
        refused(self, self.theirs, "POST", self.path + ":moveOrg", 404, "device_unknown", json={"targetOrg": "default"})
        code = self.offer()
        for body, status, problem in (({"code": code}, 422, "validation_failed"), ({"code": code, "productKey": self.pk}, 404, "product_unknown"),
                                      ({"code": code, "productKey": self.their_pk, "deviceKey": "no key"}, 422, "device_key_invalid")):
            refused(self, self.theirs, "POST", "~/devices:adopt", status, problem, json=body)
        self.theirs.post("~/devices", {"productKey": self.their_pk, "deviceKey": self.made["deviceKey"]})
        refused(self, self.theirs, "POST", "~/devices:adopt", 409, "device_key_exists", json={"code": code, "productKey": self.their_pk})
        self.assertEqual(self.api.get(self.path)["deviceKey"], self.made["deviceKey"], "it is where it was")
        self.adopt(code, deviceKey="other-" + self.made["deviceKey"])

    def test_a_model_that_means_something_else_is_refused(self):
        document = {"format": "tm/1", "id": "Another", "name": "Another", "measurePoints": [{"id": "power", "name": "Power", "signal": "AI", "type": {"t": "string"}}]}
        self.theirs.post("~/models", document)
        self.theirs.post("~/models/Another:publish", {})
        pk = self.theirs.post("~/products", {"name": "Another", "modelId": "Another"})["productKey"]
        body = refused(self, self.theirs, "POST", "~/devices:adopt", 409, "model_mismatch", json={"code": self.offer(), "productKey": pk})
        self.assertTrue(body["errors"], body)

    def test_room_is_taken_there_and_given_back_here(self):
        full = self.organisation("full")
        pk = self.product_of(full)
        self.admin.request("PUT", "/orgs/full/quotas", json={"items": [{"item": "devices", "hard": 1}]})
        full.post("~/devices", {"productKey": pk})
        code = self.offer("full")
        refused(self, full, "POST", "~/devices:adopt", 429, "quota_exceeded", json={"code": code, "productKey": pk})
        self.admin.request("PUT", "/orgs/full/quotas", json={"items": [{"item": "devices", "hard": 2}]})
        self.assertEqual(full.post("~/devices:adopt", {"code": code, "productKey": pk})["assetId"], self.made["assetId"])
        used = {q["item"]: q["used"] for q in full.get("/orgs/-/quotas")["items"]}
        self.assertEqual(used["devices"], 2)
        back = full.post(self.path + ":moveOrg", {"targetOrg": "default"})["code"]
        home = self.api.post("~/devices:adopt", {"code": back, "productKey": self.pk})
        self.assertEqual(home["assetId"], self.made["assetId"])
        full.post("~/devices", {"productKey": pk})  # there is room again

    def test_each_stream_tells_what_is_its_own(self):
        self.theirs.post("~/configurations", {"name": "Theirs", "target": f"productKey = '{self.their_pk}'", "desired": {"theirs": 1}})
        group = self.api.post("~/groups", {"name": "Streamed", "type": "static"})
        self.api.post(f"~/groups/{group['id']}/members:add", {"ids": [self.made["assetId"]]})
        told = [api.stream({"kind": "lifecycle", "filter": {"products": [pk]}}) for api, pk in ((self.api, self.pk), (self.theirs, self.their_pk))]
        for stream in told:
            self.addCleanup(stream.close)
        self.adopt(self.offer())
        wait_for(lambda: self.theirs.get(self.path + "/twin")["desired"] == {"theirs": 1}, "it has their configuration")
        self.theirs.request("PATCH", self.path, json={"name": "The last"})
        ours, theirs = (self.until(stream, last) for stream, last in zip(told, ("organisationChanged", "updated")))
        self.assertIn("groupsChanged", ours)
        self.assertEqual(set(ours) & {"twinChanged", "configurationsChanged", "updated"}, set())
        self.assertEqual(theirs[0], "organisationChanged")
        self.assertIn("twinChanged", theirs)
        self.assertNotIn("groupsChanged", theirs)

    def until(self, stream, last):
        names = []
        while last not in names:
            names += [i["event"] for i in stream.items(1)]
        return names

    def test_both_logs_have_it(self):
        self.adopt(self.offer())
        for api in (self.api, self.theirs):
            rows = api.get("~/audit", params={"filter": f"device = '{self.made['assetId']}' and action = 'adoptDevice'"})["items"]
            self.assertEqual(len(rows), 1)
            self.assertNotIn("deviceSecret", json.dumps(rows))
        rows = self.api.get("~/audit", params={"filter": f"device = '{self.made['assetId']}' and action = 'offerDevice'"})["items"]
        self.assertEqual(len(rows), 1)
        self.assertNotIn("code", rows[0].get("after", {}))

    def test_it_is_there_after_a_restart(self):
        taken = self.adopt(self.offer())
        self.node.kill()
        self.node.start()
        type(self).api = self.node.api()  # at other ports
        type(self).theirs = self.log_in("boss", PASSWORD, "theirs")
        type(self).admin = self.log_in("admin", (self.node.data / "admin-password").read_text().strip(), "default")
        self.client(self.their_pk, taken["deviceKey"], taken["deviceSecret"]).connect()
        self.assertEqual(self.theirs.get(self.path)["status"], "online")
        self.assertEqual(self.found(self.api, f"assetId = '{self.made['assetId']}'"), [])


if __name__ == "__main__":
    unittest.main()
