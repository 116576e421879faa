"""ONNX Runtime sessions: one thread each, on a provider that is checked after load."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import onnxruntime as ort

from touchstone.errors import ModelError

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True, slots=True)
class NetworkManifest:
    """What stands beside a model file and says which file it is."""

    called: ClassVar[str] = "network"
    """What an error calls the network."""
    name: str
    version: str
    sha256: str

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a manifest.

        Raises:
            ModelError: the manifest is not JSON or lacks a field.
        """
        try:
            return cls(**cls.read(json.loads(text)))
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"The {cls.called}'s manifest is not usable: {error}"
            ) from error

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the manifest holds, by name; raises what is wrong with it."""
        return {name: str(fields[name]) for name in ("name", "version", "sha256")}


class OnnxNetwork:
    """A network in ONNX Runtime, loaded from the bytes that it is named by."""

    def __init__(
        self, model: bytes, sha256: str, *, called: str, provider: str
    ) -> None:
        """Load ``model`` if its SHA-256 is the one that its manifest names.

        Args:
            model: the ONNX file.
            sha256: what it must have, lower-case hex.
            called: what an error calls it.
            provider: ``auto`` (CUDA where it works, else CPU), ``cpu`` or ``cuda``.

        Raises:
            ModelError: altered file, unusable model, or provider not to be had.
        """
        found = hashlib.sha256(model).hexdigest()
        if found != sha256:
            raise ModelError(
                f"The {called} is not the file its manifest names: expected SHA-256 "
                f"{sha256}, found {found}. Restore the models folder."
            )
        self._digest = sha256
        self._session, self._provider = open_session(model, provider)
        self._input = self._session.get_inputs()[0].name

    @property
    def digest(self) -> str:
        """SHA-256 of the model file."""
        return self._digest

    @property
    def provider(self) -> str:
        """What really runs the model: ``cpu`` or ``cuda``."""
        return self._provider


def open_session(model: bytes, provider: str) -> tuple[ort.InferenceSession, str]:
    """Open ``model`` and check after loading what really runs it.

    One thread a session: with one process a core, more threads only contend.

    Raises:
        ModelError: unknown provider, provider not to be had, or not a model.
    """
    if provider not in {"auto", *_PROVIDERS}:
        raise ModelError(f"Unknown provider {provider!r}; use auto, cpu or cuda.")
    available = ort.get_available_providers()
    if provider == "cuda" and _PROVIDERS["cuda"] not in available:
        raise ModelError(
            "CUDA was asked for, but this ONNX Runtime has no CUDA provider; "
            "install the `gpu` extra or set the provider to cpu or auto."
        )
    wanted = ["cuda", "cpu"] if provider == "auto" else [provider]
    names = [_PROVIDERS[name] for name in wanted if _PROVIDERS[name] in available]
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(model, options, providers=names)
    except Exception as error:  # ORT raises its own untyped pybind exceptions
        raise ModelError(f"ONNX Runtime refused the model: {error}") from error
    # A provider may fail to load and ORT fall back in silence: look at what it uses.
    used = "cuda" if _PROVIDERS["cuda"] in session.get_providers() else "cpu"
    if provider == "cuda" and used != "cuda":
        raise ModelError(
            "CUDA was asked for, but ONNX Runtime fell back to the CPU; check the "
            "CUDA and cuDNN libraries or set the provider to cpu or auto."
        )
    return session, used
