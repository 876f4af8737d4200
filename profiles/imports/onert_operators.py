"""What the layers of an ONNX graph are called in onert."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...formulation import LayerGraph
from ..onnx_file import OnnxFile

# Newer versions of onert name what an operator does (Add), older ones its class (BinaryArithmetic).
_NAMES: Mapping[str, tuple[str, ...]] = {
    "Abs": ("Abs", "ElementwiseUnary"),
    "Add": ("Add", "BinaryArithmetic"),
    "ArgMax": ("ArgMax", "ArgMinMax"),
    "ArgMin": ("ArgMin", "ArgMinMax"),
    "AveragePool": ("AvgPool2D", "Pool2D"),
    "Cast": ("Cast", "ElementwiseUnary"),
    "Clip": ("ReLU6", "ElementwiseActivation"),
    "Concat": ("Concat",),
    "Conv": ("Conv2D",),
    "ConvTranspose": ("TransposeConv",),
    "DepthToSpace": ("DepthToSpace",),
    "Div": ("Div", "BinaryArithmetic"),
    "Elu": ("Elu", "ElementwiseActivation"),
    "Exp": ("Exp", "ElementwiseUnary"),
    "Flatten": ("Reshape",),
    "Gather": ("Gather",),
    "Gemm": ("FullyConnected",),
    "GlobalAveragePool": ("AvgPool2D", "Pool2D", "Mean", "Reduce"),
    "GlobalMaxPool": ("MaxPool2D", "Pool2D"),
    "LRN": ("LocalResponseNormalization", "LRN"),
    "LeakyRelu": ("LeakyRelu", "ElementwiseActivation"),
    "MatMul": ("FullyConnected", "BatchMatMul"),
    "Max": ("Max", "ElementwiseBinary"),
    "MaxPool": ("MaxPool2D", "Pool2D"),
    "Min": ("Min", "ElementwiseBinary"),
    "Mul": ("Mul", "BinaryArithmetic"),
    "PRelu": ("PReLU",),
    "Pad": ("Pad",),
    "ReduceMean": ("Mean", "Reduce"),
    "ReduceSum": ("Sum", "Reduce"),
    "Relu": ("ReLU", "ElementwiseActivation"),
    "Reshape": ("Reshape",),
    "Resize": ("ResizeBilinear", "ResizeNearestNeighbor"),
    "Sigmoid": ("Logistic", "ElementwiseActivation"),
    "Slice": ("StridedSlice", "Slice"),
    "Softmax": ("Softmax",),
    "Split": ("Split", "SplitV"),
    "Sqrt": ("Sqrt", "ElementwiseUnary"),
    "Squeeze": ("Squeeze", "Reshape"),
    "Sub": ("Sub", "BinaryArithmetic"),
    "Tanh": ("Tanh", "ElementwiseActivation"),
    "Transpose": ("Transpose", "Permute"),
    "Unsqueeze": ("ExpandDims", "Reshape"),
}
_DEPTHWISE = "depthwise Conv"


def onert_names(operator: str) -> tuple[str, ...]:
    """What an operator of ONNX may be called in onert, the likeliest first; its own name last."""
    if operator == _DEPTHWISE:
        return ("DepthwiseConv2D",)
    return tuple(dict.fromkeys((*_NAMES.get(operator, ()), operator)))


def layer_operators(path: str | Path, graph: LayerGraph) -> tuple[str, ...]:
    """Operator of each layer, where a convolution of one channel a group is called ``depthwise Conv``.

    Parameters
    ----------
    path : str or Path
        The ONNX file of the graph.
    graph : LayerGraph

    Raises
    ------
    ModelError
        The file cannot be read.
    """
    model = OnnxFile.read(path).model
    sizes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    depthwise = {
        node.output[0]
        for node in model.graph.node
        if node.op_type == "Conv"
        and any(a.name == "group" and a.i > 1 for a in node.attribute)
        and len(sizes.get(node.input[1], ())) > 1
        and sizes[node.input[1]][1] == 1
    }
    return tuple(_DEPTHWISE if layer.outputs[0][0] in depthwise else layer.op_type for layer in graph.layers)
