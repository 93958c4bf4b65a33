"""Runs a vendor's client against a node: makes what it needs, does what it asks for by the API, and tells what it found."""
import hashlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../e2e"))

from orrery import Node  # noqa: E402

MODEL = {
    "format": "tm/1", "id": "Vendor", "name": "Vendor",
    "attributes": [{"id": "size", "type": {"t": "int"}}, {"id": "name", "type": {"t": "string"}}],
    "measurePoints": [{"id": "count", "type": {"t": "int"}}, {"id": "setpoint", "writable": True, "type": {"t": "double"}},
                      {"id": "measured", "hasQuality": True, "type": {"t": "double"}}, {"id": "switch", "type": {"t": "bool"}},
                      {"id": "list", "type": {"t": "array", "items": {"t": "double"}}}],
    "services": [{"id": "multiply", "input": [{"id": "left", "type": {"t": "double"}}, {"id": "right", "type": {"t": "double"}}],
                  "output": [{"id": "product", "type": {"t": "double"}}]}],
    "events": [{"id": "Power", "level": "info", "output": [{"id": "value", "type": {"t": "double"}}]}],
}
# What the device "raw" says is 1 and a number of 16 bits, what it hears 2 and a code.
SCRIPT = """
function raw_to_json(bytes)
  return {id = "1", method = "thing.measurepoint.post", params = {measurepoints = {count = string.unpack(">I2", bytes, 2)}}}
end
function json_to_raw(message)
  return string.pack(">B I2", 2, message.code)
end
"""


class Deeds:
    def __init__(self, node):
        self.node, self.api = node, node.api()
        self.api.post("~/models", MODEL)
        self.api.post("~/models/Vendor:publish", {"note": "vendor"})
        signs = ["sha256", "sha1", "md5"]
        self.product = self.api.post("~/products", {"name": "Vendor", "modelId": "Vendor", "dynamicActivation": True, "signMethods": signs})
        self.hub = self.api.post("~/products", {"name": "Hub", "modelId": "Vendor", "nodeType": "gateway", "signMethods": signs})
        self.pk = self.product["productKey"]
        self.device, _ = self.make(self.pk, "dev"), self.make(self.pk, "new")
        self.gateway = self.make(self.hub["productKey"], "hub")
        self.raw = self.api.post("~/products", {"name": "Raw", "modelId": "Vendor", "dataFormat": "raw"})["productKey"]
        self.api.request("PUT", f"~/products/{self.raw}/decoder", json={"script": SCRIPT}, headers={"If-Match": "*"})
        self.bytes = self.make(self.raw, "raw")

    def make(self, pk, key):
        return self.api.post("~/devices", {"productKey": pk, "deviceKey": key})

    def given(self):
        return {"product": self.pk, "productSecret": self.product["productSecret"], "deviceSecret": self.device["deviceSecret"],
                "hub": self.hub["productKey"], "hubSecret": self.gateway["deviceSecret"],
                "raw": self.raw, "rawSecret": self.bytes["deviceSecret"]}

    def asset(self, key="dev"):
        return f"~/devices/{self.api.get(f'~/products/{self.pk}/devices/{key}')['assetId']}"

    def command(self, path, body, key="dev", state="succeeded", output=None):
        done = self.api.post(self.asset(key) + path, body)
        if done["state"] != state or output is not None and done.get("output") != output:
            raise AssertionError(done)

    def do(self, name):
        multiply = "/services/multiply:invoke"
        if name == "unhandled":
            self.command(multiply, {"input": {"left": 2, "right": 2}}, state="failed")
        elif name == "service":
            self.command(multiply, {"input": {"left": 2.5, "right": 3}}, output={"product": 7.5})
        elif name == "leaf service":
            self.command(multiply, {"input": {"left": 1, "right": 1}}, key="leaf", output={"product": 6.5})
        elif name == "set":
            self.command("/points/setpoint:set", {"value": 4.5})
        elif name == "read":
            self.command("/points:read", {"points": ["setpoint"]}, output={"setpoint": 4.5})
        elif name == "firmware":
            file = b"a firmware"
            made = self.api.post("~/firmwares", {"productKey": self.pk, "name": "Release", "version": "2.0", "signMethod": "md5",
                                                 "sign": hashlib.md5(file).hexdigest(), "url": "http://127.0.0.1/2.0.bin", "size": len(file)})
            self.job = self.api.post("~/otaJobs", {"productKey": self.pk, "firmware": made["id"], "devices": ["dev"]})
        elif name == "upgraded":
            [task] = self.api.get(f"~/otaJobs/{self.job['id']}/tasks")["items"]
            if task["state"] != "succeeded":
                raise AssertionError(task)
        elif name == "raw":
            [latest] = self.api.get(f"~/products/{self.raw}/devices/raw/points/latest")["items"]
            if latest["value"] != 7:
                raise AssertionError(latest)
        elif name in ("disable", "enable"):
            self.api.post(self.asset("leaf") + ":" + name, {})
        elif name.startswith("delete "):
            self.api.request("DELETE", self.asset(name.split()[1]), headers={"If-Match": "*"})
        else:
            raise AssertionError(f"nobody knows {name}")


def run(command, tls):
    with Node(settings=("mqtt.virtual_gateway=true",)) as node:
        deeds = Deeds(node)
        given = deeds.given()
        given["url"] = f"ssl://localhost:{node.ports['mqtts']}" if tls else f"tcp://localhost:{node.ports['mqtt']}"
        if tls:
            given["ca"] = node.ca
        client = subprocess.Popen(command + [f"{k}={v}" for k, v in given.items()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        good = bad = 0
        for line in client.stdout:
            print(line, end="", flush=True)
            good += line.startswith("ok ")
            bad += line.startswith("bad ")
            if line.startswith("do "):
                try:
                    deeds.do(line[3:].strip())
                    answer = "done"
                except Exception as e:  # pylint: disable=broad-except
                    answer = f"{type(e).__name__} {e}".replace("\n", " ")
                client.stdin.write(answer + "\n")
                client.stdin.flush()
        print(f"{good} good, {bad} bad, exit {client.wait()}")
        return bad == 0 and good > 0 and client.returncode == 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    secured = "--tls" in arguments
    sys.exit(0 if run([a for a in arguments if a != "--tls"], secured) else 1)
