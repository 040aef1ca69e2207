import assert from 'node:assert/strict';
import { isIPv6 } from 'node:net';
import { describe, it } from 'node:test';
import { addressOfBytes, addressOfText } from '../../src/transport/remote-address.ts';

const bytesOf = (...groups: number[]): Uint8Array =>
  Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));

describe('the address of a peer', () => {
  it('is IPv4 where it is IPv4 inside IPv6', () => {
    assert.equal(addressOfText('::ffff:127.0.0.1'), '127.0.0.1');
    assert.equal(addressOfText('127.0.0.1'), '127.0.0.1');
    assert.equal(addressOfText('::1'), '::1');
    assert.equal(addressOfText('::ffff:0:1'), '::ffff:0:1');
    assert.equal(addressOfBytes(Uint8Array.of(10, 0, 255, 1)), '10.0.255.1');
    assert.equal(addressOfBytes(bytesOf(0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001)), '10.0.0.1');
  });

  it('is empty when the peer is gone', () => {
    assert.equal(addressOfText(undefined), '');
    assert.equal(addressOfBytes(new Uint8Array(0)), '');
  });

  it('shortens the longest run of zero groups, the first of equals', () => {
    const cases: [number[], string][] = [
      [[0, 0, 0, 0, 0, 0, 0, 0], '::'],
      [[0, 0, 0, 0, 0, 0, 0, 1], '::1'],
      [[0xfe80, 0, 0, 0, 1, 0, 0, 2], 'fe80::1:0:0:2'],
      [[0x2001, 0xdb8, 0, 1, 1, 1, 1, 1], '2001:db8:0:1:1:1:1:1'],
      [[0x2001, 0xdb8, 0, 0, 1, 0, 0, 1], '2001:db8::1:0:0:1'],
      [[1, 0, 0, 0, 0, 0, 0, 0], '1::'],
      [[1, 2, 3, 4, 5, 6, 7, 8], '1:2:3:4:5:6:7:8'],
    ];
    for (const [groups, text] of cases) {
      assert.equal(addressOfBytes(bytesOf(...groups)), text);
      assert.ok(isIPv6(text));
    }
  });
});
