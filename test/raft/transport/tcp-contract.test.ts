import { transportContract } from '../../contract/transport.contract.js';
import { TcpWorld } from './tcp-world.js';

transportContract('TCP on loopback', async () => new TcpWorld());
