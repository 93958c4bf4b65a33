#!/usr/bin/python3
"""Runs the EnOS device SDK for Python against a node of its own: every call, and what came of it. See README.md."""
import argparse
import concurrent.futures
import logging
import queue
import sys
import time

from world import DEADLINE, Cable, Table, World, wait_for

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--sdk", required=True, help="the folder that has the SDK's package `enos`")
parser.add_argument("--verbose", action="store_true", help="show the SDK's log")
arguments = parser.parse_args()
sys.path.insert(0, arguments.sdk)

from enos.core.constant.DeviceCredential import DeviceCredential  # noqa: E402
from enos.core.internal.Ciphers import Ciphers  # noqa: E402
from enos.core.internal.Profile import Profile  # noqa: E402
from enos.core.login.DynamicActivationLogin import DynamicActivationLogin  # noqa: E402
from enos.core.login.MessageIntegrationLogin import MessageIntegrationLogin  # noqa: E402
from enos.core.login.NormalDeviceLogin import NormalDeviceLogin  # noqa: E402
from enos.core.message.IConnectCallback import IConnectCallback  # noqa: E402
from enos.core.message.IResponseCallback import IResponseCallback  # noqa: E402
from enos.core.MqttClient import MqttClient  # noqa: E402
from enos.core.util.StringI18n import StringI18n  # noqa: E402
from enos.message.downstream.device.SubDeviceDeleteCommand import SubDeviceDeleteCommand  # noqa: E402
from enos.message.downstream.device.SubDeviceDeleteReply import SubDeviceDeleteReply  # noqa: E402
from enos.message.downstream.device.SubDeviceDisableCommand import SubDeviceDisableCommand  # noqa: E402
from enos.message.downstream.device.SubDeviceDisableReply import SubDeviceDisableReply  # noqa: E402
from enos.message.downstream.device.SubDeviceEnableCommand import SubDeviceEnableCommand  # noqa: E402
from enos.message.downstream.device.SubDeviceEnableReply import SubDeviceEnableReply  # noqa: E402
from enos.message.downstream.ota.OtaUpgradeCommand import OtaUpgradeCommand  # noqa: E402
from enos.message.downstream.ota.OtaUpgradeReply import OtaUpgradeReply  # noqa: E402
from enos.message.downstream.tsl.MeasurepointGetCommand import MeasurepointGetCommand  # noqa: E402
from enos.message.downstream.tsl.MeasurepointGetReply import MeasurepointGetReply  # noqa: E402
from enos.message.downstream.tsl.MeasurepointSetCommand import MeasurepointSetCommand  # noqa: E402
from enos.message.downstream.tsl.MeasurepointSetReply import MeasurepointSetReply  # noqa: E402
from enos.message.downstream.tsl.ModelDownRawCommand import ModelDownRawCommand  # noqa: E402
from enos.message.downstream.tsl.ModelDownRawReply import ModelDownRawReply  # noqa: E402
from enos.message.downstream.tsl.ServiceInvocationCommand import ServiceInvocationCommand  # noqa: E402
from enos.message.downstream.tsl.ServiceInvocationReply import ServiceInvocationReply  # noqa: E402
from enos.message.upstream.integration.IntAttributePostRequest import IntAttributePostRequest  # noqa: E402
from enos.message.upstream.integration.IntEventPostRequest import IntEventPostRequest  # noqa: E402
from enos.message.upstream.integration.IntMeaturepointPostRequest import IntMeaturepointPostRequest  # noqa: E402
from enos.message.upstream.integration.IntModelUpRawRequest import IntModelUpRawRequest  # noqa: E402
from enos.message.upstream.ota.OtaGetVersionRequest import OtaGetVersionRequest  # noqa: E402
from enos.message.upstream.ota.OtaProgressReportRequest import OtaProgressReportRequest  # noqa: E402
from enos.message.upstream.ota.OtaVersionReportRequest import OtaVersionReportRequest  # noqa: E402
from enos.message.upstream.register.DeviceRegOption import DeviceRegOption  # noqa: E402
from enos.message.upstream.register.DeviceRegisterRequest import DeviceRegisterRequest  # noqa: E402
from enos.message.upstream.resume.MeasurepointResumeBatchRequest import MeasurepointResumeBatchRequest  # noqa: E402
from enos.message.upstream.resume.MeasurepointResumeRequest import MeasurepointResumeRequest  # noqa: E402
from enos.message.upstream.status.SubDeviceLoginBatchRequest import SubDeviceLoginBatchRequest  # noqa: E402
from enos.message.upstream.status.SubDeviceLoginRequest import SubDeviceLoginRequest  # noqa: E402
from enos.message.upstream.status.SubDeviceLogoutRequest import SubDeviceLogoutRequest  # noqa: E402
from enos.message.upstream.tag.TagDeleteRequest import TagDeleteRequest  # noqa: E402
from enos.message.upstream.tag.TagQueryRequest import TagQueryRequest  # noqa: E402
from enos.message.upstream.tag.TagUpdateRequest import TagUpdateRequest  # noqa: E402
from enos.message.upstream.topo.SubDeviceInfo import SubDeviceInfo  # noqa: E402
from enos.message.upstream.topo.TopoAddRequest import TopoAddRequest  # noqa: E402
from enos.message.upstream.topo.TopoDeleteRequest import TopoDeleteRequest  # noqa: E402
from enos.message.upstream.topo.TopoGetRequest import TopoGetRequest  # noqa: E402
from enos.message.upstream.tsl.AttributeDeleteRequest import AttributeDeleteRequest  # noqa: E402
from enos.message.upstream.tsl.AttributeQueryRequest import AttributeQueryRequest  # noqa: E402
from enos.message.upstream.tsl.AttributeUpdateRequest import AttributeUpdateRequest  # noqa: E402
from enos.message.upstream.tsl.EventPostRequest import EventPostRequest  # noqa: E402
from enos.message.upstream.tsl.MeasurepointPostBatchRequest import MeasurepointPostBatchRequest  # noqa: E402
from enos.message.upstream.tsl.MeasurepointPostRequest import MeasurepointPostRequest  # noqa: E402
from enos.message.upstream.tsl.ModelUpRawRequest import ModelUpRawRequest  # noqa: E402
from enos.message.upstream.tsl.TslTemplateGetRequest import TslTemplateGetRequest  # noqa: E402

MqttClient.setup_basic_logger("INFO" if arguments.verbose else "CRITICAL")
logging.getLogger("urllib3").setLevel("WARNING")
OLD = int(time.time() * 1000) - 3_600_000

world = World()
table = Table()
see = table.see


def client(made, url=None, sign=None, **settings):
    """A client of a device that has its secret, not connected yet."""
    profile = Profile.create_instance(NormalDeviceLogin(url or world.url(), made["productKey"], made["deviceKey"], made["deviceSecret"]))
    if sign:
        profile.set_sign_method(sign)
    for name, value in settings.items():
        getattr(profile, f"set_{name}")(value)
    profile.set_operation_timeout(10)
    return MqttClient(profile=profile)


def connected(made, **how):
    it = client(made, **how)
    it.connect()
    return it


def ask(it, builder, whose=None):
    """Publishes and waits. Gives (code, data)."""
    request = builder.build() if hasattr(builder, "build") else builder
    if whose:
        request.set_product_key(whose["productKey"])
        request.set_device_key(whose["deviceKey"])
    reply = it.publish(request)
    return reply.get_code(), reply.get_data()


def code(it, builder, whose=None):
    return ask(it, builder, whose)[0]


def post(**points):
    return MeasurepointPostRequest.builder().add_measurepoints(points)


def resume(**points):
    return MeasurepointResumeRequest.builder().add_measure_points(points).set_timestamp(OLD)


def entry(builder, whose=None):
    if whose:
        builder.set_product_key(whose["productKey"]).set_device_key(whose["deviceKey"])
    return builder.build()


def logins():
    made = world.device(world.probes, "logins")
    for sign in ("hmacsha256", "hmacsha1", "hmacmd5"):
        it = see(f"connect, securemode 2, {sign}", lambda sign=sign: connected(made, sign=sign), lambda it: it.is_connected())
        see("close", it.close, None)
    it = MqttClient(world.url(), made["productKey"], made["deviceKey"], made["deviceSecret"])
    called = queue.Queue()
    it.on_connect = lambda: called.put("connected")
    it.on_disconnect = lambda: called.put("disconnected")
    it.connect()
    see("on_connect", lambda: called.get(timeout=DEADLINE), "connected")
    it.disconnect()
    see("disconnect, on_disconnect", lambda: called.get(timeout=DEADLINE), "disconnected")
    it.reconnect()
    see("reconnect", it.is_connected)
    see("publish after reconnect", lambda: code(it, post(level=1)), 200)
    it.close()

    callback = IConnectCallback()
    later = queue.Queue()
    callback.on_connect = lambda: later.put("later")
    it = client(made)
    it.connect(callback)
    see("connect with a callback", lambda: later.get(timeout=DEADLINE), "later")
    it.close()

    it = client(dict(made, deviceSecret="another"))
    it.connect()
    see("connect with a wrong secret", it.is_connected, False)
    it.close()
    it = client(made, mqtt_clean_session=False, keep_alive=5)
    it.connect()
    see("connect, clean session 0, keep-alive 5", it.is_connected)
    it.close()


def certificate():
    made, pem, key = world.certified(world.proven, "proven")
    world.trusts_devices()
    for name, ciphers in (("", None), (", ciphers RSA", Ciphers.RSA), (", ciphers ECC", Ciphers.ECC)):
        it = client(made, url=world.url("ssl"))
        it.get_profile().set_ssl_context(world.node.ca, pem, key, ssl_ciphers=ciphers)
        it.connect()
        see(f"connect by certificate{name}", it.is_connected)
        see("publish over TLS", lambda it=it: code(it, post(level=2)), 200)
        it.close()
    hub, pem, key = world.certified(world.proven_hubs, "hub")
    leaf = world.device(world.proven, "leaf")
    world.bind(hub, leaf)
    it = client(hub, url=world.url("ssl"))
    it.get_profile().set_ssl_context(world.node.ca, pem, key)
    it.connect()
    see("connect a gateway by certificate", it.is_connected)
    see("log in a sub-device that must prove itself", lambda: code(it, SubDeviceLoginRequest.builder().set_sub_device_info(
        leaf["productKey"], "leaf", leaf["deviceSecret"])), 200)
    it.close()


def activation():
    made = world.device(world.young, "young")
    secrets = queue.Queue()
    for again in ("", ", again"):
        it = MqttClient(profile=Profile.create_instance(
            DynamicActivationLogin(world.url(), made["productKey"], world.young["productSecret"], "young")))
        it.on_device_dynamic_active = secrets.put
        it.connect()
        secret = see(f"dynamic activation{again}", lambda: secrets.get(timeout=DEADLINE))
        see("publish on the connection that activates", lambda it=it: code(it, post(level=3)), 200)
        it.close()
    it = connected(dict(made, deviceSecret=secret))
    see("connect with the secret that came", it.is_connected)
    it.close()


def requests():
    made = world.device(world.probes, "requests")
    it = connected(made)
    see("post points", lambda: ask(it, post(level=5, note="x")), (200, {}))
    see("what is kept", lambda: world.latest(made), {"level": 5, "note": "x"})
    see("post an unknown point", lambda: code(it, post(nothing=5)), 1204)
    see("post a batch", lambda: code(it, MeasurepointPostBatchRequest.builder().add_request(entry(post(level=6))).add_request(
        entry(post(level=7).set_timestamp(OLD)))), 200)
    see("post a batch of itself by name, with both flags", lambda: code(it, MeasurepointPostBatchRequest.builder().add_request(entry(post(level=8), made))
        .set_allow_offline_sub_device(False).set_skip_invalid_measurepoints(False)), 200)
    see("post a batch, one is wrong", lambda: code(it, MeasurepointPostBatchRequest.builder().add_requests([entry(post(level=6)), entry(post(no=7))])),
        lambda c: c != 200)
    see("post a batch that may skip", lambda: code(it, MeasurepointPostBatchRequest.builder().set_requests([entry(post(no=7))])
        .set_skip_invalid_measurepoints(True)), 200)
    see("post with a time in seconds", lambda: code(it, post(level=1).set_timestamp(int(time.time()))), 200)
    see("resume", lambda: code(it, resume(level=1)), 200)
    see("resume with quality", lambda: code(it, MeasurepointResumeRequest.builder().add_measure_point_with_quality("flow", 1.5, 1)), 200)
    see("resume a batch", lambda: code(it, MeasurepointResumeBatchRequest.builder().add_request(entry(resume(level=2))).add_request(
        entry(resume(level=3), made))), 200)
    see("post an event", lambda: code(it, EventPostRequest.builder().set_event_identifier("alarm").add_values({"low": 2, "high": 10})), 200)
    see("post an unknown event", lambda: code(it, EventPostRequest.builder().set_event_identifier("nothing")), 1204)
    see("update attributes", lambda: ask(it, AttributeUpdateRequest.builder().add_attribute("name", "n").add_attributes({"age": 30})), (200, {}))
    see("query all attributes", lambda: ask(it, AttributeQueryRequest.builder().query_all()), (200, {"name": "n", "age": 30}))
    see("query one attribute", lambda: ask(it, AttributeQueryRequest.builder().add_attribute("age")), (200, {"age": 30}))
    see("delete an attribute", lambda: code(it, AttributeDeleteRequest.builder().delete_attribute("name")), 200)
    see("query what is left", lambda: ask(it, AttributeQueryRequest.builder().query_all()), (200, {"age": 30}))
    see("update tags", lambda: code(it, TagUpdateRequest.builder().add_tag("a", "1").add_tags({"b": 2})), 200)
    see("query all tags", lambda: ask(it, TagQueryRequest.builder().query_all()), (200, {"a": "1", "b": "2"}))
    see("query tags", lambda: ask(it, TagQueryRequest.builder().add_keys(["b"])), (200, {"b": "2"}))
    see("delete tags", lambda: code(it, TagDeleteRequest.builder().delete_tag_key("a")), 200)
    template = see("get the model", lambda: it.publish(TslTemplateGetRequest.builder().build()), lambda r: r.is_success())
    see("its parts", lambda: [sorted(part) for part in (template.get_attributes(), template.get_measure_points(), template.get_events(), template.get_services())],
        [["age", "name"], ["flow", "level", "note"], ["alarm"], ["breaks", "multiply", "unheard"]])
    see("fast_publish", lambda: it.fast_publish(post(level=77).build()), None)
    see("what came of it", lambda: wait_for(lambda: world.latest(made).get("level") == 77, "the point"))
    got = queue.Queue()
    callback = IResponseCallback()
    callback.on_response, callback.on_failure = lambda reply: got.put(reply.get_code()), got.put
    def with_qos_0():
        request = post(level=79).build()
        request.set_qos(0)
        return code(it, request)

    def at_once(threads, each):
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda n: code(it, post(level=n)), range(threads * each)))

    see("publish with QoS 0", with_qos_0, 200)
    see("publish by 16 threads", lambda: set(at_once(16, 20)), {200})
    see("publish much at once", lambda: code(it, post(note="x" * 60_000)), 200)
    see("publish with a callback", lambda: it.publish(post(level=78).build(), callback) or got.get(timeout=DEADLINE), 200)

    made = world.device(world.raw, "raw")
    raw = connected(made)
    see("raw up", lambda: raw.publish(ModelUpRawRequest.builder().set_payload(bytes([1, 9, 42])).build()).get_payload(),
        b"\2\0\xc8thing.measurepoint.post")
    see("what is kept", lambda: world.latest(made), {"level": 42})
    raw.register_arrived_message_handler(ModelDownRawCommand.get_class(), lambda command, _: ModelDownRawReply(bytes([2, 0])))
    see("raw down", lambda: world.invoke(made, "multiply", left=1, right=1)["state"], "succeeded")
    raw.close()
    it.close()


def commands():
    made = world.device(world.probes, "commands")
    it = connected(made)

    def multiply(command, path):
        if path[2] == "breaks":
            raise RuntimeError("it breaks")
        if path[2] == "unheard":
            return ServiceInvocationReply.builder().set_code(code(it, post(level=9))).build()
        given = command.get_params()
        return ServiceInvocationReply.builder().set_code(200).add_output_data("product", given["left"] * given["right"]).build()

    see("a service without a handler", lambda: world.invoke(made, "unheard"), lambda c: (c["state"], c["code"]) == ("failed", 1101))
    it.register_arrived_message_handler(ServiceInvocationCommand.get_class(), multiply)
    it.register_arrived_message_handler(MeasurepointSetCommand.get_class(), lambda c, _: MeasurepointSetReply.builder().set_code(200).build())
    it.register_arrived_message_handler(MeasurepointGetCommand.get_class(),
                                        lambda c, _: MeasurepointGetReply.builder().set_code(200).add_measureponits({p: 4 for p in c.get_params()}).build())
    see("a service with a handler", lambda: world.invoke(made, "multiply", left=6, right=7), {"state": "succeeded", "code": 200, "output": {"product": 42}})
    see("a service whose handler throws", lambda: world.invoke(made, "breaks"), lambda c: (c["state"], c["code"]) == ("failed", 500))
    see("set a point", lambda: world.set_point(made, "level", 3)["state"], "succeeded")
    see("what a handler asks for before it answers", lambda: [world.invoke(made, "unheard")["state"], world.latest(made)["level"]], ["succeeded", 9])
    see("get points", lambda: world.read_points(made, "level"), {"state": "succeeded", "code": 200, "output": {"level": 4}})
    it.register_arrived_message_handler(MeasurepointSetCommand.get_class(),
                                        lambda c, _: MeasurepointSetReply.builder().set_code(2001).set_message("not now").build())
    see("set a point, refused", lambda: world.set_point(made, "level", 3), lambda c: (c["state"], c["code"]) == ("failed", 2001))
    see("requests go on beside commands", lambda: code(it, post(level=1)), 200)
    it.close()
    for clean in (True, False):
        wait_for(lambda: world.status(made) == "offline", "off-line")
        waits = world.begin(made, "multiply", left=3, right=3)
        it = client(made, mqtt_clean_session=clean)
        it.register_arrived_message_handler(ServiceInvocationCommand.get_class(), multiply)
        it.connect()
        see(f"a service that waited for the device, clean session {int(clean)}", lambda waits=waits: world.ended(waits),
            {"state": "succeeded", "code": 200, "output": {"product": 9}})
        it.close()


def firmware():
    made = world.device(world.probes, "firmware")
    it = connected(made)
    pushed = queue.Queue()

    def upgrade(command, _):
        pushed.put(vars(command.get_firmware_info()))
        pushed.put(code(it, OtaProgressReportRequest.builder().set_step("10").set_desc("begun")))
        return OtaUpgradeReply.builder().set_code(200).build()

    it.register_arrived_message_handler(OtaUpgradeCommand.get_class(), upgrade)
    see("report a version that is a number", lambda: code(it, OtaVersionReportRequest.builder().set_version(1.0)), 200)
    see("get versions, none", lambda: ask(it, OtaGetVersionRequest.builder()), (200, []))
    job = world.offer(world.probes, "firmware", "2.0")
    see("upgrade command", lambda: pushed.get(timeout=DEADLINE), lambda f: (f["version"], f["sign_method"]) == ("2.0", "md5") and f["file_url"] and f["file_size"])
    see("report progress in the handler", lambda: pushed.get(timeout=DEADLINE), 200)
    for step in ("20", "100"):
        see(f"report progress {step}", lambda step=step: code(it, OtaProgressReportRequest.builder().set_step(step).set_desc("going on")), 200)
    see("report the new version", lambda: code(it, OtaVersionReportRequest.builder().set_version("2.0")), 200)
    see("the upgrade", lambda: world.task(job), "succeeded")
    it.close()


def gateway():
    hub = world.device(world.hubs, "hub")
    cable = Cable(world.node)
    it = connected(hub, url=world.url(port=cable.port), auto_reconnect_min_sec=1, auto_reconnect_max_sec=1)
    pk = world.leaves["productKey"]
    name = StringI18n("leaf")
    name.set_localized_value("en_US", "leaf")
    register = DeviceRegisterRequest.builder().add_register_information(pk, "leaf-1", name, "of a driver", "+08:00", {"name": "one"})
    register.add_batch_register_info(pk, [DeviceRegOption("leaf-2", StringI18n("two"), "", "+08:00"), DeviceRegOption("", StringI18n("three"), "", "+08:00")])
    reply = see("register devices", lambda: it.publish(register.build()), lambda r: r.is_success())
    leaves = reply.get_data()
    see("what came back", lambda: leaves, lambda seen: len(seen) == 3 and all(seen[n][k] for n in range(3) for k in ("assetId", "productKey", "deviceKey", "deviceSecret")))
    see("get_device_basic_info_list", lambda: reply.get_device_basic_info_list()[0].deviceSecret, leaves[0]["deviceSecret"])
    see("register one that is there", lambda: code(it, DeviceRegisterRequest.builder().add_register_information(pk, "leaf-1", name, "", "+08:00")), 702)
    proof = [SubDeviceInfo(d["productKey"], d["deviceKey"], d["deviceSecret"]) for d in leaves]
    see("add to the topology", lambda: code(it, TopoAddRequest.builder().add_sub_device(proof[0]).add_sub_devices(proof[1:])), 200)
    see("get the topology", lambda: ask(it, TopoGetRequest.builder()), lambda seen: seen[0] == 200 and len(seen[1]) == 3)
    see("delete from the topology", lambda: code(it, TopoDeleteRequest.builder().delete_sub_device(pk, leaves[2]["deviceKey"])), 200)
    see("get the topology again", lambda: len(ask(it, TopoGetRequest.builder())[1]), 2)
    one, two = leaves[:2]

    def login(d, product_secret=None):
        return SubDeviceLoginRequest.builder().set_sub_device_credential(
            DeviceCredential(d["productKey"], product_secret, d["deviceKey"], "" if product_secret else d["deviceSecret"]))

    see("publish for one that is not logged in", lambda: code(it, post(level=1), one), lambda c: c != 200)
    reply = see("log a sub-device in", lambda: it.publish(SubDeviceLoginRequest.builder().set_sub_device_info(pk, "leaf-1", one["deviceSecret"]).build()),
                lambda r: r.is_success())
    see("its keys", lambda: (reply.get_sub_product_key(), reply.get_sub_device_key()), (pk, "leaf-1"))
    see("with a wrong secret", lambda: code(it, login(dict(two, deviceSecret="another"))), lambda c: c != 200)
    see("get_logined_sub_device", lambda: list(it.get_logined_sub_device()), ["leaf-1"])
    for what, request in (("post points", post(level=11)), ("resume", resume(level=12)), ("query tags", TagQueryRequest.builder()),
                          ("update attributes", AttributeUpdateRequest.builder().add_attribute("age", 3)),
                          ("get the model", TslTemplateGetRequest.builder()), ("report the version", OtaVersionReportRequest.builder().set_version("1")),
                          ("post an event", EventPostRequest.builder().set_event_identifier("alarm").add_value("low", 1))):
        see(f"{what} for a sub-device", lambda request=request: code(it, request, one), 200)
    see("post a batch for gateway and sub-device", lambda: code(it, MeasurepointPostBatchRequest.builder().add_request(entry(post(level=13), one)).add_request(
        entry(post(level=14)))), 200)
    see("post a batch, one is not logged in", lambda: code(it, MeasurepointPostBatchRequest.builder().add_request(entry(post(level=13), two))), 1212)
    see("post a batch for one that is not logged in", lambda: code(it, MeasurepointPostBatchRequest.builder().add_request(entry(post(level=15), two))
        .set_allow_offline_sub_device(True)), 200)
    see("resume a batch for sub-devices", lambda: code(it, MeasurepointResumeBatchRequest.builder().add_requests([entry(resume(level=16), d) for d in (one, two)])
        .set_allow_offline_sub_device(True)), 200)
    see("log a sub-device out", lambda: ask(it, SubDeviceLogoutRequest.builder().set_sub_product_key(pk).set_sub_device_key("leaf-1")),
        (200, {"productKey": pk, "deviceKey": "leaf-1"}))
    both = SubDeviceLoginBatchRequest.builder().add_sub_device_info(pk, "leaf-1", one["deviceSecret"]).add_sub_device_info(pk, "leaf-2", two["deviceSecret"])
    see("log a batch in", lambda: ask(it, both), lambda seen: seen[0] == 200 and len(seen[1]["loginedSubDevices"]) == 2 and seen[1]["failedSubDevices"] == [])
    wrong = SubDeviceLoginBatchRequest.builder().add_sub_device_info(pk, "leaf-1", one["deviceSecret"]).add_sub_device_info(pk, "leaf-2", "another")
    see("a batch with a wrong secret", lambda: ask(it, wrong), lambda seen: seen[0] != 200 and len(seen[1]["failedSubDevices"]) == 1)

    it.register_arrived_message_handler(ServiceInvocationCommand.get_class(),
                                        lambda c, path: ServiceInvocationReply.builder().set_code(200).add_output_data("product", len(path[1])).build())
    it.register_arrived_message_handler(MeasurepointSetCommand.get_class(), lambda c, _: MeasurepointSetReply.builder().set_code(200).build())
    see("a service of a sub-device", lambda: world.invoke(one, "multiply", left=1, right=1)["output"], {"product": 6})
    see("set a point of a sub-device", lambda: world.set_point(one, "level", 1)["state"], "succeeded")
    told = queue.Queue()

    def on(command, reply):
        def handle(message, path):
            told.put((command.__name__, message.get_params(), path[1]))
            return reply.builder().set_code(200).build()
        it.register_arrived_message_handler(command.get_class(), handle)

    on(SubDeviceDisableCommand, SubDeviceDisableReply)
    on(SubDeviceEnableCommand, SubDeviceEnableReply)
    on(SubDeviceDeleteCommand, SubDeviceDeleteReply)
    keys = [{"productKey": pk, "deviceKey": "leaf-2"}]
    for verb, name in (("disable", "SubDeviceDisableCommand"), ("enable", "SubDeviceEnableCommand")):
        world.switch(two, verb)
        see(f"told of {verb}", lambda: told.get(timeout=DEADLINE), (name, keys, "hub"))
    world.delete(two)
    see("told of delete", lambda: told.get(timeout=DEADLINE), ("SubDeviceDeleteCommand", keys, "hub"))

    child = world.device(world.young, "child")
    world.bind(hub, child)
    see("log a sub-device in by its product's secret", lambda: ask(it, login(child, world.young["productSecret"])),
        lambda seen: seen[0] == 200 and seen[1]["deviceSecret"])

    see("log it in once more, to be kept", lambda: code(it, login(one)), 200)
    see("on-line", lambda: world.status(one), "online")
    cable.cut()
    see("the connection is cut: all off-line", lambda: wait_for(lambda: world.status(one) == "offline", "off-line"))
    see("the SDK comes back and logs its sub-device in", lambda: wait_for(lambda: world.status(one) == "online", "on-line", 30))
    see("publish for it afterwards", lambda: code(it, post(level=21), one), 200)
    see("and for itself", lambda: code(it, post(level=22)), 200)
    it.close()
    cable.close()


def integration():
    world.device(world.probes, "brought")
    it = MqttClient(profile=Profile.create_instance(
        MessageIntegrationLogin(world.url(), world.probes["productKey"], world.probes["productSecret"])))
    it.connect()
    see("connect as a channel", it.is_connected)
    now = int(time.time() * 1000)
    see("channel: post points", lambda: code(it, IntMeaturepointPostRequest.builder().add_meaturepoint("brought", now, {"level": 1})), 200)
    see("channel: post an event", lambda: code(it, IntEventPostRequest.builder().add_event("brought", now, "alarm", {"low": 1})), 200)
    see("channel: post attributes", lambda: code(it, IntAttributePostRequest.builder().add_attribute("brought", "age", 3)), 200)
    see("channel: an unknown device", lambda: code(it, IntMeaturepointPostRequest.builder().add_meaturepoint("nobody", now, {"level": 1})), 1257)
    it.close()
    it = MqttClient(profile=Profile.create_instance(MessageIntegrationLogin(world.url(), world.raw["productKey"], world.raw["productSecret"])))
    it.connect()
    see("channel: raw up", lambda: it.publish(IntModelUpRawRequest.builder().set_payload(bytes([3, 9, 43])).build()).get_payload(),
        b"\2\0\xc8integration.measurepoint.post")
    it.close()


try:
    for part in (logins, certificate, activation, requests, commands, firmware, gateway, integration):
        print(f"# {part.__name__}", flush=True)
        try:
            part()
        except Exception as error:  # the next part has clients of its own
            table.row(f"the rest of {part.__name__}", repr(error), False)
finally:
    world.close()
sys.exit(table.end())
