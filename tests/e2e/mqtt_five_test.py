"""MQTT 5.0 with other people's clients, and as bytes: codes, properties, limits of both sides, sessions."""
import json
import queue
import struct
import subprocess
import threading
import time
import unittest

import mqtt_wire
import paho.mqtt.client as paho
from mqtt_wire import CONNACK, DISCONNECT, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, Wire, frame, fresh, numbered, text
from orrery import DEADLINE, Node, NodeTest, sign, wait_for
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

RECEIVE_MAXIMUM = 20


def properties(kind, **values):
    made = Properties(kind)
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Five:
    """A device on paho with protocol version 5."""

    def __init__(self, node, who):
        self.node, self.who = node, who
        self.client = paho.Client(f"{who.dk}|securemode=2,signmethod=sha256,timestamp=1|", protocol=paho.MQTTv5)
        self.client.username_pw_set(f"{who.dk}&{who.pk}", sign(who.dk, who.dk, who.pk, "1", who.secret))
        self.client.reconnect_delay_set(600, 600)
        self.connected, self.gone, self.messages, self.granted = (queue.Queue() for _ in range(4))
        self.client.on_connect = lambda c, u, flags, code, with_: self.connected.put((flags["session present"], code, with_))
        self.client.on_disconnect = lambda c, u, code, with_=None: self.gone.put((code, with_))
        self.client.on_message = lambda c, u, m: self.messages.put(m)
        self.client.on_subscribe = lambda c, u, mid, codes, with_: self.granted.put([c.value for c in codes])

    def connect(self, clean=True, tls=False, keep_alive=60, **of_connect):
        if tls:
            self.client.tls_set(ca_certs=self.node.ca)
        self.client.connect(getattr(self.node, "host", "localhost"), self.node.ports["mqtts" if tls else "mqtt"], keep_alive, clean_start=clean,
                            properties=properties(PacketTypes.CONNECT, **of_connect))
        self.client.loop_start()
        self.present, self.code, self.told = self.connected.get(timeout=DEADLINE)
        return self

    def post(self, points, id="1", qos=1, **with_):
        body = json.dumps({"id": id, "params": {"measurepoints": points}})
        sent = self.client.publish(self.who.home + "thing/measurepoint/post", body, qos, properties=properties(PacketTypes.PUBLISH, **with_))
        sent.wait_for_publish(DEADLINE)
        return self.messages.get(timeout=DEADLINE)

    def close(self, **with_):
        self.client.disconnect(properties=properties(PacketTypes.DISCONNECT, **with_) if with_ else None)
        self.client.loop_stop()


def publish(topic, payload, qos=1, number=1, with_=b"", more=0):
    payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return frame(PUBLISH << 4 | qos << 1 | more, text(topic) + (struct.pack(">H", number) if qos else b"") + mqtt_wire.counted(with_) + payload)


class Opened:
    """The parts of a packet of version 5."""

    def __init__(self, packet):
        self.kind = packet.kind
        body = packet.body
        self.code, self.number = 0, None
        if packet.kind == PUBLISH:
            size = struct.unpack_from(">H", body)[0]
            self.topic, body = body[2:2 + size].decode(), body[2 + size:]
            if packet.qos:
                self.number, body = struct.unpack_from(">H", body)[0], body[2:]
            self.with_, size = Properties(PacketTypes.PUBLISH).unpack(body)
            self.payload = body[size:]
            return
        kinds = {CONNACK: PacketTypes.CONNACK, DISCONNECT: PacketTypes.DISCONNECT, PUBACK: PacketTypes.PUBACK, PUBREC: PacketTypes.PUBREC,
                 PUBCOMP: PacketTypes.PUBCOMP}
        if packet.kind == CONNACK:
            self.present, body = bool(body[0]), body[1:]
        elif packet.kind != DISCONNECT:
            self.number, body = struct.unpack_from(">H", body)[0], body[2:]
        self.code, body = (body[0], body[1:]) if body else (0, b"")
        self.with_ = Properties(kinds[packet.kind]).unpack(body)[0] if body else None
        self.reason = getattr(self.with_, "ReasonString", None)


def opened(wire):
    packet = wire.packet()
    return packet and Opened(packet)


class MqttFive(NodeTest):
    settings = (f"mqtt.max_unsettled={RECEIVE_MAXIMUM}", "mqtt.max_keep_alive=20s")

    def setUp(self):
        self.made, self.who = fresh(self.api, self.node.demo["productKey"])
        self.path = f"~/devices/{self.made['assetId']}"

    def five(self, **options):
        device = Five(self.node, self.who).connect(**options)
        self.addCleanup(device.close)
        self.assertEqual(device.code.value, 0)
        return device

    def raw(self, with_=b"", **options):
        wire = Wire(self.node)
        self.addCleanup(wire.close)
        answer = opened(wire.send(self.who.login(level=5, properties=with_, **options)))
        self.assertEqual((answer.kind, answer.code), (CONNACK, 0))
        return wire

    def post(self, number=1, qos=1, id="1", **options):
        return publish(self.who.home + "thing/measurepoint/post", {"id": id, "params": {"measurepoints": {"power": 1.0}}}, qos, number, **options)

    def answer(self, *packets):
        """The CONNACK to a login that must fail."""
        wire = Wire(self.node)
        answer = opened(wire.send(*packets))
        self.assertEqual((answer.kind, answer.present), (CONNACK, False))
        self.assertEqual(wire.closed(), b"")
        return answer.code, answer.reason

    def test_paho_logs_in_and_is_told_what_is_granted(self):
        for tls in (False, True):
            device = self.five(tls=tls, SessionExpiryInterval=0)
            told = device.told
            self.assertFalse(device.present)
            self.assertEqual((told.ReceiveMaximum, told.TopicAliasMaximum, told.SharedSubscriptionAvailable), (RECEIVE_MAXIMUM, 16, 0))
            self.assertEqual(told.MaximumPacketSize, 525_312)
            self.assertFalse(hasattr(told, "SessionExpiryInterval") or hasattr(told, "ReasonString"))
            device.close()

    def test_paho_posts_and_is_answered(self):
        device = self.five()
        for qos in (0, 1, 2):
            reply = device.post({"power": 2.0}, id=str(qos), qos=qos, ContentType="application/json", MessageExpiryInterval=60, UserProperty=("a", "b"),
                                ResponseTopic="elsewhere", CorrelationData=b"\0\1", PayloadFormatIndicator=1)
            self.assertEqual(reply.topic, self.who.home + "thing/measurepoint/post_reply")
            self.assertEqual((json.loads(reply.payload), reply.qos), ({"id": str(qos), "code": 200, "data": {}}, min(qos, 1)))
        self.assertEqual(json.loads(device.post({"no such point": 1}).payload)["code"], 1204)

    def test_paho_subscribes_with_options_and_identifiers(self):
        device = self.five()
        topic = self.who.home + "#"
        device.client.subscribe(topic, options=SubscribeOptions(qos=2, noLocal=True, retainAsPublished=True, retainHandling=2),
                                properties=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=300))
        self.assertEqual(device.granted.get(timeout=DEADLINE), [1])
        self.assertEqual(device.post({"power": 1.0}).properties.SubscriptionIdentifier, [300])
        device.client.subscribe([("a", SubscribeOptions(1)), ("$share/g/b", SubscribeOptions(1))])
        self.assertEqual(device.granted.get(timeout=DEADLINE), [1, 0x9e])

    def test_paho_uses_topic_aliases(self):
        device = self.five()
        topic, body = self.who.home + "thing/measurepoint/post", json.dumps({"id": "1", "params": {"measurepoints": {"power": 1.0}}})
        for name in (topic, "", ""):
            device.client.publish(name, body, 1, properties=properties(PacketTypes.PUBLISH, TopicAlias=16)).wait_for_publish(DEADLINE)
            self.assertEqual(device.messages.get(timeout=DEADLINE).topic, topic + "_reply")

    def test_paho_does_what_it_is_told(self):
        device = self.five()

        def obey(client, userdata, message):
            asked = json.loads(message.payload)
            client.publish(message.topic + "_reply", json.dumps({"id": asked["id"], "code": 200, "data": {"accepted": True}}), 1)

        device.client.on_message = obey
        done = self.api.post(f"{self.path}/services/reboot:invoke", {"input": {"delay": 1}, "timeout": 30})
        self.assertEqual(done["output"], {"accepted": True})

    def test_the_one_that_is_taken_over_is_told(self):
        first = self.five()
        self.five()
        code, told = first.gone.get(timeout=DEADLINE)
        self.assertEqual((code.value, told.ReasonString), (0x8e, "taken_over"))

    def test_administrators_reasons(self):
        for verb, code, reason in (("disable", 0x98, "disabled"), ("enable", None, None), ("resetSecret", 0x98, "secret_reset")):
            wire = self.raw() if code else None
            self.api.post(f"{self.path}:{verb}", {"reason": "test"} if verb == "disable" else {})
            if wire:
                end = opened(wire)
                if end.kind == PUBLISH:  # the last word of the device protocol goes first
                    end = opened(wire)
                self.assertEqual((end.kind, end.code, end.reason), (DISCONNECT, code, reason))
                self.assertEqual(wire.closed(), b"")

    def test_who_takes_no_answer_to_the_login_does_not_stay(self):
        wire = Wire(self.node)
        wire.send(self.who.login(level=5, properties=bytes([0x27, 0, 0, 0, 10])))  # maximum packet size
        self.assertEqual(wire.closed(), b"")

    def test_the_server_has_a_keep_alive_too(self):
        for asked, told in ((60, 20), (0, 20), (20, None), (10, None)):
            five = self.five(keep_alive=asked)
            self.assertEqual(getattr(five.told, "ServerKeepAlive", None), told)
            five.close()

    def test_silence_is_ended_with_its_reason(self):
        begin = time.monotonic()
        end = opened(self.raw(keep_alive=1))
        self.assertEqual((end.kind, end.code, end.reason), (DISCONNECT, 0x8d, "keep_alive"))
        self.assertGreaterEqual(time.monotonic() - begin, 1.4)

    def test_who_wants_no_texts_gets_none(self):
        wire = self.raw(with_=bytes([0x17, 0]))
        ack = opened(wire.send(publish("foreign", {}, number=9)))
        while ack.kind == PUBLISH:
            ack = opened(wire)
        self.assertEqual((ack.kind, ack.code, ack.reason), (PUBACK, 0x87, None))
        self.raw()
        end = opened(wire)
        while end.kind == PUBLISH:
            end = opened(wire)
        self.assertEqual((end.kind, end.code, end.reason), (DISCONNECT, 0x8e, None))

    def test_refused_messages_have_a_code(self):
        wire = self.raw()
        for qos, kind in ((1, PUBACK), (2, PUBREC)):
            found = {}
            for packet in (opened(wire.send(publish("foreign", {"id": "7"}, qos, 5))), opened(wire)):
                found[packet.kind] = packet
            self.assertEqual((found[kind].number, found[kind].code, found[kind].reason), (5, 0x87, "topic_forbidden"))
            self.assertEqual(json.loads(found[PUBLISH].payload)["code"], 1009)
        wire.send(numbered(PUBREL, 5))  # its flow is over
        complete = opened(wire)
        self.assertEqual((complete.kind, complete.code), (PUBCOMP, 0x92))

    def test_refused_logins_have_a_code_and_a_reason(self):
        dk, pk = self.who.dk, self.who.pk
        user, digest = f"{dk}&{pk}", "0" * 64
        good = f"{dk}|securemode=2,signmethod=sha256,timestamp=1|"
        five = {"level": 5}
        for name, packet, expected in (
                ("wrong secret", mqtt_wire.connect(good, user, digest, **five), (0x86, "login_refused")),
                ("unknown device", mqtt_wire.connect(good, f"nobody&{pk}", digest, **five), (0x86, "login_refused")),
                ("no user", mqtt_wire.connect(good, **five), (0x86, "login_refused")),
                ("empty client id", mqtt_wire.connect("", user, digest, **five), (0x85, "client_id_invalid")),
                ("plain client id", mqtt_wire.connect("plain", user, digest, **five), (0x85, "client_id_invalid")),
                ("a product's secret that is none", self.who.login(mode=3, **five), (0x86, "login_refused")),
                ("an authentication method", self.who.login(properties=b"\x15" + text("SCRAM-SHA-1"), **five), (0x8c, "auth_method_unknown")),
                ("no texts", mqtt_wire.connect(good, user, digest, properties=bytes([0x17, 0]), **five), (0x86, None)),
                ("a property twice", self.who.login(properties=bytes([0x17, 1, 0x17, 1]), **five), (0x82, "protocol_error")),
                ("receive maximum 0", self.who.login(properties=bytes([0x21, 0, 0]), **five), (0x82, "protocol_error")),
                ("unknown property", self.who.login(properties=bytes([0x7f, 0]), **five), (0x81, "malformed_properties")),
                ("too large", mqtt_wire.connect("x" * 40_000, user, digest, **five), (0x95, "packet_too_large"))):
            with self.subTest(name):
                self.assertEqual(self.answer(packet), expected)
        self.api.post(f"{self.path}:disable", {"reason": "test"})
        self.assertEqual(self.answer(self.who.login(level=5)), (0x8a, "device_disabled"))
        refused = Five(self.node, self.who).connect()
        self.assertEqual((refused.code.value, refused.told.ReasonString), (0x8a, "device_disabled"))
        refused.close()

    def test_errors_end_it_with_their_code(self):
        for name, packet, expected in (
                ("a second connect", self.who.login(level=5), (0x82, "second_connect")),
                ("a publish of QoS 3", frame(0x36, text("a") + b"\0\1\0"), (0x81, "malformed_publish")),
                ("a retained subscription that cannot be", frame(0x82, b"\0\1\0" + text("a") + b"\x30"), (0x82, "protocol_error")),
                ("alias 0", publish("a", {}, 0, with_=b"\x23\0\0"), (0x94, "topic_alias_invalid")),
                ("alias 17", publish("a", {}, 0, with_=b"\x23\0\x11"), (0x94, "topic_alias_invalid")),
                ("an alias of nothing", publish("", {}, 0, with_=b"\x23\0\1"), (0x82, "protocol_error")),
                ("too large", frame(0x30, b"")[:1] + b"\xff\xff\xff\x7f", (0x95, "packet_too_large")),
                ("AUTH", frame(0xf0, b"\x19" + mqtt_wire.counted(b"\x15" + text("x"))), (0x82, "unexpected_packet"))):
            with self.subTest(name):
                wire = self.raw()
                end = opened(wire.send(packet))
                self.assertEqual((end.kind, end.code, end.reason), (DISCONNECT, *expected))
                self.assertEqual(wire.closed(), b"")

    def test_the_servers_receive_maximum_is_kept_to(self):
        wire = self.raw()
        for number in range(1, RECEIVE_MAXIMUM + 1):  # never released
            wire.send(self.post(number, 2, id=str(number)))
            found = {opened(wire).kind for _ in range(2)}
            self.assertEqual(found, {PUBREC, PUBLISH})
        end = opened(wire.send(self.post(RECEIVE_MAXIMUM + 1, 2)))
        self.assertEqual((end.kind, end.code, end.reason), (DISCONNECT, 0x93, "receive_maximum_exceeded"))

    def test_the_clients_receive_maximum_is_kept_to(self):
        wire = self.raw(with_=struct.pack(">BH", 0x21, 1))
        wire.send(*(self.post(n, id=str(n)) for n in range(1, 6)))
        acknowledged, replies = [], []
        while len(acknowledged) < 5 or not replies:
            packet = opened(wire)
            (replies if packet.kind == PUBLISH else acknowledged).append(packet)
        self.assertEqual([p.number for p in acknowledged], [1, 2, 3, 4, 5])
        self.assertTrue(wire.nothing_came())
        for expected in range(2, 6):
            reply = opened(wire.send(numbered(PUBACK, replies[-1].number)))
            self.assertEqual(json.loads(reply.payload)["id"], str(expected))
            self.assertTrue(wire.nothing_came())
            replies.append(reply)

    def test_a_packet_larger_than_the_client_takes_is_not_sent(self):
        wire = self.raw(with_=struct.pack(">BI", 0x27, 200))
        wire.send(self.post(1, id="x" * 200))
        ack = opened(wire)
        self.assertEqual((ack.kind, ack.number, ack.code), (PUBACK, 1, 0))
        self.assertTrue(wire.nothing_came())
        kinds = {opened(wire.send(self.post(2))).kind, opened(wire).kind}
        self.assertEqual(kinds, {PUBACK, PUBLISH})

    def test_topics_that_repeat_get_an_alias(self):
        wire = self.raw(with_=struct.pack(">BH", 0x22, 3))
        replies = []
        for number in range(1, 5):
            wire.send(self.post(number, 0))
            replies.append(opened(wire))
        topic = self.who.home + "thing/measurepoint/post_reply"
        self.assertEqual([r.topic for r in replies], [topic, topic, "", ""])
        self.assertEqual([getattr(r.with_, "TopicAlias", None) for r in replies], [None, 1, 1, 1])

    def test_clean_start_and_expiry_decide_what_is_kept(self):
        never, week = 4_294_967_295, 604_800
        for clean, expiry, present, told in ((False, never, False, week), (False, 60, True, None), (True, 60, False, None), (False, 0, True, None),
                                             (False, 60, False, None), (True, 0, False, None), (False, 60, False, None)):
            device = Five(self.node, self.who).connect(clean=clean, SessionExpiryInterval=expiry)
            self.assertEqual((device.code.value, device.present, getattr(device.told, "SessionExpiryInterval", None)), (0, present, told),
                             f"clean start {clean}, expiry {expiry}")
            device.close()
            wait_for(lambda: self.api.get(f"{self.path}/status")["status"] == "offline", "offline")
        # A good-bye with expiry 0 ends what was kept.
        device = Five(self.node, self.who).connect(clean=False, SessionExpiryInterval=60)
        self.assertTrue(device.present)
        device.close(SessionExpiryInterval=0)
        wait_for(lambda: self.api.get(f"{self.path}/status")["status"] == "offline", "offline")
        device = Five(self.node, self.who).connect(clean=False, SessionExpiryInterval=60)
        self.assertFalse(device.present)
        device.close()

    def test_a_kept_session_ends_when_its_time_is_over(self):
        for of_connect, of_disconnect in ((1, {}), (600, {"SessionExpiryInterval": 1})):
            device = Five(self.node, self.who).connect(clean=False, SessionExpiryInterval=of_connect)
            device.close(**of_disconnect)
            wait_for(lambda: self.api.get(f"{self.path}/status")["status"] == "offline", "offline")
            gone = time.monotonic()
            wait_for(lambda: time.monotonic() > gone + 1, "a second is over")
            device = Five(self.node, self.who).connect(clean=False, SessionExpiryInterval=600)
            self.assertFalse(device.present, of_connect)
            device.close()
            device = Five(self.node, self.who).connect(clean=False, SessionExpiryInterval=0)
            self.assertTrue(device.present, "that one has its time")
            device.close()

    def test_a_session_that_is_not_kept_cannot_be_kept_at_its_end(self):
        """MQTT 5.0, 3.14.2.2.2"""
        wire = self.raw()
        wire.send(frame(DISCONNECT << 4, b"\0" + mqtt_wire.counted(b"\x11" + struct.pack(">I", 60))))
        end = opened(wire)
        self.assertEqual((end.kind, end.code), (DISCONNECT, 0x82))

    def test_a_kept_session_has_its_subscriptions_with_their_identifiers(self):
        device = Five(self.node, self.who).connect(clean=False, SessionExpiryInterval=60)
        device.client.subscribe(self.who.home + "#", options=SubscribeOptions(qos=1),
                                properties=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=268_435_455))
        self.assertEqual(device.granted.get(timeout=DEADLINE), [1])
        device.close()
        again = self.five(clean=False, SessionExpiryInterval=60)
        self.assertTrue(again.present)
        self.assertEqual(again.post({"power": 1.0}).properties.SubscriptionIdentifier, [268_435_455])

    def test_a_disconnect_with_its_will_is_a_good_bye(self):
        wire = self.raw(will=("w", "gone", 1, False))
        self.assertEqual(wire.send(frame(DISCONNECT << 4, b"\4")).closed(), b"")
        status = wait_for(lambda: self.api.get(f"{self.path}/status") if self.api.get(f"{self.path}/status")["status"] == "offline" else None, "offline")
        self.assertEqual(status["connection"]["reason"], "client")

    def test_mosquitto_of_both_versions(self):
        version = {"mqttv311": "311", "mqttv5": "5"}
        for name in version:
            digest = sign(self.who.dk, self.who.dk, self.who.pk, "1", self.who.secret)
            login = ["-h", "localhost", "-p", str(self.node.ports["mqtt"]), "-V", name, "-i", f"{self.who.dk}|securemode=2,signmethod=sha256,timestamp=1|",
                     "-u", f"{self.who.dk}&{self.who.pk}", "-P", digest]
            more = ["-D", "publish", "user-property", "a", "b", "-D", "publish", "content-type", "application/json"] if name == "mqttv5" else []
            body = json.dumps({"id": "1", "params": {"measurepoints": {"power": float(version[name])}}})
            for qos in "012":
                done = subprocess.run(["mosquitto_pub", *login, "-q", qos, "-t", self.who.home + "thing/measurepoint/post", "-m", body, *more],
                                      capture_output=True, text=True, timeout=DEADLINE)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
            latest = lambda: self.api.get(f"{self.path}/points/latest?ids=power")["items"][0]["value"]
            wait_for(lambda: latest() == float(version[name]), "the value is there")
            listener = subprocess.Popen(["mosquitto_sub", *login, "-q", "1", "-t", self.who.home + "thing/service/+", "-C", "1", "-F", "%t %p"],
                                        stdout=subprocess.PIPE, text=True)
            self.addCleanup(listener.stdout.close)
            wait_for(lambda: self.api.get(f"{self.path}/status")["status"] == "online", "the listener is there")
            self.api.post(f"{self.path}/services/reboot:invoke", {"input": {"delay": 3}, "timeout": 30, "pendingTtl": 30, "mode": "async"}, expect=202)
            said = listener.communicate(timeout=2 * DEADLINE)[0]
            self.assertIn(self.who.home + "thing/service/reboot ", said)
            self.assertIn('"params":{"delay":3}', said)
            self.assertEqual(listener.returncode, 0)
            wait_for(lambda: self.api.get(f"{self.path}/status")["status"] == "offline", "offline")
            answer = {"id": json.loads(said.split(" ", 1)[1])["id"], "code": 200, "data": {"accepted": True}}
            done = subprocess.run(["mosquitto_pub", *login, "-q", "1", "-t", self.who.home + "thing/service/reboot_reply", "-m", json.dumps(answer)],
                                  capture_output=True, text=True, timeout=DEADLINE)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            wait_for(lambda: {c["state"] for c in self.api.get(f"{self.path}/commands")["items"]} == {"succeeded"}, "the answer is taken")

    def test_mosquitto_is_told_why_it_is_refused(self):
        done = subprocess.run(["mosquitto_pub", "-h", "localhost", "-p", str(self.node.ports["mqtt"]), "-V", "mqttv5", "-t", "a", "-m", "x"],
                              capture_output=True, text=True, timeout=30)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Client Identifier not valid", done.stderr)


class Stop(unittest.TestCase):
    def test_a_node_that_stops_says_so(self):
        with Node() as node:
            who = mqtt_wire.of_demo(node)
            wire = Wire(node)
            self.assertEqual(opened(wire.send(who.login(level=5))).code, 0)
            ending = threading.Thread(target=node.stop)
            ending.start()
            end = opened(wire)
            self.assertEqual((end.kind, end.code, end.reason), (DISCONNECT, 0x8b, "node_stopped"))
            ending.join()
            wire.close()


if __name__ == "__main__":
    unittest.main()
