"""A certificate's bytes, and the values they stand for: `decode(encode(c)) == c` and `encode(decode(b)) == b`.

    magic, u32 length, header; varint count, count x (varint length, answer); SHA-256 of all before

docs/certificate.md has the rest. Whatever is written differently is refused, with the place.
"""

import hashlib
import json
from typing import Any

from .packing import Reader, Writer
from .refusal import Refused
from .tree_codec import read_tree, write_tree
from .values import (
    MAX_HEADER,
    Answer,
    Certificate,
    Falsified,
    Group,
    Misclassified,
    Proved,
    Said,
    Uncovered,
    Witness,
)

MAGIC = b"GLSCERT\x01"
ARITHMETICS = ("float32", "real")
_KEYS = ("arithmetic", "format", "model", "questions", "tool")
_DIGEST = 32
_UNCOVERED, _PROVED, _FALSIFIED, _MISCLASSIFIED = range(4)


def encode(certificate: Certificate) -> bytes:
    """The file's bytes. Raises Refused where a value has no place in the format."""
    writer = Writer("certificate")
    header = _header_bytes({key: getattr(certificate, key) for key in _KEYS})
    _check_header(json.loads(header))
    writer.data += MAGIC + len(header).to_bytes(4, "little") + header
    writer.number(len(certificate.answers))
    before = -1
    for key, answer in certificate.answers:
        if key <= before:
            raise writer.refuse(f"answer {key} comes after answer {before}.")
        before = key
        body = encode_answer(key, answer)
        writer.number(len(body))
        writer.data += body
    return bytes(writer.data) + hashlib.sha256(writer.data).digest()


def decode(data: bytes) -> Certificate:
    """Raises Refused where the bytes are no certificate as `encode` writes it."""
    reader = Reader(data, "certificate")
    if data[: len(MAGIC)] != MAGIC:
        raise reader.refuse("it does not begin as a certificate of format 1 does.")
    if len(data) < len(MAGIC) + 4 + _DIGEST or hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        raise reader.refuse("the SHA-256 at its end is not of its bytes: it is damaged or cut off.")
    reader = Reader(data[:-_DIGEST], "certificate")
    reader.bytes(len(MAGIC))
    header = _read_header(reader)
    answers: list[tuple[int, Answer]] = []
    for _ in range(reader.count(3)):
        length = reader.number()
        start = reader.at
        key, answer = decode_answer(reader.bytes(length), start)
        if answers and key <= answers[-1][0]:
            raise reader.refuse(f"answer {key} comes after answer {answers[-1][0]}.")
        answers.append((key, answer))
    reader.end()
    return Certificate(**header, answers=tuple(answers))


def encode_answer(key: int, answer: Answer) -> bytes:
    """One answer's bytes, its key first."""
    writer = Writer(f"answer {key}")
    writer.number(key)
    match answer:
        case Uncovered(said):
            writer.byte(_UNCOVERED)
            writer.byte(said)
        case Proved(groups):
            writer.byte(_PROVED)
            writer.number(len(groups))
            for group in groups:
                _check_group(group, writer)
                writer.byte(group.rule)
                writer.number(len(group.trees))
                for tree in group.trees:
                    write_tree(writer, tree)
        case Falsified(witness):
            writer.byte(_FALSIFIED)
            _write_witness(writer, witness)
        case Misclassified():
            writer.byte(_MISCLASSIFIED)
    return bytes(writer.data)


def decode_answer(data: bytes, start: int = 0) -> tuple[int, Answer]:
    """The key, the answer; `start`: where in the file these bytes begin, for what a refusal says."""
    reader = Reader(data, "an answer", start)
    key = reader.number()
    reader.place = f"answer {key}"
    kind = reader.byte()
    answer: Answer
    if kind == _UNCOVERED:
        said = reader.byte()
        if said not in list(Said):
            raise reader.refuse(f"{said} is nothing that a search says.")
        answer = Uncovered(Said(said))
    elif kind == _PROVED:
        answer = Proved(tuple(_read_group(reader) for _ in range(reader.count(2))))
    elif kind == _FALSIFIED:
        answer = Falsified(_read_witness(reader))
    elif kind == _MISCLASSIFIED:
        answer = Misclassified()
    else:
        raise reader.refuse(f"{kind} is no kind of answer.")
    reader.end()
    return key, answer


def _read_group(reader: Reader) -> Group:
    rule = reader.byte()
    group = Group(rule, tuple(read_tree(reader) for _ in range(reader.count(3))))
    _check_group(group, reader)
    return group


def _check_group(group: Group, at: Reader | Writer) -> None:
    if group.rule not in (0, 1, 2):
        raise at.refuse(f"{group.rule} is no rule of boxes.")
    clauses = [clause for tree in group.trees for clause in tree.clauses]
    if len(set(clauses)) < len(clauses):
        raise at.refuse("a clause stands in two trees of a group.")


def _write_witness(writer: Writer, witness: Witness) -> None:
    if any(not 0 <= code <= 3 for code in witness.codes) or witness.codes.count(3) != len(witness.explicit):
        raise writer.refuse("a witness's codes are from 0 to 3, with one number for each 3.")
    writer.number(len(witness.codes))
    writer.byte(witness.double)
    padded = witness.codes + (0,) * (-len(witness.codes) % 4)
    for first in range(0, len(padded), 4):
        a, b, c, d = padded[first : first + 4]
        writer.byte(a | b << 2 | c << 4 | d << 6)
    for value in witness.explicit:
        writer.real(value, single=not witness.double)


def _read_witness(reader: Reader) -> Witness:
    count, double = reader.number(), reader.byte()
    if double > 1:
        raise reader.refuse(f"{double} does not say whether a witness is of float32 or float64 numbers.")
    packed = reader.bytes((count + 3) // 4)
    codes = tuple(byte >> shift & 3 for byte in packed for shift in (0, 2, 4, 6))
    if any(codes[count:]):
        raise reader.refuse("a witness's codes are not padded with 0.")
    codes = codes[:count]
    explicit = tuple(reader.real(single=not double) for _ in range(codes.count(3)))
    return Witness(codes, explicit, bool(double))


def _header_bytes(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _read_header(reader: Reader) -> dict[str, Any]:
    length = int.from_bytes(reader.bytes(4), "little")
    if length > MAX_HEADER:
        raise reader.refuse(f"the header of {length} bytes is longer than {MAX_HEADER}.")
    text = reader.bytes(length)
    try:
        header = json.loads(text.decode())
        canonical = _header_bytes(header)
    except (ValueError, RecursionError) as error:
        raise reader.refuse(f"the header is no JSON: {str(error)[:200]}.") from None
    if canonical != text:  # so no key twice, either
        raise reader.refuse("the header's JSON is not written with sorted keys, each once, and without blanks.")
    _check_header(header)
    return dict(header)


def _check_header(header: Any) -> None:
    """Raises Refused unless it has the keys, each of its type, and no number with a point: those are text."""
    place = "header"
    if not isinstance(header, dict) or set(header) != set(_KEYS):
        raise Refused(place, f"it has the keys {', '.join(_KEYS)}, no other.")
    if type(header["format"]) is not int or header["format"] != 1:
        raise Refused(place, f"format {header['format']!r} is not 1, the one that is known here.")
    if header["arithmetic"] not in ARITHMETICS:
        raise Refused(place, f"arithmetic {header['arithmetic']!r} is none of {', '.join(ARITHMETICS)}.")
    model = header["model"]
    if not isinstance(model, str) or len(model) != 64 or set(model) - set("0123456789abcdef"):
        raise Refused(place, "the model is not a SHA-256 in hex.")
    if not isinstance(header["tool"], str) or not isinstance(header["questions"], dict):
        raise Refused(place, "tool is a text, questions an object.")
    waiting: list[Any] = [header["questions"]]
    while waiting:
        value = waiting.pop()
        if isinstance(value, float):
            raise Refused(place, f"the number {value!r} is to be written as text, float.hex().")
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
