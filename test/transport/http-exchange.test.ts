import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ReceivedRequest, RequestBody } from '../../src/transport/http-exchange.ts';

describe('the body of a request', () => {
  it('is its chunks, however they were cut, up to the limit and not beyond', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 5000 }), { maxLength: 20 }),
        fc.integer({ min: 0, max: 40_000 }),
        (chunks, bytesMax) => {
          const body = new RequestBody(bytesMax);
          const taken: Uint8Array[] = [];
          for (const chunk of chunks) {
            const copy = chunk.slice();
            const before = taken.reduce((sum, { length }) => sum + length, 0);
            const isTaken = body.append(copy);
            copy.fill(0xee);
            assert.equal(isTaken, before + chunk.length <= bytesMax);
            if (isTaken) taken.push(chunk);
          }
          assert.deepEqual(Buffer.from(body.take()), Buffer.concat(taken));
        },
      ),
    );
  });
});

describe('a received request', () => {
  const head = {
    method: 'GET',
    path: '/',
    query: 'a=1&a=2',
    headers: new Map<string, string>(),
    headerCount: 0,
    headerBytes: 0,
    remoteAddress: '::1',
  };

  it('reads its query once, when it is asked for', () => {
    const request = new ReceivedRequest(head, new Uint8Array(0));
    assert.deepEqual(request.query.getAll('a'), ['1', '2']);
    assert.equal(request.query, request.query);
  });

  it('tells its abort also to who asks later', () => {
    const request = new ReceivedRequest(head, new Uint8Array(0));
    const { signal } = request;
    assert.equal(signal.aborted, false);
    request.abort();
    assert.equal(signal.aborted, true);
    const late = new ReceivedRequest(head, new Uint8Array(0));
    late.abort();
    assert.equal(late.signal.aborted, true);
  });
});
