import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGES_FILE = fileURLToPath(new URL('../../../test/packages.txt', import.meta.url));

/** A program, or a library's file, by which a package of packages.txt is known to be there. */
const WITNESSES: Readonly<Record<string, string>> = {
  attr: 'getfattr',
  'busybox-static': 'busybox',
  cpio: 'cpio',
  e2fsprogs: 'mke2fs',
  'etcd-server': 'etcd',
  fio: 'fio',
  iproute2: 'ip',
  libfuse2: '/lib/x86_64-linux-gnu/libfuse.so.2',
  nftables: 'nft',
  openssl: 'openssl',
  'qemu-system-x86': 'qemu-system-x86_64',
  'qemu-utils': 'qemu-io',
  systemd: 'systemd-analyze',
};

/** What keeps the tests from running here, in one line that says what to do, or null. */
export function whatIsMissing(): string | null {
  if (process.getuid?.() !== 0) return 'the tests mount file systems: run them as root';
  if (!existsSync('/dev/fuse')) return 'there is no /dev/fuse: load the kernel module fuse (modprobe fuse)';
  const missing = packages().filter((name) => !isThere(WITNESSES[name]));
  if (missing.length === 0) return null;
  return `programs are missing; install them: apt-get update && apt-get install -y --no-install-recommends ${missing.join(' ')}`;
}

function packages(): string[] {
  return readFileSync(PACKAGES_FILE, 'utf8').split(/\s+/).filter(Boolean);
}

function isThere(witness: string | undefined): boolean {
  // A package without a witness cannot be judged; its test will.
  if (witness === undefined) return true;
  if (witness.startsWith('/')) return process.arch !== 'x64' || existsSync(witness);
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, witness), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
