/** The part of brittle's interface that these tests use; the package ships no types. */
declare module 'brittle' {
  export interface Assertions {
    ok(value: unknown, message?: string): boolean;
    absent(value: unknown, message?: string): boolean;
    is(actual: unknown, expected: unknown, message?: string): boolean;
    not(actual: unknown, expected: unknown, message?: string): boolean;
    alike(actual: unknown, expected: unknown, message?: string): boolean;
    unlike(actual: unknown, expected: unknown, message?: string): boolean;
    pass(message?: string): void;
    fail(message?: string): void;
    comment(message: string): void;
    plan(count: number): void;
    timeout(ms: number): void;
    teardown(fn: () => unknown, options?: { order?: number; force?: boolean }): void;
    exception(fn: unknown, error?: unknown, message?: string): Promise<boolean> & boolean;
    tmp(): Promise<string>;
  }
  export interface TestOptions {
    timeout?: number;
    solo?: boolean;
    skip?: boolean;
  }
  interface Test {
    (name: string, fn: (t: Assertions) => unknown): Promise<boolean>;
    (name: string, options: TestOptions, fn: (t: Assertions) => unknown): Promise<boolean>;
    hook(name: string, fn: (t: Assertions) => unknown): Promise<boolean>;
  }
  export const test: Test;
}
