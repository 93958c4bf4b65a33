"""The cluster under test: nodes of deploy/cluster on the server's core, etcd beside the load, devices by shard, and
devices that post one message after the other while something happens."""
import asyncio
import base64
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request

from servers import BIN, LOAD_CORE, ROOT, SERVER_CORE, TICKS, Registry

sys.path.insert(0, str(ROOT / "tests/e2e"))
os.environ.setdefault("ORRERY_BIN", str(BIN))
from cluster_kit import free_net, load_deploy  # noqa: E402
from mqtt_wire import CONNACK, PUBACK, PUBLISH, Packet, Who, numbered  # noqa: E402

MEMORY = pathlib.Path("/dev/shm")
START = 600  # seconds until a cluster is whole: with thousands of shards that takes minutes
MQTT = 11883


Cluster = load_deploy().Cluster


class Nodes(Cluster, Registry):
    """`started_first`: nodes that start at once, all unless given. Every process ends with this one, however it ends."""
    plain = False

    def __init__(self, nodes, factor, *settings, devices, started_first=None):
        self.net, self.holder = free_net()
        super().__init__(tempfile.mkdtemp(prefix="orrery-bench-"), nodes, 1, (
            f"cluster.replication_factor={factor}", "listeners.max_connections=19900", "listeners.login_timeout=60s",
            "login.flapping_logins=1000000", "log.level=warn", *settings), binaries=BIN, net=self.net)
        self.name = f"{nodes} node{'s' if nodes > 1 else ''}, factor {factor}"
        self.count, self.first = devices, started_first or nodes
        self.memory = None
        self.port = MQTT

    def __enter__(self):
        try:
            self.begin()
            if self.count:
                self.register()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.show_ends()
        try:
            self.down()
        finally:
            for process in self.started.values():
                if process.poll() is None:
                    process.kill()
                    process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.memory:
                shutil.rmtree(self.memory, ignore_errors=True)
            self.holder.close()

    def show_ends(self):
        for n in range(1, self.nodes + 1):
            log = self.folder / f"node-{n}.log"
            lines = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
            print("".join(f"{log.stem}: {line[:300]}\n" for line in lines), end="", file=sys.stderr)

    def spawn(self, name, command, prefix=()):
        """A node on the server's core. Each is a session of its own, so that the kernel (sched_autogroup) gives all of them
        the same share of it, however many threads they have."""
        core = SERVER_CORE if name.startswith("node") else LOAD_CORE
        return super().spawn(name, command, ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(core), *prefix])

    def begin(self):
        self.make_files()
        if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
            self.memory = tempfile.mkdtemp(prefix="orrery-bench-", dir=MEMORY)
            (self.folder / "etcd-1").symlink_to(self.memory)
        else:
            print("cluster: no /dev/shm here, so etcd's data are on the disk, and its fsync is in what follows")
        self.start_member(1)
        self.wait_member(1)
        begun = time.monotonic()
        for n in range(1, self.first + 1):
            self.start_node(n, wait=False)
        for n in range(1, self.first + 1):
            self.wait_ready(n)
        self.wait("the cluster has a user", self.password)
        self.api = self.api_of(1)
        self.whole_after = self.wait_whole() - begun

    def api_of(self, n):
        return f"http://{self.host(n)}:{self.ready(n)['ports']['api']}/api/v1"

    @staticmethod
    def wait(what, condition, limit=START, pause=0.02):
        """Waits until the condition is true; gives the time then."""
        until = time.monotonic() + limit
        while not condition():
            if time.monotonic() > until:
                raise RuntimeError(f"cluster: not within {limit} s: {what}")
            time.sleep(pause)
        return time.monotonic()

    def log_in(self):
        """The file with the password comes a moment before the user, and each failure counts: few tries with time between."""
        for left in (3, 2, 1, 0):
            time.sleep(1)
            try:
                return super().log_in()
            except urllib.error.HTTPError as refused:
                if refused.code not in (401, 503) or not left:
                    raise

    # ---- what the cluster has agreed on
    def keys(self, prefix):
        encode = lambda text: base64.b64encode(text.encode()).decode()
        prefix = f"/orrery/orrery/{prefix}/"
        request = urllib.request.Request(f"http://{self.etcd_host(1)}:2379/v3/kv/range", method="POST", data=json.dumps(
            {"key": encode(prefix), "range_end": encode(prefix[:-1] + "0")}).encode())
        with urllib.request.urlopen(request, timeout=10) as reply:
            found = json.load(reply).get("kvs", [])
        return {int(base64.b64decode(kv["key"]).decode().removeprefix(prefix)): json.loads(base64.b64decode(kv["value"])) for kv in found}

    def records(self):
        """Shard -> its record, with N in place of the number of node-N."""
        name = {number: int(node["name"].removeprefix("node-")) for number, node in self.keys("node").items()}
        known = lambda number: name.get(number, -number)  # of one that is not registered
        return {shard: {**record, "primary": known(record["primary"]) if record.get("primary") else None,
                        "preferred": known(record["preferred"]) if record.get("preferred") else None,
                        "inSync": [known(n) for n in record["inSync"]], "replicas": [known(n) for n in record["replicas"]]}
                for shard, record in self.keys("shard").items()}

    def is_whole(self):
        """Every node that runs is registered, every replica is in sync, and who is to lead leads."""
        records, up = self.records(), sum(self.pid(f"node-{n}") is not None for n in range(1, self.nodes + 1))
        return len(self.keys("node")) == up and len(records) == self.shards() + 1 and all(
            set(r["inSync"]) == set(r["replicas"]) and r["primary"] == r["preferred"] for r in records.values())

    def shards(self):
        return next((int(s.split("=")[1]) for s in self.settings if s.startswith("cluster.shard_count=")), 64)

    def wait_whole(self):
        return self.wait("every shard is whole", self.is_whole, pause=0.1)

    # ---- devices and where they connect
    def device_lines(self):
        """(shard, line of the file of devices) of each."""
        digits = "0123456789abcdefghjkmnpqrstvwxyz"
        shard_of = lambda id: (digits.index(id[0]) * 32 + digits.index(id[1])) * 32 + digits.index(id[2])
        return list(zip(map(shard_of, self.ids), (self.folder / "devices").read_text().splitlines()))

    def spread(self, where):
        """Each device gets the node that it connects to: `primary` of its shard, `other` than that, or `any`, in turn."""
        records = self.records()
        self.devices = self.folder / f"devices-{where}"
        with open(self.devices, "w") as out:
            for i, (shard, line) in enumerate(self.device_lines()):
                all_of = [n for n in range(1, self.nodes + 1) if where == "any" or (n == records[shard]["primary"]) == (where == "primary")]
                out.write(f"{line} {self.host(all_of[i % len(all_of)])}\n")

    def led_by(self, leader, most):
        """Devices whose shards that node leads, of as many shards as there are."""
        records = self.records()
        by_shard = {}
        for shard, line in self.device_lines():
            if records[shard]["primary"] == leader:
                by_shard.setdefault(shard, []).append(line)
        lines = [line for row in zip(*by_shard.values()) for line in row] or [line for lines in by_shard.values() for line in lines]
        if not lines:
            raise RuntimeError(f"cluster: node-{leader} leads no shard with devices")
        return lines[:most]

    # ---- figures
    def cpu_of(self, name):
        fields = pathlib.Path(f"/proc/{self.pid(name)}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def cpu_seconds(self):
        return sum(self.cpu_of(f"node-{n}") for n in range(1, self.nodes + 1) if self.pid(f"node-{n}"))

    def metric(self, name):
        """The sum over all nodes that run, of all its labels that begin so."""
        total = 0.0
        for n in range(1, self.nodes + 1):
            if self.pid(f"node-{n}") is None:
                continue
            with urllib.request.urlopen(f"http://{self.host(n)}:{self.ready(n)['ports']['admin']}/metrics", timeout=10) as reply:
                total += sum(float(line.rsplit(" ", 1)[1]) for line in reply.read().decode().splitlines() if line.startswith(name))
        return total


class Poster:
    """A device that posts, waits until that is acknowledged, rests and posts again. `answers`: (sent, acknowledged) of each."""
    rest = 0.02

    def __init__(self, line, host):
        self.who, self.host = Who(*line.split()[:3]), host
        self.answers, self.since = [], None

    async def connect(self):
        self.reader, self.writer = await asyncio.open_connection(self.host, MQTT)
        self.writer.write(self.who.login(timestamp=str(int(time.time() * 1000)), keep_alive=300))
        answer = await self.packet()
        if answer.kind != CONNACK or answer.body[1] != 0:
            raise RuntimeError(f"cluster: the login of {self.who.dk} was refused: {answer}")

    async def packet(self):
        first, size, shift = (await self.reader.readexactly(1))[0], 0, 0
        while True:
            byte = (await self.reader.readexactly(1))[0]
            size, shift = size | (byte & 127) << shift, shift + 7
            if byte < 128:
                return Packet(first, await self.reader.readexactly(size))

    async def run(self):
        number, at = 0, int(time.time() * 1000)
        while True:
            number += 1
            at = max(at + 1, int(time.time() * 1000))
            self.since = time.monotonic()
            self.writer.write(self.who.post({"p0": float(number)}, number % 65535 + 1, id=str(number), time=at))
            while True:
                got = await self.packet()
                if got.kind == PUBLISH and got.qos == 1:
                    self.writer.write(numbered(PUBACK, got.number))
                if got.kind == PUBACK:
                    break
            self.answers.append((self.since, time.monotonic()))
            await asyncio.sleep(self.rest)


def watch(posters, act, is_over, limit=60):
    """Lets devices post, does `act`, which must be quick, and goes on until `is_over()`, which may wait, has come back and each has an
    answer to what it sent after that. Gives when `act` began. Fails if a connection ends: nothing may happen to these devices."""
    async def go():
        await asyncio.gather(*(p.connect() for p in posters))
        tasks = [asyncio.create_task(p.run()) for p in posters]
        loop = asyncio.get_running_loop()

        async def until(condition, what):
            end = time.monotonic() + limit
            while not condition():
                for task in tasks:
                    if task.done():
                        raise RuntimeError(f"cluster: a device's connection ended: {task.exception()!r}")
                if time.monotonic() > end:
                    raise RuntimeError(f"cluster: not within {limit} s: {what}")
                await asyncio.sleep(0.01)

        try:
            await until(lambda: all(len(p.answers) > 10 for p in posters), "the first posts are acknowledged")
            at = time.monotonic()
            act()
            over = asyncio.ensure_future(loop.run_in_executor(None, is_over))
            await until(over.done, "what was begun is over")
            over.result()
            then = time.monotonic()
            await until(lambda: all(p.answers and p.answers[-1][0] > then for p in posters), "every device is answered again")
            return at
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for p in posters:
                p.writer.transport.abort()
    return asyncio.run(go())


def back_after(posters, at):
    """Seconds from `at` until every device had an answer to something that it sent after that, and until half of them had."""
    times = sorted(next(answered for sent, answered in p.answers if sent >= at) - at for p in posters)
    return times[-1], times[len(times) // 2]


def longest(posters, at):
    """Seconds of the slowest answer to anything that was sent or waited for after `at`."""
    return max(answered - sent for p in posters for sent, answered in p.answers if answered >= at)
