"""What can be asked by name: the CLI, the web and the office call the same functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from bdmta.directory.service import DirectoryService
from bdmta.errors import BdmtaError, UsageError
from storage.errors import Invalid, StoreError

Json = dict[str, Any]
REGISTRY: dict[str, Callable[..., Any]] = {}


def call(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enter `function` into the REGISTRY under its name; what the store refuses becomes a BdmtaError."""

    @wraps(function)
    def called(service: DirectoryService, **arguments: Any) -> Any:
        try:
            return function(service, **arguments)
        except Invalid as error:
            raise UsageError(str(error)) from error
        except StoreError as error:
            raise BdmtaError(str(error)) from error

    REGISTRY[function.__name__] = called
    return called
