"""The audit log of a cluster: whatever node is asked, and whichever fails, there is one chain with each acknowledged change in it once."""
import hashlib
import json
import threading
import unittest

import requests

from audit_test import Kit
from cluster_kit import ClusterTest
from orrery import wait_for


def shard_of_log(organisation, shards=64):
    return int(hashlib.sha256(f"audit:{organisation}".encode()).hexdigest()[40:46], 16) % shards


class Changes(threading.Thread):
    """Makes applications on one node, one after the other, as long as it is told to."""

    def __init__(self, name, api):
        super().__init__()
        self.label, self.api, self.over = name, api, threading.Event()
        self.done, self.doubtful = [], []

    def run(self):
        n = 0
        while not self.over.is_set():
            n += 1
            try:
                reply = self.api.session.post(f"{self.api.base}{self.api.org}/apps", json={"id": f"{self.label}-{n}"}, timeout=60)
            except requests.RequestException:
                self.doubtful.append(f"{self.label}-{n}")
                continue
            if reply.status_code == 201:
                self.done.append((f"{self.label}-{n}", reply.headers["X-Request-Id"]))
            else:
                self.doubtful.append((f"{self.label}-{n}", reply.status_code, reply.text))


class ClusterAudit(ClusterTest):
    def leader_of_log(self):
        primary = self.records()[str(shard_of_log('default'))]["primary"]
        return next(n for n in range(1, self.nodes + 1) if self.number_of(n) == primary)

    def test_any_node_writes_and_reads_it(self):
        apis = {n: self.node(n).api() for n in (1, 2, 3)}
        ids = [apis[n].request("POST", "~/apps", json={"id": f"from-{n}"}).headers["X-Request-Id"] for n in apis]
        for n, api in apis.items():
            noted = [r["requestId"] for r in reversed(api.get("~/audit?action=createApp")["items"]) if r["requestId"] in ids]
            self.assertEqual(noted, ids, f"node {n}")
            Kit.verify(self, Kit.export(self, api))
        self.assertEqual(len({json.dumps(api.get("~/audit/head")) for api in apis.values()}), 1)

    def test_the_chain_goes_on_when_its_leader_is_killed(self):
        self.wait_whole()
        leader = self.leader_of_log()
        others = [n for n in (1, 2, 3) if n != leader]
        changes = [Changes(f"at-{n}", self.node(n).api()) for n in others]
        for c in changes:
            c.start()
        wait_for(lambda: all(len(c.done) > 20 for c in changes), "changes are made")
        self.kill(leader)
        so_far = [len(c.done) for c in changes]
        try:
            wait_for(lambda: all(len(c.done) > n + 20 for c, n in zip(changes, so_far)), "changes are made again", 60)
        finally:
            for c in changes:
                c.over.set()
            for c in changes:
                c.join()
        api = self.node(others[0]).api()
        acknowledged = [request for c in changes for _, request in c.done]
        # What was answered late may still be on its way.
        wait_for(lambda: api.get("~/audit/head")["number"] >= len(acknowledged), "the log has them")
        text = Kit.export(self, api)
        Kit.verify(self, text)
        noted = [json.loads(line)["record"]["requestId"] for line in text.splitlines() if line.startswith('{"hash"')]
        self.assertEqual([i for i in acknowledged if noted.count(i) != 1], [])
        self.assertEqual(len(noted), len(set(noted)), "each once")
        self.start(leader)
        wait_for(self.node(leader).is_ready, "it is back", 60)
        self.assertEqual(Kit.verify(self, Kit.export(self, self.node(leader).api()))[0] >= len(noted), True)


if __name__ == "__main__":
    unittest.main()
