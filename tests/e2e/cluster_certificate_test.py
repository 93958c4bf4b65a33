"""Certificates of devices on three nodes: who comes by one is found wherever he is kept."""
import pathlib
import queue
import time
import unittest

import paho.mqtt.client as paho

from cluster_kit import ClusterTest
from orrery import DEADLINE, wait_for
from tls_test import Authority, openssl


class Certificates(ClusterTest):
    def client(self, node, pair):
        """A client that shows a certificate and says no more; what it is told, or nothing if the handshake fails."""
        client, told, gone = paho.Client(client_id="whoever"), queue.Queue(), queue.Queue()
        client.on_connect = lambda c, u, flags, code: told.put(code)
        client.on_disconnect = lambda c, u, code: gone.put(code)
        client.tls_set(ca_certs=node.ca, certfile=pair[0], keyfile=pair[1])
        client.connect(node.host, node.ports["mqtts"])
        client.loop_start()
        self.addCleanup(client.loop_stop)
        self.addCleanup(client.disconnect)
        client.gone = gone
        return told.get(timeout=DEADLINE), client

    def certified(self, count=4):
        """(device, pair) of so many, in several shards."""
        folder = pathlib.Path(self.folder)
        api = self.node(1).api()
        model = api.get(f"~/products/{self.node(1).demo['productKey']}")["modelId"]
        product = api.post("~/products", {"name": "certified", "modelId": model, "auth": "certificate"})
        made = []
        for i in range(count):
            device = api.post("~/devices", {"productKey": product["productKey"], "deviceKey": f"d{i}"})
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"d{i}.key", "-out", f"d{i}.csr", "-subj", "/CN=d",
                    folder=folder)
            issued = api.post(f"~/devices/{device['assetId']}/certificates", {"csr": (folder / f"d{i}.csr").read_text()})
            (folder / f"d{i}.pem").write_text(issued["certificate"] + issued["chain"])
            made.append((device, (str(folder / f"d{i}.pem"), str(folder / f"d{i}.key"))))
        for n in (1, 2, 3):
            wait_for(lambda at=n: "Acceptable client certificate CA names" in self.handshake(self.node(at), made[0][1]), "the authority is trusted")
        return made

    def handshake(self, node, pair):
        return openssl("s_client", "-connect", f"{node.host}:{node.ports['mqtts']}", "-tls1_2", "-cert", pair[0], "-key", pair[1], fails=True)

    def test_a_certificate_alone_on_any_node(self):
        self.wait_whole()
        made = self.certified()
        for n in (1, 2, 3):
            for device, pair in made:
                self.assertEqual(self.client(self.node(n), pair)[0], 0, (n, device["assetId"]))
                wait_for(lambda of=device: self.node(n).api().get(f"~/devices/{of['assetId']}")["status"] == "online", "it is on-line")

    def test_external_certificates_and_bans_on_any_node(self):
        self.wait_whole()
        made = self.certified(3)
        authority = Authority(self.folder, "external")
        api = self.node(2).api()
        authority.trust(api)
        pairs = []
        for i, (device, _) in enumerate(made):
            pairs.append(tuple(map(str, authority.client(f"x{i}"))))
            api.post(f"~/devices/{device['assetId']}/certificates:bind", {"certificate": pathlib.Path(pairs[-1][0]).read_text()})
        for n in (1, 2, 3):
            wait_for(lambda at=n: "CN = external" in self.handshake(self.node(at), pairs[0]) or "CN=external" in self.handshake(self.node(at), pairs[0]),
                     "the authority is trusted")
            for pair in pairs:
                self.assertEqual(self.client(self.node(n), pair)[0], 0, n)
        clients = [self.client(self.node(n), pairs[n - 1]) for n in (1, 2, 3)]
        begun = time.monotonic()
        api.post("~/bans", {"kind": "product", "subject": made[0][0]["productKey"]})
        for code, client in clients:
            self.assertEqual(code, 0)
            client.gone.get(timeout=DEADLINE)
        self.assertLess(time.monotonic() - begun, 3)
        for n in (1, 2, 3):
            self.assertEqual(self.client(self.node(n), pairs[0])[0], 5)


if __name__ == "__main__":
    unittest.main()
