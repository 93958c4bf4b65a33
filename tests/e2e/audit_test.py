"""The audit log: what is done and what is refused has a record, nothing secret is in one, and whatever is changed in a log is found."""
import concurrent.futures
import hashlib
import json
import random
import subprocess
import tempfile
import time
import unittest
import pathlib

import requests

from api_kit import all_of, model_document, problem, refused
from mqtt_wire import CONNACK, Who, Wire, fresh
from orrery import BIN, DEADLINE, Node, NodeTest, wait_for

PASSWORD = "Quite-a-Secret-Password-1"


class Kit(NodeTest):
    def records(self, api=None, path="~/audit", **conditions):
        """Newest first."""
        query = "&".join(f"{name}={requests.utils.quote(str(value))}" for name, value in conditions.items())
        return all_of(api or self.api, f"{path}?{query}", 500)

    def newest(self, action, api=None, **conditions):
        found = self.records(api, action=action, **conditions)
        self.assertTrue(found, f"no record of {action}")
        return found[0]

    def person(self, login, roles, org=None):
        (org or self.api).post("~/users", {"login": login, "password": PASSWORD, "roles": roles})
        self.addCleanup(lambda: (org or self.api).session.delete((org or self.api).base + f"{(org or self.api).org}/users/{login}"))
        return self.node.api(self.log_in(login))

    def log_in(self, login, organisation="default"):
        return self.api.post("/auth/login", {"user": login, "password": PASSWORD, "organisation": organisation})["access"]

    def admin(self):
        return self.node.api(self.api.post("/auth/login", {"user": "admin", "password": (self.node.data / "admin-password").read_text().strip()})["access"])

    def export(self, api=None, path="~/audit:export", **body):
        """All lines, part by part."""
        text, api = "", api or self.api
        while True:
            reply = api.request("POST", path, json=body)
            text += reply.text
            if reply.headers["X-Next"] == "0":
                return text
            body["after"] = int(reply.headers["X-Next"])

    def verify(self, text):
        """What the documentation says, by hand."""
        previous, number = None, None
        for line in text.encode().splitlines():
            if line.startswith(b'{"audit"'):
                heading = json.loads(line)
                if previous is not None:
                    self.assertEqual((heading["anchor"], heading["first"]), (previous, number))
                previous, number = heading["anchor"], heading["first"]
                continue
            record = line[84:-1]
            self.assertEqual(line[:84], b'{"hash":"%s","record":' % line[9:73])
            self.assertEqual(hashlib.sha256(record).hexdigest(), line[9:73].decode())
            read = json.loads(record)
            self.assertEqual((read["previous"], read["number"]), (previous, number))
            previous, number = line[9:73].decode(), number + 1
        return number - 1, previous


class Records(Kit):
    def test_a_change_has_who_what_and_what_came_of_it(self):
        device = self.api.post("~/devices", {"productKey": self.node.demo["productKey"], "name": "Old"})
        reply = self.api.request("PATCH", f"~/devices/{device['assetId']}", json={"name": "New", "tags": {"site": "A7"}})
        r = self.newest("updateDevice")
        key = self.api.get("/auth/me")["actor"]
        self.assertEqual((r["actor"], r["address"], r["method"], r["permission"], r["result"], r["status"]),
                         (key, "127.0.0.1", "PATCH", "device:write", "done", 200))
        self.assertEqual(r["requestId"], reply.headers["X-Request-Id"])
        self.assertEqual(r["resource"], {"kind": "device", "id": device["assetId"]})
        self.assertEqual(r["application"], "demo")
        self.assertEqual(r["asked"], {"name": "New", "tags": {"site": "A7"}})
        self.assertEqual((r["before"]["name"], r["after"]["name"]), ("Old", "New"))
        self.assertEqual(r["after"]["tags"], {"site": "A7"})
        self.assertNotIn("productKey", r["after"], "only what changed")

    def test_what_is_made_and_deleted(self):
        made = self.api.post("~/devices", {"productKey": self.node.demo["productKey"]})
        r = self.newest("createDevice")
        self.assertEqual(r["resource"], {"kind": "device", "id": made["assetId"]})
        self.assertEqual(r["after"]["deviceSecret"], "[redacted]")
        product = self.node.demo["productKey"]
        self.api.request("DELETE", f"~/products/{product}/devices/{made['deviceKey']}")
        r = self.newest("deleteDeviceByKey")
        self.assertEqual((r["resource"], r["device"]), ({"kind": "device", "id": made["assetId"]}, made["assetId"]))
        self.assertEqual(r["before"]["deviceKey"], made["deviceKey"])
        batch = self.api.post("~/devices:batch", {"items": [{"productKey": product}, {"productKey": "none"}]})
        r = self.newest("createDevices")
        self.assertEqual(r["ids"], [batch["results"][0]["id"]])

    def test_each_main_resource_tells_before_and_after(self):
        api, product = self.api, self.node.demo["productKey"]
        self.person("audited", ["viewer"])
        api.request("PATCH", "~/users/audited", json={"name": "Another"})
        api.post("~/roles", {"name": "audited", "permissions": ["data:read"]})
        api.request("PUT", "~/roles/audited", json={"permissions": ["data:read", "stats:read"]})
        api.request("PUT", "~/grants/users/audited", json={"roles": ["audited"]})
        api.request("DELETE", "~/grants/users/audited")
        api.request("DELETE", "~/roles/audited")
        api.post("~/apps", {"id": "audited", "name": "Old"})
        api.request("PATCH", "~/apps/audited", json={"name": "New"})
        key = api.post("~/apps/audited/keys", {"permissions": ["data:read"]})
        rotated = api.post(f"~/apps/audited/keys/{key['id']}:rotate", {"overlap": 0})
        api.request("DELETE", f"~/apps/audited/keys/{rotated['id']}")
        api.request("DELETE", "~/apps/audited")
        api.request("PATCH", f"~/products/{product}", json={"description": "audited"}, headers={"If-Match": "*"})
        api.post("~/models", model_document("Audited"))
        api.post("~/models/Audited:publish", {"note": "first"})
        path = f"~/devices/{self.node.demo['devices'][1]['assetId']}"
        for verb in ("disable", "enable"):
            api.post(f"{path}:{verb}", {"reason": "audit"})
        api.post(path + ":resetSecret", {"overlap": 600})
        api.request("PUT", path + "/twin/desired", json={"rate": 5}, headers={"If-Match": "*"})
        tree = api.post("~/trees", {"name": "Old", "root": {"asset": {"name": "Root"}}})
        api.request("PATCH", f"~/trees/{tree['id']}", json={"name": "New"})
        node = api.post(f"~/trees/{tree['id']}/nodes", {"parent": tree["rootId"], "asset": {"name": "Leaf"}})
        api.request("PATCH", f"~/trees/{tree['id']}/nodes/{node['id']}", json={"label": "L"})
        api.request("DELETE", f"~/trees/{tree['id']}/nodes/{node['id']}")
        api.request("DELETE", f"~/trees/{tree['id']}?cascade=true")
        for action, member, before, after in (
                ("updateUser", "name", "audited", "Another"), ("replaceRole", "permissions", ["data:read"], ["data:read", "stats:read"]),
                ("updateApp", "name", "Old", "New"), ("publishModel", "revision", None, 1), ("disableDevice", "status", "offline", "disabled"),
                ("enableDevice", "status", "disabled", "offline"), ("updateTree", "name", "Old", "New"), ("updateNode", "label", "", "L")):
            r = self.newest(action)
            if member == "status" and r["before"].get(member) == "inactive" or r["after"].get(member) == "inactive":
                before, after = r["before"][member], r["after"][member]  # it has not logged in yet
            self.assertEqual((r["before"].get(member), r["after"].get(member)), (before, after), action)
        self.assertEqual(self.newest("replaceDesired")["after"]["desired"], {"rate": 5})
        self.assertEqual(self.newest("setGrants")["resource"], {"kind": "grant", "id": "users/audited"})
        for action in ("deleteRole", "deleteApp", "revokeKey", "deleteGrants", "deleteTree", "deleteNode"):
            self.assertTrue(self.newest(action)["before"], action)
        for action in ("createUser", "createKey", "rotateKey", "createApp", "createRole", "createTree", "addNode"):
            self.assertTrue(self.newest(action)["after"], action)
        self.assertEqual(self.newest("createKey")["after"]["apiKey"], "[redacted]")
        self.assertEqual(self.newest("resetDeviceSecret")["asked"], {"overlap": 600})

    def test_log_ins(self):
        self.person("walker", ["viewer"])
        self.assertEqual(self.newest("login", actor="user:walker")["result"], "done")
        asked = self.newest("login", actor="user:walker")["asked"]
        self.assertEqual((asked["user"], asked["password"]), ("walker", "[redacted]"))
        refused(self, self.api, "POST", "/auth/login", 401, "bad_credentials", json={"user": "walker", "password": "not the right one"})
        wait_for(lambda: self.records(action="login", actor="user:walker", result="refused"), "the refusal is noted")
        r = self.newest("login", actor="user:walker", result="refused")
        self.assertEqual((r["status"], r["reason"], r["address"]), (401, "bad_credentials", "127.0.0.1"))

    def test_refusals_name_what_is_missing(self):
        viewer = self.person("looker", ["viewer"])
        refused(self, viewer, "POST", "~/roles", 403, "forbidden", json={"name": "x", "permissions": []})
        r = self.newest("createRole", result="refused")
        self.assertEqual((r["actor"], r["status"], r["permission"], r["detail"]), ("user:looker", 403, "iam:role", "needs the permission iam:role"))
        refused(self, viewer, "GET", "~/users", 403, "forbidden")
        self.assertEqual(self.newest("listUsers", actor="user:looker")["result"], "refused")

    def test_what_is_out_of_reach_is_refused_in_the_log(self):
        self.api.post("~/roles", {"name": "elsewhere", "permissions": ["*"], "scope": {"products": ["another"]}})
        scoped = self.person("scoped", ["elsewhere"])
        path = f"~/devices/{self.node.demo['devices'][0]['assetId']}"
        refused(self, scoped, "GET", path, 404, "device_unknown")
        r = self.newest("getDevice", actor="user:scoped")
        self.assertEqual((r["result"], r["status"]), ("refused", 404))
        missing = path[:-1] + ("0" if path[-1] != "0" else "1")
        refused(self, scoped, "GET", missing, 404, "device_unknown")
        self.assertEqual(len(self.records(action="getDevice", actor="user:scoped")), 1, "what is not there is no refusal")

    def test_strangers_are_in_the_log_of_the_installation(self):
        requests.get(self.api.base + "/orgs/-/devices", timeout=10)
        admin = self.admin()
        wait_for(lambda: self.records(admin, "/system/audit", action="listDevices"), "it is noted")
        r = self.records(admin, "/system/audit", action="listDevices")[-1]
        self.assertEqual((r["result"], r["status"], r["reason"], "actor" in r), ("refused", 401, "unauthenticated", False))
        self.assertEqual(self.records(action="listDevices", result="refused"), [])

    def test_bad_requests_and_repeats(self):
        refused(self, self.api, "POST", "~/roles", 400, "unknown_field", json={"nonsense": 1})
        r = self.newest("createRole", result="failed")
        self.assertEqual((r["status"], r["reason"], r["asked"]), (400, "unknown_field", {"nonsense": 1}))
        headers = {"Idempotency-Key": "audit-1"}
        for _ in range(2):
            self.api.request("POST", "~/apps", json={"id": "repeated"}, headers=headers)
        again, first = self.records(action="createApp", filter='resource = "app:repeated" or exists(actor)')[:2]
        self.assertTrue(again["replay"])
        self.assertEqual((again["idempotencyKey"], first["idempotencyKey"], "replay" in first), ("audit-1", "audit-1", False))
        self.api.request("DELETE", "~/apps/repeated", expect=412, headers={"If-Match": '"99999"'})
        self.assertEqual(self.newest("deleteApp", result="failed")["reason"], "etag_mismatch")

    def test_reads_are_not_noted_and_data_is_counted(self):
        before = self.api.get("~/audit/head")["number"]
        self.api.get("~/devices")
        self.api.post("~/devices/search", {})
        self.api.post("~/audit/search", {})
        self.assertEqual(self.api.get("~/audit/head")["number"], before)
        path = f"~/devices/{self.node.demo['devices'][0]['assetId']}/points"
        for n in range(5):
            self.api.post(path, {"items": [{"points": {"power": n}}]})
        wait_for(lambda: self.records(action="ingestPoints"), "the first is noted")
        self.assertEqual(len(self.records(action="ingestPoints")), 1)


class RefusedDevices(Kit):
    def refuse(self, who, code):
        wire = Wire(self.node)
        self.addCleanup(wire.close)
        answer = wire.send(who.login()).packet()
        self.assertEqual((answer.kind, answer.body[1]), (CONNACK, code))

    def of(self, name):
        return [r for r in self.records(action="deviceLogin") if r["resource"]["id"] == name]

    def test_are_in_the_log_of_their_organisation(self):
        made, good = fresh(self.api, self.node.demo["productKey"])
        name, before = f"{good.pk}/{good.dk}", len(self.records(action="deviceLogin"))
        for _ in range(3):
            self.refuse(Who(good.pk, good.dk, "wrong"), 4)
        [first] = wait_for(lambda: self.of(name), "the first is there at once")
        self.assertEqual((first["result"], first["reason"], first["status"], first["resource"], first["address"], "count" in first),
                         ("refused", "sign_check_failed", 401, {"kind": "device", "id": name}, "127.0.0.1", False))
        self.assertNotIn("actor", first)
        self.refuse(Who("no-such-product", "x", "wrong"), 4)  # nobody's log
        self.refuse(Who(good.pk, "no-such-device", "wrong"), 4)
        wait_for(lambda: self.of(f"{good.pk}/no-such-device"), "another sort is told at once")
        self.assertEqual(len(self.records(action="deviceLogin")), before + 2)
        numbered = wait_for(lambda: [r for r in self.of(name) if "count" in r], "the others after a minute", 90)
        self.assertEqual((numbered[0]["count"], numbered[0]["reason"]), (2, "sign_check_failed"))
        self.verify(self.export())


class Reading(Kit):
    def test_pages_conditions_and_search(self):
        for n in range(7):
            self.api.post("~/apps", {"id": f"page-{n}"})
        items = [r for r in all_of(self.api, "~/audit", 3)]
        self.assertEqual([r["number"] for r in items], sorted((r["number"] for r in items), reverse=True))
        self.assertEqual(len({r["number"] for r in items}), len(items))
        found = self.records(filter='resource like "app:page-%" and result = "done"')
        self.assertEqual([r["resource"]["id"] for r in found], [f"page-{n}" for n in reversed(range(7))])
        [one] = self.records(resource="app:page-3")
        self.assertEqual([r["number"] for r in self.records(resource="app:page-3", **{"from": one["time"]})], [one["number"]])
        self.assertEqual(self.records(resource="app:page-3", to=one["time"]), [])
        page = self.api.post("~/audit/search", {"filter": 'action = "createApp"', "limit": 2, "oldestFirst": True})
        more = self.api.post("~/audit/search?cursor=" + page["nextCursor"], {"filter": 'action = "createApp"', "limit": 500, "oldestFirst": True})
        numbers = [r["number"] for r in page["items"] + more["items"]]
        self.assertEqual(numbers, sorted(numbers))
        self.assertGreaterEqual(len(numbers), 7)

    def test_bad_questions(self):
        for query, code in (("filter=nonsense", "bad_filter"), ("filter=colour%20%3D%201", "bad_filter"), ("from=yesterday", "malformed"),
                            ("limit=0", "malformed"), ("cursor=x", "bad_cursor"), ("colour=red", "unknown_field")):
            refused(self, self.api, "GET", f"~/audit?{query}", 400, code)
        refused(self, self.api, "POST", "~/audit/search", 400, "unknown_field", json={"colour": 1})
        refused(self, self.api, "POST", "~/audit:export", 422, "validation_failed", json={"limit": 0})

    def test_who_may_read(self):
        operator = self.person("op", ["operator"])
        for method, path in (("GET", "~/audit"), ("GET", "~/audit/head"), ("POST", "~/audit/search"), ("POST", "~/audit:export"), ("GET", "/system/audit")):
            refused(self, operator, method, path, 403, "forbidden", **({"json": {}} if method == "POST" else {}))
        self.api.post("~/roles", {"name": "auditor", "permissions": ["audit:read"]})
        self.assertTrue(self.person("auditor", ["auditor"]).get("~/audit")["items"])

    def test_other_organisations_learn_nothing(self):
        admin = self.admin()
        admin.post("/orgs", {"id": "apart", "name": "Apart", "admin": {"login": "fay", "password": PASSWORD}})
        foreign = self.node.api(self.log_in("fay", "apart"))
        self.assertEqual({(r["log"], r["organisation"]) for r in self.records(foreign)}, {("apart", "apart")})
        refused(self, foreign, "GET", "/orgs/default/audit", 404, "not_found")
        refused(self, foreign, "GET", "/system/audit", 403, "forbidden")
        refused(self, foreign, "POST", "/system/audit:export", 403, "forbidden", json={})
        admin.post("/orgs/apart:suspend", {"reason": "audit"})
        admin.post("/orgs/apart:resume")
        foreign = self.node.api(self.log_in("fay", "apart"))
        self.assertEqual([r["action"] for r in self.records(foreign, filter='kind = "org"')][:2], ["resumeOrganisation", "suspendOrganisation"])
        self.assertEqual(self.newest("suspendOrganisation", admin)["after"], {"suspended": True, "suspendReason": "audit"})


class Chain(Kit):
    def test_an_export_verifies_by_hand_and_by_the_program(self):
        for n in range(20):
            self.api.post("~/apps", {"id": f"chain-{n}"})
        whole = self.export()
        number, head = self.verify(whole)
        self.assertGreaterEqual(number, 20)
        self.assertEqual(self.verify(self.export(limit=3))[0] >= number, True)
        later = self.api.get("~/audit/head")
        self.assertGreaterEqual(later["number"], number)
        lines = whole.splitlines()
        self.assertIn(head, [json.loads(line).get("hash") for line in lines])
        done = self.cli("audit", "verify", "-", input=whole)
        self.assertEqual(json.loads(done.stdout)["hash"], head, done.stderr)

    def cli(self, *arguments, input=None, code=0):
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run([str(BIN / "orrery"), "--output", "json", *arguments], capture_output=True, text=True, timeout=90, input=input,
                                  env={"HOME": home, "ORRERY_SERVER": f"http://127.0.0.1:{self.node.ports['api']}", "ORRERY_API_KEY": self.node.demo["apiKey"]})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def test_whatever_bytes_come_the_log_is_read_and_verifies(self):
        url = f"{self.api.base}/orgs/-/apps/%FF%C3?x%FE=%E2%82"
        self.api.session.delete(url, timeout=10, headers={"Idempotency-Key": b"k" * 127 + b"\xc3\xa4"})
        self.api.post("~/apps", {"id": "after-bytes"})
        self.assertTrue(self.records(filter='action = "deleteApp" or action = "createApp"'))
        self.verify(self.export())

    def test_a_witness_must_be_comparable(self):
        self.api.post("~/apps", {"id": "witness-1"})
        heads = [self.api.get("~/audit/head")]
        self.api.post("~/apps", {"id": "witness-2"})
        heads.append(self.api.get("~/audit/head"))
        self.api.post("~/apps", {"id": "witness-3"})
        part = self.export(after=heads[1]["number"])
        self.assertEqual(json.loads(part.splitlines()[0])["anchor"], heads[1]["hash"])
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "part.ndjson"
            file.write_text(part)
            self.cli("audit", "verify", str(file), "--witness", f"{heads[1]['number']}:{heads[1]['hash']}")
            self.cli("audit", "verify", str(file), "--witness", f"{heads[1]['number']}:{'0' * 64}", code=1)
            older = self.cli("audit", "verify", str(file), "--witness", f"{heads[0]['number']}:{heads[0]['hash']}", code=1)
            self.assertIn("older than what is here", older.stderr)
        head = self.api.get("~/audit/head")
        beyond = json.loads(self.export(after=head["number"] + 1000).splitlines()[0])
        self.assertEqual((beyond["first"], beyond["anchor"]), (head["number"] + 1, head["hash"]))

    def test_the_command_line(self):
        self.api.post("~/apps", {"id": "cli-audit"})
        head = json.loads(self.cli("audit", "head").stdout)
        self.assertEqual(json.loads(self.cli("audit", "list", "--resource", "app:cli-audit").stdout)[0]["action"], "createApp")
        self.assertEqual(json.loads(self.cli("audit", "search", 'resource = "app:cli-audit"').stdout)[0]["action"], "createApp")
        witness = f"{head['number']}:{head['hash']}"
        self.assertGreaterEqual(json.loads(self.cli("audit", "verify", "--witness", witness).stdout)["records"], 1)
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "audit.ndjson"
            self.cli("audit", "export", "--file", str(file))
            self.cli("audit", "verify", str(file), "--witness", witness)
            done = self.cli("audit", "verify", str(file), "--witness", f"{head['number']}:{'0' * 64}", code=1)
            self.assertIn("another one than the witness saw", done.stderr)
            self.cli("audit", "verify", str(file), "--witness", "nonsense", code=1)
            lines = file.read_text().splitlines()
            file.write_text("\n".join(lines[:-2] + lines[-1:]) + "\n")
            self.assertIn("is missing", self.cli("audit", "verify", str(file), code=1).stderr)
            file.write_text("\n".join(lines).replace("cli-audit", "cli-other", 1) + "\n")
            self.assertIn("was changed", self.cli("audit", "verify", str(file), code=1).stderr)

    def test_many_at_once_make_one_chain(self):
        def change(n):
            return self.node.api().request("POST", "~/apps", json={"id": f"many-{n}"}).headers["X-Request-Id"]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            ids = list(pool.map(change, range(100)))
        text = self.export()
        self.verify(text)
        noted = [json.loads(line)["record"]["requestId"] for line in text.splitlines() if line.startswith('{"hash"')]
        self.assertEqual([noted.count(i) for i in ids], [1] * len(ids))


class Secrets(Kit):
    def test_no_secret_is_in_any_log(self):
        api, product = self.api, self.node.demo["productKey"]
        secrets = [PASSWORD, "another-Password-2", "Chosen-Device-Secret-9"]
        person = self.person("keeper", ["admin"])
        secrets += [person.session.headers["Authorization"].split()[1]]
        tokens = api.post("/auth/login", {"user": "keeper", "password": PASSWORD})
        secrets += [tokens["access"], tokens["refresh"]]
        tokens = api.post("/auth/token", {"refresh": tokens["refresh"]})
        secrets += [tokens["access"], tokens["refresh"]]
        second = person.post("/auth/totp")
        secrets += [second["secret"], *second["spareCodes"]]
        device = api.post("~/devices", {"productKey": product, "deviceSecret": "Chosen-Device-Secret-9"})
        made = api.post("~/devices:batch", {"items": [{"productKey": product}]})["results"][0]["device"]
        secrets += [made["deviceSecret"], api.post(f"~/devices/{device['assetId']}:resetSecret")["deviceSecret"]]
        key = api.post("~/apps/keeper/keys", {"permissions": ["data:read"]})
        again = api.post(f"~/apps/keeper/keys/{key['id']}:rotate", {"overlap": 0})
        secrets += [key["secret"], key["apiKey"], again["secret"], again["apiKey"]]
        fresh = api.post("~/products", {"name": "Kept", "modelId": api.get("~/models")["items"][0]["id"]})
        secrets += [fresh["productSecret"], api.post(f"~/products/{fresh['productKey']}:resetSecret")["productSecret"]]
        api.post("~/users/keeper:resetPassword", {"password": "another-Password-2"})
        api.request("PATCH", f"~/devices/{device['assetId']}", json={"description": f"it is {key['apiKey']}"})
        refused(self, api, "POST", "~/users", 400, "unknown_field", json={"login": "x", "pass": 1, "deep": {"token": second["secret"]}})
        self.assertEqual(len([s for s in secrets if s]), len(secrets))
        admin = self.admin()
        text = self.export() + self.export(admin, "/system/audit:export")
        for secret in secrets:
            self.assertNotIn(secret, text)
            self.assertNotIn(secret, self.node.log_text())
        self.assertGreater(text.count("[redacted]"), 10)


class Floods(Kit):
    settings = ("audit.max_bytes=1MiB",)

    def test_strangers_are_counted(self):
        admin = self.admin()
        before = admin.get("/system/audit/head")["number"]
        session = requests.Session()
        for n in range(300):
            session.get(self.api.base + "/orgs/-/audit", timeout=10, headers={"Authorization": f"Bearer {n}"})
        wait_for(lambda: admin.get("/system/audit/head")["number"] > before, "the first is noted")
        self.assertLessEqual(admin.get("/system/audit/head")["number"] - before, 3)

    def test_refusals_of_somebody_known_are_counted_after_some(self):
        viewer = self.person("pushy", ["viewer"])
        for _ in range(100):
            refused(self, viewer, "DELETE", "~/apps/x", 403, "forbidden")
        self.assertLessEqual(len(self.records(actor="user:pushy", action="deleteApp")), 33)

    def test_a_log_has_an_end_and_the_rest_verifies(self):
        note = "x" * 400
        path = f"~/devices/{self.node.demo['devices'][0]['assetId']}"
        def change(n):
            self.node.api().request("PATCH", path, json={"description": f"{note} {n}"})
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(change, range(800)))
        head = self.api.get("~/audit/head")
        self.assertGreater(head["first"], 1)
        text = self.export()
        self.verify(text)
        self.assertLess(len(text), 1.2 * 1024 * 1024)
        self.assertGreater(json.loads(text.splitlines()[0])["first"], 1)


class Lasting(unittest.TestCase):
    def test_a_log_outlives_a_crash(self):
        node = Node().start()
        self.addCleanup(node.close)
        ids = [node.api().request("POST", "~/apps", json={"id": f"crash-{n}"}).headers["X-Request-Id"] for n in range(10)]
        node.kill()
        node.start()
        items = node.api().get("~/audit?limit=500")["items"]
        self.assertEqual([r["requestId"] for r in reversed(items) if r["requestId"] in ids], ids)
        node.api().post("~/apps", {"id": "after"})
        Kit.verify(self, Kit.export(self, node.api()))


if __name__ == "__main__":
    unittest.main()
