"""Operations: imports, exports, changes of many devices; what stops them halfway and what does not."""
import csv
import io
import json
import socket
import subprocess
import unittest

from api_kit import all_of, model_document, refused
from orrery import BIN, DEADLINE, Device, Node, NodeTest, wait_for

CSV = {"Content-Type": "text/csv"}
NDJSON = {"Content-Type": "application/x-ndjson"}
PASSWORD = "long enough for all"
ATTRIBUTES = [{"id": "size", "name": "Size", "type": {"t": "double", "min": 0}}, {"id": "kind", "name": "Kind", "type": {"t": "string"}}]


def make_product(api, model, **fields):
    api.post("~/models", model_document(model, attributes=ATTRIBUTES))
    api.post(f"~/models/{model}:publish", {}, headers={"If-Match": "*"})
    return add_product(api, model, **fields)


def add_product(api, model, **fields):
    return api.post("~/products", dict({"name": f"{model} {len(api.get('~/products', params={'limit': 500})['items'])}", "modelId": model}, **fields))["productKey"]


def begin(api, body, headers=CSV, **params):
    reply = api.request("POST", "~/devices:import", params=params, data=body if isinstance(body, bytes) else body.encode(), headers=headers)
    operation = reply.json()
    assert reply.status_code == 202 and reply.headers["Location"].endswith("/operations/" + operation["id"]), reply.headers
    return operation


def ended(api, operation, deadline=60):
    path = f"~/operations/{operation['id']}"
    return wait_for(lambda: (lambda o: o if "endedAt" in o else None)(api.get(path, params={"wait": "20s"})), f"{path} is over", deadline)


def rows(api, operation, **params):
    reply = api.request("GET", f"~/operations/{operation['id']}/result", params=params)
    return [json.loads(line) for line in reply.text.splitlines()]


def table(columns, lines):
    out = io.StringIO()
    csv.writer(out).writerows([columns, *lines])
    return out.getvalue()


def count(api, filter):
    return api.post("~/devices:count", {"filter": filter})["total"]


class Operations(NodeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.product = make_product(cls.api, "Massed")
        cls.number = 0

    def setUp(self):
        Operations.number += 1
        self.key = add_product(self.api, "Massed")

    def imported(self, lines, columns=("deviceKey", "name", "attributes.size", "tags.site"), **params):
        o = ended(self.api, begin(self.api, table(columns, lines), **dict({"product": self.key}, **params)))
        self.assertEqual(o["state"], "succeeded", o)
        return o

    def test_an_import_with_bad_rows(self):
        lines = [[f"dev-{n:04}", f"Device {n}", n / 2, f"S{n % 7}"] for n in range(2000)]
        lines[5][0] = "no key"
        lines[6][2] = "large"
        lines[7][2] = "-1"
        lines[8] = ["too", "few"]
        lines[9][0] = "dev-0010"
        o = self.imported(lines)
        self.assertEqual((o["counts"]["ok"], o["counts"]["failed"], o["counts"]["total"]), (1995, 5, 2000), o)
        self.assertEqual(o["progress"], 100)
        self.assertEqual(count(self.api, f"productKey = '{self.key}'"), 1995)
        got = rows(self.api, o)
        self.assertEqual([r["index"] for r in got], list(range(2000)))
        bad = {r["index"]: r["error"]["code"] for r in got if r["status"] == "failed"}
        self.assertEqual(set(bad), {5, 6, 7, 8, 10})
        self.assertEqual((bad[5], bad[8], bad[10]), ("device_key_invalid", "malformed", "device_key_exists"))
        self.assertEqual([r["index"] for r in rows(self.api, o, failed="true")], sorted(bad))
        self.assertFalse(any("deviceSecret" in r for r in got))
        device = self.api.get(f"~/devices/{got[100]['id']}")
        self.assertEqual((device["deviceKey"], device["name"], device["attributes"]["size"], device["tags"]), ("dev-0100", "Device 100", 50.0, {"site": "S2"}))
        # The same again makes nothing new.
        again = self.imported(lines)
        self.assertEqual(again["counts"]["ok"], 0)
        refused(self, self.api, "GET", f"~/operations/{o['id']}/result", 409, "secrets_not_kept", params={"secrets": "true"})

    def test_modes(self):
        lines = [[f"d{n}", f"N{n}", n, "A"] for n in range(10)]
        self.imported(lines)
        changed = [[f"d{n}", f"N{n}", n + (n % 2), "A"] for n in range(12)]
        o = self.imported(changed, mode="update")
        self.assertEqual(o["counts"], {"done": 12, "ok": 5, "skipped": 5, "failed": 2, "total": 12})
        self.assertEqual({r["error"]["code"] for r in rows(self.api, o, failed="true")}, {"device_unknown"})
        o = self.imported(changed, mode="upsert")
        self.assertEqual((o["counts"]["ok"], o["counts"]["skipped"]), (2, 10))
        self.assertEqual(count(self.api, f"productKey = '{self.key}'"), 12)

    def test_a_dry_run_does_nothing(self):
        lines = [[f"d{n}", "N", n - 2, "A"] for n in range(10)] + [["d5", "N", 1, "A"]]
        o = self.imported(lines, dryRun="true")
        self.assertEqual((o["counts"]["ok"], o["counts"]["failed"]), (8, 3), rows(self.api, o))
        self.assertEqual({r["status"] for r in rows(self.api, o)}, {"valid", "failed"})
        self.assertEqual(count(self.api, f"productKey = '{self.key}'"), 0)

    def test_json_rows_and_keys_that_are_made(self):
        lines = [{"name": "A", "attributes": {"size": 1}, "tags": {"a": "b"}}, {"deviceKey": "x", "colour": 1}, {"productKey": "nobody's", "deviceKey": "y"}]
        body = "\n".join(json.dumps(r) for r in lines) + "\n\nnonsense"
        o = ended(self.api, begin(self.api, body, NDJSON, product=self.key))
        got = rows(self.api, o)
        self.assertEqual([r.get("error", {}).get("code") for r in got], [None, "unknown_field", "product_unknown", "malformed"])
        self.assertTrue(got[0]["deviceKey"])

    def test_secrets_are_shown_once_to_whoever_began(self):
        o = self.imported([[f"d{n}", "N", 1, "A"] for n in range(3)], secrets="true")
        self.assertEqual(o["secrets"], "kept")
        got = rows(self.api, o, secrets="true")
        self.assertEqual(len({r["deviceSecret"] for r in got}), 3)
        self.assertEqual(self.api.get(f"~/operations/{o['id']}")["secrets"], "shown")
        self.assertFalse(any("deviceSecret" in r for r in rows(self.api, o)))
        device = Device(self.node, self.key, got[1]["deviceKey"], got[1]["deviceSecret"])
        self.addCleanup(device.close)
        device.connect()
        for r in got:
            self.assertNotIn(r["deviceSecret"], self.node.log_text())

    def test_a_body_that_is_none(self):
        for body, headers, params, status, code in (
                ("", CSV, {}, 422, "import_invalid"), ("colour\n1", CSV, {}, 422, "import_invalid"), ("", NDJSON, {}, 422, "import_invalid"),
                ("{}", {"Content-Type": "application/json"}, {}, 415, "unsupported_media_type"),
                ("deviceKey\na", CSV, {"mode": "wish"}, 400, "malformed"), ("deviceKey\na", CSV, {"dryRun": "1"}, 400, "malformed"),
                ("deviceKey\na", CSV, {"product": "nobody's"}, 404, "product_unknown"), ("deviceKey\na", CSV, {"nonsense": "1"}, 400, "unknown_field"),
                ("deviceKey\na", dict(CSV, **{"Content-Encoding": "gzip"}), {}, 415, "unsupported_media_type")):
            with self.subTest(body=body, params=params, headers=headers):
                refused(self, self.api, "POST", "~/devices:import", status, code, data=body, headers=headers, params=params)
        self.assertEqual(self.api.get("~/operations", params={"state": "receiving"})["items"], [])

    def test_a_repeat_with_its_key_begins_nothing_new(self):
        body = table(("deviceKey",), [["k%d" % n] for n in range(5)])
        headers = dict(CSV, **{"Idempotency-Key": f"import-{self.key}"})
        first = begin(self.api, body, headers, product=self.key)
        reply = self.api.request("POST", "~/devices:import", data=body, headers=headers, params={"product": self.key})
        self.assertEqual((reply.json()["id"], reply.headers.get("Idempotent-Replay")), (first["id"], "true"))
        refused(self, self.api, "POST", "~/devices:import", 422, "idempotency_mismatch", data=body + "more", headers=headers, params={"product": self.key})
        ended(self.api, first)

    def test_cancelled_in_the_middle(self):
        o = begin(self.api, table(("deviceKey",), [[f"c{n}"] for n in range(3000)]), product=self.key, rate="200")
        path = f"~/operations/{o['id']}"
        wait_for(lambda: self.api.get(path)["counts"]["done"] > 0, "it has begun")
        self.api.post(f"{path}:cancel")
        o = ended(self.api, o)
        self.assertEqual(o["state"], "cancelled")
        self.assertLess(o["counts"]["done"], 3000)
        self.assertEqual(count(self.api, f"productKey = '{self.key}'"), o["counts"]["ok"])
        self.assertEqual(len(rows(self.api, o)), o["counts"]["done"])
        refused(self, self.api, "POST", f"{path}:cancel", 409, "operation_over")

    def test_bulk_by_filter(self):
        self.imported([[f"b{n:03}", "N", n, f"S{n % 2}"] for n in range(600)])
        mine = f"productKey = '{self.key}'"
        seen = self.api.post("~/devices:bulk", {"action": "disable", "filter": f"{mine} and tags.site = 'S1'", "dryRun": True})
        self.assertEqual((seen["total"], len(seen["sample"])), (300, 10))
        self.assertEqual(count(self.api, f"{mine} and status = 'disabled'"), 0)

        def bulk(**body):
            o = ended(self.api, self.api.post("~/devices:bulk", body))
            self.assertEqual(o["state"], "succeeded", o)
            return o
        o = bulk(action="disable", filter=f"{mine} and tags.site = 'S1'", reason="checked")
        self.assertEqual((o["counts"]["ok"], o["counts"]["failed"]), (300, 0))
        self.assertEqual(count(self.api, f"{mine} and status = 'disabled'"), 300)
        o = bulk(action="disable", filter=mine)
        self.assertEqual((o["counts"]["ok"], o["counts"]["skipped"]), (300, 300))
        bulk(action="enable", filter=f"{mine} and status = 'disabled'")  # what it does changes what its filter finds
        self.assertEqual(count(self.api, f"{mine} and status = 'disabled'"), 0)
        bulk(action="tag", filter=mine, tags={"wave": "1"})
        self.assertEqual(count(self.api, f"{mine} and tags.wave = '1'"), 600)
        bulk(action="untag", filter=mine, tagKeys=["wave"])
        self.assertEqual(count(self.api, f"{mine} and exists(tags.wave)"), 0)
        some = self.api.get("~/devices", params={"filter": mine, "limit": 3})["items"]
        ids = [d["assetId"] for d in some] + [some[0]["assetId"][:-4] + "zzzz"]
        o = bulk(action="resetSecret", ids=ids)
        self.assertEqual((o["counts"]["ok"], o["counts"]["failed"], o["counts"]["total"]), (3, 1, 4))
        fresh = rows(self.api, o, secrets="true")
        device = Device(self.node, self.key, fresh[0]["deviceKey"], fresh[0]["deviceSecret"])
        self.addCleanup(device.close)
        device.connect()
        o = bulk(action="kick", filter=mine)
        self.assertEqual((o["counts"]["ok"], o["counts"]["skipped"]), (1, 599))
        device.gone.get(timeout=DEADLINE)
        o = bulk(action="delete", filter=f"{mine} and tags.site = 'S0'")
        self.assertEqual(o["counts"]["ok"], 300)
        self.assertEqual(count(self.api, mine), 300)
        self.assertEqual({r["status"] for r in rows(self.api, o)}, {"deleted"})

    def test_bulk_that_cannot_be(self):
        for body in ({}, {"action": "explode", "all": True}, {"action": "enable"}, {"action": "enable", "filter": ""},
                     {"action": "enable", "all": True, "filter": "name = 'x'"}, {"action": "tag", "all": True}, {"action": "untag", "all": True},
                     {"action": "enable", "ids": ["nobody"]}, {"action": "enable", "ids": ["x"] * 1001}):
            with self.subTest(body=str(body)[:60]):
                refused(self, self.api, "POST", "~/devices:bulk", 422, "validation_failed", json=body)
        refused(self, self.api, "POST", "~/devices:bulk", 400, "bad_filter", json={"action": "enable", "filter": "nonsense"})

    def test_an_export_is_what_was_imported(self):
        columns = ["productKey", "deviceKey", "name", "attributes.kind", "attributes.size", "tags.site"]
        lines = [[self.key, f"e{n:04}", f'Näme "{n}", with, commas', "=kind", str(n / 4), f"S{n % 3}"] for n in range(1200)]
        self.imported(lines, columns)
        o = ended(self.api, self.api.post("~/devices:export", {"filter": f"productKey = '{self.key}'", "columns": columns}))
        self.assertEqual((o["state"], o["counts"]["ok"]), ("succeeded", 1200))
        reply = self.api.request("GET", f"~/operations/{o['id']}/result")
        self.assertEqual(reply.headers["Content-Type"], "text/csv; charset=utf-8")
        other = add_product(self.api, "Massed")
        moved = reply.content.decode().replace(self.key, other)
        self.assertEqual(ended(self.api, begin(self.api, moved))["counts"]["ok"], 1200)
        for key in (self.key, other):
            o = ended(self.api, self.api.post("~/devices:export", {"filter": f"productKey = '{key}'", "format": "ndjson"}))
            got = sorted((d["deviceKey"], d["name"], d["attributes"]["kind"], str(d["attributes"]["size"]), d["tags"]["site"]) for d in rows(self.api, o))
            self.assertEqual(got, sorted(tuple(line[1:]) for line in lines))
        refused(self, self.api, "POST", "~/devices:export", 400, "unknown_field", json={"columns": ["colour"]})
        refused(self, self.api, "POST", "~/devices:export", 400, "bad_filter", json={"filter": "nonsense"})

    def test_provisioning_by_a_pattern(self):
        body = {"productKey": self.key, "keys": "inv-{0998..1004}", "name": "Inverter {key}", "tags": {"lot": "7"}}
        o = ended(self.api, self.api.post("~/devices:provision", body))
        self.assertEqual((o["state"], o["counts"]["ok"], o["secrets"]), ("succeeded", 7, "kept"))
        text = self.api.request("GET", f"~/operations/{o['id']}/result", params={"format": "csv", "secrets": "true"}).text
        got = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual([r["deviceKey"] for r in got], [f"inv-{n:04}" for n in range(998, 1005)])
        self.assertEqual(len({r["deviceSecret"] for r in got}), 7)
        self.assertEqual(self.api.get(f"~/devices/{got[0]['id']}")["name"], "Inverter inv-0998")
        refused(self, self.api, "POST", "~/devices:provision", 422, "key_pattern_invalid", json=dict(body, keys="inv"))
        refused(self, self.api, "POST", "~/devices:provision", 404, "product_unknown", json=dict(body, productKey="nobody's"))

    def test_gateways_of_rows(self):
        gates = make_product(self.api, f"Gate{self.number}", nodeType="gateway")
        gate = self.api.post("~/devices", {"productKey": gates, "deviceKey": "g"})
        o = self.imported([["s1", f"{gates}/g"], ["s2", f"{gates}/nobody"], ["s3", f"{gates}/g"]], ["deviceKey", "gateway"])
        got = rows(self.api, o)
        self.assertEqual([r["status"] for r in got], ["created", "failed", "created"], got)
        self.assertEqual(self.api.get(f"~/devices/{got[0]['id']}")["gateway"], gate["assetId"])

    def test_a_gateway_that_is_not_there_makes_no_device(self):
        o = self.imported([["n1", "nobody/nowhere"], ["n2", ""]], ["deviceKey", "gateway"], secrets="true")
        got = rows(self.api, o, secrets="true")
        self.assertEqual([(r["status"], r.get("error", {}).get("code")) for r in got], [("failed", "device_unknown"), ("created", None)])
        self.assertEqual(count(self.api, f"productKey = '{self.key}'"), 1, "the row can be imported again")

    def test_what_was_made_is_told_though_it_cannot_be_bound(self):
        made = make_product(self.api, f"Late{self.number}")  # no gateways, which is seen when it is there
        o = self.imported([[made, "g", ""], [self.key, "s", f"{made}/g"]], ["productKey", "deviceKey", "gateway"], secrets="true")
        got = rows(self.api, o, secrets="true")
        self.assertEqual([(r["status"], r.get("error", {}).get("code")) for r in got], [("created", None), ("failed", "not_gateway")])
        self.assertTrue(got[1]["deviceSecret"])
        self.assertEqual(self.api.get(f"~/devices/{got[1]['id']}")["deviceKey"], "s")

    def test_a_gateway_may_come_in_the_same_file(self):
        gates = make_product(self.api, f"Near{self.number}", nodeType="gateway")
        o = self.imported([[self.key, "s", f"{gates}/g"], [gates, "g", ""]], ["productKey", "deviceKey", "gateway"])
        got = rows(self.api, o)
        self.assertEqual(self.api.get(f"~/devices/{got[0]['id']}")["gateway"], got[1]["id"])

    def test_a_line_that_is_far_too_long_is_one_bad_row(self):
        body = "\n".join([json.dumps({"deviceKey": "a"}), '{"name": "' + "x" * 700_000 + '"}', json.dumps({"deviceKey": "b"})])
        o = ended(self.api, begin(self.api, body, NDJSON, product=self.key))
        self.assertEqual([r.get("error", {}).get("code") for r in rows(self.api, o)], [None, "too_large", None])

    def test_slow_ones_leave_room_for_others(self):
        """As many as there are workers, and more: each would take minutes."""
        slow = [self.api.post("~/devices:provision", {"productKey": self.key, "keys": f"slow{n}-{{1..600}}", "rate": 1}) for n in range(4)]
        self.imported([["quick"]], ["deviceKey"])
        for o in slow:
            self.api.post(f"~/operations/{o['id']}:cancel")
        for o in slow:
            o = ended(self.api, o)
            self.assertEqual(o["state"], "cancelled")
            self.assertEqual([r["index"] for r in rows(self.api, o)], list(range(o["counts"]["done"])))

    def test_what_is_over_can_be_removed(self):
        slow = begin(self.api, table(("deviceKey",), [[f"w{n}"] for n in range(300)]), product=self.key, rate="1")
        path = f"~/operations/{slow['id']}"
        refused(self, self.api, "DELETE", path, 409, "operation_not_over")
        self.api.post(f"{path}:cancel")
        ended(self.api, slow)
        self.api.request("DELETE", path)
        for method, rest in (("GET", ""), ("GET", "/result"), ("DELETE", "")):
            refused(self, self.api, method, path + rest, 404, "operation_unknown")
        self.assertNotIn(slow["id"], [o["id"] for o in self.api.get("~/operations")["items"]])

    def test_ids_that_are_named_are_deleted_if_they_are_there(self):
        made = rows(self.api, self.imported([[f"x{n}"] for n in range(3)], ["deviceKey"]))
        ids = [r["id"] for r in made]
        o = ended(self.api, self.api.post("~/devices:bulk", {"action": "delete", "ids": [ids[0], ids[0][:-4] + "zzzz", ids[1]]}))
        got = rows(self.api, o)
        self.assertEqual([r["status"] for r in got], ["deleted", "failed", "deleted"])
        self.assertEqual(got[1]["error"]["code"], "device_unknown")
        again = rows(self.api, ended(self.api, self.api.post("~/devices:bulk", {"action": "delete", "ids": ids})))
        self.assertEqual([r["status"] for r in again], ["failed", "failed", "deleted"])
        refused(self, self.api, "POST", "~/devices:bulk", 422, "validation_failed", json={"action": "resetSecret", "ids": [ids[0], ids[0]]})

    def test_somebody_with_a_group(self):
        ids = [r["id"] for r in rows(self.api, self.imported([[f"g{n}"] for n in range(4)], ["deviceKey"]))]
        group = self.api.post("~/groups", {"name": "Mine " + self.key, "type": "static"})["id"]
        self.api.post(f"~/groups/{group}/members:add", {"ids": ids[:2]})
        name = "grp" + self.key
        self.api.post("~/roles", {"name": name, "permissions": ["device:*"], "scope": {"groups": [group]}})
        self.api.post("~/users", {"login": name, "password": PASSWORD, "roles": [name]})
        some = self.node.api(self.api.post("/auth/login", {"user": name, "password": PASSWORD})["access"])
        self.assertEqual(some.post("~/devices:bulk", {"action": "disable", "all": True, "dryRun": True})["total"], 2)
        o = ended(some, some.post("~/devices:export", {"format": "ndjson", "columns": ["assetId"]}))
        self.assertEqual({r["assetId"] for r in rows(some, o)}, set(ids[:2]))
        tagged = ended(some, some.post("~/devices:bulk", {"action": "tag", "all": True, "tags": {"by": "group"}}))
        self.assertEqual(tagged["counts"]["ok"], 2)
        self.assertEqual(count(self.api, f"productKey = '{self.key}' and tags.by = 'group'"), 2)
        got = rows(some, ended(some, some.post("~/devices:bulk", {"action": "delete", "ids": ids[1:3]})))
        self.assertEqual([r["status"] for r in got], ["deleted", "failed"], "what is out of reach is not there")
        self.assertEqual(got[1]["error"]["code"], "device_unknown")
        self.api.get(f"~/devices/{ids[2]}")
        # Rights are looked at again when a file is fetched.
        self.api.post("~/roles", {"name": name + "-none", "permissions": ["group:read"]})
        self.api.request("PATCH", f"~/users/{name}", json={"roles": [name + "-none"]})
        none = self.node.api(self.api.post("/auth/login", {"user": name, "password": PASSWORD})["access"])
        refused(self, none, "GET", f"~/operations/{o['id']}/result", 403, "forbidden")
        self.assertEqual(len(rows(self.api, o)), 2, "somebody else who may see all devices")

    def test_what_cannot_be_written_down(self):
        for path, body in (("~/devices:provision", {"productKey": self.key, "keys": "z{1..2}", "tags": {f"t{n}": "x" for n in range(101)}}),
                           ("~/devices:provision", {"productKey": self.key, "keys": "z{1..2}", "attributes": {"kind": "x" * 70_000}}),
                           ("~/devices:bulk", {"action": "tag", "all": True, "tags": {"t": "x" * 300}}),
                           ("~/devices:bulk", {"action": "untag", "all": True, "tagKeys": ["x" * 100]}),
                           ("~/devices:export", {"columns": ["deviceKey", "deviceKey"]})):
            with self.subTest(path=path):
                refused(self, self.api, "POST", path, 422, "validation_failed", json=body)

    def test_lists_and_waits(self):
        o = self.imported([["l1", "", "", ""]])
        listed = all_of(self.api, "~/operations")
        self.assertEqual(len({one["id"] for one in listed}), len(listed))
        self.assertIn(o["id"], [one["id"] for one in listed])
        self.assertEqual(listed, sorted(listed, key=lambda one: one["id"], reverse=True), "newest first")
        for params, code in (({"state": "over"}, "malformed"), ({"kind": "x"}, "malformed"), ({"cursor": "x"}, "bad_cursor")):
            refused(self, self.api, "GET", "~/operations", 400, code, params=params)
        self.assertTrue(all(one["kind"] == "deviceExport" for one in self.api.get("~/operations", params={"kind": "deviceExport"})["items"]))
        for wait in ("61", "-1", "x", "5m"):
            refused(self, self.api, "GET", f"~/operations/{o['id']}", 400, "malformed", params={"wait": wait})
        refused(self, self.api, "GET", "~/operations/nothing", 404, "operation_unknown")
        slow = begin(self.api, table(("deviceKey",), [[f"w{n}"] for n in range(3)]), product=self.key, rate="1")
        self.assertEqual(self.api.get(f"~/operations/{slow['id']}", params={"wait": "30s"})["state"], "succeeded")

    def test_the_template_is_what_an_import_takes(self):
        text = self.api.request("GET", "~/devices:importTemplate", params={"product": self.key}).text
        titles = next(csv.reader(io.StringIO(text)))
        self.assertEqual(titles, ["productKey", "deviceKey", "name", "description", "timezone", "gateway", "attributes.size", "attributes.kind"])
        o = ended(self.api, begin(self.api, text + ",t1,N,,,,1.5,x\r\n", product=self.key))
        self.assertEqual(o["counts"]["ok"], 1, rows(self.api, o))
        refused(self, self.api, "GET", "~/devices:importTemplate", 404, "product_unknown", params={"product": "nobody's"})

    def test_an_upload_that_breaks_off_leaves_nothing(self):
        line = "x" * 60
        head = (f"POST /api/v1/orgs/-/devices:import?product={self.key} HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 9000000\r\n"
                f"Authorization: {self.api.session.headers['Authorization']}\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self.node.ports["api"])) as peer:
            peer.sendall(head.encode() + b"deviceKey,name\n" + b"".join(b"k%d,%s\n" % (n, line.encode()) for n in range(4000)))
            wait_for(lambda: self.api.get("~/operations", params={"state": "receiving"})["items"], "the operation takes its input")
        wait_for(lambda: not self.api.get("~/operations", params={"state": "receiving"})["items"], "the input is given up")
        self.assertEqual(count(self.api, f"productKey = '{self.key}'"), 0)

    def test_who_may(self):
        for role, permissions, scope in (("op-reader", ["device:read"], None), ("op-part", ["device:*"], {"products": [self.key]}),
                                         ("op-ops", ["ops:read"], None)):
            self.api.post("~/roles", dict({"name": role + self.key, "permissions": permissions}, **({"scope": scope} if scope else {})))
            self.api.post("~/users", {"login": role + self.key, "password": PASSWORD, "roles": [role + self.key]})
        def log_in(login, organisation="default"):
            return self.node.api(self.api.post("/auth/login", {"user": login, "password": PASSWORD, "organisation": organisation})["access"])
        reader, part, ops = (log_in(f"op-{name}{self.key}") for name in ("reader", "part", "ops"))
        refused(self, reader, "POST", "~/devices:import", 403, "forbidden", data="deviceKey\na", headers=CSV, params={"product": self.key})
        for action in ("enable", "resetSecret", "delete"):
            refused(self, reader, "POST", "~/devices:bulk", 403, "forbidden", json={"action": action, "all": True})
        # A scope: what is outside is not there.
        o = ended(part, begin(part, table(("productKey", "deviceKey"), [[self.key, "in"], [self.product, "out"]])))
        self.assertEqual([r.get("error", {}).get("code") for r in rows(part, o)], [None, "product_unknown"])
        outside = self.api.post("~/devices", {"productKey": self.product, "deviceKey": "outside" + self.key})["assetId"]
        got = ended(part, part.post("~/devices:bulk", {"action": "disable", "ids": [outside]}))
        self.assertEqual((got["counts"]["ok"], got["counts"]["failed"]), (0, 1))
        got = ended(part, part.post("~/devices:bulk", {"action": "tag", "all": True, "tags": {"by": "part"}}))
        self.assertEqual(got["counts"]["ok"], 1)
        got = ended(part, part.post("~/devices:export", {"format": "ndjson"}))
        self.assertEqual({r["productKey"] for r in rows(part, got)}, {self.key})
        # Others' operations.
        refused(self, reader, "GET", f"~/operations/{o['id']}", 404, "operation_unknown")
        refused(self, reader, "POST", f"~/operations/{o['id']}:cancel", 404, "operation_unknown")
        self.assertEqual(reader.get("~/operations")["items"], [])
        self.assertEqual(ops.get(f"~/operations/{o['id']}")["id"], o["id"])
        refused(self, ops, "POST", f"~/operations/{o['id']}:cancel", 404, "operation_unknown")
        mine = ended(part, part.post("~/devices:provision", {"productKey": self.key, "keys": "p{1..2}"}))
        refused(self, ops, "GET", f"~/operations/{mine['id']}/result", 403, "forbidden", params={"secrets": "true"})
        # Another organisation's.
        self.api.post("/orgs", {"id": "o" + self.key.lower(), "name": "Other", "admin": {"login": "olga" + self.key, "password": PASSWORD}})
        other = log_in("olga" + self.key, "o" + self.key.lower())
        for path in ("", "/result"):
            refused(self, other, "GET", f"~/operations/{o['id']}{path}", 404, "operation_unknown")
        self.assertEqual(other.get("~/operations")["items"], [])
        got = ended(other, begin(other, "productKey,deviceKey\n%s,x" % self.key))
        self.assertEqual(rows(other, got)[0]["error"]["code"], "product_unknown")
        self.assertEqual(ended(other, other.post("~/devices:export", {}))["counts"]["ok"], 0)


class Room(NodeTest):
    def test_a_full_quota_ends_an_import(self):
        """More than a step beyond the limit: what has no room fails, and the operation succeeds."""
        api = self.api
        key = make_product(api, "Roomy")
        admin = self.node.api(api.post("/auth/login", {"user": "admin", "password": (self.node.data / "admin-password").read_text().strip()})["access"])
        had = count(api, "")
        admin.request("PUT", "/orgs/-/quotas", json={"items": [{"item": "devices", "hard": had + 10}]})
        body = table(("deviceKey",), [[f"r{n:04}"] for n in range(2500)])
        o = ended(api, begin(api, body, product=key))
        self.assertEqual((o["state"], o["counts"]["ok"], o["counts"]["failed"]), ("succeeded", 10, 2490), o)
        self.assertEqual({r["error"]["code"] for r in rows(api, o, failed="true")}, {"quota_exceeded"})
        again = ended(api, begin(api, body, product=key, mode="upsert"))
        self.assertEqual((again["counts"]["skipped"], again["counts"]["failed"]), (10, 2490), "what is there needs no room")
        admin.request("PUT", "/orgs/-/quotas", json={"items": [{"item": "devices", "hard": had + 15}]})
        more = ended(api, begin(api, body, product=key))
        self.assertEqual(more["counts"]["ok"], 5, "rows that are there take no room from those behind them")
        self.assertEqual(count(api, ""), had + 15)
        admin.request("PUT", "/orgs/-/quotas", json={"items": []})


class CommandLine(NodeTest):
    def run_cli(self, *arguments, code=0, input=None):
        done = subprocess.run([str(BIN / "orrery"), *arguments], capture_output=True, text=True, timeout=90, input=input,
                              env={"ORRERY_SERVER": self.api.base.removesuffix("/api/v1"), "ORRERY_API_KEY": self.node.demo["apiKey"], "HOME": str(self.node.folder)})
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_a_fleet(self):
        product, folder = self.node.demo["productKey"], self.node.folder
        titles = self.run_cli("device", "template", product).stdout
        self.assertTrue(titles.startswith("productKey,deviceKey,name"), titles)
        (folder / "in.csv").write_text("deviceKey,name,tags.site\n" + "".join(f"cli-{n},N{n},A\n" for n in range(30)))
        self.assertIn("succeeded", self.run_cli("device", "import", str(folder / "in.csv"), "--product", product, "--dry-run").stdout)
        done = self.run_cli("device", "import", str(folder / "in.csv"), "--product", product)
        self.assertIn("100 %", done.stderr)
        made = json.loads(self.run_cli("--output", "json", "operation", "list", "--kind", "deviceImport").stdout)
        self.assertEqual((made[0]["counts"]["ok"], len(made)), (30, 2))
        self.assertEqual(len(self.run_cli("operation", "result", made[0]["id"]).stdout.splitlines()), 30)
        self.assertEqual(json.loads(self.run_cli("--output", "json", "operation", "get", made[0]["id"]).stdout)["state"], "succeeded")
        self.assertIn("existing", self.run_cli("device", "check", product, "cli-1", "nobody").stdout)
        self.run_cli("device", "bulk", "tag", "--filter", "deviceKey like 'cli-%'", "--tag", "wave=2")
        seen = json.loads(self.run_cli("--output", "json", "device", "bulk", "delete", "--filter", "tags.wave = '2'", "--dry-run").stdout)
        self.assertEqual(seen["total"], 30)
        out = self.run_cli("device", "export", "--filter", "tags.wave = '2'", "--column", "deviceKey", "--column", "tags.wave").stdout
        self.assertEqual(sorted(out.split())[:2], ["cli-0,2", "cli-1,2"])
        self.run_cli("device", "provision", product, "prov-{1..4}", "-o", str(folder / "keys.csv"))
        keys = list(csv.DictReader((folder / "keys.csv").open()))
        self.assertEqual(([k["deviceKey"] for k in keys], len({k["deviceSecret"] for k in keys})), ([f"prov-{n}" for n in range(1, 5)], 4))
        slow = json.loads(self.run_cli("--output", "json", "device", "bulk", "untag", "--all", "--tag", "wave", "--rate", "1", "--no-wait").stdout)
        self.run_cli("operation", "cancel", slow["id"])
        self.assertIn("cancelled", self.run_cli("operation", "wait", slow["id"], code=1).stderr)
        self.run_cli("operation", "delete", slow["id"])
        self.run_cli("operation", "get", slow["id"], code=1)


class Limits(unittest.TestCase):
    def test_limits_and_retention(self):
        with Node(settings=("operations.max_open=1", "operations.retention=2s", "operations.max_input_bytes=100KiB")) as node:
            api = node.api()
            product = node.demo["productKey"]
            slow = begin(api, table(("deviceKey",), [[f"w{n}"] for n in range(500)]), product=product, rate="20")
            refused(self, api, "POST", "~/devices:export", 429, "too_many_operations", json={})
            api.post(f"~/operations/{slow['id']}:cancel")
            ended(api, slow)
            self.assertEqual(api.request("POST", "~/devices:import", expect=413, data="deviceKey\n" + "x\n" * 60_000, headers=CSV).json()["code"], "too_large")
            wait_for(lambda: node.api().get("~/operations")["items"] == [], "what is over goes in time")
            refused(self, api, "GET", f"~/operations/{slow['id']}", 404, "operation_unknown")


class Killed(unittest.TestCase):
    def test_goes_on_after_a_kill(self):
        """The node is killed in the middle, twice: every row is done once, and stands once in the result."""
        with Node(settings=("storage.durability=os",)) as node:
            product = node.demo["productKey"]
            o = begin(node.api(), table(("deviceKey", "name"), [[f"k{n:04}", f"N{n}"] for n in range(4000)]), product=product, rate="1000", secrets="true")
            for done in (0, 1500):
                path = f"~/operations/{o['id']}"
                wait_for(lambda: node.api().get(path)["counts"]["done"] > done, "it goes on", 60)
                node.kill()
                node.start()
            api = node.api()
            o = ended(api, o, 90)
            self.assertEqual((o["state"], o["counts"]["ok"], o["counts"]["failed"]), ("succeeded", 4000, 0), o)
            got = rows(api, o, secrets="true")
            self.assertEqual([(r["index"], r["deviceKey"], r["status"]) for r in got], [(n, f"k{n:04}", "created") for n in range(4000)])
            self.assertEqual(len({r["id"] for r in got}), 4000)
            self.assertEqual(count(api, "deviceKey like 'k%'"), 4000)

    def test_goes_on_at_once_after_a_stop(self):
        with Node() as node:
            o = begin(node.api(), table(("deviceKey",), [[f"k{n:04}"] for n in range(1000)]), product=node.demo["productKey"], rate="500")
            wait_for(lambda: node.api().get(f"~/operations/{o['id']}")["counts"]["done"] > 0, "it has begun")
            self.assertEqual(node.stop(), 0)
            node.start()
            self.assertEqual(ended(node.api(), o)["counts"]["ok"], 1000)


if __name__ == "__main__":
    unittest.main()
