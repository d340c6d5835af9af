// Signals of any length in windows that overlap, joined in one order of speakers.
// The twin of speechbrain_tasnet/separation/windows.py, which says why; tests/test_browser_page.py compares the two.

import { bestAssignment } from "./assignment.js";
import { VoiceMemory, voiceprints } from "./voice_memory.js";

const OVERLAP = 1 / 6;
const HEARD = 0.1;
const KEEP = 1e-6;
const VOICE = 0.2;

/**
 * Cut a signal into windows of one size; the last one reaches back farther.
 * @param {Float32Array} samples
 * @param {number} size samples of a window
 * @returns {{begin: number, end: number, hop: number}[]} hop: samples by which it begins after the one before
 */
export function cutWindows(samples, size) {
  const windows = [{ begin: 0, end: Math.min(size, samples.length), hop: 0 }];
  for (let last = windows[0]; last.end < samples.length; last = windows.at(-1)) {
    const hop = Math.min(nextHop(samples.subarray(last.begin, last.end)), samples.length - last.end);
    windows.push({ begin: last.begin + hop, end: last.end + hop, hop });
  }
  return windows;
}

/** Puts the sources of windows, which come in order, into one signal for each speaker. */
export class Joiner {
  /**
   * @param {number} length samples of the whole signal
   * @param {number} rate in Hz
   */
  constructor(length, rate) {
    this.length = length;
    this.rate = rate;
    this.memory = new VoiceMemory();
    this.signals = null; // Float32Array[], a speaker each
  }

  /**
   * @param {{begin: number, end: number, hop: number}} window
   * @param {Float32Array[]} sources of this window, in any order
   */
  add(window, sources) {
    const { begin, end, hop } = window;
    const first = this.signals === null;
    if (first) this.signals = sources.map(() => new Float32Array(this.length));
    const shared = end - begin - hop; // with the window before
    const before = first ? null : this.signals.map((signal) => signal.subarray(begin, begin + shared));
    const fade = first ? 0 : Math.floor(Math.floor((end - begin) * OVERLAP) / 2);
    const start = first ? 0 : Math.floor((shared - fade) / 2);
    this.inOrder(sources, before).forEach((source, place) => {
      const signal = this.signals[place];
      for (let i = 0; i < fade; i++) {
        const at = begin + start + i;
        signal[at] += (source[start + i] - signal[at]) * ((i + 0.5) / fade);
      }
      signal.set(source.subarray(start + fade), begin + start + fade);
    });
  }

  inOrder(sources, before) {
    const voices = voiceprints(sources, this.rate);
    const likeness = this.memory.likeness(voices);
    const correlations = before && correlate(before, sources);
    const agreement = likeness.map((row, i) =>
      row.map((like, j) => (i === j ? KEEP : 0) + VOICE * like + (correlations ? correlations[i][j] : 0)),
    );
    const order = bestAssignment(agreement);
    this.memory.remember(order.map((place) => voices[place]));
    return order.map((place) => sources[place]);
  }
}

function nextHop(mixture) {
  const size = mixture.length;
  const shortest = Math.floor(size * OVERLAP);
  const longest = Math.floor(size / 2);
  let energy = 0;
  for (const sample of mixture) energy += Math.fround(sample * sample);
  const enough = HEARD * OVERLAP * energy;
  let heard = 0;
  for (let i = 0; i < longest; i++) {
    const sample = mixture[size - 1 - i];
    heard += Math.fround(sample * sample);
    if (i >= shortest - 1 && heard >= enough) return size - (i + 1);
  }
  return size - shortest; // a pause as long as half a window: nothing is to be gained
}

function correlate(references, sources) {
  const length = references[0].length;
  const dot = (a, b) => {
    let sum = 0;
    for (let i = 0; i < length; i++) sum += a[i] * b[i];
    return sum;
  };
  const energy = (signals) => signals.reduce((sum, signal) => sum + dot(signal, signal), 0);
  const power = Math.sqrt(energy(references) * energy(sources));
  return references.map((reference) => sources.map((source) => (power > 0 ? dot(reference, source) / power : 0)));
}
