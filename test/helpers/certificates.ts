import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EtcdTls } from '../../lib/coordination/etcd-endpoint.js';

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

export interface TestCertificates {
  caFile: string;
  certFile: string;
  keyFile: string;
  pem: EtcdTls;
}

/** An authority, and one certificate of it for servers and clients on loopback; all in `directory`. */
export function testCertificates(directory: string, name = 'host'): TestCertificates {
  const file = (suffix: string) => join(directory, `${name}-${suffix}`);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const [caFile, caKeyFile, certFile, keyFile] = [file('ca.pem'), file('ca.key'), file('cert.pem'), file('cert.key')];
  openssl('req', '-x509', ...NEW_KEY, '-subj', `/CN=${name} authority`, '-keyout', caKeyFile, '-out', caFile);
  openssl('req', ...NEW_KEY, '-subj', `/CN=${name}`, '-keyout', keyFile, '-out', file('request'));
  writeFileSync(
    file('extensions'),
    'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n',
  );
  const signed = ['-CA', caFile, '-CAkey', caKeyFile, '-CAcreateserial', '-days', '2', '-extfile', file('extensions')];
  openssl('x509', '-req', '-in', file('request'), '-out', certFile, ...signed);
  const [ca, cert, key] = [caFile, certFile, keyFile].map((path) => readFileSync(path));
  return { caFile, certFile, keyFile, pem: { ca: ca!, cert: cert!, key: key! } };
}
