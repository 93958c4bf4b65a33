"""Files of products and logical assets, the tags of products, and which tags there are."""
import csv
import io
import json
import unittest

from api_kit import model_document, refused
from orrery import NodeTest

CSV, LINES = {"Content-Type": "text/csv"}, {"Content-Type": "application/x-ndjson"}


class RowFilesTest(NodeTest):
    def send(self, what, rows, expect=None, headers=None, api=None, **params):
        """Imports rows: objects as lines, a text as a table."""
        data = rows if isinstance(rows, (str, bytes)) else "".join(json.dumps(row) + "\n" for row in rows)
        headers = dict(headers or {}, **(CSV if isinstance(rows, (str, bytes)) else LINES))
        return (api or self.api).request("POST", f"~/{what}:import", expect=expect, params=params, data=data, headers=headers)

    def outcomes(self, done):
        return [r.get("outcome") or r["error"]["code"] for r in done["results"]]


class Products(RowFilesTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api.post("~/models", model_document("Rows"))
        cls.api.post("~/models/Rows:publish", {})

    def test_tags(self):
        key = self.api.post("~/products", {"name": "Tagged", "modelId": "Rows", "tags": {"a": "1", "b": "2"}})["productKey"]
        path = f"~/products/{key}/tags"
        refused(self, self.api, "PUT", path, 428, "etag_required", json={"c": "3"})
        refused(self, self.api, "DELETE", path + "/a", 428, "etag_required")
        refused(self, self.api, "PUT", path, 412, "etag_mismatch", json={"c": "3"}, headers={"If-Match": '"77"'})
        etag = self.api.request("GET", path).headers["ETag"]
        done = self.api.request("PUT", path, json={"b": "2", "c": "3"}, headers={"If-Match": etag})
        self.assertEqual(done.json(), {"b": "2", "c": "3"})
        refused(self, self.api, "PUT", path, 422, "validation_failed", json={"b": None}, headers={"If-Match": "*"})
        self.api.request("DELETE", path + "/b", headers={"If-Match": done.headers["ETag"]}, expect=204)
        self.assertEqual(self.api.get(path), {"c": "3"})
        refused(self, self.api, "DELETE", "~/products/none/tags/b", 404, "product_unknown", headers={"If-Match": "*"})

    def test_there_and_back(self):
        made = self.api.post("~/products", {"name": "Back, \"forth\"", "modelId": "Rows", "modelRevision": 1, "nodeType": "gateway", "auth": "both",
                                            "signMethods": ["sha256", "md5"], "validation": "lenient", "tags": {"site": "A7"}, "productKey": "rows-1",
                                            "topics": [{"topic": "plant/#", "allow": "subscribe"}]})
        self.api.post("~/products", {"name": "Plain", "modelId": "Rows", "productKey": "rows-2"})
        for form, headers in (("csv", CSV), ("ndjson", LINES)):
            with self.subTest(form):
                file = self.api.request("POST", "~/products:export", json={"format": form, "filter": "productKey in ('rows-1', 'rows-2')"})
                self.assertNotIn(made["productSecret"], file.text)
                self.assertEqual(file.headers["Content-Type"].split(";")[0], headers["Content-Type"])
                before = [self.api.get(f"~/products/rows-{n}") for n in (1, 2)]
                done = self.api.request("POST", "~/products:import?mode=update", data=file.content, headers=headers).json()
                self.assertEqual((self.outcomes(done), done["failed"], done["dryRun"]), (["updated", "updated"], 0, False), done)
                for product in before:
                    product.pop("updatedAt")
                    now = self.api.get(f"~/products/{product['productKey']}")
                    self.assertEqual({k: v for k, v in now.items() if k != "updatedAt"}, product)
                # The same file makes them again where they are gone.
                for n in (1, 2):
                    self.api.request("DELETE", f"~/products/rows-{n}", headers={"If-Match": "*"})
                done = self.api.request("POST", "~/products:import?mode=upsert", data=file.content, headers=headers).json()
                self.assertEqual(self.outcomes(done), ["created", "created"], done)
                self.assertEqual(len({r["productSecret"] for r in done["results"]}), 2)
                self.assertEqual(self.api.get("~/products/rows-1")["topics"], made["topics"])
        rows = list(csv.DictReader(io.StringIO(self.api.request("POST", "~/products:export", json={"productKeys": ["rows-1"]}).text)))
        self.assertEqual([(r["name"], r["tags.site"], r["signMethods"], r["modelRevision"]) for r in rows], [(made["name"], "A7", "sha256 md5", "1")])

    def test_modes_and_rows_that_fail(self):
        self.api.post("~/products", {"name": "There", "modelId": "Rows", "productKey": "rows-there"})
        rows = [{"productKey": "rows-there", "name": "There", "modelId": "Rows", "description": "new"},
                {"productKey": "rows-new", "name": "New", "modelId": "Rows"},
                {"name": "New", "modelId": "Rows"},
                {"name": "Lost", "modelId": "Nothing"},
                {"name": "Odd", "modelId": "Rows", "colour": "red"},
                {"productKey": "rows-new", "name": "Twice", "modelId": "Rows"},
                {"productKey": "no key at all", "name": "Bad", "modelId": "Rows"}]
        wrong = ["name_exists", "model_unknown", "unknown_field", "validation_failed", "product_key_invalid"]
        for dry in ("true", "false"):
            done = self.send("products", rows, mode="upsert", dryRun=dry).json()
            self.assertEqual(self.outcomes(done), ["updated", "created"] + wrong, done)
            self.assertEqual((done["ok"], done["failed"], done["dryRun"]), (2, 5, dry == "true"))
            self.assertEqual([("productSecret" in r) for r in done["results"]], [False, dry == "false"] + 5 * [False])
            self.api.request("GET", "~/products/rows-new", expect=404 if dry == "true" else 200)
        self.assertEqual(self.api.get("~/products/rows-there")["description"], "new")
        self.assertEqual(self.outcomes(self.send("products", rows[:1]).json()), ["product_exists"])
        self.assertEqual(self.outcomes(self.send("products", rows[:1], dryRun="true").json()), ["product_exists"])
        self.assertEqual(self.outcomes(self.send("products", [{"productKey": "rows-none", "name": "x", "modelId": "Rows"}], mode="update").json()), ["product_unknown"])
        fixed = self.send("products", [{"productKey": "rows-there", "nodeType": "gateway"}], mode="update").json()
        self.assertEqual([e["pointer"] for e in fixed["results"][0]["error"]["errors"]], ["nodeType"])

    def test_files_that_cannot_be_read(self):
        for rows, params, status, code in (("", {}, 422, "import_invalid"), ("name,colour\n", {}, 422, "import_invalid"), ("name\n\"x\n", {}, 422, "import_invalid"),
                                           (b"name\n\xff\n", {}, 422, "import_invalid"), ("name\n" + "x\n" * 1001, {}, 413, "too_many_rows"),
                                           ("name\n", {"mode": "all"}, 400, "malformed"), ("name\n", {"dryRun": "maybe"}, 400, "malformed"),
                                           ("name\n", {"rate": "1"}, 400, "unknown_field")):
            self.assertEqual(self.send("products", rows, expect=status, **params).json()["code"], code, rows[:20])
        refused(self, self.api, "POST", "~/products:import", 415, "unsupported_media_type", json={"name": "x"})
        refused(self, self.api, "POST", "~/products:export", 404, "product_unknown", json={"productKeys": ["none"]})
        refused(self, self.api, "POST", "~/products:export", 400, "bad_filter", json={"filter": "nothing = 1"})
        refused(self, self.api, "POST", "~/products:export", 422, "validation_failed", json={"format": "xlsx"})

    def test_a_repeat_makes_nothing_twice(self):
        rows, key = [{"name": "Once", "modelId": "Rows"}], {"Idempotency-Key": "rows-once"}
        first, again = self.send("products", rows, headers=key), self.send("products", rows, headers=key)
        self.assertEqual((first.json(), again.headers.get("Idempotent-Replay")), (again.json(), "true"))
        self.assertEqual(len(self.api.get("~/products", params={"filter": "name = 'Once'"})["items"]), 1)

    def test_a_role_with_a_scope_exports_its_own(self):
        self.api.post("~/products", {"name": "Mine", "modelId": "Rows", "productKey": "rows-mine"})
        self.api.post("~/roles", {"name": "mine", "permissions": ["product:*"], "scope": {"products": ["rows-mine"]}})
        self.api.post("~/users", {"login": "mia", "password": "long enough", "roles": ["mine"]})
        mia = self.node.api(self.api.post("/auth/login", {"user": "mia", "password": "long enough"})["access"])
        file = mia.request("POST", "~/products:export", json={"format": "ndjson"})
        self.assertEqual([json.loads(line)["productKey"] for line in file.text.splitlines()], ["rows-mine"])
        self.assertEqual(self.send("products", [], expect=403, api=mia).json()["code"], "scope_denied")


class Assets(RowFilesTest):
    def test_there_and_back(self):
        made = [self.api.post("~/assets", {"name": f"Hall {n}", "description": "a, b", "tags": {"floor": str(n)},
                                           "attributes": {"area": n * 1.5, "code": "007", "parts": [1, {"a": None}]}}) for n in range(3)]
        for form, headers in (("csv", CSV), ("ndjson", LINES)):
            with self.subTest(form):
                file = self.api.request("POST", "~/assets:export", json={"format": form, "name": "Hall"})
                done = self.api.request("POST", "~/assets:import?mode=update", data=file.content, headers=headers).json()
                self.assertEqual((self.outcomes(done), {r["id"] for r in done["results"]}), (["updated"] * 3, {a["assetId"] for a in made}), done)
                for asset in made:
                    now = self.api.get(f"~/assets/{asset['assetId']}")
                    self.assertEqual({k: v for k, v in now.items() if k != "updatedAt"}, {k: v for k, v in asset.items() if k != "updatedAt"})
        self.assertEqual(self.api.request("POST", "~/assets:export", json={"tags": {"floor": "nowhere"}, "format": "ndjson"}).text, "")

    def test_modes_and_rows_that_fail(self):
        there = self.api.post("~/assets", {"name": "Yard"})["assetId"]
        device = self.node.demo["devices"][0]["assetId"]
        rows = [{"name": "Fresh", "tags": {"a": "b"}}, {"assetId": there, "name": "The yard"}, {"assetId": "nonsense", "name": "x"}, {"description": "no name"},
                {"assetId": device, "name": "x"}, {"assetId": there, "name": "again"}, {"name": "Modelled", "modelId": "Nothing"}, {"name": "Bad", "tags": {"a b": "c"}}]
        for dry in ("true", "false"):
            done = self.send("assets", rows, mode="upsert", dryRun=dry).json()
            self.assertEqual(self.outcomes(done)[:4], ["created", "updated", "validation_failed", "validation_failed"], done)
            self.assertEqual(self.outcomes(done)[4:], ["asset_is_device", "validation_failed", "model_unknown", "tag_invalid"], done)
            self.assertEqual((done["ok"], done["failed"]), (2, 6))
            self.assertEqual(self.api.get(f"~/assets/{there}")["name"], "Yard" if dry == "true" else "The yard")
            self.assertEqual(len(self.api.get("~/assets", params={"q": "Fresh"})["items"]), 0 if dry == "true" else 1)
        self.assertEqual(self.outcomes(self.send("assets", rows[:2]).json()), ["created", "validation_failed"], "ids come from the server")
        self.assertEqual(self.outcomes(self.send("assets", rows[:2], mode="update").json()), ["validation_failed", "updated"])
        self.assertEqual(self.outcomes(self.send("assets", [{"assetId": there, "modelId": "Other"}], mode="update").json()), ["validation_failed"])
        self.assertEqual(self.send("assets", "name,colour\n", expect=422).json()["code"], "import_invalid")

    def test_a_thousand_at_once(self):
        done = self.send("assets", "name,tags.lot\n" + "".join(f"Lot {n},many\n" for n in range(1000))).json()
        self.assertEqual((done["ok"], done["failed"]), (1000, 0))
        self.assertEqual(len(self.api.request("POST", "~/assets:export", json={"tags": {"lot": "many"}, "format": "ndjson"}).text.splitlines()), 1000)
        self.send("assets", [{"name": "Lot more", "tags": {"lot": "many"}}])
        refused(self, self.api, "POST", "~/assets:export", 413, "too_many_rows", json={"tags": {"lot": "many"}})


class Tags(RowFilesTest):
    def of(self, kind, key, api=None):
        found = [t for t in (api or self.api).get("~/tags", params={"kind": kind})["items"] if t["key"] == key]
        return [(t["count"], {v["value"]: v["count"] for v in t["values"]}, t["truncated"]) for t in found]

    def test_are_counted(self):
        product = self.node.demo["productKey"]
        made = self.api.post("~/devices:batch", {"items": [{"productKey": product, "deviceKey": f"t-{n}", "tags": {"lot": f"L{n % 3}", "long": "x" * 150 + str(n % 2)}}
                                                           for n in range(12)]})
        self.assertEqual(made["failed"], 0, made)
        self.assertEqual(self.of("device", "lot"), [(12, {"L0": 4, "L1": 4, "L2": 4}, False)])
        self.assertEqual(self.of("device", "long"), [(12, {"x" * 150 + "0": 6, "x" * 150 + "1": 6}, False)])
        first = made["results"][0]["id"]
        self.api.request("PATCH", f"~/devices/{first}/tags", json={"lot": None, "extra": ""})
        self.assertEqual(self.of("device", "lot"), [(11, {"L0": 3, "L1": 4, "L2": 4}, False)])
        self.assertEqual(self.of("device", "extra"), [(1, {"": 1}, False)])
        self.api.request("DELETE", f"~/devices/{first}")
        self.assertEqual(self.of("device", "extra"), [])
        self.assertEqual(self.api.get("~/tags")["kind"], "device")
        refused(self, self.api, "POST", "~/devices:count", 400, "bad_group", json={"groupBy": ["tags.*"]})
        refused(self, self.api, "GET", "~/tags", 400, "malformed", params={"kind": "user"})

    def test_many_values_are_cut(self):
        product = self.node.demo["productKey"]
        made = self.api.post("~/devices:batch", {"items": [{"productKey": product, "tags": {"serial": f"{n:04}"}} for n in range(130)]})
        self.assertEqual(made["failed"], 0, made)
        [(count, values, cut)] = self.of("device", "serial")
        self.assertEqual((count, sorted(values), cut), (130, [f"{n:04}" for n in range(100)], True))

    def test_of_products_and_assets(self):
        model = self.api.get(f"~/products/{self.node.demo['productKey']}")["modelId"]
        mine = self.api.post("~/products", {"name": "Tags 1", "modelId": model, "tags": {"line": "a"}})["productKey"]
        self.api.post("~/products", {"name": "Tags 2", "modelId": model, "tags": {"line": "b"}})
        self.assertEqual(self.of("product", "line"), [(2, {"a": 1, "b": 1}, False)])
        self.send("assets", [{"name": f"A{n}", "tags": {"floor": "1"}} for n in range(5)])
        self.assertEqual(self.of("asset", "floor"), [(5, {"1": 5}, False)])
        for n in range(2):
            self.api.post("~/devices", {"productKey": mine if n else self.node.demo["productKey"], "tags": {"reach": str(n)}})
        self.api.post("~/roles", {"name": "tagger", "permissions": ["device:read", "product:read"], "scope": {"products": [mine]}})
        self.api.post("~/users", {"login": "tom", "password": "long enough", "roles": ["tagger"]})
        tom = self.node.api(self.api.post("/auth/login", {"user": "tom", "password": "long enough"})["access"])
        self.assertEqual(self.of("device", "reach", tom), [(1, {"1": 1}, False)])
        self.assertEqual(self.of("product", "line", tom), [(1, {"a": 1}, False)])
        refused(self, tom, "GET", "~/tags", 403, "forbidden", params={"kind": "asset"})


if __name__ == "__main__":
    unittest.main()
