"""MQTT sessions that outlive their connection (clean session 0): subscriptions and commands."""
import json
import queue
import time
import unittest

from orrery import DEADLINE, Device, NodeTest, wait_for


class KeptSession(NodeTest):
    def kept(self, made):
        device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"], clean=False)
        self.addCleanup(device.close)
        device.sessions = queue.Queue()
        device.client.on_connect = lambda c, u, flags, code: (device.sessions.put(flags["session present"]), device.connected.put(code))
        return device

    def test_session_present_follows_the_last_login(self):
        made, first = self.new_device()
        first.close()
        for clean, present in ((False, 0), (False, 1), (True, 0), (False, 0)):
            device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"], clean=clean)
            sessions = queue.Queue()
            device.client.on_connect = lambda c, u, flags, code: (sessions.put(flags["session present"]), device.connected.put(code))
            device.connect()
            self.assertEqual(sessions.get(timeout=DEADLINE), present, f"clean={clean}")
            device.close()

    def test_a_command_that_was_not_acknowledged_comes_again(self):
        made, first = self.new_device()
        first.close()
        path = f"~/devices/{made['assetId']}"
        raw = RawClient(self.node, made)
        raw.connect()
        raw.subscribe(f"/sys/{made['productKey']}/{made['deviceKey']}/thing/service/+")
        self.api.post(f"{path}/services/reboot:invoke", {"input": {"delay": 1}, "pendingTtl": 60, "timeout": 30, "mode": "async"}, expect=202)
        dup, packet_id, topic, payload = raw.publish_received()
        self.assertFalse(dup)
        raw.drop()  # without an acknowledgement
        wait_for(lambda: self.api.get(f"{path}/status")["status"] == "offline", "the device is off-line")
        raw = RawClient(self.node, made)
        self.assertEqual(raw.connect(), 1)
        again = raw.publish_received()
        self.assertEqual(again, (True, packet_id, topic, payload))
        raw.acknowledge(packet_id)
        raw.publish(topic + "_reply", {"id": json.loads(payload)["id"], "code": 200, "data": {"accepted": True}})
        [command] = self.api.get(f"{path}/commands")["items"]
        wait_for(lambda: self.api.get(f"{path}/commands")["items"][0]["state"] == "succeeded", "the answer is taken")
        self.assertEqual(command["element"], "reboot")
        raw.drop()
        raw = RawClient(self.node, made)
        self.assertEqual(raw.connect(), 1)
        raw.ping()  # what comes next is its answer, and no command
        raw.drop()


class Limited(NodeTest):
    """Older versions name no time: the longest one counts."""
    settings = ("mqtt.max_session_expiry=1s",)

    def test_a_kept_session_ends_when_its_time_is_over(self):
        made, first = self.new_device()
        first.close()
        sessions = queue.Queue()

        def come_and_go():
            device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"], clean=False)
            device.client.on_connect = lambda c, u, flags, code: (sessions.put(flags["session present"]), device.connected.put(code))
            device.connect()
            device.close()
            wait_for(lambda: self.api.get(f"~/devices/{made['assetId']}/status")["status"] == "offline", "offline")
            return sessions.get(timeout=DEADLINE)

        self.assertEqual(come_and_go(), 0)
        gone = time.monotonic()
        wait_for(lambda: time.monotonic() > gone + 1, "a second is over")
        self.assertEqual(come_and_go(), 0)


class RawClient:
    """A client that acknowledges nothing by itself."""

    def __init__(self, node, made):
        import socket
        self.made = made
        self.socket = socket.create_connection(("127.0.0.1", node.ports["mqtt"]), timeout=DEADLINE)

    def connect(self):
        from orrery import sign
        pk, dk = self.made["productKey"], self.made["deviceKey"]
        texts = (f"{dk}|securemode=2,signmethod=sha256,timestamp=1|", f"{dk}&{pk}", sign(dk, dk, pk, "1", self.made["deviceSecret"]))
        self.send(0x10, b"\0\4MQTT\4\xc0\0\x3c" + b"".join(text(t) for t in texts))
        head, body = self.packet()
        assert head == 0x20 and body[1] == 0, (head, body)
        return body[0]

    def subscribe(self, topic):
        self.send(0x82, b"\0\1" + text(topic) + b"\1")
        head, body = self.packet()
        assert (head, body) == (0x90, b"\0\1\1"), (head, body)

    def publish_received(self):
        head, body = self.packet()
        assert head >> 4 == 3, head
        size = int.from_bytes(body[:2], "big")
        return bool(head & 8), int.from_bytes(body[2 + size:4 + size], "big"), body[2:2 + size].decode(), body[4 + size:].decode()

    def acknowledge(self, packet_id):
        self.send(0x40, packet_id.to_bytes(2, "big"))

    def publish(self, topic, payload):
        self.send(0x32, text(topic) + b"\0\2" + json.dumps(payload).encode())
        head, body = self.packet()
        assert (head, body) == (0x40, b"\0\2"), (head, body)

    def ping(self):
        self.send(0xc0, b"")
        assert self.packet() == (0xd0, b"")

    def drop(self):
        self.socket.close()

    def send(self, head, body):
        size, length = len(body), b""
        while True:
            length += bytes([size % 128 | (128 if size >= 128 else 0)])
            size //= 128
            if not size:
                break
        self.socket.sendall(bytes([head]) + length + body)

    def packet(self):
        head, size, shift = self.exactly(1)[0], 0, 0
        while True:
            byte = self.exactly(1)[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return head, self.exactly(size)

    def exactly(self, size):
        got = b""
        while len(got) < size:
            more = self.socket.recv(size - len(got))
            assert more, "the connection ended"
            got += more
        return got


def text(t):
    return len(t.encode()).to_bytes(2, "big") + t.encode()


if __name__ == "__main__":
    unittest.main()
