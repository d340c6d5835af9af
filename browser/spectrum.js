// Short-time spectra.

/**
 * Compute the powers of a signal's frames under a Hann window, as torch.stft has them with center=False.
 * @param {Float32Array} samples
 * @param {number} size samples of a frame, a power of two
 * @param {number} hop
 * @returns {Float64Array[]} for each frame size / 2 + 1 powers
 */
export function powerSpectra(samples, size, hop) {
  if (size & (size - 1)) throw new Error(`size=${size}: expected a power of two`);
  const window = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size));
  const transform = new FourierTransform(size);
  const spectra = [];
  const real = new Float64Array(size);
  const imaginary = new Float64Array(size);
  for (let begin = 0; begin + size <= samples.length; begin += hop) {
    for (let i = 0; i < size; i++) real[i] = samples[begin + i] * window[i];
    imaginary.fill(0);
    transform.inPlace(real, imaginary);
    spectra.push(Float64Array.from({ length: size / 2 + 1 }, (_, i) => real[i] ** 2 + imaginary[i] ** 2));
  }
  return spectra;
}

/** The radix-2 fast Fourier transform of one size. */
class FourierTransform {
  constructor(size) {
    this.size = size;
    this.cosines = Float64Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
    this.sines = Float64Array.from({ length: size / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / size));
    const bits = Math.log2(size);
    this.reversed = Uint32Array.from({ length: size }, (_, i) => {
      let reversed = 0;
      for (let bit = 0; bit < bits; bit++) reversed |= ((i >> bit) & 1) << (bits - 1 - bit);
      return reversed;
    });
  }

  inPlace(real, imaginary) {
    this.reversed.forEach((j, i) => {
      if (i < j) {
        [real[i], real[j]] = [real[j], real[i]];
        [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
      }
    });
    for (let half = 1; half < this.size; half *= 2) {
      const step = this.size / (2 * half);
      for (let begin = 0; begin < this.size; begin += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [low, high] = [begin + k, begin + k + half];
          const [cosine, sine] = [this.cosines[k * step], this.sines[k * step]];
          const re = real[high] * cosine - imaginary[high] * sine;
          const im = real[high] * sine + imaginary[high] * cosine;
          real[high] = real[low] - re;
          imaginary[high] = imaginary[low] - im;
          real[low] += re;
          imaginary[low] += im;
        }
      }
    }
  }
}
