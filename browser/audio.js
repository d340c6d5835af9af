// From files to samples and back.

import { Resampler } from "./resampling.js";

// Files whose own rate is not known are decoded to this one: to high rates browsers resample well.
const USUAL_RATE = 48000;
// Samples that are resampled at once, in a few milliseconds.
const BLOCK = 2 ** 16;
// One step below full scale of 16 bits.
const LOUDEST = 32767 / 32768;

/**
 * Decode a file of any format that the browser knows, at another rate, all channels in one.
 * @param {ArrayBuffer} bytes
 * @param {number} rate in Hz
 * @returns {Promise<Float32Array>}
 */
export async function decode(bytes, rate) {
  const buffer = await contextAt(fileRate(bytes) ?? USUAL_RATE).decodeAudioData(bytes);
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c));
  const resampler = new Resampler(buffer.sampleRate, rate);
  const samples = new Float32Array(Math.ceil((buffer.length * rate) / buffer.sampleRate));
  let done = 0;
  for (let begin = 0; begin < buffer.length; begin += BLOCK) {
    const known = resampler.push(meanOf(channels.map((channel) => channel.subarray(begin, begin + BLOCK))));
    samples.set(known, done);
    done += known.length;
    await otherTasks();
  }
  samples.set(resampler.finish(), done);
  return samples;
}

/**
 * Read the sampling rate from the header of a WAV or FLAC file, whose samples then reach us unchanged.
 * @param {ArrayBuffer} bytes
 * @returns {number | null} in Hz; null for other formats
 */
export function fileRate(bytes) {
  const data = new DataView(bytes);
  const text = (at) => String.fromCharCode(...new Uint8Array(bytes, at, 4));
  if (bytes.byteLength < 32) return null;
  if (text(0) === "fLaC") return (data.getUint16(18) << 4) | (data.getUint8(20) >> 4);
  if (!["RIFF", "RF64"].includes(text(0)) || text(8) !== "WAVE") return null;
  for (let at = 12; at + 16 <= bytes.byteLength; ) {
    if (text(at) === "fmt ") return data.getUint32(at + 12, true);
    const size = data.getUint32(at + 4, true);
    at += 8 + size + (size % 2);
  }
  return null;
}

function contextAt(rate) {
  try {
    return new OfflineAudioContext(1, 1, rate);
  } catch {
    return new OfflineAudioContext(1, 1, USUAL_RATE); // browsers refuse very low and very high rates
  }
}

function meanOf(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
}

/** Let the page react to clicks. Browsers delay timers of pages in the background, but not messages. */
function otherTasks() {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(null);
  }).finally(() => port1.close());
}

/** Attenuate all signals together where one would clip, so that their levels remain comparable. */
export function withoutClipping(signals) {
  const peak = signals.reduce((loudest, signal) => signal.reduce((a, b) => Math.max(a, Math.abs(b)), loudest), 0);
  return peak > 1 ? signals.map((signal) => signal.map((sample) => sample / peak)) : signals;
}

/**
 * Write samples as a WAV file of 16 bits.
 * @param {Float32Array} samples
 * @param {number} rate in Hz
 * @returns {Blob}
 */
export function wavFile(samples, rate) {
  const data = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, i) => data.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  data.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  data.setUint32(16, 16, true); // bytes of the format
  data.setUint16(20, 1, true); // PCM
  data.setUint16(22, 1, true); // channels
  data.setUint32(24, rate, true);
  data.setUint32(28, 2 * rate, true); // bytes a second
  data.setUint16(32, 2, true); // bytes of all channels' sample
  data.setUint16(34, 16, true); // bits
  text(36, "data");
  data.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => {
    const level = Math.min(Math.max(sample, -1), LOUDEST);
    data.setInt16(44 + 2 * i, Math.round(level * 32768), true);
  });
  return new Blob([data.buffer], { type: "audio/wav" });
}
