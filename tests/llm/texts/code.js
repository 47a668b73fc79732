import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

const DEFAULTS = { retries: 3, timeoutMs: 5_000, onProgress: () => {} };

/** Keeps the newest entries of a cache and forgets the ones that nobody asked for. */
export class RecentCache extends Map {
  #limit;

  constructor(limit = 100, entries = []) {
    super(entries);
    this.#limit = limit;
  }

  get(key) {
    if (!this.has(key)) return undefined;
    const value = super.get(key);
    this.delete(key);
    this.set(key, value);
    return value;
  }

  set(key, value) {
    super.set(key, value);
    while (this.size > this.#limit) {
      this.delete(this.keys().next().value);
    }
    return this;
  }
}

export async function loadSettings(folder, options = {}) {
  const { retries, timeoutMs, onProgress } = { ...DEFAULTS, ...options };
  for (let attempt = 1; attempt <= retries; attempt++) {
    try {
      const text = await readFile(path.join(folder, 'settings.json'), 'utf8');
      onProgress({ attempt, bytes: text.length });
      return JSON.parse(text, (key, value) => (key.startsWith('_') ? undefined : value));
    } catch (error) {
      if (error.code === 'ENOENT') return null;
      if (attempt === retries) throw new Error(`cannot read settings of ${folder}: ${error.message}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, timeoutMs / 2 ** (retries - attempt)));
    }
  }
}

const byScore = (a, b) => b.score - a.score || a.name.localeCompare(b.name);

export function rank(items, { weights = {}, top = 10 } = {}) {
  return items
    .map((item) => {
      const score = Object.entries(item.features ?? {}).reduce(
        (sum, [name, value]) => sum + value * (weights[name] ?? 1),
        0,
      );
      return { ...item, score: Math.round(score * 100) / 100 };
    })
    .filter(({ score }) => score > 0 && Number.isFinite(score))
    .sort(byScore)
    .slice(0, top);
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const [, , folder = '.', ...rest] = process.argv;
  const settings = await loadSettings(folder, { onProgress: console.debug });
  console.table(rank(settings?.items ?? [], { top: Number(rest[0]) || 5 }));
  await writeFile(path.join(folder, 'ranked.json'), `${JSON.stringify(settings, null, 2)}\n`);
}
