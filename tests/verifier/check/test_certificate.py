"""A certificate's bytes and its values are one to one, and every other file is refused with the place."""

import hashlib
import json
from collections.abc import Callable

import numpy as np
import pytest

from certificate_draws import certificate
from glscert.verifier.check.certificate import MAGIC, decode, encode
from glscert.verifier.check.refusal import Refused
from glscert.verifier.check.values import (
    PLAIN,
    Certificate,
    Cut,
    Falsified,
    Group,
    InputSplit,
    Leaf,
    NeuronSplit,
    Proved,
    Tree,
    Uncovered,
    Witness,
)

HEADER = {"arithmetic": "float32", "format": 1, "model": "a" * 64, "questions": {}, "tool": "t"}


def sealed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


def written(header: bytes, rest: bytes) -> bytes:
    return sealed(MAGIC + len(header).to_bytes(4, "little") + header + rest)


def plain_header(**changes: object) -> bytes:
    return json.dumps({**HEADER, **changes}, sort_keys=True, separators=(",", ":")).encode()


def answered(body: bytes) -> bytes:
    """A file of one answer with these bytes."""
    return written(plain_header(), bytes([1, len(body)]) + body)


def of(*answers: object) -> Certificate:
    return Certificate("float32", "a" * 64, {}, "t", tuple(answers))


def proof(*nodes: object, clauses: tuple[int, ...] = (0,)) -> Certificate:
    return of((0, Proved((Group(1, (Tree(clauses, tuple(nodes)),)),))))


@pytest.mark.parametrize("seed", range(100))
def test_reading_undoes_writing(seed: int) -> None:
    value = certificate(np.random.default_rng([seed, 5]))
    data = encode(value)
    assert decode(data) == value and encode(decode(data)) == data


@pytest.mark.parametrize("seed", range(20))
def test_what_is_read_is_written_as_it_was(seed: int) -> None:
    """Of a file with a bit changed, and its checksum made to fit."""
    rng = np.random.default_rng([seed, 6])
    body, read = encode(certificate(rng))[:-32], 0
    for _ in range(200):
        changed = bytearray(body)
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
        data = sealed(bytes(changed))
        try:
            value = decode(data)
        except Refused:
            continue
        assert encode(value) == data
        read += 1
    assert read > 0


@pytest.mark.parametrize("seed", range(5))
def test_every_flipped_bit_and_every_cut_is_noticed(seed: int) -> None:
    data = encode(certificate(np.random.default_rng([seed, 7])))
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises(Refused):
                decode(bytes(changed))
        with pytest.raises(Refused):
            decode(data[:place])


REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "begin"),
    "other file": (b"\x08\x07" * 40, "begin"),
    "blank in the header": (written(plain_header().replace(b",", b", ", 1), b"\0"), "blanks"),
    "key twice": (written(plain_header().replace(b"{", b'{"arithmetic":"real",', 1), b"\0"), "each once"),
    "another key": (written(plain_header(zeal=1), b"\0"), "the keys"),
    "another format": (written(plain_header(format=2), b"\0"), "format 2"),
    "format true": (written(plain_header(format=True), b"\0"), "format True"),
    "another arithmetic": (written(plain_header(arithmetic="bfloat16"), b"\0"), "bfloat16"),
    "a number with a point": (written(plain_header(questions={"eps": 0.1}), b"\0"), "float.hex"),
    "not a number": (written(plain_header().replace(b"{}", b'{"eps":NaN}'), b"\0"), "JSON"),
    "deep header": (written(plain_header().replace(b"{}", b"[" * 100_000), b"\0"), "JSON"),
    "not a digest": (written(plain_header(model="A" * 64), b"\0"), "SHA-256"),
    "header beyond the end": (sealed(MAGIC + (2**20).to_bytes(4, "little") + b"{}"), "announced"),
    "long header": (sealed(MAGIC + (2**31).to_bytes(4, "little") + b"{}"), "longer"),
    "bytes left over": (written(plain_header(), b"\0\0"), "left over"),
    "many answers": (written(plain_header(), b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "announced"),
    "long number": (written(plain_header(), b"\xff" * 10), "longer than 9"),
    "number not shortest": (written(plain_header(), b"\x80\x00"), "more bytes"),
    "answer twice": (written(plain_header(), b"\x02\x02\x05\x03\x02\x05\x03"), "comes after"),
    "unknown kind": (answered(b"\0\x07"), "kind"),
    "unknown saying": (answered(b"\0\0\x09"), "nothing that a search says"),
    "left over in an answer": (answered(b"\0\x03\0"), "left over"),
    "unknown rule": (answered(b"\0\x01\x01\x03\0"), "rule"),
    "many trees": (answered(b"\0\x01\x01\x00\xff\x7f"), "announced"),
    "no clauses": (answered(b"\0\x01\x01\x00\x01\x00\x00\x00"), "clauses"),
    "clauses not in order": (answered(b"\0\x01\x01\x00\x01\x02\x01\x01\x00"), "clauses"),
    "clause in two trees": (answered(b"\0\x01\x01\x00\x02\x01\x05\x00\x01\x05\x00"), "two trees"),
    "unknown tag": (answered(b"\0\x01\x01\x00\x01\x01\x00\x09"), "tag"),
    "leaf that says nothing": (answered(b"\0\x01\x01\x00\x01\x01\x00\x01\x00\x00"), "default leaf"),
    "weights of 0": (answered(b"\0\x01\x01\x00\x01\x01\x00\x01\x02\0\0\0\0\x00"), "all 0"),
    "many slopes": (answered(b"\0\x01\x01\x00\x01\x01\x00\x01\x00\x02\xff\xff\x7f"), "announced"),
    "way of slopes": (answered(b"\0\x01\x01\x00\x01\x01\x00\x01\x00\x03"), "way"),
    "split at NaN": (answered(b"\0\x01\x01\x00\x01\x01\x00\x03\0\0" + b"\xff" * 8 + b"\0\0"), "finite"),
    "split at infinity": (answered(b"\0\x01\x01\x00\x01\x01\x00\x04\0" + b"\0" * 6 + b"\xf0\x7f\0\0"), "finite"),
    "negative multiplier": (
        answered(b"\0\x01\x01\x00\x01\x01\x00\x02\0\0\x01\0\0\0\0\x80\xbf\0"),
        "negative",
    ),
    "mixed splits": (answered(b"\0\x01\x01\x00\x01\x01\x00\x02\0\0\x04\0" + b"\0" * 8 + b"\0\0\0"), "mix"),
    "tree cut off": (answered(b"\0\x01\x01\x00\x01\x01\x00\x02\0\0\0"), "left"),
    "cut of nothing": (answered(b"\0\x01\x01\x00\x01\x01\x00\x06\x00\0"), "cut"),
    "witness not padded": (answered(b"\0\x02\x01\0\xff" + b"\0" * 4), "padded"),
    "witness beyond the end": (answered(b"\0\x02\xff\x7f\0"), "announced"),
    "witness of what": (answered(b"\0\x02\x00\x02"), "float32 or float64"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_files_are_refused(name: str) -> None:
    data, said = REFUSED[name]
    with pytest.raises(Refused) as caught:
        decode(data)
    assert said in str(caught.value)


UNWRITTEN: dict[str, Callable[[], Certificate]] = {
    "answers not in order": lambda: of((1, Uncovered(1)), (1, Uncovered(1))),
    "no tree": lambda: proof(NeuronSplit(0, 0), PLAIN),
    "too much of a tree": lambda: proof(PLAIN, PLAIN),
    "infinite": lambda: proof(InputSplit(0, float("inf")), PLAIN, PLAIN),
    "multipliers of another count": lambda: proof(NeuronSplit(0, 0), Leaf((), multipliers=(1.0, 1.0)), PLAIN),
    "multiplier of float64": lambda: proof(NeuronSplit(0, 0), Leaf((), multipliers=(0.1,)), PLAIN),
    "huge multiplier": lambda: proof(NeuronSplit(0, 0), Leaf((), multipliers=(1e300,)), PLAIN),
    "weight too large": lambda: proof(Leaf((65536,))),
    "negative entry": lambda: proof(NeuronSplit(0, -1), PLAIN, PLAIN),
    "clauses": lambda: proof(PLAIN, clauses=(3, 3)),
    "cut of no side": lambda: proof(Cut(((0, 2, 0.0),)), PLAIN),
    "codes": lambda: of((0, Falsified(Witness((4,))))),
    "numbers for codes": lambda: of((0, Falsified(Witness((3,))))),
}


@pytest.mark.parametrize("name", UNWRITTEN)
def test_values_without_a_place_are_not_written(name: str) -> None:
    with pytest.raises(Refused):
        encode(UNWRITTEN[name]())


def test_depth_is_bounded_and_no_recursion_meets_it() -> None:
    def deep(count: int) -> Certificate:
        return proof(*[NeuronSplit(0, 0)] * count, *[PLAIN] * (count + 1))

    data = encode(deep(4096))
    assert encode(decode(data)) == data
    with pytest.raises(Refused, match="deeper than 4096"):
        encode(deep(4097))
