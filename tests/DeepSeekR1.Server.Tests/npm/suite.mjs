// Runs every case with every client library and prints one JSON object: client, case, what came out.
// Argument: JSON with main, loading, busy and renamed (base URLs), key and model.
import { clients } from './clients.mjs';

const { main, loading, busy, renamed, key, model } = JSON.parse(process.argv[2]);
const common = { baseURL: main, key, model, retries: 0 };

// What a library tells about a failure: HTTP status, the server's own words, and whether it was an abort.
function failure(error) {
  const cause = error.lastError ?? error;
  return { status: cause.status ?? cause.statusCode ?? null, message: String(cause.message ?? cause), abort: /abort/i.test(error.name + ' ' + error.message) };
}

async function outcome(run) {
  try {
    return await run();
  } catch (error) {
    return failure(error);
  }
}

// Leaves after a few pieces.
function leaving(client) {
  const control = new AbortController();
  let pieces = 0;
  return client.stream({ ...common, user: 'slow', extra: { max_tokens: 200 }, signal: control.signal, seen: () => { if (++pieces === 3) control.abort(); } });
}

const cases = {
  'whole': (c) => c.whole?.({ ...common, user: 'short' }),
  'whole-length': (c) => c.whole?.({ ...common, user: 'short', extra: { max_tokens: 5 } }),
  'stream': (c) => c.stream({ ...common, user: 'short' }),
  'stream-renamed': (c) => c.stream({ ...common, baseURL: renamed, user: 'short' }),
  'stream-length': (c) => c.stream({ ...common, user: 'short', extra: { max_tokens: 5 } }),
  'stream-two': (c) => c === clients['openai-stream-helper'] ? c.stream({ ...common, user: 'short', extra: { n: 2 } }) : undefined,
  'stream-pings': (c) => c.stream({ ...common, user: 'late' }),
  'stream-fails': (c) => c.stream({ ...common, user: 'fails' }),
  'wrong-key': (c) => c.stream({ ...common, key: 'wrong' }),
  'wrong-model': (c) => c.stream({ ...common, model: 'gpt-4' }),
  'wrong-field': (c) => c.stream({ ...common, user: 'short', extra: { min_p: 2 } }),
  'wrong-route': (c) => c.stream({ ...common, baseURL: main + '/nowhere' }),
  'leaves': leaving,
  'retry-503': (c) => c.stream({ ...common, baseURL: loading, user: 'short', retries: 2 }),
  'retry-429': (c) => c.stream({ ...common, baseURL: busy, user: 'short', retries: 2 }),
};

const results = {};
await Promise.all(Object.entries(clients).flatMap(([clientName, client]) => Object.entries(cases).map(async ([caseName, run]) => {
  const result = await outcome(() => run(client));
  if (result) results[clientName + ' ' + caseName] = result;
})));
console.log(JSON.stringify(results));
process.exit(0);
