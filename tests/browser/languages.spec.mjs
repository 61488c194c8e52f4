// The page speaks the language of whoever reads it; each text that stands in the sources stands in each language.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { expect, test } from './fixtures.mjs';
import { LoggerPage } from './logger-page.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const texts = join(root, 'assets/text');
const names = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

/** Every text in `say!` in the sources of the page's programs. */
function inTheSources() {
  const found = new Set();
  for (const folder of ['src', 'ui/src', 'workbench/src']) {
    for (const name of readdirSync(join(root, folder), { recursive: true })) {
      if (!name.endsWith('.rs') || name === 'text.rs') continue;
      const source = readFileSync(join(root, folder, name), 'utf8');
      for (const [, text] of source.matchAll(/say!\(\s*"([^"]*)"/g)) found.add(text);
    }
  }
  return found;
}

for (const file of readdirSync(texts)) {
  test(`${file} has every text of the page, with the same values in it`, () => {
    const blocks = readFileSync(join(texts, file), 'utf8').trim().split('\n\n');
    const pairs = new Map(blocks.map((block) => block.split('\n')));
    const sources = inTheSources();
    expect(sources.size).toBeGreaterThan(100);
    expect([...sources].filter((text) => !pairs.has(text))).toEqual([]);
    for (const [english, other] of pairs) {
      expect(names(other).filter((name) => !names(english).includes(name)), english).toEqual([]);
      expect(new Set(names(other)), english).toEqual(new Set(names(english)));
    }
  });
}

test('each language that has a file may be chosen, by its own name', async ({ page }) => {
  const choice = page.getByRole('combobox', { name: 'Language' });
  const codes = readdirSync(texts).map((file) => file.replace('.txt', ''));
  expect(await choice.locator('option').evaluateAll((all) => all.map(({ value }) => value))).toEqual(['en', ...codes.sort()]);
  await expect(choice.locator('option[value=fr]')).toHaveText('Français');
});

test('in French, nothing that belongs to a word is left alone on the next line', () => {
  const lines = readFileSync(join(texts, 'fr.txt'), 'utf8').split('\n');
  const french = lines.filter((_, index) => index % 3 === 1);
  expect(french.length).toBeGreaterThan(100);
  // Spaces there do not break: U+00A0 or U+202F. And an apostrophe is a curved one.
  expect(french.filter((line) => / [:;?!»%]|« |'/.test(line))).toEqual([]);
});

test('another language is chosen, and remembered', async ({ page, device, chooser }) => {
  await page.getByRole('combobox', { name: 'Language' }).selectOption('fr');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Mettez à jour et réglez votre enregistreur d’ici');
  await expect(page.locator('html')).toHaveAttribute('lang', 'fr');
  await page.reload();
  await page.evaluate(() => navigator.serial.getPorts());
  await device.plug();
  await page.getByRole('button', { name: 'Connecter un enregistreur' }).click();
  await chooser.pickFirst();
  const logger = new LoggerPage(page, chooser);
  await expect(logger.fact('state')).toHaveText('Enregistre');
  await logger.drop('logger-1.1.0.bin', Buffer.alloc(0));
  await expect(page.getByRole('alert')).toContainText('Le fichier est vide.');
  // Numbers are written and read as that language writes them.
  await logger.tab('Réglages').click();
  const interval = page.getByLabel('Interval');
  await expect(interval).toHaveValue('1,0');
  await interval.fill('2,5');
  await page.getByRole('button', { name: 'Écrire dans l’enregistreur' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Réglages écrits' })).toBeVisible();
  await page.getByRole('combobox', { name: 'Langue' }).selectOption('en');
  await logger.tab('Settings').click();
  await expect(interval).toHaveValue('2.5');
});

test.describe('in a browser that asks for French', () => {
  test.use({ locale: 'fr-CH' });
  test('the page begins in French', async ({ page }) => {
    await expect(page.getByRole('button', { name: 'Connecter un enregistreur' })).toBeVisible();
  });
});
