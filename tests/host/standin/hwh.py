"""A .hwh as Vivado writes one for our block design, and the reading of it that the software board needs.

    text = write(design)                  # design: host.board.overlay.Design
    hardware = parse(text)                # .ip_dict, .interrupt_pins, .divisors

Registers are those of isa.PORTS under the names that Vitis HLS gives them. Options leave a thing out or change it, for
tests of a driver that has to notice.
"""

import copy
from dataclasses import dataclass
from xml.etree import ElementTree

from hls import isa
from host.board.overlay import FIXED

PROCESSOR = "processing_system7_0"
TIMER_REGISTERS = {"TCSR0": 0x00, "TLR0": 0x04, "TCR0": 0x08, "TCSR1": 0x10, "TLR1": 0x14, "TCR1": 0x18}
CONTROLLER_REGISTERS = {"ISR": 0x00, "IPR": 0x04, "IER": 0x08, "IAR": 0x0C, "SIE": 0x10, "CIE": 0x14, "MER": 0x1C}
KEYWORDS = ("program",)  # words of SystemVerilog: Vitis HLS writes _r behind them


@dataclass(frozen=True)
class Hardware:
    """What a .hwh says of a design: blocks by name, interrupt pins, the divisors of the logic's first clock."""

    ip_dict: dict
    interrupt_pins: dict
    divisors: tuple


def engine_registers():
    """Name → offset of every register of the engine, as in a .hwh."""
    names = {}
    for name, (offset, words) in isa.REGISTERS.items():
        stem = FIXED.get(name, f"{name}_r" if name in KEYWORDS else name)
        for word in range(words):
            names[stem if words == 1 else f"{stem}_{word + 1}"] = offset + 4 * word
    return names


def write(design, leave_out=(), registers=None, base=None, divisors=(7, 1), name=None):
    """The text of a .hwh; `leave_out` names blocks, `registers` and `base` replace the engine's."""
    root = ElementTree.Element(
        "EDKSYSTEM", EDWVERSION="1.2", TIMESTAMP="Mon Jan  1 00:00:00 2024", VIVADOVERSION="2022.1"
    )
    root.append(
        _element("SYSTEMINFO", ARCH="zynq", DEVICE="7z020", NAME=design.name, PACKAGE="clg484", SPEEDGRADE="-1")
    )
    ElementTree.SubElement(root, "EXTERNALPORTS")
    ElementTree.SubElement(root, "EXTERNALINTERFACES")
    modules = ElementTree.SubElement(root, "MODULES")
    engine = name or design.engine.ip
    blocks = [
        (engine, design.engine, engine_registers() if registers is None else registers),
        (design.timer.ip, design.timer, TIMER_REGISTERS),
        (design.interrupt_controller.ip, design.interrupt_controller, CONTROLLER_REGISTERS),
    ]
    blocks = [block for block in blocks if block[0] not in leave_out]
    for ip, block, names in blocks:
        modules.append(_module(ip, block, names))
    addresses = [(ip, block.bus, base if base and ip == engine else block.base, block.range) for ip, block, _ in blocks]
    modules.append(_processor(addresses, divisors))
    _wire_interrupts(modules, engine, design.interrupt_controller.ip)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>\n' + ElementTree.tostring(root, encoding="unicode")


def _element(tag, **attributes):
    return ElementTree.Element(tag, attributes)


def _module(ip, block, registers):
    kind = block.vlnv.split(":")[2]
    module = _element("MODULE", FULLNAME=f"/{ip}", INSTANCE=ip, IPTYPE="PERIPHERAL", IS_ENABLE="1",
                      MODCLASS="PERIPHERAL", MODTYPE=kind, HWVERSION=block.vlnv.split(":")[3],
                      VLNV=block.vlnv)  # fmt: skip
    blocks = ElementTree.SubElement(module, "ADDRESSBLOCKS")
    area = _element("ADDRESSBLOCK", ACCESS="read-write", INTERFACE=block.bus, NAME="Reg", RANGE=str(block.range),
                    USAGE="register")  # fmt: skip
    blocks.append(area)
    listed = ElementTree.SubElement(area, "REGISTERS")
    for name, offset in registers.items():
        listed.append(_register(name, offset))
    ElementTree.SubElement(module, "PARAMETERS")
    ports = ElementTree.SubElement(module, "PORTS")
    for suffix, left in (("AWADDR", 15), ("WDATA", 31)):
        ports.append(_element("PORT", DIR="I", LEFT=str(left), NAME=f"{block.bus}_{suffix}", RIGHT="0", SIGIS="undef"))
    buses = ElementTree.SubElement(module, "BUSINTERFACES")
    bus = _element("BUSINTERFACE", DATAWIDTH="32", NAME=block.bus, TYPE="SLAVE", VLNV="xilinx.com:interface:aximm:1.0")
    buses.append(bus)
    maps = ElementTree.SubElement(bus, "PORTMAPS")
    for suffix in ("AWADDR", "WDATA"):
        maps.append(_element("PORTMAP", LOGICAL=suffix, PHYSICAL=f"{block.bus}_{suffix}"))
    return module


def _register(name, offset):
    register = _element("REGISTER", NAME=name)
    properties = {"DESCRIPTION": f"Data signal of {name}", "ADDRESS_OFFSET": f"0x{offset:02X}", "SIZE": "32",
                  "ACCESS": "read-write", "IS_ENABLED": "true", "RESET_VALUE": "0"}  # fmt: skip
    for key, value in properties.items():
        register.append(_element("PROPERTY", NAME=key, VALUE=value))
    return register


def _processor(addresses, divisors):
    vlnv = "xilinx.com:ip:processing_system7:5.5"
    module = _element("MODULE", FULLNAME=f"/{PROCESSOR}", INSTANCE=PROCESSOR, IPTYPE="PERIPHERAL", IS_ENABLE="1",
                      IS_PL="FALSE", MODCLASS="PERIPHERAL", MODTYPE="processing_system7", HWVERSION="5.5",
                      VLNV=vlnv)  # fmt: skip
    parameters = ElementTree.SubElement(module, "PARAMETERS")
    for clock in range(4):
        first, second = divisors if clock == 0 else (1, 1)
        parameters.append(_element("PARAMETER", NAME=f"PCW_FCLK{clock}_PERIPHERAL_DIVISOR0", VALUE=str(first)))
        parameters.append(_element("PARAMETER", NAME=f"PCW_FCLK{clock}_PERIPHERAL_DIVISOR1", VALUE=str(second)))
        parameters.append(_element("PARAMETER", NAME=f"PCW_FPGA_FCLK{clock}_ENABLE", VALUE=str(int(clock == 0))))
    ElementTree.SubElement(module, "PORTS")
    buses = ElementTree.SubElement(module, "BUSINTERFACES")
    buses.append(_element("BUSINTERFACE", DATAWIDTH="32", NAME="M_AXI_GP0", TYPE="MASTER",
                          VLNV="xilinx.com:interface:aximm:1.0"))  # fmt: skip
    memory = ElementTree.SubElement(module, "MEMORYMAP")
    for ip, bus, base, size in addresses:
        memory.append(_element("MEMRANGE", ADDRESSBLOCK="Reg", BASENAME="C_BASEADDR", BASEVALUE=f"0x{base:08X}",
                               HIGHNAME="C_HIGHADDR", HIGHVALUE=f"0x{base + size - 1:08X}", INSTANCE=ip, IS_DATA="TRUE",
                               IS_INSTRUCTION="TRUE", MASTERBUSINTERFACE="M_AXI_GP0", MEMTYPE="REGISTER",
                               SLAVEBUSINTERFACE=bus))  # fmt: skip
    return module


def _wire_interrupts(modules, engine, controller):
    """The engine's pin to the controller, the controller's to the processor."""
    wires = (("interrupt", engine, "intr", controller), ("irq", controller, "IRQ_F2P", PROCESSOR))
    instances = {module.get("INSTANCE"): module for module in modules}
    for source, from_ip, target, to_ip in wires:
        if from_ip not in instances or to_ip not in instances:
            continue
        ends = ((from_ip, source, "O", to_ip, target), (to_ip, target, "I", from_ip, source))
        for ip, name, direction, other, other_name in ends:
            port = _element("PORT", DIR=direction, NAME=name, SIGIS="INTERRUPT", SIGNAME=f"{from_ip}_{source}")
            if direction == "I":
                port.set("LEFT", "0")
                port.set("RIGHT", "0")
            connections = ElementTree.SubElement(port, "CONNECTIONS")
            connections.append(_element("CONNECTION", INSTANCE=other, PORT=other_name))
            ports = instances[ip].find("PORTS")
            assert ports is not None
            ports.append(port)


def parse(text):
    """The Hardware that the text of a .hwh describes; ElementTree.ParseError or KeyError when it is damaged."""
    root = ElementTree.fromstring(text)
    modules = {module.attrib["INSTANCE"]: module for module in root.iter("MODULE")}
    processor = modules[PROCESSOR]
    ip_dict: dict = {PROCESSOR: {"type": processor.attrib["VLNV"], "parameters": _parameters(processor)}}
    for area in processor.iter("MEMRANGE"):
        ip = area.attrib["INSTANCE"]
        base, high = int(area.attrib["BASEVALUE"], 16), int(area.attrib["HIGHVALUE"], 16)
        ip_dict[ip] = {
            "fullpath": ip,
            "type": modules[ip].attrib["VLNV"],
            "phys_addr": base,
            "addr_range": high - base + 1,
            "parameters": _parameters(modules[ip]),
            "registers": {item.attrib["NAME"]: _properties(item) for item in modules[ip].iter("REGISTER")},
        }
    parameters = ip_dict[PROCESSOR]["parameters"]
    divisors = tuple(int(parameters[f"PCW_FCLK0_PERIPHERAL_DIVISOR{number}"]) for number in range(2))
    return Hardware(ip_dict, _pins(root), divisors)


def _pins(root):
    pins = {}
    for module in root.iter("MODULE"):
        for port in module.iter("PORT"):
            for wire in port.iter("CONNECTION"):
                if wire.attrib["PORT"] == "intr":
                    path = f"{module.attrib['INSTANCE']}/{port.attrib['NAME']}"
                    pins[path] = {"controller": wire.attrib["INSTANCE"], "index": 0, "fullpath": path}
    return pins


def _parameters(module):
    return {item.attrib["NAME"]: item.attrib["VALUE"] for item in module.findall("./PARAMETERS/PARAMETER")}


def _properties(register):
    values = {item.attrib["NAME"]: item.attrib["VALUE"] for item in register.findall("PROPERTY")}
    return {
        "address_offset": int(values["ADDRESS_OFFSET"], 0),
        "size": int(values["SIZE"], 0),
        "access": values["ACCESS"],
        "description": values["DESCRIPTION"],
        "fields": {},
    }


def without(registers, name):
    """`registers` less the one called `name`."""
    registers = copy.copy(registers)
    del registers[name]
    return registers
