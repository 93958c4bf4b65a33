"""A million devices: by the import of one file in a node; in another one, registered by the API in batches of 1,000 over four connections,
searched, counted and read by the API, then the start of a node over them; and the same on three nodes with three copies, which share
all cores with the load. Budgets: 5 minutes, 50 ms a page, 3 s, 1.5 GiB. `--only import`, `one` or `three` measures that part alone."""
import concurrent.futures
import http.client
import json
import random
import tempfile
import time
import urllib.parse

from nodes import Cluster, Nodes
from servers import Orrery, resident_kib, table

DEVICES, BATCH, CONNECTIONS, PAGES = 1_000_000, 1000, 4, 60
SITES, KINDS = 1000, ("pump", "fan", "meter", "box")


class Caller:
    """One connection to the API that stays open."""

    def __init__(self, api, token):
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(api).netloc, timeout=120)
        self.token = token

    def __call__(self, method, path, body=None):
        self.connection.request(method, "/api/v1/orgs/-" + path, json.dumps(body) if body is not None else None,
                                {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        reply = self.connection.getresponse()
        text = reply.read()
        if reply.status >= 300:
            raise RuntimeError(f"{method} {path}: {reply.status} {text[:300]}")
        return json.loads(text)


def item(product, n):
    return {"productKey": product, "deviceKey": f"d{n:07}", "name": f"{KINDS[n % 4].title()} {n}",
            "tags": {"site": f"S{n % SITES}", "kind": KINDS[n % 4]}, "attributes": {"rated": n % 500 / 10}}


def prepare(node):
    node.call("POST", "/orgs/-/models", {"format": "tm/1", "id": "bench-million", "name": "Million",
                                         "attributes": [{"id": "rated", "name": "Rated", "type": {"t": "double"}}]})
    node.call("POST", "/orgs/-/models/bench-million:publish", {}, {"If-Match": node.etag} if node.etag else {})
    node.product = node.call("POST", "/orgs/-/products", {"name": "million", "modelId": "bench-million"})["productKey"]


def register(apis, token, product, count):
    """Over connections to these nodes in turn; gives the seconds."""
    def some(first):
        call, made = Caller(apis[first % len(apis)], token), 0
        for begin in range(first * BATCH, count, CONNECTIONS * BATCH):
            made += call("POST", "/devices:batch", {"items": [item(product, n) for n in range(begin, min(begin + BATCH, count))]})["ok"]
        return made

    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        made = sum(pool.map(some, range(CONNECTIONS)))
    if made != count:
        raise RuntimeError(f"{made} of {count} devices were registered")
    return time.monotonic() - begin


def import_file(node, count):
    """By one operation of an NDJSON file; seconds from the first byte sent until it has ended."""
    with tempfile.TemporaryFile() as file:
        for n in range(count):
            line = item(node.product, n)
            del line["productKey"]
            file.write(json.dumps(line).encode() + b"\n")
        size = file.tell()
        file.seek(0)
        call, begin = Caller(node.api, node.token), time.monotonic()
        call.connection.request("POST", f"/api/v1/orgs/-/devices:import?product={node.product}", file,
                                {"Authorization": f"Bearer {call.token}", "Content-Type": "application/x-ndjson", "Content-Length": str(size)})
        made = json.loads(call.connection.getresponse().read())
        if "id" not in made:
            raise RuntimeError(f"not imported: {made}")
        while "endedAt" not in made:
            made = call("GET", f"/operations/{made['id']}")
            time.sleep(0.2)
    if (made["state"], made["counts"]["ok"]) != ("succeeded", count):
        raise RuntimeError(f"not imported: {made}")
    return time.monotonic() - begin


def timed(call, questions):
    """p50 and p99 of the answers in ms, and how many items came."""
    took, items = [], 0
    for method, path, body in questions:
        begin = time.monotonic()
        got = call(method, path, body)
        took.append((time.monotonic() - begin) * 1000)
        items += len(got["items"]) if "items" in got else got.get("total", 1)
    took.sort()
    return [took[len(took) // 2], took[min(len(took) - 1, len(took) * 99 // 100)], items / len(took)]


def searches(seed=7):
    chance = random.Random(seed)

    def search(make):
        return [("POST", "/devices/search", make(chance)) for _ in range(PAGES)]

    return {
        "a device by its key": search(lambda r: {"filter": f"deviceKey = 'd{r.randrange(DEVICES):07}'"}),
        "50 of a thousand by a tag": search(lambda r: {"filter": f"tags.site = 'S{r.randrange(SITES)}'"}),
        "a tag and an attribute": search(lambda r: {"filter": f"tags.site = 'S{r.randrange(SITES)}' and attributes.rated < {r.randrange(10, 50)}"}),
        "how a name begins": search(lambda r: {"filter": f"name like 'pump {r.randrange(1000, 9999)}%'"}),
        "a range of times": search(lambda r: {"filter": "createdAt > 0 and tags.kind = 'fan'"}),
        "sorted by name": search(lambda r: {"sort": "name"}),
        "of a quarter, newest first": search(lambda r: {"filter": f"tags.kind = '{r.choice(KINDS)}'", "sort": "-createdAt"}),
        "of a thousand, by an attribute": search(lambda r: {"filter": f"tags.site = 'S{r.randrange(SITES)}'", "sort": "attributes.rated,name"}),
        "a list without a filter": [("GET", "/devices?limit=50", None)] * PAGES,
        "count of a tag": [("POST", "/devices:count", {"filter": f"tags.site = 'S{chance.randrange(SITES)}'"}) for _ in range(PAGES)],
        "count of all, by status": [("POST", "/devices:count", {"groupBy": ["status"]})] * 3,
    }


def by_import(result):
    with Orrery("os", devices=0) as node:
        prepare(node)
        seconds = import_file(node, DEVICES)
        peak = node.memory_kib() / 1024
    print(f"{DEVICES:,} devices by the import of a file in {seconds:,.0f} s ({DEVICES / seconds:,.0f} a second), {peak:,.0f} MiB then")
    result["import"] = {"seconds": seconds, "memory_mib": peak}


def on_one_node(result):
    with Orrery("os", devices=0) as node:
        prepare(node)
        seconds = register([node.api], node.token, node.product, DEVICES)
        peak = node.memory_kib() / 1024
        call = Caller(node.api, node.token)
        rows = [[name, *timed(call, questions)] for name, questions in searches().items()]
        again = node.restart()
        fresh = node.memory_kib() / 1024
    print(f"{DEVICES:,} devices in {seconds:,.0f} s ({DEVICES / seconds:,.0f} a second), {peak:,.0f} MiB then; "
          f"started again in {again:.2f} s with {fresh:,.0f} MiB")
    table(["search over a million devices", "p50 ms", "p99 ms", "found"], rows)
    result["one"] = {"seconds": seconds, "memory_mib": peak, "start_seconds": again, "memory_after_start_mib": fresh, "rows": named(rows)}


class Everywhere(Nodes):
    """Nodes, etcd and load share all cores."""

    def spawn(self, name, command, prefix=()):
        return Cluster.spawn(self, name, command, ["setpriv", "--pdeathsig", "KILL", *prefix])

    def memory_mib(self):
        return [resident_kib(self.pid(f"node-{n}")) / 1024 for n in range(1, self.nodes + 1)]


def on_three_nodes(result):
    with Everywhere(3, 3, devices=0) as nodes:
        nodes.log_in()
        prepare(nodes)
        seconds = register([nodes.api_of(n) for n in (1, 2, 3)], nodes.token, nodes.product, DEVICES)
        peak = nodes.memory_mib()
        call = Caller(nodes.api_of(2), nodes.token)
        rows = [[name, *timed(call, questions)] for name, questions in searches().items()]
    print(f"{DEVICES:,} devices on three nodes with three copies in {seconds:,.0f} s ({DEVICES / seconds:,.0f} a second), "
          f"{' + '.join(f'{m:,.0f}' for m in peak)} MiB then")
    table(["search over a million devices on three nodes", "p50 ms", "p99 ms", "found"], rows)
    result["three"] = {"seconds": seconds, "memory_mib": peak, "rows": named(rows)}


def named(rows):
    return [dict(zip(("what", "p50_ms", "p99_ms", "found"), row)) for row in rows]


def run(options):
    result = {}
    for name, part in (("import", by_import), ("one", on_one_node), ("three", on_three_nodes)):
        if options.only in name:
            part(result)
    return result
