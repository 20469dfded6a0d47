import { nearest } from "../../base/nearest.ts";
import { isOwnEventType, isReservedEventType, topicOfType } from "../../event/topic.ts";

/**
 * Why a pattern can never match, with the way out; `undefined` where it can.
 *
 * A rule is not triggered by what rules themselves record, nor by the timers of others.
 */
export function patternProblem(pattern: string): string | undefined {
  const odd = segmentProblem(pattern);
  if (odd !== undefined) return odd;
  if (/^(rule|timer)\./.test(pattern)) {
    return `"${pattern}" triggers no rule: events of rules and timers are records of decisions`;
  }
  return reservedProblem(pattern);
}

/** The same for one who only watches: every event counts. */
export function watchedPatternProblem(pattern: string): string | undefined {
  return segmentProblem(pattern) ?? reservedProblem(pattern);
}

function segmentProblem(pattern: string): string | undefined {
  const segments = pattern.split(".");
  const odd = segments.find(
    (segment, index) =>
      segment.includes("*") &&
      segment !== "*" &&
      !(segment === "**" && index === segments.length - 1),
  );
  if (odd === undefined) return undefined;
  return `"${odd}" is no segment of a pattern: * stands for one whole segment, ** at the end for one or more`;
}

function reservedProblem(pattern: string): string | undefined {
  if (pattern.includes("*") || !isReservedEventType(pattern) || isOwnEventType(pattern)) {
    return undefined;
  }
  const near = nearest(pattern, Object.keys(topicOfType));
  const hint = near === undefined ? "" : `: did you mean "${near}"?`;
  return `"${pattern}" is no event of this system, and reserved so that no observation can be one${hint}`;
}

/**
 * Matches dotted event types: `*` stands for one segment, `**` at the end for one or more.
 *
 * The answer for a type is remembered: the types of a log are few, its events many.
 */
export function typeMatcher(pattern: string): (eventType: string) => boolean {
  if (!pattern.includes("*")) return (eventType) => eventType === pattern;
  const segments = pattern.split(".");
  const known = new Map<string, boolean>();
  return (eventType) => {
    let answer = known.get(eventType);
    if (answer === undefined) {
      answer = matches(segments, eventType.split("."));
      if (known.size >= typesMax) known.clear();
      known.set(eventType, answer);
    }
    return answer;
  };
}

const typesMax = 1_024;

function matches(pattern: readonly string[], type: readonly string[]): boolean {
  const open = pattern.at(-1) === "**";
  const fixed = open ? pattern.slice(0, -1) : pattern;
  if (open ? type.length <= fixed.length : type.length !== fixed.length) return false;
  return fixed.every((segment, index) => segment === "*" || segment === type[index]);
}
