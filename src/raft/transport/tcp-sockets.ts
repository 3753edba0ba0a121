/** The only file of this room that opens sockets: plain TCP, or TLS with certificates on both sides. */
import { createServer, connect as dialTcp, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, connect as dialTls, type PeerCertificate } from 'node:tls';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** PEM. Both sides show their certificate and check the other's against `ca`. */
export interface TransportTls {
  readonly key: string | Buffer;
  readonly cert: string | Buffer;
  readonly ca: string | Buffer;
  /** Replaces the check that the certificate names the host that was dialled. */
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
}

/** `host:port`, with an IPv6 host in brackets. Null if it is neither. */
export function parseAddress(address: string): HostPort | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65535) return null;
  return { host: (match[1] ?? match[2])!, port };
}

export interface Dialled {
  readonly socket: Socket;
  /** The event that says bytes may flow. */
  readonly ready: 'connect' | 'secureConnect';
}

export function dial(to: HostPort, tls: TransportTls | undefined): Dialled {
  if (tls === undefined) {
    return { socket: dialTcp({ host: to.host, port: to.port, noDelay: true }), ready: 'connect' };
  }
  const { key, cert, ca, checkServerIdentity } = tls;
  const socket = dialTls({
    ...to,
    key,
    cert,
    ca,
    minVersion: 'TLSv1.3',
    ...(checkServerIdentity === undefined ? {} : { checkServerIdentity }),
  });
  socket.setNoDelay(true);
  return { socket, ready: 'secureConnect' };
}

export interface Listener {
  readonly address: HostPort;
  close(): Promise<void>;
}

/** Resolves when the port is open; rejects when it cannot be. `accepted` gets each socket that is ready for bytes. */
export function listen(
  at: HostPort,
  tls: TransportTls | undefined,
  handshake_ms: number,
  accepted: (socket: Socket) => void,
  failed: (remote: string, error: Error) => void,
): Promise<Listener> {
  const server =
    tls === undefined ? createServer({ noDelay: true }, accepted) : tlsServer(tls, handshake_ms, accepted, failed);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(at.port, at.host, () => {
      server.off('error', reject);
      // Accepting can fail later on, for want of file descriptors: that costs a connection, not the node.
      server.on('error', (error) => failed('', error));
      resolve({ address: { host: at.host, port: boundPort(server) }, close: () => closeServer(server, sockets) });
    });
  });
}

function tlsServer(
  { key, cert, ca }: TransportTls,
  handshake_ms: number,
  accepted: (socket: Socket) => void,
  failed: (remote: string, error: Error) => void,
): Server {
  const options = { key, cert, ca, requestCert: true, rejectUnauthorized: true } as const;
  const server = createTlsServer({ ...options, minVersion: 'TLSv1.3', handshakeTimeout: handshake_ms });
  server.on('secureConnection', (socket) => {
    socket.setNoDelay(true);
    accepted(socket);
  });
  server.on('tlsClientError', (error, socket) => {
    failed(remoteName(socket), error);
    socket.destroy();
  });
  return server;
}

function boundPort(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('invariant: a TCP server has a port');
  return address.port;
}

function closeServer(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    for (const socket of sockets) socket.destroy();
  });
}

export function remoteName(socket: Socket): string {
  return `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? '?'}`;
}
