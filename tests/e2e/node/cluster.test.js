/*
 * cluster.test.js - a Redis Cluster behind respgate: ioredis' plain client and its Cluster, which is
 * shown one node that owns every slot; BullMQ on the plain one.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Queue, Worker } from 'bullmq5';
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis';
import { Cluster as Cluster6, Redis as Redis6 } from 'ioredis6';
import { eventually } from './lib/process.js';
import { direct, openCluster } from './lib/world.js';

const libraries = [
  { name: 'ioredis 5', Redis: Redis5, Cluster: Cluster5 },
  { name: 'ioredis 6', Redis: Redis6, Cluster: Cluster6 },
];
const numbers = (n) => Array.from({ length: n }, (_, i) => `${i}`);

describe('a cluster', { skip: direct && 'needs respgate' }, () => {
  let world;
  before(async () => {
    world = await openCluster();
  });
  after(() => world.close());

  for (const { name, Redis, Cluster } of libraries) {
    test(`${name}: the plain client sees one big Redis`, async () => {
      const client = new Redis(world.port);
      for (const i of numbers(50)) await client.set(`p${i}`, i);
      assert.deepEqual(await client.mget(numbers(50).map((i) => `p${i}`)), numbers(50));
      assert.deepEqual(await client.pipeline(numbers(50).map((i) => ['get', `p${i}`])).exec(),
        numbers(50).map((i) => [null, i]));
      assert.deepEqual(await client.multi().set('{t}a', 1).incr('{t}a').exec(), [[null, 'OK'], [null, 2]]);
      let found = 0;
      for await (const keys of client.scanStream({ match: 'p*', count: 10 })) found += keys.length;
      assert.equal(found, 50);
      client.disconnect();
    });

    test(`${name}: Cluster sees one node and works`, async () => {
      const cluster = new Cluster([{ host: '127.0.0.1', port: world.port }]);
      await eventually('ready', () => cluster.status === 'ready');
      for (const i of numbers(50)) await cluster.set(`c${i}`, i);
      assert.deepEqual(await Promise.all(numbers(50).map((i) => cluster.get(`c${i}`))), numbers(50));
      assert.deepEqual(cluster.nodes().map(({ options }) => options.port), [world.port]);
      assert.deepEqual(await cluster.multi().set('{t}b', 1).incr('{t}b').exec(), [[null, 'OK'], [null, 2]]);
      cluster.disconnect();
    });
  }

  test('BullMQ with its prefix in braces', async () => {
    const connection = { host: '127.0.0.1', port: world.port, maxRetriesPerRequest: null };
    const queue = new Queue('jobs', { connection, prefix: '{bull}' });
    const done = [];
    const worker = new Worker('jobs', async (job) => done.push(job.data.n), { connection, prefix: '{bull}' });
    await queue.addBulk(numbers(20).map((n) => ({ name: 'job', data: { n } })));
    await eventually('all jobs', () => done.length === 20);
    await worker.close();
    await queue.close();
  });
});
