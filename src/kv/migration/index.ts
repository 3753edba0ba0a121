export { CopyPace, type CopyPaceOptions } from './copy-pace.js';
export { type Copied, type CopyJob, copySlots } from './exporter.js';
