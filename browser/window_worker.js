// A worker: separates windows of a recording, one after the other.

import { Separator } from "./network.js";

let separator = null;

self.onmessage = async ({ data: { model, mixture, place } }) => {
  try {
    separator ??= Separator.load(model);
    const sources = await (await separator).separate(mixture);
    self.postMessage({ place, sources }, sources.map((source) => source.buffer));
  } catch (error) {
    separator = null;
    self.postMessage({ place, error: String(error.message ?? error) });
  }
};
