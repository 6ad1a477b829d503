/** Tells a running qemu what to do, by the socket of its machine protocol. */
import { connect, type Socket } from 'node:net';
import { until } from './until.js';

const ANSWER_DEADLINE_MS = 30_000;

interface Answer {
  return?: unknown;
  error?: { desc: string };
}

export class Qmp {
  readonly #socket: Socket;
  readonly #answers: Answer[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    let rest = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const message = JSON.parse(line) as Answer;
        // Greetings and events are no answers.
        if ('return' in message || 'error' in message) this.#answers.push(message);
      }
    });
    socket.on('error', () => {});
  }

  /** Waits until qemu listens at the path. */
  static async open(path: string): Promise<Qmp> {
    const socket = await until('qemu to listen', () => tryConnect(path), ANSWER_DEADLINE_MS);
    const qmp = new Qmp(socket);
    await qmp.ask('qmp_capabilities');
    return qmp;
  }

  /** One at a time. Throws what qemu refuses. */
  async ask(command: string, args: Record<string, unknown> = {}): Promise<unknown> {
    const before = this.#answers.length;
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    const answer = await until(`an answer to ${command}`, () => this.#answers[before], ANSWER_DEADLINE_MS);
    if (answer.error) throw new Error(`${command}: ${answer.error.desc}`);
    return answer.return;
  }

  close(): void {
    this.#socket.destroy();
  }
}

function tryConnect(path: string): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(null));
  });
}
