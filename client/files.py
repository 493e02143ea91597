"""Pictures, sounds and other data of a server, saved under names of our own making."""

from __future__ import annotations

import base64
import binascii
import itertools
import mimetypes
import re
import tempfile
from pathlib import Path

from client.errors import Misbehaved

MAX_NAME = 40  # characters of what a file is named after
_KINDS = {"image/webp": ".webp", "audio/wav": ".wav", "audio/mpeg": ".mp3", "audio/ogg": ".ogg"}


def save(data: str, media_type: str, origin: str) -> Path:
    """The new file in the working directory, or in the temporary one, that now holds base64 data.

    Raises:
        Misbehaved: the data is no base64.
    """
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Misbehaved("The server sent data that is no base64") from None
    stem = re.sub(r"[^A-Za-z0-9]+", "-", origin).strip("-")[-MAX_NAME:] or "data"
    kind = media_type.partition(";")[0].strip().lower()
    ending = _KINDS.get(kind) or mimetypes.guess_extension(kind) or ".bin"
    try:
        return _written(Path.cwd(), f"bearergate-{stem}", ending, content)
    except OSError:
        return _written(Path(tempfile.gettempdir()), f"bearergate-{stem}", ending, content)


def _written(folder: Path, stem: str, ending: str, content: bytes) -> Path:
    """A file that was not there before."""
    for count in itertools.count(1):
        file = folder / f"{stem}-{count}{ending}"
        try:
            with file.open("xb") as out:
                out.write(content)
        except FileExistsError:
            continue
        return file
    raise AssertionError("counting does not end")
