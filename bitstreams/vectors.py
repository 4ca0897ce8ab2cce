"""Golden vectors: a package's arrays, a few images and the golden model's records, as files that the test bench reads.

    python -m bitstreams.vectors                              # write them, build the test bench with g++ and run it
    python -m bitstreams.vectors --package cifar10 --data DIR --images 4 --budget-flops 74000000

This is C simulation without the vendor's tool: the same test bench, the same vectors, the same copy of the sources.
"""

import sys
from pathlib import Path

import numpy as np

from bitstreams import sources
from data.arguments import HELP, folder_of
from data.datasets import load_sample
from data.labelled import test_images
from hls import cosim, golden, isa
from hls.command import places, tools
from hls.command.arguments import Parser, Whole
from hls.command.entry import guarded
from hls.command.outputs import made
from hls.errors import UserError
from hls.package import read
from hls.pool import fresh
from hls.record import MEASURED, NO_BUDGET, scalars, words
from host.board.ports import room

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = places.ENGINE / "packages"
FLOW = ROOT / "bitstreams" / "flow"
TESTBENCH = "testbench.cpp"
STANDARD = "-std=c++14"
CHIP = "-DDDI_CHIP=1"  # in simulation too, the loops that the chip has (hls/src/shim.hpp)
BUILD = ROOT / "build" / "vectors"
IMAGES = 2  # RTL simulates some thousand cycles a second


def arrays(package, images, start, top):
    """Memory port → the bytes behind it, for the batch, in whole words of the widest port.

    UserError for a port that nothing is known of.
    """
    known = {"program": package.program, "weights": package.weights, "tables": package.tables, "images": images}
    known["results"] = np.zeros((len(images), words(start.gates, start.classes)), np.int32)
    maps = np.zeros((start.map_words, isa.TILE**2), np.uint8)  # the engine's own, in the DDR
    known["maps"] = np.frombuffer(maps.tobytes() + fresh(start).tobytes(), np.uint8)
    found = {}
    for port in top.memories:
        name = port.name if port.name in known else port.name.rstrip("0123456789")
        if name not in known:
            raise UserError(f"the engine has a memory port {port.name} that no vector is known for: add it here")
        data = np.ascontiguousarray(known[name]).tobytes()
        found[port.name] = data + bytes(room(len(data)) - len(data))
    return found


def write(folder, package, images, start, top=None):
    """Write vectors, sources and test bench for `images` (N, H, W, C) uint8 into `folder`; the golden model's records.

    folder/vectors/PORT.bin, results.expected.bin, scalars.txt; folder/src; folder/testbench.cpp, engine_call.hpp.
    """
    top = sources.read_top() if top is None else top
    folder = Path(folder)
    (folder / "vectors").mkdir(parents=True, exist_ok=True)
    records = golden.run(package.program, package.weights, package.tables, images, start)
    memories = arrays(package, images, start, top)
    for name, data in memories.items():
        (folder / "vectors" / f"{name}.bin").write_bytes(data)
    (folder / "vectors" / "results.expected.bin").write_bytes(np.ascontiguousarray(records, np.int32).tobytes())
    values = scalars(start, package.program, package.weights, package.tables, images)
    missing = [item.name for item in top.parameters if not item.pointer and item.name not in values]
    if missing:
        raise UserError(f"no value for the engine's argument {missing[0]}: add it in hls/record.py")
    values |= {"record_words": records.shape[1], "expected_status": isa.STATUS_OK}
    values["bad_start_status"] = isa.STATUS_BAD_START
    places = [isa.RECORD.index(name) for name in MEASURED]
    values |= {"first_measured": min(places), "last_measured": max(places)}
    lines = [f"{name} {int(value) % 2**64}" for name, value in values.items()]
    (folder / "vectors" / "scalars.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sizes = {item.name: sources.TYPE_BITS[item.type] // 8 for item in top.memories}
    sources.write(folder, top, {name: len(data) // sizes[name] for name, data in memories.items()})
    (folder / TESTBENCH).write_bytes((FLOW / TESTBENCH).read_bytes())
    return records


def simulate(folder, flags=()):
    """Build the test bench with g++ and run it on folder/vectors: (passed, output). UserError, CosimError."""
    folder = Path(folder)
    files = [str(folder / TESTBENCH), str(folder / "src" / sources.MAIN)]
    target = str(folder / "testbench")
    command = [cosim.compiler(), STANDARD, CHIP, "-O2", *cosim.WARNINGS, *flags, f"-I{folder}", *files, "-o", target]
    Path(target).unlink(missing_ok=True)  # never one of another build
    built = tools.run(command)
    if built.returncode or not Path(target).exists():
        first = next((line for line in built.stderr.splitlines() if "error" in line), built.stderr[:200])
        raise UserError(f"the test bench does not compile: {first}")
    run = tools.run([target, str(folder / "vectors")])
    return run.returncode == 0, (run.stdout + run.stderr).strip()


def batch(name="fashion-mnist", count=IMAGES, budget_flops=NO_BUDGET, data=None):
    """(package, images, start) of the committed package `name`, or of a file, and its dataset's first test images."""
    path = Path(name) if name.endswith(".npz") else PACKAGES / f"{name}.npz"
    package = read(path)
    if data is not None:
        images = test_images(package, folder_of(data, package.dataset))[0][:count]
    elif package.dataset == "fashion-mnist":
        images = load_sample()[0][:count]
    else:  # any pixels do: the records are compared, not their accuracy
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (count, *package.image_shape), dtype=np.uint8)
    return package, images, package.start(budget_flops=budget_flops)


def main(argv=None):
    """0 when the engine's records are the golden model's, 1 when not, 2 when there is nothing to compare."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", default="fashion-mnist", help="name or .npz file (default: %(default)s)")
    parser.add_argument("--data", help=f"{HELP} (default: the sample, or random pixels)")
    parser.add_argument("--images", type=Whole(1), default=IMAGES, help="how many (default: %(default)s)")
    parser.add_argument(
        "--budget-flops", type=Whole(0, NO_BUDGET), default=NO_BUDGET, help="of each image (default: none)"
    )
    parser.add_argument("--out", type=Path, default=BUILD, help="folder to write (default: build/vectors)")
    arguments = parser.parse_args(argv)
    return guarded("bitstreams.vectors", lambda: _compare(arguments))


def _compare(arguments):
    folder = made(arguments.out, "--out")
    work = batch(arguments.package, arguments.images, arguments.budget_flops, arguments.data)
    write(folder, *work)
    passed, text = simulate(folder)
    print(text)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
