/** A command of a scenario cannot be carried out: that says something of the script, and nothing of what it plays. */
export class ScriptError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ScriptError';
  }
}
