/** What deploy/ says is what the broker understands: every file is parsed, and linters look at them where they are installed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { haHost } from '../../src/broker/advertised-addresses.ts';
import { loadConfig, loadNamesrvConfig } from '../../src/config/config-load.ts';
import { projectRoot } from '../../src/testing/source-tree.ts';

const deploy = join(projectRoot(), 'deploy');
const conf = readdirSync(join(deploy, 'conf')).sort();
const environment = {
  SLUICE_AUTH_TOKEN: 'a-token-for-the-test',
  SLUICE_HA_TOKEN: 'another-token-for-it',
};
const secrets = { ...process.env, ...environment };

function textOf(...path: readonly string[]): string {
  return readFileSync(join(deploy, ...path), 'utf8');
}

/** Why a linter cannot look; false when it can. */
function missing(command: string, ...words: readonly string[]): string | false {
  const { status } = spawnSync(command, words, { stdio: 'ignore' });
  return status === 0 ? false : `${command} ${words.join(' ')} does not work here`;
}

test('every properties file is a configuration without a warning, and each pair knows each other', () => {
  const brokers = new Map<string, ReturnType<typeof loadConfig>['config']>();
  for (const name of conf) {
    const file = join(deploy, 'conf', name);
    const isNameServer = name.startsWith('ns-');
    const load = isNameServer ? loadNamesrvConfig : loadConfig;
    const { config, warnings } = load({ flags: {}, environment, file });
    assert.deepEqual(warnings, [], name);
    if (!isNameServer) brokers.set(basename(name, '.properties'), config as never);
  }
  assert.equal(brokers.size, 4);
  for (const [name, config] of brokers) {
    const peer = config.haMasterAddress?.split(':')[0] ?? '';
    assert.equal(brokers.get(peer)?.brokerName, config.brokerName, name);
    assert.notEqual(brokers.get(peer)?.brokerId, config.brokerId, name);
    assert.equal(config.brokerIP1, name);
    assert.equal(haHost(config), name, 'slaves on other hosts are told where they find it');
    assert.deepEqual(config.namesrvAddr, 'ns-1:9876;ns-2:9876');
  }
});

test('compose starts one process from each file', () => {
  const compose = parse(textOf('compose.yaml')) as {
    readonly services: Readonly<Record<string, { readonly command: readonly string[] }>>;
  };
  const files = Object.entries(compose.services).map(([name, { command }]) => {
    assert.equal(command[0], name.startsWith('ns-') ? 'namesrv' : 'broker');
    return basename(command[2] ?? '');
  });
  assert.deepEqual(files.sort(), conf);
});

test('Kubernetes has the same files, and a StatefulSet and a Service for each', () => {
  const documents = parseAllDocuments(textOf('kubernetes', 'sluice.yaml'));
  for (const { errors } of documents) assert.deepEqual(errors, []);
  const all = documents.map(
    (document) =>
      document.toJS() as {
        readonly kind: string;
        readonly metadata: { readonly name: string };
        readonly data?: Readonly<Record<string, string>>;
      },
  );
  const data = all.find(({ kind }) => kind === 'ConfigMap')?.data ?? {};
  assert.deepEqual(Object.keys(data).sort(), conf);
  for (const name of conf) assert.equal(data[name], textOf('conf', name), name);
  const names = conf.map((name) => basename(name, '.properties')).sort();
  for (const wanted of ['StatefulSet', 'Service']) {
    const found = all.filter(({ kind }) => kind === wanted).map(({ metadata }) => metadata.name);
    assert.deepEqual(found.sort(), names);
  }
});

test('systemd takes the units', { skip: missing('systemd-analyze', '--version') }, (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-units-'));
  context.after(() => rmSync(directory, { recursive: true }));
  for (const unit of readdirSync(join(deploy, 'systemd'))) {
    // The command is installed on no machine that tests; anything that can be started stands for it.
    const text = textOf('systemd', unit).replaceAll('/usr/local/bin/sluice', process.execPath);
    const name = unit.replace('@.', '@a.');
    writeFileSync(join(directory, name), text);
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', join(directory, name)], {
      encoding: 'utf8',
    });
    const own = stderr.split('\n').filter((line) => line.includes('sluice-'));
    assert.deepEqual(own, [], `${unit}: exit code ${status}`);
  }
});

/** Runs a linter over a file and over the same with a mistake, which it must find: one that finds nothing proves nothing. */
function lint(
  context: TestContext,
  [command = '', ...words]: readonly string[],
  path: readonly string[],
  mistake: (text: string) => string,
): void {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-lint-'));
  context.after(() => rmSync(directory, { recursive: true }));
  const text = textOf(...path);
  const wrong = mistake(text);
  assert.notEqual(wrong, text);
  const file = join(directory, 'wrong.yaml');
  writeFileSync(file, wrong);
  const run = (name: string): [number | null, string] => {
    const { status, stdout, stderr } = spawnSync(command, [...words, name], { encoding: 'utf8' });
    return [status, stdout + stderr];
  };
  const [status, said] = run(join(deploy, ...path));
  assert.equal(status, 0, said);
  assert.notEqual(run(file)[0], 0, 'it passes over a mistake');
}

const COMPOSE_LINTER = 'check-jsonschema';
test('the compose file follows the schema of the compose specification', {
  skip: missing(COMPOSE_LINTER, '--version'),
}, (context) => {
  const words = [COMPOSE_LINTER, '--builtin-schema', 'vendor.compose-spec'];
  lint(context, words, ['compose.yaml'], (text) => text.replace('restart:', 'restat:'));
});

const KUBERNETES_LINTER = 'kubernetes-validate';
test('the manifests follow the schemas of Kubernetes', {
  skip: missing(KUBERNETES_LINTER, '--version'),
}, (context) => {
  const words = [KUBERNETES_LINTER, '--strict', '--quiet'];
  const path = ['kubernetes', 'sluice.yaml'];
  lint(context, words, path, (text) => text.replace('replicas: 1', 'replicas: many'));
});

test('docker compose takes the file', { skip: missing('docker', 'compose', 'version') }, () => {
  const words = ['compose', '-f', join(deploy, 'compose.yaml'), 'config', '--quiet'];
  const { status, stderr } = spawnSync('docker', words, { encoding: 'utf8', env: secrets });
  assert.equal(status, 0, stderr);
});

test('kubeconform takes the manifests', { skip: missing('kubeconform', '-v') }, () => {
  const words = ['-strict', '-summary', join(deploy, 'kubernetes', 'sluice.yaml')];
  const { status, stdout } = spawnSync('kubeconform', words, { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});
