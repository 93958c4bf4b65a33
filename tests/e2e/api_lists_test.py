"""Lists out of memory: ?filter=, ?sort= and ?fields= of models, products, firmwares and people."""
import time
import unittest

from api_kit import all_of, model_document, refused
from orrery import NodeTest


class Lists(NodeTest):
    def ask(self, path, **query):
        return self.api.get(path, params=query)["items"]

    def names(self, path, key, **query):
        return [item[key] for item in self.ask(path, **query)]

    def product(self, model, name, **more):
        return self.api.post("~/products", dict({"name": name, "modelId": model}, **more))

    def model(self, model_id, **more):
        self.api.post("~/models", model_document(model_id, **more))
        self.api.post(f"~/models/{model_id}:publish", {}, headers={"If-Match": "*"})
        return model_id

    def test_products(self):
        model = self.model("lists-1")
        keys = [self.product(model, name, tags=tags, productKey=f"lists{n}", nodeType=node)["productKey"] for n, (name, tags, node) in enumerate((
            ("Pump North", {"site": "A7"}, "device"), ("pump south", {"site": "B1"}, "gateway"), ("Fan", {}, "device")))]
        for query, expected in (
                ("name like 'pump'", [0, 1]), ("name like 'Pump%' and tags.site = 'A7'", [0]), ("tags.site in ('A7', \"B1\")", [0, 1]),
                ("not exists(tags.site)", [2]), ("tags.site != 'A7'", [1, 2]), ("nodeType = 'gateway' or name = 'Fan'", [1, 2]),
                ("createdAt > '2020-01-01T00:00:00Z'", [0, 1, 2]), (f"createdAt > {int(time.time() * 1000) + 10**9}", [])):
            with self.subTest(query):
                self.assertEqual(self.names("~/products", "productKey", filter=f"modelId = '{model}' and ({query})"), [keys[i] for i in expected])
        mine = f"modelId = '{model}'"
        self.assertEqual(self.names("~/products", "name", filter=mine, sort="name"), ["Fan", "Pump North", "pump south"])
        self.assertEqual(self.names("~/products", "name", filter=mine, sort="-createdAt"), ["Fan", "pump south", "Pump North"])
        self.assertEqual(self.ask("~/products", filter=mine, fields="name,tags.site", sort="name"),
                         [{"name": "Fan", "tags": {}}, {"name": "Pump North", "tags": {"site": "A7"}}, {"name": "pump south", "tags": {"site": "B1"}}])
        first = self.api.get("~/products", params={"filter": mine, "sort": "-name", "limit": 2})
        rest = self.api.get("~/products", params={"filter": mine, "sort": "-name", "limit": 2, "cursor": first["nextCursor"]})
        self.assertEqual([p["name"] for p in first["items"] + rest["items"]], ["pump south", "Pump North", "Fan"])
        self.assertNotIn("nextCursor", rest)
        refused(self, self.api, "GET", "~/products", 400, "bad_cursor", params={"filter": mine, "sort": "name", "cursor": first["nextCursor"]})

    def test_the_question_in_the_body(self):
        model = self.model("lists-body")
        names = [self.product(model, name)["name"] for name in ("b", "a", "c")]
        asked = {"filter": f"modelId = '{model}'", "sort": "-name", "fields": "name", "limit": 2}
        first = self.api.post("~/products/search", asked)
        self.assertEqual(first["items"], [{"name": "c"}, {"name": "b"}])
        rest = self.api.post("~/products/search", dict(asked, cursor=first["nextCursor"]))
        self.assertEqual(rest, {"items": [{"name": "a"}]})
        self.assertEqual(len(self.api.post("~/products/search", {"modelId": model})["items"]), len(names))
        self.assertEqual([m["id"] for m in self.api.post("~/models/search", {"filter": "id = 'lists-body'", "scope": "own"})["items"]], ["lists-body"])
        refused(self, self.api, "POST", "~/products/search", 400, "bad_cursor", json=dict(asked, sort="name", cursor=first["nextCursor"]))
        refused(self, self.api, "POST", "~/products/search", 400, "bad_filter", json={"filter": "name ="})
        refused(self, self.api, "POST", "~/products/search", 400, "unknown_field", json={"filtre": ""})
        refused(self, self.api, "POST", "~/products/search", 422, "validation_failed", json={"limit": 501})
        refused(self, self.api, "POST", "~/products/search", 422, "validation_failed", json={"filter": 7})

    def test_models(self):
        self.model("lists-2", name={"default": "Valve", "i18n": {"de": "Ventil"}})
        self.model("lists-3", name="Gate")
        self.assertEqual(self.names("~/models", "id", filter="name like 'VENTIL'"), ["lists-2"])
        self.assertEqual(self.names("~/models", "id", filter="name.de like 'ven%' or name.default = 'Gate'", sort="-id"), ["lists-3", "lists-2"])
        self.assertEqual(self.names("~/models", "id", filter="id like 'lists-_'"), [])  # no wildcard
        self.assertEqual(self.ask("~/models", filter="id in ('lists-2')", fields="id,name.i18n"), [{"id": "lists-2", "name": {"i18n": {"de": "Ventil"}}}])

    def test_firmwares(self):
        pk = self.product(self.model("lists-4"), "With firmware")["productKey"]
        for version, size in (("1.0", 10), ("1.1", 30), ("2.0", 20)):
            self.api.post("~/firmwares", {"productKey": pk, "name": f"f {version}", "version": version, "signMethod": "md5", "sign": "0" * 32,
                                          "url": "http://127.0.0.1/f.bin", "size": size})
        mine = f"productKey = '{pk}'"
        self.assertEqual(self.names("~/firmwares", "version", filter=f"{mine} and size >= 20", sort="size"), ["2.0", "1.1"])
        self.assertEqual(self.names("~/firmwares", "version", productKey=pk, filter="version like '1.%'", sort="-version"), ["1.1", "1.0"])
        self.assertEqual([f["size"] for f in all_of(self.api, f"~/firmwares?productKey={pk}&sort=-size", 1)], [30, 20, 10])

    def test_people(self):
        for login, roles in (("lists-a", ["viewer"]), ("lists-b", ["operator", "viewer"])):
            self.api.post("~/users", {"login": login, "password": "long enough", "roles": roles})
        self.assertEqual(self.names("~/users", "login", filter="roles = 'viewer' and login like 'lists-%'", sort="-login"), ["lists-b", "lists-a"])
        self.assertEqual(self.names("~/users", "login", filter="roles = 'operator' and locked = false and login != 'x'"), ["lists-b"])
        self.assertEqual(self.ask("~/users", filter="login = 'lists-a'", fields="login"), [{"login": "lists-a"}])

    def test_says_what_is_wrong(self):
        for query, code, detail in (
                ({"filter": "name = x"}, "bad_filter", "column 8: found `x`"), ({"filter": "colour = 'red'"}, "bad_filter", "colour: no such field; there are productKey"),
                ({"filter": "nodeType = 'x'"}, "bad_filter", 'nodeType: expected one of "device" "gateway"'),
                ({"sort": "tags.site"}, "bad_sort", "tags.site: expected one of productKey"), ({"fields": "a,,b"}, "bad_fields", "column 3: found `,`")):
            with self.subTest(query):
                self.assertIn(detail, self.api.request("GET", "~/products", params=query, expect=400).json()["detail"])
                refused(self, self.api, "GET", "~/products", 400, code, params=query)


if __name__ == "__main__":
    unittest.main()
