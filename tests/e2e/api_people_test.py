"""Group A of the API: log-ins, people, keys of applications."""
import base64
import json
import time
import unittest

from api_kit import all_of, problem, refused
from orrery import NodeTest, wait_for


class PeopleTest(NodeTest):
    def setUp(self):
        self.password = (self.node.data / "admin-password").read_text().strip()
        self.nobody = self.node.api("none")
        del self.nobody.session.headers["Authorization"]

    def login(self, user="admin", password=None, expect=None):
        body = {"user": user, "password": password or self.password}
        return self.nobody.request("POST", "/auth/login", json=body, expect=expect)

    def tokens(self, user="admin", password=None):
        return self.login(user, password).json()

    def person(self, login, *roles):
        self.api.post("~/users", {"login": login, "password": "long enough", "roles": list(roles) or ["viewer"]})
        return self.node.api(self.tokens(login, "long enough")["access"])

    def key(self, app="tests", **fields):
        return self.api.post(f"~/apps/{app}/keys", fields)


class Login(PeopleTest):
    def test_gives_tokens_that_say_who_asks(self):
        for _ in range(20):  # whatever the clock says between two of its milliseconds
            tokens = self.tokens()
            self.assertEqual((tokens["tokenType"], tokens["expiresIn"]), ("Bearer", 3600))
        me = self.node.api(tokens["access"]).get("/auth/me")
        self.assertEqual(me, {"organisation": "default", "actor": "user:admin", "permissions": ["*"]})

    def test_refuses_what_is_wrong_and_says_no_more_than_that(self):
        wrong = problem(self, self.login("admin2", "x", 401), 401, "bad_credentials")
        self.person("known")
        self.assertEqual(problem(self, self.login("known", "x", 401), 401, "bad_credentials")["detail"], wrong["detail"])
        body = {"user": "admin", "password": self.password, "organisation": "elsewhere"}
        refused(self, self.nobody, "POST", "/auth/login", 401, "bad_credentials", json=body)

    def test_names_missing_and_unknown_fields(self):
        body = refused(self, self.nobody, "POST", "/auth/login", 422, "validation_failed", json={})
        self.assertEqual([e["pointer"] for e in body["errors"]], ["/user", "/password"])
        refused(self, self.nobody, "POST", "/auth/login", 400, "unknown_field", json={"user": "a", "password": "b", "otp": 1})

    def test_too_many_bad_passwords_lock_the_login_even_for_the_right_one(self):
        api = self.person("clumsy")
        for _ in range(5):
            self.login("clumsy", "wrong", 401)
        reply = problem(self, self.login("clumsy", "long enough", 423), 423, "locked")
        self.assertIn("locked until", reply["detail"])
        self.assertEqual(api.get("/auth/me")["actor"], "user:clumsy", "who is logged in stays so")
        self.assertTrue(self.api.get("~/users/clumsy")["locked"])
        self.api.post("~/users/clumsy:resetPassword", {"password": "brand new one"})
        self.login("clumsy", "brand new one")

    def test_a_good_password_forgives_the_bad_ones(self):
        self.person("human")
        for _ in range(3):
            for _ in range(4):
                self.login("human", "wrong", 401)
            self.login("human", "long enough")

    def test_guessing_does_not_stop_the_reads_of_others(self):
        import threading
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(
            self.node.api("x").session.post(self.nobody.base + "/auth/login", json={"user": "nobody", "password": "x"}, timeout=60).status_code))
            for _ in range(60)]
        for t in threads:
            t.start()
        begun = time.monotonic()
        self.api.get("~/devices")
        self.assertLess(time.monotonic() - begun, 30)
        for t in threads:
            t.join()
        self.assertEqual(set(answers) - {401, 429}, set())


class Tokens(PeopleTest):
    def test_refresh_gives_new_ones(self):
        old = self.tokens()
        new = self.nobody.post("/auth/token", {"grant": "refresh", "refresh": old["refresh"]})
        self.assertNotEqual(new["access"], old["access"])
        self.assertEqual(self.node.api(new["access"]).get("/auth/me")["actor"], "user:admin")

    def test_each_is_good_for_its_use_alone(self):
        tokens = self.tokens()
        refused(self, self.node.api(tokens["refresh"]), "GET", "/auth/me", 401, "unauthenticated")
        for token in (tokens["access"], self.node.demo["apiKey"], "x", ""):
            refused(self, self.nobody, "POST", "/auth/token", 401, "bad_credentials", json={"refresh": token})

    def test_logout_ends_both_and_no_other_log_in(self):
        first, second = self.tokens(), self.tokens()
        self.node.api(first["access"]).post("/auth/logout")
        refused(self, self.node.api(first["access"]), "GET", "/auth/me", 401, "unauthenticated")
        refused(self, self.nobody, "POST", "/auth/token", 401, "bad_credentials", json={"refresh": first["refresh"]})
        self.assertEqual(self.node.api(second["access"]).get("/auth/me")["actor"], "user:admin")

    def test_a_key_has_no_log_in_to_end(self):
        refused(self, self.api, "POST", "/auth/logout", 409, "state_conflict")

    def test_a_changed_token_is_no_token(self):
        head, body, mac = self.tokens()["access"].split(".")
        claims = json.loads(base64.urlsafe_b64decode(body + "=="))
        other = base64.urlsafe_b64encode(json.dumps(dict(claims, sub="root")).encode()).decode().rstrip("=")
        none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
        for token in (f"{head}.{other}.{mac}", f"{none}.{body}.", f"{none}.{body}.{mac}", f"{head}.{body}", f"{head}.{body}.{mac}x"):
            refused(self, self.node.api(token), "GET", "/auth/me", 401, "unauthenticated")

    def test_a_401_names_its_scheme(self):
        reply = self.nobody.request("GET", "/auth/me", expect=401)
        self.assertEqual(reply.headers["WWW-Authenticate"], "Bearer")


class ShortTokens(PeopleTest):
    settings = ("api.access_ttl=1s", "api.refresh_ttl=8s")

    def test_they_end_by_themselves_and_a_refresh_makes_them_last(self):
        tokens = self.tokens()
        api = self.node.api(tokens["access"])
        wait_for(lambda: api.session.get(api.base + "/auth/me").status_code == 401, "the access token is over")
        refused(self, api, "GET", "/auth/me", 401, "token_expired")
        end = time.monotonic() + 10  # longer than a refresh token lasts
        while time.monotonic() < end:
            tokens = self.nobody.post("/auth/token", {"refresh": tokens["refresh"]})
            wait_for(lambda: self.nobody.session.get(self.nobody.base + "/auth/me", headers={
                "Authorization": "Bearer " + tokens["access"]}).status_code == 401, "the access token is over")
        wait_for(lambda: self.nobody.session.post(self.nobody.base + "/auth/token", json={
            "refresh": tokens["refresh"]}).status_code == 401 or None, "the refresh token is over")


class Users(PeopleTest):
    def test_come_and_go(self):
        made = self.api.post("~/users", {"login": "ada", "password": "long enough", "name": "Ada", "roles": ["operator"]})
        self.assertEqual((made["login"], made["name"], made["roles"], made["locked"]), ("ada", "Ada", ["operator"], False))
        refused(self, self.api, "POST", "~/users", 409, "login_exists", json={"login": "ada", "password": "long enough"})
        api = self.node.api(self.tokens("ada", "long enough")["access"])
        refused(self, api, "GET", "~/users", 403, "forbidden")
        self.assertIn("ada", [u["login"] for u in all_of(self.api, "~/users", 1)])
        self.api.request("DELETE", "~/users/ada")
        refused(self, api, "GET", "/auth/me", 401, "unauthenticated")
        refused(self, self.api, "GET", "~/users/ada", 404, "user_unknown")
        refused(self, self.api, "DELETE", "~/users/ada", 404, "user_unknown")

    def test_are_checked(self):
        for fields, pointer in (({"login": "x"}, "/password"), ({"password": "long enough"}, "/login"),
                                ({"login": "x", "password": "short"}, "/password"),
                                ({"login": "x", "password": "long enough", "roles": ["king"]}, "/roles")):
            body = refused(self, self.api, "POST", "~/users", 422, "validation_failed", json=fields)
            self.assertEqual([e["pointer"] for e in body["errors"]], [pointer])
        refused(self, self.api, "POST", "~/users", 422, "login_invalid", json={"login": "a b", "password": "long enough"})

    def test_a_new_password_ends_what_was_given_for_the_old_one(self):
        api = self.person("bea")
        self.api.post("~/users/bea:resetPassword", {"password": "quite another"})
        refused(self, api, "GET", "/auth/me", 401, "unauthenticated")
        problem(self, self.login("bea", "long enough", 401), 401, "bad_credentials")
        self.login("bea", "quite another")
        refused(self, self.api, "POST", "~/users/bea:resetPassword", 422, "validation_failed", json={"password": "short"})
        refused(self, self.api, "POST", "~/users/none:resetPassword", 404, "user_unknown", json={"password": "quite another"})

    def test_nobody_takes_over_who_may_do_more(self):
        clerk = self.node.api(self.key(permissions=["iam:user", "device:read"])["apiKey"])
        refused(self, clerk, "POST", "~/users/admin:resetPassword", 403, "forbidden", json={"password": "mine now, all"})
        refused(self, clerk, "DELETE", "~/users/admin", 403, "forbidden")
        refused(self, clerk, "POST", "~/users", 403, "forbidden", json={"login": "boss", "password": "long enough", "roles": ["admin"]})
        self.login()

    def test_nobody_deletes_himself(self):
        api = self.node.api(self.tokens()["access"])
        refused(self, api, "DELETE", "~/users/admin", 409, "state_conflict")

    def test_roles_give_what_they_name(self):
        viewer, operator = self.person("vic", "viewer"), self.person("otto", "operator")
        device = f"~/devices/{self.node.demo['devices'][0]['assetId']}"
        viewer.get(device)
        refused(self, viewer, "PATCH", device, 403, "forbidden", json={"name": "x"})
        operator.request("PATCH", device, json={"name": "Inverter 1"})
        for method, path in (("POST", "~/models"), ("POST", "~/products"), ("POST", "~/users"), ("GET", "~/apps/x/keys")):
            refused(self, operator, method, path, 403, "forbidden", json={} if method == "POST" else None)


class Keys(PeopleTest):
    def test_are_shown_once_and_may_do_what_they_name(self):
        made = self.key("billing", permissions=["data:read"])
        self.assertEqual(made["apiKey"], f"ork~default~{made['id']}~{made['secret']}")
        [listed] = self.api.get("~/apps/billing/keys")["items"]
        self.assertEqual((listed["app"], listed["permissions"]), ("billing", ["data:read"]))
        self.assertNotIn("secret", listed)
        api = self.node.api(made["apiKey"])
        self.assertEqual(api.get("/auth/me"), {"organisation": "default", "actor": f"key:{made['id']}", "permissions": ["data:read"]})
        device = f"~/devices/{self.node.demo['devices'][0]['assetId']}"
        api.get(device + "/points/latest")
        problem(self, api.request("GET", device, expect=403), 403, "forbidden")

    def test_by_role(self):
        made = self.key(roles=["viewer"])
        self.assertIn("device:read", made["permissions"])

    def test_expire(self):
        soon = int(time.time() * 1000) + 1500
        api = self.node.api(self.key(permissions=["*"], expires=soon)["apiKey"])
        api.get("/auth/me")
        wait_for(lambda: api.session.get(api.base + "/auth/me").status_code == 401, "the key is over")
        refused(self, api, "GET", "/auth/me", 401, "token_expired")

    def test_count_from_their_addresses_alone(self):
        here = self.node.api(self.key(permissions=["*"], ipAllow=["10.0.0.0/8", "127.0.0.0/8"])["apiKey"])
        here.get("/auth/me")
        away = self.node.api(self.key(permissions=["*"], ipAllow=["10.0.0.0/8", "::1"])["apiKey"])
        refused(self, away, "GET", "/auth/me", 403, "forbidden")

    def test_are_revoked_at_once(self):
        made = self.key("shortlived", permissions=["*"])
        api = self.node.api(made["apiKey"])
        api.get("/auth/me")
        refused(self, self.api, "DELETE", f"~/apps/other/keys/{made['id']}", 404, "key_unknown")
        self.api.request("DELETE", f"~/apps/shortlived/keys/{made['id']}")
        refused(self, api, "GET", "/auth/me", 401, "unauthenticated")
        refused(self, self.api, "DELETE", f"~/apps/shortlived/keys/{made['id']}", 404, "key_unknown")

    def test_are_checked(self):
        for fields, pointer in (({}, "/permissions"), ({"permissions": ["everything"]}, "/permissions/0"),
                                ({"permissions": ["device:"]}, "/permissions/0"), ({"roles": ["king"], "permissions": ["*"]}, "/roles"),
                                ({"permissions": ["*"], "expires": 1000}, "/expires"), ({"permissions": ["*"], "expires": "soon"}, "/expires"),
                                ({"permissions": ["*"], "ipAllow": ["127.0.0.1", "home"]}, "/ipAllow/1")):
            body = refused(self, self.api, "POST", "~/apps/x/keys", 422, "validation_failed", json=fields)
            self.assertEqual([e["pointer"] for e in body["errors"]], [pointer], fields)
        refused(self, self.api, "POST", "~/apps/a%20b/keys", 422, "validation_failed", json={"permissions": ["*"]})

    def test_nobody_gives_what_he_does_not_have(self):
        maker = self.node.api(self.key(permissions=["iam:app", "data:*"])["apiKey"])
        maker.post("~/apps/x/keys", {"permissions": ["data:read"]})
        for permissions in (["*"], ["device:read"], ["data:read", "iam:user"]):
            refused(self, maker, "POST", "~/apps/x/keys", 403, "forbidden", json={"permissions": permissions})

    def test_a_list_is_read_page_by_page(self):
        ids = sorted(self.key("many", permissions=["*"])["id"] for _ in range(7))
        self.assertEqual([k["id"] for k in all_of(self.api, "~/apps/many/keys", 3)], ids)


class Restart(PeopleTest):
    def test_log_ins_keys_and_locks_survive_it(self):
        tokens, key = self.tokens(), self.key(permissions=["data:read"])["apiKey"]
        ended = self.tokens()
        self.node.api(ended["access"]).post("/auth/logout")
        self.person("locked")
        for _ in range(5):
            self.login("locked", "wrong", 401)
        self.node.kill()
        self.node.start()
        self.api = type(self).api = self.node.api()
        self.setUp()
        self.assertEqual(self.node.api(tokens["access"]).get("/auth/me")["actor"], "user:admin")
        self.assertEqual(self.node.api(key).get("/auth/me")["permissions"], ["data:read"])
        refused(self, self.node.api(ended["access"]), "GET", "/auth/me", 401, "unauthenticated")
        problem(self, self.login("locked", "long enough", 423), 423, "locked")


if __name__ == "__main__":
    unittest.main()
