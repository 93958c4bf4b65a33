#include "model/wot.hpp"

#include <gtest/gtest.h>

#include "model/json.hpp"
#include "model/thing_model.hpp"

namespace orrery::model {
namespace {

value json(const char* text) {
  auto v = parse_json(text);
  EXPECT_TRUE(v) << text;
  return v ? *v : value{};
}

const auto pump = *parse_json(R"({
  "format": "tm/1", "id": "Pump", "revision": 3, "name": {"default": "Pump", "i18n": {"de": "Pumpe"}}, "description": "Moves water",
  "attributes": [
    {"id": "serial", "name": "Serial", "access": "ro", "type": {"t": "string", "minLength": 1, "maxLength": 32, "pattern": "[A-Z]+|x"}},
    {"id": "site", "access": "cloud", "default": "A", "type": {"t": "string"}}],
  "measurePoints": [
    {"id": "pressure", "unit": "bar", "signal": "AI", "type": {"t": "double", "min": 0, "exclusiveMin": true, "max": 40, "step": 0.5}},
    {"id": "state", "writable": true, "type": {"t": "enum", "values": {"0": "off", "1": {"default": "on", "i18n": {"de": "an"}}}}},
    {"id": "mode", "type": {"t": "enum", "base": "string", "values": {"a": "Automatic"}}},
    {"id": "at", "type": {"t": "timestamp"}},
    {"id": "levels", "type": {"t": "array", "items": {"t": "int", "max": 9}, "maxItems": 4}},
    {"id": "place", "type": {"t": "struct", "fields": [{"id": "x", "required": true, "type": {"t": "float"}}, {"id": "on", "type": {"t": "bool"}}]}},
    {"id": "picture", "type": {"t": "file"}}],
  "services": [
    {"id": "start", "name": "Start", "callType": "ASYNC", "idempotent": true,
     "input": [{"id": "delay", "unit": "s", "default": 0, "required": true, "type": {"t": "long", "min": 0}}], "output": [{"id": "ok", "type": {"t": "bool"}}]},
    {"id": "stop"}],
  "events": [{"id": "dryRun", "level": "warning", "output": [{"id": "map", "type": {"t": "map", "values": {"t": "int"}}}]}, {"id": "bare"}]
})");

TEST(Wot, WritesEveryElementAndType) {
  ASSERT_TRUE(thing_model::compile(pump)) << "or the test says nothing";
  EXPECT_EQ(to_json(to_wot(pump)), to_json(json(R"({
    "@context": ["https://www.w3.org/2022/wot/td/v1.1", {"orrery": "urn:orrery:tm1#"}], "@type": "tm:ThingModel",
    "title": "Pump", "titles": {"de": "Pumpe"}, "description": "Moves water", "orrery:model": "Pump", "version": {"model": "3"},
    "properties": {
      "serial": {"type": "string", "minLength": 1, "maxLength": 32, "pattern": "^(?:[A-Z]+|x)$", "title": "Serial", "readOnly": true, "observable": false, "orrery:kind": "attribute"},
      "site": {"type": "string", "default": "A", "readOnly": false, "observable": false, "orrery:kind": "attribute"},
      "pressure": {"type": "number", "exclusiveMinimum": 0, "maximum": 40, "multipleOf": 0.5, "unit": "bar", "readOnly": true, "observable": true, "orrery:kind": "measurePoint", "orrery:signal": "AI"},
      "state": {"type": "integer", "oneOf": [{"const": 0, "title": "off"}, {"const": 1, "title": "on", "titles": {"de": "an"}}], "readOnly": false, "observable": true, "orrery:kind": "measurePoint"},
      "mode": {"type": "string", "oneOf": [{"const": "a", "title": "Automatic"}], "readOnly": true, "observable": true, "orrery:kind": "measurePoint"},
      "at": {"type": "integer", "orrery:time": "ms since 1970-01-01T00:00:00Z", "readOnly": true, "observable": true, "orrery:kind": "measurePoint"},
      "levels": {"type": "array", "items": {"type": "integer", "maximum": 9}, "maxItems": 4, "readOnly": true, "observable": true, "orrery:kind": "measurePoint"},
      "place": {"type": "object", "properties": {"x": {"type": "number"}, "on": {"type": "boolean"}}, "required": ["x"], "readOnly": true, "observable": true, "orrery:kind": "measurePoint"},
      "picture": {"type": "string", "orrery:file": true, "readOnly": true, "observable": true, "orrery:kind": "measurePoint"}},
    "actions": {
      "start": {"title": "Start", "input": {"type": "object", "properties": {"delay": {"type": "integer", "minimum": 0, "unit": "s", "default": 0}}, "required": ["delay"]},
        "output": {"type": "object", "properties": {"ok": {"type": "boolean"}}}, "synchronous": false, "idempotent": true},
      "stop": {"synchronous": true, "idempotent": false}},
    "events": {
      "dryRun": {"data": {"type": "object", "properties": {"map": {"type": "object", "additionalProperties": {"type": "integer"}}}}, "orrery:level": "warning"},
      "bare": {"data": {"type": "object", "properties": {}}, "orrery:level": "info"}}
  })")));
}

TEST(Wot, TakesWhatIsNoModelForAnEmptyOne) {
  for (const auto* text :
       {"{}",
        R"({"id":7,"attributes":{},"measurePoints":[3,{"id":"a"}],"services":[{}],"events":null})"})
    EXPECT_TRUE(to_wot(json(text)).is_object()) << text;
}

}  // namespace
}  // namespace orrery::model
