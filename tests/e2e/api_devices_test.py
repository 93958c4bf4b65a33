"""Groups D and E of the API: devices, their status, attributes and tags."""
import itertools
import json
import unittest

from api_kit import all_of, model_document, refused
from orrery import DEADLINE, Device, NodeTest, wait_for

numbers = itertools.count(1)


class DeviceTest(NodeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api.post("~/models", model_document("Meter"))
        cls.api.post("~/models/Meter:publish")

    def product(self):
        return self.api.post("~/products", {"name": f"P{next(numbers)}", "modelId": "Meter"})["productKey"]

    def register(self, product="demo-inverter", **fields):
        return self.api.post("~/devices", dict({"productKey": product}, **fields))

    def client(self, made, secret=None):
        client = Device(self.node, made["productKey"], made["deviceKey"], secret or made["deviceSecret"])
        self.addCleanup(client.close)
        return client

    def status(self, made):
        return self.api.get(f"~/devices/{made['assetId']}/status")


class Registration(DeviceTest):
    def test_of_one(self):
        made = self.register(deviceKey="one", name="One", description="d", timezone="Europe/Berlin", attributes={"serial": "A7"}, tags={"site": "A"})
        self.assertEqual((made["deviceKey"], made["name"], made["status"], made["enabled"]), ("one", "One", "inactive", True))
        self.assertEqual(len(made["deviceSecret"]), 32)
        shown = self.api.get("~/products/demo-inverter/devices/one")
        self.assertEqual(dict(shown, deviceSecret=made["deviceSecret"]), made)
        self.assertEqual(shown, self.api.get(f"~/devices/{made['assetId']}"))
        self.assertEqual((shown["attributes"], shown["tags"], shown["timezone"]), ({"serial": "A7"}, {"site": "A"}, "Europe/Berlin"))

    def test_with_a_generated_key_and_with_a_secret_of_ones_own(self):
        made = self.register()
        self.assertRegex(made["deviceKey"], "^[A-Za-z0-9]{12}$")
        self.assertEqual(made["name"], made["deviceKey"])
        own = self.register(deviceSecret="my own secret")
        self.assertEqual(own["deviceSecret"], "my own secret")
        self.client(own).connect()

    def test_of_a_key_that_is_taken(self):
        made = self.register()
        body = refused(self, self.api, "POST", "~/devices", 409, "device_key_exists",
                       json={"productKey": made["productKey"], "deviceKey": made["deviceKey"]})
        self.assertIn(made["deviceKey"], body["detail"])
        self.assertNotEqual(self.register(self.product(), deviceKey=made["deviceKey"])["assetId"], made["assetId"], "another product's key")

    def test_of_a_key_that_was_given_up(self):
        made = self.register()
        self.api.request("DELETE", f"~/devices/{made['assetId']}")
        for _ in range(3):  # awake or not, the next one is another device
            again = self.register(deviceKey=made["deviceKey"])
            self.assertNotEqual(again["assetId"], made["assetId"])
            self.assertEqual((again["status"], again["attributes"], again["tags"]), ("inactive", {}, {}))
            self.assertEqual(self.api.get(f"~/products/demo-inverter/devices/{made['deviceKey']}")["assetId"], again["assetId"])
            made = again
            client = self.client(made).connect()
            client.post({"power": 1.0})
            client.close()
            self.api.request("DELETE", f"~/devices/{made['assetId']}")

    def test_is_checked(self):
        refused(self, self.api, "POST", "~/devices", 404, "product_unknown", json={"productKey": "none"})
        for key in ("", "a b", "x/y", "ä", "#", "x:y"):
            refused(self, self.api, "POST", "~/devices", 422, "device_key_invalid", json={"productKey": "demo-inverter", "deviceKey": key})
        for fields, pointer in (({}, "/productKey"), ({"productKey": "demo-inverter", "deviceKey": "x" * 65}, "/deviceKey"),
                                ({"productKey": "demo-inverter", "deviceSecret": "short"}, "/deviceSecret"),
                                ({"productKey": "demo-inverter", "attributes": []}, "/attributes"),
                                ({"productKey": "demo-inverter", "tags": {"a": 1}}, "/tags/a"), ({"productKey": 7}, "/productKey")):
            body = refused(self, self.api, "POST", "~/devices", 422, "validation_failed", json=fields)
            self.assertIn(pointer, [e["pointer"] for e in body["errors"]], fields)
        refused(self, self.api, "POST", "~/devices", 400, "unknown_field", json={"productKey": "demo-inverter", "colour": "red"})

    def test_checks_its_tags(self):
        refused(self, self.api, "POST", "~/devices", 422, "tag_invalid", json={"productKey": "demo-inverter", "tags": {"a b": "1"}})
        made = self.register()
        refused(self, self.api, "PATCH", f"~/devices/{made['assetId']}", 422, "tag_invalid", json={"tags": {"a": " padded"}})

    def test_checks_attributes_against_the_model(self):
        reply = self.api.request("POST", "~/devices", json={"productKey": "demo-inverter", "attributes": {"limit": 200, "none": 1}}, expect=422).json()
        self.assertEqual({e["pointer"].rsplit("/", 1)[-1] for e in reply["errors"]}, {"limit", "none"})

    def test_of_a_thousand_at_once_with_mixed_results(self):
        product = self.product()
        self.register(product, deviceKey="taken")
        items = [{"productKey": product, "deviceKey": f"b-{i:04}"} for i in range(990)]
        items += [{"productKey": product} for _ in range(4)]
        items += [{"productKey": product, "deviceKey": "taken"}, {"productKey": "none"}, {"productKey": product, "deviceKey": "a b"},
                  {"productKey": product, "oops": 1}, 7, {"productKey": product, "deviceKey": "b-0000"}]
        # As text: the kit would hold what it sends itself against the document.
        done = self.api.request("POST", "~/devices:batch", data=json.dumps({"items": items})).json()
        self.assertEqual((done["ok"], done["failed"], len(done["results"])), (994, 6, 1000))
        self.assertEqual([r["index"] for r in done["results"]], list(range(1000)))
        self.assertEqual([r["status"] for r in done["results"][994:]], [409, 404, 422, 400, 422, 409])
        self.assertEqual([r["error"]["code"] for r in done["results"][994:]],
                         ["device_key_exists", "product_unknown", "device_key_invalid", "unknown_field", "validation_failed", "device_key_exists"])
        self.assertEqual(done["results"][997]["error"]["errors"][0]["pointer"], "/items/997/oops")
        good = done["results"][0]
        self.assertEqual((good["status"], good["id"], good["device"]["deviceKey"]), (201, good["device"]["assetId"], "b-0000"))
        self.assertEqual(len({r["device"]["deviceKey"] for r in done["results"][990:994]}), 4)
        listed = all_of(self.api, f"~/devices?productKey={product}", 400)
        self.assertEqual(len(listed), 995)
        self.client(done["results"][500]["device"]).connect()

    def test_of_too_many_and_of_none(self):
        body = refused(self, self.api, "POST", "~/devices:batch", 422, "validation_failed", json={"items": [{}] * 1001})
        self.assertIn("1000", body["errors"][0]["detail"])
        self.assertEqual(self.api.post("~/devices:batch", {"items": []}), {"results": [], "ok": 0, "failed": 0})
        refused(self, self.api, "POST", "~/devices:batch", 422, "validation_failed", json={})

    def test_keys_are_checked_beforehand(self):
        product = self.product()
        self.register(product, deviceKey="there")
        answer = self.api.post("~/devices:check", {"productKey": product, "keys": ["there", "free", "a b"]})
        self.assertEqual(answer, {"free": ["free"], "existing": ["there"], "invalid": ["a b"]})
        refused(self, self.api, "POST", "~/devices:check", 404, "product_unknown", json={"productKey": "none", "keys": []})


class Lists(DeviceTest):
    def test_page_through_all_of_them_once(self):
        product = self.product()
        self.api.post("~/devices:batch", {"items": [{"productKey": product, "deviceKey": f"d{i}"} for i in range(25)]})
        for limit in (1, 4, 25, 500):
            keys = [d["deviceKey"] for d in all_of(self.api, f"~/devices?productKey={product}", limit)]
            self.assertEqual(sorted(keys), sorted(f"d{i}" for i in range(25)), limit)
        everything = [d["assetId"] for d in all_of(self.api, "~/devices", 7)]
        self.assertEqual(len(everything), len(set(everything)))
        self.assertGreaterEqual(len(everything), 30)

    def test_filter_by_status_and_text(self):
        product = self.product()
        made = [self.register(product, deviceKey=f"k{i}", name=name) for i, name in enumerate(["Roof east", "Roof west", "Cellar"])]
        self.client(made[0]).connect()
        self.api.post(f"~/devices/{made[1]['assetId']}:disable")

        def keys(query):
            return sorted(d["deviceKey"] for d in all_of(self.api, f"~/devices?productKey={product}&{query}", 1))

        self.assertEqual(keys("status=online"), ["k0"])
        self.assertEqual(keys("status=disabled"), ["k1"])
        self.assertEqual(keys("status=inactive"), ["k2"])
        self.assertEqual(keys("status=offline"), [])
        self.assertEqual(keys("q=Roof"), ["k0", "k1"])
        self.assertEqual(keys("q=Roof&status=online"), ["k0"])
        self.assertEqual(keys("q=k2"), ["k2"])
        refused(self, self.api, "GET", "~/devices?status=asleep", 400, "malformed")
        refused(self, self.api, "GET", "~/devices?colour=red", 400, "unknown_field")

    def test_statistics_count_them(self):
        product = self.product()
        made = [self.register(product) for _ in range(4)]
        client = self.client(made[0]).connect()
        self.client(made[1]).connect().close()
        self.api.post(f"~/devices/{made[2]['assetId']}:disable")
        wait_for(lambda: self.status(made[1])["status"] == "offline", "the second is gone")
        self.assertEqual(self.api.get(f"~/stats/devices?productKey={product}"),
                         {"total": 4, "online": 1, "offline": 1, "inactive": 1, "disabled": 1, "mirror": 0})
        client.close()

    def test_status_of_many(self):
        made = [self.register() for _ in range(3)]
        unknown = made[0]["assetId"][:-1] + ("0" if made[0]["assetId"][-1] != "0" else "1")
        rows = self.api.post("~/devices/status", {"ids": [d["assetId"] for d in made] + [unknown]})["items"]
        self.assertEqual([r["assetId"] for r in rows], [d["assetId"] for d in made])
        body = refused(self, self.api, "POST", "~/devices/status", 422, "validation_failed", json={"ids": ["nonsense"]})
        self.assertEqual(body["errors"][0]["pointer"], "/ids/0")


class Changes(DeviceTest):
    def test_of_fields_attributes_and_tags_together(self):
        made = self.register(tags={"a": "1", "b": "2"}, attributes={"serial": "A7", "limit": 5})
        path = f"~/devices/{made['assetId']}"
        shown = self.api.request("PATCH", path, json={"name": "N", "description": "D", "timezone": "UTC", "attributes": {"limit": None, "ratedPower": 3.5},
                                                      "tags": {"a": None, "c": "3"}}).json()
        self.assertEqual((shown["name"], shown["description"], shown["timezone"]), ("N", "D", "UTC"))
        self.assertEqual((shown["attributes"], shown["tags"]), ({"serial": "A7", "ratedPower": 3.5}, {"b": "2", "c": "3"}))
        self.assertEqual(self.api.get(path), shown)
        refused(self, self.api, "PATCH", path, 400, "unknown_field", json={"deviceKey": "other"})
        refused(self, self.api, "PATCH", path, 422, "validation_failed", json={"name": None})
        self.api.request("PATCH", path, json={"attributes": {"limit": 500}}, expect=422)

    def test_under_an_etag(self):
        made = self.register()
        path = f"~/devices/{made['assetId']}"
        reply = self.api.request("GET", path)
        old = reply.headers["ETag"]
        new = self.api.request("PATCH", path, json={"name": "x"}, headers={"If-Match": old}).headers["ETag"]
        self.assertNotEqual(old, new)
        self.assertEqual(self.api.request("GET", path).headers["ETag"], new)
        for method, rest, body in (("PATCH", "", {"name": "y"}), ("DELETE", "", None), ("PATCH", "/tags", {"a": "b"}), ("PUT", "/tags", {"a": "b"}),
                                   ("PATCH", "/attributes", {"serial": "B"}), ("POST", ":disable", {})):
            refused(self, self.api, method, path + rest, 412, "etag_mismatch", json=body, headers={"If-Match": old})
        self.assertEqual(self.api.get(path)["name"], "x")
        refused(self, self.api, "PATCH", path, 400, "malformed", json={}, headers={"If-Match": "7"})

    def test_of_attributes(self):
        made = self.register()
        path = f"~/devices/{made['assetId']}/attributes"
        self.assertEqual(self.api.get(path), {})
        self.assertEqual(self.api.request("PATCH", path, json={"serial": "A7", "limit": 5}).json(), {"serial": "A7", "limit": 5})
        self.assertEqual(self.api.request("PATCH", path, json={"serial": None}).json(), {"limit": 5})
        self.assertEqual(self.api.request("DELETE", path + "/limit").json(), {})
        for body, place in (({"none": 1}, "none"), ({"limit": 101}, "limit"), ({"limit": "x"}, "limit"), ({"serial": "x" * 65}, "serial")):
            reply = self.api.request("PATCH", path, json=body, expect=422).json()
            self.assertIn(place, reply["errors"][0]["pointer"])
        refused(self, self.api, "PATCH", path, 400, "malformed", json=[])

    def test_of_tags(self):
        made = self.register(tags={"a": "1"})
        path = f"~/devices/{made['assetId']}/tags"
        self.assertEqual(self.api.request("PATCH", path, json={"b/c": "2"}).json(), {"a": "1", "b/c": "2"})
        self.assertEqual(self.api.request("PUT", path, json={"d": "4", "e": "5"}).json(), {"d": "4", "e": "5"})
        self.api.request("DELETE", path + "/d")
        self.assertEqual(self.api.get(path), {"e": "5"})
        self.api.request("PUT", path, json={"b/c": "2"})
        self.api.request("DELETE", path + "/b%2Fc")
        self.assertEqual(self.api.get(path), {})
        for body in ({"a b": "1"}, {"x" * 51: "1"}, {"": "1"}, {"a": " padded"}, {"a": "x" * 201}):
            refused(self, self.api, "PATCH", path, 422, "tag_invalid", json=body)
        refused(self, self.api, "PUT", path, 422, "validation_failed", json={"a": None})
        refused(self, self.api, "PATCH", path, 422, "validation_failed", json={"a": 1})
        refused(self, self.api, "PATCH", path, 422, "tag_invalid", json={f"t{i}": "x" for i in range(101)})

    def test_are_shown_to_the_device_too(self):
        made, client = self.new_device()
        self.api.request("PATCH", f"~/devices/{made['assetId']}/attributes", json={"limit": 9})
        self.assertEqual(client.request("thing/attribute/query", "thing.attribute.query", {"attributes": []})["data"], {"limit": 9})
        self.assertEqual(client.request("thing/attribute/update", "thing.attribute.update", {"attributes": {"serial": "from device"}})["code"], 200)
        self.assertEqual(self.api.get(f"~/devices/{made['assetId']}/attributes"), {"limit": 9, "serial": "from device"})


class LifeCycle(DeviceTest):
    def test_status_follows_the_connection(self):
        made = self.register()
        self.assertEqual(self.status(made)["status"], "inactive")
        client = self.client(made).connect()
        status = self.status(made)
        self.assertEqual((status["status"], status["connection"]["protocol"], status["connection"]["address"], status["connection"]["secure"]),
                         ("online", "mqtt", "127.0.0.1", False))
        client.close()
        status = wait_for(lambda: (s := self.status(made))["status"] == "offline" and s, "offline")
        self.assertIn("reason", status["connection"])
        shown = self.api.get(f"~/devices/{made['assetId']}")
        for name in ("activatedAt", "lastOnlineAt", "lastOfflineAt"):
            self.assertIn(name, shown)

    def test_tls_is_shown(self):
        made = self.register()
        client = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"], tls=True)
        self.addCleanup(client.close)
        client.connect()
        self.assertTrue(self.status(made)["connection"]["secure"])

    def test_disable_ends_the_session_and_keeps_it_out(self):
        made = self.register()
        path = f"~/devices/{made['assetId']}"
        client = self.client(made).connect()
        shown = self.api.post(path + ":disable", {"reason": "stolen"})
        self.assertEqual((shown["status"], shown["enabled"], shown["adminReason"], shown["connection"]["reason"]), ("disabled", False, "stolen", "disabled"))
        client.gone.get(timeout=DEADLINE)
        client.client.loop_stop()
        self.assertNotEqual(self.client(made).try_connect(), 0)
        refused(self, self.api, "POST", path + ":disable", 409, "state_conflict", json={})
        self.assertEqual(self.api.post(path + ":enable")["enabled"], True)
        refused(self, self.api, "POST", path + ":enable", 409, "state_conflict", json={})
        self.client(made).connect()
        self.assertEqual(self.status(made)["status"], "online")

    def test_delete_ends_the_session_and_all_of_it(self):
        made = self.register()
        path = f"~/devices/{made['assetId']}"
        client = self.client(made).connect()
        client.post({"power": 1.0})
        self.api.request("DELETE", path)
        client.gone.get(timeout=DEADLINE)
        client.client.loop_stop()
        by_key = f"~/products/{made['productKey']}/devices/{made['deviceKey']}"
        for method, rest, body in (("GET", "", None), ("GET", "/status", None), ("GET", "/points/latest", None), ("GET", "/points/power/history", None),
                                   ("GET", "/events", None), ("GET", "/commands", None), ("PATCH", "", {"name": "x"}), ("DELETE", "", None),
                                   ("POST", ":enable", {}), ("POST", "/services/reboot:invoke", {}), ("POST", "/points", {"items": []})):
            for address in (path, by_key):
                refused(self, self.api, method, address + rest, 404, "device_unknown", json=body)
        self.assertNotEqual(self.client(made).try_connect(), 0)

    def test_a_new_secret_ends_the_old_one_at_once(self):
        made = self.register()
        client = self.client(made).connect()
        new = self.api.post(f"~/devices/{made['assetId']}:resetSecret")
        self.assertEqual((new["assetId"], new["deviceKey"]), (made["assetId"], made["deviceKey"]))
        client.gone.get(timeout=DEADLINE)
        client.client.loop_stop()
        self.assertNotEqual(self.client(made).try_connect(), 0)
        self.client(made, new["deviceSecret"]).connect()

    def test_a_new_secret_may_overlap_the_old_one(self):
        made = self.register()
        client = self.client(made).connect()
        new = self.api.post(f"~/devices/{made['assetId']}:resetSecret", {"overlap": 3})
        self.assertEqual(client.post({"power": 1.0})["code"], 200, "the session goes on")
        client.close()
        self.client(made).connect().close()

        def refused_now():
            old = self.client(made)
            code = old.try_connect()
            old.close()
            return code != 0

        wait_for(refused_now, "the old secret is over")
        self.client(made, new["deviceSecret"]).connect()
        for overlap in (-1, 2_592_001, "1"):
            refused(self, self.api, "POST", f"~/devices/{made['assetId']}:resetSecret", 422, "validation_failed", json={"overlap": overlap})


if __name__ == "__main__":
    unittest.main()
