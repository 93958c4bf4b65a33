'use strict';
// Every call of the EnOS device SDK for Node.js; run by node_sdk.py. One line a row: what was called and what came of it.
const assert = require('assert');
const fs = require('fs');
const readline = require('readline');
const util = require('util');
const {DeviceClient, GatewayClient, DeviceInfo, SubDeviceInfo, SECURE_MODE} = require('enos-mqtt-sdk-nodejs');

const DEADLINE = 20000;
const config = JSON.parse(process.argv[2]);
const {products, urls} = config;
let rows = 0, failed = 0, asks = 0;
const waiting = new Map();

readline.createInterface({input: process.stdin}).on('line', (line) => {
  const {number, value, error} = JSON.parse(line);
  const {resolve, reject} = waiting.get(number);
  waiting.delete(number);
  if (error) reject(new Error(error));
  else resolve(value);
});

/** Has node_sdk.py do something. */
function ask(name, ...values) {
  const number = ++asks;
  process.stdout.write(`ask ${JSON.stringify([number, name, ...values])}\n`);
  return new Promise((resolve, reject) => waiting.set(number, {resolve, reject}));
}

function within(promise, time = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`not within ${time} ms`)), time); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function row(call, seen, right) {
  rows++;
  if (!right) failed++;
  const shown = seen instanceof DeviceClient ? 'a client' : util.inspect(seen, {depth: 5, compact: 10, breakLength: Infinity});
  console.log(`${right ? 'ok  ' : 'FAIL'} ${call}: ${shown.slice(0, right ? 160 : 1000)}`);
}

const anything = (seen) => Boolean(seen);

/** Does it, and holds what comes against a value, or a question: `anything` if none is given. Gives what came. */
async function see(call, action, ...given) {
  const right = given.length ? given[0] : anything;
  try {
    const seen = await within(Promise.resolve().then(action));
    row(call, seen, typeof right === 'function' ? right(seen) : util.isDeepStrictEqual(seen, right));
    return seen;
  } catch (error) {
    row(call, error, false);
    return undefined;
  }
}

const coded = (code) => (reply) => reply.code === code;
const refused = (reply) => reply.code !== 200;
const done = coded(200);
const doneWith = (data) => (reply) => reply.code === 200 && util.isDeepStrictEqual(reply.data, data);
const keysOf = ({productKey, deviceKey}) => ({productKey, deviceKey});

function options(made, more = {}) {
  return {brokerUrl: urls.tcp, secureMode: SECURE_MODE.VIA_DEVICE_SECRET, productKey: made.productKey, deviceKey: made.deviceKey,
    deviceSecret: made.deviceSecret, ...more};
}

async function connected(made, more, Kind = DeviceClient) {
  const client = new Kind(options(made, more));
  client.on('error', () => {});
  await within(client.connect());
  return client;
}

function once(emitter, name) {
  return within(new Promise((resolve) => emitter.once(name, (...values) => resolve(values))));
}

async function logins() {
  const made = await ask('device', 'probes', 'logins');
  const client = new DeviceClient(options(made));
  const event = once(client, 'connect');
  await see('connect', () => client.connect(), made.deviceSecret);
  await see('event connect', () => event, []);
  await see('connected, reconnected', () => [client.connected, client.reconnected], [true, false]);
  const message = once(client, 'message');
  await see('post', () => client.deviceData.postMeasurepoint({point: {measurepoints: {level: 1}}}), done);
  await see('event message', async () => (await message)[0], `/sys/${made.productKey}/${made.deviceKey}/thing/measurepoint/post_reply`);
  const close = once(client, 'close'), end = once(client, 'end');
  await see('close', () => client.close(), undefined);
  await see('events close and end', () => Promise.all([close, end]), [[], []]);
  const wrong = new DeviceClient(options({...made, deviceSecret: 'another'}, {mqttOptions: {reconnectPeriod: 0}}));
  wrong.on('error', () => {});
  await see('connect with a wrong secret', () => wrong.connect().then(() => 'let in', () => 'refused'), 'refused');
  await wrong.close();
  const stranger = new DeviceClient(options({productKey: 'randomKey', deviceKey: 'randomKey', deviceSecret: 'another'}, {mqttOptions: {reconnectPeriod: 0}}));
  stranger.on('error', () => {});
  await see('connect as nobody', () => stranger.connect().then(() => 'let in', () => 'refused'), 'refused');
  await stranger.close();
  const quick = await see('connect with options of MQTT', () => connected(made, {mqttOptions: {keepAlive: 1, connectionTimeout: 5, reconnectPeriod: 1}}));
  await see('is there after more than its keep-alive', () => new Promise((resolve) => setTimeout(resolve, 2500)).then(() => quick.connected), true);
  await quick.close();
}

async function certificate() {
  const [made, pem, key] = await ask('certified', 'proven');
  const files = {ca: fs.readFileSync(config.ca), cert: fs.readFileSync(pem), key: fs.readFileSync(key)};
  const client = await see('connect by certificate', () => connected({...made, deviceSecret: 'none'}, {brokerUrl: urls.ssl, ...files}));
  await requests(client, made);
  await client.close();
  const bundle = await ask('bundled', 'proven', 'secret');
  const bundled = await see('connect by certificate, both in one file', () => connected({...made, deviceSecret: 'none'},
    {brokerUrl: urls.ssl, ca: files.ca, pfx: fs.readFileSync(bundle), passphrase: 'secret'}));
  await see('post over TLS', () => bundled.deviceData.postMeasurepoint({point: {measurepoints: {level: 1}}}), done);
  await bundled.close();

  const hub = await ask('device', 'hubs', 'hub-tls'), leaf = await ask('device', 'proven', 'leaf-tls');
  await ask('bind', hub, leaf);
  const plain = await connected(hub, {}, GatewayClient);
  await see('a gateway without TLS: log in a sub-device that must prove itself', () => plain.subDeviceManagement.loginSubDevice({subDevice: leaf}), coded(746));
  await plain.close();
  const gateway = await see('a gateway with TLS', () => connected(hub, {brokerUrl: urls.ssl, ca: files.ca}, GatewayClient));
  await see('log in a sub-device that must prove itself', () => gateway.subDeviceManagement.loginSubDevice({subDevice: leaf}), done);
  await gateway.close();
}

async function activation() {
  // The SDK looks for the message only when it knows of the connection, so this is a race that must not be lost.
  const product = products.young;
  for (let n = 0; n < 20; n++) {
    const made = await ask('device', 'young', `young-${n}`);
    const way = n % 2 ? {brokerUrl: urls.ssl, ca: fs.readFileSync(config.ca)} : {brokerUrl: urls.tcp};
    const client = new DeviceClient({...way, secureMode: SECURE_MODE.VIA_PRODUCT_SECRET, productKey: product.productKey,
      productSecret: product.productSecret, deviceKey: made.deviceKey});
    client.on('error', () => {});
    const secret = await see(`dynamic activation, ${n % 2 ? 'TLS' : 'plain'}`, () => client.connect(), (it) => it === client.deviceInfo.deviceSecret && it.length > 10);
    await see('post on the connection that activates', () => client.deviceData.postMeasurepoint({point: {measurepoints: {level: n}}}), done);
    if (n === 0) await requests(client, made);
    await client.close();
    if (n === 0) {
      const again = await see('connect with the secret that came', () => connected({...made, deviceSecret: secret}));
      await again.close();
    }
  }
}

/** The calls of a device, for itself or, by its gateway, for `deviceInfo`. */
async function requests(client, made, deviceInfo) {
  const data = client.deviceData, whose = deviceInfo ? {deviceInfo} : {};
  const points = {level: 5, note: 'x'};
  await see('post points', () => data.postMeasurepoint({point: {measurepoints: points}, ...whose}), doneWith({}));
  await see('what is kept', () => ask('latest', made), points);
  await see('post an unknown point', () => data.postMeasurepoint({point: {measurepoints: {...points, nothing: 1}}, ...whose}), coded(1204));
  await see('resume', () => data.resumeMeasurepoint({point: {measurepoints: points}, ...whose}), done);
  await see('resume an unknown point', () => data.resumeMeasurepoint({point: {measurepoints: {nothing: 1}}, ...whose}), coded(1204));
  await see('resume with a time', () => data.resumeMeasurepoint({point: {measurepoints: points, time: Date.now() - 3600000}, ...whose}), done);
  await see('post an event', () => data.postEvent({eventName: 'alarm', eventParams: {low: 2, high: 10}, ...whose}), done);
  await see('post an unknown event', () => data.postEvent({eventName: 'test-111', ...whose}), coded(1204));
  await see('query attributes, none', () => data.queryAttribute({...whose}), doneWith({}));
  await see('delete attributes, none', () => data.deleteAttribute({attributeIds: [], ...whose}), done);
  await see('update attributes', () => data.updateAttribute({attributeMap: {name: 'n', age: 30}, ...whose}), done);
  await see('query attributes', () => data.queryAttribute({...whose}), (reply) => util.isDeepStrictEqual({...reply.data}, {age: 30, name: 'n'}));
  await see('query one attribute', () => data.queryAttribute({attributeIds: ['age'], ...whose}), doneWith({age: 30}));
  await see('delete an attribute', () => data.deleteAttribute({attributeIds: ['name'], ...whose}), done);
  await see('query what is left', () => data.queryAttribute({...whose}), doneWith({age: 30}));
  await see('query tags, none', () => data.queryTag({...whose}), doneWith({}));
  await see('query without a reply', () => data.queryTag({needReply: false, ...whose}), undefined);
  await see('update tags of the wrong form', () => data.updateTag({tags: [{333: '444'}], ...whose}), refused);
  await see('update tags', () => data.updateTag({tags: [{tagKey: 'tagKey1', tagValue: 'a'}, {tagKey: 'tagKey2', tagValue: 'b'}], ...whose}), done);
  await see('query tags', () => data.queryTag({...whose}), (reply) => util.isDeepStrictEqual(Object.keys(reply.data), ['tagKey1', 'tagKey2']));
  await see('delete a tag', () => data.deleteTag({tagKeys: ['tagKey1'], ...whose}), done);
  await see('query the rest', () => data.queryTag({...whose}), doneWith({tagKey2: 'b'}));
}

async function device() {
  const made = await ask('device', 'probes', 'requests');
  const client = await connected(made);
  await requests(client, made);
  const data = client.deviceData;
  const measurepoints = {level: 6};
  await see('query tags, all that are left out', () => data.queryTag(), doneWith({tagKey2: 'b'}));
  await see('post a batch', () => data.batchPostMeasurepoint({points: [{measurepoints}, {measurepoints, time: new Date('2019-10-20 20:00').getTime()}]}), done);
  await see('post a batch that may skip', () => data.batchPostMeasurepoint({points: [{measurepoints: {nothing: 1}}], skipInvalidMeasurepoints: true}), done);
  await see('post a batch that is wrong', () => data.batchPostMeasurepoint({points: [{measurepoints: {nothing: 1}}]}), refused);
  await see('resume a batch', () => data.batchResumeMeasurepoint({points: [{measurepoints}, {measurepoints, time: new Date('2019-10-20 20:00').getTime()}]}), done);
  await see('resume a batch that may skip', () => data.batchResumeMeasurepoint({points: [{measurepoints: {nothing: 1}}], skipInvalidMeasurepoints: true}), done);
  await see('post with QoS 0', () => data.postMeasurepoint({qos: 0, point: {measurepoints}}), done);
  await see('post 300 at once', async () => {
    const replies = await Promise.all([...Array(300).keys()].map((level) => data.postMeasurepoint({point: {measurepoints: {level}}})));
    return replies.filter(done).length;
  }, 300);
  await see('post much at once', () => data.postMeasurepoint({point: {measurepoints: {note: 'x'.repeat(60000)}}}), done);
  await client.close();
}

async function commands() {
  const made = await ask('device', 'probes', 'commands');
  const client = await connected(made);
  client.deviceCommand.onInvokeService('multiply', (request, response) => response.send(200, {product: request.params.left * request.params.right}));
  client.deviceCommand.onInvokeService('breaks', (_, response) => response.send(2001));
  client.deviceCommand.onSetMeasurepoint((request, response) => response.send(request.params.level === 3 ? 200 : 2002));
  const product = (value) => (seen) => seen.state === 'succeeded' && seen.output.product === value;
  await see('a service', () => ask('invoke', made, 'multiply', {left: 6, right: 7}), product(42));
  await see('a service that fails', () => ask('invoke', made, 'breaks', {}), (seen) => seen.state === 'failed' && seen.code === 2001);
  await see('set a point', () => ask('set', made, 'level', 3), (seen) => seen.state === 'succeeded');
  await see('set a point, refused', () => ask('set', made, 'level', 4), (seen) => seen.state === 'failed' && seen.code === 2002);
  client.deviceCommand.onInvokeService('unheard', async (request, response) => {
    await client.deviceData.postMeasurepoint({point: {measurepoints: {level: 9}}});
    response.send(200);
  });
  await see('a service that posts before it answers', () => ask('invoke', made, 'unheard', {}), (seen) => seen.state === 'succeeded');
  await see('what it posted', () => ask('latest', made), {level: 9});
  // The SDK takes what has the id of a request of its own for a reply: commands must have other ids.
  for (let n = 0; n < 200; n++) await client.deviceData.postMeasurepoint({point: {measurepoints: {level: n}}});
  await see('a service after many requests', () => ask('invoke', made, 'multiply', {left: 2, right: 2}), product(4));
  await client.close();
  await ask('awaitStatus', made, 'offline');
  const waits = await ask('begin', made, 'multiply', {left: 3, right: 3});
  const late = new DeviceClient(options(made));
  late.deviceCommand.onInvokeService('multiply', (request, response) => response.send(200, {product: request.params.left * request.params.right}));
  await see('connect', () => late.connect());
  await see('a service that waited for the device', () => ask('ended', waits), product(9));
  await late.close();
}

async function raw() {
  const made = await ask('device', 'raw', 'raw');
  const client = await connected(made);
  await see('raw up', () => client.deviceData.upRawModel({rawData: Buffer.from([1, 9, 42])}),
    (reply) => reply.equals(Buffer.from('\x02\x00\xc8thing.measurepoint.post', 'latin1')));
  await see('what is kept', () => ask('latest', made), {level: 42});
  client.deviceCommand.onModelDownRaw((payload, response) => response.sendRawData(Buffer.from([2, 0])));
  await see('raw down', () => ask('invoke', made, 'multiply', {left: 1, right: 1}), (seen) => seen.state === 'succeeded');
  await client.close();
}

async function gateway() {
  const hub = await ask('device', 'hubs', 'hub');
  const client = await connected(hub, {brokerUrl: urls.cable, mqttOptions: {reconnectPeriod: 1}}, GatewayClient);
  const management = client.subDeviceManagement, {productKey} = products.leaves;
  const nobody = {productKey: 'not_exist', deviceKey: 'not_exist', deviceSecret: 'not_exist'};
  const wanted = ['one', 'two', 'three'].map((name) => ({timezone: '+08:00', productKey, deviceName: {defaultValue: name}, deviceDesc: ''}));
  await see('topology, empty', () => management.getTopo(), doneWith([]));
  await see('delete none from the topology', () => management.deleteTopo({subDevices: []}));
  await see('register without what is needed', () => management.registerDevice({subDevices: [{productKey}]}), refused);
  const registered = await see('register', () => management.registerDevice({subDevices: wanted}), (reply) => done(reply) && reply.data.length === 3 &&
    reply.data.every((it) => it.assetId && it.productKey && it.deviceKey && it.deviceSecret));
  const leaves = registered.data;
  await see('register with a key and attributes', () => management.registerDevice({subDevices: [{...wanted[0], deviceKey: 'named', deviceAttributes: {age: 3}}]}), done);
  await see('register some that are there', () => management.registerDevice({subDevices: [wanted[0], {...wanted[0], deviceKey: leaves[0].deviceKey}]}), coded(702));
  await see('topology, still empty', () => management.getTopo(), doneWith([]));
  const secrets = leaves.map(({deviceKey, deviceSecret}) => ({productKey, deviceKey, deviceSecret}));
  const infos = [new SubDeviceInfo(secrets[0]), secrets[1], secrets[2]];
  await see('add, one does not exist', () => management.addTopo({subDevices: [infos[0], nobody]}), refused);
  await see('add', () => management.addTopo({subDevices: infos}), done);
  await see('topology', () => management.getTopo(), (reply) => reply.data.length === 3 && reply.data.every((it) => it.productKey && it.deviceKey));
  await see('delete one that does not exist', () => management.deleteTopo({subDevices: [keysOf(nobody)]}), refused);
  await see('delete', () => management.deleteTopo({subDevices: [keysOf(leaves[0])]}), done);
  await see('topology after that', () => management.getTopo(), (reply) => reply.data.length === 2);
  await see('add again', () => management.addTopo({subDevices: [infos[0]]}), done);
  await see('log in one that does not exist', () => management.loginSubDevice({subDevice: nobody}), refused);
  await see('log in', () => management.loginSubDevice({subDevice: infos[0]}), (reply) => done(reply) && reply.data.deviceKey === leaves[0].deviceKey && reply.data.assetId);
  await see('loginedSubDeviceMap', () => client.loginedSubDeviceMap.size, 1);
  await see('log out one that does not exist', () => management.logoutSubDevice({subDevice: keysOf(nobody)}), done);
  await see('log out', () => management.logoutSubDevice({subDevice: keysOf(leaves[0])}), doneWith(keysOf(leaves[0])));
  await see('loginedSubDeviceMap', () => client.loginedSubDeviceMap.size, 0);
  await see('log in a batch, one does not exist', () => management.batchLoginSubDevice({subDevices: [infos[0], nobody]}), (reply) => refused(reply) &&
    reply.data.failedSubDevices.length === 1 && reply.data.loginedSubDevices.length === 1);
  await see('log out with a wrong product key', () => management.logoutSubDevice({subDevice: {...keysOf(leaves[0]), productKey: leaves[0].deviceKey}}), done);
  await see('log in a batch', () => management.batchLoginSubDevice({subDevices: infos}), (reply) => done(reply) && reply.data.failedSubDevices.length === 0 &&
    reply.data.loginedSubDevices.length === 3);
  await see('loginedSubDeviceMap', () => client.loginedSubDeviceMap.size, 3);
  await see('log in a batch by other names', () => management.batchLoginSubDevice({subDevices: infos, clientId: 'c', timestamp: '1700000000000'}), done);
  await requests(client, leaves[0], new DeviceInfo(infos[0]));
  const points = (wrong) => leaves.map((it, n) => ({...keysOf(it), measurepoints: n === 0 && wrong ? {level: 1, no: 'e'} : {level: 1}}));
  await see('a batch for sub-devices, one is wrong', () => client.deviceData.batchPostMeasurepoint({points: points(true), skipInvalidMeasurepoints: false}), refused);
  await see('a batch for sub-devices that may skip', () => client.deviceData.batchPostMeasurepoint({points: points(true), skipInvalidMeasurepoints: true}), done);
  await see('a batch for sub-devices', () => client.deviceData.batchPostMeasurepoint({points: points(false)}), done);
  await see('resume a batch for sub-devices', () => client.deviceData.batchResumeMeasurepoint({points: points(false), allowOfflineSubDevice: true}), done);

  const info = new DeviceInfo(keysOf(leaves[0]));
  client.deviceCommand.onInvokeService('multiply', info, (request, response) => response.send(200, {product: 5}));
  client.deviceCommand.onSetMeasurepoint(info, (request, response) => response.send(200));
  await see('a service of a sub-device', () => ask('invoke', leaves[0], 'multiply', {left: 1, right: 1}), (seen) => seen.output.product === 5);
  await see('set a point of a sub-device', () => ask('set', leaves[0], 'level', 1), (seen) => seen.state === 'succeeded');
  for (const [verb, listen] of [['disable', 'onSubDevicesDisable'], ['enable', 'onSubDevicesEnable'], ['delete', 'onSubDevicesDelete']]) {
    const told = new Promise((resolve) => management[listen]((request, response) => {
      response.send(200);
      resolve(request.params);
    }));
    await (verb === 'delete' ? ask('delete', leaves[2]) : ask('switch', leaves[2], verb));
    await see(`told of ${verb}`, () => told, [keysOf(leaves[2])]);
  }
  const child = await ask('device', 'young', 'child');
  await ask('bind', hub, child);
  // The SDK signs with what it has as the device's secret, and does not say which one that is.
  await see('log in by the secret of the product', () => management.loginSubDevice({subDevice: {...keysOf(child), deviceSecret: products.young.productSecret}}),
    (reply) => done(reply) && reply.data.deviceSecret);
  client.loginedSubDeviceMap.delete(`${child.productKey}-child`);
  client.loginedSubDeviceMap.delete(`${productKey}-${leaves[2].deviceKey}`);

  const back = once(client, 'connect');
  await ask('cut');
  await see('the connection is cut: all off-line', () => ask('awaitStatus', leaves[0], 'offline'));
  await see('the SDK comes back', () => back, []);
  await see('reconnected', () => client.reconnected, true);
  await see('and logs its sub-devices in', () => ask('awaitStatus', leaves[0], 'online'));
  await see('post for one afterwards', () => client.deviceData.postMeasurepoint({point: {measurepoints: {level: 1}}, deviceInfo: info}), done);
  await see('and for itself', () => client.deviceData.postMeasurepoint({point: {measurepoints: {level: 1}}}), done);
  await client.close();
}

async function main() {
  assert(products, 'run by node_sdk.py');
  for (const part of [logins, certificate, activation, device, commands, raw, gateway]) {
    console.log(`# ${part.name}`);
    try {
      await part();
    } catch (error) {
      row(`the rest of ${part.name}`, error, false);
    }
  }
  console.log(`${rows - failed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main();
