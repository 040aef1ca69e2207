/**
 * One connection in the JSON dialect: hello, requests with their answers, and the messages of subscriptions as the very
 * text that came. It never reconnects. For tools, where frames shall be seen as they are; programs use the client.
 */
import { WebSocket } from 'ws';
import { type CancelTimer, startInterval, startTimer } from '../base/clock.ts';
import { SluiceError } from '../base/errors.ts';
import { MIB } from '../base/units.ts';
import { type AnyAnswer, answerError, readWelcome } from '../client/answers.ts';
import type { ClientRequest, WelcomeAnswer } from '../protocol/web/messages.ts';
import type { Target } from './target.ts';

const CLIENT_NAME = 'sluice-cli';
/** A `fetched` answer may hold several of the largest messages. */
const FRAME_BYTES_MAX: number = 64 * MIB;
const CONNECT_MS_MAX = 5000;
const ANSWER_MS_MAX = 30_000;
/** Milliseconds between two looks at whether the broker still says something; a ping goes out with each. */
const PING_INTERVAL_MS = 10_000;
const CLOSE_MS_MAX = 1000;

type Pending = {
  readonly op: string;
  readonly resolve: (answer: AnyAnswer) => void;
  readonly reject: (error: SluiceError) => void;
  readonly cancel: CancelTimer;
};

/** Takes the messages of subscriptions. @param text - the frame as it came */
export type TakeMessage = (text: string, frame: AnyAnswer) => void;

export class JsonSession {
  /** Resolves with the reason when the connection has ended; never rejects. */
  readonly ended: Promise<SluiceError>;
  private readonly socket: WebSocket;
  private readonly pending = new Map<number, Pending>();
  private readonly take: TakeMessage;
  private readonly cancelPing: CancelTimer;
  private welcomeAnswer: WelcomeAnswer | undefined;
  private lastId = 0;
  private isQuiet = false;
  private failure = '';

  private constructor(socket: WebSocket, take: TakeMessage) {
    this.socket = socket;
    this.take = take;
    this.cancelPing = startInterval(PING_INTERVAL_MS, () => this.watch());
    socket.on('message', (data: Buffer) => this.frame(data.toString('utf8')));
    socket.on('error', (error) => {
      this.failure = error.message;
    });
    this.ended = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        const text =
          this.failure === '' ? `closed with code ${code} ${reason.toString()}` : this.failure;
        resolve(this.end(text.trim()));
      });
    });
  }

  /**
   * Connects and says hello.
   *
   * @throws DISCONNECTED, TIMEOUT, UNAUTHENTICATED, FORBIDDEN
   */
  static async open(target: Target, take: TakeMessage = () => {}): Promise<JsonSession> {
    const socket = await openSocket(target.ws);
    const session = new JsonSession(socket, take);
    try {
      const { token } = target;
      const hello = {
        op: 'hello',
        client: CLIENT_NAME,
        ...(token === undefined ? {} : { token }),
      } as const;
      session.welcomeAnswer = readWelcome(await session.request(hello));
      if (session.welcomeAnswer === undefined)
        throw new SluiceError('UNSUPPORTED_VERSION', `${target.ws} speaks another version`);
      return session;
    } catch (error) {
      socket.terminate();
      throw error;
    }
  }

  get welcome(): WelcomeAnswer {
    if (this.welcomeAnswer === undefined)
      throw new SluiceError('INVARIANT', 'welcome before hello');
    return this.welcomeAnswer;
  }

  /** @throws the broker's refusal, TIMEOUT, DISCONNECTED */
  request(request: ClientRequest, timeoutMs: number = ANSWER_MS_MAX): Promise<AnyAnswer> {
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve, reject) => {
      if (this.socket.readyState !== WebSocket.OPEN) {
        reject(new SluiceError('DISCONNECTED', 'the connection has ended'));
        return;
      }
      const cancel = startTimer(timeoutMs, () => {
        this.pending.delete(id);
        reject(new SluiceError('TIMEOUT', `no answer to "${request.op}" within ${timeoutMs} ms`));
      });
      this.pending.set(id, { op: request.op, resolve, reject, cancel });
      this.socket.send(JSON.stringify({ ...request, id }));
    });
  }

  /** Sends what has no answer. */
  notify(request: ClientRequest): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(request));
  }

  /** Reads nothing until `resume`. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.isQuiet = false;
    this.socket.resume();
  }

  /** Ends the connection: what it still holds unacknowledged goes back to the broker. */
  async close(): Promise<void> {
    const cancel = startTimer(CLOSE_MS_MAX, () => this.socket.terminate());
    this.socket.close(1000);
    this.socket.resume();
    await this.ended;
    cancel();
  }

  private frame(text: string): void {
    this.isQuiet = false;
    let frame: AnyAnswer;
    try {
      frame = JSON.parse(text) as AnyAnswer;
    } catch {
      // Not ours to judge: whoever waits for an answer hears nothing and times out.
      return;
    }
    if (frame['op'] === 'message') {
      this.take(text, frame);
      return;
    }
    const id = frame['id'];
    const pending = typeof id === 'number' ? this.pending.get(id) : undefined;
    if (pending === undefined) return;
    this.pending.delete(id as number);
    pending.cancel();
    if (frame['op'] === 'error') pending.reject(answerError(frame));
    else pending.resolve(frame);
  }

  /** A half-open connection says nothing for ever: two rounds of silence end it. */
  private watch(): void {
    if (this.socket.isPaused) return;
    if (this.isQuiet) {
      this.failure = `the broker has said nothing for ${PING_INTERVAL_MS} ms`;
      this.socket.terminate();
      return;
    }
    this.isQuiet = true;
    this.notify({ op: 'ping' });
  }

  private end(reason: string): SluiceError {
    this.cancelPing();
    const error = new SluiceError('DISCONNECTED', `the connection has ended: ${reason}`);
    for (const pending of this.pending.values()) {
      pending.cancel();
      pending.reject(error);
    }
    this.pending.clear();
    return error;
  }
}

/** @throws DISCONNECTED, and what an HTTP answer in place of the upgrade says */
function openSocket(url: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      perMessageDeflate: false,
      maxPayload: FRAME_BYTES_MAX,
      handshakeTimeout: CONNECT_MS_MAX,
    });
    socket.once('open', () => {
      socket.off('error', failed);
      resolve(socket);
    });
    const failed = (cause: Error): void =>
      reject(new SluiceError('DISCONNECTED', `no connection to ${url}`, { cause }));
    socket.once('error', failed);
    socket.once('unexpected-response', (_request, response) => {
      const status = response.statusCode ?? 0;
      response.resume();
      socket.terminate();
      const code =
        status === 401 ? 'UNAUTHENTICATED' : status === 403 ? 'FORBIDDEN' : 'DISCONNECTED';
      reject(
        new SluiceError(code, `${url} answered the WebSocket upgrade with HTTP ${status}`, {
          facts: { status },
        }),
      );
    });
  });
}
