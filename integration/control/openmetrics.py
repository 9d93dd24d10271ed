"""A strict parser of the OpenMetrics text format 1.0, as far as shmvisor uses it: what the specification's
ABNF and its rules for counters, histograms, units, metadata and the order of samples say."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)?\}})? (\S+)")
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?Inf|NaN")
SUFFIXES = {"gauge": {""}, "counter": {"_total"}, "info": {"_info"},
            "histogram": {"_bucket", "_count", "_sum"}}


class Family:
    def __init__(self, name):
        self.name, self.type, self.unit, self.help = name, None, None, None
        self.samples = {}

    def value(self, suffix="", **labels):
        """Of the one sample that has these labels; others may be there too."""
        found = [value for (end, pairs), value in self.samples.items()
                 if end == suffix and set(labels.items()) <= set(pairs)]
        assert len(found) == 1, (self.name, suffix, labels, found)
        return found[0]


def number(text):
    assert NUMBER.fullmatch(text), text
    return float(text)


def unescaped(text):
    return re.sub(r"\\(.)", lambda one: {"n": "\n"}.get(one[1], one[1]), text)


def parse(text):
    """The families by name. Fails by AssertionError where the text breaks a rule."""
    assert text.endswith("# EOF\n"), "it does not end with # EOF"
    families, current = {}, None
    lines = text.split("\n")
    assert lines.pop() == "" and lines.pop() == "# EOF"
    for line in lines:
        assert line and line != "# EOF", "an empty line, or a second end"
        if line.startswith("#"):
            match = re.fullmatch(rf"# (TYPE|UNIT|HELP) ({NAME}) (.*)", line)
            assert match, line
            kind, name, rest = match.groups()
            if current is None or current.name != name:
                assert name not in families, "the family is not in one piece: " + name
                current = families[name] = Family(name)
            assert not current.samples, "metadata behind samples: " + line
            assert getattr(current, kind.lower()) is None, "twice: " + line
            setattr(current, kind.lower(), rest)
            continue
        match = SAMPLE.fullmatch(line)
        assert match and current is not None and current.type in SUFFIXES, line
        assert match[1].startswith(current.name), line
        suffix = match[1][len(current.name):]
        assert suffix in SUFFIXES[current.type], line
        pairs = [(name, unescaped(value)) for name, value in re.findall(LABEL, match[2] or "")]
        assert len({name for name, _ in pairs}) == len(pairs), "a label twice: " + line
        key = suffix, tuple(pairs)
        assert key not in current.samples, "a sample twice: " + line
        current.samples[key] = number(match[len(match.groups())])
    for family in families.values():
        check(family)
    return families


def check(family):
    assert family.type and family.help, family.name
    unit = next((one for one in ("seconds", "bytes") if family.name.endswith("_" + one)), None)
    assert family.unit == unit, (family.name, family.unit)
    if family.type in ("counter", "histogram"):
        assert all(value >= 0 for value in family.samples.values()), family.name
    if family.type == "info":
        assert all(value == 1 for value in family.samples.values()), family.name
    if family.type != "histogram":
        return
    series = {}
    for (suffix, pairs), value in family.samples.items():
        labels = dict(pairs)
        bound = labels.pop("le", None)
        assert (bound is not None) == (suffix == "_bucket"), (family.name, suffix)
        one = series.setdefault(tuple(sorted(labels.items())), {"buckets": []})
        if suffix == "_bucket":
            assert bound == "+Inf" or repr(float(bound)) == bound or float(bound) < 1e-3, bound
            one["buckets"].append((float("inf") if bound == "+Inf" else float(bound), value))
        else:
            one[suffix] = value
    for one in series.values():
        bounds = [bound for bound, _ in one["buckets"]]
        counts = [count for _, count in one["buckets"]]
        assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), bounds
        assert counts == sorted(counts) and counts[-1] == one["_count"] and "_sum" in one, one
