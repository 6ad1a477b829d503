import type { NetworkInterfaceInfo } from 'node:os';
import { test } from 'brittle';
import { formatHostPort, parseHostPort } from '../lib/net/address.js';
import { ADDRESSES_MAX, addressesToTell } from '../lib/net/local-addresses.js';

const INTERFACES = {
  lo: [of('127.0.0.1', true), of('::1', true)],
  eth0: [of('192.168.1.7'), of('fe80::5054:ff:fe12:3456'), of('2001:db8::7'), of('fd00::7')],
  eth1: [of('169.254.3.4'), of('10.0.0.7'), of('192.168.1.7')],
};

test('a host tells where others may reach it', (t) => {
  t.alike(addressesToTell('0.0.0.0', INTERFACES), ['192.168.1.7', '10.0.0.7'], 'of IPv4, no loopback');
  t.alike(
    addressesToTell('::', INTERFACES),
    ['192.168.1.7', '10.0.0.7', '2001:db8::7', 'fd00::7'],
    'of both, none that is of one link',
  );
  t.alike(addressesToTell('127.0.0.1', INTERFACES), ['127.0.0.1'], 'loopback where it is named');
  t.alike(addressesToTell('10.0.0.7', INTERFACES), ['10.0.0.7'], 'one that is named alone');
  t.alike(addressesToTell('0.0.0.0', { lo: INTERFACES.lo }), [], 'none where there is none');
  const many = { eth0: Array.from({ length: 50 }, (_, index) => of(`10.0.0.${index}`)) };
  t.is(addressesToTell('0.0.0.0', many).length, ADDRESSES_MAX, 'not more than others read');
});

test('addresses are written and read', (t) => {
  for (const text of ['10.0.0.1:7000', '[2001:db8::1]:1', 'host-7.example.com:65535']) {
    t.is(formatHostPort(parseHostPort(text)), text, text);
  }
  for (const text of [
    '10.0.0.1',
    ':1',
    '10.0.0.1:0',
    'a:65536',
    '2001:db8::1:1',
    '[10.0.0.1]:1',
    'a b:1',
    '-a:1',
    '',
  ]) {
    t.exception(() => parseHostPort(text), /is no address/, text);
  }
});

function of(address: string, internal = false): NetworkInterfaceInfo {
  const rest = { netmask: '', mac: '02:00:00:00:00:01', internal, cidr: null };
  return address.includes(':')
    ? { ...rest, address, family: 'IPv6', scopeid: 0 }
    : { ...rest, address, family: 'IPv4' };
}
