"""A command that waited for its device: what the device gets when it connects."""
import socket
import struct
import unittest

from orrery import DEADLINE, NodeTest, sign, wait_for


def text(s):
    return struct.pack("!H", len(s)) + s.encode()


def read_packet(stream):
    """First byte and body of one control packet."""
    first = stream.read(1)[0]
    size, shift = 0, 0
    while True:
        byte = stream.read(1)[0]
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first, stream.read(size)


class QueuedCommand(NodeTest):
    def test_the_first_packet_is_the_connack(self):
        """MQTT 3.1.1, 3.2: whatever waits comes behind it."""
        for _ in range(5):
            made, device = self.new_device()
            pk, dk, secret = made["productKey"], made["deviceKey"], made["deviceSecret"]
            path = f"~/products/{pk}/devices/{dk}"
            device.close()
            wait_for(lambda: self.api.get(path + "/status")["status"] == "offline", "offline")
            self.api.post(path + "/services/reboot:invoke", {"input": {"delay": 5}, "pendingTtl": 60}, expect=202)
            login = b"\x00\x04MQTT\x04\xc2\x00\x3c" + text(f"{dk}|securemode=2,signmethod=sha256,timestamp=1|") + text(
                f"{dk}&{pk}") + text(sign(dk, dk, pk, "1", secret))
            with socket.create_connection(("127.0.0.1", self.node.ports["mqtt"]), DEADLINE) as s, s.makefile("rb") as stream:
                s.sendall(struct.pack("BBB", 0x10, 128 + len(login) % 128, len(login) // 128) + login)
                self.assertEqual(read_packet(stream), (0x20, b"\x00\x00"))
                first, body = read_packet(stream)
                self.assertEqual(first & 0xF0, 0x30)
                self.assertIn(f"/sys/{pk}/{dk}/thing/service/reboot".encode(), body)


if __name__ == "__main__":
    unittest.main()
