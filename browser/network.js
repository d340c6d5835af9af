// Graphs that `tasnet export onnx` wrote, run by onnxruntime in WebAssembly. Everything lies beside the page.

import * as ort from "./runtime/ort.wasm.bundle.min.mjs";

ort.env.wasm.wasmPaths = { wasm: new URL("./runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href };
// A worker has one thread: several would need response headers that a plain file server does not send.
ort.env.wasm.numThreads = 1;

const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };

/** A whole separator: a mixture of any length in, its sources out. */
export class Separator {
  static async load(url) {
    return new Separator(await ort.InferenceSession.create(url, options));
  }

  constructor(session) {
    this.session = session;
  }

  /**
   * @param {Float32Array} mixture at the separator's rate
   * @returns {Promise<Float32Array[]>} its sources
   */
  async separate(mixture) {
    const input = new ort.Tensor("float32", mixture, [1, mixture.length]);
    const { sources } = await this.session.run({ mixture: input });
    return columns(sources);
  }
}

/** A causal separator, a chunk of a stream at a time. */
export class StreamingSeparator {
  /**
   * @param {string} url
   * @param {{name: string, type: string, shape: number[]}[]} state what the graph keeps from chunk to chunk
   */
  static async load(url, state) {
    return new StreamingSeparator(await ort.InferenceSession.create(url, options), state);
  }

  constructor(session, state) {
    this.session = session;
    this.state = {};
    for (const { name, type, shape } of state) {
      const size = shape.reduce((a, b) => a * b, 1);
      // Moments of all that was heard are counted in double precision.
      const zeros = type === "float64" ? new Float64Array(size) : new Float32Array(size);
      this.state[name] = new ort.Tensor(type, zeros, shape);
    }
  }

  /**
   * @param {Float32Array} chunk as many samples as the graph takes
   * @returns {Promise<Float32Array[]>} as many of each source
   */
  async step(chunk) {
    const input = new ort.Tensor("float32", chunk, [1, chunk.length]);
    const outputs = await this.session.run({ chunk: input, ...this.state });
    for (const name of Object.keys(this.state)) this.state[name] = outputs[`next.${name}`];
    return columns(outputs.sources);
  }
}

/** Take a tensor [1, time, C] apart into its C signals. */
function columns({ data, dims: [, time, count] }) {
  return Array.from({ length: count }, (_, c) => Float32Array.from({ length: time }, (_, t) => data[t * count + c]));
}
