"""Firmware over the air: what devices report and are offered, and the jobs that offer it."""
import hashlib
import json
import unittest

from orrery import DEADLINE, Device, Node, NodeTest, sign, wait_for

FILE = b"a firmware"


class FirmwareTest(NodeTest):
    def setUp(self):
        self.made = self.api.post("~/products", {"name": f"Upgradable {self.id()}", "modelId": self.model()})
        self.pk = self.made["productKey"]

    def model(self):
        return self.api.get(f"~/products/{self.node.demo['productKey']}")["modelId"]

    def firmware(self, version="2.1.0", **more):
        return self.api.post("~/firmwares", dict({
            "productKey": self.pk, "name": f"Release {version}", "version": version, "signMethod": "md5", "sign": hashlib.md5(FILE).hexdigest(),
            "url": f"http://127.0.0.1:8080/firmware/{version}.bin", "size": len(FILE)}, **more))

    def register(self, key, **fields):
        return self.api.post("~/devices", dict({"productKey": self.pk, "deviceKey": key}, **fields))

    def log_in(self, made):
        device = Device(self.node, made["productKey"], made["deviceKey"], made["deviceSecret"])
        self.addCleanup(device.close)
        return device.connect()

    def inform(self, device, version, code=200, **more):
        reply = device.request("ota/device/inform", "ota.inform", {"version": version}, **more)
        self.assertEqual(reply["code"], code)
        self.assertEqual(reply["data"], {})

    def progress(self, device, step, desc="", code=200, **more):
        reply = device.request("ota/device/progress", "ota.progress", {"step": step, "desc": desc}, **more)
        self.assertEqual(reply["code"], code, reply)

    def getversion(self, device, **more):
        reply = device.request("ota/device/getversion", "Ota.device.getversion", {}, **more)
        self.assertEqual(reply["code"], 200)
        return reply["data"]

    def push(self, device, pk=None, dk=None):
        """The next push."""
        topic = f"/sys/{pk or device.pk}/{dk or device.dk}/ota/device/upgrade"
        while True:
            message = device.messages.get(timeout=DEADLINE)
            if message.topic == topic:
                return json.loads(message.payload)

    def no_push(self, device):
        """A request is answered after all that was sent before it."""
        self.getversion(device)
        self.assertTrue(device.messages.empty(), "a message that nobody expects")

    def job(self, firmware, *keys, **more):
        return self.api.post("~/otaJobs", dict({"productKey": self.pk, "firmware": firmware["id"], "devices": list(keys)}, **more))

    def task(self, job, key):
        return {t["deviceKey"]: t for t in self.api.get(f"~/otaJobs/{job['id']}/tasks")["items"]}[key]

    def counts(self, job):
        return self.api.get(f"~/otaJobs/{job['id']}")["counts"]


class Firmwares(FirmwareTest):
    def test_are_kept_with_their_product(self):
        one, two = self.firmware("1.0"), self.firmware("2.0", signMethod="sha256", sign=hashlib.sha256(FILE).hexdigest())
        self.assertEqual(self.api.get(f"~/firmwares/{one['id']}"), one)
        listed = self.api.get("~/firmwares", params={"productKey": self.pk})["items"]
        self.assertEqual({f["id"] for f in listed}, {one["id"], two["id"]})
        first = self.api.get("~/firmwares", params={"productKey": self.pk, "limit": 1})
        rest = self.api.get("~/firmwares", params={"productKey": self.pk, "limit": 1, "cursor": first["nextCursor"]})
        self.assertEqual(first["items"] + rest["items"], listed)
        again = dict({k: one[k] for k in ("productKey", "name", "version", "signMethod", "sign", "url", "size")})
        for changes, code in (({}, "version_exists"), ({"version": "3.0"}, "name_exists")):
            reply = self.api.request("POST", "~/firmwares", json=dict(again, **changes), expect=409)
            self.assertEqual(reply.json()["code"], code)
        reply = self.api.request("POST", "~/firmwares", json=dict(again, version="3.0", name="x", sign="ab"), expect=422).json()
        self.assertEqual((reply["code"], reply["errors"][0]["pointer"]), ("firmware_invalid", "sign"))
        self.api.request("POST", "~/firmwares", json={"productKey": self.pk}, expect=422)
        self.api.request("POST", "~/firmwares", json=dict(again, productKey="nobody"), expect=404)
        self.api.request("DELETE", f"~/firmwares/{one['id']}", expect=204)
        self.api.request("GET", f"~/firmwares/{one['id']}", expect=404)
        self.api.request("DELETE", f"~/firmwares/{one['id']}", expect=404)

    def test_a_version_is_told_to_the_feed(self):
        made = self.register("fed")
        stream = self.api.stream({"kind": "lifecycle", "filter": {"products": [self.pk]}})
        self.addCleanup(stream.close)
        device = self.log_in(made)
        self.inform(device, "1.0")
        self.inform(device, "1.0")
        self.inform(device, 2.0)
        items = [(i["event"], i["version"], i["before"]) for i in stream.items(2)]
        self.assertEqual(items, [("firmwareChanged", "1.0", ""), ("firmwareChanged", "2.0", "1.0")])
        shown = self.api.get(f"~/devices/{made['assetId']}/firmware")
        self.assertEqual((shown["version"], shown["upgrading"]), ("2.0", False))
        bad = device.request("ota/device/inform", "ota.inform", {})
        self.assertEqual(bad["code"], 1200)


class Upgrades(FirmwareTest):
    def test_one_that_upgrades_one_that_fails_one_that_declines(self):
        firmware = self.firmware()
        devices = {key: self.log_in(self.register(key)) for key in ("good", "bad", "proud")}
        for device in devices.values():
            self.inform(device, 1.0)
            self.assertEqual(self.getversion(device), [])
        self.progress(devices["good"], "10", code=764)
        self.register("silent")
        current = self.log_in(self.register("current"))
        self.inform(current, "2.1.0")
        job = self.job(firmware, "good", "bad", "proud", "silent", "current", "nobody")
        self.assertEqual((job["offered"], job["skipped"], job["unreached"]), (3, 3, 0))
        self.assertEqual({r["deviceKey"]: r.get("reason") for r in job["results"]}, {
            "good": None, "bad": None, "proud": None, "silent": "version_unknown", "current": "version_current", "nobody": "device_unknown"})
        for device in devices.values():
            push = self.push(device)
            self.assertEqual(push["method"], "ota.device.upgrade")
            self.assertRegex(push["id"], r"^\d{11,18}$")
            self.assertEqual(push["params"], {"version": "2.1.0", "signMethod": "md5", "sign": hashlib.md5(FILE).hexdigest(),
                                              "fileUrl": "http://127.0.0.1:8080/firmware/2.1.0.bin", "fileSize": len(FILE)})
            device.publish(f"/sys/{device.pk}/{device.dk}/ota/device/upgrade_reply", {"id": push["id"], "code": 200, "data": {}})
        self.assertEqual(self.counts(job), {"published": 3, "skipped": 3})
        good, bad, proud = devices.values()
        self.progress(good, "20", "downloading")
        self.progress(good, "15")
        task = self.task(job, "good")
        self.assertEqual((task["state"], task["phase"], task["progress"], task["step"]), ("upgrading", "downloading", 20, "15"))
        self.progress(good, 100)
        self.assertEqual(self.task(job, "good")["phase"], "rebooting")
        self.progress(bad, "-3", "the digest does not fit")
        task = self.task(job, "bad")
        self.assertEqual((task["state"], task["reason"], task["desc"]), ("failed", "verify", "the digest does not fit"))
        self.progress(bad, "10", code=764)
        self.progress(proud, "-5")
        self.assertEqual(self.task(job, "proud")["reason"], "declined")
        self.assertEqual(self.api.get(f"~/otaJobs/{job['id']}")["state"], "running")
        self.inform(good, "2.1.0")
        self.assertEqual(self.task(job, "good")["state"], "succeeded")
        shown = self.api.get(f"~/otaJobs/{job['id']}")
        self.assertEqual((shown["state"], shown["counts"]), ("completed", {"succeeded": 1, "failed": 2, "skipped": 3}))
        # Again, where it failed.
        got = self.api.post(f"~/otaJobs/{job['id']}/tasks:retry", {"devices": ["bad", "good"]})
        self.assertEqual([(r["deviceKey"], r["status"]) for r in got["results"]], [("bad", 200), ("good", 409)])
        self.push(bad)
        self.assertEqual(self.task(job, "bad")["attempt"], 2)
        got = self.api.post(f"~/otaJobs/{job['id']}/tasks:retry")
        self.assertEqual([r["deviceKey"] for r in got["results"]], ["proud"])
        self.push(proud)
        self.inform(proud, "2.1.0")
        self.inform(bad, "2.1.0")
        self.assertEqual(self.counts(job), {"succeeded": 3, "skipped": 3})
        pages, cursor = [], {}
        while True:
            page = self.api.get(f"~/otaJobs/{job['id']}/tasks", params=dict({"limit": 4}, **cursor))
            pages += [t["deviceKey"] for t in page["items"]]
            if "nextCursor" not in page:
                break
            cursor = {"cursor": page["nextCursor"]}
        self.assertEqual(pages, ["good", "bad", "proud", "silent", "current", "nobody"])

    def test_devices_that_ask(self):
        device = self.log_in(self.register("asks"))
        self.inform(device, "1.0")
        job = self.job(self.firmware(), "asks", deliver="pull")
        self.assertEqual(self.task(job, "asks")["state"], "pending")
        [offer] = self.getversion(device)
        self.assertEqual((offer["version"], offer["fileSize"]), ("2.1.0", len(FILE)))
        self.assertEqual(self.task(job, "asks")["state"], "published")
        self.inform(device, "2.1.0")
        self.assertEqual(self.getversion(device), [])

    def test_jobs_that_are_called_off(self):
        made = self.register("begun")
        begun = self.log_in(made)
        self.inform(begun, "1.0")
        away = self.register("away")
        firmware = self.firmware()
        job = self.job(firmware, "begun", "away", unknownVersion="include")
        self.push(begun)
        self.progress(begun, "1")
        busy = self.job(self.firmware("3.0"), "begun")
        self.assertEqual(busy["results"][0]["reason"], "upgrade_running")
        reply = self.api.request("POST", f"~/otaJobs/{job['id']}/tasks:cancel", json={"devices": ["other"]}, expect=404)
        self.assertEqual(reply.json()["code"], "task_unknown")
        got = self.api.post(f"~/otaJobs/{job['id']}/tasks:cancel", {"devices": ["begun"]})
        self.assertEqual(got["results"][0]["error"]["code"], "task_not_cancellable")
        self.api.request("POST", f"~/otaJobs/{job['id']}:cancel", json={"devices": ["away"]}, expect=400)
        got = self.api.request("POST", f"~/otaJobs/{job['id']}:cancel").json()
        self.assertEqual([r["deviceKey"] for r in got["results"]], ["away"])
        self.assertEqual(self.counts(job), {"upgrading": 1, "cancelled": 1})
        self.assertEqual(self.api.get(f"~/otaJobs/{job['id']}")["state"], "cancelled")
        for verb in ("cancel", "retry"):
            reply = self.api.request("POST", f"~/otaJobs/{job['id']}/tasks:{verb}", json={}, expect=409)
            self.assertEqual(reply.json()["code"], "job_not_running")
        device = self.log_in(away)
        self.progress(device, "5", code=765)
        self.no_push(device)
        self.inform(begun, "2.1.0")
        self.assertEqual(self.counts(job), {"succeeded": 1, "cancelled": 1})
        self.job(self.firmware("4.0"), "begun")
        self.assertEqual(self.counts(job), {"replaced": 1, "cancelled": 1})
        listed = self.api.get("~/otaJobs", params={"productKey": self.pk})["items"]
        self.assertEqual(len(listed), 3)
        for path in ("", "/tasks"):
            self.api.request("GET", f"~/otaJobs/nothing{path}", expect=404)
        for bad in ({"devices": []}, {"devices": ["a", "a"]}, {"upgradeTimeout": 299}, {"deliver": "never"}):
            self.api.request("POST", "~/otaJobs", json=dict({"productKey": self.pk, "firmware": firmware["id"], "devices": ["a"]}, **bad), expect=422)
        self.api.request("POST", "~/otaJobs", json={"productKey": self.pk, "firmware": "none", "devices": ["a"]}, expect=404)

    def test_behind_a_gateway(self):
        hub_product = self.api.post("~/products", {"name": f"Hubs of {self.id()}", "modelId": self.model(), "nodeType": "gateway"})
        hub_made = self.api.post("~/devices", {"productKey": hub_product["productKey"], "deviceKey": "hub"})
        leaf = self.register("leaf")
        self.api.post(f"~/devices/{hub_made['assetId']}/subDevices:bind", {"devices": [{"productKey": self.pk, "deviceKey": "leaf"}]})
        hub = self.log_in(hub_made)
        whose = (self.pk, "leaf")
        self.inform_refused(hub, whose)
        self.log_in_behind(hub, leaf)
        self.inform(hub, "1.0", whose=whose)
        job = self.job(self.firmware(), "leaf")
        self.assertEqual(self.push(hub, *whose)["params"]["version"], "2.1.0")
        self.progress(hub, "100", whose=whose)
        self.assertEqual(self.getversion(hub, whose=whose), [])
        self.inform(hub, "2.1.0", whose=whose)
        self.assertEqual(self.counts(job), {"succeeded": 1})

    def inform_refused(self, hub, whose):
        reply = hub.request("ota/device/inform", "ota.device.inform", {"version": "1"}, whose=whose)
        self.assertEqual(reply["code"], 1009)

    def log_in_behind(self, hub, made):
        client, stamp = made["deviceKey"], "1700000000500"
        reply = hub.request("combine/login", "combine.login", {
            "productKey": made["productKey"], "deviceKey": made["deviceKey"], "clientId": client, "timestamp": stamp, "signMethod": "sha256",
            "sign": sign(client, made["deviceKey"], made["productKey"], stamp, made["deviceSecret"])}, tree="ext/session")
        self.assertEqual(reply["code"], 200)


class Restart(unittest.TestCase):
    def test_what_was_pushed_is_not_pushed_again_and_what_waits_is(self):
        node = Node().start()
        self.addCleanup(node.close)
        api, pk = node.api(), node.demo["productKey"]
        keys = [d["deviceKey"] for d in node.demo["devices"][:2]]
        firmware = api.post("~/firmwares", {
            "productKey": pk, "name": "R", "version": "9", "sign": hashlib.sha256(FILE).hexdigest(), "url": "https://files.example/9", "size": 10})
        there = node.device(0).connect()
        self.assertEqual(there.request("ota/device/inform", "m", {"version": "8"})["code"], 200)
        job = api.post("~/otaJobs", {"productKey": pk, "firmware": firmware["id"], "devices": keys, "unknownVersion": "include"})
        topics = {key: f"/sys/{pk}/{key}/ota/device/upgrade" for key in keys}
        self.assertEqual(there.messages.get(timeout=DEADLINE).topic, topics[keys[0]])
        node.kill()
        there.close()
        node.start()
        back, late = node.device(0).connect(), node.device(1).connect()
        self.addCleanup(back.close)
        self.addCleanup(late.close)
        self.assertEqual(late.messages.get(timeout=DEADLINE).topic, topics[keys[1]])
        self.assertEqual(back.request("ota/device/getversion", "m", {})["data"], [])
        self.assertTrue(back.messages.empty(), "it was pushed in that attempt already")
        api = node.api()
        self.assertEqual(api.get(f"~/otaJobs/{job['id']}")["counts"], {"published": 2})
        self.assertEqual(back.request("ota/device/progress", "m", {"step": "50"})["code"], 200)
        self.assertEqual(back.request("ota/device/inform", "m", {"version": "9"})["code"], 200)
        wait_for(lambda: api.get(f"~/otaJobs/{job['id']}")["counts"] == {"published": 1, "succeeded": 1}, "the success to be counted")


if __name__ == "__main__":
    unittest.main()
