"""Backbones: a stem, a row of units, a head. One file a family; BACKBONES in training/network.py names them.

backbone = BACKBONES["resnet"](classes=10, depth=74)
logits = backbone(images)          # (N, 3, H, W) normalised → (N, classes)
"""
