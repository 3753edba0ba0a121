/**
 * Interprets dialogues with a group of cores: a command, a line of dashes, what the group answers.
 *
 * Every replica has a disk with a queue of writes. `settle` lets time stand still and everything else happen until the
 * group is quiet: Readys are taken, writes synced, messages delivered, entries applied. The finer commands do one of
 * these for one replica, so that a dialogue can stop the world at the moment that matters. README.md lists them.
 */
import {
  type ConfChange,
  type ConfChangeStep,
  type ConfState,
  type Entry,
  EntryKind,
  type Index,
  type Message,
  MessageType,
  RaftCore,
  type ReplicaId,
  type Term,
} from '../../../src/raft/core/index.js';
import { FakeDisk } from '../core/fake-disk.js';
import { showConf, showEntries, showEntry, showLog, showMessage, typeName } from './format.js';

interface Replica {
  readonly id: ReplicaId;
  readonly disk: FakeDisk;
  core: RaftCore | null;
  toApply: Entry[];
  /** Writes stay unsynced, entries unapplied, until a command says so. */
  slowDisk: boolean;
  slowApply: boolean;
  jitter: number;
  shown: string;
  shownConf: ConfState | null;
}

type Options = ReadonlyMap<string, string>;

const SETTLE_ROUNDS_MAX = 200;
const member = (id: number) => ({ id, node: `n${id}` });

function numbers(list: string | undefined): number[] {
  return list === undefined || list === '' ? [] : list.split(',').map(Number);
}

function isOn(places: ReadonlySet<string>, message: Message): boolean {
  const link = `${message.from}->${message.to}`;
  const type = typeName(message);
  return places.has(link) || places.has(type) || places.has(`${link}:${type}`);
}

export class Dialogue {
  #replicas = new Map<ReplicaId, Replica>();
  #network: Message[] = [];
  /** Links `1->2`, types `Append`, or both `1->2:Append`: messages there are lost, or kept until released. */
  #cut = new Set<string>();
  #held = new Set<string>();
  #options: Options = new Map();
  #out: string[] = [];

  run(command: string): string {
    this.#out = [];
    const [head = '', ...body] = command.split('\n');
    const [name = '', ...words] = head.trim().split(/\s+/);
    const plain = words.filter((word) => !word.includes('='));
    const options = new Map(
      words.filter((word) => word.includes('=')).map((word) => word.split('=') as [string, string]),
    );
    try {
      this.#command(name, plain, options, body);
    } catch (error) {
      this.#say(`error: ${(error as Error).message}`);
    }
    this.#sayChanges();
    return this.#out.length === 0 ? 'ok' : this.#out.join('\n');
  }

  #say(line: string): void {
    this.#out.push(line);
  }

  #command(name: string, words: readonly string[], options: Options, body: readonly string[]): void {
    const id = Number(words[0]);
    switch (name) {
      case 'group':
        return this.#group(options, body);
      case 'settle':
        return this.#settle(options.get('show') !== 'no');
      case 'status':
        return this.#status(words);
      case 'progress':
        return this.#progress(id);
      case 'tick':
        return this.#tick(words, options.get('show') !== 'no');
      case 'ready':
        return this.#takeReady(this.#replica(id), true);
      case 'sync':
        return this.#sync(this.#replica(id), words[1] === undefined ? Number.POSITIVE_INFINITY : Number(words[1]));
      case 'apply':
        return this.#apply(this.#replica(id));
      case 'deliver':
        return this.#deliver(words, options);
      case 'repeat':
        return this.#repeatMessages(words[0] as string, options.get('type'));
      default:
        return this.#commandToOne(name, id, words, options);
    }
  }

  #commandToOne(name: string, id: number, words: readonly string[], options: Options): void {
    switch (name) {
      case 'campaign':
        return this.#core(id).campaign();
      case 'forget-leader':
        return this.#core(id).forgetLeader();
      case 'propose':
        return this.#propose(id, words.slice(1), options);
      case 'change':
        return this.#change(id, options);
      case 'read':
        return this.#read(id, words.slice(1));
      case 'transfer':
        return this.#say(JSON.stringify(this.#core(id).transferLeader(Number(words[1]))));
      case 'compact':
        return this.#compact(id, Number(options.get('to')));
      case 'send-snapshot':
        return this.#sendSnapshot(words[0] as string);
      case 'report-snapshot':
        return this.#core(id).reportSnapshot(
          Number(words[1]),
          words[2] === 'ok',
          Number(options.get('at') ?? 0) as Index,
        );
      case 'unreachable':
        return this.#core(id).reportUnreachable(Number(words[1]));
      default:
        return this.#commandToWorld(name, id, words);
    }
  }

  #commandToWorld(name: string, id: number, words: readonly string[]): void {
    switch (name) {
      case 'isolate':
        return this.#links(words, (link) => this.#cut.add(link));
      case 'cut':
        for (const link of words) this.#cut.add(link);
        return;
      case 'heal':
        this.#cut.clear();
        return;
      case 'hold':
        for (const link of words) this.#held.add(link);
        return;
      case 'release':
        for (const link of words) this.#held.delete(link);
        return;
      case 'lose':
        return this.#lose(words[0] as string);
      case 'slow-disk':
        this.#replica(id).slowDisk = words[1] !== 'off';
        return;
      case 'slow-apply':
        this.#replica(id).slowApply = words[1] !== 'off';
        return;
      case 'crash':
        return this.#crash(this.#replica(id));
      case 'restart':
        return this.#start(this.#replica(id));
      case 'jitter':
        this.#replica(id).jitter = Number(words[1]);
        return;
      default:
        throw new Error(`unknown command ${name}`);
    }
  }

  #replica(id: ReplicaId): Replica {
    const replica = this.#replicas.get(id);
    if (replica === undefined) throw new Error(`no replica ${id}`);
    return replica;
  }

  #core(id: ReplicaId): RaftCore {
    const { core } = this.#replica(id);
    if (core === null) throw new Error(`replica ${id} is down`);
    return core;
  }

  // --------------------------------------------------------------------------------------------------------- the group

  /** `group voters=1,2,3 learners=4 newcomers=5`, then one line for each replica that starts with a log. */
  #group(options: Options, body: readonly string[]): void {
    this.#options = options;
    const voters = numbers(options.get('voters'));
    const learners = numbers(options.get('learners'));
    const newcomers = numbers(options.get('newcomers'));
    const conf: ConfState = {
      voters: voters.map(member),
      outgoing: [],
      learners: learners.map(member),
      learnersNext: [],
      autoLeave: false,
    };
    const nobody: ConfState = { ...conf, voters: [], learners: [] };
    const jitter = numbers(options.get('jitter'));
    for (const id of [...voters, ...learners, ...newcomers]) {
      const disk = new FakeDisk(newcomers.includes(id) ? nobody : conf);
      this.#replicas.set(id, {
        id,
        disk,
        core: null,
        toApply: [],
        slowDisk: false,
        slowApply: false,
        jitter: jitter[voters.indexOf(id)] ?? 0,
        shown: '',
        shownConf: null,
      });
    }
    for (const line of body) this.#given(line);
    for (const replica of this.#replicas.values()) this.#start(replica);
  }

  /** `2: log=1,1,4 term=4 vote=3 commit=1` */
  #given(line: string): void {
    const [id, rest = ''] = line.split(':');
    const { disk } = this.#replica(Number(id));
    const options = new Map(
      rest
        .trim()
        .split(/\s+/)
        .map((word) => word.split('=') as [string, string]),
    );
    const terms = numbers(options.get('log'));
    disk.entries = terms.map((term, i) => ({
      term: term as Term,
      index: (i + 1) as Index,
      kind: EntryKind.Command,
      data: Buffer.from(`t${term}`),
    }));
    const commit = Number(options.get('commit') ?? 0) as Index;
    disk.hardState = {
      term: Number(options.get('term') ?? terms.at(-1) ?? 0) as Term,
      vote: Number(options.get('vote') ?? 0),
      commit,
    };
    disk.applied = commit;
  }

  #start(replica: Replica): void {
    const { disk } = replica;
    const option = (name: string, otherwise: number): number => Number(this.#options.get(name) ?? otherwise);
    const electionTicks = option('election', 10);
    let first = true;
    replica.core = new RaftCore({
      id: replica.id,
      electionTicks,
      heartbeatTicks: option('heartbeat', 1),
      random: () => {
        // The first is drawn for the numbers of questions; they are easier to read from 1 on.
        const value = first ? 0 : replica.jitter / electionTicks;
        first = false;
        return value;
      },
      maxInflightMessages: option('inflight', 256),
      maxInflightBytes: option('inflight-bytes', 1 << 20),
      maxMessageBytes: option('message-bytes', 1 << 16),
      maxUncommittedBytes: option('uncommitted-bytes', 1 << 20),
      hardState: disk.hardState,
      compacted: disk.compacted,
      entries: disk.entries,
      applied: disk.applied,
      conf: disk.confAt(disk.applied),
    });
    replica.toApply = [];
    replica.shown = this.#role(replica.core);
    replica.shownConf = replica.core.conf;
  }

  #crash(replica: Replica): void {
    replica.core = null;
    replica.disk.crash();
    replica.toApply = [];
  }

  // ----------------------------------------------------------------------------------------------------------- showing

  #role(core: RaftCore): string {
    return `${core.role} in term ${core.term}`;
  }

  #sayChanges(): void {
    for (const replica of this.#replicas.values()) {
      const { core } = replica;
      if (core === null) continue;
      const role = this.#role(core);
      if (role !== replica.shown) this.#say(`* ${replica.id} is now ${role}`);
      replica.shown = role;
      if (core.conf !== replica.shownConf) this.#say(`* ${replica.id} now has ${showConf(core.conf)}`);
      replica.shownConf = core.conf;
    }
  }

  #status(words: readonly string[]): void {
    const wanted = words.map(Number);
    for (const { id, core, disk } of this.#replicas.values()) {
      if (wanted.length > 0 && !wanted.includes(id)) continue;
      if (core === null) {
        this.#say(`${id}: down, on disk term ${disk.hardState.term} vote ${disk.hardState.vote} last ${disk.last}`);
        continue;
      }
      const { vote } = core.status();
      const leader = core.leader === 0 ? 'no leader' : `leader ${core.leader}`;
      this.#say(
        `${id}: ${core.role} term ${core.term} vote ${vote} ${leader} log ${showLog(core)} ` +
          `stable ${core.stableIndex} commit ${core.commit} applied ${core.appliedIndex}`,
      );
    }
  }

  #progress(id: ReplicaId): void {
    for (const p of this.#core(id).status().progress) {
      const flying = p.inflightMessages === 0 ? '' : ` in flight ${p.inflightMessages} (${p.inflightBytes} bytes)`;
      this.#say(
        `${p.id}: ${p.state} match ${p.match} next ${p.next}${flying}${p.learner ? ' learner' : ''}` +
          `${p.recentActive ? '' : ' inactive'}`,
      );
    }
  }

  // --------------------------------------------------------------------------------------------------- the driver's part

  #takeReady(replica: Replica, sayNothing: boolean): void {
    const { core, id } = replica;
    if (core === null) return;
    if (!core.hasReady()) {
      if (sayNothing) this.#say(`${id} has nothing to do`);
      return;
    }
    const ready = core.ready();
    const { hardState, snapshot, entries } = ready;
    if (ready.seq > 0) {
      const parts: string[] = [];
      if (hardState !== null) parts.push(`term ${hardState.term} vote ${hardState.vote} commit ${hardState.commit}`);
      if (snapshot !== null) parts.push(`snapshot ${snapshot.index}/${snapshot.term}`);
      if (entries.length > 0) parts.push(showEntries(entries));
      this.#say(`${id} writes #${ready.seq}: ${parts.join(', ')}`);
      for (const message of ready.messagesAfterAppend) this.#say(`  then ${showMessage(message)}`);
    }
    replica.disk.enqueue(ready);
    this.#network.push(...ready.messages);
    replica.toApply.push(...ready.committed);
    for (const { context, index } of ready.reads) {
      this.#say(
        `${id} may serve read ${context} ${index === null ? 'never: the round was lost' : `at index ${index}`}`,
      );
    }
    for (const to of ready.snapshotsTo) this.#say(`${id} wants a snapshot sent to ${to}`);
  }

  #sync(replica: Replica, count: number): void {
    for (let i = 0; i < count; i++) {
      const write = replica.disk.syncOne();
      if (write === undefined) return;
      if (replica.slowDisk) this.#say(`${replica.id} has #${write.seq} on disk`);
      if (write.snapshot !== null) replica.toApply = [];
      this.#network.push(...write.messages);
      replica.core?.persisted(write.seq);
    }
  }

  #apply(replica: Replica): void {
    const { core, disk } = replica;
    const round = replica.toApply;
    const last = round.at(-1);
    if (core === null || last === undefined) return;
    replica.toApply = [];
    this.#say(`${replica.id} applies ${round.map(showEntry).join(', ')}`);
    for (const entry of round) {
      core.applied(entry.index);
      disk.applied = entry.index;
      if (disk.confAt(disk.applied) !== core.conf) disk.confs.push({ from: disk.applied, conf: core.conf });
    }
  }

  #deliverOne(message: Message): void {
    const lost = isOn(this.#cut, message) || (this.#replicas.get(message.to)?.core ?? null) === null;
    this.#say(`${showMessage(message)}${lost ? '   (lost)' : ''}`);
    if (!lost) this.#core(message.to).step(message);
    this.#sayChanges();
  }

  #settle(show: boolean): void {
    const before = this.#out.length;
    for (let round = 0; round < SETTLE_ROUNDS_MAX; round++) {
      let busy = false;
      for (const replica of this.#replicas.values()) {
        if (replica.core === null) continue;
        while (replica.core.hasReady()) {
          busy = true;
          this.#takeReady(replica, false);
          if (!replica.slowDisk) this.#sync(replica, Number.POSITIVE_INFINITY);
          this.#sayChanges();
        }
        if (replica.toApply.length > 0 && !replica.slowApply) {
          busy = true;
          this.#apply(replica);
          this.#sayChanges();
        }
      }
      const arriving = this.#network.filter((message) => !isOn(this.#held, message));
      this.#network = this.#network.filter((message) => isOn(this.#held, message));
      for (const message of arriving) this.#deliverOne(message);
      if (!busy && arriving.length === 0) {
        if (!show) this.#out.length = before;
        return;
      }
    }
    throw new Error('the group does not come to rest');
  }

  // ------------------------------------------------------------------------------------------------------- the network

  #matching(link: string | undefined, type: string | undefined): (message: Message) => boolean {
    const wanted = type === undefined ? 0 : MessageType[type as keyof typeof MessageType];
    return (message) =>
      (link === undefined || link === `${message.from}->${message.to}`) && (wanted === 0 || wanted === message.type);
  }

  #deliver(words: readonly string[], options: Options): void {
    const matches = this.#matching(words[0], options.get('type'));
    const arriving = this.#network.filter(matches);
    this.#network = this.#network.filter((message) => !matches(message));
    if (arriving.length === 0) this.#say('nothing there');
    for (const message of arriving) this.#deliverOne(message);
  }

  /** The messages on the link stay there, and arrive once more. */
  #repeatMessages(link: string, type: string | undefined): void {
    for (const message of this.#network.filter(this.#matching(link, type))) this.#deliverOne(message);
  }

  #lose(link: string): void {
    const matches = this.#matching(link, undefined);
    for (const message of this.#network.filter(matches)) this.#say(`${showMessage(message)}   (lost)`);
    this.#network = this.#network.filter((message) => !matches(message));
  }

  #links(words: readonly string[], use: (link: string) => void): void {
    const inside = new Set(words.map(Number));
    for (const a of this.#replicas.keys()) {
      for (const b of this.#replicas.keys()) if (a !== b && inside.has(a) !== inside.has(b)) use(`${a}->${b}`);
    }
  }

  // ------------------------------------------------------------------------------------------------------ what is asked

  /** `tick 1 5`, or `tick all 3`: everybody in turn, settling after each. */
  #tick(words: readonly string[], show: boolean): void {
    const count = Number(words[1] ?? 1);
    for (let i = 0; i < count; i++) {
      if (words[0] === 'all') {
        for (const { core } of this.#replicas.values()) core?.tick();
        this.#settle(show);
      } else {
        this.#core(Number(words[0])).tick();
        this.#sayChanges();
      }
    }
  }

  #propose(id: ReplicaId, words: readonly string[], options: Options): void {
    const size = Number(options.get('bytes') ?? 0);
    const payloads = words.map((word) => (size > 0 ? Buffer.alloc(size, word) : Buffer.from(word)));
    const result = this.#core(id).propose(payloads);
    this.#say(result.ok ? `${id} appends from ${result.first}/${result.term} on` : `${id} refuses: ${result.reason}`);
  }

  /** `change 1 add_voter=4,5 remove=1 add_learner=2 transition=joint_explicit`; none of these: leave joint. */
  #change(id: ReplicaId, options: Options): void {
    const steps: ConfChangeStep[] = [
      ...numbers(options.get('add_voter')).map((n) => ({ op: 'add_voter' as const, member: member(n) })),
      ...numbers(options.get('add_learner')).map((n) => ({ op: 'add_learner' as const, member: member(n) })),
      ...numbers(options.get('remove')).map((n) => ({ op: 'remove' as const, id: n })),
    ];
    const transition = (options.get('transition') ?? 'auto') as ConfChange['transition'];
    const result = this.#core(id).proposeConfChange({ steps, transition });
    this.#say(
      result.ok ? `${id} appends ${result.first}/${result.term}` : `${id} refuses: ${result.reason} (${result.detail})`,
    );
  }

  #read(id: ReplicaId, contexts: readonly string[]): void {
    for (const context of contexts) {
      if (!this.#core(id).readIndex(Number(context))) this.#say(`${id} knows nobody to ask for read ${context}`);
    }
  }

  #compact(id: ReplicaId, to: number): void {
    this.#core(id).compact(to as Index);
    this.#replica(id).disk.compact(to as Index);
  }

  /** `send-snapshot 1->3`: the driver has streamed the leader's applied state, and the follower has all of it. */
  #sendSnapshot(link: string): void {
    const [from, to] = link.split('->').map(Number) as [number, number];
    const core = this.#core(from);
    const index = core.appliedIndex;
    this.#network.push({
      type: MessageType.InstallSnapshot,
      from,
      to,
      term: core.term,
      index: 0 as Index,
      logTerm: 0 as Term,
      commit: 0 as Index,
      entries: [],
      reject: false,
      hint: 0 as Index,
      context: 0,
      snapshot: { index, term: core.termAt(index) as Term, conf: core.conf },
    });
  }
}
