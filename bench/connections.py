"""What a connected and silent device costs: memory of the server above the kernel's own, and CPU of
a login."""
import json
import subprocess
import time

from servers import BIN, DEVICES, LOAD_CORE, Mosquitto, Orrery, table


def run(options):
    rows = []
    for make in (Mosquitto, lambda: Orrery("os", "entities.idle_timeout=5s")):
        with make() as server:
            settle(server)
            before, cpu = server.memory_kib(), server.cpu_seconds()
            process = subprocess.Popen(
                ["taskset", "-c", str(LOAD_CORE), str(BIN / "orrery-load"), "--port", str(server.port), "--devices", str(server.devices),
                 "--hold"] + (["--plain"] if server.plain else []), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            connected = json.loads(process.stdout.readline())["connected"]
            spent = server.cpu_seconds() - cpu
            settle(server)
            after = server.memory_kib()
            process.stdin.close()
            process.wait(60)
            rows.append([server.name, connected, (after - before) * 1024 / connected, spent / connected * 1e6])
    table([f"connections ({DEVICES:,} idle)", "connected", "bytes each", "CPU us a login"], rows)
    return {"rows": [dict(zip(("name", "connected", "bytes", "login_us"), row)) for row in rows]}


def settle(server):
    """Waits until what idles has left memory: the resident set rests for five seconds."""
    last, since = server.memory_kib(), time.monotonic()
    while time.monotonic() - since < 5:
        time.sleep(0.5)
        now = server.memory_kib()
        if abs(now - last) > 256:
            last, since = now, time.monotonic()
