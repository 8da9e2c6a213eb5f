// The part `others` of the op table on device cuda; check.ts says how.
import { checkPart } from './check';

checkPart('others');
