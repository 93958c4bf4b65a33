'use strict';
// Devices on the package `mqtt`: what a device of Orrery does, in the version and over the transport that the test names.
const assert = require('assert');
const crypto = require('crypto');
const {Client, ask, config, run, within} = require('./kit.js');

const {pk, dk, secret, kind, transport} = config;
const home = `/sys/${pk}/${dk}/`;
const five = kind.level === 5;

function device({signedWith = secret, ...options} = {}) {
  const stamp = String(Date.now());
  const text = `clientId${dk}deviceKey${dk}productKey${pk}timestamp${stamp}${signedWith}`;
  return new Client({
    transport,
    clientId: `${dk}|securemode=2,signmethod=sha256,timestamp=${stamp}|`,
    username: `${dk}&${pk}`,
    password: crypto.createHash('sha256').update(text).digest('hex'),
    ...options,
  });
}

let ids = 0;

async function request(of, path, params, options) {
  const id = String(++ids);
  const sent = of.publish(home + path, JSON.stringify({id, version: '1.0', params}), options);
  const reply = await of.next();
  assert.strictEqual(reply.topic, `${home}${path}_reply`);
  const body = JSON.parse(reply.text);
  assert.strictEqual(body.id, id);
  return {...body, qos: reply.qos, packet: reply, ...await sent, code: body.code};
}

async function requests() {
  const one = await device().connected();
  assert.deepStrictEqual(await one.subscribe(`${home}#`), [1]);
  for (const qos of [0, 1, 2]) {
    const reply = await request(one, 'thing/measurepoint/post', {measurepoints: {power: 1.5 + qos}}, {qos});
    assert.deepStrictEqual([reply.code, reply.data, reply.qos], [200, {}, Math.min(qos, 1)]);
  }
  assert.strictEqual((await request(one, 'thing/measurepoint/post', {measurepoints: {nothing: 1}})).code, 1204);
  assert.strictEqual((await request(one, 'thing/tag/update', [{tagKey: 'by', tagValue: 'node'}])).code, 200);
  assert.deepStrictEqual((await request(one, 'thing/tag/query', {tags: []})).data, {by: 'node'});
  assert.strictEqual(await ask('latest', 'power'), 3.5);
}

async function obeys() {
  const one = await device().connected();
  const answer = ask('invoke', 'reboot', {delay: 5});
  const command = await one.next();
  assert.strictEqual(command.topic, `${home}thing/service/reboot`);
  const {id, params} = JSON.parse(command.text);
  assert.deepStrictEqual(params, {delay: 5});
  await one.publish(`${command.topic}_reply`, JSON.stringify({id, code: 200, data: {accepted: true}}));
  assert.deepStrictEqual(await answer, {accepted: true});
}

async function refused() {
  const one = device({signedWith: 'another'});
  await one.connected(five ? 0x86 : 4);
  if (five) assert.strictEqual(one.properties.reasonString, 'login_refused');
  await within(one.gone, 'the connection is closed');
  const nobody = device({username: `nobody&${pk}`});
  await nobody.connected(five ? 0x86 : 4);
  const plain = device({clientId: 'plain'});
  await plain.connected(five ? 0x85 : 2);
}

async function distrust() {
  const one = device({ca: undefined});
  await within(one.gone, 'the connection is closed');
  assert.strictEqual(one.accepted, undefined);
  for (const error of one.errors) assert.match(error.message, /certificate/);  // version 3 has none over WebSocket
}

async function takenOver() {
  const first = await device().connected();
  await device().connected();
  await within(first.gone, 'the older connection is closed');
  if (five) assert.deepStrictEqual([first.told.reasonCode, first.told.properties.reasonString], [0x8e, 'taken_over']);
  else assert.strictEqual(first.told, undefined);
}

async function keptSession() {
  const kept = {clean: false, ...(five ? {properties: {sessionExpiryInterval: 600}} : {})};
  const first = await device(kept).connected();
  assert.strictEqual(first.present, false);
  await first.subscribe(`${home}thing/service/+`);
  await first.drop();
  const number = await ask('queue', 'reboot', {delay: 6});
  const again = await device(kept).connected();
  assert.strictEqual(again.present, true);
  const command = await again.next();
  assert.deepStrictEqual([command.qos, JSON.parse(command.text).params], [1, {delay: 6}]);
  await again.publish(`${command.topic}_reply`, JSON.stringify({id: JSON.parse(command.text).id, code: 200, data: {}}));
  assert.strictEqual(await ask('settled', number), 'succeeded');
  await again.close();
  const clean = await device({clean: true}).connected();
  assert.strictEqual(clean.present, false);
  await clean.close();
  assert.strictEqual((await device(kept).connected()).present, false);
}

async function whatFiveAdds() {
  const one = await device({properties: {receiveMaximum: 5, topicAliasMaximum: 4}}).connected();
  const {receiveMaximum, maximumPacketSize, topicAliasMaximum, sharedSubscriptionAvailable} = one.properties;
  assert.deepStrictEqual([receiveMaximum, maximumPacketSize, topicAliasMaximum, sharedSubscriptionAvailable], [20, 525312, 16, false]);
  const options = {qos: 2, nl: true, rap: true, rh: 2, properties: {subscriptionIdentifier: 300}};
  assert.deepStrictEqual(await one.subscribe(`${home}#`, options), [1]);
  assert.deepStrictEqual(await one.subscribe('$share/g/x'), [0x9e]);
  const post = (with_) => request(one, 'thing/measurepoint/post', {measurepoints: {power: 1}}, with_);
  const reply = await post({properties: {
    userProperties: {a: ['1', '2']}, responseTopic: 'elsewhere', correlationData: Buffer.from([0, 1]), messageExpiryInterval: 60,
    contentType: 'application/json', payloadFormatIndicator: true}});
  assert.deepStrictEqual([reply.code, reply.packet.properties.subscriptionIdentifier], [200, 300]);
  const aliases = [];
  for (let i = 0; i < 4; i++) aliases.push((await post()).packet.properties.topicAlias);
  assert(aliases[3] >= 1 && aliases[3] <= 4, `aliases: ${aliases}`);
  for (const qos of [1, 2]) {
    const sent = one.publish('foreign', JSON.stringify({id: '7'}), {qos});
    assert.strictEqual(JSON.parse((await one.next()).text).code, 1009);
    const {code, reason, error} = await sent;
    assert.deepStrictEqual([code, reason, error.code], [0x87, 'topic_forbidden', 0x87]);
  }
  assert.deepStrictEqual([...(await one.unsubscribe(['none/of/these', `${home}#`])).granted], [0x11, 0]);
  await ask('disable');
  await within(one.gone, 'the connection is closed');
  assert.deepStrictEqual([one.told.reasonCode, one.told.properties.reasonString], [0x98, 'disabled']);
  await device().connected(0x8a);
}

run({requests, obeys, refused, distrust, takenOver, keptSession, whatFiveAdds});
