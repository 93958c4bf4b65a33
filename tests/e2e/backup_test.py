"""Backups of a running node and of a running cluster, and what comes back from them."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from api_kit import refused
from cluster_kit import ClusterTest
from fleet import Fleet, Poster, check, register
from orrery import BIN, Device, Node, wait_for

LONG = 60


def cli(*arguments, code=0, **environment):
    """What it printed, and what it said of failures."""
    done = subprocess.run([str(BIN / "orrery"), *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment})
    assert done.returncode == code, f"{arguments}: {done.returncode} {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def over(api, begun):
    """The backup as it is when nobody is at it any more."""
    def ended():
        got = api.get(f"/cluster/backups/{begun['id']}")
        return got if got["state"] != "running" else None
    return wait_for(ended, "the backup is over", LONG)


class OneNode(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="orrery-backup-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.backups = self.folder / "backups"
        self.backups.mkdir()

    def start(self, **options):
        node = Node(settings=[f"backup.directory={self.backups}", "backup.keep=2", "storage.checkpoint_bytes=1MiB",
                              "storage.checkpoint_interval=1s"], **options)
        self.addCleanup(node.close)
        return node.start()

    def make(self, node):
        made = over(node.api(), node.api().request("POST", "/cluster/backups", expect=202, json={}).json())
        self.assertEqual([(n["node"], n["state"]) for n in made["nodes"]], [("orrery-1", "complete")], made)
        return made

    def environment(self, node):
        return {"ORRERY_SERVER": f"http://127.0.0.1:{node.ports['api']}", "ORRERY_API_KEY": node.demo["apiKey"]}

    def keys_of(self, node, data):
        shutil.copy(node.data / "master.key", data)
        shutil.copytree(node.data / "pki", data / "pki")

    def test_what_was_acknowledged_before_it_began_comes_back(self):
        node = self.start()
        api = node.api()
        posters, assets = register(api, node.demo["productKey"], 10)
        fleet = Fleet(posters, 20).start(node.ports["mqtt"])
        made, least = [], []
        for _ in range(3):
            before = fleet.acknowledged()
            wait_for(lambda: fleet.acknowledged() > before + 1000, "it acknowledges")
            least.append({p.dk: p.acknowledged for p in posters})
            made.append(self.make(node))
        before = fleet.acknowledged()
        wait_for(lambda: fleet.acknowledged() > before + 1000, "it goes on")
        node.kill()
        fleet.stop()
        self.assertEqual(fleet.faults(), [])
        for index, arguments in ((2, ()), (1, ("--id", made[1]["id"]))):
            data = self.folder / f"restored-{index}"
            said = cli("restore", "--from", self.backups / "orrery-1", "--to", data, *arguments)
            self.assertIn(made[index]["id"], said)
            self.assertIn(f"{data}/master.key", said)
            other = Node(data=data, demo=False)
            self.addCleanup(other.close)
            refusal = subprocess.run(other.command(), capture_output=True, text=True, timeout=60)
            self.assertEqual(refusal.returncode, 3, refusal.stderr)
            self.assertIn("holds no keys", refusal.stderr)
            self.assertFalse((data / "master.key").exists())
            self.keys_of(node, data)
            other.demo = node.demo
            other.start()
            then = [Poster(p.pk, p.dk, p.secret, p.base) for p in posters]
            for was, now in zip(posters, then):
                now.acknowledged, now.next = least[index][was.dk], was.next
            check(self, other.api(), then, assets)
            device = Device(other, posters[0].pk, posters[0].dk, posters[0].secret).connect()
            self.assertEqual(device.post({"power": 1.0})["code"], 200, "its secret is read, and it takes messages")
            device.close()
            self.assertEqual(other.stop(), 0)
            other.start()
            self.assertEqual(other.log_text().count('"restored"'), 1, "told until it was served once")
            other.stop()

    def test_the_newest_are_kept_and_known_after_a_restart(self):
        node = self.start()
        first = self.make(node)
        ids = [self.make(node)["id"] for _ in range(2)]
        self.assertEqual([b["id"] for b in node.api().get("/cluster/backups")["items"]], ids[::-1])
        refused(self, node.api(), "GET", f"/cluster/backups/{first['id']}", 404, "backup_unknown")
        metrics = node.metrics()
        self.assertEqual((metrics["orrery_backup_enabled"], metrics["orrery_backup_running"], metrics["orrery_backup_failures_total"]), (1, 0, 0))
        self.assertGreater(metrics["orrery_backup_last_bytes"], 0)
        self.assertEqual(node.stop(), 0)
        node.start()
        wait_for(lambda: node.api().get("/cluster/backups")["items"], "the folder is read")
        shown = node.api().get("/cluster/backups")["items"]
        self.assertEqual([(b["id"], b["state"]) for b in shown], [(id, "complete") for id in ids[::-1]])
        self.assertEqual(node.metrics()["orrery_backup_last_success_time_seconds"], metrics["orrery_backup_last_success_time_seconds"])
        self.assertGreater(self.make(node)["id"], ids[-1])

    def test_as_an_operator_types(self):
        node = self.start()
        environment = self.environment(node)
        table = cli("backup", "create", "--wait", **environment)
        self.assertRegex(table, r"(?m)^state +complete$")
        self.assertRegex(table, r"(?m)^orrery-1 +complete +\d+ ")
        [shown] = json.loads(cli("--output", "json", "backup", "list", **environment))
        self.assertEqual(shown["state"], "complete")
        self.assertIn("1 complete", cli("backup", "list", **environment))
        self.assertIn(f"id: {shown['id']}", cli("--output", "yaml", "backup", "show", shown["id"], **environment).replace('"', ""))
        self.assertIn("has begun", cli("backup", "create", **environment))
        self.assertIn("no backup 20000101-000000", cli("backup", "show", "20000101-000000", code=1, **environment))
        self.assertIn("is not empty", cli("restore", "--from", self.backups / "orrery-1", "--to", node.data, code=1))
        self.assertIn(f"give the folder of one node: {self.backups}/orrery-1", cli("restore", "--from", self.backups, "--to", self.folder / "new", code=1))
        self.assertIn("there is no whole backup x", cli("restore", "--from", self.backups / "orrery-1", "--to", self.folder / "new", "--id", "x", code=1))
        restored = json.loads(cli("--output", "json", "restore", "--from", self.backups / "orrery-1", "--to", self.folder / "new", "--id", shown["id"]))
        self.assertEqual((restored["id"], restored["node"]), (shown["id"], "orrery-1"))

    def test_a_folder_that_is_gone_is_told(self):
        node = self.start()
        self.backups.rmdir()
        failed = over(node.api(), node.api().post("/cluster/backups"))
        self.assertEqual((failed["state"], failed["nodes"][0]["reason"]), ("failed", "backup_failed"))
        self.assertIn("mount what is to be there", failed["nodes"][0]["detail"])
        self.assertEqual(node.metrics()["orrery_backup_failures_total"], 1)
        self.backups.mkdir()
        self.make(node)
        self.assertEqual(len(node.api().get("/cluster/backups")["items"]), 2)
        self.assertIn("is not complete: 1 failed", self.fails(node))

    def fails(self, node):
        shutil.rmtree(self.backups)
        return cli("backup", "create", "--wait", code=1, **self.environment(node))

    def test_one_at_a_time_and_the_end_of_the_node_ends_it(self):
        node = self.start()
        self.make(node)
        self.assertEqual(node.stop(), 0)
        node.settings.append("backup.bytes_per_second=1KiB")
        node.start()
        wait_for(lambda: node.api().get("/cluster/backups")["items"], "the folder is read")
        device = node.device(0).connect()
        for value in range(200):
            device.post({"power": float(value)})
        device.close()
        begun = node.api().post("/cluster/backups")
        wait_for(lambda: node.metrics()["orrery_backup_running"] == 1, "it is under way")
        refused(self, node.api(), "POST", "/cluster/backups", 409, "backup_running", json={})
        self.assertEqual(node.api().get(f"/cluster/backups/{begun['id']}")["state"], "running")
        self.assertEqual(node.stop(), 0)
        self.assertIn("backup_stopped", node.log_text())

    def test_without_a_folder_there_are_none(self):
        node = Node()
        self.addCleanup(node.close)
        node.start()
        refused(self, node.api(), "POST", "/cluster/backups", 409, "backup_off", json={})
        self.assertEqual(node.api().get("/cluster/backups")["items"], [])
        done = subprocess.run([*node.command(), "--set", "backup.directory=here"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("backup.directory must be absolute", done.stderr)


class WholeCluster(ClusterTest):
    def setUp(self):
        self.backups = pathlib.Path(tempfile.mkdtemp(prefix="orrery-backup-"))
        self.addCleanup(shutil.rmtree, self.backups, ignore_errors=True)
        self.settings = [f"backup.directory={self.backups}", "backup.keep=2"]
        super().setUp()
        self.wait_whole()
        self.operator = self.node(1).api()

    def states(self, backup):
        return {n["node"]: n["state"] for n in backup["nodes"]}

    def absent(self, number):
        nodes = self.operator.get("/cluster")["nodes"]
        return next(n["state"] for n in nodes if n["name"] == f"node-{number}") == "absent"

    def test_all_nodes_make_their_part(self):
        device = self.connected(self.node(2))
        self.assertEqual(device.post({"power": 7.0})["code"], 200)
        made = over(self.operator, self.operator.post("/cluster/backups"))
        self.assertEqual((made["state"], self.states(made)), ("complete", {f"node-{n}": "complete" for n in (1, 2, 3)}))
        for number in (1, 2, 3):
            self.assertEqual([b["id"] for b in self.node(number).api().get("/cluster/backups")["items"]], [made["id"]])
            data = self.folder / f"restored-{number}"
            self.assertIn(made["id"], cli("restore", "--from", self.backups / f"node-{number}", "--to", data, "--id", made["id"]))
            self.assertGreater(self.node(number).metrics()["orrery_backup_last_bytes"], 0)

        self.end(3)
        wait_for(lambda: self.absent(3), "it is gone")
        partial = over(self.operator, self.operator.post("/cluster/backups"))
        self.assertEqual(partial["state"], "partial")
        self.assertEqual(self.states(partial), {"node-1": "complete", "node-2": "complete", "node-3": "absent"})
        self.start(3)
        self.wait_whole()
        last = over(self.operator, self.operator.post("/cluster/backups"))
        self.assertEqual(last["state"], "complete")
        self.assertEqual([b["id"] for b in self.operator.get("/cluster/backups")["items"]], [last["id"], partial["id"]])

    def test_one_that_ends_in_the_middle_has_failed(self):
        self.end(3)
        wait_for(lambda: self.absent(3), "it is gone")
        self.cluster.start_node(3, extra=["backup.bytes_per_second=1KiB"])
        self.wait_whole()
        begun = self.operator.post("/cluster/backups")
        backup = lambda: self.operator.get(f"/cluster/backups/{begun['id']}")
        wait_for(lambda: self.states(backup()) == {"node-1": "complete", "node-2": "complete", "node-3": "running"}, "two are done", LONG)
        refused(self, self.node(2).api(), "POST", "/cluster/backups", 409, "backup_running", json={})
        self.kill(3)
        got = over(self.operator, begun)
        self.assertEqual((got["state"], self.states(got)["node-3"]), ("partial", "failed"))
        self.assertEqual([n["reason"] for n in got["nodes"] if n["node"] == "node-3"], ["node_lost"])
        self.start(3)
        self.assertEqual(self.states(backup())["node-3"], "failed")
        self.wait_whole()
        again = over(self.operator, self.operator.post("/cluster/backups"))
        self.assertEqual(again["state"], "complete", again)


if __name__ == "__main__":
    unittest.main()
