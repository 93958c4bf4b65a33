"""`orrery simulate` with 200 devices of 10 points for a minute while `orrery watch` looks on: the whole
history is there afterwards. ORRERY_SIMULATE_SECONDS: a shorter or longer run."""
import collections
import json
import os
import signal
import subprocess
import unittest

from fleet import read
from orrery import BIN, Node, wait_for

SECONDS = int(os.environ.get("ORRERY_SIMULATE_SECONDS", "60"))
DEVICES, POINTS = 200, 10

TYPES = [{"t": "double", "min": 0, "max": 1000}, {"t": "float", "min": -50, "max": 50}, {"t": "int", "min": 0, "max": 5000},
         {"t": "long", "min": 0, "max": 1_000_000_000}, {"t": "bool"}, {"t": "string", "maxLength": 32},
         {"t": "enum", "values": {"0": "off", "1": "on", "2": "fault"}}, {"t": "double"}, {"t": "double", "min": 200, "max": 240},
         {"t": "float", "min": 0, "max": 1}]
MODEL = {"format": "tm/1", "id": "Pump", "name": "Pump", "validate": "strict",
         "measurePoints": [{"id": f"p{i}", "name": f"Point {i}", "signal": "AI", "type": t} for i, t in enumerate(TYPES)]}


class Simulate(unittest.TestCase):
    def command(self, *words):
        return [str(BIN / "orrery"), "--server", f"http://127.0.0.1:{self.node.ports['api']}", "--api-key", self.node.demo["apiKey"],
                "--output", "json", *map(str, words)]

    def test_the_whole_history_is_there(self):
        self.node = Node().start()
        self.addCleanup(self.node.close)
        api = self.node.api()
        made = api.request("POST", "~/models", json=MODEL)
        api.request("POST", "~/models/Pump:publish", json={}, headers={"If-Match": made.headers["ETag"]})
        product = api.post("~/products", {"name": "Pumps", "modelId": "Pump"})["productKey"]
        seen = self.node.folder / "watched"
        with open(seen, "wb") as out:
            watch = subprocess.Popen(self.command("watch", "--product", product), stdout=out, stderr=subprocess.PIPE, text=True)
        self.addCleanup(watch.wait)
        self.addCleanup(watch.kill)
        wait_for(lambda: self.node.metrics().get("orrery_feed_subscribers") == 1, "watch is there")
        done = subprocess.run(self.command("simulate", "--product", product, "--devices", DEVICES, "--rate", 1, "--seconds", SECONDS,
                                           "--port", self.node.ports["mqtt"]), capture_output=True, text=True, timeout=SECONDS + 60)
        self.assertEqual(done.returncode, 0, done.stderr)
        figures = json.loads(done.stdout)
        print(f"\n{figures}", flush=True)
        self.assertEqual([figures[k] for k in ("devices", "failed", "connectionsLost", "loginsRefused")], [DEVICES, 0, 0, 0])
        self.assertEqual(figures["sent"], figures["acknowledged"])
        self.assertGreaterEqual(figures["sent"], DEVICES * (SECONDS - 1))
        wait_for(lambda: seen.read_bytes().count(b"\n") >= figures["acknowledged"], "watch has seen all of it")
        watch.send_signal(signal.SIGINT)
        _, said = watch.communicate(timeout=10)
        self.assertNotIn("lost", said)
        posted = collections.defaultdict(dict)  # device -> (time, point) -> value
        for line in seen.read_text().splitlines():
            item = json.loads(line)
            for point, v in item["v"].items():
                posted[item["dk"]][item["t"], point] = v["value"]
        self.assertEqual(len(posted), DEVICES)
        self.assertEqual(sum(map(len, posted.values())), figures["acknowledged"] * POINTS)
        self.compare(api, product, posted)
        self.assertEqual(self.node.stop(), 0)
        self.node.start()
        self.compare(self.node.api(), product, posted)

    def compare(self, api, product, posted):
        for device, expected in posted.items():
            path = f"~/products/{product}/devices/{device}/points/history?from=0&limit=1000&timeFormat=ms"
            found, cursor, times = {}, None, []
            while True:
                page = read(api, path + (f"&cursor={cursor}" if cursor else ""))
                for row in page["items"]:
                    self.assertNotIn((row["time"], row["point"]), found, device)
                    found[row["time"], row["point"]] = row["value"]
                    times.append(row["time"])
                cursor = page.get("nextCursor")
                if cursor is None:
                    break
            self.assertEqual(found, expected, device)
            self.assertEqual(times, sorted(times), device)


if __name__ == "__main__":
    unittest.main()
