"""Gateways whose sub-devices log in by one batch and post by one batch a second, and as fast as they are answered, beside
devices that post the same points themselves; and the memory of a sub-device. There is no peer for this."""
import json
import pathlib
import select
import socket
import sys
import time

import connections
from connections import start
from ingest import middle
from servers import BIN, Orrery, load, measured, table, words

SUBS, POINTS, COUNTS = 1_000, 6, (1, 10)
DIRECT = SUBS * max(COUNTS)


class Gateways(Orrery):
    """A node with as many devices that stand alone as there are sub-devices, which come behind them in the file."""

    def __init__(self):
        super().__init__("os", devices=2 * DIRECT)

    def register(self):
        super().register()
        made = [line.split() for line in self.devices.read_text().splitlines()[DIRECT:]]
        product = self.call("POST", "/orgs/-/products", {"name": "hub", "modelId": "bench", "nodeType": "gateway"})["productKey"]
        self.gateways = self.folder / "gateways"
        with open(self.gateways, "w") as out:
            for at in range(max(COUNTS)):
                hub = self.call("POST", "/orgs/-/devices", {"productKey": product, "deviceKey": f"hub{at}"})
                subs = [{"productKey": pk, "deviceKey": dk} for pk, dk, _ in made[at * SUBS:(at + 1) * SUBS]]
                bound = self.call("POST", f"/orgs/-/devices/{hub['assetId']}/subDevices:bind", {"devices": subs})
                assert bound["ok"] == SUBS, bound
                out.write(f"{product} {hub['deviceKey']} {hub['deviceSecret']}\n")


def run(options):
    rows, memory = [], []
    with Gateways() as node:
        for name, log_in in ((f"{DIRECT:,} devices", direct_logins), (f"{DIRECT:,} sub-devices of {max(COUNTS)} gateways", gateway_logins)):
            node.restart()
            memory.append(connections.measure(node, name, log_in))
        for count in COUNTS:
            many = count * SUBS
            for pace, direct, behind in (("a post a second", {"rate": many, "window": 4}, {"rate": 1, "window": 4}),
                                         ("at most", {"window": 1}, {"window": 2})):
                name = f"{many:,} %s, {pace}"
                if options.only not in name:
                    continue
                alone, gateways = [], []
                for _ in range(options.repeat):
                    alone.append(load(node, connections=many, seconds=options.seconds, **direct))
                    gateways.append(post(node, gateways=count, seconds=options.seconds, **behind))
                base = middle(alone, "cpu_per_million")
                behind_name = f"behind {count} gateway{'s' if count > 1 else ''}"
                for who, runs in (("devices", alone), (behind_name, gateways)):
                    cpu = middle(runs, "cpu_per_million")
                    rows.append([name % who, middle(runs, "rate"), POINTS * middle(runs, "rate"), cpu / POINTS, cpu / base,
                                 100 * middle(runs, "load_share"), middle(runs, "p50_us") / 1e3, middle(runs, "p99_us") / 1e3])
    table(["gateway", "posts/s", "points/s", "CPU us a point", "ratio", "load's core %", "p50 ms", "p99 ms"], rows)
    table(["connected and silent", "logged in", "bytes each", "CPU us a login"], memory)
    keys = ("name", "rate", "points", "cpu_us_point", "ratio", "load_percent", "p50_ms", "p99_ms")
    return {"rows": [dict(zip(keys, row)) for row in rows],
            "memory": [dict(zip(("name", "connected", "bytes", "login_us"), row)) for row in memory]}


def direct_logins(server):
    return start([BIN / "orrery-load", "--port", server.port, "--devices", server.devices, "--connections", DIRECT, "--hold"])


def client_of(server, **how):
    return ["/usr/bin/python3", __file__, "--port", server.port, "--hubs", server.gateways, "--devices", server.devices, *words(how)]


def gateway_logins(server):
    return start([*client_of(server, gateways=max(COUNTS)), "--hold"])


def post(server, **how):
    return measured(server, client_of(server, **how))


class Hub:
    """A gateway's connection. Its two bodies of a batch are made once: what changes in them is put in."""

    def __init__(self, port, line, subs):
        self.product, self.key, secret = line.split()
        self.subs, self.rest, self.sent, self.number, self.last = subs, b"", {}, 0, 0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        texts = [f"{self.key}|securemode=2,signmethod=sha256,timestamp=1|", f"{self.key}&{self.product}", signed(self.key, self.key, self.product, secret)]
        self.send(0x10, b"\0\4MQTT\4\xc2\0\0" + b"".join(text(t) for t in texts))
        (head, body), = self.packets(1)
        assert (head, body) == (0x20, b"\0\0"), body
        self.bodies = [("[" + ",".join(
            f'{{"productKey":"{pk}","deviceKey":"{dk}","measurepoints":{{"p{a}":@N.{i % 89},"p{b}":229.{i % 7},"p{c}":49.9{i % 9},"p{d}":-3.2{i % 5},'
            f'"p5":@N,"p6":31.{i % 8}}},"time":@T}}' for i, (pk, dk, _) in enumerate(subs)) + "]").encode() for a, b, c, d in ((1, 2, 3, 4), (7, 8, 9, 0))]

    def log_in(self):
        """All sub-devices, by one request."""
        entries = [{"productKey": pk, "deviceKey": dk, "sign": signed("batch", dk, pk, secret)} for pk, dk, secret in self.subs]
        self.request(f"/ext/session/{self.product}/{self.key}/combine/login/batch",
                     json.dumps({"clientId": "batch", "timestamp": "1", "signMethod": "sha256", "subDevices": entries}).encode())
        while self.sent:
            self.take()

    def post(self):
        self.last = max(self.last + 1, int(time.time() * 1000))  # no time of a device comes twice
        body = self.bodies[self.number % 2].replace(b"@N", b"%d" % (self.number % 997)).replace(b"@T", b"%d" % self.last)
        self.request(f"/sys/{self.product}/{self.key}/thing/measurepoint/post/batch", body)

    def request(self, topic, params):
        self.number += 1
        self.sent[self.number] = time.monotonic()
        self.send(0x32, text(topic) + (self.number % 65535 + 1).to_bytes(2, "big") + b'{"id":"%d","version":"1.0","method":"x","params":%s}' % (self.number, params))

    def take(self):
        """Reads what is there; gives how long each reply in it took."""
        took = []
        for head, body in self.packets(0):
            if head >> 4 == 3:  # a reply, with QoS 1: acknowledge it
                at = 2 + int.from_bytes(body[:2], "big")
                self.send(0x40, body[at:at + 2])
                reply = json.loads(body[at + 2:])
                assert reply["code"] == 200, reply
                took.append(time.monotonic() - self.sent.pop(int(reply["id"])))
        return took

    def send(self, head, body):
        size, left = b"", len(body)
        while not size or left:
            size, left = size + bytes([left % 128 | (128 if left > 127 else 0)]), left // 128
        self.socket.sendall(bytes([head]) + size + body)

    def packets(self, least):
        """What is whole after one read, or after as many as bring `least`."""
        found = []
        while True:
            more = self.socket.recv(1 << 18)
            assert more, "the server closed"
            self.rest += more
            while len(self.rest) > 1:
                size = shift = 0
                for at in range(1, len(self.rest)):
                    size, shift = size | (self.rest[at] & 127) << shift, shift + 7
                    if self.rest[at] < 128:
                        break
                else:
                    break
                if len(self.rest) <= at + size:
                    break
                found.append((self.rest[0], self.rest[at + 1:at + 1 + size]))
                self.rest = self.rest[at + 1 + size:]
            if len(found) >= least:
                return found


def text(words_):
    return len(words_).to_bytes(2, "big") + words_.encode()


def signed(client_id, device, product, secret):
    import hashlib
    return hashlib.sha256(f"clientId{client_id}deviceKey{device}productKey{product}timestamp1{secret}".encode()).hexdigest()


def client():
    """The gateways, in a process of their own."""
    import argparse
    parser = argparse.ArgumentParser()
    for name, kind, default in (("port", int, 0), ("hubs", str, ""), ("devices", str, ""), ("gateways", int, 1), ("window", int, 1),
                                ("rate", float, 0), ("seconds", float, 8), ("warm-up", float, 2)):
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument("--hold", action="store_true")
    a = parser.parse_args()
    lines = pathlib.Path(a.hubs).read_text().splitlines()[:a.gateways]
    subs = [line.split() for line in pathlib.Path(a.devices).read_text().splitlines()[DIRECT:]]
    hubs = [Hub(a.port, line, subs[at * SUBS:(at + 1) * SUBS]) for at, line in enumerate(lines)]
    for hub in hubs:
        hub.log_in()
    if a.hold:
        print(json.dumps({"connected": SUBS * len(hubs)}), flush=True)
        sys.stdin.read()
        return
    drive(hubs, a)


def drive(hubs, a):
    """With a rate each gateway has its own moments within the second."""
    by_socket = {hub.socket.fileno(): hub for hub in hubs}
    poll = select.poll()
    for hub in hubs:
        poll.register(hub.socket, select.POLLIN)
    begin = time.monotonic()
    due = [begin + at / len(hubs) / a.rate if a.rate else begin for at in range(len(hubs))]
    counted_from, took, skipped = None, [], 0
    while (now := time.monotonic()) < begin + a.warm_up + a.seconds:
        if counted_from is None and now >= begin + a.warm_up:
            counted_from = now
            print("measuring", file=sys.stderr, flush=True)
        for at, hub in enumerate(hubs):
            while a.rate and due[at] <= now:
                due[at] += 1 / a.rate
                if len(hub.sent) < a.window:
                    hub.post()
                else:
                    skipped += 1
            while not a.rate and len(hub.sent) < a.window:
                hub.post()
        wait = min(due) - time.monotonic() if a.rate else 0.1
        for file, _ in poll.poll(max(0, min(wait, 0.1)) * 1000):
            done = by_socket[file].take()
            if counted_from is not None:
                took += done
    seconds = time.monotonic() - counted_from
    print("measured", file=sys.stderr, flush=True)
    while any(hub.sent for hub in hubs):  # what is under way comes home
        for file, _ in poll.poll(10_000):
            by_socket[file].take()
    took.sort()
    each = [int(took[int(q * (len(took) - 1))] * 1e6) for q in (0.5, 0.99)]
    print(json.dumps({"seconds": seconds, "acknowledged": len(took) * SUBS, "rate": len(took) * SUBS / seconds, "skipped": skipped,
                      "p50_us": each[0], "p99_us": each[1]}))


if __name__ == "__main__":
    client()
