import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type RoleRecord, readRole, writeRole } from '../../src/broker/role-file.ts';

test('a role is read as it was written; what is none is refused, not guessed', () => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-role-'));
  try {
    assert.equal(readRole(directory), undefined);
    const record: RoleRecord = {
      ...{ role: 'master', epoch: 7, ack: 'SYNC_MASTER', decidedBy: 'promotion' },
    };
    writeRole(directory, record);
    assert.deepEqual(readRole(directory), record);
    const whole = { format: 1, ...record };
    for (const text of [
      '',
      '{}',
      'null',
      '[]',
      JSON.stringify({ ...whole, format: 2 }),
      JSON.stringify({ ...whole, role: 'king' }),
      JSON.stringify({ ...whole, epoch: -1 }),
      JSON.stringify({ ...whole, epoch: '7' }),
      JSON.stringify({ ...whole, decidedBy: 'chance' }),
    ]) {
      writeFileSync(join(directory, 'role.json'), text);
      assert.throws(() => readRole(directory), { code: 'RECORD_CORRUPT' }, text);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
