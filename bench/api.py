"""Reading by the API: a device, its latest values, a page of a search, a page of history, at their most over 32 connections that stay
open (wrk), beside nginx that serves a file of the same size over as many. What counts is the CPU of the server for a million requests."""
import json
import os
import re
import subprocess
import time
import urllib.request

from servers import LOAD_CORE, Orrery, Server, load, table

FLEET, CONNECTIONS = 2_000, 32

SCRIPT = """
local paths = {}
for line in io.lines(os.getenv("BENCH_PATHS")) do paths[#paths + 1] = line end
local headers = {}
if os.getenv("BENCH_TOKEN") then headers["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN") end
math.randomseed(7)
request = function() return wrk.format("GET", paths[math.random(#paths)], headers) end
"""


class Nginx(Server):
    """Debian's nginx with one worker: files of given sizes."""
    name = "nginx"

    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes

    def start(self):
        port = 19_830 + os.getpid() % 1000
        self.url = f"http://127.0.0.1:{port}"
        root = self.folder / "root"
        root.mkdir()
        self.folder.chmod(0o755)
        for name, size in self.sizes.items():
            (root / f"{name}.json").write_text("x" * size)
        settings = self.folder / "nginx.conf"
        settings.write_text(f"daemon off; master_process off; worker_processes 1; error_log {self.folder}/errors; pid {self.folder}/pid;\n"
                            "events { worker_connections 1024; }\n"
                            "http { access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000; open_file_cache max=100; "
                            f"default_type application/json; server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n")
        self.spawn(["nginx", "-p", self.folder, "-c", settings])
        for _ in range(500):
            try:
                return urllib.request.urlopen(f"{self.url}/{next(iter(self.sizes))}.json", timeout=1).close()
            except OSError:
                time.sleep(0.01)
        raise RuntimeError((self.folder / "errors").read_text()[-2000:])


def asked(server, base, paths, seconds, token=""):
    """As fast as they are answered; figures of wrk and the server's CPU meanwhile."""
    (server.folder / "paths").write_text("\n".join(paths) + "\n")
    (server.folder / "ask.lua").write_text(SCRIPT)
    more = {"BENCH_PATHS": str(server.folder / "paths")} | ({"BENCH_TOKEN": token} if token else {})
    begin = server.cpu_seconds()
    out = subprocess.run(["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}", "--latency", "--timeout", "10",
                          "-s", str(server.folder / "ask.lua"), base], env=os.environ | more, capture_output=True, text=True, check=True).stdout
    cpu = server.cpu_seconds() - begin
    if "Non-2xx" in out or "Socket errors" in out:
        raise RuntimeError(f"{server.name}: {out}")
    count = int(re.search(r"(\d+) requests in", out)[1])
    units = {"us": 0.001, "ms": 1, "s": 1000}
    waits = {p: float(v) * units[u] for p, v, u in re.findall(r"^ +(50|99)%\s+([\d.]+)(us|ms|s)$", out, re.M)}
    return {"rate": float(re.search(r"Requests/sec: +([\d.]+)", out)[1]), "cpu_per_million": cpu / count * 1e6, "p50_ms": waits["50"], "p99_ms": waits["99"]}


def questions(ids):
    some = ids[:500]
    return {
        "a device": [f"/orgs/-/devices/{i}" for i in some],
        "latest values": [f"/orgs/-/devices/{i}/points/latest" for i in some],
        "a search by key": [f"/orgs/-/devices?limit=50&filter=deviceKey%3D%22d{n:05}%22" for n in range(500)],
        "a page of 50": ["/orgs/-/devices?limit=50&sort=deviceKey"],
        "history, 100 samples": [f"/orgs/-/devices/{i}/points/p0/history?limit=100" for i in some],
    }


def run(options):
    rows, sizes = [], {}
    with Orrery("os", devices=FLEET) as node:
        # Enough samples for each device that is asked, then a pause in which they leave the journal.
        load(node, connections=500, window=4, rate=5_000, seconds=max(options.seconds, 12))
        got = {}
        for name, paths in questions(node.ids).items():
            full = ["/api/v1" + p for p in paths]
            request = urllib.request.Request(node.api + paths[0], headers={"Authorization": f"Bearer {node.token}"})
            with urllib.request.urlopen(request, timeout=30) as reply:
                text = reply.read()
            items = json.loads(text).get("items")
            if items is not None and not items:
                raise RuntimeError(f"{name}: nothing was found")
            sizes[name] = len(text)
            got[name] = [asked(node, node.api.removesuffix("/api/v1"), full, options.seconds, node.token) for _ in range(options.repeat)]
    with Nginx({f"f{n}": size for n, size in enumerate(sizes.values())}) as peer:
        for n, (name, size) in enumerate(sizes.items()):
            files = min((asked(peer, peer.url, [f"/f{n}.json"], options.seconds) for _ in range(options.repeat)), key=lambda r: r["cpu_per_million"])
            ours = min(got[name], key=lambda r: r["cpu_per_million"])
            for who, one in (("nginx", files), ("orrery", ours)):
                rows.append([f"{name}, {size:,} bytes: {who}", one["rate"], one["cpu_per_million"], one["cpu_per_million"] / files["cpu_per_million"], one["p50_ms"], one["p99_ms"]])
    table(["reading by the API", "requests/s", "CPU s/million", "ratio", "p50 ms", "p99 ms"], rows)
    return {"rows": [dict(zip(("what", "rate", "cpu_per_million", "ratio", "p50_ms", "p99_ms"), row)) for row in rows]}
