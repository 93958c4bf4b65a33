"""The HTTP ports as such: RFC 9112 as other people's programs speak and misspeak it."""
import json
import socket
import ssl
import subprocess
import time
import unittest

from orrery import NodeTest, wait_for


class Wire(NodeTest):
    """Bytes in, bytes out."""

    def setUp(self):
        self.key = self.node.demo["apiKey"]
        self.head = f"Host: localhost\r\nAuthorization: Bearer {self.key}\r\n"

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.node.ports["api"]), timeout=20)
        self.addCleanup(s.close)
        return s

    def get(self, path, more=""):
        return f"GET /api/v1{path} HTTP/1.1\r\n{self.head}{more}\r\n".encode()

    def send(self, data):
        s = self.connect()
        s.sendall(data)
        return Replies(s)

    def still_good(self):
        self.assertEqual(self.send(self.get("/auth/me")).next()[0], 200)


class Replies:
    """Replies on one connection, one after the other."""

    def __init__(self, s):
        self.socket, self.data = s, b""

    def until(self, condition):
        while not condition():
            more = self.socket.recv(65536)
            if not more:
                raise EOFError(self.data)
            self.data += more

    def next(self, head=False):
        """(status, headers, body)"""
        self.until(lambda: b"\r\n\r\n" in self.data)
        top, self.data = self.data.split(b"\r\n\r\n", 1)
        first, *lines = top.decode().split("\r\n")
        headers = {n.lower(): v for n, v in (line.split(": ", 1) for line in lines)}
        length = 0 if head else int(headers.get("content-length", 0))
        self.until(lambda: len(self.data) >= length)
        body, self.data = self.data[:length], self.data[length:]
        return int(first.split()[1]), headers, body

    def closed(self):
        """True if nothing more comes and the connection ends."""
        try:
            return self.data == b"" and self.socket.recv(65536) == b""
        except ConnectionResetError:
            return True


class Good(Wire):
    def test_keep_alive(self):
        replies = self.send(self.get("/auth/me"))
        for _ in range(20):
            status, headers, body = replies.next()
            self.assertEqual((status, json.loads(body)["organisation"]), (200, "default"))
            replies.socket.sendall(self.get("/auth/me"))
        replies.next()

    def test_close_when_asked(self):
        replies = self.send(self.get("/auth/me", "Connection: close\r\n"))
        self.assertEqual(replies.next()[1]["connection"], "close")
        self.assertTrue(replies.closed())

    def test_http_1_0(self):
        replies = self.send(f"GET /api/v1/auth/me HTTP/1.0\r\n{self.head}\r\n".encode())
        self.assertEqual(replies.next()[0], 200)
        self.assertTrue(replies.closed())
        replies = self.send(f"GET /api/v1/auth/me HTTP/1.0\r\n{self.head}Connection: keep-alive\r\n\r\n".encode())
        self.assertEqual(replies.next()[0], 200)
        replies.socket.sendall(self.get("/auth/me"))
        self.assertEqual(replies.next()[0], 200)

    def test_pipelining(self):
        body = json.dumps({"productKey": "demo-inverter"}).encode()
        post = f"POST /api/v1/orgs/-/devices HTTP/1.1\r\n{self.head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        replies = self.send(self.get("/auth/me") + post + self.get("/nothing") + self.get("/system/version") + post)
        self.assertEqual([replies.next()[0] for _ in range(5)], [200, 201, 404, 200, 201])

    def test_byte_by_byte(self):
        s = self.connect()
        body = b'{"productKey":"demo-inverter"}'
        for byte in f"POST /api/v1/orgs/-/devices HTTP/1.1\r\n{self.head}Content-Length: {len(body)}\r\n\r\n".encode() + body:
            s.sendall(bytes([byte]))
        self.assertEqual(Replies(s).next()[0], 201)

    def test_chunks(self):
        chunks = b'7;name=value\r\n{"produ\r\n10\r\nctKey":"demo-inv\r\n7\r\nerter"}\r\n0\r\nTrailer: x\r\n\r\n'
        head = f"POST /api/v1/orgs/-/devices HTTP/1.1\r\n{self.head}Transfer-Encoding: chunked\r\n\r\n".encode()
        replies = self.send(head + chunks + self.get("/auth/me"))
        self.assertEqual([replies.next()[0] for _ in range(2)], [201, 200])

    def test_expect_continue(self):
        body = b'{"productKey":"demo-inverter"}'
        replies = self.send(f"POST /api/v1/orgs/-/devices HTTP/1.1\r\n{self.head}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        self.assertEqual(replies.next()[0], 100)
        replies.socket.sendall(body)
        self.assertEqual(replies.next()[0], 201)

    def test_expect_continue_of_what_is_too_large_is_answered_at_once(self):
        replies = self.send(f"POST /api/v1/orgs/-/devices HTTP/1.1\r\n{self.head}Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n".encode())
        self.assertEqual(replies.next()[0], 413)

    def test_the_absolute_form(self):
        replies = self.send(f"GET http://localhost/api/v1/auth/me HTTP/1.1\r\n{self.head}\r\n".encode())
        self.assertEqual(replies.next()[0], 200)

    def test_head_keeps_the_connection_in_step(self):
        replies = self.send(f"HEAD /api/v1/auth/me HTTP/1.1\r\n{self.head}\r\n".encode() + self.get("/system/version"))
        status, headers, _ = replies.next(head=True)
        self.assertEqual(status, 200)
        self.assertGreater(int(headers["content-length"]), 10)
        self.assertEqual(json.loads(replies.next()[2])["name"], "orrery")

    def test_empty_lines_before_a_request(self):
        self.assertEqual(self.send(b"\r\n" + self.get("/auth/me")).next()[0], 200)

    def test_a_half_closed_peer_gets_its_answer(self):
        s = self.connect()
        s.sendall(self.get("/auth/me"))
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(Replies(s).next()[0], 200)


class Bad(Wire):
    def refused(self, data, status, code):
        replies = self.send(data)
        got, headers, body = replies.next()
        self.assertEqual(got, status, body)
        self.assertEqual(headers["content-type"], "application/problem+json")
        self.assertEqual((json.loads(body)["code"], json.loads(body)["status"]), (code, status))
        self.assertTrue(json.loads(body)["detail"])
        self.assertTrue(replies.closed(), "what could not be read ends the connection")
        self.still_good()

    def test_what_is_no_request(self):
        for data in (b"hello\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
                     b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n bad: fold\r\n\x00\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04test" + b"\r\n\r\n"):
            with self.subTest(data=data):
                self.refused(data, 400, "malformed")

    def test_hosts(self):
        self.refused(b"GET /api/v1/system/version HTTP/1.1\r\n\r\n", 400, "malformed")
        self.refused(b"GET /api/v1/system/version HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "malformed")

    def test_targets(self):
        for target in ("/api/v1/%zz", "/api/v1/%", "/api/v1/a%00b", "*", "localhost:80"):
            self.refused(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 400, "malformed")

    def test_versions(self):
        for version in ("2.0", "1.2", "0.9", "3.0"):
            with self.subTest(version=version):
                replies = self.send(f"GET /api/v1/system/version HTTP/{version}\r\nHost: x\r\n\r\n".encode())
                self.assertIn(replies.next()[0], (400, 505))
                self.assertTrue(replies.closed())

    def test_a_head_that_is_too_large(self):
        self.refused(b"GET /api/v1/system/version HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431, "header_too_large")
        self.refused(b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, "header_too_large")
        self.refused(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 4000 + b"\r\n", 431, "header_too_large")

    def test_a_body_that_is_too_large(self):
        head = f"POST /api/v1/orgs/-/devices HTTP/1.1\r\n{self.head}"
        self.refused(f"{head}Content-Length: 8388609\r\n\r\n".encode(), 413, "too_large")
        self.refused(f"{head}Content-Length: 99999999999999999\r\n\r\n".encode(), 413, "too_large")
        self.refused(f"{head}Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n".encode(), 413, "too_large")
        chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
        self.refused(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 140, 413, "too_large")

    def test_bodies_of_two_lengths(self):
        head = f"POST /api/v1/orgs/-/devices HTTP/1.1\r\n{self.head}"
        for more in ("Content-Length: 2\r\nContent-Length: 3", "Content-Length: 2\r\nTransfer-Encoding: chunked", "Content-Length: -1", "Content-Length: x",
                     "Content-Length: 2, 3", "Transfer-Encoding: chunked\r\nContent-Length: 2"):
            with self.subTest(more=more):
                replies = self.send(f"{head}{more}\r\n\r\n{{}}".encode())
                self.assertEqual(replies.next()[0], 400)
                self.assertTrue(replies.closed())

    def test_broken_chunks(self):
        head = f"POST /api/v1/orgs/-/devices HTTP/1.1\r\n{self.head}Transfer-Encoding: chunked\r\n\r\n"
        for chunks in ("x\r\n{}\r\n0\r\n\r\n", "2\r\n{}0\r\n\r\n", "-2\r\n{}\r\n", "fffffffffffffffff\r\n"):
            with self.subTest(chunks=chunks):
                replies = self.send((head + chunks).encode())
                self.assertIn(replies.next()[0], (400, 413))
                self.assertTrue(replies.closed())

    def test_a_request_that_stops_in_the_middle(self):
        for data in (b"GET /api/v1/auth", b"POST /api/v1/orgs/-/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"):
            s = self.connect()
            s.sendall(data)
            s.close()
        self.still_good()

    def test_peers_that_leave_before_the_answer(self):
        for _ in range(50):
            s = self.connect()
            s.sendall(self.get("/orgs/-/devices") * 3)
            s.close()
        self.still_good()
        wait_for(lambda: self.node.metrics()["orrery_api_connections"] <= 2, "the connections are gone")

    def test_half_open_connections_disturb_nobody(self):
        before = self.node.memory_kib()
        many = [self.connect() for _ in range(500)]
        for s in many:
            s.sendall(b"GET /api/v1/au")
        self.still_good()
        self.assertLess(self.node.memory_kib() - before, 30_000)
        for s in many:
            s.close()
        wait_for(lambda: self.node.metrics()["orrery_api_connections"] <= 2, "the connections are gone")

    def test_bodies_of_many_share_a_limit(self):
        before = self.node.memory_kib()
        head = b"POST /api/v1/orgs/-/devices HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n"
        statuses = []
        open_ones = []
        for _ in range(40):
            s = self.connect()
            open_ones.append(s)
            try:
                s.sendall(head + b" " * 7_900_000)
            except (BrokenPipeError, ConnectionResetError):
                pass
        for s in open_ones:
            s.settimeout(0.05)
            try:
                statuses.append(s.recv(12))
            except (TimeoutError, ConnectionResetError):
                pass
        self.assertIn(b"HTTP/1.1 503", statuses)
        self.assertLess(self.node.memory_kib() - before, 250_000)
        for s in open_ones:
            s.close()
        wait_for(lambda: self.node.metrics()["orrery_api_connections"] <= 2, "the connections are gone")
        self.still_good()


class Limits(Wire):
    settings = ("api.max_connections=5",)

    def test_connections_beyond_the_limit_are_closed(self):
        wait_for(lambda: self.node.metrics()["orrery_api_connections"] <= 1, "only the tests' own connection is left")
        held = [self.connect() for _ in range(8)]
        for s in held:
            s.sendall(self.get("/auth/me"))

        def answered(s):
            try:
                return Replies(s).next()[0] == 200
            except (EOFError, ConnectionResetError):
                return False

        good = [s for s in held if answered(s)]
        self.assertLessEqual(len(good), 5)
        self.assertGreaterEqual(len(good), 3)
        self.assertGreaterEqual(self.node.metrics()["orrery_api_refused_connections_total"], 3)
        for s in held:
            s.close()
        wait_for(lambda: answered_now(self), "there is room again")


def answered_now(test):
    try:
        return test.send(test.get("/auth/me")).next()[0] == 200
    except (EOFError, ConnectionResetError):
        return False


class Tls(Wire):
    def curl(self, *arguments):
        return subprocess.run(["curl", "-sS", "--max-time", "20", *arguments], capture_output=True, text=True, timeout=30)

    def url(self, path="/api/v1/auth/me", scheme="https"):
        return f"{scheme}://localhost:{self.node.ports['apis' if scheme == 'https' else 'api']}{path}"

    def test_curl_trusts_the_authority_of_the_installation(self):
        done = self.curl("--cacert", self.node.ca, "-H", f"Authorization: Bearer {self.key}", self.url())
        self.assertEqual(json.loads(done.stdout)["organisation"], "default", done.stderr)

    def test_curl_does_not_trust_it_without(self):
        self.assertEqual(self.curl(self.url()).returncode, 60)

    def test_versions(self):
        for version in ("--tlsv1.2", "--tlsv1.3"):
            done = self.curl("--cacert", self.node.ca, version, "--tls-max", version[-3:], "-o", "/dev/null", "-w", "%{http_code}", self.url("/api/v1/system/version"))
            self.assertEqual(done.stdout, "200", done.stderr)
        self.assertNotEqual(self.curl("--cacert", self.node.ca, "--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", self.url()).returncode, 0)

    def test_plain_http_on_the_tls_port_and_tls_on_the_plain_one(self):
        s = socket.create_connection(("127.0.0.1", self.node.ports["apis"]), timeout=20)
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        s.settimeout(20)
        while s.recv(4096):
            pass
        s.close()
        done = self.curl("--cacert", self.node.ca, f"https://localhost:{self.node.ports['api']}/api/v1/system/version")
        self.assertNotEqual(done.returncode, 0)
        self.still_good()

    def test_large_bodies_both_ways(self):
        context = ssl.create_default_context(cafile=self.node.ca)
        with context.wrap_socket(socket.create_connection(("127.0.0.1", self.node.ports["apis"]), timeout=30), server_hostname="localhost") as s:
            body = json.dumps({"items": [{"productKey": "demo-inverter", "description": "d" * 1900} for _ in range(1000)]}).encode()
            s.sendall(f"POST /api/v1/orgs/-/devices:batch HTTP/1.1\r\n{self.head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            status, _, reply = Replies(s).next()
            self.assertEqual((status, json.loads(reply)["ok"]), (200, 1000))
            self.assertGreater(len(reply), 2_000_000)

    def test_curl_as_the_readme_uses_it(self):
        done = self.curl("-H", f"Authorization: Bearer {self.key}", "-H", "Content-Type: application/json", "-d", '{"productKey":"demo-inverter","deviceKey":"curl-1"}',
                         "-w", "\n%{http_code}", self.url("/api/v1/orgs/-/devices", "http"))
        body, status = done.stdout.rsplit("\n", 1)
        self.assertEqual((status, json.loads(body)["deviceKey"]), ("201", "curl-1"))
        done = self.curl("-I", "-H", f"Authorization: Bearer {self.key}", self.url("/api/v1/orgs/-/devices", "http"))
        self.assertTrue(done.stdout.startswith("HTTP/1.1 200"), done.stdout)
        done = self.curl("-X", "OPTIONS", "-i", self.url("/api/v1/orgs/-/devices", "http"))
        self.assertIn("Allow: GET, HEAD, POST, OPTIONS", done.stdout)


class Stop(unittest.TestCase):
    def test_a_stopping_node_closes_its_connections_in_time(self):
        from orrery import Node
        with Node() as node:
            idle = socket.create_connection(("127.0.0.1", node.ports["api"]), timeout=20)
            slow = socket.create_connection(("127.0.0.1", node.ports["api"]), timeout=20)
            slow.sendall(b"GET /api/v1/au")
            stream = node.api().stream({"kind": "points"})
            begun = time.monotonic()
            self.assertEqual(node.stop(), 0)
            self.assertLess(time.monotonic() - begun, 10)
            for s in (idle, slow):
                self.assertEqual(s.recv(100), b"")
                s.close()
            opcode, data = stream.socket.recv_data()
            self.assertEqual((opcode, int.from_bytes(data[:2], "big")), (8, 4503))


if __name__ == "__main__":
    unittest.main()
