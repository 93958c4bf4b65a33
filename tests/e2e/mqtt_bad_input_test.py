"""Bad input by MQTT: each connection that sends it ends or is answered with its code, and nobody else notices."""
import json
import random
import subprocess
import time
import unittest

import mqtt_wire
from mqtt_wire import CONNACK, PINGREQ, Bystander, Wire, cpu_seconds, frame, fresh, publish, subscribe, text
from orrery import NodeTest, wait_for


class BadInput(NodeTest):
    def setUp(self):
        self.made, self.who = fresh(self.api, self.node.demo["productKey"])
        self.bystander = Bystander(self.node)
        self.bystander.start()
        self.addCleanup(self.check_bystander)

    def check_bystander(self):
        posted = self.bystander.posted
        wait_for(lambda: self.bystander.posted > posted + 3 or self.bystander.trouble, "the other device posts on")
        self.bystander.stop()
        self.assertLess(self.bystander.slowest, 10)
        asset = self.node.demo["devices"][4]["assetId"]
        last = self.bystander.first + self.bystander.posted - 1
        [newest] = self.api.get(f"~/devices/{asset}/points/latest?ids=power&timeFormat=ms")["items"]
        self.assertEqual((newest["time"], newest["value"]), (last, float(self.bystander.posted - 1)))

    def closes(self):
        return {k.split('"')[1]: v for k, v in self.node.metrics().items() if k.startswith("orrery_mqtt_closed_total")}

    def ends(self, wire, reason, *packets):
        """Sends; the connection must end with nothing more said, and with that reason counted."""
        before = self.closes().get(reason, 0)
        try:
            wire.send(*packets)
        except OSError:
            pass  # it ended while we were sending
        self.assertEqual(wire.closed(), b"")
        wire.close()
        wait_for(lambda: self.closes().get(reason, 0) > before, f"counted as {reason}; {self.closes()}")

    def test_malformed_packets_end_their_connection(self):
        post = self.who.home + "thing/measurepoint/post"
        for name, reason, packet in (
                ("packet type 0", "malformed_header", frame(0x00)),
                ("packet type 15", "malformed_header", frame(0xf0)),
                ("flags of a ping", "malformed_header", frame(0xc1)),
                ("flags of a subscribe", "malformed_header", frame(0x80, b"\0\1\0\1a\0")),
                ("a ping with content", "malformed_header", frame(0xc0, b"x")),
                ("remaining length of five bytes", "malformed_header", b"\x30\x80\x80\x80\x80\x01"),
                ("QoS 3", "malformed_publish", frame(0x36, text(post) + b"\0\1{}")),
                ("packet id 0", "malformed_publish", publish(post, "{}", 1, 0)),
                ("no packet id", "malformed_publish", frame(0x32, text(post))),
                ("a topic longer than its packet", "malformed_publish", frame(0x30, b"\xff\xff" + post.encode())),
                ("a repetition of QoS 0", "malformed_publish", frame(0x38, text(post))),
                ("no topic", "malformed_topic", publish("", "{}", 0)),
                ("wildcards in a topic", "malformed_topic", publish("/sys/+/x", "{}", 0)),
                ("a topic that is no UTF-8", "malformed_publish", publish(b"/sys/\xff\xfe", "{}", 0)),
                ("a surrogate in a topic", "malformed_publish", publish(b"/sys/\xed\xa0\x80", "{}", 0)),
                ("an overlong form in a topic", "malformed_publish", publish(b"/sys/\xc0\xaf", "{}", 0)),
                ("U+0000 in a topic", "malformed_publish", publish(b"/sys/\0", "{}", 0)),
                ("an acknowledgement without an id", "malformed_ack", frame(0x40)),
                ("an acknowledgement that goes on", "malformed_ack", frame(0x40, b"\0\1\0")),
                ("a release of packet id 0", "malformed_ack", frame(0x62, b"\0\0")),
                ("no filter", "malformed_subscribe", frame(0x82, b"\0\1")),
                ("a bad filter", "malformed_subscribe", subscribe("a/#/b")),
                ("QoS 3 of a filter", "malformed_subscribe", subscribe("a", qos=3)),
                ("a filter that is no UTF-8", "malformed_subscribe", subscribe(b"\xf5\x80\x80\x80")),
                ("unsubscribe nothing", "malformed_unsubscribe", frame(0xa2, b"\0\1")),
                ("a second CONNECT", "second_connect", self.who.login()),
                ("a CONNACK", "unexpected_packet", frame(0x20, b"\0\0"))):
            with self.subTest(name):
                self.ends(self.who.connected(self.node), reason, packet)

    def test_malformed_logins_end_their_connection(self):
        good = self.who.login()
        for name, reason, packet in (
                ("another protocol", "malformed_connect", frame(0x10, text("HTTP") + b"\4\2\0\0\0\0")),
                ("a web browser", "malformed_header", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b" " * 200),
                ("a reserved flag", "malformed_connect", frame(0x10, text("MQTT") + b"\4\3\0\0" + text("x"))),
                ("a password without a name", "malformed_connect", frame(0x10, text("MQTT") + b"\4\x42\0\0" + text("x") + text("y"))),
                ("bytes behind the end", "malformed_connect", frame(0x10, text("MQTT") + b"\4\2\0\0" + text("x") + b"zzz")),
                ("a client id that is no UTF-8", "malformed_connect", frame(0x10, text("MQTT") + b"\4\2\0\0" + text(b"\xff"))),
                ("a will on a filter", "malformed_connect", frame(0x10, text("MQTT") + b"\4\6\0\0" + text("x") + text("#") + text(""))),
                ("not a CONNECT", "not_connected", frame(PINGREQ << 4)),
                ("a publish before it", "not_connected", self.who.post({"power": 1}) + good),
                ("a huge one", "packet_too_large", b"\x10\xff\xff\xff\x7f" + good),
                ("a large one", "packet_too_large", b"\x10\x80\x80\x20" + good)):
            with self.subTest(name):
                self.ends(Wire(self.node), reason, packet)

    def test_truncated_packets_are_waited_for_and_end_with_their_connection(self):
        packets = self.who.post({"power": 1.0}), subscribe("a/b"), frame(0x62, b"\0\1")
        for packet in packets:
            for cut in range(1, len(packet), 7):
                wire = self.who.connected(self.node)
                wire.send(packet[:cut])
                wire.close()
        whole = self.who.login()
        for cut in range(1, len(whole), 11):
            wire = Wire(self.node)
            wire.send(whole[:cut])
            wire.close()
        wait_for(lambda: self.api.get(f"~/devices/{self.made['assetId']}/status")["status"] == "offline", "offline")
        self.assertEqual(self.api.get(f"~/devices/{self.made['assetId']}/points/latest")["items"], [])

    def test_oversized_packets_end_their_connection_before_they_are_kept(self):
        before = self.node.memory_kib()
        for announced in (b"\x30\xff\xff\xff\x7f", b"\x32\x81\x88\x20", b"\x82\xff\xff\xff\x7f"):
            self.ends(self.who.connected(self.node), "packet_too_large", announced)
        topic = self.who.home + "thing/measurepoint/post"
        self.ends(self.who.connected(self.node), "packet_too_large", publish(topic, b"x" * 3_000_000))
        self.assertLess(self.node.memory_kib() - before, 50_000)
        # Within the limit of packets and beyond that of payloads: an answer.
        wire = self.who.connected(self.node)
        reply = wire.send(publish(topic, b"x" * 524_289, 0)).packet()
        self.assertEqual((reply.json()["code"], reply.json()["id"]), (1008, ""))
        wire.close()

    def test_payloads_that_are_wrong_are_answered_with_their_code(self):
        deep = '{"id":"1","params":' + '[' * 100_000 + ']' * 100_000 + '}'
        nested = '{"id":"1","params":{"measurepoints":{"power":' + '{"a":' * 5_000 + '1' + '}' * 5_000 + '}}}'
        wide = '{"id":"1","params":{"measurepoints":{"power":[' + "1," * 200_000 + '1]}}}'
        many = '{"id":"1","params":{"measurepoints":{' + ",".join(f'"p{i}":1' for i in range(30_000)) + '}}}'
        wire = self.who.connected(self.node)
        for path, payload, code in (
                ("thing/measurepoint/post", b"", 1251),
                ("thing/measurepoint/post", b"\0\1\2\3", 1220),
                ("thing/measurepoint/post", b'{"id":"\xff\xfe"}', 1220),
                ("thing/measurepoint/post", b'{"id":"1","params":{"measurepoints":{"\xc3":1}}}', 1220),
                ("thing/measurepoint/post", '{"id":"1","params":{"measurepoints":{"power":NaN}}}', 1220),
                ("thing/measurepoint/post", '{"id":"1","params":{"measurepoints":{"power":Infinity}}}', 1220),
                ("thing/measurepoint/post", '{"id":"1","params":{"measurepoints":{"power":1e400}}}', 1220),
                ("thing/measurepoint/post", '{"id":"1","params":{"measurepoints":{"power":-' + "9" * 400 + '}}}', 1220),
                ("thing/measurepoint/post", '{"id":"1","params":{"measurepoints":{"state":1e300}}}', 1204),
                ("thing/measurepoint/post", '{"id":"1","params":{"measurepoints":{"temp":1e300}}}', 1204),
                ("thing/measurepoint/post", '{"id":"1","params":{"measurepoints":{"power":"NaN"}}}', 1204),
                ("thing/measurepoint/post", '{"id":"1","params":{"measurepoints":{"power":[1]}}}', 1204),
                ("thing/measurepoint/post", '{"id":"1","params":{"measurepoints":{"power":1},"time":1e308}}', 1206),
                ("thing/measurepoint/post", '{"id":"1","params":{"measurepoints":{"power":1},"time":"never"}}', 1206),
                ("thing/measurepoint/post", '{"id":"1","params":"' + "x" * 100_000 + '"}', 1206),
                ("thing/measurepoint/post", deep, 1220),
                ("thing/measurepoint/post", nested, 1220),
                ("thing/measurepoint/post", wide, 1220),
                ("thing/measurepoint/post", many, 1204),
                ("thing/measurepoint/post", '{"id":' * 1000, 1220),
                ("thing/measurepoint/post/batch", '{"id":"1","params":[' + "{}," * 50_000 + '{}]}', 1206),
                ("thing/attribute/update", '{"id":"1","params":{"attributes":{"serial":{"a":{"b":1}}}}}', 1204),
                ("thing/tag/update", r'{"id":"1","params":[{"tagKey":"\u0000","tagValue":"x"}]}', 1200),
                ("thing/event/overTemperature/post", '{"id":"1","params":{"events":{"temp":"hot"}}}', 1204)):
            with self.subTest(path, payload=payload[:60]):
                reply = wire.send(publish(self.who.home + path, payload, 0)).packet()
                self.assertEqual(reply.json()["code"], code, reply.json().get("message", "")[:200])
                self.assertEqual(reply.json()["data"], {})
                self.assertLess(len(reply.payload), 4096)
        self.assertTrue(wire.is_alive())
        wire.close()
        self.assertEqual(self.api.get(f"~/devices/{self.made['assetId']}/points/latest")["items"], [])

    def test_times_of_long_ago_and_far_away_are_kept_as_they_are(self):
        wire = self.who.connected(self.node)
        for time_given in (0, 1, -1, -62_000_000_000_000, 99_999_999_999_999):
            reply = wire.send(self.who.post({"power": 1.0}, qos=0, time=time_given)).packet()
            self.assertEqual(reply.json()["code"], 200, time_given)
        wire.close()

    def test_random_bytes(self):
        seed = random.Random(20_240_229)
        before = sum(self.closes().values())
        for round in range(60):
            wire = Wire(self.node) if round % 2 else self.who.connected(self.node)
            try:
                wire.send(seed.randbytes(seed.choice((1, 10, 1000, 100_000))))
                wire.socket.shutdown(1)
                wire.closed()
            except OSError:
                pass
            wire.close()
        wait_for(lambda: sum(self.closes().values()) >= before + 60, "all are closed and counted")

    def test_random_changes_of_good_packets(self):
        seed = random.Random(4_711)
        good = [self.who.login() + self.who.post({"power": 1.0}, n, qos) + subscribe("a/#", number=3) + frame(0x62, b"\0\1") for n, qos in ((1, 0), (2, 1), (3, 2))]
        for _ in range(150):
            packets = bytearray(seed.choice(good))
            for _ in range(seed.randint(1, 4)):
                packets[seed.randrange(len(packets))] = seed.randrange(256)
            wire = Wire(self.node)
            try:
                wire.send(bytes(packets))
                wire.socket.shutdown(1)
                wire.closed()
            except OSError:
                pass
            wire.close()

    def test_one_byte_at_a_time_costs_little(self):
        # A packet of half a mebibyte, the last part of it byte by byte: what is there already is not moved for each.
        wire = self.who.connected(self.node)
        payload = json.dumps({"id": "slow", "params": {"measurepoints": {"power": 1}}, "filler": "x" * 500_000})
        packet = publish(self.who.home + "thing/measurepoint/post", payload, 0)
        wire.send(packet[:-20_000])
        before = cpu_seconds(self.node)
        for at in range(len(packet) - 20_000, len(packet)):
            wire.send(packet[at:at + 1])
        self.assertEqual(wire.packet().json(), {"id": "slow", "code": 200, "data": {}})
        self.assertLess(cpu_seconds(self.node) - before, 10)
        wire.close()

    def test_slow_bytes_are_no_login(self):
        before = self.closes().get("login_timeout", 0)
        wire = Wire(self.node)
        wire.socket.settimeout(0.05)
        login = self.who.login()
        begin = time.monotonic()
        ended = False
        for byte in login * 10:
            try:
                wire.send(bytes([byte]))
                if wire.socket.recv(1) == b"":
                    ended = True
                    break
            except TimeoutError:
                continue
            except OSError:
                ended = True
                break
            if time.monotonic() - begin > 30:
                break
        self.assertTrue(ended)
        self.assertLess(time.monotonic() - begin, 15)
        wait_for(lambda: self.closes().get("login_timeout", 0) > before, "counted")

    def test_bad_bytes_in_a_tls_session(self):
        wire = self.who.connected(self.node, tls=True)
        self.ends(wire, "malformed_publish", frame(0x36, text("a") + b"\0\1"))
        for junk in (b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\x80\x2e\x01\x00\x02", random.Random(1).randbytes(500)):
            raw = Wire(self.node)
            raw.socket.close()
            raw.socket = mqtt_wire.socket.create_connection(("127.0.0.1", self.node.ports["mqtts"]), timeout=20)
            try:
                raw.send(junk)
                raw.socket.shutdown(1)
            except OSError:
                pass
            raw.closed()
            raw.close()

    def test_clients_that_say_too_much_of_themselves(self):
        done = subprocess.run(["mosquitto_pub", "-h", "localhost", "-p", str(self.node.ports["mqtt"]), "-V", "mqttv5", "-t", "a", "-m", "x"],
                              capture_output=True, text=True, timeout=30)
        self.assertNotEqual(done.returncode, 0)
        wire = Wire(self.node)
        answer = wire.send(mqtt_wire.connect("x" * 30_000, "y" * 1000, "z" * 1000)).packet()
        self.assertEqual((answer.kind, answer.body[1]), (CONNACK, 2))
        self.assertEqual(wire.closed(), b"")


if __name__ == "__main__":
    unittest.main()
