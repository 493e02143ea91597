// A person without a mouse at a browser without JavaScript: opens addresses, presses keys, looks at pages.
// The one argument is JSON: the browser's program, whether it is dark, and steps, each an array:
// ["open", url], ["type", text], ["press", key], ["arrive", beginning of the URL], ["look", file],
// ["expect", role, accessible name], ["focused", label].
// It prints as JSON what happened besides: every URL asked for, and what the browser's console said.

import { chromium } from 'playwright-core';

const { program, dark, width, steps } = JSON.parse(process.argv[2]);
const SECONDS = 30;

const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
try {
  const context = await browser.newContext({
    javaScriptEnabled: false,
    colorScheme: dark ? 'dark' : 'light',
    viewport: { width, height: 800 },
  });
  context.setDefaultTimeout(SECONDS * 1000);
  const page = await context.newPage();
  const asked = [];
  const said = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('console', (message) => said.push(message.text()));
  const does = {
    open: (url) => page.goto(url),
    type: (text) => page.keyboard.type(text),
    press: (key) => page.keyboard.press(key),
    arrive: (url) => page.waitForURL((now) => now.href.startsWith(url)),
    look: (file) => page.screenshot({ path: file, fullPage: true }),
    expect: (role, name) => page.getByRole(role, { name }).waitFor(),
    focused: (label) => page.getByLabel(label).and(page.locator(':focus')).waitFor(),
  };
  for (const [step, ...details] of steps) await does[step](...details);
  console.log(JSON.stringify({ asked, console: said }));
} finally {
  await browser.close();
}
