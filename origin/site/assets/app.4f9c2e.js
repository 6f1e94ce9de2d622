// The name carries a fingerprint, so this file may be kept for a year: a change gets another name.

export const resources = [
  "/",
  "/about.html",
  "/gallery.html",
  "/zh.html",
  "/style.css?v=1",
  "/app.js?v=1",
  "/assets/app.4f9c2e.js",
  "/favicon.svg",
  "/images/dawn.png",
  "/images/lighthouse.svg",
  "/api/time",
  "/api/whoami",
];

/** What the cache nearest to the reader did: the last member of Cache-Status (RFC 9211). */
export function readCacheStatus(headers) {
  const raw = headers.get("Cache-Status") ?? "";
  const [, ...parameters] = (splitList(raw).at(-1) ?? "").split(";").map((part) => part.trim());
  const forward = parameters.find((part) => part.startsWith("fwd="))?.slice(4);
  const isHit = parameters.includes("hit");
  const word = isHit ? "HIT" : forward === undefined ? "none" : forward === "stale" ? "STALE" : forward === "bypass" ? "BYPASS" : "MISS";
  return { raw, word, isHit, isMiss: forward !== undefined };
}

/** Members of a comma-separated list; commas inside quoted strings do not separate. */
function splitList(value) {
  return value.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [];
}

export function readableTime(milliseconds) {
  if (!Number.isFinite(milliseconds)) return "–";
  return milliseconds < 10 ? `${milliseconds.toFixed(1)} ms` : `${Math.round(milliseconds)} ms`;
}

export function readableSize(octets) {
  return octets < 1024 ? `${octets} B` : `${(octets / 1024).toFixed(1)} KiB`;
}
