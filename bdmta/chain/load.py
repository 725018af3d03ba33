"""Read policies.toml and build the chain: modules by import path or file, typed options, errors that name the key."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import itertools
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bdmta.chain.run import Chain, Step
from bdmta.errors import ConfigError
from bdmta.policy import Direction, Mode, Services

_KEYS = ("use", "name", "mode", "timeout_s", "on_error", "options")
_ON_ERROR = ("defer", "pass", "reject", "quarantine")
DEFAULT_TIMEOUT_S = 20.0  # longer than the examiner's own time, so that its word comes first
_generation = itertools.count(1)

ServicesFor = Callable[[str], Services]


def load_chain(path: Path, services_for: ServicesFor, log: Any) -> Chain:
    """The chain that `path` describes, built of freshly read modules; ConfigError names what is wrong.

    Every call reads the modules anew under names of their own, so that SIGHUP takes edited policy code while open
    transactions finish on the old. `services_for(step_name)` gives each policy its part of the world.
    """
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; `bdmta init` writes one") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.name}: not TOML: {error}") from None
    unknown = [key for key in document if key != "policy"]
    if unknown:
        raise ConfigError(f"{path.name}: {unknown[0]}: unknown table; only [[policy]] tables stand here")
    tables = document.get("policy", [])
    if not isinstance(tables, list):
        raise ConfigError(f"{path.name}: [policy]: write [[policy]], a table for each policy")
    generation = next(_generation)
    steps: list[Step] = []
    for number, table in enumerate(tables, 1):
        step = _step(path, number, table, generation, services_for)
        if any(step.name == other.name for other in steps):
            raise ConfigError(f"{path.name}: [[policy]] {number}: the name {step.name} is taken; give one by `name`")
        steps.append(step)
    return Chain(steps, log)


def _step(path: Path, number: int, table: Mapping[str, Any], generation: int, services_for: ServicesFor) -> Step:
    where = f"{path.name}: [[policy]] {number}"
    _known_keys(where, table, _KEYS)
    use = table.get("use")
    if not isinstance(use, str) or not use:
        raise ConfigError(f'{where}: use: missing; give an import path such as "policies.sender" or a .py file')
    name = table.get("name", Path(use).stem if use.endswith(".py") else use.rpartition(".")[2])
    where = f"{where} ({name})"
    timeout_s = table.get("timeout_s", DEFAULT_TIMEOUT_S)
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s <= 600:
        raise ConfigError(f"{where}: timeout_s: {timeout_s!r}; give seconds between 0 and 600")
    on_error = table.get("on_error", "defer")
    if on_error not in _ON_ERROR:
        raise ConfigError(f"{where}: on_error: {on_error!r}; one of {', '.join(_ON_ERROR)}")
    modes = _modes(where, table.get("mode", "enforce"))
    module = _module(where, path.parent, use, generation)
    options = _options(where, module, table.get("options", {}))
    made: Any = getattr(module, "Policy", None)
    if made is None or not isinstance(getattr(made, "stages", None), frozenset):
        lacks = "class Policy" if made is None else "frozenset of stages in its class Policy"
        raise ConfigError(f"{where}: use: {use} has no {lacks}")
    try:
        policy = made(options, services_for(str(name)))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from None
    except Exception as error:
        raise ConfigError(f"{where}: use: {use}: {type(error).__name__}: {error}") from error
    return Step(str(name), use, policy, modes, float(timeout_s), on_error, options)


def _known_keys(where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
            raise ConfigError(f"{where}: {key}: unknown key{hint}")


def _modes(where: str, value: Any) -> dict[Direction, Mode]:
    given = {str(d): value for d in Direction} if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}: mode: {value!r}; one of {', '.join(Mode)}, or a table by direction")
    _known_keys(f"{where}: mode", given, [str(d) for d in Direction])
    try:
        return {d: Mode(given.get(str(d), Mode.ENFORCE)) for d in Direction}
    except ValueError:
        raise ConfigError(f"{where}: mode: {value!r}; one of {', '.join(Mode)}") from None


def _module(where: str, folder: Path, use: str, generation: int) -> ModuleType:
    """The policy's module, read from its file now, under a name of this generation's own."""
    if use.endswith(".py"):
        origin = str(folder / use)
    else:
        try:
            found = importlib.util.find_spec(use)
        except (ImportError, ValueError):
            found = None
        if found is None or found.origin is None:
            raise ConfigError(f"{where}: use: no module {use}; known: {', '.join(shipped_policies())}")
        origin = found.origin
    fresh = f"bdmta_chain_{generation}.{Path(origin).stem}"
    spec = importlib.util.spec_from_file_location(fresh, origin)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{where}: use: {use} cannot be read as a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[fresh] = module  # dataclasses and pydantic look their module up by name
    try:
        source = Path(origin).read_bytes()
        exec(compile(source, origin, "exec"), module.__dict__)  # noqa: S102 - past the .pyc, whose mtime is too coarse
    except OSError as error:
        raise ConfigError(f"{where}: use: {origin}: {error.strerror}") from None
    except Exception as error:
        raise ConfigError(f"{where}: use: {use}: {type(error).__name__}: {error}") from error
    return module


def _options(where: str, module: ModuleType, given: Any) -> Any:
    config: Any = getattr(module, "Config", None)
    if config is None or not dataclasses.is_dataclass(config):
        raise ConfigError(f"{where}: {module.__name__} has no frozen dataclass Config")
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}: options: a table is wanted")
    fields = {f.name: f for f in dataclasses.fields(config)}
    _known_keys(f"{where}: [policy.options]", given, fields)
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(config)
        options = adapter.validate_python(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "options"
        raise ConfigError(f"{where}: [policy.options] {key}: {first['msg']}") from None
    for name, field in fields.items():
        choices = field.metadata.get("choices") or ()
        if choices and getattr(options, name) not in choices:
            raise ConfigError(f"{where}: [policy.options] {name}: one of {', '.join(choices)}")
    return options


def shipped_policies() -> list[str]:
    """Import paths of the policies that come with bdmta."""
    spec = importlib.util.find_spec("policies")
    if spec is None or not spec.submodule_search_locations:
        return []
    return sorted(
        f"policies.{file.stem}" for place in spec.submodule_search_locations for file in Path(place).glob("[a-z]*.py")
    )
