/** What both front doors check before they open, and count from then on. */
import { checkArgument } from '../base/assert.ts';
import type { FrontDoorOptions, FrontDoorStatistics } from './transport.ts';

/** Seconds of idle timeout that both transports can keep. */
const IDLE_SECONDS_MAX = 900;
/** Bytes of a frame: half of what the libraries can count. */
const FRAME_BYTES_MAX = 2 ** 30;

export function noStatistics(): FrontDoorStatistics {
  return {
    connectionsRefused: 0,
    upgradesRefused: 0,
    requestsRefused: 0,
    requestTimeouts: 0,
    handlerFailures: 0,
    idleClosed: 0,
    floodsClosed: 0,
  };
}

/** @throws INVALID_ARGUMENT naming the option */
export function checkOptions(options: FrontDoorOptions): void {
  const { host, port, webSocketPath, limits } = options;
  checkArgument(host !== '', 'the host of the front door is empty', 'Use 127.0.0.1 or an address.');
  checkRange('port', port, 0, 65_535);
  checkArgument(webSocketPath.startsWith('/'), `webSocketPath ${webSocketPath} begins without a /`);
  checkRange('frameBytesMax', limits.frameBytesMax, 1, FRAME_BYTES_MAX);
  checkRange('httpBodyBytesMax', limits.httpBodyBytesMax, 0, FRAME_BYTES_MAX);
  checkRange('connectionsMax', limits.connectionsMax, 1, Number.MAX_SAFE_INTEGER);
  checkRange(
    'connectionsPerAddressMax',
    limits.connectionsPerAddressMax,
    1,
    Number.MAX_SAFE_INTEGER,
  );
  checkRange('requestTimeoutMs', limits.requestTimeoutMs, 1, 3_600_000);
  checkRange('idleTimeoutSeconds', limits.idleTimeoutSeconds, 1, IDLE_SECONDS_MAX);
  checkRange('controlFramesPerSecondMax', limits.controlFramesPerSecondMax, 1, 1_000_000);
}

/** @param where - what the range belongs to, where it is not the same everywhere @throws INVALID_ARGUMENT */
export function checkRange(
  name: string,
  value: number,
  min: number,
  max: number,
  where?: string,
): void {
  const isInside = Number.isInteger(value) && value >= min && value <= max;
  const range = `a whole number from ${min} to ${max}${where === undefined ? '' : ` ${where}`}`;
  checkArgument(isInside, `${name} is ${value}; it must be ${range}`);
}
