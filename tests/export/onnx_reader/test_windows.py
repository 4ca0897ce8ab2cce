"""Max pools as the engine has them: one where it pads alike by at most half the kernel, else two, else none."""

import pytest

from export.onnx_reader.steps import Window
from export.onnx_reader.windows import NoFit, Stage, max_stages


@pytest.mark.parametrize("unsigned", [True, False])
@pytest.mark.parametrize(
    "size, kernel, stride, padding, output",
    [(9, 5, 2, 2, 5), (8, 2, 2, 1, 5), (9, 3, 1, 1, 9), (8, 2, 2, 0, 4), (7, 7, 1, 3, 7)],
)
def test_a_pool_that_is_padded_by_half_its_kernel_is_one(size, kernel, stride, padding, output, unsigned):
    window = Window((kernel,) * 2, (stride,) * 2, (padding,) * 4)
    sizes = (size, size), (output, output)
    assert max_stages(sizes[0], window, sizes[1], unsigned) == [Stage(sizes[0], kernel, stride, padding, sizes[1])]


def test_more_at_the_bottom_takes_two_behind_a_relu_and_is_refused_elsewhere():
    window = Window((3, 3), (2, 2), (0, 0, 1, 1))
    assert len(max_stages((8, 8), window, (4, 4), True)) == 2
    with pytest.raises(NoFit, match=r"a max pool of 3 at stride 2 with padding \(0, 0, 1, 1\) on a map of 8×8"):
        max_stages((8, 8), window, (4, 4), False)
