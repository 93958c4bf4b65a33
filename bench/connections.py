"""What a connected and silent device costs: memory of the server above the kernel's own, and CPU of
a login; plain and over TLS. Nodes are restarted after the registrations, so that memory which those
left free is not what the connections use."""
import asyncio
import json
import ssl
import subprocess
import time

from servers import BIN, DEVICES, LOAD_CORE, Mosquitto, Orrery, table

TLS_CONNECTIONS, CONNECTING = 2_000, 50


def run(options):
    rows = []
    with Orrery("os") as node:
        node.restart()
        pki = node.folder / "data/pki"
        tls = (pki / "ca.pem", pki / "server.pem", pki / "server.key")
        rows.append(measure(node, f"{DEVICES:,} plain: {node.name}", plain_logins))
        node.restart()
        rows.append(measure(node, f"{TLS_CONNECTIONS:,} TLS: {node.name}", tls_logins))
        with Mosquitto() as peer:
            rows.append(measure(peer, f"{DEVICES:,} plain: mosquitto", plain_logins))
        with Mosquitto(tls) as peer:
            rows.append(measure(peer, f"{TLS_CONNECTIONS:,} TLS: mosquitto", tls_logins))
    table(["idle connections", "connected", "bytes each", "CPU us a login"], rows)
    return {"rows": [dict(zip(("name", "connected", "bytes", "login_us"), row)) for row in rows]}


def measure(server, name, log_in):
    settle(server)
    before, cpu = server.memory_kib(), server.cpu_seconds()
    process = log_in(server)
    connected = json.loads(process.stdout.readline())["connected"]
    spent = server.cpu_seconds() - cpu
    settle(server)
    after = server.memory_kib()
    process.stdin.close()
    process.wait(60)
    return [name, connected, (after - before) * 1024 / connected, spent / connected * 1e6]


def start(command):
    return subprocess.Popen(["taskset", "-c", str(LOAD_CORE)] + [str(c) for c in command], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def plain_logins(server):
    return start([BIN / "orrery-load", "--port", server.port, "--devices", server.devices, "--hold"] + (["--plain"] if server.plain else []))


def tls_logins(server):
    return start(["/usr/bin/python3", __file__, server.tls_port, server.devices, int(server.plain)])


def settle(server):
    """Waits until what idles has left memory: the resident set rests for five seconds."""
    last, since = server.memory_kib(), time.monotonic()
    while time.monotonic() - since < 5:
        time.sleep(0.5)
        now = server.memory_kib()
        if abs(now - last) > 256:
            last, since = now, time.monotonic()


async def hold_tls(port, devices, plain):
    """Logs in over TLS 1.3, as many devices at a time as the plain load, and holds the connections until
    its input ends."""
    import hashlib
    import sys
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    held = []
    turn = asyncio.Semaphore(CONNECTING)

    async def log_in(product, device, secret):
        async with turn:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            signed = hashlib.sha256(f"clientId{device}deviceKey{device}productKey{product}timestamp1{secret}".encode()).hexdigest()
            texts = [device] if plain else [f"{device}|securemode=2,signmethod=sha256,timestamp=1|", f"{device}&{product}", signed]
            body = b"\0\4MQTT\4" + (b"\2" if plain else b"\xc2") + b"\0\0" + b"".join(len(t).to_bytes(2, "big") + t.encode() for t in texts)
            size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 128, len(body) // 128])
            writer.write(b"\x10" + size + body)
            answer = await reader.readexactly(4)
            assert answer == b"\x20\2\0\0", answer
            held.append((reader, writer))

    await asyncio.gather(*(log_in(*line.split()) for line in open(devices).read().splitlines()[:TLS_CONNECTIONS]))
    print(json.dumps({"connected": len(held)}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    import sys
    asyncio.run(hold_tls(int(sys.argv[1]), sys.argv[2], sys.argv[3] == "1"))
