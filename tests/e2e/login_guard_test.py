"""Who tries too often is kept out, and nobody else."""
import socket
import unittest

from mqtt_wire import of_demo
from orrery import DEADLINE, Node, NodeTest, wait_for


def codes(node, times, index=0, secret=None):
    """What `times` logins of one device are answered with."""
    found = []
    for _ in range(times):
        device = node.device(index)
        if secret:
            device.client.username_pw_set(f"{device.dk}&{device.pk}", secret)
        device.client.reconnect_delay_set(60)
        found.append(device.try_connect())
        device.close()
    return found


WRONG = "0" * 64


class Guard(NodeTest):
    """Bans that last longer than any test: how slow the machine is does not matter."""

    settings = ("login.device_failures=3", "login.device_ban=1h", "login.flapping_logins=6", "login.flapping_ban=1h", "login.address_failures=1000")

    def counted(self, reason):
        return self.node.metrics().get(f'orrery_login_refused_total{{reason="{reason}"}}', 0)

    def test_wrong_signatures(self):
        self.assertEqual(codes(self.node, 3, 0, WRONG), [4, 4, 4])
        self.assertEqual(codes(self.node, 2, 0), [3, 3])
        self.assertEqual(codes(self.node, 1, 1), [0])
        self.assertEqual((self.counted("sign_check_failed"), self.counted("too_many_failures")), (3, 2))
        wait_for(lambda: "too_many_failures" in self.node.log_text(), "it is logged")

    def test_flapping(self):
        self.assertEqual(codes(self.node, 8, 2), [0] * 6 + [3, 3])
        self.assertEqual(self.counted("login_flapping"), 2)


class BanEnds(NodeTest):
    settings = ("login.device_failures=3", "login.device_ban=1s", "login.flapping_logins=6", "login.flapping_ban=1s", "login.address_failures=1000")

    def test_who_failed_is_let_in_again(self):
        codes(self.node, 3, 0, WRONG)
        wait_for(lambda: codes(self.node, 1, 0) == [0], "it is let in again")

    def test_who_flapped_is_let_in_again(self):
        codes(self.node, 7, 1)
        wait_for(lambda: codes(self.node, 1, 1) == [0], "it is let in again")


class Addresses(unittest.TestCase):
    def test_an_address_that_fails_is_not_spoken_with(self):
        with Node(settings=("login.address_failures=10", "login.address_ban=2s")) as node:
            client = of_demo(node)
            there = client.connected(node)
            for i in range(10):
                device = node.device()
                device.client.username_pw_set(f"nobody-{i}&{device.pk}", "0" * 64)
                self.assertEqual(device.try_connect(), 4)
                device.close()
            for port in ("mqtt", "mqtts"):
                with socket.create_connection(("127.0.0.1", node.ports[port]), timeout=DEADLINE) as s:
                    self.assertEqual(s.recv(1), b"")
            self.assertTrue(there.is_alive())  # who is in stays in
            wait_for(lambda: self.try_it(node), "it is spoken with again")

    @staticmethod
    def try_it(node):
        try:
            of_demo(node, 1).connected(node).close()
            return True
        except (OSError, AssertionError):
            return False


if __name__ == "__main__":
    unittest.main()
