/** The random model of the map first: it tells more than the tests that quote a sentence each. */
export const MAP_TESTS: readonly string[] = ['next-map-random', 'next-map', 'conductor', 'liveness', 'force-removal'];
