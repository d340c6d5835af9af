// What several parts of the page do with signals.

/**
 * @param {Float32Array[]} parts of one signal, in order
 * @returns {Float32Array} the whole
 */
export function joined(parts) {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
