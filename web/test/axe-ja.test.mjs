import { screensIn } from './axe.mjs';

screensIn('ja');
