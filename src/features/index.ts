// What the room offers: descriptors of images, and what is fitted to their rows.
export { type CannyOptions, canny } from './canny';
export { featureDataset } from './dataset';
export { type Eigen, symmetricEigen } from './eigen';
export { LPQ_BINS, type Lpq, type LpqCodes, type LpqOptions, lpq } from './lpq';
export { type Descriptor, describeImages, type GrayImage, joinColumns, type Matrix, matrixOf, rowOf } from './matrix';
export { cutPatches, type PatchGrid, patchGrid, rowNorms, selectByNorm } from './patches';
export { Pca } from './pca';
export { type PhogOptions, phog } from './phog';
export { Standardizer } from './standardizer';
