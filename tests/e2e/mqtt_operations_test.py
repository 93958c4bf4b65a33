"""Every request that a device may make by MQTT, with its reply, its result code and what it leaves behind."""
import json
import unittest

import mqtt_wire
from orrery import DEADLINE, Device, NodeTest, wait_for

MODEL = {
    "format": "tm/1", "id": "Everything", "name": "Everything",
    "attributes": [
        {"id": "site", "type": {"t": "string", "maxLength": 20}},
        {"id": "ratedKw", "type": {"t": "double", "min": 0}},
        {"id": "box", "type": {"t": "struct", "fields": [{"id": "w", "type": {"t": "int"}}, {"id": "h", "type": {"t": "int"}}]}},
        {"id": "fromCloud", "access": "cloud", "type": {"t": "int"}}],
    "measurePoints": [
        {"id": "int", "type": {"t": "int"}},
        {"id": "long", "type": {"t": "long"}},
        {"id": "float", "type": {"t": "float"}},
        {"id": "double", "type": {"t": "double", "min": -100, "max": 100}},
        {"id": "bool", "type": {"t": "bool"}},
        {"id": "string", "type": {"t": "string", "maxLength": 5}},
        {"id": "text", "type": {"t": "string"}},
        {"id": "enum", "type": {"t": "enum", "values": {"0": "off", "1": "on"}}},
        {"id": "word", "type": {"t": "enum", "base": "string", "values": {"low": "Low", "high": "High"}}},
        {"id": "date", "type": {"t": "date"}},
        {"id": "stamp", "type": {"t": "timestamp"}},
        {"id": "list", "type": {"t": "array", "items": {"t": "double"}}},
        {"id": "struct", "type": {"t": "struct", "fields": [{"id": "closed", "type": {"t": "bool"}}, {"id": "cycles", "type": {"t": "int"}}]}},
        {"id": "quality", "hasQuality": True, "type": {"t": "double"}}],
    "services": [{"id": "go"}],
    "events": [{"id": "over.Temp", "level": "error", "output": [{"id": "celsius", "type": {"t": "double"}}, {"id": "sensor", "type": {"t": "string"}}]}],
}


class Operations(NodeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api.post("~/models", MODEL)
        cls.api.post("~/models/Everything:publish", {"note": "test"})
        cls.pk = cls.api.post("~/products", {"name": "Everything", "modelId": "Everything"})["productKey"]

    def setUp(self):
        self.made = self.api.post("~/devices", {"productKey": self.pk})
        self.device = Device(self.node, self.pk, self.made["deviceKey"], self.made["deviceSecret"])
        self.addCleanup(self.device.close)
        self.device.connect()
        self.path = f"~/devices/{self.made['assetId']}"

    def ask(self, path, params, **top):
        """Sends a request; checks the form of its reply and gives (code, data)."""
        self.device.ids += 1
        id = str(self.device.ids)
        topic = f"/sys/{self.pk}/{self.device.dk}/{path}"
        request = dict({"id": id, "version": "1.1", "method": "anything", "params": params}, **top)
        if params is None:
            del request["params"]
        self.device.publish(topic, request)
        return self.reply(topic, id)

    def raw(self, path, payload):
        topic = f"/sys/{self.pk}/{self.device.dk}/{path}"
        self.device.publish(topic, payload)
        return self.reply(topic)

    def reply(self, topic, id=None):
        while True:
            message = self.device.messages.get(timeout=DEADLINE)
            self.assertEqual(message.topic, topic + "_reply")
            self.assertFalse(message.retain)
            payload = json.loads(message.payload)
            if id is None or payload["id"] == id:
                break
        # Compact, in the order that the oldest clients look for, and always with data.
        self.assertEqual(message.payload, json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode())
        self.assertEqual(list(payload)[:3], ["id", "code", "data"])
        self.assertEqual("message" in payload, payload["code"] != 200)
        if payload["code"] != 200:
            self.assertEqual(payload["data"], {})
        return payload["code"], payload["data"]

    def post(self, points, time=None):
        return self.ask("thing/measurepoint/post", {"measurepoints": points} if time is None else {"measurepoints": points, "time": time})[0]

    def latest(self):
        return {p["point"]: p for p in self.api.get(self.path + "/points/latest?timeFormat=ms")["items"]}

    def history(self, point):
        return [(h["time"], h["value"]) for h in self.api.get(f"{self.path}/points/{point}/history?from=-1&to=9999999999999&timeFormat=ms")["items"]]

    def test_values_of_every_type_are_taken_in_all_their_forms(self):
        for point, given, kept in (
                ("int", 5, 5), ("int", "5", 5), ("int", 5.0, 5), ("int", -2147483648, -2147483648),
                ("long", 9007199254740993, 9007199254740993), ("long", "9223372036854775807", 9223372036854775807),
                ("float", 1.5, 1.5), ("float", "1.5", 1.5), ("float", 1, 1), ("double", 99.5, 99.5), ("double", "-1e2", -100), ("double", 7, 7),
                ("bool", True, True), ("bool", 0, False), ("bool", 1, True),
                ("string", "abc", "abc"), ("string", 12, "12"), ("string", True, "true"), ("string", "", ""), ("string", "\u00e4\u20ac", "\u00e4\u20ac"),
                ("text", "x" * 1024, "x" * 1024), ("enum", 1, 1), ("enum", "1", 1), ("word", "high", "high"),
                ("stamp", 1700000000123, 1700000000123), ("list", [1.25, 2, "3.5"], [1.25, 2, 3.5]), ("list", [], []),
                ("struct", {"closed": True, "cycles": 118}, {"closed": True, "cycles": 118}), ("struct", {"cycles": "3"}, {"cycles": 3}),
                ("quality", 4.5, 4.5)):
            with self.subTest(point, given=given):
                self.assertEqual(self.post({point: given}), 200)
                self.assertEqual(self.latest()[point]["value"], kept)
        for given in ("2024-02-03 04:05:06", "2024-02-03T04:05:06Z", "2024-02-03T06:05:06+02:00", 1706933106000):
            with self.subTest("date", given=given):
                self.assertEqual(self.post({"date": given}), 200)
                self.assertEqual(self.latest()["date"]["value"], self.latest()["date"]["value"])

    def test_a_value_and_its_quality(self):
        self.assertEqual(self.post({"quality": {"value": 3, "quality": 9}}), 200)
        self.assertEqual((self.latest()["quality"]["value"], self.latest()["quality"]["quality"]), (3, 9))
        for written in ("7", 7.0):
            self.assertEqual(self.post({"quality": {"value": "3.5", "quality": written}}), 200, "as some clients write it")
            self.assertEqual((self.latest()["quality"]["value"], self.latest()["quality"]["quality"]), (3.5, 7))
        self.assertEqual(self.post({"quality": {"value": 2}}), 200)
        for given in ({"value": 3, "quality": 10}, {"value": 3, "quality": -1}, {"value": 3, "quality": "good"},
                      {"value": 3, "quality": "10"}, {"value": 3, "quality": ""}, {"value": 3, "quality": 1.5}, {"value": 3, "quality": True}, {"quality": 3}):
            with self.subTest(given=given):
                self.assertEqual(self.post({"quality": given}), 1204)
        self.assertEqual(self.post({"int": {"value": 3, "quality": 1}}), 1204)  # that point has none

    def test_values_that_do_not_fit_are_refused_with_1204_and_nothing_is_kept(self):
        for point, given in (
                ("int", "x"), ("int", 1.5), ("int", 2147483648), ("int", None), ("int", True), ("int", [1]), ("int", ""),
                ("long", "9223372036854775808"), ("float", "x"), ("float", 1e39), ("double", 100.1), ("double", "NaN"), ("double", "inf"), ("double", {}),
                ("bool", 2), ("bool", "yes"), ("bool", 0.5), ("string", "too long"), ("string", {}), ("string", []), ("text", "x" * 1025),
                ("enum", 2), ("enum", "on"), ("word", "Low"), ("date", "yesterday"), ("date", "2024-02-30 00:00:00"), ("date", True), ("stamp", {}),
                ("list", 1), ("list", [1, "x"]), ("list", [[1]]), ("list", [1] * 1025), ("struct", 5), ("struct", {"closed": True, "unknown": 1}),
                ("struct", {"cycles": "x"}), ("unknown", 1), ("", 1), ("\u00e4" * 600, 1)):
            with self.subTest(point, given=given):
                self.assertEqual(self.post({"int": 1, point: given} if point != "int" else {"float": 1, point: given}), 1204)
        self.assertEqual(self.latest(), {})

    def test_a_refusal_names_the_point_and_what_was_expected(self):
        topic = f"/sys/{self.pk}/{self.device.dk}/thing/measurepoint/post"
        self.device.publish(topic, {"id": "1", "params": {"measurepoints": {"int": "warm", "nothing": 1}}})
        message = json.loads(self.device.messages.get(timeout=DEADLINE).payload)["message"]
        for words in ("int: ", "warm", "nothing: "):
            self.assertEqual(message.count(words), 1, message)

    def test_the_message_of_many_refusals_is_still_text(self):
        for size in range(1, 5):
            points = {"\u20ac" * size + str(i): 1 for i in range(400)}
            self.assertEqual(self.post(points), 1204)

    def test_the_time_comes_in_many_forms(self):
        at = mqtt_wire.now_ms() - 60_000
        self.assertEqual(self.post({"int": 1}), 200)
        self.assertLess(abs(self.latest()["int"]["time"] - mqtt_wire.now_ms()), 60_000)
        for given, kept in ((at, at), (float(at), at), (str(at), at), (at * 1000, at), (float(at * 1000), at), (at / 1000 + 0.0005, at), (f"{at:.12e}", at),
                            (4_102_444_800_000, 4_102_444_800_000)):
            with self.subTest(given=given):
                self.assertEqual(self.post({"float": 1}, given), 200)
                self.assertLessEqual(min(abs(t - kept) for t, _ in self.history("float")), 1)
        self.assertEqual(self.post({"float": 1}, 0), 200)  # taken, and too old to be shown
        for given in ("soon", True, [], {}, 1e300):
            with self.subTest(given=given):
                self.assertEqual(self.post({"float": 1}, given), 1206)

    def test_malformed_posts_are_1206(self):
        for path in ("thing/measurepoint/post", "thing/measurepoint/resume"):
            for params in (None, {}, [], 5, "x", {"measurepoints": None}, {"measurepoints": []}, {"measurepoints": {}}):
                with self.subTest(path, params=params):
                    self.assertEqual(self.ask(path, params), (1206, {}))
        for path in ("thing/measurepoint/post/batch", "thing/measurepoint/resume/batch"):
            for params in (None, {}, [], [5], [None], [{}], [{"measurepoints": {}}], {"measurepoints": {"int": 1}}, [{"measurepoints": {"int": 1}}, {}],
                           [{"measurepoints": {"int": 1}, "time": "soon"}]):
                with self.subTest(path, params=params):
                    self.assertEqual(self.ask(path, params), (1206, {}))
        self.assertEqual(self.latest(), {})

    def test_a_batch_is_all_or_nothing(self):
        at = mqtt_wire.now_ms() - 10_000
        posts = [{"measurepoints": {"int": i}, "time": at + i} for i in range(100)]
        self.assertEqual(self.ask("thing/measurepoint/post/batch", posts)[0], 200)
        self.assertEqual(self.history("int"), [(at + i, i) for i in range(100)])
        self.assertEqual(self.ask("thing/measurepoint/post/batch", [{"measurepoints": {"float": 1}}, {"measurepoints": {"unknown": 1}}])[0], 1204)
        self.assertNotIn("float", self.latest())

    def test_a_batch_may_name_its_own_device_and_skip_what_is_bad(self):
        own = {"productKey": self.pk, "deviceKey": self.device.dk}
        for keys in (own, {"productKey": "", "deviceKey": ""}, {"productKey": None, "deviceKey": None}):
            self.assertEqual(self.ask("thing/measurepoint/post/batch", [dict(keys, measurepoints={"int": 1})])[0], 200)
        bad = [{"measurepoints": {"unknown": 1, "int": 7}}, {"measurepoints": {"double": 1000}}]
        for skip, code in ((False, 1204), ("", 1204), ("false", 1204), (None, 1204), (True, 200), ("true", 200)):
            with self.subTest(skip=skip):
                self.assertEqual(self.ask("thing/measurepoint/post/batch", bad, skipInvalidMeasurepoints=skip, allowOfflineSubDevice="")[0], code)
        self.assertEqual(self.latest()["int"]["value"], 7)
        self.assertNotIn("double", self.latest())

    def test_a_batch_for_a_device_that_is_no_sub_device_is_1212(self):
        other = self.api.post("~/devices", {"productKey": self.pk})
        for keys in ({"productKey": self.pk, "deviceKey": other["deviceKey"]}, {"productKey": "x", "deviceKey": "y"}):
            for skip in (False, True):
                self.assertEqual(self.ask("thing/measurepoint/post/batch", [{"measurepoints": {"int": 1}}, dict(keys, measurepoints={"int": 1})],
                                          skipInvalidMeasurepoints=skip)[0], 1212)
        self.assertEqual(self.latest(), {})
        self.assertEqual(self.api.get(f"~/devices/{other['assetId']}/points/latest")["items"], [])

    def test_what_is_resumed_is_history_and_no_newer_latest_value(self):
        now = mqtt_wire.now_ms()
        stream = self.api.stream({"kind": "points", "filter": {"assets": [self.made["assetId"]]}})
        self.assertEqual(self.post({"int": 5}, now), 200)
        self.assertEqual(self.ask("thing/measurepoint/resume", {"measurepoints": {"int": 3}, "time": now - 3000})[0], 200)
        self.assertEqual(self.ask("thing/measurepoint/resume/batch", [{"measurepoints": {"int": 4}, "time": now - t} for t in (2000, 1000)])[0], 200)
        self.assertEqual(self.history("int"), [(now - 3000, 3), (now - 2000, 4), (now - 1000, 4), (now, 5)])
        self.assertEqual((self.latest()["int"]["value"], self.latest()["int"]["time"]), (5, now))
        self.assertEqual(self.post({"int": 6}, now + 1), 200)
        self.assertEqual([i["v"]["int"]["value"] for i in stream.items(2)], [5, 6])  # no live stream of the past
        stream.close()

    def test_a_late_post_is_history_too(self):
        now = mqtt_wire.now_ms()
        for value, at in ((1, now), (2, now - 1000), (3, now)):
            self.assertEqual(self.post({"int": value}, at), 200)
        self.assertEqual(self.history("int"), [(now - 1000, 2), (now, 3)])
        self.assertEqual(self.latest()["int"]["value"], 3)

    def test_events(self):
        at = mqtt_wire.now_ms() - 5000
        self.assertEqual(self.ask("thing/event/over.Temp/post", {"events": {"celsius": 91.5, "sensor": "T2"}, "time": at}), (200, {}))
        self.assertEqual(self.ask("thing/event/over.Temp/post", {"events": {}})[0], 200)
        found = wait_for(lambda: (lambda items: items if len(items) == 2 else None)(self.api.get(self.path + "/events?timeFormat=ms")["items"]), "two events")
        [first] = [e for e in found if e["time"] == at]
        self.assertEqual((first["eventId"], first["level"], first["output"]), ("over.Temp", "error", {"celsius": 91.5, "sensor": "T2"}))
        for params, code in (({"events": {"unknown": 1}}, 1204), ({"events": {"celsius": "hot"}}, 1204), ({"events": []}, 1200), ({}, 1200), (None, 1200),
                             ([], 1200), ({"events": {}, "time": "soon"}, 1200)):
            with self.subTest(params=params):
                self.assertEqual(self.ask("thing/event/over.Temp/post", params), (code, {}))
        self.assertEqual(self.ask("thing/event/unknown/post", {"events": {}})[0], 1204)
        self.assertEqual(len(self.api.get(self.path + "/events")["items"]), 2)

    def test_an_event_of_qos_0_is_answered(self):
        topic = f"/sys/{self.pk}/{self.device.dk}/thing/event/over.Temp/post"
        self.device.client.publish(topic, json.dumps({"id": "q0", "params": {"events": {"celsius": 1}}}), 0)
        self.assertEqual(self.reply(topic, "q0")[0], 200)

    def test_attributes(self):
        self.assertEqual(self.ask("thing/attribute/query", {}), (200, {}))
        values = {"site": "Hall 3", "ratedKw": 12.5, "box": {"w": 1, "h": 2}}
        self.assertEqual(self.ask("thing/attribute/update", {"attributes": values}), (200, {}))
        for params in (None, {}, {"attributes": []}, {"attributes": None}):
            self.assertEqual(self.ask("thing/attribute/query", params), (200, values))
        self.assertEqual(self.ask("thing/attribute/query", {"attributes": ["ratedKw", "fromCloud"]}), (200, {"ratedKw": 12.5}))
        self.assertEqual(self.api.get(self.path + "/attributes"), values)
        self.assertEqual(self.ask("thing/attribute/delete", {"attributes": []})[0], 200)
        self.assertEqual(self.ask("thing/attribute/delete", {"attributes": ["site", "box"]}), (200, {}))
        self.assertEqual(self.ask("thing/attribute/query", {}), (200, {"ratedKw": 12.5}))

    def test_attributes_that_do_not_fit_change_nothing(self):
        self.ask("thing/attribute/update", {"attributes": {"site": "A"}})
        for attributes in ({"site": "B", "unknown": 1}, {"site": "B", "ratedKw": -1}, {"site": "B", "ratedKw": "much"}, {"site": "B", "box": {"x": 1}},
                           {"site": "x" * 21}, {"site": "B", "fromCloud": 1}):
            with self.subTest(attributes=attributes):
                self.assertEqual(self.ask("thing/attribute/update", {"attributes": attributes}), (1204, {}))
        self.assertEqual(self.ask("thing/attribute/delete", {"attributes": ["site", "unknown"]})[0], 1204)
        self.assertEqual(self.ask("thing/attribute/query", {}), (200, {"site": "A"}))
        for path, code in (("update", 1207), ("query", 1208), ("delete", 1209)):
            for params in ({"attributes": "x"}, {"attributes": 5}):
                self.assertEqual(self.ask("thing/attribute/" + path, params), (code, {}))
        self.assertEqual(self.ask("thing/attribute/update", {}), (1207, {}))
        many = {f"a{i}": 1 for i in range(201)}
        self.assertEqual(self.ask("thing/attribute/update", {"attributes": many})[0], 1207)
        self.assertEqual(self.ask("thing/attribute/query", {"attributes": list(many)})[0], 1208)
        self.assertEqual(self.ask("thing/attribute/delete", {"attributes": list(many)})[0], 1209)

    def test_tags(self):
        self.assertEqual(self.ask("thing/tag/query", None), (200, {}))
        tags = [{"tagKey": "line", "tagValue": "B"}, {"tagKey": "a/b-c_d", "tagValue": 5}, {"tagKey": "on", "tagValue": True}]
        self.assertEqual(self.ask("thing/tag/update", tags), (200, {}))
        kept = {"line": "B", "a/b-c_d": "5", "on": "true"}
        for params in (None, {}, {"tags": []}):
            self.assertEqual(self.ask("thing/tag/query", params), (200, kept))
        self.assertEqual(self.ask("thing/tag/query", {"tags": ["line", "none"]}), (200, {"line": "B"}))
        self.assertEqual(self.api.get(self.path + "/tags"), kept)
        self.assertEqual(self.ask("thing/tag/delete", {"tags": []})[0], 200)
        self.assertEqual(self.ask("thing/tag/delete", {"tags": ["line", "none"]}), (200, {}))
        self.assertEqual(sorted(self.ask("thing/tag/query", {})[1]), ["a/b-c_d", "on"])

    def test_tags_that_cannot_be_are_1200_and_change_nothing(self):
        good = {"tagKey": "k", "tagValue": "v"}
        for params in (None, {}, {"k": "v"}, [{"tagKey": "k"}], [good, {"tagValue": "v"}], [good, "x"], [good, {"tagKey": "", "tagValue": "v"}],
                       [good, {"tagKey": "blank key", "tagValue": "v"}], [good, {"tagKey": "k" * 51, "tagValue": "v"}],
                       [good, {"tagKey": "a", "tagValue": "v" * 201}], [good, {"tagKey": "a", "tagValue": " v"}], [good, {"tagKey": "a", "tagValue": {}}],
                       [{"tagKey": f"k{i}", "tagValue": "v"} for i in range(101)], [{"tagKey": f"k{i}", "tagValue": "v"} for i in range(201)]):
            with self.subTest(params=params):
                self.assertEqual(self.ask("thing/tag/update", params), (1200, {}))
        for path in ("query", "delete"):
            for params in ({"tags": {}}, {"tags": [1]}, {"tags": "k"}, {"tags": [f"k{i}" for i in range(201)]}):
                self.assertEqual(self.ask("thing/tag/" + path, params), (1200, {}))
        self.assertEqual(self.ask("thing/tag/query", {}), (200, {}))

    def test_the_model_as_the_device_sees_it(self):
        for params in ({}, None, []):
            code, data = self.ask("thing/tsltemplate/get", params)
            self.assertEqual((code, list(data)), (200, ["tslAttributeMap", "tslMeasurepointMap", "tslEventMap", "tslServiceMap"]))
        self.assertEqual(sorted(data["tslAttributeMap"]), ["box", "fromCloud", "ratedKw", "site"])
        self.assertEqual(data["tslMeasurepointMap"]["quality"]["hasQuality"], True)
        self.assertEqual({k: v["dataType"] for k, v in data["tslMeasurepointMap"].items()}, {
            "int": "INT", "long": "LONG", "float": "FLOAT", "double": "DOUBLE", "bool": "BOOL", "string": "STRING", "text": "STRING", "enum": "ENUM",
            "word": "ENUM", "date": "DATE", "stamp": "TIMESTAMP", "list": "ARRAY", "struct": "STRUCT", "quality": "DOUBLE"})
        self.assertEqual([p["identifier"] for p in data["tslEventMap"]["over.Temp"]["outputData"]], ["celsius", "sensor"])
        self.assertEqual(data["tslServiceMap"]["go"]["identifier"], "go")

    def test_payloads_that_are_none(self):
        for path in ("thing/measurepoint/post", "thing/event/over.Temp/post", "thing/attribute/query", "thing/tag/update", "thing/tsltemplate/get"):
            with self.subTest(path):
                self.assertEqual(self.raw(path, b""), (1251, {}))
                for payload in (b"x", b"[]", b"{", b"null", b'{"id":"1",}', b"\xff\xfe", b'{"id":"\xff"}'):
                    self.assertEqual(self.raw(path, payload), (1220, {}))

    def test_the_largest_payload_and_one_byte_more(self):
        post = {"id": "1", "params": {"measurepoints": {"int": 1}}, "filler": ""}
        post["filler"] = "x" * (524_288 - len(json.dumps(post)))
        self.assertEqual(len(json.dumps(post)), 524_288)
        self.assertEqual(self.raw("thing/measurepoint/post", json.dumps(post)), (200, {}))
        post["filler"] += "x"
        self.assertEqual(self.raw("thing/measurepoint/post", json.dumps(post)), (1008, {}))
        many = [{"measurepoints": {"int": i}, "time": i} for i in range(8000)]
        self.assertEqual(self.ask("thing/measurepoint/post/batch", many)[0], 200)

    def test_everything_is_counted(self):
        def count(kind, result):
            return self.node.metrics().get(f'orrery_mqtt_messages_total{{kind="{kind}",result="{result}"}}', 0)
        before = count("points_post", "ok"), count("points_post", "model_validate_failed"), count("tag_query", "ok")
        self.post({"int": 1})
        self.post({"unknown": 1})
        self.ask("thing/tag/query", {})
        self.assertEqual((count("points_post", "ok"), count("points_post", "model_validate_failed"), count("tag_query", "ok")), tuple(n + 1 for n in before))


if __name__ == "__main__":
    unittest.main()
