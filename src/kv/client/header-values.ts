/**
 * What may go into a write's headers. The transport takes characters that no header can carry out of a value in silence: two
 * idempotency keys could become one, and the second write be answered by the record of the first. So it is refused here.
 */
import { QuorateError } from './errors.js';
import type { PutOptions } from './types.js';

const VISIBLE_1_128 = /^[\x21-\x7e]{1,128}$/;
/** A space at either end would not arrive. */
const VISIBLE_AND_SPACE = /^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/;
const REVISION_OR_ANY = /^(?:[0-9]+|\*)$/;

function check(name: string, value: string | undefined, allowed: RegExp, rule: string): void {
  if (value === undefined || allowed.test(value)) return;
  const detail = `the ${name} must be ${rule}, not ${JSON.stringify(value)}`;
  throw new QuorateError({ code: 'invalid_argument', status: 400, detail });
}

/** @throws QuorateError `invalid_argument`, before anything is sent */
export function checkHeaderValues({ ifMatch, ifNoneMatch, idempotencyKey, contentType }: PutOptions): void {
  check('revision in ifMatch', ifMatch, REVISION_OR_ANY, 'digits or *');
  check('value of ifNoneMatch', ifNoneMatch, /^\*$/, '*');
  check('content type', contentType, VISIBLE_AND_SPACE, 'visible ASCII characters');
  if (idempotencyKey === false) return;
  check('idempotency key', idempotencyKey, VISIBLE_1_128, '1 to 128 visible ASCII characters');
}
