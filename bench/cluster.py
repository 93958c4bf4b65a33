"""A cluster on one machine: what nodes and copies cost, how long they are not there when one is lost, moves and lists.

All nodes share one core, load and etcd the other. So rates do not grow with nodes here, and are not what is looked at: it is the CPU
seconds of all nodes together for a million posts, and their ratio to one node with one copy in the same run. Each node is a session
of its own and gets the same share of the core, however many threads it has. etcd has one member and its data in memory: its fsync
is not the product's, and no message waits for it. Nodes have their data on the disk. With one copy each write is synced, as a
replica that is alone does (docs/cluster.md, rule 6); with more a post is acknowledged once all have it in their logs.

Latency is from the PUBLISH, written to the socket, to its PUBACK, at the load, at a fixed rate of posts over all devices, each of
which connects to the primary of its shard, or to another node, which passes on what it says. A failover is measured by devices
that are connected to nodes that stay, and whose shards the lost node led: each posts one message after the other, and it is over
when every one of them has a PUBACK for something that it sent after the kill. A move is measured by the slowest answer to such
devices. `--only posts`, `failover`, `move`, `search` or `idle` measures that part alone; one that fails is named, and has no rows."""
import http.client
import json
import statistics
import sys
import time
import traceback

from nodes import Nodes, Poster, back_after, longest, watch
from servers import Orrery, load, table

CONFIGURATIONS = [(1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (3, 3)]  # nodes, copies; what the ratios are to comes first
LOADS = [("1,000 connections, window 1", {"connections": 1000, "window": 1}),
         ("100 connections, window 50", {"connections": 100, "window": 50})]
PACED = ("2,000 posts/s, 1,000 connections", {"connections": 1000, "window": 8, "rate": 2_000})
DEVICES = 2_000  # where the number does not matter
LISTED = 10_000
POSTERS = 32
AT_ONCE = 18_000  # connections to one node
SHARDS = (64, 1024, 4096)


def run(options):
    result = {"failed": []}
    for name, part in (("posts", posts), ("failover", failover), ("move", move), ("search", search), ("idle", idle)):
        if options.only not in name:
            continue
        try:
            result[name] = part(options)
        except (Exception, SystemExit) as why:  # deploy/cluster ends so when a process does not start
            traceback.print_exc()
            print(f"cluster: {name} WAS NOT MEASURED: {why}", file=sys.stderr)
            result["failed"].append(name)
    return result


def show(title, keys, rows):
    table([title, *keys], rows)
    print()
    return [dict(zip(("name", *keys), row)) for row in rows]


def middle(runs, key):
    return statistics.median(float(r[key]) for r in runs)


# ---- what posts cost

def posts(options):
    got = {}
    for _ in range(options.repeat):
        for durability in ("os", "sync"):
            with Orrery(durability, devices=DEVICES) as node:
                for what, how in LOADS:
                    got.setdefault((f"no cluster, {durability}", what), []).append(load(node, seconds=options.seconds, **how))
        for nodes, factor in CONFIGURATIONS:
            with Nodes(nodes, factor, devices=DEVICES) as cluster:
                cluster.spread("any")
                for what, how in LOADS:
                    got.setdefault((cluster.name, what), []).append(counted(cluster, seconds=options.seconds, **how))
                for where in ("primary", "other") if nodes > 1 else ("primary",):
                    cluster.spread(where)
                    got.setdefault((cluster.name, where), []).append(counted(cluster, seconds=options.seconds, **PACED[1]))
    base = "1 node, factor 1"
    costs, waits = [], []
    for (name, what), runs in got.items():
        if what in ("primary", "other"):
            waits.append([f"{name}: {'at the primary' if what == 'primary' else 'at another node'}", middle(runs, "rate"),
                          middle(runs, "p50_us"), middle(runs, "p99_us"), middle(runs, "p50_us") / middle(got[base, "primary"], "p50_us"),
                          middle(runs, "cpu_per_million"), middle(runs, "etcd_cpu_percent")])
    for what, _ in LOADS:
        peer = middle(got[base, what], "cpu_per_million")
        for name in dict.fromkeys(name for name, _ in got):
            runs = got[name, what]
            cpu = middle(runs, "cpu_per_million")
            costs.append([f"{what}: {name}", middle(runs, "rate"), cpu, cpu / peer,
                          *(middle(runs, key) if key in runs[0] else "-" for key in ("journal_bytes", "link_bytes"))])
    return {"cost": show("cluster, posts", ("posts/s", "CPU s/million", "ratio", "bytes shipped/post", "bytes of links/post"), costs),
            "latency": show(f"PUBACK, {PACED[0]}", ("posts/s", "p50 us", "p99 us", "ratio of p50", "CPU s/million", "etcd CPU %"), waits)}


def counted(cluster, **how):
    """A load with what went over links for each post, warm-up included, and the CPU of etcd."""
    names = {"posts": 'orrery_mqtt_messages_total{kind="points_post",result="ok"}',
             "journal_bytes": "orrery_cluster_shipped_bytes_total", "link_bytes": 'orrery_cluster_link_bytes_total{direction="sent"}'}
    before, cpu, begun = {k: cluster.metric(name) for k, name in names.items()}, cluster.cpu_of("etcd-1"), time.monotonic()
    figures = load(cluster, **how)
    figures["etcd_cpu_percent"] = (cluster.cpu_of("etcd-1") - cpu) / (time.monotonic() - begun) * 100
    change = {k: cluster.metric(name) - before[k] for k, name in names.items()}
    if change["posts"] < figures["acknowledged"] or figures["refused"]:
        raise RuntimeError(f"{cluster.name}: {change['posts']:.0f} posts were taken, {figures['acknowledged']} acknowledged, "
                           f"{figures['refused']} refused")
    for key in ("journal_bytes", "link_bytes"):
        figures[key] = change[key] / change["posts"]
    return figures


# ---- a node is lost

def failover(options):
    rows = []
    with Nodes(3, 2, devices=DEVICES) as cluster:
        all_back, half_back, slowest = [], [], []
        for turn in range(options.kills + options.ends):
            victim = turn % 3 + 1
            others = [n for n in (1, 2, 3) if n != victim]
            posters = [Poster(line, cluster.host(others[i % 2])) for i, line in enumerate(cluster.led_by(victim, POSTERS))]
            gone = lambda: cluster.wait("the node has ended", lambda: cluster.pid(f"node-{victim}") is None, 30)
            if turn < options.kills:
                at = watch(posters, lambda: cluster.send(f"node-{victim}", 9), gone)
                everybody, half = back_after(posters, at)
                all_back.append(everybody)
                half_back.append(half)
            else:
                at = watch(posters, lambda: cluster.send(f"node-{victim}", 15), gone)
                slowest.append(longest(posters, at))
            cluster.started[f"node-{victim}"].wait(20)
            cluster.start_node(victim)
            cluster.wait_whole()
    if all_back:
        rows.append([f"{len(all_back)} killed: until all devices of its shards are answered", *spread_of(all_back)])
        rows.append([f"{len(all_back)} killed: until half of them are", *spread_of(half_back)])
    if slowest:
        rows.append([f"{len(slowest)} ended in order: slowest answer", *spread_of(slowest)])
    return show("3 nodes, factor 2, a node is lost", ("median s", "min s", "max s"), rows)


def spread_of(values):
    return [round(v, 4) for v in (statistics.median(values), min(values), max(values))]


# ---- a shard of many devices moves

def move(options):
    """Two nodes, one shard. Before each move all of its devices have posted and are awake where they are served."""
    given, given_back, brought_up, held_up = [], [], [], []
    with Nodes(2, 2, "cluster.shard_count=1", "entities.idle_timeout=1h", devices=options.devices, started_first=1) as cluster:
        record = lambda: cluster.records()[0]
        in_sync = lambda n: cluster.wait(f"node-{n} is in sync", lambda: n in record()["inSync"], 300, 0.005)
        wake(cluster)
        sent = cluster.metric('orrery_cluster_link_bytes_total{direction="sent"}')
        moments = {}

        def copied():
            moments["named"] = cluster.wait("it is to have a copy", lambda: 2 in record()["replicas"], 60, 0.005)
            moments["in sync"] = in_sync(2)
            cluster.wait_whole()
        posters = [Poster(line, cluster.host(1)) for line in cluster.led_by(1, POSTERS)]
        at = watch(posters, lambda: cluster.start_node(2, wait=False), copied, 300)
        sent = cluster.metric('orrery_cluster_link_bytes_total{direction="sent"}') - sent
        first = [["a copy from nothing: from the start of the node", moments["in sync"] - at],
                 ["from the record that names it", moments["in sync"] - moments["named"]],
                 ["slowest answer meanwhile", longest(posters, at)]]
        for _ in range(options.ends):
            leader = record()["primary"]
            other = 3 - leader
            wake(cluster)
            cluster.api = cluster.api_of(other)
            posters = [Poster(line, cluster.host(other)) for line in cluster.led_by(leader, POSTERS)]

            def drained():
                cluster.call("POST", f"/cluster/nodes/node-{leader}:drain")
                cluster.wait("the other node alone has it", lambda: record()["primary"] == other and record()["replicas"] == [other], 60)
            at = watch(posters, lambda: None, drained)
            given.append(longest(posters, at))

            def taken_back():
                begun = time.monotonic()
                cluster.call("POST", f"/cluster/nodes/node-{leader}:undrain")
                brought_up.append(in_sync(leader) - begun)
                cluster.wait_whole()
            posters = [Poster(line, cluster.host(other)) for line in cluster.led_by(other, POSTERS)]
            at = watch(posters, lambda: None, taken_back, 300)
            given_back.append(longest(posters, at))
    rows = [[name, value, value, value] for name, value in first]
    rows.append(["MB sent over links for it", *[sent / 1e6] * 3])
    if given:
        rows += [[f"{len(given)} hand-overs, all awake: slowest answer", *spread_of(given)],
                 [f"{len(given_back)} hand-overs back: slowest answer", *spread_of(given_back)],
                 [f"{len(brought_up)} copies brought up again after that", *spread_of(brought_up)]]
    return show(f"a shard of {options.devices:,} devices", ("median s", "min s", "max s"), rows)


def wake(cluster):
    """Every device logs in, posts once or twice and hangs up: its entity is awake then, with values that no checkpoint has yet."""
    cluster.spread("primary")
    for first in range(0, cluster.count, AT_ONCE):
        count = min(AT_ONCE, cluster.count - first)
        load(cluster, skip=first, connections=count, window=2, rate=count, seconds=1.5, warm_up=0)
    if (awake := cluster.metric("orrery_entities_awake")) < cluster.count:
        raise RuntimeError(f"of {cluster.count:,} devices {awake:,.0f} are awake")


# ---- lists over all shards

def search(options):
    times = {}
    for nodes, factor in ((1, 1), (3, 2)):
        with Nodes(nodes, factor, devices=LISTED) as cluster:
            product = (cluster.folder / "devices").read_text().split(" ", 1)[0]
            questions = [("the first 50", "limit=50", 50, False), ("the first 50 of a product", f"limit=50&productKey={product}", 50, False),
                         ("the one whose key has a text in it", f"q=d{LISTED - 7:05}", 1, False),
                         ("all, page by page of 200", "limit=200", LISTED, True)]
            api = Pages(cluster)
            for name, question, count, pages in questions:
                until, taken = time.monotonic() + options.seconds, []
                while time.monotonic() < until or len(taken) < 3:
                    begun = time.monotonic()
                    found = api.devices(question, pages)
                    taken.append((time.monotonic() - begun) * 1e3)
                    if found != count:
                        raise RuntimeError(f"{cluster.name}: {name}: {found} devices, not {count}")
                times.setdefault(name, []).append(sorted(taken))
            api.connection.close()
    rows = [[name, *(of[int(len(of) * q)] for of in (one, three) for q in (0.5, 0.99)), three[len(three) // 2] / one[len(one) // 2]]
            for name, (one, three) in times.items()]
    return show(f"list of {LISTED:,} devices, ms", ("1 node p50", "p99", "3 nodes p50", "p99 ", "ratio of p50"), rows)


class Pages:
    """Asks node 1 on one connection."""

    def __init__(self, cluster):
        self.connection = http.client.HTTPConnection(cluster.host(1), cluster.ready(1)["ports"]["api"], timeout=30)
        self.headers = {"Authorization": f"Bearer {cluster.token}"}

    def devices(self, question, pages):
        """How many devices the answer has; with all the pages that follow."""
        found, cursor = 0, ""
        while True:
            self.connection.request("GET", f"/api/v1/orgs/-/devices?{question}{cursor}", headers=self.headers)
            reply = self.connection.getresponse()
            page = json.loads(reply.read())
            if reply.status != 200:
                raise RuntimeError(f"the list was refused: {page}")
            found += len(page["items"])
            if not pages or not page.get("nextCursor"):
                return found
            cursor = f"&cursor={page['nextCursor']}"


# ---- nodes without load

def idle(options):
    rows = []
    for shards in SHARDS:
        with Nodes(3, 2, f"cluster.shard_count={shards}", devices=0) as cluster:
            time.sleep(5)
            names = [f"node-{n}" for n in (1, 2, 3)] + ["etcd-1"]
            before, begun = [cluster.cpu_of(name) for name in names], time.monotonic()
            time.sleep(max(options.seconds, 5))
            used = [(cluster.cpu_of(name) - b) / (time.monotonic() - begun) * 100 for name, b in zip(names, before)]
            rows.append([f"{shards:,} shards", statistics.mean(used[:3]), max(used[:3]), used[3], cluster.whole_after])
    return show("3 idle nodes, factor 2", ("CPU % of a node", "most", "of etcd", "s until whole at first"), rows)
