"""What the end-to-end tests share: a real node, an API client that holds every reply against the
OpenAPI document, and devices with correct signatures on paho."""
import contextlib
import hashlib
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import warnings

import jsonschema
import paho.mqtt.client as paho
import requests
import websocket

warnings.simplefilter("ignore", ResourceWarning)
BIN = pathlib.Path(os.environ.get("ORRERY_BIN", "build/release/bin")).absolute()
DEADLINE = 20.0
MANY_LOGINS = ["login.flapping_logins=1000000"]  # one device comes and goes through a whole suite


def wait_for(condition, what, deadline=DEADLINE):
    """Waits until condition() is true and gives what it gave; fails with `what`, or what that tells, after the deadline."""
    end = time.monotonic() + deadline
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what() if callable(what) else what}")
        time.sleep(0.01)


class Node:
    """An orreryd of its own, on free ports, with its data in a temporary folder."""

    def __init__(self, *arguments, data=None, demo=True, settings=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="orrery-test-"))
        self.data = pathlib.Path(data) if data else self.folder / "data"
        self.arguments = list(arguments)
        self.settings = list(settings)
        self.demo_wanted = demo
        self.process = None

    def command(self):
        free = [f"listeners.{name}.port=0" for name in ("mqtt", "mqtts", "http", "https", "api", "apis", "admin")] + MANY_LOGINS
        sets = [s for one in free + self.settings for s in ("--set", one)]
        demo = ["--demo"] if self.demo_wanted else []
        return [str(BIN / "orreryd"), "--data", str(self.data), "--ready-file", str(self.ready_file)] + demo + sets + self.arguments

    @property
    def ready_file(self):
        return self.folder / "ready.json"

    def start(self, deadline=3 * DEADLINE):
        self.ready_file.unlink(missing_ok=True)
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(self.command(), stderr=self.log, stdout=self.log)
        try:
            wait_for(lambda: self.ready_file.exists() or self.process.poll() is not None, "the node is ready", deadline)
        except AssertionError:
            self.kill()
            raise
        if self.process.poll() is not None:
            raise AssertionError(f"orreryd ended with {self.process.returncode}: {self.log_text()[-2000:]}")
        ready = json.loads(self.ready_file.read_text())
        self.ports, self.ca = ready["ports"], ready["ca"]
        if self.demo_wanted:
            self.demo = json.loads((self.data / "demo.json").read_text())
        return self

    def log_text(self):
        return (self.folder / "log").read_text(errors="replace")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ends it politely; gives the exit code."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(15)
        self.log.close()
        return self.process.returncode

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    def metrics(self):
        text = requests.get(f"http://127.0.0.1:{self.ports['admin']}/metrics", timeout=10).text
        found = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def memory_kib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def api(self, token=None, org="-"):
        return Api(self, token or self.demo["apiKey"], org)

    def device(self, index=0, **options):
        of = self.demo["devices"][index]
        return Device(self, self.demo["productKey"], of["deviceKey"], of["deviceSecret"], **options)


class Api:
    """Requests to one organisation; each reply is checked against the document of the node."""
    documents = {}
    seen = set()  # (operation id, status) of all requests of this process

    def __init__(self, node, token, org="-"):
        self.base = f"http://{getattr(node, 'host', '127.0.0.1')}:{node.ports['api']}/api/v1"
        self.org = f"/orgs/{org}"
        self.session = requests.Session()
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"
        if self.base not in Api.documents:
            Api.documents[self.base] = requests.get(self.base + "/openapi.json", timeout=10).json()
        self.document = Api.documents[self.base]

    def request(self, method, path, expect=None, **options):
        """`~` stands for the organisation. `expect`: the status, 2xx if not given."""
        path = path.replace("~", self.org, 1)
        reply = self.session.request(method, self.base + path, timeout=70, **options)
        if expect is None:
            assert reply.status_code < 300, f"{method} {path}: {reply.status_code} {reply.text}"
        else:
            assert reply.status_code == expect, f"{method} {path}: {reply.status_code}, not {expect}: {reply.text}"
        self.check(method, path, reply, options.get("json"))
        return reply

    def check(self, method, path, reply, asked=None):
        operation = self.operation_of(method, path.split("?")[0])
        if operation:
            Api.seen.add((operation["operationId"], reply.status_code))
            if asked is not None and reply.status_code < 300 and "requestBody" in operation:
                self.validate(operation["requestBody"]["content"]["application/json"]["schema"], asked)
        if operation is None:
            assert reply.status_code in (404, 405), f"{method} {path} is not in the document and gave {reply.status_code}"
            schema = {"$ref": "#/components/schemas/Problem"}
        else:
            described = operation["responses"].get(str(reply.status_code))
            if described is None:
                assert reply.status_code == 304 or reply.status_code >= 400, f"{method} {path}: {reply.status_code} is not described"
                described = operation["responses"]["default"] if reply.status_code >= 400 else {}
            content = described.get("content")
            if content is None:
                assert not reply.content, f"{method} {path}: a body where none is described"
                return
            kind = reply.headers["Content-Type"].split(";")[0]
            assert kind in content, f"{method} {path}: {kind} is not described"
            if not kind.endswith("json"):
                return
            schema = content[kind]["schema"]
            if "anyOf" in schema and "fields=" not in reply.url:
                schema = schema["anyOf"][0]  # whole items
        if kind == "application/x-ndjson":
            for line in reply.text.splitlines():
                self.validate(schema, json.loads(line))
        elif method != "HEAD":
            self.validate(schema, reply.json())

    def validate(self, schema, value):
        jsonschema.Draft202012Validator(dict(schema, components=self.document["components"])).validate(value)

    def operation_of(self, method, path):
        segments = path.strip("/").split("/")
        best = None
        for pattern, operations in self.document["paths"].items():
            parts = pattern.strip("/").split("/")
            if len(parts) != len(segments) or not all(fits(p, s) for p, s in zip(parts, segments)):
                continue
            operation = operations.get("get" if method == "HEAD" else method.lower())
            if operation and (best is None or pattern.count("{") < best[0]):
                best = (pattern.count("{"), operation)
        return best and best[1]

    def get(self, path, **options):
        return self.request("GET", path, **options).json()

    def post(self, path, body=None, **options):
        reply = self.request("POST", path, json=body if body is not None else {}, **options)
        return reply.json() if reply.content else None

    def stream(self, *subscriptions):
        return Stream(self, subscriptions)


def fits(pattern, segment):
    pattern_name, _, pattern_verb = pattern.partition(":")
    name, _, verb = segment.removeprefix("asset:").partition(":")  # a node may be named by its asset
    return pattern_verb == verb and (pattern_name.startswith("{") or pattern_name == name)


class Stream:
    """A live subscription by WebSocket."""

    def __init__(self, api, subscriptions):
        token = api.session.headers["Authorization"]
        self.socket = websocket.create_connection(api.base.replace("http", "ws") + "/stream", header=[f"Authorization: {token}"],
                                                  subprotocols=["orrery.v1.json"], timeout=DEADLINE)
        for number, one in enumerate(subscriptions):
            self.send(dict({"op": "sub", "id": str(number), "sid": f"s{number}"}, **one))
            reply = self.receive()
            assert reply["op"] == "ok", reply

    def send(self, message):
        self.socket.send(json.dumps(message))

    def receive(self):
        return json.loads(self.socket.recv())

    def items(self, count):
        """The next `count` items, of all subscriptions."""
        got = []
        while len(got) < count:
            message = self.receive()
            assert message["op"] == "data", message
            got += message["items"]
        return got

    def close(self):
        self.socket.close()


def sign(client_id, device_key, product_key, timestamp, secret, method="sha256"):
    text = f"clientId{client_id}deviceKey{device_key}productKey{product_key}timestamp{timestamp}{secret}"
    return hashlib.new(method, text.encode()).hexdigest()


class Device:
    """A device on paho, with the wire protocol's request and reply forms."""

    def __init__(self, node, product_key, device_key, secret, method="sha256", tls=False, keep_alive=60, clean=True, mode=2, id=None,
                 certificate=None):
        self.pk, self.dk = product_key, device_key
        timestamp = str(int(time.time() * 1000))
        id = id or device_key
        self.client = paho.Client(client_id=f"{id}|securemode={mode},signmethod={method},timestamp={timestamp}|", clean_session=clean)
        self.client.username_pw_set(f"{device_key}&{product_key}", sign(id, device_key, product_key, timestamp, secret, method))
        self.messages = queue.Queue()
        self.connected = queue.Queue()
        self.subscribed = queue.Queue()
        self.gone = queue.Queue()
        self.on_command = None
        self.on_bytes = None  # makes the answer to free bytes
        self.client.on_connect = lambda c, u, flags, code: self.connected.put(code)
        self.client.on_subscribe = lambda c, u, mid, granted: self.subscribed.put(granted)
        self.client.on_disconnect = lambda c, u, code: self.gone.put(code)
        self.client.on_message = self.on_message
        self.ids = 0
        self.host, self.port = getattr(node, "host", "localhost"), node.ports["mqtts" if tls else "mqtt"]
        self.keep_alive = keep_alive
        if tls:
            certificate, key = certificate or (None, None)
            self.client.tls_set(ca_certs=node.ca, certfile=certificate, keyfile=key)

    def connect(self, subscribe=True):
        code = self.try_connect()
        assert code == 0, f"CONNACK {code}"
        if subscribe:
            self.client.subscribe([(f"/sys/{self.pk}/{self.dk}/#", 1), (f"/ext/session/{self.pk}/{self.dk}/#", 1)])
            assert 0x80 not in self.subscribed.get(timeout=DEADLINE)
        return self

    def try_connect(self):
        self.client.connect(self.host, self.port, keepalive=self.keep_alive)
        self.client.loop_start()
        return self.connected.get(timeout=DEADLINE)

    def on_message(self, client, userdata, message):
        if self.on_bytes and "/rrpc/request/" in message.topic:
            client.publish(message.topic.replace("/request/", "/response/"), self.on_bytes(message.payload), 1)
        elif self.on_command and "/thing/" in message.topic and not message.topic.endswith("_reply"):
            self.on_command(message)
        else:
            self.messages.put(message)

    def publish(self, topic, payload, qos=1):
        """Waits for the acknowledgement."""
        self.client.publish(topic, payload if isinstance(payload, (str, bytes)) else json.dumps(payload), qos).wait_for_publish(DEADLINE)

    def request(self, path, method, params, id=None, tree="sys", whose=None, **more):
        """Publishes a request and gives its reply's payload. `whose`: the (product key, device key) in the topic."""
        self.ids += 1
        id = id or str(self.ids)
        pk, dk = whose or (self.pk, self.dk)
        topic = f"/{tree}/{pk}/{dk}/{path}"
        self.publish(topic, dict({"id": id, "version": "1.0", "method": method, "params": params}, **more))
        while True:
            reply = self.messages.get(timeout=DEADLINE)
            if reply.topic == topic + "_reply":
                payload = json.loads(reply.payload)
                if str(payload["id"]) == id:
                    return payload

    def post(self, points, time=None):
        params = {"measurepoints": points}
        if time is not None:
            params["time"] = time
        return self.request("thing/measurepoint/post", "thing.measurepoint.post", params)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class NodeTest(unittest.TestCase):
    """Tests that share one node with the demo content."""
    settings = ()

    @classmethod
    def setUpClass(cls):
        cls.node = Node(settings=cls.settings).start()
        cls.api = cls.node.api()

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()
        cls.node.close()

    def device(self, index=0, **options):
        device = self.node.device(index, **options)
        self.addCleanup(device.close)
        return device.connect()

    def new_device(self, **fields):
        """Registers a fresh device of the demo product; gives (registration, connected device)."""
        made = self.api.post("~/devices", dict({"productKey": self.node.demo["productKey"]}, **fields))
        device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"])
        self.addCleanup(device.close)
        return made, device.connect()


@contextlib.contextmanager
def free_socket():
    """A bound, listening TCP socket: a port that is taken."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        yield s.getsockname()[1]
