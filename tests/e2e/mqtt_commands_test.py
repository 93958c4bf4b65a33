"""Commands: from the API to the device by MQTT and its answer back."""
import concurrent.futures
import json
import queue
import threading
import time
import unittest

import mqtt_wire
from mqtt_wire import PUBACK, PUBLISH, SUBACK, fresh, numbered, publish, subscribe
from orrery import DEADLINE, Device, NodeTest, wait_for

MODEL = {
    "format": "tm/1", "id": "Machine", "name": "Machine",
    "measurePoints": [{"id": "setpoint", "writable": True, "type": {"t": "double", "max": 1000}}, {"id": "mode", "writable": True, "type": {"t": "int"}},
                      {"id": "speed", "type": {"t": "double"}}],
    "services": [
        {"id": "multiply", "input": [{"id": "left", "required": True, "type": {"t": "double"}}, {"id": "right", "default": 2, "type": {"t": "double"}}],
         "output": [{"id": "product", "type": {"t": "double"}}]},
        {"id": "INV.Control", "input": [{"id": "NumberA", "type": {"t": "int"}}], "output": [{"id": "Result", "type": {"t": "int"}}]}],
}


class Commands(NodeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.api.post("~/models", MODEL)
        cls.api.post("~/models/Machine:publish", {"note": "test"})
        cls.pk = cls.api.post("~/products", {"name": "Machine", "modelId": "Machine"})["productKey"]
        cls.pool = concurrent.futures.ThreadPoolExecutor(8)

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown()
        super().tearDownClass()

    def setUp(self):
        self.made, self.who = fresh(self.api, self.pk)
        self.path = f"~/devices/{self.made['assetId']}"

    def connected(self, **options):
        wire = self.who.connected(self.node, **options)
        self.addCleanup(wire.close)
        return wire

    def call(self, path, body, expect=None):
        """A call that waits, in another thread."""
        def ask():
            api = self.node.api()
            with api.session:
                return api.request("POST", self.path + path, expect=expect, json=body).json()
        return self.pool.submit(ask)

    def start(self, service="multiply", input=None, **body):
        """A call that does not wait."""
        return self.api.request("POST", f"{self.path}/services/{service}:invoke", expect=202, json=dict({"input": input or {"left": 1}, "mode": "async"}, **body)).json()

    def command(self, id):
        return self.api.get(f"~/commands/{id}")

    def ended(self, id):
        return wait_for(lambda: (lambda c: c if c["state"] not in ("queued", "sent") else None)(self.command(id)), "the command ends")

    def answer(self, wire, command, code=200, data=None, qos=0, **more):
        wire.send(publish(command.topic + "_reply", dict({"id": command.json()["id"], "code": code, "data": {} if data is None else data}, **more), qos, 60))

    def test_a_service_is_called_and_its_answer_comes_back(self):
        wire = self.connected()
        call = self.call("/services/multiply:invoke", {"input": {"left": 21}})
        command = wire.packet()
        self.assertEqual((command.kind, command.qos, command.retain, command.dup), (PUBLISH, 1, False, False))
        self.assertEqual(command.topic, self.who.home + "thing/service/multiply")
        id = command.json()["id"]
        self.assertRegex(id, r"^\d{11,18}$")
        expected = {"id": id, "version": "1.0", "method": "thing.service.multiply", "params": {"left": 21.0, "right": 2.0}}
        self.assertEqual(command.json(), expected)
        self.assertEqual(command.payload, json.dumps(command.json(), separators=(",", ":")).encode())  # compact
        wire.send(numbered(PUBACK, command.number))
        self.answer(wire, command, data={"product": 42}, qos=1)
        self.assertEqual(wire.packet().kind, PUBACK)  # an answer is acknowledged and not answered
        done = call.result(DEADLINE)
        self.assertEqual((done["state"], done["code"], done["output"], done["element"]), ("succeeded", 200, {"product": 42}, "multiply"))
        self.assertTrue(wire.nothing_came())
        self.assertEqual(self.command(done["id"])["state"], "succeeded")

    def test_a_service_whose_name_has_dots(self):
        wire = self.connected()
        call = self.call("/services/INV.Control:invoke", {"input": {"NumberA": 1}})
        command = wire.packet()
        self.assertEqual(command.topic, self.who.home + "thing/service/INV.Control")
        self.assertEqual(command.json()["method"], "thing.service.INV.Control")
        self.answer(wire, command, data={"Result": 5})
        self.assertEqual(call.result(DEADLINE)["output"], {"Result": 5})

    def test_points_are_set(self):
        wire = self.connected()
        for path, body, params in (("/points/setpoint:set", {"value": 42.5}, {"setpoint": 42.5}), ("/points:set", {"points": {"setpoint": 1, "mode": 2}}, None)):
            call = self.call(path, body)
            command = wire.packet()
            self.assertEqual(command.topic, self.who.home + "thing/service/measurepoint/set")
            self.assertEqual(command.json()["method"], "thing.service.measurepoint.set")
            self.assertEqual(command.json()["params"], params or {"setpoint": 1.0, "mode": 2})
            self.answer(wire, command)
            self.assertEqual(call.result(DEADLINE)["state"], "succeeded")

    def test_what_the_model_forbids_does_not_reach_the_device(self):
        wire = self.connected()
        for path, body in (("/points/speed:set", {"value": 1}), ("/points/setpoint:set", {"value": 1001}), ("/points/none:set", {"value": 1}),
                           ("/services/multiply:invoke", {"input": {}}), ("/services/multiply:invoke", {"input": {"left": "x"}}),
                           ("/services/none:invoke", {"input": {}})):
            with self.subTest(path, body=body):
                reply = self.api.session.post(self.api.base + self.path.replace("~", self.api.org) + path, json=body)
                self.assertIn(reply.status_code, (404, 409, 422), reply.text)
        self.assertTrue(wire.nothing_came())

    def test_answers_in_all_their_forms(self):
        wire = self.connected()
        for answer, state, code, output in (
                ({"code": 200, "data": {}}, "succeeded", 200, {}),
                ({"code": "200", "data": {"product": 1}}, "succeeded", 200, {"product": 1}),
                ({"code": 0, "data": None}, "succeeded", 0, None),
                ({"code": "0", "data": ""}, "succeeded", 0, ""),
                ({"code": 200}, "succeeded", 200, None),
                ({"code": 200, "data": [1, 2]}, "succeeded", 200, [1, 2]),
                ({"code": "1101", "message": "no handler"}, "failed", 1101, None),
                ({"code": 500, "data": {"product": 0}, "message": "it threw"}, "failed", 500, {"product": 0}),
                ({"code": 100001}, "failed", 100001, None),
                ({"code": "broken"}, "failed", 500, None),
                ({}, "failed", 500, None)):
            with self.subTest(answer):
                sent = self.start()
                command = wire.until(PUBLISH)
                wire.send(publish(command.topic + "_reply", dict({"id": command.json()["id"]}, **answer), 0))
                done = self.ended(sent["id"])
                self.assertEqual((done["state"], done["code"], done["output"]), (state, code, output))
                self.assertEqual(answer.get("message", ""), done.get("message", ""))
        # The id may come back as a number.
        sent = self.start()
        command = wire.until(PUBLISH)
        wire.send(publish(command.topic + "_reply", '{"id":%s,"code":200}' % command.json()["id"], 0))
        self.assertEqual(self.ended(sent["id"])["state"], "succeeded")

    def test_an_output_that_does_not_fit_is_kept_with_a_warning(self):
        wire = self.connected()
        sent = self.start()
        self.answer(wire, wire.packet(), data={"product": "much"})
        done = self.ended(sent["id"])
        self.assertEqual((done["state"], done["output"]), ("succeeded", {"product": "much"}))
        self.assertIn("product", done["message"])

    def test_a_long_message_of_the_device_is_still_text(self):
        wire = self.connected()
        for size in range(4):
            sent = self.start()
            self.answer(wire, wire.until(PUBLISH), code=500, message="x" * size + "\u20ac" * 1000)
            self.assertTrue(self.ended(sent["id"])["message"].endswith("\u20ac"))

    def test_a_silent_device_is_a_timeout_and_its_late_answer_is_noted(self):
        wire = self.connected()
        begin = time.monotonic()
        call = self.call("/services/multiply:invoke", {"input": {"left": 1}, "timeout": 1}, expect=504)
        command = wire.packet()
        problem = call.result(DEADLINE)
        self.assertGreaterEqual(time.monotonic() - begin, 0.9)
        self.assertEqual(problem["code"], "device_timeout")
        [logged] = self.api.get(self.path + "/commands")["items"]
        self.assertEqual(logged["state"], "timeout")
        self.assertIn(logged["id"], problem["detail"])
        self.answer(wire, command, data={"product": 7})
        wait_for(lambda: self.command(logged["id"]).get("lateReply") == {"product": 7}, "the late answer is noted")
        self.assertEqual(self.command(logged["id"])["state"], "timeout")

    def test_answers_to_nothing_are_taken_and_change_nothing(self):
        wire = self.connected()
        def count():
            return sum(v for k, v in self.node.metrics().items() if k.startswith("orrery_mqtt_messages_total") and 'kind="command_reply"' in k and 'result="ok"' not in k)
        before = count()
        sent = self.start()
        command = wire.packet()
        topic = command.topic + "_reply"
        for number, payload in enumerate((b"", b"x", b"[]", "{}", {"id": "999", "code": 200}, {"id": "", "code": 200}, {"id": {}, "code": 200}, b'{"id":"\xff"}'), 1):
            wire.send(publish(topic, payload, 1, number))
            self.assertEqual(wire.until(PUBACK).number, number)
        self.assertEqual(count(), before + 8)
        self.assertEqual(self.command(sent["id"])["state"], "sent")
        self.answer(wire, command)
        self.assertEqual(self.ended(sent["id"])["state"], "succeeded")
        self.answer(wire, command, code=500)  # once more: too late to change anything
        self.assertTrue(wire.is_alive())
        self.assertEqual(self.command(sent["id"])["state"], "succeeded")

    def test_any_topic_of_an_answer_will_do_for_the_id_counts(self):
        wire = self.connected()
        sent = self.start()
        command = wire.packet()
        wire.send(publish(self.who.home + "thing/service/another_reply", {"id": command.json()["id"], "code": 200}, 0))
        self.assertEqual(self.ended(sent["id"])["state"], "succeeded")

    def test_commands_go_one_after_the_other(self):
        wire = self.connected()
        sent = [self.start(input={"left": i}) for i in range(5)]
        ids = []
        for i in range(5):
            command = wire.until(PUBLISH)
            self.assertEqual(command.json()["params"]["left"], i)
            self.assertTrue(wire.nothing_came())  # the next one waits for this one's answer
            ids.append(int(command.json()["id"]))
            self.answer(wire, command)
        self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual([self.ended(s["id"])["state"] for s in sent], ["succeeded"] * 5)

    def test_an_offline_device_is_told_at_once_or_waited_for(self):
        self.api.request("POST", self.path + "/services/multiply:invoke", expect=409, json={"input": {"left": 1}})
        self.connected().close()
        wait_for(lambda: self.api.get(self.path + "/status")["status"] == "offline", "offline")
        problem = self.api.request("POST", self.path + "/services/multiply:invoke", expect=409, json={"input": {"left": 1}}).json()
        self.assertEqual(problem["code"], "device_offline")
        sent = [self.start(input={"left": i}, pendingTtl=60) for i in range(3)]
        wire = self.connected()
        for i in range(3):
            command = wire.until(PUBLISH)
            self.assertEqual(command.json()["params"]["left"], i)
            self.answer(wire, command)
        self.assertEqual([self.ended(s["id"])["state"] for s in sent], ["succeeded"] * 3)

    def test_a_device_that_goes_before_its_answer(self):
        wire = self.connected()
        call = self.call("/services/multiply:invoke", {"input": {"left": 1}})
        wire.packet()
        wire.close()
        self.assertEqual(call.result(DEADLINE)["state"], "failed")

    def test_a_session_that_subscribed_nothing_gets_commands_at_once(self):
        wire = self.connected()
        wire.send(subscribe(self.who.home + "thing/measurepoint/post_reply"))  # no topic of a command
        self.assertEqual(wire.packet().kind, SUBACK)
        self.start()
        self.assertEqual(wire.packet().topic, self.who.home + "thing/service/multiply")

    def test_a_session_that_names_itself_by_product_is_waited_for(self):
        wire = self.connected(id=f"{self.pk}.{self.who.dk}")
        sent = self.start()
        wait_for(lambda: self.command(sent["id"])["state"] == "sent", "on its way")
        self.assertTrue(wire.nothing_came())
        wire.send(subscribe(self.who.home + "thing/service/measurepoint/set"))
        self.assertEqual(wire.packet().kind, SUBACK)
        self.assertTrue(wire.nothing_came())  # another command's topic
        wire.send(subscribe(self.who.home + "thing/service/+", number=2))
        kinds = {p.kind: p for p in wire.packets(2)}
        self.assertEqual(sorted(kinds), [PUBLISH, SUBACK])
        self.answer(wire, kinds[PUBLISH])
        self.assertEqual(self.ended(sent["id"])["state"], "succeeded")
        self.start()
        self.assertEqual(wire.packet().kind, PUBLISH)  # subscribed now: at once

    def test_so_is_one_that_listens_to_another_command(self):
        wire = self.connected()
        wire.send(subscribe(self.who.home + "thing/service/measurepoint/set"))
        self.assertEqual(wire.packet().kind, SUBACK)
        self.start()
        self.assertTrue(wire.nothing_came())
        wire.send(subscribe(self.who.home + "thing/service/multiply", number=2))
        self.assertEqual(sorted(p.kind for p in wire.packets(2)), [PUBLISH, SUBACK])

    def test_but_not_for_ever(self):
        wire = self.connected(id=f"{self.pk}.{self.who.dk}")
        begin = time.monotonic()
        self.start()
        command = wire.packet()
        self.assertEqual(command.topic, self.who.home + "thing/service/multiply")
        waited = time.monotonic() - begin
        self.assertTrue(9 < waited < 15, waited)

    def test_a_command_has_the_qos_that_was_subscribed(self):
        wire = self.connected(clean=False)
        wire.send(subscribe(self.who.home + "thing/service/+", qos=0))
        self.assertEqual(wire.packet().body[2:], b"\0")
        sent = self.start(pendingTtl=60)
        command = wire.packet()
        self.assertEqual((command.kind, command.qos, command.dup), (PUBLISH, 0, False))
        # Nobody acknowledges it, so the kept session takes it for delivered.
        wire.close()
        again = self.connected(clean=False)
        self.assertTrue(again.nothing_came())
        self.answer(again, command, data={"product": 42})
        self.assertEqual(self.ended(sent["id"])["state"], "succeeded")

    def test_overlapping_filters_bring_one_copy(self):
        wire = self.connected()
        wire.send(subscribe("#", self.who.home + "thing/service/+", self.who.home + "thing/service/multiply"))
        self.assertEqual(wire.packet().kind, SUBACK)
        self.start()
        self.assertEqual(wire.packet().kind, PUBLISH)
        self.assertTrue(wire.nothing_came())

    def test_a_session_that_was_taken_over_answers_no_more(self):
        first = self.connected()
        sent = self.start()
        command = first.packet()
        second = self.connected()
        self.answer(first, command) if first.is_alive() else None
        self.answer(second, command)  # the device is the same: it may answer on its new connection
        done = self.ended(sent["id"])
        self.assertIn(done["state"], ("succeeded", "failed"))

    def test_many_devices_at_a_time(self):
        devices = [fresh(self.api, self.pk) for _ in range(30)]
        wires = [(made, who, who.connected(self.node)) for made, who in devices]
        def serve(who, wire):
            for _ in range(5):
                command = wire.until(PUBLISH)
                self.answer(wire, command, data={"product": command.json()["params"]["left"] * 2})
        threads = [threading.Thread(target=serve, args=(who, wire)) for _, who, wire in wires]
        for t in threads:
            t.start()
        def ask(made):
            api = self.node.api()
            with api.session:
                return [api.post(f"~/devices/{made['assetId']}/services/multiply:invoke", {"input": {"left": i}})["output"]["product"] for i in range(5)]
        for got in self.pool.map(ask, [made for made, _, _ in wires]):
            self.assertEqual(got, [0, 2, 4, 6, 8])
        for t in threads:
            t.join(DEADLINE)
        for _, _, wire in wires:
            wire.close()

    def test_with_a_client_library(self):
        device = Device(self.node, self.pk, self.who.dk, self.who.secret)
        self.addCleanup(device.close)
        commands = queue.Queue()
        device.on_command = commands.put
        device.connect()
        call = self.call("/services/multiply:invoke", {"input": {"left": 5, "right": 6}})
        command = commands.get(timeout=DEADLINE)
        asked = json.loads(command.payload)
        device.publish(command.topic + "_reply", {"id": asked["id"], "code": "200", "data": {"product": asked["params"]["left"] * asked["params"]["right"]}})
        self.assertEqual(call.result(DEADLINE)["output"], {"product": 30.0})


if __name__ == "__main__":
    unittest.main()
