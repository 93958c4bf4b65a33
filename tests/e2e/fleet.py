"""Many devices on raw sockets that post with QoS 1 and a window of unacknowledged messages, and keep
a record of what was acknowledged. Quick enough to keep a node busy, and it survives its death."""
import collections
import selectors
import socket
import struct
import threading
import time

from orrery import DEADLINE, sign, wait_for

POINT = "power"
RETRY = 0.05


def packet(kind, body):
    size, left = b"", len(body)
    while True:
        left, digit = left >> 7, left & 127
        size += bytes([digit | (0x80 if left else 0)])
        if not left:
            return bytes([kind]) + size + body


def text(value):
    value = value.encode()
    return struct.pack(">H", len(value)) + value


class Poster:
    """One device. Its message number n carries the value n at the time `base` + n ms; so what the node
    has of it tells which messages it took."""

    def __init__(self, product_key, device_key, secret, base, points=(POINT,)):
        self.pk, self.dk, self.secret, self.base = product_key, device_key, secret, base
        self.points = points
        self.topic = text(f"/sys/{product_key}/{device_key}/thing/measurepoint/post")
        self.next = 0  # number of the next message
        self.waiting = collections.deque()  # numbers sent and not acknowledged, in order
        self.acknowledged = 0  # all messages below this number are
        self.socket = None
        self.faults = []

    def login(self):
        timestamp = str(int(time.time() * 1000))
        client = f"{self.dk}|securemode=2,signmethod=sha256,timestamp={timestamp}|"
        password = sign(self.dk, self.dk, self.pk, timestamp, self.secret)
        return packet(0x10, text("MQTT") + b"\x04\xc2" + struct.pack(">H", 300) + text(client) +
                      text(f"{self.dk}&{self.pk}") + text(password))

    def message(self, number, again=False):
        values = ",".join(f'"{p}":{number}.0' for p in self.points)
        payload = (f'{{"id":"{number}","version":"1.0","method":"thing.measurepoint.post",'
                   f'"params":{{"measurepoints":{{{values}}},"time":{self.base + number}}}}}').encode()
        return packet(0x3A if again else 0x32, self.topic + struct.pack(">H", number % 65535 + 1) + payload)

    def take(self, data):
        """Reads acknowledgements: they come in the order of the messages (MQTT 3.1.1, 4.6). Replies are
        acknowledged and must say that the message was taken."""
        self.input += data
        while True:
            at, size, shift = 1, 0, 0
            while at < len(self.input) and at < 5:
                size |= (self.input[at] & 127) << shift
                shift += 7
                at += 1
                if self.input[at - 1] < 128:
                    break
            else:
                return
            if len(self.input) < at + size:
                return
            kind, body = self.input[0], self.input[at:at + size]
            self.input = self.input[at + size:]
            self.take_packet(kind, body)

    def take_packet(self, kind, body):
        if kind == 0x20:
            if body[1]:
                raise ConnectionError(f"login refused with {body[1]}")
            self.ready = True
        elif kind == 0x32:
            topic = int.from_bytes(body[:2], "big")
            self.output += b"\x40\2" + body[2 + topic:4 + topic]
            if b'"code":200' not in body and b'"code":1000' not in body:
                self.faults.append(f"{self.dk}: {body[4 + topic:]}")
        elif kind != 0x40:
            self.faults.append(f"{self.dk}: unexpected packet {kind:#x}")
            raise ConnectionError("unexpected packet")
        else:
            identifier = int.from_bytes(body, "big")
            if not self.waiting or self.waiting[0] % 65535 + 1 != identifier:
                self.faults.append(f"{self.dk}: acknowledged {identifier}, the oldest is {list(self.waiting)[:1]}")
                raise ConnectionError("out of order")
            self.acknowledged = self.waiting.popleft() + 1


class Fleet:
    """Runs posters on a thread of its own until it is told to stop; may be run again, on another port."""

    def __init__(self, posters, window=20, rate=None):
        """`rate`: messages per second of all together; None: as fast as they are acknowledged."""
        self.posters, self.window, self.rate = posters, window, rate
        self.thread = None
        self.most = None

    def start(self, port):
        self.port, self.stopping = port, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def stop(self, settle=False):
        """`settle`: waits until all that was sent is acknowledged."""
        if settle:
            self.most = 0
            wait_for(lambda: not any(p.waiting for p in self.posters), "everything is acknowledged", 2 * DEADLINE)
        self.stopping = True
        self.thread.join(DEADLINE)
        self.most = None
        assert not self.thread.is_alive(), "the fleet hangs"

    def acknowledged(self):
        return sum(p.acknowledged for p in self.posters)

    def connected(self):
        return sum(1 for p in self.posters if p.socket and p.ready)

    def faults(self):
        return [fault for p in self.posters for fault in p.faults]

    def run(self):
        with selectors.DefaultSelector() as self.selector:
            self.lost = [(0.0, p) for p in self.posters]
            self.begun, self.sent = time.monotonic(), 0
            while not self.stopping:
                now = time.monotonic()
                due = [p for at, p in self.lost if at <= now]
                self.lost = [(at, p) for at, p in self.lost if at > now]
                for p in due:
                    self.guard(p, self.connect)
                for key, events in self.selector.select(0.02):
                    self.guard(key.data, self.work, events)
                if self.rate:
                    for p in self.posters:
                        if p.socket and p.ready:
                            self.guard(p, self.send)
            for p in self.posters:
                if p.socket:
                    p.socket.close()
                    p.socket = None

    def guard(self, p, what, *arguments):
        try:
            what(p, *arguments)
        except OSError:
            if p.socket:
                self.selector.unregister(p.socket)
                p.socket.close()
                p.socket = None
            self.lost.append((time.monotonic() + RETRY, p))

    def connect(self, p):
        p.input, p.output, p.ready = b"", b"", False
        p.again = list(p.waiting)  # what the last connection left open is sent again, in order
        p.socket = socket.socket()
        p.socket.setblocking(False)
        p.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        p.output = p.login()
        self.selector.register(p.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, p)
        try:
            p.socket.connect(self.address(p))
        except BlockingIOError:
            pass

    def address(self, p):
        """Where a poster connects next."""
        return "127.0.0.1", self.port

    def work(self, p, events):
        if events & selectors.EVENT_READ:
            data = p.socket.recv(65536)
            if not data:
                raise ConnectionError("closed")
            p.take(data)
        self.send(p)

    def send(self, p):
        if p.ready:
            parts = [p.output]
            for number in p.again:
                parts.append(p.message(number, True))
            p.again = []
            room = min(self.window - len(p.waiting), self.allowance())
            for _ in range(room):
                parts.append(p.message(p.next))
                p.waiting.append(p.next)
                p.next += 1
                self.sent += 1
            p.output = b"".join(parts)
        if p.output:
            try:
                p.output = p.output[p.socket.send(p.output):]
            except BlockingIOError:
                pass
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if p.output else 0)
        if self.selector.get_key(p.socket).events != wanted:
            self.selector.modify(p.socket, wanted, p)

    def allowance(self):
        if self.most is not None:
            return self.most
        if self.rate is None:
            return self.window
        return max(0, int((time.monotonic() - self.begun) * self.rate) - self.sent)


def register(api, product_key, count, prefix="dev-"):
    """Registers devices; gives their posters and their asset ids."""
    base = int(time.time() * 1000) - 3_600_000
    posters, assets = [], {}
    for start in range(0, count, 500):
        keys = [f"{prefix}{i:04}" for i in range(start, min(start + 500, count))]
        made = api.post("~/devices:batch", {"items": [{"productKey": product_key, "deviceKey": k} for k in keys]})
        for result in made["results"]:
            device = result["device"]
            posters.append(Poster(product_key, device["deviceKey"], device["deviceSecret"], base))
            assets[device["deviceKey"]] = device["assetId"]
    return posters, assets


def read(api, path):
    """A reply as it is: thousands of rows take long to check against the document."""
    reply = api.session.get(api.base + path.replace("~", api.org, 1), timeout=70)
    assert reply.status_code == 200, f"{path}: {reply.status_code} {reply.text}"
    return reply.json()


def history(api, asset, point=POINT, since=0, limit=10_000):
    """All samples of a point as (time, value), oldest first."""
    path = f"~/devices/{asset}/points/{point}/history?from={since}&limit={limit}&timeFormat=ms"
    found, cursor = [], None
    while True:
        page = read(api, path + (f"&cursor={cursor}" if cursor else ""))
        found += [(row["time"], row["value"]) for row in page["items"]]
        cursor = page.get("nextCursor")
        if cursor is None:
            return found


def check(test, api, posters, assets, point=POINT, first=None):
    """The node has of each device an unbroken run of messages from the first on, with all that were
    acknowledged, each once and in order. `first`: numbers below it were looked at before."""
    total = 0
    for p in posters:
        since = first.get(p.dk, 0) if first else 0
        rows = history(api, assets[p.dk], point, p.base + since)
        got = [time_ - p.base for time_, _ in rows]
        test.assertEqual(got, list(range(since, since + len(got))), f"{p.dk}: holes, doubles or disorder")
        test.assertEqual([int(value) for _, value in rows], got, f"{p.dk}: values")
        test.assertGreaterEqual(since + len(got), p.acknowledged, f"{p.dk}: acknowledged and not there")
        test.assertLessEqual(since + len(got), p.next, f"{p.dk}: there and never sent")
        if first is not None:
            first[p.dk] = min(p.acknowledged, since + len(got))
        total += len(got)
    return total
