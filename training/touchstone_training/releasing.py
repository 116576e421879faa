"""What is published says nothing of the machine that it was made on."""

from pathlib import Path
from typing import Any

import onnx


def without_traces(model: onnx.ModelProto) -> None:
    """Take out where the exporter's code stood: folders of the exporting machine."""
    graph = model.graph
    for owner in (model, graph, *graph.node, *graph.input, *graph.output):
        del owner.metadata_props[:]
        if isinstance(owner, onnx.NodeProto):
            owner.doc_string = ""
    for value in (*graph.value_info, *graph.initializer):
        del value.metadata_props[:]


def without_folders(facts: dict[str, Any]) -> dict[str, Any]:
    """Keep file names only: folders of the training machine mean nothing elsewhere.

    In what a run was resumed from as well, however deep.
    """

    def named(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return without_folders(value)
        is_file = key in {"init", "resume", "models", "scenes"} and isinstance(
            value, str
        )
        return Path(value).name if is_file else value

    return {key: named(key, value) for key, value in facts.items()}
