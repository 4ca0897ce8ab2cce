"""Backbones: a stem, a row of units, a head. One file a family; BUILDERS names them for recipes.

backbone = build("resnet", classes=10, depth=74)
logits = backbone(images)          # (N, 3, H, W) normalised → (N, classes)
"""
