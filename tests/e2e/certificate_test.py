"""Certificates of devices: issued for requests of openssl, demanded at login, renewed and revoked; external authorities."""
import datetime
import json
import pathlib
import queue
import subprocess
import tempfile
import time
import unittest

import paho.mqtt.client as paho
import requests

from orrery import BIN, DEADLINE, Device, NodeTest, wait_for
from tls_test import Authority, openssl, s_client

RSA = ("rsa:2048",)
EC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")


class Certificates(NodeTest):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name)
        model = self.api.get(f"~/products/{self.node.demo['productKey']}")["modelId"]
        self.products = {auth: self.api.post("~/products", {"name": f"{auth} of {self.id()}", "modelId": model, "auth": auth})
                         for auth in ("certificate", "both")}

    def made(self, key, auth="certificate"):
        return self.api.post("~/devices", {"productKey": self.products[auth]["productKey"], "deviceKey": key})

    def csr(self, name, key=EC):
        openssl("req", "-newkey", *key, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/C=DE/O=Test/CN={name}", folder=self.folder)
        return (self.folder / f"{name}.csr").read_text()

    def keep(self, name, issued):
        (self.folder / f"{name}.pem").write_text(issued["certificate"] + issued.get("chain", ""))
        return self.pair(name)

    def pair(self, name, key=None):
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{key or name}.key")

    def applied(self, device, key=EC, **more):
        """What was issued, and the files of certificate and key."""
        name = device["deviceKey"]
        issued = self.api.post(f"~/devices/{device['assetId']}/certificates", {"csr": self.csr(name, key), **more})
        return issued, self.keep(name, issued)

    def client(self, device, pair=None, tls=True, secret="no secret"):
        client = Device(self.node, device["productKey"], device["deviceKey"], secret, tls=tls, certificate=pair)
        self.addCleanup(client.close)
        return client

    def code(self, device, pair=None, **more):
        return self.client(device, pair, **more).try_connect()

    def trusted(self, device, pair, **more):
        """A client that is let in; an authority that was just made is trusted within a moment."""
        def is_trusted():
            told = self.handshake(pair)  # without any authority nobody is asked for a certificate
            return "Acceptable client certificate CA names" in told and "alert" not in told
        wait_for(is_trusted, "the new authority is trusted")
        client = self.client(device, pair, **more)
        self.assertEqual(client.try_connect(), 0)
        return client

    def handshake(self, pair):
        """What openssl says of one that shows the certificate."""
        return s_client(self.node, "-tls1_2", "-cert", pair[0], "-key", pair[1], fails=True)

    def certificates(self, device):
        return {c["sn"]: c for c in self.api.get(f"~/devices/{device['assetId']}/certificates")["items"]}

    def refused(self, method, path, body=None):
        answer = self.api.session.request(method, self.api.base + path.replace("~", self.api.org, 1), json=body, timeout=DEADLINE)
        self.api.check(method, path.replace("~", self.api.org, 1), answer)
        self.assertGreaterEqual(answer.status_code, 400, answer.text)
        return answer.json()["code"]

    def test_a_certificate_of_either_kind_is_enough(self):
        for name, key, kind in (("of-rsa", RSA, "rsa"), ("of-ec", EC, "ecc")):
            device = self.made(name)
            issued, pair = self.applied(device, key)
            self.assertEqual((issued["issuerKeys"], issued["status"]), (kind, "issued"))
            self.assertLess(0, issued["sn"], 2**31)
            (self.folder / "ca.pem").write_text(issued["chain"])
            self.assertIn("OK", openssl("verify", "-purpose", "sslclient", "-CAfile", self.folder / "ca.pem", pair[0]))
            self.assertIn(f"urn:orrery:device:default:{device['assetId']}", openssl("x509", "-in", pair[0], "-noout", "-ext", "subjectAltName"))
            client = self.trusted(device, pair)
            self.assertEqual(self.certificates(device)[issued["sn"]]["status"], "active")
            client.client.subscribe(f"/sys/{client.pk}/{client.dk}/#", 1)
            client.subscribed.get(timeout=DEADLINE)
            self.assertEqual(client.post({"power": 1})["code"], 200)

    def test_who_is_refused(self):
        one, two, three = self.made("one"), self.made("two"), self.made("three", "both")
        _, pair = self.applied(one)
        self.applied(two)
        _, third = self.applied(three)
        self.trusted(one, pair)
        self.assertEqual(self.code(one), 5, "none")
        self.assertEqual(self.code(one, secret=one["deviceSecret"]), 5, "its secret does not help")
        self.assertEqual(self.code(one, tls=False, secret=one["deviceSecret"]), 5, "the plain port")
        self.assertEqual(self.code(one, self.pair("two")), 5, "another device's")
        self.assertEqual(self.code(three, third), 4, "both: the signature is missing")
        self.assertEqual(self.code(three, secret=three["deviceSecret"]), 5, "both: the certificate is missing")
        self.assertEqual(self.code(three, pair, secret=three["deviceSecret"]), 5, "both: another device's")
        self.assertEqual(self.code(three, third, secret=three["deviceSecret"]), 0)

    def test_revoking_ends_the_session_and_lists_the_certificate(self):
        device = self.made("r")
        issued, pair = self.applied(device)
        client = self.trusted(device, pair)
        begun = time.monotonic()
        path = f"~/devices/{device['assetId']}/certificates/{issued['sn']}:revoke"
        self.api.post(path, {"reason": 1})
        client.gone.get(timeout=DEADLINE)
        self.assertLess(time.monotonic() - begun, 1)
        client.close()
        self.assertEqual(self.code(device, pair), 5)
        self.assertEqual(self.refused("POST", path, {}), "already_revoked")
        self.assertEqual(self.certificates(device)[issued["sn"]]["reason"], 1)
        listed = self.api.get(f"~/authorities/{issued['issuer']}/crl")["crl"]
        said = openssl("crl", "-noout", "-text", stdin=listed.encode())
        self.assertIn(issued["serial"].upper(), said)
        self.assertIn("Key Compromise", said)
        port = self.node.ports["api"]
        for ending, expected in (("crl", listed), ("pem", issued["chain"])):
            got = requests.get(f"http://127.0.0.1:{port}/pki/default/{issued['issuer']}.{ending}", timeout=DEADLINE)
            self.assertEqual((got.status_code, got.text), (200, expected))
        for wrong in ("nobody/x.crl", "default/x.crl", f"default/{issued['issuer']}", f"default/{issued['issuer']}.key"):
            self.assertEqual(requests.get(f"http://127.0.0.1:{port}/pki/{wrong}", timeout=DEADLINE).status_code, 404)

    def test_what_is_held_may_count_again(self):
        device = self.made("h")
        issued, pair = self.applied(device)
        self.trusted(device, pair).close()
        path = f"~/devices/{device['assetId']}/certificates/{issued['serial']}:revoke"
        self.api.post(path, {"reason": 6})
        self.assertEqual(self.code(device, pair), 5)
        self.api.post(path, {"reason": 8})
        self.assertEqual(self.code(device, pair), 0)
        said = openssl("crl", "-noout", "-text", stdin=self.api.get(f"~/authorities/{issued['issuer']}/crl")["crl"].encode())
        self.assertNotIn(issued["serial"].upper(), said)

    def test_deleting_the_device_ends_it_too(self):
        device = self.made("gone")
        _, pair = self.applied(device)
        client = self.trusted(device, pair)
        self.api.request("DELETE", f"~/devices/{device['assetId']}", headers={"If-Match": "*"})
        client.gone.get(timeout=DEADLINE)
        client.close()
        self.assertIn(self.code(device, pair), (4, 5))

    def test_renewal(self):
        device = self.made("n")
        first, pair = self.applied(device, RSA, days=30)
        path = f"~/devices/{device['assetId']}/certificates"
        second = self.api.post(f"{path}/{first['sn']}:renew", {"days": 60})
        self.assertEqual((second["subject"], second["issuer"]), (first["subject"], first["issuer"]))
        (self.folder / "second.pem").write_text(second["certificate"])
        self.trusted(device, pair).close()
        self.assertEqual(self.code(device, self.pair("second", "n")), 0, "for the same key")
        known = self.certificates(device)
        self.assertEqual((known[first["sn"]]["status"], known[second["sn"]]["status"]), ("superseded", "active"))
        self.assertEqual(self.refused("POST", f"{path}/{first['sn']}:renew", {}), "certificate_not_renewable")
        third = self.api.post(f"{path}/{second['sn']}:renew", {"csr": self.csr("third"), "issuer": "ecc", "overlap": 0})
        self.assertEqual(third["issuerKeys"], "ecc")
        self.assertEqual(self.code(device, self.pair("second", "n")), 5, "its overlap is over")
        self.trusted(device, self.keep("third", third))

    def nameless(self, pair, id="whoever", node=None, **options):
        """What a client with a certificate alone is told; it stays until the test is over."""
        client = paho.Client(client_id=id, **options)
        told, messages = queue.Queue(), queue.Queue()
        client.on_connect = lambda c, u, flags, code, *_: told.put(code if isinstance(code, int) else code.value)
        client.on_message = lambda c, u, message: messages.put(message)
        certificate, key = pair or (None, None)
        node = node or self.node
        client.tls_set(ca_certs=node.ca, certfile=certificate, keyfile=key)
        client.connect(getattr(node, "host", "localhost"), node.ports["mqtts"])
        client.loop_start()
        self.addCleanup(client.loop_stop)
        self.addCleanup(client.disconnect)
        client.messages = messages
        return told.get(timeout=DEADLINE), client

    def test_a_certificate_alone_says_who_comes(self):
        device = self.made("alone")
        issued, pair = self.applied(device)
        self.trusted(device, pair).close()
        for id, options in (("whoever", {}), ("", {}), ("kept", {"clean_session": False}), ("|||", {}), ("five", {"protocol": paho.MQTTv5}), ("", {"protocol": paho.MQTTv5})):
            code, client = self.nameless(pair, id, **options)
            self.assertEqual(code, 0, id)
            topic = f"/sys/{device['productKey']}/alone/thing/measurepoint/post"
            client.subscribe(topic + "_reply", 1)
            client.publish(topic, json.dumps({"id": "1", "version": "1.0", "method": "thing.measurepoint.post", "params": {"measurepoints": {"power": 2}}}), 1)
            self.assertEqual(json.loads(client.messages.get(timeout=DEADLINE).payload)["code"], 200)
            client.disconnect()
        said = subprocess.run(["mosquitto_pub", "-h", "localhost", "-p", str(self.node.ports["mqtts"]), "--cafile", self.node.ca, "--cert", pair[0], "--key", pair[1],
                               "-q", "1", "-t", f"/sys/{device['productKey']}/alone/thing/measurepoint/post",
                               "-m", '{"id":"2","version":"1.0","method":"thing.measurepoint.post","params":{"measurepoints":{"power":3.5}}}'],
                              capture_output=True, text=True, timeout=30)
        self.assertEqual((said.returncode, said.stderr), (0, ""))
        def power():
            return [p["value"] for p in self.api.get(f"~/devices/{device['assetId']}/points/latest")["items"] if p["point"] == "power"] == [3.5]
        wait_for(power, "what mosquitto sent is there")
        self.api.post(f"~/devices/{device['assetId']}/certificates/{issued['sn']}:revoke", {"reason": 1})
        self.assertEqual(self.nameless(pair)[0], 5, "it is his, and it is revoked")

    def test_a_certificate_alone_of_nobody_here(self):
        bound, both, secret = self.made("bound"), self.made("with-both", "both"), self.new_device()[0]
        _, pair = self.applied(bound)
        self.trusted(bound, pair).close()
        for device in (both, secret):
            self.assertEqual(self.nameless(self.applied(device)[1])[0], 4, "its product wants a signature")
        self.assertEqual(self.nameless(None)[0], 2, "no certificate: the client id says nothing either")
        gone = self.made("gone-alone")
        _, pair = self.applied(gone)
        self.assertEqual(self.nameless(pair)[0], 0)
        self.api.request("DELETE", f"~/devices/{gone['assetId']}", headers={"If-Match": "*"})
        self.assertEqual(self.nameless(pair)[0], 4, "its device is deleted")
        # What a certificate says of itself is no binding.
        authority = Authority(self.folder, f"alone of {self.id()[-10:]}", names=f"URI:urn:orrery:device:default:{bound['assetId']}")
        made = authority.trust(self.api)
        liar = tuple(map(str, authority.client("liar")))
        wait_for(lambda: "alert" not in self.handshake(liar), "the authority is trusted")
        self.assertEqual(self.nameless(liar)[0], 4)
        self.api.request("DELETE", f"~/authorities/{made['id']}")

    def test_a_certificate_alone_of_an_external_authority(self):
        device, other = self.made("outside"), self.made("outside-too")
        authority = Authority(self.folder, f"outside {self.id()[-10:]}")
        made = authority.trust(self.api)
        pair, unbound, shared = (tuple(map(str, authority.client(name))) for name in ("outside", "unbound", "shared"))
        bind = lambda to, what: self.api.post(f"~/devices/{to['assetId']}/certificates:bind", {"certificate": pathlib.Path(what[0]).read_text()})
        bind(device, pair)
        self.trusted(device, pair).close()
        self.assertEqual(self.nameless(pair)[0], 0)
        self.assertEqual(self.api.get(f"~/devices/{device['assetId']}")["status"], "online")
        self.assertEqual(self.nameless(unbound)[0], 4)
        bind(device, shared)
        bound = bind(other, shared)
        self.assertEqual(self.nameless(shared)[0], 4, "nobody can say whose it is")
        self.api.post(f"~/devices/{other['assetId']}/certificates/{bound['sn']}:revoke", {})
        self.assertEqual(self.nameless(shared)[0], 0)
        self.api.request("DELETE", f"~/devices/{device['assetId']}", headers={"If-Match": "*"})
        self.assertEqual(self.nameless(pair)[0], 4)
        self.assertEqual(self.nameless(shared)[0], 5, "it is revoked where it is left")
        self.api.request("DELETE", f"~/authorities/{made['id']}")

    def test_an_external_authority_is_trusted_once_its_key_is_proved(self):
        device = self.made("p")
        authority, other = Authority(self.folder, f"proved {self.id()[-10:]}"), Authority(self.folder, f"other {self.id()[-10:]}")
        pending = self.api.post("~/authorities", {"certificate": authority.pem.read_text()})
        self.assertEqual(pending["status"], "pending")
        pair = tuple(map(str, authority.client("p")))
        bind = f"~/devices/{device['assetId']}/certificates:bind"
        self.assertEqual(self.refused("POST", bind, {"certificate": pathlib.Path(pair[0]).read_text()}), "certificate_foreign")
        self.assertNotIn(f"proved {self.id()[-10:]}", self.handshake(pair))
        prove = f"~/authorities/{pending['id']}:prove"
        for wrong, code in (("nonsense", "certificate_invalid"), (pathlib.Path(pair[0]).read_text(), "proof_invalid"),
                            (other.client(pending["nonce"])[0].read_text(), "proof_invalid"), (authority.pem.read_text(), "proof_invalid")):
            self.assertEqual(self.refused("POST", prove, {"certificate": wrong}), code)
        self.assertEqual(self.refused("POST", "~/authorities/ab:prove", {"certificate": "x"}), "authority_unknown")
        self.assertEqual(self.api.get(f"~/authorities/{pending['id']}")["nonce"], pending["nonce"])
        proof = authority.client(pending["nonce"])[0].read_text()
        proved = self.api.post(prove, {"certificate": proof})
        self.assertEqual((proved["status"], "nonce" in proved), ("trusted", False))
        self.assertEqual(self.refused("POST", prove, {"certificate": proof}), "authority_proved")
        self.api.post(bind, {"certificate": pathlib.Path(pair[0]).read_text()})
        self.trusted(device, pair)
        self.api.request("DELETE", f"~/authorities/{pending['id']}")

    def test_its_end_is_told_before(self):
        device = self.made("ends")
        authority = Authority(self.folder, f"ends {self.id()[-10:]}")
        made = authority.trust(self.api)
        stream = self.api.stream({"kind": "lifecycle", "filter": {"assets": [device["assetId"]]}})
        self.addCleanup(stream.close)
        end = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(days=1, seconds=6)
        pair = authority.client("ends", dates=("-enddate", end.strftime("%Y%m%d%H%M%SZ")))
        bound = self.api.post(f"~/devices/{device['assetId']}/certificates:bind", {"certificate": pair[0].read_text()})
        told = stream.items(1)[0]
        self.assertEqual((told["event"], told["sn"], told["days"], told["notAfter"]), ("certificateExpiring", bound["sn"], 1, int(end.timestamp() * 1000)))
        self.api.request("DELETE", f"~/authorities/{made['id']}")

    def test_an_external_authority(self):
        device, other = self.made("x"), self.made("y")
        authority = Authority(self.folder, f"of {self.id()[-10:]}")
        made = authority.trust(self.api)
        self.assertEqual((made["kind"], made["status"], "nonce" in made), ("external", "trusted", False))
        self.assertEqual(self.refused("POST", "~/authorities", {"certificate": authority.pem.read_text()}), "authority_exists")
        pair = tuple(map(str, authority.client("x")))
        path = f"~/devices/{device['assetId']}/certificates"
        stranger = Authority(self.folder, "stranger").client("x")
        self.assertEqual(self.refused("POST", f"{path}:bind", {"certificate": stranger[0].read_text()}), "certificate_foreign")
        bound = self.api.post(f"{path}:bind", {"certificate": pathlib.Path(pair[0]).read_text()})
        self.trusted(device, pair).close()
        self.assertEqual(self.code(other, pair), 5)
        self.assertEqual(self.refused("POST", f"{path}/{bound['sn']}:renew", {}), "certificate_foreign")
        # Its own list counts in the handshake.
        authority.revoke(pair[0])
        self.api.request("PUT", f"~/authorities/{made['id']}/crl", json={"crl": authority.list()})
        wait_for(lambda: "alert certificate revoked" in self.handshake(pair), "the list is in force")
        self.api.request("DELETE", f"~/authorities/{made['id']}")
        self.assertNotIn(made["id"], [a["id"] for a in self.api.get("~/authorities")["items"]])

    def test_a_device_asks_for_its_own(self):
        made = self.new_device()
        registration, device = made
        data = device.request("security/cert/apply", "security.cert.apply", {"csr": self.csr("own"), "validDay": 90})["data"]
        self.assertEqual((data["certChainURL"], data["issueAuthority"]), ("", "ECC"))
        self.assertIn("BEGIN CERTIFICATE", data["cert"])
        (self.folder / "ca.pem").write_text(data["caCert"])
        (self.folder / "own.pem").write_text(data["cert"])
        self.assertIn("OK", openssl("verify", "-CAfile", self.folder / "ca.pem", self.folder / "own.pem"))
        renewed = device.request("security/cert/renew", "security.cert.renew", {"certSn": int(data["certSN"]), "validDay": "30"})
        self.assertEqual(renewed["code"], 200, renewed)
        known = self.certificates(registration)
        self.assertEqual((known[int(data["certSN"])]["status"], known[int(renewed["data"]["certSN"])]["status"]), ("superseded", "issued"))
        rsa = device.request("security/cert/apply", "security.cert.apply", {"csr": self.csr("own"), "issueAuthority": "RSA"})["data"]
        self.assertEqual(rsa["issueAuthority"], "RSA")
        for path, params in (("apply", {}), ("apply", {"csr": "nonsense"}), ("apply", {"csr": self.csr("own"), "validDay": 0}),
                             ("renew", {"certSn": 7}), ("renew", {"certSn": data["certSN"]})):
            self.assertEqual(device.request(f"security/cert/{path}", f"security.cert.{path}", params)["code"], 1200, params)
        self.assertEqual(len(self.certificates(registration)), 3)

    def test_bad_requests(self):
        device = self.made("b")
        path = f"~/devices/{device['assetId']}/certificates"
        self.assertEqual(self.refused("POST", path, {}), "validation_failed")
        self.assertEqual(self.refused("POST", path, {"csr": "nonsense"}), "csr_invalid")
        self.assertEqual(self.refused("POST", path, {"csr": self.csr("weak", ("rsa:1024",))}), "csr_key_weak")
        self.assertEqual(self.refused("POST", path, {"csr": self.csr("c"), "days": 0}), "validation_failed")
        self.assertEqual(self.refused("POST", f"{path}/7:renew", {}), "certificate_unknown")
        self.assertEqual(self.refused("POST", f"{path}/7:revoke", {}), "certificate_unknown")
        self.assertEqual(self.refused("POST", f"{path}:bind", {"certificate": "nonsense"}), "certificate_foreign")
        self.assertEqual(self.refused("POST", "~/authorities", {"certificate": "nonsense"}), "certificate_invalid")
        self.assertEqual(self.refused("GET", "~/authorities/ab"), "authority_unknown")

    def test_on_the_command_line(self):
        device = self.made("c")
        self.csr("c")

        def orrery(*arguments):
            done = subprocess.run([f"{BIN}/orrery", "--server", f"http://127.0.0.1:{self.node.ports['api']}", "--api-key", self.node.demo["apiKey"],
                                   "cert", *map(str, arguments)], capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout
        (self.folder / "c.pem").write_text(orrery("apply", device["assetId"], self.folder / "c.csr", "--days", 30))
        self.trusted(device, self.pair("c")).close()
        sn = str(next(iter(self.certificates(device))))
        self.assertIn(sn, orrery("list", device["assetId"]))
        self.assertIn("BEGIN CERTIFICATE", orrery("renew", device["assetId"], sn))
        orrery("revoke", device["assetId"], sn, "--reason", 1)
        self.assertIn("revoked", orrery("list", device["assetId"]))
        self.assertIn("builtIn", orrery("authorities", "list"))


if __name__ == "__main__":
    unittest.main()
