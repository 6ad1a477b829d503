/** A process with a control socket and nothing else, to be killed: `node control-daemon.js SOCKET`. Says "ready". */
import { Metrics } from '../../lib/control/metrics.js';
import { ControlServer } from '../../lib/control/server.js';
import { MemoryAdministration } from './memory-administration.js';

const onDefect = (error: unknown) => console.error(error);
const administration = new MemoryAdministration(onDefect);
// Long work never ends by itself.
administration.pace = () => new Promise(() => {});
await ControlServer.open({ path: process.argv[2]!, administration, metrics: new Metrics(), onDefect });
process.stdout.write('ready\n');
