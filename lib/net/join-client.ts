import { lookup } from 'node:dns/promises';
import { isIPv4 } from 'node:net';
import HyperDHT from 'hyperdht';
import { formatHostPort, type HostPort } from './address.js';
import type { HostKeyPair } from './host-key.js';
import { JoinChannel } from './join-channel.js';
import { JoinError } from './join-error.js';
import { Answer, isProof, type JoinRequest, proofOf, WELCOME_BYTES_MAX, type Welcome } from './join-messages.js';
import { type JoinToken, proofKey } from './token.js';

/** For a connection with one of the token's addresses. */
const CONNECT_TIMEOUT_MS = 1000 * 5; // 5 s
const PROOF_TIMEOUT_MS = 1000 * 10; // 10 s
/** The cluster issues a certificate, and may start a member of its coordination store. */
const WELCOME_TIMEOUT_MS = 1000 * 60; // 1 min
const RETRY_INTERVAL_MS = 1000; // 1 s

export interface JoinOptions {
  readonly token: JoinToken;
  readonly request: JoinRequest;
  /** The host's identity on the network; its public key is the request's. */
  readonly keyPair: HostKeyPair;
  /** Milliseconds until it gives up with UNREACHABLE; it tries for ever unless given. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** For the administrator who waits. */
  readonly log: { info(line: string): void };
}

/**
 * Joins a cluster by a token: shows that it has it, sees that the cluster does, and answers what the cluster gives. Tries
 * again while nobody answers and after whatever may pass; with the same id and keys that counts as one host.
 *
 * Rejects with JoinError where trying again is of no use, and with the signal's reason.
 */
export async function joinCluster(options: JoinOptions): Promise<Welcome> {
  const { timeoutMs = Number.POSITIVE_INFINITY, signal, log } = options;
  // Any port: the usual one may be wanted for the node that this host will be.
  const dht = new HyperDHT({ port: [0, 0], bootstrap: [], nodes: [] });
  const stop = () => void dht.destroy({ force: true });
  signal?.addEventListener('abort', stop);
  const end = performance.now() + timeoutMs;
  let said = '';
  try {
    for (;;) {
      signal?.throwIfAborted();
      const outcome = await attempt(dht, options);
      signal?.throwIfAborted();
      if (typeof outcome !== 'string') return outcome;
      if (performance.now() >= end) throw new JoinError('UNREACHABLE', outcome);
      if (outcome !== said) log.info(`${outcome}; trying on`);
      said = outcome;
      await pause(RETRY_INTERVAL_MS, signal);
    }
  } finally {
    signal?.removeEventListener('abort', stop);
    await dht.destroy({ force: true });
  }
}

/** Answers why it has to be tried again, where it has. */
async function attempt(dht: HyperDHT, { token, request, keyPair }: JoinOptions): Promise<Welcome | string> {
  const stream = await firstToAnswer(dht, token, keyPair);
  if (!stream) {
    return `no host of the cluster answers at ${token.bootstrap.map(formatHostPort).join(', ')} (UDP)`;
  }
  const channel = new JoinChannel(stream, WELCOME_BYTES_MAX);
  try {
    return await ask(channel, token, request);
  } catch (error) {
    if (error instanceof JoinError && error.code !== 'NOT_NOW') throw error;
    return `the cluster has not answered as it should: ${(error as Error).message}`;
  } finally {
    channel.destroy();
  }
}

async function ask(channel: JoinChannel, token: JoinToken, request: JoinRequest): Promise<Welcome> {
  const { handshakeHash } = channel.stream;
  const key = proofKey(token.secret);
  channel.send({ kind: 'proof', version: 1, token: token.id, proof: proofOf(key, 'host', handshakeHash) });
  const proof = await channel.receive(Answer, PROOF_TIMEOUT_MS);
  if (proof.kind === 'refused') throw new JoinError(proof.code, proof.reason);
  if (proof.kind !== 'proof' || !isProof(proof.proof, key, 'cluster', handshakeHash)) {
    throw new JoinError('STRANGER', 'what answers does not know the token: it is not the cluster that made it');
  }
  channel.send({ kind: 'request', request });
  const answer = await channel.receive(Answer, WELCOME_TIMEOUT_MS);
  if (answer.kind === 'refused') throw new JoinError(answer.code, answer.reason);
  if (answer.kind !== 'welcome') throw new JoinError('STRANGER', 'the cluster answers what was not asked');
  return answer.welcome;
}

/** Dials the cluster's key at all of the token's addresses; the others are dropped when one answers. Null where none does. */
async function firstToAnswer(
  dht: HyperDHT,
  { clusterKey, bootstrap }: JoinToken,
  keyPair: HostKeyPair,
): Promise<HyperDHT.SecretStream | null> {
  const addresses = (await Promise.all(bootstrap.map(resolved))).flatMap((address) => address ?? []);
  const streams = addresses.map((address) => dht.connect(clusterKey, { keyPair, relayAddresses: [address] }));
  const timer = setTimeout(() => {
    for (const stream of streams) stream.destroy();
  }, CONNECT_TIMEOUT_MS);
  const first = await firstOpen(streams);
  clearTimeout(timer);
  for (const stream of streams) if (stream !== first) stream.destroy();
  return first;
}

function firstOpen(streams: readonly HyperDHT.SecretStream[]): Promise<HyperDHT.SecretStream | null> {
  let left = streams.length;
  return new Promise((resolve) => {
    if (left === 0) resolve(null);
    for (const stream of streams) {
      stream.on('open', () => resolve(stream));
      // Whatever the reason, it is gone, which is what counts.
      stream.on('error', () => {});
      stream.on('close', () => {
        if (--left === 0) resolve(null);
      });
    }
  });
}

async function resolved({ host, port }: HostPort): Promise<HyperDHT.Address | null> {
  if (isIPv4(host)) return { host, port };
  try {
    return { host: (await lookup(host, { family: 4 })).address, port };
  } catch {
    // One that has no address now is as one where nobody answers.
    return null;
  }
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}
