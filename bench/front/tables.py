"""Tables of docs/results.md: packages under budgets, what must hold, speeds, the engine beside its targets, faults."""

from bench.sizes.targets import AIMS, shown


def packages_table(rows):
    """Accuracy and cost of each package at the paper's budget and without one."""
    lines = [
        "| package | budget | accuracy | mean FLOPs | mean cycles (modelled) | blocks run |",
        "|---|---|---|---|---|---|",
    ]
    names = sorted({name.partition(".")[0] for name in rows if name.endswith(".over_budget")})
    for name in names:
        sha256 = rows[f"{name}.accuracy@none"]["package"]  # rows of an older package have other budgets
        own = [key for key, row in rows.items() if key.startswith(f"{name}.accuracy@") and row["package"] == sha256]
        budgets = [key.partition("@")[2] for key in own]
        numeric = sorted((budget for budget in budgets if budget != "none"), key=lambda text: float(text[:-1]))
        for budget in [numeric[0], *(["74.0M"] if "74.0M" in numeric[1:] else []), "none"]:
            value = {key: rows[f"{name}.{key}@{budget}"]["value"] for key in ("accuracy", "flops", "cycles", "layers")}
            lines.append(
                f"| {name} | {budget} | {100 * value['accuracy']:.2f} % | {value['flops'] / 1e6:.1f}M "
                f"| {value['cycles']:,.0f} | {value['layers']:.1f} |"
            )
    return lines


def promises_table(rows):
    """What must hold, as counted."""
    wanted = [
        (".over_budget", "images that spent more than their budget"),
        (".flops_differ", "images whose FLOPs differ from the training model's count"),
        (".float_accuracy", "accuracy of the float model, all exits open to the end"),
        (".int8_minus_float", "int8 on the engine minus float, percentage points"),
    ]
    lines = ["| what | package | value | over |", "|---|---|---|---|"]
    for suffix, text in wanted:
        for name in sorted(rows):
            if name.endswith(suffix):
                row = rows[name]
                shown = (
                    f"{row['value']:.4f}".rstrip("0").rstrip(".") if isinstance(row["value"], float) else row["value"]
                )
                lines.append(f"| {text} | {name.partition('.')[0]} | {shown} | {row['n']:,} images |")
    return lines


def speed_table(rows):
    """The co-simulation on the machine that measured it."""
    texts = {
        "speed.cifar10_74M_seconds": "CIFAR-10's test set at 74M FLOPs, seconds",
        "speed.cifar10_74M_images_per_s": "images a second",
        "speed.host_memory": "memory of the host process, MiB",
    }
    lines = ["| co-simulation (measured) | value | machine |", "|---|---|---|"]
    for name, text in texts.items():
        if name in rows:
            host = rows[name]["host"]
            lines.append(f"| {text} | {rows[name]['value']:.1f} | {host['cores']} cores, {host['vector']} |")
    return lines


ENGINE = {
    "array_busy.resnet74": "MAC array busy, ResNet-74",
    "array_busy.resnet20": "MAC array busy, ResNet-20",
    "array_busy.ddi_74M": "MAC array busy, ResNet-74-DDI at 74M FLOPs",
    "proportionality.mean": "cycles saved ÷ FLOPs saved at 74M, mean over images",
    "proportionality.p5": "the same, 5th percentile",
    "proportionality.mean.none": "the same without a budget, mean",
    "proportionality.layers": "random layer skips",
    "proportionality.random_both": "random layer and channel skips",
    "proportionality.random_masks": "random channel masks alone",
    "proportionality.random_pairs": "random channel masks in pairs (recipe: `pairs = true`)",
    "gates.share": "gates and exits, share of a full image's cycles",
    "resnet8.images_per_s_143MHz": "MLPerf Tiny's ResNet-8 at 143 MHz, images/s",
    "resnet8.images_per_s_100MHz": "the same at 100 MHz",
    "ic02.images_per_s_143MHz": "MLPerf Tiny's IC02 (the same with 40 filters) at 143 MHz, images/s",
    "ic02.images_per_s_100MHz": "the same at 100 MHz",
    "points.zedboard-safe.lut_share": "LUTs of the ZedBoard's chip that the safe engine and adapters take",
    "points.zedboard-safe.bram18_share": "its block RAMs",
    "points.zedboard-safe.dsp_share": "its DSPs",
    "points.zedboard-safe.resnet8.images_per_s": "ResNet-8 on the safe engine at 100 MHz, images/s",
    "points.zedboard.lut_share": "LUTs that the large (shipped) engine and adapters take",
    "points.kv260.lut_share": "LUTs of a KV260's chip that it takes",
    "points.kv260.bram18_share": "block RAMs of a KV260's chip, without its UltraRAM",
    "bounds.worst_ii_gap": "loops: least II by docs/bounds.md over the model's, the worst, cycles",
    "bounds.worst_period_ns": "loops: least period by docs/bounds.md, the worst, ns",
    "bounds.not_told_apart": "memories whose loads and stores need a dependence pragma",
    "densenet201.array_busy": "MAC array busy, DenseNet-201 at 224×224, maps through the DDR",
    "cosim_over_ort_int8.resnet20.t1": "co-simulation ÷ ONNX Runtime int8, ResNet-20, one thread",
    "cosim_over_ort_int8.resnet74.t1": "co-simulation ÷ ONNX Runtime int8, ResNet-74, one thread",
    "cosim_over_ort_float.resnet74.t1": "co-simulation ÷ ONNX Runtime float, ResNet-74, one thread",
    "cosim_ddi_74M_over_ort_int8_full": "DDI of ten units at 74M ÷ ONNX Runtime int8 on ResNet-74's 36",
}
SURVIVED = {
    "faults.board": "faults of the board that end in a sentence, nothing leaked, the next run fine",
    "faults.meter": "the same of the power meter",
    "faults.network": "the same of boards over the network",
    "faults.checkpoints": "the same of files of weights, or they are read as they should be",
    "faults.files": "the same of files: devices, FIFOs, links, full disks, folders",
    "faults.signals": "the same of signals, to a run, a sweep, a recording, a compiler, the board",
    "faults.environment": "the same of locale, user, read-only checkout, damaged builds",
    "faults.tools": "the same of the vendor's tools: silent failures, old results, locale, paths",
}
COVERAGE = {
    "power.coverage": "energy's 95 % interval holds the truth, synthetic traces",
    "power.coverage_glitches": "the same where 1 % of the samples are 0 A and 1 % are spikes",
}


def engine_table(rows):
    """The engine's figures beside what they were meant to reach."""
    lines = ["| what | value | target | kind |", "|---|---|---|---|"]
    for name, text in ENGINE.items():
        if name in rows:
            row = rows[name]
            aim = AIMS.get(name, row.get("target"))
            lines.append(f"| {text} | {shown(row)} | {'' if aim is None else f'{aim:,g}'} | {row['kind']} |")
    return lines


def host_table(rows):
    """What the board's side survives, and how often the power meter's interval holds the truth."""
    lines = ["| what | value | of |", "|---|---|---|"]
    for name, text in SURVIVED.items():
        if f"{name}.total" in rows:
            lines.append(f"| {text} | {rows[f'{name}.survived']['value']} | {rows[f'{name}.total']['value']} |")
    for name, text in COVERAGE.items():
        if name in rows:
            lines.append(f"| {text} | {rows[name]['value']:.1%} | {rows[name]['n']:,} draws |")
    return lines
