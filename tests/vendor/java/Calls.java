import com.envisioniot.enos.iot_mqtt_sdk.core.IResponseCallback;
import com.envisioniot.enos.iot_mqtt_sdk.core.MqttClient;
import com.envisioniot.enos.iot_mqtt_sdk.core.login.DynamicActivatingDeviceLoginInput;
import com.envisioniot.enos.iot_mqtt_sdk.core.login.LoginInput;
import com.envisioniot.enos.iot_mqtt_sdk.core.login.MessageIntegrationLoginInput;
import com.envisioniot.enos.iot_mqtt_sdk.core.login.NormalDeviceLoginInput;
import com.envisioniot.enos.iot_mqtt_sdk.core.msg.IMqttResponse;
import com.envisioniot.enos.iot_mqtt_sdk.core.profile.DefaultProfile;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.activate.DeviceActivateInfoCommand;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.activate.DeviceActivateInfoReply;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.device.SubDeviceDeleteCommand;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.device.SubDeviceDeleteReply;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.device.SubDeviceDisableCommand;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.device.SubDeviceDisableReply;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.device.SubDeviceEnableCommand;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.device.SubDeviceEnableReply;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.ota.OtaUpgradeCommand;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.ota.OtaUpgradeReply;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.tsl.MeasurepointGetCommand;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.tsl.MeasurepointGetReply;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.tsl.MeasurepointSetCommand;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.tsl.MeasurepointSetReply;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.tsl.ServiceInvocationCommand;
import com.envisioniot.enos.iot_mqtt_sdk.message.downstream.tsl.ServiceInvocationReply;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.connection.ConnectionState;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.connection.ConnectionStatePostRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.integration.IntAttributePostRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.integration.IntEventPostRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.integration.IntMeasurepointPostRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.log.LogPostRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.network.NetworkStatusReportRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.ota.Firmware;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.ota.OtaGetVersionRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.ota.OtaProgressReportRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.ota.OtaVersionReportRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.register.DeviceBasicInfo;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.register.DeviceRegisterRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.resume.MeasurepointResumeBatchRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.resume.MeasurepointResumeRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.status.SubDeviceLoginBatchRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.status.SubDeviceLoginRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.status.SubDeviceLogoutRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tag.TagDeleteRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tag.TagQueryRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tag.TagUpdateRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.topo.SubDeviceInfo;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.topo.TopoAddRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.topo.TopoDeleteRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.topo.TopoGetRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tsl.AttributeDeleteRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tsl.AttributeQueryRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tsl.AttributeUpdateRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tsl.EventPostRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tsl.MeasurepointPostBatchRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tsl.MeasurepointPostRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tsl.MeasurepointPostResponse;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tsl.ModelUpRawRequest;
import com.envisioniot.enos.iot_mqtt_sdk.message.upstream.tsl.TslTemplateGetRequest;
import com.envisioniot.enos.iot_mqtt_sdk.util.StringI18n;

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Every call of the vendor's client, against a node that calls.py has started. Writes one line per call, "ok NAME" or
 * "bad NAME: WHY"; a line "do NAME" asks calls.py for a deed by the API, whose end it tells by a line.
 */
public class Calls {
    interface Call { void run() throws Exception; }

    static final Map<String, String> given = new HashMap<>();
    static final BufferedReader in = new BufferedReader(new InputStreamReader(System.in));

    static void say(String line) { synchronized (System.out) { System.out.println(line); System.out.flush(); } }

    static void call(String name, Call call) {
        try {
            call.run();
            say("ok " + name);
        } catch (Throwable e) {
            say("bad " + name + ": " + e);
        }
    }

    static void done(String name) throws Exception {
        say("do " + name);
        String answer = in.readLine();
        if (!"done".equals(answer)) throw new Exception(answer);
    }

    static void same(Object expected, Object found) throws Exception {
        if (!expected.equals(found)) throw new Exception("expected " + expected + ", found " + found);
    }

    static <T extends IMqttResponse> T good(T response) throws Exception {
        if (!response.isSuccess()) throw new Exception(response.toString());
        return response;
    }

    static MqttClient client(LoginInput input) throws Exception {
        DefaultProfile profile = new DefaultProfile(input);
        profile.setTimeToWait(10);
        if (given.containsKey("ca")) {
            KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
            store.load(null, null);
            try (FileInputStream file = new FileInputStream(given.get("ca"))) {
                store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
            }
            TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            trust.init(store);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, trust.getTrustManagers(), null);
            profile.setSSLSecured(true);
            profile.setSSLContext(context);
        }
        MqttClient client = new MqttClient(profile);
        client.connect();
        return client;
    }

    static MeasurepointPostRequest post(String point, Object value) {
        return MeasurepointPostRequest.builder().addMeasurePoint(point, value).build();
    }

    static void device(String url, String pk) throws Exception {
        LinkedBlockingQueue<String> secrets = new LinkedBlockingQueue<>();
        call("activation", () -> {
            DefaultProfile profile = new DefaultProfile(new DynamicActivatingDeviceLoginInput(url, pk, given.get("productSecret"), "new"));
            if (given.containsKey("ca")) return;  // by TCP alone: once is enough
            MqttClient first = new MqttClient(profile);
            first.setArrivedMsgHandler(DeviceActivateInfoCommand.class, (command, path) -> {
                DeviceBasicInfo info = command.getDeviceInfo();
                same(pk, info.productKey);
                same("new", info.deviceKey);
                secrets.put(info.deviceSecret);
                return DeviceActivateInfoReply.builder().build();
            });
            first.connect();
            String secret = secrets.poll(10, TimeUnit.SECONDS);
            first.close();
            MqttClient second = client(new NormalDeviceLoginInput(url, pk, "new", secret));
            good(second.publish(post("count", 1)));
            second.close();
        });
        MqttClient client = client(new NormalDeviceLoginInput(url, pk, "dev", given.get("deviceSecret")));
        call("points", () -> {
            good(client.publish(MeasurepointPostRequest.builder().addMeasurePoint("count", 100).addMeasurePoint("setpoint", 1.5)
                    .addMeasurePoint("switch", true).addMeasurePoint("list", Arrays.asList(1.0, 2.5)).build()));
        });
        call("points with quality", () -> good(client.publish(MeasurepointPostRequest.builder().addMeasreuPointWithQuality("measured", 1.0, 9).build())));
        call("a point that the model lacks", () -> same(1204, client.publish(post("none", 1)).getCode()));
        call("points, by callback", () -> {
            CountDownLatch came = new CountDownLatch(1);
            client.publish(post("count", 2), new IResponseCallback<MeasurepointPostResponse>() {
                @Override public void onResponse(MeasurepointPostResponse response) {
                    if (response.isSuccess()) came.countDown();
                }
                @Override public void onFailure(Exception e) {}
            });
            same(true, came.await(10, TimeUnit.SECONDS));
        });
        call("a batch", () -> good(client.publish(MeasurepointPostBatchRequest.builder().addRequest(post("count", 3)).addRequest(post("setpoint", 2.0)).build())));
        call("a batch that skips", () -> good(client.publish(MeasurepointPostBatchRequest.builder()
                .addRequest(MeasurepointPostRequest.builder().addMeasurePoint("count", 3).addMeasurePoint("none", 1).build())
                .setSkipInvalidMeasurepoints(true).build())));
        call("resumed points", () -> good(client.publish(MeasurepointResumeRequest.builder().addMeasurePoint("count", 4).setTimestamp(System.currentTimeMillis() - 60000).build())));
        call("a resumed batch", () -> good(client.publish(MeasurepointResumeBatchRequest.builder()
                .addRequest(MeasurepointResumeRequest.builder().addMeasurePoint("count", 5).setTimestamp(System.currentTimeMillis() - 90000).build()).build())));
        call("an event", () -> good(client.publish(EventPostRequest.builder().setEventIdentifier("Power").addValue("value", 1.5).build())));
        call("attributes", () -> {
            good(client.publish(AttributeUpdateRequest.builder().addAttribute("size", 5).addAttribute("name", "x").build()));
            Map<String, Object> found = good(client.publish(AttributeQueryRequest.builder().addAttribute("size").build())).getData();
            same(Collections.singletonMap("size", 5), found);
            found = good(client.publish(AttributeQueryRequest.builder().queryAll().build())).getData();
            same("x", found.get("name"));
            good(client.publish(AttributeDeleteRequest.builder().addAttribute("name").build()));
        });
        call("tags", () -> {
            good(client.publish(TagUpdateRequest.builder().addTag("k", "v").build()));
            Map<String, String> found = good(client.publish(TagQueryRequest.builder().addKey("k").build())).getData();
            same(Collections.singletonMap("k", "v"), found);
            good(client.publish(TagDeleteRequest.builder().addKey("k").build()));
        });
        call("the model", () -> {
            var model = good(client.publish(TslTemplateGetRequest.builder().build()));
            same(true, model.getMeasurepoints().containsKey("count") && model.getAttributs().containsKey("size") && model.getEvents().containsKey("Power")
                    && model.getServices().containsKey("multiply"));
        });
        call("a log", () -> good(client.publish(LogPostRequest.builder().addValue("level", "info").addValue("content", "c").build())));
        call("the network", () -> good(client.publish(NetworkStatusReportRequest.builder().setRssi(-70.5f).setNetworkType("4G").build())));
        call("connections", () -> good(client.publish(ConnectionStatePostRequest.builder().isFull(true)
                .addNode("a", ConnectionState.CONNECTED, "asset", "A", "").addNode("b", ConnectionState.DISCONNECTED, "", "", "").addRelations("a", "b").build())));
        call("a version", () -> good(client.publish(OtaVersionReportRequest.builder().setVersion("1.0").build())));
        call("no newer version", () -> same(0, good(client.publish(OtaGetVersionRequest.builder().build())).getFirmwareList().size()));
        call("a command without a handler", () -> done("unhandled"));
        client.setArrivedMsgHandler(ServiceInvocationCommand.class, (command, path) -> {
            Map<String, Object> input = command.getParams();
            double left = ((Number) input.get("left")).doubleValue(), right = ((Number) input.get("right")).doubleValue();
            return ServiceInvocationReply.builder().addOutputData("product", left * right).build();
        });
        client.setArrivedMsgHandler(MeasurepointSetCommand.class, (command, path) -> {
            Map<String, Object> input = command.getParams();
            if (!input.containsKey("setpoint")) throw new Exception("" + input);
            return MeasurepointSetReply.builder().build();
        });
        client.setArrivedMsgHandler(MeasurepointGetCommand.class, (command, path) -> MeasurepointGetReply.builder().addMeaurepoint("setpoint", 4.5).build());
        call("a service", () -> done("service"));
        call("a point is set", () -> done("set"));
        call("a point is read", () -> done("read"));
        LinkedBlockingQueue<Firmware> offered = new LinkedBlockingQueue<>();
        client.setArrivedMsgHandler(OtaUpgradeCommand.class, (command, path) -> {
            offered.put(command.getFirmwareInfo());
            return OtaUpgradeReply.builder().build();
        });
        call("firmware", () -> {
            done("firmware");
            Firmware firmware = offered.poll(10, TimeUnit.SECONDS);
            same("2.0", firmware.version);
            same(true, firmware.fileSize > 0 && firmware.fileUrl.startsWith("http") && firmware.sign.length() == 32);
            for (String step : List.of("20", "100")) good(client.publish(OtaProgressReportRequest.builder().setStep(step).setDesc("").build()));
            good(client.publish(OtaVersionReportRequest.builder().setVersion("2.0").build()));
            done("upgraded");
        });
        client.close();
        MqttClient again = client(new NormalDeviceLoginInput(url, pk, "dev", given.get("deviceSecret")));
        call("thousands of points and events without waiting", () -> {
            long start = System.nanoTime();
            for (int i = 0; i < 2000; ++i) again.fastPublish(EventPostRequest.builder().setEventIdentifier("Power").addValue("value", i).build());
            for (int i = 0; i < 1000; ++i) again.fastPublish(post("count", i));
            good(again.publish(TagQueryRequest.builder().queryAll().build()));
            same(true, again.isConnected());
            long seconds = (System.nanoTime() - start) / 1_000_000_000;
            if (seconds >= 10) throw new Exception("took " + seconds + " s");
        });
        call("points, waited for again", () -> good(again.publish(post("count", 7))));
        again.close();
    }

    static void gateway(String url, String pk, String hub) throws Exception {
        MqttClient client = client(new NormalDeviceLoginInput(url, hub, "hub", given.get("hubSecret")));
        Map<String, String> secrets = new HashMap<>();
        call("sub-devices are registered", () -> {
            var response = good(client.publish(DeviceRegisterRequest.builder()
                    .addRegisterInfo(pk, "leaf", new StringI18n("Leaf"), "", "+08:00", Map.of())
                    .addRegisterInfo(pk, null, new StringI18n("Other"), "", "+08:00", Map.of()).build()));
            for (DeviceBasicInfo info : response.getDeviceBasicInfoList()) {
                if (info.assetId == null || info.deviceSecret == null) throw new Exception("a field is missing");
                secrets.put(info.deviceKey, info.deviceSecret);
            }
            same(2, secrets.size());
        });
        call("topology", () -> {
            for (Map.Entry<String, String> one : secrets.entrySet())
                good(client.publish(TopoAddRequest.builder().addSubDevice(new SubDeviceInfo(pk, one.getKey(), one.getValue())).build()));
            same(2, good(client.publish(TopoGetRequest.builder().build())).getSubDeviceInfo().size());
        });
        call("a sub-device's login", () -> {
            var response = good(client.publish(SubDeviceLoginRequest.builder().setSubDeviceInfo(pk, "leaf", secrets.get("leaf")).build()));
            same("leaf", response.getSubDeviceKey());
            same(pk, response.getSubProductKey());
        });
        call("a batch of logins", () -> {
            var builder = SubDeviceLoginBatchRequest.builder();
            secrets.forEach((key, secret) -> builder.addSubDeviceInfo(pk, key, secret));
            var response = client.publish(builder.build());
            same(false, response.hasServerError());
            same(2, response.getSuccessResults().size());
            same(0, response.getFailureResults().size());
        });
        call("a batch of logins, one of which fails", () -> {
            var response = client.publish(SubDeviceLoginBatchRequest.builder().addSubDeviceInfo(pk, "leaf", secrets.get("leaf")).addSubDeviceInfo(pk, "nobody", "x").build());
            same(false, response.hasServerError());
            same(1, response.getSuccessResults().size());
            same(1, response.getFailureResults().size());
        });
        call("a sub-device's points", () -> good(client.publish(MeasurepointPostRequest.builder().setProductKey(pk).setDeviceKey("leaf").addMeasurePoint("count", 1).build())));
        call("a batch of sub-devices' points", () -> good(client.publish(MeasurepointPostBatchRequest.builder()
                .addRequest(MeasurepointPostRequest.builder().setProductKey(pk).setDeviceKey("leaf").addMeasurePoint("count", 2).build()).build())));
        client.setArrivedMsgHandler(ServiceInvocationCommand.class, (command, path) -> {
            same("leaf", path.get(1));
            return ServiceInvocationReply.builder().addOutputData("product", 6.5).build();
        });
        call("a sub-device's service", () -> done("leaf service"));
        LinkedBlockingQueue<String> notices = new LinkedBlockingQueue<>();
        client.setArrivedMsgHandler(SubDeviceDisableCommand.class, (command, path) -> { notices.put("disable"); return SubDeviceDisableReply.builder().build(); });
        client.setArrivedMsgHandler(SubDeviceEnableCommand.class, (command, path) -> { notices.put("enable"); return SubDeviceEnableReply.builder().build(); });
        client.setArrivedMsgHandler(SubDeviceDeleteCommand.class, (command, path) -> { notices.put("delete"); return SubDeviceDeleteReply.builder().build(); });
        call("a sub-device is disabled", () -> { done("disable"); same("disable", notices.poll(10, TimeUnit.SECONDS)); });
        call("a sub-device is enabled", () -> { done("enable"); same("enable", notices.poll(10, TimeUnit.SECONDS)); });
        call("a sub-device's logout", () -> {
            good(client.publish(SubDeviceLoginRequest.builder().setSubDeviceInfo(pk, "leaf", secrets.get("leaf")).build()));
            good(client.publish(SubDeviceLogoutRequest.builder().setSubProductKey(pk).setSubDeviceKey("leaf").build()));
        });
        call("topology is deleted", () -> good(client.publish(TopoDeleteRequest.builder().addSubDevice(pk, "leaf").build())));
        String other = secrets.keySet().stream().filter(key -> !key.equals("leaf")).findFirst().orElse("");
        call("a sub-device is deleted", () -> { done("delete " + other); same("delete", notices.poll(10, TimeUnit.SECONDS)); });
        client.close();
    }

    static void raw(String url, String pk) throws Exception {
        MqttClient client = client(new NormalDeviceLoginInput(url, pk, "raw", given.get("rawSecret")));
        call("bytes of its own", () -> {
            var response = client.publish(ModelUpRawRequest.builder().setPayload(new byte[]{1, 0, 7}).build());
            same("[2, 0, -56]", Arrays.toString(response.getPayload()));
            done("raw");
        });
        client.close();
    }

    static void channel(String url, String pk) throws Exception {
        MqttClient client = client(new MessageIntegrationLoginInput(url, pk, given.get("productSecret")));
        long now = System.currentTimeMillis();
        call("a channel's points", () -> good(client.publish(IntMeasurepointPostRequest.builder().addMeasurepoint("dev", now, Map.of("count", 1)).build())));
        call("a channel's events", () -> good(client.publish(IntEventPostRequest.builder().addEvent("dev", now, "Power", Map.of("value", 1.5)).build())));
        call("a channel's attributes", () -> good(client.publish(IntAttributePostRequest.builder().addAttribute("dev", "size", 6).build())));
        client.close();
    }

    public static void main(String[] arguments) throws Exception {
        for (String one : arguments) given.put(one.split("=", 2)[0], one.split("=", 2)[1]);
        String url = given.get("url"), pk = given.get("product");
        device(url, pk);
        gateway(url, pk, given.get("hub"));
        raw(url, given.get("raw"));
        channel(url, pk);
        System.exit(0);
    }
}
