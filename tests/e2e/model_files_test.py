"""Import and export of thing models, units and the library of elements (group B of the API)."""
import io
import itertools
import json
import unittest
import zipfile

import requests

from api_kit import model_document, refused
from orrery import DEADLINE, NodeTest

numbers = itertools.count(1)
ANY = {"If-Match": "*"}


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name + ".json", content if isinstance(content, (str, bytes)) else json.dumps(content))
    return out.getvalue()


def names(n):
    return [f"I{next(numbers)}" for _ in range(n)]


class FilesTest(NodeTest):
    def send(self, body, query="", **expect):
        kind = "application/zip" if isinstance(body, bytes) else "application/json"
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self.api.request("POST", "~/models:import" + query, data=data, headers={"Content-Type": kind}, **expect)

    def statuses(self, body, query=""):
        done = self.send(body, query).json()
        self.assertEqual(done["ok"] + done["failed"], len(done["results"]))
        return {r["id"]: r["status"] for r in done["results"]}


class Import(FilesTest):
    def test_one_is_drafted_or_published(self):
        one, = names(1)
        self.assertEqual(self.statuses(model_document(one)), {one: "created"})
        self.assertEqual(self.api.get(f"~/models/{one}")["revision"], 0)
        self.assertEqual(self.statuses(model_document(one), "?publish=true&note=n"), {one: "published"})
        self.assertEqual(self.api.get(f"~/models/{one}/revisions")["items"][0]["note"], "n")
        self.assertEqual(self.statuses(model_document(one), "?publish=true"), {one: "unchanged"})
        self.assertEqual(self.api.get(f"~/models/{one}")["revision"], 1)
        self.assertEqual(self.statuses(model_document(one, description="d")), {one: "updated"})

    def test_a_family_comes_in_any_order(self):
        root, middle, leaf = names(3)
        documents = {"c": {"format": "tm/1", "id": leaf, "extends": middle}, "b": {"format": "tm/1", "id": middle, "extends": root},
                     "a": model_document(root)}
        self.assertEqual(self.statuses(zipped(**documents), "?publish=true"), dict.fromkeys((root, middle, leaf), "published"))
        self.assertEqual(self.api.get(f"~/models/{leaf}")["modelIdPath"], f"{root}/{middle}/{leaf}")

    def test_one_bad_file_hinders_no_other(self):
        good, orphan, wrong = names(3)
        done = self.send(zipped(good=model_document(good), broken="{", orphan={"format": "tm/1", "id": orphan, "extends": "None"},
                                wrong={"format": "tm/1", "id": wrong, "measurePoints": [{"id": "p"}]}), "?publish=true").json()
        found = {r["file"]: (r["status"], r.get("error", {}).get("code")) for r in done["results"]}
        self.assertEqual(found, {"good.json": ("published", None), "broken.json": ("failed", "import_invalid"),
                                 "orphan.json": ("failed", "inheritance_parent_unknown"), "wrong.json": ("created", "model_invalid")})
        self.assertEqual((done["ok"], done["failed"]), (1, 3))
        self.assertTrue(next(r for r in done["results"] if r["id"] == wrong)["error"]["errors"])

    def test_modes(self):
        one, two = names(2)
        self.assertEqual(self.statuses(model_document(one), "?mode=create"), {one: "created"})
        self.assertEqual(self.statuses(model_document(one), "?mode=create"), {one: "failed"})
        self.assertEqual(self.statuses(model_document(two), "?mode=update"), {two: "failed"})
        self.assertEqual(self.statuses(model_document(one, description="d"), "?mode=update"), {one: "updated"})
        refused(self, self.api, "POST", "~/models:import?mode=replace", 400, "malformed", json={})

    def test_bad_archives(self):
        for body in ("", "{", "7", "[[]]", b"PK\x03\x04x", b"\x00\x01"):
            self.assertEqual(self.send(body, expect=422).json()["code"], "import_invalid", body)
        self.send([model_document(n) for n in names(21)], expect=413)
        bomb = zipped(a=" " * (50 << 20))
        self.assertLess(len(bomb), 100_000)
        self.assertEqual(self.send(bomb, expect=413).json()["code"], "too_large")

    def test_publishing_needs_its_permission(self):
        writer = self.node.api(self.api.post("~/apps/importer/keys", {"permissions": ["model:write", "model:read"]})["apiKey"])
        reply = writer.request("POST", "~/models:import?publish=true", json=model_document(names(1)[0]), expect=403)
        self.assertEqual(reply.json()["code"], "forbidden")


class Export(FilesTest):
    def test_comes_back(self):
        root, leaf = names(2)
        documents = [model_document(root), {"format": "tm/1", "id": leaf, "extends": root,
                                            "measurePoints": [{"id": "more", "type": {"t": "double"}}]}]
        self.send(documents, "?publish=true")
        shown = self.api.post("~/models:export", {"ids": [leaf], "parents": True})
        self.assertEqual([(d["id"], d.pop("revision")) for d in shown], [(root, 1), (leaf, 1)])
        self.assertEqual(shown, documents)
        packed = requests.post(f"{self.api.base}/orgs/-/models:export", json={"ids": [root, leaf], "as": "zip"}, timeout=DEADLINE,
                               headers={"Authorization": f"Bearer {self.node.demo['apiKey']}"})
        self.assertEqual(packed.headers["Content-Type"], "application/zip")
        with zipfile.ZipFile(io.BytesIO(packed.content)) as inside:
            self.assertEqual(inside.namelist(), [f"{root}.json", f"{leaf}.json"])
            self.assertEqual(json.loads(inside.read(f"{leaf}.json"))["extends"], root)
        self.assertEqual(self.statuses(packed.content), {root: "unchanged", leaf: "unchanged"})

    def test_in_the_dialect_of_enos(self):
        root, leaf = names(2)
        self.send([{"format": "tm/1", "id": root, "measurePoints": [{"id": "p", "unit": "kW.h", "signal": "PI", "type": {"t": "double", "min": 0}}]},
                   {"format": "tm/1", "id": leaf, "extends": root, "attributes": [{"id": "a", "type": {"t": "int"}}]}], "?publish=true")
        theirs = self.api.post("~/models:export", {"ids": [root, leaf], "format": "enos"})
        self.assertEqual(theirs[0]["thingMeasurepointMap"]["p"]["unit"], {"unitId": "kWh", "multiplier": "ONE"})
        self.assertEqual((theirs[1]["parentThingModelId"], theirs[1]["inheritedMeasurepointIds"]), (root, ["p"]))
        self.assertEqual(self.api.get(f"~/models/{leaf}?format=enos")["document"], theirs[1])
        self.assertEqual(self.statuses(theirs), {root: "unchanged", leaf: "unchanged"})
        own, = names(1)
        self.send({"format": "tm/1", "id": own, "measurePoints": [{"id": "l", "type": {"t": "long"}}]}, "?publish=true")
        body = refused(self, self.api, "POST", "~/models:export", 422, "enos_unsupported", json={"ids": [root, own], "format": "enos"})
        self.assertEqual([e["pointer"] for e in body["errors"]], [f"{own}/measurePoints/l"])

    def test_as_rows(self):
        one, = names(1)
        self.send({"format": "tm/1", "id": one, "name": "Kept", "measurePoints": [{"id": "p", "unit": "bar", "type": {"t": "double", "max": 4}}]}, "?publish=true")

        def write(ids):
            return requests.post(f"{self.api.base}/orgs/-/models:export", json={"ids": ids, "format": "csv"}, timeout=DEADLINE,
                                 headers={"Authorization": f"Bearer {self.node.demo['apiKey']}"})

        packed = write([one])
        with zipfile.ZipFile(io.BytesIO(packed.content)) as inside:
            rows = inside.read(f"{one}.csv").decode().splitlines()
        self.assertIn("measurePoint,p,", rows[1])
        self.assertEqual(self.statuses(packed.content), {one: "unchanged"})
        csv = "kind,id,type,unit\nmeasurePoint,p,double,bar\nmeasurePoint,q,int,\n"
        headers = {"Content-Type": "text/csv"}
        done = self.api.request("POST", f"~/models:import?id={one}&publish=true", data=csv, headers=headers).json()
        self.assertEqual((done["ok"], done["results"][0]["revision"]), (1, 2))
        shown = self.api.get(f"~/models/{one}")["document"]
        self.assertEqual((shown["name"], [p["id"] for p in shown["measurePoints"]]), ("Kept", ["p", "q"]))
        bad = self.api.request("POST", f"~/models:import?id={one}", data="kind,id,min\nevent,e,x", headers=headers).json()["results"][0]
        self.assertEqual((bad["status"], bad["error"]["errors"][0]["pointer"]), ("failed", "/2/min"))
        self.assertEqual(self.api.request("POST", "~/models:import", data=csv, headers=headers).json()["failed"], 1)
        refused(self, self.api, "POST", "~/models:export", 422, "validation_failed", json={"ids": [one], "format": "csv", "as": "json"})
        two, = names(1)
        self.send(dict(model_document(two), services=[{"id": "s", "input": [{"id": "n", "type": {"t": "int"}}]}]), "?publish=true")
        self.assertEqual(write([two]).json()["code"], "csv_unsupported")

    def test_is_of_models_that_are_there(self):
        refused(self, self.api, "POST", "~/models:export", 404, "model_unknown", json={"ids": ["None"]})
        for wrong in ({}, {"ids": []}, {"ids": ["a"], "as": "rar"}, {"ids": ["a"] * 21}, {"ids": 7}):
            refused(self, self.api, "POST", "~/models:export", 422, "validation_failed", json=wrong)
        draft, = names(1)
        self.send(model_document(draft))
        refused(self, self.api, "POST", "~/models:export", 409, "model_missing", json={"ids": [draft], "format": "enos"})


class Library(FilesTest):
    def test_units_have_code_and_symbol(self):
        units = self.api.get("~/library/units?limit=500")["items"]
        self.assertGreater(len(units), 200)
        self.assertIn({"code": "Cel", "quantity": "temperature", "symbol": "°C"}, units)
        energy = self.api.get("~/library/units", params={"filter": "quantity = 'energy'"})["items"]
        self.assertIn("kW.h", [u["code"] for u in energy])

    def test_elements_are_kept_and_held_against(self):
        put = {"elements": [{"id": "TEMP", "name": "Temperature", "elementTypes": ["measurePoint"], "type": {"t": "double"}, "unit": "Cel"},
                            {"identifier": "A56.1", "elementType": ["attribute"], "dataType": "string", "name": {"defaultValue": "Maker"}}]}
        self.assertEqual(self.api.post("~/library:import", put), {"imported": 2, "total": 2})
        listed = self.api.get("~/library/elements")["items"]
        self.assertEqual([(e["id"], e["elementTypes"]) for e in listed], [("A56.1", ["attribute"]), ("TEMP", ["measurePoint"])])

        def publish(**element):
            name, = names(1)
            self.api.post("~/models", {"format": "tm/1", "id": name, "measurePoints": [dict({"id": "t", "standardRef": "TEMP"}, **element)]})
            return name, f"~/models/{name}:publish"

        self.api.post(publish(type={"t": "double"}, unit="Cel")[1])
        for wrong in ({"type": {"t": "int"}, "unit": "Cel"}, {"type": {"t": "double"}, "unit": "K"}, {"type": {"t": "string"}, "standardRef": "A56.1"},
                      {"type": {"t": "double"}, "standardRef": "None"}):
            body = refused(self, self.api, "POST", publish(**wrong)[1], 422, "standard_mismatch", json={})
            self.assertEqual(body["errors"][0]["pointer"], "/measurePoints/0/standardRef")
        self.assertEqual(self.api.post("~/library:import", {"remove": ["TEMP", "A56.1", "None"]}), {"imported": 0, "total": 0})
        self.api.post(publish(type={"t": "int"})[1])
        refused(self, self.api, "GET", "~/models/$library", 404, "model_unknown")

    def test_bad_elements_are_refused_all_together(self):
        for wrong in ({"id": "x", "elementTypes": ["attribute"]}, {"id": "x", "elementTypes": ["thing"]}, {"id": "x y", "elementTypes": ["service"]}, {"id": "x"},
                      {"name": "x"}, 7, {"id": "x", "elementTypes": ["service"], "type": {"t": "int"}}, {"id": "x", "elementTypes": ["attribute"], "type": {"t": "int"}, "z": 1}):
            good = {"id": "ok", "elementTypes": ["service"]}
            refused(self, self.api, "POST", "~/library:import", 422, "library_invalid", json={"elements": [good, wrong]})
        refused(self, self.api, "POST", "~/library:import", 422, "import_invalid", json={"elements": [{"identifier": "x", "elementType": ["attribute"]}]})
        refused(self, self.api, "POST", "~/library:import", 422, "validation_failed", json={})
        self.assertEqual(self.api.get("~/library/elements")["items"], [])


if __name__ == "__main__":
    unittest.main()
