"""Group I of the API: service calls, point writes, the off-line queue and the log."""
import json
import threading
import time
import unittest

from api_kit import all_of, next_of, problem, refused, serve
from orrery import DEADLINE, Device, NodeTest, wait_for


class CommandTest(NodeTest):
    def setUp(self):
        self.made, self.device = self.new_device()
        self.path = f"~/devices/{self.made['assetId']}"

    def invoke(self, input=None, expect=None, **fields):
        return self.api.request("POST", self.path + "/services/reboot:invoke", json=dict({"input": input or {}}, **fields), expect=expect)

    def command(self, command):
        return self.api.get(f"~/commands/{command}")

    def state(self, command):
        return self.command(command)["state"]

    def leave(self):
        self.device.close()
        wait_for(lambda: self.api.get(self.path + "/status")["status"] == "offline", "the device is gone")

    def come_back(self, answer=lambda name, params: (200, {})):
        device = Device(self.node, self.made["productKey"], self.made["deviceKey"], self.made["deviceSecret"])
        self.addCleanup(device.close)
        asked = serve(device, answer)
        device.connect()
        return asked

    def in_background(self, call):
        """Runs `call` beside the test; gives a function that waits for its result."""
        result = []
        thread = threading.Thread(target=lambda: result.append(call()))
        thread.start()

        def wait():
            thread.join(90)
            self.assertTrue(result, "the call did not end")
            return result[0]
        return wait


class Waiting(CommandTest):
    def test_a_service_is_called_and_its_answer_comes_back(self):
        asked = serve(self.device, lambda name, params: (200, {"accepted": True}))
        done = self.invoke({"delay": 5})
        self.assertEqual(done.status_code, 200)
        body = done.json()
        self.assertEqual((body["state"], body["code"], body["output"], body["input"], body["element"], body["type"]),
                         ("succeeded", 200, {"accepted": True}, {"delay": 5}, "reboot", "service"))
        self.assertEqual(next_of(asked), ("reboot", {"delay": 5}))
        self.assertEqual(self.command(body["id"]), body)
        for time_of in ("createdAt", "sentAt", "finishedAt"):
            self.assertIn(time_of, body)
        self.assertTrue(body["actor"].startswith("key:"))

    def test_code_zero_is_success_and_any_other_is_none(self):
        codes = iter([0, 200, 500, 1])
        serve(self.device, lambda name, params: (next(codes), {}))
        states = [self.invoke().json() for _ in range(4)]
        self.assertEqual([(c["state"], c["code"]) for c in states], [("succeeded", 0), ("succeeded", 200), ("failed", 500), ("failed", 1)])

    def test_an_answer_that_does_not_fit_the_model_is_kept_with_a_warning(self):
        serve(self.device, lambda name, params: (200, {"accepted": "yes"}))
        done = self.invoke().json()
        self.assertEqual((done["state"], done["output"]), ("succeeded", {"accepted": "yes"}))
        self.assertIn("does not fit the model", done["message"])

    def test_points_are_written_and_change_nothing_by_that(self):
        asked = serve(self.device)
        self.device.post({"setpoint": 1.5})
        done = self.api.post(self.path + "/points/setpoint:set", {"value": 42.0})
        self.assertEqual((done["state"], done["type"], done["input"]), ("succeeded", "points", {"setpoint": 42.0}))
        self.assertEqual(next_of(asked), ("measurepoint/set", {"setpoint": 42.0}))
        self.assertEqual(self.api.get(self.path + "/points/latest?ids=setpoint")["items"][0]["value"], 1.5)
        done = self.api.post(self.path + "/points:set", {"points": {"setpoint": 7.0}})
        self.assertEqual(next_of(asked), ("measurepoint/set", {"setpoint": 7.0}))

    def test_a_silent_device_is_a_504_and_its_late_answer_is_kept(self):
        answers = []
        serve(self.device, lambda name, params: None)
        self.device.on_command = lambda message: answers.append(message)
        begun = time.monotonic()
        body = problem(self, self.invoke(timeout=1, expect=504), 504, "device_timeout")
        self.assertLess(time.monotonic() - begun, 10)
        command = body["detail"].split()[-1]
        self.assertEqual(self.state(command), "timeout")
        asked = json.loads(answers[0].payload)
        self.device.publish(answers[0].topic + "_reply", {"id": asked["id"], "code": 200, "data": {"accepted": True}})
        late = wait_for(lambda: (c := self.command(command)).get("lateReply") and c, "the late answer is in the log")
        self.assertEqual((late["state"], late["lateReply"]), ("timeout", {"accepted": True}))

    def test_a_device_that_drops_fails_its_command(self):
        asked = serve(self.device, lambda name, params: None)
        wait = self.in_background(lambda: self.invoke(timeout=60))
        next_of(asked)
        self.device.close()
        done = wait().json()
        self.assertEqual((done["state"], done["message"]), ("failed", "the device went offline"))

    def test_many_callers_each_get_their_own_answer(self):
        serve(self.device, lambda name, params: (200, {"accepted": params["delay"] % 2 == 0}))
        waits = [self.in_background(lambda i=i: self.invoke({"delay": i})) for i in range(20)]
        for i, wait in enumerate(waits):
            done = wait().json()
            self.assertEqual((done["input"], done["output"]), ({"delay": i}, {"accepted": i % 2 == 0}))


class Refused(CommandTest):
    def test_what_the_model_does_not_have(self):
        serve(self.device)
        refused(self, self.api, "POST", self.path + "/services/explode:invoke", 404, "element_unknown", json={})
        refused(self, self.api, "POST", self.path + "/points/none:set", 404, "element_unknown", json={"value": 1})
        refused(self, self.api, "POST", self.path + "/points/power:set", 409, "not_writable", json={"value": 1.0})

    def test_what_does_not_fit_the_model(self):
        serve(self.device)
        for input in ({"delay": "x"}, {"delay": 4000}, {"none": 1}):
            self.invoke(input, expect=422)
        for value in ("x", 2000, None):
            self.api.request("POST", self.path + "/points/setpoint:set", json={"value": value}, expect=422)

    def test_bad_fields(self):
        for fields, pointer in (({"timeout": 0}, "/timeout"), ({"timeout": 61}, "/timeout"), ({"pendingTtl": -1}, "/pendingTtl"),
                                ({"pendingTtl": 172_801}, "/pendingTtl"), ({"mode": "later"}, "/mode"), ({"input": 7}, "/input")):
            body = refused(self, self.api, "POST", self.path + "/services/reboot:invoke", 422, "validation_failed", json=fields)
            self.assertEqual([e["pointer"] for e in body["errors"]], [pointer])
        refused(self, self.api, "POST", self.path + "/services/reboot:invoke", 400, "unknown_field", json={"delay": 1})
        refused(self, self.api, "POST", self.path + "/points/setpoint:set", 422, "validation_failed", json={})
        refused(self, self.api, "POST", self.path + "/points:set", 422, "validation_failed", json={"points": {}})

    def test_by_the_state_of_the_device(self):
        self.leave()
        problem(self, self.invoke(expect=409), 409, "device_offline")
        problem(self, self.invoke(mode="async", expect=409), 409, "device_offline")
        self.api.post(self.path + ":disable")
        problem(self, self.invoke(pendingTtl=60, expect=409), 409, "device_disabled")
        new = self.api.post("~/devices", {"productKey": "demo-inverter"})
        refused(self, self.api, "POST", f"~/devices/{new['assetId']}/services/reboot:invoke", 409, "device_inactive", json={"pendingTtl": 60})

    def test_without_the_right(self):
        key = self.api.post("~/apps/tests/keys", {"permissions": ["device:read", "device:write"]})["apiKey"]
        api = self.node.api(key)
        refused(self, api, "POST", self.path + "/services/reboot:invoke", 403, "forbidden", json={})
        self.assertEqual(api.get(self.path + "/commands")["items"], [])


class Queue(CommandTest):
    def test_waits_for_the_device_and_is_delivered_in_order(self):
        self.leave()
        made = [self.invoke({"delay": i}, pendingTtl=600) for i in range(10)]
        self.assertEqual({r.status_code for r in made}, {202})
        self.assertEqual({r.json()["state"] for r in made}, {"queued"})
        asked = self.come_back()
        self.assertEqual([next_of(asked)[1]["delay"] for _ in range(10)], list(range(10)))
        for r in made:
            wait_for(lambda: self.state(r.json()["id"]) == "succeeded", "the command is done")

    def test_one_is_under_way_at_a_time(self):
        self.leave()
        first, second = [self.invoke({"delay": i}, pendingTtl=600, timeout=60).json()["id"] for i in range(2)]
        asked = self.come_back(lambda name, params: None)
        next_of(asked)
        self.assertEqual((self.state(first), self.state(second)), ("sent", "queued"))

    def test_survives_kill(self):
        self.leave()
        made = [self.invoke({"delay": i}, pendingTtl=600).json()["id"] for i in range(3)]
        self.node.kill()
        self.node.start()
        type(self).api = self.api = self.node.api()
        self.assertEqual([self.state(c) for c in made], ["queued"] * 3)
        asked = self.come_back()
        self.assertEqual([next_of(asked)[1]["delay"] for _ in range(3)], [0, 1, 2])

    def test_expires(self):
        self.leave()
        command = self.invoke(pendingTtl=1).json()["id"]
        wait_for(lambda: self.state(command) == "expired", "the command expires")
        asked = self.come_back()
        self.invoke({"delay": 9})
        self.assertEqual(next_of(asked)[1], {"delay": 9}, "what has expired is not sent")

    def test_a_caller_may_wait_for_a_queued_command(self):
        self.leave()
        wait = self.in_background(lambda: self.invoke({"delay": 3}, pendingTtl=60, mode="wait"))
        wait_for(lambda: self.api.get(self.path + "/commands")["items"], "it is queued")
        self.come_back(lambda name, params: (200, {"accepted": True}))
        self.assertEqual((wait().status_code, wait().json()["output"]), (200, {"accepted": True}))

    def test_async_without_a_ttl_does_not_wait_for_the_answer(self):
        asked = serve(self.device, lambda name, params: (200, {"accepted": True}))
        made = self.invoke(mode="async")
        self.assertEqual((made.status_code, made.json()["state"]), (202, "queued"))
        next_of(asked)
        wait_for(lambda: self.state(made.json()["id"]) == "succeeded", "the command is done")

    def test_is_full_at_fifty(self):
        self.leave()
        for _ in range(50):
            self.invoke(pendingTtl=600, expect=202)
        problem(self, self.invoke(pendingTtl=600, expect=409), 409, "queue_full")
        self.assertEqual(len(self.api.post(self.path + "/commands:cancelQueued")["cancelled"]), 50)
        self.invoke(pendingTtl=600, expect=202)

    def test_is_cancelled_one_by_one_or_all(self):
        self.leave()
        made = [self.invoke({"delay": i}, pendingTtl=600).json()["id"] for i in range(4)]
        self.assertEqual(self.api.post(f"~/commands/{made[1]}:cancel"), {"cancelled": [made[1]]})
        refused(self, self.api, "POST", f"~/commands/{made[1]}:cancel", 409, "command_final")
        self.assertEqual(self.state(made[1]), "cancelled")
        asked = self.come_back()
        self.assertEqual([next_of(asked)[1]["delay"] for _ in range(3)], [0, 2, 3])
        wait_for(lambda: self.state(made[3]) == "succeeded", "the last is done")
        refused(self, self.api, "POST", f"~/commands/{made[3]}:cancel", 409, "command_final")

    def test_a_deleted_device_cancels_it(self):
        self.leave()
        wait = self.in_background(lambda: self.invoke(pendingTtl=60, mode="wait"))
        wait_for(lambda: self.api.get(self.path + "/commands")["items"], "it is queued")
        self.api.request("DELETE", self.path)
        done = wait()
        self.assertEqual((done.status_code, done.json()["state"]), (200, "cancelled"))


class Log(CommandTest):
    def test_lists_newest_first_page_by_page(self):
        serve(self.device)
        made = [self.invoke({"delay": i}).json()["id"] for i in range(7)]
        self.assertEqual([c["id"] for c in all_of(self.api, self.path + "/commands", 3)], made[::-1])
        shown = self.api.get(self.path + "/commands?limit=1&timeFormat=ms")["items"][0]
        self.assertIsInstance(shown["createdAt"], int)

    def test_what_is_not_there(self):
        serve(self.device)
        done = self.invoke().json()["id"]
        asset, command = done.split("-")
        other = command[:-1] + ("0" if command[-1] != "0" else "1")
        for unknown in ("x", "x-y", f"{asset}-", f"-{command}", f"{asset}-{other}", f"{asset}{command}", f"{asset}-{command}-x"):
            reply = self.api.request("GET", f"~/commands/{unknown}", expect=404)
            self.assertIn(reply.json()["code"], ("command_unknown", "device_unknown"))
            self.api.request("POST", f"~/commands/{unknown}:cancel", json={}, expect=404)

    def test_an_unchanged_command_is_not_sent_twice(self):
        serve(self.device)
        command = self.invoke().json()["id"]
        etag = self.api.request("GET", f"~/commands/{command}").headers["ETag"]
        self.api.request("GET", f"~/commands/{command}", headers={"If-None-Match": etag}, expect=304)


if __name__ == "__main__":
    unittest.main()
