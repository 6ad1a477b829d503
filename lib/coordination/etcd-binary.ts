import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { EtcdError } from './etcd-error.js';

export const ETCD_BINARY = 'etcd';

const OLDEST = [3, 4] as const;
const TIMEOUT_MS = 10_000;
const INSTALL = 'install the Debian package etcd-server (apt-get install etcd-server)';

/** For etcd: none of the caller's, which might set options; on this architecture it starts only when told that it may. */
export function etcdEnvironment(): NodeJS.ProcessEnv {
  const { PATH } = process.env;
  return process.arch === 'arm64' ? { PATH, ETCD_UNSUPPORTED_ARCH: 'arm64' } : { PATH };
}

/** Answers etcd's version. Throws EtcdError NOT_INSTALLED, with a message that names the package to install. */
export async function etcdVersion(binary = ETCD_BINARY): Promise<string> {
  let output: string;
  try {
    ({ stdout: output } = await promisify(execFile)(binary, ['--version'], {
      timeout: TIMEOUT_MS,
      env: etcdEnvironment(),
    }));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new EtcdError('NOT_INSTALLED', `etcd is not installed: ${INSTALL}`);
  }
  const [, major, minor, rest] = /^etcd Version: (\d+)\.(\d+)(\S*)/m.exec(output) ?? [];
  const version = `${major}.${minor}${rest}`;
  const isOld = Number(major) < OLDEST[0] || (Number(major) === OLDEST[0] && Number(minor) < OLDEST[1]);
  if (major === undefined || isOld) {
    throw new EtcdError('NOT_INSTALLED', `etcd ${version} is older than ${OLDEST.join('.')}: ${INSTALL}`);
  }
  return version;
}
