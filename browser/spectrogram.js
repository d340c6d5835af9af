// A picture of a signal: frequencies upwards, time to the right, 60 dB from dark to light.

import { powerSpectra } from "./spectrum.js";

const FRAME = 256;
const DYNAMIC_RANGE_DB = 60;
const MAX_COLUMNS = 1200;
// As in the reports of trainings: speechbrain_tasnet/report/media.py.
const RAMPS = {
  mixture: ["#0d1117", "#3a4048", "#7d858f", "#c6ccd3", "#ffffff"],
  voice: ["#0d1117", "#5a2c0c", "#c8691a", "#f5b878", "#ffffff"],
};

/**
 * @param {Float32Array} samples
 * @param {"mixture" | "voice"} role
 * @param {number} loudest of all pictures that are compared, in dB: `loudness` of the mixture
 * @returns {HTMLCanvasElement}
 */
export function spectrogram(samples, role, loudest) {
  const levels = decibels(samples);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(levels.length, 1);
  canvas.height = FRAME / 2 + 1;
  const palette = colours(RAMPS[role]);
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  levels.forEach((frame, column) =>
    frame.forEach((level, bin) => {
      const share = Math.min(Math.max((level - loudest) / DYNAMIC_RANGE_DB + 1, 0), 1);
      const at = 4 * ((canvas.height - 1 - bin) * canvas.width + column);
      image.data.set(palette[Math.round(share * (palette.length - 1))], at);
    }),
  );
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Return the level of the loudest point of a signal's spectrogram, in dB. */
export function loudness(samples) {
  return decibels(samples).reduce((a, frame) => frame.reduce((b, level) => Math.max(b, level), a), -Infinity);
}

function decibels(samples) {
  const hop = Math.max(FRAME / 4, Math.ceil(samples.length / MAX_COLUMNS));
  return powerSpectra(samples, FRAME, hop).map((frame) => frame.map((power) => 10 * Math.log10(power + 1e-12)));
}

function colours(ramp) {
  const stops = ramp.map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  return Array.from({ length: 64 }, (_, i) => {
    const place = (i / 63) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    const colour = stops[low].map((value, c) => value + (stops[low + 1][c] - value) * (place - low));
    return [...colour.map(Math.round), 255];
  });
}
