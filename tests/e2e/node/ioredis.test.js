/*
 * ioredis.test.js - ioredis 5 and 6: ready check, pipelines, scripts, pub/sub, and a backend that
 * goes away and comes back while the clients stay connected.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Redis as Redis5 } from 'ioredis';
import { Redis as Redis6 } from 'ioredis6';
import { eventually } from './lib/process.js';
import { direct, openWorld } from './lib/world.js';

const libraries = [{ name: 'ioredis 5', Redis: Redis5 }, { name: 'ioredis 6', Redis: Redis6 }];
const numbers = (n) => Array.from({ length: n }, (_, i) => `${i}`);

const open = [];
/* events: what happened to the connection, in order; an application sees the same. */
function connect(Redis, world, options = {}, where = {}) {
  const client = new Redis(world.url(where), { tls: world.tls, ...options });
  client.events = [];
  for (const name of ['connect', 'ready', 'close', 'reconnecting', 'end']) client.on(name, () => client.events.push(name));
  client.on('error', (error) => client.events.push(`error ${error.message}`));
  open.push(client);
  return client;
}
const closeAll = () => open.splice(0).forEach((client) => client.disconnect());

for (const { name, Redis } of libraries) {
  describe(name, () => {
    let world, client;
    before(async () => {
      world = await openWorld();
      client = connect(Redis, world);
    });
    after(async () => {
      closeAll();
      await world.close();
    });

    test('the ready check passes', async () => {
      await eventually('ready', () => client.status === 'ready');
      assert.deepEqual(client.events, ['connect', 'ready']);
    });

    test('commands of every type answer as Redis does', async () => {
      assert.equal(await client.set('app:greeting', 'hello', 'EX', 100), 'OK');
      assert.equal(await client.get('app:greeting'), 'hello');
      assert.deepEqual(await client.mget('app:greeting', 'app:none'), ['hello', null]);
      assert.equal(await client.hset('app:hash', { a: 1, b: 2 }), 2);
      assert.deepEqual(await client.hgetall('app:hash'), { a: '1', b: '2' });
      assert.deepEqual(await client.zrange('app:none', 0, -1), []);
      assert.deepEqual(await client.getBuffer('app:greeting'), Buffer.from('hello'));
      await assert.rejects(client.lpush('app:greeting', 'x'), /WRONGTYPE/);
      const binary = Buffer.from(Array.from({ length: 70000 }, (_, i) => i & 255));
      await client.set('app:binary', binary);
      assert.deepEqual(await client.getBuffer('app:binary'), binary);
    });

    test('a pipeline of thousands, an error in the middle included', async () => {
      const pipeline = client.pipeline();
      numbers(3000).forEach((i) => pipeline.set(`pipe:${i}`, i));
      pipeline.lpush('pipe:1', 'x');
      numbers(3000).forEach((i) => pipeline.get(`pipe:${i}`));
      const replies = await pipeline.exec();
      assert.match(replies[3000][0].message, /WRONGTYPE/);
      assert.deepEqual(replies.slice(3001).map(([, value]) => value), numbers(3000));
    });

    test('MULTI, one by one and as a pipeline', async () => {
      assert.deepEqual(await client.multi().set('tx:a', 1).incr('tx:a').exec(), [[null, 'OK'], [null, 2]]);
      const own = connect(Redis, world);
      await own.watch('tx:a');
      await own.multi({ pipeline: false });
      assert.equal(await own.get('tx:a'), 'QUEUED');
      assert.deepEqual(await own.exec(), [[null, '2']]);
      await own.watch('tx:a');
      await client.set('tx:a', 'changed');
      assert.equal(await own.multi().set('tx:a', 'lost').exec(), null);
    });

    test('autopipelining', async () => {
      const auto = connect(Redis, world, { enableAutoPipelining: true });
      await Promise.all(numbers(500).map((i) => auto.set(`auto:${i}`, i)));
      assert.deepEqual(await Promise.all(numbers(500).map((i) => auto.get(`auto:${i}`))), numbers(500));
    });

    test('defineCommand: EVALSHA, and EVAL where the script is not known', async () => {
      const script = `
        local current = redis.call("INCRBY", KEYS[1], ARGV[1])
        redis.call("PEXPIRE", KEYS[1], 60000)
        return { current, KEYS[1] }`;
      client.defineCommand('bump', { numberOfKeys: 1, lua: script });
      assert.deepEqual(await client.bump('lua:counter', 2), [2, 'lua:counter']);
      assert.deepEqual(await client.bump('lua:counter', 3), [5, 'lua:counter']);
      const replies = await client.pipeline().bump('lua:counter', 1).get('lua:counter').exec();
      assert.deepEqual(replies, [[null, [6, 'lua:counter']], [null, '6']]);
    });

    test('pub/sub: channels, patterns, binary, and commands after leaving', async () => {
      const subscriber = connect(Redis, world);
      const got = [];
      subscriber.on('message', (channel, message) => got.push([channel, message]));
      subscriber.on('pmessage', (pattern, channel, message) => got.push([pattern, channel, message]));
      assert.equal(await subscriber.subscribe('news:a', 'news:b'), 2);
      assert.equal(await subscriber.psubscribe('room:*'), 3);
      assert.equal(await client.publish('news:b', 'one'), 1);
      assert.equal(await client.publish('room:1', 'two'), 1);
      await eventually('two messages', () => got.length === 2);
      assert.deepEqual(got, [['news:b', 'one'], ['room:*', 'room:1', 'two']]);
      await subscriber.unsubscribe('news:a', 'news:b');
      await subscriber.punsubscribe('room:*');
      assert.equal(await subscriber.get('pub:none'), null);
    });

    test('socket.io: one subscriber with thousands of rooms, joined and left as users come and go', async () => {
      const subscriber = connect(Redis, world);
      const got = new Map();
      subscriber.on('message', (channel, message) => got.set(channel, message));
      subscriber.on('pmessage', (pattern, channel, message) => got.set(`${pattern} ${channel}`, message));
      await subscriber.psubscribe('socket.io#/#*');
      await subscriber.subscribe('socket.io-request#/#', 'socket.io-response#/#');
      const rooms = numbers(2000).map((i) => `socket.io#/#room-${i}#`);
      await Promise.all(rooms.map((room) => subscriber.subscribe(room)));
      const reached = await Promise.all(rooms.map((room) => client.publish(room, `to ${room}`)));
      assert.ok(reached.every((n) => n === 2), 'each room: the channel and the pattern');
      await eventually('every message twice', () => got.size === 2 * rooms.length);
      rooms.forEach((room) => assert.equal(got.get(room), `to ${room}`));
      await subscriber.unsubscribe(...rooms);
      assert.equal(await client.publish(rooms[0], 'gone'), 1);
      assert.deepEqual(await client.pubsub('NUMSUB', 'socket.io-request#/#'), ['socket.io-request#/#', 1]);
    });

    test('blocking pops do not hold others up, and time out with nil', async () => {
      const waiting = numbers(20).map((i) => connect(Redis, world).blpop(`block:${i}`, 10));
      await client.ping();
      await Promise.all(numbers(20).map((i) => client.rpush(`block:${i}`, i)));
      assert.deepEqual(await Promise.all(waiting), numbers(20).map((i) => [`block:${i}`, i]));
      assert.equal(await connect(Redis, world).blpop('block:none', 0.1), null);
    });

    test('a stream group', async () => {
      await client.xgroup('CREATE', 'stream:a', 'g', '$', 'MKSTREAM');
      const reading = connect(Redis, world).xreadgroup('GROUP', 'g', 'c', 'BLOCK', 10000, 'STREAMS', 'stream:a', '>');
      const id = await client.xadd('stream:a', '*', 'k', 'v');
      assert.deepEqual(await reading, [['stream:a', [[id, ['k', 'v']]]]]);
      assert.equal(await client.xack('stream:a', 'g', id), 1);
    });

    test('scanStream sees every key', async () => {
      const keys = new Set();
      for await (const some of client.scanStream({ match: 'pipe:*', count: 500 })) some.forEach((key) => keys.add(key));
      assert.equal(keys.size, 3000);
    });

    test('a database in the URL, and SELECT, keep to themselves', async () => {
      const fifth = connect(Redis, world, {}, { db: 5 });
      await fifth.set('only:five', 'yes');
      assert.equal(await client.get('only:five'), null);
      await fifth.select(0);
      assert.equal(await fifth.get('only:five'), null);
    });

    test('FLUSHALL is refused with a reason, alone, in a pipeline, in MULTI', { skip: direct }, async () => {
      await client.set('kept', 'yes');
      await assert.rejects(client.flushall(), /NOPERM respgate: 'FLUSHALL' is denied by rule/);
      const replies = await client.pipeline().get('kept').flushall().get('kept').exec();
      assert.match(replies[1][0].message, /NOPERM/);
      assert.deepEqual([replies[0], replies[2]], [[null, 'yes'], [null, 'yes']]);
      await assert.rejects(client.multi().set('kept', 'no').flushall().exec(), /EXECABORT|NOPERM/);
      assert.equal(await client.get('kept'), 'yes');
    });

    test('FLUSHALL out of a script is refused, literal or hidden; the rest of it goes on', { skip: direct }, async () => {
      await client.set('kept', 'yes');
      await assert.rejects(client.eval("return redis.call('FLUSHALL')", 0), /NOPERM respgate: 'FLUSHALL' is denied by rule/);
      await assert.rejects(client.eval("return redis.call('flush' .. 'all')", 0), /NOPERM respgate: script refused: .*\(line 1\)/);
      await assert.rejects(client.script('LOAD', "for k, v in pairs(_G) do v.call('FLUSHALL') end"), /NOPERM respgate: script refused/);
      assert.equal(await client.eval("return redis.call('GET', KEYS[1])", 1, 'kept'), 'yes');
    });

    test('nothing of this made the client reconnect', () => assert.deepEqual(client.events, ['connect', 'ready']));

    test('the backend restarts: errors meanwhile, the client stays connected', { skip: direct }, async () => {
      const before = [...client.events];
      await client.set('restart:a', '1');
      await world.stopRedis();
      await assert.rejects(client.get('restart:a'), /respgate: backend redis is unavailable/);
      await world.startRedis();
      await eventually('an answer', () => client.set('restart:a', '2').catch(() => null));
      assert.equal(await client.get('restart:a'), '2');
      assert.deepEqual(client.events, before);
    });

    test('the backend restarts: scripts and subscribers find their way back', async () => {
      const subscriber = connect(Redis, world);
      const got = [];
      subscriber.on('message', (channel, message) => got.push(message));
      await subscriber.subscribe('restart:news');
      client.defineCommand('put', { numberOfKeys: 1, lua: "return redis.call('set', KEYS[1], ARGV[1])" });
      await client.put('restart:b', '1');
      await world.stopRedis();
      await world.startRedis();
      await eventually('the script', () => client.put('restart:b', '2').catch(() => null));
      await eventually('a message', async () => {
        await client.publish('restart:news', 'again').catch(() => null);
        return got.includes('again');
      });
      assert.equal(await client.get('restart:b'), '2');
    });

    test('quit is answered', async () => {
      const leaving = connect(Redis, world);
      assert.equal(await leaving.quit(), 'OK');
      await eventually('end', () => leaving.status === 'end');
    });
  });

  describe(`${name}, a Redis that asks for a password`, () => {
    let world;
    before(async () => { world = await openWorld({ password: 'secret' }); });
    after(async () => {
      closeAll();
      await world.close();
    });

    test('the right one, the wrong one, none', async () => {
      assert.equal(await connect(Redis, world).set('auth:a', '1'), 'OK');
      const once = { retryStrategy: null, enableOfflineQueue: true };
      await assert.rejects(connect(Redis, world, once, { auth: '' }).get('auth:a'), /NOAUTH/);
      const wrong = connect(Redis, world, once, { auth: ':wrong@' });
      await wrong.get('auth:a').catch(() => {});
      assert.ok(wrong.events.some((event) => /WRONGPASS/.test(event)), wrong.events.join());
    });

    test('an ACL user keeps its own rights', async () => {
      await connect(Redis, world).set('other:a', 'hidden');
      const auth = `${world.addUser('reader', 'pw', '~auth:*', '+@all')}@`;
      const client = connect(Redis, world, {}, { auth });
      assert.equal(await client.get('auth:a'), '1');
      await assert.rejects(client.get('other:a'), /NOPERM/);
    });
  });

  for (const road of ['tls-listener', 'mtls-backend']) {
    test(`${name}, ${road}: commands, a pipeline, pub/sub and a large value`, async (t) => {
      const world = await openWorld({ road });
      t.after(() => (closeAll(), world.close()));
      const client = connect(Redis, world);
      const subscriber = connect(Redis, world);
      const value = 'x'.repeat(3 << 20);
      assert.equal(await client.set('tls:big', value), 'OK');
      assert.equal(await client.get('tls:big'), value);
      const replies = await client.pipeline(numbers(1000).map((i) => ['set', `tls:${i}`, i])).exec();
      assert.ok(replies.every(([error, reply]) => !error && reply === 'OK'));
      const got = [];
      subscriber.on('message', (channel, message) => got.push(message));
      await subscriber.subscribe('tls:news');
      await client.publish('tls:news', 'hello');
      await eventually('the message', () => got.includes('hello'));
      if (!direct) await assert.rejects(client.flushall(), /NOPERM/);
      assert.deepEqual(client.events, ['connect', 'ready']);
    });
  }
}
