'use strict';
// What the Node programs share: clients on both major versions of the package `mqtt`, with promises that have deadlines, and
// requests to the test that runs the program. A program is run as `node FILE SCENARIO CONFIG`, CONFIG being JSON.
const assert = require('assert');
const fs = require('fs');
const readline = require('readline');
const libraries = {3: require('mqtt3'), 5: require('mqtt')};

const DEADLINE = 20000;
const config = JSON.parse(process.argv[3]);
const trust = fs.readFileSync(config.ca);
const clients = new Set();

/** `promise`, or a failure that says `what` did not come. */
function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${DEADLINE} ms: ${what}`)), DEADLINE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Things in the order in which they came, to be waited for. */
class Queue {
  constructor(what) {
    Object.assign(this, {what, items: [], waiting: []});
  }

  put(item) {
    const first = this.waiting.shift();
    if (first) first(item);
    else this.items.push(item);
  }

  next() {
    if (this.items.length) return Promise.resolve(this.items.shift());
    return within(new Promise((resolve) => this.waiting.push(resolve)), this.what);
  }
}

/** A client of the version and level of `kind`, over `transport`: mqtt, mqtts, ws or wss. Other options are the package's own. */
class Client {
  constructor({kind = config.kind, transport = 'mqtt', ...options} = {}) {
    const ports = config.ports;
    const url = {
      mqtt: `mqtt://127.0.0.1:${ports.mqtt}`,
      mqtts: `mqtts://127.0.0.1:${ports.mqtts}`,
      ws: `ws://127.0.0.1:${ports.http}/mqtt`,
      wss: `wss://127.0.0.1:${ports.https}/mqtt`,
    }[transport];
    const more = transport.endsWith('s') && transport !== 'ws' ? {ca: trust, rejectUnauthorized: true} : {};
    this.level = kind.level;
    this.id = options.clientId;
    this.messages = new Queue(`a message for ${this.id}`);
    this.granted = new Queue(`a SUBACK for ${this.id}`);
    this.acknowledgements = [];
    this.errors = [];
    this.raw = libraries[kind.library].connect(url, {
      protocolVersion: kind.level, reconnectPeriod: 0, connectTimeout: DEADLINE, resubscribe: false, ...more, ...options,
    });
    this.gone = new Promise((resolve) => this.raw.on('close', resolve));
    this.answered = new Promise((resolve) => this.raw.on('packetreceive', (packet) => {
      if (packet.cmd === 'connack') resolve(this.accepted = packet);
      if (packet.cmd === 'suback') this.granted.put(packet.granted);
      if (packet.cmd === 'disconnect') this.told = packet;
      if (packet.cmd === 'puback' || packet.cmd === 'pubrec') this.acknowledgements.push(packet);
    }));
    this.raw.on('error', (error) => this.errors.push(error));
    this.raw.on('message', (topic, payload, packet) => this.messages.put({...packet, topic, payload, text: payload.toString()}));
    clients.add(this);
  }

  /** Waits for the CONNACK. `code` is the one that must come. */
  async connected(code = 0) {
    const broken = this.gone.then(() => { throw new Error(`${this.id}: closed without a CONNACK; ${this.errors}`); });
    broken.catch(() => {});
    const packet = await within(Promise.race([this.answered, broken]), `a CONNACK for ${this.id}`);
    assert.strictEqual(this.level === 5 ? packet.reasonCode : packet.returnCode, code, `CONNACK of ${this.id}`);
    this.present = packet.sessionPresent;
    this.properties = packet.properties || {};
    return this;
  }

  /** Gives the codes of the SUBACK. */
  async subscribe(topics, options = {qos: 1}) {
    this.raw.subscribe(topics, options, () => {});  // refusals are in the codes
    return [...await this.granted.next()];
  }

  unsubscribe(topic) {
    const settle = (resolve, reject) => (error, packet) => (error ? reject(error) : resolve(packet));
    return within(new Promise((...both) => this.raw.unsubscribe(topic, settle(...both))), `an UNSUBACK for ${this.id}`);
  }

  /** Waits until the flow is over; gives the code and the reason of the acknowledgement. */
  async publish(topic, payload, options = {}) {
    const before = this.acknowledgements.length;
    const error = await within(new Promise((resolve) => this.raw.publish(topic, payload, {qos: 1, ...options}, resolve)),
      `${this.id}: ${topic} is acknowledged`);
    const packet = this.acknowledgements[before];
    if (!packet) {
      if (error) throw error;
      return {code: 0};
    }
    return {code: packet.reasonCode || 0, reason: (packet.properties || {}).reasonString, error};
  }

  /** Waits until the package says that it is published, on whichever connection. */
  published(topic, payload, qos) {
    const overAlready = (error) => error.code === 0x92;  // of a PUBREL that is repeated on a new connection
    const settle = (resolve, reject) => (error) => (error && !overAlready(error) ? reject(error) : resolve());
    return within(new Promise((...both) => this.raw.publish(topic, payload, {qos}, settle(...both))),
      `${this.id}: ${payload} is published`);
  }

  next() {
    return this.messages.next();
  }

  async texts(count) {
    const got = [];
    while (got.length < count) got.push((await this.next()).text);
    return got;
  }

  /** Nothing has come and nothing comes in front of what `by` publishes to `topic` now. */
  async nothingBefore(by, topic) {
    await by.publish(topic, 'nothing before');
    assert.strictEqual((await this.next()).text, 'nothing before');
  }

  /** The connection is gone without a word. */
  async drop() {
    this.raw.stream.destroy();
    await within(this.gone, `${this.id} is closed`);
    clients.delete(this);
  }

  async close(options) {
    clients.delete(this);
    const end = (resolve) => (options ? this.raw.end(false, options, resolve) : this.raw.end(false, resolve));
    await within(new Promise(end), `${this.id} has ended`);
  }
}

function connect(clientId, options) {
  return new Client({clientId, ...options}).connected();
}

const answers = new Queue('an answer of the test');
readline.createInterface({input: process.stdin}).on('line', (line) => answers.put(JSON.parse(line)));

/** Has the test do what only it can do, by name; gives what that gave. */
function ask(name, ...values) {
  process.stdout.write(`ask ${JSON.stringify([name, ...values])}\n`);
  return answers.next();
}

/** Repeats until `condition` gives something; each turn waits for the server. */
async function until(condition, what) {
  const end = Date.now() + DEADLINE;
  for (;;) {
    const got = await condition();
    if (got) return got;
    if (Date.now() > end) throw new Error(`not within ${DEADLINE} ms: ${what}`);
  }
}

/** Runs the scenario of the command line. The line `done` is the proof that it came to its end. */
function run(scenarios) {
  const scenario = scenarios[process.argv[2]];
  assert(scenario, `no scenario ${process.argv[2]}`);
  scenario().then(async () => {
    for (const client of [...clients]) await client.close();
    process.stdout.write('done\n', () => process.exit(0));
  }).catch((error) => {
    process.stderr.write(`${error.stack}\n`, () => process.exit(1));
  });
}

module.exports = {Client, Queue, ask, config, connect, run, until, within};
