import { OBJECT_BYTES } from '../../../lib/replication/object-io.js';
import { Checkers } from '../checkers.js';
import { carryOut } from '../fault-carrier.js';
import type { SimulatedHost } from '../simulated-host.js';
import { World } from '../world.js';
import { Cast } from './cast.js';
import { faultIn } from './fault-words.js';
import type { Block } from './script.js';
import { ScriptError } from './script-error.js';
import { Shown } from './shown.js';

const START_MS = 60_000;
/** In a world in which nothing goes wrong any more, everything is whole within this time. */
const QUIET_MS = 60 * 60_000;

/** Plays one scenario as long as nothing goes wrong; answers what did, whatever trace was expected. Throws ScriptError. */
export async function defectOf(blocks: readonly Block[]): Promise<string | null> {
  const player = new Player();
  for (const command of blocks.flatMap(({ commands }) => commands)) {
    await player.run(command);
    if (player.defect !== null) return player.defect;
  }
  return null;
}

/** A command that is carried out when a line of the trace is like this. */
interface Trigger {
  readonly pattern: RegExp;
  readonly command: string;
}

/** Plays one scenario; answers it with the trace that there was in place of the one that was expected. */
export async function play(blocks: readonly Block[]): Promise<Block[]> {
  const player = new Player();
  const played: Block[] = [];
  for (const block of blocks) {
    for (const command of block.commands) await player.run(command);
    played.push({ ...block, expected: player.take() });
  }
  return played;
}

class Player {
  readonly #shown = new Shown();
  #lines: string[] = [];
  #triggers: Trigger[] = [];
  #world: World | null = null;
  #cast: Cast | null = null;

  get defect(): string | null {
    return this.#world?.failure?.message ?? null;
  }

  take(): string[] {
    return this.#lines.splice(0);
  }

  async run(command: string): Promise<void> {
    const match = (pattern: RegExp) => pattern.exec(command)?.slice(1) as string[] | undefined;
    let found: string[] | undefined;
    if (/^cluster\b/.test(command)) return this.#build(command);
    found = match(/^show (.*)$/);
    if (found) return this.#shown.show(found[0]!.split(' '));
    found = match(/^hide (.*)$/);
    if (found) return this.#shown.hide(found[0]!.split(' '));
    found = match(/^when (.*): (.*)$/);
    if (found) return void this.#triggers.push({ pattern: new RegExp(found[0]!), command: found[1]! });
    found = match(/^image (\S+) copies (\d+) indexes (\d+)$/);
    if (found) return this.#settle(this.cast.makeImage(found[0]!, Number(found[1]), Number(found[2])));
    found = match(/^shrink (\S+) to (\d+) on (\S+)$/);
    if (found) return this.#settle(this.cast.shrink(found[0]!, Number(found[1]), this.#host(found[2]!)));
    found = match(/^(snapshot|delete-snapshot) (\S+) (\S+) on (\S+)$/);
    if (found) {
      const [what, image, tag, host] = found as [string, string, string, string];
      return this.#settle(this.cast[what === 'snapshot' ? 'snapshot' : 'deleteSnapshot'](image, tag, this.#host(host)));
    }
    found = match(/^late (\d+)$/);
    if (found) return this.#beLate(Number(found[0]));
    found = match(/^wait (\d+)$/);
    if (found) return this.#wait(Number(found[0]));
    found = match(/^wait until (answered|quiet)$/);
    if (found) return this.#waitUntil(found[0] as 'answered' | 'quiet');
    if (command === 'check') return this.#settle(new Checkers(this.world, this.cast).check());
    this.#do(command);
  }

  /** A command that takes no time. */
  #do(command: string): void {
    const fault = faultIn(command);
    if (fault) {
      if (!carryOut(this.world, fault)) throw new ScriptError(`there is nothing to it: ${command}`);
      return;
    }
    const [name = '', verb = '', ...words] = command.split(' ');
    const range = /^(\d+)\+(\d+) (\d+)$/.exec(words.join(' '));
    const [index, offset, length] = (range?.slice(1) ?? []).map(Number) as [number, number, number];
    if (verb === 'opens' && words[1] === 'on') this.cast.open(name, words[0]!, this.#host(words[2]!));
    else if (verb === 'reads' && range) this.cast.begin(name, { kind: 'read', index, offset, length });
    else if (verb === 'writes' && range) this.cast.begin(name, { kind: 'write', index, offset, length });
    else if (verb === 'discards' && range) this.cast.begin(name, { kind: 'discard', index, offset, length });
    else if (verb === 'allocates') {
      this.cast.begin(name, { kind: 'allocate', index: Number(words[0]), offset: 0, length: OBJECT_BYTES });
    } else if (verb === 'flushes') this.cast.begin(name, { kind: 'flush' });
    else if (verb === 'ends') this.cast.end(name);
    else throw new ScriptError(`no command: ${command}`);
  }

  get world(): World {
    if (!this.#world) throw new ScriptError('a scenario begins with a cluster');
    return this.#world;
  }

  get cast(): Cast {
    if (!this.#cast) throw new ScriptError('a scenario begins with a cluster');
    return this.#cast;
  }

  #host(id: string): SimulatedHost {
    const host = this.world.hosts.find((each) => each.id === id);
    if (!host) throw new ScriptError(`there is no ${id}`);
    return host;
  }

  async #build(command: string): Promise<void> {
    const number = (name: string, otherwise: number) => {
      return Number(new RegExp(`\\b${name} (\\d+)`).exec(command)?.[1] ?? otherwise);
    };
    const world = new World({
      ...{ seed: number('seed', 1), hosts: number('hosts', 3), disksPerHost: number('disks', 1) },
      ...{ pgs: number('groups', 1), copies: [number('copies', 3)], steady: true, messages: true },
      print: (line) => this.#note(line),
    });
    this.#world = world;
    this.#cast = new Cast(world);
    for (const host of world.hosts) host.start();
    const isReady = () => world.hosts.every(({ run }) => run?.cluster.replica.mayAnswer);
    await world.scheduler.run({ untilMs: START_MS, until: isReady });
    if (!isReady()) throw new Error('the cluster did not start');
    // How it comes up is the same in all scenarios: where its groups are is not.
    this.#lines = this.#lines.filter((line) => /: group /.test(line));
  }

  /** What a session was still carrying when it was lost arrives so long after that. */
  #beLate(ms: number): void {
    const { network } = this.world;
    network.conditions = { ...network.conditions, lateChance: 1, lateMs: [ms, ms] };
  }

  #note(line: string): void {
    const shown = this.#shown.of(line);
    // What is said again and again is shown once.
    if (shown !== null && shown !== this.#lines.at(-1)) this.#lines.push(shown);
    for (const trigger of this.#triggers.filter(({ pattern }) => pattern.test(line))) {
      this.#triggers = this.#triggers.filter((each) => each !== trigger);
      // Not in the middle of what is happening, but before anything else does.
      this.world.scheduler.after(0, () => this.#do(trigger.command));
    }
  }

  async #wait(ms: number, until: () => boolean = () => false): Promise<void> {
    const { scheduler } = this.world;
    const isOver = () => this.world.failure !== null || until();
    await scheduler.run({ untilMs: scheduler.nowMs + ms, until: isOver });
  }

  async #waitUntil(what: 'answered' | 'quiet'): Promise<void> {
    const reasons = () => {
      const unhealthy = what === 'quiet' ? this.world.unhealthy : null;
      return [...this.cast.waitsFor, ...(unhealthy === null ? [] : [unhealthy])];
    };
    await this.#wait(QUIET_MS, () => reasons().length === 0);
    if (reasons().length > 0 && this.world.failure === null) this.#stuck(`still: ${reasons().join('; ')}`);
  }

  async #settle(work: Promise<unknown>): Promise<void> {
    let isDone = false;
    work.then(
      () => {
        isDone = true;
      },
      (error) => this.world.defect('world', error),
    );
    await this.#wait(QUIET_MS, () => isDone);
    if (!isDone && this.world.failure === null) this.#stuck('it does not come to an end');
  }

  #stuck(what: string): void {
    this.world.defect('world', new Error(what));
  }
}
