import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Assertions } from 'brittle';
import { killGroup, track } from './cleanup.js';
import { until } from './until.js';

/** Node cannot listen on a datagram socket of UNIX; perl is on every Debian system. */
const PROGRAM =
  'socket(S, AF_UNIX, SOCK_DGRAM, 0) or die; bind(S, sockaddr_un($ARGV[0])) or die; $| = 1;' +
  'while (defined recv(S, $b, 65536, 0)) { print "$b\\n" }';

/** Listens in systemd's place at the path of a NOTIFY_SOCKET; answers what it has heard so far. */
export async function listenForNotify(t: Assertions, path: string): Promise<() => string> {
  const child = spawn('perl', ['-MSocket', '-e', PROGRAM, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  await new Promise((resolve, reject) => child.on('spawn', resolve).on('error', reject));
  const group = child.pid!;
  track(group);
  t.teardown(() => killGroup(group), { force: true });
  let heard = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    heard += text;
  });
  await until('the listener', () => existsSync(path));
  return () => heard;
}
