"""Group A of the API: log-ins, people, keys of applications."""
import base64
import json
import time
import unittest

from api_kit import all_of, problem, refused, totp
from orrery import NodeTest, wait_for


def now_step():
    return int(time.time()) // 30


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
        refused(self, self.nobody, "POST", "/auth/login", 400, "unknown_field", json={"user": "a", "password": "b", "code": "1"})

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

    def test_a_refresh_token_counts_once(self):
        first = self.tokens()
        second = self.nobody.post("/auth/token", {"refresh": first["refresh"]})
        again = self.nobody.post("/auth/token", {"refresh": first["refresh"]})  # the answer may have been lost
        third = self.nobody.post("/auth/token", {"refresh": again["refresh"]})
        refused(self, self.nobody, "POST", "/auth/token", 401, "bad_credentials", json={"refresh": first["refresh"]})
        for tokens in (second, again, third):
            refused(self, self.node.api(tokens["access"]), "GET", "/auth/me", 401, "unauthenticated")
            refused(self, self.nobody, "POST", "/auth/token", 401, "bad_credentials", json={"refresh": tokens["refresh"]})
        self.tokens()

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


    def test_are_changed_under_their_etag(self):
        api = self.person("chan", "viewer")
        etag = self.api.request("GET", "~/users/chan").headers["ETag"]
        reply = self.api.request("PATCH", "~/users/chan", headers={"If-Match": etag},
                                 json={"name": "Chan", "mail": "chan@example.org", "roles": ["operator"]})
        self.assertEqual((reply.json()["name"], reply.json()["mail"], reply.json()["roles"]), ("Chan", "chan@example.org", ["operator"]))
        refused(self, self.api, "PATCH", "~/users/chan", 412, "etag_mismatch", headers={"If-Match": etag}, json={"name": "x"})
        self.assertEqual(self.api.request("GET", "~/users/chan").headers["ETag"], reply.headers["ETag"])
        self.assertIn("device:*", api.get("/auth/me")["permissions"], "at once, with the token of before")
        self.api.request("PATCH", "~/users/chan", json={"roles": []})
        refused(self, api, "GET", "~/devices", 403, "forbidden")
        refused(self, self.api, "PATCH", "~/users/none", 404, "user_unknown", json={})
        refused(self, self.api, "PATCH", "~/users/chan", 422, "validation_failed", json={"roles": ["king"]})
        refused(self, self.api, "PATCH", "~/users/chan", 422, "mail_invalid", json={"mail": "nowhere"})
        refused(self, self.api, "PATCH", "~/users/chan", 400, "unknown_field", json={"login": "other"})

    def test_a_lock_ends_log_ins_and_lets_nobody_in(self):
        api = self.person("lou")
        tokens = self.tokens("lou", "long enough")
        self.assertTrue(self.api.post("~/users/lou:lock")["locked"])
        for _ in range(2):
            refused(self, api, "GET", "/auth/me", 401, "unauthenticated")
            refused(self, self.nobody, "POST", "/auth/token", 401, "bad_credentials", json={"refresh": tokens["refresh"]})
            self.assertIn("administrator", problem(self, self.login("lou", "long enough", 423), 423, "locked")["detail"])
            self.api.post("~/users/lou:resetPassword", {"password": "long enough"})
        self.assertFalse(self.api.post("~/users/lou:unlock")["locked"])
        self.login("lou", "long enough")
        refused(self, self.api, "POST", "~/users/none:lock", 404, "user_unknown")

    def test_an_unlock_forgives_bad_passwords(self):
        self.person("forgiven")
        for _ in range(5):
            self.login("forgiven", "wrong", 401)
        self.assertIn("lockedUntil", self.api.get("~/users/forgiven"))
        self.assertNotIn("lockedUntil", self.api.post("~/users/forgiven:unlock"))
        self.login("forgiven", "long enough")

    def test_nobody_locks_or_promotes_himself(self):
        api = self.node.api(self.tokens()["access"])
        refused(self, api, "POST", "~/users/admin:lock", 409, "state_conflict")
        refused(self, api, "PATCH", "~/users/admin", 409, "state_conflict", json={"roles": ["viewer"]})
        api.request("PATCH", "~/users/admin", json={"mail": "admin@example.org"})
        clerk = self.node.api(self.key(permissions=["iam:user"])["apiKey"])
        for path, body in (("~/users/admin:lock", {}), ("~/users/admin:unlock", {}), ("~/users/admin:resetSecondFactor", {})):
            refused(self, clerk, "POST", path, 403, "forbidden", json=body)
        refused(self, clerk, "PATCH", "~/users/admin", 403, "forbidden", json={"name": "x"})


class SecondFactors(PeopleTest):
    """Codes of the step after the one now are taken too, so each test has some that were not used."""
    def enrolled(self, login):
        api = self.person(login)
        made = api.post("/auth/totp")
        self.assertTrue(made["uri"].startswith(f"otpauth://totp/Orrery%20default:{login}?secret={made['secret']}&"))
        self.assertEqual(len(made["spareCodes"]), 10)
        return api, made

    def confirmed(self, login):
        api, made = self.enrolled(login)
        step = now_step() - 1
        api.post("/auth/totp:confirm", {"otp": totp(made["secret"], step)})
        return api, made, step

    def log_in(self, login, otp=None, expect=None):
        body = dict({"user": login, "password": "long enough"}, **({"otp": otp} if otp else {}))
        return self.nobody.request("POST", "/auth/login", json=body, expect=expect)

    def test_is_asked_for_once_it_is_confirmed(self):
        api, made = self.enrolled("tess")
        self.log_in("tess")
        refused(self, api, "POST", "/auth/totp:confirm", 401, "bad_credentials", json={"otp": "000000"})
        refused(self, api, "POST", "/auth/totp:confirm", 401, "bad_credentials", json={"otp": made["spareCodes"][0]})
        step = now_step() - 1
        api.post("/auth/totp:confirm", {"otp": totp(made["secret"], step)})
        self.assertTrue(self.api.get("~/users/tess")["secondFactor"])
        problem(self, self.log_in("tess", expect=401), 401, "otp_required")
        problem(self, self.log_in("tess", totp(made["secret"], step), 401), 401, "bad_credentials")
        code = totp(made["secret"], step + 1)
        self.log_in("tess", code)
        problem(self, self.log_in("tess", code, 401), 401, "bad_credentials")
        self.log_in("tess", totp(made["secret"], step + 2))
        wrong = self.nobody.request("POST", "/auth/login", expect=401, json={"user": "tess", "password": "wrong", "otp": code})
        problem(self, wrong, 401, "bad_credentials")
        refused(self, api, "POST", "/auth/totp", 409, "totp_active")

    def test_a_spare_code_counts_once(self):
        api, made, step = self.confirmed("spencer")
        self.log_in("spencer", made["spareCodes"][3])
        problem(self, self.log_in("spencer", made["spareCodes"][3], 401), 401, "bad_credentials")
        self.log_in("spencer", made["spareCodes"][4])

    def test_bad_codes_lock_as_bad_passwords_do(self):
        api, made, step = self.confirmed("guessed")
        for _ in range(5):
            self.log_in("guessed", "123456", 401)
        problem(self, self.log_in("guessed", totp(made["secret"], step + 1), 423), 423, "locked")
        refused(self, api, "POST", "/auth/totp:disable", 423, "locked", json={"otp": made["spareCodes"][0]})

    def test_is_taken_away_with_a_code(self):
        api, made, step = self.confirmed("dora")
        refused(self, api, "POST", "/auth/totp:disable", 401, "bad_credentials", json={"otp": "000000"})
        api.post("/auth/totp:disable", {"otp": totp(made["secret"], step + 1)})
        self.log_in("dora")
        refused(self, api, "POST", "/auth/totp:disable", 409, "totp_unknown", json={"otp": "000000"})

    def test_an_administrator_takes_a_lost_one_away(self):
        self.confirmed("lost")
        self.api.post("~/users/lost:resetSecondFactor")
        self.log_in("lost")
        refused(self, self.api, "POST", "~/users/lost:resetSecondFactor", 404, "totp_unknown")

    def test_is_for_people(self):
        for path, body in (("/auth/totp", {}), ("/auth/totp:confirm", {"otp": "1"}), ("/auth/totp:disable", {"otp": "1"})):
            refused(self, self.api, "POST", path, 409, "state_conflict", json=body)
        api = self.person("empty")
        refused(self, api, "POST", "/auth/totp:confirm", 409, "totp_unknown", json={"otp": "1"})
        refused(self, api, "POST", "/auth/totp:confirm", 422, "validation_failed", json={})
        refused(self, api, "POST", "/auth/totp:confirm", 422, "validation_failed", json={"otp": "1" * 17})


class Applications(PeopleTest):
    def test_come_change_and_go_with_their_keys(self):
        made = self.api.post("~/apps", {"id": "meter-reader", "name": "Reader", "roles": ["viewer"]})
        self.assertEqual((made["name"], made["roles"], made["keys"]), ("Reader", ["viewer"], 0))
        refused(self, self.api, "POST", "~/apps", 409, "app_exists", json={"id": "meter-reader"})
        key = self.key("meter-reader")
        api = self.node.api(key["apiKey"])
        api.get("~/devices")
        etag = self.api.request("GET", "~/apps/meter-reader").headers["ETag"]
        self.api.request("PATCH", "~/apps/meter-reader", headers={"If-Match": etag}, json={"roles": []})
        refused(self, api, "GET", "~/devices", 403, "forbidden")
        refused(self, self.api, "PATCH", "~/apps/meter-reader", 412, "etag_mismatch", headers={"If-Match": etag}, json={"name": "x"})
        self.assertEqual(self.api.get("~/apps/meter-reader")["keys"], 1)
        self.assertIn("meter-reader", [a["id"] for a in all_of(self.api, "~/apps", 2)])
        self.api.request("DELETE", "~/apps/meter-reader")
        refused(self, api, "GET", "/auth/me", 401, "unauthenticated")
        for method, path, body in (("GET", "", None), ("PATCH", "", {}), ("DELETE", "", None), ("GET", "/keys", None)):
            refused(self, self.api, method, "~/apps/meter-reader" + path, 404, "app_unknown", **({"json": body} if body is not None else {}))

    def test_are_checked(self):
        for body, pointer in (({}, "/id"), ({"id": "a b"}, "/id"), ({"id": "x", "roles": ["king"]}, "/roles"), ({"id": "x", "name": 1}, "/name")):
            found = refused(self, self.api, "POST", "~/apps", 422, "validation_failed", json=body)
            self.assertEqual([e["pointer"] for e in found["errors"]], [pointer], body)

    def test_nobody_gives_what_he_does_not_have(self):
        self.api.post("~/apps", {"id": "mighty", "roles": ["admin"]})
        strong = self.key("mighty")
        self.api.post("~/apps", {"id": "feeble"})
        maker = self.node.api(self.key(permissions=["iam:app", "data:*"])["apiKey"])
        for method, path, body in (("POST", "~/apps", {"id": "more", "roles": ["viewer"]}), ("PATCH", "~/apps/feeble", {"roles": ["admin"]}),
                                   ("PATCH", "~/apps/mighty", {"roles": []}), ("POST", "~/apps/mighty/keys", {}),
                                   ("POST", f"~/apps/mighty/keys/{strong['id']}:rotate", {})):
            refused(self, maker, method, path, 403, "forbidden", json=body)


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

    def test_are_rotated_with_an_overlap(self):
        old = self.key("turning", permissions=["data:read"], ipAllow=["127.0.0.0/8"])
        new = self.api.post(f"~/apps/turning/keys/{old['id']}:rotate", {"overlap": 2})
        self.assertEqual((new["permissions"], new["ipAllow"]), (old["permissions"], old["ipAllow"]))
        self.assertEqual(self.node.api(new["apiKey"]).get("/auth/me")["actor"], f"key:{new['id']}")
        before = self.node.api(old["apiKey"])
        before.get("/auth/me")
        [listed] = [k for k in self.api.get("~/apps/turning/keys")["items"] if k["id"] == old["id"]]
        self.assertEqual((listed["replacedBy"], "expires" in listed), (new["id"], True))
        refused(self, self.api, "POST", f"~/apps/turning/keys/{old['id']}:rotate", 409, "key_rotated", json={})
        wait_for(lambda: before.session.get(before.base + "/auth/me").status_code == 401, "the old one is over")
        last = self.api.post(f"~/apps/turning/keys/{new['id']}:rotate")
        refused(self, self.node.api(new["apiKey"]), "GET", "/auth/me", 401, "unauthenticated")
        self.node.api(last["apiKey"]).get("/auth/me")
        refused(self, self.api, "POST", f"~/apps/turning/keys/{new['id']}:rotate", 404, "key_unknown", json={})
        refused(self, self.api, "POST", f"~/apps/other/keys/{last['id']}:rotate", 404, "key_unknown", json={})
        refused(self, self.api, "POST", f"~/apps/turning/keys/{last['id']}:rotate", 422, "validation_failed", json={"overlap": -1})

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
