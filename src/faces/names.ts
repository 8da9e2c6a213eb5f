// Names that the command line offers before anything of the pipeline is loaded. Used by load.ts and cli/commands.

export const DETECTORS = ['tiny', 'mtcnn'] as const;
export type DetectorName = (typeof DETECTORS)[number];
