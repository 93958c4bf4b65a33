"""A node that was alone becomes the first of a cluster: what it has is on the others then."""
import pathlib
import shutil
import tempfile
import unittest

import orrery
from cluster_kit import ClusterTest, free_net, load_deploy

DEVICES = 100


class First(ClusterTest):
    def setUp(self):
        self.failures_before = self.failures()
        net, holder = free_net()
        self.addCleanup(holder.close)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="orrery-cluster-"))
        self.cluster = load_deploy().Cluster(self.folder, 3, 1, binaries=orrery.BIN, net=net)
        self.addCleanup(self.clear)
        self.cluster.make_files()

    def start_alone(self, *more):
        """Node 1, without its settings of a cluster."""
        command, alone = self.cluster.node_command(1), []
        while command:
            part = command.pop(0)
            if part == "--set" and command[0].startswith(("cluster.", "node.master_key")):
                command.pop(0)
            else:
                alone.append(part)
        self.cluster.ready_file(1).unlink(missing_ok=True)
        self.cluster.spawn("node-1", [*alone, *more])

    def test_what_it_has_is_on_the_others_then(self):
        self.start_alone("--demo")
        self.cluster.wait_ready(1)
        self.node(1).api().post("~/devices:batch", {"items": [
            {"productKey": "demo-inverter", "deviceKey": f"x{i}", "tags": {"n": f"tag {i}"}} for i in range(DEVICES)]})
        self.assertEqual(self.end(1), 0)
        shutil.copy(self.cluster.data(1) / "master.key", self.cluster.folder / "master.key")

        self.cluster.start_member(1)
        self.cluster.wait_member(1)
        self.start(1)
        orrery.wait_for(lambda: len([r for r in self.records().values() if r["primary"] == 1]) == 65, "it has all shards")
        self.start(2)
        self.start(3)
        self.wait_whole()
        self.assertTrue(all(len(r["replicas"]) > 1 for r in self.records().values()))
        self.kill(1)  # whatever it led is led by others now
        api = self.node(2).api()
        for i in range(DEVICES):
            self.assertIn(f"tag {i}", str(api.get(f"~/products/demo-inverter/devices/x{i}")), i)

        # Alone it is not served again: the others may have gone on.
        self.start_alone()
        self.assertEqual(self.cluster.started["node-1"].wait(20), 2)


if __name__ == "__main__":
    unittest.main()
