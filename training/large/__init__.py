"""Training that is larger than one machine's memory or one device: pictures as a stream, several processes."""
