// Who is heard in separated sources, and silence where nobody is.
// The twin of speechbrain_tasnet/audio/activity.py and separation/voices.py, which say why.

const HOP = 0.01; // seconds of a frame; all else in frames, or as a share of a power
const SMOOTHING = 5;
export const BELOW_LOUDEST = 10 ** (-18 / 10);
export const BELOW_SPEECH = 10 ** (-35 / 10);
export const LONGEST_GAP_SECONDS = 0.5;
const BELOW_ALL = 10 ** (-8 / 10);
const [LONGEST_GAP, SHORTEST, MARGIN] = [LONGEST_GAP_SECONDS / HOP, 20, 5];

/**
 * Choose the sources in which somebody is heard, and make them silent elsewhere.
 * @param {Float32Array[]} sources all outputs of a separator that counts voices; changed in place
 * @param {number} rate in Hz
 * @returns {Float32Array[]} those that are heard
 */
export function heardSources(sources, rate) {
  const hop = Math.max(1, Math.round(HOP * rate));
  const energies = sources.map((source) => smoothed(frameEnergies(source, hop)));
  const active = activeFrames(energies);
  return sources.filter((source, c) => {
    gate(source, active[c], hop);
    return holdsVoice(energies, c, active[c]);
  });
}

/** Whether an output is more than a little of every voice in the moments in which it is heard, if it ever is. */
function holdsVoice(energies, output, active) {
  let [held, ofAll] = [0, 0];
  active.forEach((heard, t) => {
    if (!heard) return;
    held += energies[output][t];
    for (const values of energies) ofAll += values[t];
  });
  return held > 0 && held >= BELOW_ALL * ofAll;
}

function frameEnergies(source, hop) {
  return Array.from({ length: Math.ceil(source.length / hop) }, (_, t) => {
    const frame = source.subarray(t * hop, (t + 1) * hop);
    return frame.reduce((sum, sample) => sum + sample * sample, 0) / frame.length;
  });
}

function activeFrames(energies) {
  const loudest = energies[0].map((_, t) => Math.max(...energies.map((values) => values[t])));
  const peak = 0.01 * quantile(loudest, 0.99);
  const loud = loudest.filter((value) => value > peak);
  const speech = loud.reduce((a, b) => a + b, 0) / Math.max(loud.length, 1);
  const shortest = Math.min(SHORTEST, loudest.length / 2); // also in recordings of less than that
  return energies.map((values) => {
    const heard = values.map((value, t) => value > Math.max(loudest[t] * BELOW_LOUDEST, speech * BELOW_SPEECH));
    const active = heard.map(() => false);
    for (const [start, end] of bridged(runs(heard)).filter(([start, end]) => end - start >= shortest)) {
      active.fill(true, Math.max(start - MARGIN, 0), Math.min(end + MARGIN, active.length));
    }
    return active;
  });
}

/** Take means over some frames, with silence beyond both ends. */
function smoothed(energies) {
  const size = Math.min(SMOOTHING, energies.length);
  const before = Math.floor(size / 2);
  return energies.map((_, t) => {
    let sum = 0;
    for (let i = Math.max(t - before, 0); i < Math.min(t - before + size, energies.length); i++) sum += energies[i];
    return sum / size;
  });
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)];
  return below + (place % 1) * (sorted[Math.ceil(place)] - below);
}

/** List where each run of true frames starts and ends. */
function runs(heard) {
  const found = [];
  heard.forEach((value, t) => {
    if (value && !heard[t - 1]) found.push([t, t]);
    if (value) found.at(-1)[1] = t + 1;
  });
  return found;
}

/** Join runs with short gaps between them. */
function bridged(found) {
  const joined = [];
  for (const [start, end] of found) {
    if (joined.length && start - joined.at(-1)[1] < LONGEST_GAP) joined.at(-1)[1] = end;
    else joined.push([start, end]);
  }
  return joined;
}

/** Fade a source in and out within a frame where somebody begins and ends to be heard. */
function gate(source, active, hop) {
  const level = (t) => Number(active[Math.min(Math.max(t, 0), active.length - 1)]);
  for (let i = 0; i < source.length; i++) {
    const place = (i + 0.5) / hop - 0.5;
    const frame = Math.floor(place);
    source[i] *= level(frame) + (place - frame) * (level(frame + 1) - level(frame));
  }
}
