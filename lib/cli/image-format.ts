/** Image files that are often taken for raw ones; imported as they are, no guest could boot from them. */
const CONVERT = 'convert it straight into the mounted directory: qemu-img convert -O raw FILE DIRECTORY/NAME';
const UNPACK = 'unpack it on the way, such as with zcat, xzcat or zstdcat';

export interface ImageFormat {
  /** What it is, in words. */
  name: string;
  /** What to do instead. */
  hint: string;
}

const FORMATS: readonly (ImageFormat & { offset: number; magic: Buffer })[] = [
  { name: 'a qcow2 image', hint: CONVERT, offset: 0, magic: Buffer.from('QFI\xfb', 'latin1') },
  { name: 'a VMDK image', hint: CONVERT, offset: 0, magic: Buffer.from('KDMV') },
  { name: 'a VHDX image', hint: CONVERT, offset: 0, magic: Buffer.from('vhdxfile') },
  { name: 'a VirtualBox image', hint: CONVERT, offset: 64, magic: Buffer.from([0x7f, 0x10, 0xda, 0xbe]) },
  { name: 'compressed (gzip)', hint: UNPACK, offset: 0, magic: Buffer.from([0x1f, 0x8b, 0x08]) },
  { name: 'compressed (xz)', hint: UNPACK, offset: 0, magic: Buffer.from('\xfd7zXZ\0', 'latin1') },
  { name: 'compressed (zstd)', hint: UNPACK, offset: 0, magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]) },
];

/** What a file that starts so is, or null for one that may be raw. */
export function formatOf(start: Buffer): ImageFormat | null {
  return FORMATS.find(({ offset, magic }) => start.subarray(offset, offset + magic.length).equals(magic)) ?? null;
}
