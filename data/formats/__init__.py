"""Files of images and arrays, read with numpy and zlib alone."""
