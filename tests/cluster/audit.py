"""What must be true of a cluster that has come to rest: all that was acknowledged is there, once and in order; all copies of a shard
show the same; no epoch had two primaries."""
import asyncio
import json
import time

from clients import ATTRIBUTE, EVENT, POINTS, STEP, kind_of
from linearizability import READ, Operation, violation
from world import until

AT_ONCE = 6  # requests


async def all_done(jobs):
    """Runs coroutines, some at a time; gives what they gave."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(job):
        async with gate:
            return await job

    return await asyncio.gather(*(one(job) for job in jobs))


class Audit:
    def __init__(self, world, load):
        self.world, self.load = world, load
        self.looked_at = {}  # device key -> number of the first message that was not there at the last look
        self.first = {}  # the same of the look before
        self.commands_done = set()
        self.lost = self.doubled = self.repeated = 0
        self.copies = 0
        self.leads = {}  # (shard, epoch) -> node
        self.log_places = {}
        self.errors = {}  # (unit, what) -> how often
        self.problems = []

    def problem(self, text):
        self.problems.append(text)

    # ---- what clients were told
    async def clients(self, whole=False):
        await all_done(self.device(d, 0 if whole else self.looked_at.get(d.key, 0)) for d in self.load.devices)
        await self.commands()
        await self.registered()
        await self.registers()
        self.first = {} if whole else self.looked_at
        self.looked_at = {d.key: d.next for d in self.load.devices}

    def compare(self, what, got, expected):
        """Numbers that must be the same, each once and in order."""
        if got == expected:
            return
        missing = sorted(set(expected) - set(got))
        self.lost += len(missing)
        self.doubled += len(got) - len(set(got))
        strange = sorted(set(got) - set(expected))
        if missing:
            self.problem(f"{what}: {len(missing)} lost: {missing[:8]}")
        elif strange:
            self.problem(f"{what}: never sent: {strange[:8]}")
        else:
            self.problem(f"{what}: doubles or disorder: {len(got)} rows of {len(expected)}")

    async def history(self, device, point, since):
        rows = await self.load.all_of(f"~/devices/{device.asset}/points/{point}/history?from={device.base + since * STEP}&timeFormat=ms", 10_000)
        return [(row["time"], row["value"]) for row in rows]

    async def device(self, device, since):
        expected = range(since, device.next)
        for point, factor in (("n", 1), ("half", 0.5)):
            rows = await self.history(device, point, since)
            numbers = [(at - device.base) // STEP for at, _ in rows]
            self.compare(f"{device.key}, history of {point}", numbers, [n for n in expected if kind_of(n) == POINTS])
            wrong = [(n, value) for n, (_, value) in zip(numbers, rows) if value != n * factor]
            if wrong:
                self.problem(f"{device.key}, history of {point}: wrong values: {wrong[:8]}")
        events = await self.load.all_of(f"~/devices/{device.asset}/events?from={device.base + since * STEP}")
        numbers = []
        for number in sorted(e["output"]["number"] for e in events):
            if number in numbers[-1:]:
                # An event has no key: what the client sends again, or its node asks again after the loss of
                # another one, may be there again. At least once is what is promised.
                self.repeated += 1
            else:
                numbers.append(number)
        self.compare(f"{device.key}, events", numbers, [n for n in expected if kind_of(n) == EVENT])
        changes = [n for n in range(device.next) if kind_of(n) == ATTRIBUTE]
        last = (await self.load.must("GET", f"~/devices/{device.asset}/attributes")).get("last")
        if last != (changes[-1] if changes else None):
            self.problem(f"{device.key}: the attribute changed by the device is {last}, not {changes[-1:]}")

    async def commands(self):
        """All that were accepted are in the log once, and come to an end; what succeeded was carried out, in order."""
        for number in sorted(set(self.load.commands) - self.commands_done):
            device, id = self.load.commands[number]

            async def ended():
                command = await self.load.must("GET", f"~/commands/{id}")
                return command if command["state"] not in ("queued", "sent") else None

            try:
                command = await until(ended, f"command {number} of {device.key} comes to an end", 60)
            except TimeoutError as e:
                self.problem(str(e))
                continue
            except AssertionError as e:
                self.lost += 1
                self.problem(f"command {number} of {device.key}: {e}")
                continue
            if command["id"] != id or command["input"] != {"number": number}:
                self.problem(f"command {number} is {command}")
            if command["state"] == "succeeded" and number not in device.commands:
                self.problem(f"command {number} of {device.key} succeeded and never came")
            if command["state"] not in ("succeeded", "timeout"):
                self.problem(f"command {number} of {device.key} is {command['state']}")
            self.load.count["commands " + command["state"]] += 1
            self.commands_done.add(number)
        for device in self.load.devices:
            log = []

            async def all_ended():  # those of unknown outcome too: nothing is to change any more
                log[:] = await self.load.all_of(f"~/devices/{device.asset}/commands")
                return not any(c["state"] in ("queued", "sent") for c in log)

            try:
                await until(all_ended, f"all commands of {device.key} come to an end", 30)
            except TimeoutError as e:
                self.problem(f"{e}: {[c for c in log if c['state'] in ('queued', 'sent')][:3]}")
            listed = [c["input"]["number"] for c in log]
            twice = sorted(n for n in set(listed) if listed.count(n) > 1)
            if twice:
                self.doubled += len(twice)
                self.problem(f"{device.key}: commands are in the log twice: {twice}")
            accepted = {n for n, (d, _) in self.load.commands.items() if d is device}
            if accepted - set(listed):
                self.lost += len(accepted - set(listed))
                self.problem(f"{device.key}: accepted commands are not in the log: {sorted(accepted - set(listed))}")
            strange = {n for n in listed if self.load.commands_tried.get(n) is not device}
            if strange:
                self.problem(f"{device.key}: commands that nobody gave: {sorted(strange)}")

    async def registered(self):
        """Devices that were registered are there, each once."""
        found = await self.load.all_of("~/devices?productKey=fault")
        keys = [d["deviceKey"] for d in found]
        ids = {d["deviceKey"]: d["assetId"] for d in found}
        if len(set(keys)) != len(keys):
            self.doubled += len(keys) - len(set(keys))
            self.problem(f"devices are there twice: {sorted(k for k in set(keys) if keys.count(k) > 1)}")
        lost = sorted(k for k, id in self.load.made.items() if ids.get(k) != id)
        if lost:
            self.lost += len(lost)
            self.problem(f"registered devices are not there: {lost[:8]}")
        if set(keys) - self.load.tried:
            self.problem(f"devices that nobody registered: {sorted(set(keys) - self.load.tried)[:8]}")

        async def by_key(key):
            got = await self.load.must("GET", f"~/products/fault/devices/{key}")
            if got["assetId"] != self.load.made[key]:
                self.problem(f"{key} leads to {got['assetId']}, not to {self.load.made[key]}")

        await all_done(by_key(key) for key in sorted(self.load.made)[-50:])

    async def registers(self):
        async def read(register, n):
            http, start = self.load.http(n), time.monotonic()
            status, reply = await http.once("GET", "/api/v1" + register.path().replace("~", "/orgs/-"))
            if status != 200:
                self.problem(f"node {n} does not serve a read at rest: {status} {reply}")
                return
            register.history.append(Operation(READ, register.value(reply), start, time.monotonic(), f"the audit at node {n}"))

        await all_done(read(r, n) for r in self.load.registers for n in range(1, self.world.nodes + 1))
        for register in self.load.registers:
            why = violation(register.history)
            if why:
                self.problem(f"register {register.asset} ({register.place}): {why}")

    # ---- copies
    async def shown(self, whole=False):
        """All that reads show, by device."""
        found = await self.load.all_of("~/devices?productKey=fault")

        async def one(asset, since, device):
            path = f"~/devices/{asset}"
            got = {"device": await self.load.must("GET", path)}
            if device is not None:
                got["latest"] = [{k: v for k, v in p.items() if k != "ageMs"} for p in (await self.load.must("GET", path + "/points/latest"))["items"]]
                got["commands"] = await self.load.all_of(path + "/commands")
                got["events"] = await self.load.all_of(f"{path}/events?from={device.base + since * STEP}")
                got["history"] = [await self.history(device, point, since) for point in ("n", "half")]
            return asset, got

        devices = {d.asset: d for d in self.load.devices}
        return dict(await all_done(one(d["assetId"], 0 if whole else self.first.get(devices[d["assetId"]].key, 0) if d["assetId"] in devices else 0,
                                       devices.get(d["assetId"])) for d in found))

    def same(self, before, after, what):
        self.copies += 1
        for asset in sorted(set(before) | set(after)):
            if asset not in before or asset not in after:
                self.problem(f"{what}: {asset} is {'not there any more' if asset in before else 'there now'}")
                continue
            for part in before[asset]:
                a, b = (json.dumps(v[asset][part], sort_keys=True) for v in (before, after))
                if a != b:
                    at = next((i for i in range(min(len(a), len(b))) if a[i] != b[i]), min(len(a), len(b)))
                    self.problem(f"{what}: {asset}: {part} differs: ...{a[max(0, at - 80):at + 80]} became ...{b[max(0, at - 80):at + 80]}")

    # ---- logs
    def logs(self):
        for n in range(1, self.world.nodes + 1):
            path = self.world.folder / f"node-{n}.log"
            with open(path, "rb") as file:
                file.seek(self.log_places.get(n, 0))
                text = file.read()
            whole = text[:text.rfind(b"\n") + 1]
            self.log_places[n] = self.log_places.get(n, 0) + len(whole)
            for line in whole.splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    self.problem(f"node {n}: a line of its log is no JSON: {line[:200]!r}")
                    continue
                if entry.get("unit") == "cluster" and entry.get("what") == "leads":
                    led = (entry["shard"], entry["epoch"])
                    if led in self.leads:
                        self.problem(f"shard {led[0]} was led twice in epoch {led[1]}: by node {self.leads[led]} and node {n}")
                    self.leads[led] = n
                if entry.get("level") == "error":
                    key = (entry["unit"], entry["what"])
                    self.errors[key] = self.errors.get(key, 0) + 1
