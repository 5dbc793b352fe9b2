"""What the headers of an H.264 stream say of its pictures, read without decoding them.

A picture's place in time and whether others refer to it stand in the first bits of its slices (ITU-T H.264, 7.3.3).
Only what ordinary encoders write of progressive video is understood here. Everything else, as fields, gaps in the
numbering or a change of parameters halfway, is `UnclearError`: such a stream is decoded frame by frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

# nal_unit_type, table 7-1
_SLICE, _IDR_SLICE, _SEI, _SPS, _PPS, _DELIMITER, _FILLER = 1, 5, 6, 7, 8, 9, 12
# Profiles whose parameter set tells more of its pixels, 7.3.2.1.1; of those that FFmpeg decodes.
_HIGH_PROFILES = (44, 100, 110, 122, 244)
_HEADER_BYTES = 160  # longer ones are taken as damaged: only tables of weights for many references would be so long
_MOST_REFERENCES = 16
_SIGNATURE = b"x264 - core"
_P, _B, _I = 0, 1, 2  # slice_type modulo 5, table 7-6
_LISTS = {_P: 1, _B: 2, _I: 0}  # of references
_ONE = b"\1"  # before the bits, so that zeros in front are kept


class UnclearError(Exception):
    """A stream that isn't understood, or is damaged."""


class Picture(NamedTuple):
    """A picture. refresh: all before it is forgotten (IDR). reference: others may refer to it.

    order: its place among the pictures since the last refresh, as shown.
    """

    refresh: bool
    reference: bool
    order: int


class Headers:
    """Follows a stream's headers, picture by picture, in the order of decoding."""

    def __init__(self, extradata: bytes | None) -> None:
        """extradata: the stream's avcC record (ISO 14496-15, 5.3.3.1). Raises UnclearError."""
        if not extradata or len(extradata) < 7 or extradata[0] != 1:
            raise UnclearError("no avcC record")
        self._length_bytes = (extradata[4] & 3) + 1
        sets = _parameter_sets(extradata)
        self._known = set(sets)
        self._sps = _one([_Sequence(nal) for nal in sets if nal[0] & 31 == _SPS])
        self._pps = {pps.number: pps for pps in (_Pictures(nal) for nal in sets if nal[0] & 31 == _PPS)}
        self._started = False
        self._reference_number = 0
        self._reference_order = 0
        self._place = 0
        self._signature: bytes | None = None

    def picture(self, packet: bytes) -> Picture:
        """The picture in the next packet, which must hold one and no more. Raises UnclearError."""
        slices = []
        for nal in self._nals(packet):
            kind = nal[0] & 31
            if kind in (_SLICE, _IDR_SLICE):
                slices.append((nal[0], *self._slice(nal)))
            elif kind == _SEI:
                self._check_signature(nal)
            elif kind in (_SPS, _PPS):
                if nal not in self._known:
                    raise UnclearError("other parameters halfway")
            elif kind not in (_DELIMITER, _FILLER):
                raise UnclearError(f"NAL unit of type {kind}")
        if not slices or len({(header, number, order) for header, _, number, order in slices}) != 1:
            raise UnclearError("not one picture in a packet")
        starts = [start for _, start, _, _ in slices]
        if starts[0] != 0 or any(after <= before for before, after in itertools.pairwise(starts)):
            raise UnclearError("slices out of order")
        header, _, number, order = slices[0]
        return self._followed(header & 31 == _IDR_SLICE, header >> 5 & 3 != 0, number, order)

    def _followed(self, refresh: bool, reference: bool, number: int, order: int | None) -> Picture:
        if refresh:
            expected = self._reference_order = self._place = 0
        else:
            expected = (self._reference_number + 1) % self._sps.numbers
        if not (self._started or refresh) or number != expected or (refresh and not reference):
            raise UnclearError("a gap in the numbering of pictures")
        self._started = True
        self._place += 1
        if order is None:
            place = self._place
        else:  # 8.2.1.1: the nearest value with these low bits
            half = self._sps.orders // 2
            place = self._reference_order + (order - self._reference_order + half - 1) % self._sps.orders - half + 1
        if reference:
            self._reference_number = number
            self._reference_order = place
        return Picture(refresh, reference, place)

    def _nals(self, packet: bytes) -> Iterator[bytes]:
        """Each NAL unit, slices no further than their header."""
        at = 0
        while at < len(packet):
            start = at + self._length_bytes
            at = start + int.from_bytes(packet[at:start])
            if at > len(packet) or at - start < 2 or packet[start] & 128:
                raise UnclearError("a packet that doesn't fall into NAL units")
            shown = min(at, start + _HEADER_BYTES) if packet[start] & 31 in (_SLICE, _IDR_SLICE) else at
            yield packet[start:shown]

    def _slice(self, nal: bytes) -> tuple[int, int, int | None]:
        """First macroblock, frame_num and the low bits of the picture order count of a slice, 7.3.3.

        The rest of the header is read too, as the decoder gives up a picture whose header it rejects.
        """
        bits, sps = _Bits(nal), self._sps
        start = bits.golomb(sps.macroblocks - 1)
        kind = bits.golomb(9) % 5
        pps = self._pps.get(bits.golomb(255))
        if pps is None or kind not in (_P, _B, _I):
            raise UnclearError("not a slice of type I, P or B with known parameters")
        number = bits.number(sps.number_bits)
        refresh = nal[0] & 31 == _IDR_SLICE
        if refresh:
            bits.golomb(65535)
            if kind != _I:
                raise UnclearError("a refresh that refers to other pictures")
        order = bits.number(sps.order_bits) if sps.order_bits else None
        if kind == _B:
            bits.number(1)
        counts = list(pps.references[: _LISTS[kind]])
        if counts and bits.number(1):
            counts = [bits.golomb(_MOST_REFERENCES - 1) + 1 for _ in counts]
        for count in counts:
            _reordering(bits, count)
        if (kind == _P and pps.weights_p) or (kind == _B and pps.weights_b):
            _weights(bits, counts, sps.colours)
        if refresh:
            bits.number(2)
        elif nal[0] >> 5 & 3:
            _marking(bits)
        if kind != _I:
            bits.golomb(2)
        if not -sps.extra_quantizers <= pps.quantizer + bits.signed(87) <= 51:
            raise UnclearError("a quantizer out of range")
        if pps.deblocking and bits.golomb(2) != 1:
            bits.signed(6)
            bits.signed(6)
        return start, number, order

    def _check_signature(self, nal: bytes) -> None:
        # The decoder works around the bugs of the encoder that signs so. It must not miss a change.
        if _SIGNATURE in nal:
            if self._signature != nal and self._started:
                raise UnclearError("another encoder halfway")
            self._signature = nal


class _Bits:
    """Reads bits behind a NAL unit's first byte. Raises UnclearError past the end."""

    def __init__(self, nal: bytes) -> None:
        data = nal[1:].replace(b"\0\0\3", b"\0\0")  # 7.4.1.1: the 3 keeps start codes out
        self._bits = f"{int.from_bytes(_ONE + data):b}"
        self._at = 1

    def number(self, bits: int) -> int:
        self._at += bits
        if self._at > len(self._bits):
            raise UnclearError("a header breaks off")
        return int(self._bits[self._at - bits : self._at], 2) if bits else 0

    def golomb(self, most: int = 1 << 31) -> int:
        """An Exp-Golomb code, 9.1."""
        zeros = self._bits.find("1", self._at) - self._at
        if not 0 <= zeros < 32:
            raise UnclearError("not a code")
        self._at += zeros
        found = self.number(zeros + 1) - 1
        if found > most:
            raise UnclearError("a field out of range")
        return found

    def signed(self, most: int) -> int:
        """A signed Exp-Golomb code, 9.1.1, no further from 0 than that."""
        code = self.golomb(2 * most)
        return (code + 1) // 2 if code % 2 else -(code // 2)


def _reordering(bits: _Bits, count: int) -> None:
    """7.3.3.1: at most as many changes to a list as it has references."""
    if bits.number(1):
        changes = 0
        while (operation := bits.golomb()) != 3:
            bits.golomb()
            changes += 1
            if operation > 1 or changes > count:
                raise UnclearError("long-term references, or more moved than there are")


def _weights(bits: _Bits, counts: list[int], colours: int) -> None:
    """7.3.3.2."""
    bits.golomb(7)
    if colours:
        bits.golomb(7)
    for _ in range(sum(counts)):
        for numbers in (2, 4) if colours else (2,):
            if bits.number(1):
                for _ in range(numbers):
                    if bits.signed(128) == 128:
                        raise UnclearError("a weight out of range")


def _marking(bits: _Bits) -> None:
    """7.3.3.3. 1 takes a reference off; the others are of long-term references, which encoders of files don't use."""
    if bits.number(1):
        while operation := bits.golomb():
            if operation != 1:
                raise UnclearError("long-term references")
            bits.golomb()


class _Sequence:
    """What a sequence parameter set says of the fields in slice headers, 7.3.2.1.1.

    numbers: frame_num counts modulo this; orders: the same of pic_order_cnt_lsb. order_bits: 0 where pictures are shown
    in the order of decoding. colours: chroma_format_idc. extra_quantizers: how far below 0 quantizers may go.
    """

    def __init__(self, nal: bytes) -> None:
        bits = _Bits(nal)
        profile = bits.number(8)
        bits.number(16)
        bits.golomb()
        self.colours, self.extra_quantizers = 1, 0
        if profile in _HIGH_PROFILES:
            self.colours = bits.golomb(3)
            if self.colours == 3 and bits.number(1):
                raise UnclearError("colours in pictures of their own")
            self.extra_quantizers = 6 * bits.golomb(6)
            bits.golomb(6)
            bits.number(1)
            if bits.number(1):
                raise UnclearError("scaling lists")
        elif profile not in (66, 77, 88):
            raise UnclearError(f"profile {profile}")
        self.number_bits = bits.golomb() + 4
        kind = bits.golomb()
        if kind not in (0, 2):
            raise UnclearError(f"picture order of type {kind}")
        self.order_bits = bits.golomb() + 4 if kind == 0 else 0
        if max(self.number_bits, self.order_bits) > 16:
            raise UnclearError("fields of more than 16 bits")
        self.numbers, self.orders = 1 << self.number_bits, 1 << self.order_bits
        bits.golomb(_MOST_REFERENCES)
        bits.number(1)
        self.macroblocks = (bits.golomb(1 << 12) + 1) * (bits.golomb(1 << 12) + 1)
        if not bits.number(1):
            raise UnclearError("fields")


class _Pictures:
    """What a picture parameter set says of slice headers, 7.3.2.2."""

    def __init__(self, nal: bytes) -> None:
        bits = _Bits(nal)
        self.number = bits.golomb(255)
        bits.golomb(31)
        if not bits.number(1):
            # Coded without arithmetic (CAVLC), a damaged picture leaves coefficients behind in FFmpeg's decoder that
            # spoil the pictures after it, though they don't refer to it. So all must be decoded for the same pixels.
            raise UnclearError("CAVLC")
        if bits.number(1) or bits.golomb():
            raise UnclearError("fields have places of their own, or groups of slices")
        self.references = [bits.golomb(_MOST_REFERENCES - 1) + 1 for _ in range(2)]
        self.weights_p = bits.number(1) == 1
        self.weights_b = bits.number(2) == 1
        self.quantizer = 26 + bits.signed(62)
        bits.signed(26)
        bits.signed(12)
        self.deblocking = bits.number(1) == 1
        bits.number(1)
        if bits.number(1):
            raise UnclearError("redundant pictures")


def _parameter_sets(extradata: bytes) -> list[bytes]:
    """The NAL units of an avcC record: one sequence parameter set, one or more of pictures."""
    found, at = [], 5
    for mask, kind in ((31, _SPS), (255, _PPS)):
        if at >= len(extradata):
            raise UnclearError("an avcC record that breaks off")
        count = extradata[at] & mask
        at += 1
        for _ in range(count):
            start = at + 2
            at = start + int.from_bytes(extradata[at:start])
            if at > len(extradata) or at - start < 4 or extradata[start] & 31 != kind:
                raise UnclearError("an avcC record that isn't one")
            found.append(extradata[start:at])
    return found


def _one(sets: list[_Sequence]) -> _Sequence:
    if len(sets) != 1:
        raise UnclearError(f"{len(sets)} sequence parameter sets")
    return sets[0]
