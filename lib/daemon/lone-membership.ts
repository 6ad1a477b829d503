import type { Clock } from '../cluster/clock.js';
import { HostsWatch } from '../cluster/hosts-watch.js';
import type { Configuration } from '../control/configuration.js';
import { FreezableCoordination } from '../coordination/freezable-coordination.js';
import { openLocal } from '../coordination/local.js';
import { HeldCoordination } from './held-coordination.js';
import type { Logger } from './log.js';
import type { Membership } from './membership.js';
import type { StateDirectory } from './state.js';
import type { SupervisorLink } from './supervisor-link.js';
import type { TokensOptions } from './tokens.js';

export interface MembershipContext {
  readonly state: StateDirectory;
  readonly clock: Clock;
  readonly configuration: Configuration;
  readonly log: Logger;
  readonly link: SupervisorLink;
  /** Whether nobody loses an open file when another worker takes this one's place. */
  mayRestart(): boolean;
  /** Has another worker take this one's place, once what is being answered is answered. */
  restartSoon(): void;
}

/** Where the engine of a host alone keeps what is agreed on, below the state directory. */
export const LOCAL_STORE = 'coordination';

/** Of a host alone, which agrees with nobody. */
export class LoneMembership implements Membership {
  readonly coordination: HeldCoordination;
  readonly hosts: HostsWatch;
  readonly network = null;
  readonly shutdown = null;
  readonly tokens: TokensOptions;

  private constructor(coordination: HeldCoordination, hosts: HostsWatch, context: MembershipContext) {
    this.coordination = coordination;
    this.hosts = hosts;
    this.tokens = {
      make: null,
      form: async () => {
        // Loaded when it is wanted: few hosts ever are the first of several, and those once.
        const { formCluster } = await import('./formation.js');
        await formCluster(coordination, context);
      },
    };
  }

  static async open(context: MembershipContext): Promise<LoneMembership> {
    const directory = context.state.directory(LOCAL_STORE);
    const coordination = new HeldCoordination(new FreezableCoordination(await openLocal(directory)));
    const hosts = new HostsWatch(coordination);
    await hosts.open();
    return new LoneMembership(coordination, hosts, context);
  }

  serve(): void {
    // There is nobody whom it concerns.
  }

  async keepsStore(): Promise<boolean> {
    return true;
  }

  close(): Promise<void> {
    this.hosts.close();
    return this.coordination.close();
  }
}
