/*
 * One slot that moves between two shards: A -> B, and back, and again, with attempts given up between.
 *
 * A shard is its replicated state machine (src/kv/store): an entry is applied atomically and never lost. The controller
 * is its log (src/shardctrl/batch-commands.ts). A leader's crash loses only what was not in a log. The network is a set of
 * messages that only grows: every message can be delivered late, twice, out of order or never; a crash may also lose all of
 * them for good. An old driver that still acts is the same thing as its messages coming late, since no command waits for
 * the driver's present state, only for an answer it once got (src/shardctrl/batch-run.ts).
 *
 * Every guard is a flag, 1 = kept; `npm run model` drops one at a time. A step is enabled only if it changes something, so
 * that "nothing enabled" is a true end, and `timeout` judges it. What is left out: README.md beside this file.
 */

#ifndef M
#define M 2            /* attempts at moving the slot; each may be given up */
#endif
#ifndef W
#define W 2            /* writes, at most 3: odd ones put, even ones delete; each may be retried for ever */
#endif
#ifndef DCR
#define DCR 1          /* crashes of the driver */
#endif
#ifndef SCR
#define SCR 1          /* crashes of the source's leader: pages in flight are lost */
#endif
#ifndef LAG
#define LAG 1          /* copies made by a deposed leader of the source, which lags behind */
#endif
#ifndef OLDLAG
#define OLDLAG 0       /* 1: it may not even know of BeginExport. Digests may differ for good then: the driver gives up */
#endif
#ifndef THAW
#define THAW 0         /* 1: a frozen move may be thawed and frozen again, once */
#endif
#ifndef LATE
#define LATE 1         /* 1: nothing of an ended move may change a shard (invariant 5 of resharding.md) */
#endif
#ifndef ENDS
#define ENDS 1         /* 0: what a run ends in is not judged, only what happens on the way */
#endif
#ifndef COPIED
#define COPIED 0       /* 1: once all pages of the frozen slot are confirmed, digests must be equal (two more writes of state) */
#endif
#ifndef EPOCH
#define EPOCH 0        /* epochs instead of numbers unique to an attempt as the fence. 1: floor >= epoch; 2: floor > epoch */
#endif
#ifndef SHAPE
#define SHAPE 0        /* 1: what a slot's fields may be together; the guards are compared with the code for these only */
#endif

/* ---- guards in shards: conditions of move-guards.ts, pages.ts, writes.ts; and effects ---- */
#ifndef G_BE_FLOOR     /* judgeBeginExport: only above the floor */
#define G_BE_FLOOR 1
#endif
#ifndef G_BE_OWN       /* judgeBeginExport: only at OWN */
#define G_BE_OWN 1
#endif
#ifndef G_PG_FLOOR     /* judgePage: opens an import only above the floor */
#define G_PG_FLOOR 1
#endif
#ifndef G_PG_NONE      /* judgePage: opens an import only at NONE */
#define G_PG_NONE 1
#endif
#ifndef G_PG_CLEAN     /* judgePage: opens an import only where nothing of the slot is left */
#define G_PG_CLEAN 1
#endif
#ifndef G_PG_MOVE      /* judgePage: goes only into the import of its own move */
#define G_PG_MOVE 1
#endif
#ifndef G_PG_REV       /* a page's record wins only by a higher revision */
#define G_PG_REV 1
#endif
#ifndef G_PG_TOMB      /* the import remembers the revision of a key it saw removed */
#define G_PG_TOMB 1
#endif
#ifndef G_NOTE         /* the source notes what changes while it exports, so that a copy tells of removals */
#define G_NOTE 1
#endif
#ifndef G_FZ_MOVE      /* judgeFreeze: only for the move that exports */
#define G_FZ_MOVE 1
#endif
#ifndef G_FZ_EXP       /* judgeFreeze: only while exporting (0: also on a slot at rest, any move) */
#define G_FZ_EXP 1
#endif
#ifndef G_FZ_ROUND     /* judgeFreeze: only a round later than the last */
#define G_FZ_ROUND 1
#endif
#ifndef G_FZ_APPLY     /* ownership is judged when a write is applied (0: when it was proposed) */
#define G_FZ_APPLY 1
#endif
#ifndef G_IN_MOVE      /* judgeInstall: only into the import of its own move */
#define G_IN_MOVE 1
#endif
#ifndef G_IN_ROUND     /* judgeInstall: only a round that is not barred */
#define G_IN_ROUND 1
#endif
#ifndef G_IN_SUM       /* only if the digest is that of the freeze */
#define G_IN_SUM 1
#endif
#ifndef G_IN_SREV      /* Install raises the revision counter to the source's */
#define G_IN_SREV 1
#endif
#ifndef G_BA_MOVE      /* judgeBar: only the import of its own move */
#define G_BA_MOVE 1
#endif
#ifndef G_BA_INST      /* judgeBar: is refused once installed */
#define G_BA_INST 1
#endif
#ifndef G_TH_MOVE      /* judgeThaw: only its own move */
#define G_TH_MOVE 1
#endif
#ifndef G_TH_ROUND     /* judgeThaw: only the round that is frozen */
#define G_TH_ROUND 1
#endif
#ifndef G_AB_REC       /* judgeAbortImport: that of a move never seen here is recorded */
#define G_AB_REC 1
#endif
#ifndef G_AB_NONE      /* judgeAbortImport: recorded only at NONE (0: wherever another move is; it gives its place up) */
#define G_AB_NONE 1
#endif
#ifndef G_AB_FLOOR     /* judgeAbortImport: recorded only above the floor */
#define G_AB_FLOOR 1
#endif
#ifndef G_AB_KEEP      /* AbortImport raises the floor to the move it ended */
#define G_AB_KEEP 1
#endif
#ifndef G_AB_INST      /* judgeAbortImport: is refused once installed */
#define G_AB_INST 1
#endif
#ifndef G_AB_MOVE      /* judgeAbortImport: ends only the import of its own move */
#define G_AB_MOVE 1
#endif
#ifndef G_UN_MOVE      /* judgeUnfreeze: ends only the export of its own move */
#define G_UN_MOVE 1
#endif
#ifndef G_UN_REC       /* judgeUnfreeze: that of a move never seen here is recorded */
#define G_UN_REC 1
#endif
#ifndef G_UN_FLOOR     /* judgeUnfreeze: recorded only above the floor */
#define G_UN_FLOOR 1
#endif
#ifndef G_DE_MOVE      /* judgeDelete: only its own move */
#define G_DE_MOVE 1
#endif
#ifndef G_DE_FRZ       /* judgeDelete: only while frozen (0: whatever the slot's state, any move) */
#define G_DE_FRZ 1
#endif
#ifndef G_PU_STATE     /* mayPurge: only while purging, or left-overs at NONE */
#define G_PU_STATE 1
#endif
#ifndef G_PU_MOVE      /* mayPurge: while purging only for its own move */
#define G_PU_MOVE 1
#endif
#ifndef G_IDEM         /* idempotency records travel with the slot and are in the digest */
#define G_IDEM 1
#endif

/* ---- guards in the controller and its driver ---- */
#ifndef G_UN_PROOF     /* Unfreeze is sent only after the destination answered `aborted` */
#define G_UN_PROOF 1
#endif
#ifndef G_TH_PROOF     /* Thaw is sent only after the destination confirmed Bar */
#define G_TH_PROOF 1
#endif
#ifndef G_DE_PROOF     /* Delete is sent only after Install was confirmed */
#define G_DE_PROOF 1
#endif
#ifndef G_DE_PUB       /* Delete is sent only after publish is committed (0: after Install is confirmed) */
#define G_DE_PUB 1
#endif
#ifndef G_PB_CUR       /* publish only for a move in flight */
#define G_PB_CUR 1
#endif
#ifndef G_PB_PROOF     /* publish only after Install was confirmed (0: after Install was sent) */
#define G_PB_PROOF 1
#endif
#ifndef G_NEXT         /* the next attempt only after this one is ended at both shards (0: after publish, or while cancelling) */
#define G_NEXT 1
#endif
#ifndef G_CX_LOG       /* giving up is in the controller's log before anything is undone (0: in the driver's memory) */
#define G_CX_LOG 1
#endif
#ifndef G_REFUSED      /* a refusal makes the driver give up (0: it asks again for ever) */
#define G_REFUSED 1
#endif

/* ---- what a violated assertion is called; the number shows in pan's output ---- */
#define TWO_OWNERS  101   /* two owners */
#define WRONG_DATA  102   /* the owner lacks an effect or repeats a revision */
#define DATA_LOST   103   /* the last full copy is deleted */
#define TWO_EFFECTS 104   /* a retry has a second effect */
#define LATE_EFFECT 105   /* a late message changed a shard */
#define STUCK       106   /* a move never ends */
#define WRONG_MAP   107   /* map and shards differ at the end */
#define LEFT_OVERS  108   /* something of the slot is left elsewhere */
#define NO_WRITES   109   /* the slot takes no writes at the end */
#define MISMATCH    110   /* digests differ although all was copied */
#define BAD_SHAPE   111   /* fields of a slot that do not go together */
#define MUST(what, holds) assert((holds) || what == 0)

/* ---- states and outcomes, as src/shardctrl/shard-port.ts numbers them ---- */
#define NONE 0         /* nothing here, or left-overs of an aborted import */
#define OWN  1         /* serves */
#define EXP  2         /* serves, notes changes */
#define FRZ  3         /* refuses */
#define GONE 4         /* given away; data still on disk */
#define IMP  5         /* takes pages in */

#define OPEN 0
#define INST 1         /* how the newest move seen here ended: installed, */
#define ABRT 2         /* import aborted, */
#define UNDO 3         /* export undone, */
#define GAVE 4         /* given away */

#define RUN  1         /* the move in the controller's log: running, */
#define CXL  2         /* cancelling, */
#define PUB  3         /* published, */
#define DONE 4         /* done, */
#define CANC 5         /* aborted */

/* commands sent */
#define cBE 1
#define cFz 2          /* Freeze, round 1 */
#define cIn 4          /* Install, round 1 */
#define cAb 8
#define cUn 16
#define cDe 32
#define cPu 64         /* a batch of the purge at the source */
#define cPl 128        /* a batch of the purge of left-overs at the destination */
#define cCo 256        /* copy */

/* answers that a driver got */
#define rBE 1
#define rFz 2
#define rIn 4
#define rAb 8
#define rUn 16
#define rDe 32
#define rNo 64         /* a refusal */

/* messages of a thaw, and answers */
#define tBar 1         /* to the destination: do not install round 1 */
#define tBarred 2
#define tThaw 4
#define tThawed 8
#define tFz 16         /* Freeze, round 2 */
#define tIn 32         /* Install, round 2 */
#define tFrozen 64     /* answer to Freeze, round 2 */

/* the shards' replicated state: move, floor, outcome; the source's freeze round, the destination's barred round */
byte st[2], mv[2], fl[2], out[2], fr[2], lr[2];
/* the only key (its revision, or at the import that of its removal), the revision counter, idempotency records, notes */
bit pres[2], noted[2];
byte krev[2], srev[2], idm[2];

/* the controller's replicated state; `canc`: only in the driver's memory */
byte pm[M+1], ep[M+1];
bit frm[M+1], will[M+1], canc[M+1];
bit own; byte epoch = 1;

/* the network: bits of above; digests by freeze round as the source told them, and as Install carries them */
short cmd[M+1];
byte rep[M+1], thw[M+1], fzs[(M+1)*2], ins[(M+1)*2];
short pg[M+1];
#if COPIED
short dl[M+1];         /* pages that the destination has confirmed */
#endif

/* what really happened */
bit gpres; byte gkrev, grev, gidm;
byte dcr = DCR, scr = SCR, lag = LAG;

#define clean(s)  (!pres[s] && !idm[s])
#define serves(s) (st[s] == OWN || st[s] == EXP)
#define holds(s)  (serves(s) || st[s] == FRZ)
#define truth(s)  (pres[s] == gpres && krev[s] == gkrev && srev[s] == grev && idm[s] == gidm)

#if EPOCH
#define SAME(x, m)  (ep[x] == ep[m] && x != 0)
#if EPOCH == 1
#define NEWER(m, x) (x == 0 || ep[m] >= ep[x])
#else
#define NEWER(m, x) (x == 0 || ep[m] > ep[x])
#endif
#else
#define SAME(x, m)  (x == m)
#define NEWER(m, x) (m > x)
#endif

/*
 * ---- the guards table: may this step be taken here and now (`do`), or what is it answered (`says`)? ----
 * in-step.test.ts reads the lines from here to the end mark, one definition each, and compares them with the judges of
 * src/kv/store/move-guards.ts, in every shape of a slot. s: shard; m: move; r: round.
 */
#define was(s, m, o)        (SAME(fl[s], m) && out[s] == o)
#define doBegin(s, m)       ((st[s] == OWN || !G_BE_OWN) && (NEWER(m, fl[s]) || !G_BE_FLOOR))
#define saysBegun(s, m)     ((st[s] == EXP || st[s] == FRZ) && SAME(mv[s], m))
#define doOpen(s, m)        (((st[s] == NONE && (clean(s) || !G_PG_CLEAN)) || (!G_PG_NONE && st[s] != NONE && st[s] != IMP)) && (NEWER(m, fl[s]) || !G_PG_FLOOR))
#define doJoin(s, m)        (st[s] == IMP && (SAME(mv[s], m) || !G_PG_MOVE))
#define doFreeze(s, m, r)   ((st[s] == EXP && (SAME(mv[s], m) || !G_FZ_MOVE || !G_FZ_EXP) && (r > fr[s] || !G_FZ_ROUND)) || (!G_FZ_EXP && st[s] == OWN))
#define saysFrozen(s, m, r) (st[s] == FRZ && SAME(mv[s], m) && r == fr[s])
#define saysOver(s, m, r)   (SAME(mv[s], m) && ((st[s] == EXP && r <= fr[s]) || (st[s] == FRZ && r < fr[s])))
#define doInstall(s, m, r)  (st[s] == IMP && (SAME(mv[s], m) || !G_IN_MOVE) && (r > lr[s] || !G_IN_ROUND))
#define saysInstalled(s, m) (was(s, m, INST))
#define saysAborted(s, m)   (was(s, m, ABRT))
#define doBar(s, m, r)      (st[s] == IMP && (SAME(mv[s], m) || !G_BA_MOVE) && r > lr[s])
#define saysBarred(s, m, r) ((st[s] == IMP && SAME(mv[s], m) && r <= lr[s]) || (!G_BA_INST && saysInstalled(s, m)))
#define doThaw(s, m, r)     (st[s] == FRZ && (SAME(mv[s], m) || !G_TH_MOVE) && (r == fr[s] || !G_TH_ROUND))
#define saysThawed(s, m, r) (SAME(mv[s], m) && r > 0 && ((st[s] == FRZ && r < fr[s]) || (st[s] == EXP && r <= fr[s])))
#define doAbort(s, m)       ((st[s] == IMP && (SAME(mv[s], m) || !G_AB_MOVE)) || (G_AB_REC && (st[s] == NONE || !G_AB_NONE) && (NEWER(m, fl[s]) || !G_AB_FLOOR) && !saysAborted(s, m)) || (!G_AB_INST && saysInstalled(s, m) && st[s] == OWN))
#define doUnfreeze(s, m)    (((st[s] == EXP || st[s] == FRZ) && (SAME(mv[s], m) || !G_UN_MOVE)) || (G_UN_REC && st[s] == OWN && (NEWER(m, fl[s]) || !G_UN_FLOOR) && !was(s, m, UNDO)))
#define saysUndone(s, m)    (was(s, m, UNDO) || m < fl[s] || (!G_UN_REC && st[s] == OWN))
#define doDelete(s, m)      ((st[s] == FRZ && (SAME(mv[s], m) || !G_DE_MOVE)) || (!G_DE_FRZ && holds(s)))
#define saysDeleted(s, m)   (was(s, m, GAVE) || m < fl[s])
#define mayPurge(s, m)      (st[s] == NONE || (st[s] == GONE && (SAME(mv[s], m) || !G_PU_MOVE)) || !G_PU_STATE)
#define takesWrites(s)      (serves(s) || (!G_FZ_APPLY && st[s] == FRZ))
/* ---- end of the guards table ---- */

/* ---- digests: the key with its revision, and the idempotency records ---- */
#define sum(s)         (pres[s] | (krev[s] << 1) | (srev[s] << 3) | (idm[s] << 5))
#define sumsrev(c)     ((c >> 3) & 3)
#define equalSum(s, c) (pres[s] == (c & 1) && (!pres[s] || krev[s] == ((c >> 1) & 3)) && (!G_IDEM || idm[s] == (c >> 5)))

/*
 * ---- pages: one bit for each that there can be ----
 * A copy passes over keys, idempotency records and notes. Also an empty set of records is a page: it opens the import.
 */
#define pageK(r) (1 << (r - 1))
#define pageT(r) (1 << (2 + r))
#define pageI(i) (1 << (6 + i))
#if G_IDEM
#define carried(s) (idm[s])
#else
#define carried(s) (0)
#endif
#define copyOf(s) ((pres[s] -> pageK(krev[s]) : (noted[s] -> pageT(srev[s]) : 0)) | pageI(carried(s)))

#define S frm[m]
#define D (1 - frm[m])

inline invariants() {
  MUST(TWO_OWNERS, !(serves(0) && serves(1)));
  MUST(WRONG_DATA, !serves(0) || truth(0));
  MUST(WRONG_DATA, !serves(1) || truth(1));
  MUST(DATA_LOST, (holds(0) && truth(0)) || (holds(1) && truth(1)));
#if SHAPE
  shaped(0); shaped(1)
#endif
}
inline shaped(s) {
  MUST(BAD_SHAPE, !(st[s] == NONE || st[s] == OWN) || mv[s] == 0);
  MUST(BAD_SHAPE, !(st[s] == NONE) || (fl[s] == 0 && out[s] == OPEN) || out[s] == ABRT || out[s] == GAVE);
  MUST(BAD_SHAPE, !(st[s] == OWN) || (fl[s] == 0 && out[s] == OPEN) || out[s] == INST || out[s] == UNDO);
  MUST(BAD_SHAPE, !(st[s] == EXP || st[s] == FRZ || st[s] == IMP) || (mv[s] == fl[s] && out[s] == OPEN && mv[s] > 0));
  MUST(BAD_SHAPE, !(st[s] == FRZ) || fr[s] > 0);
  MUST(BAD_SHAPE, !(st[s] == GONE) || (mv[s] == fl[s] && out[s] == GAVE && !clean(s)))
}
inline inFlight() {
#if LATE
  MUST(LATE_EFFECT, pm[m] == RUN || pm[m] == CXL || pm[m] == PUB)
#else
  skip
#endif
}

/* ---- the destination takes a page in: the key, its removal, or idempotency records ---- */
#define winsK(d, r) (G_PG_REV -> r > krev[d] : (!pres[d] || krev[d] != r))
#define winsT(d, r) (G_PG_REV -> r > krev[d] && (G_PG_TOMB || pres[d]) : pres[d])
inline mergeK(d, r) { if :: winsK(d, r) -> pres[d] = 1; krev[d] = r :: else fi }
inline mergeT(d, r) { if :: winsT(d, r) -> pres[d] = 0; krev[d] = (G_PG_TOMB -> r : 0) :: else fi }
inline mergeI(d, i) { idm[d] = idm[d] | i }
inline openImport() { st[D] = IMP; mv[D] = m; fl[D] = m; out[D] = OPEN; fr[D] = 0; lr[D] = 0; noted[D] = 0 }
mtype = { key, removal, tokens };
#define arrives(page) ((pg[m] & (page)) && (cmd[m] & cCo))
#if COPIED
#define confirm(page) dl[m] = dl[m] | (page)
#define unconfirmed(page) (!(dl[m] & (page)))
#else
#define confirm(page) skip
#define unconfirmed(page) 0
#endif
#define DELIVER(bits, news, merge, kind, n) \
  :: d_step { arrives(bits) && doOpen(D, m) -> \
       inFlight(); openImport(); merge; confirm(bits); printf("%d: page with %e %d opens import %d\n", D, kind, n, m); invariants() } \
  :: d_step { arrives(bits) && doJoin(D, m) && ((news) || unconfirmed(bits)) -> \
       if :: (news) -> inFlight(); merge; printf("%d: page with %e %d of %d\n", D, kind, n, m) :: else fi; confirm(bits); invariants() }

inline purge(s, m) {
  pres[s] = 0; krev[s] = 0; idm[s] = 0;
  if :: st[s] == GONE && SAME(mv[s], m) -> st[s] = NONE; mv[s] = 0 :: else fi;
  printf("%d: purge for %d\n", s, m); invariants()
}

proctype Move(byte m) {
end:
  do
  /* ---- controller: start_batch, cancel_batch, publish, batch_done, batch_aborted ---- */
#define mayStart (pm[m] == 0 && (m == 1 || pm[m-1] >= DONE || (!G_NEXT && pm[m-1] >= CXL)))
  :: d_step { mayStart -> pm[m] = RUN; frm[m] = own; ep[m] = epoch; will[m] = 0; printf("ctl: start move %d from %d\n", m, own) }
  :: d_step { mayStart -> pm[m] = RUN; frm[m] = own; ep[m] = epoch; will[m] = 1; printf("ctl: start move %d from %d, will be given up\n", m, own) }
  :: d_step { pm[m] == RUN && !canc[m] && (will[m] || (rep[m] & rNo)) ->
       if :: G_CX_LOG -> pm[m] = CXL :: else -> canc[m] = 1 fi; will[m] = 0; printf("ctl: give up %d\n", m) }
  :: d_step { ((rep[m] & rIn) || (!G_PB_PROOF && (cmd[m] & cIn))) && ((rep[m] & rFz) || (thw[m] & tFrozen)) &&
              (pm[m] == RUN || pm[m] == CXL || (!G_PB_CUR && pm[m] > PUB && own == frm[m])) ->
       epoch = (pm[m] < PUB -> epoch + 1 : epoch); pm[m] = (pm[m] < PUB -> PUB : pm[m]); own = D; will[m] = 0; printf("ctl: publish %d\n", m) }
  :: d_step { (rep[m] & rDe) && pm[m] == PUB && st[S] == NONE && clean(S) -> pm[m] = DONE; printf("ctl: %d done\n", m) }
  :: d_step { (rep[m] & rUn) && (pm[m] == CXL || (pm[m] == RUN && canc[m])) -> pm[m] = CANC; printf("ctl: %d aborted\n", m) }

  /* ---- driver: what it may send ---- */
  :: d_step { pm[m] == RUN && !(cmd[m] & cBE) -> cmd[m] = cmd[m] | cBE }
  :: d_step { (rep[m] & (rBE | rIn)) && !(cmd[m] & cFz) -> cmd[m] = cmd[m] | cFz }
  :: d_step { (rep[m] & (rBE | rIn)) && !(cmd[m] & cCo) -> cmd[m] = cmd[m] | cCo }
  :: d_step { (rep[m] & rFz) && (!(cmd[m] & cIn) || ins[m*2] != fzs[m*2]) -> cmd[m] = cmd[m] | cIn; ins[m*2] = fzs[m*2] }
#if THAW
  :: d_step { (rep[m] & rFz) && !(thw[m] & (tBar | tThaw)) && pm[m] == RUN ->
       thw[m] = thw[m] | (G_TH_PROOF -> tBar : tThaw); printf("ctl: thaw of %d wanted\n", m) }
  :: d_step { (thw[m] & tBarred) && !(thw[m] & tThaw) -> thw[m] = thw[m] | tThaw }
  :: d_step { (thw[m] & tThawed) && !(thw[m] & tFz) -> thw[m] = thw[m] | tFz }
  :: d_step { (thw[m] & tFrozen) && (!(thw[m] & tIn) || ins[m*2+1] != fzs[m*2+1]) -> thw[m] = thw[m] | tIn; ins[m*2+1] = fzs[m*2+1] }
#endif
  :: d_step { (pm[m] == CXL || (canc[m] && pm[m] < DONE)) && !(cmd[m] & cAb) -> cmd[m] = cmd[m] | cAb }
  :: d_step { (pm[m] == CXL || (canc[m] && pm[m] < DONE)) && ((rep[m] & rAb) || !G_UN_PROOF) && !(cmd[m] & cUn) -> cmd[m] = cmd[m] | cUn }
  :: d_step { (pm[m] == PUB || (!G_DE_PUB && (rep[m] & rIn)) || (!G_DE_PROOF && (cmd[m] & cIn))) && !(cmd[m] & cDe) -> cmd[m] = cmd[m] | cDe }

  /* ---- source: BeginExport ---- */
  :: d_step { (cmd[m] & cBE) && doBegin(S, m) ->
       inFlight(); st[S] = EXP; mv[S] = m; fl[S] = m; out[S] = OPEN; noted[S] = 0; fr[S] = 0; lr[S] = 0; rep[m] = rep[m] | rBE;
       printf("%d: BeginExport %d\n", S, m); invariants() }
  :: d_step { (cmd[m] & cBE) && saysBegun(S, m) && !(rep[m] & rBE) -> rep[m] = rep[m] | rBE }
  :: d_step { (cmd[m] & cBE) && G_REFUSED && pm[m] == RUN && m <= fl[S] && !saysBegun(S, m) && !(rep[m] & rNo) -> rep[m] = rep[m] | rNo }

  /* ---- source: copies, at any time once one was asked for; and one made early, by a leader that does not know of the freeze ---- */
  :: d_step { (cmd[m] & cCo) && (pg[m] & copyOf(S)) != copyOf(S) -> pg[m] = pg[m] | copyOf(S); printf("%d: copy for %d\n", S, m) }
  :: d_step { lag > 0 && pm[m] == RUN && ((st[S] == EXP && mv[S] == m) || (OLDLAG && will[m] && st[S] == OWN)) && (pg[m] & copyOf(S)) != copyOf(S) ->
       lag--; pg[m] = pg[m] | copyOf(S); printf("%d: early copy for %d\n", S, m) }

  /* ---- source: Freeze, Thaw ---- */
  :: d_step { (cmd[m] & cFz) && doFreeze(S, m, 1) ->
       inFlight(); st[S] = FRZ; fr[S] = 1; fzs[m*2] = sum(S); rep[m] = rep[m] | rFz; printf("%d: Freeze %d\n", S, m); invariants() }
  :: d_step { (cmd[m] & cFz) && saysFrozen(S, m, 1) && (!(rep[m] & rFz) || fzs[m*2] != sum(S)) -> fzs[m*2] = sum(S); rep[m] = rep[m] | rFz }
#if THAW
  :: d_step { (cmd[m] & cFz) && saysOver(S, m, 1) && !(thw[m] & tThawed) -> thw[m] = thw[m] | tThawed }
  :: d_step { (thw[m] & tThaw) && doThaw(S, m, 1) -> inFlight(); st[S] = EXP; thw[m] = thw[m] | tThawed; printf("%d: Thaw %d\n", S, m); invariants() }
  :: d_step { (thw[m] & tThaw) && saysThawed(S, m, 1) && !(thw[m] & tThawed) -> thw[m] = thw[m] | tThawed }
  :: d_step { (thw[m] & tFz) && doFreeze(S, m, 2) ->
       inFlight(); st[S] = FRZ; fr[S] = 2; fzs[m*2+1] = sum(S); thw[m] = thw[m] | tFrozen; printf("%d: Freeze %d round 2\n", S, m); invariants() }
  :: d_step { (thw[m] & tFz) && saysFrozen(S, m, 2) && (!(thw[m] & tFrozen) || fzs[m*2+1] != sum(S)) -> fzs[m*2+1] = sum(S); thw[m] = thw[m] | tFrozen }

  /* ---- destination: Bar ---- */
  :: d_step { (thw[m] & tBar) && doBar(D, m, 1) -> inFlight(); lr[D] = 1; thw[m] = thw[m] | tBarred; printf("%d: Bar %d round 1\n", D, m) }
  :: d_step { (thw[m] & tBar) && saysBarred(D, m, 1) && !(thw[m] & tBarred) -> thw[m] = thw[m] | tBarred }
  :: d_step { (thw[m] & tBar) && G_BA_INST && saysInstalled(D, m) && !(rep[m] & rIn) -> rep[m] = rep[m] | rIn }
#endif

  /* ---- destination: a page ---- */
  DELIVER(pageK(1), winsK(D, 1), mergeK(D, 1), key, 1)
#if W > 1
  DELIVER(pageT(2), winsT(D, 2), mergeT(D, 2), removal, 2)
#endif
#if W > 2
  DELIVER(pageK(3), winsK(D, 3), mergeK(D, 3), key, 3)
#endif
  DELIVER(pageI(0), 0, skip, tokens, 0)
  DELIVER(pageI(1), (~idm[D] & 1), mergeI(D, 1), tokens, 1)
#if W > 1
  DELIVER(pageI(3), (~idm[D] & 3), mergeI(D, 3), tokens, 3)
#endif
#if W > 2
  DELIVER(pageI(7), (~idm[D] & 7), mergeI(D, 7), tokens, 7)
#endif

  /* ---- destination: Install ---- */
#define INSTALL(asked, r) \
  :: d_step { (asked) && doInstall(D, m, r) && (equalSum(D, ins[m*2+r-1]) || !G_IN_SUM) -> \
       inFlight(); st[D] = OWN; out[D] = INST; mv[D] = 0; \
       srev[D] = (G_IN_SREV && sumsrev(ins[m*2+r-1]) > srev[D] -> sumsrev(ins[m*2+r-1]) : srev[D]); \
       krev[D] = (pres[D] -> krev[D] : 0); rep[m] = rep[m] | rIn; printf("%d: Install %d round %d\n", D, m, r); invariants() }
  INSTALL(cmd[m] & cIn, 1)
#if THAW
  INSTALL(thw[m] & tIn, 2)
#define installAsked ((cmd[m] & cIn) || (thw[m] & tIn))
#else
#define installAsked (cmd[m] & cIn)
#endif
  :: d_step { installAsked && saysInstalled(D, m) && !(rep[m] & rIn) -> rep[m] = rep[m] | rIn }
  :: d_step { installAsked && G_REFUSED && saysAborted(D, m) && pm[m] == RUN && !(rep[m] & rNo) -> rep[m] = rep[m] | rNo }
#if COPIED
  :: d_step { (cmd[m] & cIn) && doInstall(D, m, 1) && saysFrozen(S, m, 1) && (dl[m] & copyOf(S)) == copyOf(S) && !equalSum(D, sum(S)) ->
       printf("%d: digests of %d differ\n", D, m); MUST(MISMATCH, 0) }
#endif

  /* ---- destination: AbortImport. What was taken in stays, to be purged ---- */
  :: d_step { (cmd[m] & cAb) && doAbort(D, m) ->
       inFlight(); st[D] = NONE; krev[D] = (pres[D] -> krev[D] : 0); fl[D] = (G_AB_KEEP -> m : m - 1); out[D] = ABRT; mv[D] = 0;
       rep[m] = rep[m] | rAb; printf("%d: AbortImport %d\n", D, m); invariants() }
  :: d_step { (cmd[m] & cAb) && (saysAborted(D, m) || ((!G_AB_REC || !G_AB_KEEP) && st[D] == NONE)) && !(rep[m] & rAb) ->
       rep[m] = rep[m] | rAb; printf("%d: AbortImport %d answered: aborted\n", D, m) }
  :: d_step { (cmd[m] & cAb) && saysInstalled(D, m) && !(rep[m] & rIn) -> rep[m] = rep[m] | rIn }

  /* ---- source: Unfreeze ---- */
  :: d_step { (cmd[m] & cUn) && doUnfreeze(S, m) ->
       inFlight(); st[S] = OWN; out[S] = UNDO; fl[S] = m; noted[S] = 0; mv[S] = 0; rep[m] = rep[m] | rUn;
       printf("%d: Unfreeze %d\n", S, m); invariants() }
  :: d_step { (cmd[m] & cUn) && saysUndone(S, m) && !(rep[m] & rUn) -> rep[m] = rep[m] | rUn }

  /* ---- source: Delete, then the purge; an empty slot has nothing to purge ---- */
  :: d_step { (cmd[m] & cDe) && doDelete(S, m) ->
       inFlight(); out[S] = GAVE; noted[S] = 0; rep[m] = rep[m] | rDe;
       if :: clean(S) -> st[S] = NONE; mv[S] = 0 :: else -> st[S] = GONE fi; printf("%d: Delete %d\n", S, m); invariants() }
  :: d_step { (cmd[m] & cDe) && saysDeleted(S, m) && !(rep[m] & rDe) -> rep[m] = rep[m] | rDe }
  :: d_step { st[S] == GONE && mv[S] == m && !(cmd[m] & cPu) -> cmd[m] = cmd[m] | cPu }
  :: d_step { (cmd[m] & cPu) && mayPurge(S, m) && !clean(S) ->
       if :: st[S] != NONE -> inFlight() :: else fi; /* left-overs may go in anybody's batch */ purge(S, m) }

  /* ---- destination: left-overs of an aborted import go, by and by; a chore of that shard, no part of the move ---- */
  :: d_step { st[D] == NONE && fl[D] == m && !clean(D) && !(cmd[m] & cPl) -> cmd[m] = cmd[m] | cPl }
  :: d_step { (cmd[m] & cPl) && mayPurge(D, m) && !clean(D) -> if :: st[D] != NONE -> inFlight() :: else fi; purge(D, m) }
  od
}

/* Clients write in order, each until it has an answer; a retry of what was applied at this shard has its answer there. */
#define before(i) ((1 << (i-1)) - 1)
#define WRITE(s, i) \
  :: d_step { takesWrites(s) && !(idm[s] & (1 << (i-1))) && ((gidm & before(i)) == before(i)) -> \
       printf("client: write %d at %d\n", i, s); \
       MUST(TWO_EFFECTS, !(gidm & (1 << (i-1)))); \
       gidm = gidm | (1 << (i-1)); grev++; gpres = i & 1; gkrev = ((i & 1) -> grev : 0); \
       idm[s] = idm[s] | (1 << (i-1)); srev[s]++; pres[s] = i & 1; krev[s] = ((i & 1) -> srev[s] : 0); \
       noted[s] = (G_NOTE && st[s] == EXP -> 1 : noted[s]); invariants() }
proctype Client() {
end:
  do
  WRITE(0, 1)
  WRITE(1, 1)
#if W > 1
  WRITE(0, 2)
  WRITE(1, 2)
#endif
#if W > 2
  WRITE(0, 3)
  WRITE(1, 3)
#endif
  od
}

/* A driver's crash loses its answers and memory, perhaps also what is in flight (that a copy was asked for is kept: less to explore). */
inline forget(i) { rep[i] = 0; canc[i] = 0; fzs[i*2] = 0; fzs[i*2+1] = 0; thw[i] = thw[i] & ~(tBarred | tThawed | tFrozen) }
inline lose(i) { cmd[i] = cmd[i] & cCo; ins[i*2] = 0; ins[i*2+1] = 0; thw[i] = 0 }
proctype Crash() {
  byte i;
end:
  do
  :: d_step { dcr > 0 -> dcr--; i = 1; printf("driver crashes, answers lost\n");
       do :: i <= M -> forget(i); i++ :: else -> break od; i = 0 }
  :: d_step { dcr > 0 -> dcr--; i = 1; printf("driver crashes, answers and commands lost\n");
       do :: i <= M -> forget(i); lose(i); i++ :: else -> break od; i = 0 }
  :: d_step { scr > 0 -> scr--; i = 1; printf("shard leader crashes, pages lost\n");
       do :: i <= M -> pg[i] = 0; i++ :: else -> break od; i = 0 }
  od
}

#define ended(m) (pm[m] == DONE || pm[m] == CANC)
proctype Judge() {
  timeout ->
    MUST(STUCK, ended(1));
#if M > 1
    MUST(STUCK, ended(2));
#endif
#if M > 2
    MUST(STUCK, ended(3));
#endif
    MUST(WRONG_MAP, st[own] == OWN && st[1 - own] == NONE);
    MUST(LEFT_OVERS, clean(1 - own) && krev[1 - own] == 0);
    MUST(NO_WRITES, gidm == (1 << W) - 1)
}

init {
  atomic {
    st[0] = OWN;
    run Move(1);
#if M > 1
    run Move(2);
#endif
#if M > 2
    run Move(3);
#endif
    run Client(); run Crash();
#if ENDS
    run Judge()
#endif
  }
}
