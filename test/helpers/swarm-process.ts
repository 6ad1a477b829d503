/** A host of swarm-hosts.ts: runs discovery as it is told, and tells what it says. */
import { Discovery } from '../../lib/net/discovery.js';
import { openHostKey } from '../../lib/net/host-key.js';
import type { HostToFind } from '../../lib/net/known-hosts.js';
import type { SwarmRequest, SwarmSettings, SwarmTold } from './swarm-hosts.js';

const settings: SwarmSettings = JSON.parse(process.argv[2]!);
let discovery: Discovery | null = null;

function tell(told: SwarmTold): void {
  process.send!(told);
}

async function open(known: HostToFind[] | null): Promise<void> {
  const { host, secret, directory, port, linkPort, listen, bootstrap } = settings;
  discovery = await Discovery.open({
    ...{ host, directory, bootstrap },
    secret: Buffer.from(secret, 'hex'),
    keyPair: await openHostKey(directory),
    dht: { port },
    listen: { host: listen, port: linkPort },
    events: {
      found: (other, addresses) => tell({ kind: 'found', host: other, addresses: [...addresses] }),
      stream: (other, stream) => {
        tell({ kind: 'connected', host: other });
        stream.on('close', () => tell({ kind: 'disconnected', host: other }));
      },
    },
    isLinked: () => false,
    log: { warn: (line) => tell({ kind: 'warning', line }), debug: (line) => tell({ kind: 'note', line }) },
  });
  if (known) discovery.setKnown(known);
  discovery.start();
}

process.on('message', (request: SwarmRequest) => {
  if (request.kind === 'start') void open(request.known);
  else if (request.kind === 'know') discovery!.setKnown(request.known);
  else
    void discovery!.close().then(() => {
      tell({ kind: 'closed' });
      // With that nothing is left that keeps the process.
      process.disconnect();
    });
});
tell({ kind: 'ready' });
