// Recordings of any length, a window for each worker at a time.

import { heardSources } from "./activity.js";
import { Joiner, cutWindows } from "./windows.js";

// Seconds that are separated at once. Memory is in proportion, and a tab has less than a program.
const WINDOW = 30;
const MAX_WORKERS = 4;

/**
 * Separate a recording.
 * @param {{graph: string, sample_rate: number, counts_voices: boolean}} model
 * @param {Float32Array} mixture at the model's rate
 * @param {{progress?: (share: number) => void, signal?: AbortSignal}} options
 * @returns {Promise<Float32Array[]>} a signal for each speaker; of a model that counts voices, for each that is heard
 */
export async function separateRecording(model, mixture, { progress = () => {}, signal } = {}) {
  const windows = cutWindows(mixture, WINDOW * model.sample_rate);
  const joiner = new Joiner(mixture.length, model.sample_rate);
  const done = new Map(); // windows that wait for one before them
  let joined = 0;
  const join = (place, sources) => {
    done.set(place, sources);
    for (; done.has(joined); joined++) {
      joiner.add(windows[joined], done.get(joined));
      done.delete(joined);
      progress((joined + 1) / windows.length);
    }
  };
  await inWorkers(
    windows.map(({ begin, end }, place) => ({ model: model.graph, mixture: mixture.slice(begin, end), place })),
    ({ place, sources }) => join(place, sources),
    signal,
  );
  return model.counts_voices ? heardSources(joiner.signals, model.sample_rate) : joiner.signals;
}

/** Hand tasks to workers until none is left. */
function inWorkers(tasks, take, signal) {
  const count = Math.min(tasks.length, navigator.hardwareConcurrency || 1, MAX_WORKERS);
  const url = new URL("./window_worker.js", import.meta.url);
  const workers = Array.from({ length: count }, () => new Worker(url, { type: "module" }));
  const finished = workers.map(
    (worker) =>
      new Promise((resolve, reject) => {
        const next = () => {
          const task = tasks.shift();
          if (task) worker.postMessage(task, [task.mixture.buffer]);
          else resolve();
        };
        worker.onmessage = ({ data }) => {
          if (data.error) return reject(new Error(data.error));
          take(data);
          next();
        };
        worker.onerror = (event) => reject(new Error(event.message || "The worker could not be loaded."));
        signal?.addEventListener("abort", () => reject(signal.reason));
        next();
      }),
  );
  return Promise.all(finished).finally(() => workers.forEach((worker) => worker.terminate()));
}
