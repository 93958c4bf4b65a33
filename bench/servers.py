"""The servers under test, each on one core, and the load on the other."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"
SERVER_CORE, LOAD_CORE = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")
DEVICES = 19_000

MODEL = {
    "format": "tm/1", "id": "bench", "name": {"default": "Bench"}, "validate": "strict",
    "measurePoints": [{"id": f"p{i}", "name": {"default": f"Point {i}"}, "signal": "AI",
                       "type": {"t": "double", "min": -1e9, "max": 1e9}} for i in range(10)],
}


def cpu_seconds(process):
    """User and system time of a process, by /proc."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise RuntimeError("no Rss")


class Server:
    """A process on the server's core, with its CPU time and memory."""
    process = None

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="orrery-bench-"))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def spawn(self, command):
        out = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(["taskset", "-c", str(SERVER_CORE)] + [str(c) for c in command], stdout=out, stderr=out)

    def cpu_seconds(self):
        return cpu_seconds(self.process)

    def memory_kib(self):
        return resident_kib(self.process.pid)


class Mosquitto(Server):
    """Debian's mosquitto: the peer that every figure is a ratio to."""
    name, plain = "mosquitto", True

    def __init__(self, tls=None):
        super().__init__()
        self.tls = tls  # (ca, certificate, key)

    def start(self):
        self.port = self.tls_port = 18_830 + os.getpid() % 1000
        settings = self.folder / "mosquitto.conf"
        tls = "".join(f"{k} {v}\n" for k, v in zip(("cafile", "certfile", "keyfile"), self.tls or ()))
        settings.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
                            f"set_tcp_nodelay true\nmax_inflight_messages 0\nlog_type error\nuser root\n{tls}")
        self.spawn(["mosquitto", "-c", settings])
        self.devices = self.folder / "devices"
        self.devices.write_text("".join(f"bench d{i:05} none\n" for i in range(DEVICES)))
        time.sleep(1)


class Registry:
    """Registers devices of one product by the API at `api`, as the first administrator."""

    def call(self, method, path, body=None, headers=()):
        request = urllib.request.Request(self.api + path, method=method, data=json.dumps(body or {}).encode(),
                                         headers={"Content-Type": "application/json", **dict(headers)})
        if hasattr(self, "token"):
            request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=60) as reply:
            self.etag = reply.headers.get("ETag")
            return json.loads(reply.read() or b"{}")

    def log_in(self):
        self.token = self.call("POST", "/auth/login", {"user": "admin", "password": self.password()})["access"]

    def register(self):
        """Makes the model, the product and `count` devices: their names and secrets are in the file `devices`, their ids in `ids`."""
        self.log_in()
        self.call("POST", "/orgs/-/models", MODEL)
        self.call("POST", "/orgs/-/models/bench:publish", {}, {"If-Match": self.etag} if self.etag else {})
        product = self.call("POST", "/orgs/-/products", {"name": "bench", "modelId": "bench"})["productKey"]
        self.devices, self.ids = self.folder / "devices", []
        with open(self.devices, "w") as out:
            for first in range(0, self.count, 1000):
                items = [{"productKey": product, "deviceKey": f"d{i:05}"} for i in range(first, min(first + 1000, self.count))]
                for one in self.call("POST", "/orgs/-/devices:batch", {"items": items})["results"]:
                    made = one.get("device", one)
                    self.ids.append(made["assetId"])
                    out.write(f"{product} {made['deviceKey']} {made['deviceSecret']}\n")


class Orrery(Server, Registry):
    """A node with registered devices of one product."""
    plain = False

    def __init__(self, durability, *settings, devices=DEVICES):
        super().__init__()
        self.durability, self.settings, self.count = durability, settings, devices
        self.name = f"orrery {durability}"

    def start(self):
        self.run()
        self.register()

    def run(self):
        """Starts the program; gives the seconds until it is ready."""
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        sets = [s for n in ("mqtt", "mqtts", "http", "https", "api", "apis", "admin") for s in ("--set", f"listeners.{n}.port=0")]
        sets += [s for one in (f"storage.durability={self.durability}", "listeners.max_connections=19900",
                               "listeners.login_timeout=60s", "login.flapping_logins=1000000", "log.level=warn", *self.settings) for s in ("--set", one)]
        begin = time.monotonic()
        self.spawn([BIN / "orreryd", "--data", self.folder / "data", "--ready-file", ready] + sets)
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > begin + 60:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.01)
        took = time.monotonic() - begin
        ports = json.loads(ready.read_text())["ports"]
        self.port, self.tls_port, self.admin = ports["mqtt"], ports["mqtts"], ports["admin"]
        self.api = f"http://127.0.0.1:{ports['api']}/api/v1"
        return took

    def restart(self):
        self.stop()
        return self.run()

    def password(self):
        return (self.folder / "data/admin-password").read_text().strip()

    def metrics(self):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10).read().decode()
        return {n: float(v) for n, v in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}


def load(server, **options):
    """Runs orrery-load; gives its figures and the server's CPU seconds while it measured."""
    return measured(server, [BIN / "orrery-load", "--port", server.port, "--devices", server.devices, *words(options)] +
                    (["--plain"] if server.plain else []))


def words(options):
    return [w for k, v in options.items() for w in (f"--{k.replace('_', '-')}", v)]


def measured(server, command):
    """Runs a load that says on standard error when it begins and ends to measure, and prints its figures. Adds the CPU
    seconds of the server meanwhile, and the share of its core that the load had: near 1 it is the load that was measured."""
    process = subprocess.Popen(["taskset", "-c", str(LOAD_CORE)] + [str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cpu, own = {}, {}
    for line in process.stderr:
        if line.startswith("measur"):
            cpu[line.strip()], own[line.strip()] = server.cpu_seconds(), cpu_seconds(process)
        else:
            print(line, end="")
    out = process.stdout.read()
    if process.wait() != 0:
        raise RuntimeError(f"the load on {server.name} failed: {out}")
    figures = json.loads(out)
    figures["cpu_seconds"] = cpu["measured"] - cpu["measuring"]
    figures["load_share"] = (own["measured"] - own["measuring"]) / figures["seconds"]
    figures["cpu_per_million"] = figures["cpu_seconds"] / max(figures["acknowledged"], 1) * 1e6
    return figures


def table(head, rows):
    """Prints columns, the first to the left, all others to the right."""
    cells = [head] + [[c if isinstance(c, str) else f"{c:,.2f}" if isinstance(c, float) and c < 100 else f"{c:,.0f}" for c in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        print("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))))
