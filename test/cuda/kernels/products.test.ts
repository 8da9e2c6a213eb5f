// The part `products` of the op table on device cuda; check.ts says how.
import { checkPart } from './check';

checkPart('products');
