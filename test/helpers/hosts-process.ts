/** A test that has two hosts with daemons, and is killed: it tells what it has made, and waits for that. */
import { Hosts } from './hosts.js';
import { Scope } from './scope.js';

const hosts = await Hosts.create(new Scope(), 2);
for (const host of hosts) await host.startSheep();
const told = [...hosts].map(({ namespace, mount, processes }) => ({ namespace, mount, processes }));
process.stdout.write(`${JSON.stringify(told)}\n`);
setInterval(() => {}, 1000);
