/*
 * bullmq.test.js - BullMQ 5 and 6: a job queue that lives on Lua scripts, blocking pops and streams.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Redis } from 'ioredis';
import * as bullmq5 from 'bullmq5';
import * as bullmq6 from 'bullmq6';
import { eventually } from './lib/process.js';
import { direct, openWorld } from './lib/world.js';

const libraries = [{ name: 'BullMQ 5', bullmq: bullmq5 }, { name: 'BullMQ 6', bullmq: bullmq6 }];
const numbers = (n) => Array.from({ length: n }, (_, i) => i);

/* Opens queues and workers of one world and closes them all, workers first, as an application's
 * shutdown does. Errors the library reports beside the calls are collected and must stay none. */
function office(bullmq, world) {
  const opened = [];
  const errors = [];
  const connection = { ...parse(world.url()), tls: world.tls, maxRetriesPerRequest: null };
  const keep = (one) => {
    one.on('error', (error) => errors.push(error));
    opened.unshift(one);
    return one;
  };
  return {
    errors,
    queue: (name, options) => keep(new bullmq.Queue(name, { connection, ...options })),
    worker: (name, work, options) => keep(new bullmq.Worker(name, work, { connection, ...options })),
    events: async (name) => {
      const events = keep(new bullmq.QueueEvents(name, { connection }));
      await events.waitUntilReady();
      return events;
    },
    flows: () => keep(new bullmq.FlowProducer({ connection })),
    async close() {
      for (const one of opened.splice(0)) await one.close();
    },
  };
}
const parse = (url) => ({ host: new URL(url).hostname, port: Number(new URL(url).port) });

async function runAll(all, name, jobs, options) {
  const done = new Map();
  const queue = all.queue(name);
  await queue.addBulk(jobs);
  all.worker(name, async (job) => { done.set(job.id, (done.get(job.id) ?? 0) + 1); }, options);
  await eventually(`${jobs.length} jobs`, async () => (await queue.getCompletedCount()) === jobs.length, 30000);
  return { queue, done };
}

for (const { name, bullmq } of libraries) {
  describe(name, () => {
    let world, all;
    before(async () => {
      world = await openWorld();
      all = office(bullmq, world);
    });
    after(async () => {
      await all.close();
      await world.close();
    });

    test('500 jobs, three workers of concurrency ten, each processed exactly once', async () => {
      const done = new Map();
      const work = async (job) => { done.set(job.data.n, (done.get(job.data.n) ?? 0) + 1); };
      const queue = all.queue('bulk');
      for (const _ of numbers(3)) all.worker('bulk', work, { concurrency: 10 });
      await Promise.all(numbers(250).map((n) => queue.add('one', { n })));
      await queue.addBulk(numbers(250).map((n) => ({ name: 'one', data: { n: 250 + n } })));
      await eventually('500 jobs', async () => (await queue.getCompletedCount()) === 500, 30000);
      assert.equal(done.size, 500);
      assert.ok([...done.values()].every((times) => times === 1));
      const { waiting, active, failed } = await queue.getJobCounts('waiting', 'active', 'failed');
      assert.deepEqual([waiting, active, failed], [0, 0, 0]);
    });

    test('a delayed job waits its time', async () => {
      const queue = all.queue('delayed');
      const events = await all.events('delayed');
      let at;
      all.worker('delayed', async () => { at = Date.now(); });
      const start = Date.now();
      const job = await queue.add('later', {}, { delay: 400 });
      assert.equal(await job.getState(), 'delayed');
      await job.waitUntilFinished(events, 10000);
      assert.ok(at - start >= 390, `${at - start} ms`);
    });

    test('a job scheduler repeats', async () => {
      const queue = all.queue('repeat');
      let runs = 0;
      all.worker('repeat', async () => { runs++; });
      await queue.upsertJobScheduler('tick', { every: 150 }, { name: 'tick' });
      await eventually('three runs', () => runs >= 3);
      assert.equal((await queue.getJobSchedulers()).length, 1);
      assert.equal(await queue.removeJobScheduler('tick'), true);
    });

    test('priorities decide the order', async () => {
      const queue = all.queue('priority');
      for (const priority of [3, 1, 2]) await queue.add(`p${priority}`, {}, { priority });
      const order = [];
      all.worker('priority', async (job) => { order.push(job.name); });
      await eventually('three jobs', () => order.length === 3);
      assert.deepEqual(order, ['p1', 'p2', 'p3']);
    });

    test('a flow: the parent runs after its children and sees their values', async () => {
      all.worker('children', async (job) => job.data.n * 2, { concurrency: 4 });
      all.worker('parents', async (job) => Object.values(await job.getChildrenValues()).reduce((a, b) => a + b, 0));
      const events = await all.events('parents');
      const children = numbers(10).map((n) => ({ name: 'child', queueName: 'children', data: { n } }));
      const { job } = await all.flows().add({ name: 'sum', queueName: 'parents', children });
      assert.equal(await job.waitUntilFinished(events, 20000), 90);
    });

    test('a rate limit holds', async () => {
      const started = Date.now();
      const jobs = numbers(9).map((n) => ({ name: 'one', data: { n } }));
      const { done } = await runAll(all, 'limited', jobs, { limiter: { max: 3, duration: 300 }, concurrency: 5 });
      assert.equal(done.size, 9);
      assert.ok(Date.now() - started >= 550, 'three batches take two pauses');
    });

    test('failure, retry with backoff, and the events in order', async () => {
      const queue = all.queue('retry');
      const events = await all.events('retry');
      const seen = [];
      for (const event of ['active', 'failed', 'completed']) events.on(event, ({ jobId }) => seen.push(`${event} ${jobId}`));
      all.worker('retry', async (job) => {
        if (job.attemptsMade < 2) throw new Error('not yet');
        return 'at last';
      });
      const job = await queue.add('flaky', {}, { attempts: 3, backoff: { type: 'fixed', delay: 50 } });
      assert.equal(await job.waitUntilFinished(events, 10000), 'at last');
      await eventually('the completed event', () => seen.includes(`completed ${job.id}`));
      assert.deepEqual(seen, [...Array(3).fill(`active ${job.id}`), `completed ${job.id}`]);
    });

    test('progress, logs, deduplication, removal, pause and resume', async () => {
      const queue = all.queue('misc');
      const first = await queue.add('once', {}, { deduplication: { id: 'same' } });
      const second = await queue.add('once', {}, { deduplication: { id: 'same' } });
      assert.equal(second.id, first.id);
      await queue.pause();
      assert.equal(await queue.isPaused(), true);
      const doomed = await queue.add('doomed', {});
      await doomed.remove();
      let finished = false;
      all.worker('misc', async (job) => {
        await job.updateProgress(50);
        await job.log('half way');
        finished = true;
      });
      await queue.resume();
      await eventually('the job', () => finished);
      await eventually('completed', async () => (await first.getState()) === 'completed');
      assert.deepEqual((await queue.getJobLogs(first.id)).logs, ['half way']);
      assert.equal(await queue.getJob(doomed.id), undefined);
    });

    test('a queue can be drained, cleaned and obliterated', async () => {
      const queue = all.queue('clean');
      await queue.addBulk(numbers(100).map((n) => ({ name: 'one', data: { n } })));
      await queue.drain();
      assert.equal(await queue.count(), 0);
      await queue.addBulk(numbers(10).map((n) => ({ name: 'one', data: { n } })));
      assert.equal((await queue.clean(0, 100, 'wait')).length, 10);
      await queue.add('last', {});
      await queue.obliterate({ force: true });
      assert.equal(await queue.count(), 0);
    });

    test('a worker that closes finishes the job it has', async () => {
      const own = office(bullmq, world);
      const queue = own.queue('graceful');
      let begun = false;
      const worker = own.worker('graceful', async () => {
        begun = true;
        await new Promise((resolve) => setTimeout(resolve, 300));
      });
      const job = await queue.add('slow', {});
      await eventually('the start', () => begun);
      await worker.close();
      assert.equal(await job.getState(), 'completed');
      await own.close();
      assert.deepEqual(own.errors, []);
    });

    test('a queue on a connection of the application, where FLUSHALL is refused', async (t) => {
      const client = new Redis(world.url(), { maxRetriesPerRequest: null });
      const queue = new bullmq.Queue('own', { connection: client });
      t.after(() => queue.close().then(() => client.disconnect()));
      await queue.add('kept', {});
      if (!direct) await assert.rejects(client.flushall(), /NOPERM/);
      assert.equal(await queue.count(), 1);
    });

    test('the library reported no error', () => assert.deepEqual(all.errors, []));
  });

  for (const road of ['tls-listener', 'mtls-backend']) {
    test(`${name}, ${road}: a hundred jobs`, async (t) => {
      const world = await openWorld({ road });
      const all = office(bullmq, world);
      t.after(() => all.close().then(() => world.close()));
      const { done } = await runAll(all, 'jobs', numbers(100).map((n) => ({ name: 'one', data: { n } })), { concurrency: 10 });
      assert.equal(done.size, 100);
      assert.deepEqual(all.errors, []);
    });
  }

  test(`${name}: the backend restarts, the workers go on`, async (t) => {
    const world = await openWorld();
    const all = office(bullmq, world);
    t.after(() => all.close().then(() => world.close()));
    const done = new Set();
    const queue = all.queue('storm');
    const worker = all.worker('storm', async (job) => { done.add(job.data.n); }, { concurrency: 5 });
    await queue.add('before', { n: 0 });
    await eventually('a job', () => done.has(0));
    await world.stopRedis();
    await world.startRedis();
    await eventually('a job after the restart', async () => {
      await queue.add('after', { n: 1 }).catch(() => null);
      return done.has(1);
    }, 20000);
    assert.ok(worker.isRunning());
  });
}
