// What voices sound like, remembered from window to window: who comes back after a pause gets his output again.
// The twin of speechbrain_tasnet/separation/voice_memory.py, which says why.

import { powerSpectra } from "./spectrum.js";

const FRAME = 0.032;
const BANDS = 24;
const [LOWEST, HIGHEST] = [60, 3800];
const LOUD = 10 ** (-25 / 10);
const FLOOR_DB = 40;
const [UNKNOWN, KNOWN, REMEMBERED] = [30, 100, 4000];
const SAME = 5;

/**
 * Take the mean spectra of sources, each where it is louder than all others.
 * @param {Float32Array[]} sources
 * @param {number} rate in Hz
 * @returns {{levels: Float64Array, frames: number}[]} a source each: levels in dB, and how many frames they are of
 */
export function voiceprints(sources, rate) {
  const size = Math.round(FRAME * rate);
  const powers = sources.map((source) => powerSpectra(source, size, Math.floor(size / 2)));
  const filters = melFilters(size / 2 + 1, rate);
  const energies = powers.map((frames) => frames.map((frame) => frame.reduce((a, b) => a + b, 0)));
  const numFrames = powers[0].length;
  const column = (values, t) => values.map((value) => value[t]);
  const loudest = Array.from({ length: numFrames }, (_, t) => Math.max(...column(energies, t)));
  const total = Array.from({ length: numFrames }, (_, t) => column(energies, t).reduce((a, b) => a + b, 0));
  const threshold = LOUD * loudest.reduce((a, b) => Math.max(a, b), 0);
  return powers.map((frames, place) => {
    const levels = new Float64Array(BANDS);
    let used = 0;
    frames.forEach((frame, t) => {
      if (energies[place][t] <= total[t] - energies[place][t] || loudest[t] <= threshold) return;
      frameLevels(frame, filters).forEach((level, band) => (levels[band] += level));
      used += 1;
    });
    return { levels: levels.map((level) => level / Math.max(used, 1)), frames: used };
  });
}

function frameLevels(powers, filters) {
  const levels = filters.map(({ first, weights }) => {
    const power = weights.reduce((sum, weight, i) => sum + weight * powers[first + i], 0);
    return 10 * Math.log10(Math.max(power, 1e-12));
  });
  const floor = Math.max(...levels) - FLOOR_DB;
  const raised = levels.map((level) => Math.max(level, floor));
  const mean = raised.reduce((a, b) => a + b, 0) / BANDS;
  return raised.map((level) => level - mean);
}

/** Triangles of equal width in mel, as torchaudio.functional.melscale_fbanks has them; without their zeros. */
function melFilters(numFrequencies, rate) {
  const mel = (hertz) => 2595 * Math.log10(1 + hertz / 700);
  const [low, high] = [mel(LOWEST), mel(Math.min(HIGHEST, rate / 2))];
  const corners = Array.from(
    { length: BANDS + 2 },
    (_, i) => 700 * (10 ** ((low + ((high - low) * i) / (BANDS + 1)) / 2595) - 1),
  );
  return Array.from({ length: BANDS }, (_, band) => {
    const [left, middle, right] = corners.slice(band, band + 3);
    const all = Array.from({ length: numFrequencies }, (_, i) => {
      const hertz = (i * (rate / 2)) / (numFrequencies - 1);
      return Math.max(0, Math.min((hertz - left) / (middle - left), (right - hertz) / (right - middle)));
    });
    const first = all.findIndex((weight) => weight > 0);
    return { first: Math.max(first, 0), weights: first < 0 ? [] : all.slice(first).filter((weight) => weight > 0) };
  });
}

/** The voices that have been heard so far. */
export class VoiceMemory {
  constructor() {
    this.known = null;
  }

  /** Compare each remembered voice with each new one: above 0 where they may be the same voice. */
  likeness(voices) {
    if (this.known === null) return voices.map(() => voices.map(() => 0));
    return this.known.map((known) =>
      voices.map((voice) => {
        const distance = known.levels.reduce((sum, level, i) => sum + (level - voice.levels[i]) ** 2, 0) / BANDS;
        const frames = Math.min(known.frames, voice.frames);
        const certainty = Math.min(Math.max((frames - UNKNOWN) / (KNOWN - UNKNOWN), 0), 1);
        return Math.max(SAME - distance, -SAME) * certainty;
      }),
    );
  }

  /** Take in how the voices, in the order of those remembered, sound now. */
  remember(voices) {
    this.known = voices.map((voice, place) => {
      const known = this.known?.[place] ?? { levels: voice.levels, frames: 0 };
      const frames = known.frames + voice.frames;
      const weight = voice.frames / Math.max(frames, 1);
      const levels = known.levels.map((level, i) => level + weight * (voice.levels[i] - level));
      return { levels, frames: Math.min(frames, REMEMBERED) };
    });
  }
}
