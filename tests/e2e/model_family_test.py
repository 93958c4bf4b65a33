"""Thing models that inherit, are cloned, shared, changed element by element and compared (group B of the API)."""
import itertools
import unittest

from api_kit import refused
from orrery import NodeTest

numbers = itertools.count(1)
ANY = {"If-Match": "*"}


def points(*ids):
    return [{"id": i, "type": {"t": "double", "max": 10}} for i in ids]


class FamilyTest(NodeTest):
    def make(self, points=(), publish=True, id=None, **members):
        """A fresh model; gives its id."""
        id = id or f"F{next(numbers)}"
        self.api.post("~/models", dict({"format": "tm/1", "id": id, "measurePoints": list(points)}, **members))
        if publish:
            self.publish(id)
        return id

    def publish(self, id, **body):
        return self.api.post(f"~/models/{id}:publish", body)

    def change(self, id, **members):
        return self.api.request("PATCH", f"~/models/{id}/draft", json=members, headers=ANY).json()

    def effective(self, id):
        return {p["id"]: p for p in self.api.get(f"~/models/{id}?effective=true")["document"]["measurePoints"]}


class Inheritance(FamilyTest):
    def test_a_device_posts_what_its_model_inherits(self):
        parent = self.make(points("a"))
        child = self.make(points("b"), extends=parent)
        product = self.api.post("~/products", {"name": f"On {child}", "modelId": child})["productKey"]
        device = self.new_device(productKey=product)[1]
        self.assertEqual(device.post({"a": 1, "b": 2})["code"], 200)
        self.assertEqual(device.post({"c": 3})["code"], 1204)
        self.change(parent, measurePoints=points("a", "c"))
        self.publish(parent)
        self.assertEqual(device.post({"c": 3})["code"], 200, "without another connection")
        self.assertEqual(self.api.get(f"~/models/{child}")["revision"], 1)
        self.assertEqual(list(self.effective(child)), ["a", "c", "b"])
        pinned = self.api.post("~/products", {"name": f"Pinned {child}", "modelId": child, "modelRevision": 1})["productKey"]
        made = self.api.post("~/devices", {"productKey": pinned})["assetId"]
        body = {"items": [{"points": {"c": 3}}]}
        refused(self, self.api, "POST", f"~/devices/{made}/points", 422, "model_validate_failed", json=body)

    def test_families_are_shown(self):
        root = self.make(points("a"))
        middle = self.make(extends=root)
        leaf = self.api.post("~/models", {"id": f"F{next(numbers)}", "from": {"inherit": middle}, "name": "Leaf"})
        self.assertEqual((leaf["extends"], leaf["modelIdPath"], leaf["rootModelId"]), (middle, f"{root}/{middle}/{leaf['id']}", root))
        listed = self.api.get("~/models", params={"filter": f"root = '{root}'"})["items"]
        self.assertEqual({m["id"] for m in listed}, {root, middle, leaf["id"]})
        self.assertEqual([m["id"] for m in self.api.get("~/models", params={"filter": f"extends = '{root}'"})["items"]], [middle])
        refused(self, self.api, "GET", f"~/models/{leaf['id']}?effective=true", 409, "model_missing")

    def test_a_child_only_narrows(self):
        parent = self.make(points("a"))
        child = self.make([{"id": "a", "name": "A", "type": {"max": 5}}], extends=parent)
        self.assertEqual(self.effective(child)["a"]["type"], {"t": "double", "max": 5})
        for wrong, code in (({"type": {"max": 11}}, "inheritance_widened"), ({"type": {"t": "int"}}, "inheritance_retyped"),
                            ({"unit": "K"}, "inheritance_changed")):
            self.change(child, measurePoints=[dict({"id": "a"}, **wrong)])
            body = refused(self, self.api, "POST", f"~/models/{child}:publish", 422, "inheritance_conflict", json={})
            self.assertEqual([(e["pointer"], e["code"]) for e in body["errors"]], [("/measurePoints/0", code)])
            check = self.api.post(f"~/models/{child}/draft:check")
            self.assertEqual((check["valid"], check["findings"][0]["code"]), (False, code))

    def test_a_parent_that_would_break_its_children_is_refused(self):
        parent = self.make(points("a"))
        child = self.make([{"id": "b", "type": {"t": "string"}}], extends=parent)
        self.change(parent, measurePoints=points("a", "b"))
        check = self.api.post(f"~/models/{parent}/draft:check")
        self.assertEqual((check["valid"], check["models"]), (False, [child]))
        body = refused(self, self.api, "POST", f"~/models/{parent}:publish", 409, "descendant_conflict", json={})
        self.assertEqual(body["errors"][0]["pointer"], f"{child}/measurePoints/0")
        self.assertEqual(self.api.get(f"~/models/{parent}")["revision"], 1)

    def test_no_parent_no_circle_no_abyss(self):
        body = refused(self, self.api, "POST", "~/models", 422, "inheritance_parent_unknown", json={"id": "Orphan", "extends": "None"})
        self.assertEqual(body["errors"][0]["pointer"], "/extends")
        refused(self, self.api, "POST", "~/models", 422, "inheritance_parent_unknown", json={"id": "Orphan", "from": {"inherit": "None"}})
        first = self.make()
        second = self.make(extends=first)
        refused(self, self.api, "PATCH", f"~/models/{first}/draft", 422, "inheritance_cycle", json={"extends": second}, headers=ANY)
        refused(self, self.api, "PATCH", f"~/models/{first}/draft", 422, "inheritance_cycle", json={"extends": first}, headers=ANY)
        last = second
        for _ in range(5):
            last = self.make(extends=last)
        refused(self, self.api, "POST", "~/models", 422, "inheritance_depth", json={"id": "TooDeep", "extends": last})
        draft = self.make(publish=False)
        waiting = self.make(extends=draft, publish=False)
        refused(self, self.api, "POST", f"~/models/{waiting}:publish", 422, "inheritance_parent_unpublished", json={})

    def test_a_parent_stays_while_it_has_children(self):
        parent = self.make()
        child = self.make(extends=parent, publish=False)
        refused(self, self.api, "DELETE", f"~/models/{parent}", 409, "model_in_use", headers=ANY)
        self.api.request("DELETE", f"~/models/{child}", headers=ANY)
        self.api.request("DELETE", f"~/models/{parent}", headers=ANY)


class Clones(FamilyTest):
    def test_are_copies_that_stand_alone(self):
        source = self.make(points("a"), name="Source", tags={"k": "v"}, category="c")
        made = self.api.post("~/models", {"id": f"F{next(numbers)}", "from": {"clone": source}, "name": "Copy"})
        self.assertEqual((made["copyFrom"], made["revision"], made["hasDraft"], made["name"], made["tags"], made["category"]),
                         (source, 0, True, "Copy", {"k": "v"}, "c"))
        self.assertEqual(made["document"]["measurePoints"], points("a"))
        self.publish(made["id"])
        self.change(source, measurePoints=points("a", "b"))
        self.publish(source)
        self.assertEqual(list(self.effective(made["id"])), ["a"])
        bare = self.api.post("~/models", {"id": f"F{next(numbers)}", "from": {"clone": source, "tags": False}})
        self.assertNotIn("tags", bare)

    def test_need_a_source(self):
        refused(self, self.api, "POST", "~/models", 422, "inheritance_parent_unknown", json={"id": "C1", "from": {"clone": "None"}})
        for wrong in ({}, {"clone": "a", "inherit": "b"}, {"clone": 7}, {"inherit": "a", "tags": 1}):
            refused(self, self.api, "POST", "~/models", 422, "validation_failed", json={"id": "C1", "from": wrong})
        refused(self, self.api, "POST", "~/models", 400, "unknown_field", json={"id": "C1", "from": {"clone": "a", "what": 1}})


class Changes(FamilyTest):
    def test_revisions_are_compared(self):
        name = self.make(points("a", "b"))
        self.change(name, measurePoints=[{"id": "b", "type": {"t": "double", "max": 5}}] + points("a", "c"))
        self.publish(name, note="second")
        diff = self.api.get(f"~/models/{name}/revisions/1/diff")
        self.assertEqual((diff["from"], diff["to"], diff["class"]), (1, 2, "risky"))
        self.assertEqual([(c["element"], c["class"]) for c in diff["changes"]], [("measurePoints/b", "risky"), ("measurePoints/c", "compatible")])
        patch = {(p["op"], p["path"]) for p in diff["patch"]}
        self.assertEqual(patch, {("replace", "/measurePoints/b/type/max"), ("add", "/measurePoints/c")})
        back = self.api.get(f"~/models/{name}/revisions/2/diff?to=1")
        self.assertEqual(back["class"], "breaking")
        shown = self.api.get(f"~/models/{name}/revisions/2")
        self.assertEqual((shown["note"], len(shown["document"]["measurePoints"])), ("second", 3))
        for path in ("revisions/9", "revisions/9/diff", "revisions/1/diff?to=9", "revisions/x"):
            refused(self, self.api, "GET", f"~/models/{name}/{path}", 404, "revision_unknown")

    def test_a_risky_change_needs_force_alone(self):
        name = self.make(points("a"))
        key = self.api.post("~/products", {"name": f"Of {name}", "modelId": name})["productKey"]
        for value in (4, 6, None):
            made = self.api.post("~/devices", {"productKey": key})["assetId"]
            if value is not None:
                self.api.post(f"~/devices/{made}/points", {"items": [{"points": {"a": value}}]})
        self.change(name, measurePoints=[{"id": "a", "type": {"t": "double", "max": 5}}])
        check = self.api.post(f"~/models/{name}/draft:check")
        self.assertEqual((check["class"], check["products"], check["devices"]), ("risky", 1, 3))
        self.assertEqual((check["devicesAsked"], check["devicesOutside"]), (3, 1))
        refused(self, self.api, "POST", f"~/models/{name}:publish", 409, "breaking_change", json={})
        self.assertEqual(self.publish(name, force=True)["revision"], 2)

    def test_elements_are_put_and_taken_one_by_one(self):
        name = self.make(points("a"))
        path = f"~/models/{name}/draft/measurePoints/b"
        refused(self, self.api, "PUT", path, 428, "etag_required", json={"type": {"t": "int"}})
        etag = self.api.request("GET", f"~/models/{name}").headers["ETag"]
        done = self.api.request("PUT", path, json={"type": {"t": "int"}}, headers={"If-Match": etag})
        self.assertEqual(done.json()["document"]["measurePoints"], points("a") + [{"id": "b", "type": {"t": "int"}}])
        refused(self, self.api, "PUT", path, 412, "etag_mismatch", json={"type": {"t": "long"}}, headers={"If-Match": etag})
        done = self.api.request("PUT", path, json={"id": "b", "type": {"t": "long"}}, headers={"If-Match": done.headers["ETag"]})
        self.assertEqual(done.json()["document"]["measurePoints"][1], {"id": "b", "type": {"t": "long"}})
        self.api.request("PUT", f"~/models/{name}/draft/events/e", json={"level": "error"}, headers=ANY)
        shown = self.api.request("DELETE", path, headers=ANY).json()
        self.assertEqual((shown["document"]["measurePoints"], shown["document"]["events"]), (points("a"), [{"id": "e", "level": "error"}]))
        refused(self, self.api, "DELETE", path, 404, "element_unknown", headers=ANY)
        refused(self, self.api, "PUT", f"~/models/{name}/draft/things/b", 404, "kind_unknown", json={}, headers=ANY)
        refused(self, self.api, "PUT", path, 422, "model_invalid", json={"id": "c"}, headers=ANY)
        refused(self, self.api, "PUT", path, 400, "malformed", json=[], headers=ANY)
        refused(self, self.api, "PUT", "~/models/None/draft/events/e", 404, "model_unknown", json={}, headers=ANY)

    def test_what_a_model_says_of_itself_needs_no_revision(self):
        name = self.make(points("a"), name="Old")
        shown = self.api.request("PATCH", f"~/models/{name}", json={"name": {"default": "New"}, "tags": {"a": "1", "b": "2"}, "category": "c",
                                                                   "deprecated": True}, headers=ANY).json()
        self.assertEqual((shown["name"], shown["tags"], shown["category"], shown["revision"], shown["deprecated"]),
                         ({"default": "New"}, {"a": "1", "b": "2"}, "c", 1, True))
        self.assertEqual(self.api.request("PATCH", f"~/models/{name}", json={"tags": {"a": None}}, headers=ANY).json()["tags"], {"b": "2"})
        self.assertEqual(self.api.get(f"~/models/{name}?revision=1")["document"]["name"], "Old")
        refused(self, self.api, "PATCH", f"~/models/{name}", 422, "model_invalid", json={"tags": {"a b": "1"}}, headers=ANY)
        refused(self, self.api, "PATCH", f"~/models/{name}", 400, "unknown_field", json={"events": []}, headers=ANY)
        body = {"name": f"On {name}", "modelId": name}
        refused(self, self.api, "POST", "~/products", 409, "model_deprecated", json=body)
        self.api.request("PATCH", f"~/models/{name}", json={"deprecated": False}, headers=ANY)
        self.api.post("~/products", body)

    def test_tags_of_elements_are_searched(self):
        name = self.make([dict(points("a")[0], tags={"part": "rotor"})])
        self.make([dict(points("a")[0], tags={"part": "stator"})])
        listed = self.api.get("~/models", params={"filter": "pointTags.part = 'rotor'"})["items"]
        self.assertEqual([m["id"] for m in listed], [name])


class Sharing(FamilyTest):
    def test_is_with_all_or_with_one_that_is_there(self):
        name = self.make(points("a"))
        shared = self.api.post(f"~/models/{name}:share", {"public": True})
        self.assertEqual((shared["public"], shared["sharedWith"]), (True, []))
        self.assertIn(name, [m["id"] for m in self.api.get("~/models", params={"filter": "public = true"})["items"]])
        self.assertFalse(self.api.post(f"~/models/{name}:unshare", {"public": True})["public"])
        refused(self, self.api, "POST", f"~/models/{name}:share", 422, "organisation_unknown", json={"organisation": "nobody"})
        refused(self, self.api, "POST", f"~/models/{name}:share", 422, "validation_failed", json={})
        refused(self, self.api, "POST", f"~/models/{self.make(publish=False)}:share", 409, "model_missing", json={"public": True})
        refused(self, self.api, "GET", "~/models?scope=theirs", 400, "malformed")
        self.assertEqual(self.api.get("~/models?scope=public")["items"], [])
        self.assertIn(name, [m["id"] for m in self.api.get("~/models?scope=all&limit=500")["items"]])


if __name__ == "__main__":
    unittest.main()
