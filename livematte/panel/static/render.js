// The page that renders files.

import { $, address, attempt, clock, element, request, setChoices } from "./page.js";

const MAIN = ["background", "model", "size", "refine", "temporal", "start", "end", "crf"];
const inputs = new Map();
let choices = null, shown = "after";

const picked = () => [...$("files").querySelectorAll("input:checked")].map((each) => each.value);

function options() {
  const given = {};
  for (const [name, { input, option }] of inputs) {
    const value = option.kind === "bool" ? input.checked : input.value.trim();
    if (option.kind === "bool" ? value === option.default : value === "" || value === String(option.default)) continue;
    given[name] = option.kind === "int" || option.kind === "float" ? Number(value) : value;
  }
  return given;
}

function field(option) {
  const id = `option-${option.name}`;
  let input;
  if (option.kind === "bool") input = element("input", { type: "checkbox", checked: option.default });
  else if (option.closed || option.name === "model" || option.name === "refine") {
    input = element("select");
    setChoices(input, option.words, option.default === null ? undefined : String(option.default));
  } else if (option.kind === "int" || option.kind === "float") {
    input = element("input", { type: "number", step: option.kind === "int" ? "1" : "any" });
    if (option.low !== null) input.min = option.low;
    if (option.high !== null) input.max = option.high;
    if (option.default !== null) input.value = option.default;
  } else {
    const words = option.name === "background" ? ["green", "white", "black", "blur", "blur:40", "transparent", ...choices.backgrounds] : option.words;
    input = element("input", { type: "text", autocomplete: "off", value: option.default ?? "" });
    input.setAttribute("list", `${id}-words`);
    $("page-render").append(element("datalist", { id: `${id}-words` }, ...words.map((value) => element("option", { value }))));
  }
  input.id = id; input.title = option.help;
  inputs.set(option.name, { input, option });
  const text = option.name.replaceAll("_", " ");
  return [element("label", { htmlFor: id, textContent: text[0].toUpperCase() + text.slice(1), title: option.help }), input];
}

export function prepareRender(given) {
  choices = given;
  $("no-files").hidden = choices.files.length > 0;
  $("render").hidden = !choices.files.length;
  setChoices($("ending"), choices.endings, ".mp4");
  $("files").replaceChildren(...choices.files.map((name) => element("label", {},
    element("input", { type: "checkbox", value: name }),
    element("img", { src: `/thumbnails/files/${address(name)}`, alt: "", loading: "lazy" }), name)));
  const by = new Map(choices.options.map((each) => [each.name, each]));
  $("render-main").append(...MAIN.filter((name) => by.has(name)).flatMap((name) => field(by.get(name))));
  $("render-options").append(...choices.options.filter((each) => !MAIN.includes(each.name)).flatMap(field));
  $("add").onclick = () => attempt(async () => {
    const files = picked();
    if (!files.length) throw new Error("select a file first");
    for (const file of files) await request("/api/render", { file, options: options(), ending: $("ending").value });
  });
  $("preview").onclick = () => attempt(async () => {
    const [file] = picked();
    if (!file) throw new Error("select a file first");
    $("preview-status").textContent = "rendering the first frame …";
    $("preview").disabled = true;
    try {
      await request("/api/render/preview", { file, options: options() });
      shown = "after";
      showPreview();
      $("compare").hidden = false;
    } finally {
      $("preview-status").textContent = "";
      $("preview").disabled = false;
    }
  });
  $("compare-matte").onclick = () => { shown = shown === "after" ? "matte" : "after"; showPreview(); };
  $("slider").oninput = divide;
}

function showPreview() {
  $("before").src = `/api/render/preview/before?${Date.now()}`;
  $("after").src = `/api/render/preview/${shown}?${Date.now()}`;
  $("compare-matte").setAttribute("aria-pressed", String(shown === "matte"));
  divide();
}

// Left of the slider the file, right of it the result.
function divide() {
  $("before").style.clipPath = `inset(0 ${100 - Number($("slider").value)}% 0 0)`;
}

export function showJobs(jobs) {
  $("no-jobs").hidden = jobs.length > 0;
  const list = $("jobs");
  const key = JSON.stringify(jobs.map((job) => [job.id, job.state]));
  if (list.dataset.key !== key) {
    list.dataset.key = key;
    list.replaceChildren(...jobs.map((job) => {
      const item = element("li", {}, element("span", { className: "what" }), element("progress", { max: 1, "aria-label": job.name }));
      if (job.state === "waiting" || job.state === "running") {
        item.append(element("button", { type: "button", textContent: `Cancel ${job.name}`, onclick: () => attempt(
          () => request(`/api/render/${job.id}/cancel`, {})) }));
      } else if (job.state === "done") {
        item.append(element("button", { type: "button", textContent: `Look at ${job.target}`, onclick: () => {
          $("result").src = `/files/${address(job.name.split("/")[0])}/${encodeURIComponent(job.target)}`;
          $("result").hidden = false;
        } }));
      }
      return item;
    }));
  }
  jobs.forEach((job, index) => {
    const item = list.children[index], left = job.eta === null ? "" : `, ${clock(job.eta)} left`;
    const speed = job.state === "running" && job.fps ? `, ${job.fps.toFixed(1)} fps${left}` : "";
    const frames = job.total ? `, ${job.done} of ${job.total} frames` : "";
    const why = job.message ? `: ${job.message}` : "";
    item.querySelector(".what").textContent = `${job.name} → ${job.target}: ${job.state}${frames}${speed}${why}`;
    item.querySelector("progress").value = job.state === "done" ? 1 : job.total ? job.done / job.total : 0;
    item.className = job.state === "failed" ? "bad" : job.state === "done" ? "good" : "";
  });
}
