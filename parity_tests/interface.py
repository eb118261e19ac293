"""Checks the inputs and outputs of a file against its contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agecompact.contract import Contract
from agecompact.runtimes.base import Declared, Interface, Port, Ports
from parity_tests.results import Failure

# Dtypes of outputs that NumPy reads as numbers.
_NUMBERS = frozenset(
    [f"float{bits}" for bits in (16, 32, 64)]
    + [f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64)]
)
# More names than these would hide the difference.
_LISTED = 8


def check_declared(declared: Declared, contract: Contract, batch: int | None) -> None:
    """Checks all that an app can bind to in an artefact.

    Each place where the file declares its inputs and outputs must agree with the contract, and
    there must be nothing else: an app may bind by any of them, and allocates what they say.

    Args:
        declared: What the file declares.
        contract: Its contract.
        batch: How many images each call takes; None for any number.

    Raises:
        Failure: Of the kind `names`, `order`, `dtypes`, `shapes` or `interface`.
    """
    image = Port((batch, *contract.input_shape[1:]), contract.dtype)
    inputs = dict.fromkeys(contract.input_names, image)
    outputs = {o.name: Port((batch, o.size), "float32") for o in contract.outputs}
    for place in declared.places:
        _check_side(f"{place.where}: input", place.inputs, inputs)
        _check_side(f"{place.where}: output", place.outputs, outputs)
    if declared.oddities:
        raise Failure("interface", "; ".join(declared.oddities))


def check_interface(reported: Interface, contract: Contract) -> None:
    """Checks whether a runtime can run a file by a contract.

    The file may have more outputs, and its outputs may be of any numbers.

    Args:
        reported: The inputs and outputs that the runtime reports.
        contract: The contract.

    Raises:
        Failure: Of the kind `names`, `order`, `dtypes` or `shapes`.
    """
    given = contract.input_shape
    _check_names("input", reported.inputs, contract.input_names)
    if not reported.outputs.keys() >= set(contract.output_names):
        wanted = _listed(contract.output_names)
        raise _difference("names", "the outputs are", _listed(reported.outputs), wanted)
    for crop, port in reported.inputs.items():
        sides = zip(port.shape[1:], given[1:], strict=False)
        _check_dtype(f"input '{crop}'", port.dtype, contract.dtype)
        if len(port.shape) != len(given) or any(have not in (None, want) for have, want in sides):
            raise _difference("shapes", f"input '{crop}' has shape", port.sides, str(given))
    for output in contract.outputs:
        port = reported.outputs[output.name]
        if port.dtype not in _NUMBERS:
            raise Failure("dtypes", f"output '{output.name}' has dtype {port.dtype}, not numbers")
        if port.values not in (None, output.size):
            what = f"output '{output.name}' has shape"
            raise _difference("shapes", what, port.sides, str((1, output.size)))


def _check_side(what: str, found: Ports, wanted: Mapping[str, Port]) -> None:
    _check_names(what, [name for name, _ in found], wanted)
    for name, port in found:
        _check_dtype(f"{what} '{name}'", port.dtype, wanted[name].dtype)
        if port.shape != wanted[name].shape:
            have, want = port.sides, wanted[name].sides
            raise _difference("shapes", f"{what} '{name}' has shape", have, want)


def _check_names(what: str, found: Iterable[str], wanted: Iterable[str]) -> None:
    names, expected = list(found), list(wanted)
    if sorted(names) != sorted(expected):
        raise _difference("names", f"the {what}s are", _listed(names), _listed(expected))
    if names != expected:
        # A phone may bind inputs by position.
        order = f"the {what}s are in the order"
        raise _difference("order", order, _listed(names), _listed(expected))


def _check_dtype(what: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise _difference("dtypes", f"{what} has dtype", found, wanted)


def _difference(kind: str, what: str, found: str, wanted: str) -> Failure:
    return Failure(kind, f"{what} {found}; the contract has {wanted}")


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return (", ".join(every[:_LISTED]) or "missing") + more
