'use strict';
// General topics with the package `mqtt`. The version and level are those that the test names; scenarios of version 5 run in that alone.
const assert = require('assert');
const mqttPacket = require('mqtt-packet');
const {Client, config, connect, run, until, within} = require('./kit.js');

const {kind} = config;
const five = kind.level === 5;
const unique = `${kind.library}-${kind.level}`;  // of the topics and client ids: all kinds share a node
const LONG = 1000;
const forLong = five ? {clean: false, properties: {sessionExpiryInterval: LONG}} : {clean: false};

async function levels() {
  for (const transport of ['mqtt', 'mqtts', 'ws', 'wss']) {
    const at = `levels/${unique}/${transport}`;
    const a = await connect(`levels-a-${unique}`, {transport});
    const b = await connect(`levels-b-${unique}`, {transport});
    assert.deepStrictEqual(await a.subscribe({[`${at}/one/+`]: {qos: 0}, [`${at}/two/#`]: {qos: 1}, [`${at}/three`]: {qos: 2}}), [0, 1, 2]);
    for (const qos of [0, 1, 2]) {
      for (const topic of ['one/x', 'two', 'two/x/y', 'three', 'one/x/y', 'four']) await b.publish(`${at}/${topic}`, `${topic} ${qos}`, {qos});
    }
    await b.publish(`${at}/three`, 'last', {qos: 2});
    const got = [];
    for (let m = await a.next(); m.text !== 'last'; m = await a.next()) got.push(`${m.topic} ${m.text} ${m.qos}`);
    const expected = [];
    for (const qos of [0, 1, 2]) {
      for (const [topic, most] of [['one/x', 0], ['two', 1], ['two/x/y', 1], ['three', 2]]) {
        expected.push(`${at}/${topic} ${topic} ${qos} ${Math.min(qos, most)}`);
      }
    }
    assert.deepStrictEqual(got.sort(), expected.sort());
    await a.unsubscribe(`${at}/three`);
    await b.publish(`${at}/three`, 'not heard', {qos: 2});
    await a.nothingBefore(b, `${at}/two`);
    await a.close();
    await b.close();
  }
}

async function anyBytes() {
  const a = await connect(`bytes-${unique}`, {transport: 'ws'});
  const topic = `bytes/${unique}/π/ `;
  await a.subscribe(topic, {qos: 2});
  const large = Buffer.alloc(500000, 'x');
  large.writeUInt32BE(0xfffe0001, 1000);
  for (const payload of [Buffer.alloc(0), Buffer.from([0, 255, 1]), large]) {
    await a.publish(topic, payload, {qos: 2});
    const got = await a.next();
    assert.strictEqual(got.topic, topic);
    assert(got.payload.equals(payload));
  }
}

async function order() {
  const a = await connect(`order-a-${unique}`);
  const b = await connect(`order-b-${unique}`);
  for (const qos of [0, 1, 2]) {
    await a.subscribe(`order/${unique}`, {qos});
    const sent = [];
    const expected = Array.from({length: 200}, (_, i) => `${qos} ${i}`);
    // No more under way than the server takes.
    for (const text of expected) {
      sent.push(b.publish(`order/${unique}`, text, {qos}));
      if (sent.length === 20) await Promise.all(sent.splice(0));
    }
    await Promise.all(sent);
    assert.deepStrictEqual(await a.texts(200), expected);
  }
}

async function retained() {
  const at = `retained/${unique}`;
  const a = await connect(`retained-a-${unique}`);
  for (const topic of ['1', '2', '2/x']) {
    await a.publish(`${at}/${topic}`, 'old', {retain: true});
    await a.publish(`${at}/${topic}`, topic, {retain: true, qos: 2});
  }
  const b = await connect(`retained-b-${unique}`);
  await b.subscribe(`${at}/#`, {qos: 1});
  const got = [await b.next(), await b.next(), await b.next()];
  assert.deepStrictEqual(got.map((m) => `${m.text} ${m.retain} ${m.qos}`).sort(), ['1 true 1', '2 true 1', '2/x true 1']);
  await a.publish(`${at}/1`, 'live', {retain: true});
  assert.strictEqual((await b.next()).retain, false);
  await a.publish(`${at}/1`, '', {retain: true});
  assert.strictEqual((await b.next()).payload.length, 0);
  const c = await connect(`retained-c-${unique}`);
  await c.subscribe([`${at}/1`]);
  await c.subscribe([`${at}/2`]);
  assert.strictEqual((await c.next()).text, '2');
}

async function wills() {
  const at = `will/${unique}`;
  const b = await connect(`will-b-${unique}`);
  await b.subscribe(`${at}/#`, {qos: 2});
  const will = (text, more) => ({will: {topic: `${at}/a`, payload: text, qos: 2, retain: false, ...more}});
  await (await connect(`will-a-${unique}`, will('never, it said goodbye'))).close();
  await (await connect(`will-a-${unique}`, will('lost', {retain: true}))).drop();
  const got = await b.next();
  assert.deepStrictEqual([got.text, got.qos, got.retain], ['lost', 2, false]);
  const later = await connect(`will-c-${unique}`);
  await later.subscribe(`${at}/a`);
  assert.strictEqual((await later.next()).retain, true);
  if (five) {
    const carried = {contentType: 'text', userProperties: {of: 'will'}, responseTopic: 'r', correlationData: Buffer.from([9])};
    await (await connect(`will-d-${unique}`, {...forLong, ...will('late', {properties: {willDelayInterval: 1, ...carried}})})).drop();
    const late = await b.next();
    assert.deepStrictEqual([late.text, {...late.properties, userProperties: {...late.properties.userProperties}}], ['late', carried]);
    const cancelled = {...forLong, ...will('never, it came back', {properties: {willDelayInterval: LONG}})};
    await (await connect(`will-e-${unique}`, cancelled)).drop();
    await (await connect(`will-e-${unique}`, {clean: false})).close();
    await (await connect(`will-f-${unique}`, will('asked for'))).close({reasonCode: 4});
    assert.strictEqual((await b.next()).text, 'asked for');
  }
  await b.nothingBefore(b, `${at}/end`);
}

async function keptSessions() {
  const topic = `kept/${unique}`;
  const b = await connect(`kept-b-${unique}`);
  const first = await connect(`kept-a-${unique}`, forLong);
  assert.strictEqual(first.present, false);
  await first.subscribe(topic, {qos: 2});
  await first.close();
  for (let i = 0; i < 30; i++) await b.publish(topic, String(i), {qos: i % 3});
  const again = await connect(`kept-a-${unique}`, forLong);
  assert.strictEqual(again.present, true);
  const got = (await again.texts(20)).sort((x, y) => x - y);
  assert.deepStrictEqual(got, Array.from({length: 30}, (_, i) => String(i)).filter((_, i) => i % 3));
  await again.nothingBefore(b, topic);
  await again.close();
  const clean = await connect(`kept-a-${unique}`, {clean: true});
  assert.strictEqual(clean.present, false);
  await clean.subscribe(`${topic}/other`);
  await clean.publish(topic, 'not subscribed any more');
  await clean.nothingBefore(clean, `${topic}/other`);
}

async function takenOver() {
  const first = await connect(`twice-${unique}`, forLong);
  await first.subscribe(`twice/${unique}`);
  const second = await connect(`twice-${unique}`, forLong);
  await within(first.gone, 'the older one is closed');
  assert.strictEqual(second.present, true);
  assert.strictEqual(first.told && first.told.reasonCode, five ? 0x8e : undefined);
  await second.nothingBefore(second, `twice/${unique}`);
}

/** One side loses its connection again and again, and the package makes a new one. Gives what came; fails if something never did. */
async function broken(side) {
  const at = `broken/${side}/${unique}`;
  const own = {...forLong, reconnectPeriod: 1};
  const sides = {sender: await connect(`broken-a-${unique}`, own), receiver: await connect(`broken-b-${unique}`, own)};
  await sides.receiver.subscribe({[`${at}/1`]: {qos: 1}, [`${at}/2`]: {qos: 2}});
  const expected = Array.from({length: 200}, (_, i) => `${i} ${1 + i % 2}`);
  for (let i = 0; i < 200; i += 10) {
    const sent = expected.slice(i, i + 10).map((text, n) => sides.sender.published(`${at}/${1 + n % 2}`, text, 1 + n % 2));
    await sent[i / 10 % 9];
    if (sides[side].raw.connected) sides[side].raw.stream.destroy();
    await Promise.all(sent);
  }
  const got = [], seen = new Set();
  while (seen.size < 200) {
    const {text} = await sides.receiver.next();
    got.push(text);
    seen.add(text);
  }
  await sides.sender.published(`${at}/2`, 'end', 2);
  for (let text = (await sides.receiver.next()).text; text !== 'end'; text = (await sides.receiver.next()).text) got.push(text);
  assert.deepStrictEqual([...new Set(got)].sort(), expected.sort());
  return got;
}

async function receiverBreaks() {
  const ofTwo = (await broken('receiver')).filter((text) => text.endsWith(' 2'));
  assert.strictEqual(ofTwo.length, 100);  // each once
}

async function senderBreaks() {
  await broken('sender');
}

async function shared() {
  const members = [];
  for (const id of [1, 2, 3]) {
    members.push(await connect(`member-${id}-${unique}`));
    assert.deepStrictEqual(await members[id - 1].subscribe(`$share/g${unique}/jobs/${unique}/#`), [1]);
  }
  const all = await connect(`all-${unique}`);
  await all.subscribe(`jobs/${unique}/#`);
  for (let i = 0; i < 30; i++) await all.publish(`jobs/${unique}/x`, String(i));
  const expected = Array.from({length: 30}, (_, i) => String(i));
  assert.deepStrictEqual(await all.texts(30), expected);
  const given = () => members.reduce((sum, m) => sum + m.messages.items.length, 0);
  await until(async () => (await all.unsubscribe('nothing'), given() >= 30), 'all are given to somebody');
  const got = members.map((m) => m.messages.items.map((item) => item.text));
  assert(got.every((of) => of.length), 'each has some');
  assert.deepStrictEqual([].concat(...got).sort((x, y) => x - y), expected);
}

async function statistics() {
  const a = await connect(`statistics-${unique}`);
  assert.deepStrictEqual(await a.subscribe('$SYS/#'), [1]);
  await a.publish(`statistics/${unique}`, '1');
  const figures = {};
  await until(async () => {
    const got = await a.next();
    assert.match(got.topic, /^\$SYS\/orrery\/[^/]+\/(clients|messages)\/[a-z]+$/);
    figures[got.topic.split('/').slice(3).join('/')] = Number(got.text);
    return figures['clients/connected'] >= 1 && figures['messages/received'] >= 1 && figures['messages/delivered'] >= 1 &&
      figures['messages/dropped'] >= 0;
  }, 'the figures');
}

async function carried() {
  const a = await connect(`carry-a-${unique}`);
  const b = await connect(`carry-b-${unique}`);
  await a.subscribe(`carry/${unique}`, {qos: 2, properties: {subscriptionIdentifier: 268435455, userProperties: {ignored: 'yes'}}});
  for (const qos of [0, 1, 2]) {
    await b.publish(`carry/${unique}`, 'é', {qos, properties: {
      payloadFormatIndicator: true, contentType: 'text/plain', responseTopic: 'back', correlationData: Buffer.from([0, 255]),
      userProperties: {many: ['1', '2'], '': ''}, messageExpiryInterval: 100}});
    const {messageExpiryInterval, userProperties, correlationData, ...others} = (await a.next()).properties;
    assert.deepStrictEqual({...others}, {
      payloadFormatIndicator: true, contentType: 'text/plain', responseTopic: 'back', subscriptionIdentifier: 268435455});
    assert.deepStrictEqual([{...userProperties}, [...correlationData]], [{many: ['1', '2'], '': ''}, [0, 255]]);
    assert(messageExpiryInterval > 0 && messageExpiryInterval <= 100, messageExpiryInterval);
  }
}

async function requestAndResponse() {
  const service = await connect(`service-${unique}`);
  await service.subscribe(`service/${unique}/double`);
  service.raw.on('message', (topic, payload, {properties}) => {
    service.raw.publish(properties.responseTopic, String(2 * payload), {qos: 1, properties: {correlationData: properties.correlationData}});
  });
  const callers = [];
  for (const id of [1, 2]) {
    const caller = await connect(`caller-${id}-${unique}`);
    await caller.subscribe(`answers/${unique}/${id}`);
    callers.push(caller);
    for (let i = 0; i < 5; i++) {
      await caller.publish(`service/${unique}/double`, String(10 * id + i), {properties: {
        responseTopic: `answers/${unique}/${id}`, correlationData: Buffer.from([id, i])}});
    }
  }
  for (const [index, caller] of callers.entries()) {
    for (let i = 0; i < 5; i++) {
      const got = await caller.next();
      assert.deepStrictEqual([got.text, [...got.properties.correlationData]], [String(2 * (10 * (index + 1) + i)), [index + 1, i]]);
    }
  }
}

async function expiry() {
  const at = `expiry/${unique}`;
  const b = await connect(`expiry-b-${unique}`);
  await b.subscribe(`${at}/gone`);
  const a = await connect(`expiry-a-${unique}`, {...forLong, will: {topic: `${at}/gone`, payload: 'gone', qos: 1}});
  await a.subscribe(`${at}/queued`);
  // What is on its way to a connection does not expire: the will says that the node knows it closed.
  await a.close({reasonCode: 4});
  assert.strictEqual((await b.next()).text, 'gone');
  const expires = (messageExpiryInterval) => ({properties: {messageExpiryInterval}});
  await b.publish(`${at}/queued`, 'short', expires(1));
  await b.publish(`${at}/queued`, 'long', expires(LONG));
  // A retained message of the same time, that begins later, is the clock.
  await b.publish(`${at}/retained`, 'short', {retain: true, ...expires(1)});
  await until(async () => {
    await b.subscribe(`${at}/retained`);
    await b.publish(`${at}/retained`, 'end');
    const first = (await b.next()).text;
    if (first !== 'end') assert.strictEqual((await b.next()).text, 'end');
    return first === 'end';
  }, 'the retained one is over');
  const again = await connect(`expiry-a-${unique}`, forLong);
  const got = await again.next();
  assert.strictEqual(got.text, 'long');
  assert(got.properties.messageExpiryInterval < LONG, 'what is left of it');
  await again.nothingBefore(b, `${at}/queued`);
}

async function sessionExpiry() {
  const id = `session-${unique}`;
  const kept = (sessionExpiryInterval) => ({clean: false, properties: {sessionExpiryInterval}});
  const over = (of) => until(async () => {
    const again = await connect(id, kept(of));
    await again.close();
    return !again.present;
  }, 'the session is over');
  await (await connect(id, kept(LONG))).drop();
  const again = await connect(id, kept(LONG));
  assert.strictEqual(again.present, true);
  await again.close({reasonCode: 0, properties: {sessionExpiryInterval: 0}});
  const fresh = await connect(id, kept(1));
  assert.strictEqual(fresh.present, false);
  await fresh.drop();
  await over(0);
}

async function identifiers() {
  const at = `identifiers/${unique}`;
  const a = await connect(`identifiers-${unique}`);
  await a.subscribe(`${at}/#`, {qos: 1, properties: {subscriptionIdentifier: 1}});
  await a.subscribe(`${at}/+`, {qos: 0, properties: {subscriptionIdentifier: 200}});
  await a.publish(`${at}/x`, 'both');
  const found = [];
  while (found.length < 2) found.push(...[].concat((await a.next()).properties.subscriptionIdentifier));
  assert.deepStrictEqual(found.sort((x, y) => x - y), [1, 200]);
  await a.subscribe(`${at}/#`, {qos: 1, properties: {subscriptionIdentifier: 3}});
  await a.publish(`${at}/x/y`, 'one');
  assert.strictEqual((await a.next()).properties.subscriptionIdentifier, 3);
}

async function aliases() {
  const at = `aliases/${unique}`;
  const b = await connect(`aliases-b-${unique}`, {properties: {topicAliasMaximum: 2}});
  await b.subscribe(`${at}/#`);
  const a = await connect(`aliases-a-${unique}`);
  assert.strictEqual(a.properties.topicAliasMaximum, 16);
  const got = [], numbers = new Set();
  for (const topic of [`${at}/0`, '', '', `${at}/1`, '']) {
    await a.publish(topic, 'by number', {properties: {topicAlias: 16}});
    const message = await b.next();
    got.push(message.topic.slice(at.length + 1));
    if (message.properties && message.properties.topicAlias) numbers.add(message.properties.topicAlias);
  }
  assert.deepStrictEqual(got, ['0', '0', '0', '1', '1']);
  for (let i = 0; i < 10; i++) {
    const topic = `${at}/${i % 4}`;
    await a.publish(topic, 'by name');
    const message = await b.next();
    assert.strictEqual(message.topic, topic);
    if (message.properties && message.properties.topicAlias) numbers.add(message.properties.topicAlias);
  }
  assert.deepStrictEqual([...numbers].sort(), [1, 2]);
  const c = await connect(`aliases-c-${unique}`, {autoAssignTopicAlias: true});
  for (let i = 0; i < 40; i++) {
    await c.publish(`${at}/${i % 20}`, 'by the package');
    assert.strictEqual((await b.next()).topic, `${at}/${i % 20}`);
  }
}

async function receiveMaximum() {
  const topic = `window/${unique}`;
  const a = await connect(`window-a-${unique}`, {properties: {receiveMaximum: 2}});
  await a.subscribe(topic, {qos: 2});
  // The package looks at a packet when the one before is acknowledged: what has come is read beside it.
  const arrived = [];
  const parser = mqttPacket.parser({protocolVersion: 5});
  parser.on('packet', (packet) => arrived.push(packet));
  a.raw.stream.on('data', (bytes) => parser.parse(bytes));
  let go;
  const may = new Promise((resolve) => { go = resolve; });
  a.raw.handleMessage = (packet, done) => may.then(() => done());
  const b = await connect(`window-b-${unique}`);
  for (let i = 0; i < 6; i++) await b.publish(topic, String(i));
  await b.publish(topic, 'end', {qos: 0});
  await until(async () => (await b.unsubscribe('nothing'), arrived.some((p) => p.cmd === 'publish' && p.qos === 0)), 'what needs no acknowledgement');
  assert.deepStrictEqual(arrived.filter((p) => p.qos).map((p) => p.payload.toString()), ['0', '1']);
  go();
  assert.deepStrictEqual((await a.texts(7)).filter((text) => text !== 'end'), ['0', '1', '2', '3', '4', '5']);
}

async function packetSize() {
  const topic = `size/${unique}`;
  const a = await connect(`size-a-${unique}`, {properties: {maximumPacketSize: 200}});
  await a.subscribe(topic);
  const b = await connect(`size-b-${unique}`);
  await b.publish(topic, 'x'.repeat(300));
  await a.nothingBefore(b, topic);
  // The package keeps to what the server takes, so this goes past it. Its head is enough: bytes that nobody reads reset the
  // connection, and the answer is lost.
  const large = mqttPacket.generate({cmd: 'publish', topic, payload: 'x'.repeat(b.properties.maximumPacketSize), qos: 0}, {protocolVersion: 5});
  b.raw.stream.write(large.subarray(0, 10));
  await within(b.gone, 'it is closed');
  assert.strictEqual(b.told.reasonCode, 0x95);
}

async function subscriptionOptions() {
  const at = `options/${unique}`;
  const a = await connect(`options-a-${unique}`);
  const b = await connect(`options-b-${unique}`);
  await a.publish(`${at}/1`, 'kept', {retain: true});
  await b.subscribe(`${at}/1`, {qos: 1, rh: 2});
  await b.subscribe(`${at}/+`, {qos: 1, rh: 1, rap: true});
  assert.strictEqual((await b.next()).text, 'kept');
  await b.subscribe(`${at}/+`, {qos: 1, rh: 1, rap: true});
  await a.publish(`${at}/2`, 'live', {retain: true});
  const got = await b.next();
  assert.deepStrictEqual([got.text, got.retain], ['live', true]);
  await b.subscribe(`${at}/own`, {qos: 1, nl: true});
  await b.unsubscribe(`${at}/+`);
  await b.publish(`${at}/own`, 'not heard by itself');
  await b.nothingBefore(a, `${at}/own`);
  assert.deepStrictEqual([...(await b.unsubscribe([`${at}/own`, `${at}/none`])).granted], [0, 0x11]);
  assert.strictEqual((await b.publish(`${at}/own`, 'nobody listens')).code, 0x10);
}

/** An application whose key allows little, and one that hears it. */
async function refused() {
  const app = {username: 'app', password: config.key};
  const a = await connect(`refused-${unique}`, app);
  const watcher = await connect(`watcher-${unique}`, {username: 'app', password: config.watch});
  assert.deepStrictEqual(await watcher.subscribe('may/#'), [1]);
  const none = five ? 0x87 : 0x80;
  const filters = {'may/hear': {qos: 1}, 'may/say': {qos: 1}, other: {qos: 2}, '$share/g/may/hear': {qos: 0}};
  assert.deepStrictEqual(await a.subscribe(filters), [1, none, none, 0]);
  for (const qos of [0, 1, 2]) {
    const {code} = await a.publish('may/hear', 'not allowed', {qos});
    assert.strictEqual(code, five && qos ? 0x87 : 0);
    assert((await a.publish('may/say', 'allowed', {qos})).code < 0x80);
  }
  assert.deepStrictEqual(await watcher.texts(3), ['allowed', 'allowed', 'allowed']);
  await watcher.nothingBefore(a, 'may/say');
  await new Client({...app, clientId: 'wrong', password: `${config.key}x`}).connected(five ? 0x86 : 4);
}

run({
  levels, anyBytes, order, retained, wills, keptSessions, takenOver, receiverBreaks, senderBreaks, shared, statistics, carried, requestAndResponse,
  expiry, sessionExpiry, identifiers, aliases, receiveMaximum, packetSize, subscriptionOptions, refused,
});
