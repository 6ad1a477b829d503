/** Which write it is: its image, and its place in the order of that image's writers. */
export interface WriteOrder {
  readonly vdi: number;
  /** Of the writer role. Numbers of writes of a higher generation are later ones. */
  readonly generation: number;
  readonly sequence: number;
}

/** Of a disk that alone has its objects, where nobody asks. */
export const NO_ORDER: WriteOrder = { vdi: 0, generation: 0, sequence: 0 };

/** Whether one place in the order of an image's writes is later than another. */
export function isLater({ generation, sequence }: Omit<WriteOrder, 'vdi'>, than: Omit<WriteOrder, 'vdi'>): boolean {
  return generation > than.generation || (generation === than.generation && sequence > than.sequence);
}
