"""TLS of the ports of devices: other people's clients, certificates of both kinds, new ones while connections go on, certificates of clients."""
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import unittest

from orrery import Node, NodeTest, wait_for


def openssl(*arguments, folder=None, stdin=b"", fails=False):
    done = subprocess.run(["openssl", *map(str, arguments)], cwd=folder, input=stdin, capture_output=True, timeout=30)
    assert fails or done.returncode == 0, done.stderr.decode()
    return (done.stdout + done.stderr).decode(errors="replace")


class Authority:
    """An authority of clients, by openssl's own tools."""

    def __init__(self, folder, name="devices", key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), names=""):
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir()
        (self.folder / "index.txt").touch()
        (self.folder / "crlnumber").write_text("01\n")
        (self.folder / "ca.conf").write_text(
            "[ca]\ndefault_ca=it\n[it]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\ndefault_crl_days=30\ncrlnumber=crlnumber\n"
            "certificate=ca.pem\nprivate_key=ca.key\npolicy=any\nx509_extensions=client\n[any]\ncommonName=supplied\n"
            "[client]\nbasicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n" + (f"subjectAltName={names}\n" if names else ""))
        openssl("req", "-x509", "-newkey", *key, "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", f"/CN={name}", "-days", "30", folder=self.folder)
        self.pem = self.folder / "ca.pem"

    def client(self, name, key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), dates=("-days", "10")):
        openssl("req", "-newkey", *key, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", folder=self.folder)
        openssl("ca", "-batch", "-config", "ca.conf", "-in", f"{name}.csr", "-out", f"{name}.pem", "-notext", *dates, folder=self.folder)
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def revoke(self, certificate):
        openssl("ca", "-config", "ca.conf", "-revoke", certificate, folder=self.folder)

    def fingerprint(self, name):
        return openssl("x509", "-in", f"{name}.pem", "-noout", "-fingerprint", "-sha256", folder=self.folder).strip().partition("=")[2]

    def trust(self, api):
        """Makes the organisation trust it, and proves its key."""
        made = api.post("~/authorities", {"certificate": self.pem.read_text()})
        return api.post(f"~/authorities/{made['id']}:prove", {"certificate": self.client(made["nonce"])[0].read_text()})

    def list(self):
        openssl("ca", "-config", "ca.conf", "-gencrl", "-out", "crl.pem", folder=self.folder)
        return (self.folder / "crl.pem").read_text()


def s_client(node, *more, said=b"", fails=False):
    """What openssl's client says of a handshake; it sends `said` and leaves."""
    return openssl("s_client", "-connect", f"localhost:{node.ports['mqtts']}", "-CAfile", node.ca, "-verify_return_error", *more, stdin=said, fails=fails)


class Server(NodeTest):
    def test_either_kind_of_certificate(self):
        for suite, kind in (("ECDHE-RSA-AES128-GCM-SHA256", "RSA"), ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDSA")):
            said = s_client(self.node, "-tls1_2", "-cipher", suite)
            self.assertIn(f"Cipher is {suite}", said)
            self.assertIn(f"Peer signature type: {kind}", said.replace("RSA-PSS", "RSA"))
        self.assertIn("TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384", s_client(self.node, "-tls1_3"))
        for suite in ("ECDHE-RSA-AES128-SHA256", "AES128-GCM-SHA256"):
            self.assertIn("handshake failure", s_client(self.node, "-tls1_2", "-cipher", suite, fails=True))

    def test_nobody_is_asked_for_a_certificate_if_nobody_is_trusted(self):
        self.assertIn("No client certificate CA names sent", s_client(self.node, "-tls1_2"))

    def test_sessions_are_resumed_after_a_restart(self):
        with tempfile.TemporaryDirectory() as folder:
            kept = pathlib.Path(folder) / "session"
            self.assertIn("New, ", s_client(self.node, "-tls1_2", "-sess_out", kept))
            node = self.node
            node.settings = [*node.settings, f"listeners.mqtts.port={node.ports['mqtts']}"]
            node.stop()
            node.start()
            self.assertIn("Reused, ", s_client(node, "-tls1_2", "-sess_in", kept))

    def test_renegotiation_is_refused(self):
        said = s_client(self.node, "-tls1_2", said=b"R\n", fails=True)
        self.assertIn("no renegotiation", said)


class OldDevices(NodeTest):
    settings = ("tls.rsa_key_exchange=true",)

    def test_those_that_know_no_elliptic_curves_are_served_if_it_is_wanted(self):
        for suite in ("AES256-SHA256", "AES128-SHA256"):
            said = s_client(self.node, "-tls1_2", "-cipher", suite, "-sigalgs", "RSA+SHA256:RSA+SHA1")
            self.assertIn(f"Cipher is {suite}", said)
        usage = openssl("x509", "-in", pathlib.Path(self.node.ca).with_name("server-rsa.pem"), "-noout", "-ext", "keyUsage")
        self.assertIn("Digital Signature, Key Encipherment", usage)
        for suite in ("AES256-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256"):
            self.assertIn("handshake failure", s_client(self.node, "-tls1_2", "-cipher", suite, fails=True))
        self.assertIn("Cipher is ECDHE", s_client(self.node, "-tls1_2"), "others are served as ever")
        self.assertIn("Cipher is ECDHE", s_client(self.node, "-tls1_2", "-cipher", "AES256-SHA256:ECDHE-RSA-AES128-GCM-SHA256"), "whatever they would like best")


class OtherNode(unittest.TestCase):
    def test_sessions_are_resumed_where_the_master_key_is_the_same(self):
        with tempfile.TemporaryDirectory() as folder, Node(demo=False) as one, Node(demo=False, settings=(f"node.master_key={one.data}/master.key",)) as same, \
                Node(demo=False) as stranger:
            kept = pathlib.Path(folder) / "session"
            s_client(one, "-tls1_2", "-sess_out", kept)
            self.assertIn("Reused, ", s_client(same, "-tls1_2", "-sess_in", kept))
            self.assertIn("New, ", s_client(stranger, "-tls1_2", "-sess_in", kept))


class NewFiles(unittest.TestCase):
    def setUp(self):
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = pathlib.Path(made.name)
        self.make("first")
        for kind in ("pem", "key"):
            shutil.copy(self.folder / f"first.{kind}", self.folder / f"in-force.{kind}")
        self.authority = Authority(self.folder)
        self.clients = self.folder / "clients.pem"
        self.lists = self.folder / "lists.pem"
        self.clients.write_text(self.authority.pem.read_text())
        self.lists.write_text(self.authority.list())
        self.node = Node(settings=(f"tls.certificate={self.folder}/in-force.pem", f"tls.key={self.folder}/in-force.key",
                                   f"tls.client_authorities={self.clients}", f"tls.client_revocations={self.lists}")).start()
        self.addCleanup(self.node.close)

    def make(self, name):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
                "-addext", "subjectAltName=DNS:localhost", "-days", "7", folder=self.folder)

    def subject(self):
        return re.search(r"subject=.*CN ?= ?(\S+)", openssl("s_client", "-connect", f"localhost:{self.node.ports['mqtts']}", "-tls1_2")).group(1)

    def hang_up(self):
        self.node.process.send_signal(signal.SIGHUP)

    def metric(self, name):
        return self.node.metrics()[name]

    def test_are_taken_up_while_connections_go_on(self):
        node = self.node
        self.assertEqual(self.subject(), "first")
        ends = self.metric("orrery_tls_certificate_expiry_time_seconds")
        self.assertAlmostEqual(ends, time.time() + 7 * 86400, delta=120)
        node.ca = str(self.folder / "first.pem")
        device = node.device(tls=True).connect()
        self.addCleanup(device.close)

        self.make("second")
        (self.folder / "in-force.pem").write_text((self.folder / "second.pem").read_text())  # and the key does not belong to it
        self.hang_up()
        wait_for(lambda: self.metric("orrery_tls_reload_failures_total") == 1, "it is counted")
        said = wait_for(lambda: [line for line in node.log_text().splitlines() if "not_reloaded" in line], "it is logged")
        self.assertIn("tls.key", said[0])
        self.assertEqual(self.subject(), "first")

        (self.folder / "in-force.key").write_text((self.folder / "second.key").read_text())
        self.hang_up()
        wait_for(lambda: self.subject() == "second", "it is in force")
        self.assertEqual(self.metric("orrery_tls_reloads_total"), 1)
        self.assertEqual(device.post({"power": 1.0})["code"], 200)
        self.assertTrue(device.gone.empty())

    def log_in(self, certificate=None):
        """CONNACK's code, or the alert."""
        self.node.ca = str(self.folder / "in-force.pem")
        device = self.node.device(1, tls=False)
        device.port = self.node.ports["mqtts"]
        device.client.tls_set(ca_certs=self.node.ca, certfile=certificate and str(certificate[0]), keyfile=certificate and str(certificate[1]),
                              tls_version=ssl.PROTOCOL_TLS_CLIENT)
        device.client._ssl_context.maximum_version = ssl.TLSVersion.TLSv1_2  # there the alert comes within the handshake
        try:
            return device.try_connect()
        except ssl.SSLError as e:
            return e.reason
        finally:
            device.close()

    def test_clients_show_good_certificates_or_none(self):
        ours = self.authority
        rsa = ("rsa:2048",)
        good, of_rsa, lost = ours.client("good"), ours.client("of-rsa", rsa), ours.client("lost")
        self.assertEqual([self.log_in(c) for c in (None, good, of_rsa, lost)], [0, 0, 0, 0])
        expired = ours.client("expired", dates=("-startdate", "20200101000000Z", "-enddate", "20200201000000Z"))
        foreign = Authority(self.folder, "others", rsa).client("foreign")
        self.assertEqual(self.log_in(expired), "SSLV3_ALERT_CERTIFICATE_EXPIRED")
        self.assertEqual(self.log_in(foreign), "TLSV1_ALERT_UNKNOWN_CA")
        kept = self.folder / "session"
        shown = ("-tls1_2", "-cert", lost[0], "-key", lost[1])
        trusts = ("-connect", f"localhost:{self.node.ports['mqtts']}", "-CAfile", self.folder / "in-force.pem")
        openssl("s_client", *trusts, *shown, "-sess_out", kept)
        self.assertIn("Reused, ", openssl("s_client", *trusts, *shown, "-sess_in", kept))
        ours.revoke(lost[0])
        self.lists.write_text(ours.list())
        self.hang_up()
        wait_for(lambda: self.log_in(lost) == "SSLV3_ALERT_CERTIFICATE_REVOKED", "it is revoked")
        self.assertIn("certificate revoked", openssl("s_client", *trusts, *shown, "-sess_in", kept, fails=True))
        self.assertEqual(self.log_in(good), 0)


if __name__ == "__main__":
    unittest.main()
