"""The engine as a backend of hls4ml, and hls4ml's projects of our packages (docs/hls4ml.md).

    import export.with_hls4ml                                       # registers the backend "DDI" with hls4ml
    model = hls4ml.converters.convert_from_pytorch_model(net, backend="DDI", hls_config=config, input_data_tb=images)

hls4ml finds it by itself where this project is installed (entry point hls4ml.backends of pyproject.toml), or by the
variable HLS4ML_BACKEND_PLUGINS=export.with_hls4ml.
"""

NAME = "DDI"


def register(register_backend, register_writer=None):
    """What hls4ml calls with its own two functions; a second call changes nothing."""
    from hls4ml.backends.backend import get_available_backends

    from export.with_hls4ml.backend import DDIBackend

    if NAME.lower() not in get_available_backends():
        register_backend(NAME, DDIBackend)


def _register_now():
    from hls4ml.backends.backend import register_backend

    register(register_backend)


_register_now()
