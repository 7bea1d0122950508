"""A web service that cuts people out of pictures: POST a picture to /cutout, the answer is a PNG.

Usage: pip install fastapi uvicorn; cd examples; uvicorn fastapi_upload:app
Then: curl --data-binary @me.jpg http://127.0.0.1:8000/cutout --output me.png
"""

from __future__ import annotations

import cv2
from fastapi import Body, FastAPI, HTTPException, Response

import livematte

LIMIT = 20_000_000  # bytes

app = FastAPI()
matter = livematte.Matter(channels="bgr")  # loaded once; any number of threads may call matter.image


@app.post("/cutout")
def cutout(data: bytes = Body(media_type="application/octet-stream")) -> Response:
    # A plain def: FastAPI runs it in a thread, so that the server stays responsive.
    if len(data) > LIMIT:
        raise HTTPException(413, f"the picture is larger than {LIMIT} bytes")
    try:
        matte = matter.image(data)
    except livematte.LivematteError as error:
        raise HTTPException(422, str(error)) from None
    _, png = cv2.imencode(".png", matte.cutout())
    return Response(png.tobytes(), media_type="image/png")
