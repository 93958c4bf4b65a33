"""MQTT over WebSocket: other people's clients, frames cut as anybody likes, what is not MQTT."""
import json
import socket
import ssl
import struct
import unittest

import paho.mqtt.client as paho
import requests
import websocket

from mqtt_wire import PINGREQ, Packet, Who, frame, of_demo, publish
from orrery import DEADLINE, Device, NodeTest, wait_for


class WebDevice(Device):
    def __init__(self, node, of, tls=False):
        super().__init__(node, node.demo["productKey"], of["deviceKey"], of["deviceSecret"])
        kept = self.client
        self.client = paho.Client(client_id=kept._client_id.decode(), transport="websockets")
        self.client.username_pw_set(kept._username.decode(), kept._password.decode())
        for name in ("on_connect", "on_subscribe", "on_disconnect", "on_message"):
            setattr(self.client, name, getattr(kept, name))
        self.client.ws_set_options(path="/mqtt")
        self.port = node.ports["https" if tls else "http"]
        if tls:
            self.client.tls_set(ca_certs=node.ca)


class WebSocket(NodeTest):
    settings = ("listeners.login_timeout=2s",)

    def dial(self, protocol="mqtt", **more):
        s = websocket.create_connection(f"ws://127.0.0.1:{self.node.ports['http']}/mqtt", subprotocols=[protocol] if protocol else None,
                                        timeout=DEADLINE, **more)
        self.addCleanup(s.close)
        return s

    def packet(self, s):
        """One packet: this server sends each reply whole."""
        got = s.recv()
        return Packet(got[0], got[2:])

    def logged_in(self, index=0, cut=None):
        s = self.dial()
        self.who = of_demo(self.node, index)
        login = self.who.login()
        for part in ([login] if not cut else [login[i:i + cut] for i in range(0, len(login), cut)]):
            s.send_binary(part)
        self.assertEqual(self.packet(s).body[1], 0)
        return s

    def close_code(self, s):
        while True:
            opcode, data = s.recv_data(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return struct.unpack(">H", data[:2])[0] if len(data) >= 2 else None

    def test_a_device_of_paho(self):
        for tls in (False, True):
            device = WebDevice(self.node, self.node.demo["devices"][0], tls).connect()
            self.assertEqual(device.post({"power": 7.5})["code"], 200)
            device.close()
        self.assertEqual(self.api.get("~/products/demo-inverter/devices/inv-01/points/latest?ids=power")["items"][0]["value"], 7.5)

    def test_packets_and_frames_are_cut_differently(self):
        s = self.logged_in(1, cut=1)
        s.send_binary(self.who.post({"power": 1.0}, 7) + self.who.post({"power": 2.0}, 8) + frame(PINGREQ << 4))
        found = b""
        while found.count(b"\xd0\0") < 1 or found.count(b"\x40\2\0") < 2:
            found += s.recv()
        big = self.who.post({"power": 3.0, "note": "x"}, 9)
        s.send(big[:5], opcode=websocket.ABNF.OPCODE_BINARY)
        s.send_frame(websocket.ABNF.create_frame(big[5:20], websocket.ABNF.OPCODE_BINARY, fin=0))
        s.send_frame(websocket.ABNF.create_frame(big[20:], websocket.ABNF.OPCODE_CONT, fin=1))
        while b"\x40\2\0\x09" not in found:
            found += s.recv()

    def test_a_large_message(self):
        s = self.logged_in(1)
        who = self.who
        payload = json.dumps({"id": "1", "params": {"measurepoints": {"power": 1.0}}}).encode()
        payload += b" " * (500_000 - len(payload))
        s.send_binary(publish(f"/sys/{who.pk}/{who.dk}/thing/measurepoint/post", payload, 1, 77))
        found = b""
        while b"\x40\2\0\x4d" not in found:
            found += s.recv()

    def test_pings_are_answered(self):
        s = self.logged_in(1)
        s.ping("are you there")
        opcode, data = s.recv_data(control_frame=True)
        self.assertEqual((opcode, data), (websocket.ABNF.OPCODE_PONG, b"are you there"))

    def test_a_text_frame_ends_it(self):
        s = self.logged_in(1)
        s.send("hello")
        self.assertEqual(self.close_code(s), 1003)

    def test_a_message_that_is_too_long_ends_it(self):
        s = self.logged_in(1)
        try:
            s.sock.sendall(b"\x82\xff" + struct.pack(">Q", 1 << 40) + b"\0\0\0\0")
            self.assertIn(self.close_code(s), (1009, 1002))
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            pass

    def test_an_end_is_said(self):
        s = self.logged_in(1)
        s.send_binary(frame(14 << 4))  # DISCONNECT
        self.assertEqual(self.close_code(s), 1000)
        t = self.logged_in(1)
        t.close()
        wait_for(lambda: self.node.metrics()["orrery_mqtt_connections"] == 0, "both have gone")
        self.assertEqual(self.node.metrics()["orrery_http_connections"], 0)

    def test_who_does_not_log_in_is_ended(self):
        s = self.dial()
        self.assertEqual(self.close_code(s), 1000)

    def test_a_new_login_ends_the_old_one(self):
        s = self.logged_in(2)
        other = of_demo(self.node, 2).connected(self.node)
        self.assertEqual(self.close_code(s), 1000)
        other.close()

    def test_sub_protocols(self):
        self.assertEqual(self.dial("mqtt").subprotocol, "mqtt")
        self.assertEqual(self.dial("mqttv3.1").subprotocol, "mqttv3.1")
        for none in (None, "chat"):
            with self.assertRaises(websocket.WebSocketBadStatusException) as refused:
                self.dial(none)
            self.assertEqual(refused.exception.status_code, 400)

    def test_nothing_else_is_there(self):
        base = f"http://127.0.0.1:{self.node.ports['http']}"
        for method, path, status in (("GET", "/", 404), ("GET", "/api/v1/auth/me", 404), ("GET", "/mqtt", 426), ("POST", "/mqtt", 405), ("GET", "/mqtt/x", 404)):
            self.assertEqual(requests.request(method, base + path, timeout=20).status_code, status, path)


def proxy_line(address="203.0.113.9"):
    return f"PROXY TCP4 {address} 10.0.0.1 4711 1883\r\n".encode()


def proxy_binary(tls, address="203.0.113.10"):
    values = b"\x20" + struct.pack(">H", 5) + (b"\x01" if tls else b"\0") + b"\0" * 4
    rest = socket.inet_aton(address) + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 4711, 1883) + values
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(rest)) + rest


class Proxies(NodeTest):
    settings = ("listeners.mqtt.proxy_protocol=required", "listeners.mqtts.proxy_protocol=required", "listeners.http.proxy_protocol=required",
                "listeners.proxy_from=127.0.0.1, ::1", "listeners.mqtt.host=::")

    def log_in(self, s, index=0):
        s.sendall(of_demo(self.node, index).login())
        return s.recv(4)

    def dial(self, port="mqtt", host="127.0.0.1"):
        s = socket.create_connection((host, self.node.ports[port]), timeout=DEADLINE)
        self.addCleanup(s.close)
        return s

    def refused(self):
        """Addresses of refused logins, by the log."""
        return [e["address"] for e in map(json.loads, self.node.log_text().splitlines()) if e["what"] == "login refused"]

    def bad_login(self, s):
        s.sendall(Who("nothing", "nobody", "x").login())
        self.assertEqual(s.recv(4)[3], 4)

    def test_the_address_is_that_of_the_header(self):
        for header, address in ((proxy_line(), "203.0.113.9"), (proxy_binary(False), "203.0.113.10"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")):
            s = self.dial()
            s.sendall(header)
            self.bad_login(s)
            wait_for(lambda: self.refused()[-1:] == [address], f"the log has {address}")

    def test_it_may_come_in_parts_and_with_what_follows(self):
        s = self.dial()
        for byte in proxy_line():
            s.sendall(bytes([byte]))
        self.assertEqual(self.log_in(s)[3], 0)
        s = self.dial()
        s.sendall(proxy_binary(True) + of_demo(self.node, 1).login())
        self.assertEqual(s.recv(4)[3], 0)

    def test_tls_and_http_begin_behind_it(self):
        s = self.dial("mqtts")
        s.sendall(proxy_line())
        s = ssl.create_default_context(cafile=self.node.ca).wrap_socket(s, server_hostname="localhost")
        self.assertEqual(self.log_in(s)[3], 0)
        s = self.dial("http")
        s.sendall(proxy_line() + b"GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 426"))

    def test_without_it_nobody_gets_in(self):
        s = self.dial()
        s.sendall(of_demo(self.node).login())
        self.assertEqual(self.end_of(s), b"")
        for port in ("mqtt", "mqtts"):  # says nothing
            self.assertEqual(self.end_of(self.dial(port)), b"")

    def test_others_than_proxies_get_no_connection(self):
        s = socket.create_connection(("127.0.0.1", self.node.ports["mqtt"]), timeout=DEADLINE, source_address=("127.0.0.2", 0))
        self.addCleanup(s.close)
        self.assertEqual(self.end_of(s), b"")

    def test_a_port_of_both_families(self):
        for host in ("127.0.0.1", "::1"):
            s = self.dial(host=host)
            s.sendall(b"PROXY UNKNOWN\r\n")
            self.bad_login(s)
            wait_for(lambda: self.refused()[-1:] == [host], f"the log has {host}")

    @staticmethod
    def end_of(s):
        try:
            return s.recv(1)
        except ConnectionResetError:
            return b""


if __name__ == "__main__":
    unittest.main()
