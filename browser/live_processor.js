// An AudioWorklet: passes what the microphone hears on in chunks, and plays the voices that come back.
// It runs at the sound card's rate and only resamples, in a fraction of a millisecond: what takes longer than a
// quantum of 3 ms would make the sound stutter.

import { Resampler } from "./resampling.js";
import { joined } from "./signals.js";

class LiveProcessor extends AudioWorkletProcessor {
  constructor({ outputChannelCount: [ears], processorOptions: { chunk, rate, waiting } }) {
    super();
    this.hearing = new Resampler(sampleRate, rate);
    this.chunk = new Float32Array(chunk);
    this.filled = 0;
    this.waiting = waiting; // chunks that are there before the first is played
    this.queue = [];
    this.playing = Array.from({ length: ears }, () => new Resampler(rate, sampleRate));
    this.ready = this.playing.map(() => new Float32Array(0)); // what is played next in each ear
    this.started = false;
    this.gains = this.playing.map(() => []); // of each voice in each ear; those beyond are not heard
    this.port.onmessage = ({ data }) => {
      if (data.worker) {
        this.worker = data.worker;
        this.worker.onmessage = (event) => this.enqueue(event.data);
      }
      if (data.gains) this.gains = data.gains;
    };
  }

  /** Take a chunk of the voices; after a stall the oldest are left out, or the latency would stay. */
  enqueue(sources) {
    this.queue.push(sources);
    if (this.queue.length <= 4 * this.waiting) return;
    this.queue.splice(0, this.queue.length - this.waiting);
    this.port.postMessage("late");
  }

  process([input], [output]) {
    if (input[0]) this.hear(input[0]);
    this.play(output);
    return true;
  }

  hear(samples) {
    for (const sample of this.hearing.push(samples)) {
      this.chunk[this.filled++] = sample;
      if (this.filled === this.chunk.length) {
        this.worker?.postMessage(this.chunk.slice());
        this.filled = 0;
      }
    }
  }

  play(output) {
    if (!this.started) this.started = this.queue.length > this.waiting;
    if (!this.started) return;
    const length = output[0].length;
    while (this.ready[0].length < length) {
      if (this.queue.length === 0) {
        this.started = false;
        this.port.postMessage("late");
        return;
      }
      const sources = this.queue.shift();
      this.ready = this.ready.map((before, ear) => {
        const samples = weightedSum(sources, this.gains[ear], this.chunk.length);
        return joined([before, this.playing[ear].push(samples)]);
      });
    }
    output.forEach((channel, ear) => channel.set(this.ready[ear].subarray(0, length)));
    this.ready = this.ready.map((samples) => samples.subarray(length));
  }
}

function weightedSum(signals, gains, length) {
  const sum = new Float32Array(length);
  gains.forEach((gain, place) => signals[place].forEach((sample, i) => (sum[i] += gain * sample)));
  return sum;
}

registerProcessor("live-processor", LiveProcessor);
