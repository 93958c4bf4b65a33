"""What the tests of the API share beside orrery.py: lists page by page, problems by code, devices that
answer commands, codes of second factors."""
import base64
import hashlib
import hmac
import json
import queue
import struct

from orrery import DEADLINE

MODEL = {
    "format": "tm/1", "id": "Meter", "name": "Meter",
    "attributes": [{"id": "serial", "name": "Serial", "type": {"t": "string", "maxLength": 8}}],
    "measurePoints": [
        {"id": "volts", "name": "Voltage", "signal": "AI", "type": {"t": "double", "min": 0, "max": 1000}},
        {"id": "count", "name": "Count", "signal": "PI", "type": {"t": "int"}},
        {"id": "limit", "name": "Limit", "writable": True, "type": {"t": "int", "min": 0, "max": 10}}],
    "services": [{"id": "reset", "name": "Reset", "input": [{"id": "hard", "type": {"t": "bool"}, "required": True}],
                  "output": [{"id": "done", "type": {"t": "bool"}}]}],
    "events": [{"id": "tamper", "name": "Opened", "level": "error", "output": [{"id": "by", "type": {"t": "string"}}]}]}


def model_document(model_id, **changes):
    return dict(MODEL, id=model_id, **changes)


def all_of(api, path, limit=3):
    """All items of a list, `limit` at a time."""
    items, cursor = [], None
    while True:
        page = api.get(path, params=dict({"limit": limit}, **({"cursor": cursor} if cursor else {})))
        assert len(page["items"]) <= limit, page
        items += page["items"]
        cursor = page.get("nextCursor")
        if not cursor:
            return items


def problem(test, reply, status, code):
    """Holds an error reply against what it must be; gives its body."""
    test.assertEqual(reply.status_code, status, reply.text)
    test.assertEqual(reply.headers["Content-Type"], "application/problem+json")
    body = reply.json()
    test.assertEqual((body["status"], body["code"]), (status, code), reply.text)
    test.assertTrue(body["detail"], reply.text)
    test.assertEqual(body["requestId"], reply.headers["X-Request-Id"])
    test.assertEqual(body["type"], f"urn:orrery:error:{code}")
    return body


def refused(test, api, method, path, status, code, **options):
    return problem(test, api.request(method, path, expect=status, **options), status, code)


def totp(secret, step):
    """The code of a step of 30 seconds (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7fffffff) % 1000000:06}"


def serve(device, answer=lambda name, params: (200, {})):
    """The device answers its commands: `answer(name, params)` gives (code, data), or None for silence. Gives
    a queue of (name, params) as they come."""
    asked = queue.Queue()

    def on_command(message):
        body = json.loads(message.payload)
        name = message.topic.split("/thing/service/")[1]
        asked.put((name, body["params"]))
        got = answer(name, body["params"])
        if got is not None:
            device.client.publish(message.topic + "_reply", json.dumps({"id": body["id"], "code": got[0], "data": got[1]}), 1)

    device.on_command = on_command
    return asked


def next_of(asked):
    return asked.get(timeout=DEADLINE)
