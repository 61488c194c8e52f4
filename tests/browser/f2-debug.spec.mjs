import { test } from './fixtures.mjs';
test('debug', async ({ page }) => {
  page.on('console', (m) => console.log('console', m.text()));
  page.on('worker', (w) => { console.log('worker', w.url()); w.on('console', (m)=>console.log('w', m.text())) });
  page.on('requestfailed', (r) => console.log('failed', r.url(), r.failure()?.errorText));
  await page.getByRole('button', { name: 'Try a virtual logger' }).click();
  await page.waitForTimeout(3000);
  console.log(await page.locator('main').innerText());
  const w = page.workers()[0];
  if (w) console.log('t', await w.evaluate(() => { try { return wasm_bindgen.virtual_milliseconds() } catch (e) { return String(e) } }), await w.evaluate(()=>performance.now()));
});
