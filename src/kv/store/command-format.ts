/** Numbers of the kinds of commands in the log. Never reused: 5 was a purge that did not say what the slots' sums come to. */
export const CommandKind = {
  Put: 1,
  Delete: 2,
  Expire: 3,
  Page: 4,
  Init: 6,
  Mark: 7,
  Purge: 8,
  BeginExport: 10,
  Freeze: 11,
  Install: 12,
  Bar: 13,
  Thaw: 14,
  AbortImport: 15,
  Unfreeze: 16,
  DeleteSlots: 17,
} as const;

export const KEY_MAX_BYTES = 1_024;
export const MARK_TOKEN_MAX_BYTES = 200;
