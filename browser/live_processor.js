// An AudioWorklet: passes what the microphone hears on in chunks, and plays the voices that come back.
// It computes nothing: what takes longer than a quantum of 3 ms would make the sound stutter.

class LiveProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions: { chunk, waiting } }) {
    super();
    this.chunk = new Float32Array(chunk);
    this.filled = 0;
    this.waiting = waiting; // chunks that are there before the first is played
    this.queue = [];
    this.played = 0; // samples of the queue's first
    this.started = false;
    this.voices = null; // for each channel what it plays: null: nothing
    this.port.onmessage = ({ data }) => {
      if (data.worker) {
        this.worker = data.worker;
        this.worker.onmessage = (event) => this.enqueue(event.data);
      }
      if (data.voices) this.voices = data.voices;
    };
  }

  /** Take a chunk of the voices; after a stall the oldest are left out, or the latency would stay. */
  enqueue(sources) {
    this.queue.push(sources);
    if (this.queue.length <= 4 * this.waiting) return;
    this.queue.splice(0, this.queue.length - this.waiting);
    this.played = 0;
    this.port.postMessage("late");
  }

  process([input], [output]) {
    if (input[0]) this.hear(input[0]);
    this.play(output);
    return true;
  }

  hear(samples) {
    for (const sample of samples) {
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
    for (let i = 0; i < length; i++) {
      if (this.queue.length === 0) {
        this.started = false;
        this.port.postMessage("late");
        return;
      }
      const sources = this.queue[0];
      output.forEach((channel, c) => {
        const voice = this.voices?.[c];
        channel[i] = voice == null ? 0 : sources[voice][this.played];
      });
      if (++this.played === sources[0].length) {
        this.queue.shift();
        this.played = 0;
      }
    }
  }
}

registerProcessor("live-processor", LiveProcessor);
