// Another sampling rate by a windowed sinc, for a signal that comes in blocks.
// The twin of speechbrain_tasnet/audio/resampling.py; tests/test_browser_page.py compares the two.
// Chromium's own filter is as short for 48 to 8 kHz as for 48 to 44.1 kHz: 3 kHz loses 3.6 dB, and 5 kHz comes
// back as 3 kHz, only 16 dB quieter.

import { joined } from "./signals.js";

// Of the sinc on either side, and of its Kaiser window: scipy's.
const ZERO_CROSSINGS = 10;
const BETA = 5;

/** Resamples block by block; the outputs in a row are what Python's `resample` makes of the whole signal. */
export class Resampler {
  /**
   * @param {number} oldRate in Hz
   * @param {number} newRate in Hz
   */
  constructor(oldRate, newRate) {
    const common = greatestCommonDivisor(oldRate, newRate);
    this.up = newRate / common;
    this.down = oldRate / common;
    if (this.up === this.down) return;
    // Think of the input with zeros between its samples, at `up` times its rate; output m is the filter's sum
    // around m * down there. Only every `up`th coefficient meets a sample that is not zero. The coefficients
    // that do so together are a phase of the filter, and the outputs take turns with the phases.
    this.reach = ZERO_CROSSINGS * Math.max(this.up, this.down);
    this.phases = polyphase(this.reach, this.up, this.down);
    this.taken = 0; // samples so far
    this.given = 0;
    const longest = this.phases[0].length;
    this.begin = this.newest(0) - longest + 1; // place of the first sample held; before 0 is silence
    this.held = new Float32Array(-this.begin);
  }

  /** Return the seconds that an output waits for later samples. */
  static delay(oldRate, newRate) {
    return oldRate === newRate ? 0 : ZERO_CROSSINGS / Math.min(oldRate, newRate);
  }

  /**
   * @param {Float32Array} samples the next ones
   * @returns {Float32Array} the outputs that need no later samples
   */
  push(samples) {
    if (this.up === this.down) return samples;
    const held = joined([this.held, samples]);
    const { begin, phases } = this;
    this.taken += samples.length;
    // Output m is known once its newest sample is.
    const known = Math.floor(((begin + held.length) * this.up - this.reach - 1) / this.down) + 1;
    const out = new Float32Array(Math.max(known - this.given, 0));
    for (let i = 0; i < out.length; i++) {
      const at = (this.given + i) * this.down + this.reach;
      const newest = Math.floor(at / this.up);
      const taps = phases[at - newest * this.up];
      let sum = 0;
      for (let j = 0, n = newest - begin; j < taps.length; j++, n--) sum += taps[j] * held[n];
      out[i] = sum;
    }
    this.given += out.length;
    const needed = this.newest(this.given) - phases[0].length + 1;
    this.held = held.slice(needed - begin);
    this.begin = needed;
    return out;
  }

  /** Return the last outputs: after the end there is silence. */
  finish() {
    if (this.up === this.down) return new Float32Array(0);
    const rest = Math.ceil((this.taken * this.up) / this.down) - this.given;
    return this.push(new Float32Array(Math.ceil(this.reach / this.up) + 1)).slice(0, rest);
  }

  /** Return the place of the last sample that an output needs. */
  newest(output) {
    return Math.floor((output * this.down + this.reach) / this.up);
  }
}

function polyphase(reach, up, down) {
  const width = Math.max(up, down);
  const taps = Float64Array.from({ length: 2 * reach + 1 }, (_, i) => {
    const x = (i - reach) / width;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
    return sinc * bessel(BETA * Math.sqrt(1 - ((i - reach) / reach) ** 2));
  });
  const gain = up / taps.reduce((sum, tap) => sum + tap, 0);
  return Array.from({ length: up }, (_, phase) =>
    Float32Array.from({ length: Math.ceil((taps.length - phase) / up) }, (_, j) => gain * taps[phase + j * up]),
  );
}

/** The modified Bessel function of the first kind and order 0, by its series. */
function bessel(x) {
  let sum = 1;
  for (let k = 1, term = 1; term > 1e-17 * sum; k++) sum += term *= (x / 2 / k) ** 2;
  return sum;
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
