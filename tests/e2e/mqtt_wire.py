"""MQTT as bytes: a client that says exactly what it is told, also what no library would say."""
import json
import os
import pathlib
import socket
import ssl
import struct
import threading
import time

from orrery import DEADLINE, sign

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = range(1, 15)


def text(t):
    raw = t if isinstance(t, bytes) else t.encode()
    return struct.pack(">H", len(raw)) + raw


def frame(first, body=b""):
    size, head = len(body), bytes([first])
    while True:
        size, low = divmod(size, 128)
        head += bytes([low | (128 if size else 0)])
        if not size:
            return head + body


def counted(properties):
    """Properties of version 5 behind their length."""
    return frame(0, properties)[1:]


def connect(client_id, username=None, password=None, level=4, name="MQTT", keep_alive=60, clean=True, will=None, properties=b""):
    flags = (2 if clean else 0) | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    body = (counted(properties) if level == 5 and name == "MQTT" else b"") + text(client_id)
    if will:
        topic, payload, qos, retain = will
        flags |= 4 | qos << 3 | (0x20 if retain else 0)
        body += (counted(b"") if level == 5 else b"") + text(topic) + text(payload)
    body += b"".join(text(t) for t in (username, password) if t is not None)
    return frame(CONNECT << 4, text(name) + bytes([level, flags]) + struct.pack(">H", keep_alive) + body)


def publish(topic, payload, qos=1, number=1, dup=False, retain=False):
    payload = payload if isinstance(payload, bytes) else (payload if isinstance(payload, str) else json.dumps(payload)).encode()
    return frame(PUBLISH << 4 | (8 if dup else 0) | qos << 1 | (1 if retain else 0),
                 text(topic) + (struct.pack(">H", number) if qos else b"") + payload)


def numbered(kind, number):
    return frame(kind << 4 | (2 if kind == PUBREL else 0), struct.pack(">H", number))


def subscribe(*filters, number=1, qos=1):
    return frame(SUBSCRIBE << 4 | 2, struct.pack(">H", number) + b"".join(text(f) + bytes([qos]) for f in filters))


def unsubscribe(*filters, number=1):
    return frame(UNSUBSCRIBE << 4 | 2, struct.pack(">H", number) + b"".join(text(f) for f in filters))


class Packet:
    def __init__(self, first, body):
        self.kind, self.flags, self.body = first >> 4, first & 15, body
        self.qos, self.retain, self.dup = self.flags >> 1 & 3, bool(self.flags & 1), bool(self.flags & 8)
        if self.kind == PUBLISH:
            size = struct.unpack_from(">H", body)[0]
            self.topic, rest = body[2:2 + size].decode(), body[2 + size:]
            self.number = struct.unpack_from(">H", rest)[0] if self.qos else 0
            self.payload = rest[2:] if self.qos else rest
        elif self.kind not in (CONNACK, PINGRESP, DISCONNECT):
            self.number = struct.unpack_from(">H", body)[0]

    def json(self):
        return json.loads(self.payload)

    def __repr__(self):
        return f"Packet({self.kind}, {self.flags:04b}, {self.body!r})"


class Wire:
    """A connection to a port of the node."""

    def __init__(self, node, tls=False, host="localhost"):
        self.socket = socket.create_connection((getattr(node, "host", "127.0.0.1"), node.ports["mqtts" if tls else "mqtt"]), timeout=DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.socket = ssl.create_default_context(cafile=node.ca).wrap_socket(self.socket, server_hostname=host)
        self.kept = b""

    def send(self, *packets):
        self.socket.sendall(b"".join(packets))
        return self

    def fill(self):
        """More bytes; False at the end."""
        try:
            more = self.socket.recv(65536)
        except ConnectionResetError:
            more = b""
        self.kept += more
        return bool(more)

    def packet(self):
        """The next packet; None at the end of the connection."""
        while True:
            size, shift, at = 0, 0, 1
            while at < len(self.kept):
                byte = self.kept[at]
                size, shift, at = size | (byte & 127) << shift, shift + 7, at + 1
                if byte < 128:
                    if len(self.kept) < at + size:
                        break
                    packet = Packet(self.kept[0], self.kept[at:at + size])
                    self.kept = self.kept[at + size:]
                    return packet
            if not self.fill():
                return None

    def packets(self, count):
        return [self.packet() for _ in range(count)]

    def until(self, kind):
        """The next packet of a kind; what comes before it is dropped."""
        while True:
            packet = self.packet()
            if packet is None or packet.kind == kind:
                return packet

    def closed(self):
        """Waits for the end; gives what still came, in bytes."""
        while self.fill():
            pass
        self.socket.close()
        return self.kept

    def is_alive(self):
        """True if it answers a ping; what comes before the answer is dropped."""
        try:
            self.send(frame(PINGREQ << 4))
            return self.until(PINGRESP) is not None
        except OSError:
            return False

    def nothing_came(self):
        """True if the next packet is the answer to a ping: nothing was sent before it."""
        packet = self.send(frame(PINGREQ << 4)).packet()
        return packet is not None and packet.kind == PINGRESP

    def close(self):
        self.socket.close()

    __del__ = close


class Who:
    """A device and its signature in all the forms that clients write."""

    def __init__(self, product_key, device_key, secret):
        self.pk, self.dk, self.secret = product_key, device_key, secret
        self.home = f"/sys/{product_key}/{device_key}/"

    def login(self, id=None, label="sha256", method="sha256", timestamp="1700000000123", upper=False, mode=2, parameters=None, **options):
        """The bytes of a CONNECT."""
        id = self.dk if id is None else id
        digest = sign(id, self.dk, self.pk, timestamp, self.secret, method)
        parameters = parameters or f"securemode={mode},signmethod={label},timestamp={timestamp}"
        return connect(f"{id}|{parameters}|", f"{self.dk}&{self.pk}", digest.upper() if upper else digest, **options)

    def connected(self, node, tls=False, **options):
        wire = Wire(node, tls)
        wire.send(self.login(**options))
        answer = wire.packet()
        assert answer is not None and answer.kind == CONNACK and answer.body[1] == 0, answer
        return wire

    def post(self, points, number=1, qos=1, id="1", time=None, **options):
        """The bytes of a point post."""
        params = {"measurepoints": points}
        if time is not None:
            params["time"] = time
        return publish(self.home + "thing/measurepoint/post", {"id": id, "params": params}, qos, number, **options)


class Bystander(threading.Thread):
    """A device that keeps posting; it must be answered every time, in time, on its one connection."""

    newest = 0  # time of the last value of any of them: all speak for one device, and a quick one may run ahead of the clock

    def __init__(self, node):
        super().__init__()
        self.who = of_demo(node, 4)
        self.wire = self.who.connected(node)
        self.first = max(now_ms(), Bystander.newest + 1)
        self.posted, self.slowest, self.trouble, self.done = 0, 0.0, None, threading.Event()

    def run(self):
        try:
            while not self.done.is_set():
                begin = time.monotonic()
                self.wire.send(self.who.post({"power": float(self.posted)}, self.posted % 65535 + 1, id=str(self.posted), time=self.first + self.posted))
                seen = [self.wire.packet() for _ in range(2)]
                kinds = {p.kind: p for p in seen if p is not None}
                if kinds[PUBLISH].json() != {"id": str(self.posted), "code": 200, "data": {}} or kinds[PUBACK].number != self.posted % 65535 + 1:
                    raise AssertionError(f"post {self.posted} was answered {seen}")
                self.slowest = max(self.slowest, time.monotonic() - begin)
                self.posted += 1
        except Exception as e:  # told by stop()
            self.trouble = e

    def stop(self):
        self.done.set()
        self.join()
        Bystander.newest = self.first + self.posted
        self.wire.close()
        if self.trouble:
            raise AssertionError(f"the other device was disturbed after {self.posted} posts: {self.trouble!r}")


def of_demo(node, index=0):
    device = node.demo["devices"][index]
    return Who(node.demo["productKey"], device["deviceKey"], device["deviceSecret"])


def fresh(api, product_key, **fields):
    """A new device."""
    made = api.post("~/devices", dict({"productKey": product_key}, **fields))
    return made, Who(made["productKey"], made["deviceKey"], made["deviceSecret"])


def cpu_seconds(node):
    """What the node has used of the processors since its start."""
    fields = pathlib.Path(f"/proc/{node.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def now_ms():
    return int(time.time() * 1000)
