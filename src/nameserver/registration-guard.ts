/**
 * Who may change what a NameServer says: whoever has the shared token, or signs with the access key as RocketMQ's brokers
 * and tools do. Clients that only ask need neither. Event loop; a signature costs some microseconds.
 *
 * @source RocketMQ AclClientRPCHook
 */
import { sameText, signatureFits } from '../base/signature.ts';
import {
  ACCESS_KEY_FIELD,
  SIGNATURE_FIELD,
  signedContent,
} from '../protocol/remoting/acl-content.ts';
import type { CommandView } from '../protocol/remoting/command.ts';
import { fieldName } from '../protocol/remoting/header-fields.ts';

/** Field that carries the shared token. */
export const TOKEN_FIELD = 'RegistrationToken';

const TOKEN = fieldName(TOKEN_FIELD);
const ACCESS_KEY = fieldName(ACCESS_KEY_FIELD);
const SIGNATURE = fieldName(SIGNATURE_FIELD);

/** What is asked for; either is enough. Undefined: nothing is. */
export type RegistrationCredential = {
  readonly token: string | undefined;
  readonly accessKey: string | undefined;
  readonly secretKey: string | undefined;
};

export class RegistrationGuard {
  private readonly credential: RegistrationCredential;

  constructor(credential: RegistrationCredential) {
    this.credential = credential;
  }

  /** Is a credential asked for at all? */
  get isClosed(): boolean {
    return this.credential.token !== undefined || this.credential.accessKey !== undefined;
  }

  /** @returns undefined to let the request in, or why not */
  refusal(command: CommandView): string | undefined {
    if (!this.isClosed) return undefined;
    const { fields } = command;
    const token = fields.text(TOKEN);
    if (token !== undefined) return this.tokenRefusal(token);
    const accessKey = fields.text(ACCESS_KEY);
    if (accessKey !== undefined) return this.signatureRefusal(accessKey, command);
    return 'this NameServer takes registrations and changes only with its credential';
  }

  private tokenRefusal(token: string): string | undefined {
    const isRight = this.credential.token !== undefined && sameText(token, this.credential.token);
    return isRight ? undefined : `the ${TOKEN_FIELD} is not that of this NameServer`;
  }

  private signatureRefusal(accessKey: string, command: CommandView): string | undefined {
    const { accessKey: known, secretKey } = this.credential;
    if (known === undefined || secretKey === undefined || !sameText(accessKey, known))
      return `no access key ${JSON.stringify(accessKey.slice(0, 60))} is known here`;
    const given = command.fields.text(SIGNATURE) ?? '';
    const content = signedContent(command.fields.entries(), command.body);
    return signatureFits(secretKey, content, given)
      ? undefined
      : 'the signature does not fit the request';
  }
}
