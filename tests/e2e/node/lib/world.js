/*
 * world.js - a Redis and a respgate in front of it, or with REDIS_DIRECT=1 the Redis alone.
 *
 *   road            client ---------> respgate ---------> redis
 *   plain                   tcp                 tcp
 *   tls-listener            tls                 tcp
 *   mtls-backend            tcp             mutual tls
 *
 * Straight against Redis (REDIS_DIRECT=1) the client itself walks the encrypted part, so the same
 * test shows whether it is the test or the proxy that is wrong.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, makeCertificates, scratchDir, startProgram } from './process.js';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../..');
const binary = process.env.RESPGATE ?? path.join(root, 'build/respgate');
const shipped = path.join(root, 'conf/respgate.conf');

export const direct = process.env.REDIS_DIRECT === '1';

/* The shipped file with some options set otherwise: changes is {section: {key: value | [values]}}. */
function configure(text, changes) {
  let section = '';
  const lines = text.split('\n').flatMap((line) => {
    const header = line.match(/^\s*\[([^\]]+)\]/);
    if (header) {
      section = header[1];
      const added = Object.entries(changes[section] ?? {});
      return [line, ...added.flatMap(([key, value]) => [value].flat().map((one) => `${key} = ${one}`))];
    }
    const option = line.match(/^\s*([\w-]+)\s*=/);
    return option && changes[section]?.[option[1]] !== undefined ? [] : [line];
  });
  return lines.join('\n');
}

export async function startRedis({ port, tls = false, password, settings = [] } = {}) {
  port ??= await freePort();
  const dir = path.join(scratchDir(), `redis-${port}`);
  fs.mkdirSync(dir, { recursive: true });
  const args = ['--bind', '127.0.0.1', '--dir', dir, '--save', '', '--port', tls ? '0' : `${port}`, ...settings];
  if (password) args.push('--requirepass', password);
  if (tls) {
    const { ca, server } = makeCertificates();
    args.push('--tls-port', `${port}`, '--tls-ca-cert-file', ca, '--tls-cert-file', server.cert,
      '--tls-key-file', server.key, '--tls-auth-clients', tls === 'mutual' ? 'yes' : 'no');
  }
  const redis = await startProgram('redis-server', args, port);
  return { ...redis, port };
}

async function startGate(redisPort, road) {
  const port = await freePort();
  const listen = `${road === 'tls-listener' ? 'tls://' : ''}127.0.0.1:${port}`;
  const http = await freePort();
  const changes = {
    proxy: { listen },
    backend: { url: `redis://127.0.0.1:${redisPort}` },
    admin: { console: `127.0.0.1:${await freePort()}`, http: `127.0.0.1:${http}` },
  };
  if (road === 'tls-listener') {
    const { server } = makeCertificates();
    Object.assign(changes.proxy, { 'tls-cert-file': server.cert, 'tls-key-file': server.key });
  }
  if (road === 'mtls-backend') {
    const { ca, client } = makeCertificates();
    changes.backend = {
      url: `rediss://127.0.0.1:${redisPort}`,
      'tls-ca-file': ca,
      'tls-cert-file': client.cert,
      'tls-key-file': client.key,
    };
  }
  const file = path.join(scratchDir(), `respgate-${port}.conf`);
  fs.writeFileSync(file, configure(fs.readFileSync(shipped, 'utf8'), changes), { mode: 0o600 });
  const gate = await startProgram(binary, ['-c', file], port);
  return { ...gate, port, http };
}

/* What a client needs to trust the other side, and to be trusted where that is asked for. */
function clientTls(road) {
  if (road === 'plain' || (road === 'mtls-backend' && !direct)) return undefined;
  const { ca, client } = makeCertificates();
  const tls = { ca: fs.readFileSync(ca) };
  if (road === 'mtls-backend') {
    tls.cert = fs.readFileSync(client.cert);
    tls.key = fs.readFileSync(client.key);
  }
  return tls;
}

const redisTls = { plain: false, 'tls-listener': direct, 'mtls-backend': 'mutual' };

/* url(db, user) is what an application would have in REDIS_URL; tls goes beside it for the
 * certificates that a URL cannot carry. */
export async function openWorld({ road = 'plain', password, settings } = {}) {
  let redis = await startRedis({ tls: redisTls[road], password, settings });
  const gate = direct ? null : await startGate(redis.port, road);
  const tls = clientTls(road);
  const { port } = gate ?? redis;
  return {
    road,
    tls,
    port,
    http: gate?.http,
    url({ db, auth = password ? `:${password}@` : '' } = {}) {
      return `${tls ? 'rediss' : 'redis'}://${auth}127.0.0.1:${port}${db === undefined ? '' : `/${db}`}`;
    },
    stopRedis: () => redis.stop(),
    async startRedis() {
      redis = await startRedis({ port: redis.port, tls: redisTls[road], password, settings });
    },
    /* As an administrator would, at Redis itself; gives what stands before the @ in a URL. */
    addUser(name, secret, ...rules) {
      execFileSync('redis-cli', ['-p', `${redis.port}`, '--no-auth-warning', ...(password ? ['-a', password] : []),
        'ACL', 'SETUSER', name, 'on', `>${secret}`, ...rules]);
      return `${name}:${secret}`;
    },
    async close() {
      await gate?.stop();
      await redis.stop();
    },
  };
}

/* Three primaries without TLS, and a respgate in front of them. */
export async function openCluster() {
  const nodes = [];
  for (let i = 0; i < 3; i += 1) {
    const settings = ['--cluster-enabled', 'yes', '--cluster-port', `${await freePort()}`, '--cluster-node-timeout', '2000'];
    nodes.push(await startRedis({ settings }));
  }
  execFileSync('redis-cli', ['--cluster', 'create', ...nodes.map(({ port }) => `127.0.0.1:${port}`), '--cluster-yes']);
  const gate = await startGate(nodes[0].port, 'plain');
  return {
    port: gate.port,
    async close() {
      await gate.stop();
      for (const node of nodes) await node.stop();
    },
  };
}
