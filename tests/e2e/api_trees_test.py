"""Assets and asset trees by the API: what changes them, reads, searches, summaries, files."""
import csv
import io
import json
import threading
import unittest

from api_kit import all_of, refused
from orrery import NodeTest, wait_for


class Trees(NodeTest):
    def tree(self, name, **more):
        return self.api.post("~/trees", dict({"name": name, "root": {"asset": {"name": name}}}, **more))

    def add(self, tree, name, parent=None, **more):
        body = dict({"asset": {"name": name}}, **more)
        if parent:
            body["parent"] = parent["id"]
        return self.api.post(f"~/trees/{tree['id']}/nodes", body)

    def add_device(self, tree, made, parent=None):
        body = {"assetId": made["assetId"]}
        if parent:
            body["parent"] = parent["id"]
        return self.api.post(f"~/trees/{tree['id']}/nodes", body)

    def names(self, tree, parent=None, depth=1):
        params = {"depth": depth}
        if parent:
            params["parent"] = parent["id"]
        return [n["name"] for n in self.api.get(f"~/trees/{tree['id']}/nodes", params=params)["items"]]

    def patch(self, path, body, expect=200, **more):
        return self.api.request("PATCH", path, expect=expect, json=body, **more).json()

    def delete(self, path, expect=204, **more):
        return self.api.request("DELETE", path, expect=expect, **more)

    def move(self, tree, node, expect=200, **body):
        return self.api.request("POST", f"~/trees/{tree['id']}/nodes/{node['id']}:move", expect=expect, json=body).json()


class Assets(Trees):
    def test_a_logical_asset(self):
        made = self.api.post("~/assets", {"name": "Hall 1", "attributes": {"area": 12.5}, "tags": {"region": "north"}})
        self.assertEqual((made["kind"], made["attributes"]), ("logical", {"area": 12.5}))
        path = f"~/assets/{made['assetId']}"
        first = self.api.request("GET", path, expect=200)
        self.assertEqual(first.json(), made)
        changed = self.patch(path, {"name": "Hall 2", "attributes": {"area": None, "floors": 2}, "tags": {"region": None}},
                             headers={"If-Match": first.headers["ETag"]})
        self.assertEqual((changed["name"], changed["attributes"], changed["tags"]), ("Hall 2", {"floors": 2}, {}))
        refused(self, self.api, "PATCH", path, 412, "etag_mismatch", json={"name": "x"}, headers={"If-Match": first.headers["ETag"]})
        self.delete(path)
        refused(self, self.api, "GET", path, 404, "asset_unknown")

    def test_bad_ones_are_refused(self):
        refused(self, self.api, "POST", "~/assets", 422, "validation_failed", json={})
        refused(self, self.api, "POST", "~/assets", 400, "unknown_field", json={"name": "x", "colour": "red"})
        refused(self, self.api, "POST", "~/assets", 404, "model_unknown", json={"name": "x", "modelId": "unheard-of"})
        refused(self, self.api, "POST", "~/assets", 422, "tag_invalid", json={"name": "x", "tags": {"a b": "c"}})
        refused(self, self.api, "GET", "~/assets/nonsense", 404, "asset_unknown")
        refused(self, self.api, "GET", "~/assets", 400, "malformed", params={"kind": "other"})
        refused(self, self.api, "GET", "~/assets", 400, "bad_cursor", params={"cursor": "x"})

    def test_of_a_model(self):
        wrong = {"name": "x", "modelId": "Inverter", "attributes": {"ratedPower": "much"}}
        refused(self, self.api, "POST", "~/assets", 422, "model_validate_failed", json=wrong)
        made = self.api.post("~/assets", {"name": "x", "modelId": "Inverter", "attributes": {"ratedPower": 5.0}})
        self.assertIn(made["assetId"], [a["assetId"] for a in self.api.get("~/assets", params={"modelId": "Inverter", "kind": "logical"})["items"]])

    def test_batches_and_lists(self):
        done = self.api.post("~/assets:batch", {"items": [{"name": f"Batch {i}", "tags": {"batch": "1"}} for i in range(5)] + [{"name": ""}]})
        self.assertEqual((done["ok"], done["failed"]), (5, 1))
        listed = all_of(self.api, "~/assets?kind=logical&q=bATCH", limit=2)
        self.assertEqual(sorted(a["name"] for a in listed), [f"Batch {i}" for i in range(5)])
        found = self.api.post("~/assets/search", {"tags": {"batch": "1"}, "name": "batch 3"})["items"]
        self.assertEqual([a["name"] for a in found], ["Batch 3"])
        everything = all_of(self.api, "~/assets", limit=7)
        self.assertEqual({a["kind"] for a in everything}, {"device", "logical"})
        self.assertEqual(len({a["assetId"] for a in everything}), len(everything))

    def test_a_device_is_an_asset(self):
        device = self.node.demo["devices"][0]
        shown = self.api.get(f"~/assets/{device['assetId']}")
        self.assertEqual((shown["kind"], shown["deviceKey"], shown["modelId"]), ("device", device["deviceKey"], "Inverter"))
        refused(self, self.api, "PATCH", f"~/assets/{device['assetId']}", 409, "asset_is_device", json={"name": "x"})
        refused(self, self.api, "DELETE", f"~/assets/{device['assetId']}", 409, "asset_is_device")
        # An id of one kind means nothing to the other, and disturbs nobody.
        logical = self.api.post("~/assets", {"name": "not a device"})
        refused(self, self.api, "GET", f"~/devices/{logical['assetId']}", 404, "device_unknown")
        self.patch(f"~/assets/{logical['assetId']}", {"name": "still there"})
        self.api.get(f"~/devices/{device['assetId']}")

    def test_stays_while_it_is_on_a_tree(self):
        tree = self.tree("Keeps")
        node = self.add(tree, "kept")
        path = f"~/assets/{node['asset']['assetId']}"
        refused(self, self.api, "DELETE", path, 409, "asset_on_tree")
        places = self.api.get(path + "/trees")["items"]
        self.assertEqual([(p["treeId"], p["node"]["id"], [n["name"] for n in p["path"]]) for p in places], [(tree["id"], node["id"], ["Keeps"])])
        self.delete(f"~/trees/{tree['id']}/nodes/{node['id']}")
        self.delete(path)


class Nodes(Trees):
    def test_the_demo_has_one(self):
        tree = next(t for t in self.api.get("~/trees")["items"] if t["name"] == "Site A")
        self.assertEqual(tree["nodes"], 6)
        self.assertEqual(self.names(tree)[:2], ["Site A", "Inverter 1"])

    def test_of_a_tree(self):
        tree = self.tree("Plants", description="all", tags={"a": "b"})
        path = f"~/trees/{tree['id']}"
        first = self.api.request("GET", path, expect=200)
        self.assertEqual(first.json(), tree)
        changed = self.patch(path, {"name": "Works", "tags": {"a": None, "c": "d"}}, headers={"If-Match": first.headers["ETag"]})
        self.assertEqual((changed["name"], changed["tags"]), ("Works", {"c": "d"}))
        refused(self, self.api, "PATCH", path, 412, "etag_mismatch", json={"name": "x"}, headers={"If-Match": first.headers["ETag"]})
        self.add(tree, "one")
        refused(self, self.api, "DELETE", path, 409, "tree_not_empty")
        self.delete(path, params={"cascade": "true"})
        refused(self, self.api, "GET", path, 404, "tree_unknown")
        refused(self, self.api, "GET", path + "/nodes", 404, "tree_unknown")
        refused(self, self.api, "GET", "~/trees/nonsense", 404, "tree_unknown")
        refused(self, self.api, "POST", "~/trees", 422, "validation_failed", json={"name": "x"})
        refused(self, self.api, "POST", "~/trees", 404, "asset_unknown", json={"name": "x", "root": {"assetId": tree["id"]}})

    def test_order_and_levels(self):
        tree = self.tree("Order")
        a, b = self.add(tree, "a"), self.add(tree, "b")
        self.add(tree, "c", after="first")
        d = self.add(tree, "d", after=a["id"])
        self.assertEqual(self.names(tree), ["Order", "c", "a", "d", "b"])
        self.move(tree, b, after=f"asset:{a['asset']['assetId']}")
        self.assertEqual(self.names(tree), ["Order", "c", "a", "b", "d"])
        below = self.add(tree, "below", parent=d)
        self.assertEqual((below["level"], below["parentId"]), (3, d["id"]))
        moved = self.move(tree, d, parent=a["id"])
        self.assertEqual((moved["level"], moved["children"]), (3, 1))
        self.assertEqual(self.names(tree, depth=6), ["Order", "c", "a", "d", "below", "b"])
        self.assertEqual(self.names(tree, parent=a, depth=1), ["d"])
        root = self.api.get(f"~/trees/{tree['id']}/nodes/{tree['rootId']}")
        self.assertEqual((root["children"], root["descendants"], root["level"]), (3, 5, 1))
        paged = all_of(self.api, f"~/trees/{tree['id']}/nodes?depth=6", limit=2)
        self.assertEqual([n["name"] for n in paged], ["Order", "c", "a", "d", "below", "b"])
        self.assertEqual(refused(self, self.api, "POST", f"~/trees/{tree['id']}/nodes/{a['id']}:move", 409, "cycle", json={"parent": below["id"]})["code"], "cycle")
        refused(self, self.api, "POST", f"~/trees/{tree['id']}/nodes/{tree['rootId']}:move", 409, "root_fixed", json={"parent": a["id"]})
        refused(self, self.api, "POST", f"~/trees/{tree['id']}/nodes/{a['id']}:move", 422, "after_unknown", json={"after": below["id"]})

    def test_seven_levels(self):
        tree = self.tree("Deep")
        node = None
        for level in range(2, 8):
            node = self.add(tree, f"level {level}", parent=node)
        refused(self, self.api, "POST", f"~/trees/{tree['id']}/nodes", 422, "depth_exceeded", json={"parent": node["id"], "asset": {"name": "eight"}})
        self.assertNotIn("eight", [a["name"] for a in all_of(self.api, "~/assets?kind=logical", limit=100)], "what was refused leaves no asset")

    def test_an_asset_is_on_a_tree_once(self):
        tree, other = self.tree("Once"), self.tree("Other")
        made, _ = self.new_device()
        node = self.add_device(tree, made)
        self.assertEqual((node["asset"]["kind"], node["asset"]["deviceKey"]), ("device", made["deviceKey"]))
        refused(self, self.api, "POST", f"~/trees/{tree['id']}/nodes", 409, "already_on_tree",
                json={"productKey": made["productKey"], "deviceKey": made["deviceKey"]})
        self.add_device(other, made)
        self.assertEqual(len(self.api.get(f"~/assets/{made['assetId']}/trees")["items"]), 2)
        by_asset = self.api.request("GET", f"~/trees/{tree['id']}/nodes/asset:{made['assetId']}", expect=200)
        self.assertEqual(by_asset.json(), node)
        parent = self.add(tree, "parent")
        moved = self.api.request("POST", f"~/trees/{tree['id']}/nodes/asset:{made['assetId']}:move", expect=200, json={"parent": parent["id"]}).json()
        self.assertEqual(moved["parentId"], parent["id"])

    def test_labels_tags_and_another_asset(self):
        tree = self.tree("Labels")
        node = self.add(tree, "line")
        path = f"~/trees/{tree['id']}/nodes/{node['id']}"
        etag = self.api.request("GET", path, expect=200).headers["ETag"]
        self.add(tree, "more", parent=node)  # the count below it is no change of the node
        changed = self.patch(path, {"label": "Line 1", "tags": {"area": "A7"}}, headers={"If-Match": etag})
        self.assertEqual((changed["name"], changed["tags"]), ("Line 1", {"area": "A7"}))
        refused(self, self.api, "PATCH", path, 412, "etag_mismatch", json={"label": "x"}, headers={"If-Match": etag})
        made, _ = self.new_device()
        self.assertEqual(self.patch(path, {"assetId": made["assetId"]})["asset"]["assetId"], made["assetId"])
        refused(self, self.api, "PATCH", path, 404, "asset_unknown", json={"assetId": tree["id"]})
        refused(self, self.api, "PATCH", path, 400, "unknown_field", json={"colour": "red"})
        refused(self, self.api, "GET", f"~/trees/{tree['id']}/nodes/nonsense", 404, "node_unknown")

    def test_batches(self):
        tree = self.tree("Batch")
        parent = self.add(tree, "parent")
        items = [{"parent": parent["id"], "asset": {"name": f"n{i}"}} for i in range(200)]
        items += [{"parent": "nonsense", "asset": {"name": "x"}}, {"assetId": tree["id"]}, {"assetId": parent["asset"]["assetId"]}]
        done = self.api.post(f"~/trees/{tree['id']}/nodes:batch", {"items": items})
        self.assertEqual((done["ok"], done["failed"]), (200, 3))
        self.assertEqual([r["status"] for r in done["results"][-3:]], [422, 404, 409])
        self.assertEqual([n["name"] for n in all_of(self.api, f"~/trees/{tree['id']}/nodes?parent={parent['id']}", limit=70)], [f"n{i}" for i in range(200)])
        refused(self, self.api, "POST", f"~/trees/{tree['id']}/nodes:batch", 404, "asset_unknown", json={"atomic": True, "items": items[:1] + items[-2:]})
        self.assertEqual(self.api.get(f"~/trees/{tree['id']}")["nodes"], 202)

    def test_removal(self):
        tree = self.tree("Removal")
        a = self.add(tree, "a")
        self.add(tree, "z")
        b, c = self.add(tree, "b", parent=a), self.add(tree, "c", parent=a)
        self.add(tree, "d", parent=c)
        path = f"~/trees/{tree['id']}/nodes/"
        refused(self, self.api, "DELETE", path + a["id"], 409, "has_children")
        refused(self, self.api, "DELETE", path + a["id"], 400, "malformed", params={"children": "sell"})
        self.delete(path + a["id"], params={"children": "promote"})
        self.assertEqual(self.names(tree, depth=6), ["Removal", "b", "c", "d", "z"])
        self.api.get(f"~/assets/{a['asset']['assetId']}")
        self.delete(path + c["id"], params={"children": "remove", "deleteLogicalAssets": "true"})
        self.assertEqual(self.names(tree, depth=6), ["Removal", "b", "z"])
        refused(self, self.api, "GET", f"~/assets/{c['asset']['assetId']}", 404, "asset_unknown")
        refused(self, self.api, "DELETE", path + tree["rootId"], 409, "root_fixed")

    def test_a_deleted_device_leaves_all_trees(self):
        tree, other = self.tree("First"), self.tree("Second")
        made, _ = self.new_device()
        node = self.add_device(tree, made)
        self.add(tree, "below", parent=node)
        self.add_device(other, made)
        self.delete(f"~/devices/{made['assetId']}")
        self.assertEqual(self.names(tree, depth=6), ["First", "below"])
        self.assertEqual(self.names(other), ["Second"])
        rooted, _ = self.new_device()
        third = self.api.post("~/trees", {"name": "Third", "root": {"assetId": rooted["assetId"]}})
        self.add(third, "stays")
        self.delete(f"~/devices/{rooted['assetId']}")
        shown = self.api.get(f"~/trees/{third['id']}/nodes")["items"]
        self.assertEqual([("asset" in n, n["name"]) for n in shown], [(False, ""), (True, "stays")])

    def test_others_see_nothing(self):
        reader = self.api.post("~/apps/reader/keys", {"permissions": ["tree:read"]})
        api = self.node.api(reader["apiKey"])
        tree = self.tree("Mine")
        api.get(f"~/trees/{tree['id']}/nodes")
        refused(self, api, "POST", f"~/trees/{tree['id']}/nodes", 403, "forbidden", json={"asset": {"name": "x"}})


class Searches(Trees):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        api = cls.node.api()
        cls.at = {}
        tree = api.post("~/trees", {"name": "Search", "root": {"asset": {"name": "root"}}})
        cls.searched = tree
        cls.at["root"] = {"id": tree["rootId"]}
        for name, parent in (("north", "root"), ("south", "root"), ("hall", "north"), ("line", "hall"), ("shed", "south")):
            cls.at[name] = api.post(f"~/trees/{tree['id']}/nodes", {"parent": cls.at[parent]["id"], "asset": {"name": name}, "tags": {"first": name[0]}})
        cls.inverter = api.post("~/devices", {"productKey": cls.node.demo["productKey"], "deviceKey": "searched", "name": "Inverter S"})
        cls.at["inverter"] = api.post(f"~/trees/{tree['id']}/nodes", {"parent": cls.at["line"]["id"], "assetId": cls.inverter["assetId"]})

    def found(self, **body):
        items, cursor = [], None
        while True:
            page = self.api.request("POST", f"~/trees/{self.searched['id']}/nodes/search", expect=200, json=body,
                                    params=dict({"limit": 2}, **({"cursor": cursor} if cursor else {}))).json()
            items += [n["name"] for n in page["items"]]
            cursor = page.get("nextCursor")
            if not cursor:
                return items

    def test_devices_by_node(self):
        def devices(filter, api=self.api):
            found = [d["assetId"] for d in api.post("~/devices/search", {"filter": filter})["items"]]
            self.assertEqual(api.post("~/devices:count", {"filter": filter})["total"], len(found))
            self.assertEqual([d["assetId"] for d in api.get("~/devices", params={"filter": filter})["items"]], found)
            return found
        mine = [self.inverter["assetId"]]
        for name in ("root", "north", "line", "inverter"):
            self.assertEqual(devices(f"underNode = '{self.at[name]['id']}'"), mine)
        self.assertEqual(devices(f"underNode = '{self.at['south']['id']}'"), [])
        self.assertEqual(devices(f"underNode in ('{self.at['south']['id']}', '{self.at['hall']['id']}') and deviceKey = 'searched'"), mine)
        self.assertEqual(devices(f"underNode != '{self.at['hall']['id']}' and deviceKey = 'searched'"), [])
        self.assertEqual(devices(f"not (underNode = '{self.at['south']['id']}') and deviceKey = 'searched'"), mine)
        self.assertEqual(devices(f"underNode = '{mine[0]}'"), [], "no node")
        refused(self, self.api, "POST", "~/devices/search", 400, "bad_filter", json={"filter": "underNode = 'x'"})
        refused(self, self.api, "POST", "~/devices:count", 400, "bad_filter", json={"filter": f"underNode > '{self.at['hall']['id']}'"})
        key = self.api.post("~/apps/by-node/keys", {"permissions": ["device:read"]})["apiKey"]
        refused(self, self.node.api(key), "POST", "~/devices/search", 403, "forbidden", json={"filter": f"underNode = '{self.at['hall']['id']}'"})

    def test_relations(self):
        ref = lambda name: self.at[name]["id"]
        self.assertEqual(self.found(isChildOf=ref("root")), ["north", "south"])
        self.assertEqual(self.found(isDescendantOf=ref("north")), ["hall", "line", "Inverter S"])
        self.assertEqual(self.found(isParentOf=ref("line")), ["hall"])
        self.assertEqual(self.found(isAncestorOf=f"asset:{self.inverter['assetId']}"), ["root", "north", "hall", "line"])
        self.assertEqual(self.found(), ["root", "north", "hall", "line", "Inverter S", "south", "shed"])
        self.assertEqual(self.found(isDescendantOf=ref("south"), assetIds=[self.inverter["assetId"]]), [])
        self.assertEqual(self.found(isDescendantOf=ref("hall"), assetIds=[self.inverter["assetId"]]), ["Inverter S"])
        self.assertEqual(self.found(isChildOf=ref("hall"), assetIds=[self.inverter["assetId"]]), [])

    def test_what_is_there(self):
        self.assertEqual(self.found(modelIds=["Inverter"]), ["Inverter S"])
        self.assertEqual(self.found(kind="device"), ["Inverter S"])
        self.assertEqual(self.found(name="S"), ["Inverter S", "south", "shed"])
        self.assertEqual(self.found(tags={"first": "h"}), ["hall"])
        self.assertEqual(self.found(assetIds=[self.inverter["assetId"]]), ["Inverter S"])

    def test_bad_ones(self):
        path = f"~/trees/{self.searched['id']}/nodes/search"
        both = {"isChildOf": self.at["root"]["id"], "isParentOf": self.at["hall"]["id"]}
        refused(self, self.api, "POST", path, 422, "validation_failed", json=both)
        refused(self, self.api, "POST", path, 422, "validation_failed", json={"isChildOf": "x"})
        refused(self, self.api, "POST", path, 404, "node_unknown", json={"isChildOf": self.searched["id"]})
        refused(self, self.api, "POST", path, 404, "node_unknown", json={"isAncestorOf": self.searched["id"]})
        refused(self, self.api, "POST", path, 400, "unknown_field", json={"is": "x"})

    def test_paths(self):
        path = f"~/trees/{self.searched['id']}/paths"
        names = lambda found: [[n["name"] for n in p["nodes"]] for p in found["items"]]
        to = [f"asset:{self.inverter['assetId']}", self.at["shed"]["id"]]
        self.assertEqual(names(self.api.post(path, {"to": to})), [["root", "north", "hall", "line", "Inverter S"], ["root", "south", "shed"]])
        self.assertEqual(names(self.api.post(path, {"from": [self.at["north"]["id"]], "to": to})), [["north", "hall", "line", "Inverter S"]])
        self.assertEqual(names(self.api.post(path, {"to": to, "projection": "endNodes"})), [["root", "Inverter S"], ["root", "shed"]])
        refused(self, self.api, "POST", path, 422, "validation_failed", json={"from": []})


class Summaries(Trees):
    def summary(self, tree, node, **params):
        return self.api.get(f"~/trees/{tree['id']}/nodes/{node['id']}/summary", params=params)

    def test_stays_right_while_devices_move_and_report(self):
        tree = self.tree("Summary")
        left, right = self.add(tree, "left"), self.add(tree, "right")
        root = {"id": tree["rootId"]}
        devices = [self.new_device() for _ in range(4)]
        nodes = [self.add_device(tree, made, parent=left) for made, _ in devices]
        for i, (_, device) in enumerate(devices[:2]):
            self.assertEqual(device.post({"power": 1.5 + i})["code"], 200)
        online = lambda node: self.summary(tree, node)["status"]["online"]
        wait_for(lambda: online(left) == 4, "all are on-line")
        self.assertEqual(self.summary(tree, right), {"nodeId": right["id"], "nodes": 1, "devices": 0,
                                                     "status": {"disabled": 0, "inactive": 0, "mirror": 0, "offline": 0, "online": 0}})
        power = self.summary(tree, left, points="power")["points"]["power"]
        self.assertEqual((power["devices"], power["min"], power["max"], power["sum"], power["mean"]), (2, 1.5, 2.5, 4.0, 2.0))
        self.move(tree, nodes[0], parent=right["id"])
        devices[1][1].close()
        wait_for(lambda: self.summary(tree, left)["status"]["offline"] == 1, "one went")
        self.assertEqual(self.summary(tree, left)["status"], {"disabled": 0, "inactive": 0, "mirror": 0, "offline": 1, "online": 2})
        self.assertEqual(self.summary(tree, right)["devices"], 1)
        self.api.post(f"~/devices/{devices[2][0]['assetId']}:disable", {})
        self.delete(f"~/devices/{devices[3][0]['assetId']}")
        self.assertEqual(self.summary(tree, root)["status"], {"disabled": 1, "inactive": 0, "mirror": 0, "offline": 1, "online": 1})
        self.assertEqual(devices[0][1].post({"power": 9.0})["code"], 200)
        self.assertEqual(self.summary(tree, right, points="power")["points"]["power"]["max"], 9.0)
        refused(self, self.api, "GET", f"~/trees/{tree['id']}/nodes/{tree['id']}/summary", 404, "node_unknown")

    def test_changes(self):
        tree = self.tree("Changes")
        node = self.add(tree, "one")
        other = self.add(tree, "two")
        self.move(tree, node, parent=other["id"])
        self.delete(f"~/trees/{tree['id']}/nodes/{node['id']}")
        feed = self.api.get(f"~/trees/{tree['id']}/changes", params={"since": 1})
        self.assertEqual([(c["revision"], [n["what"] for n in c["changes"]]) for c in feed["items"]], [(2, ["added"]), (3, ["added"]), (4, ["moved"]), (5, ["removed"])])
        self.assertEqual((feed["revision"], feed["gap"], feed["more"]), (5, False, False))
        some = self.api.get(f"~/trees/{tree['id']}/changes", params={"since": 3, "limit": 1})
        self.assertEqual(([c["revision"] for c in some["items"]], some["more"]), ([4], True))
        self.assertEqual(self.api.get(f"~/trees/{tree['id']}/changes", params={"since": 5})["items"], [])
        refused(self, self.api, "GET", f"~/trees/{tree['id']}/changes", 400, "malformed", params={"since": "x"})

    def test_a_reader_sees_no_half_of_a_move(self):
        tree = self.tree("Whole")
        left, right = self.add(tree, "left"), self.add(tree, "right")
        moved = self.add(tree, "moved", parent=left)
        self.add(tree, "below", parent=moved)
        over, wrong = threading.Event(), []

        def read():
            api = self.node.api()
            while not over.is_set():
                names = sorted(n["name"] for n in api.get(f"~/trees/{tree['id']}/nodes", params={"depth": 6})["items"])
                if names != ["Whole", "below", "left", "moved", "right"]:
                    wrong.append(names)

        reader = threading.Thread(target=read)
        reader.start()
        for i in range(60):
            self.move(tree, moved, parent=(right if i % 2 == 0 else left)["id"])
        over.set()
        reader.join()
        self.assertEqual(wrong, [])


class Files(Trees):
    def example(self, name):
        tree = self.tree(name, tags={"x": "y"})
        made, _ = self.new_device()
        a = self.add(tree, "a, \"quoted\"", tags={"k": "v"})
        self.add(tree, "b", parent=a, label="=label")
        self.add_device(tree, made, parent=a)
        return tree

    def shape(self, tree):
        return [(n["level"], n["name"], n["asset"]["assetId"], n["tags"]) for n in all_of(self.api, f"~/trees/{tree['id']}/nodes?depth=6", limit=50)]

    def test_clone(self):
        tree = self.example("Cloned")
        clone = self.api.post(f"~/trees/{tree['id']}:clone", {"name": "Clone"})
        self.assertEqual((clone["name"], clone["nodes"], clone["tags"]), ("Clone", 4, {"x": "y"}))
        self.assertEqual(self.shape(clone), self.shape(tree))
        refused(self, self.api, "POST", f"~/trees/{tree['id']}:clone", 422, "validation_failed", json={})

    def test_export_and_import(self):
        tree = self.example("File")
        document = self.api.get(f"~/trees/{tree['id']}:export")
        self.assertEqual((document["name"], len(document["nodes"])), ("File", 4))
        self.assertEqual(self.shape(self.api.request("POST", "~/trees:import", expect=201, json=dict(document, name="As JSON")).json()), self.shape(tree))
        for form, media in (("csv", "text/csv"), ("ndjson", "application/x-ndjson")):
            text = self.api.session.get(self.api.base + f"{self.api.org}/trees/{tree['id']}:export", params={"format": form})
            self.assertEqual(text.headers["Content-Type"].split(";")[0], media)
            made = self.api.session.post(self.api.base + f"{self.api.org}/trees:import", params={"name": form}, data=text.content, headers={"Content-Type": media})
            self.assertEqual(made.status_code, 201, made.text)
            self.assertEqual(self.shape(made.json()), self.shape(tree))
        rows = list(csv.DictReader(io.StringIO(self.api.session.get(self.api.base + f"{self.api.org}/trees/{tree['id']}:export", params={"format": "csv"}).text)))
        self.assertEqual([r["name"] for r in rows][:2], ["File", "a, \"quoted\""])

    def test_import_makes_what_is_not_there(self):
        rows = [{"node": "r", "name": "New site"}, {"node": "h", "parent": "r", "name": "Hall", "modelId": "Inverter"},
                {"node": "d", "parent": "h", "productKey": self.node.demo["productKey"], "deviceKey": "inv-01"}]
        made = self.api.request("POST", "~/trees:import", expect=201, json={"name": "Import", "nodes": rows}).json()
        self.assertEqual([n["name"] for n in self.api.get(f"~/trees/{made['id']}/nodes", params={"depth": 6})["items"]], ["New site", "Hall", "Inverter 1"])

    def test_what_cannot_be_imported_leaves_nothing(self):
        before = len(self.api.get("~/trees")["items"]), len(all_of(self.api, "~/assets?kind=logical", limit=100))
        for nodes, status, code in (
                ([], 422, "import_invalid"),
                ([{"node": "r", "name": "x"}, {"node": "r", "parent": "r", "name": "y"}], 422, "import_invalid"),
                ([{"node": "r", "name": "x"}, {"node": "a", "parent": "b", "name": "y"}, {"node": "b", "parent": "r", "name": "z"}], 422, "import_invalid"),
                ([{"node": "r", "name": "x"}, {"node": "a", "name": "y"}], 422, "import_invalid"),
                ([{"node": "r", "name": "x"}, {"node": "a", "parent": "r", "productKey": "none", "deviceKey": "none"}], 404, "device_unknown"),
                ([{"node": "r", "name": "x"}, {"node": "a", "parent": "r"}], 422, "validation_failed"),
                ([{"node": "0", "name": "x"}] + [{"node": str(i), "parent": str(i - 1), "name": "y"} for i in range(1, 8)], 422, "depth_exceeded")):
            refused(self, self.api, "POST", "~/trees:import", status, code, json={"name": "Bad", "nodes": nodes})
        for body, media, status, code in ((b'node,name\nr,"x', "text/csv", 400, "malformed"), (b"{", "application/x-ndjson", 400, "malformed"),
                                          (b"node,name\nr,x,y\n", "text/csv", 422, "import_invalid"), (b"node,nam\nr,x\n", "text/csv", 400, "unknown_field")):
            got = self.api.session.post(self.api.base + f"{self.api.org}/trees:import", params={"name": "Bad"}, data=body, headers={"Content-Type": media})
            self.assertEqual((got.status_code, got.json()["code"]), (status, code), got.text)
        wait_for(lambda: (len(self.api.get("~/trees")["items"]), len(all_of(self.api, "~/assets?kind=logical", limit=100))) == before, "all is as before")
        tree = self.example("Form")
        refused(self, self.api, "GET", f"~/trees/{tree['id']}:export", 400, "malformed", params={"format": "xlsx"})


if __name__ == "__main__":
    unittest.main()
