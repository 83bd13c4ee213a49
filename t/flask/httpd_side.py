# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A description as a virtual host: blueprint and route are <Location>."""


def field(name):
    return "%%{HTTP:%s}" % name


def value(text):
    """Fixed text, or the field of the request that is named."""
    return f'"{field(text)}"' if str(text).startswith("X-") else f'"{text}"'


def is_yes(name):
    return f"\"%{{HTTP:{name}}} == 'yes'\""


def limit_line(directive, limit):
    words = [directive, value(limit.get("dynamic") or limit["limits"])]
    if "shared" in limit:
        words[0] = "RateLimitShared"
        words.append("scope=" + value(limit["shared"]))
    if "scope" in limit:
        words.append("scope=" + value(limit["scope"]))
    if "key" in limit:
        words.append("key=" + value(limit["key"]))
    if "cost" in limit:
        words.append("cost=" + value(limit["cost"]))
    if "methods" in limit:
        words.append("methods=" + ",".join(limit["methods"]))
    if limit.get("per_method"):
        words.append("per_method=on")
    if "exempt_when" in limit:
        words.append("exempt_when=" + is_yes(limit["exempt_when"]))
    if "deduct_when" in limit:
        words.append("deduct_when=\"%%{REQUEST_STATUS} == %d\""
                     % limit["deduct_when"])
    if "meta" in limit:
        words.append("meta=" + value(limit["meta"]))
    if not limit.get("override", True):
        words.append("override_defaults=off")
    return " ".join(words)


def section(path, limits, exempt, inside):
    """A section always speaks of limits, so that it is an endpoint."""
    lines = [f'<Location "{path}">']
    lines += ["    " + limit_line("RateLimit", limit) for limit in limits]
    if exempt is not None:
        lines.append("    RateLimitExempt " + (" ".join(exempt) or "Off"))
    if len(lines) == 1:
        lines.append(f'    RateLimitEndpoint "{path}"')
    return lines + ["</Location>"] + inside


def node_lines(node, prefix):
    lines = []
    for route in node["routes"]:
        exempt = route["exempt"]
        # A view is of its blueprint; a section nested in a section is not.
        if node.get("exempt") is not None:
            exempt = sorted(set(exempt or []) | set(node["exempt"]))
        lines += section(f"{prefix}/{route['name']}", route["limits"], exempt, [])
    for inner in node["blueprints"]:
        path = f"{prefix}/{inner['name']}"
        lines += section(path, inner["limits"], inner["exempt"],
                         node_lines(inner, path))
    return lines


def virtual_host(description, name):
    lines = ["<VirtualHost 127.0.0.1:@PORT@>", f"ServerName {name}",
             "RateLimitHeaders On",
             'Header always set X-Spoken "expr=%{reqenv:RATELIMIT_LIMIT}"',
             f"RateLimitStrategy {description['strategy']}",
             f"RateLimitCharge {description['charge']}"]
    if description["key"]:
        lines.append(f"RateLimitKey {value(description['key'])}")
    if description["filter"]:
        lines.append(f"RateLimitRequestFilter {is_yes(description['filter'])}")
    for kind in "application", "default", "meta":
        for limit in description[kind]:
            lines.append(limit_line(f"RateLimit{kind.capitalize()}", limit))
    return lines + node_lines(description, "") + ["</VirtualHost>"]
