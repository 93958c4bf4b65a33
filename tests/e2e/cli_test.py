"""The command line: every command as a person types it, every output form, every refusal."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import yaml

from api_kit import model_document, next_of, serve, totp
from orrery import BIN, DEADLINE, NodeTest, free_socket, wait_for


class CliTest(NodeTest):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="orrery-home-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.environment = {"HOME": str(self.home), "PATH": os.environ["PATH"], "ORRERY_SERVER": f"http://127.0.0.1:{self.node.ports['api']}",
                            "ORRERY_API_KEY": self.node.demo["apiKey"]}

    def run_cli(self, *arguments, environment=None, input=None):
        return subprocess.run([str(BIN / "orrery"), *arguments], capture_output=True, text=True, timeout=90, input=input,
                              env=dict(self.environment, **(environment or {})))

    def cli(self, *arguments, **options):
        """Runs it and gives what it printed; it must have worked."""
        done = self.run_cli(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *arguments, **options):
        return json.loads(self.cli("--output", "json", *arguments, **options))

    def refused(self, text, *arguments, code=1, **options):
        """It must not work, and say why: `text`."""
        done = self.run_cli(*arguments, **options)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        self.assertIn(text, done.stderr + (done.stdout if code == 2 else ""))
        return done

    def start(self, *arguments):
        process = subprocess.Popen([str(BIN / "orrery"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process


class Help(CliTest):
    def commands(self, *path):
        """Every command under `path`, from its help."""
        text = self.cli(*path, "--help")
        self.assertIn("Example: orrery " + ("--" if not path else ""), text, path)
        example = re.search(r"Example: orrery (.*)", text).group(1)
        if path:
            self.assertIn(" ".join(path), example)
        yield path
        listed = text.split("Subcommands:\n")[1] if "Subcommands:" in text else ""
        for name in re.findall(r"^  ([a-z-]+) ", listed, re.M):
            yield from self.commands(*path, name)

    def test_every_command_has_one_with_an_example(self):
        found = [" ".join(path) for path in self.commands()]
        for wanted in ("login", "logout", "org get", "user list", "key create", "model publish", "product create", "device list", "points latest",
                       "points history", "points post", "events list", "command invoke", "command cancel", "watch", "simulate", "stats", "backup create", "restore", "completion"):
            self.assertIn(wanted, found)
        self.assertGreater(len(found), 45)
        self.assertNotIn("demo-hints", found)

    def test_version(self):
        self.assertRegex(self.cli("--version"), r"^orrery \d+\.\d+\.\d+\n$")

    def test_usage_errors_are_2(self):
        for arguments in ([], ["fly"], ["device"], ["device", "get"], ["device", "get", "a", "b"], ["--output", "xml", "org", "get"], ["--nonsense"],
                          ["simulate"], ["points", "history", "x"], ["completion", "csh"], ["simulate", "--product", "x", "--port", "0"]):
            done = self.run_cli(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertTrue(done.stderr.strip(), arguments)


class Output(CliTest):
    def test_of_a_list(self):
        table = self.cli("device", "list", "--product", "demo-inverter").splitlines()
        self.assertTrue(table[0].startswith("PRODUCT"))
        self.assertEqual(len(table), 6)
        columns = [table[0].index(title) for title in ("DEVICE", "NAME", "STATUS", "ASSET ID")]
        for line in table[1:]:
            self.assertTrue(all(line[c - 1] == " " and line[c] != " " for c in columns), line)
        as_json = self.json("device", "list", "--product", "demo-inverter")
        self.assertEqual(sorted(d["deviceKey"] for d in as_json), [f"inv-0{i}" for i in range(1, 6)])
        self.assertEqual(yaml.safe_load(self.cli("--output", "yaml", "device", "list", "--product", "demo-inverter")), as_json)

    def test_of_one_thing(self):
        shown = dict(line.split(maxsplit=1) for line in self.cli("device", "get", "demo-inverter/inv-01").splitlines() if len(line.split()) > 1)
        self.assertEqual((shown["deviceKey"], shown["enabled"]), ("inv-01", "true"))
        self.assertEqual(self.json("device", "get", "demo-inverter/inv-01")["tags"], {"site": "A"})

    def test_yaml_keeps_texts_texts(self):
        odd = {"name": "true", "description": 'a: "b"\n# c', "tags": {"n": "17", "e": ""}}
        self.cli("device", "create", "demo-inverter/odd", "--set", json.dumps(odd))
        shown = yaml.safe_load(self.cli("device", "get", "demo-inverter/odd", "--output", "yaml"))
        self.assertEqual({k: shown[k] for k in odd}, odd)

    def test_global_options_stand_anywhere(self):
        self.assertEqual(json.loads(self.cli("stats", "--output", "json"))["total"], self.json("stats")["total"])


class Management(CliTest):
    def test_models(self):
        document = self.home / "m.json"
        document.write_text(json.dumps(model_document("Cli")))
        self.cli("model", "create", f"@{document}")
        self.assertIn("Cli", self.cli("model", "list"))
        self.assertTrue(self.json("model", "check", "Cli")["valid"])
        self.assertEqual(self.json("model", "publish", "Cli", "--note", "first")["revision"], 1)
        self.cli("model", "draft", "Cli", json.dumps(model_document("Cli", description="new")))
        self.assertEqual(self.json("model", "publish", "Cli", "--force")["revision"], 2)
        self.assertEqual(self.json("model", "get", "Cli")["document"]["description"], "new")
        self.assertEqual(self.json("model", "get", "Cli", "--revision", "1")["document"], model_document("Cli"))
        self.assertIn("description", self.cli("model", "diff", "Cli", "1"))
        self.assertEqual(self.json("model", "diff", "Cli", "1")["class"], "compatible")
        self.assertIn("first", self.cli("model", "revisions", "Cli"))
        self.assertTrue(self.json("model", "update", "Cli", '{"deprecated":true}')["deprecated"])
        self.assertIn('"valid": true', self.cli("model", "validate", "Cli", '{"points":{"volts":230.5}}', "--output", "json"))
        self.refused("the values do not fit the model", "model", "validate", "Cli", '{"points":{"volts":"x"}}')
        self.assertTrue(self.json("model", "share", "Cli", "--public")["public"])
        self.assertFalse(self.json("model", "unshare", "Cli", "--public")["public"])
        self.refused("organisation_unknown", "model", "share", "Cli", "--with", "nobody")
        self.assertEqual(self.cli("model", "delete", "Cli"), "deleted\n")
        self.refused("no such model (model_unknown, 404)", "model", "get", "Cli")

    def test_models_in_files(self):
        file = self.home / "models.json"
        file.write_text(json.dumps([{"format": "tm/1", "id": "CliLeaf", "extends": "CliRoot"}, model_document("CliRoot")]))
        self.assertIn("published", self.cli("model", "import", str(file), "--publish", "--note", "by file"))
        self.assertEqual([r["status"] for r in self.json("model", "import", str(file))["results"]], ["unchanged", "unchanged"])
        self.assertEqual([d["id"] for d in json.loads(self.cli("model", "export", "CliLeaf", "--parents"))], ["CliRoot", "CliLeaf"])
        self.assertEqual(json.loads(self.cli("model", "export", "CliRoot", "--format", "enos"))[0]["thingModelId"], "CliRoot")
        packed = self.home / "models.zip"
        self.assertIn("written to", self.cli("model", "export", "CliLeaf", "CliRoot", "--zip", str(packed)))
        self.assertTrue(packed.read_bytes().startswith(b"PK"))
        self.assertIn("unchanged", self.cli("model", "import", str(packed), "--mode", "upsert"))
        self.refused("not everything was imported", "model", "import", str(packed), "--mode", "create")
        self.refused("cannot be read", "model", "import", str(self.home / "none.json"))
        file.write_text("{")
        self.refused("import_invalid", "model", "import", str(file))
        rows = self.home / "CliRoot.csv"
        rows.write_text("kind,id,type\nmeasurePoint,only,int\n")
        self.assertIn("updated", self.cli("model", "import", str(rows)))
        self.assertIn("created", self.cli("model", "import", str(rows), "--id", "CliRows"))
        self.refused("CSV is written into a zip", "model", "export", "CliRows", "--format", "csv")

    def test_units_and_library(self):
        table = self.cli("library", "units", "--quantity", "temperature")
        self.assertIn("Cel", table)
        self.assertNotIn("kW.h", table)
        element = {"id": "CLI1", "elementTypes": ["measurePoint"], "type": {"t": "double"}}
        self.assertEqual(self.json("library", "import", json.dumps([element]))["total"], 1)
        self.assertIn("CLI1", self.cli("library", "list"))
        self.assertEqual(self.cli("library", "delete", "CLI1"), "deleted\n")
        self.refused("library_invalid", "library", "import", '[{"id":"x"}]')

    def test_models_from_models(self):
        self.cli("model", "create", json.dumps(model_document("CliBase")))
        self.cli("model", "publish", "CliBase")
        self.assertEqual(self.json("model", "create", "CliCopy", "--clone", "CliBase")["copyFrom"], "CliBase")
        self.assertEqual(self.json("model", "create", '{"id":"CliChild","name":"Child"}', "--inherit", "CliBase")["modelIdPath"], "CliBase/CliChild")
        self.refused("excludes", "model", "create", "X", "--clone", "CliBase", "--inherit", "CliBase", code=2)
        self.cli("model", "put-element", "CliChild", "measurePoints", "own", '{"type":{"t":"int"}}')
        self.cli("model", "put-element", "CliChild", "events", "gone", '{}')
        self.assertEqual(self.cli("model", "delete-element", "CliChild", "events", "gone"), "taken out\n")
        self.refused("kind:", "model", "put-element", "CliChild", "things", "x", "{}", code=2)
        self.cli("model", "publish", "CliChild")
        self.assertIn("own", [p["id"] for p in self.json("model", "get", "CliChild", "--effective")["document"]["measurePoints"]])
        self.assertIn("CliBase/CliChild", self.cli("model", "list", "--filter", "root = 'CliBase'"))
        self.assertNotIn("CliBase", self.cli("model", "list", "--scope", "public"))
        self.refused("model_in_use", "model", "delete", "CliBase")
        self.assertEqual(self.cli("model", "discard", "CliCopy"), "discarded\n")

    def test_products(self):
        made = self.json("product", "create", "--name", "Cli product", "--model", "Inverter", "--key", "cli-product", "--set", '{"tags":{"a":"b"}}')
        self.assertEqual((made["productKey"], len(made["productSecret"]), made["tags"]), ("cli-product", 32, {"a": "b"}))
        self.assertIn("cli-product", self.cli("product", "list"))
        self.assertEqual(self.json("product", "update", "cli-product", '{"validation":"lenient"}')["validation"], "lenient")
        self.assertNotEqual(self.json("product", "reset-secret", "cli-product")["productSecret"], made["productSecret"])
        self.assertNotIn("productSecret", self.json("product", "get", "cli-product"))
        self.cli("product", "delete", "cli-product")
        self.refused("product_unknown", "product", "get", "cli-product")

    def test_scripts_of_products(self):
        self.cli("product", "create", "--name", "Cli raw", "--model", "Inverter", "--key", "cli-raw", "--set", '{"dataFormat":"raw"}')
        self.refused("(script_unknown, 404)", "product", "script", "show", "cli-raw")
        file = self.home / "d.lua"
        file.write_text("function raw_to_json(b)\n  return {n = string.unpack('>I2', b)}\nend\nfunction json_to_raw(m) return string.pack('>I2', m.n) end\n")
        self.assertEqual(self.json("product", "script", "test", "cli-raw", "--script", str(file), "--hex", "0102")["json"], {"n": 258})
        self.assertEqual(self.cli("product", "script", "set", "cli-raw", str(file)), "set\n")
        self.assertEqual(self.cli("product", "script", "show", "cli-raw"), file.read_text())
        self.assertEqual(self.json("product", "script", "test", "cli-raw", "--json", '{"n":258}')["hex"], "0102")
        self.refused("line 2: bad argument #2 to 'unpack'", "product", "script", "test", "cli-raw", "--hex", "01")
        self.refused("expected near", "product", "script", "set", "cli-raw", "-", input="function")
        self.refused("cannot be read", "product", "script", "set", "cli-raw", str(self.home / "none.lua"))
        self.assertEqual(self.cli("product", "script", "remove", "cli-raw"), "removed\n")
        self.assertFalse(self.json("product", "get", "cli-raw")["hasDecoder"])
        self.cli("product", "delete", "cli-raw")

    def test_upgrades(self):
        self.cli("device", "create", "demo-inverter/cli-ota")
        file = self.home / "2.0.bin"
        file.write_bytes(b"a firmware")
        made = self.json("ota", "firmware", "add", "demo-inverter", "2.0", "https://files.example/2.0.bin", "--file", str(file))
        self.assertEqual((made["sign"], made["size"], made["name"]), (hashlib.sha256(b"a firmware").hexdigest(), 10, "2.0"))
        self.refused("version_exists", "ota", "firmware", "add", "demo-inverter", "2.0", "https://h/2", "--sign", "a" * 64, "--size", "5")
        self.refused("cannot be read", "ota", "firmware", "add", "demo-inverter", "3.0", "https://h/3", "--file", str(self.home / "none.bin"))
        self.assertIn(made["id"], self.cli("ota", "firmware", "list", "--product", "demo-inverter"))
        self.assertIn("version_unknown", self.cli("ota", "job", "create", "demo-inverter", made["id"], "cli-ota"))
        job = self.json("ota", "job", "create", "demo-inverter", made["id"], "cli-ota", "--unknown-version", "--deliver", "both", "--timeout", "600")
        self.assertEqual((job["offered"], job["deliver"], job["upgradeTimeout"]), (1, "both", 600))
        self.assertEqual(self.json("ota", "job", "show", job["id"])["counts"], {"pending": 1})
        self.assertIn("pending", self.cli("ota", "job", "tasks", job["id"]))
        self.assertEqual(self.cli("ota", "job", "retry", job["id"]), "tried again on 0 devices\n")
        self.assertEqual(self.cli("ota", "job", "cancel", job["id"]), "cancelled; called off on 1 devices\n")
        self.assertEqual(self.cli("ota", "firmware", "remove", made["id"]), "removed\n")
        self.cli("device", "delete", "demo-inverter/cli-ota")

    def test_devices(self):
        made = self.json("device", "create", "demo-inverter/cli-1", "--name", "One")
        self.assertEqual((made["deviceKey"], made["name"], len(made["deviceSecret"])), ("cli-1", "One", 32))
        self.assertEqual(len(self.json("device", "create", "demo-inverter")["deviceKey"]), 12)
        for address in ("demo-inverter/cli-1", made["assetId"]):
            self.assertEqual(self.json("device", "get", address)["deviceKey"], "cli-1")
        self.assertEqual(self.json("device", "update", "demo-inverter/cli-1", '{"tags":{"site":"B"},"attributes":{"serial":"A7"}}')["tags"], {"site": "B"})
        self.assertEqual(self.json("device", "tags", "demo-inverter/cli-1")["site"], "B")
        self.assertEqual(self.json("device", "attributes", "demo-inverter/cli-1")["serial"], "A7")
        self.assertEqual(self.json("device", "disable", "demo-inverter/cli-1", "--reason", "stolen")["adminReason"], "stolen")
        self.assertEqual([d["deviceKey"] for d in self.json("device", "list", "--status", "disabled", "--search", "cli-1")], ["cli-1"])
        self.assertEqual(self.json("device", "enable", "demo-inverter/cli-1")["status"], "inactive")
        self.assertEqual(self.json("device", "status", "demo-inverter/cli-1")["status"], "inactive")
        self.assertNotEqual(self.json("device", "reset-secret", "demo-inverter/cli-1", "--overlap", "60")["deviceSecret"], made["deviceSecret"])
        self.assertEqual(self.cli("device", "delete", "demo-inverter/cli-1"), "done\n")
        self.refused("(device_unknown, 404)", "device", "get", "demo-inverter/cli-1")

    def test_mirrors(self):
        source = self.json("device", "get", "demo-inverter/inv-01")
        self.json("device", "create", "demo-inverter/cli-mirror")
        shown = self.json("device", "mirror", "set", "demo-inverter/cli-mirror", "demo-inverter/inv-01", "--point", "temp=power", "--point", "energy")
        self.assertEqual((shown["source"], shown["points"]), (source["assetId"], {"temp": "power", "energy": "energy"}))
        read = self.json("device", "mirror", "show", "demo-inverter/cli-mirror")
        self.assertEqual({k: v for k, v in read.items() if k != "etag"}, {k: v for k, v in shown.items() if k != "etag"})
        self.assertEqual([d["deviceKey"] for d in self.json("device", "list", "--status", "mirror", "--search", "cli-mirror")], ["cli-mirror"])
        self.assertEqual(self.json("device", "mirror", "set", "demo-inverter/cli-mirror", source["assetId"])["points"], {})
        for wrong in ("=power", "temp="):
            self.refused("expected OWN=SOURCE", "device", "mirror", "set", "demo-inverter/cli-mirror", source["assetId"], "--point", wrong)
        self.assertEqual(self.cli("device", "mirror", "end", "demo-inverter/cli-mirror"), "ended\n")
        self.refused("(mirror_unknown, 404)", "device", "mirror", "show", "demo-inverter/cli-mirror")
        self.cli("device", "delete", "demo-inverter/cli-mirror")

    def test_lists_end_where_they_are_told(self):
        self.assertEqual(len(self.json("device", "list", "--limit", "2")), 2)
        found = self.json("device", "list", "--filter", "deviceKey like 'inv-%'", "--sort", "-deviceKey")
        self.assertEqual([d["deviceKey"] for d in found], [f"inv-0{n}" for n in (5, 4, 3, 2, 1)])
        self.assertEqual(self.json("device", "count", "--filter", "deviceKey like 'inv-%'")["total"], 5)
        self.assertEqual(self.json("device", "count", "--filter", "deviceKey like 'inv-%'", "--by", "productKey", "--by", "tags.no"),
                         [{"productKey": "demo-inverter", "tags.no": None, "count": 5}])
        self.assertIn("COUNT", self.cli("device", "count", "--by", "status"))

    def test_keys(self):
        made = self.json("key", "create", "cli", "--permission", "data:read", "--role", "viewer", "--ip", "127.0.0.0/8", "--expires", "2099-01-01T00:00:00Z")
        self.assertIn("data:read", made["permissions"])
        self.assertEqual(self.json("--api-key", made["apiKey"], "points", "latest", "demo-inverter/inv-05"), [])
        self.assertIn(made["id"], self.cli("key", "list", "cli"))
        self.cli("key", "revoke", "cli", made["id"])
        self.refused("unauthenticated", "--api-key", made["apiKey"], "org", "get")

    def test_people(self):
        password = {"ORRERY_PASSWORD": "long enough"}
        self.cli("user", "add", "cleo", "--role", "operator", environment=password)
        self.assertIn("cleo", self.cli("user", "list"))
        self.cli("user", "reset-password", "cleo", environment={"ORRERY_PASSWORD": "quite another"})
        self.refused("bad_credentials", "login", "--user", "cleo", environment=password)
        changed = self.json("user", "update", "cleo", "--name", "Cleo", "--mail", "cleo@example.org", "--role", "viewer")
        self.assertEqual((changed["name"], changed["mail"], changed["roles"]), ("Cleo", "cleo@example.org", ["viewer"]))
        self.assertTrue(self.json("user", "lock", "cleo")["locked"])
        self.refused("locked", "login", "--user", "cleo", environment={"ORRERY_PASSWORD": "quite another"})
        self.assertFalse(self.json("user", "unlock", "cleo")["locked"])
        self.assertEqual(yaml.safe_load(self.cli("--output", "yaml", "user", "get", "cleo"))["login"], "cleo")
        self.refused("totp_unknown", "user", "reset-totp", "cleo")
        self.cli("user", "delete", "cleo")
        self.refused("user_unknown", "user", "delete", "cleo")

    def test_second_factors(self):
        password = {"ORRERY_PASSWORD": "long enough", "ORRERY_API_KEY": ""}
        self.cli("user", "add", "tina", environment={"ORRERY_PASSWORD": "long enough"})
        del self.environment["ORRERY_API_KEY"]
        self.cli("login", "--user", "tina", environment=password)
        made = self.json("totp", "enrol")
        self.refused("bad_credentials", "totp", "confirm", "000000")
        code = totp(made["secret"], int(time.time()) // 30)
        self.assertEqual(self.cli("totp", "confirm", code), "done\n")
        self.refused("otp_required", "login", "--user", "tina", environment=password)
        self.cli("login", "--user", "tina", "--otp", made["spareCodes"][0], environment=password)
        self.cli("totp", "disable", made["spareCodes"][1])
        self.cli("login", "--user", "tina", environment=password)

    def test_roles(self):
        made = self.json("role", "create", "cli-site", "--permission", "device:read", "--product", "demo-inverter", "--description", "One site")
        self.assertEqual((made["permissions"], made["scope"]["products"], made["description"]), (["device:read"], ["demo-inverter"], "One site"))
        self.assertIn("cli-site", self.cli("role", "list"))
        self.assertEqual(self.json("role", "update", "cli-site", "--permission", "device:*", "--group", "g1")["scope"],
                         {"products": [], "groups": ["g1"], "treeNodes": []})
        self.assertEqual(self.json("role", "get", "viewer")["builtin"], True)
        self.cli("user", "add", "rolf", environment={"ORRERY_PASSWORD": "long enough"})
        self.assertEqual(self.json("role", "grant", "users/rolf", "cli-site", "viewer")["roles"], ["cli-site", "viewer"])
        self.assertEqual([g["role"] for g in self.json("role", "of", "users/rolf")["grants"]], ["cli-site", "viewer"])
        self.assertEqual(self.json("role", "check", "users/rolf", "device:write", "--group", "g1"), {"allowed": True, "why": "the role cli-site gives device:write"})
        self.assertFalse(self.json("role", "check", "users/rolf", "device:write", "--product", "demo-inverter")["allowed"])
        self.refused("role_in_use", "role", "delete", "cli-site")
        self.assertEqual(self.json("role", "grant", "users/rolf")["roles"], [])
        self.assertEqual(self.cli("role", "delete", "cli-site"), "deleted\n")
        self.refused("a subject is users/LOGIN or apps/APP", "role", "of", "rolf")
        self.refused("keys/KEY", "role", "check", "groups/x", "device:read")
        self.refused("role_builtin", "role", "delete", "admin")

    def test_applications(self):
        self.assertEqual(self.json("app", "create", "cli-app", "--name", "Mine", "--role", "viewer")["roles"], ["viewer"])
        key = self.json("key", "create", "cli-app")
        self.assertEqual(self.json("--api-key", key["apiKey"], "device", "list", "--limit", "1")[0]["productKey"], "demo-inverter")
        new = self.json("key", "rotate", "cli-app", key["id"], "--overlap", "3600")
        self.assertIn(new["id"], self.cli("key", "list", "cli-app"))
        for one in (key, new):
            self.assertEqual(self.json("--api-key", one["apiKey"], "org", "get")["id"], "default")
        self.assertEqual(self.json("app", "update", "cli-app", "--role", "operator")["roles"], ["operator"])
        self.assertIn("cli-app", self.cli("app", "list"))
        self.assertEqual(self.json("app", "get", "cli-app")["keys"], 2)
        self.cli("app", "delete", "cli-app")
        self.refused("unauthenticated", "--api-key", new["apiKey"], "org", "get")
        self.refused("app_unknown", "key", "list", "cli-app")

    def test_organisations(self):
        password = {"ORRERY_PASSWORD": "long enough"}
        made = self.json("org", "create", "cli-org", "--name", "Ours", "--admin", "ada", "--time-zone", "Europe/Vienna", environment=password)
        self.assertEqual((made["name"], made["timeZone"]), ("Ours", "Europe/Vienna"))
        self.assertIn("cli-org", self.cli("org", "list"))
        self.assertEqual(self.json("org", "update", "cli-org", "--locale", "de-AT")["locale"], "de-AT")
        limits = self.json("org", "set-quotas", "cli-org", "users=1:2", "products=:3", "devices=10:")
        self.assertEqual([q["hard"] for q in limits if q["item"] in ("products", "users")], [3, 2])
        self.assertIn("products", self.cli("org", "quotas", "cli-org"))
        self.assertIn("devices", self.cli("org", "quotas"))
        self.refused("a quota is ITEM=SOFT:HARD", "org", "set-quotas", "cli-org", "users")
        self.refused("a limit is a whole number", "org", "set-quotas", "cli-org", "users=:many")
        self.cli("--profile", "ada", "login", "--user", "ada", "--organisation", "cli-org", environment=password)
        self.assertEqual(self.json("--profile", "ada", "org", "get")["id"], "cli-org")
        self.assertTrue(self.json("org", "suspend", "cli-org", "--reason", "unpaid")["suspended"])
        self.refused("org_suspended", "--profile", "ada", "org", "get")
        self.assertFalse(self.json("org", "resume", "cli-org")["suspended"])
        self.assertEqual(self.cli("org", "delete", "cli-org"), "deleted\n")
        self.refused("org_unknown", "org", "get", "cli-org")


class Login(CliTest):
    def setUp(self):
        super().setUp()
        del self.environment["ORRERY_API_KEY"]
        self.password = (self.node.data / "admin-password").read_text()

    def test_is_kept_in_the_profile_for_its_owner_alone(self):
        self.refused("log in with `orrery login`", "org", "get")
        done = self.run_cli("login", "--user", "admin", input=self.password)
        self.assertEqual((done.returncode, done.stderr), (0, "password: \n"), done.stdout)
        self.assertIn("logged in as admin", done.stdout)
        kept = self.home / ".config" / "orrery" / "default.json"
        self.assertEqual(kept.stat().st_mode & 0o777, 0o600)
        self.assertNotIn(self.password.strip(), kept.read_text())
        self.assertEqual(self.json("org", "get")["id"], "default")
        self.assertEqual(self.cli("logout"), "logged out\n")
        self.assertNotIn("refresh", kept.read_text())
        self.refused("log in with `orrery login`", "org", "get")

    def test_profiles_are_apart(self):
        file = self.home / "password"
        file.write_text(self.password)
        self.cli("--profile", "work", "login", "--password-file", str(file))
        self.assertEqual(self.json("--profile", "work", "org", "get")["id"], "default")
        self.refused("unauthenticated", "org", "get")
        self.assertEqual(self.json("--profile", "work", "org", "get", environment={"ORRERY_API_KEY": "nonsense"})["id"], "default",
                         "a profile that is named counts before the environment")
        self.refused("a profile is a name", "--profile", "../work", "org", "get")

    def test_remembers_its_server(self):
        self.cli("--server", self.environment["ORRERY_SERVER"], "login", environment={"ORRERY_PASSWORD": self.password.strip()})
        del self.environment["ORRERY_SERVER"]
        self.assertEqual(self.json("org", "get")["id"], "default")

    def test_refusals(self):
        self.refused("user or password is wrong (bad_credentials, 401)", "login", environment={"ORRERY_PASSWORD": "wrong"})
        self.refused("cannot be read", "login", "--password-file", "/nowhere")

    def test_an_old_token_is_refreshed(self):
        self.cli("login", environment={"ORRERY_PASSWORD": self.password.strip()})
        kept = self.home / ".config" / "orrery" / "default.json"
        tokens = json.loads(kept.read_text())
        tokens["access"] = "over"
        kept.write_text(json.dumps(tokens))
        self.assertEqual(self.json("org", "get")["id"], "default")
        self.assertNotEqual(json.loads(kept.read_text())["access"], "over")
        tokens["access"] = "over"
        kept.write_text(json.dumps(tokens))
        watch = self.start("watch", "--device", "demo-inverter/inv-01", "--count", "1")
        wait_for(lambda: self.node.metrics()["orrery_feed_subscribers"] >= 1, "it listens")
        self.device(0).post({"power": 1.0})
        self.assertIn("power=1.0", watch.communicate(timeout=DEADLINE)[0])


class Data(CliTest):
    def test_points(self):
        made, device = self.new_device()
        address = f"demo-inverter/{made['deviceKey']}"
        at = int(time.time() * 1000) - 5000
        for i in range(5):
            device.post({"power": float(i)}, at + i)
        self.cli("points", "post", address, '{"temp":20.5}')
        latest = {p["point"]: p["value"] for p in self.json("points", "latest", address)}
        self.assertEqual(latest, {"power": 4.0, "temp": 20.5})
        self.assertIn("20.5", self.cli("points", "latest", address))
        self.assertEqual([p["value"] for p in self.json("points", "history", address, "power")], [0.0, 1.0, 2.0, 3.0, 4.0])
        self.assertEqual([p["value"] for p in self.json("points", "history", address, "power", "--newest-first", "--limit", "2")], [4.0, 3.0])
        self.assertEqual([p["value"] for p in self.json("points", "history", address, "power", "--from", str(at + 1), "--to", str(at + 2))], [1.0, 2.0])
        self.refused("temp", "points", "post", address, '{"temp":"hot"}')
        self.refused("that is not JSON", "points", "post", address, "{temp}")
        self.refused("/nowhere cannot be read", "points", "post", address, "@/nowhere")
        self.refused("expected RFC 3339 or epoch ms", "points", "history", address, "power", "--from", "yesterday")

    def test_events(self):
        made, device = self.new_device()
        for temp in (90.0, 91.0):
            device.request("thing/event/overTemperature/post", "thing.event.overTemperature.post", {"events": {"temp": temp}})
        events = self.json("events", "list", made["assetId"])
        self.assertEqual([e["output"]["temp"] for e in events], [91.0, 90.0])
        self.assertEqual(self.json("events", "list", made["assetId"], "--event", "none"), [])
        self.assertIn("overTemperature", self.cli("events", "list", made["assetId"]))

    def test_commands(self):
        made, device = self.new_device()
        address = f"demo-inverter/{made['deviceKey']}"
        asked = serve(device, lambda name, params: (200, {"accepted": True}))
        done = self.json("command", "invoke", address, "reboot", '{"delay":5}')
        self.assertEqual((done["state"], done["output"], next_of(asked)), ("succeeded", {"accepted": True}, ("reboot", {"delay": 5})))
        self.assertEqual(self.json("command", "set", address, "setpoint", "42")["input"], {"setpoint": 42})
        device.on_bytes = lambda payload: payload[::-1]
        self.assertEqual(self.json("command", "rrpc", address, "hello")["payload"], "olleh")
        self.assertEqual(self.json("command", "rrpc", address, "AP8=", "--base64")["base64"], "/wA=")
        device.close()
        wait_for(lambda: self.api.get(f"~/devices/{made['assetId']}/status")["status"] == "offline", "the device is gone")
        self.refused("device_offline", "command", "rrpc", address, "hello")
        self.refused("device_offline", "command", "invoke", address, "reboot")
        waits = self.json("command", "invoke", address, "reboot", "--pending", "600")
        self.assertEqual(waits["state"], "queued")
        self.assertEqual(self.json("command", "cancel", waits["id"])["cancelled"], [waits["id"]])
        self.assertEqual(self.json("command", "get", waits["id"])["state"], "cancelled")
        self.assertEqual([c["state"] for c in self.json("command", "list", address)], ["cancelled", "succeeded", "succeeded", "succeeded", "succeeded"])
        self.refused("element_unknown", "command", "invoke", address, "explode")

    def test_configurations(self):
        made = self.json("configuration", "create", "Fast", '{"rate":10}', "--target", "deviceKey = 'inv-02'", "--priority", "3")
        self.assertEqual((made["priority"], made["enabled"], made["version"]), (3, True, 1))
        self.assertEqual([c["name"] for c in self.json("configuration", "list")], ["Fast"])
        found = self.json("configuration", "preview", "deviceKey = 'inv-02'", "--desired", '{"rate":20}', "--priority", "3")
        self.assertEqual((found["count"], found["conflicts"]), (1, [{"id": made["id"], "name": "Fast", "paths": ["/rate"]}]))
        wait_for(lambda: self.json("configuration", "report", "Fast")["applied"] == 1, "the device has it")
        self.assertEqual([c["state"] for c in self.json("configuration", "device", "demo-inverter/inv-02")], ["pending"])
        self.assertEqual(self.json("configuration", "update", made["id"], '{"enabled":false}')["version"], 2)
        self.assertEqual(self.json("configuration", "get", "Fast")["enabled"], False)
        self.assertIn("inv-02", self.cli("configuration", "preview", "deviceKey = 'inv-02'"))
        self.refused("configuration_invalid", "configuration", "create", "Bad", "{}", "--target", "points.power > 1")
        self.assertIn("deleted", self.cli("configuration", "delete", "Fast"))

    def test_twins(self):
        made, device = self.new_device()
        address = f"demo-inverter/{made['deviceKey']}"
        self.assertTrue(self.json("twin", "get", address)["inSync"])
        self.assertEqual(self.json("twin", "set", address, '{"rate":10,"mode":"eco"}')["delta"], {"rate": 10, "mode": "eco"})
        self.assertEqual(self.json("twin", "set", address, '{"mode":null}')["desiredVersion"], 2)
        self.assertEqual(self.json("twin", "replace", made["assetId"], '{"rate":20}')["desired"], {"rate": 20})
        self.assertEqual([v["version"] for v in self.json("twin", "history", address)][:2], [3, 2])
        self.refused("device_timeout", "twin", "wait", address, "--timeout", "1")
        self.assertIn("appliedVersion", self.cli("twin", "wait", "demo-inverter/inv-01"))
        self.refused("twin_too_deep", "twin", "set", address, '{"a":' * 9 + "1" + "}" * 9)

    def test_a_silent_device_is_a_timeout(self):
        made, device = self.new_device()
        serve(device, lambda name, params: None)
        self.refused("did not answer in time", "command", "invoke", made["assetId"], "reboot", "--timeout", "1")

    def test_groups(self):
        made = self.json("group", "create", "Cli group")
        self.assertEqual(made["type"], "static")
        self.assertIn("200", self.cli("group", "add", "Cli group", "demo-inverter/inv-01", "demo-inverter/inv-02"))
        self.assertEqual(len(self.json("group", "members", made["id"])), 2)
        self.assertIn("inv-01", self.cli("group", "members", "Cli group", "--filter", "deviceKey = 'inv-01'"))
        self.cli("group", "remove", "Cli group", "demo-inverter/inv-02")
        asset = self.node.demo["devices"][0]["assetId"]
        self.refused("not all of them", "group", "add", "Cli group", asset[:-1] + ("1" if asset[-1] == "0" else "0"))
        self.assertEqual(self.json("group", "update", "Cli group", '{"description":"changed"}')["description"], "changed")
        self.cli("group", "create", "Cli rule", "--rule", f"group = '{made['id']}'", "--description", "by rule")
        self.assertEqual(len(self.json("group", "members", "Cli rule")), 1)
        self.assertIn("1 devices", self.cli("group", "preview", "deviceKey = 'inv-01'"))
        self.refused("group_in_use", "group", "delete", "Cli group")
        self.assertIn("Cli rule", self.cli("group", "list"))
        self.assertEqual(self.json("group", "get", "Cli rule")["type"], "dynamic")
        for name in ("Cli rule", "Cli group"):
            self.assertEqual(self.cli("group", "delete", name), "deleted\n")
        self.refused("there is no group", "group", "get", "Cli group")

    def test_acts_on_a_device(self):
        made, device = self.new_device()
        address = f"{made['productKey']}/{made['deviceKey']}"
        until = str(int(time.time() * 1000) + 60_000)
        self.assertEqual(self.json("device", "show-as", address, "offline", "--until", until)["status"], "offline")
        self.assertEqual(self.json("device", "show-as-it-is", address)["status"], "online")
        self.assertEqual(self.cli("device", "kick", address, "--reason", "a test"), "kicked\n")
        device.close()
        self.assertIn("kicked", self.cli("device", "history", address))
        self.assertEqual(self.json("device", "credential", address)["certificates"], 0)
        self.refused("reveal_forbidden", "device", "credential", address, "--reveal")

    def test_gives_a_device_another_name(self):
        made, device = self.new_device()
        device.close()
        address, key = f"{made['productKey']}/{made['deviceKey']}", f"{made['deviceKey']}-2"
        now = self.json("device", "replace", address, "--key", key)
        self.assertEqual((now["assetId"], now["deviceKey"]), (made["assetId"], key))
        self.assertNotEqual(now["deviceSecret"], made["deviceSecret"])
        self.refused("device_unknown", "device", "get", address)
        self.refused("device_key_exists", "device", "replace", f"{made['productKey']}/{key}", "--key", key)
        model = self.api.get(f"~/products/{made['productKey']}")["modelId"]
        to = self.api.post("~/products", {"name": "Of the command line's move", "modelId": model})["productKey"]
        moved = self.json("device", "move", f"{made['productKey']}/{key}", "--product", to)
        self.assertEqual((moved["assetId"], moved["productKey"]), (made["assetId"], to))
        self.refused("state_conflict", "device", "move", f"{to}/{key}", "--product", to)

    def test_offers_a_device_and_lists_files_of_all(self):
        made, device = self.new_device()
        device.close()
        address = f"{made['productKey']}/{made['deviceKey']}"
        offer = self.json("device", "offer", address, "--to", "elsewhere", "--hours", "1")
        self.assertEqual((offer["assetId"], offer["targetOrg"]), (made["assetId"], "elsewhere"))
        self.refused("transfer_invalid", "device", "adopt", offer["code"], "--product", made["productKey"], "--key", "adopted")
        self.api.post(f"~/devices/{made['assetId']}/files", {"filename": "of-all.bin", "fileLength": 3})
        mine = ("--filter", f"deviceKey = '{made['deviceKey']}'")
        self.assertIn("of-all.bin", self.cli("file", "ls", *mine))
        self.assertEqual([f["assetId"] for f in self.json("file", "ls", *mine, "--status", "pending")], [made["assetId"]])
        self.assertEqual(self.json("file", "ls", *mine, "--status", "stored"), [])
        self.refused("leave the device out", "file", "ls", address, "--status", "lost")

    def test_takes_a_device_out_of_service(self):
        made, device = self.new_device()
        address = f"{made['productKey']}/{made['deviceKey']}"
        self.refused("not_retired", "device", "restore", address)
        self.assertEqual(self.json("device", "decommission", address, "--reason", "a test", "--quarantine", "7")["status"], "retired")
        device.gone.get(timeout=DEADLINE)
        device.close()
        self.refused("device_retired", "device", "decommission", address, "--reason", "a test")
        self.assertNotIn(made["assetId"], self.cli("device", "list", "--limit", "1000"))
        self.assertIn(made["assetId"], self.cli("device", "list", "--limit", "1000", "--include-retired"))
        self.assertNotEqual(self.json("device", "restore", address)["deviceSecret"], made["deviceSecret"])
        self.assertIn("succeeded", self.cli("device", "bulk", "decommission", "--id", made["assetId"], "--reason", "a test", "--quarantine", "1"))
        self.assertEqual(self.cli("device", "purge", address), "purged\n")
        self.refused("device_unknown", "device", "get", address)

    def test_stats(self):
        self.assertGreaterEqual(self.json("stats", "--product", "demo-inverter")["total"], 5)


class Watch(CliTest):
    def listening(self, *arguments):
        before = self.node.metrics()["orrery_feed_subscribers"]
        process = self.start("watch", *arguments)
        wait_for(lambda: self.node.metrics()["orrery_feed_subscribers"] > before or process.poll() is not None, "it listens")
        return process

    def test_prints_what_comes_and_ends_at_its_count(self):
        made, device = self.new_device()
        address = f"demo-inverter/{made['deviceKey']}"
        table = self.listening("--device", address, "--count", "2")
        lines = self.listening("--device", made["assetId"], "--point", "power", "--count", "2", "--output", "json")
        documents = self.listening("--product", "demo-inverter", "--count", "2", "--output", "yaml")
        for i in range(2):
            device.post({"power": float(i), "temp": 20.0})
        out, err = table.communicate(timeout=DEADLINE)
        self.assertEqual((table.returncode, err), (0, ""))
        self.assertEqual([line.split("  ", 1)[1] for line in out.splitlines()], [f"{address}  power={float(i)}  temp=20.0" for i in range(2)])
        items = [json.loads(line) for line in lines.communicate(timeout=DEADLINE)[0].splitlines()]
        self.assertEqual([i["v"] for i in items], [{"power": {"value": 0.0}}, {"power": {"value": 1.0}}])
        items = list(yaml.safe_load_all(documents.communicate(timeout=DEADLINE)[0]))
        self.assertEqual([i["v"]["power"]["value"] for i in items], [0.0, 1.0])

    def test_other_kinds(self):
        made, device = self.new_device()
        watch = self.listening("--kind", "lifecycle", "--kind", "presence", "--device", made["assetId"], "--count", "2", "--output", "json")
        device.close()
        self.api.post(f"~/devices/{made['assetId']}:disable")
        events = {json.loads(line)["event"] for line in watch.communicate(timeout=DEADLINE)[0].splitlines()}
        self.assertEqual(events, {"offline", "disabled"})

    def test_ends_at_ctrl_c(self):
        watch = self.listening("--product", "demo-inverter")
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=DEADLINE)

    def test_refusals(self):
        self.refused("validation_failed", "watch", "--kind", "weather")
        self.refused("unauthenticated", "--api-key", "nonsense", "watch")
        self.refused("device_unknown", "watch", "--device", "demo-inverter/none")
        key = self.json("key", "create", "cli", "--permission", "device:read")["apiKey"]
        self.refused("needs the permission data:read", "--api-key", key, "watch")


class Simulate(CliTest):
    def simulate(self, *arguments, output="json"):
        return self.run_cli("--output", output, "simulate", "--port", str(self.node.ports["mqtt"]), *arguments)

    def test_runs_the_demo_and_says_how_it_went(self):
        done = self.simulate("--product", "demo-inverter", "--devices", "20", "--rate", "5", "--seconds", "6")
        self.assertEqual(done.returncode, 0, done.stderr)
        summary = json.loads(done.stdout)
        self.assertEqual((summary["devices"], summary["failed"], summary["connectionsLost"], summary["loginsRefused"]), (20, 0, 0, 0))
        self.assertEqual(summary["acknowledged"], summary["sent"])
        self.assertGreater(summary["sent"], 200)
        self.assertRegex(done.stderr, r"registering 20 devices of demo-inverter\n")
        self.assertRegex(done.stderr, r"5 s: 20 of 20 connected, \d+ sent, \d+ acknowledged, 0 failed\n")
        stored = 0
        for i in range(1, 21):
            items = self.api.get(f"~/products/demo-inverter/devices/sim-{i:04}/points/power/history?limit=10000")["items"]
            stored += len(items)
            self.assertGreater(len({p["value"] for p in items}), 3, "the values move")
        self.assertEqual(stored, summary["sent"], "all that was acknowledged is there, once")
        points = {p["point"] for p in self.api.get("~/products/demo-inverter/devices/sim-0001/points/latest")["items"]}
        self.assertEqual(points, {"power", "temp", "energy", "state", "setpoint"})

    def test_again_with_the_devices_that_are_there(self):
        for _ in range(2):
            done = self.simulate("--product", "demo-inverter", "--devices", "3", "--rate", "10", "--seconds", "1", "--prefix", "again-", output="table")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"(?m)^failed +0$")

    def test_does_what_it_is_told(self):
        process = self.start("--output", "json", "simulate", "--port", str(self.node.ports["mqtt"]), "--product", "demo-inverter", "--devices", "1", "--prefix", "told-")
        wait_for(lambda: self.api.session.get(self.api.base + "/orgs/-/products/demo-inverter/devices/told-0001").status_code == 200, "it is registered")
        path = "~/products/demo-inverter/devices/told-0001"
        wait_for(lambda: self.api.get(path + "/points/latest")["items"], "it posts")
        self.assertEqual(self.api.post(path + "/services/reboot:invoke", {"input": {"delay": 1}})["state"], "succeeded")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(json.loads(out)["commands"], 1)

    def test_comes_back_when_it_is_cut_off(self):
        process = self.start("--output", "json", "simulate", "--port", str(self.node.ports["mqtt"]), "--product", "demo-inverter", "--devices", "2", "--rate", "20", "--prefix", "cut-")
        path = "~/products/demo-inverter/devices/cut-0001"
        wait_for(lambda: self.api.session.get(self.api.base + path.replace("~", "/orgs/-") + "/status").json().get("status") == "online", "it is there")
        self.api.post(path + ":disable")
        self.api.post(path + ":enable")
        wait_for(lambda: self.api.get(path + "/status")["status"] == "online", "it is there again")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)
        self.assertGreaterEqual(json.loads(out)["connectionsLost"], 1, err)

    def test_counts_what_the_model_refuses(self):
        # Its counter passes the limit at once.
        narrow = model_document("Narrow", measurePoints=[{"id": "n", "signal": "PI", "type": {"t": "double", "min": -1, "max": -0.5}}])
        self.api.post("~/models", narrow)
        self.api.post("~/models/Narrow:publish")
        product = self.api.post("~/products", {"name": "Narrow", "modelId": "Narrow"})["productKey"]
        done = self.simulate("--product", product, "--devices", "2", "--rate", "5", "--seconds", "1")
        self.assertEqual(done.returncode, 1)
        summary = json.loads(done.stdout)
        self.assertEqual((summary["failed"], summary["acknowledged"]), (summary["sent"], 0))
        self.assertIn("posts failed, the last of sim-000", done.stderr)

    def test_refusals(self):
        def refused(text, *arguments):
            done = self.run_cli("simulate", *arguments)
            self.assertEqual(done.returncode, 1)
            self.assertIn(text, done.stderr)

        refused("product_unknown", "--product", "none")
        refused("--rate must be above 0", "--product", "demo-inverter", "--rate", "0")
        refused("--devices must be from 1", "--product", "demo-inverter", "--devices", "0")
        refused("has no address", "--product", "demo-inverter", "--devices", "1", "--host", "no.such.host.invalid")
        with free_socket() as port:
            pass  # free again, so nobody listens
        refused(f"no device could connect to 127.0.0.1:{port}: Connection refused; --host and --port name the MQTT port",
                "--product", "demo-inverter", "--devices", "1", "--port", str(port))


class Servers(CliTest):
    def test_one_that_is_not_there(self):
        with free_socket() as port:
            pass  # free again, so nobody listens
        self.refused(f"cannot reach 127.0.0.1:{port}: Connection refused", "--server", f"http://127.0.0.1:{port}", "org", "get")
        self.refused("cannot reach", "--server", "http://no.such.host.invalid", "org", "get")
        self.refused("expected http://host:port", "--server", "localhost:8090", "org", "get")

    def test_tls(self):
        server = f"https://localhost:{self.node.ports['apis']}"
        self.assertEqual(self.json("--server", server, "--ca", self.node.ca, "org", "get")["id"], "default")
        self.refused("cannot reach", "--server", server, "org", "get")
        watch = self.start("--server", server, "--ca", self.node.ca, "watch", "--device", "demo-inverter/inv-02", "--count", "1")
        wait_for(lambda: self.node.metrics()["orrery_feed_subscribers"] >= 1, "it listens")
        self.device(1).post({"power": 3.0})
        self.assertIn("power=3.0", watch.communicate(timeout=DEADLINE)[0])

    def test_a_failure_of_the_server_is_named(self):
        done = self.refused("/colour: no such field here", "product", "update", "demo-inverter", '{"colour":"red"}')
        self.assertTrue(done.stderr.startswith("orrery: "))
        self.assertEqual(done.stdout, "")


class Completion(CliTest):
    def complete(self, line):
        """What bash offers after `line`."""
        script = self.home / "completion.bash"
        script.write_text(self.cli("completion", "bash"))
        words = line.split(" ")
        test = (f'source {script}; COMP_WORDS=({" ".join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _orrery; '
                'printf "%s\\n" "${COMPREPLY[@]}"')
        return subprocess.run(["bash", "-c", test], capture_output=True, text=True, timeout=20, check=True).stdout.split()

    def test_in_bash(self):
        self.assertEqual(self.complete("orrery dev"), ["device"])
        self.assertIn("list", self.complete("orrery device "))
        self.assertEqual(self.complete("orrery device rese"), ["reset-secret"])
        self.assertEqual(self.complete("orrery --output json device list --pro"), ["--product", "--profile"])
        self.assertIn("--server", self.complete("orrery device list --"))
        self.assertNotIn("demo-hints", self.complete("orrery "))

    def test_in_other_shells(self):
        self.assertIn("bashcompinit", self.cli("completion", "zsh"))
        fish = self.cli("completion", "fish")
        self.assertIn("complete -c orrery -n '__orrery_at device' -a list", fish)
        self.assertIn("-l product", fish)


class AssetsAndTrees(CliTest):
    def test_assets(self):
        made = self.json("asset", "create", "Cli site", "--set", '{"tags": {"of": "cli"}}')
        self.assertEqual(self.json("asset", "get", made["assetId"])["tags"], {"of": "cli"})
        self.assertEqual(self.json("asset", "update", made["assetId"], '{"description": "x"}')["description"], "x")
        listed = self.json("asset", "list", "--kind", "logical", "--search", "cli SITE")
        self.assertEqual([a["assetId"] for a in listed], [made["assetId"]])
        self.assertIn("deleted", self.cli("asset", "delete", made["assetId"]))
        self.refused("no such asset", "asset", "get", made["assetId"])

    def test_a_tree(self):
        tree = self.json("tree", "create", "Cli tree", "--new", "Cli root")
        hall = self.json("tree", "add", "Cli tree", "--new", "Hall")
        self.cli("tree", "add", tree["id"], "--new", "Shed", "--after", "first")
        self.json("tree", "add", "Cli tree", "demo-inverter/inv-01", "--parent", hall["id"])
        shown = self.cli("tree", "show", "Cli tree").splitlines()
        self.assertEqual([line.split("  [")[0] for line in shown], ["Cli root", "  Shed", "  Hall", "    Inverter 1  demo-inverter/inv-01  inactive"])
        self.assertEqual([n["name"] for n in self.json("tree", "show", "Cli tree", "--below", hall["id"])], ["Inverter 1"])
        self.cli("tree", "move", "Cli tree", hall["id"], "--after", "first")
        self.assertEqual(self.json("tree", "rename", "Cli tree", hall["id"], "Hall 1")["name"], "Hall 1")
        self.assertEqual(self.json("tree", "summary", "Cli tree", hall["id"], "--points", "power")["devices"], 1)
        self.assertIn("Cli tree", self.cli("tree", "list"))
        asset = self.json("tree", "show", "Cli tree")[-1]["asset"]["assetId"]
        self.assertIn(tree["id"], [p["treeId"] for p in self.json("asset", "trees", hall["asset"]["assetId"])])
        self.assertEqual(self.json("tree", "clone", "Cli tree", "Cli clone")["nodes"], 4)
        for form in ("json", "ndjson", "csv"):
            file = self.home / f"tree.{form}"
            self.cli("tree", "export", "Cli tree", "--format", form, "--file", str(file))
            self.assertEqual(self.json("tree", "import", f"Cli {form}", "--format", form, "--file", str(file))["nodes"], 4)
        self.assertTrue(self.cli("tree", "export", "Cli tree", "--format", "csv").startswith("node,parent,assetId"))
        self.refused("has children", "tree", "remove", "Cli tree", hall["id"])
        self.cli("tree", "remove", "Cli tree", hall["id"], "--children", "remove", "--delete-logical-assets")
        self.assertEqual(self.json("asset", "get", asset)["name"], "Shed")
        self.refused("more than its root", "tree", "delete", "Cli tree")
        self.cli("tree", "delete", "Cli tree", "--cascade")
        self.refused("there is no tree", "tree", "show", "Cli tree")
        self.refused("give an asset", "tree", "create", "x")
        self.refused("cannot be read", "tree", "import", "x", "--file", str(self.home / "none"))


if __name__ == "__main__":
    unittest.main()
