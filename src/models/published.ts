// What the papers print of their networks' size, for `gramian summary` to show beside our counts. The rule easy to break: these are
// the papers' own figures, as printed, also where they cannot be right; what we count is never written here.

export interface PublishedFigures {
  /** Number of the paper in docs/models.md. */
  readonly paper: string;
  /** As printed. */
  readonly parameters: string;
  /** As printed; absent where the paper gives none. */
  readonly operations?: string;
}

/** By the model's name; a model that no paper gives a figure for is absent. */
export const published: Readonly<Record<string, PublishedFigures>> = {
  alexnet: { paper: '000', parameters: '60 M' },
  inceptionV2: { paper: '000', parameters: '11 M' },
  resnet50: { paper: '000', parameters: '24 M' },
  denseFpn: { paper: '000', parameters: '7 M' },
  denseFpn3: { paper: '000', parameters: '7 M' },
  mffCnn: { paper: '004', parameters: '1.21 M', operations: '4.87 GFLOP' },
  mffCnnUnselected: { paper: '004', parameters: '1.22 M' },
  mffCnnHighLevel: { paper: '004', parameters: '0.02 M' },
  mffCnnConcatenated: { paper: '004', parameters: '1.21 M' },
};
