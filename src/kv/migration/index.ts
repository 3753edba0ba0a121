export { CopyPace, type CopyPaceOptions } from './copy-pace.js';
export { type Copied, type CopyJob, copySlots, type Installer } from './exporter.js';
