"""Gateways and the devices behind them, as the public device SDKs use them."""
import json
import time
import unittest

from orrery import DEADLINE, Device, NodeTest, sign, wait_for


class GatewayTest(NodeTest):
    """A gateway, and a product whose devices are behind it."""

    def setUp(self):
        self.hub = self.api.post("~/products", {"name": f"Hub of {self.id()}", "modelId": self.model(), "nodeType": "gateway"})
        self.leaf = self.api.post("~/products", {"name": f"Leaf of {self.id()}", "modelId": self.model(), "signMethods": ["sha256", "sha1"]})
        self.made = self.api.post("~/devices", {"productKey": self.hub["productKey"], "deviceKey": "hub"})
        self.gateway = self.connect()

    def model(self):
        return self.api.get(f"~/products/{self.node.demo['productKey']}")["modelId"]

    def connect(self, **options):
        gateway = Device(self.node, self.hub["productKey"], "hub", self.made["deviceSecret"], **options)
        self.addCleanup(gateway.close)
        return gateway.connect()

    def sub(self, key, **fields):
        return self.api.post("~/devices", dict({"productKey": self.leaf["productKey"], "deviceKey": key}, **fields))

    def proof(self, made, client_id=None, method="sha256", label="signMethod", secret=None, **more):
        pk, dk = made["productKey"], made["deviceKey"]
        client_id, timestamp = client_id or f"{pk}.{dk}.1", "1700000000500"
        return dict({"productKey": pk, "deviceKey": dk, "clientId": client_id, "timestamp": timestamp, label: method,
                     "sign": sign(client_id, dk, pk, timestamp, secret or made["deviceSecret"], method)}, **more)

    def add(self, *subs, gateway=None, **how):
        return (gateway or self.gateway).request("thing/topo/add", "thing.topo.add", [self.proof(s, **how) for s in subs])

    def login(self, made, gateway=None, **how):
        return (gateway or self.gateway).request("combine/login", "combine.login", self.proof(made, **how), tree="ext/session")

    def logout(self, made):
        return self.gateway.request("combine/logout", "combine.logout", {"productKey": made["productKey"], "deviceKey": made["deviceKey"]},
                                    tree="ext/session")

    def topology(self):
        reply = self.gateway.request("thing/topo/get", "thing.topo.get", {})
        self.assertEqual(reply["code"], 200)
        return {(d["productKey"], d["deviceKey"]) for d in reply["data"]}

    def status(self, made):
        return self.api.get(f"~/devices/{made['assetId']}/status")["status"]

    def in_and_bound(self, *keys):
        """Sub-devices that are bound and logged in."""
        made = [self.sub(key) for key in keys]
        self.assertEqual(self.add(*made)["code"], 200)
        for one in made:
            self.assertEqual(self.login(one)["code"], 200)
        return made

    def whose(self, made):
        return made["productKey"], made["deviceKey"]


class Topology(GatewayTest):
    def test_sub_devices_are_added_shown_and_deleted(self):
        self.assertEqual(self.topology(), set())
        a, b = self.sub("a"), self.sub("b")
        self.assertEqual(self.add(a)["data"], {})
        # Every client writes it in its own way.
        self.assertEqual(self.add(b, label="signmethod", client_id="b", method="sha1")["code"], 200)
        self.assertEqual(self.add(a, b)["code"], 200, "again")
        self.assertEqual(self.topology(), {self.whose(a), self.whose(b)})
        self.assertEqual(self.api.get(f"~/devices/{a['assetId']}/gateway")["assetId"], self.made["assetId"])
        self.assertEqual(self.api.get(f"~/devices/{a['assetId']}")["gateway"], self.made["assetId"])
        gone = self.gateway.request("thing/topo/delete", "thing.topo.delete",
                                    [{"productKey": a["productKey"], "deviceKey": "a", "assetId": "ignored"}])
        self.assertEqual(gone["code"], 200)
        self.assertEqual(self.topology(), {self.whose(b)})
        again = self.gateway.request("thing/topo/delete", "thing.topo.delete", [{"productKey": a["productKey"], "deviceKey": "a"}])
        self.assertEqual(again["code"], 1256)

    def test_all_are_added_or_none(self):
        a, b = self.sub("a1"), self.sub("b1")
        for wrong, code in ((dict(b, deviceSecret="another secret"), 742), (dict(b, deviceKey="nobody"), 1255),
                            (self.made, 1255)):
            with self.subTest(code):
                reply = self.add(a, wrong)
                self.assertEqual(reply["code"], code)
                self.assertTrue(reply["message"])
                self.assertEqual(self.topology(), set())
        other = self.api.post("~/devices", {"productKey": self.hub["productKey"], "deviceKey": "other"})
        second = Device(self.node, self.hub["productKey"], "other", other["deviceSecret"])
        self.addCleanup(second.close)
        second.connect()
        self.assertEqual(self.add(a)["code"], 200)
        self.assertEqual(self.add(a, b, gateway=second)["code"], 1255, "it has a gateway")
        self.assertEqual(self.login(a, gateway=second)["code"], 740)

    def test_who_is_no_gateway_has_no_topology(self):
        plain = self.device()
        self.assertEqual(plain.request("thing/topo/get", "thing.topo.get", {})["code"], 1200)
        self.assertEqual(plain.request("thing/topo/add", "thing.topo.add", [self.proof(self.sub("c"))])["code"], 1255)
        self.assertEqual(plain.request("thing/device/register", "thing.device.register", [])["code"], 1200)

    def test_one_that_is_online_is_not_unbound_by_its_gateway(self):
        a, = self.in_and_bound("busy")
        reply = self.gateway.request("thing/topo/delete", "thing.topo.delete", [{"productKey": a["productKey"], "deviceKey": "busy"}])
        self.assertEqual(reply["code"], 1256)
        self.assertEqual(self.status(a), "online")

    def test_an_operator_binds_and_unbinds(self):
        a, b = self.sub("op-a"), self.sub("op-b")
        names = [{"productKey": d["productKey"], "deviceKey": d["deviceKey"]} for d in (a, b)]
        reply = self.api.post(f"~/devices/{self.made['assetId']}/subDevices:bind", {"devices": names + [{"productKey": "x", "deviceKey": "y"}]})
        self.assertEqual((reply["ok"], reply["failed"]), (2, 1))
        self.assertEqual(self.topology(), {self.whose(a), self.whose(b)})
        self.assertEqual(self.login(a)["code"], 200)
        first = self.api.get(f"~/devices/{self.made['assetId']}/subDevices", params={"limit": 1})
        rest = self.api.get(f"~/devices/{self.made['assetId']}/subDevices", params={"limit": 1, "cursor": first["nextCursor"]})
        self.assertEqual([d["deviceKey"] for d in first["items"] + rest["items"]], ["op-a", "op-b"])
        reply = self.api.post(f"~/devices/{self.made['assetId']}/subDevices:unbind", {"devices": names})
        self.assertEqual(reply["ok"], 2)
        self.assertEqual(self.topology(), set())
        wait_for(lambda: self.status(a) == "offline", "the end of the one that was unbound")
        self.api.request("POST", f"~/devices/{a['assetId']}/subDevices:bind", json={"devices": names}, expect=409)

    def test_a_gateway_that_is_deleted_leaves_its_sub_devices(self):
        a, = self.in_and_bound("orphan")
        self.api.request("DELETE", f"~/devices/{self.made['assetId']}", expect=204)
        self.gateway.gone.get(timeout=DEADLINE)
        wait_for(lambda: "gateway" not in self.api.get(f"~/devices/{a['assetId']}"), "the sub-device to be nobody's")
        wait_for(lambda: self.status(a) == "offline", "it to be off-line")


class Sessions(GatewayTest):
    def test_logins_of_every_client(self):
        a = self.sub("l")
        self.assertEqual(self.login(a)["code"], 740, "not bound")
        self.add(a)
        for how in ({}, {"client_id": f"{a['productKey']}l1", "label": "signmethod"}, {"client_id": "l", "cleanSession": "true"},
                    {"secureMode": "2"}, {"secureMode": 2, "cleanSession": "False"}):
            with self.subTest(how):
                reply = self.login(a, **how)
                self.assertEqual(reply["code"], 200)
                self.assertEqual(reply["data"], {"assetId": a["assetId"], "productKey": a["productKey"], "deviceKey": "l"})
        self.assertEqual(self.status(a), "online")
        self.assertTrue(self.api.get(f"~/devices/{a['assetId']}/status")["connection"]["byGateway"])
        wrong = self.login(a, secret="another secret")
        self.assertEqual(wrong["code"], 742)
        self.assertEqual(wrong["data"], {"productKey": a["productKey"], "deviceKey": "l"}, "the keys are there")
        self.assertEqual(self.login(dict(a, deviceKey="nobody"))["code"], 705)
        self.assertEqual(self.login(a, secureMode="3")["code"], 742)
        self.assertEqual(self.status(a), "online", "what was refused changed nothing")

    def test_out_again(self):
        a, = self.in_and_bound("o")
        for who in (a, a, dict(a, deviceKey="nobody")):
            reply = self.logout(who)
            self.assertEqual((reply["code"], reply["data"]), (200, {"productKey": who["productKey"], "deviceKey": who["deviceKey"]}))
        self.assertEqual(self.status(a), "offline")
        self.assertEqual(self.api.get(f"~/devices/{a['assetId']}/status")["connection"]["reason"], "logout")
        self.assertEqual(self.login(a)["code"], 200)

    def test_a_batch_of_logins_tells_of_each(self):
        a, b, c = self.sub("b-1"), self.sub("b-2"), self.sub("b-3")
        self.add(a, b, c)
        self.api.post(f"~/devices/{b['assetId']}:disable", {})

        def batch(*entries):
            return self.gateway.request("combine/login/batch", "combine.login.batch",
                                        {"clientId": "login.batch", "timestamp": "1700000000500.25", "signMethod": "hmacsha256",
                                         "subDevices": list(entries)}, tree="ext/session")

        def entry(made, **more):
            signature = sign("login.batch", made["deviceKey"], made["productKey"], "1700000000500.25", made["deviceSecret"])
            return dict({"productKey": made["productKey"], "deviceKey": made["deviceKey"], "sign": signature}, **more)

        reply = batch(entry(a, secureMode="2"), entry(c, secureMode=2))
        self.assertEqual(reply["code"], 200)
        self.assertEqual(reply["data"]["failedSubDevices"], [])
        self.assertEqual({d["assetId"] for d in reply["data"]["loginedSubDevices"]}, {a["assetId"], c["assetId"]})
        reply = batch(entry(a), entry(b))
        self.assertEqual(reply["code"], 723)
        self.assertIn("b-2 has error: ", reply["message"])
        self.assertEqual([d["deviceKey"] for d in reply["data"]["loginedSubDevices"]], ["b-1"])
        self.assertEqual(reply["data"]["failedSubDevices"], [{"productKey": b["productKey"], "deviceKey": "b-2"}])
        reply = self.gateway.request("combine/login/batch", "combine.login.batch", {"clientId": "x"}, tree="ext/session")
        self.assertEqual(reply["code"], 1220)

    def test_the_gateways_end_is_that_of_all_behind_it(self):
        a, b = self.in_and_bound("e-1", "e-2")
        self.gateway.close()
        for one in (a, b):
            wait_for(lambda one=one: self.status(one) == "offline", "a sub-device to go with its gateway")
            self.assertEqual(self.api.get(f"~/devices/{one['assetId']}/status")["connection"]["reason"], "gateway_offline")
        self.gateway = self.connect()
        self.assertEqual(self.login(a)["code"], 200)
        self.assertEqual((self.status(a), self.status(b)), ("online", "offline"))
        # The gateway is taken over: so are its sub-devices.
        second = self.connect()
        wait_for(lambda: self.status(a) == "offline", "the sub-device of the connection that was taken over")
        self.assertEqual(self.login(a, gateway=second)["code"], 200)

    def test_a_disabled_gateway_silences_those_behind_it(self):
        a, = self.in_and_bound("silent")
        self.api.post(f"~/devices/{self.made['assetId']}:disable", {})
        wait_for(lambda: self.status(a) == "offline", "the sub-device to be silent")
        notice = self.gateway.messages.get(timeout=DEADLINE)
        self.assertTrue(notice.topic.endswith("/thing/disable"))

    def test_the_gateway_is_told_what_happens_to_a_sub_device(self):
        a, = self.in_and_bound("n")
        for verb, act in (("disable", lambda: self.api.post(f"~/devices/{a['assetId']}:disable", {})),
                          ("enable", lambda: self.api.post(f"~/devices/{a['assetId']}:enable", {})),
                          ("delete", lambda: self.api.request("DELETE", f"~/devices/{a['assetId']}", expect=204))):
            with self.subTest(verb):
                act()
                m = self.gateway.messages.get(timeout=DEADLINE)
                self.assertEqual(m.topic, f"/ext/session/{self.gateway.pk}/hub/combine/{verb}")
                text = json.loads(m.payload)
                self.assertEqual(text["method"], f"combine.{verb}")
                self.assertEqual(text["params"], [{"productKey": a["productKey"], "deviceKey": "n"}])
                self.assertTrue(text["id"].isdigit())
                # Answered where it belongs, and where one client answers.
                self.gateway.publish(m.topic + "_reply", {"id": text["id"], "code": 200, "data": {}})
                self.gateway.publish(f"/ext/session/session/{self.gateway.pk}/combine/{verb}_reply", {"id": text["id"], "code": 200, "data": {}})
                if verb == "disable":
                    self.assertEqual(self.status(a), "disabled")
                    self.assertEqual(self.login(a)["code"], 723)
                    self.assertEqual(self.gateway.request("thing/measurepoint/post", "", {"measurepoints": {"power": 1}},
                                                          whose=self.whose(a))["code"], 1009)
        self.assertEqual(self.topology(), set())

    def test_one_client_takes_the_notice_as_an_object(self):
        a, = self.in_and_bound("obj")
        self.gateway = self.connect(id=f"{self.hub['productKey']}.hub")
        self.api.post(f"~/devices/{a['assetId']}:disable", {})
        m = self.gateway.messages.get(timeout=DEADLINE)
        self.assertEqual(json.loads(m.payload)["params"], {"productKey": a["productKey"], "deviceKey": "obj"})


class Data(GatewayTest):
    def latest(self, made, point="power"):
        for item in self.api.get(f"~/devices/{made['assetId']}/points/latest")["items"]:
            if item["point"] == point:
                return item["value"]
        return None

    def test_a_gateway_speaks_for_a_sub_device_on_its_topics(self):
        a, = self.in_and_bound("t")
        b = self.sub("t-out")
        self.add(b)
        self.assertEqual(self.gateway.request("thing/measurepoint/post", "", {"measurepoints": {"power": 7}}, whose=self.whose(a))["code"], 200)
        self.assertEqual(self.latest(a), 7)
        self.assertEqual(self.gateway.request("thing/tag/update", "", [{"tagKey": "k", "tagValue": "v"}], whose=self.whose(a))["code"], 200)
        self.assertEqual(self.gateway.request("thing/tag/query", "", {}, whose=self.whose(a))["data"], {"k": "v"})
        self.assertIn("power", self.gateway.request("thing/tsltemplate/get", "", {}, whose=self.whose(a))["data"]["tslMeasurepointMap"])
        for foreign in (self.whose(b), (a["productKey"], "nobody"), (self.node.demo["productKey"], "inv-01")):
            with self.subTest(foreign):
                reply = self.gateway.request("thing/measurepoint/post", "", {"measurepoints": {"power": 7}}, whose=foreign)
                self.assertIn(reply["code"], (1009, 705))
        self.assertIsNone(self.latest(b))
        self.logout(a)
        self.assertEqual(self.gateway.request("thing/measurepoint/post", "", {"measurepoints": {"power": 8}}, whose=self.whose(a))["code"], 1009)
        self.assertEqual(self.latest(a), 7)

    def batch(self, entries, **flags):
        return self.gateway.request("thing/measurepoint/post/batch", "thing.measurepoint.post.batch", entries, **flags)

    def entry(self, made, value, point="power", **more):
        return dict({"productKey": made["productKey"], "deviceKey": made["deviceKey"], "measurepoints": {point: value}}, **more)

    def test_batches_for_many(self):
        a, b = self.in_and_bound("m-1", "m-2")
        out = self.sub("m-out")
        self.add(out)
        now = int(time.time() * 1000)
        reply = self.batch([self.entry(a, 1, time=now - 1), self.entry(a, 2, time=now), self.entry(b, 3),
                            {"productKey": "", "deviceKey": "", "measurepoints": {"power": 4}}])
        self.assertEqual(reply["code"], 200)
        self.assertEqual((self.latest(a), self.latest(b), self.latest(self.made)), (2, 3, 4))
        self.assertEqual(self.batch([self.entry(a, 5), self.entry(out, 6)])["code"], 1212)
        self.assertEqual(self.batch([self.entry(out, 6)], allowOfflineSubDevice="")["code"], 1212)
        self.assertIsNone(self.latest(out))
        self.assertEqual(self.batch([self.entry(a, 5), self.entry(out, 6)], allowOfflineSubDevice=True)["code"], 200)
        self.assertEqual((self.latest(a), self.latest(out)), (5, 6))
        self.assertEqual(self.status(out), "inactive", "data do not log in")
        # One bad point refuses all, before anything is kept.
        self.assertEqual(self.batch([self.entry(a, 9), self.entry(b, "warm")])["code"], 1204)
        self.assertEqual(self.latest(a), 5)
        self.assertEqual(self.batch([self.entry(a, 10), self.entry(b, "warm")], skipInvalidMeasurepoints=True)["code"], 200)
        self.assertEqual((self.latest(a), self.latest(b)), (10, 3))
        self.assertEqual(self.batch([self.entry({"productKey": "nothing", "deviceKey": "x"}, 1)], allowOfflineSubDevice=True)["code"], 1212)
        self.assertEqual(self.batch([{"measurepoints": 1}])["code"], 1206)

    def test_commands_reach_a_sub_device_through_its_gateway(self):
        a, = self.in_and_bound("cmd")
        seen = []

        def serve(m):
            seen.append(m.topic)
            self.gateway.client.publish(m.topic + "_reply", json.dumps({"id": json.loads(m.payload)["id"], "code": 200, "data": {"power": 3}}))

        self.gateway.on_command = serve
        done = self.api.post(f"~/devices/{a['assetId']}/points:read", {"points": ["power"]})
        self.assertEqual((done["state"], done["type"], done["output"]), ("succeeded", "read", {"power": 3}))
        self.assertEqual(seen, [f"/sys/{a['productKey']}/cmd/thing/service/measurepoint/get"])

    def test_what_it_tells_beside_its_model(self):
        now = int(time.time() * 1000)
        for path, params, event in (("thing/log/post", {"logs": {"level": "info", "content": "up"}, "time": now}, "$log"),
                                    ("network/status/report", {"reportTime": now, "rssi": -70, "networkType": "lte"}, "$network")):
            self.assertEqual(self.gateway.request(path, "", params)["code"], 200)
            kept = self.api.get(f"~/devices/{self.made['assetId']}/events", params={"eventId": event})["items"]
            self.assertEqual([e["output"] for e in kept], [params.get("logs", params)])
        self.assertEqual(self.gateway.request("connection/state/post", "", {
            "isFull": True, "nodes": [{"nodeId": "a", "state": 1}, {"nodeId": "b", "state": 2}], "relations": {"a": ["b"]}, "reportTime": now})["code"], 200)
        self.gateway.request("connection/state/post", "", {"isFull": False, "nodes": [{"nodeId": "b", "state": 1}]})
        picture = self.api.get(f"~/devices/{self.made['assetId']}/connectionTopology")
        self.assertEqual({k: v["state"] for k, v in picture["nodes"].items()}, {"a": 1, "b": 1})
        self.assertEqual(picture["relations"], {"a": ["b"]})
        self.assertEqual(self.gateway.request("connection/state/post", "", {"nodes": [{"state": 1}]})["code"], 1200)

    def test_a_gateway_registers_devices(self):
        def register(*entries):
            return self.gateway.request("thing/device/register", "thing.device.register", list(entries))

        pk = self.leaf["productKey"]
        reply = register({"productKey": pk, "deviceKey": "r-1", "deviceName": {"defaultValue": "Roof", "i18nValue": {}}, "timezone": "+02:00"},
                         {"productKey": pk, "deviceName": "Cellar", "deviceDesc": ""}, {"productKey": pk, "deviceKey": "r-3"})
        self.assertEqual(reply["code"], 200)
        made = reply["data"]
        self.assertEqual([d["deviceKey"] for d in (made[0], made[2])], ["r-1", "r-3"])
        self.assertTrue(all(isinstance(v, str) and v for d in made for v in d.values()))
        self.assertEqual(self.api.get(f"~/devices/{made[0]['assetId']}")["name"], "Roof")
        self.assertEqual(self.topology(), set(), "registered, not bound")
        self.assertEqual(self.add(made[1])["code"], 200)
        self.assertEqual(self.login(made[1])["code"], 200)
        # All or none.
        self.assertEqual(register({"productKey": pk, "deviceKey": "r-4"}, {"productKey": pk, "deviceKey": "r-1"})["code"], 702)
        self.assertEqual(register({"productKey": pk, "deviceKey": "r-4"}, {"productKey": pk, "deviceKey": "r-4"})["code"], 702)
        self.assertEqual(register({"productKey": pk, "deviceKey": "r-4"}, {"productKey": "nothing", "deviceKey": "r-5"})["code"], 1200)
        self.assertEqual(register({"productKey": pk})["code"], 1200)
        self.assertEqual(register({"productKey": pk, "deviceKey": "r-4"}, {"productKey": pk, "deviceKey": "r-5", "deviceAttributes": {"nothing": 1}})["code"], 1204)
        self.api.request("GET", f"~/products/{pk}/devices/r-4", expect=404)

    def test_a_thousand_sub_devices_in_one_batch_a_second(self):
        count = 1000
        pk = self.leaf["productKey"]
        reply = self.gateway.request("thing/device/register", "thing.device.register",
                                     [{"productKey": pk, "deviceKey": f"k-{i}"} for i in range(count)])
        self.assertEqual(reply["code"], 200)
        made = reply["data"]
        self.assertEqual(self.add(*made)["code"], 200)
        reply = self.gateway.request("combine/login/batch", "combine.login.batch", {
            "clientId": "login.batch", "timestamp": "1", "signMethod": "sha256", "subDevices": [
                {"productKey": pk, "deviceKey": d["deviceKey"], "sign": sign("login.batch", d["deviceKey"], pk, "1", d["deviceSecret"])} for d in made]},
            tree="ext/session")
        self.assertEqual((reply["code"], len(reply["data"]["loginedSubDevices"])), (200, count))
        start = time.monotonic()
        for second in range(5):
            wait_for(lambda: time.monotonic() >= start + second, "the next second")
            reply = self.batch([self.entry(d, second * count + i) for i, d in enumerate(made)])
            self.assertEqual(reply["code"], 200)
        self.assertLess(time.monotonic() - start, 15, "far behind the second")
        for i in (0, 1, 499, 999):
            self.assertEqual(self.latest(made[i]), 4 * count + i)
        self.gateway.close()
        wait_for(lambda: not self.api.get("~/devices", params={"productKey": pk, "status": "online", "limit": 1})["items"],
                 "all of them to go with the gateway")


if __name__ == "__main__":
    unittest.main()
