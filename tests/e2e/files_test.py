"""Files of devices: asked for by topic or by an application, put and got by links that need no login."""
import base64
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse

import requests

from api_kit import refused
from cluster_kit import ClusterTest
from gateway_test import GatewayTest
from orrery import BIN, DEADLINE, Device, Node, NodeTest, wait_for

TEXT = b"0123456789"


def at(node, url, tls=False):
    """The link as it is reached from here: it names the machine."""
    parts = urllib.parse.urlsplit(url)
    host, scheme, name = getattr(node, "host", "127.0.0.1"), *(("https", "https") if tls else ("http", "http"))
    return urllib.parse.urlunsplit((scheme, f"{host}:{node.ports[name]}", parts.path, "", ""))


def put(node, url, data, tls=False, **more):
    return requests.put(at(node, url, tls), data=data, timeout=DEADLINE, verify=node.ca if tls else True,
                        headers={"Content-Type": "application/octet-stream", **more})


def get(node, url, method="GET", tls=False, **more):
    return requests.request(method, at(node, url, tls), timeout=DEADLINE, headers=more, verify=node.ca if tls else True)


class FileKit:
    def offered(self, device, data=TEXT, code=200, name="photo.jpg", whose=None, **more):
        reply = device.request("thing/file/upload", "thing.file.upload", dict({"filename": name, "fileLength": str(len(data))}, **more), whose=whose)
        self.assertEqual(reply["code"], code, reply)
        return reply["data"]

    def download(self, device, uri, code=200, **more):
        reply = device.request("thing/file/download", "thing.file.download", {"fileUri": uri}, **more)
        self.assertEqual(reply["code"], code, reply)
        return reply["data"]

    def stored(self, node, device, data=TEXT, **more):
        offer = self.offered(device, data, **more)
        reply = put(node, offer["uploadUrl"], data)
        self.assertEqual(reply.status_code, 201, reply.text)
        return offer["fileUri"]


class Files(FileKit, NodeTest):
    settings = ("files.max_file_bytes=8MiB", "files.max_files=6", "files.max_bytes=16MiB")

    def setUp(self):
        made = self.api.post("~/devices", {"productKey": self.node.demo["productKey"], "deviceKey": self.id().split(".")[-1][:60]})
        self.path, self.asset = f"~/devices/{made['assetId']}/files", made["assetId"]
        self.device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"]).connect()
        self.addCleanup(self.device.close)

    def refuses(self, reply, status, reason):
        self.assertEqual((reply.status_code, reply.json().get("reason")), (status, reason), reply.text)
        self.assertEqual(reply.json()["code"], status)

    def test_a_device_puts_a_file_and_gets_it_back(self):
        offer = self.offered(self.device, md5=hashlib.md5(TEXT).hexdigest().upper(), sha256=hashlib.sha256(TEXT).hexdigest())
        self.assertRegex(offer["fileUri"], r"^enos-connect://[0-9a-f]{16}\.jpg$")
        self.assertEqual((offer["filename"], offer["headers"]), ("photo.jpg", {}))
        self.assertTrue(offer["uploadUrl"].startswith("https://"), offer)
        self.assertEqual(urllib.parse.urlsplit(offer["uploadUrl"]).port, self.node.ports["https"])
        self.assertEqual(self.api.get(self.path)["items"][0]["status"], "pending")
        self.download(self.device, offer["fileUri"], code=1200)  # it has not come
        reply = put(self.node, offer["uploadUrl"], TEXT, tls=True)
        self.assertEqual(reply.status_code, 201, reply.text)
        self.assertEqual(reply.json()["data"]["fileUri"], offer["fileUri"])
        self.refuses(put(self.node, offer["uploadUrl"], TEXT), 409, "file_stored")
        told = self.download(self.device, offer["fileUri"])
        self.assertEqual((told["fileLength"], told["sha256"], told["md5"]), (10, hashlib.sha256(TEXT).hexdigest(), hashlib.md5(TEXT).hexdigest()))
        got = get(self.node, told["downloadUrl"], tls=True)
        self.assertEqual((got.status_code, got.content), (200, TEXT))
        self.assertEqual(got.headers["ETag"], f'"{hashlib.sha256(TEXT).hexdigest()}"')
        self.assertIn("photo.jpg", got.headers["Content-Disposition"])
        # A value that names the file is a text as any other.
        reply = self.device.request("thing/file/delete", "thing.file.delete", {"fileUri": offer["fileUri"]})
        self.assertEqual((reply["code"], reply["data"]), (200, {}))
        self.refuses(get(self.node, told["downloadUrl"]), 404, "file_unknown")
        self.download(self.device, offer["fileUri"], code=1200)
        self.assertEqual(self.api.get(self.path)["items"], [])

    def test_parts_of_a_file(self):
        url = self.download(self.device, self.stored(self.node, self.device))["downloadUrl"]
        for asked, status, content, shown in (
                ("bytes=2-4", 206, b"234", "bytes 2-4/10"), ("bytes=7-", 206, b"789", "bytes 7-9/10"), ("bytes=-2", 206, b"89", "bytes 8-9/10"),
                ("bytes=5-99", 206, b"56789", "bytes 5-9/10"), ("bytes=0-1,3-4", 200, TEXT, None), ("lines=1", 200, TEXT, None)):
            got = get(self.node, url, Range=asked)
            self.assertEqual((got.status_code, got.content, got.headers.get("Content-Range")), (status, content, shown), asked)
            self.assertEqual(got.headers["Content-Length"], str(len(content)))
            self.assertNotIn("Transfer-Encoding", got.headers)
        got = get(self.node, url, Range="bytes=10-")
        self.assertEqual((got.status_code, got.headers["Content-Range"]), (416, "bytes */10"))
        whole = get(self.node, url)
        tag, changed = whole.headers["ETag"], whole.headers["Last-Modified"]
        self.assertEqual(whole.headers["Accept-Ranges"], "bytes")
        for condition, status in ((tag, 206), (changed, 206), ('"other"', 200), ("Sun, 06 Nov 1994 08:49:37 GMT", 200)):
            self.assertEqual(get(self.node, url, Range="bytes=0-0", **{"If-Range": condition}).status_code, status, condition)
        self.assertEqual(get(self.node, url, **{"If-None-Match": tag}).status_code, 304)
        head = get(self.node, url, method="HEAD")
        self.assertEqual((head.status_code, head.content, head.headers["Content-Length"]), (200, b"", "10"))

    def test_links_are_good_for_one_thing(self):
        offer = self.offered(self.device)
        up = offer["uploadUrl"]
        stem, token = up.rsplit("/", 1)
        changed = token[:50] + ("A" if token[50] != "A" else "B") + token[51:]
        for bad in ("x", changed, token[:-1], token + "A", "A" * 5000):
            self.refuses(put(self.node, f"{stem}/{bad}", TEXT), 403, "link_invalid")
            self.refuses(get(self.node, f"{stem}/{bad}".replace("/u/", "/d/")), 403, "link_invalid")
        self.refuses(get(self.node, up.replace("/files/u/", "/files/d/")), 403, "link_invalid")
        self.assertEqual(get(self.node, up).status_code, 405)
        self.assertEqual(get(self.node, up.replace("/u/", "/x/")).status_code, 404)
        self.assertEqual(put(self.node, up, TEXT).status_code, 201)
        down = self.download(self.device, offer["fileUri"])["downloadUrl"]
        self.assertEqual(put(self.node, down, TEXT).status_code, 405)
        self.refuses(put(self.node, down.replace("/files/d/", "/files/u/"), TEXT), 403, "link_invalid")

    def test_what_comes_must_be_what_was_announced(self):
        offer = self.offered(self.device, md5="0" * 32)
        self.refuses(put(self.node, offer["uploadUrl"], TEXT), 422, "file_digest_wrong")
        offer = self.offered(self.device, sha256="0" * 64)
        self.refuses(put(self.node, offer["uploadUrl"], TEXT), 422, "file_digest_wrong")
        offer = self.offered(self.device)
        self.refuses(put(self.node, offer["uploadUrl"], TEXT[1:]), 422, "file_size_wrong")
        more = put(self.node, offer["uploadUrl"], TEXT + b"x")
        self.assertEqual((more.status_code, more.json()["code"]), (413, "too_large"))
        self.assertEqual(put(self.node, offer["uploadUrl"], iter([TEXT[:4], TEXT[4:]])).status_code, 201)  # chunked; a failed try takes nothing away
        empty = self.stored(self.node, self.device, b"", name="empty")
        self.assertEqual(get(self.node, self.download(self.device, empty)["downloadUrl"]).content, b"")
        names = os.listdir(self.node.data / "blobs")
        self.assertEqual([n for n in names if n.startswith("incoming")], [])
        self.assertEqual(len([n for n in names if n.startswith(self.asset)]), 2)

    def test_a_large_file_goes_in_pieces(self):
        data = os.urandom(8 * 1024 * 1024)
        uri = self.stored(self.node, self.device, data, name="large.bin")
        url = self.download(self.device, uri)["downloadUrl"]
        self.assertEqual(get(self.node, url).content, data)
        self.assertEqual(get(self.node, url, tls=True).content, data)
        self.assertEqual(get(self.node, url, Range="bytes=5000000-5999999").content, data[5000000:6000000])
        self.offered(self.device, b"x" * (8 * 1024 * 1024 + 1), code=1008)

    def part(self, url, data, offset, method="PATCH"):
        return requests.request(method, at(self.node, url), data=data, timeout=DEADLINE, headers={"Upload-Offset": str(offset)})

    def test_an_upload_breaks_off_and_goes_on(self):
        data = os.urandom(3_000_000)
        url = self.offered(self.device, data, sha256=hashlib.sha256(data).hexdigest())["uploadUrl"]

        def here():
            head = self.part(url, None, 0, "HEAD")
            self.assertEqual((head.status_code, head.headers["Upload-Length"]), (204, str(len(data))), head.headers)
            return int(head.headers["Upload-Offset"])
        self.assertEqual(here(), 0)
        first = self.part(url, data[:1_000_000], 0)
        self.assertEqual((first.status_code, first.headers["Upload-Offset"]), (204, "1000000"), first.text)
        self.assertEqual(here(), 1_000_000)
        # The connection breaks in the middle of the second part: what came before counts.
        parts = urllib.parse.urlsplit(at(self.node, url))
        with socket.create_connection((parts.hostname, parts.port), timeout=DEADLINE) as broken:
            broken.sendall(f"PATCH {parts.path} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 1000000\r\nContent-Length: 2000000\r\n\r\n".encode() + data[1_000_000:1_700_000])
        wait_for(lambda: self.part(url, None, 0, "HEAD").headers.get("Upload-Offset", "0") > "1000000", "what has come is put aside")
        come = here()
        self.assertLessEqual(come, 1_700_000)
        wrong = self.part(url, data[:10], 0)
        self.refuses(wrong, 409, "offset_mismatch")
        self.assertEqual(wrong.headers["Upload-Offset"], str(come))
        self.refuses(self.part(url, data[:10], come + 1), 409, "offset_mismatch")
        self.assertEqual(here(), come)
        for bad in ("", "x", "-1", "1 2"):
            self.refuses(self.part(url, b"x", bad), 422, "offset_missing")
        self.assertEqual(self.node.metrics()["orrery_files_unfinished"], 1)
        last = self.part(url, data[come:], come)
        self.assertEqual(last.status_code, 201, last.text)
        self.assertEqual(last.headers["ETag"], '"%s"' % hashlib.sha256(data).hexdigest())
        self.assertEqual(here(), len(data))
        self.assertEqual(self.node.metrics()["orrery_files_unfinished"], 0)
        self.refuses(self.part(url, b"", len(data)), 409, "file_stored")
        self.assertEqual(get(self.node, self.download(self.device, last.json()["data"]["fileUri"])["downloadUrl"]).content, data)

    def test_a_part_too_much_or_of_other_bytes(self):
        offer = self.offered(self.device, sha256=hashlib.sha256(TEXT).hexdigest())
        url = offer["uploadUrl"]
        self.assertEqual(self.part(url, TEXT[:4], 0).status_code, 204)
        self.assertEqual(self.part(url, TEXT[4:] + b"x", 4).status_code, 413)
        self.assertEqual(self.part(url, b"other!", 4).json()["reason"], "file_digest_wrong")
        # It is begun anew: what came is not what was announced.
        self.assertEqual(self.part(url, None, 0, "HEAD").headers["Upload-Offset"], "0")
        self.assertEqual(self.part(url, TEXT, 0).status_code, 201)

    def test_what_has_come_in_part_goes_once_the_file_is_there_or_gone(self):
        unfinished = lambda: self.node.metrics()["orrery_files_unfinished"]
        before = unfinished()
        url = self.offered(self.device)["uploadUrl"]
        self.assertEqual(self.part(url, TEXT[:4], 0).status_code, 204)
        self.assertEqual(unfinished(), before + 1)
        self.assertEqual(put(self.node, url, TEXT).status_code, 201)
        self.assertEqual(unfinished(), before)
        made = self.api.post(self.path, {"filename": "gone.bin", "fileLength": 10})
        self.assertEqual(self.part(made["uploadUrl"], TEXT[:4], 0).status_code, 204)
        self.assertEqual(unfinished(), before + 1)
        self.api.request("DELETE", f"{self.path}/{made['id']}")
        self.refuses(self.part(made["uploadUrl"], TEXT[4:], 4), 404, "file_unknown")
        self.assertEqual(unfinished(), before)

    def test_another_link_for_what_has_not_come(self):
        made = self.api.post(self.path, {"filename": "late.bin", "fileLength": 10})
        one = f"{self.path}/{made['id']}"
        self.assertEqual(self.part(made["uploadUrl"], TEXT[:5], 0).status_code, 204)
        again = self.api.post(f"{one}:uploadLink")
        self.assertEqual(self.part(again["uploadUrl"], TEXT[5:], 5).status_code, 201)
        refused(self, self.api, "POST", f"{one}:uploadLink", 409, "file_stored", json={})
        refused(self, self.api, "POST", f"{self.path}/0123456789abcdef:uploadLink", 404, "file_unknown", json={})

    def test_there_is_room_for_so_many(self):
        for _ in range(6):
            self.offered(self.device)
        self.offered(self.device, code=1200)
        one = self.api.get(self.path)["items"][0]
        self.api.request("DELETE", f"{self.path}/{one['id']}")
        self.offered(self.device)

    def test_what_cannot_be_read_is_refused(self):
        for bad in ({"filename": ""}, {"filename": 5}, {"fileLength": "x"}, {"fileLength": -1}, {"md5": "x"}, {"sha256": "0" * 32}, {"filename": "a\nb"}):
            reply = self.device.request("thing/file/upload", "thing.file.upload", dict({"filename": "a", "fileLength": 1}, **bad))
            self.assertEqual(reply["code"], 1200, (bad, reply))
        for uri in (None, "", "x", "enos-connect://", "enos-connect://../../etc", "enos-connect://0123456789abcdef"):
            self.download(self.device, uri, code=1200)
        for path in ("upload", "download", "delete"):
            self.assertEqual(self.device.request(f"thing/file/{path}", "m", {"fileUri": "enos-connect://0123456789abcdef", "filename": "a", "fileLength": 1},
                                                 whose=(self.device.pk, self.node.demo["devices"][0]["deviceKey"]))["code"], 1009)

    def test_applications_have_the_same(self):
        made = self.api.post(self.path, {"filename": "map \u00e4.bin", "fileLength": 10, "sha256": hashlib.sha256(TEXT).hexdigest()})
        one = f"{self.path}/{made['id']}"
        refused(self, self.api, "POST", f"{one}:link", 409, "file_pending", json={})
        self.assertEqual(put(self.node, made["uploadUrl"], TEXT).status_code, 201)
        known = self.api.get(one)
        self.assertEqual((known["status"], known["md5"]), ("stored", hashlib.md5(TEXT).hexdigest()))
        moved = self.api.request("GET", f"{one}/content", expect=307, allow_redirects=False)
        self.assertEqual(get(self.node, moved.headers["Location"]).content, TEXT)
        link = self.api.post(f"{one}:link")
        self.assertIn("map%20%C3%A4.bin", get(self.node, link["downloadUrl"]).headers["Content-Disposition"])
        self.assertEqual(get(self.node, self.download(self.device, known["fileUri"])["downloadUrl"]).content, TEXT)
        refused(self, self.api, "POST", self.path, 413, "file_too_large", json={"filename": "a", "fileLength": 2 ** 40})
        refused(self, self.api, "POST", self.path, 422, "validation_failed", json={"filename": "a"})
        self.api.request("DELETE", one)
        refused(self, self.api, "GET", one, 404, "file_unknown")
        refused(self, self.api, "DELETE", one, 404, "file_unknown")
        refused(self, self.api, "GET", f"{one}/content", 404, "file_unknown")

    def test_the_command_line_has_them_too(self):
        orrery = lambda *arguments: subprocess.run(
            [BIN / "orrery", "--server", f"http://127.0.0.1:{self.node.ports['api']}", "--api-key", self.node.demo["apiKey"], "--ca", self.node.ca,
             "--output", "json", "file", *arguments], capture_output=True, timeout=DEADLINE)
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "map.bin"
            source.write_bytes(TEXT)
            made = orrery("put", self.asset, str(source))
            self.assertEqual(made.returncode, 0, made.stderr)
            self.assertEqual(json.loads(made.stdout)["status"], "stored")
            listed = json.loads(orrery("ls", self.asset).stdout)
            self.assertEqual([f["filename"] for f in listed], ["map.bin"])
            self.assertEqual(orrery("get", self.asset, listed[0]["id"]).stdout, TEXT)
            self.assertEqual(orrery("get", self.asset, listed[0]["id"], "-o", f"{folder}/back").returncode, 0)
            self.assertEqual((pathlib.Path(folder) / "back").read_bytes(), TEXT)
            self.assertEqual(orrery("rm", self.asset, listed[0]["id"]).returncode, 0)
            self.assertEqual(json.loads(orrery("ls", self.asset).stdout), [])

    def test_figures(self):
        before = self.node.metrics()
        self.stored(self.node, self.device)
        now = self.node.metrics()
        for name, more in (("orrery_files_uploads_total", 1), ("orrery_files_received_bytes_total", 10), ("orrery_blobs", 1), ("orrery_blobs_bytes", 10)):
            self.assertEqual(now[name] - before[name], more, name)


class OfAnOrganisation(FileKit, NodeTest):
    """Its files are found over all devices, and have a limit together."""

    def setUp(self):
        self.admin = self.node.api(self.api.post("/auth/login", {"user": "admin", "password": (self.node.data / "admin-password").read_text().strip()})["access"])
        self.devices = [self.api.post("~/devices", {"productKey": self.node.demo["productKey"], "tags": {"of": self._testMethodName}}) for _ in range(3)]
        self.filter = f"tags.of = '{self._testMethodName}'"

    def add(self, which, size, expect=None, name="a.bin"):
        path = f"~/devices/{self.devices[which]['assetId']}/files"
        return self.api.request("POST", path, expect=expect, json={"filename": name, "fileLength": size})

    def is_added(self, which, size):
        path = f"{self.api.base}{self.api.org}/devices/{self.devices[which]['assetId']}/files"
        reply = self.api.session.post(path, json={"filename": "a.bin", "fileLength": size}, timeout=DEADLINE)
        self.assertIn(reply.status_code, (201, 429, 503), reply.text)
        return reply.status_code == 201

    def limit(self, **limits):
        self.admin.request("PUT", "/orgs/-/quotas", json={"items": [dict({"item": "fileBytes"}, **limits)] if limits else []})

    def used(self):
        return {q["item"]: q["used"] for q in self.api.get("~/quotas")["items"]}["fileBytes"]

    def test_all_are_found(self):
        names = {self.add(n % 3, 1, name=f"{n}.bin").json()["filename"]: n % 3 for n in range(11)}
        for limit in (1, 2, 4, 5, 50):
            found, cursor = [], None
            while True:
                page = self.api.get("~/files", params=dict({"filter": self.filter, "limit": limit}, **({"cursor": cursor} if cursor else {})))
                self.assertLessEqual(len(page["items"]), limit)
                found += page["items"]
                cursor = page.get("nextCursor")
                if not cursor:
                    break
            self.assertEqual({f["filename"]: f["assetId"] for f in found}, {name: self.devices[n]["assetId"] for name, n in names.items()})
            self.assertEqual(len(found), 11, "none twice")
        self.assertEqual(len(self.api.get("~/files", params={"filter": self.filter, "status": "pending"})["items"]), 11)
        self.assertEqual(self.api.get("~/files", params={"filter": self.filter, "status": "stored"})["items"], [])
        self.assertEqual([d["assetId"] for d in self.api.post("~/devices/search", {"filter": f"{self.filter} and fileBytes = 3"})["items"]],
                         [self.devices[2]["assetId"]])
        one = self.api.get("~/files", params={"filter": self.filter})["items"][0]
        self.api.request("DELETE", f"~/devices/{one['assetId']}/files/{one['id']}")
        self.assertEqual(len(self.api.get("~/files", params={"filter": self.filter})["items"]), 10)
        self.api.request("DELETE", f"~/devices/{self.devices[0]['assetId']}")
        self.assertNotIn(self.devices[0]["assetId"], [f["assetId"] for f in self.api.get("~/files", params={"filter": self.filter})["items"]])

    def test_questions_are_checked(self):
        refused(self, self.api, "GET", "~/files?status=there", 400, "malformed")
        refused(self, self.api, "GET", "~/files?filter=nothing%20%3D%201", 400, "bad_filter")
        refused(self, self.api, "GET", "~/files?cursor=x", 400, "bad_cursor")

    def test_they_have_a_limit_together(self):
        self.addCleanup(self.limit)
        before = self.used()
        self.add(0, 1000)
        self.assertEqual(self.used(), before + 1000)
        self.limit(soft=before + 1500, hard=before + 3000)
        wait_for(lambda: self.is_added(1, 0), "they are counted")
        self.assertNotIn("X-Quota-Warning", self.add(1, 500).headers)
        self.assertRegex(self.add(1, 1000).headers["X-Quota-Warning"], rf"^fileBytes; used={before + 2500}; soft={before + 1500}; hard={before + 3000}$")
        body = refused(self, self.api, "POST", f"~/devices/{self.devices[2]['assetId']}/files", 429, "quota_exceeded", json={"filename": "b", "fileLength": 501})
        self.assertIn(str(before + 3000), body["detail"])
        made = self.devices[2]
        device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"]).connect()
        self.addCleanup(device.close)
        reply = device.request("thing/file/upload", "thing.file.upload", {"filename": "b", "fileLength": 501})
        self.assertNotEqual(reply["code"], 200)
        self.add(2, 500)
        for f in self.api.get("~/files", params={"filter": self.filter})["items"]:
            self.api.request("DELETE", f"~/devices/{f['assetId']}/files/{f['id']}")
        self.assertEqual(self.used(), before)
        wait_for(lambda: self.is_added(2, 3000), "what was deleted is room again", 40)


class OfSubDevices(FileKit, GatewayTest):
    def test_a_gateway_has_the_files_of_its_sub_devices(self):
        sub = self.sub("with-files")
        whose = (sub["productKey"], sub["deviceKey"])
        self.gateway.client.subscribe(f"/sys/{whose[0]}/{whose[1]}/#", 1)
        self.gateway.subscribed.get(timeout=DEADLINE)
        self.offered(self.gateway, whose=whose, code=1009)
        self.add(sub)
        self.offered(self.gateway, whose=whose, code=1009)  # it is not logged in
        self.login(sub)
        uri = self.stored(self.node, self.gateway, whose=whose)
        url = self.download(self.gateway, uri, whose=whose)["downloadUrl"]
        self.assertEqual(get(self.node, url).content, TEXT)
        self.download(self.gateway, uri, code=1200)  # not its own
        files = self.api.get(f"~/devices/{sub['assetId']}/files")["items"]
        self.assertEqual([f["fileUri"] for f in files], [uri])


class Time(FileKit, unittest.TestCase):
    def test_a_link_ends_and_a_restart_keeps_everything(self):
        with Node(settings=["files.link_lifetime=1s"]) as node:
            device = node.device().connect()
            offer = self.offered(device)
            wait_for(lambda: put(node, offer["uploadUrl"], TEXT).json().get("reason") in ("link_expired", "file_stored"), "the link's time is over")
            uri = self.stored(node, device, name="kept.txt")
            url = self.download(device, uri)["downloadUrl"]
            wait_for(lambda: get(node, url).json()["reason"] == "link_expired" if get(node, url).status_code == 403 else False, "the link's time is over")
            left = node.data / "blobs" / "incoming-7"
            left.write_bytes(b"half")
            device.close()
            node.kill()
            node.start()
            self.assertFalse(left.exists())
            device = node.device().connect()
            self.addCleanup(device.close)
            self.assertEqual(get(node, self.download(device, uri)["downloadUrl"]).content, TEXT)


class Sweeping(FileKit, NodeTest):
    def test_contents_of_no_file_go_and_others_stay(self):
        """A node looks at what it keeps every minute, at what is older than an hour."""
        device = self.node.device().connect()
        self.addCleanup(device.close)
        kept, gone = self.stored(self.node, device, b"kept"), self.stored(self.node, device, b"gone")
        self.assertEqual(device.request("thing/file/delete", "m", {"fileUri": gone})["code"], 200)
        other = self.api.post("~/devices", {"productKey": device.pk})
        file = self.api.post(f"~/devices/{other['assetId']}/files", {"filename": "a", "fileLength": 1})
        self.assertEqual(put(self.node, file["uploadUrl"], b"a").status_code, 201)
        self.api.request("DELETE", f"~/devices/{other['assetId']}")
        folder = self.node.data / "blobs"
        self.assertEqual(len(list(folder.iterdir())), 3)
        stranger = folder / f"{other['assetId']}.{'0' * 64}"
        stranger.write_bytes(b"of a crash")
        long_ago = time.time() - 7200
        for one in folder.iterdir():
            os.utime(one, (long_ago, long_ago))
        wait_for(lambda: len(list(folder.iterdir())) == 1, "what belongs to no file is gone", 150)
        self.assertEqual(get(self.node, self.download(device, kept)["downloadUrl"]).content, b"kept")
        self.assertEqual(self.node.metrics()["orrery_files_swept_total"], 3)


class Cluster(FileKit, ClusterTest):
    def test_bytes_are_everywhere_and_outlive_a_node(self):
        self.wait_whole()
        data = os.urandom(700_000)
        device = self.connected(self.node(1), 0)
        uri = self.stored(self.node(1), device, data)
        url = self.download(device, uri)["downloadUrl"]
        for n in (1, 2, 3):
            self.assertEqual(get(self.node(n), url).content, data, n)
        other = self.offered(device, data)
        self.assertEqual(put(self.node(3), other["uploadUrl"], data[::-1]).status_code, 201)
        again = self.download(device, other["fileUri"])["downloadUrl"]
        # Whoever took it is gone with all that it has: others have it.
        self.kill(3)
        wait_for(lambda: get(self.node(2), again).status_code == 200, "the shard is served again", 60)
        for n in (1, 2):
            self.assertEqual(get(self.node(n), again).content, data[::-1])


if __name__ == "__main__":
    unittest.main()
