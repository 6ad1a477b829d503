/** Those that quote a sentence each, which take a second, and then the random model of the map. */
export const MAP_TESTS: readonly string[] = [
  'next-map',
  'next-map-alone',
  'conductor',
  'liveness',
  'force-removal',
  'next-map-random',
];
