import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { SluiceError } from '../../src/base/errors.ts';
import { ApiClient, pathPart } from '../../src/cli/api-client.ts';
import type { Target } from '../../src/cli/target.ts';

let server: Server;
let target: Target;
let answer: (request: IncomingMessage, response: ServerResponse, body: string) => void;

before(async () => {
  server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => answer(request, response, body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  target = {
    ws: `ws://127.0.0.1:${port}/v1/ws`,
    http: `http://127.0.0.1:${port}`,
    token: 'secret',
  };
});

after(() => {
  server.closeAllConnections();
  server.close();
});

test('a request has path, token and JSON body, and its answer is what came', async () => {
  answer = (request, response, body) => {
    const { method, url, headers } = request;
    response.end(JSON.stringify({ method, url, authorization: headers.authorization, body }));
  };
  const path = `/api/topics/${pathPart('%DLQ%billing')}`;
  assert.deepEqual(await new ApiClient(target).post(path, { a: 1 }), {
    method: 'POST',
    url: '/api/topics/%25DLQ%25billing',
    authorization: 'Bearer secret',
    body: '{"a":1}',
  });
});

test('a refusal is the error that it is', async () => {
  const refusal = new SluiceError('GROUP_IN_USE', 'the group g has 2 members connected');
  answer = (_request, response) => {
    response.writeHead(409).end(JSON.stringify({ error: refusal.toBody() }));
  };
  await assert.rejects(new ApiClient(target).delete('/api/groups/g'), {
    code: 'GROUP_IN_USE',
    message: refusal.message,
    hint: refusal.hint,
  });
});

test('what another server answers is said to be that', async () => {
  for (const [status, text] of [
    [200, '<html>'],
    [404, 'not found'],
    [502, '{"message":"proxy"}'],
    [500, 'null'],
  ] as const) {
    answer = (_request, response) => {
      response.writeHead(status).end(text);
    };
    await assert.rejects(new ApiClient(target).get('/api/topics'), (error: SluiceError) => {
      assert.equal(error.code, 'BAD_FRAME');
      return error.message.includes(String(status)) && error.hint.includes('proxy');
    });
  }
});

test('no answer names the address and the reason', async () => {
  const nobody = { ...target, http: 'http://127.0.0.1:1' };
  await assert.rejects(new ApiClient(nobody).get('/api/topics'), (error: SluiceError) => {
    assert.equal(error.code, 'DISCONNECTED');
    assert.match(error.message, /127\.0\.0\.1:1/);
    return error.cause instanceof Error;
  });
});
