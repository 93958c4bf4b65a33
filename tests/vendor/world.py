"""What the drivers of both SDKs need: a node, products and devices of every kind on it, a connection that can be cut, and the
table of what was seen."""
import contextlib
import hashlib
import pathlib
import socket
import sys
import threading
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from orrery import DEADLINE, Node, wait_for  # noqa: E402
from tls_test import openssl  # noqa: E402

FIRMWARE = b"firmware of the SDKs' drivers"

MODEL = {
    "format": "tm/1", "id": "Probe", "name": "Probe",
    "attributes": [{"id": "name", "type": {"t": "string"}}, {"id": "age", "type": {"t": "int"}}],
    "measurePoints": [
        {"id": "level", "writable": True, "type": {"t": "int"}},
        {"id": "note", "type": {"t": "string", "maxLength": 65536}},
        {"id": "flow", "hasQuality": True, "type": {"t": "double"}}],
    "services": [{"id": "multiply", "input": [{"id": "left", "type": {"t": "double"}}, {"id": "right", "type": {"t": "double"}}],
                  "output": [{"id": "product", "type": {"t": "double"}}]},
                 {"id": "unheard", "input": [], "output": []},
                 {"id": "breaks", "input": [], "output": []}],
    "events": [{"id": "alarm", "level": "warning", "output": [{"id": "low", "type": {"t": "int"}}, {"id": "high", "type": {"t": "int"}}]}],
}

# What bytes mean: 1, id, level posts a point; 2, 0 answers the command that is under way; 3, id, level is a channel's.
SCRIPT = """
function raw_to_json(bytes)
  local kind, number, rest = string.byte(bytes, 1), string.byte(bytes, 2), string.byte(bytes, 3)
  if kind == 1 then
    return {id = tostring(number), method = "thing.measurepoint.post", params = {measurepoints = {level = rest}}}
  elseif kind == 2 then
    return {code = 200, data = {}}
  end
  return {id = tostring(number), method = "integration.measurepoint.post",
          params = {{deviceKey = "raw", measurepoints = {level = rest}}}}
end

function json_to_raw(message)
  return string.pack(">B I2", 2, message.code or 0) .. message.method
end
"""


class World:
    def __init__(self):
        self.node = Node(settings=["login.flapping_logins=120"]).start()  # what a node has by itself
        self.api = self.node.api()
        self.api.post("~/models", MODEL)
        self.api.post("~/models/Probe:publish", {"note": "for the SDKs"})
        signs = ["sha256", "sha1", "md5"]
        self.probes = self.product("Probe", signMethods=signs)
        self.hubs = self.product("Hub", nodeType="gateway", signMethods=signs)
        self.leaves = self.product("Leaf", signMethods=signs)
        self.young = self.product("Young", dynamicActivation=True)
        self.proven = self.product("Proven", auth="certificate")
        self.proven_hubs = self.product("Proven hub", auth="certificate", nodeType="gateway")
        self.raw = self.product("Raw", dataFormat="raw")
        self.api.request("PUT", f"~/products/{self.raw['productKey']}/decoder", json={"script": SCRIPT}, headers={"If-Match": "*"})

    def product(self, name, **fields):
        return self.api.post("~/products", dict({"name": name, "modelId": "Probe"}, **fields))

    def device(self, product, key):
        return self.api.post("~/devices", {"productKey": product["productKey"], "deviceKey": key})

    def bind(self, hub, leaf):
        self.api.post(f"~/devices/{hub['assetId']}/subDevices:bind", {"devices": [{k: leaf[k] for k in ("productKey", "deviceKey")}]})

    def certified(self, product, key):
        """A device that proves itself by a certificate; its files: certificate and key."""
        made = self.device(product, key)
        folder = self.node.folder
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{key}.key", "-out", f"{key}.csr", "-subj", f"/CN={key}", folder=folder)
        issued = self.api.post(f"~/devices/{made['assetId']}/certificates", {"csr": (folder / f"{key}.csr").read_text()})
        (folder / f"{key}.pem").write_text(issued["certificate"] + issued.get("chain", ""))
        return made, str(folder / f"{key}.pem"), str(folder / f"{key}.key")

    def bundled(self, key, password):
        """Certificate and key of such a device in one file."""
        path = self.node.folder / f"{key}.p12"
        openssl("pkcs12", "-export", "-in", f"{key}.pem", "-inkey", f"{key}.key", "-out", str(path), "-passout", f"pass:{password}", folder=self.node.folder)
        return str(path)

    def trusts_devices(self):
        """The authority that issued them is trusted a moment later."""
        def asked():
            said = openssl("s_client", "-connect", f"localhost:{self.node.ports['mqtts']}", "-CAfile", self.node.ca, "-tls1_2", stdin=b"", fails=True)
            return "Acceptable client certificate CA names" in said
        wait_for(asked, "devices are asked for their certificates")

    def url(self, scheme="tcp", port=None):
        return f"{scheme}://localhost:{port or self.node.ports['mqtts' if scheme == 'ssl' else 'mqtt']}"

    def status(self, made):
        return self.api.get(f"~/devices/{made['assetId']}/status")["status"]

    def latest(self, made):
        return {i["point"]: i["value"] for i in self.api.get(f"~/devices/{made['assetId']}/points/latest")["items"]}

    def invoke(self, made, service, **given):
        return self.command(made, f"services/{service}:invoke", {"input": given})

    def begin(self, made, service, **given):
        """A call that waits for the device; its id."""
        body = {"input": given, "pendingTtl": 60}
        return self.api.request("POST", f"~/devices/{made['assetId']}/services/{service}:invoke", expect=202, json=body).json()["id"]

    def ended(self, id):
        """How such a call ended."""
        done = wait_for(lambda: (lambda c: c if c["state"] not in ("queued", "sent") else None)(self.api.get(f"~/commands/{id}")), "the command ends")
        return {k: done.get(k) for k in ("state", "code", "output")}

    def set_point(self, made, point, value):
        return self.command(made, f"points/{point}:set", {"value": value})

    def read_points(self, made, *points):
        return self.command(made, "points:read", {"points": list(points)})

    def command(self, made, path, body):
        done = self.api.post(f"~/devices/{made['assetId']}/{path}", body)
        return {k: done.get(k) for k in ("state", "code", "output")}

    def switch(self, made, verb):
        self.api.post(f"~/devices/{made['assetId']}:{verb}", {})

    def delete(self, made):
        self.api.request("DELETE", f"~/devices/{made['assetId']}", expect=204)

    def offer(self, product, key, version):
        firmware = self.api.post("~/firmwares", {
            "productKey": product["productKey"], "name": f"to {version}", "version": version, "signMethod": "md5",
            "sign": hashlib.md5(FIRMWARE).hexdigest(), "url": "http://127.0.0.1:8080/f.bin", "size": len(FIRMWARE)})
        return self.api.post("~/otaJobs", {"productKey": product["productKey"], "firmware": firmware["id"], "devices": [key]})

    def task(self, job):
        return self.api.get(f"~/otaJobs/{job['id']}/tasks")["items"][0]["state"]

    def close(self):
        code = self.node.stop()
        self.node.close()
        assert code == 0, f"the node ended with {code}"


class Cable:
    """A way to the node's plain port that can be cut."""

    def __init__(self, node):
        self.to = node.ports["mqtt"]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.ends = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
                self.ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=pump, args=(one, other), daemon=True).start()

    def cut(self):
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.ends = []

    def close(self):
        self.listener.close()
        self.cut()


def pump(one, other):
    with contextlib.suppress(OSError):
        while got := one.recv(65536):
            other.sendall(got)
        other.shutdown(socket.SHUT_RDWR)


class Table:
    """What was called, and what came of it."""

    def __init__(self):
        self.rows, self.failed = 0, 0

    def row(self, call, seen, right):
        self.rows += 1
        self.failed += not right
        print(f"{'ok  ' if right else 'FAIL'} {call}: {seen}", flush=True)

    def see(self, call, action, right=lambda seen: bool(seen)):
        """Does it, and holds what it gives against `right`: a value or a question. Gives what it gave."""
        try:
            seen = action()
            if callable(right):
                self.row(call, shown(seen), right(seen))
            else:
                self.row(call, shown(seen) if seen == right else f"{shown(seen)}, not {right}", seen == right)
            return seen
        except Exception as error:  # whatever an SDK throws is a row of the table
            self.row(call, f"{type(error).__name__} {error} {traceback.format_exc(limit=-2)}", False)
            return None

    def end(self):
        print(f"{self.rows - self.failed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def shown(seen):
    text = str(seen)
    return text if len(text) < 160 else text[:157] + "..."


__all__ = ["Cable", "DEADLINE", "Table", "World", "wait_for"]
