import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type Authority, clusterOf, createKeyPair, hostOf, issue } from './authority.js';
import { replaceDurably } from './durable-file.js';

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

/** What a credentials directory holds, all PEM. etcd reads the same files. */
export const CREDENTIAL_FILES = {
  authorityCertificate: 'ca.crt',
  authorityKey: 'ca.key',
  certificate: 'host.crt',
  privateKey: 'host.key',
} as const;

export type CredentialsErrorCode =
  /** There are none. */
  | 'MISSING'
  /** There are some already. */
  | 'EXISTS'
  | 'DAMAGED'
  /** They are another cluster's or another host's. */
  | 'FOREIGN'
  | 'NO_ACCESS';

/** Credentials that cannot be used; the message is one line that says what to do. */
export class CredentialsError extends Error {
  readonly code: CredentialsErrorCode;

  constructor(code: CredentialsErrorCode, message: string) {
    super(message);
    this.name = 'CredentialsError';
    this.code = code;
  }
}

/** By what a host shows that it is of the cluster, and finds out whether others are. */
export interface HostCredentials {
  readonly host: string;
  readonly authority: Authority;
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. Secret. */
  readonly privateKey: string;
}

/** Credentials with a new key. `addresses`: IP addresses of the host. */
export async function createCredentials(
  authority: Authority,
  host: string,
  addresses: readonly string[],
): Promise<HostCredentials> {
  const { publicKey, privateKey } = await createKeyPair();
  return { host, authority, privateKey, certificate: await issue(authority, { host, publicKey, addresses }) };
}

/**
 * Puts the credentials into a new directory. It is there with all of them, on disk, or not at all.
 *
 * @throws CredentialsError EXISTS, NO_ACCESS.
 */
export function storeCredentials(directory: string, credentials: HostCredentials): void {
  if (existsSync(directory)) {
    throw new CredentialsError('EXISTS', `${directory} exists already; remove it if its credentials are not wanted`);
  }
  const temporary = `${directory}.new`;
  writing(directory, () => {
    // Of an attempt that a crash has ended.
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { mode: DIRECTORY_MODE });
    const { authority, certificate, privateKey } = credentials;
    writeSynced(join(temporary, CREDENTIAL_FILES.authorityCertificate), authority.certificate);
    writeSynced(join(temporary, CREDENTIAL_FILES.authorityKey), authority.privateKey);
    writeSynced(join(temporary, CREDENTIAL_FILES.certificate), certificate);
    writeSynced(join(temporary, CREDENTIAL_FILES.privateKey), privateKey);
    syncDirectory(temporary);
    renameSync(temporary, directory);
    syncDirectory(dirname(directory));
  });
}

/**
 * Reads the credentials of that host in that cluster.
 *
 * @throws CredentialsError MISSING, DAMAGED, FOREIGN, NO_ACCESS.
 */
export function loadCredentials(directory: string, cluster: string, host: string): HostCredentials {
  if (!existsSync(directory)) {
    throw new CredentialsError('MISSING', `${directory} does not exist; join the cluster with a token`);
  }
  const read = (name: string) => readPart(directory, name);
  const authority = {
    certificate: read(CREDENTIAL_FILES.authorityCertificate),
    privateKey: read(CREDENTIAL_FILES.authorityKey),
  };
  const credentials = {
    ...{ host, authority },
    certificate: read(CREDENTIAL_FILES.certificate),
    privateKey: read(CREDENTIAL_FILES.privateKey),
  };
  verify(directory, credentials, cluster);
  return credentials;
}

/**
 * Replaces the certificate by one that names these IP addresses, for the key that there is. What was there before is as
 * good as ever, should the host crash or the disk be full.
 *
 * @throws CredentialsError NO_ACCESS.
 */
export async function renewCertificate(
  directory: string,
  credentials: HostCredentials,
  addresses: readonly string[],
): Promise<HostCredentials> {
  const { authority, host, privateKey } = credentials;
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const certificate = await issue(authority, { host, publicKey, addresses });
  try {
    await replaceDurably(join(directory, CREDENTIAL_FILES.certificate), certificate);
  } catch (error) {
    throw notWritten(directory, error);
  }
  return { ...credentials, certificate };
}

/** Throws where the parts do not fit together, or are not that cluster's and host's. */
function verify(directory: string, { host, authority, certificate, privateKey }: HostCredentials, cluster: string) {
  const path = (file: keyof typeof CREDENTIAL_FILES) => join(directory, CREDENTIAL_FILES[file]);
  const issuer = parse(path('authorityCertificate'), () => new X509Certificate(authority.certificate));
  const issuerKey = parse(path('authorityKey'), () => createPrivateKey(authority.privateKey));
  const own = parse(path('certificate'), () => new X509Certificate(certificate));
  const ownKey = parse(path('privateKey'), () => createPrivateKey(privateKey));
  if (clusterOf(issuer) !== cluster) throw foreign(path('authorityCertificate'), `the authority of cluster ${cluster}`);
  // By a key that is not its own nothing could be issued that others accept.
  if (!issuer.checkPrivateKey(issuerKey)) throw foreign(path('authorityKey'), 'the key of ca.crt beside it');
  if (!own.checkIssued(issuer) || !own.verify(issuer.publicKey)) {
    throw foreign(path('certificate'), 'a certificate of the authority in ca.crt beside it');
  }
  if (hostOf(own) !== host) throw foreign(path('certificate'), `the certificate of host ${host}`);
  if (!own.checkPrivateKey(ownKey)) throw foreign(path('privateKey'), 'the key of host.crt beside it');
}

function parse<T>(file: string, parser: () => T): T {
  try {
    return parser();
  } catch {
    // OpenSSL's own words tell an administrator nothing.
    throw new CredentialsError('DAMAGED', `${file} is damaged; restore the directory, or join the cluster anew`);
  }
}

function foreign(file: string, what: string): CredentialsError {
  return new CredentialsError('FOREIGN', `${file} is not ${what}; restore the directory, or join the cluster anew`);
}

function readPart(directory: string, name: string): string {
  const file = join(directory, name);
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') {
      throw new CredentialsError('NO_ACCESS', `${file} cannot be read (${codeOf(error)}); check the disk it is on`);
    }
    throw new CredentialsError('DAMAGED', `${file} is missing; restore the directory, or join the cluster anew`);
  }
}

function writing(directory: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    throw notWritten(directory, error);
  }
}

function notWritten(directory: string, error: unknown): CredentialsError {
  return new CredentialsError('NO_ACCESS', `${directory} cannot be written (${codeOf(error)}); make space there`);
}

function writeSynced(path: string, text: string): void {
  const file = openSync(path, 'w', FILE_MODE);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
