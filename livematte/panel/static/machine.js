// The page that checks the machine.

import { $, attempt, element, request } from "./page.js";

async function run(button, text, work) {
  button.disabled = true;
  $("machine-status").textContent = text;
  await attempt(async () => { $("findings").replaceChildren(...await work()); });
  $("machine-status").textContent = "";
  button.disabled = false;
}

const line = (text, kind, fix) => element("li", { className: kind }, text, ...(fix ? [element("p", { className: "fix", textContent: `→ ${fix}` })] : []));

const answers = new Map([[null, "none"], [true, "yes"], [false, "no"]]);

function words(value) {
  if (answers.has(value)) return answers.get(value);
  if (Array.isArray(value)) return value.map(words).join(", ");
  return typeof value === "object" ? Object.entries(value).map(([key, each]) => `${key} ${words(each)}`).join("; ") : String(value);
}

export function prepareMachine(choices) {
  $("doctor").onclick = () => run($("doctor"), "checking, this takes up to a minute …", async () => {
    const { findings, broken } = await request("/api/doctor");
    const verdict = broken ? line(`Problems: ${broken}`, "bad") : line("No problems found", "good");
    const wrong = (each) => each.good === false;
    return [verdict, ...[...findings.filter(wrong), ...findings.filter((each) => !wrong(each))].map((each) => line(
      `${each.good === false ? "✗" : each.good ? "✓" : "·"} ${each.group}: ${each.name}: ${each.what}`,
      each.good === false ? "bad" : "", each.good === true ? "" : each.fix))];
  });
  $("devices").onclick = () => run($("devices"), "looking for cameras …", async () => {
    const cameras = await request("/api/devices");
    if (!cameras.length) return [line("No camera found: connect one, or use a file in the profile", "warn")];
    return cameras.map((each) => line(`${each.name}${each.default ? " (default)" : ""}: ${each.trouble || each.id}`, each.trouble ? "bad" : ""));
  });
  for (const name of choices.plugins) {
    for (const command of ["status", "setup"]) {
      const button = element("button", { type: "button", textContent: `${name} ${command}` });
      button.onclick = () => run(button, `${name} ${command} …`, async () => {
        const told = await request(`/api/plugins/${name}/${command}`, command === "setup" ? {} : undefined);
        return Object.entries(told).map(([key, value]) => line(`${key}: ${words(value)}`, ""));
      });
      $("plugin-buttons").append(button, " ");
    }
  }
}
