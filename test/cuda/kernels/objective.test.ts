// The part `objective` of the op table on device cuda; check.ts says how.
import { checkPart } from './check';

checkPart('objective');
