"""Shards that nobody serves because nobody is there who has all of them: an operator chooses among the copies. A cluster whose
coordinator was emptied, and one that is restored from backups as a whole."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import orrery
from cluster_kit import ClusterTest
from files_test import FileKit, get

DEVICES = 40


class Recovery(FileKit, ClusterTest):
    def setUp(self):
        self.backups = pathlib.Path(tempfile.mkdtemp(prefix="orrery-backup-"))
        self.addCleanup(shutil.rmtree, self.backups, ignore_errors=True)
        self.settings = [f"backup.directory={self.backups}"]
        super().setUp()
        self.wait_whole()

    def recover(self, what, *more, code=0, node=1):
        done = subprocess.run([*self.cluster.node_command(node), "--recover", what, *more], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def copies_offered(self, copies):
        """Until so many of each shard that nobody serves are offered."""
        last = ""

        def all_there():
            nonlocal last
            last = self.recover("list")
            parts = last.split("shard ")[1:]
            return parts and all(part.count(" entries, epoch ") >= copies for part in parts)
        try:
            orrery.wait_for(all_there, "copies are offered", 60)
        except AssertionError:
            raise AssertionError(f"{copies} copies are not offered of each:\n{last}") from None

    def tag(self, api, value):
        for i in range(DEVICES):
            api.request("PATCH", f"~/products/demo-inverter/devices/x{i}/tags", json={"n": value})

    def tags(self, api):
        return [api.get(f"~/products/demo-inverter/devices/x{i}")["tags"]["n"] for i in range(DEVICES)]

    def register(self, api):
        api.post("~/devices:batch", {"items": [
            {"productKey": "demo-inverter", "deviceKey": f"x{i}", "tags": {"n": "first"}} for i in range(DEVICES)]})

    def lose_coordinator(self):
        """With everything that it knew."""
        self.cluster.send("etcd-1", 9)
        self.cluster.started["etcd-1"].wait()
        shutil.rmtree(self.folder / "etcd-1")
        self.cluster.start_member(1)
        self.cluster.wait_member(1)

    def begin(self, number):
        """Ready it is once there are users, and for that the catalogue's shard is to be served."""
        self.cluster.start_node(number, wait=False)

    def start_found_again(self, number):
        self.cluster.ready_file(number).unlink(missing_ok=True)
        self.cluster.spawn(f"node-{number}", [*self.cluster.node_command(number), "--found-again"])

    def test_the_last_level_copy_is_lost(self):
        self.register(self.node(1).api())
        first, second = self.number_of(1), self.number_of(2)
        self.kill(1)
        api = self.node(2).api()
        orrery.wait_for(lambda: not any(first in r["inSync"] for r in self.records().values()), "the others go on without node 1", 30)
        self.tag(api, "second")
        alone = {s for s, r in self.records().items() if r["inSync"] == [second]}
        self.assertTrue(alone)
        self.kill(2)
        self.begin(1)  # what it has is older
        self.copies_offered(1)
        listed = self.recover("list")
        self.assertIn("nodes that are not there: node-2", listed)
        self.assertIn("had all of it, and are not there: node-2", listed)
        self.assertIn("--absent-are-lost", self.recover("all", code=5))
        self.assertIn("expected list, all", subprocess.run([*self.cluster.node_command(1), "--recover", "1=nobody"],
                                                           capture_output=True, text=True, timeout=60).stderr)
        self.recover("all", "--absent-are-lost")
        api = self.node(1).api()
        orrery.wait_for(lambda: set(self.tags(api)) <= {"first", "second"}, "every device is served", 60)
        self.assertIn("first", self.tags(api), "what was acknowledged by the lost copy alone is gone")
        self.tag(api, "third")
        self.start(2)  # its copy counts for nothing any more
        self.wait_whole()
        self.assertTrue(all(s in self.records() and self.records()[s]["recovered"] > 0 for s in alone))
        self.kill(1)
        self.assertEqual(set(self.tags(self.node(2).api())), {"third"})
        self.assertIn("copy_discarded", (self.folder / "node-2.log").read_text())

    def test_the_coordinator_is_emptied(self):
        self.register(self.node(1).api())
        self.tag(self.node(2).api(), "acknowledged")
        for n in (1, 2, 3):
            self.kill(n)
        self.lose_coordinator()
        refused = subprocess.run(self.cluster.node_command(1), capture_output=True, text=True, timeout=60)
        self.assertEqual(refused.returncode, 5)
        self.assertIn("--found-again", refused.stderr)
        self.start_found_again(3)  # numbers are given anew
        orrery.wait_for(lambda: len(self.records()) == 65, "there are records", 30)
        self.begin(1)
        self.begin(2)
        self.copies_offered(2)
        self.recover("all")
        self.wait_whole()
        self.assertEqual(set(self.tags(self.node(1).api())), {"acknowledged"}, "nothing is lost: every node was there")
        self.tag(self.node(2).api(), "after")
        self.kill(1)
        self.assertEqual(set(self.tags(self.node(3).api())), {"after"})

    def test_a_cluster_is_restored_as_a_whole(self):
        api = self.node(1).api()
        self.register(api)
        device = self.connected(self.node(2))
        self.assertEqual(device.post({"power": 5.0})["code"], 200)
        content = os.urandom(300_000)
        uri = self.stored(self.node(2), device, content)
        made = api.post("/cluster/backups")
        orrery.wait_for(lambda: api.get(f"/cluster/backups/{made['id']}")["state"] == "complete", "it is complete", 60)
        self.tag(api, "deleted by mistake")
        for n in (1, 2, 3):
            self.kill(n)
            shutil.rmtree(self.cluster.data(n) / "db")
            demo = (self.cluster.data(n) / "demo.json")
            kept = demo.read_text() if demo.exists() else None
            pki = self.folder / f"pki-{n}"
            if (self.cluster.data(n) / "pki").exists():
                shutil.move(self.cluster.data(n) / "pki", pki)
            shutil.rmtree(self.cluster.data(n))
            done = subprocess.run([orrery.BIN / "orrery", "restore", "--from", self.backups / f"node-{n}", "--to", self.cluster.data(n)],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            if pki.exists():
                shutil.move(pki, self.cluster.data(n) / "pki")
            if kept:
                demo.write_text(kept)
        self.lose_coordinator()
        self.start_found_again(1)
        orrery.wait_for(lambda: len(self.records()) == 65, "there are records", 30)
        self.begin(2)
        self.begin(3)
        self.copies_offered(2)
        self.recover("all")
        self.wait_whole()
        api = self.node(3).api()
        self.assertEqual(set(self.tags(api)), {"first"})
        key = self.node(1).demo["devices"][0]["deviceKey"]
        asset = api.get(f"~/products/demo-inverter/devices/{key}")["assetId"]
        self.assertEqual([row["value"] for row in api.get(f"~/devices/{asset}/points/power/history")["items"]], [5.0])
        # Bytes are in the parts of the nodes that had them: the others fetch them again.
        device = self.connected(self.node(1))
        url = self.download(device, uri)["downloadUrl"]
        self.assertEqual([get(self.node(n), url).content == content for n in (1, 2, 3)], [True] * 3)

    def test_one_node_is_restored(self):
        api = self.node(1).api()
        self.register(api)
        made = api.post("/cluster/backups")
        orrery.wait_for(lambda: api.get(f"/cluster/backups/{made['id']}")["state"] == "complete", "it is complete", 60)
        self.tag(api, "acknowledged")
        self.kill(3)
        shutil.move(self.cluster.data(3), self.folder / "lost")
        done = subprocess.run([orrery.BIN / "orrery", "restore", "--from", self.backups / "node-3", "--to", self.cluster.data(3)],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.start(3)  # the others have not given it up everywhere: it must not be counted on
        self.wait_whole()
        self.assertEqual(set(self.tags(self.node(3).api())), {"acknowledged"})
        for n in (1, 2):
            self.end(n)
        self.start(1)
        self.start(2)
        self.wait_whole()
        self.assertEqual(set(self.tags(self.node(3).api())), {"acknowledged"})


if __name__ == "__main__":
    unittest.main()
