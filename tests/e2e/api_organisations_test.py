"""Organisations, their suspension and their quotas (group A of the API)."""
import time
import unittest

import paho.mqtt.client as paho

from api_kit import all_of, model_document, problem, refused
from orrery import DEADLINE, Device, NodeTest, wait_for

PASSWORD = "long enough"


class OrganisationTest(NodeTest):
    def organisation(self, id, **fields):
        return self.api.post("/orgs", dict({"id": id, "admin": {"login": "boss", "password": PASSWORD}}, **fields))

    def log_in(self, organisation, expect=None, login="boss"):
        nobody = self.node.api("none")
        del nobody.session.headers["Authorization"]
        return nobody.request("POST", "/auth/login", expect=expect, json={"user": login, "password": PASSWORD, "organisation": organisation})

    def boss(self, organisation):
        return self.node.api(self.log_in(organisation).json()["access"])


class Organisations(OrganisationTest):
    def test_come_change_and_go(self):
        made = self.organisation("acme", name="Acme", locale="de-AT", timeZone="Europe/Vienna")
        self.assertEqual((made["name"], made["locale"], made["timeZone"], made["suspended"]), ("Acme", "de-AT", "Europe/Vienna", False))
        self.assertEqual(self.api.get("/orgs/acme"), made)
        boss = self.boss("acme")
        self.assertEqual(boss.get("/orgs/-"), made)
        self.assertEqual(boss.get("/auth/me")["permissions"], ["*"])
        changed = self.api.request("PATCH", "/orgs/acme", json={"timeZone": "UTC"}).json()
        self.assertEqual(changed, dict(made, timeZone="UTC"))
        refused(self, self.api, "POST", "/orgs", 409, "org_exists", json={"id": "acme", "admin": {"login": "b", "password": PASSWORD}})
        self.assertIn("acme", [o["id"] for o in all_of(self.api, "/orgs", 1)])
        boss.post("~/models", model_document("Thing"))
        refused(self, self.api, "DELETE", "/orgs/acme", 409, "org_not_empty")
        boss.request("DELETE", "~/models/Thing", headers={"If-Match": "*"})
        key = boss.post("~/apps/x/keys", {"permissions": ["*"]})["apiKey"]
        self.api.request("DELETE", "/orgs/acme")
        refused(self, self.api, "GET", "/orgs/acme", 404, "org_unknown")
        refused(self, boss, "GET", "/auth/me", 401, "unauthenticated")
        refused(self, self.node.api(key), "GET", "/auth/me", 401, "unauthenticated")
        problem(self, self.log_in("acme", 401), 401, "bad_credentials")
        refused(self, self.api, "POST", "/orgs", 409, "org_exists", json={"id": "acme", "admin": {"login": "b", "password": PASSWORD}})

    def test_are_checked(self):
        good = {"login": "boss", "password": PASSWORD}
        for body, pointers in (({"id": "x"}, ["/admin"]), ({"admin": good}, ["/id"]), ({"id": "a b", "admin": good}, ["/id"]),
                               ({"id": "x", "admin": {"login": "boss", "password": "short"}}, ["/admin/password"]),
                               ({"id": "x", "admin": {}}, ["/admin/login", "/admin/password"]),
                               ({"id": "x", "name": 1, "admin": good}, ["/name"])):
            found = refused(self, self.api, "POST", "/orgs", 422, "validation_failed", json=body)
            self.assertEqual([e["pointer"] for e in found["errors"]], pointers, body)
        refused(self, self.api, "POST", "/orgs", 422, "org_invalid", json={"id": "x", "locale": "de AT", "admin": good})
        refused(self, self.api, "POST", "/orgs", 422, "login_invalid", json={"id": "x", "admin": {"login": "a b", "password": PASSWORD}})
        refused(self, self.api, "PATCH", "/orgs/none", 404, "org_unknown", json={})
        refused(self, self.api, "PATCH", "/orgs/-", 422, "org_invalid", json={"timeZone": "<x>"})

    def test_the_owners_stays(self):
        refused(self, self.api, "DELETE", "/orgs/default", 409, "state_conflict")
        refused(self, self.api, "POST", "/orgs/-:suspend", 409, "state_conflict", json={})

    def test_are_the_operators_matter(self):
        self.organisation("plain")
        boss = self.boss("plain")
        for method, path, body in (("GET", "/orgs", None), ("POST", "/orgs", {}), ("PATCH", "/orgs/-", {"name": "Mine"}),
                                   ("DELETE", "/orgs/plain", None), ("POST", "/orgs/plain:suspend", {}),
                                   ("PUT", "~/quotas", {"items": []})):
            refused(self, boss, method, path, 403, "forbidden", **({"json": body} if body is not None else {}))
        refused(self, boss, "GET", "/orgs/default", 404, "not_found")
        refused(self, self.api, "GET", "/orgs/plain/users", 404, "not_found")
        self.assertEqual(boss.get("~/devices")["items"], [], "its own")


class Suspension(OrganisationTest):
    def fleet(self, id):
        """A device of the organisation, and its boss."""
        self.organisation(id)
        boss = self.boss(id)
        boss.post("~/models", model_document("Meter"))
        boss.post("~/models/Meter:publish", {})
        product = boss.post("~/products", {"name": "Meters", "modelId": "Meter"})["productKey"]
        made = boss.post("~/devices", {"productKey": product, "deviceKey": "m1"})
        return boss, Device(self.node, product, "m1", made["deviceSecret"]), made

    def again(self, device, made):
        one = Device(self.node, device.pk, device.dk, made["deviceSecret"])
        code = one.try_connect()
        one.close()
        return code

    def test_ends_what_is_open_and_lets_nothing_in(self):
        boss, device, made = self.fleet("unpaid")
        key = self.node.api(boss.post("~/apps/x/keys", {"permissions": ["*"], "topics": [{"topic": "#"}]})["apiKey"])
        tokens = self.log_in("unpaid").json()
        device.connect()
        stays = self.node.device(2).connect()
        self.addCleanup(stays.close)
        begun = time.monotonic()
        told = self.api.post("/orgs/unpaid:suspend", {"reason": "no money"})
        self.assertEqual((told["suspended"], told["suspendReason"]), (True, "no money"))
        device.gone.get(timeout=DEADLINE)
        self.assertLess(time.monotonic() - begun, 5)
        device.close()
        self.assertEqual(self.again(device, made), 5)
        self.assertEqual(stays.post({"power": 1.0})["code"], 200, "of another organisation")
        for api in (boss, key):
            refused(self, api, "GET", "/auth/me", 403, "org_suspended")
        problem(self, self.log_in("unpaid", 403), 403, "org_suspended")
        problem(self, self.node.api("x").request("POST", "/auth/token", expect=403, json={"refresh": tokens["refresh"]}), 403, "org_suspended")
        self.assertGreater(self.node.metrics()['orrery_login_refused_total{reason="org_suspended"}'], 0)
        self.api.post("/orgs/unpaid:suspend", {})
        self.api.post("/orgs/unpaid:resume")
        wait_for(lambda: self.again(device, made) == 0, "it is let in again")
        key.get("/auth/me")
        refused(self, boss, "GET", "/auth/me", 401, "unauthenticated")
        self.assertEqual(self.boss("unpaid").get("/orgs/-")["suspended"], False)

    def test_of_five_says_why(self):
        boss, device, made = self.fleet("telling")
        name, secret, client_id = device.client._username, device.client._password, device.client._client_id
        self.api.post("/orgs/telling:suspend", {})
        wait_for(lambda: self.again(device, made) == 5, "it is in force")
        five = paho.Client(client_id=client_id.decode(), protocol=paho.MQTTv5)
        five.username_pw_set(name.decode(), secret.decode())
        told = []
        five.on_connect = lambda c, u, flags, code, properties: told.append((code.value, properties.ReasonString))
        five.connect("localhost", self.node.ports["mqtt"])
        five.loop_start()
        self.addCleanup(five.loop_stop)
        wait_for(lambda: told, "it is told")
        self.assertEqual(told[0], (0x8A, "org_suspended"))

    def test_lasts_over_a_restart(self):
        boss, device, made = self.fleet("lasting")
        self.api.post("/orgs/lasting:suspend", {"reason": "r"})
        self.node.kill()
        self.node.start()
        self.api = type(self).api = self.node.api()
        self.assertEqual(self.again(device, made), 5)
        self.assertEqual(self.api.get("/orgs/lasting")["suspendReason"], "r")


class Quotas(OrganisationTest):
    def quotas(self, api, org="-"):
        return {q["item"]: q for q in api.get(f"/orgs/{org}/quotas")["items"]}

    def put(self, org, **limits):
        items = [dict({"item": item}, **limit) for item, limit in limits.items()]
        return self.api.request("PUT", f"/orgs/{org}/quotas", json={"items": items}).json()

    def test_show_what_is_used(self):
        self.organisation("counted")
        boss = self.boss("counted")
        self.assertEqual({item: q["used"] for item, q in self.quotas(boss).items()},
                         {"devices": 0, "products": 0, "models": 0, "users": 1, "apps": 0, "keys": 0, "roles": 0, "groups": 0, "configurations": 0, "fileBytes": 0})
        boss.post("~/apps/x/keys", {"permissions": ["*"]})
        boss.post("~/roles", {"name": "r", "permissions": []})
        used = self.quotas(boss)
        self.assertEqual([used[item]["used"] for item in ("apps", "keys", "roles")], [1, 1, 1])
        self.assertEqual(used["users"]["hard"], 1000)
        self.assertEqual(self.quotas(self.api, "counted"), used)
        self.assertEqual(self.quotas(self.api)["devices"]["used"], self.api.get("~/stats/devices")["total"])

    def test_a_hard_one_is_the_end(self):
        self.organisation("small")
        boss = self.boss("small")
        self.put("small", users={"hard": 2}, roles={"hard": 0}, apps={"hard": 1}, keys={"hard": 1}, models={"hard": 1}, products={"hard": 1})
        before = self.node.metrics().get('orrery_api_quotas_reached_total{limit="hard"}', 0)
        boss.post("~/users", {"login": "second", "password": PASSWORD})
        boss.post("~/apps/x/keys", {"permissions": ["*"]})
        boss.post("~/models", model_document("One"))
        boss.post("~/models/One:publish", {})
        boss.post("~/products", {"name": "One", "modelId": "One"})
        for path, body in (("~/users", {"login": "third", "password": PASSWORD}), ("~/roles", {"name": "r", "permissions": []}),
                           ("~/apps", {"id": "y"}), ("~/apps/x/keys", {"permissions": ["*"]}), ("~/models", model_document("Two")),
                           ("~/products", {"name": "Two", "modelId": "One"})):
            reply = boss.request("POST", path, expect=429, json=body)
            problem(self, reply, 429, "quota_exceeded")
            self.assertNotIn("Retry-After", reply.headers)
        self.assertEqual(self.node.metrics()['orrery_api_quotas_reached_total{limit="hard"}'], before + 6)
        self.put("small")
        boss.post("~/roles", {"name": "r", "permissions": []})

    def test_a_soft_one_is_told_once(self):
        self.organisation("warned")
        boss = self.boss("warned")
        self.put("warned", roles={"soft": 1}, models={"soft": 0})
        for name in ("a", "b", "c"):
            boss.post("~/roles", {"name": name, "permissions": []})
            boss.post("~/models", model_document(name))
        self.assertEqual(self.quotas(boss)["roles"], {"item": "roles", "used": 3, "soft": 1, "passed": True, "hard": 100})
        lines = [line for line in self.node.log_text().splitlines() if "soft limit passed" in line and '"warned"' in line]
        self.assertEqual(len(lines), 2, lines)
        self.assertGreaterEqual(self.node.metrics()['orrery_api_quotas_reached_total{limit="soft"}'], 2)

    def test_are_checked(self):
        for items, status, code in (([{"item": "cows", "hard": 1}], 422, "quota_invalid"), ([{"item": "devices", "soft": 2, "hard": 1}], 422, "quota_invalid"),
                                    ([{"item": "users", "hard": 1001}], 422, "quota_invalid"),
                                    ([{"item": "users", "soft": 2, "hard": 1}], 422, "quota_invalid"),
                                    ([{"item": "users", "hard": -1}], 422, "validation_failed"), ([{"hard": 1}], 422, "validation_failed"),
                                    ([{"item": "users", "more": 1}], 400, "unknown_field")):
            refused(self, self.api, "PUT", "/orgs/-/quotas", status, code, json={"items": items})
        refused(self, self.api, "PUT", "/orgs/-/quotas", 422, "validation_failed", json={})
        refused(self, self.api, "GET", "/orgs/none/quotas", 404, "org_unknown")
        refused(self, self.api, "PUT", "/orgs/none/quotas", 404, "org_unknown", json={"items": []})


if __name__ == "__main__":
    unittest.main()
