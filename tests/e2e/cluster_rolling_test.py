"""A cluster under load while its nodes are restarted, replaced by another release, added and removed, and while the disk of one is full:
devices go on, nobody is refused for it, and nothing acknowledged is lost."""
import collections
import contextlib
import itertools
import os
import re
import secrets
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import requests

from cluster_kit import ClusterTest
from fleet import Fleet, Poster, check, register
from mounts import Mounted
from orrery import BIN, wait_for

DEVICES = 20
RATE = 20  # messages a second of each
LONGEST = 10.0  # seconds without an acknowledgement
SERVER_UNAVAILABLE = 3  # MQTT 3.1.1, 3.2.2.3
LONG = 90


class Device(Poster):
    """One that goes to another node when its connection ends, and sends what was not acknowledged again."""

    def __init__(self, of, number):
        super().__init__(of.pk, of.dk, of.secret, of.base)
        self.number, self.at, self.logins = number, None, 0
        self.due = self.last = time.monotonic()
        self.longest = 0.0
        self.unavailable, self.refused = 0, []

    def take_packet(self, kind, body):
        if kind == 0x20 and body[1]:
            if body[1] == SERVER_UNAVAILABLE:
                self.unavailable += 1
            else:
                self.faults.append(f"{self.dk}: login refused with {body[1]}")
        if kind == 0x32 and b'"code":200' not in body:
            self.refused.append(f"{self.dk}: {body.decode(errors='replace')}")
        before = self.acknowledged
        super().take_packet(kind, body)
        self.logins += kind == 0x20
        if self.acknowledged > before:
            now = time.monotonic()
            self.longest, self.last = max(self.longest, now - self.last), now


class Devices(Fleet):
    """Each sends at a steady rate, to any of the nodes."""

    def __init__(self, devices, hosts, port, window=40):
        super().__init__(devices, window, rate=RATE)
        self.hosts, self.port_of_all = list(hosts), port
        self.begin_again()
        self.start(port)

    def address(self, p):
        others = [host for host in self.hosts if host != p.at] or self.hosts
        p.at = others[(p.number + p.logins) % len(others)]
        return p.at, self.port_of_all

    def send(self, p):
        self.sender = p
        super().send(p)

    def allowance(self):
        if self.most is not None:
            return self.most
        p, now = self.sender, time.monotonic()
        due = max(0, int((now - p.due) * RATE))
        p.due += due / RATE
        return due

    def move(self, host):
        """Some of them, to a node that is new."""
        self.hosts.append(host)
        for p in self.posters[::len(self.hosts)]:
            at = p.socket
            with contextlib.suppress(OSError):
                if at:
                    at.shutdown(socket.SHUT_RDWR)

    def begin_again(self):
        for p in self.posters:
            p.longest, p.last = 0.0, time.monotonic()

    def longest(self):
        """Without an acknowledgement of some device, since `begin_again`."""
        return max(max(p.longest, time.monotonic() - p.last) for p in self.posters)


class Application(threading.Thread):
    """Writes a tag or an attribute of a device of its own again and again, each time by another node, and reads it by yet another one.
    A request whose connection ends is asked again elsewhere."""

    def __init__(self, key, hosts, port, asset, place, name, asks_again):
        super().__init__(daemon=True)
        self.asks_again = asks_again
        self.hosts, self.port, self.asset, self.place, self.name_of_it = hosts, port, asset, place, name
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"
        self.value = 0  # acknowledged
        self.faults, self.refusals = [], collections.Counter()
        self.turns = itertools.count()
        self.over = threading.Event()
        self.start()

    def ask(self, method, body=None):
        while True:
            host = self.hosts[next(self.turns) % len(self.hosts)]
            try:
                reply = self.session.request(method, f"http://{host}:{self.port}/api/v1/orgs/-/devices/{self.asset}/{self.place}",
                                             json=body, timeout=20)
            except requests.RequestException:
                self.refusals["no answer"] += 1
                if self.over.wait(0.02):
                    return None
                continue
            if reply.status_code == 200:
                return reply.json()
            self.refusals[f"{reply.status_code} {reply.json()['code']}"] += 1
            if reply.status_code not in self.asks_again:
                self.faults.append(f"{method} {self.place} at {host}: {reply.status_code} {reply.text}")
            if self.over.wait(0.05):
                return None

    def run(self):
        try:
            while not self.over.wait(0.05):
                if self.ask("PATCH", {self.name_of_it: self.form(self.value + 1)}) is None:
                    return
                self.value += 1
                got = self.ask("GET")
                if got is not None and got.get(self.name_of_it) != self.form(self.value):
                    self.faults.append(f"{self.place} of {self.asset}: {got}, acknowledged was {self.value}")
        except Exception as e:
            self.faults.append(f"{self.place} of {self.asset}: {e!r}")

    def form(self, value):
        return str(value) if self.place == "tags" else value % 101

    def end(self):
        self.over.set()
        self.join(30)


class Rolling(ClusterTest):
    asks_again = {503}  # what answers of the API are asked again for
    may_refuse = None  # what may be said of messages, which are not acknowledged then, and of requests

    def setUp(self):
        super().setUp()
        self.wait_whole()

    def load(self, *numbers):
        """Begins it, on the nodes of these numbers."""
        node = self.node(numbers[0])
        posters, self.assets = register(node.api(), node.demo["productKey"], DEVICES + 2)
        hosts = [self.cluster.host(n) for n in numbers]
        self.devices = Devices([Device(p, i) for i, p in enumerate(posters[:DEVICES])], hosts, node.ports["mqtt"])
        self.addCleanup(lambda: self.devices.stop() if self.devices.thread.is_alive() else None)
        written = [self.assets[p.dk] for p in posters[DEVICES:]]
        self.applications = [Application(node.demo["apiKey"], self.devices.hosts, node.ports["api"], asset, place, name, self.asks_again)
                             for asset, place, name in zip(written, ("tags", "attributes"), ("n", "limit"))]
        for application in self.applications:
            self.addCleanup(application.end)
        wait_for(lambda: self.devices.acknowledged() > 10 * DEVICES, "the first messages are acknowledged")
        self.devices.begin_again()

    def goes_on(self, what, limit=LONGEST):
        """All devices and applications do; and nobody waited longer than `limit` meanwhile."""
        devices = [p.acknowledged for p in self.devices.posters]
        values = [a.value for a in self.applications]
        wait_for(lambda: all(p.acknowledged > n + 5 for p, n in zip(self.devices.posters, devices)) and
                 all(a.value > n + 2 for a, n in zip(self.applications, values)), f"{what}: all go on", 30)
        longest = self.devices.longest()
        print(f"{what}: {longest:.2f} s without an acknowledgement of a device at most")
        self.assertLess(longest, limit, what)
        self.devices.begin_again()

    def nothing_is_lost(self, node):
        for application in self.applications:
            application.end()
        self.devices.stop(settle=True)
        refusals = sum((a.refusals for a in self.applications), collections.Counter())
        print(f"{self.devices.acknowledged()} messages, {sum(a.value for a in self.applications)} writes; logins refused as unavailable: "
              f"{sum(p.unavailable for p in self.devices.posters)}; requests asked again: {dict(refusals)}")
        self.assertEqual(self.devices.faults() + [f for a in self.applications for f in a.faults], [])
        refused = [text for p in self.devices.posters for text in p.refused] + [r for r in refusals if r != "no answer"]
        if self.may_refuse:
            refused = [text for text in refused if not re.search(self.may_refuse, text)]
        self.assertEqual(refused, [])
        self.held_by(node)

    def held_by(self, node):
        api = node.api()
        self.assertEqual(check(self, api, self.devices.posters, self.assets), self.devices.acknowledged())
        for a in self.applications:
            got = api.get(f"~/devices/{a.asset}/{a.place}")[a.name_of_it]
            self.assertIn(got, (a.form(a.value), a.form(a.value + 1)), "the last one may be done and not answered")

    def wait_ready(self, number):
        """As who gives out the addresses of nodes would."""
        url = f"http://{self.cluster.host(number)}:{self.node(number).ports['admin']}/readyz"
        wait_for(lambda: requests.get(url, timeout=10).status_code == 200, f"node {number} is ready")

    def versions(self, number):
        """As that node says."""
        base = f"http://{self.cluster.host(number)}:{self.node(number).ports['api']}/api/v1"
        login = requests.post(base + "/auth/login", json={"user": "admin", "password": self.cluster.password()}, timeout=20).json()
        status = requests.get(base + "/cluster", headers={"Authorization": f"Bearer {login['access']}"}, timeout=20).json()
        return {n["name"]: n.get("version") for n in status["nodes"]}

    def cli(self, number, *arguments):
        """`orrery`, of the administrator, at that node."""
        with tempfile.TemporaryDirectory(prefix="orrery-home-") as home:
            environment = {"HOME": home, "PATH": os.environ["PATH"], "ORRERY_PASSWORD": self.cluster.password(),
                           "ORRERY_SERVER": f"http://{self.cluster.host(number)}:{self.node(number).ports['api']}"}
            for command in (("login", "--user", "admin"), arguments):
                done = subprocess.run([str(BIN / "orrery"), *command], capture_output=True, text=True, timeout=200, env=environment)
                self.assertEqual(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
            return done.stdout


def version(binaries):
    return subprocess.run([str(binaries / "orreryd"), "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


def another_release(folder):
    """A copy of the program that has another version in it; gives (folder, old version, new version). Compilers put short texts into
    instructions, too, but leave their first four bytes together: one of those is changed wherever they stand."""
    old = version(BIN)
    begin = old[:4]
    at = max(i for i, c in enumerate(begin) if c.isdigit())
    new_begin = begin[:at] + str((int(begin[at]) + 1) % 10) + begin[at + 1:]
    folder.mkdir()
    program = folder / "orreryd"
    program.write_bytes((BIN / "orreryd").read_bytes().replace(begin.encode(), new_begin.encode()))
    program.chmod(0o755)
    assert version(folder) == new_begin + old[4:], version(folder)
    return folder, old, new_begin + old[4:]


class Restarts(Rolling):
    def restart(self, number, what):
        self.assertEqual(self.end(number), 0)
        self.start(number)
        self.wait_whole()
        self.goes_on(f"node {number} {what}")

    def test_one_after_the_other_again_and_as_another_release(self):
        self.load(1, 2, 3)
        for number in (1, 2, 3):
            self.restart(number, "restarted")
        self.cluster.binaries, old, new = another_release(self.folder / "release")
        self.assertEqual(self.versions(1), {f"node-{n}": old for n in (1, 2, 3)})
        for number in (1, 2, 3):
            self.restart(number, f"upgraded to {new}")
            mixed = {f"node-{n}": new if n <= number else old for n in (1, 2, 3)}
            self.assertEqual(self.versions(1), mixed)
            self.assertEqual(self.versions(3), mixed)
            table = self.cli(1, "cluster", "status")
            for name, version in mixed.items():
                self.assertRegex(table, rf"(?m)^{name} +up .* {re.escape(version)} ")
        self.nothing_is_lost(self.node(2))


class Growth(Rolling):
    nodes = 1

    def answers_until_known(self, number):
        """What its API says to a good key until it takes it."""
        api, seen = self.node(1).api(), set()
        port = self.node(1).ports["api"]

        def taken():
            try:
                status = api.session.get(f"http://{self.cluster.host(number)}:{port}/api/v1/orgs/-/devices?limit=1", timeout=10).status_code
            except requests.ConnectionError:
                return False
            if status != 200:
                seen.add(status)
            return status == 200
        wait_for(taken, "its API knows the key", LONG)
        return seen

    def test_from_one_to_three_and_back_to_two(self):
        self.load(1)
        self.grow(3)
        for number in (2, 3):
            self.cluster.start_node(number, wait=False)
            self.assertLessEqual(self.answers_until_known(number), {503}, "it says that it cannot know anybody yet")
            self.cluster.wait_ready(number)
            self.wait_ready(number)
            for asset in self.assets.values():  # it knows keys, products and models
                self.node(number).api().get(f"~/devices/{asset}")
            self.devices.move(self.cluster.host(number))
            wait_for(lambda: any(self.number_of(number) in r["inSync"] for r in self.records().values()), "it gets shards")
        self.wait_whole(LONG)
        self.assertTrue(all(len(r["inSync"]) >= 2 for r in self.records().values()))
        self.goes_on("from one node to three")

        self.devices.hosts.remove(self.cluster.host(1))
        first = self.number_of(1)
        self.assertIn("node-1 holds nothing", self.cli(2, "cluster", "remove", "node-1", "--wait"))
        self.assertEqual(self.end(1), 0)
        self.wait_whole(LONG)
        for shard, record in self.records().items():
            self.assertEqual(len(record["inSync"]), 2, shard)
            self.assertNotIn(first, record["inSync"], shard)
        self.goes_on("back to two, without the one that was first")
        self.nothing_is_lost(self.node(2))
        self.held_by(self.node(3))


class FullDisk(Rolling):
    nodes = 2
    settings = ("storage.write_buffer_bytes=16MiB", "storage.block_cache_bytes=16MiB", "storage.checkpoint_interval=1s",
                "cluster.moves_at_once=16")
    size = 192 << 20
    # A write to the node whose disk is full may have begun: then nobody can say whether it was done.
    asks_again = {503, 504}
    may_refuse = r"the disk is full|^50[34] "

    def setUp(self):
        super().setUp()
        self.grow(3)
        self.data = self.cluster.data(3)
        self.data.mkdir()
        mounted = Mounted(self.data, "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs")
        mounted.__enter__()
        self.addCleanup(mounted.__exit__)
        self.addCleanup(self.cluster.down)
        self.filler, self.serial = self.data / "filler", itertools.count()
        self.key, self.ports = self.node(1).demo["apiKey"], self.node(1).ports
        self.start(3)
        wait_for(lambda: len(self.led_by(3)) > 10, "node 3 leads shards", LONG)
        self.wait_whole()

    def led_by(self, number):
        of = self.number_of(number)
        return [s for s, r in self.records().items() if r["primary"] == of]

    def fill(self):
        with open(self.filler, "ab", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(1 << 16))
            except OSError:
                pass

    def write_much(self):
        """The database has some 16 MiB of its log ahead: those are to be used up, too. Whether it is taken does not matter."""
        tags = lambda: {f"t{i}": secrets.token_hex(100) for i in range(100)}
        items = [{"productKey": "demo-inverter", "deviceKey": f"much-{next(self.serial)}", "tags": tags()} for _ in range(32)]
        requests.post(f"http://{self.cluster.host(1)}:{self.ports['api']}/api/v1/orgs/-/devices:batch", json={"items": items}, timeout=60,
                      headers={"Authorization": f"Bearer {self.key}"})

    def given_up(self):
        self.fill()
        self.write_much()
        return not self.led_by(3)

    def test_of_one_node(self):
        self.load(1, 2, 3)
        self.assertTrue(any(p.at == self.cluster.host(3) for p in self.devices.posters))
        begin = time.monotonic()
        wait_for(self.given_up, "others lead what node 3 led", LONG)
        print(f"the disk of node 3 is full: others lead what it led after {time.monotonic() - begin:.2f} s")
        self.assertIsNone(self.cluster.started["node-3"].poll())
        ready = requests.get(f"http://{self.cluster.host(3)}:{self.node(3).ports['admin']}/readyz", timeout=10)
        self.assertEqual(ready.status_code, 503)
        self.goes_on("the disk of node 3 is full", 15)

        self.filler.unlink()
        wait_for(lambda: len(self.led_by(3)) > 10, "node 3 takes part again", LONG)
        self.wait_whole()
        self.goes_on("there is space again", 15)
        self.nothing_is_lost(self.node(3))
        self.kill(1)
        self.held_by(self.node(3))  # by its own copies, of all that node 1 led


if __name__ == "__main__":
    unittest.main()
