#!/usr/bin/env python3
"""Takes the contents of one TIFF of an archive out of it, with nothing but Python 3 and FORMAT.md.

    read_archive.py FILE.tiff             says what the pages hold
    read_archive.py FILE.tiff OUT_DIR     writes them: FLACs as .flac, all other bytes as .bin
"""
import json
import struct
import sys
import zlib
from pathlib import Path

BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 16: 8}
CODE_OF_TYPE = {1: "B", 2: "B", 3: "H", 4: "I", 16: "Q"}
WIDTH, HEIGHT, COMPRESSION, DESCRIPTION, STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_LENGTHS = 256, 257, 259, 270, 273, 278, 279


class Tiff:
    """A TIFF 6.0 or BigTIFF file, its pages in order, each a dictionary from tag number to values."""

    def __init__(self, path):
        self.file = open(path, "rb")
        order = {b"II": "<", b"MM": ">"}.get(self.bytes_at(0, 2))
        if order is None:
            raise ValueError("this is no TIFF")
        self.order = order
        version = self.number(2, "H")
        self.big = version == 43
        if version not in (42, 43):
            raise ValueError("this is no TIFF")
        self.pages, seen = [], set()
        at = self.number(8, "Q") if self.big else self.number(4, "I")
        while at and at not in seen:
            seen.add(at)
            page, at = self.directory(at)
            self.pages.append(page)

    def bytes_at(self, offset, length):
        self.file.seek(offset)
        data = self.file.read(length)
        if len(data) != length:
            raise ValueError(f"the file ends before byte {offset + length}")
        return data

    def number(self, offset, code):
        return struct.unpack(self.order + code, self.bytes_at(offset, struct.calcsize("<" + code)))[0]

    def directory(self, at):
        """The entries of the directory at a byte, and where the next directory is (0: nowhere)."""
        count, at = (self.number(at, "Q"), at + 8) if self.big else (self.number(at, "H"), at + 2)
        size, inline, code = (20, 8, "Q") if self.big else (12, 4, "I")
        page = {}
        for entry in range(at, at + count * size, size):
            tag, kind, values = struct.unpack(self.order + "HH" + code, self.bytes_at(entry, 4 + inline))
            if kind not in BYTES_OF_TYPE:
                continue
            place = entry + 4 + inline
            if values * BYTES_OF_TYPE[kind] > inline:
                place = self.number(place, code)
            data = self.bytes_at(place, values * BYTES_OF_TYPE[kind])
            page[tag] = data if kind == 2 else struct.unpack(f"{self.order}{values}{CODE_OF_TYPE[kind]}", data)
        return page, self.number(at + count * size, code)

    def pixels(self, page):
        """The page's bytes, strip by strip."""
        for offset, length in zip(page[STRIP_OFFSETS], page[STRIP_LENGTHS]):
            if page[COMPRESSION][0] == 8:
                yield zlib.decompress(self.bytes_at(offset, length))
            else:
                for start in range(0, length, 1 << 20):
                    yield self.bytes_at(offset + start, min(1 << 20, length - start))


def description(page):
    text = page.get(DESCRIPTION, b"").rstrip(b"\0").decode("ascii", "replace")
    try:
        about = json.loads(text)
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}


def write(tiff, page, path, length):
    """The first `length` bytes of a page; what follows in its last row is padding."""
    left = length
    with open(path, "xb") as out:
        for data in tiff.pixels(page):
            out.write(data[:left])
            left -= min(left, len(data))
    if left:
        raise ValueError(f"{path} is {left} bytes short")


def main(arguments):
    if len(arguments) not in (1, 2):
        sys.exit(__doc__)
    source = Path(arguments[0])
    tiff = Tiff(source)
    for number, page in enumerate(tiff.pages):
        about = description(page)
        role = about.get("role", "flac" if about.get("embedded_flac_bytes") else "picture")
        print(f"page {number}: {role}, {page[WIDTH][0]} x {page[HEIGHT][0]}")
        if "metadata" in about:
            print(json.dumps(about["metadata"], indent=2, ensure_ascii=False))
        if role == "picture" or len(arguments) == 1:
            continue
        everything = page[WIDTH][0] * page[HEIGHT][0]
        length = about.get("flac_size_bytes", everything) if role == "flac" else about.get("length", everything)
        folder = Path(arguments[1])
        folder.mkdir(parents=True, exist_ok=True)
        if role == "flac":
            first, count = about.get("first_channel", 0), about.get("channel_count", 1)
            name = source.stem + (f"_channels_{first + 1}-{first + count}" if first else "") + ".flac"
        else:
            name = f"{source.stem}_page{number}_{role}.bin"
        write(tiff, page, folder / name, length)
        print(f"  written: {folder / name}, {length} bytes")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, ValueError, KeyError, struct.error, zlib.error) as error:
        sys.exit(f"{sys.argv[1] if len(sys.argv) > 1 else ''}: {error}")
