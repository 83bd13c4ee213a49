# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What Flask-Limiter answers, for the test that asks httpd the same.

    compare.py CONF ANSWERS SEED N REQUESTS

writes a configuration with a virtual host for each of N descriptions, made
from the seeds SEED, SEED+1 ..., and a file of lines:

    D  name  seed  differences that were met
    R  time in 64ths of a second  method  path  fields  answer  and unchanged

Fields are name=value, joined by &; an answer is status, limit, remaining,
reset and the limit in words, joined by commas, empty where there is none. Unchanged is what
Flask-Limiter answers without the differences.

    compare.py SEED N

shows one description, and what became of its requests.
"""

import json
import logging
import sys

from describe import TICK, Maker
from flask_side import Side
from httpd_side import virtual_host

BEGIN = 1_800_000_000


def answers(seed, n, begin):
    """A description, its requests with their answers, and the time then."""
    maker = Maker(seed)
    description = maker.description()
    requests = maker.requests(description, n)
    requests = [(begin + time, *rest) for time, *rest in requests]
    # One after the other: some differences are made to classes.
    changed = Side(description, True)
    rows = [(*one, changed.answer(*one)) for one in requests]
    unchanged = Side(description, False)
    rows = [(*row, unchanged.answer(*row[:4])) for row in rows]
    return description, rows, sorted(changed.notes.found)


def text_of(answer):
    return ",".join("" if part is None else str(part) for part in answer)


def write_all(conf, file, seed, n, requests):
    now = BEGIN * TICK
    for one in range(seed, seed + n):
        description, rows, notes = answers(one, requests, now)
        print("\n".join(virtual_host(description, f"d{one}")), file=conf)
        print("D", f"d{one}", one, ",".join(notes), sep="\t", file=file)
        for time, method, path, fields, *both in rows:
            print("R", time, method, path,
                  "&".join(f"{name}={fields[name]}" for name in fields),
                  *map(text_of, both), sep="\t", file=file)
        # Another begins in a second, a whole one or not.
        now = rows[-1][0] + TICK + one % 3


def show(seed, n):
    description, rows, notes = answers(seed, n, BEGIN * TICK)
    print(json.dumps(description, indent=1))
    print("\n".join(virtual_host(description, f"d{seed}")))
    for row in rows:
        print(*row)
    print("differences:", *notes)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    if len(sys.argv) == 3:
        show(int(sys.argv[1]), int(sys.argv[2]))
    else:
        with open(sys.argv[1], "w") as conf, open(sys.argv[2], "w") as file:
            write_all(conf, file, *map(int, sys.argv[3:]))
