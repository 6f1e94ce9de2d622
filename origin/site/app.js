// Asks for every resource of the site and shows what the cache said about it.
import { readCacheStatus, readableSize, readableTime, resources } from "./assets/app.4f9c2e.js";

const panel = document.querySelector("[data-live]");
const body = panel.querySelector("tbody");
const button = panel.querySelector("button");
const words = panel.dataset;

// The browser's own cache stays out of it, without telling the caches on the way to validate.
const REQUEST = { cache: "no-store", headers: { "Cache-Control": "max-age=31536000", Pragma: "edge" } };

async function ask(path) {
  const url = new URL(path, location.href).href;
  const response = await fetch(url, REQUEST);
  const content = await response.arrayBuffer();
  const entry = performance.getEntriesByName(url, "resource").at(-1);
  return {
    path,
    ...readCacheStatus(response.headers),
    age: response.headers.get("Age"),
    time: entry ? entry.responseEnd - entry.requestStart : NaN,
    size: content.byteLength,
  };
}

function cell(text, className = "") {
  const made = document.createElement("td");
  made.textContent = text;
  made.className = className;
  return made;
}

function row(result, slowest) {
  const name = cell("");
  name.append(Object.assign(document.createElement("code"), { textContent: result.path }));
  const status = cell("");
  const tag = Object.assign(document.createElement("span"), { className: "tag", textContent: result.word, title: result.raw });
  tag.toggleAttribute("data-hit", result.isHit);
  tag.toggleAttribute("data-miss", result.isMiss);
  status.append(tag);
  const bar = cell("", "bar");
  const length = Object.assign(document.createElement("i"), {});
  length.style.width = `${Math.max(1, (100 * result.time) / slowest)}%`;
  bar.append(length);
  const made = document.createElement("tr");
  made.append(
    name,
    status,
    cell(result.age === null ? "–" : `${result.age} s`, "number"),
    cell(readableSize(result.size), "number"),
    cell(readableTime(result.time), "number"),
    bar,
  );
  return made;
}

function show(name, text) {
  panel.querySelector(`[data-figure=${name}]`).textContent = text;
}

async function measure() {
  button.disabled = true;
  performance.clearResourceTimings();
  try {
    const results = [];
    // One after the other, so that the times can be compared.
    for (const path of resources) results.push(await ask(path));
    const times = results.map((result) => result.time).filter(Number.isFinite);
    const slowest = Math.max(...times, 1);
    body.replaceChildren(...results.map((result) => row(result, slowest)));
    const hits = results.filter((result) => result.isHit).length;
    const isCached = results.some((result) => result.isHit || result.isMiss);
    show("hits", isCached ? `${hits} / ${results.length}` : "–");
    show("time", readableTime(times.reduce((sum, time) => sum + time, 0)));
    show("size", readableSize(results.reduce((sum, result) => sum + result.size, 0)));
    panel.querySelector("[data-say]").textContent = !isCached ? words.direct : hits ? words.warm : words.cold;
  } catch (error) {
    panel.querySelector("[data-say]").textContent = `${words.failed} (${error.message})`;
  } finally {
    button.disabled = false;
  }
}

button.addEventListener("click", measure);
measure();
