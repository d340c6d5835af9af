// A worker: separates a stream, chunk by chunk.

import { LiveVoices } from "./live_voices.js";
import { StreamingSeparator } from "./network.js";
import { joined } from "./signals.js";

// Seconds of which the mixture and the voices are kept for listening to them afterwards.
const KEPT = 600;
// Chunks that may wait to be separated; on a machine that is too slow those beyond are left out.
const MAX_PENDING = 50;

self.onmessage = async ({ data: { model, port } }) => {
  try {
    const separator = await StreamingSeparator.load(model.step, model.state);
    const stream = new Stream(separator, model, port);
    port.onmessage = ({ data }) => stream.hear(data);
    self.onmessage = () => stream.stop();
    self.postMessage({ ready: true });
  } catch (error) {
    self.postMessage({ error: String(error.message ?? error) });
  }
};

class Stream {
  constructor(separator, { sample_rate: rate, latency, counts_voices: counts }, port) {
    this.separator = separator;
    this.voices = counts ? new LiveVoices(rate) : null;
    this.rate = rate;
    this.latency = latency; // samples that the voices come after the mixture
    this.port = port;
    this.chunks = []; // [mixture, ...sources] each
    this.turn = Promise.resolve();
    this.pending = 0;
  }

  hear(chunk) {
    if (this.pending === MAX_PENDING) return self.postMessage({ late: true });
    this.pending += 1;
    this.turn = this.turn.then(async () => {
      const began = performance.now();
      const sources = await this.separator.step(chunk);
      this.voices?.hear(sources);
      const seconds = (performance.now() - began) / 1000;
      this.pending -= 1;
      this.port.postMessage(sources);
      const levels = [chunk, ...sources].map(level);
      self.postMessage({ levels, share: (seconds * this.rate) / chunk.length });
      this.chunks.push([chunk, ...sources]);
      if (this.chunks.length * chunk.length > KEPT * this.rate) this.chunks.shift();
    });
    this.turn.catch((error) => self.postMessage({ error: String(error.message ?? error) }));
  }

  async stop() {
    await this.turn;
    const whole = (this.chunks[0] ?? []).map((_, place) => joined(this.chunks.map((chunk) => chunk[place])));
    const signals = whole.map((signal, place) => (place ? signal.slice(this.latency) : signal.slice(0, -this.latency)));
    self.postMessage({ signals }, signals.map((signal) => signal.buffer));
  }
}

function level(signal) {
  return Math.sqrt(signal.reduce((sum, sample) => sum + sample * sample, 0) / signal.length);
}
