"""The papers' methods in short runs of one size: does each reach its target, decide by the image, and run in bits?"""
