"""General topics: what any MQTT broker does, for the clients of an organisation, on one node."""
import queue
import subprocess
import unittest

import mqtt_wire
import paho.mqtt.client as paho
from orrery import DEADLINE, Node, NodeTest, wait_for
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

FOR_EVER = 0xFFFFFFFF


def properties(kind, **values):
    made = Properties(kind)
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Client:
    """Any client on paho, in either version; not a device."""

    def __init__(self, node, id, version=paho.MQTTv311, clean=True, password=None, will=None, port=None, **of_connect):
        more = {} if version == paho.MQTTv5 else {"clean_session": clean}
        self.version, self.clean, self.of_connect = version, clean, of_connect
        self.client = paho.Client(id, protocol=version, **more)
        if password:
            self.client.username_pw_set("app", password)
        if will:
            with_ = properties(PacketTypes.WILLMESSAGE, WillDelayInterval=will[2]) if len(will) > 2 else None
            self.client.will_set(will[0], will[1], 1, properties=with_)
        self.client.reconnect_delay_set(600, 600)
        self.connected, self.gone, self.messages, self.granted = (queue.Queue() for _ in range(4))
        if version == paho.MQTTv5:
            self.client.on_connect = lambda c, u, flags, code, with_: self.connected.put((flags["session present"], code.value))
            self.client.on_disconnect = lambda c, u, code, with_=None: self.gone.put(code)
            self.client.on_subscribe = lambda c, u, mid, codes, with_: self.granted.put([c.value for c in codes])
        else:
            self.client.on_connect = lambda c, u, flags, code: self.connected.put((flags["session present"], code))
            self.client.on_disconnect = lambda c, u, code: self.gone.put(code)
            self.client.on_subscribe = lambda c, u, mid, codes: self.granted.put(list(codes))
        self.client.on_message = lambda c, u, m: self.messages.put(m)
        self.host, self.port = getattr(node, "host", "localhost"), port or node.ports["mqtt"]

    def connect(self):
        self.present, code = self.try_connect()
        assert code == 0, code
        return self

    def try_connect(self):
        if self.version == paho.MQTTv5:
            self.client.connect(self.host, self.port, clean_start=self.clean, properties=properties(PacketTypes.CONNECT, **self.of_connect))
        else:
            self.client.connect(self.host, self.port)
        self.client.loop_start()
        return self.connected.get(timeout=DEADLINE)

    def subscribe(self, *filters, options=None, **with_):
        if options:
            self.client.subscribe([(f, options) for f in filters], properties=properties(PacketTypes.SUBSCRIBE, **with_) if with_ else None)
        elif self.version == paho.MQTTv5:
            return self.subscribe(*[f for f, _ in filters], options=SubscribeOptions(qos=filters[0][1]), **with_)
        else:
            self.client.subscribe(list(filters))
        return self.granted.get(timeout=DEADLINE)

    def publish(self, topic, payload, qos=1, retain=False, **with_):
        made = properties(PacketTypes.PUBLISH, **with_) if with_ else None
        self.client.publish(topic, payload, qos, retain, made).wait_for_publish(DEADLINE)

    def next(self):
        return self.messages.get(timeout=DEADLINE)

    def payloads(self, count):
        return [self.next().payload.decode() for _ in range(count)]

    def nothing_more(self, other, topic, payload="end"):
        """What `other` sends now is the next that comes."""
        other.publish(topic, payload)
        got = self.next()
        assert got.payload.decode() == payload, got.payload

    def drop(self):
        """The connection is gone without a word."""
        self.client._sock_close()
        self.client.loop_stop()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class OpenBroker(NodeTest):
    settings = ("mqtt.open_broker=default",)

    def client(self, id, **options):
        made = Client(self.node, id, **options).connect()
        self.addCleanup(made.close)
        return made


class Basics(OpenBroker):
    def test_levels_and_wildcards(self):
        a, b = self.client("basic-a"), self.client("basic-b", version=paho.MQTTv5)
        self.assertEqual(a.subscribe(("one/+", 0), ("two/#", 1), ("three", 2)), [0, 1, 2])
        for qos in (0, 1, 2):
            for topic in ("one/x", "two", "two/x/y", "three", "one/x/y", "four"):
                b.publish(topic, f"{topic} {qos}", qos)
        b.publish("three", "last", 2)
        got = []
        while not got or got[-1][1] != "last":
            m = a.next()
            got.append((m.topic, m.payload.decode(), m.qos))
        expected = [(t, f"{t} {q}", min(q, most)) for q in (0, 1, 2) for t, most in (("one/x", 0), ("two", 1), ("two/x/y", 1), ("three", 2))]
        self.assertEqual(sorted(got[:-1]), sorted(expected))

    def test_order_of_one_publisher(self):
        a, b = self.client("order-a"), self.client("order-b")
        a.subscribe(("order", 2))
        for i in range(300):
            b.client.publish("order", str(i), i % 3)
        self.assertEqual(sorted(a.payloads(300), key=int), [str(i) for i in range(300)])
        for i in range(200):
            b.client.publish("order", str(i), 1)
        self.assertEqual(a.payloads(200), [str(i) for i in range(200)])

    def test_a_client_hears_itself_unless_it_does_not_want_to(self):
        a = self.client("self", version=paho.MQTTv5)
        a.subscribe(("own/a", 1))
        a.subscribe("own/b", options=SubscribeOptions(qos=1, noLocal=True))
        a.publish("own/b", "not heard")
        a.publish("own/a", "heard")
        self.assertEqual(a.next().payload, b"heard")

    def test_unsubscribed(self):
        a, b = self.client("un-a"), self.client("un-b")
        a.subscribe(("un/x", 1), ("un/y", 1))
        a.client.unsubscribe("un/x")
        b.publish("un/x", "maybe")  # whether the UNSUBSCRIBE is there does not matter
        b.publish("un/y", "1")
        wait_for(lambda: a.next().topic == "un/y", "what it has asked for")
        a.nothing_more(b, "un/y")

    def test_mosquitto(self):
        sub = subprocess.Popen(["stdbuf", "-oL", "mosquitto_sub", "-p", str(self.node.ports["mqtt"]), "-t", "mosq/#", "-C", "2", "-q", "2", "-V", "5", "-d"],
                               stdout=subprocess.PIPE, text=True)
        for line in sub.stdout:
            if "Subscribed" in line:
                break
        for version in ("311", "5"):
            subprocess.run(["mosquitto_pub", "-p", str(self.node.ports["mqtt"]), "-t", f"mosq/{version}", "-m", version, "-q", "2", "-V",
                            "mqttv311" if version == "311" else "5"], check=True, timeout=DEADLINE)
        out, _ = sub.communicate(timeout=DEADLINE)
        self.assertEqual([line for line in out.splitlines() if line in ("311", "5")], ["311", "5"])

    def test_reserved_topics_are_nobodys(self):
        a = self.client("reserved", version=paho.MQTTv5)
        b = self.client("reserved-b")
        b.subscribe(("#", 1))
        a.publish("/sys/pk/dk/thing/measurepoint/post", "{}")
        a.publish("$SYS/x", "no")
        b.nothing_more(a, "fine")

    def test_who_is_no_device_is_told_nothing_on_their_topics(self):
        wire = mqtt_wire.Wire(self.node)
        wire.send(mqtt_wire.connect("no-device"))
        self.assertEqual(wire.packet().kind, mqtt_wire.CONNACK)
        wire.send(mqtt_wire.publish("/sys/pk/dk/thing/measurepoint/post", {"id": "1", "params": {}}), mqtt_wire.publish("$x/y", "no", number=2))
        self.assertEqual([(p.kind, p.number) for p in wire.packets(2)], [(mqtt_wire.PUBACK, 1), (mqtt_wire.PUBACK, 2)])
        self.assertTrue(wire.nothing_came())

    def test_a_subscription_counts_for_what_is_sent_behind_it(self):
        for qos in (0, 1, 2):
            wire = mqtt_wire.Wire(self.node)
            wire.send(mqtt_wire.connect(f"at-once-{qos}"))
            self.assertEqual(wire.packet().kind, mqtt_wire.CONNACK)
            for i in range(20):
                wire.send(mqtt_wire.subscribe(f"at-once/{qos}/{i}", qos=1), mqtt_wire.publish(f"at-once/{qos}/{i}", "x", qos=qos, number=7 + i))
                self.assertEqual(wire.until(mqtt_wire.PUBLISH).topic, f"at-once/{qos}/{i}")

    def test_no_client_id(self):
        self.assertEqual(Client(self.node, "", version=paho.MQTTv5).connect().present, 0)
        wire = Client(self.node, "", clean=True).connect()
        wire.close()


class Retained(OpenBroker):
    def test_the_last_one_is_kept(self):
        a = self.client("retain-a")
        for topic in ("r/1", "r/2", "r/2/x", "other"):
            a.publish(topic, "old", retain=True)
            a.publish(topic, topic, retain=True)
        b = self.client("retain-b", version=paho.MQTTv5)
        b.subscribe(("r/#", 1))
        got = [b.next() for _ in range(3)]
        self.assertEqual({(m.topic, m.payload.decode(), m.retain) for m in got}, {(t, t, True) for t in ("r/1", "r/2", "r/2/x")})
        a.publish("r/1", "live", retain=True)
        self.assertFalse(b.next().retain)
        a.publish("r/1", "", retain=True)
        self.assertEqual(b.next().payload, b"")
        c = self.client("retain-c")
        c.subscribe(("r/1", 1))
        c.subscribe(("other", 1))
        self.assertEqual(c.next().topic, "other")

    def test_how_they_are_sent(self):
        a = self.client("handling-a")
        a.publish("h/1", "kept", retain=True)
        b = self.client("handling-b", version=paho.MQTTv5)
        b.subscribe("h/1", options=SubscribeOptions(qos=1, retainHandling=2))
        b.subscribe("h/+", options=SubscribeOptions(qos=1, retainHandling=1, retainAsPublished=True))
        self.assertEqual(b.next().payload, b"kept")
        b.subscribe("h/+", options=SubscribeOptions(qos=1, retainHandling=1, retainAsPublished=True))
        a.publish("h/2", "live", retain=True)
        got = b.next()
        self.assertEqual((got.payload, got.retain), (b"live", True))

    def test_it_expires(self):
        a = self.client("expire-a", version=paho.MQTTv5)
        a.publish("e/1", "short", retain=True, MessageExpiryInterval=1)
        a.publish("e/2", "long", retain=True, MessageExpiryInterval=1000)

        def what_comes():
            b = Client(self.node, "expire-b", version=paho.MQTTv5).connect()
            b.subscribe(("e/+", 1))
            a.publish("e/3", "end")
            got = []
            while not got or got[-1].topic != "e/3":
                got.append(b.next())
            b.close()
            return got[:-1]
        kept = []

        def only_the_long_one():
            kept[:] = what_comes()
            # What is published once the client has its SUBACK comes behind what was retained.
            self.assertIn("e/2", [m.topic for m in kept])
            return [m.topic for m in kept] == ["e/2"]
        wait_for(only_the_long_one, "the short one is over")
        self.assertLessEqual(kept[0].properties.MessageExpiryInterval, 1000)


class Sessions(OpenBroker):
    def test_messages_wait(self):
        for version, more in ((paho.MQTTv311, {}), (paho.MQTTv5, {"SessionExpiryInterval": FOR_EVER})):
            id = f"kept-{version}"
            a = Client(self.node, id, version=version, clean=False, **more).connect()
            self.assertEqual(a.present, 0)
            a.subscribe(("kept/#", 2))
            a.close()
            b = self.client(f"pub-{version}")
            for i in range(20):
                b.publish(f"kept/{version}", str(i), i % 3)
            a = Client(self.node, id, version=version, clean=False, **more).connect()
            self.assertEqual(a.present, 1)
            self.assertEqual(sorted(a.payloads(13), key=int), [str(i) for i in range(20) if i % 3])
            a.nothing_more(b, "kept/end")
            a.close()
            a = Client(self.node, id, version=version, clean=True).connect()
            self.assertEqual(a.present, 0)
            a.close()
            a = Client(self.node, id, version=version, clean=False, **more).connect()
            self.assertEqual(a.present, 0)
            a.close()

    def test_a_session_ends(self):
        a = Client(self.node, "short", version=paho.MQTTv5, clean=False, SessionExpiryInterval=1).connect()
        a.subscribe(("short", 1))
        a.drop()

        def present():
            again = Client(self.node, "short", version=paho.MQTTv5, clean=False, SessionExpiryInterval=0).connect()
            again.close()
            return again.present
        wait_for(lambda: not present(), "the session is over")

    def test_taken_over(self):
        a = self.client("twice", version=paho.MQTTv5)
        self.client("twice", version=paho.MQTTv5)
        self.assertEqual(a.gone.get(timeout=DEADLINE).value, 0x8E)

    def test_what_is_sent_again_is_taken_once(self):
        """QoS 2 of a publisher whose connection breaks at any time."""
        b = self.client("once-b")
        b.subscribe(("once/#", 2))
        for i in range(50):
            def wire():
                w = mqtt_wire.Wire(self.node)
                w.send(mqtt_wire.connect("once-a", clean=False))
                self.assertEqual(w.packet().kind, mqtt_wire.CONNACK)
                return w
            first = wire()
            first.send(mqtt_wire.publish(f"once/{i}", "x", qos=2, number=7))
            if i % 2:
                second = wire()  # takes over
                first.close()
            else:
                first.close()
                second = wire()
            second.send(mqtt_wire.publish(f"once/{i}", "x", qos=2, number=7, dup=True))
            self.assertEqual(second.packet().kind, mqtt_wire.PUBREC)
            second.send(mqtt_wire.numbered(mqtt_wire.PUBREL, 7))
            self.assertEqual(second.packet().kind, mqtt_wire.PUBCOMP)
            second.close()
            self.assertEqual(b.next().topic, f"once/{i}")
        b.nothing_more(b, "once/end")

    def test_what_is_sent_for_the_first_time_has_no_dup(self):
        id, b = "first-time", self.client("first-time-b")
        def wire():
            w = mqtt_wire.Wire(self.node)
            w.send(mqtt_wire.connect(id, clean=False))
            self.assertEqual(w.packet().kind, mqtt_wire.CONNACK)
            return w
        w = wire()
        w.send(mqtt_wire.subscribe("first/#"))
        self.assertEqual(w.packet().kind, mqtt_wire.SUBACK)
        w.send(mqtt_wire.frame(mqtt_wire.DISCONNECT << 4)).closed()
        b.publish("first/x", "1")
        w = wire()
        first = w.packet()
        self.assertEqual((first.topic, first.dup), ("first/x", False))
        w.send(mqtt_wire.unsubscribe("first/#"))  # what is on its way goes on
        self.assertEqual(w.packet().kind, mqtt_wire.UNSUBACK)
        w.close()
        w = wire()
        again = w.packet()
        self.assertEqual((again.topic, again.dup, again.number), ("first/x", True, first.number))
        w.send(mqtt_wire.numbered(mqtt_wire.PUBACK, again.number)).close()

    def test_a_will_is_retained_where_nothing_was(self):
        with Node(settings=self.settings) as node:
            for i in range(8):
                b = Client(node, f"later-{i}").connect()
                a = Client(node, f"dies-{i}")
                a.client.will_set(f"left/{i}", "behind", 1, retain=True)
                a.connect().drop()

                def found():
                    c = Client(node, f"looks-{i}").connect()
                    c.subscribe((f"left/{i}", 1))
                    c.publish(f"left/{i}", "end")
                    first = c.next()
                    c.close()
                    return first.retain
                wait_for(found, f"the will of {i}")
                b.close()

    def test_wills(self):
        b = self.client("will-b")
        b.subscribe(("will/#", 1))
        Client(self.node, "will-a", will=("will/a", "gone")).connect().close()
        Client(self.node, "will-a", will=("will/a", "lost")).connect().drop()
        self.assertEqual(b.next().payload, b"lost")
        a = Client(self.node, "will-c", version=paho.MQTTv5, clean=False, will=("will/c", "late", 1), SessionExpiryInterval=100).connect()
        a.drop()
        self.assertEqual(b.next().payload, b"late")
        a = Client(self.node, "will-d", version=paho.MQTTv5, clean=False, will=("will/d", "never", 1000), SessionExpiryInterval=1000).connect()
        a.drop()
        a = Client(self.node, "will-d", version=paho.MQTTv5, clean=False, SessionExpiryInterval=0).connect()
        a.close()
        b.nothing_more(b, "will/end")

    def test_kill(self):
        with Node(settings=self.settings) as node:
            a = Client(node, "killed", clean=False).connect()
            a.subscribe(("k/#", 2))
            b = Client(node, "pub").connect()
            b.publish("k/live", "1", 2)
            a.next()
            a.close()
            for i in range(50):
                b.publish("k/x", str(i), 1 + i % 2)
            b.publish("k/retained", "r", 1, retain=True)
            node.kill()
            b.client.loop_stop()
            node.start()
            a = Client(node, "killed", clean=False).connect()
            self.assertEqual(a.present, 1)
            self.assertEqual(sorted(a.payloads(51)), sorted([str(i) for i in range(50)] + ["r"]))
            c = Client(node, "later").connect()
            c.subscribe(("k/+", 1))
            self.assertEqual(c.next().payload, b"r")
            c.nothing_more(c, "k/end")
            a.close()
            c.close()


class Shared(OpenBroker):
    def test_each_message_goes_to_one(self):
        members = [self.client(f"member-{i}", version=paho.MQTTv5) for i in range(3)]
        for m in members:
            self.assertEqual(m.subscribe(("$share/g/jobs/#", 1)), [1])
        everything = self.client("all")
        everything.subscribe(("jobs/#", 1))
        b = self.client("boss")
        for i in range(30):
            b.publish("jobs/x", str(i))
        self.assertEqual(everything.payloads(30), [str(i) for i in range(30)])
        wait_for(lambda: sum(m.messages.qsize() for m in members) == 30, "all are given to somebody")
        got = [[m.next().payload.decode() for _ in range(m.messages.qsize())] for m in members]
        self.assertEqual(sorted(sum(got, []), key=int), [str(i) for i in range(30)])
        self.assertTrue(all(got), got)

    def test_a_member_that_comes_back_is_in_its_groups(self):
        for version, more in ((paho.MQTTv311, {}), (paho.MQTTv5, {"SessionExpiryInterval": 100})):
            def member():
                return Client(self.node, f"back-{version}", version=version, clean=False, **more).connect()
            a, b = member(), self.client(f"back-b-{version}")
            a.subscribe((f"$share/g{version}/back", 1))
            a.close()
            b.publish("back", "waited")
            a = member()
            self.assertEqual(a.present, 1)
            self.assertEqual(a.next().payload, b"waited")
            b.publish("back", "new")
            self.assertEqual(a.next().payload, b"new")
            a.subscribe(("back-end", 1))
            a.client.unsubscribe(f"$share/g{version}/back")
            a.nothing_more(b, "back-end")
            a.close()

    def test_what_a_member_leaves_goes_to_another(self):
        a = Client(self.node, "leaves-a", version=paho.MQTTv5, clean=False, SessionExpiryInterval=1000).connect()
        a.subscribe(("$share/h/left/#", 1))
        a.drop()
        b = self.client("leaves-b")
        for i in range(5):
            b.publish("left/x", str(i))
        c = self.client("leaves-c", version=paho.MQTTv5)
        c.subscribe(("$share/h/left/#", 1))
        self.assertEqual(c.payloads(5), [str(i) for i in range(5)])


class Five(OpenBroker):
    def test_what_a_message_carries(self):
        a, b = self.client("carry-a", version=paho.MQTTv5), self.client("carry-b", version=paho.MQTTv5)
        a.subscribe(("carry", 1), SubscriptionIdentifier=7)
        b.publish("carry", "x", PayloadFormatIndicator=1, ContentType="text", ResponseTopic="back", CorrelationData=b"\0\1",
                  UserProperty=[("a", "1"), ("a", "2")], MessageExpiryInterval=100)
        p = a.next().properties
        self.assertEqual((p.PayloadFormatIndicator, p.ContentType, p.ResponseTopic, p.CorrelationData, p.UserProperty, p.SubscriptionIdentifier),
                         (1, "text", "back", b"\0\1", [("a", "1"), ("a", "2")], [7]))
        self.assertLessEqual(p.MessageExpiryInterval, 100)

    def test_nobody_listens(self):
        a = self.client("nobody", version=paho.MQTTv5)
        codes = queue.Queue()
        a.client.on_publish = lambda c, u, mid: codes.put(mid)
        a.publish("nobody/listens", "x")
        codes.get(timeout=DEADLINE)


class Statistics(OpenBroker):
    settings = ("mqtt.open_broker=default", "mqtt.statistics_interval=100ms")

    def test_they_come_by_themselves(self):
        a = self.client("stats", version=paho.MQTTv5)
        a.subscribe(("$SYS/#", 1))
        a.publish("stats/x", "1")
        wait_for(lambda: (lambda m: m.topic.endswith("/messages/received") and int(m.payload) >= 1)(a.next()), "the figure")
        wait_for(lambda: (lambda m: m.topic.endswith("/clients/connected") and int(m.payload) == 1)(a.next()), "the figure")


class Rules(NodeTest):
    """Applications by their keys, and devices by their product's rules."""

    def application(self, name, topics, id="app", **options):
        key = self.api.post(f"~/apps/{name}/keys", {"permissions": ["devices:read"], "topics": topics})["apiKey"]
        return Client(self.node, id, password=key, version=paho.MQTTv5, **options)

    def test_devices_and_applications(self):
        pk = self.node.demo["productKey"]
        self.api.request("PATCH", f"~/products/{pk}", headers={"If-Match": "*"},
                         json={"topics": [{"topic": "plant/%dk/#", "allow": "publish"}, {"topic": "news"}]})
        self.addCleanup(lambda: self.api.request("PATCH", f"~/products/{pk}", json={"topics": []}, headers={"If-Match": "*"}))
        app = self.application("watcher", [{"topic": "plant/#", "allow": "subscribe"}, {"topic": "news", "allow": "publish"}]).connect()
        self.assertEqual(app.subscribe(("plant/#", 1)), [1])
        self.assertEqual(app.subscribe(("other/#", 1)), [0x87])
        device = self.device(3).connect()
        device.client.subscribe([("news", 1), ("plant/+/x", 1)])
        self.assertEqual(device.subscribed.get(timeout=DEADLINE), (1, 0x80))
        device.publish(f"plant/{device.dk}/x", "mine")
        device.publish("plant/another/x", "not mine")
        device.publish(f"plant/{device.dk}/x", "end")
        self.assertEqual(app.payloads(2), ["mine", "end"])
        app.publish("news", "for all")
        self.assertEqual(device.messages.get(timeout=DEADLINE).payload, b"for all")
        self.assertEqual(device.post({"power": 1.5})["code"], 200)
        device.close()
        app.close()

    def test_wrong_keys(self):
        for password in ("ork~default~nokey~x", "ork~", "ork~nobody~k~s"):
            self.assertEqual(Client(self.node, "x", password=password).try_connect()[1], 4, password)
        self.assertNotEqual(Client(self.node, "x").try_connect()[1], 0)

    def test_a_key_that_is_revoked(self):
        key = self.api.post("~/apps/revoked/keys", {"topics": [{"topic": "rev/#"}]})
        app = Client(self.node, "revoked", password=key["apiKey"], version=paho.MQTTv5).connect()
        self.api.request("DELETE", f"~/apps/revoked/keys/{key['id']}")
        self.assertEqual(app.gone.get(timeout=DEADLINE).value, 0x87)
        app.close()

    def test_bad_rules(self):
        pk = self.node.demo["productKey"]
        for topics in ([{"topic": "/sys/#"}], [{"topic": "a/#/b"}], [{"allow": "both"}], [{"topic": "a", "allow": "all"}], "x", [{"topic": "a"}] * 40):
            self.api.request("PATCH", f"~/products/{pk}", expect=422, json={"topics": topics}, headers={"If-Match": "*"})


if __name__ == "__main__":
    unittest.main()
