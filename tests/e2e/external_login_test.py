"""Log-ins of people by an identity provider: npm's `oidc-provider`, over TLS, with a browser that is a few lines here. The rules one by one are
in tests/model/organisation/providers_test.cpp and tests/transport/oidc_*_test.cpp."""
import contextlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import urllib.parse

import requests

from api_kit import all_of, problem, refused
from node_mqtt_test import PACKAGES, PROGRAMS, install
from orrery import BIN, NodeTest

SECRET = "a secret of the client's, & more: 100%"
PASSWORD = "long enough"
BACK = "http://127.0.0.1:1/"  # nobody listens there: this browser does not go


def make_certificate(folder):
    """An authority and a certificate of it for localhost; gives the paths of authority, certificate, key."""
    ca, ca_key, request, certificate, key, more = (str(folder / n) for n in ("ca.pem", "ca.key", "csr", "cert.pem", "key.pem", "ext"))
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    pathlib.Path(more).write_text("subjectAltName=DNS:localhost\n")
    for command in (["req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-days", "2", "-subj", "/CN=test authority"],
                    ["req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=localhost"],
                    ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", certificate, "-days", "2", "-extfile", more]):
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    return ca, certificate, key


class Provider:
    """The provider, running. `accounts`: whom it knows, and what it says of them."""

    def __init__(self, ca, certificate, key):
        install()
        self.verify = ca
        config = {"secret": SECRET, "certificate": certificate, "key": key}
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(["node", PROGRAMS / "provider.js", json.dumps(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, env=dict(os.environ, NODE_PATH=str(PACKAGES / "node_modules")))
        self.issuer = self.process.stdout.readline().strip()
        assert self.issuer, "the provider does not run"

    def knows(self, **accounts):
        requests.post(f"{self.issuer}/accounts", json=accounts, verify=self.verify, timeout=20).raise_for_status()

    def browse(self, url, who):
        """What a browser of that person comes back with: the parameters of the address it is sent back to."""
        browser = requests.Session()
        at = f"{url}&login_hint={who}"
        for _ in range(10):
            reply = browser.get(at, allow_redirects=False, timeout=20, verify=self.verify)
            assert reply.status_code in (302, 303), f"{at}: {reply.status_code} {reply.text}"
            at = urllib.parse.urljoin(at, reply.headers["Location"])
            if at.startswith("http://127.0.0.1"):
                return at, dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(at).query))
        raise AssertionError(f"the provider sends to and fro: {at}")

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(20)
        self.log.close()


class ExternalLogin(NodeTest):
    @classmethod
    def setUpClass(cls):
        with contextlib.ExitStack() as stack:
            cls.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
            ca, certificate, key = make_certificate(cls.folder)
            cls.provider = Provider(ca, certificate, key)
            stack.callback(cls.provider.close)
            cls.settings = ("identity.private_addresses=true", f"identity.ca={ca}", "identity.timeout=20s")
            super().setUpClass()
            stack.callback(super().tearDownClass)
            cls.open = stack.pop_all()

    @classmethod
    def tearDownClass(cls):
        cls.open.close()

    def setUp(self):
        self.stranger = self.node.api("none")
        del self.stranger.session.headers["Authorization"]

    def put(self, name="corp", /, **changes):
        body = {"issuer": self.provider.issuer, "clientId": "orrery", "clientSecret": SECRET, "scopes": ["profile", "email", "groups"], "createUsers": True,
                "defaultRoles": ["viewer"], **changes}
        return self.api.request("PUT", f"~/identityProviders/{name}", json={k: v for k, v in body.items() if v is not ...}).json()

    def begin(self, name="corp", redirect=BACK, **more):
        return self.stranger.post("/auth/external:begin", {"provider": name, "redirectUri": redirect, **more})

    def back(self, who, name="corp"):
        """What is sent at the end of a log-in of that person."""
        begun = self.begin(name)
        _, got = self.provider.browse(begun["url"], who)
        return {"transaction": begun["transaction"], "state": got["state"], "code": got["code"], **({"issuer": got["iss"]} if "iss" in got else {})}

    def log_in(self, who, name="corp"):
        return self.node.api(self.stranger.post("/auth/external:finish", self.back(who, name))["access"])

    def fails(self, body, status, code):
        return refused(self, self.stranger, "POST", "/auth/external:finish", status, code, json=body)

    def test_a_person_is_made_and_stays_the_same(self):
        self.put()
        self.provider.knows(ada={"preferred_username": "ada", "name": "Ada Lovelace", "email": "ada@example.org", "email_verified": True})
        ada = self.log_in("ada")
        self.assertEqual(ada.get("/auth/me")["actor"], "user:ada")
        self.assertEqual(ada.get("/auth/me")["organisation"], "default")
        shown = self.api.get("~/users/ada")
        self.assertEqual((shown["name"], shown["mail"], shown["roles"]), ("Ada Lovelace", "ada@example.org", ["viewer"]))
        self.assertEqual([(i["issuer"], i["subject"]) for i in shown["identities"]], [(self.provider.issuer, "ada")])
        self.provider.knows(ada={"preferred_username": "countess"})
        self.assertEqual(self.log_in("ada").get("/auth/me")["actor"], "user:ada")
        # Nobody comes by a password that there is not.
        refused(self, self.stranger, "POST", "/auth/login", 401, "bad_credentials", json={"user": "ada", "password": ""})
        # The session is one like others.
        tokens = self.stranger.post("/auth/external:finish", self.back("ada"))
        again = self.stranger.post("/auth/token", {"refresh": tokens["refresh"]})
        self.node.api(again["access"]).request("POST", "/auth/logout", json={})
        refused(self, self.node.api(again["access"]), "GET", "/auth/me", 401, "unauthenticated")

    def test_keys_of_another_kind(self):
        self.put("elliptic", clientId="orrery-ec")
        self.provider.knows(elli={"preferred_username": "elli"})
        self.assertEqual(self.log_in("elli", "elliptic").get("/auth/me")["actor"], "user:elli")

    def test_a_name_that_is_taken_is_somebody_else(self):
        self.put()
        self.api.post("~/users", {"login": "taken", "password": PASSWORD, "roles": ["operator"], "mail": "taken@example.org"})
        self.provider.knows(x1={"preferred_username": "taken", "email": "taken@example.org", "email_verified": True})
        who = self.log_in("x1").get("/auth/me")["actor"]
        self.assertRegex(who, "^user:taken-[0-9a-f]{12}$")
        self.assertEqual(self.api.get("~/users/taken")["identities"], [])

    def test_who_is_not_known_is_not_let_in_unless_the_provider_makes_people(self):
        self.put("closed", createUsers=False)
        self.provider.knows(x2={"preferred_username": "x2"})
        self.fails(self.back("x2", "closed"), 403, "idp_person_unknown")
        self.assertNotIn("x2", [u["login"] for u in all_of(self.api, "~/users", 100)])

    def test_a_person_is_linked_by_a_verified_mail_of_the_provider(self):
        admin = self.node.api(self.api.post("/auth/login", {"user": "admin", "password": (self.node.data / "admin-password").read_text().strip()})["access"])
        admin.post("~/users", {"login": "linked", "password": PASSWORD, "roles": ["operator"], "mail": "linked@corp.example"})
        body = {"issuer": self.provider.issuer, "clientId": "orrery", "clientSecret": SECRET, "linkByMail": True, "mailDomains": ["corp.example"]}
        admin.request("PUT", "~/identityProviders/mail", json=body)
        self.provider.knows(x3={"email": "Linked@corp.example", "email_verified": False}, x4={"email": "linked@corp.example", "email_verified": True},
                            x5={"email": "linked@elsewhere.example", "email_verified": True})
        self.fails(self.back("x3", "mail"), 403, "idp_mail_refused")
        self.fails(self.back("x5", "mail"), 403, "idp_mail_refused")
        self.assertEqual(self.log_in("x4", "mail").get("/auth/me")["actor"], "user:linked")
        self.assertEqual(self.api.get("~/users/linked")["roles"], ["operator"], "they stay as they are without a claim of roles")

    def test_roles_follow_the_claim(self):
        self.put("roles", roleClaim="groups", roles=[{"value": "ops", "roles": ["operator"]}, {"value": "boss", "roles": ["operator", "admin"]}])
        self.provider.knows(rita={"preferred_username": "rita", "groups": ["boss", "other"]})
        rita = self.log_in("rita", "roles")
        self.assertEqual(self.api.get("~/users/rita")["roles"], ["viewer", "operator", "admin"])
        rita.get("~/users")
        self.provider.knows(rita={"preferred_username": "rita", "groups": []})
        self.log_in("rita", "roles")
        self.assertEqual(self.api.get("~/users/rita")["roles"], ["viewer"])
        refused(self, rita, "GET", "~/users", 403, "forbidden")  # the log-in before has lost them too
        refused(self, self.api, "PUT", "~/identityProviders/roles", 422, "validation_failed",
                json={"issuer": self.provider.issuer, "clientId": "orrery", "roleClaim": "groups", "roles": [{"value": "x", "roles": ["nobody"]}]})

    def test_who_is_locked_stays_out(self):
        self.put()
        self.provider.knows(lou={"preferred_username": "lou"})
        lou = self.log_in("lou")
        self.api.post("~/users/lou:lock", {})
        refused(self, lou, "GET", "/auth/me", 401, "unauthenticated")
        self.fails(self.back("lou"), 423, "locked")
        self.api.post("~/users/lou:unlock", {})
        self.log_in("lou")

    def test_a_code_and_a_transaction_count_once(self):
        self.put()
        self.provider.knows(olga={"preferred_username": "olga"})
        sent = self.back("olga")
        self.stranger.post("/auth/external:finish", sent)
        self.fails(sent, 401, "idp_transaction_used")
        # The same code in another log-in: the provider knows that it was used, and whose it was.
        other = self.begin()
        state = urllib.parse.parse_qs(urllib.parse.urlsplit(other["url"]).query)["state"][0]
        self.fails({**sent, "transaction": other["transaction"], "state": state}, 401, "idp_refused")

    def test_a_code_is_worth_nothing_without_its_transaction(self):
        self.put()
        self.provider.knows(otto={"preferred_username": "otto"})
        sent, own = self.back("otto"), self.begin()
        state = urllib.parse.parse_qs(urllib.parse.urlsplit(own["url"]).query)["state"][0]
        # Somebody who saw the browser's address has code and state, and a transaction of his own.
        self.fails({**sent, "transaction": own["transaction"]}, 401, "idp_transaction_invalid")
        self.fails({**sent, "transaction": own["transaction"], "state": state}, 401, "idp_refused")
        for changes in ({"state": "other"}, {"transaction": "A" * 400}, {"transaction": sent["transaction"][:-4] + "AAAA"}):
            self.fails({**sent, **changes}, 401, "idp_transaction_invalid")

    def test_a_wrong_secret_is_told(self):
        self.put("wrong", clientSecret="another one")
        self.provider.knows(wanda={"preferred_username": "wanda"})
        found = self.fails(self.back("wanda", "wrong"), 401, "idp_refused")
        self.assertIn("client id and secret", found["detail"])
        # Put anew without a secret it stays as it is; null takes it away.
        self.assertTrue(self.put("wrong", clientSecret=...)["hasSecret"])
        self.assertFalse(self.put("wrong", clientSecret=None)["hasSecret"])

    def test_the_code_of_another_provider_is_refused(self):
        self.put()
        self.provider.knows(mia={"preferred_username": "mia"})
        self.fails({**self.back("mia"), "issuer": "https://other.example.org"}, 401, "idp_refused")

    def test_people_are_sent_back_to_known_places_alone(self):
        self.put(redirectUris=["https://console.example.org/back"])
        self.begin(redirect="https://console.example.org/back")
        for uri in ("https://evil.example.org/", "http://localhost:1/", "https://console.example.org/back/x", "nonsense"):
            refused(self, self.stranger, "POST", "/auth/external:begin", 422, "redirect_not_allowed", json={"provider": "corp", "redirectUri": uri})
        for body, code in (({"provider": "none", "redirectUri": BACK}, "idp_unknown"),
                           ({"provider": "corp", "organisation": "none", "redirectUri": BACK}, "idp_unknown")):
            refused(self, self.stranger, "POST", "/auth/external:begin", 404, code, json=body)
        self.put(enabled=False)
        refused(self, self.stranger, "POST", "/auth/external:begin", 404, "idp_unknown", json={"provider": "corp", "redirectUri": BACK})

    def test_a_provider_is_described_and_its_secret_is_not(self):
        made = self.put("shown", name="Shown", mailDomains=["example.org"])
        self.assertEqual({k: made[k] for k in ("id", "name", "issuer", "clientId", "hasSecret", "loginClaim", "enabled", "mailDomains")},
                         {"id": "shown", "name": "Shown", "issuer": self.provider.issuer, "clientId": "orrery", "hasSecret": True,
                          "loginClaim": "preferred_username", "enabled": True, "mailDomains": ["example.org"]})
        reply = self.api.request("GET", "~/identityProviders/shown")
        self.assertNotIn(SECRET[:10], reply.text)
        self.assertIn("shown", [p["id"] for p in self.api.get("~/identityProviders", params={"filter": 'id = "shown"'})["items"]])
        stale = {"If-Match": '"1"'}
        refused(self, self.api, "PUT", "~/identityProviders/shown", 412, "etag_mismatch", headers=stale, json={"issuer": "https://a.org", "clientId": "x",
                                                                                                             "clientSecret": "y"})
        refused(self, self.api, "DELETE", "~/identityProviders/shown", 412, "etag_mismatch", headers=stale)
        # A secret is not told to another issuer.
        refused(self, self.api, "PUT", "~/identityProviders/shown", 422, "provider_invalid", json={"issuer": "https://a.org", "clientId": "orrery"})
        for issuer in ("http://id.example.org", "nonsense", "https://u:p@a.org"):
            refused(self, self.api, "PUT", "~/identityProviders/shown", 422, "provider_invalid", json={"issuer": issuer, "clientId": "x"})
        self.api.request("DELETE", "~/identityProviders/shown", headers={"If-Match": reply.headers["ETag"]})
        refused(self, self.api, "GET", "~/identityProviders/shown", 404, "idp_unknown")
        record = self.api.get("~/audit", params={"action": "putIdentityProvider", "limit": 1})["items"][0]
        self.assertNotIn(SECRET[:20], json.dumps(record))

    def test_nobody_gives_by_a_provider_what_he_does_not_have(self):
        self.api.post("~/roles", {"name": "clerk", "permissions": ["iam:idp", "data:read"]})
        self.api.post("~/users", {"login": "clara", "password": PASSWORD, "roles": ["clerk"]})
        clara = self.node.api(self.api.post("/auth/login", {"user": "clara", "password": PASSWORD})["access"])
        least = {"issuer": "https://id.clara.example", "clientId": "x"}
        clara.request("PUT", "~/identityProviders/hers", json=dict(least, createUsers=True))
        for more in ({"defaultRoles": ["admin"]}, {"roleClaim": "g", "roles": [{"value": "v", "roles": ["operator"]}]},
                     {"linkByMail": True, "mailDomains": ["example.org"]}):
            refused(self, clara, "PUT", "~/identityProviders/hers", 403, "forbidden", json=dict(least, **more))
        self.put("strong", defaultRoles=["admin"])
        refused(self, clara, "PUT", "~/identityProviders/strong", 403, "forbidden", json=least)
        refused(self, clara, "DELETE", "~/identityProviders/strong", 403, "forbidden")
        self.api.request("DELETE", "~/identityProviders/strong")
        # Nor by another client of an issuer by which somebody is known who has more.
        self.put("boss", defaultRoles=["admin"])
        self.provider.knows(berta={"preferred_username": "berta"})
        self.log_in("berta", "boss")
        again = dict(least, issuer=self.provider.issuer)
        for name in ("berta", "hers"):
            refused(self, clara, "PUT", f"~/identityProviders/{name}", 403, "forbidden", json=again)
        self.api.request("DELETE", "~/users/berta")
        self.api.request("DELETE", "~/identityProviders/boss")

    def test_a_suspended_organisation_lets_nobody_in(self):
        admin = self.node.api(self.api.post("/auth/login", {"user": "admin", "password": (self.node.data / "admin-password").read_text().strip()})["access"])
        admin.post("/orgs", {"id": "acme", "admin": {"login": "tom", "password": PASSWORD}})
        tom = self.node.api(self.stranger.post("/auth/login", {"user": "tom", "password": PASSWORD, "organisation": "acme"})["access"])
        tom.request("PUT", "~/identityProviders/corp", json={"issuer": self.provider.issuer, "clientId": "orrery", "clientSecret": SECRET, "createUsers": True})
        self.provider.knows(sue={"preferred_username": "sue"})
        begun = self.begin(organisation="acme")
        _, got = self.provider.browse(begun["url"], "sue")
        admin.post("/orgs/acme:suspend", {})
        self.fails({"transaction": begun["transaction"], "state": got["state"], "code": got["code"]}, 403, "org_suspended")
        refused(self, self.stranger, "POST", "/auth/external:begin", 403, "org_suspended",
                json={"provider": "corp", "organisation": "acme", "redirectUri": BACK})

    def test_log_ins_are_in_the_audit_log(self):
        self.put()
        self.provider.knows(audrey={"preferred_username": "audrey"})
        sent = self.back("audrey")
        self.stranger.post("/auth/external:finish", sent)
        record = self.api.get("~/audit", params={"action": "finishExternalLogin", "actor": "user:audrey", "limit": 1})["items"][0]
        self.assertEqual((record["result"], record["resource"]["kind"]), ("done", "session"))
        text = json.dumps(record)
        for secret in (sent["code"], sent["transaction"]):
            self.assertNotIn(secret, text)

    def cli(self, *arguments, env=None):
        return [str(BIN / "orrery"), "--server", f"http://127.0.0.1:{self.node.ports['api']}", *arguments]

    def test_the_command_line(self):
        env = dict(os.environ, XDG_CONFIG_HOME=str(self.folder / "config"), ORRERY_API_KEY=self.node.demo["apiKey"])
        (self.folder / "secret").write_text(SECRET + "\n")
        run = lambda *a: subprocess.run(self.cli(*a), env=env, capture_output=True, text=True, timeout=60)
        made = run("--output", "json", "idp", "put", "cli", "--issuer", self.provider.issuer, "--client-id", "orrery", "--secret-file",
                   str(self.folder / "secret"), "--create-users", "--role", "viewer", "--scope", "profile", "--scope", "groups", "--role-claim", "groups",
                   "--map", "ops=operator")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(json.loads(made.stdout)["roles"], [{"value": "ops", "roles": ["operator"]}])
        self.assertIn("cli", run("idp", "list").stdout)
        self.assertIn(self.provider.issuer, run("idp", "get", "cli").stdout)
        self.provider.knows(carl={"preferred_username": "carl", "groups": ["ops"]})

        def start(*more):
            return subprocess.Popen(self.cli("--profile", "carl", "login", "--provider", "cli", "--org", "default", *more), env=env, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        with start() as login:
            url = login.stdout.readline().strip()
            where, got = self.provider.browse(url, "carl")
            home = re.match("http://127.0.0.1:[0-9]+/", where)[0]
            # Others knock too.
            for other in ("", "?state=other&code=x", "?state=other&error=x", "favicon.ico"):
                self.assertEqual(requests.get(home + other, timeout=20).status_code, 404)
            self.assertEqual(requests.get(where, timeout=20).status_code, 200)
            out, errors = login.communicate(timeout=30)
            self.assertEqual(login.returncode, 0, errors)
            self.assertIn("logged in by cli", out)
        who = run("--profile", "carl", "--output", "json", "user", "list")
        self.assertNotEqual(who.returncode, 0, "an operator does not see people")
        self.assertEqual(run("--profile", "carl", "device", "list").returncode, 0)

        with start() as login:
            where, _ = self.provider.browse(login.stdout.readline().strip(), "nobody-knows-him")
            requests.get(where, timeout=20)
            _, errors = login.communicate(timeout=30)
            self.assertEqual(login.returncode, 1)
            self.assertIn("the identity provider says: access_denied (nobody of that name)", errors)
        with start("--timeout", "1") as login:
            _, errors = login.communicate(timeout=30)
            self.assertEqual(login.returncode, 1)
            self.assertIn("nobody came back", errors)
        self.assertEqual(run("idp", "delete", "cli").returncode, 0)
        gone = run("--profile", "carl", "login", "--provider", "cli")
        self.assertEqual(gone.returncode, 1)
        self.assertIn("idp_unknown", gone.stderr)


class OutsideAlone(NodeTest):
    """As a node is set up at first, it asks no place that is inside."""

    def test_a_provider_inside_is_not_asked(self):
        stranger = self.node.api("none")
        for name, issuer in (("here", "http://127.0.0.1:1"), ("there", "https://10.0.0.1"), ("cloud", "https://169.254.169.254/latest")):
            self.api.request("PUT", f"~/identityProviders/{name}", json={"issuer": issuer, "clientId": "x"})
            found = problem(self, stranger.request("POST", "/auth/external:begin", expect=503, json={"provider": name, "redirectUri": BACK}), 503,
                            "idp_discovery_failed")
            self.assertRegex(found["detail"], "is at no address that may be asked|is to be asked by https")

    def test_one_address_does_not_ask_without_end(self):
        stranger = self.node.api("none")
        codes = [stranger.session.post(stranger.base + "/auth/external:begin", json={"provider": "x", "redirectUri": BACK}, timeout=20).status_code
                 for _ in range(301)]
        self.assertIn(429, codes)


if __name__ == "__main__":
    unittest.main()
