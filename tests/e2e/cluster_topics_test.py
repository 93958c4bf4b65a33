"""General topics on three nodes: clients anywhere hear each other, and what was acknowledged outlives a node."""
import time
import unittest

import paho.mqtt.client as paho
from cluster_kit import ClusterTest
from general_topics_test import FOR_EVER, Client
from orrery import wait_for


class Topics(ClusterTest):
    settings = ("mqtt.open_broker=default",)

    def client(self, number, id, **options):
        made = Client(self.node(number), id, version=paho.MQTTv5, **options).connect()
        self.addCleanup(made.close)
        return made

    def test_clients_of_all_nodes(self):
        self.wait_whole()
        listeners = [self.client(n, f"listener-{n}") for n in (1, 2, 3)]
        members = [self.client(n, f"member-{n}") for n in (1, 2, 3)]
        for one in listeners:
            one.subscribe(("all/#", 1))
        for one in members:
            one.subscribe(("$share/g/all/#", 1))
        talkers = [self.client(n, f"talker-{n}") for n in (1, 2, 3)]
        for i in range(30):
            talkers[i % 3].publish(f"all/{i % 3}", str(i))
        for one in listeners:
            self.assertEqual(sorted(one.payloads(30), key=int), [str(i) for i in range(30)])
        wait_for(lambda: sum(m.messages.qsize() for m in members) == 30, "each message is given to one member")
        talkers[0].publish("kept", "here", retain=True)
        for n in (1, 2, 3):
            late = self.client(n, f"late-{n}")
            late.subscribe(("+", 1))
            self.assertEqual(late.next().payload, b"here")

    def test_a_session_is_found_on_any_node(self):
        self.wait_whole()
        talker = self.client(1, "talker")
        for n, there in ((1, 0), (2, 1), (3, 1), (1, 1)):
            one = Client(self.node(n), "wanderer", version=paho.MQTTv5, clean=False, SessionExpiryInterval=FOR_EVER).connect()
            self.assertEqual(one.present, there)
            if not there:
                one.subscribe(("w/#", 1))
            else:
                self.assertEqual(one.payloads(5), [str(i) for i in range(5)])
            one.close()
            for i in range(5):
                talker.publish("w/x", str(i))

    def test_what_was_acknowledged_outlives_a_node(self):
        self.wait_whole()
        names = [f"sleeper-{i}" for i in range(8)]  # in several shards
        for name in names:
            one = Client(self.node(1), name, version=paho.MQTTv5, clean=False, SessionExpiryInterval=FOR_EVER).connect()
            one.subscribe(("s/#", 1))
            one.close()
        talker = self.client(2, "talker")
        acknowledged = set()
        talker.client.on_publish = lambda c, u, mid: acknowledged.add(sent[mid])
        sent = {}

        def say(i):
            sent[talker.client.publish("s/x", str(i), 1).mid] = str(i)
        for i in range(100):
            say(i)
        wait_for(lambda: len(acknowledged) > 20, "some are acknowledged")
        self.kill(1)
        until = time.monotonic() + 60
        for i in range(100, 200):
            say(i)
        wait_for(lambda: acknowledged >= {str(i) for i in range(200)} or not talker.client.is_connected() or time.monotonic() > until,
                 "the rest is acknowledged", 70)
        self.assertGreater(len(acknowledged), 20)
        expected = set(acknowledged)
        for name in names:
            one = Client(self.node(3), name, version=paho.MQTTv5, clean=False, SessionExpiryInterval=FOR_EVER).connect()
            self.assertEqual(one.present, 1)
            got = set()
            wait_for(lambda: got.update(one.next().payload.decode() for _ in range(one.messages.qsize())) or got >= expected,
                     f"everything is in the queue of {name}", 60)
            one.close()


if __name__ == "__main__":
    unittest.main()
