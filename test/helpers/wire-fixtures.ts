/**
 * Messages of every kind as a version of the format writes them, which later releases that speak it must read alike.
 * `node dist/test/helpers/wire-fixtures.js` adds those of kinds that there is none of, to a new version's file all.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Message } from '../../lib/replication/messages.js';
import { messageCodec, WIRE_VERSION } from '../../lib/replication/wire/message-codec.js';
import { Random } from './random.js';
import { RandomMessages } from './random-messages.js';

const DIRECTORY = fileURLToPath(new URL('../../../test/fixtures/wire/', import.meta.url));
const SEED = 1;
const DATA_BYTES_MAX = 24;

export interface WireFixture {
  readonly message: Message;
  readonly bytes: Buffer;
}

/** By the name of the kind. */
export type WireFixtures = Readonly<Record<string, WireFixture>>;

function pathOf(version: number): string {
  return `${DIRECTORY}version-${version}.json`;
}

export function readWireFixtures(version: number): WireFixtures {
  const stored = JSON.parse(readFileSync(pathOf(version), 'utf8'), (_, value) =>
    typeof value?.hex === 'string' ? Buffer.from(value.hex, 'hex') : value,
  );
  return stored as WireFixtures;
}

/** A Buffer has become `{ type, data }` before it comes here. */
function replacer(_name: string, value: unknown): unknown {
  const { type, data } = (value ?? {}) as { type?: unknown; data?: unknown };
  return type === 'Buffer' && Array.isArray(data) ? { hex: Buffer.from(data).toString('hex') } : value;
}

function addWireFixtures(): void {
  const path = pathOf(WIRE_VERSION);
  const fixtures: Record<string, WireFixture> = existsSync(path) ? { ...readWireFixtures(WIRE_VERSION) } : {};
  for (const [name, message] of Object.entries(new RandomMessages(new Random(SEED), DATA_BYTES_MAX).all())) {
    fixtures[name] ??= { message, bytes: Buffer.concat(messageCodec.encode(message)) };
  }
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(path, `${JSON.stringify(fixtures, replacer, 2)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) addWireFixtures();
