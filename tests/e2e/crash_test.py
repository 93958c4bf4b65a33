"""A node that is killed or told to stop under load: whatever it acknowledged is there afterwards, in
order, each once. ORRERY_CRASH_ROUNDS: how often it is killed; ORRERY_CRASH_SEED: repeats a run."""
import json
import os
import pathlib
import random
import subprocess
import threading
import time
import unittest

import requests

from fleet import Fleet, check, history, read, register
from orrery import BIN, Device, Node, wait_for

ROUNDS = int(os.environ.get("ORRERY_CRASH_ROUNDS", "20"))
SEED = int(os.environ.get("ORRERY_CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))
DEVICES, WINDOW = 24, 40
SETTINGS = ("commands.max_queued=10000", "storage.checkpoint_bytes=1MiB", "storage.checkpoint_interval=1s",
            "entities.idle_timeout=2s", "log.level=warn")


class Operator:
    """Changes attributes and queues commands by REST, and keeps what was answered with 2xx."""

    def __init__(self, assets):
        self.assets = assets
        self.attempted, self.changed = {}, {}  # asset -> value of its attribute
        self.commands = []

    def start(self, api):
        self.stopping = False
        self.thread = threading.Thread(target=self.run, args=(api,), daemon=True)
        self.thread.start()

    def stop(self):
        self.stopping = True
        self.thread.join(20)
        assert not self.thread.is_alive(), "the operator hangs"

    def run(self, api):
        number = 0
        while not self.stopping:
            number += 1
            asset = self.assets[number % len(self.assets)]
            try:
                self.change(api, asset)
                self.command(api, asset, number)
            except requests.RequestException:
                return  # the node is gone

    def change(self, api, asset):
        value = self.attempted.get(asset, 0) + 1
        self.attempted[asset] = value
        reply = api.session.patch(f"{api.base}{api.org}/devices/{asset}/attributes", json={"ratedPower": float(value)}, timeout=5)
        if reply.status_code == 200:
            self.changed[asset] = value

    def command(self, api, asset, number):
        reply = api.session.post(f"{api.base}{api.org}/devices/{asset}/points/setpoint:set", timeout=5,
                                 json={"value": float(number % 1000), "mode": "async", "pendingTtl": 172_800})
        if reply.status_code == 202:
            self.commands.append((reply.json()["id"], number % 1000))

    def check(self, test, api, commands):
        for asset, value in self.changed.items():
            got = read(api, f"~/devices/{asset}/attributes").get("ratedPower", 0)
            test.assertGreaterEqual(got, value, f"{asset}: an acknowledged attribute is lost")
            test.assertLessEqual(got, self.attempted[asset])
            self.attempted[asset] = int(got)
        for id, value in commands:
            command = read(api, f"~/commands/{id}")
            test.assertEqual((command["id"], command["input"]), (id, {"setpoint": value}))


def files_of(pid):
    """What a process has open."""
    try:
        return [os.readlink(f) for f in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


class Crash(unittest.TestCase):
    def setUp(self):
        self.node = Node(settings=SETTINGS)
        self.addCleanup(self.node.close)

    def begin(self, window=WINDOW):
        self.node.start()
        api = self.node.api()
        self.posters, self.assets = register(api, self.node.demo["productKey"], DEVICES)
        self.fleet = Fleet(self.posters, window)
        idle, _ = register(api, self.node.demo["productKey"], 8, "idle-")
        for p in idle:  # a device must have been on-line once before it takes commands
            Device(self.node, p.pk, p.dk, p.secret).connect(subscribe=False).close()
        self.operator = Operator([api.get(f"~/products/{p.pk}/devices/{p.dk}")["assetId"] for p in idle])

    def load(self):
        self.fleet.start(self.node.ports["mqtt"])
        self.operator.start(self.node.api())

    def rest(self):
        self.fleet.stop()
        self.operator.stop()
        self.assertEqual(self.fleet.faults(), [])

    def durability(self, kind):
        self.node.settings = [s for s in self.node.settings if not s.startswith("storage.durability")] + [f"storage.durability={kind}"]

    def kill_while_it_starts(self):
        """Kills it as soon as it has the database open: the log is being read again."""
        process = subprocess.Popen(self.node.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        opened = f"{self.node.data}/db/LOCK"
        wait_for(lambda: process.poll() is not None or opened in files_of(process.pid), "the database is opened")
        process.kill()
        process.wait()

    def test_killed_again_and_again_it_keeps_what_it_acknowledged(self):
        print(f"\nORRERY_CRASH_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        self.durability("os")
        self.begin()
        looked_at, commands = {}, 0
        for turn in range(ROUNDS):
            before = self.fleet.acknowledged()
            after = before + chance.choice((0, chance.randrange(100), chance.randrange(10_000)))
            self.load()
            wait_for(lambda: self.fleet.acknowledged() >= after, "it acknowledges", 60)
            self.node.kill()
            self.rest()
            self.durability("sync" if turn % 2 == 0 else "os")
            if turn % 4 == 3:
                self.kill_while_it_starts()
            begun = time.monotonic()
            self.node.start()
            started = time.monotonic() - begun
            api = self.node.api()
            new = check(self, api, self.posters, self.assets, first=looked_at)
            self.operator.check(self, api, self.operator.commands[commands:])
            print(f"round {turn + 1}: {self.fleet.acknowledged()} acknowledged, {new} new there, "
                  f"{len(self.operator.commands)} commands, started in {started:.2f} s", flush=True)
            commands = len(self.operator.commands)
        check(self, api, self.posters, self.assets)  # all of it once more
        self.operator.check(self, api, self.operator.commands)
        self.assertGreater(self.fleet.acknowledged(), 100 * ROUNDS)
        self.assertGreater(len(self.operator.commands), 0)
        self.assertEqual(self.node.stop(), 0)

    def test_told_to_stop_under_load_it_loses_nothing(self):
        self.durability("os")
        self.begin()
        for kind in ("sync", "os"):
            before = self.fleet.acknowledged()
            self.load()
            wait_for(lambda: self.fleet.acknowledged() > before + 1000, "it acknowledges")
            begun = time.monotonic()
            self.assertEqual(self.node.stop(), 0)
            self.assertLess(time.monotonic() - begun, 10)
            self.rest()
            self.durability(kind)
            self.node.start()
            check(self, self.node.api(), self.posters, self.assets)
            self.operator.check(self, self.node.api(), self.operator.commands)
        self.assertNotIn("stop_cut_short", self.node.log_text())


class FullSpeed(unittest.TestCase):
    """The same with the load of the benches, as much as this machine gives."""
    DEVICES, ROUNDS = 400, 3
    MODEL = {"format": "tm/1", "id": "load", "name": {"default": "Load"}, "validate": "strict",
             "measurePoints": [{"id": f"p{i}", "name": {"default": f"Point {i}"}, "signal": "AI", "type": {"t": "double"}} for i in range(10)]}

    def setUp(self):
        self.node = Node(settings=["log.level=warn", "storage.durability=os", "storage.checkpoint_bytes=4MiB"])
        self.addCleanup(self.node.close)
        self.node.start()

    def product(self, api):
        made = api.request("POST", "~/models", json=self.MODEL)
        api.request("POST", "~/models/load:publish", json={}, headers={"If-Match": made.headers["ETag"]})
        return api.post("~/products", {"name": "load", "modelId": "load"})["productKey"]

    def kill_under_load(self, round):
        record = self.node.data / f"record-{round}"
        load = subprocess.Popen([BIN / "orrery-load", "--port", str(self.node.ports["mqtt"]), "--devices", self.node.data / "devices",
                                 "--skip", str(round * self.DEVICES), "--connections", str(self.DEVICES), "--window", "20", "--warm-up", "0", "--seconds", "60",
                                 "--record", record], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(load.stderr.readline(), "measuring\n")
        messages = "orrery_mqtt_messages_total{kind=\"points_post\",result=\"ok\"}"
        taken = self.node.metrics().get(messages, 0)
        wait_for(lambda: self.node.metrics().get(messages, 0) >= taken + 100_000, "messages are taken", 60)
        self.node.kill()
        rate = json.loads(load.communicate(timeout=60)[0])["rate"]
        return [(dk, int(acknowledged), int(sent)) for dk, acknowledged, sent in map(str.split, record.read_text().splitlines())], rate

    def test_nothing_acknowledged_is_lost(self):
        api = self.node.api()
        key = self.product(api)
        posters, assets = register(api, key, self.ROUNDS * self.DEVICES)
        (self.node.data / "devices").write_text("".join(f"{p.pk} {p.dk} {p.secret}\n" for p in posters))
        for round in range(self.ROUNDS):
            posts, rate = self.kill_under_load(round)
            self.node.start()
            api = self.node.api()
            for dk, acknowledged, sent in posts:
                numbers = [int(value) for _, value in history(api, assets[dk], "p5")]
                self.assertEqual(numbers, list(range(1, len(numbers) + 1)), f"{dk}: holes, doubles or disorder")
                self.assertGreaterEqual(len(numbers), acknowledged, f"{dk}: acknowledged and not there")
                self.assertLessEqual(len(numbers), sent, f"{dk}: there and never sent")
            print(f"killed at {rate:,.0f} messages a second: {sum(a for _, a, _ in posts):,} acknowledged, all there", flush=True)


if __name__ == "__main__":
    unittest.main()
