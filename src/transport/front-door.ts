/**
 * Opens the front door on the transport that was asked for, or on the faster one where it can be had. Event-loop thread
 * that will listen.
 */
import { type Clock, systemClock } from '../base/clock.ts';
import { type SluiceError, toSluiceError } from '../base/errors.ts';
import { checkOptions } from './front-door-options.ts';
import { openFrontDoorUws } from './front-door-uws.ts';
import { openFrontDoorWs } from './front-door-ws.ts';
import type { FrontDoor, FrontDoorOptions, TransportName } from './transport.ts';
import { loadUws, type UwsLibrary } from './uws-library.ts';

export type TransportChoice = 'auto' | TransportName;

/** What the front door gets from outside; replaced in tests. */
export type FrontDoorWorld = {
  readonly clock: Clock;
  readonly loadUws: () => Promise<UwsLibrary>;
};

const systemWorld: FrontDoorWorld = { clock: systemClock, loadUws };

/**
 * Opens the front door and resolves when it listens.
 *
 * @param choice - `auto` takes uWebSockets.js where it is installed and loads, else `ws`, and never fails for that; with
 *   `needsLimitIncoming` it takes `ws`
 * @throws UNSUPPORTED when `uws` was asked for and does not load; the cause says why, the hint what to install
 * @throws INVALID_ARGUMENT when an option is wrong, the port is taken, or the address is not one of this machine
 */
export async function openFrontDoor(
  choice: TransportChoice,
  options: FrontDoorOptions,
  world: FrontDoorWorld = systemWorld,
): Promise<FrontDoor> {
  checkOptions(options);
  if (choice === 'ws') return openFrontDoorWs(options, 'The transport ws was asked for.');
  if (choice === 'auto' && options.needsLimitIncoming === true)
    return openFrontDoorWs(
      options,
      'uWebSockets.js, the faster one, cannot limit what comes from connections without a token.',
    );
  const library = await world.loadUws().catch((error: unknown) => toSluiceError(error));
  if ('App' in library) {
    const reason =
      choice === 'uws'
        ? 'The transport uws was asked for.'
        : 'uWebSockets.js loads here, and is the faster one.';
    return openFrontDoorUws(library, options, reason, world.clock);
  }
  if (choice === 'uws') throw library;
  return openFrontDoorWs(options, reasonForWs(library));
}

function reasonForWs(error: SluiceError): string {
  const isMissing = (error.cause as { readonly code?: string })?.code === 'ERR_MODULE_NOT_FOUND';
  return isMissing
    ? 'uWebSockets.js, the faster one, is not installed.'
    : `uWebSockets.js, the faster one, is not used: ${error.message}.`;
}
