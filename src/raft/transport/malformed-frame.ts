/**
 * What a decoder throws for bytes that are not what they should be. One type for every codec of this room, so that the
 * connection that carried the bytes can be broken, and nothing else.
 */
export class MalformedFrame extends Error {
  override readonly name = 'MalformedFrame';
}
