"""What `import spicekit as sk` offers."""

from spicekit.circuits.spec import Device as Device
from spicekit.circuits.spec import TileSpec as TileSpec
from spicekit.circuits.spec import Wires as Wires
from spicekit.devices.corners import Corner as Corner
from spicekit.engines.cell_currents import Variation as Variation
from spicekit.engines.converter import Converter as Converter
from spicekit.errors import BadInput as BadInput
from spicekit.errors import SpicekitError as SpicekitError
from spicekit.evaluation.array import Tile as Tile
from spicekit.evaluation.convert import convert as convert
from spicekit.evaluation.cost_model import energy as energy
from spicekit.evaluation.design import Design as Design
from spicekit.evaluation.design import design as design
from spicekit.evaluation.design import read_design as read_design
from spicekit.evaluation.evaluate import evaluate as evaluate
from spicekit.evaluation.network_costs import NetworkCosts as NetworkCosts
from spicekit.evaluation.records import Evaluation as Evaluation
from spicekit.evaluation.signoff import SignOff as SignOff
from spicekit.evaluation.signoff import keep_evidence as keep_evidence
from spicekit.evaluation.signoff import sign_off as sign_off
from spicekit.evaluation.tiled import TiledConv2d as TiledConv2d
from spicekit.evaluation.tiled import TiledLinear as TiledLinear
from spicekit.networks.adopt import adopt as adopt
from spicekit.networks.checkpoints import load_network as load_network
from spicekit.networks.data import Dataset as Dataset
from spicekit.networks.data import load_dataset as load_dataset
from spicekit.networks.layers import BinaryConv2d as BinaryConv2d
from spicekit.networks.layers import BinaryLinear as BinaryLinear
from spicekit.study.load import load as load
from spicekit.study.sweep import sweep as sweep
from spicekit.tables.calibrate import calibrate as calibrate
from spicekit.tables.ends import Ends as Ends
from spicekit.tables.ends import ends as ends
from spicekit.tables.table import IVTable as IVTable

__version__: str
