"""Groups B and C of the API: thing models and products."""
import itertools
import unittest

from api_kit import MODEL, all_of, model_document, refused
from orrery import Device, NodeTest

numbers = itertools.count(1)


class ModelTest(NodeTest):
    def model(self, publish=True, **changes):
        """A fresh model; gives its id."""
        name = f"M{next(numbers)}"
        self.api.post("~/models", model_document(name, **changes))
        if publish:
            self.api.post(f"~/models/{name}:publish")
        return name

    def product(self, model=None, **fields):
        return self.api.post("~/products", dict({"name": f"Product {next(numbers)}", "modelId": model or self.model()}, **fields))

    def etag(self, path):
        return self.api.request("GET", path).headers["ETag"]


class Models(ModelTest):
    def test_begin_as_a_draft_and_are_published(self):
        name = self.model(publish=False)
        shown = self.api.get(f"~/models/{name}")
        self.assertEqual((shown["revision"], shown["hasDraft"], shown["name"]), (0, True, "Meter"))
        self.assertEqual(shown["document"], model_document(name))
        done = self.api.post(f"~/models/{name}:publish", {"note": "first"})
        self.assertEqual((done["revision"], done["hasDraft"]), (1, False))
        refused(self, self.api, "GET", f"~/models/{name}/draft", 404, "draft_unknown")
        refused(self, self.api, "POST", f"~/models/{name}:publish", 409, "draft_unknown")
        refused(self, self.api, "POST", "~/models", 409, "model_exists", json=model_document(name))

    def test_every_revision_stays_readable(self):
        name = self.model()
        etag = self.etag(f"~/models/{name}")
        etag = self.api.request("PATCH", f"~/models/{name}/draft", json={"name": "Better"}, headers={"If-Match": etag}).headers["ETag"]
        self.assertEqual(self.api.get(f"~/models/{name}")["document"]["name"], "Meter", "a draft changes nothing yet")
        self.api.post(f"~/models/{name}:publish", {"note": "second"})
        self.assertEqual(self.api.get(f"~/models/{name}")["document"]["name"], "Better")
        self.assertEqual(self.api.get(f"~/models/{name}?revision=1")["document"]["name"], "Meter")
        refused(self, self.api, "GET", f"~/models/{name}?revision=3", 404, "revision_unknown")
        listed = all_of(self.api, f"~/models/{name}/revisions", 1)
        self.assertEqual([(r["revision"], r["note"]) for r in listed], [(1, ""), (2, "second")])
        self.assertTrue(listed[0]["publishedBy"].startswith("key:"))

    def test_a_change_needs_the_etag_of_what_was_read(self):
        name = self.model()
        draft, old = f"~/models/{name}/draft", self.etag(f"~/models/{name}")
        document = model_document(name, description="new")
        refused(self, self.api, "PUT", draft, 428, "etag_required", json=document)
        new = self.api.request("PUT", draft, json=document, headers={"If-Match": old}).headers["ETag"]
        self.assertNotEqual(new, old)
        self.assertEqual(self.etag(draft), new)
        refused(self, self.api, "PUT", draft, 412, "etag_mismatch", json=document, headers={"If-Match": old})
        refused(self, self.api, "PATCH", draft, 412, "etag_mismatch", json={}, headers={"If-Match": old})
        refused(self, self.api, "DELETE", draft, 412, "etag_mismatch", headers={"If-Match": old})
        refused(self, self.api, "DELETE", draft, 428, "etag_required")
        refused(self, self.api, "DELETE", f"~/models/{name}", 428, "etag_required")
        refused(self, self.api, "PATCH", f"~/models/{name}", 428, "etag_required", json={"deprecated": True})
        self.api.request("DELETE", draft, headers={"If-Match": new})
        refused(self, self.api, "DELETE", draft, 404, "draft_unknown", headers={"If-Match": "*"})

    def test_if_none_match_makes_a_draft_only_where_there_is_none(self):
        name = self.model()
        create = {"If-None-Match": "*"}
        self.api.request("PUT", f"~/models/{name}/draft", json=model_document(name), headers=create)
        refused(self, self.api, "PUT", f"~/models/{name}/draft", 412, "etag_mismatch", json=model_document(name), headers=create)

    def test_a_draft_is_patched_by_merge(self):
        name = self.model(publish=False)
        headers = {"If-Match": "*", "Content-Type": "application/merge-patch+json"}
        path = f"~/models/{name}/draft"
        shown = self.api.request("PATCH", path, data='{"description":"d","events":null,"extra":{"a":1,"b":null}}', headers=headers).json()
        expected = dict(model_document(name), description="d", extra={"a": 1})
        del expected["events"]
        self.assertEqual(shown["document"], expected)
        shown = self.api.request("PATCH", path, data='{"extra":{"a":null,"c":[1]}}', headers=headers).json()
        self.assertEqual(shown["document"]["extra"], {"c": [1]})
        refused(self, self.api, "PATCH", path, 400, "malformed", data="[]", headers=headers)
        refused(self, self.api, "PATCH", path, 422, "model_invalid", data='{"id":"other"}', headers=headers)

    def test_a_draft_keeps_its_id(self):
        name = self.model()
        body = refused(self, self.api, "PUT", f"~/models/{name}/draft", 422, "model_invalid", json=model_document("Other"),
                       headers={"If-Match": "*"})
        self.assertEqual(body["errors"][0]["pointer"], "/id")
        for document in ({}, {"id": 7}, {"id": "a b"}, {"id": ""}, []):
            refused(self, self.api, "POST", "~/models", 422, "model_invalid", json=document)

    def test_findings_say_where_and_what(self):
        wrong = {"measurePoints": MODEL["measurePoints"] + [{"id": "volts", "type": {"t": "double"}}, {"id": "x y", "type": {"t": "double"}},
                                                           {"id": "z", "type": {"t": "dubble"}}]}
        name = self.model(publish=False, **wrong)
        check = self.api.post(f"~/models/{name}/draft:check")
        self.assertFalse(check["valid"])
        places = {f["pointer"] for f in check["findings"]}
        self.assertEqual({p.split("/")[2] for p in places}, {"3", "4", "5"}, check)
        body = self.api.request("POST", f"~/models/{name}:publish", json={}, expect=422).json()
        self.assertEqual({e["pointer"] for e in body["errors"]}, places)

    def test_a_breaking_change_is_refused_while_products_use_the_model(self):
        name = self.model()
        narrower = [dict(MODEL["measurePoints"][0], type={"t": "double", "min": 0, "max": 10})] + MODEL["measurePoints"][2:]
        change = {"measurePoints": narrower}
        headers = {"If-Match": "*"}
        self.api.request("PATCH", f"~/models/{name}/draft", json=change, headers=headers)
        check = self.api.post(f"~/models/{name}/draft:check")
        self.assertEqual((check["valid"], check["class"], check["products"]), (True, "breaking", 0))
        product = self.product(name)["productKey"]
        self.assertEqual(self.api.post(f"~/models/{name}/draft:check")["products"], 1)
        body = refused(self, self.api, "POST", f"~/models/{name}:publish", 409, "breaking_change", json={})
        self.assertTrue(body["errors"])
        self.assertEqual(self.api.get(f"~/models/{name}")["revision"], 1)
        refused(self, self.api, "POST", f"~/models/{name}:publish", 409, "reason_required", json={"force": True})
        self.assertEqual(self.api.post(f"~/models/{name}:publish", {"force": True, "reason": "a new sensor"})["revision"], 2)
        self.assertEqual(self.api.get(f"~/models/{name}/revisions")["items"][1]["reason"], "a new sensor")
        refused(self, self.api, "DELETE", f"~/models/{name}", 409, "model_in_use", headers=headers)
        self.api.request("DELETE", f"~/products/{product}", headers=headers)
        self.api.request("DELETE", f"~/models/{name}", headers=headers)
        refused(self, self.api, "GET", f"~/models/{name}", 404, "model_unknown")

    def test_a_wider_model_is_published_as_it_is(self):
        name = self.model()
        self.product(name)
        more = MODEL["measurePoints"] + [{"id": "amps", "type": {"t": "double"}}]
        self.api.request("PATCH", f"~/models/{name}/draft", json={"measurePoints": more}, headers={"If-Match": "*"})
        self.assertEqual(self.api.post(f"~/models/{name}/draft:check")["class"], "compatible")
        self.assertEqual(self.api.post(f"~/models/{name}:publish")["revision"], 2)

    def test_values_are_checked_without_a_device(self):
        name = self.model()
        good = self.api.post(f"~/models/{name}:validate", {"points": {"volts": 230.5, "count": 3}, "attributes": {"serial": "A7"}})
        self.assertEqual(good, {"valid": True, "problems": []})
        bad = self.api.post(f"~/models/{name}:validate", {"points": {"volts": 2000, "count": "x", "none": 1}, "attributes": {"serial": "too long a text"}})
        self.assertFalse(bad["valid"])
        self.assertGreaterEqual(len(bad["problems"]), 2)
        refused(self, self.api, "POST", f"~/models/{self.model(publish=False)}:validate", 409, "model_missing", json={})

    def test_what_is_not_there(self):
        for method, path, body in (("GET", "~/models/None", None), ("GET", "~/models/None/draft", None), ("GET", "~/models/None/revisions", None),
                                   ("PUT", "~/models/None/draft", {"id": "None"}), ("PATCH", "~/models/None/draft", {}), ("DELETE", "~/models/None", None),
                                   ("POST", "~/models/None:publish", {}), ("POST", "~/models/None/draft:check", {}),
                                   ("POST", "~/models/None:validate", {}), ("PATCH", "~/models/None", {"deprecated": True})):
            refused(self, self.api, method, path, 404, "model_unknown", json=body, headers={"If-Match": "*"})

    def test_a_list_is_read_page_by_page(self):
        names = [self.model() for _ in range(7)]
        listed = [m["id"] for m in all_of(self.api, "~/models", 2)]
        self.assertEqual(listed, sorted(listed))
        self.assertEqual(set(names) - set(listed), set())

    def test_deprecation_is_shown(self):
        name = self.model()
        self.assertTrue(self.api.request("PATCH", f"~/models/{name}", json={"deprecated": True}, headers={"If-Match": "*"}).json()["deprecated"])
        refused(self, self.api, "PATCH", f"~/models/{name}", 422, "validation_failed", json={}, headers={"If-Match": "*"})


class Products(ModelTest):
    def test_are_made_with_a_secret_that_is_shown_once(self):
        made = self.product()
        self.assertRegex(made["productKey"], "^[A-Za-z0-9]{8}$")
        self.assertEqual(len(made["productSecret"]), 32)
        shown = self.api.get(f"~/products/{made['productKey']}")
        self.assertNotIn("productSecret", shown)
        self.assertEqual((shown["nodeType"], shown["access"], shown["auth"], shown["modelRevision"], shown["signMethods"]),
                         ("device", "direct", "secret", "latest", ["sha256"]))
        reset = self.api.post(f"~/products/{made['productKey']}:resetSecret")
        self.assertNotEqual(reset["productSecret"], made["productSecret"])

    def test_need_a_model_that_is_there(self):
        refused(self, self.api, "POST", "~/products", 404, "model_unknown", json={"name": "x", "modelId": "None"})
        refused(self, self.api, "POST", "~/products", 404, "revision_unknown", json={"name": "x", "modelId": self.model(), "modelRevision": 9})

    def test_are_checked(self):
        model = self.model()
        for fields, pointer in (({"modelId": model}, "/name"), ({"name": "x"}, "/modelId"), ({"name": "x", "modelId": model, "access": "both ways"}, "/access"),
                                ({"name": "x", "modelId": model, "signMethods": ["md4"]}, "/signMethods"),
                                ({"name": "x", "modelId": model, "modelRevision": "first"}, "/modelRevision"),
                                ({"name": "x", "modelId": model, "tags": {"a": 1}}, "/tags/a"),
                                ({"name": "x" * 257, "modelId": model}, "/name")):
            body = refused(self, self.api, "POST", "~/products", 422, "validation_failed", json=fields)
            self.assertIn(pointer, [e["pointer"] for e in body["errors"]], fields)
        refused(self, self.api, "POST", "~/products", 422, "product_key_invalid", json={"name": "x", "modelId": model, "productKey": "a b"})
        refused(self, self.api, "POST", "~/products", 400, "unknown_field", json={"name": "x", "modelId": model, "colour": "red"})

    def test_keys_and_names_are_taken_once(self):
        made = self.product()
        refused(self, self.api, "POST", "~/products", 409, "product_exists",
                json={"name": "another", "modelId": made["modelId"], "productKey": made["productKey"]})
        refused(self, self.api, "POST", "~/products", 409, "name_exists", json={"name": made["name"], "modelId": made["modelId"]})
        other, if_any = self.product()["productKey"], {"If-Match": "*"}
        refused(self, self.api, "PATCH", f"~/products/{other}", 409, "name_exists", json={"name": made["name"]}, headers=if_any)
        self.api.request("PATCH", f"~/products/{made['productKey']}", json={"name": made["name"]}, headers=if_any)

    def test_change_under_their_etag(self):
        key = self.product()["productKey"]
        path = f"~/products/{key}"
        old = self.etag(path)
        refused(self, self.api, "PATCH", path, 428, "etag_required", json={})
        changed = self.api.request("PATCH", path, json={"description": "d", "validation": "lenient", "signMethods": ["md5", "sha256"],
                                                        "tags": {"a": "1", "b": "2"}}, headers={"If-Match": old})
        shown = changed.json()
        self.assertEqual((shown["description"], shown["validation"], shown["signMethods"], shown["tags"]),
                         ("d", "lenient", ["sha256", "md5"], {"a": "1", "b": "2"}))
        refused(self, self.api, "PATCH", path, 412, "etag_mismatch", json={}, headers={"If-Match": old})
        refused(self, self.api, "DELETE", path, 412, "etag_mismatch", headers={"If-Match": old})
        refused(self, self.api, "DELETE", path, 428, "etag_required")
        self.api.request("PATCH", path, json={"tags": {"a": None}, "validation": None}, headers={"If-Match": self.etag(path)})
        self.assertEqual(self.api.get(path)["tags"], {"b": "2"})
        self.assertIsNone(self.api.get(path)["validation"])
        refused(self, self.api, "PATCH", path, 400, "unknown_field", json={"modelId": "Other"}, headers={"If-Match": "*"})
        refused(self, self.api, "PATCH", path + "/tags", 428, "etag_required", json={"c": "3"})
        self.assertEqual(self.api.request("PATCH", path + "/tags", json={"b": None, "c": "3"}, headers={"If-Match": "*"}).json(), {"c": "3"})

    def test_follow_their_model_or_stay_with_a_revision(self):
        model = self.model()
        newest, pinned = self.product(model)["productKey"], self.product(model, modelRevision=1)["productKey"]
        more = MODEL["measurePoints"] + [{"id": "amps", "type": {"t": "double"}}]
        self.api.request("PATCH", f"~/models/{model}/draft", json={"measurePoints": more}, headers={"If-Match": "*"})
        self.api.post(f"~/models/{model}:publish")
        sample = {"items": [{"points": {"amps": 1.5}}]}
        for product, status in ((newest, 200), (pinned, 422)):
            device = self.api.post("~/devices", {"productKey": product})["assetId"]
            self.api.request("POST", f"~/devices/{device}/points", json=sample, expect=status)
        self.api.request("PATCH", f"~/products/{pinned}", json={"modelRevision": "latest"}, headers={"If-Match": "*"})
        self.api.post(f"~/devices/{device}/points", sample)

    def test_stay_while_they_have_devices(self):
        key = self.product()["productKey"]
        device = self.api.post("~/devices", {"productKey": key})
        refused(self, self.api, "DELETE", f"~/products/{key}", 409, "product_has_devices", headers={"If-Match": "*"})
        self.api.request("DELETE", f"~/devices/{device['assetId']}")
        self.api.request("DELETE", f"~/products/{key}", headers={"If-Match": "*"})
        refused(self, self.api, "GET", f"~/products/{key}", 404, "product_unknown")
        refused(self, self.api, "POST", "~/devices", 404, "product_unknown", json={"productKey": key})

    def test_decide_how_their_devices_log_in(self):
        made = self.product(signMethods=["sha1"])
        device = self.api.post("~/devices", {"productKey": made["productKey"]})
        for method, code in (("sha256", 4), ("sha1", 0)):
            client = Device(self.node, made["productKey"], device["deviceKey"], device["deviceSecret"], method)
            self.addCleanup(client.close)
            self.assertEqual(client.try_connect(), code, method)

    def test_a_list_is_read_page_by_page_and_by_model(self):
        model = self.model()
        keys = sorted(self.product(model)["productKey"] for _ in range(5))
        self.assertEqual([p["productKey"] for p in all_of(self.api, f"~/products?modelId={model}", 2)], keys)
        self.assertEqual(set(keys) - {p["productKey"] for p in all_of(self.api, "~/products", 4)}, set())

    def test_what_is_not_there(self):
        for method, path, body in (("GET", "", None), ("PATCH", "", {}), ("DELETE", "", None), ("POST", ":resetSecret", None), ("GET", "/tags", None), ("PATCH", "/tags", {}),
                                   ("GET", "/decoder", None), ("PUT", "/decoder", {"script": "x"}), ("DELETE", "/decoder", None),
                                   ("POST", "/decoder:test", {"script": "x", "hex": ""})):
            refused(self, self.api, method, "~/products/none" + path, 404, "product_unknown", json=body, headers={"If-Match": "*"})


SCRIPT = """local points = {[1] = "power"}
function raw_to_json(bytes)
  local kind, number, at = string.unpack(">B I4", bytes)
  if kind ~= 1 then error("unknown kind " .. kind) end
  local values = {}
  while at <= #bytes do
    local point, field
    point, field, at = string.unpack(">B s2", bytes, at)
    values[points[point] or error("unknown point " .. point)] = string.unpack(">i" .. #field, field) / 100
  end
  return {id = tostring(number), method = "thing.measurepoint.post", params = {measurepoints = values}}
end
function json_to_raw(message)
  return string.pack(">B I4 I2", 2, tonumber(message.id), message.code)
end
"""
EMPTY = "function raw_to_json(b) return {} end function json_to_raw(m) return '' end"
DECODED = {"id": "20", "method": "thing.measurepoint.post", "params": {"measurepoints": {"power": 97.17}}}


class Decoders(ModelTest):
    def setUp(self):
        self.path = f"~/products/{self.product(dataFormat='raw')['productKey']}"

    def put(self, script, etag="*"):
        return self.api.request("PUT", self.path + "/decoder", json={"script": script}, headers={"If-Match": etag})

    def test_are_set_shown_and_taken_away(self):
        refused(self, self.api, "GET", self.path + "/decoder", 404, "script_unknown")
        refused(self, self.api, "DELETE", self.path + "/decoder", 404, "script_unknown", headers={"If-Match": "*"})
        self.assertFalse(self.api.get(self.path)["hasDecoder"])
        old = self.etag(self.path)
        new = self.put(SCRIPT, old)
        self.assertEqual(new.json(), {"language": "lua", "script": SCRIPT})
        self.assertEqual(new.headers["ETag"], self.etag(self.path + "/decoder"))
        self.assertTrue(self.api.get(self.path)["hasDecoder"])
        self.assertEqual(self.api.get(self.path + "/decoder")["script"], SCRIPT)
        body = {"script": EMPTY, "language": "lua"}
        refused(self, self.api, "PUT", self.path + "/decoder", 412, "etag_mismatch", json=body, headers={"If-Match": old})
        refused(self, self.api, "PUT", self.path + "/decoder", 428, "etag_required", json=body)
        refused(self, self.api, "DELETE", self.path + "/decoder", 428, "etag_required")
        self.assertEqual(self.api.request("PUT", self.path + "/decoder", json=body, headers={"If-Match": new.headers["ETag"]}).json()["script"], EMPTY)
        self.api.request("DELETE", self.path + "/decoder", headers={"If-Match": "*"})
        refused(self, self.api, "GET", self.path + "/decoder", 404, "script_unknown")

    def test_must_compile_and_define_their_functions(self):
        for script, status, code, detail in (("x = = 1", 422, "script_error", "line 1: unexpected symbol near '='"), ("", 422, "script_error", "defines no function raw_to_json"),
                                             ("function raw_to_json() end", 422, "script_error", "defines no function json_to_raw"),
                                             ("\nwhile true do end", 422, "script_limit", "line 2: more than 2000000 instructions"),
                                             ("-" * 65537, 413, "script_too_large", "a script has at most 65536 bytes")):
            body = refused(self, self.api, "PUT", self.path + "/decoder", status, code, json={"script": script}, headers={"If-Match": "*"})
            self.assertEqual(body["detail"], detail)
        for body, pointer in (({}, "/script"), ({"script": 7}, "/script"), ({"script": EMPTY, "language": "javascript"}, "/language")):
            found = refused(self, self.api, "PUT", self.path + "/decoder", 422, "validation_failed", json=body, headers={"If-Match": "*"})
            self.assertEqual([e["pointer"] for e in found["errors"]], [pointer])
        refused(self, self.api, "GET", self.path + "/decoder", 404, "script_unknown")

    def test_are_for_raw_data_alone(self):
        json_product = f"~/products/{self.product()['productKey']}"
        refused(self, self.api, "PUT", json_product + "/decoder", 409, "format_not_raw", json={"script": EMPTY}, headers={"If-Match": "*"})

    def test_are_tried(self):
        def test(**body):
            return self.api.post(self.path + "/decoder:test", body)
        refused(self, self.api, "POST", self.path + "/decoder:test", 404, "script_unknown", json={"hex": ""})
        self.put(SCRIPT)
        done = test(hex="01000000140100040000" + "25F5")
        self.assertEqual((done["ok"], done["json"]), (True, DECODED))
        self.assertEqual(test(base64="AQAAABQBAAQAACX1")["json"], DECODED)
        done = test(json={"id": "20", "code": 200})
        self.assertEqual((done["ok"], done["hex"], done["base64"]), (True, "020000001400c8", "AgAAABQAyA=="))
        done = test(hex="0700000000")
        self.assertEqual((done["ok"], done["error"]), (False, {"code": "script_error", "detail": "line 4: unknown kind 7", "line": 4}))
        self.assertGreater(done["memoryBytes"], 1000)
        done = test(hex="", script=EMPTY.replace("return {}", "while true do end"))
        self.assertEqual((done["error"]["code"], done["error"]["line"]), ("script_limit", 1))
        self.assertGreater(done["instructions"], 1_900_000)
        self.assertEqual(test(hex="", script="x =")["error"]["code"], "script_error")
        self.assertEqual(self.api.get(self.path + "/decoder")["script"], SCRIPT, "a try stores nothing")
        for body in ({}, {"hex": "0"}, {"hex": "0g"}, {"base64": "?"}, {"hex": "", "json": {}}, {"json": []}):
            refused(self, self.api, "POST", self.path + "/decoder:test", 422, "validation_failed", json=body)

    def test_need_the_permission_of_products(self):
        self.put(SCRIPT)
        reader = self.node.api(self.api.post("~/apps/tests/keys", {"permissions": ["product:read"]})["apiKey"])
        self.assertEqual(reader.get(self.path + "/decoder")["script"], SCRIPT)
        for method, rest, body in (("PUT", "", {"script": EMPTY}), ("DELETE", "", None), ("POST", ":test", {"hex": ""})):
            refused(self, reader, method, self.path + "/decoder" + rest, 403, "forbidden", json=body, headers={"If-Match": "*"})

    def test_outlive_the_node(self):
        self.put(SCRIPT)
        self.node.stop()
        self.node.start()
        type(self).api = self.node.api()  # on another port
        self.assertEqual(self.api.get(self.path + "/decoder")["script"], SCRIPT)


if __name__ == "__main__":
    unittest.main()
