/** Planted faults of the positions that shards publish. */
import type { WatermarkEvent } from '../../src/testing/history-events.ts';
import { type Planted, type Plot, testPlanted } from '../../src/testing/history-story.ts';

/** Edits the last watermark sample: everything after `send` of a10. */
function tamperWatermark(
  plot: Plot,
  change: (last: WatermarkEvent) => Partial<WatermarkEvent>,
): void {
  const samples = plot.events.filter((event) => event.f === 'wm');
  const last = samples.at(-1) as WatermarkEvent;
  plot.events[plot.events.indexOf(last)] = { ...last, ...change(last) };
}

const PLANTED: readonly Planted[] = [
  [
    'the written position falls',
    'watermark',
    (plot) => {
      tamperWatermark(plot, (last) => ({
        written: 1,
        synced: 1,
        replicated: 1,
        visible: 1,
        epoch: last.epoch,
      }));
    },
  ],
  ['the epoch falls', 'watermark', (plot) => tamperWatermark(plot, () => ({ epoch: 0 }))],
  [
    'more is synced than written',
    'watermark',
    (plot) => {
      tamperWatermark(plot, (last) => ({ synced: last.written + 1 }));
    },
  ],
  [
    'more is replicated than written',
    'watermark',
    (plot) => {
      tamperWatermark(plot, (last) => ({ replicated: last.written + 1 }));
    },
  ],
  [
    'more is visible than synced',
    'watermark',
    (plot) => {
      tamperWatermark(plot, (last) => ({ visible: last.synced + 1 }));
    },
  ],
  [
    'more is visible than replicated',
    'watermark',
    (plot) => {
      tamperWatermark(plot, (last) => ({ mode: 'disk-replicated', replicated: last.visible - 1 }));
    },
  ],
  [
    'an ack left before its position was confirmed',
    'watermark',
    (plot) => {
      tamperWatermark(plot, (last) => ({ visible: last.visible - 1 }));
    },
  ],
  [
    'a new epoch begins below what was acknowledged',
    'watermark',
    (plot) => {
      tamperWatermark(plot, (last) => ({ epoch: 2, visible: last.visible - 1 }));
    },
  ],
];

testPlanted(PLANTED, ['watermark']);
