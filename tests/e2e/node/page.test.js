/*
 * page.test.js - the live page in headless Chromium: values appear and move, a refusal shows
 * within 2 s, hostile names stay text, and nothing comes from elsewhere.
 *
 *   PAGE_SHOTS=folder   where the pictures go; default: a folder below the system's temporary one
 *   CHROMIUM=path       default /usr/bin/chromium, Debian's package
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { createClient } from 'redis5';
import { eventually } from './lib/process.js';
import { direct, openWorld } from './lib/world.js';

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const shots = process.env.PAGE_SHOTS ?? path.join(os.tmpdir(), 'respgate-page');
const prefixes = ['job:state', 'wf:run', 'cordum:rl', 'session', 'cache:page', 'queue:mail', 'lock:job', 'user:profile'];
const hostile = '"><script>alert(2)</script>'; // over 32 bytes it would be no prefix
const image = '"><img/src=x/onerror=alert(1)>';

describe('the live page', { skip: direct && 'needs respgate' }, () => {
  let world, browser, client, other, busy = true, traffic;
  const problems = [], foreign = [];

  async function openPage(options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 1000 }, colorScheme: 'dark', ...options });
    const page = await context.newPage();
    page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) problems.push(message.text()); });
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on('request', (request) => {
      if (!request.url().startsWith('data:') && new URL(request.url()).host !== `127.0.0.1:${world.http}`) foreign.push(request.url());
    });
    await page.goto(`http://127.0.0.1:${world.http}/`);
    return page;
  }
  const text = (page, selector) => page.locator(selector).first().textContent();

  /* A few services with keys of their own; some write more than others, and now and then one is refused. */
  async function work() {
    for (let turn = 0; busy; turn++) {
      const many = 14 + Math.round(8 * Math.sin(turn / 40));
      await Promise.all([client, other].flatMap((one, who) => Array.from({ length: many - who * 6 }, (_, i) => {
        const key = `${prefixes[Math.floor(prefixes.length * Math.random() ** 2.4)]}:${turn % 900}`;
        return i % 3 ? one.set(key, 'x'.repeat(40 + (i * 97 + turn) % 900)) : one.get(key);
      })));
      if (turn % 90 === 60) await other.sendCommand(['SWAPDB', '0', '1']).catch(() => {});
      await new Promise((next) => setTimeout(next, 15));
    }
  }

  before(async () => {
    world = await openWorld({ settings: ['--maxmemory', '24mb', '--maxmemory-policy', 'noeviction'] });
    [client, other] = ['web-1', 'worker-7'].map((name) => createClient({ url: world.url(), name }));
    for (const one of [client, other]) one.on('error', () => {});
    await Promise.all([client.connect(), other.connect()]);
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] }); // as root there is no sandbox
    fs.mkdirSync(shots, { recursive: true });
    traffic = work();
  });
  after(async () => {
    busy = false;
    await traffic;
    client?.destroy();
    other?.destroy();
    await browser?.close();
    await world?.close();
  });

  test('values appear and move', async () => {
    const page = await openPage();
    await page.locator('#state.live').waitFor();
    await eventually('requests', async () => Number.parseFloat(await text(page, '#n-requests')) > 0);
    await eventually('times', async () => /[0-9.]+ (µs|ms|s)/.test(await text(page, '#n-p50')));
    const seen = new Set();
    await eventually('a value that moves', async () => seen.add(await text(page, '#prefix-writes .bar .value')).size > 2);
    const picture = () => page.locator('#c-requests').evaluate((canvas) => canvas.toDataURL());
    const first = await picture();
    await eventually('a curve that moves', async () => (await picture()) !== first);
    const shown = await page.locator('#prefix-writes .name').allTextContents();
    assert.ok(shown.some((name) => name.startsWith('job:state') && name.includes('from 127.0.0.1')), shown.join());
    assert.match(await page.locator('#nodes').textContent(), /redis.*up/);
    assert.match(await page.locator('#clients').textContent(), /web-1/);
    await page.context().close();
  });

  test('a refusal shows within 2 s', async () => {
    const page = await openPage();
    await page.locator('#rules .bar').first().waitFor();
    const before = Date.now();
    await assert.rejects(client.sendCommand(['FLUSHALL']), /NOPERM/);
    await page.locator('#audit li', { hasText: 'FLUSHALL' }).first().waitFor({ timeout: 2000 });
    await page.locator('#rules .bar', { hasText: /no-flush.*[1-9]\d*refused/ }).first().waitFor({ timeout: 2000 });
    assert.ok(Date.now() - before < 4000);
    await page.context().close();
  });

  test('a gate that is gone is told, and one that is back', async () => {
    const page = await openPage();
    await page.locator('#state.live').waitFor();
    await page.route('**/api/live.json', (route) => route.abort());
    await page.locator('body.stale').waitFor();
    await page.unroute('**/api/live.json');
    await page.locator('body:not(.stale) #state.live').waitFor();
    problems.splice(0, problems.length, ...problems.filter((line) => !line.includes('ERR_FAILED'))); // the test's own
    await page.context().close();
  });

  test('it fits a phone, dark and light; pictures are kept', async () => {
    for (const [name, options] of [['light', { colorScheme: 'light' }], ['phone', { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }], ['dark', {}]]) {
      const page = await openPage(options);
      await page.locator('#state.live').waitFor();
      await eventually('values', async () => /[0-9]/.test(await text(page, '#n-p50')) && (await page.locator('#commands .bar').count()) > 0 && (await page.locator('#gauges').textContent()).includes('redis memory'));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(wide, 0, `${name}: nothing reaches beyond the screen`);
      await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: name === 'phone' });
      await page.context().close();
    }
    console.log(`pictures are in ${shots}`);
  });

  test('hostile names stay text', async () => {
    await client.set(`${hostile}:1`, 'x');
    await client.sendCommand(['CLIENT', 'SETNAME', image]);
    for (let i = 0; i < 400; i++) await client.set(`${hostile}:${i}`, 'x'.repeat(8000));
    const page = await openPage();
    await page.locator('#prefix-bytes .bar', { hasText: hostile }).waitFor();
    await page.locator('#clients td', { hasText: 'onerror' }).waitFor();
    assert.equal(await page.locator('img').count(), 0);
    assert.equal(await page.locator('script').count(), 1);
    await client.sendCommand(['CLIENT', 'SETNAME', 'web-1']);
    await page.context().close();
  });

  test('no error was logged and nothing was asked from elsewhere', () => {
    assert.deepEqual(problems, []);
    assert.deepEqual(foreign, []);
  });
});
