"""Node's MQTT client (the npm package `mqtt`) in both versions of MQTT: 3.0.0, on which devices are built, and 5.16.0. Devices and general
topics. What the clients do and expect is in tests/e2e/node; here the programs are run, and asked for what needs the API."""
import fcntl
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import unittest

from mqtt_wire import fresh
from orrery import NodeTest, wait_for

PROGRAMS = pathlib.Path(__file__).resolve().parent / "node"
PACKAGES = PROGRAMS.parent.parent.parent / "build" / "node"  # kept between runs
OLD_FOUR, FOUR, FIVE = ({"library": library, "level": level} for library, level in ((3, 4), (5, 4), (5, 5)))
KINDS = (OLD_FOUR, FOUR, FIVE)
TIME = 120.0  # for one program, s


def install():
    """Has npm bring the packages of the lock file, if they are not there yet. Fails if it cannot."""
    PACKAGES.mkdir(parents=True, exist_ok=True)
    with open(PACKAGES / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = {name: (PROGRAMS / name).read_text() for name in ("package.json", "package-lock.json")}
        stamp = PACKAGES / "installed.json"
        if stamp.exists() and json.loads(stamp.read_text()) == wanted:
            return
        stamp.unlink(missing_ok=True)
        for name, text in wanted.items():
            (PACKAGES / name).write_text(text)
        # Nothing that a package brings is run at installation.
        done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=60000"], cwd=PACKAGES,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"npm ci cannot bring the packages of {PROGRAMS}/package-lock.json: {done.stdout}{done.stderr}"
        stamp.write_text(json.dumps(wanted))


class NodeClients(NodeTest):
    @classmethod
    def setUpClass(cls):
        install()
        super().setUpClass()

    def run_it(self, program, scenario, asked={}, **config):
        """Runs a scenario to its end. `asked`: what it may ask for, by name."""
        config = dict(ports=self.node.ports, ca=self.node.ca, **config)
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(["node", PROGRAMS / program, scenario, json.dumps(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=errors, text=True, env=dict(os.environ, NODE_PATH=str(PACKAGES / "node_modules")))
            timer = threading.Timer(TIME, process.kill)
            timer.start()
            lines = []
            try:
                for line in process.stdout:
                    lines.append(line.rstrip("\n"))
                    if line.startswith("ask "):
                        name, *values = json.loads(line.removeprefix("ask "))
                        process.stdin.write(json.dumps(asked[name](*values)) + "\n")
                        process.stdin.flush()
                process.wait()
            finally:
                timer.cancel()
                process.kill()
                process.communicate()
            errors.seek(0)
            self.assertEqual((process.returncode, lines[-1:]), (0, ["done"]), f"{program} {scenario}: {lines} {errors.read()}")


class Devices(NodeClients):
    settings = ("mqtt.max_unsettled=20",)

    def run_for(self, scenario, kinds=KINDS, transports=("mqtt",)):
        for kind in kinds:
            for transport in transports:
                with self.subTest(**kind, transport=transport):
                    made, _ = fresh(self.api, self.node.demo["productKey"])
                    path = f"~/devices/{made['assetId']}"
                    asked = {"latest": lambda point: self.latest(path, point),
                             "invoke": lambda *call: self.invoke(path, *call),
                             "queue": lambda *call: self.queue(path, *call),
                             "settled": lambda number: self.settled(path, number),
                             "disable": lambda: self.api.post(f"{path}:disable", {"reason": "test"})}
                    self.run_it("device.js", scenario, asked, kind=kind, transport=transport, pk=made["productKey"], dk=made["deviceKey"],
                                secret=made["deviceSecret"])

    def latest(self, path, point):
        return {p["point"]: p["value"] for p in self.api.get(path + "/points/latest")["items"]}[point]

    def invoke(self, path, service, values):
        return self.api.post(f"{path}/services/{service}:invoke", {"input": values, "timeout": 30})["output"]

    def queue(self, path, service, values):
        wait_for(lambda: self.api.get(path + "/status")["status"] == "offline", "it is off-line")
        return self.api.post(f"{path}/services/{service}:invoke", {"input": values, "pendingTtl": 60}, expect=202)["id"]

    def settled(self, path, number):
        def state():
            return self.api.get(f"~/commands/{number}")["state"]
        wait_for(lambda: state() not in ("queued", "sent"), "it is answered")
        return state()

    def test_requests_are_answered_over_every_transport(self):
        self.run_for("requests", transports=("mqtt", "mqtts", "ws", "wss"))

    def test_who_does_not_trust_the_node_leaves(self):
        self.run_for("distrust", transports=("mqtts", "wss"))

    def test_commands_are_obeyed(self):
        self.run_for("obeys", transports=("mqtt", "ws"))

    def test_refused_logins(self):
        self.run_for("refused", transports=("mqtt", "ws"))

    def test_a_second_login_takes_over(self):
        self.run_for("takenOver")

    def test_a_kept_session_goes_on(self):
        self.run_for("keptSession")

    def test_what_version_five_adds(self):
        self.run_for("whatFiveAdds", kinds=(FIVE,))


class General(NodeClients):
    settings = ("mqtt.open_broker=default", "mqtt.statistics_interval=100ms")

    def run_for(self, scenario, kinds=KINDS):
        for kind in kinds:
            with self.subTest(**kind):
                self.run_it("general.js", scenario, kind=kind)

    def test_levels_wildcards_and_transports(self):
        self.run_for("levels")

    def test_any_bytes(self):
        self.run_for("anyBytes")

    def test_order(self):
        self.run_for("order")

    def test_retained(self):
        self.run_for("retained")

    def test_wills(self):
        self.run_for("wills")

    def test_kept_sessions(self):
        self.run_for("keptSessions")

    def test_taken_over(self):
        self.run_for("takenOver")

    def test_a_subscribers_connections_break(self):
        self.run_for("receiverBreaks")

    def test_a_publishers_connections_break(self):
        self.run_for("senderBreaks")

    def test_shared(self):
        self.run_for("shared")

    def test_statistics(self):
        self.run_for("statistics")

    def test_what_a_message_carries(self):
        self.run_for("carried", (FIVE,))

    def test_request_and_response(self):
        self.run_for("requestAndResponse", (FIVE,))

    def test_messages_expire(self):
        self.run_for("expiry", (FIVE,))

    def test_sessions_expire(self):
        self.run_for("sessionExpiry", (FIVE,))

    def test_subscription_identifiers(self):
        self.run_for("identifiers", (FIVE,))

    def test_topic_aliases(self):
        self.run_for("aliases", (FIVE,))

    def test_the_clients_receive_maximum(self):
        self.run_for("receiveMaximum", (FIVE,))

    def test_sizes_of_packets(self):
        self.run_for("packetSize", (FIVE,))

    def test_options_of_subscriptions(self):
        self.run_for("subscriptionOptions", (FIVE,))


class Rules(NodeClients):
    def test_what_a_key_does_not_allow(self):
        def key(name, *topics):
            rules = [{"topic": topic, "allow": allow} for topic, allow in topics]
            return self.api.post(f"~/apps/{name}/keys", {"permissions": ["devices:read"], "topics": rules})["apiKey"]
        keys = {"key": key("narrow", ("may/hear", "subscribe"), ("may/say", "publish")), "watch": key("watcher", ("may/#", "subscribe"))}
        for kind in KINDS:
            with self.subTest(**kind):
                self.run_it("general.js", "refused", kind=kind, **keys)


if __name__ == "__main__":
    unittest.main()
