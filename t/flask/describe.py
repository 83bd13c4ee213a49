# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Random descriptions of limited applications, and of requests to them.

A description is plain data that both sides are built from: flask_side.py makes
a Flask app of it, httpd_side.py a virtual host.

    {"strategy", "charge", "key", "filter",
     "application": [limit], "default": [limit], "meta": [limit],
     "blueprints": [blueprint], "routes": [route]}
    blueprint: {"name", "limits": [limit], "exempt": None or [flag],
                "index": has a view of its own, "routes", "blueprints"}
    route:     {"name", "limits": [limit], "exempt": None or [flag]}
    limit:     {"limits": "2/second;5/minute", and what Maker.limit() adds;
                "dynamic" names the request's field that says in its place}
Where a value begins with "X-", it is the field of that name.

A request is (time in 64ths of a second, method, path, {field: value}).
"""

import random

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
# Windows that are longer if their unit is: Flask-Limiter sorts by the unit.
WINDOWS = [(1, "second"), (2, "second"), (10, "second"), (1, "minute"),
           (2, "minute"), (5, "minute"), (1, "hour"), (2, "hour"), (1, "day")]
TAME_WINDOWS = [window for window in WINDOWS if window[0] == 1]
# Where it does not matter, or differs on purpose.
ODD_WINDOWS = [(90, "second"), (100, "minute"), (30, "hour")]
STRATEGIES = ["fixed-window", "moving-window", "sliding-window-counter"]
FLAGS = ["application", "default", "meta", "ancestors", "descendents"]
TAME_FLAGS = ["application", "default"]
USERS = ["ann", "bob"]
TICK = 64
# No view and no section is there.
NOWHERE = "/nowhere"


class Maker:
    """Makes one description from a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, p):
        return self.random.random() < p

    def limit_string(self, most=6):
        odd = not self.tame and self.chance(0.04)
        n, unit = self.random.choice(ODD_WINDOWS if odd else
                                     TAME_WINDOWS if self.tame else WINDOWS)
        count = self.random.choice([0] + [1] * 4 + list(range(1, most + 1)) * 6)
        if self.chance(0.5) and n == 1:
            return self.random.choice([
                f"{count} per {unit}", f"{count}/{unit}", f"{count} PER {unit}s"])
        return self.random.choice([
            f"{count}/{n} {unit}", f"{count} per {n} {unit}s",
            f" {count}per{n}{unit.capitalize()}"])

    def limit(self, kind):
        r = self.random
        strings = [self.limit_string(12 if kind == "application" else 6)
                   for _ in range(r.choice([1, 1, 1, 2]))]
        limit = {"limits": r.choice([";", ", ", "|"]).join(strings)}
        in_section = kind == "section"
        if self.chance(0.06) and kind != "meta":
            limit["dynamic"] = r.choice(["X-Plan", "X-Rate"])
        if self.chance(0.2):
            limit["key"] = r.choice(["X-User", "X-Key"])
        if kind != "meta":
            if not self.tame and self.chance(0.2):
                limit["cost"] = r.choice([0, 2, 2, 3, "X-Cost"])
            if self.chance(0.12):
                limit["per_method"] = True
            if self.chance(0 if self.tame else 0.15):
                limit["methods"] = r.choice([["GET"], ["POST"]])
        if self.chance(0.12):
            limit["exempt_when"] = "X-Admin"
        if in_section:
            limit["override"] = self.chance(0.5) and not self.tame
            if self.chance(0.2):
                limit["shared"] = r.choice(["one", "two", "X-Scope"])
            elif self.chance(0.15):
                limit["scope"] = r.choice(["part", "X-Scope"])
        if kind != "meta" and self.chance(0.08):
            limit["deduct_when"] = r.choice([404, 200])
        if kind != "meta" and self.chance(0.06):
            limit["meta"] = self.limit_string(3)
        return limit

    def limits(self, kind, numbers):
        return [self.limit(kind) for _ in range(self.random.choice(numbers))]

    def exempt(self, p):
        if not self.chance(p):
            return None
        if self.tame:
            return [flag for flag in TAME_FLAGS if self.chance(0.4)]
        if self.chance(0.3):
            return ["application", "default", "meta"]
        return [flag for flag in FLAGS if self.chance(0.3)]

    def route(self):
        self.last += 1
        route = {"name": f"r{self.last}", "exempt": self.exempt(0.15),
                 "limits": self.limits("section", [0, 0, 1, 1, 2])}
        if self.tame:
            route["exempt"] = None if route["limits"] else route["exempt"]
            self.align(route)
        return route

    def align(self, node):
        """In a tame one all limits of a place override, or none."""
        override = self.chance(0.4)
        for limit in node["limits"]:
            limit["override"] = override

    def blueprint(self, depth):
        self.last += 1
        one = {"name": f"b{self.last}", "exempt": self.exempt(0.2),
               "limits": self.limits("section", [0, 1, 1, 1, 2]),
               "index": True, "routes": [], "blueprints": []}
        if self.tame:
            self.align(one)
        # What a blueprint's `ancestors` drops for its routes, and what it
        # keeps, no nesting of three sections says.
        if "ancestors" not in (one["exempt"] or []):
            one["routes"] = [self.route() for _ in
                             range(self.random.choice([0, 0, 1, 2]))]
        if depth < 3:
            one["blueprints"] = [self.blueprint(depth + 1) for _ in
                                 range(self.random.choice([0, 1, 1, 2]))]
        return one

    def description(self):
        r = self.random
        self.last = 0
        # Half of them keep off what differs on purpose, mostly.
        self.tame = self.chance(0.5)
        return {
            "strategy": r.choice(STRATEGIES[:2] if self.tame else STRATEGIES),
            "charge": r.choice(["in-order", "all"]),
            "key": r.choice([None, None, "X-User"]),
            "filter": "X-Free" if self.chance(0.15) else None,
            "application": self.limits("application", [0, 0, 1, 1, 2]),
            "default": self.limits("default", [0, 1, 1, 2]),
            "meta": self.limits("meta", [0, 0, 0, 0, 0, 1]),
            "blueprints": [self.blueprint(1) for _ in range(r.choice([1, 1, 2]))],
            "routes": [self.route() for _ in range(r.choice([0, 1, 2]))],
        }

    def fields(self):
        r = self.random
        fields = {"X-User": r.choice(USERS), "X-Key": r.choice(USERS),
                  "X-Scope": r.choice(["one", "other"]),
                  "X-Plan": r.choice(["2/minute", "3 per hour;2/minute", "",
                                      "ten/hour"]),
                  "X-Rate": "3/5 seconds", "X-Cost": r.choice(["0", "1", "2"])}
        for field in "X-User", "X-Key":
            if self.chance(0.04):
                del fields[field]
        for field in "X-Admin", "X-Free":
            if self.chance(0.1):
                fields[field] = "yes"
        return fields

    def requests(self, description, n):
        """n requests, most of them to the same few places."""
        r = self.random
        places = list(places_of(description))
        favourites = [r.choice(places) for _ in range(r.choice([1, 2, 3]))]
        jumps = [0] * 6 + [1, 7, 64, 100, 640]
        for count, unit in WINDOWS:
            jumps += [count * UNITS[unit] * TICK] * 2
            jumps.append(count * UNITS[unit] * TICK - 1)
        # Days pass now and then alone, or nothing is ever full.
        jumps = [j for j in jumps if j <= 700] * 3 + jumps
        time, requests, fields = 0, [], self.fields()
        for _ in range(n):
            if self.chance(0.5):
                time += r.choice(jumps)
            if self.chance(0.4):
                fields = self.fields()
            path = r.choice(favourites if self.chance(0.8) else places)
            path = NOWHERE if self.chance(0.02) else path
            method = r.choice(["GET"] * 16 + ["POST"] * 3 + ["HEAD"])
            what = "no.txt" if self.chance(0.2) else "ok.txt"
            requests.append((time, method, f"{path}/{what}", fields))
        return requests


def places_of(node, prefix=""):
    """The paths of all views."""
    if node.get("index"):
        yield f"{prefix}/-"
    for route in node["routes"]:
        yield f"{prefix}/{route['name']}"
    for blueprint in node["blueprints"]:
        yield from places_of(blueprint, f"{prefix}/{blueprint['name']}")
