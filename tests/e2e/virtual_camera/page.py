"""Serve a web page that opens the camera with getUserMedia, like a meeting, and posts the result.

Usage: ``page.py PORT LOG``
"""

from __future__ import annotations

import http.server
import sys
from pathlib import Path

PAGE = r"""<!doctype html><title>camera</title><body><script>
const log = o => fetch('/log', {method: 'POST', body: JSON.stringify(o)});
(async () => { try {
 const all = (await navigator.mediaDevices.enumerateDevices()).filter(d => d.kind == 'videoinput');
 await log({devices: all.map(d => d.label)});
 const device = all.find(d => d.label.includes('livematte'));
 if (!device) { await log({error: 'no camera called livematte', done: 1}); return; }
 const stream = await navigator.mediaDevices.getUserMedia({video: {deviceId: {exact: device.deviceId}}});
 const video = document.createElement('video');
 video.muted = true; video.srcObject = stream; document.body.append(video); await video.play();
 const canvas = document.createElement('canvas');
 canvas.width = video.videoWidth; canvas.height = video.videoHeight;
 const g = canvas.getContext('2d', {willReadFrequently: true}); const w = canvas.width, h = canvas.height;
 const at = (x, y) => [...g.getImageData(x, y, 1, 1).data].slice(0, 3);
 const pictures = [];
 for (let k = 0; k < 20; k++) {
  await new Promise(r => video.requestVideoFrameCallback(r)); g.drawImage(video, 0, 0);
  const row = y => Array.from({length: 8}, (_, i) => at(Math.floor((i + .5) * w / 8), Math.floor(y * h)));
  pictures.push({top: row(.08), middle: row(.5)});
 }
 await log({w, h, pictures, done: 1});
} catch (e) { await log({error: e.name + ': ' + e.message, done: 1}); } })();
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the page and writes posted results to the log."""

    def do_GET(self) -> None:
        body = PAGE.encode() if self.path == "/" else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with Path(sys.argv[2]).open("a", encoding="utf-8") as log:
            log.write(body + "\n")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Do not log requests."""


if __name__ == "__main__":
    Path(sys.argv[2]).write_text("", encoding="utf-8")
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
