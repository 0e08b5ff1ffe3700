"""The operators of an .onnx file, read without any engine, and whether each of their inputs exists.

Field numbers: github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterable, Set
from pathlib import Path

from galago._core.printable import printable
from galago.errors import ModelError
from galago.runtime.onnx_metadata import AGAIN, fields, reading_onnx

GRAPH, FUNCTIONS = 7, 25  # of ModelProto
NODE = 1  # of GraphProto, like the next four
INITIALIZER = 5
INPUT = 11
OUTPUT = 12
SPARSE = 15
NODE_INPUT = 1  # of NodeProto, like the next five
NODE_OUTPUT = 2
NODE_NAME = 3
OPERATOR = 4
ATTRIBUTE = 5
DOMAIN = 7
SUBGRAPH, SUBGRAPHS = 6, 11  # of AttributeProto
VALUE_NAME, TENSOR_NAME = 1, 8  # of ValueInfoProto and TensorProto
SPARSE_VALUES = 1  # of SparseTensorProto: a TensorProto
DEEPEST = 32  # graphs inside graphs
# operators of the .onnx files that galago writes, which every engine converts
WRITTEN = frozenset(  # as one text, or it would be 36 lines
    """
    Add ArgMax AveragePool Cast Clip Concat Constant Conv DepthToSpace DequantizeLinear Div Erf
    Expand Gather Gelu HardSwish Identity MatMul Max Min Mul Pad Pow QuantizeLinear ReduceSum
    Relu Reshape Resize Shape Slice Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze
    """.split()  # noqa: SIM905
)
STANDARD = ("", "ai.onnx")  # domains of the operators that the standard names


class OperatorList:
    """The operators of a graph and of the graphs inside it, in order.

    Attributes:
        names: of all operators, `domain.name` where the domain is not the standard's.
        fault: the first thing that breaks the graph, such as an input that nothing outputs; empty
            if there is none.
    """

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.fault = ""

    def read(self, graph: memoryview, known: Set[str] = frozenset(), depth: int = 0) -> None:
        """Add a GraphProto.

        Args:
            graph: its bytes.
            known: tensors of the graphs around it.
            depth: number of them.
        Raises:
            ValueError: it is no protobuf, or graphs are nested too deeply.
        """
        if depth > DEEPEST:
            raise ValueError("graphs lie too deep inside each other")
        parts = list(fields(graph))
        tensors = {*known, ""}  # an empty name is an input that is left out
        for number, content in parts:
            if number in (INPUT, INITIALIZER):
                tensors |= _texts(content, VALUE_NAME if number == INPUT else TENSOR_NAME)
            elif number == SPARSE:
                for inner, values in fields(content):
                    tensors |= _texts(values, TENSOR_NAME) if inner == SPARSE_VALUES else set()
        for content in (content for number, content in parts if number == NODE):
            self._read_node(content, tensors, depth)
        for content in (content for number, content in parts if number == OUTPUT):
            self._check(_texts(content, VALUE_NAME), tensors, "the graph's output")

    def _read_node(self, node: memoryview, tensors: set[str], depth: int) -> None:
        """Add a NodeProto, and its outputs to the known tensors."""
        parts = list(fields(node))
        operator = _last(parts, OPERATOR)
        domain = _last(parts, DOMAIN)
        name = operator if domain in STANDARD else f"{domain}.{operator}"
        self.names[name] = None
        self._check(_all(parts, NODE_INPUT), tensors, f"{name} {_last(parts, NODE_NAME)}".strip())
        for attribute in (content for number, content in parts if number == ATTRIBUTE):
            for number, content in fields(attribute):
                if number in (SUBGRAPH, SUBGRAPHS):
                    self.read(content, tensors, depth + 1)
        tensors |= set(_all(parts, NODE_OUTPUT))

    def _check(self, wanted: Iterable[str], tensors: Set[str], user: str) -> None:
        """Note the first tensor that something uses and nothing outputs."""
        for name in wanted:
            if name not in tensors and not self.fault:
                self.fault = f"{user} uses {name!r}, which nothing before it gives"


def read_operators(file: Path) -> OperatorList:
    """List the operators of an .onnx file.

    Raises:
        ModelError: the file cannot be read or is no whole ONNX file.
    """
    operators = OperatorList()
    graphs = 0
    with reading_onnx(file) as model:
        for number, content in fields(model):
            if number == GRAPH:
                graphs += 1
                operators.read(content)
            elif number == FUNCTIONS:  # operators that the file defines; galago writes none
                operators.names["a function of the file"] = None
    if graphs != 1:
        raise ModelError(f"{file} is no whole ONNX file. {AGAIN}")
    if operators.fault:
        raise ModelError(f"{file} is no whole ONNX file: {printable(operators.fault)}. {AGAIN}")
    return operators


def unusual_operators(file: Path) -> list[str]:
    """Name the operators of an .onnx file that galago does not write, made printable.

    Raises:
        ModelError: the file cannot be read or is no whole ONNX file.
    """
    return [printable(name) for name in read_operators(file).names if name not in WRITTEN]


def _texts(message: memoryview, wanted: int) -> set[str]:
    return set(_all(list(fields(message)), wanted))


def _all(parts: Iterable[tuple[int, memoryview]], wanted: int) -> list[str]:
    return [
        bytes(content).decode(errors="backslashreplace")
        for number, content in parts
        if number == wanted
    ]


def _last(parts: Iterable[tuple[int, memoryview]], wanted: int) -> str:
    return (_all(parts, wanted) or [""])[-1]
