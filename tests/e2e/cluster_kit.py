"""Clusters of real processes for tests: three nodes and etcd on loopback addresses of their own."""
import base64
import importlib.machinery
import importlib.util
import json
import pathlib
import shutil
import signal
import socket
import tempfile
import unittest

import requests

import orrery

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load_deploy():
    loader = importlib.machinery.SourceFileLoader("deploy_cluster", str(ROOT / "deploy/cluster"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("deploy_cluster", loader))
    loader.exec_module(module)
    return module


def free_net():
    """A first address of 127.0.0.x whose block of 20 nobody uses; held while the socket lives."""
    for net in range(30, 230, 20):
        holder = socket.socket()
        try:
            holder.bind((f"127.0.0.{net}", 7900))
            return net, holder
        except OSError:
            holder.close()
    raise AssertionError("no block of loopback addresses is free")


class ClusterNode:
    """One node, as orrery.Api and orrery.Device want it."""

    def __init__(self, cluster, number):
        self.cluster, self.number = cluster, number
        self.host = cluster.host(number)
        ready = cluster.ready(number)
        self.ports, self.ca = ready["ports"], str(cluster.folder / "pki/ca.pem")
        self.demo = json.loads((cluster.data(1) / "demo.json").read_text())

    def api(self, token=None, org="-"):
        return orrery.Api(self, token or self.demo["apiKey"], org)

    def device(self, index=0, **options):
        of = self.demo["devices"][index]
        return orrery.Device(self, self.demo["productKey"], of["deviceKey"], of["deviceSecret"], **options)

    def is_ready(self):
        return requests.get(f"http://{self.host}:{self.ports['admin']}/readyz", timeout=orrery.DEADLINE).status_code == 200

    def metrics(self):
        text = requests.get(f"http://{self.host}:{self.ports['admin']}/metrics", timeout=10).text
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}


class ClusterTest(unittest.TestCase):
    """Each test has a cluster of its own with the demo content."""
    nodes = 3
    members = 1
    settings = ()

    def failures(self):
        result = self._outcome.result
        return len(result.failures) + len(result.errors)

    def setUp(self):
        self.failures_before = self.failures()
        net, holder = free_net()
        self.addCleanup(holder.close)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="orrery-cluster-"))
        self.cluster = load_deploy().Cluster(self.folder, self.nodes, self.members, (*orrery.MANY_LOGINS, *self.settings), binaries=orrery.BIN, net=net, demo=True)
        self.addCleanup(self.clear)
        self.cluster.up()
        for number in range(1, self.nodes + 1):
            orrery.wait_for(self.node(number).is_ready, f"node {number} to have the catalogue")

    def clear(self):
        self.cluster.down()
        if self.failures() > self.failures_before:
            print(f"the cluster's folder is kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def grow(self, nodes):
        """Makes what is needed for so many; the new ones are to be started yet."""
        self.cluster.nodes = nodes
        self.cluster.make_files()

    def node(self, number):
        return ClusterNode(self.cluster, number)

    def records(self):
        """Of all shards, as the coordinator has them."""
        return self.keys("shard/")

    def number_of(self, node):
        """Of node-<node>, at the coordinator: given in the order in which they came."""
        return self.keys("number/")[f"node-{node}"]

    def keys(self, below):
        prefix = "/orrery/orrery/" + below
        encode = lambda text: base64.b64encode(text.encode()).decode()
        reply = requests.post(f"http://{self.cluster.etcd_host(1)}:2379/v3/kv/range", timeout=10,
                              json={"key": encode(prefix), "range_end": encode(prefix[:-1] + "0")}).json()
        return {base64.b64decode(kv["key"]).decode().removeprefix(prefix): json.loads(base64.b64decode(kv["value"]))
                for kv in reply.get("kvs", [])}

    def wait_whole(self, deadline=60):
        """Until every replica of every shard is in sync, and who is to lead leads."""
        def is_whole():
            records = self.records()
            return len(records) == 65 and all(set(r["inSync"]) == set(r["replicas"]) and r["primary"] == r["preferred"]
                                              for r in records.values())
        orrery.wait_for(is_whole, "all shards are whole", deadline)

    def kill(self, number):
        self.cluster.send(f"node-{number}", signal.SIGKILL)
        self.cluster.started[f"node-{number}"].wait()

    def end(self, number):
        self.cluster.send(f"node-{number}", signal.SIGTERM)
        return self.cluster.started[f"node-{number}"].wait(20)

    def start(self, number):
        self.cluster.start_node(number)

    def connected(self, node, index=0, **options):
        device = node.device(index, **options)
        self.addCleanup(device.close)
        return device.connect()
