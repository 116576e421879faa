"""ONNX Runtime sessions: one thread each, on a provider that is checked after load."""

import onnxruntime as ort

from touchstone.errors import ModelError

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


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
