"""A cluster in a small world of its own: each process in its own network namespace, all joined by a router that can drop what one
says to another; each node behind fault_shim.c, which makes its disk slow and its clock wrong. The whole world is in namespaces of
the test's process (`enter`), so that nothing of it is left when that process has ended, however it ended."""
import asyncio
import base64
import collections
import importlib.machinery
import importlib.util
import json
import mmap
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HERE = pathlib.Path(__file__).resolve().parent
DAY = 86_400 * 10**9  # in nanoseconds


def load(path, name):
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def enter():
    """Goes on in namespaces of its own: this process is run again in them, and they end with it."""
    if os.environ.get("ORRERY_FAULT_WORLD") == "inside":
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        os.makedirs("/run/netns", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", "/run/netns"], check=True)
        pathlib.Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
        return
    if os.geteuid() != 0:
        sys.exit("the fault test makes network namespaces: it must be run as root")
    os.environ["ORRERY_FAULT_WORLD"] = "inside"
    os.execvp("unshare", ["unshare", "--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", sys.executable, "-B",
                          *sys.argv])


cluster_program = load(ROOT / "deploy/cluster", "cluster_program")


class Steering:
    """The file through which fault_shim.c is told what to do."""

    def __init__(self, path):
        path.write_bytes(bytes(24))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 24)

    def set(self, ahead_ns=0, sync_us=0, write_us=0):
        self.memory[:] = struct.pack("<qqq", ahead_ns, sync_us, write_us)


class World(cluster_program.Cluster):
    """Names of processes: node-1, etcd-1."""

    def __init__(self, folder, settings, binaries=None):
        super().__init__(folder, settings=("login.flapping_logins=1000000", *settings), binaries=binaries)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.shim = self.folder / "shim.so"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", str(self.shim), str(HERE / "fault_shim.c")], check=True)
        self.steering = {}
        self.wanted = set()  # names of the processes that must be there
        self.blocked = collections.Counter()  # (from, to): how many faults want it
        for n in range(1, self.nodes + 1):
            self.add_network(f"node-{n}")
            self.steering[n] = Steering(self.folder / f"node-{n}.faults")
        for n in range(1, self.members + 1):
            self.add_network(f"etcd-{n}")

    # ---- networks
    @staticmethod
    def subnet(name):
        kind, _, number = name.partition("-")
        return f"10.88.{(0 if kind == 'node' else 100) + int(number)}"

    def address(self, name):
        return self.subnet(name) + ".2"

    def host(self, n):
        return self.address(f"node-{n}")

    def etcd_host(self, n):
        return self.address(f"etcd-{n}")

    def ip(self, *commands):
        done = subprocess.run(["ip", "-batch", "-"], input="\n".join(commands) + "\n", text=True, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(f"ip: {commands}: {done.stderr}")

    def add_network(self, name):
        net = self.subnet(name)
        self.ip(f"netns add {name}", f"link add v-{name} type veth peer name eth0 netns {name}",
                f"addr add {net}.1/24 dev v-{name}", f"link set v-{name} up")
        subprocess.run(["ip", "-n", name, "-batch", "-"], check=True, text=True,
                       input=f"link set lo up\naddr add {net}.2/24 dev eth0\nlink set eth0 up\nroute add default via {net}.1\n")

    def block(self, pairs):
        """Drops what the first of a pair says to the second; both are names of processes. The pairs as unblock() wants them: two
        faults at once may have some in common."""
        fresh = [pair for pair in pairs if not self.blocked[pair]]
        self.blocked.update(pairs)
        self.rules("add", fresh)
        return pairs

    def unblock(self, pairs):
        self.blocked.subtract(pairs)
        self.rules("del", [pair for pair in pairs if not self.blocked[pair]])

    def rules(self, verb, pairs):
        if pairs:
            self.ip(*(f"rule {verb} from {self.address(a)} to {self.address(b)} blackhole pref 100" for a, b in pairs))

    # ---- processes
    def make_files(self):
        """The certificates are two days old: a clock may be behind."""
        clock = Steering(self.folder / "openssl.faults")
        clock.set(ahead_ns=-2 * DAY)
        kept = dict(os.environ)
        os.environ.update(LD_PRELOAD=str(self.shim), ORRERY_FAULTS=str(self.folder / "openssl.faults"))
        try:
            super().make_files()
        finally:
            os.environ.clear()
            os.environ.update(kept)

    def spawn(self, name, command, prefix=()):
        environment = dict(os.environ)
        if name.startswith("node"):
            environment.update(LD_PRELOAD=str(self.shim), ORRERY_FAULTS=str(self.folder / f"{name}.faults"))
        log = open(self.folder / f"{name}.log", "ab")
        place = self.folder / f"{name}.cores"
        place.mkdir(exist_ok=True)
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{name}", "--", *command], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, env=environment, start_new_session=True, cwd=place)
        log.close()
        (self.folder / f"{name}.pid").write_text(str(process.pid))
        self.started[name] = process
        self.wanted.add(name)
        return process

    def signal(self, name, number):
        """False: there is no such process any more."""
        process = self.started[name]
        if process.poll() is not None:
            return False
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.wanted.discard(name)
        process.send_signal(number)
        if number == signal.SIGKILL:
            process.wait()
        return True

    def start(self, name):
        kind, _, number = name.partition("-")
        if self.started[name].poll() is None:
            return
        if kind == "node":
            self.start_node(int(number), wait=False)
        else:
            self.start_member(int(number))

    def start_member(self, n):
        process = super().start_member(n)
        return process

    def fallen(self):
        """Names of processes that ended and should not have, with their exit codes."""
        return [(name, self.started[name].returncode) for name in sorted(self.wanted) if self.started[name].poll() is not None]

    def traces(self):
        """Where processes crashed, if there is a debugger to say so."""
        found = []
        for core in sorted(self.folder.glob("*.cores/core*")) if shutil.which("gdb") else []:
            done = subprocess.run(["gdb", "-batch", "-ex", "bt 16", str(self.binaries / "orreryd"), str(core)], capture_output=True, text=True)
            found.append(f"{core}:\n" + "\n".join(line[:240] for line in done.stdout.splitlines() if line.startswith(("#", "Program"))))
        return found

    def is_ready(self, n):
        return self.started[f"node-{n}"].poll() is None and self.ready_file(n).exists()

    # ---- what the cluster has agreed on
    async def etcd(self, path, body, members=None):
        """Asks the first member that answers; None: nobody does."""
        for n in members or range(1, self.members + 1):
            if self.started[f"etcd-{n}"].poll() is not None:
                continue
            status, reply = await Http(self.etcd_host(n), 2379).once("POST", "/v3/" + path, body, timeout=2)
            if status == 200:
                return reply
        return None

    async def keys(self, prefix):
        """Values below a prefix of the cluster by what follows it; None: etcd does not answer."""
        begin = f"/orrery/orrery/{prefix}".encode()
        end = begin[:-1] + bytes([begin[-1] + 1])
        got = await self.etcd("kv/range", {"key": encode(begin), "range_end": encode(end)})
        if got is None:
            return None
        return {base64.b64decode(kv["key"])[len(begin):].decode(): base64.b64decode(kv["value"]).decode() for kv in got.get("kvs", [])}

    async def records(self):
        shards, nodes = await self.keys("shard/"), await self.keys("node/")
        if shards is None or nodes is None:
            return None
        return {int(s): json.loads(r) for s, r in shards.items()}, {int(n): json.loads(v)["name"] for n, v in nodes.items()}

    async def number_of(self, n):
        """The node's number at the coordinator; None: etcd does not answer."""
        numbers = await self.keys("number/")
        return numbers and int(numbers[f"node-{n}"])

    async def order(self, n, what):
        """An operator's word on a node; None takes it back. None, if etcd does not answer."""
        number = await self.number_of(n)
        if number is None:
            return None
        key = encode(f"/orrery/orrery/order/{number}".encode())
        if what is None:
            return await self.etcd("kv/deleterange", {"key": key})
        return await self.etcd("kv/put", {"key": key, "value": encode(json.dumps(what).encode())})

    async def leader(self):
        """Number of the etcd member that leads."""
        for n in range(1, self.members + 1):
            if self.started[f"etcd-{n}"].poll() is not None:
                continue
            status, reply = await Http(self.etcd_host(n), 2379).once("POST", "/v3/maintenance/status", {}, timeout=2)
            if status == 200 and reply.get("leader") == reply["header"]["member_id"]:
                return n
        return None

    async def whole(self, factor):
        """None if every shard has all its copies in sync and a primary that is there; else what is missing, for people."""
        for n in range(1, self.nodes + 1):
            if not self.is_ready(n):
                return f"node {n} is not ready"
        found = await self.records()
        if found is None:
            return "etcd does not answer"
        shards, nodes = found
        if len(nodes) != self.nodes:
            return f"registered are {sorted(nodes.values())}"
        lacking = {s: r for s, r in shards.items() if r["primary"] not in nodes or sorted(r["inSync"]) != sorted(r["replicas"]) or
                   len(r["inSync"]) != (3 if s == 32767 else factor) or r.get("preferred", r["primary"]) != r["primary"]}
        if len(shards) != 65 or lacking:
            return f"of {len(shards)} shards {len(lacking)} lack something, as {next(iter(lacking.items()), None)}"
        return None


def encode(raw):
    return base64.b64encode(raw).decode()


class Http:
    """One connection for requests, made again when it broke. A status of None: no answer, and `sent` says whether the request
    may have arrived."""

    def __init__(self, host, port, headers=()):
        self.host, self.port, self.headers = host, port, dict(headers)
        self.reader = self.writer = None
        self.sent = False

    async def once(self, *args, **options):
        try:
            return await self.request(*args, **options)
        finally:
            self.close()

    async def request(self, method, path, body=None, timeout=5.0):
        self.sent = False
        try:
            return await asyncio.wait_for(self.exchange(method, path, body), timeout)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError):
            self.close()
            return None, None

    async def exchange(self, method, path, body):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        payload = b"" if body is None else json.dumps(body).encode()
        head = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Content-Length: {len(payload)}"]
        if body is not None:
            head.append("Content-Type: application/json")
        head += [f"{k}: {v}" for k, v in self.headers.items()]
        self.sent = True
        self.writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + payload)
        await self.writer.drain()
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
        if fields.get("transfer-encoding", "").lower() == "chunked":
            content = b""
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                content += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readuntil(b"\r\n")
        else:
            content = await self.reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection", "").lower() == "close":
            self.close()
        return int(lines[0].split()[1]), json.loads(content) if content else None

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


async def until(condition, what, limit):
    """Waits until the coroutine function gives something that is true and gives that; fails with `what` after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        got = await condition()
        if got:
            return got
        if time.monotonic() > end:
            raise TimeoutError(f"not within {limit} s: {what() if callable(what) else what}")
        await asyncio.sleep(0.1)
