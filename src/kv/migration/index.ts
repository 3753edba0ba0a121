export { CopyPace, type CopyPaceOptions, type NodeWork } from './copy-pace.js';
export { type Copied, type CopyJob, copySlots, type Installer } from './exporter.js';
