#!/usr/bin/python3
# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# validate_json.py SCHEMA FILE...: is each a JSON text (RFC 8259) that fits the
# schema? Says for each file "ok", or what is wrong and where; exit status 1 if
# anything is. For Debian's python3-jsonschema: another python3 in the PATH need
# not have it.
import json
import sys

from jsonschema import Draft202012Validator


def refuse(word):
    raise ValueError(word + ' is not JSON')


def no_twins(pairs):
    """An object's members; two of one name are an error."""
    names = [name for name, value in pairs]
    twins = {name for name in names if names.count(name) > 1}
    if twins:
        raise ValueError('twice in one object: ' + ', '.join(sorted(twins)))
    return dict(pairs)


def faults(validator, path):
    try:
        with open(path, 'rb') as file:
            text = file.read().decode('utf-8')
        value = json.loads(text, parse_constant=refuse,
                           object_pairs_hook=no_twins)
    except ValueError as error:
        return [str(error)]
    return ['%s: %s' % (error.json_path, error.message[:300])
            for error in validator.iter_errors(value)]


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        schema = json.load(file, object_pairs_hook=no_twins)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    status = 0
    for path in sys.argv[2:]:
        found = faults(validator, path)
        print('%s: %s' % (path, '; '.join(found[:10]) if found else 'ok'))
        status |= bool(found)
    return status


sys.exit(main())
