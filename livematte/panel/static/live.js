// The page of live sessions.

import { $, address, attempt, clock, element, request, setChoices, tell } from "./page.js";

const SIZES = [["default", "as the model"], "128", "160", "192", "224", "256", "288", "320", "384", "512"];
const SLIDERS = { delay: " ms", choke: " px", feather: " px" };
const FRAMES = { off: "off", head: "head and shoulders", body: "whole people" };
let choices = null, current = "", facts = null, changed = () => {}, cameras = [];

export const chosen = () => current;

async function change(command, value = null) {
  if (!facts) return;
  const told = await attempt(() => request(`/api/sessions/${facts.id}/${command}`, { value }));
  if (told) Object.assign(facts, told);
  showSession();
}

export function prepareLive(given, watch) {
  choices = given; changed = watch;
  for (const name of ["model", "refine", "size", "camera", "keep", "frame"]) {
    $(name).onchange = () => change(name, $(name).value);
  }
  $("mirror").onchange = () => change("mirror", $("mirror").checked);
  for (const [name, unit] of Object.entries(SLIDERS)) {
    const option = choices.options.find((each) => each.name === name);
    if (option) { $(name).min = option.low; $(name).max = option.high; }
    $(name).oninput = () => { $(`${name}-value`).textContent = `${$(name).value}${unit}`; };
    $(name).onchange = () => change(name, Number($(name).value));
  }
  preparePicture();
  $("color").onchange = () => change("background", $("color").value);
  $("blur").oninput = () => { $("blur-value").textContent = $("blur").value; };
  $("blur").onchange = () => change("background", `blur:${$("blur").value}`);
  $("transparent").onclick = () => change("background", "transparent");
  $("pause").onclick = () => change(facts.paused ? "resume" : "pause");
  $("freeze").onclick = () => change(facts.frozen ? "resume" : "freeze");
  $("stop").onclick = () => change("stop");
  $("show-matte").onclick = () => {
    $("matte-figure").hidden = !$("matte-figure").hidden;
    $("show-matte").setAttribute("aria-pressed", String(!$("matte-figure").hidden));
    changed();
  };
  $("start-session").onclick = () => attempt(
    () => request(`/api/profiles/${encodeURIComponent($("profile").value)}/start`, {}));
  $("save").onsubmit = (event) => {
    event.preventDefault();
    attempt(async () => {
      await request(`/api/sessions/${facts.id}/save`, { value: $("save-name").value });
      $("save-name").value = "";
    });
  };
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if ($("page-live").hidden || !facts) return;
    if (event.key === "p" || event.key === "P") $("pause").click();
    if (event.key === "f" || event.key === "F") $("freeze").click();
  });
  $("thumbnails").replaceChildren(...choices.backgrounds.map((name) => element("button", {
    type: "button", title: name, onclick: () => change("background", name),
  }, element("img", { src: `/thumbnails/backgrounds/${address(name)}`, alt: "", loading: "lazy" }),
  element("span", { textContent: name.split("/").pop() }))));
  $("to").replaceChildren(...choices.to.map((name) => element("label", {}, element("input", {
    type: "checkbox", value: name, onchange: () => {
      const wanted = [...$("to").querySelectorAll("input:checked")].map((each) => each.value);
      if (wanted.length) change("to", wanted); else { tell("an output is needed: select another first"); showSession(); }
    },
  }), name)));
  attempt(async () => { cameras = (await request("/api/devices")).map((each) => [each.id, each.name]); });
}

// A click in the picture, or Enter at the cross that the arrow keys move, keeps only the person there.
function preparePicture() {
  const picture = $("picture"), cross = $("cross"), at = { x: 0.5, y: 0.5 };
  const keep = () => change("keep", `${at.x.toFixed(3)},${at.y.toFixed(3)}`);
  const within = (share) => Math.min(1, Math.max(0, share));
  const place = () => { cross.style.left = `${100 * at.x}%`; cross.style.top = `${100 * at.y}%`; };
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  picture.onclick = (event) => {
    at.x = within(event.offsetX / picture.clientWidth); at.y = within(event.offsetY / picture.clientHeight);
    place();
    keep();
  };
  picture.onkeydown = (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); keep(); }
    const step = steps[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    at.x = within(at.x + 0.03 * step[0]); at.y = within(at.y + 0.03 * step[1]);
    place();
  };
  picture.onfocus = () => { place(); cross.hidden = !picture.matches(":focus-visible"); };
  picture.onblur = () => { cross.hidden = true; };
  $("everybody").onclick = () => change("keep", "all");
}

export function showLive(state) {
  setChoices($("profile"), state.profiles);
  const running = new Set(state.sessions.map((each) => each.profile));
  $("start-session").disabled = !state.profiles.length;
  $("no-profiles").hidden = state.profiles.length > 0;
  $("starting").textContent = state.starting.length ? `starting ${state.starting.join(", ")} …` : "";
  const before = facts && facts.id;
  if (!state.sessions.some((each) => each.id === current)) current = state.sessions.length ? state.sessions[0].id : "";
  const key = JSON.stringify([current, ...state.sessions.map((each) => [each.id, each.name])]);
  if ($("sessions").dataset.key !== key) {
    $("sessions").dataset.key = key;
    $("sessions").replaceChildren(...(state.sessions.length < 2 ? [] : state.sessions.map((each) => element("button", {
      type: "button", textContent: each.name || `pid ${each.id}`, "aria-pressed": String(each.id === current),
      onclick: () => { current = each.id; facts = null; showLive(state); changed(); },
    }))));
  }
  const found = state.sessions.find((each) => each.id === current) || null;
  const history = found && (found.history || (before === found.id ? facts.history : []));
  facts = found && { ...found, history };
  $("session").hidden = !facts;
  $("no-session").hidden = Boolean(facts);
  if (facts) showSession();
}

function showSession() {
  if (!facts) return;
  const stats = facts.stats, live = stats.showing === "picture", frozen = stats.showing === "frozen";
  const words = live ? "Viewers see people" : frozen ? "Viewers see a frozen picture"
    : `Viewers see the placeholder: ${stats.showing}`;
  if ($("showing").textContent !== words) $("showing").textContent = words;
  $("showing").className = live ? "good" : frozen ? "warn" : "bad";
  const press = (id, on, text, key) => {
    $(id).setAttribute("aria-pressed", String(on));
    $(id).firstChild.textContent = `${text} `;
  };
  press("pause", facts.paused, facts.paused ? "Resume" : "Pause");
  press("freeze", facts.frozen, facts.frozen ? "Unfreeze" : "Freeze");
  $("background").textContent = String(facts.background).split(/[\\/]/).pop();
  for (const button of $("thumbnails").children) {
    button.setAttribute("aria-pressed", String(String(facts.background).endsWith(`/${button.title}`)));
  }
  const blur = /^blur(?::([\d.]+))?$/.exec(facts.background);
  if (document.activeElement !== $("blur")) {
    if (blur && blur[1]) $("blur").value = blur[1];
    $("blur-value").textContent = blur ? $("blur").value : "off";
  }
  if (/^#[0-9a-f]{6}$/i.test(facts.background) && document.activeElement !== $("color")) $("color").value = facts.background;
  setChoices($("model"), choices.models, facts.model);
  setChoices($("refine"), choices.refine, facts.refine);
  setChoices($("size"), SIZES, facts.size === null ? "default" : String(facts.size));
  setChoices($("camera"), [["default", facts.camera === null ? "as started" : "first camera"], ...cameras], facts.camera || "default");
  $("mirror").checked = facts.mirror;
  for (const [name, unit] of Object.entries(SLIDERS)) {
    if (document.activeElement === $(name)) continue;
    $(name).value = facts[name];
    $(`${name}-value`).textContent = `${facts[name]}${unit}`;
  }
  const point = facts.keep.split(",");
  const people = [["all", "everybody"], ["1", "the largest"], ["2", "the 2 largest"], ["3", "the 3 largest"]];
  if (point.length === 2) people.push([facts.keep, "the person you chose"]);
  setChoices($("keep"), people, facts.keep);
  setChoices($("frame"), Object.entries(FRAMES), facts.frame);
  $("who").textContent = point.length === 2 ? "Only the person you chose."
    : facts.keep === "all" ? "Click a person to keep only that one." : "What viewers see.";
  $("everybody").hidden = facts.keep === "all";
  for (const box of $("to").querySelectorAll("input")) box.checked = facts.to.includes(box.value);
  showFigures(stats);
}

function showFigures(stats) {
  const figures = {
    "Frames per second": stats.fps.toFixed(1),
    "Latency p50 / p95": `${stats.latency_p50.toFixed(0)} / ${stats.latency_p95.toFixed(0)} ms`,
    "Dropped": stats.dropped, "Repeated": stats.repeats, "Level": stats.level,
    "Network input": stats.size ? `${stats.size[1]}×${stats.size[0]}` : "–",
    "Processor": `${(100 * facts.cpu).toFixed(0)} % of a core`, "Running": clock(stats.seconds),
  };
  const list = $("figures");
  if (!list.children.length) {
    list.append(...Object.keys(figures).map((name) => element("div", {}, element("dt", { textContent: name }), element("dd"))));
  }
  Object.values(figures).forEach((value, index) => { list.children[index].lastElementChild.textContent = value; });
  const notes = JSON.stringify(stats.notes);
  if ($("notes").dataset.key !== notes) {
    $("notes").dataset.key = notes;
    $("notes").replaceChildren(...stats.notes.slice(-5).map((text) => element("li", { textContent: text })));
  }
  drawGraph(facts.history || []);
}

function drawGraph(history) {
  const canvas = $("graph");
  if (!canvas.clientWidth) return; // another page is shown
  const shown = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(1, Math.round(side * devicePixelRatio)));
  if (canvas.width !== shown[0] || canvas.height !== shown[1]) [canvas.width, canvas.height] = shown;
  const paint = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const { width, height } = canvas, step = width / 300, left = width - history.length * step;
  paint.clearRect(0, 0, width, height);
  paint.fillStyle = style.getPropertyValue("--bad-back");
  history.forEach((each, index) => { if (each[3]) paint.fillRect(left + index * step, 0, step + 1, height); });
  const lines = [["fps", "fps", 0, 30], ["latency", "ms latency p95", 1, 100], ["cpu", "% of a core", 2, 100]];
  for (const [color, unit, column, least] of lines) {
    const most = Math.max(least, ...history.map((each) => Math.ceil(each[column] / 10) * 10));
    $("graph-legend").querySelector(`.${color}`).textContent = `0 to ${most} ${unit}`;
    paint.strokeStyle = style.getPropertyValue(`--${color}`);
    paint.lineWidth = 2 * devicePixelRatio;
    paint.beginPath();
    history.forEach((each, index) => {
      const x = left + (index + 0.5) * step, y = height - 3 - (height - 6) * each[column] / most;
      if (index) paint.lineTo(x, y); else paint.moveTo(x, y);
    });
    paint.stroke();
  }
}

// Draw one picture: the first byte says which, the rest is JPEG.
export async function draw(data) {
  const kind = new Uint8Array(data, 0, 1)[0], canvas = $(kind ? "matte" : "picture");
  try {
    const picture = await createImageBitmap(new Blob([new Uint8Array(data, 1)], { type: "image/jpeg" }));
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width; canvas.height = picture.height;
    }
    canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
    canvas.dataset.drawn = String(Number(canvas.dataset.drawn || 0) + 1);
  } catch { /* a broken picture: the next one comes */ }
}
