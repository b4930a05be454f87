import { render } from 'preact';
import { App } from './app';
import { lang } from './i18n';

document.documentElement.lang = lang();
render(<App />, document.getElementById('app')!);
if ('serviceWorker' in navigator && location.protocol !== 'file:')
    navigator.serviceWorker.register('/sw.js').catch(() => { /* a browser that does not trust the box yet has no shell offline */ });
