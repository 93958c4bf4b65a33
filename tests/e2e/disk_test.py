"""A node whose disk is full: it refuses and says why, loses nothing it acknowledged, and goes on by
itself when there is space again."""
import json
import os
import subprocess
import unittest

import requests

from fleet import Fleet, check, register
from mounts import Mounted
from orrery import DEADLINE, Node, wait_for

SIZE = 192 << 20
SETTINGS = ("storage.write_buffer_bytes=16MiB", "storage.block_cache_bytes=16MiB", "storage.checkpoint_interval=1s")


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.node = Node(settings=SETTINGS)
        self.addCleanup(self.node.close)
        self.node.data.mkdir()
        mounted = Mounted(self.node.data, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs")
        mounted.__enter__()
        self.addCleanup(mounted.__exit__)
        self.addCleanup(self.end_node)
        self.filler = self.node.data / "filler"

    def end_node(self):
        if self.node.process and self.node.process.poll() is None:
            self.node.kill()

    def fill(self):
        with open(self.filler, "wb", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(1 << 16))
            except OSError:
                pass

    def begin(self):
        self.node.start()
        self.posters, self.assets = register(self.node.api(), self.node.demo["productKey"], 10)
        self.fleet = Fleet(self.posters).start(self.node.ports["mqtt"])
        wait_for(lambda: self.fleet.acknowledged() > 500, "it acknowledges")

    def post(self):
        """A write by REST; gives (status, problem)."""
        reply = requests.post(f"http://127.0.0.1:{self.node.ports['api']}/api/v1/orgs/-/products/demo-inverter/devices/inv-01/points",
                              json={"items": [{"points": {"power": 1.0}}]}, timeout=DEADLINE,
                              headers={"Authorization": f"Bearer {self.node.demo['apiKey']}"})
        return reply.status_code, reply.json()

    def refuses(self):
        status, problem = self.post()
        return problem if status == 503 else None

    def logged(self, text):
        return [entry for entry in map(json.loads, self.node.log_text().splitlines()) if text in json.dumps(entry)]

    def test_it_refuses_keeps_what_it_has_and_goes_on(self):
        self.begin()
        for turn in range(2):
            self.fill()
            problem = wait_for(self.refuses, "writes are refused")
            self.assertIn("full", problem["detail"])
            self.fill()
            self.assertTrue(self.refuses())
            self.assertIsNone(self.node.process.poll())
            self.filler.unlink()
            before = self.fleet.acknowledged()
            wait_for(lambda: self.fleet.acknowledged() > before + 500, "it goes on", 60)
            self.assertEqual(self.post()[0], 200)
        self.fleet.stop(settle=True)
        self.assertEqual(self.fleet.faults(), [])
        check(self, self.node.api(), self.posters, self.assets)
        self.assertTrue(self.logged("No space left on device"))
        self.assertTrue(self.logged("store_reopened"))
        self.assertEqual(self.node.stop(), 0)
        self.node.start()
        check(self, self.node.api(), self.posters, self.assets)

    def test_killed_with_a_full_disk_it_says_so_and_starts_when_there_is_space(self):
        self.begin()
        self.fill()
        wait_for(self.refuses, "writes are refused")
        self.node.kill()
        self.fleet.stop()
        self.fill()
        done = subprocess.run(self.node.command(), capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("disk is full", done.stderr)
        self.assertIn(str(self.node.data), done.stderr)
        self.filler.unlink()
        self.node.start()
        check(self, self.node.api(), self.posters, self.assets)


if __name__ == "__main__":
    unittest.main()
