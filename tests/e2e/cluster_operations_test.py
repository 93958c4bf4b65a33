"""The cluster in an operator's hands: status, drain, undrain, remove, replace, on real processes."""
import base64
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import requests

from api_kit import all_of, refused
from cluster_kit import ClusterTest
from orrery import BIN, wait_for

LONG = 90  # seconds: shards move four at a time


def text(plain):
    """As etcd's JSON gateway wants keys and values."""
    return base64.b64encode(plain.encode()).decode()


class OperationsTest(ClusterTest):
    def setUp(self):
        super().setUp()
        self.operator = self.admin(1)
        self.wait_whole()

    def admin(self, number):
        node = self.node(number)
        tokens = node.api(token="none").post("/auth/login", {"user": "admin", "password": self.cluster.password()})
        return node.api(tokens["access"])

    def status(self):
        return self.operator.get("/cluster")

    def of(self, name):
        return next(n for n in self.status()["nodes"] if n["name"] == name)

    def held(self, name):
        node = self.of(name)
        return node["inSync"] + node["learning"]

    def wait_whole(self):
        wait_for(lambda: (s := self.status()["shards"])["whole"] == s["total"], "every shard is whole", LONG)

    def wait_empty(self, name):
        wait_for(lambda: self.held(name) == 0, f"{name} holds nothing", LONG)


class Orders(OperationsTest):
    settings = ("drain.sessions_per_second=0",)  # devices stay; e2e/cluster_redirect_test.py has the others

    def test_status_is_the_same_on_every_node(self):
        for number in (1, 2, 3):
            status = self.admin(number).get("/cluster")
            self.assertEqual((status["name"], status["node"]), ("orrery", f"node-{number}"))
            self.assertEqual(status["coordinator"], {"kind": "etcd", "reachable": True})
            self.assertIn(status["controller"], ("node-1", "node-2", "node-3"))
            self.assertEqual({n["name"]: n["state"] for n in status["nodes"]}, {f"node-{n}": "up" for n in (1, 2, 3)})
            self.assertEqual(sum(n["primaries"] for n in status["nodes"]), status["shards"]["total"])
            self.assertEqual(status["nodes"][0]["addresses"]["mqtt"].split(":")[0], self.cluster.host(1))
        shards = all_of(self.operator, "/cluster/shards", 50)
        self.assertEqual([s["shard"] for s in shards[:-1]], list(range(64)))
        self.assertTrue(shards[-1]["catalogue"])
        for shard in shards[:-1]:
            self.assertEqual(len(shard["inSync"]), 2, shard)
            self.assertIn(shard["primary"], shard["inSync"])
        self.assertEqual(self.operator.post("/cluster:rebalance")["moves"], [])

    def test_a_drained_node_holds_nothing_and_serves_its_devices(self):
        devices = [self.connected(self.node(2), i) for i in range(5)]
        node = self.operator.post("/cluster/nodes/node-2:drain")
        self.assertEqual((node["name"], node["state"], node["order"]), ("node-2", "draining", "drain"))
        value = 0
        while self.held("node-2") > 0:
            value += 1
            for device in devices:
                self.assertEqual(device.post({"power": float(value)})["code"], 200, "while shards move")
            self.assertLess(value, 5000)
        self.wait_whole()
        for number in (1, 2, 3):
            api = self.node(number).api()
            for one in self.node(1).demo["devices"]:
                [power] = [p for p in api.get(f"~/devices/{one['assetId']}/points/latest")["items"] if p["point"] == "power"]
                self.assertEqual(power["value"], value)
        metrics = self.node(2).metrics()
        self.assertEqual((metrics["orrery_cluster_primaries"], metrics["orrery_cluster_in_sync"]), (0, 0))
        self.assertEqual(metrics["orrery_sessions"], 5, "nobody was thrown out")
        for shard in all_of(self.operator, "/cluster/shards", 50):
            self.assertNotIn("node-2", shard["inSync"] + shard["replicas"])
        node = self.operator.post("/cluster/nodes/node-2:undrain")
        self.assertEqual(node["state"], "up")
        wait_for(lambda: self.of("node-2")["primaries"] >= 15, "it leads again", LONG)
        self.wait_whole()
        for device in devices:
            self.assertEqual(device.post({"power": 1.0})["code"], 200)

    def test_a_removed_node_stays_away_until_it_is_taken_back(self):
        device = self.connected(self.node(1), 0)
        self.operator.post("/cluster/nodes/node-3:remove")
        self.wait_empty("node-3")
        self.assertEqual(self.of("node-3")["state"], "removed")
        self.assertEqual(self.end(3), 0)
        wait_for(lambda: not self.of("node-3")["present"], "it is gone")
        self.assertEqual(device.post({"power": 2.0})["code"], 200)
        refused(self, self.operator, "POST", "/cluster/nodes/node-3:drain", 409, "node_removed", json={})
        self.cluster.start_node(3, wait=False)
        self.assertEqual(self.cluster.started["node-3"].wait(30), 5)
        self.assertIn("orrery cluster undrain", (self.folder / "node-3.log").read_text())
        self.operator.post("/cluster/nodes/node-3:undrain")
        self.start(3)
        wait_for(lambda: self.of("node-3")["primaries"] > 10, "it has shards again", LONG)

    def test_one_that_was_killed_is_made_up_for_when_it_is_removed(self):
        device = self.connected(self.node(1), 0)
        self.kill(3)
        wait_for(lambda: self.of("node-3")["state"] == "absent", "its registration runs out")
        wait_for(lambda: self.status()["shards"]["withoutPrimary"] == 0, "others take over", 30)
        self.assertGreater(self.status()["shards"]["lacking"], 0)
        self.operator.post("/cluster/nodes/node-3:remove")
        self.wait_whole()
        self.wait_empty("node-3")
        self.assertEqual(device.post({"power": 3.0})["code"], 200)

    def test_orders_that_cannot_be(self):
        refused(self, self.operator, "POST", "/cluster/nodes/node-9:drain", 404, "node_unknown", json={})
        refused(self, self.operator, "POST", "/cluster/nodes/node-1:replace", 422, "same_node", json={"by": "node-1"})
        self.kill(3)
        wait_for(lambda: self.of("node-3")["state"] == "absent", "its registration runs out")
        refused(self, self.operator, "POST", "/cluster/nodes/node-1:replace", 409, "node_absent", json={"by": "node-3"})
        self.operator.post("/cluster/nodes/node-2:drain")
        refused(self, self.operator, "POST", "/cluster/nodes/node-1:drain", 409, "too_few_nodes", json={})
        key = self.operator.post("~/apps/ops/keys", {"permissions": ["cluster:read", "device:*"]})["apiKey"]
        self.node(2).api(key).get("/cluster")
        refused(self, self.node(2).api(key), "POST", "/cluster/nodes/node-3:undrain", 403, "forbidden", json={})

    def test_without_the_coordinator_status_says_so(self):
        self.cluster.send("etcd-1", signal.SIGSTOP)
        try:
            status = self.status()
            self.assertFalse(status["coordinator"]["reachable"])
            self.assertTrue(status["coordinator"]["trouble"])
            self.assertEqual(len(status["nodes"]), 3)
            refused(self, self.operator, "POST", "/cluster/nodes/node-1:drain", 503, "coordinator_unavailable", json={})
        finally:
            self.cluster.send("etcd-1", signal.SIGCONT)
        self.wait_whole()
        wait_for(lambda: self.status()["coordinator"]["reachable"], "it answers again")


class CommandLine(OperationsTest):
    nodes = 4

    def setUp(self):
        super().setUp()
        home = tempfile.mkdtemp(prefix="orrery-home-")
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        self.environment = {"HOME": home, "PATH": os.environ["PATH"], "ORRERY_PASSWORD": self.cluster.password(),
                            "ORRERY_SERVER": f"http://{self.cluster.host(1)}:{self.node(1).ports['api']}"}
        self.cli("login", "--user", "admin")

    def run_cli(self, *arguments):
        return subprocess.run([str(BIN / "orrery"), *arguments], capture_output=True, text=True, timeout=200, env=self.environment)

    def cli(self, *arguments):
        done = self.run_cli(*arguments)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def test_as_an_operator_types(self):
        table = self.cli("cluster", "status")
        self.assertIn("65 with 2 copies: 65 whole", table)
        self.assertEqual(len(re.findall(r"^node-\d +up ", table, re.M)), 4)
        self.assertEqual(json.loads(self.cli("cluster", "status", "--output", "json"))["name"], "orrery")
        self.assertEqual(len(self.cli("cluster", "shards").splitlines()), 66)
        self.assertEqual(self.cli("cluster", "rebalance"), "every shard is where it belongs\n")

        done = self.run_cli("cluster", "drain", "node-2", "--wait")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("node-2 holds nothing", done.stdout)
        self.assertRegex(done.stderr, r"node-2: \d+ shards left, it serves \d+")
        self.assertEqual(len(self.cli("cluster", "shards", "--node", "node-2").splitlines()), 1)
        self.assertRegex(self.cli("cluster", "status"), r"(?m)^node-2 +draining +0 +0 +0 ")
        self.assertIn("gets its shards again", self.cli("cluster", "undrain", "node-2"))
        wait_for(lambda: self.of("node-2")["primaries"] > 10, "it has shards again", LONG)

        replaced = json.loads(self.cli("--output", "json", "cluster", "replace", "node-3", "node-4", "--wait"))
        self.assertEqual((replaced["state"], replaced["inSync"], replaced["learning"]), ("removed", 0, 0))
        self.assertEqual(self.end(3), 0)
        wait_for(lambda: not self.of("node-3")["present"], "it is gone")
        table = self.cli("cluster", "status")
        self.assertNotIn("node-3", table)
        self.assertIn("1 that were removed", table)
        self.assertRegex(self.cli("cluster", "status", "--all"), r"(?m)^node-3 +removed")

        refusal = self.run_cli("cluster", "drain", "node-7")
        self.assertEqual(refusal.returncode, 1)
        self.assertIn("node-1, node-2, node-3, node-4", refusal.stderr)
        self.assertEqual(self.run_cli("cluster", "drain", "node-1", "--wait", "--timeout", "0").returncode, 1)


class AnotherCluster(ClusterTest):
    nodes = 1

    def etcd(self, call, **body):
        """A call of etcd's JSON gateway."""
        reply = requests.post(f"http://{self.cluster.etcd_host(1)}:2379/v3/kv/{call}", json=body, timeout=20)
        reply.raise_for_status()
        return reply.json()

    def start_refused(self, *texts, extra=(), code=5):
        log = self.folder / "node-1.log"
        before = len(log.read_bytes())
        self.cluster.start_node(1, extra=extra, wait=False)
        self.assertEqual(self.cluster.started["node-1"].wait(30), code)
        said = log.read_bytes()[before:].decode()
        for text in texts:
            self.assertIn(text, said)

    def test_is_not_joined_with_the_data_of_this_one(self):
        self.assertEqual(self.end(1), 0)
        self.start_refused("cluster.name to orrery", extra=["cluster.name=other"])
        everything = {"key": text("/orrery/"), "range_end": text("/orrery0")}
        self.etcd("deleterange", **everything)
        self.start_refused("knows nothing of it", "cluster.endpoints", "snapshot restore")
        self.assertNotIn("kvs", self.etcd("range", **everything), "it has founded nothing")
        about = {"format": 1, "shards": 64, "made": 1, "keyCheck": self.key_check()}
        self.etcd("put", key=text("/orrery/orrery/about"), value=text(json.dumps(about)))
        self.start_refused("made at another time")

    def test_an_empty_data_folder_does_not_stand_in_for_one_that_is_counted_on(self):
        self.cluster.send("node-1", signal.SIGKILL)
        self.cluster.started["node-1"].wait()
        self.cluster.data(1).rename(self.folder / "kept")
        self.start_refused("counts on a node of this name for 65 shards", "node.data", "orrery cluster replace")
        shutil.rmtree(self.cluster.data(1))
        (self.folder / "kept").rename(self.cluster.data(1))
        self.start(1)

    def test_a_start_that_cannot_be_names_the_setting(self):
        port = self.cluster.ready(1)["ports"]["link"]
        self.assertEqual(self.end(1), 0)
        with socket.socket() as taken:
            # The links of the node that ended may linger on the port: they do not keep a listener from it.
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind((self.cluster.host(1), port))
            taken.listen()
            self.start_refused(f"listeners.link: {self.cluster.host(1)}:{port}", "in use", code=4)
        empty = self.folder / "empty.pem"
        empty.touch()
        for setting in ("cluster.link_certificate", "cluster.link_key", "cluster.link_ca", "tls.certificate", "tls.key"):
            for file in (self.folder / "nowhere.pem", empty):
                self.start_refused("bad settings", f"{setting}: cannot read {file}", extra=[f"{setting}={file}"], code=2)
        self.start(1)

    def key_check(self):
        key = bytes.fromhex((self.folder / "master.key").read_text().strip())
        return hashlib.sha256(key + b":check").hexdigest()[:16]


if __name__ == "__main__":
    unittest.main()
