import type { ImageOptions } from './object-io.js';

/** What members are asked with. */
export type ImageView = Pick<ImageOptions, 'vdi' | 'copies' | 'chain' | 'generation' | 'refresh'>;

/** Whether the image is gone: asking the store again is of no use. */
function isGone(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'ESTALE';
}

/** Reads the image anew; false: the store does not answer. Rejects where the image is gone. */
export async function isRefreshed(image: Pick<ImageOptions, 'refresh'>): Promise<boolean> {
  try {
    await image.refresh();
    return true;
  } catch (error) {
    if (isGone(error)) throw error;
    return false;
  }
}

/** Reads an image anew for whoever needs it, once for all who came to need it before that began. */
export class ImageRefresh {
  readonly #refresh: () => Promise<void>;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(refresh: () => Promise<void>) {
    this.#refresh = refresh;
  }

  /** When it resolves, what was stored before the call is known. Rejects as the reading does. */
  run(): Promise<void> {
    if (!this.#running) return this.#begin();
    // What is under way may have read before the caller came to need it.
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = null;
        return this.#begin();
      });
    return this.#next;
  }

  #begin(): Promise<void> {
    const running = this.#refresh().finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }
}
