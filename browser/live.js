// From the microphone to the loudspeaker: an AudioWorklet hears and plays, a worker separates.

import { Resampler } from "./resampling.js";

// Chunks that wait to be played: so long may a chunk take once, while the browser does something else.
const WAITING = 3;

export class Live {
  /**
   * Ask for the microphone and begin.
   * @param {{step: string, chunk: number, state: object[], sample_rate: number, latency: number}} model
   * @param {(event: {levels?: number[], share?: number, late?: boolean, error?: string}) => void} report
   */
  static async start(model, report) {
    // Echo cancelling and noise suppression were made for one voice; ours is to hear all.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
    const microphone = await navigator.mediaDevices.getUserMedia({ audio });
    const live = new Live(model, report, microphone);
    try {
      await live.connect();
    } catch (error) {
      live.release();
      throw error;
    }
    return live;
  }

  constructor(model, report, microphone) {
    this.model = model;
    this.report = report;
    this.microphone = microphone;
    this.context = new AudioContext({ latencyHint: "interactive" }); // at the sound card's own rate
    this.worker = new Worker(new URL("./live_worker.js", import.meta.url), { type: "module" });
  }

  async connect() {
    await this.context.audioWorklet.addModule(new URL("./live_processor.js", import.meta.url));
    const { port1, port2 } = new MessageChannel();
    const ready = new Promise((resolve, reject) => {
      this.worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve());
      this.worker.onerror = (event) => reject(new Error(event.message || "The worker could not be loaded."));
    });
    this.worker.postMessage({ model: this.model, port: port1 }, [port1]);
    await ready;
    this.worker.onmessage = ({ data }) => (data.signals ? this.stopped(data.signals) : this.report(data));
    this.node = new AudioWorkletNode(this.context, "live-processor", {
      outputChannelCount: [2],
      processorOptions: { chunk: this.model.chunk, rate: this.model.sample_rate, waiting: WAITING },
    });
    this.node.port.onmessage = () => this.report({ late: true });
    this.node.port.postMessage({ worker: port2 }, [port2]);
    this.context.createMediaStreamSource(this.microphone).connect(this.node).connect(this.context.destination);
    await this.context.resume();
  }

  /** Seconds from the microphone to the loudspeaker, without what the sound card adds before. */
  get latency() {
    const rate = this.model.sample_rate;
    const chunks = (1 + WAITING) * this.model.chunk + this.model.latency;
    const resampling = 2 * Resampler.delay(this.context.sampleRate, rate); // there and back
    return chunks / rate + resampling + (this.context.outputLatency || this.context.baseLatency || 0);
  }

  /** Choose how loud each voice is played in the left and the right ear; voices without a gain are not. */
  play(left, right) {
    this.node.port.postMessage({ gains: [left, right] });
  }

  /** End, and return what was heard: [mixture, ...voices]. */
  async stop() {
    const signals = new Promise((resolve) => (this.stopped = resolve));
    this.node.disconnect();
    this.microphone.getTracks().forEach((track) => track.stop());
    this.worker.postMessage("stop");
    const heard = await signals;
    this.release();
    return heard;
  }

  release() {
    this.microphone.getTracks().forEach((track) => track.stop());
    this.worker.terminate();
    this.context.close();
  }
}
