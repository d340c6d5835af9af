// Silence in the sources of a stream where nobody is heard.
// The twin of speechbrain_tasnet/separation/live_voices.py, which says why.

import { BELOW_LOUDEST, BELOW_SPEECH, LONGEST_GAP_SECONDS } from "./activity.js";

const [SMOOTHING, RAMP, MEMORY] = [0.05, 0.01, 10]; // seconds
const BELOW_PEAK = BELOW_SPEECH * 10 ** (-6 / 10);
const SOFTEST = 1e-6;

export class LiveVoices {
  /** @param {number} rate in Hz */
  constructor(rate) {
    this.size = Math.round(SMOOTHING * rate);
    this.step = 1 / (RAMP * rate);
    this.forget = 1 / (MEMORY * rate);
    this.hold = Math.round(LONGEST_GAP_SECONDS * rate);
    this.peak = Math.log(SOFTEST);
    this.place = 0; // in the energies
    this.voices = null;
  }

  /**
   * Silence the next samples where nobody is heard.
   * @param {Float32Array[]} sources as many samples of each; changed in place
   */
  hear(sources) {
    this.voices ??= sources.map(() => ({
      energies: new Float64Array(this.size), // the last ones, in a ring
      sum: 0,
      since: this.hold, // samples since it was last loud enough
      gain: 0,
    }));
    for (let i = 0; i < sources[0].length; i++) {
      const floor = this.floorAfter(sources, i);
      this.voices.forEach((voice, c) => {
        voice.since = voice.sum / this.size > floor ? 0 : Math.min(voice.since + 1, this.hold);
        const step = voice.since < this.hold ? this.step : -this.step;
        voice.gain = Math.min(Math.max(voice.gain + step, 0), 1);
        sources[c][i] *= voice.gain;
      });
    }
  }

  /** Take in a sample of each voice, and return the power above which a voice is heard. */
  floorAfter(sources, i) {
    let loudest = 0;
    this.voices.forEach((voice, c) => {
      const energy = sources[c][i] ** 2;
      voice.sum += energy - voice.energies[this.place];
      voice.energies[this.place] = energy;
      loudest = Math.max(loudest, voice.sum / this.size);
    });
    this.place = (this.place + 1) % this.size;
    this.peak = Math.max(Math.log(loudest + SOFTEST), this.peak - this.forget);
    return Math.max(BELOW_LOUDEST * loudest, BELOW_PEAK * Math.exp(this.peak), SOFTEST);
  }
}
