/**
 * What one render may use up. A template is written by a user and runs inside the kernel: whatever it says,
 * it ends soon and in bounded memory.
 */
export const templateLimits = {
  /** UTF-16 code units of the text that a render gives. */
  textLengthMax: 4_194_304,
  /** Passes of all `{% for %}` bodies of one render together. */
  loopStepsMax: 100_000,
  /** Numbers that one `range()` gives. */
  rangeMax: 100_000,
  /** Characters written and elements touched by operators, filters and methods in one render. */
  workMax: 16_777_216,
  /** Parentheses, brackets and blocks within one another; keeps the parser off the end of the stack. */
  nestingMax: 64,
  /** Operators, filters and attributes in one chain; keeps the evaluation off the end of the stack. */
  chainMax: 200,
  /** Lists and objects within one another, where a value is printed, compared or built. */
  depthMax: 200,
} as const;
