/** One setting under the three names it has: in files, in the environment, on the command line. Pure. */

export const ENVIRONMENT_PREFIX = 'SLUICE_';

/** `frontDoorPort` → `SLUICE_FRONT_DOOR_PORT`. */
export function environmentNameOf(name: string): string {
  return ENVIRONMENT_PREFIX + words(name).join('_').toUpperCase();
}

/** `frontDoorPort` → `--front-door-port`. */
export function flagNameOf(name: string): string {
  return `--${words(name).join('-').toLowerCase()}`;
}

/** `name`, written the way that `key` is. */
export function writtenLike(key: string, name: string): string {
  if (key.startsWith(ENVIRONMENT_PREFIX)) return environmentNameOf(name);
  return key.startsWith('--') ? flagNameOf(name) : name;
}

function words(name: string): string[] {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .split(' ');
}
