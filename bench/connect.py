"""What logins cost: plain, over TLS 1.3 with the whole handshake and with a resumed session, with and without a
certificate of the client; and what an idle TLS connection holds beyond a plain one. Beside mosquitto in the same run."""
import json
import pathlib
import subprocess
import sys
import tempfile

import connections
from connections import start
from servers import Mosquitto, Orrery, table

LOGINS, THREADS, IDLE = 2_000, 8, 2_000


def run(options):
    rows, memory = [], []
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_client(pathlib.Path(folder))
        authority = pathlib.Path(folder) / "ca.pem"
        with Orrery("os", f"tls.client_authorities={authority}") as node:
            rows += logins(node, "orrery", certificate)
            for name, how in (("plain", ["--plain-port"]), ("TLS 1.3", []), ("TLS 1.3, certificates of clients", certificate)):
                node.restart()
                memory.append(connections.measure(node, f"{IDLE:,} {name}: orrery", lambda s, h=how: hold(s, h)))
            pki = node.folder / "data/pki"
            with Mosquitto() as peer:
                rows += [timed(peer, "mosquitto, plain", ["--plain-port"])]
                memory.append(connections.measure(peer, f"{IDLE:,} plain: mosquitto", lambda s: hold(s, ["--plain-port"])))
            with Mosquitto((pki / "ca.pem", pki / "server.pem", pki / "server.key")) as peer:
                rows += logins(peer, "mosquitto", None)
                memory.append(connections.measure(peer, f"{IDLE:,} TLS 1.3: mosquitto", lambda s: hold(s, [])))
    table(["logins one after the other on 8 connections", "logins", "CPU us a login", "logins/s of a core", "resumed"], rows)
    table(["idle connections", "connected", "bytes each", "CPU us a login"], memory)
    return {"rows": [dict(zip(("name", "logins", "login_us", "per_core", "resumed"), row)) for row in rows],
            "memory": [dict(zip(("name", "connected", "bytes", "login_us"), row)) for row in memory]}


def make_client(folder):
    """An authority and one certificate of it, for all devices. Gives what the load is told."""
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench", "-days", "2")
    openssl("req", *key, "-keyout", "client.key", "-out", "client.csr", "-subj", "/CN=client")
    openssl("x509", "-req", "-in", "client.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-out", "client.pem")
    return ["--certificate", folder / "client.pem", "--key", folder / "client.key"]


def logins(server, name, certificate):
    found = []
    if name == "orrery":
        found.append(timed(server, f"{name}, plain", ["--plain-port"]))
    found.append(timed(server, f"{name}, TLS 1.3", []))
    found.append(timed(server, f"{name}, TLS 1.3, resumed", ["--resume"]))
    if certificate:
        found.append(timed(server, f"{name}, TLS 1.3, certificates of clients", certificate))
        found.append(timed(server, f"{name}, TLS 1.3, certificates of clients, resumed", [*certificate, "--resume"]))
    return found


def load(server, *more):
    plain = "--plain-port" in more
    more = [one for one in more if one != "--plain-port"]
    return start(["/usr/bin/python3", __file__, "--port", server.port if plain else server.tls_port, "--devices", server.devices,
                  *(["--tls"] if not plain else []), *(["--unsigned"] if server.plain else []), *more])


def hold(server, how):
    return load(server, "--hold", *how)


def timed(server, name, how):
    process = load(server, *how)
    json.loads(process.stdout.readline())  # sessions are there
    cpu = server.cpu_seconds()
    process.stdin.write("go\n")
    process.stdin.flush()
    done = json.loads(process.stdout.readline())
    spent = server.cpu_seconds() - cpu
    process.stdin.close()
    process.wait(60)
    each = spent / done["logins"]
    return [name, done["logins"], each * 1e6, 1 / each, done["resumed"]]


def client():
    """The load, in a process of its own."""
    import argparse
    import concurrent.futures
    import hashlib
    import socket
    import ssl
    parser = argparse.ArgumentParser()
    for name in ("--port", "--devices", "--certificate", "--key"):
        parser.add_argument(name)
    for name in ("--tls", "--unsigned", "--resume", "--hold"):
        parser.add_argument(name, action="store_true")
    a = parser.parse_args()
    context = None
    if a.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if a.certificate:
            context.load_cert_chain(a.certificate, a.key)

    def log_in(line, session=None):
        product, device, secret = line.split()
        signed = hashlib.sha256(f"clientId{device}deviceKey{device}productKey{product}timestamp1{secret}".encode()).hexdigest()
        texts = [device] if a.unsigned else [f"{device}|securemode=2,signmethod=sha256,timestamp=1|", f"{device}&{product}", signed]
        body = b"\0\4MQTT\4" + (b"\2" if a.unsigned else b"\xc2") + b"\0\0" + b"".join(len(t).to_bytes(2, "big") + t.encode() for t in texts)
        size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 128, len(body) // 128])
        s = socket.create_connection(("127.0.0.1", int(a.port)), timeout=30)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            s = context.wrap_socket(s, session=session)
        s.sendall(b"\x10" + size + body)
        answer = s.recv(4)
        assert answer == b"\x20\2\0\0", answer
        return s

    lines = open(a.devices).read().splitlines()[:IDLE if a.hold else LOGINS]
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        if a.hold:
            held = list(pool.map(log_in, lines))
            print(json.dumps({"connected": len(held)}), flush=True)
            sys.stdin.read()
            return

        def once(line, session=None):
            s = log_in(line, session)
            kept, resumed = (s.session, s.session_reused) if context else (None, False)
            s.close()
            return kept, resumed

        sessions = [kept for kept, _ in pool.map(once, lines)] if a.resume else [None] * len(lines)
        print(json.dumps({}), flush=True)
        sys.stdin.readline()
        done = list(pool.map(once, lines, sessions))
        print(json.dumps({"logins": len(done), "resumed": sum(resumed for _, resumed in done)}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    client()
