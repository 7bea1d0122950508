// Connects to the panel, switches the pages, and passes on what arrives.

import { $, attempt, request, tell } from "./page.js";
import { chosen, draw, prepareLive, showLive } from "./live.js";
import { prepareRender, showJobs } from "./render.js";
import { prepareMachine } from "./machine.js";

const PAGES = ["live", "render", "machine"];
const seen = new Set();
let socket = null, asked = "", pause = 250;

function open(page) {
  for (const each of PAGES) {
    $(`page-${each}`).hidden = each !== page;
    $(`tab-${each}`).setAttribute("aria-pressed", String(each === page));
  }
  watch();
}

// Ask for pictures of the session that is shown, and for none where nobody looks.
export function watch() {
  if (!socket || socket.readyState !== WebSocket.OPEN) return;
  const visible = !document.hidden && !$("page-live").hidden;
  const width = Math.round(Math.min(1280, Math.max(160, ($("picture").clientWidth || 320) * Math.min(devicePixelRatio, 2))));
  const wanted = JSON.stringify({
    show: visible ? chosen() : "", matte: !$("matte-figure").hidden, width, rate: 10,
  });
  if (wanted !== asked) socket.send(asked = wanted);
}

function connect() {
  socket = new WebSocket(`ws://${location.host}/socket`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    pause = 250; asked = "";
    $("link").textContent = "connected"; $("link").className = "good";
    watch();
  };
  socket.onmessage = async (event) => {
    if (typeof event.data === "string") {
      const state = JSON.parse(event.data);
      showLive(state);
      showJobs(state.jobs);
      for (const each of state.messages) {
        const key = each.time + each.text;
        if (!seen.has(key)) { seen.add(key); tell(each.text, { error: "bad", note: "warn" }[each.kind] || "good"); }
      }
      watch();
    } else {
      await draw(event.data);
      if (socket.readyState === WebSocket.OPEN) socket.send('{"drawn": true}');
    }
  };
  socket.onclose = () => {
    $("link").textContent = "no connection to the panel"; $("link").className = "bad";
    setTimeout(connect, pause);
    pause = Math.min(2 * pause, 5000);
  };
}

for (const each of PAGES) $(`tab-${each}`).onclick = () => open(each);
document.addEventListener("visibilitychange", watch);
addEventListener("resize", watch);

const choices = await attempt(() => request("/api/choices"));
if (choices) {
  prepareLive(choices, watch);
  prepareRender(choices);
  prepareMachine(choices);
}
connect();
