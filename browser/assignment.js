// Which of the new belongs to which of the old, of all orders the one with the highest sum.

/**
 * @param {number[][]} agreement square: [old][new]
 * @returns {number[]} for each old one its new one
 */
export function bestAssignment(agreement) {
  let best = null;
  let highest = -Infinity;
  for (const order of permutations(agreement.map((_, place) => place))) {
    const sum = order.reduce((total, place, row) => total + agreement[row][place], 0);
    if (sum > highest) [best, highest] = [order, sum];
  }
  return best;
}

function permutations(items) {
  if (items.length < 2) return [items];
  return items.flatMap((first) => permutations(items.filter((item) => item !== first)).map((rest) => [first, ...rest]));
}
