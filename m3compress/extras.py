"""Which optional package belongs to which extra, and what to say when it is not there."""

from __future__ import annotations

from typing import Final

from m3compress.errors import MissingDependencyError

#: Import name of every optional package that a command may meet, and the extra that installs it.
EXTRA_OF_MODULE: Final = {
    "torch": "compress",
    "onnx": "compress",
    "safetensors": "compress",
    "scipy": "compress",
    "huggingface_hub": "compress",
    "filelock": "distill",
    "jinja2": "validate",
    "junitparser": "validate",
    "phonopy": "validate",
    "physical_validation": "validate",
    "pymbar": "validate",
    "spglib": "validate",
    "matgl": "matgl",
    "ipi": "ipi",
    "openmm": "openmm",
    "openmmml": "openmm",
    "torch_sim": "torchsim",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt",
    "tensorrt_rtx_bindings": "tensorrt",
}


def install_command(extra: str) -> str:
    """The shell command that installs an extra."""
    return f"pip install 'm3compress[{extra}]'"


def missing_dependency(error: ImportError) -> MissingDependencyError | None:
    """What a failed import of an optional package means for the user.

    Args:
        error: The failed import, of a package that is absent or does not load.

    Returns:
        The error to show, or None if the import has nothing to do with an optional package.
    """
    module = (error.name or "").partition(".")[0]
    extra = EXTRA_OF_MODULE.get(module)
    if extra is None:
        return None
    if isinstance(error, ModuleNotFoundError):
        message = f"{module} is not installed, and this command needs it"
    else:
        message = f"{module} is installed but does not load: {error}"
    return MissingDependencyError(message, hint=install_command(extra))
