import { execFile } from 'node:child_process';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { type Assertions, test } from 'brittle';
import {
  type Authority,
  clusterOf,
  createAuthority,
  createKeyPair,
  hostOf,
  issue,
  serverNameOf,
} from '../lib/net/authority.js';
import {
  CredentialsError,
  type CredentialsErrorCode,
  createCredentials,
  type HostCredentials,
  loadCredentials,
  renewCertificate,
  storeCredentials,
} from '../lib/net/credentials.js';
import { temporaryDirectory } from './helpers/cleanup.js';

const CLUSTER = '6f2d1c7e-4f0b-4a77-9a5e-0d6f6a1c2b3d';
const OTHER_CLUSTER = '7a2d1c7e-4f0b-4a77-9a5e-0d6f6a1c2b3d';
const HOST = '0b9e5a1c-6e0f-4f43-8a39-9d1f0c2b7e11';
const OTHER_HOST = '1b9e5a1c-6e0f-4f43-8a39-9d1f0c2b7e12';

const run = promisify(execFile);

async function stored(t: Assertions, addresses: string[] = []) {
  const directory = join(await temporaryDirectory(t), 'credentials');
  const authority = await createAuthority(CLUSTER);
  const credentials = await createCredentials(authority, HOST, addresses);
  storeCredentials(directory, credentials);
  return { directory, authority, credentials };
}

/** Both ends of one connection, as each found the other; rejects where one of them refused. */
async function handshake(t: Assertions, server: HostCredentials, client: HostCredentials, servername: string) {
  const options = { minVersion: 'TLSv1.3', rejectUnauthorized: true } as const;
  const of = ({ authority, certificate, privateKey }: HostCredentials) => ({
    ...{ ca: authority.certificate, cert: certificate, key: privateKey },
  });
  const listener = createServer({ ...options, ...of(server), requestCert: true });
  t.teardown(() => listener.close());
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
  const refused = once(listener, 'tlsClientError').then(([error]) => Promise.reject(error));
  refused.catch(() => {});
  const { port } = listener.address() as AddressInfo;
  const socket = connect({ ...options, ...of(client), host: '127.0.0.1', port, servername });
  t.teardown(() => socket.destroy());
  await once(socket, 'secureConnect');
  const [other] = await Promise.race([accepted, refused]);
  t.teardown(() => other.destroy());
  return { seenByClient: socket.getPeerX509Certificate()!, seenByServer: other.getPeerX509Certificate()! };
}

test('hosts of one authority accept one another, as server and as client', async (t) => {
  const authority = await createAuthority(CLUSTER);
  const server = await createCredentials(authority, HOST, []);
  const client = await createCredentials(authority, OTHER_HOST, []);
  for (const name of [serverNameOf(HOST), 'localhost']) {
    const { seenByClient, seenByServer } = await handshake(t, server, client, name);
    t.is(hostOf(seenByClient), HOST);
    t.is(hostOf(seenByServer), OTHER_HOST);
  }
  await t.exception(handshake(t, server, client, serverNameOf(OTHER_HOST)), /altnames/);
});

test('a host of another authority is refused, though that calls itself the same', async (t) => {
  const server = await createCredentials(await createAuthority(CLUSTER), HOST, []);
  const stranger = await createCredentials(await createAuthority(CLUSTER), OTHER_HOST, []);
  await t.exception(handshake(t, stranger, server, serverNameOf(OTHER_HOST)), /certificate/);
  await t.exception(handshake(t, server, { ...stranger, authority: server.authority }, serverNameOf(HOST)));
});

test('OpenSSL verifies what is issued, for both uses, at any time', async (t) => {
  const { directory } = await stored(t, ['10.1.2.3']);
  const verify = (...options: string[]) =>
    run('openssl', [
      'verify',
      '-x509_strict',
      '-CAfile',
      join(directory, 'ca.crt'),
      ...options,
      join(directory, 'host.crt'),
    ]);
  for (const purpose of ['sslserver', 'sslclient']) {
    for (const time of [1, 1_000_000_000, 20_000_000_000]) {
      const { stdout } = await verify('-purpose', purpose, '-attime', String(time));
      t.ok(stdout.endsWith('OK\n'), `${purpose} at ${time}`);
    }
  }
  t.ok((await verify('-verify_ip', '10.1.2.3')).stdout.endsWith('OK\n'));
  await t.exception(verify('-verify_ip', '10.1.2.4'));
  t.ok((await verify('-verify_hostname', serverNameOf(HOST))).stdout.endsWith('OK\n'));
});

test('a certificate says what it is for', async (t) => {
  const authority = await createAuthority(CLUSTER);
  const { publicKey } = await createKeyPair();
  const addresses = ['10.0.0.1', 'fe80::1%eth0', '10.0.0.1', 'not-an-address', 'fd00::5'];
  const certificate = new X509Certificate(await issue(authority, { host: HOST, publicKey, addresses }));
  t.is(certificate.subject, `CN=${HOST}`);
  t.is(certificate.issuer, `CN=Sheepdog ${CLUSTER}`);
  t.is(certificate.ca, false);
  t.alike(certificate.subjectAltName?.split(', '), [
    `DNS:${HOST}.sheep`,
    'DNS:localhost',
    'IP Address:127.0.0.1',
    'IP Address:0:0:0:0:0:0:0:1',
    'IP Address:10.0.0.1',
    'IP Address:FE80:0:0:0:0:0:0:1',
    'IP Address:FD00:0:0:0:0:0:0:5',
  ]);
  t.alike(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  t.is(certificate.validFrom, 'Jan  1 00:00:00 1970 GMT');
  t.is(certificate.validTo, 'Dec 31 23:59:59 9999 GMT');
  t.is(clusterOf(new X509Certificate(authority.certificate)), CLUSTER);
  t.is(clusterOf(certificate), null);
  t.is(hostOf(new X509Certificate(authority.certificate)), null);
});

test('what is no host or no key is not certified', async (t) => {
  const authority = await createAuthority(CLUSTER);
  const { publicKey } = await createKeyPair();
  const request = { host: HOST, publicKey, addresses: [] };
  await t.exception(issue(authority, { ...request, host: `${HOST}.sheep, DNS:${OTHER_HOST}` }), /is no host id/);
  await t.exception(issue(authority, { ...request, publicKey: Buffer.from('nothing') }), /not a public key/);
});

test('credentials are stored for their owner only, and loaded as they were', async (t) => {
  const umask = process.umask(0);
  t.teardown(() => process.umask(umask));
  const { directory, credentials } = await stored(t);
  t.alike(loadCredentials(directory, CLUSTER, HOST), credentials);
  t.is((await stat(directory)).mode & 0o777, 0o700);
  t.alike((await readdir(directory)).sort(), ['ca.crt', 'ca.key', 'host.crt', 'host.key']);
  for (const name of await readdir(directory)) t.is((await stat(join(directory, name))).mode & 0o777, 0o600, name);
  refused(t, 'EXISTS', () => storeCredentials(directory, credentials));
});

test('what a crash left of an earlier attempt is in nobody’s way', async (t) => {
  const directory = join(await temporaryDirectory(t), 'credentials');
  await mkdir(`${directory}.new`);
  await writeFile(join(`${directory}.new`, 'ca.crt'), 'half', { mode: 0o644 });
  refused(t, 'MISSING', () => loadCredentials(directory, CLUSTER, HOST));
  const credentials = await createCredentials(await createAuthority(CLUSTER), HOST, []);
  storeCredentials(directory, credentials);
  t.alike(loadCredentials(directory, CLUSTER, HOST), credentials);
  await writeFile(join(directory, 'host.crt.new'), 'half', { mode: 0o644 });
  const renewed = await renewCertificate(directory, credentials, []);
  t.alike(loadCredentials(directory, CLUSTER, HOST), renewed);
  t.is((await stat(join(directory, 'host.crt'))).mode & 0o777, 0o600);
});

test('a renewed certificate has the same key and the present addresses', async (t) => {
  const { directory, credentials } = await stored(t, ['10.0.0.1']);
  const renewed = await renewCertificate(directory, credentials, ['10.0.0.2']);
  t.is(renewed.privateKey, credentials.privateKey);
  t.alike(loadCredentials(directory, CLUSTER, HOST), renewed);
  const certificate = new X509Certificate(renewed.certificate);
  t.ok(certificate.checkIP('10.0.0.2'));
  t.absent(certificate.checkIP('10.0.0.1'));
  t.ok(certificate.publicKey.equals(createPublicKey(credentials.privateKey)));
});

test('a damaged or missing file is refused by its name', async (t) => {
  for (const name of ['ca.crt', 'ca.key', 'host.crt', 'host.key']) {
    const { directory } = await stored(t);
    const file = join(directory, name);
    const text = await readFile(file, 'utf8');
    for (const damaged of ['', text.slice(0, text.length / 2), text.replaceAll(/[A-Z]/g, 'q')]) {
      await writeFile(file, damaged);
      refused(t, 'DAMAGED', () => loadCredentials(directory, CLUSTER, HOST), name);
    }
    await rm(file);
    refused(t, 'DAMAGED', () => loadCredentials(directory, CLUSTER, HOST), name);
    await mkdir(file);
    refused(t, 'NO_ACCESS', () => loadCredentials(directory, CLUSTER, HOST), name);
  }
});

test('the files of another cluster, host or key are refused', async (t) => {
  const { directory, authority, credentials } = await stored(t);
  refused(t, 'FOREIGN', () => loadCredentials(directory, OTHER_CLUSTER, HOST), 'ca.crt');
  refused(t, 'FOREIGN', () => loadCredentials(directory, CLUSTER, OTHER_HOST), 'host.crt');
  const twin = await createCredentials(authority, HOST, []);
  const double: Authority = await createAuthority(CLUSTER);
  const swapped: [string, string, string][] = [
    ['ca.crt', double.certificate, 'ca.key'],
    ['ca.key', double.privateKey, 'ca.key'],
    ['host.crt', (await createCredentials(double, HOST, [])).certificate, 'host.crt'],
    ['host.crt', twin.certificate, 'host.key'],
    ['host.key', twin.privateKey, 'host.key'],
  ];
  for (const [name, text, blamed] of swapped) {
    const file = join(directory, name);
    const before = await readFile(file);
    await writeFile(file, text);
    refused(t, 'FOREIGN', () => loadCredentials(directory, CLUSTER, HOST), blamed);
    await writeFile(file, before);
  }
  t.alike(loadCredentials(directory, CLUSTER, HOST), credentials);
});

test('credentials that cannot be written are told of in one line', async (t) => {
  const directory = join(await temporaryDirectory(t), 'missing', 'credentials');
  const credentials = await createCredentials(await createAuthority(CLUSTER), HOST, []);
  refused(t, 'NO_ACCESS', () => storeCredentials(directory, credentials));
});

function refused(t: Assertions, code: CredentialsErrorCode, act: () => void, named = ''): void {
  try {
    act();
  } catch (error) {
    t.ok(error instanceof CredentialsError, 'the error is typed');
    const { code: found, message } = error as CredentialsError;
    t.is(found, code, message);
    t.ok(message.includes(named) && !message.includes('\n'), message);
    return;
  }
  t.fail(`not refused: ${code} ${named}`);
}
