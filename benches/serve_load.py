#!/usr/bin/env python3
"""Listeners who seek at random, against a running `tiff2flac serve`:

    benches/serve_load.py http://127.0.0.1:7424/ [LISTENERS] [SECONDS] [PID]

Each listener plays: it asks for a range of a FLAC (every fifth: of a WAV decoded on the fly), takes the bytes of 10 seconds, then seeks
elsewhere. Printed are the answers' times to the first byte and to the last, and with PID the server's peak memory (VmHWM).
A stall is an answer that took longer than the 10 seconds of sound that it holds.
"""
import http.client
import json
import random
import sys
import threading
import time
from urllib.parse import urlsplit

base = urlsplit(sys.argv[1])
listeners = int(sys.argv[2]) if len(sys.argv) > 2 else 50
seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 30
HOLD = 10.0


def get(connection, path, headers={}):
    began = time.monotonic()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read(1)
    first = time.monotonic() - began
    body += answer.read()
    return answer, body, first, time.monotonic() - began


plain = http.client.HTTPConnection(base.netloc, timeout=60)
items = json.loads(get(plain, "/api/chunks?limit=200")[1])["items"]
sources = [json.loads(get(plain, f"/api/source/{n}")[1]) for n in sorted({i["source"] for i in items})[:40]]
sources = [s for s in sources if s["samples"] and s["seconds"] > 2 * HOLD]
results, errors, lock, end = [], [], threading.Lock(), time.monotonic() + seconds


def listen(number):
    rng, connection = random.Random(number), http.client.HTTPConnection(base.netloc, timeout=60)
    while time.monotonic() < end:
        source = rng.choice(sources)
        try:
            if number % 5 == 0:
                kind = "wav"
                frame = (source["bits"] or 16) // 8 * source["channels"]
                span = int(HOLD * source["rate"]) * frame
                start = rng.randrange(0, max(1, source["samples"] * frame - span))
                path = f"/source/{source['id']}/wav"
            else:
                kind = "flac"
                chunk = rng.choice([c for c in source["chunks"] if c["playable"]])
                span = min(chunk["flac_size"], int(chunk["flac_size"] * HOLD / max(HOLD, chunk["end"] - chunk["start"])))
                start = rng.randrange(0, max(1, chunk["flac_size"] - span))
                path = f"/chunk/{chunk['id']}/flac"
            answer, body, first, last = get(connection, path, {"Range": f"bytes={start}-{start + span - 1}"})
            with lock:
                results.append((kind, first, last, len(body)))
                if answer.status != 206:
                    errors.append(f"{path}: {answer.status}")
        except (OSError, http.client.HTTPException) as e:
            with lock:
                errors.append(repr(e))
            connection = http.client.HTTPConnection(base.netloc, timeout=60)


threads = [threading.Thread(target=listen, args=(n,)) for n in range(listeners)]
[t.start() for t in threads]
[t.join() for t in threads]
for kind in ("flac", "wav"):
    mine = [r for r in results if r[0] == kind]
    if not mine:
        continue
    firsts, lasts = sorted(r[1] for r in mine), sorted(r[2] for r in mine)
    at = lambda values, share: 1000 * values[min(len(values) - 1, int(share * len(values)))]
    print(f"{kind}: {len(mine)} seeks, {sum(r[3] for r in mine) / 1e6:.0f} MB; first byte {at(firsts, .5):.0f} ms (median), "
          f"{at(firsts, .99):.0f} ms (99 %), {1000 * firsts[-1]:.0f} ms (longest); all bytes {at(lasts, .5):.0f}, {at(lasts, .99):.0f}, "
          f"{1000 * lasts[-1]:.0f} ms")
print(f"stalls: {sum(r[2] > HOLD for r in results)}; errors: {len(errors)} {errors[:3]}")
if len(sys.argv) > 4:
    print([line.strip() for line in open(f"/proc/{sys.argv[4]}/status") if line.startswith(("VmHWM", "VmRSS"))])
