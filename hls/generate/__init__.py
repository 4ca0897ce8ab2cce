"""What is generated from the contract hls/isa.toml: Python, C++ and a page of docs/."""
