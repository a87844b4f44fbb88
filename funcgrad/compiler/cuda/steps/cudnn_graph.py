"""What all graphs of cuDNN share: tensors, the choice of an algorithm, and the way they run."""

from __future__ import annotations

from typing import Any

from funcgrad.compiler.cuda.steps.convolution_plan import TensorLayout

DATA_TYPES = {"float16": "HALF", "bfloat16": "BFLOAT16", "float32": "FLOAT"}


class PreparedGraph:
    """The graph of one operation, with the algorithm that the library expects to be fastest.

    Args:
        library: whose handle it has (`cudnn.Graphs`).
        plan: what it does.

    Attributes:
        tensors: by role.
    """

    name = ""

    def __init__(self, library: Any, plan: Any) -> None:
        cudnn = library.bindings
        self.library = library
        self.plan = plan
        self.type = getattr(cudnn.data_type, DATA_TYPES[plan.dtype.name])
        self.wide = cudnn.data_type.FLOAT
        self.graph = cudnn.pygraph(
            name=self.name,
            io_data_type=self.type,
            intermediate_data_type=self.wide,
            compute_data_type=self.wide,
            handle=library.handle,
        )
        self.tensors: dict[str, Any] = self.build()
        self.choose()

    def build(self) -> dict[str, Any]:
        """The one operation; its tensors by role."""
        raise NotImplementedError(f"{type(self).__name__} has no operation")

    def restrain(self) -> None:
        """Leave out algorithms that may not be used."""
        raise NotImplementedError(f"{type(self).__name__} says nothing about algorithms")

    def tensor(self, name: str, layout: TensorLayout, data_type: Any = None) -> Any:
        """An operand; of the dtype of the plan by default."""
        lengths, strides = list(layout.lengths), list(layout.strides)
        return self.graph.tensor(
            name=name, dim=lengths, stride=strides, data_type=data_type or self.type
        )

    def finished(self, tensor: Any, layout: TensorLayout, data_type: Any = None) -> Any:
        """A result, with its layout."""
        tensor.set_output(True).set_data_type(data_type or self.type)
        tensor.set_dim(list(layout.lengths)).set_stride(list(layout.strides))
        return tensor

    def choose(self) -> None:
        """Find an algorithm; raises if there is none."""
        cudnn, graph = self.library.bindings, self.graph
        graph.validate()
        graph.build_operation_graph()
        graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
        self.restrain()
        graph.check_support()
        graph.build_plans(cudnn.build_plan_policy.HEURISTICS_CHOICE)

    @property
    def workspace_bytes(self) -> int:
        return self.graph.get_workspace_size()

    def run(
        self, pointers: dict[str, int], workspace: int, workspace_bytes: int, stream: int
    ) -> None:
        """Queue the operation on a stream.

        Args:
            pointers: addresses by role; "workspace" is that of memory of its own.
            workspace, workspace_bytes: memory that only this stream uses, for operations without their own.
            stream: address of the stream.
        """
        if "workspace" not in pointers:
            assert self.workspace_bytes <= workspace_bytes
        workspace = pointers.get("workspace", workspace)
        cudnn, library = self.library.bindings, self.library
        given = {tensor: pointers[role] for role, tensor in self.tensors.items()}
        with library.lock:  # the stream is a property of the handle
            cudnn.set_stream(handle=library.handle, stream=stream)
            self.graph.execute(given, workspace, handle=library.handle)
