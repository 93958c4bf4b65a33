"""Groups of devices, and roles that hold for them and for nodes of asset trees."""
import base64
import unittest

from api_kit import all_of, refused
from orrery import NodeTest, wait_for

PASSWORD = "long enough"
NO_ASSET = "00000000000000000000000000000"


class GroupsTest(NodeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        api = cls.api
        cls.product = cls.node.demo["productKey"]
        cls.model = api.get(f"~/products/{cls.product}")["modelId"]
        made = api.post("~/devices:batch", {"items": [
            {"productKey": cls.product, "deviceKey": f"g-{n}", "tags": {"fleet": "g", "site": f"S{n % 2}"}} for n in range(6)]})
        cls.devices = [r["id"] for r in made["results"]]

    def group(self, name, rule=None, **more):
        body = dict({"name": name, "type": "dynamic" if rule else "static"}, **({"rule": rule} if rule else {}), **more)
        return self.api.post("~/groups", body)["id"]

    def add(self, group, *numbers):
        done = self.api.post(f"~/groups/{group}/members:add", {"ids": [self.devices[n] for n in numbers]})
        self.assertEqual(done["failed"], 0, done)

    def numbers(self, text, api=None):
        found = (api or self.api).post("~/devices/search", {"filter": text, "limit": 500})["items"]
        return sorted(self.devices.index(d["assetId"]) for d in found if d["assetId"] in self.devices)

    def person(self, login, permissions, **scope):
        self.api.post("~/roles", {"name": login, "permissions": permissions, "scope": scope})
        self.api.post("~/users", {"login": login, "password": PASSWORD, "roles": [login]})
        return self.node.api(self.api.post("/auth/login", {"user": login, "password": PASSWORD})["access"])


class Groups(GroupsTest):
    def test_come_change_and_go(self):
        made = self.api.post("~/groups", {"name": "North", "type": "static", "description": "all of it"})
        path = f"~/groups/{made['id']}"
        self.assertEqual((made["type"], made["createdBy"][:4], "rule" in made), ("static", "key:", False))
        self.assertEqual(self.api.get(path), made)
        self.assertEqual(self.api.get("~/groups", params={"filter": "name = 'North'"})["items"], [made])
        refused(self, self.api, "POST", "~/groups", 409, "group_exists", json={"name": "North", "type": "static"})
        etag = self.api.request("GET", path).headers["ETag"]
        self.assertEqual(self.api.request("PATCH", path, json={"name": "Nord"}, headers={"If-Match": etag}).json()["name"], "Nord")
        refused(self, self.api, "PATCH", path, 412, "etag_mismatch", json={"name": "x"}, headers={"If-Match": etag})
        refused(self, self.api, "DELETE", path, 412, "etag_mismatch", headers={"If-Match": etag})
        refused(self, self.api, "PATCH", path, 422, "validation_failed", json={"rule": "name = 'x'"})
        self.api.request("DELETE", path)
        for method, rest, options in (("GET", "", {}), ("DELETE", "", {}), ("PATCH", "", {"json": {}}), ("GET", "/members", {}),
                                      ("POST", "/members:add", {"json": {"ids": []}})):
            refused(self, self.api, method, path + rest, 404, "group_unknown", **options)

    def test_are_checked(self):
        for body, pointer in (({"type": "static"}, "/name"), ({"name": "x"}, "/type"), ({"name": "x", "type": "none"}, "/type"),
                              ({"name": "x", "type": "dynamic"}, "/rule"), ({"name": "x", "type": "static", "rule": "name = 'x'"}, "/rule")):
            found = refused(self, self.api, "POST", "~/groups", 422, "validation_failed", json=body)
            self.assertEqual([e["pointer"] for e in found["errors"]], [pointer], body)
        refused(self, self.api, "POST", "~/groups", 422, "group_invalid", json={"name": "x" * 65, "type": "static"})
        for rule, status, code in (("(", 422, "group_rule_invalid"), ("points.power > 1", 422, "group_rule_invalid"), ("nothing = 1", 400, "bad_filter"),
                                   ("group = 'g-none'", 422, "group_rule_invalid")):
            refused(self, self.api, "POST", "~/groups", status, code, json={"name": "x", "type": "dynamic", "rule": rule})
        nested = self.group("Nested", "tags.site = 'S0'")
        rule = f"group = '{nested}'"
        refused(self, self.api, "POST", "~/groups", 422, "group_nested", json={"name": "x", "type": "dynamic", "rule": rule})
        refused(self, self.api, "POST", "~/groups:preview", 400, "bad_filter", json={"rule": rule})
        refused(self, self.api, "POST", "~/groups", 400, "unknown_field", json={"name": "x", "type": "static", "members": []})

    def test_a_post_is_repeated_safely(self):
        body, headers = {"name": "Once", "type": "static"}, {"Idempotency-Key": "once"}
        first = self.api.request("POST", "~/groups", json=body, headers=headers)
        again = self.api.request("POST", "~/groups", json=body, headers=headers)
        self.assertEqual((first.json(), again.headers["Idempotent-Replay"]), (again.json(), "true"))
        self.assertEqual(len(self.api.get("~/groups", params={"filter": "name = 'Once'"})["items"]), 1)

    def test_static_ones_have_who_was_put_into_them(self):
        group = self.group("Put")
        path = f"~/groups/{group}"
        self.add(group, 0, 3)
        self.add(group, 3, 4)
        self.assertEqual(self.numbers(f"group = '{group}'"), [0, 3, 4])
        self.assertEqual(self.numbers(f"group = \"{group}\" and deviceTags.site = \"S1\""), [3])
        self.assertEqual(self.numbers(f"tags.fleet = 'g' and group != '{group}'"), [1, 2, 5])
        self.assertEqual(self.api.post("~/devices:count", {"filter": f"group in ('{group}')", "groupBy": ["tags.site"]})["total"], 3)
        self.assertEqual(len(all_of(self.api, path + "/members", 2)), 3)
        self.assertEqual(self.api.get(path + "/members", params={"filter": "tags.site = 'S1'", "fields": "deviceKey", "count": "true"}),
                         {"items": [{"deviceKey": "g-3"}], "total": 1})
        self.assertEqual(self.api.get(f"~/devices/{self.devices[3]}")["groups"], [group])
        self.assertEqual(self.api.post(path + "/members:remove", {"ids": [self.devices[3], self.devices[5]]})["ok"], 2)
        self.assertEqual(self.numbers(f"group = '{group}'"), [0, 4])
        done = self.api.post(path + "/members:add", {"ids": [self.devices[1], self.devices[1][:-1] + "0"]})
        self.assertEqual([(r["status"], r.get("error", {}).get("code")) for r in done["results"]], [(200, None), (404, "device_unknown")])
        found = refused(self, self.api, "POST", path + "/members:add", 422, "validation_failed", json={"ids": ["x"]})
        self.assertEqual(found["errors"][0]["pointer"], "/ids/0")
        refused(self, self.api, "POST", "~/devices:count", 400, "bad_group", json={"groupBy": ["group"]})
        for text in ("group like 'g'", "group > 'g'"):
            refused(self, self.api, "POST", "~/devices/search", 400, "bad_filter", json={"filter": text})

    def test_dynamic_ones_have_whom_their_rule_accepts(self):
        inner = self.group("Inner")
        self.add(inner, 0, 1, 2)
        group = self.group("Ruled", f"tags.site = 'S0' and modelId = '{self.model}' and group = '{inner}'")
        self.assertEqual(self.numbers(f"group = '{group}'"), [0, 2])
        self.assertEqual(self.numbers(f"tags.fleet = 'g' and group != '{group}'"), [1, 3, 4, 5])
        self.assertEqual(len(self.api.get(f"~/groups/{group}/members")["items"]), 2)
        self.add(inner, 4)
        self.assertEqual(self.numbers(f"group in ('{group}', 'g-none')"), [0, 2, 4])
        self.api.request("PATCH", f"~/groups/{group}", json={"rule": "tags.fleet = 'g' and tags.site = 'S1'"})
        self.assertEqual(self.numbers(f"group = '{group}'"), [1, 3, 5])
        refused(self, self.api, "POST", f"~/groups/{group}/members:add", 409, "group_dynamic", json={"ids": []})
        self.assertNotIn(group, self.api.get(f"~/devices/{self.devices[1]}")["groups"] if "groups" in self.api.get(f"~/devices/{self.devices[1]}") else [])

    def test_a_rule_is_tried_first(self):
        seen = self.api.post("~/groups:preview", {"rule": "tags.fleet = 'g' and tags.site = 'S0'", "sample": 2})
        self.assertEqual((seen["count"], len(seen["sample"])), (3, 2))
        self.assertEqual(self.api.post("~/groups:preview", {"rule": "deviceKey = 'nobody'"}), {"count": 0, "sample": []})
        refused(self, self.api, "POST", "~/groups:preview", 422, "group_rule_invalid", json={"rule": "("})
        refused(self, self.api, "POST", "~/groups:preview", 422, "validation_failed", json={})

    def test_one_that_goes_leaves_its_devices(self):
        group = self.group("Leaving")
        self.add(group, 0, 5)
        self.api.request("DELETE", f"~/groups/{group}")
        self.assertEqual(self.numbers(f"group = '{group}'"), [], "at once")
        self.assertNotIn("groups", self.api.get(f"~/devices/{self.devices[5]}"))
        # What is written of it in the devices goes a little later: their records change.
        wait_for(lambda: any("group_emptied" in line and group in line for line in self.node.log_text().splitlines()), "the devices leave the group")

    def test_one_that_is_named_stays(self):
        group = self.group("Named")
        self.api.post("~/roles", {"name": "naming", "permissions": ["device:read"], "scope": {"groups": [group]}})
        refused(self, self.api, "DELETE", f"~/groups/{group}", 409, "group_in_use")
        self.api.request("DELETE", "~/roles/naming")
        rule = self.group("Naming", f"group = '{group}'")
        refused(self, self.api, "DELETE", f"~/groups/{group}", 409, "group_in_use")
        self.api.request("DELETE", f"~/groups/{rule}")
        self.api.request("DELETE", f"~/groups/{group}")

    def test_groups_that_are_gone_make_room(self):
        device = self.api.post("~/devices", {"productKey": self.product, "deviceKey": "g-room"})["assetId"]
        groups = [self.group(f"Room {n}") for n in range(33)]

        def add(group):
            return self.api.post(f"~/groups/{group}/members:add", {"ids": [device]})["results"][0]
        for group in groups[:32]:
            self.assertEqual(add(group)["status"], 200)
        self.assertEqual(add(groups[32])["error"]["code"], "group_limit")
        self.assertEqual(add(groups[0])["status"], 200, "it is in that one")
        self.api.request("DELETE", f"~/groups/{groups[5]}")
        self.assertEqual(add(groups[32])["status"], 200)
        left = groups[:5] + groups[6:]
        self.assertEqual(sorted(self.api.get(f"~/devices/{device}")["groups"]), sorted(left))
        for group in left:
            self.api.request("DELETE", f"~/groups/{group}")

    def test_rights(self):
        viewer = self.person("vic", ["group:read", "device:read"])
        group = self.group("Seen")
        viewer.get(f"~/groups/{group}")
        viewer.get(f"~/groups/{group}/members")
        viewer.post("~/groups:preview", {"rule": "name = 'x'"})
        names = self.person("nina", ["group:*"])
        names.get(f"~/groups/{group}")
        refused(self, names, "GET", f"~/groups/{group}/members", 403, "forbidden")
        refused(self, names, "POST", "~/groups:preview", 403, "forbidden", json={"rule": "name = 'x'"})
        for act in ("add", "remove"):
            refused(self, names, "POST", f"~/groups/{group}/members:{act}", 403, "forbidden", json={"ids": [self.devices[0]]})
        for method, path, body in (("POST", "~/groups", {"name": "x", "type": "static"}), ("PATCH", f"~/groups/{group}", {}),
                                   ("DELETE", f"~/groups/{group}", None), ("POST", f"~/groups/{group}/members:add", {"ids": []})):
            refused(self, viewer, method, path, 403, "forbidden", **({"json": body} if body is not None else {}))
        self.api.post("/orgs", {"id": "elsewhere", "name": "E", "admin": {"login": "elsa", "password": PASSWORD}})
        foreign = self.node.api(self.api.post("/auth/login", {"user": "elsa", "password": PASSWORD, "organisation": "elsewhere"})["access"])
        refused(self, foreign, "GET", f"~/groups/{group}", 404, "group_unknown")
        self.assertEqual(foreign.get("~/groups")["items"], [])
        own = foreign.post("~/groups", {"name": "Own", "type": "static"})["id"]
        done = foreign.post(f"~/groups/{own}/members:add", {"ids": [self.devices[0]]})
        self.assertEqual(done["results"][0]["error"]["code"], "device_unknown")


class Scopes(GroupsTest):
    """Whoever has a role for some groups or nodes: what is outside of them is not there."""
    def sees(self, api, *numbers):
        """In lists, counts, questions about many, and calls about one, by both of its addresses."""
        expected = sorted(numbers)
        found = [self.devices.index(d["assetId"]) for d in all_of(api, "~/devices", 2)]
        self.assertEqual(sorted(found), expected)
        self.assertEqual(self.numbers("tags.fleet = 'g'", api), expected)
        self.assertEqual([self.devices.index(d["assetId"]) for d in api.get("~/devices", params={"sort": "deviceKey"})["items"]], expected)
        self.assertEqual(api.get("~/devices", params={"count": "true"})["total"], len(expected))
        self.assertEqual(api.post("~/devices:count", {})["total"], len(expected))
        self.assertEqual(api.get("~/stats/devices")["total"], len(expected))
        self.assertEqual([self.devices.index(s["assetId"]) for s in api.post("~/devices/status", {"ids": self.devices})["items"]], expected)
        seen = {r["assetId"] for r in api.post("~/points/latest", {"ids": self.devices})["items"]}
        self.assertEqual(seen, {self.devices[n] for n in expected})
        for n, asset in enumerate(self.devices):
            for path in (f"~/devices/{asset}", f"~/products/{self.product}/devices/g-{n}"):
                if n in expected:
                    api.get(path)
                    api.request("PATCH", path, json={"description": "seen"})
                else:
                    refused(self, api, "GET", path, 404, "device_unknown")
                    refused(self, api, "PATCH", path, 404, "device_unknown", json={"name": "x"})
                    refused(self, api, "GET", path + "/points/latest", 404, "device_unknown")
                    refused(self, api, "POST", path + ":kick", 404, "device_unknown", json={})

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for asset in cls.devices:
            cls.api.post(f"~/devices/{asset}/points", {"items": [{"points": {"power": 1.0}}]})

    def test_a_static_group(self):
        group = self.group("Mine")
        self.add(group, 1, 4)
        api = self.person("gina", ["*"], groups=[group])
        self.sees(api, 1, 4)
        self.add(group, 5)
        self.api.post(f"~/groups/{group}/members:remove", {"ids": [self.devices[1]]})
        self.sees(api, 4, 5)
        for path in ("~/groups", f"~/groups/{group}", f"~/groups/{group}/members", "~/users", "~/models", "~/trees"):
            refused(self, api, "GET", path, 403, "scope_denied")
        self.assertEqual(api.get("~/products")["items"], [])
        refused(self, api, "GET", f"~/products/{self.product}", 404, "product_unknown")
        refused(self, api, "POST", "~/devices", 404, "product_unknown", json={"productKey": self.product})
        with self.assertRaises(AssertionError):
            api.stream({"kind": "points"})

    def test_a_dynamic_group(self):
        group = self.group("Site 1", "tags.fleet = 'g' and tags.site = 'S1'")
        api = self.person("dora", ["*"], groups=[group, "g-none"])
        self.sees(api, 1, 3, 5)
        # Whoever changes a device takes it out, himself too.
        api.request("PUT", f"~/devices/{self.devices[5]}/tags", json={"fleet": "g", "site": "S9"}, expect=None)
        self.sees(api, 1, 3)
        self.api.request("PUT", f"~/devices/{self.devices[5]}/tags", json={"fleet": "g", "site": "S1"})
        self.sees(api, 1, 3, 5)

    def test_a_node_of_a_tree(self):
        tree = self.api.post("~/trees", {"name": "Works", "root": {"asset": {"name": "Works"}}})
        nodes = f"~/trees/{tree['id']}/nodes"
        hall = self.api.post(nodes, {"parent": tree["rootId"], "asset": {"name": "Hall"}})["id"]
        line = self.api.post(nodes, {"parent": hall, "asset": {"name": "Line"}})["id"]
        at = self.api.post(nodes, {"parent": line, "assetId": self.devices[2]})["id"]
        self.api.post(nodes, {"parent": tree["rootId"], "assetId": self.devices[3]})
        api = self.person("nora", ["*"], treeNodes=[hall, "nonsense"])
        self.sees(api, 2)
        self.api.post(nodes, {"parent": hall, "assetId": self.devices[0]})
        self.sees(api, 0, 2)
        self.api.post(f"{nodes}/{at}:move", {"parent": tree["rootId"]})
        self.sees(api, 0)
        other = self.person("ole", ["*"], treeNodes=[at])
        self.sees(other, 2)

    def two_roles(self, login, everywhere, some, **scope):
        """One who has these in all of the organisation, and those for a scope."""
        self.api.post("~/roles", {"name": f"{login}-some", "permissions": some, "scope": scope})
        api = self.person(login, everywhere)
        self.api.request("PUT", f"~/grants/users/{login}", json={"roles": [login, f"{login}-some"]})
        return api

    def test_who_reads_groups_sees_the_devices_that_he_reaches(self):
        mine, all_devices = self.group("Reached"), self.group("All of them")
        self.add(mine, 1, 3)
        self.add(all_devices, *range(6))
        api = self.two_roles("rita", ["group:*"], ["device:read"], groups=[mine])
        found = all_of(api, f"~/groups/{all_devices}/members", 1)
        self.assertEqual(sorted(self.devices.index(d["assetId"]) for d in found), [1, 3])
        self.assertEqual(api.get(f"~/groups/{all_devices}/members", params={"count": "true"})["total"], 2)
        seen = api.post("~/groups:preview", {"rule": "tags.fleet = 'g'"})
        self.assertEqual((seen["count"], sorted(self.devices.index(d["assetId"]) for d in seen["sample"])), (2, [1, 3]))
        refused(self, api, "POST", f"~/groups/{all_devices}/members:add", 403, "forbidden", json={"ids": [self.devices[1]]})

    def test_who_changes_groups_brings_nobody_into_a_scope_that_he_does_not_write(self):
        mine, target = self.group("Writes"), self.group("Target")
        self.add(mine, 1, 3)
        api = self.two_roles("willi", ["group:*"], ["device:read", "device:write"], groups=[mine])
        ids = {"ids": [self.devices[n] for n in (0, 1, 3)]}
        for act in ("add", "remove"):
            done = api.post(f"~/groups/{target}/members:{act}", ids)
            self.assertEqual([r.get("error", {}).get("code") for r in done["results"]], ["device_unknown", None, None])
            self.assertEqual(self.numbers(f"group = '{target}'"), [1, 3] if act == "add" else [])

    def test_who_changes_groups_gives_no_role_more_than_he_has(self):
        direct, inner = self.group("Held"), self.group("Held by a rule")
        ruled = self.group("Rules", f"tags.site = 'S1' and group != '{inner}'")
        api = self.person("greta", ["group:*", "device:*"])
        for name, group in (("held", direct), ("held-ruled", ruled)):
            self.api.post("~/roles", {"name": name, "permissions": ["device:read", "ota:write"], "scope": {"groups": [group]}})
        ids = {"ids": [self.devices[0]]}
        for method, path, body in (("POST", f"{direct}/members:add", ids), ("POST", f"{inner}/members:add", ids),
                                   ("POST", f"{inner}/members:remove", ids), ("PATCH", ruled, {"rule": "tags.fleet = 'g'"})):
            found = refused(self, api, method, f"~/groups/{path}", 403, "forbidden", json=body)
            self.assertIn("ota:write", found["detail"], path)
        self.assertEqual(self.numbers(f"group = '{direct}'"), [])
        # To leave gives nobody anything, nor does a name; and whoever has it all may give it.
        self.assertEqual(api.post(f"~/groups/{direct}/members:remove", ids)["ok"], 1)
        api.request("PATCH", f"~/groups/{ruled}", json={"name": "Rules still"})
        more = self.person("gerd", ["group:*", "device:*", "ota:*"])
        self.assertEqual(more.post(f"~/groups/{direct}/members:add", ids)["ok"], 1)
        more.request("PATCH", f"~/groups/{ruled}", json={"rule": "tags.fleet = 'g'"})

    def test_they_add_up(self):
        group = self.group("Some")
        self.add(group, 0)
        tree = self.api.post("~/trees", {"name": "Sum", "root": {"assetId": self.devices[1]}})
        self.api.post("~/roles", {"name": "by-node", "permissions": ["device:*"], "scope": {"treeNodes": [tree["rootId"]]}})
        api = self.person("sam", ["*"], groups=[group])
        self.api.request("PUT", "~/grants/users/sam", json={"roles": ["sam", "by-node"]})
        self.assertEqual(self.numbers("tags.fleet = 'g'", api), [0, 1])
        self.assertEqual([r["assetId"] for r in api.post("~/points/latest", {"ids": self.devices})["items"]], [self.devices[0]], "by-node gives no data")
        refused(self, api, "GET", f"~/devices/{self.devices[1]}/points/latest", 404, "device_unknown")

    def test_gateways_and_their_sub_devices(self):
        hub = self.api.post("~/products", {"name": "Hub", "modelId": self.model, "nodeType": "gateway"})["productKey"]
        gateway = self.api.post("~/devices", {"productKey": hub, "deviceKey": "hub"})["assetId"]
        names = [{"productKey": self.product, "deviceKey": f"g-{n}"} for n in range(3)]
        group = self.group("Hubs")
        self.api.post(f"~/groups/{group}/members:add", {"ids": [gateway, self.devices[0], self.devices[2]]})
        api = self.person("hans", ["*"], groups=[group])
        done = api.post(f"~/devices/{gateway}/subDevices:bind", {"devices": names})
        self.assertEqual([r.get("error", {}).get("code") for r in done["results"]], [None, "device_unknown", None])
        self.api.post(f"~/devices/{gateway}/subDevices:bind", {"devices": names[1:2]})
        self.assertEqual([s["deviceKey"] for s in all_of(api, f"~/devices/{gateway}/subDevices", 2)], ["g-0", "g-2"])
        # The place of the next page is the last one that was shown, whoever stands between.
        first = api.get(f"~/devices/{gateway}/subDevices", params={"limit": 1})
        self.assertEqual([s["deviceKey"] for s in first["items"]], ["g-0"])
        place = base64.urlsafe_b64decode(first["nextCursor"] + "=" * (-len(first["nextCursor"]) % 4))
        self.assertTrue(place.endswith(b"/g-0"), place)
        # Whose sub-device one is already is said to those alone who reach all gateways.
        hub2 = self.api.post("~/devices", {"productKey": hub, "deviceKey": "hub2"})["assetId"]
        self.api.post(f"~/groups/{group}/members:add", {"ids": [hub2]})
        for who, named in ((api, False), (self.api, True)):
            done = who.post(f"~/devices/{hub2}/subDevices:bind", {"devices": names[:1]})["results"][0]["error"]
            self.assertEqual((done["code"], f"{hub}/hub" in done["detail"]), ("already_bound", named), done)
        self.assertEqual(api.get(f"~/devices/{self.devices[0]}/gateway")["assetId"], gateway)
        alone = self.group("Alone")
        self.add(alone, 1)
        other = self.person("otto", ["*"], groups=[alone])
        refused(self, other, "GET", f"~/devices/{self.devices[1]}/gateway", 404, "sub_device_unbound")
        self.api.post(f"~/devices/{gateway}/subDevices:unbind", {"devices": names})


if __name__ == "__main__":
    unittest.main()
