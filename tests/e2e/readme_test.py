"""What the README and deploy/up say works as pasted: deploy/up is started on free ports with a data folder of its own."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
LISTENERS = ("mqtt", "mqtts", "http", "https", "api", "apis", "admin")


def tour():
    """The lines of the README's tour."""
    return re.search(r"<!-- tour.*?-->\n```sh\n(.*?)```", (SOURCE / "README.md").read_text(), re.S).group(1)


class Up:
    """deploy/up, as somebody would start it in a terminal."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="orrery-up-"))
        sets = [s for name in LISTENERS for s in ("--set", f"listeners.{name}.port=0")]
        self.process = subprocess.Popen([SOURCE / "deploy/up", "--", "--data", str(self.folder / "data"), *sets], cwd="/", text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.said, self.ports = "", {}
        for line in self.process.stdout:
            self.said += line
            if '"listening"' in line:
                entry = json.loads(line)
                self.ports[entry["listener"]] = entry["port"]
            if line.strip().startswith("curl "):  # the last of its hints
                break
        else:
            raise AssertionError(f"deploy/up ended with {self.process.wait()}: {self.said}")

    def paste(self, text, timeout=120):
        """Runs it as a terminal would, line by line."""
        env = dict(os.environ, DATA=str(self.folder / "data"), PORT=str(self.ports["mqtt"]), ORRERY_SERVER=f"http://127.0.0.1:{self.ports['api']}")
        return subprocess.run(["bash"], input=text, cwd=SOURCE, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)

    def interrupt(self):
        """Ctrl-C. Gives the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.said += self.process.communicate(timeout=30)[0]
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.interrupt()
        shutil.rmtree(self.folder, ignore_errors=True)


class Readme(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.up = Up()
        cls.addClassCleanup(cls.up.close)

    def test_the_tour_works_as_pasted(self):
        self.assertEqual(len(tour().splitlines()), 10, "the README says ten lines")
        done = self.up.paste(tour() + "wait\n")
        said = f"{done.stdout}\n{done.stderr}"
        self.assertEqual(done.returncode, 0, said)
        latest = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"point"')]
        self.assertEqual({p["point"]: p["value"] for p in latest}, {"power": 4.2, "temp": 31.5}, said)
        self.assertIn('"method":"thing.service.reboot","params":{"delay":5}}', said)
        self.assertRegex(done.stdout, r'service +reboot +succeeded .*\{"accepted":true\}', said)
        self.assertEqual(len(re.findall(r"^\d{13}  demo-inverter/sim-000[1-5]  power=", done.stdout, re.M)), 10, said)
        figures = dict(re.findall(r"^(sent|acknowledged) +(\d+)$", done.stdout, re.M))
        self.assertEqual(figures["acknowledged"], figures["sent"], said)
        self.assertGreaterEqual(int(figures["sent"]), 40, said)
        self.assertNotIn("rror", done.stderr, said)

    def test_the_hints_of_deploy_up_work_as_pasted(self):
        hints = [line.strip() for line in self.up.said.splitlines() if line.strip().startswith(("mosquitto_pub ", "curl "))]
        self.assertEqual(len(hints), 2, self.up.said)
        done = self.up.paste("\n".join(hints) + "\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn({"point": "power", "value": 4.2}, [{k: p[k] for k in ("point", "value")} for p in json.loads(done.stdout)["items"]])

    def test_deploy_up_tells_where_everything_is(self):
        data = self.up.folder / "data"
        for text in (f"http://127.0.0.1:{self.up.ports['api']}/api/v1", f"http://127.0.0.1:{self.up.ports['admin']}/metrics",
                     f"{data}/admin-password", f"{data}/demo.json", "no web console"):
            self.assertIn(text, self.up.said)


class Stop(unittest.TestCase):
    def test_ctrl_c_stops_it_cleanly(self):
        up = Up()
        self.addCleanup(up.close)
        self.assertEqual(up.interrupt(), 0, up.said)
        self.assertIn('"what":"stopped"', up.said)

    def test_arguments_of_the_node_stand_after_two_dashes(self):
        done = subprocess.run([SOURCE / "deploy/up", "--demo"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("after --", done.stderr)

    def test_the_exit_code_is_the_nodes(self):
        done = subprocess.run([SOURCE / "deploy/up", "--", "--set", "node.nane=x"], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 2)
        self.assertIn("did you mean node.name?", done.stderr)


if __name__ == "__main__":
    unittest.main()
