import 'reflect-metadata'; // Before x509, which does not load without it.
import { createPrivateKey, randomBytes, webcrypto, type X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

/**
 * Certificates are valid at whatever time a host believes it is: its clock may be off by days, or at 1970 where the
 * machine has no battery, and a cluster must come up after a power cut all the same. Who belongs to the cluster is what
 * `/hosts` says, which ends an admission at once; an expiry date would end it at a moment that nobody chose. The later
 * date is the one that RFC 5280 has for "no well-defined end".
 */
const NOT_BEFORE = new Date('1970-01-01T00:00:00Z');
const NOT_AFTER = new Date('9999-12-31T23:59:59Z');

const KEY = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNATURE = { ...KEY, hash: 'SHA-256' };

const SERIAL_BYTES = 16;

/** Addresses that one certificate names: more than a host has, few enough for a handshake. */
const CERTIFICATE_ADDRESSES_MAX = 64;

const AUTHORITY_PREFIX = 'Sheepdog ';
const HOST_SUFFIX = '.sheep';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The certificate authority of one cluster. Every host holds its key. */
export interface Authority {
  /** PEM, self-signed. */
  readonly certificate: string;
  /** PEM, PKCS #8. Secret. */
  readonly privateKey: string;
}

export interface KeyPair {
  /** DER, SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  /** PEM, PKCS #8. Secret. */
  readonly privateKey: string;
}

export interface HostCertificateRequest {
  /** The host's id. */
  readonly host: string;
  /** DER, SubjectPublicKeyInfo; of an EC key on P-256. */
  readonly publicKey: Uint8Array;
  /** IP addresses at which others reach the host. More than CERTIFICATE_ADDRESSES_MAX: the first ones count. */
  readonly addresses: readonly string[];
}

/** A certificate that was asked for and is not issued. */
export class CertificateRequestError extends Error {
  readonly code = 'BAD_REQUEST';

  constructor(message: string) {
    super(message);
    this.name = 'CertificateRequestError';
  }
}

/** A new authority for the cluster of that id. */
export async function createAuthority(cluster: string): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(),
    name: `CN=${AUTHORITY_PREFIX}${cluster}`,
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    signingAlgorithm: SIGNATURE,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), privateKey: await privatePem(keys.privateKey) };
}

/** A new key pair for a host. */
export async function createKeyPair(): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const publicKey = Buffer.from(await webcrypto.subtle.exportKey('spki', keys.publicKey));
  return { publicKey, privateKey: await privatePem(keys.privateKey) };
}

/**
 * A certificate, PEM, by which the holder of the key is that host, as TLS server and as client. It names the host's id,
 * `localhost` and the addresses, for programs that look for what they have dialled.
 *
 * @throws CertificateRequestError for what is no host id or no such key.
 */
export async function issue(authority: Authority, request: HostCertificateRequest): Promise<string> {
  const { host, addresses } = request;
  if (!UUID.test(host)) throw new CertificateRequestError(`${host} is no host id`);
  const publicKey = await importPublicKey(request.publicKey);
  const issuer = new x509.X509Certificate(authority.certificate);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: `CN=${host}`,
    issuer: issuer.subjectName,
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    signingAlgorithm: SIGNATURE,
    publicKey,
    signingKey: await importPrivateKey(authority.privateKey),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: serverNameOf(host) },
        { type: 'dns', value: 'localhost' },
        ...namedAddresses(addresses).map((value) => ({ type: 'ip' as const, value })),
      ]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return pem(certificate);
}

/** The name in a host's certificate, to be asked for when the host is dialled. */
export function serverNameOf(host: string): string {
  return `${host}${HOST_SUFFIX}`;
}

/** The id of the host that a certificate of the authority is for; null where it names none, or several. */
export function hostOf(certificate: X509Certificate): string | null {
  const names = (certificate.subjectAltName ?? '').split(', ');
  const hosts = names
    .filter((name) => name.startsWith('DNS:') && name.endsWith(HOST_SUFFIX))
    .map((name) => name.slice('DNS:'.length, -HOST_SUFFIX.length));
  return hosts.length === 1 && UUID.test(hosts[0]!) ? hosts[0]! : null;
}

/** The id of the cluster that a certificate is the authority of; null where it is that of none. */
export function clusterOf(certificate: X509Certificate): string | null {
  const prefix = `CN=${AUTHORITY_PREFIX}`;
  if (!certificate.ca || !certificate.subject.startsWith(prefix)) return null;
  return certificate.subject.slice(prefix.length);
}

function namedAddresses(addresses: readonly string[]): string[] {
  // A zone index (fe80::1%eth0) means something on one host only, and has no place in a certificate.
  const plain = addresses.map((address) => address.split('%')[0]!).filter((address) => isIP(address) !== 0);
  return [...new Set(['127.0.0.1', '::1', ...plain])].slice(0, CERTIFICATE_ADDRESSES_MAX);
}

async function importPublicKey(der: Uint8Array): Promise<webcrypto.CryptoKey> {
  try {
    return await webcrypto.subtle.importKey('spki', der, KEY, true, ['verify']);
  } catch {
    // The library's reason says less than this.
    throw new CertificateRequestError('not a public key on the curve P-256');
  }
}

function importPrivateKey(privateKey: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(privateKey).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', der, KEY, false, ['sign']);
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

/** Positive, and of full length: the first byte is between 64 and 127. */
function randomSerial(): string {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  return serial.toString('hex');
}
