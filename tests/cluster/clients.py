"""Clients of a cluster that write down what was acknowledged to them: devices on MQTT that post points, attributes and events and
answer commands, and applications that change and read registers, give commands and register devices by the API. When a node does
not answer they go to another one."""
import asyncio
import collections
import itertools
import json
import random
import struct
import sys
import time

from linearizability import READ, WRITE, Operation
from world import ROOT, Http

sys.path.insert(0, str(ROOT / "tests/e2e"))
from mqtt_wire import CONNACK, PUBACK, PUBLISH, Packet, Who, numbered, publish  # noqa: E402

PRODUCT, MODEL = "fault", {
    "format": "tm/1", "id": "Fault", "name": "Fault", "validate": "strict",
    "attributes": [{"id": "register", "name": "Register", "type": {"t": "int"}}, {"id": "last", "name": "Last", "type": {"t": "int"}}],
    "measurePoints": [{"id": "n", "name": "Number", "signal": "AI", "type": {"t": "int"}},
                      {"id": "half", "name": "Half", "signal": "AI", "type": {"t": "double"}}],
    "services": [{"id": "do", "name": "Do", "input": [{"id": "number", "type": {"t": "int"}, "required": True}],
                  "output": [{"id": "number", "type": {"t": "int"}}]}],
    "events": [{"id": "tick", "name": "Tick", "level": "info", "output": [{"id": "number", "type": {"t": "int"}}]}]}
POINTS, ATTRIBUTE, EVENT = "points", "attribute", "event"
STEP = 100  # milliseconds between two messages of a device, as the messages say
PATIENCE = 3.0  # seconds until a client goes elsewhere
PAUSE = 0.1


def kind_of(number):
    return ATTRIBUTE if number % 7 == 3 else EVENT if number % 11 == 5 else POINTS


class Gaps:
    """The longest time without success since `begin`."""

    def __init__(self):
        self.begin()

    def begin(self):
        self.last, self.longest = time.monotonic(), 0.0

    def success(self):
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now

    def end(self):
        self.success()
        return self.longest


class Connection(asyncio.Protocol):
    def __init__(self, device):
        self.device, self.kept, self.open = device, b"", True

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.kept += data
        while self.open:
            size, shift, at = 0, 0, 1
            while at < len(self.kept):
                byte = self.kept[at]
                size, shift, at = size | (byte & 127) << shift, shift + 7, at + 1
                if byte < 128:
                    break
            else:
                return
            if len(self.kept) < at + size:
                return
            packet = Packet(self.kept[0], self.kept[at:at + size])
            self.kept = self.kept[at + size:]
            self.device.take(self, packet)

    def send(self, data):
        if self.open and not self.transport.is_closing():
            self.transport.write(data)

    def connection_lost(self, why):
        self.open = False

    def close(self):
        self.open = False
        self.transport.abort()


class Device:
    """Its message number n carries the number n and the time `base` + n * STEP."""

    def __init__(self, load, key, secret, asset, base):
        self.load, self.asset, self.base = load, asset, base
        self.who = Who(PRODUCT, key, secret)
        self.key = key
        self.next = 0  # number of the next message
        self.waiting = collections.deque()  # numbers sent and not acknowledged, in order
        self.acknowledged = 0  # all messages below this number are
        self.resent = set()
        self.connection, self.ready = None, False
        self.progress = 0.0
        self.gaps = Gaps()
        self.commands = []  # numbers, as they came
        self.seen = -1  # newest value that a read has shown

    def message(self, number, again):
        kind, at = kind_of(number), self.base + number * STEP
        if kind == POINTS:
            topic, params = "measurepoint/post", {"measurepoints": {"n": number, "half": number / 2}, "time": at}
        elif kind == ATTRIBUTE:
            topic, params = "attribute/update", {"attributes": {"last": number}}
        else:
            topic, params = "event/tick/post", {"events": {"number": number}, "time": at}
        return publish(self.who.home + "thing/" + topic, {"id": str(number), "version": "1.0", "params": params}, 1,
                       number % 65535 + 1, dup=again)

    async def run(self):
        while not self.load.ended:
            try:
                await self.connect()
                await self.work()
            except (OSError, asyncio.TimeoutError):
                pass
            self.hang_up()
            await asyncio.sleep(PAUSE * (0.5 + random.random()))

    def hang_up(self):
        if self.connection:
            self.connection.close()
        self.connection, self.ready = None, False

    async def connect(self):
        while self.load.away and not self.load.ended:
            await asyncio.sleep(PAUSE)
        host = random.choice(self.load.hosts)
        loop = asyncio.get_running_loop()
        _, self.connection = await asyncio.wait_for(loop.create_connection(lambda: Connection(self), host, 11883), PATIENCE)
        self.connection.send(self.who.login(timestamp=str(int(time.time() * 1000)), keep_alive=300))
        end = time.monotonic() + PATIENCE
        while not self.ready:
            if not self.connection.open or time.monotonic() > end:
                raise OSError("no login")
            await asyncio.sleep(0.01)
        self.progress = time.monotonic()
        for number in self.waiting:  # what the last connection left open is sent again, in order
            self.resent.add(number)
            self.connection.send(self.message(number, True))

    async def work(self):
        due = time.monotonic() + random.random() / self.load.rate
        while self.connection.open and not self.load.ended and not self.load.away:
            now = time.monotonic()
            if not self.waiting:
                self.progress = now
            elif now > self.progress + PATIENCE:
                return  # it does not answer
            while due <= now:
                due += 1 / self.load.rate
                if not self.load.resting and len(self.waiting) < self.load.window:
                    self.connection.send(self.message(self.next, False))
                    self.waiting.append(self.next)
                    self.next += 1
            await asyncio.sleep(min(0.05, max(0.001, due - now)))

    def take(self, connection, packet):
        if connection is not self.connection:
            return
        if packet.kind == CONNACK:
            if packet.body[1]:
                self.load.count[f"login refused with {packet.body[1]}"] += 1
                if packet.body[1] != 3:
                    self.fault(f"login refused with {packet.body[1]}")
                connection.close()
            self.ready = packet.body[1] == 0
        elif packet.kind == PUBACK:
            if not self.waiting or self.waiting[0] % 65535 + 1 != packet.number:
                self.fault(f"acknowledged is {packet.number - 1}, the oldest is {list(self.waiting)[:1]}")
                connection.close()
                return
            number = self.waiting.popleft()
            self.acknowledged, self.progress = number + 1, time.monotonic()
            self.load.count[kind_of(number)] += 1
            self.gaps.success()
        elif packet.kind == PUBLISH:
            if packet.qos:
                connection.send(numbered(PUBACK, packet.number))
            if packet.topic.endswith("_reply"):
                code = packet.json()["code"]
                if code not in (200, 1000):
                    self.fault(f"{packet.topic}: {packet.payload}")
            else:
                self.obey(connection, packet)

    def obey(self, connection, packet):
        body = packet.json()
        self.commands.append(body["params"]["number"])
        connection.send(publish(packet.topic + "_reply", {"id": body["id"], "code": 200, "data": body["params"]}, 0))

    def fault(self, text):
        self.load.faults.append(f"device {self.key}: {text}")


class Register:
    """The attribute `register` of a device, or a tag of it: every value that is written is a new one."""

    def __init__(self, asset, place):
        self.asset, self.place = asset, place
        self.history = []
        self.numbers = itertools.count(1)
        self.gaps = Gaps()

    def path(self):
        return f"~/devices/{self.asset}/{self.place}"

    def body(self, value):
        return {"register": value if self.place == "attributes" else str(value)}

    def value(self, reply):
        found = reply.get("register")
        return None if found is None else int(found)


class Load:
    def __init__(self, world, rate=6.0, window=12):
        self.world, self.rate, self.window = world, rate, window
        self.key = ""
        self.hosts = [world.host(n) for n in range(1, world.nodes + 1)]
        self.ended = False
        self.resting = True  # nothing new is begun
        self.away = False  # devices are logged out
        self.busy = 0  # requests of applications under way
        self.count = collections.Counter()
        self.faults = []
        self.devices, self.registers = [], []
        self.commands = {}  # number -> (device, id); acknowledged
        self.commands_tried = {}  # number -> device
        self.made, self.tried = {}, set()  # device keys -> asset ids, acknowledged; all that were tried
        self.numbers = itertools.count(1)

    # ---- requests
    def http(self, n):
        return Http(self.world.host(n), 8090, {"Authorization": f"Bearer {self.key}"} if self.key else {})

    async def must(self, method, path, body=None, limit=30, headers=None):
        """Asks one node after the other until one answers as it should."""
        end, last = time.monotonic() + limit, None
        for n in itertools.cycle(range(1, self.world.nodes + 1)):
            http = self.http(n)
            http.headers.update(headers or {})
            status, reply = await http.once(method, "/api/v1" + path.replace("~", "/orgs/-", 1), body)
            if status is not None and status < 300:
                return reply
            last = (n, status, reply) if status is not None else last
            if status is not None and 400 <= status < 500 and status not in (409, 429) or time.monotonic() > end:
                raise AssertionError(f"{method} {path}: {last}")
            await asyncio.sleep(PAUSE)

    async def all_of(self, path, limit=500, **options):
        items, cursor, mark = [], None, "&" if "?" in path else "?"
        while True:
            page = await self.must("GET", f"{path}{mark}limit={limit}" + (f"&cursor={cursor}" if cursor else ""), **options)
            items += page["items"]
            cursor = page.get("nextCursor")
            if not cursor:
                return items

    async def prepare(self, devices, registers):
        login = await self.must("POST", "/auth/login", {"user": "admin", "password": self.world.password()})
        self.key = login["access"]
        self.key = (await self.must("POST", "~/apps/fault/keys", {"permissions": ["*"]}))["apiKey"]
        await self.must("POST", "~/models", MODEL)
        await self.must("POST", "~/models/Fault:publish", {}, headers={"If-Match": "*"})
        await self.must("POST", "~/products", {"name": "fault", "modelId": "Fault", "productKey": PRODUCT})
        keys = [f"dev-{i:03}" for i in range(devices)] + [f"reg-{i:03}" for i in range(registers)]
        made = await self.must("POST", "~/devices:batch", {"items": [{"productKey": PRODUCT, "deviceKey": k} for k in keys]})
        base = int(time.time() * 1000) - 3_600_000
        for one in made["results"]:
            one = one["device"]
            self.tried.add(one["deviceKey"])
            self.made[one["deviceKey"]] = one["assetId"]
            if one["deviceKey"].startswith("dev"):
                self.devices.append(Device(self, one["deviceKey"], one["deviceSecret"], one["assetId"], base))
            else:
                place = "tags" if len(self.registers) % 4 == 3 else "attributes"
                self.registers.append(Register(one["assetId"], place))

    def start(self):
        nodes = range(1, self.world.nodes + 1)
        self.tasks = [asyncio.create_task(d.run()) for d in self.devices]
        self.tasks += [asyncio.create_task(self.change_and_read(n, write)) for n in nodes for write in (0.9, 0.1)]
        self.tasks += [asyncio.create_task(what(n)) for n in nodes for what in (self.give_commands, self.read_points, self.register_devices)]

    async def rest(self, limit=30):
        """Begins nothing new, and waits for everything that is under way."""
        self.resting = True
        end = time.monotonic() + limit
        while self.busy or any(d.waiting for d in self.devices):
            if time.monotonic() > end:
                raise TimeoutError(f"not within {limit} s: all is acknowledged; open are {self.busy} requests and "
                                   f"{ {d.key: list(d.waiting)[:3] for d in self.devices if d.waiting} }")
            await asyncio.sleep(0.02)

    async def end(self):
        self.ended = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def turns(self, pause):
        """Comes again and again while there is to be load."""
        while not self.ended:
            await asyncio.sleep(pause * (0.5 + random.random()))
            if not self.resting:
                self.busy += 1
                try:
                    yield
                finally:
                    self.busy -= 1

    # ---- applications, each at one node
    async def change_and_read(self, n, share):
        http, who = self.http(n), f"application {share} at node {n}"
        async for _ in self.turns(0.12):
            register = random.choice(self.registers)
            write = random.random() < share
            value = next(register.numbers) if write else None
            start = time.monotonic()
            status, reply = await http.request("PATCH" if write else "GET", "/api/v1" + register.path().replace("~", "/orgs/-"),
                                               register.body(value) if write else None)
            end = time.monotonic()
            if not http.sent:
                continue
            if status == 200:
                if write and register.value(reply) != value:
                    # What the answer shows is the state after this change, or a later one.
                    self.count["answers with a later value"] += 1
                register.history.append(Operation(WRITE if write else READ, value if write else register.value(reply), start, end, who))
                self.count["register writes" if write else "register reads"] += 1
                if write:
                    register.gaps.success()
            else:
                self.refusal(who, status, reply)
                if write:
                    register.history.append(Operation(WRITE, value, start, None, who))

    def refusal(self, who, status, reply):
        code = reply.get("code") if isinstance(reply, dict) else None
        self.count[f"refused: {status} {code}" if status else "no answer"] += 1
        if status is not None and status not in (409, 429, 503, 504):
            self.faults.append(f"{who}: {status} {reply}")

    async def give_commands(self, n):
        http = self.http(n)
        async for _ in self.turns(0.7):
            device, number = random.choice(self.devices), next(self.numbers)
            status, reply = await http.request("POST", f"/api/v1/orgs/-/devices/{device.asset}/services/do:invoke",
                                               {"input": {"number": number}, "mode": "async", "pendingTtl": 600, "timeout": 2})
            if http.sent:
                self.commands_tried[number] = device
            if status == 202:
                self.commands[number] = (device, reply["id"])
                self.count["commands"] += 1
            elif http.sent:
                self.refusal("commands", status, reply)

    async def read_points(self, n):
        """The newest value of a device never goes back, and is never older than what was acknowledged before it was asked."""
        http = self.http(n)
        async for _ in self.turns(0.2):
            device = random.choice(self.devices)
            least = max([device.seen, *(i for i in range(device.acknowledged - 1, device.acknowledged - 4, -1) if kind_of(i) == POINTS)])
            status, reply = await http.request("GET", f"/api/v1/orgs/-/devices/{device.asset}/points/latest?ids=n")
            if status == 200:
                self.count["point reads"] += 1
                value = next((p["value"] for p in reply["items"] if p["point"] == "n"), -1)
                if value < least:
                    self.faults.append(f"stale read at node {n}: {device.key} showed {value} after {least}")
                if value >= device.next:
                    self.faults.append(f"read at node {n}: {device.key} showed {value}, which was never sent")
                device.seen = max(device.seen, value)
            elif http.sent:
                self.refusal("point reads", status, reply)

    async def register_devices(self, n):
        http = self.http(n)
        async for _ in self.turns(4.0):
            key = f"new-{next(self.numbers):06}"
            self.tried.add(key)
            status, reply = await http.request("POST", "/api/v1/orgs/-/devices", {"productKey": PRODUCT, "deviceKey": key})
            if status == 201:
                self.made[key] = reply["assetId"]
                self.count["devices registered"] += 1
            elif http.sent:
                self.refusal("registration", status, reply)
