"""A node that cannot start says why, where and what to do, and ends with the exit code for it."""
import os
import subprocess
import tempfile
import unittest

from mounts import Mounted
from orrery import BIN, DEADLINE, Node, free_socket

META_FORMAT = "0x" + (b"\xff\xff" + b"format").hex()


def run(*arguments, environment=None):
    """Runs orreryd until it ends by itself; gives (exit code, what it said)."""
    done = subprocess.run([str(BIN / "orreryd"), *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE,
                          env=dict(os.environ, **(environment or {})))
    return done.returncode, done.stderr


class Start(unittest.TestCase):
    def setUp(self):
        self.node = Node(demo=False, settings=("log.level=error",))
        self.addCleanup(self.node.close)

    def refused(self, code, *words, more=()):
        """Starts the node; it must end with `code` and say all of `words`."""
        self.node.folder.mkdir(exist_ok=True)
        self.node.ready_file.unlink(missing_ok=True)  # of an earlier start
        done = subprocess.run(self.node.command() + list(more), capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, code, done.stderr)
        for word in words:
            self.assertIn(str(word), done.stderr)
        self.assertFalse(self.node.ready_file.exists())
        return done.stderr

    def started_once(self):
        self.node.start()
        self.assertEqual(self.node.stop(), 0)

    # ---- ports

    def test_a_port_in_use(self):
        with free_socket() as port:
            for listener in ("mqtt", "api", "admin"):
                said = self.refused(4, port, "in use", more=("--set", f"listeners.{listener}.port={port}"))
                self.assertIn("--set listeners.", said)
        self.node.start()  # and nothing is left behind
        self.assertEqual(self.node.stop(), 0)

    # ---- settings

    def file(self, content):
        path = self.node.folder / "orrery.yaml"
        path.write_text(content)
        return path

    def test_settings_that_are_wrong(self):
        for content, words in (
                ("node:\n  nane: x\n", (":2:", "unknown setting node.nane", "did you mean node.name?")),
                ("storage:\n  durability: sync\n  checkpoint_bytes: many\n", (":3:", "storage.checkpoint_bytes", "such as 32MiB", '"many"')),
                ("storage:\n  journal_retention: 72\n", (":2:", "storage.journal_retention", "such as 30s, 5min, 72h or 30d")),
                ("storage:\n\n  durability: maybe\n", (":3:", "expected one of sync, os")),
                ("listeners:\n  mqtt:\n    port: 70000\n", (":3:", "from 0 to 65535", '"70000"')),
                ("listeners:\n  mqtt:\n    enabled: perhaps\n", (":3:", "expected true or false")),
                ("node:\n  name: [a, b]\n", (":2:", "node.name", "not a list")),
                ("node: [\n", (":2:", "not YAML")),
                ("node:\n\tname: x\n", (":2:", "not YAML")),
                ("tls:\n  certificate: cert.pem\n", ("tls.certificate and tls.key go together",)),
                ("listeners:\n  api:\n    enabled: false\n  apis:\n    enabled: false\n", ("nobody can manage",)),
                ("storage:\n  journal_max_bytes: 64MiB\n  checkpoint_bytes: 64MiB\n", ("storage.journal_max_bytes must be",))):
            with self.subTest(content):
                path = self.file(content)
                said = self.refused(2, "bad settings", *words, more=("--config", str(path)))
                if ":" in words[0]:
                    self.assertIn(str(path) + words[0], said)

    def test_all_faults_are_told_at_once(self):
        path = self.file("node:\n  nane: x\nmqtt:\n  max_queued: 0\n")
        said = self.refused(2, f"{path}:2:", f"{path}:4:", "--set mqtt.max_unsetled", more=("--config", str(path), "--set", "mqtt.max_unsetled=1"))
        self.assertIn("did you mean mqtt.max_unsettled?", said)

    def test_settings_of_the_environment(self):
        code, said = run("--data", self.node.data, "--check-config", environment={"ORRERY_STORAGE__DURABILTY": "os"})
        self.assertEqual(code, 2)
        self.assertIn("environment ORRERY_STORAGE__DURABILTY", said)
        self.assertIn("did you mean storage.durability?", said)

    def test_a_settings_file_that_is_not_there(self):
        self.refused(2, "/nowhere/orrery.yaml", "cannot be read", more=("--config", "/nowhere/orrery.yaml"))

    def test_arguments_that_are_wrong(self):
        self.assertEqual(run("--no-such-option")[0], 2)
        self.assertEqual(run("--check-config")[0], 0)

    def test_the_number_of_shards_is_fixed(self):
        self.started_once()
        self.refused(2, "cluster.shard_count", "64", "32", more=("--set", "cluster.shard_count=32"))

    # ---- storage

    def test_a_database_in_use(self):
        self.node.start()
        self.refused_by_another(3, "in use by another process", self.node.data)
        self.assertEqual(self.node.stop(), 0)

    def refused_by_another(self, code, *words):
        with tempfile.TemporaryDirectory() as folder:
            other = Node(demo=False, data=self.node.data)
            self.addCleanup(other.close)
            done = subprocess.run(other.command(), capture_output=True, text=True, timeout=DEADLINE, cwd=folder)
        self.assertEqual(done.returncode, code, done.stderr)
        for word in words:
            self.assertIn(str(word), done.stderr)

    def test_a_damaged_database(self):
        self.started_once()
        [manifest] = (self.node.data / "db").glob("MANIFEST-*")
        manifest.write_bytes(manifest.read_bytes()[:-20] + bytes(20))
        self.refused(3, "storage", self.node.data / "db", "Corruption", "restore a backup")

    def test_a_database_without_its_head(self):
        self.started_once()
        (self.node.data / "db/CURRENT").unlink()
        before = sorted(f.name for f in (self.node.data / "db").iterdir() if f.suffix in (".sst", ".log"))
        self.refused(3, "CURRENT", "restore a backup")
        self.assertEqual(sorted(f.name for f in (self.node.data / "db").iterdir() if f.suffix in (".sst", ".log")), before)

    def ldb(self, *arguments):
        done = subprocess.run(["ldb", f"--db={self.node.data}/db", *arguments], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_database_of_a_newer_release(self):
        self.started_once()
        self.ldb("--column_family=meta", "--hex", "put", META_FORMAT, "0x03")
        self.refused(3, "has format 3, this program reads up to 2", "newer release")

    def test_a_database_of_another_program(self):
        (self.node.data / "db").mkdir(parents=True)
        self.ldb("--create_if_missing", "put", "their", "data")
        self.refused(3, "not one of orreryd's", "--data")
        self.ldb("get", "their")

    def test_a_data_folder_that_cannot_be_made(self):
        self.node.data.write_text("a file where the folder should be")
        self.refused(3, self.node.data)

    def test_a_master_key_that_is_none(self):
        self.started_once()
        (self.node.data / "master.key").write_text("nothing\n")
        self.refused(3, "master.key", "64 hex digits")

    def test_a_data_folder_that_cannot_be_written(self):
        self.started_once()
        with Mounted(self.node.data, "--bind", self.node.data) as folder:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
            self.refused(3, self.node.data, "Read-only file system", "must be writable")
        self.started_once()


if __name__ == "__main__":
    unittest.main()
