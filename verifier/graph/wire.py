"""What a serialised model takes once it is parsed, added up from its bytes before it is parsed.

A field of two bytes becomes an object, and a number of one byte becomes one of eight, so that a small file can take
much memory. The fields are walked through as protobuf does, and none is built.
"""

from functools import cache
from typing import NamedTuple

import onnx
from google.protobuf.descriptor import Descriptor, FieldDescriptor  # type: ignore[import-untyped]

from ..errors import InputError

_FIELD = 128  # bytes: more than any number or name takes beside its text; it bounds the time of the walk too
MOST_GROWTH = 2**28  # bytes beyond the file's own
_VARINT, _EIGHT, _TEXT, _FOUR = 0, 1, 2, 5
_PACKED = {  # bytes of a parsed number that has one byte at least in the file
    FieldDescriptor.CPPTYPE_INT32: 4,
    FieldDescriptor.CPPTYPE_UINT32: 4,
    FieldDescriptor.CPPTYPE_ENUM: 4,
    FieldDescriptor.CPPTYPE_INT64: 8,
    FieldDescriptor.CPPTYPE_UINT64: 8,
}


class _Kinds(NamedTuple):
    """Of a message: its fields that are messages, and those of numbers that may stand packed in one field."""

    messages: dict[int, Descriptor]
    packed: dict[int, int]


def check_parsed_size(data: bytes) -> None:
    """Raises `InputError` where the model in `data` would take too much; `ValueError` where `data` holds none."""
    growth, waiting = 0, [(onnx.ModelProto.DESCRIPTOR, 0, len(data))]
    while waiting:
        descriptor, place, end = waiting.pop()
        messages, packed = _kinds(descriptor)
        while place < end:
            key, place = (data[place], place + 1) if data[place] < 128 else _number(data, place)
            number, wire = key >> 3, key & 7
            growth += _FIELD
            if wire == _TEXT:
                length, place = _number(data, place)
                if number in messages:
                    growth += _FIELD
                    if length:
                        waiting.append((messages[number], place, place + length))
                elif number in packed:
                    growth += (packed[number] - 1) * length
                place += length
            elif wire == _VARINT:
                _, place = _number(data, place)
            elif wire in (_FOUR, _EIGHT):
                place += 4 if wire == _FOUR else 8
            else:
                raise ValueError("a group, which ONNX does not have")
            if growth > MOST_GROWTH:
                raise InputError(
                    f"it has so many parts that they take more than {MOST_GROWTH} bytes beyond the file's own. Check "
                    "the export, and store numbers as raw data."
                )
        if place != end:
            raise ValueError("a part that is cut short")


def _number(data: bytes, place: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and the place after it."""
    found = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        place += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, place
        shift += 7
    raise ValueError("a number that is cut short")


@cache
def _kinds(descriptor: Descriptor) -> _Kinds:
    fields = descriptor.fields
    messages = {field.number: field.message_type for field in fields if field.message_type is not None}
    packed = {field.number: _PACKED[field.cpp_type] for field in fields if field.cpp_type in _PACKED}
    return _Kinds(messages, packed)
