"""The documents, samples and dashboards against a running node: settings, metrics, calls of the API."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import requests
import yaml

from cluster_kit import free_net, load_deploy
from orrery import BIN, NodeTest, wait_for

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
OPERATIONS = (SOURCE / "docs/operations.md").read_text()
METRIC = re.compile(r"\b(?:orrery|process)_[a-z0-9_]+")


def section(text, title):
    """The part of a document under a heading of the second level."""
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.S | re.M).group(1)


def flat(tree, path=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, path + key + ".")
        else:
            yield path + key, value


class Settings(unittest.TestCase):
    """What `orreryd --print-config` says stands everywhere else."""

    @classmethod
    def setUpClass(cls):
        printed = subprocess.run([BIN / "orreryd", "--print-config"], capture_output=True, text=True, timeout=20, check=True).stdout
        cls.settings = dict(flat(yaml.safe_load(printed)))

    def test_the_sample_file_is_the_defaults(self):
        self.assertEqual(dict(flat(yaml.safe_load((SOURCE / "config/orrery.yaml").read_text()))), self.settings)

    def test_operations_has_each_with_its_default(self):
        rows = re.findall(r"^\| `([a-z_.]+)` \| `(.*?)` \|", section(OPERATIONS, "Settings"), re.M)
        self.assertEqual({name: yaml.safe_load(default) for name, default in rows}, self.settings)

    def test_settings_that_documents_name_exist(self):
        sections = {name.split(".")[0] for name in self.settings}
        for path in [SOURCE / "README.md", *sorted((SOURCE / "docs").rglob("*.md")), SOURCE / "deploy/prometheus/orrery.rules.yml"]:
            for name in re.findall(r"[`\s(]((?:%s)\.[a-z_]+(?:\.[a-z_]+)?)(?=[`\s,:)])" % "|".join(sections), path.read_text()):
                if name == "mqtt.connection" or name.endswith((".md", ".json")):  # a unit of the log; files
                    continue
                self.assertTrue(name in self.settings or any(s.startswith(name + ".") for s in self.settings), f"{path.name}: no setting {name}")


class Metrics(NodeTest):
    """Every metric somebody may look for is there, and every one there is explained."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Series with labels appear with what they count: a message, a refusal, a connection that ends, a request.
        device = cls.node.device(0).connect()
        device.post({"power": 1.0})
        device.close()
        stranger = cls.node.device(0)
        stranger.client.username_pw_set("nobody&nothing", "none")
        stranger.try_connect()
        stranger.close()
        cls.api.get("~/devices")
        admin = f"http://127.0.0.1:{cls.node.ports['admin']}"
        text = wait_for(lambda: (t := requests.get(admin + "/metrics", timeout=10).text) and "orrery_mqtt_closed_total{" in t and t,
                        "the connection's end is counted")
        text += cls.of_a_cluster()
        cls.types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        cls.samples = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}

    @classmethod
    def of_a_cluster(cls):
        """What a node of a cluster has beside them."""
        net, holder = free_net()
        cls.addClassCleanup(holder.close)
        folder = tempfile.mkdtemp(prefix="orrery-cluster-")
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        cluster = load_deploy().Cluster(folder, nodes=1, members=1, binaries=BIN, net=net)
        cls.addClassCleanup(cluster.down)
        cluster.up()
        admin = f"http://{cluster.host(1)}:{cluster.ready(1)['ports']['admin']}"
        return "".join(line + "\n" for line in requests.get(admin + "/metrics", timeout=10).text.splitlines() if "orrery_cluster_" in line)

    def assert_there(self, names, where):
        for name in sorted(names):
            self.assertIn(name, self.samples | set(self.types), f"{where} names {name}")

    def test_operations_explains_each_with_its_type(self):
        rows = dict(re.findall(r"^\| `((?:orrery|process)_[a-z0-9_]+)` \| ([a-z]+) \|", section(OPERATIONS, "Metrics"), re.M))
        self.assertEqual(rows, self.types)

    def test_alerts_look_at_metrics_that_are_there(self):
        groups = yaml.safe_load((SOURCE / "deploy/prometheus/orrery.rules.yml").read_text())["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        for rule in rules:
            self.assertTrue({"alert", "expr", "labels", "annotations"} <= set(rule), rule)
            self.assert_there(METRIC.findall(rule["expr"]), rule["alert"])
        explained = set(re.findall(r"`(Orrery[A-Za-z]+)`", section(OPERATIONS, "Alerts")))
        self.assertEqual(explained, {rule["alert"] for rule in rules})

    def test_reasons_that_alerts_and_documents_name_are_reasons(self):
        sources = "\n".join(p.read_text() for folder in ("transport/mqtt", "actors", "model/device", "transport/link.cpp", "transport/login_guard.cpp")
                            for p in ([SOURCE / folder] if folder.endswith(".cpp") else (SOURCE / folder).rglob("*.[ch]pp")))
        listed = section(OPERATIONS, "Metrics").split("`reason` of an end:")[1]
        for reason in re.findall(r"`([a-z_]+)`", listed):
            self.assertTrue(f'"{reason}"' in sources, f"no such reason: {reason}")
        for reason in re.findall(r'reason=~?"([a-z_|]+)"', (SOURCE / "deploy/prometheus/orrery.rules.yml").read_text()):
            for one in reason.split("|"):
                self.assertIn(f"`{one}`", listed)

    def test_the_dashboard_shows_metrics_that_are_there(self):
        dashboard = json.loads((SOURCE / "deploy/grafana/orrery.json").read_text())
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        shown = set()
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                names = METRIC.findall(target["expr"])
                self.assertTrue(names, panel["title"])
                self.assert_there(names, panel["title"])
                shown |= set(names)
        bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
        self.assertEqual(set(self.types) - bases - {"orrery_build_info", "orrery_log_dropped_total"}, set(), "metrics without a panel")

    def test_prometheus_scrapes_the_default_admin_port(self):
        sample = yaml.safe_load((SOURCE / "deploy/prometheus/prometheus.yml").read_text())
        self.assertEqual(sample["scrape_configs"][0]["static_configs"][0]["targets"], ["127.0.0.1:8091"])
        for name in sample["rule_files"]:
            self.assertTrue((SOURCE / "deploy/prometheus" / name).exists())


class Calls(NodeTest):
    def test_calls_that_the_api_page_names_exist(self):
        text = (SOURCE / "docs/api.md").read_text() + (SOURCE / "docs/models.md").read_text()
        calls = re.findall(r"`(GET|POST|PUT|PATCH|DELETE) ([~@/][^\s`?]*)", text)
        self.assertGreater(len(calls), 15)
        for method, path in calls:
            path = path.replace("@d", "~/devices/{asset}").replace("~", "/orgs/-")
            self.assertIsNotNone(self.api.operation_of(method, path), f"{method} {path}")


if __name__ == "__main__":
    unittest.main()
