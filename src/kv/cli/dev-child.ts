/** What `dev` and the nodes it starts must agree on. */

/** Set to 1: this node ends when the channel to its parent closes. */
export const DEV_CHILD_VARIABLE = 'QUORATE_DEV_CHILD';
