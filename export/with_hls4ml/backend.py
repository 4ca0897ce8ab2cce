"""hls4ml's backend "DDI": what hls4ml calls to configure, write, compile, predict and build (docs/hls4ml.md).

    model = hls4ml.converters.convert_from_pytorch_model(net, backend="DDI", hls_config=config, input_data_tb="x.npy")
    model.compile(); logits = model.predict(x); report = model.build()

PyTorch is imported when a package is made, not when hls4ml starts.
"""

from hls4ml.backends import FPGABackend
from hls4ml.backends.backend import Backend
from hls4ml.model.flow import register_flow
from hls4ml.model.optimizer import model_optimizer

from hls import cosim
from hls.command import outputs
from hls.errors import UserError

CLOCK_PERIOD = 7  # ns: 143 MHz, the ZedBoard's target
# Of hls4ml's own flow `convert` what makes one form of all front ends. It leaves batch norms alone, which the reader
# of ONNX folds, and does not infer fixed-point types, for there are none here.
CONVERT = ("channels_last_converter", "remove_nop_transpose", "fuse_bias_add", "expand_layer_group")
PER_NETWORK = ("synth", "cosim", "validation", "export", "vsynth", "fifo_opt", "bitfile")  # asked of other backends


class DDIBackend(Backend):
    """One engine runs every network: `compile` makes a package, `predict` runs it in co-simulation."""

    def __init__(self):
        super().__init__("DDI")
        convert = register_flow("convert", list(CONVERT), requires=["parse_qonnx"], backend=self.name)
        self._flow = register_flow("check", ["ddi:check_layers"], requires=[convert], backend=self.name)
        self._writer_flow = register_flow("write", ["ddi:write_package"], requires=[self._flow], backend=self.name)

    def get_default_flow(self):
        """What a conversion ends with: layers in one form, and each of them known."""
        return self._flow

    def get_writer_flow(self):
        """What `write` applies."""
        return self._writer_flow

    def create_initial_config(self, mean=0.0, std=1.0, classes=None, clock_period=CLOCK_PERIOD, **others):
        """The keys of the backend's own. Raises UserError for those of other backends.

        `mean`, `std`: of the model's input, one number or one a channel: it is (pixel / 255 - mean) / std; `classes`:
        their names; `clock_period`: ns, for the report.
        """
        if others:
            found = ", ".join(f"{key}={value!r}" for key, value in others.items())
            raise UserError(f"the backend DDI does not know {found}: its own are mean, std, classes, clock_period")
        return {"Mean": mean, "Std": std, "Classes": classes, "ClockPeriod": clock_period, "HLSConfig": {}}

    def create_layer_class(self, layer_class):
        """The layer as hls4ml has it."""
        wrapped = f"{layer_class.__module__}.{layer_class.__qualname__}"
        return type(self.name + layer_class.__name__, (layer_class,), {"_expected_attributes": [], "_wrapped": wrapped})

    @classmethod
    def convert_precision_string(cls, precision):
        """hls4ml's own reading of a precision, of which nothing here depends."""
        return FPGABackend.convert_precision_string(precision)

    @model_optimizer()
    def check_layers(self, model):
        """Read the layers, so that one that is not supported is told when the model is converted. UserError."""
        from export.with_hls4ml.packages import imported, warn_of_precisions

        warn_of_precisions(model)
        imported(model)

    @model_optimizer()
    def write_package(self, model):
        """OUTPUT_DIR/PROJECT.npz: calibrated, quantised and measured on the test bench's data. UserError."""
        from export.with_hls4ml.packages import package_of, path_of
        from hls.package import encoded

        data = encoded(package_of(model))
        outputs.made(path_of(model).parent, "output_dir")
        outputs.write(path_of(model), data)

    def write(self, model):
        """Write the package."""
        model.apply_flow(self.get_writer_flow())

    def compile(self, model):
        """Path of the engine's own library, which hls4ml loads; it is built where it is not there."""
        return str(cosim.build())

    def predict(self, model, x):
        """What the model gives for x: (N, classes) float32, or (classes,) of one image. UserError."""
        from export.with_hls4ml.packages import predict

        if model._top_function_lib is None:
            raise UserError("the model is not compiled: call compile() before predict()")
        return predict(model, x)

    def build(self, model, csim=True, reset=False, **steps):
        """The report of the package, as hls4ml's other backends name its entries; what it says is modelled. UserError.

        `csim`: run the test bench's inputs. `steps`: other backends' stages, none of which depends on the network here.
        """
        from export.with_hls4ml.packages import report

        unknown = sorted(set(steps) - set(PER_NETWORK))
        if unknown:
            known = ", ".join(("csim", "reset", *PER_NETWORK))
            raise UserError(f"build() does not know {', '.join(unknown)}: it takes {known}")
        asked = [name for name, wanted in steps.items() if wanted]
        if asked:
            print(f"{', '.join(asked)}: nothing to do, one bitstream runs every network (make synth BOARD=zedboard)")
        if model._top_function_lib is None:  # else compile() has written it
            self.write(model)
        return report(model, csim)
