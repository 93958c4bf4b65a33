"""What holds for all of the API: problems, unknown fields, ETags, idempotency keys, cursors, methods, media."""
import json
import threading
import unittest

import requests

from api_kit import problem, refused, serve
from orrery import NodeTest, wait_for


class Conventions(NodeTest):
    def setUp(self):
        self.path = f"~/devices/{self.node.demo['devices'][0]['assetId']}"

    def raw(self, method, path, **options):
        return self.api.session.request(method, self.api.base + path.replace("~", "/orgs/-"), timeout=30, **options)


class Problems(Conventions):
    def test_name_the_request(self):
        first = problem(self, self.raw("GET", "~/products/none"), 404, "product_unknown")
        second = problem(self, self.raw("GET", "~/products/none"), 404, "product_unknown")
        self.assertNotEqual(first["requestId"], second["requestId"])
        self.assertEqual(first["instance"], "/api/v1/orgs/-/products/none")

    def test_for_what_is_not_there(self):
        for path in ("/nothing", "~/nothing", "~/devices:explode", "/orgs/-/nothing", "~/devices/x/y/z"):
            problem(self, self.raw("GET", path), 404, "not_found")
        reply = requests.get(self.api.base.replace("/api/v1", "/elsewhere"), timeout=30)
        problem(self, reply, 404, "not_found")

    def test_outside_ones_organisation_there_is_nothing(self):
        for org in ("other", "Default", "%20", "default%2F"):
            for path in ("devices", "models", "products", "users", f"devices/{self.node.demo['devices'][0]['assetId']}"):
                problem(self, self.raw("GET", f"/orgs/{org}/{path}"), 404, "not_found")
        self.assertEqual(self.raw("GET", "/orgs/default/devices").status_code, 200)

    def test_ids_of_other_forms(self):
        for asset in ("x", "0" * 29, self.node.demo["devices"][0]["assetId"].lower() + "x", "-", "ZZZ" + "0" * 26, "%00", "%ff", "ä"):
            reply = self.raw("GET", f"~/devices/{asset}")
            self.assertIn(reply.status_code, (400, 404), asset)
            self.assertTrue(reply.headers["Content-Type"].startswith("application/problem+json"))
        problem(self, self.raw("GET", "~/products/none/devices/inv-01"), 404, "device_unknown")
        problem(self, self.raw("GET", "~/products/demo-inverter/devices/none"), 404, "device_unknown")

    def test_bodies_that_cannot_be_read(self):
        for body in ("{", "nul", "{}{}", "[1,]", '{"name":}', '{"name":"\\x"}', b'{"name":"\xff"}', "NaN", '{"a":1e999}'):
            problem(self, self.raw("PATCH", self.path, data=body), 400, "malformed")
        deep = "[" * 100 + "]" * 100
        problem(self, self.raw("PATCH", self.path, data=f'{{"attributes":{{"x":{deep}}}}}'), 413, "too_large")
        many = '{"x":[' + "0," * 500_001 + "0]}"
        problem(self, self.raw("PATCH", self.path, data=many), 413, "too_large")
        for body in ("[]", "7", '"x"', "null", "true"):
            problem(self, self.raw("PATCH", self.path, data=body), 422, "validation_failed")

    def test_bodies_of_other_kinds(self):
        for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/xml"}, {"Content-Encoding": "gzip"}):
            problem(self, self.raw("PATCH", self.path, data="{}", headers=headers), 415, "unsupported_media_type")
        for kind in ("application/json", "application/json; charset=utf-8", "application/merge-patch+json"):
            self.assertEqual(self.raw("PATCH", self.path, data="{}", headers={"Content-Type": kind}).status_code, 200)

    def test_a_body_where_none_is_read(self):
        problem(self, self.raw("POST", "~/products/demo-inverter:resetSecret", json={"overlap": 5}), 400, "unknown_field")
        problem(self, self.raw("DELETE", self.path, data="{", headers={"If-Match": '"x"'}), 400, "malformed")

    def test_replies_of_other_kinds(self):
        problem(self, self.raw("GET", self.path, headers={"Accept": "text/html"}), 406, "not_acceptable")
        for accept in ("*/*", "application/json", "text/html, application/*;q=0.5", "application/problem+json"):
            self.assertEqual(self.raw("GET", self.path, headers={"Accept": accept}).status_code, 200)


class Methods(Conventions):
    def test_others_are_told_what_there_is(self):
        for method, path, allowed in (("PUT", "~/devices", "GET, HEAD, POST, OPTIONS"), ("POST", "/auth/me", "GET, HEAD, OPTIONS"),
                                      ("GET", "~/devices:batch", "POST, OPTIONS"), ("BREW", "/auth/login", "POST, OPTIONS"),
                                      ("POST", "/stream", "GET, OPTIONS")):
            reply = self.raw(method, path)
            problem(self, reply, 405, "method_not_allowed")
            self.assertEqual(reply.headers["Allow"], allowed)

    def test_options_needs_no_credential(self):
        reply = requests.options(self.api.base + "/orgs/-/devices", timeout=30)
        self.assertEqual((reply.status_code, reply.headers["Allow"], reply.content), (204, "GET, HEAD, POST, OPTIONS", b""))
        self.assertEqual(requests.options(self.api.base + "/nothing", timeout=30).status_code, 404)

    def test_head_is_get_without_the_body(self):
        get, head = self.raw("GET", self.path), self.raw("HEAD", self.path)
        self.assertEqual((head.status_code, head.content), (200, b""))
        for name in ("Content-Type", "Content-Length", "ETag"):
            self.assertEqual(head.headers[name], get.headers[name])
        missing = self.raw("HEAD", "~/products/none")
        self.assertEqual((missing.status_code, missing.content), (404, b""))


class Queries(Conventions):
    def test_unknown_parameters_surface(self):
        body = refused(self, self.api, "GET", "~/devices?limt=5", 400, "unknown_field")
        self.assertIn("limt", body["detail"])
        self.assertIn("limit", body["detail"])
        refused(self, self.api, "GET", self.path + "?limit=5", 400, "unknown_field")

    def test_limits(self):
        for limit in ("0", "501", "-1", "x", "", "1e2", " 5"):
            refused(self, self.api, "GET", f"~/devices?limit={limit}", 400, "malformed")
        self.assertEqual(len(self.api.get("~/devices?limit=2")["items"]), 2)

    def test_cursors_are_ours_and_of_the_same_question(self):
        cursor = self.api.get("~/devices?limit=1&status=inactive")["nextCursor"]
        self.api.get(f"~/devices?status=inactive&limit=2&cursor={cursor}")
        for query in (f"cursor={cursor}", f"status=online&cursor={cursor}", f"status=inactive&cursor={cursor}x", "cursor=ffff", "cursor=%00x", "cursor=ä",
                      f"status=inactive&cursor={cursor[:-4]}"):
            reply = self.raw("GET", "~/devices?" + query)
            self.assertEqual(reply.status_code, 400, query)
            if "%00" not in query:
                problem(self, reply, 400, "bad_cursor")
        for path in ("~/models", "~/products", "~/users", "~/apps/demo/keys", self.path + "/events", self.path + "/commands"):
            refused(self, self.api, "GET", f"{path}?cursor={cursor}", 400, "bad_cursor")

    def test_times_as_asked(self):
        self.assertIsInstance(self.api.get(self.path + "?timeFormat=ms")["createdAt"], int)
        self.assertRegex(self.api.get(self.path + "?timeFormat=rfc3339")["createdAt"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        refused(self, self.api, "GET", self.path + "?timeFormat=unix", 400, "malformed")


class ETags(Conventions):
    def test_what_has_not_changed_is_not_sent_again(self):
        for path in (self.path, self.path + "/status", self.path + "/attributes", self.path + "/tags", "~/models/Inverter", "~/products/demo-inverter",
                     "~/products/demo-inverter/tags", "~/users/admin", "/orgs/-"):
            etag = self.api.request("GET", path).headers["ETag"]
            self.assertRegex(etag, '^"[^"]+"$')
            for header in (etag, "W/" + etag, f'"x", {etag}', "*"):
                for method in ("GET", "HEAD"):
                    reply = self.raw(method, path, headers={"If-None-Match": header})
                    self.assertEqual((reply.status_code, reply.content, reply.headers["ETag"]), (304, b"", etag), path)
            self.assertEqual(self.raw("GET", path, headers={"If-None-Match": '"x"'}).status_code, 200)

    def test_a_change_gives_a_new_one(self):
        before = self.api.request("GET", self.path).headers["ETag"]
        changed = self.api.request("PATCH", self.path, json={"description": "changed"})
        self.assertNotEqual(changed.headers["ETag"], before)
        self.assertEqual(self.raw("GET", self.path, headers={"If-None-Match": before}).status_code, 200)
        self.assertIn("X-Revision", changed.headers)

    def test_if_match(self):
        refused(self, self.api, "PATCH", self.path, 412, "etag_mismatch", json={}, headers={"If-Match": '"999999"'})
        refused(self, self.api, "PATCH", self.path, 412, "etag_mismatch", json={}, headers={"If-Match": '"something else"'})
        refused(self, self.api, "PATCH", self.path, 400, "malformed", json={}, headers={"If-Match": "7"})
        self.api.request("PATCH", self.path, json={}, headers={"If-Match": "*"})


class Idempotency(Conventions):
    def post(self, key, body, path="~/devices", api=None, **options):
        return (api or self.api).request("POST", path, json=body, headers={"Idempotency-Key": key}, **options)

    def test_a_repeat_gets_the_first_answer(self):
        body = {"productKey": "demo-inverter"}
        first, again = self.post("a", body), self.post("a", body)
        self.assertEqual((again.status_code, again.content), (201, first.content), "with the secret that was made once")
        self.assertEqual((first.headers.get("Idempotent-Replay"), again.headers["Idempotent-Replay"]), (None, "true"))
        self.assertEqual(again.headers["ETag"], first.headers["ETag"])
        self.assertNotEqual(again.headers["X-Request-Id"], first.headers["X-Request-Id"])
        self.assertNotEqual(self.post("b", body).json()["assetId"], first.json()["assetId"])

    def test_another_body_is_refused(self):
        self.post("c", {"productKey": "demo-inverter"})
        body = self.post("c", {"productKey": "demo-inverter", "name": "x"}, expect=422).json()
        self.assertEqual(body["code"], "idempotency_mismatch")

    def test_it_belongs_to_the_credential_and_the_path(self):
        body = {"productKey": "demo-inverter"}
        first = self.post("d", body).json()
        other = self.node.api(self.api.post("~/apps/tests/keys", {"permissions": ["*"]})["apiKey"])
        self.assertNotEqual(self.post("d", body, api=other).json()["assetId"], first["assetId"])
        self.post("d", {"items": []}, "~/devices:batch")

    def test_a_refusal_is_kept_too(self):
        body = {"productKey": "demo-inverter", "deviceKey": "inv-01"}
        self.post("e", body, expect=409)
        self.assertEqual(self.post("e", body, expect=409).headers["Idempotent-Replay"], "true")

    def test_while_the_first_is_under_way(self):
        made, device = self.new_device()
        asked = serve(device, lambda name, params: None)
        path = f"~/devices/{made['assetId']}/services/reboot:invoke"
        body = {"input": {}, "timeout": 3}
        results = []
        thread = threading.Thread(target=lambda: results.append(self.post("f", body, path, expect=504)))
        thread.start()
        asked.get(timeout=20)
        self.assertEqual(self.post("f", body, path, expect=409).json()["code"], "idempotency_in_progress")
        thread.join()
        self.assertTrue(results)
        # What failed for a reason that may pass is tried again.
        serve(device)
        self.assertEqual(self.post("f", body, path).json()["state"], "succeeded")

    def test_its_length(self):
        self.post("k" * 128, {"productKey": "demo-inverter"})
        self.assertEqual(self.post("k" * 129, {"productKey": "demo-inverter"}, expect=400).json()["code"], "malformed")

    def test_many_at_once_make_one(self):
        results = []

        def call():
            reply = self.raw("POST", "~/devices", json={"productKey": "demo-inverter", "name": "once"}, headers={"Idempotency-Key": "g"})
            results.append((reply.status_code, reply.json().get("assetId")))

        threads = [threading.Thread(target=call) for _ in range(10)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        made = {asset for status, asset in results if status == 201}
        self.assertEqual(len(made), 1)
        self.assertEqual({status for status, _ in results} - {201, 409}, set())
        wait_for(lambda: len(self.api.get("~/devices?q=once")["items"]) == 1, "there is one")


class Headers(Conventions):
    def test_of_every_reply(self):
        for path in ("~/devices", "/openapi.json", "/system/version", "~/nothing"):
            reply = self.raw("GET", path)
            self.assertIn("X-Request-Id", reply.headers)
            self.assertEqual(reply.headers["Cache-Control"], "no-store")

    def test_the_document_is_open_and_json(self):
        reply = requests.get(self.api.base + "/openapi.json", timeout=30)
        self.assertEqual(reply.headers["Content-Type"], "application/json")
        self.assertEqual(json.loads(reply.text)["openapi"], "3.1.0")


if __name__ == "__main__":
    unittest.main()
