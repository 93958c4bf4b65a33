"""Ten thousand connections that never log in: nobody else notices, and they go as they came."""
import json
import socket
import time
import unittest

from mqtt_wire import PUBACK, Bystander, Wire, cpu_seconds, of_demo
from orrery import Node, NodeTest, wait_for

COUNT = 10_000


class HalfOpen(NodeTest):
    settings = ("listeners.max_half_open=12000", "listeners.login_timeout=30s")

    def half_open(self):
        return self.node.metrics()["orrery_mqtt_half_open_connections"]

    def open_many(self, count, first_bytes, port="mqtt"):
        """Connections from several addresses; each says a part of a login."""
        opened = []
        for i in range(count):
            s = socket.socket()
            s.bind((f"127.0.{1 + i % 20}.1", 0))
            s.connect(("127.0.0.1", self.node.ports[port]))
            s.sendall(first_bytes)
            opened.append(s)
        return opened

    def test_ten_thousand_half_open_connections(self):
        bystander = Bystander(self.node)
        bystander.start()
        self.addCleanup(bystander.stop)
        part = of_demo(self.node).login()[:40]
        # Once before, so that what is measured is not the first growth of pools and tables.
        for s in self.open_many(500, part):
            s.close()
        wait_for(lambda: self.half_open() == 0, "the first ones are gone")
        before = self.node.memory_kib()
        begin = time.monotonic()
        opened = self.open_many(COUNT, part)
        took = time.monotonic() - begin
        wait_for(lambda: self.half_open() == COUNT, "all are there", 30)
        held = self.node.memory_kib()
        print(f"{COUNT} half-open in {took:.1f} s: {(held - before) * 1024 / COUNT:.0f} bytes each", flush=True)
        self.assertLess((held - before) * 1024 / COUNT, 4096)
        # Others still get in while they are there.
        posted = bystander.posted
        late = of_demo(self.node, 1).connected(self.node)
        self.assertTrue(late.is_alive())
        late.close()
        # The login timeout ends them all; their side sees the end.
        wait_for(lambda: self.half_open() == 0, "the login timeout ends them", 60)
        self.assertGreaterEqual(self.node.metrics()['orrery_mqtt_closed_total{reason="login_timeout"}'], COUNT)
        for s in opened:
            s.settimeout(10)
            self.assertEqual(s.recv(1), b"")
            s.close()
        self.assertGreater(bystander.posted, posted)
        bystander.stop()
        after = self.node.memory_kib()
        print(f"afterwards {(after - before) / 1024:.1f} MiB more than before; slowest post of the other device {bystander.slowest * 1000:.0f} ms", flush=True)
        self.assertLess(after - before, 16 * 1024)
        self.assertLess(bystander.slowest, 5)

    def test_two_thousand_that_stop_in_the_middle_of_a_tls_handshake(self):
        bystander = Bystander(self.node)
        bystander.start()
        self.addCleanup(bystander.stop)
        before, posted = self.node.memory_kib(), bystander.posted
        opened = self.open_many(2_000, b"\x16\x03\x01\x01\x00\x01\x00\x00", "mqtts")
        wait_for(lambda: self.half_open() == 2_000, "all are there", 30)
        self.assertLess((self.node.memory_kib() - before) * 1024 / 2_000, 48 * 1024)
        late = of_demo(self.node, 1).connected(self.node, tls=True)
        self.assertTrue(late.is_alive())
        late.close()
        self.assertGreater(bystander.posted, posted)
        bystander.stop()
        # Nobody says anything for a while, and nobody asks for metrics: so the node has nothing to do.
        used, begin = cpu_seconds(self.node), time.monotonic()
        wait_for(lambda: time.monotonic() > begin + 5, "five seconds pass")
        share = (cpu_seconds(self.node) - used) / (time.monotonic() - begin)
        print(f"2000 half handshakes: {share * 100:.1f} % of a core meanwhile", flush=True)
        self.assertLess(share, 0.1)
        wait_for(lambda: self.half_open() == 0, "the login timeout ends them", 60)
        for s in opened:
            s.close()

    def test_more_than_the_limit_are_turned_away(self):
        part = of_demo(self.node).login()[:40]
        opened = self.open_many(12_000, part)
        wait_for(lambda: self.half_open() == 12_000, "all are there", 30)
        more = self.open_many(10, part)
        for s in more:
            s.settimeout(10)
            self.assertEqual(self.end_of(s), b"")
        wait_for(lambda: self.node.metrics().get('orrery_mqtt_closed_total{reason="too_many_half_open"}', 0) >= 10, "counted")
        for s in opened + more:
            s.close()
        wait_for(lambda: self.half_open() == 0, "all are gone", 30)
        of_demo(self.node, 1).connected(self.node).close()

    @staticmethod
    def end_of(s):
        try:
            return s.recv(1)
        except ConnectionResetError:
            return b""


class FewFiles(Node):
    def command(self):
        return ["prlimit", "--nofile=200:200"] + super().command()


class NoFileLeft(unittest.TestCase):
    def test_a_node_without_a_free_file_says_so_and_goes_on_later(self):
        with FewFiles(settings=("listeners.login_timeout=60s",)) as node:
            wire = of_demo(node).connected(node)
            opened = [socket.create_connection(("127.0.0.1", node.ports["mqtt"])) for _ in range(250)]
            said = wait_for(lambda: [e for e in map(json.loads, node.log_text().splitlines()) if e["what"] == "not_accepted"], "it says so")
            self.assertEqual((said[0]["level"], said[0]["port"], said[0]["detail"]), ("warn", node.ports["mqtt"], "Too many open files"))
            for i in range(10):  # who is there goes on
                wire.send(of_demo(node).post({"power": float(i)}, 7))
                self.assertEqual(wire.until(PUBACK).number, 7)
            for s in opened:
                s.close()
            other = of_demo(node, 1).connected(node)
            self.assertTrue(other.is_alive())
            self.assertEqual(node.api().get("~/products/demo-inverter/devices/inv-01/points/latest?ids=power")["items"][0]["value"], 9.0)
            self.assertLess(len(said), 20)


class Limit(NodeTest):
    settings = ("listeners.max_connections=20",)

    def test_connections_have_a_limit(self):
        wires = [Wire(self.node) for _ in range(20)]
        wait_for(lambda: self.node.metrics()["orrery_mqtt_connections"] == 20, "all are there")
        for _ in range(3):
            self.assertEqual(Wire(self.node).closed(), b"")
        self.assertEqual(self.node.metrics()["orrery_mqtt_refused_connections_total"], 3)
        wires.pop().close()
        wait_for(lambda: self.node.metrics()["orrery_mqtt_connections"] == 19, "one has gone")
        of_demo(self.node).connected(self.node).close()
        for wire in wires:
            wire.close()


if __name__ == "__main__":
    unittest.main()
