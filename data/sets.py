"""The official data sets: names, files, classes and digests; what reads them is in data/datasets.py.

CIFAR10.classes[3]                              # "cat"
DIGESTS["cifar-10-python.tar.gz"]               # SHA-256 of the file, or of what it holds
"""

from dataclasses import dataclass, replace
from pathlib import Path

SAMPLE = Path(__file__).resolve().parent / "fashion-mnist-sample"
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Dataset:
    """What a data set is called, where its official files are, and how its images are normalised."""

    name: str
    url: str
    files: tuple[str, ...]  # what the download brings
    classes: tuple[str, ...]
    mean: tuple[float, ...] = ()  # of the training images, pixels in [0, 1]; () where they are computed when it is read
    std: tuple[float, ...] = ()


_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
_SUPERCLASSES = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices household_furniture
insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""
TORONTO = "https://www.cs.toronto.edu/~kriz/"
CIFAR10 = Dataset(
    name="cifar10",
    url=TORONTO,
    files=("cifar-10-python.tar.gz",),
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
CIFAR100 = Dataset(
    name="cifar100",
    url=TORONTO,
    files=("cifar-100-python.tar.gz",),
    classes=tuple(_CIFAR100.split()),
)
CIFAR100_SUPERCLASSES = replace(CIFAR100, name="cifar100-superclasses", classes=tuple(_SUPERCLASSES.split()))
SVHN = Dataset(
    name="svhn",
    url="http://ufldl.stanford.edu/housenumbers/",
    files=("train_32x32.mat", "test_32x32.mat"),
    classes=tuple("0123456789"),
)
SVHN_EXTRA = replace(SVHN, name="svhn-extra", files=("train_32x32.mat", "extra_32x32.mat", "test_32x32.mat"))
FASHION_MNIST = Dataset(
    name="fashion-mnist",
    url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    files=tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")),
    classes=("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    mean=(0.2860, 0.2860, 0.2860),
    std=(0.3530, 0.3530, 0.3530),
)
KNOWN = CIFAR10, CIFAR100, CIFAR100_SUPERCLASSES, SVHN, SVHN_EXTRA, FASHION_MNIST
DATASETS = {dataset.name: dataset for dataset in KNOWN}

# SHA-256. For Fashion-MNIST of the uncompressed contents, so that a repackaged archive is accepted too.
DIGESTS = {
    "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    "train_32x32.mat": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "extra_32x32.mat": "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
    "test_32x32.mat": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
}
SAMPLE_DIGESTS = {  # the first 1,000 test images, written by data/make_sample.py
    "t10k-images-idx3-ubyte": "7a6d8e07ea021ec5bc73135ebd0a5770799557ec6f8242d8749c4f32a3cf4643",
    "t10k-labels-idx1-ubyte": "b40abac7ec8228f434940f579deb7cf7b6e3103b5274cb91d1545771f5ef1c8b",
}
SPLIT_SIZES = {  # of a data set's split, or of SVHN's file
    ("cifar10", "train"): 50000,
    ("cifar10", "test"): 10000,
    ("cifar100", "train"): 50000,
    ("cifar100", "test"): 10000,
    ("svhn", "train"): 73257,
    ("svhn", "extra"): 531131,
    ("svhn", "test"): 26032,
    ("fashion-mnist", "train"): 60000,
    ("fashion-mnist", "test"): 10000,
}
