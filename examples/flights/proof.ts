/**
 * What the consumers saw, against the file: every record arrived, each airport's in order, and the mean delays are those of
 * the file. Deliveries are at least once, so a record that comes again is counted and not taken twice. Pure.
 */
import type { Flight } from './load-flights.ts';

/** Sum and count of an airport's delays: integers, so that equal means exactly equal. */
export type AirportDelays = { flights: number; minutes: number };

/** The verdict; `faults` is empty when everything holds. */
export type ProofResult = {
  readonly records: number;
  readonly airports: number;
  /** Deliveries in all, and how many of them were of records that had come before. */
  readonly delivered: number;
  readonly duplicates: number;
  readonly lost: number;
  readonly outOfOrder: number;
  readonly unknown: number;
  readonly damaged: number;
  readonly wrongMeans: number;
  /** A sentence for each kind of fault, with an example. */
  readonly faults: readonly string[];
};

export class Proof {
  /** Records seen for the first time. */
  distinct = 0;
  delivered = 0;
  duplicates = 0;
  readonly #flights: readonly Flight[];
  readonly #seen: Uint8Array;
  readonly #lastOfAirport = new Map<string, number>();
  readonly #delays = new Map<string, AirportDelays>();
  readonly #examples = new Map<string, string>();
  #outOfOrder = 0;
  #unknown = 0;
  #damaged = 0;

  constructor(flights: readonly Flight[]) {
    this.#flights = flights;
    this.#seen = new Uint8Array(flights.length);
  }

  /** One delivery: what came, and under which key. */
  take(key: string | undefined, flight: Flight): void {
    this.delivered += 1;
    const original = this.#flights[flight.record];
    if (original === undefined) {
      this.#unknown += 1;
      this.#note('unknown', `record ${flight.record} is not in the file`);
      return;
    }
    if (this.#seen[flight.record] === 1) {
      this.duplicates += 1;
      return;
    }
    this.#seen[flight.record] = 1;
    this.distinct += 1;
    if (key !== original.origin || JSON.stringify(flight) !== JSON.stringify(original)) {
      this.#damaged += 1;
      this.#note('damaged', `record ${flight.record} came as ${JSON.stringify(flight)}`);
    }
    const last = this.#lastOfAirport.get(flight.origin) ?? -1;
    if (flight.record < last) {
      this.#outOfOrder += 1;
      this.#note('out of order', `${flight.origin}: record ${flight.record} came after ${last}`);
    } else this.#lastOfAirport.set(flight.origin, flight.record);
    addDelay(this.#delays, flight);
  }

  /** Compares with the file. */
  result(): ProofResult {
    const lost = this.#flights.length - this.distinct;
    if (lost > 0) this.#note('lost', `record ${this.#seen.indexOf(0)} never came`);
    const expected = delaysOf(this.#flights);
    let wrongMeans = 0;
    for (const [airport, { flights, minutes }] of expected) {
      const here = this.#delays.get(airport);
      if (here?.flights === flights && here.minutes === minutes) continue;
      wrongMeans += 1;
      this.#note('wrong mean', `${airport}: ${meanOf(here)} instead of ${minutes / flights}`);
    }
    const counts = { lost, 'out of order': this.#outOfOrder, unknown: this.#unknown };
    const kinds = { ...counts, damaged: this.#damaged, 'wrong mean': wrongMeans };
    const faults = Object.entries(kinds)
      .filter(([, count]) => count > 0)
      .map(([kind, count]) => `${count} ${kind}; for example ${this.#examples.get(kind) ?? ''}`);
    return {
      records: this.#flights.length,
      airports: expected.size,
      delivered: this.delivered,
      duplicates: this.duplicates,
      lost,
      outOfOrder: this.#outOfOrder,
      unknown: this.#unknown,
      damaged: this.#damaged,
      wrongMeans,
      faults,
    };
  }

  /** Mean delay of the airports with the most flights, as the consumers computed it. */
  busiest(count: number): readonly { airport: string; flights: number; meanDelay: number }[] {
    return [...this.#delays]
      .sort(([, one], [, other]) => other.flights - one.flights)
      .slice(0, count)
      .map(([airport, { flights, minutes }]) => ({
        airport,
        flights,
        meanDelay: minutes / flights,
      }));
  }

  #note(kind: string, example: string): void {
    if (!this.#examples.has(kind)) this.#examples.set(kind, example);
  }
}

/** The aggregate straight from the file. */
export function delaysOf(flights: readonly Flight[]): Map<string, AirportDelays> {
  const delays = new Map<string, AirportDelays>();
  for (const flight of flights) addDelay(delays, flight);
  return delays;
}

function addDelay(delays: Map<string, AirportDelays>, { origin, delay }: Flight): void {
  const here = delays.get(origin);
  if (here === undefined) delays.set(origin, { flights: 1, minutes: delay });
  else {
    here.flights += 1;
    here.minutes += delay;
  }
}

function meanOf(delays: AirportDelays | undefined): string {
  return delays === undefined ? 'nothing' : String(delays.minutes / delays.flights);
}
