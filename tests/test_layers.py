"""Every import under src/galago, compared with the table of what may import what."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src/galago"

# Part of galago -> parts that it may import, outside packages that it may import. A part may always
# import itself.
TABLE = {
    "__init__": ("errors spec runtime _load", ""),
    "_core": ("errors labels", "numpy cv2 yaml jinja2"),
    "errors": ("", ""),
    "labels": ("errors", ""),
    "spec": ("errors labels", ""),
    "image": ("errors labels spec", "numpy cv2"),
    "sources": ("errors image spec", "numpy cv2"),
    "runtime": (
        "errors labels spec image sources",
        "numpy cv2",
    ),  # and one package per file of OWNERS
    "data": ("errors labels image", "numpy cv2 yaml"),
    "scenes": ("errors labels data image", "numpy cv2"),
    "evaluation": ("errors labels image data", "numpy cv2"),
    "verification": (
        "errors labels spec image data scenes evaluation runtime",
        "numpy cv2 onnx onnxruntime openvino ai_edge_litert ncnn",
    ),
    "benchmarking": (
        "errors spec image sources runtime data scenes evaluation",
        "numpy cv2 matplotlib",
    ),
    "models": ("errors spec", "torch safetensors numpy"),
    "training": (  # runtime: a run is scored by the Segmenter that labels images afterwards
        "errors labels spec image data scenes evaluation models runtime",
        "torch accelerate safetensors tensorboard numpy cv2",
    ),
    "export": (
        "errors labels spec image data scenes evaluation runtime models verification",
        "torch onnx onnxscript onnxslim litert_torch ai_edge_quantizer nncf executorch coremltools "
        "pnnx numpy",
    ),
    "pretrained": ("errors labels spec runtime models export", "torch onnx huggingface_hub"),
    "_load": ("errors runtime benchmarking pretrained", ""),
    "cli": (
        "errors labels spec image sources runtime data scenes evaluation verification benchmarking "
        "models training export "
        "pretrained _load",
        "typer rich numpy torch accelerate onnx matplotlib",
    ),
}
OWNERS = {  # an engine, and what reads large photos, are imported by their own files alone
    "data/convert/coco_shapes.py": "pycocotools",
    "export/writers/openvino.py": "openvino",
    "runtime/_compat.py": "executorch onnxruntime",
    "runtime/engines/executorch.py": "executorch torch",
    "runtime/engines/litert.py": "ai_edge_litert",
    "runtime/engines/ncnn.py": "ncnn",
    "runtime/engines/onnxruntime.py": "onnxruntime",
    "runtime/engines/openvino.py": "openvino",
    "runtime/engines/torch.py": "torch",
    "runtime/tiling/row_reader.py": "pyvips",
}
LIGHT = {
    "typer",
    "rich",
    "galago.cli",
    "galago.errors",
    "galago._core",
}  # what a command may import outside its functions


@dataclass(frozen=True)
class Import:
    """One import: where it stands, what it names, whether it runs as soon as its file is imported."""

    file: Path
    line: int
    module: str  # dotted
    at_once: bool

    @property
    def part(self) -> str:
        return self.file.parts[0].removesuffix(".py")

    def __str__(self) -> str:
        return f"{self.file.as_posix()}:{self.line} imports {self.module}"


def imports_in(file: Path) -> Iterator[Import]:
    """Find all imports of a file, also `require("package", ...)`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    late = {inner for outer in ast.walk(tree) if is_late(outer) for inner in ast.walk(outer)}
    for node in ast.walk(tree):
        for module in modules_of(node):
            yield Import(file.relative_to(SOURCE), node.lineno, module, node not in late)


def is_late(node: ast.AST) -> bool:
    """Tell whether what stands inside does not run on import: functions, and blocks for type
    checkers.
    """
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def modules_of(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module="galago", names=names):
            return [f"galago.{name.name}" for name in names]
        case ast.ImportFrom(module=module, level=level):
            return ["." * level + (module or "")]
        case ast.Call(func=ast.Name(id="require"), args=[ast.Constant(value=str(module)), *_]):
            return [module]
    return []


IMPORTS = [found for file in sorted(SOURCE.rglob("*.py")) for found in imports_in(file)]


def test_every_part_stands_in_the_table():
    assert {found.part for found in IMPORTS} <= TABLE.keys()


def test_imports_are_absolute():
    assert not [str(found) for found in IMPORTS if found.module.startswith(".")]


def test_parts_of_galago_import_only_what_the_table_allows():
    wrong = []
    for found in IMPORTS:
        top, _, rest = found.module.partition(".")
        part = rest.partition(".")[0]
        # `from galago import load` names something public, not a part
        allowed = {*TABLE[found.part][0].split(), found.part, "_core"}
        if top == "galago" and part in TABLE and part not in allowed:
            wrong.append(str(found))
    assert not wrong


def test_no_two_files_import_each_other():
    edges: dict[str, set[str]] = {}
    modules = {name_of(file) for file in SOURCE.rglob("*.py")}
    for found in IMPORTS:
        named = found.module if found.module in modules else found.module.rpartition(".")[0]
        if named in modules and named != name_of(SOURCE / found.file):
            edges.setdefault(name_of(SOURCE / found.file), set()).add(named)
    assert not [
        (a, b) for a, targets in edges.items() for b in targets if a in edges.get(b, ()) and a < b
    ]


def name_of(file: Path) -> str:
    return ".".join(["galago", *file.relative_to(SOURCE).with_suffix("").parts]).removesuffix(
        ".__init__"
    )


def test_outside_packages_are_only_those_of_the_table():
    wrong = []
    for found in IMPORTS:
        top = found.module.partition(".")[0]
        allowed = {
            *TABLE[found.part][1].split(),
            "galago",
            *OWNERS.get(found.file.as_posix(), "").split(),
        }
        if top not in allowed and top not in sys.stdlib_module_names:
            wrong.append(str(found))
    assert not wrong


def test_commands_import_heavy_things_inside_functions():
    wrong = []
    for found in IMPORTS:
        known = found.module.partition(".")[0] in sys.stdlib_module_names or any(
            found.module == light or found.module.startswith(light + ".") for light in LIGHT
        )
        if found.part == "cli" and found.at_once and not known:
            wrong.append(str(found))
    assert not wrong


def test_modules_are_imported_by_name_only_through_require_and_for_public_names():
    files = {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        if "import_module" in file.read_text()
    }
    assert files == {"errors.py", "__init__.py"}


MODULES = (
    "galago, galago.runtime, galago.data, galago.scenes.dataset, galago.evaluation, galago.cli.main"
)


def run_python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_running_half_works_without_torch():
    run_python(f"import sys; sys.modules['torch'] = None; import {MODULES}")


@pytest.mark.openvino
def test_the_default_engine_works_without_torch():
    run_python("import sys; sys.modules['torch'] = None; import galago.runtime.engines.openvino")


def test_importing_galago_touches_nothing_outside():
    code = f"""
import os, threading
import numpy, cv2  # OpenCV sets a search path of its own
before = dict(os.environ)
import {MODULES}
assert dict(os.environ) == before, "the environment changed"
assert threading.active_count() == 1, "a thread runs"
import sys
absent = {{"torch", "openvino", "onnxruntime", "ncnn", "ai_edge_litert", "pyvips"}}
assert not absent & sys.modules.keys(), "an engine was loaded"
"""
    run_python(code)


def test_no_benchmark_imports_a_command():
    folder = SOURCE.parent.parent / "benchmarks"
    wrong = [
        f"{file.name}: {module}"
        for file in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for module in modules_of(node)
        if module.startswith("galago.cli")
    ]
    assert wrong == []
