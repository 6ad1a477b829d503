/** Runs a member of etcd, says its process id, and goes on until it is killed: its options are the first argument. */
import { EtcdProcess } from '../../lib/coordination/etcd-process.js';

const { directory, member } = JSON.parse(process.argv[2]!);
const etcd = await EtcdProcess.open({ directory, member, say: (message) => console.error(message) });
console.log(etcd.pid);
