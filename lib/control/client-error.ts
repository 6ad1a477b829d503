export type ClientErrorCode = 'NOT_RUNNING' | 'NO_PERMISSION' | 'CONNECTION_LOST' | 'NO_ANSWER' | 'BAD_ANSWER';

/** The daemon could not be asked, or its answer did not come through. */
export class ClientError extends Error {
  readonly code: ClientErrorCode;
  /** What to do about it, in words that follow the message after a semicolon. */
  readonly hint: string;

  constructor(code: ClientErrorCode, message: string, hint: string) {
    super(message);
    this.name = 'ClientError';
    this.code = code;
    this.hint = hint;
  }

  /** What a connection's error means to somebody who runs `dog`. */
  static ofConnection(error: NodeJS.ErrnoException, path: string): ClientError {
    switch (error.code) {
      case 'ENOENT':
      case 'ECONNREFUSED':
      case 'ENOTDIR':
        return new ClientError(
          'NOT_RUNNING',
          `no daemon answers at ${path}`,
          "start one with 'systemctl start sheepdog' or 'sheep', or name its socket with --control",
        );
      case 'EACCES':
      case 'EPERM':
        return new ClientError('NO_PERMISSION', `${path} may not be opened by this user`, 'run dog as root');
      case 'EAGAIN':
        return new ClientError('NO_ANSWER', `the daemon at ${path} is too busy to answer`, 'try again in a moment');
      case 'ECONNRESET':
      case 'EPIPE':
      case 'ERR_STREAM_PREMATURE_CLOSE':
        return ClientError.lost();
      default:
        return new ClientError(
          'BAD_ANSWER',
          `what listens at ${path} cannot be talked to (${error.code ?? error.message})`,
          'name the socket of a sheep daemon with --control',
        );
    }
  }

  static lost(): ClientError {
    return new ClientError(
      'CONNECTION_LOST',
      'the daemon went away before it had answered',
      "its log says why; try again when 'dog status' answers",
    );
  }
}
