"""Search over devices: filters, orders, pages, counts, and what a write changes in them."""
import unittest

from api_kit import all_of, model_document, refused
from orrery import Device, NodeTest, wait_for


class Search(NodeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api.post("~/models", model_document("Searched", attributes=[
            {"id": name, "name": name, "type": {"t": kind}} for name, kind in (("size", "double"), ("kind", "string"), ("spare", "bool"))]))
        cls.api.post("~/models/Searched:publish", {}, headers={"If-Match": "*"})
        cls.products = [cls.api.post("~/products", {"name": f"Searched {node}", "modelId": "Searched", "nodeType": node})["productKey"]
                        for node in ("device", "gateway")]
        cls.made = cls.api.post("~/devices:batch", {"items": [
            {"productKey": cls.products[0], "deviceKey": f"dev-{n:02}", "name": f"Pump {n:02}", "tags": {"site": f"S{n % 3}", "group": "mine"},
             "attributes": {"size": n / 2, "kind": "large" if n > 15 else "small"}} for n in range(20)] + [
            {"productKey": cls.products[1], "deviceKey": "gate", "name": "Gate", "tags": {"group": "mine"}, "attributes": {"spare": True}}]})
        assert cls.made["failed"] == 0, cls.made

    def found(self, text, **more):
        body = dict({"filter": f"tags.group = 'mine' and ({text})" if text else "tags.group = 'mine'", "limit": 7}, **more)
        keys = []
        while True:
            page = self.api.post("~/devices/search", body)
            keys += [d["deviceKey"] for d in page["items"]]
            if "nextCursor" not in page:
                return keys
            body["cursor"] = page["nextCursor"]

    def numbers(self, text, **more):
        return [int(key[4:]) for key in self.found(text, **more)]

    def test_filters(self):
        for text, expected in (
                ("tags.site = 'S1'", range(1, 20, 3)), ("tags.site in ('S0', 'S1') and attributes.size >= 8", (16, 18, 19)),
                ("attributes.kind = 'large' and not (deviceKey = 'dev-16')", (17, 18, 19)), ("name like 'PUMP 0%'", range(10)),
                ("deviceKey > 'dev-17' and deviceKey < 'e'", (18, 19)), ("attributes.size = 2 or attributes.size = 2.5", (4, 5)),
                ("deviceKey in ('dev-03', 'nobody')", (3,)), ("status = 'online'", ()),
                # as EnOS writes them
                ("deviceTags.site = \"S2\" and deviceName like \"1\"", (2 + 3 * n for n in range(7) if "1" in f"{2 + 3 * n:02}")),
                ("productType = 'Device' and modelId = 'Searched' and deviceKey like '%7'", (7, 17)), ("rootModelId = 'Other'", ())):
            with self.subTest(text):
                self.assertEqual(sorted(self.numbers(text)), sorted(expected))
        self.assertEqual(self.found("productType = 'Gateway'"), ["gate"])
        self.assertEqual(self.found("not exists(tags.site)"), ["gate"])
        self.assertEqual(self.found("attributes.spare = true"), ["gate"])

    def test_orders(self):
        pumps = "deviceKey like 'dev-%'"
        self.assertEqual(self.numbers(pumps, sort="-deviceKey"), list(range(19, -1, -1)))
        self.assertEqual(self.numbers(pumps, sort="name", limit=1), list(range(20)))
        self.assertEqual(self.numbers(pumps, sort="tags.site,-attributes.size"), sorted(range(20), key=lambda n: (n % 3, -n)))
        self.assertEqual(self.found("", sort="tags.site")[-1], "gate", "it has none")
        self.assertEqual(self.found("", sort="-attributes.size")[0::20], ["dev-19", "gate"])
        by_id = self.found("")
        self.assertEqual(len(by_id), 21)
        self.assertEqual(self.found("", limit=500), by_id)

    def test_parts_and_totals(self):
        page = self.api.get("~/devices", params={"filter": "tags.group = 'mine'", "sort": "deviceKey", "fields": "deviceKey,tags.site", "limit": 2, "count": "true"})
        self.assertEqual(page["items"], [{"deviceKey": f"dev-0{n}", "tags": {"site": f"S{n}"}} for n in range(2)])
        self.assertEqual(page["total"], 21)
        self.assertEqual(self.api.post("~/devices/search", {"filter": "deviceKey = 'gate'", "fields": "name,status"})["items"],
                         [{"name": "Gate", "status": "inactive"}])
        mine = self.products[0]
        self.assertEqual(len(all_of(self.api, f"~/devices?productKey={mine}", 9)), 20)
        self.assertEqual(len(self.api.get("~/devices", params={"productKey": mine, "q": "pump 1", "status": "inactive"})["items"]), 10)

    def test_counts(self):
        def count(text, *by):
            body = {"filter": f"tags.group = 'mine'{text}", "groupBy": list(by)} if by else {"filter": f"tags.group = 'mine'{text}"}
            got = self.api.post("~/devices:count", body)
            return got["total"], {tuple(g["group"][name] for name in by): g["count"] for g in got.get("groups", [])}

        self.assertEqual(count(""), (21, {}))
        self.assertEqual(count("", "tags.site"), (21, {("S0",): 7, ("S1",): 7, ("S2",): 6, (None,): 1}))
        self.assertEqual(count(" and attributes.size < 2", "tags.site", "attributes.kind", "isSubDevice"),
                         (4, {("S0", "small", False): 2, ("S1", "small", False): 1, ("S2", "small", False): 1}))
        groups = self.api.post("~/devices:count", {"groupBy": ["productKey"]})["groups"]  # counted by the index alone
        self.assertIn({"group": {"productKey": self.products[0]}, "count": 20}, groups)

    def test_a_write_is_seen_at_once(self):
        path = f"~/products/{self.products[1]}/devices/gate"
        for n in range(20):
            reply = self.api.request("PATCH", path, json={"tags": {"state": f"turn-{n}"}, "name": f"Gate {n}"})
            for text in (f"tags.state = 'turn-{n}'", f"name = 'Gate {n}'"):
                page = self.api.request("POST", "~/devices/search", json={"filter": text}, headers={"X-Min-Revision": reply.headers["X-Revision"]}).json()
                self.assertEqual([d["deviceKey"] for d in page["items"]], ["gate"])
            self.assertEqual(self.found(f"tags.state = 'turn-{n - 1}'"), [])
        self.api.request("PATCH", path, json={"tags": {"state": None}, "name": "Gate"})
        self.assertEqual(self.found("tags.state exists"), [])
        shard, offset = reply.headers["X-Revision"].split("-")
        refused(self, self.api, "GET", "~/devices", 503, "index_lag", headers={"X-Min-Revision": f"{shard}-{int(offset) + 1000}"})
        for bad in ("x", "1", "1-", "-1", "1-x", "1-2-3"):
            refused(self, self.api, "GET", "~/devices", 400, "malformed", headers={"X-Min-Revision": bad})

    def test_what_a_device_does_is_found(self):
        one = self.api.post("~/devices", {"productKey": self.products[0], "tags": {"group": "lively"}})
        mine = "tags.group = 'lively' and "
        device = Device(self.node, one["productKey"], one["deviceKey"], one["deviceSecret"]).connect()
        self.assertEqual([d["assetId"] for d in self.api.post("~/devices/search", {"filter": mine + "status = 'online' and lastOnlineAt exists"})["items"]],
                         [one["assetId"]])
        device.close()
        wait_for(lambda: self.api.post("~/devices:count", {"filter": mine + "status = 'offline' and lastOfflineAt exists"})["total"] == 1, "it is off-line")
        self.api.post(f"~/devices/{one['assetId']}:disable", {})
        self.assertEqual(self.api.post("~/devices:count", {"filter": mine + "status = 'disabled' and admin = 'disabled'"})["total"], 1)
        self.api.request("DELETE", f"~/devices/{one['assetId']}")
        self.assertEqual(self.api.post("~/devices:count", {"filter": "tags.group = 'lively'"})["total"], 0)

    def test_bad_questions(self):
        for body, status, code in (
                ({"filter": "colour = 'red'"}, 400, "bad_filter"), ({"filter": "name ="}, 400, "bad_filter"), ({"filter": "name = 5"}, 400, "bad_filter"),
                ({"filter": "productType = 'pump'"}, 400, "bad_filter"), ({"sort": "colour"}, 400, "bad_sort"), ({"fields": ","}, 400, "bad_fields"),
                ({"cursor": "abc"}, 400, "bad_cursor"), ({"limit": 501}, 422, "validation_failed"), ({"order": "name"}, 400, "unknown_field")):
            with self.subTest(body):
                refused(self, self.api, "POST", "~/devices/search", status, code, json=body)
        for body, code in (({"groupBy": ["colour"]}, "bad_group"), ({"groupBy": ["points.volts"]}, "bad_group"), ({"filter": "("}, "bad_filter")):
            with self.subTest(body):
                refused(self, self.api, "POST", "~/devices:count", 400, code, json=body)
        first = self.api.post("~/devices/search", {"sort": "name", "limit": 1})
        for other in ({"sort": "-name"}, {"sort": "name", "filter": "name exists"}, {}):
            refused(self, self.api, "POST", "~/devices/search", 400, "bad_cursor", json=dict(other, cursor=first["nextCursor"]))


if __name__ == "__main__":
    unittest.main()
