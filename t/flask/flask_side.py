# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A description as a Flask app with Flask-Limiter, and what it answers."""

import io
import itertools
import sys
import time

import flask
from flask import request

from describe import NOWHERE, TICK
from differences import (DesignLimiter, Notes, set_conditions,
                         set_differences)
from flask_limiter import (ApplicationLimit, ExemptionScope, Limit, Limiter,
                           MetaLimit)
from flask_limiter.util import get_remote_address
from werkzeug.routing.rules import Rule


class Clock:
    """Stands where it is set."""

    now = 1_800_000_000.0


time.time = lambda: Clock.now
set_conditions()


def no_url(*_):
    raise NotImplementedError


# Most of the time to make an app goes into functions that put URLs together.
Rule._compile_builder = lambda *_: no_url

FLAGS = {"application": ExemptionScope.APPLICATION,
         "default": ExemptionScope.DEFAULT, "meta": ExemptionScope.META,
         "ancestors": ExemptionScope.ANCESTORS,
         "descendents": ExemptionScope.DESCENDENTS}


def field(name):
    return lambda *_: request.headers.get(name, "")


def text(value):
    return field(value) if str(value).startswith("X-") else value


def whole_number(name):
    return lambda: int(request.headers.get(name, "1"))


def is_yes(name):
    return lambda: request.headers.get(name) == "yes"


class Side:
    """One description: the app, and its answers."""

    def __init__(self, description, is_changed):
        """is_changed: Flask-Limiter with the differences; else as it is."""
        self.notes = Notes()
        self.is_changed = is_changed
        self.strategy = description["strategy"]
        set_differences(is_changed)
        self.ranks = itertools.count()
        self.app = flask.Flask("side")
        key = description["key"]
        self.key = field(key) if key else get_remote_address
        named = {"notes": self.notes} if is_changed else {}
        self.limiter = (DesignLimiter if is_changed else Limiter)(
            self.key,
            application_limits=[self.limit(one, ApplicationLimit)
                                for one in description["application"]],
            default_limits=[self.limit(one, Limit)
                            for one in description["default"]],
            meta_limits=[self.limit(one, MetaLimit)
                         for one in description["meta"]],
            strategy=description["strategy"], headers_enabled=True,
            fail_on_first_breach=description["charge"] == "in-order",
            storage_uri="memory://", **named)
        self.limiter.init_app(self.app)
        if description["filter"]:
            self.limiter.request_filter(is_yes(description["filter"]))
        if is_changed:
            # "`RateLimitApplication` limits apply in any case": no limit of
            # Flask-Limiter holds where there is no view.
            self.add_view(self.app, "nowhere", NOWHERE, self.view("nowhere"), [])
        # Called before the limiter's own hook: that one looks at it, too.
        self.app.after_request(self.speak)
        for route in description["routes"]:
            self.add_route(self.app, route, [])
        for blueprint in description["blueprints"]:
            self.app.register_blueprint(self.blueprint(blueprint, []))

    def speak(self, response):
        """Which limit the fields are about: several have the same count."""
        spoken = self.limiter.current_limit
        if spoken:
            response.headers["X-Spoken"] = str(spoken.limit)
        return response

    def options(self, limit):
        """What all ways to write a limit have in common."""
        options = {
            # Says which limit a refusal or a decision is about.
            "error_message": str(next(self.ranks)),
            "per_method": limit.get("per_method", False),
            "methods": limit.get("methods"),
            "exempt_when": is_yes(limit["exempt_when"])
            if "exempt_when" in limit else None,
        }
        cost = limit.get("cost", 1)
        # A fixed cost of 0 is 1 to Flask-Limiter; one that is reckoned is 0.
        options["cost"] = (whole_number(cost) if isinstance(cost, str)
                           else cost or (lambda: 0))
        if "deduct_when" in limit:
            options["deduct_when"] = (
                lambda response: response.status_code == limit["deduct_when"])
        if "meta" in limit:
            own = MetaLimit(limit["meta"],
                            key_function=text(limit["key"])
                            if "key" in limit else self.key,
                            scope=self.notes.meta_scope(
                                options["error_message"], limit)
                            if self.is_changed else "meta")
            options["meta_limits"] = [own]
        return options

    def limit(self, limit, kind):
        """One for the whole application."""
        options = self.options(limit)
        if kind is MetaLimit:
            options = {name: options[name]
                       for name in ("error_message", "exempt_when")}
            options["scope"] = "meta"
        return kind(text(limit.get("dynamic") or limit["limits"]),
                    key_function=text(limit["key"]) if "key" in limit else None,
                    **options)

    def section_limit(self, limit):
        arguments = [text(limit.get("dynamic") or limit["limits"])]
        options = self.options(limit)
        make = self.limiter.limit
        if "shared" in limit:
            make = self.limiter.shared_limit
            arguments.append(text(limit["shared"]))
        elif "scope" in limit:
            options["scope"] = text(limit["scope"])
        made = make(*arguments,
                    key_func=text(limit["key"]) if "key" in limit else None,
                    override_defaults=limit["override"], **options)
        for own in options.get("meta_limits", []):
            own.bind(self.limiter)
        return made

    def section(self, node, exempt):
        """What stands in a section, as DESIGN section 3 sees it."""
        return {"limits": [self.section_limit(one) for one in node["limits"]],
                "exempt": set(exempt or []), "is_route": "index" not in node}

    def view(self, name):
        def view(what):
            return ("ok\n", 200) if what == "ok.txt" else ("no\n", 404)

        view.__name__ = view.__qualname__ = name
        return view

    def add_view(self, holder, name, path, view, sections):
        holder.add_url_rule(f"{path}/<what>", endpoint=name, view_func=view,
                            methods=["GET", "POST"])
        if self.is_changed:
            self.limiter.sections[name] = sections

    def add_route(self, holder, route, outer, inherited=None):
        exempt = route["exempt"]
        if inherited is not None:
            exempt = set(exempt or []) | set(inherited)
        section = self.section(route, exempt)
        view = self.view(route["name"])
        if route["exempt"] is not None:
            self.limiter.exempt(view, flags=flags_of(route["exempt"]))
        for limit in section["limits"]:
            view = limit(view)
        self.add_view(holder, route["name"], "/" + route["name"], view,
                      outer + [section])

    def blueprint(self, node, outer):
        made = flask.Blueprint(node["name"], "side",
                               url_prefix="/" + node["name"])
        section = self.section(node, node["exempt"])
        for limit in section["limits"]:
            limit(made)
        if node["exempt"] is not None:
            self.limiter.exempt(made, flags=flags_of(node["exempt"]))
        sections = outer + [section]
        self.add_view(made, f"{node['name']}-index", "/-",
                      self.view(f"{node['name']}-index"), sections)
        for route in node["routes"]:
            self.add_route(made, route, sections, node["exempt"])
        for inner in node["blueprints"]:
            made.register_blueprint(self.blueprint(inner, sections))
        return made

    def answer(self, when, method, path, fields):
        """The status, what the X-RateLimit fields say or None, and of which
        limit.

        when: in 64ths of a second, which floating point keeps exactly."""
        Clock.now = when / TICK
        said = {}

        def start(status, headers, _=None):
            said["status"] = int(status[:3])
            for name, value in headers:
                said[name] = value

        environ = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "",
            "SERVER_NAME": "localhost", "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": "",
            "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr,
        }
        for name, value in fields.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        for _ in self.app.wsgi_app(environ, start):
            pass
        fields = [said.get("X-RateLimit-" + name)
                  for name in ("Limit", "Remaining", "Reset")]
        if self.strategy.startswith("sliding") or fields[0] == fields[1]:
            # DESIGN has no sentence on its reset, nor on that of a counter
            # where nothing is charged.
            fields[2] = None
        return [said["status"]] + fields + [said.get("X-Spoken")]


def flags_of(names):
    flags = ExemptionScope.NONE
    for name in names:
        flags |= FLAGS[name]
    return flags
