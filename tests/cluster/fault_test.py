#!/usr/bin/python3 -B
"""Three nodes and three members of etcd under load, and faults: processes are killed and stopped, networks cut, clocks turned, disks
slowed down, nodes drained. After each round all that was acknowledged must be there, each once, and on every copy.

The same seed gives the same settings and the same schedule. On failure the folder with all logs and data stays."""
import argparse
import asyncio
import collections
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import time

import world
from audit import Audit
from clients import Load
from faults import KINDS, NODES, back, rounds
from world import World, until

WHOLE = 90  # seconds in which a cluster must be whole again after the last fault has ended
SERVES = 30  # and in which all clients must be served again
STEADY = 2  # seconds of load in front of a fault


class Failed(Exception):
    pass


def settings(chance, factor):
    """Small limits: shards are copied, entities rest, and journals are cut within minutes."""
    durability = chance.choice(("replicated", "replicated", "sync"))
    retention = chance.choice(("1min", "3d"))
    return [f"cluster.replication_factor={factor}", f"cluster.durability={durability}", "storage.checkpoint_bytes=1MiB",
            f"storage.journal_retention={retention}", "storage.checkpoint_interval=1s", "entities.idle_timeout=2s",
            "commands.max_queued=1000", "storage.block_cache_bytes=32MiB", "storage.write_buffer_bytes=32MiB"]


class Run:
    def __init__(self, options, folder):
        self.options = options
        self.chance = random.Random(options.seed)
        self.factor = options.factor or self.chance.choice((2, 2, 3))
        sets = settings(self.chance, self.factor) + options.set
        print(f"seed {options.seed}: {' '.join(sets)}", flush=True)
        self.world = World(folder, sets)
        self.world.factor = self.factor
        self.done = collections.Counter()  # faults by kind
        self.longest = {}  # kind -> seconds without service: of a device, of a register
        self.rounds = 0

    async def all(self):
        begun = time.monotonic()
        await asyncio.to_thread(self.world.up)
        self.load = Load(self.world, self.options.rate)
        self.audit = Audit(self.world, self.load)
        await self.whole("after the start")
        await self.load.prepare(self.options.devices, self.options.registers)
        self.load.start()
        try:
            for number, plan in enumerate(rounds(self.chance, self.options.kinds, self.options.combine), 1):
                if number > self.options.rounds or (self.options.rounds == sys.maxsize and
                                                    time.monotonic() - begun > 60 * self.options.minutes - 30):
                    break
                await self.round(number, plan)
            print("at the end: all of it once more", flush=True)
            await self.look("at the end", whole=True)
            for n in NODES:
                await self.copies(n, whole=True)
        finally:
            await self.load.end()
        self.world.wanted.clear()
        await asyncio.to_thread(self.world.down)
        self.audit.logs()
        for n in NODES:
            code = self.world.started[f"node-{n}"].returncode
            if code != 0:
                self.audit.problem(f"node-{n} was told to end, and ended with {code}")
        self.judge("after the stop")

    async def round(self, number, plan):
        print(f"round {number}: {'; '.join((f'after {after} s ' if after else '') + str(fault) for after, fault in plan)}", flush=True)
        begun = time.monotonic()
        self.load.away = self.load.resting = False
        await self.served(f"before round {number}")
        await asyncio.sleep(STEADY)
        clients = [*self.load.devices, *self.load.registers]
        before = sum(self.load.count.values())
        for client in clients:
            client.gaps.begin()
        tasks = [asyncio.create_task(self.fault(after, fault)) for after, fault in plan]
        await asyncio.gather(*tasks)
        faults = time.monotonic()
        await self.served(f"in round {number}")
        served = time.monotonic()
        kind = plan[0][1].kind if len(plan) == 1 else "two at once"
        gaps = [max(c.gaps.end() for c in group) for group in (self.load.devices, self.load.registers)]
        self.longest[kind] = [max(a, b) for a, b in zip(gaps, self.longest.get(kind, (0, 0)))]
        await self.whole(f"in round {number}")
        whole = time.monotonic()
        await self.look(f"round {number}")
        looked = time.monotonic()
        await self.copies(number % 3 + 1)
        self.rounds += 1
        for _, fault in plan:
            self.done[fault.kind] += 1
        print(f"  {self.audit_line()}; longest without service: devices {gaps[0]:.1f} s, registers {gaps[1]:.1f} s; "
              f"served {served - faults:.1f} s after it, whole {whole - faults:.1f} s, looked {looked - whole:.1f} s, "
              f"copies {time.monotonic() - looked:.1f} s; {time.monotonic() - begun:.0f} s", flush=True)

    def audit_line(self):
        count = self.load.count
        return (f"acknowledged {count['points']} points, {count['attribute']} attributes, {count['event']} events, "
                f"{count['commands']} commands, {count['register writes']} registers, {count['devices registered']} devices")

    async def fault(self, after, fault):
        await asyncio.sleep(after)
        await fault.happen(self.world)

    async def served(self, when):
        """Every device and every register is served now."""
        before = [d.acknowledged for d in self.load.devices], [r.gaps.last for r in self.load.registers]

        def waiting():
            return ([d.key for d, b in zip(self.load.devices, before[0]) if d.acknowledged == b] +
                    [r.asset for r, b in zip(self.load.registers, before[1]) if r.gaps.last == b])

        async def all_served():
            return not waiting()

        await self.wait(all_served, lambda: f"{when}: served are all but {waiting()}", SERVES)

    async def wait(self, condition, what, limit):
        try:
            await until(condition, what, limit)
        except TimeoutError as e:
            self.audit.problem(str(e))
            self.judge("waiting")

    async def whole(self, when):
        last = None

        async def is_whole():
            nonlocal last
            last = await self.world.whole(self.factor)
            return last is None

        await self.wait(is_whole, lambda: f"{when}: the cluster is whole: {last}", WHOLE)

    async def look(self, when, whole=False):
        """With everybody at rest."""
        try:
            await self.load.rest()
            await self.audit.clients(whole)
        except (TimeoutError, AssertionError) as e:
            self.audit.problem(str(e))
        self.audit.logs()
        self.judge(when)

    async def copies(self, n, whole=False):
        """Shards move to another copy; it must show the same. With three copies it is the only one left; it cannot take anything
        then, but serves reads."""
        self.load.resting = self.load.away = True
        try:
            async def logged_out():
                found = await self.load.all_of("~/devices?productKey=fault&status=online")
                return not found

            await until(logged_out, "all devices are offline", 30)
            before = await self.audit.shown(whole)
            killed = [m for m in NODES if (m == n) == (self.factor == 2)]
            for m in killed:
                self.world.signal(f"node-{m}", signal.SIGKILL)
            after = await self.audit.shown(whole)
            self.audit.same(before, after, f"without node{'s' if len(killed) > 1 else ''} {killed}")
            await back(self.world, *(f"node-{m}" for m in killed))
        except (TimeoutError, AssertionError) as e:
            self.audit.problem(f"copies: {e}")
        self.audit.logs()
        self.judge("comparing copies")
        await self.whole("after copies were compared")

    def judge(self, when):
        problems = self.load.faults + self.audit.problems + [f"{name} ended with {code}" for name, code in self.world.fallen()]
        known = [p for p in problems if self.options.forgive and re.search(self.options.forgive, p)]
        for p in known:
            print(f"  forgiven: {p}", flush=True)
            self.load.faults = [f for f in self.load.faults if f != p]
            self.audit.problems = [f for f in self.audit.problems if f != p]
            problems.remove(p)
        if problems:
            raise Failed(f"{when}:\n" + "\n".join(f"  {p}" for p in problems[:40]))

    def table(self):
        count = self.load.count
        print(f"\n{self.rounds} rounds, seed {self.options.seed}; {self.audit_line()}")
        print(f"lost {self.audit.lost}, duplicated {self.audit.doubled}; events that were sent again and are there twice: {self.audit.repeated}; "
              f"reads of registers {count['register reads']}, of points {count['point reads']}, copies compared {self.audit.copies} times, "
              f"epochs {len(self.audit.leads)}")
        print("\n| fault | times | longest without service: a device | a register |\n|---|---|---|---|")
        for kind in [*self.options.kinds, "two at once"]:
            longest = self.longest.get(kind)
            if kind in self.done or longest:
                shown = [f"{s:.1f} s" for s in longest] if longest else ["-", "-"]
                print(f"| {kind} | {self.done.get(kind, '')} | {shown[0]} | {shown[1]} |")
        others = {k: v for k, v in sorted(count.items()) if k.startswith(("refused", "no answer", "login", "answers", "commands "))}
        print(f"\nbeside: {others}\nerrors in logs: {self.audit.errors}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=sys.maxsize, help="instead of minutes")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"of {','.join(KINDS)}")
    parser.add_argument("--combine", type=float, default=0.25, help="chance that a round has two faults")
    parser.add_argument("--factor", type=int, choices=(2, 3), help="copies; else the seed says")
    parser.add_argument("--devices", type=int, default=24)
    parser.add_argument("--registers", type=int, default=8)
    parser.add_argument("--rate", type=float, default=6, help="messages of a device per second")
    parser.add_argument("--set", action="append", default=[], help="a setting of the nodes")
    parser.add_argument("--forgive", metavar="PATTERN", help="problems to go on after, to look for others")
    parser.add_argument("--keep", action="store_true", help="the folder stays in any case")
    options = parser.parse_args()
    options.kinds = options.kinds.split(",")
    if set(options.kinds) - set(KINDS):
        parser.error(f"kinds are {', '.join(KINDS)}")
    world.enter()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="orrery-fault-"))
    run = Run(options, folder)
    try:
        asyncio.run(run.all())
        failure = None
    except Failed as e:
        failure = str(e)
    if run.rounds:
        run.table()
    if failure:
        print("\n".join([f"\nFAILED {failure}", *run.world.traces(), f"seed {options.seed}, folder {folder}"]), flush=True)
        return 1
    if not options.keep:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
