// "How an update works" follows the virtual logger through an update and back, with the plug pulled on the way.
import AxeBuilder from '@axe-core/playwright';
import { join } from 'node:path';
import { expect, test } from './fixtures.mjs';
import { VirtualLogger } from './logger-page.mjs';

const STAGES = ['checked', 'copied', 'restarted', 'installed', 'started', 'confirmed'];

class How {
  constructor(page) {
    this.card = page.locator('details.how');
    this.summary = this.card.locator('summary');
    this.now = this.card.locator('[data-state="now"]');
  }

  stage(name) {
    return this.card.locator(`[data-stage="${name}"]`);
  }

  button(name) {
    return this.card.getByRole('button', { name });
  }

  /** Notes from now on each stage that is marked as the present one. */
  watch() {
    return this.card.evaluate((card) => {
      window.stagesSeen = [];
      new MutationObserver(() => {
        const stage = card.querySelector('[aria-current="step"]')?.dataset.stage;
        if (stage && window.stagesSeen.at(-1) !== stage) window.stagesSeen.push(stage);
      }).observe(card, { subtree: true, attributes: true });
    });
  }

  seen() {
    return this.card.evaluate(() => window.stagesSeen);
  }

  async expectAllDone(stages) {
    for (const name of stages) await expect(this.stage(name)).toHaveAttribute('data-state', 'done');
  }
}

/** A newcomer who asks how it works on the welcome page. */
async function newcomer(page, chooser) {
  await page.getByRole('button', { name: 'See how an update works' }).click();
  const logger = new VirtualLogger(page, chooser);
  await logger.expectConnected();
  return [logger, new How(page)];
}

test('a newcomer follows an update step by step, pulls the plug and cuts the power, and goes back', async ({
  page,
  chooser,
}) => {
  test.setTimeout(150_000);
  const picture = async (name) => {
    const folder = process.env.LOGDOCK_PICTURES;
    if (folder) await page.screenshot({ path: join(folder, `how-${name}.png`), fullPage: true });
  };
  const [logger, how] = await newcomer(page, chooser);
  await expect(how.summary).toBeFocused();
  await expect(how.card.getByText('three slots')).toBeVisible();
  await expect(how.card.getByText('If the plug is pulled now:')).toHaveCount(STAGES.length + 2);
  await expect(how.now).toHaveCount(0);
  await expect(logger.page.locator('.memory')).toBeVisible();
  await picture('rest');

  await how.watch();
  await how.button('Slow motion').click();
  await expect(how.button('Slow motion')).toHaveAttribute('aria-pressed', 'true');
  await logger.useSample();
  await expect(how.stage('checked')).toHaveAttribute('aria-current', 'step');
  await expect(how.stage('copied').getByText('free slot (')).toBeHidden();
  await logger.start('1.1.0');

  await expect(how.stage('copied')).toHaveAttribute('data-state', 'now');
  await expect(how.stage('copied').getByText('free slot (')).toBeVisible();
  await expect.poll(() => logger.kept(), { intervals: [20] }).toBeGreaterThan(8000);
  await how.button('Unplug').click();
  await expect(logger.update).toContainText('The cable came out at');
  await expect(how.stage('copied'), 'it waits in that step').toHaveAttribute('data-state', 'now');
  await expect(how.button('Plug in'), 'the keyboard stays where it was').toBeFocused();
  await picture('copied');
  const kept = await logger.kept();
  expect(kept).toBeGreaterThan(8000);
  await how.button('Plug in').click();
  await logger.goesOn();
  expect(await logger.kept(), 'the copy goes on from there').toBeGreaterThanOrEqual(kept);
  await how.button('Cut the power').click();
  await expect(logger.update).toContainText('The cable came out at');
  await expect(how.stage('copied')).toHaveAttribute('data-state', 'now');
  await how.button('Plug in').click();

  await expect(how.stage('installed')).toHaveAttribute('data-state', 'now');
  const memory = logger.page.locator('.memory');
  await expect(memory.locator('.legend')).toContainText('written where they differ');
  // The picture fills as flash does.
  const put = () => memory.locator('.map .d').count();
  await expect.poll(put, { timeout: 30_000, intervals: [100] }).toBeGreaterThan(8);
  const sooner = await put();
  await expect.poll(put, { intervals: [100] }).toBeGreaterThan(sooner);
  await expect(memory.locator('.map .c')).not.toHaveCount(0);
  await picture('installed');
  await how.button('Cut the power').click();
  await expect(logger.bench).toContainText('It has no power at all.');
  await expect(how.stage('installed'), 'it is not done').toHaveAttribute('data-state', 'now');
  expect(await put(), 'what was written stays').toBeGreaterThan(sooner);
  await how.button('Plug in').click();
  await logger.expectRuns('1.1.0');
  await how.expectAllDone(STAGES);
  expect(await how.seen()).toEqual(['checked', 'copied', 'restarted', 'installed', 'started']);
  await picture('done');

  await how.watch();
  await logger.wayBack.click();
  await page.getByRole('button', { name: 'Go back to 1.0.0' }).click();
  await expect(how.stage('installed')).toHaveAttribute('data-state', 'now');
  await expect(how.stage('copied'), 'nothing is copied').toBeHidden();
  await expect(how.card.getByRole('heading', { name: 'The way back' })).toBeVisible();
  await picture('back');
  await how.button('Slow motion').click();
  await expect(page.getByRole('heading', { name: '1.0.0 is back' })).toBeVisible({ timeout: 45_000 });
  await expect(logger.fact('firmware')).toHaveText('1.0.0');
  await how.expectAllDone(['restarted', 'installed', 'started', 'confirmed']);
  expect(await how.seen()).toEqual(['restarted', 'installed', 'started']);
});

test('it is opened for whoever asks again', async ({ page, chooser }) => {
  const [logger, how] = await newcomer(page, chooser);
  await how.summary.click();
  await expect(how.card).not.toHaveAttribute('open');
  await how.summary.click();
  await how.button('Slow motion').click();
  await how.summary.click();
  await logger.hand('Put it away').click();
  await page.getByRole('button', { name: 'See how an update works' }).click();
  await expect(how.summary).toBeFocused();
  await expect(how.card).toHaveAttribute('open');
  await expect(how.button('Slow motion'), 'another virtual logger goes at its own pace').toHaveAttribute('aria-pressed', 'false');
});

test('it is in the update tab, closed until it is wanted, and has headings in order', async ({ page, chooser }) => {
  const logger = new VirtualLogger(page, chooser);
  await logger.try();
  const how = new How(page);
  await expect(how.card).not.toHaveAttribute('open');
  await how.summary.focus();
  await page.keyboard.press('Enter');
  await expect(how.stage('checked')).toBeVisible();
  for (const name of ['Unplug', 'Cut the power', 'Slow motion']) {
    await page.keyboard.press('Tab');
    await expect(how.button(name)).toBeFocused();
  }
  const headings = await page.getByRole('tabpanel', { name: 'Update' }).getByRole('heading', { includeHidden: false });
  const levels = await headings.evaluateAll((all) => all.map(({ tagName }) => Number(tagName[1])));
  expect(levels.length).toBeGreaterThan(STAGES.length + 2);
  levels.forEach((level, at) => expect(level - (levels[at - 1] ?? 1), `heading ${at}`).toBeLessThanOrEqual(1));
});

test('beside a real logger it offers no hands', async ({ page, device, chooser }) => {
  const logger = new VirtualLogger(page, chooser);
  await device.plug();
  await logger.connect();
  const how = new How(page);
  await how.summary.click();
  await expect(how.card).toContainText('as your logger takes them');
  await expect(how.card.getByRole('button')).toHaveCount(0);
});

for (const colorScheme of ['light', 'dark']) {
  for (const [width, height] of [
    [1280, 900],
    [360, 800],
  ]) {
    test.describe(`in ${colorScheme} colours, ${width} wide, in French`, () => {
      test.use({ colorScheme, viewport: { width, height }, locale: 'fr-CH' });
      test('everybody can read it', async ({ page }) => {
        await page.getByRole('button', { name: 'Voir comment se passe une mise à jour' }).click();
        const how = new How(page);
        await expect(how.summary).toBeFocused();
        await expect(how.card).toContainText('trois emplacements');
        await expect(page.locator('[data-fact="state"]')).toHaveText('Enregistre');
        const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']).analyze();
        expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(overflow, 'nothing sticks out').toBeLessThanOrEqual(0);
        const folder = process.env.LOGDOCK_PICTURES;
        if (folder) await page.screenshot({ path: join(folder, `how-fr-${width}-${colorScheme}.png`), fullPage: true });
      });
    });
  }
}
