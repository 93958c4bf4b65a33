"""Packets in and packets out: acknowledgements, replies, subscriptions, order."""
import json
import unittest

import mqtt_wire
from mqtt_wire import (CONNACK, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK, Wire, frame, fresh, numbered,
                       publish, subscribe, unsubscribe)
from orrery import NodeTest, wait_for


class Flow(NodeTest):
    def setUp(self):
        self.made, self.who = fresh(self.api, self.node.demo["productKey"])
        self.wire = self.who.connected(self.node)
        self.addCleanup(self.wire.close)

    def history(self, point="power", first=0):
        found, cursor = [], ""
        while True:
            page = self.api.get(f"~/devices/{self.made['assetId']}/points/{point}/history?from={first}&timeFormat=ms{cursor}")
            found += page["items"]
            if "nextCursor" not in page:
                return found
            cursor = "&cursor=" + page["nextCursor"]

    def by_kind(self, count):
        """`count` packets, by kind."""
        found = {}
        for packet in self.wire.packets(count):
            found.setdefault(packet.kind, []).append(packet)
        return found

    def test_qos_0_is_answered_with_qos_0(self):
        reply = self.wire.send(self.who.post({"power": 1.0}, qos=0, id="7")).packet()
        self.assertEqual((reply.kind, reply.qos, reply.retain, reply.dup), (PUBLISH, 0, False, False))
        self.assertEqual(reply.topic, self.who.home + "thing/measurepoint/post_reply")
        self.assertEqual(reply.payload, b'{"id":"7","code":200,"data":{}}')
        self.assertTrue(self.wire.nothing_came())

    def test_qos_1_is_acknowledged_and_answered_with_qos_1(self):
        found = self.by_kind_after(self.who.post({"power": 1.0}, 258))
        [ack], [reply] = found[PUBACK], found[PUBLISH]
        self.assertEqual(ack.number, 258)
        self.assertEqual((reply.qos, reply.retain, reply.dup), (1, False, False))
        self.assertNotEqual(reply.number, 0)
        self.assertTrue(self.wire.send(numbered(PUBACK, reply.number)).nothing_came())

    def by_kind_after(self, *packets, count=2):
        self.wire.send(*packets)
        return self.by_kind(count)

    def test_qos_2_takes_four_steps_and_counts_once(self):
        at = mqtt_wire.now_ms()
        found = self.by_kind_after(self.who.post({"power": 1.0}, 9, qos=2, time=at))
        [received], [reply] = found[PUBREC], found[PUBLISH]
        self.assertEqual(received.number, 9)
        self.assertEqual(reply.qos, 1)
        # The PUBREC was lost, the client repeats: no second message, the PUBREC once more.
        again = self.wire.send(self.who.post({"power": 2.0}, 9, qos=2, time=at, dup=True)).packet()
        self.assertEqual((again.kind, again.number), (PUBREC, 9))
        complete = self.wire.send(numbered(PUBREL, 9)).packet()
        self.assertEqual((complete.kind, complete.number), (PUBCOMP, 9))
        # Released, the packet id serves for another message.
        found = self.by_kind_after(self.who.post({"power": 3.0}, 9, qos=2, time=at + 1))
        self.assertEqual(sorted(found), [PUBLISH, PUBREC])
        self.assertEqual([h["value"] for h in self.history(first=at)], [1.0, 3.0])

    def test_a_release_of_nothing_is_confirmed(self):
        answer = self.wire.send(numbered(PUBREL, 77)).packet()
        self.assertEqual((answer.kind, answer.number), (PUBCOMP, 77))

    def test_acknowledgements_come_in_the_order_of_the_messages(self):
        at = mqtt_wire.now_ms() - 10_000
        # Good ones and bad ones, small ones and large ones, of both levels.
        packets, expected = [], []
        for number in range(1, 301):
            kind = number % 5
            if kind == 0:
                packets.append(self.who.post({"no such point": 1}, number))
            elif kind == 1:
                packets.append(publish("/sys/foreign/device/thing/measurepoint/post", "{}", 1, number))
            elif kind == 2:
                packets.append(publish(self.who.home + "thing/measurepoint/post", b"not JSON", 1, number))
            else:
                packets.append(self.who.post({"power": number / 2}, number, qos=2 if kind == 3 else 1, time=at + number))
            expected.append((PUBREC if kind == 3 else PUBACK, number))
        self.wire.send(*packets)
        found, replies = [], 0
        while len(found) < 300 or replies < 300:
            packet = self.wire.packet()
            if packet.kind == PUBLISH:
                replies += 1
                self.wire.send(numbered(PUBACK, packet.number))
            else:
                found.append((packet.kind, packet.number))
        self.assertEqual(found, expected)
        self.assertEqual([h["value"] for h in self.history(first=at)], [n / 2 for n in range(1, 301) if n % 5 > 2])

    def test_everything_in_one_segment(self):
        wire = Wire(self.node)
        self.addCleanup(wire.close)
        wire.send(self.who.login(), subscribe(self.who.home + "#", number=1), self.who.post({"power": 1.0}, 2), frame(PINGREQ << 4),
                  unsubscribe(self.who.home + "#", number=3), self.who.post({"power": 2.0}, 4, qos=0, id="last"))
        packets = wire.packets(7)
        kinds = [p.kind for p in packets]
        self.assertEqual(kinds[0], CONNACK)
        self.assertEqual(sorted(kinds), sorted([CONNACK, SUBACK, PUBACK, PUBLISH, PINGRESP, UNSUBACK, PUBLISH]))
        self.assertEqual([p.json()["code"] for p in packets if p.kind == PUBLISH], [200, 200])

    def test_byte_by_byte(self):
        wire = Wire(self.node)
        self.addCleanup(wire.close)
        stream = self.who.login() + subscribe("a/#", number=1) + self.who.post({"power": 1.0}, 2) + self.who.post({"power": 1.0}, 3, qos=2)
        for at in range(len(stream)):
            wire.send(stream[at:at + 1])
        kinds = [p.kind for p in wire.packets(6)]
        self.assertEqual(kinds[:2], [CONNACK, SUBACK])
        self.assertEqual(sorted(kinds[2:]), [PUBLISH, PUBLISH, PUBACK, PUBREC])

    def test_replies_come_without_a_subscription_and_once_with_several(self):
        self.wire.send(self.who.post({"power": 1.0}, qos=0))
        self.assertEqual(self.wire.packet().kind, PUBLISH)
        self.wire.send(subscribe("#", self.who.home + "#", self.who.home + "thing/measurepoint/+", self.who.home + "thing/measurepoint/post_reply"))
        self.assertEqual(self.wire.packet().body[2:], b"\1\1\1\1")
        self.wire.send(self.who.post({"power": 1.0}, qos=0))
        self.assertEqual(self.wire.packet().kind, PUBLISH)
        self.assertTrue(self.wire.nothing_came())

    def test_a_client_that_left_a_replys_topic_is_not_answered_there(self):
        reply = self.who.home + "thing/measurepoint/post_reply"
        self.wire.send(unsubscribe(reply, number=3))
        self.assertEqual(self.wire.packet().kind, UNSUBACK)
        self.wire.send(*[self.who.post({"power": 1.0}, qos=0) for _ in range(20)], self.who.post({"power": 2.0}, 4))
        self.assertEqual([p.kind for p in self.wire.packets(1)], [PUBACK])
        self.assertTrue(self.wire.nothing_came())
        wait_for(lambda: [p["value"] for p in self.history()][-1:] == [2.0], "it is kept all the same")
        query = publish(self.who.home + "thing/attribute/query", {"id": "8", "params": {}}, qos=0)
        self.assertEqual(self.wire.send(query).packet().topic, self.who.home + "thing/attribute/query_reply", "others are answered")
        self.wire.send(subscribe(reply, number=5), self.who.post({"power": 1.0}, qos=0, id="9"))
        self.assertEqual(self.wire.until(PUBLISH).json()["id"], "9", "back again")

    def test_a_client_whose_id_has_a_block_is_answered_where_it_has_subscribed(self):
        wire = Wire(self.node)
        self.addCleanup(wire.close)
        wire.send(self.who.login(id=f"{self.who.dk}{{ip=192.0.2.15,version=enos-mqtt-2.4.0,compress=DEFAULT}}"))
        self.assertEqual(wire.packet().kind, CONNACK)
        wire.send(*[self.who.post({"power": 1.0}, qos=0) for _ in range(20)], self.who.post({"nothing": 1}, 4), self.who.post({"power": 2.0}, 5))
        self.assertEqual([(p.kind, p.number) for p in wire.packets(2)], [(PUBACK, 4), (PUBACK, 5)])
        self.assertTrue(wire.nothing_came())
        wire.send(subscribe(self.who.home + "thing/measurepoint/post_reply", number=6), self.who.post({"power": 1.0}, qos=0, id="9"))
        self.assertEqual(wire.until(PUBLISH).json(), {"id": "9", "code": 200, "data": {}})
        sent = self.api.request("POST", f"~/devices/{self.made['assetId']}/points/setpoint:set", json={"value": 5, "mode": "async"}, expect=202).json()
        command = wire.until(PUBLISH)
        self.assertEqual(command.topic, self.who.home + "thing/service/measurepoint/set", "commands come in any case")
        wire.send(publish(command.topic + "_reply", {"id": command.json()["id"], "code": 200, "data": {}}, qos=0))
        wait_for(lambda: self.api.get(f"~/commands/{sent['id']}")["state"] == "succeeded", "answered")

    def test_so_is_one_whose_requests_are_of_version_1_1(self):
        def post(id, qos=0, **points):
            return publish(self.who.home + "thing/measurepoint/post", {"id": id, "version": "1.1", "params": {"measurepoints": points}}, qos=qos, number=4)

        self.wire.send(*[post(str(i), power=1.0) for i in range(20)], post("bad", nothing=1), post("last", qos=1, power=2.0))
        self.assertEqual(self.wire.packet().kind, PUBACK)
        self.assertTrue(self.wire.nothing_came())
        self.wire.send(subscribe(self.who.home + "thing/measurepoint/+", number=6), post("9", power=1.0))
        self.assertEqual(self.wire.until(PUBLISH).json(), {"id": "9", "code": 200, "data": {}})

    def test_any_filter_is_granted_and_any_unsubscribe_confirmed(self):
        self.wire.send(frame(0x82, b"\0\5" + b"".join(mqtt_wire.text(f) + bytes([q]) for f, q in (("#", 0), ("+/+", 1), ("$SYS/#", 2), ("/sys/x/y/#", 1)))))
        answer = self.wire.packet()
        self.assertEqual((answer.kind, answer.number, answer.body[2:]), (SUBACK, 5, b"\0\1\1\1"))
        answer = self.wire.send(unsubscribe("#", "never/subscribed", number=6)).packet()
        self.assertEqual((answer.kind, answer.number), (UNSUBACK, 6))

    def test_there_is_a_limit_of_subscriptions(self):
        for first in range(0, 256, 64):
            self.wire.send(subscribe(*[f"topic/{first + i}" for i in range(64)], number=first + 1))
            self.assertEqual(self.wire.packet().body[2:], b"\1" * 64)
        self.wire.send(subscribe("one/more", "topic/1", "f" * 2000, number=999))
        self.assertEqual(self.wire.packet().body[2:], b"\x80\1\x80")

    def test_topics_of_another_device_are_granted_and_silent(self):
        other_made, other = fresh(self.api, self.node.demo["productKey"])
        other_wire = other.connected(self.node)
        self.addCleanup(other_wire.close)
        self.wire.send(subscribe(other.home + "#", "#", "/sys/+/+/thing/#"))
        self.assertEqual(self.wire.packet().body[2:], b"\1\1\1")
        other_wire.send(other.post({"power": 1.0}, qos=0), subscribe(other.home + "#", number=2))
        other_wire.until(SUBACK)
        sent = self.api.request("POST", f"~/devices/{other_made['assetId']}/points/setpoint:set", json={"value": 5, "mode": "async"}, expect=202).json()
        command = other_wire.packet()
        while command.kind != PUBLISH or command.topic.endswith("_reply"):
            command = other_wire.packet()
        other_wire.send(publish(command.topic + "_reply", {"id": command.json()["id"], "code": 200, "data": {}}))
        wait_for(lambda: self.api.get(f"~/commands/{sent['id']}")["state"] == "succeeded", "answered")
        self.assertTrue(self.wire.nothing_came())

    def test_a_publish_to_a_foreign_topic_is_answered_1009_and_does_nothing(self):
        other_made, other = fresh(self.api, self.node.demo["productKey"])
        for topic in (other.home + "thing/measurepoint/post", "/sys/nothing/nobody/thing/measurepoint/post", self.who.home + "thing/nothing",
                      "/ext/session/a/b/combine/login", "general/topic"):
            with self.subTest(topic):
                payload = {"id": "9", "params": {"measurepoints": {"power": 1}}}
                reply = self.wire.send(publish(topic, payload, qos=0)).packet()
                self.assertEqual(reply.topic, topic + "_reply")
                self.assertEqual((reply.json()["id"], reply.json()["code"], reply.json()["data"]), ("9", 1009, {}))
                self.wire.send(publish(topic, payload, qos=1, number=5))
                self.assertEqual(self.wire.until(PUBACK).number, 5)
        self.assertEqual(self.api.get(f"~/devices/{other_made['assetId']}/points/latest")["items"], [])
        # An answer to a command of somebody else's, and what is no answer at all, is taken and not answered.
        self.assertTrue(self.wire.send(publish(other.home + "thing/service/measurepoint/set_reply", {"id": "1", "code": 200}, qos=0)).nothing_came())

    def test_a_topic_of_the_longest_kind_is_no_trouble(self):
        for size in (65_529, 65_530, 65_535):
            self.wire.send(publish("t" * size, "{}", qos=1, number=3))
            self.assertEqual(self.wire.until(PUBACK).number, 3)
        self.assertTrue(self.wire.is_alive())

    def test_packets_that_only_a_server_sends_end_it(self):
        for packet in (frame(0x20, b"\0\0"), frame(0x90, b"\0\1\1"), numbered(UNSUBACK, 1), frame(PINGRESP << 4)):
            wire = self.who.connected(self.node)
            wire.send(packet)
            self.assertEqual(wire.closed(), b"")

    def test_a_client_that_acknowledges_nothing_is_answered_all_the_same(self):
        for first in range(0, 2000, 100):
            self.wire.send(*[self.who.post({"power": 1.0}, n + 1, id=str(n)) for n in range(first, first + 100)])
            found = self.by_kind(200)
            self.assertEqual([p.json()["id"] for p in found[PUBLISH]], [str(n) for n in range(first, first + 100)])
        self.assertTrue(self.wire.is_alive())

    def test_a_client_that_reads_nothing_does_not_fill_the_memory(self):
        slow = self.who.connected(self.node)
        slow.socket.settimeout(0.2)
        before = self.node.memory_kib()
        packet = publish(self.who.home + "thing/measurepoint/post", {"id": "x" * 60_000, "params": {"measurepoints": {"power": 1}}}, qos=0)
        sent = 0
        try:
            while sent < 200_000_000:  # the node stops reading long before
                sent += slow.socket.send(packet * 4)
        except (TimeoutError, ConnectionError):
            pass
        self.assertLess(sent, 100_000_000)
        self.assertLess(self.node.memory_kib() - before, 100_000)
        other = mqtt_wire.of_demo(self.node).connected(self.node)
        self.assertTrue(other.is_alive())
        other.close()
        slow.close()

    def test_an_id_is_echoed_byte_for_byte(self):
        for given, echoed in ((json.dumps("41"), "41"), ("41", "41"), (json.dumps("ä\"\\\u0001"), "ä\"\\\u0001"), ('""', ""), ("null", ""),
                              (json.dumps("0" * 1000), "0" * 1000)):
            payload = f'{{"id":{given},"params":{{"measurepoints":{{"power":1}}}}}}'
            reply = self.wire.send(publish(self.who.home + "thing/measurepoint/post", payload, qos=0)).packet()
            self.assertEqual(reply.json()["id"], echoed)


if __name__ == "__main__":
    unittest.main()
