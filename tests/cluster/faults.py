"""What is done to a cluster: each kind of fault, and schedules of them. All of a schedule follows from its seed."""
import asyncio
import dataclasses
import signal

from world import until

NODES = (1, 2, 3)
BACK = 60  # seconds in which a process must be ready again


@dataclasses.dataclass
class Fault:
    kind: str
    form: str
    node: int
    other: int  # another node
    seconds: float
    amount: float = 0.0

    def __str__(self):
        return f"{self.kind} ({self.form}) of node {self.node}, {self.seconds:.1f} s" + (f", {self.amount:g}" if self.amount else "")

    async def happen(self, world):
        await KINDS[self.kind][1](self, world)


async def back(world, *names):
    """Processes that were ended are started again."""
    for name in names:
        world.start(name)
    for name in names:
        if name.startswith("node"):
            await ready(world, int(name[5:]))


async def ready(world, n):
    async def is_ready():
        return world.is_ready(n) or world.fallen()

    await until(is_ready, f"node {n} is ready", BACK)


def nodes_of(fault):
    return {"one": (fault.node,), "two": (fault.node, fault.other), "all": NODES}[fault.form]


async def kill(fault, world):
    for n in nodes_of(fault):
        world.signal(f"node-{n}", signal.SIGKILL)
    await asyncio.sleep(fault.seconds)
    await back(world, *(f"node-{n}" for n in nodes_of(fault)))


async def end(fault, world):
    """In order: it hands over what it has."""
    name = f"node-{fault.node}"
    world.signal(name, signal.SIGTERM)

    async def ended():
        return world.started[name].poll() is not None

    await until(ended, f"{name} ends", 20)
    await asyncio.sleep(fault.seconds)
    await back(world, name)


async def stop(fault, world):
    for n in nodes_of(fault):
        world.signal(f"node-{n}", signal.SIGSTOP)
    await asyncio.sleep(fault.seconds)
    for n in nodes_of(fault):
        world.signal(f"node-{n}", signal.SIGCONT)


def both_ways(pairs):
    return [*pairs, *((b, a) for a, b in pairs)]


async def partition(fault, world):
    me, other = f"node-{fault.node}", f"node-{fault.other}"
    nodes = [(me, f"node-{n}") for n in NODES if n != fault.node]
    members = [(me, f"etcd-{m}") for m in range(1, world.members + 1)]
    cut = world.block({"pair": both_ways([(me, other)]), "one way": [(me, other)], "from nodes": both_ways(nodes),
                       "alone": both_ways(nodes + members), "deaf": [(b, a) for a, b in nodes]}[fault.form])
    await asyncio.sleep(fault.seconds)
    world.unblock(cut)


async def etcd_cut(fault, world):
    """Nodes that do not reach etcd, and reach each other."""
    cut = world.block(both_ways([(f"node-{n}", f"etcd-{m}") for n in nodes_of(fault) for m in range(1, world.members + 1)]))
    await asyncio.sleep(fault.seconds)
    world.unblock(cut)


async def etcd_leader(fault, world):
    leader = await world.leader() or 1
    cut = []
    name, others = f"etcd-{leader}", [f"etcd-{m}" for m in range(1, world.members + 1) if m != leader]
    if fault.form == "killed":
        world.signal(name, signal.SIGKILL)
    elif fault.form == "stopped":
        world.signal(name, signal.SIGSTOP)
    elif fault.form == "cut":
        cut = world.block(both_ways([(name, other) for other in others]))
    elif fault.form == "without quorum":
        world.signal(name, signal.SIGKILL)
        world.signal(others[0], signal.SIGKILL)
    await asyncio.sleep(fault.seconds)
    world.unblock(cut)
    if fault.form == "stopped":
        world.signal(name, signal.SIGCONT)
    await back(world, name, *others)


async def clock(fault, world):
    """The clock of one node is wrong, and right again."""
    steering = world.steering[fault.node]
    if fault.form == "to and fro":
        for turn in range(max(2, int(fault.seconds))):
            steering.set(ahead_ns=int(fault.amount * 1e9) * (1 if turn % 2 else -1))
            await asyncio.sleep(1)
    else:
        steering.set(ahead_ns=int(fault.amount * 1e9))
        await asyncio.sleep(fault.seconds)
    steering.set()


async def slow_disk(fault, world):
    """`amount`: how much longer a sync takes, in seconds."""
    sync = int(fault.amount * 1e6)
    world.steering[fault.node].set(sync_us=sync, write_us={"sync": 0, "write": sync // 20, "hangs": sync}[fault.form])
    await asyncio.sleep(fault.seconds)
    world.steering[fault.node].set()


async def drain(fault, world):
    """An operator's order, taken back when it is done or after a while. With as many copies as nodes it cannot be done."""
    number = None

    async def given():  # etcd may have no quorum, by another fault
        nonlocal number
        number = await world.number_of(fault.node)
        return number is not None and await world.order(fault.node, {"drain": True})

    await until(given, "the order is given", 30)

    async def is_empty():
        found = await world.records()
        return found and not any(number in (r["primary"], *r["inSync"], *r["replicas"]) for s, r in found[0].items() if s != 32767)

    if world.factor < world.nodes:
        await until(is_empty, f"node {fault.node} is drained", 60)
    await asyncio.sleep(fault.seconds)

    async def taken_back():
        return await world.order(fault.node, None)

    await until(taken_back, "the order is taken back", 30)


# Forms may be named several times, to come more often. Then the shortest and longest time in seconds, and the amounts.
KINDS = {
    "kill": (("one", "one", "one", "two", "all"), kill, (0, 6), ()),
    "stop": (("one", "one", "one", "two", "all"), stop, (0.5, 9), ()),
    "partition": (("pair", "one way", "from nodes", "alone", "alone", "deaf"), partition, (2, 9), ()),
    "etcd-cut": (("one", "one", "two", "all"), etcd_cut, (1, 8), ()),
    "clock": (("jump", "jump", "to and fro"), clock, (2, 6), (-86_400, -3_600, -30, -2, 2, 30, 3_600, 86_400, 4 * 86_400)),
    "etcd-leader": (("killed", "killed", "stopped", "cut", "without quorum"), etcd_leader, (1, 7), ()),
    "slow-disk": (("sync", "write", "write", "hangs"), slow_disk, (2, 7), (0.1, 0.5, 1, 4)),
    "drain": (("order",), drain, (0, 2), ()),
    "end": (("one",), end, (0, 3), ()),
}


def make(chance, kind):
    forms, _, (least, most), amounts = KINDS[kind]
    node, other = chance.sample(NODES, 2)
    return Fault(kind, chance.choice(forms), node, other, round(chance.uniform(least, most), 1), chance.choice(amounts) if amounts else 0.0)


def rounds(chance, kinds, combine):
    """Goes on for ever: lists of faults, each with the seconds after which it begins. Every kind comes once before any comes again;
    with a chance of `combine` two come together."""
    while True:
        for kind in chance.sample(kinds, len(kinds)):
            begun = [(0.0, make(chance, kind))]
            if chance.random() < combine:
                begun.append((round(chance.uniform(0, 3), 1), make(chance, chance.choice(kinds))))
            yield begun
