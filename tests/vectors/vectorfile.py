"""One vector, one file: header lines ``name: value``, a blank line, the payload.

expect: OpenFailedError          "ok" or the one error class
source: where the rule stands
comment: what is special
name: value                      fields of the topic
                                 blank line
payload                          text, or base64 when the field "payload" says so
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
TOPICS = ("metadata", "inner", "cms", "certificate", "keybundle", "body", "canonjson", "dav", "recovery")


@dataclass(frozen=True)
class Vector:
    expect: str
    fields: dict[str, str]
    payload: bytes


def format_vector(*, expect: str, source: str, comment: str, payload: bytes | str, **fields: str) -> str:
    header = {"expect": expect, "source": source, "comment": comment}
    header.update((name.replace("_", " "), value) for name, value in fields.items())
    body = payload
    if isinstance(body, bytes):
        try:
            text = body.decode("ascii")
            plain = all(" " <= character <= "~" or character == "\n" for character in text)
        except UnicodeDecodeError:
            plain = False
        if not plain:
            header["payload"] = "base64"
            wrapped = base64.b64encode(body).decode()
            text = "\n".join(wrapped[at : at + 76] for at in range(0, len(wrapped), 76))
        body = text
    assert all("\n" not in value for value in header.values())
    return "".join(f"{name}: {value}\n" for name, value in header.items()) + "\n" + body + "\n"


def parse_vector(text: str) -> Vector:
    head, _, body = text.partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    body = body.removesuffix("\n")
    payload = base64.b64decode(body) if fields.pop("payload", "") == "base64" else body.encode("ascii")
    return Vector(fields.pop("expect"), fields, payload)


def write(topic: str, cases: Callable[[], Iterator[tuple[str, str]]]) -> None:
    """Write all cases of a topic; used by the generators when they are run as programs."""
    folder = FOLDER / topic
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.txt"):
        old.unlink()
    for name, text in cases():
        (folder / f"{name}.txt").write_bytes(text.encode("ascii"))
