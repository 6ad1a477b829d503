/** Joins a cluster by the token that it is given, and prints what it gets. */

import { joinCluster } from '../../lib/net/join-client.js';
import { JoinError } from '../../lib/net/join-error.js';
import { parseToken } from '../../lib/net/token.js';
import { newcomer } from './join-cluster.js';

const token = parseToken(process.argv[2]!);
try {
  const welcome = await joinCluster({
    token,
    ...newcomer(),
    log: { info: (line) => process.stderr.write(`${line}\n`) },
  });
  process.stdout.write(JSON.stringify(welcome));
} catch (error) {
  if (!(error instanceof JoinError)) throw error;
  process.stdout.write(JSON.stringify({ code: error.code, message: error.message }));
}
