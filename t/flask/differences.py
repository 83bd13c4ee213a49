# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Where DESIGN.md differs from Flask-Limiter on purpose.

Flask-Limiter decides; here it is changed in exactly the points below, and
each notes where it made a difference. What has no note is Flask-Limiter's own
word. In quotes: the sentence of the design that asks for it.
"""

import dataclasses
import math
import threading
from fractions import Fraction

from flask import current_app, request

import flask_limiter._extension as extension
from flask_limiter import ExemptionScope, Limiter, RateLimitExceeded
from flask_limiter._limits import RuntimeLimit
from flask_limiter._manager import LimitManager
from limits.limits import RateLimitItem
from limits.storage import memory
from limits.storage.memory import Entry, MemoryStorage
from limits.strategies import (FixedWindowRateLimiter,
                               SlidingWindowCounterRateLimiter)


class Notes:
    """Which differences made a difference."""

    def __init__(self):
        self.found = set()
        self.metas = {}

    def add(self, name):
        self.found.add(name)

    def meta_scope(self, label, limit):
        """`meta="LIMITS"`: "meta limits for this limit alone". Flask-Limiter's
        all have one scope, so those with the same text are one, whatever the
        limit's scope."""
        where = "shared " + limit["limits"] if "shared" in limit else label
        scope = limit.get("shared") or limit.get("scope") or ""
        self.metas.setdefault(limit["meta"], set()).add(where + scope)
        if len(self.metas[limit["meta"]]) > 1 or scope.startswith("X-"):
            self.add("meta alone")
        return lambda _: f"meta of {where} " + (
            request.headers.get(scope, "") if scope.startswith("X-")
            else scope)


NOW = Notes()       # of the side that answers


### Strategies and storage


def _fixed_hit(self, item, *identifiers, cost=1):
    """"RateLimitCharge ... `in-order`: the limits ... up to the first that
    refuses. `all`: every limit that has room": what refuses is not charged.
    Flask-Limiter's fixed windows go on counting past the limit, which shows
    where costs differ."""
    if not self.test(item, *identifiers, cost=cost):
        if self.storage.get(item.key_for(*identifiers)) < item.amount:
            NOW.add("costs over the count")
        return False
    return _fixed_hit.original(self, item, *identifiers, cost=cost)


_fixed_hit.original = FixedWindowRateLimiter.hit


def _acquire_entry(self, key, limit, expiry, amount=1):
    """"Windows are half open: [start, start+W)". Flask-Limiter counts a
    charge at its last instant, too; and has no room at all for a cost of 0
    where more than the count was once charged."""
    now = extension.time.time()
    if amount > limit:
        return False
    events = self.events.setdefault(key, [])
    inside = sum(entry.atime > now - expiry for entry in events)
    if sum(entry.atime >= now - expiry for entry in events) != inside:
        NOW.add("half-open windows")
    if inside + amount > limit:
        return False
    events[:0] = [Entry(expiry) for _ in range(amount)]
    return True


def _get_moving_window(self, key, limit, expiry):
    now = extension.time.time()
    inside = [entry for entry in self.events.get(key, [])
              if entry.atime > now - expiry]
    return (inside[-1].atime, len(inside)) if inside else (now, 0)


class Buckets:
    """"`sliding-window-counter`: two adjoining buckets of length W, the first
    starting with the first charge; allowed while floor(previous * share of the
    previous bucket still inside the window) + current + cost <= count". Those
    of Flask-Limiter start at whole multiples of W since 1970, and it reckons
    in floating point."""

    def __init__(self):
        self.start, self.previous, self.current = None, 0, 0

    def move(self, now, window):
        if self.start is not None and now - self.start >= window:
            self.start += window
            self.previous, self.current = self.current, 0
            if now - self.start >= window:
                self.start, self.previous = None, 0
        if not self.previous and not self.current:
            self.start = None

    def used(self, now, window):
        if not self.previous:
            return self.current
        share = (self.start + window - Fraction(now)) / window
        return math.floor(self.previous * share) + self.current


def _buckets(limiter, item, identifiers):
    store = limiter.storage.__dict__.setdefault("buckets", {})
    buckets = store.setdefault(item.key_for(*identifiers), Buckets())
    now = extension.time.time()
    buckets.move(now, item.get_expiry())
    if buckets.start is not None and buckets.start % item.get_expiry():
        NOW.add("buckets start with the first charge")
    return buckets, now


def _sliding_test(self, item, *identifiers, cost=1):
    buckets, now = _buckets(self, item, identifiers)
    return buckets.used(now, item.get_expiry()) + cost <= item.amount


def _sliding_hit(self, item, *identifiers, cost=1):
    if not _sliding_test(self, item, *identifiers, cost=cost):
        return False
    buckets, now = _buckets(self, item, identifiers)
    buckets.current += cost
    if buckets.start is None and cost:
        buckets.start = now
    return True


def _sliding_stats(self, item, *identifiers):
    buckets, now = _buckets(self, item, identifiers)
    return now, max(0, item.amount - buckets.used(now, item.get_expiry()))


def _lt(a, b):
    """"Sorted by window length, shortest first"; Flask-Limiter by the unit."""
    return a.get_expiry() < b.get_expiry()


def _method_exempt(self):
    """docs/directives.md: "`GET` covers `HEAD`, as in `<Limit>`"."""
    method = request.method.lower()
    if self.methods is None or method in self.methods:
        return False
    if method == "head" and "get" in self.methods:
        NOW.add("HEAD is a GET")
        return False
    return True


PATCHES = [
    (RuntimeLimit, "method_exempt", property(_method_exempt)),
    (FixedWindowRateLimiter, "hit", _fixed_hit),
    (MemoryStorage, "acquire_entry", _acquire_entry),
    (MemoryStorage, "get_moving_window", _get_moving_window),
    (SlidingWindowCounterRateLimiter, "hit", _sliding_hit),
    (SlidingWindowCounterRateLimiter, "test", _sliding_test),
    (SlidingWindowCounterRateLimiter, "get_window_stats", _sliding_stats),
    (RateLimitItem, "__lt__", _lt),
]
ORIGINALS = [(place, name, getattr(place, name)) for place, name, _ in PATCHES]


def set_differences(wanted):
    """Those that are not a limiter's own: set, or taken back."""
    for place, name, function in PATCHES if wanted else ORIGINALS:
        setattr(place, name, function)


def set_conditions():
    """What would differ by chance, or in every answer."""
    # What time has ended is looked for at each step, not by a thread too.
    memory.threading = NoThreads
    # "X-RateLimit-Reset (epoch seconds, rounded up)": a second more in
    # Flask-Limiter where it is a whole one.
    extension.RequestLimit.reset_at = property(
        lambda self: math.ceil(self.window[0]))


class MetaLimits:
    """"Sorted by window length, shortest first": which of several exceeded
    meta limits a refusal speaks of. Flask-Limiter's come as written, those of
    single limits last. Asked for twice: what is tested, what is charged."""

    def __init__(self, general, limits, notes):
        theirs, ours = (
            general + [meta for limit in order for meta in
                       limit.meta_limits or ()]
            for order in (limits, sorted(limits, key=window_of)))
        self.lists = [sorted(ours, key=window_of), general]
        if self.lists[0] != theirs:
            notes.add("order of meta limits")

    def __iter__(self):
        return iter([self.lists.pop(0)])


ONCE = "One counter per (prefix, scope, key, limit, strategy)"


class NoThreads:
    """What MemoryStorage needs of the module threading."""

    RLock = threading.RLock

    class Timer:
        def __init__(self, *_):
            pass

        def start(self):
            pass

        def is_alive(self):
            return True


class Strategy:
    """The limiter's strategy, as a request sees it."""

    def __init__(self, strategy):
        self.strategy = strategy
        self.refused = set()
        self.begin()

    def begin(self):
        self.hits = set()

    def hit(self, item, *identifiers, cost=1):
        """ONCE: Flask-Limiter charges a breach to the same meta limit for
        each limit that brings it."""
        key = item.key_for(*identifiers)
        if key in self.hits:
            NOW.add("a counter once")
            return True
        self.hits.add(key)
        return self._ask(self.strategy.hit, item, identifiers, cost)

    def test(self, item, *identifiers, cost=1):
        return self._ask(self.strategy.test, item, identifiers, cost)

    def _ask(self, method, item, identifiers, cost):
        """"count 0 is allowed and refuses everything": not what costs 0, in
        Flask-Limiter."""
        if not item.amount and not cost:
            NOW.add("count 0")
            return False
        key = item.key_for(*identifiers)
        has_room = method(item, *identifiers, cost=cost)
        if not has_room:
            self.refused.add(key)
        elif not cost and key in self.refused:
            # See _fixed_hit().
            NOW.add("costs over the count")
        return has_room

    def get_window_stats(self, item, *identifiers):
        return self.strategy.get_window_stats(item, *identifiers)


### Which limits hold


def runtime(groups):
    """The limits of a list of directives. "Malformed: an error in the log
    (not one per request), and as for empty"; of a default Flask-Limiter makes
    a status of 500."""
    for group in groups:
        try:
            yield from group
        except ValueError:
            NOW.add("malformed")


def with_method(limits):
    """"A limit whose methods do not match takes no part: it neither counts
    nor overrides": it overrides in Flask-Limiter, unless all are like it."""
    return [limit for limit in limits if not limit.method_exempt]


def handed_down(sections, defaults):
    """What sections, outermost first, give to one nested in the last.

    "A section with own limits, at least one of them with
    `override_defaults=on`, takes its own limits alone: enclosing sections and
    defaults are cut off, for itself and for what is nested inside": in
    Flask-Limiter a blueprint overrides if all of its limits do, and does not
    cut off what encloses it for what is nested inside.

    "`descendents`: the exemption, and the going without this section's own
    limits, hold for nested sections too": in Flask-Limiter `ancestors` is not
    handed down."""
    if not sections:
        return defaults
    *outer, last = sections
    if "descendents" in last["exempt"]:
        return (defaults if "ancestors" in last["exempt"]
                else handed_down(outer, defaults))
    own = with_method(runtime(last["limits"]))
    if any(limit.override_defaults for limit in own):
        return own
    return own + handed_down(outer, defaults)


def resolve(sections, defaults, application):
    """DESIGN section 3 in its own words, for the innermost section.

    "A section's own limits always apply to it": in Flask-Limiter any flag
    takes a view's own limits from it, and META or DESCENDENTS a blueprint's."""
    *outer, inner = sections or [{"limits": [], "exempt": ()}]
    exempt = set(inner["exempt"])
    for section in outer:
        if "descendents" in section["exempt"]:
            exempt |= section["exempt"]
    own = with_method(runtime(inner["limits"]))
    if any(limit.override_defaults for limit in own):
        held = own
    elif "ancestors" in inner["exempt"]:
        held = own + defaults
    else:
        held = own + handed_down(outer, defaults)
    # In Flask-Limiter's order: application, defaults, inner before outer.
    own = [limit for limit in held if limit not in defaults]
    held = own if len(own) == len(held) or "default" in exempt \
        else defaults + own
    if "application" in exempt:
        application = []
    return application + held, exempt


class DesignManager(LimitManager):
    """The server's limits, one of which may be malformed; see runtime()."""

    @property
    def application_limits(self):
        return list(runtime(self._application_limits))

    @property
    def default_limits(self):
        return list(runtime(self._default_limits))


class DesignLimiter(Limiter):
    """A limiter with the differences. `sections`: of each view, what stands
    in its sections, outermost first."""

    def __init__(self, *arguments, notes, **named):
        super().__init__(*arguments, **named)
        self.limit_manager.__class__ = DesignManager
        self.sections = {}
        self.notes = notes

    def init_app(self, app):
        super().init_app(app)
        self._limiter = Strategy(self._limiter)

    def _check_request_limit(self, callable_name=None, in_middleware=True):
        """"All of the request's limits are decided in one call to the
        storage": Flask-Limiter decides on the application's limits before
        those of a view that has its own.

        "RateLimitRequestFilter: a boolean; where any is true for a request, no
        limit of any kind is looked at": Flask-Limiter looks at meta limits."""
        global NOW
        NOW = self.notes
        if request.endpoint == "nowhere":
            NOW.add("unmatched")
        name = request.endpoint.split(".")[-1]
        if any(passes() for passes in self._request_filters):
            if self._meta_limits:
                NOW.add("filters and meta limits")
            return
        view = current_app.view_functions[request.endpoint]
        is_marked = (extension.get_qualified_name(view)
                     in self._marked_for_limiting)
        if in_middleware and is_marked:
            return
        self._limiter.begin()
        self._decide(name, is_marked, callable_name)

    def _decide(self, name, is_marked, callable_name):
        """Decide what holds, and note where that is not what Flask-Limiter
        would hold."""
        manager = self.limit_manager
        theirs = set()
        if is_marked and not (ExemptionScope.APPLICATION
                              & manager.exemption_scope(
                                  current_app, request.endpoint,
                                  request.blueprint)):
            theirs.update(manager.application_limits)
        for limits in manager.resolve_limits(
                current_app, request.endpoint, request.blueprint,
                callable_name, not is_marked, is_marked):
            theirs.update(limits)
        ours, exempt = resolve(self.sections[name], with_method(
            manager.default_limits), with_method(manager.application_limits))
        if ({named(limit) for limit in with_method(theirs)}
                != {named(limit) for limit in ours}):
            self.notes.add("sections")
        elif any(limit.meta_limits for limit in ours) and request.blueprint:
            # "meta limits for this limit alone": dropped on blueprints.
            self.notes.add("meta on a blueprint")
        if by_unit(ours) != by_window(ours):
            self.notes.add("order")
        if is_ambiguous(ours, self.sections[name]):
            self.notes.add("order of a set")
        self._evaluate(ours, exempt, is_marked)

    def _evaluate(self, limits, exempt, is_marked):
        """"Meta limits are tested first (unless exempt)" and "`meta`: those
        limits do not apply in this section": Flask-Limiter charges a breach to
        them all the same. "All [keys] empty: the limit is skipped": the meta
        limits of Flask-Limiter are not. "exempt_when: this limit is not looked
        at for this request": nor are its own meta limits here."""
        all_meta = self._meta_limits
        metas = [meta for meta in runtime(all_meta) if meta.key_func()]
        if len(metas) < len(list(runtime(all_meta))):
            self.notes.add("meta without a key")
        looked_at = [dataclasses.replace(
            limit, meta_limits=None if "meta" in exempt
            else tuple(meta for meta in limit.meta_limits or ()
                       if meta.key_func()))
            for limit in limits if not limit.is_exempt and limit.key_func()]
        self._meta_limits = MetaLimits([] if "meta" in exempt else metas,
                                       looked_at, self.notes)
        try:
            self._Limiter__evaluate_limits(request.endpoint,
                                           self._without_twins(looked_at))
        except RateLimitExceeded:
            if "meta" in exempt and all_meta:
                self.notes.add("meta exempt")
            if is_marked:
                self.notes.add("one decision")
            self._speak_first()
            raise
        finally:
            self._meta_limits = all_meta
            views = self.context.view_rate_limits
            if is_marked and all(view.shared for view in views):
                self.notes.add("one decision")

    def _without_twins(self, limits):
        """ONCE: a request that meets a counter twice is charged once,
        Flask-Limiter hits it for each limit."""
        counters = {}
        for limit in limits:
            counter = (limit.key_func(), limit.limit,
                       limit.scope_for(request.endpoint, request.method))
            if counters.setdefault(counter, limit) is not limit:
                self.notes.add("a counter once")
        return list(counters.values())

    def _Limiter__check_conditional_deductions(self, response):
        self._limiter.begin()
        Limiter._Limiter__check_conditional_deductions(self, response)

    def _speak_first(self):
        """"The request is refused with the first of them", and the fields are
        "for the breached limit": Flask-Limiter's speak of the last."""
        breached = [view for view in self.context.view_rate_limits
                    if view.breached]
        if len(breached) > 1:
            self.notes.add("the first breach")
        if breached:
            self.context.view_rate_limit = breached[0]


def is_ambiguous(limits, sections):
    """Limits of several blueprints come in the order of a set of strings,
    which is another in every process; here the inner section's come first."""
    groups = [{limit.error_message for limit in section["limits"]}
              for section in sections if not section["is_route"]]
    seconds = [(limit.limit.GRANULARITY.seconds, number)
               for number, group in enumerate(groups)
               for limit in limits if limit.error_message in group]
    return len({one for one, _ in seconds}) < len(set(seconds))


def window_of(limit):
    return limit.limit.get_expiry()


def named(limit):
    return limit.error_message, limit.limit


def by_window(limits):
    return [named(limit) for limit in sorted(limits, key=window_of)]


def by_unit(limits):
    """Flask-Limiter's order, as far as it is not a set's."""
    return [named(limit) for limit in sorted(
        limits, key=lambda limit: limit.limit.GRANULARITY.seconds)]
