/**
 * Flight records of the npm package vega-datasets (US Department of Transportation, 2001), in the order of the file. The JSON
 * files have no airports; the Parquet file has, and is compressed with zstd.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decompress } from 'fzstd';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';

/** A record as it is sent; `record` is its number in the file, from 0. */
export type Flight = {
  readonly record: number;
  readonly date: string;
  readonly origin: string;
  readonly destination: string;
  /** Minutes; negative when early. */
  readonly delay: number;
  /** Miles. */
  readonly distance: number;
};

/** The package exports only its module; the data lies beside it. */
function dataFile(): string {
  const module = fileURLToPath(import.meta.resolve('vega-datasets'));
  return join(module, '..', '..', 'data', 'flights-3m.parquet');
}

/** The first `count` records that have an origin and a delay. */
export async function loadFlights(count: number): Promise<readonly Flight[]> {
  const file = await asyncBufferFromFile(dataFile());
  const rows = await parquetReadObjects({
    file,
    rowEnd: count,
    compressors: { ZSTD: (input, bytes) => decompress(input, new Uint8Array(bytes)) },
  });
  return rows
    .filter(({ origin, delay }) => typeof origin === 'string' && typeof delay === 'bigint')
    .map((row, record) => ({
      record,
      date: (row['date'] as Date).toISOString(),
      origin: row['origin'] as string,
      destination: row['destination'] as string,
      delay: Number(row['delay']),
      distance: Number(row['distance']),
    }));
}
