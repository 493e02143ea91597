// A host of MCP Apps (2026-01-26) around one view: sandboxed, with the policy a host must have, and no network.
// The one argument is JSON: the browser's program, theme, width, the page's HTML, the tool's result, and steps, each an
// array: ["press", key], ["reach", selector] by the Tab key, ["focus", selector], ["click", role, name], ["look", file], ["read", name, selector],
// ["theme", light or dark], ["result", result], ["count", name, selector], ["cancelled"], ["teardown"],
// ["sized", width] once the view has said so, ["hide"], ["unhide"].
// It prints what was read, what the view sent, every URL asked for and what the console said.

import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const { program, theme, width, html, result, steps } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
  "img-src 'self' data:; media-src 'self' data:; connect-src 'none'";
const guarded = html.replace('<head>', `<head><meta http-equiv="Content-Security-Policy" content="${POLICY}">`);

const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
try {
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: 'light' });
  page.setDefaultTimeout(20000);
  const asked = [];
  const said = [];
  page.on('request', (request) => asked.push(request.url()));
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  await page.setContent('<body style="margin:0"><iframe sandbox="allow-scripts" style="border:0;width:100%"></iframe>');
  await page.evaluate(({ guarded, result, theme }) => {
    const frame = document.querySelector('iframe');
    window.sent = [];
    window.toView = (message) => frame.contentWindow.postMessage({ jsonrpc: '2.0', ...message }, '*');
    window.addEventListener('message', ({ source, data }) => {
      if (source !== frame.contentWindow) return;
      window.sent.push(data);
      if (data.method === 'ui/initialize') {
        const hostInfo = { name: 'test', version: '1' };
        const hostContext = { theme, styles: { variables: { '--color-text-primary': 'light-dark(#111, #eee)', 'x:y': 'z' } } };
        window.toView({ id: data.id, result: { protocolVersion: '2026-01-26', hostCapabilities: {}, hostInfo, hostContext } });
      } else if (data.method === 'ui/notifications/initialized') {
        window.toView({ method: 'ui/notifications/tool-input', params: { arguments: {} } });
        if (result) window.toView({ method: 'ui/notifications/tool-result', params: result });
      } else if (data.method === 'ui/notifications/size-changed') {
        frame.style.height = `${data.params.height}px`;
      }
    });
    frame.srcdoc = guarded;
  }, { guarded, result, theme });
  const view = page.frameLocator('iframe');
  const read = {};
  const does = {
    wait: (selector) => view.locator(selector).waitFor(),
    reach: async (selector) => {
      for (let more = 0; more < 8; more += 1) {
        await page.keyboard.press('Tab');
        const reached = await view.locator('body').evaluate((_, wanted) => document.activeElement?.matches(wanted), selector);
        if (reached) return;
      }
      throw new Error(`${selector} is out of reach of the Tab key`);
    },
    press: (key) => page.keyboard.press(key),
    focus: (selector) => view.locator(selector).focus(),
    click: (role, name) => view.getByRole(role, { name, exact: true }).click(),
    check: (name) => view.getByLabel(name, { exact: true }).check(),
    hover: (selector) => view.locator(selector).hover({ force: true }),
    look: async (file) => { // not by fullPage, which makes the view a pixel wide for a moment
      const height = await page.evaluate(() => document.body.scrollHeight);
      await page.setViewportSize({ width, height: Math.max(height, 300) });
      await page.screenshot({ path: file });
    },
    hide: () => page.evaluate(() => { document.querySelector('iframe').style.width = '1px'; }),
    unhide: () => page.evaluate(() => { document.querySelector('iframe').style.width = '100%'; }),
    read: async (name, selector) => { read[name] = await view.locator(selector).innerText(); },
    count: async (name, selector) => { read[name] = await view.locator(selector).count(); },
    style: async (name, property) => {
      read[name] = await view.locator('body').evaluate((body, wanted) => getComputedStyle(body)[wanted], property);
    },
    overflow: async (name) => {
      read[name] = await view.locator('body').evaluate((body) => body.scrollWidth > body.clientWidth);
    },
    toView: (message) => page.evaluate((told) => window.toView(told), message),
    said: async (text) => view.getByText(text).first().waitFor(),
    sized: (wanted) => page.waitForFunction((width) => window.sent.some(
      ({ method, params }) => method === 'ui/notifications/size-changed' && params.width === width), wanted),
    answered: (id) => page.waitForFunction((wanted) => window.sent.some((message) => message.id === wanted), id),
  };
  for (const [step, ...details] of steps) await does[step](...details);
  const sent = await page.evaluate(() => window.sent);
  console.log(JSON.stringify({ read, sent, asked, console: said }));
} finally {
  await browser.close();
}
