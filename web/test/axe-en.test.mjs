import { screensIn } from './axe.mjs';

screensIn('en');
