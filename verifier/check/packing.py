"""Bytes of a certificate, one number at a time. A reader refuses what a writer would not have written."""

import math
import struct

from .refusal import Refused
from .values import MAX_NUMBER

_LONGEST = 9  # bytes of a varint


class Writer:
    """Appends to `data`. Raises Refused where a value has no place in the format."""

    def __init__(self, place: str) -> None:
        self.data = bytearray()
        self.place = place

    def refuse(self, why: str) -> Refused:
        return Refused(self.place, why)

    def byte(self, value: int) -> None:
        if not 0 <= value <= 255:
            raise self.refuse(f"{value} does not fit into a byte.")
        self.data.append(value)

    def short(self, value: int) -> None:
        if not 0 <= value <= 65535:
            raise self.refuse(f"{value} does not fit into two bytes.")
        self.data += struct.pack("<H", value)

    def number(self, value: int) -> None:
        """An unsigned LEB128."""
        if not 0 <= value <= MAX_NUMBER:
            raise self.refuse(f"{value} is not a number from 0 to 2^63 - 1.")
        while value > 127:
            self.data.append(value & 127 | 128)
            value >>= 7
        self.data.append(value)

    def real(self, value: float, *, single: bool = False) -> None:
        """A finite float64, or a float32."""
        if not math.isfinite(value):
            raise self.refuse(f"{value} is not a finite number.")
        try:
            packed = struct.pack("<f" if single else "<d", value)
        except OverflowError:
            raise self.refuse(f"{value} is no float32 number.") from None
        if single and struct.unpack("<f", packed)[0] != value:
            raise self.refuse(f"{value!r} is no float32 number.")
        self.data += packed


class Reader:
    """Reads `data` from `at` to its end. Raises Refused, which names the place and the byte."""

    def __init__(self, data: bytes, place: str, at: int = 0) -> None:
        self.data, self.place, self.start, self.at = memoryview(data), place, at, 0

    def refuse(self, why: str) -> Refused:
        return Refused(f"{self.place}, byte {self.start + self.at}", why)

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def bytes(self, count: int) -> bytes:
        if count > self.left:
            raise self.refuse(f"{count} bytes are announced, {self.left} are left.")
        self.at += count
        return bytes(self.data[self.at - count : self.at])

    def byte(self) -> int:
        return self.bytes(1)[0]

    def short(self) -> int:
        return int(struct.unpack("<H", self.bytes(2))[0])

    def number(self) -> int:
        value = 0
        for place in range(_LONGEST):
            byte = self.byte()
            value |= (byte & 127) << 7 * place
            if byte < 128:
                if byte == 0 and place > 0:
                    raise self.refuse("a number takes more bytes than it needs.")
                return value
        raise self.refuse(f"a number is longer than {_LONGEST} bytes.")

    def count(self, least: int = 1) -> int:
        """Of things that take at least so many bytes each, so that what is announced is bounded by what is there."""
        value = self.number()
        if value * least > self.left:
            raise self.refuse(f"{value} things of at least {least} bytes are announced, {self.left} bytes are left.")
        return value

    def real(self, *, single: bool = False) -> float:
        value = struct.unpack("<f" if single else "<d", self.bytes(4 if single else 8))[0]
        if not math.isfinite(value):
            raise self.refuse(f"{value} is not a finite number.")
        return float(value)

    def end(self) -> None:
        if self.left:
            raise self.refuse(f"{self.left} bytes are left over.")
