"""What is done to one device: its session is ended, it is shown with another status, how it came and went, its credential; and versions
of its twin."""
import threading
import time
import unittest

from api_kit import refused
from configuration_test import report
from orrery import DEADLINE, Device, NodeTest, wait_for

PASSWORD = "long enough"


class ActsTest(NodeTest):
    def setUp(self):
        self.made = self.api.post("~/devices", {"productKey": self.node.demo["productKey"]})
        self.path = f"~/devices/{self.made['assetId']}"

    def connect(self, secret=None):
        device = Device(self.node, self.made["productKey"], self.made["deviceKey"], secret or self.made["deviceSecret"])
        self.addCleanup(device.close)
        return device.connect()

    def reader(self):
        """Somebody who only looks, and somebody of another organisation."""
        for login, organisation in (("vera", "default"), ("fred", "foreign")):
            try:
                yield self.node.api(self.api.post("/auth/login", {"user": login, "password": PASSWORD, "organisation": organisation})["access"])
            except AssertionError:
                if organisation == "foreign":
                    self.api.post("/orgs", {"id": "foreign", "name": "F", "admin": {"login": login, "password": PASSWORD}})
                else:
                    self.api.post("~/users", {"login": login, "password": PASSWORD, "roles": ["viewer"]})
                yield self.node.api(self.api.post("/auth/login", {"user": login, "password": PASSWORD, "organisation": organisation})["access"])

    def not_for_others(self, method, rest, body=None):
        viewer, foreign = self.reader()
        options = {"json": body} if body is not None else {}
        refused(self, viewer, method, self.path + rest, 403, "forbidden", **options)
        refused(self, foreign, method, self.path + rest, 404, "device_unknown", **options)


class Kick(ActsTest):
    def test_ends_the_session(self):
        refused(self, self.api, "POST", self.path + ":kick", 409, "not_connected", json={})
        device = self.connect()
        self.assertEqual(self.api.request("POST", self.path + ":kick", json={"reason": "a test"}).status_code, 204)
        device.gone.get(timeout=DEADLINE)
        device.close()
        self.assertIn("device_kicked", self.node.log_text())
        wait_for(lambda: self.api.get(self.path + "/status")["connection"].get("reason") in ("kicked", "client"), "the end of the session")
        self.connect()
        self.assertEqual(self.api.get(self.path)["status"], "online")
        refused(self, self.api, "POST", self.path + ":kick", 422, "validation_failed", json={"reason": "x" * 257})
        self.not_for_others("POST", ":kick", {})


class Override(ActsTest):
    def until(self, seconds):
        return int((time.time() + seconds) * 1000)

    def override(self, status, seconds):
        return self.api.request("PUT", self.path + "/status-override", json={"status": status, "until": self.until(seconds)}).json()

    def found(self, status):
        body = {"filter": f"status = '{status}' and deviceKey = '{self.made['deviceKey']}'"}
        return len(self.api.post("~/devices/search", body)["items"]) == self.api.post("~/devices:count", body)["total"] == 1

    def test_is_shown_found_and_counted(self):
        shown = self.override("online", 3600)
        self.assertEqual((shown["status"], shown["override"]["status"], shown["override"]["by"][:4]), ("online", "online", "key:"))
        self.assertEqual(self.api.get(self.path)["override"], shown["override"])
        self.assertFalse(self.api.get(self.path)["connection"]["online"])
        self.assertTrue(self.found("online"))
        self.override("offline", 3600)
        self.assertTrue(self.found("offline"))
        ended = self.api.request("DELETE", self.path + "/status-override").json()
        self.assertEqual((ended["status"], "override" in ended), ("inactive", False))
        self.assertTrue(self.found("inactive"))
        refused(self, self.api, "DELETE", self.path + "/status-override", 404, "override_unknown")

    def test_ends_with_its_time(self):
        self.override("online", 1)
        wait_for(lambda: self.api.get(self.path)["status"] == "inactive", "the end of the time")
        self.assertTrue(self.found("inactive"))

    def test_ends_when_the_device_comes_or_goes(self):
        self.override("inactive", 3600)
        device = self.connect()
        self.assertEqual(self.api.get(self.path)["status"], "online")
        self.override("inactive", 3600)
        self.assertEqual(self.api.get(self.path)["status"], "inactive")
        device.close()
        wait_for(lambda: self.api.get(self.path)["status"] == "offline", "the logout")

    def test_is_checked(self):
        for body, code in (({"status": "online"}, "validation_failed"), ({"until": self.until(9)}, "validation_failed"),
                           ({"status": "disabled", "until": self.until(9)}, "validation_failed"),
                           ({"status": "online", "until": self.until(-9)}, "override_invalid"),
                           ({"status": "online", "until": self.until(31 * 86400)}, "override_invalid")):
            refused(self, self.api, "PUT", self.path + "/status-override", 422, code, json=body)
        self.not_for_others("PUT", "/status-override", {"status": "online", "until": self.until(9)})
        self.not_for_others("DELETE", "/status-override")


class History(ActsTest):
    def test_is_how_it_came_and_went(self):
        self.assertEqual(self.api.get(self.path + "/statusHistory"), {"items": []})
        self.connect().close()
        wait_for(lambda: self.api.get(self.path)["status"] == "offline", "the logout")
        self.connect()
        wait_for(lambda: len(self.api.get(self.path + "/statusHistory")["items"]) == 3, "three rows")
        page = self.api.get(self.path + "/statusHistory")
        self.assertEqual([r["status"] for r in page["items"]], ["online", "offline", "online"])
        self.assertEqual((page["items"][0]["protocol"], page["items"][1]["reason"]), ("mqtt", "client"))
        self.assertTrue(0 < page["availability"] <= 100, page)
        self.assertLessEqual(page["onlineSeconds"], page["knownSeconds"])
        first = self.api.get(self.path + "/statusHistory", params={"limit": 2})
        rest = self.api.get(self.path + "/statusHistory", params={"limit": 2, "cursor": first["nextCursor"]})
        self.assertEqual(first["items"] + rest["items"], page["items"])
        self.assertNotIn("availability", rest)
        begin = page["items"][-1]["time"]
        self.assertEqual(len(self.api.get(self.path + "/statusHistory", params={"to": begin})["items"]), 1)
        refused(self, self.api, "GET", self.path + "/statusHistory?from=2&to=1", 422, "validation_failed")
        refused(self, self.api, "GET", self.path + "/statusHistory?from=x", 400, "malformed")
        viewer, foreign = self.reader()
        viewer.get(self.path + "/statusHistory")
        refused(self, foreign, "GET", self.path + "/statusHistory", 404, "device_unknown")


class Credentials(ActsTest):
    def test_are_shown_again_if_the_organisation_says_so(self):
        path = self.path + "/credential"
        shown = self.api.get(path)
        self.assertEqual((shown["certificates"], shown["secretPending"], "deviceSecret" in shown), (0, False, False))
        refused(self, self.api, "GET", path + "?reveal=true", 403, "reveal_forbidden")
        refused(self, self.api, "GET", path + "?reveal=x", 400, "malformed")
        self.assertTrue(self.api.request("PATCH", "/orgs/default", json={"revealSecrets": True}).json()["revealSecrets"])
        self.addCleanup(self.api.request, "PATCH", "/orgs/default", json={"revealSecrets": False})
        self.assertEqual(self.api.get(path + "?reveal=true")["deviceSecret"], self.made["deviceSecret"])
        self.assertNotIn("deviceSecret", self.api.get(path))
        self.not_for_others("GET", "/credential")

    def test_the_one_of_before_counts_for_a_time(self):
        reset = self.api.post(self.path + ":resetSecret", {"overlap": 3600})
        self.assertIn("formerSecretUntil", self.api.get(self.path + "/credential"))
        self.connect().close()
        self.connect(reset["deviceSecret"]).close()
        again = self.api.post(self.path + ":resetSecret", {"overlap": 0})
        self.assertNotIn("formerSecretUntil", self.api.get(self.path + "/credential"))
        self.connect(again["deviceSecret"])


class Twins(ActsTest):
    def wish(self, document):
        return self.api.request("PUT", self.path + "/twin/desired", json=document, headers={"If-Match": "*"}).json()["desiredVersion"]

    def test_versions_are_kept(self):
        self.assertEqual(self.api.get(self.path + "/twin/history"), {"items": []})
        for n in range(1, 4):
            self.assertEqual(self.wish({"n": n}), n)
        device = self.connect()
        report(device, {"n": 3}, desiredVersion=3)
        items = self.api.get(self.path + "/twin/history")["items"]
        self.assertEqual([(v["version"], v["by"][:4], "appliedAt" in v) for v in items], [(3, "key:", True), (2, "key:", False), (1, "key:", False)])

    def test_a_version_is_waited_for(self):
        self.assertEqual(self.api.post(self.path + "/twin:wait", {})["desiredVersion"], 0)
        refused(self, self.api, "POST", self.path + "/twin:wait", 409, "version_unknown", json={"desiredVersion": 1})
        self.wish({"n": 1})
        refused(self, self.api, "POST", self.path + "/twin:wait", 504, "device_timeout", json={"timeout": 1})
        device = self.connect()
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(self.node.api().post(self.path + "/twin:wait", {"desiredVersion": 1, "timeout": 60})))
        begun = time.monotonic()
        waiting.start()
        # It may report before anybody waits: that is an answer too.
        report(device, {"n": 1}, desiredVersion=1)
        waiting.join(DEADLINE)
        self.assertLess(time.monotonic() - begun, 30)
        self.assertEqual([(a["appliedVersion"], a["inSync"]) for a in answers], [(1, True)])
        refused(self, self.api, "POST", self.path + "/twin:wait", 422, "validation_failed", json={"timeout": 61})
        viewer, foreign = self.reader()
        self.assertEqual(viewer.post(self.path + "/twin:wait", {})["appliedVersion"], 1)
        refused(self, foreign, "POST", self.path + "/twin:wait", 404, "device_unknown", json={})


if __name__ == "__main__":
    unittest.main()
