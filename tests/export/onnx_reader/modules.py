"""PyTorch modules of the shapes that people bring: ResNets as torchvision has them, a VGG, a DenseNet, a LeNet.

model = liven(resnet18(classes=10, width=16))
"""

import torch
from torch import nn


class BasicBlock(nn.Module):
    """Two 3×3 convolutions."""

    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1×1, 3×3 with the stride, 1×1 to four times the width."""

    expansion = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut(inputs, 4 * width, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def shortcut(inputs, outputs, stride):
    """A projection where shapes differ."""
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """A 7×7 stem, a max pool, four stages, a global average, a linear layer."""

    def __init__(self, block, blocks, width=64, classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs, stages = width, []
        for stage, count in enumerate(blocks):
            for number in range(count):
                stages.append(block(inputs, width << stage, 2 if stage and not number else 1))
                inputs = (width << stage) * block.expansion
        self.layers = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))


def resnet18(width=16, classes=10):
    """ResNet-18, of a quarter of its width."""
    return ResNet(BasicBlock, (2, 2, 2, 2), width, classes)


def resnet50(width=8, classes=10):
    """ResNet-50, of an eighth of its width."""
    return ResNet(Bottleneck, (3, 4, 6, 3), width, classes)


def vgg(classes=10, size=32):
    """A VGG with pools, two linear layers with dropout behind 2×2 pixels of 64 channels."""
    layers, inputs = [], 3
    for width in (16, 32, 64, 64):
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(True), nn.MaxPool2d(2)]
        inputs = width
    side = size // 16
    head = [nn.Flatten(), nn.Linear(64 * side**2, 48), nn.ReLU(True), nn.Dropout(), nn.Linear(48, classes)]
    return nn.Sequential(*layers, *head)


def lenet(classes=10):
    """LeNet-5: convolutions without padding."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 25, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes)),
    )


class Dense(nn.Module):
    """A small DenseNet: batch norms first, each layer reads all before it."""

    def __init__(self, classes=10, growth=6, layers=3):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.blocks, channels = nn.ModuleList(), 12
        for _ in range(2):
            block = nn.ModuleList()
            for _ in range(layers):
                body = [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, growth, 3, padding=1)]
                block.append(nn.Sequential(*body))
                channels += growth
            block.append(nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels // 2, 1), nn.AvgPool2d(2)))
            channels //= 2
            self.blocks.append(block)
        self.norm, self.fc = nn.BatchNorm2d(channels), nn.Linear(channels, classes)

    def forward(self, x):
        x = self.stem(x)
        for *layers, transition in self.blocks:
            parts = [x]
            for layer in layers:
                parts.append(layer(torch.cat(parts, 1)))
            x = transition(torch.cat(parts, 1))
        return self.fc(torch.relu(self.norm(x)).mean((2, 3)))


@torch.no_grad()
def liven(model, seed=0):
    """A module in eval mode whose batch norms are not trivial and whose values keep their spread."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.uniform_(0.6, 1.2, generator=generator)
            module.bias.normal_(0, 0.2, generator=generator)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            fan = module.weight[0].numel()
            module.weight.normal_(0, (2 / fan) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.normal_(0, 0.1, generator=generator)
    return model.eval()
