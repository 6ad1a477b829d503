import { sodium_memcmp } from 'sodium-native';
import { z } from 'zod';
import { HostId } from './introduction.js';
import { JOIN_REFUSALS } from './join-error.js';
import { keyedHash } from './keyed-hash.js';
import { KnownAddresses, PublicKey } from './remembered-hosts.js';

/** Bytes that a host sends until it is let in. */
export const JOINER_BYTES_MAX = 64 * 1024;
/** Bytes of the cluster's answer. */
export const WELCOME_BYTES_MAX = 1024 * 1024;

const NAME_LENGTH_MAX = 255;
const REASON_LENGTH_MAX = 1000;
const PEM_LENGTH_MAX = 16 * 1024;
const HOSTS_MAX = 1024;

const Hash = z.string().regex(/^[0-9a-f]{64}$/);
/** Shown to people, in logs too. */
const Name = z
  .string()
  .min(1)
  .max(NAME_LENGTH_MAX)
  .regex(/^\P{C}*$/u);
const Pem = z.string().max(PEM_LENGTH_MAX).startsWith('-----BEGIN ');

/** First of all: the host shows that it has the token. */
export const Proof = z.strictObject({
  kind: z.literal('proof'),
  version: z.literal(1),
  token: z.string().regex(/^[0-9a-f]{16}$/),
  proof: Hash,
});

/** What the host says of itself, once the cluster has shown that it has the token too. */
export const JoinRequest = z.strictObject({
  /** Its id, which it keeps. */
  host: HostId,
  name: Name,
  zone: Name,
  /** Noise, in hexadecimal. */
  publicKey: PublicKey,
  /** The public key of its TLS certificate to be: SPKI, PEM. */
  tlsPublicKey: Pem,
});
export type JoinRequest = z.infer<typeof JoinRequest>;
export const Request = z.strictObject({ kind: z.literal('request'), request: JoinRequest });

/** What a host that is let in gets to know. */
export const Welcome = z.strictObject({
  /** The cluster's id. */
  cluster: Name,
  /** The cluster's secret, in hexadecimal. */
  secret: Hash,
  /** The host's own TLS certificate: PEM. */
  certificate: Pem,
  /** Of the cluster; the key too, for every host may issue certificates. */
  authority: z.strictObject({ certificate: Pem, privateKey: Pem }),
  /** The hosts that are there, as they are remembered (remembered-hosts.ts). */
  hosts: z.array(KnownAddresses).max(HOSTS_MAX),
  /** How the coordination store is reached. What it has is no matter of this layer. */
  coordination: z.record(z.string(), z.json()),
});
export type Welcome = z.infer<typeof Welcome>;

/** What the cluster says. */
export const Answer = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('proof'), proof: Hash }),
  z.strictObject({
    kind: z.literal('refused'),
    code: z.enum(JOIN_REFUSALS),
    reason: z.string().max(REASON_LENGTH_MAX),
  }),
  z.strictObject({ kind: z.literal('welcome'), welcome: Welcome }),
]);
export type Answer = z.infer<typeof Answer>;

export type JoinRole = 'host' | 'cluster';

/** That the end of this role knows the token's key: of one connection only, and of no use to the other end. */
export function proofOf(key: Uint8Array, role: JoinRole, handshakeHash: Uint8Array): string {
  return keyedHash(key, `proof of the ${role} that joins`, handshakeHash).toString('hex');
}

export function isProof(proof: string, key: Uint8Array, role: JoinRole, handshakeHash: Uint8Array): boolean {
  return sodium_memcmp(Buffer.from(proof, 'hex'), Buffer.from(proofOf(key, role, handshakeHash), 'hex'));
}
