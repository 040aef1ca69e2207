import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Flight, loadFlights } from '../../examples/flights/load-flights.ts';
import { delaysOf, Proof } from '../../examples/flights/proof.ts';

const flights: readonly Flight[] = Array.from({ length: 12 }, (_, record) => ({
  record,
  date: '2001-01-01T00:01:00.000Z',
  origin: ['ATL', 'ORD', 'LAX'][record % 3] as string,
  destination: 'SFO',
  delay: record - 4,
  distance: 100 + record,
}));

function proofOf(deliveries: readonly Flight[]): ReturnType<Proof['result']> {
  const proof = new Proof(flights);
  for (const flight of deliveries) proof.take(flight.origin, flight);
  return proof.result();
}

describe('the proof of the flights example', () => {
  it('holds when every record comes in order, also when some come again', () => {
    const again = [...flights.slice(0, 6), ...flights.slice(2, 6), ...flights.slice(6)];
    const result = proofOf(again);
    assert.deepEqual(result.faults, []);
    assert.equal(result.delivered, 16);
    assert.equal(result.duplicates, 4);
    assert.equal(result.airports, 3);
  });

  it('holds when airports overtake each other', () => {
    const byAirport = [...flights].sort((one, other) => one.origin.localeCompare(other.origin));
    assert.deepEqual(proofOf(byAirport).faults, []);
  });

  it('names a record that never came, and the mean that is wrong because of it', () => {
    const result = proofOf(flights.filter(({ record }) => record !== 5));
    assert.equal(result.lost, 1);
    assert.equal(result.wrongMeans, 1);
    assert.match(result.faults[0] ?? '', /1 lost; for example record 5 never came/);
  });

  it('names records of one airport that came in the wrong order', () => {
    const swapped = [...flights];
    [swapped[0], swapped[3]] = [flights[3] as Flight, flights[0] as Flight];
    const result = proofOf(swapped);
    assert.equal(result.outOfOrder, 1);
    assert.match(result.faults[0] ?? '', /ATL: record 0 came after 3/);
  });

  it('names a record whose content or key is another', () => {
    const changed = flights.map((flight) =>
      flight.record === 7 ? { ...flight, delay: flight.delay + 1 } : flight,
    );
    const result = proofOf(changed);
    assert.equal(result.damaged, 1);
    assert.equal(result.wrongMeans, 1);
    const proof = new Proof(flights);
    for (const flight of flights) proof.take('ATL', flight);
    assert.equal(proof.result().damaged, 8);
  });

  it('names a record that is not in the file', () => {
    const invented = { ...(flights[0] as Flight), record: 99 };
    assert.equal(proofOf([...flights, invented]).unknown, 1);
  });
});

describe('the flight records', () => {
  it('are those of the file, in its order, with origin and delay', async () => {
    const loaded = await loadFlights(1000);
    assert.equal(loaded.length, 1000);
    assert.deepEqual(loaded[0], {
      record: 0,
      date: '2001-01-01T00:01:00.000Z',
      origin: 'LAS',
      destination: 'PHL',
      delay: 33,
      distance: 2176,
    });
    assert.ok(loaded.every(({ record }, index) => record === index));
    const delays = delaysOf(loaded);
    const total = [...delays.values()].reduce((sum, airport) => sum + airport.flights, 0);
    assert.equal(total, 1000);
  });
});
