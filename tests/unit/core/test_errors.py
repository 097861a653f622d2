"""Every error is one of ours, with an exit code and a way out."""

from __future__ import annotations

import pytest

from skyeye_edge.core import errors
from skyeye_edge.core.errors import MissingExtraError, SkyEyeError, needs


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("InputError", 2),
        ("MediaError", 1),
        ("OutputError", 2),
        ("BundleError", 1),
        ("CheckpointError", 1),
        ("DataError", 1),
        ("ParityError", 1),
        ("BackendError", 1),
        ("MissingExtraError", 2),
        ("ClosedError", 2),
    ],
)
def test_each_error_has_its_exit_code(name: str, code: int) -> None:
    kind = getattr(errors, name)

    assert issubclass(kind, SkyEyeError)
    assert kind.exit_code == code


def test_a_missing_library_names_the_command_that_installs_it() -> None:
    guard = pytest.raises(MissingExtraError, match=r"pip install 'skyeye-edge\[runtime\]'")
    with guard, needs("runtime"):
        import no_such_library_anywhere  # type: ignore[import-not-found]  # noqa: F401


def test_other_errors_pass_the_guard_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), needs("runtime"):
        _ = 1 // 0
