"""Several processes that train one network, each on its share of every batch; started by torchrun, on any machines.

    torchrun --nproc-per-node 8 -m training RECIPE.toml --data DIR --out runs/mine      # a folder that all of them see

Gradients are averaged by DistributedDataParallel. What one process does alone (files, measuring, what is said) is done
by the first, and `first` gives its result to all. A batch norm normalises a process's own share. Without torchrun there
is one process, the first of one, and nothing here does anything.
"""

import os
from datetime import timedelta

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

WAIT = timedelta(days=1)  # the others wait while the first measures; one that ends takes all with it before that


def launched():
    """Whether torchrun has started this process."""
    return distributed.is_torchelastic_launched()


def place():
    """(rank, world): this process's number, and of how many."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def leads():
    """Whether this process is the first."""
    return place()[0] == 0


def device_of(asked):
    """The device of this process: of several GPUs, one each."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if launched() and asked == "cuda" else asked


def together(device, work):
    """`work()` among the processes that torchrun has started; its result. Of those that fail the first alone raises.

    The others, whose connections break then, give 2. Flags and figures travel by gloo, gradients on GPUs by NCCL.
    """
    if not launched():
        return work()
    gpu = torch.device(device).type == "cuda"
    if gpu:
        torch.cuda.set_device(torch.device(device))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=WAIT)
    try:
        result = work()
    except BaseException:
        if _store().add("failed", 1) > 1:
            return 2
        raise
    distributed.destroy_process_group()
    return result


def _store():
    return distributed.PrefixStore("training", distributed.distributed_c10d._get_default_store())


def averaged(module):
    """The module, its gradients averaged over the processes from now on; its weights and statistics the first's."""
    if place()[1] == 1:
        return module
    return DistributedDataParallel(module, find_unused_parameters=True)  # units that no image of a share ran


def first(work):
    """What `work()` gives in the first process, in all of them; the others wait for it."""
    found = [work() if leads() else None]
    if place()[1] > 1:
        distributed.broadcast_object_list(found, device=torch.device("cpu"))
    return found[0]


def anywhere(flag):
    """Whether `flag` is set in any process."""
    return bool(_reduced([float(flag)], distributed.ReduceOp.MAX)[0])


def mean(figures):
    """Name → number, averaged over the processes."""
    values = _reduced(list(figures.values()), distributed.ReduceOp.SUM)
    return {name: value / place()[1] for name, value in zip(figures, values)}


def _reduced(values, operation):
    if place()[1] == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64)
    distributed.all_reduce(tensor, operation)
    return tensor.tolist()
