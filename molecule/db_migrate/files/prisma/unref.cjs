// The engine's timer for its lock would keep the command ten seconds after its work.
const timer = globalThis.setTimeout;
globalThis.setTimeout = (...given) => timer(...given).unref();
