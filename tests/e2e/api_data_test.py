"""Groups G and H of the API: newest values, history, events."""
import datetime
import time
import unittest

from api_kit import refused
from orrery import NodeTest


def now_ms():
    return int(time.time() * 1000)


def rfc3339(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class DataTest(NodeTest):
    def setUp(self):
        self.made, self.device = self.new_device()
        self.path = f"~/devices/{self.made['assetId']}"

    def ingest(self, *items, **options):
        return self.api.post(self.path + "/points", {"items": list(items)}, **options)

    def series(self, times, point="power"):
        for from_ in range(0, len(times), 1000):
            self.ingest(*[{"time": t, "points": {point: float(t % 1000)}} for t in times[from_:from_ + 1000]])


class Latest(DataTest):
    def test_is_the_newest_by_the_devices_clock(self):
        at = now_ms() - 60_000
        self.device.post({"power": 1.5, "temp": 20.0}, at)
        self.device.post({"power": 2.5}, at + 1000)
        self.device.post({"power": 9.5}, at - 1000)
        got = {p["point"]: p for p in self.api.get(self.path + "/points/latest?timeFormat=ms")["items"]}
        self.assertEqual({k: (p["value"], p["time"]) for k, p in got.items()}, {"power": (2.5, at + 1000), "temp": (20.0, at)})
        self.assertLess(abs(got["power"]["serverTime"] - now_ms()), 30_000)
        self.assertLess(got["power"]["ageMs"], 30_000)
        self.assertGreaterEqual(got["power"]["ageMs"], 0)
        self.assertNotIn("quality", got["power"])

    def test_of_some_points(self):
        self.device.post({"power": 1.5, "temp": 20.0, "state": 1})
        self.assertEqual({p["point"] for p in self.api.get(self.path + "/points/latest?ids=temp,state,none")["items"]}, {"temp", "state"})
        self.assertEqual(self.api.get(self.path + "/points/latest?ids=none")["items"], [])

    def test_shows_the_quality_where_there_is_one(self):
        self.device.post({"energy": {"value": 3.5, "quality": 2}})
        [energy] = self.api.get(self.path + "/points/latest?ids=energy")["items"]
        self.assertEqual((energy["value"], energy["quality"]), (3.5, 2))

    def test_of_many_devices(self):
        other, second = self.new_device()
        self.device.post({"power": 1.0, "temp": 2.0})
        second.post({"power": 3.0})
        rows = self.api.post("~/points/latest", {"ids": [self.made["assetId"], other["assetId"]], "points": ["power"]})["items"]
        self.assertEqual([(r["assetId"], r["point"], r["value"]) for r in rows],
                         [(self.made["assetId"], "power", 1.0), (other["assetId"], "power", 3.0)])
        self.assertEqual(self.api.post("~/points/latest", {"ids": []})["items"], [])
        refused(self, self.api, "POST", "~/points/latest", 422, "validation_failed", json={"ids": ["x"]})

    def test_survives_kill(self):
        self.device.post({"power": 7.25})
        self.device.close()
        self.node.kill()
        self.node.start()
        type(self).api = self.node.api()
        [power] = self.api.get(self.path + "/points/latest")["items"]
        self.assertEqual(power["value"], 7.25)


class History(DataTest):
    def times(self, query="", point="power"):
        items, cursor = [], None
        while True:
            more = f"&cursor={cursor}" if cursor else ""
            page = self.api.get(f"{self.path}/points/{point}/history?timeFormat=ms{query}{more}")
            items += [p["time"] for p in page["items"]]
            cursor = page.get("nextCursor")
            if not cursor:
                return items

    def test_is_paged_both_ways(self):
        begin = now_ms() - 3 * 3600_000
        times = [begin + i * 1500 for i in range(2500)]
        self.series(times)
        for limit in (7, 999, 2500, 10_000):
            if limit == 7:
                part = f"&from={times[0]}&to={times[99]}"
                self.assertEqual(self.times(f"&limit=7{part}"), times[:100])
                self.assertEqual(self.times(f"&limit=7&order=desc{part}"), times[99::-1])
                continue
            self.assertEqual(self.times(f"&limit={limit}"), times)
            self.assertEqual(self.times(f"&limit={limit}&order=desc"), times[::-1])
        self.assertEqual(len(self.api.get(f"{self.path}/points/power/history?limit=10")["items"]), 10)

    def test_from_and_to_are_both_inside(self):
        begin = now_ms() - 100_000
        times = [begin + i * 1000 for i in range(10)]
        self.series(times)
        self.assertEqual(self.times(f"&from={times[2]}&to={times[5]}"), times[2:6])
        self.assertEqual(self.times(f"&from={rfc3339(times[2])}&to={rfc3339(times[5])}"), times[2:6])
        self.assertEqual(self.times(f"&from={times[2] + 1}&to={times[5] - 1}"), times[3:5])
        self.assertEqual(self.times(f"&from={times[3]}&to={times[3]}"), [times[3]])
        self.assertEqual(self.times(f"&to={begin - 1}&from=0"), [])
        self.assertEqual(self.times("&from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z"), times)

    def test_times_are_written_as_asked(self):
        at = now_ms() - 5000
        self.series([at])
        path = f"{self.path}/points/power/history"
        self.assertEqual(self.api.get(path)["items"][0]["time"], rfc3339(at))
        self.assertEqual(self.api.get(path + "?timeFormat=ms")["items"][0]["time"], at)

    def test_a_day_is_shown_if_nothing_is_said(self):
        at = now_ms()
        self.series([at - 25 * 3600_000, at - 23 * 3600_000])
        self.assertEqual(self.times(), [at - 23 * 3600_000])

    def test_one_row_a_time_the_last_one_said(self):
        at = now_ms() - 5000
        for value in (1.5, 2.5, 3.5):
            self.device.post({"power": value}, at)
        [row] = self.api.get(f"{self.path}/points/power/history?timeFormat=ms")["items"]
        self.assertEqual((row["time"], row["value"]), (at, 3.5))

    def test_of_several_points(self):
        at = now_ms() - 10_000
        for i in range(5):
            self.ingest({"time": at + i, "points": {"power": float(i), "temp": 20.0 + i, "state": i % 2}})
        rows, cursor = [], ""
        while True:
            page = self.api.get(f"{self.path}/points/history?points=power,temp&limit=3&timeFormat=ms{cursor}")
            rows += [(r["time"] - at, r["point"], r["value"]) for r in page["items"]]
            if "nextCursor" not in page:
                break
            cursor = "&cursor=" + page["nextCursor"]
        self.assertEqual(rows, [row for i in range(5) for row in ((i, "power", float(i)), (i, "temp", 20.0 + i))])
        self.assertEqual(len(self.api.get(f"{self.path}/points/history")["items"]), 15)

    def test_of_a_point_without_values(self):
        self.assertEqual(self.times(point="temp"), [])

    def test_bad_questions(self):
        path = f"{self.path}/points/power/history"
        for query in ("limit=0", "limit=10001", "limit=x", "order=up", "from=yesterday", "to=2026-02-30T00:00:00Z", "from=99999999999999999",
                      "timeFormat=unix"):
            refused(self, self.api, "GET", f"{path}?{query}", 400, "malformed")
        refused(self, self.api, "GET", f"{path}?from=2000&to=1000", 422, "validation_failed")
        refused(self, self.api, "GET", f"{path}?cursor=x", 400, "bad_cursor")
        refused(self, self.api, "GET", f"{path}?step=5", 400, "unknown_field")

    def test_a_cursor_belongs_to_its_question(self):
        self.series([now_ms() - 5000 + i for i in range(5)])
        path = f"{self.path}/points/power/history"
        cursor = self.api.get(path + "?limit=2")["nextCursor"]
        self.api.get(f"{path}?limit=500&cursor={cursor}")
        for other in (f"{path}?order=desc&cursor={cursor}", f"{path}?from=0&cursor={cursor}",
                      f"{self.path}/points/temp/history?cursor={cursor}"):
            refused(self, self.api, "GET", other, 400, "bad_cursor")


class Ingest(DataTest):
    def test_values_of_an_application_are_values_like_others(self):
        at = now_ms() - 5000
        stream = self.api.stream({"kind": "points", "filter": {"assets": [self.made["assetId"]]}})
        self.addCleanup(stream.close)
        self.assertEqual(self.ingest({"time": at, "points": {"power": 1.5}}, {"points": {"power": 2.5, "state": 1}}), {"dropped": []})
        self.assertEqual([i["v"].get("power", {}).get("value") for i in stream.items(2)], [1.5, 2.5])
        self.assertEqual([p["value"] for p in self.api.get(f"{self.path}/points/power/history")["items"]], [1.5, 2.5])

    def test_backfill_fills_history_and_moves_no_newer_value(self):
        at = now_ms()
        self.device.post({"power": 5.0}, at)
        self.api.post(self.path + "/points", {"mode": "backfill", "items": [{"time": at - 1000, "points": {"power": 4.0}}]})
        self.assertEqual(self.api.get(self.path + "/points/latest")["items"][0]["value"], 5.0)
        self.assertEqual([p["value"] for p in self.api.get(f"{self.path}/points/power/history")["items"]], [4.0, 5.0])

    def test_is_checked_against_the_model(self):
        for points, place in (({"power": "x"}, "power"), ({"temp": 500}, "temp"), ({"none": 1}, "none"), ({"state": 9}, "state")):
            reply = self.api.request("POST", self.path + "/points", json={"items": [{"points": points}]}, expect=422).json()
            self.assertIn(place, reply["errors"][0]["pointer"], reply)
        self.assertEqual(self.api.get(self.path + "/points/latest")["items"], [])

    def test_is_checked_itself(self):
        for body, pointer in (({}, "/items"), ({"items": [{}]}, "/items/0/points"), ({"items": [{"points": {}}]}, "/items/0/points"),
                              ({"items": [{"points": {"power": 1.0}, "time": "x"}]}, "/items/0/time"), ({"items": [7]}, "/items/0"),
                              ({"items": [], "mode": "sometimes"}, "/mode"), ({"items": [{"points": {"power": 1.0}}] * 1001}, "/items")):
            reply = self.api.request("POST", self.path + "/points", json=body, expect=422).json()
            self.assertIn(pointer, [e["pointer"] for e in reply["errors"]], body)


class Events(DataTest):
    def raise_event(self, temp, at):
        self.api.request("POST", self.path + "/events", json={"eventId": "overTemperature", "output": {"temp": temp}, "time": at}, expect=204)

    def test_of_the_device_and_of_applications_are_listed_newest_first(self):
        at = now_ms() - 60_000
        for i in range(5):
            self.raise_event(90.0 + i, at + i)
        reply = self.device.request("thing/event/overTemperature/post", "thing.event.overTemperature.post", {"events": {"temp": 99.5}, "time": at + 10})
        self.assertEqual(reply["code"], 200)
        first = self.api.get(self.path + "/events?limit=4&timeFormat=ms")
        second = self.api.get(self.path + f"/events?limit=4&timeFormat=ms&cursor={first['nextCursor']}")
        self.assertNotIn("nextCursor", second)
        rows = first["items"] + second["items"]
        self.assertEqual([(r["time"] - at, r["output"]["temp"]) for r in rows], [(10, 99.5), (4, 94.0), (3, 93.0), (2, 92.0), (1, 91.0), (0, 90.0)])
        self.assertEqual({(r["eventId"], r["level"], r["assetId"]) for r in rows}, {("overTemperature", "warning", self.made["assetId"])})
        self.assertEqual(len({r["id"] for r in rows}), 6)

    def test_are_filtered(self):
        at = now_ms() - 60_000
        for i in range(5):
            self.raise_event(90.0, at + i * 1000)

        def times(query):
            return [r["time"] - at for r in self.api.get(self.path + "/events?timeFormat=ms&" + query)["items"]]

        self.assertEqual(times(f"from={at + 1000}&to={at + 3000}"), [3000, 2000, 1000])
        self.assertEqual(times(f"from={rfc3339(at + 1000)}&to={rfc3339(at + 1000)}"), [1000])
        self.assertEqual(times("eventId=none"), [])
        self.assertEqual(len(times("eventId=overTemperature")), 5)

    def test_are_checked(self):
        for body, status in (({"eventId": "none"}, 422), ({"eventId": "overTemperature", "output": {"temp": "hot"}}, 422), ({}, 422),
                             ({"eventId": "overTemperature", "output": []}, 422), ({"eventId": "overTemperature", "level": 1}, 400)):
            self.api.request("POST", self.path + "/events", json=body, expect=status)
        self.assertEqual(self.api.get(self.path + "/events")["items"], [])
        for query, code in (("from=x", "malformed"), ("limit=501", "malformed"), ("cursor=x", "bad_cursor"), ("colour=red", "unknown_field")):
            refused(self, self.api, "GET", f"{self.path}/events?{query}", 400, code)


if __name__ == "__main__":
    unittest.main()
