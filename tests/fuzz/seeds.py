#!/usr/bin/python3
"""Writes the first inputs of a fuzz target: seeds.py TARGET FOLDER."""
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

ID = "dk|securemode=2,signmethod=sha256,timestamp=1700000000000|"
JAVA_ID = "dk{ip=fd00::2%eth0,version=enos-mqtt-2.4.0,compress=GZIP}|securemode=2, signMethod=hmacSha1,timestamp=1.5|"


def text(t):
    raw = t if isinstance(t, bytes) else t.encode()
    return struct.pack(">H", len(raw)) + raw


def packet(first, body):
    size, head = len(body), bytes([first])
    while True:
        size, low = divmod(size, 128)
        head += bytes([low | (128 if size else 0)])
        if not size:
            return head + body


def connect(client_id=ID, level=4, name="MQTT", flags=0xc2, rest=None):
    rest = text("dk&pk") + text("0" * 64) if rest is None else rest
    return packet(0x10, text(name) + bytes([level, flags]) + struct.pack(">H", 60) + text(client_id) + rest)


def publish(topic, payload, qos=1, number=7, more=0):
    return packet(0x30 | qos << 1 | more, text(topic) + (struct.pack(">H", number) if qos else b"") + payload)


def number(first, value=7):
    return packet(first, struct.pack(">H", value))


HOME = "/sys/pk/dk/thing/"
POST = json.dumps({"id": "1", "params": {"measurepoints": {"d": 1.5}}}).encode()

CODEC = {
    "conversation": connect() + packet(0x82, struct.pack(">H", 1) + text(HOME + "service/+") + b"\1") + publish(HOME + "measurepoint/post", POST)
    + publish(HOME + "measurepoint/post", POST, 0) + publish("a", b"", 2, 9) + number(0x62, 9) + packet(0xc0, b"") + packet(0xe0, b""),
    "java": connect(JAVA_ID),
    "old": connect(level=3, name="MQIsdp"),
    "five": connect(level=5),
    "will": connect(flags=0xf6, rest=text("a/b") + text("gone") + text("dk&pk") + text("x")),
    "again": connect() + publish("a", b"x", 2, 5) + publish("a", b"x", 2, 5, 8) + number(0x62, 5) + number(0x62, 5),
    "two": connect() + connect(),
    "filters": connect() + packet(0x82, struct.pack(">H", 2) + text("#") + b"\2" + text("+/a/#") + b"\0") + packet(0xa2, struct.pack(">H", 3) + text("#")),
    "answers": b"".join(number(first) for first in (0x40, 0x50, 0x62, 0x70, 0xb0)) + packet(0x20, b"\0\0") + packet(0x90, b"\0\7\1") + packet(0xd0, b""),
    "long": publish("t", b"x" * 300),
}

SUB = {"productKey": "p2", "deviceKey": "d2"}
FIVE = packet(0x10, text("MQTT") + bytes([5, 2]) + struct.pack(">H", 60) + b"\0" + text(ID))


def five(first, body, properties=b""):
    """A packet of version 5 whose properties stand behind its packet id."""
    return packet(first, body[:2] + varint(len(properties)) + properties + body[2:])


def codec():
    """The version (0: 3.1.1, 1: 5, 2: 3.1), then packets: talks, and all that tests/data holds."""
    for name, content in CODEC.items():
        yield name, b"\0" + content
    held = pathlib.Path(__file__).resolve().parent.parent / "data/mqtt-packets-1.txt"
    for line in held.read_text().splitlines():
        level, name, content = line.split()
        version = {"3": b"\2", "4": b"\0", "5": b"\1"}[level]
        yield f"golden-{level}-{name}", version + bytes.fromhex(content)
        if level == "5" and not name.startswith("connect"):
            yield f"after-{name}", version + FIVE + bytes.fromhex(content)
    number = struct.pack(">H", 7)
    yield "five", b"\1" + (FIVE + five(0x82, number + text("a/#") + b"\2", b"\x0b\x05") + packet(0x34, text("a/b") + number + b"\3\x23\0\1" + b"x")
                            + packet(0x34, text("") + struct.pack(">H", 8) + b"\3\x23\0\1" + b"y") + packet(0x62, number) + packet(0x50, b"\0\2")
                            + packet(0x70, b"\0\2") + five(0xa2, number + text("a/#")) + packet(0xe0, b"\4"))


PAYLOADS = {
    "post": (0, {"id": "1", "version": "1.0", "method": "m", "params": {"measurepoints": {
        "d": 1.5, "f": "2.5", "i": 3, "q": {"value": 1, "quality": 9}, "s": "x", "b": 1, "t": "2024-01-02T03:04:05Z", "e": "1", "l": [1, "2.5"],
        "m": {"x": 1}}, "time": 1700000000000}}),
    "batch": (1, {"id": 2, "skipInvalidMeasurepoints": "true", "params": [
        {"productKey": "", "deviceKey": "dk", "measurepoints": {"d": 1}, "time": 1.795395424824e+15}, {"measurepoints": {"no": 1}, "time": "1700000000.5"}]}),
    "resume": (2, {"params": {"measurepoints": {"d": -1}, "time": 0}}),
    "event": (4, {"id": "3", "params": {"events": {"n": 91.5}, "time": 1}}),
    "update": (5, {"id": "4", "params": {"attributes": {"a": "x", "b": {"x": 5}, "c": None}}}),
    "query": (6, {"id": "5", "params": {"attributes": ["a", "b"]}}),
    "delete": (7, {"id": "6", "params": {"attributes": []}}),
    "tags": (8, {"id": "7", "params": [{"tagKey": "a/b", "tagValue": 5}, {"tagKey": "c", "tagValue": "d"}]}),
    "tag_query": (9, {"params": {"tags": ["a"]}}),
    "model": (11, {"params": {}}),
    "log": (12, {"params": {"logs": {"level": "info", "content": "x"}, "time": 1}}),
    "network": (13, {"params": {"reportTime": 1, "rssi": -70}}),
    "picture": (14, {"params": {"isFull": True, "nodes": [{"nodeId": "a", "state": 1}], "relations": {"a": ["b"]}}}),
    "register": (15, {"params": [{"productKey": "p2", "deviceKey": "d2", "deviceName": {"defaultValue": "x", "i18nValue": {}}, "timezone": "+02:00"}]}),
    "add": (16, {"params": [dict(SUB, clientId="c", timestamp="1", signMethod="sha256", sign="ab")]}),
    "unbind": (17, {"params": [SUB]}),
    "topology": (18, {"params": []}),
    "login": (19, {"params": dict(SUB, clientId="c", timestamp=1, signmethod="hmacSha1", sign="ab", secureMode="3", cleanSession="true")}),
    "logins": (20, {"params": {"clientId": "login.batch", "timestamp": "1.5", "signMethod": "md5", "subDevices": [dict(SUB, sign="ab", secureMode=2)] * 3}}),
    "logout": (21, {"id": 5, "params": SUB}),
    "channel": (22, {"params": [{"deviceKey": "d2", "measurepoints": {"d": 1}, "time": 1}]}),
    "channel_events": (23, {"params": [{"deviceKey": "d2", "events": {"hot": {"n": 1}, "cold": {}}}]}),
    "channel_attributes": (24, {"params": [{"deviceKey": "d2", "attributes": {"a1": "x"}}]}),
    "inform": (25, {"id": "8", "params": {"version": 1.0}}),
    "progress": (26, {"id": "9", "params": {"step": "-3", "desc": "the digest does not fit"}}),
    "getversion": (27, {"id": "10", "params": {}}),
    "apply": (28, {"params": {"csr": "-----BEGIN CERTIFICATE REQUEST-----", "validDay": "90", "issueAuthority": "ECC"}}),
    "renew": (29, {"params": {"certSn": 32720, "validDay": 30}}),
    "clock": (30, {"id": 11, "deviceSendTime": "1571724098000"}),
    "config": (31, {"params": {}}),
    "configured": (32, {"id": 12, "params": {"reported": {"a": {"b": None}, "c": [1]}, "desiredVersion": "7", "replace": "true"}}),
    "answer": (33, {"id": "1700000000000", "code": "200", "data": {"n": 1}, "message": "ok"}),
}

TEXTS = ["null", "[]", "{}", "1", "-0.0", "1e308", "18446744073709551615", '"\\u00e4\\ud83d\\ude00"', '{"a":[1,2.5,"x",null,{"b":false}]}',
         "[[[[[]]]]]", '{"a":1,"a":2}', '"1.795395424824e+15"', '{"format":"tm/1","id":"m","name":"m","measurePoints":[{"id":"p","type":{"t":"double"}}]}']


FILTERS = ["name = 'a'", 'name like "pump%" and not exists(tags.k)', "size in (1, 2.5, -3e7) or size >= 4", "at > 1700000000000 and at <= '2023-11-14T22:13:20Z'",
           "(status = 'online' or status in ('offline')) and on = true", "roles != 'a''b'", "attributes.\"k\" not in (true, 'x', 1)",
           "not (note < 'x' and not tags.k like '%a\\%b')", "tags.k exists or name not exists", "-at,name,tags.\"a b\""]


WIRE = ({"asks", "command"}, {"answers", "reply"}, {"deliver", "close", "settle"}, {"published"}, {"wants"}, {"read"}, {"page", "no"})


def wire():
    """The messages between nodes that tests/data holds, each behind its sort."""
    held = pathlib.Path(__file__).resolve().parent.parent / "data/wire-1.txt"
    for line in held.read_text().splitlines():
        name, content = line.split()
        sort = next(i for i, names in enumerate(WIRE) if name.split("-")[0] in names)
        yield name, bytes([sort]) + bytes.fromhex(content)


def packed():
    """The payloads that tests/data holds as other programs pack them, each behind its form."""
    held = pathlib.Path(__file__).resolve().parent.parent / "data/payload-codec-1.txt"
    for line in held.read_text().splitlines():
        if not line.startswith("#"):
            form, name, _, _, content = line.split()
            sort = {"gzip": 1, "python": 1, "lz4": 2}.get(form, 3)
            yield f"{form}-{name}", bytes([sort]) + bytes.fromhex(content.strip("-"))


def scripts():
    """The bodies of functions that tests of scripts have: what they need, and what they do to others."""
    held = pathlib.Path(__file__).resolve().parent.parent / "transport/script_test.cpp"
    text = re.sub(r'"\s*\n\s*"', "", held.read_text())
    for i, body in enumerate(re.findall(r'(?:run|limited)\("((?:[^"\\]|\\.)*)"', text)):
        yield str(i), body.encode("latin-1", "replace").decode("unicode_escape").encode()
    yield "whole", re.search(r'meter = R"\((.*?)\)";', text, re.S).group(1).encode()


def frame(kind, body=b""):
    return struct.pack(">IB", len(body) + 1, kind) + body


GREETING = frame(1, b"ORLK" + struct.pack(">HHIQQIIB", 1, 2, 3, 4, 5, 1 << 24, 1 << 22, 6) + b"node-a")
LINKS = {
    "talk": GREETING + frame(3, b"\1hello") + frame(4, struct.pack(">I", 70)) + frame(5) + frame(3, b"\2" + b"x" * 300) + frame(3, b"\0"),
    "refusal": frame(2, b"not known"),
    "later": frame(1, GREETING[5:] + b"more"),
    "cut": frame(3, b"\1hello")[:-2],
    "long": b"\xff\xff\xff\xff\3",
    "none": frame(5) + b"\0\0\0\0",
}


def varint(n):
    out = b""
    while n > 0x7f:
        out, n = out + bytes([n & 0x7f | 0x80]), n >> 7
    return out + bytes([n])


def replica(sort, *fields):
    """A message between the replicas of shard 3: numbers, and bytes with their length before them."""
    return bytes([1, 3, sort]) + b"".join(varint(f) if isinstance(f, int) else varint(len(f)) + f for f in fields)


def log_frame(epoch, records):
    """As much of a frame as the outline of a log is made of."""
    return b"\1" + varint(epoch) + varint(2 * 1700000000000) + varint(records)


REPLICAS = {
    "append": replica(0, 5, 4, 9, 8, 2, 4, 10, log_frame(4, 1), 5, 13, log_frame(5, 3)),
    "nothing": replica(0, 5, 4, 9, 8, 0),
    "hole": replica(0, 5, 4, 9, 8, 1, 4, 12, log_frame(4, 1)),
    "round": replica(0, 5, 4, 2**64 - 1, 8, 1, 4, 1, log_frame(4, 2)),
    "done": replica(1, 5, 11, 77),
    "refused": replica(2, 6, 3),
    "begun": replica(3, 1, 5, 4, 9),
    "rows": replica(4, 1, 2, 1, 2, 0, b"key", b"value"),
    "ended": replica(5, 1, 2),
    "taken": replica(6, 1, 3, 1),
    "applied": replica(7, 5, 11),
}


def certificates():
    """As OpenSSL's tool makes them: requests and certificates, with both kinds of key, as PEM and DER."""
    with tempfile.TemporaryDirectory() as folder:
        for kind, key in (("ec", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("rsa", ["rsa:2048"])):
            for what, more in (("request", []), ("certificate", ["-x509", "-days", "3650"])):
                for form in ("PEM", "DER"):
                    out = pathlib.Path(folder) / "out"
                    subprocess.run(["openssl", "req", "-newkey", *key, "-nodes", "-keyout", f"{folder}/key", "-subj", "/O=Acme/CN=meter-1", "-outform", form,
                                    "-out", out, *more], check=True, capture_output=True)
                    yield f"{kind}-{what}-{form}", out.read_bytes()


TM = {"format": "tm/1", "id": "m", "validate": "mark", "tags": {"k": "v"}, "attributes": [{"id": "a", "required": True, "type": {"t": "string", "maxLength": 9}}],
      "measurePoints": [{"id": "p", "unit": "kW.h", "signal": "PI", "type": {"t": "double", "min": 0, "step": 0.5}},
                        {"id": "e", "writable": True, "type": {"t": "enum", "values": {"0": "off", "1": {"default": "on", "i18n": {"de": "an"}}}}},
                        {"id": "l", "type": {"t": "array", "maxItems": 3, "items": {"t": "int"}}},
                        {"id": "s", "type": {"t": "struct", "fields": [{"id": "x", "type": {"t": "date"}}]}}],
      "services": [{"id": "go", "input": [{"id": "n", "type": {"t": "int"}, "default": 1}]}], "events": [{"id": "hot", "output": []}]}
ENOS = {"thingModelId": "e", "thingModelName": {"defaultValue": "E", "i18nValue": {"de": "E"}}, "allowAdditionalAttribute": True, "parentThingModelId": "m",
        "inheritedMeasurepointIds": ["q"],
        "thingMeasurepointMap": {"p": {"$class": "a.b.DoubleMeasurepoint", "identifier": "p", "minimum": 0, "unit": {"unitId": "W", "multiplier": "KILO"}},
                                 "e": {"$class": "EnumMeasurepoint", "identifier": "e", "specsMap": {"0": "{\"defaultValue\":\"off\"}"}}},
        "thingServiceMap": {"s": {"identifier": "s", "inputData": [{"$class": "Int", "identifier": "n"}]}}}


def models():
    """Files of thing models: JSON, arrays and zips."""
    import io
    import zipfile
    yield "one", json.dumps(TM).encode()
    yield "rows", b'kind,id,name,name.de,type,min,enum,required,default\nattribute,a,"A, b",,string,,,true,"""x"""\nmeasurePoint,p,,P,enum,,0=off|1=on,,\nmeasurePoint,l,,,int[],,,,\n'
    yield "enos", json.dumps(ENOS).encode()
    yield "both", json.dumps([dict(TM, id="n", extends="e"), ENOS]).encode()
    for name, method in (("zip", zipfile.ZIP_DEFLATED), ("stored", zipfile.ZIP_STORED)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as packed:
            packed.writestr("m.json", json.dumps(TM))
            packed.writestr("e.json", json.dumps(ENOS))
        yield name, out.getvalue()


def seeds(target):
    if target == "model_import_fuzz":
        return dict(models())
    if target == "proxy_header_fuzz":
        addresses = bytes([192, 0, 2, 7, 10, 0, 0, 1]) + struct.pack(">HH", 4711, 1883)
        tls = b"\x20" + struct.pack(">H", 5) + b"\x01\0\0\0\0"
        head = b"\r\n\r\n\0\r\nQUIT\n"
        return {"line": b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 1883\r\n", "six": b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "unknown": b"PROXY UNKNOWN\r\n",
                "binary": head + b"\x21\x11" + struct.pack(">H", len(addresses)) + addresses, "local": head + b"\x20\0\0\0",
                "tls": head + b"\x21\x11" + struct.pack(">H", len(addresses + tls)) + addresses + tls,
                "binary-six": head + b"\x21\x21" + struct.pack(">H", 36) + bytes(36)}
    if target == "certificate_fuzz":
        return dict(certificates())
    if target == "file_link_fuzz":
        blob = b"\x05owner" + b"\x40" + b"a" * 64
        return {"token": b"\0AAAA", "range": b"\1bytes=1-2\n\"t\"", "suffix": b"\1bytes=-5", "question": b"\2\1\1\5" + blob + b"\0\x05\0",
                "answer": b"\2\1\xff\5\0\3\3abc", "list": b'\3"bytes":3,"count":1\na.' + b"0" * 64 + b" 3\n"}
    if target == "oidc_fuzz":
        key = {"kty": "EC", "crv": "P-256", "kid": "k", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
        described = {"issuer": "https://a.org", "authorization_endpoint": "https://a.org/a", "token_endpoint": "https://a.org/t", "jwks_uri": "https://a.org/k"}
        claims = {"iss": "https://a.org", "sub": "s", "aud": ["c", "d"], "azp": "c", "exp": 1700000300, "iat": 1.7e9, "nonce": "n", "a": "ada", "b": {"c": "Ada"},
                  "email": "a@a.org", "email_verified": True, "r": ["x", 1]}
        return {"token": b"\0eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.e30.AAAA", "keys": b"\1" + json.dumps({"keys": [key]}).encode(),
                "claims": b"\2" + json.dumps(claims).encode(), "url": b"\3https://a.org:8443/x?y", "loopback": b"\3http://127.0.0.1:80/",
                "description": b"\3" + json.dumps(described).encode(), "transaction": b'\3{"o":"a","p":"b","r":"c","s":"d","n":"e","v":"f","i":"g","e":1}'}
    if target == "replica_wire_fuzz":
        return REPLICAS
    if target == "filter_fuzz":
        return {str(i): t.encode() for i, t in enumerate(FILTERS)}
    if target == "actors_wire_fuzz":
        return dict(wire())
    if target == "payload_codec_fuzz":
        return dict(packed())
    if target == "script_fuzz":
        return dict(scripts())
    if target == "link_frame_fuzz":
        return LINKS
    if target == "mqtt_codec_fuzz":
        return dict(codec())
    if target == "mqtt_payload_fuzz":
        return {name: bytes([topic]) + json.dumps(value).encode() for name, (topic, value) in PAYLOADS.items()}
    return {str(i): t.encode() for i, t in enumerate(TEXTS)}


def main():
    target, folder = sys.argv[1:]
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in seeds(target).items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
