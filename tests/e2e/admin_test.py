"""The operator's port: /metrics as Prometheus reads it, /healthz, /readyz."""
import json
import socket
import unittest

import requests
from prometheus_client.parser import text_string_to_metric_families

from api_kit import serve
from orrery import NodeTest, wait_for


class Admin(NodeTest):
    def get(self, path, method="GET"):
        return requests.request(method, f"http://127.0.0.1:{self.node.ports['admin']}{path}", timeout=30)

    def families(self):
        return {f.name: f for f in text_string_to_metric_families(self.get("/metrics").text)}

    def value(self, family, **labels):
        for sample in self.families()[family].samples:
            if labels.items() <= sample.labels.items():
                return sample.value
        return 0


class Metrics(Admin):
    def test_are_prometheus_text(self):
        reply = self.get("/metrics")
        self.assertEqual(reply.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        families = list(text_string_to_metric_families(reply.text))
        names = [f.name for f in families]
        self.assertEqual(len(names), len(set(names)), "each family stands together")
        for family in families:
            self.assertTrue(family.name.startswith(("orrery_", "process_")), family.name)
            self.assertIn(family.type, ("counter", "gauge", "histogram"), family.name)
            self.assertTrue(family.documentation, family.name)
            self.assertTrue(family.samples, family.name)
            series = [(s.name, tuple(sorted(s.labels.items()))) for s in family.samples]
            self.assertEqual(len(series), len(set(series)), family.name)
            if family.type == "histogram":
                self.histogram(family)

    def histogram(self, family):
        buckets = [s for s in family.samples if s.name.endswith("_bucket")]
        bounds = [float(s.labels["le"]) for s in buckets]
        counts = [s.value for s in buckets]
        self.assertEqual(bounds, sorted(bounds))
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(bounds[-1], float("inf"))
        [count] = [s.value for s in family.samples if s.name.endswith("_count")]
        self.assertEqual(counts[-1], count)

    def test_hold_what_an_operator_asks_for(self):
        made, device = self.new_device()
        serve(device)
        device.post({"power": 1.0})
        device.post({"power": "x"})
        self.api.post(f"~/devices/{made['assetId']}/services/reboot:invoke")
        stream = self.api.stream({"kind": "points"})
        self.addCleanup(stream.close)
        families = self.families()
        for name in ("orrery_mqtt_connections", "orrery_mqtt_half_open_connections", "orrery_api_connections", "orrery_sessions", "orrery_mqtt_messages",
                     "orrery_mqtt_closed", "orrery_api_requests", "orrery_api_request_seconds", "orrery_journal_group_records", "orrery_journal_commit_seconds",
                     "orrery_journal_queued_bytes", "orrery_journal_failed_groups", "orrery_feed_subscribers", "orrery_feed_dropped", "orrery_entities_awake",
                     "orrery_rocksdb_memtable_bytes", "orrery_rocksdb_sst_bytes", "orrery_rocksdb_pending_compaction_bytes",
                     "orrery_rocksdb_block_cache_bytes", "orrery_rocksdb_write_stopped", "orrery_log_dropped", "orrery_build_info"):
            self.assertIn(name, families)
        kinds = {(s.labels["kind"], s.labels["result"]) for s in families["orrery_mqtt_messages"].samples}
        self.assertGreaterEqual(len({kind for kind, _ in kinds}), 2, kinds)
        self.assertGreaterEqual(len({result for _, result in kinds}), 2, kinds)

    def test_follow_what_happens(self):
        made, device = self.new_device()
        self.assertEqual(self.value("orrery_mqtt_connections"), 1)
        self.assertEqual(self.value("orrery_sessions"), 1)
        committed = self.value("orrery_journal_group_records", le="+Inf")
        for i in range(10):
            device.post({"power": float(i)})
        self.assertGreaterEqual(self.value("orrery_journal_group_records", le="+Inf"), committed + 10)
        self.assertGreaterEqual(self.value("orrery_entities_awake"), 1)
        before = self.value("orrery_api_requests", operation="getDevice", status="404")
        self.api.request("GET", "~/devices/none", expect=404)
        self.assertEqual(self.value("orrery_api_requests", operation="getDevice", status="404"), before + 1)
        stream = self.api.stream({"kind": "points"}, {"kind": "events"})
        self.assertEqual(self.value("orrery_feed_subscribers"), 2)
        stream.close()
        device.close()
        wait_for(lambda: self.value("orrery_mqtt_connections") == 0 and self.value("orrery_sessions") == 0 and self.value("orrery_feed_subscribers") == 0,
                 "all is let go")

    def test_name_no_device(self):
        made, device = self.new_device()
        device.post({"power": 1.0})
        text = self.get("/metrics").text
        for name in (made["deviceKey"], made["assetId"], made["deviceSecret"], self.node.demo["apiKey"]):
            self.assertNotIn(name, text)

    def test_unknown_paths_make_no_series(self):
        for i in range(50):
            requests.get(f"{self.api.base}/nothing/{i}", timeout=30)
        series = [s for s in self.families()["orrery_api_requests"].samples if s.labels["operation"] == "none"]
        self.assertEqual(len(series), 1)


class Health(Admin):
    def test_of_a_node_that_serves(self):
        for path, text in (("/healthz", "ok\n"), ("/readyz", "ready\n")):
            reply = self.get(path)
            self.assertEqual((reply.status_code, reply.text), (200, text))
            self.assertEqual(self.get(path, "HEAD").status_code, 200)
            refused = self.get(path, "POST")
            self.assertEqual((refused.status_code, refused.headers["Allow"]), (405, "GET, HEAD"))
        self.assertEqual(self.get("/").status_code, 404)
        self.assertEqual(self.get("/api/v1/auth/me").status_code, 404, "the API is not here")
        self.assertEqual(requests.get(self.api.base.replace("/api/v1", "/metrics"), timeout=30).status_code, 404, "and this is not there")

    def test_the_ready_file_names_only_ports_that_accept(self):
        ready = json.loads(self.node.ready_file.read_text())
        self.assertEqual(set(ready["ports"]), {"mqtt", "mqtts", "http", "https", "api", "apis", "admin"})
        for port in ready["ports"].values():
            socket.create_connection(("127.0.0.1", port), timeout=20).close()


if __name__ == "__main__":
    unittest.main()
