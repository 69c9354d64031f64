/*
 * node_redis.test.js - node-redis 4, 5 and 6 in RESP2 and RESP3: what an application does with it.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient as createClient4, commandOptions } from 'redis4';
import { createClient as createClient5 } from 'redis5';
import { createClient as createClient6 } from 'redis6';
import { eventually } from './lib/process.js';
import { direct, openWorld } from './lib/world.js';

/* RESP2 is what an application gets that says nothing in 4 and 5; 6 says RESP itself. */
const libraries = [
  { name: 'node-redis 4', create: createClient4 },
  { name: 'node-redis 5, RESP2', create: createClient5, options: { RESP: 2 } },
  { name: 'node-redis 5, RESP3', create: createClient5, options: { RESP: 3 } },
  { name: 'node-redis 6, RESP2', create: createClient6, options: { RESP: 2 } },
  { name: 'node-redis 6, RESP3', create: createClient6, options: { RESP: 3 } },
];

const open = [];
async function connect({ create, options }, world, { where = {}, more = {} } = {}) {
  const client = create({
    url: world.url(where),
    ...(world.tls && { socket: { tls: true, ...world.tls } }),
    ...options,
    ...more,
  });
  client.errors = [];
  client.on('error', (error) => client.errors.push(error));
  open.push(client);
  await client.connect();
  return client;
}

/* disconnect() of 4 is destroy() in 5; both forget what is still waiting for a reply. */
const closeAll = () => Promise.all(open.splice(0).map((client) =>
  client.isOpen && (client.destroy ?? client.disconnect).call(client)));

async function scanned(client, options) {
  const keys = [];
  for await (const found of client.scanIterator(options)) keys.push(...[found].flat()); /* 4: one by one */
  return keys;
}

for (const library of libraries) {
  describe(library.name, () => {
    let world, client;
    before(async () => {
      world = await openWorld();
      client = await connect(library, world);
    });
    after(async () => {
      await closeAll();
      await world.close();
    });

    test('commands of every type answer as Redis does', async () => {
      assert.equal(await client.set('app:greeting', 'hello'), 'OK');
      assert.equal(await client.get('app:greeting'), 'hello');
      assert.equal(await client.get('app:none'), null);
      assert.equal(await client.incr('app:counter'), 1);
      assert.equal(await client.hSet('app:hash', { a: '1', b: '2' }), 2);
      assert.deepEqual({ ...(await client.hGetAll('app:hash')) }, { a: '1', b: '2' });
      assert.equal(await client.rPush('app:list', ['x', 'y', 'z']), 3);
      assert.deepEqual(await client.lRange('app:list', 0, 1), ['x', 'y']);
      assert.equal(await client.zAdd('app:ranks', { score: 1.5, value: 'm' }), 1);
      assert.equal(await client.zScore('app:ranks', 'm'), 1.5);
      const id = await client.xAdd('app:stream', '*', { field: 'value' });
      assert.equal((await client.xRange('app:stream', '-', '+'))[0].id, id);
      assert.equal(await client.del(['app:counter', 'app:hash', 'app:absent']), 2);
      await assert.rejects(client.incr('app:greeting'), /not an integer/);
      const big = 'v'.repeat(1 << 20);
      await client.set('app:big', big);
      assert.equal(await client.get('app:big'), big);
    });

    test('requests sent in one turn are answered in order', async () => {
      const sent = Array.from({ length: 2000 }, (_, i) => client.set(`pipe:${i}`, `${i}`));
      assert.ok((await Promise.all(sent)).every((reply) => reply === 'OK'));
      const read = await Promise.all(Array.from({ length: 2000 }, (_, i) => client.get(`pipe:${i}`)));
      assert.deepEqual(read, Array.from({ length: 2000 }, (_, i) => `${i}`));
    });

    test('MULTI is one unit, and a WATCH that lost aborts it', async () => {
      const replies = await client.multi().set('tx:a', '1').incr('tx:a').get('tx:a').exec();
      assert.deepEqual(replies, ['OK', 2, '2']);
      const watching = await connect(library, world);
      await watching.watch('tx:a');
      await client.set('tx:a', 'changed');
      await assert.rejects(watching.multi().set('tx:a', 'lost').exec(), /watched keys/);
      assert.equal(await client.get('tx:a'), 'changed');
    });

    test('a subscriber gets channels and patterns, in order, and can leave', async () => {
      const subscriber = await connect(library, world);
      const got = [];
      await subscriber.subscribe('news:1', (message) => got.push(message));
      await subscriber.pSubscribe('room:*', (message, channel) => got.push(`${channel}=${message}`));
      for (let i = 0; i < 50; i++) await client.publish('news:1', `${i}`);
      assert.equal(await client.publish('room:7', 'hi'), 1);
      await eventually('51 messages', () => got.length >= 51);
      assert.deepEqual(got, [...Array.from({ length: 50 }, (_, i) => `${i}`), 'room:7=hi']);
      await subscriber.unsubscribe('news:1');
      assert.equal(await client.publish('news:1', 'nobody'), 0);
      await subscriber.pUnsubscribe();
      assert.equal(String(await subscriber.ping()), 'PONG'); /* node-redis 5 gives a Buffer here */
    });

    test('a blocking pop waits beside the others', async () => {
      const blocking = await connect(library, world);
      const popped = blocking.blPop('jobs:queue', 10);
      assert.equal(await client.ping(), 'PONG');
      await client.rPush('jobs:queue', 'work');
      assert.equal((await popped).element, 'work');
      assert.equal(await blocking.blPop('jobs:queue', 0.1), null);
    });

    test('a stream reader waits, reads and acknowledges', async () => {
      const reader = await connect(library, world);
      await client.xGroupCreate('jobs:stream', 'workers', '0', { MKSTREAM: true });
      const reading = reader.xReadGroup('workers', 'one', { key: 'jobs:stream', id: '>' }, { BLOCK: 10000 });
      const id = await client.xAdd('jobs:stream', '*', { task: 'one' });
      /* The shape differs by library and protocol (5 hands RESP3's map on as it is). */
      const read = JSON.stringify(await reading);
      assert.ok(read.includes(id) && read.includes('task'), read);
      assert.equal(await client.xAck('jobs:stream', 'workers', id), 1);
    });

    test('scanIterator sees every key once', async () => {
      await Promise.all(Array.from({ length: 500 }, (_, i) => client.set(`scan:${i}`, '')));
      const keys = await scanned(client, { MATCH: 'scan:*', COUNT: 100 });
      assert.equal(new Set(keys).size, 500);
    });

    test('scripts run by their SHA', async () => {
      const script = "return redis.call('SET', KEYS[1], ARGV[1])";
      const sha = await client.scriptLoad(script);
      assert.equal(await client.evalSha(sha, { keys: ['lua:a'], arguments: ['1'] }), 'OK');
      assert.equal(await client.eval("return redis.call('GET', KEYS[1])", { keys: ['lua:a'] }), '1');
    });

    test('a database in the URL keeps to itself', async () => {
      const third = await connect(library, world, { where: { db: 3 } });
      await third.set('only:three', 'yes');
      assert.equal(await third.get('only:three'), 'yes');
      assert.equal(await client.get('only:three'), null);
      await client.select(3);
      assert.equal(await client.get('only:three'), 'yes');
      await client.select(0);
    });

    test('FLUSHALL is refused with a reason, alone and inside MULTI', { skip: direct }, async () => {
      await client.set('kept', 'yes');
      await assert.rejects(client.flushAll(), /NOPERM respgate: 'FLUSHALL' is denied by rule/);
      await assert.rejects(client.multi().set('kept', 'no').flushAll().exec());
      assert.equal(await client.get('kept'), 'yes');
    });

    test('nothing of this made the client reconnect', () => assert.deepEqual(client.errors, []));
  });
}

describe('node-redis 4, isolated pool', () => {
  let world;
  before(async () => { world = await openWorld(); });
  after(async () => {
    await closeAll();
    await world.close();
  });

  test('blocking commands and WATCH on isolated connections', async () => {
    const client = await connect(libraries[0], world, { more: { isolationPoolOptions: { max: 4 } } });
    const popped = client.blPop(commandOptions({ isolated: true }), 'iso:queue', 10);
    await client.lPush('iso:queue', 'one');
    assert.equal((await popped).element, 'one');
    const replies = await client.executeIsolated(async (own) => {
      await own.watch('iso:key');
      return own.multi().set('iso:key', '1').exec();
    });
    assert.deepEqual(replies, ['OK']);
  });
});

describe('client-side caching over RESP3', () => {
  let world;
  before(async () => { world = await openWorld(); });
  after(async () => {
    await closeAll();
    await world.close();
  });

  for (const library of libraries.filter(({ options }) => options?.RESP === 3)) {
    test(`${library.name}: a change elsewhere reaches the cache`, async () => {
      const cached = await connect(library, world, { more: { clientSideCache: { ttl: 0, maxEntries: 100 } } });
      const writer = await connect(library, world);
      await writer.set('cache:key', 'old');
      assert.equal(await cached.get('cache:key'), 'old');
      assert.equal(await cached.get('cache:key'), 'old');
      await writer.set('cache:key', 'new');
      await eventually('the invalidation', async () => (await cached.get('cache:key')) === 'new');
    });
  }
});

describe('a Redis that asks for a password', () => {
  let world;
  before(async () => { world = await openWorld({ password: 'secret' }); });
  after(async () => {
    await closeAll();
    await world.close();
  });

  for (const library of libraries) {
    const once = { socket: { reconnectStrategy: false } };

    test(`${library.name}: the right one opens it`, async () => {
      const client = await connect(library, world);
      assert.equal(await client.set('auth:a', '1'), 'OK');
      assert.equal(await client.get('auth:a'), '1');
    });

    test(`${library.name}: none gets NOAUTH`, async () => {
      /* At the first command, or at HELLO where the library begins with one. */
      const using = connect(library, world, { where: { auth: '' }, more: once }).then((client) => client.get('auth:a'));
      await assert.rejects(using, /NOAUTH/);
    });

    test(`${library.name}: the wrong one gets WRONGPASS`, async () => {
      await assert.rejects(connect(library, world, { where: { auth: ':wrong@' }, more: once }), /WRONGPASS/);
    });

    test(`${library.name}: an ACL user keeps its own rights`, async () => {
      const admin = await connect(library, world);
      await admin.set('other:a', 'hidden');
      const auth = `${world.addUser('reader', 'pw', '~auth:*', '+@all')}@`;
      const client = await connect(library, world, { where: { auth } });
      assert.equal(await client.get('auth:a'), '1');
      await assert.rejects(client.get('other:a'), /NOPERM/);
    });
  }
});

for (const road of ['tls-listener', 'mtls-backend']) {
  describe(`node-redis, ${road}`, () => {
    let world;
    before(async () => { world = await openWorld({ road }); });
    after(async () => {
      await closeAll();
      await world.close();
    });

    for (const library of libraries) {
      test(`${library.name}: commands, MULTI, pub/sub and a large value`, async () => {
        const client = await connect(library, world);
        const subscriber = await connect(library, world);
        const value = 'x'.repeat(3 << 20);
        assert.equal(await client.set('tls:big', value), 'OK');
        assert.equal(await client.get('tls:big'), value);
        assert.deepEqual(await client.multi().set('tls:a', '1').get('tls:a').exec(), ['OK', '1']);
        const got = [];
        await subscriber.subscribe('tls:news', (message) => got.push(message));
        await client.publish('tls:news', 'hello');
        await eventually('the message', () => got.includes('hello'));
        if (!direct) await assert.rejects(client.flushAll(), /NOPERM/);
      });
    }
  });
}
