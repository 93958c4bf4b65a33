"""The stream: live subscriptions by WebSocket, with another's client (python3-websocket) and with bytes."""
import base64
import json
import os
import socket
import time
import unittest
import unittest.mock

import requests
import websocket

from api_kit import serve
from orrery import DEADLINE, NodeTest, wait_for


class StreamTest(NodeTest):
    def stream(self, *subscriptions, api=None):
        stream = (api or self.api).stream(*subscriptions)
        self.addCleanup(stream.close)
        return stream

    def key(self, *permissions, **fields):
        return self.node.api(self.api.post("~/apps/tests/keys", dict({"permissions": list(permissions)}, **fields))["apiKey"])

    def closed(self, stream):
        """The close code, and all messages before it."""
        messages = []
        while True:
            opcode, data = stream.socket.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(data[:2], "big"), messages
            messages.append(json.loads(data))


class Subscriptions(StreamTest):
    def test_by_product_device_and_point(self):
        (one, first), (two, second) = self.new_device(), self.new_device()
        every = self.stream({"kind": "points", "filter": {"products": ["demo-inverter"]}})
        by_device = self.stream({"kind": "points", "filter": {"assets": [one["assetId"]]}})
        by_point = self.stream({"kind": "points", "filter": {"points": ["temp"]}})
        none = self.stream({"kind": "points", "filter": {"products": ["other"]}})
        at = int(time.time() * 1000)
        first.post({"power": 1.0, "temp": 20.0}, at)
        second.post({"power": 2.0}, at)
        second.post({"energy": {"value": 5.0, "quality": 1}}, at + 1)
        got = every.items(3)
        self.assertEqual([(i["asset"], i["pk"], i["dk"], i["t"], i["v"]) for i in got], [
            (one["assetId"], "demo-inverter", one["deviceKey"], at, {"power": {"value": 1.0}, "temp": {"value": 20.0}}),
            (two["assetId"], "demo-inverter", two["deviceKey"], at, {"power": {"value": 2.0}}),
            (two["assetId"], "demo-inverter", two["deviceKey"], at + 1, {"energy": {"value": 5.0, "q": 1}})])
        self.assertEqual(by_device.items(1)[0]["v"], {"power": {"value": 1.0}, "temp": {"value": 20.0}})
        self.assertEqual(by_point.items(1)[0]["v"], {"temp": {"value": 20.0}}, "only what is wanted")
        none.send({"op": "ping", "t": 1})
        self.assertEqual(none.receive()["op"], "pong", "and nothing before it")

    def test_of_events(self):
        made, device = self.new_device()
        stream = self.stream({"kind": "events", "filter": {"assets": [made["assetId"]]}})
        device.request("thing/event/overTemperature/post", "thing.event.overTemperature.post", {"events": {"temp": 99.5}})
        [item] = stream.items(1)
        self.assertEqual((item["event"], item["level"], item["output"]), ("overTemperature", "warning", {"temp": 99.5}))

    def test_of_presence(self):
        made, device = self.new_device()
        stream = self.stream({"kind": "presence", "filter": {"assets": [made["assetId"]]}})
        device.close()
        self.assertEqual([(i["event"], "reason" in i) for i in stream.items(1)], [("offline", True)])

    def test_of_the_life_cycle(self):
        stream = self.stream({"kind": "lifecycle", "filter": {"products": ["demo-inverter"]}})
        made = self.api.post("~/devices", {"productKey": "demo-inverter"})
        path = f"~/devices/{made['assetId']}"
        self.api.request("PATCH", path, json={"name": "x"})
        self.api.request("PATCH", path + "/attributes", json={"serial": "A7"})
        self.api.request("PATCH", path + "/tags", json={"a": "b"})
        self.api.post(path + ":disable")
        self.api.post(path + ":enable")
        self.api.post(path + ":resetSecret")
        self.api.request("DELETE", path)
        items = stream.items(8)
        self.assertEqual([i["event"] for i in items], ["created", "updated", "attributesChanged", "tagsChanged", "disabled", "enabled", "credentialRotated", "deleted"])
        self.assertEqual(items[2]["changes"], {"serial": "A7"})
        self.assertNotIn(made["deviceSecret"], json.dumps(items))

    def test_of_commands(self):
        made, device = self.new_device()
        serve(device, lambda name, params: (200, {"accepted": True}))
        stream = self.stream({"kind": "commands", "filter": {"assets": [made["assetId"]]}})
        done = self.api.post(f"~/devices/{made['assetId']}/services/reboot:invoke", {"input": {"delay": 1}})
        items = [i["command"] for i in stream.items(3)]
        self.assertEqual([(c["id"], c["state"]) for c in items], [(done["id"], s) for s in ("queued", "sent", "succeeded")])
        self.assertEqual(items[2]["output"], {"accepted": True})

    def test_several_on_one_socket_and_their_end(self):
        made, device = self.new_device()
        own = {"assets": [made["assetId"]]}
        stream = self.stream({"kind": "points", "filter": own}, {"kind": "events", "filter": own}, {"kind": "points", "filter": own})
        device.post({"power": 1.0})
        got = [stream.receive() for _ in range(2)]
        self.assertEqual(sorted(m["sid"] for m in got), ["s0", "s2"])
        self.assertRegex(got[0]["pos"], r"^\d+\.\d+$")
        stream.send({"op": "unsub", "id": "u", "sid": "s0"})
        self.assertEqual(stream.receive(), {"op": "ok", "id": "u", "sid": "s0"})
        device.post({"power": 2.0})
        self.assertEqual(stream.receive()["sid"], "s2")
        stream.send({"op": "sub", "id": "again", "sid": "s0", "kind": "points", "filter": own})
        self.assertEqual(stream.receive(), {"op": "ok", "id": "again", "sid": "s0", "from": "latest"})
        device.post({"power": 3.0})
        self.assertEqual({stream.receive()["sid"] for _ in range(2)}, {"s0", "s2"})

    def test_per_device_the_order_is_kept(self):
        made, device = self.new_device()
        stream = self.stream({"kind": "points", "filter": {"assets": [made["assetId"]]}})
        for i in range(300):
            device.client.publish(f"/sys/{device.pk}/{device.dk}/thing/measurepoint/post",
                                  json.dumps({"id": str(i), "version": "1.0", "params": {"measurepoints": {"power": float(i)}}}), 1)
        self.assertEqual([i["v"]["power"]["value"] for i in stream.items(300)], [float(i) for i in range(300)])

    def test_a_closed_socket_leaves_nothing_behind(self):
        before = self.node.metrics()["orrery_feed_subscribers"]
        streams = [self.stream({"kind": "points"}, {"kind": "events"}) for _ in range(5)]
        self.assertEqual(self.node.metrics()["orrery_feed_subscribers"], before + 10)
        for stream in streams[:3]:
            stream.close()
        for stream in streams[3:]:
            stream.socket.shutdown()
        wait_for(lambda: self.node.metrics()["orrery_feed_subscribers"] == before, "the subscriptions are gone")


class Messages(StreamTest):
    def ask(self, stream, **message):
        stream.send(message)
        return stream.receive()

    def test_hello_and_ping(self):
        stream = self.stream()
        hello = self.ask(stream, op="hello", id="h", client="test", version="1", features=[])
        self.assertEqual((hello["op"], hello["id"], hello["heartbeat"]), ("hello", "h", 25))
        self.assertTrue(hello["server"].startswith("orrery ") and hello["session"])
        self.assertEqual(self.ask(stream, op="ping", t=[1, "x"]), {"op": "pong", "t": [1, "x"]})
        stream.socket.ping("payload")
        self.assertEqual(stream.socket.recv_data(control_frame=True), (websocket.ABNF.OPCODE_PONG, b"payload"))

    def test_every_bad_request_is_answered_once_and_the_socket_goes_on(self):
        stream = self.stream()
        for message, code in (({"op": "jump"}, "unknown_op"), ({}, "unknown_op"), ({"op": "sub"}, "validation_failed"),
                              ({"op": "sub", "sid": "a", "kind": "weather"}, "validation_failed"),
                              ({"op": "sub", "sid": "a", "kind": "points", "mode": "durable"}, "validation_failed"),
                              ({"op": "sub", "sid": "a", "kind": "points", "window": 5}, "unknown_field"),
                              ({"op": "sub", "sid": "a", "kind": "points", "filter": {"assets": ["x"]}}, "validation_failed"),
                              ({"op": "unsub", "sid": "a"}, "sid_unknown"), ({"op": "auth", "token": "x"}, "unauthenticated")):
            reply = self.ask(stream, id=7, **message)
            self.assertEqual((reply["op"], reply["id"], reply["code"]), ("error", 7, code), message)
            self.assertTrue(reply["detail"])
        self.assertEqual(self.ask(stream, op="ping")["op"], "pong")

    def test_limits(self):
        stream = self.stream()
        for i in range(100):
            self.assertEqual(self.ask(stream, op="sub", id=i, sid=f"s{i}", kind="points")["op"], "ok")
        self.assertEqual(self.ask(stream, op="sub", id="x", sid="s100", kind="points")["code"], "too_many_subscriptions")
        self.assertEqual(self.ask(stream, op="sub", id="x", sid="s1", kind="points")["code"], "sid_in_use")

    def test_what_is_no_message_closes_with_4400(self):
        for text in ("", "hello", "[]", "7", '{"op":', json.dumps({"op": "x" * 70_000}), "[" * 30 + "]" * 30):
            stream = self.stream()
            stream.socket.send(text)
            self.assertEqual(self.closed(stream)[0], 4400, text[:20])
        stream = self.stream()
        stream.socket.send_binary(b"\x01\x02")
        self.assertEqual(self.closed(stream)[0], 4400)

    def test_what_is_no_text_or_too_much_of_it_closes_too(self):
        stream = self.stream()
        stream.socket.send(b"\xff\xfe", websocket.ABNF.OPCODE_TEXT)
        self.assertEqual(self.closed(stream)[0], 1007)
        stream = self.stream()
        try:
            stream.socket.send("x" * 1_000_000)
        except OSError:
            pass
        try:
            self.assertEqual(self.closed(stream)[0], 1009)
        except OSError:
            pass  # reset while it was still sending
        self.assertEqual(self.ask(self.stream(), op="ping")["op"], "pong")

    def test_fragments_are_one_message(self):
        stream = self.stream()
        text = json.dumps({"op": "ping", "t": "x" * 100})
        stream.socket.send_frame(websocket.ABNF.create_frame(text[:50], websocket.ABNF.OPCODE_TEXT, 0))
        stream.socket.ping("between")
        stream.socket.send_frame(websocket.ABNF.create_frame(text[50:], websocket.ABNF.OPCODE_CONT, 1))
        self.assertEqual(stream.receive()["t"], "x" * 100)


class Rights(StreamTest):
    def connect(self, **options):
        return websocket.create_connection(self.api.base.replace("http", "ws") + options.pop("path", "/stream"), timeout=DEADLINE, **options)

    def status_of(self, **options):
        try:
            self.connect(**options).close()
            return 101
        except websocket.WebSocketBadStatusException as e:
            return e.status_code

    def test_are_proved_before_the_upgrade(self):
        good = [f"Authorization: Bearer {self.node.demo['apiKey']}"]
        self.assertEqual(self.status_of(header=good), 101, "the sub-protocol may be left out")
        self.assertEqual(self.status_of(header=good, subprotocols=["other", "orrery.v1.json"]), 101)
        self.assertEqual(self.status_of(header=good, subprotocols=["other", "orrery.v1.jsonx"]), 400)
        self.assertEqual(self.status_of(), 401)
        self.assertEqual(self.status_of(header=["Authorization: Bearer nonsense"]), 401)
        self.assertEqual(self.status_of(header=good, path=f"/stream?token={self.node.demo['apiKey']}"), 400)
        elsewhere = self.api.post("~/apps/tests/keys", {"permissions": ["*"], "ipAllow": ["10.0.0.1"]})["apiKey"]
        self.assertEqual(self.status_of(header=[f"Authorization: Bearer {elsewhere}"]), 403)

    def test_the_chosen_sub_protocol_is_named(self):
        socket = self.connect(header=[f"Authorization: Bearer {self.node.demo['apiKey']}"], subprotocols=["x", "orrery.v1.json"])
        self.assertEqual(socket.getsubprotocol(), "orrery.v1.json")
        socket.close()

    def test_without_an_upgrade(self):
        reply = requests.get(self.api.base + "/stream", headers={"Authorization": f"Bearer {self.node.demo['apiKey']}"}, timeout=30)
        self.assertEqual((reply.status_code, reply.json()["code"], reply.headers["Upgrade"]), (426, "upgrade_required", "websocket"))

    def test_an_upgrade_elsewhere_is_an_ordinary_request(self):
        self.assertEqual(self.status_of(path="/system/version"), 200)

    def test_by_kind(self):
        for permissions, good, bad in ((["data:read"], ["points", "events"], ["presence", "lifecycle", "commands"]),
                                       (["device:read"], ["presence", "lifecycle", "commands"], ["points", "events"])):
            stream = self.stream(api=self.key(*permissions))
            for kind in good + bad:
                stream.send({"op": "sub", "id": kind, "sid": kind, "kind": kind})
                reply = stream.receive()
                self.assertEqual(reply["op"] if kind in good else reply["code"], "ok" if kind in good else "forbidden")

    def test_a_revoked_key_closes_with_4401_at_the_next_item(self):
        made = self.api.post("~/apps/tests/keys", {"permissions": ["data:read"]})
        stream = self.stream({"kind": "points"}, api=self.node.api(made["apiKey"]))
        device = self.device(0)
        device.post({"power": 1.0})
        stream.items(1)
        self.api.request("DELETE", f"~/apps/tests/keys/{made['id']}")
        device.post({"power": 2.0})
        self.assertEqual(self.closed(stream), (4401, []))

    def test_a_log_out_closes_with_4401(self):
        password = (self.node.data / "admin-password").read_text().strip()
        api = self.node.api(self.api.post("/auth/login", {"user": "admin", "password": password})["access"])
        stream = self.stream({"kind": "points"}, api=api)
        api.post("/auth/logout")
        stream.send({"op": "ping"})
        self.assertEqual(self.closed(stream), (4401, []))


class ShortTokens(StreamTest):
    settings = ("api.access_ttl=3s",)

    def login(self):
        password = (self.node.data / "admin-password").read_text().strip()
        return self.api.post("/auth/login", {"user": "admin", "password": password})["access"]

    def test_a_token_that_ends_is_asked_for(self):
        stream = self.stream(api=self.node.api(self.login()))
        message = stream.receive()
        self.assertEqual(message["op"], "reauth")
        self.assertLess(abs(message["expires"] - time.time() * 1000), 5000)
        stream.send({"op": "auth", "id": "a", "token": self.login()})
        self.assertEqual(stream.receive(), {"op": "ok", "id": "a"})
        code, messages = self.closed(stream)  # by the end of the new one, asked for as well unless both end in the same second
        self.assertEqual((code, {m["op"] for m in messages} - {"reauth"}), (4401, set()))

    def test_and_closes_the_socket_if_nothing_comes(self):
        stream = self.stream(api=self.node.api(self.login()))
        self.assertEqual(self.closed(stream), (4401, [{"op": "reauth", "expires": unittest.mock.ANY}]))


class SlowReader(StreamTest):
    settings = ("stream.max_queued=100", "stream.max_pending_bytes=64KiB")

    def raw_socket(self):
        """A subscribed socket with small buffers that reads only when told to."""
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(DEADLINE)
        s.connect(("127.0.0.1", self.node.ports["api"]))
        key = base64.b64encode(os.urandom(16)).decode()
        s.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: orrery.v1.json\r\nAuthorization: Bearer {self.node.demo['apiKey']}\r\n\r\n".encode())
        self.addCleanup(s.close)
        frames = Frames(s)
        text = b'{"op":"sub","id":1,"sid":"slow","kind":"points"}'
        s.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
        return frames

    def test_loses_the_oldest_and_is_told_how_many_while_others_get_all(self):
        frames = self.raw_socket()
        self.assertTrue(frames.next()["op"] == "ok")
        fast = self.stream({"kind": "points"})
        points = [{"id": "text", "type": {"t": "string", "maxLength": 30_000}}]
        self.api.post("~/models", {"format": "tm/1", "id": "Talk", "name": "Talk", "measurePoints": points})
        self.api.post("~/models/Talk:publish")
        product = self.api.post("~/products", {"name": "Talk", "modelId": "Talk"})["productKey"]
        device = self.api.post("~/devices", {"productKey": product})["assetId"]
        sent = 0
        while self.node.metrics()["orrery_feed_dropped_total"] < 200:
            for i in range(sent, sent + 50):
                self.api.post(f"~/devices/{device}/points", {"items": [{"points": {"text": f"{i:06}" + "x" * 20_000}}]})
            self.assertEqual([number(i) for i in fast.items(50)], list(range(sent, sent + 50)))
            sent += 50
            self.assertLess(sent, 5_000, "the slow reader is not held back")
        got, lost = [], 0
        while not got or got[-1] != sent - 1:
            message = frames.next()
            if message["op"] == "gap":
                self.assertEqual((message["sid"], message["reason"]), ("slow", "overflow"))
                self.assertGreater(message["count"], 0)
                lost += message["count"]
            else:
                got += [number(i) for i in message["items"]]
        self.assertEqual(got, sorted(got))
        self.assertEqual(len(got) + lost, sent, "what is missing was counted")
        self.assertGreaterEqual(lost, 200)


def number(item):
    return int(item["v"]["text"]["value"][:6])


class Frames:
    """Server frames off a raw socket (RFC 6455, 5.2)."""

    def __init__(self, s):
        self.socket, self.data = s, b""
        self.need(4)
        while b"\r\n\r\n" not in self.data:
            self.need(len(self.data) + 1)
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101"), head

    def need(self, count):
        while len(self.data) < count:
            more = self.socket.recv(65536)
            assert more, "the socket was closed"
            self.data += more

    def next(self):
        message = b""
        while True:
            self.need(2)
            final, opcode, length = self.data[0] & 0x80, self.data[0] & 15, self.data[1] & 127
            extra = {126: 2, 127: 8}.get(length, 0)
            self.need(2 + extra)
            if extra:
                length = int.from_bytes(self.data[2:2 + extra], "big")
            self.need(2 + extra + length)
            payload, self.data = self.data[2 + extra:2 + extra + length], self.data[2 + extra + length:]
            if opcode == 9:  # a ping: a slow reader need not answer at once
                continue
            assert opcode in (0, 1), opcode
            message += payload
            if final:
                return json.loads(message)


class Tls(StreamTest):
    def test_by_wss(self):
        made, device = self.new_device()
        ws = websocket.create_connection(f"wss://localhost:{self.node.ports['apis']}/api/v1/stream", sslopt={"ca_certs": self.node.ca}, timeout=DEADLINE,
                                         header=[f"Authorization: Bearer {self.node.demo['apiKey']}"], subprotocols=["orrery.v1.json"])
        ws.send(json.dumps({"op": "sub", "id": 1, "sid": "a", "kind": "points", "filter": {"assets": [made["assetId"]]}}))
        self.assertEqual(json.loads(ws.recv())["op"], "ok")
        for i in range(50):
            device.post({"power": float(i)})
        got = []
        while len(got) < 50:
            got += [i["v"]["power"]["value"] for i in json.loads(ws.recv())["items"]]
        self.assertEqual(got, [float(i) for i in range(50)])
        ws.close()


if __name__ == "__main__":
    unittest.main()
