/** Indexes and slots that the writer of the crash test uses; a slot is written and discarded as a whole. */
export const CRASH_INDEXES = 12;
export const CRASH_SLOTS = 6;
export const CRASH_SLOT_BYTES = 20_000;
