export { type Copied, type CopyJob, copySlots } from './exporter.js';
