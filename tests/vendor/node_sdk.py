#!/usr/bin/python3
"""Runs the EnOS device SDK for Node.js against a node of its own: every call, and what came of it. See README.md."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import threading

from world import Cable, World, wait_for

PROGRAM = pathlib.Path(__file__).resolve().parent / "node_sdk.js"
TIME = 240.0  # for all of it, s

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--sdk", required=True, help="the folder whose node_modules has the SDK's package `enos-mqtt-sdk-nodejs`")
arguments = parser.parse_args()
modules = str(pathlib.Path(arguments.sdk).absolute() / "node_modules")

world = World()
cable = Cable(world.node)
kinds = {kind: getattr(world, kind) for kind in ("probes", "hubs", "leaves", "young", "proven", "raw")}
asked = {
    "device": lambda kind, key: world.device(kinds[kind], key),
    "bind": world.bind,
    "bundled": world.bundled,
    "status": world.status,
    "awaitStatus": lambda made, status: wait_for(lambda: world.status(made) == status, f"{made['deviceKey']} to be {status}", 30),
    "latest": world.latest,
    "invoke": lambda made, service, given: world.invoke(made, service, **given),
    "begin": lambda made, service, given: world.begin(made, service, **given),
    "ended": world.ended,
    "set": world.set_point,
    "switch": world.switch,
    "delete": world.delete,
    "cut": cable.cut,
}


def certified(key):
    made = world.certified(world.proven, key)
    world.trusts_devices()
    return made


asked["certified"] = certified
config = {"urls": {"tcp": world.url(), "ssl": world.url("ssl"), "cable": world.url(port=cable.port)}, "ca": world.node.ca, "products": kinds}
try:
    process = subprocess.Popen(["node", PROGRAM, json.dumps(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=dict(os.environ, NODE_PATH=modules))

    def answer(number, name, values):
        try:
            told = {"number": number, "value": asked[name](*values)}
        except Exception as error:  # the row of the table that asked shows it
            told = {"number": number, "error": repr(error)}
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()

    timer = threading.Timer(TIME, process.kill)
    timer.start()
    for line in process.stdout:
        if line.startswith("ask "):
            number, name, *values = json.loads(line.removeprefix("ask "))
            threading.Thread(target=answer, args=(number, name, values), daemon=True).start()
        else:
            print(line, end="", flush=True)
    code = process.wait()
    timer.cancel()
finally:
    cable.close()
    world.close()
sys.exit(code)
