/*
 * process.js - the servers of a test file: started on free ports, gone when the test process is.
 */
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

const running = new Set();
let scratch; /* one folder for everything this process writes */

/* A signal must run the exit handler too, and node's test runner leaves its files running when it
 * is ended itself: so look for the parent. */
const parent = process.ppid;
setInterval(() => process.ppid === parent || process.exit(1), 200).unref();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  if (scratch) fs.rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
});

export function scratchDir() {
  scratch ??= fs.mkdtempSync(path.join(os.tmpdir(), 'respgate-node-'));
  return scratch;
}

/* Two servers that bind and close at once never get the same port: the kernel hands them out in
 * turn and this process remembers what it gave away. */
const given = new Set();
export async function freePort() {
  for (;;) {
    const port = await new Promise((resolve, reject) => {
      const server = net.createServer().once('error', reject);
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address();
        server.close(() => resolve(port));
      });
    });
    if (given.has(port)) continue;
    given.add(port);
    return port;
  }
}

/* Resolves with what probe returns once that is truthy; a probe that throws counts as "not yet". */
export async function eventually(what, probe, timeout = 10000) {
  const end = Date.now() + timeout;
  let last;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited ${timeout} ms for ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function accepts(port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(socket.destroy() && true)).once('error', reject);
  });
}

/* Starts a program and waits until it listens. Its output is in log, and in the error when it
 * does not come up. */
export async function startProgram(command, args, port) {
  const log = path.join(scratchDir(), `${path.basename(command)}-${port}.log`);
  const out = fs.openSync(log, 'a');
  const child = spawn(command, args, { stdio: ['ignore', out, out] });
  fs.closeSync(out);
  running.add(child);
  const ended = new Promise((resolve) => {
    child.once('error', resolve);
    child.once('exit', (code, signal) => resolve(new Error(`ended with ${code ?? signal}`)));
  }).then((reason) => {
    running.delete(child);
    return reason;
  });
  const up = eventually(`${command} on port ${port}`, () => accepts(port));
  const failed = await Promise.race([ended, up.then(() => null)]).catch((error) => error);
  if (failed) {
    up.catch(() => {});
    throw new Error(`${command} ${args.join(' ')}: ${failed.message}\n${fs.readFileSync(log, 'utf8')}`);
  }
  return {
    log,
    pid: child.pid,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      await ended;
    },
  };
}

let certificates;
/* A CA, a server certificate for 127.0.0.1 and localhost, and a client certificate. */
export function makeCertificates() {
  if (certificates) return certificates;
  const dir = path.join(scratchDir(), 'tls');
  fs.mkdirSync(dir);
  const openssl = (...args) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-days', '2', '-subj', '/CN=test CA', '-keyout', 'ca.key', '-out', 'ca.crt');
  const issue = (name, extension) => {
    fs.writeFileSync(path.join(dir, `${name}.ext`), extension);
    openssl('req', ...key, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    openssl('x509', '-req', '-days', '2', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key',
      '-CAcreateserial', '-extfile', `${name}.ext`, '-out', `${name}.crt`);
  };
  issue('server', 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  issue('client', 'extendedKeyUsage=clientAuth\n');
  const file = (name) => path.join(dir, name);
  certificates = {
    ca: file('ca.crt'),
    server: { cert: file('server.crt'), key: file('server.key') },
    client: { cert: file('client.crt'), key: file('client.key') },
  };
  return certificates;
}
