"""Who gets in by MQTT and who does not, and how a connection ends."""
import socket
import ssl
import time
import unittest

import mqtt_wire
from mqtt_wire import CONNACK, PINGRESP, PUBACK, Who, Wire, connect, fresh, of_demo, publish, subscribe
from orrery import NodeTest, sign, wait_for


class Login(NodeTest):
    def setUp(self):
        self.made, self.who = fresh(self.api, self.node.demo["productKey"])

    def answer(self, packet, tls=False):
        """The CONNACK return code; the connection must end by itself unless it is 0."""
        wire = Wire(self.node, tls)
        self.addCleanup(wire.close)
        begin = time.monotonic()
        answer = wire.send(packet).packet()
        self.assertEqual(answer.kind, CONNACK)
        self.assertEqual(answer.body[0], 0, "session present")
        if answer.body[1] != 0:
            self.assertEqual(wire.closed(), b"")
            self.assertLess(time.monotonic() - begin, 3)
        return answer.body[1]

    def status(self):
        return self.api.get(f"~/devices/{self.made['assetId']}/status")

    def closes(self, reason):
        return self.node.metrics().get(f'orrery_mqtt_closed_total{{reason="{reason}"}}', 0)

    def test_every_client_writes_its_login_in_its_own_way(self):
        dk, pk = self.who.dk, self.who.pk
        for form in (
                {},
                {"upper": True},
                {"label": "hmacsha256", "timestamp": "1700000000123.4567"},
                {"label": "hmacSha256"},
                {"label": "hmacsha1", "method": "sha1", "timestamp": "1700000000", "upper": True},
                {"label": "sha1", "method": "sha1"},
                {"label": "hmacmd5", "method": "md5"},
                {"id": f"{dk}{{ip=192.0.2.15,version=enos-mqtt-2.4.0,compress=DEFAULT}}"},
                {"id": f"{dk}{{ip=fd00:0:0:0:0:0:0:2%eth0,version=@project.artifactId@-@project.version@,compress=DEFAULT}}"},
                {"id": f"{dk}{{compress=DEFAULT}}"},
                {"id": f"{pk}.{dk}", "timestamp": "2524608000000", "upper": True, "clean": False},
                {"id": "anything | at, all="},
                {"id": "x" * 500},
                {"parameters": "securemode=2, signmethod=sha256, timestamp=1700000000123"},
                {"parameters": "timestamp=1700000000123,SecureMode=2,signMethod=Sha256,ext=1"},
                {"level": 3, "name": "MQIsdp"},
                {"keep_alive": 0},
                {"will": ("will/topic", "gone", 1, True)}):
            with self.subTest(form):
                self.assertEqual(self.answer(self.who.login(**form)), 0)
        self.assertEqual(self.status()["status"], "online")

    def test_who_cannot_prove_himself_is_refused_with_code_4(self):
        who = self.who
        good = f"{who.dk}|securemode=2,signmethod=sha256,timestamp=1|"
        digest = sign(who.dk, who.dk, who.pk, "1", who.secret)
        for name, packet in {
                "another secret": Who(who.pk, who.dk, "another").login(),
                "no password": connect(good, f"{who.dk}&{who.pk}"),
                "an empty password": connect(good, f"{who.dk}&{who.pk}", ""),
                "half a digest": connect(good, f"{who.dk}&{who.pk}", digest[:32]),
                "another time": who.login(parameters="securemode=2,signmethod=sha256,timestamp=1700000000124"),
                "an unknown device": Who(who.pk, "nobody", who.secret).login(),
                "an unknown product": Who("nothing", who.dk, who.secret).login(),
                "keys that cannot be": Who("a/b", "+#\u00e4", who.secret).login(),
                "no user name": connect(good),
                "a user name without &": connect(good, who.dk, digest),
                "an unknown method": who.login(label="sha512"),
                "an unknown mode": who.login(mode=7)}.items():
            with self.subTest(name):
                self.assertEqual(self.answer(packet), 4)
        self.assertEqual(self.status()["status"], "inactive")

    def test_a_client_id_that_is_none_is_refused_with_code_2(self):
        user, password = f"{self.who.dk}&{self.who.pk}", "0" * 64
        before = self.closes("client_id_invalid")
        forms = ("", "plain", "|", "x|", "x||", f"{self.who.dk}|securemode=2,signmethod=sha256,timestamp=1",
                 "x|securemode=2,signmethod=sha256|", "x|signmethod=sha256,timestamp=1|", "x|securemode=2,timestamp=1|", "x" * 2000)
        for client_id in forms:
            with self.subTest(client_id):
                self.assertEqual(self.answer(connect(client_id, user, password)), 2)
        self.assertEqual(self.closes("client_id_invalid") - before, len(forms))

    def test_an_unknown_protocol_level_is_refused_with_code_1(self):
        for level, name in ((1, "MQTT"), (3, "MQTT"), (6, "MQTT"), (4, "MQIsdp"), (5, "MQIsdp")):
            with self.subTest(name, level=level):
                self.assertEqual(self.answer(self.who.login(level=level, name=name)), 1)

    def test_a_disabled_device_is_put_out_and_refused_with_code_5(self):
        wire = self.who.connected(self.node)
        self.api.post(f"~/devices/{self.made['assetId']}:disable", {"reason": "test"})
        self.assertIn(f"/sys/{self.who.pk}/{self.who.dk}/thing/disable".encode(), wire.closed(), "the last that it is told")
        self.assertEqual(self.answer(self.who.login()), 5)
        # Who does not prove himself is not told so.
        self.assertEqual(self.answer(Who(self.who.pk, self.who.dk, "wrong").login()), 4)
        self.api.post(f"~/devices/{self.made['assetId']}:enable")
        self.assertEqual(self.answer(self.who.login()), 0)

    def test_a_device_whose_secret_was_reset_needs_the_new_one(self):
        wire = self.who.connected(self.node)
        secret = self.api.post(f"~/devices/{self.made['assetId']}:resetSecret")["deviceSecret"]
        self.assertEqual(wire.closed(), b"")
        self.assertEqual(self.answer(self.who.login()), 4)
        self.assertEqual(self.answer(Who(self.who.pk, self.who.dk, secret).login()), 0)

    def test_a_deleted_device_is_put_out(self):
        wire = self.who.connected(self.node)
        self.api.request("DELETE", f"~/devices/{self.made['assetId']}")
        self.assertIn(f"/sys/{self.who.pk}/{self.who.dk}/thing/delete".encode(), wire.closed())
        self.assertEqual(self.answer(self.who.login()), 4)

    def test_over_tls_with_the_authority_of_the_node(self):
        wire = self.who.connected(self.node, tls=True)
        self.assertIn(wire.socket.version(), ("TLSv1.2", "TLSv1.3"))
        wire.send(self.who.post({"power": 1.0}))
        self.assertEqual(wire.until(PUBACK).number, 1)
        self.assertTrue(self.status()["connection"]["secure"])
        self.assertEqual(self.answer(Who(self.who.pk, self.who.dk, "wrong").login(), tls=True), 4)
        wire.close()

    def test_a_client_that_knows_another_authority_does_not_connect(self):
        with socket.create_connection(("127.0.0.1", self.node.ports["mqtts"]), timeout=10) as raw:
            with self.assertRaises(ssl.SSLError):
                ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", self.node.ports["mqtts"]), timeout=10) as raw:
            with self.assertRaises(ssl.SSLError):
                ssl.create_default_context(cafile=self.node.ca).wrap_socket(raw, server_hostname="example.org")

    def test_plain_bytes_are_refused_on_the_tls_port_and_tls_on_the_plain_one(self):
        wire = Wire(self.node)
        wire.socket.close()
        wire.socket = socket.create_connection(("127.0.0.1", self.node.ports["mqtts"]), timeout=20)
        wire.send(self.who.login())
        self.assertNotIn(b"\x20\x02", wire.closed())
        with socket.create_connection(("127.0.0.1", self.node.ports["mqtt"]), timeout=20) as raw:
            with self.assertRaises((ssl.SSLError, ConnectionResetError)):
                ssl.create_default_context(cafile=self.node.ca).wrap_socket(raw, server_hostname="localhost")

    def test_a_second_login_takes_the_device_over(self):
        stream = self.api.stream({"kind": "presence", "filter": {"assets": [self.made["assetId"]]}})
        first = self.who.connected(self.node)
        self.assertEqual([i["event"] for i in stream.items(1)], ["online"])
        before = self.closes("taken_over")
        second = self.who.connected(self.node)
        self.assertEqual(first.closed(), b"")  # without any packet on it
        second.send(self.who.post({"power": 1.0}))
        self.assertEqual(second.until(PUBACK).number, 1)
        self.assertEqual(self.status()["status"], "online")
        wait_for(lambda: self.closes("taken_over") == before + 1, "the take-over is counted")
        second.close()
        # Whoever watches sees one goodbye that counts, and it is the last.
        seen = []
        while not seen or seen[-1].get("reason") != "socket":
            seen += stream.items(1)
        self.assertEqual([(i["event"], i.get("reason")) for i in seen if i.get("reason") != "taken_over"], [("online", None), ("offline", "socket")])
        stream.close()

    def test_many_logins_of_one_device_at_a_time_leave_one(self):
        before = self.closes("taken_over")
        wires = [Wire(self.node).send(self.who.login()) for _ in range(20)]
        for wire in wires:
            self.addCleanup(wire.close)
            self.assertEqual(wire.packet().body[1], 0)
        wait_for(lambda: self.closes("taken_over") == before + 19, "all but one are closed")
        self.assertEqual(sum(wire.is_alive() for wire in wires), 1)
        self.assertEqual(self.status()["status"], "online")

    def test_silence_longer_than_the_keep_alive_ends_it(self):
        before = self.closes("keep_alive")
        begin = time.monotonic()
        wire = self.who.connected(self.node, keep_alive=1)
        self.assertEqual(wire.closed(), b"")
        self.assertGreaterEqual(time.monotonic() - begin, 1.4)
        self.assertEqual(self.closes("keep_alive"), before + 1)
        status = wait_for(lambda: self.status() if self.status()["status"] == "offline" else None, "offline")
        self.assertEqual(status["connection"]["reason"], "keep_alive")

    def test_pings_keep_it_alive(self):
        wire = self.who.connected(self.node, keep_alive=1)
        wire.socket.settimeout(0.5)
        begin = time.monotonic()
        pings = 0
        while time.monotonic() - begin < 4:
            wire.send(mqtt_wire.frame(mqtt_wire.PINGREQ << 4))
            self.assertEqual(wire.packet().kind, PINGRESP)
            pings += 1
            with self.assertRaises(TimeoutError):
                wire.packet()
        self.assertGreater(pings, 5)
        wire.close()

    def test_how_it_ended_is_told(self):
        for packet, reason in ((mqtt_wire.frame(mqtt_wire.DISCONNECT << 4), "client"), (self.who.login(), "second_connect"),
                               (mqtt_wire.frame(0xf0), "malformed_header"), (None, "socket")):
            with self.subTest(reason):
                before = self.closes(reason)
                wire = self.who.connected(self.node)
                if packet:
                    wire.send(packet)
                    self.assertEqual(wire.closed(), b"")
                wire.close()
                wait_for(lambda: self.status()["status"] == "offline", "offline")
                self.assertEqual(self.status()["connection"]["reason"], reason)
                self.assertEqual(self.closes(reason), before + 1)

    def test_what_was_sent_before_a_disconnect_counts(self):
        wire = self.who.connected(self.node)
        at = mqtt_wire.now_ms() - 1000
        wire.send(*[self.who.post({"power": float(i)}, i, qos=0, time=at + i) for i in range(50)],
                  mqtt_wire.frame(mqtt_wire.DISCONNECT << 4))
        wire.closed()
        path = f"~/devices/{self.made['assetId']}/points/power/history?from={at}&timeFormat=ms"
        wait_for(lambda: len(self.api.get(path)["items"]) == 50, "all are there")

    def test_a_will_and_a_retained_message_are_taken_and_ignored(self):
        watcher = of_demo(self.node, 3).connected(self.node)
        watcher.send(subscribe("#"))
        watcher.packet()
        wire = self.who.connected(self.node, will=("will/topic", "gone", 2, True))
        wire.send(self.who.post({"power": 1.0}, retain=True), publish("some/topic", "{}", qos=1, number=2, retain=True))
        self.assertEqual(wire.until(PUBACK).number, 1)
        self.assertEqual(wire.until(PUBACK).number, 2)
        wire.close()  # without a DISCONNECT: the will would be published now
        wait_for(lambda: self.status()["status"] == "offline", "offline")
        again = self.who.connected(self.node)
        self.assertEqual(again.send(subscribe("#")).packet().kind, mqtt_wire.SUBACK)
        self.assertTrue(again.nothing_came())  # nothing was retained
        self.assertTrue(watcher.nothing_came())
        again.close()
        watcher.close()


if __name__ == "__main__":
    unittest.main()
