// How high each line of a long list is, and so where each one begins. A
// Fenwick tree: a hundred thousand lines are asked and changed in a few steps.

export class LineHeights {
  constructor() {
    this.count = 0;
    /** Sums of heights; place 0 is not used. */
    this.tree = new Float64Array(1_024);
    this.heights = new Float64Array(1_024);
  }

  clear() {
    this.count = 0;
  }

  /** @param {number} height */
  push(height) {
    this.count += 1;
    if (this.count >= this.tree.length) this.#grow();
    this.heights[this.count] = height;
    let sum = height;
    const end = this.count - lowBit(this.count);
    for (let at = this.count - 1; at > end; at -= lowBit(at)) sum += this.tree[at] ?? 0;
    this.tree[this.count] = sum;
  }

  /**
   * Lines that come before the others.
   * @param {number[]} heights
   * @returns {number} how high they are together
   */
  prepend(heights) {
    const known = this.heights.slice(1, this.count + 1);
    this.clear();
    for (const height of heights) this.push(height);
    const added = this.total;
    for (const height of known) this.push(height);
    return added;
  }

  /**
   * @param {number} index from 0
   * @param {number} height
   * @returns {number} by how much it grew
   */
  set(index, height) {
    const difference = height - (this.heights[index + 1] ?? 0);
    if (difference === 0) return 0;
    this.heights[index + 1] = height;
    for (let at = index + 1; at <= this.count; at += lowBit(at)) this.tree[at] = (this.tree[at] ?? 0) + difference;
    return difference;
  }

  /**
   * Where a line begins; that of the line behind the last is the whole height.
   * @param {number} index
   */
  top(index) {
    let sum = 0;
    for (let at = Math.min(index, this.count); at > 0; at -= lowBit(at)) sum += this.tree[at] ?? 0;
    return sum;
  }

  get total() {
    return this.top(this.count);
  }

  /**
   * The line at a height, or the number of lines below the last.
   * @param {number} y
   */
  indexAt(y) {
    let index = 0;
    let left = y;
    let step = 1;
    while (step * 2 <= this.count) step *= 2;
    for (; step > 0; step >>= 1) {
      const sum = this.tree[index + step];
      if (index + step <= this.count && sum !== undefined && sum <= left) {
        index += step;
        left -= sum;
      }
    }
    return index;
  }

  #grow() {
    const [tree, heights] = [this.tree, this.heights];
    this.tree = new Float64Array(tree.length * 2);
    this.heights = new Float64Array(heights.length * 2);
    this.tree.set(tree);
    this.heights.set(heights);
  }
}

/** @param {number} value */
function lowBit(value) {
  return value & -value;
}
