"""Costs other than FLOPs: counted from the parts' own lowering, equal to the engine's cycles; energy by hand."""

import csv
import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export.compile.lower import lower
from export.integers.integer import IntegerNetwork
from hls import golden
from hls.errors import UserError
from hls.record import decode
from tests.export.random_networks import (
    DENSE,
    Case,
    normalise,
    quantised,
    random_images,
    random_model,
    start_of,
)
from tests.training.toys import gradient
from training import recipe, terms
from training.backbones.resnet import resnet
from training.bases import RECIPES
from training.costs import check, scalesim, share_of, spent, whole
from training.costs import energy as energies
from training.costs.counting import Operation, full, operations
from training.costs.cycles import cycles_of
from training.costs.energy import ACCESSES, energy_of, shape_of
from training.costs.flops import flops_of
from training.costs.scalesim import shapes_of, simulate, table
from training.network import Network

SMALL = {
    "plain": Case((1, 2), size=(12, 16)),
    "papers": Case((1, 2, 1), "recurrent", "convolution", size=(12, 16)),
    "acs": Case((1, 2), "ffgate1", "acs", ("hidden",), size=(12, 16), groups=4),
    "dense": Case((), "recurrent", "light", ("new", "hidden"), size=(12, 16), backbone=DENSE),
}
LABELS = torch.zeros(8)  # costs do not look at them


@pytest.mark.parametrize("name", SMALL)
def test_operations_have_the_flops_that_the_forward_pass_counts(name):
    case = SMALL[name]
    model, images = random_model(case), normalise(case, random_images(case, 12))
    with torch.no_grad():
        out = model(images, with_exits=False)
    total = torch.zeros(12, dtype=torch.float64)
    for operation, ran in operations(out.parts):
        total += flops_of(operation) * (1 if ran is None else ran)
    torch.testing.assert_close(total, out.flops[:, -1])
    assert case.layer == "" or len(set(total.tolist())) > 1
    static = sum(flops_of(full(operation)) for operation, _ in operations(out.parts, gates=False))
    assert static == model.backbone.cost(case.size)


def run_on_engine(case, count=4):
    """The engine's results, and a forward pass of the float model with the same decisions."""
    images, model = random_images(case, count), random_model(case)
    network8 = quantised(case, images, model)
    decisions, compiled = IntegerNetwork(network8)(images).decisions, lower(network8)
    start, given = start_of(compiled), iter(decisions.values())
    records = golden.run(compiled.program, compiled.weights, compiled.tables, images, start)
    with torch.no_grad():
        out = model(normalise(case, images), forced=lambda unit, mask, logits: next(given).keep)
    return decode(records, start), out


@pytest.mark.parametrize("name", SMALL)
def test_cycles_are_the_engines(name):
    results, out = run_on_engine(SMALL[name])
    torch.testing.assert_close(spent(out.parts, "cycles").expand(4), torch.from_numpy(results.cycles).double())


@pytest.mark.parametrize("measure", ["flops", "layers", "cycles"])
def test_a_share_falls_with_what_is_closed_and_has_a_gradient(measure):
    case = SMALL["papers"]
    model, images = random_model(case).train(), normalise(case, random_images(case, 8))
    shares = []
    for keep in (1.0, 0.5, 0.0):
        forced = lambda unit, mask, logits, keep=keep: (torch.rand_like(logits) < keep).to(logits.dtype)  # noqa: E731
        out = model(images, with_exits=False, forced=forced)
        shares.append(share_of(terms.Step(out, LABELS, float(model.backbone.cost(case.size)), 1.0), measure).item())
    assert shares[0] > shares[1] > shares[2] >= 0
    assert shares[0] == pytest.approx(1.2, abs=0.2)  # of the static network, gates on top
    out = model(images, with_exits=False)
    share_of(terms.Step(out, LABELS, 1.0, 1.0), measure).backward()
    learnt = [gate for gate in model.gates() if hasattr(gate, "embed")]
    assert all(gate.embed.weight.grad is not None and gate.embed.weight.grad.abs().sum() > 0 for gate in learnt)


def test_a_unit_that_is_left_out_counts_in_the_whole():
    model, images = random_model(SMALL["plain"]), normalise(SMALL["plain"], random_images(SMALL["plain"], 2))
    with torch.no_grad():
        every, fewer = model(images), model(images, left_out=(1,))
    assert whole(fewer.parts, "cycles") == whole(every.parts, "cycles")
    assert (spent(fewer.parts, "cycles") < spent(every.parts, "cycles")).all()


@settings(max_examples=25)
@given(st.integers(1, 16), st.integers(1, 16), st.sampled_from([1, 2]))
def test_a_masked_convolutions_cycles_are_those_of_its_counts(inputs, outputs, stride):
    """One image after the other or all at once; the gradient of a count is the mean cycles a channel."""
    counts = [torch.tensor([float(n), 16.0], requires_grad=True) for n in (inputs, outputs)]
    operation = Operation("conv", 16, 16, (12, 16), 3, stride, 1, False, *counts)
    held = cycles_of(operation)
    alone = Operation("conv", 16, 16, (12, 16), 3, stride, 1, False, counts[0][:1], counts[1][:1])
    assert held[0] == cycles_of(alone)[0] and held[1] >= held[0]
    held.sum().backward()
    for count in counts:
        assert gradient(count)[0].item() == pytest.approx(held[0].item() / count[0].item())


# ------------------------------------------------------------------------------------------------------- energy
def test_energy_by_hand(monkeypatch):
    """Eq. 6: 200 an access to the main memory, 6 to the cache, 4 registers and a MAC; masks cost their share."""
    monkeypatch.setattr(
        energies, "accesses", lambda: {(8, 8, 3, 2, 4, 6): (100, 20, 30, 5), (1, 1, 1, 1, 20, 40): (1, 1, 1, 1)}
    )
    macs = 4 * 4 * 9 * 4 * 6
    operation = Operation("conv", 4, 6, (8, 8), 3, 2, 1)
    assert energy_of(operation) == 200 * 35 + 6 * 120 + 5 * macs
    half = Operation("conv", 4, 6, (8, 8), 3, 2, 1, active_in=torch.tensor([2.0]), active_out=torch.tensor([3.0]))
    assert energy_of(half).item() == pytest.approx(energy_of(operation) / 4)
    assert energy_of(Operation("lstm", 10, 10)) == 2 * 200 + 2 * 6 + 5 * 20 * 40
    assert energy_of(Operation("affine", 4, 4, (8, 8))) == 0


def test_a_layer_without_counts_is_named():
    with pytest.raises(UserError, match=r"no SCALE-Sim counts of a layer of height 9, width 9, kernel 3, .*scalesim"):
        energy_of(Operation("conv", 5, 7, (9, 9), 3, 1, 1))


def test_counts_are_there_for_the_papers_networks():
    """ResNets of any depth and DenseNet-100, with the gates that the papers put on them."""
    networks = [
        Network({"kind": "resnet", "depth": 20}, {"kind": kind}, {"kind": channel})
        for kind, channel in (("recurrent", "convolution"), ("pooled", "pooled"), ("ffgate1", "acs"))
    ]
    held = set(energies.accesses())
    dense = {"kind": "densenet", "depth": 100}
    networks.append(Network(dense, {"kind": "recurrent"}, {"kind": "light", "masks": ["new"]}))  # JSTSP Fig. 7
    for network in networks:
        assert shapes_of(network, 10, (32, 32)) <= held


def test_counts_make_sense():
    """Every result is written and every weight fetched at least once; no MAC reads more than two words."""
    for shape, (reads, writes, main_reads, main_writes) in energies.accesses().items():
        height, width, kernel, stride, inputs, outputs = shape
        results = -(-height // stride) * -(-width // stride) * outputs
        macs = results * kernel**2 * inputs
        assert writes >= results and main_writes >= results, shape
        assert main_reads >= kernel**2 * inputs * outputs and reads <= 2 * macs + 16, shape


def test_energy_is_no_multiple_of_flops():
    """JSTSP, section IV-B: computational cost and energy differ, or the second loss would be the first."""
    model = resnet(depth=20)
    found = []
    for unit, place in zip(model.units, model.places((32, 32))):
        operation = Operation("conv", unit.in_channels, unit.out_channels, place.size, 3, unit.stride, 1)
        found.append(energy_of(operation) / flops_of(operation))
    assert max(found) > 1.2 * min(found)


def test_the_file_is_what_the_command_writes():
    assert ACCESSES.read_text(encoding="utf-8") == table(energies.accesses())


def test_simulation_is_read_and_its_failure_is_one_line(tmp_path):
    """SCALE-Sim's report, by a stand-in that writes one."""
    names = ("IFMAP Reads", "Filter Reads", "OFMAP Writes")
    names = ", ".join(f"{memory} {name}" for memory in ("SRAM", "DRAM") for name in names)
    report = f"LayerID, {names},\n0, 10.0, 4.0, 7.0, 3.0, 2.0, 1.0,\n"
    tool = tmp_path / "python"
    tool.write_text(
        f"#!/bin/sh\nmkdir run && cp layer.csv {tmp_path} && printf '{report}' > run/DETAILED_ACCESS_REPORT.csv\n"
    )
    tool.chmod(0o755)
    assert simulate((8, 8, 3, 2, 4, 6), tool) == (14, 7, 5, 1)
    (row,) = csv.reader(io.StringIO((tmp_path / "layer.csv").read_text().splitlines()[1]))
    assert row[1:9] == ["10", "10", "3", "3", "4", "6", "2", "1:1"]  # with its padding
    tool.write_text("#!/bin/sh\necho no module named scalesim >&2\nexit 1\n")
    with pytest.raises(UserError, match=r"SCALE-Sim failed on a layer of .*: no module named scalesim"):
        simulate((8, 8, 3, 2, 4, 6), tool)


def test_missing_counts_are_simulated_and_kept(tmp_path, monkeypatch, capsys):
    """One layer of a network has no counts: it alone is simulated, and the file has all."""
    path = RECIPES / "papers" / "static" / "resnet14.toml"
    wanted = sorted(shapes_of(recipe.read(path).network, 10, (32, 32)))
    (tmp_path / "accesses.csv").write_text(table(dict.fromkeys(wanted[1:], (1, 2, 3, 4))))
    monkeypatch.setattr(scalesim, "ACCESSES", tmp_path / "accesses.csv")
    monkeypatch.setattr(scalesim, "accesses", lambda: dict.fromkeys(wanted[1:], (1, 2, 3, 4)))
    monkeypatch.setattr(scalesim, "simulate", lambda shape, python: (5, 6, 7, 8) if shape == wanted[0] else None)
    assert scalesim.main([str(path), "--python", "python"]) == 0
    assert capsys.readouterr().out.startswith("1 of 1: ")
    expected = {wanted[0]: (5, 6, 7, 8), **dict.fromkeys(wanted[1:], (1, 2, 3, 4))}
    assert (tmp_path / "accesses.csv").read_text() == table(expected)


def test_unknown_measures_are_named():
    with pytest.raises(UserError, match="measure = 'joule': expected one of flops, layers, cycles, energy"):
        check("joule")
    for name in ("cost", "signed_cost", "budget_cost", "resource_cost"):
        with pytest.raises(UserError, match="measure = 'joule'"):
            terms.build({name: {"measure": "joule"}})


def test_shapes_name_what_is_multiplied():
    assert shape_of(Operation("lstm", 10, 12)) == (1, 1, 1, 1, 22, 48)
    assert shape_of(Operation("pool", 4, 4, (8, 8), 2, 2)) is None
    assert len(shapes_of(Network({"kind": "resnet", "units": [1]}), 10, (8, 8))) == 3
