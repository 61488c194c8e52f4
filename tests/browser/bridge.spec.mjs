// A logger without USB, behind a USB-UART bridge: what the browser sees is the bridge, whose port stays while the logger
// restarts, and everything goes at 115,200 baud.
import { expect, test } from './fixtures.mjs';
import { digestOf } from './device.mjs';
import { LoggerPage } from './logger-page.mjs';
import { firmwareFile } from './places.mjs';

test.use({ flashed: 'factory-usart-1.0.0.hex', options: ['--usart', 'usart2'] });

test('a logger behind a bridge is updated over a port that stays', async ({ page, device, chooser }) => {
  const logger = new LoggerPage(page, chooser);
  await device.command('plug');
  await logger.connect();
  await expect(logger.fact('firmware')).toContainText('1.0.0');
  await logger.drop('logger-usart-1.1.0.hex', firmwareFile('logger-usart-1.1.0.hex'));
  await logger.start('1.1.0');
  await logger.expectRuns('1.1.0');
  expect(await device.image()).toEqual({
    version: '1.1.0',
    digest: digestOf(firmwareFile('logger-usart-1.1.0.bin')),
  });
});
