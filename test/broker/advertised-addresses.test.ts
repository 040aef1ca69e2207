/** Under which addresses a broker is known: to clients, and to slaves. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { advertisedHosts, haHost } from '../../src/broker/advertised-addresses.ts';

const MACHINE = ['10.0.0.7', 'fd00::7'];
const LOCAL = { listenAddress: '127.0.0.1', brokerIP1: undefined, brokerIP2: undefined };
const OPEN = { ...LOCAL, listenAddress: '0.0.0.0' };

describe('a broker', () => {
  it('tells clients brokerIP1, or where it listens, or the machine\u2019s first address', () => {
    assert.deepEqual(advertisedHosts(LOCAL, MACHINE), ['127.0.0.1']);
    assert.deepEqual(advertisedHosts(OPEN, MACHINE), ['10.0.0.7', '127.0.0.1']);
    const named = { ...OPEN, brokerIP1: 'broker-a', brokerIP2: '10.1.0.7' };
    assert.deepEqual(advertisedHosts(named, MACHINE), ['broker-a', '10.1.0.7', '127.0.0.1']);
  });

  it('tells slaves an address that they reach: loopback only where the HA port is open to nobody else', () => {
    const haToken = '0123456789abcdef';
    assert.equal(haHost({ ...OPEN, haToken: undefined }, MACHINE), '127.0.0.1');
    assert.equal(haHost({ ...OPEN, haToken }, MACHINE), '10.0.0.7');
    assert.equal(haHost({ ...OPEN, haToken, brokerIP1: 'broker-a' }, MACHINE), 'broker-a');
    assert.equal(haHost({ ...OPEN, haToken, brokerIP2: '10.1.0.7' }, MACHINE), '10.1.0.7');
    assert.equal(haHost({ ...LOCAL, haToken }, MACHINE), '127.0.0.1');
  });
});
