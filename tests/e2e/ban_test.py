"""Bans: whoever stands on the list does not get in and does not stay, on any listener of MQTT."""
import datetime
import hashlib
import pathlib
import subprocess
import tempfile
import time
import unittest

import paho.mqtt.client as paho

from login_guard_test import codes
from orrery import BIN, DEADLINE, Device, Node, NodeTest, wait_for
from tls_test import Authority, s_client

PRINT = hashlib.sha256(b"nobody's").hexdigest()


class Bans(NodeTest):
    settings = ("login.device_failures=3", "login.device_ban=1h", "login.address_failures=1000")

    def ban(self, kind, subject, **more):
        made = self.api.post("~/bans", dict({"kind": kind, "subject": subject}, **more))
        self.addCleanup(lambda: self.api.session.delete(self.api.base + f"{self.api.org}/bans/{made['id']}"))
        return made

    def again(self, made):
        """A login of a device that was registered."""
        device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"])
        device.client.reconnect_delay_set(60)
        code = device.try_connect()
        device.close()
        return code

    def refused(self, body):
        answer = self.api.session.post(self.api.base + f"{self.api.org}/bans", json=body, timeout=DEADLINE)
        self.api.check("POST", f"{self.api.org}/bans", answer)
        self.assertGreaterEqual(answer.status_code, 400, answer.text)
        return answer.json()["code"]

    def kicked(self, device, begun):
        device.gone.get(timeout=DEADLINE)
        self.assertLess(time.monotonic() - begun, 2)

    def test_of_a_device(self):
        made, device = self.new_device()
        other, stays = self.new_device()
        begun = time.monotonic()
        ban = self.ban("device", f"{made['productKey']}/{made['deviceKey']}", reason="noisy")
        self.kicked(device, begun)
        device.close()
        self.assertEqual((ban["kind"], ban["reason"], "until" in ban), ("device", "noisy", False))
        self.assertTrue(ban["createdBy"].startswith("key:"))
        self.assertEqual(self.again(made), 5)
        self.assertEqual(stays.post({"power": 1})["code"], 200, "the other one")
        state = self.api.get(f"~/devices/{made['assetId']}")
        wait_for(lambda: self.api.get(f"~/devices/{made['assetId']}")["status"] == "offline", "it is off-line")
        self.assertEqual(self.api.get(f"~/devices/{made['assetId']}")["connection"]["reason"], "banned", state)
        self.assertIn(ban["id"], [b["id"] for b in self.api.get("~/bans")["items"]])
        self.assertEqual(self.api.get(f"~/bans/{ban['id']}"), ban)
        self.api.request("DELETE", f"~/bans/{ban['id']}")
        wait_for(lambda: self.again(made) == 0, "it is let in again")
        self.api.request("DELETE", f"~/bans/{ban['id']}", expect=404)
        self.assertIn("ban_removed", self.node.log_text())
        self.assertGreater(self.node.metrics()['orrery_login_refused_total{reason="device_banned"}'], 0)

    def test_of_five_says_why(self):
        made, device = self.new_device()
        device.close()
        self.ban("device", f"{made['productKey']}/{made['deviceKey']}")
        wait_for(lambda: self.again(made) == 5, "the list is in force")
        device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"])
        name, secret = device.client._username, device.client._password
        five = paho.Client(client_id=device.client._client_id.decode(), protocol=paho.MQTTv5)
        five.username_pw_set(name.decode(), secret.decode())
        told = []
        five.on_connect = lambda c, u, flags, code, properties: told.append((code.value, properties.ReasonString))
        five.connect("localhost", self.node.ports["mqtt"])
        five.loop_start()
        self.addCleanup(five.loop_stop)
        wait_for(lambda: told, "it is told")
        self.assertEqual(told[0], (0x8A, "device_banned"))

    def test_of_a_product_and_for_a_time(self):
        model = self.api.get(f"~/products/{self.node.demo['productKey']}")["modelId"]
        product = self.api.post("~/products", {"name": "banned", "modelId": model})["productKey"]
        made = self.api.post("~/devices", {"productKey": product})
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
        ban = self.ban("product", product, until=until.isoformat())
        wait_for(lambda: self.again(made) == 5, "its devices are kept out")
        self.assertEqual(len([b for b in self.api.get("~/bans")["items"] if b["subject"] == product]), 1)
        wait_for(lambda: self.again(made) == 0, "its time is over")
        self.assertNotIn(ban["id"], [b["id"] for b in self.api.get("~/bans")["items"]])

    def from_there(self, address):
        """How a connection from an address of the machine's ends: what CONNACK said, or nothing."""
        device = self.node.device(1)
        said, gone = [], []
        device.client.on_connect = lambda c, u, f, code: said.append(code)
        device.client.on_disconnect = lambda c, u, code: gone.append(code)
        device.client.reconnect_delay_set(60)
        device.client.connect("127.0.0.1", self.node.ports["mqtt"], bind_address=address)
        device.client.loop_start()
        self.addCleanup(device.close)
        wait_for(lambda: said or gone, "it is answered")
        device.gone_codes = gone
        return (said or [None])[0], device

    def test_of_addresses(self):
        code, device = self.from_there("127.0.0.9")
        self.assertEqual(code, 0)
        self.ban("address", "127.0.0.8/30")
        wait_for(lambda: device.gone_codes, "it is sent away")
        device.close()
        self.assertIsNone(self.from_there("127.0.0.9")[0], "nobody speaks with it")
        self.assertEqual(self.from_there("127.0.0.20")[0], 0)
        one = self.ban("address", "127.0.0.20")
        wait_for(lambda: self.from_there("127.0.0.20")[0] is None, "nobody speaks with that one either")
        self.api.request("DELETE", f"~/bans/{one['id']}")
        wait_for(lambda: self.from_there("127.0.0.20")[0] == 0, "it is let in again")

    def test_of_a_certificate(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        folder = pathlib.Path(held.name)
        authority = Authority(folder, "of bans")
        authority.trust(self.api)
        pair = tuple(map(str, authority.client("d")))
        made = self.api.post("~/devices", {"productKey": self.node.demo["productKey"]})

        def client():
            device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"], tls=True, certificate=pair)
            self.addCleanup(device.close)
            device.client.reconnect_delay_set(60)
            return device
        wait_for(lambda: "Acceptable client certificate CA names" in s_client(self.node, "-tls1_2", fails=True), "the authority is trusted")
        device = client()
        self.assertEqual(device.try_connect(), 0)
        fingerprint = authority.fingerprint("d")  # as openssl writes it
        begun = time.monotonic()
        ban = self.ban("certificate", fingerprint)
        self.assertEqual(ban["subject"], fingerprint.replace(":", "").lower())
        self.kicked(device, begun)
        device.close()
        self.assertEqual(client().try_connect(), 5)
        self.assertEqual(self.again(made), 0, "without it")

    def test_bad_requests(self):
        pk = self.node.demo["productKey"]
        for body, code in (({}, "validation_failed"), ({"kind": "device"}, "validation_failed"), ({"kind": "planet", "subject": "x"}, "validation_failed"),
                           ({"kind": "device", "subject": pk}, "ban_invalid"), ({"kind": "device", "subject": "nobody/x"}, "validation_failed"),
                           ({"kind": "product", "subject": "nobody"}, "validation_failed"), ({"kind": "address", "subject": "10.0.0.0/33"}, "validation_failed"),
                           ({"kind": "address", "subject": "localhost"}, "validation_failed"), ({"kind": "certificate", "subject": "ab"}, "ban_invalid"),
                           ({"kind": "product", "subject": pk, "until": "2020-01-01T00:00:00Z"}, "ban_invalid"),
                           ({"kind": "product", "subject": pk, "for": 5}, "unknown_field"), ({"kind": "product", "subject": pk, "reason": "x" * 300}, "validation_failed")):
            self.assertEqual(self.refused(body), code, body)
        self.api.request("GET", "~/bans/nonsense", expect=404)
        reader = self.api.post("~/apps/reader/keys", {"permissions": ["device:read"]})["apiKey"]
        api = self.node.api(reader)
        api.get("~/bans")
        api.request("POST", "~/bans", json={"kind": "certificate", "subject": PRINT}, expect=403)

    def test_whom_the_node_keeps_out_by_itself(self):
        codes(self.node, 3, 2, "0" * 64)
        of = self.node.demo["devices"][2]["deviceKey"]
        found = [b for b in self.api.get("~/bans:temporary")["items"] if b.get("deviceKey") == of]
        self.assertTrue(found)
        self.assertEqual({b["reason"] for b in found}, {"too_many_failures"})

    def test_on_the_command_line(self):
        def orrery(*arguments):
            done = subprocess.run([f"{BIN}/orrery", "--server", f"http://127.0.0.1:{self.node.ports['api']}", "--api-key", self.node.demo["apiKey"],
                                   "--output", "json", "ban", *map(str, arguments)], capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout
        self.assertIn(PRINT, orrery("add", "certificate", PRINT, "--for", 3600, "--reason", "lost"))
        self.assertIn("lost", orrery("list"))
        found = [b for b in self.api.get("~/bans")["items"] if b["subject"] == PRINT]
        self.assertIn("until", found[0])
        orrery("remove", found[0]["id"])
        self.assertNotIn(PRINT, orrery("list"))
        orrery("temporary")


class AfterARestart(unittest.TestCase):
    def test_the_list_is_there(self):
        with Node() as node:
            pk, of = node.demo["productKey"], node.demo["devices"][0]
            node.api().post("~/bans", {"kind": "device", "subject": f"{pk}/{of['deviceKey']}"})
            node.stop()
            node.start()
            self.assertEqual(codes(node, 1), [5])


if __name__ == "__main__":
    unittest.main()
