// Helpers of all pages: elements, requests, messages.

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value; else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export async function request(address, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error("the panel does not answer: is it running?");
  }
  let told = {};
  try { told = await answer.json(); } catch { /* an error without JSON */ }
  if (!answer.ok) throw new Error(told.error || `the panel answers ${answer.status}`);
  return told;
}

export function tell(text, kind = "bad") {
  const item = element("li", { className: kind }, element("span", { textContent: text }));
  item.append(element("button", { type: "button", textContent: "Close", onclick: () => item.remove() }));
  $("messages").append(item);
  while ($("messages").children.length > 4) $("messages").firstElementChild.remove();
  if (kind !== "bad") setTimeout(() => item.remove(), 6000);
}

export async function attempt(work) {
  try { return await work(); } catch (error) { tell(error.message); return null; }
}

// Set the choices of a <select> only when they changed, so that an open list stays open.
export function setChoices(select, choices, value) {
  const wanted = choices.map((each) => (Array.isArray(each) ? each : [each, each]));
  if (!wanted.some(([each]) => each === value) && value !== null && value !== undefined) wanted.push([value, value]);
  const key = JSON.stringify(wanted);
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...wanted.map(([each, text]) => element("option", { value: each, textContent: text })));
  }
  if (value !== undefined && value !== null && document.activeElement !== select) select.value = value;
}

export const address = (name) => name.split("/").map(encodeURIComponent).join("/");

export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
