// From files to samples and back.

// One step below full scale of 16 bits.
const LOUDEST = 32767 / 32768;

/**
 * Decode a file of any format that the browser knows, at another rate, all channels in one.
 * @param {ArrayBuffer} bytes
 * @param {number} rate in Hz
 * @returns {Promise<Float32Array>}
 */
export async function decode(bytes, rate) {
  const buffer = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes); // resamples
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, c) => buffer.getChannelData(c));
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, i) => channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length);
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
