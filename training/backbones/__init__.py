"""Backbones: a stem, a row of units, a head. One file a family; training.network.BACKBONES names them for recipes.

logits = resnet(classes=10, depth=74)(images)          # (N, 3, H, W) normalised → (N, classes)
"""
