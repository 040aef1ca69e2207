/** The settings of the registration with NameServers, part of those of a broker (config-schema.ts). Control path, at start only. */
import type { BrokerConfig } from './config-schema.ts';
import { optional, type Setting, secret, setting } from './setting.ts';
import { durationMs, integer } from './setting-kinds.ts';
import { path, token } from './text-kinds.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;

type RegistrationSetting =
  | 'registerNameServerPeriod'
  | 'namesrvPort'
  | 'registrationToken'
  | 'registrationTokenFile';

export const REGISTRATION_SETTINGS: {
  readonly [Name in RegistrationSetting]: Setting<BrokerConfig[Name]>;
} = {
  registerNameServerPeriod: setting(
    'Registration',
    durationMs(10, 10 * MINUTE_MS),
    30 * SECOND_MS,
    'Time between two registrations with each NameServer of namesrvAddr. Topics that are made or deleted are told at once.',
  ),
  namesrvPort: optional(
    'Registration',
    integer('', 0, 65_535),
    '9876, and a free one where frontDoorPort is 0',
    'Port of the NameServer that sluice up has in its own process, unless namesrvAddr names others. 0 picks a free one.',
  ),
  registrationToken: secret(
    optional(
      'Registration',
      token,
      'none is sent',
      'registrationToken of the NameServers. Better in a file: registrationTokenFile.',
    ),
  ),
  registrationTokenFile: optional(
    'Registration',
    path,
    'none',
    'File whose content is that token; blanks and line ends around it do not count.',
  ),
};
