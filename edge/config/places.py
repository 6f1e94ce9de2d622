"""Where the settings behind a decision were written: what an explanation adds to a rule."""

from edge.config.model import Config

_PREFIX = "setting "


def placed(config: Config, rule: str, site: str) -> str:
    """Return `rule` with the place of the setting that it names, for the site called `site`; any other as it is."""
    name = rule.removeprefix(_PREFIX)
    if name == rule:
        return rule
    for index, each in enumerate(config.sites):
        if each.name == site:
            name = name.replace("site[]", f"site[{index}]").replace("origins.*", f"origins.{each.origin}")
    if "[]" in name:
        # No site answers, so that none of them has decided.
        return rule
    places = [place for path, place in config.places.items() if path == name or path.startswith(f"{name}.")]
    return f"{_PREFIX}{name}: {', '.join(dict.fromkeys(places)) or 'its default'}"
