"""Damage to the meaning of an .onnx file, whose bytes stay a whole file."""

from random import Random
from typing import Any

OPERATORS = (
    "Foo",
    "Conv",
    "HardSwish",
    "Relu",
    "MatMul",
    "Resize",
    "Slice",
    "If",
    "Loop",
    "Reshape",
    "Concat",
    "Abs",
    "",
)
VALUES = (0, -1, 1, 2, 7, 2**31, 2**62, -(2**62))


def damage_onnx(data: bytes, rng: Random) -> bytes:
    """Return the file with one or two of its nodes, tensors, inputs or attributes changed."""
    import onnx

    model = onnx.load_from_string(data)
    for _ in range(rng.choice([1, 1, 2])):
        rng.choice(CHANGES)(model.graph, rng)
    content: bytes = model.SerializeToString()
    return content


def rename_operator(graph: Any, rng: Random) -> None:
    rng.choice(graph.node).op_type = rng.choice(OPERATORS)


def rename_domain(graph: Any, rng: Random) -> None:
    rng.choice(graph.node).domain = rng.choice(
        ["com.example", "\x1b[31m", "ai.onnx", "com.microsoft", "ai.onnx.ml"]
    )


def rewire_input(graph: Any, rng: Random) -> None:
    node = rng.choice(graph.node)
    if node.input:
        names = ["", "nowhere", *(output for other in graph.node for output in other.output)]
        node.input[rng.randrange(len(node.input))] = rng.choice(names)


def rewire_output(graph: Any, rng: Random) -> None:
    node = rng.choice(graph.node)
    if node.output:
        node.output[rng.randrange(len(node.output))] = rng.choice(
            ["", "other", rng.choice(graph.node).name or "x"]
        )


def drop_inputs(graph: Any, rng: Random) -> None:
    node = rng.choice([node for node in graph.node if len(node.input) > 1] or list(graph.node))
    del node.input[rng.choice([0, 1, 1, 1]) :]


def drop_weights_before_hard_swish(graph: Any, rng: Random) -> None:
    used = {name for node in graph.node if node.op_type == "HardSwish" for name in node.input}
    found = [node for node in graph.node if node.op_type == "Conv" and used & set(node.output)]
    if found:
        del rng.choice(found).input[1:]


def change_attribute(graph: Any, rng: Random) -> None:
    nodes = [node for node in graph.node if node.attribute]
    if not nodes:
        return
    attribute = rng.choice(rng.choice(nodes).attribute)
    how = rng.randrange(5)
    if how == 0:
        attribute.type = rng.choice([1, 2, 3, 4, 6, 7, 8])
    elif how == 1:
        attribute.name = rng.choice(["group", "axis", "strides", "perm", "x", ""])
    elif how == 2 or not attribute.ints:
        attribute.i = rng.choice(VALUES)
    elif how == 3:
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(VALUES)
    else:
        attribute.ints.append(rng.choice(VALUES))


def change_group(graph: Any, rng: Random) -> None:
    found = [
        attribute
        for node in graph.node
        for attribute in node.attribute
        if attribute.name == "group"
    ]
    if found:
        rng.choice(found).i = rng.choice([*VALUES, 3, 64])


def drop_attribute(graph: Any, rng: Random) -> None:
    node = rng.choice([node for node in graph.node if node.attribute] or list(graph.node))
    if node.attribute:
        del node.attribute[rng.randrange(len(node.attribute))]


def change_tensor(graph: Any, rng: Random) -> None:
    if not graph.initializer:
        return
    tensor, how = rng.choice(graph.initializer), rng.randrange(5)
    if how == 0:
        tensor.data_type = rng.choice([0, 2, 3, 6, 7, 8, 10, 11, 16, 99])
    elif how == 1:
        del tensor.dims[:]
    elif how == 2 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(VALUES)
    elif how == 3:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
    else:
        tensor.name = "other"


def change_small_numbers(graph: Any, rng: Random) -> None:
    """Change shapes, axes and slices, which are int64 constants."""
    found = [
        tensor
        for tensor in graph.initializer
        if tensor.data_type == 7 and len(tensor.raw_data) >= 8
    ]
    found += [
        item.t
        for node in graph.node
        for item in node.attribute
        if item.t.data_type == 7 and len(item.t.raw_data) >= 8
    ]
    if found:
        tensor = rng.choice(found)
        place = 8 * rng.randrange(len(tensor.raw_data) // 8)
        number = rng.choice(VALUES).to_bytes(8, "little", signed=True)
        tensor.raw_data = tensor.raw_data[:place] + number + tensor.raw_data[place + 8 :]


def change_node_order(graph: Any, rng: Random) -> None:
    node = rng.choice(graph.node)
    copied = type(node)()
    copied.CopyFrom(node)
    if rng.random() < 0.5:
        graph.node.remove(node)
    graph.node.append(copied)


def change_ends(graph: Any, rng: Random) -> None:
    end = rng.choice([*graph.input, *graph.output])
    shape, how = end.type.tensor_type.shape, rng.randrange(4)
    if how == 0:
        end.name = "other"
    elif how == 1:
        end.type.tensor_type.elem_type = rng.choice([0, 1, 3, 7, 8, 10, 99])
    elif how == 2 and shape.dim:
        shape.dim[rng.randrange(len(shape.dim))].dim_value = rng.choice([0, 1, 3, 5, 64, 2**40])
    elif shape.dim:
        del shape.dim[0]


CHANGES = (
    rename_operator, rename_domain, rewire_input, rewire_output, drop_inputs,
    drop_weights_before_hard_swish,
    change_attribute, change_attribute, change_group, drop_attribute, change_tensor,
    change_small_numbers,
    change_node_order, change_ends,
)  # fmt: skip
