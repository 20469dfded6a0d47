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
