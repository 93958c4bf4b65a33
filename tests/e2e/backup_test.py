"""Backups of a running node and of a running cluster, and what comes back from them."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

from api_kit import refused
from cluster_kit import ClusterTest
from files_test import FileKit, get, put
from fleet import Fleet, Poster, check, register
from mounts import Mounted
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


class OneNodeKit(unittest.TestCase):
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


class OneNode(OneNodeKit):
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


class FilesOfOneNode(FileKit, OneNodeKit):
    """The bytes of devices' files, which are beside the database."""

    def digest(self, data):
        return hashlib.sha256(data).hexdigest()

    def kept(self, folder, data):
        """The names under which those bytes lie there."""
        return [f for f in pathlib.Path(folder).iterdir() if f.name.endswith("." + self.digest(data))]

    def put_by_rest(self, node, data):
        api = node.api()
        device = next(d for d in api.get("~/devices")["items"] if d["deviceKey"] == node.demo["devices"][0]["deviceKey"])
        path = f"~/devices/{device['assetId']}/files"
        self.assertEqual(put(node, api.post(path, {"filename": "b.bin", "fileLength": len(data)})["uploadUrl"], data).status_code, 201)
        return path

    def restored(self, node, *arguments):
        """A node on what was restored."""
        data = self.folder / f"restored-{len(list(self.folder.iterdir()))}"
        cli("restore", "--from", self.backups / "orrery-1", "--to", data, *arguments)
        self.keys_of(node, data)
        other = Node(data=data, demo=False)
        self.addCleanup(other.close)
        other.demo = node.demo
        return other.start()

    def reads(self, node, path, data):
        """The file with those bytes, as an application gets it."""
        [file] = [f for f in node.api().get(path)["items"] if f.get("sha256") == self.digest(data)]
        self.assertEqual(file["status"], "stored")
        reply = get(node, node.api().post(f"{path}/{file['id']}:link")["downloadUrl"])
        self.assertEqual((reply.status_code, reply.content), (200, data))

    def test_they_come_back_and_go_with_the_last_backup_that_has_them(self):
        node = self.start()
        pool = self.backups / "orrery-1" / "blobs"
        first, second, third = os.urandom(700_000), b"by an application", b"later"
        device = node.device(0).connect()
        uri = self.stored(node, device, first)
        path = self.put_by_rest(node, second)
        made = [self.make(node)]
        self.assertGreater(made[0]["nodes"][0]["bytes"], 700_000)
        self.assertGreater(node.metrics()["orrery_backup_last_bytes"], 700_000)
        # As a node does it of itself, an hour later.
        self.assertEqual(device.request("thing/file/delete", "m", {"fileUri": uri})["code"], 200)
        self.kept(node.data / "blobs", first)[0].unlink()
        self.stored(node, device, third)
        made.append(self.make(node))
        self.assertEqual([len(self.kept(pool, d)) for d in (first, second, third)], [1, 1, 1])
        self.assertLess(made[1]["nodes"][0]["bytes"], made[0]["nodes"][0]["bytes"])
        device.close()
        node.kill()

        other = self.restored(node, "--id", made[0]["id"])
        for data in (first, second):
            self.reads(other, path, data)
        self.assertEqual(len(other.api().get(path)["items"]), 2)
        device = other.device(0).connect()
        self.assertEqual(get(other, self.download(device, uri)["downloadUrl"]).content, first)
        device.close()
        other.stop()
        newest = self.restored(node)
        for data in (second, third):
            self.reads(newest, path, data)
        self.assertEqual(len(newest.api().get(path)["items"]), 2)
        newest.stop()

        node.start()
        wait_for(lambda: node.api().get("/cluster/backups")["items"], "the folder is read")
        self.assertEqual([b["nodes"][0]["bytes"] for b in node.api().get("/cluster/backups")["items"]],
                         [b["nodes"][0]["bytes"] for b in made[::-1]], "as it was told when they were made")
        self.make(node)
        wait_for(lambda: not self.kept(pool, first), "no kept backup has it")
        self.assertEqual([len(self.kept(pool, d)) for d in (second, third)], [1, 1])
        self.assertEqual(len(list((self.backups / "orrery-1" / "blob_lists").iterdir())), 2)

    def test_what_no_record_names_goes_an_hour_after_it_came_back(self):
        node = self.start()
        path = self.put_by_rest(node, b"of a device")
        asset = path.split("/")[2]
        nobodys = node.data / "blobs" / f"{asset}.{self.digest(b'of nobody')}"
        nobodys.write_bytes(b"of nobody")
        before = time.time()
        os.utime(nobodys, (before - 7200, before - 7200))
        self.make(node)
        node.kill()
        other = self.restored(node)
        there = other.data / "blobs" / nobodys.name
        self.assertGreater(there.stat().st_mtime, before - 10, "its hour begins with the restore")
        for one in there.parent.iterdir():
            os.utime(one, (before - 7200, before - 7200))
        wait_for(lambda: not there.exists(), "it is swept", 150)
        self.reads(other, path, b"of a device")

    def test_damage_is_told_and_may_be_left_out(self):
        node = self.start()
        path = self.put_by_rest(node, b"good")
        self.put_by_rest(node, b"to be damaged")
        made = self.make(node)
        node.kill()
        [bad] = self.kept(self.backups / "orrery-1" / "blobs", b"to be damaged")
        bad.write_bytes(b"TO BE DAMAGED")
        said = cli("restore", "--from", self.backups / "orrery-1", "--to", self.folder / "new", code=1)
        self.assertIn(f"{bad} is damaged", said)
        self.assertFalse((self.folder / "new").exists())
        told = cli("restore", "--from", self.backups / "orrery-1", "--to", self.folder / "new", "--skip-damaged-files")
        self.assertIn(f"left out: {bad.name}", told)
        shown = json.loads(cli("--output", "json", "restore", "--from", self.backups / "orrery-1", "--to", self.folder / "json", "--skip-damaged-files"))
        self.assertEqual((shown["id"], shown["files"], shown["leftOut"]), (made["id"], 2, [bad.name]))
        other = self.restored(node, "--skip-damaged-files")
        self.reads(other, path, b"good")
        [lost] = [f for f in other.api().get(path)["items"] if f["sha256"] == self.digest(b"to be damaged")]
        reply = get(other, other.api().post(f"{path}/{lost['id']}:link")["downloadUrl"])
        self.assertEqual((reply.status_code, reply.json()["reason"]), (404, "file_lost"))

    def test_a_full_disk_is_told_and_the_next_one_is_whole(self):
        with Mounted(self.backups, "-t", "tmpfs", "-o", f"size={32 << 20}", "tmpfs"):
            node = self.start()
            self.make(node)
            filler = self.backups / "filler"
            filler.write_bytes(bytes(28 << 20))
            data = os.urandom(8 << 20)
            path = self.put_by_rest(node, data)
            failed = over(node.api(), node.api().post("/cluster/backups"))
            self.assertEqual((failed["state"], failed["nodes"][0]["reason"]), ("failed", "backup_full"), failed)
            self.assertEqual(self.kept(self.backups / "orrery-1" / "blobs", data), [])
            filler.unlink()
            self.make(node)
            node.kill()
            self.reads(self.restored(node), path, data)
            self.assertEqual([f.name for f in (self.backups / "orrery-1" / "blobs").iterdir() if f.name.startswith("incoming-")], [])

    def test_the_end_of_a_node_in_the_middle_of_one(self):
        node = self.start()
        data = os.urandom(4 << 20)
        path = self.put_by_rest(node, data)
        node.stop()
        node.settings.append("backup.bytes_per_second=64KiB")
        pool = self.backups / "orrery-1" / "blobs"
        copying = lambda: pool.exists() and any(f.name.startswith("incoming-") for f in pool.iterdir())
        for end in (node.stop, node.kill):
            node.start()
            wait_for(lambda: node.api().request("POST", "/cluster/backups", json={}).status_code == 202, "one begins")
            wait_for(copying, "bytes are copied")
            end()
            self.assertEqual(copying(), end == node.kill, "a crash leaves some of it")
        self.assertIn("backup_stopped", node.log_text())
        said = cli("restore", "--from", self.backups / "orrery-1", "--to", self.folder / "new", code=1)
        self.assertIn("there are: none", said)
        node.settings.pop()
        node.start()
        wait_for(lambda: node.api().request("POST", "/cluster/backups", json={}).status_code == 202, "one begins")
        wait_for(lambda: node.api().get("/cluster/backups")["items"][0]["state"] == "complete", "it is made", LONG)
        wait_for(lambda: not copying(), "what was left is gone")
        node.kill()
        self.reads(self.restored(node), path, data)


class WholeCluster(FileKit, ClusterTest):
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
        content = os.urandom(300_000)
        self.stored(self.node(2), device, content)
        made = over(self.operator, self.operator.post("/cluster/backups"))
        self.assertEqual((made["state"], self.states(made)), ("complete", {f"node-{n}": "complete" for n in (1, 2, 3)}))
        has_it = 0
        for number in (1, 2, 3):
            self.assertEqual([b["id"] for b in self.node(number).api().get("/cluster/backups")["items"]], [made["id"]])
            data = self.folder / f"restored-{number}"
            self.assertIn(made["id"], cli("restore", "--from", self.backups / f"node-{number}", "--to", data, "--id", made["id"]))
            metrics = self.node(number).metrics()
            kept = [f.read_bytes() for f in (data / "blobs").iterdir()]
            self.assertEqual(kept, [content] * int(metrics["orrery_blobs"]), "what the node has is in its part")
            self.assertGreater(metrics["orrery_backup_last_bytes"], len(content) * len(kept))
            has_it += len(kept)
        self.assertGreaterEqual(has_it, 2)

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
